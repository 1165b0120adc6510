"""The audit of the gene table: flags against naive loops, scores out of fold against what a model must not know."""

import json
from itertools import pairwise

import bioframe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats.contingency import odds_ratio

from neanderthal_nlp import cli
from neanderthal_nlp.audit import (
    count_predictions,
    dose_response,
    enrichment,
    flag_genes,
    gene_loci,
    out_of_fold,
    score_out_of_fold,
)
from neanderthal_nlp.audit.gene_table import AUDIT_COLUMNS, FLAGS, NEAR, check_annotated, locate
from neanderthal_nlp.audit.leaks import windows_of_pairs
from neanderthal_nlp.audit.out_of_fold import fit_platt
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.evaluation import evaluate, folds
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.genes import read_predictions
from neanderthal_nlp.intervals import home_chromosome, read_bed
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.splits import Split, split


def frame_of_genes(rows):
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "Gene_Symbol"])
    gene = table["chrom"] + ":" + (table["start"] + 1).astype(str) + "-" + table["end"].astype(str)
    return table.assign(Gene=gene)


def overlap(one, other):
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


# Coordinates and loci


def test_genes_are_located_from_1_based_inclusive_names():
    table = locate(pd.DataFrame({"Gene": ["chr1:1-10", "HLA:1:5-5"]}, index=[7, 3]), source="x")
    assert list(table[["chrom", "start", "end"]].itertuples(index=True, name=None)) == [
        (7, "chr1", 0, 10), (3, "HLA:1", 4, 5),
    ]  # fmt: skip


@pytest.mark.parametrize("gene", ["chr1", "chr1:0-9", "chr1:9-8", "chr1:-3-8", ""])
def test_genes_without_a_place_are_refused(refused, gene):
    with refused("genes.txt", "record 2", repr(gene), "1-based inclusive"):
        locate(pd.DataFrame({"Gene": ["chr1:1-2", gene]}), source="genes.txt")


def test_loci_by_hand():
    genes = frame_of_genes([
        ("chr6", 100, 200, "A"),           # overlaps the next one
        ("chr6", 199, 300, "B"),
        ("chr6", 300, 400, "C"),           # only touches
        ("chr6_cox_hap2", 5000, 5100, "B"),  # a copy of B: the first locus
        ("chr6_cox_hap2", 5050, 5200, "D"),  # overlaps that copy
        ("chr6_qbl_hap6", 1, 10, "E"),     # copies on sister contigs, nothing on chr6 itself
        ("chr6_GL000250v2_alt", 7, 70, "E"),
        ("chr7", 100, 200, "A"),           # another chromosome: no copy
        ("chr7", 900, 950, "A"),           # nor is this, since no contig holds A of chr7
        ("chr17_KI270857v1_fix", 0, 50, "C"),  # a copy of chr17, not of chr6
    ])  # fmt: skip
    loci = gene_loci(genes)
    assert list(loci) == [0, 0, 1, 0, 0, 2, 2, 3, 4, 5]
    assert loci.dtype == np.int64


CHROMS = ["chr1", "chr1_a_hap1", "chr1_b_alt", "chr2"]
genes_strategy = st.lists(
    st.tuples(st.sampled_from(CHROMS), st.integers(0, 60), st.integers(1, 12), st.sampled_from("ABCD")).map(
        lambda row: (row[0], row[1], row[1] + row[2], row[3])
    ),
    max_size=14,
)


@given(rows=genes_strategy)
def test_loci_equal_the_naive_closure(rows):
    def same(one, other):
        homes = [row[0].partition("_")[0] for row in (one, other)]
        copied = any("_" in row[0] and row[0].startswith(homes[0]) and row[3] == one[3] for row in rows)
        return overlap(one, other) or (homes[0] == homes[1] and one[3] == other[3] and copied)

    loci = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if same(one, other):
                    loci[i] = loci[j] = min(loci[i], loci[j])
    expected = pd.factorize(np.array(loci, dtype=np.int64))[0]
    assert list(gene_loci(frame_of_genes(rows))) == list(expected)


# Flags


place = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 60_000), st.integers(1, 9_000))
windows_strategy = st.lists(st.tuples(place, st.integers(1, 20_000), st.integers(0, 1)), max_size=8)


@given(windows=windows_strategy, places=st.lists(place, max_size=8), length=st.integers(1, NEAR))
def test_flags_equal_a_naive_loop(windows, places, length):
    spans = [(c, s, s + n, label, max(n, m)) for (c, s, n), m, label in windows]
    frame = pd.DataFrame(spans, columns=["chrom", "start", "end", "label", "n"])
    frame = frame.assign(region_start=frame["start"], region_end=frame["start"] + frame["n"])
    genes = frame_of_genes([(c, s, s + n, "A") for c, s, n in places])
    found = flag_genes(genes.set_index(genes.index[::-1]), frame, length=length)
    assert list(found.columns) == [*FLAGS, "shared_nt", "locus"]
    assert list(found.index) == list(genes.index[::-1])
    for row, gene in zip(found.itertuples(), genes.itertuples(), strict=True):
        text = (gene.chrom, gene.start, min(gene.end, gene.start + length))
        met = {}
        for label in (0, 1):
            mine = [w for w in spans if w[3] == label]
            met[label] = (
                any(overlap(text, w) for w in mine), any(overlap(text, (w[0], w[1], w[1] + w[4])) for w in mine)
            )  # fmt: skip
        known = [w for w in spans if w[3] == 1 and w[0] == gene.chrom]
        # Distance in bases from the start to the nearest base of the window, 0 inside.
        near = any(max(w[1] - gene.start, gene.start - (w[2] - 1), 0) <= NEAR for w in known)
        shared = max((min(text[2], w[2]) - max(text[1], w[1]) for w in known), default=0)
        assert (row.in_window, row.in_region) == met[1]
        assert (row.in_depleted_window, row.in_depleted_region) == met[0]
        assert row.near_window == near >= row.in_window
        assert row.region_only == (met[1] == (False, True))
        assert row.shared_nt == max(shared, 0)
    assert all(pd.api.types.is_bool_dtype(found[flag]) for flag in FLAGS)


def test_where_near_ends():
    window = pd.DataFrame({"chrom": ["chr1"], "start": [50_000], "end": [60_000], "label": [1]})
    window = window.assign(region_start=50_000, region_end=90_000)
    starts = [50_000 - NEAR - 1, 50_000 - NEAR, 59_999 + NEAR, 60_000 + NEAR]
    genes = frame_of_genes([("chr1", start, start + 50_000, "A") for start in starts])
    assert list(flag_genes(genes, window)["near_window"]) == [False, True, True, False]


# Counts, enrichment, dose


def audited(rows):
    """A table from rows (symbol, locus, predicted, in_window); the other flags are the same."""
    table = pd.DataFrame(rows, columns=["Gene_Symbol", "locus", "Predict", "in_window"])
    table["in_window"] = table["in_window"].astype(bool)
    return table.assign(**dict.fromkeys(FLAGS, table["in_window"]))


def test_counts_by_hand():
    table = audited([("A", 0, 1, 1), ("A", 0, 0, 1), ("B", 0, 1, 0), ("C", 1, 0, 0), ("C", 2, 1, 0), ("D", 3, 0, 0)])
    assert count_predictions(table, name="mine").to_dict("records") == [{
        "table": "mine", "n_rows": 6, "n_loci": 4, "n_symbols": 4,
        "predicted_rows": 3, "predicted_loci": 2, "predicted_symbols": 3,
    }]  # fmt: skip
    nothing = count_predictions(table.assign(Predict=0), name="x").iloc[0]
    assert list(nothing[["predicted_rows", "predicted_loci", "predicted_symbols"]]) == [0, 0, 0]


def test_enrichment_by_hand():
    table = audited([("A", 0, 1, 1), ("A", 0, 0, 1), ("B", 0, 1, 0), ("C", 1, 0, 0), ("C", 2, 1, 0), ("D", 3, 0, 1)])
    # A region around every window, and one more around C: C's locus is in a region and in no window.
    table["in_region"] = table["in_window"] | (table["Gene_Symbol"] == "C")
    found = enrichment(table, name="mine", rng=1, n_bootstrap=50).set_index(["unit", "flag"])
    assert set(found["table"]) == {"mine"}
    assert list(found.index) == [(unit, flag) for unit in ("row", "locus", "symbol") for flag in FLAGS]
    counts = ["n_predicted", "n_predicted_flagged", "n_all", "n_all_flagged"]
    assert found.loc[("row", "in_window"), counts].tolist() == [3, 1, 6, 3]
    assert found.loc[("locus", "in_window"), counts].tolist() == [2, 1, 4, 2]
    assert found.loc[("symbol", "in_window"), counts].tolist() == [3, 1, 4, 2]
    assert found.loc[("locus", "region_only"), counts].tolist() == [2, 1, 4, 2]
    assert found.loc[("symbol", "region_only"), counts].tolist() == [3, 1, 4, 1]
    row = found.loc[("row", "in_window")]
    assert (row["share_predicted"], row["share_all"]) == (1 / 3, 1 / 2)
    assert row["odds_ratio"] == (1 * 1) / (2 * 2)


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ABCDE"), st.integers(0, 5), st.integers(0, 1), st.integers(0, 1)), min_size=1
    )
)
def test_odds_ratio_equals_scipys(rows):
    found = enrichment(audited(rows), name="x", rng=1, n_bootstrap=20).query("flag == 'in_window'").set_index("unit")
    for unit, key in (("row", None), ("locus", 1), ("symbol", 0)):
        members = {i if key is None else row[key]: [] for i, row in enumerate(rows)}
        for i, row in enumerate(rows):
            members[i if key is None else row[key]].append(row[2:])
        cells = np.zeros((2, 2), dtype=int)
        for member in members.values():
            predicted, flagged = np.max(member, axis=0)
            cells[1 - predicted, 1 - flagged] += 1
        line = found.loc[unit]
        assert (line["n_all"], line["n_predicted"]) == (cells.sum(), cells[0].sum())
        assert (line["n_predicted_flagged"], line["n_all_flagged"]) == (cells[0, 0], cells[:, 0].sum())
        if cells.all():
            assert line["odds_ratio"] == pytest.approx(odds_ratio(cells, kind="sample").statistic)


def noisy_table(n, seed):
    rng = np.random.default_rng(seed)
    flagged = rng.random(n) < 0.3
    predicted = rng.random(n) < np.where(flagged, 0.4, 0.15)
    return audited(list(zip(map(str, range(n)), range(n), predicted.astype(int), flagged, strict=True)))


def test_interval_of_independent_rows_is_woolfs():
    table = noisy_table(1500, 3)
    found = enrichment(table, name="x", rng=1, n_bootstrap=4000).set_index(["unit", "flag"]).loc[("row", "in_window")]
    cells = pd.crosstab(table["Predict"], table["in_window"]).to_numpy()
    expected = odds_ratio(cells, kind="sample").confidence_interval(0.95)
    assert np.log([found["low"], found["high"]]) == pytest.approx(np.log(expected), abs=0.05)


def test_copies_within_a_locus_are_no_evidence():
    table = noisy_table(200, 4)
    copied = pd.concat([table] * 5, ignore_index=True)
    columns = ["odds_ratio", "low", "high"]
    one, other = (enrichment(frame, name="x", rng=2).query("unit == 'row'") for frame in (table, copied))
    np.testing.assert_allclose(one[columns], other[columns])
    apart = enrichment(copied.assign(locus=range(len(copied))), name="x", rng=2).query("unit == 'row'")
    widths = [np.log(frame["high"] / frame["low"]).iloc[0] for frame in (one, apart)]
    assert widths[1] / widths[0] == pytest.approx(5**-0.5, abs=0.08)


def test_enrichment_of_sparse_tables():
    nothing = enrichment(noisy_table(20, 1).assign(Predict=0), name="x", rng=1)
    assert nothing[["share_predicted", "odds_ratio", "low", "high"]].isna().to_numpy().all()
    perfect = enrichment(audited([("A", 0, 1, 1), ("B", 1, 0, 0)]), name="x", rng=1).query("flag == 'in_window'")
    assert np.isinf(perfect[["odds_ratio", "low", "high"]].to_numpy()).all()
    empty = enrichment(audited([]), name="x", rng=1)
    assert (empty["n_all"] == 0).all()
    assert empty["odds_ratio"].isna().all()


def test_dose_by_hand():
    table = pd.DataFrame({"shared_nt": [0, 0, 1, 50, 51, 94, 96, 100], "Predict": [1, 0, 0, 1, 0, 0, 1, 1]})
    found = dose_response(table, name="x", length=100)
    assert list(found["up_to"]) == [0, 0.5, 0.75, 0.9, 0.95, 1]
    assert list(found["n_all"]) == [2, 2, 1, 0, 1, 2]
    assert list(found["n_predicted"]) == [1, 1, 0, 0, 0, 2]
    np.testing.assert_array_equal(found["share_predicted"], [0.5, 0.5, 0, np.nan, 0, 1])
    assert np.isnan(found["above"][0])
    assert list(found["above"][1:]) == list(found["up_to"][:-1])


# Scores out of fold


class Letters:
    """A genome from a dict of letters."""

    def __init__(self, letters):
        self.letters = letters

    def fetch(self, chrom, start, end):
        return self.letters[chrom][start:end]


def make_windows(chroms, *, n, length, size, seed=0):
    """Windows of both labels on each chromosome, row i of either label being a pair."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, size - length, 2 * n * len(chroms))
    table = pd.DataFrame({
        "chrom": np.tile(np.repeat(chroms, n), 2), "start": starts, "end": starts + length,
        "label": np.repeat([1, 0], n * len(chroms)), "pair": np.tile(np.arange(n * len(chroms)), 2),
    })  # fmt: skip
    return table.assign(cluster=np.arange(len(table)), region_start=table["start"], region_end=table["end"])


def test_no_forest_scores_a_chromosome_that_it_was_trained_on(monkeypatch):
    # A letter for each chromosome, so that a row of counts tells where it is from; chrX spells none of them.
    home = {"chr1": "A", "chr2": "C", "chr3": "G", "chr4": "T"}
    letters = {chrom: letter * 1000 for chrom, letter in home.items()}
    letters |= {"chr2_x_hap1": "C" * 1000, "chrX": "N" * 1000}
    windows = make_windows(list(home), n=5, length=100, size=1000)
    genes = frame_of_genes([(chrom, i, i + 90, "S") for chrom in letters for i in (0, 7)])
    asked = []

    class Witness:
        def __init__(self, X):
            assert (X.sum(axis=1) == 80).all()  # windows of 100 nt are cut to the length of the genes' texts
            self.known = X.any(axis=0)

        def predict_proba(self, X):
            assert not (X.any(axis=0) & self.known).any()
            asked.append(len(X))
            score = 0.3 + 0.1 * self.known.argmin() + 0.01 * (X.sum(axis=1) == 0)
            return np.column_stack([1 - score, score])

    monkeypatch.setattr(out_of_fold, "fit_forest", lambda X, y, *, rows, **_: Witness(X[rows]))
    parts = folds(windows, protocol="chromosome", n_folds=4, seed=3, never_test=())
    found = score_out_of_fold(genes, windows, Letters(letters), folds=parts, seed=0, length=80, k=1)
    assert sum(asked) == len(windows) + 4 * 2 + 2 + 4 * 2  # a gene once, those on chrX by each forest

    tested = [set(windows["chrom"].iloc[part.test]) for part in parts]
    fold = found.genes.groupby(genes["chrom"])["fold"].unique()
    assert all(len(numbers) == 1 for numbers in fold)
    assert all(tested[fold[chrom][0]] == {chrom} for chrom in home)
    assert fold["chr2_x_hap1"][0] == fold["chr2"][0]
    assert fold["chrX"][0] == -1
    score = found.genes["prob_oof"].groupby(genes["chrom"]).first()
    assert score[list(home)].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert score["chr2_x_hap1"] == score["chr2"]
    assert score["chrX"] == pytest.approx(0.46)
    assert (found.windows["fold"] == windows["chrom"].map(lambda chrom: fold[chrom][0])).all()


@pytest.fixture(scope="module")
def noise():
    """Letters without any meaning, loci of eight haplotypes that share their start, a gene in each introgressed one."""
    rng = np.random.default_rng(8)
    chroms, size, length = [f"chr{i}" for i in range(1, 7)], 60_000, 1000
    letters = {chrom: "".join(rng.choice(list("ACGT"), size)) for chrom in chroms}
    places = [(chrom, int(start)) for chrom in chroms for start in rng.permutation(size // 3000)[:12] * 3000]
    introgressed, depleted = (
        pd.DataFrame(
            [(chrom, start, start + length + i) for chrom, start in side for i in range(8)],
            columns=["chrom", "start", "end"],
        )
        for side in (places[::2], places[1::2])
    )
    windows = windows_of_pairs(introgressed, depleted, length=length)
    genes = frame_of_genes([(chrom, start + 30, start + 1500, f"S{start}") for chrom, start in places[::2]])
    return Letters(letters), windows, genes


def test_what_was_learned_by_heart_is_gone_out_of_fold(noise):
    genome, windows, genes = noise
    assert flag_genes(genes, windows, length=880)["in_window"].all()
    texts = (genome.fetch(row.chrom, row.start, row.start + 880) for row in genes.itertuples())
    X = count_kmers((genome.fetch(row.chrom, row.start, row.end) for row in windows.itertuples()), 4)
    published = fit_forest(X, windows["label"].to_numpy(), n_estimators=60, seed=1).predict_proba(count_kmers(texts, 4))
    assert (published[:, 1] > 0.5).mean() > 0.95

    parts = folds(windows, protocol="chromosome", n_folds=3, seed=1, never_test=())
    found = score_out_of_fold(genes, windows, genome, folds=parts, n_estimators=60, seed=1, length=880, k=4)
    assert published[:, 1].mean() > found.genes["prob_oof"].mean() + 0.15
    assert found.genes["prob_oof"].mean() == pytest.approx(0.5, abs=0.08)
    assert 0.2 < found.genes["predict_oof"].mean() < 0.8
    worth = evaluate(windows["label"], found.windows["prob_calibrated"], groups=windows["cluster"], rng=1)
    assert worth.accuracy.low < 0.5 < worth.accuracy.high


def test_signal_survives_out_of_fold(noise):
    genome, windows, genes = noise
    letters = dict(genome.letters)
    for row in windows[windows["label"] == 1].itertuples():  # introgressed windows lose their CG
        text = letters[row.chrom]
        letters[row.chrom] = text[: row.start] + text[row.start : row.end].replace("CG", "CA") + text[row.end :]
    parts = folds(windows, protocol="chromosome", n_folds=3, seed=1, never_test=())
    found = score_out_of_fold(genes, windows, Letters(letters), folds=parts, n_estimators=60, seed=1, length=880, k=4)
    assert found.genes["predict_oof"].all()
    assert ((found.windows["prob_calibrated"] > 0.5) == (windows["label"] == 1)).all()


def test_calibrators_know_only_windows_outside_their_fold(noise):
    genome, windows, genes = noise
    parts = folds(windows, protocol="chromosome", n_folds=3, seed=2, never_test=())
    found = score_out_of_fold(genes, windows, genome, folds=parts, n_estimators=20, seed=1, length=880, k=3)
    for number, curve in enumerate(found.calibrators):
        outside = found.windows["fold"] != number
        assert curve == fit_platt(found.windows["prob_oof"][outside].to_numpy(), windows["label"][outside].to_numpy())
        for table in (found.genes, found.windows):
            mine = table[table["fold"] == number]
            assert len(mine)
            np.testing.assert_allclose(mine["prob_calibrated"], curve.calibrate(mine["prob_oof"].to_numpy()))
    assert list(found.genes["predict_oof"]) == [int(p > 0.5) for p in found.genes["prob_calibrated"]]
    assert not np.isclose(found.genes["prob_calibrated"], found.genes["prob_oof"]).all()


def test_platt_finds_the_curve():
    rng = np.random.default_rng(5)
    scores = rng.random(5000)
    labels = (rng.random(5000) < expit(2 * logit(scores) + 0.5)).astype(int)
    curve = fit_platt(scores, labels)
    x = logit(np.clip(scores, 1e-3, 1 - 1e-3))

    def loss(line):
        return -np.log(expit((2 * labels - 1) * (line[0] * x + line[1]))).sum() + line[0] ** 2 / 2

    assert curve == pytest.approx(tuple(minimize(loss, [1, 0]).x), abs=2e-3)
    assert curve == pytest.approx((2, 0.5), abs=0.15)
    assert curve.calibrate(np.array([0.8]))[0] == pytest.approx(expit(curve.slope * logit(0.8) + curve.intercept))
    edges = curve.calibrate(np.array([0, 0.5, 1, np.nan]))
    assert 0 < edges[0] < edges[1] < edges[2] < 1
    assert edges[1] == expit(curve.intercept)
    assert np.isnan(edges[3])


def test_scores_are_refused_where_they_would_leak(noise, refused):
    genome, windows, genes = noise
    mixed = split(windows, protocol="article", test_size=0.5)
    with refused("all 2 train on chr1", genes["Gene"][0], "folds of whole chromosomes"):
        score_out_of_fold(genes, windows, genome, folds=[mixed, Split(*mixed[::-1])], seed=1, length=880)
    parts = folds(windows, protocol="chromosome", n_folds=2, seed=1, never_test=())
    with refused("record 1", genes["Gene"][0], "has 1470 nt", "expected at least 1471"):
        score_out_of_fold(genes, windows, genome, folds=parts, seed=1, length=1471)
    with refused("both classes"):
        score_out_of_fold(genes, windows.assign(label=1), genome, folds=parts, seed=1, length=880)


# The commands


def test_a_foreign_annotation_is_refused(refused):
    genes = frame_of_genes([("chr1", 0, 9, "A"), ("chr1", 5, 9, "B")])
    annotation = genes.rename(columns={"Gene_Symbol": "gene_symbol"})
    check_annotated(genes, annotation, source="x")
    with refused("refGene", "lacks 1 of the 2 genes", "B, chr1:6-9"):
        check_annotated(genes, annotation.iloc[:1], source="refGene")


def call(*words):
    cli.app(list(map(str, words)), standalone_mode=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run up to its gene table, the folder of its inputs, and the words that name genome and genes."""
    folder = tmp_path_factory.mktemp("demo")
    sizes = {"chr1": 1_500_000, "chr2": 1_200_000, "chr3": 1_000_000, "chr4": 800_000}
    paths = write_demo(folder, chromsizes=sizes, n_regions=90, n_genes=60, seed=3)
    found = {path.name: path for path in paths.values()}
    run, cache, genome = folder / "run", ["--cache", folder / "cache"], ["--genome", found["genome.fa.gz"]]
    directory, genes = ["--directory", run], ["--genes", found["refGene.txt.gz"]]
    call("regions", *genome, *directory, *cache, "--introgressed", found["introgressed.bed"])
    call("windows", *genome, *directory, *cache)
    call("kmers", *genome, *directory, *cache)
    call("split", *directory)
    call("forest", *directory, "--trees", 20)
    call("genes", *genome, *genes, *directory, *cache)
    return run, folder, [*genome, *genes, *directory, *cache, "--trees", 20, "--folds", 3]


def test_the_command_audits_the_gene_table(finished, capfd):
    run, folder, words = finished
    scored = pd.read_csv(run / "results/genes.tsv", sep="\t")
    published = folder / "published.txt"
    scored[["Gene", "Gene_Symbol", "Predict", "Prob_0", "Prob_1"]].to_csv(published, sep="\t", index=False)
    call("audit", "genes", *words, "--published", published)
    audit = run / "results/audit"
    table = pd.read_csv(audit / "genes.tsv", sep="\t")
    assert list(table.columns) == AUDIT_COLUMNS
    for column in ("Gene", "Gene_Symbol", "Predict", "gc"):
        assert list(table[column]) == list(scored[column])
    assert table["prob_oof"].between(0, 1).all()
    assert table.groupby("chrom")["fold"].nunique().max() == 1
    assert (table["predict_oof"] == (table["prob_calibrated"] > 0.5)).all()

    counts = pd.read_csv(audit / "gene_counts.tsv", sep="\t").set_index("table")
    again = "published table, windows of this run"
    assert list(counts.index) == ["as published", "out of fold", "out of fold, calibrated", again]
    assert counts.loc["as published", "predicted_rows"] == scored["Predict"].sum()
    assert counts.loc["out of fold", "predicted_rows"] == (table["prob_oof"] > 0.5).sum()
    assert counts.loc["out of fold, calibrated", "predicted_rows"] == table["predict_oof"].sum()
    assert counts.loc[again].equals(counts.loc["as published"])
    assert (counts["n_loci"] == table["locus"].nunique()).all()
    doses = pd.read_csv(audit / "gene_doses.tsv", sep="\t")
    assert len(set(doses.groupby("table")["n_all"].sum())) == 1  # every gene once, whatever the table says of it
    flags = pd.read_csv(audit / "gene_flags.tsv", sep="\t").set_index(["table", "unit", "flag"])
    assert len(flags) == 4 * 3 * len(FLAGS)
    for flag in FLAGS:
        line = flags.loc[("out of fold, calibrated", "row", flag)]
        assert line["n_all_flagged"] == table[flag].sum()
        assert line["n_predicted_flagged"] == (table[flag] & (table["predict_oof"] == 1)).sum()
    record = json.loads((audit / "genes.json").read_text())
    assert {row["metric"] for row in record["windows"]} >= {"accuracy", "auroc", "brier", "n_test"}
    assert len(record["calibrators"]) == 3
    assert set(record["inputs"]) == {"genes", "predictions", "windows", "split", "published"}
    heard = capfd.readouterr().err
    assert f"out of fold, calibrated: {int(table['predict_oof'].sum())} of {len(table)} rows predicted" in heard
    assert "AUROC" in heard

    before = {path.name: path.read_bytes() for path in audit.glob("*.tsv")}
    call("audit", "genes", *words, "--published", published, "--threads", 1)
    assert {path.name: path.read_bytes() for path in audit.glob("*.tsv")} == before


def test_the_command_writes_nothing_for_another_annotation(finished, refused, tmp_path):
    run, _, words = finished
    other = tmp_path / "genes.bed"
    other.write_text("chr1\t0\t9000\tA\n")
    words = [other if before == "--genes" else word for before, word in pairwise(["", *words])]
    known = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with refused(other, "expected the annotation"):
        call("audit", "genes", *words)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == known


def test_the_published_table_is_read_from_coordinates_alone(tmp_path, capfd):
    starts = np.arange(50) * 100_000
    for name, chrom in (("introgressed", "chr1"), ("depleted", "chr2")):
        rows = [f"{chrom}\t{start}\t{start + 40_000}\n" for start in starts]
        (tmp_path / f"{name}.bed").write_text("".join(rows))
    lines = ["Gene\tGene_Symbol\tPredict\tProb_0\tProb_1"]
    for i, start in enumerate(starts):
        lines.append(f"1:{start + 1}-{start + 9000}\tA{i}\t1.0\t0.1\t0.9")  # at the windows, named without chr
        lines.append(f"chr1:{start + 20_001}-{start + 29_000}\tB{i}\t0.0\t0.9\t0.1")  # in the regions only
    (tmp_path / "genes.txt").write_text("\n".join(lines) + "\n")
    words = [word for name in ("introgressed", "depleted") for word in (f"--{name}", tmp_path / f"{name}.bed")]
    out = tmp_path / "out.json"
    call("audit", "published-genes", *words, "--published", tmp_path / "genes.txt", "--json", out)
    record = json.loads(out.read_text(), parse_constant=pytest.fail)
    windows = windows_of_pairs(*(read_bed(tmp_path / f"{name}.bed") for name in ("introgressed", "depleted")))
    train = windows.iloc[split(windows, protocol="article").train]
    n_train = int(train["label"].sum())
    assert record["n_train"] == len(train) == 80
    line = {row["flag"]: row for row in record["flags"] if row["unit"] == "row"}
    assert line["in_window"]["n_predicted_flagged"] == line["in_window"]["n_all_flagged"] == n_train
    assert line["region_only"]["n_predicted_flagged"] == 0
    assert line["region_only"]["n_all_flagged"] == n_train
    assert line["in_window"]["odds_ratio"] is None  # infinite
    assert record["doses"][-1]["n_predicted"] == n_train
    heard = capfd.readouterr().err
    assert "50 of 100 rows predicted" in heard


def test_the_published_table_against_bioframe(data, published, tmp_path):
    files = {
        "introgressed": published("Akey_intr_coords.bed"),
        "depleted": published("Akey_depl_coords.bed"),
        "published": published("Neanderthal_Genes.txt"),
        "gaps": data / "hg19_gap.bed",
    }
    out = tmp_path / "genes.json"
    doses = tmp_path / "doses.tsv"
    call("audit", "published-genes", *(w for name, path in files.items() for w in (f"--{name}", path)), "--json", out,
         "--doses", doses)  # fmt: skip
    record = json.loads(out.read_text())
    assert list(pd.read_csv(doses, sep="\t")["n_predicted"]) == [row["n_predicted"] for row in record["doses"]]
    counts = record["counts"][0]
    assert (counts["n_rows"], counts["predicted_rows"]) == (21_503, 477)
    assert counts["predicted_loci"] < counts["predicted_symbols"] < 477

    windows = windows_of_pairs(*(read_bed(files[name]) for name in ("introgressed", "depleted")),
                               gaps=read_bed(files["gaps"]))  # fmt: skip
    train = windows.iloc[split(windows, protocol="article").train].query("label == 1")
    genes = locate(read_predictions(files["published"]), source="published")
    text = genes[["chrom", "start", "end", "Predict"]].assign(end=genes["start"] + 8800)
    met = bioframe.overlap(text, train[["chrom", "start", "end"]], how="inner", return_index=True)
    met = genes.loc[met["index"].unique()]
    line = next(row for row in record["flags"] if (row["unit"], row["flag"]) == ("row", "in_window"))
    assert line["n_all_flagged"] == len(met)
    assert line["n_predicted_flagged"] == met["Predict"].sum()
    assert line["share_predicted"] > 5 * line["share_all"]
    assert 10 < line["low"] < line["odds_ratio"] < line["high"]
    control = next(row for row in record["flags"] if (row["unit"], row["flag"]) == ("row", "region_only"))
    assert control["high"] < 1
    rates = [row["share_predicted"] for row in record["doses"]]
    assert rates == sorted(rates)
    assert sum(row["n_all"] for row in record["doses"]) == 21_503
    assert (home_chromosome(genes["chrom"]) != genes["chrom"]).any()  # the table holds haplotype contigs
