"""Many genomes: the sheet, parts and their order, and a workflow that is killed, tried again and taken up."""

import errno
import fcntl
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam
import pytest
import threadpoolctl
from conftest import random_letters, write_fasta_text
from hypothesis import given
from hypothesis import strategies as st
from planted import LENGTH
from twobit import write_twobit

from neanderthal_nlp import cli
from neanderthal_nlp.bundle import write_bundle
from neanderthal_nlp.cli import scan_sheet
from neanderthal_nlp.cli.scan_jobs import join_tables
from neanderthal_nlp.files import read_json, read_table, write_table
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.seals import AGAIN, keep_seals
from neanderthal_nlp.sheet import MAX_PARTS, cut_parts, read_sheet
from neanderthal_nlp.workflow import driver

STEP = 6  # so small that there is time to kill a worker
FILES = ["genes.bed", "scan.bed", "scan.bedgraph", "scan.bw", "scan.tsv", "training.bed"]

# The sheet ------------------------------------------------------------------------------------------------------------


def write(path, text):
    path.write_text(text)
    return path


def test_sheet_is_read_in_its_order_with_paths_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("a.fa", "in/b.2bit", "in/r.bed"):
        write(tmp_path / name, ">")
    sheet = write(tmp_path / "in/s.tsv", f"name\tgenome\tregions\r\nZ.1\t../a.fa\tr.bed\r\n\nb\t{tmp_path}/in/b.2bit\n"
                  "c-c\tb.2bit\tchr1:1-20\n")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for path in (sheet, "in/s.tsv"):
        found = [tuple(map(str, entry)) for entry in read_sheet(path)]
        assert found == [
            ("2", "Z.1", "../a.fa", f"{tmp_path}/in/../a.fa", f"{tmp_path}/in/r.bed"),
            ("4", "b", f"{tmp_path}/in/b.2bit", f"{tmp_path}/in/b.2bit", ""),
            ("5", "c-c", "b.2bit", f"{tmp_path}/in/b.2bit", "chr1:1-20"),
        ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("genome\tname\nb.fa\ta\n", "line 1: found genome, name, expected a header of name, genome"),
        ("name\tgenome\tregion\na\tb.fa\t\n", "line 1: found name, genome, region"),
        ("\n\n", "line 1: found nothing"),
        ("name\tgenome\n", "found no genome below the header"),
        ("name\tgenome\na\n", "line 2: found 1 cells, expected 2"),
        ("name\tgenome\na\tb.fa\tchr1\n", "line 2: found 3 cells, expected 2"),
        ("name\tgenome\na\tb.fa\n\nb\tnone.fa\n", "line 4: genome: found no such file (none.fa)"),
        ("name\tgenome\na\t.\n", "line 2: genome: found a folder (.)"),
        ("name\tgenome\na\t\n", "line 2: genome: found no such file (an empty cell)"),
        ("name\tgenome\tregions\na\t\tchr1\n", "line 2: genome: found no such file (an empty cell)"),
        ("name\tgenome\na\tb.fa\nA\tb.fa\n", "line 3: name: found A, which line 2 has, too"),
    ],
)
def test_sheet_names_what_is_wrong_and_where(tmp_path, refused, text, said):
    write(tmp_path / "b.fa", ">")
    sheet = write(tmp_path / "s.tsv", text)
    with refused(sheet, said):
        read_sheet(sheet)


@pytest.mark.parametrize("name", ["", ".a", "..", "../a", "a/b", "/a", "-a", "a b", "ä", "{a}", "a" * 101, "Logs",
                                  "genomes.tsv", "config.json", "Cache"])  # fmt: skip
def test_names_that_are_no_folders_are_refused(tmp_path, refused, name):
    write(tmp_path / "b.fa", ">")
    sheet = write(tmp_path / "s.tsv", f"name\tgenome\n{name}\tb.fa\n")
    with refused(f"{sheet}: line 2: name: found {name[:40]!r}"):
        read_sheet(sheet)


# Parts ----------------------------------------------------------------------------------------------------------------


def rows(lengths):
    ends = np.cumsum(lengths)
    return pd.DataFrame({"chrom": "c", "start": ends - lengths, "end": ends})


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 120))
def test_parts_are_neighbours_up_to_a_size(lengths, size):
    places = rows(np.array(lengths))
    parts = cut_parts(places, size)
    pd.testing.assert_frame_equal(pd.concat(parts), places)
    most, sizes = max(size, sum(lengths) // MAX_PARTS), [int((part["end"] - part["start"]).sum()) for part in parts]
    assert all(len(part) == 1 or total <= most for part, total in zip(parts, sizes, strict=True))
    for total, following in zip(sizes, parts[1:], strict=False):  # none could have taken one row more
        assert total + int((following["end"] - following["start"]).iloc[0]) > most


def test_a_million_contigs_make_some_hundred_parts():
    assert MAX_PARTS <= len(cut_parts(rows(np.full(1_000_000, 500)), 1)) <= 2 * MAX_PARTS + 1


@given(st.lists(st.lists(st.text("ab\t", min_size=1, max_size=5), max_size=4), min_size=1, max_size=5))
def test_joined_tables_have_one_header(tmp_path, tables):
    paths = [tmp_path / f"{number}.tsv" for number in range(len(tables))]
    for path, lines in zip(paths, tables, strict=True):
        path.write_text("header\n" + "".join(f"{line}\n" for line in lines))
    join_tables(paths, tmp_path / "joined.tsv")
    assert (tmp_path / "joined.tsv").read_text() == "header\n" + "".join(f"{a}\n" for b in tables for a in b)


# Genomes --------------------------------------------------------------------------------------------------------------


class Material:
    """Genomes in several forms, a bundle, genes, and what each genome gives when it is scanned alone."""

    def __init__(self, folder, planted, bundle):
        self.folder = folder
        write_bundle(bundle, folder / "models/bundles/audited")
        (folder / "results").mkdir()
        write(folder / "results/genes.tsv", "Gene_Symbol\tchrom\tstart\tend\tProb_1\nABC1\tchr2\t5\t900\t0.7\n")
        with open_genome(planted.genome, cache=folder / "cache") as genome:
            long = {name: genome.fetch(name, 0, size) for name, size in list(genome.chromsizes.items())[:3]}
        odd = {"chr1": long["chr1"][:20_000], "short": "ACGT" * 30, "chrN": "N" * 9_000, "one": "g",
               "chr3": long["chr3"][:30_000]}  # fmt: skip
        contigs = {f"contig{number}": random_letters(100 + 37 * number, number) for number in range(120)}
        plain = write_fasta_text(long, folder / "long.fa", line=1000)
        pysam.tabix_compress(str(plain), str(folder / "bgzip.fa.gz"))
        write_twobit(odd, folder / "odd.2bit")
        text = write_fasta_text(contigs, folder / "contigs.fa").read_bytes()
        (folder / "contigs.fa.gz").write_bytes(gzip.compress(text, mtime=0))
        write(folder / "here.bed", "chr3\t100\t9000\nchr2\t0\t500\nchr1\t9000\t30000\nchr1\t5000\t9500\n")
        self.genomes = {"long": ("bgzip.fa.gz", ""), "odd": ("odd.2bit", ""), "contigs": ("contigs.fa.gz", ""),
                        "regions": ("bgzip.fa.gz", "here.bed"), "place": ("odd.2bit", "chr3:101-20000"),
                        "again": ("again.2bit", ""), "bad": ("bad.fa.gz", "")}  # fmt: skip

    def options(self, step):
        return ["--directory", str(self.folder), "--step", str(step)]

    def regions(self, name):
        """Option for the regions of a genome."""
        text = self.genomes[name][1]
        return ["--regions", str(self.folder / text) if text.endswith(".bed") else text] if text else []

    def alone(self, name, output, step):
        """Scan a genome without a sheet."""
        call("scan", "--genome", self.folder / self.genomes[name][0], "--output", output, *self.options(step),
             *self.regions(name), "--cache", self.folder / "cache")  # fmt: skip
        return contents(output)

    def sheet(self, path, *names):
        """A sheet of some genomes."""
        lines = ["name\tgenome\tregions", *("\t".join([name, *self.genomes[name]]) for name in names)]
        return write(self.folder / path, "".join(f"{line}\n" for line in lines))


def call(*words):
    """The status of a command that ends with one, run in this process."""
    return cli.app(list(map(str, words)), standalone_mode=False)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def material(tmp_path_factory, planted, audited):
    return Material(tmp_path_factory.mktemp("material"), planted, audited)


@pytest.mark.parametrize(("name", "n"), [("long", 3), ("odd", 3), ("contigs", 15), ("regions", 2), ("place", 1)])
def test_parts_put_together_equal_a_single_scan(material, tmp_path, name, n):
    """Jobs as the workflow calls them, in this process."""
    step, work = LENGTH // 4, tmp_path / "work"
    genome = ["--genome", material.folder / material.genomes[name][0], "--cache", material.folder / "cache", "--work",
              work]  # fmt: skip
    cut = [*material.regions(name), "--job-size", 20_000]
    scored = ["--bundle", material.folder / "models/bundles/audited"]
    call("scan-index", *genome, *cut, "--key", "i")
    assert read_json(work / "parts.i.json")["parts"] == n
    for number in reversed(range(n)):
        call("scan-part", *genome, *cut, *scored, "--number", number, "--step", step, "--key", "p")
    call("scan-merge", *genome, *scored, "--genes", material.folder / "results/genes.tsv", "--output", tmp_path / "out",
         "--parts", n, "--part-key", "p", "--key", "x")  # fmt: skip
    found = contents(tmp_path / "out")
    assert list(found) == FILES
    assert found == material.alone(name, tmp_path / "alone", step)
    calls, table = read_json(work / "calls.json"), read_table(tmp_path / "out/scan.tsv")
    assert calls["total"] == len(table)
    assert calls["introgressed"] == (table["call"] == "introgressed").sum()
    if name == "odd":
        assert {"too short to say", "too many N to say", "introgressed"} <= set(table["call"])


@pytest.mark.parametrize("lost", ["a/scan.bed", "a/genes.bed", "b/scan.tsv", "genomes.tsv"])
def test_a_sheet_whose_results_would_take_the_place_of_its_files_is_refused(material, tmp_path, refused, lost):
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(material.folder / "odd.2bit", tmp_path / name / "x.2bit")
    given = write(tmp_path / lost, "chr3\t100\t9000\n")
    sheet, regions = (given, "") if lost == "genomes.tsv" else (tmp_path / "s.tsv", lost)
    write(sheet, f"name\tgenome\tregions\na\ta/x.2bit\t\nb\tb/x.2bit\t{regions}\n")
    before = given.read_text()
    with refused(given, "found an input of this command"):
        call("scan", "--sheet", sheet, "--output", tmp_path, *material.options(LENGTH))
    assert given.read_text() == before


def test_a_part_that_a_genome_does_not_have_is_refused(material, tmp_path, refused):
    genome = material.folder / "odd.2bit"
    with refused(genome, "found 1 parts, expected more than 3"):
        call("scan-part", "--genome", genome, "--cache", material.folder / "cache", "--work", tmp_path, "--bundle",
             material.folder / "models/bundles/audited", "--number", 3, "--key", "p")  # fmt: skip


def test_a_lock_that_cannot_be_had_is_named(material, tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OSError, match=r"No locks available: '.*\.lock'"):
        call("scan-index", "--genome", material.folder / "odd.2bit", "--cache", tmp_path / "cache", "--work", tmp_path,
             "--key", "i")  # fmt: skip


def test_trees_keep_their_threads(material, tmp_path, monkeypatch):
    """A scan limits BLAS alone, whose sums depend on threads."""
    limits, found = threadpoolctl.threadpool_limits, []
    monkeypatch.setattr(threadpoolctl, "threadpool_limits", lambda *a, **k: found.append((a, k)) or limits(*a, **k))
    material.alone("place", tmp_path / "alone", LENGTH)
    assert found == [((1,), {"user_api": "blas"})]


# The workflow ---------------------------------------------------------------------------------------------------------


def command(sheet, output, *words):
    return [sys.executable, "-m", "neanderthal_nlp.cli", "scan", "--sheet", str(sheet), "--output", str(output),
            "--cores", "2", *map(str, words)]  # fmt: skip


def scan(sheet, output, *words):
    words = command(sheet, output, *words)
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=300, check=False)


def start(sheet, output, *words):
    return subprocess.Popen(command(sheet, output, *words), cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def jobs(output, name):
    """What jobs of a kind worked on, such as "odd --number 0", one entry for each that came to its own end."""
    table = read_table(output / "logs/costs.tsv", {"arguments": str})
    arguments = table.loc[table["command"] == name, "arguments"]
    return arguments.str.extract(r"--work \.work/(\w+(?: --number \d+)?)")[0].tolist()


def wait_for(find, what):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.01)
    pytest.fail(f"waited in vain for {what}")


def working(output):
    """Processes that work in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.resolve() == output.resolve():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def half_written(output, name):
    """The process that is writing the table of a part of a genome, once it has written some rows."""
    for part in (output / ".work" / name).glob("*.tsv.*.part"):
        number = part.name.partition(".")[0]
        for pid in working(output):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if {"scan-part", f".work/{name}", number} <= set(words) and part.stat().st_size:
                    return pid
            except OSError:
                continue
    return None


class Finished(NamedTuple):
    """A folder, the options of its scan, what the first run finished, and what the second said."""

    output: Path
    options: list
    done: list
    told: str


@pytest.fixture(scope="module")
def finished(material, tmp_path_factory):
    """A scan that was killed, and given again; then a worker was killed in the middle of its work."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs /proc")
    output, options = tmp_path_factory.mktemp("many"), [*material.options(STEP), "--job-size", 100_000]
    shutil.copy(material.folder / "odd.2bit", material.folder / "again.2bit")
    sheet = material.sheet("many.tsv", "long", "odd", "again")
    first = start(sheet, output, *options)
    log = output / "logs/scan.log"
    wait_for(lambda: log.exists() and re.search(r"Finished jobid: \d+ \(Rule: part\)", log.read_text()), "a part")
    first.kill()
    first.communicate()
    wait_for(lambda: not working(output), "the end of all jobs")
    text = log.read_text()
    ended = set(re.findall(r"Finished jobid: (\d+) \(Rule: part\)", text))
    begun = re.findall(r"output: \.work/(\w+)/(\d)\.\w+\.tsv\n +jobid: (\d+)\n", text)
    done = [f"{name} --number {number}" for name, number, job in begun if job in ended]
    second = start(sheet, output, *options)
    os.kill(wait_for(lambda: half_written(output, "long"), "a worker at work"), signal.SIGKILL)
    told = second.communicate(timeout=300)[1]
    assert second.returncode == 0, told
    return Finished(output, options, done, told)


def test_what_is_killed_is_made_good(finished, material, tmp_path):
    output = finished.output
    for name in ("long", "odd", "again"):
        assert contents(output / name) == material.alone(name, tmp_path / name, STEP)
    assert re.search("Trying to restart job", (output / "logs/scan.log").read_text())
    assert finished.done
    noted = Counter(jobs(output, "scan-part"))
    assert {noted[part] for part in finished.done} == {1}
    assert set(noted) == {*(f"long --number {number}" for number in range(3)), "odd --number 0", "again --number 0"}
    table = read_table(output / "genomes.tsv")
    assert table["name"].tolist() == ["long", "odd", "again"]
    assert table["genome"].tolist() == ["bgzip.fa.gz", "odd.2bit", "again.2bit"]
    rows = [read_table(output / name / "scan.tsv") for name in table["name"]]
    assert table["windows"].tolist() == list(map(len, rows))
    for call in ("introgressed", "depleted"):
        assert table[call].tolist() == [(row["call"] == call).sum() for row in rows]
    assert (table[["introgressed", "depleted", "other"]].sum(axis=1) == table["windows"]).all()
    assert f"scan: 3 of 3 genomes scanned; genomes.tsv in {output}" in finished.told
    assert not [*output.rglob("*.part"), *output.glob(".work/*/*.tsv")]


def test_of_a_refused_genome_only_what_was_sealed_is_removed(tmp_path):
    (tmp_path / ".work/a").mkdir(parents=True)
    write(tmp_path / ".work/a/error.txt", "no FASTA")
    keep_seals(tmp_path, ["a"])
    write_table(pd.DataFrame({"x": [1]}), tmp_path / "a/scan.tsv")
    write(tmp_path / "a/scan.bed", "mine")
    assert scan_sheet._find_trouble("a", tmp_path, FILES) == f"no FASTA; not of it: scan.bed in {tmp_path / 'a'}"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["scan.bed"]
    assert not [*(tmp_path / ".sealed/a").iterdir()]


def test_what_changed_is_done_again_and_what_is_damaged_is_named(finished, material, tmp_path):
    output = tmp_path / "copy"
    shutil.copytree(finished.output, output, copy_function=shutil.copy2)
    before = {name: Counter(jobs(output, f"scan-{name}")) for name in ("index", "part", "merge")}
    kept = contents(output / "long")
    other = {"chr1": random_letters(5_000, 7)}
    write_twobit(other, material.folder / "odd.2bit")
    os.utime(material.folder / "odd.2bit", (0, 0))  # older than what was made from the one before
    again, bad = material.folder / "again.2bit", material.folder / "bad.fa.gz"
    again.write_bytes(again.read_bytes()[:-100])
    bad.write_bytes((material.folder / "contigs.fa.gz").read_bytes()[:-20])
    sheet = material.sheet("more.tsv", "bad", "again", "odd", "long")
    result = scan(sheet, output, *finished.options)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith(f"scan: error: {sheet}: ")]
    assert [line.removeprefix(f"scan: error: {sheet}: ")[:40] for line in errors] == [
        f"line 2: bad: {bad}"[:40], f"line 3: again: {again}"[:40],
    ]  # fmt: skip
    assert "scan: 2 of 4 genomes scanned" in result.stderr
    assert result.stderr.count("scan-index: error: ") == 2  # told once, though tried again
    assert not any((output / "again").iterdir())  # of the genome that was there before
    assert contents(output / "long") == kept
    assert contents(output / "odd") == material.alone("odd", tmp_path / "odd", STEP)
    new = {name: Counter(jobs(output, f"scan-{name}")) - before[name] for name in before}
    assert set(new["part"]) == {"odd --number 0"}
    assert set(new["merge"]) == {"odd"}
    assert "long" not in new["index"]
    table = read_table(output / "genomes.tsv")
    assert table["name"].tolist() == ["bad", "again", "odd", "long"]
    assert table["windows"].isna().tolist() == [True, True, False, False]


@pytest.fixture(scope="module")
def small(material, tmp_path_factory):
    """A finished scan of two small genomes that can be changed: sheet, folder, options.

    Bundle and genes lie in a folder whose name would be a pattern to Snakemake.
    """
    folder, run = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("run{y}")
    shutil.copytree(material.folder / "models", run / "models")
    shutil.copytree(material.folder / "results", run / "results")
    for number, name in enumerate("ab"):
        write_twobit({"chr1": random_letters(4_000, number)}, folder / f"{name}.2bit")
    sheet = write(folder / "s.tsv", "name\tgenome\na\ta.2bit\nb\tb.2bit\n")
    output, options = folder / "out", ["--directory", str(run), "--step", str(LENGTH)]
    result = scan(sheet, output, *options)
    assert result.returncode == 0, result.stderr
    return sheet, output, options


@pytest.fixture
def copied(small, tmp_path):
    """A copy of it, with its genomes."""
    sheet, _, options = small
    shutil.copytree(sheet.parent, tmp_path / "copy", copy_function=shutil.copy2)
    return tmp_path / "copy/s.tsv", tmp_path / "copy/out", options


def in_process(sheet, output, options, *words):
    """The status of a scan whose workflow's driver can be replaced."""
    return call("scan", "--sheet", sheet, "--output", output, *options, *words)


def alone(sheet, folder, options):
    """What its genomes give when each is scanned without the sheet."""
    for name in "ab":
        call("scan", "--genome", sheet.parent / f"{name}.2bit", "--output", folder / name, "--cache", folder / "cache",
             *options)  # fmt: skip
    return results(folder)


def results(output):
    return {name: contents(output / name) for name in "ab"}


def test_results_that_are_gone_are_made_and_damaged_ones_named(small):
    sheet, output, options = small
    before = results(output)
    (output / "a/scan.tsv").unlink()
    damaged = output / "b/scan.bed"
    damaged.write_bytes(damaged.read_bytes() + b"chr1\t1\t2\n")
    result = scan(sheet, output, *options)
    assert result.returncode == 2
    assert f"scan: error: {sheet}: line 3: b: {damaged}: changed since it was written" in result.stderr
    assert AGAIN in result.stderr
    assert damaged.exists()
    assert contents(output / "a") == before["a"]
    assert read_table(output / "genomes.tsv")["windows"].isna().tolist() == [False, True]
    damaged.unlink()
    assert scan(sheet, output, *options).returncode == 0
    assert results(output) == before


def test_parts_of_other_settings_are_not_taken(copied, tmp_path):
    """Without the notes of Snakemake, and with tables of parts that another prior's run left."""
    sheet, output, options = copied
    for name in "ab":
        found = next((output / ".work" / name).glob("parts.*.json"))
        for stale in ("0.tsv", "0.0123456789abcdef.tsv", f"0.{found.name.split('.')[1]}x.tsv"):
            (output / ".work" / name / stale).write_text("of another prior\n")
    shutil.rmtree(output / ".snakemake")
    assert scan(sheet, output, *options, "--prior", "0.05").returncode == 0
    assert results(output) == alone(sheet, tmp_path / "alone", [*options, "--prior", "0.05"])
    assert not [*output.glob(".work/*/*.tsv")]


def test_a_changed_genome_is_scanned_without_notes_of_snakemake_and_damaged_ones_of_ours(copied, tmp_path):
    sheet, output, options = copied
    shutil.rmtree(output / ".snakemake")
    write_twobit({"chr1": random_letters(5_000, 9)}, sheet.parent / "a.2bit")
    for note in (output / ".work/b").glob("*.json"):
        note.write_text("{")
    result = scan(sheet, output, *options)
    assert result.returncode == 0, result.stderr
    assert results(output) == alone(sheet, tmp_path / "alone", options)
    assert read_table(output / "genomes.tsv")["windows"].notna().all()


def test_results_stay_where_a_run_cannot_start(copied, monkeypatch, capsys):
    sheet, output, options = copied
    before = results(output)
    monkeypatch.setattr(driver, "follow", lambda *_: 1)
    assert in_process(sheet, output, options, "--prior", "0.05") == 2
    assert results(output) == before
    assert f"the files in {output / 'a'} are of an earlier scan" in capsys.readouterr().err
    assert read_table(output / "genomes.tsv")["windows"].isna().all()


def test_a_genome_that_changes_during_the_scan_is_told_of(copied, monkeypatch, tmp_path):
    sheet, output, options = copied
    follow = driver.follow

    def changing(command, *rest):
        status = follow(command, *rest)
        if "scans" in command:
            write_twobit({"chr1": random_letters(6_000, 11)}, sheet.parent / "b.2bit")
        return status

    monkeypatch.setattr(driver, "follow", changing)
    said = []
    monkeypatch.setattr(scan_sheet, "say", lambda _, text: said.append(text))
    assert in_process(sheet, output, options) == 2
    assert [text.startswith(f"error: {sheet}: line 3: b: it, ") for text in said if "error" in text] == [True]
    assert read_table(output / "genomes.tsv")["windows"].isna().tolist() == [False, True]
    monkeypatch.undo()
    assert in_process(sheet, output, options) == 0
    assert results(output) == alone(sheet, tmp_path / "alone", options)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "found neither, expected --genome or --sheet"),
        (["--genome", "g.fa", "--sheet", "s.tsv"], "found both, expected --genome or --sheet"),
        (["--sheet", "s.tsv", "--regions", "chr1"], "--regions: found it beside --sheet"),
        (["--genome", "g.fa", "--cores", "2"], "--cores: found it without --sheet"),
        (["--genome", "g.fa", "--cluster", "slurm"], "--cluster: found it without --sheet"),
        (["--sheet", "none.tsv"], "none.tsv: cannot be read"),
        (["--sheet", "{sheet}", "--prior", "1"], "prior: found 1, expected a share"),
        (["--sheet", "{sheet}", "--cluster", "nowhere"], "--cluster nowhere: found no"),
    ],
)
def test_options_that_do_not_fit_are_refused(material, tmp_path, refused, words, said):
    sheet = material.sheet("long.tsv", "long")
    with refused(said):
        call("scan", *(word.format(sheet=sheet) for word in words), "--output", tmp_path / "out", "--directory",
             material.folder)  # fmt: skip
    assert not (tmp_path / "out/genomes.tsv").exists()
