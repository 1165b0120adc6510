"""Pictures of a scan's tracks in IGV, the genome browser, as they open there: `make pictures IGV=…/igv.min.js`.

igv.js, the IGV that runs in a web page, is not part of this project; it comes as the package `igv` of npm. Needed, too:
Chromium, which Playwright drives. Nothing is served: as in IGV's own page, the page is handed local files.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pysam
from playwright.sync_api import Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
TRACKS = ("scan.bedgraph", "scan.bw", "scan.bed", "training.bed", "genes.bed")
SCANNED = ("chr7", 2_000_000, 3_000_000)
VIEWS = {"tracks": "chr7:1,920,001-3,040,000", "tracks_near": "chr7:2,112,001-2,188,000"}
"""Places shown, by the name of the picture; IGV counts from 1, the end included."""
_OPEN = """async ([genome, place]) => {
    const files = Object.fromEntries([...document.querySelector("input").files].map(file => [file.name, file]));
    const [letters, index, blocks, ...tracks] = Object.values(files);
    document.querySelector("input").remove();
    window.browser = await igv.createBrowser(document.querySelector("#here"), {
        loadDefaultGenomes: false, locus: place,
        reference: {id: genome, fastaURL: letters, indexURL: index, compressedIndexURL: blocks},
    });
    window.tracks = {};
    for (const url of tracks)  // BED opens two rows high, whatever it holds
        window.tracks[url.name] = await browser.loadTrack({url, autoHeight: true, maxHeight: 130});
    await browser.updateViews();
}"""


@contextmanager
def browser_page() -> Iterator[Page]:
    """An empty page of Chromium, as wide as the documentation shows pictures, without a network."""
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        view = {"width": 800, "height": 900}
        yield chromium.new_context(offline=True, viewport=view, device_scale_factor=1.5).new_page()
        chromium.close()


def open_tracks(page: Page, igv: Path, genome: Path, tracks: Sequence[Path], place: str) -> None:
    """Load a genome and tracks into igv.js; the page then holds `browser`, and `tracks` by file name.

    Parameters
    ----------
    page : Page
    igv : Path
        igv.min.js.
    genome : Path
        FASTA, compressed by bgzip, with its indices .fai and .gzi beside it.
    tracks : sequence of Path
    place : str
        What to show, such as chr7:2,000,001-3,000,000 (1-based, the end included).
    """
    page.set_content('<input type="file" multiple><div id="here"></div>')
    page.add_script_tag(path=igv)
    page.locator("input").set_input_files([genome, *(f"{genome}.{end}" for end in ("fai", "gzi")), *tracks])
    page.evaluate(_OPEN, [genome.parent.name, place])


def scan(directory: Path, output: Path) -> Path:
    """Scan a piece of a run's genome into a folder, and put the genome there with its indices; the genome's path."""
    genome = output / "demo" / "genome.fa.gz"
    genome.parent.mkdir()
    genome.symlink_to((directory / "inputs/demo/genome.fa.gz").resolve())
    pysam.faidx(str(genome))
    (output / "here.bed").write_text("\t".join(map(str, SCANNED)) + "\n", encoding="ascii")
    subprocess.run(
        [sys.executable, "-m", "neanderthal_nlp.cli", "scan", "--genome", genome, "--regions", output / "here.bed",
         "--directory", directory, "--output", output],
        check=True,
    )  # fmt: skip
    return genome


def main() -> None:
    """Draw each view into a file."""
    parser = argparse.ArgumentParser(description="Pictures of the tracks of `neanderthal-nlp scan` in igv.js.")
    parser.add_argument("igv", type=Path, help="igv.min.js")
    parser.add_argument("--directory", type=Path, default=Path("runs/demo"), help="run on the demo (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("docs/_static"), help="folder (%(default)s)")
    arguments = parser.parse_args()
    if not arguments.igv.is_file():
        parser.error(f"igv: found no file {arguments.igv}, expected the path of igv.min.js (`make pictures IGV=…`)")
    with tempfile.TemporaryDirectory() as folder, browser_page() as page:
        genome = scan(arguments.directory, Path(folder))
        for name, place in VIEWS.items():
            open_tracks(page, arguments.igv, genome, [Path(folder) / track for track in TRACKS], place)
            page.locator("#here").screenshot(path=arguments.output / f"{name}.png")


if __name__ == "__main__":
    main()
