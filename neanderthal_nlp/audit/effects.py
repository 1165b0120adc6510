"""Effects of the deviations that coordinates and saved tables tell; see `audit.deviations`.

Intervals are 0-based half-open. Every function returns rows of the table of effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neanderthal_nlp.audit.deviations import Effect
from neanderthal_nlp.audit.intersections import invert_draws
from neanderthal_nlp.depleted import count_admissible
from neanderthal_nlp.gene_overlap import gc_content, intersection_test, summarise_draws
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import count_overlaps, cut_gaps
from neanderthal_nlp.parameters import N_DRAWS, WINDOW_LENGTH
from neanderthal_nlp.sequences import clear_pairs, draw_partners, stack_pairs

ARTICLE_DRAWS = 17
"""Draws that the article's p is from ("p-value < 1 / 17")."""
_PLACE = ["chrom", "start", "end"]


def starts_at_zero(regions: pd.DataFrame, published: pd.DataFrame | None = None) -> list[Effect]:
    """Count the regions that samtools would give no letters for.

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end`, introgressed and depleted.
    published : DataFrame, optional
        The published depleted draw.
    """
    tables = {"regions without letters": regions, "regions without letters, published draw": published}
    return [
        Effect("start_at_zero", measure, 0, int((table["start"] == 0).sum()), len(table), "regions")
        for measure, table in tables.items()
        if table is not None
    ]


def draws_and_n(
    regions: pd.DataFrame,
    chromsizes: Mapping[str, int],
    gaps: pd.DataFrame,
    *,
    published: pd.DataFrame | None = None,
    rng: np.random.Generator | int,
) -> list[Effect]:
    """Count the pairs that a blind draw loses to N.

    Parameters
    ----------
    regions : DataFrame
        Introgressed regions: `chrom, start, end`.
    chromsizes : mapping of str to int
        Chromosome lengths, nt.
    gaps : DataFrame
        Runs of N.
    published : DataFrame, optional
        The published draw, row by row the partners of `regions`.
    rng : numpy Generator or int
    """
    rng = np.random.default_rng(rng)
    ours = draw_partners(regions, chromsizes, gaps, drop_unplaced=True, rng=rng)
    blind = draw_partners(regions, chromsizes, gaps, as_published=True, rng=rng)
    mean_n = float((count_overlaps(ours, gaps) > 0).mean())
    rows = []
    for name, draw in {"": blind, ", published draw": published}.items():
        if draw is not None:
            kept = int(clear_pairs(stack_pairs(regions, draw), gaps).sum()) // 2
            rows += [
                Effect("draws_and_n", f"pairs kept{name}", len(ours), kept, len(regions), "regions"),
                Effect("draws_and_n", f"share of drawn regions with an N{name}", mean_n,
                       float((count_overlaps(draw, gaps) > 0).mean()), len(draw), "regions"),
            ]  # fmt: skip
    return rows


def draw_range(
    regions: pd.DataFrame, chromsizes: Mapping[str, int], *, published: pd.DataFrame | None = None
) -> list[Effect]:
    """Count the draws that end beyond their chromosome.

    The other way is a start up to the chromosome's last base, drawn again while it overlaps an introgressed region.
    Of a draw like that, the expected number beyond the end is given.

    Parameters
    ----------
    regions, chromsizes, published
        As in `draws_and_n`.
    """
    sizes = regions["chrom"].map(dict(chromsizes)).to_numpy(dtype=np.int64)
    lengths = (regions["end"] - regions["start"]).to_numpy(dtype=np.int64)
    last = regions.groupby("chrom")["end"].transform("max").to_numpy(dtype=np.int64)
    beyond = np.minimum(lengths - 1, sizes - last)  # starts after the last region, less than a length from the end
    inside = count_admissible(regions, chromsizes)
    expected = float((beyond / np.maximum(beyond + inside, 1)).sum())
    rows = [Effect("draw_range", "regions beyond the end, expected in a draw", 0, expected, len(regions), "regions")]
    if published is not None:
        ends = published["chrom"].map(dict(chromsizes)).to_numpy(dtype=np.int64)
        found = int((published["end"].to_numpy() > ends).sum())
        rows.append(Effect("draw_range", "regions beyond the end, published draw", 0, found, len(published), "regions"))
    return rows


def draw_equal(
    regions: pd.DataFrame, chromsizes: Mapping[str, int], *, published: pd.DataFrame | None = None
) -> list[Effect]:
    """Count the draws that are identical to an introgressed region.

    Parameters
    ----------
    regions, chromsizes, published
        As in `draws_and_n`.
    """
    unique = regions[_PLACE].drop_duplicates()
    sizes = pd.MultiIndex.from_arrays([unique["chrom"], unique["end"] - unique["start"]]).value_counts()
    place = pd.MultiIndex.from_arrays([regions["chrom"], regions["end"] - regions["start"]])
    alike = sizes.reindex(place).to_numpy()
    expected = float((alike / (alike + count_admissible(regions, chromsizes))).sum())
    rows = [Effect("draw_equal", "identical regions, expected in a draw", 0, expected, len(regions), "regions")]
    if published is not None:
        same = pd.MultiIndex.from_frame(published[_PLACE]).isin(pd.MultiIndex.from_frame(unique))
        rows.append(
            Effect("draw_equal", "identical regions, published draw", 0, int(same.sum()), len(published), "regions")
        )
    return rows


def region_length(regions: pd.DataFrame, *, length: int = WINDOW_LENGTH) -> list[Effect]:
    """Tell how much of the regions is read; the other way is to read all of it.

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end`.
    length : int
        Longest window, nt.
    """
    lengths = (regions["end"] - regions["start"]).to_numpy(dtype=np.int64)
    read = float(np.minimum(lengths, length).sum() / lengths.sum())
    short = int((lengths < length).sum())
    return [
        Effect("region_length", "share of the regions' letters that is read", read, 1, len(lengths), "regions"),
        Effect("region_length", "regions shorter than a window", short, short, len(lengths), "regions"),
    ]


def importances(table: pd.DataFrame, *, n_leading: int = 10) -> list[Effect]:
    """Compare the leading k-mers by permutation and by impurity.

    Parameters
    ----------
    table : DataFrame
        `kmer`, `importance`, `permutation` (NaN where it was not shuffled).
    n_leading : int
    """
    known = table[table["permutation"].notna()]
    n_leading = min(n_leading, len(known))
    shuffled = known.nlargest(n_leading, "permutation")
    impure = known.nlargest(n_leading, "importance")
    shared = len(set(shuffled["kmer"]) & set(impure["kmer"]))
    return [
        Effect("importances", f"k-mers among the {n_leading} leading by permutation", n_leading, shared,
               len(known), "k-mers"),
    ]  # fmt: skip


def split_protocol(ladder: pd.DataFrame, *, other: str = "chromosome") -> list[Effect]:
    """Compare test accuracies under the article's split and under another.

    Parameters
    ----------
    ladder : DataFrame
        `rung, model, metric, value` of the audit's ladder.
    other : str
        A rung; nothing is returned for a model that was not scored on it.
    """
    table = ladder[ladder["metric"] == "accuracy"].set_index(["model", "rung"])["value"]
    n_test = ladder[ladder["metric"] == "n_test"].set_index(["model", "rung"])["value"]
    return [
        Effect("split", f"{model} accuracy, held-out {other}s", table[model, "article"], table[model, other],
               int(n_test.get((model, other), 0)), "windows")
        for model in ("network", "forest")
        if (model, "article") in table.index and (model, other) in table.index
    ]  # fmt: skip


def gene_list(genes: pd.DataFrame, predictions: pd.DataFrame, published: pd.DataFrame | None = None) -> list[Effect]:
    """Compare the gene list row by row with each gene once.

    Parameters
    ----------
    genes : DataFrame
        `chrom, start, end, gene_symbol`, as `annotation.read_genes` reads it.
    predictions : DataFrame
        The run's table: `Gene, Gene_Symbol, Predict`.
    published : DataFrame, optional
        The published table, likewise.
    """
    once = genes.drop_duplicates([*_PLACE, "gene_symbol"])
    rows = [Effect("gene_list", "genes in the list", len(genes), len(once), len(genes), "rows")]
    for name, table in {"": predictions, ", published table": published}.items():
        if table is not None:
            single = table.drop_duplicates(["Gene", "Gene_Symbol"])
            rows.append(Effect("gene_list", f"genes predicted{name}", int(table["Predict"].sum()),
                               int(single["Predict"].sum()), len(table), "rows"))  # fmt: skip
    return rows


def gene_gc(genes: pd.DataFrame, gaps: pd.DataFrame, genome: Genome) -> list[Effect]:
    """Compare the mean GC content of genes without N and of all genes that have a letter.

    Parameters
    ----------
    genes : DataFrame
        `chrom, start, end`; chromosomes that the genome lacks are left out.
    gaps : DataFrame
        Runs of N of the genome.
    genome : Genome
    """
    known = genes[genes["chrom"].isin(list(genome.chromsizes))]
    clear = cut_gaps(known, gaps)
    known = known[(clear["end"] > clear["start"]).to_numpy()]
    if known.empty:
        return []
    gc, whole = gc_content(known, genome), count_overlaps(known, gaps) == 0
    default = float(gc[whole].mean()) if whole.any() else np.nan
    return [Effect("gene_gc", "mean GC content of genes", default, float(gc.mean()), len(known), "genes")]


def dependence(
    observed: int, draws: Sequence[int] | np.ndarray, audit: pd.DataFrame, *, variant: str = "article"
) -> list[Effect]:
    """Compare the gene test as if regions were independent with one that keeps their dependence.

    Parameters
    ----------
    observed : int
        Intersections of the introgressed regions.
    draws : sequence of int
        Intersections of each draw of the run.
    audit : DataFrame
        `variant, n_regions, ratio, low, high, p, n_draws` of the audit. Its interval of `variant` is a bootstrap over
        loci.
    variant : str
        The audit's row that draws as the run did: "article", or "clear_of_gaps".
    """
    rows = audit.set_index("variant").to_dict("index")
    naive, loci = invert_draws(summarise_draws(observed, np.asarray(draws))), rows[variant]
    found = [Effect("dependence", "width of the 95 % interval of observed / expected", naive.high - naive.low,
                    loci["high"] - loci["low"], len(draws), "draws")]  # fmt: skip
    apart, turned = rows.get("clear_of_gaps"), rows.get("rotated")
    if apart and turned and apart["n_regions"] == turned["n_regions"]:  # else other regions fit, too
        found += [
            Effect("dependence", f"{text}, chromosomes turned as one", apart[name], turned[name],
                   int(turned["n_draws"]), "draws")
            for name, text in (("ratio", "observed / expected"), ("p", "p"))
        ]  # fmt: skip
    return found


def p_values(observed: int, draws: Sequence[int] | np.ndarray) -> list[Effect]:
    """Compare p = (b + 1) / (n + 1) (Phipson & Smyth 2010) with the article's b/n, or 1/n when b is 0.

    Parameters
    ----------
    observed : int
    draws : sequence of int
        Of the run. The article's own draws had b = 0 of 17.
    """
    counts = np.asarray(draws)
    cases = {
        "p, the article's 17 draws": (0, ARTICLE_DRAWS),
        f"p, {len(counts):,} draws": (int((counts <= observed).sum()), len(counts)),
    }
    return [
        Effect("p_value", measure, (b + 1) / (n + 1), max(b, 1) / n, n, "draws") for measure, (b, n) in cases.items()
    ]


def gaps_in_test(
    regions: pd.DataFrame,
    genes: pd.DataFrame,
    chromsizes: Mapping[str, int],
    gaps: pd.DataFrame,
    *,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int,
) -> list[Effect]:
    """Compare the gene test with draws that may fall into gaps and with draws that keep clear of them.

    Parameters
    ----------
    regions : DataFrame
        Introgressed regions. Those that no partner clear of gaps fits are left out of both tests.
    genes, chromsizes, gaps
    n_draws : int
    rng : numpy Generator or int
    """
    usable = regions[count_admissible(regions, chromsizes, avoid=gaps) > 0]
    rng = np.random.default_rng(rng)
    blind, clear = (
        intersection_test(usable, genes, chromsizes, n_draws=n_draws, avoid=avoid, rng=rng) for avoid in (None, gaps)
    )
    return [
        Effect("gaps_in_test", "observed / expected", blind.ratio, clear.ratio, n_draws, "draws"),
    ]
