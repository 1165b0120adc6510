"""Splits by name: train_test_split is the reference of the article's, coordinates decide about the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import write_table
from neanderthal_nlp.intervals import cluster, count_overlaps, home_chromosome
from neanderthal_nlp.splits import folds, groups, held_out_chromosomes, read_split, split, split_table


def table(pairs, *, length=10):
    """Windows of (introgressed, depleted) regions, stacked as the article does."""
    rows = [(*region, label, i) for label, side in ((1, 0), (0, 1)) for i, pair in enumerate(pairs)
            for region in [pair[side]]]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["chrom", "region_start", "region_end", "label", "pair"])
    regions = frame.rename(columns={"region_start": "start", "region_end": "end"})
    end = np.minimum(frame["region_end"], frame["region_start"] + length)
    return frame.assign(start=frame["region_start"], end=end, cluster=cluster(regions))


def regions_of(windows):
    return windows.drop(columns=["start", "end"]).rename(columns={"region_start": "start", "region_end": "end"})


def spread(n, *, n_chromosomes=8, seed=0):
    """Pairs of short regions at random places of a few chromosomes, haplotypes of one locus among them."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(n):
        chrom = f"chr{i % n_chromosomes + 1}"
        start = int(rng.integers(0, 40)) * 500
        pairs.append(
            ((chrom, start, start + int(rng.integers(20, 60))), (chrom, 10**6 + 100 * i, 10**6 + 100 * i + 50))
        )
    return table(pairs)


region = st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), st.integers(0, 3000), st.integers(1, 25)).map(
    lambda row: (row[0], row[1], row[1] + row[2])
)
some_pairs = st.lists(st.tuples(region, region), min_size=4, max_size=30)


@pytest.mark.parametrize("n", [2, 5, 10, 99, 1000, 2001])
def test_the_articles_split_is_train_test_split_on_the_stacked_arrays(n):
    X = np.arange(3 * n).reshape(n, 3)  # one text a row
    y = np.array([1] * (n // 2) + [0] * (n - n // 2))
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.20, random_state=42)
    train, test = split(pd.DataFrame({"label": y}), protocol="article")
    np.testing.assert_array_equal(X[train], X_train)
    np.testing.assert_array_equal(X[test], X_test)
    np.testing.assert_array_equal(y[train], y_train)
    np.testing.assert_array_equal(y[test], y_test)
    assert train.dtype == test.dtype == np.int64


def test_split_is_of_rows_whatever_the_index():
    frame = pd.DataFrame({"label": [0, 1] * 20})
    plain, odd = split(frame, protocol="article"), split(frame.set_axis([3] * 40), protocol="article")
    np.testing.assert_array_equal(plain.train, odd.train)
    assert sorted([*plain.train, *plain.test]) == list(range(40))


def test_split_follows_its_share_and_seed():
    frame = pd.DataFrame({"label": [0, 1] * 20})
    other = split(frame, protocol="article", test_size=0.5, seed=1)
    train, test = train_test_split(np.arange(40), test_size=0.5, random_state=1)
    np.testing.assert_array_equal(other.train, train)
    np.testing.assert_array_equal(other.test, test)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_windows_are_refused(refused, n):
    with refused(f"windows: found {n}"):
        split(pd.DataFrame({"label": [1] * n}), protocol="article")


def test_an_unknown_protocol_is_refused(refused):
    with refused("protocol", "'lucky'", "article"):
        split(pd.DataFrame({"label": [0, 1] * 20}), protocol="lucky")


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.1])
def test_an_impossible_share_is_what_the_message_names(refused, share):
    with refused("test_size", share):
        split(pd.DataFrame({"label": [0, 1] * 20}), protocol="article", test_size=share)


# Distinct windows ---------------------------------------------------------------------------------------------


@given(pairs=some_pairs)
def test_distinct_leaves_no_copy_and_whole_pairs(pairs):
    windows = table(pairs + pairs[:3])
    try:
        train, test = split(windows, protocol="distinct")
    except InputError:
        assume(False)
    used = windows.iloc[[*train, *test]]
    assert not used.duplicated(["chrom", "start", "end"]).any()
    assert (used.groupby("pair")["label"].agg(["min", "max", "size"]) == [0, 1, 2]).all(axis=None)


def test_distinct_without_copies_is_the_articles_split():
    windows = table([(("chr1", 100 * i, 100 * i + 50), ("chr2", 100 * i, 100 * i + 50)) for i in range(30)])
    for one, other in zip(split(windows, protocol="distinct"), split(windows, protocol="article"), strict=True):
        np.testing.assert_array_equal(one, other)


# Groups -------------------------------------------------------------------------------------------------------


def naive_groups(windows):
    """Groups by joining, until nothing changes, what overlaps or belongs to a pair."""
    regions = list(zip(windows["chrom"], windows["region_start"], windows["region_end"], strict=True))
    pairs = windows["pair"].tolist()
    label = list(range(len(regions)))
    changed = True
    while changed:
        changed = False
        for i, one in enumerate(regions):
            for j, other in enumerate(regions):
                joined = one[0] == other[0] and one[1] < other[2] and other[1] < one[2]
                if (joined or pairs[i] == pairs[j]) and label[i] != label[j]:
                    label[i] = label[j] = min(label[i], label[j])
                    changed = True
    return label


@given(pairs=st.lists(st.tuples(region, region), min_size=1, max_size=14))
def test_groups_equal_the_naive_joining(pairs):
    windows = table(pairs)
    assert groups(windows, protocol="cluster").tolist() == pd.factorize(np.array(naive_groups(windows)))[0].tolist()


@given(pairs=some_pairs, seed=st.integers(0, 3))
def test_no_region_of_a_cluster_split_overlaps_the_other_side_and_pairs_stay_whole(pairs, seed):
    windows = table(pairs)
    try:
        train, test = split(windows, protocol="cluster", seed=seed)
    except InputError:
        assert groups(windows, protocol="cluster").max() == 0
        return
    assert sorted([*train, *test]) == list(range(len(windows)))
    regions = regions_of(windows)
    assert not count_overlaps(regions.iloc[test], regions.iloc[train]).any()
    assert not set(windows["pair"].iloc[test]) & set(windows["pair"].iloc[train])
    assert set(windows["label"].iloc[test]) == set(windows["label"].iloc[train]) == {0, 1}


@pytest.mark.parametrize("protocol", ["cluster", "chromosome"])
def test_groups_fill_the_share_and_follow_the_seed(protocol):
    windows = spread(400, n_chromosomes=20)
    first, again, other = (split(windows, protocol=protocol, seed=seed) for seed in (1, 1, 2))
    assert len(first.test) == pytest.approx(0.2 * len(windows), rel=0.1)
    np.testing.assert_array_equal(first.test, again.test)
    assert set(first.test) != set(other.test)
    assert len(split(windows, protocol=protocol, test_size=0.5).test) == pytest.approx(len(windows) / 2, rel=0.1)
    # Keras validates on the last training rows: both classes must be among them.
    assert 0.3 < windows["label"].iloc[first.train[-100:]].mean() < 0.7


def test_whole_chromosomes_are_held_out_and_never_the_one_of_the_mhc():
    windows = spread(200)
    for seed in range(10):
        train, test = split(windows, protocol="chromosome", seed=seed)
        held_out, trained = (set(windows["chrom"].iloc[rows]) for rows in (test, train))
        assert held_out
        assert not held_out & trained
        assert "chr6" in trained
    allowed = [split(windows, protocol="chromosome", seed=seed, never_test=()).test for seed in range(30)]
    assert any("chr6" in set(windows["chrom"].iloc[test]) for test in allowed)


def test_named_chromosomes_are_held_out_with_their_contigs(refused):
    windows = spread(80)
    windows.loc[:9, "chrom"] = "chr6_cox_hap2"
    parts = split(windows, protocol="chromosome", held_out=["chr6", "chr2"])
    test = parts.test
    assert sorted(held_out_chromosomes(windows, parts)) == ["chr2", "chr6"]
    assert set(windows["chrom"].iloc[test]) == {"chr6", "chr6_cox_hap2", "chr2"}
    with refused("chr9", "chr1, chr2"):
        split(windows, protocol="chromosome", held_out=["chr2", "chr9"])
    with refused("found all"):
        split(windows, protocol="chromosome", held_out=[f"chr{i}" for i in range(1, 9)])
    with refused("found none"):
        split(windows, protocol="chromosome", held_out=[])
    with refused("protocol cluster"):
        split(windows, protocol="cluster", held_out=["chr2"])


def test_one_group_cannot_be_divided(refused):
    windows = table([(("chr1", 0, 100), ("chr1", 50, 150)), (("chr1", 90, 190), ("chr1", 300, 400))])
    for protocol in ("cluster", "chromosome"):
        with refused("of 1 groups", protocol):
            split(windows, protocol=protocol)
    with refused("found 0 of 2 groups"):
        split(table([(("chr6", 0, 9), ("chr6", 20, 29)), (("6", 0, 9), ("6", 20, 29))]), protocol="chromosome")


def test_home_of_contigs():
    names = {"chr6_cox_hap2": "chr6", "chr17_ctg5_hap1": "chr17", "chr4_gl000193_random": "chr4",
             "chr6_GL000250v2_alt": "chr6", "chrX": "chrX", "chrUn_gl000211": "chrUn_gl000211",
             "scaffold_1.1": "scaffold_1.1", "6": "6"}  # fmt: skip
    assert home_chromosome(pd.Series(list(names))).tolist() == list(names.values())


# Folds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["cluster", "chromosome"])
def test_every_window_is_tested_once_and_groups_stay_whole(protocol):
    windows = spread(120)
    parts = folds(windows, protocol=protocol, n_folds=4, never_test=())
    assert len(parts) == 4
    assert sorted(np.concatenate([part.test for part in parts])) == list(range(len(windows)))
    labels = groups(windows, protocol=protocol)
    for train, test in parts:
        assert not set(labels[train]) & set(labels[test])
        assert sorted([*train, *test]) == list(range(len(windows)))


def test_folds_spare_the_chromosome_of_the_mhc():
    windows = spread(120)
    parts = folds(windows, protocol="chromosome", n_folds=3)
    tested = np.concatenate([part.test for part in parts])
    assert set(windows["chrom"].iloc[tested]) == {f"chr{i}" for i in range(1, 9)} - {"chr6"}
    assert all("chr6" in set(windows["chrom"].iloc[part.train]) for part in parts)


def test_folds_that_cannot_be(refused):
    windows = spread(40)
    with refused("'article'", "cluster, chromosome"):
        folds(windows, protocol="article")
    for n in (1, 8):
        with refused(f"n_folds: found {n}", "(7)"):
            folds(windows, protocol="chromosome", n_folds=n)


# Manifests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["article", "distinct", "cluster", "chromosome"])
def test_a_manifest_is_read_back_in_its_order(tmp_path, protocol):
    windows = spread(100)
    parts = split(windows, protocol=protocol)
    write_table(split_table(windows, parts), tmp_path / "split.tsv")
    for one, other in zip(read_split(tmp_path / "split.tsv", windows), parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_manifest_by_hand_needs_no_order(tmp_path):
    windows = spread(60)
    manifest = split_table(windows, split(windows, protocol="chromosome")).drop(columns=["pair", "position"])
    manifest.loc[5, "side"] = "unused"
    write_table(manifest, tmp_path / "split.tsv")
    train, test = read_split(tmp_path / "split.tsv", windows)
    assert sorted(train) == manifest.index[manifest["side"] == "train"].tolist()
    assert sorted(test) == manifest.index[manifest["side"] == "test"].tolist()
    assert sorted(train) != list(train)


def test_manifests_that_do_not_fit(tmp_path, refused):
    windows, path = spread(30), tmp_path / "split.tsv"
    good = split_table(windows, split(windows, protocol="article"))
    cases = [
        (good.iloc[:-1], ["found 59 windows, expected 60"]),
        (good.assign(start=good["start"].where(good.index != 3, 7)), ["line 5", "found window chr4 7"]),
        (good.assign(side=good["side"].where(good.index != 3, "maybe")), ["'maybe'", "train, test, unused"]),
        (good.assign(side="train"), ["too few to have both classes"]),
        (good.drop(columns="side"), ["no column side"]),
        (good.assign(position=good["position"].astype(str).where(good.index != 3, "a")), ["column position"]),
    ]
    for manifest, parts in cases:
        write_table(manifest, path)
        with refused(path, *parts):
            read_split(path, windows)
