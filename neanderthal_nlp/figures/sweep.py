"""The figure of the sweep: how much is learnable from words of each length when whole chromosomes are held out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.style import TWO_COLUMNS, add_caption, new_figure, records, styled

LEARNER_NAMES: Mapping[str, str] = {"logistic_regression": "logistic regression", "boosted_trees": "boosted trees"}
"""The models of the sweep, as the reader is told of them."""
_LOOKS = {"logistic_regression": ("#E69F00", "^"), "boosted_trees": ("#000000", "s")}
_STRANDS = {True: "canonical", False: "plain"}
_LINES = [(model, canonical) for model in LEARNER_NAMES for canonical in _STRANDS]
_CAPTION = (
    "Canonical: a word and its reverse complement are counted together; of one letter, that is the GC content. A model "
    "learns from at most {n_features:,} words.\nVertical lines: 95 % intervals by bootstrap over clusters of "
    "overlapping regions. Dotted: chance. Ring: chosen by folds of the training\nchromosomes alone, the simplest model "
    "within one standard error of the best."
)


@styled
def plot_sweep(sweep: pd.DataFrame, null: pd.DataFrame | None = None) -> Figure:
    """Figure 19: area under the ROC curve by length of the words, one line a model.

    Parameters
    ----------
    sweep : DataFrame
        `model, canonical, k, n_features, n_train, auroc, low, high, chosen` (`audit/sweep.tsv`).
    null : DataFrame, optional
        The same on random letters, drawn beside.

    Raises
    ------
    InputError
        A table has no row of a known model.
    """
    tables = {"Letters of the run": sweep} | ({} if null is None else {"Random letters": null})
    for table in tables.values():
        if not table["model"].isin(LEARNER_NAMES).any():
            raise InputError(f"sweep: found no known model, expected one of {', '.join(LEARNER_NAMES)}")
    figure = new_figure(TWO_COLUMNS, 85)
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        axes.axhline(0.5, color="0.35", linewidth=0.9, linestyle=(0, (1, 1)))
        _draw_lines(axes, table)
        _mark_chosen(axes, table)
        axes.set_xticks(np.unique(table["k"]))
        axes.set_xlim(table["k"].min() - 0.5, table["k"].max() + 0.5)
        axes.set_xlabel("Length of the words, nt")
        axes.set_title(f"{title}: {table['n_train'].max():,} training windows\n{_name_points(table)}")
    lowest, highest = (pd.concat(tables.values())[column] for column in ("low", "high"))
    panels[0].set_ylim(np.nanmin([0.45, lowest.min() - 0.02]), np.nanmax([0.65, highest.max() + 0.05]))
    panels[0].set_ylabel("AUROC on held-out chromosomes")
    figure.legend(
        handles=[_handle(*line) for line in _LINES],
        loc="outside upper left",
        ncols=4,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.2,
    )
    add_caption(figure, _CAPTION.format(n_features=int(sweep["n_features"].max())))
    return figure


def _handle(model: str, canonical: bool) -> Line2D:
    color, marker = _LOOKS[model]
    return Line2D([], [], color=color, marker=marker, markersize=4, linewidth=1, linestyle="-" if canonical else "--",
                  markerfacecolor=color if canonical else "white",
                  label=f"{LEARNER_NAMES[model]}, {_STRANDS[canonical]}")  # fmt: skip


def _place(k: float, model: str, canonical: bool) -> float:
    """Where a point stands: models side by side around their word length."""
    return k + 0.1 * (_LINES.index((model, canonical)) - (len(_LINES) - 1) / 2)


def _draw_lines(axes: Axes, table: pd.DataFrame) -> None:
    """Draw a line a model, with intervals."""
    for model, canonical in _LINES:
        part = table[(table["model"] == model) & (table["canonical"] == canonical)].sort_values("k")
        x = [_place(k, model, canonical) for k in part["k"]]
        line = _handle(model, canonical)
        axes.vlines(x, part["low"], part["high"], color=line.get_color(), linewidth=0.8)
        axes.plot(x, part["auroc"], color=line.get_color(), marker=line.get_marker(), markersize=4, linewidth=1,
                  linestyle=line.get_linestyle(), markerfacecolor=line.get_markerfacecolor())  # fmt: skip


def _mark_chosen(axes: Axes, table: pd.DataFrame) -> None:
    """Put a ring around the model that was chosen."""
    rows = _known(table)
    for row in records(rows[rows["chosen"]]):
        axes.plot(_place(row.k, row.model, row.canonical), row.auroc, "o", markersize=10, markerfacecolor="none",
                  markeredgecolor="#D55E00")  # fmt: skip


def _name_points(table: pd.DataFrame) -> str:
    """Areas of the model that was chosen and of the GC content alone; beside their points they would meet others."""
    rows = _known(table)
    gc = rows[(rows["k"] == 1) & rows["canonical"] & (rows["model"] == "logistic_regression")]
    named = {"chosen (ring)": rows[rows["chosen"]], "GC content alone": gc}
    return ", ".join(f"{name} {row.auroc:.2f}" for name, found in named.items() for row in records(found))


def _known(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["model"].isin(LEARNER_NAMES)]
