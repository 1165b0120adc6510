"""What sweep and smoothing say, in plain sentences computed from their tables: both measure on held-out chromosomes.

Each function takes tables as a run saves them. Where a table has less than a whole run would give, less is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neanderthal_nlp.figures.smoothing import width_text
from neanderthal_nlp.figures.style import percent, records
from neanderthal_nlp.figures.sweep import LEARNER_NAMES


def area_text(row: Any) -> str:
    """Write an area with its interval; `row` has `value, low, high`, or `auroc` in the place of `value`."""
    value = row.auroc if hasattr(row, "auroc") else row.value
    return f"{value:.3f}" + ("" if np.isnan(row.low) else f" ({row.low:.3f} to {row.high:.3f})")


def model_text(row: Any) -> str:
    """Name a model of the sweep and its words; `row` has `model, canonical, k`."""
    letters = "one letter" if row.k == 1 else f"{row.k} letters"
    strands = "canonical" if row.canonical else "plain"
    return f"{LEARNER_NAMES.get(row.model, row.model)} on {strands} words of {letters}"


def describe_sweep(sweep: pd.DataFrame, null: pd.DataFrame, summary: Mapping[str, Any]) -> list[str]:
    """Say how much is learnable from words when nothing leaks, and how much of it random letters give, too.

    Parameters
    ----------
    sweep, null : DataFrame
        `model, canonical, k, cv_auroc, cv_se, auroc, low, high, chosen`, one row a model (`audit/sweep.tsv`,
        `audit/null/sweep.tsv`).
    summary : mapping
        `test_chromosomes` (`audit/sweep.json`).

    Returns
    -------
    list of str
        Sentences.
    """
    chosen, random = (next(records(table[table["chosen"]])) for table in (sweep, null))
    caution = "" if chosen.low > 1 / 2 else ", not shown to be above one half"
    return [
        f"The model that was chosen, {model_text(chosen)}, has an AUROC of {area_text(chosen)} on chromosomes that it "
        f"was not trained on ({', '.join(summary['test_chromosomes'])}){caution}.",
        _describe_choice(sweep, chosen),
        *_describe_gc(sweep),
        _describe_long_words(sweep, chosen),
        _describe_random_letters(random),
        _read_sweep(chosen, random),
    ]


def _describe_choice(sweep: pd.DataFrame, chosen: Any) -> str:
    best = max(records(sweep), key=lambda row: row.cv_auroc)
    beside = "the best of all" if best.chosen else f"that of the best, {model_text(best)}, {best.cv_auroc:.3f}"
    return (
        f"It is the simplest of {len(sweep)} models within one standard error ({best.cv_se:.3f}) of the best, by folds "
        f"of the training chromosomes: its AUROC out of fold is {chosen.cv_auroc:.3f}, {beside}. The held-out "
        "chromosomes had no part in the choice."
    )


def _describe_gc(sweep: pd.DataFrame) -> list[str]:
    """Say what GC content alone reaches: all that is told by canonical words of one letter."""
    rows = sweep[(sweep["model"] == "logistic_regression") & (sweep["k"] == 1) & sweep["canonical"]]
    return [
        "That is GC content alone: no other words are shown to add to it."
        if row.chosen
        else f"GC content alone, which is all that canonical words of one letter tell, reaches {area_text(row)}."
        for row in records(rows)
    ]


def _describe_long_words(sweep: pd.DataFrame, chosen: Any) -> str:
    longer = max(records(sweep[sweep["k"] > chosen.k]), key=lambda row: row.cv_auroc, default=None)
    if longer is None:
        return "No longer words were tried."
    # What is chosen lies within one standard error of the best, so that longer words cannot be better by more.
    verdict = "no better" if longer.cv_auroc <= chosen.cv_auroc else "better by less than one standard error"
    return (
        f"Longer words do {verdict}: the best of them out of fold, {model_text(longer)}, has {longer.cv_auroc:.3f} "
        f"there and {area_text(longer)} on the held-out chromosomes."
    )


def _describe_random_letters(random: Any) -> str:
    if random.low > 1 / 2:
        meaning = (
            "introgressed and depleted windows lie in places of another composition, and so much needs no ancestry"
        )
    else:
        meaning = "this is not shown to be above one half, and so the composition of places is not shown to be enough"
    return (
        "The same sweep on random letters, which keep the local composition of the genome and which nobody inherited, "
        f"chooses {model_text(random)} and reaches {area_text(random)}: {meaning}."
    )


def _read_sweep(chosen: Any, random: Any) -> str:
    if not chosen.low > 1 / 2:
        return "That nothing is shown to be learnable from words where nothing leaks is not to show that nothing is."
    if chosen.auroc <= random.auroc:
        return "The letters of the run give no more than random ones: what can be learnt is where windows lie."
    if not chosen.low > random.high:
        return (
            "That the letters of the run give more than random ones is not shown (the intervals are not apart): all "
            "that can be learnt may be where windows lie."
        )
    return (
        "What the letters of the run give beyond random ones can be learnt from words where nothing leaks. Whether it "
        "is ancestry, or anything else in which such places differ, the sweep does not tell."
    )


def describe_smoothing(measured: pd.DataFrame, summary: Mapping[str, Any]) -> list[str]:
    """Say what the neighbours of a window add to its score.

    Parameters
    ----------
    measured : DataFrame
        `method, metric, value, low, high` (`audit/smoothing.tsv`); may have no rows.
    summary : mapping
        `held_out`, `smoothers` (`audit/smoothing.json`).

    Returns
    -------
    list of str
        Sentences.
    """
    held_out = summary["held_out"]
    if measured.empty:
        return [f"What neighbours add was not measured: {summary['not_done']}."]
    rows = {(row.method, row.metric): row for row in records(measured)}
    score, average, posterior = (rows[method, "auroc"] for method in ("score", "moving_average", "posterior"))
    more = "higher" if posterior.value > average.value else "not higher"
    return [
        f"On held-out chromosomes ({', '.join(held_out)}) the AUROC of windows is {area_text(score)} by the score of "
        f"each alone and {area_text(posterior)} by a hidden Markov model that takes in their neighbours"
        f"{_compare(posterior, score)}; average precision goes from {area_text(rows['score', 'auprc'])} to "
        f"{area_text(rows['posterior', 'auprc'])}.",
        f"An average over {width_text(summary)}, which is simpler, has an AUROC of {area_text(average)}; that of the "
        f"hidden Markov model is {more}{_compare(posterior, average)}.",
        f"Called by its own probability, as if half of all windows were introgressed, {_hits(rows, 'call')}. With the "
        f"share of introgressed windows that the other held-out chromosomes have, {_hits(rows, 'alone')}; with the "
        f"neighbours, too, {_hits(rows, 'posterior')}.",
        "What is learnt to smooth a chromosome comes from the other held-out ones: neither the scores nor the "
        "smoothing know where its own introgressed regions lie.",
        "The follow-up article sets hidden Markov models, for their short memory, behind networks that remember long; "
        "here one is tried. What it uses is that introgressed windows lie side by side, which says nothing about what "
        "the scores rest on.",
    ]


def _compare(one: Any, other: Any) -> str:
    return " (the intervals overlap)" if one.low <= other.high and other.low <= one.high else ""


def _hits(rows: Mapping[tuple[str, str], Any], method: str) -> str:
    """Precision and recall in nucleotides, in words."""
    precision, recall = (rows[method, metric].value for metric in ("precision_nt", "recall_nt"))
    if np.isnan(precision):
        return "nothing is called"
    return (
        f"{percent(precision)} of the nucleotides called are introgressed, {percent(recall)} of the introgressed called"
    )
