"""The figure of the smoothing: what the neighbours of a window add to its score, on held-out chromosomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures.style import (
    DEPLETED,
    INTROGRESSED,
    TWO_COLUMNS,
    add_caption,
    new_figure,
    records,
    styled,
)

METHOD_NAMES: Mapping[str, str] = {"score": "score alone", "moving_average": "moving average", "posterior": "posterior"}
"""What windows are ranked by, as the reader is told of it."""
AREA_NAMES: Mapping[str, str] = {"auroc": "AUROC", "auprc": "Average precision"}
"""How well they are ranked."""
STRETCH = 2_000_000
"""Length of the stretch that is shown, nt."""
COVERED = 0.5
"""Share of a window in introgressed regions from which it is marked; that of the evaluation."""
_COLUMNS = ("chrom", "chrom_start", "chrom_end", "probability", "covered", "posterior")
_CURVES = {"probability": ("Each window alone", "0.45"), "posterior": ("With its neighbours", DEPLETED)}
_CAPTION = (
    "Posterior: two-state hidden Markov model over the scores; its parameters come from the other held-out "
    "chromosomes. Lines on the left: 95 % intervals\nby bootstrap over blocks. Probability of a window alone: as if "
    "half of all were introgressed. Shown is {chrom} from shortly before its first introgressed\nwindow. Vermilion: "
    "windows half of which are introgressed."
)


def width_text(summary: Mapping[str, Any]) -> str:
    """Write how many windows the moving average takes together; `summary` is `audit/smoothing.json`."""
    widths = {summary["smoothers"][chrom]["width"] for chrom in summary["held_out"] if chrom in summary["smoothers"]}
    return f"{' or '.join(map(str, sorted(widths)))} windows"


@styled
def plot_smoothing(measured: pd.DataFrame, windows: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Figure 23: areas by score, moving average and posterior, and a stretch of a held-out chromosome.

    Parameters
    ----------
    measured : DataFrame
        `method, metric, value, low, high` (`audit/smoothing.tsv`). Without rows the figure says that nothing was
        measured.
    windows : DataFrame
        `chrom, chrom_start, chrom_end` (0-based half-open), `probability`, `covered` (nt), `posterior`
        (`audit/smooth.tsv`). The first stretch of the first held-out chromosome that has introgressed windows is shown.
    summary : mapping
        `held_out`, `smoothers`, and `not_done` where nothing was measured (`audit/smoothing.json`).

    Raises
    ------
    InputError
        `windows` lacks a column, or no window lies on a held-out chromosome.
    """
    figure = new_figure(TWO_COLUMNS, 85)
    if measured.empty:
        figure.text(0.5, 0.5, f"Not measured: {summary['not_done']}.", ha="center", va="center", wrap=True)
        return figure
    stretch = _first_stretch(windows, summary["held_out"])
    panels = figure.subplots(2, 2, sharex="col", squeeze=False, gridspec_kw={"width_ratios": [1, 2.2]})
    for axes, metric in zip(panels[:, 0], AREA_NAMES, strict=True):
        _draw_areas(axes, measured[measured["metric"] == metric], metric, width_text(summary))
    for axes, (column, (title, color)) in zip(panels[:, 1], _CURVES.items(), strict=True):
        _draw_curve(axes, stretch, column, color)
        axes.set_title(title)
    panels[0, 1].set_ylabel("Probability")
    panels[1, 1].set_ylabel("Posterior")
    chrom = stretch["chrom"].iloc[0]
    panels[1, 1].set_xlabel(f"Place on {chrom}, Mb")
    add_caption(figure, _CAPTION.format(chrom=chrom))
    return figure


def _first_stretch(windows: pd.DataFrame, held_out: list[str]) -> pd.DataFrame:
    """Windows of a stretch that begins shortly before the first introgressed one of a held-out chromosome."""
    if missing := [name for name in _COLUMNS if name not in windows.columns]:
        raise InputError(f"windows: no column {', '.join(missing)} (found {', '.join(windows.columns)})")
    marked = windows["covered"] >= COVERED * (windows["chrom_end"] - windows["chrom_start"])
    windows = windows.assign(introgressed=marked)[windows["chrom"].isin(held_out)]
    if windows.empty:
        raise InputError(f"windows: found none on {', '.join(held_out)}, expected those of held-out chromosomes")
    first = windows[windows["introgressed"]].head(1) if windows["introgressed"].any() else windows.head(1)
    chrom, start = first["chrom"].item(), max(0, first["chrom_start"].item() - STRETCH // 20)
    inside = (windows["chrom_start"] >= start) & (windows["chrom_end"] <= start + STRETCH)
    return windows[(windows["chrom"] == chrom) & inside]


def _draw_areas(axes: Axes, rows: pd.DataFrame, metric: str, width: str) -> None:
    """Draw an area a method, with its interval and its number."""
    names = {**METHOD_NAMES, "moving_average": f"{METHOD_NAMES['moving_average']}\n({width})"}
    places = {method: -at for at, method in enumerate(names)}
    for row in records(rows[rows["method"].isin(places)]):
        at, color = places[row.method], _CURVES["posterior"][1] if row.method == "posterior" else "0.3"
        axes.hlines(at, row.low, row.high, color=color, linewidth=1)
        axes.plot(row.value, at, "o", color=color, markersize=4)
        axes.annotate(f"{row.value:.2f}", (row.value, at), xytext=(0, 4), textcoords="offset points", ha="center",
                      fontsize=6.5, weight="bold")  # fmt: skip
    axes.set_yticks([*places.values()], [*names.values()])
    axes.set_ylim(-len(places) + 0.5, 0.7)
    axes.set_title(AREA_NAMES[metric])
    lowest = float(np.nanmin(rows[["low", "value"]].to_numpy()))
    axes.set_xlim(min(axes.get_xlim()[0], lowest - 0.03), 1.02)


def _draw_curve(axes: Axes, stretch: pd.DataFrame, column: str, color: str) -> None:
    """Draw a probability as bars as wide as the windows, and below them which windows are introgressed."""
    start, width = stretch["chrom_start"] / 1e6, (stretch["chrom_end"] - stretch["chrom_start"]) / 1e6
    known = stretch[column].notna()
    axes.bar(start[known], stretch.loc[known, column], width=width[known], align="edge", color=color, linewidth=0)
    axes.axhline(0.5, color="0.35", linewidth=0.7, linestyle=(0, (1, 1)))
    marked = stretch["introgressed"]
    axes.broken_barh([*zip(start[marked], width[marked], strict=True)], (-0.13, 0.08), color=INTROGRESSED, linewidth=0)
    axes.set_xlim(start.iloc[0], (start + width).iloc[-1])
    axes.set_ylim(-0.15, 1.05)
    axes.set_yticks([0, 0.5, 1])
