"""Sliding windows over genomes: one in this process, or those of a sheet as jobs of a workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import pandas as pd
import typer

from neanderthal_nlp.cli.predict import HALF, BundleFolder, Model, Prior, Run, Which, find_bundle, tell_calls
from neanderthal_nlp.cli.stage import Cache, about, say
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table, replacing
from neanderthal_nlp.profiles import MANY

if TYPE_CHECKING:
    from neanderthal_nlp.bundle import Bundle
    from neanderthal_nlp.genome import Genome
    from neanderthal_nlp.predictions import CallCounts

app = typer.Typer()

JOB_SIZE = 100_000_000
"""Nucleotides; they take about as long to score as a job takes to start."""
TABLE = "scan.tsv"
TRACKS = ("scan.bedgraph", "scan.bw", "scan.bed", "training.bed")
GENE_TRACK = "genes.bed"
_GENES = {"chrom": str, "start": int, "end": int, "Gene_Symbol": str, "Prob_1": float}

Regions = Annotated[
    str | None,
    typer.Option(
        help="What to scan: BED, chr1:10001-20000 (the end included), or chr1 (default: every "
        "chromosome of the genome)."
    ),
]
Step = Annotated[
    int | None,
    typer.Option(min=1, max=MANY, help="Nucleotides from window to window (default: a quarter of a window)."),
]
Genes = Annotated[
    Path | None, typer.Option(help="Table of predicted genes to make a track of (default: the run's, if any).")
]
JobSize = Annotated[
    int,
    typer.Option(min=1, max=10**12, help="With --sheet: nucleotides of a job. Chromosomes are put together up to it."),
]


class Settings(NamedTuple):
    """How a genome, or each of many, is scanned: the options of `scan`."""

    bundle: Path
    step: int | None
    prior: float
    genes: Path | None
    job_size: int
    cache: Path | None


@app.command()
def scan(
    output: Annotated[Path, typer.Option(help="Folder for the table and the tracks; of a sheet, a folder a genome.")],
    genome: Annotated[Path | None, typer.Option(help="Genome: FASTA (plain, bgzip, gzip) or 2bit.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Many genomes: a table of name, genome and perhaps regions, tab-separated.")
    ] = None,
    bundle: BundleFolder = None,
    directory: Run = Path("runs/demo"),
    model: Which = Model.audited,
    regions: Regions = None,
    step: Step = None,
    prior: Prior = HALF,
    genes: Genes = None,
    cores: Annotated[
        int | None, typer.Option(min=1, max=MANY, help="With --sheet: cores to use, one a job (default: all).")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="With --sheet: where jobs run, as `reproduce --cluster` takes it.")
    ] = None,
    job_size: JobSize = JOB_SIZE,
    cache: Cache = None,
) -> None:
    """Slide windows over a genome, or over each of many: a table, and tracks that genome browsers open."""
    if (genome is None) == (sheet is None):
        raise InputError(f"found {'neither' if genome is None else 'both'}, expected --genome or --sheet")
    if sheet is not None and regions is not None:
        raise InputError("--regions: found it beside --sheet, expected a column regions in the sheet")
    if sheet is None and (cores, cluster) != (None, None):
        raise InputError(f"--{'cores' if cluster is None else 'cluster'}: found it without --sheet")
    folder = find_bundle(bundle, directory, model)
    if genes is None and bundle is None and (directory / "results" / "genes.tsv").exists():
        genes = directory / "results" / "genes.tsv"
    if genes is not None:
        _read_genes(genes)  # what is wrong with them is told before anything is scored
    settings = Settings(folder, step, prior, genes, job_size, cache)
    if sheet is not None:
        from neanderthal_nlp.cli.scan_sheet import scan_sheet

        raise typer.Exit(scan_sheet(sheet, output, settings, cores=cores, cluster=cluster))
    assert genome is not None  # noqa: S101 (for the type checker)
    _scan_genome(genome, output, regions, settings)


def _scan_genome(genome: Path, output: Path, regions: str | None, settings: Settings) -> None:
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.sheet import cut_parts

    chosen, prior = read_bundle(settings.bundle), settings.prior
    with open_genome(genome, cache=settings.cache) as letters:
        sizes = letters.chromsizes
        # In the parts of a sheet's jobs: the same numbers stand in the same batches, down to the last bit.
        parts = cut_parts(find_places(regions, sizes), settings.job_size)
        n = score_parts(parts, letters, chosen, output / TABLE, step=settings.step, prior=prior)
    written = [TABLE, *write_tracks(output, sizes, chosen, prior, settings.genes)]
    tell_calls("scan", n, chosen, prior)
    say("scan", f"{', '.join(written)} in {output}")


def find_places(regions: str | None, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Regions in the order of the genome, those that overlap merged; without any, whole chromosomes."""
    from neanderthal_nlp import intervals

    if regions is None:
        return pd.DataFrame({"chrom": list(sizes), "start": 0, "end": list(sizes.values())})
    merged = intervals.merge_overlapping(intervals.read_places(regions, sizes, source="--regions"))
    rank = {chrom: number for number, chrom in enumerate(sizes)}
    return merged.sort_values(
        ["chrom", "start"], key=lambda column: column.map(rank) if column.name == "chrom" else column
    )


def score_parts(
    parts: Sequence[pd.DataFrame], genome: Genome, bundle: Bundle, table: Path, *, step: int | None, prior: float
) -> CallCounts:
    """Score windows over parts of a genome, one part after another, into a table."""
    from threadpoolctl import threadpool_limits

    from neanderthal_nlp.predict import predict, slide
    from neanderthal_nlp.predictions import write_predictions

    step = step or max(bundle.window_length // 4, 1)
    batches = chain.from_iterable(
        predict(slide(part, genome, bundle.window_length, step=step), bundle, n_words=0, prior=prior) for part in parts
    )
    # How BLAS shares out sums among threads may change their last bit. Trees share out rows, which changes none.
    with threadpool_limits(1, user_api="blas"), replacing(table) as path, path.open("w", encoding="utf-8") as handle:
        return write_predictions(batches, bundle, handle, form="tsv", prior=prior)


def write_tracks(output: Path, sizes: Mapping[str, int], bundle: Bundle, prior: float, genes: Path | None) -> list[str]:
    """Make tracks of the table in a folder; their names."""
    from neanderthal_nlp import tracks
    from neanderthal_nlp.predictions import read_batches

    table = output / TABLE
    graph, wig, windows, training = (output / name for name in TRACKS)
    name = bundle.name[:20]  # a browser's label is short
    label = f"{name}: probability, {'made-up genome' if bundle.synthetic else 'Neanderthal ancestry'}, prior {prior:g}"
    tracks.write_bedgraph(read_batches(table), graph, description=label)
    tracks.write_bigwig(read_batches(table), wig, sizes)
    tracks.write_bed9(map(tracks.prediction_track, read_batches(table)), windows, name="Windows", description=label)
    tracks.write_bed9([tracks.training_track(bundle.windows)], training, name="Training",
                      description=f"{name}: windows of training and test")  # fmt: skip
    if genes is None:
        return list(TRACKS)
    track = _read_genes(genes)
    outside = (track["start"] < 0) | (track["end"] > track["chrom"].map(sizes))
    if outside.any():
        say("scan", f"{output / GENE_TRACK}: left out {outside.sum():,} of {len(track):,} genes, which pass the end of "
            f"their chromosome: is {genes} of another build?")  # fmt: skip
    tracks.write_bed9([track[~outside]], output / GENE_TRACK, name="Genes",
                      description="Predicted by the article's forest")  # fmt: skip
    return [*TRACKS, GENE_TRACK]


def _read_genes(path: Path) -> pd.DataFrame:
    """The track of a table of genes."""
    from neanderthal_nlp import tracks

    with about(path):
        return tracks.gene_track(read_table(path, _GENES))
