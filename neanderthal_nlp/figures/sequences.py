"""The figures of the follow-up article's audit: accuracy on sub-sequences by split, and which places count.

Every number comes from tables that the audit saves; nothing is computed here but per cent.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.style import (
    DEPLETED,
    INTROGRESSED,
    ONE_COLUMN,
    PREDICTIVE,
    TWO_COLUMNS,
    add_caption,
    new_figure,
    records,
    styled,
)

READER_NAMES: Mapping[str, str] = {"lstm": "LSTM", "cnn": "Convolutional network"}
"""The networks that read sub-sequences, as the reader is told of them."""
RULE_NAMES: Mapping[str, str] = {
    "overlap": "Rule: overlaps an introgressed one",
    "same_place": "Rule: at the same place as one",
    "same_letters": "Rule: has the same letters as one",
}
"""Rules that learn nothing; "one" is an introgressed sub-sequence of the training set."""
RUNG_NAMES: Mapping[str, str] = {
    "sub_sequence": "random over\nsub-sequences",
    "article": "random over\nwindows",
    "cluster": "overlapping\nregions together",
    "chromosome": "chromosomes\nheld out",
    "null_sub_sequence": "random letters,\nrandom over\nsub-sequences",
    "null_chromosome": "random letters,\nchromosomes\nheld out",
}
"""Splits of the sub-sequences, from the one that leaks most; then the same on random letters."""
CUT_NAMES: Mapping[str, str] = {
    "disjoint": "Windows cut into disjoint pieces",
    "shifted": "Windows cut by shifts of one letter",
}
"""How windows are cut."""
_LOOKS = {"lstm": ("#000000", "o"), "cnn": ("#E69F00", "s")}
_RULES = {"overlap": (INTROGRESSED, "_"), "same_place": (DEPLETED, "_"), "same_letters": (PREDICTIVE, "x")}
_CAPTION = (
    "Sub-sequences of 200 nt, as many right as wrong by chance (dotted). Vertical lines: 95 % intervals by bootstrap "
    "over clusters of overlapping regions.\nThe rules learn nothing: they call a test sub-sequence introgressed where "
    "an introgressed training sub-sequence has the same letters, lies at the same\nplace, or shares at least one "
    "place with it. Printed: the best network of each split."
)


@styled
def plot_sequences(table: pd.DataFrame) -> Figure:
    """Figure 20: accuracy on sub-sequences by split, of networks and of rules that learn nothing; one panel a cut.

    Parameters
    ----------
    table : DataFrame
        `level, cut, rung, model, metric, value, low, high, n_test` (`audit/sequences.tsv`).

    Raises
    ------
    InputError
        There is no accuracy on sub-sequences of a known cut, split and model.
    """
    known = {"cut": CUT_NAMES, "rung": RUNG_NAMES, "model": {**READER_NAMES, **RULE_NAMES}}
    rows = table[(table["level"] == "sub_sequence") & (table["metric"] == "accuracy")]
    for column, names in known.items():
        rows = rows[rows[column].isin(list(names))]
    if rows.empty:
        raise InputError(f"sequences: found no accuracy, expected one of {', '.join(known['model'])} by sub-sequence")
    cuts = [name for name in CUT_NAMES if (rows["cut"] == name).any()]
    rungs = [name for name in RUNG_NAMES if (rows["rung"] == name).any()]
    figure = new_figure(TWO_COLUMNS, 32 + 52 * len(cuts))
    panels = figure.subplots(len(cuts), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, how in zip(panels, cuts, strict=True):
        axes.grid(axis="y", color="0.9", linewidth=0.5)
        axes.axhline(50, color="0.35", linewidth=0.9, linestyle=(0, (1, 1)))
        _draw_rungs(axes, rows[rows["cut"] == how], rungs)
        axes.set(title=CUT_NAMES[how], ylabel="Test accuracy (%)")
    lowest = np.nanmin(rows.loc[rows["model"].isin(list(READER_NAMES)), ["value", "low"]].to_numpy(), initial=0.45)
    panels[0].set_ylim(100 * lowest - 3, 107)
    panels[0].set_yticks(range(30, 101, 10))
    panels[0].set_xlim(-0.5, len(rungs) - 0.5)
    sizes = rows.groupby("rung")["n_test"].max()
    panels[-1].set_xticks(range(len(rungs)), [f"{RUNG_NAMES[rung]}\nn = {sizes[rung]:,}" for rung in rungs])
    shown = [name for name in known["model"] if (rows["model"] == name).any()]
    figure.legend(handles=[_handle(name) for name in shown], loc="outside upper left", ncols=3, frameon=False)
    add_caption(figure, _CAPTION)
    return figure


def _handle(model: str) -> Line2D:
    color, marker = {**_LOOKS, **_RULES}[model]
    return Line2D([], [], color=color, marker=marker, markersize=4.5 if model in _LOOKS else 8, markeredgewidth=1.4,
                  linestyle="", label={**READER_NAMES, **RULE_NAMES}[model])  # fmt: skip


def _draw_rungs(axes: Axes, rows: pd.DataFrame, rungs: list[str]) -> None:
    """Draw the rules as marks, the networks side by side with intervals, and print the best network's accuracy."""
    for row in records(rows):
        handle, network = _handle(row.model), row.model in _LOOKS
        aside = 0.16 * (list(_LOOKS).index(row.model) - 0.5) if network else 0.0
        at = rungs.index(row.rung) + aside
        if network:
            axes.vlines(at, 100 * row.low, 100 * row.high, color=handle.get_color(), linewidth=0.9)
        elif handle.get_marker() == "_":
            handle.set_markersize(26)
        axes.plot(at, 100 * row.value, color=handle.get_color(), marker=handle.get_marker(), clip_on=False,
                  markersize=handle.get_markersize(), markeredgewidth=handle.get_markeredgewidth())  # fmt: skip
    networks = rows["model"].isin(list(_LOOKS))
    for rung, part in rows[networks].groupby("rung"):
        rules = rows[~networks & (rows["rung"] == rung)]
        best, top = part["value"].max(), np.nanmax([*part["value"], *part["high"], *rules["value"]])
        axes.annotate(f"{100 * best:.1f}", (rungs.index(str(rung)), 100 * top), xytext=(0, 4),
                      textcoords="offset points", ha="center", fontsize=6.5, weight="bold")  # fmt: skip


@styled
def plot_positions(positions: pd.DataFrame, mutations: pd.DataFrame) -> Figure:
    """Figure 21: which places of a sub-sequence count, for the LSTM and for the convolutional network.

    Each network has a scale of its own: logits of one are not those of another.

    Parameters
    ----------
    positions : DataFrame
        `position, drop, low, high` (`audit/sequence_positions.tsv`).
    mutations : DataFrame
        `model, position, change` (`audit/sequence_mutations.tsv`): one panel a network.
    """
    networks = {str(name): part for name, part in mutations.groupby("model", sort=False)}
    figure = new_figure(TWO_COLUMNS, 55 + 40 * len(networks))
    upper, *others = figure.subplots(1 + len(networks), 1, sharex=True)
    place = positions["position"]
    upper.axhline(0, color="0.35", linewidth=0.9, linestyle=(0, (1, 1)))
    upper.fill_between(place, 100 * positions["low"], 100 * positions["high"], color="0.85", linewidth=0)
    upper.plot(place, 100 * positions["drop"], color=_LOOKS["lstm"][0], linewidth=0.9)
    upper.set(ylabel="Loss of accuracy\n(percentage points)", title=f"{READER_NAMES['lstm']}: words at "
              "one place permuted among test sub-sequences")  # fmt: skip
    for axes, (name, changes) in zip(others, networks.items(), strict=True):
        axes.plot(changes["position"], changes["change"], color=_LOOKS[name][0], linewidth=0.9)
        axes.set_title(f"{READER_NAMES[name]}: letter at one place replaced, mean size of the change")
        axes.set_ylabel("Change of the logit")
        axes.set_ylim(bottom=0)
    others[-1].set_xlabel("Place in the sub-sequence (nt; of a word, its first letter)")
    others[-1].set_xlim(0, max(place.max(), mutations["position"].max()))
    add_caption(figure, "Networks of the split that is random over sub-sequences. Grey: 95 % interval over sentences, "
                "taken as independent.\nA word shares nine of its ten letters with the next.")  # fmt: skip
    return figure


@styled
def plot_words(words: pd.DataFrame) -> Figure:
    """Figure 22: map of the LSTM's vectors of the most common words, coloured by GC content.

    Parameters
    ----------
    words : DataFrame
        `kmer, count, gc, umap_1, umap_2` (`audit/sequence_words.tsv`).
    """
    figure = new_figure(ONE_COLUMN, 82)
    axes = figure.subplots()
    points = axes.scatter(words["umap_1"], words["umap_2"], c=100 * words["gc"], s=5, linewidth=0, cmap="plasma",
                          vmin=0, vmax=100)  # fmt: skip
    axes.set(xlabel="UMAP 1 (arbitrary units)", ylabel="UMAP 2 (arbitrary units)", xticks=[], yticks=[])
    axes.set_title(f"Vectors of the {len(words):,} most common words")
    figure.colorbar(points, ax=axes, shrink=0.7, aspect=30).set_label("GC content of word (%)")
    return figure
