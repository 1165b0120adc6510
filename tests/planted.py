"""A small genome whose introgressed windows have fewer G and C, and bundles of models that were trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp import bundling
from neanderthal_nlp.bundle import Bundle
from neanderthal_nlp.evaluation import evaluate
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.sequences import fetch_windows
from neanderthal_nlp.splits import split

K, LENGTH = 3, 2_000
GC = {1: 0.38, 0: 0.42}


class Planted(NamedTuple):
    """A genome file, its windows and their counts of 3-mers."""

    genome: Path
    windows: pd.DataFrame
    counts: np.ndarray


def draw_letters(label: int, n: int = LENGTH, *, rng: np.random.Generator | int = 1) -> str:
    """Letters as a window of a class has them."""
    strong, weak = GC[label] / 2, 0.5 - GC[label] / 2
    return "".join(np.random.default_rng(rng).choice(list("GCAT"), n, p=[strong, strong, weak, weak]))


def plant(folder: Path, *, n_chroms: int = 6, n_windows: int = 60) -> Planted:
    """Write the genome, whose chromosomes are windows side by side."""
    rng, rows = np.random.default_rng(1), []
    path = folder / "genome.fa"
    with path.open("w", encoding="ascii") as file:
        for number in range(1, n_chroms + 1):
            labels = rng.permutation(np.arange(n_windows) % 2)
            file.write(f">chr{number}\n" + "".join(draw_letters(label, rng=rng) for label in labels) + "\n")
            rows += [(f"chr{number}", i * LENGTH, (i + 1) * LENGTH, label) for i, label in enumerate(labels)]
    windows = pd.DataFrame(rows, columns=["chrom", "start", "end", "label"])
    windows = windows.assign(cluster=np.arange(len(windows)), pair=np.arange(len(windows)) // 2)
    with open_genome(path, cache=folder) as genome:
        return Planted(path, windows, count_kmers(fetch_windows(windows, genome), K))


def bundle_audited(planted: Planted, *, cache: Path, model: str = "logistic_regression") -> Bundle:
    """The audited bundle, with two chromosomes held out."""
    parts = split(planted.windows, protocol="chromosome", seed=1)
    with open_genome(planted.genome, cache=cache) as genome:
        return bundling.fit_audited(planted.windows, genome, parts, model=model, k=K, protocol="chromosome",
                                    synthetic=True, provenance={"parameters": {"seed": 1}}, seed=1)  # fmt: skip


def bundle_published(planted: Planted) -> Bundle:
    """The bundle of the article's forest, of 20 trees."""
    parts, labels = split(planted.windows, protocol="article"), planted.windows["label"].to_numpy()
    forest = fit_forest(planted.counts, labels, rows=parts.train, n_estimators=20, seed=1)
    votes = forest.predict_proba(planted.counts[parts.test])[:, 1]
    found = evaluate(labels[parts.test], votes, n_bootstrap=20, rng=1)
    return bundling.wrap_published(planted.windows, planted.counts, forest, found, parts, k=K, protocol="article",
                                   synthetic=True, provenance={})  # fmt: skip
