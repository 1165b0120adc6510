"""The random forest as scikit-learn grows it, against the extra `fast`."""

import numpy as np
import pytest

from neanderthal_nlp.evaluation import evaluate, split
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.sequences import fetch_along_genome

# Chromosomes, trees and rounds: one of the largest alone, and all, which is the article's training set.
SIZES = {"chr1": (100, 3), "all": (40, 1)}


@pytest.fixture(scope="module", params=SIZES)
def counted(request, windows, standin):
    """Windows with their counts, and how the forest is to be measured on them."""
    chosen = windows if request.param == "all" else windows[windows["chrom"] == request.param].reset_index(drop=True)
    counts = np.empty((len(chosen), 4**5), dtype=np.int32)
    with open_genome(standin.genome) as genome:
        for row, text in fetch_along_genome(chosen, genome):
            count_kmers([text], 5, out=counts[row : row + 1])
    return chosen, counts, *SIZES[request.param]


def test_accelerated(race, counted):
    pytest.importorskip("sklearnex", reason="the extra `fast` is not installed")
    table, counts, trees, rounds = counted
    labels, parts = table["label"].to_numpy(), split(table, protocol="article")

    def grow(accelerated):
        return lambda: fit_forest(
            counts, labels, rows=parts.train, n_estimators=trees, seed=1, n_jobs=-1, accelerated=accelerated
        )

    found = race(
        f"forest, {trees} trees on {len(parts.train):,} windows, accelerated (opt-in)",
        grow(True),
        grow(False),
        rounds=rounds,
        at_least=2,
        note="scikit-learn on all cores, the default",
    )
    fast, plain = (
        evaluate(labels[parts.test], forest.predict_proba(counts[parts.test])[:, 1],
                 groups=table["cluster"].to_numpy()[parts.test], rng=1).accuracy
        for forest in found
    )  # fmt: skip
    assert plain.low < fast.value < plain.high
