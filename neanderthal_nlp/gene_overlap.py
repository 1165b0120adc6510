"""Genes against the genome: GC content, and whether introgressed regions avoid genes (article, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.depleted import DepletedSampler
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import OverlapCounter, cluster, count_overlaps, cut_gaps
from neanderthal_nlp.parameters import N_DRAWS
from neanderthal_nlp.sequences import find_gaps

_PIECE = 10_000_000  # nt read at once: bounds the memory, whatever the length of a region
_OTHER, _AT, _GC = 0, 1, 2
_CODES = bytes({**dict.fromkeys(b"ATat", _AT), **dict.fromkeys(b"CGcg", _GC)}.get(byte, _OTHER) for byte in range(256))


def _count_letters(genome: Genome, chrom: str, start: int, end: int) -> tuple[int, int]:
    """Count the G and C, and all called letters (A, C, G, T), of a region."""
    n_gc = n_called = 0
    for begin in range(start, end, _PIECE):
        letters = genome.fetch(chrom, begin, min(begin + _PIECE, end)).encode("ascii").translate(_CODES)
        codes = np.frombuffer(letters, dtype=np.uint8)
        n_gc += int(np.count_nonzero(codes == _GC))
        n_called += int(np.count_nonzero(codes))
    return n_gc, n_called


def _share(n_gc: np.ndarray, n_called: np.ndarray) -> np.ndarray:
    return np.where(n_called > 0, n_gc / np.maximum(n_called, 1), np.nan)


def gc_content(regions: pd.DataFrame, genome: Genome) -> np.ndarray:
    """Share of G and C among the called letters (A, C, G and T, in either case) of each region.

    Parameters
    ----------
    regions : DataFrame
        `chrom`, `start`, `end`, 0-based half-open; genes for the article's figure.
    genome : Genome

    Returns
    -------
    ndarray of float64, shape (len(regions),)
        NaN where no letter is called.

    Raises
    ------
    InputError
        A region does not lie on the genome.
    """
    places = zip(regions["chrom"], regions["start"], regions["end"], strict=True)
    counts = [_count_letters(genome, chrom, int(start), int(end)) for chrom, start, end in places]
    n_gc, n_called = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    return _share(n_gc, n_called)


def genome_gc(genome: Genome, *, bin_size: int = 100_000) -> pd.DataFrame:
    """GC content of the whole genome, bin by bin (for its overall value see `overall_gc`).

    Parameters
    ----------
    genome : Genome
    bin_size : int
        Length of a bin, nt; the last one of a chromosome may be shorter.

    Returns
    -------
    DataFrame
        `chrom`, `start`, `end` (0-based half-open), `gc` (share of G and C among called letters, NaN where
        there is none), `n_called` (int64, called letters); all chromosomes in the order of the genome.

    Raises
    ------
    InputError
        `bin_size` is not positive.
    """
    if bin_size < 1:
        raise InputError(f"bin_size: found {bin_size}, expected at least 1")
    rows = []
    for chrom, size in genome.chromsizes.items():
        for start in range(0, size, bin_size):
            end = min(start + bin_size, size)
            rows.append((chrom, start, end, *_count_letters(genome, chrom, start, end)))
    bins = pd.DataFrame(rows, columns=["chrom", "start", "end", "n_gc", "n_called"])
    gc = _share(bins["n_gc"].to_numpy(), bins["n_called"].to_numpy())
    return bins.assign(gc=gc)[["chrom", "start", "end", "gc", "n_called"]]


def overall_gc(bins: pd.DataFrame) -> float:
    """Share of G and C among all called letters of `genome_gc`'s bins; NaN where no letter is called."""
    n_called = bins["n_called"].sum()
    return float((bins["gc"] * bins["n_called"]).sum() / n_called) if n_called else np.nan


def tabulate_gc(genes: pd.DataFrame, bins: pd.DataFrame, genome: Genome, *, min_called: float = 0.5) -> pd.DataFrame:
    """Put GC content of genes and genome side by side, as the article's figure shows them.

    Parameters
    ----------
    genes : DataFrame
        `chrom`, `start`, `end`, 0-based half-open; those with an N, or on chromosomes that the genome lacks, are
        left out, as the article's gene sequences were.
    bins : DataFrame
        What `genome_gc` gives for the same genome.
    genome : Genome
    min_called : float
        Share of called letters below which a bin is left out.

    Returns
    -------
    DataFrame
        `kind` ("gene" or "genome"), `chrom`, `start`, `end`, `gc`.
    """
    known = genes[genes["chrom"].isin(list(genome.chromsizes))]
    gaps = find_gaps(genome, {chrom: genome.chromsizes[chrom] for chrom in known["chrom"].unique()})
    known = known[count_overlaps(known, gaps) == 0]
    full = bins[bins["n_called"] >= min_called * (bins["end"] - bins["start"])]
    columns = ["kind", "chrom", "start", "end", "gc"]
    return pd.concat(
        [known.assign(kind="gene", gc=gc_content(known, genome))[columns], full.assign(kind="genome")[columns]],
        ignore_index=True,
    )


def complete_bins(table: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Give a table of GC per bin the number of called letters, and GC as a share of these.

    Parameters
    ----------
    table : DataFrame
        `chrom`, `start`, `end` (0-based half-open, bins apart) and `gc`. With `n_called`, it is taken as it is
        (`genome_gc`). With `kind`, its rows of kind "genome" are taken, whose `gc` is of called letters
        (`tabulate_gc`). With neither, `gc` is of all letters of a bin, so that each N counts as not GC.
    gaps : DataFrame
        Runs of N, from which `n_called` follows where the table lacks it.

    Returns
    -------
    DataFrame
        `chrom`, `start`, `end`, `gc` (share, NaN where no letter is called), `n_called`; sorted.

    Raises
    ------
    InputError
        A column is missing, there is no bin, a share is none, a bin is empty, or two bins overlap.
    """
    missing = [name for name in ("chrom", "start", "end", "gc") if name not in table]
    if missing:
        raise InputError(f"GC bins: no column {', '.join(missing)} (found {', '.join(map(str, table.columns))})")
    bins = table[table["kind"] == "genome"] if "kind" in table else table
    if bins.empty:
        raise InputError("GC bins: found none, expected at least one")
    bins = bins.sort_values(["chrom", "start"], ignore_index=True)
    overlapping = (bins["chrom"] == bins["chrom"].shift()) & (bins["start"] < bins["end"].shift())
    bad = np.flatnonzero((bins["gc"] < 0) | (bins["gc"] > 1) | (bins["end"] <= bins["start"]) | overlapping)
    if len(bad):
        row = bins.iloc[bad[0]]
        raise InputError(f"GC bins: {row.chrom}:{row.start}-{row.end}: found gc {row.gc}, expected a share from 0 to 1 "
                         "of a bin that overlaps no other")  # fmt: skip
    if "n_called" not in bins:
        clear = cut_gaps(bins, gaps)
        bins = bins.assign(n_called=clear["end"] - clear["start"])
        if "kind" not in bins:
            n_gc = (bins["gc"] * (bins["end"] - bins["start"])).to_numpy()
            bins["gc"] = np.minimum(_share(n_gc, bins["n_called"].to_numpy()), 1)
    return bins[["chrom", "start", "end", "gc", "n_called"]]


class LocalGC:
    """GC content of any interval, as far as a table of bins tells it.

    Parameters
    ----------
    bins : DataFrame
        What `complete_bins` gives. Letters are taken to be spread evenly over a bin, so that an interval's GC is the
        mean of its bins', weighted by the called letters it has of each.
    """

    def __init__(self, bins: pd.DataFrame) -> None:
        furthest = bins.groupby("chrom", sort=False)["end"].max()
        self._chroms = {chrom: code for code, chrom in enumerate(furthest.index)}
        self._furthest = furthest.to_numpy(dtype=np.int64)
        self._offsets = np.cumsum(self._furthest) - self._furthest
        edges = bins[["start", "end"]].to_numpy() + self._offsets[self.codes(bins["chrom"])][:, None]
        # Called letters and, of these, G and C, as one complex number: both are looked up in one search.
        letters = bins["n_called"].to_numpy() * (1 + 1j * bins["gc"].fillna(0).to_numpy())
        order = np.argsort(edges[:, 0])
        sums = np.cumsum(letters[order])
        self._edges, first = np.unique(edges[order].ravel(), return_index=True)
        self._sums = np.stack([sums - letters[order], sums], axis=1).ravel()[first]

    def codes(self, chroms: pd.Series) -> np.ndarray:
        """Numbers (int64) that `share` knows the chromosomes by; -1 where there is no bin."""
        return chroms.map(self._chroms).fillna(-1).to_numpy(dtype=np.int64)

    def share(self, codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """GC share (float64) of intervals, chromosomes given by their `codes`; NaN where no letter is called."""
        low, high = (
            np.interp(self._offsets[codes] + np.minimum(at, self._furthest[codes]), self._edges, self._sums)
            for at in (starts, ends)
        )
        called = np.where(codes < 0, 0, (high - low).real)
        return np.divide((high - low).imag, called, out=np.full(called.shape, np.nan), where=called > 0)


class GCContrast(NamedTuple):
    """GC content of genes and genome, as shares.

    Attributes
    ----------
    gc_genes : float
        Mean over genes.
    gc_genome : float
        Of all called letters.
    gc_difference, gc_difference_low, gc_difference_high : float
        Genes minus genome, with its 95 % interval.
    """

    gc_genes: float
    gc_genome: float
    gc_difference: float
    gc_difference_low: float
    gc_difference_high: float


def compare_gc(genes: pd.DataFrame, genome_share: float) -> GCContrast:
    """Compare the mean GC content of genes with the genome's.

    The interval is the normal one of a mean over clusters of overlapping genes, since transcripts of one gene
    share their letters; the genome's share is not a sample and adds nothing to it.

    Parameters
    ----------
    genes : DataFrame
        `chrom`, `start`, `end` and `gc`, the GC share per gene; NaN is left out.
    genome_share : float
        GC share of the genome (`overall_gc`).
    """
    genes = genes[genes["gc"].notna()]
    mean = float(genes["gc"].mean()) if len(genes) else np.nan
    residuals = np.bincount(cluster(genes), weights=genes["gc"] - mean)
    error = float(np.sqrt((residuals**2).sum()) / len(genes)) if len(residuals) > 1 else np.nan
    difference = mean - genome_share
    return GCContrast(mean, genome_share, difference, difference - 1.96 * error, difference + 1.96 * error)


class IntersectionTest(NamedTuple):
    """How often introgressed regions overlap genes, against depleted regions drawn at random.

    Attributes
    ----------
    observed : int
        Overlapping pairs of an introgressed region and a gene.
    draws : ndarray of int64, shape (n_draws,)
        The same count for each draw of depleted regions.
    p_value : float
        (b + 1) / (n + 1), b of n draws being at or below the observed count (Phipson & Smyth, Statistical
        Applications in Genetics and Molecular Biology 9, 2010, article 39): a permutation p-value is never 0.
    p_article : str
        As the article writes it: "p < 1/n" when no draw is at or below the observed count, else "p = b/n".
    n_at_or_below : int
        The count b.
    ratio : float
        Effect size, observed / mean of the draws: below 1, introgressed regions avoid genes; NaN if that mean
        is 0.
    """

    observed: int
    draws: np.ndarray
    p_value: float
    p_article: str
    n_at_or_below: int
    ratio: float


def intersection_test(
    regions: pd.DataFrame,
    genes: pd.DataFrame,
    chromsizes: Mapping[str, int],
    *,
    n_draws: int = N_DRAWS,
    avoid: pd.DataFrame | None = None,
    rng: np.random.Generator | int,
    progress: Callable[[], object] | None = None,
) -> IntersectionTest:
    """Test whether introgressed regions overlap genes less often than depleted ones (article, section 5).

    Counts are the rows that `bedtools intersect -a regions -b genes` prints, one per overlapping pair. Each
    draw gives every region a depleted partner of its chromosome and length (`depleted.draw_depleted`); as in
    the article, partners never overlap introgressed regions. Also as in the article, each partner is drawn on
    its own, while introgressed regions of one locus overlap: the draws spread less than independent data would,
    and p is smaller than the evidence.

    Parameters
    ----------
    regions : DataFrame
        Introgressed regions: `chrom`, `start`, `end`, 0-based half-open.
    genes : DataFrame
        Genes, likewise; repeated ones count repeatedly.
    chromsizes : mapping of str to int
        Chromosome lengths, nt.
    n_draws : int
    avoid : DataFrame, optional
        Blocks that depleted regions must not touch, such as runs of N. The article has none.
    rng : numpy Generator or int
        Source of randomness or a seed for one.
    progress : callable, optional
        Called without arguments after each draw.

    Returns
    -------
    IntersectionTest

    Raises
    ------
    InputError
        `n_draws` is not positive, regions and genes have no chromosome in common (another naming?), or a
        depleted region cannot be drawn.
    """
    if n_draws < 1:
        raise InputError(f"n_draws: found {n_draws}, expected at least 1")
    check_genes(genes, regions)
    rng = np.random.default_rng(rng)  # once: a seed handed on would repeat the same draw
    sampler, counter = DepletedSampler(regions, chromsizes, avoid=avoid), OverlapCounter(genes)
    codes, lengths = counter.codes(regions["chrom"]), (regions["end"] - regions["start"]).to_numpy()
    draws = np.empty(n_draws, dtype=np.int64)
    for i in range(n_draws):
        starts = sampler.starts(rng)[0]
        draws[i] = counter.count(codes, starts, starts + lengths).sum()
        if progress is not None:
            progress()
    return summarise_draws(int(count_overlaps(regions, genes).sum()), draws)


def check_genes(genes: pd.DataFrame, regions: pd.DataFrame) -> None:
    """Refuse genes that have no chromosome in common with the regions: another naming (`InputError`)."""
    if not set(regions["chrom"]) & set(genes["chrom"]):
        found, expected = (", ".join(map(str, frame["chrom"].unique()[:3])) for frame in (genes, regions))
        raise InputError(f"genes: no chromosome of the regions (found {found}; expected names such as {expected})")


def summarise_draws(observed: int, draws: np.ndarray) -> IntersectionTest:
    """Compare an observed count with at least one draw of it; see `IntersectionTest`."""
    n, b = len(draws), int(np.count_nonzero(draws <= observed))
    mean = float(np.mean(draws))
    return IntersectionTest(
        observed=observed,
        draws=draws,
        p_value=(b + 1) / (n + 1),
        p_article=f"p = {b}/{n}" if b else f"p < 1/{n}",
        n_at_or_below=b,
        ratio=observed / mean if mean else np.nan,
    )
