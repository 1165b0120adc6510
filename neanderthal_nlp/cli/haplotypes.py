"""The two copies of a person's genome as FASTA, from a phased VCF."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import ExitStack
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import typer

from neanderthal_nlp.cli.stage import Cache, GenomeFile, say
from neanderthal_nlp.files import check_place, provenance, replacing, write_json

if TYPE_CHECKING:
    from neanderthal_nlp.haplotypes import HaplotypeGenome


def haplotypes(
    genome: GenomeFile,
    vcf: Annotated[Path, typer.Option(help="Phased variants: VCF (bgzip) or BCF, with its index beside it.")],
    output: Annotated[Path, typer.Option(help="Folder to write to: SAMPLE.1.fa, SAMPLE.2.fa (of what the "
                                           "sample has two copies of) and SAMPLE.json.")],
    sample: Annotated[str | None, typer.Option(help="Sample of the VCF; not needed where it has one.")] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Chromosome, such as chr1, stretch, such as chr1:10001-20000 (1-based, the end included), "
                     "or BED file (default: every chromosome on which the VCF has records).")
    ] = None,
    allow_unphased: Annotated[
        bool, typer.Option("--allow-unphased", help="Take alleles of unphased or half missing genotypes (0/1, ./1) in "
                           "their written order.")
    ] = False,
    cache: Cache = None,
) -> None:  # fmt: skip
    """Write the two haplotypes of a sample, to be scored as any FASTA."""
    from neanderthal_nlp.genome import open_genome
    from neanderthal_nlp.haplotypes import HaplotypeGenome, write_records
    from neanderthal_nlp.variants import spell_number

    start = time.perf_counter()
    with ExitStack() as stack:
        letters = stack.enter_context(open_genome(genome, cache=cache))
        copies = [
            stack.enter_context(HaplotypeGenome(letters, vcf, sample=sample, copy=copy, allow_unphased=allow_unphased))
            for copy in (1, 2)
        ]
        regions = _regions(region, copies[0])
        name = copies[0].sample
        stem = re.sub(r"[^\w.+-]", "_", name)
        check_place(output / f"{stem}.2.fa")  # removed where there is no second copy
        ploidies = [copies[0].ploidies(*place) for place in regions[["chrom", "start", "end"]].itertuples(index=False)]
        single = [found == {1} for found in ploidies]
        names = _names(regions)
        _tell_ploidies(name, names, ploidies)
        counts = {}
        for copy in copies[:1] if all(single) else copies:
            part = stack.enter_context(replacing(output / f"{stem}.{copy.copy}.fa"))
            has = regions if copy.copy == 1 else regions[np.logical_not(single)]
            with part.open("w", encoding="utf-8") as handle:
                counts[copy.copy] = write_records(has, copy, handle)
        settings = {"sample": name, "region": region, "allow_unphased": allow_unphased}
        record = provenance({"genome": genome, "vcf": vcf}, settings, time.perf_counter() - start)
        write_json({"counts": counts, "one_copy": list(compress(names, single)), **record}, output / f"{stem}.json")
    if all(single):
        (output / f"{stem}.2.fa").unlink(missing_ok=True)  # of an earlier run with other regions
    for written, count in counts.items():  # once all are whole: a later one may fail
        say("haplotypes", f"{name}, copy {written}: {_describe(count)}")
    size = (regions["end"] - regions["start"]).sum()
    say("haplotypes", f"{spell_number(len(regions), 'stretches')}, {size:,} nt of the reference, "
        f"in {', '.join(str(output / f'{stem}.{copy}.fa') for copy in counts)}")  # fmt: skip


def _regions(region: str | None, haplotype: HaplotypeGenome) -> pd.DataFrame:
    """Stretches that the user asked for; whole chromosomes by default."""
    from neanderthal_nlp.intervals import read_places

    sizes = haplotype.chromsizes
    if region is None:
        chroms = haplotype.chromosomes()
        if len(chroms) < len(sizes):
            say("haplotypes", f"left out: {len(sizes) - len(chroms):,} of the genome's {len(sizes):,} chromosomes, "
                "on which the VCF has no records")  # fmt: skip
        return pd.DataFrame({"chrom": chroms, "start": 0, "end": [sizes[chrom] for chrom in chroms]})
    return read_places(region, sizes, source="--region")


def _names(regions: pd.DataFrame) -> list[str]:
    """Stretches as `write_records` names them."""
    places = regions[["chrom", "start", "end"]].itertuples(index=False)
    return [f"{chrom}:{start + 1}-{end}" for chrom, start, end in places]


def _tell_ploidies(sample: str, names: list[str], ploidies: list[set[int]]) -> None:
    """Say where the sample has one copy, and where copies hold letters that are not known to be the sample's."""

    def some(wanted: list[bool]) -> str:
        chosen = list(compress(names, wanted))
        return ", ".join(chosen[:3]) + (f" and {len(chosen) - 3:,} more" if len(chosen) > 3 else "")

    if where := some([found == {1} for found in ploidies]):
        say("haplotypes", f"{sample} has one copy of {where}: all genotypes there are haploid, as a man's on X, Y and "
            "MT; left out of copy 2")  # fmt: skip
    if where := some([1 in found and len(found) > 1 for found in ploidies]):
        say("haplotypes", f"warning: {where}: some genotypes are haploid, others are not; copy 2 has the reference's "
            "letters where there is one copy (--region chooses the parts with two)")  # fmt: skip
    if where := some([not found for found in ploidies]):
        say("haplotypes", f"warning: {where}: the VCF has no genotype of {sample} there, nor further along the "
            "chromosome; both copies have the reference's letters")  # fmt: skip


def _describe(counts: Counter[str]) -> str:
    from neanderthal_nlp.variants import APPLIED, SKIPPED, UNPHASED, spell_number

    applied = ", ".join(spell_number(counts[kind], kind) for kind in APPLIED)
    skipped = ", ".join(spell_number(counts[reason], reason) for reason in SKIPPED if counts[reason])
    taken = f"; {spell_number(counts[UNPHASED], UNPHASED)} in the written order" if counts[UNPHASED] else ""
    return f"{applied} (left out: {skipped or 'none'}){taken}"
