"""What the commands share: options, the folder of a run, and what its files hold."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import provenance, read_json, write_json, write_table

if TYPE_CHECKING:
    from neanderthal_nlp.evaluation import Split

Directory = Annotated[Path, typer.Option(help="Folder of the run: results/, models/ and figures/ lie below it.")]
GenomeFile = Annotated[Path, typer.Option(help="Genome: FASTA (plain, bgzip, gzip) or 2bit.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for genome indexes (default: the user's cache).")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the stage's random numbers.")]
AsPublished = Annotated[bool, typer.Option("--as-published", help="Do literally what the published code does.")]


def say(stage: str, message: str) -> None:
    """Tell the user, on standard error, how a stage goes."""
    typer.echo(f"{stage}: {message}", err=True)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Name the file that a table came from in errors that only know its rows."""
    try:
        yield
    except InputError as error:
        raise (error if str(path) in str(error) else InputError(f"{path}: {error}")) from None


class Stage:
    """Paths of a run and the time a stage takes, for the provenance that is written beside its results."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.results, self.models, self.figures = (directory / part for part in ("results", "models", "figures"))
        self._start = time.perf_counter()

    def say(self, message: str) -> None:
        """Tell the user how this stage goes."""
        say(self.name, message)

    def record(self, path: Path, inputs: Mapping[str, Path], settings: Mapping[str, Any], **more: Any) -> None:
        """Write a JSON file that says where a result comes from, after what `more` holds."""
        write_json({**more, **provenance(inputs, settings, time.perf_counter() - self._start)}, path)


def read_gaps(path: Path) -> pd.DataFrame:
    """Read the runs of N that the stage `regions` wrote; a genome may have none."""
    from neanderthal_nlp import intervals

    if path.exists() and path.stat().st_size == 0:
        return intervals.no_intervals()
    return intervals.read_bed(path)


def load_counts(results: Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Windows, their memory-mapped counts and the vocabulary, checked to fit one another."""
    from neanderthal_nlp import sequences

    table = sequences.read_windows(results / "windows.tsv")
    words = read_json(results / "kmers.json")["vocabulary"]
    try:
        counts = np.load(results / "kmers.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{results / 'kmers.npy'}: not a matrix of counts ({error})") from None
    if counts.shape != (len(table), len(words)):
        raise InputError(f"{results / 'kmers.npy'}: found shape {counts.shape}, expected {(len(table), len(words))}")
    return table, counts, words


def load_split(results: Path) -> tuple[np.ndarray, np.ndarray, list[str], Split]:
    """Counts, labels and vocabulary with the article's split, refused where a class is missing on a side."""
    from neanderthal_nlp.evaluation import split

    table, counts, words = load_counts(results)
    labels, parts = table["label"].to_numpy(), split(table, protocol="article")
    if min(len(np.unique(labels[rows])) for rows in parts) < 2:
        raise InputError(f"{results / 'windows.tsv'}: found {len(table)} windows, too few to have both classes on both "
                         "sides of the split")  # fmt: skip
    return counts, labels, words, parts


def write_predictions(
    path: Path, test: np.ndarray, labels: np.ndarray, scores: Mapping[str, tuple[np.ndarray, float]]
) -> None:
    """Write the scores of held-out windows, one block of rows a model, with each model's threshold."""
    tables = [
        pd.DataFrame({"model": name, "window": test, "label": labels, "score": score, "threshold": threshold})
        for name, (score, threshold) in scores.items()
    ]
    write_table(pd.concat(tables, ignore_index=True), path)
