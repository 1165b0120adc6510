"""What the numbers mean: do introgressed regions avoid genes, once the test is put right.

The article counts pairs of an introgressed region and a gene, draws every region anew, on its own and blindly, and
finds more pairs in each of 17 draws (section 5). Three things of it can mislead. Regions of one locus overlap, so
that the draws spread less than the count itself would (De et al., Briefings in Bioinformatics 15, 2014, on what a
choice of permutation assumes). Draws fall into assembly gaps, where there is neither a call nor a gene. And regions
and genes may both follow the GC content. Each variant of the test here removes one of these or two.

What they share: p is one-sided, as the article's, for fewer genes than expected: (b + 1) / (n + 1), b of n draws
being at or below the observed count (Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9,
2010, article 39). The effect size is the ratio observed / expected, expected being the mean of the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.depleted import DepletedSampler, count_admissible
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import CONFIDENCE, Interval
from neanderthal_nlp.gene_overlap import IntersectionTest, LocalGC, check_genes, complete_bins, summarise_draws
from neanderthal_nlp.intervals import (
    OverlapCounter,
    check_regions,
    cluster,
    cut_gaps,
    merge_overlapping,
)

ALPHA = 0.05
"""One-sided level of p at which a difference is shown."""
N_CANDIDATES = 20
"""Admissible draws from which the one nearest in GC is kept."""
_ROUNDING = 1e-9  # a spread of GC below this is one of the sums it is taken from
_QUANTILES = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)

VARIANTS: Mapping[str, str] = {
    "article": "every region, drawn blindly",
    "clear_of_gaps": "every region, drawn clear of gaps",
    "merged": "overlapping regions merged, drawn clear of gaps",
    "rotated": "every region; all of a chromosome turned together, gaps cut out",
    "rotated_merged": "overlapping regions merged; all of a chromosome turned together, gaps cut out",
    "gc_matched": "every region, drawn clear of gaps and alike in GC",
    "gc_matched_merged": "overlapping regions merged, drawn clear of gaps and alike in GC",
}
"""What is counted and how it is drawn, by the name of the variant."""
_VERDICTS = {
    "fewer genes": "the article's conclusion stands",
    "no difference shown": "the article's conclusion changes, this may be chance",
    "more genes": "the article's conclusion is reversed",
}


class IntersectionAudit(NamedTuple):
    """The article's gene test and its variants.

    Attributes
    ----------
    table : DataFrame
        One row a variant: `variant`, `description`; `n_regions` counted; `observed` pairs; `expected` pairs, the
        mean of the draws; `ratio` of the two with its 95 % interval, `low` and `high`; `p`, `n_draws`,
        `n_at_or_below`; `conclusion` (see `conclude`) and what it says of the article's, `verdict`.
    balance : DataFrame
        One row a GC-matched variant: `variant`, `n_regions`; mean and standard deviation of the GC share of the
        regions, `gc_regions` and `sd_regions`. Then, each for draws clear of gaps (`…_unmatched`) and for the matched
        ones (`…_matched`): the same two, `gc_…` and `sd_…`; `smd_…`, the standardised mean difference, regions minus
        draws over the root mean square of both deviations (Austin, Statistics in Medicine 28, 2009, takes 0.1 for
        balance); `apart_…`, the mean distance in GC of a region and its draw. Draws of unknown GC do not count.
    """

    table: pd.DataFrame
    balance: pd.DataFrame


def intersection_audit(
    regions: pd.DataFrame,
    genes: pd.DataFrame,
    chromsizes: Mapping[str, int],
    *,
    gaps: pd.DataFrame,
    bins: pd.DataFrame,
    n_draws: int,
    n_candidates: int = N_CANDIDATES,
    n_bootstrap: int = 1000,
    variants: Collection[str] = tuple(VARIANTS),
    rng: np.random.Generator | int,
    report: Callable[[str], object] | None = None,
) -> IntersectionAudit:
    """Test in several ways whether introgressed regions meet fewer genes than chance has it.

    Variants (`VARIANTS`) that draw regions one by one place each, as the article does, on its chromosome where it
    overlaps no introgressed region. `article` is `gene_overlap.intersection_test`; `clear_of_gaps` keeps draws out
    of gaps; `merged` counts each locus once. `gc_matched` keeps, of `n_candidates` draws clear of gaps, the one
    nearest to the region in GC (nearest-neighbour matching: Stuart, Statistical Science 25, 2010). It may take away
    too much: genes are themselves rich in GC, so that regions alike in GC are partly alike in genes.

    `rotated` turns the regions of a chromosome together, by one random offset around it (`circularRandomizeRegions`
    of regioneR: Gel et al., Bioinformatics 32, 2016), regions and genes both in coordinates that leave the gaps out.
    All dependence among regions and among genes is kept, so that its p is the one to trust. Draws may overlap
    introgressed regions here: the expectation is that of the chromosome, not of its depleted part, and the ratio
    lies nearer to 1. A region turned past the end goes on at the start; a gene that it meets there and here counts
    twice.

    Where regions that overlap are drawn one by one, p is far too small, and where they are merged still a little, for
    the draws keep clear of the observed loci. The interval allows for the overlap: loci (clusters of overlapping
    regions) are resampled with their observed and expected counts (cluster bootstrap: Davison & Hinkley, Bootstrap
    Methods and their Application, 1997, section 3.8). It takes the depleted part of the genome as given, which makes
    it somewhat too narrow. For `rotated` it holds the ratios that the test does not refuse (`invert_draws`).

    Parameters
    ----------
    regions : DataFrame
        Introgressed regions: `chrom`, `start`, `end`, 0-based half-open.
    genes : DataFrame
        Genes, likewise; repeated ones count repeatedly, those on chromosomes without regions never.
    chromsizes : mapping of str to int
        Chromosome lengths, nt.
    gaps : DataFrame
        Runs of N; may be empty.
    bins : DataFrame
        GC by bin, in one of the forms that `gene_overlap.complete_bins` takes.
    n_draws : int
        Draws of each variant, 19 or more: with fewer p cannot reach 0.05.
    n_candidates : int
        Candidates of each GC-matched draw.
    n_bootstrap : int
        Resamples for the intervals.
    variants : collection of str
        Those to test, all by default.
    rng : numpy Generator or int
        Source of randomness or a seed for one; each variant has a stream of its own, whichever are tested.
    report : callable, optional
        Called with the name of each variant before it is drawn.

    Returns
    -------
    IntersectionAudit
        A region that cannot be drawn (no room, no known GC, or all of it in gaps) is left out of what is observed and
        expected; `description` says how many.

    Raises
    ------
    InputError
        A number is too small, regions or genes do not lie on the genome, they have no chromosome in common, the bins
        are no such table, or a variant is left without regions.
    """
    for name, found, least in (
        ("n_draws", n_draws, 19),
        ("n_candidates", n_candidates, 1),
        ("n_bootstrap", n_bootstrap, 1),
    ):
        if found < least:
            raise InputError(f"{name}: found {found}, expected at least {least}")
    if unknown := set(variants) - set(VARIANTS):
        raise InputError(f"variants: found {', '.join(sorted(unknown))}, expected some of {', '.join(VARIANTS)}")
    check_regions(regions, chromsizes, source="introgressed regions")
    check_genes(genes, regions)
    genes = genes[genes["chrom"].isin(regions["chrom"])]
    check_regions(genes, chromsizes, source="genes")
    local = LocalGC(complete_bins(bins, gaps))
    merged = merge_overlapping(regions)
    rows, balance = [], []
    streams = np.random.default_rng(rng).spawn(len(VARIANTS))
    for variant, stream in zip(VARIANTS, streams, strict=True):
        if variant not in variants:
            continue
        if report is not None:
            report(variant)
        counted = merged if variant.endswith("merged") else regions
        matching = _Matching(local, n_candidates) if variant.startswith("gc_matched") else None
        if variant.startswith("rotated"):
            null = _rotate(counted, genes, chromsizes, gaps=gaps, rng=stream)
        else:
            avoid = None if variant == "article" else gaps
            null = _shuffle(counted, genes, chromsizes, avoid=avoid, matching=matching, rng=stream)
        described = {"variant": variant, "description": _describe(variant, len(counted), len(null.observed))}
        rows.append({**described, **_compare(null, n_draws=n_draws, n_bootstrap=n_bootstrap, rng=stream)})
        if matching is not None:
            balance.append({"variant": variant, "n_regions": len(null.observed), **matching.balance()})
    return IntersectionAudit(pd.DataFrame(rows), pd.DataFrame(balance))


def _describe(variant: str, n_regions: int, n_kept: int) -> str:
    """Describe a variant and the regions it leaves out; refused if these are all."""
    if not n_kept:
        raise InputError(f"introgressed regions: found none of {n_regions} that can be drawn for the variant {variant}")
    left_out = n_regions - n_kept
    return VARIANTS[variant] + (f"; {left_out:,} left out that cannot be drawn" if left_out else "")


def bootstrap_ratio(
    observed: np.ndarray, expected: np.ndarray, loci: np.ndarray, *, n_bootstrap: int, rng: np.random.Generator | int
) -> Interval:
    """Ratio of two sums over regions, with its 95 % percentile interval from resampling whole loci.

    Parameters
    ----------
    observed, expected : ndarray, shape (n,)
        Counts per region.
    loci : ndarray of int, shape (n,)
        Locus of each region, numbered from 0 (`intervals.cluster`).
    n_bootstrap : int
        Resamples, as many loci each as there are.
    rng : numpy Generator or int
        Source of randomness or a seed for one.

    Returns
    -------
    Interval
        NaN where nothing is expected; no bounds (NaN) for a single locus.
    """
    rng = np.random.default_rng(rng)
    counts = np.stack([np.bincount(loci, weights=values) for values in (observed, expected)])
    n_loci = counts.shape[1]
    sums = np.array([counts[:, rng.integers(0, n_loci, n_loci)].sum(axis=1) for _ in range(n_bootstrap)])
    resampled = sums[sums[:, 1] > 0]
    above, below = counts.sum(axis=1)
    ratio = float(above / below) if below > 0 else np.nan
    if n_loci < 2 or not len(resampled):
        return Interval(ratio, np.nan, np.nan)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], _QUANTILES)
    return Interval(ratio, float(low), float(high))


def invert_draws(test: IntersectionTest) -> Interval:
    """Ratio observed / expected with the 95 % interval of the ratios that the draws do not refuse.

    A ratio r is refused when observed / r lies outside the central 95 % of the draws, an interval by inversion of
    the randomisation test (Garthwaite, Biometrics 52, 1996). The draws must depend on one another as the observed
    regions do. The upper bound is infinite where the lower quantile of the draws is 0.
    """
    many, few = np.quantile(test.draws, _QUANTILES[::-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return Interval(test.ratio, float(test.observed / many), float(test.observed / few))


def conclude(test: IntersectionTest, ratio: Interval) -> str:
    """Say what a test shows, if its p and the interval of its ratio agree.

    Returns
    -------
    str
        "fewer genes" if the interval ends below 1 and p <= 0.05; "more genes" if it begins above 1 and the p of the
        other side, from the draws at or above the observed count, is <= 0.05; else "no difference shown".
    """
    n_at_or_above = int(np.count_nonzero(test.draws >= test.observed))
    if ratio.high < 1 and test.p_value <= ALPHA:
        return "fewer genes"
    if ratio.low > 1 and (n_at_or_above + 1) / (len(test.draws) + 1) <= ALPHA:
        return "more genes"
    return "no difference shown"


class _Null(NamedTuple):
    """Regions and a way to draw them.

    `observed` holds the number of genes that each region meets, `draw` gives as many numbers for one draw. `loci`
    tells which regions depend on one another; None where the draws keep their dependence.
    """

    observed: np.ndarray
    draw: Callable[[], np.ndarray]
    loci: np.ndarray | None


def _compare(null: _Null, *, n_draws: int, n_bootstrap: int, rng: np.random.Generator) -> dict[str, object]:
    """Draw, and give the numbers of one variant in the order of the table."""
    sums, draws = np.zeros(len(null.observed)), np.empty(n_draws, dtype=np.int64)
    for i in range(n_draws):
        counts = null.draw()
        sums += counts
        draws[i] = counts.sum()
    test = summarise_draws(int(null.observed.sum()), draws)
    if null.loci is None:
        ratio = invert_draws(test)
    else:
        ratio = bootstrap_ratio(null.observed, sums / n_draws, null.loci, n_bootstrap=n_bootstrap, rng=rng)
    conclusion = conclude(test, ratio)
    return {
        "n_regions": len(null.observed),
        "observed": test.observed,
        "expected": float(draws.mean()),
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "p": test.p_value,
        "n_draws": n_draws,
        "n_at_or_below": test.n_at_or_below,
        "conclusion": conclusion,
        "verdict": f"Regions meet {ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) of the genes expected: "
        f"{_VERDICTS[conclusion]}.",
    }


def _shuffle(
    regions: pd.DataFrame,
    genes: pd.DataFrame,
    chromsizes: Mapping[str, int],
    *,
    avoid: pd.DataFrame | None,
    matching: _Matching | None,
    rng: np.random.Generator,
) -> _Null:
    """Draw each region on its own, clear of introgressed regions and of what there is to avoid."""
    kept = regions[count_admissible(regions, chromsizes, avoid=avoid) > 0]
    if matching is not None:
        kept = matching.fit(kept)
    blocks = regions if avoid is None else pd.concat([regions, avoid])
    sampler, counter = DepletedSampler(kept, chromsizes, avoid=blocks), OverlapCounter(genes)
    codes, here = counter.codes(kept["chrom"]), kept["start"].to_numpy()
    lengths = kept["end"].to_numpy() - here

    def draw() -> np.ndarray:
        starts = sampler.starts(rng)[0] if matching is None else matching.choose(sampler, rng)
        return counter.count(codes, starts, starts + lengths)

    return _Null(counter.count(codes, here, here + lengths), draw, cluster(kept))


class _Matching:
    """Choice of the candidates nearest in GC to their regions, and a record of how near they are."""

    def __init__(self, local: LocalGC, n_candidates: int) -> None:
        self._local, self._n_candidates = local, n_candidates
        self._moments: list[list[tuple[float, float, float]]] = []

    def fit(self, regions: pd.DataFrame) -> pd.DataFrame:
        """Take the GC of the regions; returns those that have one."""
        codes, starts, ends = (
            self._local.codes(regions["chrom"]),
            regions["start"].to_numpy(),
            regions["end"].to_numpy(),
        )
        gc = self._local.share(codes, starts, ends)
        known = ~np.isnan(gc)
        self._gc, self._codes, self._lengths = gc[known], codes[known], (ends - starts)[known]
        return regions[known]

    def choose(self, sampler: DepletedSampler, rng: np.random.Generator) -> np.ndarray:
        """Draw candidates and keep one start for each region."""
        starts = sampler.starts(rng, self._n_candidates)
        gc = self._local.share(self._codes, starts, starts + self._lengths)
        nearest = np.argmin(np.nan_to_num(np.abs(gc - self._gc), nan=np.inf), axis=0)
        chosen = (nearest, np.arange(len(nearest)))
        # Any one candidate is a draw without matching.
        self._moments.append(
            [
                (np.nanmean(drawn), np.nanstd(drawn), np.nanmean(np.abs(drawn - self._gc)))
                for drawn in (gc[0], gc[chosen])
            ]
        )
        return starts[chosen]

    def balance(self) -> dict[str, float]:
        """GC of the regions and, on average, of the draws, as `IntersectionAudit` says."""
        mean, deviation = float(self._gc.mean()), float(self._gc.std())
        result = {"gc_regions": mean, "sd_regions": deviation}
        for name, moments in zip(("unmatched", "matched"), np.mean(self._moments, axis=0), strict=True):
            drawn, spread, apart = map(float, moments)
            scale = float(np.hypot(deviation, spread)) / np.sqrt(2)
            difference = (mean - drawn) / scale if scale > _ROUNDING else np.nan
            result |= {f"gc_{name}": drawn, f"sd_{name}": spread, f"smd_{name}": difference, f"apart_{name}": apart}
        return result


def _rotate(
    regions: pd.DataFrame,
    genes: pd.DataFrame,
    chromsizes: Mapping[str, int],
    *,
    gaps: pd.DataFrame,
    rng: np.random.Generator,
) -> _Null:
    """Turn all regions of a chromosome by one random offset, in coordinates that leave the gaps out."""
    whole = pd.DataFrame({"chrom": list(chromsizes), "start": 0, "end": list(chromsizes.values())})
    sizes = cut_gaps(whole, gaps).set_index("chrom")["end"]
    regions, genes = (cut_gaps(frame, gaps)[["chrom", "start", "end"]] for frame in (regions, genes))
    regions, genes = (frame[frame["end"] > frame["start"]] for frame in (regions, genes))
    # The genes follow once more after the chromosome's end, where the regions turned past it meet them.
    turn = genes["chrom"].map(sizes)
    counter = OverlapCounter(pd.concat([genes, genes.assign(start=genes["start"] + turn, end=genes["end"] + turn)]))
    codes, here = counter.codes(regions["chrom"]), regions["start"].to_numpy()
    lengths = regions["end"].to_numpy() - here
    chroms, names = pd.factorize(regions["chrom"])
    around = sizes[names].to_numpy()

    def draw() -> np.ndarray:
        starts = (here + rng.integers(0, around)[chroms]) % around[chroms]
        return counter.count(codes, starts, starts + lengths)

    return _Null(counter.count(codes, here, here + lengths), draw, None)
