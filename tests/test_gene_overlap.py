import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neanderthal_nlp import gene_overlap as module
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.depleted import draw_depleted
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.gene_overlap import (
    gc_content,
    genome_gc,
    intersection_test,
    overall_gc,
    summarise_draws,
)
from neanderthal_nlp.intervals import read_bed, read_chromsizes

SIZES = {"chr1": 40_000, "chr2": 25_000}


@pytest.fixture
def bedtools():
    path = shutil.which("bedtools")
    if path is None:
        pytest.skip("bedtools is not installed")
    return path


class StubGenome:
    def __init__(self, **chromosomes):
        self.chromosomes = chromosomes
        self.chromsizes = {name: len(letters) for name, letters in chromosomes.items()}
        self.longest = 0

    def fetch(self, chrom, start, end):
        assert 0 <= start < end <= self.chromsizes[chrom]
        self.longest = max(self.longest, end - start)
        return self.chromosomes[chrom][start:end]


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def random_intervals(rng, n, *, sizes=SIZES, longest=900):
    chroms = rng.choice(list(sizes), n)
    lengths = rng.integers(1, longest, n)
    starts = [int(rng.integers(0, sizes[chrom] - length)) for chrom, length in zip(chroms, lengths, strict=True)]
    return frame({"chrom": chroms, "start": starts, "end": starts + lengths})


def naive_gc(letters):
    called = [letter for letter in letters.upper() if letter in "ACGT"]
    return sum(letter in "GC" for letter in called) / len(called) if called else np.nan


def naive_pairs(regions, genes):
    return sum(
        a.chrom == b.chrom and a.start < b.end and b.start < a.end
        for a in regions.itertuples()
        for b in genes.itertuples()
    )


@given(letters=st.text("ACGTacgtNnRY", min_size=1, max_size=60), bin_size=st.integers(1, 70), piece=st.integers(1, 70))
@settings(deadline=None)
def test_gc_equals_the_naive_count(letters, bin_size, piece):
    genome = StubGenome(a=letters, b=letters[::-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        bins = genome_gc(genome, bin_size=bin_size)
        regions = frame([("b", start, len(letters)) for start in range(len(letters))])
        shares = gc_content(regions, genome)
    assert genome.longest <= piece
    np.testing.assert_allclose(shares, [naive_gc(letters[::-1][start:]) for start in regions["start"]])
    assert list(bins.columns) == ["chrom", "start", "end", "gc", "n_called"]
    pieces = [genome.fetch(row.chrom, row.start, row.end) for row in bins.itertuples()]
    assert "".join(pieces) == letters + letters[::-1]
    assert all(len(text) == bin_size for text in pieces[:1] if len(letters) >= bin_size)
    np.testing.assert_allclose(bins["gc"], [naive_gc(text) for text in pieces])
    assert list(bins["n_called"]) == [sum(letter in "ACGTacgt" for letter in text) for text in pieces]
    np.testing.assert_allclose(overall_gc(bins), naive_gc(letters))


def test_gc_of_nothing():
    genome = StubGenome(a="NNNN")
    assert gc_content(frame([]), genome).shape == (0,)
    assert np.isnan(gc_content(frame([("a", 0, 4)]), genome)).all()
    assert np.isnan(overall_gc(genome_gc(genome)))
    with pytest.raises(InputError, match="bin_size: found 0"):
        genome_gc(genome, bin_size=0)


@pytest.mark.parametrize("avoid", [None, frame([("chr1", 0, 5000), ("chr2", 24_000, 25_000)])])
def test_counts_equal_a_naive_loop(avoid):
    rng = np.random.default_rng(1)
    regions, genes = random_intervals(rng, 25), random_intervals(rng, 40)
    calls = []
    result = intersection_test(
        regions, genes, SIZES, n_draws=4, avoid=avoid, rng=np.random.default_rng(7), progress=lambda: calls.append(1)
    )
    assert result.observed == naive_pairs(regions, genes)
    twin = np.random.default_rng(7)
    expected = [naive_pairs(draw_depleted(regions, SIZES, avoid=avoid, rng=twin), genes) for _ in range(4)]
    assert list(result.draws) == expected
    assert result.draws.dtype == np.int64
    assert len(calls) == 4
    assert result.ratio == pytest.approx(result.observed / np.mean(expected))


def intersect(bedtools, folder, regions, genes):
    for name, table in (("a.bed", regions), ("b.bed", genes)):
        table[["chrom", "start", "end"]].to_csv(folder / name, sep="\t", header=False, index=False)
    command = [bedtools, "intersect", "-a", str(folder / "a.bed"), "-b", str(folder / "b.bed")]
    return len(subprocess.run(command, check=True, capture_output=True).stdout.splitlines())


def test_observed_equals_bedtools_intersect(bedtools, tmp_path):
    rng = np.random.default_rng(5)
    for _ in range(5):
        regions, genes = random_intervals(rng, 30), random_intervals(rng, 300)
        result = intersection_test(regions, genes, SIZES, n_draws=1, rng=rng)
        assert result.observed == intersect(bedtools, tmp_path, regions, genes)


def test_observed_equals_bedtools_intersect_on_the_articles_regions(article, bedtools, tmp_path):
    regions, genes = read_bed(article / "Akey_intr_coords.bed"), read_genes(article / "gene_ids.txt")
    sizes = read_chromsizes(article / "chrom.sizes")
    result = intersection_test(regions, genes, sizes, n_draws=3, rng=np.random.default_rng(0))
    assert result.observed == intersect(bedtools, tmp_path, regions, genes)
    assert result.p_article == "p < 1/3"
    assert result.ratio < 1


@given(observed=st.integers(0, 20), draws=st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_p_value_equals_the_naive_rank(observed, draws):
    result = summarise_draws(observed, np.array(draws))
    b = sum(draw <= observed for draw in draws)
    assert result.n_at_or_below == b
    assert result.p_value == (b + 1) / (len(draws) + 1)
    assert result.p_article == (f"p = {b}/{len(draws)}" if b else f"p < 1/{len(draws)}")
    assert (
        np.isnan(result.ratio) if not any(draws) else result.ratio == pytest.approx(observed * len(draws) / sum(draws))
    )


def test_p_values_are_roughly_uniform_under_the_null():
    # The regions are themselves a draw: short and few, so that what they forbid one another hardly matters.
    rng = np.random.default_rng(11)
    sizes = {"chr1": 1_000_000}
    p_values = []
    for _ in range(100):
        regions = random_intervals(rng, 60, sizes=sizes, longest=2000)
        genes = random_intervals(rng, 200, sizes=sizes, longest=5000)
        p_values.append(intersection_test(regions, genes, sizes, n_draws=19, rng=rng).p_value)
    assert 0.42 < np.mean(p_values) < 0.62
    assert np.mean(np.array(p_values) <= 0.05) < 0.12
    assert 0.15 < np.mean(np.array(p_values) <= 0.25) < 0.35


def test_avoidance_of_genes_is_found():
    genes = frame([("chr1", start, start + 500) for start in range(0, 40_000, 1000)])
    between = frame([("chr1", start + 510, start + 990) for start in range(0, 40_000, 2000)])
    away = intersection_test(between, genes, SIZES, n_draws=39, rng=np.random.default_rng(2))
    assert away.observed == 0
    assert (away.p_value, away.p_article, away.ratio) == (1 / 40, "p < 1/39", 0)
    inside = frame([("chr1", start + 200, start + 300) for start in range(0, 40_000, 2000)])
    within = intersection_test(inside, genes, SIZES, n_draws=39, rng=np.random.default_rng(2))
    assert within.p_value > 0.9
    assert within.ratio > 1


def test_seed_gives_different_draws_and_repeats_them():
    rng = np.random.default_rng(3)
    regions, genes = random_intervals(rng, 40), random_intervals(rng, 60)
    one, other = (intersection_test(regions, genes, SIZES, n_draws=10, rng=seed) for seed in (5, 5))
    assert list(one.draws) == list(other.draws)
    assert len(set(one.draws)) > 1


def test_refusals():
    regions, genes = frame([("chr1", 0, 9)]), frame([("1", 0, 9)])
    with pytest.raises(InputError, match="n_draws: found 0"):
        intersection_test(regions, regions, SIZES, n_draws=0, rng=np.random.default_rng(0))
    with pytest.raises(
        InputError, match=r"genes: no chromosome of the regions \(found 1; expected names such as chr1\)"
    ):
        intersection_test(regions, genes, SIZES, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="no admissible start"):
        intersection_test(frame([("chr1", 0, 39_000)]), regions, SIZES, rng=np.random.default_rng(0))
