"""Bundles: what is written is read back, and what does not fit is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from planted import LENGTH, K, bundle_audited
from sklearn.svm import SVC

from neanderthal_nlp import bundling
from neanderthal_nlp.bundle import Bundle, read_bundle, rescale, score_counts, score_margins, write_bundle
from neanderthal_nlp.files import read_json, sha256
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import canonical_vocabulary, count_kmers, merge_strands
from neanderthal_nlp.linear import fit_linear
from neanderthal_nlp.sequences import fetch_windows
from neanderthal_nlp.splits import split


def test_bundle_is_read_back(bundle, planted, tmp_path):
    write_bundle(bundle, tmp_path / "made")
    again = read_bundle(tmp_path / "made")
    np.testing.assert_array_equal(score_counts(again, planted[2]), score_counts(bundle, planted[2]))
    np.testing.assert_array_equal(score_margins(again, planted[2]), score_margins(bundle, planted[2]))
    pd.testing.assert_frame_equal(again.windows, bundle.windows.reset_index(drop=True), check_dtype=False)
    for name in Bundle._fields:
        if name not in ("model", "folds", "windows", "calibration"):
            assert getattr(again, name) == getattr(bundle, name), name
    if bundle.calibration is None:
        assert again.calibration is None
    else:
        for ours, theirs in zip(bundle.calibration, again.calibration, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_same_bundle_is_written_alike(audited, tmp_path):
    found = []
    for name in ("one", "two", "one"):  # the last one replaces the first
        write_bundle(audited, tmp_path / name)
        about = read_json(tmp_path / name / "bundle.json")
        for file in [file for file in about["files"] if file.endswith(".skops")]:  # a zip: it holds a time
            assert about["files"].pop(file) == sha256(tmp_path / name / file)
        found.append((about, (tmp_path / name / "CARD.md").read_bytes(), sha256(tmp_path / name / "windows.tsv.gz")))
    assert found[0] == found[1] == found[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_failed_write_leaves_the_old_bundle(audited, tmp_path):
    write_bundle(audited, tmp_path / "made")
    with pytest.raises(TypeError):
        write_bundle(audited._replace(windows=None), tmp_path / "made")
    read_bundle(tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_card_says_what_the_model_is(audited, as_published, tmp_path):
    write_bundle(audited, tmp_path / "audited")
    card = (tmp_path / "audited" / "CARD.md").read_text()
    assert "made-up genome" in card
    assert "logistic regression" in card
    assert all(chrom in card for chrom in audited.chromosomes("test"))
    auroc = next(row for row in audited.metrics if row["metric"] == "auroc")
    assert f"| {auroc['windows']} | auroc | {auroc['value']:.3f} |" in card
    other = {"split": "cluster", "metric": "auroc", "value": 0.612, "low": 0.5, "high": 0.7}
    assert "trained anew" not in card
    write_bundle(as_published._replace(synthetic=False, other_splits=[other]), tmp_path / "published")
    card = (tmp_path / "published" / "CARD.md").read_text()
    assert "made-up genome" not in card
    assert "nothing was calibrated" in card
    assert "trained anew" in card
    assert "| cluster | auroc | 0.612 | 0.500 to 0.700 |" in card


def test_audited_bundle_keeps_chromosomes_apart_and_finds_the_planted(audited):
    assert not set(audited.chromosomes("train")) & set(audited.chromosomes("test"))
    values = {(row["windows"], row["metric"]): row["value"] for row in audited.metrics}
    short, whole = (values[f"held-out chromosomes, first {n:,} nt", "auroc"] for n in (1_000, LENGTH))
    assert 0.75 < short < whole
    assert whole > 0.9


def test_mean_gc_is_that_of_the_windows(bundle, planted, tmp_path):
    with open_genome(planted.genome, cache=tmp_path) as genome:
        texts = pd.Series(list(fetch_windows(planted.windows, genome)))
    gc = (texts.str.count("G") + texts.str.count("C")) / texts.str.len()
    trained = (bundle.windows["side"] == "train").to_numpy()
    expected = [gc[trained & (planted.windows["label"] == label).to_numpy()].mean() for label in (1, 0)]
    assert bundle.gc == pytest.approx(expected, abs=1e-3)  # words at the ends count less


def test_boosted_trees_can_be_taken_along(planted, tmp_path):
    made = bundle_audited(planted, cache=tmp_path, model="boosted_trees")
    values = {(row["windows"], row["metric"]): row["value"] for row in made.metrics}
    assert values[f"held-out chromosomes, first {LENGTH:,} nt", "auroc"] > 0.9
    write_bundle(made, tmp_path / "made")
    again = read_bundle(tmp_path / "made")
    np.testing.assert_array_equal(score_counts(again, planted.counts), score_counts(made, planted.counts))
    assert (score_margins(again, planted.counts) > 0).all()
    assert again.words() == canonical_vocabulary(K)


def test_nothing_planted_nothing_found(planted, tmp_path):
    path, windows, _ = planted
    shuffled = windows.assign(label=np.random.default_rng(3).permutation(windows["label"]))
    with open_genome(path, cache=tmp_path) as genome:
        found = bundling.fit_audited(shuffled, genome, split(shuffled, protocol="chromosome", seed=1), k=K,
                                     protocol="chromosome", synthetic=True, provenance={}, seed=1)  # fmt: skip
    auroc = [row for row in found.metrics if row["metric"] == "auroc"]
    assert all(row["low"] < 0.5 < row["high"] for row in auroc)
    calibrated = found.calibration.slopes[:, 0] * np.std(score_counts(found, planted.counts))
    assert (np.abs(calibrated) < 0.6).all()  # the curve is flat: no score is believed


def test_margins_hold_models_of_other_windows(audited, planted):
    _, windows, counts = planted
    labels, rng = windows["label"].to_numpy(), np.random.default_rng(4)
    train, test = (np.flatnonzero(audited.windows["side"] == side) for side in ("train", "test"))
    margins, scores = score_margins(audited, counts[test]), score_counts(audited, counts[test])
    sides, others = [train[labels[train] == label] for label in (0, 1)], []
    for _ in range(20):
        rows = np.concatenate([rng.choice(side, len(side)) for side in sides])
        model = fit_linear(
            "logistic_regression", merge_strands(counts, K), labels, rows=rows, C=audited.model[-1].C, seed=1
        )
        others.append(score_counts(audited._replace(model=model), counts[test]))
    assert 0.85 < np.mean([np.abs(other - scores) <= margins for other in others]) <= 1
    assert margins.mean() < 4 * np.std(others, axis=0).mean()


def test_short_stretches_are_rescaled(audited):
    half = count_kmers(["ACGTT" * (LENGTH // 10)], K)
    np.testing.assert_allclose(rescale(audited, half), half * (LENGTH - K + 1) / (LENGTH // 2 - K + 1))
    assert np.isfinite(score_counts(audited, np.zeros((1, 4**K), dtype=np.int32))).all()


@pytest.mark.parametrize("k", [2, 4])
def test_another_word_length_is_refused(bundle, k, refused):
    with refused("expected (n, 64)", "words of 3 letters"):
        score_counts(bundle, np.zeros((1, 4**k), dtype=np.int32))


def change(folder, **fields):
    about = read_json(folder / "bundle.json") | fields
    (folder / "bundle.json").write_text(json.dumps(about))


def test_what_does_not_fit_is_refused(audited, tmp_path, refused):
    made = tmp_path / "made"
    for fields, parts in (
        ({"format": 1}, ("found format 1", "expected 2")),
        ({"k": 4}, ("k = 4 and vocabulary",)),
        ({"k": True}, ("k: found True", "expected int")),
        ({"vocabulary": ["A"]}, ("vocabulary",)),
        ({"min_length": 10**9}, ("min_length <= window_length",)),
        ({"threshold": "half"}, ("threshold", "half", "expected float")),
        ({"calibration": {"lengths": []}}, ("bundle.json", "calibration")),
        ({"calibration": None}, ("calibration: found none", "forest")),
        ({"files": {}}, ("files: found none", "expected model.skops")),
        ({"files": {"../model.skops": "0"}}, ("files: found ../model.skops", "expected model.skops")),
        ({"n_folds": 1}, ("n_folds: found 1", "2 to 100")),
        ({"threshold": float("nan")}, ("threshold: found nan", "between 0 and 1")),
        ({"metrics": [1]}, ("metrics: found 1", "expected windows, metric")),
        ({"gc": [0.4]}, ("gc", "two shares")),
        ({"model": "oracle"}, ("oracle",)),
        ({"model": "forest"}, ("expected a forest", "LogisticRegression")),
    ):
        write_bundle(audited, made)
        change(made, **fields)
        with refused("made", *parts):
            read_bundle(made)


def test_changed_or_missing_files_are_refused(audited, tmp_path, refused):
    made = tmp_path / "made"
    for name in ("model.skops", "windows.tsv.gz"):
        write_bundle(audited, made)
        (made / name).write_bytes((made / name).read_bytes() + b"\0")
        with refused(made / name, "changed"):
            read_bundle(made)
        (made / name).unlink()
        with refused(name, "missing"):
            read_bundle(made)
    shutil.rmtree(made)
    with refused(made, "not a model bundle"):
        read_bundle(made)
    made.mkdir()
    (made / "bundle.json").write_text("[1]")
    with refused("bundle.json", "expected a JSON object"):
        read_bundle(made)


def test_foreign_model_is_refused(audited, planted, tmp_path, refused):
    _, windows, counts = planted
    svc = SVC().fit(counts[:20], windows["label"][:20])
    with refused("model.skops", "SVC"):
        write_bundle(audited._replace(model=svc), tmp_path / "made")
        read_bundle(tmp_path / "made")
    other = fit_linear("logistic_regression", np.eye(16), np.arange(16) % 2, seed=1)
    write_bundle(audited._replace(model=other), tmp_path / "other")
    with refused("model.skops", "a model of 16 words", "expected 32"):
        read_bundle(tmp_path / "other")
