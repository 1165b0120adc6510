"""A tiny writer of UCSC's 2bit format, from its description alone: an oracle for the reader under test."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

SIGNATURE = 0x1A412743
CODES = {"T": 0, "C": 1, "A": 2, "G": 3, "N": 0}


def runs(pattern: str, letters: str) -> list[tuple[int, int]]:
    """Half-open spans of the runs of a character class."""
    return [match.span() for match in re.finditer(f"[{pattern}]+", letters)]


def _pack(letters: str) -> bytes:
    codes = [CODES[letter] for letter in letters.upper()]
    codes += [0] * (-len(codes) % 4)
    return bytes(a << 6 | b << 4 | c << 2 | d for a, b, c, d in zip(*(iter(codes),) * 4, strict=True))


def _blocks(spans: list[tuple[int, int]], order: str) -> bytes:
    starts, sizes = [start for start, _ in spans], [end - start for start, end in spans]
    return struct.pack(f"{order}{1 + 2 * len(spans)}I", len(spans), *starts, *sizes)


def _record(letters: str, order: str) -> bytes:
    size, reserved = struct.pack(f"{order}I", len(letters)), struct.pack(f"{order}I", 0)
    return size + _blocks(runs("Nn", letters), order) + _blocks(runs("a-z", letters), order) + reserved + _pack(letters)


def write_twobit(sequences: Mapping[str, str], path: Path, *, order: str = "<") -> Path:
    """Write sequences over ACGTNacgtn with their N blocks and mask blocks; `order` is struct's byte order."""
    records = [_record(letters, order) for letters in sequences.values()]
    header = struct.pack(f"{order}4I", SIGNATURE, 0, len(sequences), 0)
    offset = len(header) + sum(1 + len(name) + 4 for name in sequences)
    index = b""
    for name, record in zip(sequences, records, strict=True):
        index += struct.pack(f"{order}B{len(name)}sI", len(name), name.encode("ascii"), offset)
        offset += len(record)
    path.write_bytes(header + index + b"".join(records))
    return path
