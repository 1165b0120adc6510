"""Reading text and writing results: the edge at which the package touches files.

A result is written beside its final name and moved into place when it is complete, so that a reader never
meets half of it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

import pandas as pd

from neanderthal_nlp.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
PART = re.compile(r".+\.[0-9a-f]{32}\.part")
"""Names that `replacing` gives to what is not complete."""
REPORTED_PACKAGES = (
    "numpy", "pandas", "scipy", "scikit-learn", "tensorflow", "keras", "gensim", "umap-learn", "pysam", "bioframe",
    "hmmlearn",
)  # fmt: skip


def is_gzip(path: str | Path) -> bool:
    """Whether a file starts with gzip's magic number, whatever its name says.

    Raises
    ------
    InputError
        The file is missing, is a folder, cannot be read or is empty.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            head = handle.read(2)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise InputError(f"{path}: the file is empty")
    return head == GZIP_MAGIC


def open_binary(path: str | Path) -> IO[bytes]:
    """Open a plain or gzip file (any of gzip's dialects) for reading bytes."""
    return cast(IO[bytes], gzip.open(path, "rb") if is_gzip(path) else Path(path).open("rb"))


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Lines of a plain or gzip text file with their numbers, from 1, without line ends (LF or CRLF).

    Raises
    ------
    InputError
        The file is missing, empty, not UTF-8 text, or a gzip file that is truncated or damaged.
    """
    number = 0
    with open_binary(path) as handle:
        try:
            for number, raw in enumerate(handle, start=1):
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise InputError(f"{path}: line {number}: not text (expected UTF-8)") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: truncated or damaged gzip after line {number} ({error})") from None


@contextmanager
def open_text(source: str | Path | IO[bytes]) -> Iterator[IO[str]]:
    """Open a plain or gzip text file, or a stream of bytes such as standard input, for reading lines.

    Raises
    ------
    InputError
        The file is missing or empty; or, while it is read, not UTF-8 text, or a gzip file truncated or damaged.
    """
    if isinstance(source, (str, Path)):
        name, handle = str(source), open_binary(source)
    else:
        stream = io.BufferedReader(source)  # type: ignore[type-var]
        compressed = stream.peek(2)[:2] == GZIP_MAGIC
        name, handle = "standard input", cast(IO[bytes], gzip.GzipFile(fileobj=stream) if compressed else stream)
    try:
        with io.TextIOWrapper(handle, encoding="utf-8-sig") as lines:
            yield lines
    except UnicodeDecodeError:
        raise InputError(f"{name}: not text (expected UTF-8)") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: truncated or damaged gzip ({error})") from None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a name to write to beside `path`; move it to `path` on success, remove it on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write the same result at once, such as the index of a genome: each its own part.
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder beside `path` to write to; put it in the place of `path` on success, else remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (path.with_name(f"{path.name}.{uuid4().hex}.part") for _ in range(2))
    part.mkdir()
    try:
        yield part
        if path.exists():
            path.replace(old)
        part.replace(path)
    finally:
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a tab-separated table with a header; floats with nine significant digits."""
    with replacing(path) as part:
        frame.to_csv(part, sep="\t", index=False, float_format="%.9g", lineterminator="\n")


def markdown_table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table, its cells as text."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def write_bed(frame: pd.DataFrame, path: str | Path) -> None:
    """Write the columns of a frame, `chrom, start, end` first, as BED without a header."""
    with replacing(path) as part:
        frame.to_csv(part, sep="\t", index=False, header=False, lineterminator="\n")


def read_table(path: str | Path, columns: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Parameters
    ----------
    path : path-like
    columns : mapping of column name to dtype, optional
        Columns that must be there.

    Returns
    -------
    DataFrame
        An empty cell is NaN in a column of numbers and "" in one of text.

    Raises
    ------
    InputError
        The file is missing, is not such a table or lacks a column.
    """
    is_gzip(path)
    try:
        # Chromosomes may be named 1, 2, ..., and a gene or a k-mer may spell NA: only an empty cell is missing.
        frame = pd.read_csv(
            path, sep="\t", dtype={"chrom": str, **(columns or {})}, keep_default_na=False, na_values=[""]
        )
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a table of this package ({' '.join(str(error).split())})") from None
    missing = [name for name in columns or {} if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)} (found {', '.join(map(str, frame.columns))})")
    text = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(**{name: frame[name].fillna("") for name in text})


def write_json(value: Mapping[str, Any], path: str | Path) -> None:
    """Write a mapping as indented JSON."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object; `InputError` where the file is missing or is not one."""
    is_gzip(path)
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: found {type(value).__name__}, expected a JSON object")
    return value


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def provenance(inputs: Mapping[str, str | Path], parameters: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Say where a result comes from: parameters, inputs with their hashes, versions of packages, time taken."""
    return {
        "parameters": dict(parameters),
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in inputs.items()},
        "versions": {name: version(name) for name in ("neanderthal_nlp", *REPORTED_PACKAGES)},
        "seconds": round(seconds, 3),
    }
