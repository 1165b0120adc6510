"""Neanderthal ancestry as text: the article reproduced, and every number of it held against the published one.

Regions are 0-based half-open everywhere inside the package; modules follow the sections of the article in
the order in which data flows: `intervals`, `genome`, `sequences`, `kmers`, `evaluation`, `network`, `forest`,
`linear`, `genes`, `embeddings`, `gene_overlap`, `claims`, `figures`, `report`.
"""

__version__ = "0.1.0"
