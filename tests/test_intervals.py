"""BED frames: read, validate, count overlaps, cluster."""

from __future__ import annotations

import gzip
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from frames import bed, run_bedtools, spans
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp import intervals
from neanderthal_nlp.files import write_bed


def overlap(a, b):
    """Whether two intervals share a base: by listing their bases."""
    return a[0] == b[0] and bool(set(range(a[1], a[2])) & set(range(b[1], b[2])))


def interval(chroms=("chr1", "chr2", "10"), limit=60):
    """One interval on one of a few chromosomes."""
    return st.tuples(st.sampled_from(chroms), st.integers(0, limit - 1), st.integers(1, limit // 2)).map(
        lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
    )


# Reading ------------------------------------------------------------------------------------------------------


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
PREAMBLES = [
    "",
    "#chrom{s}start{s}end{n}",
    "chrom{s}start{s}end{n}",
    "Chromosome{s}chromStart{s}chromEnd{n}",
    'browser position chr1:1-2{n}track name="a b" description="c{s}d"{n}# a comment{n}{n}',
]
INTERRUPTIONS = ["", "{n}", " {n}", "# comment{s}1{s}2{n}", "track{n}"]


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["chr1", "2", "X", "chrUn_gl000220", "HLA-A*01:01", "chr"]),
            st.integers(0, 10**11),
            st.integers(1, 10**10),
            WORDS,
            WORDS,
            st.sampled_from("+-."),
        ),
        min_size=1,
        max_size=6,
    ),
    n_columns=st.integers(3, 6),
    separator=st.sampled_from(["\t", " ", "   "]),
    newline=st.sampled_from(["\n", "\r\n"]),
    preamble=st.sampled_from(PREAMBLES),
    interruption=st.sampled_from(INTERRUPTIONS),
    last_newline=st.booleans(),
    zipped=st.booleans(),
)
def test_read_bed_reads_every_dialect(
    tmp_path, rows, n_columns, separator, newline, preamble, interruption, last_newline, zipped
):
    wanted = [(chrom, start, start + length, *rest)[:n_columns] for chrom, start, length, *rest in rows]
    between = newline + interruption.format(s=separator, n=newline)
    text = preamble.format(s=separator, n=newline) + between.join(separator.join(map(str, row)) for row in wanted)
    raw = (text + newline * last_newline).encode()
    path = tmp_path / "regions.bed"
    path.write_bytes(gzip.compress(raw, mtime=0) if zipped else raw)

    frame = intervals.read_bed(path)
    assert list(frame.columns) == ["chrom", "start", "end", "name", "score", "strand"][:n_columns]
    assert list(frame.itertuples(index=False, name=None)) == wanted
    assert frame["start"].dtype == frame["end"].dtype == np.int64
    assert frame.index.tolist() == list(range(len(wanted)))


def test_read_bed_keeps_blanks_within_tabbed_fields_and_names_further_columns(tmp_path):
    path = tmp_path / "regions.bed"
    path.write_text("\t".join(["chr1", "1", "2", "a gene", *"abcdefghij"]) + "\n")
    frame = intervals.read_bed(path)
    assert frame.loc[0, "name"] == "a gene"
    assert list(frame.columns[-4:]) == ["blockSizes", "blockStarts", "field13", "field14"]


def test_read_bed_takes_the_blanks_around_a_tabbed_chromosome_away(tmp_path):
    path = tmp_path / "regions.bed"
    path.write_text("chr1 \t 10 \t 20\n")
    assert spans(intervals.read_bed(path)) == [("chr1", 10, 20)]


ODD_CHROMS = ["chr1", "1", "chrUn_gl000220", "GL1.1", "track", "browser", "chrom", "é", "a b"]
ODD_STARTS = ["0", "5", "007", "-1", "1e3", "9" * 12, "9" * 13]


@given(
    st.lists(st.tuples(st.sampled_from(ODD_CHROMS), st.sampled_from(ODD_STARTS),
                       st.sampled_from(["6", "10", "9" * 12, "x"]), st.sampled_from(["", "", "", "\tname", "\r", " "])),
             min_size=1, max_size=4),
    st.sampled_from(["\n", "\n", ""]),
)  # fmt: skip
def test_plain_files_are_read_as_every_other(tmp_path_factory, records, last):
    path = tmp_path_factory.getbasetemp() / "plain.bed"
    path.write_text(
        "\n".join("\t".join(record[:3]) + record[3] for record in records) + last, encoding="utf-8", newline=""
    )
    fast = intervals._read_three_columns(path)
    if fast is None:
        return
    slow = intervals._read_lines(path)  # raises nothing, either
    pd.testing.assert_frame_equal(fast, slow)


def test_the_plainest_files_are_read_fast(tmp_path):
    path = tmp_path / "plain.bed"
    path.write_text("chr1\t0\t5\n2\t3\t999999999999\n")
    assert spans(intervals._read_three_columns(path)) == [("chr1", 0, 5), ("2", 3, 999999999999)]
    for other in ("chr1\t5\t5\n", "track\t1\t5\n", "chr1\t0\t5", "chr1\t0\t5\tname\n", "chr1 0 5\n", "#\t0\t5\n"):
        path.write_text(other)
        assert intervals._read_three_columns(path) is None


def test_written_bed_reads_back(tmp_path):
    frame = bed(("chr1", 0, 5), ("2", 7, 10**9)).assign(name=["a b", "NA"])
    write_bed(frame, tmp_path / "regions.bed")
    pd.testing.assert_frame_equal(intervals.read_bed(tmp_path / "regions.bed"), frame, check_dtype=False)


GOOD = b"chr1\t10\t20\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "no BED record"),
        (b"# only\n\ntrack name=x\n", "no BED record"),
        (GOOD + b"chr1\t30\n", "line 2"),
        (GOOD + b"\t30\t40\n", "line 2"),
        (GOOD + b"chr1\t-3\t40\n", "line 2: negative"),
        (GOOD + b"# comment\r\n\nchr1\t40\t30\n", "line 4: interval chr1:40-30 is inverted"),
        (GOOD + b"chr1\t30\t30\n", "line 2: interval chr1:30-30 is inverted or empty"),
        (GOOD + b"chr1\t30.5\t40\n", "'30.5'"),
        (GOOD + b"chr1\t1e3\t4000\n", "'1e3'"),
        (GOOD + b"chr1\t1,000\t2,000\n", "'1,000'"),
        (GOOD + b"chr1\t\t40\n", "line 2"),
        (GOOD + "chr1\t\u0663\t\u0669\n".encode(), "line 2"),
        (GOOD + b"chr1\t1\t" + b"9" * 400 + b"\n", "line 2"),
        (GOOD + b"chrom\tstart\tend\n", "line 2"),
        (GOOD + b"chr1\t30\t40\tname\n", "found 4 fields, expected 3"),
        (b">chr1\nACGT\n", "line 1: not BED"),
        (b"##fileformat=VCFv4.2\nchr1\t10\trs1\tA\tC\n", "'rs1'"),
        (b"chr1:10-20\tGENE\n", "line 1: not BED"),
        (b"<!DOCTYPE html>\n<html>\n", "line 1: not BED"),
        (b"\0\1\2\3\4", "line 1: not text"),
        (bytes(range(256)), "line 1"),
        (GOOD + b"\xfe\xff\n", "line 2: not text"),
        ("chr1\t10\t20\n".encode("utf-16"), "line 1: not text"),
        (gzip.compress(GOOD * 99_999, mtime=0)[:-20], "gzip"),
        (gzip.compress(GOOD, mtime=0)[:12], "gzip"),
    ],
)
def test_read_bed_refuses(tmp_path, refused, content, named):
    path = tmp_path / "regions.bed"
    path.write_bytes(content)
    with refused(path, named):
        intervals.read_bed(path)


def test_read_bed_refuses_missing_files_and_folders(tmp_path, refused):
    with refused(tmp_path / "missing.bed", "No such file"):
        intervals.read_bed(tmp_path / "missing.bed")
    with refused(tmp_path, "directory"):
        intervals.read_bed(tmp_path)


def test_read_bed_refuses_old_mac_line_ends_rather_than_misread_them(tmp_path, refused):
    path = tmp_path / "regions.bed"
    path.write_bytes(b"chr1 10 20\rchr1 30 40\r")
    with refused(path, "line 1"):
        intervals.read_bed(path)


@pytest.mark.parametrize("content", ["chr1\t100\nchrM\t16\n", "chr1\t100\t6\t50\t51\nchrM 16\r\n\n# x\n"])
def test_read_chromsizes(tmp_path, content):
    path = tmp_path / "chrom.sizes"
    path.write_text(content)
    assert list(intervals.read_chromsizes(path).items()) == [("chr1", 100), ("chrM", 16)]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "empty"),
        ("# nothing\n", "no chromosome"),
        ("chr1\t10\nchr2\n", "line 2"),
        ("chr1\t-10\n", "line 1"),
        ("chr1\t0\n", "line 1"),
        ("chr1\tten\n", "line 1"),
        ("chr1\t10\nchr1\t10\n", "line 2: chromosome chr1 is listed twice"),
    ],
)
def test_read_chromsizes_refuses(tmp_path, refused, content, named):
    path = tmp_path / "chrom.sizes"
    path.write_text(content)
    with refused(path, named):
        intervals.read_chromsizes(path)


# Naming and checks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_names", "genome_names", "wanted"),
    [
        (["1", "X", "MT"], ["chr1", "chrX", "chrM"], ["chr1", "chrX", "chrM"]),
        (["chr1", "chrX", "chrM"], ["1", "X", "MT"], ["1", "X", "MT"]),
        (["1", "chr2", "chr1"], ["chr1", "2"], ["chr1", "2", "chr1"]),
        (["1", "chr1"], ["1", "chr1"], ["1", "chr1"]),
        (["chr7", "alien"], ["chr1"], ["chr7", "alien"]),
        (["M", "MT"], ["chrM"], ["chrM", "chrM"]),
    ],
)
def test_match_naming(given_names, genome_names, wanted):
    frame = bed(*((name, 1, 2) for name in given_names)).set_axis([7] * len(given_names))
    before = frame.copy()
    renamed = intervals.match_naming(frame, dict.fromkeys(genome_names, 100))
    assert renamed["chrom"].tolist() == wanted
    assert renamed.index.tolist() == frame.index.tolist()
    pd.testing.assert_frame_equal(frame, before)


def test_match_naming_knows_every_name_of_the_mitochondrion():
    names = ["chrM", "chrMT", "M", "MT"]
    for name in names:
        for known in names:
            assert intervals.match_naming(bed((name, 1, 2)), {known: 100})["chrom"].tolist() == [known]


def test_match_naming_of_no_rows():
    assert intervals.match_naming(intervals.no_intervals(), {"chr1": 10}).empty


def test_check_regions_accepts_what_lies_on_the_genome():
    intervals.check_regions(bed(("chr1", 0, 10), ("chr1", 9, 10)), {"chr1": 10}, source="x.bed")
    intervals.check_regions(intervals.no_intervals(), {"chr1": 10}, source="x.bed")


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([("1", 0, 5), ("2", 0, 5)], ["none of its chromosomes", "1, 2", "chr1"]),
        ([("chr1", 0, 5), ("chrY", 0, 5), ("chrZ", 0, 5)], ["2 of 3 chromosomes", "chrY, chrZ"]),
        ([("chr1", 0, 5), ("chr1", 3, 11)], ["record 2", "chr1:3-11", "10 nt"]),
        ([("chr1", -2, 5)], ["record 1", "chr1:-2-5"]),
    ],
)
def test_check_regions_refuses(refused, rows, parts):
    with refused("x.bed", *parts):
        intervals.check_regions(bed(*rows), {"chr1": 10, "chr2": 10}, source="x.bed")


def test_check_regions_counts_records_whatever_the_index(refused):
    frame = bed(("chr1", 0, 5), ("chr1", 3, 11)).set_axis([40, 40])
    with refused("record 2"):
        intervals.check_regions(frame, {"chr1": 10}, source="x.bed")


# Overlaps -----------------------------------------------------------------------------------------------------


@given(query=st.lists(interval(), max_size=12), target=st.lists(interval(("chr1", "10", "chr3")), max_size=12))
def test_count_overlaps_equals_the_naive_loop(query, target):
    counts = intervals.count_overlaps(bed(*query), bed(*target))
    assert counts.dtype == np.int64
    assert counts.tolist() == [sum(overlap(a, b) for b in target) for a in query]


def test_count_overlaps_of_abutting_nested_and_repeated():
    target = bed(("a", 10, 20), ("a", 10, 20), ("a", 0, 100), ("b", 10, 20)).set_axis([3, 3, 1, 0])
    query = bed(("a", 0, 10), ("a", 20, 21), ("a", 19, 20), ("b", 0, 10), ("c", 10, 20)).set_axis([9, 8, 7, 7, 7])
    assert intervals.count_overlaps(query, target).tolist() == [1, 1, 3, 0, 0]


def test_count_overlaps_without_target_or_query():
    some = bed(("a", 1, 2), ("b", 1, 2))
    assert intervals.count_overlaps(some, intervals.no_intervals()).tolist() == [0, 0]
    assert intervals.count_overlaps(intervals.no_intervals(), some).tolist() == []


def random_bed(rng, n, chroms, size=40_000):
    """Unsorted intervals of many lengths, with repeats and abutting ones among them."""
    start = rng.integers(0, size, n)
    frame = pd.DataFrame({"chrom": rng.choice(chroms, n), "start": start, "end": start + rng.integers(1, 400, n)})
    abutting = frame.head(n // 4).assign(start=frame["end"], end=frame["end"] + 5)
    return pd.concat([frame, abutting, frame.tail(n // 4)], ignore_index=True)


@pytest.fixture
def random_pair(tmp_path):
    """Two frames and the BED files they are written to."""
    rng = np.random.default_rng(0)
    query, target = random_bed(rng, 300, ["chr1", "chr2", "chr9"]), random_bed(rng, 200, ["chr1", "chr2", "chr7"])
    write_bed(query, tmp_path / "query.bed")
    write_bed(target, tmp_path / "target.bed")
    return query, target, tmp_path


def test_count_overlaps_equals_bedtools_intersect(random_pair, tool):
    query, target, folder = random_pair
    program = tool("bedtools")
    counts = intervals.count_overlaps(query, target)
    per_query = run_bedtools(program, "intersect", "-c", "-a", folder / "query.bed", "-b", folder / "target.bed")
    assert [int(row[3]) for row in per_query] == counts.tolist()
    rows = run_bedtools(program, "intersect", "-a", folder / "query.bed", "-b", folder / "target.bed")
    assert len(rows) == counts.sum() > 0


# Clusters -----------------------------------------------------------------------------------------------------


def naive_clusters(rows):
    """Connected components by union-find over all pairs, numbered in the order of first appearance."""
    parent = list(range(len(rows)))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for i, a in enumerate(rows):
        for j, b in enumerate(rows[:i]):
            if overlap(a, b):
                parent[root(i)] = root(j)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(rows))]


@given(rows=st.lists(interval(limit=40), max_size=14), seed=st.integers(0, 9))
def test_cluster_equals_union_find(rows, seed):
    frame = bed(*rows).set_axis(np.random.default_rng(seed).integers(0, 5, len(rows)))
    labels = intervals.cluster(frame)
    assert labels.dtype == np.int64
    assert labels.tolist() == naive_clusters(rows)


def test_cluster_does_not_join_abutting_intervals():
    frame = bed(("a", 5, 9), ("a", 0, 5), ("a", 8, 10), ("b", 5, 9), ("a", 1, 2), ("a", 10, 11))
    assert intervals.cluster(frame).tolist() == [0, 1, 0, 2, 1, 3]
    assert intervals.cluster(intervals.no_intervals()).tolist() == []


def test_cluster_equals_bedtools_merge(random_pair, tool):
    query, _, folder = random_pair
    write_bed(query.sort_values(["chrom", "start", "end"]), folder / "sorted.bed")
    # -d -1: at least one base in common; the default of bedtools joins what only touches.
    merged = run_bedtools(tool("bedtools"), "merge", "-d", "-1", "-c", "2", "-o", "count", "-i", folder / "sorted.bed")
    ours = query.groupby(intervals.cluster(query)).agg(
        chrom=("chrom", "first"), start=("start", "min"), end=("end", "max"), n=("start", "size")
    )
    assert sorted(map(tuple, ours.astype(str).to_numpy())) == sorted(map(tuple, merged))
    joined = run_bedtools(tool("bedtools"), "merge", "-i", folder / "sorted.bed")
    assert len(joined) < len(merged)


# The published regions ----------------------------------------------------------------------------------------


def test_the_published_regions_lie_on_hg19(published):
    introgressed = intervals.read_bed(published("Akey_intr_coords.bed"))
    sizes = intervals.read_chromsizes(published("chrom.sizes"))
    intervals.check_regions(introgressed, sizes, source="Akey_intr_coords.bed")
    assert not introgressed.duplicated().any()
    assert Counter(introgressed["chrom"]).keys() == {f"chr{i}" for i in range(1, 23)}
    labels = intervals.cluster(introgressed)
    merged = introgressed.groupby(labels).agg(start=("start", "min"), end=("end", "max"), chrom=("chrom", "first"))
    assert (intervals.count_overlaps(merged, merged) == 1).all()


def test_regions_are_read_once_each_and_named_as_the_genome_names_them(tmp_path, refused):
    path = tmp_path / "calls.bed"
    path.write_text("1\t5\t9\tA\n2\t0\t7\tB\n1\t5\t9\tC\n", encoding="ascii")
    sizes = {"chr1": 10, "chr2": 7}
    assert intervals.read_regions(path, sizes).to_dict("list") == {
        "chrom": ["chr1", "chr2"],
        "start": [5, 0],
        "end": [9, 7],
    }
    with refused(path, "record 2 (chr2:0-7) passes the end of chr2 (6 nt)"):
        intervals.read_regions(path, {"chr1": 10, "chr2": 6})


@given(
    values=st.lists(st.integers(0, 300), max_size=40),
    asked=st.lists(st.integers(-400, 400)),
    scale=st.sampled_from([1, 10**7]),
)
def test_ranks_are_those_of_searchsorted(values, asked, scale):
    values, asked = np.array(values, dtype=np.int64) * scale, np.array(asked, dtype=np.int64) * scale
    for integers in (asked, asked + 1):
        wanted = np.searchsorted(np.sort(values), integers, side="left")
        np.testing.assert_array_equal(intervals._Ranks(values).below(integers), wanted)


def test_an_empty_table_of_any_column_type_overlaps_nothing():
    empty = pd.DataFrame(columns=["chrom", "start", "end"])  # columns of objects
    some = pd.DataFrame({"chrom": ["chr1"], "start": [3], "end": [9]})
    assert intervals.count_overlaps(empty, some).tolist() == []
    assert intervals.count_overlaps(some, empty).tolist() == [0]
    assert intervals.count_overlaps(empty, empty).tolist() == []


def test_a_query_that_begins_before_the_chromosome_does():
    targets = pd.DataFrame({"chrom": ["chr1"] * 3 + ["chr2"], "start": [0, 10, 20, 5], "end": [5, 15, 25, 9]})
    query = pd.DataFrame({"chrom": ["chr1", "chr2", "chr2"], "start": [-100, -(10**15), -9], "end": [12, 6, -3]})
    assert intervals.count_overlaps(query, targets).tolist() == [2, 1, 0]
