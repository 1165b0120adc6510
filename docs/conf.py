"""How the documentation is built: `make docs`."""

import shutil
import subprocess
import sys
from pathlib import Path

from neanderthal_nlp import __version__

HERE = Path(__file__).parent
ROOT = HERE.parent

# Sphinx reads one folder: what is kept elsewhere is copied into it, and the commands describe themselves.
shutil.rmtree(HERE / "_generated", ignore_errors=True)
for pattern in ("notebooks/*.ipynb", "figures/README.md", "figures/*/*.png", "models/README.md", "benchmarks/README.md",
                "benchmarks/*.png"):  # fmt: skip
    for path in ROOT.glob(pattern):
        copy = HERE / "_generated" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            shutil.copy2(path, copy)
        else:  # links to these pages start from another place
            copy.write_text(path.read_text(encoding="utf-8").replace("](../docs/", "](../../"), encoding="utf-8")
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
default_role = "code"  # docstrings name arguments and columns in single backticks

smartquotes = False  # "--option" must stay two hyphens

html_theme = "furo"
html_title = f"neanderthal_nlp {__version__}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
html_show_sphinx = False


def setup(app):
    """Leave the fields of named tuples to the docstrings of their classes."""

    def skip(_app, _what, _name, value, _skip, _options):
        return True if str(value.__doc__).startswith("Alias for field") else None

    app.connect("autodoc-skip-member", skip)
