"""Counts of k-mers against what the article does, and against a counter written in C++."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from neanderthal_nlp.files import write_table
from neanderthal_nlp.genome import open_genome
from neanderthal_nlp.kmers import count_kmers, vocabulary
from neanderthal_nlp.sequences import fetch_windows

K = 5
N_LETTERS = 2_000
N_SAMPLE = 200


def get_kmers(sequence, size):
    """As the article cuts a sequence."""
    return [sequence[i : i + size].upper() for i in range(len(sequence) - size + 1)]


@pytest.fixture
def texts(windows, standin):
    """Letters of whole windows, half of each class."""
    whole = windows[windows["end"] - windows["start"] == 10_000]
    chosen = whole.iloc[np.linspace(0, len(whole) - 1, N_LETTERS).astype(int)].sample(frac=1, random_state=1)
    with open_genome(standin.genome) as genome:
        return list(fetch_windows(chosen, genome))


def test_article(race, texts):
    count_kmers(texts[:1], K)  # compiles

    def article():
        sentences = [" ".join(get_kmers(text, K)) for text in texts[:N_SAMPLE]]
        return CountVectorizer(vocabulary=[word.lower() for word in vocabulary(K)]).fit_transform(sentences).toarray()

    found = race(
        "5-mer counts of 10,000-nt windows in memory",
        lambda: count_kmers(texts, K),
        article,
        work=N_LETTERS,
        reference_work=N_SAMPLE,
        at_least=200,
        note=f"the article's get_kmers and CountVectorizer, dense ({N_SAMPLE} windows; ours: {N_LETTERS:,})",
    )
    np.testing.assert_array_equal(found.ours[:N_SAMPLE], found.reference)


def test_jellyfish(race, tool, part, tmp_path):
    jellyfish = tool("jellyfish")
    with open_genome(part["plain"]) as genome:
        rows = [(chrom, start, start + 10_000) for chrom, size in genome.chromsizes.items()
                for start in range(0, size - 10_000, 10_000)]  # fmt: skip
        windows = pd.DataFrame(rows, columns=["chrom", "start", "end"])
        fasta = tmp_path / "windows.fa"
        with fasta.open("w") as file:
            for i, text in enumerate(fetch_windows(windows, genome)):
                file.write(f">{i}\n{text}\n")

    def ours():
        with open_genome(fasta, cache=tmp_path / "cache") as genome:
            spans = windows.assign(chrom=[str(i) for i in range(len(windows))], start=0, end=10_000)
            return count_kmers(fetch_windows(spans, genome), K)

    counted = tmp_path / "counts.jf"
    words = [jellyfish, "count", "-m", str(K), "-t", "2", "-s", "1M", "-o", str(counted), str(fasta)]
    ours()  # compiles, and writes the index
    found = race(
        "5-mer counts of all 10,000-nt windows of two chromosomes, read from plain FASTA; ours counts each window",
        ours,
        lambda: subprocess.run(words, check=True),
        at_least=1,
        note="jellyfish count -m 5 -t 2 -s 1M: one sum over all of the same letters",
    )
    dump = subprocess.run([jellyfish, "dump", "-c", str(counted)], check=True, capture_output=True, text=True).stdout
    totals = dict(line.split() for line in dump.splitlines())
    np.testing.assert_array_equal(found.ours.sum(axis=0), [int(totals.get(word, 0)) for word in vocabulary(K)])


@pytest.mark.parametrize("share", [1 / 16, 1 / 4, 1])
def test_memory(memory, windows, standin, tmp_path, share):
    chosen = windows.head(round(share * len(windows)))
    write_table(chosen, tmp_path / "results" / "windows.tsv")
    command = [sys.executable, "-P", "-m", "neanderthal_nlp.cli", "kmers", "--genome", standin.genome,
               "--directory", tmp_path]  # fmt: skip
    memory(f"`neanderthal-nlp kmers`, {len(chosen):,} windows", command, below=1024, note="peak memory")
    counts = np.load(tmp_path / "results" / "kmers.npy", mmap_mode="r")
    assert counts.shape == (len(chosen), 4**K)
    (tmp_path / "results" / "kmers.npy").unlink()  # 0.7 GB
