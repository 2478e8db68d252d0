"""Handouts from one source: a student's, a teacher's and an autograded version of each notebook, as .ipynb files.

The student's has stubs and hints, no solution and no output. The teacher's has all cells, with their outputs where the
notebook was run. The autograded one is nbgrader's source of an assignment: `nbgrader generate_assignment` makes what
students get, `nbgrader autograde` runs the checks. No file needs Jupyter to be written.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fromnoise.errors import UserError
from fromnoise.files import write_file
from fromnoise.lab.cells import Cell, Notebook
from fromnoise.lab.notebook import Shown
from fromnoise.lab.running import Ran

POINTS = {"task": 4, "exercise": 2}
ASSIGNMENT = "fromnoise"
CONFIGURATION = '''\
"""nbgrader's settings: run its commands in this folder, where the assignment "{assignment}" is already in source/."""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "lab"
c.ClearSolutions.code_stub = {{"python": "# Your code: in place of what stands above"}}
c.ExecutePreprocessor.timeout = 3600
'''
CHECK = re.compile(r"^check\.(\w+)\(", re.MULTILINE)
Json = dict[str, Any]


def write(books: Sequence[Notebook], folder: Path, ran: Sequence[Sequence[Ran]] | None = None) -> None:
    """Write student/, teacher/ (with outputs where they were `ran`) and autograded/ into `folder`."""
    source = folder / "autograded" / "source" / ASSIGNMENT
    for place in (folder / "student", folder / "teacher", source):
        place.mkdir(parents=True)
    write_file(folder / "autograded" / "nbgrader_config.py", CONFIGURATION.format(assignment=ASSIGNMENT))
    for k, book in enumerate(books):
        cells = [Ran(cell) for cell in book.cells] if ran is None else ran[k]
        for place, content in (
            (folder / "student", student(book)),
            (folder / "teacher", teacher(book, cells)),
            (source, autograded(book)),
        ):
            write_file(place / f"{book.name}.ipynb", json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def student(book: Notebook) -> Json:
    """The notebook without solutions, notes and outputs; hints are folded."""
    cells = (cell for cell in book.cells if not cell.has("solution") and not cell.has("note"))
    return _file(book, [_json(_folded(cell)) for cell in cells])


def teacher(book: Notebook, cells: Sequence[Ran]) -> Json:
    """The whole notebook, notes marked, with whatever its cells printed and showed."""
    return _file(book, [_json(_folded(ran.cell), ran.outputs) for ran in cells])


def autograded(book: Notebook) -> Json:
    """nbgrader's source: each stub holds its solution in a region that nbgrader removes, each check is locked.

    Raises UserError for a solution without a stub, and a check that checks nothing.
    """
    cells: list[Json] = []
    for cell in book.cells:
        if cell.has("note"):
            continue
        if cell.has("solution") and not cell.words:
            region = f"### BEGIN SOLUTION\n{cell.body}\n### END SOLUTION"
            stub = next((old for old in reversed(cells) if "stub" in old["metadata"].get("tags", ())), None)
            if stub is None:
                raise UserError(f"{book.name}: no stub comes before the solution {cell.source!r:.60}")
            stub["source"] = [*stub["source"][:-1], stub["source"][-1] + "\n", "\n", *_lines(region)]
        elif cell.has("solution") or cell.has("stub"):
            points = 1 if cell.has("solution") else None  # an answer in words is graded by hand
            cells.append(_graded(cell, f"{book.number}-{len(cells)}", solution=True, points=points))
        elif cell.has("check"):
            called = CHECK.search(cell.source)
            if called is None:
                raise UserError(f"{book.name}: a cell tagged check calls no check.NAME(…): {cell.source!r:.60}")
            name = f"check-{called[1]}"
            points = POINTS["task" if "task" in name else "exercise"]
            strict = f"with check.grading():\n{textwrap.indent(cell.source, '    ')}"
            cells.append(_graded(replace(cell, source=strict), name, points=points))
        else:
            cells.append(_json(_folded(cell)))
    return _file(book, cells)


def _folded(cell: Cell) -> Cell:
    """A hint in a fold, a note as a quotation; other cells as they are."""
    if cell.has("note"):
        return replace(cell, source="> **For the teacher.** " + cell.source.replace("\n", "\n> "))
    if cell.has("hint"):
        return replace(cell, source=f"<details><summary>Hint</summary>\n\n{cell.source}\n\n</details>")
    return cell


def _graded(cell: Cell, name: str, *, solution: bool = False, points: int | None = None) -> Json:
    """The cell with nbgrader's metadata: a place for a solution, or a check worth points, or both (graded by hand)."""
    about: Json = {"schema_version": 3, "grade_id": name, "task": False}
    about |= {"solution": solution, "grade": points is not None, "locked": not solution}
    if points is not None:
        about["points"] = points
    return _json(replace(cell, metadata={**cell.metadata, "nbgrader": about}))


def _json(cell: Cell, outputs: Sequence[str | Shown] = ()) -> Json:
    if cell.words:
        return {"cell_type": "markdown", "metadata": cell.metadata, "source": _lines(cell.source)}
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": cell.metadata,
        "outputs": [item for output in outputs for item in _outputs(output)],
        "source": _lines(cell.source),
    }


def _outputs(output: str | Shown) -> Iterator[Json]:
    if isinstance(output, str):
        yield {"output_type": "stream", "name": "stdout", "text": _lines(output + "\n")}
        return
    data, metadata = output.bundle()
    yield {"output_type": "display_data", "data": data, "metadata": metadata}
    yield {"output_type": "display_data", "data": {"text/markdown": f"*{output.caption}*"}, "metadata": {}}


def _file(book: Notebook, cells: list[Json]) -> Json:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for k, cell in enumerate(cells):
        cell["id"] = f"{book.number}-{k}"
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
