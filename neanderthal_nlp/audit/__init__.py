"""What the numbers mean: the controls that a reproduction of the article is held against."""

from neanderthal_nlp.audit.gene_table import count_predictions, dose_response, enrichment, flag_genes, gene_loci
from neanderthal_nlp.audit.intersections import IntersectionAudit, intersection_audit
from neanderthal_nlp.audit.leaks import LeakReport, RuleAccuracy, leak_report
from neanderthal_nlp.audit.null_genome import (
    Landscape,
    genome_landscape,
    open_landscape,
    table_landscape,
    write_null_genome,
)
from neanderthal_nlp.audit.out_of_fold import OutOfFold, score_out_of_fold

__all__ = [
    "IntersectionAudit",
    "Landscape",
    "LeakReport",
    "OutOfFold",
    "RuleAccuracy",
    "count_predictions",
    "dose_response",
    "enrichment",
    "flag_genes",
    "gene_loci",
    "genome_landscape",
    "intersection_audit",
    "leak_report",
    "open_landscape",
    "score_out_of_fold",
    "table_landscape",
    "write_null_genome",
]
