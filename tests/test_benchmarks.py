"""The benchmarks' own arithmetic: ratios, tables, stand-in inputs and growth."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from twobit import write_twobit

from neanderthal_nlp import intervals
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.files import write_bed, write_table
from neanderthal_nlp.genome import open_genome

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import inputs
import stages
import table

SIZES = {"chrA": 9_000_000, "chrB": 4_000_000}


def test_ratio_is_per_unit_of_work():
    # 10 windows in 2 s are 0.2 s each; 2 in 8 s are 4 s each.
    assert table.speed_ratios([2.0, 4.0], [8.0, 8.0], work=10, reference_work=2) == [20.0, 10.0]


@given(st.lists(st.tuples(*[st.floats(0.01, 100)] * 2), min_size=1), st.floats(1, 1e4), st.floats(1, 1e4))
def test_ratio_is_that_of_the_speeds(times, work, reference_work):
    ours, theirs = zip(*times, strict=True)
    found = table.speed_ratios(ours, theirs, work=work, reference_work=reference_work)
    for ratio, own, other in zip(found, ours, theirs, strict=True):
        assert ratio == pytest.approx((work / own) / (reference_work / other))


def test_rounds_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        table.speed_ratios([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="not positive"):
        table.speed_ratios([1.0], [1.0], work=0)


@pytest.fixture
def results():
    """What pytest-benchmark writes, as far as the table reads it."""
    records = [
        table.race_record("counts", "the loop", [1.0, 1.0, 1.0], [250.0, 200.0, 312.4], 200),
        table.race_record("draws", "a tool", [1.0], [0.87], 1),
        table.race_record("many draws", "", [12.0, 14.0, 13.0], [], None),
        table.race_record("a gigabase", "", [40.0], [], None, 30),
        table.memory_record("command", "peak memory", 279.4, 1024),
        table.memory_record("other | command", "peak memory", 1024.0, 1024),
    ]
    machine = {"cpu": {"brand_raw": "A processor"}, "n_cores": 2, "memory_gib": 23.6, "system": "Linux",
               "inputs": "made up", "versions": {"Python": "3.11.7", "numpy": "2.4.6"}}  # fmt: skip
    return {"benchmarks": [{"extra_info": record} for record in records], "machine_info": machine,
            "datetime": "2026-01-31T12:00:00", "skipped": ["test_jellyfish (jellyfish is not installed)"],
            "failed": ["bench_windows.py::test_one_process"]}  # fmt: skip


def test_table_says_what_the_json_says(results):
    assert table.format_results(json.loads(json.dumps(results))).splitlines() == [
        "| work | against | bar | measured | ours takes |",
        "| --- | --- | --- | --- | --- |",
        "| counts | the loop | 200x | 250x (200x to 312x, 3 rounds) | 1 s |",
        "| draws | a tool | 1x | 0.87x (0.87x to 0.87x, 1 round) **not reached** | 1 s |",
        "| many draws |  |  | 13 s (3 rounds) | 13 s |",
        "| a gigabase |  | 30 s | 40 s (1 round) **not reached** | 40 s |",
        "| command | peak memory | below 1,024 MiB | 279 MiB |  |",
        "| other \\| command | peak memory | below 1,024 MiB | 1,024 MiB **not reached** |  |",
        "",
        "Not run: test_jellyfish (jellyfish is not installed).",
        "",
        "**Failed**: bench_windows.py::test_one_process.",
        "",
        "Machine: A processor, 2 cores, 24 GiB; Linux; 2026-01-31.",
        "",
        "Inputs: made up, random letters.",
        "",
        "Versions: Python 3.11.7, numpy 2.4.6.",
    ]


def test_benchmarks_that_were_run_again_take_their_own_place(results):
    named = [bench | {"fullname": str(i)} for i, bench in enumerate(results["benchmarks"])]
    again = [{"fullname": name, "extra_info": table.race_record(name, "", [1.0], [2.0], 1)} for name in ("1", "new")]
    found = table.renew(results | {"benchmarks": named}, results | {"benchmarks": again, "skipped": []})
    assert [bench["fullname"] for bench in found["benchmarks"]] == ["0", "1", "2", "3", "4", "5", "new"]
    assert [bench["extra_info"]["name"] for bench in found["benchmarks"]][:3] == ["counts", "1", "many draws"]
    assert found["skipped"] == []


def test_readme_holds_tables():
    text = table.README.read_text(encoding="utf-8")
    for name, first in (("bench", "| work | against | bar | measured | ours takes |"), ("stages", "| stage | ")):
        inside = text.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0].strip()
        assert inside.startswith(first)
        assert len([line for line in inside.splitlines() if line.startswith("| ")]) > 15


def test_table_takes_the_place_between_its_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Head\n<!-- bench: begin -->\nold\n<!-- bench: end -->\ntail\n")
    for _ in range(2):
        table.write_between(readme, "bench", "new\n\n")
        assert readme.read_text() == "# Head\n<!-- bench: begin -->\nnew\n<!-- bench: end -->\ntail\n"
    with pytest.raises(ValueError, match="stages: begin"):
        table.write_between(readme, "stages", "new")
    for name in ("bench", "stages"):
        assert "a number" in table.put_between(table.README.read_text(encoding="utf-8"), name, "a number")


BENCHMARKS = """
import sys

turns = []

def test_race(race):
    found = race("a race", lambda: turns.append("ours") or 1, lambda: turns.append("reference") or 2, work=6,
                 reference_work=3, rounds=2, at_least=5, note="the other")
    assert turns == ["reference", "ours", "ours", "reference"]
    assert found == (1, 2)

def test_alone(race):
    assert race("alone", lambda: 3, rounds=1) == (3, None)

def test_skipped(race, tool):
    tool("no-such-program")

def test_memory(memory):
    held = bytearray(b"x" * 400_000_000)  # ours, not the command's
    memory("a command", [sys.executable, "-S", "-c", "held = bytearray(b'x' * 100_000_000)"], below=2000)

def test_failing_command(memory):
    memory("a command that fails", [sys.executable, "-c", "raise SystemExit('no such genome')"])
"""


def test_fixtures_record_what_ran(tmp_path):
    pytest.importorskip("pytest_benchmark")
    (tmp_path / "bench_made.py").write_text(BENCHMARKS)
    shutil.copy(table.README.with_name("conftest.py"), tmp_path)
    shutil.copy(table.README.with_name("pytest.ini"), tmp_path)
    # A worker of pytest-xdist runs no benchmarks, and tells those it starts that they are one.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(tmp_path), "--benchmark-only", f"--benchmark-json={tmp_path / 'b.json'}"],
        cwd=tmp_path,
        env={**outside, "PYTHONPATH": str(table.README.parent)},
        capture_output=True,
        text=True,
    )
    assert "3 passed, 1 skipped, 1 failed" in done.stdout or "1 failed, 3 passed, 1 skipped" in done.stdout
    assert "a command that fails: status 1: no such genome" in done.stdout
    found = json.loads((tmp_path / "b.json").read_text())
    records = {bench["extra_info"]["name"]: bench["extra_info"] for bench in found["benchmarks"]}
    race = records["a race"]
    assert (race["reference"], race["at_least"], len(race["ratios"])) == ("the other", 5, 2)
    assert race["low"] <= race["median"] <= race["high"]
    assert "ratios" not in records["alone"]
    assert 95 < records["a command"]["mebibytes"] < 250
    assert found["skipped"] == ["test_skipped (no-such-program is not installed)"]
    assert found["failed"] == ["bench_made.py::test_failing_command"]
    rows = [line for line in table.format_results(found).splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 3  # names, dashes, and what did not fail


@pytest.fixture(scope="module")
def coordinates():
    gaps = inputs.make_gaps(SIZES)
    rng = np.random.default_rng(5)
    return gaps, inputs.draw_regions(SIZES, gaps, n=3_000, rng=rng), inputs.draw_genes(SIZES, gaps, n=40, rng=rng)


def test_synthetic_regions_are_like_the_published(coordinates):
    gaps, regions, _ = coordinates
    intervals.check_regions(regions, SIZES, source="regions")
    lengths = regions["end"] - regions["start"]
    assert len(regions.drop_duplicates()) == 3_000
    assert not intervals.count_overlaps(regions, gaps).any()
    assert lengths.between(10_000, 1_200_000).all()
    assert 80_000 < lengths.mean() < 100_000
    assert set(regions["chrom"]) == set(SIZES)
    assert intervals.cluster(regions).max() < 300  # they crowd


def test_synthetic_genes_keep_apart(coordinates):
    gaps, _, genes = coordinates
    intervals.check_regions(genes, SIZES, source="genes")
    assert len(genes) == genes["name"].nunique() == 40
    assert (intervals.count_overlaps(genes, genes) == 1).all()  # each only itself
    assert not intervals.count_overlaps(genes, gaps).any()
    assert (genes["end"] - genes["start"] >= 9_000).all()


def test_synthetic_coordinates_follow_the_seed(coordinates):
    gaps, regions, _ = coordinates
    again, other = (inputs.draw_regions(SIZES, gaps, n=3_000, rng=np.random.default_rng(seed)) for seed in (5, 6))
    pd.testing.assert_frame_equal(again, regions)
    assert not other.equals(regions)


def test_synthetic_tables_have_the_article_s_size(tmp_path):
    found = inputs._write_tables(tmp_path, tmp_path / "genome.fa.gz")
    sizes = intervals.read_chromsizes(found.chromsizes)
    assert sizes["chr1"] == 249_250_621  # hg19
    regions, genes = intervals.read_regions(found.introgressed, sizes), read_genes(found.genes)
    assert (len(regions), len(genes)) == (83_601, 21_500)
    assert 87_000 < (regions["end"] - regions["start"]).mean() < 97_000
    kept = found.introgressed.read_bytes()
    found.gc_table.unlink()
    inputs._write_tables(tmp_path, tmp_path / "genome.fa.gz")
    assert found.introgressed.read_bytes() == kept


@pytest.fixture
def small(tmp_path):
    """Synthetic inputs of three small chromosomes."""
    sizes = {"chrA": 400_000, "chrB": 300_000, "chrC": 200_000}
    gaps = pd.DataFrame({"chrom": ["chrA", "chrC"], "start": [0, 50_000], "end": [1_000, 60_000]})
    regions = [("chrA", 10_000, 30_000), ("chrA", 20_000, 45_000), ("chrA", 5_000, 9_000), ("chrB", 5_000, 25_000),
               ("chrB", 100_000, 110_000), ("chrC", 100_000, 120_000)]  # fmt: skip
    names = ("introgressed.bed", "genes.bed", "gaps.bed", "chrom.sizes", "gc.tsv")
    found = inputs.Inputs(tmp_path / "genome.fa.gz", *(tmp_path / name for name in names), inputs.SYNTHETIC)
    write_bed(pd.DataFrame(regions), found.introgressed)
    write_bed(pd.DataFrame([(c, 70_000, 90_000, f"G{c}") for c in sizes]), found.genes)
    write_bed(gaps, found.gaps)
    write_bed(pd.DataFrame(list(sizes.items())), found.chromsizes)
    write_table(pd.DataFrame({"chrom": ["chrA"], "start": [100_000], "end": [200_000], "gc": [0.41]}), found.gc_table)
    inputs.write_genome(found, found.genome)
    return found


def test_a_part_holds_the_letters_of_the_whole(small, tmp_path):
    found = inputs.write_subset(small, tmp_path / "third", share=1 / 3)
    assert inputs.write_subset(small, tmp_path / "all", share=1) == small
    assert list(intervals.read_chromsizes(found.chromsizes)) == ["chrC", "chrB"]
    assert set(intervals.read_bed(found.introgressed)["chrom"]) == {"chrB", "chrC"}
    assert sorted(read_genes(found.genes)["gene_symbol"]) == ["GchrB", "GchrC"]
    paths = inputs.write_part(found.genome, tmp_path / "part", chroms=["chrC", "chrB"])
    with open_genome(small.genome) as whole:
        assert whole.fetch("chrC", 49_999, 50_002)[1:] == "NN"
        share = np.mean([letter in "GC" for letter in whole.fetch("chrB", 0, 300_000)])
        assert abs(share - 0.41) < 0.01
        for path in (found.genome, *paths.values()):
            with open_genome(path) as part:
                assert dict(part.chromsizes) == {"chrC": 200_000, "chrB": 300_000}
                for chrom, size in part.chromsizes.items():
                    assert part.fetch(chrom, 0, size) == whole.fetch(chrom, 0, size)
                    pd.testing.assert_frame_equal(part.gaps(chrom), whole.gaps(chrom))


def test_twobit_equals_the_plain_writer(letters, fasta_genome, tmp_path):
    inputs.write_twobit(fasta_genome, tmp_path / "one.2bit", chroms=list(letters))
    assert (tmp_path / "one.2bit").read_bytes() == write_twobit(letters, tmp_path / "other.2bit").read_bytes()


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 50), min_size=1), st.floats(0.01, 1.5))
def test_chromosomes_are_taken_until_the_share_is_reached(counts, share):
    chosen = inputs.select_chromosomes(counts, share)
    held, total = sum(counts[chrom] for chrom in chosen), sum(counts.values())
    assert held >= min(share, 1) * total * (1 - 1e-9)
    assert len(chosen) == 1 or share >= 1 or held - counts[chosen[-1]] < share * total
    assert max(counts[c] for c in chosen) <= min([counts[c] for c in counts if c not in chosen], default=99)


@pytest.fixture
def costs(tmp_path):
    path = tmp_path / "costs.tsv"
    path.write_text(
        "command\targuments\tseconds\tcpu_seconds\tpeak_mib\n"
        "kmers\t--k 5\t99.000\t1.000\t900.0\n"
        "kmers\t--k 5\t10.000\t9.000\t250.0\n"
        "network\t--epochs 9\t27.000\t9.000\t900.0\n"
        "network\t--epochs 2\t6.000\t9.000\t800.0\n"
        "audit score\t--group forest --output a.tsv\t4.000\t9.000\t300.0\n"
        "audit score\t--group network --output a.tsv\t2.000\t9.000\t500.0\n"
        "audit score\t--group forest --output b.tsv\t5.000\t9.000\t200.0\n"
    )
    return stages.sum_costs(stages.read_costs(path))


def test_costs_of_a_stage_are_summed(costs):
    assert costs.reset_index().to_numpy().tolist() == [
        ["kmers", 10.0, 9.0, 250.0, 1],
        ["network", 6.0, 9.0, 800.0, 1],
        ["audit score forest", 9.0, 18.0, 300.0, 2],
        ["audit score network", 2.0, 9.0, 500.0, 1],
    ]


def test_the_network_s_time_is_extrapolated_and_says_so(costs):
    found = stages.extrapolate(costs, {
        "network": (2, 200, "epochs"), "audit score network": (40, 40, "epochs"), "absent": (1, 2, "epochs"),
        "audit score forest": (100, 500, "trees"),
    })  # fmt: skip
    assert found == ("network, 200 epochs rather than 2: at most 600 s. "
                     "audit score forest, 500 trees rather than 100: at most 45 s. "
                     "All stages with these: at most 657 s.")  # fmt: skip
    assert stages.extrapolate(costs, {"network": (200, 200, "epochs")}) == ""


def test_the_forest_s_memory_is_counted():
    rng = np.random.default_rng(1)
    forest = RandomForestClassifier(7, random_state=1).fit(rng.random((3_000, 4)), rng.integers(0, 2, 3_000))
    held = [tree.tree_.__getstate__() for tree in forest.estimators_]
    each = np.mean([state["nodes"].nbytes + state["values"].nbytes for state in held]) / 2**20
    assert each > 0.05
    assert stages.describe_forest(forest, wanted=7) == ""
    assert stages.describe_forest(forest, wanted=107) == (
        f"A tree of the forest holds {each:.2f} MiB: 107 rather than 7 add {100 * each:,.0f} MiB to what was measured."
    )


@given(st.floats(0, 2.5), st.floats(0.1, 100))
def test_growth_exponent_recovers_a_power(power, factor):
    sizes = np.array([1_000.0, 4_000.0, 16_000.0])
    assert stages.growth_exponent(sizes, factor * sizes**power) == pytest.approx(power, abs=1e-9)


def test_growth_table_and_picture(costs, tmp_path):
    larger = costs.assign(cpu_seconds=[36.0, 144.0, 4.0, 2.0])
    runs = {1_000: costs.drop(index="audit score network"), 4_000: larger}
    found = stages.tabulate_growth(runs)
    assert found.columns.tolist() == ["stage", "1,000: CPU s", "4,000: CPU s", "s", "1,000: MiB", "4,000: MiB",
                                      "exponent"]  # fmt: skip
    assert found.to_numpy().tolist() == [
        ["kmers", "9", "36", "10", "250", "250", "1.00"],
        ["network", "9", "144", "6", "800", "800", "2.00"],
        ["audit score forest", "18", "4", "9", "300", "300", ""],  # short
        ["audit score network", "", "2", "2", "", "500", ""],
        ["**all**", "36", "186", "27", "800", "800", "1.18"],
    ]
    figure = stages.plot_growth(runs)
    lines = {tuple(line.get_ydata()) for line in figure.axes[0].get_lines() if line.get_linestyle() == "-"}
    assert lines == {(9.0, 36.0), (9.0, 144.0)}
    (dashed,) = (line for line in figure.axes[0].get_lines() if line.get_linestyle() == "--")
    assert stages.growth_exponent(dashed.get_xdata(), dashed.get_ydata()) == pytest.approx(1)
    stages.save_growth(figure, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
