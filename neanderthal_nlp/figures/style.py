"""What the figures share: widths, colours, fonts and a few helpers.

The colours are those of Okabe and Ito (Color Universal Design, 2008): vermilion for introgressed, blue for depleted,
green for the article's four most predictive k-mers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter, MaxNLocator

ONE_COLUMN, TWO_COLUMNS = 90.0, 180.0
"""Widths of a figure, mm."""
INTROGRESSED, DEPLETED, PREDICTIVE = "#D55E00", "#0072B2", "#009E73"
DPI = 200

_STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that every machine draws the same
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "legend.fontsize": 6.5,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and edited
    "svg.hashsalt": "neanderthal_nlp",  # otherwise the ids in a file are random
}
# The user's own matplotlib settings are set aside while a figure is drawn and stand again afterwards.
styled = style.context(["default", _STYLE])


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure; width and height in mm."""
    return Figure(figsize=(width / 25.4, height / 25.4), layout="constrained")


def add_caption(figure: Figure, text: str) -> None:
    """Print lines small below everything else."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize=6, color="0.25", linespacing=1.4)


def percent(fraction: float) -> str:
    """Write a share as per cent with one decimal."""
    return f"{100 * fraction:.1f} %"


def count_axis(axis: Any, n_ticks: int, *, formatter: Formatter | None = None) -> None:
    """Put ticks at whole numbers only, by default written with their thousands set apart."""
    axis.set_major_locator(MaxNLocator(n_ticks, integer=True, min_n_ticks=1))
    axis.set_major_formatter(formatter or FuncFormatter(lambda value, _: f"{value:,.0f}"))


def records(table: pd.DataFrame) -> Iterator[Any]:
    """Rows of a table with their columns as attributes."""
    return cast(Iterator[Any], table.itertuples(index=False))


def spread_apart(places: Sequence[float], gap: float) -> np.ndarray:
    """Move labels apart until neighbours are `gap` apart, in their order and as little as that takes.

    Parameters
    ----------
    places : sequence of float, shape (n,)
    gap : float

    Returns
    -------
    ndarray of float64, shape (n,)
        Least squares: labels that would collide form a block that is centred on the mean of their places.
    """
    from scipy.optimize import isotonic_regression  # here, since few figures need it

    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(order))
    result = np.empty(len(order))
    result[order] = isotonic_regression(np.asarray(places, dtype=np.float64)[order] - steps).x + steps
    return result
