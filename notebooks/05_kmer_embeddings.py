# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05. Maps of the words
#
# > **All data here are synthetic.** The genome and the "introgressed" regions come from a random number generator. No
# > number below says anything about Neanderthals. One cell, *Settings*, changes that.
#
# This notebook is section 4 of *Deep Learning on Neanderthal Genes* (Oskolkov 2019). Word2Vec gives every 5-mer a
# vector, from the words that stand beside it. Two maps show which words are alike. The article sees two clusters in
# them; we ask what the clusters are. It runs in one to two minutes on two cores.

# %%
# %matplotlib inline
# Maps of 1,024 words: as PNG they would be four times as large.
# %config InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "dpi": 130}
# %config InlineBackend.figure_formats = ["jpeg"]
import tempfile
import warnings
from pathlib import Path

import pandas as pd
from sklearn.decomposition import PCA

from neanderthal_nlp import claims, embeddings, figures, intervals, parameters, sequences
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.profiles import read_profile

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that UMAP does not draw here
pd.set_option("display.precision", 3, "display.max_colwidth", None)
folder = tempfile.TemporaryDirectory()
workspace = Path(folder.name)

# %% tags=["settings"]
# The embedded demo, small. For the article's own data, change this cell only:
#     settings = read_profile("article")
#     paths = {"genome": "hg19.2bit", "introgressed": "Akey_intr_coords.bed", "genes": "gene_ids.txt"}
settings = read_profile("demo")
paths = write_demo(workspace, n_regions=600, seed=settings["seed"])

# %% [markdown]
# Windows as in [01](01_prepare_sequences.ipynb):

# %%
genome = open_genome(paths["genome"], cache=workspace)
sizes = sequences.assembly_sizes(genome, assembly=settings["assembly"], chromsizes=settings["chromsizes"])
introgressed = intervals.read_regions(paths["introgressed"], sizes)
gaps = sequences.find_gaps(genome, sizes)
depleted = sequences.draw_partners(
    introgressed,
    sizes,
    gaps,
    drop_unplaced=settings["unplaced"] == "drop",
    as_published=settings["as_published"],
    rng=settings["seed"],
)
windows = sequences.make_windows(
    introgressed.loc[depleted.index],
    depleted,
    genome,
    length=settings["window_length"],
    k=settings["k"],
    gaps=gaps,
    as_published=settings["as_published"],
)
n_read = min(settings["word2vec_windows"] or len(windows), len(windows))
read = windows.sample(n_read, random_state=settings["seed"]).sort_index()
f"{len(read):,} of {len(windows):,} windows are read"

# %% [markdown]
# ## 1. Words by the company they keep
#
# **What the article did.** It trained `Word2Vec` on the sentences of all sequences, introgressed and depleted
# together: 100 dimensions, words that occur at least twice, four threads.
#
# **Our call.** `Sentences` reads a window from the genome each time it is asked for, so that the texts are never held
# together. `train_word2vec` is gensim's, with the article's settings. One thread gives the same vectors each time;
# several race for the shared vectors, and their digits differ from run to run.

# %%
model = embeddings.train_word2vec(
    sequences.Sentences(read, genome, settings["k"]), seed=settings["seed"], workers=settings["word2vec_workers"]
)
pd.DataFrame(
    model.wv.most_similar(parameters.PREDICTIVE_KMERS[0], topn=5),
    columns=[f"nearest to {parameters.PREDICTIVE_KMERS[0]}", "cosine"],
)

# %% [markdown]
# **What it means.** Word2Vec puts words together that have the same neighbours. Words of a DNA text overlap: the next
# word is the last one, moved on by a letter. So the nearest words are mostly the same letters, moved or with one
# changed. No label was read. Whatever the maps show, it is not what tells introgressed from depleted.

# %% [markdown]
# ## 2. Two maps
#
# **What the article did.** It took five principal components of the vectors and drew them in two dimensions, by UMAP
# (30 neighbours, minimal distance 0.2) and by t-SNE. It saw "two obvious k-mer clusters", a larger AT-rich and a
# smaller GC-rich one. Its four most predictive words are in the larger.
#
# **Our call.** How much of the vectors is in the five components?

# %%
kept = PCA(parameters.PCA_COMPONENTS).fit(model.wv.vectors).explained_variance_ratio_
pd.DataFrame({"share of variance": kept, "together": kept.cumsum()}, index=range(1, len(kept) + 1))

# %% [markdown]
# On the demo about a tenth: the maps show a small part of what the vectors hold.
#
# `map_kmers` draws both maps and measures what the article saw. A Gaussian mixture divides each map in two. The
# silhouette says how far apart the two parts are: Kaufman and Rousseeuw (1990) read more than 0.5 as structure, less
# than 0.25 as none.

# %%
points, clusters = embeddings.map_kmers(model, seed=settings["seed"])
figures.plot_embedding(points, clusters, method="umap", name="UMAP")

# %%
figures.plot_embedding(points, clusters, method="tsne", name="t-SNE")

# %% [markdown]
# The colour is the GC content of the word. The shade behind it is the cluster on the UMAP map, in both figures. The
# numbers beside the published ones:

# %%
claims.compare(["kmer_clusters", "four_at_rich"], {"clusters.tsv": clusters})

# %% [markdown]
# They are measured on the UMAP map. On the demo the t-SNE map, by its caption, does not support two clusters best.
#
# **What it means.** On the demo the claims hold, and its letters are random. So what makes the clusters is something
# that the demo has from its recipe. Which part of it?

# %% [markdown]
# ## 3. What the small cluster is
#
# **What the article did.** It called the clusters AT-rich and GC-rich.
#
# **Our call.** Count again, by cluster and by whether a word has a `CG` in it:

# %%
has_cpg = points["kmer"].str.contains("CG").rename("has a CG")
pd.crosstab(points["cluster"], has_cpg)

# %% [markdown]
# On the demo the words with a `CG` are all in one cluster, and make up most of it. In vertebrates a C before a G is
# mostly methylated, and then mutates easily (Bird 1980). So `CG`, a *CpG*, is rare, and the demo imitates that. Where
# one stands, four words in a row hold it: rare words keep company with rare words.
#
# **What it means.** What looks like GC-rich against AT-rich is mostly the words with a `CG` against those without.
# They are GC-rich because `CG` is. Words of one GC content are in both clusters: see the table of the next section.
# Two things can hold the words with a `CG` together, that they are rare and that they share two letters. The count
# does not tell the two apart.
#
# `CG` is rare nearly everywhere in the genome, in introgressed and in depleted windows. It has nothing to do
# with ancestry.

# %% [markdown]
# ## 4. The four words
#
# **What the article did.** It printed its four most predictive words in green and found them all in the AT-rich
# cluster.
#
# **Our call.** The four have at most one C and no G. Where are all the other words, by their share of G and C?

# %%
pd.crosstab(points["gc"], points["cluster"])

# %% [markdown]
# **What it means.** A word with at most one G or C has no room for a `CG`. On the demo all such words are in the large
# cluster, whether they are predictive or not. That the four are there follows from their letters.
#
# The maps are a good picture of how DNA is spelled. They are no evidence of ancestry, and were not made to be.
# [07](07_audit.ipynb) asks what is.
#
# **What to try.** In the settings cell:
#
# - `read_profile("demo", ["word2vec_windows=100"])`: how many windows does it take until there are two clusters?
# - `write_demo(..., composition=0)`: the introgressed places differ in nothing. Does the map change?
# - another `seed`: what of the map stays, and what turns or moves?
# - In section 1, sentences from a genome of `audit.write_null_genome` with `order=0`, where `CG` is not rare (as in
#   [07](07_audit.ipynb), section 5). Do the words with a `CG` still lie together?
#
# **Next:** [06](06_gene_intersections.ipynb), whether introgressed regions avoid genes.

# %%
genome.close()
folder.cleanup()

# %% [markdown]
# ## References
#
# - Bird AP. DNA methylation and the frequency of CpG in animal DNA. *Nucleic Acids Research* 8 (1980).
# - Kaufman L, Rousseeuw PJ. *Finding Groups in Data* (1990).
# - McInnes L, Healy J, Melville J. UMAP: uniform manifold approximation and projection for dimension reduction.
#   arXiv:1802.03426 (2018).
# - Mikolov T, Chen K, Corrado G, Dean J. Efficient estimation of word representations in vector space.
#   arXiv:1301.3781 (2013).
# - Oskolkov N. Deep Learning on Neanderthal Genes (2019).
# - van der Maaten L, Hinton G. Visualizing data using t-SNE. *Journal of Machine Learning Research* 9 (2008).
