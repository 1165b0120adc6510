"""What the follow-up shows of its network, as tables; and the figures of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from test_figures import shown_texts
from test_sub_sequences import make_windows, run

from neanderthal_nlp.audit import follow_up
from neanderthal_nlp.audit.sub_sequences import READ_LENGTH, build_network, read_as
from neanderthal_nlp.cli import sequences as cli
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.sequences import (
    READER_NAMES,
    RULE_NAMES,
    RUNG_NAMES,
    plot_positions,
    plot_sequences,
    plot_words,
)
from neanderthal_nlp.files import provenance, read_json, read_table, write_json, write_record, write_table
from neanderthal_nlp.parameters import SEQUENCE_MODELS
from neanderthal_nlp.recurrent import build_lstm
from neanderthal_nlp.subsequences import Words, count_words, cut, encode_letters
from neanderthal_nlp.training import predict


def test_explained_share_against_scikit_learn():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3))
    y = X @ [1.0, -2.0, 0.0] + rng.normal(size=60)
    plain = LinearRegression().fit(X, y).score(X, y)
    assert follow_up.explained_share(X, y) == pytest.approx(1 - (1 - plain) * 59 / 56)
    unrelated = [follow_up.explained_share(rng.normal(size=(60, 10)), rng.normal(size=60)) for _ in range(200)]
    assert abs(np.mean(unrelated)) < 0.03, "vectors without meaning explain nothing on average"
    assert np.isnan(follow_up.explained_share(X[:4], y[:4]))
    assert np.isnan(follow_up.explained_share(X, np.ones(60)))


def test_gc_of_known_letters():
    letters = np.stack([encode_letters(text) for text in ("ACGT", "GCNN", "NNNN", "AATN")])
    np.testing.assert_allclose(follow_up.gc_of_letters(letters), [0.5, 1, np.nan, 0])


def test_a_sample_has_each_row_once():
    rows = np.array([9, 4, 7, 1])
    assert follow_up.sample_rows(rows, 10, seed=1).tolist() == [1, 4, 7, 9]
    few = follow_up.sample_rows(rows, 2, seed=1)
    assert len(set(few)) == 2
    assert set(few) < set(rows)


def test_mutagenesis_is_summed_up_by_place_and_by_letter():
    letters = np.stack([encode_letters(text) for text in ("AC", "AN")])
    changes = np.zeros((2, 2, 4))
    changes[0, 0], changes[1, 0] = [0, 1, -2, 3], [0, 3, 2, -1]
    changes[0, 1], changes[1, 1] = [4, 0, 0, 2], [9, 9, 9, 9]
    places, by_letter = follow_up.summarise_mutagenesis(changes, letters)
    np.testing.assert_allclose(places["change"], [2, (6 + 36) / 6])
    cells = by_letter.set_index(["found", "put"])
    assert cells.loc[("A", "C")].tolist() == [2, 2, 2]
    assert cells.loc[("A", "G")].tolist() == [2, 0, 2]
    assert cells.loc[("C", "A")].tolist() == [1, 4, 4]
    assert sorted({found for found, _ in cells.index}) == ["A", "C"]


def test_words_are_mapped_with_their_counts():
    rng = np.random.default_rng(1)
    pieces = cut(40, 60, length=30, step=30, per_window=2)
    words = Words(rng.integers(0, 4, (40, 60)).astype(np.uint8), pieces, length=30, k=3)
    model, rows = build_lstm(k=3, length=30, seed=1), np.arange(50)
    known = follow_up.map_words(model, words, rows, n=40, seed=1)
    assert list(known.table.columns) == ["kmer", "count", "gc", "umap_1", "umap_2"]
    np.testing.assert_array_equal(known.table["count"], np.sort(count_words(words, rows)[:-1])[::-1][:40])
    assert np.isfinite(known.table[["umap_1", "umap_2"]].to_numpy()).all()
    assert known.gc_explained < 0.5
    vectors = rng.normal(size=(65, 10)).astype(np.float32)
    vectors[:64, 0] = [sum(letter in "GC" for letter in word) for word in _all_words(3)]
    model.get_layer("embedding").set_weights([vectors])
    assert follow_up.map_words(model, words, rows, n=40, seed=1).gc_explained == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_letters_are_scored_as_each_network_reads_them(name):
    letters = np.random.default_rng(1).integers(0, 5, (6, 200)).astype(np.uint8)
    model, pieces = build_network(name, seed=1), cut(6, 200, per_window=1)
    chances = 1 / (1 + np.exp(-follow_up.letter_scorer(name, model)(letters)))
    np.testing.assert_allclose(chances, predict(model, read_as(name, letters, pieces)), rtol=1e-5)


def _all_words(k):
    return [""] if k == 0 else [word + letter for word in _all_words(k - 1) for letter in "ACGT"]


# Command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """What the command writes of networks as they are drawn, not trained."""
    folder = tmp_path_factory.mktemp("run")
    rng, windows = np.random.default_rng(1), make_windows()
    letters = {f"chr{i}": "".join(rng.choice(list("ACGT"), 50_000)) for i in range(1, 7)}
    (folder / "genome.fa").write_text("".join(f">{chrom}\n{text}\n" for chrom, text in letters.items()))
    (folder / "genes.bed").write_text("chr1\t100\t9500\tONE\nchr2\t20000\t29000\tTWO\nchr3\t5\t400\tSHORT\n")
    write_table(windows, folder / "windows.tsv")
    np.save(folder / "letters.npy", np.stack([
        encode_letters(letters[row.chrom][row.start : row.start + READ_LENGTH]) for row in windows.itertuples()
    ]))  # fmt: skip
    write_record(provenance({"windows": folder / "windows.tsv"}, {}, 0.0), folder / "letters.json")
    for name in ("lstm", "cnn"):
        build_network(name, seed=1).save(folder / f"{name}.keras")
        settings = {"max_windows": 60, "epochs": 1, "seed": 1, "cut": "disjoint", "rung": "sub_sequence"}
        write_json({"parameters": settings}, folder / f"{name}.json")
    return folder, run(*_arguments(folder))


def _arguments(folder):
    return ["follow-up", "--letters", folder, "--lstm", folder / "lstm.keras", "--cnn", folder / "cnn.keras",
            "--genome", folder / "genome.fa", "--genes", folder / "genes.bed", "--output", folder / "out",
            "--sentences", 20, "--words", 60, "--mutated", 2, "--cache", folder / "cache"]  # fmt: skip


def test_command_writes_what_the_follow_up_shows(described):
    folder, said = described
    out = folder / "out"
    assert len(read_table(out / "sequence_positions.tsv", {"position": int, "drop": float})) == 191
    assert len(read_table(out / "sequence_words.tsv", {"kmer": str, "umap_1": float})) == 60
    places = read_table(out / "sequence_mutations.tsv", {"model": str, "position": int, "change": float})
    assert places[["model", "position"]].to_numpy().tolist() == [[m, i] for m in ("lstm", "cnn") for i in range(200)]
    assert (places["change"] > 0).all(), "each letter is read by either network"
    letters = read_table(out / "sequence_letters.tsv", {"model": str, "found": str, "put": str, "mean": float})
    assert letters["model"].tolist() == ["lstm"] * 12 + ["cnn"] * 12
    genes = read_table(out / "sequence_genes.tsv", {"Gene_Symbol": str, "Prob_1": float})
    assert sorted(genes["Gene_Symbol"]) == ["ONE", "TWO"]
    record = read_json(out / "follow_up.json")
    assert (record["n_genes"], record["n_predicted"]) == (2, int(genes["Predict"].sum()))
    assert (record["n_sentences"], record["n_words"], record["n_mutated"]) == (20, 60, 2)
    assert abs(record["gc_embedding"]) < 0.5
    assert all(-1 <= record[f"gc_{name}"] <= 1 for name in SEQUENCE_MODELS)
    assert f"{record['n_predicted']} of 2 genes" in said


def test_a_network_of_another_split_is_refused(described, tmp_path, refused):
    write_json({"parameters": {"rung": "chromosome"}}, tmp_path / "lstm.json")
    with refused(tmp_path / "lstm.json", "found rung chromosome", "expected sub_sequence"):
        cli._divide_as_kept(make_windows(), tmp_path / "lstm.keras")


# Figures ------------------------------------------------------------------------------------------------------


def measured(rungs=tuple(RUNG_NAMES), cuts=("disjoint", "shifted"), models=(*READER_NAMES, *RULE_NAMES)):
    """A table as `audit sequences` writes it; the accuracy of the first model on the first rung is the highest."""
    rows = [
        ("sub_sequence", how, rung, model, "accuracy", value, value - 0.03, value + 0.01, 668_752, 167_188)
        for how in cuts
        for i, rung in enumerate(rungs)
        for j, model in enumerate(models)
        for value in [0.985 - 0.08 * i - 0.01 * j]
    ]
    return pd.DataFrame(rows, columns=["level", "cut", "rung", "model", "metric", "value", "low", "high", "n_train",
                                       "n_test"])  # fmt: skip


@pytest.mark.parametrize("table", [measured(), measured(("chromosome",), ("shifted",), ("lstm",))])
def test_figure_draws_what_was_measured(table):
    figure = plot_sequences(table)
    assert len(figure.axes) == table["cut"].nunique()
    for axes, (_, part) in zip(figure.axes, table.groupby("cut", sort=False), strict=True):
        drawn = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 1]
        np.testing.assert_allclose(drawn, 100 * part["value"])
        best = part[part["model"].isin(list(READER_NAMES))].groupby("rung")["value"].max()
        assert sorted(text.get_text() for text in axes.texts) == sorted(f"{100 * value:.1f}" for value in best)
    texts = [text.get_text() for text in shown_texts(figure)]
    assert any(text.endswith("n = 167,188") for text in texts)


def test_figure_without_a_known_accuracy_is_refused():
    for table in (measured(models=("oracle",)), measured().assign(level="window"), measured().assign(metric="mcc")):
        with pytest.raises(InputError, match="sequences: found no accuracy"):
            plot_sequences(table)


def test_figures_of_places_and_words_draw_their_tables():
    place = np.arange(191)
    positions = pd.DataFrame({"position": place, "drop": place / 1e4, "low": place / 2e4, "high": place / 5e3})
    mutations = pd.DataFrame({"model": ["lstm"] * 200 + ["cnn"] * 200, "position": np.tile(np.arange(200), 2),
                              "change": np.arange(400) / 100})  # fmt: skip
    upper, lstm, cnn = plot_positions(positions, mutations).axes
    np.testing.assert_allclose(upper.lines[1].get_ydata(), 100 * positions["drop"])
    np.testing.assert_allclose(lstm.lines[0].get_ydata(), mutations["change"][:200])
    np.testing.assert_allclose(cnn.lines[0].get_ydata(), mutations["change"][200:])
    assert len(plot_positions(positions, mutations[:200]).axes) == 2
    words = pd.DataFrame(
        {"kmer": ["AA", "CG"], "count": [2, 1], "gc": [0.0, 1.0], "umap_1": [1.0, 2], "umap_2": [3.0, 4]}
    )
    axes = plot_words(words).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), words[["umap_1", "umap_2"]])
    np.testing.assert_allclose(axes.collections[0].get_array(), [0, 100])


@pytest.mark.parametrize("figure", [plot_sequences(measured())])
def test_texts_lie_within_the_figure(figure):
    figure.draw_without_rendering()
    for text in shown_texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1, text.get_text()
