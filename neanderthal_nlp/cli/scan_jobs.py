"""The jobs of a scan of many genomes: an index of a genome, the table of a part, and the parts put together.

The workflow calls them, users do not. `--work` is the folder of a genome's jobs: parts.KEY.json (how many parts it
has), NUMBER.KEY.tsv (tables of parts), calls.json (what was called, once the parts are put together) and error.txt
(what is wrong with the genome). A key changes with what a file is made from, so that none is taken for another.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from neanderthal_nlp.cli.predict import HALF, Prior, calls_as_text
from neanderthal_nlp.cli.scan import JOB_SIZE, TABLE, Genes, JobSize, Regions, Step, find_places, score_parts
from neanderthal_nlp.cli.scan import write_tracks as make_tracks
from neanderthal_nlp.cli.stage import GenomeFile, say
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import open_binary, replacing, write_json
from neanderthal_nlp.profiles import MANY

app = typer.Typer()

Work = Annotated[Path, typer.Option(help="Folder of the genome's jobs.")]
CacheFolder = Annotated[Path, typer.Option("--cache", help="Folder for genome indexes.")]
BundlePath = Annotated[Path, typer.Option("--bundle", help="Model bundle.")]
Key = Annotated[str, typer.Option(help="What the result is made from, in one word.")]


@app.command(hidden=True)
def scan_index(
    genome: GenomeFile,
    work: Work,
    cache: CacheFolder,
    key: Key,
    regions: Regions = None,
    job_size: JobSize = JOB_SIZE,
) -> None:
    """Make what a genome needs to be read at random, and say in how many parts it is scanned."""
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.sheet import cut_parts

    with _noting_errors(work):
        # Two rows of a sheet may name one genome: the second waits, and finds the index made.
        with _alone(cache, genome), open_genome(genome, cache=cache) as letters:
            parts = cut_parts(find_places(regions, letters.chromsizes), job_size)
        write_json({"parts": len(parts)}, work / f"parts.{key}.json")


@app.command(hidden=True)
def scan_part(
    genome: GenomeFile,
    work: Work,
    cache: CacheFolder,
    bundle: BundlePath,
    number: Annotated[int, typer.Option(min=0, max=MANY, help="Of the part, from 0.")],
    key: Key,
    regions: Regions = None,
    job_size: JobSize = JOB_SIZE,
    step: Step = None,
    prior: Prior = HALF,
) -> None:
    """Score the windows of a part of a genome."""
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.sheet import cut_parts

    with _noting_errors(work), open_genome(genome, cache=cache) as letters:
        parts = cut_parts(find_places(regions, letters.chromsizes), job_size)
        if number >= len(parts):
            raise InputError(f"{genome}: found {len(parts)} parts, expected more than {number}: it, or what is scanned "
                             "of it, changed since they were counted")  # fmt: skip
        table = work / f"{number}.{key}.tsv"
        score_parts([parts[number]], letters, read_bundle(bundle), table, step=step, prior=prior)


@app.command(hidden=True)
def scan_merge(
    genome: GenomeFile,
    work: Work,
    cache: CacheFolder,
    bundle: BundlePath,
    output: Annotated[Path, typer.Option(help="Folder for the table and the tracks.")],
    parts: Annotated[int, typer.Option(min=1, max=MANY, help="How many there are.")],
    part_key: Annotated[str, typer.Option(help="Key of the parts.")],
    key: Key,
    prior: Prior = HALF,
    genes: Genes = None,
) -> None:
    """Put the tables of a genome's parts together, and make its tracks."""
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.predictions import count_calls, read_batches

    with _noting_errors(work):
        chosen = read_bundle(bundle)
        join_tables([work / f"{number}.{part_key}.tsv" for number in range(parts)], output / TABLE)
        with open_genome(genome, cache=cache) as letters:
            sizes = letters.chromsizes
        make_tracks(output, sizes, chosen, prior, genes)
        n = count_calls(read_batches(output / TABLE))
        write_json({"key": key, **n._asdict()}, work / "calls.json")
    say("scan", f"{output.name}: {calls_as_text(n, prior)}")


def join_tables(tables: list[Path], path: Path) -> None:
    """Write tables of one header below one another."""
    with replacing(path) as part, part.open("wb") as joined:
        for number, table in enumerate(tables):
            with open_binary(table) as rows:
                if number:
                    rows.readline()
                shutil.copyfileobj(rows, joined, 1 << 20)


@contextmanager
def _noting_errors(work: Path) -> Iterator[None]:
    """Keep what is wrong with a genome for the run's last words; whoever tries again, or another part, ends at once."""
    note = work / "error.txt"
    if note.exists():
        typer.echo(f"not tried again: {note}", err=True)
        raise typer.Exit(2)
    try:
        yield
    except InputError as error:
        with replacing(note) as part:
            part.write_text(str(error), encoding="utf-8")
        raise


@contextmanager
def _alone(cache: Path, genome: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(str(genome.resolve()).encode()).hexdigest()[:16]
    with (cache / f"{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks; it names no file
            raise OSError(error.errno, error.strerror, lock.name) from None
        yield
