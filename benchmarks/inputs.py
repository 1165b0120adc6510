"""Stand-in inputs of the article's size, written once: random letters, real or made-up coordinates.

Where the article's published files are at hand (`NEANDERTHAL_NLP_DATA`, as for the tests), chromosomes, gaps, local GC,
regions and genes are hg19's. Otherwise sizes come from bioframe and the rest is drawn here: nothing is downloaded.
Coordinates are 0-based half-open.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pandas as pd
import pysam

from neanderthal_nlp import intervals
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.audit import open_landscape, write_null_genome
from neanderthal_nlp.audit.null_genome import fasta_lines
from neanderthal_nlp.files import replacing, write_bed, write_table
from neanderthal_nlp.genome import Genome, open_genome

ROOT = Path(__file__).parents[1]
SEED = 1
ORDER = 1
N_REGIONS, N_GENES = 83_601, 21_500
PART = ("chr20", "chr21")
"""Chromosomes of the part that is written in every form of genome file: together as dense in published regions as
the whole genome (27 a Mb)."""
PUBLISHED = "published coordinates, gaps and GC of hg19"
SYNTHETIC = "made-up regions, genes and gaps on chromosomes of hg19's sizes, one GC everywhere"

_GC = 0.41
_TELOMERE, _CENTROMERE = 10_000, 3_000_000
_SHORTEST, _LONGEST, _MEDIAN, _SPREAD = 10_000, 1_200_000, 72_000, 0.69  # of regions; a mean of about 92 kb
_REGIONS_PER_LOCUS, _REACH = 14, 50_000
_TWOBIT_CODES = np.zeros(256, np.uint8)
for _code, _letter in enumerate("TCAG"):
    _TWOBIT_CODES[ord(_letter)] = _TWOBIT_CODES[ord(_letter.lower())] = _code


class Inputs(NamedTuple):
    """Where the inputs of the benchmarks lie, and what they are.

    Attributes
    ----------
    genome : Path
        FASTA compressed by bgzip, its indexes beside it.
    introgressed, genes, gaps, chromsizes, gc_table : Path
        In the forms that the package reads.
    source : str
        `PUBLISHED` or `SYNTHETIC`.
    """

    genome: Path
    introgressed: Path
    genes: Path
    gaps: Path
    chromsizes: Path
    gc_table: Path
    source: str


def find_folder() -> Path:
    """Folder of the stand-in inputs: `NEANDERTHAL_NLP_BENCH`, or build/bench in the checkout."""
    return Path(os.environ.get("NEANDERTHAL_NLP_BENCH", ROOT / "build" / "bench")).resolve()


def find_data() -> Path | None:
    """Folder with the article's published files, looked for as the tests do; None where it is absent."""
    folder = Path(os.environ.get("NEANDERTHAL_NLP_DATA", ROOT.parent / "shared" / "data"))
    return folder.resolve() if folder.is_dir() else None


def write_inputs(folder: Path, data: Path | None = None) -> Inputs:
    """Write what is missing of the stand-in inputs.

    Parameters
    ----------
    folder : Path
        Where the genome goes (1 GB), and the tables that are not among the published files.
    data : Path, optional
        Folder of the published files; without it, all inputs are synthetic.
    """
    if data is not None:
        article = data / "article"
        found = Inputs(folder / "genome.fa.gz", article / "Akey_intr_coords.bed", article / "gene_ids.txt",
                       data / "hg19_gap.bed", article / "chrom.sizes", data / "hg19_gc_100kb.tsv.gz",
                       PUBLISHED)  # fmt: skip
    else:
        found = _write_tables(folder / "synthetic", folder / "synthetic" / "genome.fa.gz")
    write_genome(found, found.genome)
    return found


def _write_tables(folder: Path, genome: Path) -> Inputs:
    found = Inputs(genome, *(folder / name for name in ("introgressed.bed", "genes.bed", "gaps.bed", "chrom.sizes",
                                                        "gc.tsv")), SYNTHETIC)  # fmt: skip
    if not found.gc_table.exists():  # written last
        sizes = {name: size for name, size in intervals.assembly_chromsizes("hg19").items() if name != "chrM"}
        autosomes = {name: size for name, size in sizes.items() if name not in {"chrX", "chrY"}}
        gaps, rng = make_gaps(sizes), np.random.default_rng(SEED)
        write_bed(gaps, found.gaps)
        write_bed(draw_regions(autosomes, gaps, n=N_REGIONS, rng=rng), found.introgressed)
        write_bed(draw_genes(sizes, gaps, n=N_GENES, rng=rng), found.genes)
        write_bed(pd.DataFrame(list(sizes.items())), found.chromsizes)
        # Bins that the table leaves out get its overall GC.
        write_table(
            pd.DataFrame({"chrom": ["chr1"], "start": [100_000], "end": [200_000], "gc": [_GC]}), found.gc_table
        )
    return found


def write_genome(inputs: Inputs, path: Path, *, chroms: Sequence[str] | None = None) -> None:
    """Write the genome of random letters, or some chromosomes of it, unless it is there already.

    A chromosome has the same letters whichever others are written.
    """
    if path.exists() and all(Path(f"{path}{suffix}").exists() for suffix in (".fai", ".gzi")):
        return
    with open_landscape(
        gc_table=inputs.gc_table, gaps=inputs.gaps, chromsizes=inputs.chromsizes, order=ORDER
    ) as landscape:
        sizes = {name: landscape.chromsizes[name] for name in chroms or landscape.chromsizes}
        write_null_genome(path, landscape._replace(chromsizes=sizes), seed=SEED)


def make_gaps(chromsizes: Mapping[str, int]) -> pd.DataFrame:
    """Runs of N like an assembly's: both telomeres and a centromere, at most a twentieth of a chromosome."""
    rows = []
    for chrom, size in chromsizes.items():
        centre, telomere = 2 * size // 5, min(_TELOMERE, size // 100)
        rows += [(chrom, 0, telomere), (chrom, centre, centre + min(_CENTROMERE, size // 20)),
                 (chrom, size - telomere, size)]  # fmt: skip
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def draw_regions(
    chromsizes: Mapping[str, int], gaps: pd.DataFrame, *, n: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw regions of the published lengths (10 kb to 1.2 Mb, mean about 92 kb) that crowd at loci, clear of gaps.

    Returns
    -------
    DataFrame
        `chrom, start, end`, `n` different rows, sorted.
    """
    names, sizes = np.array(list(chromsizes)), np.array(list(chromsizes.values()))
    n_loci = max(n // _REGIONS_PER_LOCUS, 1)
    homes = rng.choice(len(sizes), n_loci, p=sizes / sizes.sum())
    centres = rng.integers(0, sizes[homes])
    crowds = rng.lognormal(0, 1.5, n_loci)
    regions = intervals.no_intervals()
    while len(regions) < n:
        locus = rng.choice(n_loci, n, p=crowds / crowds.sum())
        lengths = np.clip(rng.lognormal(np.log(_MEDIAN), _SPREAD, n).astype(np.int64), _SHORTEST, _LONGEST)
        starts = centres[locus] + rng.integers(-_REACH, _REACH, n) - lengths // 2
        drawn = pd.DataFrame({"chrom": names[homes[locus]], "start": starts, "end": starts + lengths})
        on_genome = (drawn["start"] >= 0) & (drawn["end"] <= sizes[homes[locus]])
        clear = intervals.count_overlaps(drawn, gaps) == 0
        regions = pd.concat([regions, drawn[on_genome & clear]]).drop_duplicates()
    return regions.head(n).sort_values(["chrom", "start", "end"], ignore_index=True)


def draw_genes(chromsizes: Mapping[str, int], gaps: pd.DataFrame, *, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw genes of 9 kb and more, none of which overlaps another or a gap.

    Returns
    -------
    DataFrame
        `chrom, start, end, name`, `n` rows, sorted.
    """
    room = sum(chromsizes.values()) * 3 // (4 * n)
    slots = pd.concat(
        [pd.DataFrame({"chrom": chrom, "start": np.arange(0, size - room + 1, room)})
         for chrom, size in chromsizes.items()],
        ignore_index=True,
    )  # fmt: skip
    slots = slots.assign(end=slots["start"] + room)
    slots = slots[intervals.count_overlaps(slots, gaps) == 0]
    slots = slots.iloc[np.sort(rng.choice(len(slots), n, replace=False))].reset_index(drop=True)
    lengths = np.clip(rng.lognormal(np.log(35_000), 1, n).astype(np.int64), min(9_000, room), room)
    starts = slots["start"] + rng.integers(0, room - lengths + 1)
    return pd.DataFrame({
        "chrom": slots["chrom"], "start": starts, "end": starts + lengths, "name": [f"GENE{i}" for i in range(n)],
    })  # fmt: skip


def write_part(genome: Path, folder: Path, *, chroms: Sequence[str] = PART) -> dict[str, Path]:
    """Write some chromosomes as plain FASTA, bgzip FASTA (both with indexes) and 2bit, unless they are there.

    Returns
    -------
    dict of str to Path
        By form: "plain", "bgzip", "2bit".
    """
    paths = {"plain": folder / "part.fa", "bgzip": folder / "part.fa.gz", "2bit": folder / "part.2bit"}
    if all(path.exists() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    with open_genome(genome) as letters:
        texts = {chrom: letters.fetch(chrom, 0, letters.chromsizes[chrom]) for chrom in chroms}
        records = [
            piece
            for chrom, text in texts.items()
            for piece in (f">{chrom}\n".encode(), *fasta_lines([np.frombuffer(text.encode(), np.uint8)]))
        ]
        for form in ("plain", "bgzip"):
            with replacing(paths[form]) as part, _open_fasta(part, squeezed=form == "bgzip") as file:
                for piece in records:
                    file.write(piece)
            pysam.faidx(str(paths[form]))
        write_twobit(letters, paths["2bit"], chroms=chroms)
    return paths


def _open_fasta(path: Path, *, squeezed: bool) -> IO[bytes] | pysam.BGZFile:
    return pysam.BGZFile(str(path), "wb") if squeezed else path.open("wb")


def write_twobit(genome: Genome, path: Path, *, chroms: Sequence[str]) -> None:
    """Write chromosomes of a genome in UCSC's 2bit format, with their runs of N and of lower case."""
    offset = 16 + sum(5 + len(chrom) for chrom in chroms)
    index, records = [struct.pack("<4I", 0x1A412743, 0, len(chroms), 0)], []
    for chrom in chroms:
        record = _twobit_record(genome, chrom)
        index.append(struct.pack(f"<B{len(chrom)}sI", len(chrom), chrom.encode(), offset))
        records.append(record)
        offset += len(record)
    with replacing(path) as part:
        part.write_bytes(b"".join(index + records))


def _twobit_record(genome: Genome, chrom: str) -> bytes:
    size = genome.chromsizes[chrom]
    letters = np.frombuffer(genome.fetch(chrom, 0, size).encode(), np.uint8)
    lower = np.flatnonzero(np.diff((letters & 32) > 0, prepend=False, append=False)).reshape(-1, 2)
    codes = np.zeros(-(-size // 4) * 4, np.uint8)
    codes[:size] = _TWOBIT_CODES[letters]
    packed = codes[0::4] << 6 | codes[1::4] << 4 | codes[2::4] << 2 | codes[3::4]
    blocks = (_twobit_blocks(runs) for runs in (genome.gaps(chrom)[["start", "end"]].to_numpy(), lower))
    return struct.pack("<I", size) + b"".join(blocks) + struct.pack("<I", 0) + packed.tobytes()


def _twobit_blocks(runs: np.ndarray) -> bytes:
    return np.concatenate([[len(runs)], runs[:, 0], runs[:, 1] - runs[:, 0]]).astype("<u4").tobytes()


def select_chromosomes(counts: Mapping[str, int], share: float) -> list[str]:
    """Chromosomes with the fewest regions, whole, until they hold a share of all regions.

    Parameters
    ----------
    counts : mapping of str to int
        Regions of each chromosome.
    share : float
        1 or more takes all.
    """
    order = sorted(counts, key=lambda chrom: (counts[chrom], chrom))
    if share >= 1:
        return order
    held = np.cumsum([counts[chrom] for chrom in order])
    return order[: int(np.searchsorted(held, share * held[-1])) + 1]


def write_subset(inputs: Inputs, folder: Path, *, share: float) -> Inputs:
    """Write the inputs of some chromosomes (`select_chromosomes`), with those regions and genes that lie on them.

    The whole genome is not written again: a share of 1 names the files that are there.
    """
    if share >= 1:
        return inputs
    regions = intervals.read_bed(inputs.introgressed)
    chroms = select_chromosomes(regions["chrom"].value_counts().to_dict(), share)
    sizes = intervals.read_chromsizes(inputs.chromsizes)
    genes = read_genes(inputs.genes)
    folder.mkdir(parents=True, exist_ok=True)
    found = inputs._replace(
        genome=folder / "genome.fa.gz", introgressed=folder / "introgressed.bed", genes=folder / "genes.bed",
        chromsizes=folder / "chrom.sizes",
    )  # fmt: skip
    if not found.chromsizes.exists():
        write_bed(regions[regions["chrom"].isin(chroms)], found.introgressed)
        write_bed(genes.loc[genes["chrom"].isin(chroms), ["chrom", "start", "end", "gene_symbol"]], found.genes)
        write_bed(pd.DataFrame([(chrom, sizes[chrom]) for chrom in chroms]), found.chromsizes)
    write_genome(inputs, found.genome, chroms=chroms)
    return found
