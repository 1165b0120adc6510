"""One reader over genomes in FASTA (plain, bgzip, gzip) and 2bit form.

FASTA goes through samtools' faidx (pysam), 2bit through `twobit`. Coordinates are 0-based half-open; letters come
in the case of the file (lower case = soft-masked). A sequence without letters is no chromosome.
"""

from __future__ import annotations

import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd
import platformdirs
import pysam

from neanderthal_nlp.alphabet import check_kind
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.fasta_index import MAX_NAME, BlockedText, PlainText, explain, is_index_of
from neanderthal_nlp.files import BROKEN_GZIP, GZIP_MAGIC, check_room, is_gzip, open_binary, replacing, stamp
from neanderthal_nlp.twobit import SIGNATURES, TwoBitFile

_BGZIP_BLOCK = 1 << 16
_PIECE = 1 << 20  # nt read at once where a whole chromosome is
_COPIED, _SPARE = 1 << 24, 1 << 30  # bytes that are copied at once, and those that a copy leaves free on a disk
_SAMPLE = 10_000  # letters of a chromosome by which RNA and protein are known


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
        self._stamp = stamp(path)
        self.chromsizes = {chrom: size for chrom, size in chromsizes.items() if size}
        if not self.chromsizes:
            raise InputError(f"{path}: no sequence has a letter")
        _check_names(path, self.chromsizes)

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
            some = ", ".join(name[:40] for name in islice(self.chromsizes, 5))
            raise InputError(f"{self.path}: no chromosome {chrom:.40} (found {some} …)")
        return self.chromsizes[chrom]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None and stamp(self.path) != self._stamp:
            raise InputError(f"{self.path}: changed while it was read; run the command again")

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
            with silent():
                self._file = pysam.FastaFile(str(letters), filepath_index=str(index), **blocks)
            chromsizes = dict(zip(self._file.references, self._file.lengths, strict=True))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read with its index {index} ({error}): delete that") from None
        self.block = 0 if block_index is None else _BGZIP_BLOCK
        self._where = path if letters == path else f"{path} (its copy {letters})"
        super().__init__(path, chromsizes)

    def close(self) -> None:
        self._file.close()

    def _fetch(self, chrom: str, start: int, end: int) -> str:
        try:
            with silent():
                letters = self._file.fetch(chrom, start, end)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._where}: damaged at {chrom}:{start}-{end}, or its index is another file's ({error})"
            ) from None
        if len(letters) != end - start:
            raise InputError(
                f"{self._where}: found {len(letters)} letters at {chrom}:{start}-{end}: "
                "truncated, or its index is another file's"
            )
        if " " in letters or not letters.isprintable():  # samtools counts visible letters and gives all
            raise InputError(f"{self.path}: found blanks among the letters of {chrom}:{start}-{end}")
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
        self._file = TwoBitFile(path)
        try:
            super().__init__(path, self._file.sizes)
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def _fetch(self, chrom: str, start: int, end: int) -> str:
        return self._file.fetch(chrom, start, end)

    def _gaps(self, chrom: str, size: int) -> np.ndarray:
        return self._file.unknown(chrom)


def open_genome(path: str | Path, *, cache: str | Path | None = None) -> Genome:
    """Open a genome, recognised by its content.

    A FASTA index found beside the file is used if it is not older and is that file's (`fasta_index`); otherwise one is
    made in `cache`, never beside the file: so one that names some of the sequences only does not restrict the genome
    to them. A plain-gzip FASTA, as UCSC ships hg19.fa.gz, cannot be read at random: it is re-compressed by bgzip, once,
    into `cache`. A context manager ends with an `InputError` where the file was changed meanwhile.

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
        The file is missing, empty, truncated or damaged, or neither FASTA nor 2bit; lines of a sequence differ in
        length or hold blanks; it is RNA or protein; the disk has no room for its re-compressed copy; or the name of
        a chromosome is there twice, is longer than 255 bytes, starts with # or holds what is not printable.
    """
    path = Path(path)
    before = stamp(path)
    compressed = is_gzip(path)
    with path.open("rb") as handle:
        head = handle.read(18)
    if head[:4] in SIGNATURES:
        return _TwoBitGenome(path)
    if not compressed and not head.startswith(b">"):
        raise InputError(f"{path}: neither FASTA nor 2bit (found {head[:8]!r}, expected '>' or a 2bit signature)")
    folder = _cache_folder(path, cache)
    text: PlainText | BlockedText
    if compressed:
        text = BlockedText(path) if _is_bgzip(head) else _recompressed(path, folder / "genome.fa.gz")
    else:
        text = PlainText(path)
    with closing(text):
        index, block_index = _indexes(path, text, folder)
    opened = _FastaGenome(path, text.path, index, block_index if compressed else None)
    opened._stamp = before  # of before it was indexed
    try:
        for chrom, size in islice(opened.chromsizes.items(), 3):
            check_kind(opened.fetch(chrom, 0, min(size, _SAMPLE)), source=f"{path}: {chrom[:40]}")
    except InputError:
        opened.close()
        raise
    return opened


def _cache_folder(path: Path, cache: str | Path | None) -> Path:
    """Folder for what is derived from one version of a file: named by its place, size and time of change."""
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    root = Path(cache) if cache is not None else Path(platformdirs.user_cache_dir("neanderthal_nlp"))
    return root / hashlib.sha256(key.encode()).hexdigest()[:16]


def _is_bgzip(head: bytes) -> bool:
    # BGZF (SAM specification, section 4.1): a gzip member with an extra field whose first subfield is 'BC'.
    return len(head) == 18 and head[:2] == GZIP_MAGIC and bool(head[3] & 4) and head[12:14] == b"BC"


def _check_names(path: Path, names: Iterable[str]) -> None:
    """Refuse names that would break the lines of a table or a track, or that no browser takes."""
    for name in names:
        if not name or " " in name or not name.isprintable() or name[0] == "#" or len(name.encode()) > MAX_NAME:
            raise InputError(f"{path}: found a sequence named {name[:40]!r}, expected 1 to {MAX_NAME} printable bytes "
                             "without blanks, the first not #")  # fmt: skip


@contextmanager
def writing_bgzip(path: str | Path, mode: str = "wb") -> Iterator[pysam.BGZFile]:
    """Open a file to be written in bgzip's form; what goes wrong becomes an `OSError`, which need not have a number.

    `mode` is pysam's: with a digit in it, such as "w1b", htslib compresses at that level.
    """
    with silent(), pysam.BGZFile(str(path), mode, index=None) as blocks:  # type: ignore[arg-type]
        yield blocks


@contextmanager
def silent() -> Iterator[None]:
    """Keep htslib from printing what becomes an `InputError`."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


def _is_fresh(derived: Path, source: Path) -> bool:
    return derived.exists() and derived.stat().st_mtime >= source.stat().st_mtime


def _is_there(derived: Path, _: Path) -> bool:
    return derived.exists()


def _recompressed(source: Path, target: Path) -> BlockedText:
    """A bgzip copy of a gzip FASTA; one that is there and whole is taken."""
    if target.exists():
        with suppress(InputError):
            return BlockedText(target)
    try:
        with replacing(target) as part, open_binary(source, bounded=False) as plain:
            first = plain.read(1)
            if first != b">":
                raise InputError(f"{source}: the gzip file holds no FASTA (expected '>')")
            with writing_bgzip(part) as blocks:
                blocks.write(first)
                while piece := plain.read(_COPIED):
                    blocks.write(piece)
                    if len(piece) == _COPIED:  # more may follow, and without end
                        _check_spare(source, target.parent)
    except BROKEN_GZIP as error:
        raise InputError(f"{source}: truncated or damaged gzip ({error})") from None
    return BlockedText(target)


def _check_spare(source: Path, folder: Path) -> None:
    """Refuse to fill the disk of the cache: of a small one a twentieth stays free, of others a gibibyte."""
    disk = shutil.disk_usage(folder)
    if disk.free < (spare := min(_SPARE, disk.total // 20)):
        raise InputError(f"{source}: no room for its bgzip copy (found {disk.free >> 20:,} MiB free on the disk of "
                         f"{folder}, expected {spare >> 20:,} MiB to stay free)")  # fmt: skip


def _indexes(path: Path, text: PlainText | BlockedText, folder: Path) -> tuple[Path, Path]:
    """Index of the letters and that of their blocks: those beside the file, or in the cache, if they are the file's."""
    letters, compressed = text.path, isinstance(text, BlockedText)
    beside = Path(f"{letters}.fai"), Path(f"{letters}.gzi")
    cached = folder / "genome.fai", folder / "genome.gzi"
    # The folder of the cache is of this version of the file, whatever the clock said when it was written.
    for (index, block_index), usable in ((beside, _is_fresh), (cached, _is_there)):
        made = (index, block_index) if compressed else (index,)
        if all(usable(file, letters) for file in made) and is_index_of(index, text, block_index):
            return index, block_index
    with replacing(cached[0]) as index_part, replacing(cached[1]) as block_part:
        places = ["--fai-idx", str(index_part), *(["--gzi-idx", str(block_part)] if compressed else [])]
        block_part.touch()
        try:
            with silent():
                pysam.faidx(str(letters.absolute()), *places)  # a name may look like an option
        except pysam.SamtoolsError:
            check_room(index_part)
            raise InputError(f"{path}: {explain(letters)}") from None
        if not is_index_of(index_part, text, block_part):
            check_room(index_part)  # what is cut short may be the index
            raise InputError(f"{path}: {explain(letters)}")
    return cached
