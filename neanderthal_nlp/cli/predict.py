"""Using a model on DNA of one's own: make a bundle, score stretches."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

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
    about,
    check_training,
    load_counts,
    load_forest,
    say,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import name_kind, read_record, read_table, replacing
from neanderthal_nlp.profiles import MANY

if TYPE_CHECKING:
    from neanderthal_nlp.bundle import Bundle
    from neanderthal_nlp.predictions import CallCounts

app = typer.Typer()


_SWEEP = {"model": str, "canonical": bool, "k": int, "n_features": int, "cv_auroc": float, "cv_se": float}


class Model(StrEnum):
    """Models that a run puts into bundles."""

    audited = "audited"
    as_published = "as_published"


class Form(StrEnum):
    """Forms of a table of predictions."""

    tsv = "tsv"
    json = "json"
    bed = "bed"


HALF = 0.5
"""The share of introgressed windows in training."""
_FORMS = {f".{form}": form for form in Form}


BundleFolder = Annotated[Path | None, typer.Option(help="Model bundle (default: that of the run, by --model).")]
Run = Annotated[Path, typer.Option(help="Folder of the run whose bundle is used.")]
Prior = Annotated[
    float, typer.Option(help="Share of introgressed stretches among those that are asked about (a half in training).")
]
Which = Annotated[Model, typer.Option(help="audited: calibrated on chromosomes that it has not seen; as_published: "
                                      "the article's forest, its votes taken for probabilities.")]  # fmt: skip


def bundle_folder(directory: Path, model: Model) -> Path:
    """Where the bundle of a run lies."""
    return directory / "models" / "bundles" / model.value


def find_bundle(bundle: Path | None, directory: Path, model: Model) -> Path:
    """The bundle that was named, or that of the run; an error that says how to get one where there is none."""
    folder = bundle or bundle_folder(directory, model)
    if not folder.is_dir():
        hint = "" if bundle else " (`make reproduce` makes the demo's; --directory names another run)"
        raise InputError(f"{folder}: found no such folder, expected a model bundle{hint}")
    return folder


@app.command()
def bundle(
    genome: GenomeFile,
    directory: Directory,
    model: Annotated[list[Model] | None, typer.Option(help="Make this bundle only (default: both).")] = None,
    k: Annotated[int, typer.Option(min=1, max=10, help="Word length of the run.")] = parameters.K,
    sweep: Annotated[
        Path | None, typer.Option(help="Table of `audit sweep`: the audited model is the one chosen there (default: "
                                  "logistic regression on canonical words of --k).")
    ] = None,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:  # fmt: skip
    """Put models of the run into bundles, with all that is needed to use them and to know what they are worth."""
    from neanderthal_nlp.bundle import write_bundle

    windows, counts, _ = load_counts(directory / "results")
    if counts.shape[1] != 4**k:
        raise InputError(f"--k: found {k}, but {directory / 'results/kmers.npy'} counts {counts.shape[1]:,} words")
    for name in model or Model:
        stage = Stage("bundle", directory)
        if name is Model.audited:
            made = _make_audited(stage, windows, genome, k, seed, sweep, cache)
        else:
            made = _wrap_published(stage, windows, counts, k, seed)
        made = made._replace(other_splits=_other_splits(stage, made.model_name))
        write_bundle(made, bundle_folder(directory, name))
        for row in made.metrics:
            if row["metric"] == "auroc":
                stage.say(f"{made.name}: AUROC {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f}) on "
                          f"{row['windows']}")  # fmt: skip


def _make_audited(
    stage: Stage, windows: pd.DataFrame, genome: Path, k: int, seed: int, sweep: Path | None, cache: Path | None
) -> Bundle:
    from neanderthal_nlp import bundling, splits
    from neanderthal_nlp.audit import sweep as sweeps
    from neanderthal_nlp.genome import open_genome

    inputs = {"windows": stage.results / "windows.tsv", "genome": genome}
    choice = sweeps.Choice("logistic_regression", True, k)
    if sweep is not None:
        inputs["sweep"] = sweep
        with about(sweep):
            choice = sweeps.choose_whole(read_table(sweep, _SWEEP))
    words = f"{'canonical' if choice.canonical else 'plain'} words of {choice.k}"
    stage.say(f"{choice.model.replace('_', ' ')} on {words}: fitting and calibrating on {len(windows):,} windows")
    parts = splits.split(windows, protocol="chromosome")
    with open_genome(genome, cache=cache) as letters:
        made = bundling.fit_audited(windows, letters, parts, **choice._asdict(), protocol="chromosome",
                                    synthetic=_is_synthetic(stage), provenance={}, seed=seed)  # fmt: skip
    settings = {"seed": seed, **choice._asdict()}
    if choice.model == "logistic_regression":
        settings["C"] = made.model[-1].C
    return made._replace(provenance=stage.provenance(inputs, settings))  # after all that took time


def _wrap_published(stage: Stage, windows: pd.DataFrame, counts: np.ndarray, k: int, seed: int) -> Bundle:
    from neanderthal_nlp import bundling, splits
    from neanderthal_nlp.evaluation import evaluate_scores

    check_training(stage, "forest")
    inputs = {"windows": stage.results / "windows.tsv", "model": stage.models / "forest.skops",
              "split": stage.results / "split.tsv",
              "predictions": stage.results / "predictions" / "forest.tsv"}  # fmt: skip
    return bundling.wrap_published(
        windows,
        counts,
        load_forest(stage, k),
        evaluate_scores(read_table(stage.results / "predictions" / "forest.tsv"), windows, seed=seed)["forest"],
        splits.read_split(inputs["split"], windows),
        k=k,
        protocol=read_record(stage.results / "split.json")["protocol"],
        synthetic=_is_synthetic(stage),
        provenance=stage.provenance(inputs, {"seed": seed, "k": k}),
    )


def _other_splits(stage: Stage, model: str) -> list[dict[Any, Any]]:
    """What the audit's ladder measured for a kind of model, if the run has one: on each split, on random letters."""
    from neanderthal_nlp.bundling import METRICS

    rows = []
    for name, prefix in (("ladder.tsv", ""), ("null.tsv", "random letters, ")):
        path = stage.results / "audit" / name
        if path.exists():
            table = read_table(path)
            chosen = table[(table["model"] == model) & table["metric"].isin(METRICS)]
            rows += chosen.assign(split=prefix + chosen["rung"])[["split", "metric", "value", "low", "high"]].to_dict(
                "records"
            )
    return rows


def _is_synthetic(stage: Stage) -> bool:
    return bool(read_record(stage.results / "regions.json")["synthetic"])


@app.command()
def predict(
    fasta: Annotated[list[str] | None, typer.Argument(help="FASTA, plain or gzip; - for standard input.")] = None,
    bundle: BundleFolder = None,
    directory: Run = Path("runs/demo"),
    model: Which = Model.audited,
    genome: Annotated[Path | None, typer.Option(help="Genome to cut --regions from, instead of FASTA.")] = None,
    regions: Annotated[
        str | None, typer.Option(help="Regions of the genome: BED, chr1:10001-20000 (the end included), or chr1.")
    ] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="tsv, json or bed (default: by the ending of --output, else tsv).")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write (default: standard output).")] = None,
    words: Annotated[
        int,
        typer.Option(min=0, max=MANY, help="Words named for and against; a forest takes seconds a stretch for them."),
    ] = 3,
    prior: Prior = HALF,
    unplaced: Annotated[
        bool, typer.Option("--unplaced", help="Names like chr1:1-9 are no places on the genome.")
    ] = False,
    cache: Cache = None,
) -> None:
    """Say how likely stretches of DNA are of Neanderthal ancestry, and which words speak for it and against it."""
    _check_sources(fasta or [], genome, regions, output)
    form = form or _FORMS.get(output.suffix if output else "", Form.tsv)
    folder = find_bundle(bundle, directory, model)

    from neanderthal_nlp import predict as scoring
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.intervals import read_places
    from neanderthal_nlp.predictions import write_predictions

    chosen = read_bundle(folder)
    batches: Iterator[pd.DataFrame]
    with _writing(output) as handle, ExitStack() as stack:
        if genome is None or regions is None:
            batches = _score_files(fasta or [], chosen, words, prior, placed=not unplaced)
        else:
            letters = stack.enter_context(open_genome(genome, cache=cache))
            frame = read_places(regions, letters.chromsizes, source="--regions")
            stretches = scoring.cut_regions(frame, letters, chosen.window_length, min_length=chosen.min_length)
            batches = scoring.predict(stretches, chosen, n_words=words, prior=prior)
        n = write_predictions(batches, chosen, handle, form=form.value, prior=prior)
    tell_calls("predict", n, chosen, prior)
    if form is Form.bed and n.told < n.total:
        say("predict", f"left out of the BED: {_stretches(n.total - n.told)} without a probability")


def _check_sources(fasta: list[str], genome: Path | None, regions: str | None, output: Path | None) -> None:
    """Refuse what cannot be scored before anything is read or written."""
    if not fasta and genome is None and regions is None:
        raise InputError(
            "found nothing to score, expected FASTA files (- for standard input), or --genome with --regions"
        )
    if fasta and (genome is not None or regions is not None):
        raise InputError("found FASTA files and --genome or --regions, expected one or the other")
    if not fasta and (genome is None or regions is None):
        raise InputError("--regions needs --genome, and --genome needs --regions, to score pieces of a genome")
    files = [Path(word) for word in fasta if word != "-"]
    if len(fasta) - len(files) > 1:
        raise InputError("-: found twice, but standard input can be read once only")
    if len(fasta) > len(files) and sys.stdin is None:
        raise InputError("-: found standard input closed, expected FASTA from it")
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: found {name_kind(path)}, expected a FASTA file, or - for standard input")
    if output is None:
        if sys.stdout is None:
            raise InputError("found standard output closed, expected it open, or --output")
        return
    if output.is_dir():
        raise InputError(f"{output}: found a folder, expected a file to write")
    if output.suffix == ".gz":
        raise InputError(f"{output}: expected a name without .gz: what is written is not compressed")


def _score_files(
    words: list[str], bundle: Bundle, n_words: int, prior: float, *, placed: bool
) -> Iterator[pd.DataFrame]:
    """Predictions for the records of files, each row with the name of its file: two files may use the same names."""
    from neanderthal_nlp import predict as scoring

    for word in words:
        name, source = ("standard input", sys.stdin.buffer) if word == "-" else (str(Path(word)), Path(word))
        seen: Counter[str] = Counter()
        stretches = scoring.cut_records(_count_names(scoring.read_records(source), seen), bundle.window_length,
                                        min_length=bundle.min_length, placed=placed, source=name)  # fmt: skip
        n_placed = 0
        for frame in scoring.predict(stretches, bundle, n_words=n_words, prior=prior):
            n_placed += int((frame["chrom"] != "").sum())
            frame.insert(0, "file", name)
            yield frame
        if n_placed:
            say("predict", f"{name}: {_stretches(n_placed)} placed by name, on the genome of the bundle "
                "(--unplaced: names are no places)")  # fmt: skip
        if len(seen) < seen.total():
            again, n = seen.most_common(1)[0]
            say(
                "predict",
                f"{name}: {n:,} records are named {again:.40}: they keep their order (a name ends at a blank)",
            )


def _count_names(records: Iterable[tuple[str, str]], seen: Counter[str]) -> Iterator[tuple[str, str]]:
    for name, sequence in records:
        seen[name] += 1
        yield name, sequence


def tell_calls(name: str, n: CallCounts, bundle: Bundle, prior: float) -> None:
    """Say how many stretches were called what, and what a made-up genome cannot say."""
    say(name, calls_as_text(n, prior))
    if bundle.synthetic:
        say(name, f"the bundle {bundle.name} was trained on a made-up genome: it says nothing about human DNA")


def calls_as_text(n: CallCounts, prior: float) -> str:
    """How many stretches were called what, in words."""
    others = {"too short to say": n.too_short, "too many N to say": n.too_many_n, "unlike anything seen": n.unlike}
    return (f"{_stretches(n.total)}: {n.introgressed:,} called introgressed, {n.depleted:,} depleted"
            + "".join(f", {number:,} {call}" for call, number in others.items() if number)
            + ("" if prior == HALF else f" (prior {prior:g})"))  # fmt: skip


def _stretches(n: int) -> str:
    return f"{n:,} stretch" if n == 1 else f"{n:,} stretches"


@contextmanager
def _writing(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # names of files may be any bytes
        yield sys.stdout
        return
    with replacing(output) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as handle:
        yield handle
