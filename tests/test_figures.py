import json
import os
import re
import subprocess
import sys
from itertools import product
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from neanderthal_nlp import figures
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures import ARTICLE as FIGURES
from neanderthal_nlp.figures import draw_figures
from neanderthal_nlp.files import write_bed, write_json, write_table
from neanderthal_nlp.parameters import PREDICTIVE_KMERS

KMERS = ["".join(letters) for letters in product("ACGT", repeat=3)]
NAMES = [
    "01_region_lengths", "02_top_kmers", "03_training_curve", "04_confusion_network", "05_confusion_forest",
    "06_importances", "07_gene_lists", "08_umap", "09_tsne", "10_gc_content", "11_intersections",
]  # fmt: skip
STAGES = {
    "introgressed.bed": "regions", "regions.json": "regions", "windows.tsv": "windows", "top_kmers.tsv": "kmers",
    "history.tsv": "network", "evaluation.tsv": "evaluation", "importances.tsv": "forest", "genes.tsv": "genes",
    "embeddings.tsv": "embeddings", "clusters.tsv": "embeddings", "gc.tsv": "intersections",
    "intersections.json": "intersections",
}  # fmt: skip
NOTE = "synthetic data"


def evaluation_table(cells, low, high):
    rows = []
    for model, (tn, fp, fn, tp) in cells.items():
        total = tn + fp + fn + tp
        rows.append((model, "article", "accuracy", (tn + tp) / total, low, high))
        counts = {"tn": tn, "fp": fp, "fn": fn, "tp": tp, "n_test": total}
        rows += [(model, "article", metric, value, np.nan, np.nan) for metric, value in counts.items()]
        rows += [(model, "cluster", metric, 1, np.nan, np.nan) for metric in ("accuracy", *counts)]
    return pd.DataFrame(rows, columns=["model", "protocol", "metric", "value", "low", "high"])


def clusters_table(sizes, **columns):
    rows = [
        {
            "map": method, "cluster": cluster, "n_kmers": size, "gc_mean": 0.4 + 0.2 * cluster,
            "gc_low": 0.38 + 0.2 * cluster, "gc_high": 0.42 + 0.2 * cluster,
            "predictive_kmers": "" if cluster else "AAAAA,TTTTT", "silhouette": 0.614, "n_clusters_by_silhouette": 2,
            "n_cpg": 7 * cluster,
        }
        for method in ("umap", "tsne")
        for cluster, size in enumerate(sizes)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


def ordinary_results():
    """Small results of an ordinary run."""
    rng = np.random.default_rng(11)
    kmers = [*PREDICTIVE_KMERS, *(first + "GC" + last for first, last in product("ACGT", KMERS[:14]))]
    starts = rng.integers(0, 10**6, 400)
    lengths = np.sort(np.exp(rng.uniform(np.log(10_000), np.log(1_200_000), 400))).astype(int)
    n, genes = len(kmers), 60
    importance = np.sort(rng.gamma(2, 1 / n, n))[::-1]
    permutation = np.where(np.arange(n) < 50, importance / 2, np.nan)
    probabilities = np.sort(rng.uniform(0.02, 0.99, genes).round(3))[::-1]
    epochs = np.arange(1, 41)
    gc_of = np.array([sum(letter in "GC" for letter in kmer) / 5 for kmer in kmers])
    cluster = (gc_of > 0.5).astype(int)
    return {
        "introgressed.bed": pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + lengths}),
        "regions.json": {
            "synthetic": True, "n_introgressed": 400, "length_min": float(lengths.min()),
            "length_mean": float(lengths.mean()),
            "length_max": float(lengths.max()),
        },
        "windows.tsv": pd.DataFrame({"chrom": "chr1", "start": 0, "end": 9, "label": [1] * 1234 + [0] * 1233}),
        "top_kmers.tsv": pd.concat(
            [
                pd.DataFrame({"label": label, "rank": np.arange(1, 21), "kmer": kmers[:20],
                              "count": np.arange(20, 0, -1) * scale})
                for label, scale in (("introgressed", 1000), ("depleted", 1100))
            ]
        ),
        "history.tsv": pd.DataFrame({
            "epoch": epochs, "binary_accuracy": 0.5 + epochs / 100, "loss": 1.0,
            "val_binary_accuracy": 0.8 - np.abs(epochs - 33) / 100, "val_loss": 1.0,
        }),
        "evaluation.tsv": evaluation_table({"network": (4100, 900, 1200, 3800), "forest": (4900, 100, 1500, 3500)},
                                           0.781, 0.799),
        "importances.tsv": pd.DataFrame({
            "kmer": kmers, "importance": importance, "std": importance, "permutation": permutation,
            "permutation_std": permutation / 3,
        }),
        "genes.tsv": pd.DataFrame({
            "Gene": [f"chr6_mcf_hap5:{1_000_000 + i}-{2_000_000 + i}" for i in range(genes)],
            "Gene_Symbol": ["NA", *(f"LOC{100_506_000 + i}" for i in range(genes - 1))],
            "Predict": (probabilities > 0.5).astype(float), "Prob_0": 1 - probabilities, "Prob_1": probabilities,
        }),
        "embeddings.tsv": pd.DataFrame({
            "kmer": kmers, "gc": gc_of, "umap_1": rng.normal(size=n) + 9 * cluster, "umap_2": rng.normal(size=n),
            "tsne_1": rng.normal(size=n), "tsne_2": rng.normal(size=n) - 50 * cluster, "cluster": cluster,
        }),
        "clusters.tsv": clusters_table(((cluster == 0).sum(), (cluster == 1).sum())),
        "gc.tsv": pd.DataFrame({
            "kind": ["gene"] * 150 + ["genome"] * 250, "chrom": "chr1", "start": 0, "end": 100_000,
            "gc": np.concatenate((rng.normal(0.47, 0.06, 150), rng.normal(0.41, 0.04, 249), [np.nan])),
        }),
        "intersections.json": {
            "observed": 140_821, "draws": rng.integers(151_000, 154_000, 20).tolist(), "n_draws": 20,
            "n_at_or_below": 0, "p": 1 / 21, "p_article": "p < 1/20", "gc_genes": 0.471, "gc_genome": 0.409,
        },
    }  # fmt: skip


def poorest_results():
    """The least that stages can leave behind."""
    return {
        "introgressed.bed": pd.DataFrame({"chrom": ["1"], "start": [0], "end": [900]}),
        "regions.json": {"n_introgressed": 1, "length_min": 900.0, "length_mean": 900.0, "length_max": 900.0},
        "windows.tsv": pd.DataFrame({"chrom": "1", "start": 0, "end": 9, "label": [1, 0]}),
        "top_kmers.tsv": pd.DataFrame({"label": ["introgressed"], "rank": [1], "kmer": ["AAAAA"], "count": [1]}),
        "history.tsv": pd.DataFrame({"epoch": [1], "binary_accuracy": [0.5], "val_binary_accuracy": [0.4]}),
        "evaluation.tsv": evaluation_table({"network": (3, 0, 0, 0), "forest": (0, 0, 1, 1)}, np.nan, np.nan),
        "importances.tsv": pd.DataFrame({
            "kmer": ["AAAAA", "CG"], "importance": [1.0, 0.0], "std": 0.0, "permutation": np.nan,
            "permutation_std": np.nan,
        }),
        "genes.tsv": pd.DataFrame({
            "Gene": "chr6_mcf_hap5:31000000-32000000", "Gene_Symbol": ["A", "LOC100506207", "B"],
            "Predict": [1.0, 0.0, 0.0], "Prob_1": [1.0, 0.5, 0.0],
        }),
        "embeddings.tsv": pd.DataFrame({
            "kmer": ["AAAAA", "GGGGG"], "gc": [0.0, 1.0], "umap_1": 0.0, "umap_2": 0.0, "tsne_1": [0.0, 1.0],
            "tsne_2": 0.0, "cluster": 0,
        }),
        "clusters.tsv": clusters_table((2,), gc_low=np.nan, gc_high=np.nan, silhouette=np.nan),
        "gc.tsv": pd.DataFrame({"kind": ["gene", "genome"], "chrom": "1", "start": 0, "end": 9, "gc": 0.4}),
        "intersections.json": {
            "observed": 7, "draws": [7] * 20, "n_draws": 20, "n_at_or_below": 20, "p": 1.0, "p_article": "p = 20/20",
            "gc_genes": 0.4, "gc_genome": 0.4,
        },
    }  # fmt: skip


def save(results, folder):
    writers = {".bed": write_bed, ".json": write_json, ".tsv": write_table}
    for name, value in results.items():
        path = folder / name
        writers[path.suffix](value, path)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(ordinary_results(), tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def poor_folder(tmp_path_factory):
    return save(poorest_results(), tmp_path_factory.mktemp("poor"))


@pytest.fixture(scope="module")
def drawn(folder, tmp_path_factory):
    """Folder of the figures, their paths, and whether matplotlib's settings were left alone."""
    directory = tmp_path_factory.mktemp("run") / "figures"
    before = dict(mpl.rcParams)
    paths = draw_figures(folder, directory)
    assert dict(mpl.rcParams) == before
    return directory, paths


def plot(name, results):
    """Draw one figure from results in memory."""
    recipe = FIGURES[name]
    return recipe.plot(**{argument: results[file] for argument, file in recipe.inputs.items()})


def texts_of(path):
    """All texts of an SVG, white space normalised."""
    root = ElementTree.fromstring(path.read_bytes())  # noqa: S314 (our own file)
    return [" ".join("".join(node.itertext()).split()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


# Files


def test_every_figure_is_drawn_as_png_and_svg(drawn):
    directory, paths = drawn
    assert list(FIGURES) == NAMES
    assert paths == [directory / f"{name}.{suffix}" for name in NAMES for suffix in ("png", "svg")]
    assert sorted(directory.iterdir()) == sorted(paths)
    for path in paths:
        if path.suffix == ".png":
            height, width = imread(path).shape[:2]
            assert width in {708, 709, 1417}, "90 or 180 mm at 200 dots an inch"
            assert 300 < height < 1400
        else:
            ElementTree.fromstring(path.read_bytes())  # noqa: S314


EXPECTED = {
    "01_region_lengths": ["Length of region (kb)", "Introgressed regions (count)", "n = 400 introgressed regions"],
    "02_top_kmers": ["Occurrences (count)", "AAAAA", "CATTT", "Introgressed, n = 1,234 windows",
                     "Depleted, n = 1,233 windows", "20 k"],
    "03_training_curve": ["Epoch", "Accuracy (%)", "training", "validation",
                          "Best epoch 33 of 40: validation accuracy 80.0 %"],
    "04_confusion_network": ["Predicted class (count, and % of the true class)", "True class", "4,100", "82.0 %",
                             "900", "18.0 %", "1,200", "24.0 %", "3,800", "76.0 %", "(n = 5,000)",
                             "Neural network, n = 10,000 test windows, split “article”",
                             "accuracy 79.0 % (95 % interval 78.1 to 79.9 %)"],
    "05_confusion_forest": ["4,900", "98.0 %", "3,500", "70.0 %",
                            "Random forest, n = 10,000 test windows, split “article”"],
    "06_importances": ["Impurity importance", "Permutation importance", *PREDICTIVE_KMERS],
    "07_gene_lists": ["NA", "LOC100506058", "Probability of introgression, Prob_1", "chr6_mcf_hap5:1000000"],
    "08_umap": ["UMAP 1 (arbitrary units)", "GC content of k-mer (%)", *PREDICTIVE_KMERS, "AGCAAA",
                "UMAP of the Word2Vec vectors of 60 k-mers",
                "The UMAP map in two clusters: silhouette 0.61, widest for 2 clusters."],
    "09_tsne": ["t-SNE 1 (arbitrary units)", "t-SNE 2 (arbitrary units)", *PREDICTIVE_KMERS],
    "10_gc_content": ["GC content (%)", "Share of genes or bins (%)", "genes (n = 150)", "100-kb bins (n = 249)",
                      "GC content (dashed): genes 47.1 %, genome 40.9 %"],
    "11_intersections": ["Intersections of regions with genes (count)", "Draws (count)", "introgressed: 140,821",
                         "depleted draws (n = 20)", "p = 0.0476: 0 of 20 draws at or below observed",
                         "(in the article's way of counting: p < 1/20)"],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_svg_holds_its_words_as_text(drawn, name):
    directory, _ = drawn
    found = texts_of(directory / f"{name}.svg")
    assert [text for text in EXPECTED[name] if text not in found] == []
    assert found.count(NOTE) == 1


def test_captions_of_the_maps(drawn):
    directory, _ = drawn
    table = ordinary_results()["clusters.tsv"]
    for name, method in (("08_umap", "umap"), ("09_tsne", "tsne")):
        found = texts_of(directory / f"{name}.svg")
        large, small = table.loc[table["map"] == method, "n_kmers"]
        assert (
            f"Cluster 0: {large} k-mers, 0 with a CpG; mean GC 40.0 % (95 % interval 38.0 to 42.0 %); "
            "of the article's four: AAAAA, TTTTT." in found
        )
        assert (
            f"Cluster 1: {small} k-mers, 7 with a CpG; mean GC 60.0 % (95 % interval 58.0 to 62.0 %); "
            "of the article's four: none." in found
        )


AGAIN = """
import sys
from neanderthal_nlp.figures import draw_figures
draw_figures(sys.argv[1], sys.argv[2])
"""


def test_same_results_give_the_same_bytes_in_another_process(drawn, folder, tmp_path):
    _, paths = drawn
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(folder), str(tmp_path / "again")],
        env={**os.environ, "PYTHONHASHSEED": "77", "MPLBACKEND": "svg", "SOURCE_DATE_EPOCH": "1"},
        check=True,
    )
    for path in paths:
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
        assert not re.search(rb"<dc:date>|Software|matplotlib v", path.read_bytes())


def test_layout_does_not_hang_on_last_digits():
    """The layout's solver orders by memory address: without rounding, ids in the SVG differ now and then."""
    figure = plot("06_importances", ordinary_results())
    figure.draw_without_rendering()
    before = [axes.get_position().bounds for axes in figure.axes]
    figures._settle(figure)
    after = [axes.get_position().bounds for axes in figure.axes]
    assert np.allclose(before, after, atol=1e-6)
    corners = [bound for bounds in after for bound in (bounds[0], bounds[1])]
    assert corners == [round(bound, 6) for bound in corners]
    figure.draw_without_rendering()
    assert [axes.get_position().bounds for axes in figure.axes] == after


def test_the_users_settings_do_not_show(folder, tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"03_training_curve": FIGURES["03_training_curve"]})
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path", "savefig.dpi": 10}):
        paths = draw_figures(folder, tmp_path)
    assert [path.read_bytes() for path in paths] == [(drawn[0] / path.name).read_bytes() for path in paths]


def test_figures_of_real_data_carry_no_note(folder, tmp_path, monkeypatch):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "regions.json").write_text((folder / "regions.json").read_text().replace("true", "false"))
    monkeypatch.setattr(figures, "FIGURES", {"11_intersections": FIGURES["11_intersections"]})
    _, svg = draw_figures(tmp_path, tmp_path / "figures")
    assert NOTE not in texts_of(svg)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_missing_results_file(folder, tmp_path, name):
    for path in folder.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(InputError, match=rf"{re.escape(name)}: not found .* stage '{STAGES[name]}' writes"):
        draw_figures(tmp_path, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_results_file_without_what_is_drawn(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    test = json.loads((tmp_path / "intersections.json").read_text())
    del test["p"], test["observed"]
    (tmp_path / "intersections.json").write_text(json.dumps(test))
    with pytest.raises(InputError, match=r"intersections.json: no observed, p \(found draws, n_draws"):
        draw_figures(tmp_path, tmp_path / "figures")
    (tmp_path / "genes.tsv").write_text("Gene\tGene_Symbol\nchr1:1-2\tA\n")
    with pytest.raises(InputError, match=r"genes.tsv: no column Predict, Prob_1"):
        draw_figures(tmp_path, tmp_path / "figures")


def test_an_interrupted_drawing_leaves_the_former_figure(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"11_intersections": FIGURES["11_intersections"]})
    former = tmp_path / "11_intersections.png"
    former.write_bytes(b"former")

    def half(figure, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "_save_png", half)
    with pytest.raises(KeyboardInterrupt):
        draw_figures(folder, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {former.name: b"former"}


# What is drawn


def test_lengths_are_counted():
    results = ordinary_results()
    (axes,) = plot("01_region_lengths", results).axes
    regions = results["introgressed.bed"]
    kb = (regions["end"] - regions["start"]) / 1000
    counts, edges = np.histogram(kb, bins=np.geomspace(kb.min(), kb.max(), 61))
    assert [bar.get_height() for bar in axes.patches] == counts.tolist()
    assert [bar.get_x() for bar in axes.patches] == pytest.approx(edges[:-1])
    assert counts.sum() == 400
    assert axes.lines[0].get_xdata()[0] == results["regions.json"]["length_mean"] / 1000
    assert axes.get_xscale() == "log"


def test_bars_of_top_kmers():
    results = ordinary_results()
    panels = plot("02_top_kmers", results).axes
    for axes, label in zip(panels, ("introgressed", "depleted"), strict=True):
        rows = results["top_kmers.tsv"][results["top_kmers.tsv"]["label"] == label]
        assert [bar.get_width() for bar in axes.patches] == rows["count"].tolist()
        assert [tick.get_text() for tick in axes.get_yticklabels()] == rows["kmer"].tolist()
        low, high = axes.get_ylim()
        assert low > high, "the first rank is at the top"
        assert [t.get_text() for t in axes.get_yticklabels() if t.get_fontweight() == "bold"] == [*PREDICTIVE_KMERS]


def test_ranks_decide_the_order():
    results = ordinary_results()
    expected = [bar.get_width() for bar in plot("02_top_kmers", results).axes[0].patches]
    results["top_kmers.tsv"] = results["top_kmers.tsv"].sample(frac=1, random_state=1)
    assert [bar.get_width() for bar in plot("02_top_kmers", results).axes[0].patches] == expected


def test_training_curve_and_its_first_best_epoch():
    results = ordinary_results()
    history = results["history.tsv"]
    history.loc[35, "val_binary_accuracy"] = history["val_binary_accuracy"].max()
    (axes,) = plot("03_training_curve", results).axes
    training, validation, best = axes.lines
    assert np.array_equal(training.get_xdata(), history["epoch"])
    assert np.array_equal(training.get_ydata(), 100 * history["binary_accuracy"])
    assert np.array_equal(validation.get_ydata(), 100 * history["val_binary_accuracy"])
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (33, pytest.approx(80))


def test_confusion_matrix():
    results = ordinary_results()
    figure = plot("05_confusion_forest", results)
    (axes,) = figure.axes
    assert axes.collections[0].get_array().tolist() == [[0.98, 0.02], [0.3, 0.7]]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {
        (0.5, 0.5): "4,900\n98.0 %", (1.5, 0.5): "100\n2.0 %",
        (0.5, 1.5): "1,500\n30.0 %", (1.5, 1.5): "3,500\n70.0 %",
    }  # fmt: skip
    low, high = axes.get_ylim()
    assert low > high, "depleted, the first row, is at the top"
    other = figures.plot_confusion(results["evaluation.tsv"], model="forest", name="Forest", protocol="cluster")
    assert "n = 4 test windows, split “cluster”" in other.get_suptitle()


def test_confusion_matrix_of_a_model_that_is_not_there():
    table = ordinary_results()["evaluation.tsv"]
    with pytest.raises(InputError, match=r"evaluation.tsv: no tn, fp, fn, tp, accuracy for model svm$"):
        figures.plot_confusion(table, model="svm", name="SVM")
    with pytest.raises(InputError, match=r"for model forest under protocol chromosome$"):
        figures.plot_confusion(table, model="forest", name="Forest", protocol="chromosome")
    with pytest.raises(InputError, match=r"evaluation.tsv: no fp for model network under protocol article$"):
        figures.plot_confusion(table[table["metric"] != "fp"], model="network", name="Network")


def test_importances_with_their_deviations():
    results = ordinary_results()
    rows = results["importances.tsv"].head(50)
    panels = plot("06_importances", results).axes
    for axes, column, std in zip(panels, ("importance", "permutation"), ("std", "permutation_std"), strict=True):
        assert [bar.get_height() for bar in axes.patches] == rows[column].tolist()
        (lines,) = axes.collections
        spans = np.array([segment[:, 1] for segment in lines.get_segments()])
        assert spans == pytest.approx(np.column_stack((rows[column] - rows[std], rows[column] + rows[std])))
        colors = [mpl.colors.to_hex(bar.get_facecolor()).upper() for bar in axes.patches]
        assert [color == figures.PREDICTIVE for color in colors] == rows["kmer"].isin(PREDICTIVE_KMERS).tolist()
    assert [tick.get_text() for tick in panels[1].get_xticklabels()] == rows["kmer"].tolist()


def test_gene_lists_highest_and_lowest():
    results = ordinary_results()
    genes = results["genes.tsv"]
    again = genes.iloc[[0, -1]].assign(Prob_1=[0.5, 0.5])
    results["genes.tsv"] = pd.concat([genes, again]).sample(frac=1, random_state=2)
    figure = plot("07_gene_lists", results)
    highest, lowest = figure.axes
    assert [bar.get_width() for bar in highest.patches] == genes["Prob_1"].head(20).tolist()
    assert [bar.get_width() for bar in lowest.patches] == genes["Prob_1"].tail(20).tolist()[::-1]
    assert [tick.get_text() for tick in highest.get_yticklabels()] == genes["Gene_Symbol"].head(20).tolist()
    assert [tick.get_text() for tick in lowest.get_yticklabels()] == genes["Gene_Symbol"].tail(20).tolist()[::-1]
    assert figure.get_suptitle() == f"{int(genes['Predict'].sum()) + 1} of 62 genes predicted introgressed"


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_every_kmer_stands_at_its_place(method):
    results = ordinary_results()
    points = results["embeddings.tsv"]
    axes = plot(f"0{8 + (method == 'tsne')}_{method}", results).axes[0]
    printed = {text.get_text(): text for text in axes.texts}
    assert list(printed) == points["kmer"].tolist()
    for row in points.to_dict("records"):
        assert printed[row["kmer"]].get_position() == (row[f"{method}_1"], row[f"{method}_2"])
    large = [kmer for kmer, text in printed.items() if text.get_fontsize() > 10]
    assert large == list(PREDICTIVE_KMERS)
    assert {printed[kmer].get_color() for kmer in large} == {figures.PREDICTIVE}
    by_gc = {}
    for kmer, gc in zip(points["kmer"], points["gc"], strict=True):
        if kmer not in large:
            by_gc.setdefault(gc, set()).add(tuple(printed[kmer].get_color()))
    assert all(len(colors) == 1 for colors in by_gc.values()), "one colour for one GC content"
    assert len(set.union(*by_gc.values())) == len(by_gc), "and another for another"
    for halo, (_, rows) in zip(axes.collections, points.groupby("cluster"), strict=True):
        assert np.array_equal(halo.get_offsets(), rows[[f"{method}_1", f"{method}_2"]])


def test_distributions_of_gc_are_shares():
    results = ordinary_results()
    (axes,) = plot("10_gc_content", results).axes
    genome, genes = axes.lines
    assert (genome.get_xdata()[0], genes.get_xdata()[0]) == (pytest.approx(40.9), pytest.approx(47.1))
    for outline, kind in zip(axes.patches[1::2], ("genome", "gene"), strict=True):
        corners = outline.get_xy()
        values = 100 * results["gc.tsv"].loc[results["gc.tsv"]["kind"] == kind, "gc"].dropna()
        edges, heights = corners[1:-1:2, 0], corners[1:-2:2, 1]
        expected = np.histogram(values, bins=np.append(edges, corners[-1, 0])[: len(heights) + 1])[0]
        assert heights == pytest.approx(100 * expected / len(values))
        assert heights.sum() == pytest.approx(100)


def test_draws_and_the_observed_count():
    results = ordinary_results()
    (axes,) = plot("11_intersections", results).axes
    assert sum(bar.get_height() for bar in axes.patches) == 20
    draws = results["intersections.json"]["draws"]
    assert axes.patches[0].get_x() == min(draws)
    assert axes.patches[-1].get_x() + axes.patches[-1].get_width() == pytest.approx(max(draws))
    (line,) = axes.lines
    assert list(line.get_xdata()) == [140_821, 140_821]
    assert line.get_color() == figures.INTROGRESSED


# Legibility


def shown_texts(figure):
    """Texts of a figure, without the tick labels beyond the limits of an axis, which are not drawn."""
    texts = list(figure.texts)
    for axes in figure.axes:
        hidden = set()
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.majorTicks, *axis.minorTicks]:
                hidden |= {tick.label2} if low <= tick.get_loc() <= high else {tick.label1, tick.label2}
        texts += [text for text in axes.findobj(Text) if text not in hidden]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("results", [ordinary_results, poorest_results])
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
    # K-mers of a map lie where they lie.
    if name in ("08_umap", "09_tsne"):
        boxes = [(text, box) for text, box in boxes if text.axes is None or text not in text.axes.texts]
    boxes = [(text, box.padded(-1)) for text, box in boxes]
    assert len(boxes) > 5
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert [(one.get_text(), other.get_text()) for (one, a), (other, b) in pairs if a.overlaps(b)] == []


def test_poorest_results_are_drawn(poor_folder, tmp_path):
    paths = draw_figures(poor_folder, tmp_path / "figures")
    assert all(path.stat().st_size > 2000 for path in paths)
    texts = {path.stem: " | ".join(texts_of(path)) for path in paths if path.suffix == ".svg"}
    assert not any("nan" in text.lower().split() for text in texts.values())
    assert "Best epoch 1 of 1: validation accuracy 40.0 %" in texts["03_training_curve"]
    assert "accuracy 100.0 %" in texts["04_confusion_network"]
    assert "interval" not in texts["04_confusion_network"]
    assert "–" in texts["04_confusion_network"], "no share of a class without windows"
    assert "not computed" in texts["06_importances"]
    assert "1 of 3 genes predicted introgressed" in texts["07_gene_lists"]
    assert "silhouette not defined" in texts["08_umap"]
    assert "0.9 to 0.9 kb" in texts["01_region_lengths"]
