"""Gene annotations: UCSC genePred, GTF, GFF3, BED and the article's list of regions (article, section 3).

Genes are rows of a DataFrame with the columns `chrom` (str), `start`, `end` (int64, 0-based half-open, nt),
`gene_symbol` (str) and `strand` ('+', '-', or '.' when unknown).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_lines

GENE_FEATURES = frozenset({"gene", "ncRNA_gene", "pseudogene"})
"""Feature types of GFF3 that stand for a gene."""

_STRANDS = frozenset({"+", "-"})
_IDENTITY = ["chrom", "start", "end", "gene_symbol"]
_MAX_DIGITS = 12
_REGION = re.compile(r"(\S+):(-?\w+)-(-?\w+)")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029]")
_INTEGER = re.compile(r"-?[0-9]+")
_GFF3_ATTRIBUTES = re.compile(r"\s*([^\s=\"]+=.*|\.?)")
_GTF_ATTRIBUTES = re.compile(r"\s*[\w.-]+\s+\S.*")


class _Row(NamedTuple):
    chrom: str
    start: int
    end: int
    gene_symbol: str
    strand: str


class _BadRow(Exception):  # noqa: N818 (never leaves this module: `read_genes` adds the file and the line)
    pass


class _Records:
    """Fields of the data lines of a file; `number` is the line that was read last."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self.number = 0

    def __iter__(self) -> Iterator[list[str]]:
        n_fields = 0
        for number, line in read_lines(self._path):
            self.number = number
            if line.startswith("##FASTA"):
                return
            if line.startswith(("#", "track ", "browser ")) or not line or line.isspace():
                continue
            fields = line.split("\t") if "\t" in line else line.split()
            n_fields = n_fields or len(fields)
            if len(fields) != n_fields:
                raise _BadRow(f"found {len(fields)} fields, expected {n_fields} as in the first record")
            yield fields


def read_genes(path: str | Path) -> pd.DataFrame:
    """Read a gene annotation; its form is recognised by its content, not by its name.

    =============  ==================================================================================
    form           what becomes a gene
    =============  ==================================================================================
    UCSC genePred  every transcript, as in the article (`refGene`, with or without the column `bin`);
                   symbol: `name2`, or `name` in the short form; refFlat: `geneName` (never a number)
    GTF            rows of feature `gene`. Where there are none, the transcripts of one `gene_id` on
                   one strand that overlap are merged (copies elsewhere on the chromosome stay apart).
                   Symbol: `gene_name`, else `gene_id`
    GFF3           rows of feature `gene`, `ncRNA_gene` or `pseudogene`, up to `##FASTA`; symbol: the
                   first of `Name`, `gene_name`, `gene`, `ID`
    BED            every row; symbol: column 4, or `chrom:start-end` (1-based inclusive) without one
    regions        the article's `gene_ids.txt`: `chrom:start-end` (1-based inclusive), tab, symbol
    =============  ==================================================================================

    Plain or gzip, LF or CRLF; comments, blank lines, `track` and `browser` lines are skipped.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    DataFrame
        `chrom` (str), `start`, `end` (int64, 0-based half-open), `gene_symbol` (str), `strand` (str), in the
        order of the file. Of rows with the same interval and symbol the first is kept, except in the article's
        own list, which is taken row by row: it repeats 59 of its 21,503 rows, and so does the published table.

    Raises
    ------
    InputError
        The file is missing, empty, truncated, binary or not an annotation, or a record's interval is not
        two whole numbers, is negative, inverted or empty.
    """
    records = _Records(path)
    try:
        stream = iter(records)
        first = next(stream, None)
        read = _recognise(first) if first else None
        rows = read(chain([first], stream)) if read and first else []
    except _BadRow as error:
        raise InputError(f"{path}: line {records.number}: {error}") from None
    if not rows:
        raise InputError(
            f"{path}: no gene found (expected UCSC genePred, GTF, GFF3, BED or chrom:start-end and symbol)"
        )
    genes = pd.DataFrame(rows, columns=list(_Row._fields)).astype({"start": np.int64, "end": np.int64})
    return genes if read is _read_regions else genes.drop_duplicates(_IDENTITY, ignore_index=True)


def _recognise(fields: list[str]) -> Callable[[Iterable[list[str]]], list[_Row]]:
    """Choose the reader of an annotation by its first record."""
    if len(fields) >= 10 and _STRANDS & set(fields[2:4]):
        return _read_genepred
    if len(fields) == 9 and fields[6] in {"+", "-", ".", "?"}:
        if _GFF3_ATTRIBUTES.fullmatch(fields[8]):
            return _read_gff3
        if _GTF_ATTRIBUTES.fullmatch(fields[8]):
            return _read_gtf
    if len(fields) >= 3 and any(map(_INTEGER.fullmatch, fields[1:3])):
        return _read_bed
    if len(fields) >= 2 and _REGION.fullmatch(fields[0]):
        return _read_regions
    found = "\t".join(fields)
    raise _BadRow(f"not a gene annotation (found {found[:40]!r}, expected UCSC genePred, GTF, GFF3, BED "
                  "or chrom:start-end and symbol)")  # fmt: skip


def _row(chrom: str, start: str, end: str, symbol: str, strand: str = ".", *, first: int = 0) -> _Row:
    """Check an interval whose first possible `start` is `first`: 0 half-open or 1 inclusive."""
    for field in (start, end):
        if not _INTEGER.fullmatch(field) or len(field) > _MAX_DIGITS:
            raise _BadRow(f"found {field[:40]!r}, expected a whole number")
    begin, stop = int(start) - first, int(end)
    region = f"{chrom[:40]}:{start}-{end}"
    if begin < 0 or not chrom:
        raise _BadRow(f"found {region}, expected a chromosome and a start of at least {first}")
    if stop <= begin:
        order = "start <= end" if first else "start < end"
        raise _BadRow(f"interval {region} is inverted or empty (expected {order})")
    if _CONTROL.search(symbol + chrom):  # GFF3 can spell a tab or the end of a line
        raise _BadRow(f"found {symbol[:40]!r} on {chrom[:40]!r}, expected names without control characters")
    symbol = symbol or f"{chrom}:{begin + 1}-{stop}"
    return _Row(chrom, begin, stop, symbol, strand if strand in _STRANDS else ".")


def _read_genepred(records: Iterable[list[str]]) -> list[_Row]:
    rows = []
    for fields in records:
        # The column before the name, if any, is `bin`, or refFlat's gene symbol.
        before = "" if fields[2] in _STRANDS else fields[0]
        name, chrom, strand, start, end, *rest = fields[1:] if before else fields
        name2 = rest[6] if len(rest) >= 10 else ""
        symbol = name2 or (name if before.isdecimal() or not before else before)
        rows.append(_row(chrom, start, end, symbol, strand))
    return rows


def _read_bed(records: Iterable[list[str]]) -> list[_Row]:
    rows = []
    for fields in records:
        name = fields[3].strip() if len(fields) > 3 else ""
        strand = fields[5] if len(fields) > 5 else "."
        rows.append(_row(fields[0], fields[1], fields[2], "" if name == "." else name, strand))
    return rows


def _read_regions(records: Iterable[list[str]]) -> list[_Row]:
    rows = []
    for region, symbol, *_ in records:
        match = _REGION.fullmatch(region)
        if match is None:
            raise _BadRow(f"found {region[:40]!r}, expected chrom:start-end")
        rows.append(_row(match[1], match[2], match[3], symbol.strip(), first=1))
    return rows


def _read_gff3(records: Iterable[list[str]]) -> list[_Row]:
    rows = []
    for chrom, _, feature, start, end, _, strand, _, text in records:
        if feature in GENE_FEATURES:
            found = dict(pair.strip().split("=", 1) for pair in text.split(";") if "=" in pair)
            symbol = next(filter(None, map(found.get, ("Name", "gene_name", "gene", "ID"))), "")
            rows.append(_row(unquote(chrom), start, end, unquote(symbol), strand, first=1))
    return rows


def _read_gtf(records: Iterable[list[str]]) -> list[_Row]:
    gene_id, gene_name, transcript_id = map(_gtf_attribute, ("gene_id", "gene_name", "transcript_id"))
    genes: list[_Row] = []
    transcripts: dict[tuple[str, ...], _Row] = {}
    for chrom, _, feature, start, end, _, strand, _, text in records:
        if feature == "gene":
            genes.append(_row(chrom, start, end, gene_name(text) or gene_id(text), strand, first=1))
        elif not genes and (gene := gene_id(text)):
            key = (chrom, strand, gene, transcript_id(text))
            known = transcripts.get(key)
            symbol = known.gene_symbol if known else gene_name(text) or gene
            row = _row(chrom, start, end, symbol, strand, first=1)
            if known is None or row.start < known.start or row.end > known.end:
                transcripts[key] = _span(known or row, row)
    return genes or _merge(transcripts)


def _gtf_attribute(name: str) -> Callable[[str], str]:
    """Make a reader of one attribute from column 9 of a GTF; it returns '' where there is none."""
    pattern = re.compile(rf'(?:^|;)\s*{name}\s+(?:"([^"]*)"|([^\s;"]+))')

    def value(text: str) -> str:
        match = pattern.search(text)
        return (match[1] or match[2] or "") if match else ""

    return value


def _span(one: _Row, other: _Row) -> _Row:
    return one._replace(start=min(one.start, other.start), end=max(one.end, other.end))


def _merge(transcripts: Mapping[tuple[str, ...], _Row]) -> list[_Row]:
    """Merge overlapping transcripts of a gene, in the order in which each gene first appears."""
    by_gene: dict[tuple[str, ...], list[_Row]] = {}
    for key, row in transcripts.items():
        by_gene.setdefault(key[:3], []).append(row)
    merged = []
    for rows in by_gene.values():
        loci: list[_Row] = []
        for row in sorted(rows, key=lambda row: row.start):
            if loci and row.start < loci[-1].end:
                loci[-1] = _span(loci[-1], row)
            else:
                loci.append(row)
        merged += loci
    return merged
