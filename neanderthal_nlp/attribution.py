"""Which letters or words of a sequence a network's score rests on.

Scores are logits: a probability near 0 or 1 hardly moves, whatever is done to the sequence. Attributions say what the
network does, not what is true of ancestry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from neanderthal_nlp.convolutional import N_LETTERS, ONE_HOT
from neanderthal_nlp.errors import InputError

Score = Callable[[np.ndarray], np.ndarray]
"""From a batch of m sequences, as an array, to their m scores."""

_Climb = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

# Points from 0 to 1 and weights of the Gauss-Lobatto rule, exact for polynomials up to the seventh degree. Both ends
# are among the points, which gives the change of the logit over the piece.
_LOBATTO = (
    (0.0, 1 / 20),
    ((1 - math.sqrt(3 / 7)) / 2, 49 / 180),
    (0.5, 16 / 45),
    ((1 + math.sqrt(3 / 7)) / 2, 49 / 180),
    (1.0, 1 / 20),
)


class Attributions(NamedTuple):
    """Integrated gradients of n sequences.

    Attributes
    ----------
    values : ndarray of float64
        (n, length, 4) of letters, A, C, G, T in the last axis; (n, n_words) of words.
    scores, baseline_scores : ndarray of float64, shape (n,)
        Logits of the sequences and of their baselines.
    gap : ndarray of float64, shape (n,)
        `scores - baseline_scores` less the sum of `values`: zero if the integral were exact.
    """

    values: np.ndarray
    scores: np.ndarray
    baseline_scores: np.ndarray
    gap: np.ndarray


def logit_scorer(model: keras.Model) -> Score:
    """Make a function that gives the logits of a batch, from a model that ends in a sigmoid.

    Parameters
    ----------
    model : keras.Model
        Output (n, 1). Its weights are taken as they are now: make another scorer after further training.

    Returns
    -------
    callable
        From inputs as the model takes them, (m, …), to float64 (m,). They go through the model in one batch. For
        letters and a model of words: `lambda letters: score(subsequences.number_words(letters, k))`.

    Raises
    ------
    InputError
        The model does not end in a sigmoid.
    """
    logits = keras.Model(model.inputs, _logit(model))

    def score(inputs: np.ndarray) -> np.ndarray:
        return np.asarray(logits.predict_on_batch(inputs)[:, 0], dtype=np.float64)

    return score


def in_silico_mutagenesis(score: Score, letters: np.ndarray, *, batch_size: int = 512) -> np.ndarray:
    """Change of the score when a letter is replaced, for each letter at each place.

    Parameters
    ----------
    score : callable
        From uint8 letters (m, length) to the scores (m,): of a network on letters, `logit_scorer(model)`.
    letters : ndarray of uint8, shape (n, length)
        0 to 3 = A, C, G, T; 4 = any other letter, whose place is changed to each of the four.
    batch_size : int
        Sequences that are scored at once; `n * length * 3` are in all.

    Returns
    -------
    ndarray of float64, shape (n, length, 4)
        Score with A, C, G or T (last axis) at the place, less that of the sequence as it is; 0 for the letter that
        it has. `-changes.sum(axis=2) / 3` is what a place adds to the score, beside a letter drawn from the others.

    Raises
    ------
    InputError
        `letters` have another shape or hold another number; `batch_size` is below 1; `score` gives another number of
        scores than it got sequences.
    """
    letters = _check_integers("letters", letters, N_LETTERS + 1).astype(np.uint8)
    _check_least("batch size", batch_size)
    before = np.concatenate([_score(score, letters[i : i + batch_size]) for i in range(0, len(letters), batch_size)])
    changes = np.zeros((*letters.shape, N_LETTERS))
    mutants = np.argwhere(letters[:, :, None] != np.arange(N_LETTERS))
    for i in range(0, len(mutants), batch_size):
        row, place, letter = mutants[i : i + batch_size].T
        mutated = letters[row]
        mutated[np.arange(len(row)), place] = letter
        changes[row, place, letter] = _score(score, mutated) - before[row]
    return changes


def integrated_gradients(
    model: keras.Model,
    inputs: np.ndarray,
    *,
    baseline: np.ndarray | float,
    steps: int = 8,
    tolerance: float = 0.05,
    max_halvings: int = 12,
    batch_size: int = 128,
) -> Attributions:
    """Integrated gradients of the logit, along the straight line from a baseline to the sequence.

    The line runs in the space of the vectors that the model's first layer, an embedding, gives its integers: one-hot
    letters, or embedded words. A trained network, an LSTM above all, may do most of what it does on a short stretch of
    the line, which evenly spaced points miss. Over each piece of the line the gradients have to add up to the change
    of the logit, though: a piece where they do not is halved.

    Parameters
    ----------
    model : keras.Model
        Begins with an embedding of integers and ends in a sigmoid: of `convolutional.build_cnn` or
        `recurrent.build_lstm`.
    inputs : ndarray of int, shape (n, length) or (n, n_words)
        Letters or numbers of words, as the model takes them.
    baseline : ndarray or float
        What the sequences are compared with. Integers are letters or words, (length,) or (n, length), and are
        embedded. Floats are vectors, and are broadcast to (n, length, vector): 0.0 is no letter at all,
        `np.full(4, 0.25)` each letter alike, the mean of an embedding's rows an average word.
    steps : int
        Pieces of the line at first, all of one length. The gradient is taken at five points of each.
    tolerance : float
        Gap of a sequence that is aimed at, in logits. Each of the first pieces may leave its share of it; each
        halving divides what a piece may leave by the square root of 2. To divide it by 2 would send every kink of a
        network (a maximum that passes from one place to another) through all halvings.
    max_halvings : int
        How often a piece is halved at most. Where this stops it, `gap` is larger than `tolerance`. A network that
        decides within a millionth of the line is steeper than float32 can follow: more halvings then take long and
        do not help.
    batch_size : int
        Pieces that are worked on at once.

    Returns
    -------
    Attributions
        Of letters, one value a place and letter: it is 0 for a letter that neither sequence nor baseline has. Of
        words, one value a word: the parts of its vector mean nothing by themselves, and are summed.

    Raises
    ------
    InputError
        The model does not begin with an embedding, masks, or does not end in a sigmoid; `inputs` or `baseline` do not
        fit it; `steps` or `batch_size` is below 1, or `max_halvings` below 0.

    References
    ----------
    M. Sundararajan, A. Taly and Q. Yan, "Axiomatic Attribution for Deep Networks", Proceedings of ICML 34, 2017;
    that attributions add up is their axiom of completeness.
    """
    embedding = next((layer for layer in model.layers if isinstance(layer, keras.layers.Embedding)), None)
    if embedding is None or embedding.mask_zero:
        raise InputError(f"model: found {model.name} without an embedding or with a mask, expected an embedding alone")
    table = np.asarray(embedding.get_weights()[0])
    inputs = _check_integers("inputs", inputs, len(table))
    if inputs.shape[1] != model.input_shape[1]:
        raise InputError(f"inputs: found {inputs.shape[1]} a sequence, expected {model.input_shape[1]}")
    _check_least("steps", steps)
    _check_least("batch size", batch_size)
    _check_least("max halvings", max_halvings, least=0)
    start = _embed_baseline(baseline, inputs.shape, table)
    climb = _climb(keras.Model(embedding.output, _logit(model)))

    def integrate(row: np.ndarray, low: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        way = table[inputs[row]] - start[row]
        return _integrate_piece(climb, start[row], way, low, width)

    by_letter = embedding.name == ONE_HOT
    values = np.zeros((*inputs.shape, table.shape[1]) if by_letter else inputs.shape)
    for row, parts in _integrate_line(integrate, len(inputs), steps, tolerance, max_halvings, batch_size):
        np.add.at(values, row, parts if by_letter else parts.sum(axis=2))
    batches = [slice(i, i + batch_size) for i in range(0, len(inputs), batch_size)]
    scores = np.concatenate([climb(table[inputs[batch]])[0] for batch in batches])
    baseline_scores = np.concatenate([climb(start[batch])[0] for batch in batches])
    sums = values.reshape(len(values), -1).sum(axis=1)
    return Attributions(values, scores, baseline_scores, scores - baseline_scores - sums)


def _climb(rest: keras.Model) -> _Climb:
    """Make a function from vectors, float32 (m, length, vector), to their logits and the gradients of these."""

    @tf.function(reduce_retracing=True)
    def differentiate(vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            logits = rest(vectors, training=False)
        return logits[:, 0], tape.gradient(logits, vectors)

    def climb(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, slopes = differentiate(tf.constant(vectors))
        return logits.numpy().astype(np.float64), slopes.numpy()

    return climb


def _integrate_line(
    integrate: Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]],
    n: int,
    steps: int,
    tolerance: float,
    max_halvings: int,
    batch_size: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sequences (m,), and what pieces of their lines, halved where they have to be, add to their attributions."""
    row, piece = np.divmod(np.arange(n * steps), steps)
    for halvings in range(max_halvings + 1):
        width, allowed = 0.5**halvings / steps, tolerance * 0.5 ** (halvings / 2) / steps
        unfinished = np.zeros(len(row), dtype=bool)
        for i in range(0, len(row), batch_size):
            batch = slice(i, i + batch_size)
            parts, gap = integrate(row[batch], piece[batch] * width, width)
            again = (np.abs(gap) > allowed) & (halvings < max_halvings)
            yield row[batch][~again], parts[~again]
            unfinished[batch] = again
        row = np.repeat(row[unfinished], 2)
        piece = (2 * piece[unfinished, None] + [0, 1]).ravel()


def _integrate_piece(
    climb: _Climb, origin: np.ndarray, way: np.ndarray, low: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """What the line from `low` to `low + width` adds to the attributions, (m, length, vector), and its gap, (m,)."""
    slope, logits = np.zeros(way.shape), []
    for point, weight in _LOBATTO:
        place = (low + point * width).astype(np.float32)[:, None, None]
        logit, slopes = climb(origin + place * way)
        slope += weight * slopes
        logits.append(logit)
    parts = slope * way * width
    return parts, logits[-1] - logits[0] - parts.sum(axis=(1, 2))


def _logit(model: keras.Model) -> keras.KerasTensor:
    """What a model gives to the sigmoid it ends in."""
    last = model.layers[-1]
    if getattr(last, "activation", None) is not keras.activations.sigmoid:
        raise InputError(f"model: found {model.name} ending in {last.name}, expected a sigmoid")
    # The probability would not do: in float32 it is 1 from a logit of 17.
    linear = type(last).from_config({**last.get_config(), "activation": "linear"})
    logit = linear(last.input)
    linear.set_weights(last.get_weights())
    return logit


def _score(score: Score, letters: np.ndarray) -> np.ndarray:
    scores = np.asarray(score(letters), dtype=np.float64)
    if scores.shape != (len(letters),):
        raise InputError(f"score: found scores of shape {scores.shape}, expected ({len(letters)},)")
    return scores


def _check_least(name: str, number: int, *, least: int = 1) -> None:
    if number < least:
        raise InputError(f"{name}: found {number}, expected at least {least}")


def _check_integers(name: str, numbers: np.ndarray, stop: int) -> np.ndarray:
    """Letters or words of sequences, (n, length), each from 0 and below `stop`."""
    numbers = np.asarray(numbers)
    if numbers.ndim != 2 or not numbers.size or numbers.dtype.kind not in "iu":
        raise InputError(f"{name}: found {numbers.dtype} of shape {numbers.shape}, expected integers (n, length)")
    if numbers.min() < 0 or numbers.max() >= stop:
        raise InputError(f"{name}: found {numbers.min()} to {numbers.max()}, expected 0 to {stop - 1}")
    return numbers


def _embed_baseline(baseline: np.ndarray | float, shape: tuple[int, ...], table: np.ndarray) -> np.ndarray:
    """Vectors of a baseline for each place of each sequence, float32 (n, length, vector)."""
    vectors = np.asarray(baseline)
    if vectors.dtype.kind in "iu":
        if vectors.shape not in (shape, shape[1:]):
            raise InputError(f"baseline: found integers of shape {vectors.shape}, expected {shape[1:]} or {shape}")
        vectors = table[_check_integers("baseline", np.atleast_2d(vectors), len(table))]
    try:
        return np.broadcast_to(vectors.astype(np.float32), (*shape, table.shape[1]))
    except ValueError:
        expected = (*shape, table.shape[1])
        raise InputError(f"baseline: found vectors of shape {vectors.shape}, expected {expected}") from None
