"""From a model's score to a probability with an interval, by length of the stretch.

A model is sure of its scores on windows like those it was trained on; a shorter stretch has fewer words, and the same
score of it means less. So scores of windows that the model has not seen, cut to some lengths, are each fitted by a
logistic curve (Platt, Advances in Large Margin Classifiers, 1999), and the fit is repeated on resampled clusters of
windows. The interval holds what these curves and, where it is told how far scores of models trained on other windows
would lie apart, what such models would say.
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
MARGIN = 0.25
"""Share of the range of scores by which a score may pass its ends; it has the probability of the end then."""
_FIELDS = ("lengths", "lowest", "highest", "slopes", "intercepts")


class Calibration(NamedTuple):
    """Logistic curves by length; the first of each row is the fit to all windows, the others to resamples.

    Attributes
    ----------
    lengths : ndarray of float64, shape (m,)
        Lengths that were measured, nt, ascending.
    lowest, highest : ndarray of float64, shape (m,)
        Range of the scores that the curves were fitted to: far beyond it nothing is known (`MARGIN`).
    slopes, intercepts : ndarray of float64, shape (m, 1 + n_resamples)
        Log-odds of being introgressed = slope x score + intercept.
    """

    lengths: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """As lists, for JSON."""
        return {name: values.tolist() for name, values in self._asdict().items()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; `InputError` where it is anything else."""
        try:
            values = cls(*(np.array(found[name], dtype=np.float64) for name in _FIELDS))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InputError(f"calibration: expected numbers under {', '.join(_FIELDS)}") from None
        n, shapes = values.lengths.size, [part.shape for part in values]
        n_curves = values.slopes.shape[-1] if values.slopes.ndim else 0
        if not n * n_curves or shapes != [(n,)] * 3 + [(n, n_curves)] * 2:
            raise InputError(f"calibration: found shapes {', '.join(map(str, shapes))}, "
                             "expected (m,), (m,), (m,), (m, n), (m, n)")  # fmt: skip
        if not all(np.isfinite(part).all() for part in values) or not (
            (np.diff(values.lengths) > 0).all() and values.lengths[0] > 0 and (values.lowest < values.highest).all()
        ):
            raise InputError("calibration: expected finite numbers, ascending lengths and lowest below highest")
        return values


class Probabilities(NamedTuple):
    """Calibrated probabilities with 95 % intervals, float64 arrays of shape (n,).

    NaN for scores never seen, and where the margins reach over half of the range of scores.
    """

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
        Cluster of overlapping regions of each window; resamples draw whole clusters. Each class weighs a half in
        each, whatever its share of the windows.
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
    weights = [_balance(drawn, labels) for drawn in weights]
    lengths = sorted(scores)
    curves = np.array([[_fit_curve(scores[length], labels, drawn) for drawn in weights] for length in lengths])
    lowest, highest = (np.array([extreme(scores[length]) for length in lengths]) for extreme in (np.min, np.max))
    return Calibration(np.array(lengths, dtype=np.float64), lowest, highest, curves[..., 0], curves[..., 1])


def _balance(weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Bring each class to half of the weight; in all they weigh as many as there are windows."""
    shares = np.bincount(labels, weights=weights, minlength=2)
    return weights * (len(labels) / 2 / shares)[labels]


def _fit_curve(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the log-odds. Scores are scaled for the solver only."""
    centre, spread = float(scores.mean()), float(scores.std())
    if not spread > 0:
        raise InputError("calibration: all scores are the same")
    fitted = LogisticRegression(C=1e6).fit((scores[:, None] - centre) / spread, labels, sample_weight=weights)
    slope = float(fitted.coef_[0, 0]) / spread
    return slope, float(fitted.intercept_[0]) - slope * centre


def calibrate(
    calibration: Calibration,
    scores: np.ndarray,
    lengths: np.ndarray,
    *,
    prior: float = 0.5,
    margins: np.ndarray | float = 0.0,
) -> Probabilities:
    """Turn scores into probabilities.

    Between two measured lengths the curve's slope and intercept, and the range of scores, are interpolated on the
    logarithm of the length; beyond the first and the last they are those.

    Parameters
    ----------
    calibration : Calibration
    scores : ndarray of float64, shape (n,)
    lengths : ndarray of number, shape (n,)
        Length of each stretch, nt.
    prior : float
        Share of introgressed stretches among those that are asked about, between 0 and 1. It is a half in the
        calibration.
    margins : ndarray of float64, shape (n,), or float
        How far from a score, at 95 %, that of a model lies which was trained on other windows; see
        `bundle.score_margins`. Added to the interval in quadrature, on the scale of log-odds.

    Returns
    -------
    Probabilities
    """
    margins = np.broadcast_to(margins, np.shape(scores))
    place = np.interp(np.log(lengths), np.log(calibration.lengths), np.arange(len(calibration.lengths)))
    before = np.minimum(place.astype(np.int64), max(len(calibration.lengths) - 2, 0))
    after = np.minimum(before + 1, len(calibration.lengths) - 1)
    share = place - before
    lowest, highest = (values[before] * (1 - share) + values[after] * share
                       for values in (calibration.lowest, calibration.highest))  # fmt: skip
    within = np.clip(scores, lowest, highest)
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
        odds = slope * within[rows, None] + intercept + shift
        middle, model = odds[:, 0], slope[:, 0] * margins[rows]
        least, most = np.quantile(odds, [tail, 1 - tail], axis=1)
        probability[rows] = expit(middle)
        low[rows] = expit(middle - np.hypot(np.maximum(middle - least, 0), model))
        high[rows] = expit(middle + np.hypot(np.maximum(most - middle, 0), model))
    # Where models of other chromosomes differ by as much as all windows do, none of them knows anything.
    seen = (np.abs(scores - within) <= MARGIN * (highest - lowest)) & (margins <= (highest - lowest) / 2)
    return Probabilities(*(np.where(seen, part, np.nan) for part in (probability, low, high)))
