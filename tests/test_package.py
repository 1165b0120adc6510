"""The package as it is handed on: what the distributions hold, a wheel at work outside the checkout, cheap imports.

`make package` installs the wheel with all it depends on (`long_package.py`).
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CACHES = {".pyc", ".nbc", ".nbi"}
NEEDS_TENSORFLOW = {f"neanderthal_nlp.{name}" for name in
                    ("training", "network", "recurrent", "convolutional", "attribution", "devices")}  # fmt: skip


def run(*command):
    """What a command prints, run outside the checkout."""
    result = subprocess.run([*map(str, command)], cwd="/", capture_output=True, text=True, timeout=1800, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def python(code):
    return run(sys.executable, "-c", code)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Source distribution, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


@pytest.fixture(scope="module")
def programs(distributions, tmp_path_factory):
    """Programs of an environment that holds the wheel, and sees what it depends on but not the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    libraries = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    # Only the folder that the line names is searched; the links to checkouts that lie in it are not followed.
    Path(libraries, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin/python", "install",
        "--quiet", "--no-deps", "--no-index", "--ignore-installed", distributions[1])  # fmt: skip
    return folder / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(distributions):
    names = set(zipfile.ZipFile(distributions[1]).namelist())
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "neanderthal_nlp").rglob("*")
               if path.is_file() and path.suffix not in CACHES}  # fmt: skip
    assert {name for name in names if ".dist-info/" not in name} == package
    for name in ("py.typed", "templates/report.html", "workflow/Snakefile", "workflow/profiles/demo.yaml",
                 "workflow/resources.yaml", "workflow/clusters/slurm/config.yaml"):  # fmt: skip
        assert f"neanderthal_nlp/{name}" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_source_distribution_holds_the_repository(distributions, tool):
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    listed = run(tool("git"), "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    expected = {name for name in listed if name and (ROOT / name).exists()}
    with tarfile.open(distributions[0]) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in files if name == "PKG-INFO" or name.startswith("neanderthal_nlp.egg-info/")}
    assert files - made == expected
    assert distributions[0].stat().st_size < 20_000_000


def test_the_wheel_works_outside_the_checkout(programs, tmp_path):
    place = run(programs / "python", "-c", "import neanderthal_nlp; print(neanderthal_nlp.__file__)")
    assert Path(place).is_relative_to(programs.parent)
    assert "reproduce" in run(programs / "neanderthal-nlp", "--help")
    shown = run(programs / "python", "-m", "neanderthal_nlp.reproduce", "--dry-run", "--directory", tmp_path / "run")
    assert "regions" in shown
    for stage in ("regions", "windows"):
        assert "--directory" in run(programs / "neanderthal-nlp", stage, "--help")


def test_only_the_network_loads_tensorflow():
    found = python(
        "import importlib, pkgutil, sys, neanderthal_nlp as package\n"
        "names = [m.name for m in pkgutil.walk_packages(package.__path__, 'neanderthal_nlp.')]\n"
        f"names = [name for name in names if name not in {NEEDS_TENSORFLOW} and not name.endswith('__main__')]\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "print(len(names), {'tensorflow', 'keras'} & set(sys.modules))\n"
    )
    number, _, loaded = found.partition(" ")
    assert int(number) > 30
    assert loaded == "set()\n"


def test_help_loads_no_machine_learning():
    found = python(
        "import sys, typer.testing\n"
        "from neanderthal_nlp.cli import app\n"
        "from typer.main import get_command\n"
        "def walk(command, path):\n"
        "    result = typer.testing.CliRunner().invoke(app, [*path, '--help'])\n"
        "    assert result.exit_code == 0, path\n"
        "    return 1 + sum(walk(c, [*path, name]) for name, c in getattr(command, 'commands', {}).items())\n"
        "print(walk(get_command(app), []), {'tensorflow', 'keras', 'sklearn', 'gensim', 'umap'} & set(sys.modules))\n"
    )
    number, _, loaded = found.partition(" ")
    assert int(number) > 15
    assert loaded == "set()\n"


@pytest.mark.parametrize("name", ["neanderthal_nlp", "neanderthal_nlp.cli"])
def test_imports_take_less_than_a_second(name):
    code = f"import time; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)"
    # The best of several: another program may be using the processor.
    assert min(float(python(code)) for _ in range(5)) < 1
