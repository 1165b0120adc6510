"""Examples of README and documentation are run as a reader runs them; links inside the repository lead somewhere.

Python blocks of a page share a namespace. In console blocks, lines that begin with `$ ` are run by bash, and what is
shown below one must be what it prints, but for `...`, which stands for any text. A block that needs minutes, a network
or data that are not here is preceded by a comment with the reason: `<!-- skip: next "takes ten minutes" -->`.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import partial
from itertools import pairwise, zip_longest
from pathlib import Path
from unittest import SkipTest
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from sybil import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for folder in (".", "docs", "docs/reference", "notebooks", "figures", "models")
    for path in sorted((ROOT / folder).glob("*.md"))
]
PAGES = [
    path
    for path in FILES
    if path in (ROOT / "README.md", ROOT / "figures/README.md", ROOT / "models/README.md")
    or ROOT / "docs" in path.parents
]
COMMAND = re.compile(r"^\$ (.*(?:(?<=\\)\n.*|\n> .*)*)\n", re.MULTILINE)
SMALL = ("epochs=1", "n_estimators=20", "n_draws=50", "word2vec_windows=40", "audit_epochs=1", "audit_draws=19",
         "sweep_features=40", "sweep_windows=1200", "sequence_windows=120", "sequence_epochs=1",
         "sequence_cnn_epochs=1")  # fmt: skip
markdown = MarkdownIt("commonmark", {"html": True}).enable("table")


def tokens(path, kind):
    """Tokens of a Markdown file of one kind, those inside paragraphs included."""
    found = markdown.parse(path.read_text(encoding="utf-8"))
    return [token for outer in found for token in (outer, *(outer.children or [])) if token.type == kind]


def commands(source):
    """Commands of a console block, each with the output shown below it."""
    pieces = COMMAND.split(source)
    assert len(pieces) > 1, "no line begins with `$ `"
    assert not pieces[0].strip(), f"output before the first command: {pieces[0]}"
    return [
        (re.sub(r"\n> ", "\n", command), output) for command, output in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def run_console(example, *, compare):
    """Run the commands of a block in one shell; what went wrong, or differs from the output shown, as text."""
    found = commands(example.parsed)
    script = "\n".join(f"{command}\nprintf '\\0'" for command, _ in found)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", f"exec 2>&1\n{script}"], check=False, timeout=300,
                            env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, text=True)  # fmt: skip
    printed = result.stdout.split("\0")
    if result.returncode:
        return f"{found[len(printed) - 1][0]}: exit status {result.returncode}\n{printed[-1]}"
    for (command, shown), got in zip(found, printed, strict=False):
        if compare and shown.strip() and not alike(shown, got):
            return f"{command}\nexpected:\n{shown}\nprinted:\n{got}"
    return None


def alike(shown, printed):
    """Whether the output printed is the one shown, but for `...` and for blanks at the end of lines."""
    want, got = ("".join(line.rstrip() + "\n" for line in text.rstrip().splitlines()) for text in (shown, printed))
    return doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS)


def document(path, *, compare=True):
    return Document.parse(str(path), SkipParser(), PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS),
                          CodeBlockParser("console", partial(run_console, compare=compare)))  # fmt: skip


def is_finished(directory):
    """Whether a run is complete and younger than the code that makes it."""
    report = directory / "report.html"
    files = [path for path in (ROOT / "neanderthal_nlp").rglob("*") if path.is_file()]
    code = [path.stat().st_mtime for path in files if path.parent.name != "__pycache__"]
    return report.exists() and report.stat().st_mtime > max(code)


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory):
    """A finished run on the demo, and whether it is that of `make reproduce`, whose numbers the pages show."""
    finished = ROOT / "runs" / "demo"
    if is_finished(finished):
        return finished, True
    directory = tmp_path_factory.mktemp("demo")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    subprocess.run([sys.executable, "-m", "neanderthal_nlp.reproduce", "--directory", str(directory), *settings],
                   cwd="/", check=True, capture_output=True, timeout=600)  # fmt: skip
    return directory, False


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in PAGES if list(document(path))], ids=name)
def test_examples_do_what_the_page_shows(path, demo_run, tmp_path, monkeypatch):
    directory, compare = demo_run
    shutil.copytree(directory, tmp_path / "runs/demo", copy_function=shutil.copy2)
    monkeypatch.chdir(tmp_path)
    for example in document(path, compare=compare):
        with suppress(SkipTest):
            example.evaluate()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_example_is_run_or_says_why_not(path):
    fences = tokens(path, "fence")
    assert not {"", "bash", "sh", "shell", "py", "pycon"} & {fence.info.strip() for fence in fences}
    found = [example.line for example in document(path)]
    for first, last in (fence.map for fence in fences if fence.info.strip() in ("console", "python")):
        assert any(first < line <= last for line in found), f"line {first + 1}"
    for comment in re.findall(r"<!-+ *skip.*", path.read_text(encoding="utf-8")):
        assert re.fullmatch(r'<!-- skip: (next ".{5,}"|start ".{5,}"|end) -->', comment)


def close(found, shown):
    """Whether a line of a table is the one shown, numbers with a fraction to a twentieth."""
    pairs = list(zip_longest(found.split("\t"), shown.split("\t"), fillvalue=""))
    return all(a == b or ("." in b and float(a) == pytest.approx(float(b), rel=0.05)) for a, b in pairs)


def without_maps(lines):
    """A table without what is read off UMAP and t-SNE: they magnify the last bit of a sum, which is the processor's."""
    cells = [line.split("\t") for line in lines]
    kept = [i for i, name in enumerate(cells[0]) if not name.startswith(("umap_", "tsne_", "silhouette"))]
    return ["\t".join(row[i] for i in kept) for row in cells]


def test_excerpts_of_files_are_those_of_the_demo(demo_run):
    directory, whole = demo_run
    if not whole:
        pytest.skip("no finished run in runs/demo")
    parsed = markdown.parse((ROOT / "docs/files.md").read_text(encoding="utf-8"))
    excerpts = [(text.children[0].content, fence.content.splitlines())
                for text, _, fence in zip(parsed, parsed[1:], parsed[2:], strict=False)
                if text.type == "inline" and fence.type == "fence" and fence.info == "text"]  # fmt: skip
    excerpts = [pair for pair in excerpts if re.fullmatch(r"results/\S+\.(tsv|bed|sizes)", pair[0])]
    assert len(excerpts) > 10
    for file, shown in excerpts:
        found = (directory / file).read_text(encoding="utf-8").splitlines()[: len(shown)]
        assert all(map(close, without_maps(found), without_maps(shown))), f"{file}: found {found}, expected {shown}"
        assert len(found) == len(shown)


def anchors(path):
    """Anchors of a page's headings, as code hosts and MyST make them."""
    headings = [after for token, after in pairwise(markdown.parse(path.read_text(encoding="utf-8")))
                if token.type == "heading_open"]  # fmt: skip
    titles = ["".join(child.content for child in heading.children) for heading in headings]
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {f"{slug}-{slugs[:i].count(slug)}" if slug in slugs[:i] else slug for i, slug in enumerate(slugs)}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_links_inside_the_repository_lead_somewhere(path):
    links = [str(token.attrs.get("href", token.attrs.get("src"))) for kind in ("link_open", "image")
             for token in tokens(path, kind)]  # fmt: skip
    for link in links:
        target, _, anchor = unquote(link).partition("#")
        if ":" in target or target == "_generated/command_line.md":
            continue
        # The documentation is built with copies of notebooks and figures.
        goal = (path.parent / target if target else path).resolve()
        goal = Path(str(goal).replace(f"{ROOT}/docs/_generated/", f"{ROOT}/"))
        assert ROOT in goal.parents, link
        assert goal.exists(), link
        assert not anchor or goal.suffix != ".md" or anchor in anchors(goal), link


def test_the_checks_notice_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    block = "```console\n$ echo a b \\\n    c\n{}\n$ x=3\n$ for i in 1 2; do\n>   echo $i\n> done\n1\n2\n```\n"
    for shown in ("a b c", "a ... c", "..."):
        page.write_text(block.format(shown))
        for example in document(page):
            example.evaluate()
    wrong = (block.format("a b"), "```console\n$ false\n```\n", "```console\nfalse\n```\n",
             "```python\n1 / 0\n```\n", "```python\n>>> 1 + 1\n3\n```\n")  # fmt: skip
    for text in wrong:
        page.write_text(text)
        with pytest.raises((AssertionError, ZeroDivisionError)):
            next(iter(document(page))).evaluate()
        page.write_text(f'<!-- skip: next "takes ten minutes" -->\n{text}')
        skip, example = document(page)
        skip.evaluate()
        with pytest.raises(SkipTest, match="takes ten minutes"):
            example.evaluate()
    page.write_text("# A `b`: c\n\n## D (e), f\n\n## D e f\n")
    assert anchors(page) == {"a-b-c", "d-e-f", "d-e-f-1"}
