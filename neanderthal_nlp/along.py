"""Where along a stretch of DNA its score comes from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from neanderthal_nlp.bundle import Bundle, features, score_counts
from neanderthal_nlp.kmers import canonical_columns, count_kmers, encode_kmers
from neanderthal_nlp.predict import TREES, contributions

_PIECES, _STEPS = 10, 5  # pieces of a stretch that a forest scores, and how many of them start within one


class Profile(NamedTuple):
    """Where along a stretch its score comes from.

    Attributes
    ----------
    position : ndarray of int64, shape (n,)
        Nucleotides from the start of the stretch, 0-based.
    value : ndarray of float64, shape (n,)
        If the model is linear, what the word that starts there adds: `base` and the sum are `score`. For a forest,
        the score of the piece whose middle this is; for boosted trees, its score as a probability (not calibrated).
    base : float
        Score of an average window; NaN for trees.
    score : float
        Of the whole stretch.
    """

    position: np.ndarray
    value: np.ndarray
    base: float
    score: float

    @property
    def adds_up(self) -> bool:
        """Whether the values are parts of the score."""
        return not np.isnan(self.base)


def profile_along(bundle: Bundle, sequence: str) -> Profile:
    """Take the score of a stretch apart by place.

    A linear model's score is a sum over the words of the stretch: each adds its weight, less an equal part of what
    an average window has. A forest's is not: pieces of a tenth of the stretch are scored instead, one every fiftieth,
    their counts brought to the number of words of the whole stretch, since a forest that counts absolutely would take
    a piece for its length.

    Parameters
    ----------
    bundle : Bundle
    sequence : str
        Up to the bundle's window length.

    Returns
    -------
    Profile
        If the model is linear, one value a word, 0 where a word holds another letter than A, C, G, T.
    """
    k, counts = bundle.k, count_kmers([sequence], bundle.k)
    score, n_words = float(score_counts(bundle, counts)[0]), int(counts.sum())
    if bundle.model_name in TREES:
        size = max(len(sequence) // _PIECES, k)
        starts = np.arange(0, max(len(sequence) - size, 0) + 1, max(size // _STEPS, 1))
        pieces = count_kmers((sequence[start : start + size] for start in starts), k)
        stretched = bundle._replace(rescaled=True, window_length=n_words + k - 1)
        value = score_counts(stretched, pieces)
        if bundle.model_name == "boosted_trees":
            value = expit(value)
        return Profile(starts + size // 2, value, np.nan, score)
    words = encode_kmers(sequence, k)
    plain = bundle._replace(rescaled=False)
    ones = np.stack([np.zeros(4**k), np.ones(4**k)])
    found = contributions(plain, ones)
    weight = (found.by_word[1] - found.by_word[0]) / features(plain, ones)[1]
    if bundle.canonical:
        weight = weight[canonical_columns(k)]
    scale = (bundle.window_length - k + 1) / max(n_words, 1) if bundle.rescaled else 1.0
    average = found.by_word[0].sum() / max(n_words, 1)
    value = np.where(words >= 0, scale * weight[words] + average, 0.0)
    return Profile(np.arange(len(words)), value, float(found.base[0]), score)
