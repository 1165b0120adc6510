"""Notebooks as they are committed: in step with their scripts, run from top to bottom, without methods of their own.

That they run is checked by `make notebooks`, on the article's data by `long_notebooks.py`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
import pytest
from notebook_runs import execute

from neanderthal_nlp.profiles import read_profile

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
METHODS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.While, ast.Try)

DATA = {"write_demo", "read_profile"}
"""Functions that say which data a notebook reads."""
QUIET = {"cleanup", "close", "filterwarnings", "set_option", "write_null_genome"}
"""Methods and functions that a cell may end with and show nothing."""


def read(name, suffix):
    return jupytext.read(FOLDER / f"{name}{suffix}")


def code_cells(name):
    return [cell for cell in read(name, ".ipynb").cells if cell.cell_type == "code"]


def parse(cell):
    """Syntax tree of a code cell without its magics."""
    return ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE))


def shows(cell):
    """Whether a cell ends with something to be shown."""
    last = parse(cell).body[-1]
    called = last.value.func if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) else None
    return isinstance(last, ast.Expr) and getattr(called, "attr", "") not in QUIET


def test_notebooks_are_numbered_without_holes():
    assert [int(name[:2]) for name in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))
    assert len(NOTEBOOKS) >= 8


def test_each_notebook_has_a_script():
    assert NOTEBOOKS
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_and_script_hold_the_same_cells(name):
    cells, expected = (
        [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in read(name, suffix).cells]
        for suffix in (".ipynb", ".py")
    )
    assert cells == expected


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_of_one_run_from_top_to_bottom_without_a_complaint(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for cell in cells for output in cell.outputs} == {"execute_result"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_that_shows_something_has_its_output(name):
    cells = code_cells(name)
    assert [cell.source for cell in cells if cell.outputs] == [cell.source for cell in cells if shows(cell)]
    assert any("image/" in kind for cell in cells for output in cell.outputs for kind in output.data)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_small_and_name_no_place_on_a_machine(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 500_000
    shown = [text for cell in code_cells(name) for output in cell.outputs for kind, text in output.data.items()
             if kind.startswith("text/")]  # fmt: skip
    assert shown
    assert re.search(r"(?<![\w<.])/\w+/|0x[0-9a-f]{6}", "\n".join(shown)) is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_call_the_package_and_define_nothing(name):
    assert not [node for cell in code_cells(name) for node in ast.walk(parse(cell)) if isinstance(node, METHODS)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_title_bears_the_number_and_warns_of_synthetic_data(name):
    first = read(name, ".ipynb").cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {name[:2]}. ")
    assert "synthetic" in first.source


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_one_cell_says_which_data_are_read(name):
    tagged = [cell for cell in code_cells(name) if "settings" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assigned = {target.id for node in parse(tagged[0]).body if isinstance(node, ast.Assign)
                for target in node.targets}  # fmt: skip
    assert {"settings", "paths"} <= assigned
    used = {cell.source: {node.id for node in ast.walk(parse(cell)) if isinstance(node, ast.Name)}
            for cell in code_cells(name)}  # fmt: skip
    assert [source for source, names in used.items() if names & DATA] == [tagged[0].source]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_lead_to_notebooks_that_are_there(name):
    text = "\n".join(cell.source for cell in read(name, ".ipynb").cells if cell.cell_type == "markdown")
    found = set(re.findall(r"\]\((\w+)\.ipynb\)", text))
    assert found <= set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_settings_for_the_articles_data_stand_as_a_comment(name):
    (cell,) = (cell for cell in code_cells(name) if "settings" in cell.metadata.get("tags", []))
    values = {}
    exec("\n".join(re.findall(r"^#     (.*)$", cell.source, re.MULTILINE)), {"read_profile": read_profile}, values)  # noqa: S102
    assert values["settings"] == read_profile("article")
    assert set(values["paths"]) == {"genome", "introgressed", "genes"}


def told(notebook):
    """All that a notebook shows as text or as a table."""
    return [
        output.data.get("text/html", output.data.get("text/plain")) if "data" in output else output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" not in output.get("data", {})
    ]


@pytest.mark.parametrize("name", ["01_prepare_sequences", "06_gene_intersections"])
def test_the_committed_outputs_are_those_of_the_code(name, tmp_path):
    """On the notebooks without models: their numbers are the same on every machine."""
    found = execute(read(name, ".py"), tmp_path)
    strip = re.compile(r"<style scoped>.*?</style>", re.DOTALL)
    now, committed = ([strip.sub("", text) for text in told(notebook)] for notebook in (found, read(name, ".ipynb")))
    assert now == committed
    assert len(now) > 3
