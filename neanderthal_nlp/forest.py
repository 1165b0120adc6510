"""The article's random forest and its importances (article, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.kmers import take_rows
from neanderthal_nlp.parameters import N_ESTIMATORS

_ROUNDING = 1e-9


def fit_forest(
    X: np.ndarray,
    y: np.ndarray,
    *,
    rows: np.ndarray | None = None,
    n_estimators: int = N_ESTIMATORS,
    seed: int,
    n_jobs: int = -1,
    accelerated: bool = False,
) -> RandomForestClassifier:
    """Fit the article's random forest: 500 trees, everything else scikit-learn's default.

    Parameters
    ----------
    X : ndarray of any integer or float type, shape (n, n_features)
        Counts; may be a memory map.
    y : ndarray, shape (n,)
        1 = introgressed, 0 = depleted.
    rows : ndarray of int, shape (m,), optional
        Rows to learn from; all without. `rows` of a memory map take half of the memory of `X[rows]`.
    n_estimators : int
        Trees.
    seed : int
        The same seed gives the same forest, whatever `n_jobs` is.
    n_jobs : int
        Cores; -1 takes all.
    accelerated : bool
        Grow the trees with scikit-learn-intelex (the extra `fast`). Other trees than scikit-learn's come out, of the
        same kind: it looks for splits among at most 256 values of a k-mer and draws its random numbers otherwise.
        They are handed back in scikit-learn's own form, so that the forest is saved, loaded and used without the extra.

    Returns
    -------
    RandomForestClassifier
        Column 1 of its `predict_proba` is the probability of being introgressed.

    Raises
    ------
    InputError
        `accelerated` without the extra installed.
    """
    if rows is not None:
        X, y = take_rows(X, rows, dtype=np.float32), y[rows]  # what the trees compare
    forest = RandomForestClassifier(n_estimators=n_estimators, random_state=seed, n_jobs=n_jobs)
    return _grow_accelerated(forest, X, y) if accelerated else forest.fit(X, y)


def _grow_accelerated(forest: RandomForestClassifier, X: np.ndarray, y: np.ndarray) -> RandomForestClassifier:
    """Give a forest the trees that scikit-learn-intelex grows under its settings."""
    try:
        from sklearnex.ensemble import RandomForestClassifier as Accelerated
    except ImportError:
        raise InputError("accelerated: found no scikit-learn-intelex, expected the extra `fast` "
                         "(pip install 'neanderthal_nlp[fast]')") from None  # fmt: skip
    grown = Accelerated(**forest.get_params()).fit(np.asarray(X, dtype=np.float32), y)
    for fitted in ("estimators_", "classes_", "n_classes_", "n_features_in_", "n_outputs_"):
        setattr(forest, fitted, getattr(grown, fitted))
    return forest


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

    The quantity of `sklearn.inspection.permutation_importance`, which shuffles every column and predicts all rows
    anew each time: hours for 1024 k-mers, 500 trees and 20,000 rows. Only the columns asked for are shuffled here,
    and a forest's trees predict only those rows again whose path asks for the column.

    Parameters
    ----------
    model : fitted classifier
        Anything with `predict`. The fast way is taken for a forest whose classes are 0 and 1.
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
    places = np.array([position[name] for name in columns], dtype=np.intp)
    shuffled = np.array([rng.permutation(X[:, place]) for place in places for _ in range(n_repeats)])
    shuffled = shuffled.reshape(len(places), n_repeats, len(X))
    is_forest = isinstance(model, RandomForestClassifier) and np.array_equal(model.classes_, (0, 1))
    right, right_shuffled = (_predict_by_tree if is_forest else _predict_shuffled)(model, X, y, places, shuffled)
    losses = right.mean() - right_shuffled.mean(axis=2)
    return pd.DataFrame(
        {"kmer": list(columns), "permutation": losses.mean(axis=1), "permutation_std": losses.std(axis=1)}
    )


def _predict_shuffled(
    model: Any, X: np.ndarray, y: np.ndarray, places: np.ndarray, shuffled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row is predicted right: as it is (n,), and with one column replaced at a time, as `shuffled` is."""
    rows = np.array(X)
    right = np.empty(shuffled.shape, dtype=bool)
    for column, place in enumerate(places):
        for repeat, counts in enumerate(shuffled[column]):
            rows[:, place] = counts
            right[column, repeat] = model.predict(rows) == y
        rows[:, place] = X[:, place]
    return model.predict(rows) == y, right


def _predict_by_tree(
    forest: RandomForestClassifier, X: np.ndarray, y: np.ndarray, places: np.ndarray, shuffled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What `_predict_shuffled` returns, from the rows of each tree that ask for the column: a few percent of them.

    The votes of the trees are summed in another order than in `predict`, so that a row whose vote is even, to the
    rounding of its sum, may be decided otherwise: for 0, with and without shuffling.
    """
    X = np.asarray(X, dtype=np.float32)
    votes, changes = np.zeros(len(X)), np.zeros(shuffled.shape)
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        known = tree.predict(X)[:, 1]
        votes += known
        asks = tree.decision_path(X) @ (tree.feature[:, None] == places)
        for column, place in enumerate(places):
            asking = np.flatnonzero(asks[:, column])
            rows = X[asking]
            for repeat, counts in enumerate(shuffled[column]):
                rows[:, place] = counts[asking]
                changes[column, repeat, asking] += tree.predict(rows)[:, 1] - known[asking]
    even = len(forest.estimators_) / 2 + _ROUNDING
    return (votes > even) == y, (votes + changes > even) == y
