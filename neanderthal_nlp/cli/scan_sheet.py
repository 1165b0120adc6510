"""Scanning the genomes of a sheet: the front door of the workflow scan.smk."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import typer

from neanderthal_nlp import __version__
from neanderthal_nlp.cli.scan import GENE_TRACK, TABLE, TRACKS
from neanderthal_nlp.cli.stage import say
from neanderthal_nlp.files import read_json, sha256, write_json, write_table
from neanderthal_nlp.seals import PART
from neanderthal_nlp.sheet import WORK, Entry, read_sheet

_TOLD = re.compile(r"scan: |scan-\w+: error: ")  # what a genome's last job says, and what is wrong with a genome


class Settings(NamedTuple):
    """How each genome is scanned: the options of `scan`, paths absolute."""

    bundle: Path
    step: int | None
    prior: float
    genes: Path | None
    job_size: int
    cache: Path | None


def scan_sheet(sheet: Path, output: Path, settings: Settings, *, cores: int | None, cluster: str | None) -> int:
    """Scan the genomes of a sheet as jobs of a workflow, each into a folder of its name, and sum up in genomes.tsv.

    What is done already is not done again. A genome that cannot be scanned does not keep the others from it.

    Parameters
    ----------
    sheet : Path
        See `sheet.read_sheet`.
    output : Path
        Folder of the genomes' folders.
    settings : Settings
    cores : int or None
        Jobs at once; None: as many as there are cores.
    cluster : str or None
        Where jobs run; see `workflow.driver.command`.

    Returns
    -------
    int
        0, or 2 where a genome could not be scanned; each is told of by its line in the sheet.

    Raises
    ------
    InputError
        Of the sheet, the bundle, the prior or the cluster; or another run is at work in the folder.
    """
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.predict import check_prior
    from neanderthal_nlp.workflow import driver

    entries, output = read_sheet(sheet), output.absolute()
    bundle = read_bundle(settings.bundle)
    check_prior(bundle, settings.prior)
    try:
        with driver.only_run(output, [WORK, *(entry.name for entry in entries)], profile=cluster):
            keys = _run(entries, output, settings, cores, cluster)
            _remove_halves(output)
            failed = _sum_up(sheet, entries, output, keys)
    except KeyboardInterrupt:
        say("scan", "interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    if bundle.synthetic:
        say("scan", f"the bundle {bundle.name} was trained on a made-up genome: it says nothing about human DNA")
    say("scan", f"{len(entries) - failed:,} of {len(entries):,} genomes scanned; genomes.tsv in {output}")
    return 2 if failed else 0


def _run(
    entries: Sequence[Entry], output: Path, settings: Settings, cores: int | None, cluster: str | None
) -> dict[str, str]:
    """Run the workflow; what each genome's results are to be made from, as keys."""
    from neanderthal_nlp.workflow import driver

    config, path, log = _configure(entries, output, settings), output / WORK / "config.json", output / "logs/scan.log"
    keys = {name: about["key"] for name, about in config["genomes"].items()}
    for entry in entries:
        (output / WORK / entry.name / "error.txt").unlink(missing_ok=True)
    for target in ("indexes", "scans"):
        if target == "scans":
            config["genomes"] = _indexed(config["genomes"], output)
            n = sum(about["parts"] for about in config["genomes"].values())
            say("scan", f"{len(entries):,} genomes in {n:,} parts")
        if config["genomes"]:
            write_json(config, path)
            # Others go on where one fails. The default scheduler weighs every job that waits against all others.
            # Retries that a rule names would be those of the Snakemake inside a cluster's job, too.
            command = [*driver.command("scan.smk", output, path, [target], cores=cores, profile=cluster),
                       "--keep-going", "--retries", "2", "--scheduler", "greedy"]  # fmt: skip
            driver.follow(command, log, _TOLD)
    return keys


def _configure(entries: Sequence[Entry], output: Path, settings: Settings) -> dict[str, Any]:
    """What the workflow is told: options of its jobs, and keys that change with what the results are made from."""
    bundle = sha256(settings.bundle / "bundle.json")
    cache = settings.cache or output / WORK / "cache"
    scoring = _options({"--bundle": settings.bundle, "--prior": settings.prior})
    genomes = {}
    for entry in entries:
        index_options = _options({"--regions": entry.regions or None, "--job-size": settings.job_size})
        regions = _identity(Path(entry.regions)) if entry.regions and Path(entry.regions).is_file() else None
        index_key = _digest([_identity(entry.genome), regions, __version__])
        part_key = _digest([index_key, index_options, bundle, settings.step, settings.prior])
        genomes[entry.name] = {
            "genome": str(entry.genome),
            "index_options": index_options,
            "index_key": index_key,
            "part_options": f"{index_options} {scoring} {_options({'--step': settings.step})}",
            "part_key": part_key,
            "key": _digest([part_key, settings.genes and _identity(settings.genes)]),
        }
    return {
        "genomes": genomes,
        "cache": str(cache),
        "merge_options": f"{scoring} {_options({'--genes': settings.genes})}",
        "files": [TABLE, *TRACKS, *([GENE_TRACK] if settings.genes else [])],
    }


def _options(values: Mapping[str, object]) -> str:
    """Options as a shell reads them, without those that have no value."""
    return " ".join(f"{name} {shlex.quote(str(value))}" for name, value in values.items() if value is not None)


def _identity(path: Path) -> list[Any]:
    """Place, size and time of change of a file."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _indexed(genomes: Mapping[str, dict[str, Any]], output: Path) -> dict[str, dict[str, Any]]:
    """Genomes that have an index, with the number of their parts."""
    places = {name: output / WORK / name / "parts.json" for name in genomes}
    return {
        name: {**genomes[name], "parts": read_json(place)["parts"]} for name, place in places.items() if place.exists()
    }


def _remove_halves(output: Path) -> None:
    """Remove what killed workers were writing."""
    for path in output.rglob("*.part"):
        if PART.fullmatch(path.name):
            path.unlink()


def _sum_up(sheet: Path, entries: Sequence[Entry], output: Path, keys: Mapping[str, str]) -> int:
    """Write genomes.tsv, and tell of the genomes that have no results; the number of those."""
    rows, failed = [], 0
    for entry in entries:
        work = output / WORK / entry.name
        calls = read_json(work / "calls.json") if (work / "calls.json").exists() else {}
        row: dict[str, Any] = {"name": entry.name, "genome": entry.given}
        if calls.get("key") == keys[entry.name]:
            n = calls["total"], calls["introgressed"], calls["depleted"]
            row |= {"windows": n[0], "introgressed": n[1], "depleted": n[2], "other": n[0] - n[1] - n[2]}
        else:
            failed += 1
            for name in (TABLE, *TRACKS, GENE_TRACK):  # results of another genome or bundle are not this one's
                (output / entry.name / name).unlink(missing_ok=True)
            note = work / "error.txt"
            reason = note.read_text(encoding="utf-8") if note.exists() else f"failed; see {output / 'logs/scan.log'}"
            say("scan", f"error: {sheet}: line {entry.line}: {entry.name}: {reason}")
        rows.append(row)
    counts = ["windows", "introgressed", "depleted", "other"]
    table = pd.DataFrame(rows, columns=["name", "genome", *counts])
    write_table(table.astype(dict.fromkeys(counts, "Int64")), output / "genomes.tsv")  # empty where it failed
    return failed
