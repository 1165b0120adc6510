"""Saving scikit-learn models without pickle, whose files can run any code when they are read.

The article pickled its forest. skops writes arrays and names of types, and reads back only types that are
trusted by name.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from skops.io.exceptions import UntrustedTypesFoundException

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import replacing

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


def save_model(model: Any, path: str | Path) -> None:
    """Save a fitted forest or linear model; `.skops` is the usual ending.

    The fastest deflate takes a fifth of the room for a quarter more time (500 trees).
    """
    with replacing(path) as part:
        skops.io.dump(model, part, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def load_model(path: str | Path) -> Any:
    """Read a model that `save_model` wrote.

    No code in the file is run. A file forged with care can still crash the process through the node table of a
    tree, which scikit-learn follows unchecked: load what you trust.

    Raises
    ------
    InputError
        The file is missing, truncated, not a skops file, from versions that do not fit, or holds anything else
        than the package's models.
    """
    try:
        model = skops.io.load(path, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        found = str(error).partition("\n")[0]
        raise InputError(f"{path}: {found} Expected a model of this package") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a saved model") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{path}: truncated or not a skops file ({error}), expected a saved model") from None
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a skops file that fits this version ({reason})") from None
    parts = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    foreign = [type(part).__name__ for part in parts if not isinstance(part, ESTIMATORS)]
    if foreign:
        expected = ", ".join(estimator.__name__ for estimator in ESTIMATORS)
        raise InputError(f"{path}: found a model of type {', '.join(foreign)}, expected {expected}")
    return model
