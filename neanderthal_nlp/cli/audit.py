"""The audit's commands: what the numbers mean."""

from __future__ import annotations

import time
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.cli.stage import (
    Cache,
    Directory,
    GenomeFile,
    Seed,
    Stage,
    Threads,
    Trees,
    about,
    limits,
    read_gaps,
    say,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import provenance, read_table, sha256, write_json, write_table
from neanderthal_nlp.profiles import MANY

if TYPE_CHECKING:
    from neanderthal_nlp.audit.gene_table import Summary

app = typer.Typer(no_args_is_help=True)


@app.command()
def leaks(
    introgressed: Annotated[Path, typer.Option(help="Introgressed regions, BED.")],
    depleted: Annotated[Path, typer.Option(help="Depleted regions, BED; row by row the partners.")],
    json: Annotated[Path, typer.Option(help="Where to write the report.")],
    gaps: Annotated[Path | None, typer.Option(help="BED; pairs that touch one of these are left out.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="Split: article (default), distinct, cluster or chromosome; repeat it to compare several."),
    ] = None,
    split_file: Annotated[Path | None, typer.Option(help="Manifest of a split to use instead.")] = None,
    seed: Annotated[int, typer.Option(**limits("seed"), help="Seed of the split.")] = parameters.SPLIT_SEED,
) -> None:
    """Tell from coordinates alone how much of the test set the training set has seen."""
    from neanderthal_nlp.audit.leaks import measure_leaks
    from neanderthal_nlp.splits import read_split, split

    start = time.perf_counter()
    if split_file is not None and protocol:
        raise InputError("--split-file: found with --protocol, expected one of the two")
    windows = read_pairs(introgressed, depleted, gaps)
    if split_file is not None:
        parts = {"given": read_split(split_file, windows)}
    else:
        parts = {name: split(windows, protocol=name, seed=seed) for name in protocol or ["article"]}
    with about(introgressed):
        reports = {name: measure_leaks(windows, sides) for name, sides in parts.items()}
    inputs = {"introgressed": introgressed, "depleted": depleted, **({"gaps": gaps} if gaps else {}),
              **({"split": split_file} if split_file else {})}  # fmt: skip
    first = next(iter(reports.values()))
    record = {**first.to_dict(), "protocols": {name: report.to_dict() for name, report in reports.items()}}
    write_json({**record, **provenance(inputs, {"seed": seed}, time.perf_counter() - start)}, json)
    say("audit", f"{first.n_pairs:,} pairs, {first.n_distinct_starts:,} distinct starts, "
                 f"{first.n_clusters:,} clusters (worth {first.n_effective:,.0f} regions)")  # fmt: skip
    for name, report in reports.items():
        source = f"audit {name}" if len(reports) > 1 else "audit"
        say(source, f"of {report.n_test_introgressed:,} introgressed test windows {report.test_share_exact:.1%} are "
                    f"training windows letter for letter, {report.test_share_window_overlap:.1%} overlap one, "
                    f"{report.test_share_region_overlap:.1%} overlap a training region")  # fmt: skip
        rules = report.rule_accuracy
        say(source, f"accuracy without learning: seen this window {rules.exact_window:.1%}, overlaps an introgressed "
                    f"training window {rules.window_overlap:.1%}, region {rules.region_overlap:.1%}")  # fmt: skip


def read_pairs(introgressed: Path, depleted: Path, gaps: Path | None) -> pd.DataFrame:
    """Windows of pairs of regions in two files, clear of gaps."""
    from neanderthal_nlp.audit.leaks import windows_of_pairs
    from neanderthal_nlp.intervals import match_naming, read_bed

    regions = read_bed(introgressed)
    names = dict.fromkeys(regions["chrom"], 0)
    blocks = None if gaps is None else match_naming(read_bed(gaps), names)
    with about(introgressed):
        return windows_of_pairs(regions, match_naming(read_bed(depleted), names), gaps=blocks)


@app.command()
def genes(
    genome: GenomeFile,
    genes: Annotated[Path, typer.Option(help="The annotation that the genes were scored from.")],
    directory: Directory,
    published: Annotated[
        Path | None,
        typer.Option(help="Published table of predictions, held against this run's windows (see published-genes)."),
    ] = None,
    trees: Trees = parameters.N_ESTIMATORS,
    folds: Annotated[
        int, typer.Option(min=2, max=MANY, help="Folds of whole chromosomes; at most one a chromosome.")
    ] = 5,
    length: Annotated[
        int, typer.Option(**limits("window_length"), help="First nucleotides of a gene that were scored.")
    ] = parameters.GENE_LENGTH,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    threads: Threads = -1,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Flag every scored gene with what training has seen of it, and score it by models that saw nothing of it."""
    from neanderthal_nlp import annotation, evaluation, intervals, sequences
    from neanderthal_nlp.audit import gene_table
    from neanderthal_nlp.audit.out_of_fold import score_out_of_fold
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.splits import groups

    stage = Stage("audit genes", directory)
    windows = sequences.read_windows(stage.results / "windows.tsv")
    train = windows.iloc[evaluation.read_split(stage.results / "split.tsv", windows).train]
    table = read_table(stage.results / "genes.tsv", gene_table.GENE_COLUMNS)
    frame = intervals.match_naming(annotation.read_genes(genes), dict.fromkeys(table["chrom"], 0))
    gene_table.check_annotated(table, frame, source=str(genes))
    folds = min(folds, len(np.unique(groups(windows, protocol="chromosome"))))
    parts = evaluation.folds(windows, protocol="chromosome", n_folds=folds, seed=seed, never_test=())
    with open_genome(genome, cache=cache) as letters, about(stage.results / "genes.tsv"):
        found = score_out_of_fold(table, windows, letters, folds=parts, n_estimators=trees, seed=seed, length=length,
                                  k=k, n_jobs=threads, report=stage.say)  # fmt: skip
    table = table.join(gene_table.flag_genes(table, train, length=length)).join(found.genes)
    tables = {
        "as published": table,
        "out of fold": table.assign(Predict=table["prob_oof"] > 0.5),  # the forest's own vote, as the published is
        "out of fold, calibrated": table.assign(Predict=table["predict_oof"]),
    }
    if published is not None:
        tables["published table, windows of this run"] = _flag_published(published, train, length)
    summary = gene_table.summarise_genes(tables, length=length, seed=seed)
    worth = evaluation.evaluate(windows["label"].to_numpy(), found.windows["prob_calibrated"].to_numpy(),
                                groups=windows["cluster"].to_numpy(), rng=seed)  # fmt: skip
    write_table(table[gene_table.AUDIT_COLUMNS], stage.results / "audit/genes.tsv")
    write_table(summary.counts, stage.results / "audit/gene_counts.tsv")
    write_table(summary.flags, stage.results / "audit/gene_flags.tsv")
    write_table(summary.doses, stage.results / "audit/gene_doses.tsv")
    stage.record(
        stage.results / "audit/genes.json",
        {
            "genes": genes,
            "predictions": stage.results / "genes.tsv",
            "windows": stage.results / "windows.tsv",
            "split": stage.results / "split.tsv",
            **({"published": published} if published else {}),
        },
        {"trees": trees, "folds": folds, "length": length, "k": k, "seed": seed},
        windows=_records(worth.to_frame()),
        calibrators=[curve._asdict() for curve in found.calibrators],
    )
    for name in tables:
        _say_summary(summary, name)
    stage.say(f"windows out of fold: accuracy {worth.accuracy.value:.1%} ({worth.accuracy.low:.1%} to "
              f"{worth.accuracy.high:.1%}), AUROC {worth.auroc.value:.3f}, Brier score "
              f"{worth.brier.value:.3f}")  # fmt: skip


@app.command()
def published_genes(
    introgressed: Annotated[Path, typer.Option(help="Introgressed regions, BED.")],
    depleted: Annotated[Path, typer.Option(help="Depleted regions, BED; row by row the partners.")],
    published: Annotated[Path, typer.Option(help="Published table of predictions.")],
    json: Annotated[Path, typer.Option(help="Where to write the report.")],
    gaps: Annotated[Path | None, typer.Option(help="BED; pairs that touch one of these are left out.")] = None,
    doses: Annotated[Path | None, typer.Option(help="Where to write the table that figure 18 is drawn from.")] = None,
    seed: Annotated[int, typer.Option(**limits("seed"), help="Seed of the bootstrap.")] = 1,
) -> None:
    """Tell from coordinates alone which published predictions are of letters that the forest was trained on."""
    from neanderthal_nlp.audit import gene_table
    from neanderthal_nlp.evaluation import split

    start = time.perf_counter()
    windows = read_pairs(introgressed, depleted, gaps)
    with about(introgressed):
        train = windows.iloc[split(windows, protocol="article").train]
    summary = gene_table.summarise_genes(
        {"published table": _flag_published(published, train, parameters.GENE_LENGTH)}, seed=seed
    )
    inputs = {"introgressed": introgressed, "depleted": depleted, "published": published,
              **({"gaps": gaps} if gaps else {})}  # fmt: skip
    record = {"n_windows": len(windows), "n_train": len(train), **{
        name: _records(frame.drop(columns="table")) for name, frame in summary._asdict().items()
    }}  # fmt: skip
    write_json({**record, **provenance(inputs, {"seed": seed}, time.perf_counter() - start)}, json)
    if doses is not None:
        write_table(summary.doses, doses)
    _say_summary(summary, "published table")


@app.command()
def intersections(
    genes: Annotated[Path, typer.Option(help="Genes: refGene, GTF, GFF3, BED or `chrom:start-end<TAB>symbol`.")],
    directory: Directory,
    genome: Annotated[
        Path | None, typer.Option(help="GC from a genome, by bins of 10 kb (default: results/gc.tsv of the run).")
    ] = None,
    gc_table: Annotated[Path | None, typer.Option(help="GC from a table of bins: chrom, start, end, gc.")] = None,
    introgressed: Annotated[Path | None, typer.Option(help="Introgressed regions, BED (default: the run's).")] = None,
    chromsizes: Annotated[Path | None, typer.Option(help="Chromosome sizes (default: the run's).")] = None,
    gaps: Annotated[Path | None, typer.Option(help="Runs of N, BED (default: the run's).")] = None,
    draws: Annotated[int, typer.Option(**limits("audit_draws"), help="Draws of each variant.")] = 200,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Test whether introgressed regions avoid genes once dependence, gaps and GC content are taken care of."""
    from neanderthal_nlp import annotation, gene_overlap, intervals
    from neanderthal_nlp.audit import intersection_audit
    from neanderthal_nlp.genome import open_genome

    stage = Stage("audit intersections", directory)
    if genome is not None and gc_table is not None:
        raise InputError("--genome, --gc-table: found both, expected one source of GC content")
    files = {
        "introgressed": introgressed or stage.results / "introgressed.bed",
        "chromsizes": chromsizes or stage.results / "chrom.sizes",
        "gaps": gaps or stage.results / "gaps.bed",
        "gc": genome or gc_table or stage.results / "gc.tsv",
        "genes": genes,
    }
    sizes = intervals.read_chromsizes(files["chromsizes"])
    frame = intervals.read_regions(files["introgressed"], sizes)
    blocks, annotated = (
        intervals.match_naming(table, sizes) for table in (read_gaps(files["gaps"]), annotation.read_genes(genes))
    )
    if genome is not None:
        with open_genome(genome, cache=cache) as letters:
            bins = gene_overlap.genome_gc(letters, bin_size=10_000)
    else:
        bins = read_table(files["gc"], {"chrom": str, "start": np.int64, "end": np.int64, "gc": np.float64})
    with about(files["gc"]):
        bins = gene_overlap.complete_bins(intervals.match_naming(bins, sizes), blocks)
    found = intersection_audit(
        frame,
        annotated,
        sizes,
        gaps=blocks,
        bins=bins,
        n_draws=draws,
        rng=seed,
        report=lambda variant: stage.say(f"{variant}: {draws:,} draws"),
    )
    changed = list(found.table.loc[found.table["conclusion"] != "fewer genes", "variant"])
    write_table(found.table, stage.results / "audit/intersections.tsv")
    write_table(found.balance, stage.results / "audit/intersection_balance.tsv")
    stage.record(
        stage.results / "audit/intersections.json",
        files,
        {"draws": draws, "seed": seed},
        changed_by=changed,
        variants=_records(found.table),
        balance=_records(found.balance),
    )
    for row in found.table.itertuples():
        stage.say(f"{row.variant} ({row.description}): {row.observed:,} intersections, expected {row.expected:,.0f}, "
                  f"p = {row.p:.2g}. {row.verdict}")  # fmt: skip
    for row in found.balance.itertuples():
        stage.say(f"{row.variant}: GC of the regions {row.gc_regions:.2%}, of draws {row.gc_unmatched:.2%} "
                  f"(standardised difference {row.smd_unmatched:.2f}), of matched draws {row.gc_matched:.2%} "
                  f"({row.smd_matched:.2f})")  # fmt: skip
    stage.say(f"variants that change the article's conclusion: {', '.join(changed) or 'none'}")


def _flag_published(path: Path, train: pd.DataFrame, length: int) -> pd.DataFrame:
    """Read a published table of predictions and flag its rows against training windows."""
    from neanderthal_nlp.audit import gene_table
    from neanderthal_nlp.genes import read_predictions
    from neanderthal_nlp.intervals import match_naming

    table = match_naming(gene_table.locate(read_predictions(path), source=str(path)), dict.fromkeys(train["chrom"], 0))
    return table.join(gene_table.flag_genes(table, train, length=length))


def _say_summary(summary: Summary, name: str) -> None:
    """Say what the predicted rows of a table have in common with the training windows."""
    counts, flags, doses = (frame[frame["table"] == name] for frame in summary)
    n = counts.iloc[0]
    rows = flags[flags["unit"] == "row"].set_index("flag")
    window, near, region = (rows.loc[flag] for flag in ("in_window", "near_window", "region_only"))
    say("audit", f"{name}: {n.predicted_rows:,} of {n.n_rows:,} rows predicted, in {n.predicted_loci:,} of "
                 f"{n.n_loci:,} loci; {near.n_predicted_flagged:,} of them ({near.share_predicted:.1%}) start near an "
                 f"introgressed training window, of all rows {near.share_all:.1%}; {window.n_predicted_flagged:,} "
                 f"({window.share_predicted:.1%}) share letters with one, of all {window.share_all:.1%} (odds ratio "
                 f"{window.odds_ratio:.1f}, {window.low:.1f} to {window.high:.1f})")  # fmt: skip
    say("audit", f"{name}: in the region of one but in no such window, {region.n_predicted_flagged:,} of "
                 f"{region.n_all_flagged:,} rows are predicted; by the share of the text that is such a window, "
                 + ", ".join(f"{'none' if row.up_to == 0 else f'up to {row.up_to:.0%}'}: {row.n_predicted:,} of "
                             f"{row.n_all:,}" for row in doses.itertuples()))  # fmt: skip


def _records(frame: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Rows for JSON, which knows neither NaN nor infinity."""
    frame = frame.replace([np.inf, -np.inf], np.nan)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def null_genome(
    output: Annotated[Path, typer.Option(help="Genome to write, bgzip FASTA; its indexes and a JSON go beside it.")],
    genome: Annotated[Path | None, typer.Option(help="Source: a genome, FASTA or 2bit.")] = None,
    gc_table: Annotated[
        Path | None, typer.Option(help="Source: table of bins (chrom, start, end, gc), an N counted as not GC.")
    ] = None,
    gaps: Annotated[Path | None, typer.Option(help="With --gc-table: runs of N, BED.")] = None,
    chromsizes: Annotated[Path | None, typer.Option(help="With --gc-table: file of chromosome sizes.")] = None,
    assembly: Annotated[str | None, typer.Option(help="With --gc-table: sizes of an assembly, such as hg19.")] = None,
    order: Annotated[
        int,
        typer.Option(min=0, max=8, help="Letters before it that a letter depends on; 1 keeps dinucleotides."),
    ] = 1,
    bin_size: Annotated[int | None, typer.Option(help="With --genome: bins, nt (default: 100,000).")] = None,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Write a genome of random letters with the sizes, gaps and local composition of a real one: no ancestry."""
    from neanderthal_nlp.audit import open_landscape, write_null_genome

    start = time.perf_counter()
    files = {"genome": genome, "gc_table": gc_table, "gaps": gaps, "chromsizes": chromsizes}
    inputs = {name: path for name, path in files.items() if path is not None}
    with open_landscape(**files, assembly=assembly, order=order, bin_size=bin_size, cache=cache) as landscape:
        bin_size = landscape.bin_size
        chroms = write_null_genome(
            output, landscape, seed=seed, progress=lambda chrom, size: say("null-genome", f"{chrom}: {size:,} letters")
        )
    n_letters, n_called, n_gc, n_gc_source = (chroms[name].sum() for name in chroms.columns[1:])
    summary = {"n_chromosomes": len(chroms), "n_letters": int(n_letters), "n_called": int(n_called),
               "gc": n_gc / max(n_called, 1), "gc_source": n_gc_source / max(n_called, 1)}  # fmt: skip
    settings = {"assembly": assembly, "order": order, "bin_size": bin_size, "seed": seed}
    record = {"synthetic": True, "sha256": sha256(output), **summary}
    seconds = time.perf_counter() - start
    write_json({**record, **provenance(inputs, settings, seconds)}, output.with_name(f"{output.name}.json"))
    say("null-genome", f"{output}: synthetic, {len(chroms)} chromosomes, {n_letters:,} letters ({n_called:,} of them "
                       f"called), GC {summary['gc']:.2%} (source {summary['gc_source']:.2%}), "
                       f"{seconds:.0f} s")  # fmt: skip
