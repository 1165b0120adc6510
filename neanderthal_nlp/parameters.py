"""The article's constants, each with its source.

Section numbers are those of N. Oskolkov, "Deep Learning on Neanderthal Genes" (December 2019) and of the
code published with it. Functions take these as defaults; a profile may change what a run can afford
(epochs, trees, draws), never what a quantity means. The audit, which is not the article's, stands last.
"""

from collections.abc import Mapping
from typing import NamedTuple

# Section 1, "Prepare sequences"
N_INTROGRESSED = 83_601
"""Unique introgressed regions of Europeans (Vernot et al., Science 352, 2016; Akey's group) on hg19."""
MIN_REGION_LENGTH = 10_000
"""Shortest introgressed region, nt ("from 10 kbp")."""

# Section 2, "Sentiment analysis"
WINDOW_LENGTH = 10_000
"""First nucleotides of each region that are read as a text ("memory limitations of my laptop")."""
K = 5
"""Length of a word."""
N_TOP_KMERS = 20
"""Most common k-mers shown per class (figure 2)."""
TEST_SIZE = 0.2
"""Share of windows held out by the article's random split."""
SPLIT_SEED = 42
"""`random_state` of the article's `train_test_split`."""

# Section 2, the multilayer perceptron
HIDDEN_UNITS = 3000
"""Units of the one hidden layer."""
HIDDEN_ACTIVATION = "sigmoid"
"""Activation of the hidden layer."""
L1_PENALTY = 1e-5
"""L1 regulariser on the hidden layer's kernel."""
LEARNING_RATE = 1e-4
"""Of stochastic gradient descent."""
MOMENTUM = 0.9
"""Of stochastic gradient descent."""
NESTEROV = False
"""Whether the momentum is Nesterov's."""
EPOCHS = 200
"""Passes over the training windows."""
BATCH_SIZE = 32
"""Windows a step of the gradient."""
VALIDATION_SPLIT = 0.2
"""Last share of the training rows, in their order, kept for validation (Keras semantics)."""

# Section 2, the random forest
N_ESTIMATORS = 500
"""Trees of the forest."""
N_TOP_IMPORTANCES = 50
"""Largest impurity importances shown (figure 6)."""
PREDICTIVE_KMERS = ("AAAAA", "CAAAA", "CATTT", "TTTTT")
"""The four k-mers that the article calls most predictive."""

# Section 3, "Predict genes"
GENE_LENGTH = 8_800
"""First nucleotides of a gene that are scored; shorter genes are skipped."""

# Section 4, "Word embeddings"
WORD2VEC_DIMENSIONS = 100
"""Length of a k-mer's vector (gensim's default)."""
WORD2VEC_MIN_COUNT = 2
"""Occurrences below which a k-mer gets no vector."""
WORD2VEC_WORKERS = 4
"""Threads of Word2Vec."""
PCA_COMPONENTS = 5
"""Principal components that UMAP and t-SNE start from."""
UMAP_NEIGHBORS = 30
"""`n_neighbors` of UMAP."""
UMAP_MIN_DIST = 0.2
"""`min_dist` of UMAP."""

# Section 5, "Evolution eliminates Neanderthal DNA from genes"
N_DRAWS = 20
"""The depleted draw was "repeated up to 20 times"; 17 of the draws were counted."""

# Follow-up article, "LSTM to Detect Neanderthal DNA" (December 2019). "Not stated" is said of its text: the notebook
# that it links, github.com/NikolayOskolkov/LSTMNeanderthalDNA, was not at hand. "Derived code" is code by others that
# seems derived from that notebook: it reads files named as the author names his, and cuts them as 737,340 asks for.
SUBSEQUENCE_LENGTH = 200
"""Length of a sub-sequence, nt."""
SUBSEQUENCE_STEP = 200
"""Nucleotides from one start to the next. Not stated; assumed: regions are "cut", and so disjoint. Code by
others that seems derived from the author's notebook ("derived code" below) shifts by one: tried, too (`CUTS`)."""
SUBSEQUENCES_PER_WINDOW = 5
"""Sub-sequences of a window. Not stated; assumed (737,340 sentences are five each of 73,734 pairs of windows).
Derived code has five, from the region's start."""
LSTM_K = 10
"""Length of a word: 191 words in a sentence of 200 nt."""
EMBEDDING_DIMENSIONS = 10
"""Length of a word's vector, Keras' `Embedding(10)`."""
LSTM_UNITS = 10
"""Units of the LSTM in each direction. Not stated; assumed: as many as a word's vector has dimensions. Derived
code has half as many, and a layer of 10 units (ReLU) behind them."""
LSTM_EPOCHS = 5
"""Passes over the training sentences."""
LSTM_BATCH_SIZE = 128
"""Sentences a step of the gradient. Not stated; assumed. With 32, as in derived code, an epoch takes thrice as
long."""
LSTM_LEARNING_RATE = 1e-3
"""Of Adam. Neither optimiser nor rate is stated; assumed: Adam with Keras' defaults. Derived code has RMSprop."""
LSTM_VALIDATION_SPLIT = 0.2
"""Last share of the training sentences kept for validation. Not stated; assumed: as for the perceptron, and as in
derived code."""

# The audit: what the numbers mean
PROTOCOLS = ("article", "distinct", "cluster", "chromosome")
"""Splits by name, from the one that leaks most; see `splits.split`."""
NEVER_TEST = ("chr6", "6")
"""Chromosomes that are not chosen for a test set: chromosome 6 holds the MHC."""
LINEAR_MODELS = ("logistic_regression", "linear_svm", "naive_bayes")
"""The models that the article calls worse than its network."""
MODELS = ("network", "forest", *LINEAR_MODELS)
"""Every model that is trained, in the order of the article."""
RULES = ("exact_window", "window_overlap", "region_overlap")
"""Rules that learn nothing but coordinates; see `audit.leaks`."""
CONTROLS = ("gc", "dinucleotides", "shuffled_labels", *RULES)
"""What knows nothing of ancestry; see `audit.ladder`."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "network": ("network",), "forest": ("forest",), "linear": LINEAR_MODELS, "controls": CONTROLS,
}  # fmt: skip
"""Models and controls that are trained together."""
SEQUENCE_PROTOCOLS = ("sub_sequence", "article", "cluster", "chromosome")
"""Splits of sub-sequences, from the one that leaks most: `sub_sequence` divides them at random, as scikit-learn's
`train_test_split` does that is given a list of sentences; the others divide their windows (`PROTOCOLS`)."""
CUTS: Mapping[str, int] = {"disjoint": SUBSEQUENCE_STEP, "shifted": 1}
"""Ways to cut a window, by the nucleotides from one start to the next: in pieces, or by shifts of one letter."""
SEQUENCE_MODELS = ("lstm", "cnn")
"""Networks that read sub-sequences: the follow-up's, and a convolutional one as a modern baseline."""
SEQUENCE_RULES = ("same_letters", "same_place", "overlap")
"""Rules on sub-sequences that learn nothing; see `audit.sub_sequences`."""


class Rung(NamedTuple):
    """What is scored on a rung of the audit's ladder.

    Attributes
    ----------
    protocol : str
        Split, by name.
    counts : str
        Folder of the windows and their counts, relative to the audit's.
    split : str
        Manifest of the split, likewise.
    null : bool
        Whether the letters are random.
    """

    protocol: str
    counts: str
    split: str
    null: bool = False


RUNGS: Mapping[str, Rung] = {
    **{name: Rung(name, "..", f"splits/{name}.tsv") for name in PROTOCOLS},
    "matched": Rung("chromosome", "matched", "matched/split.tsv"),
    "null_article": Rung("article", "null", "splits/article.tsv", null=True),
    "null_chromosome": Rung("chromosome", "null", "splits/chromosome.tsv", null=True),
}
"""From the split that leaks most to the one that leaks least; then the null genome."""
