"""Seals: what the files of a run held when they were written, so that damage is noticed when they are read.

The folder of a run holds `.sealed/`, and that a folder for each of the run's own. In it lies, for each file that the
package wrote there and under the same name, one line as `sha256sum --tag` writes it. Every reader of the package
compares. Elsewhere nothing is sealed, and a file without a seal is taken as it is: a user's, or a result that was
copied. Nor is a cache: what lies in one is compared with its source.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from neanderthal_nlp.errors import InputError

SEALS = ".sealed"
FOLDERS = ("results", "models", "figures", "inputs")
"""Folders of a run of the article, in which its files are sealed."""
PART = re.compile(r".+\.[0-9a-f]{32}\.part")
"""Names of what is not complete."""
AGAIN = "remove it; the stage that wrote it, or the run's command, then makes it again"
"""What to do about a file of a run that cannot be used."""
_LINE = re.compile(r"SHA256 \(.+\) = ([0-9a-f]{64})\n")
_LARGE = 1 << 24
_TRAINING, _CACHE = ".training", "cache"
_MOMENT = 0.5


def keep_seals(directory: str | Path, folders: Iterable[str] = FOLDERS) -> None:
    """Seal from now on what is written below these folders in the folder of a run."""
    for folder in folders:
        (Path(directory) / SEALS / folder).mkdir(parents=True, exist_ok=True)


def check_seal(path: str | Path) -> None:
    """Compare a file with its seal, if it has one.

    Another process may be writing both again, one after the other: they are refused where they differ a moment later,
    too.

    Raises
    ------
    InputError
        The file was changed after it was written, or the seal itself was.
    """
    if _difference(path) is None:
        return
    time.sleep(_MOMENT)
    if (difference := _difference(path)) is not None:
        raise InputError(difference)


def _difference(path: str | Path) -> str | None:
    """What is wrong with a file or its seal; None where they agree, or one of them is missing or just went."""
    seal = _find(path)
    if seal is None or not seal.is_file() or not os.path.isfile(path):
        return None
    try:
        line, found = seal.read_text(encoding="utf-8", errors="replace"), sha256(path)
    except FileNotFoundError:
        return None
    sealed = _LINE.fullmatch(line)
    if sealed is None:
        return (f"{seal}: found {line!r:.40}, expected a line of `sha256sum --tag`: remove it and {path}, and "
                "the stage that wrote them, or the run's command, makes them again")  # fmt: skip
    if found != sealed[1]:
        return (f"{path}: changed since it was written (found SHA-256 {found[:12]}…, expected "
                f"{sealed[1][:12]}…): {AGAIN}")  # fmt: skip
    return None


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
        try:
            _write(seal / name, digest)
        except OSError as error:  # of a full disk, say: the user knows the result, not the seal
            raise OSError(error.errno, error.strerror, str(path / name)) from None


def _find(path: str | Path) -> Path | None:
    """Where the seal of a file, or the seals of a folder's files, would lie; None where none are kept."""
    place = Path(os.path.abspath(path))  # as it was named: a link within a run may lead out of it
    root = next((folder for folder in place.parents if os.path.isdir(folder / SEALS)), None)
    if root is None:
        return None
    name = place.relative_to(root)
    if any(PART.fullmatch(part) or part.endswith(_TRAINING) or part == _CACHE for part in name.parts):
        return None  # not complete; a training mends its own files, whatever a kill has left of them
    return root / SEALS / name if os.path.isdir(root / SEALS / name.parts[0]) else None


def _write(seal: Path, digest: str) -> None:
    root = next(folder for folder in seal.parents if folder.name == SEALS)
    part = seal.with_name(f"{seal.name}.{uuid4().hex}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.write_text(f"SHA256 ({seal.relative_to(root)}) = {digest}\n", encoding="utf-8")
        os.replace(part, seal)
    finally:
        part.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits; a large file is read once as long as it does not change."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # to open a pipe waits for its other end
        raise InputError(f"{path}: found no file, but a folder, a pipe, a socket or a device")
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
