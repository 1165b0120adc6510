"""The gene table put to the test: which predictions follow from letters that the model was trained on.

A gene is scored by its first 8,800 nt, which often are, in part or whole, a window that the forest was trained on.
Trees grown to pure leaves know their training rows by heart: the score of such a gene recalls a label. Flags say which
genes these are (Whalen et al., Nature Reviews Genetics 23, 2022, on samples that share letters); `out_of_fold` scores
the genes anew.

Genes are rows of a prediction table: `Gene`, `Gene_Symbol`, `Predict` as published, and `chrom`, `start`, `end`
(0-based half-open). A row is a transcript; rows of one locus share letters and are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import bioframe
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neanderthal_nlp.audit.leaks import regions_of
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import CONFIDENCE
from neanderthal_nlp.intervals import cluster, count_overlaps, home_chromosome
from neanderthal_nlp.parameters import GENE_LENGTH, WINDOW_LENGTH

NEAR = WINDOW_LENGTH
"""Distance, nt, up to which a gene starts near a window: inside it, or no further off than another window is long."""
FLAGS = ("in_window", "near_window", "in_region", "region_only", "in_depleted_window", "in_depleted_region")
"""What `flag_genes` tells of a gene."""
DOSES = (0.0, 0.5, 0.75, 0.9, 0.95, 1.0)
"""Edges of the shares of a text by which `dose_response` groups genes."""
GENE_COLUMNS = {
    "Gene": str, "Gene_Symbol": str, "Predict": float, "Prob_0": float, "Prob_1": float,
    "chrom": str, "start": np.int64, "end": np.int64, "gc": float,
}  # fmt: skip
"""Columns of the table that `genes.predict_genes` gives."""
AUDIT_COLUMNS = [
    "Gene", "Gene_Symbol", "chrom", "start", "end", "gc", "locus", *FLAGS, "shared_nt",
    "Predict", "Prob_1", "prob_oof", "prob_calibrated", "predict_oof", "fold",
]  # fmt: skip
"""Columns of the audited table."""

_PLACE = ["chrom", "start", "end"]


def locate(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Add the coordinates that the column `Gene` spells, as in the published table.

    Parameters
    ----------
    table : DataFrame
        `Gene`: `chrom:start-end`, 1-based inclusive.
    source : str
        What the table is, usually the file's name; it opens the message.

    Returns
    -------
    DataFrame
        The same rows with `chrom`, `start`, `end`, 0-based half-open.

    Raises
    ------
    InputError
        A gene is not written so, or its interval is inverted.
    """
    parts = table["Gene"].str.extract(r"^(?P<chrom>\S+):(?P<start>[0-9]{1,12})-(?P<end>[0-9]{1,12})$")
    start, end = (pd.to_numeric(parts[name]).fillna(0).astype(np.int64) for name in ("start", "end"))
    bad = np.flatnonzero((start < 1) | (end < start))
    if len(bad):
        raise InputError(f"{source}: record {bad[0] + 1}: found gene {table['Gene'].iloc[bad[0]]!r}, expected "
                         "chrom:start-end, 1-based inclusive")  # fmt: skip
    return table.assign(chrom=parts["chrom"], start=start - 1, end=end)


def gene_loci(genes: pd.DataFrame) -> np.ndarray:
    """Number the loci of genes: connected components of rows that share letters.

    Rows that overlap on one chromosome, on either strand, are of one locus. A row on a contig that holds another
    copy of a chromosome's letters (`chr6_cox_hap2`, see `intervals.home_chromosome`) is of one locus with the rows
    of its symbol on that chromosome and on its other contigs.

    Parameters
    ----------
    genes : DataFrame
        `chrom`, `start`, `end` (0-based half-open), `Gene_Symbol`.

    Returns
    -------
    ndarray of int64, shape (len(genes),)
        Numbered from 0 in the order of first appearance.
    """
    overlapping = cluster(genes)
    home = home_chromosome(genes["chrom"])
    copies = pd.factorize(home + ":" + genes["Gene_Symbol"])[0]
    copied = np.isin(copies, copies[(home != genes["chrom"]).to_numpy()])
    n = overlapping.max(initial=-1) + 1
    size = n + copies.max(initial=-1) + 1
    edges = (overlapping[copied], n + copies[copied])
    graph = coo_array((np.ones(len(edges[0]), dtype=bool), edges), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][overlapping])[0].astype(np.int64)


def flag_genes(genes: pd.DataFrame, windows: pd.DataFrame, *, length: int = GENE_LENGTH) -> pd.DataFrame:
    """Tell which genes a model has met in training, from coordinates alone.

    The text of a gene is its first `length` nt on the forward strand, whatever its own strand. Coordinates say
    nothing of copies: a row on a haplotype contig is flagged only where windows lie on that contig.

    Parameters
    ----------
    genes : DataFrame
        `chrom`, `start`, `end` (0-based half-open), `Gene_Symbol`.
    windows : DataFrame
        The windows trained on, and no others: `chrom`, `start`, `end`, `label`, `region_start`, `region_end`.
    length : int
        First nucleotides of a gene that are scored.

    Returns
    -------
    DataFrame
        With the index of `genes`, bool unless said otherwise:
        `in_window`: the text shares a base with an introgressed training window;
        `near_window`: the gene starts at most `NEAR` nt from a base of one;
        `in_region`: the text shares a base with the region of one;
        `region_only`: in such a region, but in no such window: as introgressed, yet letters that were not read;
        `in_depleted_window`, `in_depleted_region`: the same for depleted windows;
        `shared_nt` (int64): most bases that the text shares with one introgressed training window;
        `locus` (int64): see `gene_loci`.
    """
    start, introgressed = genes["start"], windows["label"] == 1
    text = genes[_PLACE].assign(end=np.minimum(genes["end"], start + length))
    around = text.assign(start=(start - NEAR).clip(lower=0), end=start + NEAR + 1)
    regions = regions_of(windows)
    flags = {
        "in_window": count_overlaps(text, windows[introgressed]) > 0,
        "near_window": count_overlaps(around, windows[introgressed]) > 0,
        "in_region": count_overlaps(text, regions[introgressed]) > 0,
        "in_depleted_window": count_overlaps(text, windows[~introgressed]) > 0,
        "in_depleted_region": count_overlaps(text, regions[~introgressed]) > 0,
    }
    flags["region_only"] = flags["in_region"] & ~flags["in_window"]
    table = pd.DataFrame({name: flags[name] for name in FLAGS}, index=genes.index)
    return table.assign(shared_nt=_most_shared(text, windows[introgressed]), locus=gene_loci(genes))


def _most_shared(texts: pd.DataFrame, windows: pd.DataFrame) -> np.ndarray:
    """Bases of the largest overlap of each text with a single window."""
    most = np.zeros(len(texts), dtype=np.int64)
    texts, distinct = texts.reset_index(drop=True), windows[_PLACE].drop_duplicates(ignore_index=True)
    if len(texts) and len(distinct):
        pairs = bioframe.overlap(
            texts, distinct, how="inner", return_input=False, return_index=True, return_overlap=True
        )
        shared = (pairs["overlap_end"] - pairs["overlap_start"]).to_numpy(dtype=np.int64)
        np.maximum.at(most, pairs["index"].to_numpy(dtype=np.int64), shared)
    return most


def count_predictions(table: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """Count genes and predicted genes by row, by locus and by symbol.

    A locus or a symbol counts as predicted when any of its rows is.

    Parameters
    ----------
    table : DataFrame
        `Gene_Symbol`, `Predict` (1 predicted), `locus`.
    name : str
        What the table is.

    Returns
    -------
    DataFrame
        One row: `table` (the name), `n_rows`, `n_loci`, `n_symbols`, `predicted_rows`, `predicted_loci`,
        `predicted_symbols`.
    """
    predicted = table[table["Predict"] == 1]
    counts: dict[str, str | int] = {"table": name}
    for prefix, rows in (("n", table), ("predicted", predicted)):
        counts |= {
            f"{prefix}_rows": len(rows),
            f"{prefix}_loci": rows["locus"].nunique(),
            f"{prefix}_symbols": rows["Gene_Symbol"].nunique(),
        }
    return pd.DataFrame([counts])


def enrichment(
    table: pd.DataFrame,
    *,
    name: str,
    n_bootstrap: int = 1000,
    rng: np.random.Generator | int,
) -> pd.DataFrame:
    """Hold the flags of the predicted genes against the base rate among all.

    A locus or a symbol is predicted, or flagged, when any of its rows is, and `region_only` when one is `in_region`
    and none `in_window`. Loci of many rows are more often both, which the unit `row` is free of. Intervals are
    percentiles of a bootstrap that draws whole loci, since rows of one locus share letters; a symbol goes with the
    locus of its first row.

    Parameters
    ----------
    table : DataFrame
        `Gene_Symbol`, `Predict` (1 predicted), `locus`, and the `FLAGS` (bool).
    name : str
        What the table is.
    n_bootstrap : int
    rng : numpy Generator or int
        Source of randomness or a seed for one.

    Returns
    -------
    DataFrame
        One row a unit and flag: `table` (the name), `unit` ("row", "locus", "symbol"), `flag`, `n_predicted`,
        `n_predicted_flagged`, `n_all`, `n_all_flagged`, `share_predicted`, `share_all`, `odds_ratio` (odds of being
        predicted with the flag over those without it), `low`, `high` (its 95 % interval). NaN where undefined; a
        bound is infinite where resamples leave a cell empty.
    """
    rng = np.random.default_rng(rng)
    rows = table[["Gene_Symbol", "locus", *FLAGS]].assign(predicted=table["Predict"] == 1, group=table["locus"])
    how = {"predicted": "any", "group": "first", **dict.fromkeys(FLAGS, "any")}
    units = {"row": rows, "locus": rows.groupby("locus").agg(how), "symbol": rows.groupby("Gene_Symbol").agg(how)}
    records = []
    for unit, frame in units.items():
        frame["region_only"] = frame["in_region"] & ~frame["in_window"]
        predicted, groups = frame["predicted"].to_numpy(), pd.factorize(frame["group"])[0]
        for flag in FLAGS:
            flagged = frame[flag].to_numpy()
            n_predicted, n_flagged, n_both = (int(side.sum()) for side in (predicted, flagged, predicted & flagged))
            records.append({
                "table": name, "unit": unit, "flag": flag, "n_predicted": n_predicted, "n_predicted_flagged": n_both,
                "n_all": len(frame), "n_all_flagged": n_flagged, "share_predicted": _share(n_both, n_predicted),
                "share_all": _share(n_flagged, len(frame)), **_odds_ratio(predicted, flagged, groups, n_bootstrap, rng),
            })  # fmt: skip
    return pd.DataFrame(records)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else np.nan


def _odds_ratio(
    predicted: np.ndarray, flagged: np.ndarray, groups: np.ndarray, n_bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    """Odds ratio of two bool arrays with its interval by bootstrap over groups."""
    n_groups = groups.max(initial=-1) + 1
    cell = 2 * predicted + flagged
    tables = np.bincount(4 * groups + cell, minlength=4 * n_groups).reshape(n_groups, 4)
    # Groups with equal cells are exchangeable: drawing how many of each kind is drawing groups, and much faster.
    kinds, sizes = np.unique(tables, axis=0, return_counts=True)
    drawn = rng.multinomial(n_groups, sizes / n_groups, size=n_bootstrap) if n_groups else sizes[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        neither, flag_only, call_only, both = np.vstack([sizes @ kinds, drawn @ kinds]).astype(float).T
        value, *sample = (both * neither) / (flag_only * call_only)
    sample = np.array(sample)[~np.isnan(sample)]
    if not len(sample):
        return {"odds_ratio": float(value), "low": np.nan, "high": np.nan}
    # Bounds are members of the sample: interpolation would fail between infinite ratios.
    low = np.quantile(sample, (1 - CONFIDENCE) / 2, method="lower")
    high = np.quantile(sample, (1 + CONFIDENCE) / 2, method="higher")
    return {"odds_ratio": float(value), "low": float(low), "high": float(high)}


def dose_response(table: pd.DataFrame, *, name: str, length: int = GENE_LENGTH) -> pd.DataFrame:
    """Count predicted genes by the share of their text that is an introgressed training window.

    Parameters
    ----------
    table : DataFrame
        `Predict` (1 predicted), `shared_nt`.
    name : str
        What the table is.
    length : int
        Length of a text, nt.

    Returns
    -------
    DataFrame
        `table` (the name), `above`, `up_to` (edges of the share, the lower one excluded; first those that share
        nothing), `n_all`, `n_predicted`, `share_predicted` (NaN without genes).
    """
    share, predicted = table["shared_nt"].to_numpy() / length, (table["Predict"] == 1).to_numpy()
    kind = np.searchsorted(DOSES, share)
    n_all = np.bincount(kind, minlength=len(DOSES))
    n_predicted = np.bincount(kind[predicted], minlength=len(DOSES))
    with np.errstate(invalid="ignore"):
        rate = n_predicted / n_all
    return pd.DataFrame({"table": name, "above": (np.nan, *DOSES[:-1]), "up_to": DOSES, "n_all": n_all,
                         "n_predicted": n_predicted, "share_predicted": rate})  # fmt: skip


class Summary(NamedTuple):
    """What prediction tables say, one block of rows a table.

    Attributes
    ----------
    counts, flags, doses : DataFrame
        See `count_predictions`, `enrichment`, `dose_response`.
    """

    counts: pd.DataFrame
    flags: pd.DataFrame
    doses: pd.DataFrame


def summarise_genes(tables: Mapping[str, pd.DataFrame], *, length: int = GENE_LENGTH, seed: int) -> Summary:
    """Count, hold against the base rate and group by dose the predictions of each table.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Names and tables, with the columns of `flag_genes`.
    length : int
        First nucleotides of a gene that were scored.
    seed : int
        Of the bootstrap, the same for each table.

    Returns
    -------
    Summary
    """
    parts = [
        (
            count_predictions(table, name=name),
            enrichment(table, name=name, rng=seed),
            dose_response(table, name=name, length=length),
        )
        for name, table in tables.items()
    ]
    return Summary(*(pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True)))


def check_annotated(table: pd.DataFrame, annotation: pd.DataFrame, *, source: str) -> None:
    """Refuse a prediction table that holds genes which an annotation (`annotation.read_genes`) lacks.

    Raises
    ------
    InputError
    """
    known = pd.MultiIndex.from_frame(annotation[[*_PLACE, "gene_symbol"]])
    strange = table[~pd.MultiIndex.from_frame(table[[*_PLACE, "Gene_Symbol"]]).isin(known)]
    if len(strange):
        row = strange.iloc[0]
        raise InputError(f"{source}: lacks {len(strange)} of the {len(table)} genes that were scored (the first: "
                         f"{row.Gene_Symbol}, {row.Gene}), expected the annotation they were scored from")  # fmt: skip
