"""A sequence as a sentence of k-mers; CountVectorizer is the reference for the counts."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from neanderthal_nlp import kmers

TEXTS = st.lists(st.text("ACGTacgtNnRy-", max_size=60), max_size=6)


def naive_counts(texts, k):
    """Count by comparing every stretch with every word."""
    words = ["".join(word) for word in product("ACGT", repeat=k)]
    return [
        [sum(text[i : i + k].upper() == word for i in range(len(text) - k + 1)) for word in words] for text in texts
    ]


# Words --------------------------------------------------------------------------------------------------------


@given(text=st.text("ACGTacgtN", max_size=30), k=st.integers(1, 8))
def test_kmers_are_the_articles_overlapping_words(text, k):
    words = kmers.get_kmers(text, k)
    assert len(words) == max(len(text) - k + 1, 0)
    assert all(word == text.upper()[i : i + k] for i, word in enumerate(words))
    assert kmers.to_sentence(text, k) == " ".join(words)
    assert kmers.to_sentence(text, k).split() == words


def test_a_sentence_by_hand():
    assert kmers.to_sentence("gattNca", 5) == "GATTN ATTNC TTNCA"
    assert kmers.to_sentence("gatt", 5) == ""


@pytest.mark.parametrize("k", [1, 2, 5])
def test_vocabulary_is_alphabetical(k):
    words = kmers.vocabulary(k)
    assert words == sorted(words)
    assert len(set(words)) == len(words) == 4**k
    assert set("".join(words)) == set("ACGT")


@given(text=st.text("ACGTacgtNnRy-", max_size=60), k=st.integers(1, 8))
def test_numbers_are_the_words_places_in_the_vocabulary(text, k):
    words = kmers.vocabulary(k) if k < 5 else None
    numbers = kmers.encode_kmers(text, k)
    found = [kmers.get_kmers(text, k)[i] for i in range(len(numbers))]
    assert len(numbers) == max(len(text) - k + 1, 0)
    for number, word in zip(numbers, found, strict=True):
        known = set(word) <= set("ACGT")
        assert number == (sum("ACGT".index(letter) * 4**i for i, letter in enumerate(reversed(word))) if known else -1)
        assert words is None or not known or words[number] == word


def test_only_words_of_letters_are_numbered():
    for k in (0, 32):
        with pytest.raises(ValueError, match=f"k: found {k}, expected 1 to 31"):
            kmers.encode_kmers("ACGT", k)
    assert kmers.encode_kmers("T" * 31, 31).tolist() == [4**31 - 1]
    with pytest.raises(UnicodeEncodeError):
        kmers.encode_kmers("ACGÜ", 2)


# Counts -------------------------------------------------------------------------------------------------------


@given(texts=TEXTS, k=st.integers(2, 5))
def test_counts_equal_count_vectorizer_with_a_vocabulary(texts, k):
    vectorizer = CountVectorizer(vocabulary=[word.lower() for word in kmers.vocabulary(k)])
    wanted = vectorizer.transform([kmers.to_sentence(text, k) for text in texts]).toarray() if texts else None
    counts = kmers.count_kmers(texts, k)
    assert counts.dtype == np.int32
    assert counts.shape == (len(texts), 4**k)
    if texts:
        np.testing.assert_array_equal(counts, wanted)


@given(texts=TEXTS, k=st.integers(1, 3))
def test_counts_equal_the_naive_count(texts, k):
    counts = kmers.count_kmers(texts, k)
    np.testing.assert_array_equal(counts, np.array(naive_counts(texts, k)).reshape(-1, 4**k))


@pytest.mark.parametrize("k", [2, 3, 5])
def test_counts_equal_the_articles_count_vectorizer(k):
    rng = random.Random(k)  # noqa: S311 (not for secrets)
    texts = ["".join(rng.choices("ACGTacgt", weights=[3, 2, 2, 3] * 2, k=rng.randint(1, 10_000))) for _ in range(12)]
    texts.append("".join(kmers.vocabulary(k)))  # so that every word occurs
    vectorizer = CountVectorizer()
    bag = vectorizer.fit_transform([kmers.to_sentence(text, k) for text in texts])
    assert [word.upper() for word in vectorizer.get_feature_names_out()] == kmers.vocabulary(k)
    counts = kmers.count_kmers(texts, k)
    np.testing.assert_array_equal(counts, bag.toarray().astype("int32"))
    assert counts.dtype == np.int32
    assert counts.sum(axis=1).tolist() == [max(len(text) - k + 1, 0) for text in texts]


def test_the_default_is_the_articles_5():
    assert kmers.count_kmers(["ACGTA"]).nonzero()[1].tolist() == [kmers.vocabulary(5).index("ACGTA")]


def test_short_and_foreign_texts_give_rows_of_zeros():
    counts = kmers.count_kmers(["", "A", "ACGT", "NNNNNNNN", "ACGTNACGT", "ACGTA"], 5)
    assert counts.sum(axis=1).tolist() == [0, 0, 0, 0, 0, 1]


def test_nothing_to_count():
    assert kmers.count_kmers([], 3).shape == (0, 64)
    assert kmers.count_kmers(iter(()), 3).dtype == np.int32


def test_texts_are_read_one_at_a_time():
    alive = 0

    class Text(str):
        __slots__ = ()

        def __del__(self):
            nonlocal alive
            alive -= 1

    def texts():
        nonlocal alive
        for _ in range(50):
            alive += 1
            assert alive <= 2
            yield Text("ACGTACGT")

    assert kmers.count_kmers(texts(), 2).sum() == 50 * 7


def test_counts_into_an_array_of_the_caller(tmp_path):
    texts = ["ACGTACGT", "", "TTTTT"]
    wanted = kmers.count_kmers(texts, 3)
    full = np.full((3, 64), 99, dtype=np.int32)
    assert kmers.count_kmers(iter(texts), 3, out=full) is full
    np.testing.assert_array_equal(full, wanted)

    path = tmp_path / "kmers.npy"
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(3, 64))
    kmers.count_kmers(texts, 3, out=mapped).flush()
    np.testing.assert_array_equal(np.load(path), wanted)

    strided = np.zeros((3, 128), dtype=np.int32)[:, ::2]
    np.testing.assert_array_equal(kmers.count_kmers(texts, 3, out=strided), wanted)


@pytest.mark.parametrize("rows", [2, 4])
def test_an_array_of_another_number_of_rows_is_refused(rows):
    with pytest.raises(ValueError, match=f"out: found {rows} rows"):
        kmers.count_kmers(["ACGT"] * 3, 2, out=np.zeros((rows, 16), dtype=np.int32))


# A narrower array than 4**k is not tried here: where it is not refused, memory beyond it is written to.
@pytest.mark.parametrize("shape", [(3, 17), (3, 64)])
def test_an_array_of_another_width_is_refused(shape):
    with pytest.raises(ValueError, match="out"):
        kmers.count_kmers(["ACGT"] * 3, 2, out=np.zeros(shape, dtype=np.int32))


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.uint16])
def test_an_array_of_another_type_is_refused(dtype):
    with pytest.raises(ValueError, match="out"):
        kmers.count_kmers(["ACGT"] * 3, 2, out=np.zeros((3, 16), dtype=dtype))


@pytest.mark.parametrize("k", [0, -1])
def test_words_without_letters_are_refused(k):
    with pytest.raises(ValueError, match="k: found"):
        kmers.count_kmers(["ACGT"], k)


def test_letters_beyond_ascii_are_refused():
    with pytest.raises(ValueError, match="ascii"):
        kmers.count_kmers(["ACGT", "ACGÅT"], 2)


# Both strands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_reverse_complements_are_biopythons(k):
    words = kmers.vocabulary(k)
    assert [words[number] for number in kmers.reverse_complements(k)] == [
        str(Seq(w).reverse_complement()) for w in words
    ]


@pytest.mark.parametrize(("k", "n"), [(1, 2), (2, 10), (3, 32), (4, 136), (5, 512), (6, 2080)])
def test_canonical_words_are_one_of_each_pair(k, n):
    words = kmers.canonical_vocabulary(k)
    assert len(words) == n
    assert words == sorted({min(word, str(Seq(word).reverse_complement())) for word in kmers.vocabulary(k)})


@given(texts=st.lists(st.text("ACGTacgtN", max_size=60), min_size=1, max_size=4), k=st.integers(1, 4))
def test_merged_counts_equal_counting_each_word_under_its_canonical_name(texts, k):
    names = kmers.canonical_vocabulary(k)
    wanted = np.zeros((len(texts), len(names)), dtype=np.int32)
    for row, text in enumerate(texts):
        for word in kmers.get_kmers(text, k):
            if set(word) <= set("ACGT"):
                wanted[row, names.index(min(word, str(Seq(word).reverse_complement())))] += 1
    counts = kmers.count_kmers(texts, k)
    before = counts.copy()
    merged = kmers.merge_strands(counts, k)
    assert merged.dtype == counts.dtype
    np.testing.assert_array_equal(merged, wanted)
    np.testing.assert_array_equal(counts, before)
    np.testing.assert_array_equal(kmers.merge_strands(counts[0], k), wanted[0])
    other = kmers.count_kmers([str(Seq(text).reverse_complement()) for text in texts], k)
    np.testing.assert_array_equal(kmers.merge_strands(other, k), merged)


def test_counts_of_another_word_length_are_not_merged():
    with pytest.raises(ValueError, match=r"counts: found shape \(3, 16\), expected 64 columns"):
        kmers.merge_strands(np.zeros((3, 16)), 3)


# Most common k-mers -------------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.lists(st.integers(0, 3), min_size=16, max_size=16), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    n=st.integers(1, 20),
)
def test_top_kmers_equals_sorting_by_count_then_name(counts, seed, n):
    labels = np.random.default_rng(seed).integers(0, 2, len(counts))
    table = kmers.top_kmers(np.array(counts, dtype=np.int32), labels, 2, n=n)
    words = ["".join(word) for word in product("ACGT", repeat=2)]
    wanted = []
    for name, label in (("introgressed", 1), ("depleted", 0)):
        chosen = [row for row, its in zip(counts, labels, strict=True) if its == label]
        total = {word: sum(row[j] for row in chosen) for j, word in enumerate(words)}
        order = sorted(words, key=lambda word, total=total: (-total[word], word))[:n]
        wanted += [(name, rank, word, total[word]) for rank, word in enumerate(order, start=1)]
    assert list(table.itertuples(index=False, name=None)) == wanted
    assert list(table.columns) == ["label", "rank", "kmer", "count"]


def test_top_kmers_of_texts_gives_20_a_class_and_does_not_overflow():
    counts = kmers.count_kmers(["AAAAAAAAAC", "TTTTTTTTTG"])
    table = kmers.top_kmers(counts, np.array([1, 0]))
    assert table.groupby("label")["rank"].agg(["min", "max"]).to_numpy().tolist() == [[1, 20], [1, 20]]
    assert table.loc[table["rank"] == 1, "kmer"].tolist() == ["AAAAA", "TTTTT"]
    large = np.full((3, 4), 2**31 - 1, dtype=np.int32)
    total = kmers.top_kmers(large, np.ones(3, dtype=np.int64), 1, n=1)
    pd.testing.assert_series_equal(
        total["count"], pd.Series([3 * (2**31 - 1), 0], name="count"), check_dtype=False
    )  # fmt: skip


@pytest.mark.parametrize("mode", [None, "r", "r+", "c"])
def test_rows_are_copied_in_pieces_and_the_matrix_stays_as_it_was(mode, tmp_path, monkeypatch):
    monkeypatch.setattr(kmers, "_PIECE_ROWS", 7)
    X = np.random.default_rng(0).integers(0, 99, (50, 3)).astype(np.int32)
    np.save(tmp_path / "kmers.npy", X)
    source = np.load(tmp_path / "kmers.npy", mmap_mode=mode)
    if mode in ("r+", "c"):  # changes that the file may not hold yet, or never will
        source[4], X[4] = 1000, 1000
    for chosen in (np.arange(0), np.array([49]), np.array([4, 4, 30, 1, 0, 49, 8]), np.arange(49, -1, -1), None):
        taken = kmers.take_rows(source, chosen, dtype=np.float32)
        assert taken.dtype == np.float32
        np.testing.assert_array_equal(taken, X if chosen is None else X[chosen])
        np.testing.assert_array_equal(source, X)
        taken[:] = -1
        np.testing.assert_array_equal(source, X)
