"""What each stage of the article costs, and how that grows with the genome: `make bench-stages`.

The whole article profile runs on stand-in inputs at some sizes, one stage at a time. Sizes are whole chromosomes, those
with the fewest regions first. Given again, the command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import inputs
import numpy as np
import pandas as pd
import table
import yaml
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestClassifier

from neanderthal_nlp.figures.style import DEPLETED, DPI, INTROGRESSED, TWO_COLUMNS, new_figure, spread_apart, styled
from neanderthal_nlp.files import markdown_table, read_table, replacing
from neanderthal_nlp.persistence import load_model
from neanderthal_nlp.profiles import read_profile

COSTS = {"command": str, "arguments": str, "seconds": float, "cpu_seconds": float, "peak_mib": float}
PICTURE = Path(__file__).with_name("growth.png")
_ALL = "**all**"
_NODE = 64  # bytes of a node in scikit-learn's table of a tree, its values aside
SHORTEST = 5.0
"""Processor seconds at the largest size below which a stage is mostly its own start: no exponent and no line."""


def read_costs(path: Path) -> pd.DataFrame:
    """Read what the commands of a run took; see `sum_costs`."""
    return read_table(path, COSTS)


def sum_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """Sum the costs of the commands of each stage.

    Parameters
    ----------
    costs : DataFrame
        `command, arguments, seconds, cpu_seconds, peak_mib`: a row a command in the order of time. Of a command that
        wrote the same output again, with other settings or after a stop, the last row counts.

    Returns
    -------
    DataFrame
        Indexed by `stage`, in the order of their first commands: `seconds`, `cpu_seconds` (sums), `peak_mib` (largest),
        `runs`.
        Models of the audit's ladder are stages by their group ("audit score forest").
    """
    groups, outputs = ([_option(words, name) for words in costs["arguments"]] for name in ("--group", "--output"))
    stage = [f"{command} {group}".strip() for command, group in zip(costs["command"], groups, strict=True)]
    last = costs.assign(stage=stage, output=outputs).drop_duplicates(["stage", "output"], keep="last")
    stages = last.groupby("stage", sort=False)
    return stages.agg(
        seconds=("seconds", "sum"),
        cpu_seconds=("cpu_seconds", "sum"),
        peak_mib=("peak_mib", "max"),
        runs=("seconds", "size"),
    )


def _option(arguments: str, name: str) -> str:
    """Value of an option of a command line; "" without it."""
    words = shlex.split(arguments)
    return words[words.index(name) + 1] if name in words else ""


def extrapolate(stages: pd.DataFrame, shortened: Mapping[str, tuple[int, int, str]]) -> str:
    """Say how long stages would take with the profile's values, at most: their start is multiplied as well.

    Parameters
    ----------
    stages : DataFrame
        What `sum_costs` gave.
    shortened : mapping of str to (int, int, str)
        By stage: how many were run, how many the profile has, and of what ("epochs").
    """
    seconds = stages["seconds"].copy()
    sentences = []
    for stage, (run, wanted, what) in shortened.items():
        if stage in seconds.index and run != wanted:
            seconds[stage] *= wanted / run
            sentences.append(f"{stage}, {wanted} {what} rather than {run}: at most {seconds[stage]:,.0f} s.")
    if sentences:
        sentences.append(f"All stages with these: at most {seconds.sum():,.0f} s.")
    return " ".join(sentences)


def growth_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds on log size: 1 where the time grows as the input does."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def tabulate_growth(runs: Mapping[int, pd.DataFrame], *, shortest: float = SHORTEST) -> pd.DataFrame:
    """Put the sizes of a run side by side.

    Parameters
    ----------
    runs : mapping of int to DataFrame
        By number of windows, in ascending order, what `sum_costs` gave.
    shortest : float
        Processor seconds at the largest size from which an exponent is given.

    Returns
    -------
    DataFrame
        `stage`; for each size processor seconds and peak MiB; for the largest also seconds by the clock; the exponent
        of the processor seconds between the two largest sizes ("" with one size, or for a short stage). Last comes the
        sum of the seconds and the largest peak.
    """
    sizes = list(runs)
    largest = runs[sizes[-1]]
    rows = []
    for stage in [*largest.index, _ALL]:
        row = {"stage": stage}
        here = {n: _row(run, stage) for n, run in runs.items()}
        for n in sizes:
            row[f"{n:,}: CPU s"] = f"{here[n].cpu_seconds:,.0f}" if here[n] is not None else ""
        row["s"] = f"{here[sizes[-1]].seconds:,.0f}"
        for n in sizes:
            row[f"{n:,}: MiB"] = f"{here[n].peak_mib:,.0f}" if here[n] is not None else ""
        known = {n: here[n].cpu_seconds for n in sizes[-2:] if here[n] is not None}
        long = len(known) == 2 and known[sizes[-1]] >= shortest
        row["exponent"] = f"{growth_exponent(list(known), list(known.values())):.2f}" if long else ""
        rows.append(row)
    return pd.DataFrame(rows)


def _row(run: pd.DataFrame, stage: str) -> pd.Series | None:
    """Costs of a stage, or of all of them; None where it was not run."""
    if stage == _ALL:
        return run.agg({"seconds": "sum", "cpu_seconds": "sum", "peak_mib": "max"})
    return run.loc[stage] if stage in run.index else None


@styled
def plot_growth(runs: Mapping[int, pd.DataFrame], *, shortest: float = SHORTEST) -> Figure:
    """Draw processor seconds against windows, a line a stage and a dashed one of slope 1; see `tabulate_growth`."""
    figure = new_figure(TWO_COLUMNS, 110)
    axis = figure.add_subplot()
    sizes = np.array(list(runs), dtype=np.float64)
    last = runs[list(runs)[-1]]["cpu_seconds"]
    shown = last[last >= shortest].sort_values()
    for stage in shown.index:
        seconds = [run["cpu_seconds"].get(stage, np.nan) for run in runs.values()]
        audit = stage.startswith(("audit", "null"))
        axis.plot(sizes, seconds, marker="o", markersize=2.5, color=DEPLETED if audit else INTROGRESSED, linewidth=0.8)
    axis.set(xscale="log", yscale="log", xlabel="windows", ylabel="processor seconds")
    axis.set_xticks(sizes, [f"{n:,.0f}" for n in sizes])
    axis.minorticks_off()
    if len(shown):
        middle = float(np.exp(np.log(shown).mean()))
        axis.plot(sizes, middle * sizes / sizes[-1], linestyle="--", color="0.5", linewidth=0.8)
        low, high = (np.log10(limit) for limit in axis.get_ylim())
        places = 10 ** spread_apart(np.log10(shown), 0.027 * (high - low))
        for stage, place in zip(shown.index, places, strict=True):
            axis.annotate(stage, (sizes[-1], place), xytext=(6, 0), textcoords="offset points", va="center",
                          fontsize=5.5, annotation_clip=False)  # fmt: skip
    axis.set_title("Time of each stage (vermilion: the article, blue: the audit); dashed: in step with the input")
    return figure


@styled
def save_growth(figure: Figure, path: Path) -> None:
    """Save a figure as PNG."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})


def run_workflow(found: inputs.Inputs, folder: Path, settings: Sequence[str], *, cores: int, target: str) -> None:
    """Run the article profile in a folder, one stage at a time; stages that are up to date are left alone.

    Raises
    ------
    subprocess.CalledProcessError
        Snakemake failed; its own words say at which stage.
    """
    config = read_profile("article", ["assembly=null", "synthetic=true", *settings])
    config |= {name: str(getattr(found, name)) for name in ("genome", "introgressed", "genes", "chromsizes")}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "config.yaml") as part:
        part.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    snakefile = files("neanderthal_nlp.workflow") / "Snakefile"
    command = [sys.executable, "-m", "snakemake", target, "--snakefile", str(snakefile),
               "--directory", str(folder), "--configfile", str(folder / "config.yaml"), "--cores", str(cores),
               "--default-resources", "slot=1", "--resources", "slot=1", "--rerun-incomplete",
               "--quiet", "rules"]  # fmt: skip
    environment = {**os.environ, "NEANDERTHAL_NLP_COSTS": str(folder / "costs.tsv")}
    subprocess.run(command, check=True, env=environment)


def describe(arguments: argparse.Namespace, source: str) -> str:
    """Say what the table was measured with."""
    return (
        f"Measured with {arguments.epochs} epoch(s) of the network ({arguments.audit_epochs} on a rung of the audit), "
        f"{arguments.trees} trees and {arguments.cores} cores, one stage at a time. CPU s: processor seconds; s: "
        "by the clock, at the largest size. Memory is the largest resident set of a stage's processes, mapped files "
        "included. Exponents are of the processor seconds between the two largest sizes, for stages of "
        f"{SHORTEST:g} s and more. Inputs: {source}, random letters.\n"
    )


def describe_forest(forest: RandomForestClassifier, *, wanted: int) -> str:
    """Say how much memory the profile's number of trees adds to what was measured with fewer; "" with as many."""
    trees = [tree.tree_ for tree in forest.estimators_]
    if len(trees) >= wanted:
        return ""
    each = sum(tree.node_count * (_NODE + tree.value[0].nbytes) for tree in trees) / len(trees) / 2**20
    return (f"A tree of the forest holds {each:.2f} MiB: {wanted} rather than {len(trees)} add "
            f"{(wanted - len(trees)) * each:,.0f} MiB to what was measured.")  # fmt: skip


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", nargs="+", type=Fraction, default=[Fraction(1, 16), Fraction(1, 4), Fraction(1)],
                        help="shares of the regions, ascending (default: 1/16 1/4 1)")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the network (the profile has 200)")
    parser.add_argument("--audit-epochs", type=int, default=1, help="epochs on a rung of the audit (the profile: 40)")
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                        help="change another value of the profile")  # fmt: skip
    parser.add_argument("--target", default="report", help="rule of the workflow to end with")
    parser.add_argument("--write", action="store_true", help="put table and picture into benchmarks/")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run every size, then print the table and draw the picture."""
    arguments = parse_arguments(argv)
    profile: dict[str, Any] = read_profile("article")
    settings = [f"epochs={arguments.epochs}", f"audit_epochs={arguments.audit_epochs}",
                f"n_estimators={arguments.trees}", *arguments.settings]  # fmt: skip
    trees = arguments.trees, profile["n_estimators"], "trees"
    shortened = {
        "network": (arguments.epochs, profile["epochs"], "epochs"),
        "audit score network": (arguments.audit_epochs, profile["audit_epochs"], "epochs"),
        **dict.fromkeys(("forest", "audit score forest", "audit genes"), trees),
    }
    whole = inputs.write_inputs(inputs.find_folder(), inputs.find_data())
    base = whole.genome.parent / "stages"
    runs, folders = {}, {}
    for share in arguments.shares:
        folder = base / str(share).replace("/", "_")
        found = inputs.write_subset(whole, folder / "inputs" / "bench", share=float(share))
        run_workflow(found, folder, settings, cores=arguments.cores, target=arguments.target)
        n_windows = len(read_table(folder / "results" / "windows.tsv"))
        runs[n_windows] = sum_costs(read_costs(folder / "costs.tsv"))
        folders[n_windows] = folder
    largest = extrapolate(runs[max(runs)], shortened)
    text = f"{markdown_table(tabulate_growth(runs))}\n{describe(arguments, whole.source)}"
    forest = describe_forest(load_model(folders[max(runs)] / "models" / "forest.skops"), wanted=profile["n_estimators"])
    text += f"\nExtrapolated, {max(runs):,} windows: {largest} {forest}\n" if largest else ""
    print(text)
    figure = plot_growth(runs)
    save_growth(figure, base / "growth.png")
    if arguments.write:
        save_growth(figure, PICTURE)
        table.write_between(table.README, "stages", f"{text}\n![processor seconds against windows]({PICTURE.name})")


if __name__ == "__main__":
    main()
