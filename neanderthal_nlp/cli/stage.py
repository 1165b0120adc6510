"""What the commands share: options, the folder of a run, and what its files hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import name_kind, provenance, read_record, replacing, sha256, write_record
from neanderthal_nlp.profiles import RANGES
from neanderthal_nlp.seals import AGAIN, check_seal

if TYPE_CHECKING:
    from neanderthal_nlp.evaluation import Split


class _Limits(TypedDict):
    min: int
    max: int


def limits(key: str) -> _Limits:
    """Least and most that an option takes: those of a profile's key."""
    low, high = RANGES[key]
    return {"min": low, "max": high}


def _not_zero(threads: int) -> int:
    if threads == 0:
        raise typer.BadParameter("found 0, expected -1 or a number from 1 on")
    return threads


Directory = Annotated[Path, typer.Option(help="Folder of the run: results/, models/ and figures/ lie below it.")]
GenomeFile = Annotated[Path, typer.Option(help="Genome: FASTA (plain, bgzip, gzip) or 2bit.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for genome indexes (default: the user's cache).")]
SplitFile = Annotated[
    Path | None, typer.Option(help="Manifest of a split to use rather than the run's, results/split.tsv.")
]
Seed = Annotated[int, typer.Option(**limits("seed"), help="Seed of the stage's random numbers.")]
Epochs = Annotated[int, typer.Option(**limits("epochs"))]
Trees = Annotated[int, typer.Option(**limits("n_estimators"))]
Threads = Annotated[int, typer.Option(min=-1, max=1024, callback=_not_zero, help="Threads; -1 for all cores.")]
Devices = Annotated[str, typer.Option(help="Where to train: auto (the GPUs, else the CPU), cpu, or a number of GPUs.")]
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
        write_record({**more, **self.provenance(inputs, settings)}, path)

    def provenance(self, inputs: Mapping[str, Path], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Say where a result comes from; see `files.provenance`."""
        return provenance(inputs, settings, time.perf_counter() - self._start)


def read_gaps(path: Path) -> pd.DataFrame:
    """Read the runs of N that the stage `regions` wrote; a genome may have none."""
    from neanderthal_nlp import intervals

    check_seal(path)
    if path.exists() and path.stat().st_size == 0:
        return intervals.no_intervals()
    return intervals.read_bed(path)


def load_counts(results: Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Windows, their memory-mapped counts and the vocabulary, checked to fit one another."""
    from neanderthal_nlp import sequences

    table = sequences.read_windows(results / "windows.tsv")
    words = _read_vocabulary(results / "kmers.json")
    check_input(results / "kmers.json", "windows", results / "windows.tsv")
    path, expected = results / "kmers.npy", (len(table), len(words))
    counts = map_matrix(path, "a matrix of counts")
    if counts.shape != expected:
        raise InputError(f"{path}: found shape {counts.shape}, expected {expected}: {AGAIN}")
    if counts.dtype != np.int32:
        raise InputError(f"{path}: found numbers of type {counts.dtype}, expected int32: {AGAIN}")
    check_seal(path)
    return table, counts, words


def _read_vocabulary(path: Path) -> list[str]:
    from neanderthal_nlp import kmers

    record = read_record(path)
    k, words = _entry(record, "parameters", "k"), record.get("vocabulary")
    if not isinstance(k, int) or not 1 <= k <= 10 or words != kmers.vocabulary(k):
        raise InputError(f"{path}: found k = {k} and a vocabulary that do not fit one another, expected the 4^k words "
                         "of k letters in their order: count them again (stage kmers)")  # fmt: skip
    return list(words)


def map_matrix(path: Path, what: str) -> np.ndarray:
    """Memory-map a matrix of the run; whoever knows its shape compares the seal after that."""
    if not path.is_file():  # to open a pipe waits for its other end
        raise InputError(f"{path}: not {what} ({name_kind(path)})")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # NumPy meets damage of the header with half a dozen exceptions of several families
        raise InputError(f"{path}: not {what} ({' '.join(str(error).split())}): {AGAIN}") from None


def _entry(record: Any, *keys: str) -> Any:
    """What stands in a record under one key within another; None where there is no such thing."""
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def check_input(record: Path, name: str, path: Path) -> None:
    """Refuse a result that was made from another version of a file than the one that is there."""
    if _entry(read_record(record), "inputs", name, "sha256") != sha256(path):
        raise InputError(f"{record}: made from another {path.name} than {path}: run the stage that wrote it again")


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
    with replacing(folder / "kmers.npy") as part, open_genome(genome, cache=cache) as letters, part.open("wb") as file:
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
    write_record({**about_counts, **record}, folder / "kmers.json")
    return totals


def load_split(results: Path, split_file: Path | None) -> tuple[np.ndarray, np.ndarray, list[str], Split]:
    """Counts, labels and vocabulary with the run's split, or with that of a file."""
    from neanderthal_nlp.splits import read_split

    table, counts, words = load_counts(results)
    return counts, table["label"].to_numpy(), words, read_split(split_file or results / "split.tsv", table)


def training_inputs(results: Path, split_file: Path | None) -> dict[str, Path]:
    """What a model is trained on, for its provenance."""
    return {"counts": results / "kmers.npy", "split": split_file or results / "split.tsv"}


def check_training(stage: Stage, model: str) -> None:
    """Refuse a model that was trained on other counts or under another split than the run's."""
    record = stage.models / f"{model}.json"
    check_input(record, "counts", stage.results / "kmers.npy")
    if _entry(read_record(record), "inputs", "split", "sha256") != sha256(stage.results / "split.tsv"):
        raise InputError(f"{record}: trained under another split than {stage.results / 'split.tsv'}: train it again, "
                         "or make that split the run's (split --split-file)")  # fmt: skip


def load_forest(stage: Stage, k: int) -> Any:
    """Read the forest of the run, checked to have been grown on words of `k` letters."""
    from neanderthal_nlp import persistence

    path = stage.models / "forest.skops"
    model = persistence.load_model(path)
    if (found := getattr(model, "n_features_in_", None)) != 4**k:
        raise InputError(f"{path}: found a model of {found} words, expected {4**k} (k = {k}): give its --k, or train "
                         "it again")  # fmt: skip
    return model
