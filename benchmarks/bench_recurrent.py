"""An epoch of the follow-up's LSTM over as many sentences as it had, from a part of them; the CNN beside it."""

import tempfile
import time

import numpy as np
import pytest

from neanderthal_nlp.convolutional import build_cnn
from neanderthal_nlp.recurrent import build_lstm
from neanderthal_nlp.subsequences import Letters, Words, cut
from neanderthal_nlp.training import train

N_SENTENCES = 737_340
"""Of the follow-up article."""
N_WINDOWS, LENGTH, PER_WINDOW, BATCH = 4_000, 1_000, 5, 128
EPOCHS = 3
HOURS = 3600


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_epoch(race, network):
    rng = np.random.default_rng(1)
    letters = rng.integers(0, 4, (N_WINDOWS, LENGTH), dtype=np.uint8)
    pieces = cut(N_WINDOWS, LENGTH, per_window=PER_WINDOW)
    y = rng.integers(0, 2, len(pieces.window))
    build, examples = (build_lstm, Words) if network == "lstm" else (build_cnn, Letters)
    rows = np.arange(len(y))

    def seconds_of_an_epoch():
        ends = [time.perf_counter()]
        with tempfile.TemporaryDirectory() as folder:
            train(build(seed=1), examples(letters, pieces), y, directory=folder, rows=rows[:-BATCH],
                  validation_rows=rows[-BATCH:], epochs=EPOCHS, batch_size=BATCH, seed=1,
                  report=lambda _: ends.append(time.perf_counter()))  # fmt: skip
        return float(np.diff(ends[1:]).mean()) * N_SENTENCES / len(rows)  # the first epoch compiles

    race(
        f"{network.upper()}, an epoch over {N_SENTENCES:,} sub-sequences, batches of {BATCH}",
        seconds_of_an_epoch,
        seconds=lambda found: found,
        at_most=HOURS,
        rounds=1,
        note=f"(seconds, from {len(rows):,} of them)",
    )
