"""Scanning the genomes of a sheet: the front door of the workflow scan.smk."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from neanderthal_nlp import __version__
from neanderthal_nlp.cli.scan import GENE_TRACK, TABLE, TRACKS, Settings
from neanderthal_nlp.cli.stage import say
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import check_place, keeping, read_json, sha256, stamp, write_json, write_table
from neanderthal_nlp.seals import SEALS, check_seal
from neanderthal_nlp.sheet import WORK, Entry, read_sheet

_TOLD = re.compile(r"scan: |scan-\w+: error: ")  # what a genome's last job says, and what is wrong with a genome
_ALL = (TABLE, *TRACKS, GENE_TRACK)
_COUNTED = ("total", "introgressed", "depleted")  # in calls.json
_CHANGED = ("it, its regions, the genes or the bundle changed during the scan, so that its files may be of either "
            "version; the same command scans it anew")  # fmt: skip


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
        0, or 2 where a genome could not be scanned, changed meanwhile, or has damaged results; each is told of by its
        line in the sheet.

    Raises
    ------
    InputError
        Of the sheet, the bundle, the prior or the cluster; or another run is at work in the folder.
    """
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.predict import check_prior
    from neanderthal_nlp.workflow import driver

    entries, output = read_sheet(sheet), output.absolute()
    settings = settings._replace(
        bundle=settings.bundle.absolute(),
        genes=settings.genes and settings.genes.absolute(),
        cache=settings.cache and settings.cache.absolute(),
    )
    bundle = read_bundle(settings.bundle)
    check_prior(bundle, settings.prior)
    _check_places(entries, output)
    try:
        with driver.only_run(output, [WORK, *(entry.name for entry in entries)], profile=cluster):
            config = _configure(entries, output, settings)
            _forget(config["genomes"], output)
            _run(config, output, cores, cluster)
            now = _configure(entries, output, settings)["genomes"]
            _forget(now, output)
            changed = {name for name, about in now.items() if about["key"] != config["genomes"][name]["key"]}
            failed = _sum_up(sheet, entries, output, config["files"], changed)
    except KeyboardInterrupt:
        say("scan", "interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    if bundle.synthetic:
        say("scan", f"the bundle {bundle.name} was trained on a made-up genome: it says nothing about human DNA")
    say("scan", f"{len(entries) - failed:,} of {len(entries):,} genomes scanned; genomes.tsv in {output}")
    return 2 if failed else 0


def _check_places(entries: Sequence[Entry], output: Path) -> None:
    """Refuse a sheet some of whose genomes or regions lie where results would take their place."""
    files = [Path(named) for entry in entries for named in (entry.genome, entry.regions) if named]
    with keeping(files):
        for name in ("genomes.tsv", *(f"{entry.name}/{file}" for entry in entries for file in _ALL)):
            check_place(output / name)


def _run(config: Mapping[str, Any], output: Path, cores: int | None, cluster: str | None) -> None:
    """Run the workflow: indexes first, then what is told from them."""
    from neanderthal_nlp.workflow import driver

    genomes, path, log = config["genomes"], output / WORK / "config.json", output / "logs/scan.log"
    for name in genomes:
        (output / WORK / name / "error.txt").unlink(missing_ok=True)
    for target in ("indexes", "scans"):
        if target == "scans":
            n_all, genomes = len(genomes), _indexed(genomes, output)
            say("scan", f"{n_all:,} genomes in {sum(about['parts'] for about in genomes.values()):,} parts")
        if genomes:
            write_json({**config, "genomes": genomes}, path)
            # Others go on where one fails. The default scheduler weighs every job that waits against all others.
            # Retries that a rule names would be those of the Snakemake inside a cluster's job, too.
            command = [*driver.command("scan.smk", output, path, [target], cores=cores, profile=cluster),
                       "--keep-going", "--retries", "2", "--scheduler", "greedy"]  # fmt: skip
            driver.follow(command, log, _TOLD)


def _configure(entries: Sequence[Entry], output: Path, settings: Settings) -> dict[str, Any]:
    """What the workflow is told: options of its jobs, and keys that change with what the results are made from."""
    bundle = sha256(settings.bundle / "bundle.json")
    cache = settings.cache or output / WORK / "cache"
    scoring = _options({"--bundle": settings.bundle, "--prior": settings.prior})
    genomes = {}
    for entry in entries:
        index_options = _options({"--regions": entry.regions or None, "--job-size": settings.job_size})
        regions = _identity(Path(entry.regions)) if entry.regions and Path(entry.regions).is_file() else None
        index_key = _digest([_identity(entry.genome), index_options, regions, __version__])
        part_key = _digest([index_key, bundle, settings.step, settings.prior])
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
    """Place, size and time of change of a file, which may be gone by now."""
    return [str(path), stamp(path)]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _forget(genomes: Mapping[str, Mapping[str, Any]], output: Path) -> None:
    """Remove what jobs left of other genomes and settings, or what is damaged; results stay until others are there."""
    for name, about in genomes.items():
        for work in (output / WORK / name, output / SEALS / WORK / name):
            for path in (*work.glob("parts*.json"), *work.glob("*.tsv")):
                if path.name.split(".")[1] not in (about["index_key"], about["part_key"]):
                    path.unlink()
        calls = output / WORK / name / "calls.json"
        if _read_note(calls, *_COUNTED).get("key") != about["key"]:
            calls.unlink(missing_ok=True)
        _read_note(_count(name, about, output), "parts")


def _count(name: str, about: Mapping[str, Any], output: Path) -> Path:
    return output / WORK / name / f"parts.{about['index_key']}.json"


def _read_note(path: Path, *numbers: str) -> dict[str, Any]:
    """What a job noted, numbers among it; a damaged note is removed, so that it is made anew, and says nothing."""
    try:
        note = read_json(path) if path.exists() else {}
    except InputError:
        note = {}
    if all(isinstance(note.get(name), int) for name in numbers):
        return note
    path.unlink(missing_ok=True)
    return {}


def _indexed(genomes: Mapping[str, dict[str, Any]], output: Path) -> dict[str, dict[str, Any]]:
    """Genomes that have an index, with the number of their parts."""
    notes = {name: _read_note(_count(name, about, output), "parts") for name, about in genomes.items()}
    return {name: {**genomes[name], "parts": note["parts"]} for name, note in notes.items() if note}


def _sum_up(
    sheet: Path, entries: Sequence[Entry], output: Path, files: Sequence[str], changed: AbstractSet[str]
) -> int:
    """Write genomes.tsv, and tell of the genomes that have no results, or damaged ones; the number of those."""
    rows, failed = [], 0
    for entry in entries:
        row: dict[str, Any] = {"name": entry.name, "genome": entry.given}
        trouble = _CHANGED if entry.name in changed else _find_trouble(entry.name, output, files)
        if trouble is None:
            calls = read_json(output / WORK / entry.name / "calls.json")
            n = [calls[name] for name in _COUNTED]
            row |= {"windows": n[0], "introgressed": n[1], "depleted": n[2], "other": n[0] - n[1] - n[2]}
        else:
            failed += 1
            say("scan", f"error: {sheet}: line {entry.line}: {entry.name}: {trouble}")
        rows.append(row)
    counts = ["windows", "introgressed", "depleted", "other"]
    table = pd.DataFrame(rows, columns=["name", "genome", *counts])
    write_table(table.astype(dict.fromkeys(counts, "Int64")), output / "genomes.tsv")  # empty where it failed
    return failed


def _find_trouble(name: str, output: Path, files: Sequence[str]) -> str | None:
    """Why a genome has no results that can be relied on, or None. What a scan of a refused one left is removed."""
    work, folder, log = output / WORK / name, output / name, output / "logs/scan.log"
    note = work / "error.txt"
    if note.exists():
        for file in _ALL:  # of a genome that was here before; what has no seal may be the user's
            if (seal := output / SEALS / name / file).exists():
                (folder / file).unlink(missing_ok=True)
                seal.unlink()
        left = [file for file in _ALL if (folder / file).exists()]
        return note.read_text(encoding="utf-8") + (f"; not of it: {', '.join(left)} in {folder}" if left else "")
    there = [file for file in files if (folder / file).exists()]
    if not (work / "calls.json").exists():  # see `_forget`
        return f"failed; see {log}" + (f"; the files in {folder} are of an earlier scan" if there else "")
    if missing := [file for file in files if file not in there]:
        return f"failed; see {log}; found no {', '.join(missing)} in {folder}"
    try:
        for file in files:
            check_seal(folder / file)
    except InputError as error:
        return str(error)
    return None
