"""Frames for tests: built from tuples, read as tuples, files of their lines, and what bedtools says of these."""

import gzip
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


def write(path, lines, *, newline="\n", compress=False):
    """A file of lines, plain or gzip."""
    data = (newline.join(lines) + newline).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if compress else data)
    return path


def tuples(frame):
    """Rows of any frame as tuples."""
    return list(frame.itertuples(index=False, name=None))
