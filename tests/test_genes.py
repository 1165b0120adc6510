import numpy as np
import pandas as pd
import pytest
from frames import tuples, write

from neanderthal_nlp import genes as module
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genes import (
    REASONS,
    compare_predictions,
    extreme_genes,
    predict_genes,
    read_predictions,
    score_rule,
)

COLUMNS = ["chrom", "start", "end", "gene_symbol", "strand"]


class StubGenome:
    def __init__(self, **chromosomes):
        self.chromosomes = chromosomes
        self.chromsizes = {name: len(letters) for name, letters in chromosomes.items()}

    def fetch(self, chrom, start, end):
        assert 0 <= start < end <= self.chromsizes[chrom]
        return self.chromosomes[chrom][start:end]

    def gaps(self, chrom):
        is_n = np.array([0, *(letter in "Nn" for letter in self.chromosomes[chrom]), 0])
        edges = np.flatnonzero(np.diff(is_n))
        return pd.DataFrame({"chrom": chrom, "start": edges[::2], "end": edges[1::2]})


class StubModel:
    """Probability of class 1: the share of AA among the words (k = 2)."""

    classes_ = np.array([0, 1])
    n_features_in_ = 16

    def predict_proba(self, X):
        self.seen = X
        share = X[:, 0] / X.sum(axis=1)
        return np.column_stack([1 - share, share])

    def predict(self, X):
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


#            0         10        20        30        40
LETTERS = "acgtAAAAAACGTTTTTTTTNNGGGGGGGGRRACGTACGTACGTAAA"
GENOME = StubGenome(chr1=LETTERS, chr2="ACGTGTGTGTGTGTGTGTGT", chr3="N" * 20)


def annotation(*rows):
    return pd.DataFrame([(*row, ".") for row in rows], columns=COLUMNS)


SEVERAL = annotation(
    ("chr1", 32, 44, "plain"), ("chr1", 0, 20, "first"), ("chr1", 0, 9, "short"), ("chr1", 12, 21, "short too"),
    ("chr1", 8, 21, "touches N"), ("chr1", 8, 20, "ends at N"), ("chr1", 10, 20, "no A"), ("chr1", 22, 34, "early"),
    ("chrM", 0, 90, "elsewhere"), ("chr3", 2, 12, "all N"), ("chr2", 0, 20, "copy"), ("chr2", 0, 20, "again"),
)  # fmt: skip


def test_score_rule():
    reasons = score_rule(SEVERAL.set_index(np.arange(12) * 3), GENOME, length=10)
    assert list(reasons) == [
        "scored", "scored", "short", "short", "contains N", "scored", "lacks a letter", "lacks a letter",
        "unknown chromosome", "contains N", "scored", "scored",
    ]  # fmt: skip
    assert tuple(reasons.cat.categories) == REASONS
    assert list(reasons.index) == list(np.arange(12) * 3)
    assert list(score_rule(SEVERAL.head(0), GENOME)) == []


def test_predict_genes():
    model = StubModel()
    table = predict_genes(SEVERAL, GENOME, model, length=10, k=2)
    assert list(table.columns) == ["Gene", "Gene_Symbol", "Predict", "Prob_0", "Prob_1", "chrom", "start", "end", "gc"]
    assert list(table["Gene_Symbol"]) == ["first", "ends at N", "plain", "copy", "again"]
    assert list(table["Gene"]) == ["chr1:1-20", "chr1:9-20", "chr1:33-44", "chr2:1-20", "chr2:1-20"]
    # First: acgtAAAAAA holds nine words, of which five AA. Ends at N: AACGTTTTTT, one.
    np.testing.assert_allclose(table["Prob_1"], [5 / 9, 1 / 9, 0, 0, 0])
    np.testing.assert_allclose(table["Prob_0"] + table["Prob_1"], 1)
    assert list(table["Predict"]) == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert table["Predict"].dtype == float
    np.testing.assert_allclose(table["gc"], [4 / 20, 2 / 12, 6 / 12, 10 / 20, 10 / 20])
    assert tuples(table[["chrom", "start", "end"]].head(1)) == [("chr1", 0, 20)]
    assert list(table.index) == list(range(5))
    assert model.seen.shape == (5, 16)
    assert list(SEVERAL.columns) == COLUMNS


def test_prediction_equals_a_fit_on_sentences():
    feature_extraction = pytest.importorskip("sklearn.feature_extraction.text")
    ensemble = pytest.importorskip("sklearn.ensemble")
    rng = np.random.default_rng(3)
    genome = StubGenome(chr1="".join(rng.choice(list("ACGT"), 4000, p=[0.4, 0.1, 0.2, 0.3])))
    frame = annotation(*(("chr1", 150 * i, 150 * i + 300, f"g{i}") for i in range(24)))
    sentences = [" ".join(genome.fetch("chr1", s, s + 300)[i : i + 3] for i in range(298)) for s in frame["start"]]
    words = [a + b + c for a in "acgt" for b in "acgt" for c in "acgt"]
    X = feature_extraction.CountVectorizer(vocabulary=words).fit_transform(sentences).toarray()
    forest = ensemble.RandomForestClassifier(20, random_state=0).fit(X, np.arange(24) % 2)
    table = predict_genes(frame, genome, forest, length=300, k=3).sort_values("start")
    np.testing.assert_array_equal(table[["Prob_0", "Prob_1"]], forest.predict_proba(X))
    np.testing.assert_array_equal(table["Predict"], forest.predict(X))


def test_refusals():
    beyond = annotation(("chr1", 0, 20, "A"), ("chrM", 0, 99, "B"), ("chr2", 3, 21, "C"))
    with pytest.raises(InputError, match=r"record 3 \(C, chr2:4-21\) passes the end of chr2 \(expected at most 20\)"):
        predict_genes(beyond, GENOME, StubModel(), length=10, k=2)
    with pytest.raises(InputError, match=r"none of 12 can be scored \(.*11 short.*1 unknown chromosome"):
        predict_genes(SEVERAL, GENOME, StubModel(), length=100, k=2)
    with pytest.raises(InputError, match="no gene given"):
        predict_genes(SEVERAL.head(0), GENOME, StubModel(), length=10, k=2)
    with pytest.raises(InputError, match="fitted on 16 k-mers, expected 64"):
        predict_genes(SEVERAL, GENOME, StubModel(), length=10, k=3)
    named = StubModel()
    named.classes_ = np.array(["depleted", "introgressed"])
    with pytest.raises(InputError, match="classes"):
        predict_genes(SEVERAL, GENOME, named, length=10, k=2)
    with pytest.raises(InputError, match="predict_proba"):
        predict_genes(SEVERAL, GENOME, object(), length=10, k=2)


def test_texts_are_read_one_at_a_time(monkeypatch):
    taken = []

    def count(sequences, k, out):
        assert iter(sequences) is sequences
        taken.extend(map(len, sequences))
        out[:] = 1

    monkeypatch.setattr(module, "count_kmers", count)
    predict_genes(SEVERAL, GENOME, StubModel(), length=10, k=2)
    assert taken == [10] * 5


def predictions(*rows):
    frame = pd.DataFrame(rows, columns=["Gene", "Gene_Symbol", "Prob_1"])
    return frame.assign(Predict=(frame["Prob_1"] > 0.5).astype(float), Prob_0=1 - frame["Prob_1"])


def test_extreme_genes():
    table = predictions(("a", "A", 0.9), ("b", "B", 0.8), ("a2", "A", 0.8), ("c", "C", 0.3), ("b2", "B", 0.2))
    highest, lowest = extreme_genes(table.sample(frac=1, random_state=1), n=2)
    assert list(highest["Gene"]) == ["a", "b"]
    assert list(lowest["Gene"]) == ["b2", "c"]
    assert list(highest.columns) == list(table.columns)
    assert len(extreme_genes(table)[0]) == 3


def test_compare_predictions():
    ours = predictions(("a", "A", 0.9), ("b", "B", 0.6), ("c", "C", 0.1), ("d", "D", 0.2))
    published = predictions(("c", "C", 0.2), ("c", "C", 0.2), ("a", "A", 0.7), ("b", "B", 0.4), ("d", "X", 0.9))
    result = compare_predictions(ours, published)
    assert result.n_shared == 3
    assert result.pearson == pytest.approx(np.corrcoef([0.9, 0.6, 0.1], [0.7, 0.4, 0.2])[0, 1])
    assert result.spearman == pytest.approx(1)
    assert result.agreement == pytest.approx(2 / 3)
    nothing = compare_predictions(ours.head(0), published)
    assert nothing.n_shared == 0
    assert np.isnan(nothing[1:]).all()
    constant = compare_predictions(ours, ours.assign(Prob_1=0.5))
    assert np.isnan(constant.pearson)
    assert constant.agreement == 1


def test_read_predictions(tmp_path):
    lines = ["Gene\tGene_Symbol\tPredict\tProb_0\tProb_1", "chr1:1-9\tNA\t1.0\t0.032\t0.968", "chr1:2-9\tnan\t0\t1\t0"]
    for newline, compress in (("\n", False), ("\r\n", True)):
        table = read_predictions(write(tmp_path / "x", lines, newline=newline, compress=compress))
        assert tuples(table) == [("chr1:1-9", "NA", 1.0, 0.032, 0.968), ("chr1:2-9", "nan", 0.0, 1.0, 0.0)]
        assert [dtype.kind for dtype in table.dtypes.iloc[2:]] == ["f", "f", "f"]
    for bad, message in (
        ([*lines, "chr1:1-9\tA\tx\t0\t1"], "line 4: found 'x'"),
        ([*lines, "chr1:1-9\tA\t0\tnan\t1"], "line 4: found 'nan'"),
        ([*lines, "chr1:1-9\tA\t0\t1.5\t1"], "line 4: found '1.5', expected a number from 0 to 1"),
        ([*lines, "chr1:1-9\tA"], "line 4: found 2 fields, expected 5"),
        (lines[1:], "no column Gene"),
    ):
        with pytest.raises(InputError, match=message):
            read_predictions(write(tmp_path / "bad", bad))


def test_the_published_predictions(article):
    table = read_predictions(article / "Neanderthal_Genes.txt")
    assert len(table) == 21_503
    assert tuples(table.head(1)) == [("chr3:19988572-20026667", "RAB5A", 1.0, 0.032, 0.968)]
    assert table["Predict"].sum() == 477
    genes = read_genes(article / "gene_ids.txt")
    ours = genes["chrom"] + ":" + (genes["start"] + 1).astype(str) + "-" + genes["end"].astype(str)
    assert set(zip(ours, genes["gene_symbol"], strict=True)) == set(
        zip(table["Gene"], table["Gene_Symbol"], strict=True)
    )
    result = compare_predictions(table, table)
    assert result == pytest.approx((21_444, 1, 1, 1))
    highest, lowest = extreme_genes(table)
    assert (highest["Gene_Symbol"].iloc[0], lowest["Gene_Symbol"].iloc[0]) == ("RAB5A", "SCRIB")
    assert highest["Gene_Symbol"].is_unique
    assert len(highest) == len(lowest) == 20
