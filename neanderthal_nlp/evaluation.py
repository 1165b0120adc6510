"""Splits by name, and metrics with intervals (article, section 2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import SPLIT_SEED, TEST_SIZE

PROTOCOLS = ("article",)
CONFIDENCE = 0.95
_CHUNK = 1 << 22


class Split(NamedTuple):
    """Rows of the windows table to train on and to test on (int64 arrays, disjoint)."""

    train: np.ndarray
    test: np.ndarray


class Interval(NamedTuple):
    """A measured value with its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


class Evaluation(NamedTuple):
    """What a model's scores on held-out windows are worth.

    Attributes
    ----------
    accuracy, balanced_accuracy, auroc : Interval
    sensitivity, specificity : Interval
        Accuracy on introgressed and on depleted windows.
    tn, fp, fn, tp : Interval
        Cells of the confusion matrix; introgressed is positive.
    n_test : int
        Windows scored.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    auroc: Interval
    sensitivity: Interval
    specificity: Interval
    tn: Interval
    fp: Interval
    fn: Interval
    tp: Interval
    n_test: int

    @property
    def confusion(self) -> np.ndarray:
        """Confusion matrix, int64 (2, 2): rows are true classes, columns predicted ones, depleted first."""
        return np.array([[self.tn.value, self.fp.value], [self.fn.value, self.tp.value]]).astype(np.int64)

    def to_frame(self) -> pd.DataFrame:
        """One row a metric: `metric, value, low, high`; `n_test` last, without an interval."""
        rows = [(name, *field) for name, field in self._asdict().items() if isinstance(field, Interval)]
        rows.append(("n_test", float(self.n_test), np.nan, np.nan))
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high"])


def split(windows: pd.DataFrame, *, protocol: str, test_size: float = TEST_SIZE, seed: int = SPLIT_SEED) -> Split:
    """Divide windows into training and test rows.

    Parameters
    ----------
    windows : DataFrame
        Rows stacked as `sequences.make_windows` gives them.
    protocol : {"article"}
        `article`: scikit-learn's `train_test_split` over single windows, as published. It puts overlapping
        windows, and even identical ones, on both sides.
    test_size : float
        Share of windows held out.
    seed : int
        The article's is 42.

    Returns
    -------
    Split
        The same rows, in the same order, as `train_test_split(X, y, test_size=..., random_state=seed)`.

    Raises
    ------
    InputError
        The protocol is unknown or there are too few windows to divide.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol: found {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    if not 0 < test_size < 1:
        raise InputError(f"test_size: found {test_size}, expected a share between 0 and 1")
    try:
        train, test = train_test_split(np.arange(len(windows)), test_size=test_size, random_state=seed)
    except ValueError:
        raise InputError(f"windows: found {len(windows)}, too few to hold out a share of {test_size}") from None
    return Split(train, test)


def evaluate(
    y_true: np.ndarray,
    y_score: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    threshold: float = 0.5,
    n_bootstrap: int = 1000,
    rng: np.random.Generator | int,
) -> Evaluation:
    """Measure scores against labels, each metric with a 95 % bootstrap interval.

    Parameters
    ----------
    y_true : ndarray of int, shape (n,)
        1 introgressed, 0 depleted.
    y_score : ndarray of float, shape (n,)
        Larger means more probably introgressed.
    groups : ndarray, shape (n,), optional
        Group of each window; whole groups are drawn together, so that dependent windows do not narrow the
        intervals. By default each window is drawn on its own.
    threshold : float
        A window is predicted introgressed when its score is above it.
    n_bootstrap : int
        Resamples for the percentile intervals.
    rng : numpy Generator or int
        Source of randomness or a seed for one.

    Returns
    -------
    Evaluation
        NaN where a metric is undefined (AUROC with one class only).

    Raises
    ------
    ValueError
        Lengths differ, there is no window, a label is neither 0 nor 1, or a score is NaN.
    """
    y_true, y_score = np.asarray(y_true), np.asarray(y_score, dtype=np.float64)
    groups = np.arange(len(y_true)) if groups is None else np.asarray(groups)
    if not y_true.shape == y_score.shape == groups.shape == (y_true.size,) or not len(y_true):
        raise ValueError(
            f"found labels {y_true.shape}, scores {y_score.shape}, groups {groups.shape}, expected (n,) of each"
        )
    if pd.isna(groups).any():
        raise ValueError("groups: found a missing value, expected a group for each window")
    if not np.isin(y_true, (0, 1)).all() or np.isnan(y_score).any():
        raise ValueError("expected labels 0 or 1 and scores that are numbers")
    order = np.argsort(y_score, kind="stable")
    labels, scores, codes = y_true[order], y_score[order], pd.factorize(groups)[0][order]
    n_groups = codes.max() + 1
    point = _measure(labels, scores, np.ones((1, len(labels))), threshold)
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in point}
    rng = np.random.default_rng(rng)
    step = max(1, _CHUNK // len(labels))
    for done in range(0, n_bootstrap, step):
        size = min(step, n_bootstrap - done)
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        for name, values in _measure(labels, scores, drawn[:, codes].astype(np.float64), threshold).items():
            resampled[name].append(values)
    intervals = {name: Interval(float(values[0]), *_interval(resampled[name])) for name, values in point.items()}
    return Evaluation(**intervals, n_test=len(labels))


def _measure(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Metrics of each resample, given as the number of times each window (sorted by score) was drawn."""
    truth, called = labels == 1, scores > threshold
    tn, fp, fn, tp = (
        weights @ (side & call).astype(np.float64) for side in (~truth, truth) for call in (~called, called)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        auroc = _pairs_in_order(truth, scores, weights) / ((tp + fn) * (tn + fp))
        accuracy = (tp + tn) / (tp + tn + fp + fn)
    return {
        "accuracy": accuracy,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "auroc": auroc,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }


def _pairs_in_order(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted pairs (negative, positive) in which the positive scores higher; ties count one half."""
    first = np.flatnonzero(np.concatenate(([True], scores[1:] != scores[:-1])))  # infinite scores may tie, too
    negative = np.add.reduceat(weights * ~truth, first, axis=1)
    positive = np.add.reduceat(weights * truth, first, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    return (positive * (below + negative / 2)).sum(axis=1)


def _interval(values: list[np.ndarray]) -> tuple[float, float]:
    sample = np.concatenate(values) if values else np.array([])
    sample = sample[~np.isnan(sample)]
    if not len(sample):
        return np.nan, np.nan
    low, high = np.quantile(sample, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
