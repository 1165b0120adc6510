"""The real inputs: what they are, where they live, and how they get here.

They are downloaded and never bundled: they are large, and others' to hand on. A file takes its final name only when
its size and checksum are the published ones. What a stopped download has left is kept beside it, as `NAME.part`, and
gone on from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from neanderthal_nlp.download import PAUSES, Progress, by_hand, discard, download, note_of, part_of, size_of
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_json, sha256, write_json

DATA_DIR = "NEANDERTHAL_NLP_DATA_DIR"
"""Environment variable: the folder that inputs are fetched into."""


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


def look_up(name: str) -> Input:
    """Entry of the registry; `InputError` that lists the names where there is none."""
    if name not in REGISTRY:
        raise InputError(f"{name}: not an input (expected {', '.join(REGISTRY)})")
    return REGISTRY[name]


def data_folder(given: str | Path | None = None) -> Path:
    """Folder of the inputs: the one given, else that of the environment variable `DATA_DIR`, else the user's.

    Raises
    ------
    InputError
        It cannot be a folder: it, or what it is to lie in, is a file; or its `~USER` is nobody.
    """
    named = given or os.environ.get(DATA_DIR) or platformdirs.user_data_dir("neanderthal_nlp")
    try:
        folder = Path(named).expanduser().absolute()
    except RuntimeError:
        raise InputError(f"{named}: no such user's folder (expected a folder for the data)") from None
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{folder}: found the file {there}, expected a folder for the data")
    return folder


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
            n_bytes = size_of(part_of(path))
            return Status(State.partial if n_bytes else State.absent, n_bytes)
        n_bytes = path.stat().st_size
        if source.size not in (None, n_bytes):
            return Status(State.wrong, n_bytes, f"found {n_bytes:,} bytes, expected {source.size:,}")
        expected = source.checksum or _recorded(path)
        if expected is None:
            return Status(State.unrecorded, n_bytes)
        fault = _mismatch(path, expected)
        if fault and source.checksum is None:
            fault += f" as recorded in {_record_of(path).name}"
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
    UnreachableError
        No connection, or none that lasts (what was downloaded is gone on from next time).
    InputError
        The input is not there and cannot be fetched (offline, by hand only, no such address, sent from https to
        http), is not of the published size or checksum (what was downloaded is removed), or the folder cannot be
        written to or is full (what was downloaded is gone on from next time).
    """
    path = Path(folder) / source.name
    status = inspect(source, folder)
    if status.state is State.complete:
        return path
    if status.state is not State.unrecorded and (offline or source.by_hand):
        state = "not as published" if status.state is State.wrong else status.state
        why = f"{state}, and {'only a browser can fetch it' if source.by_hand else 'offline'}"
        detail = f" ({status.detail})" if status.detail else ""
        raise InputError(f"{source.name}: {why}{detail}: {by_hand(source, path)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path.parent, report):
            status = inspect(source, folder)  # who had the turn before may have fetched it
            if status.state is State.unrecorded:
                _record(source, path, {})
            elif status.state is not State.complete:
                download(source, path, progress=progress, report=report, pauses=pauses)
                _settle(source, path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be written ({error.strerror})") from None
    return path


def _mismatch(path: Path, checksum: str) -> str:
    """Say how a file's hash differs from a checksum; nothing where it does not."""
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    return "" if found == expected else f"found {algorithm} {found}, expected {expected}"


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _recorded(path: Path) -> str | None:
    record = _record_of(path)
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
    write_json(record, _record_of(path))


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


def _settle(source: Input, path: Path) -> None:
    """Put the part into its place if it is what was published; remove it if not."""
    part, note = part_of(path), read_json(note_of(path))
    fault = _mismatch(part, source.checksum) if source.checksum else ""
    if fault:
        discard(path)
        raise InputError(f"{source.name}: {source.address}: {fault} (what was downloaded is removed)")
    part.replace(path)
    if source.checksum is None:
        _record(source, path, note)
    discard(path)
