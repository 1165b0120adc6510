"""Running a workflow of this package: one run at a time in a folder, its log, and its end.

Snakemake orders the stages, runs them, and takes up after an interruption. What is added here holds for any
workflow: a lock that a killed run cannot leave behind, and stages that end with the run that started them.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.resources import files
from pathlib import Path
from typing import IO

from neanderthal_nlp import cli
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import check_room, remove, stamp
from neanderthal_nlp.seals import PART, SEALS, keep_seals
from neanderthal_nlp.workflow import cluster

_PATIENCE = 30.0


def command(
    workflow: str,
    directory: Path,
    config: Path,
    targets: Sequence[str],
    *,
    cores: int | None,
    profile: str | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Arguments of the process that runs a workflow of this package, with this interpreter.

    Parameters
    ----------
    workflow : str
        Name of a file beside this module, such as "Snakefile".
    directory : Path
        Folder of the run.
    config : Path
        YAML file of the workflow's `config`.
    targets : sequence of str
        Rules or files.
    cores : int or None
        Cores that jobs may take together, by default all; on a cluster, cores that one job may take, by default as many
        as the profile says.
    profile : str or None
        A cluster: one of `cluster.CLUSTERS`, or a folder with a profile of Snakemake; None: this machine. Where its
        machines share no folder (`cluster.storage`), the workflow is copied into the run's.
    dry_run : bool
        Only say what would run, and why.

    Raises
    ------
    InputError
        There is no such profile, or the environment lacks what it needs.
    """
    program, places = "snakemake", ["--cores", str(cores or os.cpu_count() or 1)]
    snakefile = Path(str(files("neanderthal_nlp.workflow"))) / workflow
    if profile is not None:
        program, places = "neanderthal_nlp.workflow", cluster.arguments(profile, directory, cores)
        stored = cluster.storage(profile)
        if stored and workflow != "Snakefile":
            raise InputError(f"--cluster {profile}: files lie in {stored}, expected a folder that all machines share")
        if stored and not dry_run:
            # What machines that share no folder are sent is taken from below the run's.
            snakefile = Path(shutil.copyfile(snakefile, directory / workflow))
    return [
        sys.executable, "-P", "-m", program, *targets,
        "--snakefile", str(snakefile),
        "--directory", str(directory), "--configfile", str(config), *places,
        # A run locks its folder itself, in a way that a killed run cannot leave behind.
        "--nolock", "--rerun-incomplete",
        *(["--dry-run", "--quiet", "rules"] if dry_run else ["--printshellcmds"]),
    ]  # fmt: skip


@contextmanager
def only_run(directory: Path, folders: Sequence[str], *, profile: str | None = None) -> Iterator[None]:
    """Keep a second run out of the folder for as long as this one, or what a killed one left behind, lives.

    What is written below its folders is sealed (`seals.keep_seals`). What killed processes were writing is removed at
    the beginning and, as jobs may be killed and tried again, at the end.

    Parameters
    ----------
    directory : Path
        Folder of the run; made if it is missing.
    folders : sequence of str
        The run's own folders below it.
    profile : str or None
        A cluster, see `command`; its jobs end with the run, too (`cluster.no_jobs_left`).

    Raises
    ------
    InputError
        A run that lives is at work in the folder, or jobs of a killed one do not end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a+") as lock:
        _acquire(lock, directory)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        os.set_inheritable(lock.fileno(), True)
        with cluster.no_jobs_left(profile, directory) if profile else nullcontext():
            _clear(directory, folders)
            keep_seals(directory, folders)
            yield
        _clear(directory, folders)  # no job lives


def _clear(directory: Path, folders: Sequence[str]) -> None:
    """Remove files and folders that are not complete: right in the folder of a run, and anywhere in its own folders.

    Other folders below it may be those of runs that live.
    """
    within = (path for folder in (*folders, SEALS) for path in (directory / folder).rglob("*.part"))
    for path in [*directory.glob("*.part"), *within]:
        if PART.fullmatch(path.name):
            remove(path)


def _acquire(lock: IO[str], directory: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip()
            # The stages of a killed run end by themselves within moments; a live run is not waited for.
            if _is_alive(owner) or time.monotonic() > deadline:
                raise InputError(f"{directory}: another run (process {owner or 'unknown'}) is at work in it") from None
            time.sleep(0.2)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def unchanged(files: Iterable[str | Path]) -> Iterator[None]:
    """Notice that files of the user's were changed while a run read them.

    Stages that read a file before and after a change would give results of both versions. The next run makes again
    what depends on the file: Snakemake has noted which version a run began with.

    Raises
    ------
    InputError
        On the end: a file has another size or time of change than at the beginning, or is gone.
    """
    before = {str(path): stamp(path) for path in files}
    yield
    for path, version in before.items():
        if stamp(path) != version:
            raise InputError(f"{path}: changed during the run, whose results may be of either version; the same "
                             "command makes again what depends on it")  # fmt: skip


def follow(command: Sequence[str], log: Path, told: re.Pattern[str]) -> int:
    """Run Snakemake with all it prints going to a log, and show on standard error what the stages tell.

    Parameters
    ----------
    command : sequence of str
        See `command`.
    log : Path
        Lines are added to it; the costs of commands go into `costs.tsv` beside it.
    told : pattern
        Matches the start of lines that are shown; an error once, however often its job ran again.

    Returns
    -------
    int
        0 on success, 2 where a stage told of an error of its input, else 1.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C or SIGTERM; every stage has ended by then.
    OSError
        Snakemake failed where nothing more can be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    lifeline, end = os.pipe()
    environment = {
        "PATH": os.defpath,
        **os.environ,
        cli.LIFELINE: str(os.fstat(lifeline).st_ino),
        cli.COSTS: str(log.with_name("costs.tsv")),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # for the Snakemake that a cluster's job calls
    }
    in_main = threading.current_thread() is threading.main_thread()  # the only one that may set handlers
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler) if in_main else None
    errors: set[str] = set()
    try:
        with log.open("ab") as sink:
            start = sink.tell()
            # The pipe's other end is held by this process alone: when it is gone, however it ended, the stages
            # that read it end too, and Snakemake after them. It prints to a file because it could not end while
            # printing to a pipe that nobody reads; a session of its own keeps Ctrl-C from reaching stages twice.
            child = subprocess.Popen(command, stdin=lifeline, stdout=sink, stderr=subprocess.STDOUT, env=environment,
                                     close_fds=False, start_new_session=True)  # fmt: skip
        os.close(lifeline)
        try:
            for line in _lines_until_the_end(log, start, child):
                if told.match(line) and line not in errors:
                    errors |= {line} if ": error: " in line else set()
                    with suppress(BrokenPipeError):  # the run is worth more than its reader
                        print(line, end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            os.close(end)
            end = -1
            child.wait()
            raise
    finally:
        if end >= 0:
            os.close(end)
        if in_main:
            signal.signal(signal.SIGTERM, previous)
    if child.returncode == 0:
        return 0
    if not errors:
        _check_room(log.parent)
        print(f"error: the workflow failed; see {log}", file=sys.stderr)
    return 2 if errors else 1


def _check_room(folder: Path) -> None:
    """Refuse a folder whose disk is full: Snakemake and the stages cannot tell it in their log, which lies there."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as handle:
            check_room(handle.name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def _lines_until_the_end(log: Path, start: int, child: subprocess.Popen[bytes]) -> Iterator[str]:
    """Whole lines of a file, from a place on, as a process writes them, until it has ended and all are read."""
    with log.open(encoding="utf-8", errors="replace") as source:
        source.seek(start)
        unfinished = ""
        while True:
            ended = child.poll() is not None
            for piece in source:
                unfinished += piece
                if unfinished.endswith("\n"):
                    yield unfinished
                    unfinished = ""
            if ended:
                return
            time.sleep(0.1)
