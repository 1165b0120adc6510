"""The audit of the follow-up article: letters of windows, networks on their sub-sequences, the table."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.cli.stage import (
    Cache,
    Devices,
    Epochs,
    GenomeFile,
    Seed,
    Stage,
    about,
    check_input,
    limits,
    map_matrix,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import markdown_table, read_record, read_table, replacing, reserve, write_table
from neanderthal_nlp.profiles import MANY
from neanderthal_nlp.seals import AGAIN, check_seal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neanderthal_nlp.audit.sub_sequences import Division
    from neanderthal_nlp.splits import Split
    from neanderthal_nlp.subsequences import Subsequences

app = typer.Typer()

_SUB_SEQUENCE = "sub_sequence"
_GC_SAMPLE = 2_000
_CNN_THREADS = "4"
_SCORES = {"cut": str, "rung": str, "model": str, "window": int, "start": int, "label": int, "score": float,
           "threshold": float, "n_train": int}  # fmt: skip
_LettersFolder = Annotated[Path, typer.Option(help="Folder with windows.tsv and letters.npy.")]


class Network(StrEnum):
    """What scores sub-sequences."""

    lstm = "lstm"
    cnn = "cnn"
    controls = "controls"


class Cut(StrEnum):
    """How windows are cut."""

    disjoint = "disjoint"
    shifted = "shifted"


@app.command()
def letters(
    windows: Annotated[Path, typer.Option(help="Table of windows; the letters are written beside it.")],
    genome: GenomeFile,
    cache: Cache = None,
) -> None:
    """Store the letters of windows as numbers, as many of each as its sub-sequences need."""
    from neanderthal_nlp import sequences, subsequences
    from neanderthal_nlp.audit.sub_sequences import READ_LENGTH
    from neanderthal_nlp.genome import open_genome

    stage = Stage("audit letters", windows.parent)
    table = sequences.read_windows(windows)
    ends = np.minimum(table["end"], table["start"] + READ_LENGTH)
    shape, path = (len(table), READ_LENGTH), windows.with_name("letters.npy")
    with replacing(path) as part, open_genome(genome, cache=cache) as opened, about(windows):
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        reserve(part)
        subsequences.read_letters(table.assign(end=ends), opened, out=out)
        out.flush()
    stage.record(path.with_suffix(".json"), {"windows": windows}, {"genome": str(genome), "length": READ_LENGTH},
                 shape=list(shape))  # fmt: skip
    stage.say(f"first {READ_LENGTH:,} letters of {len(table):,} windows")


@app.command()
def sub_sequences(
    letters: _LettersFolder,
    network: Annotated[Network, typer.Option(help="What scores; controls are rules that learn nothing.")],
    output: Annotated[Path, typer.Option(help="Table of scores to write.")],
    random_split: Annotated[
        bool, typer.Option("--random-split", help="Divide sub-sequences at random: rung `sub_sequence`.")
    ] = False,
    split_file: Annotated[
        list[Path] | None, typer.Option(help="Split of the windows, which names its rung; repeat it for more.")
    ] = None,
    cut: Annotated[list[Cut] | None, typer.Option(help="How windows are cut; default: both ways.")] = None,
    null: Annotated[bool, typer.Option("--null", help="The letters are random: rungs are named `null_...`.")] = False,
    max_windows: Annotated[
        int | None,
        typer.Option(
            **limits("sequence_windows"), help="Windows at most; whole clusters of overlapping regions are kept."
        ),
    ] = None,
    epochs: Epochs = parameters.LSTM_EPOCHS,
    keep: Annotated[
        Path | None, typer.Option(help="Where to keep the network of the first rung, a .keras file.")
    ] = None,
    keep_cut: Annotated[Cut | None, typer.Option(help="Cut whose network is kept; default: the first.")] = None,
    devices: Devices = "auto",
    seed: Seed = 1,
) -> None:
    """Train a network on sub-sequences and score those that splits hold out, or score them by rules."""
    from neanderthal_nlp.audit import sub_sequences as rungs

    stage, cuts = Stage("audit sub-sequences", letters), cut or list(Cut)
    kept_cut = _check_kept(network, output, cuts, keep, keep_cut)
    windows, matrix = _load_letters(letters)
    sides = _read_sides(windows, random_split, split_file or [])
    settings = {"max_windows": max_windows, "epochs": epochs, "seed": seed}
    inputs = {"windows": letters / "windows.tsv", "letters": letters / "letters.npy"}
    inputs |= {f"split {path.stem}": path for path in split_file or []}
    training = output.with_suffix(".training")
    tables: list[pd.DataFrame] = []
    histories: list[pd.DataFrame] = []
    with _place(network, devices, stage):
        model = None if network is Network.controls else rungs.build_network(network.value, seed=seed)
        for how, (protocol, parts) in product(cuts, sides.items()):
            place = {"cut": how.value, "rung": f"null_{protocol}" if null else protocol}
            pieces, division = _divide(windows, how, parts, max_windows, seed)
            found, history = rungs.score_rung(
                network.value, windows, pieces, division, letters=matrix, model=model,
                directory=training / f"{how}_{protocol}", epochs=epochs, seed=seed, report=stage.say,
            )  # fmt: skip
            if keep is not None and (how, protocol) == (kept_cut, next(iter(sides))):
                with replacing(keep) as part:
                    shutil.copyfile(training / f"{how}_{protocol}/network.keras", part)
                stage.record(keep.with_suffix(".json"), inputs, settings | place)
            tables.append(rungs.tabulate_rung(windows, pieces, division.parts, found).assign(**place))
            histories += [] if history is None else [history.assign(**place)]
            _tell_accuracy(stage, place, tables[-1])
    write_table(pd.concat(tables, ignore_index=True)[list(_SCORES)], output)
    if histories:
        write_table(pd.concat(histories, ignore_index=True), output.with_name(f"{output.stem}_history.tsv"))
    stage.record(output.with_suffix(".json"), inputs, settings)
    shutil.rmtree(training, ignore_errors=True)


@app.command()
def sequences(
    windows: Annotated[Path, typer.Option(help="Table of the windows that were cut.")],
    scores: Annotated[list[Path], typer.Option(help="Table of scores; repeat it for more.")],
    output: Annotated[Path, typer.Option(help="Table to write; a Markdown table is written beside it.")],
    seed: Seed = 1,
) -> None:
    """Measure networks and rules on sub-sequences and windows, with intervals over clusters of regions."""
    from neanderthal_nlp.audit import sub_sequences as rungs
    from neanderthal_nlp.sequences import read_windows

    stage = Stage("audit sequences", windows.parent)
    scored = pd.concat([read_table(path, _SCORES) for path in scores], ignore_index=True)
    table = rungs.measure(scored, read_windows(windows), seed=seed)
    write_table(table, output)
    with replacing(output.with_suffix(".md")) as part:
        part.write_text(
            "\n".join(
                f"Accuracy by {level.replace('_', '-')}, {how} cut\n\n"
                + markdown_table(rungs.summarise(table, level=level, cut=how))
                for level, how in product(rungs.LEVELS, table["cut"].unique())
            ),
            encoding="utf-8",
        )
    stage.record(output.with_suffix(".json"), {"windows": windows} | {f"scores {path.stem}": path for path in scores},
                 {"seed": seed})  # fmt: skip
    told = table[(table["metric"] == "accuracy") & (table["level"] == _SUB_SEQUENCE)]
    for how, rung, model, *span in told[["cut", "rung", "model", "value", "low", "high"]].itertuples(index=False):
        stage.say("{}, {}: {} {:.1%} ({:.1%} to {:.1%})".format(how, rung, model.replace("_", " "), *span))


@app.command()
def sequence_rules(
    introgressed: Annotated[Path, typer.Option(help="Introgressed regions, BED.")],
    depleted: Annotated[Path, typer.Option(help="Depleted regions, BED; row by row the partners.")],
    output: Annotated[Path, typer.Option(help="Table to write.")],
    gaps: Annotated[Path | None, typer.Option(help="BED; pairs that touch one of these are left out.")] = None,
    seed: Annotated[int, typer.Option(**limits("seed"), help="Seed of the splits.")] = parameters.SPLIT_SEED,
) -> None:
    """Tell from coordinates alone what accuracy on sub-sequences needs no learning."""
    from neanderthal_nlp.audit import sub_sequences as rungs
    from neanderthal_nlp.cli.audit import read_pairs
    from neanderthal_nlp.splits import split

    stage = Stage("audit sequence-rules", output.parent)
    windows = read_pairs(introgressed, depleted, gaps)
    sides = {name: None if name == _SUB_SEQUENCE else split(windows, protocol=name, seed=seed)
             for name in parameters.SEQUENCE_PROTOCOLS}  # fmt: skip
    rows = []
    for how, (rung, parts) in product(Cut, sides.items()):
        with about(introgressed):
            pieces, division = _divide(windows, how, parts, None, seed, random_seed=seed)
        truth = windows["label"].to_numpy()[pieces.window[division.parts.test]]
        for name, (score, threshold) in rungs.score_rules(windows, pieces, division.parts).items():
            right = float(np.mean((score > threshold) == truth))
            rows.append((how.value, rung, name, right, len(division.parts.train), len(truth)))
            stage.say(f"{how}, {rung}: {name.replace('_', ' ')} {right:.2%} right of {len(truth):,}")
    write_table(pd.DataFrame(rows, columns=["cut", "rung", "model", "accuracy", "n_train", "n_test"]), output)
    stage.record(output.with_suffix(".json"), {"introgressed": introgressed, "depleted": depleted,
                                               **({"gaps": gaps} if gaps else {})}, {"seed": seed})  # fmt: skip


@app.command()
def follow_up(
    letters: _LettersFolder,
    lstm: Annotated[Path, typer.Option(help="LSTM that `audit sub-sequences --random-split` kept.")],
    cnn: Annotated[Path, typer.Option(help="Convolutional network that it kept.")],
    genome: GenomeFile,
    genes: Annotated[Path, typer.Option(help="Genes, in any form that the stage `genes` reads.")],
    output: Annotated[Path, typer.Option(help="Folder to write to.")],
    sentences: Annotated[
        int, typer.Option(min=2, max=MANY, help="Test sub-sequences whose words are permuted.")
    ] = 2_000,
    words: Annotated[int, typer.Option(min=3, max=MANY, help="Most common words of the map.")] = 2_000,
    mutated: Annotated[int, typer.Option(min=1, max=MANY, help="Test sub-sequences whose letters are replaced.")] = 100,
    seed: Seed = 1,
    cache: Cache = None,
) -> None:
    """What the follow-up shows of its network: places, words, genes; and the letters that it and a CNN look at."""
    stage = Stage("audit follow-up", letters)
    windows, matrix = _load_letters(letters)
    summary = {
        **_describe_lstm(windows, matrix, lstm, output, sentences, words, seed),
        **_predict_genes(lstm, genome, genes, output, cache),
        **_describe_letters(windows, matrix, {"lstm": lstm, "cnn": cnn}, output, mutated, seed),
    }
    stage.record(output / "follow_up.json", {"letters": letters / "letters.npy", "lstm": lstm, "cnn": cnn,
                                             "genes": genes},
                 {"sentences": sentences, "words": words, "mutated": mutated, "seed": seed}, **summary)  # fmt: skip
    stage.say(f"{summary['n_predicted']:,} of {summary['n_genes']:,} genes predicted to hold Neanderthal DNA; "
              f"vectors of words explain {summary['gc_embedding']:.1%} of their GC content; that of sub-sequences "
              f"correlates with the CNN's score by {summary['gc_cnn']:+.2f}")  # fmt: skip


def _place(network: Network, devices: str, stage: Stage) -> AbstractContextManager[None]:
    """Where a network is trained and scores; rules need no such place."""
    if network is Network.controls:
        return nullcontext()
    if network is Network.cnn:
        # TensorFlow sums a convolution's gradients thread by thread: with as many threads everywhere, and not as many
        # as the machine has cores, the digits are the same. It reads the variable when it starts.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", _CNN_THREADS)
    from neanderthal_nlp.devices import find_gpus, training_on

    return training_on(find_gpus(devices, report=stage.say))


def _load_letters(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Windows and their memory-mapped letters, checked to fit one another."""
    from neanderthal_nlp.audit.sub_sequences import READ_LENGTH
    from neanderthal_nlp.sequences import read_windows

    windows, path = read_windows(folder / "windows.tsv"), folder / "letters.npy"
    matrix = map_matrix(path, "letters of windows")
    if (matrix.dtype, matrix.shape) != (np.uint8, (len(windows), READ_LENGTH)):
        raise InputError(f"{path}: found {matrix.dtype} {matrix.shape}, expected uint8 {(len(windows), READ_LENGTH)}: "
                         f"{AGAIN}")  # fmt: skip
    check_input(folder / "letters.json", "windows", folder / "windows.tsv")
    check_seal(path)
    return windows, matrix


def _read_sides(windows: pd.DataFrame, random_split: bool, paths: list[Path]) -> dict[str, Split | None]:
    """Splits of the windows by the name of their rung; None where sub-sequences are divided at random."""
    from neanderthal_nlp.splits import read_split

    names = [_SUB_SEQUENCE] * random_split + [path.stem for path in paths]
    if not names or len(set(names)) < len(names):
        raise InputError(f"splits: found {', '.join(names) or 'none'}, expected one or more of different names")
    given: dict[str, Split | None] = {_SUB_SEQUENCE: None} if random_split else {}
    return given | {path.stem: read_split(path, windows) for path in paths}


def _check_kept(network: Network, output: Path, cuts: list[Cut], keep: Path | None, keep_cut: Cut | None) -> Cut:
    """The cut whose network is kept."""
    if keep is not None and (network is Network.controls or keep.with_suffix("") == output.with_suffix("")):
        raise InputError(f"--keep: found {keep}, expected a network, and another name than that of {output}")
    if keep_cut is not None and (keep is None or keep_cut not in cuts):
        raise InputError(f"--keep-cut: found {keep_cut}, expected --keep, and one of {', '.join(cuts)}")
    return keep_cut or cuts[0]


def _divide(
    windows: pd.DataFrame, how: str, sides: Split | None, max_windows: int | None, seed: int, **options: int
) -> tuple[Subsequences, Division]:
    """Cut windows and divide their sub-sequences; options as for `rungs.divide`."""
    from neanderthal_nlp.audit import sub_sequences as rungs

    pieces = rungs.cut_windows(windows, step=parameters.CUTS[how], max_windows=max_windows)
    return pieces, rungs.divide(windows, pieces, sides, seed=seed, **options)


def _tell_accuracy(stage: Stage, place: dict[str, str], table: pd.DataFrame) -> None:
    for name, rows in table.groupby("model", sort=False):
        right = np.mean((rows["score"] > rows["threshold"]) == rows["label"])
        stage.say(f"{place['cut']}, {place['rung']}: {str(name).replace('_', ' ')} {right:.2%} right of {len(rows):,} "
                  "test sub-sequences")  # fmt: skip


def _divide_as_kept(windows: pd.DataFrame, network: Path) -> tuple[Subsequences, Division]:
    """The sub-sequences that a kept network was trained and tested on."""
    path = network.with_suffix(".json")
    settings = read_record(path).get("parameters", {})
    if settings.get("rung") != _SUB_SEQUENCE:
        raise InputError(f"{path}: found rung {settings.get('rung')}, expected {_SUB_SEQUENCE} (`--random-split`)")
    return _divide(windows, settings["cut"], None, settings["max_windows"], settings["seed"])


def _describe_lstm(
    windows: pd.DataFrame, matrix: np.ndarray, path: Path, output: Path, sentences: int, n_words: int, seed: int
) -> dict[str, Any]:
    """Write `sequence_positions.tsv` and `sequence_words.tsv`."""
    from neanderthal_nlp.audit import follow_up as described
    from neanderthal_nlp.recurrent import position_importance
    from neanderthal_nlp.subsequences import Words
    from neanderthal_nlp.training import load_model

    pieces, (parts, _) = _divide_as_kept(windows, path)
    model, words = load_model(path), Words(matrix, pieces)
    labels = windows["label"].to_numpy()[pieces.window]
    rows = described.sample_rows(parts.test, sentences, seed=seed)
    write_table(position_importance(model, words, labels, rows, rng=seed), output / "sequence_positions.tsv")
    known = described.map_words(model, words, parts.train, n=n_words, seed=seed)
    write_table(known.table, output / "sequence_words.tsv")
    return {"n_sentences": len(rows), "n_words": len(known.table), "gc_embedding": known.gc_explained}


def _predict_genes(lstm: Path, genome: Path, genes: Path, output: Path, cache: Path | None) -> dict[str, Any]:
    """Write `sequence_genes.tsv`."""
    from neanderthal_nlp import annotation
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.intervals import match_naming
    from neanderthal_nlp.recurrent import predict_genes_recurrent
    from neanderthal_nlp.training import load_model

    with open_genome(genome, cache=cache) as opened, about(genes):
        frame = match_naming(annotation.read_genes(genes), opened.chromsizes)
        table = predict_genes_recurrent(frame, opened, load_model(lstm))
    write_table(table, output / "sequence_genes.tsv")
    return {"n_genes": len(table), "n_predicted": int(table["Predict"].sum())}


def _describe_letters(
    windows: pd.DataFrame, matrix: np.ndarray, networks: Mapping[str, Path], output: Path, mutated: int, seed: int
) -> dict[str, Any]:
    """Write `sequence_mutations.tsv` and `sequence_letters.tsv`."""
    from neanderthal_nlp.attribution import in_silico_mutagenesis
    from neanderthal_nlp.audit import follow_up as described
    from neanderthal_nlp.convolutional import load_cnn
    from neanderthal_nlp.subsequences import Letters
    from neanderthal_nlp.training import load_model

    load = {"lstm": load_model, "cnn": load_cnn}
    places, letters, summary = [], [], dict[str, Any]()
    for name, path in networks.items():
        pieces, (parts, _) = _divide_as_kept(windows, path)
        examples, score = Letters(matrix, pieces), described.letter_scorer(name, load[name](path))
        few = examples.take(described.sample_rows(parts.test, mutated, seed=seed))
        by_place, by_letter = described.summarise_mutagenesis(in_silico_mutagenesis(score, few), few)
        places.append(by_place.assign(model=name))
        letters.append(by_letter.assign(model=name))
        many = examples.take(described.sample_rows(parts.test, _GC_SAMPLE, seed=seed))
        scored = pd.Series(np.concatenate([score(many[i : i + 500]) for i in range(0, len(many), 500)]))
        correlation = scored.corr(pd.Series(described.gc_of_letters(many)), method="spearman")
        summary |= {"n_mutated": len(few), f"gc_{name}": float(correlation)}
    write_table(pd.concat(places)[["model", "position", "change"]], output / "sequence_mutations.tsv")
    write_table(pd.concat(letters)[["model", "found", "put", "n", "mean", "size"]], output / "sequence_letters.tsv")
    return summary
