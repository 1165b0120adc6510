"""Draws of depleted regions and the gene-intersection test against bedtools and against the article's loop."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp.depleted import draw_depleted
from neanderthal_nlp.files import write_bed
from neanderthal_nlp.gene_overlap import intersection_test
from neanderthal_nlp.intervals import count_overlaps, read_bed

N_SAMPLE = 300
N_DRAWS, N_REFERENCE_DRAWS, MANY_DRAWS = 20, 3, 10_000


@pytest.fixture
def shuffle(tool, introgressed, chromsizes, tmp_path):
    """Command of bedtools that draws depleted regions with a seed."""
    regions, sizes = tmp_path / "regions.bed", tmp_path / "chrom.sizes"
    write_bed(introgressed, regions)
    write_bed(pd.DataFrame(list(chromsizes.items())), sizes)

    def command(seed):
        return [tool("bedtools"), "shuffle", "-chrom", "-excl", str(regions), "-i", str(regions), "-g", str(sizes),
                "-seed", str(seed)]  # fmt: skip

    return command


def by_length(regions):
    return sorted(zip(regions["chrom"], regions["end"] - regions["start"], strict=True))


def test_shuffle(race, introgressed, chromsizes, shuffle, tmp_path):
    command, drawn_by = shuffle(1), {name: tmp_path / f"{name}.bed" for name in ("ours", "bedtools")}
    regions = command[command.index("-i") + 1]
    draw_depleted(introgressed.head(), chromsizes, rng=1)  # compiles

    def bedtools():
        with drawn_by["bedtools"].open("wb") as file:
            subprocess.run(command, check=True, stdout=file)

    race(
        f"one draw of {len(introgressed):,} depleted regions, BED to BED",
        lambda: write_bed(draw_depleted(read_bed(regions), chromsizes, rng=1), drawn_by["ours"]),
        bedtools,
        rounds=6,
        at_least=1,
        note="bedtools shuffle -chrom -excl",
    )
    for path in drawn_by.values():
        drawn = read_bed(path)
        assert by_length(drawn) == by_length(introgressed)
        assert not count_overlaps(drawn, introgressed).any()


def test_article_loop(race, introgressed, chromsizes):
    sample = introgressed.sample(N_SAMPLE, random_state=1)

    def article():
        rng, rows = np.random.default_rng(1), []
        for region in sample.itertuples():
            others = introgressed[introgressed["chrom"] == region.chrom]
            length = region.end - region.start
            overlaps = True
            while overlaps:
                start = int(rng.integers(1, chromsizes[region.chrom] - length))
                overlaps = ((others["start"] < start + length) & (others["end"] > start)).any()
            rows.append((region.chrom, start, start + length))
        return pd.DataFrame(rows, columns=["chrom", "start", "end"])

    found = race(
        f"one draw of {len(introgressed):,} depleted regions, per region",
        lambda: draw_depleted(introgressed, chromsizes, rng=1),
        article,
        work=len(introgressed),
        reference_work=N_SAMPLE,
        at_least=1000,
        note=f"the article's loop: draw until nothing overlaps, compared in pandas ({N_SAMPLE} regions)",
    )
    for drawn, regions in ((found.ours, introgressed), (found.reference, sample)):
        assert by_length(drawn) == by_length(regions)
        assert not count_overlaps(drawn, introgressed).any()


def count_rows(bedtools, genes, *, regions=None, shuffle=None):
    """Rows of bedtools intersect, of a file or of what a shuffle prints."""
    command = [bedtools, "intersect", "-a", "stdin" if shuffle else str(regions), "-b", str(genes)]
    if not shuffle:
        return subprocess.run(command, check=True, capture_output=True).stdout.count(b"\n")
    with subprocess.Popen(shuffle, stdout=subprocess.PIPE) as drawing:
        rows = subprocess.run(command, check=True, stdin=drawing.stdout, capture_output=True).stdout.count(b"\n")
    assert drawing.returncode == 0
    return rows


def test_intersections(race, tool, introgressed, genes, chromsizes, shuffle, tmp_path):
    bedtools, gene_file = tool("bedtools"), tmp_path / "genes.bed"
    intersection_test(introgressed.head(), genes, chromsizes, n_draws=1, rng=1)  # compiles
    write_bed(genes[["chrom", "start", "end"]], gene_file)
    found = race(
        f"gene-intersection test, {N_DRAWS} draws, per draw",
        lambda: intersection_test(introgressed, genes, chromsizes, n_draws=N_DRAWS, rng=1),
        lambda: [count_rows(bedtools, gene_file, shuffle=shuffle(seed)) for seed in range(N_REFERENCE_DRAWS)],
        work=N_DRAWS,
        reference_work=N_REFERENCE_DRAWS,
        at_least=3,
        note=f"bedtools shuffle piped into bedtools intersect, rows counted ({N_REFERENCE_DRAWS} draws)",
    )
    assert found.ours.observed == count_rows(bedtools, gene_file, regions=shuffle(1)[4])
    assert abs(np.mean(found.reference) / found.ours.draws.mean() - 1) < 0.02


def test_many_draws(race, introgressed, genes, chromsizes):
    found = race(
        f"gene-intersection test, {MANY_DRAWS:,} draws",
        lambda: intersection_test(introgressed, genes, chromsizes, n_draws=MANY_DRAWS, rng=1),
        rounds=1,
        note="(seconds)",
    )
    assert len(found.ours.draws) == MANY_DRAWS
