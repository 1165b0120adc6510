"""A small synthetic genome with a planted signal and a planted leak. It holds no human DNA.

Every letter comes from a random number generator; only summary statistics (GC levels, dinucleotide excesses,
lengths, counts) imitate the human genome. Two dials say what there is to find:

- `composition`: at 0, introgressed loci lie anywhere and are spelled like the rest of the genome, so nothing can be
  learned about them; at 1, they prefer AT-rich isochores, hence avoid genes, and hold a little less GC and
  more AA, TT, CA and TG.
- `overlap`: at 0, every region is a locus of its own; at 1, a locus holds about six overlapping haplotypes, many of
  which share their start, as in the call set of Vernot & Akey (Science 2016): a random split leaks.

Landscape, genes, lengths, placement and letters have random streams of their own, so that a dial changes only what
it means: letters outside the loci stay as they are. Coordinates are 0-based half-open.
"""

import gzip
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from neanderthal_nlp.audit.null_genome import HUMAN_EXCESS, fasta_lines, fit_transitions
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import replacing, write_bed
from neanderthal_nlp.genome import writing_bgzip
from neanderthal_nlp.parameters import MIN_REGION_LENGTH

MEGABASES = (8.0, 7.0, 6.2, 5.5, 4.9, 4.3, 3.7, 3.2)
CHROMSIZES: Mapping[str, int] = MappingProxyType({f"chr{i}": int(mb * 1e6) for i, mb in enumerate(MEGABASES, 1)})
"""Default chromosomes, nt."""
MIN_CHROMSIZE = 500_000
MAX_REGION_LENGTH = 150_000
MEAN_GC = 0.41
"""Genome-wide share of G and C in hg19; genes have about 0.47 (article, section 5)."""
BIN = 10_000
"""Resolution of the GC landscape, nt."""
REFGENE_COLUMNS = (
    *("bin", "name", "chrom", "strand", "txStart", "txEnd", "cdsStart", "cdsEnd", "exonCount", "exonStarts"),
    *("exonEnds", "score", "name2", "cdsStartStat", "cdsEndStat", "exonFrames"),
)
"""Columns of UCSC's refGene table, in file order."""

_GC_LEVELS = np.linspace(0.28, 0.62, 69)
_EXCESS = HUMAN_EXCESS.copy()
_EXCESS[1, 2] = 0.13  # CG is set lower because the point mutations of the repeats make some
_LOCUS_TILT = np.array([[1.09, 1, 1, 1], [1.06, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1.06, 1.09]])
_LOCUS_GC = -0.012
_LOCUS_PREFERENCE = 13.0
_SPACING = 500
_MEAN_HOLE = 50_000
_REPEAT_SLOT = 1_400
_DIVERGENCE = 0.12

README = """\
SYNTHETIC DATA: a made-up genome. It holds no human DNA and says nothing about any person or population.
Every letter comes from a random number generator (seed {seed}); only summary statistics imitate the human genome.

genome.fa.gz      {n_chromosomes} chromosomes, {total:,} letters, bgzip; lower case: repeats; N: gaps
introgressed.bed  {n_regions} regions called introgressed, 0-based half-open
refGene.txt.gz    {n_genes} transcripts in the 16 columns of UCSC's refGene table; symbols SYN0001, SYN0002, ...

Planted:
- isochores: about two thirds AT-rich (GC 0.36-0.40), one third GC-rich (GC 0.45-0.54); CpG depleted
- two families of repeats in lower case; telomeres, centromeres and contig gaps of N
- genes favour GC-rich isochores
- composition = {composition:g} (0: introgressed loci do not differ from the rest in any way;
  1: they prefer AT-rich isochores and hold a little less GC and more AA, TT, CA and TG)
- overlap = {overlap:g} (0: all regions are disjoint; 1: about six overlapping haplotypes a locus and half as many
  distinct starts as regions, so that a random split into training and test set leaks)
"""


class Demo(NamedTuple):
    """A synthetic data set.

    Attributes
    ----------
    chromosomes : dict of str to ndarray of uint8
        ASCII letters ACGT, acgt (repeats) and N (gaps) of each chromosome.
    introgressed : DataFrame
        Unique regions `chrom`, `start`, `end`, sorted by chromosome, start and end.
    genes : DataFrame
        Transcripts in the columns of UCSC's refGene table, sorted by chromosome, txStart and txEnd.
    """

    chromosomes: dict[str, NDArray[np.uint8]]
    introgressed: pd.DataFrame
    genes: pd.DataFrame


class _Landscape(NamedTuple):
    """One chromosome before its letters: nt, gaps (n, 2), contigs between them (n - 1, 2), GC of each bin."""

    size: int
    gaps: NDArray[np.int64]
    contigs: NDArray[np.int64]
    gc: NDArray[np.float64]


def make_demo(
    *,
    seed: int = 0,
    n_regions: int = 1200,
    n_genes: int = 500,
    chromsizes: Mapping[str, int] = CHROMSIZES,
    composition: float = 1.0,
    overlap: float = 1.0,
) -> Demo:
    """Make a synthetic genome with introgressed regions and genes; the same arguments give the same data.

    Parameters
    ----------
    seed : int
        Non-negative.
    n_regions : int
        Number of introgressed regions, at least 1. On the chromosome of each there is a stretch of its length that
        is free of introgressed regions and gaps.
    n_genes : int
        Number of transcripts, at least 1, of about 0.85 times as many gene symbols.
    chromsizes : Mapping of str to int
        Length of each chromosome in nt, at least `MIN_CHROMSIZE`.
    composition, overlap : float in [0, 1]
        Strength of the planted signal and of the planted leak, see the module's docstring.

    Raises
    ------
    InputError
        If an argument is out of range, or the regions do not fit the chromosomes.
    """
    _check_arguments(seed, n_regions, n_genes, chromsizes, composition, overlap)
    *streams, letters_stream = np.random.SeedSequence(seed).spawn(5)
    landscape_rng, genes_rng, lengths_rng, places_rng = map(np.random.default_rng, streams)
    landscapes = {chrom: _make_landscape(int(size), landscape_rng) for chrom, size in chromsizes.items()}
    haplotypes = _draw_haplotypes(n_regions, overlap, lengths_rng)
    introgressed, loci = _place_haplotypes(haplotypes, landscapes, _LOCUS_PREFERENCE * composition, places_rng)
    spell = _make_speller(composition, letters_stream)
    chromosomes = {chrom: spell(landscape, loci[chrom]) for chrom, landscape in landscapes.items()}
    return Demo(chromosomes, introgressed, _make_genes(landscapes, n_genes, genes_rng))


def write_demo(
    directory: str | Path,
    *,
    seed: int = 0,
    n_regions: int = 1200,
    n_genes: int = 500,
    chromsizes: Mapping[str, int] = CHROMSIZES,
    composition: float = 1.0,
    overlap: float = 1.0,
) -> dict[str, Path]:
    """Write the data of `make_demo` (same arguments, same errors) into a directory, which is made if missing.

    Each file is written under a name ending in `.part` and renamed when complete; the same arguments give the same
    bytes.

    Returns
    -------
    dict of str to Path
        `genome` (genome.fa.gz, bgzip, 60 letters a line), `introgressed` (introgressed.bed, BED3), `genes`
        (refGene.txt.gz, no header) and `readme` (README.txt).
    """
    dials = {"composition": composition, "overlap": overlap}
    demo = make_demo(seed=seed, n_regions=n_regions, n_genes=n_genes, chromsizes=chromsizes, **dials)
    counts = {"n_chromosomes": len(demo.chromosomes), "total": sum(map(len, demo.chromosomes.values()))}
    readme = README.format(seed=seed, n_regions=n_regions, n_genes=n_genes, **counts, **dials)
    keys = ("genome", "introgressed", "genes", "readme")
    names = ("genome.fa.gz", "introgressed.bed", "refGene.txt.gz", "README.txt")
    paths = {key: Path(directory) / name for key, name in zip(keys, names, strict=True)}
    with replacing(paths["genome"]) as part, writing_bgzip(part) as file:
        for chrom, letters in demo.chromosomes.items():
            file.write(_to_fasta(chrom, letters))
    write_bed(demo.introgressed, paths["introgressed"])
    with replacing(paths["genes"]) as part:
        rows = demo.genes.to_csv(sep="\t", header=False, index=False, lineterminator="\n")
        part.write_bytes(gzip.compress(rows.encode(), mtime=0))
    with replacing(paths["readme"]) as part:
        part.write_text(readme, encoding="utf-8", newline="\n")
    return paths


def _to_fasta(chrom: str, letters: NDArray[np.uint8]) -> bytes:
    return f">{chrom}\n".encode() + b"".join(fasta_lines([letters]))


def _check_arguments(
    seed: int, n_regions: int, n_genes: int, chromsizes: Mapping[str, int], composition: float, overlap: float
) -> None:
    if not chromsizes:
        raise InputError("chromsizes: found no chromosome, expected at least one")
    integers = [("seed", seed, 0), ("n_regions", n_regions, 1), ("n_genes", n_genes, 1)]
    integers += [(f"chromsizes: {chrom}", size, MIN_CHROMSIZE) for chrom, size in chromsizes.items()]
    for name, value, least in integers:
        if not isinstance(value, Integral) or value < least:
            raise InputError(f"{name}: found {value!r}, expected an integer of at least {least}")
    for name, dial in (("composition", composition), ("overlap", overlap)):
        if not isinstance(dial, Real) or not 0 <= dial <= 1:
            raise InputError(f"{name}: found {dial!r}, expected a number from 0 to 1")


def _make_landscape(size: int, rng: np.random.Generator) -> _Landscape:
    """Lay out gaps (telomeres, a centromere, contig gaps) and isochores of one chromosome."""
    telomere, contig_gap = 10_000, min(50_000, size // 40)
    lengths = np.full(1 + max(1, round(size / 2_500_000)), contig_gap)
    lengths[len(lengths) // 2] = min(int(rng.integers(150_000, 250_001)), size // 20)
    slots = np.arange(len(lengths)) + rng.uniform(0.3, 0.7, len(lengths))
    starts = (slots * size / len(lengths) - lengths / 2).astype(np.int64)
    gaps = np.vstack([[0, telomere], np.column_stack([starts, starts + lengths]), [size - telomere, size]])

    n_bins = -(-size // BIN)
    at_rich = (np.arange(n_bins) + rng.integers(2)) % 2 == 0  # isochores alternate; there are fewer than bins
    extents = rng.lognormal(np.log(np.where(at_rich, 300_000, 150_000)), 0.5) / BIN
    levels = np.where(at_rich, rng.uniform(0.350, 0.385, n_bins), rng.uniform(0.45, 0.54, n_bins))
    isochore = np.searchsorted(np.cumsum(extents), np.arange(n_bins))
    gc = levels[isochore] + rng.normal(0, 0.018, n_bins)
    return _Landscape(size, gaps, np.column_stack([gaps[:-1, 1], gaps[1:, 0]]), gc)


def _draw_haplotypes(n_regions: int, overlap: float, rng: np.random.Generator) -> pd.DataFrame:
    """Draw region lengths and group the regions into loci.

    Returns
    -------
    DataFrame
        `locus` (from 0, ascending), `offset` (start relative to the start of the locus) and `length`. Lengths do not
        depend on `overlap`, and all differ, so that no two regions can coincide.
    """
    median, sigma = 8_000, 0.95
    top = ndtr(np.log((MAX_REGION_LENGTH - MIN_REGION_LENGTH) / median) / sigma)
    excess = median * np.exp(sigma * ndtri(top * rng.random(n_regions)))
    rank = np.arange(n_regions)
    lengths = np.sort(MIN_REGION_LENGTH + 2 + excess.astype(np.int64)) - rank
    lengths = rng.permutation(np.maximum.accumulate(lengths) + rank)

    chance, shift, shared, pick = rng.random((4, n_regions))
    mean_size = 1 + 5 * overlap  # geometric
    sizes = 1 + (np.log1p(-chance) // np.log1p(-1 / mean_size) if overlap else 0 * chance).astype(np.int64)
    locus = np.repeat(rank, sizes)[:n_regions]
    shortest = pd.Series(lengths).groupby(locus).transform("min").to_numpy()
    starts = -(shift * shortest).astype(np.int64)  # all regions of a locus hold its position 0
    first = np.searchsorted(locus, locus)
    for i in np.flatnonzero((shared < 0.6) & (first < rank)):  # share that leaves half as many starts as regions
        starts[i] = starts[first[i] + int(pick[i] * (i - first[i]))]
    leftmost = pd.Series(starts).groupby(locus).transform("min").to_numpy()
    return pd.DataFrame({"locus": locus, "offset": starts - leftmost, "length": lengths})


def _place_haplotypes(
    haplotypes: pd.DataFrame, landscapes: dict[str, _Landscape], preference: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, NDArray[np.int64]]]:
    """Place loci on chromosomes: the regions as a frame, and the loci (n, 2) of each chromosome."""
    locus, names = haplotypes["locus"].to_numpy(), np.array(list(landscapes))
    extents = (haplotypes["offset"] + haplotypes["length"]).groupby(locus).max().to_numpy()
    longest = haplotypes["length"].groupby(locus).max().to_numpy()
    contigs = [np.diff(landscape.contigs) for landscape in landscapes.values()]
    room = np.array([lengths.sum() for lengths in contigs]) - longest.max()
    widest = np.array([lengths.max() for lengths in contigs]) - _SPACING
    does_not_fit = InputError(
        f"n_regions: found {len(locus)} regions for {len(names)} chromosomes of {sum(map(np.sum, contigs))} nt "
        "without gaps, expected fewer regions or larger chromsizes"
    )
    home = np.empty(len(extents), np.int64)
    for i, extent in enumerate(extents + _SPACING):
        weights = np.maximum(room - extent, 0) * (extent < widest)
        if not weights.any():
            raise does_not_fit
        home[i] = rng.choice(len(names), p=weights / weights.sum())
        room[home[i]] -= extent

    starts = np.empty(len(extents), np.int64)
    for i, landscape in enumerate(landscapes.values()):
        if (mine := home == i).any():
            placed = _arrange(landscape, extents[mine], longest[mine].max(), preference, rng)
            if placed is None:
                raise does_not_fit
            starts[mine] = placed
    start = starts[locus] + haplotypes["offset"].to_numpy()
    regions = pd.DataFrame({"chrom": home[locus], "start": start, "end": start + haplotypes["length"].to_numpy()})
    regions = regions.sort_values(["chrom", "start", "end"], ignore_index=True)
    spans = np.column_stack([starts, starts + extents])
    return regions.assign(chrom=names[regions["chrom"]]), {str(c): spans[home == i] for i, c in enumerate(names)}


def _arrange(
    landscape: _Landscape, extents: NDArray[np.int64], longest: int, preference: float, rng: np.random.Generator
) -> NDArray[np.int64] | None:
    """Place the loci of one chromosome: their starts, or None if no attempt succeeds.

    Loci, and the holes between them, are shuffled and laid out from left to right. Room is lost where a locus does
    not fit before a gap, hence holes shrink from attempt to attempt. A partner of the longest region must
    find a place.
    """
    free = np.diff(landscape.contigs).sum() - (extents + _SPACING).sum()
    for attempt in range(100):
        holes = rng.exponential(_MEAN_HOLE, 1 + int(free / _MEAN_HOLE))
        holes *= free / holes.sum() * 0.97**attempt
        starts = _walk(landscape, rng.permutation(len(extents)), extents, holes.astype(np.int64), preference, rng)
        if starts is not None:
            taken = np.vstack([landscape.gaps, np.column_stack([starts, starts + extents])])
            taken = taken[np.argsort(taken[:, 0])]
            if (taken[1:, 0] - taken[:-1, 1]).max() >= longest + 2:
                return starts
    return None


def _walk(
    landscape: _Landscape,
    order: NDArray[np.int64],
    extents: NDArray[np.int64],
    holes: NDArray[np.int64],
    preference: float,
    rng: np.random.Generator,
) -> NDArray[np.int64] | None:
    """Lay out loci and holes, None if they do not fit; without preference every order is equally likely."""
    starts = np.empty_like(extents)
    n_loci, n_holes = len(order), len(holes)
    for left, right in landscape.contigs:
        position = left + 1
        while n_loci and position < right:
            extent = extents[order[n_loci - 1]]
            middle = min(position + extent // 2, right - 1)
            odds = n_loci * np.exp(preference * (MEAN_GC - landscape.gc[middle // BIN]))
            if rng.random() * (odds + n_holes) >= odds:
                n_holes -= 1
                position += holes[n_holes]
            elif position + extent < right:
                n_loci -= 1
                starts[order[n_loci]] = position
                position += extent + _SPACING
            else:
                break
    return None if n_loci else starts


@numba.njit(cache=True)
def _spell(template, uniform, law, laws):  # type: ignore[no-untyped-def]
    """Letters 0-3: a Markov chain where the template is -1, else a copy of it with point mutations."""
    codes = np.empty(len(template), np.uint8)
    previous = 0
    for i in range(len(template)):
        u = uniform[i]
        code = np.int64(template[i])
        if code < 0:
            code = 0
            while code < 3 and u >= laws[law[i], previous, code]:
                code += 1
        elif u < _DIVERGENCE:
            code = (code + 1 + int(3 * u / _DIVERGENCE)) & 3
        codes[i] = code
        previous = code
    return codes


def _make_speller(
    composition: float, stream: np.random.SeedSequence
) -> Callable[[_Landscape, NDArray[np.int64]], NDArray[np.uint8]]:
    """Make the function that spells the chromosomes one after another, each from its landscape and loci.

    It spends one random number a letter: what lies outside the loci does not depend on them.
    """
    repeats_rng, letters_rng = map(np.random.default_rng, stream.spawn(2))
    tilted = fit_transitions(_GC_LEVELS + _LOCUS_GC * composition, _EXCESS * _LOCUS_TILT**composition)
    laws = np.concatenate([fit_transitions(_GC_LEVELS, _EXCESS), tilted])
    alu_like = _make_consensus(laws, repeats_rng, length=280, gc=0.53, tail=25)
    l1_like = _make_consensus(laws, repeats_rng, length=985, gc=0.36, tail=15)
    alphabet = np.frombuffer(b"ACGT", np.uint8)

    def spell(landscape: _Landscape, loci: NDArray[np.int64]) -> NDArray[np.uint8]:
        template = _plant_repeats(landscape, (alu_like, l1_like), repeats_rng)
        law = np.repeat(_level(landscape.gc), BIN)[: landscape.size]
        for start, end in loci:
            law[start:end] += len(_GC_LEVELS)
        codes = _spell(template, letters_rng.random(landscape.size, np.float32), law, laws)
        letters = alphabet[codes] | ((template >= 0) * np.uint8(32))  # bit 32 is ASCII's lower case
        for start, end in landscape.gaps:
            letters[start:end] = ord("N")
        return letters

    return spell


def _level(gc: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.abs(_GC_LEVELS - gc[:, None]).argmin(axis=1).astype(np.int16)


def _make_consensus(
    laws: NDArray[np.float32], rng: np.random.Generator, *, length: int, gc: float, tail: int
) -> NDArray[np.int8]:
    """Letters 0-3 of a repeat family: `length` letters of a given GC, then a poly-A tail."""
    law = np.repeat(_level(np.array([gc])), length)
    body = _spell(np.full(length, -1, np.int8), rng.random(length, np.float32), law, laws)
    return np.concatenate([body, np.zeros(tail, np.uint8)]).astype(np.int8)


def _plant_repeats(
    landscape: _Landscape, families: Sequence[NDArray[np.int8]], rng: np.random.Generator
) -> NDArray[np.int8]:
    """Template of a chromosome: letters 0-3 of the consensus where a copy lies, -1 elsewhere.

    One copy a slot, on either strand. The first of two families favours GC-rich parts; copies of the second are cut
    short at their 5' end, as those of L1 are.
    """
    n_slots = landscape.size // _REPEAT_SLOT
    slots = np.arange(n_slots) * _REPEAT_SLOT
    kind, cut, strand, shift = rng.random((4, n_slots))
    family = (kind > np.clip(0.4 + 4 * (landscape.gc[slots // BIN] - 0.38), 0.2, 0.9)).astype(np.int64)
    reverse = strand < 0.5
    library = np.concatenate([*families, *(3 - consensus[::-1] for consensus in families)])
    full = np.array([len(consensus) for consensus in families])
    length = (full[family] * (1 - 0.7 * cut * family)).astype(np.int64)
    source = np.concatenate([[0], np.cumsum(np.tile(full, 2))])[family + 2 * reverse]
    source += np.where(reverse, 0, full[family] - length)
    target = slots + (shift * (_REPEAT_SLOT - length)).astype(np.int64)
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    template = np.full(landscape.size, -1, np.int8)
    template[np.repeat(target, length) + within] = library[np.repeat(source, length) + within]
    return template


def _make_genes(landscapes: dict[str, _Landscape], n_genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one to three transcripts for each symbol and describe them as refGene does."""
    n_symbols = max(1, round(0.85 * n_genes))
    symbols = _draw_symbols(list(landscapes.values()), n_symbols, rng)
    more = rng.permutation(np.repeat(np.arange(n_symbols), 2))[: n_genes - n_symbols]
    table = symbols.iloc[np.concatenate([np.arange(n_symbols), more])].reset_index(drop=True)
    trim = rng.uniform(0, 0.2, (2, n_genes)) * (rng.random(n_genes) < 0.7)  # the other isoforms share coordinates
    trim[:, :n_symbols] = 0
    left, right = (trim * (table["end"] - table["start"]).to_numpy()).astype(np.int64)
    table = table.assign(start=table["start"] + left, end=table["end"] - right)
    table = table.sort_values(["chrom", "start", "end", "symbol"], ignore_index=True)
    names = list(landscapes)
    columns = (table[name].tolist() for name in ("chrom", "strand", "start", "end", "symbol"))
    rows = [
        _describe_transcript(f"SYN{number:05d}", names[chrom], strand, start, end, f"SYN{symbol:04d}", rng)
        for number, (chrom, strand, start, end, symbol) in enumerate(zip(*columns, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=list(REFGENE_COLUMNS))


def _draw_symbols(landscapes: list[_Landscape], n_symbols: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw genes whose centres favour GC-rich bins and keep off the gaps, which only long genes reach."""
    weights = [np.exp(17 * (landscape.gc - MEAN_GC)) for landscape in landscapes]
    for landscape, weight in zip(landscapes, weights, strict=True):
        for start, end in landscape.gaps:
            weight[max(0, start // BIN - 1) : end // BIN + 2] = 0
    chrom = np.repeat(np.arange(len(landscapes)), [len(weight) for weight in weights])
    bins = np.concatenate([np.arange(len(weight)) for weight in weights])
    flat = np.concatenate(weights)
    chosen = rng.choice(len(flat), n_symbols, p=flat / flat.sum())
    size = np.array([landscape.size for landscape in landscapes])[chrom[chosen]]
    length = rng.lognormal(np.log(20_000), 1.1, n_symbols)
    length = np.clip(length, 500, np.minimum(400_000, size // 4)).astype(np.int64)
    start = np.clip(bins[chosen] * BIN + rng.integers(BIN, size=n_symbols) - length // 2, 0, size - length)
    table = {"chrom": chrom[chosen], "start": start, "end": start + length, "symbol": np.arange(n_symbols) + 1}
    return pd.DataFrame(table).assign(strand=np.where(rng.random(n_symbols) < 0.5, "+", "-"))


def _describe_transcript(
    name: str, chrom: str, strand: str, start: int, end: int, symbol: str, rng: np.random.Generator
) -> tuple[object, ...]:
    """One row of the refGene table, with exons of 80-300 nt and, in nine of ten, a coding sequence."""
    count = 1 + max(0, min(int(rng.poisson((end - start) / 4_000)), (end - start) // 400 - 1, 40))
    slot = (end - start) // count
    lengths = rng.integers(80, 301, count)
    starts = start + np.arange(count) * slot + (rng.random(count) * (slot - lengths)).astype(np.int64)
    starts[-1] = end - lengths[-1]
    starts[0] = start
    ends = starts + lengths
    ends[-1] = end
    spans, cds_start, cds_end = np.zeros(count, np.int64), end, end
    if coding := rng.random() < 0.9:
        cds_start, cds_end = start + int(ends[0] - start) // 3, end - int(end - starts[-1]) // 3
        spans = np.minimum(ends, cds_end) - np.maximum(starts, cds_start)
        extra = int(spans.sum() % 3)  # a complete coding sequence is a multiple of three
        cds_end -= extra
        spans[-1] -= extra
    step = 1 if strand == "+" else -1
    upstream = (np.cumsum(spans[::step]) - spans[::step])[::step]
    exons = [",".join(map(str, values)) + "," for values in (starts, ends, np.where(spans > 0, upstream % 3, -1))]
    prefix, status = ("NM", "cmpl") if coding else ("NR", "unk")
    transcript = (f"{prefix}_{name}", chrom, strand, start, end, cds_start, cds_end, count, *exons[:2])
    return (_find_bin(start, end), *transcript, 0, symbol, status, status, exons[2])


def _find_bin(start: int, end: int) -> int:
    """Smallest bin of UCSC's standard scheme that holds a region (Kent et al., Genome Research 2002)."""
    for offset, shift in ((585, 17), (73, 20), (9, 23), (1, 26)):
        if start >> shift == (end - 1) >> shift:
            return offset + (start >> shift)
    return 0
