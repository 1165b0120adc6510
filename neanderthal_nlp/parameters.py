"""The article's constants, each with its source.

Section numbers are those of N. Oskolkov, "Deep Learning on Neanderthal Genes" (December 2019) and of the
code published with it. Functions take these as defaults; a profile may change what a run can afford
(epochs, trees, draws), never what a quantity means.
"""

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
HIDDEN_ACTIVATION = "sigmoid"
L1_PENALTY = 1e-5
"""L1 regulariser on the hidden layer's kernel."""
LEARNING_RATE = 1e-4
MOMENTUM = 0.9
NESTEROV = False
EPOCHS = 200
BATCH_SIZE = 32
VALIDATION_SPLIT = 0.2
"""Last share of the training rows, in their order, kept for validation (Keras semantics)."""

# Section 2, the random forest
N_ESTIMATORS = 500
N_TOP_IMPORTANCES = 50
"""Largest impurity importances shown (figure 6)."""
PREDICTIVE_KMERS = ("AAAAA", "CAAAA", "CATTT", "TTTTT")
"""The four k-mers that the article calls most predictive."""

# Section 3, "Predict genes"
GENE_LENGTH = 8_800
"""First nucleotides of a gene that are scored; shorter genes are skipped."""

# Section 4, "Word embeddings"
WORD2VEC_DIMENSIONS = 100
WORD2VEC_MIN_COUNT = 2
WORD2VEC_WORKERS = 4
PCA_COMPONENTS = 5
UMAP_NEIGHBORS = 30
UMAP_MIN_DIST = 0.2

# Section 5, "Evolution eliminates Neanderthal DNA from genes"
N_DRAWS = 20
"""The depleted draw was "repeated up to 20 times"; 17 of the draws were counted."""
