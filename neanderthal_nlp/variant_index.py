"""Whether an index (.tbi or .csi) beside a VCF or BCF is whole and ends where the file ends.

htslib believes an index: by that of another version of the file it may leave out records without a word, and a damaged
one can end the process or keep it for ever.

The forms are described at samtools.github.io/hts-specs (tabix.pdf, CSIv1.pdf).
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np

_MOST = 1 << 28  # bytes of an index, unpacked; those of whole genomes have a few million
_VCF = (2, 1, 2, 0, ord("#"), 0)  # format, columns of chromosome, start and end, comments, lines to skip
_EMPTY = 28  # bytes of the last block of a file, which holds nothing


def is_variant_index_of(index: Path, path: Path) -> bool:
    """Whether an index is whole, and the last record that it tells of lies in the last blocks of the file.

    That of a file without records tells of none. An index that was damaged on purpose, its checksums made anew, is not
    noticed if it ends there, too.
    """
    try:
        with gzip.open(index) as handle:
            raw = handle.read(_MOST + 1)
        with path.open("rb") as handle:
            end = _Reader(raw).last()
            if end is None:
                return len(raw) <= _MOST and not _has_records(path)
            size = os.fstat(handle.fileno()).st_size
            head = os.pread(handle.fileno(), 18, end)
    except (OSError, EOFError, ValueError, struct.error, zlib.error):
        return False
    # What follows the last record starts in the block that holds it, in the next, which is the last and empty, or
    # where the file ends.
    length = int.from_bytes(head[16:], "little") + 1 if len(head) == 18 else 0
    return len(raw) <= _MOST and end > 0 and (end == size or (length > 0 and end + length in (size, size - _EMPTY)))


def _has_records(path: Path) -> bool:
    """Whether anything follows the header of a VCF or BCF."""
    with gzip.open(path) as handle:
        if handle.read(3) == b"BCF":
            handle.read(2)  # version
            (length,) = struct.unpack("<I", handle.read(4))
            handle.read(length)
            return bool(handle.read(1))
        handle.readline()
        return not all(line.startswith(b"#") for line in handle)


class _Reader:
    """Walks through an unpacked index; `ValueError` or `struct.error` where it is none."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._here = raw, 4
        self._is_csi = raw[:4] == b"CSI\1"
        if not self._is_csi and raw[:4] != b"TBI\1":
            raise ValueError("signature")

    def last(self) -> int | None:
        """Place in the file of the block in which the last of all chunks ends, bytes; None where there are none."""
        if self._is_csi:
            shift, depth, length = self._take("3i")
            self._skip(length)
            (n,) = self._take("i")
        else:
            shift, depth = 14, 5
            n, *form, length = self._take("8i")
            if tuple(form) != _VCF:
                raise ValueError("form")
            self._skip(length)
        if not (0 < shift <= 30 and 0 <= depth <= 10 and shift + 3 * depth <= 62):
            raise ValueError("depth")
        most = ((1 << 3 * depth + 3) - 1) // 7
        end = max((self._sequence(most) for _ in range(n)), default=0)
        if len(self._raw) - self._here not in (0, 8):  # a number of records without a place may follow
            raise ValueError("length")
        return end >> 16 if end else None

    def _sequence(self, most: int) -> int:
        (n_bins,) = self._take("i")
        end = 0
        found: set[int] = set()
        for _ in range(n_bins):
            number, *_, n_chunks = self._take("IQi" if self._is_csi else "Ii")
            chunks = self._integers(2 * n_chunks)
            if number == most or number > most + 1 or n_chunks < 1:
                raise ValueError("bin")
            if number < most:  # that of most + 1 holds numbers of records
                if (chunks[::2] > chunks[1::2]).any():
                    raise ValueError("chunk")
                end = max(end, int(chunks[1::2].max()))
            found.add(number)
        if most == 1 and found and 0 not in found:  # htslib looks for it for ever
            raise ValueError("bin")
        if not self._is_csi:
            self._integers(self._take("i")[0])
        return end

    def _take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{form}", self._raw, self._here)
        self._here += struct.calcsize(f"<{form}")
        return values

    def _integers(self, n: int) -> np.ndarray:
        start = self._here
        self._skip(8 * n)
        return np.frombuffer(self._raw, dtype="<u8", count=n, offset=start)

    def _skip(self, n: int) -> None:
        if not 0 <= n <= len(self._raw) - self._here:
            raise ValueError("length")
        self._here += n
