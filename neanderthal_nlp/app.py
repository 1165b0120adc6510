"""The web page: paste a stretch of DNA, see whether it looks Neanderthal, where that comes from and what it is worth.

`answer` does the work and knows nothing of a page; `build_app` puts one around it. Gradio is imported only there.
"""

from __future__ import annotations

import copy
import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from itertools import islice, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from Bio.SeqIO.FastaIO import SimpleFastaParser

from neanderthal_nlp.along import Profile, profile_along
from neanderthal_nlp.app_html import format_answer, format_error, format_header, read_template
from neanderthal_nlp.bundle import Bundle
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import open_text
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.parameters import GENE_LENGTH
from neanderthal_nlp.predict import contributions, cut_records, largest_words, predict

if TYPE_CHECKING:
    import gradio

MAX_LETTERS = 5_000_000
"""Letters that are taken at once."""
MAX_RECORDS = 1_000
TIMEOUT = 30.0
"""Seconds that an answer may take."""
N_WORDS = 4
"""Words that are named for each side."""
_UNNAMED = "your letters"
_NAME_LENGTH = 40  # characters of a name that are shown
_TREES = 20  # of a forest that are explained between two looks at the clock
_USERS, _WAITING = 2, 32
_ASK = "(...asked) => { window.asked = JSON.stringify(asked); return asked; }"
_STANDS = "(answer, ...asked) => JSON.stringify(asked) === window.asked ? answer : ''"
_ONLY = "(given, other) => given === null || given === '' ? other : null"
_TAKEN = "port {port} is taken: name another by --port"
_DELETE = (60, 300)  # how often files are looked at, and how old they get, seconds


class Words(NamedTuple):
    """Words that decide: (word, what it adds to the score), the largest first."""

    speak_for: list[tuple[str, float]]
    speak_against: list[tuple[str, float]]


class Answer(NamedTuple):
    """What is said of letters.

    Attributes
    ----------
    stretches : DataFrame
        Of `predict.predict`, one row a stretch.
    shown : int
        Row of the stretch that is looked at: the most likely one that is long enough.
    profile : Profile or None
        Of that stretch; None where it is too short.
    words : Words or None
        Of that stretch; None where it is too short, or time ran out.
    """

    stretches: pd.DataFrame
    shown: int
    profile: Profile | None
    words: Words | None


def read_letters(source: str | Path, *, max_letters: int = MAX_LETTERS) -> list[tuple[str, str]]:
    """Names and letters of what a user pasted (a str) or uploaded (a Path): FASTA or bare letters; a file may be gzip.

    No more of a file is unpacked than is needed to see that it is too long. Long names are cut.

    Raises
    ------
    InputError
        There is no letter, a record without letters, more than `max_letters` or `MAX_RECORDS`, or the file is no text.
    """
    limit = 2 * max_letters + 10_000  # characters: line ends and names, too
    if isinstance(source, Path):
        try:
            with open_text(source) as lines:
                text = lines.read(limit + 1)
        except InputError as error:
            raise InputError(str(error).replace(str(source), source.name)) from None
    else:
        text = source.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # half a character is no text
    too_long = InputError(f"found more than {max_letters:,} letters, which is the most that this page takes at once")
    if len(text) > limit:
        raise too_long
    text = text.strip()
    if not text:
        raise InputError("found no letters: paste some DNA, or drop a file")
    if not text.startswith(">"):
        text = f">{_UNNAMED}\n{text}"
    records: list[tuple[str, str]] = []
    for title, sequence in islice(SimpleFastaParser(StringIO(text)), MAX_RECORDS + 1):
        name = _cut((title.split() or [f"record {len(records) + 1}"])[0] if title != _UNNAMED else title)
        letters = "".join(sequence.split())
        if not letters:
            raise InputError(f"{name}: found no letters under this name")
        records.append((name, letters))
    if len(records) > MAX_RECORDS:
        raise InputError(f"found more than {MAX_RECORDS:,} records, which is the most that this page takes at once")
    if sum(len(letters) for _, letters in records) > max_letters:
        raise too_long
    return records


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"


def answer(
    source: str | Path,
    bundle: Bundle,
    *,
    max_letters: int = MAX_LETTERS,
    timeout: float = TIMEOUT,
    n_words: int = N_WORDS,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Score letters, and look closer at the stretch that is most likely introgressed.

    Parameters
    ----------
    source : str or Path
        See `read_letters`.
    bundle : Bundle
    max_letters : int
    timeout : float
        Seconds. When they are over, the words are left out; before there is a score, it is an error.
    n_words : int
        Words to name for each side.
    clock : callable
        Seconds since some moment.

    Raises
    ------
    InputError
        See `read_letters`; a letter that is not DNA's; or time ran out.
    """
    end = clock() + timeout

    def in_time() -> bool:
        return clock() < end

    records = read_letters(source, max_letters=max_letters)
    stretches = list(cut_records(records, bundle.window_length, min_length=bundle.min_length))
    if not in_time():
        raise InputError(f"this took longer than {timeout:g} seconds: show a shorter stretch")
    frame = pd.concat(predict(stretches, bundle, n_words=0), ignore_index=True)
    if not in_time():
        raise InputError(f"this took longer than {timeout:g} seconds: show a shorter stretch")
    told = frame["probability"].notna()
    if not told.any():
        return Answer(frame, int((frame["end"] - frame["start"]).to_numpy().argmax()), None, None)
    shown = int(np.nanargmax(frame["probability"]))
    sequence = stretches[shown].sequence
    values = _explain(bundle, count_kmers([sequence], bundle.k), in_time)
    words = None
    if values is not None:
        words = Words(*largest_words(values[None], np.array(bundle.words()), n_words)[0])
    return Answer(frame, shown, profile_along(bundle, sequence), words)


def _explain(bundle: Bundle, counts: np.ndarray, in_time: Callable[[], bool]) -> np.ndarray | None:
    """Contributions of words to the score of one row of counts; None where time ran out."""
    if bundle.model_name != "forest":
        return contributions(bundle, counts).by_word[0]
    # A forest's Shapley values are the mean of those of its trees, which take most of the time.
    total, trees = np.zeros(len(bundle.words())), bundle.model.estimators_
    for first in range(0, len(trees), _TREES):
        if not in_time():
            return None
        part = copy.copy(bundle.model)
        part.estimators_ = trees[first : first + _TREES]
        total += len(part.estimators_) * contributions(bundle._replace(model=part), counts).by_word[0]
    return total / len(trees)


def find_gene(genes: pd.DataFrame, chosen: int | str) -> pd.Series:
    """Row of a table of genes: that of a number, or the only one of a symbol that was typed, in either case.

    Parameters
    ----------
    genes : DataFrame
        `Gene`, `Gene_Symbol`.
    chosen : int or str

    Raises
    ------
    InputError
        No gene has this symbol, or several places have it.
    """
    if isinstance(chosen, int) and 0 <= chosen < len(genes):
        return genes.iloc[chosen]
    symbol = str(chosen).strip()
    found = genes[genes["Gene_Symbol"].str.upper() == symbol.upper()]
    if found.empty:
        raise InputError(f"{_cut(symbol)}: no gene of this symbol is in the table of genes: pick one from the list")
    if len(found) > 1:
        raise InputError(f"{_cut(symbol)}: {len(found)} places have this symbol: pick one of them from the list")
    return found.iloc[0]


def read_gene(gene: str, symbol: str, genome: Genome, length: int) -> str:
    """FASTA of the first letters of a gene, on the forward strand as in the article.

    Parameters
    ----------
    gene : str
        As in a table of predictions: `chrom:start-end`, 1-based inclusive.
    symbol : str
    genome : Genome
    length : int
        Most letters to read, nt.
    """
    chrom, _, span = gene.rpartition(":")
    first, last = (int(number) for number in span.split("-"))
    last = min(last, first + length - 1)
    return f">{chrom}:{first}-{last} {symbol}\n{genome.fetch(chrom, first - 1, last)}"


def build_app(
    bundles: Mapping[str, Bundle],
    *,
    genes: pd.DataFrame | None = None,
    genome: Genome | None = None,
    max_letters: int = MAX_LETTERS,
    timeout: float = TIMEOUT,
) -> gradio.Blocks:
    """Build the page; nothing listens until `serve`.

    Parameters
    ----------
    bundles : mapping of str to Bundle
        By the name under which they are offered; the first is the default.
    genes : DataFrame, optional
        `Gene`, `Gene_Symbol`, as `genes.read_predictions` returns them; offered where there is a genome, in the order
        of the symbols.
    genome : Genome, optional
        Open as long as the page is.
    max_letters, timeout
        See `answer`.

    Returns
    -------
    gradio.Blocks
    """
    import gradio as gr

    # Neither Matplotlib's settings nor a genome file may be used by two threads at once.
    drawing, reading = threading.Lock(), threading.Lock()
    offered = None if genes is None or genome is None else _in_order(genes)
    length = min(GENE_LENGTH, *(bundle.window_length for bundle in bundles.values()))

    def choose(text: str | None, file: str | None, gene: int | str | None) -> str | Path:
        """The source that is given: the page empties the others."""
        if gene is None or gene == "" or offered is None or genome is None:
            return Path(file) if file else text or ""
        found = find_gene(offered, gene)
        with reading:
            return read_gene(found["Gene"], found["Gene_Symbol"], genome, length)

    def show(text: str | None, file: str | None, name: str | None, gene: int | str | None = None) -> str:
        bundle = bundles.get(name or "")
        if bundle is None:
            return format_error(f"found no model of this name, expected {' or '.join(bundles)}")
        if file and not Path(file).exists():
            return format_error(
                f"{Path(file).name}: removed, as every file after {_DELETE[1] // 60} minutes: drop it again"
            )
        try:
            found = answer(choose(text, file, gene), bundle, max_letters=max_letters, timeout=timeout)
        except InputError as error:
            return format_error(str(error))
        with drawing:
            return format_answer(found, bundle)

    with gr.Blocks(title="A stretch of your DNA", analytics_enabled=False, delete_cache=_DELETE) as page:
        gr.HTML(format_header(bundles), elem_id="top")
        with gr.Column(elem_id="ask"):
            text = gr.Textbox(
                label="Your DNA", lines=7, max_lines=7, elem_id="letters", buttons=[],
                placeholder="Paste letters here: ACGTTGCA…",
                info=f"Bare letters or FASTA, {min(b.min_length for b in bundles.values()):,} letters or more.",
            )  # fmt: skip
            file = gr.File(label="or drop a file", height=84, elem_id="file", buttons=[])
            # A symbol that is not in the list has to arrive, to be told so.
            gene = None if offered is None else gr.Dropdown(
                [(f"{row.Gene_Symbol}  ·  {row.Gene}", i) for i, row in enumerate(_records(offered))], value=None,
                label="or pick a gene", info=f"Its first {length:,} letters are read from the genome.",
                elem_id="gene", buttons=[], allow_custom_value=True,
            )  # fmt: skip
            model = gr.Radio(
                [(_describe(name, bundle), name) for name, bundle in bundles.items()], value=next(iter(bundles)),
                label="Model", elem_id="model", buttons=[],
            )  # fmt: skip
            button = gr.Button("Show me", variant="primary", elem_id="show")
        result = gr.HTML(elem_id="answer")
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        sources: list[Any] = [text, file] if gene is None else [text, file, gene]
        fields = [text, file, model, *sources[2:]]
        asked = button.click(show, fields, result, js=_ASK, scroll_to_output=True,
                             **private | {"show_progress": "full"})  # fmt: skip
        # One source at a time: the last. In the browser, which is faster than a hand at "Show me".
        for given, other in permutations(sources, 2):
            given.change(None, [given, other], other, js=_ONLY, **private)
        # An answer stands as long as what was asked, which may change before it comes.
        gr.on([field.change for field in fields], None, None, result, js="() => ''", **private)
        asked.then(None, [result, *fields], result, js=_STANDS, **private)
    page.queue(default_concurrency_limit=_USERS, max_size=_WAITING, api_open=False)
    return page


def _in_order(genes: pd.DataFrame) -> pd.DataFrame:
    """Each gene once, by its symbol."""
    unique = genes.drop_duplicates(["Gene", "Gene_Symbol"])
    return unique.sort_values(["Gene_Symbol", "Gene"], key=lambda column: column.str.upper(), ignore_index=True)


def _describe(name: str, bundle: Bundle) -> str:
    if bundle.calibration is not None:
        return f"{name}: its probabilities were checked on DNA that it had not seen"
    return f"{name}: the article's forest, votes taken for probabilities; {bundle.min_length:,} letters or more"


def _records(table: pd.DataFrame) -> Iterator[Any]:
    return table.itertuples(index=False)


def serve(page: gradio.Blocks, *, host: str, port: int | None, max_letters: int = MAX_LETTERS) -> str:
    """Serve the page in the background and return its address; never through a share link.

    Parameters
    ----------
    page : gradio.Blocks
    host : str
        Address to listen on.
    port : int or None
        None for the first from 7860 that is free.
    max_letters : int
        A file may have twice as many bytes.

    Raises
    ------
    InputError
        The port is taken, or there is no listening on the host.
    """
    _check_free(host, port)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
    mono = ["ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace"]
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="stone", radius_size="md", font=fonts, font_mono=mono).set(
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400",
        input_placeholder_color="*neutral_500", button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )  # fmt: skip
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port, share=False, quiet=True, show_error=False, footer_links=[],
            run_history=False, enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=False,
            max_file_size=2 * max_letters, theme=theme, css=read_template("app.css"), prevent_thread_lock=True,
        )  # fmt: skip
    except OSError:  # Gradio wants the port of this machine, too, whatever the host
        raise InputError(_TAKEN.format(port=port) if port else "found no free port: name one by --port") from None
    return address


def _check_free(host: str, port: int | None) -> None:
    """Refuse a port that is taken, and a host on which nothing can listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port or 0))
    except OSError as error:
        if port and error.errno == errno.EADDRINUSE:
            raise InputError(_TAKEN.format(port=port)) from None
        raise InputError(f"{host}{f':{port}' if port else ''}: cannot listen there ({error.strerror})") from None
