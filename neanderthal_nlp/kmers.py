"""A sequence as a sentence of k-mers, and the bag of words (article, section 2)."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from itertools import product

import numba
import numpy as np
import pandas as pd

from neanderthal_nlp.parameters import N_TOP_KMERS, K

LETTERS = "ACGT"
_NO_CODE = 4
_PIECE_ROWS = 4096
_MAX_K = 31
_CODES = np.full(256, _NO_CODE, dtype=np.uint8)
for _code, _letter in enumerate(LETTERS):
    _CODES[ord(_letter)] = _CODES[ord(_letter.lower())] = _code


def get_kmers(sequence: str, k: int) -> list[str]:
    """Every overlapping k-mer of a sequence, upper-cased, in its order; empty where it is shorter than `k`."""
    return [sequence[i : i + k].upper() for i in range(len(sequence) - k + 1)]


def to_sentence(sequence: str, k: int) -> str:
    """The k-mers of a sequence as words of a sentence, joined by blanks."""
    return " ".join(get_kmers(sequence, k))


def vocabulary(k: int) -> list[str]:
    """All 4**k k-mers over A, C, G, T in alphabetical order, the order of `CountVectorizer`'s columns."""
    return ["".join(letters) for letters in product(LETTERS, repeat=k)]


def reverse_complements(k: int) -> np.ndarray:
    """Number of the reverse complement of each word of `vocabulary(k)`; int64 (4**k,)."""
    words = np.arange(4**k, dtype=np.int64)
    reverse = np.zeros_like(words)
    for _ in range(k):
        reverse = reverse << 2 | 3 - (words & 3)  # a letter's complement is 3 less its code
        words >>= 2
    return reverse


def canonical_vocabulary(k: int) -> list[str]:
    """The k-mers that come no later in the alphabet than their reverse complements, in alphabetical order.

    There are 4**k / 2 of them if k is odd, and (4**k + 2**k) / 2 if it is even, as some words are their own reverse
    complements then.
    """
    words = vocabulary(k)
    return [words[number] for number in _canonical_numbers(reverse_complements(k))]


def canonical_columns(k: int) -> np.ndarray:
    """Column of `canonical_vocabulary(k)` that each word of `vocabulary(k)` is counted in; int64 (4**k,)."""
    reverse = reverse_complements(k)
    return np.searchsorted(_canonical_numbers(reverse), np.minimum(np.arange(4**k), reverse))


def merge_strands(counts: np.ndarray, k: int) -> np.ndarray:
    """Count a word and its reverse complement together: which strand was read makes no difference then.

    Parameters
    ----------
    counts : ndarray of a number type, shape (..., 4**k)
        Column j counts `vocabulary(k)[j]`.
    k : int

    Returns
    -------
    ndarray of the same type, shape (..., n_canonical)
        Column j counts `canonical_vocabulary(k)[j]`, on either strand; a word that is its own reverse complement
        counts once. The caller's own.

    Raises
    ------
    ValueError
        The columns are not those of all words of length `k`.
    """
    if counts.shape[-1:] != (4**k,):
        raise ValueError(f"counts: found shape {counts.shape}, expected {4**k} columns, one a word of {k} letters")
    reverse = reverse_complements(k)
    forward = _canonical_numbers(reverse)
    merged = counts[..., forward]
    pairs = np.flatnonzero(reverse[forward] != forward)
    merged[..., pairs] += counts[..., reverse[forward[pairs]]]
    return merged


def _canonical_numbers(reverse: np.ndarray) -> np.ndarray:
    """Numbers of the words that are no larger than those of their reverse complements, ascending."""
    words = np.arange(len(reverse))
    return words[words <= reverse]


def count_kmers(sequences: Iterable[str], k: int = K, *, out: np.ndarray | None = None) -> np.ndarray:
    """Count the k-mers of each sequence: the bag of words.

    Equals scikit-learn's `CountVectorizer(vocabulary=...)` on the sentences of `to_sentence`, cell by cell, for
    k >= 2 (its default pattern drops words of one letter).

    Parameters
    ----------
    sequences : iterable of str
        Read one at a time; case does not matter.
    k : int
        Word length.
    out : ndarray of int32, shape (n, 4**k), optional
        Where to count, for instance a memory map; rows are overwritten.

    Returns
    -------
    ndarray of int32, shape (n, 4**k)
        Column j counts `vocabulary(k)[j]`. Words with another letter than A, C, G, T are not counted.

    Raises
    ------
    ValueError
        `k` is below 1, a sequence is not ASCII, or `out` does not fit the sequences.
    """
    if k < 1:
        raise ValueError(f"k: found {k}, expected 1 or more")
    if isinstance(sequences, str):
        raise TypeError("sequences: found one str, expected an iterable of str")
    if out is not None and (out.ndim != 2 or out.shape[1] != 4**k or out.dtype != np.int32):
        raise ValueError(f"out: found {out.dtype} {out.shape}, expected int32 (n, {4**k})")
    rows: list[np.ndarray] = []
    n = 0
    for n, sequence in enumerate(sequences, start=1):
        if out is None:
            rows.append(np.empty(4**k, dtype=np.int32))
        elif n > len(out):
            raise ValueError(f"out: found {len(out)} rows, expected one a sequence (there are more)")
        row = rows[-1] if out is None else out[n - 1]
        row[:] = 0
        _count(np.frombuffer(sequence.encode("ascii"), dtype=np.uint8), k, _CODES, row)
    if out is None:
        return np.stack(rows) if rows else np.empty((0, 4**k), dtype=np.int32)
    if n != len(out):
        raise ValueError(f"out: found {len(out)} rows, expected {n}, one a sequence")
    return out


def encode_kmers(sequence: str, k: int) -> np.ndarray:
    """Number the k-mers of a sequence: `vocabulary(k)[number]` is the word.

    Parameters
    ----------
    sequence : str
        Case does not matter.
    k : int
        Word length.

    Returns
    -------
    ndarray of int64, shape (max(len(sequence) - k + 1, 0),)
        -1 for a word with another letter than A, C, G, T.

    Raises
    ------
    ValueError
        `k` is below 1 or above 31 (a number has 64 bits), or the sequence is not ASCII.
    """
    if not 1 <= k <= _MAX_K:
        raise ValueError(f"k: found {k}, expected 1 to {_MAX_K}")
    return _encode(np.frombuffer(sequence.encode("ascii"), dtype=np.uint8), k, _CODES)


@numba.njit(inline="always")
def _read(word, run, code, mask):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """Append a letter to a k-mer, a number of base 4, and to the run of letters that have a code."""
    return (word << 2 | code & 3) & mask, 0 if code == _NO_CODE else run + 1


@numba.njit(cache=True, nogil=True)
def _encode(letters: np.ndarray, k: int, codes: np.ndarray) -> np.ndarray:  # pragma: no cover (compiled)
    """Number each k-mer; -1 where a letter has no code."""
    words = np.empty(max(len(letters) - k + 1, 0), dtype=np.int64)
    mask = (1 << 2 * k) - 1
    word = run = 0
    for i in range(len(letters)):
        word, run = _read(word, run, codes[letters[i]], mask)
        if i >= k - 1:
            words[i - k + 1] = word if run >= k else -1
    return words


@numba.njit(cache=True, nogil=True)
def _count(letters: np.ndarray, k: int, codes: np.ndarray, row: np.ndarray) -> None:  # pragma: no cover (compiled)
    """Add the k-mers of one sequence to a row, without a list of them in between."""
    mask = (1 << 2 * k) - 1
    word = run = 0
    for letter in letters:
        word, run = _read(word, run, codes[letter], mask)
        if run >= k:
            row[word] += 1


def take_rows(X: np.ndarray, rows: np.ndarray | None = None, *, dtype: type) -> np.ndarray:
    """Copy rows of a matrix of counts, a piece at a time and straight into the type that a model works in.

    Of a memory map that is only read, no more than a piece is in memory at a time. To index first and convert then
    would hold the rows twice, and what was read of the map a third time.

    Parameters
    ----------
    X : ndarray of a number type, shape (n, n_features)
        May be a memory map.
    rows : ndarray of int, shape (m,), optional
        Which rows; all without.
    dtype : type
        Of the copy.

    Returns
    -------
    ndarray, shape (m, n_features)
        The caller's own, in C order.
    """
    rows = np.arange(len(X)) if rows is None else rows
    taken: np.ndarray = np.empty((len(rows), X.shape[1]), dtype=dtype)
    # Pages of a file that only is read can be dropped: should they be needed again, they are read again.
    source = X.base if isinstance(X, np.memmap) and X.mode == "r" and isinstance(X.base, mmap.mmap) else None
    for start in range(0, len(rows), _PIECE_ROWS):
        taken[start : start + _PIECE_ROWS] = X[rows[start : start + _PIECE_ROWS]]
        if source is not None:
            source.madvise(mmap.MADV_DONTNEED)
    return taken


def top_kmers(counts: np.ndarray, labels: np.ndarray, k: int = K, *, n: int = N_TOP_KMERS) -> pd.DataFrame:
    """Most common k-mers of each class (article, figure 2).

    Parameters
    ----------
    counts : ndarray, shape (n_windows, 4**k)
    labels : ndarray, shape (n_windows,)
        1 introgressed, 0 depleted.

    Returns
    -------
    DataFrame
        `label` ("introgressed" or "depleted"), `rank` from 1, `kmer`, `count` over all windows of the class;
        equal counts in alphabetical order.
    """
    labels = np.asarray(labels)
    totals = np.stack([counts[labels == label].sum(axis=0, dtype=np.int64) for label in (0, 1)])
    return rank_kmers(totals, k, n=n)


def rank_kmers(totals: np.ndarray, k: int = K, *, n: int = N_TOP_KMERS) -> pd.DataFrame:
    """Most common k-mers of each class, from what each class counts in all; the table of `top_kmers`.

    Parameters
    ----------
    totals : ndarray of int, shape (2, 4**k)
        Row 0 depleted, row 1 introgressed.
    """
    words = np.array(vocabulary(k))
    tables = []
    for name, label in (("introgressed", 1), ("depleted", 0)):
        top = np.argsort(-totals[label], kind="stable")[:n]
        rank = np.arange(1, len(top) + 1)
        tables.append(pd.DataFrame({"label": name, "rank": rank, "kmer": words[top], "count": totals[label, top]}))
    return pd.concat(tables, ignore_index=True)
