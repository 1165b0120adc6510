"""A model to take along: everything that is needed to score a stretch of DNA and to know what the score is worth.

A bundle is a folder: `bundle.json` (what the model takes, its calibration, its measures and where it comes from),
`model.skops` (the model, without pickle), `fold_1.skops`, … (models of the same kind, each trained without some
chromosomes: how they differ says how far the word of a model goes), `windows.tsv.gz` (the windows it was trained and
tested on) and `CARD.md` (all of this in words).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from neanderthal_nlp import linear
from neanderthal_nlp.calibration import CONFIDENCE, Calibration
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_json, read_table, replacing_folder, sha256
from neanderthal_nlp.kmers import canonical_vocabulary, merge_strands, vocabulary
from neanderthal_nlp.persistence import load_model, save_model
from neanderthal_nlp.splits import MANIFEST_COLUMNS, SIDES

FORMAT = 2
MIN_LENGTH = 1_000
"""Stretches below this many nt get no probability."""
WHOLE = 0.88
"""Share of a window that a stretch must have for a model whose counts are not rescaled: the article scores genes by
their first 8,800 nt, with a forest of 10,000-nt windows."""
_MAX_FOLDS = 100
_LONGEST = 10**9  # nt, of a window: beyond any chromosome
_NAME = re.compile(r"[\w.-][\w .-]{0,99}")
_KINDS = {
    "forest": RandomForestClassifier, "logistic_regression": LogisticRegression, "linear_svm": LinearSVC,
    "naive_bayes": MultinomialNB, "boosted_trees": HistGradientBoostingClassifier,
}  # fmt: skip
_FIELDS = {
    "format": int, "name": str, "model": str, "k": int, "vocabulary": list, "window_length": int, "min_length": int,
    "rescaled": bool, "canonical": bool, "n_folds": int, "threshold": float, "protocol": str, "synthetic": bool,
    "files": dict, "gc": list, "metrics": list, "other_splits": list,
}  # fmt: skip


class Bundle(NamedTuple):
    """A model with what it needs to be used, and what is known of it.

    Attributes
    ----------
    name : str
        Such as "audited" or "as_published".
    model_name : str
        Name of the kind of model: "forest", "boosted_trees" or one of `parameters.LINEAR_MODELS`.
    model : RandomForestClassifier, HistGradientBoostingClassifier, Pipeline or MultinomialNB
        Fitted on counts of `k`-mers.
    folds : tuple
        Models of the same kind and data, each without a group of chromosomes; none where there is no interval.
    k : int
        Word length.
    window_length, min_length : int
        Longest stretch that is scored at once, and the shortest that gets a probability, nt.
    rescaled : bool
        Whether counts of a stretch are brought to the number of words of a whole window before they are scored.
    canonical : bool
        Whether a word and its reverse complement are counted together: both strands have the same score then.
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
    folds: tuple[Any, ...]
    k: int
    window_length: int
    min_length: int
    rescaled: bool
    canonical: bool
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

    def words(self) -> list[str]:
        """Words that the model counts, one a column; of a word and its reverse complement, the first if `canonical`."""
        return canonical_vocabulary(self.k) if self.canonical else vocabulary(self.k)


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
        Log-odds of logistic regression, boosted trees and naive Bayes, distance of the SVM, share of votes of a forest.

    Raises
    ------
    InputError
        The counts are those of another word length.
    """
    return _score(bundle.model_name, bundle.model, features(bundle, counts))


def score_margins(bundle: Bundle, counts: np.ndarray) -> np.ndarray:
    """How far from a score, at 95 %, that of a model lies which was trained on other chromosomes.

    A jackknife over groups (Kott, Journal of Official Statistics 17, 2001): the folds' models each lack one group of
    chromosomes. Groups are few, hence Student's t.

    Parameters
    ----------
    bundle : Bundle
    counts : ndarray of a number type, shape (n, 4**k)

    Returns
    -------
    ndarray of float64, shape (n,)
        In units of the score; 0 where the bundle has no folds.
    """
    n = len(bundle.folds)
    if not n:
        return np.zeros(len(counts))
    X = features(bundle, counts)
    scores = np.stack([_score(bundle.model_name, model, X) for model in bundle.folds])
    return student.ppf((1 + CONFIDENCE) / 2, n - 1) * np.sqrt(n - 1) * scores.std(axis=0)


def _score(name: str, model: Any, X: np.ndarray) -> np.ndarray:
    if name in ("logistic_regression", "boosted_trees"):
        return model.decision_function(X)
    return model.predict_proba(X)[:, 1] if name == "forest" else linear.scores(model, X)


def features(bundle: Bundle, counts: np.ndarray) -> np.ndarray:
    """What a bundle's model is given: counts, brought to a whole window and both strands together as it asks for.

    Parameters
    ----------
    bundle : Bundle
    counts : ndarray of a number type, shape (n, 4**k)

    Returns
    -------
    ndarray, shape (n, n_words)
        Columns are `bundle.words()`.

    Raises
    ------
    InputError
        The counts are those of another word length.
    """
    if counts.ndim != 2 or counts.shape[1] != 4**bundle.k:
        raise InputError(f"counts: found shape {counts.shape}, expected (n, {4**bundle.k}): the bundle "
                         f"{bundle.name} reads words of {bundle.k} letters")  # fmt: skip
    X = rescale(bundle, counts) if bundle.rescaled else counts
    return merge_strands(X, bundle.k) if bundle.canonical else X


def rescale(bundle: Bundle, counts: np.ndarray) -> np.ndarray:
    """Bring counts to the number of words of a whole window, float64; rows without words stay as they are."""
    words = counts.sum(axis=1, keepdims=True)
    return counts * ((bundle.window_length - bundle.k + 1) / np.maximum(words, 1))


def write_bundle(bundle: Bundle, folder: str | Path) -> None:
    """Write a bundle as a folder; one that is there is replaced when the new one is complete."""
    with replacing_folder(folder) as part:
        models = {"model.skops": bundle.model, **dict(zip(_fold_files(len(bundle.folds)), bundle.folds, strict=True))}
        for name, model in models.items():
            save_model(model, part / name)
        bundle.windows[list(MANIFEST_COLUMNS)].to_csv(
            part / "windows.tsv.gz", sep="\t", index=False, lineterminator="\n",
            compression={"method": "gzip", "mtime": 0},
        )  # fmt: skip
        files = {name: sha256(part / name) for name in (*models, "windows.tsv.gz")}
        about = {
            "format": FORMAT, "name": bundle.name, "model": bundle.model_name, "k": bundle.k,
            "window_length": bundle.window_length, "min_length": bundle.min_length, "rescaled": bundle.rescaled,
            "canonical": bundle.canonical, "n_folds": len(bundle.folds),
            "threshold": bundle.threshold, "protocol": bundle.protocol, "synthetic": bundle.synthetic,
            "train_chromosomes": bundle.chromosomes("train"), "test_chromosomes": bundle.chromosomes("test"),
            "gc": bundle.gc, "metrics": bundle.metrics, "other_splits": bundle.other_splits, "files": files,
            **bundle.provenance,
            "calibration": bundle.calibration.to_dict() if bundle.calibration else None,
            "vocabulary": bundle.words(),
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
    models = ["model.skops", *_fold_files(about["n_folds"])]
    if set(about["files"]) != {*models, "windows.tsv.gz"}:
        raise InputError(f"{path}: files: found {', '.join(about['files']) or 'none'}, "
                         f"expected {', '.join(models)} and windows.tsv.gz")  # fmt: skip
    for name, found in about["files"].items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: missing")
        if sha256(folder / name) != found:
            raise InputError(f"{folder / name}: changed since the bundle was written (another SHA-256)")
    model, *folds = (_read_model(folder / name, about) for name in models)
    provenance: dict[str, Any] = {name: about[name] for name in ("parameters", "inputs", "versions") if name in about}
    try:
        calibration = None if about.get("calibration") is None else Calibration.from_dict(about["calibration"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Bundle(
        about["name"], about["model"], model, tuple(folds), about["k"], about["window_length"], about["min_length"],
        about["rescaled"], about["canonical"], float(about["threshold"]), calibration, about["protocol"],
        _read_windows(folder / "windows.tsv.gz"), about["synthetic"], (about["gc"][0], about["gc"][1]),
        about["metrics"], about["other_splits"], provenance,
    )  # fmt: skip


def _read_windows(path: Path) -> pd.DataFrame:
    table = read_table(path, MANIFEST_COLUMNS)
    known = table["side"].isin(SIDES) & table["label"].isin([0, 1]) & (table["chrom"] != "")
    if not (known & (table["start"] >= 0) & (table["start"] < table["end"])).all():
        raise InputError(f"{path}: found a row that is no window, expected chrom, 0 <= start < end, label 0 or 1, and "
                         f"{', '.join(SIDES)}")  # fmt: skip
    return table


def _fold_files(n: int) -> list[str]:
    return [f"fold_{number}.skops" for number in range(1, n + 1)]


def _read_model(path: Path, about: Mapping[str, Any]) -> Any:
    model = load_model(path)
    kind = model[-1] if isinstance(model, Pipeline) else model
    if not isinstance(kind, _KINDS[about["model"]]):
        raise InputError(f"{path}: found {type(kind).__name__}, expected a {about['model']}")
    n_features = getattr(model, "n_features_in_", None)
    if n_features != len(about["vocabulary"]):
        raise InputError(f"{path}: found a model of {n_features} words, expected {len(about['vocabulary'])}")
    return model


def _check_fields(about: Mapping[str, Any], path: Path) -> None:
    if about.get("format") != FORMAT:
        raise InputError(f"{path}: found format {about.get('format')!r}, expected {FORMAT}: made by another version")
    for name, kind in _FIELDS.items():
        value = about.get(name)
        if not isinstance(value, (int, float) if kind is float else kind) or (kind is int and value is True):
            raise InputError(f"{path}: {name}: found {value!r:.40}, expected {kind.__name__}")
    for name in ("name", "protocol"):
        if not _NAME.fullmatch(about[name]):
            raise InputError(f"{path}: {name}: found {about[name]!r:.40}, expected letters, digits, blank, '_-.'")
    if len(about["gc"]) != 2 or not all(isinstance(share, float) and 0 <= share <= 1 for share in about["gc"]):
        raise InputError(f"{path}: gc: found {about['gc']!r:.40}, expected two shares")
    if about["model"] not in _KINDS:
        raise InputError(f"{path}: model: found {about['model']!r:.40}, expected one of {', '.join(_KINDS)}")
    known = canonical_vocabulary if about["canonical"] else vocabulary
    if not 1 <= about["k"] <= 10 or about["vocabulary"] != known(about["k"]):
        raise InputError(f"{path}: k = {about['k']} and vocabulary do not fit one another")
    if not about["k"] <= about["min_length"] <= about["window_length"] <= _LONGEST:
        raise InputError(f"{path}: expected k <= min_length <= window_length, found {about['k']}, "
                         f"{about['min_length']} and {about['window_length']}")  # fmt: skip
    _check_numbers(about, path)


def _check_numbers(about: Mapping[str, Any], path: Path) -> None:
    if not 0 < about["threshold"] < 1:
        raise InputError(f"{path}: threshold: found {about['threshold']}, expected a number between 0 and 1")
    if not 0 <= about["n_folds"] <= _MAX_FOLDS or about["n_folds"] == 1:
        raise InputError(f"{path}: n_folds: found {about['n_folds']}, expected 0 or 2 to {_MAX_FOLDS}")
    if about.get("calibration") is None and about["model"] != "forest":
        raise InputError(f"{path}: calibration: found none, expected one: only a forest's votes are taken as they are")
    for name, first in (("metrics", "windows"), ("other_splits", "split")):
        for row in about[name]:
            kinds = {first: str, "metric": str, "value": float | int, "low": float | int, "high": float | int}
            if not isinstance(row, dict) or set(row) != set(kinds) or not all(
                isinstance(row[column], kind) for column, kind in kinds.items()
            ):  # fmt: skip
                raise InputError(f"{path}: {name}: found {row!r:.40}, expected {first}, metric, value, low and high")


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
