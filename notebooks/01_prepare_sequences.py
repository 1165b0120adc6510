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
# # 01. Prepare the sequences
#
# > **All data here are synthetic.** The genome and the "introgressed" regions come from a random number generator. No
# > number below says anything about Neanderthals. One cell, *Settings*, changes that.
#
# *Deep Learning on Neanderthal Genes* (Oskolkov 2019) wants to tell stretches of DNA that people of today have from
# Neanderthals (*introgressed*) from stretches without (*depleted*). This notebook is section 1 of the article: where
# the two kinds of stretches come from, and what is cut out of them to be read. It runs in about a quarter of a minute
# on two cores.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from neanderthal_nlp import claims, figures, intervals, kmers, sequences
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
# A *profile* holds the values of a run: seeds, lengths, numbers of trees. `demo` and `article` differ in what a small
# computer can afford, and in little else.

# %% [markdown]
# ## 1. The introgressed regions
#
# **What the article did.** It took the regions that Vernot et al. (2016) called introgressed in Europeans, each
# distinct region once. Its figure 1 shows their lengths.
#
# **Our call.** `read_regions` reads coordinates in the BED way: counted from 0, the end not included. It makes sure
# that the regions lie on this genome: a wrong build is the commonest mistake with such files, and it would give wrong
# letters without a word.

# %%
genome = open_genome(paths["genome"], cache=workspace)
sizes = sequences.assembly_sizes(genome, assembly=settings["assembly"], chromsizes=settings["chromsizes"])

introgressed = intervals.read_regions(paths["introgressed"], sizes)
introgressed.head()

# %%
lengths = introgressed["end"] - introgressed["start"]
summary = {
    "n_introgressed": len(introgressed),
    "length_min": lengths.min(),
    "length_mean": lengths.mean(),
    "length_max": lengths.max(),
}
figures.plot_region_lengths(introgressed, summary)

# %% [markdown]
# The number beside the published one, of the claims that `neanderthal_nlp.claims` holds as data:

# %%
claims.compare(["regions", "lengths"], {"regions.json": summary})

# %% [markdown]
# **What it means.** On the demo the numbers are ours, chosen small. The published file gives 83,601 regions with a
# mean of 92 kb (`README.md`). But a region is a *call*, not an inheritance: one old stretch of Neanderthal
# DNA lives on in many people, cut differently in each, and every distinct cut is a row. How many rows overlap another
# one?

# %%
pd.Series(
    {
        "regions": len(introgressed),
        "overlap another region": int((intervals.count_overlaps(introgressed, introgressed) > 1).sum()),
        "distinct starts": len(introgressed[["chrom", "start"]].drop_duplicates()),
        "clusters of overlapping regions": int(intervals.cluster(introgressed).max() + 1),
    },
    name="n",
).to_frame()

# %% [markdown]
# Keep the last row in mind. The regions are evidence of as many places as there are clusters, not of as many as there
# are rows. [07](07_audit.ipynb) shows what follows from that.

# %% [markdown]
# ## 2. The depleted regions
#
# **What the article did.** For each introgressed region it drew a random start on the same chromosome, kept the
# length, and drew again until the draw overlapped no introgressed region. So row *i* of one file is the *partner* of
# row *i* of the other.
#
# **Our call.** `draw_partners` does the same, with one difference. Part of every assembly is not known and spelled
# `N`. The article drew blindly and threw away each pair with an N in either region. By default we leave out an
# introgressed region with an N and keep the draws clear of N, so that no pair is lost after the draw.
# `as_published=True` draws as the article did. Here are both:

# %%
gaps = sequences.find_gaps(genome, sizes)
drop = settings["unplaced"] == "drop"
clear = sequences.draw_partners(introgressed, sizes, gaps, drop_unplaced=drop, rng=settings["seed"])
blind = sequences.draw_partners(introgressed, sizes, gaps, drop_unplaced=drop, as_published=True, rng=settings["seed"])
introgressed.join(clear.add_suffix("_depleted"), how="right").head()

# %% [markdown]
# Did it work? A draw must not overlap an introgressed region, and a clear one must not overlap a gap. Draws may
# overlap one another, in the article too.

# %%
pd.DataFrame(
    {
        "draws": [len(clear), len(blind)],
        "overlap an introgressed region": [
            int((intervals.count_overlaps(draws, introgressed) > 0).sum()) for draws in (clear, blind)
        ],
        "overlap a gap": [int((intervals.count_overlaps(draws, gaps) > 0).sum()) for draws in (clear, blind)],
        "overlap another draw": [int((intervals.count_overlaps(draws, draws) > 1).sum()) for draws in (clear, blind)],
    },
    index=["clear of N (default)", "blind (as published)"],
).T

# %% [markdown]
# **What it means.** On the gaps of hg19 a blind draw meets an N for 0.116 of the published regions, about one in
# nine (the commands are in `docs/deviations.md`). These pairs are lost. The
# classes stay of one size, since the introgressed partner goes too, but long regions are lost more often than short
# ones.
#
# Another difference is built in, and both ways of drawing have it. Introgressed regions lie where selection and
# history let them, draws lie anywhere. Whatever differs between such places, GC content for one, differs between the
# classes. [07](07_audit.ipynb) draws partners that are alike in GC.

# %% [markdown]
# ## 3. The N filter, and windows as coordinates
#
# **What the article did.** It extracted every region with `samtools faidx` into two FASTA files, walked through both
# and kept a pair only if neither sequence held an N. Later it read the first 10,000 letters of each, for "memory
# limitations of my laptop".
#
# **Our call.** `make_windows` does all of this on coordinates. A window is a row, and its letters are read from the
# genome when they are counted. So the data set stays small, can be sorted and joined, and one can ask which windows
# overlap. (`neanderthal-nlp windows --fasta FOLDER` writes the article's two FASTA files.)

# %%
cut = {"length": settings["window_length"], "k": settings["k"], "gaps": gaps}
windows = sequences.make_windows(introgressed.loc[clear.index], clear, genome, **cut)
windows.head()

# %% [markdown]
# `label` is 1 for introgressed, `pair` counts the pairs, `cluster` names the cluster of overlapping regions, and
# `region_start`, `region_end` say what the window was cut from. The start of the first window, as text:

# %%
first = windows.iloc[0]
genome.fetch(first.chrom, first.start, first.start + 60)

# %% [markdown]
# Lower case marks repeats. Case is dropped when words are counted, as in the article.

# %% [markdown]
# ## 4. As published, beside the default
#
# There is a second difference. The article pasted BED numbers into `samtools faidx`, which counts from 1 and includes
# the end. It so read each region from one letter too far to the left. `as_published=True` does this literally.

# %%
literal = sequences.make_windows(introgressed.loc[blind.index], blind, genome, as_published=True, **cut)
tables = (windows, literal)
pd.DataFrame(
    {
        "introgressed regions": [len(introgressed)] * 2,
        "pairs drawn": [len(clear), len(blind)],
        "pairs free of N": [len(table) // 2 for table in tables],
        "windows": [len(table) for table in tables],
        "distinct introgressed windows": [
            len(table.loc[table["label"] == 1, ["chrom", "start", "end"]].drop_duplicates()) for table in tables
        ],
        "start of window minus start of region, nt": [
            (table["start"] - table["region_start"]).median() for table in tables
        ],
    },
    index=["default", "as published"],
).T.astype(int)

# %% [markdown]
# What does the shift of one letter change? We count the words of the published windows, and of the same windows one
# letter further on:

# %%
introgressed_only = literal[literal["label"] == 1].head(100)
onwards = introgressed_only.assign(start=introgressed_only["start"] + 1, end=introgressed_only["end"] + 1)
before, after = (
    kmers.count_kmers(sequences.fetch_windows(table, genome), settings["k"]) for table in (introgressed_only, onwards)
)
pd.Series(
    {
        "windows compared": len(before),
        "words of a window": int(before.sum(axis=1).max()),
        "words that enter, at most": int(np.maximum(after - before, 0).sum(axis=1).max()),
        "words that leave, at most": int(np.maximum(before - after, 0).sum(axis=1).max()),
    },
    name="n",
).to_frame()

# %% [markdown]
# **What it means.** The shift moves at most one word in and one out. It does not matter for the results. It would
# matter in a study of single positions, which is why conventions belong into names and tests.
#
# What matters more is another row of the first table: of the introgressed windows many are the same. Regions that
# share their start give the same 10,000 letters. A random split puts copies of one window into training and test set,
# and the accuracies of [02](02_bag_of_words_and_network.ipynb) will be high for that reason, too.
#
# **What to try.** In the settings cell:
#
# - `write_demo(..., overlap=0)`: every region is a locus of its own. Regions, distinct windows and clusters agree.
# - `read_profile("demo", ["window_length=2000"])`: shorter texts, the same regions.
# - another `seed`: other draws. What changes, and what does not?
#
# **Next:** [02](02_bag_of_words_and_network.ipynb), the words of the windows and a network that reads them.

# %%
genome.close()
folder.cleanup()

# %% [markdown]
# ## References
#
# - Oskolkov N. Deep Learning on Neanderthal Genes (2019).
# - Vernot B et al. Excavating Neandertal and Denisovan DNA from the genomes of Melanesian individuals. *Science* 352
#   (2016).
