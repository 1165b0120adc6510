"""Every notebook on the article's regions and on real letters: only its settings change. `make notebooks-article`."""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import pytest
from notebook_runs import FOLDER, execute

NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.py"))
SHORT = ["epochs=3", "n_estimators=50", "n_draws=50", "word2vec_windows=200", "audit_epochs=3", "audit_draws=50",
         "sequence_windows=2000", "sequence_epochs=3", "sequence_cnn_epochs=3", "sweep_windows=2000"]  # fmt: skip
CELL_SECONDS = 1200


@pytest.fixture(scope="module")
def inputs(data: Path, article: Path) -> dict[str, str]:
    """The published regions and genes, and a genome file of hg19."""
    paths = {
        "genome": data / "hg19_islands.fa.gz",
        "introgressed": article / "Akey_intr_coords.bed",
        "genes": article / "gene_ids.txt",
    }
    for path in paths.values():
        if not path.exists():
            pytest.skip(f"no {path}")
    return {key: str(path.resolve()) for key, path in paths.items()}


def replace_settings(source: str, inputs: dict[str, str]) -> str:
    """Put the article's profile and files in the place of the demo's; other settings of the cell stay."""
    statements = ast.parse(source).body
    targets = [ast.unparse(getattr(node, "targets", [])[:1]) for node in statements]
    kept = [node for node, target in zip(statements, targets, strict=True) if target not in ("settings", "paths")]
    given = [f"settings = read_profile('article', {SHORT})", f"paths = {inputs}"]
    return "\n".join([*given, *map(ast.unparse, kept)])


def outline(notebook):
    """Kinds of output of each code cell."""
    return [[(output.output_type, sorted(output.get("data", {}))) for output in cell.outputs]
            for cell in notebook.cells if cell.cell_type == "code"]  # fmt: skip


def shown(notebook):
    """All that a notebook shows as text."""
    return [output.data.get("text/plain") for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_on_the_articles_data_when_its_settings_change(name, inputs, tmp_path):
    notebook, committed = (jupytext.read(FOLDER / f"{name}{suffix}") for suffix in (".py", ".ipynb"))
    (cell,) = (cell for cell in notebook.cells if "settings" in cell.metadata.get("tags", []))
    cell.source = replace_settings(cell.source, inputs)
    assert "demo" not in cell.source
    execute(notebook, tmp_path, timeout=CELL_SECONDS)
    assert outline(notebook) == outline(committed)
    assert shown(notebook) != shown(committed)
