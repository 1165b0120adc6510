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
# # 04. Genes predicted to be Neanderthal
#
# > **All data here are synthetic.** The genome, the "introgressed" regions and the genes come from a random number
# > generator. No number below says anything about Neanderthals. One cell, *Settings*, changes that.
#
# This notebook is section 3 of *Deep Learning on Neanderthal Genes* (Oskolkov 2019). The random forest of
# [03](03_random_forest.ipynb) reads the beginning of every gene and says how likely it is of Neanderthal ancestry. At
# the end we ask which of these beginnings the forest knew before. It runs in about half a minute on two cores.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import pandas as pd

from neanderthal_nlp import audit, claims, figures, forest, genes, intervals, kmers, parameters, sequences, splits
from neanderthal_nlp.annotation import read_genes
from neanderthal_nlp.audit import gene_table
from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.profiles import read_profile

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
# Windows as in [01](01_prepare_sequences.ipynb), counts and split as in [02](02_bag_of_words_and_network.ipynb), the
# forest as in [03](03_random_forest.ipynb):

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
counts = kmers.count_kmers(sequences.fetch_windows(windows, genome), settings["k"])
parts = splits.split(windows, protocol=settings["protocol"])

train = windows.iloc[parts.train]
trained = forest.fit_forest(
    counts[parts.train], train["label"].to_numpy(), n_estimators=settings["n_estimators"], seed=settings["seed"]
)
f"{len(train):,} windows train the forest, {len(parts.test):,} are held out"

# %% [markdown]
# ## 1. Which genes can be scored
#
# **What the article did.** It took the genes of UCSC's table `refGene`, dropped those with an `N`, skipped those
# shorter than 8,800 letters, and kept those whose first 8,800 letters hold all of A, C, G and T. The list of the genes
# scored has 21,503 rows.
#
# **Our call.** `read_genes` reads `refGene`, GTF, GFF3, BED or the article's own list, and tells them apart by their
# content. `score_rule` says of each gene whether it is scored, or the first reason why not.

# %%
annotation = intervals.match_naming(read_genes(paths["genes"]), genome.chromsizes)
annotation.head()

# %%
reasons = genes.score_rule(annotation, genome, length=parameters.GENE_LENGTH)
reasons.value_counts().to_frame("genes")

# %% [markdown]
# A row is a transcript, not a gene: one symbol may have several rows, and they share most of their letters.
#
# **What it means.** On the demo the genes lost are mostly short. A gene is dropped for an `N` anywhere in it, since the
# article dropped the whole record, though only the beginning is read. And that beginning is the one on the forward
# strand. For a gene on the reverse strand it is the end of the gene.

# %% [markdown]
# ## 2. The table of genes
#
# **What the article did.** It counted the 5-mers of each gene with a *new* `CountVectorizer`. That works only because
# every word occurs among the genes, so that the columns are those of the training. It asked the forest for a class
# and for two probabilities, and sorted by the second.
#
# **Our call.** `predict_genes` takes the training vocabulary and gives the columns of the published table, then
# coordinates (0-based, half-open) and the GC content of the gene.

# %%
predicted = genes.predict_genes(
    annotation, genome, trained, length=parameters.GENE_LENGTH, k=settings["k"], reasons=reasons
)
predicted.head()

# %%
figures.plot_gene_lists(predicted)

# %% [markdown]
# Figure 7 of the article shows two such lists, the genes with the highest and with the lowest probability. The number
# beside the published one:

# %%
claims.compare(["genes"], {"genes.tsv": predicted})

# %% [markdown]
# The interval is Wilson's, which takes rows for independent. Rows of one locus are not, so it is too narrow. Counted by
# row, by locus (rows that share letters) and by symbol:

# %%
flagged = predicted.join(audit.flag_genes(predicted, train, length=parameters.GENE_LENGTH))
gene_table.count_predictions(flagged, name="here")

# %% [markdown]
# **What it means.** `Prob_1` is the share of the trees' votes for *introgressed*. It is not calibrated: that few
# genes pass one half does not mean that few are introgressed. Where the forest leans depends on what it was trained on.
# And the text of a gene is shorter than the windows, so that its counts are smaller than those trained on, by 12 % for
# windows of 10,000 letters.

# %% [markdown]
# ## 3. Which genes the forest knew before
#
# **What the article did.** Nothing of the kind: it scored all genes with a forest trained on windows from the same
# genome.
#
# **Our call.** `flag_genes` compares coordinates and reads no letter. `in_window`: the text that was scored shares a
# base with an introgressed training window. `near_window`: the gene starts at most 10,000 letters from one.
# `shared_nt`: how many of its 8,800 letters stand in one training window.

# %%
flagged[["Gene", "Gene_Symbol", "Predict", "Prob_1", "in_window", "near_window", "shared_nt"]].head(10)

# %% [markdown]
# Compare the predicted genes with all genes. `region_only` is the control: the gene lies in an introgressed region,
# but its letters were in no training window. If the forest had learned ancestry, such genes would be called as often.

# %%
enriched = gene_table.enrichment(flagged, name="here", rng=settings["seed"]).query("unit == 'row'").set_index("flag")
enriched.loc[
    ["in_window", "near_window", "region_only"],
    ["n_predicted", "n_predicted_flagged", "share_predicted", "n_all", "n_all_flagged", "share_all"],
]

# %% [markdown]
# And by dose: genes grouped by the share of their text that is one introgressed training window (`above` one share,
# `up_to` another), and how many of them are predicted.

# %%
gene_table.dose_response(flagged, name="here").drop(columns="table")

# %% [markdown]
# **What it means.** On the demo nearly every predicted gene is a piece of a window that the forest was trained on, and
# of the genes that share no letter with one hardly any is predicted. There is no ancestry in the demo. But these few
# genes do not tell why: the forest may recall their labels, or know the composition that was planted in their loci.
# Only forests that never saw their chromosome can tell, as in [07](07_audit.ipynb).
#
# The published table shows the same dependence, with more genes. With coordinates alone,
#
# ```console
# $ neanderthal-nlp audit published-genes --introgressed Akey_intr_coords.bed --depleted Akey_depl_coords.bed \
#       --gaps hg19_gap.bed --published Neanderthal_Genes.txt --json published_genes.json
# ```
#
# prints that 382 of the 477 genes predicted (80.1 %) start near an introgressed training window, against 15.6 % of all
# genes. Of the genes whose text is nearly all such a window (more than 95 %), 265 of 465 are predicted; of those that
# share nothing with one, 107 of 19,008.
#
# A gene in a training window may be introgressed all the same. Its score cannot show it.
# [07](07_audit.ipynb) scores the genes anew, by forests that saw nothing of their chromosome.
#
# **What to try.** In the settings cell:
#
# - `write_demo(..., composition=0)`: introgressed places differ in nothing. Genes are still predicted. Which ones?
# - `write_demo(..., overlap=0)`: each introgressed place has one region, so that fewer windows hold the same letters.
# - `read_profile("demo", ["protocol=chromosome"])`: part of the genes lie on chromosomes that the forest has not seen.
#
# **Next:** [05](05_kmer_embeddings.ipynb), a map of the words.

# %%
genome.close()
folder.cleanup()

# %% [markdown]
# ## References
#
# - Oskolkov N. Deep Learning on Neanderthal Genes (2019).
# - Whalen S, Schreiber J, Noble WS, Pollard KS. Navigating the pitfalls of applying machine learning in genomics.
#   *Nature Reviews Genetics* 23 (2022).
