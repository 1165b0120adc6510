"""Two fixtures that every benchmark is written with, `race` and `memory`, and the inputs that they share."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import inputs
import pandas as pd
import pytest
import table

from neanderthal_nlp import intervals, sequences
from neanderthal_nlp.annotation import read_genes

PACKAGES = ("numpy", "numba", "pandas", "scikit-learn", "keras", "tensorflow", "gensim", "pysam", "bioframe")
TOOLS = ("samtools", "bedtools", "jellyfish")
# What a process had in memory before it became another program counts to its peak. So the command is started by a
# process that is small itself.
_LAUNCHER = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""
_KIB_PER_UNIT = 1 / 1024 if sys.platform == "darwin" else 1
_skipped: list[str] = []
_failed: set[str] = set()


class Race(NamedTuple):
    """What the last round returned, for the benchmark to compare."""

    ours: Any
    reference: Any


@pytest.fixture
def race(benchmark) -> Callable[..., Race]:
    """Time ours against a reference, in turns; the reference comes first in every other round.

    `race(name, ours, reference, work=, reference_work=, rounds=3, at_least=, note=)`: both are called without
    arguments. `seconds` takes the time of a call from what it returned, where a part of it is what counts. `work` and
    `reference_work` are the units (windows, bases, draws) that each does, so that a slow reference may do a part.
    `at_least` is the bar of the ratio, `note` names the reference in the table. Without a reference, seconds are
    recorded; their bar is `at_most`.
    """

    def run(
        name: str,
        ours: Callable[[], Any],
        reference: Callable[[], Any] | None = None,
        *,
        work: float = 1,
        reference_work: float = 1,
        rounds: int = 3,
        at_least: float | None = None,
        at_most: float | None = None,
        seconds: Callable[[Any], float] | None = None,
        note: str = "",
    ) -> Race:
        ours_seconds, reference_seconds, returned = [], [], []

        def before() -> None:
            if reference is not None and len(ours_seconds) % 2 == 0:
                reference_seconds.append(_timed(reference, returned, seconds))

        def after() -> None:
            if reference is not None and len(reference_seconds) < len(ours_seconds):
                reference_seconds.append(_timed(reference, returned, seconds))

        def timed_ours() -> Any:
            result: list[Any] = []
            ours_seconds.append(_timed(ours, result, seconds))
            return result[0]

        result = benchmark.pedantic(timed_ours, setup=before, teardown=after, rounds=rounds)
        ratios = (
            table.speed_ratios(ours_seconds, reference_seconds, work=work, reference_work=reference_work)
            if reference is not None
            else []
        )
        benchmark.extra_info.update(table.race_record(name, note, ours_seconds, ratios, at_least, at_most))
        return Race(result, returned[0] if returned else None)

    return run


def _timed(function: Callable[[], Any], returned: list[Any], seconds: Callable[[Any], float] | None) -> float:
    returned.clear()
    start = time.perf_counter()
    result = function()
    elapsed = time.perf_counter() - start
    returned.append(result)
    return elapsed if seconds is None else seconds(result)


@pytest.fixture
def memory(benchmark, tmp_path: Path) -> Callable[..., float]:
    """Peak resident memory of a command, MiB: `memory(name, command, below=, note=)`; it has to succeed."""

    def run(name: str, command: Sequence[str | Path], *, below: float | None = None, note: str = "") -> float:
        words = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(tmp_path / "peak"), *map(str, command)]
        done = benchmark.pedantic(
            subprocess.run, args=(words,), kwargs={"capture_output": True, "text": True}, rounds=1
        )
        if done.returncode:
            pytest.fail(f"{name}: status {done.returncode}: {done.stderr[-2000:]}")
        mebibytes = int((tmp_path / "peak").read_text()) * _KIB_PER_UNIT / 1024
        benchmark.extra_info.update(table.memory_record(name, note, mebibytes, below))
        return mebibytes

    return run


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of an installed program; skip where there is none."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find


@pytest.fixture(scope="session")
def standin() -> inputs.Inputs:
    """The stand-in inputs of the article's size; the first run writes them."""
    return inputs.write_inputs(inputs.find_folder(), inputs.find_data())


@pytest.fixture(scope="session")
def introgressed(standin: inputs.Inputs) -> pd.DataFrame:
    """All introgressed regions."""
    return intervals.read_bed(standin.introgressed)[["chrom", "start", "end"]]


@pytest.fixture(scope="session")
def chromsizes(standin: inputs.Inputs) -> dict[str, int]:
    """Sizes of the genome's chromosomes."""
    return intervals.read_chromsizes(standin.chromsizes)


@pytest.fixture(scope="session")
def genes(standin: inputs.Inputs) -> pd.DataFrame:
    """All genes."""
    return read_genes(standin.genes)


@pytest.fixture(scope="session")
def windows(standin: inputs.Inputs, introgressed: pd.DataFrame, chromsizes: dict[str, int]) -> pd.DataFrame:
    """All windows of the article's size: the introgressed ones, then their depleted partners."""
    gaps = intervals.read_bed(standin.gaps)
    gaps = gaps[gaps["chrom"].isin(list(chromsizes))]
    partners = sequences.draw_partners(introgressed, chromsizes, gaps, drop_unplaced=True, rng=inputs.SEED)
    with inputs.open_genome(standin.genome) as genome:
        return sequences.make_windows(introgressed.loc[partners.index], partners, genome, gaps=gaps)


@pytest.fixture(scope="session")
def part(standin: inputs.Inputs) -> dict[str, Path]:
    """Two chromosomes as plain FASTA, bgzip FASTA and 2bit."""
    return inputs.write_part(standin.genome, inputs.find_folder() / ("part" if inputs.find_data() else "synthetic"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what was skipped or failed, for the table to say so."""
    if report.failed:
        _failed.add(report.nodeid)
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.append(f"{report.nodeid.split('::')[-1]} ({reason.removeprefix('Skipped: ')})")


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Add what was skipped and what failed to the JSON; times of the latter are taken out."""
    kept = [bench for bench in output_json["benchmarks"] if bench["fullname"] not in _failed]
    output_json |= {"benchmarks": kept, "skipped": _skipped, "failed": sorted(_failed)}


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add cores, memory, versions and the kind of inputs to what the JSON says of the machine."""
    machine_info["n_cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine_info["memory_gib"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine_info["inputs"] = inputs.PUBLISHED if inputs.find_data() else inputs.SYNTHETIC
    machine_info["versions"] = {
        "Python": machine_info["python_version"],
        **{name: version(name) for name in PACKAGES},
        **{name: _tool_version(name) for name in TOOLS if shutil.which(name)},
    }


def _tool_version(name: str) -> str:
    words = [str(shutil.which(name)), "--version"]
    printed = subprocess.run(words, capture_output=True, check=False).stdout  # not UTF-8 everywhere
    found = re.search(rb"\d+(\.\d+)+", printed)
    return found[0].decode() if found else "unknown"
