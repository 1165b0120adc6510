"""The two haplotypes of a sample: a phased VCF written into the reference.

The letters are those of `bcftools consensus -H 1` and `-H 2` with `-s SAMPLE`, of bcftools 1.24. Records are taken in
the order of the file whatever their FILTER. A missing genotype leaves the reference's letters. What is written in takes
the case of the reference's letter at its start. Of records that overlap the first counts; an insertion or a deletion
may yet start at the last letter of the record before it, unless that inserted, too.

A haploid genotype belongs to the first copy and leaves the reference's letters in the second: where a sample has one
copy, as a man of X, the second is the reference's, not the sample's. `HaplotypeGenome.ploidies` tells where, and the
command leaves such stretches out.

A `<DEL>` ends where END says or, without it, where SVLEN does, if the htslib inside pysam heeds that: 1.24 does;
bcftools 1.16 heeds END only.

What differs from bcftools:

- An allele `*` (deleted by another record), a breakend and a symbolic allele other than `<DEL>`, `<*>` and `<NON_REF>`
  are counted and left out; bcftools writes the first two into the sequence and refuses the last.
- An insertion at a place that was substituted leaves the substitution in soft-masked letters, too.
- An insertion or a deletion at the last letter of a substitution is applied also where its REF and ALT differ in case,
  such as ta and T; bcftools leaves it out then.
- A `<DEL>` with neither, and a REF of one letter, is counted and left out; bcftools lets it hide a record at its place.
- Unphased genotypes such as 0/1 and ./1 are refused: they do not say which copy an allele belongs to.
- A record that starts before a stretch is left out of it, as by bcftools with `--regions-overlap 0` where it has that.

Copies are told apart within a phase set (PS) only: from one set to the next, copy 1 may be the other parent's.

References
----------
Danecek et al. (2021), Twelve years of SAMtools and BCFtools, GigaScience 10(2), giab008.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import Genome, silent
from neanderthal_nlp.variants import (
    BEFORE,
    OVERLAPPING,
    UNPHASED,
    Call,
    choose_sample,
    count_alleles,
    explain_naming,
    is_unphased,
    open_variants,
    pick_allele,
    read_call,
    read_genotype,
    spell_genotype,
    spell_number,
)

_PIECE = 1 << 20  # nt of the reference that are held at once
_T = TypeVar("_T")
_LINE = 60  # letters of a line of FASTA, as bcftools and samtools write it


class Piece(NamedTuple):
    """Letters of a haplotype and the stretch of the reference that they stand for; pieces follow one another.

    Attributes
    ----------
    letters : str
    length : int
        Of the stretch of the reference, nt; where it is that of the letters, they are aligned one to one.
    """

    letters: str
    length: int


class Positions(NamedTuple):
    """Which positions of a haplotype and of the reference correspond: blocks without a gap, in order.

    Attributes
    ----------
    reference : ndarray of int64, shape (n,)
        Start of each block on the chromosome, 0-based.
    haplotype : ndarray of int64, shape (n,)
        Its start in the haplotype's letters, 0-based.
    length : ndarray of int64, shape (n,)
        Of the block, nt. The last block is empty and stands for the end of both; the first is empty where both start
        with a gap.
    """

    reference: np.ndarray
    haplotype: np.ndarray
    length: np.ndarray

    def to_reference(self, positions: npt.ArrayLike) -> np.ndarray:
        """Places on the chromosome of positions in the haplotype (0-based, its end included).

        The first letter of a gap is taken to where the gap starts there, its others to where the next block starts:
        order is kept, and a half-open interval becomes one.

        Raises
        ------
        InputError
            A position lies outside.
        """
        return _translate(positions, self.haplotype, self.reference, self.length)

    def to_haplotype(self, positions: npt.ArrayLike) -> np.ndarray:
        """Positions in the haplotype of places on the chromosome (0-based, the end included); see `to_reference`."""
        return _translate(positions, self.reference, self.haplotype, self.length)


class Haplotype(NamedTuple):
    """One copy of a stretch.

    Attributes
    ----------
    sequence : str
        In the case of the reference (lower case = soft-masked).
    positions : Positions
    counts : Counter of str
        Records written in, by kind (`APPLIED`), and left out, by reason (`SKIPPED`); of `UNPHASED` genotypes.
    """

    sequence: str
    positions: Positions
    counts: Counter[str]


class HaplotypeGenome:
    """One copy of a sample's genome, read by the coordinates of the reference; a context manager.

    It has the names of `Genome` but is none: indels make a stretch [start, end) longer or shorter than end - start,
    and readers of a `Genome` may rely on that length, as do those that fetch a long stretch and cut windows from it.

    The genome stays open when this is closed. One stretch is read at a time: pieces of two must not be taken in turns.

    Parameters
    ----------
    genome : Genome
        The reference that the VCF was called against.
    variants : path-like
        VCF compressed by bgzip, or BCF, with its index (.tbi or .csi) beside it.
    sample : str, optional
        May be left out where there is only one.
    copy : int
        1 or 2: the allele before or after the bar of 0|1. Haploid genotypes belong to the first; in the second they
        leave the reference's letters, as with bcftools. See `ploidies`.
    allow_unphased : bool
        Take the alleles of unphased or half missing genotypes (0/1, ./1) in their written order, as bcftools does.

    Attributes
    ----------
    path : Path
        The VCF.
    chromsizes : dict of str to int
        Lengths of the reference's chromosomes, nt.
    sample : str
    copy : int

    Raises
    ------
    InputError
        The VCF is missing, damaged, not compressed by bgzip or without an index; or it has no such sample, or several
        and none is named.
    """

    def __init__(
        self,
        genome: Genome,
        variants: str | Path,
        *,
        sample: str | None = None,
        copy: int = 1,
        allow_unphased: bool = False,
    ) -> None:
        if copy not in (1, 2):
            raise InputError(f"copy: found {copy}, expected 1 or 2")
        self.path, self.copy, self.chromsizes = Path(variants), copy, genome.chromsizes
        self._genome, self._allow_unphased = genome, allow_unphased
        self._file = open_variants(self.path)
        self._contigs = list(self._file.header.contigs)
        self.sample = choose_sample(self.path, list(self._file.header.samples), sample)
        if "," not in self.sample and not self.sample.startswith("^"):  # signs of htslib's: several, all but
            self._file.subset_samples([self.sample])
        self._column = list(self._file.header.samples).index(self.sample)

    def close(self) -> None:
        """Close the VCF."""
        with suppress(OSError):  # of a damaged file, which was said when it was read
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, chrom: str, start: int, end: int) -> None:
        """Refuse a stretch that `fetch` would not read, with its `InputError`."""
        self._genome.check(chrom, start, end)
        if chrom not in self._contigs:
            raise InputError(f"{self.path}: no chromosome {chrom} {explain_naming(chrom, self._contigs, self.path)}")

    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Letters of this copy over [start, end) of the reference, 0-based.

        A record belongs to the stretch in which it starts (its POS; of an indel the letter before it). Where its REF
        passes the end, as many letters of the allele are taken as of REF lie inside. A record that starts before the
        stretch is left out, also where it would delete letters of it: windows side by side need not add up to the
        whole.

        Raises
        ------
        InputError
            The chromosome is unknown to the reference or the VCF; the stretch is empty or passes its ends; REF does not
            match the reference; there are unphased or half missing genotypes; or the VCF is damaged.
        """
        return "".join(piece.letters for piece in self.pieces(chrom, start, end))

    def haplotype(self, chrom: str, start: int, end: int) -> Haplotype:
        """Letters as of `fetch`, with their places on the reference and the counts of records; raises what it does."""
        counts: Counter[str] = Counter()
        pieces = list(self.pieces(chrom, start, end, counts=counts))
        return Haplotype("".join(piece.letters for piece in pieces), _align(pieces, int(start)), counts)

    def pieces(self, chrom: str, start: int, end: int, *, counts: Counter[str] | None = None) -> Iterator[Piece]:
        """Letters as of `fetch`, a piece at a time: memory does not grow with the stretch.

        Parameters
        ----------
        chrom : str
        start, end : int
            On the reference, 0-based half-open.
        counts : Counter of str, optional
            Is added to; see `Haplotype`.

        Yields
        ------
        Piece

        Raises
        ------
        InputError
            As `fetch`; unphased genotypes, which are counted, only after the last piece.
        """
        self.check(chrom, start, end)
        counts = Counter() if counts is None else counts
        yield from self._spell(chrom, int(start), int(end), counts)

    def chromosomes(self) -> list[str]:
        """Chromosomes of the reference on which the VCF has records, of any sample, in the reference's order.

        Raises
        ------
        InputError
            There is none: another naming?
        """
        found = [chrom for chrom in self.chromsizes if chrom in self._contigs
                 and next(self._records(chrom, 0, self.chromsizes[chrom]), None) is not None]  # fmt: skip
        if not found:
            hint = explain_naming(next(iter(self.chromsizes)), self._contigs, self.path)
            raise InputError(f"{self.path}: no records on the chromosomes of {self._genome.path} {hint}")
        return found

    def ploidies(self, chrom: str, start: int, end: int) -> set[int]:
        """Numbers of alleles that the sample's genotypes on [start, end) have, 0-based.

        Returns
        -------
        set of int
            {1}: all are haploid, there is no second copy (X, Y and MT of a man); {1, 2}: both occur (X with its
            pseudoautosomal ends). Without a called genotype, that of the next one behind the stretch counts; empty
            where there is none.

        Raises
        ------
        InputError
            The stretch is one that `check` refuses, or the VCF is damaged.
        """
        self.check(chrom, start, end)
        try:
            return count_alleles(self._records(chrom, int(start), self.chromsizes[chrom]), end, self._column)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{self.path}: a damaged record on {chrom} ({error})") from None

    def _records(self, chrom: str, start: int, end: int) -> Iterator[Any]:
        try:
            with silent():
                records = self._file.fetch(chrom, start, end)
            while True:
                with silent():
                    record = next(records, None)
                if record is None:
                    return
                yield record
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path}: damaged at {chrom}:{start}-{end}, or its index is another file's ({error})"
            ) from None

    def _about(self, record: Any, read: Callable[[Any], _T]) -> _T:
        try:
            return read(record)
        except ValueError as error:
            raise InputError(f"{self.path}: {record.chrom}:{record.pos}: damaged record ({error})") from None

    def _calls(self, chrom: str, start: int, end: int, counts: Counter[str]) -> Iterator[Call]:
        unphased, first = 0, ""
        for record in self._records(chrom, start, end):
            genotype, alleles = self._about(record, partial(read_genotype, sample=self._column))
            reason, allele = pick_allele(alleles, self.copy)
            if record.start < start:
                counts[BEFORE] += allele > 0
                continue
            if is_unphased(alleles, phased=genotype.phased):
                unphased += 1
                first = first or f"{spell_genotype(alleles)} at {chrom}:{record.pos}"
            if reason:
                counts[reason] += 1
            elif allele:
                call = self._about(record, partial(read_call, allele=allele))
                if isinstance(call, Call):
                    yield call
                else:
                    counts[call] += 1
        counts[UNPHASED] += unphased
        if unphased and not self._allow_unphased:
            raise InputError(f"{self.path}: {spell_number(unphased, UNPHASED)} of {self.sample} in "
                             f"{chrom}:{start + 1}-{end}, the first {first}: expected phased genotypes such as 0|1 "
                             "(--allow-unphased takes their alleles in the written order)")  # fmt: skip

    def _spell(self, chrom: str, start: int, end: int, counts: Counter[str]) -> Iterator[Piece]:
        letters = _Letters(self._genome, chrom, end)
        done = start  # what lies before is written
        frozen, after_insertion = start - 1, False  # the last letter that a record used, and whether that one inserted
        for call in self._calls(chrom, start, end, counts):
            if call.start <= frozen and (call.start < frozen or after_insertion or not call.is_anchored_indel()):
                counts[OVERLAPPING] += 1
                continue
            stop = min(call.start + call.length, end)
            frozen = stop - 1
            if call.alt is None:
                continue
            yield from letters.pieces(done, call.start)
            ref = letters(call.start, stop)
            self._check_ref(call, ref, chrom)
            alt = call.alt if len(ref) == call.length else call.alt[: len(ref)]
            alt = alt.lower() if ref[0].islower() else alt.upper()
            first = call.start + call.is_anchored()
            yield from letters.pieces(max(done, call.start), first)
            yield Piece(alt[first - call.start :], stop - first)
            counts[call.kind()] += 1
            done, after_insertion = stop, len(alt) > len(ref)
        yield from letters.pieces(done, end)

    def _check_ref(self, call: Call, letters: str, chrom: str) -> None:
        if not letters.upper().startswith(call.ref[: len(letters)].upper()):
            ref, found = (text.upper() if len(text) <= 20 else f"{text[:20].upper()}…" for text in (call.ref, letters))
            raise InputError(f"{self.path}: {chrom}:{call.start + 1}: found REF {ref}, expected {found} as in "
                             f"{self._genome.path}: another build?")  # fmt: skip


def haplotype(
    genome: Genome,
    variants: str | Path,
    chrom: str,
    start: int,
    end: int,
    *,
    sample: str | None = None,
    copy: int = 1,
    allow_unphased: bool = False,
) -> Haplotype:
    """One copy of one stretch of a sample's genome; for many stretches open a `HaplotypeGenome`, which tells more.

    Parameters
    ----------
    genome : Genome
        The reference.
    variants : path-like
        VCF compressed by bgzip, or BCF, with its index beside it.
    chrom : str
    start, end : int
        On the reference, 0-based half-open.
    sample : str, optional
        May be left out where there is only one.
    copy : int
        1 or 2.
    allow_unphased : bool
        Take the alleles of unphased or half missing genotypes in their written order.

    Returns
    -------
    Haplotype

    Raises
    ------
    InputError
        See `HaplotypeGenome` and its `fetch`.
    """
    with HaplotypeGenome(genome, variants, sample=sample, copy=copy, allow_unphased=allow_unphased) as opened:
        return opened.haplotype(chrom, start, end)


def write_records(regions: pd.DataFrame, haplotype: HaplotypeGenome, handle: IO[str]) -> Counter[str]:
    """Write stretches of a haplotype as FASTA, named as samtools does (1-based, the end included).

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end` on the reference, 0-based half-open.
    haplotype : HaplotypeGenome
    handle : text file
        Sample and copy follow the names; lines of 60 letters in the case of the reference.

    Returns
    -------
    Counter of str
        Records by what was done with them; see `Haplotype`.
    """
    counts: Counter[str] = Counter()
    for chrom, start, end in zip(regions["chrom"], regions["start"].tolist(), regions["end"].tolist(), strict=True):
        handle.write(f">{chrom}:{start + 1}-{end} {haplotype.sample} copy {haplotype.copy}\n")
        handle.writelines(_lines(piece.letters for piece in haplotype.pieces(chrom, start, end, counts=counts)))
    return counts


class _Letters:
    """Letters of a chromosome up to an end, asked for in order: a megabase of them is held."""

    def __init__(self, genome: Genome, chrom: str, end: int) -> None:
        self._genome, self._chrom, self._end = genome, chrom, end
        self._start, self._held = 0, ""

    def __call__(self, start: int, end: int) -> str:
        if not self._start <= start < end <= self._start + len(self._held):
            self._start = start
            self._held = self._genome.fetch(self._chrom, start, min(max(end, start + _PIECE), self._end))
        return self._held[start - self._start : end - self._start]

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """What lies between two records."""
        for here in range(start, end, _PIECE):
            letters = self(here, min(here + _PIECE, end))
            yield Piece(letters, len(letters))


def _align(pieces: Iterable[Piece], start: int) -> Positions:
    blocks = [[start, 0, 0]]
    here, there = start, 0
    for letters, length in pieces:
        if len(letters) == length:
            if here == blocks[-1][0] + blocks[-1][2] and there == blocks[-1][1] + blocks[-1][2]:
                blocks[-1][2] += length
            elif length:
                blocks.append([here, there, length])
        here, there = here + length, there + len(letters)
    reference, haplotype, lengths = np.array([*blocks, [here, there, 0]], dtype=np.int64).T
    return Positions(reference, haplotype, lengths)


def _translate(positions: npt.ArrayLike, source: np.ndarray, target: np.ndarray, length: np.ndarray) -> np.ndarray:
    places = np.asarray(positions, dtype=np.int64)
    if places.size and (places.min() < source[0] or places.max() > source[-1]):
        raise InputError(f"positions: found {places.min()} to {places.max()}, expected {source[0]} to {source[-1]}")
    block = np.searchsorted(source, places, side="right") - 1
    offset = places - source[block]
    after = target[np.minimum(block + 1, len(target) - 1)]
    return np.where(offset <= length[block], target[block] + offset, after)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Cut letters into lines of FASTA."""
    rest = ""
    for text in texts:
        rest += text
        whole = len(rest) - len(rest) % _LINE
        yield "".join(f"{rest[i : i + _LINE]}\n" for i in range(0, whole, _LINE))
        rest = rest[whole:]
    if rest:
        yield f"{rest}\n"
