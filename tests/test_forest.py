import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.inspection import permutation_importance

from neanderthal_nlp import parameters
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.forest import fit_forest, importances, permutation_importances
from neanderthal_nlp.persistence import load_model, save_model

NAMES = ["AA", "AC", "AG", "AT", "CA", "CC"]


@pytest.fixture(scope="module")
def rows():
    """600 rows of six counts; AC tells most of the label, CA a little, the others nothing."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 600)
    X = rng.poisson(20, (600, 6)).astype(np.int32)
    X[:, 1] += 12 * y
    X[:, 4] += 3 * y
    return X, y


@pytest.fixture(scope="module")
def forest(rows):
    X, y = rows
    return fit_forest(X[:400], y[:400], n_estimators=60, seed=1, n_jobs=1)


def test_default_is_the_articles_forest(rows):
    X, y = rows
    assert parameters.N_ESTIMATORS == 500
    forest = fit_forest(X[:40], y[:40], seed=0)
    assert len(forest.estimators_) == 500
    changed = {k: v for k, v in forest.get_params().items() if v != type(forest)().get_params()[k]}
    assert changed == {"n_estimators": 500, "random_state": 0, "n_jobs": -1}


def test_learns_and_scores_the_held_out_rows(rows, forest):
    X, y = rows
    assert forest.score(X[400:], y[400:]) > 0.85
    positive = forest.predict_proba(X[400:])[:, 1] > 0.5
    np.testing.assert_array_equal(positive, forest.predict(X[400:]) == 1)


def test_same_seed_same_forest_on_any_number_of_cores(rows, forest):
    X, y = rows
    again = fit_forest(X[:400], y[:400], n_estimators=60, seed=1, n_jobs=-1)
    np.testing.assert_array_equal(again.predict_proba(X), forest.predict_proba(X))
    other = fit_forest(X[:400], y[:400], n_estimators=60, seed=2)
    assert (other.predict_proba(X) != forest.predict_proba(X)).any()


def test_memory_map_gives_the_same_forest(rows, forest, tmp_path):
    X, y = rows
    np.save(tmp_path / "kmers.npy", X)
    mapped = np.load(tmp_path / "kmers.npy", mmap_mode="r")
    again = fit_forest(mapped[:400], y[:400], n_estimators=60, seed=1)
    np.testing.assert_array_equal(again.predict_proba(X), forest.predict_proba(X))


def test_chosen_rows_of_a_memory_map_give_the_same_forest(rows, tmp_path):
    X, y = rows
    np.save(tmp_path / "kmers.npy", X)
    mapped = np.load(tmp_path / "kmers.npy", mmap_mode="r")
    chosen = np.random.default_rng(0).permutation(len(X))[:300]
    first = fit_forest(X[chosen], y[chosen], n_estimators=20, seed=1, n_jobs=1)
    again = fit_forest(mapped, y, rows=chosen, n_estimators=20, seed=1, n_jobs=1)
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))


def test_importances_are_mean_and_deviation_over_the_trees(forest):
    table = importances(forest, NAMES)
    assert list(table.columns) == ["kmer", "importance", "std"]
    assert table["kmer"].iloc[:2].tolist() == ["AC", "CA"]
    assert table["importance"].sum() == pytest.approx(1)
    for row in table.itertuples():
        values = [tree.feature_importances_[NAMES.index(row.kmer)] for tree in forest.estimators_]
        mean = sum(values) / len(values)
        assert row.importance == pytest.approx(mean)
        assert row.std == pytest.approx((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5)


@given(order=st.permutations(NAMES))
@settings(max_examples=20, deadline=None)
def test_equal_importances_are_in_alphabetical_order(order):
    # One constant column beside the label leaves every tree a single choice and five importances of zero.
    X = np.zeros((20, 6), dtype=np.int32)
    y = np.arange(20) % 2
    X[:, 2] = y
    table = importances(fit_forest(X, y, n_estimators=5, seed=0, n_jobs=1), order)
    assert table["kmer"].iloc[0] == order[2]
    assert table["kmer"].iloc[1:].tolist() == sorted(set(NAMES) - {order[2]})


def test_permutation_agrees_with_scikit_learn(rows, forest):
    X, y = rows[0][400:], rows[1][400:]
    repeats = 30
    ours = permutation_importances(forest, X, y, NAMES, columns=NAMES, n_repeats=repeats, seed=3)
    theirs = permutation_importance(forest, X, y, scoring="accuracy", n_repeats=repeats, random_state=3)
    assert ours["kmer"].tolist() == NAMES
    error = np.sqrt((ours["permutation_std"] ** 2 + theirs.importances_std**2) / repeats)
    difference = np.abs(ours["permutation"] - theirs.importances_mean)
    assert (difference <= 5 * error + 1e-12).all()
    np.testing.assert_allclose(ours["permutation_std"], theirs.importances_std, rtol=0.5, atol=2e-3)


class OnlyPredicts:
    """Hides that a model is a forest, so that every shuffle predicts every row."""

    def __init__(self, model):
        self.predict = model.predict


@pytest.mark.parametrize("ambiguous", [False, True], ids=["pure leaves", "mixed leaves"])
@pytest.mark.parametrize("n_trees", [1, 10, 61])
def test_rows_that_ask_for_a_column_are_enough(rows, ambiguous, n_trees):
    X, y = rows
    if ambiguous:  # few distinct rows with both labels: leaves hold fractions, and votes are often even
        X, y = X[:, :6] // 20, np.where(np.arange(len(y)) % 3, y, 1 - y)
    forest = fit_forest(X[:400], y[:400], n_estimators=n_trees, seed=2, n_jobs=1)
    tables = [
        permutation_importances(model, X[400:], y[400:], NAMES, columns=["CC", "AC", "CA"], seed=3)
        for model in (forest, OnlyPredicts(forest))
    ]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["permutation"].abs().max() > 0


def test_forest_of_other_classes_is_asked_as_any_model(rows):
    X, y = rows
    forest = fit_forest(X[:400], y[:400] + 1, n_estimators=10, seed=2, n_jobs=1)
    table = permutation_importances(forest, X[400:], y[400:] + 1, NAMES, columns=["AC"], seed=3)
    assert table["permutation"].iloc[0] > 0.1


class SignOfFirst:
    """Predicts the sign of the first column and looks at nothing else."""

    def predict(self, X):
        return (X[:, 0] > 0).astype(int)


def test_permutation_of_a_known_model_takes_the_named_columns_in_their_order():
    y = np.arange(400) % 2
    X = np.column_stack([y, y]).astype(np.int32)
    before = X.copy()
    table = permutation_importances(SignOfFirst(), X, y, ["AA", "AC"], columns=["AC", "AA"], n_repeats=50, seed=0)
    assert list(table.columns) == ["kmer", "permutation", "permutation_std"]
    assert table["kmer"].tolist() == ["AC", "AA"]
    assert table.loc[0, ["permutation", "permutation_std"]].tolist() == [0, 0]
    # A shuffled fair coin agrees with itself half the time; one shuffle's deviation is 1 / (2 sqrt(399)).
    assert table.loc[1, "permutation"] == pytest.approx(0.5, abs=5 * 0.025 / 50**0.5)
    assert table.loc[1, "permutation_std"] == pytest.approx(0.025, rel=0.5)
    np.testing.assert_array_equal(X, before)


def test_permutation_is_reproducible(rows, forest):
    X, y = rows[0][400:], rows[1][400:]
    tables = [
        permutation_importances(forest, X, y, NAMES, columns=["CA"], n_repeats=3, seed=seed) for seed in (5, 5, 6)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])


def test_permutation_of_no_column_is_an_empty_table(rows, forest):
    for model in (forest, OnlyPredicts(forest)):
        table = permutation_importances(model, *rows, NAMES, columns=[], seed=0)
        assert table.shape == (0, 3)


def test_permutation_refuses_an_unknown_kmer(rows, forest):
    with pytest.raises(InputError, match="columns: found NN, expected k-mers among the 6"):
        permutation_importances(forest, *rows, NAMES, columns=["AA", "NN"], seed=0)


# Accelerated ---------------------------------------------------------------------------------------------------


def test_without_the_extra_it_is_named(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearnex.ensemble", None)
    with pytest.raises(InputError, match=r"accelerated: found no scikit-learn-intelex, expected the extra `fast`"):
        fit_forest(*rows, n_estimators=2, seed=0, accelerated=True)


@pytest.fixture(scope="module")
def quick(rows):
    pytest.importorskip("sklearnex", reason="the extra `fast` is not installed")
    X, y = rows
    return fit_forest(X[:400], y[:400], n_estimators=60, seed=1, n_jobs=1, accelerated=True)


def test_accelerated_forest_is_scikit_learns(quick, forest):
    assert type(quick) is type(forest)
    assert {type(tree) for tree in quick.estimators_} == {type(tree) for tree in forest.estimators_}
    assert quick.get_params() == forest.get_params()


def test_accelerated_forest_tells_as_much(rows, quick, forest):
    X, y = rows
    ours, theirs = (np.mean(model.predict(X[400:]) == y[400:]) for model in (quick, forest))
    assert abs(ours - theirs) < 3 * (0.1 / 200) ** 0.5
    tables = [importances(model, NAMES).set_index("kmer") for model in (quick, forest)]
    for table in tables:
        assert table.index[:2].tolist() == ["AC", "CA"]
        assert table["importance"].sum() == pytest.approx(1)
    pd.testing.assert_frame_equal(*(table.sort_index() for table in tables), atol=0.03, check_exact=False)


def test_accelerated_forest_is_fixed_by_its_seed_on_any_number_of_cores(rows, quick):
    X, y = rows
    again, other = (fit_forest(X[:400], y[:400], n_estimators=60, seed=s, accelerated=True) for s in (1, 2))
    np.testing.assert_array_equal(again.predict_proba(X), quick.predict_proba(X))
    assert (other.predict_proba(X) != quick.predict_proba(X)).any()


def test_nodes_of_accelerated_trees_add_up(quick):
    for tree in (estimator.tree_ for estimator in quick.estimators_):
        inner = tree.children_left >= 0
        left, right, weight = tree.children_left[inner], tree.children_right[inner], tree.weighted_n_node_samples
        np.testing.assert_array_equal(weight[inner], weight[left] + weight[right])
        shares = weight[left, None] * tree.value[left, 0] + weight[right, None] * tree.value[right, 0]
        np.testing.assert_allclose(tree.value[inner, 0], shares / weight[inner, None])
        np.testing.assert_allclose(tree.value.sum(axis=2), 1)


def test_accelerated_forest_is_saved_and_permuted_as_any(rows, quick, tmp_path):
    X, y = rows
    save_model(quick, tmp_path / "forest.skops")
    loaded = load_model(tmp_path / "forest.skops")
    np.testing.assert_array_equal(loaded.predict_proba(X), quick.predict_proba(X))
    tables = [permutation_importances(model, X[400:], y[400:], NAMES, columns=["AC", "CA"], seed=3)
              for model in (loaded, OnlyPredicts(quick))]  # fmt: skip
    pd.testing.assert_frame_equal(*tables)
