"""How the documentation is built: `make docs`."""

import shutil
import subprocess
import sys
from pathlib import Path

from neanderthal_nlp import __version__

HERE = Path(__file__).parent
ROOT = HERE.parent

# Sphinx reads one folder: notebooks and figures are copied into it, and the commands describe themselves.
for name, suffix in (("notebooks", "*.ipynb"), ("figures", "**/*.png")):
    shutil.rmtree(HERE / "_generated" / name, ignore_errors=True)
    for path in (ROOT / name).glob(suffix):
        copy = HERE / "_generated" / name / path.relative_to(ROOT / name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
commands = HERE / "_generated" / "command_line.md"
subprocess.run(
    [Path(sys.executable).with_name("typer"), "neanderthal_nlp.cli", "utils", "docs", "--name", "neanderthal-nlp",
     "--output", commands],
    check=True, stdout=subprocess.DEVNULL,
)  # fmt: skip

project = "neanderthal_nlp"
author = "The neanderthal_nlp developers"
project_copyright = f"2026, {author}"
version = release = __version__
language = "en"

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # notebooks are shown as committed; `make notebooks` executes them
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
copybutton_prompt_text = "$ "

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name types and shapes
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"neanderthal_nlp {__version__}"
html_show_sourcelink = False
html_show_sphinx = False
