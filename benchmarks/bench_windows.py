"""Windows with the N filter against samtools: a process a region as in the article, and one for all."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp.depleted import draw_depleted
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.sequences import fetch_along_genome, make_windows

N_SAMPLE = 60


@pytest.fixture(scope="module")
def pairs(introgressed, chromsizes, part):
    """Pairs of regions of two chromosomes in the order of their file, the partners drawn blind to N."""
    with open_genome(part["plain"]) as genome:
        sizes = genome.chromsizes
    here = introgressed[introgressed["chrom"].isin(list(sizes))].reset_index(drop=True)
    return here, draw_depleted(here, chromsizes, rng=1)


def read(genome, windows):
    """Letters of all windows, in the order of the rows."""
    texts = [""] * len(windows)
    for row, text in fetch_along_genome(windows, genome):
        texts[row] = text
    return texts


def parse(fasta):
    """Letters of each record."""
    return ["".join(record.split("\n")[1:]) for record in fasta.split(">")[1:]]


def write_places(path, regions):
    """Regions as samtools takes them: 1-based, the end included, a line each."""
    path.write_text("".join(f"{row.chrom}:{row.start + 1}-{row.end}\n" for row in regions.itertuples()))


@pytest.mark.parametrize(("form", "bar"), [("bgzip", 20), ("2bit", 100), ("plain", 100)])
def test_process_a_region(race, tool, part, pairs, form, bar, tmp_path):
    theirs = "bgzip" if form == "bgzip" else "plain"
    sample = np.random.default_rng(1).choice(len(pairs[0]), N_SAMPLE, replace=False)
    write_places(tmp_path / "places.txt", pd.concat([half.iloc[sample] for half in pairs]))
    # xargs starts the processes, since Python takes longer to start one than a shell does.
    command = ["xargs", "-n", "1", "-a", str(tmp_path / "places.txt"), tool("samtools"), "faidx", str(part[theirs])]

    def ours():
        with open_genome(part[form]) as genome:
            windows = make_windows(*pairs, genome)
            return windows, read(genome, windows)

    def reference():
        texts = parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout.upper())
        both = zip(sample, texts[:N_SAMPLE], texts[N_SAMPLE:], strict=True)
        return {pair: [a[:10_000], b[:10_000]] for pair, a, b in both if "N" not in a and "N" not in b}

    found = race(
        f"windows of all region pairs of two chromosomes, N filter included, {form} genome",
        ours,
        reference,
        work=len(pairs[0]),
        reference_work=N_SAMPLE,
        rounds=5,
        at_least=bar,
        note=f"one `samtools faidx` process a region, {theirs} FASTA, a search for N in each ({N_SAMPLE} pairs; "
        f"ours: {len(pairs[0]):,})",
    )
    windows, texts = found.ours
    kept = {}
    for pair, text in zip(windows["pair"], texts, strict=True):
        if pair in sample:
            kept.setdefault(pair, []).append(text.upper())
    assert kept == found.reference


def test_one_process(race, tool, part, pairs, tmp_path):
    samtools = tool("samtools")
    with open_genome(part["bgzip"]) as genome:
        windows = make_windows(*pairs, genome)
    places = tmp_path / "places.txt"
    write_places(places, windows)
    command = [samtools, "faidx", "-n", "0", "-r", str(places), str(part["bgzip"])]

    def ours():
        with open_genome(part["bgzip"]) as genome:
            return read(genome, windows)

    found = race(
        f"letters of {len(windows):,} windows of two chromosomes, bgzip genome",
        ours,
        lambda: subprocess.run(command, check=True, capture_output=True, text=True).stdout,
        rounds=5,
        at_least=1,
        note="one `samtools faidx -r` process for all",
    )
    assert found.ours == parse(found.reference)
