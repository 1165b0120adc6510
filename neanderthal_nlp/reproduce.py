"""`python -m neanderthal_nlp.reproduce`: the whole article in one command.

The front door of the Snakemake workflow: it checks the arguments, runs the stages that are not up to date, and
prints the ledger of the article's claims.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from neanderthal_nlp import inputs
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.cli.fetch import obtain
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table, replacing
from neanderthal_nlp.genes import read_predictions
from neanderthal_nlp.intervals import read_bed, read_chromsizes
from neanderthal_nlp.parameters import PROTOCOLS
from neanderthal_nlp.profiles import INPUTS, read_profile
from neanderthal_nlp.seals import FOLDERS
from neanderthal_nlp.workflow import cluster, driver

STAGES = (
    "regions", "windows", "kmers", "split", "network", "forest", "linear", "genes", "embeddings", "intersections",
    "audit", "bundle", "figures", "claims", "report",
)  # fmt: skip
"""Stages in their order; each is a rule of the workflow and a command, or a group of both, of `neanderthal-nlp`."""
_FILES = (*INPUTS, "chromsizes", "gaps", "split_file", "published_genes")
_MADE = ("results", "models", "figures", "inputs/null")
_HELPERS = ("demo", "evaluation", "null-genome")
_TOLD = re.compile(rf"({'|'.join((*STAGES, *_HELPERS))})( [a-z-]+)?: ")
_TOLD_OF_JOBS = re.compile(rf"{_TOLD.pattern}|\d+ of \d+ steps")  # what a job prints is seen here if it fails


def main(argv: Sequence[str] | None = None) -> int:
    """Run the workflow.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the command line.

    Returns
    -------
    int
        0 on success, 2 on bad input or arguments, 130 when interrupted, 1 on anything else.
    """
    arguments = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # the ledger is more than ASCII, some terminals are not
    try:
        return _reproduce(arguments, _configure(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody listens: not an error of ours
        return 0
    except OSError as error:
        print(f"error: {error.filename or arguments.directory or 'working folder'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m neanderthal_nlp.reproduce",
        description="The whole article in one command.",
        epilog="Without options: the embedded synthetic demo. --profile article: the article's own data, fetched where "
        "they are not there yet. With data of your own: --profile article --genome hg19.2bit --introgressed calls.bed "
        "--genes refGene.txt.gz",
    )
    parser.add_argument("--profile", default="demo", help="demo (embedded synthetic data), article, or a YAML file")
    parser.add_argument("--directory", type=Path, help="folder of the run (default: runs/PROFILE)")
    parser.add_argument("--cores", type=int, help="cores to use (default: all); with --cluster: of one job at most")
    parser.add_argument("--cluster", metavar="PROFILE", help="run the stages as jobs of a cluster: "
                        f"{', '.join(cluster.CLUSTERS)}, or a folder with a profile of Snakemake")  # fmt: skip
    parser.add_argument(
        "--until",
        choices=STAGES,
        metavar="STAGE",
        help=f"run the stages up to and including this one, in the order {', '.join(STAGES)}",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which stages would run, and why")
    parser.add_argument("--genome", type=Path, help="genome: FASTA (plain, bgzip, gzip) or 2bit")
    parser.add_argument("--introgressed", type=Path, help="introgressed regions: BED")
    parser.add_argument("--genes", type=Path, help="genes: refGene, GTF, GFF3, BED or chrom:start-end<TAB>symbol")
    parser.add_argument("--chromsizes", type=Path, help="chromosome sizes, where the genome file is only a part")
    parser.add_argument("--gaps", type=Path, help="BED of gaps that the draws of the gene test keep clear of")
    parser.add_argument("--published-genes", type=Path, help="published table of predictions, to be audited as well")
    parser.add_argument("--data-dir", type=Path, help="folder of the article's data, used for what is not given "
                        "(default: $NEANDERTHAL_NLP_DATA_DIR, else the user's data folder)")  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="do not ask before a large download")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="split of the models (default: article, as published)")
    parser.add_argument("--split-file", type=Path, help="manifest of a split to use instead")
    parser.add_argument("--as-published", action="store_true", help="do literally what the published code does")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                        help="change a value of the profile, such as epochs=10")  # fmt: skip
    return parser


def _configure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The profile with the command line's changes; paths become absolute."""
    if arguments.cores is not None and arguments.cores < 1:
        raise InputError(f"--cores {arguments.cores}: expected 1 or more")
    config = read_profile(arguments.profile, arguments.settings)
    if arguments.as_published:
        config["as_published"] = True
    if arguments.protocol:
        config["protocol"] = arguments.protocol
    for name in _FILES:
        path = getattr(arguments, name)
        if path is not None:
            config[name] = str(path)
        if config.get(name):
            config[name] = _checked(name, config[name])
    if arguments.profile == "article" and config["assembly"] == "hg19" and not config["chromsizes"]:
        # The article's files are of hg19, and that the genome is, too, is checked only then.
        config |= _fetch([name for name in INPUTS if not config.get(name)], arguments)
    missing = [name for name in INPUTS if not config.get(name)]
    if missing and not (config["synthetic"] and len(missing) == len(INPUTS)):
        raise InputError(f"--{', --'.join(missing)}: missing (genome, introgressed regions and genes are given "
                         "together; only the demo profile brings its own)")  # fmt: skip
    # Whoever brings data of their own under the demo profile means its small settings, not its synthetic data.
    config["synthetic"] = bool(missing)
    if not missing:
        # Read here too, so that a bad file is told of before anything of an earlier run is replaced.
        read_bed(config["introgressed"])
        read_genes(config["genes"])
    for name, read in (("gaps", read_bed), ("chromsizes", read_chromsizes), ("published_genes", read_predictions)):
        if config.get(name):
            read(config[name])
    return config


def _checked(name: str, path: str) -> str:
    """The path of a file as the workflow takes it."""
    flag, place = f"--{name.replace('_', '-')}", _absolute(path)
    if not place.exists() or place.is_dir():
        raise InputError(f"{flag} {place}: no such file")
    if set(str(place)) & set("{}"):
        raise InputError(f"{flag} {place}: a path with a brace cannot be used (the workflow means wildcards by them)")
    return str(place)


def _fetch(names: Sequence[str], arguments: argparse.Namespace) -> dict[str, str]:
    """The article's own files for inputs that were not given; a dry run downloads nothing."""
    if not names:
        return {}
    folder = inputs.data_folder(arguments.data_dir)
    paths = obtain([inputs.ARTICLE[name] for name in names], folder, yes=arguments.yes, offline=arguments.dry_run)
    return {name: _checked(name, str(paths[inputs.ARTICLE[name]])) for name in names}


def _directory(arguments: argparse.Namespace) -> Path:
    default = Path("runs") / Path(arguments.profile).stem
    return _absolute(arguments.directory or default)


def _absolute(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}") from None


def _refuse_results(config: dict[str, Any], directory: Path) -> None:
    """Refuse inputs that lie where the run keeps its results: what makes a file again removes it first."""
    for name in _FILES:
        path = config.get(name)
        if path and any(Path(path).resolve().is_relative_to((directory / made).resolve()) for made in _MADE):
            raise InputError(f"--{name.replace('_', '-')} {path}: found it where the run in {directory} keeps its "
                             "results, which it may remove; expected a file elsewhere, such as a copy")  # fmt: skip


def _reproduce(arguments: argparse.Namespace, config: dict[str, Any]) -> int:
    directory = _directory(arguments)
    until = arguments.until or STAGES[-1]
    targets = list(STAGES[: STAGES.index(until) + 1])
    if "linear" in targets:
        targets.append("evaluation")
    _refuse_results(config, directory)
    with ExitStack() as stack:
        if arguments.dry_run:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            directory = directory if directory.is_dir() else place
        else:
            place = directory
            stack.enter_context(driver.only_run(directory, FOLDERS, profile=arguments.cluster))
        with replacing(place / "config.yaml") as part:
            part.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        command = driver.command("Snakefile", directory, place / "config.yaml", targets, cores=arguments.cores,
                                 profile=arguments.cluster, dry_run=arguments.dry_run)  # fmt: skip
        if arguments.dry_run:
            return subprocess.run(command, check=False).returncode
        told = _TOLD_OF_JOBS if arguments.cluster else _TOLD
        with driver.unchanged(config[name] for name in _FILES if config.get(name)):
            status = driver.follow(command, directory / "logs" / "reproduce.log", told)
    stored = cluster.storage(arguments.cluster) if arguments.cluster else None
    if status == 0 and stored:
        print(f"results, models, figures, report: {stored}")
    elif status == 0:
        _report(directory, config, finished=until == STAGES[-1])
    return status


def _report(directory: Path, config: dict[str, Any], *, finished: bool) -> None:
    if finished:
        print(render_ledger(directory / "results" / "claims.tsv", synthetic=config["synthetic"]))
    for name, what in (("results", "tables"), ("models", "models"), ("figures", "figures"), ("report.html", "report")):
        if (directory / name).exists():
            print(f"{what:8} {directory / name}")


def render_ledger(path: Path, *, synthetic: bool) -> str:
    """The claims table as text, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="The article's claims", title_justify="left", pad_edge=False, show_lines=True)
    table.add_column("§")
    for name, ratio in (("claim", 5), ("published", 3), ("reproduced", 6), ("what it means", 5), ("control", 6)):
        table.add_column(name, ratio=ratio)
    columns = ["section", "sentence", "published", "reproduced", "meaning", "control"]
    for row in read_table(path, dict.fromkeys(columns, str))[columns].to_numpy():
        table.add_row(*row)
    width = max(100, min(shutil.get_terminal_size((140, 24)).columns, 160))
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
        if synthetic:
            console.print("Synthetic demo data: a verdict here says whether the pipeline finds what was planted, "
                          "nothing about Neanderthals.")  # fmt: skip
    return capture.get()


if __name__ == "__main__":
    sys.exit(main())
