"""A genome without ancestry: real chromosomes, gaps and local composition, random letters.

Nobody inherited these letters from anybody. Whatever accuracy a procedure reaches on regions of such a genome comes
from their composition, from their overlap with one another or from chance, and not from ancestry. To compare with
random sequences of the same composition is an old control (Fitch, Journal of Molecular Biology 163, 1983).

A `Landscape` says, bin by bin, what the letters are drawn from: the bins of a genome (`genome_landscape`), or a table
of their GC and one of gaps where no genome is at hand (`table_landscape`). Coordinates are 0-based half-open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
import pysam
from numpy.typing import NDArray

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table, replacing
from neanderthal_nlp.gene_overlap import complete_bins, overall_gc
from neanderthal_nlp.genome import Genome, open_genome, writing_bgzip
from neanderthal_nlp.intervals import assembly_chromsizes, check_regions, match_naming, read_bed, read_chromsizes
from neanderthal_nlp.kmers import LETTERS, count_kmers

BIN_SIZE = 100_000
"""Resolution of the composition, nt: finer than isochores, long enough for words of six letters."""
MAX_BIN_SIZE = 10_000_000
"""A bin is held in memory."""
LETTERS_PER_WORD = 16
"""Letters that a bin has, at least, for each word that is counted in it: from fewer, pieces of the source come back."""
PSEUDO_COUNTS = 4.0
"""Weight of what is expected against what is counted, in letters: one for each of the four."""
HUMAN_EXCESS = np.array(
    [[1.15, 0.82, 1.16, 0.87], [1.22, 1.24, 0.23, 1.16], [0.98, 1.0, 1.24, 0.82], [0.7, 0.98, 1.22, 1.15]]
)
"""Human dinucleotides, observed over expected (rows: first letter, columns: second, ACGT), with the depletion of CG and
TA and the excess of their neighbours that Burge, Campbell & Karlin (PNAS 89, 1992) describe; rounded."""

_PIECE = 1 << 22  # nt spelled at once: bounds the memory
_LINE = 60
_ALPHABET = np.frombuffer(LETTERS.encode(), np.uint8)
_LOWER = 32  # the bit that makes an ASCII letter lower case
_TEMPLATE = bytes(b if b in b"Nn" else _LOWER * (97 <= b <= 122) for b in range(256))


class Piece(NamedTuple):
    """What a stretch of a null genome is spelled from.

    Attributes
    ----------
    template : ndarray of uint8, shape (n,)
        `N` or `n` (ASCII) where there is no letter, 32 where the letter is lower case, 0 elsewhere.
    laws : ndarray of float32, shape (n_bins, 4**order, 4)
        Per bin and preceding letters, cumulative probabilities of A, C, G, T.
    n_gc : float
        G and C of the source in this stretch (expected, where only their share is known).
    """

    template: NDArray[np.uint8]
    laws: NDArray[np.float32]
    n_gc: float


class Landscape(NamedTuple):
    """Where the composition of a null genome comes from.

    Attributes
    ----------
    chromsizes : Mapping of str to int
        Chromosome lengths, nt, in the order in which they are written.
    bin_size : int
        Length of a bin, nt; the last one of a chromosome may be shorter.
    order : int
        Number of preceding letters on which a letter depends.
    read : callable
        `read(chrom, start, end)` gives the `Piece` of a stretch that starts with a bin and ends with one or with
        the chromosome.
    """

    chromsizes: Mapping[str, int]
    bin_size: int
    order: int
    read: Callable[[str, int, int], Piece]


def genome_landscape(genome: Genome, *, order: int = 0, bin_size: int = BIN_SIZE) -> Landscape:
    """Take chromosomes, runs of N, lower case and the composition of each bin from a genome.

    The letters of a bin follow the chain of its own words of `order` + 1 letters (`chain_laws`). An ambiguous
    letter other than N is replaced by a called one.

    Parameters
    ----------
    genome : Genome
        Open for as long as the landscape is used.
    order : int
        0 keeps the frequencies of letters, 1 those of dinucleotides as well, and so on: 5 is the most for bins of
        100,000 nt.
    bin_size : int
        Length of a bin, nt: at least `LETTERS_PER_WORD` * 4**(order + 1), at most `MAX_BIN_SIZE`.

    Raises
    ------
    InputError
        `order` or `bin_size` is out of range.
    """
    _check_integer("order", order, 0)
    _check_integer("bin_size", bin_size, 1, MAX_BIN_SIZE)
    if bin_size < LETTERS_PER_WORD * 4 ** (order + 1):
        raise InputError(f"order: found {order} with bins of {bin_size} nt, expected bins of at least "
                         f"{LETTERS_PER_WORD * 4 ** (order + 1)} nt: too few letters to count such words")  # fmt: skip

    def read(chrom: str, start: int, end: int) -> Piece:
        text = genome.fetch(chrom, start, end)
        counts = count_kmers((text[i : i + bin_size] for i in range(0, len(text), bin_size)), order + 1)
        template = np.frombuffer(text.encode("ascii").translate(_TEMPLATE), np.uint8)
        return Piece(template, chain_laws(counts), sum(map(text.count, "GCgc")))

    return Landscape(genome.chromsizes, bin_size, order, read)


def table_landscape(
    table: pd.DataFrame, gaps: pd.DataFrame, chromsizes: Mapping[str, int] | None = None, *, order: int = 0
) -> Landscape:
    """Take the composition from a table of GC per bin and the runs of N from a table of gaps.

    Chromosomes without bins get the overall GC of the table, and so do bins without a value: such tables give them
    a share of 0. A and T are alike, and so are C and G; no letter is lower case.

    Parameters
    ----------
    table : DataFrame
        Bins of one length, `chrom, start, end, gc`: share of G and C among all their letters, so that an N counts as
        neither. `gene_overlap.complete_bins` says which other forms are known.
    gaps : DataFrame
        Runs of N, `chrom, start, end`.
    chromsizes : mapping of str to int, optional
        Chromosomes to write and their lengths, nt; by default the table's with the ends of their last bins.
    order : int
        0, or 1 for human dinucleotides (`HUMAN_EXCESS`), fitted to the GC of each bin.

    Raises
    ------
    InputError
        `order` is neither 0 nor 1, the bins are not of one length, or bins, gaps and chromosomes do not belong
        together.
    """
    if order not in (0, 1):
        raise InputError(f"order: found {order!r}, expected 0 or 1: a table of GC does not tell longer words")
    sizes = dict(chromsizes or table.groupby("chrom", sort=False)["end"].max())
    table, gaps = (_of_chromosomes(frame, sizes) for frame in (table, gaps))
    if table.empty:
        raise InputError(f"GC table: no chromosome in common with the sizes ({', '.join(list(sizes)[:3])} …)")
    check_regions(gaps, sizes, source="gaps")
    bins = complete_bins(_cut_at_ends(table, sizes), gaps)
    bin_size = _find_bin_size(bins, sizes)
    shares = _fill_bins(bins, sizes, bin_size)
    blocks = {chrom: rows[["start", "end"]].to_numpy() for chrom, rows in gaps.groupby("chrom")}

    def read(chrom: str, start: int, end: int) -> Piece:
        template = np.zeros(end - start, np.uint8)
        for first, last in blocks.get(chrom, ()):
            template[max(first - start, 0) : max(last - start, 0)] = ord("N")
        gc = shares[chrom][start // bin_size : -(-end // bin_size)]
        n_called = np.add.reduceat(template == 0, np.arange(0, len(template), bin_size), dtype=np.int64)
        return Piece(template, _gc_laws(gc, order), float(gc @ n_called))

    return Landscape(sizes, bin_size, order, read)


@contextmanager
def open_landscape(
    *,
    genome: str | Path | None = None,
    gc_table: str | Path | None = None,
    gaps: str | Path | None = None,
    chromsizes: str | Path | None = None,
    assembly: str | None = None,
    order: int = 0,
    bin_size: int | None = None,
    cache: str | Path | None = None,
) -> Iterator[Landscape]:
    """Read a landscape from files: a genome, or a table of GC with a BED of gaps.

    Parameters
    ----------
    genome : path-like, optional
        FASTA or 2bit, for `genome_landscape`; `cache` is where its index may be made.
    gc_table, gaps : path-like, optional
        For `table_landscape`.
    chromsizes : path-like, optional
        File of chromosome sizes, rather than the ends of the table's bins.
    assembly : str, optional
        Name of an assembly whose sizes bioframe carries, likewise.
    order, bin_size : int
        See `genome_landscape`; a table has its own bins.

    Raises
    ------
    InputError
        There is not one source, an option belongs to the other source, or a file cannot be read.
    """
    if (genome is None) == (gc_table is None):
        found = "neither" if genome is None else "both"
        raise InputError(f"genome, gc_table: found {found}, expected one as the source of the composition")
    if genome is not None:
        for name, value in (("gaps", gaps), ("chromsizes", chromsizes), ("assembly", assembly)):
            if value is not None:
                raise InputError(f"{name}: found {value}, expected none with a genome, which tells this itself")
        with open_genome(genome, cache=cache) as letters:
            yield genome_landscape(letters, order=order, bin_size=BIN_SIZE if bin_size is None else bin_size)
    else:
        if bin_size is not None:
            raise InputError(f"bin_size: found {bin_size}, expected none with gc_table, which has bins of its own")
        if gaps is None:
            raise InputError("gaps: found none, expected a BED of the runs of N with gc_table")
        table = read_table(str(gc_table), {"chrom": str, "start": np.int64, "end": np.int64, "gc": np.float64})
        yield table_landscape(table, read_bed(gaps), _read_sizes(assembly, chromsizes), order=order)


def _read_sizes(assembly: str | None, chromsizes: str | Path | None) -> dict[str, int] | None:
    if chromsizes is not None:
        return read_chromsizes(chromsizes)
    return None if assembly is None else assembly_chromsizes(assembly)


def _of_chromosomes(frame: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    frame = match_naming(frame, sizes)
    return frame[frame["chrom"].isin(list(sizes))].reset_index(drop=True)


def _cut_at_ends(table: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Cut the last bin of each chromosome at its end: tables of whole bins pass it."""
    size = table["chrom"].map(dict(sizes)).astype(np.int64)
    if (beyond := table["start"] >= size).any():
        row = table[beyond].iloc[0]
        raise InputError(f"GC table: {row.chrom}:{row.start}-{row.end} lies beyond the end of {row.chrom} "
                         f"({sizes[row.chrom]} nt): another build?")  # fmt: skip
    return table.assign(end=np.minimum(table["end"], size))


def _find_bin_size(bins: pd.DataFrame, sizes: Mapping[str, int]) -> int:
    bin_size = int((bins["end"] - bins["start"]).max())
    _check_integer("GC table: length of a bin", bin_size, 1, MAX_BIN_SIZE)
    full = (bins["end"] == bins["start"] + bin_size) | (bins["end"] == bins["chrom"].map(dict(sizes)))
    if (wrong := (bins["start"] % bin_size != 0) | ~full).any():
        row = bins[wrong].iloc[0]
        raise InputError(f"GC table: found {row.chrom}:{row.start}-{row.end}, expected bins of {bin_size} nt from 0 to "
                         f"the end of {row.chrom} ({sizes[row.chrom]} nt)")  # fmt: skip
    return bin_size


def _fill_bins(bins: pd.DataFrame, sizes: Mapping[str, int], bin_size: int) -> dict[str, NDArray[np.float64]]:
    """GC of every bin of every chromosome: the fewer letters it was counted in, the nearer to the overall GC."""
    bins = bins[bins["gc"] > 0]
    overall = overall_gc(bins)
    if not 0 < overall < 1:
        raise InputError(
            f"GC table: found an overall GC of {overall:g} outside gaps, expected a share above 0, below 1"
        )
    shares = {chrom: np.full(-(-size // bin_size), overall) for chrom, size in sizes.items()}
    filled = (bins["gc"] * bins["n_called"] + PSEUDO_COUNTS * overall) / (bins["n_called"] + PSEUDO_COUNTS)
    for chrom, rows in bins.assign(gc=filled).groupby("chrom"):
        shares[str(chrom)][rows["start"] // bin_size] = rows["gc"]
    return shares


def _gc_laws(gc: NDArray[np.float64], order: int) -> NDArray[np.float32]:
    if order:
        return fit_transitions(gc, HUMAN_EXCESS)
    return np.cumsum(_letter_shares(gc), axis=1)[:, None, :].astype(np.float32)


def _letter_shares(gc: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([1 - gc, gc, gc, 1 - gc]) / 2


def fit_transitions(gc: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float32]:
    """Fit chains of letters to GC contents: cumulative transition probabilities.

    Iterative proportional fitting (Deming & Stephan, Annals of Mathematical Statistics 11, 1940) gives each chain
    its GC, alike on both strands, and keeps the odds ratios of `excess`.

    Parameters
    ----------
    gc : ndarray, shape (n,)
        Shares between 0 and 1, both excluded.
    excess : ndarray, shape (4, 4)
        Dinucleotides, observed over expected: rows are first letters, columns second ones, ACGT.

    Returns
    -------
    ndarray of float32, shape (n, 4, 4)
        Chain, previous letter, letter.
    """
    letters = _letter_shares(gc)
    joint = letters[:, :, None] * letters[:, None, :] * excess
    for _ in range(100):
        joint *= (letters / joint.sum(axis=2))[:, :, None]
        joint *= (letters / joint.sum(axis=1))[:, None, :]
    return _accumulate(joint)


def chain_laws(counts: NDArray[np.int32]) -> NDArray[np.float32]:
    """Turn counts of words into chains of letters: cumulative transition probabilities.

    What follows a context is expected as after the context without its first letter, and that again, down to
    letters alike; each expectation weighs as much as `PSEUDO_COUNTS` letters (interpolated Markov models, as
    in Salzberg et al., Nucleic Acids Research 26, 1998). Rare contexts so keep the composition of their bin.

    Parameters
    ----------
    counts : ndarray of int, shape (n, 4**(order + 1))
        Words of each chain's letters, in the order of `kmers.vocabulary`.

    Returns
    -------
    ndarray of float32, shape (n, 4**order, 4)
        Chain, preceding letters (in the same order), letter.
    """
    law = np.full((len(counts), 1, 4), 0.25)
    n_contexts = 1
    while 4 * n_contexts <= counts.shape[1]:
        seen = counts.reshape(len(counts), -1, n_contexts, 4).sum(axis=1)
        expected = np.tile(law, (1, n_contexts // law.shape[1], 1))
        law = (seen + PSEUDO_COUNTS * expected) / (seen.sum(axis=2, keepdims=True) + PSEUDO_COUNTS)
        n_contexts *= 4
    return _accumulate(law)


def _accumulate(law: NDArray[np.float64]) -> NDArray[np.float32]:
    cumulative = np.cumsum(law, axis=2)
    return (cumulative / cumulative[:, :, -1:]).astype(np.float32)


def write_null_genome(
    path: str | Path,
    landscape: Landscape,
    *,
    seed: int,
    progress: Callable[[str, int], None] | None = None,
) -> pd.DataFrame:
    """Write a genome of random letters with its samtools indexes (`.fai`, `.gzi`) beside it.

    It is spelled piece by piece, in constant memory. The letters of a chromosome depend on the seed, on its name
    and on its own bins alone; the same seed gives the same bytes. Landscapes of other order or composition share
    the random numbers of a seed, and so most letters: for unrelated ones take another seed. All three files are moved
    into place when they are complete.

    Parameters
    ----------
    path : path-like
        FASTA compressed by bgzip, 60 letters a line.
    landscape : Landscape
    seed : int
        Non-negative.
    progress : callable, optional
        Called with the name and the number of letters of each chromosome that was written.

    Returns
    -------
    DataFrame
        `chrom`, `n_letters`, `n_called` (not N), `n_gc` (G and C written), `n_gc_source` (of the source, expected
        where only their share is known): one row a chromosome.

    Raises
    ------
    InputError
        `seed` is not a non-negative integer, or the source cannot be read.
    """
    _check_integer("seed", seed, 0)
    path = Path(path)
    rows = []
    # Indexes are moved last: one that is older than its FASTA is known to be stale, a newer one would be trusted.
    with replacing(f"{path}.fai") as index, replacing(f"{path}.gzi") as blocks, replacing(path) as part:
        # Random letters hardly compress at any level, but fast at level 1, which pysam hands on to htslib.
        with writing_bgzip(part, "w1b") as file:
            for chrom, size in landscape.chromsizes.items():
                counts = np.zeros(3)
                file.write(f">{chrom}\n".encode())
                for lines in fasta_lines(_spell_chromosome(landscape, chrom, seed, counts)):
                    file.write(lines)
                rows.append((chrom, size, *counts))
                if progress is not None:
                    progress(chrom, size)
        try:
            pysam.faidx(str(part), "--fai-idx", str(index), "--gzi-idx", str(blocks))
        except pysam.SamtoolsError as error:
            raise OSError(str(error)) from None  # to write it failed: the letters are sound
    columns = ["chrom", "n_letters", "n_called", "n_gc", "n_gc_source"]
    return pd.DataFrame(rows, columns=columns).astype({"n_called": np.int64, "n_gc": np.int64})


def _spell_chromosome(
    landscape: Landscape, chrom: str, seed: int, counts: NDArray[np.float64]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the letters of a chromosome, piece by piece; add called letters, G and C, and the source's to `counts`."""
    # The name is the key of the stream: leaving out a chromosome does not change the others.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(chrom.encode())))
    size, step = landscape.chromsizes[chrom], max(_PIECE // landscape.bin_size, 1) * landscape.bin_size
    context = int(rng.integers(4**landscape.order))
    for start in range(0, size, step):
        piece = landscape.read(chrom, start, min(start + step, size))
        uniform = rng.random(len(piece.template), np.float32)
        letters, n_called, n_gc, context = _spell(piece.template, uniform, piece.laws, landscape.bin_size, context)
        counts += n_called, n_gc, piece.n_gc
        yield letters


@numba.njit(cache=True, nogil=True)
def _spell(template, uniform, laws, bin_size, context):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """Letters of a piece, called ones, G and C among them, and the context that the next piece starts from.

    The chain runs on below N: what follows a gap does not depend on how the gap is cut into pieces.
    """
    letters = np.empty(len(template), np.uint8)
    n_called = n_gc = 0
    mask = laws.shape[1] - 1
    for b in range(len(laws)):
        for i in range(b * bin_size, min((b + 1) * bin_size, len(template))):
            u, law = uniform[i], laws[b, context]
            code = np.int64(u >= law[0]) + np.int64(u >= law[1]) + np.int64(u >= law[2])
            context = (4 * context + code) & mask
            if template[i] > _LOWER:
                letters[i] = template[i]
            else:
                letters[i] = _ALPHABET[code] | template[i]
                n_called += 1
                n_gc += code == 1 or code == 2
    return letters, n_called, n_gc, context


def fasta_lines(pieces: Iterable[NDArray[np.uint8]], *, width: int = _LINE) -> Iterator[bytes]:
    """Break the letters (ASCII) of a sequence, given in pieces of any length, into lines of `width`."""
    rest = np.empty(0, np.uint8)
    for piece in pieces:
        letters = np.concatenate([rest, piece])
        whole = len(letters) // width * width
        lines = np.full((whole // width, width + 1), ord("\n"), np.uint8)
        lines[:, :width] = letters[:whole].reshape(-1, width)
        yield lines.tobytes()
        rest = letters[whole:]
    if len(rest):
        yield rest.tobytes() + b"\n"


def _check_integer(name: str, value: int, least: int, most: int | None = None) -> None:
    if not isinstance(value, Integral) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name}: found {value!r}, expected an integer {limits}")
