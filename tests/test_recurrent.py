import numpy as np
import pandas as pd
import pytest

from neanderthal_nlp import training
from neanderthal_nlp.embeddings import project
from neanderthal_nlp.genes import predict_genes
from neanderthal_nlp.kmers import vocabulary
from neanderthal_nlp.recurrent import (
    build_lstm,
    embedding_table,
    position_importance,
    predict_genes_recurrent,
    predict_windows,
    train_lstm,
)
from neanderthal_nlp.subsequences import Words, count_words, cut, encode_letters

K, LENGTH, N, N_TRAIN = 3, 40, 1200, 900
PLACE = 17


def plant(motif, place=None, seed=1):
    """Sentences of random letters, in every other of which a motif stands: at a place, or anywhere."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(0, 4, (N, LENGTH), dtype=np.uint8)
    y = np.arange(N) % 2
    for row in np.flatnonzero(y):
        start = rng.integers(0, LENGTH - len(motif) + 1) if place is None else place
        letters[row, start : start + len(motif)] = encode_letters(motif)
    return Words(letters, cut(N, LENGTH, length=LENGTH, per_window=1), length=LENGTH, k=K), y


def make_model(seed=1, learning_rate=0.02):
    return build_lstm(k=K, length=LENGTH, units=8, learning_rate=learning_rate, seed=seed)


def train(directory, words, y, *, epochs=3, report=None):
    model = make_model()
    history = train_lstm(
        model, words, y, directory=directory, rows=np.arange(N_TRAIN), epochs=epochs, batch_size=32, report=report
    )
    return training.load_model(directory / "network.keras"), history


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory):
    """A 10-mer planted anywhere: the sentences, their labels, the trained model, its history."""
    words, y = plant("GATTACAGAT")
    return words, y, *train(tmp_path_factory.mktemp("anywhere"), words, y)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A word planted at one place: the sentences, their labels and the trained model."""
    words, y = plant("GTC", PLACE)
    return words, y, train(tmp_path_factory.mktemp("fixed"), words, y, epochs=5)[0]


# The model


def test_the_follow_ups_model():
    model = build_lstm()
    assert model.input_shape == (None, 191)
    assert [layer.name for layer in model.layers] == ["embedding", "lstm", "probability"]
    shapes = [weights.shape for weights in model.weights]
    assert shapes[0] == (4**10 + 1, 10)
    assert shapes[1:] == [(10, 40), (10, 40), (40,), (10, 40), (10, 40), (40,), (20, 1), (1,)]
    assert model.optimizer.name == "adam"
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_seed_decides_the_weights_and_nothing_else_does():
    first, again, other = (make_model(seed).get_weights() for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    drawn = [i for i, weights in enumerate(first) if weights.ndim == 2]
    assert all(not np.array_equal(first[i], other[i]) for i in drawn)
    assert not np.array_equal(first[1], first[4])  # the two directions


def lstm_by_hand(sequence, kernel, recurrent, bias):
    """Hidden state after a sequence of vectors, in NumPy; gates in Keras' order."""
    hidden = cell = np.zeros(len(recurrent))
    for vector in sequence:
        gates = np.split(vector @ kernel + hidden @ recurrent + bias, 4)
        entry, forget, output = (1 / (1 + np.exp(-gates[i])) for i in (0, 1, 3))
        cell = forget * cell + entry * np.tanh(gates[2])
        hidden = output * np.tanh(cell)
    return hidden


def test_prediction_is_that_of_numpy():
    model = make_model()
    words, _ = plant("GATTACAGAT")
    vectors, *cells, kernel, bias = (weights.astype(float) for weights in model.get_weights())
    for row, found in enumerate(training.predict(model, words, rows=np.arange(3))):
        sentence = vectors[words.take(np.array([row]))[0]]
        hidden = [lstm_by_hand(sentence, *cells[:3]), lstm_by_hand(sentence[::-1], *cells[3:])]
        assert found == pytest.approx(1 / (1 + np.exp(-(np.concatenate(hidden) @ kernel + bias)[0])), rel=1e-5)


# Training


def test_a_planted_word_is_learnt(anywhere):
    words, y, model, history = anywhere
    assert history["val_binary_accuracy"].max() > 0.9
    test = np.arange(N_TRAIN, N)
    scores = training.predict(model, words, rows=test)
    assert ((scores > 0.5) == y[test]).mean() > 0.9


def test_a_training_that_was_stopped_ends_as_one_that_was_not(anywhere, tmp_path):
    words, y, model, history = anywhere

    def stop(line):
        if line.startswith("epoch 2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, words, y, report=stop)
    lines = []
    resumed, again = train(tmp_path, words, y, report=lines.append)
    assert len(lines) == 1
    pd.testing.assert_frame_equal(again, history, rtol=1e-4)
    rows = np.arange(N_TRAIN, N)
    found, expected = (training.predict(each, words, rows=rows) for each in (resumed, model))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_training_is_the_follow_ups_by_default():
    defaults = train_lstm.__kwdefaults__
    assert (defaults["epochs"], defaults["batch_size"], defaults["validation_split"]) == (5, 128, 0.2)


@pytest.mark.parametrize("change", [{"k": K + 1}, {"length": LENGTH - 1}])
def test_sentences_of_another_model_are_refused(change, tmp_path, refused):
    words, y = plant("GATTACAGAT")
    with refused("sentences: found", f"expected {LENGTH - K + 1} of 3 nt"):
        train(tmp_path, Words(words.letters, words.subsequences, **({"length": LENGTH, "k": K} | change)), y)


def test_compiled_by_xla_the_steps_are_the_same():
    words, y = plant("GATTACAGAT")
    sentences, weights = words.take(np.arange(64)), []
    for compiled in (True, False):
        model = make_model()
        assert model.jit_compile
        model.jit_compile = compiled
        model.fit(sentences, y[:64], batch_size=32, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for one, other, start in zip(*weights, make_model().get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert np.abs(one - start).max() > 1e-3


# Importance of places


def test_the_place_of_a_planted_word_is_found(fixed):
    words, y, model = fixed
    table = position_importance(model, words, y, np.arange(N_TRAIN, N), rng=5, n_repeats=2)
    assert list(table.columns) == ["position", "drop", "low", "high"]
    assert table["position"].tolist() == list(range(LENGTH - K + 1))
    assert abs(table["drop"].idxmax() - PLACE) <= 1  # a word shares its letters with its neighbours
    assert table["low"].max() > 0
    elsewhere = table[(table["position"] - PLACE).abs() >= K]
    assert elsewhere["drop"].max() < table["drop"].max() / 2
    assert (table["low"] <= table["drop"]).all()
    assert (table["drop"] <= table["high"]).all()


class First:
    """Stands for a model: calls a sentence introgressed where its first word is above 30."""

    def predict_on_batch(self, sentences):
        return (sentences[:, :1] > 30).astype(float)


def test_importance_is_what_the_accuracy_loses():
    words, _ = plant("GATTACAGAT")
    rows = np.random.default_rng(2).permutation(N)[:200]
    first = words.take(np.arange(N))[:, 0]
    y = np.where(np.arange(N) < N // 4, first <= 30, first > 30).astype(int)
    table = position_importance(First(), words, y, rows, rng=3)
    called = np.random.default_rng(3).permutation(first[rows]) > 30
    right, after = (first[rows] > 30) == y[rows], called == y[rows]
    assert table["drop"][0] == pytest.approx(right.mean() - after.mean())
    lost = right.astype(float) - after
    assert table["high"][0] - table["low"][0] == pytest.approx(2 * 1.96 * lost.std(ddof=1) / np.sqrt(200), rel=1e-4)
    assert not table.loc[1:, ["drop", "low", "high"]].to_numpy().any()


@pytest.mark.parametrize(
    ("rows", "labels", "n_repeats", "message"),
    [
        ([0, N], N, 1, f"rows: found 0 to {N}"),
        ([0], N, 1, "importance: found 1 sentences"),
        ([0, 1], N, 0, "2 sentences and 0 repeats"),
        ([0, 1], 3, 1, "labels: found shape (3,)"),
    ],
)
def test_importance_refuses_what_does_not_fit(rows, labels, n_repeats, message, refused):
    words, _ = plant("GATTACAGAT")
    with refused(message):
        position_importance(First(), words, np.zeros(labels), np.array(rows), rng=1, n_repeats=n_repeats)


# The words' vectors


def test_vectors_of_the_most_common_words(fixed):
    words, _, model = fixed
    counts = count_words(words, np.arange(N_TRAIN))
    table = embedding_table(model, counts, n=20)
    assert table.words["kmer"][0] == "GTC"
    assert table.words["count"].is_monotonic_decreasing
    (vectors,) = model.get_layer("embedding").get_weights()
    names = vocabulary(K)
    for row, word in enumerate(table.words.itertuples()):
        assert word.count == counts[names.index(word.kmer)]
        assert word.gc == pytest.approx(sum(letter in "GC" for letter in word.kmer) / K)
        np.testing.assert_array_equal(table.vectors[row], vectors[names.index(word.kmer)])
    assert project(table.vectors, method="tsne", seed=1).shape == (20, 2)


def test_words_that_do_not_occur_have_no_vector(refused):
    model, counts = make_model(), np.zeros(4**K + 1, dtype=np.int64)
    with refused("counts: no word occurs"):
        embedding_table(model, counts)
    counts[[5, 9, 4**K]] = [2, 2, 7]  # the last stands for unknown letters
    assert embedding_table(model, counts).words["kmer"].tolist() == [vocabulary(K)[5], vocabulary(K)[9]]
    with refused(f"counts: found shape ({4**K},), expected ({4**K + 1},)"):
        embedding_table(model, counts[:-1])


# Windows and genes


def test_a_window_has_the_mean_of_its_sub_sequences():
    letters = np.random.default_rng(4).integers(0, 4, (5, 130), dtype=np.uint8)
    words = Words(letters, cut(5, 130, length=LENGTH, step=LENGTH, per_window=3), length=LENGTH, k=K)
    model = make_model()
    scores = training.predict(model, words)
    np.testing.assert_allclose(predict_windows(model, words), scores.reshape(5, 3).mean(axis=1))
    some = predict_windows(model, words, rows=np.array([2, 0, 7]))
    np.testing.assert_allclose(some, [(scores[0] + scores[2]) / 2, np.nan, scores[7], np.nan, np.nan])


class Constant:
    """Stands for a classifier on counts."""

    def predict(self, X):
        return np.ones(len(X))

    def predict_proba(self, X):
        return np.tile([0.4, 0.6], (len(X), 1))


def test_genes_by_their_sub_sequences(fasta_genome, letters):
    genes = pd.DataFrame({
        "chrom": ["chr2", "chr2", "chr1", "chr2"], "start": [100, 9000, 60, 5000], "end": [400, 9130, 90, 5500],
        "gene_symbol": ["A", "B", "short", "C"], "strand": "+",
    })  # fmt: skip
    model = make_model()
    table = predict_genes_recurrent(genes, fasta_genome, model, length=130)
    others = predict_genes(genes, fasta_genome, Constant(), length=130)
    assert list(table.columns) == list(others.columns)
    assert set(table["Gene"]) == set(others["Gene"]) == {"chr2:101-400", "chr2:9001-9130", "chr2:5001-5500"}
    assert table["Prob_1"].is_monotonic_decreasing
    np.testing.assert_allclose(table["Prob_0"] + table["Prob_1"], 1)
    np.testing.assert_array_equal(table["Predict"], table["Prob_1"] > 0.5)
    for gene in table.itertuples():
        pieces = [letters["chr2"][gene.start + i : gene.start + i + LENGTH] for i in (0, 40, 80)]
        codes = np.stack([encode_letters(piece) for piece in pieces])
        words = Words(codes, cut(3, LENGTH, length=LENGTH, per_window=1), length=LENGTH, k=K)
        assert gene.Prob_1 == pytest.approx(training.predict(model, words).mean(), rel=1e-6)
