"""A workflow of this package on a cluster: profiles of Snakemake, what each rule asks for, and jobs left behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from neanderthal_nlp.errors import InputError

CLUSTERS = ("slurm", "kubernetes", "aws-batch")
"""Profiles that come with the package; each names the executor of Snakemake of the same name."""
_OWN_EXECUTORS = ("local", "dryrun", "touch")
_PATIENCE = 120.0
_PAUSE = 2.0


class Profile(NamedTuple):
    """A profile of Snakemake: its folder, and what the `config.yaml` in it says."""

    folder: Path
    settings: dict[str, Any]


def needs(rule: str) -> dict[str, Callable[..., int]]:
    """Resources of a rule's jobs, for Snakemake: a failed job asks for as much again at each further attempt.

    Parameters
    ----------
    rule : str
        A rule that `resources.yaml` beside this module names.

    Returns
    -------
    dict
        `mem_mb` (MiB, as SLURM counts) and `runtime` (minutes), each a function of `wildcards` and `attempt`.

    Raises
    ------
    KeyError
        The table has no such rule.
    """
    asked = read_resources()[rule]

    def times_attempt(amount: int) -> Callable[..., int]:
        return lambda wildcards, attempt: amount * attempt

    return {name: times_attempt(amount) for name, amount in asked.items()}


def read_resources() -> dict[str, dict[str, int]]:
    """Read what each rule asks for at its first attempt: `mem_mb`, MiB, and `runtime`, minutes."""
    text = (files("neanderthal_nlp.workflow") / "resources.yaml").read_text("utf-8")
    return {rule: {"mem_mb": memory, "runtime": minutes} for rule, (memory, minutes) in yaml.safe_load(text).items()}


def read_profile(profile: str) -> Profile:
    """Read a profile of Snakemake.

    Parameters
    ----------
    profile : str
        One of `CLUSTERS`, or a folder with a `config.yaml` that names an `executor` and the largest number of `jobs`
        and `cores`.

    Raises
    ------
    InputError
        There is no such profile, it lacks a key or a value, or its executor's plugin is not installed.
    """
    known = profile in CLUSTERS
    folder = Path(str(files("neanderthal_nlp.workflow"))) / "clusters" / profile if known else Path(profile).absolute()
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(f"--cluster {profile}: found no {path}, expected {', '.join(CLUSTERS)}, or a folder with a "
                         "config.yaml")  # fmt: skip
    settings = _read(path)
    executor = settings["executor"]
    if executor not in _OWN_EXECUTORS and find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None:
        what = "'neanderthal_nlp[cluster]'" if executor == "slurm" else f"snakemake-executor-plugin-{executor}"
        raise InputError(f"--cluster {profile}: no executor {executor} in this environment; pip install {what}")
    return Profile(folder, settings)


def _read(path: Path) -> dict[str, Any]:
    try:
        profile = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    for key, kind in (("executor", str), ("jobs", int), ("cores", int)):
        found = profile.get(key) if isinstance(profile, dict) else None
        if not isinstance(found, kind):
            expected = "text" if kind is str else "a whole number"
            raise InputError(f"{path}: {key}: found {found!r}, expected {expected}")
    if open_keys := [key for key, value in profile.items() if "…" in str(value)]:
        raise InputError(f"{path}: {', '.join(open_keys)}: found …, expected a value of yours; fill in a copy of its "
                         "folder and name that")  # fmt: skip
    return dict(profile)


def arguments(profile: str, directory: Path, cores: int | None) -> list[str]:
    """Arguments of Snakemake for a run on a cluster.

    Parameters
    ----------
    profile : str
        See `read_profile`.
    directory : Path
        Folder of the run.
    cores : int or None
        Cores that one job may take; None: as many as the profile says.
    """
    folder, config = read_profile(profile)
    most = str(cores or config["cores"])
    # In a job Snakemake counts the cores of the whole node; the cap holds there, too.
    words = ["--profile", str(folder), "--cores", most, "--max-threads", most]
    return words + (["--slurm-jobname-prefix", _job_prefix(directory)] if config["executor"] == "slurm" else [])


def storage(profile: str) -> str | None:
    """Where files lie, such as "s3://bucket/folder", on a cluster whose machines share no folder; None: they share one.

    Parameters
    ----------
    profile : str
        See `read_profile`.
    """
    config = read_profile(profile).settings
    return str(config.get("default-storage-prefix")) if config.get("default-storage-provider") else None


def _job_prefix(directory: Path) -> str:
    """Start of the names of all jobs of a folder."""
    return f"neanderthal-nlp-{hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]}"


@contextmanager
def no_jobs_left(profile: str, directory: Path) -> Iterator[None]:
    """Cancel what jobs in SLURM's queue an earlier run of the folder left behind, and afterwards those of this one.

    What was killed cannot cancel its jobs, and these would write into the folder that the next run works in. Other
    executors than SLURM's are left alone. Where SLURM does not answer afterwards, that is said on standard error: what
    the run did stands.

    Parameters
    ----------
    profile : str
        See `read_profile`.
    directory : Path
        Folder of the run; its path marks its jobs.

    Raises
    ------
    InputError
        SLURM is not there, does not answer, or does not end a job.
    """
    slurm = read_profile(profile).settings["executor"] == "slurm"
    if slurm:
        _cancel(directory)
    try:
        yield
    finally:
        if slurm:
            try:
                _cancel(directory)
            except InputError as error:
                print(f"jobs of {directory} may be left in the queue: {error}", file=sys.stderr)


def _cancel(directory: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    left = _queued(directory)
    if left:
        _slurm("scancel", *left)
    while left:  # jobs that are ending still write
        if time.monotonic() > deadline:
            raise InputError(f"{directory}: SLURM does not end the jobs {', '.join(left)}, which write into it")
        time.sleep(0.5)
        left = _queued(directory)


def _queued(directory: Path) -> list[str]:
    """Numbers of the folder's jobs that wait, run, or are ending."""
    lines = _slurm("squeue", "--me", "--noheader", "--format=%i %j").splitlines()
    jobs = [line.split(maxsplit=1) for line in lines]
    return [number for number, *name in jobs if "".join(name).startswith(_job_prefix(directory))]


def _slurm(program: str, *words: str) -> str:
    if shutil.which(program) is None:
        raise InputError(f"{program}: not found; a run on SLURM is started where its commands are")
    deadline, told = time.monotonic() + _PATIENCE, False
    while True:
        result = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if result.returncode == 0:
            return result.stdout
        trouble = f"{program}: {' '.join(result.stderr.split()) or f'exit status {result.returncode}'}"
        if time.monotonic() > deadline:  # a busy SLURM lets a call time out now and then
            raise InputError(trouble)
        if not told:
            print(f"{trouble}; asked again for up to {_PATIENCE:.0f} seconds", file=sys.stderr, flush=True)
            told = True
        time.sleep(_PAUSE)
