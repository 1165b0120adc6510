"""Many genomes: the sheet that names them, and the parts that each is scanned in."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import name_kind, read_lines

COLUMNS = ("name", "genome", "regions")
"""Columns of a sheet; the last may be left out."""
WORK = ".work"
"""Folder for what the jobs of a scan leave to one another, in the folder of the scan."""
RESERVED = frozenset({"logs", "genomes.tsv", "config.json", "cache"})
"""Names beside the genomes' folders in that of a scan, or in its `WORK`; what starts with a dot is taken, too."""
MAX_PARTS = 100
"""Parts are made larger than asked for where a genome would have more than about twice as many."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class Entry(NamedTuple):
    """A genome of a sheet.

    Attributes
    ----------
    line : int
        Its line in the sheet, from 1.
    name : str
        Of its results' folder.
    given : str
        The genome as the sheet has it.
    genome : Path
        Absolute.
    regions : str
        What to scan, as `intervals.read_places` reads it, the path of a file absolute; "" for the whole genome.
    """

    line: int
    name: str
    given: str
    genome: Path
    regions: str


def read_sheet(path: str | Path) -> list[Entry]:
    """Read a sheet of genomes: tab-separated, with a header of `name`, `genome` and perhaps `regions`.

    Parameters
    ----------
    path : path-like
        Paths in it are relative to its folder. Blank lines are passed over.

    Returns
    -------
    list of Entry
        In the order of the sheet.

    Raises
    ------
    InputError
        It is no such table or has no genome; a name cannot be a folder's or comes twice, upper and lower case taken as
        one; a genome is not there.
    """
    path = Path(path)
    lines = ((number, [cell.strip() for cell in line.split("\t")]) for number, line in read_lines(path) if line.strip())
    number, header = next(lines, (1, []))
    if header[:2] != list(COLUMNS[:2]) or header[2:] not in ([], list(COLUMNS[2:])):
        raise InputError(f"{path}: line {number}: found {', '.join(header) or 'nothing'}, expected a header of name, "
                         "genome and perhaps regions, parted by tabs")  # fmt: skip
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    for number, cells in lines:
        where = f"{path}: line {number}"
        if not 2 <= len(cells) <= len(header):
            raise InputError(f"{where}: found {len(cells)} cells, expected {len(header)}, parted by tabs")
        entry = _read_entry(number, [*cells, ""][:3], path.absolute().parent, where)
        if (first := seen.setdefault(entry.name.lower(), number)) != number:
            raise InputError(f"{where}: name: found {entry.name}, which line {first} has, too")
        entries.append(entry)
    if not entries:
        raise InputError(f"{path}: found no genome below the header")
    return entries


def _read_entry(number: int, cells: list[str], folder: Path, where: str) -> Entry:
    name, genome, regions = cells
    if not _NAME.fullmatch(name) or name.lower() in RESERVED:
        raise InputError(f"{where}: name: found {name[:40]!r}, expected up to 100 of letters, digits, '.', '_', '-', "
                         f"neither '.' nor '-' first, and not {' or '.join(sorted(RESERVED))}")  # fmt: skip
    place = folder / os.path.expanduser(genome)
    if not genome or not os.path.isfile(place):  # unlike Path.is_file, of any text
        found = name_kind(place) if genome else "no such file"
        raise InputError(f"{where}: genome: found {found} ({genome or 'an empty cell'}), expected FASTA or 2bit")
    if regions and os.path.isfile(folder / os.path.expanduser(regions)):
        regions = str(folder / os.path.expanduser(regions))
    return Entry(number, name, genome, place, regions)


def cut_parts(places: pd.DataFrame, size: int) -> list[pd.DataFrame]:
    """Cut rows into parts that can be scanned apart: neighbours are put together up to a size.

    Parameters
    ----------
    places : DataFrame
        `chrom, start, end`, 0-based half-open: whole chromosomes, or regions.
    size : int
        Most nucleotides of a part that has more than one row. A hundredth of all is taken where that is more, so that
        a genome of a million contigs has some hundred parts.

    Returns
    -------
    list of DataFrame
        Their rows, in order, are those of `places`.
    """
    lengths = (places["end"] - places["start"]).to_numpy(dtype=np.int64)
    most = max(size, int(lengths.sum()) // MAX_PARTS)
    first, filled = [0], 0
    for row, length in enumerate(lengths.tolist()):
        if row > first[-1] and filled + length > most:
            first.append(row)
            filled = 0
        filled += length
    return [places.iloc[start:end] for start, end in zip(first, [*first[1:], len(places)], strict=True)]
