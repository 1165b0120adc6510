"""How likely a stretch of DNA is of Neanderthal ancestry, and by which of its words: the article's own question.

Records of FASTA are cut into windows of the length that the model was trained on; each gets a probability, an interval
and the words that speak for and against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from Bio.SeqIO.FastaIO import SimpleFastaParser

from neanderthal_nlp.alphabet import AMBIGUOUS, check_alphabet, check_kind
from neanderthal_nlp.bundle import Bundle, features, score_counts, score_margins
from neanderthal_nlp.calibration import calibrate
from neanderthal_nlp.errors import InputError
from neanderthal_nlp.files import open_text
from neanderthal_nlp.genome import Genome
from neanderthal_nlp.intervals import PLACE, OverlapCounter, home_chromosome, match_naming
from neanderthal_nlp.kmers import LETTERS, count_kmers

INTROGRESSED, DEPLETED = "introgressed", "depleted"
TOO_SHORT, TOO_MANY_N, UNLIKE = "too short to say", "too many N to say", "unlike anything seen"
TRAINED_ON, SAME_CHROMOSOME, HELD_OUT, UNKNOWN = "trained on", "same chromosome", "held out", "unknown"
TREES = ("forest", "boosted_trees")
"""Kinds of model whose score is no sum over the letters of a stretch."""
N_WORDS = 3
"""Words that are named for each side."""
_INDELS = 1_000  # nt by which a copy may be longer or shorter than the place that it is named after
_LAST = 2**31 - 1  # of a place: as far as BAM and BED count
_BATCH = 1024
_LONGEST_NAME = 1_000  # letters: each row of a table repeats the name
_PIECE = 1 << 20  # characters of a line that are read at once
_LINE_BYTES = 57  # of memory that a line takes beside its letters
_CHIP = "the table of a chip has too few letters"
_HINTS = {
    "@": "FASTQ holds reads: assemble or convert them first",
    "##FILEFORMAT=VCF": "this is a VCF: `neanderthal-nlp haplotypes` writes the letters of both copies",
    "LOCUS": "this looks like GenBank: save it as FASTA",
    "# RSID": _CHIP,
    "# THIS DATA FILE": _CHIP,
}
"""What a file is that begins so, in capitals."""


class Stretch(NamedTuple):
    """A piece of DNA to be scored, not longer than the model's window.

    Attributes
    ----------
    record : str
        Name of the record that it was cut from.
    start : int
        Where it starts in the record, 0-based.
    sequence : str
    chrom : str
        Its chromosome; "" where its place on the genome is not known.
    position : int
        Where it starts on the chromosome, 0-based; -1 where that is not known.
    """

    record: str
    start: int
    sequence: str
    chrom: str = ""
    position: int = -1


class Contributions(NamedTuple):
    """What the words of stretches add to their scores.

    Attributes
    ----------
    base : ndarray of float64, shape (n,)
        Score of an average window.
    by_word : ndarray of float64, shape (n, n_words)
        In the order of `Bundle.words`; base + sum of a row is the score.
    """

    base: np.ndarray
    by_word: np.ndarray


def read_records(source: str | Path | IO[bytes], *, most: int = 1 << 30) -> Iterator[tuple[str, str]]:
    """Names and letters of the records of a FASTA file, plain or gzip, or of a stream such as standard input.

    A name ends at the first blank. UCSC's `>hg19_dna range=chr1:87605-97604` is named by its place.

    Parameters
    ----------
    source : path-like or stream of bytes
    most : int
        Bytes of memory that the lines of a record may take; the longest human chromosome takes half of the default.
        `genome.open_genome` reads pieces of chromosomes of any length.

    Raises
    ------
    InputError
        The file is missing, empty, damaged or not FASTA; or a record has no letters or too many, or no name or one that
        is longer than 1,000 letters or holds what is not printable.
    """
    name = source if isinstance(source, (str, Path)) else "standard input"
    with open_text(source) as lines:
        first = lines.readline(_PIECE)
        if not first:
            raise InputError(f"{name}: empty, expected FASTA")
        if not first.startswith(">"):
            raise InputError(
                f"{name}: not FASTA (found {first[:20]!r}, expected a line that starts with '>'){_hint(first)}"
            )
        for number, (title, sequence) in enumerate(SimpleFastaParser(_bounded(first, lines, name, most)), start=1):
            words = title.split(maxsplit=2)
            shown = title[:40] if title[:40].isprintable() else repr(title[:40])
            if not words or not sequence:
                what = "name" if not words else "letters"
                raise InputError(f"{name}: record {number} ({shown}): found no {what}")
            # UCSC's "Get DNA" writes the assembly first, the place behind it.
            place = words[1].removeprefix("range=") if len(words) > 1 and words[1].startswith("range=") else words[0]
            if len(place) > _LONGEST_NAME or not place.isprintable():
                raise InputError(f"{name}: record {number} ({shown}): found a name of {len(place):,} letters, "
                                 f"expected {_LONGEST_NAME:,} at most, all printable")  # fmt: skip
            yield place, sequence


def _bounded(first: str, lines: IO[str], source: str | Path, most: int) -> Iterator[str]:
    """Lines of FASTA, the first of which was read: long ones in pieces, none that are blank, no more than `most`."""
    number, held, inside = 0, 0, False
    piece = first
    while piece:
        ends = piece.endswith("\n")
        if piece.startswith(">"):
            number, held = number + (not inside), 0
            if inside or len(piece) == _PIECE:
                found = "'>' among the letters" if inside else f"a name of more than {_PIECE - 2:,} letters"
                raise InputError(f"{source}: record {number}: found {found}")
        held += len(piece) + _LINE_BYTES
        if held > most:
            raise InputError(f"{source}: record {number}: found more than {most >> 20:,} MiB, the most that is read at "
                             "once: score regions of it (--genome and --regions), or scan it")  # fmt: skip
        if not piece.isspace():
            yield piece
        inside = not ends
        piece = lines.readline(_PIECE)


def _hint(line: str) -> str:
    """What a file that is no FASTA may be, by its first line."""
    letters = line.strip().upper()
    if letters and set(letters) <= set(LETTERS + AMBIGUOUS):
        return ": bare letters need a line such as >mine before them"
    return next((f": {hint}" for start, hint in _HINTS.items() if letters.startswith(start)), "")


def cut_records(
    records: Iterable[tuple[str, str]], length: int, *, min_length: int, placed: bool = True, source: str | Path = ""
) -> Iterator[Stretch]:
    """Cut records into stretches of a length; what remains at the end goes with the last one where it is short.

    Parameters
    ----------
    records : iterable of (str, str)
        Names and letters.
    length : int
        Of a stretch, nt. The last one of a record is at least `min_length`: it starts earlier where need be.
    min_length : int
    placed : bool
        Whether a name like chr1:10001-20000 (1-based, the end included, as samtools writes it) tells the place on the
        genome. It does so only where the record has as many letters, or, as a person's copy with insertions and
        deletions, nearly as many: then places are right to within the difference, at most 1 % and 1,000 nt.
    source : path-like
        Where the records come from, for errors.

    Raises
    ------
    InputError
        A letter is not DNA's; see `check_alphabet`.
    """
    prefix = f"{source}: " if str(source) else ""
    for name, sequence in records:
        found = PLACE.fullmatch(name) if placed else None
        chrom, origin = "", 0
        if found is not None:
            first, last = (int(found[group].replace(",", "")) for group in ("start", "end"))
            span = last - first + 1
            if 1 <= first <= last <= _LAST and abs(span - len(sequence)) <= min(span // 100, _INDELS):
                chrom, origin = found["chrom"], first - 1
        for start in range(0, len(sequence), length):
            here = start
            if start and len(sequence) - start < min_length:
                here = max(len(sequence) - length, 0)
            piece = sequence[here : here + length]
            check_alphabet(piece, source=f"{prefix}{name:.60}", first=here + 1)
            yield Stretch(name, here, piece, chrom, origin + here if chrom else -1)


def cut_regions(regions: pd.DataFrame, genome: Genome, length: int, *, min_length: int) -> Iterator[Stretch]:
    """Cut regions of a genome (`chrom, start, end`, 0-based half-open) into stretches; see `cut_records`."""
    for chrom, start, end in zip(regions["chrom"], regions["start"].tolist(), regions["end"].tolist(), strict=True):
        record = f"{chrom}:{start + 1}-{end}"
        yield from cut_records([(record, genome.fetch(chrom, start, end))], length, min_length=min_length)


def slide(regions: pd.DataFrame, genome: Genome, length: int, *, step: int, piece: int = 1 << 22) -> Iterator[Stretch]:
    """Windows of a length over regions of a genome, one every `step` nt, in order.

    Parameters
    ----------
    regions : DataFrame
        `chrom, start, end`, 0-based half-open.
    genome : Genome
    length : int
        Of a window, nt. A region that is shorter is one window; otherwise all windows lie wholly inside.
    step : int
        Nucleotides from the start of a window to that of the next.
    piece : int
        Nucleotides that are read at once.

    Raises
    ------
    InputError
        The letters look like RNA or protein.
    """
    for chrom, start, end in zip(regions["chrom"], regions["start"].tolist(), regions["end"].tolist(), strict=True):
        first, letters = start, ""
        for here in range(start, max(end - length, start) + 1, step):
            last = min(here + length, end)
            if last > first + len(letters):
                first, letters = here, genome.fetch(chrom, here, min(max(here + piece, last), end))
                check_kind(letters, source=f"{genome.path}: {chrom:.60}")
            yield Stretch(chrom, here, letters[here - first : last - first], chrom, here)


def predict(
    stretches: Iterable[Stretch], bundle: Bundle, *, n_words: int = N_WORDS, prior: float = 0.5
) -> Iterator[pd.DataFrame]:
    """Score stretches, a thousand at a time.

    Parameters
    ----------
    stretches : iterable of Stretch
    bundle : Bundle
    n_words : int
        Words to name for each side. For a forest each stretch takes seconds (tree SHAP); 0 leaves them out.
    prior : float
        Share of introgressed stretches among those that are asked about; see `calibration.calibrate`.

    Yields
    ------
    DataFrame
        `record`, `start`, `end` (0-based half-open, in the record), `chrom`, `chrom_start`, `chrom_end` ("" and -1
        where the place is not known), `gc` (share among the called letters), `score`, `probability`, `low`, `high`
        (NaN where the stretch is too short or its score beyond all that were calibrated; the interval also where the
        model has none), `call` ("introgressed", "depleted", "too short to say", "too many N to say" where it would be
        long enough, "unlike anything seen"), `seen` (against the windows that the model was trained on: "trained on"
        where it overlaps one, "same chromosome", "held out"; "unknown" where the place is not known or not on a
        chromosome of the model's windows) and, where words are to be named, `speak_for` and `speak_against` (lists of
        (word, contribution), the largest first).

    Raises
    ------
    InputError
        The prior is no share, or another than a half for a model that is not calibrated.
    """
    check_prior(bundle, prior)
    seen = _Seen(bundle)
    words = np.array(bundle.words())
    remaining = iter(stretches)
    while batch := list(islice(remaining, _BATCH)):
        yield _predict_batch(batch, bundle, seen, words, n_words, prior)


def check_prior(bundle: Bundle, prior: float) -> None:
    """Refuse a prior that is no share, or another than a half for a model that is not calibrated; an `InputError`."""
    if not 0 < prior < 1 or (bundle.calibration is None and prior != 0.5):
        expected = "0.5: this model is not calibrated" if bundle.calibration is None else "a share between 0 and 1"
        raise InputError(f"prior: found {prior:g}, expected {expected}")


def _predict_batch(
    batch: list[Stretch], bundle: Bundle, seen: _Seen, words: np.ndarray, n_words: int, prior: float
) -> pd.DataFrame:
    counts = count_kmers((stretch.sequence for stretch in batch), bundle.k)
    lengths = np.array([len(stretch.sequence) for stretch in batch])
    positions = np.array([stretch.position for stretch in batch])
    starts = np.array([stretch.start for stretch in batch])
    n_counted = counts.sum(axis=1) + bundle.k - 1  # nt, as far as they are called
    told = n_counted >= bundle.min_length
    score = score_counts(bundle, counts)
    if bundle.calibration is None:
        probability, low, high = score, np.full(len(score), np.nan), np.full(len(score), np.nan)
    else:
        probability, low, high = calibrate(bundle.calibration, score, np.maximum(n_counted, 1), prior=prior,
                                           margins=score_margins(bundle, counts))  # fmt: skip
    frame = pd.DataFrame(
        {
            "record": [stretch.record for stretch in batch],
            "start": starts,
            "end": starts + lengths,
            "chrom": [stretch.chrom for stretch in batch],
            "chrom_start": positions,
            "chrom_end": np.where(positions < 0, -1, positions + lengths),
            "gc": [_gc(stretch.sequence) for stretch in batch],
            **{name: np.where(told, values, np.nan) for name, values in
               {"score": score, "probability": probability, "low": low, "high": high}.items()},
            "call": np.select(
                [lengths < bundle.min_length, ~told, np.isnan(probability), probability > bundle.threshold],
                [TOO_SHORT, TOO_MANY_N, UNLIKE, INTROGRESSED], DEPLETED),
        }
    )  # fmt: skip
    frame["seen"] = seen.tell(frame)
    if n_words:
        largest = largest_words(contributions(bundle, counts).by_word, words, n_words)
        frame["speak_for"], frame["speak_against"] = zip(*[
            sides if said else ([], []) for sides, said in zip(largest, told, strict=True)
        ], strict=True)  # fmt: skip
    return frame


def _gc(sequence: str) -> float:
    letters = sequence.upper()
    strong, weak = (sum(letters.count(letter) for letter in pair) for pair in ("GC", "AT"))
    return strong / (strong + weak) if strong + weak else np.nan


class _Seen:
    """What a model was trained on, asked about places."""

    def __init__(self, bundle: Bundle) -> None:
        trained = bundle.windows[bundle.windows["side"] == "train"]
        self._counter = OverlapCounter(trained)
        self._trained, self._all = (set(home_chromosome(rows["chrom"])) for rows in (trained, bundle.windows))
        self._names = dict.fromkeys([*bundle.windows["chrom"], *self._all], 0)

    def tell(self, frame: pd.DataFrame) -> np.ndarray:
        chrom = match_naming(frame[["chrom"]], self._names)["chrom"]
        codes = self._counter.codes(chrom)
        overlaps = self._counter.count(codes, frame["chrom_start"].to_numpy(), frame["chrom_end"].to_numpy()) > 0
        home = home_chromosome(chrom)
        known, same = (home.isin(chroms).to_numpy() for chroms in (self._all, self._trained))
        return np.select([~known, overlaps, same], [UNKNOWN, TRAINED_ON, SAME_CHROMOSOME], HELD_OUT)


def contributions(bundle: Bundle, counts: np.ndarray) -> Contributions:
    """Take scores apart into what each word adds.

    Linear models: weight times distance from the mean of the training windows (naive Bayes: log-odds of the word times
    its count). Forests and boosted trees: Shapley values of the share of votes, or of the log-odds, along the paths of
    the trees (Lundberg et al., Nature Machine Intelligence 2, 2020).

    Parameters
    ----------
    bundle : Bundle
    counts : ndarray of a number type, shape (n, 4**k)

    Returns
    -------
    Contributions
        They add up to `bundle.score_counts`.
    """
    X = features(bundle, counts)
    model: Any = bundle.model
    if bundle.model_name in TREES:
        return _tree_contributions(model, X)
    if bundle.model_name == "naive_bayes":
        odds = model.feature_log_prob_[1] - model.feature_log_prob_[0]
        prior = model.class_log_prior_[1] - model.class_log_prior_[0]
        return Contributions(np.full(len(X), prior), X * odds)
    scaler, classifier = model[0], model[-1]
    values = scaler.transform(np.asarray(X, dtype=np.float64)) * classifier.coef_[0]
    return Contributions(np.full(len(X), classifier.intercept_[0]), values)


def _tree_contributions(trees: Any, X: np.ndarray) -> Contributions:
    import shap

    explainer = shap.TreeExplainer(trees, feature_perturbation="tree_path_dependent")
    values = explainer.shap_values(np.asarray(X, dtype=np.float64), check_additivity=False)
    base = np.ravel(explainer.expected_value)[-1]
    return Contributions(
        np.full(len(X), base), values[..., 1] if values.ndim == 3 else values
    )  # a forest's: a class each


def largest_words(
    values: np.ndarray, words: np.ndarray, n: int
) -> list[tuple[list[tuple[str, float]], list[tuple[str, float]]]]:
    """The words that add most and those that take away most, of each row.

    Parameters
    ----------
    values : ndarray of float64, shape (n_rows, n_words)
        Of `contributions`.
    words : ndarray of str, shape (n_words,)
    n : int
        Words to name for each side, at least 1.

    Returns
    -------
    list of (list, list)
        For and against, of (word, contribution), the largest first; none that add nothing.
    """
    n = min(n, values.shape[1])
    sides = []
    for signed in (values, -values):
        columns = np.argpartition(-signed, n - 1, axis=1)[:, :n]
        found = np.take_along_axis(signed, columns, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        columns, found = (np.take_along_axis(part, order, axis=1) for part in (columns, found))
        sign = 1 if signed is values else -1
        sides.append([
            [(str(word), float(sign * value)) for word, value in zip(words[row], row_values, strict=True) if value > 0]
            for row, row_values in zip(columns, found, strict=True)
        ])  # fmt: skip
    return list(zip(*sides, strict=True))
