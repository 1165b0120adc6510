"""Which devices networks are trained on, and a training that two share: virtual CPUs stand for GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp import devices, training

TWO, FOUR = ["gpu:0", "gpu:1"], ["gpu:0", "gpu:1", "gpu:2", "gpu:3"]


@pytest.mark.parametrize(
    ("wanted", "found", "backend", "chosen"),
    [
        ("auto", [], "tensorflow", []),
        ("auto", [], "jax", []),
        ("auto", TWO, "tensorflow", ["gpu:0"]),
        ("auto", FOUR, "jax", FOUR),
        ("cpu", FOUR, "jax", []),
        ("1", TWO, "tensorflow", ["gpu:0"]),
        ("3", FOUR, "jax", ["gpu:0", "gpu:1", "gpu:2"]),
    ],
)
def test_gpus_are_chosen(wanted, found, backend, chosen):
    assert devices.choose_gpus(wanted, found, backend=backend) == chosen


@pytest.mark.parametrize(
    ("wanted", "found", "backend", "said"),
    [
        ("gpu", TWO, "jax", "found gpu, expected auto, cpu or a number"),
        ("0", TWO, "jax", "found 0, expected auto"),
        ("-1", TWO, "jax", "found -1"),
        ("²", TWO, "jax", "found ²"),
        ("1", [], "tensorflow", "found 0 GPUs, expected at least 1"),
        ("3", TWO, "jax", "found 2 GPUs, expected at least 3"),
        ("2", TWO, "tensorflow", "KERAS_BACKEND=jax"),
    ],
)
def test_what_is_not_there_is_refused(wanted, found, backend, said, refused):
    with refused("devices", said):
        devices.choose_gpus(wanted, found, backend=backend)


def test_one_line_says_where(monkeypatch):
    said = []
    monkeypatch.setattr(devices, "list_gpus", list)
    assert devices.find_gpus("auto", report=said.append) == []
    monkeypatch.setattr(devices, "list_gpus", lambda: TWO)
    assert devices.find_gpus("cpu", report=said.append) == []
    assert devices.find_gpus("auto", report=said.append) == ["gpu:0"]
    cores = f"on the CPU ({os.cpu_count()} cores)"
    assert said == [f"no GPU found: {cores}", f"not on a GPU: {cores}",
                    "on 1 of 2 GPUs: Keras trains on several under KERAS_BACKEND=jax"]  # fmt: skip
    assert devices.describe(TWO, FOUR) == "on 2 of 4 GPUs"


def test_one_device_is_one_device():
    assert devices.count_devices() == 1
    with devices.training_on([]):
        assert devices.count_devices() == 1


CHILD = """
import json, sys
import keras, numpy as np
from neanderthal_nlp import devices, training
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.network import build_mlp, predict_mlp

place, folder = sys.argv[1].split(), sys.argv[2]
data = np.load(f"{folder}/data.npz")
X, y = data["X"], data["y"]


class Counts:
    def __len__(self):
        return len(X)

    def take(self, rows):
        return X[rows].astype(np.float32)


def train(name, rows, report=None, **options):
    model = build_mlp(X.shape[1], hidden_units=6, seed=1)
    model.optimizer.learning_rate = 0.05
    options = {"epochs": 4, "batch_size": 16, "seed": 3} | options
    return model, training.train(model, Counts(), y, rows=np.arange(rows), directory=f"{folder}/{name}",
                                 report=report, **options)


def stop(line):
    if line.startswith("epoch 2/"):
        raise KeyboardInterrupt


found = {}
with devices.training_on(place):
    model, history = train("even", 160)
    found["history"] = history.to_dict("list")
    found["on"] = len(model.layers[0].kernel.value.sharding.device_set)
    found["scores"] = predict_mlp(model, X[:7]).tolist()
    try:
        train("stopped", 160, report=stop)
    except KeyboardInterrupt:
        pass
    lines = []
    found["resumed"] = train("stopped", 160, report=lines.append)[1].to_dict("list")
    found["epochs after the stop"] = len(lines)
    found["uneven"] = train("uneven", 145)[1].to_dict("list")
    lines = []
    train("uneven", 145, report=lines.append)
    found["epochs of what was finished"] = len(lines)
    try:
        train("odd", 160, batch_size=15)
    except InputError as error:
        found["refused"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What the child says that trains on one device, and on two; and the folder of each."""
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    rng = np.random.default_rng(8)
    y = rng.integers(0, 2, 160)
    X = rng.poisson(3, (160, 8)).astype(np.int32)
    X[:, 0] += 2 * y
    environment = os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    found = {}
    for n, place in ((1, ""), (2, "cpu:0 cpu:1")):
        folder = tmp_path_factory.mktemp(f"on_{n}")
        np.savez(folder / "data.npz", X=X, y=y)
        result = subprocess.run([sys.executable, "-c", CHILD, place, folder], env=environment, capture_output=True,
                                text=True, timeout=600, check=False)  # fmt: skip
        assert result.returncode == 0, result.stderr
        found[n] = json.loads(result.stdout), folder
    return found


def assert_close(found, expected):
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(expected), rtol=1e-4)


def test_two_devices_train_as_one_does(trained):
    (one, _), (two, _) = trained[1], trained[2]
    assert (one["on"], two["on"]) == (1, 2)
    assert one["history"]["loss"][-1] < one["history"]["loss"][0]
    assert_close(two["history"], one["history"])
    np.testing.assert_allclose(two["scores"], one["scores"], rtol=1e-4)
    assert len(two["scores"]) == 7


def test_a_training_on_two_devices_is_taken_up(trained):
    found, _ = trained[2]
    assert found["epochs after the stop"] == 2
    assert_close(found["resumed"], found["history"])
    assert found["epochs of what was finished"] == 0


def test_rows_that_cannot_be_shared_are_left_out(trained):
    # 145 rows: 116 to train on, which two can share; 29 to validate with, of which 28 are.
    uneven = [trained[n][0]["uneven"] for n in (1, 2)]
    trained_on = ["binary_accuracy", "loss"]
    assert_close({name: uneven[1][name] for name in trained_on}, {name: uneven[0][name] for name in trained_on})
    right = [np.array(found["val_binary_accuracy"]) * n for found, n in zip(uneven, (29, 28), strict=True)]
    assert (np.abs(right[0] - right[1]) <= 1.001).all()
    np.testing.assert_allclose(right[1], right[1].round(), atol=1e-4)
    assert "2 devices can share them evenly" in trained[2][0]["refused"]
    assert "refused" not in trained[1][0]


def test_what_two_devices_trained_one_of_another_backend_reads(trained):
    found, folder = trained[2]
    X, y = (np.load(folder / "data.npz")[name] for name in ("X", "y"))
    best = training.load_model(folder / "even/network.keras")
    measured = best.evaluate(X[128:].astype(np.float32), y[128:], verbose=0, return_dict=True)
    assert measured["binary_accuracy"] == pytest.approx(max(found["history"]["val_binary_accuracy"]), rel=1e-5)
