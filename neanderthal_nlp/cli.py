"""`neanderthal-nlp`: one subcommand a stage. Arguments in, files out, no logic.

Stages share a folder, `--directory`, in which each finds the files that earlier stages wrote; the workflow calls
them in order.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import provenance, read_json, read_table, replacing, write_bed, write_json, write_table

if TYPE_CHECKING:
    from neanderthal_nlp.evaluation import Split

LIFELINE = "NEANDERTHAL_NLP_LIFELINE"
"""Environment variable: the standard input is a pipe whose closing means that the run was ended."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="The stages of the article, one command each; they share a folder, --directory, in which each "
                  "finds what earlier ones wrote. `python -m neanderthal_nlp.reproduce` runs them all.")  # fmt: skip

audit = typer.Typer(no_args_is_help=True, help="What the numbers mean.")
app.add_typer(audit, name="audit")


class Unplaced(StrEnum):
    """What to do with a region that no depleted partner fits."""

    error = "error"
    drop = "drop"


Directory = Annotated[Path, typer.Option(help="Folder of the run: results/, models/ and figures/ lie below it.")]
GenomeFile = Annotated[Path, typer.Option(help="Genome: FASTA (plain, bgzip, gzip) or 2bit.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for genome indexes (default: the user's cache).")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the stage's random numbers.")]
AsPublished = Annotated[bool, typer.Option("--as-published", help="Do literally what the published code does.")]


def say(stage: str, message: str) -> None:
    """Tell the user, on standard error, how a stage goes."""
    typer.echo(f"{stage}: {message}", err=True)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Name the file that a table came from in errors that only know its rows."""
    try:
        yield
    except InputError as error:
        raise (error if str(path) in str(error) else InputError(f"{path}: {error}")) from None


class _Stage:
    """Paths of a run and the time a stage takes, for the provenance that is written beside its results."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.results, self.models, self.figures = (directory / part for part in ("results", "models", "figures"))
        self._start = time.perf_counter()

    def say(self, message: str) -> None:
        say(self.name, message)

    def record(self, path: Path, inputs: Mapping[str, Path], settings: Mapping[str, Any], **more: Any) -> None:
        """Write a JSON file that says where a result comes from, after what `more` holds."""
        write_json({**more, **provenance(inputs, settings, time.perf_counter() - self._start)}, path)


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="Folder to write the data to.")],
    seed: Seed = 1,
    composition: Annotated[float, typer.Option(min=0, max=1, help="Dial of the planted composition difference.")] = 1.0,
    overlap: Annotated[float, typer.Option(min=0, max=1, help="Dial of the overlap between haplotypes.")] = 1.0,
) -> None:
    """Write the synthetic demo data: genome, introgressed regions, genes."""
    from neanderthal_nlp.demo import write_demo

    paths = write_demo(directory, seed=seed, composition=composition, overlap=overlap)
    say("demo", f"synthetic data (no human DNA) in {directory}: {', '.join(path.name for path in paths.values())}")


@app.command()
def regions(
    genome: GenomeFile,
    introgressed: Annotated[Path, typer.Option(help="Introgressed regions, BED.")],
    directory: Directory,
    assembly: Annotated[
        str | None, typer.Option(help="Take chromosome sizes from a named assembly, such as hg19.")
    ] = None,
    chromsizes: Annotated[Path | None, typer.Option(help="Take chromosome sizes from a file.")] = None,
    unplaced: Annotated[
        Unplaced, typer.Option(help="A region without room for its partner: stop, or leave it out.")
    ] = Unplaced.error,
    as_published: AsPublished = False,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="The input is synthetic; noted in the results.")
    ] = False,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Read introgressed regions and draw their depleted partners."""
    from neanderthal_nlp import intervals, sequences
    from neanderthal_nlp.genome import open_genome

    stage = _Stage("regions", directory)
    frame = intervals.read_bed(introgressed)[["chrom", "start", "end"]]
    with open_genome(genome, cache=cache) as letters:
        sizes = sequences.assembly_sizes(letters, assembly=assembly, chromsizes=chromsizes)
        frame = intervals.match_naming(frame, sizes)
        intervals.check_regions(frame, sizes, source=str(introgressed))
        frame = frame.drop_duplicates(ignore_index=True)
        gaps = sequences.find_gaps(letters, sizes)
    with about(introgressed):
        depleted = sequences.draw_partners(
            frame, sizes, gaps, drop_unplaced=unplaced is Unplaced.drop, as_published=as_published, rng=seed
        )
    n_without_n = len(frame) if as_published else int((intervals.count_overlaps(frame, gaps) == 0).sum())
    write_bed(frame, stage.results / "introgressed.bed")
    write_bed(depleted.assign(name=depleted.index), stage.results / "depleted.bed")
    write_bed(gaps, stage.results / "gaps.bed")
    write_bed(pd.DataFrame(sizes.items()), stage.results / "chrom.sizes")
    lengths = frame["end"] - frame["start"]
    summary = {f"length_{name}": float(getattr(lengths, name)()) for name in ("min", "median", "mean", "max")}
    stage.record(
        stage.results / "regions.json",
        {"genome": genome, "introgressed": introgressed},
        {"seed": seed, "as_published": as_published, "unplaced": unplaced.value, "assembly": assembly},
        synthetic=synthetic,
        n_introgressed=len(frame),
        n_without_n=n_without_n,
        n_drawn=len(depleted),
        **summary,
    )
    shortest, mean, longest = (f"{summary[f'length_{name}']:,.0f}" for name in ("min", "mean", "max"))
    stage.say(f"{len(frame):,} introgressed regions, {shortest} to {longest} nt, mean {mean}; "
              f"{len(frame) - n_without_n:,} left out for an N, {n_without_n - len(depleted):,} "
              "without room for a partner; "
              f"{len(depleted):,} depleted partners drawn")  # fmt: skip


@app.command()
def windows(
    genome: GenomeFile,
    directory: Directory,
    length: Annotated[int, typer.Option(min=1, help="Longest window, nt.")] = parameters.WINDOW_LENGTH,
    k: Annotated[int, typer.Option(min=1, help="Word length.")] = parameters.K,
    as_published: AsPublished = False,
    fasta: Annotated[
        Path | None, typer.Option(help="Also write the clean regions as two FASTA files into this folder.")
    ] = None,
    cache: Cache = None,
) -> None:
    """Drop pairs with an N and cut the windows."""
    from neanderthal_nlp import intervals, sequences
    from neanderthal_nlp.genome import open_genome

    stage = _Stage("windows", directory)
    introgressed = intervals.read_bed(stage.results / "introgressed.bed")
    depleted = intervals.read_bed(stage.results / "depleted.bed")
    partners = introgressed.iloc[depleted["name"].astype(int)].reset_index(drop=True)
    gaps = read_gaps(stage.results / "gaps.bed")
    with open_genome(genome, cache=cache) as letters, about(stage.results / "introgressed.bed"):
        table = sequences.make_windows(
            partners, depleted, letters, length=length, k=k, gaps=gaps, as_published=as_published
        )
        if fasta is not None:
            for name, label in (("introgressed", 1), ("depleted", 0)):
                chosen = table[table["label"] == label]
                extracted = chosen.assign(end=chosen["region_end"])
                sequences.write_fasta(extracted, letters, fasta / f"{name}.fa")
    write_table(table, stage.results / "windows.tsv")
    stage.record(
        stage.results / "windows.json",
        {"introgressed": stage.results / "introgressed.bed", "depleted": stage.results / "depleted.bed"},
        {"length": length, "k": k, "as_published": as_published},
    )
    stage.say(f"{len(table) // 2:,} of {len(depleted):,} pairs are free of N: {len(table):,} windows of up to "
              f"{length:,} nt in {table['cluster'].nunique():,} clusters of overlapping regions")  # fmt: skip


def read_gaps(path: Path) -> pd.DataFrame:
    """Read the runs of N that the stage `regions` wrote; a genome may have none."""
    from neanderthal_nlp import intervals

    if path.exists() and path.stat().st_size == 0:
        return intervals.no_intervals()
    return intervals.read_bed(path)


@app.command()
def kmers(
    genome: GenomeFile,
    directory: Directory,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    cache: Cache = None,
) -> None:
    """Count the k-mers of every window."""
    from neanderthal_nlp import kmers as bag
    from neanderthal_nlp import sequences
    from neanderthal_nlp.genome import open_genome

    stage = _Stage("kmers", directory)
    table = sequences.read_windows(stage.results / "windows.tsv")
    with open_genome(genome, cache=cache) as letters, replacing(stage.results / "kmers.npy") as part:
        counts = np.lib.format.open_memmap(part, mode="w+", dtype=np.int32, shape=(len(table), 4**k))
        bag.count_kmers(sequences.fetch_windows(table, letters), k, out=counts)
        counts.flush()
    top = bag.top_kmers(counts, table["label"].to_numpy(), k)
    write_table(top, stage.results / "top_kmers.tsv")
    stage.record(
        stage.results / "kmers.json",
        {"windows": stage.results / "windows.tsv"},
        {"k": k},
        shape=list(counts.shape),
        vocabulary=bag.vocabulary(k),
    )
    leaders = {str(label): ", ".join(rows["kmer"].head(4)) for label, rows in top.groupby("label")}
    stage.say(f"{counts.sum(dtype=np.int64):,} words in {len(table):,} windows; most common: "
              + "; ".join(f"{label} {words}" for label, words in leaders.items()))  # fmt: skip


def load_counts(results: Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Windows, their memory-mapped counts and the vocabulary, checked to fit one another."""
    from neanderthal_nlp import sequences

    table = sequences.read_windows(results / "windows.tsv")
    words = read_json(results / "kmers.json")["vocabulary"]
    try:
        counts = np.load(results / "kmers.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{results / 'kmers.npy'}: not a matrix of counts ({error})") from None
    if counts.shape != (len(table), len(words)):
        raise InputError(f"{results / 'kmers.npy'}: found shape {counts.shape}, expected {(len(table), len(words))}")
    return table, counts, words


def load_split(results: Path) -> tuple[np.ndarray, np.ndarray, list[str], Split]:
    """Counts, labels and vocabulary with the article's split, refused where a class is missing on a side."""
    from neanderthal_nlp.evaluation import split

    table, counts, words = load_counts(results)
    labels, parts = table["label"].to_numpy(), split(table, protocol="article")
    if min(len(np.unique(labels[rows])) for rows in parts) < 2:
        raise InputError(f"{results / 'windows.tsv'}: found {len(table)} windows, too few to have both classes on both "
                         "sides of the split")  # fmt: skip
    return counts, labels, words, parts


def write_predictions(
    path: Path, test: np.ndarray, labels: np.ndarray, scores: Mapping[str, tuple[np.ndarray, float]]
) -> None:
    """Write the scores of held-out windows, one block of rows a model, with each model's threshold."""
    tables = [
        pd.DataFrame({"model": name, "window": test, "label": labels, "score": score, "threshold": threshold})
        for name, (score, threshold) in scores.items()
    ]
    write_table(pd.concat(tables, ignore_index=True), path)


@app.command()
def network(
    directory: Directory,
    epochs: Annotated[int, typer.Option(min=1)] = parameters.EPOCHS,
    seed: Seed = 1,
) -> None:
    """Train the multilayer perceptron; goes on where a killed training stopped."""
    from neanderthal_nlp import network as mlp

    stage = _Stage("network", directory)
    counts, labels, _, parts = load_split(stage.results)
    model = mlp.build_mlp(counts.shape[1], seed=seed)
    training = stage.models / "network"
    history = mlp.train_mlp(model, counts[parts.train], labels[parts.train], directory=training, epochs=epochs,
                            seed=seed, report=stage.say)  # fmt: skip
    best = mlp.load_mlp(training / "network.keras")
    scores = mlp.predict_mlp(best, counts[parts.test])
    with replacing(stage.models / "network.keras") as part:
        shutil.copyfile(training / "network.keras", part)
    write_table(history, stage.results / "history.tsv")
    write_predictions(
        stage.results / "predictions/network.tsv", parts.test, labels[parts.test], {"network": (scores, 0.5)}
    )
    stage.record(
        stage.models / "network.json", {"counts": stage.results / "kmers.npy"}, {"epochs": epochs, "seed": seed}
    )
    shutil.rmtree(training)
    accuracy = np.mean((scores > 0.5) == labels[parts.test])
    stage.say(
        f"{epochs} epochs; accuracy on {len(scores):,} test windows {accuracy:.1%} (best of the epochs by validation)"
    )


@app.command()
def forest(
    directory: Directory,
    trees: Annotated[int, typer.Option(min=1)] = parameters.N_ESTIMATORS,
    threads: Annotated[int, typer.Option(help="Threads; -1 for all cores.")] = -1,
    seed: Seed = 1,
) -> None:
    """Grow the random forest and measure the importance of every k-mer."""
    from neanderthal_nlp import forest as trees_of
    from neanderthal_nlp import persistence

    stage = _Stage("forest", directory)
    counts, labels, words, parts = load_split(stage.results)
    model = trees_of.fit_forest(counts[parts.train], labels[parts.train], n_estimators=trees, seed=seed, n_jobs=threads)
    test, truth = counts[parts.test], labels[parts.test]
    scores = model.predict_proba(test)[:, 1]
    importance = trees_of.importances(model, words)
    leading = list(importance["kmer"].head(parameters.N_TOP_IMPORTANCES))
    stage.say(f"{trees} trees grown; permuting the {len(leading)} leading k-mers")
    permuted = trees_of.permutation_importances(model, test, truth, words, columns=leading, seed=seed)
    persistence.save_model(model.set_params(n_jobs=None), stage.models / "forest.skops")
    write_table(importance.merge(permuted, on="kmer", how="left"), stage.results / "importances.tsv")
    write_predictions(stage.results / "predictions/forest.tsv", parts.test, truth, {"forest": (scores, 0.5)})
    stage.record(stage.models / "forest.json", {"counts": stage.results / "kmers.npy"}, {"trees": trees, "seed": seed})
    accuracy = np.mean((scores > 0.5) == truth)
    stage.say(f"accuracy on {len(scores):,} test windows {accuracy:.1%}; most important: {', '.join(leading[:4])}")


@app.command()
def linear(directory: Directory, seed: Seed = 1) -> None:
    """Fit logistic regression, linear SVM and naive Bayes."""
    from neanderthal_nlp import linear as models
    from neanderthal_nlp import persistence

    stage = _Stage("linear", directory)
    counts, labels, _, parts = load_split(stage.results)
    train, test = counts[parts.train], counts[parts.test]
    scores = {}
    for name in models.MODELS:
        model = models.fit_linear(name, train, labels[parts.train], seed=seed)
        scores[name] = (models.scores(model, test), models.THRESHOLDS[name])
        persistence.save_model(model, stage.models / f"{name}.skops")
        stage.record(stage.models / f"{name}.json", {"counts": stage.results / "kmers.npy"}, {"seed": seed})
        accuracy = np.mean((scores[name][0] > scores[name][1]) == labels[parts.test])
        stage.say(f"{name.replace('_', ' ')}: accuracy on {len(parts.test):,} test windows {accuracy:.1%}")
    write_predictions(stage.results / "predictions/linear.tsv", parts.test, labels[parts.test], scores)


@app.command()
def evaluation(directory: Directory, seed: Seed = 1) -> None:
    """Measure every model on the held-out windows, with intervals by bootstrap over clusters."""
    from neanderthal_nlp import sequences
    from neanderthal_nlp.evaluation import evaluate

    stage = _Stage("evaluation", directory)
    clusters = sequences.read_windows(stage.results / "windows.tsv")["cluster"].to_numpy()
    tables = []
    for name in ("network", "forest", "linear"):
        predictions = read_table(stage.results / f"predictions/{name}.tsv")
        for model, rows in predictions.groupby("model", sort=False):
            result = evaluate(
                rows["label"].to_numpy(),
                rows["score"].to_numpy(),
                groups=clusters[rows["window"]],
                threshold=rows["threshold"].iloc[0],
                rng=seed,
            )
            frame = result.to_frame()
            frame.insert(0, "model", model)
            frame.insert(1, "protocol", "article")
            tables.append(frame)
            accuracy, auroc = result.accuracy, result.auroc
            stage.say(f"{model}: accuracy {accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%}), "
                      f"AUROC {auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f})")  # fmt: skip
    write_table(pd.concat(tables, ignore_index=True), stage.results / "evaluation.tsv")


@app.command()
def genes(
    genome: GenomeFile,
    genes: Annotated[Path, typer.Option(help="Genes: refGene, GTF, GFF3, BED or `chrom:start-end<TAB>symbol`.")],
    directory: Directory,
    length: Annotated[
        int, typer.Option(min=1, help="First nucleotides scored; shorter genes are skipped.")
    ] = parameters.GENE_LENGTH,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    published: Annotated[Path | None, typer.Option(help="Published table of predictions to compare with.")] = None,
    cache: Cache = None,
) -> None:
    """Predict with the forest which genes hold Neanderthal DNA."""
    from neanderthal_nlp import genes as annotation
    from neanderthal_nlp import intervals, persistence
    from neanderthal_nlp.genome import open_genome

    stage = _Stage("genes", directory)
    model = persistence.load_model(stage.models / "forest.skops")
    frame = annotation.read_genes(genes)
    with open_genome(genome, cache=cache) as letters, about(genes):
        frame = intervals.match_naming(frame, letters.chromsizes)
        verdicts = annotation.score_rule(frame, letters, length=length)
        table = annotation.predict_genes(frame, letters, model, length=length, k=k, reasons=verdicts)
    reasons = verdicts.value_counts()
    write_table(table, stage.results / "genes.tsv")
    stage.record(
        stage.results / "genes.json",
        {"genes": genes, "model": stage.models / "forest.skops"},
        {"length": length, "k": k},
        counts={str(reason): int(number) for reason, number in reasons.items()},
    )
    skipped = ", ".join(f"{number:,} {reason}" for reason, number in reasons.items() if reason != "scored" and number)
    stage.say(f"{int(table['Predict'].sum()):,} of {len(table):,} scored genes predicted to hold Neanderthal DNA "
              f"(not scored: {skipped or 'none'})")  # fmt: skip
    if published is not None:
        same = annotation.compare_predictions(table, annotation.read_predictions(published))
        stage.say(f"{same.n_shared:,} genes shared with {published.name}: Pearson correlation of Prob_1 "
                  f"{same.pearson:.2f}, Spearman {same.spearman:.2f}, "
                  f"same prediction for {same.agreement:.1%}")  # fmt: skip


@app.command()
def embeddings(
    genome: GenomeFile,
    directory: Directory,
    max_windows: Annotated[int | None, typer.Option(min=1, help="Windows read by Word2Vec (default: all).")] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Word2Vec threads; only one gives the same vectors each time.")
    ] = parameters.WORD2VEC_WORKERS,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Embed the k-mers with Word2Vec and map them with UMAP and t-SNE."""
    from neanderthal_nlp import embeddings as maps
    from neanderthal_nlp import sequences
    from neanderthal_nlp.genome import open_genome

    stage = _Stage("embeddings", directory)
    table = sequences.read_windows(stage.results / "windows.tsv")
    if max_windows is not None and max_windows < len(table):
        table = table.sample(max_windows, random_state=seed).sort_index()
    stage.say(f"Word2Vec on {len(table):,} windows")
    with open_genome(genome, cache=cache) as letters:
        model = maps.train_word2vec(sequences.Sentences(table, letters, k), seed=seed, workers=workers)
    points, clusters = maps.map_kmers(model, seed=seed)
    write_table(points, stage.results / "embeddings.tsv")
    write_table(clusters, stage.results / "clusters.tsv")
    with replacing(stage.models / "word2vec.kv") as part:
        model.wv.save_word2vec_format(str(part), binary=True)
    stage.record(
        stage.models / "word2vec.json",
        {"windows": stage.results / "windows.tsv"},
        {"k": k, "windows": len(table), "workers": workers, "seed": seed},
    )
    for row in clusters[clusters["map"] == "umap"].to_dict(orient="records"):
        stage.say(
            f"UMAP cluster {row['cluster']}: {row['n_kmers']} k-mers, GC {row['gc_mean']:.0%}, "
            f"of the four: {row['predictive_kmers'] or 'none'}"
        )


@app.command()
def intersections(
    genome: GenomeFile,
    genes: Annotated[Path, typer.Option(help="Genes: refGene, GTF, GFF3, BED or `chrom:start-end<TAB>symbol`.")],
    directory: Directory,
    draws: Annotated[int, typer.Option(min=1, help="Depleted draws.")] = parameters.N_DRAWS,
    gaps: Annotated[
        Path | None, typer.Option(help="BED of blocks that draws keep clear of (the article: none).")
    ] = None,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Compare the genes that introgressed regions meet with those that depleted draws meet."""
    from neanderthal_nlp import gene_overlap, intervals
    from neanderthal_nlp import genes as annotation
    from neanderthal_nlp.genome import open_genome

    stage = _Stage("intersections", directory)
    sizes = intervals.read_chromsizes(stage.results / "chrom.sizes")
    introgressed = intervals.read_bed(stage.results / "introgressed.bed")
    frame = intervals.match_naming(annotation.read_genes(genes), sizes)
    avoid = None if gaps is None else intervals.match_naming(intervals.read_bed(gaps), sizes)
    with open_genome(genome, cache=cache) as letters:
        bins = gene_overlap.genome_gc(letters)
        gc = gene_overlap.tabulate_gc(frame, bins, letters)
    write_table(gc, stage.results / "gc.tsv")
    contrast = gene_overlap.compare_gc(gc[gc["kind"] == "gene"], gene_overlap.overall_gc(bins))
    stage.say(f"GC content: genes {contrast.gc_genes:.1%}, genome {contrast.gc_genome:.1%}; {draws:,} draws")
    test = gene_overlap.intersection_test(
        introgressed, frame, sizes, n_draws=draws, avoid=avoid, rng=np.random.default_rng(seed)
    )
    stage.record(
        stage.results / "intersections.json",
        {"introgressed": stage.results / "introgressed.bed", "genes": genes, **({"gaps": gaps} if gaps else {})},
        {"draws": draws, "seed": seed},
        observed=test.observed,
        n_draws=draws,
        n_at_or_below=test.n_at_or_below,
        p=test.p_value,
        p_article=test.p_article,
        **contrast._asdict(),
        n_genes=len(frame),
        ratio=test.ratio,
        draws=[int(count) for count in test.draws],
    )
    stage.say(f"{test.observed:,} intersections against {test.draws.mean():,.0f} on average; "
              f"{test.n_at_or_below:,} draws at or below, p = {test.p_value:.3g} "
              f"(the article would write {test.p_article})")  # fmt: skip


@app.command()
def figures(
    directory: Directory,
) -> None:
    """Draw the article's figures from saved results, as PNG and SVG."""
    from neanderthal_nlp.figures import draw_figures

    stage = _Stage("figures", directory)
    paths = draw_figures(stage.results, stage.figures)
    stage.say(f"{len(paths)} files in {stage.figures}")


@app.command()
def claims(directory: Directory) -> None:
    """Hold the results against every claim of the article."""
    from neanderthal_nlp.claims import ledger, to_markdown

    stage = _Stage("claims", directory)
    table = ledger(stage.results)
    write_table(table, stage.results / "claims.tsv")
    records = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    write_json({"claims": records}, stage.results / "claims.json")
    with replacing(stage.results / "claims.md") as part:
        part.write_text(to_markdown(table), encoding="utf-8")
    stage.say(", ".join(f"{number} {verdict}" for verdict, number in table["verdict"].value_counts().items()))


@audit.command()
def leaks(
    introgressed: Annotated[Path, typer.Option(help="Introgressed regions, BED.")],
    depleted: Annotated[Path, typer.Option(help="Depleted regions, BED; row by row the partners.")],
    json: Annotated[Path, typer.Option(help="Where to write the report.")],
    gaps: Annotated[Path | None, typer.Option(help="BED; pairs that touch one of these are left out.")] = None,
    protocol: Annotated[str, typer.Option(help="Split: article.")] = "article",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = parameters.SPLIT_SEED,
) -> None:
    """Tell from coordinates alone how much of the test set the training set has seen."""
    from neanderthal_nlp.audit import leak_report
    from neanderthal_nlp.intervals import match_naming, read_bed

    start = time.perf_counter()
    frames = {"introgressed": read_bed(introgressed), "depleted": read_bed(depleted)}
    names = dict.fromkeys(frames["introgressed"]["chrom"], 0)
    blocks = None if gaps is None else match_naming(read_bed(gaps), names)
    with about(introgressed):
        report = leak_report(frames["introgressed"], match_naming(frames["depleted"], names), protocol=protocol,
                             seed=seed, gaps=blocks)  # fmt: skip
    inputs = {"introgressed": introgressed, "depleted": depleted, **({"gaps": gaps} if gaps else {})}
    settings = {"protocol": protocol, "seed": seed}
    record = {**report._asdict(), "rule_accuracy": report.rule_accuracy._asdict()}
    write_json({**record, **provenance(inputs, settings, time.perf_counter() - start)}, json)
    say("audit", f"{report.n_pairs:,} pairs, {report.n_distinct_starts:,} distinct starts, "
                 f"{report.n_clusters:,} clusters (worth {report.n_effective:,.0f} regions)")  # fmt: skip
    say("audit", f"of {report.n_test_introgressed:,} introgressed test windows {report.test_share_exact:.1%} are "
                 f"training windows letter for letter, {report.test_share_window_overlap:.1%} overlap one, "
                 f"{report.test_share_region_overlap:.1%} overlap a training region")  # fmt: skip
    rules = report.rule_accuracy
    say("audit", f"accuracy without learning: seen this window {rules.exact_window:.1%}, overlaps an introgressed "
                 f"training window {rules.window_overlap:.1%}, region {rules.region_overlap:.1%}")  # fmt: skip


def _end_with_the_run() -> None:
    """End this process when the run that started it does, even if that was killed.

    The run holds the writing end of the pipe that is our standard input, and nobody ever writes to it: reading
    returns only when the run is gone. Without this, a killed run would leave stages behind that write into the
    folder which the next run works in.
    """
    if LIFELINE not in os.environ:
        return
    status = os.fstat(0)
    if stat.S_ISFIFO(status.st_mode) and os.environ[LIFELINE] == str(status.st_ino):
        threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()


def main() -> None:
    """Run the command line; bad input ends it with one line on standard error and status 2."""
    _end_with_the_run()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks on the machine are not the user's
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), "neanderthal-nlp")
    try:
        app()
    except InputError as error:
        say(name, f"error: {error}")
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        say(name, f"error: {error.filename}: {error.strerror}")
        sys.exit(2)


if __name__ == "__main__":
    main()
