"""The models that the article calls clearly worse than its network (article, section 2).

It names logistic regression, a support vector machine and naive Bayes without settings or numbers. They are
scikit-learn's defaults here, changed only where the default does not converge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.kmers import take_rows
from neanderthal_nlp.parameters import LINEAR_MODELS

THRESHOLDS = dict(zip(LINEAR_MODELS, (0.5, 0.0, 0.0), strict=True))
"""Score above which a window is called introgressed."""

# A ceiling, not a price: 21,000 real windows take 190 iterations (logistic regression) and 23 (SVM). Small,
# separable sets are the hard ones: 1,400 windows take the SVM 2,800.
_MAX_ITERATIONS = 10_000
_PRIOR_VARIANCE = 10.0


def prior_strength(n_features: int) -> float:
    """Inverse strength of the ridge penalty, `C`, that lets the log-odds of a window have the variance 10 a priori.

    That is C = 10 / n on n standardised columns: one rule from 2 words to thousands, where any one C would be too weak
    here or too strong there.
    """
    return _PRIOR_VARIANCE / n_features


def fit_linear(
    name: str, X: np.ndarray, y: np.ndarray, *, rows: np.ndarray | None = None, C: float = 1.0, seed: int
) -> Any:
    """Fit one of `parameters.LINEAR_MODELS` to counts.

    Logistic regression and the linear SVM see counts scaled to mean 0 and variance 1 by what was measured on
    these rows; multinomial naive Bayes sees the counts themselves. The SVM solves its primal problem
    (`dual=False`), since windows outnumber k-mers by far.

    Parameters
    ----------
    name : str
        `logistic_regression`, `linear_svm` or `naive_bayes`.
    X : ndarray of a number type, shape (n, n_features)
        Counts, not negative; may be a memory map. The models learn from a float64 copy, scaled in place; the SVM's
        library makes another of it, of twice the size.
    y : ndarray, shape (n,)
        1 = introgressed, 0 = depleted.
    rows : ndarray of int, shape (m,), optional
        Rows to learn from; all without.
    C : float
        Inverse strength of the ridge penalty of logistic regression and SVM; 1 is scikit-learn's default.
    seed : int
        Handed to the solvers; those chosen draw nothing today.

    Returns
    -------
    Pipeline or MultinomialNB
        Fitted; see `scores`.

    Raises
    ------
    InputError
        There is no model of this name.
    """
    if name not in LINEAR_MODELS:
        raise InputError(f"model: found {name}, expected one of {', '.join(LINEAR_MODELS)}")
    y = y if rows is None else y[rows]
    X = take_rows(X, rows, dtype=np.float64)
    if name == "naive_bayes":
        return MultinomialNB().fit(X, y)
    classifier = (
        LogisticRegression(C=C, max_iter=_MAX_ITERATIONS, random_state=seed)
        if name == "logistic_regression"
        else LinearSVC(C=C, dual=False, max_iter=_MAX_ITERATIONS, random_state=seed)
    )
    # What `Pipeline.fit` does, without its copy of the scaled counts.
    scaler = StandardScaler().fit(X)
    return make_pipeline(scaler, classifier.fit(scaler.transform(X, copy=False), y))


def scores(model: Any, X: np.ndarray) -> np.ndarray:
    """Score rows of counts: the larger, the more like introgressed.

    A score above the model's entry in `THRESHOLDS` is what its `predict` calls introgressed.

    Parameters
    ----------
    model : Pipeline or MultinomialNB
        From `fit_linear`.
    X : ndarray of a number type, shape (n, n_features)

    Returns
    -------
    ndarray of float, shape (n,)
        Logistic regression: probability of being introgressed. SVM: signed distance from the plane, in units
        of the margin. Naive Bayes: log-odds, because with some 10,000 words a window more than half of its
        probabilities are 1 to the last bit, and ranking by them (AUROC) is lost.
    """
    if isinstance(model, MultinomialNB):
        joint = model.predict_joint_log_proba(X)
        return joint[:, 1] - joint[:, 0]
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)[:, 1]
    return model.decision_function(X)
