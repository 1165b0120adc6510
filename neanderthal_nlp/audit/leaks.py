"""What the numbers mean: how much of a test set a model has seen already.

The introgressed regions are haplotypes called in many people: they overlap one another, and many share a start.
A split of single windows puts the same letters on both sides, the main way in which accuracies in genomics come
out too high (Whalen et al., Nature Reviews Genetics 23, 2022). How much of that there is can be told from
coordinates alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.intervals import cluster, count_overlaps
from neanderthal_nlp.parameters import SPLIT_SEED, TEST_SIZE, WINDOW_LENGTH
from neanderthal_nlp.sequences import clear_pairs, stack_pairs
from neanderthal_nlp.splits import Split, split


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

    def to_dict(self) -> dict[str, Any]:
        """The report as nested mappings, for JSON."""
        return {**self._asdict(), "rule_accuracy": self.rule_accuracy._asdict()}


def windows_of_pairs(
    introgressed: pd.DataFrame,
    depleted: pd.DataFrame,
    *,
    gaps: pd.DataFrame | None = None,
    length: int = WINDOW_LENGTH,
) -> pd.DataFrame:
    """Windows from coordinates alone, as `sequences.make_windows` makes them from a genome.

    Parameters
    ----------
    introgressed, depleted : DataFrame
        `chrom, start, end`, 0-based half-open; row i of one is the partner of row i of the other. Windows are
        stacked as the article stacks them, introgressed first.
    gaps : DataFrame, optional
        A pair that touches one of these blocks is left out, as a pair with an N is.
    length : int
        First nucleotides of a region that are its window, nt.

    Returns
    -------
    DataFrame
        `chrom, start, end, label, pair, cluster, region_start, region_end`.

    Raises
    ------
    InputError
        The tables differ in length, or no pair is left.
    """
    regions = stack_pairs(introgressed, depleted)
    if gaps is not None:
        regions = regions[clear_pairs(regions, gaps)].reset_index(drop=True)
    if regions.empty:
        raise InputError("introgressed regions: no pair is left that touches no gap")
    return regions.assign(
        end=np.minimum(regions["end"], regions["start"] + length),
        cluster=cluster(regions),
        region_start=regions["start"],
        region_end=regions["end"],
    )


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
    introgressed, depleted, gaps, length
        See `windows_of_pairs`.
    protocol : str
        A split that `splits.split` knows.
    seed : int
        Seed of the split.
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
    windows = windows_of_pairs(introgressed, depleted, gaps=gaps, length=length)
    return measure_leaks(windows, split(windows, protocol=protocol, test_size=test_size, seed=seed))


def measure_leaks(windows: pd.DataFrame, parts: Split) -> LeakReport:
    """Measure what a split lets the training windows tell of the test windows.

    Parameters
    ----------
    windows : DataFrame
        As `sequences.make_windows` or `windows_of_pairs` gives them.
    parts : Split

    Returns
    -------
    LeakReport

    Raises
    ------
    InputError
        No introgressed window is in the test set.
    """
    test, train = windows.iloc[parts.test], windows.iloc[parts.train]
    truth = test["label"].to_numpy() == 1
    if not truth.any():
        raise InputError(f"windows: found {len(windows)}, too few for an introgressed one in the test set")
    introgressed = regions_of(windows[windows["label"] == 1])
    any_label, rules = seen_in_training(test, train), seen_in_training(test, train[train["label"] == 1])
    sizes = np.bincount(cluster(introgressed))
    return LeakReport(
        n_pairs=len(introgressed),
        n_distinct_starts=len(introgressed[["chrom", "start"]].drop_duplicates()),
        n_clusters=len(sizes),
        n_effective=float(sizes.sum() ** 2 / (sizes**2).sum()),
        n_test_introgressed=int(truth.sum()),
        test_share_exact=float(any_label.exact_window[truth].mean()),
        test_share_window_overlap=float(any_label.window_overlap[truth].mean()),
        test_share_region_overlap=float(any_label.region_overlap[truth].mean()),
        rule_accuracy=RuleAccuracy(*(float((called == truth).mean()) for called in rules)),
    )


def regions_of(windows: pd.DataFrame) -> pd.DataFrame:
    """The regions that windows were cut from: `chrom, start, end`, row by row."""
    return pd.DataFrame({"chrom": windows["chrom"], "start": windows["region_start"], "end": windows["region_end"]})


class Seen(NamedTuple):
    """What of each test window a model could have met in training; arrays of bool, one entry a test window.

    Attributes
    ----------
    exact_window : ndarray
        The window is a training window, letter for letter (same chromosome, start and end).
    window_overlap : ndarray
        It overlaps a training window.
    region_overlap : ndarray
        It overlaps the region of a training window.
    """

    exact_window: np.ndarray
    window_overlap: np.ndarray
    region_overlap: np.ndarray


def seen_in_training(test: pd.DataFrame, train: pd.DataFrame) -> Seen:
    """Compare test windows with training windows, by coordinates.

    With the introgressed training windows alone this is how the rules call test windows that learn nothing.

    Parameters
    ----------
    test, train : DataFrame
        Rows of the windows table.

    Returns
    -------
    Seen
    """
    place = ["chrom", "start", "end"]
    exact = pd.MultiIndex.from_frame(test[place]).isin(pd.MultiIndex.from_frame(train[place]))
    return Seen(np.asarray(exact), count_overlaps(test, train) > 0, count_overlaps(test, regions_of(train)) > 0)
