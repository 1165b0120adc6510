import os
import subprocess
import sys
import warnings
import weakref
import zlib
from itertools import product

import numpy as np
import pytest
import umap
from Bio.SeqUtils import gc_fraction
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import silhouette_score

from neanderthal_nlp import embeddings
from neanderthal_nlp.embeddings import (
    METHODS,
    cluster_map,
    describe_clusters,
    gc_of_kmers,
    kmer_vectors,
    map_kmers,
    project,
    train_word2vec,
)
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import PREDICTIVE_KMERS

AT_RICH = [*("".join(letters) for letters in product("AT", repeat=5)), "CAAAA", "CATTT", "TTTTC", "AATTC"] + [
    "".join(letters) for letters in product("AT", "AT", "G", "AT", "AT")
]
GC_RICH = ["".join(letters) for letters in product("CG", repeat=5)]


def planted_sentences(n_sentences=300, length=40, seed=5):
    """Sentences of words from one group only: 52 AT-rich words or 32 GC-rich ones."""
    rng = np.random.default_rng(seed)
    return [list(rng.choice(AT_RICH if i % 2 else GC_RICH, length)) for i in range(n_sentences)]


@pytest.fixture(scope="module")
def model():
    return train_word2vec(planted_sentences(), seed=1, workers=1, vector_size=20, epochs=15)


@pytest.fixture(scope="module")
def maps(model):
    return map_kmers(model, seed=3)


@pytest.fixture(scope="module")
def vectors(model, maps):
    return kmer_vectors(model, list(maps.points["kmer"]))


def neighbours(points, n):
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return [set(row[:n]) for row in np.argsort(distances, axis=1)]


def kept(before, after, n=10):
    """Mean share of the n nearest neighbours that are still among them."""
    pairs = zip(neighbours(before, n), neighbours(after, n), strict=True)
    return np.mean([len(one & other) / n for one, other in pairs])


# Word2Vec


def test_words_of_one_context_are_alike(model):
    vectors = kmer_vectors(model, AT_RICH + GC_RICH)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine, n = unit @ unit.T, len(AT_RICH)
    assert np.median(cosine[:n, :n]) > 0.9
    assert np.median(cosine[n:, n:]) > 0.9
    assert np.median(cosine[:n, n:]) < 0.5


DIGITS = """
import hashlib
import numpy as np
from neanderthal_nlp.embeddings import kmer_vectors, project, train_word2vec
words = [a + b for a in "ACGT" for b in "ACGT"]
sentences = [list(np.random.default_rng(i).choice(words, 50)) for i in range(60)]
model = train_word2vec(sentences, seed=7, workers=1, vector_size=8)
vectors = kmer_vectors(model, words)
xy = project(vectors, method="tsne", seed=7)
print(hashlib.sha256(vectors.tobytes()).hexdigest(), hashlib.sha256(xy.tobytes()).hexdigest())
"""


def test_one_worker_gives_the_same_digits_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DIGITS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().split()) == 2


def test_seed_matters():
    one, other = (
        train_word2vec(planted_sentences(20), seed=seed, workers=1, vector_size=8, epochs=1) for seed in (1, 2)
    )
    assert not np.array_equal(one.wv["AAAAA"], other.wv["AAAAA"])


def test_several_workers_find_the_same_groups():
    model = train_word2vec(planted_sentences(), seed=1, workers=3, vector_size=20, epochs=15)
    assert model.wv.similarity("AAAAA", "TTTTT") > 0.8 > 0.5 > model.wv.similarity("AAAAA", "CGCGC")


@pytest.mark.parametrize(
    "sentences",
    [
        (words for words in planted_sentences(4)),
        map(list, planted_sentences(4)),
        iter(planted_sentences(4)),
    ],
    ids=["generator", "map", "iterator"],
)
def test_what_can_be_read_once_only_is_refused(sentences):
    with pytest.raises(TypeError, match=r"one-shot .* expected a re-iterable \(it is read 6 times\)"):
        train_word2vec(sentences, seed=1)
    assert len(list(sentences)) == 4, "nothing of it was consumed"


class Sentence(list):
    """A list that can be referred to weakly."""


class Stream:
    """Sentences made anew at every pass; counts the passes and the sentences alive at once.

    gensim hands out batches of 10,000 words and keeps a few of them waiting.
    """

    def __init__(self, n_sentences, length):
        self.n_sentences, self.length = n_sentences, length
        self.passes = self.most_alive = 0
        self.alive = weakref.WeakValueDictionary()

    def __iter__(self):
        self.passes += 1
        for _ in range(self.n_sentences):
            sentence = Sentence(["AAAAA", "CCCCC"] * (self.length // 2))
            self.alive[id(sentence)] = sentence
            self.most_alive = max(self.most_alive, len(self.alive))
            yield sentence
            del sentence


def test_sentences_are_streamed():
    stream = Stream(n_sentences=60, length=2500)
    train_word2vec(stream, seed=1, workers=1, vector_size=4, epochs=2)
    assert stream.passes == 3
    assert stream.most_alive < 30


def test_vectors_are_those_of_gensim_itself():
    from gensim.models import Word2Vec

    sentences = [*planted_sentences(40), ["AAAAA", "GATTA"], []]  # GATTA is rare
    ours = train_word2vec(sentences, seed=3, workers=1)
    theirs = Word2Vec(sentences, seed=3, workers=1, min_count=2, hashfxn=lambda word: zlib.crc32(word.encode()))
    assert ours.wv.index_to_key == theirs.wv.index_to_key
    np.testing.assert_array_equal(ours.wv.vectors, theirs.wv.vectors)
    assert (ours.corpus_count, ours.corpus_total_words) == (theirs.corpus_count, theirs.corpus_total_words)


def test_rare_kmers_have_no_vector():
    model = train_word2vec([["AAAAA", "CCCCC", "AAAAA"]], seed=1, workers=1, vector_size=4)
    assert list(model.wv.key_to_index) == ["AAAAA"]
    with pytest.raises(InputError, match=r"kmers: 1 of 2 have no vector \(first: CCCCC\)"):
        kmer_vectors(model, ["AAAAA", "CCCCC"])
    with pytest.raises(InputError, match="no k-mer occurs 2 times or more"):
        train_word2vec([["AAAAA"], ["CCCCC"]], seed=1)
    with pytest.raises(InputError, match="no k-mer occurs"):
        train_word2vec([], seed=1)


def test_vectors_follow_the_kmers_asked_for(model):
    vectors = kmer_vectors(model, ["TTTTT", "AAAAA", "TTTTT"])
    assert vectors.shape == (3, 20)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, [model.wv["TTTTT"], model.wv["AAAAA"], model.wv["TTTTT"]])
    assert kmer_vectors(model, []).shape == (0, 20)


# Maps


@pytest.mark.parametrize("method", METHODS)
def test_planted_groups_end_in_two_clusters(maps, method):
    points = maps.points
    found = cluster_map(points[[f"{method}_1", f"{method}_2"]].to_numpy(), seed=3)
    assert set(points.loc[found.labels == 0, "kmer"]) == set(AT_RICH)
    assert set(points.loc[found.labels == 1, "kmer"]) == set(GC_RICH)
    assert found.silhouettes[2] > 0.6


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_stay_neighbours(vectors, method):
    xy = project(vectors, method=method, seed=3)
    shuffled = np.random.default_rng(0).permutation(xy)
    assert kept(vectors, xy) > kept(vectors, shuffled) + 0.2


@pytest.mark.parametrize("method", METHODS)
def test_structure_in_five_components_survives(method):
    rng = np.random.default_rng(1)
    centres = rng.normal(scale=20, size=(6, 30))
    groups = np.repeat(np.arange(6), 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xy = project(centres[groups] + rng.normal(size=(120, 30)), method=method, seed=1)
    assert silhouette_score(xy, groups) > 0.6


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_deterministic_by_seed_and_quiet(vectors, maps, method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = project(vectors, method=method, seed=3)
    assert again.shape == (len(vectors), 2)
    assert again.dtype == np.float64
    assert np.array_equal(again, maps.points[[f"{method}_1", f"{method}_2"]])
    # t-SNE starts from the principal components, so that its seed decides nothing visible.
    if method == "umap":
        assert not np.array_equal(again, project(vectors, method=method, seed=4))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "d"), [(4, 2), (7, 3), (31, 100)])
def test_few_points(method, n, d):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xy = project(np.random.default_rng(n).normal(size=(n, d)), method=method, seed=1)
    assert xy.shape == (n, 2)
    assert np.isfinite(xy).all()


def recording(cls, calls):
    """A subclass that notes its settings and the shape of what it is fitted to."""

    class Recording(cls):
        def fit_transform(self, X, y=None, **more):
            calls.append((cls.__name__, self.get_params(), X.shape))
            return super().fit_transform(X, y, **more)

    return Recording


@pytest.mark.parametrize(
    ("n", "method", "expected"),
    [
        (100, "umap", {"n_neighbors": 30, "min_dist": 0.2, "n_components": 2, "random_state": 9, "n_jobs": 1}),
        (20, "umap", {"n_neighbors": 19}),
        (100, "tsne", {"perplexity": 30, "n_components": 2, "random_state": 9}),
        (31, "tsne", {"perplexity": 10}),
    ],
)
def test_settings_are_the_articles(monkeypatch, n, method, expected):
    calls = []
    for module, name in ((embeddings, "PCA"), (embeddings, "TSNE"), (umap, "UMAP")):
        monkeypatch.setattr(module, name, recording(getattr(module, name), calls))
    project(np.random.default_rng(1).normal(size=(n, 12)), method=method, seed=9)
    (pca, pca_settings, shape), (mapper, settings_, mapped) = calls
    assert (pca, pca_settings["n_components"], shape) == ("PCA", 5, (n, 12))
    assert (mapper.lower(), mapped) == (method, (n, 5))
    assert {name: settings_[name] for name in expected} == expected


def test_project_refuses():
    with pytest.raises(InputError, match=r"method: found 'pca', expected one of umap, tsne"):
        project(np.eye(10), method="pca", seed=1)
    with pytest.raises(InputError, match="found 3 k-mers, expected 4 or more"):
        project(np.eye(3), method="umap", seed=1)


def test_tables_of_both_maps(maps):
    points, clusters = maps
    assert list(points.columns) == ["kmer", "gc", "umap_1", "umap_2", "tsne_1", "tsne_2", "cluster"]
    assert list(points["kmer"]) == sorted(AT_RICH + GC_RICH)
    assert np.array_equal(points["gc"], gc_of_kmers(list(points["kmer"])))
    assert set(points.loc[points["cluster"] == 0, "kmer"]) == set(AT_RICH)
    assert list(clusters.columns) == [
        "map", "cluster", "n_kmers", "gc_mean", "gc_low", "gc_high", "predictive_kmers", "silhouette",
        "n_clusters_by_silhouette", "n_cpg",
    ]  # fmt: skip
    assert list(zip(clusters["map"], clusters["cluster"], clusters["n_kmers"], strict=True)) == [
        ("umap", 0, 52), ("umap", 1, 32), ("tsne", 0, 52), ("tsne", 1, 32),
    ]  # fmt: skip
    assert list(clusters["predictive_kmers"]) == [",".join(PREDICTIVE_KMERS), ""] * 2
    for method, rows in clusters.groupby("map"):
        found = cluster_map(points[[f"{method}_1", f"{method}_2"]].to_numpy(), seed=3)
        assert set(rows["silhouette"]) == {found.silhouettes[2]}
        assert set(rows["n_clusters_by_silhouette"]) == {found.n_clusters_by_silhouette}


# GC content


@given(st.lists(st.text("ACGTacgt", min_size=1, max_size=12), max_size=20))
def test_gc_is_biopythons(kmers):
    assert gc_of_kmers(kmers).tolist() == pytest.approx([gc_fraction(kmer) for kmer in kmers])


# Clusters


def blobs(*sizes, seed=0):
    """Round groups of unit spread on a circle, far apart, in random order, with their true labels."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    angles = 2 * np.pi * truth / len(sizes)
    return np.column_stack((np.cos(angles), np.sin(angles))) * 30 + rng.normal(size=(len(truth), 2)), truth


@pytest.mark.parametrize("sizes", [(50, 50), (12, 300), (300, 12)])
def test_two_clusters_of_any_size(sizes):
    xy, truth = blobs(*sizes)
    found = cluster_map(xy, seed=1)
    larger = int(np.argmax(sizes))
    assert found.n_clusters_by_silhouette == 2
    if sizes[0] == sizes[1]:
        larger = truth[0]  # the earlier point decides a tie
    assert np.array_equal(found.labels, truth != larger)


def test_long_clusters_are_not_cut_into_equal_halves():
    rng = np.random.default_rng(2)
    long = np.column_stack((rng.normal(scale=12, size=240), rng.normal(scale=0.5, size=240)))
    short = np.column_stack((rng.normal(scale=0.7, size=40), rng.normal(loc=8, scale=0.7, size=40)))
    found = cluster_map(np.vstack((long, short)), seed=1)
    assert np.array_equal(found.labels, [0] * 240 + [1] * 40)


@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_number_of_clusters_is_found(number):
    xy, truth = blobs(*[25] * number)
    found = cluster_map(xy, seed=1)
    assert found.n_clusters_by_silhouette == number
    assert list(found.silhouettes) == [2, 3, 4, 5, 6, 7, 8]
    labels = cluster_map(xy, seed=1, n_clusters=number).labels
    assert len({(a, b) for a, b in zip(labels, truth, strict=True)}) == number
    assert found.silhouettes[number] == pytest.approx(silhouette_score(xy, truth))


def test_one_cloud_has_no_wide_silhouette():
    found = cluster_map(np.random.default_rng(4).normal(size=(400, 2)), seed=1)
    assert max(found.silhouettes.values()) < 0.5


@pytest.mark.parametrize("xy", [np.zeros((6, 2)), np.eye(2), np.zeros((1, 2))], ids=["one place", "two", "one point"])
def test_no_partition(xy):
    found = cluster_map(xy, seed=1)
    assert found.labels.tolist() == [0] * len(xy)
    assert found.silhouettes == {}
    assert found.n_clusters_by_silhouette == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=1, max_size=25), st.integers(0, 3))
def test_labels_are_ordered_by_size(points, seed):
    xy = np.array(points, dtype=float)
    found = cluster_map(xy, seed=seed, max_clusters=3)
    sizes = np.bincount(found.labels)
    assert found.labels.dtype == np.int64
    assert len(found.labels) == len(xy)
    assert len(sizes) <= 2
    assert list(sizes) == sorted(sizes, reverse=True)
    assert all(-1 <= width <= 1 for width in found.silhouettes.values())
    assert np.array_equal(found.labels, cluster_map(xy, seed=seed, max_clusters=3).labels)


def test_description_of_clusters():
    kmers = ["AAAAA", "TTTTT", "CGCGC", "GGGGG", "CAAAA", "ACGTA", "GCCCC"]
    table = describe_clusters(np.array([0, 0, 1, 1, 0, 0, 2]), kmers)
    assert list(table.columns) == [
        "cluster", "n_kmers", "gc_mean", "gc_low", "gc_high", "predictive_kmers", "n_cpg",
    ]  # fmt: skip
    assert table["cluster"].tolist() == [0, 1, 2]
    assert table["n_kmers"].tolist() == [4, 2, 1]
    assert table["gc_mean"].tolist() == pytest.approx([0.15, 1, 1])
    values = [0, 0, 0.2, 0.4]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=np.std(values, ddof=1) / 2)
    assert table.loc[0, ["gc_low", "gc_high"]].tolist() == pytest.approx([low, high])
    assert table.loc[1, ["gc_low", "gc_high"]].tolist() == [1, 1]
    assert table.loc[2, ["gc_low", "gc_high"]].isna().all()
    assert table["predictive_kmers"].tolist() == ["AAAAA,CAAAA,TTTTT", "", ""]
    assert table["n_cpg"].tolist() == [1, 1, 0]


def test_description_refuses_labels_of_another_length():
    with pytest.raises(ValueError, match="zip"):
        describe_clusters(np.array([0, 1]), ["AAAAA"])
