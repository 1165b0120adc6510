"""Notebooks as they are committed: in step with their scripts, run from top to bottom, without methods of their own.

That they run is checked by `make notebooks`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
METHODS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.While, ast.Try)


def read(name, suffix):
    return jupytext.read(FOLDER / f"{name}{suffix}")


def code_cells(name):
    return [cell for cell in read(name, ".ipynb").cells if cell.cell_type == "code"]


def test_each_notebook_has_a_script():
    assert NOTEBOOKS
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_and_script_hold_the_same_cells(name):
    cells, expected = (
        [(cell.cell_type, cell.source) for cell in read(name, suffix).cells] for suffix in (".ipynb", ".py")
    )
    assert cells == expected


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_of_one_run_from_top_to_bottom_without_a_complaint(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for cell in cells for output in cell.outputs} == {"execute_result"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_small_and_name_no_place_on_a_machine(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1_000_000
    shown = [text for cell in code_cells(name) for output in cell.outputs for kind, text in output.data.items()
             if kind.startswith("text/")]  # fmt: skip
    assert shown
    assert re.search(r"(?<![\w<.])/\w+/|0x[0-9a-f]{6}", "\n".join(shown)) is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_call_the_package_and_define_nothing(name):
    sources = [re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE) for cell in code_cells(name)]
    assert not [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, METHODS)]
