import os
import re
import subprocess
import sys

import numpy as np
import pytest
from audit_results import ACCURACIES, RUNGS, SMOOTHED, audit_results, ladder, poorest_audit
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from test_figures import AGAIN, NOTE, ordinary_results, save, shown_texts, texts_of

from neanderthal_nlp import figures
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures import ARTICLE, AUDIT, FIGURES, draw_figures
from neanderthal_nlp.figures.audit import CONTROL_NAMES, FLAG_NAMES, MODEL_NAMES
from neanderthal_nlp.figures.style import spread_apart

NAMES = ["12_leak_ladder", "13_null_genome", "14_leaks", "15_gene_audit", "16_intersection_audit", "17_matching",
         "18_gene_doses", "19_sweep", "20_sequences", "21_positions", "22_embedding", "23_smoothing"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save({**ordinary_results(), **audit_results()}, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def drawn(folder, tmp_path_factory):
    """Folder of the audit's figures, and their paths."""
    directory = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", AUDIT)
        return directory, draw_figures(folder, directory)


def plot(name, results):
    """Draw one figure from results in memory."""
    recipe = AUDIT[name]
    return recipe.plot(**{argument: results[file] for argument, file in recipe.inputs.items()})


def test_article_and_audit_make_up_the_figures():
    assert list(AUDIT) == NAMES
    assert list(FIGURES) == [*ARTICLE, *AUDIT]


EXPECTED = {
    "12_leak_ladder": ["Models that read all words", "Controls that cannot know ancestry", "Test accuracy (%)", "84.5",
                       "52.4", "97.7", "51.1", "chance", "n = 33,438", *MODEL_NAMES.values(), *CONTROL_NAMES.values()],
    "13_null_genome": ["Split “article”, n = 33,438 test windows", "Split “chromosome”, n = 33,438 test windows",
                       "letters of the run", "random letters", "rule: same window", *MODEL_NAMES.values()],
    "14_leaks": ["Introgressed test windows (%)", "62.4", "87.5", "95.3", "75.1", "91.2", "(n = 14,670)", *RUNGS],
    "15_gene_audit": ["As published: 477 of 21,503 predicted", "Out of fold: 4,123 of 21,503 predicted",
                      "Published table: 477 of 21,503 predicted", "20 (16 to ∞)", "1.1 (0.88 to 1.4)",
                      "n = 400 genes scored twice", *FLAG_NAMES.values()],
    "16_intersection_audit": ["0.93 (0.88 to 0.99)", "0.005", "0.44", "fewer genes", "no difference shown",
                              "more genes",
                              "Genes met by introgressed regions (n), against the mean of 200 draws; p: one-sided, for "
                              "fewer genes", "Pairs of region and gene: observed / expected"],
    "17_matching": ["n = 79,123 pairs of windows alike in composition", "(4,471 regions without a partner)",
                    "tolerance, ±0.1", "matched", "GC content", "share of repeats"],
    "18_gene_doses": ["As published: 387 of 20,924 predicted", "Published table: 387 of 20,924 predicted", "none",
                      "up to 50", "50 to 95", "95 to 100", "of 19,008", "265", "Genes predicted (%)"],
    "19_sweep": ["Letters of the run: 1,940 training windows", "chosen (ring) 0.89, GC content alone 0.66",
                 "Random letters: 1,940 training windows", "chosen (ring) 0.63, GC content alone 0.61",
                 "AUROC on held-out chromosomes", "Length of the words, nt"],
    "20_sequences": ["Windows cut into disjoint pieces", "Windows cut by shifts of one letter", "LSTM", "99.5", "81.0",
                     "Convolutional network", "Rule: overlaps an introgressed one", "n = 167,188", "held out"],
    "21_positions": ["LSTM: words at one place permuted among test sub-sequences", "Change of the logit",
                     "LSTM: letter at one place replaced, mean size of the change",
                     "Convolutional network: letter at one place replaced, mean size of the change"],
    "22_embedding": ["Vectors of the 40 most common words", "GC content of word (%)"],
    "23_smoothing": ["AUROC", "Average precision", "score alone", "(3 or 5 windows)", "posterior", "0.86", "0.65",
                     "Each window alone", "With its neighbours", "Place on chr3, Mb"],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_svg_holds_its_words_as_text(drawn, name):
    directory, paths = drawn
    assert [path for path in paths if path.stem == name] == [directory / f"{name}.png", directory / f"{name}.svg"]
    found = texts_of(directory / f"{name}.svg")
    assert [text for text in EXPECTED[name] if text not in found] == []
    assert found.count(NOTE) == 1


def test_same_results_give_the_same_bytes_in_another_process(drawn, folder, tmp_path):
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(folder), str(tmp_path / "again")],
        env={**os.environ, "PYTHONHASHSEED": "78", "MPLBACKEND": "svg", "SOURCE_DATE_EPOCH": "1"},
        check=True,
    )
    for path in drawn[1]:
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
        assert not re.search(rb"<dc:date>|Software|matplotlib v", path.read_bytes())


def test_what_was_not_run_is_not_drawn(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", AUDIT)
    results = {**ordinary_results(), **audit_results()}
    del results["audit/null.tsv"], results["audit/genes.tsv"], results["audit/matched/match.json"]
    paths = draw_figures(save(results, tmp_path / "results"), tmp_path / "figures")
    assert sorted({path.stem for path in paths}) == [
        "12_leak_ladder", "14_leaks", "16_intersection_audit", "18_gene_doses", "19_sweep", "20_sequences",
        "21_positions", "22_embedding", "23_smoothing",
    ]  # fmt: skip


def test_a_results_file_of_the_audit_that_is_not_one(folder, tmp_path):
    results = {**ordinary_results(), "audit/ladder.tsv": ladder().drop(columns="high")}
    with pytest.raises(InputError, match=r"audit/ladder.tsv: no column high \(found rung, model"):
        draw_figures(save(results, tmp_path / "results"), tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


# What is drawn


def test_every_accuracy_stands_at_its_place():
    panels = plot("12_leak_ladder", audit_results()).axes
    for axes, names in zip(panels, (MODEL_NAMES, CONTROL_NAMES), strict=True):
        lines = [line for line in axes.lines if line.get_marker() not in ("", "None")]
        spans = [part for part in axes.collections if len(part.get_segments()) == len(RUNGS)]
        for name, line, span in zip(names, lines, spans, strict=True):
            assert line.get_ydata() == pytest.approx(ACCURACIES[name])
            assert np.round(line.get_xdata()).tolist() == [0, 1, 2, 3, 4]
            rows = ladder().query("model == @name and metric == 'accuracy'").set_index("rung").loc[list(RUNGS)]
            ends = np.array([segment[:, 1] for segment in span.get_segments()])
            assert ends == pytest.approx(100 * rows[["low", "high"]].to_numpy())
        printed = {text.get_text(): text.get_position()[1] for text in axes.texts}
        best = [f"{max(ACCURACIES[name][rung] for name in names):.1f}" for rung in range(len(RUNGS))]
        assert set(best) <= printed.keys()
        labels = [label for label in sorted(printed, key=printed.get, reverse=True) if label in names.values()]
        assert labels == sorted(names.values(), key=lambda label: -ACCURACIES[_key(names, label)][0])


def _key(names, label):
    return next(name for name, text in names.items() if text == label)


def test_chance_is_the_larger_class():
    rows = audit_results()["audit/ladder.tsv"]
    rows.loc[rows["metric"].isin(["tn", "fp"]) & (rows["rung"] == "cluster"), "value"] = 100.0
    rows.loc[rows["metric"].isin(["tp", "fn"]) & (rows["rung"] == "cluster"), "value"] = 300.0
    axes = plot("12_leak_ladder", {"audit/ladder.tsv": rows}).axes[0]
    dotted = [part.get_segments()[0] for part in axes.collections if len(part.get_segments()) == 1]
    assert [segment[0, 1] for segment in dotted] == pytest.approx([50, 50, 75, 50, 50])


def test_ladder_of_what_was_scored():
    rows = ladder()
    few = rows[rows["rung"].isin(["article", "chromosome"]) & rows["model"].isin(["forest", "gc"])]
    few = few[(few["model"] != "forest") | (few["rung"] == "chromosome")]
    models, controls = plot("12_leak_ladder", {"audit/ladder.tsv": few}).axes
    (forest,) = (line for line in models.lines if line.get_marker() == "s")
    assert (forest.get_xdata().tolist(), forest.get_ydata().tolist()) == ([1], [pytest.approx(60.8)])
    (gc,) = (line for line in controls.lines if line.get_marker() == "v")
    assert gc.get_ydata() == pytest.approx([58.1, 57.9])


def test_ladder_without_what_it_needs():
    rows = ladder()
    with pytest.raises(InputError, match="ladder: no tn, fp on rung distinct"):
        figures.plot_leak_ladder(rows[~(rows["metric"].isin(["tn", "fp"]) & (rows["rung"] == "distinct"))])
    with pytest.raises(InputError, match="ladder: found no accuracy, expected one of network, forest"):
        figures.plot_leak_ladder(rows[rows["model"] == "gc"].assign(model="oracle"))
    with pytest.raises(InputError, match="null: found rungs cluster, none of which is in the ladder"):
        figures.plot_null_genome(ladder().query("rung == 'article'"), ladder().query("rung == 'cluster'"))


def test_real_and_random_letters_side_by_side():
    results = audit_results()
    panels = plot("13_null_genome", results).axes
    for axes, rung in zip(panels, ("article", "chromosome"), strict=True):
        points = [line for line in axes.lines if line.get_marker() == "o"]
        for table, face in (("audit/ladder.tsv", "#000000"), ("audit/null.tsv", "#ffffff")):
            rows = results[table].query("rung == @rung and metric == 'accuracy'").set_index("model")["value"]
            found = [p.get_xdata()[0] for p in points if to_hex(p.get_markerfacecolor()) == face]
            assert found == pytest.approx(100 * rows.loc[list(MODEL_NAMES)].to_numpy())
        upright = [line.get_xdata()[0] for line in axes.lines if line.get_marker() != "o"]
        assert upright == pytest.approx([50, ACCURACIES["exact_window"][RUNGS.index(rung)]])


def test_bars_of_leaks():
    (axes,) = plot("14_leaks", audit_results()).axes
    widths = np.array([bar.get_width() for bar in axes.patches]).reshape(3, 5)
    assert widths[:, 0] == pytest.approx([62.4, 87.5, 95.3])
    assert widths[:, 1] == pytest.approx([0, 75.1, 91.2])
    assert (widths[:, 2:] == 0).all()


def test_genes_against_their_base_rate():
    results = audit_results()
    shares, odds, scatter = plot("15_gene_audit", results).axes
    rows = results["audit/gene_flags.tsv"].query("unit == 'row'").set_index(["table", "flag"])
    rows = rows.loc[[(table, flag) for table in rows.index.levels[0] for flag in FLAG_NAMES]]
    for marker, column in (("o", "share_predicted"), ("|", "share_all")):
        points = [line.get_xdata()[0] for line in shares.lines if line.get_marker() == marker]
        assert points == pytest.approx(100 * rows[column].to_numpy())
    spans = np.array([part.get_segments()[0][:, 0] for part in odds.collections])
    assert spans[:, 0] == pytest.approx(rows["low"].to_numpy())
    assert spans[:, 1] == pytest.approx(np.minimum(rows["high"], odds.get_xlim()[1]).to_numpy())
    genes = results["audit/genes.tsv"]
    drawn = np.concatenate([np.asarray(part.get_offsets()) for part in scatter.collections])
    assert np.sort(drawn[:, 0]) == pytest.approx(np.sort(genes["Prob_1"]))
    inside = np.asarray(scatter.collections[2].get_offsets())
    assert np.array_equal(inside, genes.loc[genes["in_window"], ["Prob_1", "prob_oof"]])
    assert all(part.get_rasterized() for part in scatter.collections)


def test_ratios_and_their_conclusions():
    table = audit_results()["audit/intersections.tsv"]
    axes, _ = plot("16_intersection_audit", {"audit/intersections.tsv": table}).axes
    points = [line for line in axes.lines if line.get_marker() == "s"]
    assert [line.get_xdata()[0] for line in points] == table["ratio"].tolist()
    spans = [part.get_segments()[0][:, 0].tolist() for part in axes.collections]
    assert spans == table[["low", "high"]].to_numpy().tolist()
    colors = dict(zip(table["conclusion"], (to_hex(line.get_color()).upper() for line in points), strict=True))
    assert colors["fewer genes"] == figures.DEPLETED
    assert colors["more genes"] == figures.INTROGRESSED
    labels = [" ".join(tick.get_text().split()) for tick in axes.get_yticklabels()]
    assert labels[1].endswith("3 left out that cannot be drawn (n = 6,060)")


def test_balance_before_and_after():
    results = audit_results()
    (axes,) = plot("17_matching", results).axes
    balance = results["audit/matched/balance.tsv"]
    before, after = (line for line in axes.lines if line.get_marker() == "o")
    assert before.get_xdata().tolist() == balance["smd_before"].tolist()
    assert after.get_xdata().tolist() == balance["smd_after"].tolist()
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.1, 0.2))


def test_areas_and_a_stretch_of_a_held_out_chromosome():
    results = audit_results()
    auroc, alone, auprc, together = plot("23_smoothing", results).axes
    for axes, metric in ((auroc, "auroc"), (auprc, "auprc")):
        points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
        methods = ("score", "moving_average", "posterior")
        assert points == pytest.approx([SMOOTHED[method, metric] for method in methods])
        ends = [part.get_segments()[0][:, 0] for part in axes.collections]
        assert np.array(ends) == pytest.approx(np.array([[x - 0.03, x + 0.03] for x in points]))
    windows = results["audit/smooth.tsv"]
    # From 100,000 nt before the first introgressed window, at 200,000, on: 2,000,000 nt.
    shown = windows[(windows["chrom"] == "chr3") & windows["chrom_start"].between(100_000, 2_090_000)]
    for axes, column in ((alone, "probability"), (together, "posterior")):
        assert [bar.get_x() for bar in axes.patches] == pytest.approx(shown["chrom_start"].to_numpy() / 1e6)
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(shown[column].to_numpy())
        (marks,) = axes.collections
        places = np.array([path.get_extents().intervalx for path in marks.get_paths()])
        assert places[:, 0] == pytest.approx(np.arange(0.2, 0.295, 0.01))
        assert axes.get_xlim() == pytest.approx((0.1, 2.1))


def test_a_window_without_a_score_has_no_bar():
    results = audit_results()
    windows = results["audit/smooth.tsv"].query("chrom_start < 100_000")  # none is introgressed: the first is first
    for axes in plot("23_smoothing", {**results, "audit/smooth.tsv": windows}).axes[1::2]:
        assert [round(100 * bar.get_x()) for bar in axes.patches] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_smoothing_that_was_not_measured(tmp_path):
    nothing = audit_results()["audit/smoothing.tsv"].head(0)
    poor = {"audit/smoothing.tsv": nothing, "audit/smooth.tsv": nothing,
            "audit/smoothing.json": {"held_out": ["chr1"], "not_done": "found none"}}  # fmt: skip
    draw_figures(save(poor, tmp_path), tmp_path, names=["23_smoothing"])
    assert texts_of(tmp_path / "23_smoothing.svg") == ["Not measured: found none."]


def test_windows_that_are_not_those_of_the_smoothing():
    results = audit_results()
    other = {**results, "audit/smooth.tsv": results["audit/smooth.tsv"].assign(chrom="chr1")}
    with pytest.raises(InputError, match="windows: found none on chr3, chr7, expected those of held-out chromosomes"):
        plot("23_smoothing", other)
    with pytest.raises(InputError, match="windows: no column covered, posterior "):
        plot("23_smoothing", {**results, "audit/smooth.tsv": results["audit/smooth.tsv"].iloc[:, [0, 1, 2, 5]]})


@given(st.lists(st.integers(0, 100), max_size=8), st.integers(1, 20))
def test_labels_are_moved_apart_and_no_further(places, gap):
    moved = spread_apart(places, gap)
    order = np.argsort(places, kind="stable")
    assert (np.diff(moved[order]) >= gap - 1e-9).all()
    assert moved.sum() == pytest.approx(sum(places), abs=1e-6)
    apart = np.array(places)[order]
    if (np.diff(apart) >= gap).all():
        assert moved == pytest.approx(places)
    # Least squares: no labels that hold to the gap lie nearer, the midpoint with any others included.
    other = np.empty(len(order))
    other[order] = np.mean(places or [0]) + gap * (np.arange(len(order)) - (len(order) - 1) / 2)
    for share in (0.01, 0.5, 1):
        trial = (1 - share) * moved + share * other
        assert np.square(moved - places).sum() <= np.square(trial - places).sum() + 1e-6


# Legibility


@pytest.mark.parametrize("results", [audit_results, poorest_audit])
@pytest.mark.parametrize("name", NAMES)
def test_texts_lie_within_the_figure_and_apart(name, results):
    figure = plot(name, results())
    figures._stamp(figure, NOTE)
    figure.draw_without_rendering()
    canvas = figure.bbox.padded(1.5)
    boxes = [(text, text.get_window_extent()) for text in shown_texts(figure)]
    outside = [text.get_text() for text, box in boxes if not canvas.x0 < box.x0 < box.x1 < canvas.x1
               or not canvas.y0 < box.y0 < box.y1 < canvas.y1]  # fmt: skip
    assert outside == []
    boxes = [(text, box.padded(-1)) for text, box in boxes]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert len(pairs) > 5
    assert [(one.get_text(), other.get_text()) for (one, a), (other, b) in pairs if a.overlaps(b)] == []
    words = [text.get_text().lower() for text, _ in boxes]
    assert not any(re.search(r"\bnan\b|\binf\b", word) for word in words)


def test_poorest_results_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", AUDIT)
    paths = draw_figures(save({**ordinary_results(), **poorest_audit()}, tmp_path / "results"), tmp_path / "figures")
    assert len(paths) == 2 * len(AUDIT)
    texts = {path.stem: texts_of(path) for path in paths if path.suffix == ".svg"}
    assert "not defined" in texts["15_gene_audit"]
    assert "Out of fold: 0 of 21,503 predicted" in texts["15_gene_audit"]
    assert "not defined" in texts["16_intersection_audit"]
    assert "n = 2" in texts["12_leak_ladder"]


def test_bars_of_doses_are_shares():
    results = audit_results()
    found = results["audit/gene_doses.tsv"].query("table == 'as published'")
    heights = [bar.get_height() for bar in plot("18_gene_doses", results).axes[0].patches]
    assert heights == pytest.approx([100 * 107 / 19_008, 100 * 6 / 851, 100 * 9 / 600, 100 * 265 / 465])
    assert len(heights) == len(found)
    (axes,) = plot("18_gene_doses", poorest_audit()).axes
    assert [bar.get_height() for bar in axes.patches] == [0, 0, 0, 0]  # no gene anywhere


def test_figures_by_name_need_only_their_own_files(tmp_path):
    results = {name: audit_results()[name] for name in ("audit/leak.json", "audit/gene_doses.tsv")}
    folder = save(results, tmp_path / "results")
    (folder / "genes.tsv").write_text("not looked at", encoding="utf-8")
    drawn = draw_figures(folder, tmp_path, names=["18_gene_doses", "14_leaks"])
    assert [path.name for path in drawn] == ["14_leaks.png", "14_leaks.svg", "18_gene_doses.png", "18_gene_doses.svg"]
    assert NOTE not in texts_of(tmp_path / "14_leaks.svg")  # nothing says that the data are synthetic
    with pytest.raises(InputError, match=r"intersections.tsv: not found \(expected .* 'audit intersections' writes"):
        draw_figures(folder, tmp_path / "more", names=["14_leaks", "16_intersection_audit"])
    with pytest.raises(InputError, match=r"figure '15': found no such figure, expected one of 01_region_lengths, "):
        draw_figures(folder, tmp_path / "more", names=["14_leaks", "15"])
    assert not (tmp_path / "more").exists()
