"""Windows cut into sub-sequences and read as sentences of word numbers (follow-up article).

A sub-sequence is a place in a window, not a copy of letters. The letters of all windows are held once, a byte each, in
a memory map if need be; sub-sequences and their words are made from it a batch at a time.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.kmers import LETTERS
from neanderthal_nlp.parameters import LSTM_K, SUBSEQUENCE_LENGTH, SUBSEQUENCE_STEP, SUBSEQUENCES_PER_WINDOW
from neanderthal_nlp.sequences import fetch_along_genome
from neanderthal_nlp.splits import Split

UNKNOWN = len(LETTERS)
"""Code of any letter that is not A, C, G or T, and of places beyond a window's end."""
_CODES = bytes(LETTERS.find(chr(byte).upper()) % (UNKNOWN + 1) for byte in range(256))
_MAX_K = 15
_BLOCK_ROWS = 4096


class Subsequences(NamedTuple):
    """Where sub-sequences lie; row i of each array is sub-sequence i.

    Attributes
    ----------
    window : ndarray of int32, shape (n,)
        Row of the table of windows.
    start : ndarray of int32, shape (n,)
        Where the sub-sequence starts in its window, nt, 0-based.
    """

    window: np.ndarray
    start: np.ndarray


def cut(
    n_windows: int,
    window_length: int,
    *,
    length: int = SUBSEQUENCE_LENGTH,
    step: int = SUBSEQUENCE_STEP,
    per_window: int | None = SUBSEQUENCES_PER_WINDOW,
) -> Subsequences:
    """Cut every window into sub-sequences, from its start on.

    Parameters
    ----------
    n_windows : int
    window_length : int
        Of every window, nt.
    length : int
        Of a sub-sequence, nt.
    step : int
        Nucleotides from one start to the next: `length` cuts the window into disjoint pieces, as the text of the
        follow-up article has it; 1 shifts by single letters, so that neighbours share all but one of them.
    per_window : int, optional
        Sub-sequences of a window; as many as fit where it is None.

    Returns
    -------
    Subsequences
        Window by window, each in the order of starts.

    Raises
    ------
    InputError
        A number is below 1, or the window holds fewer sub-sequences than asked for.
    """
    if min(n_windows, length, step, per_window or 1) < 1 or per_window == 0:
        raise InputError(
            f"sub-sequences: found {n_windows} windows, length {length}, step {step}, {per_window} a window, "
            "expected at least 1 of each"
        )
    fitting = max(window_length - length, -step) // step + 1
    n = fitting if per_window is None else per_window
    if not 1 <= n <= fitting:
        raise InputError(
            f"sub-sequences: found windows of {window_length} nt, expected at least {(max(n, 1) - 1) * step + length} "
            f"for {max(n, 1)} of {length} nt, one every {step}"
        )
    return Subsequences(
        np.repeat(np.arange(n_windows, dtype=np.int32), n),
        np.tile(np.arange(n, dtype=np.int32) * np.int32(step), n_windows),
    )


def read_letters(windows: pd.DataFrame, genome: Genome, *, out: np.ndarray | None = None) -> np.ndarray:
    """Read the letters of windows as numbers, along the genome.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end`, 0-based half-open.
    genome : Genome
    out : ndarray of uint8, shape (len(windows), window_length), optional
        Where to write, for instance a memory map; without, an array as wide as the longest window is made.

    Returns
    -------
    ndarray of uint8, shape (len(windows), window_length)
        0 to 3 for A, C, G, T (`kmers.LETTERS`) in either case, 4 for any other letter and beyond the end of a window
        that is shorter than the row.

    Raises
    ------
    InputError
        There is no window, `out` does not fit them, or one does not lie on the genome.
    """
    lengths = (windows["end"] - windows["start"]).to_numpy()
    if not len(lengths):
        raise InputError("windows: found none, expected at least one")
    if out is None:
        out = np.empty((len(windows), lengths.max()), dtype=np.uint8)
    if out.dtype != np.uint8 or out.ndim != 2 or len(out) != len(windows) or out.shape[1] < lengths.max():
        raise InputError(
            f"out: found {out.dtype} {out.shape}, expected uint8 ({len(windows)}, {lengths.max()} or more)"
        )
    for row, text in fetch_along_genome(windows, genome):
        out[row, : len(text)] = encode_letters(text)
        out[row, len(text) :] = UNKNOWN
    return out


def encode_letters(sequence: str) -> np.ndarray:
    """Number the letters of a sequence as `read_letters` does; uint8, shape (len(sequence),)."""
    return np.frombuffer(sequence.encode("ascii", "replace").translate(_CODES), dtype=np.uint8)


def number_words(letters: np.ndarray, k: int) -> np.ndarray:
    """Number the words of sub-sequences: every overlapping k-mer, by arithmetic on its letters.

    Parameters
    ----------
    letters : ndarray of uint8, shape (n, length)
        As `read_letters` gives them.
    k : int
        Length of a word, 1 to 15.

    Returns
    -------
    ndarray of int32, shape (n, length - k + 1)
        The number of `kmers.encode_kmers`; 4**k, one word of its own, where a letter is not A, C, G or T.

    Raises
    ------
    InputError
        `k` is below 1, above 15 (a number has 32 bits), or longer than the sub-sequences.
    """
    n_words = letters.shape[1] - k + 1
    if not 1 <= k <= _MAX_K or n_words < 1:
        raise InputError(f"k: found {k}, expected 1 to {min(_MAX_K, letters.shape[1])}")
    words = np.zeros((len(letters), n_words), dtype=np.int32)
    unknown = np.zeros(words.shape, dtype=bool)
    for i in range(k):
        here = letters[:, i : i + n_words]
        words <<= 2
        words |= here & 3
        unknown |= here >= UNKNOWN
    words[unknown] = 4**k
    return words


class Letters:
    """Sub-sequences as letters: examples for `training.train`.

    Parameters
    ----------
    letters : ndarray of uint8, shape (n_windows, window_length)
        As `read_letters` gives them; may be a memory map.
    subsequences : Subsequences
    length : int
        Of each sub-sequence, nt.

    Raises
    ------
    InputError
        A sub-sequence does not lie in a window.
    """

    def __init__(self, letters: np.ndarray, subsequences: Subsequences, *, length: int = SUBSEQUENCE_LENGTH) -> None:
        for name, places, limit in (
            ("windows", subsequences.window, len(letters) - 1),
            ("starts", subsequences.start, letters.shape[1] - length),
        ):
            if len(places) and not 0 <= places.min() <= places.max() <= limit:
                raise InputError(f"sub-sequences: found {name} {places.min()} to {places.max()}, expected 0 to {limit}")
        self.letters, self.subsequences, self.length = letters, subsequences, length

    def __len__(self) -> int:
        return len(self.subsequences.window)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Letters of sub-sequences; uint8, shape (len(rows), length)."""
        window, start = (places[rows] for places in self.subsequences)
        return self.letters[window[:, None], start[:, None] + np.arange(self.length)]


class Words(Letters):
    """Sub-sequences as sentences of word numbers (`number_words`): examples for `training.train`.

    Parameters
    ----------
    letters, subsequences, length
        As for `Letters`.
    k : int
        Length of a word.
    """

    def __init__(
        self,
        letters: np.ndarray,
        subsequences: Subsequences,
        *,
        length: int = SUBSEQUENCE_LENGTH,
        k: int = LSTM_K,
    ) -> None:
        super().__init__(letters, subsequences, length=length)
        self.k = k

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Words of sub-sequences; int32, shape (len(rows), length - k + 1)."""
        return number_words(super().take(rows), self.k)


def count_words(words: Words, rows: np.ndarray) -> np.ndarray:
    """How often each word occurs in some of the sentences.

    Returns
    -------
    ndarray of int64, shape (4**k + 1,)
        By word number; the last is the word that stands for unknown letters. The words above 0 are the vocabulary
        of which the follow-up article counts 964,114.
    """
    counts = np.zeros(4**words.k + 1, dtype=np.int64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        counts += np.bincount(words.take(rows[start : start + _BLOCK_ROWS]).ravel(), minlength=len(counts))
    return counts


def rows_of(subsequences: Subsequences, parts: Split) -> Split:
    """Divide sub-sequences as their windows are divided.

    Parameters
    ----------
    subsequences : Subsequences
        Window by window, as `cut` gives them.
    parts : Split
        Rows of the table of windows.

    Returns
    -------
    Split
        Rows of the sub-sequences, in the order of their windows: the last training rows, which validate, are whole
        windows. To divide the sub-sequences themselves, blind to what window they are of, `splits.split` takes the
        table of `places`.
    """
    order = np.argsort(subsequences.window, kind="stable")
    in_order = subsequences.window[order]

    def rows(windows: np.ndarray) -> np.ndarray:
        first, last = (np.searchsorted(in_order, windows, side) for side in ("left", "right"))
        sizes = last - first
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return order[np.repeat(first, sizes) + within]

    return Split(rows(parts.train), rows(parts.test))


def places(windows: pd.DataFrame, subsequences: Subsequences, *, length: int = SUBSEQUENCE_LENGTH) -> pd.DataFrame:
    """Sub-sequences as a table of windows, for `splits.split` and `audit.leaks`.

    Returns
    -------
    DataFrame
        The columns of `windows`, one row a sub-sequence; `start` and `end` are its own on the chromosome, 0-based
        half-open, and the other columns those of the window that it was cut from.
    """
    table = windows.iloc[subsequences.window].reset_index(drop=True)
    table["start"] += subsequences.start
    table["end"] = table["start"] + length
    return table


class Overlap(NamedTuple):
    """What of each test sub-sequence also lies in a training sub-sequence; arrays, one entry a test sub-sequence.

    Attributes
    ----------
    same_letters : ndarray of bool
        A training sub-sequence has the very same letters, wherever it lies.
    same_place : ndarray of bool
        A training sub-sequence lies at the very same place on the genome.
    best_share : ndarray of float64, in [0, 1]
        Share of its places on the genome that lie in the one training sub-sequence that overlaps it most.
    """

    same_letters: np.ndarray
    same_place: np.ndarray
    best_share: np.ndarray


def overlap_in_training(windows: pd.DataFrame, examples: Letters, parts: Split) -> Overlap:
    """Compare test with training sub-sequences, by letters and by place: a model could know these by heart.

    Disjoint pieces of one window share nothing, but windows that overlap or repeat one another do, and so do
    sub-sequences that are shifts of one another. With the introgressed training rows alone this is how a rule calls
    test sub-sequences that learns nothing.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end`; the table that the sub-sequences were cut from.
    examples : Letters
        `Words` serve as well.
    parts : Split
        Rows of the sub-sequences.

    Returns
    -------
    Overlap

    Notes
    -----
    All sub-sequences have one length, so that the training sub-sequence that overlaps a test one most is the one
    with the nearest start.
    """
    table = places(windows, examples.subsequences, length=examples.length)
    test, train = table.iloc[parts.test], table.iloc[parts.train]
    known = set(_hash_letters(examples, parts.train))
    same_letters = np.fromiter((text in known for text in _hash_letters(examples, parts.test)), bool, len(test))
    distance = _nearest_start(test, train)
    best_share = np.maximum(examples.length - distance, 0) / examples.length
    return Overlap(same_letters, distance == 0, best_share)


def _hash_letters(examples: Letters, rows: np.ndarray) -> list[bytes]:
    """A hash of the letters of each sub-sequence, 128 bits, that no two texts of a genome share by chance."""
    return [
        blake2b(text, digest_size=16).digest()
        for start in range(0, len(rows), _BLOCK_ROWS)
        for text in Letters.take(examples, rows[start : start + _BLOCK_ROWS])
    ]


def _nearest_start(query: pd.DataFrame, target: pd.DataFrame) -> np.ndarray:
    """Distance from each start to the nearest one of `target` on its chromosome, nt; infinite where there is none."""
    nearest = np.full(len(query), np.inf)
    chroms, starts = query["chrom"].to_numpy(), query["start"].to_numpy()
    for chrom, group in target.groupby("chrom")["start"]:
        known = np.sort(group.to_numpy())
        rows = np.flatnonzero(chroms == chrom)
        after = np.searchsorted(known, starts[rows])
        left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
        nearest[rows] = np.minimum(np.abs(starts[rows] - left), np.abs(starts[rows] - right))
    return nearest
