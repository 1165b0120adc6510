"""Reading text, writing results."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp import files

CONTROL = "".join(map(chr, range(32))).replace("\t", "") + "\x7f"
LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters=CONTROL + "\ufeff")), min_size=1)


@given(lines=LINES, newline=st.sampled_from(["\n", "\r\n"]), zipped=st.booleans(), marked=st.booleans())
def test_read_lines_reads_every_dialect(tmp_path, lines, newline, zipped, marked):
    raw = (newline.join(lines) + newline).encode("utf-8-sig" if marked else "utf-8")
    path = tmp_path / "text"
    path.write_bytes(gzip.compress(raw, mtime=0) if zipped else raw)
    assert list(files.read_lines(path)) == list(enumerate(lines, start=1))


def test_read_lines_needs_no_last_newline_and_reads_every_gzip_member(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"one\ntw", mtime=0) + gzip.compress(b"o\nthree", mtime=0))
    assert list(files.read_lines(path)) == [(1, "one"), (2, "two"), (3, "three")]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "cannot be read"),
        (b"", "empty"),
        (b"first\n\xff\xfe\n", "line 2"),
        (gzip.compress(b"text\n" * 99_999, mtime=0)[:-9], "gzip"),
        (gzip.compress(b"text\n" * 99, mtime=0)[:-4] + b"\0\0\0\0", "gzip"),
        (gzip.compress(b"text\n", mtime=0)[:2], "gzip"),
    ],
)
def test_read_lines_refuses(tmp_path, refused, content, named):
    path = tmp_path / "text"
    if content is not None:
        path.write_bytes(content)
    with refused(path, named):
        list(files.read_lines(path))


def test_what_cannot_be_read_as_a_file_is_refused(tmp_path, refused):
    path = tmp_path / "file"
    path.write_bytes(b"\0")
    files.check_file(path)
    assert not files.is_gzip(path)
    path.write_bytes(gzip.compress(b""))
    assert files.is_gzip(path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    cases = {"pipe": "a pipe", "empty": "empty", "none": "cannot be read", "": "cannot be read", "\0": "no file can"}
    for name, told in cases.items():
        for look in (files.check_file, files.is_gzip):
            with refused(tmp_path, told):
                look(tmp_path / name)


def test_read_lines_refuses_a_folder(tmp_path, refused):
    with refused(tmp_path, "cannot be read"):
        list(files.read_lines(tmp_path))


def test_replacing_moves_a_complete_file_into_place(tmp_path):
    path = tmp_path / "new" / "folder" / "result"
    with files.replacing(path) as part:
        part.write_text("done")
        assert not path.exists()
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "result"
    path.write_text("old")

    def fail():
        with files.replacing(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_survives_another_writer_of_the_same_file(tmp_path):
    path = tmp_path / "result"
    with files.replacing(path) as mine:
        mine.write_text("same")
        with files.replacing(path) as theirs:
            theirs.write_text("same")
    assert path.read_text() == "same"


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"], exclude_characters="\"'"), min_size=1)


@given(
    rows=st.lists(
        st.tuples(
            st.one_of(NAMES, st.sampled_from(["NA", "NAN", "nan", "None", "null", "1"])),
            st.integers(-(2**62), 2**62),
            st.floats(allow_infinity=False),
        ),
        min_size=1,
    )
)
def test_a_table_reads_back(tmp_path, rows):
    path = tmp_path / "table.tsv"
    frame = pd.DataFrame(rows, columns=["kmer", "count", "value"])
    files.write_table(frame, path)
    back = files.read_table(path, {"kmer": str, "count": np.int64, "value": np.float64})
    assert list(back.columns) == list(frame.columns)
    assert back["kmer"].tolist() == frame["kmer"].tolist()
    assert back["count"].tolist() == frame["count"].tolist()
    for value, read in zip(frame["value"], back["value"], strict=True):
        assert math.isnan(read) if math.isnan(value) else read == pytest.approx(value, rel=1e-8, abs=0)


def test_a_chromosome_stays_a_name(tmp_path):
    path = tmp_path / "table.tsv"
    files.write_table(pd.DataFrame({"chrom": ["1", "01"], "start": [1, 2]}), path)
    assert path.read_bytes() == b"chrom\tstart\n1\t1\n01\t2\n"
    assert files.read_table(path)["chrom"].tolist() == ["1", "01"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "empty"),
        (b"kmer\tcount\nAA\t1\n", "value"),
        (b"kmer\tcount\tvalue\nAA\tmany\t1\n", "many"),
        (b"kmer\tcount\tvalue\nAA\t\t1\n", "not a table"),
        (bytes(range(256)), "line 1: not text"),
        pytest.param(b"kmer\tcount\tvalue\nAA\t1\t1\nAA\t1\t1\t1\n", "line 3"),
    ],
)
def test_read_table_refuses(tmp_path, refused, content, named):
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    with refused(path, named):
        files.read_table(path, {"kmer": str, "count": np.int64, "value": np.float64})


def test_read_table_refuses_truncated_gzip(tmp_path, refused):
    path = tmp_path / "table.tsv.gz"
    path.write_bytes(gzip.compress(b"kmer\tcount\n" + b"AA\t1\n" * 99, mtime=0)[:-12])
    with refused(path):
        files.read_table(path)


def test_write_bed_has_no_header(tmp_path):
    path = tmp_path / "regions.bed"
    files.write_bed(pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [5], "name": ["a b"]}), path)
    assert path.read_bytes() == b"chr1\t0\t5\ta b\n"


WORDS = st.text(max_size=5)


@given(value=st.dictionaries(WORDS, st.none() | st.booleans() | st.integers() | st.lists(WORDS)))
def test_json_reads_back(tmp_path, value):
    path = tmp_path / "value.json"
    files.write_json(value, path)
    assert files.read_json(path) == value
    assert json.loads(path.read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff{}"])
def test_read_json_refuses(tmp_path, refused, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with refused(path):
        files.read_json(path)


def test_provenance_names_inputs_by_hash(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"letters")
    record = files.provenance({"genome": path}, {"k": 5}, 1.23456)
    assert record["inputs"]["genome"] == {"path": str(path), "sha256": hashlib.sha256(b"letters").hexdigest()}
    assert record["parameters"] == {"k": 5}
    assert record["seconds"] == 1.235
    assert {"neanderthal_nlp", "numpy", "scikit-learn", "pysam"} <= set(record["versions"])
    assert all(record["versions"].values())
    files.write_json(record, Path(tmp_path / "provenance.json"))


def test_what_is_kept_is_not_written_over_by_any_of_its_names(tmp_path, refused):
    given, other, link, folder = (tmp_path / name for name in ("given", "other", "link", "folder"))
    given.write_text("mine")
    link.symlink_to(given)
    folder.symlink_to(tmp_path)
    for kept in (given, link, folder / "given"):
        with files.keeping([kept]), files.keeping([other]):
            for path in (given, folder / "given", tmp_path / "x/../given"):
                with refused(path, "found an input of this command"), files.replacing(path):
                    pytest.fail("written")
    with files.keeping([link]), refused(link, "found an input"), files.replacing(link):
        pytest.fail("written")
    (tmp_path / "sub/below").mkdir(parents=True)
    (tmp_path / "deep").symlink_to(tmp_path / "sub/below")  # deep/.. is sub
    (tmp_path / "sub/given").write_text("mine, too")
    with files.keeping([tmp_path / "sub/given"]):
        with refused("found an input"), files.replacing(tmp_path / "deep/../given"):
            pytest.fail("written")
        with (
            refused(tmp_path / "sub", "found an input of this command in it"),
            files.replacing_folder(tmp_path / "sub"),
        ):
            pytest.fail("written")
    assert (tmp_path / "sub/given").read_text() == "mine, too"
    with files.keeping([given]), refused(link, "found an input"), files.replacing(link):  # would leave two files
        pytest.fail("written")
    assert given.read_text() == "mine"
    with files.replacing(given) as part:
        part.write_text("later")
    assert given.read_text() == "later"


def test_a_pipe_or_a_device_is_not_replaced(tmp_path, refused):
    pipe, link = tmp_path / "pipe", tmp_path / "null"
    os.mkfifo(pipe)
    link.symlink_to(os.devnull)
    for path in (pipe, link):
        with refused(path, "found a pipe, a socket or a device, expected a file to write"), files.replacing(path):
            pytest.fail("written")
    assert pipe.is_fifo()
    assert link.is_symlink()
