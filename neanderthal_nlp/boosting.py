"""Gradient-boosted trees on word counts: what a modern learner of tables makes of composition."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from neanderthal_nlp.kmers import take_rows

N_ITERATIONS = 100
"""Trees."""


def fit_boosted_trees(
    X: np.ndarray, y: np.ndarray, *, rows: np.ndarray | None = None, n_iterations: int = N_ITERATIONS, seed: int
) -> HistGradientBoostingClassifier:
    """Fit small trees (8 leaves), each to what those before it left, on a tenth of the columns at each split.

    None is stopped early: the windows that this would hold out overlap those that are learned from.

    Parameters
    ----------
    X : ndarray of a number type, shape (n, n_features)
        Counts or frequencies; may be a memory map.
    y : ndarray, shape (n,)
        1 = introgressed, 0 = depleted.
    rows : ndarray of int, shape (m,), optional
        Rows to learn from; all without.
    n_iterations : int
    seed : int
        Of the columns that are looked at.

    Returns
    -------
    HistGradientBoostingClassifier
        `decision_function` gives log-odds, not calibrated.
    """
    trees = HistGradientBoostingClassifier(max_iter=n_iterations, max_leaf_nodes=8, max_bins=63, max_features=0.1,
                                           early_stopping=False, random_state=seed)  # fmt: skip
    return trees.fit(take_rows(X, rows, dtype=np.float64), y if rows is None else y[rows])
