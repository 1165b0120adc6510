"""The ladder of sub-sequences: what leaks is measured, and what validates or tests is kept apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split
from typer.testing import CliRunner

from neanderthal_nlp import splits, training
from neanderthal_nlp.audit import sub_sequences as rungs
from neanderthal_nlp.audit.ladder import Scores
from neanderthal_nlp.audit.leaks import windows_of_pairs
from neanderthal_nlp.cli import sequences as cli
from neanderthal_nlp.files import read_json, read_table, write_table
from neanderthal_nlp.intervals import read_bed
from neanderthal_nlp.parameters import SEQUENCE_PROTOCOLS, SEQUENCE_RULES, SPLIT_SEED
from neanderthal_nlp.splits import Split, split
from neanderthal_nlp.subsequences import Letters, Subsequences, encode_letters

LENGTH = rungs.READ_LENGTH
N_CHROMS, N_LOCI, SPACING = 6, 5, 10_000


def make_windows():
    """Loci of three introgressed windows, two at one place and one 150 nt on; their partners overlap nothing."""
    rows = []
    for label in (1, 0):
        for pair in range(N_CHROMS * N_LOCI * 3):
            locus, number = divmod(pair, 3)
            chrom, place = divmod(locus, N_LOCI)
            start = place * SPACING + (150 * (number == 2) if label else 2_000 + 2_000 * number)
            rows.append((f"chr{chrom + 1}", start, start + LENGTH, label, pair, locus if label else 1000 + pair))
    windows = pd.DataFrame(rows, columns=["chrom", "start", "end", "label", "pair", "cluster"])
    return windows.assign(region_start=windows["start"], region_end=windows["end"])


@pytest.fixture(scope="module")
def windows():
    return make_windows()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """Random letters for the windows to lie on, as FASTA and by chromosome."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("genome") / "genome.fa"
    letters = {f"chr{i + 1}": "".join(rng.choice(list("ACGT"), N_LOCI * SPACING)) for i in range(N_CHROMS)}
    path.write_text("".join(f">{chrom}\n{text}\n" for chrom, text in letters.items()), encoding="ascii")
    return path, letters


@pytest.fixture(scope="module")
def matrix(windows, genome):
    return np.stack([encode_letters(genome[1][row.chrom][row.start : row.end]) for row in windows.itertuples()])


def chromosomes_of(windows, pieces, rows):
    return set(windows["chrom"].to_numpy()[pieces.window[rows]])


# Cutting ------------------------------------------------------------------------------------------------------


def test_all_windows_are_cut_into_five(windows):
    pieces = rungs.cut_windows(windows, step=1)
    assert np.bincount(pieces.window).tolist() == [5] * len(windows)
    assert pieces.start[:5].tolist() == [0, 1, 2, 3, 4]
    for same in (rungs.cut_windows(windows, step=1, max_windows=limit) for limit in (len(windows), 10**9)):
        np.testing.assert_array_equal(same, pieces)


@given(limit=st.integers(6, 200))
def test_a_limit_keeps_whole_clusters_and_pairs(limit):
    windows = make_windows()
    kept = windows.iloc[np.unique(rungs.cut_windows(windows, step=200, max_windows=limit).window)]
    assert 0 < len(kept) <= limit
    assert sorted(kept["pair"].value_counts().unique()) == [2]
    introgressed = kept[kept["label"] == 1]
    assert set(introgressed["cluster"].value_counts()) == {3}
    loci = np.unique(introgressed["cluster"])
    assert len(set(np.diff(loci))) <= 1, "evenly spaced"
    step = loci[1] if len(loci) > 1 else N_CHROMS * N_LOCI
    assert step == 1 or -(-N_CHROMS * N_LOCI // (step - 1)) * 6 > limit, "as many as the limit allows"


def test_what_cannot_be_cut_is_refused(windows, refused):
    with refused("max windows: found 5", "expected 6 or more"):
        rungs.cut_windows(windows, step=1, max_windows=5)
    with refused("windows: found none of 1,000 nt", "audit=false"):
        rungs.cut_windows(windows.assign(end=windows["end"] - 1), step=200)


def test_pairs_that_are_too_short_are_left_out(windows):
    short = windows.copy()
    short.loc[3, "end"] -= 1
    left = set(windows.index[windows["pair"] == windows.loc[3, "pair"]])
    assert set(rungs.cut_windows(short, step=200).window) == set(windows.index) - left
    assert set(rungs.cut_windows(short, step=1).window) == set(windows.index)  # shifts need fewer letters


# Dividing -----------------------------------------------------------------------------------------------------


def test_without_sides_sub_sequences_are_divided_as_scikit_learn_divides_sentences(windows):
    pieces = rungs.cut_windows(windows, step=200)
    parts, validation = rungs.divide(windows, pieces, None, seed=7)
    train, test = train_test_split(np.arange(len(pieces.window)), test_size=0.2, random_state=SPLIT_SEED)
    np.testing.assert_array_equal(parts.train, train)
    np.testing.assert_array_equal(parts.test, test)
    assert validation is None
    other, _ = rungs.divide(windows, pieces, None, seed=7, random_seed=3)
    _, expected = train_test_split(np.arange(len(pieces.window)), test_size=0.2, random_state=3)
    np.testing.assert_array_equal(other.test, expected)


@pytest.mark.parametrize("limit", [None, 90])
def test_whole_windows_are_divided_as_they_were(windows, limit):
    sides = split(windows, protocol="article")
    pieces = rungs.cut_windows(windows, step=200, max_windows=limit)
    parts, validation = rungs.divide(windows, pieces, sides, seed=1)
    for rows, whole in zip(parts, sides, strict=True):
        used = whole[np.isin(whole, pieces.window)]
        np.testing.assert_array_equal(pieces.window[rows], np.repeat(used, 5))
    assert validation is None


def test_other_chromosomes_validate_where_chromosomes_test(windows):
    pieces = rungs.cut_windows(windows, step=200)
    parts, validation = rungs.divide(windows, pieces, split(windows, protocol="chromosome"), seed=1)
    inner = np.setdiff1d(parts.train, validation)
    groups = [chromosomes_of(windows, pieces, rows) for rows in (inner, validation, parts.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == N_CHROMS
    assert set(validation) < set(parts.train)


def test_other_loci_validate_where_loci_test_or_one_chromosome_trains(windows):
    few = windows[windows["chrom"].isin(["chr1", "chr2"])].reset_index(drop=True)
    for table, sides in (
        (windows, split(windows, protocol="cluster")),
        (few, split(few, protocol="chromosome", held_out=["chr2"])),
    ):
        pieces = rungs.cut_windows(table, step=200)
        parts, validation = rungs.divide(table, pieces, sides, seed=1)
        inner = np.setdiff1d(parts.train, validation)
        cluster = table["cluster"].to_numpy()[pieces.window]
        assert len(validation)
        assert not set(cluster[validation]) & set(cluster[inner])
        assert not set(cluster[parts.test]) & set(cluster[parts.train])


def test_a_side_without_one_of_the_classes_is_refused(windows, refused):
    pieces = rungs.cut_windows(windows, step=200)
    introgressed, depleted = (np.flatnonzero(windows["label"] == label) for label in (1, 0))
    with refused("sub-sequences", "too few to have both classes"):
        rungs.divide(windows, pieces, Split(introgressed, depleted), seed=1)


# Rules --------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), step=st.sampled_from([1, 60, 200]))
def test_rules_against_a_loop(seed, step):
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 2_000, 12)
    table = pd.DataFrame({"chrom": rng.choice(["1", "2"], 12), "start": starts, "end": starts + LENGTH,
                          "label": rng.integers(0, 2, 12)})  # fmt: skip
    table = table.assign(region_start=table["start"], region_end=table["end"])
    genome = {chrom: rng.integers(0, 4, 4_000).astype(np.uint8) for chrom in ("1", "2")}
    genome["2"][:1_500] = genome["1"][:1_500]  # the same letters at another place
    letters = np.stack([genome[row.chrom][row.start : row.end] for row in table.itertuples()])
    pieces = Subsequences(np.repeat(np.arange(12, dtype=np.int32), 5), np.tile(np.arange(5, dtype=np.int32) * step, 12))
    order = rng.permutation(60)
    parts = Split(order[:40], order[40:])
    found = rungs.score_rules(table, pieces, parts, letters=letters)
    assert tuple(found) == SEQUENCE_RULES

    def place(row):
        window = table.iloc[pieces.window[row]]
        return window["chrom"], window["start"] + pieces.start[row]

    text = {row: bytes(Letters(letters, pieces).take(np.array([row]))) for row in range(60)}
    train = [row for row in parts.train if table["label"][pieces.window[row]] == 1]
    for i, row in enumerate(parts.test):
        (chrom, start), others = place(row), [place(other) for other in train]
        assert found["same_letters"].score[i] == any(text[row] == text[other] for other in train)
        assert found["same_place"].score[i] == ((chrom, start) in others)
        assert found["overlap"].score[i] == any(chrom == where and abs(start - at) < 200 for where, at in others)


def test_rules_do_without_letters(windows):
    pieces = rungs.cut_windows(windows, step=200)
    parts, _ = rungs.divide(windows, pieces, None, seed=1)
    assert list(rungs.score_rules(windows, pieces, parts)) == ["same_place", "overlap"]


def accuracies(windows, step, sides):
    pieces = rungs.cut_windows(windows, step=step)
    parts, _ = rungs.divide(windows, pieces, sides, seed=1)
    truth = windows["label"].to_numpy()[pieces.window[parts.test]]
    found = rungs.score_rules(windows, pieces, parts)
    return {name: float(np.mean((score > threshold) == truth)) for name, (score, threshold) in found.items()}


def test_published_coordinates_give_99_percent_without_learning(published):
    introgressed, depleted = (read_bed(published(f"Akey_{name}_coords.bed")) for name in ("intr", "depl"))
    windows = windows_of_pairs(introgressed, depleted)
    disjoint = accuracies(windows, 200, None)
    assert disjoint["same_place"] == pytest.approx(0.82, abs=0.005)
    assert disjoint["overlap"] == pytest.approx(0.845, abs=0.005)
    assert accuracies(windows, 1, None)["overlap"] > 0.999
    assert set(accuracies(windows, 1, split(windows, protocol="chromosome")).values()) == {0.5}


# Tables -------------------------------------------------------------------------------------------------------


def test_windows_are_called_by_the_mean_of_their_sub_sequences():
    scores = pd.DataFrame({"model": "lstm", "window": [3, 1, 3, 3], "start": [0, 0, 200, 400], "label": [1, 0, 1, 1],
                           "score": [0.9, 0.2, 0.4, 0.5], "threshold": 0.5})  # fmt: skip
    found = rungs.mean_by_window(scores)
    assert found[["window", "label"]].to_numpy().tolist() == [[3, 1], [1, 0]]
    np.testing.assert_allclose(found["score"], [0.6, 0.2])


def test_table_of_a_rung_is_measured_at_both_levels(windows):
    pieces = rungs.cut_windows(windows, step=200)
    parts, _ = rungs.divide(windows, pieces, split(windows, protocol="chromosome"), seed=1)
    truth = windows["label"].to_numpy()[pieces.window[parts.test]]
    first = pieces.start[parts.test] == 0
    found = {"lstm": Scores(np.where(first, truth, 0.4 + 0.11 * truth), 0.5),  # right, three of five by little
             "overlap": Scores(np.where(first, 1.0 - truth, truth), 0.5)}  # fmt: skip
    table = rungs.tabulate_rung(windows, pieces, parts, found).assign(cut="disjoint", rung="chromosome")
    assert table["start"].tolist() == pieces.start[parts.test].tolist() * 2
    measured = rungs.measure(table, windows, n_bootstrap=50, seed=1)
    assert list(measured.columns) == ["level", "cut", "rung", "model", "metric", "value", "low", "high", "n_train",
                                      "n_test"]  # fmt: skip
    accuracy = measured[measured["metric"] == "accuracy"].set_index(["level", "model"])
    assert accuracy["value"].round(9).to_dict() == {
        ("sub_sequence", "lstm"): 1.0, ("sub_sequence", "overlap"): 0.8, ("window", "lstm"): 1.0,
        ("window", "overlap"): 1.0,
    }  # fmt: skip
    assert set(accuracy.loc["sub_sequence", "n_test"]) == {len(parts.test)}
    assert set(accuracy.loc["window", "n_test"]) == {len(parts.test) // 5}
    assert set(accuracy["n_train"]) == {len(parts.train)}
    text = rungs.summarise(measured, level="sub_sequence", cut="disjoint")
    assert text["model"].tolist() == ["lstm", "overlap"]
    assert text["chromosome"].tolist() == ["100.0% (100.0% to 100.0%)", "80.0% (80.0% to 80.0%)"]


# Commands -----------------------------------------------------------------------------------------------------


def run(*arguments):
    result = CliRunner().invoke(cli.app, [str(word) for word in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(windows, genome, tmp_path_factory):
    """Windows, their splits and letters, as earlier commands leave them."""
    folder = tmp_path_factory.mktemp("run")
    write_table(windows, folder / "windows.tsv")
    for protocol in ("article", "chromosome"):
        write_table(splits.split_table(windows, split(windows, protocol=protocol)), folder / f"{protocol}.tsv")
    run("letters", "--windows", folder / "windows.tsv", "--genome", genome[0], "--cache", folder / "cache")
    return folder


def test_letters_are_those_of_the_windows(folder, matrix):
    np.testing.assert_array_equal(np.load(folder / "letters.npy"), matrix)
    record = read_json(folder / "letters.json")
    assert (record["shape"], record["parameters"]["length"]) == ([len(matrix), LENGTH], LENGTH)


@pytest.fixture(scope="module")
def scored(folder):
    """Rules on two rungs and both cuts; a network on one, where it is kept."""
    run("sub-sequences", "--letters", folder, "--network", "controls", "--random-split", "--split-file",
        folder / "chromosome.tsv", "--output", folder / "controls.tsv")  # fmt: skip
    return run("sub-sequences", "--letters", folder, "--network", "cnn", "--random-split", "--cut", "disjoint", "--cut",
               "shifted", "--null", "--max-windows", 90, "--epochs", 2, "--output", folder / "null_cnn.tsv", "--keep",
               folder / "kept.keras", "--keep-cut", "shifted")  # fmt: skip


def test_scores_of_rules(folder, scored):
    table = read_table(folder / "controls.tsv", cli._SCORES)
    assert list(table.columns) == list(cli._SCORES)
    shifted = table[(table["cut"] == "shifted") & (table["rung"] == "sub_sequence") & (table["model"] == "overlap")]
    assert (shifted["score"] == shifted["label"]).mean() > 0.99
    held_out = table[table["rung"] == "chromosome"]
    assert (held_out["score"] == 0).all()
    assert set(held_out["model"]) == set(SEQUENCE_RULES)


def test_scores_of_a_network_and_what_is_kept(folder, scored, windows, matrix):
    table = read_table(folder / "null_cnn.tsv", cli._SCORES)
    assert set(table["rung"]) == {"null_sub_sequence"}
    assert table["score"].between(0, 1).all()
    assert len(np.unique(table["window"])) <= 90
    history = read_table(folder / "null_cnn_history.tsv", {"epoch": int, "val_binary_accuracy": float})
    assert history["cut"].tolist() == ["disjoint"] * 2 + ["shifted"] * 2
    assert not (folder / "null_cnn.training").exists()
    record = read_json(folder / "kept.json")["parameters"]
    assert record == {"max_windows": 90, "epochs": 2, "seed": 1, "cut": "shifted", "rung": "null_sub_sequence"}
    pieces = rungs.cut_windows(windows, step=1, max_windows=90)
    test = rungs.divide(windows, pieces, None, seed=1).parts.test
    again = training.predict(training.load_model(folder / "kept.keras"), Letters(matrix, pieces), rows=test)
    np.testing.assert_allclose(again, table.loc[table["cut"] == "shifted", "score"], rtol=1e-4)
    assert "epoch 2/2" in scored


def test_a_killed_command_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    arguments = ["sub-sequences", "--letters", folder, "--network", "cnn", "--random-split", "--cut", "disjoint",
                 "--max-windows", 60, "--epochs", 1, "--output", tmp_path / "scores.tsv"]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(rungs, "tabulate_rung", lambda *_: 1 / 0)
        assert "ZeroDivisionError" in refusal(*arguments)
    assert not (tmp_path / "scores.tsv").exists()
    left = {path.name for path in (tmp_path / "scores.training/disjoint_sub_sequence").iterdir()}
    assert {rungs.FINISHED_FILE, training.NETWORK_FILE} < left
    assert "backup" not in left
    assert "epoch" not in run(*arguments), "the training was complete"
    (tmp_path / "scores.tsv").rename(tmp_path / "resumed.tsv")
    assert "epoch 1/1" in run(*arguments), "its state was removed with the end of the command"
    resumed, whole = (read_table(tmp_path / f"{name}.tsv", cli._SCORES) for name in ("resumed", "scores"))
    pd.testing.assert_frame_equal(resumed, whole, rtol=1e-4)


def test_a_finished_rung_is_read_and_another_one_is_trained(windows, matrix, tmp_path):
    pieces, said = rungs.cut_windows(windows, step=200, max_windows=60), []
    division, model = rungs.divide(windows, pieces, None, seed=1), rungs.build_network("cnn", seed=1)

    def score(letters=matrix, **changes):
        return rungs.score_rung("cnn", windows, pieces, division, letters=letters, model=model, directory=tmp_path,
                                **{"epochs": 1, "seed": 1, "report": said.append, **changes})  # fmt: skip

    (first, history), (second, read) = score(), score()
    assert len(said) == 1
    np.testing.assert_array_equal(first["cnn"].score, second["cnn"].score)
    pd.testing.assert_frame_equal(history, read)
    score(epochs=2)
    score(seed=2)
    score(letters=3 - np.minimum(matrix, 3))
    assert len(said) == 1 + 2 + 1 + 1
    back, _ = score()
    assert len(said) == 6
    np.testing.assert_allclose(back["cnn"].score, first["cnn"].score, rtol=1e-4)
    (tmp_path / rungs.FINISHED_FILE).write_text("{", encoding="utf-8")
    score()
    assert len(said) == 7


def test_table_of_all_scores(folder, scored):
    run("sequences", "--windows", folder / "windows.tsv", "--scores", folder / "controls.tsv", "--scores",
        folder / "null_cnn.tsv", "--output", folder / "sequences.tsv")  # fmt: skip
    table = read_table(folder / "sequences.tsv", {"level": str, "value": float, "n_test": int})
    assert set(table["rung"]) == {"sub_sequence", "chromosome", "null_sub_sequence"}
    assert set(table["level"]) == set(rungs.LEVELS)
    text = (folder / "sequences.md").read_text(encoding="utf-8")
    assert text.count("Accuracy by") == 4
    assert "| same letters |" in text
    assert set(read_json(folder / "sequences.json")["inputs"]) == {"windows", "scores controls", "scores null_cnn"}


def test_command_of_coordinates_alone(windows, tmp_path):
    for label, name in ((1, "intr"), (0, "depl")):
        rows = windows[windows["label"] == label]
        rows.assign(end=rows["start"] + 10_000)[["chrom", "start", "end"]].to_csv(
            tmp_path / f"{name}.bed", sep="\t", header=False, index=False
        )
    said = run("sequence-rules", "--introgressed", tmp_path / "intr.bed", "--depleted", tmp_path / "depl.bed",
               "--output", tmp_path / "rules.tsv")  # fmt: skip
    table = read_table(tmp_path / "rules.tsv", {"accuracy": float, "n_test": int})
    assert len(table) == 2 * len(SEQUENCE_PROTOCOLS) * 2
    cells = table.set_index(["cut", "rung", "model"])["accuracy"]
    assert cells["shifted", "sub_sequence", "overlap"] > 0.99
    assert cells["shifted", "chromosome", "overlap"] == 0.5
    assert "shifted, chromosome: overlap 50.00% right" in said
    run("sequence-rules", "--introgressed", tmp_path / "intr.bed", "--depleted", tmp_path / "depl.bed", "--output",
        tmp_path / "others.tsv", "--seed", 5)  # fmt: skip
    others = read_table(tmp_path / "others.tsv", {"accuracy": float}).set_index(["cut", "rung", "model"])["accuracy"]
    assert others["disjoint", "sub_sequence", "same_place"] != cells["disjoint", "sub_sequence", "same_place"]


def refusal(*arguments):
    """What a command says of input that it refuses."""
    error = CliRunner().invoke(cli.app, [str(word) for word in arguments]).exception
    return f"{type(error).__name__}: {error}"


def test_wrong_input_is_refused(folder, scored, tmp_path):
    base = ["sub-sequences", "--letters", folder, "--output", tmp_path / "scores.tsv"]
    assert "InputError: splits: found none" in refusal(*base, "--network", "controls")
    twice = ["--split-file", folder / "article.tsv"] * 2
    assert "found article, article" in refusal(*base, "--network", "controls", *twice)
    clash = [*base, "--random-split", "--keep", tmp_path / "scores.keras"]
    assert "InputError: --keep: found" in refusal(*clash, "--network", "cnn")
    assert "expected a network" in refusal(*clash[:-1], tmp_path / "kept.keras", "--network", "controls")
    where = [*clash[:-1], tmp_path / "kept.keras", "--network", "cnn", "--cut", "disjoint", "--keep-cut", "shifted"]
    assert "--keep-cut: found shifted, expected --keep, and one of disjoint" in refusal(*where)
    write_table(make_windows().head(10), tmp_path / "windows.tsv")
    other = ["sub-sequences", "--letters", tmp_path, "--random-split", "--network", "controls", "--output",
             tmp_path / "scores.tsv"]  # fmt: skip
    assert "letters.npy: not letters of windows" in refusal(*other)
    np.save(tmp_path / "letters.npy", np.zeros((9, LENGTH), dtype=np.uint8))
    assert f"found uint8 (9, {LENGTH}), expected uint8 (10, {LENGTH})" in refusal(*other)
    assert not (tmp_path / "scores.tsv").exists()
