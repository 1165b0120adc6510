"""Predictions as text: a table, JSON or BED."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from neanderthal_nlp.bundle import Bundle
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import open_table
from neanderthal_nlp.predict import DEPLETED, INTROGRESSED, TOO_MANY_N, TOO_SHORT, UNLIKE
from neanderthal_nlp.tracks import prediction_track

_WORDS = ["speak_for", "speak_against"]
_NAMES = ["record", "chrom", "call", "seen"]
_SHARES = ["gc", "score", "probability", "low", "high"]
_PLACES = ["chrom_start", "chrom_end"]


class CallCounts(NamedTuple):
    """How many stretches were scored, and called what."""

    total: int
    introgressed: int
    depleted: int
    too_short: int
    too_many_n: int
    unlike: int

    @property
    def told(self) -> int:
        """Those that have a probability."""
        return self.introgressed + self.depleted


def write_predictions(
    batches: Iterable[pd.DataFrame], bundle: Bundle, handle: IO[str], *, form: str, prior: float = 0.5
) -> CallCounts:
    """Write predictions as they come; memory does not grow with their number.

    Parameters
    ----------
    batches : iterable of DataFrame
        Of `predict.predict`; further columns are written as they are.
    bundle : Bundle
        That made them.
    handle : text file
    form : {"tsv", "json", "bed"}
        `tsv`: the columns of `predict.predict`, an empty cell where there is no number and no place on a genome.
        `json`: an object with what is known of the `model` and a list of `stretches`. `bed`: nine columns without a
        header, by probability from blue to vermilion; stretches without a probability are left out. A stretch whose
        place on the genome is not known stands on its record.
    prior : float
        That they were made with; `json` names it.

    Returns
    -------
    CallCounts
    """
    counts = Counter[str]()
    if form == "json":
        handle.write(f'{{"model": {json.dumps(_about(bundle, prior))},\n"stretches": [')
    separator = "\n"
    for number, frame in enumerate(batches):
        counts.update(frame["call"])
        if form == "json":
            for row in frame.to_dict(orient="records"):
                handle.write(separator + json.dumps(_as_json(row)))
                separator = ",\n"
        elif form == "bed":
            prediction_track(frame).to_csv(handle, sep="\t", index=False, header=False, lineterminator="\n")
        else:
            words = {column: frame[column].map(_join) for column in _WORDS if column in frame}
            places = {column: frame[column].astype("Int64").where(frame["chrom"] != "") for column in _PLACES}
            frame.assign(**words, **places).to_csv(
                handle, sep="\t", index=False, header=number == 0, float_format="%.6g", lineterminator="\n"
            )
    if form == "json":
        handle.write("\n]}\n")
    return _sum_up(counts)


def count_calls(batches: Iterable[pd.DataFrame]) -> CallCounts:
    """Count what stretches were called, in batches of `predict.predict` or `read_batches`."""
    counts = Counter[str]()
    for frame in batches:
        counts.update(frame["call"])
    return _sum_up(counts)


def _sum_up(counts: Counter[str]) -> CallCounts:
    return CallCounts(
        counts.total(), *(counts[call] for call in (INTROGRESSED, DEPLETED, TOO_SHORT, TOO_MANY_N, UNLIKE))
    )


def _about(bundle: Bundle, prior: float) -> dict[str, Any]:
    return {"name": bundle.name, "model": bundle.model_name, "protocol": bundle.protocol, "k": bundle.k,
            "window_length": bundle.window_length, "threshold": bundle.threshold,
            "calibrated": bundle.calibration is not None, "synthetic": bundle.synthetic, "prior": prior}  # fmt: skip


def _join(words: list[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {value:+.3g}" for word, value in words)


def _as_json(row: dict[Any, Any]) -> dict[Any, Any]:
    plain = {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
    if not row["chrom"]:
        plain |= dict.fromkeys(("chrom", *_PLACES))
    words = {
        column: [{"word": word, "adds": value} for word, value in row[column]] for column in _WORDS if column in row
    }
    return plain | words


def read_batches(path: str | Path, *, rows: int = 1 << 16) -> Iterator[pd.DataFrame]:
    """Read a table that `write_predictions` wrote, some rows at a time; the named words stay text.

    Raises
    ------
    InputError
        The file is missing, damaged or no such table.
    """
    kinds = {**dict.fromkeys((*_NAMES, *_WORDS), str), **dict.fromkeys(_SHARES, float)}
    empty = {name: [""] for name in (*_PLACES, *_SHARES)}
    with open_table(path) as handle, pd.read_csv(
        handle, sep="\t", dtype=kinds, keep_default_na=False, na_values=empty, chunksize=rows
    ) as batches:  # fmt: skip
        for batch in batches:
            if missing := [name for name in (*_NAMES, *_PLACES, *_SHARES) if name not in batch]:
                raise InputError(f"{path}: not predictions (no column {', '.join(missing)})")
            if not isinstance(batch.index, pd.RangeIndex):
                raise InputError(f"{path}: not predictions (rows have more fields than the header)")
            yield batch.assign(**{column: batch[column].fillna(-1).astype(np.int64) for column in _PLACES})
