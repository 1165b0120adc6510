"""The workflow on a cluster: profiles and resources, and jobs of a real SLURM where its daemons can be started here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import slurm
import yaml

from neanderthal_nlp.cli import COSTS
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.reproduce import main
from neanderthal_nlp.workflow import cluster, driver

ROOT = Path(__file__).parents[1]
SIZES = {"chr1": 600_000, "chr2": 500_000}
SNAKEMAKE_MIB = 400
"""What the two processes of Snakemake take that run within a job of SLURM, beside the stage."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    found = {path.name: path for path in write_demo(folder, chromsizes=SIZES, n_regions=20, n_genes=8, seed=3).values()}
    return ["--genome", found["genome.fa.gz"], "--introgressed", found["introgressed.bed"], "--genes",
            found["refGene.txt.gz"]]  # fmt: skip


def write_profile(folder, **changes):
    """A profile of ours with changes, in a folder of its own."""
    profile = yaml.safe_load((cluster.read_profile("slurm").folder / "config.yaml").read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**profile, **changes}))
    return folder


# What a rule asks for


def test_every_rule_that_runs_asks_for_memory_and_time():
    text = (ROOT / "neanderthal_nlp/workflow/Snakefile").read_text("utf-8")
    blocks = re.split(r"^(?=rule |use rule )", text, flags=re.MULTILINE)[1:]
    asking = [(block.split(":")[0].split()[-1], re.findall(r'needs\("(\w+)"\)', block)) for block in blocks
              if "    shell:" in block]  # fmt: skip
    assert len(asking) > 25
    assert all(asked == [rule] for rule, asked in asking)
    # A rule that is made from another one asks for the same, or for its own.
    assert set(cluster.read_resources()) == set(re.findall(r'needs\("(\w+)"\)', text))
    for asked in cluster.read_resources().values():
        assert asked["mem_mb"] >= 1000
        assert asked["runtime"] >= 15


def test_a_further_attempt_asks_for_more():
    needs = cluster.needs("linear")
    first, second = ({name: ask(wildcards=None, attempt=n) for name, ask in needs.items()} for n in (1, 2))
    assert first == cluster.read_resources()["linear"]
    assert second == {name: 2 * amount for name, amount in first.items()}


def rules_of(stage):
    """Rules that run a stage as the tables of costs name it."""
    special = {"audit score": "audit_score", "audit match": "audit_match", "smooth": "smoothing",
               "audit sub-sequences": "audit_sub_sequences|audit_sub_sequences_null|audit_sequence_networks",
               "null-genome": "null_genome", "audit null-counts": "audit_null_counts"}  # fmt: skip
    for start, rules in special.items():
        if stage.startswith(start):
            return rules.split("|")
    return [stage.replace(" ", "_").replace("-", "_")]


def assert_enough(stage, mib, seconds=0.0):
    asked = [cluster.read_resources()[rule] for rule in rules_of(stage)]
    assert max(ask["mem_mb"] for ask in asked) >= mib + SNAKEMAKE_MIB, stage
    assert max(ask["runtime"] for ask in asked) * 60 >= seconds, stage


def test_the_measured_stages_fit_into_what_is_asked_for():
    text = (ROOT / "benchmarks/README.md").read_text("utf-8").split("<!-- stages: begin -->")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    seconds, mib = (rows[0].index(name) for name in ("s", next(c for c in reversed(rows[0]) if c.endswith("MiB"))))
    stages = [row for row in rows[2:] if row[0] != "**all**"]
    assert len(stages) > 20
    trees = float(re.search(r"add ([\d,]+) MiB", text)[1].replace(",", ""))
    whole = {stage: float(time.replace(",", "")) for stage, time in
             re.findall(r"([a-z ]+), [\d,]+ \w+ rather than [\d,]+: at most ([\d,]+) s", text)}  # fmt: skip
    for row in stages:
        stage = row[0]
        # The sum of the runs of a stage is more than one of them takes.
        took = float(row[seconds].replace(",", "")) if stage.startswith("audit score") else whole.get(stage.strip(), 0)
        more = trees if stage in ("forest", "audit score forest", "audit genes", "genes", "bundle", "scan") else 0
        assert_enough(stage, float(row[mib].replace(",", "")) + more, took)


def test_what_the_demo_took_fits_into_what_is_asked_for():
    path = ROOT / "runs/demo/logs/costs.tsv"
    if not path.exists():
        pytest.skip("no finished run in runs/demo")
    for row in pd.read_csv(path, sep="\t").itertuples():
        assert_enough(row.command, row.peak_mib, row.seconds)


# Profiles


@pytest.mark.parametrize("name", cluster.CLUSTERS)
def test_the_profiles_are_complete(name):
    text = (ROOT / f"neanderthal_nlp/workflow/clusters/{name}/config.yaml").read_text("utf-8")
    profile = yaml.safe_load(text)
    assert profile["executor"] == name
    assert profile["retries"] >= 1
    assert profile["jobs"] >= profile["cores"] >= 1
    assert text.startswith("# ")


@pytest.mark.parametrize("name", ["kubernetes", "aws-batch"])
def test_what_only_a_user_knows_is_asked_for(name, refused):
    with refused(f"clusters/{name}/config.yaml", "container-image, ", "default-storage-prefix: found …"):
        cluster.read_profile(name)


def test_a_dry_run_with_a_profile_names_the_stages(tmp_path, capfd):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    assert main(["--cluster", "slurm", "--directory", str(tmp_path / "run"), "--dry-run", "--until", "windows"]) == 0
    told = capfd.readouterr().out
    assert "regions" in told
    assert not (tmp_path / "run").exists()


def test_without_a_shared_folder_the_workflow_lies_below_the_runs(tmp_path):
    folder = write_profile(
        tmp_path / "profile", **{"default-storage-provider": "s3", "default-storage-prefix": "s3://b"}
    )
    assert cluster.storage(str(folder)) == "s3://b"
    assert cluster.storage("slurm") is None
    driver.command("Snakefile", tmp_path, tmp_path / "c", [], cores=1, profile=str(folder))
    assert (tmp_path / "Snakefile").read_bytes() == (ROOT / "neanderthal_nlp/workflow/Snakefile").read_bytes()


def test_cores_are_those_of_one_job(tmp_path):
    folder = write_profile(tmp_path / "profile", cores=5)
    for cores, expected in ((None, "5"), (3, "3")):
        words = driver.command("Snakefile", tmp_path, tmp_path / "c", ["all"], cores=cores, profile=str(folder))
        assert words[words.index("--cores") + 1] == words[words.index("--max-threads") + 1] == expected
    assert cluster.arguments("slurm", tmp_path / "a", 1) != cluster.arguments("slurm", tmp_path / "b", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "found no "),
        ("executor: [", "config.yaml: not YAML"),
        ("jobs: 1\ncores: 1", "config.yaml: executor: found None, expected text"),
        ("executor: local\njobs: many\ncores: 1", "config.yaml: jobs: found 'many', expected a whole number"),
        ("executor: local\njobs: 2", "config.yaml: cores: found None, expected a whole number"),
        ("- executor", "config.yaml: executor: found None"),
        ("executor: no-such\njobs: 1\ncores: 1", "pip install snakemake-executor-plugin-no-such"),
    ],
)
def test_what_cannot_be_used_is_told_of(text, message, tmp_path, capsys):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    assert main(["--cluster", str(tmp_path), "--directory", str(tmp_path / "run"), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert f"--cluster {tmp_path}" in told or str(tmp_path / "config.yaml") in told


def test_without_the_plugin_of_slurm_its_extra_is_named(monkeypatch, refused):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with refused("--cluster slurm", "pip install 'neanderthal_nlp[cluster]'"):
        cluster.read_profile("slurm")


def test_without_slurm_it_is_told_that_it_is_missing(monkeypatch, tmp_path, refused):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused("squeue: not found"), cluster.no_jobs_left("slurm", tmp_path):
        pass


@pytest.fixture
def squeue(monkeypatch, tmp_path):
    """A squeue with nothing in the queue that fails as often as the file `failures` has lines."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    script = tmp_path / "squeue"
    script.write_text("#!/bin/sh\ncd $(dirname $0)\ntest -s failures || exit 0\nsed -i 1d failures\n"
                      "echo Socket timed out >&2\nexit 1\n")  # fmt: skip
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(cluster, "_PAUSE", 0.01)
    return lambda times: (tmp_path / "failures").write_text("no answer\n" * times)


def test_a_slurm_that_does_not_answer_at_once_is_asked_again_and_that_is_told_once(squeue, tmp_path, capsys):
    squeue(3)
    with cluster.no_jobs_left("slurm", tmp_path):
        assert (tmp_path / "failures").read_text() == ""
    assert capsys.readouterr().err == "squeue: Socket timed out; asked again for up to 120 seconds\n"


def test_a_slurm_that_does_not_answer_stops_a_run_before_it_begins_and_not_after(
    squeue, tmp_path, monkeypatch, refused, capsys
):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.1)
    with cluster.no_jobs_left("slurm", tmp_path):
        squeue(1000)
    assert "may be left in the queue: squeue: Socket timed out" in capsys.readouterr().err
    with refused("squeue: Socket timed out"), cluster.no_jobs_left("slurm", tmp_path):
        pass


@pytest.mark.parametrize(("ends", "status", "said"), [(0, 0, 1), (1, 2, 1)])
def test_an_error_of_several_attempts_is_told_once(ends, status, said, tmp_path, capfd):
    line = "regions: error: x.bed: the file is empty"
    code = f"import sys; print({line!r}); print({line!r}); sys.exit({ends})"
    log = tmp_path / "logs/run.log"
    assert driver.follow([sys.executable, "-c", code], log, re.compile("regions: ")) == status
    assert capfd.readouterr().err.count(line) == said
    assert log.read_text("utf-8").count(line) == 2


# A real cluster of one node


@pytest.fixture(scope="module")
def running():
    """A SLURM cluster, and a profile that asks it often."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    reason = slurm.missing()
    if reason:
        pytest.skip(f"no SLURM can be started here: {reason}")
    with slurm.cluster():
        yield


@pytest.fixture
def profile(running, tmp_path):
    return write_profile(tmp_path / "profile", **{"slurm-init-seconds-before-status-checks": 1})


def start(directory, inputs, *arguments):
    command = [sys.executable, "-m", "neanderthal_nlp.reproduce", "--directory", directory, *inputs, "--cores", "2",
               "--set", "epochs=200", *arguments]  # fmt: skip
    # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
    return subprocess.Popen([*map(str, command)], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL))  # fmt: skip


def finish(process):
    told = process.communicate(timeout=300)[1]
    return process.returncode, told


def queue():
    """Names of the jobs that wait, run, or are ending."""
    result = subprocess.run(["squeue", "--noheader", "--format=%j"], capture_output=True, text=True, check=True)
    return result.stdout.split()


def stages_of_jobs(directory):
    """Process and job, by stage, of the stages that jobs run in a folder at the moment."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            here = (entry / "cwd").resolve() == directory.resolve()
            job = re.search(rb"\0SLURM_JOB_ID=(\d+)", (entry / "environ").read_bytes())
        except OSError:
            continue
        if here and job and words[2:4] == ["-m", "neanderthal_nlp.cli"]:
            found[words[4]] = int(entry.name), job[1].decode()
    return found


def process_of(stage, directory):
    """Process of a stage that a job runs in a folder, once it is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = stages_of_jobs(directory)
        if stage in found:
            return found[stage][0]
        time.sleep(0.05)
    raise AssertionError(f"no job runs {stage}")


def tables(directory):
    found = [*(directory / "results").glob("*.tsv"), *(directory / "results").glob("*.bed")]
    return {path.name: path.read_bytes() for path in found}


def test_jobs_give_the_same_tables_and_a_killed_one_runs_again(profile, inputs, tmp_path):
    assert finish(start(tmp_path / "here", inputs, "--until", "regions"))[0] == 0
    process = start(tmp_path / "jobs", inputs, "--until", "regions", "--cluster", profile)
    stage = process_of("regions", tmp_path / "jobs")
    # A pipe of another machine may have the number of ours: nothing of it may reach a job.
    assert b"NEANDERTHAL_NLP_LIFELINE" not in Path(f"/proc/{stage}/environ").read_bytes()
    assert COSTS.encode() in Path(f"/proc/{stage}/environ").read_bytes()
    os.kill(stage, signal.SIGKILL)
    status, told = finish(process)
    assert status == 0, told
    assert "1 of 1 steps" in told
    log = (tmp_path / "jobs/logs/reproduce.log").read_text("utf-8")
    assert log.count("Trying to restart job") == 1
    assert "mem_mb=2000" in log
    assert tables(tmp_path / "jobs") == tables(tmp_path / "here") != {}
    assert not list((tmp_path / "jobs").rglob("*.part"))
    assert not queue()


def test_an_error_of_a_job_is_told_in_one_line(running, inputs, tmp_path):
    profile = write_profile(tmp_path / "profile", retries=0, **{"slurm-init-seconds-before-status-checks": 1})
    bed = tmp_path / "regions.bed"
    bed.write_text("chr1\t5\t20000\nchrZ\t5\t20000\n")
    process = start(tmp_path / "run", [*inputs[:3], bed, *inputs[4:]], "--until", "regions", "--cluster", profile)
    status, told = finish(process)
    assert status == 2
    assert told.count("\n") == 1
    assert told.startswith("regions: error: ")
    assert "1 of 2 chromosomes unknown to the genome: chrZ" in told


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_jobs_end_with_the_run_that_started_them(profile, inputs, tmp_path, how):
    process = start(tmp_path / "run", inputs, "--until", "regions", "--cluster", profile)
    process_of("regions", tmp_path / "run")
    assert len(queue()) == 1
    process.send_signal(how)
    status, told = finish(process)
    if how == signal.SIGKILL:  # Snakemake, which it left behind, cancels the job
        deadline = time.monotonic() + 30
        while queue() and time.monotonic() < deadline:
            time.sleep(0.2)
    else:
        assert status == 130
        assert told == "interrupted; the same command goes on from here\n"
    assert not queue()


def test_jobs_left_behind_are_cancelled_and_others_are_not(profile, tmp_path):
    left = cluster.arguments(str(profile), tmp_path, 1)[-1] + "_1234"
    for name in (left, "another"):
        subprocess.run(["sbatch", "--job-name", name, "--output=/dev/null", "--wrap", "sleep 600"], check=True,
                       capture_output=True, cwd=tmp_path)  # fmt: skip
    assert sorted(queue()) == sorted([left, "another"])
    with driver.only_run(tmp_path, [], profile=str(profile)):
        assert queue() == ["another"]
    subprocess.run(["scancel", "--name=another"], check=True)
