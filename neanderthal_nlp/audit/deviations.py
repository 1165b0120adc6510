"""Where the article's text, its published code and this package differ: the list, and the table of effects.

The effects are measured by `audit.effects` (from coordinates and saved tables) and `audit.refits` (from letters and
models trained again).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from neanderthal_nlp.files import markdown_table


class Deviation(NamedTuple):
    """A place where text, published code and package differ, or where the text leaves a choice.

    Attributes
    ----------
    key : str
        Name in the table of effects.
    section : int
        Section of the article.
    matter : str
    article : str
        What the text says.
    code : str
        What the published code does.
    default : str
        What the package does by default.
    option : str
        What gives the other way; empty if there is no option.
    """

    key: str
    section: int
    matter: str
    article: str
    code: str
    default: str
    option: str


_AS_PUBLISHED = "`--as-published`"

DEVIATIONS = (
    Deviation("extraction", 1, "extraction of letters", "the letters of the BED regions",
              "BED numbers pasted into `samtools faidx chr:start-end`, which counts from 1 and includes the end: a "
              "region starts one base earlier", "the BED interval, 0-based half-open", _AS_PUBLISHED),
    Deviation("start_at_zero", 1, "regions that start at 0", "not said", "samtools gives no letters for `chr:0-n`",
              "letters from 0", ""),
    Deviation("draws_and_n", 1, "draws and N", "a pair with an N is dropped",
              "draws are blind to N; a pair is thrown away when either region holds an N",
              "regions with an N get no partner, and partners are drawn clear of N", _AS_PUBLISHED),
    Deviation("draw_range", 1, "range of a draw", "start up to chromosome size minus length",
              "the same, as its author describes it; but 122 regions of the published draw end beyond their chromosome",
              "any start at which the region fits; a region given beyond the end is an error",
              f"{_AS_PUBLISHED} cuts a region at the end, as samtools does"),
    Deviation("draw_equal", 1, "draw equal to a region", "no overlap with an introgressed region",
              "the strict comparisons let an identical draw pass", "no overlap of any kind", ""),
    Deviation("region_length", 1, "part of a region that is read", "the first 10,000 nt", "the same", "the same",
              "`windows --length`"),
    Deviation("epoch", 2, "weights tested", "not said", "the best epoch is saved; which one is tested is not known",
              "the best epoch by validation accuracy", ""),
    Deviation("linear_models", 2, "linear models", "named, without settings or numbers", "not known",
              "counts standardised on the training rows for logistic regression and SVM; multinomial naive Bayes", ""),
    Deviation("importances", 2, "importances", "by impurity", "by impurity",
              "by impurity, and by permutation for the 50 leading k-mers", ""),
    Deviation("split", 2, "split", "not said", "random over single windows, seed 42", "the same",
              "`--protocol`, `--split-file`"),
    Deviation("vectoriser", 3, "vocabulary of the genes", "not said", "fitted anew on the genes",
              "the training vocabulary", ""),
    Deviation("gene_length", 3, "length of a gene's text", "not said",
              "first 8,800 nt, by a model trained on 10,000 nt", "the same", "`genes --length`"),
    Deviation("gene_list", 3, "list of genes", "about 22,000 genes", "21,503 rows, 59 of them repeats",
              "the list row by row", ""),
    Deviation("gene_gc", 5, "GC content of genes", "not said", "genes without N", "the same", ""),
    Deviation("dependence", 5, "dependence of regions", "not said",
              "each region drawn on its own, though those of one locus overlap", "the same", "`audit intersections`"),
    Deviation("p_value", 5, "p of the gene test", "p < 1/17 from 17 draws", "the same",
              "p = (b + 1) / (n + 1), the article's way beside it; the profiles have 1,000 draws",
              "`--set n_draws=17`"),
    Deviation("gaps_in_test", 5, "gaps in the gene test", "not said", "draws may fall into gaps", "the same",
              "`intersections --gaps`"),
)  # fmt: skip
"""In the order of the article."""

EFFECT_COLUMNS = ("deviation", "measure", "default", "other", "effect", "n", "unit")


class Effect(NamedTuple):
    """A number under the package's default and under the other way.

    Attributes
    ----------
    deviation : str
        Key of `DEVIATIONS`.
    measure : str
    default, other : float
        Under the default and under the other way. NaN where it has no value.
    n : int
        What was measured on, in `unit`.
    unit : str
    """

    deviation: str
    measure: str
    default: float
    other: float
    n: int
    unit: str


def tabulate(effects: Iterable[Effect]) -> pd.DataFrame:
    """Put effects into a table, in the order of `DEVIATIONS`.

    Returns
    -------
    DataFrame
        `deviation, measure, default, other, effect` (other minus default), `n, unit`.

    Raises
    ------
    ValueError
        An effect names no deviation of the list.
    """
    rank = {deviation.key: place for place, deviation in enumerate(DEVIATIONS)}
    rows = list(effects)
    unknown = sorted({row.deviation for row in rows} - set(rank))
    if unknown:
        raise ValueError(f"deviation: found {', '.join(unknown)}, expected keys of DEVIATIONS")
    rows.sort(key=lambda row: rank[row.deviation])
    table = pd.DataFrame(rows, columns=list(Effect._fields)).astype({"default": float, "other": float})
    return table.assign(effect=table["other"] - table["default"])[list(EFFECT_COLUMNS)]


def effects_of(table: pd.DataFrame) -> list[Effect]:
    """The rows of a table of effects, as `tabulate` was given them."""
    return [Effect(*row) for row in table[list(Effect._fields)].itertuples(index=False, name=None)]


def unmeasured(table: pd.DataFrame) -> list[str]:
    """Keys of the deviations of which a table of effects has no row."""
    return [deviation.key for deviation in DEVIATIONS if deviation.key not in set(table["deviation"])]


def to_markdown(tables: Mapping[str, pd.DataFrame]) -> str:
    """The list of deviations and the effects on each data set, as two Markdown tables.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        What `tabulate` gives, by name of the data set.

    Returns
    -------
    str
        First the list. Then the measures of each deviation: default, other and n.
    """
    records = [
        {"§": str(item.section), "matter": item.matter, "text": item.article, "published code": item.code,
         "default here": item.default, "option for the other": item.option or "none"}
        for item in DEVIATIONS
    ]  # fmt: skip
    measures = _all_measures({name: effects_of(table) for name, table in tables.items()})
    return f"{markdown_table(pd.DataFrame(records))}\n{markdown_table(measures)}"


def _all_measures(found: Mapping[str, list[Effect]]) -> pd.DataFrame:
    """Every measure once, with a column for each data set; a row for a deviation without one."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for name, effects in found.items():
        for row in effects:
            cell = f"{_pair(row)} (n = {row.n:,} {row.unit})"
            cells.setdefault((row.deviation, row.measure), {})[name] = cell
    rows = []
    for item in DEVIATIONS:
        measures = {measure: by_name for (key, measure), by_name in cells.items() if key == item.key}
        for measure, by_name in (measures or {"not measured": {}}).items():
            rows.append({"matter": item.matter, "measure": measure, **{name: by_name.get(name, "-") for name in found}})
    return pd.DataFrame(rows, columns=["matter", "measure", *found])


def _pair(effect: Effect) -> str:
    return f"{show(effect.default)} → {show(effect.other)}"


def show(value: float) -> str:
    """A number for people: whole ones with separators, others with four significant digits."""
    if pd.isna(value):
        return "none"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10_000 else f"{value:.4g}"
