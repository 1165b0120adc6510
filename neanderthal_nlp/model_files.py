"""Files of models, looked through before a library loads them: they may come from anybody.

scikit-learn's models are saved by skops, networks by Keras: zip archives both, without pickle. What either library
would make of an archive is decided by names and numbers in it. Here names are held against those that the package's
own models have, and sizes against what the file holds, so that to load a file runs no foreign code and takes no more
memory than its model does.
"""

from __future__ import annotations

import io
import json
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import FOLDED, SMALL, check_file

SKLEARN_TYPES = frozenset({
    "sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss.link.Interval", "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss", "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.linear_model._logistic.LogisticRegression", "sklearn.naive_bayes.MultinomialNB",
    "sklearn.pipeline.Pipeline", "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._label.LabelEncoder", "sklearn.svm._classes.LinearSVC",
    "sklearn.tree._classes.DecisionTreeClassifier", "sklearn.tree._tree.Tree",
})  # fmt: skip
"""What the package's scikit-learn models are made of, beside numbers, text and arrays."""
KERAS_CLASSES = frozenset({
    ("keras", "DTypePolicy"), ("keras", "Functional"), ("keras", "Sequential"),
    ("keras.src.models.functional", "Functional"), ("keras.regularizers", "L1"), (None, "__keras_tensor__"),
    *(("keras.initializers", name) for name in ("GlorotUniform", "Identity", "Orthogonal", "RandomUniform", "Zeros")),
    *(("keras.layers", name) for name in (
        "Activation", "Average", "Bidirectional", "Concatenate", "Conv1D", "Dense", "Embedding",
        "Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "InputLayer", "LSTM", "MaxPooling1D")),
    *(("keras.optimizers", name) for name in ("Adam", "SGD")),
    ("neanderthal_nlp.convolutional", "ReverseComplement"),
})  # fmt: skip
"""Module and class of what the package's networks are made of."""
_PLAIN_TYPES = re.compile(
    r"builtins\.(dict|list|tuple|str|int|float|bool|NoneType|type)"
    r"|numpy\.(ndarray|dtype|bool_?|u?int\d+|float\d+|str_)"
    r"|numpy\.random\.(_generator\.Generator|_pcg64\.PCG64|mtrand\.RandomState|_mt19937\.MT19937)"
)
_NODES = frozenset({"NdArrayNode", "ListNode", "TreeNode", "LossNode", "JsonNode", "DictNode", "RandomGeneratorNode",
                    "RandomStateNode", "TypeNode", "TupleNode", "ObjectNode", "DTypeNode"})  # fmt: skip
_REGISTERED = {"Functional": "Functional", "ReverseComplement": "neanderthal_nlp>ReverseComplement"}
_KERAS_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_MOST_MEMBERS, _MOST_GROUPS = 100_000, 1000
_LARGEST_CONFIG = 1 << 20
_SLACK, _FEW = 4, 1 << 20
_NO_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError)
"""What zipfile meets damage with."""


def minor(version: str) -> str:
    """Major and minor number of a version of a library, which tell whether it reads a model as it was meant."""
    return ".".join(version.split(".")[:2])


@contextmanager
def open_archive(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive of which every member is whole and none is out of proportion to the file.

    Raises
    ------
    InputError
        The file cannot be read, is not such an archive, has two members of one name, or holds more than 16 MiB and
        more than a hundred times its size.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size, names = sum(member.file_size for member in members), {member.filename for member in members}
            foreign = {member.compress_type for member in members} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
            if len(names) < len(members) or len(members) > _MOST_MEMBERS or foreign:
                raise zipfile.BadZipFile("members with one name, too many or compressed in an unknown way")
            if size > max(SMALL, FOLDED * Path(path).stat().st_size):
                raise zipfile.BadZipFile(f"it holds more than {FOLDED} times its size")
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{damaged} is damaged")
            yield archive
    except InputError:
        raise
    except _NO_ZIP as error:
        raise InputError(f"{path}: truncated, damaged or not a zip archive ({error}), expected a saved model") from None


def check_skops(path: str | Path) -> None:
    """Refuse a skops file that holds anything but what the package's scikit-learn models are made of.

    Raises
    ------
    InputError
        It is no such archive, names another type, or has an array that is not what its header says.
    """
    with open_archive(path) as archive:
        schema = _read_json(archive, "schema.json", path)
        owners: dict[str, Any] = {}
        for node in _walk(schema):
            if not node.keys() & {"__class__", "__module__", "__loader__"}:
                continue
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if name not in SKLEARN_TYPES and not _PLAIN_TYPES.fullmatch(name):
                raise InputError(f"{path}: found the type {name:.80}, expected a model of this package")
            if "__loader__" in node and node["__loader__"] not in _NODES:
                raise InputError(f"{path}: found {node['__loader__']!s:.80}, expected a model of this package")
            # skops reads a member once for every object that names it.
            if "file" in node and owners.setdefault(str(node["file"]), node.get("__id__")) != node.get("__id__"):
                raise InputError(f"{path}: found two arrays in {node['file']!s:.80}, expected one")
        for member in archive.infolist():
            if member.filename != "schema.json":
                _check_array(archive, member, path)


def _read_json(archive: zipfile.ZipFile, name: str, path: str | Path) -> Any:
    try:
        return json.loads(archive.read(name))
    except (KeyError, ValueError, RecursionError):
        raise InputError(f"{path}: found no {name} that can be read, expected a saved model") from None


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON text, the outer ones first."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str | Path) -> None:
    """Refuse an array whose header tells of other bytes than follow it, or of objects."""
    try:
        with archive.open(member) as handle, warnings.catch_warnings(action="error"):
            version = np.lib.format.read_magic(handle)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, _, dtype = read(handle)
            expected = handle.tell() + math.prod(shape) * dtype.itemsize
    except Exception:  # a header is an expression of Python's, and parsed as such
        raise InputError(f"{path}: {member.filename:.80}: found no array, expected one") from None
    if dtype.hasobject or min(shape, default=1) < 0 or expected != member.file_size:
        raise InputError(f"{path}: {member.filename:.80}: found {member.file_size:,} bytes, expected an array "
                         f"{shape!s:.40} of {dtype!s:.40}")  # fmt: skip


def check_nodes(left: np.ndarray, right: np.ndarray, feature: np.ndarray, *, n_nodes: int, n_features: int) -> bool:
    """Whether the inner nodes of a tree lead to its leaves; scikit-learn follows them unchecked.

    Parameters
    ----------
    left, right : ndarray of int, shape (n_nodes,)
        Children of each node; the left one of a leaf is -1.
    feature : ndarray of int, shape (n_nodes,)
        Column that an inner node looks at.
    n_nodes, n_features : int
    """
    numbers = np.arange(n_nodes)
    inner = left != -1
    ahead = [(child[inner] > numbers[inner]) & (child[inner] < n_nodes) for child in (left, right)]
    known = (feature[inner] >= 0) & (feature[inner] < n_features)
    return n_nodes > 0 and bool(np.all(ahead)) and bool(known.all())


def check_keras(path: str | Path) -> None:
    """Refuse a `.keras` file that holds anything but what the package's networks are made of.

    Keras' safe mode refuses code in a file, not every way to name what lies elsewhere: classes of an explicit list
    are let through.

    Raises
    ------
    InputError
        It is no such archive, names another class, or its layers have other weights than the file.
    """
    with open_archive(path) as archive:
        found = set(archive.namelist())
        if found != _KERAS_MEMBERS:
            raise InputError(f"{path}: found {', '.join(sorted(found)):.200}, expected a Keras model with "
                             f"{', '.join(sorted(_KERAS_MEMBERS))}")  # fmt: skip
        if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise InputError(f"{path}: found a config.json of more than {_LARGEST_CONFIG:,} bytes, expected less")
        config = _read_json(archive, "config.json", path)
        stored = _count_stored(archive.read("model.weights.h5"), path)
    needed = 0
    for part in _walk(config):
        if part.keys() & {"class_name", "module", "registered_name"}:
            _check_class(part, path)
            needed += _count_weights(part, path)
    if needed > _SLACK * stored + _FEW:
        raise InputError(f"{path}: found layers of {needed:,} weights, expected no more than the file has ({stored:,})")


def _check_class(part: Mapping[str, Any], path: str | Path) -> None:
    module, name = part.get("module"), part.get("class_name")
    if not isinstance(name, str) or not isinstance(module, str | None) or (module, name) not in KERAS_CLASSES or (
        part.get("registered_name") not in (None, _REGISTERED.get(name))
    ):  # fmt: skip
        raise InputError(f"{path}: found {module!s:.80}.{name!s:.80}, expected a Keras model "
                         "that can be loaded safely, of layers of this package's networks")  # fmt: skip


def _count_weights(part: Mapping[str, Any], path: str | Path) -> int:
    """Weights that a layer makes when it is loaded."""
    name = part["class_name"]
    if name not in ("Dense", "Embedding", "LSTM", "Conv1D"):
        return 0
    try:
        config, width = part["config"], part["build_config"]["input_shape"][-1]
        match name:
            case "Embedding":
                sizes = [config["input_dim"], config["output_dim"]]
            case "Conv1D":
                sizes = [config["filters"], width, *config["kernel_size"]]
            case _:
                sizes = [config["units"], width]
        if not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError
    except (KeyError, TypeError, ValueError, IndexError):
        raise InputError(f"{path}: found a layer {name} without its sizes, expected whole numbers") from None
    return 4 * sizes[0] * (sum(sizes) + 1) if name == "LSTM" else math.prod(sizes) + sizes[0]


def _count_stored(data: bytes, path: str | Path) -> int:
    """Numbers in an HDF5 file, all of which lie in it, as they are."""
    count = size = n_groups = 0
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            waiting = [file["/"]]
            while waiting:
                group = waiting.pop()
                n_groups += 1
                for name in group:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or n_groups > _MOST_GROUPS:
                        raise ValueError(f"{name} lies elsewhere")
                    entry = group[name]
                    if isinstance(entry, h5py.Group):
                        waiting.append(entry)
                        continue
                    if entry.is_virtual or entry.external or entry.dtype.kind not in "biuf":
                        raise ValueError(f"{name} is no array that lies in the file")
                    count, size = count + entry.size, size + entry.size * entry.dtype.itemsize
                    if size > len(data):
                        raise ValueError(f"{name} is larger than the file")
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: found no weights of a Keras model that can be read ({error!s:.200})") from None
    return count
