"""Project files that repeat one another say the same: versions, requirements, and what continuous integration runs."""

from __future__ import annotations

import configparser
import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from neanderthal_nlp.figures import FIGURES
from neanderthal_nlp.parameters import MODELS

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}
"""Requirements that conda's channels have under another name: the one without extras that are not used here."""


@pytest.fixture(scope="module")
def metadata():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text())


def normal(name):
    """Name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(text):
    """Range of versions by name."""
    pieces = [re.fullmatch(r"([\w.-]+)\s*(.*)", line.strip()) for line in text.splitlines() if line.strip()]
    return {normal(piece[1]): piece[2] for piece in pieces}


@pytest.fixture(scope="module")
def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {normal(name): version for name, version in (line.split("==") for line in lines if not line.startswith("#"))}


def test_every_requirement_has_one_tested_version(metadata, pins):
    lists = [metadata["options"]["install_requires"], *metadata["options.extras_require"].values()]
    named = requirements("\n".join(lists))
    assert set(named) <= set(pins)


def test_conda_is_asked_for_the_same_versions(metadata):
    found = requirements("\n".join(read_yaml("environment.yml")["dependencies"]))
    expected = requirements(metadata["options"]["install_requires"])
    expected = {CONDA_NAMES.get(name, name): versions for name, versions in expected.items()}
    assert found == {"python": metadata["options"]["python_requires"], "pip": "", **expected}


def test_hooks_have_the_tested_versions(pins):
    hooks = [hook for repository in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]
    assert hooks
    for hook in hooks:
        ((name, version),) = (pin.split("==") for pin in hook["additional_dependencies"])
        assert pins[normal(name)] == version
        assert hook["language"] == "python"


def test_github_runs_what_ci_runs_and_nothing_else():
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert "strategy" not in job
    for step in job["steps"]:
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    lines = re.findall(r"^make (.*)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    run = [target for line in lines for target in line.split()]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    long = {"notebooks-article", "cluster", "faults", "bench", "bench-stages", "fuzz", "linkcheck", "package"}
    assert set(run) == set(targets) - {"figures", "pictures", "format", "clean"} - long


def test_every_target_of_make_is_described():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)[1].split()
    assert set(phony) == set(re.findall(r"^([\w-]+):", text, re.MULTILINE))
    described = set(re.findall(r"^# make ([\w-]+) ", text, re.MULTILINE))
    assert set(phony) - {"lint", "types", "format", "clean"} <= described


def test_the_image_is_built_from_files_that_are_there_and_sent():
    sent = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [word for line in re.findall(r"^COPY (.*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
              for word in line.split()[:-1]]  # fmt: skip
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in sent)


def test_the_version_is_the_same_everywhere():
    from neanderthal_nlp import __version__

    assert read_yaml("CITATION.cff")["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_figure_of_the_demo_is_kept_and_small():
    kept = {path.stem: path.stat().st_size for path in (ROOT / "figures/demo").iterdir()}
    assert kept.keys() == FIGURES.keys()
    assert max(kept.values()) < 300_000
    pictures = set((ROOT / "figures").rglob("*.png"))
    text = (ROOT / "figures/README.md").read_text(encoding="utf-8")
    assert {ROOT / "figures" / name for name in re.findall(r"\]\(([^)]+\.png)\)", text)} == pictures


def test_the_kept_sidecars_are_those_of_the_demo():
    kept = {path.name: json.loads(path.read_text()) for path in (ROOT / "models/demo").glob("*.json")}
    assert set(kept) == {f"{model}.json" for model in (*MODELS, "word2vec")}
    run = ROOT / "runs/demo"
    if not (run / "report.html").exists():
        pytest.skip("no finished run in runs/demo")
    for name, sidecar in kept.items():
        found = json.loads((run / "models" / name).read_text())
        assert (found["inputs"], found["parameters"]) == (sidecar["inputs"], sidecar["parameters"]), name
