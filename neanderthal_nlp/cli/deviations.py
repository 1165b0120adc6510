"""The audit's command that measures where text, published code and package differ."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.audit.deviations import Effect
from neanderthal_nlp.cli.stage import (
    Cache,
    Directory,
    GenomeFile,
    Stage,
    Threads,
    about,
    limits,
    load_counts,
    load_forest,
    read_gaps,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_record, read_table, replacing, write_table

app = typer.Typer()


class _Settings(NamedTuple):
    """Settings of the models that are trained again."""

    epochs: int
    trees: int
    seed: int
    length: int
    gene_length: int
    k: int


@app.command()
def deviations(
    directory: Directory,
    genome: GenomeFile,
    genes: Annotated[Path, typer.Option(help="The annotation that the genes were scored from.")],
    gaps: Annotated[
        Path | None, typer.Option(help="Runs of N for the effects on coordinates, BED (default: the run's).")
    ] = None,
    published_depleted: Annotated[
        Path | None, typer.Option(help="Published depleted draw, BED; row by row the partners of the run's regions.")
    ] = None,
    published_genes: Annotated[Path | None, typer.Option(help="Published table of predictions.")] = None,
    intersections: Annotated[
        Path | None, typer.Option(help="Table of `audit intersections` (default: results/audit/intersections.tsv).")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(**limits("epochs"), help="Epochs of the network (default: the run's).")
    ] = None,
    trees: Annotated[
        int | None, typer.Option(**limits("n_estimators"), help="Trees of the forests (default: the run's).")
    ] = None,
    draws: Annotated[int, typer.Option(**limits("n_draws"), help="Draws of each gene test.")] = parameters.N_DRAWS,
    threads: Threads = -1,
    seed: Annotated[
        int | None, typer.Option(**limits("seed"), help="Seed (default: that of the run's forest).")
    ] = None,
    cache: Cache = None,
) -> None:
    """Measure every place where the article's text, its published code and this package differ."""
    from neanderthal_nlp import annotation, intervals
    from neanderthal_nlp.audit import deviations as listed
    from neanderthal_nlp.genes import read_predictions
    from neanderthal_nlp.genome import open_genome

    stage = Stage("audit deviations", directory)
    settings = _read_settings(stage, epochs, trees, seed)
    sizes = intervals.read_chromsizes(stage.results / "chrom.sizes")
    blocks = intervals.match_naming(read_gaps(gaps or stage.results / "gaps.bed"), sizes)
    published = None if published_depleted is None else _read_partners(stage, published_depleted, sizes)
    frame = intervals.match_naming(annotation.read_genes(genes), sizes)
    table = None if published_genes is None else read_predictions(published_genes)
    effects = [
        *_from_tables(stage, frame, table, intersections),
        *_from_coordinates(stage, frame, sizes, blocks, published, draws, settings),
    ]
    with open_genome(genome, cache=cache) as letters:
        with about(genes):
            effects += _from_genes(stage, frame, letters, settings)
        effects += _from_windows(stage, letters, threads, settings)
    found = listed.tabulate(effects)
    write_table(found, stage.results / "audit/deviations.tsv")
    with replacing(stage.results / "audit/deviations.md") as part:
        part.write_text(listed.to_markdown({"this run": found}), encoding="utf-8")
    missing = listed.unmeasured(found)
    given = {"genome": genome, "genes": genes, "gaps": gaps, "published_depleted": published_depleted,
             "published_genes": published_genes, "intersections": intersections}  # fmt: skip
    run = {name: stage.results / name for name in ("windows.tsv", "split.tsv", "kmers.npy", "introgressed.bed")}
    stage.record(
        stage.results / "audit/deviations.json",
        run | {name: path for name, path in given.items() if path is not None},
        {**settings._asdict(), "draws": draws},
        unmeasured=missing,
    )
    for row in listed.effects_of(found):
        stage.say(f"{row.deviation}: {row.measure}: {listed.show(row.default)} by default, "
                  f"{listed.show(row.other)} the other way (n = {row.n:,} {row.unit})")  # fmt: skip
    if missing:
        stage.say(f"not measured, the run lacks what it takes: {', '.join(missing)}")


def _read_settings(stage: Stage, epochs: int | None, trees: int | None, seed: int | None) -> _Settings:
    """Settings of the run, from what lies beside its results, unless others are given."""

    def recorded(path: Path, name: str) -> int:
        found = read_record(path).get("parameters", {}).get(name)
        if not isinstance(found, int):
            raise InputError(f"{path}: found no setting {name!r}, expected the record of a finished stage")
        return found

    return _Settings(
        epochs=epochs or recorded(stage.models / "network.json", "epochs"),
        trees=trees or recorded(stage.models / "forest.json", "trees"),
        seed=recorded(stage.models / "forest.json", "seed") if seed is None else seed,
        length=recorded(stage.results / "windows.json", "length"),
        gene_length=recorded(stage.results / "genes.json", "length"),
        k=recorded(stage.results / "genes.json", "k"),
    )


def _read_partners(stage: Stage, path: Path, sizes: dict[str, int]) -> pd.DataFrame:
    """The published draw, checked to fit the run's regions row by row."""
    from neanderthal_nlp import intervals

    found = intervals.match_naming(intervals.read_bed(path), sizes)
    regions = intervals.read_bed(stage.results / "introgressed.bed")
    place = [(frame["chrom"].tolist(), (frame["end"] - frame["start"]).tolist()) for frame in (found, regions)]
    if place[0] != place[1]:
        raise InputError(f"{path}: found {len(found):,} regions that are not, row by row, of the chromosome and length "
                         f"of the {len(regions):,} in {stage.results / 'introgressed.bed'}")  # fmt: skip
    return found


def _from_tables(
    stage: Stage, genes: pd.DataFrame, published: pd.DataFrame | None, audited: Path | None
) -> Iterator[Effect]:
    """Effects that the run's results tell; of the audit's, those that are there."""
    from neanderthal_nlp.audit import effects

    intersections = read_record(stage.results / "intersections.json")
    yield from effects.p_values(intersections["observed"], intersections["draws"])
    yield from effects.importances(read_table(stage.results / "importances.tsv", {"permutation": np.float64}))
    yield from effects.gene_list(genes, read_table(stage.results / "genes.tsv", {"Predict": np.float64}), published)
    ladder, audit = stage.results / "audit/ladder.tsv", audited or stage.results / "audit/intersections.tsv"
    if ladder.exists():
        yield from effects.split_protocol(read_table(ladder, {"value": np.float64}))
    if audited is not None or audit.exists():
        variant = "clear_of_gaps" if "gaps" in intersections["inputs"] else "article"
        yield from effects.dependence(intersections["observed"], intersections["draws"],
                                      read_table(audit, {"ratio": np.float64}), variant=variant)  # fmt: skip


def _from_coordinates(
    stage: Stage,
    genes: pd.DataFrame,
    sizes: dict[str, int],
    gaps: pd.DataFrame,
    published: pd.DataFrame | None,
    draws: int,
    settings: _Settings,
) -> Iterator[Effect]:
    """Effects on regions and genes."""
    from neanderthal_nlp import intervals
    from neanderthal_nlp.audit import effects

    regions, partners = (intervals.read_bed(stage.results / f"{name}.bed") for name in ("introgressed", "depleted"))
    yield from effects.starts_at_zero(pd.concat([regions, partners]), published)
    yield from effects.draws_and_n(regions, sizes, gaps, published=published, rng=settings.seed)
    yield from effects.draw_range(regions, sizes, published=published)
    yield from effects.draw_equal(regions, sizes, published=published)
    yield from effects.region_length(regions, length=settings.length)
    stage.say(f"two gene tests of {draws:,} draws")
    yield from effects.gaps_in_test(regions, genes, sizes, gaps, n_draws=draws, rng=settings.seed)


def _from_genes(stage: Stage, genes: pd.DataFrame, letters: Any, settings: _Settings) -> Iterator[Effect]:
    """Effects on the letters of genes."""
    from neanderthal_nlp import intervals
    from neanderthal_nlp.audit import effects, refits

    genes = intervals.match_naming(genes, letters.chromsizes)
    counts, others = refits.gene_texts(genes, letters, length=settings.gene_length, other=settings.length,
                                       k=settings.k)  # fmt: skip
    yield from refits.vectoriser(counts)
    yield from refits.gene_length(counts, others, load_forest(stage, settings.k))
    yield from effects.gene_gc(genes, read_gaps(stage.results / "gaps.bed"), letters)


def _from_windows(stage: Stage, letters: Any, threads: int, settings: _Settings) -> Iterator[Effect]:
    """Effects on the run's windows: models are trained again."""
    from neanderthal_nlp import splits
    from neanderthal_nlp.audit import refits

    windows, counts, _ = load_counts(stage.results)
    parts = splits.read_split(stage.results / "split.tsv", windows)
    labels = windows["label"].to_numpy()
    stage.say(f"three forests of {settings.trees:,} trees")
    yield from refits.extraction(windows, letters, parts, gaps=read_gaps(stage.results / "gaps.bed"),
                                 length=settings.length, k=settings.k, trees=settings.trees, seed=settings.seed,
                                 n_jobs=threads)  # fmt: skip
    stage.say("linear models with and without scaling")
    yield from refits.linear_models(counts, labels, parts, seed=settings.seed)
    training = stage.results / "audit/deviations.training"
    found, history = refits.last_epoch(counts, labels, parts, directory=training, epochs=settings.epochs,
                                       seed=settings.seed, report=stage.say)  # fmt: skip
    yield from found
    n_validation = int(np.ceil(len(parts.train) * parameters.VALIDATION_SPLIT))
    histories = {len(table): table for table in (history, read_table(stage.results / "history.tsv"))}
    for table in histories.values():
        yield from refits.best_epoch(table, n_validation=n_validation)
    shutil.rmtree(training)
