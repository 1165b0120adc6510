"""The leak ladder: each control on data where its answer is known, and the dials of the demo."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from neanderthal_nlp import intervals, kmers, sequences, splits
from neanderthal_nlp.audit import ladder, matching
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.evaluation import evaluate_scores
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.parameters import CONTROLS, GROUPS, MODELS, PROTOCOLS, RUNGS

RNG = np.random.default_rng(8)
TEXTS = ["".join(RNG.choice(list("ACGT"), 300, p=p)) for p in ([0.3, 0.2, 0.2, 0.3], [0.1, 0.4, 0.4, 0.1]) * 20]


def test_gc_is_that_of_the_words():
    counts = kmers.count_kmers(TEXTS, 5)
    expected = [np.mean([letter in "GC" for word in kmers.get_kmers(text, 5) for letter in word]) for text in TEXTS]
    np.testing.assert_allclose(ladder.gc_share(counts)[:, 0], expected)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_dinucleotides_are_the_first_two_letters_of_the_words(k):
    found = ladder.dinucleotide_shares(kmers.count_kmers(TEXTS, k))
    for row, text in zip(found, TEXTS, strict=True):
        starts = [word[:2] for word in kmers.get_kmers(text, k)]
        assert row == pytest.approx([starts.count(word) / len(starts) for word in kmers.vocabulary(2)])


def windows_with_copies():
    """Forty introgressed windows at ten places on random letters; partners at places of their own."""
    start = np.concatenate([np.repeat(np.arange(10), 4) * 1000, 100_000 + np.arange(40) * 1000])
    label = np.repeat([1, 0], 40)
    return pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 500, "label": label,
                         "pair": np.tile(np.arange(40), 2), "region_start": start, "region_end": start + 500,
                         "cluster": pd.factorize(start)[0]})  # fmt: skip


def random_counts(windows, seed=0):
    """The same letters at the same place, none alike elsewhere."""
    rng = np.random.default_rng(seed)
    letters = {start: "".join(rng.choice(list("ACGT"), 500)) for start in windows["start"].unique()}
    return kmers.count_kmers([letters[start] for start in windows["start"]])


def score(windows, counts, parts, group, **options):
    return ladder.score_group(group, windows, counts, parts, directory="unused", seed=1, **options)


def accuracy(found, labels):
    return {name: np.mean((values > threshold) == labels) for name, (values, threshold) in found.items()}


def test_copies_are_remembered_by_forest_and_rules_and_not_by_what_is_blind():
    windows = windows_with_copies()
    counts, parts = random_counts(windows), splits.split(windows, protocol="article", test_size=0.4)
    labels = windows["label"].to_numpy()[parts.test]
    controls = accuracy(score(windows, counts, parts, "controls"), labels)
    assert tuple(controls) == CONTROLS
    assert controls["exact_window"] == controls["window_overlap"] == controls["region_overlap"] == 1
    assert controls["shuffled_labels"] < 0.75
    assert accuracy(score(windows, counts, parts, "forest", trees=50), labels)["forest"] > 0.9
    for name, found in score(windows, counts, parts, "controls").items():
        assert len(found.score) == len(parts.test)
        assert np.isfinite(found.score).all(), name


def test_groups_score_the_models_that_they_name(tmp_path):
    windows = windows_with_copies()
    counts, parts = random_counts(windows), splits.split(windows, protocol="article")
    for group, names in GROUPS.items():
        found = ladder.score_group(group, windows, counts, parts, directory=tmp_path, epochs=2, trees=5, seed=1)
        assert tuple(found) == names
        again = ladder.score_group(group, windows, counts, parts, directory=tmp_path / "b", epochs=2, trees=5, seed=1)
        for name in names:
            np.testing.assert_allclose(found[name].score, again[name].score, rtol=1e-5)
    assert [*MODELS, *CONTROLS] == [name for names in GROUPS.values() for name in names]


def test_nothing_is_fitted_on_test_rows():
    windows = windows_with_copies()
    counts, parts = random_counts(windows), splits.split(windows, protocol="article")
    changed = counts.copy()
    changed[parts.test[1:]] = RNG.integers(0, 99, (len(parts.test) - 1, 1024))
    relabelled = windows.assign(label=windows["label"].where(~windows.index.isin(parts.test), 1 - windows["label"]))
    for group in ("forest", "linear", "controls"):
        plain = score(windows, counts, parts, group, trees=10)
        other = score(relabelled, changed, parts, group, trees=10)
        for name in plain:
            assert other[name].score[0] == pytest.approx(plain[name].score[0]), name


def test_scores_are_measured_model_by_model_over_clusters():
    windows = windows_with_copies()
    rows = np.arange(80)
    labels = windows["label"].to_numpy()
    margins = np.where(labels == 1, 2.0, -2.0) + RNG.normal(0, 2, 80)
    table = pd.concat([
        pd.DataFrame({"model": name, "window": rows, "label": labels, "score": margins if signed else expit(margins),
                      "threshold": 0.0 if signed else 0.5})
        for name, signed in (("naive_bayes", True), ("linear_svm", True), ("forest", False))
    ])  # fmt: skip
    found = evaluate_scores(table, windows, n_bootstrap=200, seed=1)
    assert list(found) == ["naive_bayes", "linear_svm", "forest"]
    assert found["naive_bayes"].accuracy == found["linear_svm"].accuracy == found["forest"].accuracy
    assert found["naive_bayes"].brier.value == pytest.approx(found["forest"].brier.value)
    assert np.isnan(found["linear_svm"].brier.value)
    alone = evaluate_scores(table, windows.assign(cluster=rows), n_bootstrap=200, seed=1)
    widths = [one["forest"].sensitivity.high - one["forest"].sensitivity.low for one in (found, alone)]
    assert widths[0] > widths[1]
    rung = ladder.tabulate_rung("cluster", found, n_train=7)
    assert set(rung["rung"]) == {"cluster"}
    assert (rung[rung["metric"] == "n_train"]["value"] == 7).all()
    assert len(rung[rung["model"] == "forest"]) == rung["metric"].nunique()
    both = pd.concat([rung, rung[rung["model"] == "forest"].assign(rung="matched")])
    shown = ladder.summarise_ladder(both, metric="auroc")
    assert shown["model"].tolist() == ["forest", "linear svm", "naive bayes"]
    assert list(shown.columns) == ["model", "cluster", "matched"]
    area = found["forest"].auroc
    assert shown["matched"].tolist() == [f"{area.value:.2f} ({area.low:.2f} to {area.high:.2f})", "", ""]


# The demo's dials ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def climb(tmp_path_factory):
    """AUROC of every model and control on every rung for a setting of the demo's dials."""

    def measure(*, composition, overlap, n_regions, groups=("forest", "controls")):
        folder = tmp_path_factory.mktemp("dials")
        paths = write_demo(folder, composition=composition, overlap=overlap, n_regions=n_regions, n_genes=5, seed=1)
        regions = intervals.read_bed(paths["introgressed"])
        with open_genome(paths["genome"], cache=folder) as genome:
            gaps = sequences.find_gaps(genome, genome.chromsizes)
            depleted = sequences.draw_partners(regions, genome.chromsizes, gaps, rng=1)
            match = matching.match_depleted(regions, genome, genome.chromsizes, avoid=pd.concat([regions, gaps]),
                                            n_candidates=100, rng=1)  # fmt: skip
            balance = matching.balance_of_match(match, depleted, genome)
            matching.check_match(balance, match.depleted, regions)
            tables = [sequences.make_windows(*pairs, genome, gaps=gaps)
                      for pairs in ((regions, depleted), (match.introgressed, match.depleted))]  # fmt: skip
            counts = [kmers.count_kmers(sequences.fetch_windows(table, genome)) for table in tables]
        found = {}
        for name in (*PROTOCOLS, "matched"):
            windows, X = tables[name == "matched"], counts[name == "matched"]
            parts = splits.split(windows, protocol=RUNGS[name].protocol)
            scored = {}
            for group in groups:
                scored |= ladder.score_group(group, windows, X, parts, directory=folder, trees=100, seed=1)
            rows = pd.concat([pd.DataFrame({"model": model, "window": parts.test, "score": values, "threshold": limit,
                                            "label": windows["label"].to_numpy()[parts.test]})
                              for model, (values, limit) in scored.items()])  # fmt: skip
            evaluations = evaluate_scores(rows, windows, n_bootstrap=300, seed=1)
            found[name] = {model: result.auroc for model, result in evaluations.items()}
        return found

    return measure


def test_with_both_dials_at_zero_there_is_nothing_on_any_rung(climb):
    found = climb(composition=0, overlap=0, n_regions=200, groups=("forest", "linear"))
    for rung in ("distinct", "cluster", "chromosome", "matched"):
        for model, area in found[rung].items():
            assert area.low <= 0.5 <= area.high, (rung, model, area)


def test_the_planted_leak_alone_is_gone_without_overlap(climb):
    found = climb(composition=0, overlap=1, n_regions=400)
    assert found["article"]["forest"].low > 0.85
    assert found["article"]["exact_window"].low > 0.7
    assert found["distinct"]["exact_window"].low <= 0.5
    assert found["distinct"]["forest"].low > 0.6  # overlapping windows still tell
    assert found["distinct"]["region_overlap"].low > 0.85
    for rung in ("cluster", "chromosome", "matched"):
        for model in ("forest", "gc", "dinucleotides"):
            assert found[rung][model].low <= 0.5 <= found[rung][model].high, (rung, model)
        assert found[rung]["region_overlap"].value == 0.5  # nothing is known, all is called depleted


def test_the_planted_composition_alone_stays_until_it_is_matched(climb):
    found = climb(composition=1, overlap=0, n_regions=400)
    for rung in ("article", "distinct", "cluster", "chromosome"):
        assert found[rung]["forest"].low > 0.55, rung
        assert found[rung]["dinucleotides"].low > 0.6, rung
        assert found[rung]["region_overlap"].low <= 0.5, rung
    assert found["chromosome"]["gc"].low > 0.5
    assert found["matched"]["gc"].low <= 0.5 <= found["matched"]["gc"].high
    assert found["matched"]["dinucleotides"].low > 0.6  # planted within the loci, at equal GC content
