"""Genomes: FASTA (plain, bgzip, gzip) and 2bit give the letters that samtools gives."""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest
from conftest import random_letters, write_fasta_text
from hypothesis import given, settings
from hypothesis import strategies as st
from twobit import write_twobit

from neanderthal_nlp import genome as module
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import open_genome

FASTA_FORMS = ["plain", "bgzip", "gzip"]


def as_read(letters, form):
    """Letters as a form can give them: py2bit gives every N in upper case."""
    return letters.replace("n", "N") if form == "2bit" else letters


def random_spans(letters, n=150):
    """Random stretches of every chromosome, whole ones and single bases among them."""
    rng = random.Random(0)  # noqa: S311 (not for secrets)
    for chrom, text in letters.items():
        yield chrom, 0, len(text)
        yield chrom, len(text) - 1, len(text)
        for _ in range(n):
            start = rng.randrange(len(text))
            yield chrom, start, min(start + rng.choice([1, 2, 59, 60, 61, 500]), len(text))


def n_runs(text):
    """Runs of N by a regular expression over the letters."""
    return [list(match.span()) for match in re.finditer("[Nn]+", text)]


def letters_or_refusal(path, cache, *span):
    """Letters of a stretch, or the message where the genome is refused: of a file that may be read or not."""
    try:
        with open_genome(path, cache=cache) as opened:
            return opened.fetch(*span)
    except InputError as error:
        return f"refused: {error}"


# Letters and runs of N ----------------------------------------------------------------------------------------


def test_chromsizes_are_in_the_order_of_the_file(genome, letters, genome_files, form):
    assert list(genome.chromsizes.items()) == [(name, len(text)) for name, text in letters.items()]
    assert genome.path == genome_files[form]


def test_fetch_equals_the_letters_written(genome, letters, form):
    for chrom, start, end in random_spans(letters):
        assert genome.fetch(chrom, start, end) == as_read(letters[chrom][start:end], form)


def test_fetch_equals_samtools_faidx(genome, letters, form, faidx):
    for chrom, start, end in random_spans(letters, n=30):
        assert genome.fetch(chrom, start, end) == as_read(faidx(f"{chrom}:{start + 1}-{end}"), form)


def test_fetch_equals_the_samtools_program(fasta_genome, letters, reference, tool):
    spans = list(random_spans(letters, n=30))
    regions = [f"{chrom}:{start + 1}-{end}" for chrom, start, end in spans]
    done = subprocess.run([tool("samtools"), "faidx", reference, *regions], capture_output=True, text=True, check=True)
    records = ["".join(record.splitlines()[1:]) for record in done.stdout.split(">")[1:]]
    assert records == [fasta_genome.fetch(*span) for span in spans]


def test_fetch_takes_numpy_integers(genome, letters):
    assert genome.fetch("chr2", np.int64(5), np.int64(9)) == letters["chr2"][5:9]


@pytest.mark.parametrize("piece", [1, 7, 50, 53, 1000, 1 << 24])
def test_gaps_equal_a_regular_expression_over_the_letters(genome, letters, piece, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", piece)
    for chrom, text in list(letters.items())[:: 1 if piece > 1 else 3]:
        gaps = genome.gaps(chrom)
        assert list(gaps.columns) == ["chrom", "start", "end"]
        assert gaps[["start", "end"]].to_numpy().tolist() == n_runs(text)
        assert (gaps["chrom"] == chrom).all()
        assert gaps["start"].dtype == gaps["end"].dtype == np.int64


RUNS = st.lists(st.tuples(st.sampled_from(["A", "c", "N", "n", "Nn", "R"]), st.integers(1, 9)), min_size=1, max_size=8)


@settings(max_examples=25)
@given(runs=RUNS, piece=st.integers(1, 12))
def test_gaps_of_any_letters_in_any_pieces(tmp_path_factory, runs, piece):
    text = "".join(letters * n for letters, n in runs)
    folder = tmp_path_factory.mktemp("gaps")
    plain = write_fasta_text({"chr1": text, "chr2": "ACGT"}, folder / "genome.fa", line=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        with open_genome(plain, cache=folder / "cache") as fasta:
            assert fasta.gaps("chr1")[["start", "end"]].to_numpy().tolist() == n_runs(text)
            assert fasta.gaps("chr2").empty
    without_codes = text.replace("R", "G")
    with open_genome(write_twobit({"chr1": without_codes}, folder / "genome.2bit")) as twobit:
        assert twobit.gaps("chr1")[["start", "end"]].to_numpy().tolist() == n_runs(text)
        assert twobit.fetch("chr1", 0, len(text)) == as_read(without_codes, "2bit")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("line", [1, 7, 60, 10_000])
def test_fasta_of_any_line_length(tmp_path, newline, line):
    letters = {"a": random_letters(131, 1), "b": random_letters(60, 2)}
    path = write_fasta_text(letters, tmp_path / "genome.fa", line=line)
    path.write_bytes(path.read_bytes().replace(b"\n", newline.encode()))
    with open_genome(path, cache=tmp_path / "cache") as opened:
        for chrom, text in letters.items():
            assert opened.fetch(chrom, 0, len(text)) == text
            assert opened.fetch(chrom, 3, 47) == text[3:47]


@pytest.mark.parametrize("span", [(-1, 5), (5, 5), (6, 5), (0, 25_001), (25_000, 25_001)])
def test_fetch_refuses_what_is_not_on_the_chromosome(genome, genome_files, form, refused, span):
    with refused(genome_files[form], f"chr2:{span[0]}-{span[1]}", "0-25000"):
        genome.fetch("chr2", *span)


def test_unknown_chromosomes_are_refused(genome, genome_files, form, refused):
    with refused(genome_files[form], "no chromosome 2", "chr1"):
        genome.fetch("2", 0, 1)
    with refused(genome_files[form], "no chromosome 2"):
        genome.gaps("2")


# Indexes and caches -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(genome_files, tmp_path):
    """A folder of the test's own with the genome in every form, and nothing else."""
    home = tmp_path / "home"
    home.mkdir()
    for path in genome_files.values():
        shutil.copy(path, home)
    return home


def state(path):
    """Every file below a folder with what tells whether it was written again."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in sorted(path.rglob("*")) if p.is_file()}


def test_nothing_is_written_beside_the_genome(folder, genome_files, form, letters, tmp_path):
    before = state(folder)
    folder.chmod(0o555)
    try:
        with open_genome(folder / genome_files[form].name, cache=tmp_path / "cache") as opened:
            assert opened.fetch("chr2", 60, 130) == letters["chr2"][60:130]
    finally:
        folder.chmod(0o755)
    assert state(folder) == before


def test_the_users_cache_folder_is_the_default(folder, letters, tmp_path, monkeypatch):
    monkeypatch.setattr(module.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "user" / name))
    with open_genome(folder / "genome.fa") as opened:
        assert opened.fetch("chr2", 0, 9) == letters["chr2"][:9]
    made = state(tmp_path / "user" / "neanderthal_nlp")
    assert {path.name for path in made} >= {"genome.fai"}


@pytest.mark.parametrize("form", FASTA_FORMS)
def test_the_second_opening_writes_nothing(folder, genome_files, form, letters, tmp_path):
    path, cache = folder / genome_files[form].name, tmp_path / "cache"
    open_genome(path, cache=cache).close()
    first = state(cache)
    with open_genome(path, cache=cache) as opened:
        assert opened.fetch("chr2", 0, 25_000) == letters["chr2"]
    assert state(cache) == first
    assert len(first) == (3 if form == "gzip" else 2)
    assert not [p for p in first if p.suffix == ".part"]


@pytest.mark.parametrize("form", FASTA_FORMS)
def test_a_changed_genome_is_read_anew(tmp_path, form):
    path = tmp_path / "genome.fa"
    for text in ("ACGTACGT", "GGGGCCCC"):  # of one length: its time tells that the file changed
        raw = f">chr1\n{text}\n".encode()
        if form == "bgzip":
            with pysam.BGZFile(str(path), "wb") as handle:
                handle.write(raw)
        else:
            path.write_bytes(gzip.compress(raw, mtime=0) if form == "gzip" else raw)
        with open_genome(path, cache=tmp_path / "cache") as opened:
            assert opened.fetch("chr1", 0, 8) == text


def index_beside(path):
    """Let samtools put its index beside the file, as users do; later than the file by a second."""
    pysam.faidx(str(path))
    made = [Path(f"{path}{suffix}") for suffix in (".fai", ".gzi") if Path(f"{path}{suffix}").exists()]
    for index in made:
        os.utime(index, ns=(path.stat().st_mtime_ns + 10**9,) * 2)
    return made


@pytest.mark.parametrize("form", ["plain", "bgzip"])
def test_a_fresh_index_beside_the_genome_is_used(folder, genome_files, form, letters, tmp_path):
    path = folder / genome_files[form].name
    index_beside(path)
    with open_genome(path, cache=tmp_path / "cache") as opened:
        assert opened.fetch("chr2", 100, 20_000) == letters["chr2"][100:20_000]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("form", ["plain", "bgzip"])
def test_a_stale_index_beside_the_genome_is_not_used(folder, genome_files, form, letters, tmp_path):
    path = folder / genome_files[form].name
    wrong = {"chr1": "ACGT" * 99, "chr2": "T" * 25_000}
    indexes = index_beside(path)
    other = write_fasta_text(wrong, tmp_path / "other.fa", line=50)
    pysam.faidx(str(other))
    shutil.copy(f"{other}.fai", f"{path}.fai")
    for index in indexes:
        os.utime(index, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    before = state(folder)
    with open_genome(path, cache=tmp_path / "cache") as opened:
        assert opened.chromsizes == {name: len(text) for name, text in letters.items()}
        assert opened.fetch("chr2", 100, 20_000) == letters["chr2"][100:20_000]
    assert state(folder) == before


@pytest.mark.parametrize("form", ["plain", "bgzip"])
@pytest.mark.parametrize("content", [b"", b"garbage\n", bytes(range(256))])
def test_an_index_that_is_none_is_refused_or_not_used(folder, genome_files, form, letters, tmp_path, content):
    path = folder / genome_files[form].name
    for index in index_beside(path):
        index.write_bytes(content)
    outcome = letters_or_refusal(path, tmp_path / "cache", "chr2", 100, 20_000)
    assert outcome == letters["chr2"][100:20_000] or outcome.startswith(f"refused: {path}")


def test_an_index_of_a_longer_file_is_noticed(tmp_path, refused):
    path = write_fasta_text({"chr1": "ACGT" * 30}, tmp_path / "genome.fa")
    longer = write_fasta_text({"chr1": "ACGT" * 300}, tmp_path / "longer.fa")
    index_beside(longer)[0].rename(f"{path}.fai")
    with open_genome(path, cache=tmp_path / "cache") as opened, refused(path, "chr1:0-1200"):
        opened.fetch("chr1", 0, 1200)


def test_two_processes_may_index_one_genome_at_once(folder, letters, tmp_path, monkeypatch):
    # The other one runs from beginning to end where this one has written its index and not yet moved it.
    path, index = folder / "genome.fa", pysam.faidx

    def interrupted(*arguments):
        index(*arguments)
        monkeypatch.setattr(pysam, "faidx", index)
        open_genome(path, cache=tmp_path / "cache").close()

    monkeypatch.setattr(pysam, "faidx", interrupted)
    with open_genome(path, cache=tmp_path / "cache") as opened:
        assert opened.fetch("chr2", 0, 9) == letters["chr2"][:9]


def test_two_processes_may_compress_one_genome_at_once(folder, letters, tmp_path, monkeypatch):
    path, copy = folder / "gzip.fa.gz", shutil.copyfileobj

    def interrupted(*arguments):
        copy(*arguments)
        monkeypatch.setattr(shutil, "copyfileobj", copy)
        open_genome(path, cache=tmp_path / "cache").close()

    monkeypatch.setattr(shutil, "copyfileobj", interrupted)
    with open_genome(path, cache=tmp_path / "cache") as opened:
        assert opened.fetch("chr2", 0, 25_000) == letters["chr2"]


# What is no genome --------------------------------------------------------------------------------------------


def bgzip(raw, path):
    """Compress bytes by blocks."""
    with pysam.BGZFile(str(path), "wb") as handle:
        handle.write(raw)
    return path.read_bytes()


def test_missing_files_and_folders_are_refused(tmp_path, refused):
    with refused(tmp_path / "genome.fa", "No such file"):
        open_genome(tmp_path / "genome.fa", cache=tmp_path / "cache")
    with refused(tmp_path, "directory"):
        open_genome(tmp_path, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "empty"),
        (b"ACGT\n", "neither FASTA nor 2bit"),
        (b"@read\nACGT\n+\nIIII\n", "neither FASTA nor 2bit"),
        (b"chr1\t10\t20\n", "neither FASTA nor 2bit"),
        (bytes(range(256)), "neither FASTA nor 2bit"),
        (gzip.compress(b"chr1\t10\t20\n", mtime=0), "no FASTA"),
        (gzip.compress(b"", mtime=0), "no FASTA"),
        (gzip.compress(b">chr1\n" + b"ACGT" * 15 + b"\n", mtime=0)[:-5], "truncated or damaged gzip"),
        (gzip.compress(b">chr1\n" + b"ACGT" * 15 + b"\n", mtime=0)[:30], "truncated or damaged gzip"),
        (gzip.compress(b">chr1\n", mtime=0)[:12], "gzip"),
        pytest.param(b"\x1f\x8b", "gzip"),
        pytest.param(b"\x1f\x8b\x08", "gzip"),
        (b">chr1", "no letters of chr1"),
        (b">chr1\n", "no letters of chr1"),
        (b">chr1\nACGT\nAC\nACGT\n", "genome.fa"),
        (b">chr1\nAC\nACGT\n", "genome.fa"),
    ],
)
def test_what_is_no_genome_is_refused_and_leaves_nothing(tmp_path, refused, content, named):
    path = tmp_path / "genome.fa"
    path.write_bytes(content)
    with refused(path, named):
        open_genome(path, cache=tmp_path / "cache")
    assert state(tmp_path) == {path: state(tmp_path)[path]}


def test_an_error_of_the_index_names_the_genome_and_not_the_cache(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">chr1\nACGT\nAC\nACGT\n")
    with pytest.raises(InputError, match="line 4") as caught:
        open_genome(path, cache=tmp_path / "cache")
    assert str(path) in str(caught.value)
    assert str(tmp_path / "cache") not in str(caught.value)


@pytest.mark.parametrize("cut", [28, 29, 1000])
def test_truncated_bgzip_is_refused(genome_files, tmp_path, refused, cut):
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(genome_files["bgzip"].read_bytes()[:-cut])
    with refused(path, "truncated"):
        open_genome(path, cache=tmp_path / "cache")


def test_bgzip_of_something_else_is_refused(tmp_path, refused):
    path = tmp_path / "genome.fa.gz"
    bgzip(b"chr1\t10\t20\n" * 99, path)
    with refused(path):
        open_genome(path, cache=tmp_path / "cache")


@pytest.mark.parametrize("indexed", [False, True])
def test_damaged_bgzip_is_refused(tmp_path, refused, indexed):
    path = tmp_path / "genome.fa.gz"
    text = random_letters(400_000, 1)
    raw = bytearray(bgzip(f">chr1\n{text}\n".encode(), path))
    raw[len(raw) // 2 : len(raw) // 2 + 60] = bytes(60)
    if indexed:
        index_beside(path)
    path.write_bytes(raw)
    if indexed:
        for suffix in (".fai", ".gzi"):
            os.utime(f"{path}{suffix}")

    with refused(path), open_genome(path, cache=tmp_path / "cache") as opened:
        opened.fetch("chr1", 0, 400_000)


# A damaged 2bit file may end the process that reads it, so each is opened by another one.
OPEN_2BIT = """
import sys
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import open_genome
try:
    with open_genome(sys.argv[1]) as genome:
        for chrom, size in genome.chromsizes.items():
            genome.fetch(chrom, 0, size), genome.gaps(chrom)
except InputError as error:
    sys.exit(f"refused: {error}")
"""


def patched(raw, at, value):
    """Bytes with some of them replaced."""
    return raw[:at] + value + raw[at + len(value) :]


# Header of 16 bytes, then the index: 1 + 4 + 4 bytes ("chr1" and its offset), 1 + 4 + 4 ("chr2"); chr1's record at 34.
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda raw: raw[:60], id="first-record-cut"),
        pytest.param(lambda raw: raw[:16], id="header-only"),
        pytest.param(lambda raw: raw[:-1], id="one-byte-less"),
        pytest.param(lambda raw: raw[: -len(raw) // 4], id="a-quarter-less"),
        pytest.param(lambda raw: patched(raw, 21, b"\xff" * 4), id="offset-of-chr1"),
        pytest.param(lambda raw: patched(raw, 38, b"\xff" * 4), id="number-of-N-blocks"),
    ],
)
def test_damaged_2bit_is_refused(tmp_path, damage):
    path = write_twobit({"chr1": "ACGTNNacgtACGT" * 500, "chr2": "ACGT" * 9_000}, tmp_path / "genome.2bit")
    path.write_bytes(damage(path.read_bytes()))
    done = subprocess.run([sys.executable, "-c", OPEN_2BIT, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith(f"refused: {path}")


def test_a_2bit_file_of_the_other_byte_order_is_read_or_refused(tmp_path, letters):
    path = write_twobit(letters, tmp_path / "genome.2bit", order=">")
    outcome = letters_or_refusal(path, tmp_path / "cache", "chr2", 0, 25_000)
    assert outcome == letters["chr2"] or outcome.startswith(f"refused: {path}")
