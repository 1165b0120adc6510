"""Frames of intervals for tests: built from tuples, read as tuples, and what bedtools says of files of them."""

import subprocess

import numpy as np
import pandas as pd

COLUMNS = ["chrom", "start", "end"]


def bed(*rows):
    """A frame of intervals; typed also where it is empty."""
    frame = pd.DataFrame(list(rows), columns=COLUMNS)
    return frame.astype({"start": np.int64, "end": np.int64})


def spans(frame):
    """Rows as tuples of plain Python values."""
    return [(str(chrom), int(start), int(end)) for chrom, start, end in frame[COLUMNS].itertuples(index=False)]


def run_bedtools(program, *arguments):
    """Rows that bedtools prints, as lists of fields."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]
