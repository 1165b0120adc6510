"""Whether an index of a FASTA file is that file's: samtools believes an index, and reads other letters by a wrong one.

An index (.fai) says of each sequence where its letters start, how many there are, and how many stand on a line. It is
right where the bytes between two sequences are the header of the second and nothing else, and the first line ends where
it should. The index of the blocks (.gzi) of a bgzip file is compared with the blocks, of which no letter is unpacked.
What is held is the index; a file is read a piece at a time, also where it is a single line.
"""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import BROKEN_GZIP, MOST_BLANKS, is_gzip

MAX_NAME = 255
"""Bytes of a chromosome's name, as many as 2bit can have."""
_PIECE = 1 << 20
_HEADERS = 1 << 24  # bytes between the letters of two sequences, at most
_BLOCK = b"\x1f\x8b\x08\x04"
_BLOCK_END = b"\x06\0BC\x02\0"
_VISIBLE = bytes(range(33, 127))


class Entry(NamedTuple):
    """A line of an index: `bases` letters stand on a line of `width` bytes; `offset` is in the unpacked file."""

    name: str
    length: int
    offset: int
    bases: int
    width: int

    def end(self) -> int:
        """Where the last letter ends."""
        lines, rest = divmod(self.length - 1, self.bases)
        return self.offset + lines * self.width + rest + 1


class Text(Protocol):
    """Bytes of a file, unpacked."""

    size: int

    def read(self, start: int, end: int) -> bytes:
        """Bytes [start, end)."""


class PlainText:
    """Bytes of a plain file; `size` of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("rb")
        self.size = os.fstat(self._handle.fileno()).st_size

    def read(self, start: int, end: int) -> bytes:
        """Bytes [start, end)."""
        self._handle.seek(start)
        return self._handle.read(end - start)

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


class BlockedText:
    """Bytes of a bgzip file (BGZF: SAM specification, section 4.1).

    Attributes
    ----------
    path : Path
    size : int
        Bytes, unpacked.
    packed, text : ndarray of int64, shape (n + 1,)
        Where each block starts in the file and in what it unpacks to; last the ends of both.

    Raises
    ------
    InputError
        What is said of a block's length leads to no other block; or the last block, which is empty, is missing: without
        it a file that was cut between two blocks looks whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("rb")
        try:
            self.packed, self.text = np.array(list(self._walk()), dtype=np.int64).T
        except BaseException:
            self.close()
            raise
        if self.text[-2] != self.text[-1]:
            self.close()
            raise InputError(f"{path}: truncated bgzip file, or one that an old bgzip wrote (its last block, which is "
                             "empty, is missing): if it is whole, unpack it and run `bgzip` again")  # fmt: skip
        self.size = int(self.text[-1])
        self._unpack = lru_cache(2)(self._read_block)

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def read(self, start: int, end: int) -> bytes:
        """Bytes [start, end).

        Raises
        ------
        InputError
            A block is damaged.
        """
        first, last = np.searchsorted(self.text, (start, end), side="right")
        parts = b"".join(map(self._unpack, range(first - 1, min(last, len(self.text) - 1))))
        return parts[start - self.text[first - 1] :][: end - start]

    def _walk(self) -> Iterator[tuple[int, int]]:
        file, length = self._handle.fileno(), os.fstat(self._handle.fileno()).st_size
        here, text, head = 0, 0, os.pread(self._handle.fileno(), 18, 0)
        while here < length:
            yield here, text
            if len(head) < 18 or head[:4] != _BLOCK or head[10:16] != _BLOCK_END:
                raise InputError(f"{self.path}: truncated or damaged bgzip file (found no block at byte {here})")
            here += int.from_bytes(head[16:18], "little") + 1
            last = os.pread(file, 22, here - 4)  # the length of this one, and the head of the next
            text += int.from_bytes(last[:4], "little")
            head = last[4:]
        if here > length:
            raise InputError(f"{self.path}: truncated bgzip file (found {length} bytes, expected {here})")
        yield here, text

    def _read_block(self, number: int) -> bytes:
        start, end = self.packed[number : number + 2].tolist()
        try:
            return gzip.decompress(os.pread(self._handle.fileno(), end - start, start))
        except BROKEN_GZIP as error:
            raise InputError(f"{self.path}: damaged bgzip file (block at byte {start}: {error})") from None


def read_index(path: Path, *, limit: int) -> list[Entry]:
    """Lines of an index, without those of sequences that have no letter.

    Parameters
    ----------
    path : Path
    limit : int
        Bytes that are read at most.

    Raises
    ------
    ValueError
        It is longer, not UTF-8, or a line is not five columns of which the last four are numbers.
    """
    with path.open("rb") as handle:
        if os.fstat(handle.fileno()).st_size > limit:  # not read up to it: a damaged file may call for terabytes
            raise ValueError("too long")
        raw = handle.read()
    entries = []
    for line in raw.decode().removesuffix("\n").split("\n"):
        name, *columns = line.split("\t")
        if not all(column.isascii() and column.isdigit() for column in columns):  # `int` takes more than samtools does
            raise ValueError("number")
        length, offset, bases, width = map(int, columns)
        entries.append(Entry(name, length, offset, bases, width))
    return [entry for entry in entries if entry.length]


def is_index_of(index: Path, text: Text, block_index: Path | None = None) -> bool:
    """Whether an index, and that of the blocks of a `BlockedText`, is what samtools would make of the file.

    The index of a file of which it was made before the file changed is not noticed if headers, lengths and first lines
    are still the same.

    Raises
    ------
    InputError
        The file is damaged where it is looked at.
    """
    try:
        entries = read_index(index, limit=16 * text.size + 1024)
    except (OSError, ValueError):
        return False
    if isinstance(text, BlockedText) and (block_index is None or not _is_block_index_of(block_index, text)):
        return False
    before = 0
    for entry in entries:
        if not 0 < entry.bases < entry.width <= entry.bases + _HEADERS:
            return False
        if entry.bases > entry.length or not before < entry.offset <= before + _HEADERS:
            return False
        end = entry.end()
        if end > text.size or not _is_header(_behind(text, before, entry.offset), entry.name):
            return False
        if entry.length > entry.bases:
            edge = text.read(entry.offset + entry.bases - 1, min(entry.offset + entry.width, end))
            if edge[:1].isspace() or edge[1:].strip() or edge.count(b"\n") != 1 or not edge.endswith(b"\n"):
                return False
        before = end
    return bool(entries) and text.size - before <= _HEADERS and not _behind(text, before, text.size).strip()


def _behind(text: Text, end: int, until: int) -> bytes:
    """Bytes from where letters end; with the byte before them where that is no last letter."""
    if not end:
        return text.read(0, until)
    raw = text.read(end - 1, until)
    is_last = not raw[:1].isspace() and (len(raw) == 1 or raw[1:2].isspace())
    return raw[1:] if is_last else b"?" + raw


def _is_header(raw: bytes, name: str) -> bool:
    """Whether bytes end with a line of a header of that name, after a line's end and headers without letters."""
    *lines, rest = raw.split(b"\n")
    filled = [line for line in lines if line.strip()]
    if rest or not filled or not all(line.startswith(b">") for line in filled):
        return False
    return filled[-1][1:].split(maxsplit=1)[:1] == [name.encode()]


def _is_block_index_of(path: Path, text: BlockedText) -> bool:
    starts, begins = text.packed[1:-1], text.text[1:-1]
    full = np.diff(text.text)[1:] > 0
    try:
        raw = path.read_bytes() if path.stat().st_size <= 8 + 16 * len(starts) else b""
        (n,) = struct.unpack_from("<Q", raw)
        found = np.frombuffer(raw, dtype="<u8", offset=8).reshape(n, 2)
    except (OSError, ValueError, struct.error):
        return False
    known = np.isin(starts, found[:, 0])
    return bool(known[full].all()) and np.array_equal(found, np.column_stack([starts, begins])[known].astype(np.uint64))


def explain(letters: Path) -> str:
    """Say why samtools cannot index a FASTA, or would read other letters by its index: it does not say itself."""
    try:
        return _explain(letters) or "samtools cannot index it (expected FASTA with at least one sequence)"
    except BROKEN_GZIP as error:
        return f"truncated or damaged bgzip file ({error})"


def _explain(letters: Path) -> str:
    names: set[bytes] = set()
    width, short, blank, blanks, empty = 0, False, False, 0, ""
    for number, head, length, strange in _lines(letters):
        if head is not None:
            name = (head.split(maxsplit=1) or [b""])[0]
            if b"\r" in head:
                return f"line {number}: found lines that end with CR alone, expected LF"
            if not name or name in names:
                return f"line {number}: found {'a record without name' if not name else f'a second {_spell(name)}'}"
            if not name.decode("utf-8", "replace").replace("\N{REPLACEMENT CHARACTER}", "\0").isprintable():
                return f"line {number}: found a record named {name[:40]!r}, expected printable letters in UTF-8"
            names.add(name)
            width, short, blank = 0, False, False
            empty = f"line {number}: found no letters of {_spell(name)}, the last record"
        elif strange:
            return f"line {number}: found {_spell(strange)!r} among the letters"
        elif not length:
            blank, blanks = True, blanks + 1
            if blanks > MOST_BLANKS:
                return f"line {number}: found more than {MOST_BLANKS:,} blank lines"
        elif blank:
            return f"line {number}: found letters after an empty line"
        elif short or length > width > 0:
            return f"line {number}: found a line of another length, expected lines of {width} letters but for the last"
        else:
            width, short, empty = width or length, length < width, ""
    return empty


def _spell(raw: bytes) -> str:
    return raw[:40].decode("utf-8", "replace")


def _lines(letters: Path) -> Iterator[tuple[int, bytes | None, int, bytes]]:
    """Number of a line, what stands behind its '>' (a mebibyte at most), how many letters it has, and what is none."""
    with gzip.open(letters) if is_gzip(letters) else letters.open("rb") as handle:
        number = 0
        while piece := handle.readline(_PIECE):
            number += 1
            head = piece[1:].rstrip(b"\r\n") if piece.startswith(b">") else None
            length, strange = 0, b""
            while piece:
                found = piece.rstrip(b"\r\n")
                length += len(found)
                strange = strange or found.translate(None, _VISIBLE)
                piece = b"" if piece.endswith(b"\n") else handle.readline(_PIECE)
            yield number, head, length, strange
