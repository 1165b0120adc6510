"""Fetching the real inputs into the data folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from neanderthal_nlp.cli.stage import say
from neanderthal_nlp.errors import InputError

if TYPE_CHECKING:
    from neanderthal_nlp.inputs import Input, Status

app = typer.Typer()

MUCH = 100_000_000
"""Bytes above which a download is asked about first."""


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Inputs (default: those of the article profile).")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to fetch into (default: $NEANDERTHAL_NLP_DATA_DIR, else the user's data folder)."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only say whether all is there.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the inputs, all without a NAME; fetch none. Into a pipe or file: TSV.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a large download.")] = False,
) -> None:
    """Fetch the real inputs, whole and as published; goes on where a stopped download was."""
    from neanderthal_nlp import inputs

    folder = inputs.data_folder(data_dir)
    if listing:
        sources = [inputs.look_up(name) for name in dict.fromkeys(names or inputs.REGISTRY)]
        if sys.stdout is None:
            raise InputError("--list: found standard output closed, expected it open")
        for line in (_overview if sys.stdout.isatty() else _table)(sources, folder):
            typer.echo(line)
    else:
        obtain(names or inputs.ARTICLE.values(), folder, yes=yes, offline=offline)


def obtain(names: Iterable[str], folder: Path, *, yes: bool, offline: bool = False) -> dict[str, Path]:
    """Make sure that inputs are in a folder: say what is there, ask before much is downloaded, and fetch the rest.

    One that cannot be fetched does not keep the others from it: each is told of when all have been tried.

    Returns
    -------
    dict of str to Path
        The files by name.

    Raises
    ------
    InputError
        A name is unknown, the download was declined or there is no terminal to ask on, or inputs cannot be fetched.
    """
    from neanderthal_nlp import download, inputs

    sources = [inputs.look_up(name) for name in dict.fromkeys(names)]  # all, before any file is read
    found = [(source, inputs.inspect(source, folder)) for source in sources]
    missing = [(source, status) for source, status in found if status.state is not inputs.State.complete]
    for source, status in found:
        say("fetch", f"{source.name}: {_amount(source.size or status.n_bytes or None)}, {_words(status)}")
    if missing and not offline:
        _agree(missing, folder, yes=yes)
    failures: dict[str, InputError] = {}
    pauses: Sequence[float] = download.PAUSES
    for source, _ in missing:
        try:
            _fetch(source, folder, offline=offline, pauses=pauses)
        except InputError as error:
            failures[source.name] = error
            if isinstance(error, download.UnreachableError):
                pauses = ()  # waited for a network once: the others are tried without
    if failures:
        raise _failure(failures, len(found), folder, offline=offline)
    if not missing:
        say("fetch", f"all there, in {folder}")
    return {source.name: folder / source.name for source in sources}


def _failure(failures: Mapping[str, InputError], n_inputs: int, folder: Path, *, offline: bool) -> InputError:
    """Give one error for what could not be fetched; where that is more than one input, tell of each on its own line."""
    from neanderthal_nlp.inputs import DATA_DIR

    advice = f"or copy what is missing to {folder} from elsewhere, or name another folder (--data-dir or {DATA_DIR})"
    if len(failures) == 1:
        return InputError(f"{next(iter(failures.values()))}; {advice}")
    for error in failures.values():
        say("fetch", f"error: {error}")
    return InputError(f"{len(failures)} of {n_inputs} inputs not there{', and offline' if offline else ''} "
                      f"({', '.join(failures)}): get each as said above, {advice}")  # fmt: skip


def _fetch(source: Input, folder: Path, *, offline: bool, pauses: Sequence[float]) -> None:
    from rich import progress as bars
    from rich.console import Console

    from neanderthal_nlp import inputs

    console = Console(stderr=True)
    columns = (bars.TextColumn("fetch: {task.description}"), bars.BarColumn(), bars.DownloadColumn(),
               bars.TransferSpeedColumn(), bars.TimeRemainingColumn())  # fmt: skip
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(source.name, total=source.size)
        path = inputs.fetch(
            source,
            folder,
            offline=offline,
            progress=lambda n_bytes, total: shown.update(task, completed=n_bytes, total=total),
            report=lambda line: say("fetch", line),
            pauses=pauses,
        )
    say("fetch", f"{path}: complete ({source.citation})")


def _agree(missing: Iterable[tuple[Input, Status]], folder: Path, *, yes: bool) -> None:
    """Say how much is going to be downloaded, and ask where that is much."""
    to_come = {source.name: _missing_bytes(source, status) for source, status in missing if not source.by_hand}
    n_bytes = sum(number or 0 for number in to_come.values())
    unknown = [name for name, number in to_come.items() if number is None]
    what = " and ".join([*([_amount(n_bytes)] if n_bytes else []), *unknown])
    if what:
        say("fetch", f"to download: {what}, into {folder}")
    if n_bytes <= MUCH or yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise InputError(f"{what} to download, and no terminal to ask on: expected --yes")
    try:
        typer.confirm("fetch: go on?", abort=True, err=True)
    except typer.Abort:
        raise InputError("nothing fetched, as you wish") from None


def _missing_bytes(source: Input, status: Status) -> int | None:
    from neanderthal_nlp.inputs import State

    if status.state is State.unrecorded:
        return 0
    if source.size is None:
        return None
    return source.size - (status.n_bytes if status.state is State.partial else 0)


def _words(status: Status) -> str:
    from neanderthal_nlp.inputs import State

    return {
        State.absent: "not there yet",
        State.partial: f"{_amount(status.n_bytes)} of it there",
        State.wrong: f"there, but not as published ({status.detail}): to be replaced",
        State.unrecorded: "there; no checksum is published",
        State.complete: "there",
    }[status.state]


def _amount(n_bytes: int | None, unknown: str = "size not known") -> str:
    if n_bytes is None:
        return unknown
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"


def _overview(sources: Sequence[Input], folder: Path) -> Iterator[str]:
    """Lines for a terminal; of the registry's inputs, none is longer than 80 columns."""
    from neanderthal_nlp.inputs import ARTICLE, inspect

    yield f"in {folder}:"
    width = max(len(source.name) for source in sources)
    yield f"  {'name':{width}} {'size':>8}  {'state':10}  from"
    for source in sources:
        mark = "*" if source.name in ARTICLE.values() else " "
        place = f"{urlsplit(source.address).hostname}{', by hand' if source.by_hand else ''}"
        size, state = _amount(source.size, "–"), inspect(source, folder).state
        yield f"{mark} {source.name:{width}} {size:>8}  {state:10}  {place}"
    yield "* what fetch takes without a NAME. Checksums and addresses: fetch --list | cat"


def _table(sources: Iterable[Input], folder: Path) -> Iterator[str]:
    """Lines of a TSV table, for programs: sizes in bytes, an empty cell for what is not known."""
    from neanderthal_nlp.inputs import ARTICLE, inspect

    yield "\t".join(("name", "default", "state", "size", "checksum", "by_hand", "address", "path"))
    for source in sources:
        default, by_hand = ("yes" if flag else "no" for flag in (source.name in ARTICLE.values(), source.by_hand))
        cells = (source.name, default, inspect(source, folder).state, source.size or "", source.checksum or "",
                 by_hand, source.address, folder / source.name)  # fmt: skip
        yield "\t".join(map(str, cells))
