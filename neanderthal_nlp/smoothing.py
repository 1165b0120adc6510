"""Neighbours help one another: a hidden Markov model over the scores of windows along a chromosome.

Regions are longer than windows, so that the state of a window says much about that of the next. The model has two
hidden states, 0 depleted and 1 introgressed; a window's score is drawn from the normal distribution of its state
(Rabiner, Proceedings of the IEEE 77, 1989). Both distributions have one variance: what a score says is then linear in
it, and does not turn about at the extremes.

Parameters come from labelled windows of chromosomes that the classifier has not seen, since it is too sure of its
scores elsewhere. Those for such a chromosome come from the others alone, which leaves it fit for a test.

Windows that overlap share letters, and the model would take what they share for evidence twice: `thin` them first. A
window without a score, or one that is left out, ends a sequence; the next begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import bioframe
import numpy as np
import pandas as pd
from hmmlearn.hmm import GaussianHMM  # type: ignore[import-untyped]
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import CONFIDENCE, evaluate
from neanderthal_nlp.predict import DEPLETED, INTROGRESSED

BLOCK = 1_000_000
"""Windows that start in the same block of a chromosome, nt, are drawn together for intervals."""
THRESHOLD = 0.5
"""Posterior above which a window is part of a segment, and share of its nucleotides from which it is introgressed."""
WIDTHS = (1, 3, 5, 7, 9, 15, 21)
"""Widths that a moving average may have, windows."""
MAX_SCORE = 1e9
"""Largest magnitude of a score. Log-odds add up over the letters of a window: no chromosome has that many."""
COLUMNS = ["method", "metric", "value", "low", "high"]
"""Of the evaluation."""
_MIN_VARIANCE = 1e-6  # scores that are all alike would have a density without bound
_METRICS = {
    "score": ("auroc", "auprc"), "moving_average": ("auroc", "auprc"), "alone": ("brier",),
    "posterior": ("auroc", "auprc", "brier"),
}  # fmt: skip


class Smoother(NamedTuple):
    """What is known of scores along a chromosome.

    Attributes
    ----------
    means : ndarray of float64, shape (2,)
        Mean score of depleted and of introgressed windows.
    sd : float
        Standard deviation within each.
    start : ndarray of float64, shape (2,)
        Probability of each state at the start of a sequence.
    transitions : ndarray of float64, shape (2, 2)
        Probability of the next window's state (column), given a window's (row).
    width : int
        Windows that a moving average takes together, the control.
    """

    means: np.ndarray
    sd: float
    start: np.ndarray
    transitions: np.ndarray
    width: int


def thin(windows: pd.DataFrame) -> pd.DataFrame:
    """Leave out windows that overlap the last one kept before them.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end` (0-based half-open) and other columns; starts rise on each chromosome.

    Returns
    -------
    DataFrame
        The rows that are kept, numbered anew.

    Raises
    ------
    InputError
        Starts do not rise, or a chromosome comes twice.
    """
    chroms, starts, ends = (windows[name].to_numpy() for name in ("chrom", "start", "end"))
    same = chroms[1:] == chroms[:-1]
    wrong = np.flatnonzero(same & (starts[1:] <= starts[:-1]))
    if len(wrong):
        first, second = (f"{chroms[row]}:{starts[row]}-{ends[row]}" for row in (wrong[0], wrong[0] + 1))
        raise InputError(f"windows: found {second} after {first}, expected starts to rise")
    if np.count_nonzero(~same) + 1 > max(windows["chrom"].nunique(), 1):
        raise InputError("windows: found a chromosome in two places, expected its windows together")
    kept, reach, last = [], 0, None
    for row, (chrom, start, end) in enumerate(zip(chroms.tolist(), starts.tolist(), ends.tolist(), strict=True)):
        if chrom != last or start >= reach:
            kept.append(row)
            reach, last = end, chrom
    return windows.iloc[kept].reset_index(drop=True)


def number_sequences(windows: pd.DataFrame) -> np.ndarray:
    """Say which windows follow one another.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start` and `score` (NaN where there is none), in order and without overlaps; see `thin`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Sequence of each window, from 0 in order; -1 of a window without a score. A sequence ends with its chromosome,
        at a window without a score, and where the next does not start at the usual distance (the most common one).
    """
    scored = windows["score"].notna().to_numpy()
    if not scored.any():
        return np.full(len(windows), -1, dtype=np.int64)
    chroms, starts = windows["chrom"].to_numpy(), windows["start"].to_numpy()
    same, distance = chroms[1:] == chroms[:-1], np.diff(starts)
    step = pd.Series(distance[same]).mode().max()  # NaN where no chromosome has two windows
    follows = np.concatenate([[False], same & (distance == step) & scored[1:] & scored[:-1]])
    return np.where(scored, np.cumsum(scored & ~follows) - 1, -1)


def cover(windows: pd.DataFrame, introgressed: pd.DataFrame) -> np.ndarray:
    """Count the nucleotides of each window that lie in any of the regions, int64 (n,); both `chrom, start, end`."""
    places = windows[["chrom", "start", "end"]].reset_index(drop=True)
    return bioframe.coverage(places, introgressed[["chrom", "start", "end"]])["coverage"].to_numpy(dtype=np.int64)


def fit_smoother(scores: np.ndarray, labels: np.ndarray, sequences: np.ndarray, *, n_iter: int = 0) -> Smoother:
    """Take the parameters from labelled windows.

    Parameters
    ----------
    scores : ndarray of float, shape (n,)
        Of windows that are in order and do not overlap.
    labels : ndarray of int, shape (n,)
        1 introgressed, 0 depleted.
    sequences : ndarray of int, shape (n,)
        Sequence of each window, rising; see `number_sequences`.
    n_iter : int
        Rounds of Baum-Welch after that, which fit the scores better and forget the labels.

    Returns
    -------
    Smoother
        Each transition counts once more than it was seen, so that none is impossible. The width is that whose moving
        average tells the classes apart best (AUROC).

    Raises
    ------
    InputError
        A class has fewer than two windows.
    """
    n = np.bincount(labels, minlength=2)
    if n.min() < 2:
        raise InputError(f"found {n[1]:,} introgressed and {n[0]:,} depleted windows with a score, "
                         "expected two or more of each")  # fmt: skip
    means = np.array([scores[labels == state].mean() for state in (0, 1)])
    variance = max(float(np.mean((scores - means[labels]) ** 2)), _MIN_VARIANCE)
    follows = sequences[1:] == sequences[:-1]
    seen = np.ones((2, 2))
    np.add.at(seen, (labels[:-1][follows], labels[1:][follows]), 1)
    width = max(WIDTHS, key=lambda width: roc_auc_score(labels, moving_average(scores, sequences, width)))
    fitted = Smoother(means, variance**0.5, n / n.sum(), seen / seen.sum(axis=1, keepdims=True), width)
    return _baum_welch(fitted, scores, sequences, n_iter) if n_iter else fitted


def _baum_welch(smoother: Smoother, scores: np.ndarray, sequences: np.ndarray, n_iter: int) -> Smoother:
    model = _model(smoother, n_iter).fit(scores[:, None], _lengths(sequences))
    sd = model.covars_[0].item() ** 0.5
    return Smoother(model.means_[:, 0], sd, model.startprob_, model.transmat_, smoother.width)


def _model(smoother: Smoother, n_iter: int = 0) -> GaussianHMM:
    model = GaussianHMM(2, covariance_type="tied", init_params="", n_iter=n_iter)
    model.startprob_, model.transmat_ = smoother.start, smoother.transitions
    model.means_, model.covars_ = smoother.means[:, None], np.array([[smoother.sd**2]])
    return model


def _lengths(sequences: np.ndarray) -> np.ndarray:
    return np.unique(sequences, return_counts=True)[1]


def decode(smoother: Smoother, scores: np.ndarray, sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior probability of the introgressed state, and the most probable path.

    Parameters
    ----------
    smoother : Smoother
    scores : ndarray of float, shape (n,)
    sequences : ndarray of int, shape (n,)
        Sequence of each window, rising; see `number_sequences`.

    Returns
    -------
    posterior : ndarray of float64, shape (n,)
        By the forward-backward algorithm, given all scores of the sequence.
    path : ndarray of int, shape (n,)
        State of each window on the path of Viterbi.
    """
    model, lengths = _model(smoother), _lengths(sequences)
    posterior = model.predict_proba(scores[:, None], lengths)[:, 1]
    return np.clip(posterior, 0, 1), model.predict(scores[:, None], lengths)


def decode_alone(smoother: Smoother, scores: np.ndarray) -> np.ndarray:
    """Posterior of the introgressed state of each window as if it had no neighbours, float64 (n,): the control."""
    low, high = smoother.means
    return expit(logit(smoother.start[1]) + (high - low) / smoother.sd**2 * (scores - (low + high) / 2))


def moving_average(scores: np.ndarray, sequences: np.ndarray, width: int) -> np.ndarray:
    """Mean score of the `width` (odd) windows around each, of those that there are at the ends of a rising sequence."""
    groups = pd.Series(scores).groupby(sequences)
    return groups.rolling(width, center=True, min_periods=1).mean().to_numpy()


def smooth(
    windows: pd.DataFrame, introgressed: pd.DataFrame, held_out: Sequence[str], *, n_iter: int = 0
) -> tuple[pd.DataFrame, dict[str, Smoother]]:
    """Smooth the scores of windows along chromosomes.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end` (0-based half-open), `score`; in order and without overlaps, see `thin`.
    introgressed : DataFrame
        `chrom, start, end`. A window half of which they cover is introgressed.
    held_out : sequence of str
        Chromosomes that the classifier has not seen, two or more. Parameters for one of them come from the others, for
        all other chromosomes from all of them.
    n_iter : int
        See `fit_smoother`.

    Returns
    -------
    table : DataFrame
        The windows with `covered` (introgressed nt), `moving_average`, `alone` (see `decode_alone`), `posterior` (all
        NaN without a score) and `viterbi` ("introgressed", "depleted", "" without a score).
    smoothers : dict of str to Smoother
        By held-out chromosome; under "" that for all other chromosomes.

    Raises
    ------
    InputError
        Fewer than two held-out chromosomes have windows with a score, or they lack a class.
    """
    chroms, scores, sequences = windows["chrom"], windows["score"].to_numpy(), number_sequences(windows)
    scored = sequences >= 0
    there = [chrom for chrom in held_out if (scored & (chroms == chrom)).any()]
    if len(there) < 2:
        raise InputError(f"found {len(there)} held-out chromosomes with scores, expected two or more: what is needed "
                         "to smooth one is learnt from the others")  # fmt: skip
    covered = cover(windows, introgressed)
    labels = (covered >= THRESHOLD * (windows["end"] - windows["start"]).to_numpy()).astype(np.int64)
    average, alone, posterior = np.full((3, len(windows)), np.nan)
    path = np.full(len(windows), -1)
    smoothers = {}
    for target in (*there, ""):
        teachers = [chrom for chrom in there if chrom != target]
        known = scored & chroms.isin(teachers).to_numpy()
        asked = scored & (chroms == target if target else ~chroms.isin(there)).to_numpy()
        try:
            smoothers[target] = fit_smoother(scores[known], labels[known], sequences[known], n_iter=n_iter)
        except InputError as error:
            raise InputError(f"{', '.join(teachers)}: {error}") from None
        if asked.any():
            average[asked] = moving_average(scores[asked], sequences[asked], smoothers[target].width)
            alone[asked] = decode_alone(smoothers[target], scores[asked])
            posterior[asked], path[asked] = decode(smoothers[target], scores[asked], sequences[asked])
    names = np.array([DEPLETED, INTROGRESSED, ""])[path]
    table = windows.assign(covered=covered, moving_average=average, alone=alone, posterior=posterior, viterbi=names)
    return table, smoothers


def find_segments(table: pd.DataFrame, *, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Merge windows that touch and whose posterior is above a threshold.

    Parameters
    ----------
    table : DataFrame
        Of `smooth`.
    threshold : float

    Returns
    -------
    DataFrame
        `chrom, start, end` (0-based half-open), `posterior` (mean of the windows), in order.
    """
    above = table[table["posterior"] > threshold]
    touches = (above["chrom"] == above["chrom"].shift()) & (above["start"] == above["end"].shift())
    merged = above.groupby((~touches).cumsum().to_numpy()).agg(
        chrom=("chrom", "first"), start=("start", "first"), end=("end", "last"), posterior=("posterior", "mean")
    )
    return merged.reset_index(drop=True)


def evaluate_smoothing(
    table: pd.DataFrame, held_out: Sequence[str], *, block: int = BLOCK, n_bootstrap: int = 1000, rng: int
) -> pd.DataFrame:
    """Compare what smoothing gives with the plain scores, on chromosomes that the classifier has not seen.

    Parameters
    ----------
    table : DataFrame
        Of `smooth`, with `call` as `predict.predict` gives it.
    held_out : sequence of str
        Chromosomes to take.
    block : int
        Windows of one block of so many nt are drawn together for the intervals.
    n_bootstrap : int
        Resamples.
    rng : int
        Seed.

    Returns
    -------
    DataFrame
        `method, metric, value, low, high`. Areas (`auroc`, `auprc`) by `score`, `moving_average` and `posterior`;
        the Brier score of `alone` and `posterior` (`brier`); precision and recall in nt (`precision_nt`, `recall_nt`)
        of windows whose `call` is introgressed, of those `alone` or with their neighbours (`posterior`) above one half,
        and of the path (`viterbi`). Recall is of what lies in windows with a score.
    """
    here = table[table["chrom"].isin(held_out) & table["score"].notna()]
    sizes, covered = (here["end"] - here["start"]).to_numpy(), here["covered"].to_numpy()
    blocks = pd.factorize(here["chrom"] + ":" + (here["start"] // block).astype(str))[0]
    labels = (covered >= THRESHOLD * sizes).astype(np.int64)
    rows: list[tuple[str, str, float, float, float]] = []
    for method, metrics in _METRICS.items():
        found = evaluate(labels, here[method].to_numpy(), groups=blocks, n_bootstrap=n_bootstrap, rng=rng)
        rows += [(method, metric, *getattr(found, metric)) for metric in metrics]
    called = {
        "call": here["call"] == INTROGRESSED,
        "alone": here["alone"] > THRESHOLD,
        "posterior": here["posterior"] > THRESHOLD,
        "viterbi": here["viterbi"] == INTROGRESSED,
    }
    draw = _draw_blocks(blocks, n_bootstrap, rng)
    for method, chosen in called.items():
        hit = covered * chosen.to_numpy()
        rows.append((method, "precision_nt", *_ratio(hit, sizes * chosen.to_numpy(), draw)))
        rows.append((method, "recall_nt", *_ratio(hit, covered, draw)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _draw_blocks(blocks: np.ndarray, n_bootstrap: int, rng: int) -> Callable[[np.ndarray], np.ndarray]:
    """Give a function that sums values of windows over all blocks, then over each resample of them."""
    n = blocks.max() + 1
    drawn = np.random.default_rng(rng).multinomial(n, np.full(n, 1 / n), size=n_bootstrap if n > 1 else 0)
    weights = np.vstack([np.ones((1, n), dtype=np.int64), drawn])
    return lambda values: weights @ np.bincount(blocks, weights=values, minlength=n)


def _ratio(part: np.ndarray, whole: np.ndarray, draw: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """Ratio of two sums and its interval; NaN where the whole is nothing."""
    sums = draw(whole)
    ratios = np.divide(draw(part), sums, out=np.full(len(sums), np.nan), where=sums > 0)
    resampled = ratios[1:][~np.isnan(ratios[1:])]
    if not len(resampled):
        return float(ratios[0]), np.nan, np.nan
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(ratios[0]), float(low), float(high)
