"""Intervals on chromosomes: read, validate, count overlaps, cluster, draw depleted regions (article, section 1).

Intervals are rows of a DataFrame with the columns `chrom` (str), `start` and `end` (int, 0-based half-open, nt).
Two intervals overlap when they share at least one base; intervals that only touch do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_lines

BED_COLUMNS = ("chrom", "start", "end", "name", "score", "strand", "thickStart", "thickEnd", "itemRgb", "blockCount",
               "blockSizes", "blockStarts")  # fmt: skip
_DIRECTIVE = re.compile(r"#|track(\s|$)|browser(\s|$)")
_HEADER_NAMES = {"chrom", "chr", "chromosome", "seqname", "seqnames"}
_MAX_DIGITS = 12


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
        if len(fields) < 3 or not fields[0].strip() or "\r" in line:
            raise InputError(f"{where}: not BED (found {_shorten(line)!r}, expected chromosome, start and end)")
        if rows and len(fields) != len(rows[0]):
            raise InputError(f"{where}: found {len(fields)} fields, expected {len(rows[0])} as in the first record")
        start, end = (_coordinate(field, where) for field in fields[1:3])
        if end <= start:
            raise InputError(f"{where}: interval {fields[0]}:{start}-{end} is inverted or empty (expected start < end)")
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
        if len(fields) < 2 or not fields[1].isascii() or not fields[1].isdigit() or int(fields[1]) == 0:
            raise InputError(f"{path}: line {number}: found {_shorten(line)!r}, expected chromosome and length")
        if fields[0] in sizes:
            raise InputError(f"{path}: line {number}: chromosome {fields[0]} is listed twice")
        sizes[fields[0]] = int(fields[1])
    if not sizes:
        raise InputError(f"{path}: no chromosome found")
    return sizes


def match_naming(regions: pd.DataFrame, chromsizes: Mapping[str, int]) -> pd.DataFrame:
    """Rename chromosomes from `1` to `chr1` or back where only that form is known to the genome."""

    def known(name: str) -> str:
        bare = name.removeprefix("chr")
        others = ("chrM", "MT", "chrMT", "M") if bare in {"M", "MT"} else (bare, "chr" + bare)
        return next((other for other in (name, *others) if other in chromsizes), name)

    names = {name: known(name) for name in regions["chrom"].unique()}
    return regions.assign(chrom=regions["chrom"].map(names).astype(str))


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
    A target overlaps [s, e) unless it ends at or before s or starts at or after e, so two binary searches per
    query suffice: (targets that start before e) minus (targets that end at or before s). This is used rather
    than `bioframe.count_overlaps`, which lists all pairs, because the permutation test calls it thousands of
    times.
    """
    codes = {chrom: code for code, chrom in enumerate(target["chrom"].unique())}
    span = 1 + max((int(frame["end"].max()) for frame in (query, target) if len(frame)), default=0)

    def keys(frame: pd.DataFrame, column: str) -> np.ndarray:
        code = frame["chrom"].map(codes).fillna(len(codes)).to_numpy(dtype=np.int64)
        return code * span + frame[column].to_numpy(dtype=np.int64)

    starts, ends = (np.sort(keys(target, column)) for column in ("start", "end"))
    begun = np.searchsorted(starts, keys(query, "end"), side="left")
    finished = np.searchsorted(ends, keys(query, "start"), side="right")
    return (begun - finished).astype(np.int64)


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


def draw_depleted(
    introgressed: pd.DataFrame,
    chromsizes: Mapping[str, int],
    *,
    avoid: pd.DataFrame | None = None,
    rng: np.random.Generator | int,
) -> pd.DataFrame:
    """Draw a depleted partner for every introgressed region (article, section 1).

    A partner has the chromosome and length of its region and starts, uniformly, at any of the positions where
    it lies within the chromosome and overlaps neither an introgressed region nor a block of `avoid`. Partners
    may overlap one another. The article draws again until a start is admissible; the draw here picks among the
    admissible starts at once, which gives the same distribution.

    Parameters
    ----------
    introgressed : DataFrame
        Regions; none may pass its chromosome's end.
    chromsizes : mapping of str to int
        Chromosome lengths, nt.
    avoid : DataFrame, optional
        Blocks that partners must not touch, such as runs of N. The article has none.
    rng : numpy Generator or int
        Source of randomness or a seed for one.

    Returns
    -------
    DataFrame
        `chrom, start, end`; row i is the partner of row i of `introgressed`, whose index it carries.

    Raises
    ------
    InputError
        A chromosome is unknown, a region passes its end, or no start is admissible for a length.
    """
    check_regions(introgressed, chromsizes, source="introgressed regions")
    rng = np.random.default_rng(rng)
    lengths = (introgressed["end"] - introgressed["start"]).to_numpy(dtype=np.int64)
    starts = np.empty(len(introgressed), dtype=np.int64)
    for rows, free in _by_chromosome(introgressed, chromsizes, avoid):
        admissible = free.admissible(lengths[rows])
        if not admissible.all():
            row = introgressed.iloc[rows[np.argmin(admissible)]]
            raise InputError(f"introgressed regions: {row.chrom}:{row.start}-{row.end}: no admissible start on "
                             f"{row.chrom} for a depleted region of {row.end - row.start} nt "
                             f"(longest free stretch: {free.longest} nt)")  # fmt: skip
        starts[rows] = free.place(lengths[rows], rng.integers(0, admissible))
    return pd.DataFrame(
        {"chrom": introgressed["chrom"].to_numpy(), "start": starts, "end": starts + lengths},
        index=introgressed.index,
    )


def count_admissible(
    introgressed: pd.DataFrame, chromsizes: Mapping[str, int], *, avoid: pd.DataFrame | None = None
) -> np.ndarray:
    """Count the admissible starts of each region's depleted partner (see `draw_depleted`).

    Returns
    -------
    ndarray of int64, shape (len(introgressed),)
    """
    lengths = (introgressed["end"] - introgressed["start"]).to_numpy(dtype=np.int64)
    counts = np.zeros(len(introgressed), dtype=np.int64)
    for rows, free in _by_chromosome(introgressed, chromsizes, avoid):
        counts[rows] = free.admissible(lengths[rows])
    return counts


def _by_chromosome(
    introgressed: pd.DataFrame, chromsizes: Mapping[str, int], avoid: pd.DataFrame | None
) -> Iterator[tuple[np.ndarray, _FreeStretches]]:
    """Yield, per chromosome, the rows of its introgressed regions and its free stretches."""
    blocks = introgressed if avoid is None else pd.concat([introgressed, avoid])
    blocked = blocks.groupby("chrom", sort=False).indices
    starts, ends = blocks["start"].to_numpy(dtype=np.int64), blocks["end"].to_numpy(dtype=np.int64)
    for chrom, rows in introgressed.groupby("chrom", sort=False).indices.items():
        here = blocked[chrom]
        yield np.asarray(rows), _FreeStretches(starts[here], ends[here], chromsizes[str(chrom)])


class _FreeStretches:
    """The stretches of one chromosome that no block touches, longest first.

    Among the stretches of at least `length` nt, the first j hold f(j) = (sum of their sizes) - j * (length - 1)
    admissible starts. f grows with j, so the stretch of the u-th admissible start is found by bisection, for
    all lengths at once.
    """

    def __init__(self, starts: np.ndarray, ends: np.ndarray, size: int) -> None:
        order = np.argsort(starts)
        reach = np.maximum.accumulate(np.concatenate(([0], ends[order])))
        begin, stop = reach, np.concatenate((starts[order], [size]))
        stop = np.minimum(stop, size)
        free = stop > begin
        begin, sizes = begin[free], (stop - begin)[free]
        order = np.argsort(-sizes, kind="stable")
        self._begin, self._sizes = begin[order], sizes[order]
        self._sums = np.concatenate(([0], np.cumsum(self._sizes)))

    @property
    def longest(self) -> int:
        return int(self._sizes[0]) if len(self._sizes) else 0

    def _long_enough(self, lengths: np.ndarray) -> np.ndarray:
        return np.searchsorted(-self._sizes, -lengths, side="right")

    def _starts_in_first(self, j: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return self._sums[j] - j * (lengths - 1)

    def admissible(self, lengths: np.ndarray) -> np.ndarray:
        """Number of admissible starts for each length."""
        return self._starts_in_first(self._long_enough(lengths), lengths)

    def place(self, lengths: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Position of the u-th admissible start for each length."""
        low, high = np.zeros_like(u), self._long_enough(lengths)
        while np.any(high - low > 1):
            middle = (low + high) // 2
            right = self._starts_in_first(middle, lengths) <= u
            low, high = np.where(right, middle, low), np.where(right, high, middle)
        return self._begin[low] + u - self._starts_in_first(low, lengths)
