"""An epoch of the article's network, against the article's own code on Keras 3 and against what the machine can do."""

import time
from typing import NamedTuple

import keras
import numpy as np
import pytest
from limits import N_WORDS, epoch_floor, machine_limits

from neanderthal_nlp.network import build_mlp, predict_mlp, train_mlp

# The smaller one for a look; the other is the article's training set. One window in five is held out.
SIZES = {20_000: 4, 133_750: 2}
EPOCHS = 2


class Trained(NamedTuple):
    """A model, and the seconds of its last epoch with validation and saving: start and first tracing are left out."""

    model: keras.Model
    seconds: float


class Data(NamedTuple):
    """Counts (int32, mapped from a file) and labels of all windows, and the rows of the training set in any order."""

    counts: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


@pytest.fixture(params=SIZES, ids="{:,} windows".format)
def data(request, tmp_path):
    """Counts of windows of 10,000 random letters, as the command `network` finds them."""
    rng, n = np.random.default_rng(1), request.param * 5 // 4
    np.save(tmp_path / "counts.npy", rng.poisson(9_996 / N_WORDS, (n, N_WORDS)).astype(np.int32))
    counts = np.load(tmp_path / "counts.npy", mmap_mode="r")
    return Data(counts, rng.integers(0, 2, n), rng.permutation(n)[: request.param])


def train_as_published(X, y, path):
    """The article's code, its arguments renamed where Keras 3 renamed them."""
    model = keras.Sequential()
    model.add(keras.Input((X.shape[1],)))
    model.add(keras.layers.Dense(3000, activation="sigmoid", kernel_regularizer=keras.regularizers.L1(0.00001)))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    sgd = keras.optimizers.SGD(learning_rate=0.0001, momentum=0.9, nesterov=False)
    model.compile(loss="binary_crossentropy", optimizer=sgd, metrics=["binary_accuracy"])
    checkpoint = keras.callbacks.ModelCheckpoint(path, monitor="val_binary_accuracy", save_best_only=True, mode="max")
    ends = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(X, y, batch_size=32, epochs=EPOCHS, verbose=0, validation_split=0.2, shuffle=True,
              callbacks=[checkpoint, clock])  # fmt: skip
    return Trained(model, ends[-1] - ends[-2])


def train_ours(data, folder):
    model, ends = build_mlp(data.counts.shape[1]), []
    directory = folder / str(len(list(folder.iterdir())))
    train_mlp(model, data.counts, data.labels, rows=data.rows, directory=directory, epochs=EPOCHS,
              report=lambda line: ends.append(time.perf_counter()))  # fmt: skip
    return Trained(model, ends[-1] - ends[-2])


def test_epoch(race, benchmark, data, tmp_path):
    n, X, y = len(data.rows), data.counts[data.rows], data.labels[data.rows]
    found = race(
        f"network, an epoch of {n:,} windows, rows of a mapped file, resumable after each epoch",
        lambda: train_ours(data, tmp_path),
        lambda: train_as_published(X, y, tmp_path / "published.keras"),
        rounds=SIZES[n],
        at_least=1,
        seconds=lambda trained: trained.seconds,
        note="the article's code on Keras 3, rows gathered in memory beforehand",
    )
    limits = machine_limits()
    floor, record = epoch_floor(n, limits), benchmark.extra_info
    times = record["median_seconds"] / floor
    record["reference"] += (
        f"; ours takes {record['median_seconds']:.3g} s, {times:.2g} times the floor of {floor:.3g} s (sgemm "
        f"{limits.sgemm / 1e9:.0f} GFLOP/s, with the batch's sizes {limits.sgemm_forward / 1e9:.0f} and "
        f"{limits.sgemm_gradient / 1e9:.0f}; memory {limits.memory / 1e9:.0f} and cache {limits.cache / 1e9:.0f} GB/s)"
    )
    # Other weights and another order of the rows, but the same training: labels by chance are not learnt in an epoch.
    ours, published = (predict_mlp(trained.model, X[:1000]) for trained in found)
    assert abs(ours.mean() - 0.5) < 0.2
    assert abs(published.mean() - 0.5) < 0.2
