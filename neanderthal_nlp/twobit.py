"""Genomes in UCSC's 2bit form: two bits a letter, with runs of N and soft-masked runs beside them.

Nothing of a file is believed before it is checked: sequences lie inside the file and apart from one another, runs rise
and lie inside their sequences. Letters are read rather than mapped into memory: a file that is cut while it is open
gives an error and does not end the process. Names are found at once, also among a million.

The form is described at genome.ucsc.edu/FAQ/FAQformat.html (".2bit format").
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neanderthal_nlp.errors import InputError

SIGNATURES = {b"\x43\x27\x41\x1a": "<", b"\x1a\x41\x27\x43": ">"}
"""First bytes of a file, and the byte order that they tell, as `struct` spells it."""
_UNPACKED = np.array([[b"TCAG"[byte >> shift & 3] for shift in (6, 4, 2, 0)] for byte in range(256)], dtype=np.uint8)
_LOWER = 0x20
_HEADER = 16  # bytes
_N_TABLES = 128  # sequences whose runs are kept: more than the chromosomes of a person

Runs = tuple[np.ndarray, np.ndarray]


class _Sequence(NamedTuple):
    """Length in nt, where its record starts, and numbers of its runs of N and of lower case."""

    size: int
    record: int
    n_unknown: int
    n_masked: int

    def letters(self) -> int:
        """Where its letters start: behind four numbers (one is reserved) and two for each run, bytes."""
        return self.record + 16 + 8 * (self.n_unknown + self.n_masked)


class TwoBitFile:
    """Letters of a 2bit file, of either byte order, of version 0 or 1 (with offsets of 64 bits).

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    sizes : dict of str to int
        Lengths of the sequences, nt, in the order of the file.

    Raises
    ------
    InputError
        The file is truncated or damaged, of another version, or has a name twice or one that is not UTF-8. Runs are
        checked when the first letters of their sequence are read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = path.open("rb")
        try:
            self._length = os.fstat(self._handle.fileno()).st_size
            self._order = SIGNATURES[self._read(0, 4)]
            self._sequences = {name: self._sequence(offset) for name, offset in self._index()}
            self._check_apart()
        except BaseException:
            self.close()
            raise
        self.sizes = {name: sequence.size for name, sequence in self._sequences.items()}
        self._runs = lru_cache(_N_TABLES)(self._read_runs)

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def fetch(self, name: str, start: int, end: int) -> str:
        """Letters of [start, end), which has to lie on the sequence: N in upper case, soft-masked ones in lower case.

        Raises
        ------
        InputError
            Runs of the sequence are damaged, or the file became shorter since it was opened.
        """
        first = start // 4
        packed = self._read(self._sequences[name].letters() + first, -(-end // 4) - first)
        letters = _UNPACKED[np.frombuffer(packed, dtype=np.uint8)].reshape(-1)[start - 4 * first : end - 4 * first]
        unknown, masked = self._runs(name)
        for here, there in _within(masked, start, end):
            letters[here:there] |= _LOWER
        for here, there in _within(unknown, start, end):
            letters[here:there] = ord("N")
        return letters.tobytes().decode("ascii")

    def unknown(self, name: str) -> np.ndarray:
        """Runs of N of a sequence, in order; int64 (n, 2), 0-based half-open. Raises what `fetch` does."""
        starts, ends = self._runs(name)[0]
        # Runs that abut are one: where one ends and the next starts, the two cancel.
        return np.setxor1d(starts, ends, assume_unique=True).astype(np.int64).reshape(-1, 2)

    def _read(self, start: int, n: int) -> bytes:
        raw = os.pread(self._handle.fileno(), n, start) if start + n <= self._length else b""
        if len(raw) < n:
            raise InputError(f"{self._path}: truncated or damaged 2bit file "
                             f"(found {self._length} bytes, expected {start + n} or more)")  # fmt: skip
        return raw

    def _integers(self, start: int, form: str) -> tuple[int, ...]:
        form = self._order + form
        return struct.unpack(form, self._read(start, struct.calcsize(form)))

    def _index(self) -> list[tuple[str, int]]:
        """Names of the sequences and where their records start, bytes."""
        version, count = self._integers(4, "2I")
        if version > 1:
            raise InputError(f"{self._path}: found version {version} of 2bit, expected 0 or 1")
        form, width = ("Q", 8) if version else ("I", 4)
        self._read(_HEADER, min(count * (1 + width), self._length))  # names of no letter would be no shorter
        found: dict[str, int] = {}
        here = _HEADER
        for number in range(1, count + 1):
            (length,) = self._read(here, 1)
            raw = self._read(here + 1, length)
            try:
                name = raw.decode()
            except UnicodeDecodeError:
                raise InputError(f"{self._path}: sequence {number}: found name {raw[:40]!r}, expected UTF-8") from None
            if name in found:
                raise InputError(f"{self._path}: found two sequences named {name[:40]}, expected one")
            (found[name],) = self._integers(here + 1 + length, form)
            here += 1 + length + width
        if not found:
            raise InputError(f"{self._path}: the 2bit file holds no sequence")
        self._start = here
        return list(found.items())

    def _sequence(self, record: int) -> _Sequence:
        size, n_unknown = self._integers(record, "2I")
        (n_masked,) = self._integers(record + 8 + 8 * n_unknown, "I")
        return _Sequence(size, record, n_unknown, n_masked)

    def _read_runs(self, name: str) -> tuple[Runs, Runs]:
        """Runs of N and of lower case: in the file, their number, that many starts and that many lengths."""
        size, record, n_unknown, n_masked = self._sequences[name]
        return (self._table(name, record + 8, n_unknown, size),
                self._table(name, record + 12 + 8 * n_unknown, n_masked, size))  # fmt: skip

    def _table(self, name: str, place: int, n: int, size: int) -> Runs:
        table = np.frombuffer(self._read(place, 8 * n), dtype=f"{self._order}u4").astype(np.uint32).reshape(2, n)
        starts = table[0]
        ends = starts.astype(np.int64) + table[1]
        wrong = (table[1] == 0) | (ends > np.append(starts[1:], np.uint32(size))[:n])
        if wrong.any():
            run = int(wrong.argmax())
            raise InputError(f"{self._path}: damaged 2bit file (run {run + 1} of {name[:40]}: found {starts[run]}-"
                             f"{ends[run]}, expected runs that rise within 0-{size})")  # fmt: skip
        return starts, ends.astype(np.uint32)

    def _check_apart(self) -> None:
        """Refuse sequences that overlap or pass the end of the file."""
        places = np.array(sorted((s.record, s.letters() + -(-s.size // 4)) for s in self._sequences.values()))
        starts, ends = places.T
        if ends[-1] > self._length:
            raise InputError(f"{self._path}: truncated or damaged 2bit file "
                             f"(found {self._length} bytes, expected {ends[-1]} or more)")  # fmt: skip
        if (starts < np.append(self._start, ends[:-1])).any():
            raise InputError(f"{self._path}: damaged 2bit file (found sequences that overlap)")


def _within(runs: Runs, start: int, end: int) -> list[tuple[int, int]]:
    """Runs that overlap a stretch, cut to it, from its start."""
    starts, ends = runs
    near = slice(np.searchsorted(ends, np.uint32(start), side="right"), np.searchsorted(starts, np.uint32(end)))
    here, there = (np.clip(edge[near].astype(np.int64) - start, 0, end - start).tolist() for edge in (starts, ends))
    return list(zip(here, there, strict=True))
