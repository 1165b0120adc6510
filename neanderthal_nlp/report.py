"""The report of a run: one self-contained HTML file, made of its saved results and figures.

Nothing is computed here but sentences, and nothing is fetched when the file is read: pictures stand inside it. The
same results give the same bytes, for no date and no path of the machine is written.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from neanderthal_nlp import findings
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures import ARTICLE, FIGURES
from neanderthal_nlp.figures.audit import CONTROL_NAMES, MODEL_NAMES, RUNG_NAMES, odds_text
from neanderthal_nlp.figures.style import percent
from neanderthal_nlp.files import read_json, read_table

LARGEST_SVG = 500_000
"""Bytes above which a picture is shown as PNG, a fraction of the size for thousands of marks."""

_LADDER = {"rung": str, "model": str, "metric": str, "value": float, "low": float, "high": float}
_TABLES: Mapping[str, Mapping[str, Any]] = {
    "claims.tsv": dict.fromkeys(("sentence", "published", "reproduced", "verdict", "measured"), str) | {"section": int},
    "audit/ladder.tsv": _LADDER,
    "audit/null.tsv": _LADDER,
    "audit/matched/balance.tsv": {"covariate": str, "balanced": bool}
    | dict.fromkeys(
        ("introgressed", "depleted_before", "depleted_after", "smd_before", "smd_after", "tolerance"), float
    ),
    "audit/gene_counts.tsv": {"table": str}
    | {f"{kind}_{unit}": int for kind in ("n", "predicted") for unit in ("rows", "loci", "symbols")},
    "audit/gene_flags.tsv": dict.fromkeys(("table", "unit", "flag"), str)
    | dict.fromkeys(("n_predicted", "n_predicted_flagged", "n_all", "n_all_flagged"), int)
    | dict.fromkeys(("share_predicted", "share_all", "odds_ratio", "low", "high"), float),
    "audit/intersections.tsv": dict.fromkeys(("variant", "description", "conclusion", "verdict"), str)
    | dict.fromkeys(("n_regions", "observed", "n_draws", "n_at_or_below"), int)
    | dict.fromkeys(("expected", "ratio", "low", "high", "p"), float),
    "audit/intersection_balance.tsv": {"variant": str}
    | dict.fromkeys(("gc_regions", "gc_unmatched", "gc_matched", "smd_unmatched", "smd_matched"), float),
}
_OBJECTS: Mapping[str, Sequence[str]] = {
    "regions.json": ("inputs", "versions"),
    "genes.json": ("inputs",),
    "intersections.json": ("inputs",),
    "audit/leak.json": ("protocols",),
    "audit/matched/match.json": ("n_matched", "n_unmatched"),
    "audit/genes.json": ("inputs",),
    "audit/intersections.json": ("inputs",),
}


class Run(NamedTuple):
    """What a report is made of; what was not run is not there.

    Attributes
    ----------
    config : mapping
        Values of the run (`config.yaml`).
    results : mapping
        Tables and JSON objects by their place below `results/`.
    pictures : mapping
        Figures by name, as `data:` addresses.
    """

    config: Mapping[str, Any]
    results: Mapping[str, Any]
    pictures: Mapping[str, str]


class Table(NamedTuple):
    """A table of the report, all text.

    Attributes
    ----------
    caption : str
    header : sequence of str
    rows : sequence of sequence of str
        The first cell names the row.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """A part of the audit.

    Attributes
    ----------
    anchor, title : str
    figure : str
        Name of its figure.
    missing : str
        Why there is nothing to show; empty where there is.
    sentences : sequence of str
    tables, details : sequence of Table
        Shown, and shown when asked for.
    """

    anchor: str
    title: str
    figure: str
    missing: str = ""
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    details: Sequence[Table] = ()
