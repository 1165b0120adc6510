"""A ladder for sub-sequences: what of the follow-up's 99 % is left when nothing of a test sentence was trained on.

A random split of sub-sequences, which is what `train_test_split` makes of a list of sentences, leaks twice: regions
overlap one another, and pieces of one window lie on both sides. Where pieces are shifts of one another, all but one
letter of a test sentence was trained on. The rules here measure that: they learn nothing and only look whether an
introgressed training sub-sequence has the same letters, lies at the same place, or overlaps.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.audit.ladder import Scores
from neanderthal_nlp.audit.leaks import seen_in_training
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.evaluation import evaluate_scores, tabulate_scores
from neanderthal_nlp.files import read_json, write_json
from neanderthal_nlp.parameters import (
    CUTS,
    LSTM_BATCH_SIZE,
    LSTM_EPOCHS,
    LSTM_VALIDATION_SPLIT,
    SEQUENCE_MODELS,
    SEQUENCE_RULES,
    SPLIT_SEED,
    SUBSEQUENCE_LENGTH,
    SUBSEQUENCES_PER_WINDOW,
)
from neanderthal_nlp.splits import GROUPED, Split, check_classes, groups, split
from neanderthal_nlp.subsequences import Letters, Subsequences, Words, cut, overlap_in_training, places, rows_of

if TYPE_CHECKING:
    import keras

LEVELS = ("sub_sequence", "window")
"""What is scored: each sub-sequence, or a window by the mean of its test sub-sequences."""
READ_LENGTH = (SUBSEQUENCES_PER_WINDOW - 1) * CUTS["disjoint"] + SUBSEQUENCE_LENGTH
"""First nucleotides of a window that its sub-sequences lie in, however it is cut."""
FINISHED_FILE = "finished.json"
"""What a finished rung leaves in the folder of its training."""
_THRESHOLD = 0.5


class Division(NamedTuple):
    """Rows of the sub-sequences to train on, to validate with and to test on.

    Attributes
    ----------
    parts : Split
        The training side with what validates.
    validation : ndarray of int64, optional
        Training rows that validate; without, the last of the training side do, as Keras has it.
    """

    parts: Split
    validation: np.ndarray | None


def cut_windows(windows: pd.DataFrame, *, step: int, max_windows: int | None = None) -> Subsequences:
    """Cut windows as the follow-up does, all of them or whole clusters of overlapping regions.

    Pairs with a window that is too short for its sub-sequences are left out.

    Parameters
    ----------
    windows : DataFrame
        `start, end, label, pair, cluster`.
    step : int
        Nucleotides from one start to the next (`parameters.CUTS`).
    max_windows : int, optional
        Windows at most. Every n-th cluster of introgressed regions is kept, and the partners of its windows: what
        overlaps stays together, and so the leak stays as it is. Single pairs here and there would lack it.

    Returns
    -------
    Subsequences
        By the rows of `windows`.

    Raises
    ------
    InputError
        Each pair has a window that is too short, or one cluster alone has more than `max_windows`.
    """
    everything = cut(len(windows), READ_LENGTH, step=step)
    lengths, needed = (windows["end"] - windows["start"]), int(everything.start.max()) + SUBSEQUENCE_LENGTH
    long_enough = ~windows["pair"].isin(windows["pair"][lengths < needed]).to_numpy()
    if not long_enough.any():
        raise InputError(f"windows: found none of {needed:,} nt with a partner as long, expected some to cut "
                         "(audit=false leaves the audit out)")  # fmt: skip
    if max_windows is None or max_windows >= long_enough.sum():
        kept = long_enough
    else:
        kept = long_enough & _keep_clusters(windows, max_windows)
    chosen = kept[everything.window]
    return Subsequences(everything.window[chosen], everything.start[chosen])


def _keep_clusters(windows: pd.DataFrame, max_windows: int) -> np.ndarray:
    """Whether each window is kept: the pairs of every n-th introgressed cluster, for the smallest n that does."""
    introgressed = windows[windows["label"] == 1]
    number, clusters = pd.factorize(introgressed["cluster"])
    for step in count(1):
        kept = windows["pair"].isin(introgressed["pair"][number % step == 0]).to_numpy()
        if kept.sum() <= max_windows:
            return kept
        if step >= len(clusters):
            raise InputError(f"max windows: found {max_windows}, expected {kept.sum()} or more, those of one cluster")
    raise AssertionError  # not reached: the loop has no end of its own


def divide(
    windows: pd.DataFrame,
    subsequences: Subsequences,
    sides: Split | None,
    *,
    seed: int,
    random_seed: int = SPLIT_SEED,
) -> Division:
    """Divide sub-sequences into training, validation and test rows.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end, label, pair, cluster`.
    subsequences : Subsequences
        Of all windows, or of some.
    sides : Split, optional
        Rows of the windows: sub-sequences are divided as their windows are. Without, sub-sequences are divided at
        random, whatever window they are of.
    seed : int
        Of the choice of what validates.
    random_seed : int
        Of the division at random; the article's by default.

    Returns
    -------
    Division
        Validation keeps apart what the split keeps apart. Where no chromosome is on both sides, other training
        chromosomes validate; where no group of overlapping regions is, other such groups (also where there is one
        training chromosome alone). Else the last rows do: under a random split they tell what the test rows tell.

    Raises
    ------
    InputError
        A side lacks one of the classes.
    """
    if sides is None:
        division = Division(split(places(windows, subsequences), protocol="article", seed=random_seed), None)
    else:
        used = np.isin(np.arange(len(windows)), subsequences.window)
        sides = Split(*(rows[used[rows]] for rows in sides))
        division = Division(rows_of(subsequences, sides), _validation_rows(windows, subsequences, sides, seed))
    labels = windows["label"].to_numpy()[subsequences.window]
    check_classes(labels, [division.parts], source="sub-sequences")
    return division


def _validation_rows(windows: pd.DataFrame, subsequences: Subsequences, sides: Split, seed: int) -> np.ndarray | None:
    train = windows.iloc[sides.train]
    for protocol in reversed(GROUPED):
        group = groups(windows, protocol=protocol)
        if len(np.intersect1d(group[sides.train], group[sides.test])) or len(np.unique(group[sides.train])) < 2:
            continue
        inner = split(train, protocol=protocol, test_size=LSTM_VALIDATION_SPLIT, seed=seed, never_test=())
        return rows_of(subsequences, Split(sides.train[inner.train], sides.train[inner.test])).test
    return None


def score_rules(
    windows: pd.DataFrame, subsequences: Subsequences, parts: Split, *, letters: np.ndarray | None = None
) -> dict[str, Scores]:
    """Score test sub-sequences by rules that learn nothing and know where introgressed training ones lie.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end, label, region_start, region_end`.
    subsequences : Subsequences
    parts : Split
        Rows of the sub-sequences.
    letters : ndarray of uint8, shape (len(windows), READ_LENGTH or more), optional
        For `same_letters`, which is left out without.

    Returns
    -------
    dict of str to Scores
        By name (`parameters.SEQUENCE_RULES`): 1 where an introgressed training sub-sequence has the same letters
        (`same_letters`), lies at the same place (`same_place`), or shares at least one place (`overlap`); else 0.
    """
    table = places(windows, subsequences)
    introgressed = parts.train[(table["label"] == 1).to_numpy()[parts.train]]
    seen = seen_in_training(table.iloc[parts.test], table.iloc[introgressed])
    called = {"same_place": seen.exact_window, "overlap": seen.window_overlap}
    if letters is not None:
        pieces = Letters(letters, subsequences)
        called["same_letters"] = overlap_in_training(windows, pieces, Split(introgressed, parts.test)).same_letters
    return {name: Scores(called[name].astype(np.float64), _THRESHOLD) for name in SEQUENCE_RULES if name in called}


def build_network(name: str, *, seed: int) -> keras.Model:
    """Build a network by name (`parameters.SEQUENCE_MODELS`); TensorFlow is loaded here, not before."""
    if name == "lstm":
        from neanderthal_nlp.recurrent import build_lstm

        return build_lstm(seed=seed)
    from neanderthal_nlp.convolutional import build_cnn

    return build_cnn(seed=seed)


def read_as(name: str, letters: np.ndarray, subsequences: Subsequences) -> Letters:
    """Sub-sequences as a network of that name reads them: 10-mers for the LSTM, letters for the CNN."""
    return (Words if name == "lstm" else Letters)(letters, subsequences)


def score_rung(
    name: str,
    windows: pd.DataFrame,
    subsequences: Subsequences,
    division: Division,
    *,
    letters: np.ndarray | None,
    model: keras.Model | None,
    directory: str | Path,
    epochs: int = LSTM_EPOCHS,
    seed: int = SPLIT_SEED,
    report: Callable[[str], object] | None = None,
) -> tuple[dict[str, Scores], pd.DataFrame | None]:
    """Train a network on a rung and score the test sub-sequences with its best epoch; or score them by the rules.

    Parameters
    ----------
    name : str
        Of the network (`parameters.SEQUENCE_MODELS`); not looked at for the rules.
    windows, subsequences, letters
        As for `score_rules`; a network needs letters.
    division : Division
    model : keras.Model, optional
        Of `build_network`; None for the rules. Training starts from its initialisers: one model serves many rungs.
        Holds the weights of the best epoch on return, unless the rung was finished before.
    directory : path-like
        Keeps the state of the training, so that a killed one goes on. What is left of a finished rung is its result
        (`FINISHED_FILE`), which is not worked out again, and the best epoch's network (`training.NETWORK_FILE`).
    epochs, seed, report
        As for `training.train`.

    Returns
    -------
    tuple of dict of str to Scores, and DataFrame or None
        Scores by model (a network's are probabilities), and the network's history.
    """
    if model is None or letters is None:
        return score_rules(windows, subsequences, division.parts, letters=letters), None
    from neanderthal_nlp import training  # here, since it brings TensorFlow

    directory, labels = Path(directory), windows["label"].to_numpy()[subsequences.window]
    arrays = (letters, *subsequences, labels, *division.parts, division.validation)
    fingerprint = _fingerprint(model, arrays, epochs, seed)
    if (finished := _read_finished(directory / FINISHED_FILE, fingerprint)) is not None:
        score, history = finished
        return {name: Scores(score, _THRESHOLD)}, history
    examples, (train, test), held_out = read_as(name, letters, subsequences), division.parts, division.validation
    history = training.train(
        model,
        examples,
        labels,
        directory=directory,
        rows=train if held_out is None else train[~np.isin(train, held_out)],
        validation_rows=held_out,
        validation_split=LSTM_VALIDATION_SPLIT,
        epochs=epochs,
        batch_size=LSTM_BATCH_SIZE,
        seed=seed,
        report=report,
    )
    # Into the same model: one loaded anew has an optimiser of its own, and Keras does not give its memory back.
    model.load_weights(directory / training.NETWORK_FILE)
    score = training.predict(model, examples, rows=test)
    result = {"fingerprint": fingerprint, "score": score.tolist(), "history": history.to_dict("list")}
    write_json(result, directory / FINISHED_FILE)
    shutil.rmtree((directory / training.LATEST_FILE).parent)
    return {name: Scores(score, _THRESHOLD)}, history


def _fingerprint(model: keras.Model, arrays: Iterable[np.ndarray | None], epochs: int, seed: int) -> str:
    """SHA-256 of what the result of a rung depends on."""
    settings = (model.to_json(), LSTM_VALIDATION_SPLIT, epochs, LSTM_BATCH_SIZE, seed)
    digest = hashlib.sha256(repr(settings).encode())
    for array in arrays:
        digest.update(repr(None if array is None else (array.shape, array.dtype.str)).encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).ravel().view(np.uint8).data)
    return digest.hexdigest()


def _read_finished(path: Path, fingerprint: str) -> tuple[np.ndarray, pd.DataFrame] | None:
    """Scores and history of a rung that was finished before; None where it was not, or was another one."""
    try:
        found = read_json(path)
    except InputError:
        return None
    if found.get("fingerprint") != fingerprint:
        return None
    return np.array(found["score"]), pd.DataFrame(found["history"])


def tabulate_rung(
    windows: pd.DataFrame, subsequences: Subsequences, parts: Split, found: Mapping[str, Scores]
) -> pd.DataFrame:
    """Scores of a rung's test sub-sequences: `model, window, start, label, score, threshold, n_train`.

    `window` is the row of `windows`, `start` that of the sub-sequence in it; `n_train` the sub-sequences of the
    training side.
    """
    window, start = (of[parts.test] for of in subsequences)
    table = tabulate_scores(window, windows["label"].to_numpy()[window], found)
    table.insert(2, "start", np.tile(start, len(found)))
    return table.assign(n_train=len(parts.train))


def measure(scores: pd.DataFrame, windows: pd.DataFrame, *, n_bootstrap: int = 1000, seed: int) -> pd.DataFrame:
    """Measure what was scored, by sub-sequences and by windows, with intervals over clusters of regions.

    Parameters
    ----------
    scores : DataFrame
        Rows of `tabulate_rung` with the columns `cut` and `rung`.
    windows : DataFrame
        `cluster`.
    n_bootstrap, seed : int
        As for `evaluation.evaluate_scores`.

    Returns
    -------
    DataFrame
        `level, cut, rung, model, metric, value, low, high, n_train, n_test`. A window's score is the mean of those
        of its test sub-sequences, and `n_train` counts sub-sequences at both levels.
    """
    tables = []
    for (how, rung), rows in scores.groupby(["cut", "rung"], sort=False):
        place = {"cut": str(how), "rung": str(rung), "n_train": rows["n_train"].iloc[0]}
        for level in LEVELS:
            scored = rows if level == "sub_sequence" else mean_by_window(rows)
            for model, found in evaluate_scores(scored, windows, n_bootstrap=n_bootstrap, seed=seed).items():
                metrics = found.to_frame().query("metric != 'n_test'")
                tables.append(metrics.assign(**place, level=level, model=model, n_test=found.n_test))
    columns = ["level", "cut", "rung", "model", "metric", "value", "low", "high", "n_train", "n_test"]
    return pd.concat(tables, ignore_index=True)[columns]


def mean_by_window(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of windows, from those of one rung's sub-sequences: `model, window, label, score, threshold`."""
    by_window = scores.groupby(["model", "window"], sort=False)
    return by_window.agg({"label": "first", "score": "mean", "threshold": "first"}).reset_index()


def summarise(table: pd.DataFrame, *, level: str, cut: str, metric: str = "accuracy") -> pd.DataFrame:
    """One row a model or rule, one column a rung: a share in per cent with its interval, as text.

    Parameters
    ----------
    table : DataFrame
        Of `measure`.
    level, cut, metric : str
        Which of its rows.
    """
    rows = table[(table["level"] == level) & (table["cut"] == cut) & (table["metric"] == metric)]
    spans = rows[["value", "low", "high"]].itertuples(index=False)
    cells = rows.assign(text=["{:.1%} ({:.1%} to {:.1%})".format(*span) for span in spans])
    wide = cells.pivot_table(index="model", columns="rung", values="text", aggfunc="first")
    wide = wide.reindex([name for name in (*SEQUENCE_MODELS, *SEQUENCE_RULES) if name in wide.index])
    wide = wide[list(rows["rung"].unique())].fillna("")
    return wide.rename(index=lambda name: name.replace("_", " ")).rename_axis(columns=None).reset_index()
