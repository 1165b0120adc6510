"""Depleted regions that differ from the introgressed ones in ancestry only, as far as composition goes.

The article's depleted regions are placed at random. Introgressed regions are not: they prefer AT-rich places, and a
model can tell the classes by that alone. Here each introgressed region gets a partner of its own chromosome and
length whose window has about its GC content and about its share of repeats (lower case), as genNullSeqs of gkmSVM
(Ghandi et al., Bioinformatics 32, 2016) and BiasAway (Worsley Hunt et al., BMC Genomics 15, 2014) choose their
backgrounds. Whether it worked is told by standardised mean differences (Austin, Statistics in Medicine 28, 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.depleted import DepletedSampler
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import count_overlaps
from neanderthal_nlp.parameters import WINDOW_LENGTH
from neanderthal_nlp.sequences import fetch_along_genome

GC_TOLERANCE = 0.01
"""Largest difference in GC content between the windows of a pair: one point, a fifth of the spread of 10-kb windows."""
MASKED_TOLERANCE = 0.1
"""Largest difference in the share of lower-case letters between the windows of a pair."""
SMD_TOLERANCE = 0.1
"""Standardised mean difference up to which a covariate counts as balanced (Austin 2009)."""
N_CANDIDATES = 300
"""Places tried for the partner of each region."""

_STEP = 1000  # nt between the places at which letters are summed up
_PIECE = 1_000_000
_CALLED, _GC, _LOWER = 1, 2, 4
_CODES = bytes(
    _CALLED * (byte in b"ACGTacgt") | _GC * (byte in b"CGcg") | _LOWER * (byte in b"acgt") for byte in range(256)
)


class Match(NamedTuple):
    """Introgressed regions and their matched partners, row by row.

    Attributes
    ----------
    introgressed, depleted : DataFrame
        `chrom, start, end`; the index says of which row of the regions handed in each is or is the partner.
    n_unmatched : int
        Regions left out because no place that was tried is like them.
    """

    introgressed: pd.DataFrame
    depleted: pd.DataFrame
    n_unmatched: int


class Profile:
    """Composition of any stretch of some chromosomes, from sums over the letters before every 1000th.

    Between these places letters are taken to be spread evenly.
    """

    def __init__(self, genome: Genome, chroms: Iterable[str]) -> None:
        self._sums = {chrom: _running_sums(genome, chrom) for chrom in chroms}

    def composition(self, regions: pd.DataFrame) -> pd.DataFrame:
        """`gc` and `masked` of each region as shares of its called letters, NaN without any; index of `regions`."""
        totals = np.zeros((len(regions), 3))
        starts, ends = regions["start"].to_numpy(), regions["end"].to_numpy()
        for chrom, rows in regions.groupby("chrom", sort=False).indices.items():
            places, sums = self._sums[str(chrom)]
            totals[rows] = _interpolate(ends[rows], places, sums) - _interpolate(starts[rows], places, sums)
        return _shares(totals, regions.index)


def _interpolate(at: np.ndarray, places: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """What `np.interp` gives for each column of `sums`; `places` are `_STEP` apart, which spares the search."""
    at = np.clip(at, 0, places[-1])
    j = np.minimum(at // _STEP, len(places) - 2)
    slopes = (sums[j + 1] - sums[j]) / (places[j + 1] - places[j])[:, None]
    return slopes * (at - places[j])[:, None] + sums[j]


def _running_sums(genome: Genome, chrom: str) -> tuple[np.ndarray, np.ndarray]:
    """Places, and before each the number of called, G or C, and lower-case letters; float64 (n,) and (n, 3)."""
    size = genome.chromsizes[chrom]
    tables = [np.zeros((1, 3))]
    for start in range(0, size, _PIECE):
        codes = _codes_of(genome.fetch(chrom, start, min(start + _PIECE, size)))
        cuts = np.arange(0, len(codes), _STEP)
        tables.append(np.column_stack([np.add.reduceat((codes & bit) != 0, cuts, dtype=np.int64)
                                       for bit in (_CALLED, _GC, _LOWER)]))  # fmt: skip
    places = np.append(np.arange(0, size, _STEP), size)
    return places, np.cumsum(np.concatenate(tables), axis=0)


def _codes_of(letters: str) -> np.ndarray:
    return np.frombuffer(letters.encode("ascii").translate(_CODES), dtype=np.uint8)


def _shares(totals: np.ndarray, index: pd.Index) -> pd.DataFrame:
    called, gc, lower = totals.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame({"gc": gc / called, "masked": lower / called}, index=index)


def composition(regions: pd.DataFrame, genome: Genome) -> pd.DataFrame:
    """GC content and share of lower-case letters of regions, counted letter by letter.

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end`, 0-based half-open.
    genome : Genome

    Returns
    -------
    DataFrame
        `gc`, `masked`: shares of the called letters (A, C, G, T), NaN where there is none; index of `regions`.
    """
    totals = np.zeros((len(regions), 3))
    for row, letters in fetch_along_genome(regions, genome):
        kinds = np.bincount(_codes_of(letters), minlength=8)
        totals[row] = [sum(kinds[code] for code in range(8) if code & bit) for bit in (_CALLED, _GC, _LOWER)]
    return _shares(totals, regions.index)


def match_depleted(
    introgressed: pd.DataFrame,
    genome: Genome,
    chromsizes: Mapping[str, int],
    *,
    avoid: pd.DataFrame,
    length: int = WINDOW_LENGTH,
    n_candidates: int = N_CANDIDATES,
    gc_tolerance: float = GC_TOLERANCE,
    masked_tolerance: float = MASKED_TOLERANCE,
    rng: np.random.Generator | int,
) -> Match:
    """Give each introgressed region a depleted partner of its length, GC content and share of repeats.

    For each region `n_candidates` places are drawn as the article draws them, and the one whose
    window is most like the region's window is taken; a region that none is like is left out.

    Parameters
    ----------
    introgressed : DataFrame
        `chrom, start, end`; clear of N, with room for a partner each.
    genome : Genome
    chromsizes : mapping of str to int
        Chromosome lengths, nt.
    avoid : DataFrame
        Blocks that partners must not touch: all introgressed regions and the runs of N.
    length : int
        First nucleotides of a region that are its window, nt: the letters whose composition is matched.
    n_candidates : int
        Places tried for each region.
    gc_tolerance, masked_tolerance : float
        Largest difference between the two windows of a pair.
    rng : numpy Generator or int
        Source of randomness or a seed for one.

    Returns
    -------
    Match

    Raises
    ------
    InputError
        No region has a partner that is like it.
    """
    rng = np.random.default_rng(rng)
    tolerances = np.array([gc_tolerance, masked_tolerance])
    profile = Profile(genome, introgressed["chrom"].unique())
    wanted = composition(first_nucleotides(introgressed, length), genome).to_numpy()
    best, distance = np.zeros(len(introgressed), dtype=np.int64), np.full(len(introgressed), np.inf)
    lengths = introgressed["end"] - introgressed["start"]
    sampler = DepletedSampler(introgressed, chromsizes, avoid=avoid)
    for _ in range(n_candidates):
        starts = sampler.starts(rng)[0]
        drawn = introgressed[["chrom"]].assign(start=starts, end=starts + lengths)
        found = profile.composition(first_nucleotides(drawn, length)).to_numpy()
        apart = (np.abs(found - wanted) / tolerances).max(axis=1)
        closer = apart < distance
        best[closer], distance[closer] = starts[closer], apart[closer]
    depleted = introgressed[["chrom"]].assign(start=best, end=best + lengths)
    kept = np.isfinite(distance)
    exact = composition(first_nucleotides(depleted[kept], length), genome).to_numpy()
    kept[kept] = (np.abs(exact - wanted[kept]) <= tolerances).all(axis=1)
    if not kept.any():
        raise InputError(f"introgressed regions: none of {len(introgressed)} has a depleted place within "
                         f"{gc_tolerance:g} of its GC content and {masked_tolerance:g} of its repeats")  # fmt: skip
    return Match(introgressed.loc[kept, ["chrom", "start", "end"]], depleted[kept], int((~kept).sum()))


def first_nucleotides(regions: pd.DataFrame, length: int) -> pd.DataFrame:
    """The first `length` nt of each region, or the whole of a shorter one."""
    return regions.assign(end=np.minimum(regions["end"], regions["start"] + length))


def balance_of_match(
    match: Match, random: pd.DataFrame, genome: Genome, *, length: int = WINDOW_LENGTH
) -> pd.DataFrame:
    """Tell how alike the classes are, with partners placed at random and with matched ones; see `tabulate_balance`.

    Parameters
    ----------
    match : Match
    random : DataFrame
        Depleted regions placed at random.
    genome : Genome
    length : int
        First nucleotides of a region that are its window, nt.
    """
    return tabulate_balance(*(
        composition(first_nucleotides(regions, length), genome).assign(length=regions["end"] - regions["start"])
        for regions in (match.introgressed, random, match.depleted)
    ))  # fmt: skip


def tabulate_balance(introgressed: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Compare a covariate's mean between introgressed and depleted windows, before and after matching.

    Parameters
    ----------
    introgressed, before, after : DataFrame
        `length` (nt, of the region), `gc` and `masked` of matched introgressed windows, of depleted windows placed at
        random, and of matched ones.

    Returns
    -------
    DataFrame
        One row a covariate, `masked` only where some letter is lower case: `covariate, introgressed,
        depleted_before, depleted_after` (means), `smd_before,
        smd_after` (difference of the means over the root of the mean variance), `tolerance`, `balanced`.
    """
    rows = []
    names = [name for name in ("length", "gc", "masked") if name != "masked" or (introgressed[name] > 0).any()]
    for name in names:
        smds = [_standardised_difference(introgressed[name], other[name]) for other in (before, after)]
        rows.append((name, introgressed[name].mean(), before[name].mean(), after[name].mean(), *smds,
                     SMD_TOLERANCE, abs(smds[1]) <= SMD_TOLERANCE))  # fmt: skip
    return pd.DataFrame(rows, columns=["covariate", "introgressed", "depleted_before", "depleted_after", "smd_before",
                                       "smd_after", "tolerance", "balanced"])  # fmt: skip


def _standardised_difference(one: pd.Series, other: pd.Series) -> float:
    spread = np.sqrt((one.var(ddof=0) + other.var(ddof=0)) / 2)
    difference = one.mean() - other.mean()
    if spread == 0:
        return 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    return float(difference / spread)


def check_match(balance: pd.DataFrame, depleted: pd.DataFrame, introgressed: pd.DataFrame) -> None:
    """Refuse a match that is not one.

    Parameters
    ----------
    balance : DataFrame
        From `tabulate_balance`.
    depleted : DataFrame
        The matched regions.
    introgressed : DataFrame
        All introgressed regions, those without a partner too.

    Raises
    ------
    InputError
        A covariate is out of balance, or a depleted region overlaps an introgressed one.
    """
    off = balance[~balance["balanced"]]
    if len(off):
        row = off.iloc[0]
        raise InputError(f"matched regions: standardised mean difference of {row.covariate}: found "
                         f"{row.smd_after:.2f}, expected at most {row.tolerance} on either side")  # fmt: skip
    overlapping = int((count_overlaps(depleted, introgressed) > 0).sum())
    if overlapping:
        raise InputError(f"matched regions: found {overlapping} that overlap an introgressed region, expected none")
