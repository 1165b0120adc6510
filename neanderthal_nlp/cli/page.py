"""The web page, `neanderthal-nlp app`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from neanderthal_nlp.cli.predict import Model, Run, bundle_folder
from neanderthal_nlp.cli.stage import Cache, say
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.profiles import MANY

app = typer.Typer()
_TITLES = {Model.audited: "audited", Model.as_published: "as published"}


@app.command("app")
def show(
    directory: Run = Path("runs/demo"),
    bundle: Annotated[
        list[Path] | None, typer.Option(help="Model bundle; repeat for several (default: those of the run).")
    ] = None,
    genome: Annotated[Path | None, typer.Option(help="Genome of the run, to pick genes from.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port (default: a free one from 7860).")] = None,
    max_letters: Annotated[int, typer.Option(min=1, max=MANY, help="Letters that are taken at once.")] = 5_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that an answer may take.")] = 30.0,
    cache: Cache = None,
) -> None:
    """Open a web page on this machine that says of a stretch of DNA how Neanderthal it looks, and why."""
    if find_spec("gradio") is None:
        raise InputError("gradio is not installed (expected the extra: pip install 'neanderthal_nlp[app]')")
    from neanderthal_nlp import app as page
    from neanderthal_nlp.bundle import read_bundle
    from neanderthal_nlp.genes import read_predictions
    from neanderthal_nlp.genome import open_genome

    if len({folder.name for folder in bundle or []}) < len(bundle or []):
        raise InputError("bundle: found two folders of the same name, expected names to tell them apart on the page")
    folders = {folder.name: folder for folder in bundle or []} or {
        title: bundle_folder(directory, model)
        for model, title in _TITLES.items()
        if bundle_folder(directory, model).is_dir()
    }
    if not folders:
        raise InputError(f"{directory}: found no model bundle in it (`make reproduce` makes the demo's)")
    bundles = {name: read_bundle(folder) for name, folder in folders.items()}
    table = directory / "results" / "genes.tsv"
    with ExitStack() as stack:
        stack.enter_context(_uploads())
        letters = None if genome is None else stack.enter_context(open_genome(genome, cache=cache))
        genes = None if genome is None or not table.exists() else read_predictions(table)
        built = page.build_app(bundles, genes=genes, genome=letters, max_letters=max_letters, timeout=timeout)
        address = page.serve(built, host=host, port=port, max_letters=max_letters)
        say("app", f"{address} (Ctrl-C ends it)")
        if host not in ("127.0.0.1", "localhost", "::1"):
            say("app", f"listens on {host}: others may reach it, and what they send is not encrypted")
        built.block_thread()


@contextmanager
def _uploads() -> Iterator[None]:
    """Keep what visitors upload in a folder of its own, which goes when the page ends, by Ctrl-C or by SIGTERM."""
    variable = "GRADIO_TEMP_DIR"  # read when the page is built
    found = os.environ.get(variable)
    if found:
        Path(found).mkdir(parents=True, exist_ok=True)
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with TemporaryDirectory(prefix="neanderthal_nlp-", dir=found or None) as folder:
            os.environ[variable] = folder
            yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        if found is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = found
