"""What the web page says, without a browser: letters that are read, where a score comes from, words that are safe."""

import gzip
import inspect
import os
import re
import signal
import socket
from base64 import b64decode
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from planted import LENGTH, K, draw_letters
from typer.testing import CliRunner

from neanderthal_nlp import app, app_html
from neanderthal_nlp.along import profile_along
from neanderthal_nlp.app import answer, find_gene, read_gene, read_letters
from neanderthal_nlp.app_html import format_answer, format_error, format_header, of_100, with_prior
from neanderthal_nlp.bundle import score_counts, write_bundle
from neanderthal_nlp.cli import page
from neanderthal_nlp.cli.predict import Model, bundle_folder
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import count_kmers, encode_kmers, get_kmers, merge_strands
from neanderthal_nlp.linear import fit_linear
from neanderthal_nlp.predict import contributions

LINEAR = ["logistic_regression", "linear_svm", "naive_bayes"]


@pytest.fixture(scope="module")
def linear(audited, planted):
    """Bundles of each linear model, by its name and whether it counts both strands together."""
    labels = planted.windows["label"].to_numpy()
    return {
        (name, canonical): audited._replace(
            model=fit_linear(name, merge_strands(planted.counts, K) if canonical else planted.counts, labels, seed=1),
            model_name=name,
            canonical=canonical,
        )
        for name in LINEAR
        for canonical in (False, True)
    }


def plain(html):
    """Words of HTML, without its marks."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


# Where along a stretch the score comes from


@given(
    st.sampled_from(LINEAR), st.booleans(), st.booleans(),
    st.text(st.sampled_from("ACGTacgtN"), min_size=K, max_size=300),
)  # fmt: skip
def test_places_add_up_to_the_score(linear, name, canonical, rescaled, sequence):
    bundle, counts = linear[name, canonical]._replace(rescaled=rescaled), count_kmers([sequence], K)
    found = profile_along(bundle, sequence)
    assert len(found.value) == len(found.position) == len(sequence) - K + 1
    assert found.score == pytest.approx(score_counts(bundle, counts)[0], rel=1e-12)
    assert found.base == contributions(bundle, counts).base[0]
    if counts.sum():
        assert found.base + found.value.sum() == pytest.approx(found.score, rel=1e-9, abs=1e-9)
    unread = np.array(["N" in word for word in get_kmers(sequence, K)])
    assert (found.value[unread] == 0).all()


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize("name", LINEAR)
def test_places_add_the_weight_of_their_words(linear, name, canonical):
    bundle, sequence = linear[name, canonical]._replace(rescaled=False), draw_letters(1, 500)
    model = bundle.model
    weight = (model.feature_log_prob_[1] - model.feature_log_prob_[0] if name == "naive_bayes"
              else model[-1].coef_[0] / model[0].scale_)  # fmt: skip
    index = dict(zip(bundle.words(), weight, strict=True))
    counted = [min(word, str(Seq(word).reverse_complement())) if canonical else word for word in get_kmers(sequence, K)]
    expected = np.array([index[word] for word in counted])
    found = profile_along(bundle, sequence).value
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-9)
    assert expected.std() > 0


def test_a_linear_profile_tells_halves_apart(audited):
    halves = draw_letters(1, LENGTH // 2) + draw_letters(0, LENGTH // 2)
    value = profile_along(audited, halves).value
    assert value[: LENGTH // 2].sum() > 0 > value[LENGTH // 2 :].sum()


def test_pieces_of_a_forest_are_scored_as_if_they_were_whole(as_published):
    sequence = "".join(draw_letters(label, LENGTH // 2, rng=label) for label in (1, 0))
    found = profile_along(as_published, sequence)
    assert not found.adds_up
    assert found.score == score_counts(as_published, count_kmers([sequence], K))[0]
    start, size = 3 * LENGTH // 50, LENGTH // 10
    counts = count_kmers([sequence[start : start + size]], K) * ((LENGTH - K + 1) / (size - K + 1))
    assert found.position[3] == start + size // 2
    assert found.value[3] == as_published.model.predict_proba(counts)[0, 1]
    assert found.position[-1] == LENGTH - size // 2
    first = found.position < LENGTH // 2
    assert found.value[first].mean() > found.value[~first].mean()


@given(n=st.integers(K, 60))
def test_a_forest_takes_the_shortest_stretch(as_published, n):
    found = profile_along(as_published, draw_letters(1, n))
    assert len(found.value) == len(found.position) >= 1
    assert ((found.value >= 0) & (found.value <= 1)).all()


# What a user gives


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acgt", [("your letters", "acgt")]),
        (" AC GT\r\n  acgt\t\n", [("your letters", "ACGTacgt")]),
        (">one two\r\nAC\r\nGT\r\n\r\n>three\nTT", [("one", "ACGT"), ("three", "TT")]),
        ("\n\n>\nAC\n>  \nGT\n", [("record 1", "AC"), ("record 2", "GT")]),
    ],
)
def test_letters_are_read_from_text_and_files(tmp_path, text, expected):
    assert read_letters(text) == expected
    for name, pack in (("plain.txt", bytes), ("packed.fa.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(text.encode()))
        assert read_letters(path) == expected


@given(st.lists(st.text(st.sampled_from("ACGTN"), min_size=1), min_size=1, max_size=5), st.integers(1, 30))
def test_letters_are_limited(sequences, limit):
    text, n = "".join(f">a\n{sequence}\n" for sequence in sequences), sum(map(len, sequences))
    if n <= limit:
        assert [sequence for _, sequence in read_letters(text, max_letters=limit)] == sequences
    else:
        with pytest.raises(InputError, match=f"more than {limit} letters"):
            read_letters(text, max_letters=limit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no letters"),
        (" \n\t", "no letters"),
        (">a\n>b\nACGT", "a: found no letters"),
        (">a\nA\n" * (app.MAX_RECORDS + 1), "1,000 records"),
        ("A" * 50_000, "more than 1,000 letters"),
    ],
)
def test_text_that_cannot_be_used_is_refused(text, said, refused):
    with refused(said):
        read_letters(text, max_letters=1_000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not text"),
        (b"", "empty"),
        (gzip.compress(b"ACGT" * 9_999, mtime=0)[:-20], "truncated"),
        (gzip.compress(b"A" * 50_000_000, mtime=0), "more than 100,000 letters"),  # 50 kB packed
    ],
)
def test_files_that_cannot_be_used_are_refused_without_their_folder(tmp_path, content, said):
    path = tmp_path / "mine.fa"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_letters(path, max_letters=100_000)
    assert str(tmp_path) not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters=">"), min_size=1))
def test_names_are_cut(name):
    ((found, _),) = read_letters(f">{name} more\nACGT")
    assert found == name if len(name) <= 40 else (found[-1] == "…" and name.startswith(found[:-1]) and len(found) == 40)


def test_a_name_without_end_is_not_said_back(audited, refused):
    text = ">" + "9" * 100_000
    with refused("9…: found no letters"):
        read_letters(text)
    assert len(format_answer(answer(f"{text}:1-2\n{draw_letters(1)}", audited), audited)) < 300_000
    with pytest.raises(InputError) as caught:
        answer(f"{text}\nMKL", audited)
    assert len(str(caught.value)) < 200


@given(st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), min_size=1))
def test_what_is_said_of_half_characters_can_be_sent(audited, text):
    for given_text in (f"ACGT{text}", f">{text}\n{draw_letters(1)}", f">{text}\nMKL"):
        try:
            said = format_answer(answer(given_text, audited), audited)
        except InputError as error:
            said = format_error(str(error))
        assert said.encode("utf-8").decode("utf-8") == said


def test_a_gene_is_read_from_the_genome(planted, tmp_path):
    with open_genome(planted.genome, cache=tmp_path) as genome:
        whole = read_letters(read_gene("chr2:101-300", "ABC", genome, 500))
        start = read_letters(read_gene("chr2:101-300", "ABC", genome, 50))
        assert whole == [("chr2:101-300", genome.fetch("chr2", 100, 300))]
        assert start == [("chr2:101-150", genome.fetch("chr2", 100, 150))]
        with pytest.raises(InputError, match="chr9"):
            read_gene("chr9:1-100", "ABC", genome, 50)


GENES = pd.DataFrame(
    [("chr2:1-9", "beta"), ("chr1:5-9", "TWICE"), ("chr1:1-9", "Alpha"), ("chr1:1-9", "Alpha"), ("chr1:2-9", "TWICE")],
    columns=["Gene", "Gene_Symbol"],
)


def test_genes_are_offered_once_in_the_order_of_their_symbols(audited, planted, tmp_path):
    pytest.importorskip("gradio")
    with open_genome(planted.genome, cache=tmp_path) as genome:
        built = app.build_app({"audited": audited}, genes=GENES, genome=genome)
    field = next(block for block in built.get_config_file()["components"] if block["type"] == "dropdown")
    assert [label.split("  ·  ") for label, _ in field["props"]["choices"]] == [
        ["Alpha", "chr1:1-9"], ["beta", "chr2:1-9"], ["TWICE", "chr1:2-9"], ["TWICE", "chr1:5-9"],
    ]  # fmt: skip


@pytest.mark.parametrize(("chosen", "row"), [(0, 0), (4, 4), ("BETA", 0), (" Beta ", 0)])
def test_genes_are_found_by_number_and_symbol(chosen, row):
    assert find_gene(GENES, chosen).name == row


@pytest.mark.parametrize(
    ("chosen", "said"),
    [("BRCA1", "BRCA1: no gene of this symbol"), (5, "5: no gene"), (-1, "-1: no gene"), ("4", "4: no gene"),
     ([], "no gene"), ("x" * 99, f"{'x' * 39}…: no gene"), ("twice", "twice: 2 places have this symbol")],
)  # fmt: skip
def test_genes_that_are_not_there_are_refused(chosen, said, refused):
    with refused(said):
        find_gene(GENES, chosen)


# What is said of it


def test_the_most_likely_stretch_is_looked_at(bundle):
    labels = [0, 0, 1, 0]
    text = "".join(f">s{i}\n{draw_letters(label, rng=i)}\n" for i, label in enumerate(labels)) + ">tiny\nACGT"
    found = answer(text, bundle)
    assert found.shown == 2 == found.stretches["probability"].argmax()
    assert list(found.stretches["record"]) == ["s0", "s1", "s2", "s3", "tiny"]
    assert found.profile.score == pytest.approx(found.stretches.loc[2, "score"], rel=1e-12)


def test_the_words_are_those_that_add_most(bundle):
    sequence = draw_letters(1)
    values = contributions(bundle, count_kmers([sequence], K)).by_word[0]
    words = answer(sequence, bundle, n_words=5).words
    by_word = dict(zip(bundle.words(), values, strict=True))
    for side, largest in ((words.speak_for, sorted(values)[::-1][:5]), (words.speak_against, sorted(values)[:5])):
        assert [value for _, value in side] == pytest.approx([value for value in largest if value], abs=1e-9)
        assert all(by_word[word] == pytest.approx(value, abs=1e-9) for word, value in side)
    assert words.speak_for[0][1] > 0 > words.speak_against[0][1]


@pytest.mark.parametrize("sequence", ["ACGT" * 10, "N" * 3_000, "AC" + "N" * (LENGTH - 100)])
def test_short_letters_get_no_number(bundle, sequence):
    found = answer(sequence, bundle)
    assert found.profile is found.words is None
    said = plain(format_answer(found, bundle))
    assert ("Too short to say" if len(sequence) < 1_000 else "Too many N to say") in said
    assert "95 % range" not in said
    assert not re.search(r"\d+ of 100|\d+ times in 100", said)


def test_proteins_and_rna_are_refused(audited, refused):
    with refused("your letters", "expected DNA"):
        answer("MKVLAT" * 300, audited)
    with refused("mine", "RNA"):
        answer(">mine\n" + "ACGU" * 300, audited)


def test_time_is_limited(as_published, refused):
    sequence = draw_letters(1)
    for timeout in (1, 2):  # one look at the clock takes a second
        with refused(f"longer than {timeout} seconds"):
            answer(sequence, as_published, timeout=timeout, clock=count().__next__)
    late = answer(sequence, as_published, timeout=3, clock=count().__next__)
    assert late.words is None
    assert late.stretches["probability"].notna().all()
    assert "took too long" in plain(format_answer(late, as_published))
    assert answer(sequence, as_published, timeout=4, clock=count().__next__).words is not None


def test_names_are_escaped(bundle):
    name = "<script>alert(1)</script>&\"'"
    said = format_answer(answer(f">{name}\n{draw_letters(1)}\n>{name}\n{draw_letters(0)}", bundle), bundle)
    assert "<script" not in said
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;" in said
    assert "<img src=x" not in format_error("<img src=x onerror=alert(1)>")


def test_the_number_comes_with_what_it_is_worth(audited, as_published):
    found = answer(draw_letters(1), audited)
    row = found.stretches.iloc[0]
    said = plain(format_answer(found, audited._replace(gc=(0.381, 0.422))))
    assert f"{of_100(row['probability'])} %" in said
    assert f"95 % range: {of_100(row['low'])} to {of_100(row['high'])} %" in said
    assert f"would be Neanderthal {of_100(with_prior(row['probability']))} times in 100" in said
    assert "DNA of another species, or junk, may still get a number" in said
    auroc = [row for row in audited.metrics if row["metric"] == "auroc"]
    assert audited.calibration.lengths.tolist() == [1_000, 2_000]
    for length, measured in ((1_100, auroc[0]), (LENGTH, auroc[1])):
        said_of = plain(format_answer(answer(draw_letters(1, length), audited), audited))
        assert f"picks the Neanderthal one {round(100 * measured['value'])} times in 100" in said_of
        assert f"{length // 1000},000 letters" in said_of
    assert all(text in said for text in (f"{100 * row['gc']:.1f} %", "38.1 %", "42.2 %", "made-up DNA only"))
    votes = plain(format_answer(answer(draw_letters(1, LENGTH - 100), as_published), as_published))
    assert "of 100 decision trees say Neanderthal" in votes
    assert "of 2,000 letters each. Windows overlap, so part of that may be memory." in votes
    assert "trained anew" not in votes
    assert "shorter than the 2,000 letters" in votes
    assert "95 % range" not in votes


def test_the_number_is_about_places_of_the_genome_that_was_read(bundle):
    found, real = answer(draw_letters(1), bundle), bundle._replace(synthetic=False)
    said, invented = plain(format_answer(found, real)), plain(format_answer(found, bundle))
    assert "Some places of the human genome are called Neanderthal" in said
    assert "from such a place" in said
    assert "Whether your own copy came from a Neanderthal is another question" in said
    assert "Some places of the invented genome play Neanderthal" in invented
    assert "human genome" not in invented
    assert "your own copy" not in invented
    one = found._replace(stretches=found.stretches.assign(probability=0.01))
    if bundle.calibration is not None:
        assert "get this number, 1 is expected to be" in plain(format_answer(one, bundle))


def test_the_header_says_which_genome_was_read(audited):
    real = audited._replace(synthetic=False)
    said = plain(format_header({"mine": audited, "other": audited}))
    assert "A model has read an invented genome" in said
    assert "reference human genome" not in said
    assert "Made-up DNA only" in said
    said = plain(format_header({"mine": real}))
    assert "A model has read the reference human genome" in said
    assert "invented" not in said
    said = plain(format_header({"mine": real, "toy <b>": audited}))
    assert "A model has read the reference human genome" in said
    assert "The genome that toy &lt;b&gt; was trained on is invented" in said


def test_a_forest_is_shown_beside_one_that_had_not_seen_the_chromosomes(as_published):
    real, found = as_published._replace(synthetic=False), answer(draw_letters(1), as_published)
    own = round(100 * next(row["value"] for row in real.metrics if row["metric"] == "auroc"))
    rows = [
        {"split": split, "metric": metric, "value": value, "low": value - 0.05, "high": value + 0.05}
        for split, metric, value in (("article", "auroc", 0.97), ("chromosome", "accuracy", 0.71),
                                     ("chromosome", "auroc", 0.62), ("random letters, chromosome", "auroc", 0.53))
    ]  # fmt: skip
    said = plain(format_answer(found, real._replace(other_splits=rows)))
    assert f"picks the Neanderthal one {own} times in 100" in said
    assert "trained anew, on chromosomes that it had not seen, it was 62 times in 100 (57 to 67)." in said
    assert "no better than a coin" not in said
    rows[2]["low"] = 0.5
    assert "such a model was no better than a coin" in plain(format_answer(found, real._replace(other_splits=rows)))


def test_what_lies_beyond_the_scores_that_were_checked_gets_no_number(audited):
    said = plain(format_answer(answer("A" * LENGTH, audited), audited))
    assert "Beyond anything the model was checked on" in said
    assert "Its score lies far beyond those of every stretch on which the model was checked" in said
    assert "another species, or junk, may still get a number" in said
    assert "95 % range" not in said
    several = f">a\n{'A' * LENGTH}\n>b\n{draw_letters(1)}"
    assert "1 score beyond anything the model was checked on" in plain(format_answer(answer(several, audited), audited))


def test_a_model_like_a_coin_is_called_one(audited):
    found = answer(draw_letters(1), audited)
    real = audited._replace(synthetic=False)
    coin = [{"windows": "somewhere", "metric": "auroc", "value": 0.52, "low": 0.49, "high": 0.55}]
    assert "no better than a coin" not in plain(format_answer(found, real))
    assert "no better than a coin" in plain(format_answer(found, real._replace(metrics=coin)))
    assert "made-up" not in plain(format_answer(found, real))
    assert "picks the" not in plain(format_answer(found, real._replace(metrics=[])))


def test_what_it_was_trained_on_is_told(audited):
    trained = audited.windows[audited.windows["side"] == "train"].iloc[0]
    for name, said in (
        (f"{trained['chrom']}:{trained['start'] + 1}-{trained['end']}", "Yes, on this very place"),
        (f"{trained['chrom']}:{10**8 + 1}-{10**8 + LENGTH}", "but on its chromosome"),
        (f"{audited.chromosomes('test')[0]}:1-{LENGTH}", "it has never seen this chromosome"),
        (f"chr99:1-{LENGTH}", "or not on a chromosome that the model knows of"),
        ("mine", "Nobody knows: the name does not tell where it lies"),
    ):
        found = answer(f">{name}\n{draw_letters(1)}", audited)
        assert said in plain(format_answer(found, audited))


def test_many_stretches_are_listed_and_counted(audited):
    labels = np.arange(30) % 2
    text = ">long\n" + "".join(draw_letters(label, rng=i) for i, label in enumerate(labels)) + "\n>tiny\nACGT\n"
    found = answer(text, audited)
    calls = found.stretches["call"].value_counts()
    said = format_answer(found, audited)
    words = plain(said)
    assert f"{calls['introgressed']} look more Neanderthal than not" in words
    assert f"{calls['depleted']} do not" in words
    assert "1 are too short to say" in words
    rows = re.findall(r"<tr><td>long, letters ([\d,]+) to", said)
    expected = found.stretches.nlargest(app_html.N_ROWS, "probability")["start"] + 1
    assert [int(row.replace(",", "")) for row in rows] == expected.tolist()


@pytest.mark.parametrize(("share", "said"), [(0.0, "under 1"), (0.0049, "under 1"), (0.006, "1"), (0.614, "61"),
                                             (0.994, "99"), (0.9951, "over 99"), (1.0, "over 99")])  # fmt: skip
def test_shares_are_said_in_whole_numbers(share, said):
    assert of_100(share) == said


@given(st.floats(0, 1))
def test_the_prior_changes_the_odds(probability):
    found = with_prior(probability, 0.02)
    assert with_prior(probability, 0.5) == pytest.approx(probability, abs=1e-9)
    assert found == pytest.approx(probability * 0.02 / (probability * 0.02 + (1 - probability) * 0.98), abs=1e-9)


def test_figures_are_drawn_for_both_widths_and_alike(bundle):
    text = f">a\n{draw_letters(1)}\n>b\n{draw_letters(0)}"
    said = [format_answer(answer(text, bundle), bundle) for _ in range(2)]
    assert said[0] == said[1]
    drawn = re.findall(r'="data:image/svg\+xml;base64,([^"]+)"', said[0])
    widths = [float(ElementTree.fromstring(b64decode(image)).get("width").removesuffix("pt")) for image in drawn]  # noqa: S314 (our own)
    millimetres = [width / 72 * 25.4 for width in widths]
    assert millimetres == pytest.approx([app_html._NARROW, app_html._WIDE] * 2, rel=1e-3)


def test_indices_of_words_that_are_not_counted_do_no_harm(audited):
    sequence = "N".join(draw_letters(1, 400, rng=i) for i in range(4))
    value = profile_along(audited, sequence).value
    assert (value[encode_kmers(sequence, K) < 0] == 0).all()
    assert np.count_nonzero(value) > 1_000


# The command and the page


def command(*arguments):
    return CliRunner().invoke(page.app, [str(argument) for argument in arguments])


def test_the_command_has_the_defaults_of_the_functions():
    given_to = inspect.signature(page.show).parameters
    assert given_to["max_letters"].default == app.MAX_LETTERS
    assert given_to["timeout"].default == app.TIMEOUT
    assert given_to["host"].default == "127.0.0.1"


def test_the_command_needs_gradio_and_a_bundle(tmp_path, monkeypatch, audited):
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    assert "pip install" in str(command("--directory", tmp_path).exception)
    monkeypatch.undo()
    pytest.importorskip("gradio")
    assert "no model bundle" in str(command("--directory", tmp_path).exception)
    for folder in ("a", "b"):
        write_bundle(audited, tmp_path / folder / "same")
    twice = command("--bundle", tmp_path / "a" / "same", "--bundle", tmp_path / "b" / "same")
    assert "two folders of the same name" in str(twice.exception)


def test_the_command_offers_what_the_run_has(tmp_path, monkeypatch, audited, planted):
    gradio = pytest.importorskip("gradio")
    write_bundle(audited, bundle_folder(tmp_path, Model.audited))
    (tmp_path / "results").mkdir()
    genes = pd.DataFrame({"Gene": ["chr1:1-900"], "Gene_Symbol": ["XYZ"], "Predict": 1.0, "Prob_0": 0.4, "Prob_1": 0.6})
    genes.to_csv(tmp_path / "results" / "genes.tsv", sep="\t", index=False)
    built = []
    monkeypatch.setattr(app, "serve", lambda page, **options: built.append((page, options)) or "http://here")
    monkeypatch.setattr(gradio.Blocks, "block_thread", lambda self: None)
    monkeypatch.setattr(app, "build_app", lambda bundles, build=app.build_app, **more: (
        built.append((bundles, more)), build(bundles, **more))[1])  # fmt: skip
    done = command("--directory", tmp_path, "--genome", planted.genome, "--cache", tmp_path, "--host", "0.0.0.0")  # noqa: S104
    assert done.exit_code == 0, done.exception
    (bundles, more), (_, options) = built
    assert list(bundles) == ["audited"]
    assert list(more["genes"]["Gene_Symbol"]) == ["XYZ"]
    assert options == {"host": "0.0.0.0", "port": None, "max_letters": app.MAX_LETTERS}  # noqa: S104
    assert "http://here" in done.output
    assert "not encrypted" in done.output


def test_uploads_go_when_the_page_ends(tmp_path, monkeypatch, audited):
    gradio = pytest.importorskip("gradio")
    write_bundle(audited, bundle_folder(tmp_path, Model.audited))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    before, seen = signal.getsignal(signal.SIGTERM), []

    def end(page):
        seen.append(Path(next(block.GRADIO_CACHE for block in page.blocks.values() if hasattr(block, "GRADIO_CACHE"))))
        (seen[0] / "mine.fa").write_text("ACGT", encoding="ascii")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(app, "serve", lambda page, **options: "http://here")
    monkeypatch.setattr(gradio.Blocks, "block_thread", end)
    done = command("--directory", tmp_path)
    assert done.exit_code == 0, done.exception
    assert seen[0].parent == tmp_path / "uploads"
    assert list((tmp_path / "uploads").iterdir()) == []
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path / "uploads")
    assert signal.getsignal(signal.SIGTERM) == before


def test_requests_without_letters_or_model_are_answered(audited, tmp_path):
    pytest.importorskip("gradio")
    show = next(fn.fn for fn in app.build_app({"audited": audited}).fns.values() if fn.fn.__name__ == "show")
    assert "found no letters" in show(None, None, "audited")
    assert "mine.fa: removed, as every file after 5 minutes: drop it again" in show(
        "", str(tmp_path / "mine.fa"), "audited"
    )
    for name in (None, "none"):
        assert "found no model of this name, expected audited" in show(draw_letters(1), None, name)
    assert "found no letters" in show("", None, "audited", "BRCA1")  # where no genes are offered


def test_a_port_that_is_taken_and_a_host_that_is_not_ours_are_told(audited, refused):
    pytest.importorskip("gradio")
    built = app.build_app({"audited": audited})
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
            with pytest.raises(InputError) as caught:
                app.serve(built, host=host, port=port)
            assert str(caught.value) == f"port {port} is taken: name another by --port"
    with refused("192.0.2.1: cannot listen there (Cannot assign"):
        app.serve(built, host="192.0.2.1", port=None)


def test_what_gradio_says_of_ports_is_not_passed_on(audited, monkeypatch):
    gradio = pytest.importorskip("gradio")

    def launch(self, **options):
        raise OSError("GRADIO_SERVER_PORT")

    monkeypatch.setattr(gradio.Blocks, "launch", launch)
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    for port, said in ((free, f"port {free} is taken: name another"), (None, "found no free port: name one")):
        with pytest.raises(InputError) as caught:
            app.serve(app.build_app({"audited": audited}), host="127.0.0.1", port=port)
        assert str(caught.value) == f"{said} by --port"


def test_the_page_has_no_public_interface(audited, as_published):
    pytest.importorskip("gradio")
    built = app.build_app({"audited": audited, "as published": as_published})
    config = built.get_config_file()
    assert [fn.fn.__name__ for fn in built.fns.values() if fn.fn] == ["show"]
    assert all(fn.api_visibility == "private" for fn in built.fns.values())
    assert config["analytics_enabled"] is False
    assert not any(block["type"] == "dropdown" for block in config["components"])
