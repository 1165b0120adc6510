"""Runs that are killed: the next one completes, with the results of a run that nobody disturbed.

`make faults` kills fifty runs and prints a table; an hour or two on two cores. Each kill has a seed of its own, which
chooses how far into which stage it falls and which process it hits. Every rule of the workflow is hit, the network's
training at whole epochs as well, and the run at any moment. `test_faults.py` kills a few of them.

A stage is killed in a copy of the undisturbed run without that stage's outputs and what follows from them; then the
same command runs again.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.files import markdown_table
from neanderthal_nlp.reproduce import STAGES

SIZES = {"chr1": 1_200_000, "chr2": 1_000_000, "chr3": 800_000}
EPOCHS = 6
SMALL = [f"epochs={EPOCHS}", "audit_epochs=1", "n_estimators=10", "n_draws=19", "audit_draws=19", "word2vec_windows=40",
         "sweep_features=40", "sweep_windows=80", "sequence_windows=40", "sequence_epochs=1",
         "sequence_cnn_epochs=1"]  # fmt: skip
VICTIMS = ("stage", "reproduce", "Snakemake", "all")
"""A stage's process; the command's; the one between them; every process of the run at once."""
ANYWHERE, TRAINING = "any moment", "training"
PARTS = ("results", "models", "figures", "inputs", "report.html")
_UNTIL = {"demo": "regions", "evaluation": "linear"}
_PATIENCE = 1800


class Job(NamedTuple):
    """What Snakemake noted of one job of a finished run."""

    rule: str
    command: tuple[str, ...]
    outputs: frozenset[str]
    inputs: frozenset[str]
    seconds: float


class Kill(NamedTuple):
    """One kill: a job, or any moment of a run without `job`, or after `epoch` epochs of the network's training."""

    seed: int
    kind: str
    victim: str
    job: Job | None = None
    epoch: int | None = None


class Process(NamedTuple):
    """A process of a run, as /proc shows it."""

    pid: int
    command: tuple[str, ...]


def make_inputs(folder: Path) -> dict[str, Path]:
    """Small demo data, given to a run as a user's."""
    paths = write_demo(folder, chromsizes=SIZES, n_regions=60, n_genes=30, seed=3)
    return {name: paths[name] for name in ("genome", "introgressed", "genes")}


def command(
    directory: Path, inputs: dict[str, Path], *arguments: str, settings: Sequence[str] = SMALL, cores: int = 2
) -> list[str]:
    """The command of a run."""
    given = [word for name, path in inputs.items() for word in (f"--{name}", str(path))]
    changes = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-P", "-m", "neanderthal_nlp.reproduce", "--directory", str(directory), "--cores",
            str(cores), *given, *changes, *arguments]  # fmt: skip


def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=_PATIENCE, check=False)


def start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command whose messages go to a file, in a session of its own."""
    with log.open("wb") as sink:
        return subprocess.Popen(words, cwd="/", stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)


def read_jobs(directory: Path) -> list[Job]:
    """Jobs of a finished run, from what Snakemake noted of each of its outputs."""
    found: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for path in (directory / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text())
            output = base64.urlsafe_b64decode(path.name).decode()
            if record["shellcmd"]:
                found.setdefault((record["rule"], record["shellcmd"]), []).append((output, record))
    return sorted(
        Job(
            rule,
            tuple(shell.split("neanderthal_nlp.cli ")[1].split()),
            frozenset(output for output, _ in records),
            frozenset(records[0][1]["input"]),
            max(records[0][1]["endtime"] - records[0][1]["starttime"], 1.0),
        )
        for (rule, shell), records in found.items()
    )


def following(job: Job, jobs: Sequence[Job]) -> list[Job]:
    """A job and all that need its outputs, or outputs of those."""
    chosen, made = [job], set(job.outputs)
    while more := [other for other in jobs if other not in chosen and other.inputs & made]:
        chosen += more
        made |= {output for other in more for output in other.outputs}
    return chosen


def without(job: Job, jobs: Sequence[Job], finished: Path, copy: Path) -> None:
    """Copy a finished run as it was before a job."""
    shutil.copytree(finished, copy, copy_function=shutil.copy2)
    gone = {output for other in following(job, jobs) for output in other.outputs}
    for output in gone:
        (copy / output).unlink()
        (copy / ".sealed" / output).unlink(missing_ok=True)
    for path in (copy / ".snakemake" / "metadata").rglob("*"):
        if path.is_file() and base64.urlsafe_b64decode(path.name).decode() in gone:
            path.unlink()


def until(job: Job) -> str:
    """The first stage whose run makes a job's outputs."""
    return job.rule if job.rule in STAGES else _UNTIL.get(job.rule, "audit")


def working_in(directory: Path) -> Iterator[Process]:
    """Processes whose working folder is a run's, or whose command names it."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = tuple((entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
            if str(directory) in words or (entry / "cwd").resolve() == directory.resolve():
                yield Process(int(entry.name), words)
        except OSError:  # gone, or another user's
            continue


def stages_in(directory: Path) -> list[Process]:
    """Processes of stages of a run."""
    return [process for process in working_in(directory) if "neanderthal_nlp.cli" in process.command]


def strike(victim: str, directory: Path, process: subprocess.Popen[bytes], job: Job | None) -> bool:
    """Kill what a kill is aimed at; whether it was there."""
    if victim == "reproduce":
        pids = [process.pid]
    elif victim == "Snakemake":
        pids = [other.pid for other in working_in(directory) if "snakemake" in other.command]
    elif victim == "stage":
        pids = [other.pid for other in stages_in(directory) if job is None or is_of(other, job)]
    else:
        pids = [process.pid, *(other.pid for other in working_in(directory))]
    if process.poll() is not None:
        return False
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(pids)


def is_of(process: Process, job: Job) -> bool:
    """Whether a process is that of a job."""
    return " ".join(job.command[: 2 if job.command[0] == "audit" else 1]) in " ".join(process.command)


def plan(jobs: Sequence[Job], kills: int, seed: int) -> list[Kill]:
    """Kills: a tenth each in the network's training and at any moment; the rest over the rules, each at least once."""
    n_other = max(kills // 10, 1)
    rules = sorted({job.rule for job in jobs})
    rng = random.Random(seed)  # noqa: S311 (no secret)
    aimed = [*rules, *rng.choices(rules, k=max(kills - 2 * n_other - len(rules), 0))]
    made = []
    for number, rule in enumerate(aimed[: kills - 2 * n_other]):
        job = rng.choice([job for job in jobs if job.rule == rule])
        made.append(Kill(rng.randrange(2**32), rule, VICTIMS[number % len(VICTIMS)], job))
    (network,) = (job for job in jobs if job.rule == "network")
    for number in range(n_other):
        made.append(Kill(rng.randrange(2**32), TRAINING, VICTIMS[number % len(VICTIMS)], network,
                         rng.randrange(1, EPOCHS)))  # fmt: skip
        made.append(Kill(rng.randrange(2**32), ANYWHERE, ("reproduce", "Snakemake", "all")[number % 3]))
    return made


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something is so; whether it was before the process ended."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    raise TimeoutError("a run neither ended nor came to the stage to be killed")


def disturb(kill: Kill, words: Sequence[str], directory: Path, log: Path, seconds: float, share: float) -> int | None:
    """Start a run and kill; give its status, or None where it had ended before."""
    process = start(words, log)
    try:
        if kill.epoch is not None:
            there = wait_for(lambda: f"network: epoch {kill.epoch}/" in log.read_text(errors="replace"), process)
        elif kill.job is not None:
            there = wait_for(lambda: any(is_of(other, kill.job) for other in stages_in(directory)), process)
        else:
            there = True
        time.sleep(share * seconds)
        hit = there and strike(kill.victim, directory, process, kill.job)
        if not hit and process.poll() is None:  # too late for its stage: what follows is of no interest
            strike("all", directory, process, None)
        process.wait(_PATIENCE)
        return process.returncode if hit else None
    finally:
        for other in working_in(directory) if process.poll() is None else ():
            os.kill(other.pid, signal.SIGKILL)


def differences(copy: Path, finished: Path, jobs: Sequence[Job], must: frozenset[str]) -> list[str]:
    """Names of outputs that are missing or differ from the undisturbed run's, and of what is left half-written."""
    left = [str(path.relative_to(copy)) for path in copy.rglob("*.part")]
    outputs = sorted(output for job in jobs for output in job.outputs)
    missing = [output for output in outputs if output in must and not (copy / output).exists()]
    other = [output for output in outputs if (copy / output).exists() and not same(copy / output, finished / output)]
    return left + missing + other


def same(path: Path, other: Path) -> bool:
    """Whether two results are the same byte for byte, but for the times that some tell."""
    if path.suffix in (".keras", ".skops"):  # archives that note times and places in memory
        return _members(path) == _members(other)
    if path.suffix == ".json":
        return bool(_timeless(json.loads(path.read_text())) == _timeless(json.loads(other.read_text())))
    return path.read_bytes() == other.read_bytes()


def _members(path: Path) -> list[bytes]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith(".json")]
        return [_content(name, archive.read(name)) for name in names]


def _content(name: str, data: bytes) -> bytes:
    """Bytes of a file without places in memory, which pad the records of a tree and name objects of a network."""
    if name == "config.json":
        return re.sub(rb'"shared_object_id": [0-9]+', b"", data)
    return str(np.load(io.BytesIO(data)).tolist()).encode() if name.endswith(".npy") else data


def _timeless(value: Any) -> Any:
    """JSON without times, and without the digests of archives that note times."""
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("path", "")).endswith((".keras", ".skops")):
        return value["path"]
    return {key: _timeless(item) for key, item in value.items()
            if key != "seconds" and not key.endswith((".keras", ".skops"))}  # fmt: skip


def survive(kill: Kill, inputs: dict[str, Path], finished: Path, jobs: Sequence[Job], folder: Path) -> list[str]:
    """Kill a run and run again; what is wrong then, nothing where all is well."""
    rng = random.Random(kill.seed)  # noqa: S311 (no secret)
    share = rng.random()
    for attempt in range(6):
        copy, log = folder / "run", folder / "log"
        shutil.rmtree(copy, ignore_errors=True)
        stage = until(kill.job) if kill.job else "kmers"
        words = command(copy, {} if kill.kind == "demo" else inputs, "--until", stage)
        seconds = 25.0
        if kill.job is not None:
            without(kill.job, jobs, finished, copy)
            seconds = kill.job.seconds if kill.epoch is None else 0.2
        # A run may go faster than the one whose times are known: it is then killed sooner.
        status = disturb(kill, words, copy, log, seconds, share / 1.7**attempt)
        if status is not None:
            break
    else:
        return ["the run had always ended before it was killed"]
    wrong = []
    if (status == -signal.SIGKILL) != (kill.victim in ("reproduce", "all")) or status == 0:
        wrong.append(f"status {status} after the kill")
    again = run(words)
    if again.returncode:
        return [*wrong, f"status {again.returncode} of the next run", *again.stderr.splitlines()[-3:]]
    if kill.epoch is not None and "network: epoch 1/" in again.stderr:
        wrong.append("training started over")
    must = kill.job.outputs if kill.job else frozenset({"results/kmers.npy", "results/windows.tsv"})
    return wrong + differences(copy, finished, jobs, must)


def table(rows: Sequence[tuple[Kill, list[str]]]) -> str:
    """Kills by what was running and by what was hit, as Markdown: how many of them were survived."""
    kinds = sorted({kill.kind for kill, _ in rows})
    n = Counter((kill.kind, kill.victim) for kill, _ in rows)
    well = Counter((kill.kind, kill.victim) for kill, wrong in rows if not wrong)

    def cell(*keys: tuple[str, str]) -> str:
        total = sum(n[key] for key in keys)
        return f"{sum(well[key] for key in keys)} of {total}" if total else ""

    cells = [[kind, *(cell((kind, victim)) for victim in VICTIMS), cell(*((kind, victim) for victim in VICTIMS))]
             for kind in kinds]  # fmt: skip
    cells.append(["together", *(cell(*((kind, victim) for kind in kinds)) for victim in VICTIMS), cell(*n)])
    return markdown_table(pd.DataFrame(cells, columns=["killed during", *VICTIMS, "survived"]))


def undisturbed(folder: Path, inputs: dict[str, Path], *arguments: str) -> Path:
    """A run that nobody disturbs."""
    result = run(command(folder, inputs, *arguments))
    if result.returncode:
        raise RuntimeError(f"the undisturbed run failed: {result.stderr}")
    return folder


def main() -> int:
    """Kill runs and print the table; 1 where one was not survived."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the undisturbed runs here, or take them from here")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kept = arguments.folder or folder
        inputs = make_inputs(kept / "data")
        own = undisturbed(kept / "demo", {}, "--until", "regions")
        finished = undisturbed(kept / "finished", inputs)
        demo = [job for job in read_jobs(own) if job.rule == "demo"]
        jobs = read_jobs(finished)
        kills = plan([*demo, *jobs], arguments.kills, arguments.seed)
        for number, kill in enumerate(kills, start=1):
            of_demo = kill.kind == "demo"
            known = read_jobs(own) if of_demo else jobs
            wrong = survive(kill, inputs, own if of_demo else finished, known, folder)
            rows.append((kill, wrong))
            epoch = "" if kill.epoch is None else f", epoch {kill.epoch}"
            print(f"{number}/{len(kills)}: {kill.kind}{epoch}, {kill.victim} (seed {kill.seed}): "
                  f"{'; '.join(wrong) or 'survived'}", file=sys.stderr, flush=True)  # fmt: skip
    print(table(rows), end="")
    return int(any(wrong for _, wrong in rows))


if __name__ == "__main__":
    sys.exit(main())
