import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.linear import THRESHOLDS, fit_linear, scores
from neanderthal_nlp.parameters import LINEAR_MODELS as MODELS


def draw(n, n_features, *, shift, seed):
    """Poisson counts around those of a 10,000-nt window; the first 30 columns tell the label a little."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    mean = np.full((n, n_features), 9.8)
    mean[:, :30] += shift * y[:, None]
    return rng.poisson(mean).astype(np.int32), y


@pytest.fixture(scope="module")
def rows():
    return draw(1200, 60, shift=1, seed=0)


def test_models_are_the_three_of_the_article():
    assert MODELS == ("logistic_regression", "linear_svm", "naive_bayes")
    assert set(THRESHOLDS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_finds_the_signal_in_held_out_rows(name, rows):
    X, y = rows
    model = fit_linear(name, X[:800], y[:800], seed=1)
    assert np.mean((scores(model, X[800:]) > THRESHOLDS[name]) == y[800:]) > 0.6


@pytest.mark.parametrize("name", MODELS)
def test_same_rows_same_scores_from_a_memory_map(name, rows, tmp_path):
    X, y = rows
    np.save(tmp_path / "kmers.npy", X)
    mapped = np.load(tmp_path / "kmers.npy", mmap_mode="r")
    first, second = (scores(fit_linear(name, counts, y, seed=1), X) for counts in (X, mapped))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", MODELS)
def test_chosen_rows_are_learned_as_scikit_learns_pipeline_would(name, rows, tmp_path):
    X, y = rows
    np.save(tmp_path / "kmers.npy", X)
    mapped = np.load(tmp_path / "kmers.npy", mmap_mode="r")
    chosen = np.random.default_rng(3).permutation(len(X))[:700]
    model = fit_linear(name, mapped, y, rows=chosen, seed=1)
    plain = clone(model).fit(X[chosen], y[chosen])
    np.testing.assert_array_equal(scores(model, X), scores(plain, X))
    np.testing.assert_array_equal(mapped, X)


def test_rows_given_as_float_are_left_as_they_are(rows):
    X, y = rows[0].astype(np.float64), rows[1]
    before = X.copy()
    fit_linear("linear_svm", X, y, seed=1)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("name", MODELS)
def test_converges_on_as_many_kmers_as_the_article_has(name):
    X, y = draw(2000, 1024, shift=0.3, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = fit_linear(name, X, y, seed=0)
    assert scores(model, X).shape == (2000,)


@given(
    name=st.sampled_from(MODELS),
    seed=st.integers(0, 10_000),
    n=st.integers(12, 60),
    n_features=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_above_the_threshold_is_what_predict_calls_introgressed(name, seed, n, n_features):
    X, y = draw(n, n_features, shift=1, seed=seed)
    y[:2] = 0, 1
    model = fit_linear(name, X, y, seed=0)
    np.testing.assert_array_equal(scores(model, X) > THRESHOLDS[name], model.predict(X) == 1)


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svm"])
def test_scaling_is_measured_on_the_training_rows(name, rows):
    X, y = rows
    scaler = fit_linear(name, X[:300], y[:300], seed=0)[0]
    np.testing.assert_allclose(scaler.mean_, X[:300].mean(axis=0))
    np.testing.assert_allclose(scaler.scale_, X[:300].std(axis=0))


def test_logistic_regression_is_at_its_optimum(rows):
    # The gradient of |w|^2 / 2 + sum log(1 + exp(-t s)) over rows with t = 1 or -1 is zero there.
    X, y = rows
    model = fit_linear("logistic_regression", X, y, seed=0)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    w, b = model[1].coef_[0], model[1].intercept_[0]
    probability = 1 / (1 + np.exp(-(Z @ w + b)))
    np.testing.assert_allclose(scores(model, X), probability)
    assert np.abs(w + Z.T @ (probability - y)).max() < 0.1
    assert np.abs(Z.T @ (0.5 - y)).max() > 50


def test_svm_is_at_its_optimum(rows):
    # The same of |w|^2 / 2 + sum max(0, 1 - t s)^2.
    X, y = rows
    model = fit_linear("linear_svm", X, y, seed=0)
    Z, t = (X - X.mean(axis=0)) / X.std(axis=0), 2 * y - 1
    w, b = model[1].coef_[0], model[1].intercept_[0]
    decision = Z @ w + b
    np.testing.assert_allclose(scores(model, X), decision, atol=1e-9)
    assert np.abs(w - 2 * Z.T @ (t * np.maximum(0, 1 - t * decision))).max() < 0.1
    assert np.abs(2 * Z.T @ t).max() > 100


def naive_log_odds(X, y, row):
    """Multinomial naive Bayes with one pseudocount, by the book."""
    odds = math.log(sum(y) / (len(y) - sum(y)))
    for label, sign in ((1, 1), (0, -1)):
        totals = [sum(r[j] for r, t in zip(X, y, strict=True) if t == label) + 1 for j in range(len(row))]
        odds += sign * sum(n * math.log(total / sum(totals)) for n, total in zip(row, totals, strict=True))
    return odds


def test_naive_bayes_scores_are_log_odds(rows):
    X, y = rows[0][:50], rows[1][:50]
    expected = [naive_log_odds(X.tolist(), y.tolist(), row) for row in X.tolist()]
    np.testing.assert_allclose(scores(fit_linear("naive_bayes", X, y, seed=0), X), expected, rtol=1e-9, atol=1e-9)


def test_naive_bayes_ranks_windows_whose_probabilities_are_all_one():
    X = np.array([[6000, 4000], [4000, 6000], [6100, 3900], [6200, 3800]], dtype=np.int32)
    model = fit_linear("naive_bayes", X[:2], np.array([1, 0]), seed=0)
    assert (model.predict_proba(X[2:])[:, 1] == 1).all()
    low, high = scores(model, X[2:])
    assert low < high


def test_unknown_name_is_refused(rows):
    with pytest.raises(InputError, match="model: found perceptron, expected one of logistic_regression"):
        fit_linear("perceptron", *rows, seed=0)
