import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neanderthal_nlp.audit.leaks import seen_in_training
from neanderthal_nlp.kmers import encode_kmers, get_kmers, vocabulary
from neanderthal_nlp.parameters import LSTM_K
from neanderthal_nlp.splits import Split, split
from neanderthal_nlp.subsequences import (
    Letters,
    Subsequences,
    Words,
    count_words,
    cut,
    encode_letters,
    number_words,
    overlap_in_training,
    places,
    read_letters,
    rows_of,
)

TEXTS = ["ACGTNacgtACCA", "TTTTTTTTTTTTT", "GATTACAnGATTA"]


@pytest.fixture
def codes():
    return np.stack([encode_letters(text) for text in TEXTS])


def text_of(row):
    return "".join("ACGTN"[code] for code in row)


# Cutting


def test_the_follow_ups_sentences():
    pieces = cut(3, 10_000)
    assert pieces.window.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert pieces.start.tolist() == [0, 200, 400, 600, 800] * 3
    assert (pieces.window.dtype, pieces.start.dtype) == (np.int32, np.int32)
    assert Words(np.zeros((3, 10_000), dtype=np.uint8), pieces).take(np.arange(2)).shape == (2, 191)


@given(
    n_windows=st.integers(1, 4),
    window_length=st.integers(1, 60),
    length=st.integers(1, 60),
    step=st.integers(1, 60),
    per_window=st.none() | st.integers(1, 8),
)
def test_cut_against_a_loop(refused, n_windows, window_length, length, step, per_window):
    starts = [start for start in range(0, window_length, step) if start + length <= window_length]
    options = {"length": length, "step": step, "per_window": per_window}
    if not starts or len(starts) < (per_window or 1):
        with refused(f"windows of {window_length} nt", "expected at least"):
            cut(n_windows, window_length, **options)
        return
    found = cut(n_windows, window_length, **options)
    expected = [(window, start) for window in range(n_windows) for start in starts[:per_window]]
    assert list(zip(found.window.tolist(), found.start.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    "change", [{"n_windows": 0}, {"length": 0}, {"step": 0}, {"per_window": 0}, {"per_window": -1}]
)
def test_cut_refuses_numbers_below_one(change, refused):
    with refused("sub-sequences", "expected at least 1 of each"):
        cut(**({"n_windows": 2, "window_length": 1000} | change))


def test_cut_says_how_long_windows_have_to_be(refused):
    with refused("windows of 999 nt, expected at least 1000 for 5 of 200 nt, one every 200"):
        cut(2, 999)
    assert len(cut(2, 1000).start) == 10


# Letters


def test_letters_of_windows(fasta_genome, letters):
    windows = pd.DataFrame(
        {"chrom": ["chr2", "chr1", "chr2"], "start": [900, 40, 20_000], "end": [960, 100, 20_017]}, index=[5, 3, 9]
    )
    found = read_letters(windows, fasta_genome)
    assert (found.shape, found.dtype) == ((3, 60), np.uint8)
    for row, place in zip(found, windows.itertuples(), strict=True):
        expected = fasta_genome.fetch(place.chrom, place.start, place.end).upper()
        assert text_of(row) == expected.ljust(60, "N")


def test_letters_into_a_memory_map(fasta_genome, tmp_path):
    windows = pd.DataFrame({"chrom": "chr2", "start": [500, 0], "end": [550, 50]})
    out = np.lib.format.open_memmap(tmp_path / "letters.npy", mode="w+", dtype=np.uint8, shape=(2, 50))
    assert read_letters(windows, fasta_genome, out=out) is out
    np.testing.assert_array_equal(np.load(tmp_path / "letters.npy"), read_letters(windows, fasta_genome))


@pytest.mark.parametrize(("dtype", "shape"), [(np.int32, (2, 50)), (np.uint8, (1, 50)), (np.uint8, (2, 49))])
def test_letters_refuse_an_array_that_does_not_fit(dtype, shape, fasta_genome, refused):
    windows = pd.DataFrame({"chrom": "chr2", "start": [500, 0], "end": [550, 50]})
    with refused("out: found", "expected uint8 (2, 50 or more)"):
        read_letters(windows, fasta_genome, out=np.zeros(shape, dtype=dtype))
    with refused("windows: found none"):
        read_letters(windows[:0], fasta_genome)


@given(st.text(st.characters(codec="latin-1"), max_size=30))
def test_codes_of_letters(text):
    expected = ["ACGT".index(letter.upper()) if letter in "ACGTacgt" else 4 for letter in text]
    assert encode_letters(text).tolist() == expected


# Words


@given(st.lists(st.text("ACGTNacgtn", min_size=20, max_size=20), min_size=1, max_size=4), st.integers(1, 15))
def test_words_are_numbered_as_the_package_numbers_them(texts, k):
    found = number_words(np.stack([encode_letters(text) for text in texts]), k)
    assert (found.shape, found.dtype) == ((len(texts), 21 - k), np.int32)
    for row, text in zip(found, texts, strict=True):
        expected = encode_kmers(text, k)
        np.testing.assert_array_equal(row, np.where(expected < 0, 4**k, expected))


def test_numbers_are_those_of_the_vocabulary(codes):
    (row,) = number_words(codes[1:2], 3)
    assert [vocabulary(3)[number] for number in row] == get_kmers(TEXTS[1], 3)


@pytest.mark.parametrize("k", [0, 14, 16])
def test_words_refuse_a_length_that_does_not_fit(k, codes, refused):
    with refused(f"k: found {k}, expected 1 to 13"):
        number_words(codes, k)


@given(st.data())
def test_examples_are_slices_of_the_windows(data):
    letters = np.stack([encode_letters(text) for text in TEXTS])
    length = data.draw(st.integers(3, 13))
    pieces = cut(3, 13, length=length, step=data.draw(st.integers(1, 4)), per_window=None)
    rows = np.array(data.draw(st.lists(st.integers(0, len(pieces.start) - 1), max_size=6)), dtype=np.int64)
    texts = [TEXTS[pieces.window[row]][pieces.start[row] : pieces.start[row] + length].upper() for row in rows]
    examples, words = Letters(letters, pieces, length=length), Words(letters, pieces, length=length, k=3)
    assert len(examples) == len(words) == len(pieces.start)
    taken = examples.take(rows)
    assert (taken.shape, taken.dtype) == ((len(rows), length), np.uint8)
    assert [text_of(row) for row in taken] == texts
    assert words.take(rows).shape == (len(rows), length - 2)
    np.testing.assert_array_equal(words.take(rows), number_words(taken, 3))


@pytest.mark.parametrize(("window", "start"), [(3, 0), (-1, 0), (0, 4), (0, -1)])
def test_examples_refuse_places_outside_the_windows(window, start, codes, refused):
    pieces = Subsequences(*(np.array([number], dtype=np.int32) for number in (window, start)))
    with refused("sub-sequences: found", "expected 0 to"):
        Letters(codes, pieces, length=10)


def test_words_are_counted(codes):
    words = Words(codes, cut(3, 13, length=5, step=3, per_window=None), length=5, k=2)
    rows = np.array([0, 1, 4, 4])
    counts = count_words(words, rows)
    assert (counts.shape, counts.dtype) == ((17,), np.int64)
    expected = pd.Series(words.take(rows).ravel()).value_counts().reindex(range(17), fill_value=0)
    assert counts.tolist() == expected.tolist()
    assert counts[-1] == 2 + 1  # ACGTN and TNACG hold three words with an N between them


# Sides


def make_windows(n=40, seed=3):
    """Windows of 60 nt on two chromosomes, some of which overlap or repeat one another."""
    rng = np.random.default_rng(seed)
    start = 20 * rng.integers(0, 20, n)
    return pd.DataFrame({
        "chrom": rng.choice(["chr1", "chr2"], n), "start": start, "end": start + 60, "label": np.arange(n) % 2,
        "pair": np.arange(n) // 2, "cluster": np.arange(n), "region_start": start, "region_end": start + 60,
    })  # fmt: skip


def test_sides_follow_the_windows_in_their_order():
    windows = make_windows()
    pieces = cut(len(windows), 60, length=20, step=20, per_window=3)
    parts = split(windows, protocol="article")
    sides = rows_of(pieces, parts)
    for rows, side in zip(sides, parts, strict=True):
        assert rows.tolist() == [3 * window + piece for window in side for piece in range(3)]


def test_sides_of_any_sub_sequences():
    pieces = Subsequences(np.array([4, 1, 1, 0, 4], dtype=np.int32), np.zeros(5, dtype=np.int32))
    train, test = rows_of(pieces, Split(np.array([4, 2, 0]), np.array([3, 1])))
    assert (train.tolist(), test.tolist()) == ([0, 4, 3], [1, 2])


def test_a_table_of_sub_sequences_is_one_of_windows():
    windows = make_windows()
    pieces = cut(len(windows), 60, length=20, step=20, per_window=3)
    table = places(windows.set_axis(np.arange(40) + 7), pieces, length=20)
    assert list(table.columns) == list(windows.columns)
    row = 3 * 11 + 2
    assert table.loc[row, ["start", "end"]].tolist() == [windows.start[11] + 40, windows.start[11] + 60]
    kept = ["chrom", "label", "pair", "region_start"]
    assert table.loc[row, kept].tolist() == windows.loc[11, kept].tolist()
    train, test = split(table, protocol="article")
    assert len(set(pieces.window[train]) & set(pieces.window[test])) > 10  # windows end up on both sides
    train, test = split(table, protocol="cluster")
    assert not set(pieces.window[train]) & set(pieces.window[test])


def overlap_by_loop(table, texts, parts, length):
    train = [table.iloc[row] for row in parts.train]
    for row in parts.test:
        here = table.iloc[row]
        shared = [
            max(min(here.end, other.end) - max(here.start, other.start), 0)
            for other in train
            if other.chrom == here.chrom
        ]
        best = max(shared, default=0)
        yield texts[row] in {texts[other] for other in parts.train}, best == length, best / length


@pytest.mark.parametrize("step", [1, 7, 20])
@pytest.mark.parametrize("protocol", ["article", "chromosome"])
def test_overlap_against_a_loop(step, protocol):
    windows, length = make_windows(), 20
    genome = {chrom: np.random.default_rng(i).integers(0, 4, 500, dtype=np.uint8) for i, chrom in
              enumerate(["chr1", "chr2"])}  # fmt: skip
    genome["chr2"][200:] = genome["chr1"][200:]  # the same letters at two places
    letters = np.stack([genome[place.chrom][place.start : place.end] for place in windows.itertuples()])
    examples = Words(letters, cut(len(windows), 60, length=length, step=step, per_window=3), length=length, k=4)
    table = places(windows, examples.subsequences, length=length)
    parts = split(table, protocol=protocol, held_out=["chr2"] if protocol == "chromosome" else None)
    found = overlap_in_training(windows, examples, parts)
    texts = [text_of(row) for row in Letters.take(examples, np.arange(len(examples)))]
    expected = list(zip(*overlap_by_loop(table, texts, parts, length), strict=True))
    for name, values, truth in zip(found._fields, found, expected, strict=True):
        np.testing.assert_allclose(values, truth, err_msg=name)
    seen = seen_in_training(table.iloc[parts.test], table.iloc[parts.train])
    np.testing.assert_array_equal(found.same_place, seen.exact_window)
    np.testing.assert_array_equal(found.best_share > 0, seen.window_overlap)
    if protocol == "chromosome":
        assert found.same_letters.any()
        assert not found.best_share.any()
    else:
        assert 0 < found.same_place.mean() < found.same_letters.mean()


def test_shifts_by_one_letter_are_nearly_all_in_training():
    windows = make_windows(4)
    letters = np.random.default_rng(1).integers(0, 4, (4, 60), dtype=np.uint8)
    examples = Letters(letters, cut(4, 60, length=20, step=1, per_window=41), length=20)
    table = places(windows, examples.subsequences, length=20)
    found = overlap_in_training(windows, examples, split(table, protocol="article"))
    assert found.best_share.min() >= 0.8


def test_words_of_the_follow_up():
    assert LSTM_K == 10
    assert 4**LSTM_K > 964_114  # its vocabulary: the words that it met
