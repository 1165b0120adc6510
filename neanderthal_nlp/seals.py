"""Seals: what the files of a run held when they were written, so that damage is noticed when they are read.

The folder of a run holds `.sealed/`. In it lies, for each file that the package wrote below the run's folder and under
the same name, one line as `sha256sum --tag` writes it. Every reader of the package compares. Without that folder
nothing is sealed, and a file without a seal is taken as it is: a user's, or a result that was copied elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from neanderthal_nlp.errors import InputError

SEALS = ".sealed"
PART = re.compile(r".+\.[0-9a-f]{32}\.part")
"""Names of what is not complete."""
AGAIN = "remove it, and the stage that wrote it, or the run's command, makes it again"
"""What to do about a file of a run that cannot be used."""
_LINE = re.compile(r"SHA256 \(.+\) = ([0-9a-f]{64})\n")
_LARGE = 1 << 24
_TRAINING = ".training"


def keep_seals(directory: str | Path) -> None:
    """Seal from now on what is written below the folder of a run."""
    (Path(directory) / SEALS).mkdir(parents=True, exist_ok=True)


def check_seal(path: str | Path) -> None:
    """Compare a file with its seal, if it has one.

    Raises
    ------
    InputError
        The file was changed after it was written, or the seal itself was.
    """
    seal = _find(path)
    if seal is None or not seal.is_file() or not os.path.isfile(path):
        return
    line = seal.read_text(encoding="utf-8", errors="replace")
    sealed = _LINE.fullmatch(line)
    if sealed is None:
        raise InputError(f"{seal}: found {line!r:.40}, expected a line of `sha256sum --tag`: remove it and {path}, and "
                         "the stage that wrote them, or the run's command, makes them again")  # fmt: skip
    if (found := sha256(path)) != sealed[1]:
        raise InputError(f"{path}: changed since it was written (found SHA-256 {found[:12]}…, expected "
                         f"{sealed[1][:12]}…): {AGAIN}")  # fmt: skip


@contextmanager
def sealing(path: Path, part: Path) -> Iterator[None]:
    """Seal the file, or every file of the folder, that is moved from `part` to `path` meanwhile.

    The old seal goes first and the new one comes last: a process that is killed on the way leaves a file without
    a seal, never one with that of another content, on which its readers would stumble for ever.
    """
    seal = _find(path)
    if seal is None:
        yield
        return
    files = [part] if part.is_file() else [file for file in part.rglob("*") if file.is_file()]
    digests = {file.relative_to(part): sha256(file) for file in files}
    if seal.is_dir():
        shutil.rmtree(seal)
    seal.unlink(missing_ok=True)
    yield
    for name, digest in digests.items():
        _write(seal / name, digest)


def _find(path: str | Path) -> Path | None:
    """Where the seal of a file, or the seals of a folder's files, would lie; None where none are kept."""
    place = Path(os.path.abspath(path))  # as it was named: a link within a run may lead out of it
    if any(PART.fullmatch(part) or part.endswith(_TRAINING) for part in place.parts):
        return None  # not complete; a training mends its own files, whatever a kill has left of them
    root = next((folder for folder in place.parents if os.path.isdir(folder / SEALS)), None)
    return None if root is None else root / SEALS / place.relative_to(root)


def _write(seal: Path, digest: str) -> None:
    root = next(folder for folder in seal.parents if folder.name == SEALS)
    part = seal.with_name(f"{seal.name}.{uuid4().hex}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(f"SHA256 ({seal.relative_to(root)}) = {digest}\n", encoding="utf-8")
    os.replace(part, seal)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits; a large file is read once as long as it does not change."""
    status = os.stat(path)
    if status.st_size < _LARGE:  # two changes of a small one may share a time
        return _digest(path)
    return _digest_once(os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns)


def _digest(path: str | Path) -> str:
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@lru_cache
def _digest_once(path: str, *version: int) -> str:
    """The same for one version of a file: a stage compares a matrix with its seal and names it in several records."""
    return _digest(path)
