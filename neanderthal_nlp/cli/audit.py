"""The audit's commands: what the numbers mean."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from neanderthal_nlp import parameters
from neanderthal_nlp.cli.stage import about, say
from neanderthal_nlp.files import provenance, write_json

app = typer.Typer(no_args_is_help=True)


@app.command()
def leaks(
    introgressed: Annotated[Path, typer.Option(help="Introgressed regions, BED.")],
    depleted: Annotated[Path, typer.Option(help="Depleted regions, BED; row by row the partners.")],
    json: Annotated[Path, typer.Option(help="Where to write the report.")],
    gaps: Annotated[Path | None, typer.Option(help="BED; pairs that touch one of these are left out.")] = None,
    protocol: Annotated[str, typer.Option(help="Split: article.")] = "article",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = parameters.SPLIT_SEED,
) -> None:
    """Tell from coordinates alone how much of the test set the training set has seen."""
    from neanderthal_nlp.audit import leak_report
    from neanderthal_nlp.intervals import match_naming, read_bed

    start = time.perf_counter()
    frames = {"introgressed": read_bed(introgressed), "depleted": read_bed(depleted)}
    names = dict.fromkeys(frames["introgressed"]["chrom"], 0)
    blocks = None if gaps is None else match_naming(read_bed(gaps), names)
    with about(introgressed):
        report = leak_report(frames["introgressed"], match_naming(frames["depleted"], names), protocol=protocol,
                             seed=seed, gaps=blocks)  # fmt: skip
    inputs = {"introgressed": introgressed, "depleted": depleted, **({"gaps": gaps} if gaps else {})}
    settings = {"protocol": protocol, "seed": seed}
    record = {**report._asdict(), "rule_accuracy": report.rule_accuracy._asdict()}
    write_json({**record, **provenance(inputs, settings, time.perf_counter() - start)}, json)
    say("audit", f"{report.n_pairs:,} pairs, {report.n_distinct_starts:,} distinct starts, "
                 f"{report.n_clusters:,} clusters (worth {report.n_effective:,.0f} regions)")  # fmt: skip
    say("audit", f"of {report.n_test_introgressed:,} introgressed test windows {report.test_share_exact:.1%} are "
                 f"training windows letter for letter, {report.test_share_window_overlap:.1%} overlap one, "
                 f"{report.test_share_region_overlap:.1%} overlap a training region")  # fmt: skip
    rules = report.rule_accuracy
    say("audit", f"accuracy without learning: seen this window {rules.exact_window:.1%}, overlaps an introgressed "
                 f"training window {rules.window_overlap:.1%}, region {rules.region_overlap:.1%}")  # fmt: skip
