"""What the web page shows: an answer in words and figures, as HTML. Everything that a user gave is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit, logit

from neanderthal_nlp.bundle import Bundle
from neanderthal_nlp.figures.style import DEPLETED, INTROGRESSED, count_axis, new_figure, styled
from neanderthal_nlp.predict import DEPLETED as NO
from neanderthal_nlp.predict import INTROGRESSED as YES
from neanderthal_nlp.predict import TOO_MANY_N, TOO_SHORT, UNLIKE

if TYPE_CHECKING:
    from neanderthal_nlp.along import Profile
    from neanderthal_nlp.app import Answer

SHARE = 0.02
"""Share of the genome of a person without recent African ancestors that comes from Neanderthals, about (Prüfer et al.,
Nature 505, 2014: 1.5 to 2.1 %)."""
N_ROWS = 10
"""Stretches that are listed."""
_WIDE, _NARROW = 160.0, 78.0  # widths of a figure on a computer and on a phone, mm
_BARS = 80


def read_template(name: str) -> str:
    """Text of a file of the templates."""
    return (files("neanderthal_nlp") / "templates" / name).read_text(encoding="utf-8")


def _render(template: str, **values: Any) -> str:
    environment = Environment(loader=PackageLoader("neanderthal_nlp"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"percent": percent, "of_100": of_100}
    return environment.get_template(template).render(**values)


def percent(share: float) -> str:
    """Whole per cent; what would round to 0 or 100 is said in words."""
    return f"{of_100(share)} %"


def of_100(share: float) -> str:
    """Whole number out of a hundred; what would round to 0 or 100 is said in words."""
    number = round(100 * share)
    return "under 1" if number < 1 else "over 99" if number > 99 else str(number)


def with_prior(probability: float, share: float = SHARE) -> float:
    """Turn a probability among stretches half of which are introgressed into one where a `share` is (Bayes)."""
    return float(expit(logit(probability) + logit(share)))


def format_header(bundles: Mapping[str, Bundle]) -> str:
    """Top of the page: what it does, and a warning if a model knows made-up DNA only."""
    synthetic = [name for name, bundle in bundles.items() if bundle.synthetic]
    return _render("app_header.html", synthetic=synthetic, invented=len(synthetic) == len(bundles))


def format_error(message: str) -> str:
    """Say why letters cannot be scored."""
    return _render("app_error.html", message=message)


def format_answer(answer: Answer, bundle: Bundle) -> str:
    """Say what was found; one thread at a time (Matplotlib).

    Parameters
    ----------
    answer : Answer
    bundle : Bundle
        That gave it.
    """
    frame = answer.stretches
    row = frame.iloc[answer.shown]
    told = frame[frame["probability"].notna()]
    auroc, unseen = _auroc(bundle, int(row["end"] - row["start"])), _auroc_unseen(bundle)
    worth = unseen or auroc
    largest = max((abs(value) for side in answer.words or () for _, value in side), default=1.0)
    sides = [] if answer.words is None else [
        (title, style, [(word, 100 * abs(value) / largest) for word, value in words])
        for title, style, words in (("for", "yes", answer.words.speak_for),
                                    ("against", "no", answer.words.speak_against))
    ]  # fmt: skip
    return _render(
        "app_answer.html",
        bundle=bundle,
        row=row,
        place=_place(row),
        n=len(frame),
        calls={call: int((frame["call"] == call).sum()) for call in (YES, NO, TOO_SHORT, TOO_MANY_N, UNLIKE)},
        verdict=_verdict(row, bundle),
        either=_either(row, bundle),
        told=bool(np.isfinite(row["probability"])),
        unlike=row["call"] == UNLIKE,
        interval=bool(np.isfinite(row["low"])),
        rare=with_prior(float(row["probability"])),
        share=SHARE,
        adds_up=answer.profile is not None and answer.profile.adds_up,
        profile=answer.profile and draw(partial(plot_profile, answer.profile, bundle.threshold)),
        overview=draw(partial(plot_stretches, frame)) if len(told) > 1 else None,
        listed=[(_place(other), other) for _, other in told.nlargest(N_ROWS, "probability").iterrows()],
        sides=sides,
        timed_out=answer.profile is not None and answer.words is None,
        gc=bundle.gc,
        auroc=auroc,
        unseen=unseen,
        coin=worth is not None and worth["low"] <= 0.5,
    )


def _place(row: pd.Series) -> str:
    """Name of a stretch, with its first and last letter (from 1)."""
    return f"{row['record']}, letters {row['start'] + 1:,} to {row['end']:,}"


def _either(row: pd.Series, bundle: Bundle) -> bool:
    return bool(row["low"] <= bundle.threshold <= row["high"])


def _verdict(row: pd.Series, bundle: Bundle) -> str:
    if row["call"] in (TOO_SHORT, TOO_MANY_N):
        return str(row["call"]).replace("too", "Too", 1)
    if row["call"] == UNLIKE:
        return "Beyond anything the model was checked on"
    if _either(row, bundle):
        return "It could be either"
    return "It looks more Neanderthal than not" if row["call"] == YES else "It does not look Neanderthal"


def _auroc(bundle: Bundle, length: int) -> dict[str, Any] | None:
    """The bundle's AUROC that was measured at the length nearest to this."""
    rows = [row for row in bundle.metrics if row["metric"] == "auroc"]
    if bundle.calibration is not None and len(rows) == len(bundle.calibration.lengths):
        return rows[int(np.abs(np.log(bundle.calibration.lengths / length)).argmin())]
    return rows[-1] if rows else None


def _auroc_unseen(bundle: Bundle) -> dict[str, Any] | None:
    """AUROC of a model like one that is not calibrated, on chromosomes it had not seen; None where not known."""
    if bundle.calibration is not None:  # its own measures are of such chromosomes
        return None
    rows = [row for row in bundle.other_splits if (row["split"], row["metric"]) == ("chromosome", "auroc")]
    return rows[0] if rows else None


@styled
def draw(plot: Callable[..., Figure]) -> dict[str, str]:
    """Draw a figure twice, for a computer (`wide`) and for a phone (`narrow`), as addresses that hold an SVG."""
    drawn = {}
    for name, width in (("wide", _WIDE), ("narrow", _NARROW)):
        buffer = BytesIO()
        with mpl.rc_context({"svg.fonttype": "path"}):  # the browser may lack the font
            plot(width=width).savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        drawn[name] = f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
    return drawn


def plot_profile(profile: Profile, threshold: float, *, width: float) -> Figure:
    """Where along a stretch its score comes from.

    Parameters
    ----------
    profile : Profile
    threshold : float
        Score above which a forest calls a stretch introgressed.
    width : float
        mm.
    """
    if profile.adds_up:
        return _plot_sum(profile, width)
    figure = new_figure(width, 52)
    axis = figure.add_subplot()
    x, y = profile.position, profile.value
    for side, colour in ((y >= threshold, INTROGRESSED), (y <= threshold, DEPLETED)):
        axis.fill_between(x, threshold, y, where=side, interpolate=True, color=colour, alpha=0.35, linewidth=0)
    axis.plot(x, y, color="0.2")
    axis.axhline(profile.score, color="0.2", linestyle=(0, (4, 2)), linewidth=0.8)
    axis.annotate("the whole", (1, profile.score), xycoords=("axes fraction", "data"), xytext=(-2, 2),
                  textcoords="offset points", ha="right", fontsize=6.5)  # fmt: skip
    axis.set(
        ylabel="share of trees\nthat say Neanderthal",
        xlabel="letters from the start",
        xlim=(x[0], max(x[-1], x[0] + 1)),
    )
    axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    count_axis(axis.xaxis, 6)
    return figure


def _plot_sum(profile: Profile, width: float) -> Figure:
    figure = new_figure(width, 66)
    above, below = figure.subplots(2, sharex=True, height_ratios=[3, 2])
    n = len(profile.value)
    running = profile.base + np.concatenate([[0.0], np.cumsum(profile.value)])
    steps = np.unique(np.linspace(0, n, 1 + min(n, 600)).astype(np.int64))
    above.plot(steps, running[steps], color="0.2")
    above.axhline(profile.base, color="0.6", linewidth=0.8)
    above.plot(n, running[-1], "o", color=_colour(running[-1] - profile.base), markersize=4, clip_on=False)
    above.set_ylabel("score so far")
    edges = np.unique(np.linspace(0, n, 1 + min(n, _BARS)).astype(np.int64))
    added = np.add.reduceat(profile.value, edges[:-1])
    below.bar(edges[:-1], added, np.diff(edges) * 0.9, align="edge", color=[_colour(value) for value in added])
    below.axhline(0, color="0.6", linewidth=0.8)
    below.set(ylabel="adds", xlabel="letters from the start", xlim=(0, n))
    for axis in (above, below):
        _pad(axis)
        axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    count_axis(below.xaxis, 6)
    figure.align_ylabels()
    return figure


def _pad(axis: Axes) -> None:
    axis.margins(y=0.12)


def _colour(value: float) -> str:
    return INTROGRESSED if value > 0 else DEPLETED


def plot_stretches(frame: pd.DataFrame, *, width: float) -> Figure:
    """Probabilities of the stretches, in their order, with their intervals.

    Parameters
    ----------
    frame : DataFrame
        Of `predict.predict`.
    width : float
        mm.
    """
    figure = new_figure(width, 52)
    axis = figure.add_subplot()
    single = bool((frame["record"] == frame["record"].iloc[0]).all())
    x = ((frame["start"] + frame["end"]) / 2).to_numpy() if single else np.arange(1, len(frame) + 1)
    told = frame["probability"].notna().to_numpy()
    for call, colour in ((YES, INTROGRESSED), (NO, DEPLETED)):
        chosen = told & (frame["call"] == call).to_numpy()
        part = frame[chosen]
        axis.vlines(x[chosen], 100 * part["low"], 100 * part["high"], color=colour, alpha=0.35, linewidth=1.2)
        axis.plot(x[chosen], 100 * part["probability"], "o", color=colour, markersize=3 if len(frame) < 100 else 1.5)
    axis.axhline(50, color="0.6", linewidth=0.8)
    axis.set(ylim=(0, 100), ylabel="how likely", xlabel="letters from the start" if single else "stretch")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    count_axis(axis.xaxis, 6)
    return figure
