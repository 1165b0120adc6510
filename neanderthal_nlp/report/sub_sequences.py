"""What the audit of the follow-up article says, in plain sentences computed from its tables.

The follow-up prints 99 % on validation and test set. Its text does not say how it cut and split, and its notebook was
not at hand: what that would have to be is told apart from what is known. Where a table has less than a whole run would
give, less is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from neanderthal_nlp.figures.style import percent, records
from neanderthal_nlp.report.findings import signed
from neanderthal_nlp.report.held_out import area_text

_CUTS = {"disjoint": "disjoint pieces", "shifted": "shifts by one letter"}


def describe_sequences(table: pd.DataFrame) -> list[str]:
    """Say how accurate the follow-up's network is, and how much of that rules and random letters give, too.

    Parameters
    ----------
    table : DataFrame
        `level, cut, rung, model, metric, value, low, high` (`audit/sequences.tsv`).

    Returns
    -------
    list of str
        Sentences.
    """
    told = _told(table, "accuracy")
    found = told.get(("sub_sequence", "lstm"), {})
    if not found:
        return ["The follow-up’s network was not scored on sub-sequences that are split at random."]
    sentences = [
        f"Split at random over sub-sequences, the follow-up’s network is right on {_by_cut(found)}. The follow-up "
        "prints 99 % on validation and test set. Its text does not say how it cut windows and how it split, and its "
        "notebook was not at hand; code that seems derived from it shifts by one letter and splits sentences at random."
    ]
    if rule := told.get(("sub_sequence", "overlap")):
        sentences.append(
            "A rule that learns nothing, and calls introgressed what overlaps an introgressed training sub-sequence, "
            f"is right on {_by_cut(rule)} there."
        )
    if apart := told.get(("article", "lstm")):
        sentences.append(f"With all sub-sequences of a window on one side the network is right on {_by_cut(apart)}.")
    if apart := told.get(("chromosome", "lstm")):
        sentences.append(f"With whole chromosomes held out it is right on {_by_cut(apart)}{_even_classes(table)}.")
    if areas := _told(table, "auroc").get(("chromosome", "lstm")):
        sentences.append(f"Its AUROC is {_by_cut(areas, area_text)} there{_chance(areas)}.")
    if random := told.get(("null_sub_sequence", "lstm")):
        sentences.append(_describe_random_letters(found, random, told.get(("null_chromosome", "lstm"), {})))
    return sentences


def _told(table: pd.DataFrame, metric: str) -> dict[Any, dict[str, Any]]:
    """Rows of one metric on sub-sequences, by split and model and then by cut."""
    rows = table[(table["level"] == "sub_sequence") & (table["metric"] == metric)]
    return {place: {row.cut: row for row in records(part)} for place, part in rows.groupby(["rung", "model"])}


def _share(row: Any) -> str:
    interval = "" if np.isnan(row.low) else f" ({100 * row.low:.1f} to {percent(row.high)})"
    return f"{percent(row.value)}{interval}"


def _by_cut(found: Mapping[str, Any], write: Callable[[Any], str] = _share) -> str:
    return " and ".join(f"{write(found[cut])} of {name}" for cut, name in _CUTS.items() if cut in found)


def _even_classes(table: pd.DataFrame) -> str:
    """Balanced accuracy beside the accuracy, where it was measured."""
    balanced = _told(table, "balanced_accuracy").get(("chromosome", "lstm"))
    return f", in balanced accuracy {_by_cut(balanced)}" if balanced else ""


def _chance(found: Mapping[str, Any]) -> str:
    """Say whether areas are above chance.

    Accuracies would not tell: clusters of overlapping regions differ in their share of each class, and that alone
    widens the interval of an accuracy that is drawn anew from clusters.
    """
    above = [_CUTS[cut] for cut, row in found.items() if row.low > 1 / 2]
    if not above:
        return ", which is not shown to be more than chance"
    return "" if len(above) == len(found) else f", which is shown to be more than chance for {above[0]} alone"


def _describe_random_letters(found: Mapping[str, Any], random: Mapping[str, Any], apart: Mapping[str, Any]) -> str:
    """Say what the network reaches on random letters, and what that means for its accuracy."""
    held_out = f", and with whole chromosomes held out {_by_cut(apart)}" if apart else ""
    text = f"On random letters, which nobody inherited, the same split gives it {_by_cut(random)}{held_out}: "
    if any(random[cut].high >= row.value for cut, row in found.items() if cut in random):
        return text + (
            "so high an accuracy needs no ancestry where sub-sequences of one window, or of windows that overlap, are "
            "on both sides of a split."
        )
    return text + "less than on the letters of the run, so that the split alone does not explain its accuracy."


def describe_positions(positions: pd.DataFrame, mutations: pd.DataFrame) -> list[str]:
    """Say which places of a sub-sequence count.

    Parameters
    ----------
    positions : DataFrame
        `position, drop, low, high` (`audit/sequence_positions.tsv`).
    mutations : DataFrame
        `model, position, change` (`audit/sequence_mutations.tsv`); the convolutional network's rows are told of.

    Returns
    -------
    list of str
        Sentences.
    """
    place = max(records(positions), key=lambda row: row.drop)
    mutations = mutations[mutations["model"] == "cnn"]
    letter = max(records(mutations), key=lambda row: row.change)
    shown = int((positions["low"] > 0).sum())
    return [
        "Permuting the words at one place among test sub-sequences costs the follow-up’s network at most "
        f"{100 * place.drop:.1f} percentage points, at place {place.position} (from 0); at {shown} of "
        f"{len(positions)} places the loss is above zero, by intervals that take sub-sequences as independent.",
        "A word shares nine of its ten letters with the next: what is lost at one place is told by its neighbours.",
        f"The convolutional network’s log-odds change by {letter.change:.2f} on average where the letter at place "
        f"{letter.position} is replaced, and by {mutations['change'].mean():.2f} over all places.",
    ]


def describe_follow_up(summary: Mapping[str, Any]) -> list[str]:
    """Say what becomes of the follow-up's words and genes.

    Parameters
    ----------
    summary : mapping
        `n_words, gc_embedding, n_genes, n_predicted, gc_cnn` (`audit/follow_up.json`).

    Returns
    -------
    list of str
        Sentences.
    """
    without = summary["n_genes"] - summary["n_predicted"]
    sentences = [
        f"The follow-up’s network, trained under the split at random, calls {without:,} of {summary['n_genes']:,} "
        "genes free of Neanderthal DNA; the follow-up prints 22,000 of 31,000. Calls are worth what the network is on "
        "chromosomes held out, no more."
    ]
    if not np.isnan(summary["gc_embedding"]):
        sentences.append(
            f"The vectors of the {summary['n_words']:,} most common words tell, as a linear function, "
            f"{percent(max(summary['gc_embedding'], 0.0))} of the variance of their GC content, beyond what vectors "
            "without meaning would. This does not test for clusters, and a network that learned nothing comes to a "
            "share near zero, too."
        )
    if not np.isnan(summary["gc_cnn"]):
        sentences.append(
            "The convolutional network’s score and the GC content of a sub-sequence have a rank correlation of "
            f"{signed(summary['gc_cnn'], 2)}."
        )
    return sentences
