"""What each claim's number means, told from the audit's results beside it.

A claim may be reproduced and still not mean what it says: the sentence here names what explains the number, and the
control that shows it. Every number comes from the run's own tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import Interval
from neanderthal_nlp.parameters import CUTS, LINEAR_MODELS, PREDICTIVE_KMERS

CHANCE = 0.5
NARROW = 0.6
"""AUROC below which the upper end of an interval must lie for "at chance" to be said rather than "not decided"."""
SEQUENCES, FOLLOW_UP = "audit/sequences.tsv", "audit/follow_up.json"
"""What the audit of the follow-up article saves, by its place below the results."""


class Files(Protocol):
    """Tables and JSON objects of a results folder by their names; see `claims.Results`."""

    def __getitem__(self, name: str) -> Any: ...

    def has(self, name: str) -> bool:
        """Whether there is such a file."""


class Meaning(NamedTuple):
    """What a claim's number means.

    Attributes
    ----------
    control : str
        The control's number, to stand beside the claim's.
    text : str
        What explains the claim's number.
    """

    control: str
    text: str


def read_meaning(claim: str, results: Files) -> Meaning:
    """Tell what a claim's number means.

    Parameters
    ----------
    claim : str
        Name of the claim, see `claims.CLAIMS`.
    results : Files

    Returns
    -------
    Meaning
    """
    if not results.has("audit/ladder.tsv"):
        return Meaning("", "not audited")
    meaning = MEANINGS[claim]
    if meaning in (_sequences, _sequence_network, _sequence_words) and not results.has(SEQUENCES):
        return Meaning("", "not audited")
    return meaning(results)


def _rung(results: Files, rung: str, model: str, metric: str = "accuracy", *, table: str = "ladder") -> Interval:
    rows = results[f"audit/{table}.tsv"]
    row = rows[(rows["rung"] == rung) & (rows["model"] == model) & (rows["metric"] == metric)]
    if len(row) != 1:
        raise InputError(f"audit/{table}.tsv: found {len(row)} rows of {metric} of {model} on rung {rung}, expected 1")
    return Interval(*(float(row[name].item()) for name in ("value", "low", "high")))


def _percent(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def sequence_score(table: pd.DataFrame, cut: str, rung: str, model: str, metric: str = "accuracy") -> Interval | None:
    """One metric on sub-sequences, from `audit/sequences.tsv`; None where it was not measured."""
    if table.empty:
        return None
    place = {"level": "sub_sequence", "cut": cut, "rung": rung, "model": model, "metric": metric}
    rows = table[(table[list(place)] == pd.Series(place)).all(axis=1)]
    return None if rows.empty else Interval(*(float(rows[name].iloc[0]) for name in ("value", "low", "high")))


def explain(article: Interval, chromosome: Interval, matched: Interval) -> str:
    """Say what explains that a model tells the classes apart under the article's split.

    Areas under the curve are compared, not accuracies: a model that leans towards one class on chromosomes that are new
    to it may have an accuracy of one half and still rank windows well.

    Parameters
    ----------
    article, chromosome, matched : Interval
        AUROC under the article's split, with whole chromosomes held out, and so on regions of matched composition.
    """
    if article.low <= CHANCE:
        return "nothing to explain: at chance"
    if chromosome.low <= CHANCE:
        if chromosome.high < NARROW:
            return "explained by overlap: at chance on chromosomes that it was not trained on"
        return "not shown to be more than overlap: on other chromosomes the interval holds chance, and is wide"
    share = max((article.value - chromosome.value) / (article.value - CHANCE), 0)
    overlap = f"{share:.0%} of its AUROC above chance by overlap and place"
    if matched.low <= CHANCE:
        rest = "the rest by composition" if matched.high < NARROW else "the rest not shown to be more than composition"
        return f"explained by overlap and composition: {overlap}, {rest}"
    return f"partly explained: {overlap}; AUROC {matched.value:.2f} is left at equal composition"


def _accuracy(model: str) -> Callable[[Files], Meaning]:
    def meaning(results: Files) -> Meaning:
        areas = [_rung(results, rung, model, "auroc") for rung in ("article", "chromosome", "matched")]
        null, rule = _rung(results, "article", model, table="null"), _rung(results, "article", "exact_window")
        other = _percent(_rung(results, "chromosome", model))
        control = (f"other chromosomes {other}, AUROC {_area(areas[1])}, at equal composition {_area(areas[2])}; "
                   f"random letters, article split {_percent(null)}; a rule that only remembers windows "
                   f"{rule.value:.1%}")  # fmt: skip
        return Meaning(control, explain(*areas))

    return meaning


def _area(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _at_chance(results: Files, rung: str, model: str) -> bool:
    return _rung(results, rung, model, "auroc").low <= CHANCE


def _regions(results: Files) -> Meaning:
    leak = results["audit/leak.json"]
    control = (f"of {leak['n_pairs']:,} read: {leak['n_distinct_starts']:,} distinct starts, {leak['n_clusters']:,} "
               f"clusters, worth {leak['n_effective']:,.0f} independent regions")  # fmt: skip
    return Meaning(control, "many calls of the same places: no count of independent observations")


def _top_kmers(results: Files) -> Meaning:
    null = results["audit/null/top_kmers.tsv"]
    share = null.groupby("label")["kmer"].apply(
        lambda kmers: sum(map("".join(kmers).count, "AT")) / len("".join(kmers))
    )
    control = "random letters: " + ", ".join(f"{label} {value:.0%}" for label, value in share.items())
    same = share.min() > 0.75
    return Meaning(control, "explained by composition: random letters of the same local GC content show it too" if same
                   else "not explained by local GC content alone")  # fmt: skip


def _network_better(results: Files) -> Meaning:
    lead = {}
    for rung in ("article", "chromosome"):
        others = {name: _rung(results, rung, name) for name in LINEAR_MODELS}
        best = max(others, key=lambda name: others[name].value)
        lead[rung] = (_rung(results, rung, "network"), best.replace("_", " "), others[best])
    network, best, linear = lead["chromosome"]
    control = f"other chromosomes: network {_percent(network)}, {best} {_percent(linear)}"
    if _at_chance(results, "chromosome", "network"):
        return Meaning(control, "no order of models to speak of: without overlap the network is not above chance")
    held = network.low > linear.high
    return Meaning(control, "the lead holds on other chromosomes" if held
                   else "no lead shown on other chromosomes: the intervals overlap")  # fmt: skip


def _one_sided(results: Files) -> Meaning:
    sides = [_rung(results, "chromosome", "forest", metric) for metric in ("specificity", "sensitivity")]
    control = f"other chromosomes: depleted {_percent(sides[0])}, introgressed {_percent(sides[1])}"
    if _at_chance(results, "chromosome", "forest"):
        return Meaning(control, "a property of what the forest remembers: without overlap it is not shown to tell "
                       "the classes better than chance")  # fmt: skip
    apart = sides[0].low > sides[1].high or sides[1].low > sides[0].high
    return Meaning(control, "classes differ on other chromosomes too" if apart
                   else "no difference between the classes on other chromosomes")  # fmt: skip


def _predictive(results: Files) -> Meaning:
    chromosome, matched = (_rung(results, rung, "forest", "auroc") for rung in ("chromosome", "matched"))
    control = f"forest on other chromosomes AUROC {_area(chromosome)}, at equal composition {_area(matched)}"
    if _at_chance(results, "chromosome", "forest"):
        text = "importances of a forest that remembers: they say what tells windows apart, not what tells ancestry"
    elif _at_chance(results, "matched", "forest"):
        text = "importances of a forest that reads composition, not ancestry"
    else:
        text = "importances of a forest that predicts other chromosomes; what they stand for stays open"
    return Meaning(control, text)


def _genes(results: Files) -> Meaning:
    counts, flags = results["audit/gene_counts.tsv"], results["audit/gene_flags.tsv"]
    blind = counts[counts["table"] == "out of fold"].iloc[0]
    rows = flags[(flags["table"] == "as published") & (flags["unit"] == "row")]
    near, inside, beside = (rows[rows["flag"] == flag].iloc[0] for flag in ("near_window", "in_window", "region_only"))
    control = (f"{near.n_predicted_flagged:,} of {near.n_predicted:,} start near an introgressed training window "
               f"(of all genes {near.share_all:.1%}); scored by models that saw nothing of their chromosome "
               f"{blind.predicted_rows:,} of {blind.n_rows:,}, in {blind.predicted_loci:,} loci")  # fmt: skip
    if near.n_predicted == 0 or pd.isna(inside.low):
        return Meaning(control, "too few predictions to explain")
    if inside.low <= 1:
        return Meaning(control, "not explained by overlap with training windows")
    # Genes of introgressed places whose letters were not read are the control: ancestry would show there too.
    if beside.high < inside.low:
        return Meaning(control, "explained by overlap: the forest recalls windows, and genes of introgressed places "
                       "whose letters it has not read are not predicted like them")  # fmt: skip
    return Meaning(control, "not decided: predictions are frequent in training windows, but perhaps in introgressed "
                   "places whose letters were not read, too")  # fmt: skip


def _clusters(results: Files) -> Meaning:
    clusters = results["clusters.tsv"]
    rows = clusters[clusters["map"] == "umap"].sort_values("n_cpg", ascending=False)
    most, total, size = int(rows["n_cpg"].iloc[0]), int(rows["n_cpg"].sum()), int(rows["n_kmers"].iloc[0])
    control = f"{most:,} of {total:,} words with a CpG in one cluster of {size:,}"
    explained = len(rows) > 1 and most == total > 0.8 * size and size == rows["n_kmers"].min()
    return Meaning(control, "a matter of letters: the small cluster is that of the words with a CpG" if explained
                   else "not the words with a CpG alone")  # fmt: skip


def _four(results: Files) -> Meaning:
    points, clusters = results["embeddings.tsv"], results["clusters.tsv"]
    at_rich = clusters[clusters["map"] == "umap"].sort_values("gc_mean")["cluster"].iloc[0]
    n_gc = points["kmer"].str.count("[CG]")
    alike = points[(n_gc <= 1) & ~points["kmer"].isin(PREDICTIVE_KMERS)]
    share = (alike["cluster"] == at_rich).mean()
    control = f"so do {share:.0%} of the {len(alike):,} other words with at most one G or C"
    return Meaning(control, "explained by their letters" if share > 0.95 else "more than their letters")


_SEQUENCE_CONTROLS = {
    "windows split at random": ("article", "lstm"),
    "other chromosomes": ("chromosome", "lstm"),
    "random letters": ("null_sub_sequence", "lstm"),
    "random letters, other chromosomes": ("null_chromosome", "lstm"),
    "a rule that only looks for overlap with training": ("sub_sequence", "overlap"),
}


def _sequences(results: Files) -> Meaning:
    table = results[SEQUENCES]
    shown = []
    for name, (rung, model) in _SEQUENCE_CONTROLS.items():
        found = {cut: sequence_score(table, cut, rung, model) for cut in CUTS}
        cells = [f"{cut} {_percent(span)}" for cut, span in found.items() if span is not None]
        shown += [f"{name}: {', '.join(cells)}"] if cells else []
    return Meaning("; ".join(shown), f"{_explain_sequences(table)}; how the follow-up cut and split its text does not "
                   "say (its notebook was not at hand; code that seems derived from it shifts by one letter and splits "
                   "sentences at random)")  # fmt: skip


def _explain_sequences(table: pd.DataFrame) -> str:
    """Say what explains the accuracy on sub-sequences split at random, by the ways of cutting that were tried."""
    apart = _other_chromosomes(table)
    if not apart:
        return "not held against other chromosomes"
    left = [f"{cut} AUROC {_area(area)}" for cut, area in apart.items() if area.low > CHANCE]
    if left:
        text = f"partly explained by overlap: on other chromosomes {', '.join(left)} is left"
    elif all(area.high < NARROW for area in apart.values()):
        text = "explained by overlap: at chance on chromosomes that it was not trained on"
    else:
        text = "not shown to be more than overlap: on other chromosomes the interval holds chance, and is wide"
    pairs = {cut: [sequence_score(table, cut, f"{letters}sub_sequence", "lstm") for letters in ("", "null_")]
             for cut in CUTS}  # fmt: skip
    alike = [cut for cut, (real, random) in pairs.items() if real and random and random.high >= real.low]
    return f"{text}; split at random, random letters give as much ({', '.join(alike)})" if alike else text


def _other_chromosomes(table: pd.DataFrame) -> dict[str, Interval]:
    """AUROC of the LSTM with whole chromosomes held out, by cut."""
    areas = {cut: sequence_score(table, cut, "chromosome", "lstm", "auroc") for cut in CUTS}
    return {cut: area for cut, area in areas.items() if area is not None}


def _sequence_network(results: Files) -> Meaning:
    """Of what is asked of the network that was kept, of shifts by one letter and the split at random."""
    area = _other_chromosomes(results[SEQUENCES]).get("shifted")
    if area is None:
        return Meaning("", "an answer of a network that was not held against other chromosomes")
    told = "tells" if area.low > CHANCE else "is not shown to tell"
    return Meaning(f"AUROC on other chromosomes {_area(area)}",
                   f"an answer of a network that {told} sub-sequences of other chromosomes apart")  # fmt: skip


def _sequence_words(results: Files) -> Meaning:
    """As `_sequence_network`; what is measured of the words would be the same without training."""
    found = _sequence_network(results)
    return Meaning(found.control, f"{found.text}; the share of GC content does not test for clusters, and is near 0 "
                   "without training")  # fmt: skip


def _nothing(text: str) -> Callable[[Files], Meaning]:
    return lambda results: Meaning("", text)


def _intersections(results: Files) -> Meaning:
    table = results["audit/intersections.tsv"].set_index("variant")
    merged = table.loc["merged"]
    control = f"each locus once: {int(merged['observed']):,} pairs of {int(merged['n_regions']):,} merged regions"
    return Meaning(control, "counts one locus as often as it was called")


def _depletion(results: Files) -> Meaning:
    table = results["audit/intersections.tsv"]
    shown = table[table["variant"].isin(["clear_of_gaps", "rotated", "gc_matched_merged"])]
    control = "; ".join(f"{row.variant.replace('_', ' ')} {row.ratio:.2f} times ({row.low:.2f} to {row.high:.2f}), "
                        f"p = {row.p:.2g}" for row in shown.itertuples())  # fmt: skip
    changed = table.loc[table["conclusion"] != "fewer genes", "variant"].tolist()
    if changed:
        names = ", ".join(name.replace("_", " ") for name in changed)
        return Meaning(control, f"depends on the control: no depletion shown under {names}")
    return Meaning(control, f"holds under all {len(table)} ways of drawing, "
                   f"{table['ratio'].min():.2f} to {table['ratio'].max():.2f} times")  # fmt: skip


MEANINGS: Mapping[str, Callable[[Files], Meaning]] = {
    "regions": _regions,
    "lengths": _nothing("lengths of calls, not of what was inherited: calls of one place are cut and merged"),
    "top_kmers": _top_kmers,
    "network": _accuracy("network"),
    "network_better": _network_better,
    "forest": _accuracy("forest"),
    "forest_one_sided": _one_sided,
    "predictive_kmers": _predictive,
    "genes": _genes,
    "kmer_clusters": _clusters,
    "four_at_rich": _four,
    "gc": _nothing("a property of genes; nothing to control"),
    "gc_higher": _nothing("a property of genes; nothing to control"),
    "intersections": _intersections,
    "depletion": _depletion,
    "sequences": _sequences,
    "sequence_words": _sequence_words,
    "sequence_genes": _sequence_network,
    "ank3": _sequence_network,
}
"""By the name of the claim."""
