"""Metrics with intervals (article, section 2); splits by name stand in `splits` and are given on from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.splits import Split, folds, read_split, split

__all__ = [
    "Evaluation",
    "Interval",
    "Split",
    "evaluate",
    "evaluate_scores",
    "folds",
    "read_split",
    "split",
    "tabulate_scores",
]

CONFIDENCE = 0.95
_NO_PROBABILITY = frozenset({"linear_svm"})
_LOG_ODDS = "naive_bayes"
_CHUNK = 1 << 22


class Interval(NamedTuple):
    """A measured value with its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


class Evaluation(NamedTuple):
    """What a model's scores on held-out windows are worth.

    Attributes
    ----------
    accuracy, balanced_accuracy : Interval
    auroc, auprc : Interval
        Areas under the receiver operating characteristic and, as average precision, under the precision-recall
        curve.
    mcc : Interval
        Matthews correlation coefficient.
    brier : Interval
        Mean squared distance of probability and label; NaN for a model that gives no probability.
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
    auprc: Interval
    mcc: Interval
    brier: Interval
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


def evaluate(
    y_true: np.ndarray,
    y_score: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    y_probability: np.ndarray | None = None,
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
        intervals. By default each window is drawn on its own. With one group there is no interval (NaN).
    y_probability : ndarray of float in [0, 1], shape (n,), optional
        Probability of being introgressed, for the Brier score; by default the scores where all of them can be
        probabilities.
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
        Lengths differ, there is no window, a label is neither 0 nor 1, a score is NaN, or a probability is not one.
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
    errors = _squared_errors(y_true, y_score, y_probability)
    order = np.argsort(y_score, kind="stable")
    labels, scores, codes, errors = y_true[order], y_score[order], pd.factorize(groups)[0][order], errors[order]
    n_groups = codes.max() + 1
    point = _measure(labels, scores, errors, np.ones((1, len(labels))), threshold)
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in point}
    rng = np.random.default_rng(rng)
    step = max(1, _CHUNK // len(labels))
    for done in range(0, n_bootstrap if n_groups > 1 else 0, step):  # one group alone has no spread
        size = min(step, n_bootstrap - done)
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        weights = drawn[:, codes].astype(np.float64)
        for name, values in _measure(labels, scores, errors, weights, threshold).items():
            resampled[name].append(values)
    intervals = {name: Interval(float(values[0]), *_interval(resampled[name])) for name, values in point.items()}
    return Evaluation(**intervals, n_test=len(labels))


def _squared_errors(y_true: np.ndarray, y_score: np.ndarray, y_probability: np.ndarray | None) -> np.ndarray:
    """Squared distance of probability and label; NaN where scores are no probabilities."""
    given = y_probability is not None
    probability = np.asarray(y_probability if given else y_score, dtype=np.float64)
    possible = probability.shape == y_true.shape and bool(((probability >= 0) & (probability <= 1)).all())
    if given and not possible:
        raise ValueError("y_probability: expected one number from 0 to 1 a window")
    return (probability - y_true) ** 2 if possible else np.full(y_true.shape, np.nan)


def _measure(
    labels: np.ndarray, scores: np.ndarray, errors: np.ndarray, weights: np.ndarray, threshold: float
) -> dict[str, np.ndarray]:
    """Metrics of each resample, given as the number of times each window (sorted by score) was drawn."""
    truth, called = labels == 1, scores > threshold
    tn, fp, fn, tp = (
        weights @ (side & call).astype(np.float64) for side in (~truth, truth) for call in (~called, called)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        auroc, auprc = _areas(truth, scores, weights)
        accuracy = (tp + tn) / (tp + tn + fp + fn)
        mcc = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        brier = weights @ errors / weights.sum(axis=1)
    return {
        "accuracy": accuracy,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "auroc": auroc,
        "auprc": auprc,
        "mcc": mcc,
        "brier": brier,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }


def _areas(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC, ties counting one half, and average precision of each resample."""
    first = np.flatnonzero(np.concatenate(([True], scores[1:] != scores[:-1])))  # infinite scores may tie, too
    negative = np.add.reduceat(weights * ~truth, first, axis=1)
    positive = np.add.reduceat(weights * truth, first, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    n_negative, n_positive = negative.sum(axis=1), positive.sum(axis=1)
    auroc = (positive * (below + negative / 2)).sum(axis=1) / (n_positive * n_negative)
    true = n_positive[:, None] - np.cumsum(positive, axis=1) + positive  # called at or above each score
    called = true + n_negative[:, None] - below
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    return auroc, (positive * precision).sum(axis=1) / n_positive


def _interval(values: list[np.ndarray]) -> tuple[float, float]:
    sample = np.concatenate(values) if values else np.array([])
    sample = sample[~np.isnan(sample)]
    if not len(sample):
        return np.nan, np.nan
    low, high = np.quantile(sample, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def tabulate_scores(
    test: np.ndarray, labels: np.ndarray, scores: Mapping[str, tuple[np.ndarray, float]]
) -> pd.DataFrame:
    """Put the scores of several models on the same windows into one table.

    Parameters
    ----------
    test : ndarray of int, shape (n,)
        Rows of the windows that were scored.
    labels : ndarray of int, shape (n,)
        Their classes.
    scores : mapping of str to (ndarray of float64 of shape (n,), float)
        By model: scores, and the score above which a window is called introgressed.

    Returns
    -------
    DataFrame
        `model, window, label, score, threshold`, one block of rows a model.
    """
    tables = [
        pd.DataFrame({"model": name, "window": test, "label": labels, "score": score, "threshold": threshold})
        for name, (score, threshold) in scores.items()
    ]
    return pd.concat(tables, ignore_index=True)


def evaluate_scores(
    scores: pd.DataFrame, windows: pd.DataFrame, *, n_bootstrap: int = 1000, seed: int
) -> dict[str, Evaluation]:
    """Measure each model's scores, with intervals by bootstrap over clusters of overlapping regions.

    Parameters
    ----------
    scores : DataFrame
        Of `tabulate_scores`; `window` is a row of `windows`.
    windows : DataFrame
        `cluster`.
    n_bootstrap : int
    seed : int

    Returns
    -------
    dict of str to Evaluation
        By model, in the order of the scores.

    Raises
    ------
    InputError
        A label is neither 0 nor 1, or a score is no number, or no probability where the model gives one.
    """
    _check_scores(scores)
    clusters = windows["cluster"].to_numpy()
    return {
        str(model): evaluate(
            rows["label"].to_numpy(),
            rows["score"].to_numpy(),
            groups=clusters[rows["window"]],
            y_probability=_probability(str(model), rows["score"].to_numpy()),
            threshold=rows["threshold"].iloc[0],
            n_bootstrap=n_bootstrap,
            rng=seed,
        )
        for model, rows in scores.groupby("model", sort=False)
    }


def _check_scores(scores: pd.DataFrame) -> None:
    model, score = scores["model"], pd.to_numeric(scores["score"], errors="coerce")
    bounded = ~model.isin(_NO_PROBABILITY | {_LOG_ODDS})
    for name, wrong, expected in (
        ("label", ~scores["label"].isin((0, 1)), "0 or 1"),
        ("score", bounded & ~score.between(0, 1), "a probability from 0 to 1"),
        ("score", score.isna(), "a number"),
    ):
        if wrong.any():
            first = scores[wrong].iloc[0]
            raise InputError(f"predictions of {first['model']}: window {first['window']}: found {name} "
                             f"{first[name]!s:.40}, expected {expected}")  # fmt: skip


def _probability(model: str, score: np.ndarray) -> np.ndarray | None:
    """Probabilities behind scores; none where the model has none, whatever range its scores happen to have."""
    if model == _LOG_ODDS:
        return expit(score)
    return None if model in _NO_PROBABILITY else score
