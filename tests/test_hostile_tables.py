"""Tables and settings that somebody made to do harm, or that went wrong in the way files go wrong."""

import gzip
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hostile_tables
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from neanderthal_nlp import annotation, files, intervals, profiles, splits
from neanderthal_nlp.bundle import read_bundle
from neanderthal_nlp.errors import LONGEST, InputError

READERS = {name: reader.read for name, reader in hostile_tables.READERS.items() if name != "places"}
TEXTS = sorted(READERS.keys() - {"profile", "json"})
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20)


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A reader that waits for ever ends as a failure."""

    def stop(*_: object) -> None:
        raise TimeoutError("a reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refused(name: str, path: Path) -> str:
    """Message of the refusal of a file."""
    with pytest.raises(InputError) as caught:
        READERS[name](path)
    message = str(caught.value)
    assert path.name in message
    assert len(message.splitlines()) == 1
    return message


def told(read: Callable[[Any], object], source: Any) -> str:
    """Line by which a reader refuses, or ""; anything else than that is raised."""
    try:
        read(source)
    except InputError as error:
        message = str(error)
        if message.splitlines() != [message]:
            raise
        return message
    return ""


# Sizes


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"A", "more than 1"), (b"\n", ""), (b"\0", "more than 1")],  # 1,048,576 bytes in a line, or 100 times its size
)
def test_a_gzip_bomb_takes_little_memory(name, content, message, tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(content * (1 << 24), mtime=0) * 64)  # 1 GiB in 1 MiB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert message in refused(name, path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # KiB


@pytest.mark.parametrize("name", ["bed", "genes", "table"])
def test_a_gzip_file_that_holds_a_hundred_times_its_size_is_refused(name, tmp_path):
    table = hostile_tables.READERS["table"].seeds()["genes.tsv"].replace(b"ONE", b"%s").splitlines(keepends=True)
    header, row = {
        "bed": (b"", b"chr1\t0\t100\t%s\n"),
        "genes": (b"", b"chr1\tx\tgene\t11\t90\t.\t+\t.\tID=%s\n"),
        "table": table[:2],
    }[name]
    row %= b"x" * 500
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header + row * ((20 << 20) // len(row)), 9, mtime=0))
    assert "more than 100 times its size" in refused(name, path)


@pytest.mark.parametrize("name", TEXTS)
def test_a_line_of_five_megabytes_is_refused(name, tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"chr1\t" + b"5" * 5_000_000 + b"\n")
    assert "line 1: found more than 1,048,576 bytes" in refused(name, path)


@pytest.mark.parametrize("read", [intervals.read_bed, annotation.read_genes])
def test_a_million_blank_lines_are_too_many(read, tmp_path):
    path = tmp_path / "blank"
    path.write_bytes(b"chr1\t1\t5\n" + b"\n" * 1_000_001)
    assert "line 1000002: found more than 1,000,000 blank lines" in told(read, path)


def test_a_million_rows_are_read(tmp_path):
    n = 1_000_000
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(n), "end": np.arange(n) + 5, "name": "x"})
    files.write_bed(frame, tmp_path / "four.bed")
    pd.testing.assert_frame_equal(intervals.read_bed(tmp_path / "four.bed"), frame)
    files.write_bed(frame.iloc[:, :3], tmp_path / "three.bed")
    pd.testing.assert_frame_equal(intervals.read_bed(tmp_path / "three.bed"), frame.iloc[:, :3])


# What is no file


@pytest.mark.parametrize("name", sorted(READERS))
def test_what_is_no_file_is_refused_at_once(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's address is short
    os.mkfifo("pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        places = (
            "pipe",
            "folder",
            "socket",
            "/dev/zero",
            "/dev/full",
            "/dev/null",
            "none",
            "\0",
            "x" * 5000,
            "folder/x",
        )
        for place in places:
            path = Path(place)
            with pytest.raises(InputError) as caught:
                READERS[name](path)
            assert len(str(caught.value).splitlines()) == 1


def test_a_bundle_of_pipes_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "bundle.json")
    with pytest.raises(InputError, match="found a pipe"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("place", ["a b", "ä€🧬", 'it\'s "x"', "-n", "$(id)", "%s", "a\nb", "~", "*"])
def test_every_name_of_a_file_is_fine(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(place)
    files.write_bed(pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [2]}), path)
    assert len(intervals.read_bed(path)) == 1
    path.write_text("chr1\tx\n")
    with pytest.raises(InputError) as caught:
        intervals.read_bed(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(place.replace("\n", "\\n"))
    assert os.listdir() == [place]


# Letters


def encodings(content: bytes) -> dict[str, tuple[bytes, bool]]:
    """A text in other forms, and whether it is read."""
    text = content.decode()
    return {
        "mark": (text.encode("utf-8-sig"), True),
        "windows": (content.replace(b"\n", b"\r\n"), True),
        "mac": (content.replace(b"\n", b"\r"), False),
        "utf-16": (text.encode("utf-16"), False),
        "utf-16-le": (text.encode("utf-16-le"), False),
        "latin-1": (content + "é".encode("latin-1") + b"\n", False),
    }


@pytest.mark.parametrize("form", sorted(encodings(b"")))
@pytest.mark.parametrize("name", TEXTS)
def test_encodings(name, form, tmp_path):
    for ending, content in hostile_tables.READERS[name].seeds().items():
        if ending.endswith(".gz") or ending == "x.gff3":  # GFF3 is read up to ##FASTA
            continue
        changed, is_read = encodings(content)[form]
        path = tmp_path / ending
        path.write_bytes(content)
        expected = READERS[name](path)
        path.write_bytes(changed)
        if is_read:
            assert repr(READERS[name](path)) == repr(expected)
        else:
            refused(name, path)


# Numbers and names


@pytest.mark.parametrize(
    ("start", "end"),
    [("9223372036854775808", "9223372036854775809"), ("0", "9223372036854775808"), ("-1", "5"), ("0", "1e309"),
     ("1.5", "7"), ("7", "7"), ("7", "3"), ("", "5"), ("0x1", "5"), ("١", "٥"), ("nan", "5"), ("1_0", "20")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["bed", "genes", "windows", "split"])
def test_numbers_that_are_no_place_are_refused(name, start, end, tmp_path):
    path = tmp_path / "numbers"
    frame = hostile_tables.windows().astype({"start": object, "end": object})
    if name == "split":
        frame = splits.split_table(frame, splits.split(hostile_tables.windows(), protocol="article"))
    frame.loc[3, ["start", "end"]] = start, end
    frame[["chrom", "start", "end"]].to_csv(path, sep="\t", index=False, header=False)
    if name in ("windows", "split"):
        frame.to_csv(path, sep="\t", index=False)
    refused(name, path)


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", "a/b", "a b", '"', "'", "$(id)", "%s", "é", "-x", "=1+1"]
)
def test_names_are_text(name, tmp_path):
    frame = pd.DataFrame({"chrom": [name] * 2, "start": [1, 5], "end": [2, 9], "name": [name] * 2})
    files.write_bed(frame, tmp_path / "x.bed")
    pd.testing.assert_frame_equal(intervals.read_bed(tmp_path / "x.bed"), frame)
    assert annotation.read_genes(tmp_path / "x.bed")["gene_symbol"].tolist() == [name] * 2
    assert os.listdir(tmp_path) == ["x.bed"]


def test_a_gene_of_a_gff3_cannot_break_a_line(tmp_path):
    path = tmp_path / "x.gff3"
    path.write_bytes(b"chr1\tx\tgene\t11\t90\t.\t+\t.\tName=A%0AB%09C%00\n")
    assert "line 1" in refused("genes", path)


@pytest.mark.parametrize(
    "name", ["../x", "/x", ".", "..", "a/b", "-x", ".x", "logs", "a" * 101, "", "é", "a b", "CON\0"]
)
def test_a_name_in_a_sheet_stays_in_its_folder(name, tmp_path):
    (tmp_path / "genome.fa").touch()
    path = tmp_path / "sheet.tsv"
    path.write_text(f"name\tgenome\n{name}\tgenome.fa\n")
    refused("sheet", path)


def test_fields_without_number_are_refused(tmp_path):
    path = tmp_path / "wide"
    path.write_bytes(b"chr1\t0\t5" + b"\tx" * 400_000 + b"\n")
    refused("bed", path)
    path.write_bytes(b"\t" * 400_000 + b"\n" + b"1\t" * 400_000 + b"\n")
    assert "more than 10,000 columns" in refused("table", path)


def test_a_row_with_more_fields_than_the_header_is_refused(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_bytes(b"kmer\tcount\nAA\t1\t2\nAC\t1\t2\n")
    with pytest.raises(InputError, match=r"x\.tsv: not a table of this package"):
        files.read_table(path)


# JSON and YAML


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, '{"a": ' + "9" * 5000 + "}", "", "\0"]
)
def test_json_is_refused(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text)
    refused("json", path)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)
MERGES = "a: &a {x: 1}\n" + "".join(f"m{i}: &m{i}\n  <<: [*a, *a]\n" for i in range(30))


@pytest.mark.parametrize(
    "text",
    [LAUGHS, f"seed: {LAUGHS!r}", MERGES, "seed: &x 1\nk: *x\n", "&a [*a]", "seed: 1\nseed: 2\n", "k: " + "[" * 10_000,
     "seed: " + "9" * 100_000, "seed: " + "9" * 5000, "seed: 0x" + "f" * 60_000, "? 0x" + "f" * 9000 + "\n: 1\n",
     "seed: [0x" + "f" * 9000 + "]", "seed: " + "1:" * 30_000 + "1", "seed: 2020-01-01", "seed: 2020-99-99",
     "genome: !!binary aGVsbG8=", "genome: !!binary x", "seed: !!int ''", "seed: !!float x", "seed: !!bool x",
     "seed: !!timestamp x", "genome: !!python/object/apply:os.system ['touch ran']", "genome: !!python/name:os.system",
     "!!python/object/new:os.system ['touch ran']", "genome: !x y", "genome: \"a\\nb\"", "genome: \"\\0\"",
     "genome: \"\\uD800\"", "seed:\t1\n\tk: 2\n", "a: b: c", "---\nseed: 1\n---\nseed: 2\n", "seed: .inf", "seed: true",
     "audit: 1", "audit: 1.0", "? [1]\n: 2\n", "? {}\n: 2\n", "seed: " + "x" * 70_000, "- 1", "3", "", "null"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_yaml_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert len(refused("profile", path)) <= LONGEST
    assert os.listdir() == ["x.yaml"]


@pytest.mark.parametrize(
    "value", ["[" * 9000, "&a [*a]", "0x" + "f" * 9000, "!!python/object/apply:os.system [id]", "\0"]
)
def test_a_setting_is_refused(value):
    with pytest.raises(InputError) as caught:
        profiles.read_profile("demo", [f"seed={value}"])
    assert len(str(caught.value).splitlines()) == 1


# Properties

PLACES = st.tuples(st.integers(0, 10**11), st.integers(1, 10**6))


@given(rows=st.lists(st.tuples(NAMES, PLACES, NAMES), min_size=1), zipped=st.booleans())
def test_what_is_written_as_bed_is_read_again(rows, zipped, tmp_path):
    chroms, places, names = zip(*rows, strict=True)
    frame = pd.DataFrame({"chrom": [f"c{chrom}" for chrom in chroms], "start": [start for start, _ in places],
                          "end": [start + length for start, length in places], "name": names})  # fmt: skip
    path = tmp_path / "x.bed"
    files.write_bed(frame, path)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes(), 1, mtime=0))
    pd.testing.assert_frame_equal(intervals.read_bed(path), frame, check_dtype=False)
    found = annotation.read_genes(path)
    expected = frame.rename(columns={"name": "gene_symbol"}).drop_duplicates(ignore_index=True)
    expected["gene_symbol"] = np.where(
        expected["gene_symbol"] == ".",
        expected["chrom"] + ":" + (expected["start"] + 1).astype(str) + "-" + expected["end"].astype(str),
        expected["gene_symbol"],
    )
    pd.testing.assert_frame_equal(found.drop(columns="strand"), expected, check_dtype=False)


@given(seed=st.integers(0, 99), test_size=st.floats(0.2, 0.8))
def test_a_split_that_is_written_is_read_again(seed, test_size, tmp_path):
    windows = hostile_tables.windows()
    parts = splits.split(windows, protocol="article", seed=seed, test_size=test_size)
    files.write_table(splits.split_table(windows, parts), tmp_path / "split.tsv")
    for found, expected in zip(splits.read_split(tmp_path / "split.tsv", windows), parts, strict=True):
        np.testing.assert_array_equal(found, expected)


@given(
    values=st.fixed_dictionaries(
        {}, optional={"seed": st.integers(0, 2**32 - 1), "k": st.integers(2, 10), "audit": st.booleans(),
                      "genome": st.none() | NAMES, "protocol": st.sampled_from(["article", "cluster"])},
    )
)  # fmt: skip
def test_a_profile_that_is_written_is_read_again(values, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"epochs": 3, **values}), encoding="utf-8")
    assert profiles.read_profile(str(path)) == {**profiles.read_profile("article"), "epochs": 3, **values}


@settings(max_examples=20)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode),
                         st.text("chr0123456789\t\n:-+#[]{}&*!? \"'.,", max_size=200).map(str.encode)))  # fmt: skip
@pytest.mark.parametrize("name", sorted(READERS))
def test_anything_is_read_or_refused(name, content, tmp_path):
    path = tmp_path / "anything"
    path.write_bytes(content)
    message = told(READERS[name], path)
    assert not message or path.name in message


@given(text=st.text(max_size=50))
def test_any_text_is_a_place_or_refused(text):
    read = partial(intervals.read_places, chromsizes={"chr1": 1000}, source="--regions")
    if not told(read, text):
        hostile_tables.check_intervals(read(text))


@given(text=st.text(max_size=3000))
def test_a_message_is_one_line_that_can_be_printed(text):
    message = str(InputError(text))
    assert message.isprintable()
    assert len(message) <= LONGEST
    assert message == text or not text.isprintable() or len(text) > LONGEST
