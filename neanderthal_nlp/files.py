"""Reading text and writing results: the edge at which the package touches files.

A result is written beside its final name and moved into place when it is complete, so that a reader never
meets half of it. In the folder of a run it is sealed as well (`seals`).
"""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.seals import AGAIN, check_seal, sealing, sha256

GZIP_MAGIC = b"\x1f\x8b"
BROKEN_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a gzip file meets where it is truncated or damaged."""
LONGEST_LINE = 1 << 20
"""Bytes of a line of text; the longest of gene annotations in use have ten thousand."""
MOST_COLUMNS = 10_000
MOST_BLANKS = 1_000_000
"""Blank lines of a text; a few bytes of gzip can hold any number of them."""
FORMAT = 1
"""Number of the form of the JSON records that stages write; those of before it was written down have the first."""
REPORTED_PACKAGES = (
    "numpy", "pandas", "scipy", "scikit-learn", "tensorflow", "keras", "gensim", "umap-learn", "pysam", "bioframe",
    "hmmlearn",
)  # fmt: skip
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_KEPT: ContextVar[frozenset[str]] = ContextVar("_KEPT", default=frozenset())
_CONTROL = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_NO_NAME = re.compile(r"[\0-\x1f\x7f]|^\s+$")
FOLDED, SMALL = 100, 1 << 24
"""How many times larger than its file what a compressed file holds may be where it is held in memory, and the bytes
that it may always hold: tables of genomics come to ten times, deflate to a thousand, a genome of N to hundreds."""


def check_file(path: str | Path) -> None:
    """Refuse what cannot be read as a file: the first look at whatever is read, and so where its seal is compared.

    Raises
    ------
    InputError
        The file is missing, is a folder, a pipe or a device, cannot be read, is empty, or is not what its seal says.
    """
    path = Path(path)
    check_seal(path)
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # to open a pipe waits for its other end
            raise InputError(f"{path}: found a pipe, a socket or a device, expected a file")
        with path.open("rb") as handle:
            empty = not handle.read(1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except ValueError:
        raise InputError(f"{path}: cannot be read (no file can have this name)") from None
    if empty:
        raise InputError(f"{path}: the file is empty")


def is_gzip(path: str | Path) -> bool:
    """Whether a file starts with gzip's magic number, whatever its name says; `InputError` as of `check_file`."""
    check_file(path)
    with Path(path).open("rb") as handle:
        return handle.read(2) == GZIP_MAGIC


def name_kind(path: str | Path) -> str:
    """What lies at a path, in a few words, where a file was expected."""
    if os.path.isdir(path):
        return "a folder"
    return "a pipe, a socket or a device" if os.path.exists(path) else "no such file"


def open_binary(path: str | Path, *, bounded: bool = True) -> IO[bytes]:
    """Open a plain or gzip file (any of gzip's dialects) for reading bytes.

    Of a gzip file that holds more than 16 MiB and more than a hundred times its size, no more is read: `InputError`.
    Whoever bounds what is kept of it needs none of that (`bounded=False`): a masked genome unfolds to hundreds of
    times its size.
    """
    if not is_gzip(path):
        return Path(path).open("rb")
    return io.BufferedReader(_Unfolded(path), 1 << 17) if bounded else cast(IO[bytes], gzip.open(path, "rb"))


class _Unfolded(io.RawIOBase):
    """What a gzip file holds, up to what is in proportion to its size."""

    def __init__(self, path: str | Path) -> None:
        self._path, size = path, Path(path).stat().st_size
        self._left = max(SMALL, FOLDED * size)
        self._content = gzip.open(path, "rb")  # noqa: SIM115 (closed by `close`)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self._content.readinto(buffer)
        self._left -= n
        if self._left < 0:
            raise InputError(f"{self._path}: found a gzip file that holds more than {FOLDED} times its size, "
                             f"expected that or at most {SMALL >> 20} MiB: give it unpacked")  # fmt: skip
        return n

    def close(self) -> None:
        self._content.close()
        super().close()


def read_lines(path: str | Path, *, longest: int = LONGEST_LINE) -> Iterator[tuple[int, str]]:
    """Lines of a plain or gzip text file with their numbers, from 1, without line ends (LF or CRLF).

    Raises
    ------
    InputError
        The file is missing, empty, not UTF-8 text, or a gzip file that is truncated or damaged; or a line has more
        than `longest` bytes, or a control character in it; or a million lines are blank.
    """
    number = blanks = 0
    with open_binary(path) as handle:
        try:
            for number, raw in enumerate(iter(partial(handle.readline, longest + 3), b""), start=1):
                line = raw.rstrip(b"\r\n")
                blanks += not line
                if blanks > MOST_BLANKS:
                    raise InputError(f"{path}: line {number}: found more than {MOST_BLANKS:,} blank lines")
                if len(line) > longest:
                    raise InputError(f"{path}: line {number}: found more than {longest:,} bytes, expected a line")
                if (found := _CONTROL.search(line)) is not None:
                    raise InputError(f"{path}: line {number}: not text (found {found[0]!r:.9}, expected tabs, and LF "
                                     "or CRLF at the end)")  # fmt: skip
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: line {number}: not text (expected UTF-8)") from None
        except BROKEN_GZIP as error:
            raise InputError(f"{path}: truncated or damaged gzip after line {number} ({error})") from None


@contextmanager
def open_text(source: str | Path | IO[bytes]) -> Iterator[IO[str]]:
    """Open a plain or gzip text file, or a stream of bytes such as standard input, for reading lines.

    What it unfolds to has no bound: that is for whoever keeps lines.

    Raises
    ------
    InputError
        The file is missing or empty; or, while it is read, not UTF-8 text, or a gzip file truncated or damaged.
    """
    if isinstance(source, (str, Path)):
        name, handle = str(source), open_binary(source, bounded=False)
    else:
        stream = io.BufferedReader(source)  # type: ignore[type-var]
        compressed = stream.peek(2)[:2] == GZIP_MAGIC
        name, handle = "standard input", cast(IO[bytes], gzip.GzipFile(fileobj=stream) if compressed else stream)
    try:
        with io.TextIOWrapper(handle, encoding="utf-8-sig") as lines:
            yield lines
    except UnicodeDecodeError:
        raise InputError(f"{name}: not text (expected UTF-8)") from None
    except BROKEN_GZIP as error:
        raise InputError(f"{name}: truncated or damaged gzip ({error})") from None


@contextmanager
def writing(part: Path, path: Path) -> Iterator[None]:
    """While a file or folder is written as `part` and moved to `path`: remove what is left of it.

    An `OSError` of a full disk, a quota or a limit of the size of files names `path`, also where a library written in C
    raised one without a reason.
    """
    try:
        yield
    except OSError as error:
        raise _explained(error, part, path) from None
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def keeping(paths: Iterable[str | Path]) -> Iterator[None]:
    """Meanwhile refuse to write over these files.

    Commands know what they were given, and only the functions that they call know the names of what is written.
    """
    kept = frozenset(place for path in paths for place in (_place(path), os.path.realpath(path)))
    token = _KEPT.set(_KEPT.get() | kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def _place(path: str | Path) -> str:
    """Where a name lies, links to its folder followed: a file that is moved there takes the place of a link."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder or "."), name)


def check_place(path: str | Path) -> None:
    """Refuse to write where something lies that a result must not take the place of.

    Raises
    ------
    InputError
        It is a file that is kept (`keeping`), or a pipe, a socket or a device.
    """
    if not _KEPT.get().isdisjoint((_place(path), os.path.realpath(path))):
        raise InputError(f"{path}: found an input of this command, expected another file to write")
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise InputError(f"{path}: found a pipe, a socket or a device, expected a file to write")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a name to write to beside `path`; move it to `path` on success, remove it on failure.

    In a folder that keeps seals (`seals.keep_seals`) the file is sealed. What `check_place` refuses is not written;
    what `writing` says of errors holds.
    """
    path = Path(path)
    check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write the same result at once, such as the index of a genome: each its own part.
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    with writing(part, path):
        yield part
        with sealing(path, part):
            os.replace(part, path)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder beside `path` to write to; put it in the place of `path` on success, else remove it.

    In a folder that keeps seals every file in it is sealed.
    """
    path = Path(path)
    check_place(path)
    for kept in _KEPT.get():
        if Path(kept).is_relative_to(_place(path)):
            raise InputError(f"{path}: found an input of this command in it, {kept}, expected another folder to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = (path.with_name(f"{path.name}.{uuid4().hex}.part") for _ in range(2))
    part.mkdir()
    try:
        with writing(part, path):
            yield part
            with sealing(path, part):
                if path.exists():
                    path.replace(old)
                part.replace(path)
    finally:
        remove(old)


def stamp(path: str | Path) -> tuple[int, int] | None:
    """Size (bytes) and time of change (ns) of a file, which tell its versions apart; None where it is gone."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def check_room(path: str | Path) -> None:
    """Write a megabyte more to a file that is to be removed: the system's `OSError` where that is refused.

    Libraries written in C do not tell why they could not write.
    """
    with Path(path).open("ab") as handle:
        handle.write(bytes(1 << 20))


def reserve(path: str | Path) -> None:
    """Take the room of a sparse file: on a full disk an `OSError`, where to write to mapped memory kills a process."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with Path(path).open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, os.fstat(handle.fileno()).st_size)


def _explained(error: OSError, part: Path, path: Path) -> OSError:
    """An error of writing a part with the name of the result and the system's reason, as far as they can be known."""
    number = error.errno
    if number is None and type(error) is OSError:
        try:
            check_room(part / "more" if part.is_dir() else part)
        except OSError as refused:
            number = refused.errno
    name = str(part) if error.filename is None and number in _NO_ROOM else str(error.filename)
    if number is None or not name.startswith(str(part)):
        return error
    return OSError(number, os.strerror(number), name.replace(str(part), str(path), 1))


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
        # A name may hold quotation marks, which mean nothing in BED.
        frame.to_csv(part, sep="\t", index=False, header=False, lineterminator="\n", quoting=csv.QUOTE_NONE)


@contextmanager
def open_table(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a table, plain or gzip, for pandas, whose complaints become an `InputError`."""
    if next(read_lines(path), (0, ""))[1].count("\t") >= MOST_COLUMNS:
        raise InputError(f"{path}: not a table of this package (more than {MOST_COLUMNS:,} columns)")
    try:
        with open_binary(path) as handle:
            yield handle
    except InputError:
        raise
    except (ValueError, OverflowError, *BROKEN_GZIP) as error:
        raise InputError(f"{path}: not a table of this package ({' '.join(str(error).split())})") from None


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
    with open_table(path) as handle, np.errstate(invalid="ignore"):  # of a number that is none of int64: refused
        # Chromosomes may be named 1, 2, ..., and a gene or a k-mer may spell NA: only an empty cell is missing.
        frame = pd.read_csv(
            handle, sep="\t", dtype={"chrom": str, **(columns or {})}, keep_default_na=False, na_values=[""]
        )
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes fields beyond the header's for names of rows
        raise InputError(f"{path}: not a table of this package (rows have more fields than the header)")
    missing = [name for name in columns or {} if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)} (found {', '.join(map(str, frame.columns))})")
    text = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    frame = frame.assign(**{name: frame[name].fillna("") for name in text})
    if "chrom" in frame and (strange := [name for name in frame["chrom"].unique() if _NO_NAME.search(name)]):
        raise InputError(f"{path}: column chrom: found {strange[0]!r:.40}, expected names of chromosomes")
    return frame


def write_json(value: Mapping[str, Any], path: str | Path) -> None:
    """Write a mapping as indented JSON."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object; `InputError` where the file is missing, is not one, or is not what its seal says."""
    check_file(path)
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    except RecursionError:
        raise InputError(f"{path}: not JSON of this package (nested too deeply)") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: found {type(value).__name__}, expected a JSON object")
    return value


def write_record(value: Mapping[str, Any], path: str | Path) -> None:
    """Write what a stage says of its results as JSON, with the number of its form."""
    write_json({"format": FORMAT, **value}, path)


def read_record(path: str | Path) -> dict[str, Any]:
    """Read what a stage said of its results.

    Raises
    ------
    InputError
        The file is missing, is not JSON or not what its seal says, or its form is that of another version.
    """
    value = read_json(path)
    if (found := value.get("format", FORMAT)) != FORMAT:
        raise InputError(f"{path}: found format {found!r:.40}, expected {FORMAT}: made by another version: "
                         f"{AGAIN}")  # fmt: skip
    return value


def provenance(inputs: Mapping[str, str | Path], parameters: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Say where a result comes from: parameters, inputs with their hashes, versions of packages, time taken."""
    return {
        "parameters": dict(parameters),
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in inputs.items()},
        "versions": {name: version(name) for name in ("neanderthal_nlp", *REPORTED_PACKAGES)},
        "seconds": round(seconds, 3),
    }
