"""Tracks for genome browsers: held to UCSC's rules, to lists of bases, to pyBigWig and to bedtools."""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import warnings
import weakref

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp import tracks
from neanderthal_nlp.figures import style
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.predict import predict, slide

SIZES = {"chr2": 120, "chr10": 90, "scaffold_1.1": 7}


def predicted(*rows):
    """Predictions of windows: chromosome, start, end, probability, then perhaps an interval."""
    rows = [(*row, np.nan, np.nan)[:6] for row in rows]
    frame = pd.DataFrame(rows, columns=["chrom", "chrom_start", "chrom_end", "probability", "low", "high"])
    frame = frame.astype({"chrom": str, "chrom_start": np.int64, "chrom_end": np.int64, "probability": np.float64})
    return frame.assign(record=frame["chrom"], start=frame["chrom_start"], end=frame["chrom_end"])


@st.composite
def scans(draw, *, holes=True):
    """Windows of one length, one every so many bases of regions that do not overlap, in order; and their batches."""
    length, step = draw(st.integers(1, 30)), draw(st.integers(1, 35))
    values = st.integers(0, 10**tracks.DECIMALS).map(lambda n: n / 10**tracks.DECIMALS)
    rows = []
    for chrom, size in SIZES.items():
        ends = sorted(draw(st.sets(st.integers(0, size), max_size=6)))
        for start, end in zip(ends[::2], ends[1::2], strict=False):
            for here in range(start, max(end - length, start) + 1, step):
                value = draw(st.none() | values if holes else values)
                rows.append((chrom, here, min(here + length, end), np.nan if value is None else value))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    return [predicted(*rows[a:b]) for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]


def rows_of(batches):
    columns = ["chrom", "chrom_start", "chrom_end", "probability"]
    return [row for batch in batches for row in batch[columns].itertuples(index=False, name=None)]


def by_base(rows):
    """What each base shows, by listing the bases; none twice."""
    bases = [((chrom, base), value) for chrom, start, end, value in rows for base in range(start, end)]
    assert len(bases) == len(dict(bases))
    return dict(bases)


# What UCSC asks for (FAQformat.html, customTrack.html, bedgraph.html, wiggle.html) ------------------------------------

RGB = r"(25[0-5]|2[0-4]\d|1?\d?\d)(,(25[0-5]|2[0-4]\d|1?\d?\d)){2}"
VALUES = {
    "name": r".{1,15}",
    "description": r".{1,60}",
    "visibility": "[0-4]|hide|dense|full|pack|squish",
    "color": RGB,
}
BED_VALUES = VALUES | {"itemRgb": "On", "useScore": "[01]"}
GRAPH_VALUES = VALUES | {
    "type": "bedGraph",
    "autoScale": "on|off",
    "alwaysZero": "on|off",
    "viewLimits": r"-?[\d.]+:-?[\d.]+",
    "yLineMark": r"-?[\d.]+",
    "yLineOnOff": "on|off",
    "windowingFunction": "maximum|mean|minimum",
}


def read_track_line(line, allowed):
    """Attributes of a track line."""
    pair = r'(\w+)=("[^"]*"|[^\s"]+)'
    assert re.fullmatch(rf"track( {pair})+", line), line
    pairs = [(key, value.strip('"')) for key, value in re.findall(pair, line)]
    assert len(pairs) == len(dict(pairs))
    for key, value in pairs:
        assert re.fullmatch(allowed[key], value), (key, value)
    return dict(pairs)


def read_place(fields, sizes):
    chrom, start, end = fields[0], int(fields[1]), int(fields[2])
    assert all(re.fullmatch(r"\d+", field) for field in fields[1:3])
    assert 0 <= start < end <= sizes[chrom]
    return chrom, start, end


def read_bedgraph(path, sizes, *, header=True):
    """Rows of a bedGraph file that keeps the rules, and the attributes of its track line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    about = read_track_line(lines.pop(0), GRAPH_VALUES) if header else {}
    assert not header or about["type"] == "bedGraph"
    rows, done = [], []
    for line in lines:
        fields = line.split("\t")
        assert len(fields) == 4
        assert len(line.split()) == 4
        chrom, start, end = read_place(fields, sizes)
        assert re.fullmatch(r"-?\d+(\.\d+)?", fields[3])
        if done and done[-1] == chrom:
            assert start >= rows[-1][2]
        else:
            assert chrom not in done
            done.append(chrom)
        rows.append((chrom, start, end, float(fields[3])))
    return rows, about


def read_bed9(path, sizes, *, header=True):
    """Rows of a BED file with nine columns that keeps the rules, and the attributes of its track line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    about = read_track_line(lines.pop(0), BED_VALUES) if header else {}
    rows = []
    for line in lines:
        fields = line.split("\t")
        assert len(fields) == 9
        assert len(line.split()) == 9
        chrom, start, end = read_place(fields, sizes)
        assert all(re.fullmatch(r"\d+", fields[column]) for column in (4, 6, 7))
        score, thick_start, thick_end = (int(fields[column]) for column in (4, 6, 7))
        assert 0 <= score <= 1000
        assert fields[5] in {"+", "-", "."}
        assert start <= thick_start <= thick_end <= end
        assert re.fullmatch(RGB, fields[8])
        rows.append((chrom, start, end, fields[3], score, fields[5], thick_start, thick_end, fields[8]))
    return rows, about


GOOD_GRAPH = 'track type=bedGraph name="a b"\nchr2\t0\t10\t0.5\nchr2\t10\t20\t1\n'
GOOD_BED = 'track name=a itemRgb="On"\nchr2\t0\t10\tx\t500\t.\t0\t10\t0,114,178\n'


@pytest.mark.parametrize(
    ("good", "read", "old", "new"),
    [
        (GOOD_GRAPH, read_bedgraph, "type=bedGraph ", ""),
        (GOOD_GRAPH, read_bedgraph, '"a b"', "a b"),
        (GOOD_GRAPH, read_bedgraph, "a b", "sixteen letters!"),
        (GOOD_GRAPH, read_bedgraph, "name", "label"),
        (GOOD_GRAPH, read_bedgraph, "0.5", "nan"),
        (GOOD_GRAPH, read_bedgraph, "10\t20", "9\t20"),
        (GOOD_GRAPH, read_bedgraph, "10\t20", "10\t121"),
        (GOOD_GRAPH, read_bedgraph, "10\t20", "10\t10"),
        (GOOD_GRAPH, read_bedgraph, "10\t20", "10\t20.0"),
        (GOOD_GRAPH, read_bedgraph, "\t1\n", "\t1\t1\n"),
        (GOOD_GRAPH, read_bedgraph, "chr2\t10", "chr3\t10"),
        (GOOD_BED, read_bed9, 'itemRgb="On"', "itemRgb=off"),
        (GOOD_BED, read_bed9, "x", "x y"),
        (GOOD_BED, read_bed9, "500", "1001"),
        (GOOD_BED, read_bed9, "500", "0.5"),
        (GOOD_BED, read_bed9, "\t.\t", "\t*\t"),
        (GOOD_BED, read_bed9, "0\t10\t0", "0\t11\t0"),
        (GOOD_BED, read_bed9, "114", "256"),
        (GOOD_BED, read_bed9, ",178", ""),
    ],
)
def test_the_rules_tell_bad_from_good(tmp_path, good, read, old, new):
    path = tmp_path / "track"
    path.write_text(good, encoding="utf-8")
    assert read(path, SIZES)[0]
    path.write_text(good.replace(old, new), encoding="utf-8")
    with pytest.raises((AssertionError, KeyError, ValueError)):
        read(path, SIZES)


# Colours and BED ------------------------------------------------------------------------------------------------------

# Linear RGB as seen without one kind of cone: Machado, Oliveira & Fernandes, IEEE TVCG 15 (2009), severity 1.
VISION = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def cielab(rgb, vision):
    """CIELAB of sRGB colours, as somebody sees them."""
    share = np.asarray(rgb) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x, y, z = (np.clip(linear @ np.transpose(vision), 0, 1) @ XYZ.T / XYZ.sum(axis=1)).T
    f_x, f_y, f_z = (np.where(v > 216 / 24389, np.cbrt(v), (24389 / 27 * v + 16) / 116) for v in (x, y, z))
    return np.stack([116 * f_y - 16, 500 * (f_x - f_y), 200 * (f_y - f_z)], axis=1)


def test_colours_run_from_blue_over_grey_to_vermilion():
    found = tracks.colours(np.array([0, 0.5, 1]))
    assert found.shape == (3, 3)
    assert found.dtype == np.uint8
    assert [f"#{r:02X}{g:02X}{b:02X}" for r, g, b in found[[0, 2]]] == [style.DEPLETED, style.INTROGRESSED]
    assert len(set(found[1].tolist())) == 1
    steps = np.unique(tracks.colours(np.linspace(0, 1, 1001)), axis=0)
    assert 3 <= len(steps) <= 8  # "eight colors or less"
    red = tracks.colours(np.linspace(0, 1, 1001))[:, 0].astype(int)
    assert (np.diff(red) >= 0).all()


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ_for_everybody(vision):
    steps = np.unique(tracks.colours(np.linspace(0, 1, 1001)), axis=0)
    seen = cielab([*steps, [255, 255, 255]], VISION[vision])
    apart = np.linalg.norm(seen[:, None] - seen, axis=2)[np.triu_indices(len(seen), 1)]
    assert apart.min() > 5  # 2.3 is just noticeable


@pytest.mark.parametrize("strange", [-0.001, 1.001, np.nan, np.inf])
def test_colours_refuse_what_is_no_probability(refused, strange):
    with refused("probability", f"{strange:g}", "0 to 1"):
        tracks.colours(np.array([0.5, strange]))


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\t\n\r "), max_size=8)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(SIZES)), st.integers(0, 6), st.just(7), NAMES, st.floats(0, 1) | st.just(np.nan))
    )
)
def test_bed9_keeps_the_rules_and_the_order(tmp_path, rows):
    frame = pd.DataFrame(rows, columns=["chrom", "start", "end", "name", "probability"]).astype(
        {"chrom": str, "start": np.int64, "end": np.int64, "probability": np.float64}
    )
    made = tracks.bed9(frame)
    told = [row for row in rows if row[4] == row[4]]
    assert tracks.write_bed9([made], tmp_path / "track.bed") == len(told) == len(made)
    found, _ = read_bed9(tmp_path / "track.bed", SIZES)
    assert [row[:3] for row in found] == [row[:3] for row in told]
    assert [row[3] for row in found] == ["_".join(row[3].split()) or "." for row in told]
    assert all(abs(row[4] - 1000 * probability) <= 0.5 for row, (*_, probability) in zip(found, told, strict=True))
    assert [row[6:8] for row in found] == [row[1:3] for row in told]
    assert made.index.tolist() == list(range(len(told)))


def test_bed9_by_hand():
    frame = pd.DataFrame({"chrom": ["chr2", "1"], "start": [5, 0], "end": [9, 3], "name": ["b c", ""],
                          "probability": [1.0, 0.1234], "more": [1, 2]}, index=[7, 3])  # fmt: skip
    assert tracks.bed9(frame).to_numpy().tolist() == [
        ["chr2", 5, 9, "b_c", 1000, ".", 5, 9, "213,94,0"],
        ["1", 0, 3, ".", 123, ".", 0, 3, "0,114,178"],
    ]


def test_predictions_are_named_by_what_is_known_of_them():
    frame = predicted(("chr2", 0, 9, 0.616, 0.405, 0.8), ("chr2", 3, 12, 0.5), ("chr2", 6, 15, np.nan), ("", -1, -1, 1))
    frame.loc[3, ["record", "start", "end"]] = ["mine", 20, 29]
    made = tracks.prediction_track(frame)
    assert made["name"].tolist() == ["0.62(0.41-0.80)", "0.50", "1.00"]
    assert made[["chrom", "start", "end"]].to_numpy().tolist() == [["chr2", 0, 9], ["chr2", 3, 12], ["mine", 20, 29]]


def test_training_track_tells_classes_and_sides(tmp_path):
    windows = pd.DataFrame({"chrom": ["chr2", "chr2", "chr10"], "start": [50, 0, 3], "end": [60, 10, 13],
                            "label": [0, 1, 1], "side": ["train", "train", "test"]})  # fmt: skip
    tracks.write_bed9([tracks.training_track(windows)], tmp_path / "training.bed", name="Training")
    found, about = read_bed9(tmp_path / "training.bed", SIZES)
    assert found == [
        ("chr10", 3, 13, "introgressed_test", 1000, ".", 3, 3, "213,94,0"),
        ("chr2", 0, 10, "introgressed_train", 1000, ".", 0, 10, "213,94,0"),
        ("chr2", 50, 60, "depleted_train", 0, ".", 50, 60, "0,114,178"),
    ]
    assert about == {"name": "Training", "description": tracks.DESCRIPTION, "visibility": "pack", "itemRgb": "On",
                     "useScore": "0"}  # fmt: skip


def test_gene_track_tells_probabilities(tmp_path):
    genes = pd.DataFrame({"chrom": ["chr2", "chr10", "chr2"], "start": [50, 0, 3], "end": [60, 10, 13], "gc": 0.5,
                          "Gene_Symbol": ["BNC 2", "NA", "POU2F3"], "Prob_1": [0.75, np.nan, 0.5]})  # fmt: skip
    tracks.write_bed9([tracks.gene_track(genes)], tmp_path / "genes.bed", header=False)
    found, _ = read_bed9(tmp_path / "genes.bed", SIZES, header=False)
    assert [row[:5] for row in found] == [("chr2", 3, 13, "POU2F3", 500), ("chr2", 50, 60, "BNC_2", 750)]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 2, -1])
def test_a_probability_that_is_none_is_refused_with_its_gene(refused, value):
    genes = pd.DataFrame({"chrom": "chr2", "start": [50, 3], "end": [60, 13], "Gene_Symbol": ["BNC2", "POU2F3"],
                          "Prob_1": [0.75, value]})  # fmt: skip
    with warnings.catch_warnings(), refused(f"chr2:3-13 (POU2F3): found probability {value:g}, expected 0 to 1"):
        warnings.simplefilter("error")
        tracks.gene_track(genes)


# Signal ---------------------------------------------------------------------------------------------------------------


def test_central_spans_by_hand():
    windows = pd.DataFrame({"chrom": ["1", "1", "1", "1", "2", "2"], "start": [0, 4, 8, 30, 31, 32],
                            "end": [10, 14, 18, 40, 41, 42], "x": list("abcdef")})  # fmt: skip
    found = tracks.central_spans(windows)
    assert found[["start", "end"]].to_numpy().tolist() == [[0, 7], [7, 11], [11, 18], [30, 40], [31, 36], [36, 42]]
    assert found["x"].tolist() == list("abcdef")
    assert tracks.central_spans(windows[:0]).empty


@given(scans())
def test_every_base_shows_the_window_whose_middle_is_nearest(tmp_path, batches):
    n = tracks.write_bedgraph(batches, tmp_path / "track.bedgraph")
    found, _ = read_bedgraph(tmp_path / "track.bedgraph", SIZES)
    rows = rows_of(batches)
    wanted = {}
    for chrom, size in SIZES.items():
        for base in range(size):
            over = [(abs(start + end - 2 * base - 1), -start, value) for name, start, end, value in rows
                    if name == chrom and start <= base < end]  # fmt: skip
            if over and min(over)[2] == min(over)[2]:
                wanted[chrom, base] = min(over)[2]
    assert by_base(found) == wanted
    # Every window that has a probability is there, inside its place.
    told = [row for row in rows if row[3] == row[3]]
    assert n == len(found) == len(told)
    for (chrom, start, end, value), (name, first, last, shown) in zip(told, found, strict=True):
        assert (chrom, value) == (name, shown)
        assert start <= first < last <= end


@given(scans(holes=False), st.integers(0, 3))
def test_batches_do_not_matter(tmp_path, batches, n_empty):
    whole = pd.concat(batches, ignore_index=True)
    one_by_one = [whole.iloc[[row]] for row in range(len(whole))] + [whole.iloc[:0]] * n_empty
    texts = []
    for number, form in enumerate((batches, [whole], one_by_one)):
        tracks.write_bedgraph(iter(form), tmp_path / f"{number}.bedgraph")
        texts.append((tmp_path / f"{number}.bedgraph").read_text(encoding="utf-8"))
    assert texts[0] == texts[1] == texts[2]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_spans_are_as_long_as_the_step(length, step, n):
    starts = 3 + step * np.arange(n + 2)
    windows = pd.DataFrame({"chrom": "1", "start": starts, "end": starts + length})
    spans = tracks.central_spans(windows)
    assert (spans["end"] - spans["start"]).iloc[1:-1].tolist() == [min(step, length)] * n
    assert spans["start"].iloc[0] == windows["start"].iloc[0]
    assert spans["end"].iloc[-1] == windows["end"].iloc[-1]


@given(scans())
def test_bigwig_reads_back_as_the_bedgraph(tmp_path, batches):
    n = tracks.write_bigwig(batches, tmp_path / "track.bw", SIZES)
    tracks.write_bedgraph(batches, tmp_path / "track.bedgraph", header=False)
    wanted, _ = read_bedgraph(tmp_path / "track.bedgraph", SIZES, header=False)
    with pyBigWig.open(str(tmp_path / "track.bw")) as track:
        assert list(track.chroms().items()) == list(SIZES.items())
        found = [(chrom, *row) for chrom in SIZES for row in track.intervals(chrom) or ()]
        assert track.header()["nBasesCovered"] == sum(end - start for _, start, end, _ in wanted)
    assert found == [(chrom, start, end, float(np.float32(value))) for chrom, start, end, value in wanted]
    assert n == len(found)


def test_bigwig_can_be_zoomed(tmp_path):
    starts = 10 * np.arange(5_000)
    values = np.random.default_rng(1).random(5_000).round(tracks.DECIMALS)
    batches = [predicted(*(("chr2", a, a + 10, p) for a, p in zip(starts, values, strict=True)))]
    tracks.write_bigwig(batches, tmp_path / "track.bw", {"chr2": 60_000})
    with pyBigWig.open(str(tmp_path / "track.bw")) as track:
        assert track.header()["nLevels"] >= 1
        means = track.stats("chr2", 0, 50_000, nBins=10)
    np.testing.assert_allclose(means, values.reshape(10, 500).mean(axis=1), atol=0.02)


@pytest.mark.parametrize(
    "batches",
    [[], [predicted()], [predicted(("chr2", 0, 10, np.nan)), predicted(), predicted(("chr10", 0, 10, np.nan))]],
    ids=["no batch", "no window", "no probability"],
)
def test_empty_tracks(tmp_path, batches):
    assert tracks.write_bedgraph(batches, tmp_path / "track.bedgraph") == 0
    assert tracks.write_bed9(map(tracks.prediction_track, batches), tmp_path / "track.bed") == 0
    assert tracks.write_bigwig(batches, tmp_path / "track.bw", SIZES) == 0
    assert read_bedgraph(tmp_path / "track.bedgraph", SIZES)[0] == []
    assert read_bed9(tmp_path / "track.bed", SIZES)[0] == []
    with pyBigWig.open(str(tmp_path / "track.bw")) as track:
        assert track.chroms() == SIZES
        assert all(track.intervals(chrom) is None for chrom in SIZES)


def test_track_line_tells_a_browser_how_to_draw(tmp_path):
    tracks.write_bedgraph([], tmp_path / "track", name="Mine", description="Probability, model audited")
    _, about = read_bedgraph(tmp_path / "track", SIZES)
    wanted = {"type": "bedGraph", "name": "Mine", "description": "Probability, model audited", "viewLimits": "0:1",
              "autoScale": "off", "windowingFunction": "mean"}  # fmt: skip
    assert about.items() >= wanted.items()


def test_what_predict_yields_makes_tracks(tmp_path, audited, planted):
    length, step = audited.window_length, audited.window_length // 4
    regions = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [0, 50_000, 700],
                            "end": [3 * length + 1, 50_000 + audited.min_length - 1, 700 + length]})  # fmt: skip
    with open_genome(planted.genome, cache=tmp_path / "cache") as genome:
        sizes = genome.chromsizes
        batches = list(predict(slide(regions, genome, length, step=step), audited, n_words=0))
    tracks.write_bedgraph(batches, tmp_path / "track.bedgraph")
    tracks.write_bed9(map(tracks.prediction_track, batches), tmp_path / "track.bed")
    tracks.write_bigwig(batches, tmp_path / "track.bw", sizes)
    spans, _ = read_bedgraph(tmp_path / "track.bedgraph", sizes)
    windows, _ = read_bed9(tmp_path / "track.bed", sizes)
    assert [row[:3] for row in windows] == [*(("chr1", a, a + length) for a in range(0, 2 * length + 1, step)),
                                            ("chr2", 700, 700 + length)]  # fmt: skip
    assert len(spans) == len(windows)
    assert set(by_base(spans)) == {("chr1", base) for base in range(3 * length)} | {
        ("chr2", base) for base in range(700, 700 + length)
    }
    with pyBigWig.open(str(tmp_path / "track.bw")) as track:
        assert track.values("chr2", 700, 701)[0] == pytest.approx(batches[-1]["probability"].iloc[-1], abs=1e-4)


def test_batches_are_let_go_as_they_are_written(tmp_path):
    def batches():
        given_out = []
        for number in range(4):
            if number == 3:
                gc.collect()
            assert number < 3 or sum(ref() is not None for ref in given_out) <= 1
            batch = predicted(*(("chr2", 10 * number + i, 10 * number + i + 20, 0.5) for i in range(10)))
            given_out.append(weakref.ref(batch))
            yield batch

    assert tracks.write_bedgraph(batches(), tmp_path / "track.bedgraph") == 40
    assert tracks.write_bigwig(batches(), tmp_path / "track.bw", SIZES) == 40
    assert tracks.write_bed9(map(tracks.prediction_track, batches()), tmp_path / "track.bed") == 40


# Other programs -------------------------------------------------------------------------------------------------------


@given(scans(holes=False))
def test_bedtools_finds_both_tracks_to_cover_the_same(tmp_path, tool, batches):
    graph, bed = tmp_path / "track.bedgraph", tmp_path / "track.bed"
    n = tracks.write_bedgraph(batches, graph, header=False)
    tracks.write_bed9(map(tracks.prediction_track, batches), bed, header=False)

    def bedtools(command, a, b, *options):
        arguments = [tool("bedtools"), command, "-a", a, "-b", b, *options]
        return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout

    assert bedtools("subtract", graph, bed) == bedtools("subtract", bed, graph) == ""
    assert bedtools("intersect", bed, bed, "-u") == bed.read_text(encoding="utf-8")
    alone = bedtools("intersect", graph, graph, "-wo").splitlines()
    assert len(alone) == n
    assert all(line.split("\t")[:4] == line.split("\t")[4:8] for line in alone)


# What is refused ------------------------------------------------------------------------------------------------------

WINDOW = ("chr2", 10, 30, 0.5)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([WINDOW, ("chr2", 10, 31, 0.5)], ["chr2:10-31 after chr2:10-30"]),
        ([WINDOW, ("chr2", 9, 31, 0.5)], ["chr2:9-31 after chr2:10-30"]),
        ([WINDOW, ("chr2", 11, 30, np.nan)], ["chr2:11-30 after chr2:10-30"]),
        ([WINDOW, ("chr10", 0, 5, 0.5), ("chr2", 40, 50, 0.5)], ["chr2 again after chr10"]),
        ([WINDOW, ("", -1, -1, 0.5)], ["place", "not known"]),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_signal_refuses_disorder(tmp_path, refused, rows, named, together):
    batches = [predicted(*rows)] if together else [predicted(row) for row in rows]
    path = tmp_path / "track"
    path.write_text("before", encoding="utf-8")
    with refused(*named):
        tracks.write_bedgraph(batches, path)
    with refused(*named):
        tracks.write_bigwig(batches, path, SIZES)
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    ("rows", "sizes", "named"),
    [
        ([("chr10", 0, 5, 0.5), WINDOW], SIZES, ["chr2 after chr10", "order"]),
        ([WINDOW, ("2", 0, 5, 0.5)], SIZES, ["chromosome 2", "chr2, chr10"]),
        ([("chr2", 90, 121, 0.5)], SIZES, ["chr2:90-121", "0-120"]),
        ([("chr2", -5, 10, 0.5)], SIZES, ["chr2:-5-10", "0-120"]),
        ([], {}, ["chromsizes", "at least one"]),
    ],
)
def test_bigwig_refuses_what_is_not_in_its_genome(tmp_path, refused, rows, sizes, named):
    with refused(*named):
        tracks.write_bigwig([predicted(*rows)], tmp_path / "track.bw", sizes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ({"name": "sixteen letters!"}, "name of the track: found 'sixteen letters!'"),
        ({"name": ""}, "name of the track: found ''"),
        ({"name": 'a "b"'}, "no quotes"),
        ({"description": "x" * 61}, "1 to 60 characters"),
        ({"description": "two\nlines"}, "two\\nlines"),
    ],
)
@pytest.mark.parametrize("write", [tracks.write_bedgraph, tracks.write_bed9])
def test_labels_that_break_the_track_line_are_refused(tmp_path, refused, write, labels, named):
    with refused(named):
        write([], tmp_path / "track", **labels)
    assert not list(tmp_path.iterdir())


def test_bigwig_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(OSError, match="name too long"):
        tracks.write_bigwig([predicted(WINDOW)], tmp_path / ("x" * 240), SIZES)


def test_full_disk_is_an_error_before_libbigwig_meets_it(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space left") as caught:
        tracks.write_bigwig([predicted(WINDOW)], tmp_path / "track.bw", SIZES)
    assert caught.value.filename == str(tmp_path / "track.bw")
    assert not list(tmp_path.iterdir())


def test_bigwig_cut_short_is_an_error(tmp_path, monkeypatch):
    class Cut:
        """A bigWig file that loses its end, as where a disk is full."""

        def __init__(self, path, mode):
            self.path, self.file = path, really_open(path, mode)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def close(self):
            self.file.close()
            os.truncate(self.path, os.path.getsize(self.path) - 8)

    really_open = pyBigWig.open
    monkeypatch.setattr(pyBigWig, "open", Cut)
    with pytest.raises(OSError, match="not be written whole"):
        tracks.write_bigwig([predicted(WINDOW)], tmp_path / "track.bw", SIZES)
    assert not list(tmp_path.iterdir())
