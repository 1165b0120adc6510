"""Matched depleted regions: composition by counting letters, partners that are like their regions, balance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import write_fasta_text
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp.audit import matching
from neanderthal_nlp.depleted import draw_depleted
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.intervals import count_overlaps

SIZE = 400_000


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def naive_composition(text):
    called = [letter for letter in text if letter in "ACGTacgt"]
    if not called:
        return np.nan, np.nan
    return tuple(sum(letter in kind for letter in called) / len(called) for kind in ("CGcg", "acgt"))


@given(st.lists(st.tuples(st.integers(0, 24_000), st.integers(1, 990)), min_size=1, max_size=8))
def test_composition_counts_letters(letters, fasta_genome, spans):
    regions = frame([("chr2", start, start + length) for start, length in spans])
    found = matching.composition(regions, fasta_genome)
    expected = [naive_composition(letters["chr2"][start : start + length]) for start, length in spans]
    np.testing.assert_allclose(found.to_numpy(), expected)


def test_composition_of_called_letters_only(letters, fasta_genome):
    regions = frame([("chr1", 0, 200), ("chr1", 0, 30), ("chrEmpty", 0, 100)])
    found = matching.composition(regions, fasta_genome)
    assert tuple(found.iloc[0]) == pytest.approx(naive_composition(letters["chr1"][:200]))
    assert found.iloc[1:].isna().all(axis=None)


def test_a_profile_is_exact_at_its_places_and_near_elsewhere(letters, fasta_genome):
    profile = matching.Profile(fasta_genome, ["chr2", "chr1"])
    exact = frame([("chr2", 3000, 9000), ("chr2", 0, 25_000), ("chr2", 24_000, 25_000), ("chr1", 0, 1000)])
    np.testing.assert_allclose(profile.composition(exact), matching.composition(exact, fasta_genome))
    between = frame([("chr2", 3141, 13_141), ("chr2", 111, 10_222)])
    np.testing.assert_allclose(profile.composition(between), matching.composition(between, fasta_genome), atol=0.02)


@given(size=st.integers(1, 5_500), at=st.lists(st.floats(-0.5, 1.5), min_size=1), seed=st.integers(0, 9))
def test_sums_between_places_are_those_of_interp(size, at, seed):
    places = np.append(np.arange(0, size, 1000), size)
    sums = np.cumsum(np.random.default_rng(seed).integers(0, 1000, (len(places), 3)), axis=0).astype(float)
    positions = (np.array(at) * size).astype(np.int64)
    wanted = np.column_stack([np.interp(positions, places, column) for column in sums.T])
    np.testing.assert_allclose(matching._interpolate(positions, places, sums), wanted, rtol=1e-13)


def test_a_profile_does_not_depend_on_the_pieces_read(fasta_genome, monkeypatch):
    regions = frame([("chr2", 2500, 20_700)])
    whole = matching.Profile(fasta_genome, ["chr2"]).composition(regions)
    monkeypatch.setattr(matching, "_PIECE", 4000)
    pd.testing.assert_frame_equal(matching.Profile(fasta_genome, ["chr2"]).composition(regions), whole)


@pytest.fixture(scope="module")
def striped(tmp_path_factory):
    """A chromosome of alternating AT-rich and GC-rich stretches of 20 kb, every other pair of them in lower case."""
    rng = np.random.default_rng(3)
    pieces = []
    for i in range(SIZE // 20_000):
        gc = 0.35 if i % 2 == 0 else 0.5
        text = "".join(rng.choice(list("ACGT"), 20_000, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))
        pieces.append(text.lower() if i % 4 >= 2 else text)
    folder = tmp_path_factory.mktemp("striped")
    with open_genome(write_fasta_text({"chr1": "".join(pieces)}, folder / "g.fa"), cache=folder) as genome:
        yield genome


def at_rich_regions():
    return frame([("chr1", start + 200 * i, start + 200 * i + 11_000 + 100 * i)
                  for i, start in enumerate((0, 40_000, 80_000, 120_000, 160_000))])  # fmt: skip


def test_partners_have_length_gc_and_repeats_of_their_regions(striped):
    regions = at_rich_regions().set_index(pd.Index([9, 7, 5, 3, 1]))
    match = matching.match_depleted(regions, striped, striped.chromsizes, avoid=regions, rng=1)
    assert match.n_unmatched == 0
    assert list(match.depleted.index) == list(regions.index)
    lengths = [part["end"] - part["start"] for part in (match.depleted, regions)]
    assert (lengths[0] == lengths[1]).all()
    one, other = (matching.composition(matching.first_nucleotides(part, 10_000), striped)
                  for part in (match.introgressed, match.depleted))  # fmt: skip
    assert ((one - other).abs() <= [matching.GC_TOLERANCE, matching.MASKED_TOLERANCE]).all(axis=None)
    assert not count_overlaps(match.depleted, regions).any()
    again = matching.match_depleted(regions, striped, striped.chromsizes, avoid=regions, rng=1)
    pd.testing.assert_frame_equal(again.depleted, match.depleted)


def test_matching_mends_a_balance_that_random_draws_lack(striped):
    regions = at_rich_regions()
    random = draw_depleted(regions, striped.chromsizes, rng=2)
    match = matching.match_depleted(regions, striped, striped.chromsizes, avoid=regions, rng=1)
    balance = matching.balance_of_match(match, random, striped).set_index("covariate")
    assert abs(balance.loc["gc", "smd_before"]) > 0.5
    # Among five pairs a tenth of a standard deviation is nothing; the pairs' own tolerance is what holds.
    assert abs(balance.loc["gc", "introgressed"] - balance.loc["gc", "depleted_after"]) < matching.GC_TOLERANCE
    assert balance.loc["length", "smd_after"] == 0


def test_a_region_that_no_place_is_like_is_left_out(striped, refused):
    regions = at_rich_regions()
    gc_rich_taken = frame([("chr1", start, start + 20_000) for start in range(20_000, SIZE, 40_000)])
    alone = frame([("chr1", 20_000, 31_000)])
    with_alone = pd.concat([regions, alone], ignore_index=True)
    avoid = pd.concat([with_alone, gc_rich_taken])
    match = matching.match_depleted(with_alone, striped, striped.chromsizes, avoid=avoid, rng=1)
    assert match.n_unmatched == 1
    assert list(match.introgressed.index) == [0, 1, 2, 3, 4]
    with refused("none of 1", "0.01"):
        matching.match_depleted(alone, striped, striped.chromsizes, avoid=avoid, rng=1)


def covariates(**columns):
    return pd.DataFrame({"length": [10.0, 20, 30], "gc": [0.4, 0.5, 0.6], "masked": [0.0, 0, 0.3], **columns})


def test_balance_is_the_standardised_difference():
    before = covariates(gc=[0.5, 0.6, 0.7])
    balance = matching.tabulate_balance(covariates(), before, covariates()).set_index("covariate")
    spread = np.std([0.4, 0.5, 0.6])
    assert balance.loc["gc", "smd_before"] == pytest.approx(-0.1 / spread)
    assert balance.loc["gc", "smd_after"] == 0
    assert balance.loc["masked", ["smd_before", "smd_after"]].tolist() == [0, 0]
    assert balance["balanced"].all()
    flat = covariates(gc=[0.5] * 3, masked=[0.0] * 3)
    constant = matching.tabulate_balance(flat, before, covariates(gc=[0.25] * 3)).set_index("covariate")
    assert constant.loc["gc", "smd_after"] == np.inf
    assert list(constant.index) == ["length", "gc"]  # no letter is lower case: nothing to balance


def test_what_is_no_match_is_refused(refused):
    good = matching.tabulate_balance(covariates(), covariates(), covariates())
    off = matching.tabulate_balance(covariates(), covariates(), covariates(gc=[0.5, 0.6, 0.7]))
    region, other = frame([("chr1", 0, 10)]), frame([("chr1", 10, 20)])
    matching.check_match(good, other, region)
    with refused("gc", "found -1.22", "expected at most 0.1"):
        matching.check_match(off, other, region)
    with refused("found 1 that overlap"):
        matching.check_match(good, frame([("chr1", 9, 19)]), region)
