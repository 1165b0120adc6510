"""The audit's sweep: how much is learnable from words of each length when whole chromosomes are held out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neanderthal_nlp.cli.stage import Cache, GenomeFile, Seed, Stage, about, limits
from neanderthal_nlp.files import write_table
from neanderthal_nlp.profiles import MANY

app = typer.Typer()


@app.command()
def sweep(
    genome: GenomeFile,
    windows: Annotated[Path, typer.Option(help="Table of windows on this genome.")],
    split_file: Annotated[Path, typer.Option(help="Split by whole chromosomes to train and test by.")],
    output: Annotated[Path, typer.Option(help="Table to write.")],
    max_k: Annotated[int, typer.Option(min=1, max=10, help="Longest words; all lengths from 1 are tried.")] = 8,
    max_windows: Annotated[
        int, typer.Option(**limits("sweep_windows"), help="Windows at most; evenly spaced pairs are kept.")
    ] = 20_000,
    max_features: Annotated[
        int, typer.Option(**limits("sweep_features"), help="Words that a model learns from at most.")
    ] = 2048,
    iterations: Annotated[int, typer.Option(min=1, max=MANY, help="Boosted trees.")] = 100,
    folds: Annotated[
        int, typer.Option(min=2, max=MANY, help="Folds of the training chromosomes; at most one each.")
    ] = 5,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Measure how much boosted trees and logistic regression learn from words of each length."""
    from neanderthal_nlp import sequences, splits
    from neanderthal_nlp.audit import sweep as sweeps
    from neanderthal_nlp.genome import open_genome

    stage = Stage("audit sweep", output.parent)
    everything = sequences.read_windows(windows)
    table, parts = sweeps.thin_pairs(everything, splits.read_split(split_file, everything), max_windows)
    if len(table) < len(everything):
        stage.say(f"{len(table):,} of {len(everything):,} windows: evenly spaced pairs, the same for all lengths")
    with open_genome(genome, cache=cache) as letters, about(split_file):
        found = sweeps.sweep(table, letters, parts, ks=range(1, max_k + 1), max_features=max_features, n_folds=folds,
                             n_iterations=iterations, seed=seed, report=stage.say)  # fmt: skip
    write_table(found.table, output)
    stage.record(
        output.with_suffix(".json"),
        {"windows": windows, "split": split_file},
        {"genome": str(genome), "max_k": max_k, "max_windows": max_windows, "max_features": max_features,
         "iterations": iterations, "folds": folds, "seed": seed},
        n_windows=len(everything), n_used=len(table), n_train=len(parts.train), n_test=len(parts.test),
        test_chromosomes=splits.held_out_chromosomes(table, parts), chosen=found.chosen._asdict(),
    )  # fmt: skip
    best = found.table[found.table["chosen"]].iloc[0]
    words = f"{'canonical' if best['canonical'] else 'plain'} words of {best['k']}"
    stage.say(f"chosen on the training chromosomes: {best['model'].replace('_', ' ')}, {words}; AUROC on "
              f"{len(parts.test):,} test windows {best['auroc']:.3f} ({best['low']:.3f} to {best['high']:.3f}), "
              f"Brier score {best['brier']:.3f}")  # fmt: skip
