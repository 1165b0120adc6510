"""Predictions as text, and the commands that write them."""

import gzip
import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from planted import LENGTH, draw_letters

from neanderthal_nlp import cli
from neanderthal_nlp.bundle import write_bundle
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.predict import Stretch, predict
from neanderthal_nlp.predictions import CallCounts, read_batches, write_predictions

STRETCHES = [
    Stretch("chr1:1-2000", 0, draw_letters(1), "chr1", 0),
    Stretch("a", 0, draw_letters(0)),
    Stretch("a", LENGTH, draw_letters(0, 300)),
]


@pytest.fixture
def frame(audited):
    return pd.concat(predict(STRETCHES, audited), ignore_index=True)


def written(frame, audited, form, pieces=2):
    handle = io.StringIO()
    counts = write_predictions((frame.iloc[i::pieces] for i in range(pieces)), audited, handle, form=form)
    assert counts == CallCounts(3, 1, 1, 1, 0, 0)
    return handle.getvalue()


def test_table_has_a_row_a_stretch(frame, audited):
    found = pd.read_csv(io.StringIO(written(frame, audited, "tsv", 1)), sep="\t", keep_default_na=False)
    assert list(found.columns) == list(frame.columns)
    assert found[["chrom", "chrom_start", "chrom_end"]].to_numpy().tolist() == [
        ["chr1", "0", "2000"],
        [""] * 3,
        [""] * 3,
    ]
    assert list(found["call"]) == ["introgressed", "depleted", "too short to say"]
    assert found.loc[2, ["score", "probability", "low", "high", "speak_for"]].tolist() == [""] * 5
    assert float(found.loc[0, "probability"]) == pytest.approx(frame.loc[0, "probability"], rel=1e-5)
    word, value = frame.loc[0, "speak_for"][0]
    assert found.loc[0, "speak_for"].startswith(f"{word} {value:+.3g}, ")


def test_table_is_read_back_in_pieces(frame, audited, tmp_path):
    (tmp_path / "t.tsv").write_text(written(frame, audited, "tsv", 1))
    batches = list(read_batches(tmp_path / "t.tsv", rows=2))
    assert [len(batch) for batch in batches] == [2, 1]
    again = pd.concat(batches, ignore_index=True)
    words = ["speak_for", "speak_against"]
    pd.testing.assert_frame_equal(again.drop(columns=words), frame.drop(columns=words), rtol=1e-5, check_dtype=False)


def test_json_holds_the_model_and_words_that_can_be_summed(frame, audited):
    found = json.loads(written(frame, audited, "json"))
    assert found["model"] == {
        "name": "audited", "model": "logistic_regression", "protocol": "chromosome", "k": 3, "window_length": LENGTH,
        "threshold": 0.5, "calibrated": True, "synthetic": True, "prior": 0.5,
    }  # fmt: skip
    assert [row["call"] for row in found["stretches"]] == ["introgressed", "too short to say", "depleted"]
    assert found["stretches"][1]["probability"] is found["stretches"][1]["chrom_start"] is None
    first = found["stretches"][0]
    assert first["speak_for"] == [{"word": word, "adds": value} for word, value in frame.loc[0, "speak_for"]]
    assert first["low"] < first["probability"] < first["high"]


def test_bed_holds_what_has_a_probability(frame, audited):
    rows = [line.split("\t") for line in written(frame, audited, "bed", 1).splitlines()]
    assert [row[:3] for row in rows] == [["chr1", "0", "2000"], ["a", "0", "2000"]]
    assert [row[4] for row in rows] == [str(round(1000 * p)) for p in frame["probability"].head(2)]


def test_no_stretch_is_a_table_without_rows(audited):
    for form, text in (("tsv", ""), ("bed", "")):
        handle = io.StringIO()
        assert write_predictions([], audited, handle, form=form).total == 0
        assert handle.getvalue() == text
    handle = io.StringIO()
    write_predictions([], audited, handle, form="json")
    assert json.loads(handle.getvalue())["stretches"] == []


@pytest.fixture(scope="module")
def run(audited, as_published, tmp_path_factory):
    """Folder of a run that has nothing but its bundles."""
    folder = tmp_path_factory.mktemp("run")
    for bundle in (audited, as_published):
        write_bundle(bundle, folder / "models/bundles" / bundle.name)
    return folder


def call(*words):
    cli.app([str(word) for word in words], standalone_mode=False)


def test_predict_reads_files_and_writes_one(run, tmp_path, capsys):
    (tmp_path / "one.fa").write_text(">one\n" + draw_letters(1) + "\n>two\n" + draw_letters(0, 3 * LENGTH) + "\n")
    (tmp_path / "two.fa.gz").write_bytes(gzip.compress(b">three\n" + draw_letters(0, 10).encode()))
    call("predict", tmp_path / "one.fa", tmp_path / "two.fa.gz", "--directory", run, "--output", tmp_path / "t.tsv")
    found = read_table(tmp_path / "t.tsv")
    assert found["record"].tolist() == ["one", "two", "two", "two", "three"]
    assert found["file"].tolist() == [str(tmp_path / "one.fa")] * 4 + [str(tmp_path / "two.fa.gz")]
    assert found["start"].tolist() == [0, 0, LENGTH, 2 * LENGTH, 0]
    assert found["call"].iloc[-1] == "too short to say"
    told = capsys.readouterr()
    assert told.out == ""
    assert "5 stretches" in told.err
    assert "made-up genome" in told.err
    call("predict", tmp_path / "one.fa", "--directory", run, "--model", "as_published", "--words", "0")
    published = pd.read_csv(io.StringIO(capsys.readouterr().out), sep="\t")
    assert published["low"].isna().all()
    assert (published["score"] == published["probability"]).all()


def test_predict_reads_standard_input(run):
    words = [sys.executable, "-P", "-m", "neanderthal_nlp.cli", "predict", "-", "--directory", run, "--format", "json"]
    done = subprocess.run(words, input=b">one\n" + draw_letters(1).encode(), capture_output=True, check=True)
    assert [(row["file"], row["record"]) for row in json.loads(done.stdout)["stretches"]] == [("standard input", "one")]
    for letters, said in ((b"MKV", "not FASTA"), (b"", "empty"), (b">a\nACGU", "a: letter 4: found 'U'")):
        bad = subprocess.run(words, input=letters, capture_output=True)
        assert bad.returncode == 2
        assert bad.stderr.decode().splitlines()[-1].startswith(f"predict: error: standard input: {said}")


def test_only_a_dash_is_standard_input(run, tmp_path, monkeypatch):
    (tmp_path / "-").write_text(">one\n" + draw_letters(1) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)
    call("predict", "./-", "--directory", run, "--output", tmp_path / "t.tsv")
    assert read_table(tmp_path / "t.tsv")["record"].tolist() == ["one"]


def test_closed_streams_are_refused(run, tmp_path, monkeypatch, refused):
    (tmp_path / "one.fa").write_text(">one\n" + draw_letters(1) + "\n")
    monkeypatch.setattr(sys, "stdin", None)
    with refused("-: found standard input closed"):
        call("predict", "-", "--directory", run, "--output", tmp_path / "t.tsv")
    monkeypatch.setattr(sys, "stdout", None)
    with refused("found standard output closed", "--output"):
        call("predict", tmp_path / "one.fa", "--directory", run)


def test_tables_are_utf_8_wherever_they_go(run, tmp_path):
    name = os.fsdecode(b"one\xff.fa")
    (tmp_path / name).write_text(">chr€\n" + draw_letters(1) + "\n", encoding="utf-8")
    words = [sys.executable, "-P", "-m", "neanderthal_nlp.cli", "predict", name, "--directory", run]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout
    assert told.decode("utf-8").splitlines()[1].startswith("one\\udcff.fa\tchr€\t")
    subprocess.run([*words, "--output", "t.tsv"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "t.tsv").read_bytes() == told


def test_what_a_bed_leaves_out_is_said(run, tmp_path, capsys):
    (tmp_path / "one.fa").write_text(f">one\n{draw_letters(1)}\n>short\nACGT\n>none\n{'N' * 1_500}\n")
    call("predict", tmp_path / "one.fa", "--directory", run, "--format", "bed")
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1
    assert "3 stretches: 1 called introgressed, 0 depleted, 1 too short to say, 1 too many N to say" in told.err
    assert "left out of the BED: 2 stretches without a probability" in told.err


def test_predict_cuts_regions(run, planted, tmp_path):
    (tmp_path / "r.bed").write_text("2\t0\t4000\nchr1\t100\t2100\n")
    call("predict", "--genome", planted.genome, "--regions", tmp_path / "r.bed", "--directory", run, "--output",
         tmp_path / "t.tsv", "--cache", tmp_path)  # fmt: skip
    found = read_table(tmp_path / "t.tsv")
    assert found[["chrom", "chrom_start", "chrom_end"]].to_numpy().tolist() == [
        ["chr2", 0, 2000], ["chr2", 2000, 4000], ["chr1", 100, 2100]]  # fmt: skip
    assert (found["seen"] != "unknown").all()


def test_bad_calls_leave_nothing_behind(run, planted, tmp_path):
    (tmp_path / "protein.fa").write_text(">a\n" + draw_letters(1) + "\n>b\nMKVLAT\n")
    (tmp_path / "bare.txt").write_text("ACGT\nACGT\n")
    (tmp_path / "reads.fq").write_text("@r0\nACGT\n+\nIIII\n")
    (tmp_path / "me.vcf").write_text("##fileformat=VCFv4.2\n")
    out = tmp_path / "out" / "t.tsv"
    for words, said in (
        ([tmp_path / "protein.fa"], "protein.fa: b: letter 4: found 'L'"),
        ([], "found nothing to score"),
        ([tmp_path / "protein.fa", "--genome", planted.genome], "one or the other"),
        (["--genome", planted.genome], "--genome needs --regions"),
        (["--regions", "chr1"], "--regions needs --genome"),
        (["--genome", planted.genome, "--regions", "chr9"], "--regions: found chr9, expected a BED file"),
        (["--genome", planted.genome, "--regions", "chr1:5-2"], "an end not before it"),
        ([tmp_path], "found a folder, expected a FASTA file"),
        ([tmp_path / "bare.txt"], "such as >mine before them"),
        ([tmp_path / "reads.fq"], "FASTQ"),
        ([tmp_path / "me.vcf"], "haplotypes"),
        ([tmp_path / "protein.fa", "--bundle", tmp_path], "not a model bundle"),
        ([tmp_path / "protein.fa", "--bundle", tmp_path / "none"], "no such folder, expected a model bundle$"),
        ([tmp_path / "absent.fa"], "absent.fa"),
        (["-", "-"], "found twice"),
    ):
        with pytest.raises(InputError, match=said):
            call("predict", *words, "--directory", run, "--output", out)
        assert not out.exists()
        assert not list(out.parent.glob("*")) if out.parent.exists() else True
    with pytest.raises(InputError, match=r"audited: found no such folder.*make reproduce"):
        call("predict", tmp_path / "protein.fa", "--directory", tmp_path, "--output", out)


def test_an_output_that_would_harm_is_refused(run, tmp_path):
    letters = tmp_path / "one.fa"
    letters.write_text(">one\n" + draw_letters(1) + "\n")
    for output, said in (
        (letters, "found an input"),
        (tmp_path, "found a folder"),
        (tmp_path / "t.tsv.gz", "without .gz"),
    ):
        with pytest.raises(InputError, match=said):
            call("predict", letters, "--directory", run, "--output", output)
    assert letters.read_text() == ">one\n" + draw_letters(1) + "\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.fa"]


def test_the_ending_says_the_form_and_names_are_told_of(run, tmp_path, capsys):
    titles = {"chr1:1-2000 mine": 1, "a b": 1, "a c": 0, "hg19_dna range=chr2:1-2000 strand=+": 0}
    text = "".join(f">{title}\n{draw_letters(label)}\n" for title, label in titles.items())
    (tmp_path / "one.fa").write_text(text)
    call("predict", tmp_path / "one.fa", "--directory", run, "--output", tmp_path / "t.json", "--prior", "0.02")
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["model"]["prior"] == 0.02
    assert [row["record"] for row in found["stretches"]] == ["chr1:1-2000", "a", "a", "chr2:1-2000"]
    told = capsys.readouterr().err
    assert "(prior 0.02)" in told
    assert "one.fa: 2 stretches placed by name" in told
    assert "one.fa: 2 records are named a" in told


def test_a_place_or_a_chromosome_serves_as_regions(run, planted, tmp_path):
    places = []
    for number, text in enumerate(("chr2:1,001-3,000", "2")):
        call("predict", "--genome", planted.genome, "--regions", text, "--directory", run, "--output",
             tmp_path / f"{number}.tsv", "--cache", tmp_path)  # fmt: skip
        places.append(read_table(tmp_path / f"{number}.tsv")[["chrom", "chrom_start", "chrom_end"]].to_numpy().tolist())
    assert places[0] == [["chr2", 1000, 3000]]
    assert places[1][0] == ["chr2", 0, 2000]
    assert len(places[1]) > 1


def test_scan_writes_tracks_that_agree(run, planted, tmp_path, audited):
    out, step = tmp_path / "scan", LENGTH // 2
    (tmp_path / "genes.tsv").write_text("Gene_Symbol\tchrom\tstart\tend\tProb_1\nABC1\tchr2\t5\t900\t0.7\n")
    call("scan", "--genome", planted.genome, "--output", out, "--directory", run, "--step", step, "--genes",
         tmp_path / "genes.tsv", "--cache", tmp_path)  # fmt: skip
    table = read_table(out / "scan.tsv")
    assert not {"speak_for", "file"} & set(table)
    with open_genome(planted.genome, cache=tmp_path) as genome:
        sizes = genome.chromsizes
    assert len(table) == sum((size - LENGTH) // step + 1 for size in sizes.values())
    assert len((out / "scan.bed").read_text().splitlines()) == len(table) + 1
    assert (out / "genes.bed").read_text().splitlines()[1].startswith("chr2\t5\t900\tABC1\t700\t")
    assert len((out / "training.bed").read_text().splitlines()) == len(audited.windows) + 1
    spans = [line.split("\t") for line in (out / "scan.bedgraph").read_text().splitlines()[1:]]
    with pyBigWig.open(str(out / "scan.bw")) as track:
        assert track.chroms() == sizes
        for chrom, start, _, value in spans[:50]:
            assert track.values(chrom, int(start), int(start) + 1)[0] == pytest.approx(float(value), abs=1e-4)
    at = {(row.chrom, row.chrom_start): row.probability for row in table.itertuples()}
    middle = [(chrom, (int(start) + int(end)) // 2 - LENGTH // 2, float(value)) for chrom, start, end, value in spans]
    inner = [(at[chrom, start], value) for chrom, start, value in middle if (chrom, start) in at]
    assert len(inner) > 0.9 * len(spans)
    np.testing.assert_allclose(*zip(*inner, strict=True), atol=1e-4)


def test_genes_of_a_scan_are_looked_at_first_and_lie_on_the_genome(run, planted, tmp_path, capsys, refused):
    def scan_with(*rows):
        (tmp_path / "genes.tsv").write_text(
            "".join(f"{row}\n" for row in ("Gene_Symbol\tchrom\tstart\tend\tProb_1", *rows))
        )
        call("scan", "--genome", planted.genome, "--output", tmp_path / "scan", "--directory", run, "--regions",
             "chr2:1-9000", "--genes", tmp_path / "genes.tsv", "--cache", tmp_path)  # fmt: skip

    with refused(tmp_path / "genes.tsv", "ABC1", "inf", "0 to 1"):
        scan_with("ABC1\tchr2\t5\t900\tinf")
    assert not (tmp_path / "scan").exists()
    with open_genome(planted.genome, cache=tmp_path) as genome:
        size = genome.chromsizes["chr2"]
    scan_with(*(f"{name}\tchr2\t{start}\t{size + past}\t0.7"
                for name, start, past in (("last", 5, 0), ("past", 5, 1), ("before", -1, 0))))  # fmt: skip
    track = (tmp_path / "scan/genes.bed").read_text().splitlines()[1:]
    assert [line.split("\t")[3] for line in track] == ["last"]
    told = capsys.readouterr().err
    assert f"{tmp_path / 'scan/genes.bed'}: left out 2 of 3 genes" in told
    assert str(tmp_path / "genes.tsv") in told


def test_scan_of_regions_keeps_the_order_of_the_genome(run, planted, tmp_path):
    (tmp_path / "r.bed").write_text("chr3\t0\t6000\nchr1\t2000\t9000\nchr1\t0\t3000\nchr2\t0\t500\n")
    call("scan", "--genome", planted.genome, "--output", tmp_path / "scan", "--directory", run, "--regions",
         tmp_path / "r.bed", "--step", LENGTH, "--cache", tmp_path)  # fmt: skip
    found = read_table(tmp_path / "scan/scan.tsv")
    assert found[["chrom", "chrom_start"]].to_numpy().tolist() == [
        *(["chr1", start] for start in (0, 2000, 4000, 6000)), ["chr2", 0],
        *(["chr3", start] for start in (0, 2000, 4000)),
    ]  # fmt: skip
    assert found["call"].tolist().count("too short to say") == 1
    assert not (tmp_path / "scan/genes.bed").exists()
    (tmp_path / "r.bed").write_text("chr3\t0\t99999999\n")
    with pytest.raises(InputError, match="chr3"):
        call("scan", "--genome", planted.genome, "--output", tmp_path / "b", "--directory", run, "--regions",
             tmp_path / "r.bed", "--cache", tmp_path)  # fmt: skip
