"""Tracks for genome browsers: the probabilities of windows along a genome as bedGraph, bigWig or BED.

Formats are as UCSC describes them (genome.ucsc.edu: FAQ/FAQformat.html, goldenPath/help/customTrack.html, bedgraph.html
and bigWig.html). bedGraph and bigWig have one value a place, though windows overlap: of each window they show the
stretch around its middle. BED shows windows whole.

Batches are frames as `predict.predict` yields them for windows of a genome; the writers take them as they come, and
their memory does not grow with the number of windows.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
from matplotlib.colors import LinearSegmentedColormap

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.figures import style
from neanderthal_nlp.files import replacing
from neanderthal_nlp.intervals import BED_COLUMNS, no_intervals

BED9 = list(BED_COLUMNS[:9])
NAME, DESCRIPTION = "Neanderthal", "Probability of Neanderthal ancestry"
DECIMALS = 4
"""Of a probability in a signal track."""
_MAX_NAME, _MAX_DESCRIPTION = 15, 60  # characters; UCSC, custom tracks
_SPAN_BYTES, _OTHER_BYTES = 128, 1 << 20  # of a bigWig, at most: spans take nine, or 71 where each has its own contig
# UCSC asks for at most eight colours. Seven that also differ where one kind of cone is missing, the middle one grey.
_SCALE = LinearSegmentedColormap.from_list("ancestry", [style.DEPLETED, "#BBBBBB", style.INTROGRESSED], N=7)


def colours(probability: np.ndarray) -> np.ndarray:
    """Colours of probabilities: from blue (depleted) over grey at one half to vermilion (introgressed), in seven steps.

    Parameters
    ----------
    probability : ndarray of float, shape (n,)

    Returns
    -------
    ndarray of uint8, shape (n, 3)
        Red, green and blue.

    Raises
    ------
    InputError
        A value is not between 0 and 1.
    """
    probability = np.asarray(probability, dtype=np.float64)
    strange = probability[~((probability >= 0) & (probability <= 1))]
    if len(strange):
        raise InputError(f"probability: found {strange[0]:g}, expected 0 to 1")
    return _SCALE(probability, bytes=True)[:, :3]


def bed9(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows as BED with nine columns, coloured by their probability.

    Parameters
    ----------
    frame : DataFrame
        `chrom, start, end` (0-based half-open), `name`, `probability`.

    Returns
    -------
    DataFrame
        `chrom, start, end, name, score, strand, thickStart, thickEnd, itemRgb`, in the order of the frame, without the
        rows that have no probability. The score is a thousand times the probability; blanks in a name are
        underscores, since browsers also split BED at blanks, and an empty name is a dot.

    Raises
    ------
    InputError
        A probability is not between 0 and 1.
    """
    told = frame[frame["probability"].notna()]
    strange = told[~told["probability"].between(0, 1)]
    if len(strange):
        first = strange.iloc[0]
        raise InputError(f"{first['chrom']}:{first['start']}-{first['end']} ({first['name']}): found probability "
                         f"{first['probability']:g}, expected 0 to 1")  # fmt: skip
    start, end, probability = (told[column].to_numpy() for column in ("start", "end", "probability"))
    return pd.DataFrame(
        {
            "chrom": told["chrom"].to_numpy(),
            "start": start,
            "end": end,
            "name": ["_".join(str(name).split()) or "." for name in told["name"]],
            "score": np.rint(1000 * probability.astype(np.float64)).astype(np.int64),
            "strand": ".",
            "thickStart": start,
            "thickEnd": end,
            "itemRgb": [",".join(map(str, colour)) for colour in colours(probability)],
        }
    )


def prediction_track(frame: pd.DataFrame) -> pd.DataFrame:
    """Predictions as BED with nine columns, named by probability and interval such as 0.62(0.41-0.80).

    Parameters
    ----------
    frame : DataFrame
        Of `predict.predict`. A stretch whose place on the genome is not known stands on its record.

    Returns
    -------
    DataFrame
        See `bed9`; stretches that are too short to say are left out.
    """
    placed = (frame["chrom"] != "").to_numpy()
    numbers = frame[["probability", "low", "high"]].itertuples(index=False, name=None)
    return bed9(
        pd.DataFrame(
            {
                "chrom": np.where(placed, frame["chrom"], frame["record"]),
                "start": np.where(placed, frame["chrom_start"], frame["start"]),
                "end": np.where(placed, frame["chrom_end"], frame["end"]),
                "name": [f"{p:.2f}" + ("" if np.isnan(low) else f"({low:.2f}-{high:.2f})") for p, low, high in numbers],
                "probability": frame["probability"].to_numpy(),
            }
        )
    )


def training_track(windows: pd.DataFrame) -> pd.DataFrame:
    """Windows that a model was trained and tested on as BED with nine columns, sorted by place.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end, label, side`, as in a bundle.

    Returns
    -------
    DataFrame
        See `bed9`. Names are such as introgressed_train; what was not trained on is drawn thin.
    """
    windows = windows.sort_values(["chrom", "start", "end"], kind="stable")
    kind = pd.Series(np.where(windows["label"] == 1, "introgressed_", "depleted_"), index=windows.index)
    track = bed9(windows.assign(name=kind + windows["side"], probability=windows["label"].astype(np.float64)))
    return track.assign(thickEnd=np.where(windows["side"] == "train", track["end"], track["start"]))


def gene_track(genes: pd.DataFrame) -> pd.DataFrame:
    """Genes as BED with nine columns, coloured by their probability and sorted by place.

    Parameters
    ----------
    genes : DataFrame
        `chrom, start, end, Gene_Symbol, Prob_1`, as in results/genes.tsv.

    Returns
    -------
    DataFrame
        See `bed9`.
    """
    genes = genes.sort_values(["chrom", "start", "end"], kind="stable")
    return bed9(genes.assign(name=genes["Gene_Symbol"], probability=genes["Prob_1"]))


def central_spans(windows: pd.DataFrame) -> pd.DataFrame:
    """Cut overlapping windows so that each keeps the stretch around its middle.

    Neighbours are parted in the middle of what they share. Of windows of one length that lie every `step` nt, each
    keeps the `step` nt around its middle; the first and the last of a run reach to its ends. The spans cover what the
    windows cover, and each lies inside its window.

    Parameters
    ----------
    windows : DataFrame
        `chrom, start, end` (0-based half-open) and other columns; on each chromosome starts and ends rise.

    Returns
    -------
    DataFrame
        The same rows with the `start` and `end` of their spans, which do not overlap.

    Raises
    ------
    InputError
        Starts or ends do not rise.
    """
    chrom, start, end = (windows[column].to_numpy() for column in ("chrom", "start", "end"))
    same = chrom[1:] == chrom[:-1]
    wrong = np.flatnonzero(same & ((start[1:] <= start[:-1]) | (end[1:] <= end[:-1])))
    if len(wrong):
        first, second = (f"{chrom[row]}:{start[row]}-{end[row]}" for row in (wrong[0], wrong[0] + 1))
        raise InputError(f"windows: found {second} after {first}, expected both start and end to rise")
    shared = same & (start[1:] < end[:-1])
    middle = (start[1:] + end[:-1]) // 2
    return windows.assign(
        start=np.concatenate([start[:1], np.where(shared, middle, start[1:])]),
        end=np.concatenate([np.where(shared, middle, end[:-1]), end[-1:]]),
    )


def write_bedgraph(
    batches: Iterable[pd.DataFrame],
    path: str | Path,
    *,
    name: str = NAME,
    description: str = DESCRIPTION,
    header: bool = True,
) -> int:
    """Write probabilities along a genome as bedGraph; see `central_spans`.

    Windows without a probability leave a hole, and so does what lies behind the last window of a region.

    Parameters
    ----------
    batches : iterable of DataFrame
        Of `predict.predict`: windows of a genome; on each chromosome their starts and ends rise.
    path : path-like
    name, description : str
        Labels in the browser, up to 15 and 60 characters.
    header : bool
        Write a line that tells a browser how to draw; bedtools and UCSC's converters want none.

    Returns
    -------
    int
        Number of spans.

    Raises
    ------
    InputError
        A window has no place on the genome, windows are not in order, a chromosome comes twice, or a label is too
        long. Nothing is written.
    """
    colour = ",".join(map(str, colours(np.ones(1))[0]))
    # Zoomed out, UCSC draws maxima unless told otherwise: everything would look introgressed.
    line = _track_line(name, description, f"type=bedGraph visibility=full color={colour} viewLimits=0:1 autoScale=off "
                       "alwaysZero=on yLineMark=0.5 yLineOnOff=on windowingFunction=mean")  # fmt: skip
    return _write_lines((spans for _, spans in _signal(batches)), path, header=line if header else "")


def write_bigwig(batches: Iterable[pd.DataFrame], path: str | Path, chromsizes: Mapping[str, int]) -> int:
    """Write what `write_bedgraph` does as bigWig, in single precision.

    Parameters
    ----------
    batches : iterable of DataFrame
        Of `predict.predict`: windows of a genome, in its order; on each chromosome their starts and ends rise.
    path : path-like
    chromsizes : mapping of str to int
        Lengths of chromosomes, nt, in the order of the genome; all go into the file.

    Returns
    -------
    int
        Number of spans. A file without any can be read by pyBigWig, but not by every browser.

    Raises
    ------
    InputError
        A window has no place on the genome or lies outside it, or windows or chromosomes are not in order. Nothing
        is written.
    """
    if not chromsizes:
        raise InputError("chromsizes: found no chromosome, expected at least one")
    n = 0
    with replacing(path) as part:
        _check_space(path, 0)
        part.touch()  # libBigWig crashes where it cannot open a file
        with closing(pyBigWig.open(str(part), "w")) as track:
            track.addHeader([(chrom, int(size)) for chrom, size in chromsizes.items()])
            for chrom, spans in _inside(_signal(batches), chromsizes):
                _check_space(path, n + len(spans))
                track.addEntries([chrom] * len(spans), spans["start"].tolist(), ends=spans["end"].tolist(),
                                 values=spans["probability"].tolist())  # fmt: skip
                n += len(spans)
        _check_whole(part, path)
    return n


def write_bed9(
    batches: Iterable[pd.DataFrame],
    path: str | Path,
    *,
    name: str = NAME,
    description: str = DESCRIPTION,
    header: bool = True,
) -> int:
    """Write BED with nine columns.

    Parameters
    ----------
    batches : iterable of DataFrame
        Of `bed9`, `prediction_track`, `training_track` or `gene_track`; to be written in their order.
    path : path-like
    name, description : str
        Labels in the browser, up to 15 and 60 characters.
    header : bool
        Write a line that tells a browser how to draw; bedtools and UCSC's converters want none.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        A label is too long. Nothing is written.
    """
    line = _track_line(name, description, 'visibility=pack itemRgb="On" useScore=0')
    return _write_lines((frame[BED9] for frame in batches), path, header=line if header else "")


def _track_line(name: str, description: str, settings: str) -> str:
    for what, label, longest in (("name", name, _MAX_NAME), ("description", description, _MAX_DESCRIPTION)):
        if not 1 <= len(label) <= longest or '"' in label or not label.isprintable():
            raise InputError(f"{what} of the track: found {label!r}, expected 1 to {longest} characters, no quotes")
    return f'track {settings} name="{name}" description="{description}"\n'


def _write_lines(frames: Iterable[pd.DataFrame], path: str | Path, *, header: str) -> int:
    n = 0
    with replacing(path) as part, part.open("w", encoding="utf-8") as handle:
        handle.write(header)
        for frame in frames:
            frame.to_csv(handle, sep="\t", index=False, header=False, float_format="%.4g", lineterminator="\n")
            n += len(frame)
    return n


def _signal(batches: Iterable[pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Central spans that have a probability, in pieces that lie on one chromosome, with its name."""
    past: list[str] = []
    for spans in _spans(batches):
        run = (spans["chrom"] != spans["chrom"].shift()).cumsum()
        for _, piece in spans.groupby(run, sort=False):
            chrom = str(piece["chrom"].iloc[0])
            if not past or chrom != past[-1]:
                if chrom in past:
                    raise InputError(f"windows: found {chrom} again after {past[-1]}, expected each chromosome once")
                past.append(chrom)
            told = piece[piece["probability"].notna()]
            if len(told):
                yield chrom, told.round({"probability": DECIMALS})


def _spans(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Central spans of windows that come in batches: each waits for the next window, which tells where it ends."""
    waiting = no_intervals().assign(probability=np.empty(0))
    for batch in batches:
        windows = pd.concat([waiting, _places(batch)], ignore_index=True)
        # Where two windows wait, the first was given out before: it tells where the second one starts.
        yield central_spans(windows).iloc[len(waiting) // 2 : -1]
        waiting = windows.iloc[-2:]
    yield central_spans(waiting).iloc[len(waiting) // 2 :]


def _places(frame: pd.DataFrame) -> pd.DataFrame:
    unknown = frame.loc[frame["chrom"] == "", "record"]
    if len(unknown):
        raise InputError(f"windows: found {unknown.iloc[0]}, whose place is not known, expected windows of a genome")
    columns = {"chrom": "chrom", "chrom_start": "start", "chrom_end": "end", "probability": "probability"}
    return frame[list(columns)].rename(columns=columns)


def _inside(
    pieces: Iterable[tuple[str, pd.DataFrame]], chromsizes: Mapping[str, int]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Pass pieces on that lie on the chromosomes and come in their order."""
    rank = {chrom: number for number, chrom in enumerate(chromsizes)}
    before = ""
    for chrom, spans in pieces:
        if chrom not in rank:
            raise InputError(f"windows: found chromosome {chrom}, expected one of {', '.join(list(rank)[:5])} …")
        if before and rank[chrom] < rank[before]:
            raise InputError(f"windows: found {chrom} after {before}, expected the order of the genome")
        start, end = int(spans["start"].min()), int(spans["end"].max())
        if start < 0 or end > chromsizes[chrom]:
            raise InputError(f"windows: found {chrom}:{start}-{end}, expected places within 0-{chromsizes[chrom]}")
        before = chrom
        yield chrom, spans


def _check_space(path: str | Path, n: int) -> None:
    """Refuse to go on where a bigWig of `n` spans may not fit: what it cannot write, libBigWig tries for ever."""
    longest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    bounds = [(shutil.disk_usage(Path(path).parent).free, errno.ENOSPC)]
    bounds += [(longest, errno.EFBIG)] if longest != resource.RLIM_INFINITY else []
    room, reason = min(bounds)
    if room < _OTHER_BYTES + n * _SPAN_BYTES:
        raise OSError(reason, os.strerror(reason), str(path))


def _check_whole(part: Path, path: str | Path) -> None:
    """Refuse a bigWig that does not end as it begins: libBigWig may not tell that it could not write all of it."""
    with part.open("rb") as handle:
        first = handle.read(4)
        handle.seek(-4, os.SEEK_END)
        if handle.read() != first:
            raise OSError(errno.EIO, "could not be written whole", str(path))
