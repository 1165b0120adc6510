"""The figures of a run, drawn from saved results: the article's eleven, and the audit's.

Every `plot_...` function takes tables as a run saves them and returns a matplotlib `Figure`, 90 or 180 mm
wide (one or two columns of a journal).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.article import (
    plot_confusion,
    plot_embedding,
    plot_gc_content,
    plot_gene_lists,
    plot_importances,
    plot_intersections,
    plot_region_lengths,
    plot_top_kmers,
    plot_training_curve,
)
from neanderthal_nlp.figures.audit import (
    plot_gene_audit,
    plot_gene_doses,
    plot_intersection_audit,
    plot_leak_ladder,
    plot_leaks,
    plot_matching,
    plot_null_genome,
)
from neanderthal_nlp.figures.sequences import plot_positions, plot_sequences, plot_words
from neanderthal_nlp.figures.smoothing import plot_smoothing
from neanderthal_nlp.figures.style import (
    DEPLETED,
    DPI,
    INTROGRESSED,
    ONE_COLUMN,
    PREDICTIVE,
    TWO_COLUMNS,
    styled,
)
from neanderthal_nlp.figures.sweep import plot_sweep
from neanderthal_nlp.files import read_record, read_table, replacing
from neanderthal_nlp.intervals import read_bed

__all__ = [
    "ARTICLE",
    "AUDIT",
    "DEPLETED",
    "DPI",
    "FIGURES",
    "INTROGRESSED",
    "ONE_COLUMN",
    "PREDICTIVE",
    "TWO_COLUMNS",
    "Recipe",
    "draw_figures",
    "plot_confusion",
    "plot_embedding",
    "plot_gc_content",
    "plot_gene_audit",
    "plot_gene_doses",
    "plot_gene_lists",
    "plot_importances",
    "plot_intersection_audit",
    "plot_intersections",
    "plot_leak_ladder",
    "plot_leaks",
    "plot_matching",
    "plot_null_genome",
    "plot_positions",
    "plot_region_lengths",
    "plot_sequences",
    "plot_smoothing",
    "plot_sweep",
    "plot_top_kmers",
    "plot_training_curve",
    "plot_words",
]


class Recipe(NamedTuple):
    """How a figure comes about: the results file behind each argument, and the function that draws it."""

    inputs: Mapping[str, str]
    plot: Callable[..., Figure]


class _Result(NamedTuple):
    """The stage that writes a results file, and what is drawn of it: columns of a table, keys of a JSON."""

    stage: str
    columns: Mapping[str, Any]


_MAPS = {"points": "embeddings.tsv", "clusters": "clusters.tsv"}
ARTICLE: Mapping[str, Recipe] = {
    "01_region_lengths": Recipe({"regions": "introgressed.bed", "summary": "regions.json"}, plot_region_lengths),
    "02_top_kmers": Recipe({"top": "top_kmers.tsv", "windows": "windows.tsv"}, plot_top_kmers),
    "03_training_curve": Recipe({"history": "history.tsv"}, plot_training_curve),
    "04_confusion_network": Recipe(
        {"evaluation": "evaluation.tsv"}, partial(plot_confusion, model="network", name="Neural network")
    ),
    "05_confusion_forest": Recipe(
        {"evaluation": "evaluation.tsv"}, partial(plot_confusion, model="forest", name="Random forest")
    ),
    "06_importances": Recipe({"importances": "importances.tsv"}, plot_importances),
    "07_gene_lists": Recipe({"genes": "genes.tsv"}, plot_gene_lists),
    "08_umap": Recipe(_MAPS, partial(plot_embedding, method="umap", name="UMAP")),
    "09_tsne": Recipe(_MAPS, partial(plot_embedding, method="tsne", name="t-SNE")),
    "10_gc_content": Recipe({"gc": "gc.tsv", "summary": "intersections.json"}, plot_gc_content),
    "11_intersections": Recipe({"test": "intersections.json"}, plot_intersections),
}
"""The article's figures by file name, in its order."""
AUDIT: Mapping[str, Recipe] = {
    "12_leak_ladder": Recipe({"ladder": "audit/ladder.tsv"}, plot_leak_ladder),
    "13_null_genome": Recipe({"ladder": "audit/ladder.tsv", "null": "audit/null.tsv"}, plot_null_genome),
    "14_leaks": Recipe({"leaks": "audit/leak.json"}, plot_leaks),
    "15_gene_audit": Recipe({"flags": "audit/gene_flags.tsv", "genes": "audit/genes.tsv"}, plot_gene_audit),
    "16_intersection_audit": Recipe({"table": "audit/intersections.tsv"}, plot_intersection_audit),
    "17_matching": Recipe(
        {"balance": "audit/matched/balance.tsv", "summary": "audit/matched/match.json"}, plot_matching
    ),
    "18_gene_doses": Recipe({"doses": "audit/gene_doses.tsv"}, plot_gene_doses),
    "19_sweep": Recipe({"sweep": "audit/sweep.tsv", "null": "audit/null/sweep.tsv"}, plot_sweep),
    "20_sequences": Recipe({"table": "audit/sequences.tsv"}, plot_sequences),
    "21_positions": Recipe(
        {"positions": "audit/sequence_positions.tsv", "mutations": "audit/sequence_mutations.tsv"}, plot_positions
    ),
    "22_embedding": Recipe({"words": "audit/sequence_words.tsv"}, plot_words),
    "23_smoothing": Recipe(
        {"measured": "audit/smoothing.tsv", "windows": "audit/smooth.tsv", "summary": "audit/smoothing.json"},
        plot_smoothing,
    ),
}
"""The audit's figures by file name."""
FIGURES: Mapping[str, Recipe] = {**ARTICLE, **AUDIT}
"""All figures of a run."""

_LADDER = {"rung": str, "model": str, "metric": str, "value": float, "low": float, "high": float}
_SWEEP = {"model": str, "canonical": bool, "k": int, "n_features": int, "n_train": int, "auroc": float, "low": float,
          "high": float, "chosen": bool}  # fmt: skip
_RESULTS = {
    "introgressed.bed": _Result("regions", {}),
    "regions.json": _Result(
        "regions", dict.fromkeys(("n_introgressed", "length_min", "length_mean", "length_max"), float)
    ),
    "windows.tsv": _Result("windows", {"label": int}),
    "top_kmers.tsv": _Result("kmers", {"label": str, "rank": int, "kmer": str, "count": int}),
    "history.tsv": _Result("network", {"epoch": int, "binary_accuracy": float, "val_binary_accuracy": float}),
    "evaluation.tsv": _Result(
        "evaluation",
        {"model": str, "protocol": str, "metric": str, "value": float, "low": float, "high": float},
    ),
    "importances.tsv": _Result(
        "forest",
        {"kmer": str, "importance": float, "std": float, "permutation": float, "permutation_std": float},
    ),
    "genes.tsv": _Result("genes", {"Gene": str, "Gene_Symbol": str, "Predict": float, "Prob_1": float}),
    "embeddings.tsv": _Result(
        "embeddings",
        {"kmer": str, "cluster": int} | dict.fromkeys(("gc", "umap_1", "umap_2", "tsne_1", "tsne_2"), float),
    ),
    "clusters.tsv": _Result(
        "embeddings",
        {"map": str, "predictive_kmers": str}
        | dict.fromkeys(("cluster", "n_kmers", "n_clusters_by_silhouette", "n_cpg"), int)
        | dict.fromkeys(("gc_mean", "gc_low", "gc_high", "silhouette"), float),
    ),
    "gc.tsv": _Result("intersections", {"kind": str, "gc": float}),
    "intersections.json": _Result(
        "intersections",
        {"draws": list, "p_article": str}
        | dict.fromkeys(("observed", "n_draws", "n_at_or_below", "p", "gc_genes", "gc_genome"), float),
    ),
    "audit/ladder.tsv": _Result("audit ladder", _LADDER),
    "audit/null.tsv": _Result("audit ladder", _LADDER),
    "audit/sweep.tsv": _Result("audit sweep", _SWEEP),
    "audit/null/sweep.tsv": _Result("audit sweep", _SWEEP),
    "audit/sequences.tsv": _Result(
        "audit sequences",
        dict.fromkeys(("level", "cut", "rung", "model", "metric"), str)
        | dict.fromkeys(("value", "low", "high"), float)
        | {"n_test": int},
    ),
    "audit/sequence_positions.tsv": _Result(
        "audit follow-up", {"position": int} | dict.fromkeys(("drop", "low", "high"), float)
    ),
    "audit/sequence_mutations.tsv": _Result("audit follow-up", {"model": str, "position": int, "change": float}),
    "audit/sequence_words.tsv": _Result(
        "audit follow-up", {"kmer": str, "count": int} | dict.fromkeys(("gc", "umap_1", "umap_2"), float)
    ),
    "audit/smoothing.tsv": _Result(
        "smooth", {"method": str, "metric": str, "value": float, "low": float, "high": float}
    ),
    "audit/smooth.tsv": _Result("smooth", {}),  # has no windows where too few chromosomes were held out
    "audit/smoothing.json": _Result("smooth", {"held_out": list}),
    "audit/leak.json": _Result("audit ladder", {"protocols": dict}),
    "audit/gene_flags.tsv": _Result(
        "audit genes",
        {"table": str, "unit": str, "flag": str, "n_predicted": int, "n_all": int}
        | dict.fromkeys(("share_predicted", "share_all", "odds_ratio", "low", "high"), float),
    ),
    "audit/gene_doses.tsv": _Result(
        "audit genes",
        {"table": str, "n_all": int, "n_predicted": int} | dict.fromkeys(("above", "up_to", "share_predicted"), float),
    ),
    "audit/genes.tsv": _Result(
        "audit genes", {"Prob_1": float, "prob_oof": float, "in_window": bool, "in_depleted_window": bool}
    ),
    "audit/intersections.tsv": _Result(
        "audit intersections",
        {"variant": str, "description": str, "n_draws": int, "conclusion": str}
        | dict.fromkeys(("ratio", "low", "high", "p"), float),
    ),
    "audit/matched/balance.tsv": _Result(
        "audit match", {"covariate": str, "smd_before": float, "smd_after": float, "tolerance": float}
    ),
    "audit/matched/match.json": _Result("audit match", {"n_matched": int, "n_unmatched": int}),
}
"""What figures are drawn from, by its place below the results."""


def _load(results: Path, name: str) -> Any:
    """Load one results file: an interval frame, a table or a mapping."""
    result, path = _RESULTS[name], results / name
    if not path.exists():
        raise InputError(f"{path}: not found (expected the results file that stage {result.stage!r} writes)")
    if path.suffix == ".bed":
        return read_bed(path)
    if path.suffix == ".tsv":
        return read_table(path, result.columns)
    value = read_record(path)
    missing = [key for key in result.columns if key not in value]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)} (found {', '.join(value)})")
    return value


def _stamp(figure: Figure, note: str) -> None:
    """Print a note small in the lower right corner, in a strip of its own."""
    strip = 3 / (25.4 * figure.get_figheight())
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, strip, 1, 1 - strip)))
    figure.text(0.995, 0.005, note, ha="right", va="bottom", fontsize=5.5, color="0.4")


def _settle(figure: Figure) -> None:
    """Carry out the layout and round it: the last digits of the solver change from process to process."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = np.round(axes.get_position().bounds, 6)
        axes.set_position((left, bottom, width, height))
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((round(x, 6), round(y, 6)))


def _save_png(figure: Figure, path: Path) -> None:
    """Save as PNG with a palette: drawings have few colours, and so take a third of the space."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(path, format="png", optimize=True, dpi=(DPI, DPI))


def _save_svg(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


@styled
def draw_figures(results: str | Path, directory: str | Path, *, names: Collection[str] | None = None) -> list[Path]:
    """Draw every figure of the article from the results of a run, and of the audit what was run of it.

    Parameters
    ----------
    results : path-like
        Folder of the results files.
    directory : path-like
        Folder of the figures, made if need be.
        Figures of synthetic data say so in a corner.
    names : collection of str, optional
        Draw these figures and no other (keys of `FIGURES`); only their own results files must be there.

    Returns
    -------
    list of Path
        PNG (200 dpi) and SVG of each figure. The same results give the same bytes.

    Raises
    ------
    InputError
        A results file that is needed is missing, or a file is not what its stage writes, or there is no figure of
        that name; nothing is drawn then.
    """
    results, directory = Path(results), Path(directory)
    strange = [name for name in names or () if name not in FIGURES]
    if strange:
        raise InputError(f"figure {strange[0]!r}: found no such figure, expected one of {', '.join(FIGURES)}")
    wanted = {name: recipe for name, recipe in FIGURES.items() if name in (ARTICLE if names is None else names)}
    needed = {file for recipe in wanted.values() for file in recipe.inputs.values()}
    welcome = _RESULTS if names is None else ("regions.json",)
    there = [file for file in welcome if file not in needed and (results / file).exists()]
    loaded = {file: _load(results, file) for file in _RESULTS if file in needed or file in there}
    note = "synthetic data" if loaded.get("regions.json", {}).get("synthetic") else ""
    paths = []
    for name, recipe in (FIGURES if names is None else wanted).items():
        if not loaded.keys() >= set(recipe.inputs.values()):
            continue
        figure = recipe.plot(**{argument: loaded[file] for argument, file in recipe.inputs.items()})
        if note:
            _stamp(figure, note)
        _settle(figure)
        for suffix, save in (("png", _save_png), ("svg", _save_svg)):
            path = directory / f"{name}.{suffix}"
            with replacing(path) as part:
                save(figure, part)
            paths.append(path)
    return paths
