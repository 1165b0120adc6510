"""Models that somebody made to run code, to crash the process or to take all memory."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hostile_models
import numpy as np
import pytest
from hostile_models import folded, unfolded

from neanderthal_nlp.bundle import read_bundle
from neanderthal_nlp.calibration import Calibration
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.model_files import check_nodes

READERS = {name: hostile_models.READERS[name].read for name in ("skops", "keras")}


class Payload:
    """A pickle that makes the file `ran` when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, ("ran", "w")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("ran").exists()


def refused(name: str, content: bytes) -> str:
    """Message of the refusal of a file."""
    path = Path(f"model.{name}")
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        READERS[name](path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert sorted(set(os.listdir()) - {path.name}) == []
    return message


def pickled_array() -> bytes:
    with io.BytesIO() as file:
        np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)
        return file.getvalue()


def test_the_payload_would_run():
    pickle.loads(pickle.dumps(Payload())).close()  # noqa: S301
    Path("ran").unlink()


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("content", [pickle.dumps(Payload()), pickled_array(), b"PK\x03\x04" + pickle.dumps(Payload())])
def test_a_pickle_is_not_read(name, content):
    refused(name, content)


@pytest.mark.parametrize("name", sorted(READERS))
def test_pipes_and_devices_are_refused_at_once(name):
    os.mkfifo("pipe")
    for place in ("pipe", "/dev/zero", "/dev/null", ".", "none", "\0", "x" * 5000):
        with pytest.raises(InputError):
            READERS[name](Path(place))


# Archives


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_zip_bomb_is_refused(name):
    member = {"skops": "schema.json", "keras": "config.json"}[name]
    assert "more than 100 times its size" in refused(name, folded({member: b" " * (64 << 20)}))


@pytest.mark.parametrize("name", sorted(READERS))
def test_members_of_one_name_are_refused(name):
    members = unfolded(next(iter(seeds(name).values())))
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(member, content)
        refused(name, file.getvalue())


@pytest.mark.parametrize("member", ["../ran", "/tmp/ran", "assets/ran", "ran", "_layer_checkpoint_dependencies/x"])  # noqa: S108
@pytest.mark.parametrize("name", sorted(READERS))
def test_a_member_that_no_model_has_is_refused(name, member):
    for content in seeds(name).values():
        refused(name, folded(unfolded(content) | {member: b"x"}))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_compress_are_refused(method):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", method) as archive:
            for member, content in unfolded(hostile_models.skops_models()["forest.skops"]).items():
                archive.writestr(member, content)
        assert "compressed in an unknown way" in refused("skops", file.getvalue())


def seeds(name: str) -> dict[str, bytes]:
    return dict(hostile_models.READERS[name].seeds())


# skops


def changed(change: Callable[[Any], Any], model: str = "naive_bayes.skops") -> bytes:
    """A model whose schema was changed."""
    members = unfolded(hostile_models.skops_models()[model])
    schema = json.loads(members["schema.json"])
    change(schema)
    return folded(members | {"schema.json": json.dumps(schema).encode()})


@pytest.mark.parametrize(
    "node",
    [
        {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": "system"},
        {"__class__": "function", "__module__": "builtins", "__loader__": "FunctionNode", "content": "eval"},
        {"__class__": "open", "__module__": "builtins", "__loader__": "TypeNode"},
        {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode",
         "attrs": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}},
        {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {}},
        {"__class__": "FunctionTransformer", "__module__": "sklearn.preprocessing._function_transformer",
         "__loader__": "ObjectNode", "content": None},
        {"__class__": "MultinomialNB", "__module__": "sklearn.naive_bayes", "__loader__": "MethodNode",
         "content": {"func": "fit", "obj": None}},
        {"__class__": ["dict"], "__module__": "builtins", "__loader__": "DictNode", "content": {}},
        {"__class__": "dict", "__module__": "builtins", "__loader__": None, "content": {}},
        {"__module__": "os"},
    ],
)  # fmt: skip
def test_a_type_of_no_model_is_refused(node):
    def put(schema: Any) -> None:
        schema["content"]["content"]["extra"] = {**node, "__id__": 1}

    assert "expected a model of this package" in refused("skops", changed(put))


def test_an_array_may_not_be_objects_or_larger_than_its_file():
    members = unfolded(hostile_models.skops_models()["naive_bayes.skops"])
    name = next(member for member in members if member.endswith(".npy"))
    assert "found" in refused("skops", folded(members | {name: pickled_array()}))
    for shape in ((10**12,), (2**62, 4), (-1,), (2, -3), (0, 2**62)):
        with io.BytesIO() as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            refused("skops", folded(members | {name: file.getvalue() + bytes(8)}))
    assert "two arrays in" in refused("skops", folded(members | {"schema.json": twice(members["schema.json"])}))


def twice(schema: bytes) -> bytes:
    """A schema in which two objects name one array."""
    found = json.loads(schema)
    arrays = [node for node in found["content"]["content"].values() if node["__loader__"] == "NdArrayNode"]
    arrays[0]["file"] = arrays[1]["file"]
    return json.dumps(found).encode()


def test_a_schema_that_is_nested_without_end_is_refused():
    members = unfolded(hostile_models.skops_models()["naive_bayes.skops"])
    for text in (b"[" * 100_000, b'{"content":' * 100_000, b"{}", b"null", b"3", b""):
        refused("skops", folded(members | {"schema.json": text}))


def forged(model: str, change: Callable[[np.ndarray], None]) -> bytes:
    """A model whose first table of nodes was changed."""
    members = unfolded(hostile_models.skops_models()[model])
    for name, content in members.items():
        if name.endswith(".npy"):
            table = np.load(io.BytesIO(content))
            if table.dtype.names and len(table) > 2:
                change(table)
                with io.BytesIO() as file:
                    np.save(file, table)
                    return folded(members | {name: file.getvalue()})
    raise AssertionError(model)


def put(field: str, value: int) -> Callable[[np.ndarray], None]:
    def change(table: np.ndarray) -> None:
        table[field][0] = value

    return change


@pytest.mark.parametrize("child", [0, 1 << 30, -5])
@pytest.mark.parametrize("side", ["left_child", "right_child"])
def test_a_tree_of_a_forest_leads_to_its_leaves(side, child):
    assert "leads nowhere" in refused("skops", forged("forest.skops", put(side, child)))


@pytest.mark.parametrize("feature", [16, 1 << 40, -1, -(1 << 40)])
def test_a_tree_of_a_forest_looks_at_columns_that_there_are(feature):
    assert "leads nowhere" in refused("skops", forged("forest.skops", put("feature", feature)))


@pytest.mark.parametrize(
    ("field", "value"),
    [("left", 0), ("left", 1 << 30), ("right", 0), ("right", 2**32 - 1), ("feature_idx", 16), ("feature_idx", -1),
     ("is_categorical", 1)],
)  # fmt: skip
def test_a_boosted_tree_leads_to_its_leaves(field, value):
    assert "leads nowhere" in refused("skops", forged("boosted_trees.skops", put(field, value)))


def test_nodes_are_followed_as_a_loop_would():
    rng = np.random.default_rng(1)
    for _ in range(300):
        n = int(rng.integers(1, 6))
        left, right = rng.integers(-1, n + 1, (2, n))
        feature = rng.integers(0, 3, n)

        def sound(node: int, path: tuple[int, ...], left=left, right=right, feature=feature, n=n) -> bool:
            if left[node] == -1:
                return True
            children = (int(left[node]), int(right[node]))
            return feature[node] < 2 and all(
                0 <= child < n and child not in (*path, node) and sound(child, (*path, node)) for child in children
            )

        if check_nodes(left, right, feature, n_nodes=n, n_features=2):
            assert all(sound(node, ()) for node in range(n))


def test_a_forest_of_more_trees_than_it_has_is_refused():
    def grow(schema: Any) -> None:
        schema["content"]["content"]["n_estimators"]["content"] = "1000000000"

    refused("skops", changed(grow, "forest.skops"))


# Keras


def rewritten(change: Callable[[dict[str, Any]], None], model: str = "mlp.keras") -> bytes:
    """A network whose config was changed."""
    members = unfolded(hostile_models.keras_models()[model])
    config = json.loads(members["config.json"])
    change(config)
    return folded(members | {"config.json": json.dumps(config).encode()})


def layer(config: dict[str, Any], number: int = 1) -> dict[str, Any]:
    return config["config"]["layers"][number]


def entry(module: str | None, name: str, registered: str | None = None, /, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


@pytest.mark.parametrize(
    "found",
    [
        entry("keras.layers", "Lambda", function=entry("builtins", "__lambda__", code="4wEAAAA=")),
        entry("keras.layers", "Lambda", function=entry("builtins", "function", "function"), arguments={}),
        entry("keras.layers", "TorchModuleWrapper", module="x"),
        entry("keras.layers", "TFSMLayer", filepath="x", call_endpoint="serve"),
        entry("keras.layers", "StringLookup", vocabulary="/etc/passwd"),
        entry("keras.utils", "get_file", origin="http://127.0.0.1:9/x", fname="ran"),
        entry("keras.config", "enable_unsafe_deserialization"),
        entry("os", "system", command="touch ran"),
        entry("subprocess", "run", args=["touch", "ran"]),
        entry("builtins", "open", file="ran", mode="w"),
        entry("builtins", "function", "function"),
        entry("keras.layers", "Dense", "mine>Dense", units=1),
        entry(None, "Dense", units=1),
        entry("keras", "Dense"),
        entry(None, "__tensor__", value=[1], dtype="float32"),
        {"class_name": "Dense"},
        {"module": "os"},
        {"class_name": ["Dense"], "module": "keras.layers"},
    ],
    ids=lambda found: str(found.get("class_name")),
)
def test_a_class_of_no_network_is_refused(found):
    def replace(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] = found

    def hide(config: dict[str, Any]) -> None:
        layer(config)["config"]["activation"] = found

    def compile_with(config: dict[str, Any]) -> None:
        config["compile_config"]["loss"] = found

    for change in (replace, hide, compile_with):
        assert "can be loaded safely" in refused("keras", rewritten(change))


@pytest.mark.parametrize("units", [10**9, 2**63, -1, 0, 1.5, True, None, "8", [8]])
def test_a_layer_has_no_more_weights_than_the_file(units):
    def grow(config: dict[str, Any]) -> None:
        layer(config)["config"]["units"] = units

    refused("keras", rewritten(grow))


@pytest.mark.parametrize(("model", "number", "key", "value"), [
    ("lstm.keras", 1, "input_dim", 10**9), ("lstm.keras", 1, "output_dim", 10**9), ("cnn.keras", 1, "input_dim", 10**9),
])  # fmt: skip
def test_a_table_has_no_more_rows_than_the_file(model, number, key, value):
    def grow(config: dict[str, Any]) -> None:
        layer(config, number)["config"][key] = value

    assert "expected no more than the file has" in refused("keras", rewritten(grow, model))


def test_a_layer_tells_its_sizes():
    def drop(config: dict[str, Any]) -> None:
        del layer(config)["build_config"]

    def widen(config: dict[str, Any]) -> None:
        layer(config)["build_config"]["input_shape"] = [None, 10**9]

    def widen_all(config: dict[str, Any]) -> None:
        layer(config, 0)["config"]["batch_shape"] = [None, 10**9]

    assert "without its sizes" in refused("keras", rewritten(drop))
    assert "expected no more than the file has" in refused("keras", rewritten(widen))
    refused("keras", rewritten(widen_all))


def weights(change: Callable[[h5py.File], None]) -> bytes:
    """A network whose weights were changed."""
    members = unfolded(hostile_models.keras_models()["mlp.keras"])
    with io.BytesIO(members["model.weights.h5"]) as file:
        with h5py.File(file, "r+") as opened:
            del opened["layers/dense/vars/0"]
            change(opened)
        return folded(members | {"model.weights.h5": file.getvalue()})


@pytest.mark.parametrize("form", ["external link", "soft link", "elsewhere", "virtual", "huge", "objects", "ring"])
def test_weights_lie_in_the_file(form):
    Path("secret").write_bytes(np.arange(128, dtype=np.float32).tobytes())

    def change(file: h5py.File) -> None:
        group = file["layers/dense/vars"]
        match form:
            case "external link":
                group["0"] = h5py.ExternalLink("secret", "/")
            case "soft link":
                group["0"] = h5py.SoftLink("/layers/dense/vars/1")
            case "elsewhere":
                group.create_dataset("0", (16, 8), "f4", external=[("secret", 0, 512)])
            case "virtual":
                layout = h5py.VirtualLayout((16, 8), "f4")
                layout[:] = h5py.VirtualSource("secret", "x", (16, 8))
                group.create_virtual_dataset("0", layout)
            case "huge":
                group.create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(16, 8))
            case "objects":
                group["0"] = ["text"]
            case "ring":
                group["0"] = file["layers"]

    content = weights(change)
    Path("secret").unlink()
    refused("keras", content)


# Bundles


def bundle(name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """A folder with a bundle whose JSON was changed."""
    folder = Path("bundle")
    folder.mkdir()
    for member, content in unfolded(hostile_models.bundles()[f"{name}.bundle"]).items():
        (folder / member).write_bytes(content)
    path = folder / "bundle.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    return folder


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "../x"), ("name", "a\nb"), ("name", "\""), ("name", ""), ("protocol", "\t"), ("n_folds", 10**9),
     ("n_folds", -1), ("files", {"../../x": "0"}), ("files", {}), ("k", 10**9), ("k", True), ("vocabulary", []),
     ("window_length", 10**400),
     ("threshold", "0.5"), ("threshold", 2), ("gc", [1]), ("gc", [True, 0.5]), ("metrics", [3]), ("metrics", {}),
     ("metrics", [{"windows": [], "metric": "x", "value": 1, "low": 1, "high": 1}]),
     ("other_splits", [{"split": "x", "metric": "auroc", "value": "1", "low": 1, "high": 1}]),
     ("calibration", []), ("calibration", {"lengths": [[1]]}), ("model", "x"), ("model", None), ("format", 10**9)],
)  # fmt: skip
def test_a_bundle_that_says_something_else_is_refused(key, value):
    folder = bundle("logistic_regression", lambda about: about.update({key: value}))
    with pytest.raises(InputError, match=r"bundle") as caught:
        read_bundle(folder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "found",
    [None, 3, [], {"lengths": 10**400}, *(dict.fromkeys(Calibration._fields, part) for part in ([1e309], "1", [[]]))],
)
def test_a_calibration_is_finite_numbers(found):
    with pytest.raises(InputError, match="calibration: "):
        Calibration.from_dict(found)
