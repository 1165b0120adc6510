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
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neanderthal_nlp import inputs
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
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}")
        if answer.etag:
            self.send_header("ETag", answer.etag)
        if answer.length:
            self.send_header("Content-Length", str(len(body)))
        for header in answer.headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body[: answer.cut])
        server.sent += len(body[: answer.cut])

    def log_message(self, *_):
        pass


@contextmanager
def serving(*answers, default=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.default, server.requests, server.sent = list(answers), default or Answer(), [], 0
        server.address = f"http://127.0.0.1:{server.server_port}/file"
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
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", inputs.DATA_DIR):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{place.getsockname()[1]}/file"


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
        with refused("file.bin", server.address, "cannot be reached"):
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


@pytest.mark.parametrize("note", [None, {"address": "http://127.0.0.1/another"}])
def test_a_part_of_unknown_origin_starts_anew(tmp_path, note):
    (tmp_path / "file.bin.part").write_bytes(OTHER[:1000])
    if note:
        (tmp_path / "file.bin.part.json").write_text(json.dumps(note))
    with serving() as server:
        assert inputs.fetch(source(server), tmp_path, pauses=()).read_bytes() == CONTENT
        assert server.requests == [("/file", None, None)]


def test_corrupt_content_is_removed_and_told_of(tmp_path, refused):
    with serving(Answer(OTHER)) as server:
        with refused(server.address, f"found sha256 {sha256(OTHER)[7:]}", f"expected {sha256(CONTENT)[7:]}"):
            inputs.fetch(source(server), tmp_path)
        assert names(tmp_path) == set()
        assert inputs.fetch(source(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_a_file_of_another_size_is_removed_and_told_of(tmp_path, length, refused):
    longer = Answer(CONTENT + b"x", length=length)
    with serving(longer) as server, refused(server.address, "found 300,001 bytes", "expected 300,000"):
        inputs.fetch(source(server), tmp_path)
    assert names(tmp_path) == set()
    assert len(server.requests) == 1


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
    monkeypatch.setattr(inputs.time, "sleep", waited.append)
    with serving(*[Answer(status=503)] * 4) as server:
        inputs.fetch(source(server), tmp_path)
    assert waited == list(inputs.PAUSES) == sorted(set(inputs.PAUSES))


def test_without_a_connection_one_line_says_what_to_do(tmp_path, nobody, refused):
    with refused(f"get file.bin from {nobody} and put it into {tmp_path}", "Connection refused"):
        inputs.fetch(source(nobody), tmp_path, pauses=[0])
    with refused(f"get file.bin from {nobody} and put it into {tmp_path / 'new'}", "offline"):
        inputs.fetch(source(nobody), tmp_path / "new", offline=True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file.bin").write_bytes(OTHER)
    with refused(f"found sha256 {sha256(OTHER)[7:]}", nobody):
        inputs.fetch(source(nobody), tmp_path, offline=True)
    assert (tmp_path / "file.bin").read_bytes() == OTHER


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
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda _: usage._replace(free=299_999))
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
    with refused(calls.address, "by hand", f"put it into {tmp_path}"):
        inputs.fetch(calls, tmp_path)
    (tmp_path / calls.name).write_bytes(CONTENT)
    assert inputs.fetch(calls, tmp_path) == tmp_path / calls.name
    assert inputs.inspect(calls, tmp_path).state is State.complete


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


def test_the_list_has_a_line_an_input_and_fetches_nothing(tmp_path, nobody):
    result = invoke("--list", "--data-dir", tmp_path / "none")
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[2:]}
    assert set(rows) == set(inputs.REGISTRY)
    for name, entry in inputs.REGISTRY.items():
        assert entry.address in rows[name]
        assert (entry.checksum or "–") in rows[name]
        assert "absent" in rows[name]
    assert "816,241,703" in rows["hg19.2bit"]
    assert "by hand" in rows["introgressed_haplotypes.tar.gz"]
    assert not (tmp_path / "none").exists()
    (tmp_path / "gene_ids.txt").write_bytes(CONTENT)
    result = invoke("--list", "gene_ids.txt", "--data-dir", tmp_path)
    assert "wrong" in result.stdout
    assert len(result.stdout.splitlines()) == 3
