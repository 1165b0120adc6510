"""Readers of models, and files to mutate for them; see `hostile`."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hostile import Reader, mutate, mutate_folded

_N_WORDS = 16
_SKOPS = (b"NdArrayNode", b"ObjectNode", b"TreeNode", b"MethodNode", b"TypeNode", b"null", b"-1", b"1e999", b"\"json\"",
          b"\"os\"", b"builtins", b"eval", b"999999999")  # fmt: skip
_NUMBERS = re.compile(rb"\b\d+\b")
_KERAS = (b"\"Lambda\"", b"\"keras.utils\"", b"\"builtins\"", b"null", b"1000000000", b"\"Dense\"", b"\"__lambda__\"",
          b"\"function\"", b"\"units\"", b"-1", b"0.5", b"[]", b"{}", b"relu", b"true")  # fmt: skip

_BUNDLE = (b"null", b"[]", b"{}", b"true", b"../../x", b"test", b"chr1")


def folded(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return file.getvalue()


def unfolded(data: bytes) -> dict[str, bytes]:
    """Members of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _mutate_archive(*words: bytes) -> Callable[[bytes, random.Random], bytes]:
    """The archive itself now and then; mostly a member of it, whose checksum then fits."""

    def change(data: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return mutate(data, rng, words)
        members = unfolded(data)
        name = rng.choice(sorted(members))
        if name.endswith(".json") and rng.random() < 0.6:
            members[name] = _change_number(members[name], rng)
        elif name.endswith(".npy") and rng.random() < 0.7:  # past the header: the array's own numbers
            head, body = members[name][:128], bytearray(members[name][128:])
            for _ in range(rng.choice((1, 2, 8))):
                place = rng.randrange(len(body)) if body else 0
                body[place : place + 1] = bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))])
            members[name] = head + bytes(body)
        else:
            members[name] = mutate(members[name], rng, words)
        return folded(members)

    return change


def _change_number(data: bytes, rng: random.Random) -> bytes:
    found = list(_NUMBERS.finditer(data))
    if not found:
        return mutate(data, rng)
    start, end = rng.choice(found).span()
    number = rng.choice((b"0", b"1", b"-1", b"2", b"1000000000", b"null", b"1e9", b"99999999999999999999"))
    return data[:start] + number + data[end:]


@cache
def skops_models() -> dict[str, bytes]:
    """One small model of each kind, as it is saved."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    from neanderthal_nlp.persistence import save_model

    rng = np.random.default_rng(1)
    y = np.arange(80) % 2
    X = rng.integers(0, 9, (80, _N_WORDS)) + y[:, None] * (np.arange(_N_WORDS) % 2)
    models = {
        "forest": RandomForestClassifier(3, max_depth=4, random_state=1),
        "boosted_trees": HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4, random_state=1),
        "logistic_regression": make_pipeline(StandardScaler(), LogisticRegression()),
        "linear_svm": make_pipeline(StandardScaler(), LinearSVC()),
        "naive_bayes": MultinomialNB(),
    }
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            path = Path(folder) / f"{name}.skops"
            save_model(model.fit(X, y), path)
            found[path.name] = path.read_bytes()
    return found


def score_skops(model: Any) -> None:
    """Score what a user could give: no node of a tree may be followed out of the tree."""
    X = np.random.default_rng(2).integers(0, 99, (50, _N_WORDS)).astype(np.float64)
    getattr(model, "decision_function", None) and model.decision_function(X)
    hasattr(model, "predict_proba") and model.predict_proba(X)
    assert model.n_features_in_ == _N_WORDS


@cache
def keras_models() -> dict[str, bytes]:
    """One small network of each kind, as it is saved."""
    from neanderthal_nlp.convolutional import build_cnn
    from neanderthal_nlp.network import build_mlp
    from neanderthal_nlp.recurrent import build_lstm

    models = {"mlp": build_mlp(_N_WORDS, hidden_units=8), "lstm": build_lstm(k=2, length=20, units=3),
              "cnn": build_cnn(length=20, filters=3, hidden_units=3, seed=1)}  # fmt: skip
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            path = Path(folder) / f"{name}.keras"
            model.save(path)
            found[path.name] = path.read_bytes()
    return found


def _load_skops(path: Path) -> Any:
    from neanderthal_nlp.persistence import load_model

    return load_model(path)


def _load_keras(path: Path) -> Any:
    from neanderthal_nlp.training import load_model

    return load_model(path)


def _check_keras(model: Any) -> None:
    assert model.count_params() < 1 << 20
    assert model.output_shape == (None, 1)


@cache
def bundles() -> dict[str, bytes]:
    """A bundle of one word length, its folder as a zip archive."""
    import pandas as pd

    from neanderthal_nlp.bundle import Bundle, write_bundle
    from neanderthal_nlp.calibration import Calibration
    from neanderthal_nlp.persistence import load_model

    windows = pd.DataFrame({
        "chrom": ["chr1", "chr2"] * 4, "start": range(8), "end": range(100, 108), "label": [0, 1] * 4,
        "side": ["train"] * 4 + ["test"] * 4,
    })  # fmt: skip
    curves = Calibration(*(np.array(part, dtype=float) for part in ([1000, 2000], [-1, -1], [1, 1], [[1, 1], [1, 1]],
                                                                     [[0, 0], [0, 0]])))  # fmt: skip
    metrics = [{"windows": "held out", "metric": "accuracy", "value": 0.6, "low": 0.5, "high": 0.7}]
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for name in ("logistic_regression", "forest"):
            path = Path(place) / f"{name}.skops"
            path.write_bytes(skops_models()[path.name])
            model = load_model(path)
            folds = (model, model) if name == "logistic_regression" else ()
            bundle = Bundle("audited", name, model, folds, 2, 2000, 1000, True, False, 0.5, curves, "chromosome",
                            windows, False, (0.4, 0.5), metrics, [], {"parameters": {"seed": 1}})  # fmt: skip
            folder = Path(place) / name
            write_bundle(bundle, folder)
            found[f"{name}.bundle"] = folded({file.name: file.read_bytes() for file in sorted(folder.iterdir())})
    return found


def _mutate_bundle(data: bytes, rng: random.Random) -> bytes:
    """A file of the folder; mostly with its hash in `bundle.json` made to fit."""
    members = unfolded(data)
    name = rng.choice((*sorted(members), "bundle.json", "bundle.json"))
    if name == "bundle.json" and rng.random() < 0.5:
        members[name] = _change_number(members[name], rng)
    elif name.endswith(".skops"):
        members[name] = _mutate_archive(*_SKOPS)(members[name], rng)
    else:
        members[name] = mutate_folded(members[name], rng, _BUNDLE)
    if name not in ("bundle.json", "CARD.md") and rng.random() < 0.9:
        about = json.loads(members["bundle.json"])
        about["files"][name] = hashlib.sha256(members[name]).hexdigest()
        members["bundle.json"] = json.dumps(about).encode()
    return folded(members)


def _read_bundle(path: Path) -> Any:
    from neanderthal_nlp.bundle import read_bundle

    folder = Path(f"{path}.folder")
    folder.mkdir()
    for name, content in unfolded(path.read_bytes()).items():
        (folder / name).write_bytes(content)
    return read_bundle(folder)


def _check_bundle(bundle: Any) -> None:
    from neanderthal_nlp.bundle import format_card, score_counts, score_margins
    from neanderthal_nlp.calibration import calibrate

    counts = np.random.default_rng(3).integers(0, 99, (5, _N_WORDS))
    scores, margins = score_counts(bundle, counts), score_margins(bundle, counts)
    if bundle.calibration is not None:
        calibrate(bundle.calibration, scores, np.full(5, 1000), margins=margins)
    format_card(bundle)
    json.dumps([bundle.metrics, bundle.other_splits, bundle.provenance]).encode()
    assert Path(bundle.name).name == bundle.name


READERS = {
    "skops": Reader(skops_models, _load_skops, mutate=_mutate_archive(*_SKOPS), check=score_skops),
    "keras": Reader(
        keras_models, _load_keras, mutate=_mutate_archive(*_KERAS), check=_check_keras, mib=2048, seconds=30
    ),
    "bundle": Reader(bundles, _read_bundle, mutate=_mutate_bundle, check=_check_bundle),
}
