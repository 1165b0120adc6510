"""The follow-up article's bidirectional LSTM on sentences of 10-mers.

It reads the `Words` of `subsequences`. What the follow-up does not state (units, batch
size, optimiser) is assumed, each time with these words, in `parameters`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from neanderthal_nlp import training
from neanderthal_nlp.embeddings import gc_of_kmers
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genes import prediction_table, scored_genes
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.kmers import LETTERS
from neanderthal_nlp.parameters import (
    EMBEDDING_DIMENSIONS,
    GENE_LENGTH,
    LSTM_BATCH_SIZE,
    LSTM_EPOCHS,
    LSTM_K,
    LSTM_LEARNING_RATE,
    LSTM_UNITS,
    LSTM_VALIDATION_SPLIT,
    SPLIT_SEED,
    SUBSEQUENCE_LENGTH,
)
from neanderthal_nlp.subsequences import Words, cut, read_letters

_Z = 1.959963984540054  # of a 95 % interval
_THRESHOLD = 0.5


def build_lstm(
    *,
    k: int = LSTM_K,
    length: int = SUBSEQUENCE_LENGTH,
    embedding: int = EMBEDDING_DIMENSIONS,
    units: int = LSTM_UNITS,
    learning_rate: float = LSTM_LEARNING_RATE,
    seed: int = SPLIT_SEED,
) -> keras.Model:
    """Build and compile the bidirectional LSTM.

    Parameters
    ----------
    k : int
        Length of a word.
    length : int
        Of a sub-sequence, nt.
    embedding : int
        Dimensions of a word's vector. All 4**k words have one, and so has the word that stands for unknown letters;
        the follow-up gives one to each of the 964,114 words that it met.
    units : int
        Of the LSTM in each direction.
    learning_rate : float
        Of Adam.
    seed : int
        Of the initial weights: the same seed gives the same weights, whatever else the process has drawn. The two
        directions start from different ones.

    Returns
    -------
    keras.Model
        Input `(n, length - k + 1)` int32, word numbers (layer `words`); layers `embedding`, `lstm`; output `(n, 1)`,
        the probability of being introgressed.

    Notes
    -----
    Layers and optimiser are as Keras makes them by default, but for the seeds. One setting is not: the loop over the
    words is compiled by XLA where no GPU is (`jit_compile`). This changes results by rounding only, and takes two
    thirds of the time. On a GPU, Keras warns that it takes cuDNN's LSTM instead.

    Two traits of Keras' Adam show where words are many. It moves every vector at each step, also those of words that
    the batch lacks, by their momentum: most of the work of a step of 32 sentences, little of one of 512. And where a
    word occurs n times in a batch, it estimates the variance from n gradients rather than from their sum, so that
    the vectors of frequent words take steps up to the square root of n longer than Adam as published would.
    """
    model = keras.Sequential(
        [
            keras.Input((length - k + 1,), dtype="int32", name="words"),
            keras.layers.Embedding(
                4**k + 1,
                embedding,
                embeddings_initializer=keras.initializers.RandomUniform(seed=seed),
                name="embedding",
            ),
            keras.layers.Bidirectional(
                _lstm(units, seed=seed + 1, backwards=False),
                backward_layer=_lstm(units, seed=seed + 3, backwards=True),
                name="lstm",
            ),
            keras.layers.Dense(
                1,
                activation="sigmoid",
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 5),
                name="probability",
            ),
        ],
        name="recurrent",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, name="adam"),
        loss="binary_crossentropy",
        metrics=["binary_accuracy"],
        jit_compile=True,
    )
    return model


def train_lstm(
    model: keras.Model,
    words: Words,
    y: np.ndarray,
    *,
    directory: str | Path,
    rows: np.ndarray | None = None,
    validation_rows: np.ndarray | None = None,
    validation_split: float = LSTM_VALIDATION_SPLIT,
    epochs: int = LSTM_EPOCHS,
    batch_size: int = LSTM_BATCH_SIZE,
    seed: int = SPLIT_SEED,
    report: Callable[[str], object] | None = print,
) -> pd.DataFrame:
    """Train the LSTM as `training.train` trains any model, by default for as long as the follow-up did.

    Parameters
    ----------
    model : keras.Model
        As `build_lstm` makes it.
    words : Words
    y : ndarray, shape (len(words),)
        1 = introgressed, 0 = depleted: the label of each sentence's window.
    directory, rows, validation_rows, validation_split, epochs, batch_size, seed, report
        As for `training.train`.

    Returns
    -------
    DataFrame
        The history; see `training.train`.

    Raises
    ------
    InputError
        As `training.train` does, or the sentences are not of the model's length.
    """
    n_words = words.length - words.k + 1
    if (words.k, n_words) != (_word_length(model), model.input_shape[1]):
        raise InputError(
            f"sentences: found {n_words} words of {words.k} nt, expected {model.input_shape[1]} of "
            f"{_word_length(model)} nt, as the model takes them"
        )
    return training.train(
        model,
        words,
        y,
        directory=directory,
        rows=rows,
        validation_rows=validation_rows,
        validation_split=validation_split,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        report=report,
    )


def _lstm(units: int, *, seed: int, backwards: bool) -> keras.layers.LSTM:
    return keras.layers.LSTM(
        units,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
        go_backwards=backwards,
        seed=seed,
        name="backward" if backwards else "forward",
    )


def position_importance(
    model: keras.Model,
    words: Words,
    y: np.ndarray,
    rows: np.ndarray,
    *,
    rng: np.random.Generator | int,
    n_repeats: int = 1,
) -> pd.DataFrame:
    """Permutation importance of each place in the sentence.

    The words at one place are permuted among the sentences, and the accuracy is measured again (Breiman, Machine
    Learning 45, 2001). A word shares all but one of its letters with the next one, so that neighbours still tell
    most of what was permuted.

    Parameters
    ----------
    model : keras.Model
        As `build_lstm` makes it, trained.
    words : Words
    y : ndarray, shape (len(words),)
        1 = introgressed, 0 = depleted.
    rows : ndarray of int, shape (m,)
        Sentences to permute: a sample of the test rows. They are held in memory, and are scored once for every
        place and repeat.
    rng : numpy Generator or int
        Source of randomness or a seed for one.
    n_repeats : int
        Permutations of each place.

    Returns
    -------
    DataFrame
        One row a place: `position` (of the word's first letter, nt, 0-based), `drop` (accuracy minus accuracy after
        the permutation, mean of the repeats), `low` and `high` (95 % normal interval of the mean over the sentences,
        taken as independent, which sentences of overlapping windows are not).

    Raises
    ------
    InputError
        `rows` are none of the sentences or fewer than two, `y` does not fit, or `n_repeats` is below 1.
    """
    rows = training.check_rows(rows, len(words))
    if np.shape(y) != (len(words),):
        raise InputError(f"labels: found shape {np.shape(y)}, expected ({len(words)},), one a sentence")
    if len(rows) < 2 or n_repeats < 1:
        raise InputError(f"importance: found {len(rows)} sentences and {n_repeats} repeats, expected 2 and 1 or more")
    rng = np.random.default_rng(rng)
    sentences, truth = words.take(rows), np.asarray(y)[rows] == 1
    right = _call(model, sentences) == truth
    table = []
    for position in range(sentences.shape[1]):
        column = sentences[:, position].copy()
        lost = np.zeros(len(rows))
        for _ in range(n_repeats):
            sentences[:, position] = rng.permutation(column)
            lost += right.astype(float) - (_call(model, sentences) == truth)
        sentences[:, position] = column
        lost /= n_repeats
        margin = _Z * lost.std(ddof=1) / np.sqrt(len(rows))
        table.append((position, lost.mean(), lost.mean() - margin, lost.mean() + margin))
    return pd.DataFrame(table, columns=["position", "drop", "low", "high"])


def _call(model: keras.Model, sentences: np.ndarray) -> np.ndarray:
    return training.predict(model, _Sentences(sentences)) > _THRESHOLD


@dataclass(frozen=True)
class _Sentences:
    """Sentences in memory, as examples."""

    words: np.ndarray

    def __len__(self) -> int:
        return len(self.words)

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.words[rows]


class EmbeddingTable(NamedTuple):
    """Vectors of the most common words.

    Attributes
    ----------
    words : DataFrame
        One row a word, the most common first: `kmer`, `count` (in the training sentences), `gc` (share of G and C).
    vectors : ndarray of float32, shape (n, embedding)
        Row by row, for `embeddings.project`.
    """

    words: pd.DataFrame
    vectors: np.ndarray


def embedding_table(model: keras.Model, counts: np.ndarray, *, n: int | None = None) -> EmbeddingTable:
    """Take from a model the vectors of words that it has seen: the others are as they were drawn.

    Parameters
    ----------
    model : keras.Model
        As `build_lstm` makes it, trained.
    counts : ndarray of int, shape (4**k + 1,)
        How often each word occurs in the training sentences (`subsequences.count_words`).
    n : int, optional
        How many words, the most common ones, equal counts in alphabetical order; all that occur without. The word that
        stands for unknown letters is none.

    Returns
    -------
    EmbeddingTable

    Raises
    ------
    InputError
        `counts` are not those of the model's words, or no word occurs.
    """
    k, (vectors,) = _word_length(model), model.get_layer("embedding").get_weights()
    if np.shape(counts) != (len(vectors),):
        raise InputError(f"counts: found shape {np.shape(counts)}, expected ({len(vectors)},), one a word of {k} nt")
    known = counts[:-1]
    chosen = np.argsort(-known, kind="stable")[: np.count_nonzero(known)][:n]
    if not len(chosen):
        raise InputError("counts: no word occurs, expected those of the training sentences")
    letters = np.array(list(LETTERS))[chosen[:, None] >> 2 * np.arange(k)[::-1] & 3]
    kmers = ["".join(word) for word in letters]
    return EmbeddingTable(
        pd.DataFrame({"kmer": kmers, "count": known[chosen], "gc": gc_of_kmers(kmers)}), vectors[chosen]
    )


def predict_windows(model: keras.Model, words: Words, *, rows: np.ndarray | None = None) -> np.ndarray:
    """Score windows by their sub-sequences: the mean of the probabilities.

    Parameters
    ----------
    model : keras.Model
        As `build_lstm` makes it, trained.
    words : Words
    rows : ndarray of int, optional
        Sentences that count, rather than all.

    Returns
    -------
    ndarray of float64, shape (n_windows,)
        NaN for a window that none of the sentences is of.

    Raises
    ------
    InputError
        `rows` are none of the sentences.
    """
    rows = training.check_rows(rows, len(words))
    window = words.subsequences.window[rows]
    n_windows = len(words.letters)
    total = np.bincount(window, weights=training.predict(model, words, rows=rows), minlength=n_windows)
    number = np.bincount(window, minlength=n_windows)
    return np.divide(total, number, out=np.full(n_windows, np.nan), where=number > 0)


def predict_genes_recurrent(
    genes: pd.DataFrame,
    genome: Genome,
    model: keras.Model,
    *,
    length: int = GENE_LENGTH,
    reasons: pd.Series | None = None,
) -> pd.DataFrame:
    """Predict how likely a gene is of Neanderthal ancestry: the mean over disjoint sub-sequences of its first letters.

    Which genes the follow-up scores, and by how many of their letters, is not stated; assumed: those of section 3 of
    the article, by as many.

    Parameters
    ----------
    genes, genome, length, reasons
        As for `genes.predict_genes`.
    model : keras.Model
        As `build_lstm` makes it, trained.

    Returns
    -------
    DataFrame
        As `genes.predict_genes` returns it; `Predict` is 1 where `Prob_1` is above a half.

    Raises
    ------
    InputError
        No gene can be scored, a gene passes the end of its chromosome, or `length` is shorter than a sub-sequence.
    """
    scored = scored_genes(genes, genome, length=length, reasons=reasons)
    k = _word_length(model)
    size = model.input_shape[1] + k - 1
    letters = read_letters(scored.assign(end=scored["start"] + length), genome)
    pieces = cut(len(scored), length, length=size, step=size, per_window=None)
    scores = predict_windows(model, Words(letters, pieces, length=size, k=k))
    return prediction_table(scored, genome, scores > _THRESHOLD, np.stack([1 - scores, scores], axis=1))


def _word_length(model: keras.Model) -> int:
    """Length of the words of a model that has a vector for each of 4**k words and one for unknown letters."""
    return ((model.get_layer("embedding").input_dim - 1).bit_length() - 1) // 2
