"""The claims of the article and of its follow-up as data, and the ledger that holds a run against them.

A claim says where it stands in the article, what was published, how it is measured here, what counts as
reproduced and which input can test it. A run on other input still shows what it measured, with the verdict
`not testable on this input`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from neanderthal_nlp.audit.meaning import FOLLOW_UP, SEQUENCES, read_meaning, sequence_score
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import Interval
from neanderthal_nlp.files import markdown_table, read_record, read_table
from neanderthal_nlp.parameters import CUTS, LINEAR_MODELS, N_INTROGRESSED, PREDICTIVE_KMERS

REPRODUCED, DIFFERS, NOT_TESTABLE = "reproduced", "differs", "not testable on this input"
SYNTHETIC, COORDINATES, LETTERS, MOST_LETTERS, GENES = (
    "synthetic demo", "published coordinates", "human letters", "letters of most regions", "the scored genes",
)  # fmt: skip
PUBLISHED_REGIONS = "eded97e149616b7e9c5c0f110666d5d947715dbd69eb108d58c8a2fe4032bfe3"
"""SHA-256 of `Akey_intr_coords.bed` as its author published it."""
FOLLOW_UP_SECTION = "follow-up"
N_GENES = 21_503
"""Rows of the published gene table."""
MOST = 0.5
"""Share of the published regions (or genes) that a run must read to stand for all of them."""


class Measurement(NamedTuple):
    """What a run found.

    Attributes
    ----------
    text : str
        For the reader.
    interval : Interval
        The main number, with its interval where it has one.
    holds : bool
        Whether the claim counts as reproduced.
    testable : bool
        Whether this run could have shown the claim at all, whatever its input.
    """

    text: str
    interval: Interval
    holds: bool
    testable: bool = True


_NOTHING = Interval(np.nan, np.nan, np.nan)
_NOT_RUN = Measurement("not run", _NOTHING, holds=False, testable=False)
_CUT_NAMES = {"disjoint": "disjoint pieces", "shifted": "shifts by one letter"}


class Results:
    """The files of a results folder that claims are measured on, read when first asked for."""

    def __init__(self, folder: str | Path, tables: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(folder)
        self._read: dict[str, Any] = dict(tables or {})

    def __getitem__(self, name: str) -> Any:
        """Table or JSON object by its file name."""
        if name not in self._read:
            reader = read_record if name.endswith(".json") else read_table
            self._read[name] = reader(self._folder / name)
        return self._read[name]

    def has(self, name: str) -> bool:
        """Whether a file of this name was given or is in the folder."""
        return name in self._read or (self._folder / name).exists()

    @property
    def article_split(self) -> bool:
        """Whether the models were trained and tested under the article's split."""
        return set(self["evaluation.tsv"]["protocol"]) == {"article"}

    def metric(self, model: str, metric: str) -> Interval:
        """One metric of one model under the run's split, from `evaluation.tsv`."""
        table = self["evaluation.tsv"]
        row = table[(table["model"] == model) & (table["metric"] == metric)]
        return Interval(*(row[name].item() for name in ("value", "low", "high")))

    def inputs(self) -> set[str]:
        """Kinds of input this run had."""
        regions = self["regions.json"]
        if regions["synthetic"]:
            return {SYNTHETIC}
        kinds = {LETTERS}
        published = regions["inputs"]["introgressed"]["sha256"] == PUBLISHED_REGIONS
        if published or regions["n_introgressed"] == N_INTROGRESSED:
            kinds.add(COORDINATES)
            if len(self["windows.tsv"]) / 2 >= MOST * N_INTROGRESSED:
                kinds.add(MOST_LETTERS)
        if len(self["genes.tsv"]) >= MOST * N_GENES:
            kinds.add(GENES)
        return kinds


@dataclass(frozen=True)
class Claim:
    """One claim of the article or of its follow-up.

    Attributes
    ----------
    name : str
        Short identifier.
    section : str
        Section of the article, or `follow-up`.
    sentence : str
        The claim in our words.
    published : str
        What the article prints.
    how : str
        How it is measured here, and when it counts as reproduced.
    testable_on : frozenset of str
        Kinds of input (see `Results.inputs`) that can test it; one of them suffices.
    measure : callable
        From `Results` to `Measurement`.
    """

    name: str
    section: str
    sentence: str
    published: str
    how: str
    testable_on: frozenset[str]
    measure: Callable[[Results], Measurement]


def _number(value: float, published: float, tolerance: float, text: str) -> Measurement:
    return Measurement(text, Interval(value, np.nan, np.nan), abs(value - published) <= tolerance)


def _accuracy(model: str, published: float) -> Callable[[Results], Measurement]:
    def measure(results: Results) -> Measurement:
        found = results.metric(model, "accuracy")
        close = abs(found.value - published) <= 0.02 or found.low <= published <= found.high
        return Measurement(_percent(found), found, close, testable=results.article_split)

    return measure


def _percent(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _wilson(found: int, n: int) -> Interval:
    """A share with Wilson's interval."""
    interval = binomtest(found, n).proportion_ci(method="wilson")
    return Interval(found / n, interval.low, interval.high)


def _n_regions(results: Results) -> Measurement:
    n = results["regions.json"]["n_introgressed"]
    return _number(n, N_INTROGRESSED, 0, f"{n:,}")


def _lengths(results: Results) -> Measurement:
    found = results["regions.json"]
    low, mean, high = (found[f"length_{name}"] / 1000 for name in ("min", "mean", "max"))
    holds = abs(low - 10) <= 1 and abs(mean - 100) <= 10 and abs(high - 1200) <= 50
    return Measurement(f"{low:,.1f} to {high:,.0f} kb, mean {mean:,.1f} kb", Interval(mean, np.nan, np.nan), holds)


def _top_kmers(results: Results) -> Measurement:
    table = results["top_kmers.tsv"]
    share = table.groupby("label")["kmer"].apply(lambda kmers: _at_share("".join(kmers)))
    leaders = table.loc[table["rank"] == 1, "kmer"]
    holds = bool(share.min() > 0.75 and all(set(kmer) in ({"A"}, {"T"}) for kmer in leaders))
    text = ", ".join(f"{label} {value:.0%}" for label, value in share.items())
    return Measurement(f"A and T among the letters of the top 20: {text}; first: {', '.join(leaders)}",
                       Interval(share.min(), np.nan, np.nan), holds)  # fmt: skip


def _at_share(letters: str) -> float:
    return sum(letters.count(letter) for letter in "AT") / len(letters)


def _network_beats_linear(results: Results) -> Measurement:
    network = results.metric("network", "accuracy")
    others = {name: results.metric(name, "accuracy") for name in LINEAR_MODELS}
    best = max(others, key=lambda name: others[name].value)
    lead = network.value - others[best].value
    text = f"network {_percent(network)}, best of them {best.replace('_', ' ')} {_percent(others[best])}"
    return Measurement(text, Interval(lead, np.nan, np.nan), network.low > others[best].value,
                       testable=results.article_split)  # fmt: skip


def _forest_is_one_sided(results: Results) -> Measurement:
    sensitivity, specificity = (results.metric("forest", name) for name in ("sensitivity", "specificity"))
    network = results.metric("network", "sensitivity")
    text = (f"depleted {_percent(specificity)}, introgressed {_percent(sensitivity)}; "
            f"network on introgressed {_percent(network)}")  # fmt: skip
    holds = specificity.value > sensitivity.high and sensitivity.value < network.low
    return Measurement(text, sensitivity, holds, testable=results.article_split)


def _predictive_kmers(results: Results) -> Measurement:
    order = list(results["importances.tsv"]["kmer"])
    if not set(PREDICTIVE_KMERS) <= set(order):
        return Measurement("other words were counted", _NOTHING, holds=False, testable=False)
    ranks = {kmer: order.index(kmer) + 1 for kmer in PREDICTIVE_KMERS}
    inside = sum(rank <= len(PREDICTIVE_KMERS) for rank in ranks.values())
    text = "ranks by impurity importance: " + ", ".join(f"{kmer} {rank}" for kmer, rank in ranks.items())
    return Measurement(text, Interval(inside, np.nan, np.nan), inside == len(PREDICTIVE_KMERS))


def _genes_predicted(results: Results) -> Measurement:
    table = results["genes.tsv"]
    positive, scored = int(table["Predict"].sum()), len(table)
    interval = _wilson(positive, scored)
    close = abs(positive - 477) <= 0.2 * 477
    return Measurement(f"{positive:,} of {scored:,} genes ({_percent(interval)})", interval, close)


def _two_clusters(results: Results) -> Measurement:
    clusters = _umap_clusters(results)
    best = int(clusters["n_clusters_by_silhouette"].iloc[0])
    if len(clusters) < 2:
        return Measurement("one cluster", _NOTHING, holds=False)
    large, small = clusters.iloc[0], clusters.iloc[1]
    gap = small["gc_mean"] - large["gc_mean"]
    sizes = (
        f"{part['n_kmers']} k-mers with GC {part['gc_mean']:.0%}, {part['n_cpg']} with a CpG" for part in (large, small)
    )
    width = float(large["silhouette"])
    text = f"{'; '.join(sizes)}; the silhouette is best for {best} clusters, {width:.2f} for two"
    apart = best == 2 and width > 0.5 and large["gc_high"] < small["gc_low"]
    return Measurement(text, Interval(gap, np.nan, np.nan), bool(apart))


def _four_in_at_rich(results: Results) -> Measurement:
    clusters = _umap_clusters(results)
    at_rich = str(clusters.sort_values("gc_mean")["predictive_kmers"].iloc[0])
    found = [kmer for kmer in PREDICTIVE_KMERS if kmer in at_rich.split(",")]
    text = f"{len(found)} of {len(PREDICTIVE_KMERS)} in the AT-rich cluster ({', '.join(found) or 'none'})"
    return Measurement(text, Interval(len(found), np.nan, np.nan), len(found) == len(PREDICTIVE_KMERS))


def _umap_clusters(results: Results) -> pd.DataFrame:
    table = results["clusters.tsv"]
    # A column without any entry reads as one of missing numbers.
    table = table.assign(predictive_kmers=table["predictive_kmers"].fillna("").astype(str))
    return table[table["map"] == "umap"].sort_values("cluster")


def _gc(results: Results) -> Measurement:
    found = results["intersections.json"]
    genes, genome = found["gc_genes"], found["gc_genome"]
    holds = abs(genes - 0.47) <= 0.015 and abs(genome - 0.41) <= 0.015
    return Measurement(f"genes {genes:.1%}, genome {genome:.1%}", Interval(genes - genome, np.nan, np.nan), holds)


def _gc_direction(results: Results) -> Measurement:
    found = results["intersections.json"]
    interval = Interval(*(found[f"gc_difference{suffix}"] for suffix in ("", "_low", "_high")))
    value, low, high = (100 * part for part in interval)
    text = f"genes minus genome: {value:+.1f} points ({low:+.1f} to {high:+.1f})"
    return Measurement(text, interval, interval.low > 0)


def _intersections(results: Results) -> Measurement:
    found = results["intersections.json"]
    return _number(found["observed"], 140_821, 0, f"{found['observed']:,}")


def _depletion(results: Results) -> Measurement:
    found = results["intersections.json"]
    draws = np.array(found["draws"])
    ratio = found["observed"] / draws.mean()
    text = (f"{found['observed']:,} against {draws.mean():,.0f} expected ({ratio:.2f} times); "
            f"{found['n_at_or_below']} of {found['n_draws']:,} draws at or below, p = {found['p']:.2g} "
            f"(as the article writes it: {found['p_article']})")  # fmt: skip
    return Measurement(text, Interval(found["p"], np.nan, np.nan), found["p"] < 1 / 17, testable=found["n_draws"] >= 17)


def _sequences(results: Results) -> Measurement:
    table = results[SEQUENCES] if results.has(SEQUENCES) else pd.DataFrame()
    found = {cut: sequence_score(table, cut, "sub_sequence", "lstm") for cut in CUTS}
    told = {cut: span for cut, span in found.items() if span is not None}
    if not told:
        return _NOT_RUN
    text = ", ".join(f"{_CUT_NAMES[cut]} {_percent(span)}" for cut, span in told.items())
    close = [abs(span.value - 0.99) <= 0.02 or span.low <= 0.99 <= span.high for span in told.values()]
    nearest = min(told.values(), key=lambda span: abs(span.value - 0.99))
    return Measurement(f"split at random: {text}", nearest, any(close))


def _sequence_words(results: Results) -> Measurement:
    found = results[FOLLOW_UP] if results.has(FOLLOW_UP) else {}
    share = found.get("gc_embedding", np.nan)
    if np.isnan(share):
        return _NOT_RUN
    text = f"the vectors of the {found['n_words']:,} most common words tell {max(share, 0):.1%} of their GC content"
    return Measurement(text, Interval(share, np.nan, np.nan), holds=False)


def _sequence_genes(results: Results) -> Measurement:
    if not results.has(FOLLOW_UP):
        return _NOT_RUN
    found = results[FOLLOW_UP]
    without, scored = found["n_genes"] - found["n_predicted"], found["n_genes"]
    interval = _wilson(without, scored)
    close = abs(interval.value / (22 / 31) - 1) <= 0.2
    return Measurement(f"{without:,} of {scored:,} genes ({_percent(interval)})", interval, close)


def _ank3(results: Results) -> Measurement:
    name = "audit/sequence_genes.tsv"
    table = results[name] if results.has(name) else pd.DataFrame({"Gene_Symbol": [], "Prob_1": []})
    scores = table.loc[table["Gene_Symbol"] == "ANK3", "Prob_1"]
    if scores.empty:
        return Measurement("no gene of that name was scored", _NOTHING, holds=False, testable=False)
    return Measurement(f"{scores.max():.1%}", Interval(scores.max(), np.nan, np.nan), scores.max() > 0.99)


_ANY_LETTERS = frozenset({SYNTHETIC, LETTERS})
CLAIMS = (
    Claim("regions", "1", "Unique introgressed regions of Europeans", "83,601",
          "rows left in the introgressed BED without repeats; equal", frozenset({COORDINATES}), _n_regions),
    Claim("lengths", "1", "Introgressed regions reach from 10 kb to 1.2 Mb, around 100 kb on average",
          "10 kb to 1.2 Mb, mean ~100 kb", "region lengths; within 1, 50 and 10 kb of minimum, maximum and mean",
          frozenset({COORDINATES}), _lengths),
    Claim("top_kmers", "2", "A- and T-rich words are the most common of both classes", "A- and T-rich ones lead",
          "share of A and T in the 20 most common k-mers; above 75 % in both classes, AAAAA or TTTTT first",
          frozenset({SYNTHETIC, MOST_LETTERS}), _top_kmers),
    Claim("network", "2", "Test accuracy of the multilayer perceptron", "82.2%",
          "article split; 82.2 % within 2 points or inside the interval", frozenset({MOST_LETTERS}),
          _accuracy("network", 0.822)),
    Claim("network_better", "2", "The network is clearly better than logistic regression, SVM and naive Bayes",
          "clearly better", "article split; the network's interval lies above the accuracy of the best of the three",
          frozenset({MOST_LETTERS}), _network_beats_linear),
    Claim("forest", "2", "Test accuracy of the random forest", "84.5%",
          "article split; 84.5 % within 2 points or inside the interval", frozenset({MOST_LETTERS}),
          _accuracy("forest", 0.845)),
    Claim("forest_one_sided", "2", "The forest is very good on depleted regions and poor on introgressed ones, "
          "poorer than the network", "very high; very poor", "article split; accuracy per class, intervals apart",
          frozenset({MOST_LETTERS}), _forest_is_one_sided),
    Claim("predictive_kmers", "2", "AAAAA, CAAAA, CATTT and TTTTT are the most predictive words",
          "AAAAA, CAAAA, CATTT, TTTTT", "ranks by impurity importance; the four are the first four",
          frozenset({MOST_LETTERS}), _predictive_kmers),
    Claim("genes", "3", "Genes predicted to hold Neanderthal DNA", "477 of ~22,000",
          "rows with Predict = 1; within 20 % of 477", frozenset({GENES}), _genes_predicted),
    Claim("kmer_clusters", "4", "The k-mers form two obvious clusters, a larger AT-rich and a smaller GC-rich one",
          "two clusters", "Gaussian mixture on the UMAP map; two is the best number by silhouette, with more than 0.5, "
          "and the larger has less GC, intervals apart", _ANY_LETTERS, _two_clusters),
    Claim("four_at_rich", "4", "The four most predictive k-mers fall into the AT-rich cluster", "all four",
          "cluster of each on the UMAP map; all in the one with less GC", _ANY_LETTERS, _four_in_at_rich),
    Claim("gc", "5", "GC content of genes and of the genome", "47% and 41%",
          "mean over genes, called letters of the genome; within 1.5 points", frozenset({GENES}), _gc),
    Claim("gc_higher", "5", "Genes are GC-rich", "47% against 41%",
          "mean over genes minus genome; interval above 0", frozenset({SYNTHETIC, GENES}), _gc_direction),
    Claim("intersections", "5", "Overlapping pairs of introgressed regions and genes", "140,821",
          "rows of bedtools intersect; equal (the article's gene file is not published)", frozenset(), _intersections),
    Claim("depletion", "5", "Introgressed regions meet fewer genes than depleted draws do", "p < 1/17",
          "permutation test, p = (b + 1) / (n + 1); below 1/17. As in the article each region is drawn on its own, "
          "though those of one locus go together: p is too small", frozenset({SYNTHETIC, COORDINATES}), _depletion),
    Claim("sequences", FOLLOW_UP_SECTION, "Accuracy of a bidirectional LSTM on sub-sequences of 200 nt, on validation "
          "and test set", "99%", "windows cut into five disjoint pieces or by shifts of one letter, divided at random; "
          "99 % within 2 points or inside the interval, for either. How the follow-up cut and split its text does not "
          "say, and its notebook was not at hand", frozenset({MOST_LETTERS}), _sequences),
    Claim("sequence_words", FOLLOW_UP_SECTION, "The map of that network's word vectors shows no clusters of AT- and "
          "GC-rich words", "no clusters", "share of the variance of the most common words' GC content that is linear "
          "in their vectors, adjusted for their dimensions. No number of it counts as reproduced: it does not test for "
          "clusters, and vectors of an untrained network have a share near 0, too", frozenset(), _sequence_words),
    Claim("sequence_genes", FOLLOW_UP_SECTION, "Genes that the network calls free of Neanderthal DNA",
          "22,000 of 31,000", "genes with Predict = 0; the share within 20 % of 22,000 / 31,000. Which genes the "
          "follow-up scored, and by how many letters, its text does not say", frozenset({GENES}), _sequence_genes),
    Claim("ank3", FOLLOW_UP_SECTION, "The gene ANK3 is predicted with near certainty", "> 99%",
          "highest Prob_1 of a row of ANK3; above 99 %", frozenset({GENES}), _ank3),
)  # fmt: skip


def ledger(results_dir: str | Path) -> pd.DataFrame:
    """Hold a run's results against every claim of the article and of its follow-up.

    Parameters
    ----------
    results_dir : path-like
        The `results` folder of a run.

    Returns
    -------
    DataFrame
        One row a claim: `claim, section, sentence, published, reproduced` (text), `value, low, high` (the main
        number with its 95 % interval where it has one), `verdict`, `control` (the audit's number beside the claim's),
        `meaning` (the verdict, and what explains the number), `measured` (how, and what counts as reproduced).

    Raises
    ------
    InputError
        A results file is missing.
    """
    results = Results(results_dir)
    inputs = results.inputs()
    rows = []
    for claim in CLAIMS:
        found = claim.measure(results)
        testable = found.testable and bool(claim.testable_on & inputs)
        verdict = (REPRODUCED if found.holds else DIFFERS) if testable else NOT_TESTABLE
        meaning = read_meaning(claim.name, results)
        rows.append((claim.name, claim.section, claim.sentence, claim.published, found.text, *found.interval,
                     verdict, meaning.control, f"{verdict}; {meaning.text}", claim.how))  # fmt: skip
    return pd.DataFrame(rows, columns=["claim", "section", "sentence", "published", "reproduced", "value", "low",
                                       "high", "verdict", "control", "meaning", "measured"])  # fmt: skip


def compare(names: Sequence[str], tables: Mapping[str, Any]) -> pd.DataFrame:
    """Put what was measured beside what was published, for some claims and without a run.

    Parameters
    ----------
    names : sequence of str
        Claims of `CLAIMS`.
    tables : mapping of str to (DataFrame or mapping)
        What the claims are measured on, by the name that a run gives to the file, such as `genes.tsv`.

    Returns
    -------
    DataFrame
        `claim, published, reproduced`, all text, one row a claim in the order given.

    Raises
    ------
    InputError
        There is no such claim.
    """
    known = {claim.name: claim for claim in CLAIMS}
    strange = [name for name in names if name not in known]
    if strange:
        raise InputError(f"claim {strange[0]!r}: found no such claim, expected names among {', '.join(known)}")
    results = Results("results", tables)
    rows = [(known[name].sentence, known[name].published, known[name].measure(results).text) for name in names]
    return pd.DataFrame(rows, columns=["claim", "published", "reproduced"])


def to_markdown(table: pd.DataFrame) -> str:
    """A ledger as a Markdown table: section, claim, published, reproduced, what it means, control."""
    columns = {"section": "§", "sentence": "claim", "published": "published", "reproduced": "reproduced",
               "meaning": "what it means", "control": "control"}  # fmt: skip
    return markdown_table(table[list(columns)].rename(columns=columns))
