"""Readers of tables and settings, and files to mutate for them; see `hostile`."""

from __future__ import annotations

from hostile import Reader

from neanderthal_nlp import intervals

_BED = b"track name=x\n#a comment\nchr1\t0\t100\ta\t5\t+\nchr1\t50\t200\tb\t0\t-\nchr2\t7\t9\tc\t1\t.\n"

READERS = {
    "bed": Reader(lambda: {"x.bed": _BED}, intervals.read_bed, (b"chr1", b"browser ", b"track ", b"+", b"100")),
}
