import tracemalloc

import keras
import numpy as np
import pandas as pd
import pytest
from test_training import (
    COLUMNS,
    N_FEATURES,
    N_ROWS,
    N_TRAIN,
    assert_best_is_saved,
    assert_same_history,
    copy_folder,
    count_fits,
    make_model,
    make_rows,
)

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.network import build_mlp, load_mlp, predict_mlp, train_mlp


def train(directory, *, model=None, epochs=4, seed=3, rows=None, of=None, **options):
    X, y = make_rows() if rows is None else rows
    model = make_model() if model is None else model
    return train_mlp(model, X, y, rows=of, directory=directory, epochs=epochs, seed=seed, report=None, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training: its history and its folder."""
    directory = tmp_path_factory.mktemp("whole")
    return train(directory), directory


# The model


def test_hyperparameters_are_the_articles():
    model = build_mlp(1024)
    hidden, output = model.layers
    assert (hidden.units, hidden.activation.__name__) == (3000, "sigmoid")
    assert isinstance(hidden.kernel_regularizer, keras.regularizers.L1)
    assert float(hidden.kernel_regularizer.l1) == pytest.approx(0.00001)
    assert hidden.bias_regularizer is None
    assert output.kernel_regularizer is None
    assert (output.units, output.activation.__name__) == (1, "sigmoid")
    assert [weights.shape for weights in model.weights] == [(1024, 3000), (3000,), (3000, 1), (1,)]
    assert type(model.optimizer) is keras.optimizers.SGD
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0001)
    assert (model.optimizer.momentum, model.optimizer.nesterov) == (0.9, False)
    compiled = model.get_compile_config()
    assert (compiled["loss"], compiled["metrics"]) == ("binary_crossentropy", ["binary_accuracy"])
    defaults = train_mlp.__kwdefaults__
    assert (defaults["epochs"], defaults["batch_size"], defaults["validation_split"]) == (200, 32, 0.2)


def test_seed_decides_the_weights_and_nothing_else_does():
    first = build_mlp(N_FEATURES, hidden_units=5, seed=1).get_weights()
    keras.utils.set_random_seed(99)
    again = build_mlp(N_FEATURES, hidden_units=5, seed=1).get_weights()
    other = build_mlp(N_FEATURES, hidden_units=5, seed=2).get_weights()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[2], other[2])


def test_building_draws_nothing_from_the_global_generator():
    np.random.seed(5)  # noqa: NPY002 (the global state is what must not change)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    build_mlp(N_FEATURES, hidden_units=5)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def train_by_hand(weights, X, y, order):
    """One epoch of SGD with momentum on cross-entropy and the L1 penalty, in NumPy."""
    weights = [w.astype(np.float64) for w in weights]
    velocity = [np.zeros_like(w) for w in weights]
    for start in range(0, len(order), 32):
        x, t = X[order[start : start + 32]], y[order[start : start + 32], None]
        hidden = sigmoid(x @ weights[0] + weights[1])
        delta = (sigmoid(hidden @ weights[2] + weights[3]) - t) / len(x)
        back = delta @ weights[2].T * hidden * (1 - hidden)
        gradients = [x.T @ back + 1e-5 * np.sign(weights[0]), back.sum(0), hidden.T @ delta, delta.sum(0)]
        for i, gradient in enumerate(gradients):
            velocity[i] = 0.9 * velocity[i] - 1e-4 * gradient
            weights[i] += velocity[i]
    return weights


def test_training_is_the_articles_in_numpy(tmp_path):
    X, y = make_rows()
    model = build_mlp(N_FEATURES, hidden_units=6, seed=1)
    before = model.get_weights()
    train(tmp_path, model=model, epochs=1)
    order = np.random.default_rng([3, 0]).permutation(N_TRAIN)
    for trained, expected, start in zip(model.get_weights(), train_by_hand(before, X, y, order), before, strict=True):
        # float32 holds a weight of 1 to 6e-8; compare what training changed.
        np.testing.assert_allclose(trained - start, expected - start, rtol=1e-3, atol=3e-7)
        assert np.abs(expected - start).max() > 1e-5


# The training


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float64, "memmap"])
def test_any_number_type_gives_the_same_history(kind, whole, tmp_path):
    X, y = make_rows()
    if kind == "memmap":
        np.save(tmp_path / "kmers.npy", X)
        X = np.load(tmp_path / "kmers.npy", mmap_mode="r")
    else:
        X, y = X.astype(kind), y.astype(kind)
    # The rows are the same ones, so the training is the same one, and complete.
    directory = copy_folder(whole[1], tmp_path / "copy")
    before = (directory / "network.keras").stat().st_mtime_ns
    assert_same_history(train(directory, rows=(X, y)), whole[0])
    assert (directory / "network.keras").stat().st_mtime_ns == before


def train_on_copies(model, X, y, *, epochs, batch_size=32, seed=3):
    """The same training by arrays: shuffled copies of all rows, handed to Keras whole."""
    X, y, n_train = X.astype(np.float32), y.astype(np.float32), len(X) * 4 // 5
    logs = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(n_train)
        options = {"batch_size": batch_size, "shuffle": False, "validation_data": (X[n_train:], y[n_train:])}
        logs.append(model.fit(X[order], y[order], **options, verbose=0).history)
    return pd.DataFrame([{"epoch": i, **{name: log[name][0] for name in COLUMNS[1:]}} for i, log in enumerate(logs, 1)])


def build_one_by_one():
    """The article's model, narrow, that returns to Python after each batch."""
    model = build_mlp(N_FEATURES, hidden_units=6)
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["binary_accuracy"])
    return model


def assert_same_weights(model, expected):
    for weights, others in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)


def test_batches_are_those_of_copies_to_the_bit(tmp_path):
    model, plain = make_model(), make_model()
    history = train(tmp_path, model=model)
    pd.testing.assert_frame_equal(history, train_on_copies(plain, *make_rows(), epochs=4), check_exact=True)
    assert_same_weights(model, plain)


def test_several_batches_in_one_call_are_those_one_by_one_to_the_bit(tmp_path):
    # 40 batches of two rows: one call of 32 batches and one that is cut short.
    model, plain = build_mlp(N_FEATURES, hidden_units=6), build_one_by_one()
    assert model.steps_per_execution == 32
    history = train(tmp_path, model=model, epochs=2, batch_size=2)
    expected = train_on_copies(plain, *make_rows(), epochs=2, batch_size=2)
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    assert_same_weights(model, plain)


def test_a_training_goes_on_with_another_number_of_batches_in_one_call(tmp_path):
    history = train(tmp_path, epochs=3)
    model, fits = count_fits()
    model.steps_per_execution = 1
    pd.testing.assert_frame_equal(train(tmp_path, model=model, epochs=3), history, check_exact=True)
    assert not fits
    assert "steps_per_execution" not in (tmp_path / "fingerprint.json").read_text()


def scatter(X, y, path):
    """A memory map that holds the given rows among others, labels to it, and where the given rows are."""
    rng = np.random.default_rng(4)
    rows = rng.permutation(3 * len(X))[: len(X)]
    larger, labels = rng.poisson(3, (3 * len(X), X.shape[1])).astype(X.dtype), rng.integers(0, 2, 3 * len(X))
    larger[rows], labels[rows] = X, y
    np.save(path, larger)
    return np.load(path, mmap_mode="r"), labels, rows


def test_rows_of_a_memory_map_are_the_training_of_their_copy(tmp_path):
    X, y, rows = scatter(*make_rows(), tmp_path / "kmers.npy")
    model, fits = count_fits()
    history = train(tmp_path / "run", model=model, rows=(X, y), of=rows, epochs=2)
    pd.testing.assert_frame_equal(history, train(tmp_path / "copy", epochs=2), check_exact=True)
    assert_best_is_saved(tmp_path / "run", history)
    # The copy is the same training, which is complete.
    pd.testing.assert_frame_equal(train(tmp_path / "run", model=model, epochs=2), history, check_exact=True)
    assert len(fits) == 2


def test_counts_are_never_copied_as_a_whole(tmp_path):
    n_rows, n_features = 10_000, 800
    X = np.ones((n_rows, n_features), dtype=np.int32)
    y = np.random.default_rng(6).integers(0, 2, n_rows)
    model = build_mlp(n_features, hidden_units=2)
    tracemalloc.start()
    try:
        train_mlp(model, X, y, rows=np.arange(n_rows), directory=tmp_path, epochs=1, batch_size=100, report=None)
        predict_mlp(model, X, rows=np.arange(n_rows))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2


# Reading a model, scoring


def test_prediction_is_the_models_output(whole, tmp_path):
    X, _ = make_rows()
    model = load_mlp(whole[1] / "network.keras")
    np.save(tmp_path / "kmers.npy", X)
    scores = predict_mlp(model, np.load(tmp_path / "kmers.npy", mmap_mode="r"))
    weights = [w.astype(np.float64) for w in model.get_weights()]
    expected = sigmoid(sigmoid(X @ weights[0] + weights[1]) @ weights[2] + weights[3])
    assert (scores.shape, scores.dtype) == ((N_ROWS,), np.float64)
    np.testing.assert_allclose(scores, expected[:, 0], rtol=1e-4)


@pytest.mark.parametrize("n_rows", [1, 1024, 2500])
def test_prediction_of_rows_is_that_of_their_copy(n_rows):
    rng = np.random.default_rng(5)
    X = rng.poisson(3, (3000, N_FEATURES)).astype(np.int32)
    rows = rng.permutation(len(X))[:n_rows]
    at_once = build_one_by_one().predict(X[rows].astype(np.float32), batch_size=1024, verbose=0)[:, 0]
    np.testing.assert_array_equal(predict_mlp(build_mlp(N_FEATURES, hidden_units=6), X, rows=rows), at_once)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, N_ROWS], r"rows: found 0 to 100, expected 0 to 99"),
        ([-1, 3], r"rows: found -1 to 3, expected 0 to 99"),
        ([], r"rows: found float64 of shape \(0,\), expected one or more integers"),
        ([[0, 1]], r"rows: found int64 of shape \(1, 2\)"),
        ([True] * N_ROWS, r"rows: found bool of shape \(100,\)"),
    ],
)
def test_rows_that_are_none_of_the_counts_are_refused(rows, message, tmp_path):
    X, _ = make_rows()
    with pytest.raises(InputError, match=message):
        predict_mlp(make_model(), X, rows=np.array(rows))
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", of=np.array(rows))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((N_ROWS, 3))}, r"counts: found shape \(100, 3\), expected \(n, 8\)"),
        ({"X": np.zeros(N_ROWS)}, r"counts: found shape \(100,\)"),
        ({"X": np.full((N_ROWS, N_FEATURES), np.nan)}, "counts: found a value that is not a finite number"),
        ({"y": np.zeros(3)}, r"labels: found shape \(3,\), expected \(100,\)"),
        ({"y": np.full(N_ROWS, 2)}, "labels: found another value than 0 and 1"),
        ({"validation_split": 0.0}, "validation split: found 0.0 of 100 rows"),
        ({"validation_split": 1.0}, "validation split: found 1.0 of 100 rows"),
        ({"epochs": 0}, "epochs and batch size: found 0 and 32"),
        ({"batch_size": 0}, "epochs and batch size: found 4 and 0"),
    ],
)
def test_training_refuses_what_does_not_fit(change, message, tmp_path):
    X, y = make_rows()
    rows = change.pop("X", X), change.pop("y", y)
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", rows=rows, **change)
    assert not (tmp_path / "run").exists()


def test_a_model_is_loaded_whole_or_not_at_all(tmp_path):
    (tmp_path / "torn.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"torn\.keras: truncated, damaged or not a zip archive"):
        load_mlp(tmp_path / "torn.keras")
