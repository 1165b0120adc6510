"""Commands that cannot write or read what they need: `python full_disk.py FINISHED FOLDER HOW`, told as JSON.

`FINISHED` is the folder of a run, made if it is missing; each command works in a copy of it below `FOLDER` without the
files that the command writes. `HOW` is `limit`, a limit of the size of files, which any process may set itself; `disk`,
a file system in memory that is filled up and then made read-only, for which this runs as `unshare --map-root-user
--mount`; or `access`, files that are not there to be read or written.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pysam
from long_faults import make_inputs, same

from neanderthal_nlp import cli
from neanderthal_nlp.files import remove
from neanderthal_nlp.genome import open_genome

RUN = ["--directory", ".", "--cache", "cache"]
GENOME = ["--genome", "data/genome.fa.gz"]
MAKE = {
    "regions": [*GENOME, "--introgressed", "data/introgressed.bed", *RUN],
    "windows": [*GENOME, *RUN],
    "kmers": [*GENOME, *RUN],
    "split": ["--directory", "."],
    "forest": ["--directory", ".", "--trees", "5", "--threads", "1"],
    "linear": ["--directory", "."],
    "genes": [*GENOME, "--genes", "data/refGene.txt.gz", *RUN],
    "audit letters": ["--windows", "results/windows.tsv", *GENOME, "--cache", "cache"],
    "bundle": [*GENOME, *RUN, "--model", "as_published"],
    "scan": [*GENOME, *RUN, "--model", "as_published", "--step", "10000", "--output", "scan"],
    "predict": [*GENOME, *RUN, "--regions", "data/introgressed.bed", "--model", "as_published", "--words", "0",
                "--output", "predicted/of.json"],
    "haplotypes": [*GENOME, "--cache", "cache", "--vcf", "data/person.vcf.gz", "--output", "haplotypes"],
    "figures": ["--directory", ".", "--figure", "01_region_lengths"],
    "null-genome": [*GENOME, "--cache", "cache", "--output", "null/genome.fa.gz"],
}  # fmt: skip
"""Commands by name, and their arguments, in an order in which each finds what it needs."""
WRITES = {
    "regions": ["cache", "results/introgressed.bed", "results/depleted.bed", "results/gaps.bed", "results/chrom.sizes",
                "results/regions.json"],
    "windows": ["results/windows.tsv", "results/windows.json"],
    "kmers": ["results/kmers.npy", "results/kmers.json", "results/top_kmers.tsv"],
    "split": ["results/split.tsv", "results/split.json"],
    "forest": ["models/forest.skops", "models/forest.json", "results/importances.tsv",
               "results/predictions/forest.tsv"],
    "linear": ["models/naive_bayes.skops", "models/naive_bayes.json", "results/predictions/linear.tsv",
               "models/linear_svm.skops", "models/linear_svm.json", "models/logistic_regression.skops",
               "models/logistic_regression.json"],
    "genes": ["results/genes.tsv", "results/genes.json"],
    "audit letters": ["results/letters.npy", "results/letters.json"],
    "bundle": ["models/bundles"],
    "scan": ["scan"],
    "predict": ["predicted"],
    "haplotypes": ["haplotypes"],
    "figures": ["figures"],
    "null-genome": ["null"],
}  # fmt: skip
"""Files and folders that each command writes."""


DANGEROUS = ("regions", "kmers", "audit letters", "scan", "figures", "null-genome")
"""Commands that write through C, or to memory that is mapped, among them."""
_PATIENCE = 120


def finish(folder: Path) -> None:
    """Make the run that commands work in copies of."""
    data = folder.with_name("data")
    make_inputs(data)
    _write_person(data)
    folder.mkdir()
    (folder / "data").symlink_to(data)  # one genome with one index for all copies
    for name, arguments in MAKE.items():
        status, told = call(folder, [*name.split(), *arguments])
        if status:
            raise RuntimeError(told)


def _write_person(folder: Path) -> None:
    chrom, size = "chr1", 1_200_000
    with open_genome(folder / "genome.fa.gz", cache=folder) as genome:
        letters = genome.fetch(chrom, size // 3, size // 3 + 1)
    other = "A" if letters.upper() != "A" else "C"
    text = (f'##fileformat=VCFv4.2\n##contig=<ID={chrom},length={size}>\n##FORMAT=<ID=GT,Number=1,Type=String,'
            'Description="Genotype">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tme\n'
            f"{chrom}\t{size // 3 + 1}\t.\t{letters.upper()}\t{other}\t.\tPASS\t.\tGT\t0|1\n")  # fmt: skip
    plain = folder / "person.vcf"
    plain.write_text(text)
    pysam.tabix_index(str(plain), preset="vcf", force=True)


def call(folder: Path, words: list[str], *, limit: int | None = None) -> tuple[int, str]:
    """Run a command in a process that is a copy of this one, which has loaded all it needs; its status and messages."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.dup2(writing, 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        sys.argv = ["neanderthal-nlp", *words]
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.alarm(_PATIENCE)
        status = 1
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        text = told.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def copy_without(name: str, finished: Path, folder: Path) -> list[str]:
    """Copy a run without what a command writes; the command."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(finished, folder, symlinks=True)
    for written in WRITES[name]:
        remove(folder / written)
    return [*name.split(), *MAKE[name]]


def attempt(name: str, finished: Path, folder: Path, how: str, room: int) -> dict[str, Any]:
    """Run a command with so many bytes of room: what it tells, what is wrong with what it leaves, how it runs again."""
    words = copy_without(name, finished, folder)
    if how == "limit":
        status, told = call(folder, words, limit=room)
    else:
        filler = folder / "filler"
        with filler.open("wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, shutil.disk_usage(folder).free - room)
        status, told = call(folder, words)
        filler.unlink()
    parts = [str(path) for path in folder.rglob("*.part")]
    wrong = _wrong(finished, folder, name)
    found = {"name": f"{name}, {room} bytes", "status": status, "told": told, "wrong": parts + wrong}
    if room and how == "limit" and name in DANGEROUS:
        again, told = call(folder, words)
        found["again"] = [again, _wrong(finished, folder, name, must=True)]
    return found


def without_access(finished: Path, folder: Path) -> list[dict[str, Any]]:
    """Run commands that may not write or read, and with a folder or a pipe in the place of a file."""
    found = []
    for name in ("written", "read", "folder", "pipe"):
        words = copy_without("split" if name == "written" else "regions", finished, folder)
        place = folder / "mine"
        if name == "written":
            (folder / "results").chmod(0o555)
        elif name == "read":
            place.touch(0)
        elif name == "folder":
            place.mkdir()
        else:
            os.mkfifo(place)
        status, told = call(folder, [word.replace("data/introgressed.bed", "mine") for word in words])
        (folder / "results").chmod(0o755)
        parts = [str(path) for path in folder.rglob("*.part")]
        found.append({"name": name, "status": status, "told": told, "wrong": parts})
    return found


def _wrong(finished: Path, folder: Path, name: str, *, must: bool = False) -> list[str]:
    """Files that a command wrote and that are not those of the finished run; if they must be there, missing too."""
    wrong = []
    for path in _files(finished, name):
        there = (folder / path).exists()
        if (must and not there) or (there and not same(folder / path, finished / path)):
            wrong.append(str(path))
    return wrong


def _files(finished: Path, name: str) -> list[Path]:
    """Files that a command writes, relative to the folder of the run."""
    places = [path for written in WRITES[name] for path in (finished / written, *(finished / written).rglob("*"))]
    return [path.relative_to(finished) for path in places if path.is_file()]


def rooms(name: str, finished: Path) -> list[int]:
    """Bytes of room to try: too little for the largest file that a command writes, and none at all."""
    largest = max((finished / path).stat().st_size for path in _files(finished, name))
    return [largest * 2 // 3, *([0] if name in DANGEROUS else [])]


def main() -> None:
    """Try every command and print what was found."""
    finished, folder, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if how != "access":  # processes that are copies of this one have what it has loaded
        import neanderthal_nlp.audit.null_genome
        import neanderthal_nlp.bundling
        import neanderthal_nlp.figures
        import neanderthal_nlp.haplotypes
        import neanderthal_nlp.tracks  # noqa: F401
    if how == "disk":
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    if not finished.exists():
        finish(finished)
    if how == "limit":
        found = [attempt(name, finished, folder, how, room) for name in MAKE for room in rooms(name, finished)]
    elif how == "disk":
        found = [attempt(name, finished, folder / "run", how, rooms(name, finished)[0]) for name in DANGEROUS]
        words = copy_without("split", finished, folder / "run")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        status, told = call(folder / "run", words)
        found.append({"name": "read-only", "status": status, "told": told, "wrong": []})
    else:
        found = without_access(finished, folder)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
