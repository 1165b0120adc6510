"""Scores of stretches: how records are cut, what is said of them, and words that add up to the score."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from planted import K, bundle_audited, draw_letters

from neanderthal_nlp.bundle import score_counts
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import canonical_vocabulary, count_kmers
from neanderthal_nlp.linear import fit_linear
from neanderthal_nlp.predict import (
    DEPLETED,
    INTROGRESSED,
    TOO_MANY_N,
    TOO_SHORT,
    UNLIKE,
    Stretch,
    contributions,
    cut_records,
    cut_regions,
    predict,
    read_records,
    slide,
)


def table(stretches, bundle, **options):
    return pd.concat(predict(stretches, bundle, **options), ignore_index=True)


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svm", "naive_bayes", "forest", "boosted_trees"])
def test_words_add_up_to_the_score(name, audited, as_published, planted, tmp_path):
    _, windows, counts = planted
    if name == "forest":
        bundle, counts = as_published, counts[:20]
    elif name == "boosted_trees":
        bundle = bundle_audited(planted, cache=tmp_path, model=name)
    else:
        model = fit_linear(name, counts, windows["label"].to_numpy(), seed=1)
        bundle = audited._replace(model=model, model_name=name, canonical=False)
    found = contributions(bundle, counts)
    assert found.by_word.shape == (len(counts), len(bundle.words()))
    np.testing.assert_allclose(found.base + found.by_word.sum(axis=1), score_counts(bundle, counts), atol=1e-6)
    assert (np.abs(found.by_word).max(axis=0) > 0).any()


def test_named_words_are_the_largest(audited, planted):
    counts = planted[2][:40]
    found = table([Stretch(str(i), 0, draw_letters(i % 2, rng=i)) for i in range(40)], audited, n_words=4)
    counts = count_kmers([draw_letters(i % 2, rng=i) for i in range(40)], K)
    values = contributions(audited, counts).by_word
    for row, speak_for, speak_against in zip(values, found["speak_for"], found["speak_against"], strict=True):
        by_word = dict(zip(audited.words(), row, strict=True))
        assert [value for _, value in speak_for] == sorted(row[row > 0], reverse=True)[:4]
        assert [value for _, value in speak_against] == sorted(row[row < 0])[:4]
        assert all(by_word[word] == value for word, value in [*speak_for, *speak_against])
    silent = table([Stretch("a", 0, draw_letters(1))], audited, n_words=0)
    assert not {"speak_for", "speak_against"} & set(silent)


def test_planted_difference_is_told(audited):
    found = table([Stretch(str(i), 0, draw_letters(i % 2, rng=100 + i)) for i in range(200)], audited, n_words=0)
    truth = np.arange(200) % 2
    assert ((found["call"] == INTROGRESSED) == truth).mean() > 0.8
    assert set(found["call"]) == {INTROGRESSED, DEPLETED}
    sure = found["probability"].between(0.3, 0.7)
    assert found["probability"].mean() == pytest.approx(0.5, abs=0.1)
    assert ((found["low"] <= found["probability"]) & (found["probability"] <= found["high"])).all()
    assert ((found["call"] == INTROGRESSED) == truth)[~sure].mean() > ((found["call"] == INTROGRESSED) == truth).mean()


@given(st.integers(0, 1_500), st.sampled_from(["", "N", "R"]))
def test_short_stretches_get_no_number(audited, n, letter):
    sequence = draw_letters(1, n) + letter * 5 if n else "N" * 1_500
    found = table([Stretch("a", 0, sequence)], audited)
    told = n >= audited.min_length
    short = TOO_SHORT if len(sequence) < audited.min_length else TOO_MANY_N
    assert (found.loc[0, "call"] == short) == (not told)
    assert found.loc[0, ["score", "probability", "low", "high"]].notna().all() == told
    assert bool(found.loc[0, "speak_for"]) == told


@pytest.mark.parametrize("name", ["audited", "as_published"])
def test_case_and_batches_do_not_matter(name, request, monkeypatch):
    bundle = request.getfixturevalue(name)
    stretches = [Stretch(str(i), 0, draw_letters(i % 2, 1_000 + 10 * i, rng=i)) for i in range(25)]
    whole = table(stretches, bundle, n_words=0)
    monkeypatch.setattr("neanderthal_nlp.predict._BATCH", 7)
    pieces = table([stretch._replace(sequence=stretch.sequence.lower()) for stretch in stretches], bundle, n_words=0)
    pd.testing.assert_frame_equal(pieces, whole, rtol=1e-12)


def test_what_is_unlike_the_windows_gets_no_number(audited, as_published):
    for sequence in ("A" * 2_000, "GC" * 1_000, "ACGT" * 400):
        found = table([Stretch("odd", 0, sequence)], audited).loc[0]
        assert found["call"] == UNLIKE
        assert found[["probability", "low", "high"]].isna().all()
        assert np.isfinite(found["score"])
        whole = (sequence * 2)[: as_published.window_length]
        assert table([Stretch("odd", 0, whole)], as_published, n_words=0).loc[0, "call"] in (INTROGRESSED, DEPLETED)


def test_votes_of_trees_are_told_of_whole_windows_only(as_published):
    lengths = as_published.min_length + np.array([-1, 0])
    found = table([Stretch(str(n), 0, draw_letters(1, n)) for n in lengths], as_published, n_words=0)
    assert as_published.min_length == int(0.88 * as_published.window_length)
    assert list(found["call"] == TOO_SHORT) == [True, False]


@given(st.integers(0, 10**6), st.integers(1_000, 2_000))
def test_both_strands_are_told_the_same(audited, seed, n):
    letters = draw_letters(seed % 2, n, rng=seed)
    found = table([Stretch("a", 0, letters), Stretch("a", 0, str(Seq(letters).reverse_complement()))], audited)
    numbers = ["gc", "score", "probability", "low", "high"]
    np.testing.assert_allclose(*found[numbers].to_numpy(dtype=float), rtol=1e-9)
    assert found.loc[0, "call"] == found.loc[1, "call"]
    assert {word for word, _ in found.loc[0, "speak_for"]} <= set(canonical_vocabulary(K))


def test_names_of_other_conventions_find_their_chromosome(audited):
    trained = audited.windows[audited.windows["side"] == "train"].iloc[0]
    bare = trained["chrom"].removeprefix("chr")
    names = (trained["chrom"], bare, f"{trained['chrom']}_GL000250v2_alt", "NC_000001.10", "exact")
    found = table([Stretch("a", 0, draw_letters(1), name, int(trained["start"])) for name in names], audited, n_words=0)
    assert list(found["seen"]) == ["trained on", "trained on", "same chromosome", "unknown", "unknown"]


@pytest.mark.parametrize("place", [":,-,", ":1-" + "9" * 5_000, ":9223372036854775000-9223372036854776999", ":0-1999",
                                   ":2001-2", ":1-1950"])  # fmt: skip
def test_names_that_are_no_places_are_names(place):
    (stretch,) = cut_records([(f"chr1{place}", draw_letters(1))], 2_000, min_length=1_000)
    assert (stretch.chrom, stretch.position) == ("", -1)


def test_a_copy_with_indels_keeps_its_place():
    for n in (1_985, 2_000, 2_015):
        first = next(cut_records([("chr1:101-2100", draw_letters(1, n))], 2_000, min_length=1_000))
        assert (first.chrom, first.position) == ("chr1", 100)


def test_a_prior_is_for_calibrated_models_only(audited, as_published, refused):
    stretches = [Stretch("a", 0, draw_letters(1)), Stretch("b", 0, draw_letters(1, rng=2))]
    half, rare = (table(stretches, audited, prior=prior)["probability"] for prior in (0.5, 0.02))
    assert (rare < half).all()
    for bundle, prior, said in ((as_published, 0.02, "not calibrated"), (audited, 0.0, "between 0 and 1")):
        with refused("prior", said):
            table(stretches, bundle, prior=prior)


def test_places_are_held_against_what_was_trained_on(audited):
    trained = audited.windows[audited.windows["side"] == "train"].iloc[0]
    held_out = audited.chromosomes("test")[0]
    stretches = [
        Stretch("a", 0, draw_letters(1), trained["chrom"], trained["end"] - 1),
        Stretch("b", 0, draw_letters(1), trained["chrom"], 10**8),
        Stretch("c", 0, draw_letters(1), held_out, 0),
        Stretch("d", 0, draw_letters(1)),
    ]
    found = table(stretches, audited, n_words=0)
    assert list(found["seen"]) == ["trained on", "same chromosome", "held out", "unknown"]
    assert list(found["chrom_start"]) == [trained["end"] - 1, 10**8, 0, -1]
    assert found.loc[3, "chrom_end"] == -1


FASTA = ">one chr\nACGT\nacgt\n>two\nNNNN\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("stream", [False, True], ids=["file", "stream"])
def test_records_are_read_from_files_and_streams(tmp_path, pack, stream):
    content = pack(FASTA.replace("\n", "\r\n").encode() if stream else FASTA.encode())
    path = tmp_path / "with blank.fa"
    path.write_bytes(content)
    assert list(read_records(io.BytesIO(content) if stream else path)) == [("one", "ACGTacgt"), ("two", "NNNN")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ACGT\n", "not FASTA"),
        (b"@one\nACGT\n", "not FASTA"),
        (b">\nACGT\n", "record 1 (): found no name"),
        (b">one\nAC\n>two\n>three\nA\n", "record 2 (two): found no letters"),
        (b">one\n\xff\xfe\n", "not text"),
        (gzip.compress(b">one\n" + b"ACGT" * 9999, mtime=0)[:-20], "truncated"),
    ],
)
def test_what_is_not_fasta_is_refused(tmp_path, refused, content, said):
    path = tmp_path / "records.fa"
    path.write_bytes(content)
    with refused(path, said):
        list(read_records(path))
    with refused("standard input", said):
        list(read_records(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("sequence", "said"),
    [("ACGTE", "found 'E', expected DNA"), ("ACGU", "RNA"), ("acgu", "RNA"), ("MKVLAT*", "this looks like protein"),
     ("AC-GT", "found '-'"), ("ACGTÉ", "found 'É'")],
)  # fmt: skip
def test_other_alphabets_are_refused(sequence, said, refused):
    with refused("some: letter ", said):
        list(cut_records([("some", sequence)], 100, min_length=3))


@given(st.integers(1, 70), st.integers(1, 12), st.data())
def test_records_are_covered(n, length, data):
    min_length = data.draw(st.integers(1, length))
    sequence = draw_letters(0, n)
    found = list(cut_records([("record", sequence)], length, min_length=min_length))
    covered = np.zeros(n, int)
    for stretch in found:
        assert sequence[stretch.start : stretch.start + len(stretch.sequence)] == stretch.sequence
        assert len(stretch.sequence) <= length
        assert len(stretch.sequence) >= min(min_length, n)
        covered[stretch.start : stretch.start + len(stretch.sequence)] += 1
    assert (covered >= 1).all()
    assert len(found) == -(-n // length)
    assert all(stretch.chrom == "" and stretch.position == -1 for stretch in found)


@pytest.mark.parametrize(
    ("name", "placed", "place"),
    [
        ("chr1:11-30", True, ("chr1", 10)),
        ("chr1:1,011-1,030", True, ("chr1", 1_010)),
        ("chr1:11-30", False, ("", -1)),
        ("chr1:11-31", True, ("", -1)),  # another number of letters
        ("chr1:0-19", True, ("", -1)),
        ("read:11-30:x", True, ("", -1)),
    ],
)
def test_names_may_tell_the_place(name, placed, place):
    found = list(cut_records([(name, "ACGTACGTACGTACGTACGT")], 8, min_length=4, placed=placed))
    assert (found[0].chrom, found[0].position) == place
    assert [stretch.start for stretch in found] == [0, 8, 16]
    assert found[2].position == (place[1] + 16 if place[0] else -1)


def test_regions_are_cut_from_the_genome(planted, tmp_path):
    path = planted[0]
    regions = pd.DataFrame({"chrom": ["chr2", "chr1"], "start": [50, 0], "end": [150, 40]})
    with open_genome(path, cache=tmp_path) as genome:
        found = list(cut_regions(regions, genome, 60, min_length=50))
        assert [(s.record, s.chrom, s.position, len(s.sequence)) for s in found] == [
            ("chr2:51-150", "chr2", 50, 60), ("chr2:51-150", "chr2", 90, 60), ("chr1:1-40", "chr1", 0, 40),
        ]  # fmt: skip
        for stretch in found:
            end = stretch.position + len(stretch.sequence)
            assert stretch.sequence == genome.fetch(stretch.chrom, stretch.position, end)


@given(st.integers(0, 300), st.integers(1, 300), st.integers(1, 50), st.integers(1, 60), st.integers(1, 100))
def test_windows_slide_over_regions(planted, tmp_path_factory, start, size, length, step, piece):
    regions = pd.DataFrame({"chrom": ["chr3"], "start": [start], "end": [start + size]})
    with open_genome(planted[0], cache=tmp_path_factory.getbasetemp() / "cache") as genome:
        found = [(s.position, s.sequence) for s in slide(regions, genome, length, step=step, piece=piece)]
        end = start + size
        places = [at for at in range(start, end, step) if at + length <= end or at == start]
        expected = [(at, genome.fetch("chr3", at, min(at + length, end))) for at in places]
    assert found == expected
