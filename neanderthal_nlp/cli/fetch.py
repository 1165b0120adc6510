"""Fetching the real inputs into the data folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neanderthal_nlp.cli.stage import say
from neanderthal_nlp.errors import InputError

if TYPE_CHECKING:
    from neanderthal_nlp.inputs import Input, Status

app = typer.Typer()

MUCH = 100_000_000
"""Bytes above which a download is asked about first."""
_WIDE = 400  # letters


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
    listing: Annotated[bool, typer.Option("--list", help="List the inputs, all without a NAME; fetch none.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a large download.")] = False,
) -> None:
    """Fetch the real inputs, whole and as published; goes on where a stopped download was."""
    from neanderthal_nlp import inputs

    folder = inputs.data_folder(data_dir)
    if listing:
        _print_list([inputs.look_up(name) for name in names or inputs.REGISTRY], folder)
    else:
        obtain(names or inputs.ARTICLE.values(), folder, yes=yes, offline=offline)


def obtain(names: Iterable[str], folder: Path, *, yes: bool, offline: bool = False) -> dict[str, Path]:
    """Make sure that inputs are in a folder: say what is there, ask before much is downloaded, and fetch the rest.

    Returns
    -------
    dict of str to Path
        The files by name.

    Raises
    ------
    InputError
        A name is unknown, the download was declined or there is no terminal to ask on, or an input cannot be fetched.
    """
    from neanderthal_nlp import inputs

    found = {name: (inputs.look_up(name), inputs.inspect(inputs.look_up(name), folder)) for name in names}
    missing = {name: pair for name, pair in found.items() if pair[1].state is not inputs.State.complete}
    for source, status in found.values():
        say("fetch", f"{source.name}: {_amount(source.size or status.n_bytes or None)}, {_words(status)}")
    if missing and not offline:
        _agree(missing.values(), folder, yes=yes)
    for source, _ in missing.values():
        _fetch(source, folder, offline=offline)
    if not missing:
        say("fetch", f"all there, in {folder}")
    return {name: folder / name for name in found}


def _fetch(source: Input, folder: Path, *, offline: bool) -> None:
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
    if not sys.stdin.isatty():
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


def _amount(n_bytes: int | None) -> str:
    if n_bytes is None:
        return "size not known"
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"


def _print_list(sources: Iterable[Input], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from neanderthal_nlp import inputs

    table = Table(title=str(folder), title_justify="left", box=None, pad_edge=False)
    for name in ("name", "size", "checksum", "state", "source"):
        table.add_column(name, no_wrap=name == "name", overflow="fold", justify="right" if name == "size" else "left")
    for source in sources:
        state = inputs.inspect(source, folder).state
        size, checksum = ("–" if source.size is None else f"{source.size:,}"), source.checksum or "–"
        address = f"{source.address} (by hand)" if source.by_hand else source.address
        table.add_row(source.name, size, checksum, str(state), address)
    # In a pipe a row is a line, for grep; a terminal's are folded to fit.
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(table)
