"""How much is learnable from composition when nothing leaks: the area under the ROC curve by model and word length.

Boosted trees and logistic regression learn from frequencies of words of one length, of one strand or of both together
(canonical words), and are tested on chromosomes that none of them has seen. Which of them is the best is decided
without these chromosomes: by folds of the training chromosomes, each scored by a model of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from neanderthal_nlp.audit.out_of_fold import fit_platt
from neanderthal_nlp.boosting import N_ITERATIONS, fit_boosted_trees
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import evaluate
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.kmers import canonical_vocabulary, count_kmers, merge_strands
from neanderthal_nlp.linear import fit_linear, prior_strength, scores
from neanderthal_nlp.sequences import fetch_batches
from neanderthal_nlp.splits import Split, check_classes, folds, groups

MODELS = ("logistic_regression", "boosted_trees")
"""The simpler one first."""
KS = tuple(range(1, 9))
"""Word lengths."""
MAX_FEATURES = 2048
"""Words that a model learns from at most."""
N_FOLDS = 5
MAX_K = 10
COLUMNS = ("model", "canonical", "k", "n_features", "n_train", "cv_auroc", "cv_se", "auroc", "low", "high", "brier",
           "chosen")  # fmt: skip
_UNUSED = -1
_BATCH = 64


class Choice(NamedTuple):
    """Which of the models was chosen."""

    model: str
    canonical: bool
    k: int


class Sweep(NamedTuple):
    """What the models of a sweep are worth.

    Attributes
    ----------
    table : DataFrame
        One row a model, from simple to complex: `model`; `canonical` (bool, a word and its reverse complement
        counted together); `k`; `n_features` (words it learns from); `n_train` (windows); `cv_auroc` and `cv_se` (mean
        over the folds of the training windows, and its standard error); `auroc, low, high` (on the test windows, with
        its 95 % interval); `brier` (of the calibrated probabilities, on the test windows); `chosen` (bool, one row).
    chosen : Choice
    """

    table: pd.DataFrame
    chosen: Choice


def thin_pairs(windows: pd.DataFrame, parts: Split, max_windows: int) -> tuple[pd.DataFrame, Split]:
    """Keep evenly spaced pairs of an introgressed and a depleted window, in their order, and the split of these.

    Parameters
    ----------
    windows : DataFrame
        `pair` and more.
    parts : Split
        Rows of `windows`.
    max_windows : int
        Windows to keep at most, at least 2: memory and time have a bound then.

    Returns
    -------
    tuple of DataFrame and Split
        Whole pairs, numbered anew; the sides of the split keep their order.
    """
    pairs = np.unique(windows["pair"])
    n = min(len(pairs), max_windows // 2)
    rows = np.flatnonzero(windows["pair"].isin(pairs[np.arange(n) * len(pairs) // n]))
    number = np.full(len(windows), _UNUSED)
    number[rows] = np.arange(len(rows))
    train, test = (number[side] for side in parts)
    return windows.iloc[rows].reset_index(drop=True), Split(train[train >= 0], test[test >= 0])


def sweep(
    windows: pd.DataFrame,
    genome: Genome,
    parts: Split,
    *,
    ks: Sequence[int] = KS,
    max_features: int = MAX_FEATURES,
    n_folds: int = N_FOLDS,
    n_iterations: int = N_ITERATIONS,
    n_bootstrap: int = 1000,
    seed: int,
    report: Callable[[str], object] | None = None,
) -> Sweep:
    """Train both models on words of each length, plain and canonical, and choose one without the test windows.

    Where there are more than `max_features` words, those are kept whose frequencies differ most between the classes
    (analysis of variance, F), by the windows that the model at hand is trained on: anew for each fold. Words are
    counted while the genome is read, and only those that are kept are stored: 20,000 windows take less than 4 GiB.
    All is computed by one thread, since sums in another order would change the last digits.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end, label, pair, cluster`.
    genome : Genome
        Their letters.
    parts : Split
        Rows of `windows`, by whole chromosomes or clusters. The training rows are dealt into folds by chromosome, or
        by cluster where they lie on one chromosome.
    ks : sequence of int
        Word lengths, from 1 to `MAX_K`.
    max_features : int
        Words that a model learns from at most.
    n_folds : int
        At least 2; fewer are made where there are fewer groups.
    n_iterations : int
        Boosted trees.
    n_bootstrap : int
        Resamples of clusters for the intervals.
    seed : int
        Of folds, models and resamples.
    report : callable, optional
        Called with a line of text after each word length.

    Returns
    -------
    Sweep

    Raises
    ------
    InputError
        A word length is out of range, a side of the split or of a fold lacks a class, regions overlap across the
        split, or all training windows are one cluster.
    """
    if not ks or not all(1 <= k <= MAX_K for k in ks):
        raise InputError(f"k: found {', '.join(map(str, ks)) or 'none'}, expected word lengths from 1 to {MAX_K}")
    labels, clusters = windows["label"].to_numpy(), windows["cluster"].to_numpy()
    check_classes(labels, [parts], source="split")
    if shared := len(np.intersect1d(*(clusters[side] for side in parts))):
        raise InputError(f"split: found {shared} clusters of overlapping regions on both sides, expected none")
    model_of = _deal(windows, parts, n_folds, seed)
    rows = []
    with threadpool_limits(1):
        for k in sorted(set(ks)):
            for canonical in (True, False):
                design = _read_design(windows, genome, model_of, k, canonical, max_features)
                for model, values in _score(design, labels, model_of, n_iterations, seed).items():
                    worth = _measure(values, windows, model_of, n_bootstrap, seed)
                    rows.append({"model": model, "canonical": canonical, "k": k, "n_features": design.n_features,
                                 "n_train": len(parts.train), **worth})  # fmt: skip
            if report is not None:
                best = max(row["cv_auroc"] for row in rows if row["k"] == k)
                report(f"words of {k}: AUROC out of fold up to {best:.3f}")
    table, choice = choose_model(pd.DataFrame(rows))
    return Sweep(table[list(COLUMNS)], choice)


def choose_model(table: pd.DataFrame) -> tuple[pd.DataFrame, Choice]:
    """Choose the simplest model within one standard error of the best, by scores out of fold (the rule of CART).

    Linear is simpler than trees, then short words than long ones, then canonical words than plain ones.

    Parameters
    ----------
    table : DataFrame
        `model, canonical, k, cv_auroc, cv_se`, one row a model; what was measured on test windows is not looked at.

    Returns
    -------
    tuple of DataFrame and Choice
        The rows from simple to complex, with the column `chosen`.

    References
    ----------
    Breiman et al., Classification and Regression Trees (1984), section 3.4.3.
    """
    order = np.lexsort((~table["canonical"].astype(bool), table["k"], table["model"].map(MODELS.index)))
    table = table.iloc[order].reset_index(drop=True)
    area = table["cv_auroc"].to_numpy()
    best = int(area.argmax())
    number = int(np.argmax(area >= area[best] - table["cv_se"].to_numpy()[best]))  # the first that is
    model, canonical, k = (table[name].iloc[number] for name in Choice._fields)
    return table.assign(chosen=table.index == number), Choice(str(model), bool(canonical), int(k))


def choose_whole(table: pd.DataFrame) -> Choice:
    """Choose as `choose_model` does, among the models that learn from all words of their length.

    They need no list of words, which makes them simple to take along; see `bundling.fit_audited`.

    Raises
    ------
    InputError
        There is none; or a row has an unknown model, or a number that no sweep gives.
    """
    _check_table(table)
    n_words = [
        len(canonical_vocabulary(k)) if canonical else 4**k
        for k, canonical in zip(table["k"], table["canonical"], strict=True)
    ]
    whole = table[table["n_features"].to_numpy() == n_words]
    if whole.empty:
        raise InputError("sweep: found no model that learns from all words of its length, expected at least one")
    return choose_model(whole)[1]


def _check_table(table: pd.DataFrame) -> None:
    """Refuse a table that no sweep made, as far as the choice rests on it."""
    for name, least, most in (("k", 1, MAX_K), ("cv_auroc", 0, 1), ("cv_se", 0, 1)):
        wrong = np.flatnonzero(~table[name].between(least, most))
        if len(wrong):
            raise InputError(f"sweep: row {wrong[0] + 1}: found {name} {table[name].iloc[wrong[0]]}, "
                             f"expected {least} to {most}")  # fmt: skip
    if unknown := sorted(set(table["model"]) - set(MODELS)):
        raise InputError(f"sweep: found the model {unknown[0]!r:.40}, expected {' or '.join(MODELS)}")


def _deal(windows: pd.DataFrame, parts: Split, n_folds: int, seed: int) -> np.ndarray:
    """Number of the model that scores each window without having seen it: its fold, or the last; -1 for none."""
    train = windows.iloc[parts.train].reset_index(drop=True)
    by = "chromosome" if groups(train, protocol="chromosome").any() else "cluster"
    n_groups = groups(train, protocol=by).max() + 1
    if n_groups < 2:
        raise InputError("split: found all training windows in one cluster, expected two or more to make folds of")
    dealt = folds(train, protocol=by, n_folds=min(n_folds, n_groups), seed=seed, never_test=())
    check_classes(train["label"].to_numpy(), dealt, source="folds")
    model_of = np.full(len(windows), _UNUSED)
    for number, fold in enumerate(dealt):
        model_of[parts.train[fold.test]] = number
    model_of[parts.test] = len(dealt)
    return model_of


class _Design(NamedTuple):
    """Counts of the words that any of the models learns from, and where each finds its own."""

    counts: np.ndarray  # (n, n_kept), of the smallest type that holds them
    n_words: np.ndarray  # (n,), all words of each window
    columns: list[np.ndarray]  # a model

    @property
    def n_features(self) -> int:
        return len(self.columns[-1])

    def frequencies(self, model: int) -> np.ndarray:
        """Shares of a model's words among all words of each window; float64 (n, n_features)."""
        found = self.counts[:, self.columns[model]].astype(np.float64)
        found /= self.n_words[:, None]
        return found


def _read_design(
    windows: pd.DataFrame, genome: Genome, model_of: np.ndarray, k: int, canonical: bool, max_features: int
) -> _Design:
    """Count the words that the models learn from."""
    chosen = _select(windows, genome, model_of, k, canonical, max_features)
    kept = np.unique(np.concatenate(chosen))
    longest = int((windows["end"] - windows["start"]).max())
    counts = np.empty((len(windows), len(kept)), dtype=np.min_scalar_type(longest))
    n_words = np.empty(len(windows))
    for rows, found in _batches(windows, genome, k, canonical):
        counts[rows], n_words[rows] = found[:, kept], found.sum(axis=1)
    return _Design(counts, np.maximum(n_words, 1), [np.searchsorted(kept, columns) for columns in chosen])


def _select(
    windows: pd.DataFrame, genome: Genome, model_of: np.ndarray, k: int, canonical: bool, max_features: int
) -> list[np.ndarray]:
    """Words that each model learns from, chosen by the windows that it is trained on; ascending."""
    n_models = model_of.max() + 1
    n_columns = merge_strands(np.zeros(4**k), k).size if canonical else 4**k
    if n_columns <= max_features:
        return [np.arange(n_columns)] * n_models
    labels = windows["label"].to_numpy()
    # Sums by fold: a model's are those of all folds less its own. The last model's own windows, the test set, are
    # never added to any.
    n, sums, squares = np.zeros((n_models, 2)), *np.zeros((2, n_models, 2, n_columns))
    for rows, counts in _batches(windows, genome, k, canonical):
        for row, words in zip(rows, counts, strict=True):
            if 0 <= model_of[row] < n_models - 1:
                share = words / max(words.sum(), 1)
                place = model_of[row], labels[row]
                n[place] += 1
                sums[place] += share
                squares[place] += share * share
    chosen = []
    for own in range(n_models):
        ratio = f_ratio(*(part.sum(axis=0) - part[own] for part in (n, sums, squares)))
        chosen.append(np.sort(np.argsort(-ratio, kind="stable")[:max_features]))
    return chosen


def f_ratio(n: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Analysis of variance of two classes, column by column, from their sums.

    Parameters
    ----------
    n : ndarray, shape (2,)
        Rows of each class.
    sums, squares : ndarray of float64, shape (2, n_features)
        Sums of the values, and of their squares.

    Returns
    -------
    ndarray of float64, shape (n_features,)
        F; 0 where a column is constant.
    """
    by_class = (sums**2 / n[:, None]).sum(axis=0)
    between = by_class - sums.sum(axis=0) ** 2 / n.sum()
    within = (squares.sum(axis=0) - by_class) / (n.sum() - 2)
    return np.divide(between, within, out=np.zeros_like(between), where=within > 0)


def _batches(windows: pd.DataFrame, genome: Genome, k: int, canonical: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows, in the order of the genome, with their counts; the counts are overwritten by the next batch."""
    buffer = np.empty((_BATCH, 4**k), dtype=np.int32)
    for rows, texts in fetch_batches(windows, genome, size=_BATCH):
        counts = count_kmers(texts, k, out=buffer[: len(rows)])
        yield rows, merge_strands(counts, k) if canonical else counts


def _score(
    design: _Design, labels: np.ndarray, model_of: np.ndarray, n_iterations: int, seed: int
) -> dict[str, np.ndarray]:
    """Score each window by the model that did not see it; by name of the model, float64 (n,), NaN where unused."""
    found = {name: np.full(len(labels), np.nan) for name in MODELS}
    last = model_of.max()
    for number in range(last + 1):
        X = design.frequencies(number)
        train = np.flatnonzero((model_of >= 0) & (model_of < last) & (model_of != number))
        own = np.flatnonzero(model_of == number)
        linear = fit_linear("logistic_regression", X, labels, rows=train, C=prior_strength(X.shape[1]), seed=seed)
        found["logistic_regression"][own] = scores(linear, X[own])
        # No early stopping: the windows that it would hold out overlap those that it learns from.
        trees = fit_boosted_trees(X, labels, rows=train, n_iterations=n_iterations, seed=seed)
        found["boosted_trees"][own] = trees.predict_proba(X[own])[:, 1]
    return found


def _measure(
    values: np.ndarray, windows: pd.DataFrame, model_of: np.ndarray, n_bootstrap: int, seed: int
) -> dict[str, float]:
    """Area out of fold, and on the test windows; the probabilities there are calibrated out of fold."""
    labels, last = windows["label"].to_numpy(), model_of.max()
    areas = [roc_auc_score(labels[model_of == fold], values[model_of == fold]) for fold in range(last)]
    train, test = (model_of >= 0) & (model_of < last), model_of == last
    curve = fit_platt(values[train], labels[train])
    found = evaluate(labels[test], values[test], groups=windows["cluster"].to_numpy()[test],
                     y_probability=curve.calibrate(values[test]), n_bootstrap=n_bootstrap, rng=seed)  # fmt: skip
    area = found.auroc
    return {"cv_auroc": float(np.mean(areas)), "cv_se": float(np.std(areas, ddof=1) / np.sqrt(last)),
            "auroc": area.value, "low": area.low, "high": area.high, "brier": found.brier.value}  # fmt: skip
