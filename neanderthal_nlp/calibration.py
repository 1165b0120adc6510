"""From a model's score to a probability with an interval, by length of the stretch.

A model is sure of its scores on windows like those it was trained on; a shorter stretch has fewer words, and the same
score of it means less. So scores of windows that the model has not seen, cut to some lengths, are each fitted by a
logistic curve (Platt, Advances in Large Margin Classifiers, 1999), and the fit is repeated on resampled clusters of
windows, which gives the interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from neanderthal_nlp.errors import InputError

CONFIDENCE = 0.95
N_RESAMPLES = 200
_FIELDS = ("lengths", "slopes", "intercepts")


class Calibration(NamedTuple):
    """Logistic curves by length; the first of each row is the fit to all windows, the others to resamples.

    Attributes
    ----------
    lengths : ndarray of float64, shape (m,)
        Lengths that were measured, nt, ascending.
    slopes, intercepts : ndarray of float64, shape (m, 1 + n_resamples)
        Log-odds of being introgressed = slope x score + intercept.
    """

    lengths: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """As lists, for JSON."""
        return {name: values.tolist() for name, values in self._asdict().items()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; `InputError` where it is anything else."""
        try:
            lengths, slopes, intercepts = (np.array(found[name], dtype=np.float64) for name in _FIELDS)
        except (KeyError, TypeError, ValueError):
            raise InputError(f"calibration: expected numbers under {', '.join(_FIELDS)}") from None
        fits = lengths.ndim == 1 and slopes.ndim == 2 and slopes.shape == intercepts.shape
        if not fits or len(slopes) != len(lengths) or not slopes.size:
            raise InputError(f"calibration: found shapes {lengths.shape}, {slopes.shape} and {intercepts.shape}, "
                             "expected (m,), (m, n) and (m, n)")  # fmt: skip
        if not all(np.isfinite(values).all() for values in (lengths, slopes, intercepts)) or not (
            (np.diff(lengths) > 0).all() and lengths[0] > 0
        ):
            raise InputError("calibration: expected finite numbers and ascending lengths")
        return cls(lengths, slopes, intercepts)


class Probabilities(NamedTuple):
    """Calibrated probabilities with 95 % intervals, float64 arrays of shape (n,)."""

    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray


def fit_calibration(
    scores: Mapping[int, np.ndarray],
    labels: np.ndarray,
    *,
    groups: np.ndarray,
    n_resamples: int = N_RESAMPLES,
    rng: np.random.Generator | int,
) -> Calibration:
    """Fit logistic curves to scores of windows that the model was not trained on.

    Parameters
    ----------
    scores : mapping of int to ndarray of float64, shape (n,)
        By length in nt, scores of the same windows cut to it.
    labels : ndarray of int, shape (n,)
        1 introgressed, 0 depleted.
    groups : ndarray, shape (n,)
        Cluster of overlapping regions of each window; resamples draw whole clusters.
    n_resamples : int
    rng : numpy Generator or int

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        One class or one cluster only, or scores that are all the same.
    """
    if len(np.unique(labels)) != 2 or len(np.unique(groups)) < 2:
        raise InputError("calibration: expected windows of both classes and of two or more clusters")
    codes = np.unique(groups, return_inverse=True)[1]
    n_groups = codes.max() + 1
    rng = np.random.default_rng(rng)
    # The same resamples at each length, so that the interval moves smoothly between them.
    weights = [np.ones(len(labels))]
    while len(weights) <= n_resamples:
        drawn = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[codes].astype(np.float64)
        if len(np.unique(labels[drawn > 0])) == 2:
            weights.append(drawn)
    lengths = sorted(scores)
    curves = np.array([[_fit_curve(scores[length], labels, drawn) for drawn in weights] for length in lengths])
    return Calibration(np.array(lengths, dtype=np.float64), curves[..., 0], curves[..., 1])


def _fit_curve(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the log-odds. Scores are scaled for the solver only."""
    centre, spread = float(scores.mean()), float(scores.std())
    if not spread > 0:
        raise InputError("calibration: all scores are the same")
    fitted = LogisticRegression(C=1e6).fit((scores[:, None] - centre) / spread, labels, sample_weight=weights)
    slope = float(fitted.coef_[0, 0]) / spread
    return slope, float(fitted.intercept_[0]) - slope * centre


def calibrate(
    calibration: Calibration, scores: np.ndarray, lengths: np.ndarray, *, prior: float = 0.5
) -> Probabilities:
    """Turn scores into probabilities.

    Between two measured lengths the curve's slope and intercept are interpolated on the logarithm of the length;
    beyond the first and the last they are those.

    Parameters
    ----------
    calibration : Calibration
    scores : ndarray of float64, shape (n,)
    lengths : ndarray of number, shape (n,)
        Length of each stretch, nt.
    prior : float
        Share of introgressed stretches among those that are asked about, between 0 and 1. It is a half in the
        calibration.

    Returns
    -------
    Probabilities
    """
    place = np.interp(np.log(lengths), np.log(calibration.lengths), np.arange(len(calibration.lengths)))
    before = np.minimum(place.astype(np.int64), max(len(calibration.lengths) - 2, 0))
    after = np.minimum(before + 1, len(calibration.lengths) - 1)
    share = place - before
    probability, low, high = np.empty((3, len(scores)))
    tail, shift = (1 - CONFIDENCE) / 2, logit(prior)
    step = 1 << 14  # rows of the resamples at once: constant memory
    for start in range(0, len(scores), step):
        rows = slice(start, start + step)
        part = share[rows, None]
        slope, intercept = (
            values[before[rows]] * (1 - part) + values[after[rows]] * part
            for values in (calibration.slopes, calibration.intercepts)
        )
        odds = slope * scores[rows, None] + intercept + shift
        probability[rows] = expit(odds[:, 0])
        low[rows], high[rows] = expit(np.quantile(odds, [tail, 1 - tail], axis=1))
    return Probabilities(probability, low, high)
