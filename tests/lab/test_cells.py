"""The percent form read as cells, and what holds for every notebook of the lab."""

import ast
import pydoc
import re
from itertools import pairwise
from pathlib import Path

import pytest

from fromnoise.errors import UserError
from fromnoise.lab import cells, check, handouts

ROOT = Path(__file__).parents[2]
REAL = sorted((ROOT / "lab").glob("[0-9]_*.py"))
BOOKS = [cells.read(path) for path in REAL]
NAMES = [path.stem for path in REAL]
SCRIPT = """# ---
# jupyter: of no interest
# ---

# %% [markdown]
# # 9 · Trying
#
# Words.

# %% tags=["stub"]
def f():
    return 0


# %% [markdown] tags=["hint"]
# Think.

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 9.1
def f():
    return 1
"""


def test_the_cells_of_a_script():
    first, stub, hint, solution = cells.parse(SCRIPT)
    assert first.words
    assert first.source == "# 9 · Trying\n\nWords."
    assert (first.title, first.body) == ("9 · Trying", "Words.")
    assert stub.has("stub")
    assert stub.body == stub.source == "def f():\n    return 0"
    assert hint.words
    assert hint.has("hint")
    assert solution.metadata == {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["solution"]}
    assert (solution.title, solution.body) == ("Solution to 9.1", "def f():\n    return 1")


def test_metadata_that_are_none_are_refused():
    with pytest.raises(ValueError, match="key=value"):
        cells.parse("# %% nonsense\n1\n")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("# %% nonsense\n", r"8_edited\.py: a cell's metadata are key=value pairs, unlike 'nonsense'"),
        ('# %% tags=["check"]\nassert x\n', r"8_edited: a cell tagged check calls no check\.NAME\(…\): 'assert x'"),
        ('# %% tags=["solution"]\nx = 1\n', "8_edited: no stub comes before the solution 'x = 1'"),
    ],
)
def test_what_an_edited_notebook_lacks_is_said(script, message, tmp_path):
    (tmp_path / "8_edited.py").write_text(script)
    with pytest.raises(UserError, match=message):
        handouts.autograded(cells.read(tmp_path / "8_edited.py"))


@pytest.mark.slow  # of an extra
@pytest.mark.parametrize("path", REAL, ids=NAMES)
def test_jupytext_reads_the_same_cells(path):
    jupytext = pytest.importorskip("jupytext")
    for ours, theirs in zip(cells.read(path).cells, jupytext.read(path).cells, strict=True):
        assert ours.words == (theirs.cell_type == "markdown")
        assert ours.source == theirs.source.strip("\n")
        assert ours.metadata == {key: value for key, value in theirs.metadata.items() if key != "lines_to_next_cell"}


def test_an_unknown_number_is_refused():
    with pytest.raises(UserError, match=r"no notebook 12; choose from 1, 2, 3, 4, 5, 6, 7"):
        cells.chosen((12,))
    assert [book.number for book in cells.chosen((4, 1))] == [1, 4]


def test_they_are_numbered_from_one():
    assert [book.number for book in BOOKS] == list(range(1, len(BOOKS) + 1))


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_each_notebook_keeps_to_the_form(book):
    """Opens with what will be learnt, installs itself, is plain Python; exercises go stub, hint, solution, check."""
    for cell in book.cells:
        if not cell.words:
            compile(cell.source, book.name, "exec")
    assert book.title.startswith(f"{book.number} · ")
    assert "you will be able to" in book.cells[0].source
    assert sum(cell.has("setup") and 'find_spec("fromnoise") is None' in cell.source for cell in book.cells) == 1
    work = [tag for cell in book.cells for tag in ("stub", "solution", "check") if cell.has(tag) and not cell.words]
    assert len(work) >= 6
    assert work == ["stub", "solution", "check"] * (len(work) // 3)
    for cell, after in pairwise(book.cells):
        assert not cell.has("hint") or after.has("solution") or after.has("hint")
    for cell in book.cells:
        if cell.has("solution"):
            assert cell.title.startswith("Solution to "), cell.source
        if cell.has("check"):
            assert callable(getattr(check, re.search(r"check\.(\w+)\(", cell.source)[1]))
    assert "## References" in book.cells[-1].source


@pytest.mark.parametrize("book", BOOKS, ids=NAMES)
def test_what_a_student_has_not_done_is_not_used(book):
    """Functions that stubs define are called in their solutions and checks, and nowhere else."""
    for k, stub in enumerate(book.cells):
        if stub.has("stub"):
            names = {node.name for node in ast.parse(stub.source).body if isinstance(node, ast.FunctionDef)}
            for cell in book.cells[k + 1 :]:
                if not cell.words and not {"solution", "check", "stub"} & set(cell.metadata.get("tags", ())):
                    used = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
                    assert not used & names, cell.source


@pytest.mark.parametrize("book", BOOKS, ids=NAMES)
def test_what_only_a_solution_names_is_used_by_no_other_cell(book):
    """So that a student's notebook, which has no solutions, runs to its end."""
    known, solved = set(), set()
    for cell in (cell for cell in book.cells if not cell.words):
        nodes = list(ast.walk(ast.parse(cell.source)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        bound = {name.id for name in names if isinstance(name.ctx, ast.Store)}
        bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        bound |= {(node.asname or node.name).partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
        if cell.has("solution"):
            solved |= bound
        else:
            known |= bound
            used = {name.id for name in names}
            assert not used & solved - known, cell.source


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_every_figure_says_what_is_seen(book):
    for cell in book.cells:
        for node in () if cell.words else ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("show", "follow"):
                assert len(node.args) == 3 or "alt" in {keyword.arg for keyword in node.keywords}, ast.unparse(node)


def test_each_fault_of_the_original_has_its_place():
    said = " ".join(cell.source.replace("\n", " ") for book in BOOKS for cell in book.cells if cell.words)
    for fault in range(1, 10):
        assert re.search(rf"[Ff]aults? (\d(,| and) )*{fault}\b", said), f"no notebook names fault {fault}"


def test_the_maps_links_and_names_are_true():
    """lab/README.md names notebooks, functions and tests that exist."""
    text = (ROOT / "lab" / "README.md").read_text()
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / name).is_file(), name
    for path in re.findall(r"\]\(([\w/]+\.\w+)\)", text):
        assert (ROOT / "lab" / path).is_file(), path
    names = sorted(set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_0-9]+)+)`", text)))
    assert len(names) > 20
    assert not [name for name in names if pydoc.locate(f"fromnoise.{name}") is None]


def test_the_map_has_every_equation_task_and_fault_and_its_cells_are_there():
    """No cell of a row is empty, and each NOTEBOOK: HEADING begins a heading of that notebook."""
    text = (ROOT / "lab" / "README.md").read_text()
    rows = [
        [part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    rows = [row for row in rows if re.match(r"\(\d+\)|figure|task|fault", row[0])]
    assert [row[0] for row in rows if row[0].startswith("(")] == [f"({k})" for k in range(1, 41)]
    for kind, most in (("task", 7), ("fault", 9)):
        assert [row[0] for row in rows if row[0].startswith(kind)] == [f"{kind} {k}" for k in range(1, most + 1)]
    headings = {
        f"{book.number}: {heading}"
        for book in BOOKS
        for cell in book.cells
        if cell.words
        for heading in re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)
    }
    for row in rows:
        assert len(row) == 5
        assert all(row), row
        for name in re.findall(r"\d: [^;|]+", " ; ".join(row[1:4])):
            assert any(heading.startswith(name.strip()) for heading in headings), name
