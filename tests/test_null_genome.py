"""The null genome: what it keeps of its source, what it does not, and that its bytes are reproducible."""

import gzip
import hashlib
import json
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp import cli
from neanderthal_nlp.audit import genome_landscape, null_genome, open_landscape, table_landscape, write_null_genome
from neanderthal_nlp.audit.null_genome import HUMAN_EXCESS, PSEUDO_COUNTS, chain_laws, fasta_lines
from neanderthal_nlp.gene_overlap import genome_gc
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.intervals import read_bed, read_chromsizes
from neanderthal_nlp.kmers import count_kmers, vocabulary

BIN = 50_000
SIZES = {"chr1": 230_017, "chr2": 100_000, "chrEmpty": 130, "scaffold_1.1": 1}


def spell(n, gc, rng):
    """Letters of a given GC, most CG turned into TG or CA, a third in lower case."""
    text = "".join(rng.choices("ACGT", [1 - gc, gc, gc, 1 - gc], k=n))
    text = re.sub("CG", lambda pair: rng.choice(["CG", "TG", "CA", "CA"]), text)
    return "".join(run.lower() if rng.random() < 0.3 else run for run in re.findall(".{1,700}", text))


@pytest.fixture(scope="module")
def source():
    """Chromosomes with isochores, CpG depletion, soft masking, runs of N of any case, an ambiguous letter."""
    rng = random.Random(8)  # noqa: S311 (not for secrets)
    letters = {
        "chr1": "".join(spell(BIN, gc, rng) for gc in (0.35, 0.45, 0.6, 0.4)) + spell(30_017, 0.5, rng),
        "chr2": spell(100_000, 0.55, rng),
        "chrEmpty": "N" * 130,
        "scaffold_1.1": "g",
    }
    for start, end, run in ((0, 9_000, "N"), (60_000, 95_100, "NNn"), (150_010, 150_011, "n"), (230_000, 230_017, "N")):
        filled = (run * (end - start))[: end - start]
        letters["chr1"] = letters["chr1"][:start] + filled + letters["chr1"][end:]
    letters["chr1"] = letters["chr1"][:20_000] + "Rm" + letters["chr1"][20_002:]
    assert {chrom: len(text) for chrom, text in letters.items()} == SIZES
    return letters


@pytest.fixture(scope="module")
def genome(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "genome.fa"
    records = (f">{chrom}\n" + "\n".join(re.findall(".{1,60}", text)) + "\n" for chrom, text in source.items())
    path.write_text("".join(records))
    return path


@pytest.fixture(scope="module")
def make(genome, tmp_path_factory):
    """Write null genomes of the source, each setting once, and read their letters without the package."""
    folder, made = tmp_path_factory.mktemp("null"), {}

    def write(order, seed=1):
        if (order, seed) not in made:
            path = folder / f"{order}.{seed}.fa.gz"
            with open_genome(genome, cache=folder / "cache") as letters:
                report = write_null_genome(path, genome_landscape(letters, order=order, bin_size=BIN), seed=seed)
            made[order, seed] = path, report
        return made[order, seed]

    return write


def read(path):
    """Letters of each chromosome of a gzip FASTA."""
    records = gzip.decompress(path.read_bytes()).decode().split(">")[1:]
    return {name: "".join(lines) for name, *lines in (record.split("\n") for record in records)}


def codes(text):
    return np.frombuffer(text.encode(), np.uint8)


def naive_gc(text):
    counts = Counter(text.upper())
    return (counts["G"] + counts["C"]) / sum(counts[letter] for letter in "ACGT")


def within_error(found, expected, n, *, sigmas=5):
    return abs(found - expected) < sigmas * np.sqrt(expected * (1 - expected) / n)


def cpg(text):
    """CG, observed over expected."""
    text = text.upper()
    n = len(re.findall("(?=[ACGT][ACGT])", text))
    return text.count("CG") * n / (text.count("C") * text.count("G"))


@pytest.mark.parametrize("order", [0, 1, 3])
def test_sizes_gaps_and_lower_case_are_the_sources(source, make, order):
    path, report = make(order)
    null = read(path)
    assert list(null) == list(source)
    for chrom, text in source.items():
        assert len(null[chrom]) == len(text)
        assert [m.span() for m in re.finditer("N+|n+", null[chrom])] == [m.span() for m in re.finditer("N+|n+", text)]
        np.testing.assert_array_equal(codes(null[chrom]) & 32, codes(text) & 32)
        assert set(null[chrom]) <= set("ACGTacgtNn")
    assert list(report["chrom"]) == list(source)
    for row in report.itertuples():
        counts = Counter(null[row.chrom].upper())
        assert row.n_letters == SIZES[row.chrom]
        assert row.n_called == row.n_letters - counts["N"]
        assert row.n_gc == counts["G"] + counts["C"]
        assert row.n_gc_source == sum(source[row.chrom].upper().count(letter) for letter in "GC")


@pytest.mark.parametrize("order", [0, 1, 3])
def test_each_bin_has_the_gc_of_the_source(source, make, order):
    null = read(make(order)[0])
    for chrom in ("chr1", "chr2"):
        for start in range(0, SIZES[chrom], BIN):
            text = source[chrom][start : start + BIN]
            n = sum(letter in "ACGTacgt" for letter in text)
            assert within_error(naive_gc(null[chrom][start : start + BIN]), naive_gc(text), n), (chrom, start)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_letters_are_unrelated_to_the_source(source, make, order):
    null = read(make(order)[0])
    for chrom in ("chr1", "chr2"):
        one, other = (np.char.upper(np.array(list(text))) for text in (source[chrom], null[chrom]))
        called = one != "N"
        assert 0.22 < np.mean((one == other)[called]) < 0.32


def test_order_one_keeps_the_depletion_of_cpg_and_order_zero_does_not(source, make):
    text = source["chr2"]
    assert cpg(text) < 0.35
    independent, dinucleotides = (read(make(order)[0])["chr2"] for order in (0, 1))
    assert abs(cpg(independent) - 1) < 0.06
    assert abs(cpg(dinucleotides) - cpg(text)) < 0.04


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_words_of_order_plus_one_are_as_frequent_as_in_the_source(genome, source, tmp_path, order):
    """The deviation is what chance makes of it: chi square per word near 1, at one letter more far from it."""
    with open_genome(genome, cache=tmp_path) as letters:
        landscape = genome_landscape(letters, order=order, bin_size=100_000)._replace(chromsizes={"chr2": 100_000})
        write_null_genome(tmp_path / "null.fa.gz", landscape, seed=5)
    texts = source["chr2"], read(tmp_path / "null.fa.gz")["chr2"]

    def deviation(k):
        expected, found = (count_kmers([text], k)[0].astype(float) for text in texts)
        return np.mean((found - expected) ** 2 / (expected + 1))

    assert deviation(order + 1) < 2
    if order == 0:
        assert deviation(2) > 50


@given(
    letters=st.lists(st.text("ACGTN", max_size=40), min_size=1, max_size=3),
    order=st.integers(0, 3),
)
def test_laws_equal_a_naive_back_off(letters, order):
    def probability(text, context, letter):
        """Of a letter after a context, from the words of order + 1 letters."""
        if context is None:
            return 0.25
        words = [text[i : i + order + 1] for i in range(len(text) - order)]
        words = [word for word in words if "N" not in word and word[:order].endswith(context)]
        shorter = probability(text, context[1:] if context else None, letter)
        return (sum(word[-1] == letter for word in words) + PSEUDO_COUNTS * shorter) / (len(words) + PSEUDO_COUNTS)

    laws = chain_laws(count_kmers(letters, order + 1))
    contexts = vocabulary(order) if order else [""]
    assert laws.shape == (len(letters), len(contexts), 4)
    expected = [[[probability(text, c, letter) for letter in "ACGT"] for c in contexts] for text in letters]
    np.testing.assert_allclose(laws, np.cumsum(expected, axis=2), atol=1e-6)
    np.testing.assert_array_equal(laws[:, :, 3], 1)


def test_same_seed_same_bytes_whatever_the_pieces(genome, make, tmp_path, monkeypatch):
    first = make(1)[0]
    read_lengths = []
    with open_genome(genome, cache=tmp_path / "cache") as letters:
        landscape = genome_landscape(letters, order=1, bin_size=BIN)

        def noting(chrom, start, end):
            read_lengths.append(end - start)
            return landscape.read(chrom, start, end)

        for piece in (1, 2 * BIN):
            monkeypatch.setattr(null_genome, "_PIECE", piece)
            write_null_genome(tmp_path / "again.fa.gz", landscape._replace(read=noting), seed=1)
            assert max(read_lengths) == max(piece, BIN)
            assert (tmp_path / "again.fa.gz").read_bytes() == first.read_bytes()
            for suffix in (".fai", ".gzi"):
                again, once = (path.with_name(path.name + suffix) for path in (tmp_path / "again.fa.gz", first))
                assert again.read_bytes() == once.read_bytes()


def test_another_seed_gives_unrelated_letters(make):
    one, other = (read(make(1, seed)[0])["chr2"].upper() for seed in (1, 2))
    assert 0.22 < np.mean(codes(one) == codes(other)) < 0.32


def test_chromosomes_do_not_depend_on_one_another(genome, make, tmp_path):
    whole = read(make(1)[0])
    with open_genome(genome, cache=tmp_path) as letters:
        landscape = genome_landscape(letters, order=1, bin_size=BIN)
        write_null_genome(tmp_path / "null.fa.gz", landscape._replace(chromsizes={"chr2": 100_000}), seed=1)
    assert read(tmp_path / "null.fa.gz") == {"chr2": whole["chr2"]}
    alike = landscape._replace(
        chromsizes={"a": 10_000, "b": 10_000},
        read=lambda _, start, end: null_genome.Piece(
            np.zeros(end - start, np.uint8), np.full((1, 4, 4), [0.25, 0.5, 0.75, 1], np.float32), 0.0
        ),
    )
    write_null_genome(tmp_path / "null.fa.gz", alike, seed=1)
    one, other = (codes(text) for text in read(tmp_path / "null.fa.gz").values())
    assert 0.22 < np.mean(one == other) < 0.28


@given(
    text=st.text("ACGTN", min_size=1, max_size=90),
    cuts=st.lists(st.integers(0, 90), max_size=5),
    width=st.integers(1, 20),
)
def test_lines_do_not_depend_on_the_pieces(text, cuts, width):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [codes(text[start:end]) for start, end in pairwise(edges)]
    expected = "".join(text[i : i + width] + "\n" for i in range(0, len(text), width))
    assert b"".join(fasta_lines(pieces, width=width)).decode() == expected


def test_form_of_the_file(make):
    path = make(0)[0]
    head = path.read_bytes()[:16]
    assert (head[:4], head[12:14]) == (b"\x1f\x8b\x08\x04", b"BC")  # bgzip
    for record in gzip.decompress(path.read_bytes()).decode().split(">")[1:]:
        lines = record.split("\n")
        assert {len(line) for line in lines[1:-2]} <= {60}
        assert 1 <= len(lines[-2]) <= 60
        assert lines[-1] == ""


def test_indexes_are_those_of_samtools(make, tmp_path):
    path = make(0)[0]
    own = [path.with_name(path.name + suffix) for suffix in (".fai", ".gzi")]
    theirs = [tmp_path / name for name in ("fai", "gzi")]
    pysam.faidx(str(path), "--fai-idx", str(theirs[0]), "--gzi-idx", str(theirs[1]))
    for mine, other in zip(own, theirs, strict=True):
        assert mine.read_bytes() == other.read_bytes()
        assert mine.stat().st_mtime_ns >= path.stat().st_mtime_ns
    cache = tmp_path / "cache"
    with open_genome(path, cache=cache) as genome:
        assert genome.chromsizes == SIZES
        assert {chrom: genome.fetch(chrom, 0, size) for chrom, size in SIZES.items()} == read(path)
    assert not cache.exists()  # the indexes beside the file were used


def test_samtools_fetches(tool, make):
    path = make(0)[0]
    command = [tool("samtools"), "faidx", str(path), "chr1:100001-100100"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "".join(lines[1:]) == read(path)["chr1"][100_000:100_100]


def test_a_failure_leaves_what_was_there(genome, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "null.fa.gz").write_bytes(b"old")

    def fail(chrom, size):
        raise OSError("no space left on device")

    with open_genome(genome, cache=tmp_path / "cache") as letters, pytest.raises(OSError, match="no space"):
        write_null_genome(folder / "null.fa.gz", genome_landscape(letters), seed=1, progress=fail)
    assert [path.name for path in folder.iterdir()] == ["null.fa.gz"]
    assert (folder / "null.fa.gz").read_bytes() == b"old"


def frame(rows, columns=("chrom", "start", "end")):
    return pd.DataFrame(rows, columns=list(columns))


BINS = frame(
    [("chr1", 0, 100_000, 0.5), ("chr1", 100_000, 200_000, 0.18), ("chr1", 200_000, 300_000, 0.0),
     ("chr2", 0, 100_000, 0.36), ("chr2", 100_000, 200_000, 0.0)],
    ("chrom", "start", "end", "gc"),
)  # fmt: skip
GAPS = frame([("chr1", 100_000, 150_000), ("chr1", 130_000, 155_000), ("chr2", 100_000, 200_000), ("chrY", 0, 10)])
OVERALL = (50_000 + 18_000 + 36_000) / 245_000


def write_table_genome(folder, chromsizes=None, **options):
    path = folder / "null.fa.gz"
    report = write_null_genome(path, table_landscape(BINS, GAPS, chromsizes, **options), seed=3)
    return read(path), report.set_index("chrom")


@pytest.mark.parametrize("order", [0, 1])
def test_a_table_gives_gaps_and_gc_of_called_letters(tmp_path, order):
    sizes = {"chr2": 200_000, "chr1": 260_007, "chrX": 150_000}
    null, report = write_table_genome(tmp_path, sizes, order=order)
    assert {chrom: len(text) for chrom, text in null.items()} == sizes
    assert list(null) == list(sizes)
    gaps = {chrom: [match.span() for match in re.finditer("N+", text)] for chrom, text in null.items()}
    assert gaps == {"chr1": [(100_000, 155_000)], "chr2": [(100_000, 200_000)], "chrX": []}
    assert within_error(naive_gc(null["chr1"][:100_000]), 0.5, 100_000)
    assert within_error(naive_gc(null["chr1"][155_000:200_000]), 18_000 / 45_000, 45_000)
    assert within_error(naive_gc(null["chr1"][200_000:]), OVERALL, 60_007)  # letters, but no value
    assert within_error(naive_gc(null["chr2"][:100_000]), 0.36, 100_000)
    assert within_error(naive_gc(null["chrX"]), OVERALL, 150_000)
    assert list(report["n_called"]) == [100_000, 205_007, 150_000]
    assert report["n_gc_source"]["chr1"] == pytest.approx(68_000 + 60_007 * OVERALL, abs=1)
    at = sum(text.count("A") for text in null.values()) - sum(text.count("T") for text in null.values())
    assert abs(at) < 5 * np.sqrt(sum(report["n_called"]))


def test_human_dinucleotides_are_fitted_to_the_gc_of_a_bin(tmp_path):
    null, _ = write_table_genome(tmp_path, order=1)
    bins = null["chr1"][:100_000], null["chr2"][:100_000], null["chr1"][155_000:200_000]
    assert all(0.15 < cpg(text) < 0.32 for text in bins)
    counts = count_kmers([bins[2]], 2)[0].reshape(4, 4)
    share = counts.sum(axis=1) / counts.sum()
    # The table holds for a GC near this bin's.
    np.testing.assert_allclose(counts / counts.sum() / share[:, None] / share, HUMAN_EXCESS, atol=0.06)
    assert abs(cpg(write_table_genome(tmp_path, order=0)[0]["chr1"][:100_000]) - 1) < 0.06


def test_without_sizes_the_bins_end_the_chromosomes(tmp_path):
    null, _ = write_table_genome(tmp_path)
    assert {chrom: len(text) for chrom, text in null.items()} == {"chr1": 300_000, "chr2": 200_000}


def test_a_table_of_called_letters_is_known(tmp_path):
    """The stage that draws the article's figure of GC writes genes and bins into one table."""
    table = frame([("gene", "chr1", 10, 2_000, 0.9), ("genome", "chr1", 0, 100_000, 0.5)],
                  ("kind", "chrom", "start", "end", "gc"))  # fmt: skip
    gaps = frame([("chr1", 0, 60_000)])
    write_null_genome(tmp_path / "null.fa.gz", table_landscape(table, gaps, {"chr1": 150_000}), seed=1)
    text = read(tmp_path / "null.fa.gz")["chr1"]
    assert within_error(naive_gc(text[60_000:]), 0.5, 90_000)


def test_the_table_of_hg19(data, article, tmp_path):
    size = read_chromsizes(article / "chrom.sizes")["chr21"]
    table = pd.read_csv(data / "hg19_gc_100kb.tsv.gz", sep="\t")
    gaps = read_bed(data / "hg19_gap.bed")
    path = tmp_path / "null.fa.gz"
    write_null_genome(path, table_landscape(table, gaps, {"chr21": size}), seed=1)
    with open_genome(path, cache=tmp_path) as null:
        assert null.chromsizes == {"chr21": size}
        expected = sorted(gaps.loc[gaps["chrom"] == "chr21", ["start", "end"]].itertuples(index=False, name=None))
        positions = np.zeros(size, bool)
        for start, end in expected:
            positions[start:end] = True
        found = np.zeros(size, bool)
        for start, end in null.gaps("chr21")[["start", "end"]].itertuples(index=False):
            found[start:end] = True
        np.testing.assert_array_equal(found, positions)
        bins = genome_gc(null)
    merged = bins.merge(table, on=["chrom", "start"], suffixes=("", "_table"))
    known = merged[(merged["gc_table"] > 0) & (merged["n_called"] > 0)]
    assert len(known) > 340
    deviation = known["gc"] - known["gc_table"] * 100_000 / known["n_called"]
    z = deviation / np.sqrt(known["gc"] * (1 - known["gc"]) / known["n_called"])
    assert abs(z).max() < 5
    assert 0.85 < z.std() < 1.15


@pytest.mark.parametrize(
    ("bins", "gaps", "options", "parts"),
    [
        (BINS, GAPS, {"order": 2}, ["order: found 2", "expected 0 or 1"]),
        (BINS, GAPS, {"chromsizes": {"chr3": 10}}, ["GC table: no chromosome in common", "chr3"]),
        (BINS, GAPS.iloc[:1], {"chromsizes": {"chr1": 150_000}}, ["chr1:200000-300000", "150000 nt", "another build"]),
        (BINS, frame([("chr1", 0, 300_001)]), {}, ["gaps: record 1", "passes the end of chr1"]),
        (BINS.assign(start=BINS["start"] + 1), GAPS, {}, ["GC table: found chr1:1-100000", "bins of 99999 nt"]),
        (BINS.iloc[[2, 4]], GAPS, {}, ["overall GC", "expected"]),
        (BINS.drop(columns="gc"), GAPS, {}, ["no column gc"]),
    ],
)
def test_tables_that_do_not_fit(refused, bins, gaps, options, parts):
    with refused(*parts):
        table_landscape(bins, gaps, **options)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"order": -1}, ["order: found -1"]),
        ({"order": 6}, ["order: found 6 with bins of 100000 nt", "at least 262144"]),
        ({"order": 2, "bin_size": 1_000}, ["order: found 2", "at least 1024"]),
        ({"bin_size": 0}, ["bin_size: found 0"]),
        ({"bin_size": 10**8}, ["bin_size: found 100000000", "10000000"]),
    ],
)
def test_settings_out_of_range(refused, genome, tmp_path, options, parts):
    with open_genome(genome, cache=tmp_path) as letters, refused(*parts):
        genome_landscape(letters, **options)


def test_a_seed_is_not_negative(refused, tmp_path):
    with refused("seed: found -1"):
        write_null_genome(tmp_path / "null.fa.gz", table_landscape(BINS, GAPS), seed=-1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "options", "part"),
    [
        ((), {}, "found neither"),
        (("genome", "gc_table"), {}, "found both"),
        (("genome", "gaps"), {}, "gaps: found"),
        (("genome",), {"assembly": "hg19"}, "assembly: found hg19"),
        (("gc_table",), {}, "gaps: found none"),
        (("gc_table", "gaps"), {"bin_size": 5}, "bin_size: found 5"),
        (("gc_table", "gaps"), {"assembly": "hg0"}, "assembly: found 'hg0'"),
    ],
)
def test_sources_that_cannot_be_told(refused, genome, tmp_path, names, options, part):
    BINS.to_csv(tmp_path / "gc.tsv", sep="\t", index=False)
    GAPS.to_csv(tmp_path / "gaps.bed", sep="\t", index=False, header=False)
    paths = {"genome": genome, "gc_table": tmp_path / "gc.tsv", "gaps": tmp_path / "gaps.bed"}
    with ExitStack() as stack, refused(part):
        stack.enter_context(open_landscape(**{name: paths[name] for name in names}, **options, cache=tmp_path))


def test_sizes_of_a_named_assembly(tmp_path):
    BINS.to_csv(tmp_path / "gc.tsv", sep="\t", index=False)
    (tmp_path / "gaps.bed").write_text("1\t0\t10\n")
    with open_landscape(gc_table=tmp_path / "gc.tsv", gaps=tmp_path / "gaps.bed", assembly="hg19") as landscape:
        assert landscape.chromsizes["chr1"] == 249_250_621
        assert landscape.chromsizes["chrM"] == 16_571
        piece = landscape.read("chr1", 0, 100_000)
    assert piece.template[:10].tobytes() == b"N" * 10  # the gaps are named in the other way
    assert not piece.template[10:].any()


def test_the_command(genome, make, tmp_path):
    out = tmp_path / "deep" / "null.fa.gz"
    options = ["--genome", genome, "--order", "1", "--bin-size", str(BIN), "--seed", "1", "--cache", tmp_path / "cache"]
    line = [sys.executable, "-m", "neanderthal_nlp.cli", "null-genome", "--output", out, *options]
    told = subprocess.run(line, check=True, capture_output=True, text=True).stderr
    assert "chr1: 230,017 letters" in told
    assert "synthetic, 4 chromosomes, 330,148 letters" in told
    assert out.read_bytes() == make(1)[0].read_bytes()
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "null.fa.gz", "null.fa.gz.fai", "null.fa.gz.gzi", "null.fa.gz.json",
    ]  # fmt: skip
    record = json.loads(out.with_name("null.fa.gz.json").read_text())
    assert record["synthetic"] is True
    assert record["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert record["parameters"] == {"assembly": None, "order": 1, "bin_size": BIN, "seed": 1}
    assert list(record["inputs"]) == ["genome"]
    assert record["n_letters"] == sum(SIZES.values())
    assert record["gc"] == pytest.approx(record["gc_source"], abs=0.01)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--output", "GENOME", "--genome", "GENOME"], "found an input of this command"),
        (["--output", "OUT"], "found neither"),
        (["--output", "OUT", "--genome", "GENOME", "--gc-table", "GENOME"], "found both"),
    ],
)
def test_the_command_refuses_in_one_line(genome, tmp_path, monkeypatch, capsys, options, part):
    before = genome.read_bytes()
    paths = {"GENOME": str(genome), "OUT": str(tmp_path / "null.fa.gz")}
    monkeypatch.setattr(sys, "argv", ["neanderthal-nlp", "null-genome", *(paths.get(word, word) for word in options)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert len(told.splitlines()) == 1
    assert told.startswith("null-genome: error: ")
    assert part in told
    assert genome.read_bytes() == before
    assert not list(tmp_path.iterdir())
