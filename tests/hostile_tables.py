"""Readers of tables and settings, and files to mutate for them; see `hostile`."""

from __future__ import annotations

import gzip
import io
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hostile import Reader

from neanderthal_nlp import annotation, files, genes, intervals, predictions, profiles, sequences, sheet, splits
from neanderthal_nlp.audit.gene_table import GENE_COLUMNS
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import write_table

_SIZES = {"chr1": 1_000, "chr2": 500}
_BED = b"track name=x\n#a comment\nchr1\t0\t100\ta\t5\t+\nchr1\t50\t200\tb\t0\t-\nchr2\t7\t9\tc\t1\t.\n"
_PLAIN = b"chr1\t0\t100\nchr1\t50\t200\nchr2\t7\t9\n" * 5
_CHROMSIZES = b"chr1\t1000\nchr2\t500\n"
_FAI = b"chr1\t1000\t6\t60\t61\nchr2\t500\t1030\t60\t61\n"
_REFGENE = (
    b"585\tNR_1\tchr1\t+\t10\t90\t20\t80\t2\t10,50,\t30,90,\t0\tONE\tcmpl\tcmpl\t0,1,\n"
    b"585\tNR_2\tchr2\t-\t30\t60\t30\t60\t1\t30,\t60,\t0\tTWO\tunk\tunk\t-1,\n"
)
_GTF = (
    b'chr1\tx\tgene\t11\t90\t.\t+\t.\tgene_id "G1"; gene_name "ONE";\n'
    b'chr1\tx\ttranscript\t11\t90\t.\t+\t.\tgene_id "G1"; transcript_id "T1";\n'
    b'chr2\tx\tgene\t31\t60\t.\t-\t.\tgene_id "G2"; gene_name "TWO";\n'
    b'chr2\tx\texon\t31\t60\t.\t-\t.\tgene_id "G2"; transcript_id "T2";\n'
)
_GFF3 = (
    b"##gff-version 3\nchr1\tx\tgene\t11\t90\t.\t+\t.\tID=gene:G1;Name=ONE%2C\n"
    b"chr1\tx\tmRNA\t11\t90\t.\t+\t.\tParent=G1\n"
    b"chr2\tx\tncRNA_gene\t31\t60\t.\t-\t.\tID=G2\n##FASTA\n>chr1\nACGT\n"
)
_GENES = {
    "refGene.txt": _REFGENE,
    "x.gtf": _GTF,
    "transcripts.gtf": b"\n".join(line for line in _GTF.split(b"\n") if b"\tgene\t" not in line),
    "x.gff3": _GFF3,
    "x.bed": _BED,
    "list.txt": b"chr1:11-90\tONE\nchr2:31-60\tTWO\nchr2:31-60\tTWO\n",
}
_PREDICTIONS = (
    b"Gene\tGene_Symbol\tPredict\tProb_0\tProb_1\nchr1:11-90\tONE\t1.0\t0.25\t0.75\nchr2:31-60\tTWO\t0.0\t0.9\t0.1\n"
)
_SHEET = b"name\tgenome\tregions\none\tgenome.fa\t\ntwo\tgenome.fa\tchr1:1-10\nthree\tgenome.fa\tplaces.bed\n"


def _with_gzip(found: Mapping[str, bytes]) -> dict[str, bytes]:
    return {**found, **{f"{name}.gz": gzip.compress(data, mtime=0) for name, data in found.items()}}


@cache
def windows() -> pd.DataFrame:
    """A table of 40 windows in pairs."""
    start = np.arange(40) * 10
    label = np.arange(40) % 2
    return pd.DataFrame({
        "chrom": np.where(start < 200, "chr1", "chr2"), "start": start, "end": start + 10, "label": label,
        "pair": np.arange(40) // 2, "cluster": np.arange(40), "region_start": start, "region_end": start + 20,
    })  # fmt: skip


def _written(frame: pd.DataFrame, name: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_table(frame, Path(folder) / name)
        return {name: (Path(folder) / name).read_bytes()}


def _split_seeds() -> dict[str, bytes]:
    table = splits.split_table(windows(), splits.split(windows(), protocol="article"))
    by_hand = table.drop(columns=["pair", "position"])
    return _with_gzip(_written(table, "split.tsv") | _written(by_hand, "by_hand.tsv"))


def _gene_table() -> dict[str, bytes]:
    table = pd.read_csv(io.BytesIO(_PREDICTIONS), sep="\t")
    return _written(table.assign(chrom="chr1", start=[10, 30], end=[90, 60], gc=[0.5, np.nan]), "genes.tsv")


def _scan() -> dict[str, bytes]:
    row = {"record": "chr1", "start": 0, "end": 100, "chrom": "chr1", "chrom_start": 0, "chrom_end": 100, "letters": 99,
           "gc": 0.4, "score": 0.1, "probability": 0.6, "low": 0.5, "high": 0.7, "call": "introgressed", "seen": "",
           "speak_for": "AAAAA +0.3"}  # fmt: skip
    missing = {"probability": None, "low": None, "high": None, "chrom": "", "chrom_start": None, "chrom_end": None}
    return _with_gzip(_written(pd.DataFrame([row, row | missing]), "scan.tsv"))


def check_intervals(frame: pd.DataFrame) -> None:
    """Rows are places, named by text that stands on a line."""
    assert len(frame) > 0
    assert list(frame.columns[:3]) == ["chrom", "start", "end"]
    assert frame["start"].dtype == frame["end"].dtype == np.int64
    assert (frame["start"] >= 0).all()
    assert (frame["start"] < frame["end"]).all()
    assert frame["chrom"].map(_is_name).all()


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip()) and not set("\0\t\n\r") & set(text)


def _check_genes(frame: pd.DataFrame) -> None:
    check_intervals(frame)
    assert frame["gene_symbol"].map(_is_name).all()
    assert frame["strand"].isin(["+", "-", "."]).all()


def _check_sizes(found: Mapping[str, int]) -> None:
    assert found
    assert all(_is_name(name) and 0 < size < 1e12 for name, size in found.items())


def _check_predictions(frame: pd.DataFrame) -> None:
    assert all(frame[name].between(0, 1).all() for name in ("Predict", "Prob_0", "Prob_1"))
    assert frame[["Gene", "Gene_Symbol"]].map(lambda cell: isinstance(cell, str)).all(axis=None)


def _check_split(parts: splits.Split) -> None:
    rows = np.concatenate(parts)
    assert len(np.unique(rows)) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < len(windows())
    assert all(set(windows()["label"].iloc[part]) == {0, 1} for part in parts)


def _check_windows(frame: pd.DataFrame) -> None:
    check_intervals(frame)
    assert frame["label"].isin([0, 1]).all()


def _check_table(frame: pd.DataFrame) -> None:
    for name, kind in GENE_COLUMNS.items():
        assert pd.api.types.is_numeric_dtype(frame[name]) is (kind is not str), name


def _check_profile(profile: Mapping[str, Any]) -> None:
    assert profile.keys() - set(profiles.INPUTS) == profiles.read_profile("article").keys()
    for value in profile.values():
        assert value is None or isinstance(value, (bool, int, str))
        assert not isinstance(value, str) or "\n" not in value


def _read_places(path: Path) -> pd.DataFrame:
    """A text as a user gives it; that of an error is the file's name."""
    try:
        return intervals.read_places(path.read_text("utf-8", errors="surrogateescape"), _SIZES, source=str(path))
    except InputError as error:  # a file that the text names is named
        raise InputError(f"{path}: {error}") from None


def _read_sheet(path: Path) -> list[sheet.Entry]:
    for name in ("genome.fa", "places.bed"):
        path.with_name(name).touch()
    return sheet.read_sheet(path)


def _check_sheet(entries: list[sheet.Entry]) -> None:
    assert entries
    for entry in entries:
        assert Path(entry.name).name == entry.name
        assert entry.genome.is_file()


def _read_batches(path: Path) -> int:
    return sum(len(batch) for batch in predictions.read_batches(path))


def _table(columns: Mapping[str, Any]) -> Callable[[Path], pd.DataFrame]:
    return lambda path: files.read_table(path, columns)


_PLACES = (b"chr1", b"chr2", b"100", b"50", b"999999999999", b"1e3", b"1.0", b"+")
_YAML = (
    b"&a ", b"*a", b"<<: *a\n", b"!!python/object/apply:os.system [id]", b"!!binary ", b"!!timestamp x", b"!!int ''",
    b"!!float x", b"!!bool x", b"!!set ", b"? ", b": ", b"- ", b"0x" + b"f" * 9999, b"9" * 9999, b"1:1" * 999,
    b"2020-99-99", b"[" * 999, b"{a: " * 999, b"epochs: 3\n", b"genome: \"\\uD800\"\n", b"genome: \"a\\nb\"\n", b".inf",
    b"audit: 1\n", b"---\n", b"%YAML 1.1\n", b"|\n", b"null",
)  # fmt: skip

READERS = {
    "bed": Reader(
        lambda: _with_gzip({"x.bed": _BED, "plain.bed": _PLAIN, "blanks.bed": _BED.replace(b"\t", b" ")}),
        intervals.read_bed, (b"browser ", b"track ", b"chrom\tstart\tend\n", *_PLACES), check=check_intervals,
    ),
    "places": Reader(
        lambda: {"a": b"chr1", "b": b"chr1:1-100", "c": b"2:1,0-2,00", "d": b"/etc/passwd"}, _read_places,
        (b":", b"-", b",", *_PLACES, b"a" * 5000, b"/dev/zero"), check=check_intervals,
    ),
    "chromsizes": Reader(
        lambda: _with_gzip({"x.sizes": _CHROMSIZES, "x.fai": _FAI}), intervals.read_chromsizes, _PLACES,
        check=_check_sizes,
    ),
    "genes": Reader(
        lambda: _with_gzip(_GENES), annotation.read_genes,
        (b"gene", b"gene_id \"", b"transcript_id", b"ID=", b"Name=", b"%00", b"%0A", b";", b":", b"##FASTA\n",
         *_PLACES),
        check=_check_genes,
    ),
    "predictions": Reader(
        lambda: _with_gzip({"x.txt": _PREDICTIONS}), genes.read_predictions, (b"0.5", b"inf", b"-0.0", b"Prob_1"),
        check=_check_predictions,
    ),
    "split": Reader(
        _split_seeds, lambda path: splits.read_split(path, windows()), (b"train", b"test", b"unused", b"1.5", *_PLACES),
        check=_check_split,
    ),
    "windows": Reader(
        lambda: _with_gzip(_written(windows(), "windows.tsv")), sequences.read_windows, _PLACES, check=_check_windows
    ),
    "table": Reader(
        lambda: _with_gzip(_gene_table()), _table(GENE_COLUMNS), (b"1.5", b"True", b"inf", b"\"\"\"", *_PLACES),
        check=_check_table,
    ),
    "json": Reader(
        lambda: {"x.json": b'{\n "format": 1,\n "parameters": {"seed": 42, "x": [1.5, null, "\\u00e9"]}\n}\n'},
        files.read_record, (b"[" * 5000, b"{\"a\":" * 5000, b"1e999", b"NaN", b"Infinity", b"\\ud800", b"9" * 5000),
    ),
    "scan": Reader(_scan, _read_batches, (b"introgressed", *_PLACES), check=lambda rows: math.isfinite(rows)),
    "profile": Reader(
        lambda: {f"{name}.yaml": (resources("neanderthal_nlp.workflow") / f"profiles/{name}.yaml").read_bytes()
                 for name in profiles.PROFILES} | {"small.yaml": b"epochs: 3\nseed: 1\ngenome: a.fa\n"},
        lambda path: profiles.read_profile(str(path)), _YAML, check=_check_profile,
    ),
    "sheet": Reader(
        lambda: {"x.tsv": _SHEET}, _read_sheet, (b"../x", b"~nobody/x", b".", b"..", b"logs", b"a" * 300, b"genome.fa"),
        check=_check_sheet,
    ),
}  # fmt: skip
