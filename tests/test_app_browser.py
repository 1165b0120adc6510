"""The web page in a browser, as a person uses it: Chromium, by Playwright, offline."""

import gzip
import os
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from planted import LENGTH, draw_letters

from neanderthal_nlp import app
from neanderthal_nlp.app import answer, build_app, serve
from neanderthal_nlp.app_html import of_100
from neanderthal_nlp.bundle import write_bundle
from neanderthal_nlp.genome import open_genome

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")
playwright.expect.set_options(timeout=60_000)  # a busy machine is no error
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"no {CHROMIUM}", allow_module_level=True)

MAX_LETTERS = 60_000
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
GENE = ("chr2:101-1900", "PLANTED1")


@pytest.fixture(scope="module")
def called():
    """Hosts that this process, the server's, connects to."""
    hosts, listening = [], [True]

    def hook(event, arguments):
        if listening and event == "socket.connect" and isinstance(arguments[1], tuple):
            hosts.append(arguments[1][0])

    sys.addaudithook(hook)  # cannot be taken back, only be silenced
    yield hosts
    listening.clear()


@pytest.fixture(scope="module")
def address(audited, as_published, planted, called, tmp_path_factory):
    """Where the page is served."""
    genes = pd.DataFrame([GENE, ("chr9:1-1000", "NOWHERE")], columns=["Gene", "Gene_Symbol"])
    with (
        open_genome(planted.genome, cache=tmp_path_factory.mktemp("cache")) as genome,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        page = build_app({"audited": audited, "as published": as_published},
                         genes=genes, genome=genome,
                         max_letters=MAX_LETTERS)  # fmt: skip
        yield serve(page, host="127.0.0.1", port=None, max_letters=MAX_LETTERS)
        page.close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def requested():
    """Addresses that the browser asks for, of all tests."""
    return []


@pytest.fixture
def visit(browser, address, requested):
    """Open the page as another person."""
    contexts = []

    def opened(**options):
        contexts.append(browser.new_context(**options))
        contexts[-1].on("request", lambda request: requested.append(request.url))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(address)
        page.locator("#letters textarea").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def ask(page, text=None):
    if text is not None:
        page.locator("#letters textarea").fill(text)
    page.locator("#show").click()


def drop(page, path):
    page.locator("#file input[type=file]").set_input_files(path)
    playwright.expect(page.locator("#file table")).to_be_visible()  # it has arrived


def says(page, text):
    playwright.expect(page.locator("#answer")).to_contain_text(text)


def test_pasted_letters_are_answered(visit, audited):
    page, sequence = visit(), draw_letters(1)
    ask(page, sequence)
    says(page, f"your letters, letters 1 to {LENGTH:,}")
    row = answer(sequence, audited).stretches.iloc[0]
    assert page.locator(".nn-big").inner_text() == f"{of_100(row['probability'])} %"
    says(page, f"95 % range: {of_100(row['low'])} to {of_100(row['high'])} %")
    image = page.locator("#answer picture img")
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") > 300
    assert page.locator("text=Neanderthal, on average").is_visible()


def test_models_can_be_chosen(visit, as_published):
    page, sequence = visit(), draw_letters(1)
    page.locator("#model label", has_text="as published").click()
    ask(page, sequence)
    says(page, "decision trees say Neanderthal")
    probability = answer(sequence, as_published).stretches.loc[0, "probability"]
    assert page.locator(".nn-big").inner_text() == f"{of_100(probability)} %"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_file_is_answered(visit, tmp_path, pack):
    path, page = tmp_path / "mine.fa", visit()
    path.write_bytes(pack(f">mine\n{draw_letters(0)}\n".encode()))
    page.locator("#letters textarea").fill("ACGT")
    drop(page, path)
    playwright.expect(page.locator("#letters textarea")).to_have_value("")  # one source at a time
    ask(page)
    says(page, f"mine, letters 1 to {LENGTH:,}")
    page.locator("#letters textarea").press_sequentially("ACGT")
    playwright.expect(page.locator("#file table")).to_have_count(0)
    ask(page)
    says(page, "Too short to say")


def paste(page, text):
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.locator("#letters textarea").press("ControlOrMeta+v")


@pytest.mark.parametrize("give", [paste, lambda page, text: page.locator("#letters textarea").fill(text)],
                         ids=["pasted", "filled"])  # fmt: skip
def test_letters_that_come_after_a_file_are_those_that_count(visit, tmp_path, give):
    path, page = tmp_path / "mine.fa", visit(permissions=["clipboard-read", "clipboard-write"])
    path.write_text(f">mine\n{draw_letters(0)}\n", encoding="ascii")
    drop(page, path)
    give(page, f">theirs\n{draw_letters(1)}")
    ask(page)
    says(page, "theirs, letters 1 to")
    playwright.expect(page.locator("#file table")).to_have_count(0)


def test_an_answer_goes_when_what_was_asked_is_changed(visit, tmp_path):
    path, page = tmp_path / "mine.fa", visit()
    path.write_text(f">mine\n{draw_letters(0)}\n", encoding="ascii")
    for change in (
        lambda: page.locator("#letters textarea").press("Backspace"),
        lambda: page.locator("#model label", has_text="as published").click(),
        lambda: drop(page, path),
    ):
        ask(page, draw_letters(1))
        says(page, "How much G and C")
        change()
        playwright.expect(page.locator("#answer article")).to_have_count(0)


def test_an_answer_that_comes_after_a_change_is_not_shown(visit, monkeypatch):
    page = visit()
    asked, changed, answered = (threading.Event() for _ in range(3))

    def slow(*arguments, **options):
        asked.set()
        assert changed.wait(60)
        answered.set()
        return answer(*arguments, **options)

    monkeypatch.setattr(app, "answer", slow)
    field = page.locator("#letters textarea")
    ask(page, f">former\n{draw_letters(1)}")
    assert asked.wait(60)
    field.fill(f">latter\n{draw_letters(1)}")
    changed.set()
    assert answered.wait(60)
    page.wait_for_timeout(3_000)  # enough to be shown, were it to be shown
    assert "former" not in page.locator("#answer").inner_text()
    ask(page)
    says(page, "latter, letters 1 to")


def test_what_cannot_be_scored_is_said(visit, tmp_path):
    page = visit()
    ask(page, "")
    says(page, "found no letters")
    ask(page, ">protein <b>bold</b>\nMKVLAAGIVGLLLAQWERTY\n")
    says(page, "protein: letter 4: found 'L', expected DNA")
    ask(page, f"><b>bold</b>\n{draw_letters(1)}")
    says(page, "<b>bold</b>, letters 1 to")
    assert page.locator("#answer b", has_text="bold").count() == 0
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    drop(page, path)
    ask(page)
    says(page, "picture.png: not text")
    assert "Traceback" not in page.content()


def test_half_characters_are_refused(visit):
    page = visit()
    page.locator("#letters textarea").evaluate("""field => {
        field.value = ">" + String.fromCharCode(0xD800) + "\\nACGT" + String.fromCharCode(0xDC00);
        field.dispatchEvent(new Event("input", {bubbles: true}));
    }""")
    ask(page)
    says(page, "\ufffd: letter 5: found '\ufffd', expected DNA")


def test_too_much_is_refused(visit, tmp_path):
    page = visit()
    ask(page, "ACGT" * (MAX_LETTERS // 4) + "A")
    says(page, f"more than {MAX_LETTERS:,} letters")
    packed, large = tmp_path / "packed.fa", tmp_path / "large.fa"
    packed.write_bytes(gzip.compress(b"ACGT" * MAX_LETTERS))
    drop(page, packed)
    ask(page)
    says(page, f"more than {MAX_LETTERS:,} letters")
    page.reload()
    large.write_bytes(b"ACGT" * MAX_LETTERS)
    page.locator("#file input[type=file]").set_input_files(large)
    playwright.expect(page.locator("[data-testid=toast-text]")).to_contain_text("exceed the maximum")


def test_a_gene_can_be_picked(visit, planted, audited, tmp_path):
    page = visit()
    field = page.locator("#gene input")
    field.fill(GENE[1])
    page.locator("[role=option]", has_text=GENE[1]).click()
    ask(page)
    says(page, f"{GENE[0]}, letters 1 to 1,800")
    with open_genome(planted.genome, cache=tmp_path) as genome:
        probability = answer(genome.fetch("chr2", 100, 1_900), audited).stretches.loc[0, "probability"]
    assert page.locator(".nn-big").inner_text() == f"{of_100(probability)} %"
    field.fill("NOWHERE")
    page.locator("[role=option]", has_text="NOWHERE").click()
    ask(page)
    says(page, "no chromosome chr9")


def test_a_gene_that_is_typed_is_looked_for(visit):
    page = visit()
    field, letters = page.locator("#gene input"), page.locator("#letters textarea")
    letters.fill("ACGT")
    field.fill("BRCA1")
    ask(page)
    says(page, "BRCA1: no gene of this symbol is in the table of genes")
    playwright.expect(field).to_have_value("BRCA1")
    playwright.expect(letters).to_have_value("")  # one source at a time
    field.fill("")
    ask(page)
    says(page, "found no letters")
    field.fill(GENE[1].lower())
    ask(page)
    says(page, f"{GENE[0]}, letters 1 to 1,800")
    letters.fill(draw_letters(1))
    playwright.expect(field).to_have_value("")
    ask(page)
    says(page, "your letters, letters 1 to")


def test_a_look_at_the_genes_leaves_the_letters(visit):
    page = visit()
    ask(page, draw_letters(1))
    says(page, "your letters, letters 1 to")
    page.locator("#gene input").focus()
    page.locator("#letters textarea").focus()
    ask(page)
    says(page, "your letters, letters 1 to")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_uploads_go_when_the_page_ends(browser, audited, tmp_path, number):
    uploads, mine = tmp_path / "uploads", tmp_path / "mine.fa"
    uploads.mkdir()
    mine.write_text(f">mine\n{draw_letters(1)}\n", encoding="ascii")
    write_bundle(audited, tmp_path / "mine")
    command = [sys.executable, "-m", "neanderthal_nlp.cli", "app", "--bundle", tmp_path / "mine"]
    with subprocess.Popen(
        command, env=os.environ | {"GRADIO_TEMP_DIR": str(uploads)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as served:  # fmt: skip
        try:
            address = next(found[0] for line in served.stdout if (found := re.search(r"http://\S+", line)))
            page = browser.new_page()
            page.goto(address)
            drop(page, mine)
            ask(page)
            says(page, "mine, letters 1 to")
            assert [path.name for path in uploads.rglob("*.fa")] == ["mine.fa"]
            served.send_signal(number)  # the visitor is still there
            assert served.wait(60) == 0
        finally:
            served.kill()
        page.close()
        assert "Traceback" not in served.stdout.read()
    assert list(uploads.iterdir()) == []


def test_two_people_get_their_own_answers(visit):
    pages = [visit(), visit()]
    for label, page in enumerate(pages):
        page.locator("#letters textarea").fill(f">person{label}\n{draw_letters(label)}")
    for page in pages:
        page.locator("#show").click()
    for label, page in enumerate(pages):
        says(page, f"person{label}, letters 1 to")
        assert f"person{1 - label}" not in page.locator("#answer").inner_text()
    shares = [int(page.locator(".nn-big").inner_text().split()[-2]) for page in pages]
    assert shares[0] < 50 < shares[1]


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_nothing_runs_over_the_side(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    name = "a_record_of_a_name_without_end_" * 4
    ask(page, f">{name}\n{draw_letters(1, 4 * LENGTH)}")
    says(page, "4 stretches")
    playwright.expect(page.locator("#answer picture")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    over = page.evaluate("""() => [...document.querySelectorAll('#top *, #ask *, #answer *')].filter(e =>
        e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))""")
    assert over == []
    assert not page.locator("footer").is_visible()


def test_nothing_leaves_this_machine(visit, requested, called):
    page = visit()
    ask(page, draw_letters(1))
    says(page, "95 % range")
    page.wait_for_load_state("networkidle")
    hosts = [urlsplit(url).hostname for url in requested if not url.startswith(("data:", "blob:"))]
    assert len(hosts) > 10
    assert set(hosts) <= LOOPBACK
    assert called
    assert set(called) <= LOOPBACK


def test_no_letters_are_kept_in_the_browser(visit):
    page, sequence = visit(), draw_letters(1)
    ask(page, sequence)
    says(page, "95 % range")
    kept = page.evaluate("""async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,
                                                        await indexedDB.databases()])""")
    assert sequence[:40] not in kept
    assert page.evaluate("indexedDB.databases().then(found => found.length)") == 0
