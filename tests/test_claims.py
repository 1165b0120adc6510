"""The ledger: verdicts follow from what was measured and from what the input can test."""

import dataclasses
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp import claims
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import Interval
from neanderthal_nlp.files import read_json, write_json, write_table

LADDER = {"article": 0.83, "distinct": 0.72, "cluster": 0.51, "chromosome": 0.505, "matched": 0.5}
MODELS = {"network": 0.822, "forest": 0.845, "logistic_regression": 0.7, "linear_svm": 0.69, "naive_bayes": 0.6}


def evaluation(**changes):
    """Accuracies of the article; sensitivity and specificity as it describes them."""
    rows = []
    for model, accuracy in {**MODELS, **changes}.items():
        side = {"network": (0.8, 0.84), "forest": (0.72, 0.97)}.get(model, (accuracy, accuracy))
        for metric, value in zip(("accuracy", "sensitivity", "specificity"), (accuracy, *side), strict=True):
            rows.append((model, "article", metric, value, value - 0.01, value + 0.01))
    return pd.DataFrame(rows, columns=["model", "protocol", "metric", "value", "low", "high"])


def write_results(folder, *, synthetic=False, n_introgressed=83_601, n_windows=150_000, n_genes=21_503, n_positive=477):
    """A results folder in which every claim of the article holds, but for the unpublished gene file."""
    write_json(
        {"synthetic": synthetic, "n_introgressed": n_introgressed, "length_min": 10_002.0, "length_median": 65_839.0,
         "length_mean": 92_137.6, "length_max": 1_194_940.0,
         "inputs": {"introgressed": {"sha256": "another file's"}}},
        folder / "regions.json",
    )  # fmt: skip
    write_table(pd.DataFrame({"label": np.zeros(n_windows, dtype=int)}), folder / "windows.tsv")
    words = ["AAAAA", "TTTTT", *["AAATA"] * 18]
    write_table(
        pd.concat([pd.DataFrame({"label": label, "rank": range(1, 21), "kmer": words, "count": 1})
                   for label in ("introgressed", "depleted")]),
        folder / "top_kmers.tsv",
    )  # fmt: skip
    write_table(evaluation(), folder / "evaluation.tsv")
    write_table(pd.DataFrame({"kmer": ["AAAAA", "CATTT", "TTTTT", "CAAAA", "ACGTA"]}), folder / "importances.tsv")
    write_table(pd.DataFrame({"Predict": [1.0] * n_positive + [0.0] * (n_genes - n_positive)}), folder / "genes.tsv")
    write_table(
        pd.DataFrame({"map": "umap", "cluster": [0, 1], "n_kmers": [780, 244], "gc_mean": [0.44, 0.69],
                      "gc_low": [0.42, 0.66], "gc_high": [0.46, 0.72],
                      "predictive_kmers": ["AAAAA,CAAAA,CATTT,TTTTT", ""], "n_clusters_by_silhouette": 2,
                      "n_cpg": [0, 244], "silhouette": 0.6}),
        folder / "clusters.tsv",
    )  # fmt: skip
    write_json(
        {"observed": 87_516, "draws": [93_000, 94_000], "n_draws": 1000, "n_at_or_below": 0, "p": 1 / 1001,
         "p_article": "p < 1/1000", "gc_genes": 0.466, "gc_genome": 0.409, "gc_difference": 0.057,
         "gc_difference_low": 0.056, "gc_difference_high": 0.058},
        folder / "intersections.json",
    )  # fmt: skip
    write_audit(folder)


def ladder(rungs, width=0.01):
    """One accuracy a rung, the same for every model and either class."""
    names = [*MODELS, "exact_window"]
    metrics = ("accuracy", "auroc", "sensitivity", "specificity")
    rows = [(rung, model, metric, value, value - width, value + width)
            for rung, value in rungs.items() for model in names for metric in metrics]  # fmt: skip
    return pd.DataFrame(rows, columns=["rung", "model", "metric", "value", "low", "high"])


def write_audit(
    folder,
    *,
    rungs=LADDER,
    near_low=20.0,
    beside=MappingProxyType({"low": 0.2, "high": 0.6}),
    conclusions=("fewer genes",) * 4,
    null_words="AAATT",
):
    """The audit's results of a run whose accuracy is overlap, whose genes are recalled, whose depletion holds."""
    audit = folder / "audit"
    write_table(ladder(rungs), audit / "ladder.tsv")
    write_table(ladder({"article": 0.84, "chromosome": 0.5}), audit / "null.tsv")
    write_json({"n_pairs": 73_861, "n_distinct_starts": 38_464, "n_clusters": 5_975, "n_effective": 1174.2},
               audit / "leak.json")  # fmt: skip
    top = [{"label": label, "rank": 1, "kmer": null_words} for label in ("depleted", "introgressed")]
    write_table(pd.DataFrame(top), audit / "null/top_kmers.tsv")
    counts = {"n_rows": 21_503, "predicted_rows": 1_503, "predicted_loci": 802}
    write_table(pd.DataFrame([{"table": "out of fold", **counts}]), audit / "gene_counts.tsv")
    near = {"table": "as published", "unit": "row", "n_predicted": 477, "n_predicted_flagged": 382,
            "share_all": 0.156, "low": near_low, "high": 40.0}  # fmt: skip
    flags = [{**near, "flag": "near_window"}, {**near, "flag": "in_window"}, {**near, "flag": "region_only", **beside}]
    write_table(pd.DataFrame(flags), audit / "gene_flags.tsv")
    variants = ("merged", "clear_of_gaps", "rotated", "gc_matched_merged")
    table = {"variant": variants, "n_regions": 6_063, "observed": 8_759, "ratio": (0.88, 0.84, 0.87, 0.93), "low": 0.8,
             "high": 0.97, "p": 0.005, "conclusion": conclusions}  # fmt: skip
    write_table(pd.DataFrame(table), audit / "intersections.tsv")
    points = {"kmer": ["AAAAA", "AATTA", "ATTTA", "GCGCG"], "gc": [0, 0, 0, 1.0], "cluster": [0, 0, 0, 1]}
    write_table(pd.DataFrame(points), folder / "embeddings.tsv")
    write_follow_up(audit)


SEQUENCES = {
    ("disjoint", "sub_sequence", "lstm"): 0.81, ("shifted", "sub_sequence", "lstm"): 0.98,
    ("disjoint", "article", "lstm"): 0.75, ("disjoint", "chromosome", "lstm"): 0.5,
    ("shifted", "chromosome", "lstm"): 0.505, ("shifted", "null_sub_sequence", "lstm"): 0.985,
    ("shifted", "null_chromosome", "lstm"): 0.5, ("shifted", "sub_sequence", "overlap"): 0.999,
}  # fmt: skip


def sequences(changes=MappingProxyType({}), *, width=0.01):
    """Accuracy and AUROC, the same, on sub-sequences; and something else on windows."""
    rows = [("sub_sequence", *place, metric, value, value - width, value + width)
            for place, value in {**SEQUENCES, **changes}.items() for metric in ("accuracy", "auroc")]  # fmt: skip
    rows += [("window", *place, "accuracy", 0.123, 0.1, 0.2) for place in SEQUENCES]
    return pd.DataFrame(rows, columns=["level", "cut", "rung", "model", "metric", "value", "low", "high"])


def write_follow_up(audit):
    """The follow-up's own numbers, where chromosomes held out are at chance."""
    write_table(sequences(), audit / "sequences.tsv")
    write_json({"n_genes": 31_000, "n_predicted": 9_000, "n_words": 2_000, "gc_embedding": -0.004},
               audit / "follow_up.json")  # fmt: skip
    scores = pd.DataFrame({"Gene_Symbol": ["ANK3", "ANK2", "ANK3"], "Prob_1": [0.4, 0.9, 0.995]})
    write_table(scores, audit / "sequence_genes.tsv")


def verdicts(folder):
    return claims.ledger(folder).set_index("claim")["verdict"].to_dict()


def test_the_articles_own_numbers_are_reproduced(tmp_path):
    write_results(tmp_path)
    found = verdicts(tmp_path)
    assert found.pop("intersections") == claims.NOT_TESTABLE
    assert found.pop("sequence_words") == claims.NOT_TESTABLE, "no training is needed for it"
    assert set(found.values()) == {claims.REPRODUCED}


def test_published_numbers_are_those_of_the_article():
    # Re-typed from the article, by claim.
    expected = {
        "regions": "83,601", "lengths": "10 kb to 1.2 Mb, mean ~100 kb", "network": "82.2%", "forest": "84.5%",
        "predictive_kmers": "AAAAA, CAAAA, CATTT, TTTTT", "genes": "477 of ~22,000", "gc": "47% and 41%",
        "intersections": "140,821", "depletion": "p < 1/17", "sequences": "99%",
        "sequence_genes": "22,000 of 31,000", "ank3": "> 99%",
    }  # fmt: skip
    published = {claim.name: claim.published for claim in claims.CLAIMS}
    assert {name: published[name] for name in expected} == expected
    assert len(published) == len(claims.CLAIMS)


def test_a_number_far_from_the_published_one_differs(tmp_path):
    write_results(tmp_path, n_positive=4_000)
    write_table(evaluation(network=0.75), tmp_path / "evaluation.tsv")
    found = verdicts(tmp_path)
    assert found["genes"] == claims.DIFFERS
    assert found["network"] == claims.DIFFERS
    assert found["forest"] == claims.REPRODUCED


@pytest.mark.parametrize(("logistic", "verdict"), [(0.7, claims.REPRODUCED), (0.815, claims.DIFFERS)])
def test_better_means_better_than_the_best_by_more_than_chance(tmp_path, logistic, verdict):
    write_results(tmp_path)
    write_table(evaluation(logistic_regression=logistic), tmp_path / "evaluation.tsv")
    assert verdicts(tmp_path)["network_better"] == verdict


def test_what_an_input_can_test(tmp_path):
    write_results(tmp_path / "demo", synthetic=True, n_introgressed=1_200, n_windows=2_400, n_genes=350)
    demo = verdicts(tmp_path / "demo")
    planted = {"top_kmers", "kmer_clusters", "four_at_rich", "gc_higher", "depletion"}
    assert {name for name, verdict in demo.items() if verdict == claims.REPRODUCED} == planted
    assert {verdict for name, verdict in demo.items() if name not in planted} == {claims.NOT_TESTABLE}

    write_results(tmp_path / "part", n_windows=1_600, n_genes=413, n_positive=12)
    part = verdicts(tmp_path / "part")
    testable = {"regions", "lengths", "kmer_clusters", "four_at_rich", "depletion"}
    assert {name for name, verdict in part.items() if verdict == claims.REPRODUCED} == testable
    assert {verdict for name, verdict in part.items() if name not in testable} == {claims.NOT_TESTABLE}


def test_the_ledger_shows_what_was_measured_even_where_it_cannot_be_tested(tmp_path):
    write_results(tmp_path, synthetic=True)
    row = claims.ledger(tmp_path).set_index("claim").loc["forest"]
    assert row["verdict"] == claims.NOT_TESTABLE
    assert row["reproduced"] == "84.5% (83.5% to 85.5%)"
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.845, 0.835, 0.855))


def test_four_kmers_split_over_the_clusters_differ(tmp_path):
    write_results(tmp_path)
    table = pd.read_csv(tmp_path / "clusters.tsv", sep="\t")
    write_table(table.assign(predictive_kmers=["AAAAA,CAAAA,CATTT", "TTTTT"]), tmp_path / "clusters.tsv")
    assert verdicts(tmp_path)["four_at_rich"] == claims.DIFFERS


def test_a_missing_results_file_is_named(tmp_path):
    write_results(tmp_path)
    (tmp_path / "evaluation.tsv").unlink()
    with pytest.raises(InputError, match=r"evaluation\.tsv"):
        claims.ledger(tmp_path)


def test_every_claim_says_how_it_is_measured():
    for claim in claims.CLAIMS:
        assert all(getattr(claim, field.name) not in ("", None) for field in dataclasses.fields(claim))
        assert claim.section in {"1", "2", "3", "4", "5", "follow-up"}
    assert Interval._fields == ("value", "low", "high")


def test_markdown_holds_every_cell(tmp_path):
    write_results(tmp_path)
    table = claims.ledger(tmp_path)
    lines = claims.to_markdown(table).splitlines()
    assert len(lines) == len(table) + 2
    assert {line.count("|") for line in lines} == {7}
    assert lines[2].split(" | ")[1:] == [table["sentence"][0], "83,601", "83,601", table["meaning"][0],
                                         table["control"][0] + " |"]  # fmt: skip


def test_a_file_known_by_its_hash_must_hold_the_published_regions(tmp_path):
    write_results(tmp_path, n_introgressed=83_600)
    assert verdicts(tmp_path)["regions"] == claims.NOT_TESTABLE
    record = read_json(tmp_path / "regions.json")
    record["inputs"]["introgressed"]["sha256"] = claims.PUBLISHED_REGIONS
    write_json(record, tmp_path / "regions.json")
    assert verdicts(tmp_path)["regions"] == claims.DIFFERS


def test_a_run_that_cannot_show_a_claim_does_not_differ_from_it(tmp_path):
    write_results(tmp_path)
    record = read_json(tmp_path / "intersections.json")
    write_json({**record, "n_draws": 10, "p": 1 / 11}, tmp_path / "intersections.json")
    write_table(pd.DataFrame({"kmer": ["AAAA", "CATT"]}), tmp_path / "importances.tsv")
    found = verdicts(tmp_path)
    assert found["depletion"] == found["predictive_kmers"] == claims.NOT_TESTABLE


def test_a_map_without_structure_has_no_two_clusters(tmp_path):
    write_results(tmp_path)
    table = pd.read_csv(tmp_path / "clusters.tsv", sep="\t", keep_default_na=False)
    write_table(table.assign(silhouette=0.2), tmp_path / "clusters.tsv")
    assert verdicts(tmp_path)["kmer_clusters"] == claims.DIFFERS


def test_another_split_cannot_test_the_articles_accuracies(tmp_path):
    write_results(tmp_path)
    write_table(evaluation().assign(protocol="chromosome"), tmp_path / "evaluation.tsv")
    found = verdicts(tmp_path)
    assert {found[name] for name in ("network", "network_better", "forest", "forest_one_sided")} == {
        claims.NOT_TESTABLE
    }
    assert found["genes"] == claims.REPRODUCED


# What it means ------------------------------------------------------------------------------------------------


def meanings(folder):
    return claims.ledger(folder).set_index("claim")[["meaning", "control"]]


def test_a_number_may_be_reproduced_and_explained_by_overlap(tmp_path):
    write_results(tmp_path)
    found = meanings(tmp_path)
    assert found.loc["forest", "meaning"].startswith("reproduced; explained by overlap: at chance")
    assert "other chromosomes 50.5% (49.5% to 51.5%), AUROC 0.51 (0.49 to 0.52)" in found.loc["forest", "control"]
    assert "84.0% (83.0% to 85.0%)" in found.loc["forest", "control"]  # random letters
    assert "83.0%" in found.loc["forest", "control"]  # the rule
    assert found.loc["genes", "meaning"].startswith("reproduced; explained by overlap: the forest recalls windows")
    assert found.loc["genes", "control"].startswith("382 of 477 start near")
    assert "1,503 of 21,503, in 802 loci" in found.loc["genes", "control"]
    assert "worth 1,174 independent regions" in found.loc["regions", "control"]
    assert "holds under all 4 ways" in found.loc["depletion", "meaning"]
    assert "0.84 times" in found.loc["depletion", "control"]
    assert "words with a CpG" in found.loc["kmer_clusters", "meaning"]
    assert found.loc["four_at_rich", "meaning"].endswith("explained by their letters")
    assert "random letters of the same local GC content show it too" in found.loc["top_kmers", "meaning"]
    assert (found["meaning"].str.split("; ").str[0] == claims.ledger(tmp_path).set_index("claim")["verdict"]).all()


def test_an_accuracy_that_other_chromosomes_keep_is_not_explained_away(tmp_path):
    write_results(tmp_path)
    cases = {
        "composition: 60% of its AUROC above chance by overlap and place, the rest by": {
            "article": 0.8,
            "chromosome": 0.62,
        },
        "partly explained: 60% of its AUROC above chance by overlap and place; AUROC 0.57": {
            "article": 0.8,
            "chromosome": 0.62,
            "matched": 0.57,
        },
        "partly explained: 0%": {"article": 0.8, "chromosome": 0.8, "matched": 0.8},
        "nothing to explain": {"article": 0.505, "chromosome": 0.5},
    }
    for expected, rungs in cases.items():
        write_audit(tmp_path, rungs={"matched": 0.5, **rungs})
        found = meanings(tmp_path)
        assert expected in found.loc["network", "meaning"]
        assert ("no lead" in found.loc["network_better", "meaning"]) == (rungs["chromosome"] > 0.51)
        assert ("no order" in found.loc["network_better", "meaning"]) == (rungs["chromosome"] < 0.51)


def test_the_opposite_of_every_explanation_can_be_found(tmp_path):
    write_results(tmp_path)
    write_audit(tmp_path, near_low=0.7, null_words="GCGTA",
                conclusions=("fewer genes", "fewer genes", "no difference shown", "fewer genes"))  # fmt: skip
    points = pd.DataFrame({"kmer": ["AAAAA", "AATTA", "ATTTA", "GCGCG"], "gc": [0, 0, 0, 1.0], "cluster": [0, 1, 1, 1]})
    write_table(points, tmp_path / "embeddings.tsv")
    clusters = pd.read_csv(tmp_path / "clusters.tsv", sep="\t")
    write_table(clusters.assign(n_cpg=[44, 200]), tmp_path / "clusters.tsv")
    found = meanings(tmp_path)["meaning"]
    assert "not explained by overlap" in found["genes"]
    assert "not explained by local GC content" in found["top_kmers"]
    assert "no depletion shown under rotated" in found["depletion"]
    assert "more than their letters" in found["four_at_rich"]
    assert "not the words with a CpG alone" in found["kmer_clusters"]


def test_genes_of_unread_introgressed_places_leave_it_open(tmp_path):
    write_results(tmp_path)
    write_audit(tmp_path, beside={"low": 2.0, "high": 60.0})
    assert "not decided" in meanings(tmp_path).loc["genes", "meaning"]


def test_a_wide_interval_is_not_called_chance(tmp_path):
    write_results(tmp_path)
    table = ladder({"article": 0.83, "chromosome": 0.65, "matched": 0.5}, width=0.2)
    write_table(table, tmp_path / "audit/ladder.tsv")
    assert "not shown to be more than overlap" in meanings(tmp_path).loc["forest", "meaning"]
    table.loc[table["rung"] == "chromosome", "low"] = 0.55
    write_table(table, tmp_path / "audit/ladder.tsv")
    assert "not shown to be more than composition" in meanings(tmp_path).loc["forest", "meaning"]


def test_an_audit_may_be_missing_but_not_be_incomplete(tmp_path):
    write_results(tmp_path)
    table = ladder(dict.fromkeys(("article", "chromosome", "matched"), 0.6))
    write_table(table[table["model"] != "network"], tmp_path / "audit/ladder.tsv")
    with pytest.raises(InputError, match=r"ladder\.tsv: found 0 rows of auroc of network on rung article"):
        claims.ledger(tmp_path)
    (tmp_path / "audit/ladder.tsv").unlink()
    assert set(meanings(tmp_path)["meaning"].str.split("; ").str[1]) == {"not audited"}


def test_a_model_that_leans_to_one_class_is_not_at_chance_where_it_ranks_well(tmp_path):
    write_results(tmp_path)
    table = ladder({"article": 0.9, "chromosome": 0.5, "matched": 0.5})
    table.loc[table["metric"] == "auroc", ["value", "low", "high"]] = [0.85, 0.8, 0.9]
    write_table(table, tmp_path / "audit/ladder.tsv")
    assert "partly explained: 0%" in meanings(tmp_path).loc["forest", "meaning"]


# The follow-up ------------------------------------------------------------------------------------------------


def test_the_follow_ups_numbers_and_what_explains_them(tmp_path):
    write_results(tmp_path)
    found = claims.ledger(tmp_path).set_index("claim")
    row = found.loc["sequences"]
    assert row["section"] == "follow-up"
    assert row["reproduced"] == (
        "split at random: disjoint pieces 81.0% (80.0% to 82.0%), shifts by one letter 98.0% (97.0% to 99.0%)"
    )
    assert row["value"] == 0.98, "the way of cutting that comes nearest"
    assert row["meaning"] == (
        "reproduced; explained by overlap: at chance on chromosomes that it was not trained on; split at random, "
        "random letters give as much (shifted); how the follow-up cut and split its text does not say (its notebook "
        "was not at hand; code that seems derived from it shifts by one letter and splits sentences at random)"
    )
    assert (
        "windows split at random: disjoint 75.0% (74.0% to 76.0%); other chromosomes: disjoint 50.0%" in row["control"]
    )
    assert row["control"].endswith("overlap with training: shifted 99.9% (98.9% to 100.9%)")
    assert found.loc["sequence_words", "reproduced"].startswith("the vectors of the 2,000 most common words tell 0.0%")
    assert found.loc["sequence_words", "meaning"].startswith(
        "not testable on this input; an answer of a network that is not shown to tell sub-sequences of other "
        "chromosomes apart; the share of GC content does not test for clusters"
    )
    assert found.loc["sequence_genes", "reproduced"].startswith("22,000 of 31,000 genes (71.0% (70.5% to 71.5%))")
    assert found.loc["ank3", "reproduced"] == "99.5%"
    assert "an answer of a network that is not shown to tell sub-sequences" in found.loc["ank3", "meaning"]
    assert found.loc["ank3", "control"] == "AUROC on other chromosomes 0.51 (0.49 to 0.52)"


@pytest.mark.parametrize(
    ("changes", "width", "text"),
    [
        (
            {("shifted", "chromosome", "lstm"): 0.7},
            0.01,
            "on other chromosomes shifted AUROC 0.70 (0.69 to 0.71) is left",
        ),
        ({}, 0.2, "not shown to be more than overlap: on other chromosomes the interval holds chance, and is wide"),
    ],
)
def test_what_is_left_of_the_follow_up_on_other_chromosomes(tmp_path, changes, width, text):
    write_results(tmp_path)
    write_table(sequences(changes, width=width), tmp_path / "audit/sequences.tsv")
    assert text in meanings(tmp_path).loc["sequences", "meaning"]


def test_an_accuracy_that_random_letters_do_not_give(tmp_path):
    write_results(tmp_path)
    table = sequences({("shifted", "null_sub_sequence", "lstm"): 0.5, ("shifted", "chromosome", "lstm"): 0.7})
    write_table(table, tmp_path / "audit/sequences.tsv")
    found = meanings(tmp_path)["meaning"]
    assert "random letters" not in found["sequences"]
    both = sequences({("disjoint", "null_sub_sequence", "lstm"): 0.6, ("disjoint", "sub_sequence", "lstm"): 0.9})
    write_table(both, tmp_path / "audit/sequences.tsv")
    assert "random letters give as much (shifted);" in meanings(tmp_path).loc["sequences", "meaning"]
    assert "of a network that tells sub-sequences of other chromosomes apart" in found["ank3"]
    write_table(table[table["rung"] == "sub_sequence"], tmp_path / "audit/sequences.tsv")
    found = meanings(tmp_path)["meaning"]
    assert "not held against other chromosomes" in found["sequences"]
    assert "was not held against other chromosomes" in found["ank3"]


def test_a_follow_up_that_differs_or_was_not_run(tmp_path):
    write_results(tmp_path)
    write_table(sequences({("shifted", "sub_sequence", "lstm"): 0.9}), tmp_path / "audit/sequences.tsv")
    write_json(
        {"n_genes": 369, "n_predicted": 369, "n_words": 9, "gc_embedding": 0.5}, tmp_path / "audit/follow_up.json"
    )
    names = ["sequences", "sequence_words", "sequence_genes", "ank3"]
    found = verdicts(tmp_path)
    assert [found[name] for name in names] == [claims.DIFFERS, claims.NOT_TESTABLE, claims.DIFFERS, claims.REPRODUCED]
    for name in ("sequences.tsv", "follow_up.json", "sequence_genes.tsv"):
        (tmp_path / "audit" / name).unlink()
    table = claims.ledger(tmp_path).set_index("claim").loc[names]
    assert set(table["verdict"]) == {claims.NOT_TESTABLE}
    assert set(table["meaning"]) == {f"{claims.NOT_TESTABLE}; not audited"}
    assert table["reproduced"].tolist() == ["not run"] * 3 + ["no gene of that name was scored"]


def test_claims_are_compared_without_a_run():
    tables = {"regions.json": {"n_introgressed": 7, "length_min": 10_000, "length_mean": 12_345, "length_max": 1.2e6}}
    found = claims.compare(["lengths", "regions"], tables)
    assert list(found.columns) == ["claim", "published", "reproduced"]
    assert list(found["published"]) == ["10 kb to 1.2 Mb, mean ~100 kb", "83,601"]
    assert list(found["reproduced"]) == ["10.0 to 1,200 kb, mean 12.3 kb", "7"]
    given = {"audit/sequences.tsv": sequences(), "audit/follow_up.json": {"n_genes": 31, "n_predicted": 9}}
    told = list(claims.compare(["sequences", "sequence_genes", "ank3"], given)["reproduced"])
    assert told[0].startswith("split at random: disjoint pieces 81.0%")
    assert told[1].startswith("22 of 31 genes")
    assert told[2] == "no gene of that name was scored"
    with pytest.raises(
        InputError, match="claim 'length': found no such claim, expected names among regions, lengths, "
    ):
        claims.compare(["regions", "length"], tables)
