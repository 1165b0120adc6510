"""The report of a run: one self-contained HTML file, made of its saved results and figures.

Nothing is computed here but sentences, and nothing is fetched when the file is read: pictures stand inside it. The
same results give the same bytes: no date, no duration and no folder of the machine is written.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures import ARTICLE, FIGURES
from neanderthal_nlp.files import read_record, read_table
from neanderthal_nlp.profiles import read_settings
from neanderthal_nlp.report.sections import Section, Table, build_sections
from neanderthal_nlp.seals import check_seal

__all__ = ["Run", "Section", "Table", "build_sections", "load_run", "render_report"]

LARGEST_SVG = 500_000
"""Bytes above which a picture is shown as PNG, which is a fraction of the size for thousands of marks."""
TITLES: Mapping[str, tuple[str, str]] = {
    "01_region_lengths": ("Lengths of the introgressed regions", "Histogram on a logarithmic axis, the mean dashed"),
    "02_top_kmers": ("The most common k-mers", "Bars of the 20 most common k-mers of each class"),
    "03_training_curve": ("Training of the network", "Lines of training and validation accuracy by epoch"),
    "04_confusion_network": ("Confusion matrix of the network", "Counts of true class by predicted class"),
    "05_confusion_forest": ("Confusion matrix of the random forest", "Counts of true class by predicted class"),
    "06_importances": ("The most important k-mers", "Bars of impurity importance and of permutation importance"),
    "07_gene_lists": ("Genes with the highest and the lowest probability", "Two lists with bars of probability"),
    "08_umap": ("UMAP map of the k-mers", "Every k-mer printed at its place, coloured by GC content"),
    "09_tsne": ("t-SNE map of the k-mers", "Every k-mer printed at its place, coloured by GC content"),
    "10_gc_content": ("GC content of genes and genome", "Two histograms, their means dashed"),
    "11_intersections": ("Genes met by introgressed regions and by draws", "Histogram of the draws, a line observed"),
}
"""Title of each of the article's figures, and what is to be seen on it."""
NARROW = frozenset({
    "01_region_lengths", "03_training_curve", "04_confusion_network", "05_confusion_forest", "10_gc_content",
    "11_intersections", "14_leaks", "17_matching", "22_embedding",
})  # fmt: skip
"""Figures one column wide."""
REFERENCES: Sequence[tuple[str, str]] = (
    ("N. Oskolkov, Deep Learning on Neanderthal Genes (2019)",
     "https://github.com/NikolayOskolkov/DeepLearningNeanderthalIntrogression"),
    ("Vernot et al., Science 352 (2016): the introgressed regions", "https://doi.org/10.1126/science.aad9416"),
    ("Whalen et al., Nature Reviews Genetics 23 (2022): leakage in genomics",
     "https://doi.org/10.1038/s41576-021-00434-9"),
    ("Austin, Statistics in Medicine 28 (2009): balance of matched groups", "https://doi.org/10.1002/sim.3697"),
    ("Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010): permutation p-values",
     "https://doi.org/10.2202/1544-6115.1585"),
    ("Rabiner, Proceedings of the IEEE 77 (1989): hidden Markov models", "https://doi.org/10.1109/5.18626"),
    ("Gel et al., Bioinformatics 32 (2016): randomisation of regions", "https://doi.org/10.1093/bioinformatics/btv562"),
)  # fmt: skip

_LADDER = {"rung": str, "model": str, "metric": str, "value": float, "low": float, "high": float}
_SWEEP = {
    "model": str,
    **dict.fromkeys(("canonical", "chosen"), bool),
    **dict.fromkeys(("k", "n_features"), int),
    **dict.fromkeys(("cv_auroc", "cv_se", "auroc", "low", "high", "brier"), float),
}
_TABLES: Mapping[str, Mapping[str, Any]] = {
    "claims.tsv": {
        **dict.fromkeys(("section", "sentence", "published", "reproduced", "verdict", "measured"), str),
    },
    "audit/ladder.tsv": _LADDER,
    "audit/null.tsv": _LADDER,
    "audit/sweep.tsv": _SWEEP,
    "audit/null/sweep.tsv": _SWEEP,
    "audit/sequences.tsv": {
        **dict.fromkeys(("level", "cut", "rung", "model", "metric"), str),
        **dict.fromkeys(("value", "low", "high"), float),
        **dict.fromkeys(("n_train", "n_test"), int),
    },
    "audit/sequence_positions.tsv": {"position": int, **dict.fromkeys(("drop", "low", "high"), float)},
    "audit/sequence_mutations.tsv": {"model": str, "position": int, "change": float},
    "audit/smoothing.tsv": {"method": str, "metric": str, "value": float, "low": float, "high": float},
    "audit/matched/balance.tsv": {
        "covariate": str,
        "balanced": bool,
        **dict.fromkeys(("introgressed", "depleted_before", "depleted_after"), float),
        **dict.fromkeys(("smd_before", "smd_after", "tolerance"), float),
    },
    "audit/gene_counts.tsv": {
        "table": str,
        **{f"{kind}_{unit}": int for kind in ("n", "predicted") for unit in ("rows", "loci", "symbols")},
    },
    "audit/gene_flags.tsv": {
        **dict.fromkeys(("table", "unit", "flag"), str),
        **dict.fromkeys(("n_predicted", "n_predicted_flagged", "n_all", "n_all_flagged"), int),
        **dict.fromkeys(("share_predicted", "share_all", "odds_ratio", "low", "high"), float),
    },
    "audit/gene_doses.tsv": {
        "table": str,
        **dict.fromkeys(("n_all", "n_predicted"), int),
        **dict.fromkeys(("above", "up_to", "share_predicted"), float),
    },
    "audit/intersections.tsv": {
        **dict.fromkeys(("variant", "description", "conclusion"), str),
        **dict.fromkeys(("n_regions", "observed", "n_draws", "n_at_or_below"), int),
        **dict.fromkeys(("expected", "ratio", "low", "high", "p"), float),
    },
    "audit/intersection_balance.tsv": {
        "variant": str,
        **dict.fromkeys(("gc_regions", "gc_unmatched", "gc_matched", "smd_unmatched", "smd_matched"), float),
    },
}
_OBJECTS: Mapping[str, Sequence[str]] = {
    "regions.json": ("inputs", "versions"),
    "genes.json": ("inputs",),
    "intersections.json": ("inputs",),
    "audit/leak.json": ("protocols",),
    "audit/matched/match.json": ("n_matched", "n_unmatched"),
    "audit/sweep.json": ("n_windows", "n_used", "n_train", "test_chromosomes"),
    "audit/follow_up.json": ("n_words", "gc_embedding", "n_genes", "n_predicted", "n_mutated", "gc_cnn"),
    "audit/smoothing.json": ("held_out",),
    "audit/genes.json": ("inputs",),
    "audit/intersections.json": ("inputs",),
}
_SOURCES = ("genome", "introgressed", "genes", "gaps", "chromsizes", "published", "gc")
_OWN = {"results", "audit", "models"}  # folders of a run: a file in one of them is no input


class Run(NamedTuple):
    """What a report is made of; what was not run is not there.

    Attributes
    ----------
    config : mapping
        Values of the run (`config.yaml`).
    results : mapping
        Tables (DataFrame) and JSON objects (dict) by their place below `results/`.
    pictures : mapping
        Figures by name, as `data:` addresses.
    """

    config: Mapping[str, Any]
    results: Mapping[str, Any]
    pictures: Mapping[str, str]


def load_run(directory: str | Path) -> Run:
    """Load what there is of a run.

    Parameters
    ----------
    directory : path-like
        Folder of the run; `config.yaml`, `results/` and `figures/` lie below it.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        There is no folder `results`, or a file in it is not what its stage writes.
    """
    directory = Path(directory)
    results = directory / "results"
    if not results.is_dir():
        raise InputError(f"{results}: not found (expected the folder of a run’s results)")
    found: dict[str, Any] = {
        name: read_table(results / name, columns) for name, columns in _TABLES.items() if (results / name).exists()
    }
    for name, keys in _OBJECTS.items():
        if (results / name).exists():
            found[name] = value = read_record(results / name)
            if missing := [key for key in keys if key not in value]:
                raise InputError(f"{results / name}: no {', '.join(missing)} (found {', '.join(value)})")
    pictures = {name: _load_picture(directory / "figures" / name) for name in FIGURES}
    return Run(_load_config(directory / "config.yaml"), found, {name: uri for name, uri in pictures.items() if uri})


def _load_config(path: Path) -> dict[str, Any]:
    return read_settings(path, source=str(path)) if path.exists() else {}


def _load_picture(stem: Path) -> str:
    """Load a picture as a `data:` address: SVG, or PNG where that is too large or not there; "" without either."""
    svg, png = (stem.with_name(f"{stem.name}.{form}") for form in ("svg", "png"))
    check_seal(svg)
    check_seal(png)
    if svg.exists() and (svg.stat().st_size <= LARGEST_SVG or not png.exists()):
        # The figures' font is not on every machine: others of about its width stand in.
        text = svg.read_text("utf-8")
        for font, others in (("DejaVu Sans", "Verdana, sans-serif"), ("DejaVu Sans Mono", "monospace")):
            text = text.replace(f"'{font}'", f"'{font}', {others}")
        kind, content = "svg+xml", text.encode("utf-8")
    elif png.exists():
        kind, content = "png", png.read_bytes()
    else:
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render_report(run: Run) -> str:
    """Write the report of a run as HTML.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        A whole page, with its style and its pictures inside.
    """
    regions = run.results.get("regions.json", {})
    sections = build_sections(run.results)
    claims = run.results.get("claims.tsv")
    environment = Environment(
        loader=PackageLoader("neanderthal_nlp"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("report.html").render(
        synthetic=bool(regions.get("synthetic")),
        settings=_tabulate_settings(run.config),
        inputs=_tabulate_inputs(run.results),
        versions=Table("Versions", ["package", "version"], list(regions.get("versions", {}).items())),
        verdicts={} if claims is None else claims["verdict"].value_counts().sort_index().to_dict(),
        ledger=None if claims is None else _tabulate_claims(claims),
        measured=None if claims is None else Table("How each claim is measured", ["claim", "measured"],
                                                   claims[["sentence", "measured"]].to_numpy().tolist()),
        sections=sections,
        figures=[(name, *TITLES[name]) for name in ARTICLE],
        pictures=run.pictures,
        narrow=NARROW,
        references=REFERENCES,
    )  # fmt: skip
    return page.replace(" %", "\u00a0%")  # a number and its sign stay on one line


def _tabulate_settings(config: Mapping[str, Any]) -> Table:
    """Values of the run; of files the names alone."""
    rows = [[str(key), _write_setting(value)] for key, value in config.items()]
    return Table("Values of the run", ["key", "value"], rows)


def _write_setting(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return Path(value).name if isinstance(value, str) else str(value)


def _tabulate_inputs(results: Mapping[str, Any]) -> Table:
    """Files that the run was given, with their hashes."""
    rows: dict[str, list[str]] = {}
    for name in _OBJECTS:
        for key, file in results.get(name, {}).get("inputs", {}).items():
            path = Path(file["path"])
            known = key in rows or any(file["sha256"] == row[-1] for row in rows.values())
            if key in _SOURCES and path.parent.name not in _OWN and not known:
                rows[key] = [key, path.name, file["sha256"]]
    return Table("Inputs", ["input", "file", "SHA-256"], [rows[key] for key in _SOURCES if key in rows])


def _tabulate_claims(claims: pd.DataFrame) -> Table:
    columns = {"sentence": "claim", "section": "section", "published": "published", "reproduced": "reproduced",
               "verdict": "verdict", "control": "control", "meaning": "what it means"}  # fmt: skip
    shown = [name for name in columns if name in claims.columns]
    # A column without any entry reads as one of missing numbers.
    claims = claims[shown].astype(object).where(claims[shown].notna(), "").astype(str)
    if "meaning" in shown:  # which repeats the verdict, in the column beside it here
        meanings = zip(claims["meaning"], claims["verdict"], strict=True)
        claims["meaning"] = [meaning.removeprefix(f"{verdict}; ") for meaning, verdict in meanings]
    rows = claims.to_numpy().tolist()
    return Table("The article’s claims", [columns[name] for name in shown], rows)
