"""Mutated files, and what a reader makes of each: reads it, refuses it with one line, or shows a fault.

A reader is tried in a process of its own, whose memory is bounded and whose every file is timed: a crash of a C
library, a hang and a file that asks for all memory are found like any exception.

    python tests/hostile.py --count 2000            every reader
    python tests/hostile.py --reader bed --seed 7   one of them; a fault is saved below --keep
"""

from __future__ import annotations

import argparse
import collections
import gzip
import importlib
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

MODULES = ("hostile_tables", "hostile_genomes", "hostile_models")
"""Modules beside this one; each has `READERS`, a mapping of names to `Reader`."""
_ANY = (b"\0", b"\xff", b"\xc3\x28", b"\r", b"\n", b"\n\n", b"\t", b" ", b"-1", b"0", b"2147483648", b"4294967295",
        b"9223372036854775808", b"1e309", b"nan", b"NA", b"\xef\xbb\xbf", b"\"", b"'", b"#", b"../", b"/", b"\x1f\x8b",
        "é".encode(), b"%s", b"{", b"[", b"$(id)")  # fmt: skip
_MESSAGE = 1000


class Reader(NamedTuple):
    """A reader and what its files are mutated from.

    Attributes
    ----------
    seeds : callable
        Files, well formed or not: name to bytes; a name keeps its ending. Called once a process.
    read : callable
        Reads one file, whole.
    check : callable, optional
        Given what was read; raises where it is none of the things that may be read.
    words : tuple of bytes
        What the form is made of, put in at random places beside what upsets any reader.
    mutate : callable, optional
        Used rather than `mutate`, such as one that changes a member of an archive.
    seconds, mib : float
        Limits of one file.
    silent : bool
        Whether it is a fault to print anything: what is wrong is said once, by the error.
    refuses : bool
        Whether mutated files are refused; not those of which the reader needs nothing.
    """

    seeds: Callable[[], Mapping[str, bytes]]
    read: Callable[[Path], object]
    words: tuple[bytes, ...] = ()
    mutate: Callable[[bytes, random.Random], bytes] | None = None
    seconds: float = 10.0
    mib: int = 1024
    check: Callable[[Any], object] | None = None
    silent: bool = False
    refuses: bool = True


class Outcome(NamedTuple):
    """What became of mutated files: how many were read, how many refused, and what went wrong with the others."""

    read: int
    refused: int
    faults: tuple[str, ...]


def mutate(data: bytes, rng: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """One to six changes: bits, bytes, pieces removed or doubled, words put in, lines swapped, an end lost."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        size = len(changed)
        start = rng.randrange(size + 1)
        piece = min(size, start + rng.choice((1, 2, 4, 8, 64, 1024)))
        match rng.randrange(9):
            case 0 if start < size:
                changed[start] ^= 1 << rng.randrange(8)
            case 1 if start < size:
                changed[start] = rng.randrange(256)
            case 2:
                del changed[start:piece]
            case 3:
                changed[start:start] = changed[start:piece] * rng.choice((1, 1, 2, 2, 50, 50, 2000))
            case 4:
                changed[start:piece] = rng.choice((*_ANY, *words, *words))
            case 5:
                changed[start:start] = rng.choice((*_ANY, *words, *words))
            case 6:
                del changed[start:]
            case 7:
                lines = bytes(changed).split(b"\n")
                one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
                changed = bytearray(b"\n".join(lines))
            case 8:
                fields = bytes(changed).split(b"\t")
                del fields[rng.randrange(len(fields))]
                changed = bytearray(b"\t".join(fields))
    return bytes(changed)


def mutate_folded(data: bytes, rng: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """`mutate`; a gzip file's content more often than its own bytes."""
    if not data.startswith(b"\x1f\x8b") or rng.random() < 0.4:
        return mutate(data, rng, words)
    return gzip.compress(mutate(gzip.decompress(data), rng, words), 1, mtime=0)


def readers() -> dict[str, Reader]:
    """Every reader, by name."""
    found: dict[str, Reader] = {}
    for name in MODULES:
        found |= importlib.import_module(name).READERS
    return found


def _find(name: str) -> Reader:
    """One reader; modules behind its own are not loaded."""
    return next(found[name] for module in MODULES if name in (found := importlib.import_module(module).READERS))


def make(reader: Reader, seed: int, number: int) -> tuple[str, bytes]:
    """Name and bytes of a mutated file; the same for the same numbers."""
    rng = random.Random(f"{seed} {number}")  # noqa: S311 (not for secrets)
    name, data = rng.choice(sorted(reader.seeds().items()))
    change = reader.mutate or (lambda data, rng: mutate_folded(data, rng, reader.words))
    return name, change(data, rng)


def examine(name: str, count: int, seed: int, *, keep: Path | None = None) -> Outcome:
    """Try a reader on mutated files.

    Parameters
    ----------
    name : str
        One of `readers()`.
    count, seed : int
        Files, and what decides their mutations.
    keep : Path, optional
        Folder for files that show a fault.
    """
    reader = readers()[name]
    tally: collections.Counter[str] = collections.Counter()
    faults = []
    number = 0
    while number < count:
        with _worker(name, number, count, seed) as output:
            while number < count:
                # The first answer takes as long as the libraries take to load.
                line = _line(output, reader.seconds + (120 if number == 0 or not tally else 0))
                outcome, _, detail = (line or f"fault no answer within {reader.seconds:g} s, or killed").partition(" ")
                tally[outcome] += 1
                if outcome == "fault":
                    faults.append(f"{name} {seed}/{number}: {detail}")
                    if keep is not None:
                        ending, data = make(reader, seed, number)
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{name}_{seed}_{number}_{ending}").write_bytes(data)
                number += 1
                if line is None:
                    break
    return Outcome(tally["read"], tally["refused"], tuple(faults))


@contextmanager
def _worker(name: str, start: int, count: int, seed: int) -> Iterator[IO[bytes]]:
    command = [sys.executable, __file__, "--worker", "--reader", name, "--seed", str(seed), "--start", str(start),
               "--count", str(count)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder, bufsize=0)
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _line(output: IO[bytes], seconds: float) -> str | None:
    """The next line; None where the process ended or did not answer in time."""
    if not select.select([output], [], [], seconds)[0]:
        return None
    return output.readline().decode(errors="replace").rstrip("\n") or None


def _work(name: str, start: int, count: int, seed: int) -> None:
    """Read mutated files one after another in the working folder, and print what became of each."""
    reader = _find(name)
    answers = os.fdopen(os.dup(1), "w", buffering=1)  # what libraries print goes elsewhere
    printed = Path("printed").open("w+b", buffering=0)  # noqa: SIM115 (open as long as the process is)
    os.dup2(printed.fileno() if reader.silent else 2, 1)
    os.dup2(1, 2)
    limited = False
    for number in range(start, count):
        ending, data = make(reader, seed, number)
        path = Path(f"{number}_{ending}")
        path.write_bytes(data)
        outcome = _try(reader, path)
        sys.stderr.flush()
        if said := os.pread(printed.fileno(), _MESSAGE, 0):
            outcome = f"fault printed {said!r:.200}"
            printed.truncate(0)
            printed.seek(0)
        answers.write(f"{outcome}\n")
        path.unlink(missing_ok=True)
        if not limited:  # with its libraries loaded, a process has the address space that it needs
            limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (reader.mib << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            limited = True


def _try(reader: Reader, path: Path) -> str:
    from neanderthal_nlp.errors import InputError

    try:
        found = reader.read(path)
        if reader.check is not None:
            reader.check(found)
    except InputError as error:
        message = str(error)
        if len(message.splitlines()) != 1 or len(message) > _MESSAGE:
            return f"fault a message of {len(message.splitlines())} lines, {len(message)} letters: {message!r:.200}"
        if path.name not in message:
            return f"fault a message without the file: {message!r:.200}"
        return "refused"
    except BaseException as error:
        return f"fault {type(error).__name__}: {error!s:.200}".replace("\n", " ")
    return "read"


def main() -> int:
    """Examine readers, and print a table of what became of the files."""
    parser = argparse.ArgumentParser(description="Readers on mutated files.")
    parser.add_argument("--reader", action="append", help="only this one (default: every one)")
    parser.add_argument("--count", type=int, default=2000, help="files a reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, default=Path("build/hostile"), help="folder for files that show a fault")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _work(arguments.reader[0], arguments.start, arguments.count, arguments.seed)
        return 0
    print("| reader | files | read | refused | faults |\n| --- | --- | --- | --- | --- |")
    faults: list[str] = []
    for name in arguments.reader or sorted(readers()):
        found = examine(name, arguments.count, arguments.seed, keep=arguments.keep)
        faults += found.faults
        numbers = (arguments.count, found.read, found.refused, len(found.faults))
        print(f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |", flush=True)
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
