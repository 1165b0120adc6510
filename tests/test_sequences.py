"""From pairs of regions to windows."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import bioframe
import numpy as np
import pandas as pd
import pytest
from frames import COLUMNS, bed
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neanderthal_nlp import sequences
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import write_table
from neanderthal_nlp.kmers import get_kmers

TINY = {"chr1": "ACGTNacgtaccagtaNNgattacagattacatt", "chr2": "ccatgnNNACGTTTGCA", "chr3": "GATTACA" * 5}


class TinyGenome:
    """A genome in memory: the members that windows need."""

    path = "tiny.fa"
    block = 2

    def __init__(self, letters):
        self.letters = letters
        self.chromsizes = {chrom: len(text) for chrom, text in letters.items()}

    def fetch(self, chrom, start, end):
        assert 0 <= start < end <= len(self.letters[chrom])
        return self.letters[chrom][start:end]

    def check(self, chrom, start, end):
        assert 0 <= start < end <= len(self.letters[chrom])

    def gaps(self, chrom):
        rows = [(chrom, i, i + 1) for i, letter in enumerate(self.letters[chrom]) if letter in "Nn"]
        return bed(*rows)


def overlap(a, b):
    """Whether two intervals share a base."""
    return a[0] == b[0] and bool(set(range(a[1], a[2])) & set(range(b[1], b[2])))


def naive_windows(introgressed, depleted, letters, length, *, shift=0):
    """Walk both lists in parallel, keep the pair where neither text holds an N, cut the first letters."""
    kept = []
    for pair, regions in enumerate(zip(introgressed, depleted, strict=True)):
        texts = [letters[chrom][max(start - shift, 0) : end] for chrom, start, end in regions]
        if not any("N" in text.upper() for text in texts):
            kept.append((pair, regions, texts))
    rows = []
    for side, label in ((0, 1), (1, 0)):
        for pair, regions, texts in kept:
            chrom, start, end = regions[side]
            first = max(start - shift, 0)
            rows.append((chrom, first, first + len(texts[side][:length]), label, pair, start, end))
    return rows


def naive_clusters(rows):
    """Labels of connected components: each interval takes the label of all that it meets."""
    labels = list(range(len(rows)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            if overlap(a, b):
                labels = [labels[i] if label == labels[j] else label for label in labels]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels]


@st.composite
def region(draw, *, k=3):
    """A region of the tiny genome of at least k letters."""
    chrom = draw(st.sampled_from(sorted(TINY)))
    start = draw(st.integers(0, len(TINY[chrom]) - k))
    return chrom, start, draw(st.integers(start + k, min(len(TINY[chrom]), start + 12)))


PAIRS = st.lists(st.tuples(region(), region()), min_size=1, max_size=8)


@given(pairs=PAIRS, length=st.integers(3, 14), as_published=st.booleans(), given_gaps=st.booleans())
def test_make_windows_equals_the_naive_loop(pairs, length, as_published, given_gaps):
    introgressed, depleted = zip(*pairs, strict=True)
    wanted = naive_windows(introgressed, depleted, TINY, length, shift=int(as_published))
    genome = TinyGenome(TINY)
    gaps = sequences.find_gaps(genome, genome.chromsizes) if given_gaps else None
    options = {"length": length, "k": 3, "gaps": gaps, "as_published": as_published}
    if not wanted:
        with pytest.raises(InputError, match="no pair of regions is left"):
            sequences.make_windows(bed(*introgressed), bed(*depleted), genome, **options)
        return
    windows = sequences.make_windows(bed(*introgressed), bed(*depleted), genome, **options)
    assert list(windows.columns) == list(sequences.WINDOW_COLUMNS)
    found = windows.drop(columns="cluster").itertuples(index=False, name=None)
    assert [(str(row[0]), *map(int, row[1:])) for row in found] == wanted
    regions = [(chrom, start, end) for chrom, *_, start, end in wanted]
    assert windows["cluster"].tolist() == naive_clusters(regions)
    assert windows.index.tolist() == list(range(len(wanted)))
    letters = [TINY[chrom][start:end] for chrom, start, end, *_ in wanted]
    assert list(sequences.fetch_windows(windows, genome)) == letters


def test_an_n_anywhere_in_either_region_drops_the_pair():
    # The first four letters of every region are free of N; in pairs 0 and 1 one lies further on.
    clean, late = ("chr3", 0, 12), ("chr1", 0, 12)
    windows = sequences.make_windows(
        bed(clean, late, clean), bed(late, clean, clean), TinyGenome(TINY), length=4, k=2
    )  # fmt: skip
    assert windows["pair"].tolist() == [2, 2]
    assert windows["label"].tolist() == [1, 0]
    assert (windows["end"] - windows["start"]).tolist() == [4, 4]


def test_windows_do_not_depend_on_the_index_or_further_columns():
    introgressed, depleted = bed(("chr3", 0, 9), ("chr1", 5, 14)), bed(("chr3", 20, 29), ("chr2", 8, 17))
    plain = sequences.make_windows(introgressed, depleted, TinyGenome(TINY), length=6)
    odd = sequences.make_windows(
        introgressed.set_axis([9, 9]).assign(name="x"), depleted.set_axis([4, 2]), TinyGenome(TINY), length=6
    )
    pd.testing.assert_frame_equal(plain, odd)


def pasted(frame):
    """BED rows as the article handed them to samtools: the numbers unchanged."""
    return [f"{chrom}:{start}-{end}" for chrom, start, end in frame[COLUMNS].itertuples(index=False)]


def test_windows_as_published_are_what_samtools_gives_for_the_pasted_numbers(fasta_genome, faidx, reference, tool):
    introgressed = bed(("chr2", 1, 30), ("chr2", 400, 15_000), ("chr1", 60, 160), ("chr2", 14_990, 25_000))
    depleted = bed(("chr2", 500, 529), ("chr2", 9_999, 24_599), ("chr2", 7, 107), ("chr2", 3, 10_013))
    windows = sequences.make_windows(introgressed, depleted, fasta_genome, as_published=True)
    ours = list(sequences.fetch_windows(windows, fasta_genome))
    regions = [*pasted(introgressed), *pasted(depleted)]
    assert ours == [faidx(region)[:10_000] for region in regions]
    assert [len(text) for text in ours[:3]] == [30, 10_000, 101]
    assert windows["region_start"].tolist() == [*introgressed["start"], *depleted["start"]]

    arguments = [tool("samtools"), "faidx", reference, *regions]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert ours == ["".join(record.splitlines()[1:])[:10_000] for record in done.stdout.split(">")[1:]]


def test_as_published_no_base_comes_before_the_first(fasta_genome, letters):
    # samtools itself gives no letters at all for chr:0-n; no published region starts at 0.
    whole, other = bed(("chr2", 0, 40)), bed(("chr2", 100, 140))
    windows = sequences.make_windows(whole, other, fasta_genome, as_published=True)
    assert list(sequences.fetch_windows(windows, fasta_genome)) == [letters["chr2"][:40], letters["chr2"][99:140]]


def test_as_published_a_region_past_the_end_is_cut_there_as_samtools_does(fasta_genome, faidx):
    # One N-free region of the published draw passes its chromosome's end.
    inside, past = bed(("chr2", 5, 130)), bed(("chr2", 24_900, 25_025))
    windows = sequences.make_windows(inside, past, fasta_genome, as_published=True)
    texts = list(sequences.fetch_windows(windows, fasta_genome))
    assert texts == [faidx("chr2:5-130"), faidx("chr2:24900-25025")]
    assert len(texts[1]) == 101


def test_as_published_an_n_just_before_the_region_drops_the_pair():
    genome = TinyGenome({"chr1": "ACGTNACGTACGTACGT"})
    after, clean = bed(("chr1", 5, 11), ("chr1", 6, 12)), bed(("chr1", 9, 15), ("chr1", 9, 15))
    assert sequences.make_windows(after, clean, genome)["pair"].tolist() == [0, 1, 0, 1]
    assert sequences.make_windows(after, clean, genome, as_published=True)["pair"].tolist() == [1, 1]


def test_make_windows_refuses(refused):
    genome = TinyGenome(TINY)
    good = bed(("chr3", 0, 9))
    with refused("depleted regions", "found 1 rows, expected 2"):
        sequences.make_windows(bed(("chr3", 0, 9), ("chr3", 1, 9)), good, genome)
    with refused("chr3:3-7", "4 nt", "k = 5"):
        sequences.make_windows(bed(("chr3", 3, 7)), good, genome)
    with refused("tiny.fa", "no pair of regions is left"):
        sequences.make_windows(bed(("chr1", 0, 9)), good, genome)
    with refused("none of its chromosomes"):
        sequences.make_windows(bed(("3", 0, 9)), bed(("3", 0, 9)), genome)
    with refused("1 of 2 chromosomes", "chr9"):
        sequences.make_windows(bed(("chr9", 0, 9)), good, genome)
    with refused("chr3:30-39", "35 nt"):
        sequences.make_windows(bed(("chr3", 30, 39)), good, genome)
    with refused("chr3:30-39", "35 nt"):
        sequences.make_windows(bed(("chr3", 30, 39)), good, genome, gaps=bed(("chr1", 0, 5)))


def test_a_chromosome_given_as_a_gap_is_left_out_and_not_refused():
    genome = TinyGenome(TINY)
    introgressed, depleted = bed(("chr3", 0, 9), ("chr7", 50, 90)), bed(("chr3", 9, 18), ("chr7", 0, 40))
    gaps = sequences.find_gaps(genome, {"chr3": 35, "chr7": 100})
    assert sequences.make_windows(introgressed, depleted, genome, gaps=gaps)["pair"].tolist() == [0, 0]


def test_find_gaps_searches_the_assembly(genome, letters):
    sizes = {"chr1": len(letters["chr1"]), "chrMissing": 70, "chr2": 25_000, "chrEmpty": 130}
    gaps = sequences.find_gaps(genome, sizes)
    assert gaps["chrom"].drop_duplicates().tolist() == ["chr1", "chrMissing", "chrEmpty"]
    assert gaps.loc[gaps["chrom"] == "chrMissing", ["start", "end"]].to_numpy().tolist() == [[0, 70]]
    assert gaps.loc[gaps["chrom"] == "chrEmpty", ["start", "end"]].to_numpy().tolist() == [[0, 130]]
    assert gaps.index.tolist() == list(range(len(gaps)))
    assert gaps["start"].dtype == gaps["end"].dtype == np.int64


def test_find_gaps_of_a_genome_without_any():
    gaps = sequences.find_gaps(TinyGenome({"chr1": "ACGT"}), {"chr1": 4})
    assert gaps.empty
    assert list(gaps.columns) == COLUMNS


HG19 = {"chr1": 249_250_621, "chr21": 48_129_895, "chrX": 155_270_560}


def stub(sizes):
    """A genome of which only names and lengths matter."""
    return SimpleNamespace(path="genome.2bit", chromsizes=sizes)


def test_assembly_sizes_default_to_the_genomes_own():
    genome = stub({"a": 7})
    assert sequences.assembly_sizes(genome) == {"a": 7}


def test_assembly_sizes_of_hg19_for_a_partial_genome():
    sizes = sequences.assembly_sizes(stub({**HG19, "chr1_gl000191_random": 106_433}), assembly="hg19")
    assert sizes.items() >= HG19.items()
    assert {f"chr{i}" for i in range(1, 23)} < set(sizes)
    assert sizes["chr2"] == 243_199_373
    assert all(type(size) is int for size in sizes.values())
    assert sizes == {name: int(n) for name, n in bioframe.assembly_info("hg19").chromsizes.items()}


def test_assembly_sizes_under_the_genomes_names(tmp_path):
    genome = stub({"1": HG19["chr1"], "21": HG19["chr21"]})
    sizes = sequences.assembly_sizes(genome, assembly="hg19")
    assert sizes["21"] == HG19["chr21"]
    assert "chr21" not in sizes
    assert sizes["chr2"] == 243_199_373
    path = tmp_path / "chrom.sizes"
    path.write_text("chr1\t249250621\nchr5\t12\n")
    assert sequences.assembly_sizes(genome, chromsizes=path) == {"1": HG19["chr1"], "chr5": 12}


def test_assembly_sizes_refuses(tmp_path, refused):
    with refused("genome.2bit", "chr1", "249250622", "249250621", "hg19"):
        sequences.assembly_sizes(stub({"chr1": 249_250_622}), assembly="hg19")
    with refused("no chromosome in common with hg19", "scaffold1"):
        sequences.assembly_sizes(stub({"scaffold1": 5}), assembly="hg19")
    with refused("assembly", "'hg1999'"):
        sequences.assembly_sizes(stub(HG19), assembly="hg1999")
    path = tmp_path / "chrom.sizes"
    path.write_text("chr1\t5\n")
    with refused("genome.2bit", path):
        sequences.assembly_sizes(stub(HG19), chromsizes=path, assembly="hg19")
    with refused(tmp_path / "missing"):
        sequences.assembly_sizes(stub(HG19), chromsizes=tmp_path / "missing")


@given(places=st.lists(st.tuples(st.sampled_from(list(TINY)), st.integers(0, 11), st.integers(1, 9)), max_size=9))
def test_windows_read_along_the_genome_are_those_read_one_by_one(places):
    genome = TinyGenome(TINY)
    windows = bed(*((chrom, start, min(start + size, len(TINY[chrom]))) for chrom, start, size in places))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequences, "_PIECE", 12)
        found = dict(sequences.fetch_along_genome(windows, genome))
    assert [found[row] for row in range(len(windows))] == list(sequences.fetch_windows(windows, genome))
    assert len(found) == len(windows)


def test_windows_that_lie_close_are_read_at_once_but_not_without_limit(genome, letters, monkeypatch):
    windows = bed(("chr2", 900, 1_000), ("chr2", 0, 100), ("chr2", 950, 980), ("chr1", 0, 50), ("chr2", 5_000, 5_100))
    reads = []
    fetch = genome.fetch
    monkeypatch.setattr(genome, "fetch", lambda *place: reads.append(place) or fetch(*place))
    monkeypatch.setattr(genome, "block", 1_000)
    texts = dict(sequences.fetch_along_genome(windows.set_axis([7] * 5), genome))
    assert reads == [("chr1", 0, 50), ("chr2", 0, 1_000), ("chr2", 5_000, 5_100)]
    assert [texts[row] for row in range(5)] == [letters[c][s:e] for c, s, e in windows.itertuples(index=False)]
    reads.clear()
    monkeypatch.setattr(sequences, "_PIECE", 500)
    list(sequences.fetch_along_genome(windows, genome))
    assert reads == [("chr1", 0, 50), ("chr2", 0, 100), ("chr2", 900, 1_000), ("chr2", 5_000, 5_100)]


@pytest.mark.parametrize("bad", [("chr2", 60, 40), ("chr2", 50, 50), ("chr2", 90, 25_001), ("chr2", -1, 50)])
def test_a_window_that_cannot_be_read_is_named_also_along_the_genome(bad, genome, refused):
    windows = bed(("chr2", 0, 100), bad, ("chr2", 80, 200))
    with refused("{}:{}-{}".format(*bad)):
        list(sequences.fetch_along_genome(windows, genome))


def test_sentences_hold_words_with_other_letters_as_they_are():
    genome = TinyGenome({"chr1": "acgtNacgRtt"})
    (sentence,) = sequences.Sentences(bed(("chr1", 0, 11)), genome, 3)
    assert sentence == get_kmers("acgtNacgRtt", 3)


def test_sentences_may_be_read_again_and_again(genome, letters):
    windows = bed(("chr2", 0, 40), ("chr1", 60, 75), ("chr2", 24_990, 25_000))
    sentences = sequences.Sentences(windows, genome, 5)
    wanted = [get_kmers(letters[chrom][start:end], 5) for chrom, start, end in windows.itertuples(index=False)]
    assert len(sentences) == 3
    assert list(sentences) == wanted
    assert list(sentences) == wanted
    first, second = iter(sentences), iter(sentences)
    assert next(first) == next(second) == wanted[0]
    assert next(first) == wanted[1]


def records(text):
    """FASTA by hand: name and letters of each record."""
    parts = [record.split("\n", 1) for record in text.split(">")[1:]]
    return [(name, letters.replace("\n", "")) for name, letters in parts]


REGIONS = bed(("chr2", 0, 60), ("chr2", 24_940, 25_000), ("chr1", 40, 61), ("chr2", 5, 200), ("scaffold_1.1", 0, 1))


def test_write_fasta_gives_what_samtools_faidx_gives(genome, form, faidx, tmp_path):
    path = tmp_path / "new" / "regions.fa"
    assert sequences.write_fasta(REGIONS, genome, path) == len(REGIONS)
    names = [f"{chrom}:{start + 1}-{end}" for chrom, start, end in REGIONS.itertuples(index=False)]
    assert records(path.read_text()) == [(name, faidx(name).upper()) for name in names]


def test_write_fasta_is_wrapped_as_the_samtools_program_does(fasta_genome, reference, tool, tmp_path):
    path = tmp_path / "regions.fa"
    sequences.write_fasta(REGIONS, fasta_genome, path)
    names = [name for name, _ in records(path.read_text())]
    done = subprocess.run([tool("samtools"), "faidx", reference, *names], capture_output=True, text=True, check=True)
    wanted = [line if line[0] == ">" else line.upper() for line in done.stdout.splitlines()]
    assert path.read_text().splitlines() == wanted


def test_write_fasta_leaves_nothing_where_a_region_cannot_be_read(fasta_genome, tmp_path, refused):
    path = tmp_path / "out" / "regions.fa"
    with refused("chr2:24990-25010"):
        sequences.write_fasta(bed(("chr2", 0, 60), ("chr2", 24_990, 25_010)), fasta_genome, path)
    assert list(path.parent.iterdir()) == []


def test_windows_read_back(tmp_path, refused):
    windows = sequences.make_windows(bed(("chr3", 0, 9)), bed(("chr3", 9, 18)), TinyGenome(TINY))
    path = tmp_path / "windows.tsv"
    write_table(windows, path)
    pd.testing.assert_frame_equal(sequences.read_windows(path), windows, check_dtype=False)
    write_table(windows.assign(label=[1, -1]), path)
    with refused(path, "row 2: found label -1"):
        sequences.read_windows(path)
    write_table(windows.drop(columns="pair"), path)
    with refused(path, "pair"):
        sequences.read_windows(path)


@settings(max_examples=20)
@given(pairs=PAIRS)
def test_every_window_is_free_of_n_and_lies_in_its_region(pairs):
    introgressed, depleted = zip(*pairs, strict=True)
    assume(naive_windows(introgressed, depleted, TINY, 5))
    genome = TinyGenome(TINY)
    windows = sequences.make_windows(bed(*introgressed), bed(*depleted), genome, length=5, k=3)
    assert not any("N" in text.upper() for text in sequences.fetch_windows(windows, genome))
    assert (windows["start"] == windows["region_start"]).all()
    assert (windows["end"] <= windows["region_end"]).all()
    half = len(windows) // 2
    assert windows["pair"].tolist()[:half] == windows["pair"].tolist()[half:]
