import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.inspection import permutation_importance

from neanderthal_nlp import parameters
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.forest import fit_forest, importances, permutation_importances

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


def test_permutation_refuses_an_unknown_kmer(rows, forest):
    with pytest.raises(InputError, match="columns: found NN, expected k-mers among the 6"):
        permutation_importances(forest, *rows, NAMES, columns=["AA", "NN"], seed=0)
