"""The audit's figures: how much of each number is overlap, place or composition, and how much is left.

Every number comes from the tables that the audit saves; nothing is computed here but per cent and places of labels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

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
    spread_apart,
    styled,
)

MODEL_NAMES: Mapping[str, str] = {
    "network": "neural network",
    "forest": "random forest",
    "logistic_regression": "logistic regression",
    "linear_svm": "linear SVM",
    "naive_bayes": "naive Bayes",
}
"""The models that learn from all words, as the reader is told of them."""
CONTROL_NAMES: Mapping[str, str] = {
    "region_overlap": "rule: overlapping region",
    "window_overlap": "rule: overlapping window",
    "exact_window": "rule: same window",
    "dinucleotides": "dinucleotides alone",
    "gc": "GC content alone",
    "shuffled_labels": "shuffled labels",
}
"""Controls that cannot know about ancestry; the rules look for introgressed windows only."""
RUNG_NAMES: Mapping[str, str] = {
    "article": "random split,\nas published",
    "distinct": "identical windows\nonce",
    "cluster": "overlapping\nregions together",
    "chromosome": "whole chromosomes\nheld out",
    "matched": "the same, classes\nalike in composition",
}
"""What each rung of the ladder adds to the one before it."""
FLAG_NAMES: Mapping[str, str] = {
    "near_window": "starts near a window",
    "in_window": "shares letters with one",
    "region_only": "in a region, in no window",
}
"""What is told of a gene; windows and regions are introgressed ones that the model was trained on."""
COVARIATE_NAMES: Mapping[str, str] = {"length": "length of region", "gc": "GC content", "masked": "share of repeats"}
"""What windows are matched in."""
_BLACK, _ORANGE, _SKY, _PURPLE, _GREY = "#000000", "#E69F00", "#56B4E9", "#CC79A7", "0.55"
_LOOKS = {
    "network": (_BLACK, "o", "-"), "forest": (_PURPLE, "s", "-"), "logistic_regression": (_ORANGE, "^", "-"),
    "linear_svm": (_SKY, "D", "-"), "naive_bayes": (PREDICTIVE, "v", "-"),
    "region_overlap": (_BLACK, "o", "--"), "window_overlap": (_PURPLE, "s", "--"), "exact_window": (_ORANGE, "^", "--"),
    "dinucleotides": (_SKY, "D", "-"), "gc": (PREDICTIVE, "v", "-"), "shuffled_labels": (_GREY, "P", "-"),
}  # fmt: skip
_CHANCE: dict[str, Any] = {"color": "0.35", "linewidth": 0.9, "linestyle": (0, (1, 1))}
_RULE: dict[str, Any] = {"color": DEPLETED, "linewidth": 0.9, "linestyle": "--"}
_LETTERS = {"letters of the run": (_BLACK, _BLACK, 0.16), "random letters": (INTROGRESSED, "white", -0.16)}
_VERDICT_COLORS = {"fewer genes": DEPLETED, "no difference shown": "0.4", "more genes": INTROGRESSED}


def _accuracies(table: pd.DataFrame, rungs: list[str], names: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Accuracy in per cent by model: `value, low, high`, one row a rung, NaN where it was not scored."""
    rows = table[table["metric"] == "accuracy"].set_index("rung")
    found = {name: rows[rows["model"] == name].reindex(rungs)[["value", "low", "high"]] for name in names}
    return {name: 100 * part for name, part in found.items() if part["value"].notna().any()}


def _chance(table: pd.DataFrame, rung: str) -> tuple[float, int]:
    """Per cent right by always calling the larger class, and the number of test windows."""
    rows = table[table["rung"] == rung]
    cells = rows[rows["model"] == rows["model"].iloc[0]].set_index("metric")["value"]
    missing = [name for name in ("tn", "fp", "fn", "tp") if name not in cells.index]
    if missing:
        raise InputError(f"ladder: no {', '.join(missing)} on rung {rung}")
    depleted, introgressed = cells["tn"] + cells["fp"], cells["fn"] + cells["tp"]
    return 100 * max(depleted, introgressed) / (depleted + introgressed), int(depleted + introgressed)


def _draw_lines(axes: Axes, found: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> None:
    """Draw a line a model over the rungs, with intervals, and its name at the left end."""
    starts = []
    for number, (model, part) in enumerate(found.items()):
        color, marker, dashes = _LOOKS[model]
        x = np.arange(len(part)) + 0.07 * (number - (len(found) - 1) / 2)
        known = part["value"].notna().to_numpy()
        axes.vlines(x, part["low"], part["high"], color=color, linewidth=0.8)
        axes.plot(x[known], part["value"][known], color=color, linestyle=dashes, linewidth=1,
                  marker=marker, markersize=3.5)  # fmt: skip
        starts.append((model, x[known][0], part["value"][known].iloc[0]))
    low, high = axes.get_ylim()
    gap = 0.068 * (high - low)
    places = spread_apart([value for *_, value in starts], gap)
    places += max(0, low + gap / 2 - places.min()) - max(0, places.max() - high + gap / 2)
    for (model, x, value), place in zip(starts, places, strict=True):
        axes.plot([-0.5, -0.42, x], [place, place, value], color=_LOOKS[model][0], linewidth=0.5, linestyle=":")
        axes.text(-0.53, place, names[model], ha="right", va="center", fontsize=6.5)


def _draw_chance(axes: Axes, chance: list[tuple[float, int]], found: Mapping[str, pd.DataFrame]) -> None:
    """Draw what chance gives on each rung, and print the best accuracy above the intervals."""
    for at, (share, _) in enumerate(chance):
        axes.hlines(share, at - 0.42, at + 0.42, **_CHANCE)
        points = [part.iloc[at] for part in found.values() if not np.isnan(part["value"].iloc[at])]
        if points:
            top, best = np.nanmax(points) + 1.5, max(point["value"] for point in points)
            axes.text(at, top, f"{best:.1f}", ha="center", fontsize=6.5, weight="bold")
    axes.text(len(chance) - 0.55, chance[-1][0], "chance", va="center", fontsize=6.5, color="0.35")


@styled
def plot_leak_ladder(ladder: pd.DataFrame) -> Figure:
    """Figure 12: accuracy under splits that leak less and less, and of controls that cannot know about ancestry.

    Parameters
    ----------
    ladder : DataFrame
        `rung, model, metric, value, low, high` (`audit/ladder.tsv`).

    Raises
    ------
    InputError
        No rung, no model and no control is a known one, or a rung lacks the cells of its confusion matrices.
    """
    rungs = [rung for rung in RUNG_NAMES if (ladder["rung"] == rung).any()]
    chance = [_chance(ladder, rung) for rung in rungs]
    groups = [
        (title, names, found)
        for title, names in (
            ("Models that read all words", MODEL_NAMES),
            ("Controls that cannot know ancestry", CONTROL_NAMES),
        )
        if (found := _accuracies(ladder, rungs, names))
    ]
    if not groups:
        raise InputError(f"ladder: found no accuracy, expected one of {', '.join((*MODEL_NAMES, *CONTROL_NAMES))}")
    lowest = min(part.min().min() for *_, found in groups for part in found.values())
    figure = new_figure(TWO_COLUMNS, 20 + 55 * len(groups))
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, names, found) in zip(panels, groups, strict=True):
        axes.set_ylim(min(44, np.floor(lowest) - 2), 103)
        axes.grid(axis="y", color="0.9", linewidth=0.5)
        _draw_chance(axes, chance, found)
        _draw_lines(axes, found, names)
        axes.set_ylabel("Test accuracy (%)")
        axes.set_title(title)
    labels = [f"{rung}\n{RUNG_NAMES[rung]}\nn = {n:,}" for rung, (_, n) in zip(rungs, chance, strict=True)]
    panels[-1].set_xticks(range(len(rungs)), labels)
    panels[-1].set_xlim(-1.8, len(rungs) - 0.2)
    add_caption(figure, _LADDER_CAPTION)
    return figure


_LADDER_CAPTION = (
    "Each split takes away one more thing that tells without ancestry. n: test windows. Bold: the best of the panel. "
    "Vertical lines: 95 % intervals by bootstrap\nover clusters of overlapping regions. Chance: always the larger "
    "class. The rules learn coordinates only: they call a window introgressed that is, or\noverlaps, an introgressed "
    "window (or its region) of the training set."
)


def _draw_letters(axes: Axes, rung: str, known: list[str], tables: Mapping[str, pd.DataFrame]) -> None:
    """Draw the accuracy of each model, a row each, on every kind of letters."""
    for label, table in tables.items():
        color, face, shift = _LETTERS[label]
        for model, part in _accuracies(table, [rung], MODEL_NAMES).items():
            y, (value, low, high) = shift - known.index(model), part.iloc[0]
            axes.hlines(y, low, high, color=color, linewidth=0.9)
            axes.plot(value, y, "o", markersize=4.5, color=color, markerfacecolor=face)


@styled
def plot_null_genome(ladder: pd.DataFrame, null: pd.DataFrame) -> Figure:
    """Figure 13: the models on the letters of the run and on random ones, under two splits.

    Parameters
    ----------
    ladder, null : DataFrame
        `rung, model, metric, value, low, high` (`audit/ladder.tsv`, `audit/null.tsv`).

    Raises
    ------
    InputError
        The tables have no rung in common, or one lacks the cells of its confusion matrices.
    """
    tables = dict(zip(_LETTERS, (ladder, null), strict=True))
    rungs = [rung for rung in RUNG_NAMES if all((table["rung"] == rung).any() for table in tables.values())]
    if not rungs:
        raise InputError(f"null: found rungs {', '.join(null['rung'].unique())}, none of which is in the ladder")
    known = [name for name in MODEL_NAMES if any((table["model"] == name).any() for table in tables.values())]
    figure = new_figure(TWO_COLUMNS, 30 + 8 * len(known))
    panels = figure.subplots(1, len(rungs), sharex=True, sharey=True, squeeze=False)[0]
    for axes, rung in zip(panels, rungs, strict=True):
        share, n = _chance(null, rung)
        axes.axvline(share, **_CHANCE)
        rule = _accuracies(ladder, [rung], {"exact_window": ""})
        for part in rule.values():
            axes.axvline(part["value"].iloc[0], **_RULE)
        _draw_letters(axes, rung, known, tables)
        axes.set_title(f"Split “{rung}”, n = {n:,} test windows")
        axes.set(xlabel="Test accuracy (%)", ylim=(0.4 - len(known), 0.6))
        axes.grid(axis="x", color="0.9", linewidth=0.5)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(-np.arange(len(known)), [MODEL_NAMES[name] for name in known])
    low, high = panels[0].get_xlim()
    panels[0].set_xlim(min(low, 46), max(high, 76))
    handles = [
        *(Line2D([], [], color=color, marker="o", markersize=4.5, markerfacecolor=face, linewidth=0.9, label=label)
          for label, (color, face, _) in _LETTERS.items()),
        Line2D([], [], **_CHANCE, label="chance: always the larger class"),
        Line2D([], [], **_RULE, label=CONTROL_NAMES["exact_window"]),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False)
    return figure


_LEAKS = {
    "test_share_exact": ("is a training window, letter for letter", "#7A3300"),
    "test_share_window_overlap": ("overlaps a training window", INTROGRESSED),
    "test_share_region_overlap": ("overlaps the region of a training window", "#F2B48A"),
}


@styled
def plot_leaks(leaks: Mapping[str, Any]) -> Figure:
    """Figure 14: share of the introgressed test windows that training has seen, by split.

    Parameters
    ----------
    leaks : mapping
        `protocols`, by rung the fields of `audit.LeakReport` (`audit/leak.json`).
    """
    found = leaks["protocols"]
    rungs = [rung for rung in RUNG_NAMES if rung in found]
    figure = new_figure(ONE_COLUMN, 32 + 13 * len(rungs))
    axes = figure.subplots()
    for number, (key, (label, color)) in enumerate(_LEAKS.items()):
        shares = [100 * found[rung][key] for rung in rungs]
        places = np.arange(len(rungs)) + 0.26 * (number - 1)
        axes.barh(places, shares, height=0.24, color=color, label=label)
        for place, share in zip(places, shares, strict=True):
            axes.text(share + 1, place, f"{share:.1f}", va="center", fontsize=6)
    labels = [f"{rung}\n(n = {found[rung]['n_test_introgressed']:,})" for rung in rungs]
    axes.set_yticks(range(len(rungs)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="Introgressed test windows (%)", xlim=(0, 112), ylim=(max(len(rungs), 1) - 0.5, -0.5))
    axes.set_xticks(range(0, 101, 20))
    axes.set_title("Introgressed test windows seen in training")
    figure.legend(loc="outside lower left", frameon=False)
    return figure


_SEEN = {
    "shares no letters with training windows": _GREY,
    "shares letters with a depleted one": DEPLETED,
    "shares letters with an introgressed one": INTROGRESSED,
}
_ODDS = (0.05, 400.0)


def odds_text(row: Any) -> str:
    """Write the odds ratio of a row of `audit/gene_flags.tsv` with its interval."""
    if np.isnan(row.odds_ratio):
        return "not defined"
    value, low, high = ("∞" if np.isinf(bound) else f"{bound:.2g}" for bound in (row.odds_ratio, row.low, row.high))
    return value if np.isnan(row.low) else f"{value} ({low} to {high})"


def _draw_flags(shares: Axes, odds: Axes, rows: pd.DataFrame) -> None:
    """Draw, block by block, the share of predicted genes beside the base rate, and the odds ratio."""
    y, labels = 0.0, {}
    for table, part in rows.groupby("table", sort=False):
        title = f"{str(table).capitalize()}: {part['n_predicted'].iloc[0]:,} of {part['n_all'].iloc[0]:,} predicted"
        shares.text(-0.02, y, title, transform=shares.get_yaxis_transform(), ha="right", va="center", fontsize=6.5,
                    color=INTROGRESSED)  # fmt: skip
        for row in records(part):
            y -= 1
            labels[y] = FLAG_NAMES[row.flag]
            shares.plot([100 * row.share_all, 100 * row.share_predicted], [y, y], color="0.75", linewidth=1)
            shares.plot(100 * row.share_all, y, "|", color=_BLACK, markersize=8, markeredgewidth=1.2)
            shares.plot(100 * row.share_predicted, y, "o", color=INTROGRESSED, markersize=4.5)
            odds.hlines(y, *np.clip([row.low, row.high], *_ODDS), color=_BLACK, linewidth=0.9)
            if _ODDS[0] <= row.odds_ratio <= _ODDS[1]:
                odds.plot(row.odds_ratio, y, "s", color=_BLACK, markersize=3.5)
            odds.text(1.03, y, odds_text(row), transform=odds.get_yaxis_transform(), va="center", fontsize=6)
        y -= 1.4
    shares.set_yticks(list(labels), list(labels.values()))
    odds.set_yticks([])
    for axes in (shares, odds):
        axes.set_ylim(y + 0.8, 0.6)
        axes.tick_params(axis="y", length=0)
    shares.set(xlim=(-4, 104), xticks=range(0, 101, 25), xlabel="Share of rows (%)")
    odds.axvline(1, **_CHANCE)
    odds.set(xscale="log", xlim=_ODDS, xlabel="Odds ratio")
    odds.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    odds.minorticks_off()
    shares.set_title("Predicted genes and introgressed training windows")


def _draw_scores(axes: Axes, genes: pd.DataFrame) -> None:
    """Draw each gene's score out of fold against the published way's, coloured by what training saw of it."""
    kinds = np.where(genes["in_window"], 2, np.where(genes["in_depleted_window"], 1, 0))
    opacity = float(np.clip(3000 / max(len(genes), 1), 0.2, 0.8))
    for kind, (label, color) in enumerate(_SEEN.items()):
        rows = genes[kinds == kind]
        # Many thousand points: as a picture within the SVG, in which all else stays lines and text.
        axes.scatter(rows["Prob_1"], rows["prob_oof"], s=4, color=color, alpha=opacity, linewidth=0, rasterized=True,
                     label=f"{label} (n = {len(rows):,})")  # fmt: skip
    axes.plot([0, 1], [0, 1], **_CHANCE)
    for draw in (axes.axhline, axes.axvline):
        draw(0.5, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlabel="Probability, as published", ylabel="Probability, out of fold")
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.set_title(f"n = {len(genes):,} genes scored twice")


@styled
def plot_gene_audit(flags: pd.DataFrame, genes: pd.DataFrame) -> Figure:
    """Figure 15: predicted genes and training windows; scores as published against scores out of fold.

    Parameters
    ----------
    flags : DataFrame
        `table, unit, flag, n_predicted, n_all, share_predicted, share_all, odds_ratio, low, high`
        (`audit/gene_flags.tsv`); the rows of the unit "row" are shown.
    genes : DataFrame
        `Prob_1, prob_oof, in_window, in_depleted_window` (`audit/genes.tsv`).
    """
    rows = flags[(flags["unit"] == "row") & flags["flag"].isin(FLAG_NAMES)]
    rows = rows.sort_values("flag", key=lambda names: names.map(list(FLAG_NAMES).index), kind="stable")
    figure = new_figure(TWO_COLUMNS, 42 + 15 * rows["table"].nunique())
    grid = figure.add_gridspec(1, 4, width_ratios=(1, 0.6, 0.02, 1.5))  # the third keeps a margin
    shares, odds, scores = (figure.add_subplot(grid[column]) for column in (0, 1, 3))
    _draw_flags(shares, odds, rows)
    _draw_scores(scores, genes)
    keys: list[tuple[str, float, Any, Any]] = [
        ("o", 4.5, INTROGRESSED, "predicted rows"),
        ("|", 8, _BLACK, "all scored rows"),
    ]
    keys += [(".", 8, color, points.get_label())
             for color, points in zip(_SEEN.values(), scores.collections, strict=True)]  # fmt: skip
    handles = [
        Line2D([], [], linestyle="", marker=marker, markersize=size, color=color, label=label)
        for marker, size, color, label in keys
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False)
    return figure


def _range(numbers: pd.Series) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


@styled
def plot_intersection_audit(table: pd.DataFrame) -> Figure:
    """Figure 16: genes met against genes expected, in each variant of the article's test.

    Parameters
    ----------
    table : DataFrame
        `description, n_regions, ratio, low, high, p, n_draws, conclusion`
        (`audit/intersections.tsv`).
    """
    figure = new_figure(TWO_COLUMNS, 25 + 9 * len(table))
    axes, notes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
    columns = (0.0, 0.54, 0.73)
    for y, row in zip(-np.arange(len(table)), records(table), strict=True):
        color = _VERDICT_COLORS.get(row.conclusion, _BLACK)
        axes.hlines(y, row.low, row.high, color=color, linewidth=1.2)
        axes.plot(row.ratio, y, "s", color=color, markersize=4.5)
        ratio = "not defined" if np.isnan(row.ratio) else f"{row.ratio:.2f}"
        ratio += "" if np.isnan(row.low) else f" ({row.low:.2f} to {row.high:.2f})"
        for x, text in zip(columns, (ratio, f"{row.p:.2g}", row.conclusion), strict=True):
            notes.text(x, y, text, va="center", fontsize=6.5, color=color if text == row.conclusion else _BLACK)
    for x, text in zip(columns, ("ratio (95 % interval)", "p", "conclusion"), strict=True):
        notes.text(x, 0.7, text, va="center", fontsize=6.5, weight="bold")
    notes.set_axis_off()
    axes.axvline(1, **_CHANCE)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), max(high, 1.1))
    labels = [textwrap.fill(f"{row.description} (n\u00a0=\u00a0{row.n_regions:,})", 48) for row in records(table)]
    axes.set_yticks(-np.arange(len(table)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="Pairs of region and gene: observed / expected", ylim=(0.5 - len(table), 1))
    figure.suptitle(
        f"Genes met by introgressed regions (n), against the mean of {_range(table['n_draws'])} draws; "
        "p: one-sided, for fewer genes",
        fontsize=7.5,
        x=0.01,
        ha="left",
    )
    return figure


@styled
def plot_matching(balance: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Figure 17: how alike the classes are in what they were matched on, before and after.

    Parameters
    ----------
    balance : DataFrame
        `covariate, smd_before, smd_after, tolerance` (`audit/matched/balance.tsv`).
    summary : mapping
        `n_matched`, `n_unmatched` (`audit/matched/match.json`).
    """
    figure = new_figure(ONE_COLUMN, 35 + 8 * len(balance))
    axes = figure.subplots()
    tolerance = balance["tolerance"].iloc[0]
    axes.axvspan(-tolerance, tolerance, color="0.9", linewidth=0, label=f"tolerance, ±{tolerance:g}")
    axes.axvline(0, **_CHANCE)
    rows = -np.arange(len(balance))
    for (before, after), y in zip(balance[["smd_before", "smd_after"]].to_numpy(), rows, strict=True):
        axes.plot([before, after], [y, y], color="0.75", linewidth=1, zorder=1)
    axes.plot(balance["smd_before"], rows, "o", color=INTROGRESSED, markerfacecolor="white", label="drawn at random")
    axes.plot(balance["smd_after"], rows, "o", color=_BLACK, label="matched")
    axes.set_yticks(rows, [COVARIATE_NAMES.get(name, name) for name in balance["covariate"]])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="Introgressed minus depleted (standardised difference)", ylim=(0.5 - len(balance), 0.5))
    axes.set_title(f"n = {summary['n_matched']:,} pairs of windows alike in composition\n"
                   f"({summary['n_unmatched']:,} regions without a partner)")  # fmt: skip
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


def dose_name(row: Any) -> str:
    """Write the span of a row of `audit/gene_doses.tsv` in per cent."""
    if np.isnan(row.above):
        return "none"
    return f"up to {100 * row.up_to:.0f}" if row.above == 0 else f"{100 * row.above:.0f} to {100 * row.up_to:.0f}"


@styled
def plot_gene_doses(doses: pd.DataFrame) -> Figure:
    """Figure 18: share of genes predicted, by the share of their text that is an introgressed training window.

    Parameters
    ----------
    doses : DataFrame
        `table, above, up_to, n_all, n_predicted, share_predicted` (`audit/gene_doses.tsv`); a panel a table.
    """
    parts = [(str(name), part.reset_index(drop=True)) for name, part in doses.groupby("table", sort=False)]
    width = ONE_COLUMN if len(parts) == 1 else TWO_COLUMNS
    n_columns = min(len(parts), 2)
    n_rows = -(-len(parts) // n_columns)
    figure = new_figure(width, 12 + 50 * n_rows)
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(parts) :]:
        axes.set_axis_off()
    for axes, (name, part) in zip(panels.flat, parts, strict=False):
        axes.bar(part.index, 100 * part["share_predicted"].fillna(0), width=0.7, color=INTROGRESSED)
        for place, row in enumerate(records(part)):
            height = 0.0 if np.isnan(row.share_predicted) else 100 * row.share_predicted
            axes.text(place, height + 1.5, f"{row.n_predicted:,}\nof {row.n_all:,}", ha="center", va="bottom",
                      fontsize=6, linespacing=1.1)  # fmt: skip
        axes.set_xticks(part.index, [dose_name(row) for row in records(part)])
        axes.tick_params(axis="x", length=0)
        axes.set(ylim=(0, 118), yticks=range(0, 101, 20))
        axes.set_title(f"{name.capitalize()}: {part['n_predicted'].sum():,} of {part['n_all'].sum():,} predicted")
    for axes in panels[:, 0]:
        axes.set_ylabel("Genes predicted (%)")
    for axes in panels.flat[: len(parts)]:
        axes.set_xlabel("Text that is an introgressed training window (%)")
    return figure
