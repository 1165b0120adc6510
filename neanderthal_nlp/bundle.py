"""A model to take along: everything that is needed to score a stretch of DNA and to know what the score is worth.

A bundle is a folder: `bundle.json` (what the model takes, its calibration, its measures and where it comes from),
`model.skops` (the model, without pickle), `windows.tsv.gz` (the windows it was trained and tested on) and `CARD.md`
(all of this in words).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from neanderthal_nlp import linear
from neanderthal_nlp.calibration import Calibration
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_json, read_table, replacing_folder, sha256
from neanderthal_nlp.kmers import vocabulary
from neanderthal_nlp.persistence import load_model, save_model
from neanderthal_nlp.splits import MANIFEST_COLUMNS

FORMAT = 1
MIN_LENGTH = 1_000
"""Stretches below this many nt get no probability."""
_KINDS = {
    "forest": RandomForestClassifier, "logistic_regression": LogisticRegression, "linear_svm": LinearSVC,
    "naive_bayes": MultinomialNB,
}  # fmt: skip
_FIELDS = {
    "format": int, "name": str, "model": str, "k": int, "vocabulary": list, "window_length": int, "min_length": int,
    "rescaled": bool, "threshold": float, "protocol": str, "synthetic": bool, "files": dict, "gc": list,
    "metrics": list, "other_splits": list,
}  # fmt: skip


class Bundle(NamedTuple):
    """A model with what it needs to be used, and what is known of it.

    Attributes
    ----------
    name : str
        Such as "audited" or "as_published".
    model_name : str
        Name of the kind of model: "forest" or one of `parameters.LINEAR_MODELS`.
    model : RandomForestClassifier, Pipeline or MultinomialNB
        Fitted on counts of `k`-mers.
    k : int
        Word length.
    window_length, min_length : int
        Longest stretch that is scored at once, and the shortest that gets a probability, nt.
    rescaled : bool
        Whether counts of a stretch are brought to the number of words of a whole window before they are scored.
    threshold : float
        Probability above which a stretch is called introgressed.
    calibration : Calibration or None
        None where scores are taken for probabilities as they are.
    protocol : str
        Split that the model was trained under.
    windows : DataFrame
        `chrom, start, end, label, side`: what it was trained ("train") and tested ("test") on.
    synthetic : bool
        Trained on a made-up genome.
    gc : tuple of two floats
        Mean share of G and C in the introgressed and in the depleted windows that it was trained on.
    metrics : list of dict
        `windows, metric, value, low, high`: of this model.
    other_splits : list of dict
        `split, metric, value, low, high`: of models of the same kind, trained anew under each split of the audit and on
        random letters; empty where there was no audit.
    provenance : dict
        Inputs with their hashes, versions, parameters.
    """

    name: str
    model_name: str
    model: Any
    k: int
    window_length: int
    min_length: int
    rescaled: bool
    threshold: float
    calibration: Calibration | None
    protocol: str
    windows: pd.DataFrame
    synthetic: bool
    gc: tuple[float, float]
    metrics: list[dict[str, Any]]
    other_splits: list[dict[str, Any]]
    provenance: dict[str, Any]

    def chromosomes(self, side: str) -> list[str]:
        """Chromosomes of the windows of a side, "train" or "test"."""
        return sorted(self.windows.loc[self.windows["side"] == side, "chrom"].unique())


def score_counts(bundle: Bundle, counts: np.ndarray) -> np.ndarray:
    """Score rows of counts: the larger, the more like introgressed.

    Parameters
    ----------
    bundle : Bundle
    counts : ndarray of a number type, shape (n, 4**k)
        Counts of stretches of up to the bundle's window length; see `kmers.count_kmers`.

    Returns
    -------
    ndarray of float64, shape (n,)
        Log-odds of logistic regression and naive Bayes, distance of the SVM, share of votes of a forest.

    Raises
    ------
    InputError
        The counts are those of another word length.
    """
    if counts.ndim != 2 or counts.shape[1] != 4**bundle.k:
        raise InputError(f"counts: found shape {counts.shape}, expected (n, {4**bundle.k}): the bundle "
                         f"{bundle.name} reads words of {bundle.k} letters")  # fmt: skip
    X = rescale(bundle, counts) if bundle.rescaled else counts
    if bundle.model_name == "logistic_regression":
        return bundle.model.decision_function(X)
    return bundle.model.predict_proba(X)[:, 1] if bundle.model_name == "forest" else linear.scores(bundle.model, X)


def rescale(bundle: Bundle, counts: np.ndarray) -> np.ndarray:
    """Bring counts to the number of words of a whole window, float64; rows without words stay as they are."""
    words = counts.sum(axis=1, keepdims=True)
    return counts * ((bundle.window_length - bundle.k + 1) / np.maximum(words, 1))


def write_bundle(bundle: Bundle, folder: str | Path) -> None:
    """Write a bundle as a folder; one that is there is replaced when the new one is complete."""
    with replacing_folder(folder) as part:
        save_model(bundle.model, part / "model.skops")
        bundle.windows[list(MANIFEST_COLUMNS)].to_csv(
            part / "windows.tsv.gz", sep="\t", index=False, lineterminator="\n",
            compression={"method": "gzip", "mtime": 0},
        )  # fmt: skip
        files = {name: sha256(part / name) for name in ("model.skops", "windows.tsv.gz")}
        about = {
            "format": FORMAT, "name": bundle.name, "model": bundle.model_name, "k": bundle.k,
            "window_length": bundle.window_length, "min_length": bundle.min_length, "rescaled": bundle.rescaled,
            "threshold": bundle.threshold, "protocol": bundle.protocol, "synthetic": bundle.synthetic,
            "train_chromosomes": bundle.chromosomes("train"), "test_chromosomes": bundle.chromosomes("test"),
            "gc": bundle.gc, "metrics": bundle.metrics, "other_splits": bundle.other_splits, "files": files,
            **bundle.provenance,
            "calibration": bundle.calibration.to_dict() if bundle.calibration else None,
            "vocabulary": vocabulary(bundle.k),
        }  # fmt: skip
        (part / "bundle.json").write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")
        (part / "CARD.md").write_text(format_card(bundle), encoding="utf-8")


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle that `write_bundle` wrote.

    Raises
    ------
    InputError
        It is no bundle, one of another format, a file of it is missing or was changed, or its model does not fit
        what is said of it.
    """
    folder = Path(folder)
    path = folder / "bundle.json"
    if not path.exists():
        raise InputError(f"{folder}: not a model bundle (no bundle.json in it)")
    about = read_json(path)
    _check_fields(about, path)
    for name, found in about["files"].items():
        if name not in ("model.skops", "windows.tsv.gz") or not (folder / name).is_file():
            raise InputError(f"{path}: file {name}: missing, or not of a bundle")
        if sha256(folder / name) != found:
            raise InputError(f"{folder / name}: changed since the bundle was written (another SHA-256)")
    model = load_model(folder / "model.skops")
    kind = model[-1] if isinstance(model, Pipeline) else model
    if not isinstance(kind, _KINDS[about["model"]]):
        raise InputError(f"{folder / 'model.skops'}: found {type(kind).__name__}, expected a {about['model']}")
    n_features = getattr(model, "n_features_in_", None)
    if n_features != 4 ** about["k"]:
        raise InputError(f"{folder / 'model.skops'}: found a model of {n_features} words, "
                         f"expected {4 ** about['k']} (k = {about['k']})")  # fmt: skip
    provenance: dict[str, Any] = {name: about[name] for name in ("parameters", "inputs", "versions") if name in about}
    try:
        calibration = None if about.get("calibration") is None else Calibration.from_dict(about["calibration"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Bundle(
        about["name"], about["model"], model, about["k"], about["window_length"], about["min_length"],
        about["rescaled"], float(about["threshold"]), calibration, about["protocol"],
        read_table(folder / "windows.tsv.gz", MANIFEST_COLUMNS), about["synthetic"], (about["gc"][0], about["gc"][1]),
        about["metrics"], about["other_splits"], provenance,
    )  # fmt: skip


def _check_fields(about: Mapping[str, Any], path: Path) -> None:
    if about.get("format") != FORMAT:
        raise InputError(f"{path}: found format {about.get('format')!r}, expected {FORMAT}: made by another version")
    for name, kind in _FIELDS.items():
        value = about.get(name)
        if not isinstance(value, (int, float) if kind is float else kind) or (kind is int and value is True):
            raise InputError(f"{path}: {name}: found {value!r:.40}, expected {kind.__name__}")
    if len(about["gc"]) != 2 or not all(isinstance(share, float) and 0 <= share <= 1 for share in about["gc"]):
        raise InputError(f"{path}: gc: found {about['gc']!r:.40}, expected two shares")
    if about["model"] not in _KINDS:
        raise InputError(f"{path}: model: found {about['model']!r:.40}, expected one of {', '.join(_KINDS)}")
    if not 1 <= about["k"] <= 10 or about["vocabulary"] != vocabulary(about["k"]):
        raise InputError(f"{path}: k = {about['k']} and vocabulary do not fit one another")
    if not about["k"] <= about["min_length"] <= about["window_length"]:
        raise InputError(f"{path}: expected k <= min_length <= window_length, found {about['k']}, "
                         f"{about['min_length']} and {about['window_length']}")  # fmt: skip


def format_card(bundle: Bundle) -> str:
    """Say in Markdown what a bundle is, what it takes, what its number means and how good it is."""
    environment = Environment(loader=PackageLoader("neanderthal_nlp"), autoescape=False, undefined=StrictUndefined,  # noqa: S701 (Markdown)
                              keep_trailing_newline=True)  # fmt: skip
    lengths = [] if bundle.calibration is None else [f"{length:,.0f}" for length in bundle.calibration.lengths]
    return environment.get_template("card.md").render(
        bundle=bundle,
        model=bundle.model_name.replace("_", " "),
        lengths=", ".join(lengths),
        n={side: int((bundle.windows["side"] == side).sum()) for side in ("train", "test")},
        train=bundle.chromosomes("train"),
        test=bundle.chromosomes("test"),
    )
