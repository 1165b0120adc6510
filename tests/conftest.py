"""Shared inputs: a small genome in every form that is read, and the published data where they are installed."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pysam
import pytest
from hypothesis import HealthCheck, settings
from planted import Planted, bundle_audited, bundle_published, plant
from twobit import write_twobit

from neanderthal_nlp.bundle import Bundle
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import Genome, open_genome

# Temporary folders may be shared by the examples of a property: every example writes its own files anew.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")

LINE = 60
SLOWEST = ["test_reproduce", "test_sheet", "test_cluster", "test_determinism", "test_documentation"]
"""They begin, so that no worker still has one of them where the others have nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: SLOWEST.index(item.path.stem) if item.path.stem in SLOWEST else len(SLOWEST))


def random_letters(n: int, seed: int, alphabet: str = "ACGTacgt") -> str:
    """`n` letters drawn from an alphabet."""
    return "".join(random.Random(seed).choices(alphabet, k=n))  # noqa: S311 (not for secrets)


def write_fasta_text(letters: dict[str, str], path: Path, *, line: int = LINE) -> Path:
    """Write FASTA by hand: the writer of the package is under test."""
    records = (
        f">{name} a description\n" + "".join(text[i : i + line] + "\n" for i in range(0, len(text), line))
        for name, text in letters.items()
    )
    path.write_text("".join(records), encoding="ascii")
    return path


@pytest.fixture(scope="session")
def letters() -> dict[str, str]:
    """Letters of a small genome: soft masking, runs of N of every kind, a chromosome without letters, a single base."""
    return {
        "chr1": "N" * 50 + "NNnnnNN".join([random_letters(700, 1), random_letters(311, 2)]) + "n" + "acgNNN",
        "chr2": random_letters(25_000, 4),
        "chrEmpty": "N" * 130,
        "scaffold_1.1": "g",
    }  # fmt: skip


@pytest.fixture(scope="session")
def genome_files(letters: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small genome in each form, without an index."""
    folder = tmp_path_factory.mktemp("genome")
    plain = write_fasta_text(letters, folder / "genome.fa")
    blocked, squeezed = folder / "bgzip.fa.gz", folder / "gzip.fa.gz"
    with pysam.BGZFile(str(blocked), "wb") as handle:
        handle.write(plain.read_bytes())
    squeezed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    return {"plain": plain, "bgzip": blocked, "gzip": squeezed, "2bit": write_twobit(letters, folder / "genome.2bit")}


@pytest.fixture(params=["plain", "bgzip", "gzip", "2bit"])
def form(request: pytest.FixtureRequest) -> str:
    """Each form of a genome file."""
    return str(request.param)


@pytest.fixture
def genome(form: str, genome_files: dict[str, Path], tmp_path: Path) -> Iterator[Genome]:
    """The small genome, opened in each form."""
    with open_genome(genome_files[form], cache=tmp_path / "cache") as opened:
        yield opened


@pytest.fixture
def fasta_genome(genome_files: dict[str, Path], tmp_path: Path) -> Iterator[Genome]:
    """The small genome, opened as plain FASTA."""
    with open_genome(genome_files["plain"], cache=tmp_path / "cache") as opened:
        yield opened


@pytest.fixture(scope="session")
def reference(genome_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small genome for samtools, which puts its index beside it."""
    return Path(shutil.copy(genome_files["plain"], tmp_path_factory.mktemp("reference")))


@pytest.fixture(scope="session")
def faidx(reference: Path) -> Callable[[str], str]:
    """Letters of a region given as text, by samtools faidx (the one inside pysam)."""

    output = reference.with_name("faidx.txt")

    def fetch(region: str) -> str:
        pysam.faidx("-o", str(output), str(reference), region)
        return "".join(output.read_text(encoding="ascii").splitlines()[1:])

    return fetch


@pytest.fixture(scope="session")
def refused() -> Callable[..., AbstractContextManager[None]]:
    """Expect an InputError of one line that names each of the parts."""

    @contextmanager
    def check(*parts: object) -> Iterator[None]:
        with pytest.raises(InputError) as caught:
            yield
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        for part in parts:
            assert str(part) in message

    return check


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of an installed program; skip where there is none."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with the article's published files (below `article`), which are never part of the package."""
    folder = Path(os.environ.get("NEANDERTHAL_NLP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no published data at {folder} (NEANDERTHAL_NLP_DATA names their folder)")
    return folder


@pytest.fixture(scope="session")
def article(data: Path) -> Path:
    """Folder of the article's published files."""
    folder = data / "article"
    if not folder.is_dir():
        pytest.skip(f"the article's files are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def published(data: Path) -> Callable[[str], Path]:
    """Path of one of the article's files; skip where it is absent."""

    def find(name: str) -> Path:
        path = data / "article" / name
        if not path.exists():
            pytest.skip(f"no {path}")
        return path

    return find


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A genome whose introgressed windows have fewer G and C."""
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def audited(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An audited bundle."""
    return bundle_audited(planted, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def as_published(planted: Planted) -> Bundle:
    """A bundle of the article's forest."""
    return bundle_published(planted)


@pytest.fixture(params=["audited", "as_published"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Each kind of bundle."""
    return request.getfixturevalue(request.param)
