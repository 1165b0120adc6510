import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neanderthal_nlp import genes as module
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genes import (
    REASONS,
    compare_predictions,
    extreme_genes,
    predict_genes,
    read_genes,
    read_predictions,
    score_rule,
)

COLUMNS = ["chrom", "start", "end", "gene_symbol", "strand"]
GENES = [("chr1", 14361, 29370, "WASH7P", "-"), ("chr1", 69090, 70008, "OR4F5", "+"), ("chrX", 0, 7, "NA", "+")]


def refgene(rows, *, with_bin=True):
    lines = []
    for i, (chrom, start, end, symbol, strand) in enumerate(rows):
        fields = [
            f"NM_{i}",
            chrom,
            strand,
            start,
            end,
            start,
            end,
            2,
            f"{start},",
            f"{end},",
            0,
            symbol,
            "cmpl",
            "cmpl",
            "0,",
        ]
        lines.append("\t".join(map(str, ([585] if with_bin else []) + fields)))
    return lines


def short_genepred(rows):
    return ["\t".join(line.split("\t")[:10]) for line in refgene(rows, with_bin=False)]


def gtf(rows, feature="gene"):
    return [
        f"{c}\tsource\t{feature}\t{s + 1}\t{e}\t.\t{d}\t.\t"
        f'gene_id "ENSG{i}"; transcript_id "T{i}"; gene_name "{n}"; level 2;'
        for i, (c, s, e, n, d) in enumerate(rows)
    ]


def gff3(rows):
    return [
        f"{c}\tsource\tgene\t{s + 1}\t{e}\t.\t{d}\t.\tID=gene:{i};Name={n};biotype=x"
        for i, (c, s, e, n, d) in enumerate(rows)
    ]


def bed(rows):
    return [f"{c}\t{s}\t{e}\t{n}\t0\t{d}" for c, s, e, n, d in rows]


def regions(rows):
    return [f"{c}:{s + 1}-{e}\t{n}" for c, s, e, n, _ in rows]


FORMS = {
    "refGene": refgene,
    "refGene without bin": lambda rows: refgene(rows, with_bin=False),
    "refGene with header": lambda rows: ["#bin\tname\tchrom\tstrand\ttxStart\ttxEnd", *refgene(rows)],
    "refFlat": lambda rows: [f"{row[3]}\t{line}" for row, line in zip(rows, short_genepred(rows), strict=True)],
    "GTF": lambda rows: ["#!genome-build GRCh37", *gtf(rows)],
    "GTF without genes": lambda rows: gtf(rows, feature="transcript"),
    "GFF3": lambda rows: ["##gff-version 3", *gff3(rows), "##FASTA", ">chr1", "ACGT"],
    "BED": lambda rows: ["track name=genes", *bed(rows)],
    "regions": regions,
}


def write(path, lines, *, newline="\n", compress=False):
    data = (newline.join(lines) + newline).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if compress else data)
    return path


def tuples(frame):
    return list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_same_genes_in_every_form(tmp_path, form, compress, newline):
    lines = FORMS[form](GENES)
    lines[1:1] = ["", "# a comment"]
    frame = read_genes(write(tmp_path / "annotation.dat", lines, newline=newline, compress=compress))
    expected = [(*row[:4], "." if form == "regions" else row[4]) for row in GENES]
    assert list(frame.columns) == COLUMNS
    assert tuples(frame) == expected
    assert frame["start"].dtype == frame["end"].dtype == np.int64
    assert list(frame.index) == [0, 1, 2]


rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(["chr1", "chrX", "1", "HLA:1", "chr6_cox_hap2"]),
        st.integers(0, 10**9),
        st.integers(1, 10**6),
        st.text("ABC123-.", min_size=1, max_size=6).filter(lambda name: name != "."),
        st.sampled_from("+-"),
    ).map(lambda row: (row[0], row[1], row[1] + row[2], *row[3:])),
    min_size=1,
    max_size=8,
)


@given(rows=rows_strategy, form=st.sampled_from(sorted(set(FORMS) - {"GTF without genes", "refFlat"})))
@settings(deadline=None, max_examples=60)
def test_round_trip(tmp_path_factory, rows, form):
    frame = read_genes(write(tmp_path_factory.mktemp("genes") / "x", FORMS[form](rows)))
    if form == "regions":
        assert tuples(frame) == [(*row[:4], ".") for row in rows]
        return
    unique = {}
    for row in rows:
        unique.setdefault(row[:4], row)
    assert tuples(frame) == list(unique.values())


def test_repeated_rows_count_once_in_order_of_first_appearance(tmp_path):
    rows = [("chr2", 5, 9, "B", "+"), ("chr1", 1, 4, "A", "-"), ("chr2", 5, 9, "B", "-"), ("chr2", 5, 9, "C", "-")]
    assert tuples(read_genes(write(tmp_path / "x", bed(rows)))) == [rows[0], rows[1], rows[3]]


def test_symbols(tmp_path):
    lines = gff3([("chr1", 0, 9, "A%2CB", "+")])
    lines += ["chr1\ts\tmRNA\t1\t9\t.\t+\t.\tName=no", "chr1\ts\tpseudogene\t2\t9\t.\t?\t.\tgene=P;ID=x"]
    lines += ["chr1\ts\tncRNA_gene\t3\t9\t.\t.\t.\tID=gene:E1", "chr1\ts\tgene\t4\t9\t.\t.\t.\t."]
    frame = read_genes(write(tmp_path / "x", lines))
    assert list(frame["gene_symbol"]) == ["A,B", "P", "gene:E1", "chr1:4-9"]
    assert list(frame["strand"]) == ["+", ".", ".", "."]
    gene_id = 'chr1\ts\tgene\t1\t9\t.\t+\t.\tgene_id "E1"; note "gene_name X";'
    assert list(read_genes(write(tmp_path / "x", [gene_id]))["gene_symbol"]) == ["E1"]
    assert list(read_genes(write(tmp_path / "x", short_genepred(GENES)))["gene_symbol"]) == ["NM_0", "NM_1", "NM_2"]
    assert list(read_genes(write(tmp_path / "x", ["chr1 0 9", "chr1 3 4"]))["gene_symbol"]) == ["chr1:1-9", "chr1:4-4"]
    assert list(read_genes(write(tmp_path / "x", ["chr1\t0\t9\t."]))["gene_symbol"]) == ["chr1:1-9"]


def test_gtf_without_genes_merges_transcripts_but_keeps_copies_apart(tmp_path):
    def row(feature, start, end, gene, transcript, strand="+"):
        return f'chr1\ts\t{feature}\t{start}\t{end}\t.\t{strand}\t.\tgene_id "{gene}"; transcript_id "{transcript}";'

    lines = [
        row("exon", 101, 120, "A", "A1"), row("exon", 181, 200, "A", "A1"), row("transcript", 150, 300, "A", "A2"),
        row("exon", 1, 50, "B", "B1", "-"), row("exon", 5001, 5010, "A", "A1_dup"), row("exon", 301, 310, "A", "A3"),
    ]  # fmt: skip
    expected = [
        ("chr1", 100, 300, "A", "+"), ("chr1", 300, 310, "A", "+"), ("chr1", 5000, 5010, "A", "+"),
        ("chr1", 0, 50, "B", "-"),
    ]  # fmt: skip
    assert tuples(read_genes(write(tmp_path / "x", lines))) == expected
    with_gene = [*lines, *gtf([("chr1", 7, 9, "C", "+")])]
    assert list(read_genes(write(tmp_path / "x", with_gene))["gene_symbol"]) == ["C"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["chr1\t1\t9\tA", "", "chr1\tten\t19\tB"], r"line 3: found 'ten'"),
        (["chr1\tten\t19\tB"], r"line 1: found 'ten'"),
        (["chr1\t1.0\t9\tA"], r"line 1: found '1.0', expected a whole number"),
        (["chr1\t1\t9\tA", "chr1\t1\t1_000\tB"], r"line 2: found '1_000'"),
        (["chr1\t-1\t9\tA"], r"line 1: found chr1:-1-9, expected .* at least 0"),
        (["#c", "chr1\t9\t1\tA"], r"line 2: interval chr1:9-1 is inverted"),
        (["chr1\t9\t9\tA"], r"line 1: interval chr1:9-9 is inverted or empty \(expected start < end\)"),
        (["\t1\t9\tA"], r"line 1: .*expected a chromosome"),
        (["chr1\t1\t9\tA", "chr1\t1\t9"], r"line 2: found 3 fields, expected 4"),
        (["chr1\t1\t9" + "9" * 30], r"line 1: found '9999"),
        (["chr1:5-4\tA"], r"line 1: interval chr1:5-4"),
        (["chr1:0-4\tA"], r"line 1: found chr1:0-4, expected .* at least 1"),
        (["chr1:1-4\tA", "chr1:1\tB"], r"line 2: found 'chr1:1', expected chrom:start-end"),
        ([*refgene(GENES), refgene(GENES)[0].replace("29370", "x")], r"line 4: found 'x'"),
        ([*gtf(GENES), gtf(GENES)[0].replace("14362", "0")], r"line 4: found chr1:0-29370, expected .* at least 1"),
        ([*gff3(GENES), gff3(GENES)[0].replace("14362", "99999")], r"line 4: interval chr1:99999-29370 is inverted"),
        (["once upon a time"], r"line 1: not a gene annotation \(found 'once"),
        ([">chr1", "ACGT"], r"line 1: not a gene annotation"),
        (["# only", "", "# comments"], r"no gene found"),
        (["chr1\ts\tmRNA\t1\t9\t.\t+\t.\tID=x"], r"no gene found"),
        (["chr1\t1\t9\tA", "chr1\t1\t\0\tB"], r"line 2: not text"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_bad_record_is_named(tmp_path, lines, expected, compress):
    path = write(tmp_path / "bad", lines, compress=compress)
    with pytest.raises(InputError, match=expected) as caught:
        read_genes(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_genes(tmp_path / "missing")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="empty"):
        read_genes(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError, match="binary: line"):
        read_genes(tmp_path / "binary")
    whole = write(tmp_path / "whole", bed([("chr1", i, i + 9, f"G{i}", "+") for i in range(5000)]), compress=True)
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated"):
        read_genes(tmp_path / "cut")


def test_the_articles_genes(article):
    frame = read_genes(article / "gene_ids.txt")
    assert tuples(frame.head(1)) == [("chr1", 14361, 29370, "WASH7P", ".")]
    lines = (article / "gene_ids.txt").read_text().splitlines()
    assert len(lines) == 21_503
    back = frame["chrom"] + ":" + (frame["start"] + 1).astype(str) + "-" + frame["end"].astype(str)
    assert list(back + "\t" + frame["gene_symbol"]) == lines


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
