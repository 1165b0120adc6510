"""What other programs read in the tracks of a scan: IGV, by igv.js in Chromium, and UCSC's library for bigWig."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest
from planted import LENGTH

from neanderthal_nlp import cli, tracks
from neanderthal_nlp.bundle import write_bundle
from neanderthal_nlp.files import read_table

sys.path.append(str(Path(__file__).parents[1] / "docs/pictures"))

CHROM, START, END = "chr2", 10_000, 50_000
GENES = [("ABC1", CHROM, 20_000, 21_000, 0.7), ("ABC2", CHROM, 20_500, 23_000, 0.1)]


@pytest.fixture(scope="module")
def scan(audited, planted, tmp_path_factory):
    """Folder of a scan of a region, with the genome as browsers want it: compressed, with its indices."""
    folder = tmp_path_factory.mktemp("scan")
    write_bundle(audited, folder / "models/bundles/audited")
    rows = ["\t".join(map(str, row)) for row in [("Gene_Symbol", "chrom", "start", "end", "Prob_1"), *GENES]]
    (folder / "genes.tsv").write_text("\n".join(rows) + "\n")
    (folder / "here.bed").write_text(f"{CHROM}\t{START}\t{END}\n")
    genome = folder / "genome.fa.gz"
    pysam.tabix_compress(str(planted.genome), str(genome))
    pysam.faidx(str(genome))
    words = ["scan", "--genome", genome, "--regions", folder / "here.bed", "--genes", folder / "genes.tsv",
             "--directory", folder, "--step", LENGTH // 4, "--output", folder]  # fmt: skip
    cli.app([str(word) for word in words], standalone_mode=False)
    return folder


@pytest.fixture(scope="module")
def script():
    """Path of igv.min.js; asked for first, so that nothing is scanned in vain."""
    path = Path(os.environ.get("NEANDERTHAL_NLP_IGV", ""))
    if not path.is_file():
        pytest.skip("NEANDERTHAL_NLP_IGV names no igv.min.js")
    pytest.importorskip("playwright.sync_api")
    return path


@pytest.fixture(scope="module")
def bbi():
    """UCSC's own C code, by pybbi."""
    return pytest.importorskip("bbi")


@pytest.fixture(scope="module")
def read(script, scan):
    """Features that igv.js holds of a track on a chromosome."""
    import igv

    if not igv.CHROMIUM.exists():
        pytest.skip(f"no {igv.CHROMIUM}")
    with igv.browser_page() as page, pysam.FastaFile(str(scan / "genome.fa.gz")) as genome:
        igv.open_tracks(page, script, scan / "genome.fa.gz", [scan / name for name in igv.TRACKS], CHROM)
        letters = page.evaluate("place => browser.genome.getSequence(...place)", [CHROM, START, START + 50])
        assert letters == genome.fetch(CHROM, START, START + 50)
        yield lambda name, chrom=CHROM: page.evaluate(
            "([name, chrom, size]) => tracks[name].getFeatures(chrom, 0, size, 1)",
            [name, chrom, genome.get_reference_length(chrom)],
        )


@pytest.fixture(scope="module")
def table(scan):
    """Windows of the scan that have a probability."""
    table = read_table(scan / "scan.tsv")
    assert len(table) == table["probability"].notna().sum() == (END - START - LENGTH) // (LENGTH // 4) + 1
    return table


def colour(probability):
    return "rgb({},{},{})".format(*tracks.colours(np.array([probability]))[0])


def held(feature):
    """Of a feature: place, name, colour, and whether it is drawn thick."""
    return (feature["start"], feature["end"], feature["name"], feature["color"],
            feature["cdStart"] < feature["cdEnd"])  # fmt: skip


@pytest.mark.parametrize("name", ["scan.bedgraph", "scan.bw"])
def test_igv_reads_the_probabilities(read, table, name):
    found = read(name)
    np.testing.assert_allclose([feature["value"] for feature in found], table["probability"], atol=1e-4)
    starts, ends = (np.array([feature[side] for feature in found]) for side in ("start", "end"))
    assert [starts[0], *ends] == [*starts, END]
    assert (table["chrom_start"] <= starts).all()
    assert (table["chrom_end"] >= ends).all()


def test_igv_reads_the_windows_with_names_and_colours(read, table):
    assert [held(feature) for feature in read("scan.bed")] == [
        (row.chrom_start, row.chrom_end, f"{row.probability:.2f}({row.low:.2f}-{row.high:.2f})",
         colour(row.probability), True)
        for row in table.itertuples()
    ]  # fmt: skip


@pytest.mark.parametrize("side", ["train", "test"])
def test_igv_reads_what_the_model_was_trained_on(read, audited, side):
    windows = audited.windows
    windows = windows[windows["chrom"] == windows.loc[windows["side"] == side, "chrom"].iloc[0]].sort_values("start")
    assert set(windows["label"]) == {0, 1}
    assert [held(feature) for feature in read("training.bed", windows["chrom"].iloc[0])] == [
        (row.start, row.end, f"{'introgressed' if row.label else 'depleted'}_{side}", colour(row.label),
         side == "train")
        for row in windows.itertuples()
    ]  # fmt: skip


def test_igv_reads_the_genes(read):
    assert [held(feature) for feature in read("genes.bed")] == [
        (start, end, symbol, colour(probability), True) for symbol, _, start, end, probability in GENES
    ]


def test_ucsc_library_reads_the_bigwig(bbi, scan, table):
    with bbi.open(str(scan / "scan.bw")) as track:
        assert track.info["summary"]["basesCovered"] == END - START
        found = track.fetch_intervals(CHROM, 0, track.chromsizes[CHROM])
    np.testing.assert_allclose(found["value"], table["probability"], atol=1e-4)
    assert found[["start", "end"]].to_numpy().ravel()[[0, -1]].tolist() == [START, END]
