"""The wheel in `dist`, installed from scratch with all it depends on, in each way that the documentation names.

`make package` builds it and runs this; a few minutes and a network are needed.
"""

from __future__ import annotations

import shutil
import venv

import pytest
from test_package import ROOT, run


@pytest.fixture(params=["ranges of setup.cfg", "constraints.txt"])
def programs(request, tmp_path):
    """Programs of a fresh environment with the wheel in it."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True, with_pip=True)
    pinned = ["--constraint", ROOT / "constraints.txt"] if request.param == "constraints.txt" else []
    run(folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", wheel, *pinned)
    yield folder / "bin"
    shutil.rmtree(folder)  # 3 GB


def test_a_fresh_environment_runs_the_demo(programs, tmp_path):
    run(programs / "python", "-m", "pip", "check")
    assert "reproduce" in run(programs / "neanderthal-nlp", "--help")
    run(programs / "python", "-c", "import neanderthal_nlp.network, neanderthal_nlp.embeddings, neanderthal_nlp.report")
    run(programs / "python", "-m", "neanderthal_nlp.reproduce", "--profile", "demo", "--until", "windows",
        "--directory", tmp_path / "run")  # fmt: skip
    assert len((tmp_path / "run/results/windows.tsv").read_text().splitlines()) > 1000
