"""What the follow-up shows of its network, and of a convolutional one beside it, as tables.

Which places and which words matter to a network says what the network does. Beside each stands what GC content alone
would make of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.kmers import LETTERS
from neanderthal_nlp.parameters import LSTM_K
from neanderthal_nlp.subsequences import Words, count_words, number_words

if TYPE_CHECKING:
    import keras

    from neanderthal_nlp.attribution import Score


class WordMap(NamedTuple):
    """A map of the vectors that a network gives the most common words.

    Attributes
    ----------
    table : DataFrame
        One row a word, the most common first: `kmer, count, gc, umap_1, umap_2`.
    gc_explained : float
        Share of the variance of the words' GC content that a linear function of their vectors explains, less what
        vectors without meaning would (adjusted R squared); NaN where the words are no more than the dimensions.
    """

    table: pd.DataFrame
    gc_explained: float


def map_words(model: keras.Model, words: Words, rows: np.ndarray, *, n: int, seed: int) -> WordMap:
    """Lay the vectors of the most common words out in the plane, as the article does with those of 5-mers.

    Parameters
    ----------
    model : keras.Model
        Of `recurrent.build_lstm`, trained.
    words : Words
    rows : ndarray of int
        Sentences that the model was trained on.
    n : int
        Words, the most common of these sentences.
    seed : int
        Of UMAP.

    Returns
    -------
    WordMap
    """
    from neanderthal_nlp.embeddings import project
    from neanderthal_nlp.recurrent import embedding_table

    known = embedding_table(model, count_words(words, rows), n=n)
    xy = project(known.vectors, method="umap", seed=seed)
    table = known.words.assign(umap_1=xy[:, 0], umap_2=xy[:, 1])
    return WordMap(table, explained_share(known.vectors, table["gc"].to_numpy()))


def explained_share(X: np.ndarray, y: np.ndarray) -> float:
    """Adjusted R squared of a linear regression with intercept; NaN without more rows than columns, or spread in y.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    """
    n, d = X.shape
    if n <= d + 1 or np.ptp(y) == 0:
        return float("nan")
    design = np.column_stack([np.ones(n), X])
    residuals = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - (residuals @ residuals / (n - d - 1)) / np.var(y, ddof=1))


def sample_rows(rows: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """At most n of some rows, drawn without replacement, in ascending order."""
    return np.sort(np.random.default_rng(seed).choice(rows, min(n, len(rows)), replace=False))


def gc_of_letters(letters: np.ndarray) -> np.ndarray:
    """Share of G and C among the known letters of sequences, uint8 (n, length); float64 (n,), NaN without any."""
    gc, known = ((letters == 1) | (letters == 2)).sum(axis=1), (letters < len(LETTERS)).sum(axis=1)
    return np.divide(gc, known, out=np.full(len(letters), np.nan), where=known > 0)


def letter_scorer(name: str, model: keras.Model) -> Score:
    """Make a function from letters to a network's logits, whatever the network reads.

    Parameters
    ----------
    name : str
        Of the network (`parameters.SEQUENCE_MODELS`).
    model : keras.Model
        As `audit.sub_sequences.build_network` makes it.

    Returns
    -------
    callable
        From uint8 letters (m, length) to float64 (m,), as `attribution.in_silico_mutagenesis` takes it.
    """
    from neanderthal_nlp.attribution import logit_scorer  # here, since it brings TensorFlow

    score = logit_scorer(model)
    return (lambda letters: score(number_words(letters, LSTM_K))) if name == "lstm" else score


def summarise_mutagenesis(changes: np.ndarray, letters: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate how much a network's score changes when letters are replaced, by place and by letter.

    Parameters
    ----------
    changes : ndarray of float64, shape (n, length, 4)
        Of `attribution.in_silico_mutagenesis`, in logits.
    letters : ndarray of uint8, shape (n, length)
        0 to 3 = A, C, G, T; other letters are left out of the second table.

    Returns
    -------
    tuple of DataFrame
        `position, change` (mean size of the change, over sequences and the three other letters); and `found, put,
        n, mean, size`: mean change and mean size of the change where a letter was replaced by another one.
    """
    by_place = np.abs(changes).sum(axis=2).mean(axis=0) / (len(LETTERS) - 1)
    rows = []
    for i, found in enumerate(LETTERS):
        for j, put in enumerate(LETTERS):
            change = changes[letters == i][:, j]
            if i != j and len(change):
                rows.append((found, put, len(change), change.mean(), np.abs(change).mean()))
    return (
        pd.DataFrame({"position": np.arange(len(by_place)), "change": by_place}),
        pd.DataFrame(rows, columns=["found", "put", "n", "mean", "size"]),
    )
