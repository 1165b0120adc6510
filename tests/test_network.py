import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp import network
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.network import build_mlp, load_mlp, predict_mlp, train_mlp

N_FEATURES = 8
N_ROWS, N_TRAIN = 100, 80
COLUMNS = ["epoch", "binary_accuracy", "loss", "val_binary_accuracy", "val_loss"]


def make_rows(seed=8):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, N_ROWS)
    X = rng.poisson(3, (N_ROWS, N_FEATURES)).astype(np.int32)
    X[:, 0] += 2 * y
    return X, y


def make_model(seed=1):
    """The article's model, narrow and in a hurry: its validation accuracy rises and falls within few epochs."""
    model = build_mlp(N_FEATURES, hidden_units=6, seed=seed)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, name="sgd")
    # Tracing a graph takes longer than five small epochs.
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["binary_accuracy"], run_eagerly=True)
    return model


def count_fits(seed=1):
    """A model, and a list that grows by one with each epoch that it is trained."""
    model, fits = make_model(seed), []
    fit = model.fit

    def counted(*rows, **options):
        fits.append(1)
        return fit(*rows, **options)

    model.fit = counted
    return model, fits


def train(directory, *, model=None, epochs=4, seed=3, rows=None, of=None, **options):
    X, y = make_rows() if rows is None else rows
    model = make_model() if model is None else model
    return train_mlp(model, X, y, rows=of, directory=directory, epochs=epochs, seed=seed, report=None, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing disturbed, whose second of four epochs is the best: its history and its folder."""
    directory = tmp_path_factory.mktemp("whole")
    history = train(directory)
    assert history["val_binary_accuracy"].idxmax() == 1, "choose rows that are learnt in this way"
    return history, directory


def assert_same_history(history, expected):
    pd.testing.assert_frame_equal(history, expected, rtol=1e-5)


def assert_best_is_saved(directory, history):
    """`network.keras` is the first epoch of the highest validation accuracy, by its accuracy and its loss."""
    X, y = make_rows()
    best = history.loc[history["val_binary_accuracy"].idxmax()]
    measured = load_mlp(directory / "network.keras").evaluate(
        X[N_TRAIN:].astype(np.float32), y[N_TRAIN:], verbose=0, return_dict=True
    )
    assert measured["binary_accuracy"] == pytest.approx(best["val_binary_accuracy"], rel=1e-6)
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def assert_complete(directory, history, expected):
    assert_same_history(history, expected)
    assert_same_history(pd.read_csv(directory / "history.csv"), expected)
    assert_best_is_saved(directory, history)


def copy_folder(source, target):
    """Copy a folder of results, whose files the test may then damage."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return target


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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


def test_history_and_best_epoch(whole):
    history, directory = whole
    assert list(history.columns) == COLUMNS
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["val_binary_accuracy"].max() > 0.6
    assert_complete(directory, history, history)
    assert sorted(path.name for path in directory.iterdir()) == [
        "backup", "fingerprint.json", "history.csv", "network.keras",
    ]  # fmt: skip


def test_first_of_equal_epochs_is_kept(tmp_path):
    # Labels that are all the same are learnt at once: every epoch validates with accuracy 1.
    X, _ = make_rows()
    history = train(tmp_path, rows=(X, np.ones(N_ROWS, dtype=int)), epochs=2)
    assert history["val_binary_accuracy"].tolist() == [1, 1]
    assert int(load_mlp(tmp_path / "network.keras").optimizer.iterations) == 3


def test_validation_rows_are_the_last_ones(tmp_path):
    X, y = make_rows()
    y = np.concatenate([np.ones(N_TRAIN, dtype=int), np.zeros(N_ROWS - N_TRAIN, dtype=int)])
    history = train(tmp_path, rows=(X, y), epochs=2)
    assert history["binary_accuracy"].iloc[-1] == 1
    assert history["val_binary_accuracy"].iloc[-1] == 0


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


def test_rows_of_a_memory_map_are_the_training_of_their_copy(two, tmp_path):
    X, y, rows = scatter(*make_rows(), tmp_path / "kmers.npy")
    model, fits = count_fits()
    history = train(tmp_path / "run", model=model, rows=(X, y), of=rows, epochs=2)
    pd.testing.assert_frame_equal(history, two[0], check_exact=True)
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


def test_same_seed_same_history_from_any_model_state(whole, tmp_path):
    model = make_model()
    model.set_weights([w + 1 for w in model.get_weights()])
    assert_same_history(train(tmp_path, model=model), whole[0])
    assert_same_history(train(tmp_path / "again", model=model), whole[0])


def test_another_seed_shuffles_otherwise(whole, tmp_path):
    history = train(tmp_path, seed=4, epochs=1)
    assert history["loss"].iloc[0] != pytest.approx(whole[0]["loss"].iloc[0], rel=1e-4)


def test_a_line_an_epoch_is_reported(tmp_path, capsys):
    X, y = make_rows()
    train_mlp(make_model(), X, y, directory=tmp_path, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_completed_training_is_not_run_again(whole, tmp_path, monkeypatch):
    directory = copy_folder(whole[1], tmp_path)
    model = make_model()
    monkeypatch.setattr(type(model), "fit", lambda *_, **__: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(train(directory, model=model), whole[0], check_exact=True)
    assert_best_is_saved(directory, whole[0])


# Going on after a kill

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from test_network import train
train(sys.argv[1], epochs=8)
"""


def test_kill_9_is_resumed(tmp_path):
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    script = [sys.executable, "-c", SCRIPT, str(killed), os.path.dirname(__file__)]
    process = subprocess.Popen(script, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    log = killed / "history.csv"
    try:
        deadline = time.monotonic() + 120
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline, "no epoch was finished"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = pd.read_csv(log)
    assert 2 <= len(done) < 8

    resumed = train(killed, epochs=8)
    assert resumed["epoch"].tolist() == list(range(1, 9))
    pd.testing.assert_frame_equal(resumed.iloc[: len(done) - 1], done.iloc[:-1], check_exact=True)
    assert_complete(killed, resumed, train(undisturbed, epochs=8))


class Killed(BaseException):
    """Stands for a kill: nothing in the program may catch it."""


def record_moves(monkeypatch, *, kill_after=0):
    """List the files that are moved into their places; stop the process, as it were, after one of them."""
    moves = []
    real = os.replace

    def replace(source, target):
        real(source, target)
        moves.append(os.path.basename(target))
        if len(moves) == kill_after:
            raise Killed

    monkeypatch.setattr(os, "replace", replace)
    return moves


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two undisturbed epochs, the second the better, and the moves of files that they are made of."""
    with pytest.MonkeyPatch.context() as patch:
        moves = record_moves(patch)
        history = train(tmp_path_factory.mktemp("two"), epochs=2)
    return history, moves


def test_best_model_is_moved_last_in_its_epoch(two):
    assert two[1] == [
        "fingerprint.json",
        *("history.csv", "latest.keras", "network.keras"),
        *("history.csv", "previous.keras", "latest.keras", "network.keras"),
    ]


def test_a_kill_after_any_move_is_resumed(two, tmp_path):
    expected, moves = two
    for moment, name in enumerate(moves, start=1):
        directory = tmp_path / f"{moment}_{name}"
        with pytest.MonkeyPatch.context() as patch:
            record_moves(patch, kill_after=moment)
            with pytest.raises(Killed):
                train(directory, epochs=2)
        model, fits = count_fits()
        assert_complete(directory, train(directory, model=model, epochs=2), expected)
        done = moves[:moment].count("latest.keras")  # its former holder counts where it was moved aside
        assert len(fits) == 2 - done, name


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("write", ["save", "copy"])
def test_a_kill_in_the_middle_of_a_file_is_resumed(write, epoch, two, tmp_path, monkeypatch):
    calls = []

    def torn(real, target):
        def call(*arguments):
            real(*arguments)
            calls.append(arguments)
            if len(calls) == epoch:
                halve(target(arguments))
                raise Killed

        return call

    with monkeypatch.context() as patch:
        if write == "save":
            model_class = type(make_model())
            patch.setattr(model_class, "save", torn(model_class.save, lambda arguments: arguments[1]))
        else:
            patch.setattr(network.shutil, "copyfile", torn(shutil.copyfile, lambda arguments: arguments[1]))
        with pytest.raises(Killed):
            train(tmp_path, epochs=2)
    assert_complete(tmp_path, train(tmp_path, epochs=2), two[0])


@pytest.mark.parametrize(
    ("names", "epochs"),
    [
        (["backup/latest.keras"], 1),
        (["backup/latest.keras", "backup/previous.keras"], 4),
        (["network.keras"], 4),
        (["history.csv"], 4),
        (["fingerprint.json"], 4),
    ],
)
def test_damaged_files_cost_epochs_but_change_nothing(names, epochs, whole, tmp_path):
    directory = copy_folder(whole[1], tmp_path)
    for name in names:
        halve(directory / name)
    model, fits = count_fits()
    assert_complete(directory, train(directory, model=model), whole[0])
    assert len(fits) == epochs


def test_torn_best_model_is_written_again_from_the_state_of_its_epoch(two, tmp_path):
    train(tmp_path, epochs=2)
    halve(tmp_path / "network.keras")
    model, fits = count_fits()
    assert_complete(tmp_path, train(tmp_path, model=model, epochs=2), two[0])
    assert not fits


def test_lost_state_of_the_best_epoch_is_trained_again(two, tmp_path):
    # The best model is one epoch ahead of the state that is left: the former best takes its place until then.
    train(tmp_path, epochs=2)
    halve(tmp_path / "backup/latest.keras")
    model, fits = count_fits()
    assert_complete(tmp_path, train(tmp_path, model=model, epochs=2), two[0])
    assert len(fits) == 1


@pytest.mark.parametrize(
    "damage", [lambda text: text + "5,0.5,0.", lambda text: text + text.splitlines()[-1] + "\n"], ids=["torn", "twice"]
)
def test_lines_of_the_history_beyond_the_state_are_dropped(damage, whole, tmp_path):
    directory = copy_folder(whole[1], tmp_path)
    log = directory / "history.csv"
    log.write_text(damage(log.read_text()))
    pd.testing.assert_frame_equal(train(directory), whole[0], check_exact=True)


@pytest.mark.parametrize("change", ["a count", "a label", "seed", "batch_size", "validation_split", "epochs", "model"])
def test_another_training_starts_over(change, whole, tmp_path):
    directory = copy_folder(whole[1], tmp_path / "reused")
    X, y = make_rows()
    options = {"epochs": 2 if change == "epochs" else 4, "seed": 4 if change == "seed" else 3}
    if change == "a count":
        X[-1, -1] += 1
    elif change == "a label":
        y[0] = 1 - y[0]
    elif change == "batch_size":
        options["batch_size"] = 64
    elif change == "validation_split":
        options["validation_split"] = 0.25
    model, fits = count_fits(seed=2 if change == "model" else 1)
    history = train(directory, model=model, rows=(X, y), **options)
    assert len(fits) == len(history) == options["epochs"]
    assert_same_history(pd.read_csv(directory / "history.csv"), history)
    if change == "a count":
        assert_same_history(history, train(tmp_path / "fresh", rows=(X, y)))


def test_fingerprint_says_what_was_trained(whole):
    fingerprint = json.loads((whole[1] / "fingerprint.json").read_text())
    assert {name: fingerprint[name] for name in ("epochs", "batch_size", "validation_split", "seed")} == {
        "epochs": 4, "batch_size": 32, "validation_split": 0.2, "seed": 3,
    }  # fmt: skip
    assert len(fingerprint["rows"]) == 64


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


def test_loading_refuses_a_missing_a_torn_and_a_foreign_file(whole, tmp_path):
    with pytest.raises(InputError, match=r"no\.keras: found no such file"):
        load_mlp(tmp_path / "no.keras")
    directory = copy_folder(whole[1], tmp_path)
    halve(directory / "network.keras")
    with pytest.raises(InputError, match=r"network\.keras: found a truncated, damaged or foreign file"):
        load_mlp(directory / "network.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(InputError, match=r"other\.keras: found no Keras model"):
        load_mlp(tmp_path / "other.keras")


def test_loading_runs_no_code_of_the_file(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(InputError, match=r"code\.keras: found no Keras model that can be loaded safely"):
        load_mlp(tmp_path / "code.keras")


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
