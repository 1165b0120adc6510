"""Gene annotations: the same genes in every form, and what is wrong with a file."""

import numpy as np
import pytest
from frames import tuples, write
from hypothesis import given, settings
from hypothesis import strategies as st

from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.errors import InputError

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
