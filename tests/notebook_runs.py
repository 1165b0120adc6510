"""Run notebooks from their scripts, and renew the committed outputs: `python tests/notebook_runs.py 02_… 03_…`.

`jupyter execute` will not do: it writes the time of every cell into the notebook, and notes that TensorFlow sends
past Python to standard error, which nobody asked for.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"


def execute(notebook: NotebookNode, folder: Path, *, timeout: int = 600) -> NotebookNode:
    """Run a notebook in a folder, each cell for at most `timeout` seconds; an error in a cell is raised."""
    client = NotebookClient(
        notebook,
        timeout=timeout,
        record_timing=False,
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute()


def renew(name: str) -> None:
    """Run one notebook from its script and write it with its outputs."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    with tempfile.TemporaryDirectory() as folder:
        jupytext.write(execute(notebook, Path(folder)), FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(name)
