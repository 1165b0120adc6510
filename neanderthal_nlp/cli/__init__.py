"""`neanderthal-nlp`: one subcommand a stage. Arguments in, files out, no logic.

Stages share a folder, `--directory`, in which each finds the files that earlier stages wrote; the workflow calls
them in order.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shlex
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from neanderthal_nlp.cli import (
    article,
    audit,
    deviations,
    fetch,
    haplotypes,
    ladder,
    page,
    predict,
    scan,
    scan_jobs,
    sequences,
    smooth,
    sweep,
)
from neanderthal_nlp.cli.stage import say
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import check_place, keeping

LIFELINE = "NEANDERTHAL_NLP_LIFELINE"
"""Environment variable: the standard input is a pipe whose closing means that the run was ended."""
COSTS = "NEANDERTHAL_NLP_COSTS"
"""Environment variable: a table, TSV, to which each command adds a line that says what it took."""
_NAMELESS = {errno.ENOSPC: "standard output", errno.EBADF: "standard output", errno.ENOENT: "working folder"}
"""What an error is about that names no file: to write to one that is open, or to ask where one is."""
COST_COLUMNS = ("command", "arguments", "seconds", "cpu_seconds", "peak_mib")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="The stages of the article, one command each; they share a folder, --directory, in which each "
                  "finds what earlier ones wrote. `python -m neanderthal_nlp.reproduce` runs them all.")  # fmt: skip
app.add_typer(fetch.app)
app.add_typer(article.app)
app.add_typer(predict.app)
app.add_typer(scan.app)
app.add_typer(scan_jobs.app)
app.add_typer(smooth.app)
app.add_typer(page.app)
audit.app.add_typer(ladder.app)
audit.app.add_typer(sweep.app)
audit.app.add_typer(sequences.app)
audit.app.add_typer(deviations.app)
app.add_typer(audit.app, name="audit", help="What the numbers mean.")
app.command()(audit.null_genome)
app.command()(haplotypes.haplotypes)

_WRITTEN = ("output", "json", "doses", "keep")
_FOLDERS = ("directory", "cache", "work")


class _Command(TyperCommand):
    """A command that writes over no file that it was given; of those that it names, that is told before it begins."""

    def invoke(self, ctx: Any) -> Any:
        given = [value for name, value in ctx.params.items() if name not in (*_WRITTEN, *_FOLDERS)]
        with keeping(path for value in given for path in _files(value)):
            for path in filter(None, map(ctx.params.get, _WRITTEN)):
                check_place(path)
            return super().invoke(ctx)


def _files(value: object) -> Iterator[str]:
    """Files that an option names: itself, each of several, or those in the folder of a bundle."""
    for part in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(part, str | Path) or part == "-":  # standard input
            continue
        if os.path.isfile(part):
            yield str(part)
        elif os.path.isfile(os.path.join(part, "bundle.json")):
            yield from map(str, Path(part).iterdir())


def _keep_inputs(app: typer.Typer) -> None:
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _keep_inputs(group.typer_instance)


_keep_inputs(app)


def end_with_the_run(end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """End this process when the run that started it does, even if that was killed.

    The run holds the writing end of the pipe that is our standard input, and nobody ever writes to it: reading
    returns only when the run is gone. Without this, a killed run would leave stages behind that write into the
    folder which the next run works in.

    Parameters
    ----------
    end : function
        Called, in another thread, when the run is gone.
    """
    if LIFELINE not in os.environ:
        return
    try:
        status = os.fstat(0)
    except OSError:  # no standard input, and so not that pipe
        return
    if stat.S_ISFIFO(status.st_mode) and os.environ[LIFELINE] == str(status.st_ino):
        threading.Thread(target=lambda: (os.read(0, 1), end()), daemon=True).start()


def _note_costs(start: float) -> None:
    """Add what this process took to the table that the environment names, if it names one."""
    if not os.environ.get(COSTS):
        return
    words = sys.argv[1:]
    named = list(takewhile(lambda word: not word.startswith("-"), words[: 2 if words[:1] == ["audit"] else 1]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cells = (" ".join(named), shlex.join(words[len(named) :]), f"{time.perf_counter() - start:.3f}",
             f"{used.ru_utime + used.ru_stime:.3f}", f"{_peak_mib():.1f}")  # fmt: skip
    with open(os.environ[COSTS], "a", encoding="utf-8") as table:
        fcntl.flock(table, fcntl.LOCK_EX)  # stages end at the same time
        if os.fstat(table.fileno()).st_size == 0:
            table.write("\t".join(COST_COLUMNS) + "\n")
        table.write("\t".join(cells) + "\n")


def _peak_mib() -> float:
    """Resident memory of this process at its highest, MiB; pages of files that are mapped into memory count."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("VmHWM:")[1].split()[0]) / 2**10
    except (OSError, IndexError):  # not Linux; what follows may count the memory of the parent, too
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Run the command line; bad input ends it with one line on standard error and status 2."""
    start = time.perf_counter()
    end_with_the_run()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks on the machine are not the user's
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), "neanderthal-nlp")
    try:
        try:
            app()
        finally:
            try:
                _note_costs(start)
            except OSError as error:  # what the command did stands, and so does its own error
                say(name, f"costs not noted: {os.environ[COSTS]}: {error.strerror}")
    except InputError as error:
        say(name, f"error: {error}")
        sys.exit(2)
    except OSError as error:
        file = error.filename or _NAMELESS.get(error.errno or 0)
        if file is None:
            raise
        say(name, f"error: {file}: {error.strerror}")
        sys.exit(2)
