"""From pairs of regions to windows: N filter, first 10,000 nt, FASTA export (article, section 1).

A window is a row, not a copy of letters: the letters are read from the genome when they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from neanderthal_nlp import intervals
from neanderthal_nlp.depleted import count_admissible, draw_depleted
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table, replacing
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.kmers import encode_kmers, get_kmers, vocabulary
from neanderthal_nlp.parameters import WINDOW_LENGTH, K

_PIECE = 1 << 22  # nt read at once: bounds the memory

WINDOW_COLUMNS = {
    "chrom": str, "start": np.int64, "end": np.int64, "label": np.int64, "pair": np.int64, "cluster": np.int64,
    "region_start": np.int64, "region_end": np.int64,
}  # fmt: skip


def draw_partners(
    introgressed: pd.DataFrame,
    chromsizes: Mapping[str, int],
    gaps: pd.DataFrame,
    *,
    drop_unplaced: bool = False,
    as_published: bool = False,
    rng: np.random.Generator | int,
) -> pd.DataFrame:
    """Draw the depleted partners of the introgressed regions that can be read.

    Regions with an N get no partner, and partners are drawn clear of N, so that every pair is kept.

    Parameters
    ----------
    introgressed : DataFrame
        `chrom, start, end`.
    chromsizes : mapping of str to int
        Chromosome lengths, nt.
    gaps : DataFrame
        Stretches without letters (`find_gaps`).
    drop_unplaced : bool
        Leave out a region that no partner fits, rather than to stop.
    as_published : bool
        Draw for every region and blind to N, as the article did; most pairs with an N are lost later.
    rng : numpy Generator or int
        Source of randomness or a seed for one.

    Returns
    -------
    DataFrame
        `chrom, start, end`; the index says of which row of `introgressed` each is the partner.

    Raises
    ------
    InputError
        Every region holds an N, or no start is admissible for a region (for all of them with `drop_unplaced`).
    """
    if as_published:
        usable, avoid = introgressed, introgressed
    else:
        usable = introgressed[intervals.count_overlaps(introgressed, gaps) == 0]
        avoid = pd.concat([introgressed, gaps])
        if usable.empty:
            raise InputError(f"all {len(introgressed)} regions hold an N: has the genome letters there?")
    if drop_unplaced:
        placeable = count_admissible(usable, chromsizes, avoid=avoid) > 0
        if not placeable.any():
            raise InputError(f"no admissible start for the partner of any of {len(usable)} regions")
        usable = usable[placeable]
    return draw_depleted(usable, chromsizes, avoid=avoid, rng=rng)


def stack_pairs(introgressed: pd.DataFrame, depleted: pd.DataFrame) -> pd.DataFrame:
    """Put introgressed regions above their depleted partners, as the article does.

    Parameters
    ----------
    introgressed, depleted : DataFrame
        `chrom, start, end`; row i of one is the partner of row i of the other.

    Returns
    -------
    DataFrame
        `chrom, start, end, label` (1 introgressed, 0 depleted), `pair` (row of the pair in the input).

    Raises
    ------
    InputError
        The tables differ in length.
    """
    if len(introgressed) != len(depleted):
        raise InputError(
            f"depleted regions: found {len(depleted)} rows, expected {len(introgressed)}, one a region introgressed"
        )
    pair = np.arange(len(introgressed))
    return pd.concat(
        [
            frame[["chrom", "start", "end"]].assign(label=label, pair=pair)
            for frame, label in ((introgressed, 1), (depleted, 0))
        ],
        ignore_index=True,
    )


def clear_pairs(regions: pd.DataFrame, blocks: pd.DataFrame) -> np.ndarray:
    """Whether neither region of a row's pair overlaps a block; bool, one a row of `stack_pairs`."""
    touches = intervals.count_overlaps(regions, blocks) > 0
    return ~np.isin(regions["pair"], regions["pair"][touches])


def make_windows(
    introgressed: pd.DataFrame,
    depleted: pd.DataFrame,
    genome: Genome,
    *,
    length: int = WINDOW_LENGTH,
    k: int = K,
    gaps: pd.DataFrame | None = None,
    as_published: bool = False,
) -> pd.DataFrame:
    """Keep the pairs of regions without N and take the first nucleotides of each region.

    Parameters
    ----------
    introgressed, depleted : DataFrame
        `chrom, start, end`; row i of one is the partner of row i of the other.
    genome : Genome
        Where the letters are.
    length : int
        Longest window, nt; a shorter region gives a shorter window.
    k : int
        Length of the words to be read; a window shorter than this is refused.
    gaps : DataFrame, optional
        Runs of N, where they are known already; otherwise the genome is searched for them. Chromosomes that
        the genome lacks may be given as gaps: pairs on them are left out like any others with an N.
    as_published : bool
        Extract as the article did: its BED numbers were handed to `samtools faidx`, which counts from 1 and
        includes the end, so that a region starts one base before its BED start.

    Returns
    -------
    DataFrame
        `chrom, start, end` of the window (0-based half-open), `label` (1 introgressed, 0 depleted), `pair`
        (row of the pair in the input), `cluster` (connected component of overlapping regions), `region_start`,
        `region_end` (the BED region it was cut from). All introgressed windows, then all depleted ones, as the
        article stacks them.

    Raises
    ------
    InputError
        The tables differ in length, a region passes its chromosome's end or is shorter than `k`, or no pair
        is left.
    """
    regions = stack_pairs(introgressed, depleted)
    if as_published:  # samtools reads no further than the chromosome's end
        ends = regions["chrom"].map(genome.chromsizes).fillna(np.inf)
        regions["end"] = np.minimum(regions["end"], ends).astype(np.int64)
    if gaps is None:
        intervals.check_regions(regions, genome.chromsizes, source="regions")
        gaps = find_gaps(genome, {chrom: genome.chromsizes[chrom] for chrom in regions["chrom"].unique()})
    first = (regions["start"] - int(as_published)).clip(lower=0)
    kept = clear_pairs(regions.assign(start=first), gaps)
    if not kept.any():
        raise InputError(
            f"{genome.path}: no pair of regions is left: all {len(introgressed)} have an N in one of the two"
        )
    regions, first = regions[kept].reset_index(drop=True), first[kept].reset_index(drop=True)
    intervals.check_regions(regions, genome.chromsizes, source="regions")
    end = np.minimum(first + length, regions["end"])
    _check_length(regions, end - first, k)
    return pd.DataFrame({
        "chrom": regions["chrom"],
        "start": first,
        "end": end,
        "label": regions["label"],
        "pair": regions["pair"],
        "cluster": intervals.cluster(regions),
        "region_start": regions["start"],
        "region_end": regions["end"],
    })  # fmt: skip


def _check_length(regions: pd.DataFrame, lengths: pd.Series, k: int) -> None:
    if lengths.min() < k:
        row = regions.iloc[int(lengths.to_numpy().argmin())]
        raise InputError(f"regions: the window of {row.chrom}:{row.start}-{row.end} has {lengths.min()} nt, "
                         f"expected at least k = {k}")  # fmt: skip


def find_gaps(genome: Genome, chromsizes: Mapping[str, int]) -> pd.DataFrame:
    """Stretches without letters: the runs of N of a genome, and whole chromosomes that it lacks.

    Parameters
    ----------
    genome : Genome
    chromsizes : mapping of str to int
        Chromosomes of the assembly and their lengths, nt; all are searched.

    Returns
    -------
    DataFrame
        `chrom, start, end`.
    """
    found = [
        genome.gaps(chrom)
        if chrom in genome.chromsizes
        else pd.DataFrame({"chrom": [chrom], "start": [0], "end": [size]})
        for chrom, size in chromsizes.items()
    ]
    return pd.concat([frame for frame in found if len(frame)] or [intervals.no_intervals()], ignore_index=True)


def assembly_sizes(
    genome: Genome, *, assembly: str | None = None, chromsizes: str | Path | None = None
) -> dict[str, int]:
    """Chromosome sizes of the assembly that a genome file is of, or is a part of.

    Parameters
    ----------
    genome : Genome
    assembly : str, optional
        Name of an assembly whose sizes bioframe carries, such as "hg19".
    chromsizes : path-like, optional
        File of chromosome sizes, used rather than `assembly`. With neither, the sizes are the genome's own.

    Returns
    -------
    dict of str to int
        Lengths in nt, under the genome's chromosome names where it has them.

    Raises
    ------
    InputError
        The assembly is unknown, or the genome is not of it (a chromosome of another length, or none in common).
    """
    if chromsizes is None and assembly is None:
        return genome.chromsizes
    if chromsizes is not None:
        source, sizes = str(chromsizes), intervals.read_chromsizes(chromsizes)
    else:
        source, sizes = str(assembly), intervals.assembly_chromsizes(str(assembly))
    named = intervals.match_naming(pd.DataFrame({"chrom": list(sizes)}), genome.chromsizes)["chrom"]
    sizes = dict(zip(named, sizes.values(), strict=True))
    shared = [chrom for chrom in sizes if chrom in genome.chromsizes]
    if not shared:
        found, expected = (", ".join(list(names)[:3]) for names in (genome.chromsizes, sizes))
        raise InputError(f"{genome.path}: no chromosome in common with {source} (found {found}; expected {expected})")
    for chrom in shared:
        # Mitochondria of one build differ in length from one distributor to another, and hold no region.
        if sizes[chrom] != genome.chromsizes[chrom] and chrom.removeprefix("chr") not in {"M", "MT"}:
            raise InputError(f"{genome.path}: {chrom} has {genome.chromsizes[chrom]} nt, "
                             f"expected {sizes[chrom]} as in {source}: another build?")  # fmt: skip
    return sizes


def fetch_windows(windows: pd.DataFrame, genome: Genome) -> Iterator[str]:
    """Letters of each window, one at a time, in the order of the rows."""
    for chrom, start, end in zip(windows["chrom"], windows["start"], windows["end"], strict=True):
        yield genome.fetch(chrom, int(start), int(end))


def fetch_along_genome(windows: pd.DataFrame, genome: Genome) -> Iterator[tuple[int, str]]:
    """Letters of each window with its row, in the order of the genome: for many windows, the fastest to read.

    Windows that overlap, or lie in one block of a bgzip file, are cut from one stretch, so that no letter is read, and
    no block unpacked, once for each of them.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end`, 0-based half-open.
    genome : Genome

    Yields
    ------
    tuple of int and str
        Number of the row, from 0, and the letters.

    Raises
    ------
    InputError
        A window is empty or does not lie on the genome.
    """
    places = windows[["chrom", "start", "end"]].reset_index(drop=True).sort_values(["chrom", "start", "end"])
    near: list[tuple[int, int, int]] = []
    here, reach = "", 0
    for row, chrom, start, end in places.itertuples(name=None):
        genome.check(chrom, start, end)
        if near and (chrom != here or start > reach + genome.block or end > near[0][1] + _PIECE):
            yield from _cut(genome, here, near, reach)
            near, reach = [], 0
        near.append((row, start, end))
        here, reach = chrom, max(reach, end)
    if near:
        yield from _cut(genome, here, near, reach)


def fetch_batches(windows: pd.DataFrame, genome: Genome, *, size: int) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """Letters of windows, `size` at a time, with their rows (int64): what `fetch_along_genome` gives, in batches."""
    remaining = fetch_along_genome(windows, genome)
    while batch := list(islice(remaining, size)):
        rows, texts = zip(*batch, strict=True)
        yield np.array(rows), texts


def _cut(genome: Genome, chrom: str, near: list[tuple[int, int, int]], reach: int) -> Iterator[tuple[int, str]]:
    first = near[0][1]
    letters = genome.fetch(chrom, first, reach)
    return ((row, letters[start - first : end - first]) for row, start, end in near)


class Sentences:
    """The windows as sentences, lists of k-mers, read from the genome anew at each pass.

    The words of all sentences are the same objects of one vocabulary, which makes them small and quick to look up.
    """

    def __init__(self, windows: pd.DataFrame, genome: Genome, k: int) -> None:
        self._windows, self._genome, self._k = windows, genome, k
        self._words = np.array(vocabulary(k), dtype=object)

    def __iter__(self) -> Iterator[list[str]]:
        return map(self._split, fetch_windows(self._windows, self._genome))

    def __len__(self) -> int:
        return len(self._windows)

    def _split(self, text: str) -> list[str]:
        numbers = encode_kmers(text, self._k)
        return self._words[numbers].tolist() if (numbers >= 0).all() else get_kmers(text, self._k)


def write_fasta(regions: pd.DataFrame, genome: Genome, path: str | Path) -> int:
    """Write regions as FASTA through SeqIO, upper case, named as samtools does (1-based, end included).

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end`, 0-based half-open.

    Returns
    -------
    int
        Number of records written.
    """
    spans = zip(regions["chrom"], regions["start"], regions["end"], strict=True)
    records = (
        SeqRecord(Seq(genome.fetch(chrom, start, end).upper()), id=f"{chrom}:{start + 1}-{end}", description="")
        for chrom, start, end in spans
    )
    with replacing(path) as part:
        return SeqIO.write(records, part, "fasta")


def read_windows(path: str | Path) -> pd.DataFrame:
    """Read a table of windows (`results/windows.tsv`).

    Raises
    ------
    InputError
        The file is missing or no such table, has no window, a window is no place, or a label is neither 0 nor 1.
    """
    table = read_table(path, WINDOW_COLUMNS)
    if table.empty:
        raise InputError(f"{path}: found no window below the header, expected one or more")
    places = (table["chrom"] != "") & (table["start"] >= 0) & (table["start"] < table["end"])
    if not places.all():
        found = table.iloc[int(np.argmin(places))]
        raise InputError(f"{path}: found window {found.chrom:.40}:{found.start}-{found.end}, expected a chromosome and "
                         "0 <= start < end")  # fmt: skip
    if not (known := table["label"].isin([0, 1])).all():
        row = int(np.argmin(known))
        raise InputError(f"{path}: row {row + 1}: found label {table['label'].iloc[row]}, expected 0 or 1")
    return table
