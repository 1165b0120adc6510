"""Fetching, against a server of this machine's own; nothing else is asked."""

import gzip
import hashlib
import io
import json
import os
import random
import re
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neanderthal_nlp import download, inputs
from neanderthal_nlp.cli import fetch as command
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.inputs import Input, State

CONTENT = random.Random(1).randbytes(300_000)  # noqa: S311 (not for secrets)
OTHER = random.Random(2).randbytes(300_000)  # noqa: S311


class Answer(NamedTuple):
    """How the server answers a request: the rest where one is asked for, the whole otherwise."""

    body: bytes = CONTENT
    status: int | None = None
    etag: str | None = '"one"'
    ranges: bool = True
    if_range: bool = True
    cut: int | None = None  # bytes after which the connection ends
    piece: int | None = None  # bytes of a rest that are sent at most
    length: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    wait: threading.Event | None = None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        answer = server.answers.pop(0) if server.answers else server.default
        if answer.wait is not None:
            assert answer.wait.wait(20)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        same = not answer.if_range or self.headers.get("If-Range") in (None, answer.etag)
        start = int(wanted[1]) if wanted and answer.ranges and same else 0
        status = answer.status or (200 if not start else 206 if start < len(answer.body) else 416)
        body = answer.body[start:] if status in (200, 206) else b""
        if status == 206:
            body = body[: answer.piece]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(answer.body)}")
        if answer.etag:
            self.send_header("ETag", answer.etag)
        if answer.length:
            self.send_header("Content-Length", str(len(body)))
        for header in answer.headers:
            self.send_header(*header)
        self.end_headers()
        server.sent += len(body[: answer.cut])  # before the client can have seen the end
        self.wfile.write(body[: answer.cut])

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients that turn away are what some tests are about."""


@contextmanager
def serving(*answers, default=None, tls=None):
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answers, server.default, server.requests, server.sent = list(answers), default or Answer(), [], 0
        server.address = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/file"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def source(server, content=CONTENT, **changes):
    address = server if isinstance(server, str) else server.address
    return Input("file.bin", address, sha256(content), len(content), "a citation")._replace(**changes)


def names(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", inputs.DATA_DIR):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{place.getsockname()[1]}/file"


@pytest.fixture(scope="session")
def certificate(tool, tmp_path_factory):
    """A certificate for this machine, with its key, that nobody has reason to trust."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_whole_file(tmp_path):
    seen = []
    with serving() as server:
        path = inputs.fetch(source(server), tmp_path / "new", progress=lambda *now: seen.append(now))
    assert path == tmp_path / "new/file.bin"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == {"file.bin"}
    assert server.requests == [("/file", None, None)]
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_md5_is_a_checksum_too(tmp_path):
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"  # noqa: S324 (the publisher's)
    with serving() as server:
        assert inputs.fetch(source(server, checksum=checksum), tmp_path).read_bytes() == CONTENT
        (tmp_path / "file.bin").unlink()
        server.default = Answer(OTHER)
        with pytest.raises(InputError, match=f"found md5 .*, expected {checksum[4:]}"):
            inputs.fetch(source(server, checksum=checksum), tmp_path)


def test_what_is_there_and_right_is_not_asked_for(tmp_path, nobody):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    for offline in (True, False):
        assert inputs.fetch(source(nobody), tmp_path, offline=offline, pauses=()) == tmp_path / "file.bin"
    assert names(tmp_path) == {"file.bin"}


@pytest.mark.parametrize("there", [OTHER, CONTENT[:-1]])
def test_what_is_there_and_wrong_is_replaced(tmp_path, there):
    (tmp_path / "file.bin").write_bytes(there)
    with serving() as server:
        assert inputs.inspect(source(server), tmp_path).state is State.wrong
        assert inputs.fetch(source(server), tmp_path).read_bytes() == CONTENT


def test_a_stopped_download_goes_on_where_it_stopped(tmp_path, refused):
    with serving(Answer(cut=200_000)) as server:
        with refused(f"save it as {tmp_path / 'file.bin'}", server.address, "127.0.0.1 ended after 200,000 of 300,000"):
            inputs.fetch(source(server), tmp_path, pauses=())
        n_bytes = (tmp_path / "file.bin.part").stat().st_size
        assert 0 < n_bytes <= 200_000
        assert inputs.inspect(source(server), tmp_path) == (State.partial, n_bytes, "")
        assert not (tmp_path / "file.bin").exists()
        assert inputs.fetch(source(server), tmp_path).read_bytes() == CONTENT
        assert server.requests[1:] == [("/file", f"bytes={n_bytes}-", '"one"')]
        assert server.sent == 200_000 + len(CONTENT) - n_bytes
    assert names(tmp_path) == {"file.bin"}


def test_a_download_that_was_whole_but_not_yet_in_place_is_not_asked_for_again(tmp_path):
    with serving() as server:
        inputs.fetch(source(server), tmp_path)
        (tmp_path / "file.bin").rename(tmp_path / "file.bin.part")
        (tmp_path / "file.bin.part.json").write_text(json.dumps({"address": server.address, "validator": None}))
        assert inputs.fetch(source(server), tmp_path).read_bytes() == CONTENT
        assert len(server.requests) == 1


def test_nor_is_one_whose_length_only_the_server_knew(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with serving() as server:
        entry = source(server, size=None)
        with monkeypatch.context() as patch:
            patch.setattr(inputs, "_settle", killed)
            with pytest.raises(KeyboardInterrupt):
                inputs.fetch(entry, tmp_path)
        assert names(tmp_path) == {"file.bin.part", "file.bin.part.json"}
        assert inputs.fetch(entry, tmp_path).read_bytes() == CONTENT
        assert len(server.requests) == 1


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=5), etag=st.sampled_from(['"one"', 'W/"one"', None]))
def test_wherever_connections_break_off_the_file_is_the_same(tmp_path_factory, cuts, etag):
    folder = tmp_path_factory.mktemp("cuts")
    with serving(*(Answer(cut=cut, etag=etag) for cut in cuts), default=Answer(etag=etag)) as server:
        assert inputs.fetch(source(server), folder, pauses=[0] * len(cuts)).read_bytes() == CONTENT
    starts = [int(asked[6:-1]) if asked else 0 for _, asked, _ in server.requests]
    assert starts == sorted(starts)
    assert names(folder) == {"file.bin"}


def test_patience_is_renewed_by_progress_and_ends_without(tmp_path, refused):
    with serving(*(Answer(cut=60_000) for _ in range(4))) as server:
        inputs.fetch(source(server), tmp_path, pauses=[0])
        assert len(server.requests) == 5
    with serving(default=Answer(OTHER, cut=10, ranges=False)) as server, refused(server.address):
        inputs.fetch(source(server, OTHER, name="other"), tmp_path, pauses=[0, 0])
    assert len(server.requests) == 3


def test_a_server_without_ranges_starts_anew(tmp_path):
    with serving(Answer(cut=200_000), default=Answer(ranges=False)) as server:
        assert inputs.fetch(source(server), tmp_path, pauses=[0]).read_bytes() == CONTENT
        assert server.requests[1][1].startswith("bytes=")


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changed_between_two_parts_starts_anew(tmp_path, if_range):
    changed = Answer(OTHER, etag='"two"', if_range=if_range)
    with serving(Answer(cut=200_000), default=changed) as server:
        path = inputs.fetch(source(server, OTHER), tmp_path, pauses=[0, 0])
        assert path.read_bytes() == OTHER
        assert server.requests[1][2] == '"one"'
        # A server that heeds If-Range sends the whole at once; of one that does not, it is asked for again.
        assert len(server.requests) == (2 if if_range else 3)


def test_a_part_that_the_server_has_no_rest_of_starts_anew(tmp_path):
    with serving() as server:
        (tmp_path / "file.bin.part").write_bytes(CONTENT[:-1])
        (tmp_path / "file.bin.part.json").write_text(json.dumps({"address": server.address, "etag": '"one"'}))
        server.answers = [Answer(status=416)]
        assert inputs.fetch(source(server), tmp_path, pauses=[0]).read_bytes() == CONTENT
        assert [asked for _, asked, _ in server.requests] == [f"bytes={len(CONTENT) - 1}-", None]


@pytest.mark.parametrize("note", [None, '{"address": "http://127.0.0.1/another"}', "", "{"])
def test_a_part_of_unknown_origin_starts_anew(tmp_path, note):
    (tmp_path / "file.bin.part").write_bytes(OTHER[:1000])
    if note is not None:
        (tmp_path / "file.bin.part.json").write_text(note)
    with serving() as server:
        assert inputs.fetch(source(server), tmp_path, pauses=()).read_bytes() == CONTENT
        assert server.requests == [("/file", None, None)]


def test_corrupt_content_is_removed_and_told_of(tmp_path, refused):
    with serving(Answer(OTHER), Answer(OTHER)) as server:
        for _ in range(2):
            with refused(server.address, f"found sha256 {sha256(OTHER)[7:]}", f"expected {sha256(CONTENT)[7:]}"):
                inputs.fetch(source(server), tmp_path)
            assert names(tmp_path) == set()
        (tmp_path / "file.bin").write_bytes(OTHER[:-1])
        server.answers = [Answer(OTHER)]
        with refused("file.bin", "found sha256"):
            inputs.fetch(source(server), tmp_path)
        assert (tmp_path / "file.bin").read_bytes() == OTHER[:-1]
        assert inputs.fetch(source(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_a_file_of_another_size_is_removed_and_told_of(tmp_path, length, refused):
    longer = Answer(CONTENT + b"x", length=length)
    with serving(longer) as server, refused(server.address, "found 300,001 bytes", "expected 300,000"):
        inputs.fetch(source(server), tmp_path)
    assert names(tmp_path) == set()
    assert len(server.requests) == 1


def test_more_than_the_file_is_not_waited_for(tmp_path, refused):
    endless, told = Answer(CONTENT * 40, length=False), []
    with serving(endless) as server, refused(server.address, "expected 300,000"):
        inputs.fetch(source(server), tmp_path, progress=lambda n_bytes, _: told.append(n_bytes))
    assert max(told, default=0) <= len(CONTENT)
    assert names(tmp_path) == set()


def test_a_body_that_breaks_off_is_never_taken_for_whole(tmp_path):
    """In pieces, of no told length: only the missing last piece tells."""
    pieces = (("Transfer-Encoding", "chunked"),)
    broken = Answer(b"10000\r\n" + CONTENT[:60_000], length=False, headers=pieces)
    with serving(broken) as server:
        path = inputs.fetch(source(server, checksum=None, size=None), tmp_path, pauses=[0])
        assert path.read_bytes() == CONTENT


def test_a_server_that_sends_the_rest_in_several_answers(tmp_path):
    """Each names the length of the whole, and its own is that of a piece."""
    with serving(*(Answer(piece=90_000) for _ in range(9)), default=Answer(status=404)) as server:
        server.answers.insert(0, Answer(cut=50_000))
        assert inputs.fetch(source(server), tmp_path, pauses=[0]).read_bytes() == CONTENT
    assert len(server.requests) == 4


def test_a_short_answer_without_a_length_is_gone_on_from(tmp_path):
    with serving(Answer(cut=200_000, length=False)) as server:
        assert inputs.fetch(source(server), tmp_path, pauses=[0]).read_bytes() == CONTENT
        assert server.requests[1][1] == "bytes=200000-"


def test_redirects_are_followed_by_the_rest_too(tmp_path):
    moved = Answer(status=302, headers=(("Location", "/elsewhere"),))
    with serving(moved, Answer(cut=200_000), moved) as server:
        assert inputs.fetch(source(server), tmp_path, pauses=[0]).read_bytes() == CONTENT
        assert [path for path, _, _ in server.requests] == ["/file", "/elsewhere"] * 2
        assert server.requests[3][1].startswith("bytes=")


def test_endless_redirects_end(tmp_path, refused):
    with serving(default=Answer(status=302, headers=(("Location", "/file"),))) as server, refused(server.address):
        inputs.fetch(source(server), tmp_path, pauses=[0])


def test_a_missing_file_is_asked_for_once(tmp_path, refused):
    with serving(Answer(status=404)) as server, refused(server.address, "found 404 Not Found", str(tmp_path)):
        inputs.fetch(source(server), tmp_path, pauses=[0, 0])
    assert len(server.requests) == 1
    assert names(tmp_path) == set()


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_in_trouble_is_asked_again(tmp_path, status, refused):
    told = []
    with serving(Answer(status=status), Answer(status=status)) as server:
        assert inputs.fetch(source(server), tmp_path, pauses=[0, 0], report=told.append).read_bytes() == CONTENT
    assert len(told) == 2
    assert f"found {status}" in told[0]
    with serving(default=Answer(status=status)) as server, refused("other", server.address, f"found {status}"):
        inputs.fetch(source(server, name="other"), tmp_path, pauses=[0, 0])
    assert len(server.requests) == 3


def test_pauses_are_waited_for(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    with serving(*[Answer(status=503)] * 4) as server:
        inputs.fetch(source(server), tmp_path)
    assert waited == list(download.PAUSES) == sorted(set(download.PAUSES))


def test_without_a_connection_one_line_says_what_to_do(tmp_path, nobody, refused):
    for_hand = f"get {nobody} by hand and save it as {tmp_path}"
    with refused("file.bin: 127.0.0.1 cannot be reached (Connection refused; HTTPS_PROXY names no proxy)", for_hand):
        inputs.fetch(source(nobody), tmp_path, pauses=[0])
    with refused("absent, and offline", f"{for_hand}/new/file.bin"):
        inputs.fetch(source(nobody), tmp_path / "new", offline=True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file.bin").write_bytes(OTHER)
    with refused(f"found sha256 {sha256(OTHER)[7:]}", for_hand):
        inputs.fetch(source(nobody), tmp_path, offline=True)
    assert (tmp_path / "file.bin").read_bytes() == OTHER


def test_why_there_is_no_connection_is_said_in_plain_words(tmp_path, monkeypatch, refused):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with serving(default=Answer(wait=threading.Event())) as server, monkeypatch.context() as patch:
        patch.setattr(download, "_TIMEOUT", (5, 0.05))
        with refused("127.0.0.1 cannot be reached (no answer in time;"):
            inputs.fetch(source(server), tmp_path, pauses=())
        server.default.wait.set()
    with serving() as server, refused("127.0.0.1 cannot be reached (TLS: "):
        inputs.fetch(source(server.address.replace("http:", "https:")), tmp_path, pauses=())
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with refused("data.invalid cannot be reached (its name cannot be resolved;"):
        inputs.fetch(source("https://data.invalid/file"), tmp_path, pauses=[0])


def test_a_proxy_that_fails_is_named_without_its_password(tmp_path, nobody, monkeypatch, refused):
    place = nobody.split("/")[2]
    for proxy in (f"http://user:secret@{place}", f"http://{place}", place):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with refused(f"file.bin: data.invalid cannot be reached through the proxy {place} (Connection refused)"):
            inputs.fetch(source("https://data.invalid/file"), tmp_path, pauses=[0])
    with serving() as server, refused("(Tunnel connection failed: 501"):
        monkeypatch.setenv("HTTPS_PROXY", server.address)
        inputs.fetch(source("https://data.invalid/file"), tmp_path, pauses=())


def test_a_certificate_that_is_refused_is_not_tried_again(tmp_path, tls, monkeypatch, refused):
    told = []
    with serving(tls=tls) as server:
        with refused("127.0.0.1 cannot be reached (TLS: certificate refused, self", server.address):
            inputs.fetch(source(server), tmp_path, report=told.append)
        assert told == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        with refused("file.bin", server.address, "none.pem"):
            inputs.fetch(source(server), tmp_path)
    assert names(tmp_path) == set()


def test_what_began_with_https_does_not_go_on_without(tmp_path, tls, certificate, monkeypatch, refused):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving() as plain, serving(tls=tls) as server:
        assert inputs.fetch(source(server, name="other"), tmp_path).read_bytes() == CONTENT
        server.default = Answer(status=302, headers=(("Location", plain.address),))
        with refused(f"file.bin: {server.address} redirects to {plain.address}, expected https"):
            inputs.fetch(source(server), tmp_path)
    assert names(tmp_path) == {"other"}


def test_an_address_that_is_none(tmp_path, refused):
    with refused("nowhere"):
        inputs.fetch(source("nowhere"), tmp_path, pauses=[0])


def test_proxies_are_those_of_the_environment(tmp_path, monkeypatch):
    with serving() as server:
        monkeypatch.setenv("http_proxy", server.address)
        inputs.fetch(source("http://example.invalid/a"), tmp_path, pauses=())
        assert server.requests[0][0] == "http://example.invalid/a"


def test_bytes_are_kept_as_they_are_served(tmp_path):
    packed = gzip.compress(CONTENT, mtime=0)
    with serving(Answer(packed, headers=(("Content-Encoding", "gzip"),))) as server:
        assert inputs.fetch(source(server, packed), tmp_path).read_bytes() == packed


def test_processes_take_turns(tmp_path):
    """Locks are of open files, so that threads stand for processes."""
    waits, told, paths = threading.Event(), [], []

    def report(line):
        told.append(line)
        waits.set()

    with serving(Answer(wait=waits)) as server:
        threads = [
            threading.Thread(target=lambda: paths.append(inputs.fetch(source(server), tmp_path, report=report)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert paths == [tmp_path / "file.bin"] * 2
    assert paths[0].read_bytes() == CONTENT
    assert len(server.requests) == len(told) == 1
    assert str(tmp_path) in told[0]


def test_a_killed_process_leaves_no_lock(tmp_path):
    holds = (
        "import fcntl, sys, time; fcntl.flock(open(sys.argv[1], 'a'), fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    )
    told = []
    with subprocess.Popen([sys.executable, "-c", holds, tmp_path / ".lock"], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        other.kill()
        other.wait()
    with serving() as server:
        assert inputs.fetch(source(server), tmp_path, report=told.append).read_bytes() == CONTENT
    assert told == []


def test_a_folder_that_cannot_be_written_to(tmp_path, refused):
    (tmp_path / "file").touch()
    with serving() as server, refused(tmp_path / "file", "cannot be written"):
        inputs.fetch(source(server), tmp_path / "file" / "data")
    assert server.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path, refused):
    (tmp_path / "mine").mkdir(mode=0o500)
    with serving() as server, refused(tmp_path / "mine", "Permission denied"):
        inputs.fetch(source(server), tmp_path / "mine")


def test_a_full_disk_leaves_no_file_and_is_gone_on_from(tmp_path, refused):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving() as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        try:
            with refused(tmp_path / "file.bin", "cannot be written"):
                inputs.fetch(source(server), tmp_path, pauses=[0])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "file.bin" not in names(tmp_path)
        assert inputs.fetch(source(server), tmp_path).read_bytes() == CONTENT
        assert server.requests[1][1].startswith("bytes=")


def test_too_little_room_is_told_of_before_the_download(tmp_path, monkeypatch, refused):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=299_999))
    with serving() as server, refused(tmp_path, "found 299,999 bytes free", "expected 300,000"):
        inputs.fetch(source(server), tmp_path)
    assert "file.bin" not in names(tmp_path)


def test_a_file_without_a_checksum_is_recorded(tmp_path, nobody):
    modified = "Wed, 01 Jan 2025 00:00:00 GMT"
    with serving(Answer(headers=(("Last-Modified", modified),))) as server:
        refreshed = source(server, checksum=None, size=None)
        inputs.fetch(refreshed, tmp_path)
        record = json.loads((tmp_path / "file.bin.json").read_text())
        assert (record["sha256"], record["size"]) == (sha256(CONTENT)[7:], len(CONTENT))
        assert (record["address"], record["last_modified"]) == (server.address, modified)
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["recorded"])
        assert inputs.fetch(refreshed, tmp_path, offline=True).read_bytes() == CONTENT
        assert len(server.requests) == 1
        (tmp_path / "file.bin").write_bytes(OTHER)
        assert inputs.inspect(refreshed, tmp_path).state is State.wrong
        assert inputs.fetch(refreshed, tmp_path).read_bytes() == CONTENT
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file.bin").write_bytes(OTHER)
    inputs.fetch(source(nobody, checksum=None, size=None), tmp_path / "mine", pauses=())
    assert json.loads((tmp_path / "mine/file.bin.json").read_text())["sha256"] == sha256(OTHER)[7:]


@pytest.mark.parametrize(("etag", "asked"), [('"one"', True), ('W/"one"', False), (None, False)])
def test_without_a_checksum_only_what_the_server_can_vouch_for_is_gone_on_from(tmp_path, etag, asked):
    answer = Answer(etag=etag)
    with serving(answer._replace(cut=200_000), default=answer) as server:
        path = inputs.fetch(source(server, checksum=None, size=None), tmp_path, pauses=[0])
        assert path.read_bytes() == CONTENT
        assert (server.requests[1][1] is not None) == asked


def test_what_only_a_browser_can_fetch(tmp_path, refused):
    calls = inputs.REGISTRY["introgressed_haplotypes.tar.gz"]
    with refused(calls.address, "only a browser", f"by hand and save it as {tmp_path / calls.name}"):
        inputs.fetch(calls, tmp_path)
    (tmp_path / calls.name).write_bytes(CONTENT)
    assert inputs.fetch(calls, tmp_path) == tmp_path / calls.name
    assert inputs.inspect(calls, tmp_path).state is State.complete
    (tmp_path / calls.name).write_bytes(OTHER)
    with refused(f"found sha256 {sha256(OTHER)[7:]}", f"as recorded in {calls.name}.json"):
        inputs.fetch(calls, tmp_path)


def test_the_registry_is_sound(refused):
    for name, entry in inputs.REGISTRY.items():
        assert name == entry.name == os.path.basename(name)
        assert re.fullmatch(r"https://[\w.-]+/\S+", entry.address)
        assert entry.by_hand or entry.address.endswith(f"/{name}")
        assert entry.checksum is None or re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", entry.checksum)
        assert entry.size is None or entry.size > 0
        assert entry.citation
        if "githubusercontent" in entry.address:
            assert re.search(r"/[0-9a-f]{40}/", entry.address)
    pinned = [entry.checksum for entry in inputs.REGISTRY.values() if entry.checksum]
    assert len({entry.address for entry in inputs.REGISTRY.values()}) == len(inputs.REGISTRY)
    assert len(set(pinned)) == len(pinned) == 7
    assert set(inputs.ARTICLE.values()) <= set(inputs.REGISTRY)
    with refused("hg20: not an input", "hg19.2bit"):
        inputs.look_up("hg20")


@pytest.mark.parametrize(
    ("name", "published_name"),
    [
        ("Akey_intr_coords.bed", "Akey_intr_coords.bed"),
        ("Akey_depl_coords.bed", "Akey_depl_coords.bed"),
        ("gene_ids.txt", "gene_ids.txt"),
        ("Neanderthal_Genes.txt", "Neanderthal_Genes.txt"),
        ("hg19.chrom.sizes", "chrom.sizes"),
    ],
)
def test_checksums_and_sizes_are_the_published_files(tmp_path, name, published_name, published):
    shutil.copy(published(published_name), tmp_path / name)
    assert inputs.inspect(inputs.REGISTRY[name], tmp_path).state is State.complete


def test_the_folder_is_the_one_given_or_named_or_the_users(tmp_path, monkeypatch):
    users = inputs.data_folder()
    assert users.name == "neanderthal_nlp"
    monkeypatch.setenv(inputs.DATA_DIR, "")
    assert inputs.data_folder() == users
    monkeypatch.setenv(inputs.DATA_DIR, str(tmp_path))
    assert inputs.data_folder() == tmp_path
    assert inputs.data_folder("given") == tmp_path.cwd() / "given"


def test_what_cannot_be_a_folder_is_told_of_first(tmp_path, nobody, monkeypatch, refused):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "data"):
        with refused(place, f"found the file {tmp_path / 'file'}", "expected a folder"):
            inputs.data_folder(place)
    with refused("~nobody-of-that-name/data", "expected a folder"):
        inputs.data_folder("~nobody-of-that-name/data")
    entry = source(nobody)
    monkeypatch.setattr(inputs, "REGISTRY", {entry.name: entry})
    for arguments in ([], ["--list"], ["--offline"]):
        result = invoke("file.bin", "--data-dir", tmp_path / "file", *arguments)
        assert "expected a folder" in str(result.exception)
        assert result.output == ""


@pytest.fixture
def registry(monkeypatch):
    """Make a server's files the inputs."""

    def replace(server):
        entries = [source(server, name=name) for name in inputs.ARTICLE.values()]
        monkeypatch.setattr(inputs, "REGISTRY", {entry.name: entry for entry in entries})

    return replace


def invoke(*arguments):
    return CliRunner().invoke(command.app, [str(word) for word in arguments])


def test_the_command_fetches_what_the_article_needs(tmp_path, registry, monkeypatch):
    monkeypatch.setenv(inputs.DATA_DIR, str(tmp_path))
    with serving() as server:
        registry(server)
        (tmp_path / "gene_ids.txt").write_bytes(CONTENT)
        result = invoke()
        assert result.exit_code == 0, result.output
        assert names(tmp_path) == set(inputs.ARTICLE.values())
        assert len(server.requests) == 2
        assert "hg19.2bit: 0.3 MB, not there yet" in result.stderr
        assert "gene_ids.txt: 0.3 MB, there" in result.stderr
        assert f"to download: 0.6 MB, into {tmp_path}" in result.stderr
        assert result.stderr.count("a citation") == 2
        assert result.stdout == ""
        assert f"all there, in {tmp_path}" in invoke("--offline").stderr
        assert len(server.requests) == 2


def test_the_command_fetches_what_is_named(tmp_path, registry):
    with serving() as server:
        registry(server)
        assert invoke("gene_ids.txt", "gene_ids.txt", "--data-dir", tmp_path).exit_code == 0
        assert names(tmp_path) == {"gene_ids.txt"}
        assert isinstance(invoke("hg19.2bit", "hg20", "--data-dir", tmp_path).exception, InputError)
        offline = invoke("hg19.2bit", "--data-dir", tmp_path, "--offline").exception
        assert isinstance(offline, InputError)
        assert "offline" in str(offline)
        assert len(server.requests) == 1


def test_much_is_asked_about(tmp_path, registry, monkeypatch, capsys, refused):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with serving() as server:
        registry(server)
        monkeypatch.setattr(command, "MUCH", len(CONTENT) - 1)
        with refused("0.3 MB", "no terminal to ask on", "expected --yes"):
            command.obtain(["hg19.2bit"], tmp_path, yes=False)
        for answer in ("n\n", ""):
            monkeypatch.setattr(sys, "stdin", Terminal(answer))
            with refused("nothing fetched"):
                command.obtain(["hg19.2bit"], tmp_path, yes=False)
        assert server.requests == []
        monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
        assert command.obtain(["hg19.2bit"], tmp_path, yes=False) == {"hg19.2bit": tmp_path / "hg19.2bit"}
        assert "to download: 0.3 MB" in capsys.readouterr().err
        (tmp_path / "hg19.2bit").unlink()
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        command.obtain(["hg19.2bit"], tmp_path, yes=True)
        assert len(server.requests) == 2


def test_a_file_without_a_checksum_that_is_there_is_nothing_to_download(tmp_path, nobody, monkeypatch):
    entry = source(nobody, checksum=None, size=None)
    monkeypatch.setattr(inputs, "REGISTRY", {entry.name: entry})
    (tmp_path / "file.bin").write_bytes(CONTENT)
    told = [invoke("file.bin", "--data-dir", tmp_path).stderr for _ in range(2)]
    assert "file.bin: 0.3 MB, there; no checksum is published" in told[0]
    assert "to download" not in told[0]
    assert "all there" in told[1]
    (tmp_path / "file.bin").unlink()
    result = invoke("file.bin", "--data-dir", tmp_path, "--offline")
    assert "file.bin: size not known, not there yet" in result.stderr
    assert nobody in str(result.exception)


def test_a_part_counts_for_what_is_to_come(tmp_path, registry, monkeypatch):
    with serving(Answer(cut=130_000)) as server:
        registry(server)
        with pytest.raises(InputError):
            inputs.fetch(inputs.REGISTRY["hg19.2bit"], tmp_path, pauses=())
        left = len(CONTENT) - (tmp_path / "hg19.2bit.part").stat().st_size
        assert 0 < left < len(CONTENT)
        monkeypatch.setattr(command, "MUCH", left)
        result = invoke("hg19.2bit", "--data-dir", tmp_path)
        assert result.exit_code == 0
        assert "hg19.2bit: 0.3 MB, 0.1 MB of it there" in result.stderr
        assert "to download: 0.2 MB" in result.stderr


def test_names_are_checked_before_any_file_is_read(tmp_path, registry, monkeypatch):
    (tmp_path / "hg19.2bit").write_bytes(CONTENT)
    with serving() as server:
        registry(server)
        monkeypatch.setattr(inputs, "inspect", None)
        for arguments in ([], ["--list"], ["--offline"]):
            assert "hg20: not an input" in str(
                invoke("hg19.2bit", "hg20", "--data-dir", tmp_path, *arguments).exception
            )
        assert server.requests == []


def test_what_is_slow_to_load_is_loaded_when_there_is_something_to_fetch():
    program = "import sys, neanderthal_nlp.inputs; print(*sys.modules.keys() & {'requests', 'urllib3', 'rich'})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_all_that_is_missing_is_named_at_once(tmp_path, registry):
    with serving() as server:
        registry(server)
        (tmp_path / "gene_ids.txt").write_bytes(CONTENT)
        result = invoke("--offline", "--data-dir", tmp_path)
        missing = ["hg19.2bit", "Akey_intr_coords.bed"]
        lines = [line for line in result.stderr.splitlines() if "error:" in line]
        assert len(lines) == len(missing)
        for name, line in zip(missing, lines, strict=True):
            assert line.startswith(f"fetch: error: {name}: absent, and offline: get {server.address} ")
            assert line.endswith(str(tmp_path / name))
        assert isinstance(result.exception, InputError)
        for part in ("2 of 3", *missing, str(tmp_path), "--data-dir", inputs.DATA_DIR):
            assert part in str(result.exception)
        assert server.requests == []
    assert len(str(result.exception).splitlines()) == 1


def test_one_that_cannot_be_fetched_does_not_keep_the_others_from_it(tmp_path, registry, nobody, monkeypatch):
    """The first of three fails, then the first two; the network is waited for once."""
    waited = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    with serving() as server:
        registry(server)
        monkeypatch.setitem(inputs.REGISTRY, "hg19.2bit", source(nobody, name="hg19.2bit"))
        result = invoke("--data-dir", tmp_path)
        assert names(tmp_path) == {"Akey_intr_coords.bed", "gene_ids.txt"}
        assert "hg19.2bit: 127.0.0.1 cannot be reached" in str(result.exception)
        assert f"save it as {tmp_path / 'hg19.2bit'}; or copy" in str(result.exception)
        assert "error" not in result.stderr
        waited.clear()
        (tmp_path / "gene_ids.txt").unlink()
        (tmp_path / "Akey_intr_coords.bed").unlink()
        intr = source(nobody, name="Akey_intr_coords.bed")
        monkeypatch.setitem(inputs.REGISTRY, "Akey_intr_coords.bed", intr)
        result = invoke("--data-dir", tmp_path)
    assert names(tmp_path) == {"gene_ids.txt"}
    assert "2 of 3 inputs not there (hg19.2bit, Akey_intr_coords.bed)" in str(result.exception)
    assert re.findall(r"error: (\S+): 127.0.0.1 cannot be reached", result.stderr) == [
        "hg19.2bit",
        "Akey_intr_coords.bed",
    ]
    assert waited == list(download.PAUSES)


def listed(*arguments):
    header, *rows = (line.split("\t") for line in invoke("--list", *arguments).stdout.splitlines())
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def test_closed_streams_are_refused(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(sys, "stdout", None)
    with refused("--list: found standard output closed"):
        command.fetch(data_dir=tmp_path, listing=True)
    monkeypatch.setattr(sys, "stdin", None)
    with refused("no terminal to ask on"):
        command.obtain(["hg19.2bit"], tmp_path, yes=False)


def test_the_list_is_a_table_and_fetches_nothing(tmp_path):
    rows = listed("--data-dir", tmp_path / "none")
    assert list(rows) == list(inputs.REGISTRY)
    for name, entry in inputs.REGISTRY.items():
        assert rows[name] == {
            "name": name,
            "default": "yes" if name in inputs.ARTICLE.values() else "no",
            "state": "absent",
            "size": str(entry.size or ""),
            "checksum": entry.checksum or "",
            "by_hand": "yes" if entry.by_hand else "no",
            "address": entry.address,
            "path": str(tmp_path / "none" / name),
        }
    assert not (tmp_path / "none").exists()
    (tmp_path / "gene_ids.txt").write_bytes(CONTENT)
    rows = listed("gene_ids.txt", "gene_ids.txt", "--data-dir", tmp_path)
    assert [row["state"] for row in rows.values()] == ["wrong"]


def test_on_a_terminal_the_list_fits_80_columns(tmp_path):
    (tmp_path / "gene_ids.txt").write_bytes(CONTENT)
    (tmp_path / "refGene.txt.gz").write_bytes(CONTENT)  # the longest state: unrecorded
    (tmp_path / "introgressed_haplotypes.tar.gz").write_bytes(CONTENT)
    shown = on_a_terminal("-m", "neanderthal_nlp.cli", "fetch", "--list", "--data-dir", tmp_path)
    folder, header, *rows, legend = shown.splitlines()
    assert str(tmp_path) in folder
    assert header.split() == ["name", "size", "state", "from"]
    assert max(map(len, (header, *rows, legend))) <= 80
    starred = [row[2:].split()[0] for row in rows if row.startswith("* ")]
    assert sorted(starred) == sorted(inputs.ARTICLE.values())
    assert [row[2:].split()[0] for row in rows] == list(inputs.REGISTRY)
    assert {row.index(state) for row in rows for state in State if f" {state} " in row} == {header.index("state")}
    assert " wrong " in next(row for row in rows if "gene_ids.txt" in row)
    assert "by hand" in rows[-1]
    assert "\x1b" not in shown


def on_a_terminal(*arguments):
    """What Python prints with a terminal as its standard output."""
    ours, its = os.openpty()
    with subprocess.Popen([sys.executable, *map(str, arguments)], stdout=its):
        os.close(its)
        shown = b""
        with suppress(OSError):  # Linux tells so that the other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    return shown.decode()
