"""Probabilities that mean what they say, and intervals that say how sure."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from neanderthal_nlp.calibration import MARGIN, Calibration, calibrate, fit_calibration
from neanderthal_nlp.errors import InputError


def made(n=4000, slope=2.0, intercept=-0.5, seed=1):
    """Scores whose log-odds are known, and labels drawn by them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(3, 2, n)
    return scores, (rng.random(n) < expit(slope * (scores - 3) + intercept)).astype(int)


@pytest.fixture(scope="module")
def fitted():
    scores, labels = made()
    noise = np.random.default_rng(2).normal(0, 4, len(scores))
    return fit_calibration({1_000: scores + noise, 10_000: scores}, labels, groups=np.arange(len(labels)) // 4,
                           n_resamples=100, rng=1)  # fmt: skip


def test_known_curve_is_recovered(fitted):
    assert fitted.slopes[1, 0] == pytest.approx(2.0, abs=0.2)
    assert fitted.intercepts[1, 0] == pytest.approx(-0.5 - 2.0 * 3, abs=0.7)
    assert fitted.slopes[0, 0] < 0.5 * fitted.slopes[1, 0]  # noise makes a score worth less


def test_probabilities_are_those_of_new_windows(fitted):
    scores, labels = made(20_000, seed=5)
    found = calibrate(fitted, scores, np.full(len(scores), 10_000), prior=labels.mean())
    for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):
        here = (found.probability > low) & (found.probability < high)
        assert here.sum() > 500
        assert labels[here].mean() == pytest.approx(found.probability[here].mean(), abs=0.04)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_of_classes_does_not_matter(share):
    rng = np.random.default_rng(3)
    labels = (rng.random(5_000) < share).astype(int)
    scores = rng.normal(2.0 * labels - 1.0, 2.0)
    fitted = fit_calibration({1_000: scores}, labels, groups=np.arange(len(labels)) // 5, n_resamples=50, rng=1)
    for prior in (0.5, 0.02):
        found = calibrate(fitted, np.zeros(1), np.full(1, 1_000), prior=prior)
        assert found.low[0] < prior < found.high[0]


def test_margins_widen_the_interval_and_no_more(fitted):
    points, lengths = np.linspace(-2, 8, 50), np.full(50, 10_000)
    plain, wider = (calibrate(fitted, points, lengths, margins=margin) for margin in (0.0, 0.5))
    np.testing.assert_array_equal(plain.probability, wider.probability)
    assert (wider.low < plain.low).all()
    assert (wider.high > plain.high).all()
    assert np.isnan(calibrate(fitted, points, lengths, margins=100.0).probability).all()  # none of the models knows
    alone = fitted._replace(slopes=fitted.slopes[:, :1], intercepts=fitted.intercepts[:, :1])
    found = calibrate(alone, points, lengths, margins=0.5)
    np.testing.assert_allclose(found.high, calibrate(alone, points + 0.5, lengths).probability)


def test_interval_holds_the_probability_and_narrows_with_windows(fitted):
    scores, labels = made()
    points = np.linspace(-2, 8, 50)
    found = calibrate(fitted, points, np.full(50, 10_000))
    assert (found.low <= found.probability + 1e-9).all()
    assert (found.probability <= found.high + 1e-9).all()
    fewer = fit_calibration({10_000: scores[:400]}, labels[:400], groups=np.arange(400) // 4, n_resamples=100, rng=1)
    wide = calibrate(fewer, points, np.full(50, 10_000))
    assert (wide.high - wide.low).mean() > 2 * (found.high - found.low).mean()


@given(st.floats(100, 1e5), st.floats(-2, 8))
def test_lengths_between_lie_between(fitted, length, score):
    ends = [calibrate(fitted, np.array([score]), np.array([at])) for at in (1_000, 10_000)]
    here = calibrate(fitted, np.array([score]), np.array([length]))
    low, high = sorted(end.probability[0] for end in ends)
    assert low - 1e-9 <= here.probability[0] <= high + 1e-9
    if length <= 1_000:
        assert here.probability[0] == pytest.approx(ends[0].probability[0])
    if length >= 10_000:
        assert here.probability[0] == pytest.approx(ends[1].probability[0])


@given(st.floats(0.001, 0.999), st.floats(-2, 8))
def test_a_prior_multiplies_the_odds(fitted, prior, score):
    half, other = (calibrate(fitted, np.array([score]), np.array([5_000]), prior=share) for share in (0.5, prior))
    for before, after in zip(half, other, strict=True):
        assert after[0] / (1 - after[0]) == pytest.approx(before[0] / (1 - before[0]) * prior / (1 - prior), rel=1e-6)


def test_scores_beyond_all_that_were_seen_get_no_probability(fitted):
    at = {length: row for row, length in enumerate(fitted.lengths)}[10_000]
    ends = np.array([fitted.lowest[at], fitted.highest[at]])
    far = MARGIN * np.diff(ends) * [-1.001, 1.001]
    inside, near, outside = (calibrate(fitted, ends + share * far, np.full(2, 10_000)) for share in (0, 0.99, 1))
    assert all(np.isfinite(part).all() for part in inside)
    np.testing.assert_array_equal(near, inside)
    assert all(np.isnan(part).all() for part in outside)
    assert np.isfinite(calibrate(fitted, ends + far, np.full(2, 1_000)).probability).all()  # wider there


def test_many_scores_are_calibrated_as_one(fitted):
    scores = np.linspace(-3, 9, 40_000)
    lengths = np.geomspace(500, 20_000, 40_000)
    found = calibrate(fitted, scores, lengths)
    for row in (0, 16_383, 16_384, 39_999):
        one = calibrate(fitted, scores[row : row + 1], lengths[row : row + 1])
        assert [part[row] for part in found] == [part[0] for part in one]


def test_calibration_survives_json(fitted):
    again = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))
    for ours, theirs in zip(fitted, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slopes": None}, "found shapes"),
        ({"slopes": [["a"]]}, "expected numbers"),
        ({"slopes": [[1.0]]}, "found shapes"),
        ({"lowest": [0.0]}, "found shapes"),
        ({"lengths": [10.0, 5.0]}, "ascending"),
        ({"intercepts": [[1.0, float("nan")], [1.0, 1.0]]}, "finite"),
    ],
)
def test_damaged_calibration_is_refused(change, said):
    whole = {
        "lengths": [5.0, 10.0],
        "lowest": [0.0, 0.0],
        "highest": [1.0, 1.0],
        "slopes": [[1.0, 1.0], [1.0, 1.0]],
        "intercepts": [[0.0, 0.0], [0.0, 0.0]],
    }
    Calibration.from_dict(whole)
    with pytest.raises(InputError, match=said):
        Calibration.from_dict(whole | change)


def test_calibration_needs_two_classes_clusters_and_scores():
    scores, labels = made(100)
    for groups, values, truth, said in (
        (np.arange(100), scores, np.ones(100, int), "both classes"),
        (np.zeros(100), scores, labels, "two or more clusters"),
        (np.arange(100), np.ones(100), labels, "all scores are the same"),
    ):
        with pytest.raises(InputError, match=said):
            fit_calibration({10: values}, truth, groups=groups, n_resamples=2, rng=1)
