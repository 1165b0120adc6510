"""Small tables of the form that the audit saves, for the tests of figures and report."""

from __future__ import annotations

import numpy as np
import pandas as pd

RUNGS = ("article", "distinct", "cluster", "chromosome", "matched")
ACCURACIES = {
    "network": (82.2, 76.3, 62.4, 61.2, 52.1),
    "forest": (84.5, 78.9, 61.7, 60.8, 51.7),
    "logistic_regression": (79.9, 74.4, 62.0, 61.5, 52.4),
    "linear_svm": (79.7, 74.2, 61.9, 61.4, 52.2),
    "naive_bayes": (56.0, 56.1, 55.9, 55.8, 50.5),
    "gc": (58.1, 58.0, 57.6, 57.9, 50.2),
    "dinucleotides": (60.3, 60.0, 59.4, 59.2, 51.1),
    "shuffled_labels": (50.3, 49.8, 50.1, 50.4, 49.7),
    "exact_window": (81.4, 50.0, 50.0, 50.0, 50.0),
    "window_overlap": (93.8, 90.2, 50.0, 50.0, 50.0),
    "region_overlap": (97.7, 96.1, 50.0, 50.0, 50.0),
}
WIDTHS = dict(zip(RUNGS, (0.6, 0.8, 2.6, 2.7, 2.8), strict=True))
N_TEST = 33_438


def rung_rows(model, rung, accuracy, width, n_test=N_TEST):
    """Rows of one model on one rung; both classes have the same size and the same accuracy, in per cent."""
    value, half = accuracy / 100, n_test // 2
    right = round(value * half)
    spans = dict.fromkeys(("accuracy", "sensitivity", "auroc"), (value, value - width / 100, value + width / 100))
    spans["brier"] = (np.nan, np.nan, np.nan) if model == "linear_svm" else (0.123, 0.111, 0.135)
    cells = {"tn": right, "fp": half - right, "fn": half - right, "tp": right, "n_test": n_test, "n_train": 4 * n_test}
    spans |= {name: (count, np.nan, np.nan) for name, count in cells.items()}
    return [(rung, model, metric, *span) for metric, span in spans.items()]


def scored(rows):
    """A table of rungs, models and metrics."""
    return pd.DataFrame(rows, columns=["rung", "model", "metric", "value", "low", "high"])


def ladder():
    return scored(
        [
            row
            for model, values in ACCURACIES.items()
            for rung, value in zip(RUNGS, values, strict=True)
            for row in rung_rows(model, rung, value, WIDTHS[rung])
        ]
    )


def null():
    rows = []
    for model, values in ACCURACIES.items():
        rows += rung_rows(model, "article", values[0] - 3, 0.7)
        rows += rung_rows(model, "chromosome", 50.5, 2.0)
    return scored(rows)


def leak(exact, window, region):
    rules = {"exact_window": 0.814, "window_overlap": 0.938, "region_overlap": 0.977}
    return {
        "n_pairs": 73_861, "n_distinct_starts": 38_464, "n_clusters": 5_975, "n_effective": 1174.2,
        "n_test_introgressed": 14_670, "test_share_exact": exact, "test_share_window_overlap": window,
        "test_share_region_overlap": region, "rule_accuracy": rules,
    }  # fmt: skip


def flags():
    rows = []
    for table, predicted, ratio in (
        ("as published", 477, 20.4),
        ("out of fold", 4_123, 1.1),
        ("published table", 477, 15.4),
    ):
        for unit in ("row", "locus", "symbol"):
            for flag, share in (("in_window", 0.11), ("near_window", 0.16), ("in_region", 0.4), ("region_only", 0.29)):
                raised = min(0.95, share * ratio) if flag != "region_only" else share / 2
                high = np.inf if (table, flag) == ("as published", "in_window") else 1.3 * ratio
                rows.append((table, unit, flag, predicted, int(raised * predicted), 21_503, int(share * 21_503), raised,
                             share, ratio, 0.8 * ratio, high))  # fmt: skip
    columns = ["table", "unit", "flag", "n_predicted", "n_predicted_flagged", "n_all", "n_all_flagged",
               "share_predicted", "share_all", "odds_ratio", "low", "high"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def scores(n=400):
    rng = np.random.default_rng(5)
    inside = rng.random(n) < 0.2
    return pd.DataFrame({
        "Gene_Symbol": "A", "Prob_1": np.where(inside, rng.beta(4, 4, n), rng.beta(2, 9, n)).round(3),
        "prob_oof": rng.beta(8, 9, n).round(3), "in_window": inside, "in_depleted_window": rng.random(n) < 0.1,
    })  # fmt: skip


def intersections():
    rows = [
        ("article", "every region, drawn blindly", 83_601, 87_522, 93_854.0, 0.933, 0.878, 0.992, 0.005, 0),
        ("merged", "overlapping regions merged, drawn clear of gaps; 3 left out that cannot be drawn", 6_060, 8_759,
         9_898.0, 0.885, 0.856, 0.915, 0.005, 0),
        ("rotated", "every region; all of a chromosome turned together, gaps cut out", 83_601, 87_522, 88_000.0, 0.995,
         0.93, 1.06, 0.443, 88),
        ("gc_matched", "every region, drawn clear of gaps and alike in GC", 83_601, 87_522, 80_000.0, 1.094, 1.02, 1.17,
         1.0, 200),
    ]  # fmt: skip
    columns = [
        "variant",
        "description",
        "n_regions",
        "observed",
        "expected",
        "ratio",
        "low",
        "high",
        "p",
        "n_at_or_below",
    ]
    conclusions = ["fewer genes", "fewer genes", "no difference shown", "more genes"]
    return pd.DataFrame(rows, columns=columns).assign(n_draws=200, conclusion=conclusions, verdict="a sentence")


def sweep(areas):
    """A table of the sweep: AUROC out of fold by word length, a little less for trees and for plain words."""
    rows = []
    for penalty, model in ((0.0, "logistic_regression"), (0.02, "boosted_trees")):
        for k, area in enumerate(areas, start=1):
            for less, canonical in ((0.0, True), (0.01, False)):
                out = area - penalty - less
                chosen = (model, k, canonical) == ("logistic_regression", 2, True)
                rows.append((model, canonical, k, min(4**k, 512), 1_940, out, 0.02, out + 0.01, out - 0.05, out + 0.06,
                             0.2, chosen))  # fmt: skip
    columns = ["model", "canonical", "k", "n_features", "n_train", "cv_auroc", "cv_se", "auroc", "low", "high", "brier",
               "chosen"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


SMOOTHED = {
    ("score", "auroc"): 0.7, ("score", "auprc"): 0.4, ("moving_average", "auroc"): 0.84,
    ("moving_average", "auprc"): 0.6, ("alone", "brier"): 0.12, ("posterior", "auroc"): 0.86,
    ("posterior", "auprc"): 0.65, ("posterior", "brier"): 0.08, ("call", "precision_nt"): 0.31,
    ("call", "recall_nt"): 0.72, ("alone", "precision_nt"): 0.52, ("alone", "recall_nt"): 0.33,
    ("posterior", "precision_nt"): 0.63, ("posterior", "recall_nt"): 0.54, ("viterbi", "precision_nt"): 0.64,
    ("viterbi", "recall_nt"): 0.5,
}  # fmt: skip


def smoothing(half=0.03):
    """What smoothing is worth, each interval as wide to both sides."""
    rows = [(method, metric, value, value - half, value + half) for (method, metric), value in SMOOTHED.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "value", "low", "high"])


def smoothed(n=300, length=10_000):
    """Windows along two held-out chromosomes; the fourth has no score, windows 20 to 29 are introgressed."""
    at = np.arange(n)
    known = np.where(at == 3, np.nan, 1.0)
    part = pd.DataFrame({"chrom_start": at * length, "chrom_end": (at + 1) * length,
                         "probability": known * (0.2 + 0.5 * (at % 2)), "covered": length * ((at >= 20) & (at < 30)),
                         "posterior": known * np.where((at >= 20) & (at < 30), 0.9, 0.1)})  # fmt: skip
    return pd.concat([part.assign(chrom=name) for name in ("chr3", "chr7")], ignore_index=True)


SMOOTHERS = {"held_out": ["chr3", "chr7"],
             "smoothers": {"chr3": {"width": 3}, "chr7": {"width": 5}, "other chromosomes": {"width": 9}}}  # fmt: skip


SEQUENCE_RUNGS = ("sub_sequence", "article", "cluster", "chromosome", "null_sub_sequence", "null_chromosome")
SEQUENCE_ACCURACIES = {
    ("disjoint", "lstm"): (81, 75, 52, 53, 80, 50), ("disjoint", "cnn"): (68, 73, 52, 51),
    ("disjoint", "same_letters"): (78, 78, 50, 50, 78, 50), ("disjoint", "same_place"): (78, 78, 50, 50, 78, 50),
    ("disjoint", "overlap"): (86, 84, 50, 50, 86, 50), ("shifted", "lstm"): (99.5, 76, 51, 60, 99.3, 50),
    ("shifted", "same_letters"): (82, 78, 50, 50, 82, 50), ("shifted", "same_place"): (82, 78, 50, 50, 82, 50),
    ("shifted", "overlap"): (99.9, 79, 50, 50, 99.9, 50),
}  # fmt: skip


def sequences(width=0.02):
    """Accuracy and AUROC on sub-sequences, and on windows a hundredth more; intervals as wide to both sides."""
    rows = [
        (level, cut, rung, model, metric, value, value - width, min(value + width, 1.0), 668_752, 167_188)
        for level, more in (("sub_sequence", 0.0), ("window", 0.01))
        for (cut, model), values in SEQUENCE_ACCURACIES.items()
        for rung, accuracy in zip(SEQUENCE_RUNGS, values, strict=False)
        for metric in ("accuracy", "auroc")
        for value in [min(accuracy / 100 + more, 1.0)]
    ]
    columns = ["level", "cut", "rung", "model", "metric", "value", "low", "high", "n_train", "n_test"]
    return pd.DataFrame(rows, columns=columns)


def positions(n=191):
    """Loss of accuracy by place, largest at the tenth."""
    drop = np.where(np.arange(n) == 10, 0.02, 0.001)
    return pd.DataFrame({"position": np.arange(n), "drop": drop, "low": drop - 0.002, "high": drop + 0.002})


def words(n=40):
    """A map of words, alike at any GC content."""
    rng = np.random.default_rng(3)
    return pd.DataFrame({"kmer": ["ACGT"[i % 4] * 10 for i in range(n)], "count": np.arange(n, 0, -1),
                         "gc": np.arange(n) % 2 / 1.0,
                         "umap_1": rng.normal(size=n), "umap_2": rng.normal(size=n)})  # fmt: skip


FOLLOW_UP = {"n_sentences": 300, "n_words": 500, "gc_embedding": 0.0123, "n_genes": 31_000, "n_predicted": 9_000,
             "n_mutated": 20, "gc_cnn": -0.42}  # fmt: skip


def audit_results():
    """What a whole audit saves, by its place below `results/`."""
    protocols = {"article": leak(0.624, 0.875, 0.953), "distinct": leak(0.0, 0.751, 0.912)}
    protocols |= {rung: leak(0.0, 0.0, 0.0) for rung in RUNGS[2:]}
    worth = scored(rung_rows("forest", "oof", 61.3, 2.0)).drop(columns=["rung", "model"])
    return {
        "audit/ladder.tsv": ladder(),
        "audit/null.tsv": null(),
        "audit/leak.json": {**protocols["article"], "protocols": protocols},
        "audit/matched/balance.tsv": pd.DataFrame({
            "covariate": ["length", "gc", "masked"], "introgressed": [92_137.6, 0.3921, 0.49],
            "depleted_before": [92_137.6, 0.4093, 0.48], "depleted_after": [92_137.6, 0.3922, 0.489],
            "smd_before": [0.0, -0.412, 0.171], "smd_after": [0.0, -0.003, 0.021], "tolerance": 0.1, "balanced": True,
        }),
        "audit/matched/match.json": {"n_matched": 79_123, "n_unmatched": 4_471},
        "audit/sweep.tsv": sweep([0.65, 0.88, 0.86, 0.8]),
        "audit/sweep.json": {"n_windows": 167_188, "n_used": 20_000, "n_train": 15_940,
                             "test_chromosomes": ["chr3", "chr7"]},
        "audit/null/sweep.tsv": sweep([0.6, 0.62, 0.61, 0.6]),
        "audit/sequences.tsv": sequences(),
        "audit/sequence_positions.tsv": positions(),
        "audit/sequence_mutations.tsv": pd.DataFrame({
            "model": ["lstm"] * 200 + ["cnn"] * 200, "position": np.tile(np.arange(200), 2),
            "change": np.r_[np.arange(200)[::-1] / 40, np.arange(200) / 100],
        }),
        "audit/sequence_words.tsv": words(),
        "audit/follow_up.json": FOLLOW_UP,
        "audit/smoothing.tsv": smoothing(),
        "audit/smooth.tsv": smoothed(),
        "audit/smoothing.json": SMOOTHERS,
        "audit/gene_counts.tsv": pd.DataFrame({
            "table": ["as published", "out of fold", "published table"], "n_rows": 21_503, "n_loci": 17_001,
            "n_symbols": 19_702, "predicted_rows": [477, 4_123, 477], "predicted_loci": [391, 3_200, 392],
            "predicted_symbols": [412, 3_600, 413],
        }),
        "audit/gene_flags.tsv": flags(),
        "audit/gene_doses.tsv": doses(["as published", "out of fold", "published table"]),
        "audit/genes.tsv": scores(),
        "audit/genes.json": {
            "inputs": {"genes": {"path": "/data/gene_ids.txt", "sha256": "a" * 64},
                       "windows": {"path": "results/windows.tsv", "sha256": "b" * 64},
                       "published": {"path": "Neanderthal_Genes.txt", "sha256": "c" * 64}},
            "windows": worth.astype(object).where(worth.notna(), None).to_dict("records"),
        },
        "audit/intersections.tsv": intersections(),
        "audit/intersection_balance.tsv": pd.DataFrame({
            "variant": ["gc_matched"], "n_regions": [83_601], "gc_regions": [0.3929], "sd_regions": [0.03],
            "gc_unmatched": [0.4313], "sd_unmatched": [0.05], "gc_matched": [0.3943], "sd_matched": [0.03],
            "smd_unmatched": [-0.88], "smd_matched": [-0.04],
        }),
    }  # fmt: skip


def doses(tables):
    """Genes by the share of their text that is a training window, alike in every table."""
    n_all, n_predicted = np.array([19_008, 851, 600, 465]), np.array([107, 6, 9, 265])
    part = pd.DataFrame({"above": [np.nan, 0.0, 0.5, 0.95], "up_to": [0.0, 0.5, 0.95, 1.0], "n_all": n_all,
                         "n_predicted": n_predicted, "share_predicted": n_predicted / n_all})  # fmt: skip
    return pd.concat([part.assign(table=name) for name in tables], ignore_index=True)


def poorest_audit():
    """The least that an audit can leave behind: one model, no interval, no predicted gene, one locus."""
    alone = scored(rung_rows("naive_bayes", "article", 50.0, np.nan, n_test=2))
    lone = flags().query("table == 'out of fold'").head(4).assign(
        n_predicted=0, n_predicted_flagged=0, share_predicted=np.nan, odds_ratio=np.nan, low=np.nan, high=np.nan
    )  # fmt: skip
    return {
        "audit/ladder.tsv": alone,
        "audit/null.tsv": alone,
        "audit/leak.json": {"protocols": {"article": leak(0.0, 0.0, 0.0)}},
        "audit/matched/balance.tsv": pd.DataFrame({
            "covariate": ["length"], "introgressed": [9.0], "depleted_before": [8.0], "depleted_after": [9.0],
            "smd_before": [np.inf], "smd_after": [0.0], "tolerance": [0.1], "balanced": [True],
        }),
        "audit/matched/match.json": {"n_matched": 1, "n_unmatched": 0},
        "audit/sweep.tsv": sweep([0.5, 0.5]).query("model == 'logistic_regression'"),
        "audit/sweep.json": {"n_windows": 2, "n_used": 2, "n_train": 1, "test_chromosomes": ["1"]},
        "audit/null/sweep.tsv": sweep([0.5, 0.5]),
        "audit/sequences.tsv": sequences(np.nan).query("cut == 'disjoint' and rung == 'chromosome' and model == 'cnn'"),
        "audit/sequence_positions.tsv": positions().assign(drop=0.0, low=0.0, high=0.0),
        "audit/sequence_mutations.tsv": pd.DataFrame({"model": "cnn", "position": np.arange(200), "change": 0.0}),
        "audit/sequence_words.tsv": words(3),
        "audit/follow_up.json": {**FOLLOW_UP, "n_predicted": 0, "gc_embedding": np.nan, "gc_cnn": np.nan},
        "audit/smoothing.tsv": smoothing(np.nan).assign(
            value=lambda rows: rows["value"].where(rows["metric"] != "precision_nt")
        ),
        "audit/smooth.tsv": smoothed(2).assign(probability=np.nan, posterior=np.nan),
        "audit/smoothing.json": SMOOTHERS,
        "audit/gene_counts.tsv": audit_results()["audit/gene_counts.tsv"].iloc[1:2].assign(
            predicted_rows=0, predicted_loci=0, predicted_symbols=0
        ),
        "audit/gene_flags.tsv": lone,
        "audit/gene_doses.tsv": doses(["out of fold"]).assign(n_all=0, n_predicted=0, share_predicted=np.nan),
        "audit/genes.tsv": scores(1).assign(in_window=False, in_depleted_window=False),
        "audit/genes.json": {"inputs": {}, "windows": []},
        "audit/intersections.tsv": intersections().head(1).assign(
            ratio=np.nan, low=np.nan, high=np.nan, p=1.0, conclusion="no difference shown"
        ),
    }  # fmt: skip
