"""The effects of the deviations, each held to a count by hand, an obvious loop or a reference."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import GaussianNB

from neanderthal_nlp import cli, kmers
from neanderthal_nlp.audit import effects, refits
from neanderthal_nlp.audit.deviations import DEVIATIONS, Effect, effects_of, show, tabulate, to_markdown, unmeasured
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import read_table
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.linear import fit_linear
from neanderthal_nlp.sequences import make_windows
from neanderthal_nlp.splits import Split

DOCUMENT = Path(__file__).parents[1] / "docs" / "deviations.md"


def frame(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def by_measure(rows):
    return {row.measure: (row.default, row.other) for row in rows}


def overlap(one, other):
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


# The list and the table


def test_the_list_says_something_of_everything():
    keys = [item.key for item in DEVIATIONS]
    assert len(set(keys)) == len(keys)
    assert [item.section for item in DEVIATIONS] == sorted(item.section for item in DEVIATIONS)
    for item in DEVIATIONS:
        assert item.section in range(1, 6)
        assert all((item.matter, item.article, item.code, item.default))


def test_the_page_says_what_the_list_says():
    rows = [[cell.strip() for cell in line.strip("|\n ").split(" | ")]
            for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]  # fmt: skip
    written = [row[:6] for row in rows if row[0].isdigit()]
    listed = [[str(item.section), item.matter, item.article, item.code, item.default, item.option or "none"]
              for item in DEVIATIONS]  # fmt: skip
    assert written == listed


def test_the_page_shows_what_the_command_wrote():
    tables = {"demo: default → other": "demo", "hg19 islands, published coordinates: default → other": "hg19"}
    written = {title: pd.read_csv(DOCUMENT.parent / f"measured/{name}.tsv", sep="\t") for title, name in tables.items()}
    page = DOCUMENT.read_text(encoding="utf-8")
    for table in to_markdown(written).split("\n\n"):
        assert table.strip() in page


def test_the_table_is_in_the_order_of_the_list_and_takes_differences():
    rows = [Effect("p_value", "b", 0.5, 0.25, 4, "draws"), Effect("extraction", "a", 1, 3, 2, "windows"),
            Effect("p_value", "a", 1, np.nan, 4, "draws")]  # fmt: skip
    table = tabulate(rows)
    assert list(table["deviation"]) == ["extraction", "p_value", "p_value"]
    assert list(table["measure"]) == ["a", "b", "a"]
    assert list(table["effect"].iloc[:2]) == [2, -0.25]
    assert np.isnan(table["effect"].iloc[2])
    assert effects_of(table)[:2] == [rows[1], rows[0]]
    assert "extraction" not in unmeasured(table)
    assert len(unmeasured(table)) == len(DEVIATIONS) - 2
    with pytest.raises(ValueError, match="found elsewhere"):
        tabulate([Effect("elsewhere", "a", 0, 0, 1, "x")])


def test_markdown_has_each_deviation_and_each_measure_once():
    one = tabulate([Effect("extraction", "words", 0, 1.5, 1234, "windows"), Effect("extraction", "x", 1, 1, 1, "y")])
    other = tabulate([Effect("extraction", "words", 0, 2, 5, "windows")])
    first, second = to_markdown({"demo": one, "hg19": other}).split("\n\n")
    assert len(first.splitlines()) == len(DEVIATIONS) + 2
    assert first.splitlines()[2].startswith("| 1 | extraction of letters | ")
    assert second.splitlines()[4:6] == ["| regions that start at 0 | not measured | - | - |",
                                        "| draws and N | not measured | - | - |"]  # fmt: skip
    assert second.splitlines()[2:4] == [
        "| extraction of letters | words | 0 → 1.5 (n = 1,234 windows) | 0 → 2 (n = 5 windows) |",
        "| extraction of letters | x | 1 → 1 (n = 1 y) | - |",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (0.123456, "0.1235"), (12345.6, "12,346"), (np.nan, "none"), (0, "0")]
)
def test_numbers_for_people(value, text):
    assert show(value) == text


# From coordinates


def test_regions_that_samtools_gives_no_letters_for():
    regions = frame([("chr1", 0, 9), ("chr1", 1, 9), ("chr2", 0, 5)])
    found = effects.starts_at_zero(regions, regions.iloc[1:])
    assert [(row.default, row.other, row.n) for row in found] == [(0, 2, 3), (0, 1, 2)]


def test_pairs_lost_to_n_by_hand():
    regions = frame([("chr1", 0, 100), ("chr1", 200, 300), ("chr1", 880, 950)])
    gaps = frame([("chr1", 940, 1000)])
    published = frame([("chr1", 400, 500), ("chr1", 899, 999), ("chr1", 500, 570)])  # the second meets the gap
    rows = effects.draws_and_n(regions, {"chr1": 1000}, gaps, published=published, rng=1)
    found = by_measure(rows)
    assert found["pairs kept, published draw"] == (2, 1)  # the third region holds an N itself
    assert found["share of drawn regions with an N, published draw"] == (0, 1 / 3)
    assert {row.n for row in rows} == {3}
    # Without a gap neither way loses anything.
    none = by_measure(effects.draws_and_n(regions, {"chr1": 1000}, gaps.iloc[:0], rng=1))
    assert none == {"pairs kept": (3, 3), "share of drawn regions with an N": (0, 0)}
    # Draws start at 0 to 500; those below 400 meet the gap.
    many = frame([("chr1", 600, 700)] * 4000)
    found = by_measure(effects.draws_and_n(many, {"chr1": 700}, frame([("chr1", 0, 400)]), rng=1))
    assert found["share of drawn regions with an N"] == (0, pytest.approx(400 / 501, abs=0.03))
    assert found["pairs kept"][1] == 4000 - round(4000 * found["share of drawn regions with an N"][1])


@given(
    regions=st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 30), st.integers(1, 9)).map(
            lambda row: (row[0], row[1], row[1] + row[2])
        ),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_chances_of_a_draw_equal_a_loop_over_all_starts(regions):
    sizes = {"chr1": 42, "chr2": 50}
    beyond, equal = [], []
    for chrom, start, end in regions:
        drawn = [(chrom, at, at + end - start) for at in range(sizes[chrom])]
        free = [draw for draw in drawn if not any(overlap(draw, region) for region in regions)]
        inside = [draw for draw in free if draw[2] <= sizes[chrom]]
        same = [draw for draw in drawn if draw in regions]
        assume(inside)
        beyond.append(1 - len(inside) / len(free))
        equal.append(len(same) / (len(inside) + len(same)))
    table = frame(regions)
    assert effects.draw_range(table, sizes)[0].other == pytest.approx(sum(beyond))
    assert effects.draw_equal(table, sizes)[0].other == pytest.approx(sum(equal))


def test_a_given_draw_is_counted_as_it_is():
    regions = frame([("chr1", 10, 20), ("chr1", 30, 40), ("chr2", 0, 10)])
    published = frame([("chr1", 30, 40), ("chr1", 35, 45), ("chr2", 45, 55)])
    sizes = {"chr1": 50, "chr2": 50}
    assert effects.draw_range(regions, sizes, published=published)[1].other == 1
    assert effects.draw_equal(regions, sizes, published=published)[1].other == 1


def test_the_published_draw_and_what_its_range_must_have_been(published):
    from neanderthal_nlp.intervals import read_bed, read_chromsizes

    regions, drawn = (read_bed(published(f"Akey_{name}_coords.bed")) for name in ("intr", "depl"))
    sizes = read_chromsizes(published("chrom.sizes"))
    expected, found = effects.draw_range(regions, sizes, published=drawn)
    assert found.other == 122
    assert abs(expected.other - 122) < 3 * 122**0.5  # as if starts ran to the chromosome's end
    assert effects.draw_equal(regions, sizes, published=drawn)[1].other == 0


def test_share_of_the_letters_that_is_read():
    found = by_measure(effects.region_length(frame([("chr1", 0, 30), ("chr1", 5, 10)]), length=10))
    assert found == {
        "share of the regions' letters that is read": (15 / 35, 1),
        "regions shorter than a window": (1, 1),
    }


def test_leading_kmers_by_impurity_and_by_permutation():
    table = pd.DataFrame({"kmer": list("ABCD"), "importance": [0.4, 0.3, 0.2, 0.1],
                          "permutation": [0.01, 0.05, 0.04, np.nan]})  # fmt: skip
    (shared,) = effects.importances(table, n_leading=2)
    assert (shared.default, shared.other, shared.n) == (2, 1, 3)  # B leads in both, A and C in one


def test_split_takes_the_ladders_accuracies():
    rows = [("article", "forest", 0.9, 40), ("chromosome", "forest", 0.6, 30), ("article", "network", 0.8, 40)]
    ladder = pd.DataFrame(
        [(rung, model, "accuracy", value) for rung, model, value, _ in rows]
        + [(rung, model, "n_test", n) for rung, model, _, n in rows],
        columns=["rung", "model", "metric", "value"],
    )
    (found,) = effects.split_protocol(ladder)
    assert (found.default, found.other, found.n) == (0.9, 0.6, 30)


def test_repeated_genes_are_counted_once_and_twice():
    genes = frame([("chr1", 0, 9), ("chr1", 0, 9), ("chr1", 0, 9)]).assign(gene_symbol=["A", "A", "B"])
    table = pd.DataFrame({"Gene": ["g"] * 3, "Gene_Symbol": ["A", "A", "B"], "Predict": [1.0, 1.0, 0.0]})
    found = by_measure(effects.gene_list(genes, table, table.assign(Predict=1.0)))
    assert found["genes in the list"] == (3, 2)
    assert found["genes predicted"] == (2, 1)
    assert found["genes predicted, published table"] == (3, 2)


def test_p_values_by_hand():
    article, ours = effects.p_values(5, [4, 5, 6, 9])
    assert (article.default, article.other) == (1 / 18, 1 / 17)
    assert (ours.default, ours.other) == (3 / 5, 2 / 4)
    assert effects.p_values(5, [6, 9])[1][2:4] == (1 / 3, 1 / 2)


def test_dependence_compares_like_with_like():
    audit = pd.DataFrame({"variant": ["article", "clear_of_gaps", "rotated"], "n_regions": [9, 9, 9],
                          "low": [0.5, 1, 1], "high": [0.9, 1, 1], "ratio": [0.7, 0.6, 0.8], "p": [0.1, 0.2, 0.3],
                          "n_draws": 20})  # fmt: skip
    width, ratio, p = effects.dependence(10, [20, 20, 20], audit)
    assert (width.default, width.other) == pytest.approx((0, 0.4))
    assert (ratio.default, ratio.other, ratio.n) == (0.6, 0.8, 20)
    assert (p.default, p.other) == (0.2, 0.3)
    assert len(effects.dependence(10, [20, 20], audit.assign(n_regions=[9, 9, 5]))) == 1


def test_gaps_take_up_draws_that_would_meet_no_gene():
    genes = frame([("chr1", start, start + 50) for start in range(1000, 5000, 100)])
    regions = frame([("chr1", 1050, 1070), ("chr1", 2050, 2070), ("chr1", 0, 900)])
    gaps = frame([("chr1", 5000, 10_000)])
    (ratio,) = effects.gaps_in_test(regions.iloc[:2], genes, {"chr1": 10_000}, gaps, n_draws=200, rng=1)
    assert ratio.default == ratio.other == 0
    touching = regions.iloc[:2].assign(end=lambda table: table["end"] + 60)
    (ratio,) = effects.gaps_in_test(touching, genes, {"chr1": 10_000}, gaps, n_draws=200, rng=1)
    assert ratio.default / ratio.other == pytest.approx(9000 / 4000, rel=0.25)  # most of the places are gaps


# From letters and models


@pytest.fixture(scope="module")
def letters_file(tmp_path_factory):
    """Two chromosomes of random letters; an N right before the second region of `PAIRS`."""
    rng = np.random.default_rng(4)
    path = tmp_path_factory.mktemp("letters") / "genome.fa"
    texts = {}
    for chrom in ("chr1", "chr2"):
        text = rng.choice(list("ACGT"), 9000)
        text[2999] = "N"
        texts[chrom] = "".join(text)
    path.write_text("".join(f">{chrom}\n{text}\n" for chrom, text in texts.items()))
    return path, texts


INTROGRESSED = frame([("chr1", 1000 * i, 1000 * i + 400) for i in range(1, 9)])
DEPLETED = INTROGRESSED.assign(chrom="chr2", start=INTROGRESSED["start"] + 500, end=INTROGRESSED["end"] + 500)
GAPS = frame([("chr1", 2999, 3000), ("chr2", 2999, 3000)])


def test_the_shift_is_that_of_samtools(letters_file, tmp_path):
    path, texts = letters_file
    with open_genome(path, cache=tmp_path) as genome:
        windows = make_windows(INTROGRESSED, DEPLETED, genome, length=200, k=3, gaps=GAPS)
        parts = Split(np.array([0, 1, 2, 3, 8, 9, 10, 11]), np.array([4, 5, 12, 13]))
        rows = refits.extraction(windows, genome, parts, gaps=GAPS, length=200, k=3, trees=5, seed=1, n_jobs=1)
    found = by_measure(rows)
    assert found["windows lost to an N"] == (0, 2)  # the pair whose introgressed region follows the N
    exchanged = []
    for chrom, start, _ in pd.concat([INTROGRESSED, DEPLETED]).itertuples(index=False):
        if start in (3000, 3500):
            continue
        exact = texts[chrom][start : start + 200]
        pysam.faidx("-o", str(tmp_path / "pasted.fa"), str(path), f"{chrom}:{start}-{start + 199}")
        pasted = "".join((tmp_path / "pasted.fa").read_text().splitlines()[1:])
        counts = [CountVectorizer(vocabulary=kmers.vocabulary(3), lowercase=False).fit_transform(
            [kmers.to_sentence(text, 3)]).toarray()[0] for text in (exact, pasted)]  # fmt: skip
        exchanged.append(np.abs(counts[0] - counts[1]).sum() / 2)
    assert found["words exchanged, mean per window"] == (0, pytest.approx(np.mean(exchanged)))
    assert found["share of windows whose counts change"] == (0, pytest.approx(np.mean(np.array(exchanged) > 0)))
    assert {row.n for row in rows} == {14, 16, 4}


def test_a_vocabulary_fitted_on_the_genes_is_countvectorizers():
    rng = np.random.default_rng(2)
    texts = ["".join(rng.choice(list("ACGT"), 30)) for _ in range(6)] + ["AAAA"]
    counts = kmers.count_kmers(texts, 3)
    refitted = CountVectorizer(lowercase=False).fit([kmers.to_sentence(text, 3) for text in texts])
    fresh = refitted.transform([kmers.to_sentence(text, 3) for text in texts]).toarray()
    missing, moved = refits.vectoriser(counts)
    assert missing.other == 64 - fresh.shape[1] > 0
    assert moved.other == (fresh != counts[:, : fresh.shape[1]]).any(axis=1).sum() > 0
    assert [row.other for row in refits.vectoriser(np.ones((3, 4), int))] == [0, 0]


class Threshold:
    """Calls a gene introgressed whose first word occurs more than `limit` times."""

    def __init__(self, limit):
        self.limit = limit

    def predict(self, X):
        return (X[:, 0] > self.limit).astype(float)


def test_genes_at_two_lengths_by_hand(letters_file, tmp_path):
    genes = frame([("chr1", 0, 900), ("chr1", 4000, 4100), ("chr2", 4000, 6000), ("chr9", 0, 900), ("chr1", 50, 60)])
    genes = genes.assign(gene_symbol=list("ABCDE"), strand="+")
    path, texts = letters_file
    with open_genome(path, cache=tmp_path) as genome:
        counts, others = refits.gene_texts(genes, genome, length=100, other=400, k=1)
    # D is unknown and E is short; B is too short for 400 nt and stands last.
    places = [("chr1", 0, 100), ("chr2", 4000, 4100), ("chr1", 4000, 4100)]
    assert counts.tolist() == [[texts[c][s:e].count(x) for x in "ACGT"] for c, s, e in places]
    assert others.tolist() == [[texts[c][s : s + 400].count(x) for x in "ACGT"] for c, s, _ in places[:2]]
    found = by_measure(refits.gene_length(np.array([[3, 1], [1, 3]]), np.array([[8, 0], [4, 4]]), Threshold(3)))
    assert found["genes predicted, text as long as a window"] == (0, 2)
    assert found["genes predicted, counts scaled to a window"] == (0, 1)
    assert found["share of genes called otherwise, longer text"] == (0, 1)
    assert found["words per gene, mean"] == (4, 8)
    assert found["genes long enough"] == (2, 2)
    assert refits.gene_length(counts, others[:0], Threshold(3)) == []


def test_gc_of_genes_with_and_without_n(letters_file, tmp_path):
    genes = frame([("chr1", 2000, 2500), ("chr1", 2900, 3100), ("chr1", 2999, 3000), ("chrX", 0, 5)])
    path, texts = letters_file
    with open_genome(path, cache=tmp_path) as genome:
        (found,) = effects.gene_gc(genes, GAPS, genome)
    shares = [sum(x in "GC" for x in text) / sum(x != "N" for x in text)
              for text in (texts["chr1"][2000:2500], texts["chr1"][2900:3100])]  # fmt: skip
    assert (found.default, found.other, found.n) == (pytest.approx(shares[0]), pytest.approx(np.mean(shares)), 2)


@pytest.fixture(scope="module")
def rows():
    """400 rows of six counts of very different size, two of which tell the label."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 400)
    X = rng.poisson([20, 500, 3, 2000, 40, 9], (400, 6)).astype(np.int32)
    X[:, 0] += 5 * y
    X[:, 2] += 2 * y
    return X, y, Split(np.arange(300), np.arange(300, 400))


def test_linear_models_against_scikit_learns_defaults(rows):
    X, y, parts = rows
    found = by_measure(refits.linear_models(X, y, parts, seed=1))
    both = fit_linear("naive_bayes", X[:300], y[:300], seed=1), GaussianNB().fit(X[:300], y[:300])
    assert found["accuracy, naive bayes"] == tuple(np.mean(model.predict(X[300:]) == y[300:]) for model in both)
    scaled = fit_linear("logistic_regression", X[:300], y[:300], seed=1)
    assert found["accuracy, logistic regression"][0] == np.mean(scaled.predict(X[300:]) == y[300:])
    assert found["fits that stopped before they converged"] == (0, 1)  # the default 100 steps on raw counts


def test_last_epoch_and_best_epoch(rows, tmp_path):
    from neanderthal_nlp import network

    X, y, parts = rows
    (found,), history = refits.last_epoch(X, y, parts, directory=tmp_path, epochs=4, seed=1)
    last = network.build_mlp(6, seed=1)
    network.train_mlp(last, X[:300], y[:300], directory=tmp_path, epochs=4, seed=1, report=None)  # resumed: the last
    best = network.load_mlp(tmp_path / "network.keras")
    called = [np.mean((network.predict_mlp(model, X[300:]) > 0.5) == y[300:]) for model in (best, last)]
    assert (found.default, found.other) == tuple(called)
    assert len(history) == 4
    (validation,) = refits.best_epoch(history, n_validation=60)
    assert validation.default == history["val_binary_accuracy"].max()
    assert validation.other == history["val_binary_accuracy"].iloc[-1]


# The command


def call(*words):
    cli.app(list(map(str, words)), standalone_mode=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run up to its gene test, and the words that name genome, genes and folder."""
    folder = tmp_path_factory.mktemp("run")
    sizes = {"chr1": 1_500_000, "chr2": 1_200_000, "chr3": 1_000_000, "chr4": 800_000}
    found = {
        path.name: path for path in write_demo(folder, chromsizes=sizes, n_regions=90, n_genes=60, seed=3).values()
    }
    run, cache, genome = folder / "run", ["--cache", folder / "cache"], ["--genome", found["genome.fa.gz"]]
    directory, genes = ["--directory", run], ["--genes", found["refGene.txt.gz"]]
    call("regions", *genome, *directory, *cache, "--introgressed", found["introgressed.bed"])
    call("windows", *genome, *directory, *cache)
    call("kmers", *genome, *directory, *cache)
    call("split", *directory)
    call("network", *directory, "--epochs", 3)
    call("forest", *directory, "--trees", 5)
    call("genes", *genome, *genes, *directory, *cache)
    call("intersections", *genome, *genes, *directory, *cache, "--draws", 20)
    return run, [*genome, *genes, *directory, *cache]


def test_the_command_measures_all_that_the_run_tells(finished, capfd):
    run, words = finished
    call(
        "audit", "deviations", *words, "--epochs", 2, "--draws", 5, "--published-depleted", run / "results/depleted.bed"
    )
    table = read_table(run / "results/audit/deviations.tsv")
    assert unmeasured(table) == ["split", "dependence"]  # the audit's other parts were not run
    assert np.allclose(table["effect"], table["other"] - table["default"])
    found = table.set_index("measure")
    accuracy = {name: read_table(run / f"results/predictions/{name}.tsv") for name in ("forest", "network")}
    scored = {name: np.mean((rows["score"] > 0.5) == rows["label"]) for name, rows in accuracy.items()}
    assert found.loc["forest accuracy, 5 trees", "default"] == pytest.approx(scored["forest"])
    history = read_table(run / "results/history.tsv")["val_binary_accuracy"]
    assert found.loc["validation accuracy, 3 epochs", "default"] == pytest.approx(history.max())
    assert found.loc["validation accuracy, 2 epochs", "default"] == pytest.approx(history.iloc[:2].max())
    # The draw given as the published one is the run's own, which is clear of N.
    assert found.loc["pairs kept, published draw", "effect"] == 0
    record = json.loads((run / "results/audit/deviations.json").read_text())
    assert (record["unmeasured"], record["parameters"]["epochs"]) == (["split", "dependence"], 2)
    assert "published_depleted" in record["inputs"]
    assert not (run / "results/audit/deviations.training").exists()
    heard = capfd.readouterr().err
    assert "not measured, the run lacks what it takes: split, dependence" in heard
    assert all(measure in heard for measure in table["measure"])
    page = (run / "results/audit/deviations.md").read_text()
    assert all(measure in page for measure in table["measure"])


def test_the_command_refuses_another_draw_and_an_unfinished_run(finished, refused, tmp_path):
    run, words = finished
    other = tmp_path / "other.bed"
    rows = (run / "results/depleted.bed").read_text().splitlines(keepends=True)
    other.write_text("".join(rows[1:] + rows[:1]))
    with refused(other, "row by row"):
        call("audit", "deviations", *words, "--published-depleted", other)
    with pytest.raises(InputError, match=r"network\.json"):
        call("audit", "deviations", *words[:4], "--directory", tmp_path / "empty")
