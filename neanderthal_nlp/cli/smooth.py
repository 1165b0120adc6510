"""Smoothing the scores of a scan along chromosomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from neanderthal_nlp.cli.predict import BundleFolder, Model, Run, Which, find_bundle
from neanderthal_nlp.cli.stage import Seed, Stage, about
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table, write_bed, write_table
from neanderthal_nlp.profiles import MANY

app = typer.Typer()

_SCAN = {"record": str, "start": int, "end": int, "chrom": str, "chrom_start": int, "chrom_end": int, "score": float,
         "call": str, "seen": str}  # fmt: skip
_INSIDE = {"start": "record_start", "end": "record_end", "chrom_start": "start", "chrom_end": "end"}
"""Names of columns here, by their names in the file: places are those on chromosomes."""
_OUTSIDE = {inside: name for name, inside in _INSIDE.items()}


@app.command()
def smooth(
    scan: Annotated[Path, typer.Option(help="Table of the command scan, scan.tsv.")],
    output: Annotated[Path, typer.Option(help="Folder for the table, the segments and the evaluation.")],
    bundle: BundleFolder = None,
    directory: Run = Path("runs/demo"),
    model: Which = Model.audited,
    introgressed: Annotated[
        Path | None, typer.Option(help="BED of introgressed regions (default: the run's, results/introgressed.bed).")
    ] = None,
    n_iter: Annotated[int, typer.Option(min=0, max=MANY, help="Rounds of Baum-Welch after the labelled start.")] = 0,
    optional: Annotated[
        bool, typer.Option("--optional", help="Where too little was held out, write empty tables.")
    ] = False,
    seed: Seed = 1,
) -> None:
    """Smooth the scores of a scan by a hidden Markov model, and measure on held-out chromosomes whether it helps."""
    from neanderthal_nlp import smoothing
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.intervals import match_naming, read_bed

    stage = Stage("smooth", directory)
    introgressed = introgressed or stage.results / "introgressed.bed"
    folder = find_bundle(bundle, directory, model)
    held_out = _held_out(read_bundle(folder).windows)
    windows = _read_scan(scan, held_out)
    with about(scan):
        thinned = smoothing.thin(windows)
        regions = match_naming(read_bed(introgressed), dict.fromkeys(thinned["chrom"], 0))
    try:
        with about(scan):
            table, smoothers = smoothing.smooth(thinned, regions, held_out, n_iter=n_iter)
    except InputError as error:
        if not optional:
            raise
        _write_nothing(stage, windows, output, {"scan": scan}, str(error), held_out)
        return
    measured = smoothing.evaluate_smoothing(table, held_out, rng=seed)
    segments = smoothing.find_segments(table)

    write_table(table.rename(columns=_OUTSIDE), output / "smooth.tsv")
    write_bed(segments.round({"posterior": 4}), output / "segments.bed")
    write_table(measured, output / "smoothing.tsv")
    parameters = {name or "other chromosomes": {key: value if isinstance(value, (int, float)) else value.tolist()
                                                for key, value in found._asdict().items()}
                  for name, found in smoothers.items()}  # fmt: skip
    stage.record(output / "smoothing.json",
                 {"scan": scan, "introgressed": introgressed, "bundle": folder / "bundle.json"},
                 {"n_iter": n_iter, "seed": seed, "block": smoothing.BLOCK}, held_out=held_out,
                 windows=len(table), overlapping_left_out=len(windows) - len(table), smoothers=parameters)  # fmt: skip
    for row in measured.itertuples():
        stage.say(f"{row.metric} of {row.method}: {row.value:.3f} ({row.low:.3f} to {row.high:.3f})")
    stage.say(f"{len(table):,} windows ({len(windows) - len(table):,} that overlap left out), {len(segments):,} "
              f"segments; measured on {', '.join(held_out)}")  # fmt: skip


def _write_nothing(
    stage: Stage, windows: pd.DataFrame, output: Path, inputs: dict[str, Path], reason: str, held_out: list[str]
) -> None:
    """Write the same files without a row, and the reason."""
    from neanderthal_nlp import smoothing

    header = [*windows.rename(columns=_OUTSIDE).columns, "covered", "moving_average", "alone", "posterior", "viterbi"]
    write_table(pd.DataFrame(columns=header), output / "smooth.tsv")
    write_table(pd.DataFrame(columns=smoothing.COLUMNS), output / "smoothing.tsv")
    write_bed(pd.DataFrame(), output / "segments.bed")
    stage.record(output / "smoothing.json", inputs, {}, held_out=held_out, not_done=reason)
    stage.say(f"not done: {reason}")


def _held_out(windows: pd.DataFrame) -> list[str]:
    """Chromosomes that a bundle was tested on and no window of which it was trained on; haplotypes are theirs."""
    from neanderthal_nlp.intervals import home_chromosome

    home = home_chromosome(windows["chrom"])
    sides = windows.groupby(home)["side"].unique()
    return [str(chrom) for chrom, found in sides.items() if list(found) == ["test"]]


def _read_scan(path: Path, held_out: Sequence[str]) -> pd.DataFrame:
    """A scan, with the names of columns that `_INSIDE` gives; that it is one of the bundle's is checked."""
    from neanderthal_nlp.smoothing import MAX_SCORE

    table = read_table(path, _SCAN).rename(columns=_INSIDE)
    strange = table[table["chrom"].isin(held_out) & (table["seen"] != "held out")]
    if len(strange):
        first = strange.iloc[0]
        raise InputError(f"{path}: {first['chrom']}:{first['start']}-{first['end']}: found seen {first['seen']!r}, "
                         "expected 'held out': the table is of another bundle")  # fmt: skip
    beyond = table[table["score"].abs() > MAX_SCORE]
    if len(beyond):
        first = beyond.iloc[0]
        raise InputError(f"{path}: {first['chrom']}:{first['start']}-{first['end']}: found score {first['score']:g}, "
                         f"expected a number between -{MAX_SCORE:g} and {MAX_SCORE:g}")  # fmt: skip
    return table
