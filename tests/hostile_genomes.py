"""Readers of genomes, sequences and variants, and files to mutate for them; see `hostile`.

Each reader also says what is right: letters that were read are those that an obvious loop finds in the same bytes.
"""

from __future__ import annotations

import gzip
import io
import random
import re
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pysam
from Bio import SeqIO
from conftest import random_letters
from hostile import Reader, mutate
from twobit import write_twobit

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.genome import Genome, open_genome
from neanderthal_nlp.haplotypes import HaplotypeGenome
from neanderthal_nlp.kmers import count_kmers
from neanderthal_nlp.predict import cut_records, read_records

_LETTERS = {
    "chr1": random_letters(307, 1) + "NNNnnN" + random_letters(120, 2, "ACGTRYKM") + "NN",
    "chr2": random_letters(64, 3, "acgtn"),
    "scaffold_3.1": "g",
    "chr4": random_letters(2_000, 4),
}
_FASTA = b"".join(
    b">%s a description\n" % name.encode() + re.sub(b"(.{1,60})", rb"\1\n", text.encode())
    for name, text in _LETTERS.items()
)
_WORDS = (b">", b">chr1\n", b">x", b"N", b"n" * 50, b"U", b"-", b"*", b"L", b"ACGT\n", b"R", b"@", b";", b"\r\n")
_NUMBERS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\1\0\0\0", b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\x10\0\0\0", b"chr1")
_COLUMNS = (b"60", b"61", b"0", b"1", b"59\t60", b"18446744073709551615", b"chr1", b"chr2", b"12", b"\n", b"427")
_CALLS = (b"0|1", b"1|0", b"./1", b"2|1", b"0/1", b".", b"<DEL>", b"*", b"END=", b"GT", b"PASS", b"chr1", b"chr2",
          b"A,C", b"##contig=<ID=", b"N[chr1:3[", b"1|2|3", b"\t.\t", b"SVLEN=-9", b"FORMAT")  # fmt: skip


def blocked(raw: bytes, size: int = 400) -> bytes:
    """Bytes compressed by blocks, as bgzip does, but smaller ones."""
    return b"".join(_block(raw[start : start + size]) for start in range(0, len(raw), size)) + _block(b"")


def _block(raw: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(raw) + packer.flush()
    head = struct.pack("<4sI2B H 2s2H", b"\x1f\x8b\x08\x04", 0, 0, 255, 6, b"BC", 2, len(packed) + 25)
    return head + packed + struct.pack("<2I", zlib.crc32(raw), len(raw))


def fold(data: bytes, rng: random.Random, words: tuple[bytes, ...]) -> bytes:
    """Mutate what a gzip file holds, or its bytes."""
    if not data.startswith(b"\x1f\x8b") or rng.random() < 0.4:
        return mutate(data, rng, words)
    changed = mutate(gzip.decompress(data), rng, words)
    return blocked(changed, rng.choice((40, 400, 60_000))) if data[3] else gzip.compress(changed, mtime=0)


# Genomes ------------------------------------------------------------------------------------------------------


def _genomes() -> Mapping[str, bytes]:
    return {
        "x.fa": _FASTA,
        "crlf.fa": _FASTA.replace(b"\n", b"\r\n"),
        "one.fa": b">chr1\n" + _LETTERS["chr4"].encode(),
        "bgzip.fa.gz": blocked(_FASTA),
        "gzip.fa.gz": gzip.compress(_FASTA, mtime=0),
    }


@cache
def _twobits() -> Mapping[str, bytes]:
    letters = {name: re.sub("[^ACGTNacgtn]", "A", text) for name, text in _LETTERS.items()}
    with tempfile.TemporaryDirectory() as folder:
        return {
            f"{name}.2bit": write_twobit(letters, Path(folder) / name, order=order).read_bytes()
            for name, order in (("little", "<"), ("big", ">"))
        }


def parse(raw: bytes) -> dict[str, str]:
    """Records of FASTA that have letters, by a loop over its lines."""
    records: list[tuple[str, list[str]]] = []
    for line in raw.split(b"\n"):
        if line.startswith(b">"):
            records.append((b" ".join(line[1:].split()[:1]).decode(errors="replace"), []))
        else:
            records[-1][1].append(re.sub(rb"[^!-~]+$", b"", line).decode(errors="replace"))
    found = [(name, "".join(lines)) for name, lines in records if any(lines)]
    assert len(dict(found)) == len(found)
    return dict(found)


def use(genome: Genome) -> dict[str, str]:
    """Read all of a genome, whole and in pieces, and count its words."""
    found = {}
    for chrom, size in genome.chromsizes.items():
        letters = genome.fetch(chrom, 0, size)
        assert len(letters) == size
        for start in {0, size // 2, max(size - 70, 0)}:
            assert genome.fetch(chrom, start, min(start + 70, size)) == letters[start : start + 70]
        runs = [list(match.span()) for match in re.finditer("[Nn]+", letters)]
        assert genome.gaps(chrom)[["start", "end"]].to_numpy().tolist() == runs
        count_kmers([letters], 3)
        found[chrom] = letters
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path("cache")
    try:
        yield folder
    finally:
        assert not list(folder.rglob("*.part"))
        shutil.rmtree(folder, ignore_errors=True)


def _read_genome(path: Path) -> None:
    with _folder() as folder, open_genome(path, cache=folder) as genome:
        found = use(genome)
        raw = path.read_bytes()
        if not path.name.endswith(".2bit"):
            assert found == parse(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)


# Indexes: what stands beside a genome or in the cache is made anew where it is not the genome's ------------------


@cache
def _indexes() -> Mapping[str, bytes]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.fa", "bgzip.fa.gz"):
            path = Path(folder) / name
            path.write_bytes(_genomes()[name])
            pysam.faidx(str(path))
            for index in Path(folder).glob(f"{name}.*"):
                found |= {f"{place}_{index.name}": index.read_bytes() for place in ("beside", "cached")}
    return found


def _read_index(path: Path) -> None:
    place, _, name = path.name.split("_", 1)[1].partition("_")
    fasta = path.with_name(name.removesuffix(path.suffix))
    beside = [Path(f"{fasta}{suffix}") for suffix in (".fai", ".gzi")]
    fasta.write_bytes(_genomes()[fasta.name])
    try:
        with _folder() as folder:
            if place == "beside":
                for index in beside:
                    if index.name in {key.partition("_")[2] for key in _indexes()}:
                        index.write_bytes(path.read_bytes() if index.suffix == path.suffix
                                          else _indexes()[f"beside_{index.name}"])  # fmt: skip
            else:
                open_genome(fasta, cache=folder).close()
                (kept,) = folder.rglob(f"genome{path.suffix}")
                kept.write_bytes(path.read_bytes())
            with open_genome(fasta, cache=folder) as genome:
                assert list(genome.chromsizes) == list(_LETTERS)
                assert use(genome) == _LETTERS
    finally:
        for file in (fasta, *beside):
            file.unlink(missing_ok=True)


# Records ------------------------------------------------------------------------------------------------------


def _read_records(path: Path) -> None:
    found = list(read_records(path))
    stretches = list(cut_records(found, 100, min_length=30, source=path))
    count_kmers((stretch.sequence for stretch in stretches), 3)
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
    records = [(record.description, str(record.seq)) for record in SeqIO.parse(lines, "fasta")]
    # What is blank at the end of a line is no letter; elsewhere `cut_records` refuses it.
    assert [letters for _, letters in found] == ["".join(letters.split()) for _, letters in records]
    assert all(name in title.split()[:1] or f"range={name}" in title for (name, _), (title, _) in
               zip(found, records, strict=True))  # fmt: skip


# Variants -----------------------------------------------------------------------------------------------------


def _vcf() -> bytes:
    rng = random.Random(5)  # noqa: S311 (not for secrets)
    lines = ["##fileformat=VCFv4.2", '##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
             '##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">',
             '##ALT=<ID=DEL,Description="Deletion">', '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             *(f"##contig=<ID={chrom},length={len(text)}>" for chrom, text in _LETTERS.items()),
             "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone"]  # fmt: skip
    for chrom in ("chr1", "chr4"):
        for start in range(10, 290, 20):
            ref = _LETTERS[chrom][start : start + rng.choice((1, 1, 3))]
            alt = rng.choice(("A", "CG", "T,C", "<DEL>", "*", "<*>", ref[0] + "TTT", "G"))
            info = f"END={start + 9}" if alt in ("<DEL>", "<*>") else "."
            genotype = rng.choice(("0|1", "1|0", "1|1", "1", "./.", ".|1"))
            lines.append(f"{chrom}\t{start + 1}\t.\t{ref}\t{alt}\t.\tPASS\t{info}\tGT\t{genotype}")
    return ("\n".join(lines) + "\n").encode()


@cache
def _variants() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder) / "x.vcf", Path(folder) / "x.bcf"
        text.write_bytes(_vcf())
        with pysam.VariantFile(str(text)) as source, pysam.VariantFile(str(binary), "wb", header=source.header) as file:
            for record in source:
                file.write(record)
        return {"x.vcf.gz": blocked(_vcf()), "x.bcf": blocked(gzip.decompress(binary.read_bytes()))}


@cache
def _variant_indexes() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in _variants().items():
            path = Path(folder) / name
            path.write_bytes(data)
            _index(path)
        return {path.name: path.read_bytes() for path in Path(folder).glob("x.*.??i")}


def _index(path: Path) -> None:
    pysam.tabix_index(str(path), preset="bcf" if path.name.endswith("bcf") else "vcf", force=True)


@cache
def _reference() -> Genome:
    folder = Path(tempfile.mkdtemp(dir="."))
    (folder / "x.fa").write_bytes(_FASTA)
    return open_genome(folder / "x.fa", cache=folder)


def _spell(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for copy in (1, 2):
        with HaplotypeGenome(_reference(), path, copy=copy, allow_unphased=True) as haplotype:
            for chrom in haplotype.chromosomes():
                whole = haplotype.haplotype(chrom, 0, haplotype.chromsizes[chrom])
                assert whole.sequence.isalpha()
                haplotype.ploidies(chrom, 0, 50)
                haplotype.fetch(chrom, 30, 60)
                found.setdefault(chrom, []).append(whole.sequence)
    return found


def _read_variants(path: Path) -> None:
    suffix = ".csi" if path.name.endswith("bcf") else ".tbi"
    index = Path(f"{path}{suffix}")
    index.write_bytes(_variant_indexes()[f"{path.name.split('_', 1)[1]}{suffix}"])
    before = pysam.set_verbosity(0)
    with suppress(Exception):
        _index(path)  # of what was mutated; where that is not possible, the index of what it was stays
    pysam.set_verbosity(before)
    try:
        _spell(path)
    finally:
        index.unlink(missing_ok=True)


@cache
def _right(name: str) -> dict[str, list[str]]:
    path = Path(f"right_{name}")
    path.write_bytes(_variants()[name])
    _index(path)
    return _spell(path)


def _read_variant_index(path: Path) -> None:
    variants = path.with_suffix("")
    name = variants.name.split("_", 1)[1]
    variants.write_bytes(_variants()[name])
    intact = _variant_indexes()[f"{name}{path.suffix}"]
    try:
        found = _spell(variants)
        # An index with new checksums may leave records out; those of a damaged one tell.
        assert found == _right(name) or gzip.decompress(path.read_bytes()) != gzip.decompress(intact)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    finally:
        variants.unlink()


def _fold(words: tuple[bytes, ...]) -> dict[str, object]:
    return {"words": words, "mutate": lambda data, rng: fold(data, rng, words), "silent": True}


READERS: dict[str, Reader] = {
    "fasta": Reader(_genomes, _read_genome, **_fold(_WORDS)),  # type: ignore[arg-type]
    "twobit": Reader(_twobits, _read_genome, _NUMBERS, silent=True),
    "fasta_index": Reader(_indexes, _read_index, _COLUMNS + _NUMBERS, silent=True, refuses=False),
    "records": Reader(
        lambda: {"x.fa": _FASTA, "x.fa.gz": gzip.compress(_FASTA, mtime=0)},
        _read_records,
        **_fold(_WORDS),  # type: ignore[arg-type]
    ),
    "variants": Reader(_variants, _read_variants, **_fold(_CALLS)),  # type: ignore[arg-type]
    "variants_index": Reader(_variant_indexes, _read_variant_index, _NUMBERS, silent=True),
}
