"""The table of a benchmark run: pytest-benchmark's JSON in, Markdown out.

Every number comes from the JSON, which `make bench` writes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neanderthal_nlp.files import markdown_table, read_json, replacing

COLUMNS = ("work", "against", "bar", "measured", "ours takes")
README = Path(__file__).with_name("README.md")


def speed_ratios(
    seconds: Sequence[float], reference_seconds: Sequence[float], *, work: float = 1, reference_work: float = 1
) -> list[float]:
    """How many times faster ours is than the reference, per unit of work, round by round.

    Parameters
    ----------
    seconds, reference_seconds : sequence of float
        Times of the rounds; those of one round follow one another.
    work, reference_work : float
        Units of work that each does in a round.

    Raises
    ------
    ValueError
        The two differ in their number of rounds, or a quantity is not positive.
    """
    if min([work, reference_work, *seconds, *reference_seconds]) <= 0:
        raise ValueError("seconds, work: found a value that is not positive")
    return [(theirs / reference_work) / (ours / work) for ours, theirs in zip(seconds, reference_seconds, strict=True)]


def race_record(
    name: str,
    note: str,
    seconds: Sequence[float],
    ratios: Sequence[float],
    at_least: float | None,
    at_most: float | None = None,
) -> dict[str, Any]:
    """What the JSON says of a race; without a reference, `ratios` is empty and the seconds, at most so many, count."""
    measured = {"seconds": list(seconds), "median_seconds": float(np.median(seconds))}
    if ratios:
        measured |= {"ratios": list(ratios), "median": float(np.median(ratios)), "low": min(ratios),
                     "high": max(ratios)}  # fmt: skip
    return {"kind": "race", "name": name, "reference": note, "at_least": at_least, "at_most": at_most, **measured}


def memory_record(name: str, note: str, mebibytes: float, below: float | None) -> dict[str, Any]:
    """What the JSON says of a peak memory, MiB."""
    return {"kind": "memory", "name": name, "reference": note, "below": below, "mebibytes": mebibytes}


def format_row(record: Mapping[str, Any]) -> tuple[str, ...]:
    """One row of the table from what `race_record` or `memory_record` gave."""
    if record["kind"] == "memory":
        bar = record["below"]
        missed = bar is not None and record["mebibytes"] >= bar
        measured, wanted = f"{record['mebibytes']:,.0f} MiB", "" if bar is None else f"below {bar:,.0f} MiB"
        takes = ""
    elif "ratios" in record:
        bar = record["at_least"]
        missed = bar is not None and record["median"] < bar
        takes = f"{record['median_seconds']:,.3g} s"
        span = f"{_times(record['low'])} to {_times(record['high'])}, {_rounds(record['ratios'])}"
        measured, wanted = f"{_times(record['median'])} ({span})", "" if bar is None else f"{bar:,g}x"
    else:
        bar = record.get("at_most")
        missed, wanted = bar is not None and record["median_seconds"] > bar, "" if bar is None else f"{bar:,g} s"
        takes = f"{record['median_seconds']:,.3g} s"
        measured = f"{takes} ({_rounds(record['seconds'])})"
    return record["name"], record["reference"], wanted, measured + (" **not reached**" if missed else ""), takes


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.3g}x"


def _rounds(values: Sequence[float]) -> str:
    return f"{len(values)} round{'s' if len(values) > 1 else ''}"


def format_results(results: Mapping[str, Any]) -> str:
    """Markdown of a run: the table, then what was skipped, then the machine and the versions.

    Parameters
    ----------
    results : mapping
        JSON of pytest-benchmark, with the `extra_info` and `machine_info` that the fixtures here add.
    """
    rows = [format_row(bench["extra_info"]) for bench in results["benchmarks"]]
    machine = results["machine_info"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        markdown_table(pd.DataFrame(rows, columns=list(COLUMNS))),
        *(f"Not run: {reason}.\n" for reason in results.get("skipped", [])),
        *(f"**Failed**: {name}.\n" for name in results.get("failed", [])),
        f"Machine: {machine['cpu'].get('brand_raw') or machine['machine']}, {machine['n_cores']} cores, "
        f"{machine['memory_gib']:.0f} GiB; {machine['system']}; {results['datetime'][:10]}.\n",
        f"Inputs: {machine['inputs']}, random letters.\n",
        f"Versions: {versions}.\n",
    ]
    return "\n".join(lines)


def put_between(text: str, name: str, content: str) -> str:
    """Replace what stands between the marker comments of a name.

    Raises
    ------
    ValueError
        The text has not both markers, once and in their order.
    """
    start, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"expected {start} and {end}, once each and in this order")
    head, rest = text.split(start)
    return f"{head}{start}\n{content.strip()}\n{end}{rest.split(end)[1]}"


def write_between(path: Path, name: str, content: str) -> None:
    """Replace what stands between the markers of a file."""
    text = put_between(path.read_text(encoding="utf-8"), name, content)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def renew(results: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Put benchmarks that were run again in the place of the former ones; machine and versions are the last run's."""
    again = {bench["fullname"]: bench for bench in others["benchmarks"]}
    kept = [again.pop(bench["fullname"], bench) for bench in results["benchmarks"]]
    return {**results, **others, "benchmarks": [*kept, *again.values()]}


def main(arguments: Sequence[str]) -> None:
    """Print the table of runs, a later one's in the place of an earlier one's; `--write`: into benchmarks/README.md."""
    paths = [word for word in arguments if word != "--write"]
    if not paths:
        raise SystemExit("usage: python benchmarks/table.py [--write] build/bench.json [again.json ...]")
    text = format_results(reduce(renew, map(read_json, paths)))
    print(text)
    if "--write" in arguments:
        write_between(README, "bench", text)


if __name__ == "__main__":
    main(sys.argv[1:])
