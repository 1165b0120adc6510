"""Effects of the deviations that take letters or models trained again; see `audit.deviations`.

Every function returns rows of the table of effects. Accuracies are on the test windows of the split given.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from neanderthal_nlp.audit.deviations import Effect
from neanderthal_nlp.audit.leaks import regions_of
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.genes import score_rule
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.kmers import count_kmers, take_rows
from neanderthal_nlp.linear import fit_linear
from neanderthal_nlp.parameters import EPOCHS, GENE_LENGTH, LINEAR_MODELS, N_ESTIMATORS, WINDOW_LENGTH, K
from neanderthal_nlp.sequences import fetch_windows, make_windows
from neanderthal_nlp.splits import Split


def extraction(
    windows: pd.DataFrame,
    genome: Genome,
    parts: Split,
    *,
    gaps: pd.DataFrame | None = None,
    length: int = WINDOW_LENGTH,
    k: int = K,
    trees: int = N_ESTIMATORS,
    seed: int,
    n_jobs: int = -1,
) -> list[Effect]:
    """Read the same regions as the article did and by their BED interval, and train a forest on each.

    Parameters
    ----------
    windows : DataFrame
        Introgressed ones, then their partners, as `sequences.make_windows` gives them.
    genome : Genome
    parts : Split
        Of `windows`.
    gaps : DataFrame, optional
        Runs of N; the genome is searched for them without.
    length, k : int
        Longest window and word, nt.
    trees, seed, n_jobs : int
        Of the forests. What another seed does to the accuracy is given beside the effect.

    Returns
    -------
    list of Effect
    """
    regions = regions_of(windows)
    introgressed, depleted = (regions[windows["label"].to_numpy() == label] for label in (1, 0))
    exact, shifted = (
        make_windows(introgressed, depleted, genome, length=length, k=k, gaps=gaps, as_published=flag)
        for flag in (False, True)
    )
    # A pair whose region follows an N loses it one base earlier.
    kept = np.flatnonzero(exact["pair"].isin(shifted["pair"]))
    X, moved = (count_kmers(fetch_windows(table, genome), k) for table in (exact.iloc[kept], shifted))
    y, parts = shifted["label"].to_numpy(), _keep_rows(parts, kept, len(windows))
    changed = np.abs(X - moved).sum(axis=1)
    accuracies = [
        _accuracy(fit_forest(counts, y, rows=parts.train, n_estimators=trees, seed=s, n_jobs=n_jobs), counts, y, parts)
        for counts, s in ((X, seed), (moved, seed), (X, (seed + 1) % 2**32))
    ]  # fmt: skip
    n_test = len(parts.test)
    return [
        Effect("extraction", "share of windows whose counts change", 0, float((changed > 0).mean()), len(y), "windows"),
        Effect("extraction", "words exchanged, mean per window", 0, float(changed.mean() / 2), len(y), "windows"),
        Effect("extraction", "windows lost to an N", 0, len(windows) - len(kept), len(windows), "windows"),
        Effect("extraction", f"forest accuracy, {trees} trees", accuracies[0], accuracies[1], n_test, "windows"),
        Effect("extraction", "the same, another seed instead of the shift", accuracies[0], accuracies[2], n_test,
               "windows"),
    ]  # fmt: skip


def _keep_rows(parts: Split, kept: np.ndarray, n_rows: int) -> Split:
    """Split of the rows that are kept, numbered anew."""
    place = np.full(n_rows, -1)
    place[kept] = np.arange(len(kept))
    train, test = (place[rows][place[rows] >= 0] for rows in (parts.train, parts.test))
    return Split(train, test)


def _accuracy(model: Any, X: np.ndarray, y: np.ndarray, parts: Split) -> float:
    return float(np.mean(model.predict(X[parts.test]) == y[parts.test]))


def best_epoch(history: pd.DataFrame, *, n_validation: int) -> list[Effect]:
    """Compare the validation accuracy of the best epoch (default) with that of the last.

    Parameters
    ----------
    history : DataFrame
        `val_binary_accuracy`, one row an epoch.
    n_validation : int
        Windows that it was measured on.
    """
    accuracy = history["val_binary_accuracy"].astype(float)
    return [Effect("epoch", f"validation accuracy, {len(history)} epochs", accuracy.max(), accuracy.iloc[-1],
                   n_validation, "windows")]  # fmt: skip


def last_epoch(
    X: np.ndarray,
    y: np.ndarray,
    parts: Split,
    *,
    directory: str | Path,
    epochs: int = EPOCHS,
    seed: int,
    report: Callable[[str], object] | None = None,
) -> tuple[list[Effect], pd.DataFrame]:
    """Train the network once, and test the weights of the best epoch (default) and of the last.

    Parameters
    ----------
    X : ndarray, shape (n, 4**k)
        Counts of the windows.
    y : ndarray, shape (n,)
    parts : Split
    directory : path-like
        Folder of the training (`network.train_mlp`); an interrupted one is taken up there.
    epochs, seed : int
    report : callable, optional
        Called with one line of text after each epoch.

    Returns
    -------
    list of Effect, DataFrame
        Test accuracy; and the history of the training, for `best_epoch`.
    """
    from neanderthal_nlp import network

    model = network.build_mlp(X.shape[1], seed=seed)
    history = network.train_mlp(model, X[parts.train], y[parts.train], directory=directory, epochs=epochs, seed=seed,
                                report=report)  # fmt: skip
    best = network.load_mlp(Path(directory) / network.NETWORK_FILE)
    rows, truth = X[parts.test], y[parts.test]
    first, last = (float(np.mean((network.predict_mlp(net, rows) > 0.5) == truth)) for net in (best, model))
    return [Effect("epoch", f"test accuracy, {epochs} epochs", first, last, len(truth), "windows")], history


def linear_models(X: np.ndarray, y: np.ndarray, parts: Split, *, seed: int) -> list[Effect]:
    """Compare the linear models with scikit-learn's own settings on raw counts, and Gaussian naive Bayes.

    Parameters
    ----------
    X : ndarray, shape (n, 4**k)
        Counts of the windows.
    y : ndarray, shape (n,)
    parts : Split
    seed : int

    Returns
    -------
    list of Effect
        Accuracy of each, and how many of the fits stopped before they converged.
    """
    plain = (LogisticRegression(random_state=seed), LinearSVC(random_state=seed), GaussianNB())
    truth, n_test = y[parts.train], len(parts.test)
    rows, stopped = [], [0, 0]
    for name, model in zip(LINEAR_MODELS, plain, strict=True):
        with _count_stopped(stopped, 0):
            default = _accuracy(fit_linear(name, X, y, rows=parts.train, seed=seed), X, y, parts)
        with _count_stopped(stopped, 1):
            other = _accuracy(model.fit(take_rows(X, parts.train, dtype=np.float64), truth), X, y, parts)
        rows.append(Effect("linear_models", f"accuracy, {name.replace('_', ' ')}", default, other, n_test, "windows"))
    rows.append(
        Effect("linear_models", "fits that stopped before they converged", stopped[0], stopped[1], len(plain), "models")
    )
    return rows


@contextmanager
def _count_stopped(stopped: list[int], place: int) -> Iterator[None]:
    """Count a fit that warns that it did not converge, and keep its warning from the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    stopped[place] += any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def vectoriser(counts: np.ndarray) -> list[Effect]:
    """Tell what a vocabulary fitted anew on the genes would change.

    Words that no gene holds are missing from it, and the columns behind them move up.

    Parameters
    ----------
    counts : ndarray of int, shape (n_genes, 4**k)
        Counts of the genes in the training vocabulary.
    """
    present = np.flatnonzero(counts.any(axis=0))
    moved = (counts[:, present] != counts[:, : len(present)]).any(axis=1)
    n_words = counts.shape[1]
    return [
        Effect("vectoriser", "words missing among the genes", 0, n_words - len(present), n_words, "words"),
        Effect("vectoriser", "genes whose counts move to other columns", 0, int(moved.sum()), len(counts), "genes"),
    ]


def gene_texts(
    genes: pd.DataFrame, genome: Genome, *, length: int = GENE_LENGTH, other: int = WINDOW_LENGTH, k: int = K
) -> tuple[np.ndarray, np.ndarray]:
    """Count the words of the scored genes, and of those that are long enough under the other length too.

    Parameters
    ----------
    genes : DataFrame
        As `annotation.read_genes` returns it.
    genome : Genome
    length, other : int
        First nucleotides of a gene that are counted.
    k : int

    Returns
    -------
    counts : ndarray of int32, shape (n_scored, 4**k)
        First `length` nt. The genes with `other` nt stand first.
    others : ndarray of int32, shape (n_long, 4**k)
        First `other` nt of these.
    """
    scored = genes[(score_rule(genes, genome, length=length) == "scored").to_numpy()]
    long = (scored["end"] - scored["start"] >= other).to_numpy()
    scored = pd.concat([scored[long], scored[~long]])
    counts, others = (
        count_kmers(fetch_windows(table.assign(end=table["start"] + size), genome), k)
        for table, size in ((scored, length), (scored.iloc[: long.sum()], other))
    )
    return counts, others


def gene_length(counts: np.ndarray, others: np.ndarray, model: Any) -> list[Effect]:
    """Predict genes from texts of the article's length, of the windows' length, and scaled to it.

    Parameters
    ----------
    counts, others : ndarray
        Of `gene_texts`.
    model : classifier
        Fitted on windows.
    """
    n = len(others)
    if not n:
        return []
    words = float(counts[:n].sum(axis=1).mean()), float(others.sum(axis=1).mean())
    base, long, scaled = (model.predict(X) for X in (counts[:n], others, counts[:n] * (words[1] / words[0])))
    lengths = "genes predicted"
    return [
        Effect("gene_length", f"{lengths}, text as long as a window", int(base.sum()), int(long.sum()), n, "genes"),
        Effect("gene_length", f"{lengths}, counts scaled to a window", int(base.sum()), int(scaled.sum()), n, "genes"),
        Effect("gene_length", "share of genes called otherwise, longer text", 0, float((base != long).mean()), n,
               "genes"),
        Effect("gene_length", "share of genes called otherwise, counts scaled", 0, float((base != scaled).mean()), n,
               "genes"),
        Effect("gene_length", "words per gene, mean", *words, n, "genes"),
        Effect("gene_length", "genes long enough", len(counts), n, len(counts), "genes"),
    ]  # fmt: skip
