"""The front door, run as a user runs it: a process of its own, from another folder, without the environment active."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from neanderthal_nlp import inputs as registry
from neanderthal_nlp import reproduce
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.figures import ARTICLE, FIGURES
from neanderthal_nlp.files import sha256
from neanderthal_nlp.parameters import CONTROLS, MODELS
from neanderthal_nlp.profiles import INPUTS
from neanderthal_nlp.seals import AGAIN

SMALL = ["epochs=3", "audit_epochs=3", "n_estimators=20", "n_draws=19", "audit_draws=19", "word2vec_windows=40",
         "sweep_features=40", "sweep_windows=200", "sequence_windows=80", "sequence_epochs=1",
         "sequence_cnn_epochs=1"]  # fmt: skip
SIZES = {"chr1": 2_500_000, "chr2": 2_000_000, "chr3": 1_500_000}


def command(directory, inputs=None, *arguments, settings=SMALL):
    files = [word for name, path in (inputs or {}).items() for word in (f"--{name}", str(path))]
    changes = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "neanderthal_nlp.reproduce", "--directory", str(directory), "--cores", "2",
            *files, *changes, *arguments]  # fmt: skip


def run(directory, inputs=None, *arguments, settings=SMALL, cwd="/"):
    # Everything but the PATH stays: variables such as OPENBLAS_CORETYPE decide the last digits of results.
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    return subprocess.run(command(directory, inputs, *arguments, settings=settings), cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=1500, check=False)  # fmt: skip


def contents(directory):
    """Bytes of every table, without the JSON files, which tell the time a stage took."""
    tables = [
        *(directory / "results").rglob("*.tsv"),
        *(directory / "results").glob("*.bed"),
        directory / "results/kmers.npy",
    ]
    return {str(path.relative_to(directory)): path.read_bytes() for path in tables}


def times(directory):
    made = [
        path for part in ("results", "models", "figures") for path in (directory / part).rglob("*") if path.is_file()
    ]
    return {path: path.stat().st_mtime_ns for path in made}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo data")
    paths = write_demo(folder, chromsizes=SIZES, n_regions=110, n_genes=50, seed=3)
    found = {path.name: path for path in paths.values()}
    return {
        "genome": found["genome.fa.gz"],
        "introgressed": found["introgressed.bed"],
        "genes": found["refGene.txt.gz"],
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory, inputs):
    directory = tmp_path_factory.mktemp("a run")
    result = run(directory, inputs)
    assert result.returncode == 0, result.stdout + result.stderr
    return directory, result


def copy_of(finished, tmp_path):
    directory = tmp_path / "copy"
    shutil.copytree(finished[0], directory, copy_function=shutil.copy2)
    return directory


def test_one_command_writes_all_that_the_article_shows(finished):
    directory, result = finished
    for name in FIGURES:
        for form in ("png", "svg"):
            assert (directory / f"figures/{name}.{form}").stat().st_size > 1000
    ledger = pd.read_csv(directory / "results/claims.tsv", sep="\t")
    assert len(ledger) == len(json.loads((directory / "results/claims.json").read_text())["claims"]) >= 14
    assert set(ledger["verdict"]) <= {"reproduced", "differs", "not testable on this input"}
    for part in ("results", "models", "figures"):
        assert str(directory / part) in result.stdout
    assert "The article's claims" in result.stdout
    evaluation = pd.read_csv(directory / "results/evaluation.tsv", sep="\t")
    assert set(evaluation["model"]) == {"network", "forest", "logistic_regression", "linear_svm", "naive_bayes"}
    accuracy = evaluation[evaluation["metric"] == "accuracy"]
    assert (accuracy["low"] <= accuracy["value"]).all()
    assert (accuracy["value"] <= accuracy["high"]).all()
    assert len(pd.read_csv(directory / "results/history.tsv", sep="\t")) == 3
    assert not list(directory.rglob("*.part"))


def test_the_audit_stands_beside_the_article(finished):
    directory, _ = finished
    audit = directory / "results/audit"
    ladder, null = (pd.read_csv(audit / f"{name}.tsv", sep="\t") for name in ("ladder", "null"))
    assert list(ladder["rung"].unique()) == ["article", "distinct", "cluster", "chromosome", "matched"]
    assert list(null["rung"].unique()) == ["article", "chromosome"]
    for table in (ladder, null):
        assert set(table["model"]) == {*MODELS, *CONTROLS}
    # What the article's stages trained is not trained again, and what the ladder says of it is the same.
    assert {path.name for path in (audit / "scores/article").glob("*.tsv")} == {"controls.tsv"}
    evaluation = pd.read_csv(directory / "results/evaluation.tsv", sep="\t").drop(columns="protocol")
    same = ladder[ladder["rung"] == "article"].drop(columns="rung").merge(evaluation, on=["model", "metric"])
    assert len(same) == len(evaluation)
    pd.testing.assert_series_equal(same["value_x"], same["value_y"], check_names=False)
    sides = pd.read_csv(audit / "splits/chromosome.tsv", sep="\t").groupby("chrom")["side"].nunique()
    assert set(sides) == {1}
    held_out = []
    for name in ("splits/chromosome.tsv", "matched/split.tsv"):
        table = pd.read_csv(audit / name, sep="\t")
        held_out.append(set(table.loc[table["side"] == "test", "chrom"]))
    assert held_out[0] == held_out[1]
    genes = pd.read_csv(audit / "genes.tsv", sep="\t")
    assert len(genes) == len(pd.read_csv(directory / "results/genes.tsv", sep="\t"))
    assert len(pd.read_csv(audit / "intersections.tsv", sep="\t")) == 7
    ledger = pd.read_csv(directory / "results/claims.tsv", sep="\t")
    assert (ledger["meaning"].str.len() > ledger["verdict"].str.len()).all()
    assert ledger["meaning"].iloc[0].split("; ")[1] in (directory / "report.html").read_text()


def test_the_audit_can_be_left_out(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    shutil.rmtree(directory / "results/audit")
    shutil.rmtree(directory / "figures")
    result = run(directory, inputs, settings=[*SMALL, "audit=false"])
    assert result.returncode == 0, result.stderr
    assert not (directory / "results/audit").exists()
    assert {path.stem for path in (directory / "figures").iterdir()} == set(ARTICLE)
    ledger = pd.read_csv(directory / "results/claims.tsv", sep="\t")
    assert set(ledger["meaning"].str.split("; ").str[1]) == {"not audited"}
    assert (directory / "report.html").stat().st_mtime_ns > (finished[0] / "report.html").stat().st_mtime_ns


def test_the_models_follow_a_protocol_or_a_file(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    result = run(directory, inputs, "--protocol", "chromosome", "--until", "split")
    assert result.returncode == 0, result.stderr
    split = directory / "results/split.tsv"
    assert split.read_bytes() == (directory / "results/audit/splits/chromosome.tsv").read_bytes()
    assert json.loads((directory / "results/split.json").read_text())["protocol"] == "chromosome"
    mine = tmp_path / "mine.tsv"
    manifest = pd.read_csv(split, sep="\t")
    manifest.assign(side=manifest["side"].map({"train": "test", "test": "train"})).to_csv(mine, sep="\t", index=False)
    result = run(directory, inputs, "--split-file", str(mine), "--until", "split")
    assert result.returncode == 0, result.stderr
    pd.testing.assert_frame_equal(pd.read_csv(split, sep="\t"), pd.read_csv(mine, sep="\t"))
    manifest.iloc[1:].to_csv(mine, sep="\t", index=False)
    result = run(directory, inputs, "--split-file", str(mine), "--until", "split")
    assert result.returncode == 2
    assert f"{mine}: found {len(manifest) - 1} windows" in result.stderr


def test_provenance_lies_beside_the_results(finished):
    directory, _ = finished
    for name in ("results/regions", "results/windows", "results/kmers", "models/forest", "models/network"):
        record = json.loads((directory / f"{name}.json").read_text())
        assert record["versions"]["numpy"]
        assert record["seconds"] > 0
        assert all(len(source["sha256"]) == 64 for source in record["inputs"].values())


def test_a_second_run_does_nothing(finished, inputs):
    directory, _ = finished
    before = times(directory)
    result = run(directory, inputs)
    assert result.returncode == 0, result.stderr
    assert "The article's claims" in result.stdout
    assert times(directory) == before


def test_a_changed_parameter_runs_again_only_what_depends_on_it(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    before = times(directory)
    result = run(directory, inputs, settings=[*SMALL, "n_draws=29"])
    assert result.returncode == 0, result.stderr
    after = times(directory)
    renewed = {str(path.relative_to(directory)) for path in after if after[path] != before.get(path)}
    assert {"results/intersections.json", "results/gc.tsv", "results/claims.tsv"} <= renewed
    untouched = (
        "results/windows.tsv",
        "results/kmers.npy",
        "models/forest.skops",
        "models/network.keras",
        "results/genes.tsv",
    )
    assert not renewed & set(untouched)
    assert json.loads((directory / "results/intersections.json").read_text())["n_draws"] == 29


def test_dry_run_writes_nothing_and_names_the_stages(inputs, tmp_path):
    result = run(tmp_path / "new", inputs, "--dry-run")
    assert result.returncode == 0, result.stderr
    for stage in reproduce.STAGES:
        assert re.search(rf"\b{stage}\b", result.stdout + result.stderr)
    assert not (tmp_path / "new").exists()


def test_until_stops_after_a_stage(finished, inputs, tmp_path):
    result = run(tmp_path, inputs, "--until", "kmers")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "results/kmers.npy").read_bytes() == (finished[0] / "results/kmers.npy").read_bytes()
    assert not (tmp_path / "models").exists()


def test_a_second_live_run_is_refused_and_a_dead_ones_lock_is_not_in_the_way(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    with (directory / ".lock").open("a+") as lock:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run(directory, inputs)
        assert result.returncode == 2
        assert "another run" in result.stderr
        assert result.stderr.count("\n") == 1
    assert run(directory, inputs).returncode == 0


def start(directory, inputs, *arguments):
    # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
    return subprocess.Popen(command(directory, inputs, *arguments), cwd="/", stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True,
                            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL))  # fmt: skip


def wait_for(process, message):
    for line in process.stderr:
        if line.startswith(message):
            return


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_nothing_half_written_and_the_next_goes_on(finished, inputs, tmp_path, how):
    directory = tmp_path / "killed"
    process = start(directory, inputs, "--until", "network")
    wait_for(process, "network: epoch 1/")
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    assert not (directory / "results/history.tsv").exists()
    result = run(directory, inputs, "--until", "network")
    assert result.returncode == 0, result.stderr
    assert "network: epoch 1/" not in result.stderr  # training went on where it stood
    assert "kmers: " not in result.stderr  # and finished stages were not run again
    tables = contents(directory)
    expected = ("results/history.tsv", "results/predictions/network.tsv", "results/windows.tsv", "results/kmers.npy")
    assert set(expected) <= set(tables)
    undisturbed = contents(finished[0])
    assert tables == {name: undisturbed[name] for name in tables}
    assert not list(directory.rglob("*.part"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_stages_end_with_the_run_that_started_them(inputs, tmp_path, how):
    process = start(tmp_path, inputs)
    wait_for(process, "kmers: ")
    process.send_signal(how)
    process.communicate()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (left := _working_in(tmp_path)):
        time.sleep(0.2)
    assert not left


def _working_in(directory):
    """Processes whose working folder is the run's."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs /proc")
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.resolve() == directory.resolve():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("chrZ\t5\t50000\n", "none of its chromosomes"),
        ("chr1\t5\t50000\nchrZ\t5\t50000\n", "1 of 2 chromosomes unknown to the genome: chrZ"),
        ("chr1\t20000\t1900000\n", "N"),
    ],
)
def test_bad_regions_end_with_one_line_and_status_2(inputs, tmp_path, content, expected):
    bad = write(tmp_path / "bad.bed", content)
    result = run(tmp_path / "run", {**inputs, "introgressed": bad})
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert expected in errors[0]
    assert str(bad) in errors[0]
    assert not list((tmp_path / "run").rglob("*.bed"))


@pytest.mark.parametrize("name", ["chromsizes", "gaps", "split_file", "introgressed"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_result_of_the_run_is_no_input_of_it(inputs, tmp_path, capsys, name, dry):
    directory = tmp_path / "run"
    (directory / "results").mkdir(parents=True)
    (tmp_path / "link").symlink_to(directory)
    result = directory / "results/given"
    result.write_text("chr1\t2500000\n" if name == "chromsizes" else "chr1\t100\t50000\n")
    given = {**inputs, name: tmp_path / "link/results/given"}
    words = [word for key, path in given.items() for word in (f"--{key.replace('_', '-')}", str(path))]
    assert reproduce.main(["--directory", str(directory), *words, *dry]) == 2
    assert "keeps its results, which it may remove" in capsys.readouterr().err
    assert result.exists()
    assert [path.name for path in directory.iterdir()] == ["results"]


def test_arguments_are_checked_before_anything_runs(inputs, tmp_path, capsys):
    cases = [
        (["--genome", "/nowhere.fa"], "--genome /nowhere.fa: no such file"),
        (["--profile", "nothing"], "--profile nothing: no such YAML file"),
        (["--profile", "article", "--set", "assembly=hg38"], "--genome, --introgressed, --genes: missing"),
        (["--genome", str(inputs["genome"])], "--introgressed, --genes: missing"),
        (["--set", "epoch=3"], "--set epoch=3: found epoch, expected KEY=VALUE"),
        (["--set", "epochs=[1"], "--set epochs=[1: not YAML"),
        (["--set", "seed=1; touch x"], "expected a whole number"),
        (["--set", "unplaced=maybe"], "expected error or drop"),
        (["--set", "window_length=4"], "window_length: found 4, expected at least k = 5"),
        (["--genome", str(write(tmp_path / "{a}.fa", ">a"))], "a path with a brace"),
        (["--cores", "0"], "--cores 0: expected 1 or more"),
        (["--genome", "~nobody of this name/x.fa"], "~nobody of this name/x.fa: Could not"),
        (["--profile", str(write(tmp_path / "p.yaml", "epochz: 3\n"))], "found epochz"),
        (["--profile", str(write(tmp_path / "q.yaml", "[1, 2\n"))], "not YAML"),
    ]
    for arguments, message in cases:
        assert reproduce.main(["--directory", str(tmp_path / "run"), *arguments]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.fixture
def fetched(inputs, tmp_path, monkeypatch):
    """A data folder with a small stand-in for each of the article's files."""
    entries = {}
    for name, file in registry.ARTICLE.items():
        shutil.copy(inputs[name], tmp_path / file)
        entries[file] = registry.Input(file, "https://127.0.0.1:9/none", f"sha256:{sha256(inputs[name])}", None, "")
    monkeypatch.setattr(registry, "REGISTRY", entries)
    monkeypatch.setenv(registry.DATA_DIR, str(tmp_path))
    return {name: str(tmp_path / file) for name, file in registry.ARTICLE.items()}


@pytest.fixture
def configured(monkeypatch):
    """Configurations of the runs that would be started."""
    started = []
    monkeypatch.setattr(reproduce, "_reproduce", lambda _, config: started.append(config) or 0)
    return started


def test_the_article_profile_takes_what_was_fetched(fetched, inputs, configured):
    assert reproduce.main(["--profile", "article"]) == 0
    assert reproduce.main(["--profile", "article", "--genes", str(inputs["genes"])]) == 0
    assert reproduce.main(["--profile", "article", "--set", f"genome={inputs['genome']}"]) == 0
    found = [{name: config[name] for name in fetched} for config in configured]
    assert set(fetched) == set(INPUTS)
    assert found[0] == fetched
    assert found[1] == {**fetched, "genes": str(inputs["genes"])}
    assert found[2] == {**fetched, "genome": str(inputs["genome"])}
    assert not any(config["synthetic"] for config in configured)


def test_data_of_another_profile_or_build_are_not_fetched(fetched, inputs, configured, tmp_path):
    profile = write(tmp_path / "mine.yaml", "epochs: 3\n")
    sizes = write(tmp_path / "sizes", "chr1\t5\n")
    cases = [["--profile", str(profile)], ["--genome", str(inputs["genome"])],
             ["--profile", "article", "--set", "assembly=null"],
             ["--profile", "article", "--chromsizes", str(sizes)]]  # fmt: skip
    for arguments in cases:
        assert reproduce.main(arguments) == 2
    assert configured == []


def test_what_is_missing_is_fetched_only_when_told_to(configured, tmp_path, capsys):
    arguments = ["--profile", "article", "--data-dir", str(tmp_path / "none")]
    assert reproduce.main(arguments) == 2
    told = capsys.readouterr().err
    assert f"to download: 818.9 MB, into {tmp_path / 'none'}" in told
    assert "expected --yes" in told.splitlines()[-1]
    assert reproduce.main([*arguments, "--dry-run", "--yes"]) == 2
    assert "offline" in capsys.readouterr().err.splitlines()[-1]
    assert reproduce.main([*arguments, "--yes", "--gaps", "/nowhere.bed"]) == 2
    assert capsys.readouterr().err == "error: --gaps /nowhere.bed: no such file\n"
    assert not (tmp_path / "none").exists()
    assert configured == []


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert reproduce.main(["--directory", str(tmp_path / "file")]) == 2
    captured = capsys.readouterr()
    assert str(tmp_path / "file") in captured.err
    assert captured.err.count("\n") == 1


def test_bad_genes_are_told_of_before_anything_is_replaced(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    before = times(directory)
    result = run(directory, {**inputs, "genes": write(tmp_path / "genes.txt", "chr1:5-x\tA\n")})
    assert result.returncode == 2
    assert "genes.txt: line 1" in result.stderr
    assert times(directory) == before


def test_an_input_replaced_by_an_older_file_is_noticed(finished, inputs, tmp_path):
    bed = tmp_path / "re'gi on s.bed"
    bed.write_bytes(inputs["introgressed"].read_bytes())
    directory = tmp_path / "run"
    assert run(directory, {**inputs, "introgressed": bed}, "--until", "regions").returncode == 0
    bed.write_text("".join(bed.read_text().splitlines(keepends=True)[:60]))
    os.utime(bed, (0, 0))
    assert run(directory, {**inputs, "introgressed": bed}, "--until", "regions").returncode == 0
    assert len((directory / "results/introgressed.bed").read_text().splitlines()) == 60


def test_only_what_a_killed_run_left_is_removed(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    mine, left = directory / "results/mine.part", directory / f"results/genes.tsv.{'0' * 32}.part"
    for path in (mine, left):
        path.touch()
    assert run(directory, inputs).returncode == 0
    assert mine.exists()
    assert not left.exists()


def test_an_edited_result_is_told_of_and_made_again_once_it_is_removed(finished, inputs, tmp_path):
    directory = copy_of(finished, tmp_path)
    for name, until, told in (("claims.tsv", "report", "report"), ("split.tsv", "linear", "(network|forest|linear)")):
        path = directory / "results" / name
        before = path.read_text()
        path.write_text(before.replace("e", "i", 1))
        result = run(directory, inputs, "--until", until)
        assert result.returncode == 2
        errors = [line for line in result.stderr.splitlines() if ": error: " in line]
        expected = rf"{told}: error: results/{name}: changed since it was written \(.*\): {re.escape(AGAIN)}"
        assert all(re.fullmatch(expected, line) for line in errors)
        assert errors
        path.unlink()
        result = run(directory, inputs, "--until", until)
        assert result.returncode == 0, result.stderr
        assert path.read_text() == before
