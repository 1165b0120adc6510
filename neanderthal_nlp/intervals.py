"""Intervals on chromosomes: read, validate, count overlaps, cluster (article, section 1).

Intervals are rows of a DataFrame with the columns `chrom` (str), `start` and `end` (int, 0-based half-open, nt).
Two intervals overlap when they share at least one base; intervals that only touch do not.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

import bioframe
import numba
import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import BROKEN_GZIP, open_binary, read_lines

BED_COLUMNS = ("chrom", "start", "end", "name", "score", "strand", "thickStart", "thickEnd", "itemRgb", "blockCount",
               "blockSizes", "blockStarts")  # fmt: skip
PLACE = re.compile(r"(?P<chrom>[^\s:]+):(?P<start>[0-9][0-9,]{0,14})-(?P<end>[0-9][0-9,]{0,14})")
"""A place as samtools writes it, chr1:10,001-20,000: 1-based, the end included."""
_DIRECTIVE = re.compile(r"#|track(\s|$)|browser(\s|$)")
_THREE_COLUMNS = re.compile(rb"(?:[\w.]++\t[0-9]{1,12}+\t[0-9]{1,12}+\n)++")
_HEADER_NAMES = {"chrom", "chr", "chromosome", "seqname", "seqnames"}
_MAX_DIGITS, _MAX_FIELDS = 12, 1000
_CONTIG = re.compile(r"(chr[^_]+)_\w*?(hap\d*|alt|fix|random)")


def read_bed(path: str | Path) -> pd.DataFrame:
    """Read a BED file.

    Plain or gzip; tabs or blanks between fields; blank lines, comments, `track` and `browser` lines and a
    line of column names are skipped; LF or CRLF.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    DataFrame
        `chrom` (str), `start`, `end` (int64, 0-based half-open), then the file's further columns (str) under
        their BED names; rows in the order of the file.

    Raises
    ------
    InputError
        The file is missing, empty, truncated or not a BED, or an interval is negative, inverted or empty.
    """
    frame = _read_three_columns(path)
    return _read_lines(path) if frame is None else frame


def _read_three_columns(path: str | Path) -> pd.DataFrame | None:
    """What `_read_lines` reads, thirty times faster; None for a file that is more, or less, than its plainest form."""
    try:
        with open_binary(path) as handle:
            content = handle.read()
    except BROKEN_GZIP:  # `_read_lines` says in which line
        return None
    if not _THREE_COLUMNS.fullmatch(content):
        return None
    frame = pd.read_csv(io.BytesIO(content), sep="\t", names=BED_COLUMNS[:3], na_filter=False,
                        dtype={"chrom": str, "start": np.int64, "end": np.int64})  # fmt: skip
    plain = (frame["start"] < frame["end"]) & ~frame["chrom"].isin(["track", "browser"])
    return frame if plain.all() else None


def _read_lines(path: str | Path) -> pd.DataFrame:
    """Read every dialect of BED, line by line, and say what is wrong with which line."""
    rows: list[list[str]] = []
    starts: list[int] = []
    ends: list[int] = []
    for number, line in read_lines(path):
        if not line.strip() or _DIRECTIVE.match(line):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if not rows and fields[0].lower() in _HEADER_NAMES and not _is_int("".join(fields[1:2])):
            continue
        where = f"{path}: line {number}"
        if not 3 <= len(fields) <= _MAX_FIELDS or not fields[0].strip():
            raise InputError(f"{where}: not BED (found {_shorten(line)!r}, expected chromosome, start and end)")
        if rows and len(fields) != len(rows[0]):
            raise InputError(f"{where}: found {len(fields)} fields, expected {len(rows[0])} as in the first record")
        start, end = (_coordinate(field, where) for field in fields[1:3])
        if end <= start:
            raise InputError(f"{where}: interval {_shorten(fields[0])}:{start}-{end} is inverted or empty (expected "
                             "start < end)")  # fmt: skip
        rows.append([fields[0].strip(), *fields[1:]])
        starts.append(start)
        ends.append(end)
    if not rows:
        raise InputError(f"{path}: no BED record found")
    columns = [*BED_COLUMNS, *(f"field{i}" for i in range(len(BED_COLUMNS) + 1, len(rows[0]) + 1))][: len(rows[0])]
    frame = pd.DataFrame(rows, columns=columns, dtype=str)
    return frame.assign(start=np.array(starts, dtype=np.int64), end=np.array(ends, dtype=np.int64))


def _is_int(field: str) -> bool:
    return re.fullmatch(r"-?[0-9]+", field.strip()) is not None


def _coordinate(field: str, where: str) -> int:
    field = field.strip()
    if not _is_int(field) or len(field) > _MAX_DIGITS:
        raise InputError(f"{where}: not BED (found {_shorten(field)!r}, expected a whole number)")
    if field.startswith("-"):
        raise InputError(f"{where}: negative coordinate {field} (expected 0 or more)")
    return int(field)


def _shorten(text: str, width: int = 40) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def no_intervals() -> pd.DataFrame:
    """An empty table of intervals."""
    return pd.DataFrame({"chrom": pd.Series(dtype=str), "start": np.empty(0, np.int64), "end": np.empty(0, np.int64)})


def read_chromsizes(path: str | Path) -> dict[str, int]:
    """Read a table of chromosome names and lengths (UCSC `chrom.sizes` or a FASTA index).

    Returns
    -------
    dict of str to int
        Lengths in nt, in the order of the file.
    """
    sizes: dict[str, int] = {}
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) < 2 or not re.fullmatch(rf"[0-9]{{1,{_MAX_DIGITS}}}", fields[1]) or int(fields[1]) == 0:
            raise InputError(f"{path}: line {number}: found {_shorten(line)!r}, expected chromosome and length")
        if fields[0] in sizes:
            raise InputError(f"{path}: line {number}: chromosome {_shorten(fields[0])} is listed twice")
        sizes[fields[0]] = int(fields[1])
    if not sizes:
        raise InputError(f"{path}: no chromosome found")
    return sizes


def assembly_chromsizes(assembly: str) -> dict[str, int]:
    """Chromosome sizes, nt, of an assembly that bioframe carries.

    Raises
    ------
    InputError
        bioframe knows no assembly of this name.
    """
    try:
        sizes = bioframe.assembly_info(assembly).chromsizes
    except ValueError:
        raise InputError(
            f"assembly: found {assembly!r}, expected one that bioframe knows, such as hg19 or hg38"
        ) from None
    return {chrom: int(size) for chrom, size in sizes.items()}


def match_naming(regions: pd.DataFrame, chromsizes: Mapping[str, int]) -> pd.DataFrame:
    """Rename chromosomes from `1` to `chr1` or back where only that form is known to the genome."""

    def known(name: str) -> str:
        bare = name.removeprefix("chr")
        others = ("chrM", "MT", "chrMT", "M") if bare in {"M", "MT"} else (bare, "chr" + bare)
        return next((other for other in (name, *others) if other in chromsizes), name)

    names = {name: known(name) for name in regions["chrom"].unique()}
    return regions.assign(chrom=regions["chrom"].map(names).astype(str))


def home_chromosome(chroms: pd.Series) -> pd.Series:
    """Chromosome that a sequence belongs to: `chr6` for `chr6_cox_hap2`, `chr6_GL000250v2_alt` and the like.

    UCSC names alternative haplotypes, patches and unplaced contigs after their chromosome; they hold other copies
    of its letters. Other names are returned as they are.
    """
    homes = {name: match[1] if (match := _CONTIG.fullmatch(name)) else name for name in chroms.unique()}
    return chroms.map(homes).astype(str)


def check_regions(regions: pd.DataFrame, chromsizes: Mapping[str, int], *, source: str) -> None:
    """Refuse regions that do not lie on the genome.

    Parameters
    ----------
    regions : DataFrame
    chromsizes : mapping of str to int
    source : str
        What the regions are, usually the file's name; it opens the message.

    Raises
    ------
    InputError
        A chromosome is unknown (all of them: another build or naming), or a region passes its chromosome's end.
    """
    chroms = list(dict.fromkeys(regions["chrom"]))
    unknown = [chrom for chrom in chroms if chrom not in chromsizes]
    if unknown:
        expected = ", ".join(list(chromsizes)[:3])
        found = ", ".join(unknown[:10]) + (" …" if len(unknown) > 10 else "")
        if len(unknown) == len(chroms):
            raise InputError(f"{source}: none of its chromosomes is in the genome: another build or naming? "
                             f"(found {found}; expected names such as {expected})")  # fmt: skip
        raise InputError(f"{source}: {len(unknown)} of {len(chroms)} chromosomes unknown to the genome: {found} "
                         f"(expected names such as {expected}; a genome file that is a part of an assembly needs the "
                         "assembly's chromosome sizes)")  # fmt: skip
    sizes = regions["chrom"].map(dict(chromsizes)).to_numpy(dtype=np.int64)
    bad = np.flatnonzero((regions["end"].to_numpy() > sizes) | (regions["start"].to_numpy() < 0))
    if len(bad):
        row = regions.iloc[bad[0]]
        raise InputError(f"{source}: record {bad[0] + 1} ({row.chrom}:{row.start}-{row.end}) passes the end of "
                         f"{row.chrom} ({chromsizes[row.chrom]} nt): another build?")  # fmt: skip


def read_regions(path: str | Path, chromsizes: Mapping[str, int]) -> pd.DataFrame:
    """Read the regions of a BED file that a genome is to be read at (article, section 1: unique coordinates).

    Parameters
    ----------
    path : path-like
        BED, plain or gzip.
    chromsizes : mapping of str to int
        Sizes of the genome's chromosomes, nt.

    Returns
    -------
    DataFrame
        `chrom, start, end`, each place once, chromosomes named as the genome names them; 0-based half-open.

    Raises
    ------
    InputError
        See `read_bed` and `check_regions`.
    """
    regions = match_naming(read_bed(path)[["chrom", "start", "end"]], chromsizes)
    check_regions(regions, chromsizes, source=str(path))
    return regions.drop_duplicates(ignore_index=True)


def read_places(text: str, chromsizes: Mapping[str, int], *, source: str) -> pd.DataFrame:
    """Read where a genome is to be read: a place, a chromosome, or a BED file of regions.

    Parameters
    ----------
    text : str
        The name of a chromosome, a place such as chr1:10,001-20,000 (1-based, the end included), or the path of a BED
        file; the first of these that it can be.
    chromsizes : mapping of str to int
        Sizes of the genome's chromosomes, nt.
    source : str
        What the text was given as, for errors.

    Returns
    -------
    DataFrame
        `chrom, start, end`, chromosomes named as the genome names them; 0-based half-open.

    Raises
    ------
    InputError
        It is none of these, or lies outside the genome.
    """
    whole = match_naming(pd.DataFrame({"chrom": [text]}), chromsizes)["chrom"].iloc[0]
    if whole in chromsizes:
        return pd.DataFrame({"chrom": [whole], "start": [0], "end": [chromsizes[whole]]})
    if (place := PLACE.fullmatch(text)) is not None:
        first, last = (int(place[group].replace(",", "")) for group in ("start", "end"))
        if not 1 <= first <= last:
            raise InputError(f"{source}: found {text}, expected a start of at least 1 and an end not before it")
        frame = pd.DataFrame({"chrom": [place["chrom"]], "start": [first - 1], "end": [last]})
    elif os.path.exists(text):  # unlike Path.exists, of any text
        frame = read_bed(text)[["chrom", "start", "end"]]
    else:
        raise InputError(f"{source}: found {text}, expected a BED file, a chromosome of the genome, such as "
                         f"{next(iter(chromsizes))}, or chrom:start-end, such as chr1:10001-20000")  # fmt: skip
    frame = match_naming(frame, chromsizes)
    check_regions(frame, chromsizes, source=text)
    return frame


def count_overlaps(query: pd.DataFrame, target: pd.DataFrame) -> np.ndarray:
    """Count, per query interval, the target intervals that overlap it.

    The counts are those of `bedtools intersect -c`, and their sum the number of rows of `bedtools intersect`
    (one per overlapping pair).

    Parameters
    ----------
    query, target : DataFrame
        Intervals of at least one base.

    Returns
    -------
    ndarray of int64, shape (len(query),)

    Notes
    -----
    A target overlaps [s, e) unless it ends at or before s or starts at or after e, so two searches per query
    suffice: (targets that start before e) minus (targets that end at or before s). This is used rather than
    `bioframe.count_overlaps`, which lists all pairs, because the permutation test calls it thousands of times.
    """
    counter = OverlapCounter(target)
    return counter.count(counter.codes(query["chrom"]), query["start"].to_numpy(), query["end"].to_numpy())


class OverlapCounter:
    """Counts overlaps with the same targets again and again; see `count_overlaps`.

    Parameters
    ----------
    target : DataFrame
        Intervals of at least one base.
    """

    def __init__(self, target: pd.DataFrame) -> None:
        self._chroms = {chrom: code for code, chrom in enumerate(target["chrom"].unique())}
        self._furthest = int(target["end"].max()) if len(target) else 0
        codes = self.codes(target["chrom"])
        self._starts, self._ends = (_Ranks(self._keys(codes, target[name].to_numpy())) for name in ("start", "end"))

    def codes(self, chroms: pd.Series) -> np.ndarray:
        """Numbers (int64) that `count` knows the chromosomes by."""
        return chroms.map(self._chroms).fillna(len(self._chroms)).to_numpy(dtype=np.int64)

    def _keys(self, codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        # Before the first base, and beyond the furthest target, every position sees the same targets.
        positions = np.clip(positions, 0, self._furthest).astype(np.int64)  # an empty table's may be objects
        return codes * (self._furthest + 1) + positions

    def count(self, codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Targets that overlap each interval (int64), chromosomes given by their `codes`."""
        return self._starts.below(self._keys(codes, ends)) - self._ends.below(self._keys(codes, starts) + 1)


class _Ranks:
    """Tells how many of some integers, none negative, are below others: `np.searchsorted` with a table of contents.

    The table holds the answers at every 2**shift-th integer, which leaves few values to search among: many times
    faster where the integers asked for are in no order.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = np.sort(values.astype(np.int64))
        self._last = int(self._values[-1]) + 1 if len(values) else 0
        self._shift = (self._last // (4 * len(values) + 1)).bit_length()
        places = np.arange((self._last >> self._shift) + 2, dtype=np.int64) << self._shift
        self._table = np.searchsorted(self._values, places)

    def below(self, integers: np.ndarray) -> np.ndarray:
        """Number of values below each integer, int64."""
        return _search(self._values, self._table, self._shift, np.clip(integers, 0, self._last))


@numba.njit(cache=True, nogil=True)
def _search(values, table, shift, integers):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    ranks = np.empty(len(integers), np.int64)
    for i in range(len(integers)):
        entry = integers[i] >> shift
        low, high = table[entry], table[entry + 1]
        while low < high:
            middle = (low + high) // 2
            if values[middle] < integers[i]:
                low = middle + 1
            else:
                high = middle
        ranks[i] = low
    return ranks


def cluster(regions: pd.DataFrame) -> np.ndarray:
    """Label the connected components of overlapping intervals.

    Returns
    -------
    ndarray of int64, shape (len(regions),)
        Component of each row, numbered from 0 in the order of first appearance.
    """
    if not len(regions):
        return np.empty(0, dtype=np.int64)
    bare = regions[["chrom", "start", "end"]].reset_index(drop=True)
    labels = bioframe.cluster(bare, min_dist=None, return_cluster_intervals=False)["cluster"]
    return pd.factorize(labels.to_numpy())[0].astype(np.int64)


def merge_overlapping(regions: pd.DataFrame) -> pd.DataFrame:
    """Merge overlapping intervals, each connected component (see `cluster`) to the interval it spans.

    Returns
    -------
    DataFrame
        `chrom, start, end`, sorted; intervals that only touch stay apart.
    """
    bare = regions[["chrom", "start", "end"]]
    return bioframe.merge(bare, min_dist=None)[list(bare.columns)] if len(bare) else bare.reset_index(drop=True)


def cut_gaps(regions: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Give intervals in coordinates in which the gaps have no length.

    Parameters
    ----------
    regions : DataFrame
        `chrom`, `start`, `end`, 0-based half-open.
    gaps : DataFrame
        Blocks to leave out, likewise; they may overlap.

    Returns
    -------
    DataFrame
        `regions` with `start` and `end` moved down by the gap bases before them: `end - start` counts the bases
        outside gaps, and is 0 for an interval that lies in one.
    """
    gaps = merge_overlapping(gaps)
    blocks = gaps.groupby("chrom").indices
    positions = regions[["start", "end"]].to_numpy(dtype=np.int64, copy=True)
    for chrom, rows in regions.groupby("chrom").indices.items():
        here = gaps.iloc[blocks.get(chrom, [])]
        starts, ends = (here[name].to_numpy(dtype=np.int64) for name in ("start", "end"))
        bases, reach = (np.concatenate(([0], values)) for values in (np.cumsum(ends - starts), ends))
        begun = np.searchsorted(starts, positions[rows])
        positions[rows] -= bases[begun] - np.maximum(reach[begun] - positions[rows], 0)
    return regions.assign(start=positions[:, 0], end=positions[:, 1])
