"""A convolutional network on letters: the modern baseline beside the article's models.

Not the article's. An earlier post of its author, "Deep Learning on Ancient DNA" (April 2019), reads one-hot letters
with a convolution, pooling and dense layers, to tell ancient from modern DNA. What is built here is ours: such a
network as one would build it today, which looks for the same at every place and on both strands, since ancestry
depends on neither.
"""

from __future__ import annotations

from pathlib import Path

import keras

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import SUBSEQUENCE_LENGTH
from neanderthal_nlp.training import load_model

N_LETTERS = 4
ONE_HOT = "one_hot"
"""Name of the layer that turns letters into vectors."""

_KERNEL_LENGTHS = (15, 7)
_POOL = 4


@keras.saving.register_keras_serializable("neanderthal_nlp")
class ReverseComplement(keras.layers.Layer):
    """One-hot letters of the other strand, read in its own direction; (n, length, 4) float.

    Letters in the order A, C, G, T: the complement is the order reversed. An unknown letter (zeros) stays one.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Reverse places and letters."""
        return keras.ops.flip(inputs, axis=(1, 2))


def build_cnn(
    *,
    length: int = SUBSEQUENCE_LENGTH,
    filters: int = 64,
    hidden_units: int = 64,
    learning_rate: float = 1e-3,
    seed: int,
) -> keras.Model:
    """Build and compile a convolutional network that gives both strands of a sequence the same probability.

    One tower reads each strand: convolution over 15 nt, maxima of four places, convolution over seven of those
    (42 nt in all), mean and maximum over the sequence, a hidden layer, a logit. The two logits are averaged. The
    weights do not depend on `length`. There is neither dropout nor batch normalisation, so that a training can be
    resumed exactly and a prediction depends on its own sequence alone. Activations are GELU: smooth, as
    `attribution.integrated_gradients` wants them.

    Parameters
    ----------
    length : int
        Letters of a sequence, nt.
    filters : int
        Of each convolution.
    hidden_units : int
        Width of the hidden layer.
    learning_rate : float
        Of Adam, whose other parameters are Keras' defaults.
    seed : int
        Of the initial weights: the same seed gives the same weights, whatever else the process has drawn.

    Returns
    -------
    keras.Model
        Input `(n, length)` uint8: 0 to 3 = A, C, G, T; 4 = any other letter, which counts as none of the four.
        Output `(n, 1)` float32, the probability of being introgressed; the layer before the sigmoid gives the logit.
        Compiled with binary cross-entropy and the metric `binary_accuracy`. It is saved without code, and read by
        `load_cnn`.

    Raises
    ------
    InputError
        `length`, `filters` or `hidden_units` is below 1.

    References
    ----------
    The alternative, filters that are shared between the strands: A. Shrikumar, P. Greenside and A. Kundaje,
    "Reverse-complement parameter sharing improves deep learning models for genomics", bioRxiv 103663 (2017). One tower
    over both strands gives the same guarantee with layers that Keras has.
    """
    if min(length, filters, hidden_units) < 1:
        raise InputError(
            f"length, filters and hidden units: found {length}, {filters} and {hidden_units}, expected at least 1"
        )
    letters = keras.Input((length,), dtype="uint8", name="letters")
    # A table with a row more than columns: the fifth letter is a row of zeros.
    one_hot = keras.layers.Embedding(
        N_LETTERS + 1, N_LETTERS, embeddings_initializer="identity", trainable=False, name=ONE_HOT
    )(letters)
    tower = _build_tower(length, filters, hidden_units, seed)
    strands = [tower(one_hot), tower(ReverseComplement(name="reverse_complement")(one_hot))]
    logit = keras.layers.Average(name="logit")(strands)
    model = keras.Model(letters, keras.layers.Activation("sigmoid", name="probability")(logit), name="cnn")
    # Names that Keras makes up count the objects of the process, which would change the model's fingerprint.
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, name="adam"),
        loss="binary_crossentropy",
        metrics=["binary_accuracy"],
    )
    return model


def load_cnn(path: str | Path) -> keras.Model:
    """Read a saved network in Keras' safe mode, which knows `ReverseComplement` once this module is imported.

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or no Keras model.
    """
    return load_model(path)


def _build_tower(length: int, filters: int, hidden_units: int, seed: int) -> keras.Model:
    """From the one-hot letters of one strand to its logit."""

    def initializer(layer: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=seed + layer)

    def convolution(layer: int, **options: str) -> keras.layers.Layer:
        return keras.layers.Conv1D(
            filters,
            _KERNEL_LENGTHS[layer],
            padding="same",
            kernel_initializer=initializer(layer),
            name=f"convolution_{layer + 1}",
            **options,
        )

    strand = keras.Input((length, N_LETTERS), name="strand")
    # Pooled before it is activated: a quarter of the places to activate.
    pooled = keras.layers.MaxPooling1D(_POOL, padding="same", name="pooling")(convolution(0)(strand))
    maps = convolution(1, activation="gelu")(keras.layers.Activation("gelu", name="activation")(pooled))
    # Composition is a mean over the sequence, a motif a maximum.
    summary = keras.layers.Concatenate(name="summary")(
        [keras.layers.GlobalAveragePooling1D(name="mean")(maps), keras.layers.GlobalMaxPooling1D(name="maximum")(maps)]
    )
    hidden = keras.layers.Dense(hidden_units, activation="gelu", kernel_initializer=initializer(2), name="hidden")
    output = keras.layers.Dense(1, kernel_initializer=initializer(3), name="strand_logit")
    return keras.Model(strand, output(hidden(summary)), name="tower")
