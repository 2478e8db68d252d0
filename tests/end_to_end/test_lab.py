"""The lab as it is used, quick and with no network: a student's notebooks in Jupyter, the page, the handouts."""

import json
import os
import re

import pytest

from fromnoise.lab import cells, handouts

OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
BOOKS = cells.chosen()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_a_students_notebook_runs_top_to_bottom_in_jupyter(place, book, monkeypatch):
    """With nothing done: every check says "not yet". Notebooks that need it share the model that the first trains."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name, value in {"FROMNOISE_LAB": "quick", "FROMNOISE_LAB_RUN": str(place / "run"), **OFFLINE}.items():
        monkeypatch.setenv(name, value)
    student = nbformat.reads(json.dumps(handouts.student(book)), as_version=4)
    nbformat.validate(student)
    nbclient.NotebookClient(student, timeout=300, resources={"metadata": {"path": str(place)}}).execute()
    for cell in student.cells:
        if "check" in cell.metadata.get("tags", ()):
            (printed,) = (out.text for out in cell.outputs)
            assert "not yet: " in printed or "✗" in printed  # ✗ where a bug was to be found
    pictures = [out for cell in student.cells for out in cell.get("outputs", ()) if "data" in out]
    assert sum(any(kind.startswith("image/") for kind in out["data"]) for out in pictures) >= 3


@pytest.fixture(scope="module")
def lab_page(process, place):
    run = ("--run", "run") if (place / "run").is_dir() else ()
    done = process("lab", "--quick", *run, "--out", "page", cwd=place, environment=OFFLINE)
    assert done.stdout == f"page{os.sep}index.html\n"
    return place / "page"


@pytest.mark.slow
def test_the_page_without_jupyter_with_every_solution(process, place, lab_page):
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
    again = process("lab", "--quick", "--only", "1", "--out", "page", cwd=place, code=2)
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
    done = fromnoise("lab", "--run", "nowhere", "--out", "page", cwd=tmp_path, code=2)
    assert "nowhere" in done.stderr
