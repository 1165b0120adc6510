"""Depleted regions: where they may lie, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from frames import COLUMNS, bed, run_bedtools, spans
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from neanderthal_nlp.depleted import count_admissible, draw_depleted
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import write_bed
from neanderthal_nlp.intervals import count_overlaps, no_intervals, read_bed, read_chromsizes


def admissible(length, size, blocks):
    """Every start of a free stretch of `length` bases, by trying each."""
    free = np.ones(size, dtype=bool)
    for start, end in blocks:
        free[max(start, 0) : max(end, 0)] = False
    return [start for start in range(size - length + 1) if free[start : start + length].all()]


def accepted_by_the_article(start, length, regions):
    """The article's overlap rule: a draw is drawn again when one of these strict comparisons holds."""
    end = start + length
    return not any(
        b1 < start < b2 or b1 < end < b2 or start < b1 < end or start < b2 < end for b1, b2 in regions
    )  # fmt: skip


@st.composite
def layouts(draw):
    """Chromosome sizes, introgressed regions on them, blocks to avoid anywhere."""
    sizes = draw(st.dictionaries(st.sampled_from(["chr1", "2", "chrX"]), st.integers(4, 40), min_size=1))
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        chrom = draw(st.sampled_from(sorted(sizes)))
        start = draw(st.integers(0, sizes[chrom] - 1))
        rows.append((chrom, start, draw(st.integers(start + 1, min(sizes[chrom], start + 12)))))
    block = st.tuples(st.sampled_from([*sorted(sizes), "unknown"]), st.integers(0, 45), st.integers(1, 9))
    avoid = [(chrom, start, start + length) for chrom, start, length in draw(st.lists(block, max_size=4))]
    return sizes, rows, avoid


def naive_starts(sizes, rows, avoid):
    """Admissible starts of each row's partner."""
    return [
        admissible(end - start, sizes[chrom], [span[1:] for span in [*rows, *avoid] if span[0] == chrom])
        for chrom, start, end in rows
    ]


@given(layout=layouts())
def test_count_admissible_equals_trying_every_start(layout):
    sizes, rows, avoid = layout
    counts = count_admissible(bed(*rows), sizes, avoid=bed(*avoid))
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(starts) for starts in naive_starts(sizes, rows, avoid)]
    assert count_admissible(bed(*rows), sizes).tolist() == list(map(len, naive_starts(sizes, rows, [])))


@given(layout=layouts(), seed=st.integers(0, 2**32))
def test_draws_cover_exactly_the_admissible_starts(layout, seed):
    sizes, rows, avoid = layout
    starts = naive_starts(sizes, rows, avoid)
    assume(all(starts))
    copies = 1_500  # the chance to miss one of at most 40 starts is below 40 * exp(-37)
    frame = bed(*rows * copies)
    drawn = draw_depleted(frame, sizes, avoid=bed(*avoid), rng=seed)
    assert drawn["chrom"].tolist() == frame["chrom"].tolist()
    assert (drawn["end"] - drawn["start"]).tolist() == (frame["end"] - frame["start"]).tolist()
    for i, wanted in enumerate(starts):
        assert sorted(set(drawn["start"].iloc[i :: len(rows)])) == wanted


@given(layout=layouts(), seed=st.integers(0, 2**32))
def test_a_chromosome_without_an_admissible_start_is_refused(layout, seed):
    sizes, rows, avoid = layout
    starts = naive_starts(sizes, rows, avoid)
    assume(not all(starts))
    with pytest.raises(InputError, match="no admissible start") as caught:
        draw_depleted(bed(*rows), sizes, avoid=bed(*avoid), rng=seed)
    named = str(caught.value)
    assert any(f"{chrom}:{start}-{end}:" in named for (chrom, start, end), s in zip(rows, starts, strict=True) if not s)


SIZE = 90
REGIONS = [("chr1", 10, 17), ("chr1", 15, 30), ("chr1", 42, 44), ("chr1", 70, 83)]
AVOID = [("chr1", 0, 3), ("chr1", 47, 48), ("chr2", 0, 90)]


@pytest.mark.parametrize("avoid", [[], AVOID])
@pytest.mark.parametrize("region", REGIONS)
def test_draws_are_uniform_over_the_admissible_starts(region, avoid):
    starts = admissible(region[2] - region[1], SIZE, [span[1:] for span in [*REGIONS, *avoid] if span[0] == "chr1"])
    frame = bed(*REGIONS, *[region] * 20_000)
    drawn = draw_depleted(frame, {"chr1": SIZE}, avoid=bed(*avoid), rng=5).tail(20_000)
    observed = drawn["start"].value_counts().reindex(starts, fill_value=0)
    assert observed.sum() == 20_000
    assert stats.chisquare(observed).pvalue > 1e-3


def test_rows_of_one_draw_are_independent():
    # Two equal regions: their partners' starts are a table of independent, uniform pairs.
    frame = bed(*[("chr1", 0, 5)] * 40_000)
    drawn = draw_depleted(frame, {"chr1": 16}, rng=3)["start"].to_numpy().reshape(-1, 2)
    table = pd.crosstab(drawn[:, 0], drawn[:, 1])
    assert table.shape == (7, 7)
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assert len(set(map(tuple, drawn[:10]))) > 1


def test_the_articles_rule_accepts_our_draws():
    frame = bed(*REGIONS * 500)
    drawn = draw_depleted(frame, {"chr1": SIZE}, rng=1)
    regions = [span[1:] for span in REGIONS]
    assert all(accepted_by_the_article(start, end - start, regions) for _, start, end in spans(drawn))


@pytest.mark.parametrize("length", range(1, 17))
def test_the_articles_rule_differs_only_in_a_start_at_0_and_in_a_region_itself(length):
    regions = [span[1:] for span in REGIONS]
    theirs = {s for s in range(1, SIZE - length + 1) if accepted_by_the_article(s, length, regions)}
    ours = set(admissible(length, SIZE, regions))
    assert ours - theirs == {0} & ours
    itself = {(s, s + length) for s in theirs - ours}
    assert itself == {b for b in regions if b[1] - b[0] == length and accepted_by_the_article(b[0], length, regions)}


def test_draws_keep_the_index_and_leave_their_input_alone():
    frame = bed(*REGIONS).set_axis(["d", "b", "b", "a"]).assign(name="x")
    before = frame.copy()
    drawn = draw_depleted(frame, {"chr1": SIZE}, rng=0)
    assert drawn.index.tolist() == ["d", "b", "b", "a"]
    assert list(drawn.columns) == COLUMNS
    assert drawn["start"].dtype == drawn["end"].dtype == np.int64
    pd.testing.assert_frame_equal(frame, before)


def test_draws_are_reproducible_by_seed_and_advance_a_generator():
    frame = bed(*REGIONS * 20, ("chr2", 3, 9), ("chr1", 1, 2))
    sizes = {"chr1": SIZE, "chr2": 300}
    first = draw_depleted(frame, sizes, rng=8)
    pd.testing.assert_frame_equal(first, draw_depleted(frame, sizes, rng=8))
    rng = np.random.default_rng(8)
    pd.testing.assert_frame_equal(first, draw_depleted(frame, sizes, rng=rng))
    assert not first.equals(draw_depleted(frame, sizes, rng=rng))
    assert not first.equals(draw_depleted(frame, sizes, rng=9))


def test_draw_refuses_regions_that_are_not_on_the_genome(refused):
    with refused("none of its chromosomes"):
        draw_depleted(bed(("1", 0, 5)), {"chr1": 50}, rng=0)
    with refused("chr1:45-55", "passes the end"):
        draw_depleted(bed(("chr1", 45, 55)), {"chr1": 50}, rng=0)


def test_draw_names_the_longest_free_stretch(refused):
    with refused("chr1:20-50", "30 nt", "longest free stretch: 20 nt"):
        draw_depleted(bed(("chr2", 0, 5), ("chr1", 20, 50)), {"chr1": 65, "chr2": 65}, rng=0)
    with refused("longest free stretch: 0 nt"):
        draw_depleted(bed(("chr1", 0, 50)), {"chr1": 50}, rng=0)


def test_draw_of_no_regions():
    assert draw_depleted(no_intervals(), {"chr1": 10}, rng=0).empty


def test_draw_has_the_distribution_of_bedtools_shuffle(tmp_path, tool):
    size, n = 20_000, 4_000
    blocks = bed(("chr1", 2_000, 5_000), ("chr1", 9_000, 9_100), ("chr1", 14_000, 17_000))
    frame = pd.concat([blocks, *[bed(("chr1", 9_000, 9_100))] * n], ignore_index=True)
    write_bed(blocks, tmp_path / "blocks.bed")
    write_bed(frame.tail(n), tmp_path / "regions.bed")
    (tmp_path / "sizes").write_text(f"chr1\t{size}\n")
    rows = run_bedtools(
        tool("bedtools"), "shuffle", "-chrom", "-seed", 4, "-i", tmp_path / "regions.bed",
        "-g", tmp_path / "sizes", "-excl", tmp_path / "blocks.bed",
    )  # fmt: skip
    theirs = [int(row[1]) for row in rows]
    ours = draw_depleted(frame, {"chr1": size}, rng=4)["start"].tail(n)
    assert len(theirs) == n
    assert stats.ks_2samp(theirs, ours).pvalue > 1e-3


def test_the_published_draw_and_ours_have_the_same_properties(published):
    introgressed = read_bed(published("Akey_intr_coords.bed"))
    theirs = read_bed(published("Akey_depl_coords.bed"))
    sizes = read_chromsizes(published("chrom.sizes"))
    ours = draw_depleted(introgressed, sizes, rng=42)
    lengths = introgressed["end"] - introgressed["start"]
    ends = introgressed["chrom"].map(sizes)
    assert len(introgressed) == 83_601
    for drawn in (theirs, ours):
        assert drawn["chrom"].tolist() == introgressed["chrom"].tolist()
        assert (drawn["end"] - drawn["start"]).tolist() == lengths.tolist()
        assert not count_overlaps(drawn, introgressed).any()
    # The published starts reach up to the chromosome's end, not only to its end less the length.
    assert (ours["end"] <= ends).all()
    assert 0 < (theirs["end"] > ends).sum() < 0.002 * len(theirs)
    assert (theirs["start"] < ends).all()
    for chrom, rows in introgressed.groupby("chrom").indices.items():
        test = stats.ks_2samp(theirs["start"].iloc[rows], ours["start"].iloc[rows])
        assert test.pvalue > 1e-4, chrom
