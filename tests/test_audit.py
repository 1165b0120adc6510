"""The leak report, held to a naive reading of coordinates."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from neanderthal_nlp.audit import leak_report
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import write_table
from neanderthal_nlp.intervals import read_bed


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def overlap(one, other):
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def naive(introgressed, depleted, *, gaps, length, seed):
    """The same numbers by looking at every pair of windows."""
    pairs = [(a, b) for a, b in zip(introgressed, depleted, strict=True)
             if not any(overlap(x, gap) for x in (a, b) for gap in gaps)]  # fmt: skip
    regions = [a for a, _ in pairs] + [b for _, b in pairs]
    labels = [1] * len(pairs) + [0] * len(pairs)
    windows = [(c, s, min(e, s + length)) for c, s, e in regions]
    train, test = train_test_split(list(range(len(windows))), test_size=0.2, random_state=seed)

    def seen(i, among):
        return (
            windows[i] in [windows[j] for j in among],
            any(overlap(windows[i], windows[j]) for j in among),
            any(overlap(windows[i], regions[j]) for j in among),
        )

    positive = [i for i in test if labels[i]]
    shares = np.mean([seen(i, train) for i in positive], axis=0) if positive else None
    known = [j for j in train if labels[j]]
    rules = np.mean([[called == bool(labels[i]) for called in seen(i, known)] for i in test], axis=0)
    return len(pairs), len({a[:2] for a, _ in pairs}), shares, rules


interval = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 60), st.integers(1, 25)).map(
    lambda row: (row[0], row[1], row[1] + row[2])
)


@given(
    pairs=st.lists(st.tuples(interval, interval), min_size=8, max_size=25),
    gaps=st.lists(interval, max_size=1),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=80)
def test_equals_the_naive_reading(pairs, gaps, seed):
    introgressed, depleted = (list(side) for side in zip(*pairs, strict=True))
    blocks = frame(gaps) if gaps else None
    try:
        found = leak_report(frame(introgressed), frame(depleted), protocol="article", seed=seed, gaps=blocks, length=10)
    except InputError:
        reject()  # too few pairs were left by the gap
    n_pairs, n_starts, shares, rules = naive(introgressed, depleted, gaps=gaps, length=10, seed=seed)
    assert (found.n_pairs, found.n_distinct_starts) == (n_pairs, n_starts)
    assert found[5:8] == pytest.approx(tuple(shares))
    assert found.rule_accuracy == pytest.approx(tuple(rules))


def test_disjoint_regions_leak_nothing_and_the_rules_call_all_depleted():
    starts = np.arange(100) * 1000
    introgressed = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 500})
    found = leak_report(introgressed, introgressed.assign(chrom="chr2"), protocol="article", length=100)
    assert (found.n_clusters, found.n_effective) == (100, 100)
    assert found[5:8] == (0, 0, 0)
    assert set(found.rule_accuracy) == {1 - found.n_test_introgressed / 40}


def test_copies_leak_everything_and_the_rules_need_no_learning():
    introgressed = pd.DataFrame({"chrom": "chr1", "start": [500] * 50, "end": np.arange(50) + 900})
    starts = np.arange(50) * 1000
    depleted = pd.DataFrame({"chrom": "chr2", "start": starts, "end": starts + 400})
    found = leak_report(introgressed, depleted, protocol="article", length=100)
    assert (found.n_distinct_starts, found.n_clusters, found.n_effective) == (1, 1, 1)
    assert found[5:8] == (1, 1, 1)
    assert set(found.rule_accuracy) == {1}


def test_tables_that_are_no_partners():
    one, two = frame([("chr1", 0, 9)]), frame([("chr1", 0, 9), ("chr1", 20, 29)])
    with pytest.raises(InputError, match="found 2 rows, expected 1"):
        leak_report(one, two, protocol="article")
    with pytest.raises(InputError, match="no pair is left"):
        leak_report(one, one, protocol="article", gaps=one)


def leaks(folder, *options):
    """The command on a few regions of two chromosomes."""
    start = np.arange(40) * 1000
    regions = pd.DataFrame({"chrom": np.repeat(["chr1", "chr2"], 20), "start": start, "end": start + 700})
    partners = regions.assign(start=start + 10**6, end=start + 10**6 + 700)
    files = {"introgressed": regions, "depleted": partners}
    words = []
    for name, table in files.items():
        table.to_csv(folder / f"{name}.bed", sep="\t", header=False, index=False)
        words += [f"--{name}", str(folder / f"{name}.bed")]
    out = folder / "leak.json"
    command = [sys.executable, "-m", "neanderthal_nlp.cli", "audit", "leaks", *words, "--json", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False), out


def test_the_command_takes_a_split_by_name_or_from_a_file(tmp_path):
    result, out = leaks(tmp_path, "--protocol", "chromosome")
    assert result.returncode == 0, result.stderr
    found = json.loads(out.read_text())
    assert found["test_share_region_overlap"] == 0
    assert set(found["rule_accuracy"].values()) == {0.5}
    start = np.arange(40) * 1000
    windows = pd.DataFrame({"chrom": np.tile(np.repeat(["chr1", "chr2"], 20), 2),
                            "start": np.concatenate([start, start + 10**6])})  # fmt: skip
    manifest = windows.assign(end=windows["start"] + 700, label=np.repeat([1, 0], 40), side="train")
    manifest.loc[[0, 1, 40], "side"] = "test"
    write_table(manifest, tmp_path / "split.tsv")
    result, out = leaks(tmp_path, "--split-file", str(tmp_path / "split.tsv"))
    assert result.returncode == 0, result.stderr
    assert json.loads(out.read_text())["n_test_introgressed"] == 2
    result, out = leaks(tmp_path, "--protocol", "article", "--protocol", "chromosome")
    several = json.loads(out.read_text())
    assert list(several["protocols"]) == ["article", "chromosome"]
    assert several["protocols"]["chromosome"] == found["protocols"]["chromosome"]
    assert several["test_share_region_overlap"] == several["protocols"]["article"]["test_share_region_overlap"]
    assert sorted(set(re.findall(r"^audit \w+:", result.stderr, re.M))) == ["audit article:", "audit chromosome:"]
    both = ("--protocol", "article", "--split-file", "/nowhere")
    for options, message in (
        (("--protocol", "lucky"), "expected one of"),
        (("--split-file", "/nowhere"), "/nowhere"),
        (both, "found with --protocol, expected one of the two"),
    ):
        result, out = leaks(tmp_path, *options)
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_the_command_on_the_published_draw(data, tmp_path):
    article = data / "article"
    files = {
        "introgressed": article / "Akey_intr_coords.bed",
        "depleted": article / "Akey_depl_coords.bed",
        "gaps": data / "hg19_gap.bed",
    }
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    out = tmp_path / "leak.json"
    subprocess.run(
        [sys.executable, "-m", "neanderthal_nlp.cli", "audit", "leaks", *options, "--json", str(out)], check=True
    )
    found = json.loads(out.read_text())
    assert found["n_pairs"] < len(read_bed(files["introgressed"])) == 83_601
    assert 0 < found["test_share_exact"] < found["test_share_window_overlap"] <= found["test_share_region_overlap"] <= 1
    assert set(found["rule_accuracy"]) == {"exact_window", "window_overlap", "region_overlap"}
