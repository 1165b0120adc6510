"""The audit's sections of the report: sentences and tables, all text, made of a run's saved results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.figures.audit import CONTROL_NAMES, COVARIATE_NAMES, MODEL_NAMES, RUNG_NAMES, dose_name, odds_text
from neanderthal_nlp.figures.sequences import CUT_NAMES, READER_NAMES, RULE_NAMES
from neanderthal_nlp.figures.sequences import RUNG_NAMES as SEQUENCE_RUNGS
from neanderthal_nlp.figures.style import percent, records
from neanderthal_nlp.figures.sweep import LEARNER_NAMES
from neanderthal_nlp.report import findings, held_out, sub_sequences

_NAMES = {**MODEL_NAMES, **CONTROL_NAMES}
_SHARES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision_nt", "recall_nt")
_COUNTS = ("tn", "fp", "fn", "tp", "n_test", "n_train")
_METRICS = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "auprc": "AUPRC",
    "mcc": "Matthews correlation", "brier": "Brier score", "sensitivity": "sensitivity", "specificity": "specificity",
    "tn": "true negatives", "fp": "false positives", "fn": "false negatives", "tp": "true positives",
    "n_test": "test windows", "n_train": "training windows",
}  # fmt: skip
_SMOOTHED = {
    "score": "score alone", "moving_average": "moving average", "call": "alone, as if half were introgressed",
    "alone": "alone, with the share introgressed", "posterior": "with neighbours: posterior",
    "viterbi": "with neighbours: path of Viterbi",
}  # fmt: skip
_SMOOTHED_METRICS = {"auroc": "AUROC", "auprc": "average precision", "brier": "Brier score",
                     "precision_nt": "nucleotides called that are introgressed",
                     "recall_nt": "introgressed nucleotides that are called"}  # fmt: skip
_NOTHING = "–"


class _Interval(NamedTuple):
    value: float
    low: float
    high: float


class Table(NamedTuple):
    """A table of the report, all text.

    Attributes
    ----------
    caption : str
    header : sequence of str
    rows : sequence of sequence of str
        As many cells as the header has; the first names the row.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """A part of the audit.

    Attributes
    ----------
    anchor, title : str
    figure, seen : str
        Name of its figure, and what is to be seen on it.
    missing : sequence of str
        Results files that it would be made of and that are not there; empty where all are.
    sentences : sequence of str
    tables : sequence of Table
        Shown.
    more : str
        What the details are.
    details : sequence of Table
        Shown when asked for.
    """

    anchor: str
    title: str
    figure: str
    seen: str
    missing: Sequence[str] = ()
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    more: str = ""
    details: Sequence[Table] = ()


def build_sections(results: Mapping[str, Any]) -> list[Section]:
    """Build every section of the audit.

    Parameters
    ----------
    results : mapping
        Tables (DataFrame) and JSON objects (dict) by their place below `results/`; what was not run is not there.

    Returns
    -------
    list of Section
        One each, in the order of the argument; a section whose files are not there names them and holds nothing.
    """
    sections = []
    for section, needs, build in _SECTIONS:
        missing = [name for name in needs if name not in results]
        parts = {} if missing else build(results)
        sections.append(section._replace(missing=missing, **parts))
    return sections


def write_value(metric: str, row: Any) -> str:
    """Write a metric with its interval; `row` has `value, low, high`."""
    if np.isnan(row.value):
        return _NOTHING
    if metric in _COUNTS:
        return f"{row.value:,.0f}"
    scale, digits, unit = (100, 1, " %") if metric in _SHARES else (1, 3, "")
    value, low, high = (f"{scale * number:.{digits}f}" for number in (row.value, row.low, row.high))
    return f"{value}{unit}" + ("" if np.isnan(row.low) else f" ({low}\u00a0to\u00a0{high})")


def _all_metrics(table: pd.DataFrame, letters: str) -> list[Table]:
    """Every metric of every model, a table a rung."""
    tables = []
    for rung in [name for name in RUNG_NAMES if (table["rung"] == name).any()]:
        cells = {(row.model, row.metric): row for row in records(table[table["rung"] == rung])}
        models = [name for name in _NAMES if any(model == name for model, _ in cells)]
        metrics = [name for name in _METRICS if any(metric == name for _, metric in cells)]
        rows = [[_NAMES[model], *(write_value(metric, cells[model, metric]) if (model, metric) in cells else _NOTHING
                                  for metric in metrics)] for model in models]  # fmt: skip
        caption = f"All metrics{letters}, split “{rung}” (95 % intervals by bootstrap over clusters)"
        tables.append(Table(caption, ["model", *(_METRICS[name] for name in metrics)], rows))
    return tables


def _accuracies(columns: Mapping[str, tuple[pd.DataFrame, str]], caption: str) -> Table:
    """Accuracy of every model, a column for each table and rung."""
    found = {}
    for name, (table, rung) in columns.items():
        chosen = table[(table["rung"] == rung) & (table["metric"] == "accuracy")]
        found[name] = {row.model: write_value("accuracy", row) for row in records(chosen)}
    models = [model for model in _NAMES if any(model in cells for cells in found.values())]
    rows = [[_NAMES[model], *(cells.get(model, _NOTHING) for cells in found.values())] for model in models]
    return Table(caption, ["model or control", *found], rows)


def _ladder(results: Mapping[str, Any]) -> dict[str, Any]:
    table = results["audit/ladder.tsv"]
    rungs = [rung for rung in RUNG_NAMES if (table["rung"] == rung).any()]
    columns = {f"{rung}: {' '.join(RUNG_NAMES[rung].split())}": (table, rung) for rung in rungs}
    return {
        "sentences": findings.describe_ladder(table),
        "tables": [_accuracies(columns, "Test accuracy by split (95 % interval)")],
        "more": "All metrics with their intervals, split by split",
        "details": _all_metrics(table, ""),
    }


def _null(results: Mapping[str, Any]) -> dict[str, Any]:
    ladder, null = results["audit/ladder.tsv"], results["audit/null.tsv"]
    rungs = [rung for rung in RUNG_NAMES if (null["rung"] == rung).any()]
    columns = {
        f"{rung}, {letters}": (table, rung)
        for rung in rungs
        for letters, table in (("letters of the run", ladder), ("random letters", null))
    }
    return {
        "sentences": findings.describe_null(ladder, null),
        "tables": [_accuracies(columns, "Test accuracy on the letters of the run and on random ones (95 % interval)")],
        "more": "All metrics on random letters with their intervals",
        "details": _all_metrics(null, " on random letters"),
    }


def _leaks(results: Mapping[str, Any]) -> dict[str, Any]:
    leaks = results["audit/leak.json"]
    shares = {
        "test_share_exact": "are training windows",
        "test_share_window_overlap": "overlap one",
        "test_share_region_overlap": "overlap the region of one",
    }
    header = ["split", "introgressed test windows", *shares.values()]
    rows = [[rung, f"{found['n_test_introgressed']:,}", *(percent(found[name]) for name in shares)]
            for rung, found in leaks["protocols"].items()]  # fmt: skip
    return {
        "sentences": findings.describe_leaks(leaks),
        "tables": [Table("Introgressed test windows that training has seen", header, rows)],
    }


def _matching(results: Mapping[str, Any]) -> dict[str, Any]:
    balance = results["audit/matched/balance.tsv"]
    header = ["covariate", "introgressed, mean", "depleted at random", "depleted, matched", "difference before",
              "difference after", "balanced"]  # fmt: skip
    rows = []
    for row in records(balance):
        means = (row.introgressed, row.depleted_before, row.depleted_after)
        written = (f"{mean:,.0f} nt" if row.covariate == "length" else percent(mean) for mean in means)
        rows.append([COVARIATE_NAMES.get(row.covariate, row.covariate), *written, findings.signed(row.smd_before, 3),
                     findings.signed(row.smd_after, 3), "yes" if row.balanced else "no"])  # fmt: skip
    caption = "Windows before and after matching (differences are standardised mean differences)"
    return {
        "sentences": findings.describe_matching(balance, results["audit/matched/match.json"]),
        "tables": [Table(caption, header, rows)],
    }


def _doses(results: Mapping[str, Any]) -> dict[str, Any]:
    doses = results["audit/gene_doses.tsv"]
    names = [dose_name(row) for row in records(doses)]
    table = doses.assign(dose=names, cell=[f"{row.n_predicted:,} of {row.n_all:,}" for row in records(doses)])
    header = ["table", *dict.fromkeys(names)]
    rows = [[name, *part["cell"]] for name, part in table.groupby("table", sort=False)]
    caption = "Genes predicted, by the share (%) of their text that is an introgressed training window"
    return {"sentences": findings.describe_doses(doses), "tables": [Table(caption, header, rows)]}


def _sweep(results: Mapping[str, Any]) -> dict[str, Any]:
    sweep, null, summary = (results[f"audit/{name}"] for name in ("sweep.tsv", "null/sweep.tsv", "sweep.json"))
    letters = {"letters of the run": sweep, "random letters": null}
    cells = {
        (row.model, row.k, name): held_out.area_text(row)
        for name, table in letters.items()
        for row in records(table[table["canonical"]])
    }
    columns = [(model, name) for name in letters for model in LEARNER_NAMES]
    rows = [[str(k), *(cells.get((model, k, name), _NOTHING) for model, name in columns)]
            for k in sorted(sweep["k"].unique())]  # fmt: skip
    caption = (
        "AUROC on held-out chromosomes by canonical words of each length (95 % interval); "
        f"{summary['n_used']:,} of {summary['n_windows']:,} windows, {summary['n_train']:,} of them to train"
    )
    header = ["letters of a word", *(f"{LEARNER_NAMES[model]}, {name}" for model, name in columns)]
    return {
        "sentences": held_out.describe_sweep(sweep, null, summary),
        "tables": [Table(caption, header, rows)],
        "more": "All models of the sweep",
        "details": [_all_models(table, name) for name, table in letters.items()],
    }


def _all_models(sweep: pd.DataFrame, letters: str) -> Table:
    header = ["model", "words that it learns from", "AUROC out of fold (standard error)",
              "AUROC on held-out chromosomes (95 % interval)", "Brier score there"]  # fmt: skip
    rows = [[held_out.model_text(row) + (" (chosen)" if row.chosen else ""), f"{row.n_features:,}",
             f"{row.cv_auroc:.3f} ({row.cv_se:.3f})", held_out.area_text(row), f"{row.brier:.3f}"]
            for row in records(sweep)]  # fmt: skip
    return Table(f"Models of the sweep, {letters}", header, rows)


def _sequences(results: Mapping[str, Any]) -> dict[str, Any]:
    table = results["audit/sequences.tsv"]
    by_level = {
        level: [
            _accuracies_of_cut(rows, f"{CUT_NAMES[cut]}: accuracy by {name}")
            for cut in CUT_NAMES
            if len(rows := table[(table["level"] == level) & (table["cut"] == cut) & (table["metric"] == "accuracy")])
        ]
        for level, name in (("sub_sequence", "sub-sequence"), ("window", "window (mean of its sub-sequences)"))
    }
    return {
        "sentences": sub_sequences.describe_sequences(table),
        "tables": by_level["sub_sequence"],
        "more": "Accuracy by window",
        "details": by_level["window"],
    }


def _accuracies_of_cut(rows: pd.DataFrame, caption: str) -> Table:
    """Accuracy of networks and rules on one level and one cut, a column for each split."""
    rungs = [rung for rung in SEQUENCE_RUNGS if (rows["rung"] == rung).any()]
    cells = {(row.model, row.rung): write_value("accuracy", row) for row in records(rows)}
    names = {**READER_NAMES, **RULE_NAMES}
    lines = [[names[model], *(cells.get((model, rung), _NOTHING) for rung in rungs)]
             for model in names if any(model == found for found, _ in cells)]  # fmt: skip
    return Table(f"{caption} (95 % interval)", ["network or rule", *(" ".join(SEQUENCE_RUNGS[rung].split())
                                                                     for rung in rungs)], lines)  # fmt: skip


def _positions(results: Mapping[str, Any]) -> dict[str, Any]:
    positions, mutations = (results[f"audit/sequence_{name}.tsv"] for name in ("positions", "mutations"))
    return {"sentences": sub_sequences.describe_positions(positions, mutations)}


def _words(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"sentences": sub_sequences.describe_follow_up(results["audit/follow_up.json"])}


def _smoothing(results: Mapping[str, Any]) -> dict[str, Any]:
    measured = results["audit/smoothing.tsv"]
    cells = {(row.method, row.metric): write_value(row.metric, row) for row in records(measured)}
    rows = [[name, *(cells.get((method, metric), _NOTHING) for metric in _SMOOTHED_METRICS)]
            for method, name in _SMOOTHED.items()]  # fmt: skip
    caption = "Windows along held-out chromosomes (95 % intervals by bootstrap over blocks)"
    return {
        "sentences": held_out.describe_smoothing(measured, results["audit/smoothing.json"]),
        "tables": [Table(caption, ["windows told apart by", *_SMOOTHED_METRICS.values()], rows)] if cells else [],
    }


def _genes(results: Mapping[str, Any]) -> dict[str, Any]:
    counts, flags = results["audit/gene_counts.tsv"], results["audit/gene_flags.tsv"]
    worth = pd.DataFrame(results.get("audit/genes.json", {}).get("windows", []))
    if len(worth):
        worth = worth.astype(dict.fromkeys(("value", "low", "high"), float))
    units = ("rows", "loci", "symbols")
    header = ["table", *(f"predicted {unit}" for unit in units)]
    rows = [[row.table, *(f"{getattr(row, f'predicted_{unit}'):,} of {getattr(row, f'n_{unit}'):,}" for unit in units)]
            for row in records(counts)]  # fmt: skip
    by_unit = {unit: _flag_table(flags[flags["unit"] == unit], unit) for unit in flags["unit"].unique()}
    return {
        "sentences": findings.describe_genes(counts, flags, worth),
        "tables": [Table("Genes predicted, a locus or symbol being so when any of its rows is", header, rows),
                   *(table for unit, table in by_unit.items() if unit == "row")],
        "more": "Counted by locus and by symbol",
        "details": [table for unit, table in by_unit.items() if unit != "row"],
    }  # fmt: skip


def _flag_table(flags: pd.DataFrame, unit: str) -> Table:
    header = ["table and flag", "of the predicted", "of all", "odds ratio (95 % interval)"]
    rows = [[f"{row.table}: {row.flag.replace('_', ' ')}",
             f"{row.n_predicted_flagged:,} of {row.n_predicted:,} ({_share(row.share_predicted)})",
             f"{row.n_all_flagged:,} of {row.n_all:,} ({_share(row.share_all)})", odds_text(row)]
            for row in records(flags)]  # fmt: skip
    return Table(f"Predicted genes and training windows, counted by {unit} (intervals by bootstrap over loci)",
                 header, rows)  # fmt: skip


def _share(value: float) -> str:
    return _NOTHING if np.isnan(value) else percent(value)


def _intersections(results: Mapping[str, Any]) -> dict[str, Any]:
    table = results["audit/intersections.tsv"]
    header = ["variant", "regions", "observed", "expected", "ratio (95 % interval)", "p", "conclusion"]
    rows = [[f"{row.variant.replace('_', ' ')}: {row.description}", f"{row.n_regions:,}", f"{row.observed:,}",
             f"{row.expected:,.0f}", write_value("ratio", _Interval(row.ratio, row.low, row.high)),
             f"{row.p:.2g} ({row.n_at_or_below:,} of {row.n_draws:,} draws at or below)", row.conclusion]
            for row in records(table)]  # fmt: skip
    tables = [Table("Pairs of an introgressed region and a gene, in variants of the article’s test", header, rows)]
    if (balance := results.get("audit/intersection_balance.tsv")) is not None:
        header = ["variant", "GC of regions", "GC of draws, unmatched", "GC of draws, matched", "difference before",
                  "difference after"]  # fmt: skip
        rows = []
        for row in records(balance):
            differences = (findings.signed(value, 3) for value in (row.smd_unmatched, row.smd_matched))
            shares = map(percent, (row.gc_regions, row.gc_unmatched, row.gc_matched))
            rows.append([row.variant.replace("_", " "), *shares, *differences])
        tables.append(Table("GC of the variants that match it (standardised mean differences)", header, rows))
    return {"sentences": findings.describe_intersections(table), "tables": tables}


_Builder = Callable[[Mapping[str, Any]], dict[str, Any]]
_SECTIONS: Sequence[tuple[Section, Sequence[str], _Builder]] = (
    (Section("ladder", "How much is left: the leak ladder", "12_leak_ladder",
             "Accuracy of the models, and of controls that cannot know ancestry, under splits that leak less and less"),
     ["audit/ladder.tsv"], _ladder),
    (Section("leaks", "What training has seen of the test set", "14_leaks",
             "Share of the introgressed test windows that the training set has seen, by split"),
     ["audit/leak.json"], _leaks),
    (Section("null", "A genome without ancestry", "13_null_genome",
             "Accuracy on the letters of the run and on random letters, under two splits"),
     ["audit/ladder.tsv", "audit/null.tsv"], _null),
    (Section("matching", "Depleted windows alike in composition", "17_matching",
             "Standardised differences between the classes, before and after matching"),
     ["audit/matched/balance.tsv", "audit/matched/match.json"], _matching),
    (Section("sweep", "How much words of each length tell", "19_sweep",
             "AUROC on held-out chromosomes by the length of words, on the letters of the run and on random letters"),
     ["audit/sweep.tsv", "audit/sweep.json", "audit/null/sweep.tsv"], _sweep),
    (Section("sequences", "The follow-up’s 99 %", "20_sequences",
             "Accuracy on sub-sequences of networks, and of rules that learn nothing, by the way to cut and split"),
     ["audit/sequences.tsv"], _sequences),
    (Section("positions", "Where in a sub-sequence the networks look", "21_positions",
             "Loss of accuracy by the place whose words are permuted; change of the score by the letter replaced"),
     ["audit/sequence_positions.tsv", "audit/sequence_mutations.tsv"], _positions),
    (Section("words", "The follow-up’s words and genes", "22_embedding",
             "Map of the vectors that the LSTM gives the most common words, coloured by their GC content"),
     ["audit/follow_up.json"], _words),
    (Section("smoothing", "Along a chromosome: what neighbours add", "23_smoothing",
             "How well windows are told apart by score, moving average and posterior; a chromosome window by window"),
     ["audit/smoothing.tsv", "audit/smoothing.json"], _smoothing),
    (Section("genes", "Genes that training has seen", "15_gene_audit",
             "Predicted genes in and near training windows against all genes; their scores, published and out of fold"),
     ["audit/gene_counts.tsv", "audit/gene_flags.tsv"], _genes),
    (Section("doses", "Genes recalled", "18_gene_doses",
             "Share of the genes predicted, by the share of their text that is an introgressed training window"),
     ["audit/gene_doses.tsv"], _doses),
    (Section("intersections", "Do introgressed regions avoid genes?", "16_intersection_audit",
             "Genes met against genes expected, in each variant of the test"),
     ["audit/intersections.tsv"], _intersections),
)  # fmt: skip
