"""The real inputs: what they are, where they live, and how they get here.

They are downloaded and never bundled: they are large, and others' to hand on. A file takes its final name only when
its size and checksum are the published ones. What a stopped download has left is kept beside it, as `NAME.part`, and
gone on from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs
import requests
import urllib3

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_json, sha256, write_json

DATA_DIR = "NEANDERTHAL_NLP_DATA_DIR"
"""Environment variable: the folder that inputs are fetched into."""
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds waited after each failure in a row before the next try."""

_TIMEOUT = (10.0, 60.0)  # s, to connect and between two pieces
_PIECE = 1 << 18  # bytes

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and those there will be, where that is known."""


class Input(NamedTuple):
    """A file that the article starts from or has published.

    Attributes
    ----------
    name : str
        File name in the data folder.
    address : str
    checksum : str or None
        "sha256:…" or "md5:…"; None where the publisher refreshes the file or gives none: then the hash of what
        was fetched, and when, are written beside it, to `NAME.json`.
    size : int or None
        Bytes.
    citation : str
        Whose data it is, and on what terms.
    by_hand : bool
        Only a browser can fetch it.
    """

    name: str
    address: str
    checksum: str | None
    size: int | None
    citation: str
    by_hand: bool = False


class State(StrEnum):
    """What the data folder holds of an input."""

    absent = "absent"
    partial = "partial"
    wrong = "wrong"
    unrecorded = "unrecorded"
    complete = "complete"


class Status(NamedTuple):
    """What the data folder holds of an input.

    Attributes
    ----------
    state : State
        `wrong`: not of the published size or checksum; `unrecorded`: there, without either to hold it to.
    n_bytes : int
        Of the file, or of the part so far.
    detail : str
        What was found and what expected, where the state is `wrong`.
    """

    state: State
    n_bytes: int = 0
    detail: str = ""


_UCSC = "https://hgdownload.soe.ucsc.edu/goldenPath/hg19"
_AUTHOR = "https://raw.githubusercontent.com/NikolayOskolkov/DeepLearningNeanderthalIntrogression"
_GRCH37 = "GRCh37 (Genome Reference Consortium, GCA_000001405.1) as UCSC's hg19; freely usable for any purpose"
_REFSEQ = "RefSeq (O'Leary et al., Nucleic Acids Research 44, 2016, doi:10.1093/nar/gkv1189) as UCSC maps it to hg19; "
_VERNOT = "Vernot et al., Science 352, 2016, doi:10.1126/science.aad9416"
_OSKOLKOV = "N. Oskolkov, Deep Learning on Neanderthal Genes, 2019; terms: those of his repository"

# Checksums: UCSC's md5sum.txt; the others, and all sizes, are of the files as they were fetched.
REGISTRY: Mapping[str, Input] = {
    entry.name: entry
    for entry in (
        Input("hg19.2bit", f"{_UCSC}/bigZips/hg19.2bit",
              "sha256:797bdb4391cbe23bd30268d41d0d86676fd7b36b7f8e76797b1882d585766fa3", 816_241_703, _GRCH37),
        Input("hg19.fa.gz", f"{_UCSC}/bigZips/hg19.fa.gz",
              "md5:806c02398f5ac5da8ffd6da2d1d5d1a9", None, _GRCH37),
        Input("hg19.chrom.sizes", f"{_UCSC}/bigZips/hg19.chrom.sizes",
              "md5:b3b0fcf79b5477ab0b3af02e81eac8dc", 1_971, _GRCH37),
        Input("refGene.txt.gz", f"{_UCSC}/database/refGene.txt.gz", None, None,
              f"{_REFSEQ}freely usable for any purpose"),
        Input("Akey_intr_coords.bed", f"{_AUTHOR}/99915dcc6a7b182dc2a062127aeed3cfedf99b7c/Akey_intr_coords.bed",
              "sha256:eded97e149616b7e9c5c0f110666d5d947715dbd69eb108d58c8a2fe4032bfe3", 2_003_964,
              f"unique coordinates of the calls of {_VERNOT}; {_OSKOLKOV}"),
        Input("Akey_depl_coords.bed", f"{_AUTHOR}/99915dcc6a7b182dc2a062127aeed3cfedf99b7c/Akey_depl_coords.bed",
              "sha256:ef488d6d88a2a2a43c27322cee1ca6d432c66cd2748efa1218af632f291fad16", 1_996_700, _OSKOLKOV),
        Input("gene_ids.txt", f"{_AUTHOR}/270449eec0f68ee981c4f2b3f89ef61128f1b833/gene_ids.txt",
              "sha256:180becc36693737bbda1e983918c10b28204b4c55f92bf7d0f8ad0b0f71af87f", 666_809,
              f"{_REFSEQ}cleaned by {_OSKOLKOV}"),
        Input("Neanderthal_Genes.txt", f"{_AUTHOR}/ea120c45aa79df43f1767c4a6a1ab087ad0a9563/Neanderthal_Genes.txt",
              "sha256:e9a393eebbaa39fe67d375c8162e05f56825b5b3e897804a7b1d2002f0b1c66e", 1_001_404, _OSKOLKOV),
        Input("introgressed_haplotypes.tar.gz", "https://drive.google.com/drive/folders/0B9Pc7_zItMCVWUp6bWtXc2xJVkk"
              "?resourcekey=0-Cj8G4QYndXQLVIGPoWKUjQ", None, None, f"{_VERNOT}; terms: those of its authors",
              by_hand=True),
    )
}  # fmt: skip
"""The inputs by name."""
ARTICLE: Mapping[str, str] = {
    "genome": "hg19.2bit", "introgressed": "Akey_intr_coords.bed", "genes": "gene_ids.txt",
}  # fmt: skip
"""What each input of the article profile is."""


class _BrokenOffError(Exception):
    """A download stopped for a reason that may pass."""


def look_up(name: str) -> Input:
    """Entry of the registry; `InputError` that lists the names where there is none."""
    if name not in REGISTRY:
        raise InputError(f"{name}: not an input (expected {', '.join(REGISTRY)})")
    return REGISTRY[name]


def data_folder(given: str | Path | None = None) -> Path:
    """Folder of the inputs: the one given, else that of the environment variable `DATA_DIR`, else the user's."""
    named = given or os.environ.get(DATA_DIR)
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_data_dir("neanderthal_nlp"))


def inspect(source: Input, folder: str | Path) -> Status:
    """Say what a folder holds of an input; a file that is there is read to its end.

    Raises
    ------
    InputError
        The file, or the JSON beside it, cannot be read.
    """
    path = Path(folder) / source.name
    try:
        if not path.exists():
            n_bytes = _size(_part(path))
            return Status(State.partial if n_bytes else State.absent, n_bytes)
        n_bytes = path.stat().st_size
        if source.size not in (None, n_bytes):
            return Status(State.wrong, n_bytes, f"found {n_bytes:,} bytes, expected {source.size:,}")
        expected = source.checksum or _recorded(path)
        if expected is None:
            return Status(State.unrecorded, n_bytes)
        fault = _mismatch(path, expected)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return Status(State.wrong if fault else State.complete, n_bytes, fault)


def fetch(
    source: Input,
    folder: str | Path,
    *,
    offline: bool = False,
    progress: Progress | None = None,
    report: Callable[[str], None] | None = None,
    pauses: Sequence[float] = PAUSES,
) -> Path:
    """Make sure that an input is in a folder, whole and as published; what is there and right is left alone.

    Processes that fetch into one folder take turns. Proxies are those of the environment (`HTTPS_PROXY`, …).

    Parameters
    ----------
    source : Input
    folder : path-like
        Made where it is missing.
    offline : bool
        Ask no server.
    progress : callable, optional
        Called with the bytes there and the bytes of the whole (None: not known), after each piece.
    report : callable, optional
        Called with a line where the download waits.
    pauses : sequence of float
        Seconds waited before each further try after a connection that failed or broke off, or an answer that the
        server is in trouble (429, 5xx); a try that got further than those before it starts the sequence again.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The input is not there and cannot be fetched (offline, by hand only, no connection, no such address), is not
        of the published size or checksum (what was downloaded is removed), or the folder cannot be written to or is
        full (what was downloaded is gone on from next time).
    """
    path = Path(folder) / source.name
    status = inspect(source, folder)
    if status.state is State.complete:
        return path
    if status.state is not State.unrecorded and (offline or source.by_hand):
        why = status.detail or f"{status.state}, and {'to be fetched by hand' if source.by_hand else 'offline'}"
        raise InputError(f"{path}: {why}: {_by_hand(source, path)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path.parent, report):
            status = inspect(source, folder)  # who had the turn before may have fetched it
            if status.state is State.unrecorded:
                _record(source, path, {})
            elif status.state is not State.complete:
                _download(source, path, progress=progress, report=report, pauses=pauses)
                _settle(source, path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be written ({error.strerror})") from None
    return path


def _by_hand(source: Input, path: Path) -> str:
    return f"get {source.name} from {source.address} and put it into {path.parent}"


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _note(path: Path) -> Path:
    """JSON with what the server said of the version that the part is of."""
    return path.with_name(f"{path.name}.part.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _discard(path: Path) -> None:
    for left in (_part(path), _note(path)):
        left.unlink(missing_ok=True)


def _mismatch(path: Path, checksum: str) -> str:
    """Say how a file's hash differs from a checksum; nothing where it does not."""
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    return "" if found == expected else f"found {algorithm} {found}, expected {expected}"


def _recorded(path: Path) -> str | None:
    record = path.with_name(f"{path.name}.json")
    return f"sha256:{read_json(record).get('sha256')}" if record.exists() else None


def _record(source: Input, path: Path, note: Mapping[str, Any]) -> None:
    record = {
        "address": source.address,
        "sha256": sha256(path),
        "size": path.stat().st_size,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "last_modified": note.get("last_modified"),
        "citation": source.citation,
    }
    write_json(record, path.with_name(f"{path.name}.json"))


@contextmanager
def _turn(folder: Path, report: Callable[[str], None] | None) -> Iterator[None]:
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if report is not None:
                report(f"{folder}: another process fetches into it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(
    source: Input,
    path: Path,
    *,
    progress: Progress | None,
    report: Callable[[str], None] | None,
    pauses: Sequence[float],
) -> None:
    """Bring the part to its full length, over as many connections as that takes."""
    furthest, left = _size(_part(path)), iter(pauses)
    while True:
        try:
            return _go_on(source, path, progress)
        except _BrokenOffError as error:
            if _size(_part(path)) > furthest:
                furthest, left = _size(_part(path)), iter(pauses)
            pause = next(left, None)
            if pause is None:
                raise InputError(f"{path}: {source.address} cannot be reached ({error}); try again later, or "
                                 f"{_by_hand(source, path)}") from None  # fmt: skip
            if report is not None:
                report(f"{source.name}: {error}; next try in {pause:g} s")
            time.sleep(pause)


def _go_on(source: Input, path: Path, progress: Progress | None) -> None:
    """Ask for what is missing of the part, once."""
    start, note = _resumable(source, path)
    if start == source.size:
        return
    headers = {"Accept-Encoding": "identity"}  # the bytes of the file, which the checksum is of
    if start:
        headers["Range"] = f"bytes={start}-"
        if note.get("validator"):
            headers["If-Range"] = note["validator"]
    try:
        with requests.get(source.address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            start = _accept(source, path, response, start, note)
            _receive(source, path, response, start, progress)
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        cause = error.args[0] if error.args else error
        raise _BrokenOffError(" ".join(str(getattr(cause, "reason", cause)).split())) from None
    except requests.RequestException as error:
        raise InputError(f"{source.address}: cannot be fetched ({' '.join(str(error).split())})") from None


def _resumable(source: Input, path: Path) -> tuple[int, dict[str, Any]]:
    """Bytes to go on from, and the note on them; a part that nothing could be told of is discarded."""
    n_bytes = _size(_part(path))
    note = read_json(_note(path)) if n_bytes and _note(path).exists() else {}
    same = note.get("address") == source.address and (source.checksum or note.get("validator"))
    if n_bytes and (not same or n_bytes > (source.size or n_bytes)):
        _discard(path)
        return 0, {}
    return n_bytes, note


def _accept(source: Input, path: Path, response: requests.Response, start: int, note: Mapping[str, Any]) -> int:
    """Check the answer's head; give the byte that its body starts at."""
    status, etag = response.status_code, response.headers.get("ETag")
    if status == HTTPStatus.PARTIAL_CONTENT and start:
        same = note.get("etag") in (None, etag)  # some servers ignore If-Range
        if same and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return start
    if start and status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        _discard(path)
        raise _BrokenOffError("the file has changed on the server, or is not served in parts")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _BrokenOffError(f"found {status} {response.reason}")
    if status != HTTPStatus.OK:
        raise InputError(f"{source.address}: found {status} {response.reason}, expected the file; or "
                         f"{_by_hand(source, path)}")  # fmt: skip
    _discard(path)
    modified = response.headers.get("Last-Modified")
    strong = None if etag is None or etag.startswith("W/") else etag  # RFC 9110, 13.1.5: no weak tag in If-Range
    write_json({"address": source.address, "validator": strong or modified, "etag": etag, "last_modified": modified},
               _note(path))  # fmt: skip
    return 0


def _receive(source: Input, path: Path, response: requests.Response, start: int, progress: Progress | None) -> None:
    """Add the answer's body to the part, and check its length."""
    length = response.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    expected = source.size or total
    if total is not None and total != expected:
        _discard(path)
        raise InputError(f"{source.address}: found {total:,} bytes, expected {expected:,}")
    free = shutil.disk_usage(path.parent).free
    if expected is not None and expected - start > free:
        raise InputError(f"{path.parent}: found {free:,} bytes free, expected {expected - start:,} for {source.name}")
    n_bytes = start
    with _part(path).open("ab") as part:
        for piece in response.raw.stream(_PIECE, decode_content=False):
            part.write(piece)
            n_bytes += len(piece)
            if progress is not None:
                progress(n_bytes, expected)
    if expected is not None and n_bytes < expected:
        raise _BrokenOffError(f"ended after {n_bytes:,} of {expected:,} bytes")


def _settle(source: Input, path: Path) -> None:
    """Put the part into its place if it is what was published; remove it if not."""
    part, note = _part(path), read_json(_note(path))
    fault = _mismatch(part, source.checksum) if source.checksum else ""
    if source.size not in (None, part.stat().st_size):
        fault = f"found {part.stat().st_size:,} bytes, expected {source.size:,}"
    if fault:
        _discard(path)
        raise InputError(f"{source.address}: {fault} (what was downloaded is removed)")
    part.replace(path)
    if source.checksum is None:
        _record(source, path, note)
    _discard(path)
