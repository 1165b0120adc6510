"""Probabilities of a whole FASTA file, its windows one after the other, named words included."""

import time

import numpy as np
import pytest

from neanderthal_nlp.bundle import Bundle
from neanderthal_nlp.calibration import Calibration
from neanderthal_nlp.kmers import merge_strands
from neanderthal_nlp.linear import fit_linear
from neanderthal_nlp.predict import cut_records, predict, read_records

K, LENGTH = 5, 10_000
GIGABASE = 1e9


@pytest.fixture(scope="module")
def bundle(windows):
    """A logistic regression on counts by chance, calibrated at four lengths: what it says does not matter here."""
    rng = np.random.default_rng(1)
    X, y = rng.poisson(10, (500, 4**K)), rng.integers(0, 2, 500)
    calibration = Calibration(
        np.array([1e3, 2e3, 5e3, 1e4]), np.full(4, -1e9), np.full(4, 1e9), *rng.normal(0, 0.1, (2, 4, 201))
    )
    seen = windows[["chrom", "start", "end", "label"]].assign(side="train")
    models = [fit_linear("logistic_regression", merge_strands(X, K), y, seed=1) for _ in range(6)]
    return Bundle("made up", "logistic_regression", models[0], tuple(models[1:]), K, LENGTH, 1_000, True, True, 0.5,
                  calibration, "chromosome", seen, True, (0.4, 0.4), [], [], {})  # fmt: skip


def test_fasta(race, bundle, part):
    def seconds_per_gigabase(n_words):
        start, n = time.perf_counter(), 0
        stretches = cut_records(read_records(part["plain"]), LENGTH, min_length=bundle.min_length)
        for frame in predict(stretches, bundle, n_words=n_words):
            n += int((frame["end"] - frame["start"]).sum())
        return (time.perf_counter() - start) * GIGABASE / n

    race(
        "`predict`, a gigabase of FASTA, linear model, six words of each window named",
        lambda: seconds_per_gigabase(3),
        seconds=lambda found: found,
        at_most=300,
        note="(seconds, from two chromosomes)",
    )
