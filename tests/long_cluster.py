"""All stages and scans of a sheet on SLURM, with jobs killed on the way, give what one machine gives: `make cluster`.

SLURM's daemons are started here (`slurm.py`) on the loopback of this machine.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import test_reproduce
import test_sheet
from test_cluster import running, stages_of_jobs, write_profile

__all__ = ["running"]
KILLED = {"kmers": "SIGKILL", "network": "scancel", "forest": "SIGKILL", "embeddings": "scancel", "audit": "SIGKILL"}
"""Stages of which the first job is ended, and how: from within the node, or by SLURM."""
inputs, material = test_reproduce.inputs, test_sheet.material


def kill_some(process: subprocess.Popen[str], directory: Path, stages: Mapping[str, str]) -> list[str]:
    """End the first job of each of some stages while a run goes on; the stages whose jobs were ended."""
    left, ended = dict(stages), []
    while process.poll() is None:
        for stage, (pid, job) in stages_of_jobs(directory).items():
            how = left.pop(stage, None)
            if how == "SIGKILL":
                os.kill(pid, signal.SIGKILL)
            elif how == "scancel":
                subprocess.run(["scancel", job], check=True)
            if how:
                ended.append(f"{stage} ({how})")
        time.sleep(0.05)
    return ended


@pytest.mark.usefixtures("running")
def test_a_run_with_killed_jobs_equals_one_without_a_cluster(inputs, tmp_path, capsys):
    here, jobs = tmp_path / "here", tmp_path / "jobs"
    subprocess.run(test_reproduce.command(here, inputs), cwd="/", check=True, capture_output=True)
    profile = write_profile(tmp_path / "profile", **{"slurm-init-seconds-before-status-checks": 3})
    start = time.monotonic()
    with (tmp_path / "told").open("w+") as told:
        process = subprocess.Popen(test_reproduce.command(jobs, inputs, "--cluster", str(profile)), cwd="/",
                                   stdout=told, stderr=told, text=True)  # fmt: skip
        ended = kill_some(process, jobs, KILLED)
        told.seek(0)
        assert process.returncode == 0, told.read()
    log = (jobs / "logs/reproduce.log").read_text("utf-8")
    submitted = len(re.findall(r"has been submitted with SLURM jobid", log))
    again = log.count("Trying to restart job")
    expected, found = test_reproduce.contents(here), test_reproduce.contents(jobs)
    with capsys.disabled():
        print(f"\n{submitted} jobs of SLURM in {time.monotonic() - start:.0f} s; ended: {', '.join(ended)}; "
              f"{again} ran again; {len(found)} tables, {sum(map(len, found.values())):,} bytes")  # fmt: skip
    assert len(ended) == len(KILLED)
    assert again >= len(KILLED)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert not list(jobs.rglob("*.part"))


@pytest.mark.usefixtures("running")
def test_a_scan_of_a_sheet_with_a_killed_job_equals_one_without_a_cluster(material, tmp_path):
    profile = write_profile(tmp_path / "profile", **{"slurm-init-seconds-before-status-checks": 3})
    names = ("long", "odd")
    command = [sys.executable, "-m", "neanderthal_nlp.cli", "scan", "--sheet", material.sheet("two.tsv", *names),
               *material.options(500), "--cores", "2", "--output"]  # fmt: skip
    here, jobs = tmp_path / "here", tmp_path / "jobs"
    subprocess.run([*map(str, command), str(here)], check=True, capture_output=True)
    with subprocess.Popen([*map(str, command), str(jobs), "--cluster", str(profile)], text=True) as process:
        assert kill_some(process, jobs, {"scan-part": "SIGKILL"}) == ["scan-part (SIGKILL)"]
    assert process.returncode == 0
    assert (jobs / "logs/scan.log").read_text("utf-8").count("Trying to restart job") == 1
    for name in names:
        assert test_sheet.contents(jobs / name) == test_sheet.contents(here / name) != {}
    assert (jobs / "genomes.tsv").read_bytes() == (here / "genomes.tsv").read_bytes()
