"""The audit's ladder, one command a step: matched regions, counts on a null genome, scores, the table."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.cli.stage import (
    AsPublished,
    Cache,
    Directory,
    Epochs,
    GenomeFile,
    Seed,
    Stage,
    Threads,
    Trees,
    count_windows,
    limits,
    load_counts,
    read_gaps,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import markdown_table, read_table, replacing, write_json, write_table
from neanderthal_nlp.profiles import MANY

app = typer.Typer()


class Group(StrEnum):
    """Models that are scored together."""

    network = "network"
    forest = "forest"
    linear = "linear"
    controls = "controls"


@app.command()
def match(
    genome: GenomeFile,
    directory: Directory,
    length: Annotated[
        int, typer.Option(**limits("window_length"), help="Longest window, nt.")
    ] = parameters.WINDOW_LENGTH,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    candidates: Annotated[int, typer.Option(min=1, max=MANY, help="Places tried for each partner.")] = 300,
    split_file: Annotated[
        Path | None, typer.Option(help="Split by chromosomes whose test chromosomes are held out here too.")
    ] = None,
    as_published: AsPublished = False,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Draw depleted partners of the same length, GC content and share of repeats, and count their windows."""
    from neanderthal_nlp import intervals, sequences, splits
    from neanderthal_nlp.audit import matching
    from neanderthal_nlp.audit.leaks import regions_of
    from neanderthal_nlp.genome import open_genome

    stage = Stage("audit match", directory)
    table = sequences.read_windows(stage.results / "windows.tsv")
    everything = intervals.read_bed(stage.results / "introgressed.bed")
    gaps, sizes = read_gaps(stage.results / "gaps.bed"), intervals.read_chromsizes(stage.results / "chrom.sizes")
    regions = {label: regions_of(table[table["label"] == label]) for label in (0, 1)}
    with open_genome(genome, cache=cache) as letters:
        avoid = pd.concat([everything, gaps])[["chrom", "start", "end"]]
        found = matching.match_depleted(regions[1], letters, sizes, avoid=avoid, length=length,
                                        n_candidates=candidates, rng=seed)  # fmt: skip
        balance = matching.balance_of_match(found, regions[0], letters, length=length)
        matched = sequences.make_windows(found.introgressed, found.depleted, letters, length=length, k=k, gaps=gaps,
                                         as_published=as_published)  # fmt: skip
    folder = stage.results / "audit/matched"
    write_table(balance, folder / "balance.tsv")
    stage.say(f"{len(found.introgressed):,} introgressed regions with a matched partner, {found.n_unmatched:,} without")
    for row in balance.itertuples():
        stage.say(f"{row.covariate}: introgressed {row.introgressed:.4g}, depleted {row.depleted_before:.4g} at random "
                  f"and {row.depleted_after:.4g} matched; standardised difference {row.smd_before:+.2f} and "
                  f"{row.smd_after:+.2f}")  # fmt: skip
    matching.check_match(balance, found.depleted, everything)
    write_table(matched, folder / "windows.tsv")
    count_windows(matched, genome, k, folder, cache=cache)
    held_out = None
    if split_file is not None:
        home = set(intervals.home_chromosome(matched["chrom"]))
        tested = splits.held_out_chromosomes(table, splits.read_split(split_file, table))
        held_out = [chrom for chrom in tested if chrom in home]
    write_table(
        splits.split_table(matched, splits.split(matched, protocol="chromosome", held_out=held_out)),
        folder / "split.tsv",
    )
    stage.record(
        folder / "match.json",
        {"windows": stage.results / "windows.tsv", **({"split": split_file} if split_file else {})},
        {"length": length, "k": k, "candidates": candidates, "seed": seed, "as_published": as_published,
         "gc_tolerance": matching.GC_TOLERANCE, "masked_tolerance": matching.MASKED_TOLERANCE},
        n_matched=len(found.introgressed),
        n_unmatched=found.n_unmatched,
    )  # fmt: skip


@app.command()
def null_counts(
    genome: GenomeFile,
    directory: Directory,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    cache: Cache = None,
) -> None:
    """Count the words of the run's windows on a null genome."""
    from neanderthal_nlp import sequences
    from neanderthal_nlp.kmers import rank_kmers

    stage = Stage("audit null-counts", directory)
    table = sequences.read_windows(stage.results / "windows.tsv")
    folder = stage.results / "audit/null"
    write_table(table, folder / "windows.tsv")
    totals = count_windows(table, genome, k, folder, cache=cache)
    write_table(rank_kmers(totals, k), folder / "top_kmers.tsv")
    stage.say(f"{totals.sum():,} words of the same {len(table):,} windows in {genome.name}")


@app.command()
def score(
    counts: Annotated[Path, typer.Option(help="Folder with windows.tsv, kmers.npy and kmers.json.")],
    split_file: Annotated[list[Path], typer.Option(help="Split to train and test by; repeat it for folds.")],
    group: Annotated[Group, typer.Option(help="Models to score.")],
    output: Annotated[Path, typer.Option(help="Table of scores to write.")],
    epochs: Epochs = parameters.EPOCHS,
    trees: Trees = parameters.N_ESTIMATORS,
    threads: Threads = -1,
    seed: Seed = 1,
) -> None:
    """Train models under a split and score the windows that it holds out."""
    from neanderthal_nlp.audit import ladder
    from neanderthal_nlp.evaluation import tabulate_scores
    from neanderthal_nlp.splits import read_split

    stage = Stage("audit score", counts)
    windows, matrix, _ = load_counts(counts)
    labels = windows["label"].to_numpy()
    training = output.with_suffix(".training")
    tables = []
    for number, path in enumerate(split_file):
        parts = read_split(path, windows)
        found = ladder.score_group(
            group.value,
            windows,
            matrix,
            parts,
            directory=training / str(number),
            epochs=epochs,
            trees=trees,
            threads=threads,
            seed=seed,
            report=stage.say,
        )
        tables.append(tabulate_scores(parts.test, labels[parts.test], found))
        for name, (values, threshold) in found.items():
            accuracy = np.mean((values > threshold) == labels[parts.test])
            stage.say(f"{name.replace('_', ' ')}: accuracy on {len(values):,} test windows {accuracy:.1%}")
    write_table(pd.concat(tables, ignore_index=True), output)
    stage.record(
        output.with_suffix(".json"),
        {"counts": counts / "kmers.npy"} | {f"split {i}": path for i, path in enumerate(split_file, 1)},
        {"epochs": epochs, "trees": trees, "seed": seed},
    )
    shutil.rmtree(training, ignore_errors=True)


@app.command()
def ladder(
    directory: Directory,
    reuse: Annotated[
        list[str] | None, typer.Option(help="RUNG/GROUP whose scores the article's own stages have made.")
    ] = None,
    seed: Seed = 1,
) -> None:
    """Measure what was scored on each rung, and what each split leaks; rungs without scores are left out."""
    from neanderthal_nlp import sequences
    from neanderthal_nlp.audit import ladder as rungs
    from neanderthal_nlp.audit.leaks import measure_leaks
    from neanderthal_nlp.evaluation import evaluate_scores
    from neanderthal_nlp.splits import read_split

    stage = Stage("audit ladder", directory)
    audit = stage.results / "audit"
    tables: dict[str, list[pd.DataFrame]] = {"ladder": [], "null": []}
    leaks: dict[str, dict[str, Any]] = {}
    inputs: dict[str, Path] = {}
    for name, rung in parameters.RUNGS.items():
        made = [stage.results / "predictions" if f"{name}/{group}" in (reuse or []) else audit / "scores" / name
                for group in parameters.GROUPS]  # fmt: skip
        files = [folder / f"{group}.tsv" for folder, group in zip(made, parameters.GROUPS, strict=True)]
        scored = [read_table(path) for path in files if path.exists()]
        if not scored:
            continue
        inputs |= {
            f"{name}/{group}": path for group, path in zip(parameters.GROUPS, files, strict=True) if path.exists()
        }
        windows = sequences.read_windows(audit / rung.counts / "windows.tsv")
        parts = read_split(audit / rung.split, windows)
        found = evaluate_scores(pd.concat(scored, ignore_index=True), windows, seed=seed)
        table = rungs.tabulate_rung(rung.protocol if rung.null else name, found, n_train=len(parts.train))
        tables["null" if rung.null else "ladder"].append(table)
        if not rung.null:
            leaks[name] = measure_leaks(windows, parts).to_dict()
        for model, result in found.items():
            stage.say(f"{name}: {model.replace('_', ' ')} {result.accuracy.value:.1%} "
                      f"({result.accuracy.low:.1%} to {result.accuracy.high:.1%})")  # fmt: skip
    if not leaks:
        raise InputError(f"{audit / 'scores'}: nothing was scored (expected tables that `audit score` writes)")
    for name, rows in tables.items():
        if rows:
            table = pd.concat(rows, ignore_index=True)
            write_table(table, audit / f"{name}.tsv")
            with replacing(audit / f"{name}.md") as part:
                part.write_text("\n".join(f"{metric.capitalize() if metric == 'accuracy' else metric.upper()}\n\n"
                                          + markdown_table(rungs.summarise_ladder(table, metric=metric))
                                          for metric in ("accuracy", "auroc")), encoding="utf-8")  # fmt: skip
    write_json({**leaks.get("article", {}), "protocols": leaks}, audit / "leak.json")
    stage.record(audit / "ladder.json", inputs, {"seed": seed, "reuse": reuse or []})
