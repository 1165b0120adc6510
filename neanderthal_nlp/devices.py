"""Where networks are trained: on the GPUs that are there, several through Keras' distribution API, or on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras

from neanderthal_nlp.errors import InputError

AUTO, CPU = "auto", "cpu"
_SEVERAL = "jax"  # under TensorFlow, Keras takes a distribution without a word and trains on the first device


def list_gpus() -> list[str]:
    """Names of the GPUs that Keras' backend sees, such as `gpu:0`; none on a machine without."""
    return [name for name in keras.distribution.list_devices() if name.startswith("gpu")]


def find_gpus(wanted: str, *, report: Callable[[str], object]) -> list[str]:
    """Choose among the GPUs of this machine, and say in one line where training happens; see `choose_gpus`."""
    found = list_gpus()
    chosen = choose_gpus(wanted, found, backend=keras.backend.backend())
    report(describe(chosen, found))
    return chosen


def choose_gpus(wanted: str, found: Sequence[str], *, backend: str) -> list[str]:
    """Choose the GPUs to train on.

    Parameters
    ----------
    wanted : str
        `auto`: as many as there are and the backend trains on; `cpu`: none; a number: as many, or an error.
    found : sequence of str
        As `list_gpus` gives them.
    backend : str
        Keras' backend. Under `jax` several devices share each batch; under others one GPU is all that Keras uses.

    Returns
    -------
    list of str
        The first of `found`; empty for the CPU.

    Raises
    ------
    InputError
        `wanted` is none of the three, or more than there are or than the backend trains on.
    """
    if wanted == CPU:
        return []
    if wanted == AUTO:
        return list(found if backend == _SEVERAL else found[:1])
    if not (wanted.isascii() and wanted.isdecimal() and int(wanted)):
        raise InputError(f"devices: found {wanted}, expected {AUTO}, {CPU} or a number of GPUs")
    if int(wanted) > len(found):
        raise InputError(f"devices: found {len(found)} GPUs, expected at least {wanted}")
    if int(wanted) > 1 and backend != _SEVERAL:
        raise InputError(f"devices: found {wanted} under Keras' backend {backend}, which trains on one; expected 1, or "
                         f"the environment variable KERAS_BACKEND={_SEVERAL}")  # fmt: skip
    return list(found[: int(wanted)])


def describe(gpus: Sequence[str], found: Sequence[str]) -> str:
    """Say in one line where training happens and, where less is used than was found, how to use more."""
    if gpus:
        rest = len(gpus) == 1 < len(found)
        more = f": Keras trains on several under KERAS_BACKEND={_SEVERAL}" if rest else ""
        return f"on {len(gpus)} of {len(found)} GPUs{more}"
    return f"{'not on a GPU' if found else 'no GPU found'}: on the CPU ({os.cpu_count()} cores)"


@contextmanager
def training_on(devices: Sequence[str]) -> Iterator[None]:
    """Build, train and use networks on these devices while the context lasts.

    Several devices hold a copy of the network each, and share the rows of each batch evenly
    (`keras.distribution.DataParallel`); the size of a batch does not change with their number.

    Parameters
    ----------
    devices : sequence of str
        Keras' names of them, such as `gpu:0`; none for the CPU.
    """
    if len(devices) > 1:
        with keras.distribution.DataParallel(devices=list(devices)).scope():
            yield
    else:
        with keras.device(devices[0] if devices else "cpu:0"):
            yield


def count_devices() -> int:
    """Devices that share each batch here and now: those of `training_on`, or 1."""
    current = keras.distribution.distribution()
    return 1 if current is None else int(current.device_mesh.devices.size)
