"""What a VCF says of one sample: which allele each copy has, and what that does to the reference."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pysam

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import BROKEN_GZIP, GZIP_MAGIC, open_binary
from neanderthal_nlp.genome import silent
from neanderthal_nlp.intervals import match_naming
from neanderthal_nlp.variant_index import is_variant_index_of

SNV, MNV, INDEL = "SNVs", "MNVs", "indels"
APPLIED = (SNV, MNV, INDEL)
"""Kinds of records that are written in; an indel is any allele of another length than the reference's."""
OVERLAPPING, MISSING, HAPLOID = "overlapping another record", "missing genotypes", "haploid genotypes"
DELETED, SYMBOLIC, BEFORE = "alleles *", "symbolic alleles", "starting before the stretch"
SKIPPED = (OVERLAPPING, MISSING, HAPLOID, DELETED, SYMBOLIC, BEFORE)
"""Reasons for which a record leaves the reference's letters."""
UNPHASED = "unphased or half missing genotypes"
"""Those that do not say which copy has an allele, such as 0/1 and ./1."""

_BLOCKS = ("<*>", "<NON_REF>")  # of gVCF: evidence for the reference
_VCF, _BCF = b"##fileformat=VCF", b"BCF"
_BGZIP = GZIP_MAGIC + b"\x08\x04"  # gzip with an extra field, which plain gzip has not (SAM specification, 4.1)


class Call(NamedTuple):
    """An allele that differs from the reference: `length` letters from `start` become `alt` (None: they stay)."""

    start: int
    ref: str
    alt: str | None
    length: int

    def is_anchored(self) -> bool:
        """Whether the first letter only tells where an indel is, and stays as it is."""
        return self.alt is not None and len(self.alt) != self.length and self.alt[0].upper() == self.ref[0].upper()

    def is_anchored_indel(self) -> bool:
        """Whether letters are inserted or deleted after the first and nothing else is changed."""
        if not self.is_anchored():
            return False
        short, long = sorted((self.ref.upper(), str(self.alt).upper()), key=len)
        return any(long.startswith(short[:n]) and long.endswith(short[n:]) for n in range(1, len(short) + 1))

    def kind(self) -> str:
        """One of `APPLIED`."""
        if len(str(self.alt)) != self.length:
            return INDEL
        return SNV if self.length == 1 else MNV


def pick_allele(alleles: tuple[int | None, ...], copy: int) -> tuple[str, int]:
    """Reason for which a genotype gives no allele of a copy, or "" and the allele's number."""
    if not alleles or alleles[min(copy, len(alleles)) - 1] is None:
        return MISSING, 0
    if copy > len(alleles):
        return (HAPLOID if alleles[0] else ""), 0
    return "", alleles[copy - 1] or 0


def is_unphased(alleles: tuple[int | None, ...], *, phased: bool) -> bool:
    """Whether a genotype leaves open which copy has an allele; a missing one leaves the reference's letters."""
    return not phased and len({allele or 0 for allele in alleles}) > 1


def spell_genotype(alleles: tuple[int | None, ...]) -> str:
    """An unphased genotype as a VCF has it, such as ./1."""
    return "/".join("." if allele is None else str(allele) for allele in alleles)


def read_genotype(record: Any, sample: int = 0) -> tuple[Any, tuple[int | None, ...]]:
    """What a record says of a sample, given by its column, and the numbers of its alleles (None: missing).

    Raises
    ------
    ValueError
        The record has none.
    """
    try:
        genotype = record.samples[sample]
        return genotype, genotype.allele_indices or ()
    except (IndexError, KeyError) as error:
        raise ValueError(f"no genotype: {error}") from None


def count_alleles(records: Iterable[Any], end: int, sample: int = 0) -> set[int]:
    """Numbers of alleles that a sample's genotypes have.

    Parameters
    ----------
    records : iterable of pysam's VariantRecord
        Of one chromosome, in order; no more are read than needed.
    end : int
        Records that start there (0-based) or later count only where there is no genotype before: then the first does.
    sample : int
        Its column, from 0.

    Returns
    -------
    set of int
        {1}: all are haploid; {1, 2}: some are. Genotypes without any called allele tell nothing.

    Raises
    ------
    ValueError
        A record has no genotype.
    """
    found: set[int] = set()
    for record in records:
        if len(found) > 1 or (found and record.start >= end):
            break
        _, alleles = read_genotype(record, sample)
        if any(allele is not None for allele in alleles):
            found.add(len(alleles))
    return found


def read_call(record: Any, allele: int) -> Call | str:
    """What an allele does to the reference, or the reason for which it is left out.

    Raises
    ------
    ValueError
        The record has no such allele.
    """
    alts = record.alts or ()
    if allele > len(alts):
        raise ValueError(f"genotype {allele}, but {len(alts)} ALT")
    alt = alts[allele - 1]
    if alt == "*":
        return DELETED
    if alt.upper() in _BLOCKS:
        return Call(record.start, record.ref, None, record.rlen)
    if alt.upper() == "<DEL>":
        # Without an end it says that something is deleted, but not what.
        return Call(record.start, record.ref, record.ref[0], record.rlen) if record.rlen > 1 else SYMBOLIC
    return Call(record.start, record.ref, alt, len(record.ref)) if alt.isalpha() else SYMBOLIC


def spell_number(n: int, what: str) -> str:
    """Say how many: 1 SNV, 2 SNVs; `what` is a plural, or no noun at all."""
    return f"{n:,} {re.sub(r'((?<=ch)e)?s(?= [*]$|$)', '', what) if n == 1 else what}"


def open_variants(path: Path) -> Any:
    """Open a VCF (bgzip) or BCF that has its index beside it, as pysam's `VariantFile`.

    Raises
    ------
    InputError
        It is missing, no VCF or BCF, damaged, not compressed by bgzip or without an index; the message names the
        command that helps, of the bcftools inside pysam.
    """
    index = _bcftools("index", "-f", path)
    try:
        _check_form(path)
        places = [place for suffix in (".csi", ".tbi") if (place := Path(f"{path}{suffix}")).exists()]
        if not places:
            raise InputError(f"{path}: no index beside it: run {index}")
        beside = next((place for place in places if is_variant_index_of(place, path)), None)
        if beside is None:
            raise InputError(f"{path}: its index cannot be read, or is of another version of it: run {index}")
        with silent():
            file = pysam.VariantFile(str(path.absolute()), index_filename=str(beside.absolute()))
            list(file.header.contigs), list(file.header.samples)  # names may not be text
    except InputError:
        raise
    except AssertionError:  # of pysam: it counts on no gap in the numbers of a BCF's contigs
        raise InputError(f"{path}: not a complete VCF or BCF file (a contig of its header is missing)") from None
    except (OSError, ValueError, NotImplementedError, *BROKEN_GZIP) as error:
        raise InputError(f"{path}: not a complete VCF or BCF file ({error})") from None
    if file.index is None:
        raise InputError(f"{path}: its index cannot be read: run {index}")
    return file


def _check_form(path: Path) -> None:
    """Refuse what is no VCF or BCF, and what is not compressed by bgzip."""
    with open_binary(path) as content:
        start = content.read(len(_VCF))
    if not start.startswith((_VCF, _BCF)):
        raise InputError(f"{path}: neither VCF nor BCF (found {start!r}, expected {_VCF.decode()})")
    with path.open("rb") as raw:
        packed_by = raw.read(len(_BGZIP))
    if packed_by != _BGZIP:
        found = "gzip, not bgzip" if packed_by.startswith(GZIP_MAGIC) else "not compressed by bgzip"
        packed = path.with_name(f"{path.name.removesuffix('.gz').removesuffix('.vcf')}.bgzip.vcf.gz")
        raise InputError(f"{path}: {found}: run {_bcftools('view', '--write-index', '-Oz', '-o', packed, path)} "
                         f"and give {packed}")  # fmt: skip


def _bcftools(command: str, *arguments: str | Path) -> str:
    """Spell a command of the bcftools inside pysam: neither that program nor tabix need be installed."""
    code = f"import sys, pysam.bcftools as b; b.{command}(*sys.argv[1:], catch_stdout=False)"
    return f"`python -c {shlex.quote(code)} {shlex.join(map(str, arguments))}`"


def choose_sample(path: Path, samples: list[str], sample: str | None) -> str:
    """Name of the sample that is asked for; `InputError` where there is no such, or several and none is named."""
    some = ", ".join(samples[:5]) + (", …" if len(samples) > 5 else "")
    if not samples:
        raise InputError(f"{path}: found no samples, expected genotypes")
    if sample is None and len(samples) > 1:
        raise InputError(f"{path}: found {len(samples):,} samples ({some}): name one (--sample)")
    if sample is not None and sample not in samples:
        raise InputError(f"{path}: no sample {sample} (found {some})")
    return samples[0] if sample is None else sample


def explain_naming(chrom: str, contigs: list[str], path: Path) -> str:
    """Say which chromosomes a VCF has instead of one, and what to do where the names differ in form only."""
    found = f"(found {', '.join(contigs[:5])}{', …' if len(contigs) > 5 else ''})"
    other = match_naming(pd.DataFrame({"chrom": [chrom]}), dict.fromkeys(contigs, 0))["chrom"].iloc[0]
    if other == chrom:
        return found
    command = _bcftools("annotate", "--rename-chrs", "names.txt", "--write-index", "-Oz", "-o", "renamed.vcf.gz", path)
    return (f"{found}: rename its chromosomes as the genome's, with lines such as `{other} {chrom}` in names.txt: "
            f"run {command} and give renamed.vcf.gz")  # fmt: skip
