"""The leak ladder: each model under splits that leak less and less, beside controls that know less and less.

What of an accuracy is left on the next rung was not explained by what that rung takes away: identical windows, windows
that overlap, places that are near one another, composition. A control is a model that cannot know about
ancestry: rules that only remember coordinates, GC content alone, dinucleotides alone, shuffled labels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.audit.leaks import seen_in_training
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import Evaluation
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.kmers import vocabulary
from neanderthal_nlp.linear import THRESHOLDS, fit_linear, scores
from neanderthal_nlp.parameters import CONTROLS, EPOCHS, MODELS, N_ESTIMATORS, RULES
from neanderthal_nlp.splits import Split


class Scores(NamedTuple):
    """Scores of test windows, float64 (n,), and the score above which a window is called introgressed."""

    score: np.ndarray
    threshold: float


def score_group(
    group: str,
    windows: pd.DataFrame,
    counts: np.ndarray,
    parts: Split,
    *,
    directory: str | Path,
    epochs: int = EPOCHS,
    trees: int = N_ESTIMATORS,
    threads: int = -1,
    seed: int,
    report: Callable[[str], object] | None = None,
) -> dict[str, Scores]:
    """Train the models of a group on the training rows and score the test rows.

    Parameters
    ----------
    group : str
        One of `GROUPS`.
    windows : DataFrame
        `chrom, start, end, label, region_start, region_end`.
    counts : ndarray, shape (n, 4**k)
        Row i of `windows`; may be a memory map.
    parts : Split
    directory : path-like
        Where the network keeps its state, so that a killed training goes on.
    epochs, trees, threads, seed : int
        As of the article's stages.
    report : callable, optional
        Called with a line of text after each epoch.

    Returns
    -------
    dict of str to Scores
        By model.
    """
    labels = windows["label"].to_numpy()
    if group == "controls":
        return score_controls(windows, counts, parts, seed=seed)
    if group == "network":
        from neanderthal_nlp import network  # here, since it brings TensorFlow

        network.train_mlp(network.build_mlp(counts.shape[1], seed=seed), counts, labels, rows=parts.train,
                          directory=directory, epochs=epochs, seed=seed, report=report)  # fmt: skip
        best = network.load_mlp(Path(directory) / network.NETWORK_FILE)
        return {"network": Scores(network.predict_mlp(best, counts, rows=parts.test), 0.5)}
    if group == "linear":
        fitted = {name: fit_linear(name, counts, labels, rows=parts.train, seed=seed) for name in THRESHOLDS}
        test = counts[parts.test]
        return {name: Scores(scores(model, test), THRESHOLDS[name]) for name, model in fitted.items()}
    forest = fit_forest(counts, labels, rows=parts.train, n_estimators=trees, seed=seed, n_jobs=threads)
    return {"forest": Scores(forest.predict_proba(counts[parts.test])[:, 1], 0.5)}


def score_controls(windows: pd.DataFrame, counts: np.ndarray, parts: Split, *, seed: int) -> dict[str, Scores]:
    """Score the test rows by what knows nothing of ancestry.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end, label, region_start, region_end`.
    counts : ndarray, shape (n, 4**k)
        Row i of `windows`.
    parts : Split
    seed : int
        Of the shuffled labels.

    Returns
    -------
    dict of str to Scores
        `gc`: logistic regression on the GC content alone. `dinucleotides`: on the shares of the 16 dinucleotides.
        `shuffled_labels`: on all k-mers, trained on permuted labels. `exact_window`, `window_overlap`,
        `region_overlap`: 1 where the rule of `leaks.RuleAccuracy` calls a window introgressed, else 0.
    """
    labels = windows["label"].to_numpy()
    shuffled = labels.copy()
    shuffled[parts.train] = np.random.default_rng(seed).permutation(labels[parts.train])
    designs = {
        "gc": (gc_share(counts), labels),
        "dinucleotides": (dinucleotide_shares(counts), labels),
        "shuffled_labels": (counts, shuffled),
    }
    scored = {}
    for name, (X, y) in designs.items():
        model = fit_linear("logistic_regression", X, y, rows=parts.train, seed=seed)
        scored[name] = Scores(scores(model, X[parts.test]), 0.5)
    train = windows.iloc[parts.train]
    seen = seen_in_training(windows.iloc[parts.test], train[train["label"] == 1])
    return scored | {name: Scores(getattr(seen, name).astype(np.float64), 0.5) for name in RULES}


def gc_share(counts: np.ndarray) -> np.ndarray:
    """GC content of each window, from its words; float64 (n, 1). Letters at the ends of a window count less."""
    words = vocabulary(_word_length(counts))
    share = np.array([(word.count("C") + word.count("G")) / len(word) for word in words])
    return (counts @ share / counts.sum(axis=1))[:, None]


def dinucleotide_shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the dinucleotides in each window, from the first two letters of its words; float64 (n, 16)."""
    n, n_words = counts.shape
    if n_words < 16:
        raise InputError("counts: found words of one letter, expected two or more for dinucleotides")
    by_start = counts.reshape(n, 16, n_words // 16).sum(axis=2, dtype=np.int64)
    return by_start / by_start.sum(axis=1, keepdims=True)


def _word_length(counts: np.ndarray) -> int:
    return (counts.shape[1].bit_length() - 1) // 2


def tabulate_rung(rung: str, evaluations: dict[str, Evaluation], *, n_train: int) -> pd.DataFrame:
    """One row a model and metric: `rung, model, metric, value, low, high`, with `n_train` and `n_test`."""
    tables = []
    for model, found in evaluations.items():
        size = pd.DataFrame([("n_train", float(n_train), np.nan, np.nan)], columns=["metric", "value", "low", "high"])
        tables.append(pd.concat([found.to_frame(), size]).assign(rung=rung, model=model))
    return pd.concat(tables, ignore_index=True)[["rung", "model", "metric", "value", "low", "high"]]


def summarise_ladder(table: pd.DataFrame, *, metric: str = "accuracy") -> pd.DataFrame:
    """One row a model, one column a rung: a metric with its interval, as text; models and rungs in their order.

    Parameters
    ----------
    table : DataFrame
        Rows of `tabulate_rung`.
    metric : str
        Accuracy and other shares are shown in percent, areas and correlations as they are.
    """
    style = "{:.2f} ({:.2f} to {:.2f})" if metric in ("auroc", "auprc", "mcc", "brier") else "{:.1%} ({:.1%} to {:.1%})"
    rows = table[table["metric"] == metric]
    text = [style.format(*row) for row in rows[["value", "low", "high"]].itertuples(index=False)]
    cells = rows.assign(text=text).pivot_table(index="model", columns="rung", values="text", aggfunc="first")
    models = [name for name in (*MODELS, *CONTROLS) if name in cells.index]
    wide = cells.loc[models, rows["rung"].unique()].fillna("")
    wide.index = [name.replace("_", " ") for name in models]
    return wide.rename_axis(index="model", columns=None).reset_index()
