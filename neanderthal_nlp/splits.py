"""Which windows a model is trained on and which it is tested on: splits by name.

A random split of single windows puts overlapping haplotypes, and even identical windows, on both sides. The other
protocols keep apart what is not independent, as Whalen et al. (Nature Reviews Genetics 23, 2022) ask for genomic
data; `distinct` lies between, so that the effect of exact copies can be told from that of overlap.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, train_test_split

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table
from neanderthal_nlp.intervals import home_chromosome
from neanderthal_nlp.parameters import NEVER_TEST, PROTOCOLS, SPLIT_SEED, TEST_SIZE

GROUPED = ("cluster", "chromosome")
"""Protocols that keep whole groups on one side, and of which there are k-fold versions."""
MANIFEST_COLUMNS = {
    "chrom": str, "start": np.int64, "end": np.int64, "label": np.int64, "side": str,
}  # fmt: skip
SIDES = ("train", "test", "unused")
_PLACE = ["chrom", "start", "end", "label"]
_N_ORDERS = 200


class Split(NamedTuple):
    """Rows of the windows table to train on and to test on (int64 arrays, disjoint; a row may be in neither).

    Their order counts: Keras keeps the last training rows for validation. It is random under every protocol.
    """

    train: np.ndarray
    test: np.ndarray


def split(
    windows: pd.DataFrame,
    *,
    protocol: str,
    test_size: float = TEST_SIZE,
    seed: int = SPLIT_SEED,
    held_out: Collection[str] | None = None,
    never_test: Collection[str] = NEVER_TEST,
) -> Split:
    """Divide windows into training and test rows.

    Parameters
    ----------
    windows : DataFrame
        Rows stacked as `sequences.make_windows` gives them.
    protocol : {"article", "distinct", "cluster", "chromosome"}
        `article`: scikit-learn's `train_test_split` over single windows, as published. It puts overlapping
        windows, and even identical ones, on both sides.
        `distinct`: the same, after all but the first of identical windows (chromosome, start, end) were left out
        with their partners, so that the classes stay balanced.
        `cluster`: regions that overlap, of either label, stay together, and so do the two of a pair (see
        `groups`).
        `chromosome`: whole chromosomes are held out, their haplotype contigs with them.
    test_size : float
        Share of windows held out; for groups the share that comes closest among 200 random orders of them.
    seed : int
        The article's is 42.
    held_out : collection of str, optional
        For `chromosome`: the chromosomes to test on, instead of choosing them.
    never_test : collection of str
        For `chromosome`: chromosomes that are not chosen for the test set. By default chromosome 6, which holds the
        MHC: its diversity, much of it archaic and kept by selection, is like that of no other place.

    Returns
    -------
    Split
        For `article` the same rows, in the same order, as `train_test_split(X, y, test_size=...,
        random_state=seed)`.

    Raises
    ------
    InputError
        The protocol is unknown, a held-out chromosome has no window, or there are too few windows or groups to
        divide.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol: found {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    if not 0 < test_size < 1:
        raise InputError(f"test_size: found {test_size}, expected a share between 0 and 1")
    if held_out is not None and protocol != "chromosome":
        raise InputError(f"held-out chromosomes: found protocol {protocol}, expected chromosome")
    if protocol in GROUPED:
        return _sides(_choose_groups(windows, protocol, test_size, seed, held_out, never_test), seed)
    rows = _first_copies(windows) if protocol == "distinct" else np.arange(len(windows))
    try:
        train, test = train_test_split(rows, test_size=test_size, random_state=seed)
    except ValueError:
        raise InputError(f"windows: found {len(rows)}, too few to hold out a share of {test_size}") from None
    return Split(train, test)


def folds(
    windows: pd.DataFrame,
    *,
    protocol: str,
    n_folds: int = 5,
    seed: int = SPLIT_SEED,
    never_test: Collection[str] = NEVER_TEST,
) -> list[Split]:
    """Divide windows into folds of about one size that keep groups together (scikit-learn's `GroupKFold`).

    Parameters
    ----------
    windows : DataFrame
        As for `split`.
    protocol : {"cluster", "chromosome"}
    n_folds : int
        At least 2.
    seed : int
        Decides which of several groups of one size is dealt first, and the order of the rows.
    never_test : collection of str
        For `chromosome`: chromosomes that are trained on in every fold and tested in none, as for `split`; an empty
        collection has every window tested once.

    Returns
    -------
    list of Split

    Raises
    ------
    InputError
        The protocol has no folds, or there are fewer groups than folds.
    """
    if protocol not in GROUPED:
        raise InputError(f"protocol: found {protocol!r}, expected one of {', '.join(GROUPED)} for folds")
    labels = groups(windows, protocol=protocol)
    spared = _spared(windows, protocol, never_test)
    rows = np.flatnonzero(~spared)
    codes, found = pd.factorize(labels[rows])
    if not 2 <= n_folds <= len(found):
        raise InputError(f"n_folds: found {n_folds}, expected from 2 to the number of groups ({len(found)})")
    shuffled = np.random.default_rng(seed).permutation(len(found))[codes]
    tests = (rows[test] for _, test in GroupKFold(n_folds).split(rows, groups=shuffled))
    return [_sides(np.isin(np.arange(len(windows)), test), seed) for test in tests]


def _sides(test: np.ndarray, seed: int) -> Split:
    """Split by whether each row is tested; the rows of a side in random order."""
    rng = np.random.default_rng(seed)
    return Split(rng.permutation(np.flatnonzero(~test)), rng.permutation(np.flatnonzero(test)))


def groups(windows: pd.DataFrame, *, protocol: str) -> np.ndarray:
    """Group of each window that a protocol keeps on one side.

    `cluster`: connected components of a graph in which overlapping regions are joined (the column `cluster`) and
    so are the two of a pair. The draw of a partner joins places at random: where regions are dense, components
    grow to whole chromosomes.

    Returns
    -------
    ndarray of int64, shape (n,)
        Numbered from 0 in the order of first appearance.
    """
    if protocol == "chromosome":
        return pd.factorize(home_chromosome(windows["chrom"]))[0].astype(np.int64)
    nodes, pairs = pd.factorize(windows["cluster"])[0], pd.factorize(windows["pair"])[0]
    n = nodes.max(initial=-1) + 1
    size = n + pairs.max(initial=-1) + 1
    graph = coo_array((np.ones(len(nodes), dtype=bool), (nodes, n + pairs)), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][nodes])[0].astype(np.int64)


def _first_copies(windows: pd.DataFrame) -> np.ndarray:
    """Rows of the pairs of which neither window repeats an earlier one."""
    repeats = windows.duplicated(["chrom", "start", "end"])
    return np.flatnonzero(~windows["pair"].isin(windows.loc[repeats, "pair"]))


def _spared(windows: pd.DataFrame, protocol: str, never_test: Collection[str]) -> np.ndarray:
    if protocol != "chromosome":
        return np.zeros(len(windows), dtype=bool)
    return home_chromosome(windows["chrom"]).isin(never_test).to_numpy()


def _choose_groups(
    windows: pd.DataFrame,
    protocol: str,
    test_size: float,
    seed: int,
    held_out: Collection[str] | None,
    never_test: Collection[str],
) -> np.ndarray:
    """Whether each window is tested."""
    if held_out is not None:
        return _named_chromosomes(windows, held_out)
    labels = groups(windows, protocol=protocol)
    spared = np.unique(labels[_spared(windows, protocol, never_test)])
    sizes = np.bincount(labels)
    candidates = np.setdiff1d(np.arange(len(sizes)), spared)
    if len(sizes) < 2 or not len(candidates):
        raise InputError(f"windows: found {len(candidates)} of {len(sizes)} groups to choose from under protocol "
                         f"{protocol}, expected one to hold out and one to train on")  # fmt: skip
    rng = np.random.default_rng(seed)
    target = test_size * len(windows)
    best, distance = candidates[:0], np.inf
    for _ in range(_N_ORDERS):
        order = rng.permutation(candidates)
        filled = np.cumsum(sizes[order])[: len(sizes) - 1]  # one group at least is trained on
        last = int(np.abs(filled - target).argmin())
        if abs(filled[last] - target) < distance:
            best, distance = order[: last + 1], abs(filled[last] - target)
    return np.isin(labels, best)


def _named_chromosomes(windows: pd.DataFrame, held_out: Collection[str]) -> np.ndarray:
    home = home_chromosome(windows["chrom"])
    unknown = [chrom for chrom in held_out if not (home == chrom).any()]
    if unknown or not held_out:
        raise InputError(f"held-out chromosomes: found {', '.join(unknown) or 'none'}, expected chromosomes with "
                         f"windows ({', '.join(home.unique())})")  # fmt: skip
    test = home.isin(held_out).to_numpy()
    if test.all():
        raise InputError("held-out chromosomes: found all that have windows, expected one to train on")
    return test


def split_table(windows: pd.DataFrame, parts: Split) -> pd.DataFrame:
    """Manifest of a split, row by row of the windows: `chrom, start, end, label, pair, side, position`.

    `side` is `train`, `test` or `unused`; `position` is the row's place in the order of its side, from 0, and -1
    where it is unused.
    """
    side, position = np.full(len(windows), "unused", dtype=object), np.full(len(windows), -1)
    for name, rows in parts._asdict().items():
        side[rows], position[rows] = name, np.arange(len(rows))
    return windows[[*_PLACE, "pair"]].assign(side=side, position=position)


def read_split(path: str | Path, windows: pd.DataFrame) -> Split:
    """Read a manifest that was written from `split_table` for the same windows.

    Parameters
    ----------
    path : path-like
        `chrom, start, end, label, side`, and `position` for the order of the rows; without it they are shuffled by
        the article's seed.
    windows : DataFrame
        The windows to divide; the manifest must name them row by row.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        The file is not a manifest, is one of other windows, knows another side, or leaves a side without one of the
        classes.
    """
    manifest = read_table(path, MANIFEST_COLUMNS)
    if "position" in manifest and not pd.api.types.is_integer_dtype(manifest["position"]):
        raise InputError(f"{path}: column position: expected whole numbers")
    if len(manifest) != len(windows):
        raise InputError(f"{path}: found {len(manifest)} windows, expected {len(windows)}")
    differ = np.flatnonzero((manifest[_PLACE].to_numpy() != windows[_PLACE].to_numpy()).any(axis=1))
    if len(differ):
        found, expected = (" ".join(map(str, frame[_PLACE].iloc[differ[0]])) for frame in (manifest, windows))
        raise InputError(f"{path}: line {differ[0] + 2}: found window {found}, expected {expected}")
    strange = sorted(set(manifest["side"]) - set(SIDES))
    if strange:
        raise InputError(f"{path}: found side {strange[0]!r}, expected {', '.join(SIDES)}")
    if "position" not in manifest:
        manifest["position"] = np.random.default_rng(SPLIT_SEED).permutation(len(manifest))
    ordered = manifest.sort_values("position", kind="stable")["side"]
    parts = Split(*(ordered.index[ordered == name].to_numpy(dtype=np.int64) for name in SIDES[:2]))
    check_classes(manifest["label"].to_numpy(), [parts], source=str(path))
    return parts


def held_out_chromosomes(windows: pd.DataFrame, parts: Split) -> list[str]:
    """Chromosomes, in the order of the windows, of which the test set holds windows and the training set none.

    Contigs count as their chromosomes (`intervals.home_chromosome`).
    """
    home = home_chromosome(windows["chrom"])
    trained = set(home.iloc[parts.train])
    return [chrom for chrom in home.iloc[np.sort(parts.test)].unique() if chrom not in trained]


def check_classes(labels: np.ndarray, parts: Sequence[Split], *, source: str) -> None:
    """Refuse splits that leave a side without one of the classes.

    Raises
    ------
    InputError
    """
    for rows in (rows for part in parts for rows in part):
        if len(np.unique(labels[rows])) < 2:
            raise InputError(f"{source}: found {len(labels)} windows, too few to have both classes on both sides of "
                             "the split")  # fmt: skip
