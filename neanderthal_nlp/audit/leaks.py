"""What the numbers mean: how much of a test set a model has seen already.

The introgressed regions are haplotypes called in many people: they overlap one another, and many share a start.
A split of single windows puts the same letters on both sides, the main way in which accuracies in genomics come
out too high (Whalen et al., Nature Reviews Genetics 23, 2022). How much of that there is can be told from
coordinates alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import split
from neanderthal_nlp.intervals import cluster, count_overlaps
from neanderthal_nlp.parameters import SPLIT_SEED, TEST_SIZE, WINDOW_LENGTH
from neanderthal_nlp.sequences import clear_pairs, stack_pairs


class RuleAccuracy(NamedTuple):
    """Test accuracy of three rules that learn nothing but coordinates.

    Each calls a test window introgressed when it ..., and depleted otherwise.

    Attributes
    ----------
    exact_window : float
        ... is, letter for letter, an introgressed training window.
    window_overlap : float
        ... overlaps an introgressed training window.
    region_overlap : float
        ... overlaps the region of an introgressed training window.
    """

    exact_window: float
    window_overlap: float
    region_overlap: float


class LeakReport(NamedTuple):
    """Leakage between training and test windows of a split.

    Attributes
    ----------
    n_pairs : int
        Pairs of an introgressed and a depleted region that touch no gap.
    n_distinct_starts : int
        Different starts among the introgressed regions, the windows being their first nucleotides.
    n_clusters : int
        Connected components of overlapping introgressed regions.
    n_effective : float
        Kish's effective number of introgressed regions, (sum of n)^2 / sum of n^2 over the sizes n of the
        clusters: what as many clusters of one size would be worth if the regions of a cluster told the same.
    n_test_introgressed : int
        Introgressed test windows; the shares below are of these.
    test_share_exact : float
        Share that occurs letter for letter (same chromosome, start and end) among the training windows.
    test_share_window_overlap : float
        Share that overlaps a training window.
    test_share_region_overlap : float
        Share that overlaps the region of a training window.
    rule_accuracy : RuleAccuracy
        On all test windows.
    """

    n_pairs: int
    n_distinct_starts: int
    n_clusters: int
    n_effective: float
    n_test_introgressed: int
    test_share_exact: float
    test_share_window_overlap: float
    test_share_region_overlap: float
    rule_accuracy: RuleAccuracy


def leak_report(
    introgressed: pd.DataFrame,
    depleted: pd.DataFrame,
    *,
    protocol: str,
    seed: int = SPLIT_SEED,
    gaps: pd.DataFrame | None = None,
    length: int = WINDOW_LENGTH,
    test_size: float = TEST_SIZE,
) -> LeakReport:
    """Measure, from coordinates alone, what a split lets the training windows tell of the test windows.

    Parameters
    ----------
    introgressed, depleted : DataFrame
        `chrom, start, end`, 0-based half-open; row i of one is the partner of row i of the other. Windows are
        stacked as the article stacks them, introgressed first.
    protocol : str
        A split that `evaluation.split` knows.
    seed : int
        Seed of the split.
    gaps : DataFrame, optional
        A pair that touches one of these blocks is left out, as a pair with an N is.
    length : int
        First nucleotides of a region that are its window, nt.
    test_size : float
        Share of windows held out.

    Returns
    -------
    LeakReport

    Raises
    ------
    InputError
        The tables differ in length, no pair is left, or no introgressed window is in the test set.
    """
    regions = stack_pairs(introgressed, depleted)
    if gaps is not None:
        regions = regions[clear_pairs(regions, gaps)]
    if regions.empty:
        raise InputError("introgressed regions: no pair is left that touches no gap")
    introgressed = regions[regions["label"] == 1]
    windows = regions.assign(end=np.minimum(regions["end"], regions["start"] + length))
    parts = split(windows, protocol=protocol, test_size=test_size, seed=seed)
    test, train = windows.iloc[parts.test], windows.iloc[parts.train]
    truth = test["label"].to_numpy() == 1
    if not truth.any():
        raise InputError(f"windows: found {len(windows)}, too few for an introgressed one in the test set")

    train_regions = regions.iloc[parts.train]
    any_label = _seen(test, train, train_regions)
    rules = _seen(test, train[train["label"] == 1], train_regions[train_regions["label"] == 1])
    sizes = np.bincount(cluster(introgressed))
    return LeakReport(
        n_pairs=len(introgressed),
        n_distinct_starts=len(introgressed[["chrom", "start"]].drop_duplicates()),
        n_clusters=len(sizes),
        n_effective=float(sizes.sum() ** 2 / (sizes**2).sum()),
        n_test_introgressed=int(truth.sum()),
        test_share_exact=float(any_label[0][truth].mean()),
        test_share_window_overlap=float(any_label[1][truth].mean()),
        test_share_region_overlap=float(any_label[2][truth].mean()),
        rule_accuracy=RuleAccuracy(*(float((called == truth).mean()) for called in rules)),
    )


def _seen(
    test: pd.DataFrame, windows: pd.DataFrame, regions: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each test window is one of the windows, overlaps one, overlaps one of the regions."""
    place = ["chrom", "start", "end"]
    exact = pd.MultiIndex.from_frame(test[place]).isin(pd.MultiIndex.from_frame(windows[place]))
    return np.asarray(exact), count_overlaps(test, windows) > 0, count_overlaps(test, regions) > 0
