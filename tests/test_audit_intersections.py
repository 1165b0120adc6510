"""The gene-intersection audit: its pieces held to naive readings, its verdicts to data with a known answer."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp import cli
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.audit import intersection_audit
from neanderthal_nlp.audit import intersections as module
from neanderthal_nlp.audit.intersections import VARIANTS, bootstrap_ratio, conclude, invert_draws
from neanderthal_nlp.evaluation import Interval
from neanderthal_nlp.gene_overlap import LocalGC, complete_bins, intersection_test, summarise_draws
from neanderthal_nlp.intervals import cluster, cut_gaps, merge_overlapping, read_bed, read_chromsizes

SIZES = {"chr1": 3_000_000, "chr2": 2_000_000}
NO_GAPS = pd.DataFrame({"chrom": pd.Series(dtype=str), "start": pd.Series(dtype=int), "end": pd.Series(dtype=int)})
PLACE = ["chrom", "start", "end"]


def frame(rows):
    return pd.DataFrame(rows, columns=PLACE)


def flat_bins(sizes=SIZES, *, size=100_000, gc=0.4):
    """Bins of the same GC everywhere."""
    rows = [(chrom, start, min(start + size, end)) for chrom, end in sizes.items() for start in range(0, end, size)]
    return frame(rows).assign(gc=gc)


def audit(regions, genes, sizes=SIZES, **options):
    settings = {"gaps": NO_GAPS, "bins": flat_bins(sizes), "n_draws": 39, "n_bootstrap": 200, "rng": 1}
    return intersection_audit(regions, genes, sizes, **{**settings, **options})


def naive_pairs(regions, genes):
    """Genes met by each region, by looking at every pair."""
    return [
        sum(a.chrom == b.chrom and a.start < b.end and b.start < a.end for b in genes.itertuples())
        for a in regions.itertuples()
    ]


class FixedOffsets:
    """A source of randomness that gives what it was told to."""

    def __init__(self, values):
        self.values = np.array(values)

    def integers(self, low, high):
        assert low == 0
        assert (self.values < high).all()
        return self.values


interval = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 30), st.integers(1, 12)).map(
    lambda row: (row[0], row[1], row[1] + row[2])
)
intervals_ = st.lists(interval, min_size=1, max_size=8).map(frame)
gaps_ = st.lists(interval, max_size=4).map(frame).map(lambda gaps: gaps.astype({"start": int, "end": int}))


def outside(gaps, chrom, length=50):
    """Whether each base of a chromosome lies outside all gaps."""
    free = np.ones(length, dtype=bool)
    for gap in gaps[gaps["chrom"] == chrom].itertuples():
        free[gap.start : gap.end] = False
    return free


# Pieces


@given(regions=intervals_, gaps=gaps_)
def test_cut_gaps_counts_the_bases_outside_them(regions, gaps):
    found = cut_gaps(regions, gaps)
    for row, moved in zip(regions.itertuples(), found.itertuples(), strict=True):
        free = outside(gaps, row.chrom)
        assert (moved.chrom, moved.start) == (row.chrom, free[: row.start].sum())
        assert moved.end - moved.start == free[row.start : row.end].sum()


@given(regions=intervals_)
def test_merged_regions_are_the_spans_of_clusters(regions):
    spans = regions.groupby(cluster(regions)).agg({"chrom": "first", "start": "min", "end": "max"})
    found = merge_overlapping(regions)
    assert set(found.itertuples(index=False, name=None)) == set(spans.itertuples(index=False, name=None))
    assert len(found) == len(spans)


@given(
    regions=intervals_,
    shares=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=10, max_size=10),
    gaps=gaps_,
)
def test_local_gc_is_the_mean_over_called_letters(regions, shares, gaps):
    # Five bins of ten letters a chromosome, the called ones of a bin all with the bin's GC.
    starts = [*range(0, 50, 10)] * 2
    table = pd.DataFrame({"chrom": ["chr1"] * 5 + ["chr2"] * 5, "start": starts, "end": np.array(starts) + 10})
    called = np.concatenate([outside(gaps, chrom).reshape(5, 10).sum(axis=1) for chrom in ("chr1", "chr2")])
    bins = complete_bins(table.assign(gc=np.array(shares) * called / 10), gaps)
    assert list(bins["n_called"]) == list(called)
    np.testing.assert_allclose(bins["gc"], np.where(called > 0, shares, np.nan))
    local = LocalGC(bins)
    found = local.share(local.codes(regions["chrom"]), regions["start"].to_numpy(), regions["end"].to_numpy())
    weights = {chrom: np.repeat(called.reshape(2, 5)[i], 10) for i, chrom in enumerate(("chr1", "chr2"))}
    letters = {chrom: np.repeat(np.reshape(shares, (2, 5))[i], 10) for i, chrom in enumerate(("chr1", "chr2"))}
    for value, row in zip(found, regions.itertuples(), strict=True):
        weight = weights[row.chrom][row.start : row.end]
        expected = np.average(letters[row.chrom][row.start : row.end], weights=weight) if weight.any() else np.nan
        np.testing.assert_allclose(value, expected, atol=1e-12)


def test_bins_in_each_form():
    gaps = frame([("chr1", 0, 50)])
    counted = frame([("chr1", 0, 100), ("chr1", 100, 200)])
    plain = complete_bins(counted.assign(gc=[0.2, 0.5]), gaps)
    assert list(plain["gc"]) == [0.4, 0.5]
    assert list(plain["n_called"]) == [50, 100]
    given_ = complete_bins(counted.assign(gc=[0.2, 0.5], n_called=[10, 20]), gaps)
    assert list(given_["gc"]) == [0.2, 0.5]
    assert list(given_["n_called"]) == [10, 20]
    run = complete_bins(counted.assign(gc=[0.2, 0.5], kind=["genome", "gene"]), gaps)
    assert run.to_dict("records") == [{"chrom": "chr1", "start": 0, "end": 100, "gc": 0.2, "n_called": 50}]
    with_unknown = LocalGC(plain)
    regions = frame([("chr1", 0, 20), ("chr1", 150, 900), ("chr1", 700, 900), ("chrX", 0, 10)])
    codes = with_unknown.codes(regions["chrom"])
    found = with_unknown.share(codes, regions["start"].to_numpy(), regions["end"].to_numpy())
    np.testing.assert_allclose(found, [0.4, 0.5, np.nan, np.nan])


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        (frame([("chr1", 0, 100)]), ["no column gc", "found chrom, start, end"]),
        (frame([("chr1", 0, 100)]).assign(gc=0.4, kind="gene"), ["found none"]),
        (frame([("chr1", 0, 100)]).assign(gc=41.0), ["chr1:0-100", "found gc 41.0", "from 0 to 1"]),
        (frame([("chr1", 0, 100), ("chr1", 99, 200)]).assign(gc=0.4), ["chr1:99-200", "overlaps no other"]),
    ],
)
def test_tables_that_are_no_bins(table, parts, refused):
    with refused("GC bins", *parts):
        complete_bins(table, NO_GAPS)


def naive_rotated(regions, genes, gaps, sizes, offsets):
    """Genes met by each region after a turn, base by base: a region that passes the end is two pieces."""
    counts = []
    for region in regions.itertuples():
        free = outside(gaps, region.chrom, sizes[region.chrom])
        around, number = free.sum(), np.cumsum(free) - 1
        kept = number[region.start : region.end][free[region.start : region.end]]
        if not len(kept):
            continue
        turned = kept + offsets[region.chrom] % around
        pieces = [{int(x) for x in turned if x < around}, {int(x - around) for x in turned if x >= around}]
        bases = [
            set(number[gene.start : gene.end][free[gene.start : gene.end]].tolist())
            for gene in genes[genes["chrom"] == region.chrom].itertuples()
        ]
        counts.append(sum(bool(piece & base) for piece in pieces for base in bases))
    return counts


@given(regions=intervals_, genes=intervals_, gaps=gaps_, offset=st.integers(0, 7))
def test_a_known_turn_meets_the_genes_that_a_naive_one_meets(regions, genes, gaps, offset):
    sizes = {"chr1": 50, "chr2": 45}
    offsets = dict(zip(sizes, (offset, 2 * offset), strict=True))
    # The chromosomes of regions outside gaps, in the order in which they come up, as the draw numbers them.
    moved = cut_gaps(regions, gaps)
    order = moved.loc[moved["end"] > moved["start"], "chrom"].unique()
    rng = FixedOffsets([offsets[chrom] for chrom in order])
    null = module._rotate(regions, genes, sizes, gaps=gaps, rng=rng)
    assert list(null.observed) == naive_rotated(regions, genes, gaps, sizes, dict.fromkeys(sizes, 0))
    if len(order):
        assert list(null.draw()) == naive_rotated(regions, genes, gaps, sizes, offsets)


def test_the_candidate_nearest_in_gc_is_kept():
    bins = frame([("chr1", 100 * i, 100 * i + 100) for i in range(10)]).assign(gc=np.arange(10) / 10, n_called=100)
    regions = frame([("chr1", 100, 200), ("chr1", 450, 550), ("chrX", 0, 50)])
    matching = module._Matching(LocalGC(bins), 3)
    assert len(matching.fit(regions)) == 2  # chrX has no GC

    class Sampler:
        def starts(self, rng, n):
            assert n == 3
            return np.array([[900, 0], [320, 430], [30, 800]])

    # GC wanted: 0.1 and 0.45; on offer: 0.9, 0.32, 0.03 and 0, 0.43, 0.8.
    assert list(matching.choose(Sampler(), None)) == [30, 430]
    found = matching.balance()
    assert (found["gc_regions"], found["sd_regions"]) == pytest.approx((0.275, 0.175))
    assert (found["gc_unmatched"], found["sd_unmatched"]) == pytest.approx((0.45, 0.45))
    assert (found["gc_matched"], found["sd_matched"]) == pytest.approx((0.23, 0.2))
    assert (found["apart_unmatched"], found["apart_matched"]) == pytest.approx(((0.8 + 0.45) / 2, (0.07 + 0.02) / 2))
    assert found["smd_matched"] == pytest.approx(0.045 / np.sqrt((0.175**2 + 0.2**2) / 2))


def test_copies_of_a_region_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    observed, expected, loci = rng.integers(0, 9, 30), rng.uniform(1, 9, 30), np.arange(30)
    once = bootstrap_ratio(observed, expected, loci, n_bootstrap=200, rng=5)
    copied = bootstrap_ratio(*(np.repeat(values, 20) for values in (observed, expected, loci)), n_bootstrap=200, rng=5)
    assert copied == pytest.approx(once)
    assert once.value == pytest.approx(observed.sum() / expected.sum())
    assert once.low < once.value < once.high
    apart = np.arange(600)
    fooled = bootstrap_ratio(np.repeat(observed, 20), np.repeat(expected, 20), apart, n_bootstrap=200, rng=5)
    assert fooled.high - fooled.low < (once.high - once.low) / 3


def test_the_interval_of_two_loci_spans_their_ratios():
    # Of four equally probable resamples one holds only the first locus, one only the second.
    found = bootstrap_ratio(np.array([1, 1, 9]), np.array([1, 3, 3]), np.array([0, 0, 1]), n_bootstrap=500, rng=1)
    assert found == pytest.approx((11 / 7, 2 / 4, 9 / 3))


def test_intervals_of_nothing():
    nothing = bootstrap_ratio(np.array([0, 0]), np.array([0, 0]), np.array([0, 1]), n_bootstrap=9, rng=1)
    assert np.isnan(nothing).all()
    one = bootstrap_ratio(np.array([1, 2]), np.array([2, 4]), np.array([0, 0]), n_bootstrap=9, rng=1)
    assert one.value == 0.5
    assert np.isnan(one[1:]).all()
    never = np.zeros(20, dtype=int)
    assert np.isnan(invert_draws(summarise_draws(0, never))).all()
    assert invert_draws(summarise_draws(3, never)).high == np.inf


def test_the_inverted_interval_ends_where_p_would_refuse():
    draws = np.arange(1000, 1201)
    found = invert_draws(summarise_draws(990, draws))
    assert found == pytest.approx((990 / 1100, 990 / 1195, 990 / 1005))


@pytest.mark.parametrize(
    ("observed", "low", "high", "conclusion"),
    [
        (9, 0.5, 0.9, "fewer genes"),
        (9, 0.5, 1.1, "no difference shown"),  # the interval does not agree
        (15, 0.5, 0.9, "no difference shown"),  # p does not agree
        (40, 1.1, 1.5, "more genes"),
        (40, 0.9, 1.5, "no difference shown"),
        (25, 1.1, 1.5, "no difference shown"),
        (9, np.nan, np.nan, "no difference shown"),
    ],
)
def test_conclusions_need_p_and_interval(observed, low, high, conclusion):
    test = summarise_draws(observed, np.arange(10, 30))
    assert conclude(test, Interval(1.0, low, high)) == conclusion


# Variants


def test_counts_by_hand():
    # Two overlapping regions and one that only touches; one gene meets both of the locus, one gene none.
    regions = frame([("chr1", 1000, 2000), ("chr1", 1500, 2500), ("chr1", 2500, 3000)])
    genes = frame([("chr1", 1400, 1600), ("chr1", 2450, 2600), ("chr1", 9000, 9100)])
    found = audit(regions, genes, {"chr1": 20_000}).table.set_index("variant")
    assert list(found.index) == list(VARIANTS)
    for variant, row in found.iterrows():
        merged = variant.endswith("merged")
        assert (row["n_regions"], row["observed"]) == ((2, 3) if merged else (3, 4))
        assert row["ratio"] == pytest.approx(row["observed"] / row["expected"])
        assert row["p"] == (row["n_at_or_below"] + 1) / 40


def simulate(seed, *, n_loci=40, copies=12):
    """Loci of overlapping regions and clusters of genes, independent of one another."""
    rng = np.random.default_rng(seed)
    chroms = rng.choice(list(SIZES), n_loci)
    rows = []
    for chrom in chroms:
        start, length = rng.integers(0, SIZES[chrom] - 60_000), rng.integers(5_000, 60_000)
        trims = rng.integers(0, length // 3, (rng.integers(1, 2 * copies), 2))
        rows += [(chrom, start + left, start + length - right) for left, right in trims]
    centres = {chrom: rng.integers(0, size - 200_000, 15) for chrom, size in SIZES.items()}
    chroms = rng.choice(list(SIZES), 200, p=[0.6, 0.4])
    starts = np.array([rng.choice(centres[chrom]) for chrom in chroms]) + rng.integers(0, 150_000, 200)
    genes = pd.DataFrame({"chrom": chroms, "start": starts, "end": starts + rng.integers(500, 20_000, 200)})
    return frame(rows).drop_duplicates(ignore_index=True), genes


def test_variants_without_gaps_are_the_articles_test_on_their_regions():
    regions, genes = simulate(3)
    gaps = frame([("chr1", 1_000_000, 1_400_000), ("chr2", 0, 100_000)])
    regions = regions[[not n for n in naive_pairs(regions, gaps)]]
    found = audit(regions, genes, gaps=gaps, rng=8).table.set_index("variant")
    streams = np.random.default_rng(8).spawn(len(VARIANTS))
    merged = merge_overlapping(regions)
    for variant, tested, avoid in (("article", regions, None), ("clear_of_gaps", regions, gaps),
                                   ("merged", merged, gaps)):  # fmt: skip
        rng = streams[list(VARIANTS).index(variant)]
        expected = intersection_test(tested, genes, SIZES, n_draws=39, avoid=avoid, rng=rng)
        row = found.loc[variant]
        assert (row["observed"], row["p"]) == (expected.observed, expected.p_value)
        assert row["expected"] == pytest.approx(expected.draws.mean())
        assert row["observed"] == sum(naive_pairs(tested, genes))


def test_dependence_fools_the_articles_test_and_not_the_rotation():
    # Regions and genes have nothing to do with one another: 5 % of the tests may say they have.
    tables = [
        audit(*simulate(seed), variants=("article", "rotated"), n_draws=19, n_bootstrap=50, rng=seed).table
        for seed in range(60)
    ]
    found = pd.concat(tables).groupby("variant")
    refused = found["p"].agg(lambda p: (p <= 0.05).mean())
    assert refused["article"] > 0.2
    assert refused["rotated"] < 0.15
    assert 0.4 < found["p"].mean()["rotated"] < 0.65
    fewer = found["conclusion"].agg(lambda conclusion: (conclusion == "fewer genes").mean())
    assert fewer["article"] < refused["article"] / 2  # the interval holds it back
    assert fewer["rotated"] < 0.15


def test_a_planted_difference_is_found_by_every_variant():
    rng = np.random.default_rng(4)
    starts = np.cumsum(rng.integers(15_000, 25_000, 140))  # not at equal distances: a turn could meet them again
    genes = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 4_000})
    loci = np.repeat(rng.choice(starts, 40, replace=False), 5)
    lengths = rng.integers(5_000, 9_000, len(loci))
    avoiding = pd.DataFrame({"chrom": "chr1", "start": loci + 5_000, "end": loci + 5_000 + lengths})
    seeking = avoiding.assign(start=loci + 1_000, end=loci + 1_000 + lengths)
    assert set(audit(avoiding, genes).table["conclusion"]) == {"fewer genes"}
    more = audit(seeking, genes).table
    assert set(more["conclusion"]) == {"more genes"}
    assert more["verdict"].str.contains("reversed").all()
    assert (more["low"] > 1).all()


def confounded(seed):
    """Regions mostly in AT-rich, genes mostly in GC-rich blocks of 500 kb; independent within them."""
    rng = np.random.default_rng(seed)
    rich = np.arange(6_000_000 // 100_000) // 5 % 2 == 1
    bins = flat_bins({"chr1": 6_000_000}).assign(gc=np.where(rich, 0.5, 0.38) + rng.normal(0, 0.01, len(rich)))

    def place(n, share_rich, length):
        of_rich = rng.random(n) < share_rich
        starts = np.where(of_rich, rng.choice(np.flatnonzero(rich), n), rng.choice(np.flatnonzero(~rich), n)) * 100_000
        starts += rng.integers(0, 100_000 - length, n)
        return pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + length})

    return place(90, 0.1, 15_000), place(400, 0.9, 3_000), bins


def test_composition_explains_a_planted_confounding():
    tables, balances = [], []
    for seed in range(8):
        regions, genes, bins = confounded(seed)
        found = audit(regions, genes, {"chr1": 6_000_000}, bins=bins, rng=seed,
                      variants=("article", "merged", "gc_matched", "gc_matched_merged"))  # fmt: skip
        tables.append(found.table)
        balances.append(found.balance)
    conclusions = pd.concat(tables).groupby("variant")["conclusion"].agg(lambda said: (said == "fewer genes").mean())
    assert conclusions["article"] == conclusions["merged"] == 1
    assert max(conclusions["gc_matched"], conclusions["gc_matched_merged"]) <= 0.25
    ratios = pd.concat(tables).groupby("variant")["ratio"].mean()
    assert ratios["article"] < 0.6
    assert 0.85 < ratios["gc_matched"] < 1.15
    balance = pd.concat(balances)
    assert set(balance["variant"]) == {"gc_matched", "gc_matched_merged"}
    assert (balance["smd_unmatched"] < -0.5).all()
    assert (balance["smd_matched"].abs() < 0.1).all()


def test_gaps_that_hold_no_gene_hide_a_difference():
    # Half of the chromosome is a gap: blind draws find too few genes there.
    rng = np.random.default_rng(6)
    starts = rng.integers(1_500_000, 2_990_000, 300)
    genes = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 5_000})
    starts = rng.integers(1_500_000, 2_990_000, 60)
    regions = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 8_000})
    found = audit(regions, genes, {"chr1": 3_000_000}, gaps=frame([("chr1", 0, 1_500_000)])).table
    ratios = found.set_index("variant")["ratio"]
    assert ratios["article"] > 1.5
    assert ratios.drop("article").between(0.8, 1.25).all()


def test_regions_that_cannot_be_drawn_are_left_out_and_said():
    # A chain of overlapping regions spans more than what is left of its chromosome.
    chain = [("chr1", start, start + 10_000) for start in range(0, 65_000, 5_000)]
    regions = frame([*chain, ("chr2", 10_000, 15_000), ("chrX", 0, 5_000)])
    sizes = {"chr1": 100_000, "chr2": 100_000, "chrX": 50_000}
    genes = frame([("chr1", 60_000, 62_000), ("chr2", 12_000, 13_000), ("chr2", 50_000, 52_000)])
    gaps = frame([("chrX", 0, 5_000)])
    bins = flat_bins({"chr1": 100_000, "chr2": 100_000})
    found = audit(regions, genes, sizes, gaps=gaps, bins=bins).table.set_index("variant")
    assert dict(found["n_regions"]) == {
        "article": 15,
        "clear_of_gaps": 15,
        "merged": 2,  # without the chain
        "rotated": 14,  # without the region in a gap
        "rotated_merged": 2,
        "gc_matched": 14,  # without the region of unknown GC
        "gc_matched_merged": 1,
    }
    assert found.loc["merged", "observed"] == 1
    assert "; 1 left out" in found.loc["merged", "description"]
    assert found.loc["article", "description"] == VARIANTS["article"]


def test_the_seed_alone_decides_and_each_variant_has_its_own_stream():
    regions, genes = simulate(1)
    whole, again = (audit(regions, genes, n_draws=19, n_candidates=2).table for _ in range(2))
    pd.testing.assert_frame_equal(whole, again)
    part = audit(regions, genes, n_draws=19, n_candidates=2, variants=["rotated"]).table
    pd.testing.assert_frame_equal(part, whole[whole["variant"] == "rotated"].reset_index(drop=True))
    other = audit(regions, genes, n_draws=19, n_candidates=2, rng=2).table
    assert (other["expected"] != whole["expected"]).all()
    assert (other["observed"] == whole["observed"]).all()


def test_refusals(refused):
    regions, genes = frame([("chr1", 0, 900)]), frame([("chr1", 0, 900)])
    with refused("n_draws: found 18, expected at least 19"):
        audit(regions, genes, n_draws=18)
    with refused("n_candidates: found 0"):
        audit(regions, genes, n_candidates=0)
    with refused("n_bootstrap: found 0"):
        audit(regions, genes, n_bootstrap=0)
    with refused("variants: found turned, expected some of article"):
        audit(regions, genes, variants=("article", "turned"))
    with refused("genes: no chromosome of the regions", "found 1", "such as chr1"):
        audit(regions, genes.assign(chrom="1"))
    with refused("genes: record 1", "passes the end of chr1"):
        audit(regions, genes.assign(end=3_000_001))
    with refused("introgressed regions: record 1", "passes the end of chr1"):
        audit(regions.assign(end=3_000_001), genes)
    with refused("found none of 1 that can be drawn for the variant gc_matched"):
        audit(regions, genes, bins=flat_bins({"chr2": 1_000}))
    with refused("found none of 1 that can be drawn for the variant article"):
        audit(regions, genes, {"chr1": 1_000}, bins=flat_bins({"chr1": 1_000}))


# Reference tool, real data and the command


def test_observed_counts_equal_bedtools(tool, tmp_path):
    bedtools = tool("bedtools")
    regions, genes = simulate(2)
    found = audit(regions, genes, variants=("article", "merged", "rotated", "rotated_merged"), n_draws=19).table
    observed = found.set_index("variant")["observed"]
    for name, table in (("regions", regions), ("genes", genes)):
        table.sort_values(PLACE)[PLACE].to_csv(tmp_path / name, sep="\t", header=False, index=False)

    def run(*arguments):
        return subprocess.run([bedtools, *arguments], check=True, capture_output=True, cwd=tmp_path).stdout

    (tmp_path / "merged").write_bytes(run("merge", "-i", "regions", "-d", "-1"))
    pairs = {name: len(run("intersect", "-a", name, "-b", "genes").splitlines()) for name in ("regions", "merged")}
    assert observed["article"] == observed["rotated"] == pairs["regions"]
    assert observed["merged"] == observed["rotated_merged"] == pairs["merged"]


@pytest.fixture
def run_folder(tmp_path):
    """What the stages leave that the command reads, with chromosomes named otherwise in the gene file."""
    regions, genes = simulate(5)
    results = tmp_path / "run" / "results"
    results.mkdir(parents=True)
    regions.to_csv(results / "introgressed.bed", sep="\t", header=False, index=False)
    (results / "chrom.sizes").write_text("".join(f"{chrom}\t{size}\n" for chrom, size in SIZES.items()))
    (results / "gaps.bed").write_text("")
    flat_bins().assign(kind="genome").to_csv(results / "gc.tsv", sep="\t", index=False)
    genes.assign(chrom=genes["chrom"].str[3:]).to_csv(tmp_path / "genes.bed", sep="\t", header=False, index=False)
    return tmp_path


def call(folder, *arguments):
    options = ["--directory", folder / "run", "--genes", folder / "genes.bed", "--draws", 19, *arguments]
    cli.app(["audit", "intersections", *map(str, options)], standalone_mode=False)


def test_the_command_on_a_run(run_folder, capsys):
    call(run_folder)
    folder = run_folder / "run" / "results" / "audit"
    regions, genes = simulate(5)
    expected = audit(regions, genes, n_draws=19, n_bootstrap=1000)
    written = pd.read_csv(folder / "intersections.tsv", sep="\t")
    pd.testing.assert_frame_equal(written, expected.table, rtol=1e-6)
    balance = pd.read_csv(folder / "intersection_balance.tsv", sep="\t")
    assert list(balance["gc_matched"]) == pytest.approx([0.4, 0.4])
    record = json.loads((folder / "intersections.json").read_text())
    assert [row["variant"] for row in record["variants"]] == list(VARIANTS)
    assert record["balance"][0]["smd_matched"] is None  # GC is the same everywhere: no difference to standardise
    assert record["changed_by"] == list(written.loc[written["conclusion"] != "fewer genes", "variant"])
    assert set(record["inputs"]) == {"introgressed", "chromsizes", "gaps", "gc", "genes"}
    assert f"change the article's conclusion: {', '.join(record['changed_by'])}" in capsys.readouterr().err


def test_the_command_takes_other_files_and_a_genome(run_folder):
    rng = np.random.default_rng(0)
    with (run_folder / "genome.fa").open("w") as handle:
        handle.write(">chr1\n" + "".join(rng.choice(list("ACGT"), 60_000)) + "\n")
    (run_folder / "some.bed").write_text("".join(f"1\t{s}\t{s + 3_000}\n" for s in (1_000, 2_000, 30_000)))
    (run_folder / "genes.bed").write_text("chr1\t2500\t3500\n")
    (run_folder / "sizes").write_text("chr1\t60000\n")
    call(run_folder, "--introgressed", run_folder / "some.bed", "--chromsizes", run_folder / "sizes",
         "--genome", run_folder / "genome.fa", "--cache", run_folder / "cache")  # fmt: skip
    written = pd.read_csv(run_folder / "run/results/audit/intersections.tsv", sep="\t").set_index("variant")
    assert (written.loc["article", "observed"], written.loc["merged", "observed"]) == (2, 1)
    balance = pd.read_csv(run_folder / "run/results/audit/intersection_balance.tsv", sep="\t")
    assert balance["gc_regions"].between(0.45, 0.55).all()


def test_the_command_refuses_and_writes_nothing(run_folder, refused):
    table = run_folder / "run" / "results" / "gc.tsv"
    with refused("--genome, --gc-table: found both"):
        call(run_folder, "--genome", "a.fa", "--gc-table", "b.tsv")
    table.write_text("chrom\tstart\tend\tgc\nchr1\t0\t100\t41\n")
    with refused(table, "found gc 41.0"):
        call(run_folder)
    table.unlink()
    with refused(table, "cannot be read"):
        call(run_folder)
    regions = run_folder / "run" / "results" / "introgressed.bed"
    regions.write_text("chr1\t5\t3000001\n")
    table.write_text("chrom\tstart\tend\tgc\nchr1\t0\t100\t0.4\n")
    with refused(regions, "record 1", "passes the end of chr1"):
        call(run_folder)
    assert not (run_folder / "run" / "results" / "audit").exists()


def test_the_published_regions_on_small_chromosomes(published, data):
    chroms = ["chr20", "chr21", "chr22"]
    regions, gaps = read_bed(published("Akey_intr_coords.bed")), read_bed(data / "hg19_gap.bed")
    genes, sizes = read_genes(published("gene_ids.txt")), read_chromsizes(published("chrom.sizes"))
    bins = pd.read_csv(data / "hg19_gc_100kb.tsv.gz", sep="\t")
    regions, genes, gaps, bins = (table[table["chrom"].isin(chroms)] for table in (regions, genes, gaps, bins))
    found = audit(regions, genes, sizes, gaps=gaps, bins=bins)
    table, balance = found.table.set_index("variant"), found.balance.set_index("variant")
    assert list(table.loc[["article", "rotated", "gc_matched"], "n_regions"]) == [len(regions)] * 3
    assert table.loc["clear_of_gaps", "expected"] > table.loc["article", "expected"]  # no gene lies in a gap
    assert table["ratio"].between(table["low"], table["high"]).all()
    assert balance["gc_regions"].between(0.4, 0.5).all()
    assert (balance["smd_matched"].abs() < 0.1).all()
    assert (balance["apart_matched"] < balance["apart_unmatched"] / 2).all()
