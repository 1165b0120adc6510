"""What the audit's numbers say, in plain sentences computed from its tables, and what they cannot say.

Each function takes tables as a run saves them and returns two to four sentences for the report. Where a table has
less than a whole run would give, less is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neanderthal_nlp.figures.audit import COVARIATE_NAMES, MODEL_NAMES, RUNG_NAMES, odds_text
from neanderthal_nlp.figures.style import percent, records
from neanderthal_nlp.parameters import RULES

CONDITIONS: Mapping[str, str] = {
    "article": "under the article’s random split",
    "distinct": "with identical windows taken once",
    "cluster": "with overlapping regions on one side",
    "chromosome": "with whole chromosomes held out",
    "matched": "with whole chromosomes held out and depleted windows alike in length and composition",
}
"""What holds on each rung of the ladder."""
_LEFT = {
    "article": "identical and overlapping windows, neighbouring places and composition",
    "distinct": "overlapping windows, neighbouring places and composition",
    "cluster": "neighbouring places and composition",
    "chromosome": "composition, such as GC content and repeats",
    "matched": "ancestry, or anything else in which the classes differ and that nobody matched",
}


def _upper(text: str) -> str:
    """Begin a sentence; unlike `str.capitalize` this leaves GC as it is."""
    return text[:1].upper() + text[1:]


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign, zero without one."""
    text = f"{value:+.{digits}f}".replace("inf", "∞")
    return text.replace("-", "−") if round(value, digits) else text[1:]


def _percent_of(row: Any) -> str:
    interval = "" if np.isnan(row.low) else f" ({100 * row.low:.1f} to {percent(row.high)})"
    return f"{percent(row.value)}{interval}"


def _accuracy(table: pd.DataFrame, rung: str, metric: str = "accuracy") -> dict[str, Any]:
    """Accuracy (or another metric) on a rung, a row with `value, low, high` by model."""
    rows = table[(table["rung"] == rung) & (table["metric"] == metric)]
    return {row.model: row for row in records(rows.dropna(subset=["value"]))}


def _best(table: pd.DataFrame, rung: str, metric: str = "accuracy") -> Any:
    """Accuracy (or another metric) of the best of the models that read all words; None where none was scored."""
    rows = [row for model, row in _accuracy(table, rung, metric).items() if model in MODEL_NAMES]
    return max(rows, key=lambda row: row.value, default=None)


def chance(table: pd.DataFrame, rung: str) -> float:
    """Share right by always calling the larger class of the test windows of a rung; NaN where unknown."""
    rows = table[table["rung"] == rung]
    cells = rows[rows["model"] == rows["model"].iloc[0]].set_index("metric")["value"].reindex(["tn", "fp", "fn", "tp"])
    depleted, introgressed = cells["tn"] + cells["fp"], cells["fn"] + cells["tp"]
    return float(max(depleted, introgressed) / (depleted + introgressed))


def describe_ladder(table: pd.DataFrame) -> list[str]:
    """Say how much of the best model's accuracy is left on the last rung, and what the controls reach.

    The model is the best of the first rung. Whether anything is left is told by AUROC, which a model's lean towards
    one class does not spoil.

    Parameters
    ----------
    table : DataFrame
        `rung, model, metric, value, low, high` (`audit/ladder.tsv`).

    Returns
    -------
    list of str
        Sentences.
    """
    found = {rung: best for rung in RUNG_NAMES if (best := _best(table, rung)) is not None}
    if not found:
        return ["No model that reads all words was scored."]
    first, last = next(iter(found)), list(found)[-1]
    start = found[first]
    name = MODEL_NAMES[start.model]
    sentences = [f"{_upper(CONDITIONS[first])} the best model ({name}) is right on {_percent_of(start)} of the test "
                 f"windows; chance is {percent(chance(table, first))}."]  # fmt: skip
    end = _accuracy(table, last).get(start.model)
    if last != first and end is not None:
        left, before = 100 * (end.value - chance(table, last)), 100 * (start.value - chance(table, first))
        kept = f": {max(left, 0):.1f} of {before:.1f} points above chance are left" if before > 0 else ""
        area = _accuracy(table, last, "auroc").get(start.model)
        ranks = (
            "" if area is None else f"; its AUROC there is {area.value:.2f}, which a lean to one class does not spoil"
        )
        sentences.append(f"{_upper(CONDITIONS[last])} it is right on {_percent_of(end)}{kept}{ranks}.")
    ranking = _best(table, last, "auroc")
    if ranking is not None:
        interval = "" if np.isnan(ranking.low) else f"{ranking.low:.2f} to {ranking.high:.2f}, "
        area = f"{ranking.value:.2f} ({interval}{MODEL_NAMES[ranking.model]})"
        if ranking.low > 1 / 2:
            rest = f": what is above one half may be {_LEFT[last]}; the ladder does not tell which."
        else:
            rest = " and is not shown to be above one half, which is not to show that there is nothing."
        sentences.append(f"The best AUROC there is {area}{rest}")
    return sentences + _describe_controls(table, list(found))


def _describe_controls(table: pd.DataFrame, rungs: list[str]) -> list[str]:
    sentences = []
    rows = _accuracy(table, rungs[0])
    if rules := [rows[rule].value for rule in RULES if rule in rows]:
        sentences.append(f"Rules that compare coordinates and read no letter reach {percent(min(rules))} to "
                         f"{percent(max(rules))} {CONDITIONS[rungs[0]]}: up to there an accuracy needs no "
                         "ancestry.")  # fmt: skip
    apart = next((rung for rung in ("chromosome", "cluster") if rung in rungs), rungs[-1])
    rows = _accuracy(table, apart)
    names = {"gc": "GC content alone", "dinucleotides": "dinucleotides alone", "shuffled_labels": "shuffled labels"}
    if known := [f"{name} {_percent_of(rows[key])}" for key, name in names.items() if key in rows]:
        sentences.append(
            f"{_upper(CONDITIONS[apart])} a model reaches with {', with '.join(known)}: up to "
            "there composition or luck is enough."
        )
    return sentences


def describe_null(ladder: pd.DataFrame, null: pd.DataFrame) -> list[str]:
    """Say what the models reach on letters that hold no ancestry.

    Parameters
    ----------
    ladder, null : DataFrame
        `rung, model, metric, value, low, high` (`audit/ladder.tsv`, `audit/null.tsv`).

    Returns
    -------
    list of str
        Sentences.
    """
    sentences = []
    for rung in RUNG_NAMES:
        best = _best(null, rung)
        if best is None:
            continue
        even, real = chance(null, rung), _accuracy(ladder, rung)
        beside = f"; on the letters of the run it is {_percent_of(real[best.model])}" if best.model in real else ""
        sentences.append(f"{_upper(CONDITIONS[rung])} the best model on random letters "
                         f"({MODEL_NAMES[best.model]}) is right on {_percent_of(best)} of the test windows, "
                         f"{'' if best.low > even else 'not shown to be '}more than chance "
                         f"({percent(even)}){beside}.")  # fmt: skip
    return [
        *sentences,
        "Random letters hold no ancestry: what is reached on them is windows seen before, or the local composition "
        "that they keep. What the letters of the run give beyond that need not be ancestry either.",
    ]


def describe_leaks(leaks: Mapping[str, Any]) -> list[str]:
    """Say how much of the test windows each split lets the training windows tell.

    Parameters
    ----------
    leaks : mapping
        `protocols`, by rung the fields of `audit.LeakReport` (`audit/leak.json`).

    Returns
    -------
    list of str
        Sentences.
    """
    protocols = {rung: leaks["protocols"][rung] for rung in RUNG_NAMES if rung in leaks["protocols"]}
    sentences = []
    for rung, found in protocols.items():
        exact, window, region = (
            percent(found[f"test_share_{name}"]) for name in ("exact", "window_overlap", "region_overlap")
        )
        sentences.append(f"{_upper(CONDITIONS[rung])}, of {found['n_test_introgressed']:,} introgressed test "
                         f"windows {exact} are training windows letter for letter, {window} overlap one, {region} "
                         "overlap the region of one.")  # fmt: skip
    if len(sentences) > 2:
        clean = [rung for rung, found in protocols.items() if found["test_share_region_overlap"] == 0]
        sentences = [sentences[0], f"No test window overlaps a training region under: {', '.join(clean) or 'none'}."]
    if found := next(iter(protocols.values()), None):
        sentences.append(f"The {found['n_pairs']:,} introgressed regions form {found['n_clusters']:,} clusters that "
                         f"overlap, worth about {found['n_effective']:,.0f} independent regions.")  # fmt: skip
    return [*sentences, "The shares say what a model could remember, not that it does."]


def describe_matching(balance: pd.DataFrame, summary: Mapping[str, Any]) -> list[str]:
    """Say how many regions have a partner that is like them, and how alike the classes are.

    Parameters
    ----------
    balance : DataFrame
        `covariate, smd_before, smd_after, tolerance` (`audit/matched/balance.tsv`).
    summary : mapping
        `n_matched`, `n_unmatched` (`audit/matched/match.json`).

    Returns
    -------
    list of str
        Sentences.
    """
    matched, unmatched = summary["n_matched"], summary["n_unmatched"]
    before, after = (
        max(records(balance), key=lambda row: abs(getattr(row, column))) for column in ("smd_before", "smd_after")
    )
    inside = (balance["smd_after"].abs() <= balance["tolerance"]).all()
    return [
        f"{matched:,} introgressed regions have a depleted partner like them; {unmatched:,} "
        f"({percent(unmatched / (matched + unmatched))}) have none and are left out of this rung.",
        f"Drawn at random the classes differ most in {COVARIATE_NAMES.get(before.covariate, before.covariate)} "
        f"(standardised difference {signed(before.smd_before, 2)}); matched, the largest difference is "
        f"{signed(after.smd_after, 2)}, {'within' if inside else 'outside'} the tolerance of {after.tolerance:g}.",
        "Only these were matched: the classes may differ in anything else.",
    ]


def describe_doses(doses: pd.DataFrame) -> list[str]:
    """Say how the share of predicted genes goes with the share of their text that was trained on.

    Parameters
    ----------
    doses : DataFrame
        `table, above, up_to, n_all, n_predicted, share_predicted` (`audit/gene_doses.tsv`).

    Returns
    -------
    list of str
        Sentences, one a table.
    """
    sentences = []
    for name, part in doses.groupby("table", sort=False):
        first, last = part.iloc[0], part.iloc[-1]
        if not (first["n_all"] and last["n_all"]):
            sentences.append(f"{_upper(str(name))}: too few genes share letters with training windows to compare.")
            continue
        sentences.append(
            f"{_upper(str(name))}: where more than {percent(last['above'])} of the text is an introgressed training "
            f"window, {percent(last['share_predicted'])} of the genes are predicted "
            f"({last['n_predicted']:,} of {last['n_all']:,}); where none is, {percent(first['share_predicted'])} "
            f"({first['n_predicted']:,} of {first['n_all']:,})."
        )
    return sentences


def describe_genes(counts: pd.DataFrame, flags: pd.DataFrame, worth: pd.DataFrame) -> list[str]:
    """Say which predicted genes training has seen, and what scores by models that have not are worth.

    Parameters
    ----------
    counts : DataFrame
        `table, n_rows, n_loci, n_symbols, predicted_rows, predicted_loci, predicted_symbols`
        (`audit/gene_counts.tsv`).
    flags : DataFrame
        `table, unit, flag, share_predicted, share_all, odds_ratio, low, high` (`audit/gene_flags.tsv`).
    worth : DataFrame
        `metric, value, low, high` of the windows scored out of fold (`audit/genes.json`); may be empty.

    Returns
    -------
    list of str
        Sentences.
    """
    sentences = []
    inside = flags[(flags["unit"] == "row") & (flags["flag"] == "in_window")]
    shared = {row.table: row for row in records(inside)}
    for count in records(counts):
        text = (f"{_upper(count.table)}: {count.predicted_rows:,} of {count.n_rows:,} rows are predicted, in "
                f"{count.predicted_loci:,} of {count.n_loci:,} loci")  # fmt: skip
        if count.predicted_rows and count.table in shared:
            row = shared[count.table]
            text += (f"; {percent(row.share_predicted)} of them share letters with an introgressed training window, "
                     f"of all rows {percent(row.share_all)}: odds ratio {odds_text(row)}")  # fmt: skip
        sentences.append(f"{text}.")
    metrics = {row.metric: row for row in records(worth)}
    if {"accuracy", "auroc"} <= metrics.keys():
        sentences.append(f"Forests that saw nothing of a window’s chromosome are right on "
                         f"{_percent_of(metrics['accuracy'])} of the windows (AUROC {metrics['auroc'].value:.3f}): "
                         "that is what scores out of fold are worth.")  # fmt: skip
    return [
        *sentences,
        "A gene whose letters were in the training set may be introgressed all the same; its score cannot show it.",
    ]


def describe_intersections(table: pd.DataFrame) -> list[str]:
    """Say which variants of the gene test keep the article's conclusion.

    Parameters
    ----------
    table : DataFrame
        `variant, description, ratio, low, high, p, n_draws, conclusion` (`audit/intersections.tsv`).

    Returns
    -------
    list of str
        Sentences.
    """
    fewer, ratios = table["conclusion"] == "fewer genes", table["ratio"].dropna()
    span = f"goes from {ratios.min():.2f} to {ratios.max():.2f}" if len(ratios) else "is not defined"
    sentences = [f"In {fewer.sum()} of {len(table)} variants introgressed regions meet fewer genes than chance has it; "
                 f"observed against expected {span}."]  # fmt: skip
    if not fewer.all():
        changed = ", ".join(f"{row.description} ({row.conclusion})" for row in records(table[~fewer]))
        sentences.append(f"What changes the article’s conclusion: {changed}.")
    sentences += [
        f"Where all regions of a chromosome are turned together, which keeps their dependence, the ratio is "
        f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f}) and p = {row.p:.2g} from {row.n_draws:,} draws; it does "
        "not match GC content."
        for row in records(table[table["variant"] == "rotated"])
    ]
    return [
        *sentences,
        "Fewer genes is what selection against Neanderthal letters would leave, and also what a lower power to call "
        "introgression near genes would; the test does not tell them apart.",
    ]
