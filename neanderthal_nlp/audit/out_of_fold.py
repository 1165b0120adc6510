"""Genes scored by forests that saw nothing of their chromosome.

What is left of the gene table (article, section 3) without memory: the protocol that Whalen et al. (Nature Reviews
Genetics 23, 2022) ask for where samples share letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import home_chromosome
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.parameters import GENE_LENGTH, N_ESTIMATORS, K
from neanderthal_nlp.sequences import fetch_windows
from neanderthal_nlp.splits import Split, check_classes

SEVERAL = -1
"""`fold` of a gene that several folds scored."""
UNTESTED = -1
"""`fold` of a window that no fold tests."""
_CLIP = 1e-3  # keeps the logit of 0 and 1 finite: half the step between scores of 500 trees


class Platt(NamedTuple):
    """Logistic curve that turns a score into a probability: expit(slope * logit(score) + intercept)."""

    slope: float
    intercept: float

    def calibrate(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of scores from 0 to 1, of any shape; NaN stays NaN."""
        return expit(self.slope * _logit(scores) + self.intercept)


def fit_platt(scores: np.ndarray, labels: np.ndarray) -> Platt:
    """Fit a calibration curve on scores that were made out of fold.

    Logistic regression on the logit of the score, so that slope 1 and intercept 0 leave a score as it is. Platt
    pulls the labels a little towards the middle, the ridge penalty used here (scikit-learn's default) the slope
    towards 0; either keeps separable scores finite, and neither matters for thousands of windows.

    Parameters
    ----------
    scores : ndarray of float in [0, 1], shape (n,)
    labels : ndarray of int, shape (n,)
        1 introgressed, 0 depleted; both must occur.

    Returns
    -------
    Platt

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers (1999).
    """
    model = LogisticRegression().fit(_logit(scores)[:, None], labels)
    return Platt(float(model.coef_[0, 0]), float(model.intercept_[0]))


def _logit(scores: np.ndarray) -> np.ndarray:
    return logit(np.clip(scores, _CLIP, 1 - _CLIP))


class OutOfFold(NamedTuple):
    """Scores by forests that saw nothing of the chromosome.

    Attributes
    ----------
    genes : DataFrame
        With the index of the genes: `prob_oof` (score of the forest), `prob_calibrated`, `predict_oof` (int64, 1
        where the calibrated one is above 0.5), `fold` (int64, the number of the fold; -1 where several scored the
        gene).
    windows : DataFrame
        With the index of the windows: `prob_oof` and `prob_calibrated` (NaN where no fold tests the window),
        `fold` (int64, -1 there).
    calibrators : list of Platt
        One a fold.
    """

    genes: pd.DataFrame
    windows: pd.DataFrame
    calibrators: list[Platt]


def score_out_of_fold(
    genes: pd.DataFrame,
    windows: pd.DataFrame,
    genome: Genome,
    *,
    folds: Sequence[Split],
    n_estimators: int = N_ESTIMATORS,
    seed: int,
    length: int = GENE_LENGTH,
    k: int = K,
    n_jobs: int = -1,
    report: Callable[[str], object] | None = None,
) -> OutOfFold:
    """Score each gene by forests that saw no window of its chromosome, and calibrate the scores.

    One forest is fitted on the training windows of each fold. A gene is scored by every forest that was trained on
    no window of its home chromosome (`chr6` for `chr6_cox_hap2`): by one where the chromosome has windows, by the
    mean of all where it has none, such as chrX. Windows are cut to the length of the genes' texts, so that counts
    are of one size; the published forest learned from 10,000 nt and scored 8,800.

    The calibrator of a fold is fitted on the out-of-fold scores of all windows outside the fold: no score and no
    label of the gene's chromosome enters it. The forests behind those scores saw that chromosome, but nothing
    passes from it except through two numbers. Half of the windows are introgressed: a probability above 0.5 says
    that a text is more like introgressed windows than like depleted ones, not that most such genes are introgressed.

    Parameters
    ----------
    genes : DataFrame
        `Gene`, `chrom`, `start`, `end`, 0-based half-open.
    windows : DataFrame
        As `sequences.make_windows` gives them.
    genome : Genome
    folds : sequence of Split
        Rows of `windows`: what `evaluation.folds` gives for the protocol `chromosome` with no chromosome spared.
    n_estimators : int
        Trees of a forest.
    seed : int
        Of the forests.
    length : int
        First nucleotides of a gene and of a window that are read.
    k : int
        Length of a word.
    n_jobs : int
        Cores; -1 takes all.
    report : callable, optional
        Called with a line of text after each fold.

    Returns
    -------
    OutOfFold

    Raises
    ------
    InputError
        A gene is shorter than `length`, every fold trains on its chromosome, or a side of a fold lacks a class.
    """
    labels = windows["label"].to_numpy()
    check_classes(labels, folds, source="folds")
    blind = _blind_folds(genes, windows, folds)
    _check_lengths(genes, length)
    X, texts = (_count_starts(frame, genome, length, k) for frame in (windows, genes))
    fold_of, scores = np.full(len(windows), UNTESTED), np.full(len(windows), np.nan)
    gene_scores = np.full(blind.shape, np.nan)
    for number, (fold, rows) in enumerate(zip(folds, blind.T, strict=True)):
        forest = fit_forest(X, labels, rows=fold.train, n_estimators=n_estimators, seed=seed, n_jobs=n_jobs)
        fold_of[fold.test], scores[fold.test] = number, forest.predict_proba(X[fold.test])[:, 1]
        if rows.any():
            gene_scores[rows, number] = forest.predict_proba(texts[rows])[:, 1]
        del forest  # a gigabyte at the article's size, which the next one would grow beside
        if report is not None:
            report(
                f"fold {number + 1} of {len(folds)}: {len(fold.train):,} windows learned, {rows.sum():,} genes scored"
            )

    outside = [(fold_of != number) & (fold_of != UNTESTED) for number in range(len(folds))]
    calibrators = [fit_platt(scores[rows], labels[rows]) for rows in outside]
    calibrated = np.column_stack([curve.calibrate(gene_scores[:, i]) for i, curve in enumerate(calibrators)])
    table = pd.DataFrame(
        {"prob_oof": np.nanmean(gene_scores, axis=1), "prob_calibrated": np.nanmean(calibrated, axis=1)}
    )
    fold_of_gene = np.where(blind.sum(axis=1) == 1, blind.argmax(axis=1), SEVERAL)
    table = table.assign(predict_oof=(table["prob_calibrated"] > 0.5).astype(np.int64), fold=fold_of_gene)
    curves = np.array([(np.nan, np.nan), *calibrators])[fold_of + 1].T  # the first row serves untested windows
    tested = {"prob_oof": scores, "prob_calibrated": Platt(*curves).calibrate(scores), "fold": fold_of}
    return OutOfFold(table.set_index(genes.index), pd.DataFrame(tested, index=windows.index), calibrators)


def _blind_folds(genes: pd.DataFrame, windows: pd.DataFrame, folds: Sequence[Split]) -> np.ndarray:
    """Whether each fold (column) trains on no window of each gene's (row's) home chromosome."""
    home, trained = home_chromosome(genes["chrom"]), home_chromosome(windows["chrom"])
    blind = np.column_stack([~home.isin(trained.iloc[fold.train].unique()) for fold in folds])
    seen = np.flatnonzero(~blind.any(axis=1))
    if len(seen):
        raise InputError(f"folds: all {len(folds)} train on {home.iloc[seen[0]]}, the chromosome of gene "
                         f"{genes['Gene'].iloc[seen[0]]}, expected folds of whole chromosomes")  # fmt: skip
    return blind


def _check_lengths(genes: pd.DataFrame, length: int) -> None:
    lengths = (genes["end"] - genes["start"]).to_numpy()
    short = np.flatnonzero(lengths < length)
    if len(short):
        raise InputError(f"genes: record {short[0] + 1} ({genes['Gene'].iloc[short[0]]}) has {lengths[short[0]]} nt, "
                         f"expected at least {length}")  # fmt: skip


def _count_starts(regions: pd.DataFrame, genome: Genome, length: int, k: int) -> np.ndarray:
    """Count the k-mers of the first `length` nt of each region."""
    texts = regions.assign(end=np.minimum(regions["end"], regions["start"] + length))
    return count_kmers(fetch_windows(texts, genome), k, out=np.empty((len(regions), 4**k), dtype=np.int32))
