"""The lab as it is used, quick and with no network: students' notebooks, the page, the handouts."""

import json
import os
import re

import pytest

from fromnoise.lab import cells, handouts

OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
BOOKS = cells.chosen()
# `fromnoise lab` with each check twice: before its solution too, as in a student's notebook, where nothing is done.
PROGRAM = """
import sys
from dataclasses import replace

from fromnoise.faces import cli
from fromnoise.lab import running

BEFORE = {"tags": ["before"]}
real = running.run


def run(book):
    cells = []
    for k, cell in enumerate(book.cells):
        cells.append(cell)
        if cell.has("stub") and not cell.words:
            cells.append(replace(next(each for each in book.cells[k:] if each.has("check")), metadata=BEFORE))
    chapter = real(replace(book, cells=tuple(cells)))
    said = ["".join(ran.outputs) for ran in chapter.cells if ran.cell.metadata == BEFORE]
    assert said
    for words in said:
        assert "not yet: " in words or "✗" in words, words  # ✗ where a bug was to be found
    return replace(chapter, notebook=book, cells=[ran for ran in chapter.cells if ran.cell.metadata != BEFORE])


running.run = run
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def place(fromnoise, tmp_path_factory):
    """A folder with a small model of digits, as `run`: notebooks take any, and would train their own for a minute."""
    place = tmp_path_factory.mktemp("lab")
    fromnoise("train", "--preset", "tiny", "--size", "32", "--out", "run", cwd=place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS[:3], ids=lambda book: book.name)
def test_a_students_notebook_runs_top_to_bottom_in_jupyter(tmp_path, book, monkeypatch):
    """With nothing done: every check says "not yet". The other notebooks run without Jupyter, below."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name, value in {"FROMNOISE_LAB": "quick", **OFFLINE}.items():
        monkeypatch.setenv(name, value)
    student = nbformat.reads(json.dumps(handouts.student(book)), as_version=4)
    nbclient.NotebookClient(student, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in student.cells:
        if "check" in cell.metadata.get("tags", ()):
            (printed,) = (out.text for out in cell.outputs)
            assert "not yet: " in printed or "✗" in printed  # ✗ where a bug was to be found
    pictures = [out for cell in student.cells for out in cell.get("outputs", ()) if "data" in out]
    assert sum(any(kind.startswith("image/") for kind in out["data"]) for out in pictures) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_a_students_notebook_is_one_of_jupyters(book):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.reads(json.dumps(handouts.student(book)), as_version=4))


@pytest.fixture(scope="module")
def lab_page(process, place):
    words = ("lab", "--quick", "--run", "run", "--out", "page")
    done = process(*words, cwd=place, environment=OFFLINE, program=("-c", PROGRAM))
    assert done.stdout == f"page{os.sep}index.html\n"
    return place / "page"


@pytest.mark.slow
def test_the_page_without_jupyter_with_every_solution(fromnoise, place, lab_page):
    page = (lab_page / "index.html").read_text()
    figures = sorted((lab_page / "figures").iterdir())
    assert page.count("<img ") == len(figures) >= 3 * len(BOOKS)
    assert all(f'src="figures/{figure.name}"' in page for figure in figures)
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"https?:", page)  # it fetches nothing
    assert page.count("<summary>Solution to") == sum(cell.has("solution") for book in BOOKS for cell in book.cells)
    assert page.count(" is right\n") + page.count(" is right<") == sum(
        cell.has("check") for book in BOOKS for cell in book.cells
    )
    assert "✗" not in page
    again = fromnoise("lab", "--quick", "--only", "1", "--out", "page", cwd=place, code=2)
    assert "already exists" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("width", [1100, 360])
def test_the_page_is_a_book_that_fetches_nothing_else(browser, lab_page, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((lab_page / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
    page.wait_for_load_state("networkidle")
    assert complaints == []
    assert all(url.startswith(("data:", lab_page.as_uri())) for url in requests)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0 && image.alt)")
    assert page.evaluate("[...document.querySelectorAll('math')].every(m => m.getBoundingClientRect().height > 5)")
    context.close()


def test_handouts(fromnoise, tmp_path):
    fromnoise("lab", "handouts", "out", cwd=tmp_path)
    for version in ("student", "teacher", "autograded/source/fromnoise"):
        assert len(list((tmp_path / "out" / version).glob("*.ipynb"))) == len(BOOKS)
    for book in BOOKS:
        student = (tmp_path / "out" / "student" / f"{book.name}.ipynb").read_text()
        given = {line for cell in json.loads(student)["cells"] for line in "".join(cell["source"]).splitlines()}
        assert not any(cell.get("outputs") for cell in json.loads(student)["cells"])
        stubs = {line for cell in book.cells if not cell.has("solution") for line in cell.source.splitlines()}
        secret = {line for cell in book.cells if cell.has("solution") for line in cell.source.splitlines()} - stubs
        assert secret
        assert not given & secret


def test_what_cannot_be_is_said_before_work(fromnoise, tmp_path):
    done = fromnoise("lab", "--quick", "--only", "9", "--out", "page", cwd=tmp_path, code=2)
    assert "there is no notebook 9" in done.stderr
    assert not (tmp_path / "page").exists()
    for words in (("--execute",), ("handouts", "--quick")):
        assert "--execute" in fromnoise("lab", *words, "--out", "page", cwd=tmp_path, code=2).stderr
    done = fromnoise("lab", "--run", "nowhere", "--out", "page", cwd=tmp_path, code=2)
    assert "nowhere" in done.stderr
