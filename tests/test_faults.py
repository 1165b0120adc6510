"""Full disks, files that may not be written or read or that change, two runs in one folder, runs that are killed.

Each ends with one line that names the file, and what stands afterwards is whole: the next run goes on from it.
`long_faults.py` kills runs at every stage.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_fasta_text
from full_disk import DANGEROUS, MAKE
from long_faults import Kill, command, differences, make_inputs, read_jobs, run, start, survive, wait_for

from neanderthal_nlp import files, tracks
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import open_genome

NAMESPACE = ["unshare", "--map-root-user", "--mount"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a run that `full_disk.py` makes when it is first asked to try something."""
    return tmp_path_factory.mktemp("finished") / "run"


def attempts(finished, folder, how, *before):
    words = [*before, sys.executable, str(Path(__file__).with_name("full_disk.py")), str(finished), str(folder), how]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found, reason):
    """A command ended with one line, the last, and left nothing but whole files."""
    lines = found["told"].splitlines()
    assert found["status"] == 2, found
    assert re.match(rf"[a-z-]+: error: \S+: .*{reason}", lines[-1]), found
    assert sum("error" in line.lower() for line in lines) == 1, found
    assert "Traceback" not in found["told"], found
    assert found["wrong"] == [], found
    assert found.get("again", [0, []]) == [0, []], found


def test_files_that_may_not_grow(finished, tmp_path):
    found = attempts(finished, tmp_path / "run", "limit")
    assert len(found) == len(MAKE) + len(DANGEROUS)
    for attempt in found:
        check(attempt, "File too large")


def mounts():
    """Whether a file system can be mounted here, which is seen by the process that does it alone."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not mounts(), reason="needs to mount a file system (unshare, user namespaces)")


@needs_mounts
def test_a_full_disk_and_a_read_only_one(finished, tmp_path):
    found = attempts(finished, tmp_path, "disk", *NAMESPACE)
    assert found[-1]["name"] == "read-only"
    for attempt in found:
        check(attempt, "Read-only file system" if attempt is found[-1] else "No space left on device")


def test_folders_that_may_not_be_written_and_files_that_may_not_be_read(finished, tmp_path):
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv: modes do not bind root")
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    reasons = {"written": "Permission denied", "read": "", "folder": "Is a directory", "pipe": "found a pipe"}
    found = attempts(finished, tmp_path / "run", "access", *bound)
    assert {attempt["name"] for attempt in found} == set(reasons)
    for attempt in found:
        if attempt["name"] == "read":  # refused by the command line's own check
            assert attempt["status"] == 2
            assert "is not readable" in attempt["told"]
        else:
            check(attempt, reasons[attempt["name"]])


@contextmanager
def limit(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 5_000, 100_000])
def test_a_bigwig_that_may_not_grow(tmp_path, size):
    start_ = np.arange(20_000) * 100
    windows = pd.DataFrame({"record": "", "chrom": "chr1", "chrom_start": start_, "chrom_end": start_ + 100,
                            "probability": np.linspace(0, 1, len(start_))})  # fmt: skip
    path = tmp_path / "scan.bw"
    with limit(size), pytest.raises(OSError, match="File too large") as error:
        tracks.write_bigwig([windows], path, {"chr1": 2_000_000})
    assert error.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
    assert tracks.write_bigwig([windows], path, {"chr1": 2_000_000}) == len(windows)


def test_vectors_that_may_not_grow(tmp_path):
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(50)
    vectors.add_vectors(list(map(str, range(500))), np.ones((500, 50)))
    with (
        limit(50_000),
        pytest.raises(OSError, match="File too large") as error,
        files.replacing(tmp_path / "v") as part,
    ):
        vectors.save_word2vec_format(str(part), binary=True)
    assert error.value.filename == str(tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


def test_a_training_whose_state_may_not_grow_goes_on_later(tmp_path):
    from neanderthal_nlp.network import build_mlp, train_mlp

    rng = np.random.default_rng(1)
    X, y = rng.integers(0, 9, (60, 64)), np.arange(60) % 2
    model = build_mlp(64, hidden_units=300)
    train_mlp(model, X, y, directory=tmp_path / "whole", epochs=3, report=None)
    told = []

    def report(line):
        told.append(line)
        if len(told) == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    with limit(resource.RLIM_INFINITY), pytest.raises(OSError, match="File too large") as error:
        train_mlp(model, X, y, directory=tmp_path / "full", epochs=3, report=report)
    assert error.value.filename == str(tmp_path / "full/backup/latest.keras")
    assert not (tmp_path / "full/backup/part.keras").exists()
    train_mlp(model, X, y, directory=tmp_path / "full", epochs=3, report=told.append)
    assert [line.partition(":")[0] for line in told] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert (tmp_path / "full/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()


@pytest.mark.parametrize("change", ["longer", "touched", "gone"])
def test_a_genome_that_changes_while_it_is_read(tmp_path, change):
    path = write_fasta_text({"chr1": "ACGT" * 100}, tmp_path / "genome.fa")
    changes = {
        "longer": lambda: path.write_text(path.read_text() + ">chr2\nACGT\n"),
        "touched": lambda: os.utime(path, (1, 1)),
        "gone": path.unlink,
    }
    with ExitStack() as stack:
        genome = stack.enter_context(open_genome(path, cache=tmp_path / "cache"))
        assert genome.fetch("chr1", 0, 4).upper() == "ACGT"
        changes[change]()
        with pytest.raises(InputError, match=r"genome\.fa: changed while it was read"):
            stack.close()


def test_an_error_of_reading_is_not_taken_for_one_of_writing(tmp_path):
    broken = OSError("the other file is damaged")
    writing = files.replacing(tmp_path / "a")
    writing.__enter__().touch()
    assert not writing.__exit__(OSError, broken, None)  # it goes on its way as it is
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("data"))


UNTIL = ("--until", "windows")


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    """A run of two stages, in whose folder a second one was started before it had ended."""
    directory, log = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.mktemp("log") / "log"
    first = start(command(directory, inputs, *UNTIL), log)
    assert wait_for(lambda: "regions: " in log.read_text(), first)
    second = run(command(directory, inputs, *UNTIL))
    assert first.poll() is None
    assert first.wait(300) == 0, log.read_text()
    return directory, second


def test_a_second_run_is_refused_and_the_first_one_is_right(finished, undisturbed):
    directory, second = undisturbed
    assert second.returncode == 2
    assert re.fullmatch(rf"error: {directory}: another run \(process \d+\) is at work in it\n", second.stderr)
    if not finished.exists():
        attempts(finished, finished.with_name("other"), "access")
    for name in ("introgressed.bed", "depleted.bed", "windows.tsv"):
        assert (directory / "results" / name).read_bytes() == (finished / "results" / name).read_bytes()
    assert not list(directory.rglob("*.part"))


def test_an_input_that_changes_during_the_run_is_told_of_and_read_again(inputs, tmp_path):
    bed, log, directory = tmp_path / "mine.bed", tmp_path / "log", tmp_path / "run"
    shutil.copy(inputs["introgressed"], bed)
    words = command(directory, {**inputs, "introgressed": bed}, *UNTIL)
    process = start(words, log)
    assert wait_for(lambda: "regions: " in log.read_text(), process)
    lines = bed.read_text().splitlines(keepends=True)
    bed.write_text("".join(lines[:-10]))
    os.utime(bed, (0, 0))  # older than all that was made of it
    assert process.wait(300) == 2
    assert re.search(rf"^error: {bed}: changed during the run", log.read_text(), re.MULTILINE)
    assert len((directory / "results/introgressed.bed").read_text().splitlines()) == len(lines)
    again = run(words)
    assert again.returncode == 0, again.stderr
    assert len((directory / "results/introgressed.bed").read_text().splitlines()) == len(lines) - 10
    regions = pd.read_csv(directory / "results/windows.tsv", sep="\t").query("label == 1")
    assert len(regions) < len(lines) - 9


def test_a_run_whose_stage_is_killed_ends_and_the_next_goes_on(undisturbed, inputs, tmp_path):
    jobs = read_jobs(undisturbed[0])
    (job,) = (job for job in jobs if job.rule == "windows")
    assert survive(Kill(1, "windows", "stage", job), inputs, undisturbed[0], jobs, tmp_path) == []


def test_a_difference_would_be_found(undisturbed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[0], copy)
    jobs = read_jobs(copy)
    outputs = frozenset(output for job in jobs for output in job.outputs)
    assert {job.rule for job in jobs} == {"regions", "windows"}
    assert differences(copy, undisturbed[0], jobs, outputs) == []
    (copy / "results/gaps.bed").unlink()
    with (copy / "results/windows.tsv").open("a") as table:
        table.write("more\n")
    (copy / f"results/genes.tsv.{'0' * 32}.part").touch()
    found = differences(copy, undisturbed[0], jobs, outputs)
    assert found == [f"results/genes.tsv.{'0' * 32}.part", "results/gaps.bed", "results/windows.tsv"]


@needs_mounts
@pytest.mark.parametrize("room", [0, 100_000])
def test_a_run_on_a_full_disk_says_so(inputs, tmp_path, room):
    folder = tmp_path / "disk"
    folder.mkdir()
    words = " ".join(f"'{word}'" for word in command(folder / "run", inputs, *UNTIL))
    script = f"mount -t tmpfs -o size=1m tmpfs {folder} && head -c {2**20 - room} /dev/zero > {folder}/filler; {words}"
    done = subprocess.run([*NAMESPACE, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert re.search(r"error: \S+: No space left on device\n$", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
