"""A small synthetic genome with a planted signal and a planted leak. It holds no human DNA.

Every letter is drawn from a random number generator; only summary statistics (GC levels, dinucleotide excesses,
lengths, counts) imitate the human genome. What is planted, and what the two dials do:

- `composition`: 0, introgressed loci lie anywhere and are spelled like the rest of the genome, so that nothing can
  be learned about them; 1, loci prefer AT-rich isochores, hence avoid genes, and their letters have a little less
  GC and more AA, TT, CA and TG.
- `overlap`: 0, every region is a locus of its own; 1, a locus holds about six overlapping haplotypes, many of which
  share their start, as in the call set of Vernot & Akey (Science 2016). A random split then tests on what it trained on.

Landscape, genes, region lengths, placement and letters have random streams of their own: a dial changes only
what it means, and the letters outside the loci stay where they are.
Coordinates are 0-based half-open.
"""

import gzip
import io
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
import pysam
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from .errors import InputError
from .parameters import MIN_REGION_LENGTH

CHROMSIZES: Mapping[str, int] = MappingProxyType(
    {
        "chr1": 8_000_000,
        "chr2": 7_000_000,
        "chr3": 6_200_000,
        "chr4": 5_500_000,
        "chr5": 4_900_000,
        "chr6": 4_300_000,
        "chr7": 3_700_000,
        "chr8": 3_200_000,
    }
)
"""Default chromosomes, nt."""
MIN_CHROMSIZE = 500_000
MAX_REGION_LENGTH = 150_000
BIN = 10_000
"""Resolution of the GC landscape, nt."""
MEAN_GC = 0.41
"""Genome-wide GC of hg19; genes have about 0.47 (article, section 5)."""
REFGENE_COLUMNS = (
    "bin name chrom strand txStart txEnd cdsStart cdsEnd exonCount exonStarts exonEnds score name2 "
    "cdsStartStat cdsEndStat exonFrames"
).split()
"""Columns of UCSC's refGene table, in file order."""

_GC_LEVELS = np.linspace(0.28, 0.62, 69)
# Observed over expected dinucleotides of the human genome (rows: first letter, columns: second; A, C, G, T); CG and
# AA/TT are set so that the repeats, whose point mutations dilute both, leave the human value in the whole.
_EXCESS = np.array(
    [[1.20, 0.82, 1.16, 0.87], [1.22, 1.24, 0.16, 1.16], [0.98, 1.00, 1.24, 0.82], [0.70, 0.98, 1.22, 1.20]]
)
_LOCUS_TILT = np.array(
    [[1.07, 1.0, 1.0, 1.0], [1.05, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.05, 1.07]]
)
_LOCUS_GC = -0.010
_LOCUS_PREFERENCE = 12.0
_HAPLOTYPES_PER_LOCUS = 6.0
_SHARED_START = 0.6
_SPACING = 500
_MEAN_HOLE = 50_000
_ATTEMPTS = 100
_REPEAT_SLOT = 1_400
_DIVERGENCE = 0.12

README = """\
SYNTHETIC DATA: a made-up genome. It holds no human DNA and says nothing about any person or population.

Every letter comes from a random number generator (seed {seed}); only summary statistics imitate the human genome.

genome.fa.gz       {n_chromosomes} chromosomes, {total:,} letters; bgzip; lower case: planted repeats; N: assembly gaps
introgressed.bed   {n_regions} regions called introgressed, 0-based half-open
refGene.txt.gz     {n_genes} transcripts in the 16 columns of UCSC's refGene table; symbols SYN0001, SYN0002, ...

Planted:
- isochores: about two thirds AT-rich (GC 0.36-0.40), one third GC-rich (GC 0.45-0.54); CpG depleted
- two families of interspersed repeats (soft-masked), telomeres, centromeres and contig gaps (N)
- genes favour GC-rich isochores
- composition = {composition:g}: 0, introgressed loci do not differ from the rest in any way;
  1, they prefer AT-rich isochores and hold a little less GC, more AA, TT, CA and TG
- overlap = {overlap:g}: 0, all regions are disjoint; 1, about six overlapping haplotypes a locus, about half as many
  distinct starts as regions, so that a random split into training and test set leaks
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
        Transcripts in the columns of UCSC's refGene table, sorted alike.
    """

    chromosomes: dict[str, NDArray[np.uint8]]
    introgressed: pd.DataFrame
    genes: pd.DataFrame


class _Landscape(NamedTuple):
    """One chromosome before its letters: size in nt, gaps (n, 2), GC per bin of `BIN` nt."""

    size: int
    gaps: NDArray[np.int64]
    gc: NDArray[np.float64]

    def contigs(self) -> NDArray[np.int64]:
        """Stretches between the gaps, (n, 2)."""
        return np.column_stack([self.gaps[:-1, 1], self.gaps[1:, 0]])

    def gc_at(self, position: int) -> float:
        """GC of the bin that holds a position; positions past the end count as the last bin."""
        return float(self.gc[min(position // BIN, len(self.gc) - 1)])


def make_demo(
    *,
    seed: int = 0,
    n_regions: int = 1200,
    n_genes: int = 500,
    chromsizes: Mapping[str, int] = CHROMSIZES,
    composition: float = 1.0,
    overlap: float = 1.0,
) -> Demo:
    """Make a synthetic genome with introgressed regions and genes.

    Parameters
    ----------
    seed : int
        Non-negative; the same arguments give the same data set.
    n_regions : int
        Number of introgressed regions, at least 1. For each, a stretch of its length that is free of introgressed
        regions and gaps exists on its chromosome.
    n_genes : int
        Number of transcripts, at least 1; about 0.85 times as many gene symbols.
    chromsizes : Mapping of str to int
        Length of each chromosome in nt, at least `MIN_CHROMSIZE`.
    composition, overlap : float in [0, 1]
        Strength of the planted signal and of the planted leak, see the module's docstring.

    Returns
    -------
    Demo

    Raises
    ------
    InputError
        If an argument is out of range, or the regions do not fit the chromosomes.
    """
    _check_arguments(seed, n_regions, n_genes, chromsizes, composition, overlap)
    streams = np.random.SeedSequence(seed).spawn(5)
    landscape_rng, genes_rng, lengths_rng, places_rng = map(np.random.default_rng, streams[:4])
    landscapes = {chrom: _make_landscape(int(size), landscape_rng) for chrom, size in chromsizes.items()}
    haplotypes = _draw_haplotypes(n_regions, overlap, lengths_rng)
    introgressed, loci = _place_haplotypes(
        haplotypes, landscapes, _LOCUS_PREFERENCE * composition, places_rng
    )
    spell = _make_speller(composition, streams[4])
    chromosomes = {chrom: spell(landscape, loci[chrom]) for chrom, landscape in landscapes.items()}
    return Demo(chromosomes, introgressed, _make_genes(landscapes, n_genes, genes_rng))


def write_demo(
    directory: str | os.PathLike[str],
    *,
    seed: int = 0,
    n_regions: int = 1200,
    n_genes: int = 500,
    chromsizes: Mapping[str, int] = CHROMSIZES,
    composition: float = 1.0,
    overlap: float = 1.0,
) -> dict[str, Path]:
    """Write the data set of `make_demo` (same arguments) below a directory, which is made if missing.

    Files are written under a name ending in `.part` and renamed when complete; the same arguments give the same bytes.

    Returns
    -------
    dict of str to Path
        `genome` (genome.fa.gz, bgzip, 60 letters a line), `introgressed` (introgressed.bed, BED3), `genes`
        (refGene.txt.gz, no header) and `readme` (README.txt).

    Raises
    ------
    InputError
        As `make_demo`.
    """
    demo = make_demo(
        seed=seed,
        n_regions=n_regions,
        n_genes=n_genes,
        chromsizes=chromsizes,
        composition=composition,
        overlap=overlap,
    )
    readme = README.format(
        seed=seed,
        n_chromosomes=len(demo.chromosomes),
        total=sum(map(len, demo.chromosomes.values())),
        n_regions=len(demo.introgressed),
        n_genes=len(demo.genes),
        composition=composition,
        overlap=overlap,
    )
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "genome": "genome.fa.gz",
        "introgressed": "introgressed.bed",
        "genes": "refGene.txt.gz",
        "readme": "README.txt",
    }
    paths = {key: folder / name for key, name in names.items()}
    with _replacing(paths["genome"]) as part, pysam.BGZFile(str(part), "wb", None) as file:
        for chrom, letters in demo.chromosomes.items():
            file.write(_to_fasta(chrom, letters))
    with _replacing(paths["introgressed"]) as part:
        part.write_bytes(_to_tsv(demo.introgressed))
    with _replacing(paths["genes"]) as part:
        part.write_bytes(gzip.compress(_to_tsv(demo.genes), mtime=0))
    with _replacing(paths["readme"]) as part:
        part.write_text(readme, encoding="utf-8", newline="\n")
    return paths


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` on success, remove it on failure."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _to_fasta(chrom: str, letters: NDArray[np.uint8], width: int = 60) -> bytes:
    whole = len(letters) // width * width
    lines = np.full((whole // width, width + 1), ord("\n"), np.uint8)
    lines[:, :width] = letters[:whole].reshape(-1, width)
    rest = letters[whole:].tobytes()
    return b">" + chrom.encode() + b"\n" + lines.tobytes() + (rest + b"\n" if rest else b"")


def _to_tsv(frame: pd.DataFrame) -> bytes:
    text = io.StringIO()
    frame.to_csv(text, sep="\t", header=False, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _check_arguments(
    seed: int, n_regions: int, n_genes: int, chromsizes: Mapping[str, int], composition: float, overlap: float
) -> None:
    def check_integer(name: str, value: object, least: int) -> None:
        try:
            valid = operator.index(value) >= least  # type: ignore[arg-type]
        except TypeError:
            valid = False
        if not valid:
            raise InputError(f"{name}: found {value!r}, expected an integer of at least {least}")

    check_integer("seed", seed, 0)
    check_integer("n_regions", n_regions, 1)
    check_integer("n_genes", n_genes, 1)
    if not chromsizes:
        raise InputError("chromsizes: found no chromosome, expected at least one")
    for chrom, size in chromsizes.items():
        check_integer(f"chromsizes: {chrom}", size, MIN_CHROMSIZE)
    for name, dial in (("composition", composition), ("overlap", overlap)):
        if not 0 <= dial <= 1:
            raise InputError(f"{name}: found {dial!r}, expected a number from 0 to 1")


def _make_landscape(size: int, rng: np.random.Generator) -> _Landscape:
    """Lay out gaps (telomeres, a centromere, contig gaps) and isochores of one chromosome."""
    telomere, contig_gap = 10_000, min(50_000, size // 40)
    centromere = min(int(rng.integers(150_000, 250_001)), size // 20)
    lengths = np.full(1 + max(1, round(size / 2_500_000)), contig_gap)
    lengths[len(lengths) // 2] = centromere
    slot = size / len(lengths)
    starts = ((np.arange(len(lengths)) + rng.uniform(0.3, 0.7, len(lengths))) * slot - lengths / 2).astype(
        np.int64
    )
    inner = np.column_stack([starts, starts + lengths])
    gaps = np.vstack([[0, telomere], inner, [size - telomere, size]]).astype(np.int64)

    n_bins = -(-size // BIN)
    at_rich = (np.arange(n_bins) + rng.integers(2)) % 2 == 0  # isochores alternate; there are fewer than bins
    extents = rng.lognormal(np.log(np.where(at_rich, 300_000, 150_000)), 0.5) / BIN
    levels = np.where(at_rich, rng.uniform(0.355, 0.395, n_bins), rng.uniform(0.45, 0.54, n_bins))
    isochore = np.searchsorted(np.cumsum(extents), np.arange(n_bins))
    return _Landscape(size, gaps, levels[isochore] + rng.normal(0, 0.018, n_bins))


def _draw_haplotypes(n_regions: int, overlap: float, rng: np.random.Generator) -> pd.DataFrame:
    """Draw region lengths and group them into loci.

    Returns
    -------
    DataFrame
        `locus` (from 0, non-decreasing), `offset` (start relative to the start of the locus) and `length`. The lengths
        differ from each other, so that no two regions can coincide, and do not depend on `overlap`.
    """
    median, sigma = 8_000, 0.95
    top = ndtr(np.log((MAX_REGION_LENGTH - MIN_REGION_LENGTH) / median) / sigma)
    excess = median * np.exp(sigma * ndtri(top * rng.random(n_regions)))
    lengths = np.sort(MIN_REGION_LENGTH + 2 + excess.astype(np.int64))
    rank = np.arange(n_regions)
    lengths = rng.permutation(np.maximum.accumulate(lengths - rank) + rank)

    chance, shift, shared, pick = rng.random((4, n_regions))
    stop = 1 / (1 + (_HAPLOTYPES_PER_LOCUS - 1) * overlap)
    sizes = 1 + (np.log1p(-chance) // np.log1p(-stop) if stop < 1 else 0 * rank).astype(np.int64)
    locus = np.repeat(rank, sizes)[:n_regions]
    first = np.searchsorted(locus, locus)
    shortest = pd.Series(lengths).groupby(locus).transform("min").to_numpy()
    starts = -(shift * shortest).astype(np.int64)  # all regions of a locus hold its position 0
    for i in np.flatnonzero((shared < _SHARED_START) & (first < rank)):
        starts[i] = starts[first[i] + int(pick[i] * (i - first[i]))]
    leftmost = pd.Series(starts).groupby(locus).transform("min").to_numpy()
    return pd.DataFrame({"locus": locus, "offset": starts - leftmost, "length": lengths})


def _place_haplotypes(
    haplotypes: pd.DataFrame, landscapes: dict[str, _Landscape], preference: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, NDArray[np.int64]]]:
    """Place loci on chromosomes: the regions as a frame, and the loci (n, 2) of each chromosome."""
    by_locus = haplotypes["locus"]
    extents = (haplotypes["offset"] + haplotypes["length"]).groupby(by_locus).max().to_numpy()
    longest = haplotypes["length"].groupby(by_locus).max().to_numpy()
    names = np.array(list(landscapes))
    room = np.array([np.diff(landscape.contigs()).sum() for landscape in landscapes.values()], dtype=float)
    room -= longest.max()
    home = np.empty(len(extents), np.int64)
    for locus, extent in enumerate(extents + _SPACING):
        weights = np.maximum(room - extent, 0)
        if not weights.any():
            raise InputError(_does_not_fit(len(haplotypes), landscapes))
        home[locus] = rng.choice(len(names), p=weights / weights.sum())
        room[home[locus]] -= extent

    starts = np.empty(len(extents), np.int64)
    for i, landscape in enumerate(landscapes.values()):
        mine = home == i
        if mine.any():
            placed = _arrange(landscape, extents[mine], int(longest[mine].max()), preference, rng)
            if placed is None:
                raise InputError(_does_not_fit(len(haplotypes), landscapes))
            starts[mine] = placed
    start = starts[by_locus] + haplotypes["offset"].to_numpy()
    regions = pd.DataFrame(
        {"order": home[by_locus], "start": start, "end": start + haplotypes["length"].to_numpy()}
    )
    regions = regions.sort_values(["order", "start", "end"], ignore_index=True)
    regions.insert(0, "chrom", names[regions.pop("order")])
    spans = np.column_stack([starts, starts + extents])
    return regions, {str(name): spans[home == i] for i, name in enumerate(names)}


def _does_not_fit(n_regions: int, landscapes: dict[str, _Landscape]) -> str:
    total = sum(landscape.size for landscape in landscapes.values())
    return f"n_regions: found {n_regions} on {total} nt of chromsizes, expected fewer regions or larger chromosomes"


def _arrange(
    landscape: _Landscape,
    extents: NDArray[np.int64],
    longest: int,
    preference: float,
    rng: np.random.Generator,
) -> NDArray[np.int64] | None:
    """Place the loci of one chromosome; None if that fails.

    Loci and holes between them are shuffled and laid out from left to right. Room is lost where a locus does not fit
    before a gap, hence holes shrink from attempt to attempt. A partner of the longest region must fit somewhere.
    """
    contigs = landscape.contigs()
    free = np.diff(contigs).sum() - (extents + _SPACING).sum()
    for attempt in range(_ATTEMPTS):
        holes = rng.exponential(_MEAN_HOLE, 1 + int(free / _MEAN_HOLE))
        holes *= free / holes.sum() * 0.97**attempt
        starts = _walk(
            landscape, rng.permutation(len(extents)), extents, holes.astype(np.int64), preference, rng
        )
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
    """Lay out loci and holes; without preference every order of them is equally likely."""
    starts = np.empty_like(extents)
    n_loci, n_holes = len(order), len(holes)
    for left, right in landscape.contigs():
        position = left + 1
        while n_loci:
            extent = extents[order[n_loci - 1]]
            odds = n_loci * np.exp(preference * (MEAN_GC - landscape.gc_at(position + extent // 2)))
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


def _transitions(gc: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cumulative transition probabilities (level, previous letter, letter) of order-1 chains.

    Iterative proportional fitting gives each chain the wanted GC on both strands while it keeps the
    odds ratios of `excess` (4, 4).
    """
    letters = np.column_stack([1 - gc, gc, gc, 1 - gc]) / 2
    joint = letters[:, :, None] * letters[:, None, :] * excess
    for _ in range(100):
        joint *= (letters / joint.sum(axis=2))[:, :, None]
        joint *= (letters / joint.sum(axis=1))[:, None, :]
    cumulative = np.cumsum(joint, axis=2)
    return (cumulative / cumulative[:, :, -1:]).astype(np.float32)


@numba.njit(cache=True)
def _spell(template, uniform, law, laws, divergence):  # type: ignore[no-untyped-def]
    """Spell letters (0-3): mutated copies where the template holds a letter, a Markov chain where it holds -1."""
    codes = np.empty(len(template), np.uint8)
    previous = 0
    for i in range(len(template)):
        u = uniform[i]
        code = np.int64(template[i])
        if code < 0:
            code = 0
            while code < 3 and u >= laws[law[i], previous, code]:
                code += 1
        elif u < divergence:
            code = (code + 1 + int(3 * u / divergence)) & 3
        codes[i] = code
        previous = code
    return codes


def _make_speller(
    composition: float, stream: np.random.SeedSequence
) -> Callable[[_Landscape, NDArray[np.int64]], NDArray[np.uint8]]:
    """Return the function that spells one chromosome, given its landscape and its loci, in the order of calls.

    One random number a letter: what lies outside the loci does not depend on where they are.
    """
    repeats_rng, letters_rng = map(np.random.default_rng, stream.spawn(2))
    laws = np.concatenate(
        [
            _transitions(_GC_LEVELS, _EXCESS),
            _transitions(_GC_LEVELS + _LOCUS_GC * composition, _EXCESS * _LOCUS_TILT**composition),
        ]
    )
    families = [_make_family(laws, repeats_rng, *family) for family in ((280, 0.53, 25), (985, 0.37, 15))]
    alphabet = np.frombuffer(b"ACGT", np.uint8)

    def spell(landscape: _Landscape, loci: NDArray[np.int64]) -> NDArray[np.uint8]:
        template = _plant_repeats(landscape, families, repeats_rng)
        law = np.repeat(_level(landscape.gc), BIN)[: landscape.size]
        for start, end in loci:
            law[start:end] += len(_GC_LEVELS)
        codes = _spell(template, letters_rng.random(landscape.size, np.float32), law, laws, _DIVERGENCE)
        letters = alphabet[codes] | ((template >= 0) * np.uint8(32))  # bit 32 is ASCII's lower case
        for start, end in landscape.gaps:
            letters[start:end] = ord("N")
        return letters

    return spell


def _level(gc: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.abs(_GC_LEVELS - np.asarray(gc)[:, None]).argmin(axis=1).astype(np.int16)


def _make_family(
    laws: NDArray[np.float32], rng: np.random.Generator, length: int, gc: float, tail: int
) -> NDArray[np.int8]:
    """Consensus of a repeat family, letters 0-3: `length` letters at a GC, then a poly-A tail."""
    law = np.repeat(_level(np.array([gc])), length)
    body = _spell(np.full(length, -1, np.int8), rng.random(length, np.float32), law, laws, _DIVERGENCE)
    return np.concatenate([body, np.zeros(tail, np.uint8)]).astype(np.int8)


def _plant_repeats(
    landscape: _Landscape, families: Sequence[NDArray[np.int8]], rng: np.random.Generator
) -> NDArray[np.int8]:
    """Template of a chromosome: letters 0-3 of the copies' consensus, -1 elsewhere.

    One copy a slot, cut short at the 5' end, on either strand. The first family favours GC-rich parts, the second
    AT-rich ones.
    """
    n_slots = landscape.size // _REPEAT_SLOT
    gc = landscape.gc[np.arange(n_slots) * _REPEAT_SLOT // BIN]
    kind, cut, strand, shift = rng.random((4, n_slots))
    family = (kind > np.clip(0.4 + 4 * (gc - 0.38), 0.2, 0.9)).astype(np.int64)
    reverse = strand < 0.5
    library = np.concatenate([*families, *(3 - consensus[::-1] for consensus in families)])
    full = np.array([len(consensus) for consensus in families])
    begin = np.concatenate([[0], np.cumsum(np.tile(full, 2))])[family + len(full) * reverse]
    length = (full[family] * (1 - 0.7 * cut * family)).astype(np.int64)
    begin += np.where(reverse, 0, full[family] - length)  # the 3' end, with its tail, is what stays
    start = np.arange(n_slots) * _REPEAT_SLOT + (shift * (_REPEAT_SLOT - length)).astype(np.int64)
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    template = np.full(landscape.size, -1, np.int8)
    template[np.repeat(start, length) + within] = library[np.repeat(begin, length) + within]
    return template


def _make_genes(landscapes: dict[str, _Landscape], n_genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw transcripts: centres favour GC-rich bins; a symbol has one to three rows."""
    n_symbols = max(1, round(0.85 * n_genes))
    names = np.array(list(landscapes))
    home = np.repeat(np.arange(len(names)), [len(landscape.gc) for landscape in landscapes.values()])
    bins = np.concatenate([np.arange(len(landscape.gc)) for landscape in landscapes.values()])
    weights = np.exp(20 * np.concatenate([landscape.gc for landscape in landscapes.values()]))
    chosen = rng.choice(len(home), n_symbols, p=weights / weights.sum())
    size = np.array([landscape.size for landscape in landscapes.values()])[home[chosen]]
    length = np.clip(
        rng.lognormal(np.log(20_000), 1.1, n_symbols), 500, np.minimum(400_000, size // 4)
    ).astype(np.int64)
    start = np.clip(bins[chosen] * BIN + rng.integers(BIN, size=n_symbols) - length // 2, 0, size - length)

    isoforms = rng.permutation(np.repeat(np.arange(n_symbols), 2))[: n_genes - n_symbols]
    symbol = np.concatenate([np.arange(n_symbols), isoforms])
    trim = rng.uniform(0, 0.2, (2, n_genes)) * (
        rng.random(n_genes) < 0.7
    )  # the other isoforms share coordinates
    trim[:, :n_symbols] = 0
    left, right = (trim * length[symbol]).astype(np.int64)
    forward = rng.random(n_symbols) < 0.5
    table = pd.DataFrame(
        {
            "order": home[chosen][symbol],
            "txStart": start[symbol] + left,
            "txEnd": (start + length)[symbol] - right,
            "symbol": symbol,
            "strand": np.where(forward, "+", "-")[symbol],
        }
    ).sort_values(["order", "txStart", "txEnd", "symbol"], ignore_index=True)
    rows = [
        _make_transcript(
            i, str(names[row.order]), row.strand, row.txStart, row.txEnd, f"SYN{row.symbol + 1:04d}", rng
        )
        for i, row in enumerate(table.itertuples(index=False))
    ]
    return pd.DataFrame(rows, columns=REFGENE_COLUMNS)


def _make_transcript(
    number: int, chrom: str, strand: str, start: int, end: int, symbol: str, rng: np.random.Generator
) -> tuple[object, ...]:
    """One row of the refGene table, with exons of 80-300 nt and, in nine of ten, a coding sequence."""
    count = (
        1 + int(min(rng.poisson((end - start) / 4_000), (end - start) // 400 - 1, 40))
        if end - start >= 400
        else 1
    )
    slot = (end - start) // count
    lengths = rng.integers(80, 301, count)
    starts = start + np.arange(count) * slot + (rng.random(count) * (slot - lengths)).astype(np.int64)
    starts[0] = start
    ends = starts + lengths
    ends[-1] = end
    if count > 1:
        starts[-1] = end - lengths[-1]
    coding = rng.random() < 0.9
    cds_start, cds_end = (
        (start + (ends[0] - start) // 3, end - (end - starts[-1]) // 3) if coding else (end, end)
    )
    spans = np.maximum(np.minimum(ends, cds_end) - np.maximum(starts, cds_start), 0)
    if coding:  # a complete coding sequence is a multiple of three
        cds_end -= spans.sum() % 3
        spans[-1] -= spans.sum() % 3
    step = 1 if strand == "+" else -1
    before = (np.cumsum(spans[::step]) - spans[::step])[::step]
    frames = np.where(spans > 0, before % 3, -1)
    status = "cmpl" if coding else "unk"
    return (
        _ucsc_bin(start, end), f"{'NM' if coding else 'NR'}_SYN{number + 1:05d}", chrom, strand, start, end,
        int(cds_start), int(cds_end), count, _join(starts), _join(ends), 0, symbol, status, status, _join(frames),
    )  # fmt: skip


def _join(values: NDArray[np.int64]) -> str:
    return "".join(f"{value}," for value in values)


def _ucsc_bin(start: int, end: int) -> int:
    """Smallest bin of UCSC's standard scheme that holds a region (Kent et al., Genome Research 2002)."""
    for level, shift in enumerate((17, 20, 23, 26)):
        if start >> shift == (end - 1) >> shift:
            return (585, 73, 9, 1)[level] + (start >> shift)
    return 0
