"""The hidden Markov model does what its equations say, learns from other chromosomes only, and helps in a chain."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import bundle_audited, bundle_published, plant
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from neanderthal_nlp.bundle import read_bundle, write_bundle
from neanderthal_nlp.cli import scan, smooth
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table, write_bed
from neanderthal_nlp.predictions import read_batches
from neanderthal_nlp.smoothing import (
    Smoother,
    cover,
    decode,
    decode_alone,
    evaluate_smoothing,
    find_segments,
    fit_smoother,
    moving_average,
    number_sequences,
    thin,
)
from neanderthal_nlp.smoothing import smooth as smooth_windows

SIZE = 100
KNOWN = Smoother(np.array([-1.0, 1.0]), 1.5, np.array([0.8, 0.2]), np.array([[0.95, 0.05], [0.2, 0.8]]), 5)


def draw_chain(n, *, seed, smoother=KNOWN):
    """States and scores of one sequence."""
    rng = np.random.default_rng(seed)
    states = np.empty(n, dtype=int)
    states[0] = rng.random() < smoother.start[1]
    for i in range(1, n):
        states[i] = rng.random() < smoother.transitions[states[i - 1], 1]
    return states, rng.normal(smoother.means[states], smoother.sd)


def draw_genome(n=600, chroms=("chr1", "chr2", "chr3"), *, seed=1):
    """Windows side by side, and regions that cover those in the introgressed state."""
    windows, regions = [], []
    for number, chrom in enumerate(chroms):
        states, scores = draw_chain(n, seed=seed + number)
        starts = np.arange(n) * SIZE
        here = pd.DataFrame({"chrom": chrom, "start": starts, "end": starts + SIZE, "score": scores})
        here["call"] = np.where(scores > 0, "introgressed", "depleted")
        windows.append(here)
        regions.append(here.loc[states == 1, ["chrom", "start", "end"]])
    return pd.concat(windows, ignore_index=True), pd.concat(regions, ignore_index=True)


def paths(smoother, scores):
    """Joint probability of the scores with each path, by enumeration: the slow and obvious way."""
    found = {}
    for path in product((0, 1), repeat=len(scores)):
        p = smoother.start[path[0]]
        for i, (state, score) in enumerate(zip(path, scores, strict=True)):
            p *= norm.pdf(score, smoother.means[state], smoother.sd)
            p *= smoother.transitions[path[i - 1], state] if i else 1
        found[path] = p
    return found


def log_likelihood(smoother, scores):
    """Of a sequence, by the forward recursion with scaling."""
    density = norm.pdf(scores[:, None], smoother.means, smoother.sd)
    ahead, total = smoother.start, 0.0
    for row in density:
        now = ahead * row
        total += np.log(now.sum())
        ahead = now / now.sum() @ smoother.transitions
    return total


probabilities = st.floats(0.02, 0.98)
smoothers = st.builds(
    lambda low, gap, sd, start, leave, back: Smoother(
        np.array([low, low + gap]), sd, np.array([1 - start, start]), np.array([[1 - leave, leave], [back, 1 - back]]),
        width=3,
    ),
    st.floats(-3, 3), st.floats(0.1, 5), st.floats(0.5, 3), probabilities, probabilities, probabilities,
)  # fmt: skip
chains = st.lists(st.floats(-6, 6), min_size=1, max_size=6)


@given(smoothers, chains)
def test_posterior_and_path_are_those_of_all_paths_enumerated(smoother, scores):
    joint = paths(smoother, scores)
    total = sum(joint.values())
    posterior, path = decode(smoother, np.array(scores), np.zeros(len(scores), int))
    expected = [sum(p for found, p in joint.items() if found[i]) / total for i in range(len(scores))]
    np.testing.assert_allclose(posterior, expected, atol=1e-9)
    assert joint[tuple(path)] == pytest.approx(max(joint.values()))


@given(smoothers, chains, chains)
def test_sequences_do_not_know_of_one_another(smoother, first, second):
    together = decode(smoother, np.array(first + second), np.repeat([3, 8], [len(first), len(second)]))
    apart = [decode(smoother, np.array(part), np.zeros(len(part), int)) for part in (first, second)]
    for found, expected in zip(together, zip(*apart, strict=True), strict=True):
        np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-12)


@given(smoothers, chains)
def test_alone_is_a_sequence_of_one(smoother, scores):
    expected = decode(smoother, np.array(scores), np.arange(len(scores)))[0]
    np.testing.assert_allclose(decode_alone(smoother, np.array(scores)), expected, atol=1e-9)


@given(smoothers, chains, st.data(), st.floats(0.01, 50))
def test_higher_score_never_speaks_against(smoother, scores, data, more):
    place = data.draw(st.integers(0, len(scores) - 1))
    higher = np.array(scores)
    higher[place] += more
    zeros = np.zeros(len(scores), int)
    assert decode(smoother, higher, zeros)[0][place] >= decode(smoother, np.array(scores), zeros)[0][place] - 1e-9


def test_known_parameters_are_recovered():
    states, scores = draw_chain(50_000, seed=1)
    found = fit_smoother(scores, states, np.zeros(len(scores), int))
    np.testing.assert_allclose(found.means, KNOWN.means, atol=0.05)
    np.testing.assert_allclose(found.transitions, KNOWN.transitions, atol=0.01)
    np.testing.assert_allclose(found.start, [0.8, 0.2], atol=0.02)
    assert found.sd == pytest.approx(KNOWN.sd, abs=0.02)
    assert found.width > 1  # neighbours do tell


def test_transitions_are_counted_within_sequences():
    labels = np.array([0, 0, 1, 1, 0, 0])
    found = fit_smoother(labels.astype(float), labels, np.array([0, 0, 0, 0, 1, 1]))
    np.testing.assert_allclose(found.transitions, [[3 / 5, 2 / 5], [1 / 3, 2 / 3]])  # 2, 1 and 0, 1 seen, each and one


def test_smoothing_knows_more_than_scores_and_than_their_average():
    states, scores = draw_chain(20_000, seed=7)
    zeros = np.zeros(len(scores), int)
    posterior, path = decode(KNOWN, scores, zeros)
    areas = [roc_auc_score(states, values) for values in (scores, moving_average(scores, zeros, 5), posterior)]
    assert areas[0] + 0.05 < areas[1] < areas[2]
    assert (path == states).mean() > ((decode_alone(KNOWN, scores) > 0.5) == states).mean() + 0.03
    for low, high in ((0.1, 0.3), (0.7, 0.9)):  # a posterior is a probability
        here = (posterior > low) & (posterior < high)
        assert states[here].mean() == pytest.approx(posterior[here].mean(), abs=0.05)


def test_baum_welch_finds_what_fits_the_scores_better():
    states, scores = draw_chain(3_000, seed=5)
    wrong = np.where(np.random.default_rng(1).random(3_000) < 0.2, 1 - states, states)  # labels leave too often
    zeros = np.zeros(len(scores), int)
    start, found = (fit_smoother(scores, wrong, zeros, n_iter=n) for n in (0, 20))
    assert log_likelihood(found, scores) > log_likelihood(start, scores) + 10
    np.testing.assert_allclose(found.transitions, KNOWN.transitions, atol=0.1)


def test_no_chain_no_gain():
    rng = np.random.default_rng(3)
    states = (rng.random(20_000) < 0.3).astype(int)
    scores, zeros = rng.normal(KNOWN.means[states], KNOWN.sd), np.zeros(20_000, int)
    found = fit_smoother(scores, states, zeros)
    assert found.width == 1
    posterior = decode(found, scores, zeros)[0]
    np.testing.assert_allclose(posterior, decode_alone(found, scores), atol=0.05)


def test_scores_that_are_all_alike_leave_the_share_of_the_class():
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    found = fit_smoother(np.ones(8), labels, np.zeros(8, int))
    assert decode_alone(found, np.ones(3)) == pytest.approx([3 / 8] * 3)
    assert np.isfinite(decode(found, np.ones(3), np.zeros(3, int))[0]).all()


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
def test_one_state_only_is_refused(labels, refused):
    with refused("windows with a score", "two or more of each"):
        fit_smoother(np.arange(4.0), np.array(labels), np.zeros(4, int))


def test_moving_average_stays_in_its_sequence():
    found = moving_average(np.array([1.0, 2, 6, 10, 20]), np.array([0, 0, 0, 4, 4]), 3)
    np.testing.assert_allclose(found, [1.5, 3, 4, 15, 15])


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=30))
def test_thinned_windows_share_nothing_and_leave_out_no_more_than_need_be(steps):
    starts = np.cumsum([step for step, _ in steps])
    windows = pd.DataFrame({"chrom": "c", "start": starts, "end": starts + [length for _, length in steps]})
    kept = thin(windows)
    assert (kept["start"].to_numpy()[1:] >= kept["end"].to_numpy()[:-1]).all()
    for row in windows.itertuples():
        before = kept[kept["start"] <= row.start].iloc[-1]
        assert before["start"] == row.start or before["end"] > row.start


def test_thinning_starts_anew_on_each_chromosome():
    windows = pd.DataFrame({"chrom": list("aab"), "start": [0, 50, 60], "end": [100, 150, 160], "score": [1.0, 2, 3]})
    assert thin(windows)["score"].tolist() == [1, 3]
    assert thin(windows.iloc[:0]).empty


def test_windows_out_of_order_are_refused(refused):
    windows = pd.DataFrame({"chrom": list("aab"), "start": [50, 0, 0], "end": [150, 100, 100]})
    with refused("a:0-100 after a:50-150", "starts to rise"):
        thin(windows)
    with refused("a chromosome in two places"):
        thin(windows.iloc[[1, 2, 0]])


def test_sequences_end_at_gaps_of_every_kind():
    rows = [("a", 0, 1), ("a", 10, 1), ("a", 20, np.nan), ("a", 30, np.nan), ("a", 40, 1), ("a", 60, 1), ("a", 70, 1),
            ("b", 80, 1), ("b", 90, 1)]  # fmt: skip
    windows = pd.DataFrame(rows, columns=["chrom", "start", "score"])
    assert number_sequences(windows).tolist() == [0, 0, -1, -1, 1, 2, 2, 3, 3]
    assert number_sequences(windows.assign(score=np.nan)).tolist() == [-1] * 9
    assert number_sequences(windows.iloc[[0, 7]]).tolist() == [0, 1]  # no two windows on a chromosome
    apart = pd.DataFrame({"chrom": "a", "start": [0, 25, 50, 75], "score": 1.0})  # a step beyond the windows' length
    assert number_sequences(apart).tolist() == [0, 0, 0, 0]


intervals = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=8)


@settings(max_examples=25)
@given(intervals, intervals)
def test_cover_counts_each_nucleotide_once(windows, regions):
    windows, regions = (
        pd.DataFrame([(c, s, s + n) for c, s, n in rows], columns=["chrom", "start", "end"])
        for rows in (windows, regions)
    )
    inside = {(row.chrom, place) for row in regions.itertuples() for place in range(row.start, row.end)}
    expected = [
        sum((row.chrom, place) in inside for place in range(row.start, row.end)) for row in windows.itertuples()
    ]
    assert cover(windows, regions).tolist() == expected


def test_a_chromosome_teaches_itself_nothing():
    windows, regions = draw_genome()
    held_out = ["chr1", "chr2"]
    first, learnt = smooth_windows(windows, regions, held_out)
    without = regions[regions["chrom"] != "chr1"]  # the truth of chr1 is turned to nothing
    second, again = smooth_windows(windows, without, ["chr1", "chr2", "chr3"])
    assert set(learnt) == {"chr1", "chr2", ""}
    here = (windows["chrom"] == "chr1").to_numpy()
    expected, _ = smooth_windows(windows, regions, ["chr1", "chr2", "chr3"])
    columns = ["moving_average", "alone", "posterior", "viterbi"]
    pd.testing.assert_frame_equal(second.loc[here, columns], expected.loc[here, columns])
    assert (second.loc[here, "covered"] == 0).all()
    assert again["chr2"].start[1] < learnt[""].start[1]  # others do learn from it
    chr3 = (windows["chrom"] == "chr3").to_numpy()
    doubled = windows.assign(score=np.where(chr3, 2, 1) * windows["score"])  # chr3 was trained on: it teaches nobody
    unheard, _ = smooth_windows(doubled, regions, held_out)
    pd.testing.assert_frame_equal(unheard[~chr3], first[~chr3])


def test_windows_without_a_score_are_left_empty_and_part_their_neighbours():
    windows, regions = draw_genome()
    missing = windows.index[(windows["chrom"] == "chr1")][100:103]
    windows.loc[missing, "score"] = np.nan
    table, learnt = smooth_windows(windows, regions, ["chr1", "chr2", "chr3"])
    assert table.loc[missing, ["moving_average", "alone", "posterior"]].isna().all(axis=None)
    assert table.loc[missing, "viterbi"].tolist() == [""] * 3
    assert table.drop(missing)["posterior"].between(0, 1).all()
    for part in (slice(0, 100), slice(103, 600)):
        scores = windows["score"].to_numpy()[part]
        expected = decode(learnt["chr1"], scores, np.zeros(len(scores), int))[0]
        np.testing.assert_allclose(table["posterior"].to_numpy()[part], expected)


def test_what_cannot_be_learnt_from_is_refused(refused):
    windows, regions = draw_genome()
    with refused("found 1 held-out chromosomes", "two or more"):
        smooth_windows(windows, regions, ["chr1", "chr9"])
    with refused("chr2: found 0 introgressed"):
        smooth_windows(windows, regions[regions["chrom"] == "chr1"], ["chr1", "chr2"])


def test_segments_merge_what_touches():
    table = pd.DataFrame(
        {"chrom": list("aaaaab"), "start": [0, 10, 20, 30, 45, 55], "end": [10, 20, 30, 40, 55, 65],
         "posterior": [0.6, 0.8, 0.5, 0.9, 0.7, np.nan]}
    )  # fmt: skip
    found = find_segments(table)
    assert found[["chrom", "start", "end"]].to_numpy().tolist() == [["a", 0, 20], ["a", 30, 40], ["a", 45, 55]]
    assert found["posterior"].tolist() == pytest.approx([0.7, 0.9, 0.7])
    assert len(find_segments(table, threshold=0.95)) == 0
    assert list(find_segments(table, threshold=0.95).columns) == ["chrom", "start", "end", "posterior"]


def test_evaluation_counts_nucleotides_as_an_obvious_loop_does():
    windows, regions = draw_genome(300)
    regions = regions.assign(end=regions["end"] - 30)  # no window is covered as a whole
    held_out = ["chr1", "chr2"]
    table, _ = smooth_windows(windows, regions, held_out)
    found = evaluate_smoothing(table, held_out, block=2_000, n_bootstrap=200, rng=1).set_index(["method", "metric"])
    hit = called = there = 0
    for row in table[table["chrom"] != "chr3"].itertuples():
        there += row.covered
        if row.posterior > 0.5:
            hit, called = hit + row.covered, called + SIZE
    assert found["value"]["posterior", "precision_nt"] == pytest.approx(hit / called)
    assert found["value"]["posterior", "recall_nt"] == pytest.approx(hit / there)
    here = table[table["chrom"] != "chr3"]
    for method in ("score", "moving_average", "posterior"):
        area = roc_auc_score(here["covered"] >= SIZE / 2, here[method])
        assert found["value"][method, "auroc"] == pytest.approx(area)
    assert (found["low"] < found["value"]).all()
    assert (found["value"] < found["high"]).all()
    assert found["value"]["posterior", "auroc"] > found["value"]["score", "auroc"] + 0.03
    assert found["value"]["posterior", "brier"] < found["value"]["alone", "brier"]
    segments = find_segments(here)
    assert (segments["end"] - segments["start"]).sum() == called


def test_one_block_has_no_interval_and_no_call_no_precision():
    windows, regions = draw_genome(100)
    table, _ = smooth_windows(windows.assign(call="depleted"), regions, ["chr1", "chr2"])
    found = evaluate_smoothing(table, ["chr1"], block=10**6, n_bootstrap=50, rng=1).set_index(["method", "metric"])
    assert found[["low", "high"]].isna().all(axis=None)
    assert np.isnan(found["value"]["call", "precision_nt"])
    assert found["value"]["call", "recall_nt"] == 0


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A folder with bundles, one of them with two chromosomes held out, a scan by it, and regions."""
    folder = tmp_path_factory.mktemp("scanned")
    planted = plant(folder, n_chroms=10, n_windows=40)
    write_bundle(bundle_audited(planted, cache=folder), folder / "audited")
    write_bundle(bundle_published(planted), folder / "as_published")
    regions = planted.windows.loc[planted.windows["label"] == 1, ["chrom", "start", "end"]]
    write_bed(regions, folder / "introgressed.bed")
    words = ["--genome", planted.genome, "--bundle", folder / "audited", "--step", 1_000, "--cache", folder,
             "--output", folder / "scan"]  # fmt: skip
    assert CliRunner().invoke(scan.app, [*map(str, words)]).exit_code == 0
    return folder


def call_smooth(folder, output, *, scan="scan/scan.tsv", bundle="audited", words=()):
    return CliRunner().invoke(smooth.app, [
        "--scan", str(folder / scan), "--bundle", str(folder / bundle), "--output", str(output),
        "--introgressed", str(folder / "introgressed.bed"), *words,
    ])  # fmt: skip


def test_command_writes_what_it_says(scanned, tmp_path):
    result = call_smooth(scanned, tmp_path / "one")
    assert result.exit_code == 0, result.output
    table = pd.concat(read_batches(tmp_path / "one" / "smooth.tsv"))
    scan = pd.concat(read_batches(scanned / "scan" / "scan.tsv"))
    assert list(table.columns) == [*scan.columns, "covered", "moving_average", "alone", "posterior", "viterbi"]
    assert len(table) < len(scan)  # windows that overlap are left out
    assert set(np.diff(table.loc[table["chrom"] == "chr1", "chrom_start"])) == {2_000}
    measured = read_table(tmp_path / "one" / "smoothing.tsv")
    assert set(measured["method"]) == {"score", "moving_average", "alone", "posterior", "call", "viterbi"}
    about = json.loads((tmp_path / "one" / "smoothing.json").read_text())
    assert set(about["smoothers"]) == {*read_bundle(scanned / "audited").chromosomes("test"), "other chromosomes"}
    assert about["windows"] + about["overlapping_left_out"] == len(scan)
    segments = pd.read_csv(tmp_path / "one" / "segments.bed", sep="\t", names=["chrom", "start", "end", "posterior"])
    assert len(segments)
    assert (segments["posterior"] > 0.5).all()
    assert call_smooth(scanned, tmp_path / "two", words=["--n-iter", "2"]).exit_code == 0
    assert call_smooth(scanned, tmp_path / "three").exit_code == 0
    for name in ("smooth.tsv", "segments.bed", "smoothing.tsv"):
        contents = [(tmp_path / run / name).read_bytes() for run in ("one", "two", "three")]
        assert contents[0] == contents[2]
        assert contents[0] != contents[1]  # rounds of Baum-Welch do something


def test_what_cannot_be_smoothed_may_be_left_out(scanned, tmp_path):
    result = call_smooth(scanned, tmp_path, bundle="as_published", words=["--optional"])
    assert result.exit_code == 0, result.output
    assert "not done: " in result.output
    assert "found 0 held-out chromosomes" in json.loads((tmp_path / "smoothing.json").read_text())["not_done"]
    header = (scanned / "scan/scan.tsv").read_text().splitlines()[0]
    assert (tmp_path / "smooth.tsv").read_text().startswith(f"{header}\tcovered\t")
    assert (tmp_path / "smoothing.tsv").read_text() == "method\tmetric\tvalue\tlow\thigh\n"
    assert (tmp_path / "segments.bed").stat().st_size <= 1
    assert json.loads((tmp_path / "smoothing.json").read_text())["held_out"] == []


def test_command_refuses_what_it_cannot_smooth(scanned, tmp_path):
    def message(**options):
        result = call_smooth(scanned, tmp_path / "out", **options)
        assert isinstance(result.exception, InputError)
        assert not (tmp_path / "out").exists()
        return str(result.exception)

    assert "found 0 held-out chromosomes" in message(bundle="as_published")
    table = read_table(scanned / "scan" / "scan.tsv")
    for name, frame in {"other": table.assign(seen="trained on"), "no_score": table.drop(columns="score"),
                        "back": table.iloc[::-1]}.items():  # fmt: skip
        frame.to_csv(scanned / f"{name}.tsv", sep="\t", index=False)
    assert "another bundle" in message(scan="other.tsv")
    assert "no column score" in message(scan="no_score.tsv")
    assert "starts to rise" in (found := message(scan="back.tsv"))
    assert found.startswith(str(scanned / "back.tsv"))


@pytest.mark.parametrize("value", ["inf", "-inf", "1e309", "1e300", "-1.1e9"])
def test_scores_that_no_model_gives_are_refused(scanned, tmp_path, refused, value):
    rows = [line.split("\t") for line in (scanned / "scan/scan.tsv").read_text().splitlines()]
    rows[3][rows[0].index("score")] = value
    (tmp_path / "scan.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    place = "{}:{}-{}".format(*rows[3][3:6])
    with refused(f"{tmp_path / 'scan.tsv'}: {place}: found score {float(value):g}, expected a number between"):
        raise call_smooth(scanned, tmp_path / "out", scan=tmp_path / "scan.tsv", words=["--optional"]).exception
    assert not (tmp_path / "out").exists()
