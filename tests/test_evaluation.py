"""Metrics: scikit-learn is the reference, resampling row by row the oracle of the intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics

from neanderthal_nlp import evaluation
from neanderthal_nlp.evaluation import evaluate

METRICS = ["accuracy", "balanced_accuracy", "auroc", "auprc", "mcc", "brier", "sensitivity", "specificity",
           "tn", "fp", "fn", "tp"]  # fmt: skip


def sklearn_metrics(y_true, y_score, threshold):
    """The metrics that scikit-learn gives, NaN where a class is absent."""
    called = (y_score > threshold).astype(int)
    tn, fp, fn, tp = metrics.confusion_matrix(y_true, called, labels=[0, 1]).ravel()
    both = len(set(y_true)) == 2
    mixed = both and len(set(called)) == 2  # scikit-learn gives 0 to a correlation that is undefined
    possible = ((y_score >= 0) & (y_score <= 1)).all()
    return {
        "accuracy": metrics.accuracy_score(y_true, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_true, called) if both else np.nan,
        "auroc": metrics.roc_auc_score(y_true, y_score) if both else np.nan,
        "auprc": metrics.average_precision_score(y_true, y_score) if np.any(y_true == 1) else np.nan,
        "mcc": metrics.matthews_corrcoef(y_true, called) if mixed else np.nan,
        "brier": np.mean((y_score - y_true) ** 2) if possible else np.nan,
        "sensitivity": metrics.recall_score(y_true, called) if np.any(y_true == 1) else np.nan,
        "specificity": metrics.recall_score(y_true, called, pos_label=0) if np.any(y_true == 0) else np.nan,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }


def simulate(rng, n, *, shift=1.0):
    """Labels and normal scores of two classes that are `shift` apart; half way lies the best threshold."""
    y_true = rng.integers(0, 2, n)
    return y_true, rng.normal(size=n) + shift * y_true


def simulate_probabilities(rng, n):
    y_true, y_score = simulate(rng, n)
    return y_true, special.expit(y_score - 0.5)


# Metrics ------------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)),
        min_size=1,
        max_size=40,
    ),
    threshold=st.sampled_from([0.5, 0.25, 0.0, 1.0]),
)
def test_metrics_equal_scikit_learn(rows, threshold):
    y_true, y_score = map(np.array, zip(*rows, strict=True))
    result = evaluate(y_true, y_score, threshold=threshold, n_bootstrap=10, rng=0)
    wanted = sklearn_metrics(y_true, y_score, threshold)
    for name in METRICS:
        assert getattr(result, name).value == pytest.approx(wanted[name], nan_ok=True)
    called = y_score > threshold
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(y_true, called, labels=[0, 1]))
    assert result.n_test == len(rows)


INFINITE = [-np.inf, -np.inf, 0, 0, np.inf, np.inf]


@pytest.mark.parametrize("scores", [[3.0] * 6, [0, 1, 2, 3, 4, 5], INFINITE])
@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]])
def test_auroc_counts_ties_one_half(labels, scores):
    value = evaluate(np.array(labels), np.array(scores), n_bootstrap=0, rng=0).auroc.value
    assert value == pytest.approx(metrics.roc_auc_score(labels, stats.rankdata(scores)))


def test_auroc_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 2, 200), rng.integers(0, 6, 200) / 5
    shuffled = rng.permutation(200)
    first, second = (evaluate(y_true[i], y_score[i], n_bootstrap=0, rng=0) for i in (np.arange(200), shuffled))
    assert [getattr(first, name).value for name in METRICS] == [getattr(second, name).value for name in METRICS]


def test_a_score_at_the_threshold_is_not_called():
    # As a forest whose trees are divided evenly predicts the first class.
    result = evaluate(np.array([1, 0, 1]), np.array([0.5, 0.5, 0.50001]), n_bootstrap=0, rng=0)
    np.testing.assert_array_equal(result.confusion, [[1, 0], [1, 1]])


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_nan_and_no_warning(label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(np.full(9, label), np.linspace(0, 1, 9), n_bootstrap=30, rng=0)
    for name in ("auroc", "balanced_accuracy", "sensitivity" if label == 0 else "specificity"):
        assert np.isnan(getattr(result, name)).all()
    assert np.isfinite(result.accuracy).all()
    assert result.accuracy.value == pytest.approx(5 / 9 if label == 0 else 4 / 9)


def test_brier_takes_probabilities_only(refused):
    y_true, margins = np.array([0, 1, 1, 0]), np.array([-2.0, 3.0, 0.5, 0.1])
    assert np.isnan(evaluate(y_true, margins, threshold=0, n_bootstrap=5, rng=0).brier).all()
    given = evaluate(y_true, margins, y_probability=special.expit(margins), threshold=0, n_bootstrap=0, rng=0)
    assert given.brier.value == pytest.approx(metrics.brier_score_loss(y_true, special.expit(margins)))
    for wrong in (margins, [0.5] * 3):
        with pytest.raises(ValueError, match="from 0 to 1"):
            evaluate(y_true, margins, y_probability=np.array(wrong), rng=0)


def test_to_frame_has_a_row_a_metric():
    rng = np.random.default_rng(1)
    result = evaluate(*simulate(rng, 50), rng=rng, n_bootstrap=20)
    frame = result.to_frame()
    assert list(frame.columns) == ["metric", "value", "low", "high"]
    assert frame["metric"].tolist() == [*METRICS, "n_test"]
    assert tuple(frame.loc[2, ["value", "low", "high"]]) == result.auroc
    last = frame.iloc[-1]
    assert last["value"] == 50
    assert np.isnan([last["low"], last["high"]]).all()


@pytest.mark.parametrize(
    ("y_true", "y_score", "groups"),
    [
        ([], [], None),
        ([0, 1], [0.1], None),
        ([0, 1], [0.1, 0.2], [1]),
        ([0, 2], [0.1, 0.2], None),
        ([0, 0.5], [0.1, 0.2], None),
        ([0, np.nan], [0.1, 0.2], None),
        ([0, 1], [0.1, np.nan], None),
        pytest.param([0, 1, 1], [0.1, 0.2, 0.3], [1.0, np.nan, 1.0]),
    ],
)
def test_evaluate_refuses(y_true, y_score, groups):
    groups = None if groups is None else np.array(groups)
    with pytest.raises(ValueError, match="expected"):
        evaluate(np.array(y_true), np.array(y_score), groups=groups, rng=0)


@pytest.mark.parametrize("n_bootstrap", [0, 10])
def test_a_column_of_scores_is_refused_or_read_as_one_score_a_row(n_bootstrap):
    y_true, y_score = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7])
    flat = evaluate(y_true, y_score, n_bootstrap=n_bootstrap, rng=0)
    try:
        outcome = evaluate(y_true, y_score[:, np.newaxis], n_bootstrap=n_bootstrap, rng=0)
    except ValueError as error:
        outcome = str(error)
    assert outcome == flat or "expected" in str(outcome)


# Intervals ----------------------------------------------------------------------------------------------------


def resampled(y_true, y_score, groups, n, seed, threshold=0.5):
    """Quantiles of the metrics of resamples that are written out row by row."""
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(groups))
    drawn = rng.multinomial(len(names), [1 / len(names)] * len(names), size=n)
    tables = []
    for times in drawn:
        rows = [i for name, t in zip(names, times, strict=True) for i in np.flatnonzero(groups == name).repeat(t)]
        tables.append(sklearn_metrics(y_true[rows], y_score[rows], threshold))
    return pd.DataFrame(tables).quantile([0.025, 0.975])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("names", [None, ["a", "b", "c", "d", "e"], [7, 5, 900]])
def test_group_weights_equal_resampling_the_rows(names):
    rng = np.random.default_rng(4)
    y_true = rng.integers(0, 2, 40)
    y_score = np.round(np.clip(0.3 * y_true + rng.random(40), 0, 1), 1)  # with ties
    groups = None if names is None else rng.choice(names, 40)
    result = evaluate(y_true, y_score, groups=groups, n_bootstrap=60, rng=11)
    wanted = resampled(y_true, y_score, np.arange(40) if groups is None else groups, 60, 11)
    for name in METRICS:
        interval = getattr(result, name)
        assert (interval.low, interval.high) == pytest.approx(tuple(wanted[name]))


def test_intervals_do_not_depend_on_the_size_of_a_piece(monkeypatch):
    y_true, y_score = simulate_probabilities(np.random.default_rng(0), 60)
    whole = evaluate(y_true, y_score, n_bootstrap=50, rng=3)
    monkeypatch.setattr(evaluation, "_CHUNK", 7 * 60)
    assert evaluate(y_true, y_score, n_bootstrap=50, rng=3) == whole


def test_intervals_are_reproducible_by_seed_and_hold_their_value():
    y_true, y_score = simulate_probabilities(np.random.default_rng(0), 150)
    first = evaluate(y_true, y_score, rng=1)
    assert evaluate(y_true, y_score, rng=np.random.default_rng(1)) == first
    assert evaluate(y_true, y_score, rng=2) != first
    for name in METRICS:
        interval = getattr(first, name)
        assert interval.low < interval.value < interval.high


def test_without_resamples_there_is_no_interval():
    result = evaluate(np.array([0, 1]), np.array([0.1, 0.9]), n_bootstrap=0, rng=0)
    assert result.accuracy.value == 1
    assert np.isnan(result.accuracy[1:]).all()


@pytest.mark.parametrize(
    ("model", "name", "value", "expected"),
    [("forest", "score", np.inf, "a probability from 0 to 1"), ("forest", "score", np.nan, "a probability from 0 to 1"),
     ("forest", "score", 1.5, "a probability from 0 to 1"), ("forest", "score", "x", "a probability from 0 to 1"),
     ("linear_svm", "score", np.nan, "a number"), ("naive_bayes", "score", np.nan, "a number"),
     ("forest", "label", 2, "0 or 1")],
)  # fmt: skip
def test_predictions_that_are_none_are_refused(refused, model, name, value, expected):
    table = evaluation.tabulate_scores(np.array([0, 7]), np.array([0, 1]), {model: (np.array([0.2, 0.9]), 0.5)})
    windows = pd.DataFrame({"cluster": range(8)})
    assert evaluation.evaluate_scores(table, windows, n_bootstrap=2, seed=1)[model].accuracy.value == 1
    table[name] = table[name].astype(object).where(table.index == 0, value)
    with refused(f"predictions of {model}: window 7: found {name} {value}, expected {expected}"):
        evaluation.evaluate_scores(table, windows, n_bootstrap=2, seed=1)


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(12)
    shift, n_runs = 1.2, 250
    right = stats.norm.cdf(shift / 2)
    truth = {"accuracy": right, "sensitivity": right, "auroc": stats.norm.cdf(shift / np.sqrt(2))}
    covered = dict.fromkeys(truth, 0)
    for _ in range(n_runs):
        y_true, y_score = simulate(rng, 120, shift=shift)
        result = evaluate(y_true, y_score, threshold=shift / 2, n_bootstrap=200, rng=rng)
        for name, value in truth.items():
            low, high = getattr(result, name)[1:]
            covered[name] += low <= value <= high
    # 95 % is meant; percentile intervals of 120 windows fall a little short of it.
    assert all(0.89 * n_runs < n < 0.99 * n_runs for n in covered.values()), covered


def test_grouped_intervals_cover_the_truth_where_windows_are_copies():
    rng = np.random.default_rng(13)
    covered = {"alone": 0, "grouped": 0}
    for _ in range(100):
        y_true, y_score = (np.repeat(values, 6) for values in simulate(rng, 80))
        groups = np.repeat(np.arange(80), 6)
        for name, these in (("alone", None), ("grouped", groups)):
            low, high = evaluate(y_true, y_score, groups=these, threshold=0.5, n_bootstrap=150, rng=rng).accuracy[1:]
            covered[name] += low <= stats.norm.cdf(0.5) <= high
    assert covered["grouped"] >= 87
    assert covered["alone"] <= 70


def test_copies_of_windows_change_nothing_where_they_are_groups():
    y_true, y_score = simulate_probabilities(np.random.default_rng(2), 90)
    once = evaluate(y_true, y_score, n_bootstrap=100, rng=6)
    copies = np.tile(np.arange(90), 5)
    grouped = evaluate(y_true[copies], y_score[copies], groups=copies, n_bootstrap=100, rng=6)
    alone = evaluate(y_true[copies], y_score[copies], n_bootstrap=100, rng=6)
    for name in METRICS[:8]:
        assert getattr(grouped, name) == pytest.approx(getattr(once, name))
        width, narrow = (result[2] - result[1] for result in (getattr(grouped, name), getattr(alone, name)))
        assert width > 1.7 * narrow
