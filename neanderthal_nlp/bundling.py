"""Model bundles from a run: an audited model, whose probabilities are measured, and the article's as published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from neanderthal_nlp.boosting import fit_boosted_trees
from neanderthal_nlp.bundle import MIN_LENGTH, WHOLE, Bundle, score_counts
from neanderthal_nlp.calibration import calibrate, fit_calibration
from neanderthal_nlp.embeddings import gc_of_kmers
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import Evaluation, evaluate
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import home_chromosome
from neanderthal_nlp.kmers import canonical_vocabulary, count_kmers, merge_strands, vocabulary
from neanderthal_nlp.linear import fit_linear, prior_strength
from neanderthal_nlp.sequences import fetch_batches
from neanderthal_nlp.splits import MANIFEST_COLUMNS, Split, check_classes, split_table

LENGTHS = (1_000, 2_000, 5_000, 10_000)
"""Lengths at which probabilities are calibrated and measured, nt."""
METRICS = ("accuracy", "auroc", "brier")
_N_FOLDS = 5
_BATCH = 1024


def fit_audited(
    windows: pd.DataFrame,
    genome: Genome,
    parts: Split,
    *,
    model: str = "logistic_regression",
    k: int,
    canonical: bool = True,
    protocol: str,
    lengths: Sequence[int] = LENGTHS,
    synthetic: bool,
    provenance: Mapping[str, Any],
    seed: int,
) -> Bundle:
    """Fit a model whose probabilities are calibrated on chromosomes that it has not seen.

    The training chromosomes (clusters, where there is but one) are dealt into five folds. Each fold's windows, cut to
    some lengths, are scored by a model of the other folds, and these scores are calibrated. The folds' models go into
    the bundle, too: how they differ says how far the word of a model goes (`bundle.score_margins`). The windows that
    the split holds out serve for the measures alone.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end, label, pair, cluster`.
    genome : Genome
        Their letters.
    parts : Split
        By whole chromosomes.
    model : {"logistic_regression", "boosted_trees"}
        The former with the penalty of `linear.prior_strength`.
    k : int
        Word length; see `audit.sweep` for how to choose model, `k` and `canonical`.
    canonical : bool
        Count a word and its reverse complement together: which strand is asked about makes no difference then.
    protocol : str
        Name of the split.
    lengths : sequence of int
        Those of the longest window and below are taken.
    synthetic : bool
        Whether the genome is made up.
    provenance : mapping
        Where the windows come from.
    seed : int

    Returns
    -------
    Bundle

    Raises
    ------
    InputError
        The model is another, a side has one class only, or all training windows are one cluster.
    """
    if model not in ("logistic_regression", "boosted_trees"):
        raise InputError(f"model: found {model}, expected logistic_regression or boosted_trees")
    window_length = int((windows["end"] - windows["start"]).max())
    lengths = sorted({length for length in lengths if MIN_LENGTH <= length < window_length} | {window_length})
    labels, clusters = windows["label"].to_numpy(), windows["cluster"].to_numpy()
    check_classes(labels, [parts], source="split")
    folds = _deal(windows, parts)
    X = _count(windows, genome, k, canonical)
    words = canonical_vocabulary(k) if canonical else vocabulary(k)
    final_model, fold_models = _fit(model, X, labels, parts, folds, seed)
    final = Bundle("audited", model, final_model, tuple(fold_models), k, window_length, min(MIN_LENGTH, window_length),
                   True, canonical, 0.5, None, protocol, split_table(windows, parts)[list(MANIFEST_COLUMNS)], synthetic,
                   mean_gc(X, labels, parts.train, words), [], [], dict(provenance))  # fmt: skip
    judges = np.full(len(windows), -1)
    judges[parts.test] = 0
    for number, fold in enumerate(folds, start=1):
        judges[fold.test] = number
    judging = [final, *(final._replace(model=fold_model) for fold_model in fold_models)]
    cut = _score_cut(windows, genome, judging, judges, lengths, k)
    fitted = fit_calibration(
        {length: values[parts.train] for length, values in cut.items()}, labels[parts.train],
        groups=clusters[parts.train], rng=seed,
    )  # fmt: skip
    metrics = []
    for (length, values), lowest, highest in zip(cut.items(), fitted.lowest, fitted.highest, strict=True):
        # Beyond the range there is no probability: the nearest one that there is stands in for the measures.
        within = np.clip(values[parts.test], lowest, highest)
        probability = calibrate(fitted, within, np.full(len(within), length)).probability
        found = evaluate(labels[parts.test], probability, groups=clusters[parts.test], rng=seed)
        metrics += _metrics(f"held-out chromosomes, first {length:,} nt", found)
    return final._replace(calibration=fitted, metrics=metrics)


def _deal(windows: pd.DataFrame, parts: Split) -> list[Split]:
    """Deal the training rows into folds by chromosome, or by cluster where there is but one chromosome."""
    groups = home_chromosome(windows["chrom"]).to_numpy()[parts.train]
    if len(np.unique(groups)) < 2:  # too small a genome to keep chromosomes apart
        groups = windows["cluster"].to_numpy()[parts.train]
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise InputError("split: found all training windows in one cluster, expected two or more to calibrate on")
    folds = [Split(parts.train[kept], parts.train[left_out])
             for kept, left_out in GroupKFold(min(_N_FOLDS, n_groups)).split(parts.train, groups=groups)]  # fmt: skip
    labels = windows["label"].to_numpy()
    check_classes(labels, [Split(fold.train, parts.test) for fold in folds], source="calibration")
    return folds


def _count(windows: pd.DataFrame, genome: Genome, k: int, canonical: bool) -> np.ndarray:
    """Words of windows, in the smallest type that holds their numbers."""
    longest = int((windows["end"] - windows["start"]).max())
    n_words = len(canonical_vocabulary(k)) if canonical else 4**k
    X = np.empty((len(windows), n_words), dtype=np.min_scalar_type(longest))
    for rows, texts in fetch_batches(windows, genome, size=_BATCH):
        counts = count_kmers(texts, k)
        X[rows] = merge_strands(counts, k) if canonical else counts
    return X


def _fit(
    name: str, X: np.ndarray, y: np.ndarray, parts: Split, folds: Sequence[Split], seed: int
) -> tuple[Any, list[Any]]:
    """A model of all training rows, and one a fold, of the other folds."""

    def fit(rows: np.ndarray) -> Any:
        if name == "boosted_trees":
            return fit_boosted_trees(X, y, rows=rows, seed=seed)
        # The penalty weighs against a sum over windows: with fewer of them it is less, or scores would be smaller.
        C = prior_strength(X.shape[1]) * len(parts.train) / len(rows)
        return fit_linear(name, X, y, rows=rows, C=C, seed=seed)

    return fit(parts.train), [fit(fold.train) for fold in folds]


def wrap_published(
    windows: pd.DataFrame,
    counts: np.ndarray,
    forest: Any,
    evaluation: Evaluation,
    parts: Split,
    *,
    k: int,
    protocol: str,
    synthetic: bool,
    provenance: Mapping[str, Any],
) -> Bundle:
    """Put the article's forest into a bundle as it was published: the share of votes is taken for the probability.

    Parameters
    ----------
    windows : DataFrame
    counts : ndarray of int32, shape (n, 4**k)
        Of these windows; may be a memory map.
    forest : RandomForestClassifier
        Of the run.
    evaluation : Evaluation
        Of the forest on the windows that its split holds out, overlapping ones among them.
    parts : Split
        That the forest was trained under.
    k, protocol, synthetic, provenance
        As for `fit_audited`.
    """
    window_length = int((windows["end"] - windows["start"]).max())
    manifest = split_table(windows, parts)[list(MANIFEST_COLUMNS)]
    metrics = _metrics(f"windows held out by the split {protocol!r}", evaluation)
    gc = mean_gc(counts, windows["label"].to_numpy(), parts.train, vocabulary(k))
    return Bundle("as_published", "forest", forest, (), k, window_length, int(WHOLE * window_length), False, False, 0.5,
                  None, protocol, manifest, synthetic, gc, metrics, [], dict(provenance))  # fmt: skip


def mean_gc(counts: np.ndarray, labels: np.ndarray, rows: np.ndarray, words: Sequence[str]) -> tuple[float, float]:
    """Mean share of G and C in introgressed and in depleted windows, by their words; NaN of a class without windows.

    Parameters
    ----------
    counts : ndarray of int, shape (n, n_words)
        May be a memory map.
    labels : ndarray, shape (n,)
        1 introgressed, 0 depleted.
    rows : ndarray of int
        Windows to take.
    words : sequence of str
        What the columns count.
    """
    share = gc_of_kmers(words)
    means = []
    for label in (1, 0):
        chosen = np.sort(rows[labels[rows] == label])
        blocks = (counts[chosen[i : i + _BATCH]] for i in range(0, len(chosen), _BATCH))
        total = sum(float((block @ share / np.maximum(block.sum(axis=1), 1)).sum()) for block in blocks)
        means.append(total / len(chosen) if len(chosen) else np.nan)
    return means[0], means[1]


def _metrics(name: str, found: Evaluation) -> list[dict[str, Any]]:
    return [{"windows": name, "metric": metric, **getattr(found, metric)._asdict()} for metric in METRICS]


def _score_cut(
    windows: pd.DataFrame, genome: Genome, models: Sequence[Bundle], judges: np.ndarray, lengths: Sequence[int], k: int
) -> dict[int, np.ndarray]:
    """Score the first nucleotides of each window, by length, each with the model that `judges` names; else NaN."""
    scores = {length: np.full(len(windows), np.nan) for length in lengths}
    for rows, texts in fetch_batches(windows, genome, size=_BATCH):
        for length, values in scores.items():
            counts = count_kmers((text[:length] for text in texts), k)
            for number in np.unique(judges[rows]):
                if number >= 0:
                    chosen = judges[rows] == number
                    values[rows[chosen]] = score_counts(models[number], counts[chosen])
    return scores
