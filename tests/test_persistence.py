import pickle
import warnings
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from neanderthal_nlp import linear
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.forest import fit_forest, importances
from neanderthal_nlp.parameters import LINEAR_MODELS
from neanderthal_nlp.persistence import load_model, save_model

NAMES = ("forest", *LINEAR_MODELS)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    return (rng.poisson(10, (200, 16)) + 3 * y[:, None]).astype(np.int32), y


@pytest.fixture(scope="module")
def models(rows):
    fitted = {name: linear.fit_linear(name, *rows, seed=0) for name in LINEAR_MODELS}
    return {"forest": fit_forest(*rows, n_estimators=10, seed=0, n_jobs=1), **fitted}


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_keeps_every_score(name, models, rows, tmp_path):
    X, _ = rows
    save_model(models[name], tmp_path / "model.skops")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_model(tmp_path / "model.skops")
    assert type(loaded) is type(models[name])
    np.testing.assert_array_equal(linear.scores(loaded, X), linear.scores(models[name], X))
    np.testing.assert_array_equal(loaded.predict(X), models[name].predict(X))
    assert [path.name for path in tmp_path.iterdir()] == ["model.skops"]


def test_a_loaded_forest_has_its_importances(models, tmp_path):
    names = [f"{i:02d}" for i in range(16)]
    save_model(models["forest"], tmp_path / "forest.skops")
    loaded = load_model(tmp_path / "forest.skops")
    assert importances(loaded, names).equals(importances(models["forest"], names))


def test_a_failed_save_leaves_the_former_model(models, rows, tmp_path):
    path = tmp_path / "model.skops"
    save_model(models["naive_bayes"], path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_model(linear.fit_linear("naive_bayes", *rows, seed=0).set_params(alpha=(i for i in ())), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.skops"]


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.skops: cannot be read \(No such file"):
        load_model(tmp_path / "no.skops")
    with pytest.raises(InputError, match="cannot be read"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_truncated_file_is_refused(name, models, tmp_path):
    path = tmp_path / "model.skops"
    save_model(models[name], path)
    whole = path.read_bytes()
    for length in {0, 1, *range(0, len(whole), len(whole) // 20), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"model\.skops: (truncated|the file is empty)"):
            load_model(path)


def test_damage_in_the_middle_is_refused(models, tmp_path):
    path = tmp_path / "model.skops"
    save_model(models["forest"], path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda info: info.compress_size)
    start = member.header_offset + 60 + len(member.filename)
    path.write_bytes(whole[:start] + bytes(16) + whole[start + 16 :])
    with pytest.raises(InputError, match=r"model\.skops: "):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"not a model", pickle.dumps({"a": 1})], ids=["empty", "text", "pickle"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.skops: (truncated|the file is empty)"):
        load_model(path)


@pytest.mark.parametrize("schema", [None, "[]", "{", "{}", '{"protocol": 99}'])
def test_other_archives_are_refused(schema, tmp_path):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json" if schema is None else "schema.json", schema or "{}")
    with pytest.raises(InputError, match=r"model\.skops: (not a skops file that fits|found no schema\.json)"):
        load_model(path)


def harmless(X):
    return X


def test_a_type_that_is_not_trusted_is_named(rows, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(FunctionTransformer(harmless)), path)
    with pytest.raises(InputError, match=r"model\.skops: found the type sklearn\..*\.FunctionTransformer"):
        load_model(path)


@pytest.mark.parametrize(
    "model",
    [Ridge(), CountVectorizer(), make_pipeline(FunctionTransformer(np.sqrt)), {"a": [1]}],
    ids=["ridge", "vectorizer", "pipeline", "dict"],
)
def test_anything_but_the_packages_models_is_refused(model, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    found = type(model[0] if hasattr(model, "steps") else model).__name__
    with pytest.raises(InputError, match=rf"model\.skops: .*{found}"):
        load_model(path)


def test_the_line_of_an_error_is_one(rows, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(FunctionTransformer(harmless)), path)
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
