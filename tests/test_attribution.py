import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from neanderthal_nlp.attribution import in_silico_mutagenesis, integrated_gradients, logit_scorer
from neanderthal_nlp.convolutional import ONE_HOT, build_cnn
from neanderthal_nlp.recurrent import build_lstm
from neanderthal_nlp.subsequences import number_words

LENGTH, K, DIMENSIONS = 40, 3, 5
MOTIF = np.array([2, 0, 3, 3, 0, 1, 0, 2], dtype=np.uint8)
EVEN = np.full(4, 0.25)


def draw_letters(n, length, seed=0, stop=5):
    return np.random.default_rng(seed).integers(0, stop, (n, length), dtype=np.uint8)


def plant_motif(n, seed, *, both_strands):
    """Random letters, their classes, and the first place of the motif that sequences of class 1 have."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(0, 4, (n, LENGTH), dtype=np.uint8)
    y, starts = rng.integers(0, 2, n), rng.integers(0, LENGTH - len(MOTIF) + 1, n)
    other = rng.random(n) < 0.5 if both_strands else np.zeros(n, dtype=bool)
    for row in np.flatnonzero(y):
        word = 3 - MOTIF[::-1] if other[row] else MOTIF
        letters[row, starts[row] : starts[row] + len(MOTIF)] = word
    return letters, y, starts


def share_on_motif(places, starts):
    """Share of what supports class 1 that lies on the motif, for each sequence; (n, places) of each."""
    support = np.maximum(places, 0)
    on = (np.arange(places.shape[1]) >= starts[:, None]) & (np.arange(places.shape[1]) < starts[:, None] + len(MOTIF))
    return (support * on).sum(axis=1) / support.sum(axis=1)


def to_words(letters):
    return number_words(letters, K)


@pytest.fixture(scope="module")
def cnn():
    model = build_cnn(length=LENGTH, filters=16, hidden_units=16, learning_rate=5e-3, seed=1)
    letters, y, _ = plant_motif(2000, 1, both_strands=True)
    model.fit(letters, y, epochs=6, batch_size=64, verbose=0, shuffle=False)
    return model


@pytest.fixture(scope="module")
def lstm():
    model = build_lstm(k=K, length=LENGTH, embedding=DIMENSIONS, units=8, learning_rate=0.01, seed=1)
    letters, y, _ = plant_motif(2000, 1, both_strands=False)
    model.fit(to_words(letters), y, epochs=8, batch_size=64, verbose=0, shuffle=False)
    return model


# Models of which the attributions are known


def make_known(activate, *, places=6, name=ONE_HOT):
    """A model whose logit is `activate` of a weighted sum of one-hot letters, and the weights."""
    weights = np.random.default_rng(4).normal(size=(places, 4))
    letters = keras.Input((places,), dtype="uint8")
    one_hot = keras.layers.Embedding(5, 4, embeddings_initializer="identity", name=name)(letters)
    total = keras.layers.Dense(1, use_bias=False)
    outcome = keras.layers.Activation("sigmoid")(activate(total(keras.layers.Flatten()(one_hot))))
    total.set_weights([weights.reshape(-1, 1)])
    return keras.Model(letters, outcome), weights


def raise_to(total, power):
    return keras.layers.Multiply()([total] * power)


def square(total):
    return raise_to(total, 2)


ONE_HOT_LETTERS = np.eye(5, 4)


@pytest.mark.parametrize(
    ("baseline", "vectors"),
    [
        (0.0, 0.0),
        (EVEN, 0.25),
        (np.array([0, 1, 2, 3, 4, 0]), ONE_HOT_LETTERS[[0, 1, 2, 3, 4, 0]]),
        (draw_letters(3, 6, seed=9), ONE_HOT_LETTERS[draw_letters(3, 6, seed=9)]),
    ],
    ids=["nothing", "every letter alike", "letters", "letters of each"],
)
def test_gradients_of_a_sum_are_its_terms(baseline, vectors):
    model, weights = make_known(lambda total: total)
    letters = draw_letters(3, 6)
    found = integrated_gradients(model, letters, baseline=baseline, steps=1, batch_size=2)
    way = ONE_HOT_LETTERS[letters] - vectors
    np.testing.assert_allclose(found.values, weights * way, atol=1e-6)
    np.testing.assert_allclose(found.scores, (weights * ONE_HOT_LETTERS[letters]).sum(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(found.scores - found.baseline_scores, (weights * way).sum(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(found.gap, 0, atol=1e-5)


def test_gradients_of_a_square_are_shared_by_its_terms():
    """The integral of 2 a s w over a from 0 to 1 is s w, of which a sum at either end of the line knows nothing."""
    model, weights = make_known(square)
    letters = draw_letters(5, 6)
    found = integrated_gradients(model, letters, baseline=0.0, steps=1)
    terms = weights * ONE_HOT_LETTERS[letters]
    np.testing.assert_allclose(found.values, terms * terms.sum(axis=(1, 2), keepdims=True), atol=1e-5)


def test_gap_is_what_too_few_points_leave():
    """Of the twelfth power, one piece leaves a gap; of the eighth, whose slope has degree seven, it leaves none."""
    letters = draw_letters(5, 6)
    for power, rough in ((8, False), (12, True)):
        model, _ = make_known(lambda total, power=power: raise_to(total, power))
        found = integrated_gradients(model, letters, baseline=0.0, steps=1, max_halvings=0)
        np.testing.assert_allclose(found.gap, found.scores - found.values.sum(axis=(1, 2)), rtol=1e-6)
        share = np.abs(found.gap / found.scores)
        assert (share > 1e-4).all() if rough else (share < 1e-5).all()


def test_pieces_are_halved_where_the_network_is_steep():
    """A step on a thousandth of the line, which the five points of a piece miss."""
    model, weights = make_known(lambda total: keras.layers.Activation("tanh")(keras.layers.Rescaling(300, -60)(total)))
    model.layers[-4].set_weights([np.abs(model.layers[-4].get_weights()[0])])
    letters = draw_letters(5, 6, stop=4)
    evenly = integrated_gradients(model, letters, baseline=0.0, max_halvings=0)
    assert np.abs(evenly.gap).min() > 0.1
    found = integrated_gradients(model, letters, baseline=0.0, batch_size=7)
    np.testing.assert_allclose(found.gap, 0, atol=0.05)
    terms = np.abs(weights) * ONE_HOT_LETTERS[letters]
    np.testing.assert_allclose(found.values, 2 * terms / terms.sum(axis=(1, 2), keepdims=True), atol=0.05)


def test_words_have_one_value_each():
    known, _ = make_known(square)
    words, _ = make_known(square, name="embedding")
    letters = draw_letters(3, 6)
    of_letters = integrated_gradients(known, letters, baseline=0.0)
    of_words = integrated_gradients(words, letters.astype(np.int32), baseline=0.0)
    assert of_words.values.shape == (3, 6)
    np.testing.assert_allclose(of_words.values, of_letters.values.sum(axis=2), atol=1e-6)


def test_logits_are_not_rounded_as_probabilities_are():
    model, weights = make_known(lambda total: keras.layers.Rescaling(100)(total))
    letters = draw_letters(8, 6)
    logits = 100 * (weights * ONE_HOT_LETTERS[letters]).sum(axis=(1, 2))
    assert (np.abs(logits) > 100).any()
    found = logit_scorer(model)(letters)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, logits, rtol=1e-4)


# In-silico mutagenesis


def mutate_by_hand(score, letters):
    changes = np.zeros((*letters.shape, 4))
    for row in range(len(letters)):
        for place in range(letters.shape[1]):
            for letter in range(4):
                mutant = letters[row].copy()
                mutant[place] = letter
                changes[row, place, letter] = score(mutant[None])[0] - score(letters[row][None])[0]
    return changes


def score_pairs(letters):
    """A score in which places act together."""
    values = np.array([0.3, -1.2, 2.0, 0.7, 0.1])[letters] * np.arange(1, letters.shape[1] + 1)
    return np.sin(values[:, 1:] * values[:, :-1]).sum(axis=1) + values[:, 0]


@given(
    letters=arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=st.integers(0, 4)),
    batch_size=st.integers(1, 30),
)
def test_mutagenesis_is_that_of_an_obvious_loop(letters, batch_size):
    before = letters.copy()
    sizes = []

    def score(batch):
        sizes.append(len(batch))
        return score_pairs(batch)

    found = in_silico_mutagenesis(score, letters, batch_size=batch_size)
    np.testing.assert_allclose(found, mutate_by_hand(score_pairs, letters), atol=1e-12)
    np.testing.assert_array_equal(letters, before)
    assert max(sizes) <= batch_size
    assert sum(sizes) == len(letters) + 3 * letters.size + (letters == 4).sum()


def test_mutagenesis_of_a_sum_is_the_difference_of_terms():
    model, weights = make_known(lambda total: total)
    letters = draw_letters(2, 6, stop=4)
    found = in_silico_mutagenesis(logit_scorer(model), letters)
    own = np.take_along_axis(np.broadcast_to(weights, (2, 6, 4)), letters[:, :, None].astype(int), axis=2)
    np.testing.assert_allclose(found, weights - own, atol=1e-5)


# Trained networks


@pytest.mark.parametrize("baseline", [0.0, EVEN, np.full(LENGTH, 4)], ids=["nothing", "even", "unknown"])
def test_attributions_of_letters_add_up(cnn, baseline):
    letters, _, _ = plant_motif(50, 7, both_strands=True)
    letters[:5, 10:14] = 4
    found = integrated_gradients(cnn, letters, baseline=baseline)
    assert found.values.shape == (50, LENGTH, 4)
    assert_complete(found)
    np.testing.assert_allclose(found.scores, logit_scorer(cnn)(letters), rtol=1e-5)


@pytest.mark.parametrize("baseline", ["unknown", "mean"])
def test_attributions_of_words_add_up(lstm, baseline):
    letters, _, _ = plant_motif(50, 7, both_strands=False)
    mean = lstm.layers[0].get_weights()[0].mean(axis=0)
    start = mean if baseline == "mean" else np.full(LENGTH - K + 1, 4**K)
    found = integrated_gradients(lstm, to_words(letters), baseline=start)
    assert found.values.shape == (50, LENGTH - K + 1)
    assert_complete(found)


def assert_complete(found):
    difference = found.scores - found.baseline_scores
    sums = found.values.reshape(len(found.values), -1).sum(axis=1)
    np.testing.assert_allclose(sums + found.gap, difference, rtol=1e-6, atol=1e-6)
    assert np.ptp(difference) > 1
    np.testing.assert_allclose(found.gap, 0, atol=0.05)


def test_an_unknown_letter_has_no_attribution_of_its_own(cnn):
    letters = draw_letters(4, LENGTH)
    found = integrated_gradients(cnn, letters, baseline=0.0)
    assert (letters == 4).any()
    assert not found.values[letters[:, :, None] != np.arange(4)].any()


def test_letters_of_a_motif_hold_the_attributions(cnn):
    letters, y, starts = plant_motif(80, 8, both_strands=True)
    assert ((logit_scorer(cnn)(letters) > 0) == y).mean() > 0.9
    letters, starts = letters[y == 1], starts[y == 1]
    mutated = -in_silico_mutagenesis(logit_scorer(cnn), letters).sum(axis=2) / 3
    integrated = integrated_gradients(cnn, letters, baseline=EVEN).values.sum(axis=2)
    # 8 of 40 places would have a fifth.
    assert np.median(share_on_motif(mutated, starts)) > 0.6
    assert np.median(share_on_motif(integrated, starts)) > 0.6
    assert np.median([spearmanr(*pair).statistic for pair in zip(mutated, integrated, strict=True)]) > 0.5


def test_words_of_a_motif_hold_the_attributions(lstm):
    letters, y, starts = plant_motif(80, 8, both_strands=False)
    words = logit_scorer(lstm)

    def score(batch):
        return words(to_words(batch))

    assert ((score(letters) > 0) == y).mean() > 0.9
    letters, starts = letters[y == 1][:20], starts[y == 1][:20]
    mutated = -in_silico_mutagenesis(score, letters).sum(axis=2) / 3
    mean = lstm.layers[0].get_weights()[0].mean(axis=0)
    integrated = integrated_gradients(lstm, to_words(letters), baseline=mean).values
    assert np.median(share_on_motif(mutated, starts)) > 0.6
    assert np.median(share_on_motif(integrated, starts)) > 0.5


# What is refused


@pytest.mark.parametrize(
    ("letters", "options", "parts"),
    [
        (np.zeros(3, dtype=np.uint8), {}, ["letters", "(3,)"]),
        (np.zeros((0, 3), dtype=np.uint8), {}, ["letters", "(0, 3)"]),
        (np.zeros((2, 3)), {}, ["letters", "float64"]),
        (np.full((2, 3), 5), {}, ["letters", "5 to 5", "0 to 4"]),
        (np.zeros((2, 3), dtype=np.uint8), {"batch_size": 0}, ["batch size", "0"]),
    ],
)
def test_mutagenesis_names_what_it_cannot_take(refused, letters, options, parts):
    with refused(*parts):
        in_silico_mutagenesis(score_pairs, letters, **options)


def test_mutagenesis_wants_one_score_a_sequence(refused):
    with refused("(2, 1)", "(2,)"):
        in_silico_mutagenesis(lambda letters: letters[:, :1], draw_letters(2, 3))


@pytest.mark.parametrize(
    ("letters", "options", "parts"),
    [
        (draw_letters(2, 5), {}, ["inputs", "5", "6"]),
        (np.full((2, 6), 5), {}, ["inputs", "5 to 5", "0 to 4"]),
        (np.zeros((2, 6)), {}, ["inputs", "float64"]),
        (draw_letters(2, 6), {"steps": 0}, ["steps", "0"]),
        (draw_letters(2, 6), {"batch_size": 0}, ["batch size", "0"]),
        (draw_letters(2, 6), {"max_halvings": -1}, ["max halvings", "-1", "0"]),
        (draw_letters(2, 6), {"baseline": 0}, ["baseline", "()", "(6,)"]),
        (draw_letters(2, 6), {"baseline": np.full(6, 5)}, ["baseline", "5 to 5"]),
        (draw_letters(2, 6), {"baseline": np.zeros((6, 3))}, ["baseline", "(6, 3)", "(2, 6, 4)"]),
    ],
)
def test_gradients_name_what_they_cannot_take(refused, letters, options, parts):
    model, _ = make_known(lambda total: total)
    with refused(*parts):
        integrated_gradients(model, letters, **{"baseline": 0.0, **options})


def test_models_of_another_form_are_refused(refused):
    linear = keras.Sequential([keras.Input((6,)), keras.layers.Embedding(5, 4), keras.layers.Dense(1, name="last")])
    with refused("last", "sigmoid"):
        integrated_gradients(linear, draw_letters(2, 6), baseline=0.0)
    counts = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, activation="sigmoid")], name="counts")
    with refused("counts", "embedding"):
        integrated_gradients(counts, draw_letters(2, 6), baseline=0.0)
    masked = [keras.Input((6,)), keras.layers.Embedding(5, 4, mask_zero=True), keras.layers.LSTM(2)]
    with refused("masked", "mask"):
        model = keras.Sequential([*masked, keras.layers.Dense(1, activation="sigmoid")], name="masked")
        integrated_gradients(model, draw_letters(2, 6), baseline=0.0)
