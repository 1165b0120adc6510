"""Tables do not depend on the number of cores: the stages that compute on threads, on one core and on all.

Each child has another affinity, which is by what TensorFlow sizes its pool of threads, and other limits of OpenMP and
BLAS, as Snakemake sets them for `--cores`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from neanderthal_nlp.demo import write_demo
from neanderthal_nlp.persistence import load_model

RUN = "from neanderthal_nlp.cli import app\n"
ONE_CORE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
TABLES = {
    "history.tsv",
    "importances.tsv",
    "predictions/network.tsv",
    "predictions/forest.tsv",
    "predictions/linear.tsv",
    "genes.tsv",
    "embeddings.tsv",
    "audit/sweep.tsv",
    "audit/sequences/cnn.tsv",
    "audit/sequences/cnn_history.tsv",
}


def call(commands, *, threads, folder):
    """Call stages one after the other in a child process."""
    code = RUN + "".join(f"app({command.split()!r}, standalone_mode=False)\n" for command in commands)
    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")}
    result = subprocess.run([sys.executable, "-c", (ONE_CORE if threads == 1 else "") + code], cwd=folder,
                            env=os.environ | limits | {"TF_CPP_MIN_LOG_LEVEL": "2"}, capture_output=True, text=True,
                            timeout=600, check=False)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run on one core and on two, and what its stages said."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("a process cannot be bound to a core on this system")
    start = tmp_path_factory.mktemp("determinism")
    demo = write_demo(
        start / "demo", chromsizes=dict.fromkeys(("chr1", "chr2", "chr3"), 700_000), n_regions=50, n_genes=30, seed=3
    )
    genome, introgressed, genes = (next(path for path in demo.values() if path.name.startswith(name))
                                   for name in ("genome", "introgressed", "refGene"))  # fmt: skip
    run = f"--genome {genome} --directory . --cache {start / 'cache'}"
    call([f"regions {run} --introgressed {introgressed}", f"windows {run}", f"kmers {run}", "split --directory .",
          "split --directory . --protocol chromosome --output results/apart.tsv",
          f"audit letters --windows results/windows.tsv --genome {genome} --cache {start / 'cache'}"],
         threads=2, folder=start)  # fmt: skip
    said = {}
    for threads in (1, 2):
        folder = tmp_path_factory.mktemp(f"on_{threads}")
        shutil.copytree(start / "results", folder / "results")
        # The CNN in a process of its own: it chooses TensorFlow's threads, which the network leaves to the machine.
        said[folder] = call(["audit sub-sequences --letters results --network cnn --random-split --cut disjoint "
                             "--epochs 2 --output results/audit/sequences/cnn.tsv"],
                            threads=threads, folder=folder)  # fmt: skip
        said[folder] += call([
            "network --directory . --epochs 2", f"forest --directory . --trees 30 --threads {threads}",
            "linear --directory .", f"genes {run} --genes {genes}",
            f"embeddings {run} --workers 1 --k 4 --max-windows 10",
            f"audit sweep --genome {genome} --cache {start / 'cache'} --windows results/windows.tsv "
            "--split-file results/apart.tsv --output results/audit/sweep.tsv --max-features 20 --max-windows 40"],
            threads=threads, folder=folder)  # fmt: skip
    return said


def test_tables_are_the_same_on_one_core_and_on_two(runs):
    one, two = ({str(path.relative_to(folder / "results")): path.read_bytes() for path in folder.rglob("*.tsv")}
                for folder in runs)  # fmt: skip
    assert set(one) >= TABLES
    assert [name for name in one if one[name] != two.get(name)] == []


def test_models_are_the_same_on_one_core_and_on_two(runs):
    one, two = runs
    weights = [zipfile.ZipFile(folder / "models/network.keras").read("model.weights.h5") for folder in runs]
    assert weights[0] == weights[1]
    coefficients = [load_model(folder / "models/logistic_regression.skops")[-1].coef_ for folder in (one, two)]
    assert (coefficients[0] == coefficients[1]).all()


def test_each_network_says_once_where_it_is_trained(runs):
    for said in runs.values():
        for stage in ("network", "audit sub-sequences"):
            assert sum(line.startswith(f"{stage}: ") and "on the CPU (" in line for line in said.splitlines()) == 1
