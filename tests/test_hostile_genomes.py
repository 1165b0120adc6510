"""Genomes, sequences and variants of every odd kind: read as what they are, or refused in one line."""

from __future__ import annotations

import gzip
import io
import os
import resource
import shutil
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import py2bit
import pysam
import pysam.bcftools
import pytest
from Bio import SeqIO
from conftest import random_letters
from hostile_genomes import blocked, parse, use
from hypothesis import given, settings
from hypothesis import strategies as st
from twobit import write_twobit

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.fasta_index import MAX_NAME, BlockedText, PlainText, is_index_of, read_index
from neanderthal_nlp.files import FOLDED
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import count_kmers, get_kmers
from neanderthal_nlp.predict import cut_records, read_records, slide
from neanderthal_nlp.sequences import find_gaps
from neanderthal_nlp.tracks import write_bigwig
from neanderthal_nlp.twobit import TwoBitFile
from neanderthal_nlp.variant_index import is_variant_index_of
from neanderthal_nlp.variants import open_variants


@pytest.fixture
def read(tmp_path):
    """Letters of a genome by chromosome, of bytes of FASTA."""

    def opened(raw, name="genome.fa"):
        path = tmp_path / name
        path.write_bytes(raw)
        with open_genome(path, cache=tmp_path / "cache") as genome:
            return use(genome)

    return opened


@pytest.fixture
def records(tmp_path):
    """Records of bytes of FASTA, their letters checked."""

    def found(raw, **arguments):
        path = tmp_path / "mine.fa"
        path.write_bytes(raw)
        pairs = list(read_records(path, **arguments))
        list(cut_records(pairs, 10, min_length=4, source=path))
        return pairs

    return found


# Letters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", "NRYKMSWBDHVnryk")
def test_iupac_codes_are_letters_and_break_words(read, records, code):
    text = f"ACGT{code}ACGT"
    assert read(f">a\n{text}\n".encode()) == {"a": text}
    assert records(f">a\n{text}\n".encode()) == [("a", text)]
    assert count_kmers([text], 3).sum() == sum(set(word) <= set("ACGT") for word in get_kmers(text, 3)) == 4


@pytest.mark.parametrize("letter", ["-", ".", "*", "X", "\t", "1"])
def test_letters_that_are_not_dna_are_named_by_predict(records, refused, letter):
    with refused("mine.fa: a: letter 9", repr(letter), "expected DNA"):
        records(f">a\nACGTAC\nGT{letter}A\n".encode())


@pytest.mark.parametrize("letter", ["-", ".", "*", "X"])
def test_gaps_of_alignments_break_words_in_a_genome(read, letter):
    assert read(f">a\nACGT{letter}\nACG\n".encode()) == {"a": f"ACGT{letter}ACG"}
    assert count_kmers([f"ACGT{letter}ACG"], 3).sum() == 3


@pytest.mark.parametrize(
    ("text", "named"), [("ACGU" * 9, "RNA"), ("acgu" * 9, "RNA"), ("MKLVPEFIQ", "protein"), ("MKLVPE*", "protein")]
)
def test_rna_and_protein_are_recognised(read, records, refused, text, named):
    with refused("genome.fa: a: letter", named):
        read(f">a\n{text}\n".encode())
    with refused("mine.fa: a: letter", named):
        records(f">a\n{text}\n".encode())


def test_rna_far_behind_is_recognised_by_a_scan(tmp_path, refused):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">a\n" + b"ACGT" * 10_000 + b"ACGU" * 1_000 + b"\n")
    whole = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [44_000]})
    with open_genome(path, cache=tmp_path / "cache") as genome, refused("genome.fa: a: letter 40,004", "RNA"):
        list(slide(whole, genome, 100, step=50))


@pytest.mark.parametrize("odd", [*"UIELPFQ", "U" * 100, "UL*"])
@pytest.mark.parametrize("before", [0, 40_000])
def test_a_few_odd_letters_make_a_genome_neither_rna_nor_protein(tmp_path, odd, before):
    path = tmp_path / "genome.fa"
    text = "ACGT" * (before // 4) + odd + "ACGT" * 10_000
    path.write_text(f">a\n{text}\n")
    with open_genome(path, cache=tmp_path / "cache") as genome:
        whole = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [len(text)]})
        found = [stretch.sequence for stretch in slide(whole, genome, 100, step=100)]
    assert found == [text[start : start + 100] for start in range(0, len(text) - 99, 100)]


def test_words_of_lower_case_count_as_those_of_upper_case(records):
    ((_, text),) = records(b">a\nacgtACGT\n")
    assert (count_kmers([text], 3) == count_kmers([text.upper()], 3)).all()


# Lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b">a\nAC GT\nAC GT\n", "' ' among the letters"),
        (b">a\nACGTACGT\nAC G\n", "line 3: found ' ' among the letters"),
        (b">a\nAC\tGT\n", "among the letters"),
        (b">a\nACGT\nAC\0T\n", "among the letters"),
        (b">a\nACGT\n\xc3\xa9CG\n", "among the letters"),
        (b">a\n\nACGT\n", "line 3: found letters after an empty line"),
        (b">a\nACGT\n\nACGT\n", "line 4: found letters after an empty line"),
        (b">a\rACGT\r>b\rACGT\r", "CR alone"),
        (b">a\nACGT\n>a\nGGGG\n", "line 3: found a second a"),
        (b">\nACGT\n", "line 1: found a record without name"),
        (b">a\n>b\n>c", "line 3: found no letters of c"),
        (b">a\nACGT\n>b\n", "line 3: found no letters of b"),
        (b">a\n\n\n", "no letters of a"),
        (b">a\nACGT\n@b\nACGT\n+\nIIII\n", "line 4"),
        (b">\xff\xfe\nACGT\n", "expected printable letters in UTF-8"),
        (b">a\0b\nACGT\n", "expected printable letters in UTF-8"),
        (b">a\x1b[2Jb\nACGT\n", "expected 1 to 255 printable bytes"),
    ],
)
@pytest.mark.parametrize("form", ["plain", "bgzip", "gzip"])
def test_lines_by_which_samtools_would_read_other_letters_are_refused(read, refused, capfd, raw, named, form):
    packed = {"plain": raw, "bgzip": blocked(raw), "gzip": gzip.compress(raw, mtime=0)}[form]
    with refused("genome.fa", named):
        read(packed)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raw", "letters"),
    [
        (b">a\r\nACGT\r\nAC\r\n", {"a": "ACGTAC"}),
        (b">a x y\nACGT\n\n\n>b\nAC", {"a": "ACGT", "b": "AC"}),
        (b">a\nACGT  \nACGT  \nA\n", {"a": "ACGTACGTA"}),
        (b">none\n>a\nACGT\n>neither\n>b\nA\n", {"a": "ACGT", "b": "A"}),
        (b"> a\nACGT\n", {"a": "ACGT"}),
        (b">a \xff\xfe\nACGT\n", {"a": "ACGT"}),
        (">é|ü:1-2/..\\\"'$(id)\nACGT\n".encode(), {"é|ü:1-2/..\\\"'$(id)": "ACGT"}),
        (b">" + b"x" * MAX_NAME + b"\nACGT\n", {"x" * MAX_NAME: "ACGT"}),
    ],
)
def test_odd_fasta_is_read(read, letters, raw):
    assert read(raw) == parse(raw) == letters


@pytest.mark.parametrize(
    "name",
    [b"#chr1", b"x" * (MAX_NAME + 1), b"x" * 2_000_000, "a\u2028b".encode(), "a\u200bb".encode(), "a\xa0b".encode()],
)
def test_names_that_break_tables_are_refused(read, refused, name):
    with refused("genome.fa"):
        read(b">" + name + b"\nACGT\n")


TEXTS = st.lists(
    st.one_of(
        st.text("ACGTNacgtnRU-*> ;@", max_size=12), st.sampled_from(["", ">a", ">b x", ">c", ">", "ACGT", "ACGT"])
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(lines=TEXTS, newline=st.sampled_from(["\n", "\r\n"]), end=st.booleans(), packed=st.booleans())
def test_any_fasta_that_is_read_has_the_letters_that_a_loop_finds(tmp_path_factory, lines, newline, end, packed):
    raw = (">first\n" + newline.join(lines) + newline * end).encode()
    folder = tmp_path_factory.mktemp("any")
    (folder / "genome.fa").write_bytes(blocked(raw, 7) if packed else raw)
    with suppress(InputError), open_genome(folder / "genome.fa", cache=folder / "cache") as genome:
        assert use(genome) == parse(raw)


@settings(max_examples=150)
@given(lines=TEXTS, newline=st.sampled_from(["\n", "\r\n", "\r"]), packed=st.booleans())
def test_records_are_those_of_seqio(lines, newline, packed):
    raw = (">first" + newline + newline.join(lines)).encode()
    text = io.StringIO(raw.decode(), newline=None)
    expected = [(record.id, str(record.seq)) for record in SeqIO.parse(text, "fasta")]
    source = io.BytesIO(gzip.compress(raw) if packed else raw)
    if all(name and letters for name, letters in expected):
        assert list(read_records(source)) == expected
    else:
        with pytest.raises(InputError, match="found no"):
            list(read_records(source))


# Indexes ------------------------------------------------------------------------------------------------------

FASTA = b">a\n" + b"ACGTACGTAC\n" * 3 + b"ACG\n>b x\nGGGGGGGGGG\n>c\nTTTTTTTTTTT\n"
INDEX = "a\t33\t3\t10\t11\nb\t10\t45\t10\t11\nc\t11\t59\t11\t12\n"


@pytest.fixture
def fasta(tmp_path):
    """A FASTA file."""
    path = tmp_path / "genome.fa"
    path.write_bytes(FASTA)
    return path


def test_the_index_that_samtools_makes_is_the_files(fasta):
    pysam.faidx(str(fasta))
    index = Path(f"{fasta}.fai")
    assert index.read_text() == INDEX
    assert is_index_of(index, PlainText(fasta))


def test_an_index_of_what_claims_to_be_huge_takes_no_more_memory_than_it_has(fasta):
    index = Path(f"{fasta}.fai")
    index.write_text(INDEX)
    assert [entry.name for entry in read_index(index, limit=1 << 62)] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="too long"):
        read_index(index, limit=len(INDEX) - 1)


@pytest.mark.parametrize(
    "wrong",
    [
        INDEX.replace("33", "32"), INDEX.replace("33", "34"), INDEX.replace("\t3\t", "\t4\t"),
        INDEX.replace("a\t33\t3\t10\t11", "a\t33\t3\t11\t12"), INDEX.replace("a\t33\t3\t10\t11", "a\t33\t3\t9\t10"),
        INDEX.replace("a\t33\t3\t10\t11", "a\t33\t3\t10\t12"), INDEX.replace("b\t", "B\t"), INDEX.replace("b\t", "a\t"),
        INDEX.replace("c\t11", "c\t12"), INDEX.replace("c\t11", "c\t9223372036854775807"), INDEX.replace("11", "0"),
        INDEX.replace("59", "-59"), INDEX.replace("45", "18446744073709551616"), INDEX.replace("\t", " "), "", "\n",
        "".join(INDEX.splitlines(True)[:2]), "".join(INDEX.splitlines(True)[1:]), INDEX + INDEX, "x" * 10_000,
        "".join(reversed(INDEX.splitlines(True))), INDEX.replace("10\t11", "0\t0"), INDEX.replace("33", "3" * 5_000),
        INDEX + "\n\n", INDEX.replace("33", "+33"), INDEX.replace("33", "3_3"),
        # samtools looks at these of a sequence on one line, too
        INDEX.replace("45\t10\t11", f"45\t10\t{10**40}"), INDEX.replace("45\t10\t11", f"45\t{10**40}\t{10**41}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["beside", "cached"])
def test_an_index_that_is_not_the_files_is_made_anew(fasta, tmp_path, wrong, place):
    cache = tmp_path / "cache"
    if place == "cached":
        open_genome(fasta, cache=cache).close()
    index = next(cache.rglob("genome.fai")) if place == "cached" else Path(f"{fasta}.fai")
    index.write_text(wrong)
    assert not is_index_of(index, PlainText(fasta))
    with open_genome(fasta, cache=cache) as genome:
        assert use(genome) == parse(FASTA)
        assert list(genome.chromsizes.items()) == [("a", 33), ("b", 10), ("c", 11)]


def test_an_index_in_the_cache_of_a_file_from_the_future_is_used(fasta, tmp_path):
    os.utime(fasta, (2**32, 2**32))
    made = []
    for _ in range(2):
        open_genome(fasta, cache=tmp_path / "cache").close()
        made.append(next(tmp_path.rglob("genome.fai")).stat().st_ino)
    assert made[0] == made[1]


def test_every_other_index_of_blocks_is_made_anew(tmp_path):
    text = f">a\n{random_letters(400, 1)}\n".encode()
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(blocked(text, 40))
    pysam.faidx(str(path))
    fai, gzi = Path(f"{path}.fai"), Path(f"{path}.gzi")
    right = gzi.read_bytes()
    assert is_index_of(fai, BlockedText(path), gzi)
    entries = np.frombuffer(right, "<u8", offset=8).reshape(-1, 2)
    assert len(entries) > 5
    shifted, fewer = entries + np.array([0, 1], dtype="<u8"), np.delete(entries, 3, axis=0)
    wrong = [b"", right[:-1], right[:-16], right + right, struct.pack("<Q", 1 << 60) + right[8:]]
    wrong += [struct.pack("<Q", len(table)) + table.tobytes() for table in (shifted, fewer, entries[::-1])]
    for content in wrong:
        gzi.write_bytes(content)
        assert not is_index_of(fai, BlockedText(path), gzi)
        with open_genome(path, cache=tmp_path / "cache") as genome:
            assert use(genome) == parse(text)


@given(raw=st.binary(max_size=300), size=st.integers(1, 50), span=st.tuples(st.integers(0, 299), st.integers(0, 299)))
def test_text_of_blocks_is_what_gzip_unpacks(tmp_path_factory, raw, size, span):
    path = tmp_path_factory.mktemp("blocks") / "text.gz"
    path.write_bytes(blocked(raw, size))
    text = BlockedText(path)
    start, end = sorted(min(place, len(raw)) for place in span)
    assert (text.size, text.read(start, end)) == (len(raw), raw[start:end])
    text.close()


def test_a_damaged_copy_in_the_cache_is_made_anew(tmp_path):
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(FASTA, mtime=0))
    open_genome(path, cache=tmp_path / "cache").close()
    (copy,) = tmp_path.rglob("cache/*/genome.fa.gz")
    copy.write_bytes(copy.read_bytes()[:-40])
    with open_genome(path, cache=tmp_path / "cache") as genome:
        assert use(genome) == parse(FASTA)


def test_an_index_of_variants_ends_where_they_end(tmp_path):
    head = b"##fileformat=VCFv4.2\n##contig=<ID=c,length=9999>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    for form in ("tbi", "csi"):
        path, index = tmp_path / "x.vcf.gz", tmp_path / f"x.vcf.gz.{form}"
        for n in (0, 1, 900):
            path.write_bytes(
                blocked(head + b"".join(b"c\t%d\t.\tA\tC\t.\t.\t.\n" % place for place in range(1, n + 1)))
            )
            index.unlink(missing_ok=True)
            pysam.tabix_index(str(path), preset="vcf", csi=form == "csi")
            assert is_variant_index_of(index, path)
        path.write_bytes(blocked(head + b"".join(b"c\t%d\t.\tA\tC\t.\t.\t.\n" % place for place in range(1, 901, 2))))
        assert not is_variant_index_of(index, path)


LONG_HEAD = (
    b"##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description=G>\n"
    + b"".join(b"##contig=<ID=contig_%d,length=9999>\n" % number for number in range(200))
    + b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
)
CALL = b"contig_7\t9\t.\tA\tC\t.\t.\t.\tGT\t0|1\n"


@pytest.mark.parametrize("form", ["tbi", "csi", "bcf", "bcftools"])
def test_variants_without_records_are_read_if_the_header_takes_many_blocks(tmp_path, refused, form):
    path = tmp_path / ("x.bcf" if form == "bcf" else "x.vcf.gz")

    def write(raw):
        path.write_bytes(blocked(raw))
        if form == "bcf":
            (tmp_path / "plain.vcf").write_bytes(raw)
            pysam.bcftools.view("-Ob", "-o", str(path), str(tmp_path / "plain.vcf"), catch_stdout=False)
            path.write_bytes(blocked(gzip.decompress(path.read_bytes())))

    write(LONG_HEAD)
    if form in ("tbi", "csi"):
        pysam.tabix_index(str(path), preset="vcf", csi=form == "csi")
    else:
        pysam.bcftools.index(str(path))
    with open_variants(path) as file:
        assert len(file.header.contigs) == 200
        assert list(file.fetch("contig_7")) == []
    write(LONG_HEAD + CALL)
    with refused(path, "of another version"):
        open_variants(path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_index_of_one_level_without_its_bin_is_refused(tmp_path, refused, number):
    path, index = tmp_path / "x.bcf", tmp_path / "x.bcf.csi"
    (tmp_path / "plain.vcf").write_bytes(LONG_HEAD + CALL)
    pysam.bcftools.view("-Ob", "-o", str(path), str(tmp_path / "plain.vcf"), catch_stdout=False)
    path.write_bytes(blocked(gzip.decompress(path.read_bytes())))
    pysam.bcftools.index(str(path))
    raw = bytearray(gzip.decompress(index.read_bytes()))
    assert struct.unpack_from("<3i", raw, 4) == (14, 0, 0)
    place = 20 + 7 * 4  # behind the number of sequences and those without bins
    assert struct.unpack_from("<iI", raw, place) == (2, 0)
    struct.pack_into("<I", raw, place + 4, number)
    index.write_bytes(blocked(bytes(raw)))
    with refused(path, "its index cannot be read"):
        open_variants(path)


def test_an_index_may_end_where_the_file_ends(tmp_path):
    path, index = tmp_path / "x.vcf.gz", tmp_path / "x.vcf.gz.tbi"
    path.write_bytes(blocked(LONG_HEAD + CALL))
    pysam.tabix_index(str(path), preset="vcf")
    raw, size = bytearray(gzip.decompress(index.read_bytes())), path.stat().st_size
    ends = [struct.pack("<Q", (size - 28 << 16) + within) for within in range(1 << 10)]
    (place,) = {raw.find(end) for end in ends} - {-1}
    for end, is_right in ((size, True), (size + 1, False), (size - 1, False), (0, False)):
        struct.pack_into("<Q", raw, place, end << 16)
        index.write_bytes(blocked(bytes(raw)))
        assert is_variant_index_of(index, path) == is_right


@pytest.mark.parametrize("stale", [".csi", ".tbi"])
def test_of_two_indexes_of_variants_the_right_one_is_used(tmp_path, stale):
    path = tmp_path / "x.vcf.gz"
    path.write_bytes(blocked(LONG_HEAD + CALL))
    for csi in (False, True):
        pysam.tabix_index(str(path), preset="vcf", csi=csi)
    Path(f"{path}{stale}").write_bytes(b"of another file")
    with open_variants(path) as file:
        assert [record.pos for record in file.fetch("contig_7")] == [9]


def test_a_bcf_without_one_of_its_contigs_is_refused(tmp_path, refused):
    path = tmp_path / "x.bcf"
    (tmp_path / "plain.vcf").write_bytes(LONG_HEAD + CALL)
    pysam.bcftools.view("-Ob", "-o", str(path), str(tmp_path / "plain.vcf"), catch_stdout=False)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(blocked(content.replace(b"ID=contig_3,", b"ID?contig_3,")))
    pysam.bcftools.index(str(path))
    with refused(path, "a contig of its header is missing"):
        open_variants(path)


# 2bit ---------------------------------------------------------------------------------------------------------


def twobit(path, *, size=8, unknown=(), masked=(), name=b"a", version=0, count=1, letters=b"\x1b\x1b"):
    """A 2bit file of one record with runs as they are given."""
    tables = [[len(rows), *(start for start, _ in rows), *(length for _, length in rows)] for rows in (unknown, masked)]
    runs = b"".join(struct.pack(f"<{len(table)}I", *table) for table in tables)
    index = bytes([len(name)]) + name
    offset = 16 + len(index) + (8 if version == 1 else 4)
    index += struct.pack("<Q" if version == 1 else "<I", offset)
    head = struct.pack("<4I", 0x1A412743, version, count, 0)
    path.write_bytes(head + index + struct.pack("<I", size) + runs + bytes(4) + letters)
    return path


@given(letters=st.lists(st.text("ACGTNacgtn", max_size=40), min_size=1, max_size=4), order=st.sampled_from("<>"))
def test_2bit_is_read_as_written_and_as_by_py2bit(tmp_path_factory, letters, order):
    path = tmp_path_factory.mktemp("twobit") / "genome.2bit"
    write_twobit({f"c{i}": text for i, text in enumerate(letters)}, path, order=order)
    file = TwoBitFile(path)
    assert list(file.sizes.values()) == list(map(len, letters))
    other = py2bit.open(str(path), storeMasked=True) if order == "<" else None
    for name, text in zip(file.sizes, letters, strict=True):
        for start in range(len(text)):
            assert file.fetch(name, start, len(text)) == text[start:].replace("n", "N")
            if other is not None:
                assert file.fetch(name, 0, start + 1) == other.sequence(name, 0, start + 1)
        covered = [place for start, end in file.unknown(name) for place in range(start, end)]
        assert covered == [place for place, letter in enumerate(text) if letter in "Nn"]
    file.close()


def test_2bit_of_long_offsets_and_runs_that_abut(tmp_path):
    with open_genome(
        twobit(tmp_path / "x.2bit", version=1, unknown=[(1, 2), (3, 1)], masked=[(0, 2), (6, 2)])
    ) as genome:
        assert use(genome) == {"a": "tNNNTCag"}
        assert genome.gaps("a")[["start", "end"]].to_numpy().tolist() == [[1, 4]]


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"unknown": [(6, 3)]}, "run 1 of a"),
        ({"unknown": [(4, 1), (2, 1)]}, "run 1 of a"),
        ({"unknown": [(1, 3), (3, 1)]}, "run 1 of a"),
        ({"unknown": [(1, 0)]}, "run 1 of a"),
        ({"masked": [(7, 0xFFFFFFFF)]}, "run 1 of a"),
        ({"masked": [(0xFFFFFFFF, 0xFFFFFFFF)]}, "run 1 of a"),
        ({"size": 9}, "expected 4"),
        ({"size": 0xFFFFFFFF}, "truncated or damaged"),
        ({"count": 2}, "2bit"),
        ({"count": 1 << 31}, "truncated or damaged"),
        ({"count": 0}, "no sequence"),
        ({"version": 2}, "version 2"),
        ({"name": b"\xff"}, "UTF-8"),
        ({"name": b""}, "named ''"),
        ({"name": b"a\tb"}, "named"),
        ({"name": b"a\0b"}, "named"),
        ({"name": b"a b"}, "named"),
        ({"size": 0}, "no sequence has a letter"),
    ],
)
def test_2bit_that_py2bit_would_follow_anywhere_is_refused(tmp_path, refused, fault, named):
    path = twobit(tmp_path / "x.2bit", **fault)
    with refused("x.2bit", named), open_genome(path) as genome:
        use(genome)


def test_2bit_sequences_share_neither_names_nor_places(tmp_path, refused):
    path = write_twobit({"a": "ACGT", "b": "GGGG"}, tmp_path / "x.2bit")
    raw = path.read_bytes()
    path.write_bytes(raw[:23] + b"a" + raw[24:])
    with refused(path, "two sequences named a"):
        open_genome(path)
    path.write_bytes(raw[:24] + raw[18:22] + raw[28:])
    with refused(path, "overlap"):
        open_genome(path)


def test_2bit_that_is_cut_while_it_is_open_is_an_error(tmp_path, refused):
    path = write_twobit({"a": "ACGT" * 10_000}, tmp_path / "x.2bit")
    file = TwoBitFile(path)
    os.truncate(path, 100)
    with refused(path, "truncated"):
        file.fetch("a", 0, 40_000)
    file.close()


# Size ---------------------------------------------------------------------------------------------------------


def test_a_line_of_five_megabytes(read, records):
    text = random_letters(5_000_000, 1, "ACGT")
    raw = f">a\n{text}\n>b\nAC\n".encode()
    assert read(raw) == {"a": text, "b": "AC"}
    assert list(dict(read_records(io.BytesIO(raw))).values()) == [text, "AC"]


def test_records_too_large_for_memory_are_refused(records, refused):
    raw = b">a\nACGT\n>b\n" + b"ACGT\n" * 1_000
    assert len(records(raw, most=70_000)) == 2
    with refused("mine.fa: record 2: found more than 0 MiB", "--regions"):
        records(raw, most=60_000)
    with refused("record 1", "found more than"):
        records(b">a\n" + b"\n" * 1_000 + b"A\n", most=50_000)


@pytest.mark.parametrize("raw", [b">" + b"x" * (1 << 21), b">a\n" + b"A" * (1 << 20) + b">b\nACGT\n"])
def test_headers_without_end_and_within_a_line_are_refused(records, refused, raw):
    with refused("mine.fa"):
        records(raw)


@pytest.mark.parametrize("name", ["x" * 1_001, "a\x1b[2J", "a\x07"])
def test_names_of_records_are_short_and_printable(records, refused, name):
    with refused("mine.fa: record 1", "found a name"):
        records(f">{name}\nACGT\n".encode())


def test_a_masked_genome_unfolds_to_hundreds_of_times_its_size(tmp_path):
    lines = [random_letters(60, 1) if number % 1_000 == 0 else "N" * 60 for number in range(500_000)]
    path, text = tmp_path / "masked.fa.gz", "".join(lines)
    path.write_bytes(gzip.compress(("\n".join([">a", *lines]) + "\n").encode()))
    assert path.stat().st_size * FOLDED < len(text)
    with open_genome(path, cache=tmp_path / "cache") as genome:
        assert use(genome) == {"a": text}
    assert list(read_records(path)) == [("a", text)]


def test_the_copy_of_a_genome_leaves_room_on_its_disk(tmp_path, refused, monkeypatch):
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(b">a\n" + b"N" * (1 << 25), mtime=0))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=1 << 40, free=1 << 29))
    with refused("genome.fa.gz", "no room", "found 512 MiB free", "expected 1,024 MiB"):
        open_genome(path, cache=tmp_path / "cache")
    assert not list(tmp_path.rglob("cache/*/*"))
    path.write_bytes(gzip.compress(FASTA, mtime=0))
    with open_genome(path, cache=tmp_path / "cache") as genome:
        assert use(genome) == parse(FASTA)


@pytest.mark.parametrize("letter", [b"\n", b"\0"])
def test_a_gzip_file_that_unpacks_to_a_thousand_times_its_size_takes_little_memory(tmp_path, refused, letter):
    path, packer = tmp_path / "bomb.fa.gz", zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = letter * (1 << 24)
    path.write_bytes(packer.compress(b">a\n") + b"".join(packer.compress(piece) for _ in range(16)) + packer.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with refused(path):
        open_genome(path, cache=tmp_path / "cache")
    with refused(path):
        list(read_records(path, most=1 << 26))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10  # KiB


def test_many_contigs_take_no_more_than_their_number(tmp_path):
    # What grew with the square of their number would take minutes: a second of a process is enough for each of these.
    names = [f"c{i}" for i in range(20_000)]
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\nACGTNAC\n" for name in names))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_genome(path, cache=tmp_path / "cache") as fasta:
        assert list(fasta.chromsizes) == names
        whole = pd.DataFrame({"chrom": names, "start": 0, "end": 7})
        assert sum(len(stretch.sequence) for stretch in slide(whole, fasta, 100, step=50)) == 140_000
        with pytest.raises(InputError) as caught:
            fasta.fetch("none", 0, 1)
    assert len(str(caught.value)) < 400
    assert sum(1 for _ in read_records(path)) == 20_000
    write_twobit(dict.fromkeys(names[:5_000], "ACGTNAC"), tmp_path / "genome.2bit")
    with open_genome(tmp_path / "genome.2bit") as twobit:
        assert {twobit.fetch(name, 0, 7) for name in twobit.chromsizes} == {"ACGTNAC"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


# Paths and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a b.fa", "é ü.fa", "it's.fa", 'quo"te.fa', "-v.fa", "a;b$(id)&.fa", "x" * 200 + ".fa", "%s.fa"]
)
@pytest.mark.parametrize("form", ["plain", "bgzip", "gzip", "2bit"])
def test_paths_with_blanks_quotes_and_dashes(tmp_path, monkeypatch, name, form):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    if form == "2bit":
        write_twobit({"a": "ACGT"}, path)
    else:
        raw = b">a\nACGT\n"
        path.write_bytes({"plain": raw, "bgzip": blocked(raw), "gzip": gzip.compress(raw, mtime=0)}[form])
        assert list(read_records(path)) == [("a", "ACGT")]
    with open_genome(path, cache=tmp_path / "my cache é'") as genome:
        assert use(genome) == {"a": "ACGT"}


def test_names_of_chromosomes_name_no_files(tmp_path, read):
    names = ["../../up", "/etc/x", "..", "a/b", "-rf", "C:\\x", "x" * MAX_NAME]
    found = read("".join(f">{name}\nACGTNACGT\n" for name in names).encode())
    assert list(found) == names
    path = tmp_path / "genome.fa"
    with open_genome(path, cache=tmp_path / "cache") as genome:
        gaps = find_gaps(genome, genome.chromsizes)
        assert gaps["chrom"].tolist() == names
        stretches = pd.DataFrame(
            {"chrom": names, "chrom_start": 0, "chrom_end": 9, "probability": 0.5, "record": names}
        )
        assert write_bigwig([stretches], tmp_path / "x.bw", genome.chromsizes) == len(names)
    made = {file.relative_to(tmp_path).parts[0] for file in tmp_path.rglob("*")}
    assert made == {"genome.fa", "cache", "x.bw"}
