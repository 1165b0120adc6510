"""Saving scikit-learn models without pickle, whose files can run any code when they are read.

The article pickled its forest. skops writes arrays and names of types, and reads back only types that are
trusted by name.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree._tree import Tree
from skops.io.exceptions import UntrustedTypesFoundException

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import replacing
from neanderthal_nlp.model_files import check_nodes, check_skops, minor

ESTIMATORS = (
    RandomForestClassifier,
    HistGradientBoostingClassifier,
    StandardScaler,
    LogisticRegression,
    LinearSVC,
    MultinomialNB,
)
TRUSTED = ("sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")
"""What the estimators need beyond the types of NumPy, SciPy and scikit-learn that skops trusts of itself."""

_MOST_JOBS = 1024


def save_model(model: Any, path: str | Path) -> None:
    """Save a fitted forest or linear model; `.skops` is the usual ending.

    The fastest deflate takes a fifth of the room for a quarter more time (500 trees).
    """
    with replacing(path) as part:
        skops.io.dump(model, part, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def load_model(path: str | Path) -> Any:
    """Read a model that `save_model` wrote.

    The file may come from anybody: no code in it is run, types other than those of the package's models are refused
    before anything is made of it (`model_files`), and so are trees that lead nowhere and models that cannot score.

    Raises
    ------
    InputError
        The file is missing, truncated, changed since it was written, not a skops file, from another minor version
        of scikit-learn, or holds anything else than the package's models.
    """
    check_skops(path)  # compares its seal, too
    try:
        with warnings.catch_warnings():
            _refuse_other_versions()
            model = skops.io.load(path, trusted=list(TRUSTED))
    except InconsistentVersionWarning as told:
        saved, here = told.original_sklearn_version, told.current_sklearn_version
        raise InputError(f"{path}: saved by scikit-learn {saved}, expected {minor(here)} (found here: {here}): make "
                         f"the model again, or install scikit-learn {minor(saved)}") from None  # fmt: skip
    except UntrustedTypesFoundException as error:
        found = str(error).partition("\n")[0]
        raise InputError(f"{path}: {found} Expected a model of this package") from None
    except Exception as error:  # a forged state is met with errors of every family
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a skops file that fits this version ({reason:.200})") from None
    try:
        parts = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
        foreign = [type(part).__name__ for part in parts if not isinstance(part, ESTIMATORS)]
        if not foreign:
            _check_parts(parts)
            _check_scores(model)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: found a model that cannot score ({reason:.200}), expected a fitted one") from None
    if foreign:
        expected = ", ".join(estimator.__name__ for estimator in ESTIMATORS)
        raise InputError(f"{path}: found a model of type {', '.join(foreign)}, expected {expected}")
    return model


def _check_parts(parts: Sequence[Any]) -> None:
    """Refuse trees whose nodes lead nowhere, and more threads than a machine has."""
    for part in parts:
        n_jobs, n_features = getattr(part, "n_jobs", None), part.n_features_in_
        if n_jobs is not None and abs(n_jobs) > _MOST_JOBS:
            raise ValueError(f"{n_jobs} threads")
        part.verbose = 0
        if isinstance(part, RandomForestClassifier):
            trees = [tree.tree_ for tree in part.estimators_]
            if len(trees) != part.n_estimators or any(
                type(tree) is not Tree or (tree.n_features, tree.n_outputs, tree.max_n_classes) != (n_features, 1, 2)
                or not check_nodes(tree.children_left, tree.children_right, tree.feature, n_nodes=tree.node_count,
                                   n_features=n_features) for tree in trees
            ):  # fmt: skip
                raise ValueError("a tree leads nowhere")
        elif isinstance(part, HistGradientBoostingClassifier):
            trees = [tree.nodes for (tree,) in part._predictors]
            if not all(_lead_to_leaves(nodes, n_features) for nodes in trees):
                raise ValueError("a tree leads nowhere")


def _lead_to_leaves(nodes: np.ndarray, n_features: int) -> bool:
    leaf = nodes["is_leaf"] != 0
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    return not nodes["is_categorical"].any() and check_nodes(
        left, right, nodes["feature_idx"], n_nodes=len(nodes), n_features=n_features
    )


def _check_scores(model: Any) -> None:
    """Score a row without words: arrays that do not fit one another are found now rather than later."""
    score = getattr(model, "decision_function", None) or model.predict_proba
    with np.errstate(all="ignore"):
        scores = score(np.zeros((1, model.n_features_in_)))
    if len(scores) != 1 or not np.isfinite(scores).all() or list(model.classes_) != [0, 1]:
        raise ValueError("no finite score of two classes")


def _refuse_other_versions() -> None:
    """Turn scikit-learn's warning of a model from another version into an error, but for patch releases of this one.

    scikit-learn restores the attributes of such a model as they are, whatever its own code makes of them by now,
    and promises nothing: scores may be wrong without a word. Patch releases keep what attributes mean.
    """
    here = re.escape(minor(sklearn.__version__))
    warnings.simplefilter("error", InconsistentVersionWarning)
    warnings.filterwarnings("ignore", rf".* from version {here}\.", InconsistentVersionWarning)
