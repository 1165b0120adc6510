"""The article's eleven figures; nothing is computed here but the bins of histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.style import (
    DEPLETED,
    INTROGRESSED,
    ONE_COLUMN,
    PREDICTIVE,
    TWO_COLUMNS,
    add_caption,
    count_axis,
    new_figure,
    percent,
    styled,
)
from neanderthal_nlp.parameters import N_TOP_IMPORTANCES, PREDICTIVE_KMERS

_TINTS = ("0.94", "#D6ECF8")
_MONOSPACED = "DejaVu Sans Mono"


def _kb(nt: float) -> str:
    return f"{nt / 1000:,.0f}" if nt >= 10_000 else f"{nt / 1000:.3g}"


def _slots(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits of an axis with a bar per row, so that a few rows are not drawn as slabs."""
    return -0.7, max(len(rows), 12) - 0.3


def _emphasise(labels: Sequence[Any], words: Sequence[str]) -> None:
    """Set the tick labels that are among the words in bold green."""
    for label in labels:
        if label.get_text() in words:
            label.set(color=PREDICTIVE, fontweight="bold")


@styled
def plot_region_lengths(regions: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Figure 1: lengths of the introgressed regions, on a logarithmic axis.

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end` (`introgressed.bed`).
    summary : mapping
        `n_introgressed`, `length_min`, `length_mean`, `length_max`, nt (`regions.json`).
    """
    kb = (regions["end"] - regions["start"]).to_numpy() / 1000
    low, high = kb.min(), kb.max()
    edges = np.geomspace(low, high, 61) if high > low else np.array([low / 1.1, low * 1.1])
    figure = new_figure(ONE_COLUMN, 65)
    axes = figure.subplots()
    axes.hist(kb, bins=list(edges), color=INTROGRESSED)
    axes.axvline(summary["length_mean"] / 1000, color="black", linestyle="--", linewidth=0.9)
    axes.set(xscale="log", xlabel="Length of region (kb)", ylabel="Introgressed regions (count)")
    axes.xaxis.set_major_locator(FixedLocator([m * 10.0**e for e in range(-3, 6) for m in (1, 2, 5)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    count_axis(axes.yaxis, 6)
    axes.set_title(
        f"n = {summary['n_introgressed']:,} introgressed regions\n"
        f"{_kb(summary['length_min'])} to {_kb(summary['length_max'])} kb, "
        f"mean {_kb(summary['length_mean'])} kb (dashed)"
    )
    return figure


@styled
def plot_top_kmers(top: pd.DataFrame, windows: pd.DataFrame, *, predictive: Sequence[str] = PREDICTIVE_KMERS) -> Figure:
    """Figure 2: the most common k-mers of each class.

    Parameters
    ----------
    top : DataFrame
        `label, rank, kmer, count` (`top_kmers.tsv`).
    windows : DataFrame
        `label`, 1 for introgressed (`windows.tsv`); its rows are counted.
    predictive : sequence of str
        K-mers whose names are set in green.
    """
    figure = new_figure(TWO_COLUMNS, 80)
    panels = figure.subplots(1, 2, sharex=True)
    classes = (("introgressed", 1, INTROGRESSED), ("depleted", 0, DEPLETED))
    for axes, (label, code, color) in zip(panels, classes, strict=True):
        rows = top[top["label"] == label].sort_values("rank")
        axes.barh(range(len(rows)), rows["count"], color=color)
        axes.set_yticks(range(len(rows)), rows["kmer"], family=_MONOSPACED)
        _emphasise(axes.get_yticklabels(), predictive)
        count_axis(axes.xaxis, 6, formatter=EngFormatter())
        axes.set(xlabel="Occurrences (count)", ylim=_slots(rows)[::-1])
        axes.set_title(f"{label.capitalize()}, n = {(windows['label'] == code).sum():,} windows")
    return figure


@styled
def plot_training_curve(history: pd.DataFrame) -> Figure:
    """Figure 3: accuracy of the network by epoch, its best epoch marked.

    Parameters
    ----------
    history : DataFrame
        `epoch, binary_accuracy, val_binary_accuracy` (`history.tsv`). The best epoch is the first with the
        highest validation accuracy, the one that the checkpoint keeps.
    """
    best = history.iloc[int(history["val_binary_accuracy"].argmax())]
    figure = new_figure(ONE_COLUMN, 65)
    axes = figure.subplots()
    marker = "o" if len(history) <= 20 else ""
    for column, name, color in (
        ("binary_accuracy", "training", "black"),
        ("val_binary_accuracy", "validation", INTROGRESSED),
    ):
        axes.plot(history["epoch"], 100 * history[column], color=color, label=name, marker=marker, markersize=2.5)
    axes.plot(
        best["epoch"],
        100 * best["val_binary_accuracy"],
        linestyle="none",
        marker="o",
        markersize=6,
        markerfacecolor="none",
        markeredgecolor=PREDICTIVE,
        markeredgewidth=1.5,
        clip_on=False,
        label=f"best epoch, {best['epoch']:.0f}",
    )
    count_axis(axes.xaxis, 8)
    axes.set(xlabel="Epoch", ylabel="Accuracy (%)", xlim=(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5))
    axes.legend(loc="best")
    axes.set_title(
        f"Best epoch {best['epoch']:.0f} of {len(history):,}: "
        f"validation accuracy {percent(best['val_binary_accuracy'])}"
    )
    return figure


def _metrics(evaluation: pd.DataFrame, model: str, protocol: str | None) -> tuple[str, dict[Any, Any]]:
    """Rows of one model and protocol by metric; by default of the protocol that comes first."""
    rows = evaluation[evaluation["model"] == model]
    if protocol is None and len(rows):
        protocol = str(rows["protocol"].iloc[0])
    metrics = {row.metric: row for row in rows[rows["protocol"] == protocol].itertuples()}
    missing = [name for name in ("tn", "fp", "fn", "tp", "accuracy") if name not in metrics]
    if missing:
        raise InputError(
            f"evaluation.tsv: no {', '.join(missing)} for model {model}"
            f"{'' if protocol is None else f' under protocol {protocol}'}"
        )
    return str(protocol), metrics


def _draw_matrix(axes: Axes, counts: np.ndarray) -> None:
    """Draw counts, true class by predicted class, shaded by their share of the true class."""
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
    for row, column in np.ndindex(2, 2):
        share = percent(shares[row, column]) if totals[row] else "–"
        color = "white" if shares[row, column] > 0.55 else "black"
        font: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10, "color": color}
        axes.text(column + 0.5, row + 0.5, f"{counts[row, column]:,}\n{share}", **font)
    names = ("depleted", "introgressed")
    axes.set_xticks([0.5, 1.5], names)
    rows = [f"{name}\n(n = {total:,})" for name, total in zip(names, totals, strict=True)]
    axes.set_yticks([0.5, 1.5], rows, rotation=90, va="center", ha="center", multialignment="center")
    axes.tick_params(length=0)
    axes.tick_params(axis="y", pad=8)
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()
    axes.set(xlabel="Predicted class (count, and % of the true class)", ylabel="True class")


@styled
def plot_confusion(evaluation: pd.DataFrame, *, model: str, name: str, protocol: str | None = None) -> Figure:
    """Figures 4 and 5: confusion matrix of the test windows.

    Parameters
    ----------
    evaluation : DataFrame
        `model, protocol, metric, value, low, high` (`evaluation.tsv`).
    model : str
        Model to show, such as "network" or "forest".
    name : str
        What the title calls it.
    protocol : str, optional
        Split to show; by default the first one listed for the model.

    Raises
    ------
    InputError
        The table lacks the model, the protocol or one of their counts.
    """
    protocol, metrics = _metrics(evaluation, model, protocol)
    counts = np.array([int(metrics[cell].value) for cell in ("tn", "fp", "fn", "tp")]).reshape(2, 2)
    figure = new_figure(ONE_COLUMN, 75)
    _draw_matrix(figure.subplots(), counts)
    accuracy = metrics["accuracy"]
    interval = f" (95 % interval {100 * accuracy.low:.1f} to {percent(accuracy.high)})"
    figure.suptitle(
        f"{name}, n = {counts.sum():,} test windows, split “{protocol}”\n"
        f"accuracy {percent(accuracy.value)}{'' if np.isnan(accuracy.low) else interval}",
        fontsize=7,
        x=0.01,
        ha="left",
    )
    return figure


@styled
def plot_importances(
    importances: pd.DataFrame,
    *,
    n_top: int = N_TOP_IMPORTANCES,
    predictive: Sequence[str] = PREDICTIVE_KMERS,
) -> Figure:
    """Figure 6: k-mers by impurity importance, and the importance of the same k-mers by permutation.

    Parameters
    ----------
    importances : DataFrame
        `kmer, importance, std, permutation, permutation_std`, sorted (`importances.tsv`).
    n_top : int
        K-mers to show.
    predictive : sequence of str
        K-mers to highlight.
    """
    rows = importances.head(n_top)
    columns = (
        ("importance", "std", "Impurity importance\n(mean decrease, share)", "trees"),
        ("permutation", "permutation_std", "Permutation importance\n(loss of accuracy)", "shuffles"),
    )
    figure = new_figure(TWO_COLUMNS, 105)
    panels = figure.subplots(2, 1, sharex=True)
    colors = [PREDICTIVE if kmer in predictive else "0.6" for kmer in rows["kmer"]]
    for axes, (column, std, label, repeats) in zip(panels, columns, strict=True):
        lines = {"elinewidth": 0.6, "ecolor": "black"}
        axes.bar(range(len(rows)), rows[column], yerr=rows[std], color=colors, error_kw=lines)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(label)
        text = f"lines: standard deviation over {repeats}" if rows[column].notna().any() else "not computed"
        axes.set_title(text, loc="right", fontsize=6.5, pad=2)
    panels[1].set_xticks(range(len(rows)), rows["kmer"], rotation=90, family=_MONOSPACED, fontsize=6)
    panels[1].set_xlim(_slots(rows))
    panels[1].set_xlabel("k-mer, by impurity importance")
    _emphasise(panels[1].get_xticklabels(), predictive)
    figure.suptitle(
        f"The {len(rows)} most important of {len(importances):,} k-mers; "
        f"green: {', '.join(predictive)}, which the article names",
        fontsize=7.5,
        x=0.01,
        ha="left",
    )
    return figure


@styled
def plot_gene_lists(genes: pd.DataFrame, *, n_shown: int = 20) -> Figure:
    """Figure 7: the genes with the highest and the lowest probability of introgression.

    Parameters
    ----------
    genes : DataFrame
        `Gene` ("chrom:start-end"), `Gene_Symbol, Predict, Prob_1` (`genes.tsv`).
    n_shown : int
        Genes in each of the two lists, which name a symbol once (see `genes.extreme_genes`).
    """
    from neanderthal_nlp.genes import extreme_genes  # here, since it brings numba, which no figure needs

    highest, lowest = extreme_genes(genes, n_shown)
    figure = new_figure(TWO_COLUMNS, 82)
    panels = figure.subplots(1, 2, sharex=True)
    lists = (("highest", highest, INTROGRESSED), ("lowest", lowest, DEPLETED))
    for axes, (title, rows, color) in zip(panels, lists, strict=True):
        axes.barh(range(len(rows)), rows["Prob_1"], color=color)
        for at, (gene, value) in enumerate(zip(rows["Gene"], rows["Prob_1"], strict=True)):
            place = gene.rpartition("-")[0]  # chromosome and start, since several genes may share a symbol
            roomy = value > 0.45
            axes.text(value + 0.01, at, f"{value:.3f}" + f"  {place}" * (not roomy), va="center", fontsize=5.5)
            axes.text(0.01, at, place * roomy, va="center", fontsize=5.5, color="white")
        axes.set_yticks(range(len(rows)), rows["Gene_Symbol"], style="italic")
        axes.set(xlabel="Probability of introgression, Prob_1", xlim=(0, 1.1), ylim=_slots(rows)[::-1])
        axes.set_title(f"The {len(rows)} {title}")
        axes.set_xticks(np.linspace(0, 1, 6))
    predicted = int((genes["Predict"] == 1).sum())
    figure.suptitle(f"{predicted:,} of {len(genes):,} genes predicted introgressed", x=0.01, ha="left", fontsize=7.5)
    return figure


def _print_kmers(
    axes: Axes, x: pd.Series, y: pd.Series, kmers: pd.Series, colors: np.ndarray, predictive: Sequence[str]
) -> None:
    """Print each k-mer at its point, the predictive ones large and on top."""
    font: dict[str, Any] = {"ha": "center", "va": "center", "family": _MONOSPACED}
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    large = {"fontsize": 11, "weight": "bold", "color": PREDICTIVE, "bbox": box, "zorder": 4}
    small = {"fontsize": 4 if len(kmers) > 300 else 6}
    for at_x, at_y, kmer, color in zip(x, y, kmers, colors, strict=True):
        axes.text(at_x, at_y, kmer, **font, **(large if kmer in predictive else small | {"color": color}))


def _describe(row: Any) -> str:
    """One line of the caption of a map, from a row of `clusters.tsv`."""
    interval = f" (95 % interval {100 * row.gc_low:.1f} to {percent(row.gc_high)})"
    return (
        f"Cluster {row.cluster}: {row.n_kmers:,} k-mers, {row.n_cpg:,} with a CpG; "
        f"mean GC {percent(row.gc_mean)}{'' if np.isnan(row.gc_low) else interval}; "
        f"of the article's four: {row.predictive_kmers.replace(',', ', ') or 'none'}."
    )


@styled
def plot_embedding(
    points: pd.DataFrame,
    clusters: pd.DataFrame,
    *,
    method: str,
    name: str,
    predictive: Sequence[str] = PREDICTIVE_KMERS,
) -> Figure:
    """Figures 8 and 9: the map of the k-mers, each at its place.

    The article prints all k-mers in red; here the colour is their GC content, which is what the article says
    about the clusters.

    Parameters
    ----------
    points : DataFrame
        `kmer, gc`, the map's two coordinates and `cluster` (`embeddings.tsv`).
    clusters : DataFrame
        Description of the clusters of every map (`clusters.tsv`).
    method : {"umap", "tsne"}
    name : str
        What the axes call it.
    predictive : sequence of str
        K-mers to print large.
    """
    figure = new_figure(TWO_COLUMNS, 165)
    axes = figure.subplots()
    x, y = points[f"{method}_1"], points[f"{method}_2"]
    for cluster, tint in enumerate(_TINTS):
        inside = points["cluster"] == cluster
        if inside.any():
            label = f"UMAP cluster {cluster} (n = {inside.sum():,})"
            axes.scatter(x[inside], y[inside], s=130, color=tint, linewidth=0, label=label)
    axes.margins(0.07)
    letters = int(points["kmer"].str.len().max())
    colors = ListedColormap(colormaps["plasma"](np.linspace(0, 0.78, letters + 1)))
    norm = BoundaryNorm((np.arange(letters + 2) - 0.5) * 100 / letters, letters + 1)
    _print_kmers(axes, x, y, points["kmer"], np.asarray(colors(norm(100 * points["gc"]))), predictive)
    axes.set(xlabel=f"{name} 1 (arbitrary units)", ylabel=f"{name} 2 (arbitrary units)", xticks=[], yticks=[])
    axes.legend(loc="best", markerscale=0.7)
    axes.set_title(f"{name} of the Word2Vec vectors of {len(points):,} k-mers")
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=axes, shrink=0.6, aspect=30)
    bar.set_ticks([100 * count / letters for count in range(letters + 1)])
    bar.minorticks_off()
    bar.set_label("GC content of k-mer (%)")
    rows = clusters[clusters["map"] == method]
    number, width = rows["n_clusters_by_silhouette"].iloc[0], rows["silhouette"].iloc[0]
    evidence = "not defined" if np.isnan(width) else f"{width:.2f}, widest for {number} clusters"
    lines = [f"The {name} map in two clusters: silhouette {evidence}."]
    add_caption(figure, "\n".join([*lines, *(_describe(row) for row in rows.itertuples())]))
    return figure


@styled
def plot_gc_content(gc: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Figure 10: GC content of genes and of the genome.

    Parameters
    ----------
    gc : DataFrame
        `kind` ("gene" or "genome", the latter bins of 100 kb) and `gc`, in [0, 1] (`gc.tsv`).
    summary : mapping
        `gc_genes`, mean over genes, and `gc_genome`, of the whole genome, to be marked (`intersections.json`).
    """
    known = gc.dropna(subset=["gc"])
    edges = np.histogram_bin_edges(100 * known["gc"], bins=50)
    figure = new_figure(ONE_COLUMN, 65)
    axes = figure.subplots()
    kinds = (
        ("genome", "100-kb bins", "gc_genome", DEPLETED),
        ("gene", "genes", "gc_genes", INTROGRESSED),
    )
    for kind, name, mean, color in kinds:
        values = 100 * known.loc[known["kind"] == kind, "gc"]
        weights = np.full(len(values), 100 / max(len(values), 1))
        label = f"{name} (n = {len(values):,})"
        axes.hist(values, bins=list(edges), weights=weights, histtype="stepfilled", alpha=0.3, color=color)
        axes.hist(values, bins=list(edges), weights=weights, histtype="step", color=color, label=label)
        axes.axvline(100 * summary[mean], color=color, linestyle="--", linewidth=0.9)
    axes.set(xlabel="GC content (%)", ylabel="Share of genes or bins (%)")
    axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper right")
    axes.set_title(f"GC content (dashed): genes {percent(summary['gc_genes'])}, genome {percent(summary['gc_genome'])}")
    return figure


@styled
def plot_intersections(test: Mapping[str, Any]) -> Figure:
    """Figure 11: gene intersections of the depleted draws and of the introgressed regions.

    Parameters
    ----------
    test : mapping
        `observed`, `draws`, `n_draws`, `n_at_or_below`, `p`, `p_article` (`intersections.json`).
    """
    draws = np.asarray(test["draws"])
    figure = new_figure(ONE_COLUMN, 65)
    axes = figure.subplots()
    axes.hist(
        draws,
        bins="auto",
        color=DEPLETED,
        edgecolor="white",
        linewidth=0.5,
        label=f"depleted draws (n = {test['n_draws']:,})",
    )
    axes.axvline(test["observed"], color=INTROGRESSED, label=f"introgressed: {test['observed']:,}")
    axes.set(xlabel="Intersections of regions with genes (count)", ylabel="Draws (count)")
    count_axis(axes.xaxis, 5)
    count_axis(axes.yaxis, 6)
    axes.set_ylim(top=1.35 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper right")
    axes.set_title(
        f"p = {test['p']:.3g}: {test['n_at_or_below']:,} of {test['n_draws']:,} draws at or below observed\n"
        f"(in the article's way of counting: {test['p_article']})"
    )
    return figure
