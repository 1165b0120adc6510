import gzip
import shutil
import subprocess
from itertools import pairwise

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neanderthal_nlp import demo as demo_module
from neanderthal_nlp.audit.null_genome import fit_transitions
from neanderthal_nlp.demo import CHROMSIZES, MAX_REGION_LENGTH, REFGENE_COLUMNS, make_demo, write_demo
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.kmers import count_kmers, vocabulary

SMALL = {
    "n_regions": 60,
    "n_genes": 40,
    "chromsizes": {"chr1": 1_500_000, "chr2": 1_000_000, "chrX": 700_017},
}


@pytest.fixture(scope="module")
def default():
    return make_demo()


def to_text(letters):
    return letters.tobytes().decode()


def naive_loci(regions):
    """Regions grouped by overlap, in plain Python."""
    loci = []
    for chrom, start, end in sorted(regions.itertuples(index=False)):
        if loci and loci[-1][-1][0] == chrom and start < max(other[2] for other in loci[-1]):
            loci[-1].append((chrom, start, end))
        else:
            loci.append([(chrom, start, end)])
    return loci


def naive_gaps(letters):
    """Runs of N, in plain Python over the runs' edges."""
    is_gap = np.concatenate([[False], letters == ord("N"), [False]])
    edges = np.flatnonzero(is_gap[1:] != is_gap[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def longest_free_stretch(letters, regions):
    """Longest stretch of a chromosome without a gap or an introgressed region."""
    free = letters != ord("N")
    for start, end in regions:
        free[start:end] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[0], free, [0]])))
    return int((edges[1::2] - edges[::2]).max())


def in_loci(demo):
    """Per chromosome, whether a letter lies in an introgressed region."""
    masks = {chrom: np.zeros(len(letters), bool) for chrom, letters in demo.chromosomes.items()}
    for chrom, start, end in demo.introgressed.itertuples(index=False):
        masks[chrom][start:end] = True
    return masks


def gc_content(text):
    text = text.upper()
    gc = text.count("G") + text.count("C")
    return gc / (gc + text.count("A") + text.count("T"))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_regions=st.integers(1, 60),
    composition=st.sampled_from([0.0, 0.4, 1.0]),
    overlap=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_regions_are_exact_unique_sorted_and_leave_room_for_partners(seed, n_regions, composition, overlap):
    demo = make_demo(
        seed=seed,
        n_regions=n_regions,
        n_genes=1,
        chromsizes=SMALL["chromsizes"],
        composition=composition,
        overlap=overlap,
    )
    regions = demo.introgressed
    assert list(regions.columns) == ["chrom", "start", "end"]
    assert len(regions) == n_regions
    assert not regions.duplicated().any()
    rank = {chrom: i for i, chrom in enumerate(SMALL["chromsizes"])}
    keys = [(rank[chrom], start, end) for chrom, start, end in regions.itertuples(index=False)]
    assert keys == sorted(keys)
    for chrom, rows in regions.groupby("chrom"):
        letters = demo.chromosomes[chrom]
        spans = list(zip(rows["start"], rows["end"], strict=True))
        # one letter on either side too: loci do not touch gaps
        assert all(start > 0 and ord("N") not in letters[start - 1 : end + 1] for start, end in spans)
        assert longest_free_stretch(letters, spans) >= max(end - start for start, end in spans)
    for before, after in pairwise(naive_loci(regions)):
        if before[0][0] == after[0][0]:
            assert max(end for _, _, end in before) < after[0][1]


def test_without_overlap_all_regions_are_disjoint_and_partners_fit():
    # as dense as the default
    sizes = dict(list(CHROMSIZES.items())[-3:])
    n_regions = round(1200 * sum(sizes.values()) / sum(CHROMSIZES.values()))
    demo = make_demo(n_regions=n_regions, n_genes=1, chromsizes=sizes, overlap=0.0)
    assert len(naive_loci(demo.introgressed)) == len(demo.introgressed) == n_regions
    for chrom, rows in demo.introgressed.groupby("chrom"):
        spans = list(zip(rows["start"], rows["end"], strict=True))
        assert longest_free_stretch(demo.chromosomes[chrom], spans) >= (rows["end"] - rows["start"]).max()


def test_full_overlap_resembles_the_call_set(default):
    regions = default.introgressed
    lengths = regions["end"] - regions["start"]
    assert len(regions) == 1200
    assert lengths.min() >= 10_002
    assert lengths.max() <= MAX_REGION_LENGTH + len(regions)
    assert lengths.max() > 80_000
    assert 16_000 < lengths.median() < 21_000
    assert 20_000 < lengths.mean() < 26_000
    assert 0.45 < len(regions.drop_duplicates(["chrom", "start"])) / len(regions) < 0.55
    loci = naive_loci(regions)
    sizes = np.array([len(locus) for locus in loci])
    assert 5 < sizes.mean() < 7.5
    assert sizes.min() == 1
    assert sizes.max() >= 18
    for locus in loci:
        assert max(start for _, start, _ in locus) < min(end for _, _, end in locus)


def test_dials_change_only_what_they_mean():
    base = make_demo(**SMALL, seed=3, composition=0.0, overlap=0.0)
    overlapping = make_demo(**SMALL, seed=3, composition=0.0, overlap=1.0)
    composed = make_demo(**SMALL, seed=3, composition=1.0, overlap=0.0)
    lengths = [sorted(d.introgressed["end"] - d.introgressed["start"]) for d in (base, overlapping, composed)]
    assert lengths[0] == lengths[1] == lengths[2]
    for other in (overlapping, composed):
        pd.testing.assert_frame_equal(base.genes, other.genes)
    loci = in_loci(composed)
    for chrom, letters in base.chromosomes.items():
        # without composition the letters do not know where the loci are
        np.testing.assert_array_equal(letters, overlapping.chromosomes[chrom])
        changed = composed.chromosomes[chrom]
        np.testing.assert_array_equal(letters & 32, changed & 32)
        np.testing.assert_array_equal(letters == ord("N"), changed == ord("N"))
        same = letters == changed
        assert same[~loci[chrom]].mean() > 0.999
        assert 0.8 < same[loci[chrom]].mean() < 0.999


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_composition_dial_sets_the_gc_of_loci(overlap):
    def gc_difference(seed, composition):
        demo = make_demo(**SMALL, seed=seed, composition=composition, overlap=overlap)
        inside = np.concatenate(list(in_loci(demo).values()))
        letters = np.concatenate(list(demo.chromosomes.values()))
        gc = np.isin(letters, list(b"CGcg"))
        return gc[inside].mean() - gc[~inside & (letters != ord("N"))].mean()

    unplanted = np.array([gc_difference(seed, 0.0) for seed in range(10)])
    planted = np.array([gc_difference(seed, 1.0) for seed in range(10)])
    error = unplanted.std(ddof=1) / np.sqrt(len(unplanted))
    assert abs(unplanted.mean()) < 4 * error
    assert planted.mean() < -0.02
    assert planted.mean() < -4 * planted.std(ddof=1) / np.sqrt(len(planted))


def test_letters_resemble_the_human_genome(default):
    text = "".join(map(to_text, default.chromosomes.values()))
    called = len(text) - text.count("N")
    assert set(text) == set("ACGTacgtN")
    assert 39e6 < len(text) < 44e6
    assert 0.05 < 1 - called / len(text) < 0.07
    assert 0.3 < sum(map(text.count, "acgt")) / called < 0.4
    upper = text.upper()
    assert 0.40 < gc_content(upper) < 0.43

    def excess(pair):
        return upper.count(pair) * called / (upper.count(pair[0]) * upper.count(pair[1]))

    assert 0.2 < excess("CG") < 0.3
    assert excess("TG") > 1.1
    assert excess("CA") > 1.1
    assert excess("TA") < 0.8
    counts = count_kmers([upper], k=5)[0]
    top = np.argsort(-counts)[:2]
    assert {vocabulary(5)[i] for i in top} == {"AAAAA", "TTTTT"}


def test_isochores_and_gaps(default):
    blocks = []
    for letters in default.chromosomes.values():
        gaps = naive_gaps(letters)
        lengths = [end - start for start, end in gaps]
        assert gaps[0] == (0, 10_000)
        assert gaps[-1] == (len(letters) - 10_000, len(letters))
        assert len([length for length in lengths if 150_000 <= length <= 250_000]) == 1
        assert all(length == 50_000 for length in lengths[1:-1] if length < 150_000)
        assert len(lengths) >= 4
        text = to_text(letters)
        blocks += [text[start : start + 50_000] for start in range(0, len(text) - 50_000, 50_000)]
    levels = np.array([gc_content(block) for block in blocks if "N" not in block])
    assert 0.55 < (levels < 0.425).mean() < 0.8
    assert levels.std() > 0.03
    assert levels.min() > 0.3
    assert levels.max() < 0.58


def test_genes_are_gc_rich_and_a_few_reach_a_gap(default):
    genes = default.genes
    lengths = genes["txEnd"] - genes["txStart"]
    assert len(genes) == 500
    assert genes["name2"].nunique() == 425
    assert genes["name2"].value_counts().max() <= 3
    assert genes.duplicated(["name2", "txStart", "txEnd"]).sum() > 0
    assert 15_000 < lengths.median() < 25_000
    assert (lengths < 8_800).sum() > 20
    assert (lengths > 100_000).sum() > 5
    columns = zip(genes["chrom"], genes["txStart"], genes["txEnd"], strict=True)
    texts = [to_text(default.chromosomes[chrom][start:end]) for chrom, start, end in columns]
    assert 0.45 < np.mean([gc_content(text) for text in texts]) < 0.485
    assert 0 < sum("N" in text for text in texts) < 30


def test_composition_keeps_regions_off_genes():
    def gene_share(composition):
        demo = make_demo(**SMALL | {"n_genes": 60}, seed=5, composition=composition, overlap=0.0)
        hit = sum(
            ((demo.genes["chrom"] == chrom) & (demo.genes["txStart"] < end) & (demo.genes["txEnd"] > start)).sum()
            for chrom, start, end in demo.introgressed.itertuples(index=False)
        )
        return hit / len(demo.introgressed)

    assert gene_share(1.0) < gene_share(0.0)


@pytest.mark.parametrize("n_genes", [1, 2, 40])
def test_refgene_rows_are_consistent(n_genes):
    demo = make_demo(**SMALL | {"n_genes": n_genes}, seed=2)
    assert tuple(demo.genes.columns) == REFGENE_COLUMNS
    assert len(REFGENE_COLUMNS) == 16
    assert len(demo.genes) == n_genes
    assert demo.genes["name"].is_unique
    for row in demo.genes.itertuples(index=False):
        starts, ends, frames = (
            [int(value) for value in column.removesuffix(",").split(",")]
            for column in (row.exonStarts, row.exonEnds, row.exonFrames)
        )
        assert 0 <= row.txStart < row.txEnd <= len(demo.chromosomes[row.chrom])
        assert len(starts) == len(ends) == len(frames) == row.exonCount
        assert (starts[0], ends[-1]) == (row.txStart, row.txEnd)
        edges = [edge for pair in zip(starts, ends, strict=True) for edge in pair]
        assert all(before < after for before, after in pairwise(edges))
        assert row.strand in "+-"
        assert frames == naive_frames(starts, ends, row.cdsStart, row.cdsEnd, row.strand)
        assert row.bin == naive_bin(row.txStart, row.txEnd)
        if row.name.startswith("NR_"):
            assert row.cdsStart == row.cdsEnd == row.txEnd
            assert row.cdsStartStat == row.cdsEndStat == "unk"
        else:
            assert starts[0] <= row.cdsStart < ends[0]
            assert starts[-1] < row.cdsEnd <= ends[-1]


def naive_frames(starts, ends, cds_start, cds_end, strand):
    """Frame of each exon's first coding nucleotide, counted nucleotide by nucleotide; -1 for none."""
    exons = list(zip(starts, ends, strict=True))
    frames, n_coding = [], 0
    for start, end in exons if strand == "+" else reversed(exons):
        coding = [position for position in range(start, end) if cds_start <= position < cds_end]
        frames.append(n_coding % 3 if coding else -1)
        n_coding += len(coding)
    assert n_coding % 3 == 0
    return frames if strand == "+" else frames[::-1]


def naive_bin(start, end):
    """Try UCSC's bins from the smallest: 128 kb, then 1, 8, 64 and 512 Mb."""
    for first, n_bins, size in ((585, 4096, 2**17), (73, 512, 2**20), (9, 64, 2**23), (1, 8, 2**26), (0, 1, 2**29)):
        for i in range(n_bins):
            if i * size <= start and end <= (i + 1) * size:
                return first + i
    raise AssertionError("outside of 512 Mb")


@given(start=st.integers(0, 2**29 - 2), length=st.integers(1, 2**27))
def test_bins_are_those_of_the_standard_scheme(start, length):
    end = min(start + length, 2**29)
    assert demo_module._find_bin(start, end) == naive_bin(start, end)


@given(gc=st.floats(0.25, 0.65))
def test_chains_have_the_wanted_gc_on_both_strands(gc):
    cumulative = fit_transitions(np.array([gc]), demo_module._EXCESS)[0].astype(float)
    chain = np.diff(cumulative, axis=1, prepend=0)
    assert chain.min() > 0
    stationary = np.linalg.matrix_power(chain, 200)[0]
    np.testing.assert_allclose(stationary, np.array([1 - gc, gc, gc, 1 - gc]) / 2, atol=1e-5)
    pairs = stationary[:, None] * chain
    np.testing.assert_allclose(pairs, pairs[::-1, ::-1].T, atol=1e-5)  # reverse complement


def test_same_arguments_same_bytes(tmp_path):
    first = write_demo(tmp_path / "a", seed=7, **SMALL)
    second = write_demo(tmp_path / "deep" / "b", seed=7, **SMALL)
    other = write_demo(tmp_path / "c", seed=8, **SMALL)
    assert [path.name for path in first.values()] == [
        "genome.fa.gz",
        "introgressed.bed",
        "refGene.txt.gz",
        "README.txt",
    ]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(path.name for path in first.values())
    for key, path in first.items():
        assert path.read_bytes() == second[key].read_bytes()
        assert path.read_bytes() != other[key].read_bytes()


def test_files_hold_what_make_demo_returns(tmp_path):
    demo = make_demo(seed=7, **SMALL)
    paths = write_demo(tmp_path, seed=7, **SMALL)
    with pysam.FastxFile(str(paths["genome"])) as file:
        written = {record.name: record.sequence for record in file}
    assert written == {chrom: to_text(letters) for chrom, letters in demo.chromosomes.items()}
    assert list(written) == list(SMALL["chromsizes"])
    assert {chrom: len(text) for chrom, text in written.items()} == SMALL["chromsizes"]
    bed = pd.read_csv(paths["introgressed"], sep="\t", header=None, names=["chrom", "start", "end"])
    pd.testing.assert_frame_equal(bed, demo.introgressed, check_dtype=False)
    genes = pd.read_csv(paths["genes"], sep="\t", header=None, names=list(REFGENE_COLUMNS))
    pd.testing.assert_frame_equal(genes, demo.genes, check_dtype=False)
    readme = paths["readme"].read_text()
    assert readme.startswith("SYNTHETIC")
    assert "no human DNA" in readme
    assert "composition = 1" in readme


def test_genome_is_bgzip_with_sixty_letters_a_line(tmp_path):
    path = write_demo(tmp_path, **SMALL)["genome"]
    header = path.read_bytes()[:16]
    assert header[:4] == b"\x1f\x8b\x08\x04"  # gzip with an extra field, which
    assert header[12:14] == b"BC"  # is the one of bgzip
    with gzip.open(path, "rt") as file:
        lines = file.read().split("\n")
    assert lines[-1] == ""
    headers = [i for i, line in enumerate(lines) if line.startswith(">")] + [len(lines) - 1]
    for start, end in pairwise(headers):
        assert {len(line) for line in lines[start + 1 : end - 1]} == {60}
        assert 1 <= len(lines[end - 1]) <= 60


def test_samtools_reads_the_genome(tmp_path):
    if not (samtools := shutil.which("samtools")):
        pytest.skip("samtools is not installed")
    path = write_demo(tmp_path, **SMALL)["genome"]
    command = [samtools, "faidx", str(path), "chrX:300001-300100"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "".join(lines[1:]) == to_text(make_demo(**SMALL).chromosomes["chrX"][300_000:300_100])


def test_failure_leaves_no_half_written_genome(tmp_path, monkeypatch):
    def fail(chrom, letters):
        raise OSError("no space left on device")

    monkeypatch.setattr(demo_module, "_to_fasta", fail)
    with pytest.raises(OSError, match="no space"):
        write_demo(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("seed", -1),
        ("seed", 0.5),
        ("n_regions", 0),
        ("n_regions", 2.5),
        ("n_genes", 0),
        ("n_genes", "5"),
        ("chromsizes", {}),
        ("chromsizes", {"chr1": 1000}),
        ("chromsizes", {"chr1": 1e6}),
        ("composition", -0.1),
        ("composition", float("nan")),
        ("overlap", 1.5),
        ("overlap", "1"),
    ],
)
def test_arguments_out_of_range_are_named(tmp_path, argument, value):
    with pytest.raises(InputError, match=f"^{argument}.*expected") as error:
        write_demo(tmp_path, **{**SMALL, argument: value})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_regions_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"^n_regions: found 400 .*chromsizes"):
        make_demo(**SMALL | {"n_regions": 400}, overlap=0.0)
