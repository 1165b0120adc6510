"""The sweep over word lengths: nothing leaks into what is chosen, and what is planted is found."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import plant
from sklearn.feature_selection import f_classif
from typer.testing import CliRunner

from neanderthal_nlp import kmers, sequences, splits
from neanderthal_nlp.audit import sweep as sweeps
from neanderthal_nlp.cli import sweep as cli
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.sweep import LEARNER_NAMES, plot_sweep
from neanderthal_nlp.files import read_json, read_table, write_table
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.splits import Split, split


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Windows that differ in GC content and in nothing else, too short for it to tell all."""
    made = plant(tmp_path_factory.mktemp("planted"), n_chroms=6, n_windows=80)
    return made._replace(windows=made.windows.assign(end=made.windows["start"] + 400))


@pytest.fixture(scope="module")
def letters(planted, tmp_path_factory):
    with open_genome(planted.genome, cache=tmp_path_factory.mktemp("cache")) as genome:
        yield genome


@pytest.fixture(scope="module")
def parts(planted):
    return split(planted.windows, protocol="chromosome", seed=1)


def run(windows, letters, parts, **options):
    options = {"ks": (1, 2, 4), "n_iterations": 20, "n_bootstrap": 100, "seed": 1} | options
    return sweeps.sweep(windows, letters, parts, **options)


@pytest.fixture(scope="module")
def found(planted, letters, parts):
    return run(planted.windows, letters, parts, max_features=100)


# What is found ------------------------------------------------------------------------------------------------


def test_gc_alone_is_chosen_where_there_is_nothing_else(found, parts):
    assert found.chosen == ("logistic_regression", True, 1)
    row = found.table[found.table["chosen"]].iloc[0]
    assert tuple(row[["model", "canonical", "k"]]) == found.chosen
    assert 0.75 < row["low"] < row["auroc"] < row["high"] < 0.97
    assert row["brier"] < 0.18
    assert (found.table["n_train"] == len(parts.train)).all()


def test_a_row_a_model_from_simple_to_complex(found):
    table = found.table
    assert tuple(table.columns) == sweeps.COLUMNS
    assert table["chosen"].sum() == 1
    assert list(table[["model", "k", "canonical"]].itertuples(index=False, name=None)) == [
        (model, k, canonical) for model in sweeps.MODELS for k in (1, 2, 4) for canonical in (True, False)
    ]
    assert table["n_features"].tolist() == [2, 4, 10, 16, 100, 100] * 2
    assert table[["cv_auroc", "auroc"]].gt(0.6).all().all()


def test_same_seed_same_table(planted, letters, parts, found):
    again = run(planted.windows, letters, parts, max_features=100)
    pd.testing.assert_frame_equal(again.table, found.table, check_exact=True)


def test_where_there_is_nothing_to_learn_words_chosen_by_the_same_windows_do_not_feign_it(letters, planted):
    windows = planted.windows.assign(label=np.random.default_rng(5).permutation(planted.windows["label"]))
    parts = split(windows, protocol="chromosome", seed=1)
    table = run(windows, letters, parts, ks=(5,), max_features=30).table
    assert table["cv_auroc"].between(0.38, 0.62).all()
    assert (table["low"] <= 0.5).all()
    # The same words for all folds, chosen by all training windows, would have been taken for knowledge.
    X = kmers.count_kmers(sequences.fetch_windows(windows, letters), 5).astype(float)[parts.train]
    y = windows["label"].to_numpy()[parts.train]
    best = np.argsort(-f_classif(X, y)[0])[:30]
    train = windows.iloc[parts.train].reset_index(drop=True)
    areas = []
    for fold in splits.folds(train, protocol="chromosome", n_folds=2, never_test=()):
        model = sweeps.fit_linear("logistic_regression", X[:, best], y, rows=fold.train, C=0.3, seed=1)
        areas.append(sweeps.roc_auc_score(y[fold.test], sweeps.scores(model, X[fold.test][:, best])))
    assert np.mean(areas) > 0.7


def test_test_windows_change_nothing_of_what_is_chosen(planted, letters, parts, found):
    labels = planted.windows["label"].to_numpy().copy()
    labels[parts.test] = 1 - labels[parts.test]
    other = run(planted.windows.assign(label=labels), letters, parts, max_features=100)
    blind = ["model", "canonical", "k", "n_features", "n_train", "cv_auroc", "cv_se", "chosen"]
    pd.testing.assert_frame_equal(other.table[blind], found.table[blind], check_exact=True)
    np.testing.assert_allclose(other.table["auroc"], 1 - found.table["auroc"])


def test_one_training_chromosome_is_dealt_by_clusters(planted, letters):
    windows = planted.windows[planted.windows["chrom"].isin(["chr1", "chr2"])].reset_index(drop=True)
    found = run(windows, letters, split(windows, protocol="chromosome", held_out=["chr2"]), ks=(1,))
    assert (found.table["cv_auroc"] > 0.7).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": (0, 1)}, "k: found 0, 1, expected word lengths from 1 to 10"),
        ({"ks": ()}, "k: found none"),
        ({"label": 1}, "split: found 480 windows"),
        ({"cluster": 7}, "split: found 1 clusters of overlapping regions on both sides"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(planted, letters, parts, change, message):
    columns = {name: value for name, value in change.items() if name in planted.windows}
    with pytest.raises(InputError, match=message):
        run(planted.windows.assign(**columns), letters, parts, **{k: v for k, v in change.items() if k not in columns})


def test_training_windows_of_one_cluster_are_refused(planted, letters, parts):
    rows = np.arange(len(planted.windows))
    lone = planted.windows.assign(chrom="chr1", cluster=np.where(np.isin(rows, parts.train), 0, 1))
    with pytest.raises(InputError, match="split: found all training windows in one cluster"):
        run(lone, letters, parts)


# Words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canonical", [True, False])
def test_frequencies_and_words_are_those_of_the_obvious_way(planted, letters, parts, canonical):
    windows = planted.windows.assign(end=planted.windows["end"] - np.arange(len(planted.windows)) % 3)
    windows.loc[0, "end"] = windows.loc[0, "start"] + 2  # no word of 3 letters
    counts = kmers.count_kmers(sequences.fetch_windows(windows, letters), 3)
    counts = kmers.merge_strands(counts, 3) if canonical else counts
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    model_of, labels = sweeps._deal(windows, parts, 4, 1), windows["label"].to_numpy()
    assert sorted(np.unique(model_of)) == [0, 1, 2, 3, 4]
    assert set(np.flatnonzero(model_of == 4)) == set(parts.test)
    design = sweeps._read_design(windows, letters, model_of, 3, canonical, 7)
    assert design.n_features == 7
    assert design.counts.dtype == np.uint16
    for number in range(5):
        rows = np.flatnonzero((model_of < 4) & (model_of != number))
        best = np.sort(np.argsort(-f_classif(shares[rows], labels[rows])[0], kind="stable")[:7])
        np.testing.assert_allclose(design.frequencies(number), shares[:, best])
    whole = sweeps._read_design(windows, letters, model_of, 3, canonical, 64)
    np.testing.assert_allclose(whole.frequencies(0), shares)


@given(
    values=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.just(3)), min_size=3, max_size=20).filter(
        lambda rows: {label for label, *_ in rows} == {0, 1}
    )
)
def test_f_is_that_of_scikit_learn_and_0_where_a_column_is_constant(values):
    y, *columns = np.array(values).T
    X = np.column_stack(columns) / 8
    sums, squares = (np.array([part[y == label].sum(axis=0) for label in (0, 1)]) for part in (X, X**2))
    ratio = sweeps.f_ratio(np.bincount(y), sums, squares)
    assert ratio[1] == 0
    varies = any(len(set(X[y == label, 0])) > 1 for label in (0, 1))
    if varies:
        assert ratio[0] == pytest.approx(f_classif(X[:, :1], y)[0][0])


# Choice and thinning ------------------------------------------------------------------------------------------


def areas(rows):
    return pd.DataFrame(rows, columns=["model", "canonical", "k", "cv_auroc", "cv_se"])


def test_the_simplest_within_one_standard_error_by_hand():
    table = areas([
        ("boosted_trees", True, 1, 0.80, 0.02), ("logistic_regression", False, 2, 0.78, 0.01),
        ("logistic_regression", True, 2, 0.779, 0.5), ("logistic_regression", True, 3, 0.79, 0.01),
    ])  # fmt: skip
    ordered, choice = sweeps.choose_model(table)
    assert choice == ("logistic_regression", False, 2)
    assert ordered["cv_auroc"].tolist() == [0.779, 0.78, 0.79, 0.8]
    assert ordered["chosen"].tolist() == [False, True, False, False]


@given(
    measured=st.dictionaries(
        st.tuples(st.sampled_from(sweeps.MODELS), st.booleans(), st.integers(1, 8)),
        st.tuples(st.floats(0, 1), st.floats(0, 0.2)),
        min_size=1,
    )
)
def test_nothing_simpler_than_the_chosen_is_as_good(measured):
    choice = sweeps.choose_model(areas([(*name, *values) for name, values in measured.items()]))[1]
    best = max(measured.values(), key=lambda pair: pair[0])[0]
    limits = {best - se for area, se in measured.values() if area == best}
    good = [{name for name, (area, _) in measured.items() if area >= limit} for limit in limits]
    simplest = [min(names, key=lambda name: (sweeps.MODELS.index(name[0]), name[2], not name[1])) for names in good]
    assert choice in simplest


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("k", 40, "1 to 10"), ("k", 0, "1 to 10"), ("cv_auroc", np.nan, "0 to 1"), ("cv_auroc", np.inf, "0 to 1"),
     ("cv_auroc", 1.5, "0 to 1"), ("cv_se", -0.1, "0 to 1"), ("model", "oracle", "logistic_regression or boosted")],
)  # fmt: skip
def test_a_table_that_no_sweep_made_is_refused(refused, name, value, expected):
    table = areas([("logistic_regression", True, 1, 0.7, 0.01), ("logistic_regression", True, 2, 0.8, 0.01)])
    table = table.assign(n_features=[2, 10])
    assert sweeps.choose_whole(table).k == 2
    table[name] = table[name].astype(object).where(table.index == 0, value)
    with refused("sweep: ", name, value, f"expected {expected}"):
        sweeps.choose_whole(table.infer_objects())


@given(n=st.integers(1, 30), most=st.integers(2, 70), seed=st.integers(0, 9))
def test_whole_pairs_evenly_spaced_are_kept_with_their_sides(n, most, seed):
    windows = pd.DataFrame({"pair": np.tile(np.arange(n) * 3, 2), "row": np.arange(2 * n)})
    order = np.random.default_rng(seed).permutation(2 * n)
    parts = Split(order[: n // 2], order[n // 2 : -1])
    kept, sides = sweeps.thin_pairs(windows, parts, most)
    assert len(kept) == 2 * min(n, most // 2)
    assert (kept.groupby("pair").size() == 2).all()
    gaps = np.diff(np.unique(kept["pair"]) // 3)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
    for side, before in zip(sides, parts, strict=True):
        assert kept["row"].to_numpy()[side].tolist() == [row for row in before if row in set(kept["row"])]


# Command and figure -------------------------------------------------------------------------------------------


def test_command_writes_table_and_provenance(planted, parts, tmp_path):
    windows = planted.windows.assign(region_start=planted.windows["start"], region_end=planted.windows["end"])
    write_table(windows, tmp_path / "windows.tsv")
    write_table(splits.split_table(windows, parts), tmp_path / "split.tsv")
    arguments = ["--genome", planted.genome, "--windows", tmp_path / "windows.tsv", "--split-file",
                 tmp_path / "split.tsv", "--max-k", 2, "--max-windows", 400, "--max-features", 12, "--iterations", 5,
                 "--folds", 3, "--cache", tmp_path]  # fmt: skip
    for name in ("sweep", "again"):
        result = CliRunner().invoke(cli.app, [str(word) for word in [*arguments, "--output", tmp_path / f"{name}.tsv"]])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "sweep.tsv").read_bytes() == (tmp_path / "again.tsv").read_bytes()
    table = read_table(tmp_path / "sweep.tsv", {"canonical": bool, "chosen": bool, "auroc": float})
    assert table["n_features"].tolist() == [2, 4, 10, 12] * 2
    record = read_json(tmp_path / "sweep.json")
    row = table[table["chosen"]].iloc[0]
    assert record["chosen"] == {"model": row["model"], "canonical": row["canonical"], "k": row["k"]}
    assert (record["n_windows"], record["n_used"]) == (480, 400)
    assert record["n_train"] + record["n_test"] == 400
    assert set(record["inputs"]) == {"windows", "split"}
    assert record["parameters"]["max_features"] == 12
    assert len(record["test_chromosomes"]) == 1
    assert "400 of 480 windows" in result.output
    assert "chosen on the training chromosomes: logistic regression, canonical words of" in result.output


def test_defaults_of_the_command_are_those_of_the_function():
    command = {name: option.default for name, option in inspect.signature(cli.sweep).parameters.items()}
    function = {name: option.default for name, option in inspect.signature(sweeps.sweep).parameters.items()}
    assert tuple(range(1, command["max_k"] + 1)) == function["ks"]
    for name, other in (("max_features", "max_features"), ("iterations", "n_iterations"), ("folds", "n_folds")):
        assert command[name] == function[other]


def test_figure_draws_each_model_and_says_what_was_chosen(found):
    figure = plot_sweep(found.table)
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 3]
    for line, (model, canonical) in zip(
        drawn, [(model, canonical) for model in LEARNER_NAMES for canonical in (True, False)], strict=True
    ):
        part = found.table[(found.table["model"] == model) & (found.table["canonical"] == canonical)]
        np.testing.assert_array_equal(line.get_ydata(), part["auroc"])
    row = found.table[found.table["chosen"]].iloc[0]
    assert f"chosen (ring) {row['auroc']:.2f}" in axes.get_title(loc="left")
    other = found.table.assign(chosen=found.table["k"].eq(4) & found.table["n_features"].gt(found.table.index + 94))
    two = plot_sweep(found.table, other)
    assert [axes.get_title(loc="left").split(":")[0] for axes in two.axes] == ["Letters of the run", "Random letters"]
    gc = found.table.iloc[0]["auroc"]
    assert f"GC content alone {gc:.2f}" in two.axes[1].get_title(loc="left")


def test_figure_of_unknown_models_is_refused(found):
    with pytest.raises(InputError, match="sweep: found no known model"):
        plot_sweep(found.table.assign(model="oracle"))
