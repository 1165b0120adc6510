"""Bytes of a file over HTTP, gone on with where an earlier try was stopped.

What is there of `NAME` lies beside it as `NAME.part`, and what the server said of it as `NAME.part.json`. A server is
asked for the rest only where it can tell that the file has not changed, or where a checksum will.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_json, write_json

if TYPE_CHECKING:
    import requests

    from neanderthal_nlp.inputs import Input

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds waited after each failure in a row before the next try."""
Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and those there will be, where that is known."""
_TIMEOUT = (10.0, 60.0)  # s, to connect and between two pieces
_PIECE = 1 << 18  # bytes


class UnreachableError(InputError):
    """The server of an input cannot be reached, or is in trouble."""


class _BrokenOffError(Exception):
    """A download stopped for a reason that may pass."""


def by_hand(source: Input, path: Path) -> str:
    """Say how to get a file without us."""
    return f"get {source.address} by hand and save it as {path}"


def part_of(path: Path) -> Path:
    """Where the bytes lie that are there of a file."""
    return path.with_name(f"{path.name}.part")


def note_of(path: Path) -> Path:
    """JSON with what the server said of the version that the part is of."""
    return path.with_name(f"{path.name}.part.json")


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def discard(path: Path) -> None:
    """Remove what there is of a file that is not whole."""
    for left in (part_of(path), note_of(path)):
        left.unlink(missing_ok=True)


def download(
    source: Input,
    path: Path,
    *,
    progress: Progress | None,
    report: Callable[[str], None] | None,
    pauses: Sequence[float],
) -> None:
    """Bring the part of a file to its full length, over as many connections as that takes.

    Parameters
    ----------
    source : Input
    path : Path
        Of the whole file, in the end; see `part_of`.
    progress, report, pauses
        See `inputs.fetch`.

    Raises
    ------
    UnreachableError, InputError
        See `inputs.fetch`.
    """
    furthest, left = size_of(part_of(path)), iter(pauses)
    while True:
        try:
            return _go_on(source, path, progress)
        except _BrokenOffError as error:
            if size_of(part_of(path)) > furthest:
                furthest, left = size_of(part_of(path)), iter(pauses)
            pause = next(left, None)
            if pause is None:
                raise UnreachableError(f"{source.name}: {error}: try again, or {by_hand(source, path)}") from None
            if report is not None:
                report(f"{source.name}: {error}; next try in {pause:g} s")
            time.sleep(pause)


def _go_on(source: Input, path: Path, progress: Progress | None) -> None:
    """Ask for what is missing of the part, once."""
    start, note = _resumable(source, path)
    if start and start == (source.size or note.get("length")):
        return
    headers = {"Accept-Encoding": "identity"}  # the bytes of the file, which the checksum is of
    if start:
        headers["Range"] = f"bytes={start}-"
        if note.get("validator"):
            headers["If-Range"] = note["validator"]
    with _ask(source, path, headers) as response:
        start, length = _accept(source, path, response, start, note)
        _receive(source, path, response, start, length, progress)


def _resumable(source: Input, path: Path) -> tuple[int, dict[str, Any]]:
    """Bytes to go on from, and the note on them; a part that nothing could be told of is discarded."""
    n_bytes = size_of(part_of(path))
    try:
        note = read_json(note_of(path)) if n_bytes else {}
    except InputError:
        note = {}
    same = note.get("address") == source.address and (source.checksum or note.get("validator"))
    if n_bytes and (not same or n_bytes > (source.size or n_bytes)):
        discard(path)
        return 0, {}
    return n_bytes, note


def _ask(source: Input, path: Path, headers: Mapping[str, str]) -> requests.Response:
    """Have the answer's head; its body is still to be read."""
    import requests  # takes long to load, and most commands ask for nothing

    try:
        response = requests.get(source.address, headers=headers, stream=True, timeout=_TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        cause = _cause(error)
        trouble = _unreached(str(error.request.url) if error.request else source.address, _plain(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):  # will not pass
            raise UnreachableError(f"{source.name}: {trouble}: {by_hand(source, path)}") from None
        raise _BrokenOffError(trouble) from None
    except OSError as error:  # such as an address that is none, a folder of certificates that is not there
        raise InputError(f"{source.name}: {source.address} cannot be fetched ({_plain(error)})") from None
    addresses = [answer.url for answer in (*response.history, response)]
    unsafe = [address for address in addresses if not address.startswith("https:")]
    if source.address.startswith("https:") and unsafe:
        response.close()
        raise InputError(f"{source.name}: {source.address} redirects to {unsafe[0]}, expected https")
    return response


def _unreached(address: str, why: str) -> str:
    """Say that an address was not reached, and by which way."""
    from requests.utils import get_environ_proxies, select_proxy

    host, proxy = urlsplit(address).hostname, select_proxy(address, get_environ_proxies(address))
    if proxy is None:
        return f"{host} cannot be reached ({why}; HTTPS_PROXY names no proxy)"
    proxy = proxy.rpartition("@")[2].rpartition("//")[2]  # without name and password
    return f"{host} cannot be reached through the proxy {proxy} ({why})"


def _cause(error: BaseException) -> BaseException:
    """Innermost error that an error was raised for; each library has its own place for that."""
    places = (getattr(error, "reason", None), *reversed(error.args), error.__cause__)
    inner = next((place for place in places if isinstance(place, BaseException)), None)
    return error if inner is None else _cause(inner)


def _plain(error: BaseException) -> str:
    """Say in a few words why there is no connection."""
    match error:
        case socket.gaierror():
            return "its name cannot be resolved"
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"TLS: certificate refused, {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or 'no secure connection').replace('_', ' ').lower()}"
    return (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())


def _accept(
    source: Input, path: Path, response: requests.Response, start: int, note: Mapping[str, Any]
) -> tuple[int, int | None]:
    """Check the answer's head; give the byte that its body starts at, and the length of the whole file, if told."""
    host, status, etag = urlsplit(response.url).hostname, response.status_code, response.headers.get("ETag")
    if status == HTTPStatus.PARTIAL_CONTENT and start:
        same = note.get("etag") in (None, etag)  # some servers ignore If-Range
        given, _, whole = response.headers.get("Content-Range", "").partition("/")
        if same and given.startswith(f"bytes {start}-"):
            return start, int(whole) if whole.isdecimal() else None
    if start and status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        discard(path)
        raise _BrokenOffError(f"{host} has changed the file, or does not serve it in parts")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _BrokenOffError(f"{host}: found {status} {response.reason}, expected the file")
    if status != HTTPStatus.OK:
        raise InputError(f"{source.name}: found {status} {response.reason}, expected the file: "
                         f"{by_hand(source, path)}")  # fmt: skip
    discard(path)
    modified, length = response.headers.get("Last-Modified"), response.raw.length_remaining
    strong = None if etag is None or etag.startswith("W/") else etag  # RFC 9110, 13.1.5: no weak tag in If-Range
    write_json({"address": source.address, "validator": strong or modified, "etag": etag, "last_modified": modified,
                "length": length}, note_of(path))  # fmt: skip
    return 0, length


def _receive(
    source: Input,
    path: Path,
    response: requests.Response,
    start: int,
    length: int | None,
    progress: Progress | None,
) -> None:
    """Add the answer's body to the part, and check its length."""
    from urllib3.exceptions import HTTPError

    expected, n_bytes = source.size or length, start
    if length not in (None, expected):
        raise _other_size(source, path, length, expected)
    free = shutil.disk_usage(path.parent).free
    if expected is not None and expected - start > free:
        raise InputError(f"{path.parent}: found {free:,} bytes free, expected {expected - start:,} for {source.name}")
    try:
        with part_of(path).open("ab") as part:
            for piece in response.raw.stream(_PIECE, decode_content=False):
                part.write(piece)
                n_bytes += len(piece)
                if expected is not None and n_bytes > expected:
                    raise _other_size(source, path, n_bytes, expected)
                if progress is not None:
                    progress(n_bytes, expected)
    except HTTPError:
        ended = True
    else:
        ended = expected is not None and n_bytes < expected
    if ended:
        whole = "" if expected is None else f" of {expected:,}"
        raise _BrokenOffError(f"{urlsplit(response.url).hostname} ended after {n_bytes:,}{whole} bytes")


def _other_size(source: Input, path: Path, found: int | None, expected: int | None) -> InputError:
    """Discard what there is of a file that is not the published one."""
    discard(path)
    return InputError(f"{source.name}: {source.address}: found {found:,} bytes, expected {expected:,} "
                      "(what was downloaded is removed)")  # fmt: skip
