"""Depleted regions: partners of the introgressed ones that hold no introgression (article, section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numba
import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.intervals import check_regions


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
    starts = DepletedSampler(introgressed, chromsizes, avoid=avoid).starts(np.random.default_rng(rng))[0]
    lengths = (introgressed["end"] - introgressed["start"]).to_numpy(dtype=np.int64)
    return pd.DataFrame(
        {"chrom": introgressed["chrom"].to_numpy(), "start": starts, "end": starts + lengths},
        index=introgressed.index,
    )


class DepletedSampler:
    """Draws depleted partners of the same regions again and again; see `draw_depleted`.

    Parameters and errors are those of `draw_depleted`.
    """

    def __init__(
        self, introgressed: pd.DataFrame, chromsizes: Mapping[str, int], *, avoid: pd.DataFrame | None = None
    ) -> None:
        check_regions(introgressed, chromsizes, source="introgressed regions")
        self._lengths = (introgressed["end"] - introgressed["start"]).to_numpy(dtype=np.int64)
        self._parts = []
        for rows, free in _by_chromosome(introgressed, chromsizes, avoid):
            admissible = free.admissible(self._lengths[rows])
            if not admissible.all():
                row = introgressed.iloc[rows[np.argmin(admissible)]]
                raise InputError(f"introgressed regions: {row.chrom}:{row.start}-{row.end}: no admissible start on "
                                 f"{row.chrom} for a depleted region of {row.end - row.start} nt "
                                 f"(longest free stretch: {free.longest} nt)")  # fmt: skip
            self._parts.append((rows, free, admissible))

    def starts(self, rng: np.random.Generator, n: int = 1) -> np.ndarray:
        """Draw `n` admissible starts for each region, int64 (n, regions), each uniform and on its own."""
        starts = np.empty((n, len(self._lengths)), dtype=np.int64)
        for rows, free, admissible in self._parts:
            starts[:, rows] = free.place(self._lengths[rows], rng.integers(0, admissible, size=(n, len(rows))))
        return starts


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
        """Position of the u-th admissible start for each length; `u` and the result have a row for each draw."""
        return _place(self._begin, self._sums, self._long_enough(lengths), lengths, u)


@numba.njit(cache=True, nogil=True)
def _place(begin, sums, long_enough, lengths, u):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """Find by bisection the last stretch before which at most u starts are admissible (see `_FreeStretches`)."""
    starts = np.empty_like(u)
    for draw in range(u.shape[0]):
        for i in range(u.shape[1]):
            low, high = 0, long_enough[i]
            while high - low > 1:
                middle = (low + high) // 2
                if sums[middle] - middle * (lengths[i] - 1) <= u[draw, i]:
                    low = middle
                else:
                    high = middle
            starts[draw, i] = begin[low] + u[draw, i] - (sums[low] - low * (lengths[i] - 1))
    return starts
