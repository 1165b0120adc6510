"""The article's stages, one command each, in its order."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.cli.stage import (
    AsPublished,
    Cache,
    Devices,
    Directory,
    Epochs,
    GenomeFile,
    Seed,
    SplitFile,
    Stage,
    Threads,
    Trees,
    about,
    check_training,
    count_windows,
    limits,
    load_forest,
    load_split,
    read_gaps,
    say,
    training_inputs,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import check_place, read_record, read_table, replacing, write_bed, write_json, write_table
from neanderthal_nlp.profiles import MANY
from neanderthal_nlp.seals import keep_seals

app = typer.Typer()


class Unplaced(StrEnum):
    """What to do with a region that no depleted partner fits."""

    error = "error"
    drop = "drop"


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

    stage = Stage("regions", directory)
    for name in ("introgressed.bed", "depleted.bed", "gaps.bed", "chrom.sizes", "regions.json"):
        check_place(stage.results / name)  # of all, before one is written
    with open_genome(genome, cache=cache) as letters:
        sizes = sequences.assembly_sizes(letters, assembly=assembly, chromsizes=chromsizes)
        frame = intervals.read_regions(introgressed, sizes)
        gaps = sequences.find_gaps(letters, sizes)
    with about(introgressed):
        depleted = sequences.draw_partners(
            frame, sizes, gaps, drop_unplaced=unplaced is Unplaced.drop, as_published=as_published, rng=seed
        )
    n_without_n = len(frame) if as_published else int((intervals.count_overlaps(frame, gaps) == 0).sum())
    keep_seals(directory)
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
    length: Annotated[
        int, typer.Option(**limits("window_length"), help="Longest window, nt.")
    ] = parameters.WINDOW_LENGTH,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    as_published: AsPublished = False,
    fasta: Annotated[
        Path | None, typer.Option(help="Also write the clean regions as two FASTA files into this folder.")
    ] = None,
    cache: Cache = None,
) -> None:
    """Drop pairs with an N and cut the windows."""
    from neanderthal_nlp import intervals, sequences
    from neanderthal_nlp.genome import open_genome

    stage = Stage("windows", directory)
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

    stage = Stage("kmers", directory)
    table = sequences.read_windows(stage.results / "windows.tsv")
    totals = count_windows(table, genome, k, stage.results, cache=cache)
    top = bag.rank_kmers(totals, k)
    write_table(top, stage.results / "top_kmers.tsv")
    leaders = {str(label): ", ".join(rows["kmer"].head(4)) for label, rows in top.groupby("label")}
    stage.say(f"{totals.sum():,} words in {len(table):,} windows; most common: "
              + "; ".join(f"{label} {words}" for label, words in leaders.items()))  # fmt: skip


@app.command()
def split(
    directory: Directory,
    protocol: Annotated[str, typer.Option(help="article (as published), distinct, cluster or chromosome.")] = "article",
    test_size: Annotated[float, typer.Option(help="Share of windows held out.")] = parameters.TEST_SIZE,
    held_out: Annotated[
        str | None, typer.Option(help="With chromosome: those to hold out, by commas (default: chosen by size).")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, max=MANY, help="With cluster or chromosome: write as many splits, NAME-1.tsv and on."),
    ] = None,
    split_file: Annotated[Path | None, typer.Option(help="Take the split from this manifest instead.")] = None,
    output: Annotated[Path | None, typer.Option(help="Manifest to write (default: results/split.tsv).")] = None,
    seed: Annotated[int, typer.Option(**limits("seed"), help="Seed of the split.")] = parameters.SPLIT_SEED,
) -> None:
    """Divide the windows into training and test set; the models of later stages follow it."""
    from neanderthal_nlp import sequences, splits

    stage = Stage("split", directory)
    output = output or stage.results / "split.tsv"
    if split_file is not None and (held_out or folds):
        raise InputError("--split-file: found with --held-out or --folds, expected alone")
    if folds is not None and held_out:
        raise InputError("--folds: found with --held-out, expected one of the two")
    if output.suffix == ".json":
        raise InputError(f"--output {output}: expected another ending: a JSON file is written beside the manifest")
    windows = sequences.read_windows(stage.results / "windows.tsv")
    if split_file is not None:
        protocol, found = "given", [splits.read_split(split_file, windows)]
    elif folds is not None:
        found = splits.folds(windows, protocol=protocol, n_folds=folds, seed=seed)
    else:
        chosen = None if held_out is None else [name.strip() for name in held_out.split(",")]
        found = [splits.split(windows, protocol=protocol, test_size=test_size, seed=seed, held_out=chosen)]
    splits.check_classes(windows["label"].to_numpy(), found, source=str(stage.results / "windows.tsv"))
    places = [output] if folds is None else [output.with_stem(f"{output.stem}-{i}") for i in range(1, folds + 1)]
    inputs = {"windows": stage.results / "windows.tsv", **({"split": split_file} if split_file else {})}
    for place, parts in zip(places, found, strict=True):
        write_table(splits.split_table(windows, parts), place)
        chroms = splits.held_out_chromosomes(windows, parts)
        stage.record(place.with_suffix(".json"), inputs, {"test_size": test_size, "seed": seed}, protocol=protocol,
                     n_train=len(parts.train), n_test=len(parts.test), held_out=chroms)  # fmt: skip
        stage.say(f"{protocol}: {len(parts.train):,} windows to train on, {len(parts.test):,} to test on"
                  + (f", all of {', '.join(chroms)}" if chroms else ""))  # fmt: skip
        share = len(parts.test) / (len(parts.train) + len(parts.test))
        if folds is None and split_file is None and held_out is None and abs(share - test_size) > test_size / 2:
            stage.say(f"found no groups that hold {test_size:.0%} of the windows: {share:.1%} are tested on")


@app.command()
def network(
    directory: Directory,
    epochs: Epochs = parameters.EPOCHS,
    split_file: SplitFile = None,
    devices: Devices = "auto",
    seed: Seed = 1,
) -> None:
    """Train the multilayer perceptron; goes on where a killed training stopped."""
    from neanderthal_nlp import network as mlp
    from neanderthal_nlp.devices import find_gpus, training_on
    from neanderthal_nlp.evaluation import tabulate_scores

    stage = Stage("network", directory)
    counts, labels, _, parts = load_split(stage.results, split_file)
    training = stage.models / "network.training"
    with training_on(find_gpus(devices, report=stage.say)):
        model = mlp.build_mlp(counts.shape[1], seed=seed)
        history = mlp.train_mlp(model, counts, labels, rows=parts.train, directory=training, epochs=epochs,
                                seed=seed, report=stage.say)  # fmt: skip
        best = mlp.load_mlp(training / "network.keras")
        scores = mlp.predict_mlp(best, counts, rows=parts.test)
    with replacing(stage.models / "network.keras") as part:
        shutil.copyfile(training / "network.keras", part)
    write_table(history, stage.results / "history.tsv")
    write_table(
        tabulate_scores(parts.test, labels[parts.test], {"network": (scores, 0.5)}),
        stage.results / "predictions/network.tsv",
    )
    stage.record(stage.models / "network.json", training_inputs(stage.results, split_file),
                 {"epochs": epochs, "seed": seed})  # fmt: skip
    shutil.rmtree(training)
    accuracy = np.mean((scores > 0.5) == labels[parts.test])
    stage.say(
        f"{epochs} epochs; accuracy on {len(scores):,} test windows {accuracy:.1%} (best of the epochs by validation)"
    )


@app.command()
def forest(
    directory: Directory,
    trees: Trees = parameters.N_ESTIMATORS,
    threads: Threads = -1,
    accelerated: Annotated[
        bool, typer.Option("--accelerated", help="Grow the trees with scikit-learn-intelex (extra `fast`).")
    ] = False,
    split_file: SplitFile = None,
    seed: Seed = 1,
) -> None:
    """Grow the random forest and measure the importance of every k-mer."""
    from neanderthal_nlp import forest as trees_of
    from neanderthal_nlp import persistence
    from neanderthal_nlp.evaluation import tabulate_scores

    stage = Stage("forest", directory)
    counts, labels, words, parts = load_split(stage.results, split_file)
    model = trees_of.fit_forest(counts, labels, rows=parts.train, n_estimators=trees, seed=seed, n_jobs=threads,
                                accelerated=accelerated)  # fmt: skip
    test, truth = counts[parts.test], labels[parts.test]
    scores = model.predict_proba(test)[:, 1]
    importance = trees_of.importances(model, words)
    leading = list(importance["kmer"].head(parameters.N_TOP_IMPORTANCES))
    stage.say(f"{trees} trees grown; permuting the {len(leading)} leading k-mers")
    permuted = trees_of.permutation_importances(model, test, truth, words, columns=leading, seed=seed)
    persistence.save_model(model.set_params(n_jobs=None), stage.models / "forest.skops")
    write_table(importance.merge(permuted, on="kmer", how="left"), stage.results / "importances.tsv")
    write_table(tabulate_scores(parts.test, truth, {"forest": (scores, 0.5)}), stage.results / "predictions/forest.tsv")
    stage.record(stage.models / "forest.json", training_inputs(stage.results, split_file),
                 {"trees": trees, "seed": seed, "accelerated": accelerated})  # fmt: skip
    accuracy = np.mean((scores > 0.5) == truth)
    stage.say(f"accuracy on {len(scores):,} test windows {accuracy:.1%}; most important: {', '.join(leading[:4])}")


@app.command()
def linear(directory: Directory, split_file: SplitFile = None, seed: Seed = 1) -> None:
    """Fit logistic regression, linear SVM and naive Bayes."""
    from neanderthal_nlp import linear as models
    from neanderthal_nlp import persistence
    from neanderthal_nlp.evaluation import tabulate_scores

    stage = Stage("linear", directory)
    counts, labels, _, parts = load_split(stage.results, split_file)
    scores = {}
    for name in parameters.LINEAR_MODELS:
        model = models.fit_linear(name, counts, labels, rows=parts.train, seed=seed)
        scores[name] = (models.scores(model, counts[parts.test]), models.THRESHOLDS[name])
        persistence.save_model(model, stage.models / f"{name}.skops")
        stage.record(stage.models / f"{name}.json", training_inputs(stage.results, split_file), {"seed": seed})
        accuracy = np.mean((scores[name][0] > scores[name][1]) == labels[parts.test])
        stage.say(f"{name.replace('_', ' ')}: accuracy on {len(parts.test):,} test windows {accuracy:.1%}")
    write_table(tabulate_scores(parts.test, labels[parts.test], scores), stage.results / "predictions/linear.tsv")


@app.command()
def evaluation(directory: Directory, seed: Seed = 1) -> None:
    """Measure every model on the held-out windows, with intervals by bootstrap over clusters."""
    from neanderthal_nlp import sequences
    from neanderthal_nlp.evaluation import evaluate_scores

    stage = Stage("evaluation", directory)
    protocol = read_record(stage.results / "split.json")["protocol"]
    for model in parameters.MODELS:
        check_training(stage, model)
    windows = sequences.read_windows(stage.results / "windows.tsv")
    tables = []
    for name in ("network", "forest", "linear"):
        path = stage.results / f"predictions/{name}.tsv"
        with about(path):
            found = evaluate_scores(read_table(path), windows, seed=seed)
        for model, result in found.items():
            frame = result.to_frame()
            frame.insert(0, "model", model)
            frame.insert(1, "protocol", protocol)
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
        int, typer.Option(**limits("window_length"), help="First nucleotides scored; shorter genes are skipped.")
    ] = parameters.GENE_LENGTH,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    published: Annotated[Path | None, typer.Option(help="Published table of predictions to compare with.")] = None,
    cache: Cache = None,
) -> None:
    """Predict with the forest which genes hold Neanderthal DNA."""
    from neanderthal_nlp import annotation, intervals
    from neanderthal_nlp import genes as predictions
    from neanderthal_nlp.genome import open_genome

    stage = Stage("genes", directory)
    model = load_forest(stage, k)
    frame = annotation.read_genes(genes)
    with open_genome(genome, cache=cache) as letters, about(genes):
        frame = intervals.match_naming(frame, letters.chromsizes)
        verdicts = predictions.score_rule(frame, letters, length=length)
        table = predictions.predict_genes(frame, letters, model, length=length, k=k, reasons=verdicts)
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
        same = predictions.compare_predictions(table, predictions.read_predictions(published))
        stage.say(f"{same.n_shared:,} genes shared with {published.name}: Pearson correlation of Prob_1 "
                  f"{same.pearson:.2f}, Spearman {same.spearman:.2f}, "
                  f"same prediction for {same.agreement:.1%}")  # fmt: skip


@app.command()
def embeddings(
    genome: GenomeFile,
    directory: Directory,
    max_windows: Annotated[
        int | None, typer.Option(**limits("word2vec_windows"), help="Windows read by Word2Vec (default: all).")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(**limits("word2vec_workers"), help="Word2Vec threads; only one gives the same vectors each time."),
    ] = parameters.WORD2VEC_WORKERS,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length.")] = parameters.K,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Embed the k-mers with Word2Vec and map them with UMAP and t-SNE."""
    from neanderthal_nlp import embeddings as maps
    from neanderthal_nlp import sequences
    from neanderthal_nlp.genome import open_genome

    stage = Stage("embeddings", directory)
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
    draws: Annotated[int, typer.Option(**limits("n_draws"), help="Depleted draws.")] = parameters.N_DRAWS,
    gaps: Annotated[
        Path | None, typer.Option(help="BED of blocks that draws keep clear of (the article: none).")
    ] = None,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """Compare the genes that introgressed regions meet with those that depleted draws meet."""
    from neanderthal_nlp import annotation, gene_overlap, intervals
    from neanderthal_nlp.genome import open_genome

    stage = Stage("intersections", directory)
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
        introgressed, frame, sizes, n_draws=draws, avoid=avoid, rng=np.random.default_rng(seed),
        progress=stage.progress(draws, "draws"),
    )  # fmt: skip
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
    figure: Annotated[
        list[str] | None, typer.Option(help="Draw this one only, such as 14_leaks; repeat it for several.")
    ] = None,
) -> None:
    """Draw the figures of the article and of the audit from saved results, as PNG and SVG."""
    from neanderthal_nlp.figures import draw_figures

    stage = Stage("figures", directory)
    paths = draw_figures(stage.results, stage.figures, names=figure)
    stage.say(f"{len(paths)} files in {stage.figures}")


@app.command()
def claims(directory: Directory) -> None:
    """Hold the results against every claim of the article."""
    from neanderthal_nlp.claims import ledger, to_markdown

    stage = Stage("claims", directory)
    table = ledger(stage.results)
    write_table(table, stage.results / "claims.tsv")
    records = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    write_json({"claims": records}, stage.results / "claims.json")
    with replacing(stage.results / "claims.md") as part:
        part.write_text(to_markdown(table), encoding="utf-8")
    stage.say(", ".join(f"{number} {verdict}" for verdict, number in table["verdict"].value_counts().items()))


@app.command()
def report(directory: Directory) -> None:
    """Write one self-contained HTML page of the run: ledger, audit and figures."""
    from neanderthal_nlp.report import load_run, render_report

    stage = Stage("report", directory)
    page = render_report(load_run(directory))
    with replacing(directory / "report.html") as part:
        part.write_text(page, encoding="utf-8")
    stage.say(f"{directory / 'report.html'}: {len(page.encode('utf-8')) / 1e6:.1f} MB")
