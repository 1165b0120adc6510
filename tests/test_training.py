import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp import training
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.network import build_mlp
from neanderthal_nlp.training import load_model

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


class Table:
    """Rows of numbers as examples; counts what is taken at once."""

    def __init__(self, X):
        self.X, self.largest = X, 0

    def __len__(self):
        return len(self.X)

    def take(self, rows):
        self.largest = max(self.largest, len(rows))
        return self.X[rows].astype(np.float32)


def train(directory, *, model=None, epochs=4, seed=3, rows=None, of=None, **options):
    X, y = make_rows() if rows is None else rows
    model = make_model() if model is None else model
    return training.train(model, Table(X), y, rows=of, directory=directory, epochs=epochs, seed=seed, **options)


def count_fits(seed=1):
    """A model, and a list that grows by one with each epoch that it is trained."""
    model, fits = make_model(seed), []
    fit = model.fit

    def counted(*rows, **options):
        fits.append(1)
        return fit(*rows, **options)

    model.fit = counted
    return model, fits


def assert_same_history(history, expected):
    pd.testing.assert_frame_equal(history, expected, rtol=1e-5)


def assert_best_is_saved(directory, history):
    """`network.keras` is the first epoch of the highest validation accuracy, by its accuracy and its loss."""
    X, y = make_rows()
    best = history.loc[history["val_binary_accuracy"].idxmax()]
    measured = load_model(directory / "network.keras").evaluate(
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing disturbed, whose second of four epochs is the best: its history and its folder."""
    directory = tmp_path_factory.mktemp("whole")
    history = train(directory)
    assert history["val_binary_accuracy"].idxmax() == 1, "choose rows that are learnt in this way"
    return history, directory


# Epochs


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
    assert int(load_model(tmp_path / "network.keras").optimizer.iterations) == 3


def test_validation_rows_are_the_last_ones(tmp_path):
    X, y = make_rows()
    y = np.concatenate([np.ones(N_TRAIN, dtype=int), np.zeros(N_ROWS - N_TRAIN, dtype=int)])
    history = train(tmp_path, rows=(X, y), epochs=2)
    assert history["binary_accuracy"].iloc[-1] == 1
    assert history["val_binary_accuracy"].iloc[-1] == 0


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
    training.train(make_model(), Table(X), y, directory=tmp_path, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_completed_training_is_not_run_again(whole, tmp_path, monkeypatch):
    directory = copy_folder(whole[1], tmp_path)
    model = make_model()
    monkeypatch.setattr(type(model), "fit", lambda *_, **__: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(train(directory, model=model), whole[0], check_exact=True)
    assert_best_is_saved(directory, whole[0])


def test_validation_rows_may_be_given(whole, tmp_path):
    # The last rows, by their numbers: the same training by another name.
    given = {"of": np.arange(N_TRAIN), "validation_rows": np.arange(N_TRAIN, N_ROWS)}
    history = train(tmp_path, epochs=2, **given)
    assert_same_history(history, whole[0].iloc[:2])
    model, fits = count_fits()
    assert_same_history(train(tmp_path, model=model, epochs=2, **given), history)
    assert not fits
    fingerprint = json.loads((tmp_path / "fingerprint.json").read_text())
    assert fingerprint["validation_split"] is None
    others = given | {"validation_rows": np.arange(N_TRAIN - 1, N_ROWS)}
    train(tmp_path, model=model, epochs=2, **others)
    assert len(fits) == 2


def test_rows_are_taken_in_the_order_of_their_epoch(tmp_path):
    X, y = make_rows()
    table, of = Table(X), np.random.default_rng(2).permutation(N_ROWS)[:50]
    model, seen = make_model(), []
    model.fit = lambda batches, **_: seen.append(np.concatenate([batches[i][0] for i in range(len(batches))])) or Logs
    training.train(model, table, y, rows=of, directory=tmp_path, epochs=2, batch_size=16, seed=3, report=None)
    for epoch, rows in enumerate(seen):
        order = np.random.default_rng([3, epoch]).permutation(40)
        np.testing.assert_array_equal(rows, X[of[order]])


class Logs:
    """Stands for what Keras returns of an epoch."""

    history = {name: [0.5] for name in COLUMNS[1:]}  # noqa: RUF012 (never changed)


def test_examples_are_never_taken_as_a_whole():
    model = make_model()
    table = Table(np.zeros((5000, N_FEATURES)))
    scores = training.predict(model, table)
    assert (scores.shape, scores.dtype) == ((5000,), np.float64)
    assert table.largest == 1024


@pytest.mark.parametrize("n", [1, 7])
def test_examples_may_have_any_shape(n, tmp_path):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, n, 3)), np.arange(60) % 2
    X += np.where(y == 1, 2, -2)[:, None, None]
    dense = keras.layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.GlorotUniform(1),
                               name="probability")  # fmt: skip
    model = keras.Sequential([keras.Input((n, 3)), keras.layers.Flatten(name="flat"), dense], name="any")
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, name="sgd"),
        loss="binary_crossentropy",
        metrics=["binary_accuracy"],
        run_eagerly=True,
    )
    history = training.train(model, Table(X), y, directory=tmp_path, epochs=3, batch_size=8, report=None)
    assert history["val_binary_accuracy"].max() == 1
    best = load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(training.predict(best, Table(X), rows=np.array([5, 2])) > 0.5, y[[5, 2]])


# Going on after a kill

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from test_training import train
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
            patch.setattr(shutil, "copyfile", torn(shutil.copyfile, lambda arguments: arguments[1]))
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
    X, y = make_rows()
    shown = repr(X.shape).encode() + X.astype(np.float32).tobytes() + y.astype(np.float32).tobytes()
    assert fingerprint["rows"] == hashlib.sha256(shown).hexdigest()


# What does not fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": np.array([0, N_ROWS])}, "rows: found 0 to 100, expected 0 to 99"),
        ({"validation_rows": np.array([-1])}, "validation rows: found -1 to -1, expected 0 to 99"),
        ({"validation_rows": np.array([0.5])}, "validation rows: found float64"),
        ({"validation_split": 1.0}, "validation split: found 1.0 of 100 rows: one side is empty"),
        ({"epochs": 0}, "epochs and batch size: found 0 and 32"),
        ({"rows": (np.zeros((9, N_FEATURES)), np.zeros(8))}, "labels: found shape (8,), expected (9,), one an example"),
        ({"rows": (np.zeros((9, N_FEATURES)), np.full(9, 2))}, "labels: found another value than 0 and 1"),
    ],
)
def test_training_refuses_what_does_not_fit(change, message, tmp_path, refused):
    with refused(message):
        train(tmp_path / "run", **change)
    assert not (tmp_path / "run").exists()


# Reading a model


def test_loading_refuses_a_missing_a_torn_and_a_foreign_file(whole, tmp_path):
    with pytest.raises(InputError, match=r"no\.keras: found no such file"):
        load_model(tmp_path / "no.keras")
    directory = copy_folder(whole[1], tmp_path)
    halve(directory / "network.keras")
    with pytest.raises(InputError, match=r"network\.keras: truncated, damaged or not a zip archive"):
        load_model(directory / "network.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(InputError, match=r"other\.keras: found schema\.json, expected a Keras model"):
        load_model(tmp_path / "other.keras")


def test_loading_runs_no_code_of_the_file(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(InputError, match=r"code\.keras: found keras\.layers\.Lambda, .* that can be loaded safely"):
        load_model(tmp_path / "code.keras")
