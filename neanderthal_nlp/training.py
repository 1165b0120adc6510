"""Training of a Keras model that may be killed at any moment, whatever the model and its examples are.

Examples are anything with a length and rows that can be taken, a batch at a time (`Examples`): counts in a memory map,
or sentences that are cut and numbered when they are due. The models themselves live in modules of their own.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import pandas as pd

from neanderthal_nlp.devices import count_devices
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_json, replacing, write_json, writing
from neanderthal_nlp.model_files import check_keras, minor
from neanderthal_nlp.parameters import BATCH_SIZE, EPOCHS, SPLIT_SEED, VALIDATION_SPLIT

METRICS = ("binary_accuracy", "loss", "val_binary_accuracy", "val_loss")
MONITOR = "val_binary_accuracy"
NETWORK_FILE = "network.keras"
HISTORY_FILE = "history.csv"
FINGERPRINT_FILE = "fingerprint.json"
LATEST_FILE = "backup/latest.keras"
PREVIOUS_FILE = "backup/previous.keras"
_BLOCK_ROWS = 1024

_History = list[dict[Any, Any]]


class Examples(Protocol):
    """What a model is trained on or scores: rows that are made when they are due."""

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Rows (int64, 0-based, in any order) as the model takes them; the first axis counts them."""


def train(
    model: keras.Model,
    examples: Examples,
    y: np.ndarray,
    *,
    directory: str | Path,
    rows: np.ndarray | None = None,
    validation_rows: np.ndarray | None = None,
    validation_split: float = VALIDATION_SPLIT,
    epochs: int = EPOCHS,
    batch_size: int = BATCH_SIZE,
    seed: int = SPLIT_SEED,
    report: Callable[[str], object] | None = print,
) -> pd.DataFrame:
    """Train a network, keep the best epoch, and go on where an earlier call on the same training was stopped.

    The result depends on the arguments alone, not on the weights that `model` holds when it is handed in:
    training starts from its initialisers. The rows of epoch e (from 0) are shuffled by
    `np.random.default_rng([seed, e])`, so that a training that was stopped and resumed sees the same batches
    as one that was not. On one CPU the history is then the same to rounding; a GPU may differ in the last
    digits. Within `devices.training_on` several devices share each batch: the history is that of one device to
    rounding, but for the rows that they cannot share evenly. These are fewer than the devices, of the last batch of an
    epoch (other rows each time) and of those that validate, and are left out.

    Parameters
    ----------
    model : keras.Model
        Compiled with the metric `binary_accuracy`; output `(n, 1)`. Its initialisers have seeds, and its layers and
        its optimiser names, or the same model built anew is taken for another. Holds the weights of the last epoch
        on return; `load_model` of `directory/network.keras` gives those of the best.
    examples : Examples
        Never held as a whole: a batch is taken when it is due.
    y : ndarray, shape (len(examples),)
        1 = introgressed, 0 = depleted.
    directory : path-like
        Made if it is missing. Receives `network.keras`, the model after the first epoch of the highest
        `val_binary_accuracy` (as Keras' `ModelCheckpoint` keeps it); `history.csv`; `fingerprint.json`, what
        the training is a training of; and `backup/`, the states after the last two epochs. A process may be
        killed at any moment: the next call takes up after the last epoch that was completed. Files of
        another training (data, parameters or model differ), and files so damaged that no state is left
        whose best epoch is known, are removed and the training starts over.
    rows : ndarray of int, shape (m,), optional
        0-based rows to train on, in this order, rather than all.
    validation_rows : ndarray of int, shape (v,), optional
        Rows to validate with; all of `rows` are then trained on. Without, validation takes the last of `rows`.
    validation_split : float
        Share of `rows`, the last ones in their order, that is kept for validation as in `Model.fit`.
    epochs, batch_size : int
    seed : int
        Not negative. Of the shuffling; the initial weights have their own.
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
        `y` does not fit the examples or holds other values than 0 and 1; `rows` or `validation_rows` are none of the
        examples; no row is left to train on or to validate with; `epochs` or `batch_size` is below 1, or several
        devices cannot share a batch evenly.
    """
    rows = check_rows(rows, len(examples))
    y = _check_labels(y, len(examples))
    if min(epochs, batch_size) < 1:
        raise InputError(f"epochs and batch size: found {epochs} and {batch_size}, expected at least 1")
    training, held_out = _divide(rows, validation_rows, validation_split, len(examples))
    n_trained, n_held_out = (_share(len(side), batch_size, count_devices()) for side in (training, held_out))
    fingerprint = {
        "rows": _hash_rows(examples, y, rows),
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_split": validation_split,
        "seed": seed,
        "model": json.loads(model.to_json()),
        "keras": minor(keras.__version__),  # states of another could be gone on from, but not read by `load_model`
    }
    if validation_rows is not None:
        fingerprint |= {"validation_split": None, "validation_rows": _hash_rows(examples, y, held_out)}
    if (n_trained, n_held_out) != (len(training), len(held_out)):
        fingerprint["shared_rows"] = [n_trained, n_held_out]
    # How many batches TensorFlow takes in one call changes no result, and so no training.
    fingerprint["model"]["compile_config"].pop("steps_per_execution", None)
    directory = Path(directory)

    history = _restore(model, directory, fingerprint, steps=math.ceil(n_trained / batch_size))
    if not history:
        _start_over(model, directory, fingerprint)
    validation = _Batches(examples, y, held_out[:n_held_out], batch_size)
    for epoch in range(len(history), epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(training))[:n_trained]
        batches = _Batches(examples, y, training[order], batch_size)
        logs = model.fit(batches, shuffle=False, validation_data=validation, verbose=0).history
        history.append({"epoch": epoch + 1, **{name: float(logs[name][0]) for name in METRICS}})
        _save_epoch(model, directory, history)
        if report is not None:
            last = history[-1]
            report(
                f"epoch {epoch + 1}/{epochs}: accuracy {last['binary_accuracy']:.4f}, validation {last[MONITOR]:.4f}"
            )
    return _as_frame(history)


def load_model(path: str | Path) -> keras.Model:
    """Read a model that `train` saved.

    The file may come from anybody: code in it is never run (Keras' safe mode), and of layers only those of the
    package's networks are made, with no more weights than the file has (`model_files`).

    Raises
    ------
    InputError
        The file is missing, truncated, damaged, changed since it was written, no Keras model, or from another minor
        version of Keras.
    """
    path = Path(path)
    if not os.path.isfile(path):  # unlike Path.is_file, of any name
        raise InputError(f"{path}: found no such file, expected a Keras model")
    check_keras(path)  # compares its seal, too
    _check_version(path)
    try:
        model = keras.saving.load_model(path, safe_mode=True)
        outputs = model.output_shape
    except Exception as error:  # a forged config is met with errors of every family
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path}: found no Keras model that can be loaded safely ({reason:.200})") from None
    if outputs != (None, 1):
        raise InputError(f"{path}: found a model of outputs {outputs!s:.40}, expected (None, 1)")
    return model


def _check_version(path: Path) -> None:
    """Refuse a model of another minor version of Keras, which may build the same layers in another way."""
    with zipfile.ZipFile(path) as archive:
        try:
            saved = str(json.loads(archive.read("metadata.json"))["keras_version"])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{path}: found no Keras model (no version of Keras is named in it)") from None
    if minor(saved) != minor(keras.__version__):
        raise InputError(f"{path}: saved by Keras {saved:.20}, expected {minor(keras.__version__)} (found here: "
                         f"{keras.__version__}): make it again, or install Keras {minor(saved):.20}")  # fmt: skip


def predict(model: keras.Model, examples: Examples, *, rows: np.ndarray | None = None) -> np.ndarray:
    """Probability that each example is introgressed.

    Parameters
    ----------
    model : keras.Model
        Output `(n, 1)`.
    examples : Examples
        Read in blocks.
    rows : ndarray of int, shape (m,), optional
        0-based rows to score, in this order, rather than all.

    Returns
    -------
    ndarray of float64, shape (n,) or (m,)

    Raises
    ------
    InputError
        `rows` are none of the examples.
    """
    blocks = _take_blocks(examples, check_rows(rows, len(examples)))
    return np.concatenate([_predict_block(model, block) for block in blocks]).astype(np.float64)


def _predict_block(model: keras.Model, block: np.ndarray) -> np.ndarray:
    """Score a block; its last row is repeated until all devices have as many rows."""
    rows = np.minimum(np.arange(len(block) + -len(block) % count_devices()), len(block) - 1)
    return model.predict_on_batch(block[rows] if len(rows) > len(block) else block)[: len(block), 0]


def check_rows(rows: np.ndarray | None, n_examples: int, *, name: str = "rows") -> np.ndarray:
    """Rows of examples to be used, int64; all without.

    Raises
    ------
    InputError
        There is none, or they are not whole numbers from 0 to `n_examples` - 1; `name` says of what.
    """
    rows = np.arange(n_examples) if rows is None else np.asarray(rows)
    if rows.ndim != 1 or not len(rows) or rows.dtype.kind not in "iu":
        raise InputError(f"{name}: found {rows.dtype} of shape {rows.shape}, expected one or more integers")
    if rows.min() < 0 or rows.max() >= n_examples:
        raise InputError(f"{name}: found {rows.min()} to {rows.max()}, expected 0 to {n_examples - 1}")
    return rows.astype(np.int64)


class _Batches(keras.utils.PyDataset):
    """Rows of examples and their labels, a batch at a time."""

    def __init__(self, examples: Examples, y: np.ndarray, rows: np.ndarray, batch_size: int) -> None:
        # Two take batches, in their order, while TensorFlow is at the one before. Under another backend Keras takes the
        # first batch of a new model for a look at its shape, and with more than one worker never gives it back.
        super().__init__(workers=2 if keras.backend.backend() == "tensorflow" else 1)
        self.examples, self.y, self.rows, self.batch_size = examples, y, rows, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return self.examples.take(chosen), self.y[chosen]


def _take_blocks(examples: Examples, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield examples.take(rows[start : start + _BLOCK_ROWS])


def _divide(
    rows: np.ndarray, validation_rows: np.ndarray | None, validation_split: float, n_examples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to validate with."""
    if validation_rows is not None:
        return rows, check_rows(validation_rows, n_examples, name="validation rows")
    n_train = math.floor(len(rows) * (1 - validation_split))
    if not 0 < n_train < len(rows):
        raise InputError(f"validation split: found {validation_split} of {len(rows)} rows: one side is empty")
    return rows[:n_train], rows[n_train:]


def _share(n_rows: int, batch_size: int, n_devices: int) -> int:
    """Rows that are left when all devices have as many of each batch."""
    if batch_size % n_devices or n_rows < n_devices:
        raise InputError(f"batches: found {batch_size} of {n_rows:,} rows, expected that {n_devices} devices can share "
                         "them evenly")  # fmt: skip
    return n_rows - n_rows % n_devices


def _check_labels(y: np.ndarray, n_rows: int) -> np.ndarray:
    if np.shape(y) != (n_rows,):
        raise InputError(f"labels: found shape {np.shape(y)}, expected ({n_rows},), one an example")
    if not np.isin(y, (0, 1)).all():
        raise InputError("labels: found another value than 0 and 1")
    return np.ascontiguousarray(y, dtype=np.float32)


def _hash_rows(examples: Examples, y: np.ndarray, rows: np.ndarray) -> str:
    """SHA-256 of what a model is shown: the number of rows and their shape, the rows, their labels."""
    digest = hashlib.sha256()
    for start, block in enumerate(_take_blocks(examples, rows)):
        if start == 0:
            digest.update(repr((len(rows), *block.shape[1:])).encode())
        digest.update(np.ascontiguousarray(block).data.cast("B"))
    digest.update(y[rows].data.cast("B"))
    return digest.hexdigest()


def _start_over(model: keras.Model, directory: Path, fingerprint: dict[str, Any]) -> None:
    """Remove what an earlier training left; give the model its initial weights and a fresh optimiser."""
    for name in (FINGERPRINT_FILE, NETWORK_FILE, HISTORY_FILE, LATEST_FILE, PREVIOUS_FILE):
        (directory / name).unlink(missing_ok=True)
    write_json(fingerprint, directory / FINGERPRINT_FILE)
    (directory / LATEST_FILE).parent.mkdir(exist_ok=True)
    model.set_weights(keras.models.clone_model(model).get_weights())
    for variable in model.optimizer.variables:  # to compile anew would cost the next training a minute
        if variable is not model.optimizer.learning_rate:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))


def _save_epoch(model: keras.Model, directory: Path, history: _History) -> None:
    """Write history, state and best model, each beside its place and then moved into it.

    The order is what makes a kill at any moment harmless. The state decides which epochs are done: lines of
    the history beyond it are dropped. A best model is replaced only when the state of its epoch is safe, from
    which `_restore` can write it once more. Keras' `BackupAndRestore`, `CSVLogger` and `ModelCheckpoint`
    write in place, each without knowing of the others, and cannot promise this.
    """
    latest, previous = directory / LATEST_FILE, directory / PREVIOUS_FILE
    with replacing(directory / HISTORY_FILE) as part:
        _as_frame(history).to_csv(part, index=False, lineterminator="\n")
    part = latest.with_name("part.keras")  # Keras wants this ending
    with writing(part, latest):
        model.save(part)
        if latest.exists():
            os.replace(latest, previous)
        os.replace(part, latest)
    if _best_epoch(history) == len(history):
        _copy(latest, directory / NETWORK_FILE)


def _restore(model: keras.Model, directory: Path, fingerprint: dict[str, Any], *, steps: int) -> _History:
    """Put the newest state that can be gone on from into the model; return its history, or an empty one.

    `steps` is the number of batches in an epoch: the optimiser's count of batches tells the epoch of a state,
    so that state and epoch can never disagree.
    """
    try:
        if read_json(directory / FINGERPRINT_FILE) != fingerprint:
            return []
    except InputError:
        return []
    network = directory / NETWORK_FILE
    try:
        best_saved = _count_batches(load_model(network)) // steps
    except InputError:
        best_saved = 0
    for state in (directory / LATEST_FILE, directory / PREVIOUS_FILE):
        if not _is_sound(state):
            state.unlink(missing_ok=True)  # or it would push the whole one out of its place
            continue
        model.optimizer.build(model.trainable_variables)
        model.load_weights(state)
        history = _read_history(directory / HISTORY_FILE, n_epochs=_count_batches(model) // steps)
        best = _best_epoch(history) if history else 0
        if best != best_saved and best == len(history):
            _copy(state, network)
            best_saved = best
        if history and best == best_saved:
            return history
    return []


def _read_history(path: Path, *, n_epochs: int) -> _History:
    """Read the first `n_epochs` epochs of a history; empty where one of them is missing or damaged."""
    try:
        # As text first: Python's float() is exact, pandas' own parser may miss the last bit.
        history = pd.read_csv(path, nrows=n_epochs, dtype=str).map(float)
    except (OSError, ValueError):
        return []
    if list(history.columns) != ["epoch", *METRICS] or not np.isfinite(history.to_numpy()).all():
        return []
    if history["epoch"].tolist() != list(range(1, n_epochs + 1)):
        return []
    return _as_frame(history).to_dict("records")


def _as_frame(history: _History | pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(history, columns=["epoch", *METRICS]).astype({"epoch": np.int64})


def _best_epoch(history: _History) -> int:
    return 1 + int(np.argmax([row[MONITOR] for row in history]))


def _count_batches(model: keras.Model) -> int:
    return int(model.optimizer.iterations)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as part:
        shutil.copyfile(source, part)


def _is_sound(path: Path) -> bool:
    """Whether a `.keras` file is there, whole, and one of the package's networks."""
    try:
        check_keras(path)
    except InputError:
        return False
    return True
