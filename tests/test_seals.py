"""Damaged and edited files of a run: noticed by whoever reads them, told in one line, repaired by removing them."""

import errno
import json
import re
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import assume, given
from hypothesis import strategies as st

from neanderthal_nlp import cli, files, network, seals
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.forest import fit_forest
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.intervals import read_bed
from neanderthal_nlp.persistence import load_model, save_model
from neanderthal_nlp.workflow import driver

TABLE = pd.DataFrame({"kmer": ["AA", "AC"], "count": [3, 5]})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(seals, "_MOMENT", 0)


@pytest.fixture
def folder(tmp_path):
    """The folder of a run."""
    seals.keep_seals(tmp_path / "run")
    return tmp_path / "run"


def seal_of(path, root):
    return root / ".sealed" / path.relative_to(root)


def test_sha256sum_knows_the_seals(folder, tool):
    for name in ("results/a b.tsv", "results/audit/b.tsv"):
        files.write_table(TABLE, folder / name)
    lines = "".join(path.read_text() for path in (folder / ".sealed").rglob("*.tsv"))
    done = subprocess.run([tool("sha256sum"), "-c", "-"], input=lines, cwd=folder, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert sorted(done.stdout.splitlines()) == ["results/a b.tsv: OK", "results/audit/b.tsv: OK"]
    assert not list(folder.rglob("*.part"))


def test_outside_of_a_run_nothing_is_sealed_and_all_is_taken_as_it_is(tmp_path):
    path = tmp_path / "mine.tsv"
    files.write_table(TABLE, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.tsv"]
    path.write_text(path.read_text().replace("3", "4"))
    assert files.read_table(path)["count"].tolist() == [4, 5]


def test_a_users_own_file_within_a_run_is_taken_as_it_is(folder):
    for path in (folder / "mine.tsv", folder / "results/mine.tsv"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("kmer\tcount\nAA\t4\n")
        assert files.read_table(path)["count"].tolist() == [4]


@pytest.mark.parametrize("name", ["mine.bed", "mine/mine.bed"])
def test_what_the_package_writes_beside_the_folders_of_a_run_is_the_users(folder, name):
    path = folder / name
    files.write_bed(pd.DataFrame({"chrom": "chr1", "start": [50, 0], "end": [60, 10]}), path)
    path.write_text("".join(sorted(path.read_text().splitlines(keepends=True))))
    assert read_bed(path)["start"].tolist() == [0, 50]
    assert not any(path.is_file() for path in (folder / ".sealed").rglob("*"))


def test_only_the_folders_that_were_named_are_sealed(tmp_path):
    seals.keep_seals(tmp_path, [".work", "genome"])
    for name in (".work/genome/0.tsv", "genome/a.tsv", "other/a.tsv", "results/a.tsv", ".work/cache/0/genome.fai"):
        files.write_table(TABLE, tmp_path / name)
    sealed = [path for path in (tmp_path / ".sealed").rglob("*") if path.is_file()]
    assert sorted(sealed) == [tmp_path / ".sealed" / name for name in (".work/genome/0.tsv", "genome/a.tsv")]


def test_a_run_below_a_folder_of_that_name_is_sealed(tmp_path):
    for name in ("cache", "network.training", f"a.{'0' * 32}.part"):
        seals.keep_seals(tmp_path / name)
        files.write_table(TABLE, tmp_path / name / "results/a.tsv")
        assert (tmp_path / name / ".sealed/results/a.tsv").exists()


def test_a_file_that_is_being_written_again_is_read_once_more(folder, monkeypatch):
    path = folder / "results/table.tsv"
    files.write_table(TABLE, path)
    seal, file = seal_of(path, folder).read_text(), path.read_text()
    files.write_table(TABLE.head(1), path)

    def write(_):
        seal_of(path, folder).write_text(seal)
        path.write_text(file)

    for halfway, content in ((seal_of(path, folder), seal), (path, file)):
        halfway.write_text(content)
        with monkeypatch.context() as patched:
            patched.setattr(seals.time, "sleep", write)
            assert files.read_table(path).equals(TABLE)
        files.write_table(TABLE.head(1), path)


@pytest.mark.parametrize("gone", ["seal", "file"])
def test_what_goes_while_it_is_compared_is_none(folder, monkeypatch, gone):
    path = folder / "results/table.tsv"
    files.write_table(TABLE, path)
    path.write_text("other")
    going = seal_of(path, folder) if gone == "seal" else path
    with monkeypatch.context() as patched:
        patched.setattr(seals.os.path, "isfile", lambda _: going.unlink() or True)
        seals.check_seal(path)
    assert not going.exists()


def test_a_seal_that_cannot_be_written_names_the_file(folder, monkeypatch):
    path = folder / "results/table.tsv"

    def full(part, *_, **__):
        part.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(part))

    with monkeypatch.context() as patched:
        patched.setattr(seals.Path, "write_text", full)
        with pytest.raises(OSError, match="No space") as told:
            files.write_table(TABLE, path)
    assert told.value.filename == str(path)
    assert not list(folder.rglob("*.part"))


@given(content=st.binary(min_size=1, max_size=300), other=st.binary(max_size=300))
def test_any_other_content_is_noticed(tmp_path, refused, content, other):
    assume(content != other)
    seals.keep_seals(tmp_path)
    path = tmp_path / "results" / "file"
    with files.replacing(path) as part:
        part.write_bytes(content)
    seals.check_seal(path)
    path.write_bytes(other)
    with refused(path, "changed since it was written", "remove it"):
        seals.check_seal(path)
    path.write_bytes(content)
    seals.check_seal(path)


def test_what_is_written_again_has_a_seal_of_its_own(folder):
    path = folder / "results/table.tsv"
    for count in (3, 4):
        files.write_table(TABLE.assign(count=count), path)
        assert set(files.read_table(path)["count"]) == {count}
    path.unlink()  # the seal of what was removed is in nobody's way
    files.write_table(TABLE, path)
    assert files.read_table(path).equals(TABLE)


def test_a_process_killed_between_file_and_seal_leaves_what_can_be_read(folder, monkeypatch):
    path = folder / "results/table.tsv"
    files.write_table(TABLE, path)
    monkeypatch.setattr(seals, "_write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.write_table(TABLE.head(1), path)
    assert not seal_of(path, folder).exists()
    assert len(files.read_table(path)) == 1


def test_a_write_that_fails_keeps_file_and_seal(folder):
    path = folder / "results/table.tsv"
    files.write_table(TABLE, path)
    with pytest.raises(TypeError), files.replacing(path) as part:
        part.write_text(b"half")
    assert files.read_table(path).equals(TABLE)
    assert seal_of(path, folder).exists()


def test_a_damaged_seal_is_told_of(folder, refused):
    path = folder / "results/table.tsv"
    files.write_table(TABLE, path)
    seal = seal_of(path, folder)
    seal.write_text("MD5 (results/table.tsv) = 0\n")
    with refused(seal, path, "sha256sum --tag", "remove"):
        files.read_table(path)


def test_every_file_of_a_folder_is_sealed_and_nothing_that_is_not_complete(folder, refused):
    place = folder / "models/bundle"
    for names in (("one.json", "two.json"), ("one.json",)):
        with files.replacing_folder(place) as part:
            for name in names:
                files.write_json({"name": name}, part / name)
        sealed = {path.relative_to(folder / ".sealed") for path in (folder / ".sealed").rglob("*") if path.is_file()}
        assert {str(path) for path in sealed} == {f"models/bundle/{name}" for name in names}
    (place / "one.json").write_text('{"name": "two"}')
    with refused(place / "one.json", "changed"):
        files.read_json(place / "one.json")


def test_what_a_training_goes_on_from_is_not_sealed(folder):
    files.write_table(TABLE, folder / "models/network.training/history.tsv")
    assert not any(path.is_file() for path in (folder / ".sealed").rglob("*"))


def test_the_nearest_folder_keeps_the_seals(folder):
    inner = folder / "results/inner"
    seals.keep_seals(inner)
    files.write_table(TABLE, inner / "models/table.tsv")
    assert seal_of(inner / "models/table.tsv", inner).exists()
    assert not (folder / ".sealed/results/inner").exists()


def test_a_large_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path, read = tmp_path / "matrix", []
    path.write_bytes(b"123")
    digest = seals._digest
    monkeypatch.setattr(seals, "_LARGE", 1)
    monkeypatch.setattr(seals, "_digest", lambda name: read.append(name) or digest(name))
    first = [seals.sha256(path) for _ in range(3)]
    path.write_bytes(b"1234")
    assert len(set(first)) == 1
    assert seals.sha256(path) == digest(path) != first[0]
    assert len(read) == 2


def test_a_damaged_index_of_a_genome_is_made_again_without_a_seal(folder):
    letters = folder / "genome.fa"
    letters.write_text(">chr1\nACGTACGTAC\n")
    cache = folder / "inputs/cache"
    with open_genome(letters, cache=cache) as genome:
        assert genome.fetch("chr1", 0, 4) == "ACGT"
    (index,) = cache.rglob("genome.fai")
    index.write_text(index.read_text().replace("\t6\t", "\t7\t"))
    with open_genome(letters, cache=cache) as genome:
        assert genome.fetch("chr1", 0, 4) == "ACGT"
    assert not any(path.is_file() for path in (folder / ".sealed").rglob("*"))


# What killed processes were writing


def test_a_run_removes_what_is_not_complete_when_it_begins_and_when_it_ends(tmp_path):
    part = f".{'0' * 32}.part"
    kept = [tmp_path / name for name in ("mine.part", "results/mine.part", f"mine/a{part}")]
    files_left = [tmp_path / f"{name}{part}" for name in ("report.html", "results/audit/a.tsv", ".sealed/results/a")]
    folders_left = [tmp_path / f"{name}{part}" for name in ("folder", "results/folder")]

    def leave():
        for path in [*kept, *files_left, *(folder / f"a{part}" for folder in folders_left)]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    leave()
    with driver.only_run(tmp_path, ["results"]):
        assert not any(path.exists() for path in files_left + folders_left)
        leave()
    assert not any(path.exists() for path in files_left + folders_left)
    assert all(path.exists() for path in kept)


# Models of other versions


def rewrite(path, member, change):
    """Replace a member of a zip archive by what `change` makes of its text."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members[member].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def neighbours(version):
    """The next minor version, and another patch release of this one."""
    major, minor = (int(number) for number in version.split(".")[:2])
    return f"{major}.{minor + 1}.0", f"{major}.{minor}.99"


def test_a_forest_of_another_scikit_learn_is_refused_but_not_of_a_patch_release(tmp_path, refused):
    rng, path = np.random.default_rng(1), tmp_path / "forest.skops"
    X, y = rng.poisson(5, (60, 4)), np.arange(60) % 2
    forest = fit_forest(X, y, n_estimators=3, seed=1, n_jobs=1)
    other, patch = neighbours(sklearn.__version__)
    for version in (other, patch):
        save_model(forest, path)
        rewrite(path, "schema.json", lambda text, version=version: text.replace(sklearn.__version__, version))
        if version == patch:
            assert np.array_equal(load_model(path).predict(X), forest.predict(X))
        else:
            with refused(path, f"saved by scikit-learn {other}", f"found here: {sklearn.__version__}"):
                load_model(path)


def test_a_network_of_another_keras_is_refused_but_not_of_a_patch_release(tmp_path, refused):
    path = tmp_path / "network.keras"
    model = network.build_mlp(4, seed=1)
    other, patch = neighbours(keras.__version__)
    for version in (other, patch):
        model.save(path)
        rewrite(path, "metadata.json", lambda text, version=version: text.replace(keras.__version__, version))
        if version == patch:
            assert network.load_mlp(path).count_params() == model.count_params()
        else:
            with refused(path, f"saved by Keras {other}", f"found here: {keras.__version__}"):
                network.load_mlp(path)


# The stages of a run, called one by one


def call(*words):
    cli.app([str(word) for word in words], standalone_mode=False)


class Run:
    """A small run, and the words that its stages take."""

    def __init__(self, folder, directory):
        genome = ["--genome", folder / "genome.fa.gz", "--cache", folder / "cache"]
        genes, self.directory = ["--genes", folder / "refGene.txt.gz"], directory
        self.words = {
            "regions": [*genome, "--introgressed", folder / "introgressed.bed"],
            "windows": genome, "kmers": genome, "split": [], "network": ["--epochs", 1], "forest": ["--trees", 5],
            "linear": [], "evaluation": [], "genes": [*genome, *genes], "bundle": [*genome, "--model", "as_published"],
            "embeddings": [*genome, "--max-windows", 10], "intersections": [*genome, *genes, "--draws", 5],
            "claims": [], "figures": ["--figure", "03_training_curve"],
        }  # fmt: skip

    def stage(self, name, *more):
        call(name, "--directory", self.directory, *self.words[name], *more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seals")
    write_demo(folder, chromsizes={"chr1": 900_000, "chr2": 700_000}, n_regions=40, n_genes=30, seed=3)
    run = Run(folder, folder / "run")
    for name in run.words:
        run.stage(name)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run."""
    shutil.copytree(finished / "run", tmp_path / "run", copy_function=shutil.copy2)
    return Run(finished, tmp_path / "run")


@pytest.fixture
def told(run, monkeypatch, capsys):
    """What a stage tells of its input, by the front door: one line, status 2, nothing written."""

    def refuse(name):
        before = {path: path.stat().st_mtime_ns for path in run.directory.rglob("*")}
        words = ["neanderthal-nlp", name, "--directory", run.directory, *run.words[name]]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        assert {path: path.stat().st_mtime_ns for path in run.directory.rglob("*")} == before
        (line,) = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
        return line

    return refuse


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def edit(path):
    """Change the last digit of the file by one."""
    text = path.read_text()
    last = [match.start() for match in re.finditer(r"\d", text)][-1]
    path.write_text(text[:last] + str((int(text[last]) + 1) % 10) + text[last + 1 :])


DAMAGED = [
    ("results/kmers.npy", cut, "kmers", "linear"),
    ("results/kmers.npy", flip, "kmers", "forest"),
    ("results/kmers.npy", empty, "kmers", "bundle"),
    ("results/kmers.json", edit, "kmers", "network"),
    ("results/windows.tsv", edit, "windows", "kmers"),
    ("results/windows.tsv", edit, "windows", "evaluation"),
    ("results/introgressed.bed", edit, "regions", "windows"),
    ("results/gaps.bed", empty, "regions", "windows"),
    ("results/chrom.sizes", edit, "regions", "intersections"),
    ("results/regions.json", edit, "regions", "claims"),
    ("results/split.tsv", edit, "split", "linear"),
    ("results/split.json", edit, "split", "evaluation"),
    ("results/predictions/network.tsv", edit, "network", "evaluation"),
    ("results/history.tsv", edit, "network", "figures"),
    ("results/evaluation.tsv", edit, "evaluation", "claims"),
    ("results/genes.tsv", edit, "genes", "claims"),
    ("results/intersections.json", edit, "intersections", "claims"),
    ("results/importances.tsv", edit, "forest", "claims"),
    ("models/forest.skops", cut, "forest", "genes"),
    ("models/forest.skops", flip, "forest", "bundle"),
    ("models/forest.json", edit, "forest", "bundle"),
]


@pytest.mark.parametrize(("name", "damage", "writer", "reader"), DAMAGED)
def test_a_damaged_result_is_noticed_and_made_again(run, told, name, damage, writer, reader):
    path = run.directory / name
    damage(path)
    line = told(reader)
    assert line.startswith(f"{reader}: error: {path}: ")
    assert "remove it; the stage that wrote it, or the run's command, then makes it again" in line
    path.unlink()
    run.stage(writer)
    if name == "models/forest.json":  # its model is another file than before by the times in it
        assert json.loads(path.read_text())["parameters"]["trees"] == 5
    run.stage(reader)


def test_the_forest_of_another_run_is_noticed(run, told, finished, tmp_path):
    other = Run(finished, tmp_path / "other")
    shutil.copytree(finished / "run", other.directory)
    other.stage("forest", "--seed", 2)
    shutil.copy(other.directory / "models/forest.skops", run.directory / "models")
    assert "models/forest.skops: changed since it was written" in told("genes")


def test_a_bundle_is_checked_where_its_own_hashes_do_not_reach(run, refused):
    from neanderthal_nlp.bundle import read_bundle

    place = run.directory / "models/bundles/as_published"
    read_bundle(place)
    about = place / "bundle.json"
    about.write_text(about.read_text().replace('"threshold": 0.5', '"threshold": 0.6'))
    with refused(about, "changed"):
        read_bundle(place)


def test_a_network_that_was_cut_is_noticed(run, refused):
    path = run.directory / "models/network.keras"
    network.load_mlp(path)
    cut(path)
    with refused(path, "changed"):
        network.load_mlp(path)


def test_reading_regions_directly_checks_them_too(run, refused):
    path = run.directory / "results/depleted.bed"
    edit(path)
    with refused(path, "changed"):
        read_bed(path)


# The same results where nothing is sealed, as in a copy of some of them


@pytest.fixture
def unsealed(run):
    shutil.rmtree(run.directory / ".sealed")
    return run


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def swap(words):
    return [words[1], words[0], *words[2:]]


def test_without_seals_all_is_read_and_none_is_made(unsealed):
    for name in ("linear", "evaluation", "genes", "claims"):
        unsealed.stage(name)
    assert not (unsealed.directory / ".sealed").exists()


def test_without_seals_counts_must_fit_their_vocabulary(unsealed, told):
    path = unsealed.directory / "results/kmers.json"
    record = json.loads(path.read_text())
    for values in (
        {"vocabulary": swap(record["vocabulary"])},
        {"parameters": {"k": 4}},
        {"parameters": {}},
        {"parameters": []},
    ):
        change(path, **{**record, **values})
        assert "kmers.json: found k = " in told("linear")


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_without_seals_another_format_is_refused(unsealed, told, number):
    for name, reader in (("results/kmers.json", "linear"), ("results/split.json", "evaluation"),
                         ("results/regions.json", "claims"), ("models/forest.json", "bundle")):  # fmt: skip
        path = unsealed.directory / name
        before = path.read_text()
        change(path, format=number)
        assert f"{path}: found format {number!r}, expected 1: made by another version" in told(reader)
        path.write_text(before)


def test_without_seals_counts_of_other_windows_are_refused(unsealed, told):
    path = unsealed.directory / "results/windows.tsv"
    table = files.read_table(path)
    files.write_table(table.assign(start=table["start"] + 1), path)
    assert f"kmers.json: made from another windows.tsv than {path}" in told("linear")


def test_without_seals_numbers_of_another_type_are_refused(unsealed, told):
    path = unsealed.directory / "results/kmers.npy"
    counts = np.load(path)
    np.save(path, counts.astype(np.float32))
    assert f"{path}: found numbers of type float32, expected int32" in told("linear")
    np.savez(path.with_suffix(".npz"), counts)
    path.write_bytes(path.with_suffix(".npz").read_bytes())
    assert f"{path}: not a matrix of counts" in told("linear")


def test_without_seals_a_model_of_other_counts_or_another_split_is_refused(unsealed, told):
    counts = unsealed.directory / "results/kmers.npy"
    before = counts.read_bytes()
    flip(counts)
    assert f"models/network.json: made from another kmers.npy than {counts}" in told("evaluation")
    assert f"models/forest.json: made from another kmers.npy than {counts}" in told("bundle")
    counts.write_bytes(before)
    unsealed.stage("split", "--protocol", "distinct")
    assert "models/network.json: trained under another split than" in told("evaluation")


def test_without_seals_a_forest_of_other_words_is_refused(unsealed, told):
    rng, path = np.random.default_rng(1), unsealed.directory / "models/forest.skops"
    save_model(fit_forest(rng.poisson(5, (60, 256)), np.arange(60) % 2, n_estimators=3, seed=1, n_jobs=1), path)
    for name in ("genes", "bundle"):
        assert f"{path}: found a model of 256 words, expected 1024 (k = 5)" in told(name)
