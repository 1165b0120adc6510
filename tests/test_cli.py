"""The stages as commands: what they write, what the faithful mode changes, how bad input ends."""

import gzip
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pysam
import pytest
import typer
from Bio import SeqIO

from neanderthal_nlp import cli, intervals, kmers, sequences
from neanderthal_nlp.cli.stage import Stage, map_matrix
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import open_genome


@pytest.fixture
def genome(tmp_path):
    """Three chromosomes of 60 kb; chr1 and chr2 with a gap of 5 kb, chr3 nothing but N."""
    rng = np.random.default_rng(5)
    path = tmp_path / "genome.fa"
    with path.open("w") as handle:
        for chrom in ("chr1", "chr2", "chr3"):
            letters = rng.choice(list("ACGTacgt"), 60_000)
            letters[30_000:35_000] = "N"
            if chrom == "chr3":
                letters[:] = "N"
            handle.write(f">{chrom}\n" + "\n".join("".join(row) for row in letters.reshape(-1, 60)) + "\n")
    return path


@pytest.fixture
def introgressed(tmp_path):
    rows = [("1", 0, 11_000), ("1", 2_000, 14_000), ("1", 29_000, 36_000), ("2", 40_000, 52_000), ("2", 40_000, 52_000)]
    path = tmp_path / "introgressed.bed"
    path.write_text("track name=x\n" + "".join(f"{c}\t{s}\t{e}\n" for c, s, e in rows))
    return path


def stage(name, directory, *arguments):
    """Call a stage in this process; the indexes lie beside the run's folder."""
    cache = (
        []
        if name in ("split", "network", "forest", "linear", "evaluation", "figures", "claims")
        else ["--cache", str(directory.parent / "cache")]
    )
    cli.app([name, "--directory", str(directory), *cache, *map(str, arguments)], standalone_mode=False)


def regions(directory, genome, introgressed, *arguments):
    stage("regions", directory, "--genome", genome, "--introgressed", introgressed, *arguments)


def table(path):
    return pd.read_csv(path, sep="\t")


def test_regions_are_unique_renamed_and_drawn_clear_of_n(genome, introgressed, tmp_path):
    run = tmp_path / "run"
    regions(run, genome, introgressed)
    frame = intervals.read_bed(run / "results/introgressed.bed")
    assert list(zip(frame["chrom"], frame["start"], frame["end"], strict=True)) == [
        ("chr1", 0, 11_000), ("chr1", 2_000, 14_000), ("chr1", 29_000, 36_000), ("chr2", 40_000, 52_000),
    ]  # fmt: skip
    depleted = intervals.read_bed(run / "results/depleted.bed")
    assert list(depleted["name"]) == ["0", "1", "3"]  # the third region holds an N
    blocks = pd.concat([frame, intervals.read_bed(run / "results/gaps.bed")])
    assert not intervals.count_overlaps(depleted, blocks).any()


def test_windows_and_counts_fit_the_letters(genome, introgressed, tmp_path):
    run = tmp_path / "run"
    regions(run, genome, introgressed)
    stage("windows", run, "--genome", genome, "--length", 9_000, "--fasta", tmp_path / "clean")
    stage("kmers", run, "--genome", genome)
    windows = table(run / "results/windows.tsv")
    assert list(windows["label"]) == [1, 1, 1, 0, 0, 0]
    assert list(windows["pair"]) == [0, 1, 2, 0, 1, 2]
    assert (windows["end"] - windows["start"] == 9_000).all()
    counts = np.load(run / "results/kmers.npy")
    assert counts.shape == (6, 1024)
    assert (counts.sum(axis=1) == 8_996).all()
    with open_genome(genome, cache=tmp_path / "cache") as letters:  # rows were written in the genome's order
        assert np.array_equal(counts, kmers.count_kmers(sequences.fetch_windows(windows, letters)))
    top = kmers.top_kmers(counts, windows["label"].to_numpy())
    pd.testing.assert_frame_equal(table(run / "results/top_kmers.tsv"), top)
    clean = list(SeqIO.parse(tmp_path / "clean/introgressed.fa", "fasta"))
    assert [record.id for record in clean] == ["chr1:1-11000", "chr1:2001-14000", "chr2:40001-52000"]
    assert str(clean[1].seq) == _faidx(genome, "chr1:2001-14000").upper()


def _faidx(genome, region):
    output = genome.with_name("faidx.fa")  # pysam does not catch what this command prints
    pysam.faidx(str(genome), "-o", str(output), region)
    return "".join(output.read_text().splitlines()[1:])


def test_as_published_pastes_bed_numbers_into_samtools_and_draws_blindly(genome, introgressed, tmp_path):
    run = tmp_path / "run"
    regions(run, genome, introgressed, "--as-published", "--seed", 4)
    assert len(intervals.read_bed(run / "results/depleted.bed")) == 4  # the pair with an N is thrown away later
    stage("windows", run, "--genome", genome, "--as-published", "--fasta", tmp_path / "clean")
    windows = table(run / "results/windows.tsv")
    clean = {record.id: str(record.seq) for part in ("introgressed", "depleted")
             for record in SeqIO.parse(tmp_path / f"clean/{part}.fa", "fasta")}  # fmt: skip
    shifted = windows[windows["region_start"] > 0]
    assert (shifted["start"] == shifted["region_start"] - 1).all()
    for row in shifted.itertuples():
        pasted = f"{row.chrom}:{row.region_start}-{row.region_end}"
        assert clean[pasted] == _faidx(genome, pasted).upper()
        assert "N" not in clean[pasted]


def test_a_plain_gzip_genome_gives_the_same_windows(genome, introgressed, tmp_path):
    packed = tmp_path / "genome.fa.gz"
    packed.write_bytes(gzip.compress(genome.read_bytes(), mtime=0))
    for name, path in (("plain", genome), ("gzip", packed)):
        regions(tmp_path / name, path, introgressed)
        stage("windows", tmp_path / name, "--genome", path)
        stage("kmers", tmp_path / name, "--genome", path)
    assert np.array_equal(np.load(tmp_path / "plain/results/kmers.npy"), np.load(tmp_path / "gzip/results/kmers.npy"))


def test_a_part_of_an_assembly_serves_with_its_chromosome_sizes(genome, tmp_path):
    sizes = tmp_path / "chrom.sizes"
    sizes.write_text("chr1\t60000\nchr2\t60000\nchr3\t60000\nchr4\t90000\n")
    bed = tmp_path / "more.bed"
    bed.write_text("chr1\t0\t11000\nchr4\t0\t11000\n")
    with pytest.raises(InputError, match="unknown to the genome: chr4"):
        regions(tmp_path / "without", genome, bed)
    regions(tmp_path / "with", genome, bed, "--chromsizes", sizes)
    assert list(intervals.read_bed(tmp_path / "with/results/depleted.bed")["name"]) == ["0"]
    sizes.write_text("chr1\t60001\n")
    with pytest.raises(InputError, match="chr1 has 60000 nt, expected 60001"):
        regions(tmp_path / "wrong", genome, bed, "--chromsizes", sizes)


def test_a_region_without_room_for_its_partner_stops_the_stage_or_is_left_out(genome, tmp_path):
    bed = tmp_path / "long.bed"
    bed.write_text("chr1\t0\t11000\nchr1\t0\t29000\n")
    with pytest.raises(InputError, match="no admissible start on chr1 for a depleted region of 29000 nt"):
        regions(tmp_path / "a", genome, bed)
    assert not (tmp_path / "a").exists()
    regions(tmp_path / "b", genome, bed, "--unplaced", "drop")
    assert list(intervals.read_bed(tmp_path / "b/results/depleted.bed")["name"]) == ["0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("chr3\t100\t20000\n", "hold an N: has the genome letters there"),
        ("chr1\t100\t60001\n", r"record 1 \(chr1:100-60001\) passes the end of chr1"),
        ("chr7\t100\t20000\nchr8\t5\t20000\n", "none of its chromosomes is in the genome"),
    ],
)
def test_regions_that_do_not_fit_the_genome(genome, tmp_path, content, message):
    bed = tmp_path / "bad.bed"
    bed.write_text(content)
    with pytest.raises(InputError, match=message):
        regions(tmp_path / "run", genome, bed)
    assert not (tmp_path / "run").exists()


def test_a_window_shorter_than_a_word(genome, tmp_path):
    bed = tmp_path / "short.bed"
    bed.write_text("chr1\t100\t104\n")
    regions(tmp_path / "run", genome, bed)
    with pytest.raises(
        InputError, match=r"introgressed\.bed: regions: the window of chr1:100-104 has 4 nt, expected at least k = 5"
    ):
        stage("windows", tmp_path / "run", "--genome", genome)
    assert not (tmp_path / "run/results/windows.tsv").exists()


def test_a_window_length_shorter_than_a_word(genome, introgressed, tmp_path):
    regions(tmp_path / "run", genome, introgressed)
    with pytest.raises(InputError, match="has 4 nt, expected at least k = 5"):
        stage("windows", tmp_path / "run", "--genome", genome, "--length", 4)


def test_too_few_windows_for_both_classes_on_both_sides(genome, tmp_path):
    bed = tmp_path / "one.bed"
    bed.write_text("chr1\t0\t11000\n")
    run = tmp_path / "run"
    regions(run, genome, bed)
    stage("windows", run, "--genome", genome)
    with pytest.raises(InputError, match="both classes on both sides"):
        stage("split", run)
    assert not (run / "results/split.tsv").exists()


def test_no_pair_left(genome, tmp_path):
    bed = tmp_path / "gap.bed"
    bed.write_text("chr1\t29000\t36000\n")
    run = tmp_path / "run"
    regions(run, genome, bed, "--as-published")
    with pytest.raises(InputError, match="no pair of regions is left"):
        stage("windows", run, "--genome", genome, "--as-published")


def test_counts_that_do_not_fit_the_windows_are_refused(genome, introgressed, tmp_path):
    run = tmp_path / "run"
    regions(run, genome, introgressed)
    stage("windows", run, "--genome", genome)
    stage("kmers", run, "--genome", genome)
    counts = run / "results/kmers.npy"
    np.save(counts, np.load(counts)[:-1])
    with pytest.raises(InputError, match=r"kmers\.npy: found shape \(5, 1024\), expected \(6, 1024\)"):
        stage("linear", run)
    counts.write_bytes(counts.read_bytes()[:60])
    with pytest.raises(InputError, match="not a matrix of counts"):
        stage("linear", run)


def test_a_matrix_that_is_no_file_is_refused(tmp_path, refused):
    for make, found in ((os.mkfifo, "a pipe, a socket or a device"), (os.mkdir, "a folder"), (str, "no such file")):
        make(path := tmp_path / f"{make.__name__}.npy")
        with refused(f"{path}: not letters of windows ({found})"):
            map_matrix(path, "letters of windows")


def invoke(*arguments):
    return subprocess.run([sys.executable, "-m", "neanderthal_nlp.cli", *map(str, arguments)], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, check=False)  # fmt: skip


def test_bad_input_is_one_line_on_standard_error_and_status_2(genome, tmp_path):
    bed = tmp_path / "cut.bed.gz"
    bed.write_bytes(gzip.compress(b"".join(b"chr1\t%d\t20000\n" % start for start in range(9000)), mtime=0)[:-200])
    result = invoke("regions", "--genome", genome, "--introgressed", bed, "--directory", tmp_path / "run")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"regions: error: {bed}: truncated or damaged gzip")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_one_line_and_status_2(genome, introgressed, tmp_path):
    (tmp_path / "file").touch()
    result = invoke("regions", "--genome", genome, "--introgressed", introgressed, "--directory", tmp_path / "file")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert str(tmp_path / "file") in result.stderr


def test_unknown_options_and_values_are_refused(tmp_path):
    assert invoke("regions", "--nonsense").returncode == 2
    assert invoke("kmers", "--genome", "x", "--directory", tmp_path, "--k", "0").returncode == 2


def numbers_of(app):
    """Options that take a whole number: the functions that have them, their names, and what typer is told of them."""
    for group in app.registered_groups:
        yield from numbers_of(group.typer_instance)
    for command in app.registered_commands:
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            kinds = {hint, *get_args(hint)}
            if int in kinds | {kind for part in kinds for kind in get_args(part)}:
                yield command.callback.__name__, name, next(part for part in get_args(hint) if hasattr(part, "min"))


def test_whole_numbers_have_bounds():
    """All but the length of bins, which is held against the words that are counted in them."""
    found = list(numbers_of(cli.app))
    assert len(found) > 40
    assert [(command, name) for command, name, told in found if None in (told.min, told.max)] == [
        ("null_genome", "bin_size")
    ]


@pytest.mark.parametrize("words", ["forest --trees", "forest --seed", "split --seed", "windows --length", "windows --k",
                                   "audit match --candidates", "null-genome --order"])  # fmt: skip
def test_numbers_beyond_measure_are_refused_at_once(capsys, words):
    with pytest.raises(SystemExit) as ended:
        cli.app([*words.split(), str(10**30)])
    assert ended.value.code == 2
    assert f"Invalid value for '{words.split()[-1]}'" in capsys.readouterr().err


def test_no_threads_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.app(["forest", "--threads", "0", "--directory", "run"])
    assert ended.value.code == 2
    assert "found 0, expected -1" in capsys.readouterr().err


def test_each_command_notes_what_it_took(genome, introgressed, tmp_path):
    costs = tmp_path / "costs.tsv"
    environment = {**os.environ, cli.COSTS: str(costs)}
    for arguments in (
        ["demo", "--seed", "x"],
        ["audit", "leaks", "--help"],
        ["regions", "--genome", genome, "--introgressed", introgressed, "--directory", tmp_path / "a run"],
    ):
        command = [sys.executable, "-m", "neanderthal_nlp.cli", *map(str, arguments)]
        subprocess.run(command, env=environment, capture_output=True, check=False)
    noted = table(costs)
    assert tuple(noted.columns) == cli.COST_COLUMNS
    assert list(noted["command"]) == ["demo", "audit leaks", "regions"]
    assert f"--directory '{tmp_path / 'a run'}'" in noted["arguments"][2]
    assert (noted[["seconds", "cpu_seconds"]] > 0).all(axis=None)
    assert noted["peak_mib"].between(10, 4096).all()


MISSING = ["regions", "--genome", "missing.fa", "--introgressed", "missing.bed", "--directory", "run"]


def test_where_costs_cannot_be_noted_the_command_says_so_and_ends_as_it_would(tmp_path):
    environment = {**os.environ, cli.COSTS: str(tmp_path)}
    for arguments, status, told in ((["--help"], 0, ""), (MISSING, 2, "missing.fa: cannot be read")):
        command = [sys.executable, "-m", "neanderthal_nlp.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert f"costs not noted: {tmp_path}" in done.stderr
        assert told in done.stderr


def test_progress_is_told_now_and_then(tmp_path, capsys, monkeypatch):
    clock = iter([0.0, 1.0, 12.0, 13.0, 30.0, 50.0])
    monkeypatch.setattr("neanderthal_nlp.cli.stage.time.monotonic", lambda: next(clock))
    step = Stage("intersections", tmp_path).progress(5, "draws")
    for _ in range(5):
        step()
    assert capsys.readouterr().err.splitlines() == [
        "intersections: 2 of 5 draws, about 18 s to go",
        "intersections: 4 of 5 draws, about 8 s to go",
    ]


def test_help_needs_no_deep_learning():
    code = (
        "import sys; sys.argv = ['neanderthal-nlp', '--help']; from neanderthal_nlp import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'tensorflow', 'gensim', 'umap', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert result.stdout.splitlines()[-1] == "[]"


def test_every_command_keeps_what_it_was_given():
    def commands(group):
        for command in group.commands.values():
            yield from commands(command) if hasattr(command, "commands") else [command]

    found = list(commands(typer.main.get_command(cli.app)))
    assert len(found) > 40
    assert all(isinstance(command, cli._Command) for command in found)


def test_a_command_writes_over_no_file_that_it_was_given(genome, introgressed, tmp_path, refused):
    directory, folder = tmp_path / "run", tmp_path / "fasta"
    regions(directory, genome, introgressed, "--unplaced", "drop")
    folder.mkdir()
    given = folder / "introgressed.fa"
    given.write_bytes(genome.read_bytes())
    with refused(given, "found an input of this command"):
        stage("windows", directory, "--genome", given, "--fasta", folder, "--length", 1_000)
    assert given.read_bytes() == genome.read_bytes()
    before = {path.name: path.read_bytes() for path in (directory / "results").iterdir()}
    for option, name in (("--introgressed", "introgressed.bed"), ("--chromsizes", "chrom.sizes")):
        with refused(directory / "results" / name, "found an input of this command"):
            regions(directory, genome, introgressed, "--seed", 5, option, directory / "results" / name)
    assert {path.name: path.read_bytes() for path in (directory / "results").iterdir()} == before


@pytest.mark.parametrize("name", ["output", "json", "doses", "keep"])
def test_an_output_is_looked_at_before_a_command_begins_and_may_be_there(tmp_path, refused, monkeypatch, name):
    began = []
    monkeypatch.setattr(typer.core.TyperCommand, "invoke", lambda command, context: began.append(context))
    command, given = cli._Command("x"), tmp_path / "given"
    given.write_text("mine")
    with refused(given, "found an input of this command"):
        command.invoke(SimpleNamespace(params={name: given, "windows": given}))
    assert not began
    command.invoke(SimpleNamespace(params={name: given, "windows": None}))
    assert len(began) == 1
