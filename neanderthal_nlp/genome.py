"""One reader over genomes in FASTA (plain, bgzip, gzip) and 2bit form.

FASTA goes through samtools' faidx (pysam), 2bit through py2bit. Coordinates are 0-based half-open; letters come
in the case of the file (lower case = soft-masked).
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd
import platformdirs
import py2bit
import pysam

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import GZIP_MAGIC, is_gzip, read_lines, replacing

_TWOBIT_MAGIC = (b"\x43\x27\x41\x1a", b"\x1a\x41\x27\x43")
_BGZIP_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BGZIP_BLOCK = 1 << 16
_PIECE = 1 << 20  # nt read at once where a whole chromosome is


class Genome(ABC):
    """Letters of a genome; a context manager.

    Attributes
    ----------
    path : Path
        The file that was opened.
    chromsizes : dict of str to int
        Chromosome lengths in nt, in the order of the file.
    block : int
        Letters that the file's form makes one read together, nt: those of a block of bgzip; 0 where each can be read
        alone.
    """

    block = 0

    def __init__(self, path: Path, chromsizes: Mapping[str, int]) -> None:
        self.path = path
        self.chromsizes = dict(chromsizes)

    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Letters of [start, end) of a chromosome, in the case of the file.

        Raises
        ------
        InputError
            The chromosome is unknown, or the stretch is empty or passes its ends.
        """
        self.check(chrom, start, end)
        return self._fetch(chrom, int(start), int(end))

    def check(self, chrom: str, start: int, end: int) -> None:
        """Refuse a stretch that `fetch` would not read, with its `InputError`."""
        size = self._size(chrom)
        if not 0 <= start < end <= size:
            raise InputError(f"{self.path}: cannot fetch {chrom}:{start}-{end} (expected a stretch within 0-{size})")

    def gaps(self, chrom: str) -> pd.DataFrame:
        """Runs of N of a chromosome, in order: DataFrame `chrom, start, end`."""
        blocks = self._gaps(chrom, self._size(chrom))
        return pd.DataFrame({"chrom": chrom, "start": blocks[:, 0], "end": blocks[:, 1]}).astype({"chrom": str})

    def _size(self, chrom: str) -> int:
        if chrom not in self.chromsizes:
            raise InputError(f"{self.path}: no chromosome {chrom} (found {', '.join(list(self.chromsizes)[:5])} …)")
        return self.chromsizes[chrom]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _fetch(self, chrom: str, start: int, end: int) -> str: ...

    @abstractmethod
    def _gaps(self, chrom: str, size: int) -> np.ndarray: ...


class _FastaGenome(Genome):
    def __init__(self, path: Path, letters: Path, index: Path, block_index: Path | None) -> None:
        # pysam looks for the block index of a plain file, too, where it is given the name of one.
        blocks = {} if block_index is None else {"filepath_index_compressed": str(block_index)}
        try:
            self._file = pysam.FastaFile(str(letters), filepath_index=str(index), **blocks)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read with its index {index} ({error}): delete that") from None
        super().__init__(path, dict(zip(self._file.references, self._file.lengths, strict=True)))
        self.block = 0 if block_index is None else _BGZIP_BLOCK

    def close(self) -> None:
        self._file.close()

    def _fetch(self, chrom: str, start: int, end: int) -> str:
        try:
            letters = self._file.fetch(chrom, start, end)
        except ValueError as error:
            raise InputError(
                f"{self.path}: damaged at {chrom}:{start}-{end}, or its index is another file's ({error})"
            ) from None
        if len(letters) != end - start:
            raise InputError(
                f"{self.path}: found {len(letters)} letters at {chrom}:{start}-{end}: "
                "truncated, or its index is another file's"
            )
        return letters

    def _gaps(self, chrom: str, size: int) -> np.ndarray:
        edges = [np.empty(0, dtype=np.int64)]
        before = False
        for start in range(0, size, _PIECE):
            letters = self._fetch(chrom, start, min(start + _PIECE, size))
            if not (before or "N" in letters or "n" in letters):
                continue  # most pieces: to look for a letter is ten times faster than to compare all
            is_n = (np.frombuffer(letters.encode("ascii"), dtype=np.uint8) | 0x20) == ord("n")
            edges.append(start + np.flatnonzero(np.diff(is_n, prepend=before)))
            before = bool(is_n[-1])
        edges.append(np.array([size] if before else [], dtype=np.int64))
        return np.concatenate(edges).reshape(-1, 2)


class _TwoBitGenome(Genome):
    def __init__(self, path: Path) -> None:
        _check_twobit(path)
        try:
            self._file = py2bit.open(str(path), storeMasked=True)
            chromsizes = self._file.chroms()
        except RuntimeError as error:
            raise InputError(f"{path}: damaged 2bit file ({error})") from None
        super().__init__(path, chromsizes)

    def close(self) -> None:
        self._file.close()

    def _fetch(self, chrom: str, start: int, end: int) -> str:
        return self._file.sequence(chrom, start, end)

    def _gaps(self, chrom: str, size: int) -> np.ndarray:
        return np.array(self._file.hardMaskedBlocks(chrom), dtype=np.int64).reshape(-1, 2)


def open_genome(path: str | Path, *, cache: str | Path | None = None) -> Genome:
    """Open a genome, recognised by its content.

    A FASTA index found beside the file and not older than it is used; otherwise one is made in `cache`, never
    beside the file. A plain-gzip FASTA, as UCSC ships hg19.fa.gz, cannot be read at random: it is re-compressed
    by bgzip, once, into `cache`.

    Parameters
    ----------
    path : path-like
        FASTA (plain, bgzip or gzip) or 2bit.
    cache : path-like, optional
        Folder for indexes and re-compressed files; by default the user's cache folder.

    Returns
    -------
    Genome

    Raises
    ------
    InputError
        The file is missing, empty, truncated, or neither FASTA nor 2bit.
    """
    path = Path(path)
    compressed = is_gzip(path)
    with path.open("rb") as handle:
        head = handle.read(18)
    if head[:4] in _TWOBIT_MAGIC:
        return _TwoBitGenome(path)
    if not compressed and not head.startswith(b">"):
        raise InputError(f"{path}: neither FASTA nor 2bit (found {head[:8]!r}, expected '>' or a 2bit signature)")
    folder = _cache_folder(path, cache)
    letters = path
    if compressed and not _is_bgzip(head):
        letters = folder / "genome.fa.gz"
        if not letters.exists():
            _recompress(path, letters)
    elif compressed:
        _check_complete(path)
    index, block_index = Path(f"{letters}.fai"), Path(f"{letters}.gzi")
    if not _is_fresh(index, letters) or (compressed and not _is_fresh(block_index, letters)):
        index, block_index = folder / "genome.fai", folder / "genome.gzi"
        if not index.exists() or (compressed and not block_index.exists()):
            _index(letters, index, block_index, source=path, compressed=compressed)
    return _FastaGenome(path, letters, index, block_index if compressed else None)


def _cache_folder(path: Path, cache: str | Path | None) -> Path:
    """Folder for what is derived from one version of a file: named by its place, size and time of change."""
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    root = Path(cache) if cache is not None else Path(platformdirs.user_cache_dir("neanderthal_nlp"))
    return root / hashlib.sha256(key.encode()).hexdigest()[:16]


def _is_bgzip(head: bytes) -> bool:
    # BGZF (SAM specification, section 4.1): a gzip member with an extra field whose first subfield is 'BC'.
    return len(head) == 18 and head[:2] == GZIP_MAGIC and bool(head[3] & 4) and head[12:14] == b"BC"


def _check_complete(path: Path) -> None:
    with path.open("rb") as handle:
        handle.seek(-min(len(_BGZIP_EOF), path.stat().st_size), 2)
        if handle.read() != _BGZIP_EOF:
            raise InputError(f"{path}: truncated bgzip file (its end-of-file block is missing)")


def _is_fresh(derived: Path, source: Path) -> bool:
    return derived.exists() and derived.stat().st_mtime >= source.stat().st_mtime


def _recompress(source: Path, target: Path) -> None:
    try:
        with replacing(target) as part, gzip.open(source, "rb") as plain:
            if plain.read(1) != b">":
                raise InputError(f"{source}: the gzip file holds no FASTA (expected '>')")
            plain.seek(0)
            with pysam.BGZFile(str(part), "wb", index=None) as blocks:
                shutil.copyfileobj(plain, blocks, 1 << 24)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{source}: truncated or damaged gzip ({error})") from None


def _index(letters: Path, index: Path, block_index: Path, *, source: Path, compressed: bool) -> None:
    with replacing(index) as index_part, replacing(block_index) as block_part:
        places = ["--fai-idx", str(index_part), *(["--gzi-idx", str(block_part)] if compressed else [])]
        try:
            pysam.faidx(str(letters), *places)
        except pysam.SamtoolsError:
            raise InputError(f"{source}: {_fault(letters)}") from None
        if index_part.stat().st_size == 0:
            raise InputError(f"{source}: the FASTA holds no sequence")
        if not compressed:
            block_part.touch()


def _fault(letters: Path) -> str:
    """Say why samtools cannot index a FASTA: it prints the reason, but does not hand it over."""
    width, short = 0, False
    for number, line in read_lines(letters):
        if line.startswith(">"):
            width, short = 0, False
        elif short or len(line) > width > 0:
            return f"line {number}: found a line of another length, expected lines of {width} letters but for the last"
        else:
            width = width or len(line)
            short = len(line) < width
    return "samtools cannot index it (expected FASTA with at least one sequence)"


def _check_twobit(path: Path) -> None:
    """Refuse a 2bit file whose records pass its end: py2bit maps it into memory and would read beyond."""
    size = path.stat().st_size
    with path.open("rb") as handle:

        def integers(n: int) -> tuple[int, ...]:
            raw = handle.read(4 * n)
            if len(raw) < 4 * n:
                raise InputError(f"{path}: truncated or damaged 2bit file (found {size} bytes, expected more)")
            return struct.unpack(f"<{n}I", raw)

        offsets: list[int] = []
        for _ in range(integers(4)[2]):
            handle.seek(int.from_bytes(handle.read(1), "little"), 1)
            offsets.extend(integers(1))
        for offset in offsets:
            handle.seek(offset)
            (letters,) = integers(1)
            for _ in ("N blocks", "mask blocks"):
                handle.seek(8 * integers(1)[0], 1)
            integers(1)
            if handle.tell() + -(-letters // 4) > size:
                raise InputError(f"{path}: truncated or damaged 2bit file (found {size} bytes, expected more)")
