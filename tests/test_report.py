import base64
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml
from audit_results import (
    ACCURACIES,
    FOLLOW_UP,
    RUNGS,
    SMOOTHERS,
    WIDTHS,
    audit_results,
    ladder,
    null,
    poorest_audit,
    positions,
    sequences,
    smoothing,
    sweep,
)
from test_figures import save

from neanderthal_nlp import cli
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures import FIGURES
from neanderthal_nlp.figures.audit import CONTROL_NAMES, MODEL_NAMES
from neanderthal_nlp.report import (
    LARGEST_SVG,
    TITLES,
    build_sections,
    findings,
    held_out,
    load_run,
    render_report,
    sub_sequences,
)
from neanderthal_nlp.report.sections import write_value

VOID = {"meta", "img", "br", "hr", "link", "input"}
CLAIMS = pd.DataFrame({
    "claim": ["network", "strange", "gc"], "section": ["2", "3", "follow-up"],
    "sentence": ["Test accuracy of the network", "Genes with <script>alert(1)</script> & more", "GC content"],
    "published": ["82.2%", "k < 5", "47% and 41%"], "reproduced": ["81.9% (80.1% to 83.0%)", "none", "genes 47.3%"],
    "value": [0.819, np.nan, 0.06], "low": [0.801, np.nan, np.nan], "high": [0.83, np.nan, np.nan],
    "verdict": ["reproduced", "not testable on this input", "differs"],
    "measured": ["article split", "counted", "mean"],
})  # fmt: skip
HASHES = {"genome": "1" * 64, "introgressed": "2" * 64}


def svg(name):
    style = "font-size: 7px; font-family: 'DejaVu Sans'"
    return f'<svg xmlns="http://www.w3.org/2000/svg"><text style="{style}">{name}</text></svg>'


def write_run(directory, results):
    """A finished run with the given audit; its figures are pictures of their names."""
    inputs = {name: {"path": f"/data/mine/{name}.gz", "sha256": digest} for name, digest in HASHES.items()}
    save({
        "claims.tsv": CLAIMS,
        "regions.json": {"synthetic": True, "inputs": inputs, "versions": {"numpy": "2.4.6"}, "seconds": 9.87},
        "intersections.json": {"inputs": {"introgressed": {"path": "results/introgressed.bed", "sha256": "3" * 64}}},
        **results,
    }, directory / "results")  # fmt: skip
    config = {"synthetic": False, "epochs": 200, "genome": "/data/mine/genome.gz", "gaps": None}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    (directory / "figures").mkdir()
    for name in FIGURES:
        (directory / "figures" / f"{name}.svg").write_text(svg(name))
        (directory / "figures" / f"{name}.png").write_bytes(b"\x89PNG " + name.encode())
    return directory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), audit_results())


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "another place")


@pytest.fixture(scope="module")
def page(run):
    return render_report(load_run(run))


class Page(HTMLParser):
    """Elements of a page, with what is open around each; refuses what does not close."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words, self.rows = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{self.getpos()}: </{tag}>"

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def read(directory):
    return Page(render_report(load_run(directory)))


def test_html_is_well_formed_and_its_links_lead_somewhere(page):
    found = Page(page)
    ids = [attrs["id"] for _, attrs in found.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = [attrs["aria-labelledby"] for _, attrs in found.elements if "aria-labelledby" in attrs]
    inside = [attrs["href"][1:] for attrs in found.all("a") if attrs["href"].startswith("#")]
    assert len(inside) > 8
    assert set(named + inside) <= set(ids)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1, "no level is left out"


def test_tables_say_what_their_cells_are(page):
    found = Page(page)
    assert len(found.all("table")) == len(found.all("caption")) > 15
    assert {attrs.get("scope") for attrs in found.all("th")} == {"row", "col"}
    heads = [attrs["data-label"] for attrs in found.all("td")]
    assert all(heads)
    tables = page.split("<table")[1:]
    for table in tables:
        parsed = Page("<table" + table.split("</table>")[0] + "</table>")
        assert len(set(parsed.rows)) == 1, "every row has a cell for each column"


def test_nothing_is_fetched(page):
    found = Page(page)
    assert not found.all("script") + found.all("link") + found.all("iframe") + found.all("base")
    addresses = [(tag, attrs[name]) for tag, attrs in found.elements
                 for name in ("src", "srcset", "href", "data", "poster", "action") if name in attrs]  # fmt: skip
    outside = [(tag, value) for tag, value in addresses if not value.startswith(("#", "data:"))]
    assert {tag for tag, _ in outside} == {"a"}
    assert all(value.startswith("https://") for _, value in outside)
    assert not re.search(r"url\(|@import|@font-face", page)


def test_every_figure_is_there_and_described(page):
    pictures = Page(page).all("img")
    contents = [base64.b64decode(attrs["src"].partition("base64,")[2]).decode() for attrs in pictures]
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for attrs in pictures)
    assert sorted(re.search(r">(\w+)</text>", content)[1] for content in contents) == sorted(FIGURES)
    assert all("'DejaVu Sans', Verdana, sans-serif" in content for content in contents), "other machines' fonts"
    alternatives = [attrs["alt"] for attrs in pictures]
    assert len(set(alternatives)) == len(FIGURES)
    assert min(map(len, alternatives)) > 40
    assert set(TITLES) | {section.figure for section in build_sections({})} == set(FIGURES)


def test_large_pictures_are_shown_as_png(copy):
    (copy / "figures/15_gene_audit.svg").write_text(svg("x" * LARGEST_SVG))
    (copy / "figures/02_top_kmers.svg").unlink()
    pictures = load_run(copy).pictures
    for name in FIGURES:
        kind = "png" if name in ("15_gene_audit", "02_top_kmers") else "svg+xml"
        assert pictures[name].startswith(f"data:image/{kind};base64,")


def test_figures_that_were_not_drawn(copy):
    for path in (copy / "figures").glob("12_*"):
        path.unlink()
    found = read(copy)
    assert "The figure 12_leak_ladder was not drawn." in found.text
    assert len(found.all("img")) == len(FIGURES) - 1


def test_numbers_of_the_ladder(page):
    text = Page(page).text
    for model, values in ACCURACIES.items():
        name = {**MODEL_NAMES, **CONTROL_NAMES}[model]
        cells = [f"{value:.1f} % ({value - WIDTHS[rung]:.1f} to {value + WIDTHS[rung]:.1f})"
                 for rung, value in zip(RUNGS, values, strict=True)]  # fmt: skip
        assert f"{name} {' '.join(cells)}" in text
    assert "logistic regression 79.9 % (79.3 to 80.5) 0.799 (0.793 to 0.805) 0.123 (0.111 to 0.135)" in text
    assert "133,752" in text, "the number of training windows"


EXPECTED = [
    "network 79.2 % (78.5 to 79.9)",  # on random letters
    "14,670 62.4 % 87.5 % 95.3 %",
    "20,000 of 167,188 windows, 15,940 of them to train",
    "2 0.890 (0.830 to 0.940) 0.870 (0.810 to 0.920) 0.630 (0.570 to 0.680) 0.610 (0.550 to 0.660)",
    "logistic regression on canonical words of 2 letters (chosen) 16 0.880 (0.020) 0.890 (0.830 to 0.940) 0.200",
    "LSTM 99.5 % (97.5 to 100.0) 76.0 % (74.0 to 78.0) 51.0 % (49.0 to 53.0) 60.0 % (58.0 to 62.0) 99.3 % (97.3 to",
    "Convolutional network 69.0 % (67.0 to 71.0) 74.0 % (72.0 to 76.0) 53.0 % (51.0 to 55.0) 52.0 % (50.0 to 54.0) – –",
    "score alone 0.700 (0.670 to 0.730) 0.400 (0.370 to 0.430) – – –",
    "with neighbours: posterior 0.860 (0.830 to 0.890) 0.650 (0.620 to 0.680) 0.080 (0.050 to 0.110) 63.0 % (60.0 to "
    "66.0) 54.0 % (51.0 to 57.0)",
    "GC content 39.2 % 40.9 % 39.2 % −0.412 −0.003 yes",
    "length of region 92,138 nt 92,138 nt 92,138 nt 0.000 0.000 yes",
    "as published 477 of 21,503 391 of 17,001 412 of 19,702",
    "as published: near window 453 of 477 (95.0 %) 3,440 of 21,503 (16.0 %) 20 (16 to 27)",
    "overlapping regions merged, drawn clear of gaps; 3 left out that cannot be drawn 6,060 8,759 9,898 "
    "0.885 (0.856 to 0.915) 0.005 (0 of 200 draws at or below) fewer genes",
    "gc matched 39.3 % 43.1 % 39.4 % −0.880 −0.040",
    "genome genome.gz " + HASHES["genome"],
    "published Neanderthal_Genes.txt " + "c" * 64,
    "epochs 200",
    "gaps –",
    "synthetic no",
    "numpy 2.4.6",
    "3 claims: 1 differs, 1 not testable on this input, 1 reproduced.",
    "Test accuracy of the network 2 82.2% 81.9% (80.1% to 83.0%) reproduced",
    "Test accuracy of the network article split",
    "The input of this run is synthetic.",
]


@pytest.mark.parametrize("words", EXPECTED)
def test_words_of_the_page(page, words):
    assert words in Page(page).text


def test_only_names_of_files_are_told(page):
    assert "/data" not in page
    assert "mine" not in page
    assert "windows.tsv" not in Page(page).text, "a result is not an input"
    assert "9.87" not in page


def test_same_results_give_the_same_bytes(page, copy):
    assert render_report(load_run(copy)) == page


def test_claims_are_text_not_markup(page):
    assert "<script>" not in page
    assert "Genes with &lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_controls_of_claims_are_shown_where_they_are(copy, page):
    assert "what it means" not in Page(page).text
    claims = CLAIMS.assign(
        control=["85.0% on random letters", "", ""], meaning=["reproduced; leakage explains it", "", ""]
    )
    save({"claims.tsv": claims}, copy / "results")
    text = read(copy).text
    assert "verdict control what it means" in text
    assert "reproduced 85.0% on random letters leakage explains it" in text
    save({"claims.tsv": claims.assign(control=np.nan)}, copy / "results")
    assert not re.search(r"\bnan\b", read(copy).text, re.IGNORECASE)


OPTIONAL = {
    "claims.tsv": "claims", "audit/ladder.tsv": "ladder", "audit/null.tsv": "null", "audit/leak.json": "leaks",
    "audit/matched/balance.tsv": "matching", "audit/matched/match.json": "matching", "audit/gene_counts.tsv": "genes",
    "audit/sweep.tsv": "sweep", "audit/sweep.json": "sweep", "audit/null/sweep.tsv": "sweep",
    "audit/sequences.tsv": "sequences", "audit/sequence_positions.tsv": "positions",
    "audit/sequence_mutations.tsv": "positions", "audit/follow_up.json": "words",
    "audit/smoothing.tsv": "smoothing", "audit/smoothing.json": "smoothing",
    "audit/gene_flags.tsv": "genes", "audit/gene_doses.tsv": "doses", "audit/intersections.tsv": "intersections",
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_was_not_run_is_said(copy, name):
    (copy / "results" / name).unlink()
    html = render_report(load_run(copy))
    section = html.split(f'id="{OPTIONAL[name]}"')[1].split("</section>")[0]
    assert f"This part was not run: results/{name} is not there." in section
    others = Page(html).text.count("This part was not run")
    assert others == (2 if name == "audit/ladder.tsv" else 1), "the null genome is compared with the ladder"


@pytest.mark.parametrize(
    "name", ["regions.json", "intersections.json", "audit/genes.json", "audit/intersection_balance.tsv"]
)
def test_what_adds_to_a_section_may_be_missing(copy, name):
    (copy / "results" / name).unlink()
    assert "This part was not run" not in read(copy).text


def test_a_run_of_nothing(tmp_path):
    (tmp_path / "results").mkdir()
    found = read(tmp_path)
    assert found.text.count("This part was not run") == 13
    assert "There is no config.yaml" in found.text
    assert "synthetic" not in found.text
    assert not found.all("img")


def test_poorest_results(tmp_path):
    text = read(write_run(tmp_path / "poor", poorest_audit())).text
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b", text)
    assert "Out of fold: 0 of 21,503 rows are predicted, in 0 of 17,001 loci." in text
    assert "(standardised difference +∞)" in text
    assert "observed against expected is not defined" in text
    assert "as if half of all windows were introgressed, nothing is called." in text
    assert "That nothing is shown to be learnable from words" in text
    assert "was not scored on sub-sequences that are split at random." in text
    assert "at 0 of 191 places the loss is above zero" in text


def test_files_that_are_not_what_they_should_be(copy, tmp_path, refused):
    with refused(tmp_path / "nowhere/results", "not found"):
        load_run(tmp_path / "nowhere")
    save({"audit/null.tsv": null().drop(columns="rung")}, copy / "results")
    with refused("null.tsv", "no column rung"):
        load_run(copy)
    save({"audit/null.tsv": null(), "audit/leak.json": {"n_pairs": 1}}, copy / "results")
    with refused("leak.json", "no protocols (found n_pairs)"):
        load_run(copy)
    (copy / "results/audit/leak.json").unlink()
    for text, message in (("a: [", "not YAML"), ("- a", "found list, expected keys and values")):
        (copy / "config.yaml").write_text(text)
        with refused(copy / "config.yaml", message):
            load_run(copy)


def test_the_command_writes_the_page(copy, page):
    cli.app(["report", "--directory", str(copy)], standalone_mode=False)
    assert (copy / "report.html").read_text(encoding="utf-8") == page
    (copy / "config.yaml").write_text("- a")
    with pytest.raises(InputError):
        cli.app(["report", "--directory", str(copy)], standalone_mode=False)
    assert (copy / "report.html").read_text(encoding="utf-8") == page, "the former page stands"
    assert not list(copy.glob("*.part"))


# Sentences


def test_sentences_of_the_ladder():
    sentences = findings.describe_ladder(ladder())
    assert sentences == [
        "Under the article’s random split the best model (random forest) is right on 84.5 % (83.9 to 85.1 %) of the "
        "test windows; chance is 50.0 %.",
        "With whole chromosomes held out and depleted windows alike in length and composition it is right on 51.7 % "
        "(48.9 to 54.5 %): 1.7 of 34.5 points above chance are left; its AUROC there is 0.52, which a lean to one "
        "class does not spoil.",
        "The best AUROC there is 0.52 (0.50 to 0.55, logistic regression) and is not shown to be above one half, which "
        "is not to show that there is nothing.",
        "Rules that compare coordinates and read no letter reach 81.4 % to 97.7 % under the article’s random split: "
        "up to there an accuracy needs no ancestry.",
        "With whole chromosomes held out a model reaches with GC content alone 57.9 % (55.2 to 60.6 %), with "
        "dinucleotides alone 59.2 % (56.5 to 61.9 %), with shuffled labels 50.4 % (47.7 to 53.1 %): up to there "
        "composition or luck is enough.",
    ]


def test_what_may_be_left_depends_on_the_last_rung():
    rows = ladder()
    for last, rest in (("chromosome", "composition, such as GC content"), ("distinct", "overlapping windows")):
        kept = rows[rows["rung"].isin(RUNGS[: RUNGS.index(last) + 1])]
        (sentence,) = (text for text in findings.describe_ladder(kept) if "may be" in text)
        assert f"what is above one half may be {rest}" in sentence
    alone = findings.describe_ladder(rows[rows["rung"] == "article"])
    assert not any("are left" in sentence for sentence in alone)
    controls = findings.describe_ladder(rows[rows["model"] == "gc"])
    assert controls == ["No model that reads all words was scored."]


def test_sentences_of_the_null_genome():
    random, apart, caution = findings.describe_null(ladder(), null())
    assert random == (
        "Under the article’s random split the best model on random letters (random forest) is right on 81.5 % (80.8 to "
        "82.2 %) of the test windows, more than chance (50.0 %); on the letters of the run it is 84.5 % (83.9 to "
        "85.1 %)."
    )
    assert "50.5 % (48.5 to 52.5 %) of the test windows, not shown to be more than chance (50.0 %)" in apart
    assert "need not be ancestry" in caution


def test_sentences_of_leaks():
    article, clean, clusters, _ = findings.describe_leaks(audit_results()["audit/leak.json"])
    assert (
        "of 14,670 introgressed test windows 62.4 % are training windows letter for letter, 87.5 % overlap" in article
    )
    assert clean == "No test window overlaps a training region under: cluster, chromosome, matched."
    assert "73,861 introgressed regions form 5,975 clusters that overlap, worth about 1,174 independent" in clusters


@pytest.mark.parametrize(("largest", "place"), [(0.021, "within"), (-0.2, "outside")])
def test_sentences_of_matching(largest, place):
    results = audit_results()
    balance = results["audit/matched/balance.tsv"].assign(smd_after=[0.0, -0.003, largest])
    left_out, alike, _ = findings.describe_matching(balance, results["audit/matched/match.json"])
    assert "79,123 introgressed regions have a depleted partner like them; 4,471 (5.3 %) have none" in left_out
    assert "differ most in GC content (standardised difference −0.41)" in alike
    assert f"is {'+0.02' if largest > 0 else '−0.20'}, {place} the tolerance of 0.1." in alike


def test_sentences_of_genes():
    results = audit_results()
    worth = pd.DataFrame(results["audit/genes.json"]["windows"])
    published, out, table, forests, caution = findings.describe_genes(
        results["audit/gene_counts.tsv"], results["audit/gene_flags.tsv"], worth
    )
    assert published == (
        "As published: 477 of 21,503 rows are predicted, in 391 of 17,001 loci; 95.0 % of them share letters with an "
        "introgressed training window, of all rows 11.0 %: odds ratio 20 (16 to ∞)."
    )
    assert out.startswith("Out of fold: 4,123 of 21,503 rows")
    assert table.startswith("Published table: 477 of 21,503 rows")
    assert "right on 61.3 % (59.3 to 63.3 %) of the windows (AUROC 0.613)" in forests
    assert "cannot show it" in caution


def test_sentences_of_intersections():
    table = audit_results()["audit/intersections.tsv"]
    counted, changed, rotated, _ = findings.describe_intersections(table)
    assert counted == (
        "In 2 of 4 variants introgressed regions meet fewer genes than chance has it; observed against expected goes "
        "from 0.89 to 1.09."
    )
    assert "every region, drawn clear of gaps and alike in GC (more genes)" in changed
    assert "the ratio is 0.99 (0.93 to 1.06) and p = 0.44 from 200 draws" in rotated
    assert len(findings.describe_intersections(table.head(2))) == 2


def describe_sweep(sweep, null):
    return held_out.describe_sweep(sweep, null, audit_results()["audit/sweep.json"])


def test_sentences_of_the_sweep():
    results = audit_results()
    assert describe_sweep(results["audit/sweep.tsv"], results["audit/null/sweep.tsv"]) == [
        "The model that was chosen, logistic regression on canonical words of 2 letters, has an AUROC of 0.890 (0.830 "
        "to 0.940) on chromosomes that it was not trained on (chr3, chr7).",
        "It is the simplest of 16 models within one standard error (0.020) of the best, by folds of the training "
        "chromosomes: its AUROC out of fold is 0.880, the best of all. The held-out chromosomes had no part in the "
        "choice.",
        "GC content alone, which is all that canonical words of one letter tell, reaches 0.660 (0.600 to 0.710).",
        "Longer words do no better: the best of them out of fold, logistic regression on canonical words of 3 letters, "
        "has 0.860 there and 0.870 (0.810 to 0.920) on the held-out chromosomes.",
        "The same sweep on random letters, which keep the local composition of the genome and which nobody inherited, "
        "chooses logistic regression on canonical words of 2 letters and reaches 0.630 (0.570 to 0.680): introgressed "
        "and depleted windows lie in places of another composition, and so much needs no ancestry.",
        "What the letters of the run give beyond random ones can be learnt from words where nothing leaks. Whether it "
        "is ancestry, or anything else in which such places differ, the sweep does not tell.",
    ]


def test_what_a_sweep_says_depends_on_its_numbers():
    real, null = sweep([0.65, 0.88, 0.89, 0.8]), sweep([0.5, 0.5])
    _, chosen, _, longer, random, _ = describe_sweep(real, null)
    assert "that of the best, logistic regression on canonical words of 3 letters, 0.890." in chosen
    assert longer.startswith("Longer words do better by less than one standard error: the best of them")
    assert "this is not shown to be above one half, and so the composition of places is not shown to be" in random
    same = describe_sweep(null, real)
    assert same[0].endswith("(chr3, chr7), not shown to be above one half.")
    assert "No longer words were tried." in same
    unknown = describe_sweep(real.assign(low=np.nan, high=np.nan), null)
    assert unknown[0].endswith("an AUROC of 0.890 on chromosomes that it was not trained on (chr3, chr7), not shown to "
                               "be above one half.")  # fmt: skip
    assert "is not to show that nothing is" in same[-1]
    assert "no more than random ones" in describe_sweep(real, real)[-1]
    for near in (null.assign(high=0.84), null.assign(high=np.nan)):
        assert "more than random ones is not shown (the intervals are not apart)" in describe_sweep(real, near)[-1]
    assert "What the letters of the run give beyond" in describe_sweep(real, null.assign(high=0.82))[-1]
    shortest = real.assign(chosen=real.index == 0)
    assert "That is GC content alone: no other words are shown to add to it." in describe_sweep(shortest, null)
    assert len(describe_sweep(real[real["k"] > 1], null)) == 5, "GC content alone was not tried"


def test_sentences_of_the_smoothing():
    ranked, averaged, called, apart, _ = held_out.describe_smoothing(smoothing(), SMOOTHERS)
    assert ranked == (
        "On held-out chromosomes (chr3, chr7) the AUROC of windows is 0.700 (0.670 to 0.730) by the score of each "
        "alone and 0.860 (0.830 to 0.890) by a hidden Markov model that takes in their neighbours; average precision "
        "goes from 0.400 (0.370 to 0.430) to 0.650 (0.620 to 0.680)."
    )
    assert averaged == (
        "An average over 3 or 5 windows, which is simpler, has an AUROC of 0.840 (0.810 to 0.870); that of the hidden "
        "Markov model is higher (the intervals overlap)."
    )
    assert "31.0 % of the nucleotides called are introgressed, 72.0 % of the introgressed called." in called
    assert called.endswith("too, 63.0 % of the nucleotides called are introgressed, 54.0 % of the introgressed called.")
    assert "comes from the other held-out ones" in apart
    worse = smoothing().assign(value=lambda rows: 1 - rows["value"])
    assert "that of the hidden Markov model is not higher" in held_out.describe_smoothing(worse, SMOOTHERS)[1]


def test_sentences_of_the_follow_up():
    found, rule, window, apart, area, random = sub_sequences.describe_sequences(sequences())
    assert found.startswith(
        "Split at random over sub-sequences, the follow-up’s network is right on 81.0 % (79.0 to 83.0 %) of disjoint "
        "pieces and 99.5 % (97.5 to 100.0 %) of shifts by one letter. The follow-up prints 99 %"
    )
    assert "Its text does not say how it cut windows and how it split, and its notebook was not at hand" in found
    assert found.endswith("code that seems derived from it shifts by one letter and splits sentences at random.")
    assert "introgressed training sub-sequence, is right on 86.0 % (84.0 to 88.0 %) of disjoint" in rule
    assert "With all sub-sequences of a window on one side the network is right on 75.0 % (73.0" in window
    assert apart.endswith("60.0 % (58.0 to 62.0 %) of shifts by one letter.")
    assert area == (
        "Its AUROC is 0.530 (0.510 to 0.550) of disjoint pieces and 0.600 (0.580 to 0.620) of shifts by one letter "
        "there."
    )
    assert "gives it 80.0 % (78.0 to 82.0 %) of disjoint pieces and 99.3 % (97.3 to 100.0 %) of shifts" in random
    assert "so high an accuracy needs no ancestry where sub-sequences of one window" in random


def test_what_is_said_of_the_follow_up_depends_on_its_numbers():
    table = sequences()
    rest = table["cut"] == "shifted"
    few = sub_sequences.describe_sequences(table[rest & table["rung"].isin(["sub_sequence", "chromosome"])])
    assert len(few) == 4
    assert "disjoint" not in " ".join(few)
    chromosome = table["rung"] == "chromosome"
    table.loc[chromosome & (table["metric"] == "auroc"), "low"] = 0.45
    assert sub_sequences.describe_sequences(table)[4].endswith(", which is not shown to be more than chance.")
    table.loc[chromosome & (table["metric"] == "auroc") & rest, "low"] = 0.55
    assert sub_sequences.describe_sequences(table)[4].endswith("more than chance for shifts by one letter alone.")
    table.loc[chromosome & (table["metric"] == "accuracy"), "low"] = 0.3
    assert sub_sequences.describe_sequences(table)[4].endswith("for shifts by one letter alone."), "areas decide"
    table.loc[table["rung"] == "null_sub_sequence", ["value", "low", "high"]] = [0.5, 0.48, 0.52]
    assert sub_sequences.describe_sequences(table)[5].endswith("the split alone does not explain its accuracy.")
    balanced = table[table["metric"] == "accuracy"].assign(metric="balanced_accuracy", value=0.525, low=0.5, high=0.55)
    beside = sub_sequences.describe_sequences(pd.concat([table, balanced]))[3]
    assert beside.endswith(", in balanced accuracy 52.5 % (50.0 to 55.0 %) of disjoint pieces and 52.5 % (50.0 to 55.0 "
                           "%) of shifts by one letter.")  # fmt: skip
    areas = table["metric"] == "auroc"
    assert len(sub_sequences.describe_sequences(table[~areas])) == 5, "no area, and nothing is said of chance"


def test_sentences_of_places_words_and_genes():
    mutations = audit_results()["audit/sequence_mutations.tsv"]
    permuted, _, replaced = sub_sequences.describe_positions(positions(), mutations)
    assert "at most 2.0 percentage points, at place 10 (from 0); at 1 of 191 places the loss is above zero" in permuted
    assert "change by 1.99 on average where the letter at place 199 is replaced, and by 0.99" in replaced
    genes, words, correlation = sub_sequences.describe_follow_up(FOLLOW_UP)
    assert "calls 22,000 of 31,000 genes free of Neanderthal DNA" in genes
    assert "500 most common words tell, as a linear function, 1.2 % of the variance of their GC content" in words
    assert "This does not test for clusters, and a network that learned nothing" in words
    assert correlation.endswith("a sub-sequence have a rank correlation of −0.42.")


def test_too_few_chromosomes_to_smooth(copy):
    save(
        {
            "audit/smoothing.tsv": smoothing().head(0),
            "audit/smoothing.json": {"held_out": ["chr1"], "not_done": "found none to learn from"},
        },
        copy / "results",
    )
    html = render_report(load_run(copy))
    section = html.split('id="smoothing"')[1].split("</section>")[0]
    assert "What neighbours add was not measured: found none to learn from." in section
    assert "<table" not in section


@pytest.mark.parametrize(
    ("metric", "numbers", "text"),
    [
        ("accuracy", (0.5, np.nan, np.nan), "50.0 %"),
        ("sensitivity", (0.75, 0.7, 0.8), "75.0 % (70.0\u00a0to\u00a080.0)"),
        ("auroc", (0.75, 0.7, 0.8), "0.750 (0.700\u00a0to\u00a00.800)"),
        ("brier", (np.nan, np.nan, np.nan), "–"),
        ("tp", (12345.0, 1.0, 2.0), "12,345"),
    ],
)
def test_metrics_are_written(metric, numbers, text):
    row = next(pd.DataFrame([numbers], columns=["value", "low", "high"]).itertuples())
    assert write_value(metric, row) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0004, "0.000"), (0.0, "0.000"), (-0.73, "−0.730"), (2, "+2.000"), (np.inf, "+∞")]
)
def test_differences_are_signed(value, text):
    assert findings.signed(value, 3) == text


def test_doses_in_words():
    results = {name: audit["audit/gene_doses.tsv"] for name, audit in
               (("some", audit_results()), ("none", poorest_audit()))}  # fmt: skip
    words = findings.describe_doses(results["some"])
    assert words[0] == (
        "As published: where more than 95.0 % of the text is an introgressed training window, 57.0 % of the genes "
        "are predicted (265 of 465); where none is, 0.6 % (107 of 19,008)."
    )
    assert len(words) == 3
    (nothing,) = findings.describe_doses(results["none"])
    assert nothing == "Out of fold: too few genes share letters with training windows to compare."
