import json
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import erf, expit

from neanderthal_nlp.convolutional import ONE_HOT, ReverseComplement, build_cnn, load_cnn
from neanderthal_nlp.training import NETWORK_FILE, train

LENGTHS = (1, 6, 40, 203)


def reverse_complement(letters):
    """The other strand: A and T, C and G change places, another letter stays."""
    return np.array([3, 2, 1, 0, 4], dtype=np.uint8)[letters[:, ::-1]]


def draw_letters(n, length, seed=0, stop=5):
    return np.random.default_rng(seed).integers(0, stop, (n, length), dtype=np.uint8)


def make_cnn(length, *, filters=6, hidden_units=5, seed=1, **options):
    return build_cnn(length=length, filters=filters, hidden_units=hidden_units, seed=seed, **options)


def make_decided(length):
    """A network of large weights; its logits lie far apart."""
    model = make_cnn(length)
    rng = np.random.default_rng(2)
    model.get_layer("tower").set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_layer("tower").get_weights()])
    return model


@pytest.fixture(scope="module")
def decided():
    return {length: make_decided(length) for length in LENGTHS}


@pytest.fixture(scope="module")
def to_logit(decided):
    return {length: keras.Model(m.input, m.get_layer("logit").output).predict_on_batch for length, m in decided.items()}


# Letters


def test_an_unknown_letter_is_none_of_the_four():
    model = make_cnn(5)
    one_hot = keras.Model(model.input, model.get_layer(ONE_HOT).output)
    found = one_hot.predict_on_batch(np.array([[0, 1, 2, 3, 4]], dtype=np.uint8))
    np.testing.assert_array_equal(found[0], np.eye(5)[:, :4])
    assert not model.get_layer(ONE_HOT).trainable


def test_reverse_complement_is_that_of_the_letters():
    letters = draw_letters(7, 9)
    one_hot = np.eye(5, 4, dtype=np.float32)
    np.testing.assert_array_equal(ReverseComplement()(one_hot[letters]), one_hot[reverse_complement(letters)])


# The network


@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_both_strands_get_the_same_logit(to_logit, data, length):
    letters = data.draw(arrays(np.uint8, (2, length), elements=st.integers(0, 4)))
    there, back = to_logit[length](letters), to_logit[length](reverse_complement(letters))
    np.testing.assert_allclose(back, there, rtol=1e-5, atol=1e-5)


def test_a_strand_by_itself_is_scored_differently(decided):
    model, letters = decided[40], draw_letters(20, 40)
    one_hot = np.eye(5, 4, dtype=np.float32)
    tower = model.get_layer("tower")
    there, back = (tower.predict_on_batch(one_hot[x]) for x in (letters, reverse_complement(letters)))
    assert np.median(np.abs(there - back)) > 0.1
    np.testing.assert_allclose(model.predict_on_batch(letters), expit((there + back) / 2), rtol=1e-4)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def convolve(maps, kernel, bias):
    """Convolution of one sequence, place by place; beyond its ends are zeros."""
    padded = np.pad(maps, ((len(kernel) // 2,) * 2, (0, 0)))
    return np.array([np.einsum("wc,wcf->f", padded[i : i + len(kernel)], kernel) for i in range(len(maps))]) + bias


def score_by_hand(weights, one_hot):
    kernel_1, bias_1, kernel_2, bias_2, hidden, hidden_bias, output, output_bias = weights
    maps = convolve(one_hot, kernel_1, bias_1)
    pooled = np.array([maps[i : i + 4].max(axis=0) for i in range(0, len(maps), 4)])
    maps = gelu(convolve(gelu(pooled), kernel_2, bias_2))
    summary = np.concatenate([maps.mean(axis=0), maps.max(axis=0)])
    return (gelu(summary @ hidden + hidden_bias) @ output + output_bias)[0]


def test_logit_is_that_of_an_obvious_loop(decided, to_logit):
    letters = draw_letters(6, 40, seed=3)
    weights = decided[40].get_layer("tower").get_weights()
    one_hot = np.eye(5, 4)
    strands = [(row, reverse_complement(row[None])[0]) for row in letters]
    expected = [np.mean([score_by_hand(weights, one_hot[strand]) for strand in pair]) for pair in strands]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(to_logit[40](letters)[:, 0], expected, rtol=1e-4)


def test_weights_serve_sequences_of_any_length(decided):
    long = make_cnn(10_000)
    long.set_weights(decided[40].get_weights())
    letters = draw_letters(2, 10_000)
    there, back = long.predict_on_batch(letters), long.predict_on_batch(reverse_complement(letters))
    assert there.shape == (2, 1)
    np.testing.assert_allclose(back, there, rtol=1e-5)


def test_compiled_as_promised():
    model = build_cnn(seed=1)
    assert (model.input_shape, model.input.dtype, model.output_shape) == ((None, 200), "uint8", (None, 1))
    compiled = model.get_compile_config()
    assert (compiled["loss"], compiled["metrics"]) == ("binary_crossentropy", ["binary_accuracy"])
    assert type(model.optimizer) is keras.optimizers.Adam
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)


@pytest.mark.parametrize("wrong", [{"length": 0}, {"filters": 0}, {"hidden_units": -1}])
def test_sizes_below_one_are_refused(refused, wrong):
    with refused(*wrong.values(), "at least 1"):
        build_cnn(**wrong, seed=1)


def test_seed_decides_the_weights_and_nothing_else_does():
    first = make_cnn(9)
    keras.utils.set_random_seed(99)
    again, other = make_cnn(9), make_cnn(9, seed=7)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.to_json() == again.to_json(), "a name counts the objects of the process"
    kernels = [model.get_layer("tower").get_weights()[0::2] for model in (first, other)]
    assert not any(np.array_equal(a, b) for a, b in zip(*kernels, strict=True))


# Training, saving, loading


class Rows:
    def __init__(self, letters):
        self.letters = letters

    def __len__(self):
        return len(self.letters)

    def take(self, rows):
        return self.letters[rows]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that was trained to tell an AT-rich class, its history and its folder."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 600)
    rich = rng.choice(4, (600, 40), p=[0.35, 0.15, 0.15, 0.35])
    letters = np.where(y[:, None] == 1, rich, rng.choice(4, (600, 40), p=[0.2, 0.3, 0.3, 0.2])).astype(np.uint8)
    directory = tmp_path_factory.mktemp("cnn")
    model = make_cnn(40, learning_rate=0.01)
    model.get_layer("tower").set_weights([w + 1 for w in model.get_layer("tower").get_weights()])
    history = train(model, Rows(letters), y, directory=directory, epochs=4, seed=3, report=None)
    return model, history, directory


def test_learns_composition_whatever_weights_it_came_with(trained):
    _, history, _ = trained
    assert history["val_binary_accuracy"].max() > 0.9


def test_the_table_of_letters_is_not_trained(trained):
    np.testing.assert_array_equal(trained[0].get_layer(ONE_HOT).get_weights()[0], np.eye(5, 4))


def test_saved_without_code_and_loaded_in_safe_mode(trained, tmp_path):
    model, _, directory = trained
    path = tmp_path / "cnn.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    own = {layer["class_name"]: layer["registered_name"] for layer in layers if layer["registered_name"]}
    assert own.pop("Functional") == "Functional"
    assert own == {"ReverseComplement": "neanderthal_nlp>ReverseComplement"}
    loaded, letters = load_cnn(path), draw_letters(8, 40)
    np.testing.assert_array_equal(loaded.predict_on_batch(letters), model.predict_on_batch(letters))
    assert loaded.to_json() == model.to_json()
    best = load_cnn(directory / NETWORK_FILE)
    assert best.predict_on_batch(letters).shape == (8, 1)


def test_what_is_no_model_is_named(refused, tmp_path):
    with refused(tmp_path / "none.keras"):
        load_cnn(tmp_path / "none.keras")
