"""The article's multilayer perceptron on k-mer counts (article, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from neanderthal_nlp import training
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import (
    BATCH_SIZE,
    EPOCHS,
    HIDDEN_ACTIVATION,
    HIDDEN_UNITS,
    L1_PENALTY,
    LEARNING_RATE,
    MOMENTUM,
    NESTEROV,
    SPLIT_SEED,
    VALIDATION_SPLIT,
)
from neanderthal_nlp.training import NETWORK_FILE

__all__ = ["NETWORK_FILE", "build_mlp", "load_mlp", "predict_mlp", "train_mlp"]

_STEPS_PER_EXECUTION = 32


def build_mlp(n_features: int, *, hidden_units: int = HIDDEN_UNITS, seed: int = SPLIT_SEED) -> keras.Model:
    """Build and compile the article's perceptron.

    Parameters
    ----------
    n_features : int
        Columns of the count matrix: 1024 for 5-mers.
    hidden_units : int
        Width of the hidden layer; the article has 3000.
    seed : int
        Of the initial weights: the same seed gives the same weights, whatever else the process has drawn.

    Returns
    -------
    keras.Model
        Input `(n, n_features)` float32; output `(n, 1)`, the probability of being introgressed.
    """
    model = keras.Sequential(
        [
            keras.Input((n_features,), name="counts"),
            keras.layers.Dense(
                hidden_units,
                activation=HIDDEN_ACTIVATION,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                kernel_regularizer=keras.regularizers.L1(L1_PENALTY),
                name="hidden",
            ),
            keras.layers.Dense(
                1,
                activation="sigmoid",
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1),
                name="probability",
            ),
        ],
        name="mlp",
    )
    # Names that Keras makes up count the objects of the process, which would change the model's fingerprint.
    optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM, nesterov=NESTEROV, name="sgd")
    # Several batches in one call of TensorFlow are the same batches, with fewer returns to Python.
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy",
        metrics=["binary_accuracy"],
        steps_per_execution=_STEPS_PER_EXECUTION,
    )
    return model


def train_mlp(
    model: keras.Model,
    X: np.ndarray,
    y: np.ndarray,
    *,
    directory: str | Path,
    rows: np.ndarray | None = None,
    epochs: int = EPOCHS,
    batch_size: int = BATCH_SIZE,
    validation_split: float = VALIDATION_SPLIT,
    seed: int = SPLIT_SEED,
    report: Callable[[str], object] | None = print,
) -> pd.DataFrame:
    """Train a network, keep the best epoch, and go on where an earlier call on the same training was stopped.

    The result depends on the arguments alone, not on the weights that `model` holds when it is handed in:
    training starts from its initialisers. The rows of epoch e (from 0) are shuffled by
    `np.random.default_rng([seed, e])`, so that a training that was stopped and resumed sees the same batches
    as one that was not. On one CPU the history is then the same to rounding; a GPU may differ in the last
    digits.

    Parameters
    ----------
    model : keras.Model
        Compiled with the metric `binary_accuracy`. Holds the weights of the last epoch on return; `load_mlp`
        of `directory/network.keras` gives those of the best.
    X : ndarray of any integer or float type, shape (n, n_features)
        Counts; may be a memory map. No copy of it is made: a batch is gathered, and cast to float32, when it
        is due.
    y : ndarray, shape (n,)
        1 = introgressed, 0 = depleted.
    rows : ndarray of int, shape (m,), optional
        0-based rows of `X` and `y` to train on, in this order, rather than all. The result is that of
        `X[rows], y[rows]`, which would be copies.
    directory : path-like
        Made if it is missing. Receives `network.keras`, the model after the first epoch of the highest
        `val_binary_accuracy` (as Keras' `ModelCheckpoint` keeps it); `history.csv`; `fingerprint.json`, what
        the training is a training of; and `backup/`, the states after the last two epochs. A process may be
        killed at any moment: the next call takes up after the last epoch that was completed. Files of
        another training (data, parameters or model differ), and files so damaged that no state is left
        whose best epoch is known, are removed and the training starts over.
    epochs, batch_size : int
    validation_split : float
        Share of the rows, the last ones in their order, that is kept for validation as in `Model.fit`.
    seed : int
        Not negative. Of the shuffling; the initial weights have their own in `build_mlp`.
    report : callable, optional
        Called with one line of text after each epoch.

    Returns
    -------
    DataFrame
        One row an epoch: `epoch` (int, from 1) and the floats `binary_accuracy, loss, val_binary_accuracy,
        val_loss`. A completed training is not run again; its history is returned.

    Raises
    ------
    InputError
        `X` and `y` do not fit each other or the model, hold other values than numbers or 0 and 1, or leave no
        row to train on or to validate with; `rows` are none of `X`; `epochs` or `batch_size` is below 1.
    """
    return training.train(
        model,
        _Counts(model, X),
        y,
        directory=directory,
        rows=rows,
        validation_split=validation_split,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        report=report,
    )


def load_mlp(path: str | Path) -> keras.Model:
    """Read a model that `train_mlp` saved; code within the file is never run (Keras' safe mode).

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or no Keras model.
    """
    return training.load_model(path)


def predict_mlp(model: keras.Model, X: np.ndarray, *, rows: np.ndarray | None = None) -> np.ndarray:
    """Probability that each row of counts is introgressed.

    Parameters
    ----------
    model : keras.Model
    X : ndarray of any integer or float type, shape (n, n_features)
        May be a memory map; it is read in blocks.
    rows : ndarray of int, shape (m,), optional
        0-based rows of `X` to score, in this order, rather than all.

    Returns
    -------
    ndarray of float64, shape (n,) or (m,)

    Raises
    ------
    InputError
        `X` does not fit the model or holds a value that is no finite number, or `rows` are none of `X`.
    """
    return training.predict(model, _Counts(model, X), rows=rows)


class _Counts:
    """Rows of a matrix of counts as float32, so that it is never copied as a whole; numbers only."""

    def __init__(self, model: keras.Model, X: np.ndarray) -> None:
        n_features = model.input_shape[-1]
        if X.ndim != 2 or X.shape[1] != n_features or not len(X):
            raise InputError(f"counts: found shape {X.shape}, expected (n, {n_features}) with n at least 1")
        self._X = X

    def __len__(self) -> int:
        return len(self._X)

    def take(self, rows: np.ndarray) -> np.ndarray:
        taken = np.ascontiguousarray(self._X[rows], dtype=np.float32)
        if not np.isfinite(taken).all():
            raise InputError("counts: found a value that is not a finite number")
        return taken
