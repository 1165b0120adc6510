"""The article's random forest and its importances (article, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import N_ESTIMATORS


def fit_forest(
    X: np.ndarray, y: np.ndarray, *, n_estimators: int = N_ESTIMATORS, seed: int, n_jobs: int = -1
) -> RandomForestClassifier:
    """Fit the article's random forest: 500 trees, everything else scikit-learn's default.

    Parameters
    ----------
    X : ndarray of any integer or float type, shape (n, n_features)
        Counts; may be a memory map.
    y : ndarray, shape (n,)
        1 = introgressed, 0 = depleted.
    n_estimators : int
        Trees.
    seed : int
        The same seed gives the same forest, whatever `n_jobs` is.
    n_jobs : int
        Cores; -1 takes all.

    Returns
    -------
    RandomForestClassifier
        Column 1 of its `predict_proba` is the probability of being introgressed.
    """
    forest = RandomForestClassifier(n_estimators=n_estimators, random_state=seed, n_jobs=n_jobs)
    return forest.fit(X, y)


def importances(forest: RandomForestClassifier, names: Sequence[str]) -> pd.DataFrame:
    """Impurity importances of a fitted forest, as in the article's figure 6.

    They are computed on the training rows and share the credit among k-mers that tell the same;
    `permutation_importances` asks the held-out rows instead.

    Parameters
    ----------
    forest : RandomForestClassifier
    names : sequence of str
        The k-mer of each column.

    Returns
    -------
    DataFrame
        `kmer`, `importance` (mean over the trees, all sum to 1) and `std` (over the trees), by importance from
        the largest, k-mers of equal importance in alphabetical order.
    """
    by_tree = np.array([tree.feature_importances_ for tree in forest.estimators_])
    table = pd.DataFrame({"kmer": list(names), "importance": forest.feature_importances_, "std": by_tree.std(axis=0)})
    return table.sort_values(["importance", "kmer"], ascending=[False, True], ignore_index=True)


def permutation_importances(
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    names: Sequence[str],
    *,
    columns: Sequence[str],
    n_repeats: int = 5,
    seed: int,
) -> pd.DataFrame:
    """Accuracy that a model loses when one k-mer's counts are shuffled among held-out rows.

    The quantity of `sklearn.inspection.permutation_importance`, which shuffles every column. Each shuffle costs
    a prediction of all rows: with 1024 k-mers, 500 trees and 20,000 rows that is hours, therefore only the
    columns asked for are shuffled.

    Parameters
    ----------
    model : fitted classifier
        Anything with `predict`.
    X : ndarray, shape (n, n_features)
        Counts of rows that the model has not seen; copied once.
    y : ndarray, shape (n,)
        1 = introgressed, 0 = depleted.
    names : sequence of str
        The k-mer of each column of `X`.
    columns : sequence of str
        The k-mers to shuffle.
    n_repeats : int
        Shuffles of each.
    seed : int
        Of the shuffles.

    Returns
    -------
    DataFrame
        One row for each of `columns`, in their order: `kmer`, `permutation` (mean loss of accuracy over the
        repeats; negative where shuffling helped) and `permutation_std` (over the repeats).

    Raises
    ------
    InputError
        One of `columns` is not among `names`.

    References
    ----------
    Breiman, "Random Forests", Machine Learning 45 (2001).
    """
    position = {name: index for index, name in enumerate(names)}
    unknown = [name for name in columns if name not in position]
    if unknown:
        raise InputError(f"columns: found {', '.join(unknown)}, expected k-mers among the {len(position)} counted")
    rng = np.random.default_rng(seed)
    shuffled = np.array(X)
    accuracy = np.mean(model.predict(shuffled) == y)
    losses = np.empty((len(columns), n_repeats))
    for row, name in enumerate(columns):
        counts = shuffled[:, position[name]].copy()
        for repeat in range(n_repeats):
            shuffled[:, position[name]] = rng.permutation(counts)
            losses[row, repeat] = accuracy - np.mean(model.predict(shuffled) == y)
        shuffled[:, position[name]] = counts
    return pd.DataFrame(
        {"kmer": list(columns), "permutation": losses.mean(axis=1), "permutation_std": losses.std(axis=1)}
    )
