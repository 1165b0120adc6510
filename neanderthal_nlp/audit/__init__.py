"""What the numbers mean: the controls that a reproduction of the article is held against.

Names are imported when they are first asked for: the null genome needs no scikit-learn, the leak report no numba.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "gene_table": ("count_predictions", "dose_response", "enrichment", "flag_genes", "gene_loci"),
    "intersections": ("IntersectionAudit", "intersection_audit"),
    "ladder": ("score_controls", "score_group"),
    "leaks": ("LeakReport", "RuleAccuracy", "leak_report", "measure_leaks"),
    "matching": ("Match", "match_depleted", "tabulate_balance"),
    "null_genome": ("Landscape", "genome_landscape", "open_landscape", "table_landscape", "write_null_genome"),
    "out_of_fold": ("OutOfFold", "score_out_of_fold"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
