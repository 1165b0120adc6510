"""Haplotypes are those of bcftools consensus; what differs from it, and what is refused."""

import gzip
import json
import random
import re
import shlex
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pysam
import pysam.bcftools
import pytest
from conftest import random_letters, write_fasta_text
from hypothesis import given, settings
from hypothesis import strategies as st

from neanderthal_nlp import cli
from neanderthal_nlp import haplotypes as module
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.haplotypes import HaplotypeGenome, haplotype
from neanderthal_nlp.variants import (
    BEFORE,
    DELETED,
    HAPLOID,
    INDEL,
    MISSING,
    MNV,
    OVERLAPPING,
    SNV,
    SYMBOLIC,
    UNPHASED,
    count_alleles,
    spell_number,
)

HEADER = """##fileformat=VCFv4.2
##INFO=<ID=END,Number=1,Type=Integer,Description="End">
##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">
##ALT=<ID=DEL,Description="Deletion">
##ALT=<ID=NON_REF,Description="Any other allele">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""


SWAP = str.maketrans("ACGTacgt", "CGTAcgta")


def write_vcf(path, records, *, samples=("S",), contigs=("c",), index="tbi"):
    """Records (chrom, POS, REF, ALT, genotypes, INFO) as VCF with its index beside it."""
    plain = path.with_suffix("")
    lines = ["\t".join([c, str(pos), ".", ref, alt, ".", ".", info, "GT", *genotypes.split()])
             for c, pos, ref, alt, genotypes, info in records]  # fmt: skip
    columns = [
        "#CHROM",
        "POS",
        "ID",
        "REF",
        "ALT",
        "QUAL",
        "FILTER",
        "INFO",
        *(["FORMAT", *samples] if samples else []),
    ]
    names = "".join(f"##contig=<ID={name}>\n" for name in contigs)
    plain.write_text(HEADER + names + "\t".join(columns) + "\n" + "".join(f"{line}\n" for line in lines))
    pysam.tabix_compress(str(plain), str(path), force=True)
    if index is not None:
        pysam.tabix_index(str(path), preset="vcf", force=True, csi=index == "csi")
    return path


@pytest.fixture
def spell(tmp_path):
    """Copy of a chromosome `c`, from its letters and records (POS, REF, ALT, genotypes[, INFO])."""

    def spelled(letters, records, copy=1, *, span=None, samples=("S",), sample=None, allow_unphased=False):
        fasta = write_fasta_text({"c": letters}, tmp_path / "spell.fa")
        rows = [("c", *record, *["."] * (5 - len(record)))[:6] for record in records]
        vcf = write_vcf(tmp_path / "spell.vcf.gz", rows, samples=samples)
        with open_genome(fasta, cache=tmp_path / "cache") as genome:
            return haplotype(genome, vcf, "c", *(span or (0, len(letters))), sample=sample, copy=copy,
                             allow_unphased=allow_unphased)  # fmt: skip

    return spelled


@pytest.fixture
def person(tmp_path):
    """A genome of two chromosomes and, for a sample and a stranger, a VCF on the first."""
    letters = {"chr1": random_letters(5_000, 1), "chr2": random_letters(200, 2)}
    fasta = write_fasta_text(letters, tmp_path / "person.fa")
    genotypes = {10: "1|0 0|0", 2_000: "0|1 0|0", 2_500: "1|1 0|0", 3_000: "0|0 1|1"}
    refs = {pos: letters["chr1"][pos - 1] for pos in genotypes}
    records = [("chr1", pos, refs[pos], refs[pos].translate(SWAP), gt, ".") for pos, gt in genotypes.items()]
    return letters, fasta, write_vcf(tmp_path / "person.vcf.gz", records, samples=["me", "you"], contigs=letters)


# By hand ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "records", "first", "second"),
    [
        ("ACGTACGT", [], "ACGTACGT", "ACGTACGT"),
        ("ACGTACGT", [(3, "G", "T", "1|0")], "ACTTACGT", "ACGTACGT"),
        ("ACGTACGT", [(3, "G", "T,C", "2|1")], "ACCTACGT", "ACTTACGT"),
        ("ACGTACGT", [(3, "GTA", "CCC", "1|0")], "ACCCCCGT", "ACGTACGT"),
        ("ACGTACGT", [(3, "G", "GTT", "0|1")], "ACGTACGT", "ACGTTTACGT"),
        ("ACGTACGT", [(3, "GTA", "G", "1|1")], "ACGCGT", "ACGCGT"),
        ("ACGTACGT", [(1, "ACG", "G", "1|0")], "GTACGT", "ACGTACGT"),
        ("ACGTACGT", [(8, "T", "TGGG", "1|0")], "ACGTACGTGGG", "ACGTACGT"),
        ("ACgtACGT", [(3, "G", "TAA", "1|0"), (6, "C", "g", "1|0")], "ACtaatAGGT", "ACgtACGT"),  # the reference's case
        ("acgtacgt", [(3, "g", "Gcc", "1|0"), (6, "C", "ca", "1|0")], "acgcctacagt", "acgtacgt"),
        ("ACNTACGT", [(3, "N", "G", "1|0")], "ACGTACGT", "ACNTACGT"),
        # The first of two that overlap counts, whichever it is; only on the copy where it is.
        ("ACGTACGT", [(2, "CGT", "C", "1|0"), (3, "G", "A", "1|1")], "ACACGT", "ACATACGT"),
        ("ACGTACGT", [(3, "G", "A", "1|1"), (3, "G", "T", "1|1")], "ACATACGT", "ACATACGT"),
        ("ACGTACGT", [(3, "G", "GA", "1|1"), (3, "G", "T", "1|1")], "ACGATACGT", "ACGATACGT"),
        # An indel may start at the last letter of the record before it, unless that was an insertion.
        ("ACGTACGT", [(3, "G", "A", "1|1"), (3, "G", "GCC", "1|0")], "ACACCTACGT", "ACATACGT"),
        ("acgtacgt", [(3, "G", "A", "1|1"), (3, "G", "GCC", "1|0")], "acacctacgt", "acatacgt"),
        ("ACGTACGT", [(2, "CGT", "C", "1|1"), (4, "TA", "T", "1|0")], "ACCGT", "ACACGT"),
        ("ACGTACGT", [(2, "CG", "CGG", "1|1"), (3, "GT", "G", "1|0")], "ACGGTACGT", "ACGGTACGT"),
        ("ACGTACGT", [(2, "CG", "TT", "1|1"), (3, "GT", "TAAA", "1|0")], "ATTTACGT", "ATTTACGT"),
        ("ACGTACGT", [(3, "G", "A", "1|1"), (3, "GTA", "GC", "1|0")], "ACATACGT", "ACATACGT"),
        # Genotypes.
        ("ACGTACGT", [(3, "G", "T", ".|1"), (5, "A", "C", "1|.")], "ACGTCCGT", "ACTTACGT"),
        ("ACGTACGT", [(3, "G", "T", "1"), (5, "A", "C", "1/1")], "ACTTCCGT", "ACGTCCGT"),
        # Symbols.
        ("ACGTACGT", [(3, "G", "<DEL>", "1|0", "END=5")], "ACGCGT", "ACGTACGT"),
        ("ACGTACGT", [(3, "GTA", "<DEL>", "1|0")], "ACGCGT", "ACGTACGT"),
        ("ACGTACGT", [(3, "G", "<DEL>", "1|0"), (3, "G", "A", "1|0")], "ACATACGT", "ACGTACGT"),  # deletes what?
        ("ACGTACGT", [(3, "G", "<NON_REF>", "1|0", "END=5"), (4, "T", "A", "1|1")], "ACGTACGT", "ACGAACGT"),
        ("ACGTACGT", [(3, "G", "<*>", "1|0", "END=5"), (5, "A", "ACC", "1|0")], "ACGTACCCGT", "ACGTACGT"),
        ("ACGTACGT", [(3, "G", "*", "1|0"), (5, "A", "<INS>,AT", "1|2")], "ACGTACGT", "ACGTATCGT"),
        ("ACGTACGT", [(3, "G", "G]c:8]", "1|0"), (5, "A", "[c:8[A", "1|0")], "ACGTACGT", "ACGTACGT"),
    ],
)  # fmt: skip
def test_copies_spelled_by_hand(spell, letters, records, first, second):
    assert spell(letters, records, 1).sequence == first
    assert spell(letters, records, 2).sequence == second


def test_records_are_counted_by_what_was_done_with_them(spell):
    records = [
        (1, "A", "C", "1|0"), (2, "CG", "TT", "1|0"), (3, "G", "A", "1|0"), (4, "T", "TA", "1|0"),
        (5, "AC", "A", "1|0"), (7, "G", "*", "1|0"), (8, "T", "<INS>", "1|0"), (9, "A", "C", ".|1"),
        (10, "C", "G", "."), (11, "G", "C", "1"), (12, "T", "A", "0|0"), (13, "A", "C", "0"),
    ]  # fmt: skip
    common = {MISSING: 1}
    first = common | {SNV: 2, MNV: 1, INDEL: 2, OVERLAPPING: 1, DELETED: 1, SYMBOLIC: 1, MISSING: 2}
    assert spell("ACGTACGTACGTA", records, 1).counts == Counter(first)
    assert spell("ACGTACGTACGTA", records, 2).counts == Counter(common | {SNV: 1, HAPLOID: 1})


@pytest.mark.parametrize(("ref", "alt"), [("TA", "T"), ("ta", "T"), ("TA", "t")])
def test_a_deletion_at_the_last_letter_of_a_substitution_is_applied_in_any_case(spell, tmp_path, ref, alt):
    assert spell("ACGTACGT", [(3, "GT", "CC", "1|1"), (4, ref, alt, "1|1")]).sequence == "ACCCCGT"
    theirs = consensus(None, tmp_path / "spell.vcf.gz", tmp_path / "spell.fa", 1).splitlines()[1]
    assert theirs == ("ACCCCGT" if ref[0] == alt else "ACCCACGT")


def test_a_deletion_without_an_end_is_left_out(spell):
    found = spell("ACGTACGT", [(3, "G", "<DEL>", "1|0"), (5, "A", "<DEL>", "0|1"), (7, "G", "<DEL>", "1|0", "END=8")])
    assert found.sequence == "ACGTACG"
    assert found.counts == Counter({SYMBOLIC: 1, INDEL: 1})


@pytest.mark.parametrize("info", ["SVLEN=-3", "SVLEN=3", "SVLEN=-1", "END=6;SVLEN=-3", "."])
def test_a_deletion_ends_where_the_bcftools_inside_pysam_ends_it(spell, tmp_path, info):
    found = spell("ACGTACGT", [(3, "G", "<DEL>", "1|0", info)])
    expected = consensus(None, tmp_path / "spell.vcf.gz", tmp_path / "spell.fa", 1)
    assert found.sequence == expected.splitlines()[1]
    assert found.counts == Counter({INDEL if len(found.sequence) < 8 else SYMBOLIC: 1})


def test_a_record_belongs_to_the_stretch_in_which_it_starts(spell):
    records = [(3, "GTA", "G", "1|0"), (4, "T", "C", "0|1"), (6, "CGT", "CAAAA", "1|0"), (8, "T", "TGG", "1|0")]
    whole = spell("ACGTACGT", records)
    assert whole.sequence == "ACGCAAAA"
    assert whole.counts == Counter({INDEL: 2, OVERLAPPING: 1})  # the insertion at 8 follows one
    assert [spell("ACGTACGT", records, span=span).sequence for span in [(0, 4), (4, 7), (7, 8)]] == [
        "ACG",
        "ACA",
        "TGG",
    ]
    assert spell("ACGTACGT", records, span=(3, 5)).counts == Counter({BEFORE: 1})
    assert spell("ACGTACGT", records, 2, span=(3, 5)).counts == Counter({SNV: 1})


# Against bcftools -----------------------------------------------------------------------------------------------


@st.composite
def variation(draw):
    """Letters of two chromosomes and records on them, many of which overlap, as bcftools and we read them alike."""
    rng = random.Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 (not for secrets)
    case = draw(st.sampled_from(["upper", "lower", "mixed"]))
    letters, records = {}, []
    for chrom in ("c", "d"):
        text = "".join(rng.choices("ACGTN", [9, 9, 9, 9, 1], k=draw(st.sampled_from([1, 7, 60, 61, 150, 400]))))
        masked = "".join(run.lower() if rng.random() < 0.5 else run for run in map(text.__getitem__, _runs(text, rng)))
        letters[chrom] = {"upper": text, "lower": text.lower(), "mixed": masked}[case]
        last = set()
        for start in sorted(rng.choices(range(len(text)), k=rng.randrange(1, 3 + len(text) // 4))):
            ref = letters[chrom][start : start + rng.choice([1, 1, 1, 2, 3, 5])]
            # bcftools compares letters at such a place with regard to case, and loses one where it differs.
            if not (case == "mixed" and start in last):
                alts = [_alt(ref, rng) for _ in range(rng.choice([1, 2]))]
                alts = [alt.lower() if case == "lower" else alt for alt in alts]
                genotype = rng.choice(["0|1", "1|0", "1|1", f"{len(alts)}|1", ".|1", "1|.", "1", ".", "./.", "1/1"])
                records.append((chrom, start + 1, ref, ",".join(alts), f"{genotype} 0|1", "."))
            last.add(start + len(ref) - 1)
    return letters, records, rng


def _runs(text, rng):
    cuts = sorted({0, len(text), *rng.choices(range(len(text)), k=4)})
    return [slice(*ends) for ends in pairwise(cuts)]


def _alt(ref, rng):
    """A substitution, an insertion, a deletion, or anything."""
    text = "".join(rng.choices("ACGT", k=rng.randrange(1, 5)))
    whole = "".join(rng.choices("ACGT", k=len(ref)))
    return rng.choice([whole, ref + text, ref[0] + text + ref[1:], ref[0], ref[-1], ref[0] + text, text])


def consensus(program, vcf, fasta, copy, *options):
    """FASTA of the program, or of the bcftools inside pysam."""
    arguments = [*options, "-s", "S", "-H", str(copy), "-f", str(fasta), str(vcf)]
    if program is None:
        return pysam.bcftools.consensus(*arguments)
    return subprocess.run([program, "consensus", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=["inside pysam", "program"])
def bcftools(request, tool):
    """`consensus` by each bcftools; records that start before a stretch are left out of it, as older ones do."""
    program = None if request.param == "inside pysam" else tool("bcftools")
    usage = pysam.bcftools.consensus.usage() if program is None else subprocess.run(
        [program, "consensus"], capture_output=True, text=True, check=False).stderr  # fmt: skip
    options = ["--regions-overlap", "0"] if "--regions-overlap" in usage else []
    return lambda *arguments: consensus(program, *arguments, *options)


@settings(max_examples=60)
@given(variation())
def test_fasta_is_that_of_bcftools(tmp_path, bcftools, variants):
    letters, records, rng = variants
    vcf = write_vcf(tmp_path / "v.vcf.gz", records, samples=["S", "T"], contigs=letters)
    fasta = write_fasta_text(letters, tmp_path / "genome.fa")
    spans = [("c", 0, len(letters["c"])), ("d", 0, len(letters["d"]))]
    for chrom in ("c", "d", "c"):
        start = rng.randrange(len(letters[chrom]))
        end = rng.randrange(start, len(letters[chrom])) + 1
        if end > 1:  # bcftools takes an end of 1 for none
            spans.append((chrom, start, end))
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        for copy in (1, 2):
            stretches = tmp_path / "stretches.fa"
            with stretches.open("w") as handle:
                for chrom, start, end in spans:
                    text = letters[chrom][start:end]
                    handle.write(f">{chrom}:{start + 1}-{end} S copy {copy}\n")
                    handle.writelines(text[i : i + 60] + "\n" for i in range(0, len(text), 60))
            ours = tmp_path / "ours.fa"
            with HaplotypeGenome(genome, vcf, sample="S", copy=copy) as opened, ours.open("w") as handle:
                module.write_records(_frame(spans), opened, handle)
            assert ours.read_text() == bcftools(vcf, stretches, copy)


def _frame(spans):
    return module.pd.DataFrame(spans, columns=["chrom", "start", "end"])


@settings(max_examples=60)
@given(variation())
def test_positions_are_those_of_bcftools_chain_file(tmp_path, variants):
    letters, records, _ = variants
    vcf = write_vcf(tmp_path / "v.vcf.gz", records, samples=["S", "T"], contigs=letters)
    fasta = write_fasta_text(letters, tmp_path / "genome.fa")
    chain = tmp_path / "chain.txt"
    consensus(None, vcf, fasta, 1, "--chain", str(chain))
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        for name, text in zip(letters, chain.read_text().split("chain ")[1:], strict=True):
            found = haplotype(genome, vcf, name, 0, len(letters[name]), sample="S")
            blocks, here, there = [], 0, 0
            for line in text.splitlines()[1:]:
                length, *gaps = map(int, line.split() or [0])
                blocks += [(here, there, length)] if length else []
                here, there = here + length + sum(gaps[:1]), there + length + sum(gaps[1:])
            assert [block for block in zip(*map(list, found.positions), strict=True) if block[2]] == blocks
            assert (found.positions.reference[-1], found.positions.haplotype[-1]) == (here, there)
            assert there == len(found.sequence)


# Positions ----------------------------------------------------------------------------------------------------


def test_positions_by_hand(spell):
    found = spell("ACGTACGTAC", [(2, "C", "CTT", "1|0"), (5, "ACG", "A", "1|0"), (9, "A", "G", "1|0")])
    assert found.sequence == "ACTTGTATGC"
    assert list(map(list, found.positions)) == [[0, 2, 7, 10], [0, 4, 7, 10], [2, 3, 3, 0]]
    assert found.positions.to_reference(range(11)).tolist() == [0, 1, 2, 2, 2, 3, 4, 7, 8, 9, 10]
    assert found.positions.to_haplotype(range(11)).tolist() == [0, 1, 4, 5, 6, 7, 7, 7, 8, 9, 10]
    assert found.positions.to_reference(3) == 2
    assert found.positions.to_reference([]).tolist() == []


def test_positions_count_from_the_chromosome(spell):
    found = spell("ACGTACGTAC", [(5, "ACG", "A", "1|0"), (3, "G", "T", "0|0")][:1], span=(3, 9))
    assert found.sequence == "TATA"
    assert found.positions.to_reference([0, 2, 4]).tolist() == [3, 7, 9]
    assert found.positions.to_haplotype([3, 9]).tolist() == [0, 4]


def test_positions_of_gaps_at_both_ends(spell):
    found = spell("ACGTACGTAC", [(1, "ACG", "TT", "1|0"), (9, "AC", "A", "1|0")])
    assert found.sequence == "TTTACGTA"
    assert found.positions.to_reference(range(9)).tolist() == [0, 3, 3, 4, 5, 6, 7, 8, 10]
    assert found.positions.to_haplotype(range(11)).tolist() == [0, 2, 2, 2, 3, 4, 5, 6, 7, 8, 8]


@pytest.mark.parametrize(("name", "place"), [("to_reference", 9), ("to_reference", -1), ("to_haplotype", 11)])
def test_positions_outside_are_refused(spell, name, place, refused):
    positions = spell("ACGTACGTAC", [(1, "ACG", "A", "1|0")]).positions
    with refused("positions", place):
        getattr(positions, name)([0, place])


@given(variation())
@settings(max_examples=40)
def test_positions_keep_order_and_letters(tmp_path, variants):
    letters, records, _ = variants
    vcf = write_vcf(tmp_path / "v.vcf.gz", records, samples=["S", "T"], contigs=letters)
    fasta = write_fasta_text(letters, tmp_path / "genome.fa")
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        found = haplotype(genome, vcf, "c", 0, len(letters["c"]), sample="S", copy=2)
    positions = found.positions
    there = positions.to_reference(np.arange(len(found.sequence) + 1))
    assert (np.diff(there) >= 0).all()
    assert there[-1] == len(letters["c"])
    aligned = np.concatenate([np.arange(start, start + n) for start, n in zip(*positions[1:], strict=True)])
    assert (positions.to_haplotype(there[aligned]) == aligned).all()
    substituted = sum(found.sequence[i].upper() != letters["c"][there[i]].upper() for i in aligned)
    assert substituted <= sum(len(record[2]) for record in records)


# Reading ------------------------------------------------------------------------------------------------------


@given(variation(), st.sampled_from([1, 2, 13]))
@settings(max_examples=30)
def test_pieces_are_small_and_make_the_whole(tmp_path, variants, piece):
    letters, records, _ = variants
    vcf = write_vcf(tmp_path / "v.vcf.gz", records, samples=["S", "T"], contigs=letters)
    fasta = write_fasta_text(letters, tmp_path / "genome.fa")
    with (
        pytest.MonkeyPatch.context() as patch,
        open_genome(fasta, cache=tmp_path / "cache") as genome,
        HaplotypeGenome(genome, vcf, sample="S") as opened,
    ):
        expected = opened.fetch("c", 0, len(letters["c"]))
        patch.setattr(module, "_PIECE", piece)
        read, fetch = [], genome.fetch
        patch.setattr(genome, "fetch", lambda *span: read.append(span) or fetch(*span))
        pieces = list(opened.pieces("c", 0, len(letters["c"])))
    assert "".join(one.letters for one in pieces) == expected
    assert sum(one.length for one in pieces) == len(letters["c"])
    longest = max(piece, *(len(record[column]) for record in records for column in (2, 3)))
    assert max(len(one.letters) for one in pieces) <= longest
    assert 0 < max(end - start for _, start, end in read) <= longest


@pytest.mark.parametrize("form", ["tbi", "csi", "bcf", "numpy integers"])
def test_forms_of_variants(person, tmp_path, form):
    letters, fasta, vcf = person
    expected = list(letters["chr1"])
    for pos in (10, 2_500):
        expected[pos - 1] = expected[pos - 1].translate(SWAP)
    if form == "csi":
        (tmp_path / "person.vcf.gz.tbi").unlink()
        pysam.tabix_index(str(vcf), preset="vcf", csi=True)
    elif form == "bcf":
        pysam.bcftools.view("-Ob", "-o", str(tmp_path / "person.bcf"), str(vcf), catch_stdout=False)
        vcf = tmp_path / "person.bcf"
        pysam.bcftools.index(str(vcf))
    end = np.int64(5_000) if form == "numpy integers" else 5_000
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        assert haplotype(genome, vcf, "chr1", end * 0, end, sample="me").sequence == "".join(expected)


def test_haplotype_genome_has_the_names_of_a_genome(person, tmp_path):
    letters, fasta, vcf = person
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        with HaplotypeGenome(genome, vcf, sample="you", copy=2) as opened:
            assert opened.chromsizes == {"chr1": 5_000, "chr2": 200}
            assert (opened.path, opened.sample, opened.copy) == (vcf, "you", 2)
            assert opened.fetch("chr1", 0, 2_999) == letters["chr1"][:2_999]
            assert opened.fetch("chr1", 2_999, 3_000).upper() != letters["chr1"][2_999].upper()
            assert opened.fetch("chr2", 0, 200) == letters["chr2"]  # known to the VCF, which has no records there
            assert opened.chromosomes() == ["chr1"]
        assert genome.fetch("chr2", 0, 3) == letters["chr2"][:3]


def test_alleles_of_unphased_heterozygotes(spell, refused):
    records = [
        (3, "G", "T", "1/1"),
        (4, "T", "C", "0/1"),
        (6, "C", "A,G", "1/2"),
        (7, "G", "A", "0|1"),
        (8, "T", "A", "./1"),
    ]
    for copy in (1, 2):
        with refused("3 unphased or half missing genotypes of S in c:1-8", "the first 0/1 at c:4", "--allow-unphased"):
            spell("ACGTACGT", records, copy)
        with refused("1 unphased or half missing genotype of S in c:8-8", "the first ./1 at c:8"):
            spell("ACGTACGT", records, copy, span=(7, 8))
    first, second = (spell("ACGTACGT", records, copy, allow_unphased=True) for copy in (1, 2))
    assert (first.sequence, second.sequence) == ("ACTTAAGT", "ACTCAGAA")
    assert first.counts[UNPHASED] == second.counts[UNPHASED] == 3
    assert spell("ACGTACGT", records, span=(0, 3)).counts == Counter({SNV: 1})


@pytest.mark.parametrize("genotype", ["0/1", "1/2", "./1", "1/.", "2/."])
def test_unphased_genotypes_that_are_allowed_are_taken_as_by_bcftools(spell, tmp_path, refused, genotype):
    records = [(3, "G", "T,GAA", genotype)]
    for copy in (1, 2):
        found = spell("ACGTACGT", records, copy, allow_unphased=True)
        expected = consensus(None, tmp_path / "spell.vcf.gz", tmp_path / "spell.fa", copy)
        assert found.sequence == expected.splitlines()[1]
        with refused(f"the first {genotype} at c:3"):
            spell("ACGTACGT", records, copy)


@pytest.mark.parametrize("genotype", ["./0", "0/.", "./.", "0/0"])
def test_genotypes_without_an_allele_to_place_are_no_error(spell, genotype):
    for copy in (1, 2):
        found = spell("ACGTACGT", [(3, "G", "T", genotype)], copy)
        assert found.sequence == "ACGTACGT"
        assert found.counts[UNPHASED] == 0


def test_a_sample_whose_name_htslib_takes_for_a_list_is_itself(spell):
    names = ["a", "b", "a,b", "^a", "-", "-b", "^"]
    rows = [
        (2 + i, "G", "T", " ".join("0|0" if i != j else "1|1" for j in range(len(names)))) for i in range(len(names))
    ]
    for i, name in enumerate(names):
        assert spell("A" + "G" * 9, rows, samples=names, sample=name).sequence == "A" + "G" * i + "T" + "G" * (8 - i)


def test_samples_are_told_apart(spell, refused):
    records = [(3, "G", "T", "1|0 0|1 0|0 0|0 0|0 0|0")]
    names = [f"s{i}" for i in range(6)]
    assert spell("ACGTACGT", records, samples=names, sample="s0").sequence == "ACTTACGT"
    assert spell("ACGTACGT", records, samples=names, sample="s1").sequence == "ACGTACGT"
    assert spell("ACGTACGT", records, 2, samples=names, sample="s1").sequence == "ACTTACGT"
    with refused("spell.vcf.gz", "6 samples (s0, s1, s2, s3, s4, …)", "--sample"):
        spell("ACGTACGT", records, samples=names)
    with refused("spell.vcf.gz", "no sample x", "s0"):
        spell("ACGTACGT", records, samples=names, sample="x")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 60, {1, 2}),
        (0, 20, {2}),
        (0, 21, {1, 2}),
        (20, 40, {1}),
        (21, 30, {1}),  # no record: that of the next one
        (40, 41, {2}),  # a missing genotype: that of the next one
        (50, 60, set()),  # none behind it
    ],
)
def test_ploidies_of_stretches(tmp_path, start, end, expected):
    fasta = write_fasta_text({"c": "A" * 60}, tmp_path / "genome.fa")
    genotypes = {5: "0|0 1|1", 21: "1 .", 31: "0 .", 41: ". .", 50: ".|1 ./."}
    vcf = write_vcf(tmp_path / "v.vcf.gz", [("c", pos, "A", "C", gt, ".") for pos, gt in genotypes.items()],
                    samples=["man", "woman"])  # fmt: skip
    with open_genome(fasta, cache=tmp_path / "cache") as genome, HaplotypeGenome(genome, vcf, sample="man") as opened:
        assert opened.ploidies("c", start, end) == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([(None,), (1,), (0,), (None, None), (0, 0), (None, 1)]))),
       st.integers(1, 10))  # fmt: skip
def test_alleles_are_counted_in_front_of_the_end_or_at_the_first_behind_it(places, end):
    places = sorted(places, key=lambda place: place[0])
    records = (SimpleNamespace(start=start, samples=[SimpleNamespace(allele_indices=gt)]) for start, gt in places)
    called = [(start, len(gt)) for start, gt in places if set(gt) != {None}]
    before = {n for start, n in called if start < end}
    assert count_alleles(records, end) == (before or {n for _, n in called[:1]})


# Refusals -----------------------------------------------------------------------------------------------------


def test_another_reference_is_refused(spell, refused):
    with refused("spell.vcf.gz: c:3: found REF A, expected G", "spell.fa", "another build?"):
        spell("ACGTACGT", [(3, "A", "C", "1|0")])
    assert spell("ACGTACGT", [(3, "A", "C", "1|0")], 2).sequence == "ACGTACGT"  # as bcftools: where it is written in
    with refused("c:3: found REF N, expected G"):
        spell("acgtacgt", [(3, "n", "C", "1|0")])
    with refused("c:2: found REF CGTACGTACGTACGTACGTT…, expected CGTACGTACGTACGTACGTA…"):
        spell("ACGT" * 10, [(2, "CGTACGTACGTACGTACGTTT", "C", "1|0")])


def test_copies_are_two(spell, refused):
    with refused("copy: found 3, expected 1 or 2"):
        spell("ACGT", [], 3)


def test_alleles_that_are_not_there_are_missing(spell):
    found = spell("ACGTACGT", [(3, "G", "T", "2|1"), (4, "T", ".", "1|1")])
    assert found.sequence == "ACGTACGT"
    assert found.counts == Counter({MISSING: 2})


@pytest.mark.parametrize(
    ("chrom", "start", "end", "parts"),
    [
        ("chr9", 0, 5, ("person.fa", "no chromosome chr9")),
        ("chr1", 5, 5, ("person.fa", "chr1:5-5")),
        ("chr1", 0, 5_001, ("person.fa", "0-5000")),
    ],
)
def test_stretches_outside_the_genome_are_refused(person, tmp_path, refused, chrom, start, end, parts):
    _, fasta, vcf = person
    with open_genome(fasta, cache=tmp_path / "cache") as genome, refused(*parts):
        haplotype(genome, vcf, chrom, start, end, sample="me")


@pytest.mark.parametrize(
    ("contigs", "chrom", "parts"),
    [
        (["1", "2"], "chr1", ("no chromosome chr1", "found 1, 2", "b.annotate(", "--rename-chrs", "`1 chr1`")),
        (["chr1", "chr2"], "1", ("no chromosome 1", "`chr1 1`")),
        (["MT"], "chrM", ("no chromosome chrM", "`MT chrM`")),
        ([f"x{i}" for i in range(9)], "chr1", ("no chromosome chr1", "found x0, x1, x2, x3, x4, …)")),
    ],
)
def test_another_naming_is_refused(tmp_path, refused, contigs, chrom, parts):
    fasta = write_fasta_text({chrom: "ACGT"}, tmp_path / "genome.fa")
    vcf = write_vcf(tmp_path / "v.vcf.gz", [(contigs[0], 1, "A", "C", "0|1", ".")], contigs=contigs)
    with open_genome(fasta, cache=tmp_path / "cache") as genome, HaplotypeGenome(genome, vcf) as opened:
        with refused("v.vcf.gz", *parts):
            opened.fetch(chrom, 0, 4)
        with refused("v.vcf.gz", "no records on the chromosomes of", "genome.fa", *parts[1:]):
            opened.chromosomes()


def test_files_that_cannot_be_read_are_refused(person, tmp_path, refused):
    _, fasta, vcf = person
    whole = vcf.read_bytes()
    index = (tmp_path / "person.vcf.gz.tbi").read_bytes()
    plain, cut, bare, text, bcf, other = (
        tmp_path / name for name in ("p.vcf", "cut.vcf.gz", "bare.vcf.gz", "text.gz", "b.bcf", "other.vcf.gz")
    )
    plain.write_text(HEADER)
    gzipped, empty = tmp_path / "g.vcf.gz", tmp_path / "empty.vcf.gz"
    gzipped.write_bytes(gzip.compress(HEADER.encode()))
    empty.write_bytes(gzip.compress(b""))
    for path, pack in ((tmp_path / "g.fa.gz", gzip.compress), (tmp_path / "p.fa", bytes)):
        path.write_bytes(pack(b">chr1 first\nACGT\n"))
    bare.write_bytes(whole)
    cut.write_bytes(whole[:-60])
    other.write_bytes(whole)
    (tmp_path / "text").write_text("no variants\n")
    pysam.tabix_compress(str(tmp_path / "text"), str(text), force=True)
    for path in (cut, text):
        (tmp_path / f"{path.name}.tbi").write_bytes(index)
    (tmp_path / "other.vcf.gz.tbi").write_bytes(b"no index")
    pysam.bcftools.view("-Ob", "-o", str(bcf), str(vcf), catch_stdout=False)
    none = write_vcf(tmp_path / "none.vcf.gz", [], samples=[])
    places = sorted(np.random.default_rng(1).integers(1, 5_000, 20_000))
    quiet = [("chr1", pos, "A", "C", "0|0", f"END={pos}") for pos in places]
    noisy = write_vcf(tmp_path / "noisy.vcf.gz", quiet, samples=["me"], contigs=["chr1"])
    middle = noisy.stat().st_size // 2
    noisy.write_bytes(noisy.read_bytes()[:middle] + bytes(200) + noisy.read_bytes()[middle + 200 :])
    cases = {
        tmp_path / "absent.vcf.gz": ["cannot be read"],
        plain: ["not compressed by bgzip: run `python -c", f"{plain}` and give {tmp_path / 'p.bgzip.vcf.gz'}"],
        gzipped: ["gzip, not bgzip: run `python -c", f"{gzipped}` and give {tmp_path / 'g.bgzip.vcf.gz'}"],
        empty: ["neither VCF nor BCF (found b'',"],
        bare: ["no index", f"{bare}`"],
        bcf: ["no index", f"{bcf}`"],
        text: ["neither VCF nor BCF (found b'no variants\\n', expected ##fileformat=VCF)"],
        tmp_path / "g.fa.gz": ["neither VCF nor BCF (found b'>chr1 first"],
        tmp_path / "p.fa": ["neither VCF nor BCF (found b'>chr1 first"],
        cut: [""],
        other: ["its index cannot be read"],
        none: ["no samples"],
        noisy: ["damaged at chr1:0-5000"],
    }
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        for path, parts in cases.items():
            with refused(path, *parts):
                haplotype(genome, path, "chr1", 0, 5_000, sample=None if path == none else "me")


@pytest.mark.parametrize("form", ["plain", "gzip", "without index", "damaged index", "BCF", "plain BCF"])
def test_the_command_of_a_refusal_helps(person, tmp_path, form):
    letters, fasta, vcf = person
    path = tmp_path / f"it's {form}.{'bcf' if 'BCF' in form else 'vcf.gz'}"
    if "BCF" in form:
        pysam.bcftools.view("-Ou" if "plain" in form else "-Ob", "-o", str(path), str(vcf), catch_stdout=False)
    else:
        packed, plain = vcf.read_bytes(), gzip.decompress(vcf.read_bytes())
        path.write_bytes({"plain": plain, "gzip": gzip.compress(plain)}.get(form, packed))
    if form == "damaged index":
        (tmp_path / f"{path.name}.tbi").write_bytes(b"no index")
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        with pytest.raises(InputError) as caught:
            HaplotypeGenome(genome, path, sample="me")
        command = shlex.split(re.search("`(.+)`", str(caught.value))[1])
        subprocess.run([sys.executable, *command[1:]], check=True)
        helped = Path(given[1]) if (given := re.search("and give (.+)$", str(caught.value))) else path
        found = haplotype(genome, helped, "chr1", 0, 5_000, sample="me").sequence
    assert command[0] == "python"
    assert [i + 1 for i in range(5_000) if found[i] != letters["chr1"][i]] == [10, 2_500]


def test_the_command_that_renames_chromosomes_helps(tmp_path, monkeypatch):
    fasta = write_fasta_text({"chr1": "ACGT"}, tmp_path / "genome.fa")
    vcf = write_vcf(tmp_path / "v.vcf.gz", [("1", 1, "A", "C", "1|1", ".")], contigs=["1"])
    monkeypatch.chdir(tmp_path)
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        with pytest.raises(InputError) as caught:
            haplotype(genome, vcf, "chr1", 0, 4)
        line, command = re.findall("`(.+?)`", str(caught.value))
        (tmp_path / "names.txt").write_text(f"{line}\n")
        subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True)
        assert haplotype(genome, tmp_path / "renamed.vcf.gz", "chr1", 0, 4).sequence == "CCGT"


@pytest.mark.parametrize(
    ("what", "one"),
    [(INDEL, "indel"), (UNPHASED, "unphased or half missing genotype"), (DELETED, "allele *"), ("stretches", "stretch"),
     (OVERLAPPING, OVERLAPPING), (BEFORE, BEFORE)],
)  # fmt: skip
def test_numbers_are_said_in_one_and_many(what, one):
    assert spell_number(1, what) == f"1 {one}"
    assert spell_number(0, what) == f"0 {what}"
    assert spell_number(1_234, what) == f"1,234 {what}"


# The command --------------------------------------------------------------------------------------------------


def run(fasta, vcf, output, *arguments):
    cli.app(["haplotypes", "--genome", str(fasta), "--vcf", str(vcf), "--output", str(output),
             "--cache", str(output.parent / "cache"), *arguments], standalone_mode=False)  # fmt: skip


def read_fasta(path):
    records = path.read_text().split(">")[1:]
    return {record.splitlines()[0]: "".join(record.splitlines()[1:]) for record in records}


def test_command_writes_whole_chromosomes(person, tmp_path, capsys):
    letters, fasta, vcf = person
    run(fasta, vcf, tmp_path / "out", "--sample", "me")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["me.1.fa", "me.2.fa", "me.json"]
    with open_genome(fasta, cache=tmp_path / "cache") as genome:
        for copy in (1, 2):
            expected = haplotype(genome, vcf, "chr1", 0, 5_000, sample="me", copy=copy)
            assert read_fasta(tmp_path / f"out/me.{copy}.fa") == {f"chr1:1-5000 me copy {copy}": expected.sequence}
    assert read_fasta(tmp_path / "out/me.1.fa") != read_fasta(tmp_path / "out/me.2.fa")
    record = json.loads((tmp_path / "out/me.json").read_text())
    assert [record["counts"][copy][SNV] for copy in ("1", "2")] == [2, 2]
    assert record["parameters"] == {"sample": "me", "region": None, "allow_unphased": False}
    told = capsys.readouterr().err
    assert "me, copy 1: 2 SNVs, 0 MNVs, 0 indels (left out: none)" in told
    assert "left out: 1 of the genome's 2 chromosomes" in told
    assert f"1 stretch, {len(letters['chr1']):,} nt" in told


@pytest.mark.parametrize("region", ["chr2", "2"])
def test_command_writes_a_whole_chromosome(person, tmp_path, region, monkeypatch):
    letters, fasta, vcf = person
    monkeypatch.chdir(tmp_path)
    Path(region).mkdir()  # a chromosome, whatever else has its name
    run(fasta, vcf, tmp_path / "out", "--sample", "me", "--region", region)
    for copy in (1, 2):
        assert read_fasta(tmp_path / f"out/me.{copy}.fa") == {f"chr2:1-200 me copy {copy}": letters["chr2"]}


@pytest.mark.parametrize("form", ["text", "other naming", "bed"])
def test_command_writes_regions(person, tmp_path, form):
    letters, fasta, vcf = person
    region = {"text": "chr1:2,001-2600", "other naming": "1:2001-2600"}.get(form)
    names = ["chr1:2001-2600"]
    if region is None:
        region, names = str(tmp_path / "regions.bed"), ["chr2:1-200", "chr1:2001-2600", "chr1:2001-2600"]
        (tmp_path / "regions.bed").write_text("chr2\t0\t200\nchr1\t2000\t2600\nchr1\t2000\t2600\n")
    run(fasta, vcf, tmp_path / "out", "--sample", "me", "--region", region)
    written = (tmp_path / "out/me.2.fa").read_text()
    assert [line for line in written.splitlines() if line.startswith(">")] == [f">{name} me copy 2" for name in names]
    found = read_fasta(tmp_path / "out/me.2.fa")["chr1:2001-2600 me copy 2"]
    assert [i for i in range(600) if found[i] != letters["chr1"][2_000 + i]] == [499]


def test_command_counts_what_is_left_out(tmp_path, capsys):
    fasta = write_fasta_text({"c": "ACGTACGT"}, tmp_path / "genome.fa")
    records = [("c", 2, "CGT", "C", "1|0", "."), ("c", 3, "G", "A", "1|0", "."), ("c", 6, "C", "T", "1", "."),
               ("c", 7, "G", "T", "0/1", ".")]  # fmt: skip
    vcf = write_vcf(tmp_path / "v.vcf.gz", records, samples=["a/b c"])
    run(fasta, vcf, tmp_path / "out", "--allow-unphased")
    assert read_fasta(tmp_path / "out/a_b_c.1.fa") == {"c:1-8 a/b c copy 1": "ACATGT"}
    assert read_fasta(tmp_path / "out/a_b_c.2.fa") == {"c:1-8 a/b c copy 2": "ACGTACTT"}
    told = capsys.readouterr().err
    assert "copy 1: 1 SNV, 0 MNVs, 1 indel (left out: 1 overlapping another record); 1 unphased" in told
    assert "copy 2: 1 SNV, 0 MNVs, 0 indels (left out: 1 haploid genotype); 1 unphased or half missing genotype" in told


def test_command_writes_names_of_any_letters(tmp_path):
    (tmp_path / "genome.fa").write_text(">chré\nACGTACGT\n", encoding="utf-8")
    vcf = write_vcf(tmp_path / "v.vcf.gz", [("chré", 3, "G", "T", "0|1", ".")], samples=["José"], contigs=["chré"])
    run(tmp_path / "genome.fa", vcf, tmp_path / "out")
    for copy, letters in ((1, "ACGTACGT"), (2, "ACTTACGT")):
        written = (tmp_path / f"out/José.{copy}.fa").read_text(encoding="utf-8")
        assert written == f">chré:1-8 José copy {copy}\n{letters}\n"


@pytest.fixture
def man(tmp_path):
    """A genome and the VCF of a man: two copies of chr1 and of an end of chrX, one of chrX; on chrY nothing called."""
    letters = {"chr1": random_letters(90, 1), "chrX": random_letters(80, 2), "chrY": random_letters(70, 3)}
    genotypes = [("chr1", 10, "0|1"), ("chrX", 5, "1|0"), ("chrX", 30, "1"), ("chrX", 60, "1"), ("chrY", 9, ".")]
    refs = [letters[chrom][pos - 1] for chrom, pos, _ in genotypes]
    records = [(*place, ref, ref.translate(SWAP), gt, ".")
               for (*place, gt), ref in zip(genotypes, refs, strict=True)]  # fmt: skip
    vcf = write_vcf(tmp_path / "v.vcf.gz", records, samples=["man"], contigs=letters)
    return letters, write_fasta_text(letters, tmp_path / "genome.fa"), vcf


def test_command_leaves_out_of_the_second_copy_what_there_is_one_of(man, tmp_path, capsys):
    letters, fasta, vcf = man
    (tmp_path / "regions.bed").write_text("chrX\t20\t40\nchr1\t0\t90\nchrX\t44\t50\n")
    run(fasta, vcf, tmp_path / "out", "--region", str(tmp_path / "regions.bed"))
    first, second = (read_fasta(tmp_path / f"out/man.{copy}.fa") for copy in (1, 2))
    assert list(first) == ["chrX:21-40 man copy 1", "chr1:1-90 man copy 1", "chrX:45-50 man copy 1"]
    assert first["chrX:21-40 man copy 1"] != letters["chrX"][20:40]
    assert list(second) == ["chr1:1-90 man copy 2"]
    assert second["chr1:1-90 man copy 2"] != letters["chr1"]
    assert json.loads((tmp_path / "out/man.json").read_text())["one_copy"] == ["chrX:21-40", "chrX:45-50"]
    told = capsys.readouterr().err
    assert "man has one copy of chrX:21-40, chrX:45-50: all genotypes there are haploid" in told
    assert "warning" not in told


def test_command_writes_no_second_copy_where_there_is_none(man, tmp_path, capsys):
    _, fasta, vcf = man
    for region, written in [("chr1:1-90", ["man.1.fa", "man.2.fa", "man.json"]),
                            ("chrX:21-80", ["man.1.fa", "man.json"])]:  # fmt: skip
        run(fasta, vcf, tmp_path / "out", "--region", region)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == written
    record = json.loads((tmp_path / "out/man.json").read_text())
    assert (record["one_copy"], list(record["counts"])) == (["chrX:21-80"], ["1"])
    assert "man.2.fa" not in capsys.readouterr().err.splitlines()[-1]


def test_command_warns_of_letters_that_may_not_be_the_samples(man, tmp_path, capsys):
    letters, fasta, vcf = man
    run(fasta, vcf, tmp_path / "out")
    second = read_fasta(tmp_path / "out/man.2.fa")
    assert list(second) == ["chr1:1-90 man copy 2", "chrX:1-80 man copy 2", "chrY:1-70 man copy 2"]
    assert second["chrY:1-70 man copy 2"] == letters["chrY"]
    told = capsys.readouterr().err
    assert "warning: chrX:1-80: some genotypes are haploid, others are not" in told
    assert "warning: chrY:1-70: the VCF has no genotype of man there" in told
    assert "one copy of chr" not in told
    assert "2 haploid genotypes" in told


def test_command_names_a_few_of_many_stretches(man, tmp_path, capsys):
    _, fasta, vcf = man
    (tmp_path / "regions.bed").write_text("".join(f"chrX\t{start}\t{start + 5}\n" for start in range(20, 50, 5)))
    run(fasta, vcf, tmp_path / "out", "--region", str(tmp_path / "regions.bed"))
    assert "one copy of chrX:21-25, chrX:26-30, chrX:31-35 and 3 more: all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--region", "chr1:0-5"], ("--region", "chr1:0-5", "at least 1")),
        (["--region", "chr1:9-5"], ("--region", "chr1:9-5")),
        (["--region", "chr1:,-5"], ("--region", "chr1:,-5")),
        (["--region", "chr7"], ("--region", "chr7", "a chromosome of the genome, such as chr1", "chrom:start-end")),
        (["--region", "chr7:1-5"], ("chr7",)),
        (["--region", "chr1:1-5001"], ("chr1:1-5001", "passes the end")),
    ],
)
def test_command_refuses_regions(person, tmp_path, refused, arguments, parts):
    _, fasta, vcf = person
    with refused(*parts):
        run(fasta, vcf, tmp_path / "out", "--sample", "me", *arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("ref", "genotype"), [("A", "0|1"), ("G", "0/1")])
def test_command_leaves_and_says_nothing_where_one_copy_fails(tmp_path, capsys, ref, genotype):
    fasta = write_fasta_text({"c": "ACGTACGT"}, tmp_path / "genome.fa")
    vcf = write_vcf(tmp_path / "v.vcf.gz", [("c", 3, ref, "C", genotype, ".")])
    with pytest.raises(InputError):
        run(fasta, vcf, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert capsys.readouterr().err == ""
