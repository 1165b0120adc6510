"""Words of DNA by the company they keep: Word2Vec, then a map in two dimensions (article, section 4).

The article looks at its maps and sees "two obvious k-mer clusters", the larger AT-rich, the smaller GC-rich,
its four most predictive k-mers all in the larger one. Here the same maps are drawn and the sentence is
measured: how many clusters a map supports, how large they are, and which letters their k-mers have.
"""

from __future__ import annotations

import importlib
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import (
    PCA_COMPONENTS,
    PREDICTIVE_KMERS,
    UMAP_MIN_DIST,
    UMAP_NEIGHBORS,
    WORD2VEC_DIMENSIONS,
    WORD2VEC_MIN_COUNT,
    WORD2VEC_WORKERS,
)

if TYPE_CHECKING:
    from gensim.models import Word2Vec

METHODS = ("umap", "tsne")
_EPOCHS = 5  # gensim's default, which the article leaves as it is
_PERPLEXITY = 30.0  # scikit-learn's default, likewise
_MIN_POINTS = 4  # UMAP's spectral start needs more points than the dimensions of the map plus one


class ClusterMap(NamedTuple):
    """Clusters of a map and the evidence for their number.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
        Cluster of each point; 0 is the largest.
    silhouettes : dict of int to float
        Mean silhouette width of the partition into 2, 3, ... clusters, in [-1, 1]. Kaufman and Rousseeuw
        (Finding Groups in Data, 1990) read a width above 0.5 as structure and one below 0.25 as none. Empty
        where all points coincide.
    """

    labels: np.ndarray
    silhouettes: dict[int, float]

    @property
    def n_clusters_by_silhouette(self) -> int:
        """Number of clusters with the widest silhouette; 1 where no partition exists."""
        return max(self.silhouettes, key=self.silhouettes.__getitem__, default=1)


class KmerMaps(NamedTuple):
    """Both maps of the article as tables (see `map_kmers`)."""

    points: pd.DataFrame
    clusters: pd.DataFrame


def train_word2vec(
    sentences: Iterable[Sequence[str]],
    *,
    seed: int,
    workers: int = WORD2VEC_WORKERS,
    vector_size: int = WORD2VEC_DIMENSIONS,
    min_count: int = WORD2VEC_MIN_COUNT,
    epochs: int = _EPOCHS,
) -> Word2Vec:
    """Train Word2Vec (continuous bag of words, gensim's defaults) on sentences of k-mers.

    Parameters
    ----------
    sentences : re-iterable of lists of str
        Each an ordered list of k-mers. They are streamed `epochs` + 1 times and never held together. gensim
        reads the first 10,000 words of a sentence and passes over the rest without a word.
    seed : int
        Seed of the initial vectors and of the sampling.
    workers : int
        Training threads. One worker gives the same digits in every process. Several (the article's four)
        race for the shared vectors: their digits differ from run to run whatever the seed, and only the
        outcome (which k-mers lie together) can be relied on.
    vector_size : int
        Dimensions of a vector.
    min_count : int
        K-mers that occur less often get no vector.
    epochs : int
        Passes over the sentences.

    Returns
    -------
    gensim.models.Word2Vec

    Raises
    ------
    TypeError
        `sentences` can be read only once (a generator, a file handle, a `map`).
    InputError
        No k-mer occurs `min_count` times.
    """
    if iter(sentences) is sentences:
        raise TypeError(
            f"sentences: found a one-shot {type(sentences).__name__}, expected a re-iterable "
            f"(it is read {epochs + 1} times)"
        )
    from gensim.models import Word2Vec

    model = Word2Vec(
        seed=seed,
        workers=workers,
        vector_size=vector_size,
        min_count=min_count,
        epochs=epochs,
        hashfxn=_stable_hash,
    )
    # What gensim's own pass over the sentences does, at the speed of C; words keep the order of their first occurrence.
    counts: Counter[str] = Counter()
    n_sentences = 0
    for sentence in sentences:
        counts.update(sentence)
        n_sentences += 1
    model.build_vocab_from_freq(counts, corpus_count=n_sentences)
    model.corpus_total_words = counts.total()
    if not len(model.wv):
        raise InputError(f"sentences: no k-mer occurs {min_count} times or more")
    model.train(sentences, total_examples=model.corpus_count, epochs=epochs)
    return model


def _stable_hash(word: str) -> int:
    """Hash a word alike in every process, as Python's own `hash` does not."""
    return zlib.crc32(word.encode())


def kmer_vectors(model: Word2Vec, kmers: Sequence[str]) -> np.ndarray:
    """Look up the vectors of k-mers.

    Returns
    -------
    ndarray of float32, shape (len(kmers), vector_size)

    Raises
    ------
    InputError
        A k-mer has no vector (it occurred less than `min_count` times).
    """
    missing = [kmer for kmer in kmers if kmer not in model.wv]
    if missing:
        raise InputError(f"kmers: {len(missing)} of {len(kmers)} have no vector (first: {missing[0]})")
    return model.wv.vectors[[model.wv.key_to_index[kmer] for kmer in kmers]]


def project(vectors: np.ndarray, *, method: str, seed: int) -> np.ndarray:
    """Lay vectors out in the plane: five principal components, then UMAP or t-SNE.

    UMAP takes the article's 30 neighbours and minimal distance of 0.2; t-SNE, for which the article names no
    setting, scikit-learn's defaults. With fewer than 31 points UMAP takes all others as neighbours; with
    fewer than 91 the perplexity of t-SNE is a third of the others.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
    method : {"umap", "tsne"}
    seed : int

    Returns
    -------
    ndarray of float64, shape (n, 2)
        The same digits for the same vectors and seed: everything runs on one thread, since sums over threads
        differ in their last bit and both methods magnify it.

    Raises
    ------
    InputError
        `method` is unknown or there are fewer than four vectors.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    if method not in METHODS:
        raise InputError(f"method: found {method!r}, expected one of {', '.join(METHODS)}")
    if len(vectors) < _MIN_POINTS:
        raise InputError(f"vectors: found {len(vectors)} k-mers, expected {_MIN_POINTS} or more")
    with threadpool_limits(1):
        pca = PCA(min(PCA_COMPONENTS, *vectors.shape), svd_solver="full")
        components = pca.fit_transform(vectors)
        reduce = _umap if method == "umap" else _tsne
        return reduce(components, seed).astype(np.float64)


def _import_umap() -> Any:
    """Import UMAP without its variant on TensorFlow, whose import takes longer than the map."""
    variant = "umap.parametric_umap"
    if variant in sys.modules:
        return importlib.import_module("umap").UMAP
    sys.modules[variant] = None  # type: ignore[assignment]  # an import of it fails, which umap provides for
    try:
        return importlib.import_module("umap").UMAP
    finally:
        del sys.modules[variant]


def _umap(components: np.ndarray, seed: int) -> np.ndarray:
    UMAP = _import_umap()
    neighbors = min(UMAP_NEIGHBORS, len(components) - 1)
    reducer = UMAP(n_neighbors=neighbors, min_dist=UMAP_MIN_DIST, n_components=2, random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        # UMAP lays out unconnected groups of points one by one; that they are unconnected is a result.
        warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
        return reducer.fit_transform(components)


def _tsne(components: np.ndarray, seed: int) -> np.ndarray:
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    return TSNE(n_components=2, perplexity=perplexity, random_state=seed).fit_transform(components)


def gc_of_kmers(kmers: Sequence[str]) -> np.ndarray:
    """Share of the letters G and C in each k-mer.

    Returns
    -------
    ndarray of float64, shape (len(kmers),), in [0, 1]
    """
    shares = [sum(letter in "GCgc" for letter in kmer) / len(kmer) for kmer in kmers]
    return np.array(shares, dtype=np.float64)


def cluster_map(xy: np.ndarray, *, seed: int, n_clusters: int = 2, max_clusters: int = 8) -> ClusterMap:
    """Divide a map into clusters and measure how many it supports.

    Clusters are the components of a Gaussian mixture with full covariances: the article speaks of a larger
    and a smaller cluster, and a mixture lets each have its own weight, shape and direction, where k-means and
    Ward's linkage draw towards equal sizes and single linkage splits off stray points.

    Parameters
    ----------
    xy : ndarray, shape (n, 2)
    seed : int
    n_clusters : int
        Number of clusters to label; the article sees two.
    max_clusters : int
        Largest number of clusters to measure.

    Returns
    -------
    ClusterMap
        With fewer labels than `n_clusters` where the points do not allow them.

    Notes
    -----
    The silhouette compares partitions with each other and cannot prefer a single cluster; its width says
    whether the best of them means anything.
    """
    xy = np.asarray(xy, dtype=np.float64)
    limit = min(max_clusters, len(np.unique(xy, axis=0)), len(xy) - 1)
    with threadpool_limits(1):
        partitions = {number: _partition(xy, number, seed) for number in range(2, limit + 1)}
        silhouettes = {
            number: float(silhouette_score(xy, labels))
            for number, labels in partitions.items()
            if len(np.unique(labels)) > 1
        }
    labels = partitions.get(min(n_clusters, limit), np.zeros(len(xy), dtype=np.int64))
    return ClusterMap(labels, silhouettes)


def _partition(xy: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Label the points by mixture component, largest first; the earlier point decides a tie."""
    mixture = GaussianMixture(n_clusters, n_init=5, random_state=seed)
    _, first, labels, sizes = np.unique(
        mixture.fit_predict(xy), return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[labels]


def describe_clusters(
    labels: np.ndarray,
    kmers: Sequence[str],
    *,
    predictive: Sequence[str] = PREDICTIVE_KMERS,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Tabulate what the clusters of a map are made of.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    kmers : sequence of str, length n
    predictive : sequence of str
        K-mers to look for; the article's four most predictive ones.
    confidence : float
        Level of the interval of the mean.

    Returns
    -------
    DataFrame
        One row per cluster: `cluster`; `n_kmers`; `gc_mean`, the mean share of G and C in its k-mers, with
        Student's t interval `gc_low`, `gc_high` (missing for a single k-mer); `predictive_kmers`, those of
        `predictive` inside, comma-joined; `n_cpg`, its k-mers with a C followed by a G, which vertebrate
        genomes keep rare (they mutate once methylated), so that GC-rich and CpG-bearing are told apart.
    """
    rows = []
    for label in np.unique(labels):
        members = [kmer for kmer, other in zip(kmers, labels, strict=True) if other == label]
        gc = gc_of_kmers(members)
        mean, margin = gc.mean(), _t_margin(gc, confidence)
        rows.append(
            {
                "cluster": int(label),
                "n_kmers": len(members),
                "gc_mean": mean,
                "gc_low": mean - margin,
                "gc_high": mean + margin,
                "predictive_kmers": ",".join(kmer for kmer in predictive if kmer in members),
                "n_cpg": sum("CG" in kmer.upper() for kmer in members),
            }
        )
    return pd.DataFrame(rows)


def _t_margin(values: np.ndarray, confidence: float) -> float:
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values))


def map_kmers(model: Word2Vec, *, seed: int, predictive: Sequence[str] = PREDICTIVE_KMERS) -> KmerMaps:
    """Draw both maps of the article from a trained model and measure their clusters.

    Parameters
    ----------
    model : gensim.models.Word2Vec
    seed : int
    predictive : sequence of str
        The article's four most predictive k-mers.

    Returns
    -------
    KmerMaps
        `points`, one row per k-mer of the model in alphabetical order: `kmer`, `gc`, `umap_1`, `umap_2`,
        `tsne_1`, `tsne_2`, `cluster` (of the UMAP map, 0 the larger of two); `clusters`, the columns of
        `describe_clusters` per map and cluster, with `silhouette` (of two clusters) and
        `n_clusters_by_silhouette` before `n_cpg`.
    """
    kmers = sorted(model.wv.key_to_index)
    vectors = kmer_vectors(model, kmers)
    points = pd.DataFrame({"kmer": kmers, "gc": gc_of_kmers(kmers)})
    tables, labels = [], {}
    for method in METHODS:
        xy = project(vectors, method=method, seed=seed)
        found = cluster_map(xy, seed=seed)
        points[f"{method}_1"], points[f"{method}_2"], labels[method] = xy[:, 0], xy[:, 1], found.labels
        table = describe_clusters(found.labels, kmers, predictive=predictive)
        table.insert(0, "map", method)
        table.insert(len(table.columns) - 1, "silhouette", found.silhouettes.get(2, float("nan")))
        table.insert(len(table.columns) - 1, "n_clusters_by_silhouette", found.n_clusters_by_silhouette)
        tables.append(table)
    return KmerMaps(points.assign(cluster=labels["umap"]), pd.concat(tables, ignore_index=True))
