"""Word2Vec on sentences read anew at each pass, against gensim on lists that are all in memory."""

import sys

import numpy as np
import pytest
from gensim.models import Word2Vec

from neanderthal_nlp.embeddings import train_word2vec
from neanderthal_nlp.files import write_table
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.sequences import Sentences, fetch_windows

K = 5
N_WINDOWS = 200
SIZES = (500, 2_000)
_TRAIN = """
import sys
from neanderthal_nlp.embeddings import train_word2vec
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.sequences import Sentences, read_windows
with open_genome(sys.argv[1]) as genome:
    train_word2vec(Sentences(read_windows(sys.argv[2]), genome, 5), seed=1, epochs=1)
"""


@pytest.fixture
def chosen(windows):
    return windows.sample(max(SIZES), random_state=1)


def cut(texts):
    """Sentences as lists of k-mers, all in memory."""
    return [[text[i : i + K] for i in range(len(text) - K + 1)] for text in texts]


def train_in_memory(sentences):
    return Word2Vec(sentences, min_count=2, workers=4, seed=1)


def test_speed(race, chosen, standin):
    chosen = chosen.head(N_WINDOWS)
    with open_genome(standin.genome) as genome:
        next(iter(Sentences(chosen, genome, K)))  # compiles
        found = race(
            f"Word2Vec, 5 epochs over {N_WINDOWS} windows, letters read anew at each pass",
            lambda: train_word2vec(Sentences(chosen, genome, K), seed=1),
            lambda: train_in_memory(cut(text.upper() for text in fetch_windows(chosen, genome))),
            at_least=1,
            rounds=6,
            note="letters read once and cut into lists of k-mers in memory, gensim on these",
        )
    assert set(found.ours.wv.index_to_key) == set(found.reference.wv.index_to_key)
    assert found.ours.corpus_total_words == found.reference.corpus_total_words
    counts = [[model.wv.get_vecattr(word, "count") for word in sorted(model.wv.index_to_key)] for model in found]
    np.testing.assert_array_equal(*counts)


def test_speed_of_training(race, chosen, standin):
    chosen = chosen.head(N_WINDOWS)
    with open_genome(standin.genome) as genome:
        sentences = cut(text.upper() for text in fetch_windows(chosen, genome))
        next(iter(Sentences(chosen, genome, K)))  # compiles
        race(
            f"the same, 5 epochs over {N_WINDOWS} windows",
            lambda: train_word2vec(Sentences(chosen, genome, K), seed=1),
            lambda: train_in_memory(sentences),
            rounds=6,
            note="gensim alone, its lists made beforehand and not counted",
        )


@pytest.mark.parametrize("n", SIZES)
def test_memory(memory, chosen, standin, tmp_path, n):
    write_table(chosen.head(n), tmp_path / "windows.tsv")
    command = [sys.executable, "-c", _TRAIN, standin.genome, tmp_path / "windows.tsv"]
    memory(f"Word2Vec, one epoch over {n:,} windows", command, note="peak memory")
