"""Genes: a table of their predicted Neanderthal ancestry (article, section 3).

Genes are as `annotation.read_genes` reads them. Where one is written as one word, `chrom:start-end`, the numbers are
1-based inclusive, as in the article's tables and in samtools regions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_lines
from neanderthal_nlp.gene_overlap import gc_content
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import count_overlaps
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.parameters import GENE_LENGTH, K
from neanderthal_nlp.sequences import find_gaps

PREDICTION_COLUMNS = ("Gene", "Gene_Symbol", "Predict", "Prob_0", "Prob_1")
"""Columns of the published table `Neanderthal_Genes.txt`."""
REASONS = ("scored", "short", "unknown chromosome", "contains N", "lacks a letter")
"""What `score_rule` may say of a gene."""
_NUMBERS = PREDICTION_COLUMNS[2:]


def score_rule(genes: pd.DataFrame, genome: Genome, *, length: int = GENE_LENGTH) -> pd.Series:
    """Say of every gene whether it is scored, or why not (article, section 3).

    Parameters
    ----------
    genes : DataFrame
        As `annotation.read_genes` returns it.
    genome : Genome
    length : int
        First nucleotides of a gene that are scored.

    Returns
    -------
    Series of category, index of `genes`
        The first that holds: "unknown chromosome" (the genome lacks it), "short" (fewer than `length` nt),
        "contains N" (anywhere in the gene, as the article drops such a record), "lacks a letter" (A, C, G and
        T are not all among the first `length`), "scored".

    Raises
    ------
    InputError
        A gene passes the end of its chromosome.
    """
    size = genes["chrom"].map(dict(genome.chromsizes)).to_numpy(dtype=float)  # NaN where unknown
    _check_ends(genes, size)
    reasons = np.full(len(genes), "scored", dtype=object)
    reasons[(genes["end"] - genes["start"]).to_numpy() < length] = "short"
    reasons[np.isnan(size)] = "unknown chromosome"
    left = np.flatnonzero(reasons == "scored")
    if len(left):
        gaps = find_gaps(genome, {chrom: genome.chromsizes[chrom] for chrom in genes["chrom"].iloc[left].unique()})
        reasons[left[count_overlaps(genes.iloc[left], gaps) > 0]] = "contains N"
    left = np.flatnonzero(reasons == "scored")
    for row, text in zip(left, _texts(genes.iloc[left], genome, length), strict=True):
        if not set("ACGT") <= set(text.upper()):
            reasons[row] = "lacks a letter"
    return pd.Series(pd.Categorical(reasons, categories=REASONS), index=genes.index, name="reason")


def _check_ends(genes: pd.DataFrame, size: np.ndarray) -> None:
    beyond = np.flatnonzero(genes["end"].to_numpy() > size)
    if len(beyond):
        i = beyond[0]
        gene = genes.iloc[i]
        raise InputError(
            f"genes: record {i + 1} ({gene.gene_symbol}, {gene.chrom}:{gene.start + 1}-{gene.end}) "
            f"passes the end of {gene.chrom} (expected at most {size[i]:.0f}): another build?"
        )


def _texts(genes: pd.DataFrame, genome: Genome, length: int) -> Iterator[str]:
    for chrom, start in zip(genes["chrom"], genes["start"], strict=True):
        yield genome.fetch(chrom, int(start), int(start) + length)


def predict_genes(
    genes: pd.DataFrame,
    genome: Genome,
    model: Any,
    *,
    length: int = GENE_LENGTH,
    k: int = K,
    reasons: pd.Series | None = None,
) -> pd.DataFrame:
    """Predict from its first nucleotides how likely a gene is of Neanderthal ancestry (article, section 3).

    The text of a gene is its first `length` nt on the forward strand, whatever its own strand, as in the
    article. Columns of the counts are the training vocabulary, all k-mers in alphabetical order; the article
    fits a new vectoriser on the genes, which gives the same columns as long as every k-mer occurs.

    Parameters
    ----------
    genes : DataFrame
        As `annotation.read_genes` returns it. Genes of which `score_rule` does not say "scored" are left out.
    genome : Genome
    model : classifier
        Any with scikit-learn's `predict` and `predict_proba`, fitted on k-mer counts with the classes 0
        (depleted) and 1 (introgressed).
    length : int
        First nucleotides of a gene that are scored.
    k : int
        Length of a word.
    reasons : Series, optional
        What `score_rule` says of these genes, where it was asked already: it searches the genome for N.

    Returns
    -------
    DataFrame
        `Gene` (`chrom:start-end`, 1-based inclusive), `Gene_Symbol`, `Predict` (0.0 or 1.0), `Prob_0` and
        `Prob_1` as published, then `chrom`, `start`, `end` (0-based half-open) and `gc` (share of G and C
        among the called letters, A, C, G and T, of the whole gene). Sorted by `Prob_1`, highest first; equal
        ones in the order of `genes`.

    Raises
    ------
    InputError
        No gene can be scored, a gene passes the end of its chromosome, or the model does not fit.
    """
    _check_model(model, 4**k)
    scored = scored_genes(genes, genome, length=length, reasons=reasons)
    X = np.empty((len(scored), 4**k), dtype=np.int32)
    count_kmers(_texts(scored, genome, length), k, out=X)
    return prediction_table(scored, genome, model.predict(X), model.predict_proba(X))


def scored_genes(
    genes: pd.DataFrame, genome: Genome, *, length: int = GENE_LENGTH, reasons: pd.Series | None = None
) -> pd.DataFrame:
    """Rows of the genes of which `score_rule` says "scored"; parameters as for `predict_genes`.

    Raises
    ------
    InputError
        There is none, or a gene passes the end of its chromosome.
    """
    reasons = score_rule(genes, genome, length=length) if reasons is None else reasons
    scored = genes[(reasons == "scored").to_numpy()]
    if scored.empty:
        counts = ", ".join(f"{n} {reason}" for reason, n in reasons.value_counts().items() if n)
        raise InputError(f"genes: none of {len(genes)} can be scored ({counts or 'no gene given'})")
    return scored


def prediction_table(
    scored: pd.DataFrame, genome: Genome, predicted: np.ndarray, probabilities: np.ndarray
) -> pd.DataFrame:
    """Put predictions into the table that `predict_genes` returns.

    Parameters
    ----------
    scored : DataFrame
        As `scored_genes` returns it.
    genome : Genome
    predicted : ndarray, shape (n,)
        0 or 1.
    probabilities : ndarray of float, shape (n, 2)
        Of the classes 0 (depleted) and 1 (introgressed).
    """
    probabilities = np.asarray(probabilities, dtype=float)
    table = pd.DataFrame(
        {
            "Gene": scored["chrom"] + ":" + (scored["start"] + 1).astype(str) + "-" + scored["end"].astype(str),
            "Gene_Symbol": scored["gene_symbol"],
            "Predict": np.asarray(predicted, dtype=float),
            "Prob_0": probabilities[:, 0],
            "Prob_1": probabilities[:, 1],
            **{column: scored[column] for column in ("chrom", "start", "end")},
            "gc": gc_content(scored, genome),
        }
    )
    return table.sort_values("Prob_1", ascending=False, kind="stable", ignore_index=True)


def _check_model(model: Any, n_features: int) -> None:
    name = type(model).__name__
    if not (hasattr(model, "predict") and hasattr(model, "predict_proba")):
        raise InputError(f"model: {name} gives no probabilities (expected a classifier with predict_proba)")
    classes = list(getattr(model, "classes_", [0, 1]))
    if classes != [0, 1]:
        raise InputError(f"model: {name} knows the classes {classes}, expected [0, 1]")
    found = getattr(model, "n_features_in_", n_features)
    if found != n_features:
        raise InputError(f"model: {name} was fitted on {found} k-mers, expected {n_features}")


def extreme_genes(table: pd.DataFrame, n: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the `n` symbols with the highest and of the `n` with the lowest `Prob_1` (article, section 3).

    A symbol with several rows (transcripts, copies) stands in the first list with its highest `Prob_1`, in
    the second with its lowest; in a short table it may stand in both.

    Parameters
    ----------
    table : DataFrame
        As `predict_genes` or `read_predictions` returns it.
    n : int

    Returns
    -------
    highest, lowest : DataFrame
        Columns of `table`; `highest` from the top down, `lowest` from the bottom up.
    """
    falling = table.sort_values("Prob_1", ascending=False, kind="stable")
    rising = table.sort_values("Prob_1", kind="stable")
    highest, lowest = (
        order.drop_duplicates("Gene_Symbol").head(n).reset_index(drop=True) for order in (falling, rising)
    )
    return highest, lowest


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read a prediction table: the published `Neanderthal_Genes.txt` or one of this package.

    Returns
    -------
    DataFrame
        `Gene`, `Gene_Symbol` (str), `Predict`, `Prob_0`, `Prob_1` (float64), further columns if any (str), in
        the order of the file; rows that it repeats (59 of the published 21,503) are kept.

    Raises
    ------
    InputError
        The file is missing, truncated or not such a table, or a number is not one from 0 to 1.
    """
    lines = read_lines(path)
    header = next(lines, (0, ""))[1].split("\t")
    missing = [name for name in PREDICTION_COLUMNS if name not in header]
    if missing:
        found = ", ".join(header)[:80]
        raise InputError(f"{path}: not a table of predictions: no column {', '.join(missing)} (found {found!r})")
    places = [header.index(name) for name in _NUMBERS]
    rows = []
    for number, line in lines:
        fields: list[Any] = line.split("\t")
        if len(fields) != len(header):
            raise InputError(f"{path}: line {number}: found {len(fields)} fields, expected {len(header)}")
        for place in places:
            fields[place] = _share(fields[place], where=f"{path}: line {number}")
        rows.append(fields)
    return pd.DataFrame(rows, columns=header).astype(dict.fromkeys(_NUMBERS, float))


def _share(field: str, *, where: str) -> float:
    try:
        number = float(field)
    except ValueError:
        number = np.nan
    if not 0 <= number <= 1:
        raise InputError(f"{where}: found {field[:40]!r}, expected a number from 0 to 1")
    return number


class PredictionComparison(NamedTuple):
    """How far two prediction tables agree on the genes that both hold.

    Attributes
    ----------
    n_shared : int
        Genes (interval and symbol) in both tables.
    pearson, spearman : float
        Correlation of `Prob_1`; NaN for fewer than two genes or where one table is constant.
    agreement : float
        Share of genes with the same `Predict`; NaN without shared genes.
    """

    n_shared: int
    pearson: float
    spearman: float
    agreement: float


def compare_predictions(ours: pd.DataFrame, published: pd.DataFrame) -> PredictionComparison:
    """Compare two prediction tables gene by gene, joined on `Gene` and `Gene_Symbol`.

    Repeated rows count once. For the form of the tables see `read_predictions`.
    """
    key = ["Gene", "Gene_Symbol"]
    one, other = (table.drop_duplicates(key)[[*key, "Predict", "Prob_1"]] for table in (ours, published))
    both = one.merge(other, on=key, suffixes=("_ours", "_published"))
    x, y = both["Prob_1_ours"], both["Prob_1_published"]
    varied = len(both) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0
    return PredictionComparison(
        n_shared=len(both),
        pearson=float(x.corr(y)) if varied else np.nan,
        spearman=float(x.rank().corr(y.rank())) if varied else np.nan,
        agreement=float((both["Predict_ours"] == both["Predict_published"]).mean()),
    )
