"""What the commands share: options, the folder of a run, and what its files hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import provenance, read_json, replacing, sha256, write_json

if TYPE_CHECKING:
    from neanderthal_nlp.evaluation import Split

Directory = Annotated[Path, typer.Option(help="Folder of the run: results/, models/ and figures/ lie below it.")]
GenomeFile = Annotated[Path, typer.Option(help="Genome: FASTA (plain, bgzip, gzip) or 2bit.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for genome indexes (default: the user's cache).")]
SplitFile = Annotated[
    Path | None, typer.Option(help="Manifest of a split to use rather than the run's, results/split.tsv.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the stage's random numbers.")]
AsPublished = Annotated[bool, typer.Option("--as-published", help="Do literally what the published code does.")]

_SECONDS_BETWEEN_NEWS = 10.0


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

    def progress(self, total: int, what: str) -> Callable[[], None]:
        """Give a function to call after each of `total` steps: now and then it says how far they are."""
        start = told = time.monotonic()
        done = 0

        def step() -> None:
            nonlocal done, told
            done += 1
            now = time.monotonic()
            if now - told >= _SECONDS_BETWEEN_NEWS and done < total:
                told = now
                self.say(f"{done:,} of {total:,} {what}, about {(now - start) / done * (total - done):,.0f} s to go")

        return step

    def record(self, path: Path, inputs: Mapping[str, Path], settings: Mapping[str, Any], **more: Any) -> None:
        """Write a JSON file that says where a result comes from, after what `more` holds."""
        write_json({**more, **self.provenance(inputs, settings)}, path)

    def provenance(self, inputs: Mapping[str, Path], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Say where a result comes from; see `files.provenance`."""
        return provenance(inputs, settings, time.perf_counter() - self._start)


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


def count_windows(table: pd.DataFrame, genome: Path, k: int, folder: Path, *, cache: Path | None) -> np.ndarray:
    """Count the words of windows, and write the matrix and its vocabulary to a folder.

    Each row is written to its place as soon as it is counted: memory does not grow with the number of windows.

    Returns
    -------
    ndarray of int64, shape (2, 4**k)
        The words of all depleted and of all introgressed windows.
    """
    from neanderthal_nlp import kmers, sequences
    from neanderthal_nlp.genome import open_genome

    start = time.perf_counter()
    shape, labels, totals = (len(table), 4**k), table["label"].to_numpy(), np.zeros((2, 4**k), dtype=np.int64)
    with open_genome(genome, cache=cache) as letters, replacing(folder / "kmers.npy") as part, part.open("wb") as file:
        header = {"descr": np.dtype(np.int32).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        first = file.tell()
        for row, text in sequences.fetch_along_genome(table, letters):
            counts = kmers.count_kmers([text], k)
            totals[labels[row]] += counts[0]
            file.seek(first + row * counts.nbytes)
            file.write(counts.data)
    about_counts = {"shape": list(shape), "vocabulary": kmers.vocabulary(k)}
    record = provenance({"windows": folder / "windows.tsv"}, {"k": k}, time.perf_counter() - start)
    write_json({**about_counts, **record}, folder / "kmers.json")
    return totals


def load_split(results: Path, split_file: Path | None) -> tuple[np.ndarray, np.ndarray, list[str], Split]:
    """Counts, labels and vocabulary with the run's split, or with that of a file."""
    from neanderthal_nlp.splits import read_split

    table, counts, words = load_counts(results)
    return counts, table["label"].to_numpy(), words, read_split(split_file or results / "split.tsv", table)


def training_inputs(results: Path, split_file: Path | None) -> dict[str, Path]:
    """What a model is trained on, for its provenance."""
    return {"counts": results / "kmers.npy", "split": split_file or results / "split.tsv"}


def check_split(stage: Stage, model: str) -> None:
    """Refuse a model that was trained under another split than the run's."""
    record = stage.models / f"{model}.json"
    if read_json(record)["inputs"].get("split", {}).get("sha256") != sha256(stage.results / "split.tsv"):
        raise InputError(f"{record}: trained under another split than {stage.results / 'split.tsv'}: train it again, "
                         "or make that split the run's (split --split-file)")  # fmt: skip
