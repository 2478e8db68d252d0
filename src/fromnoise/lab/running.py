"""Notebooks run without Jupyter, cell by cell in one namespace, with what each cell printed and showed."""

import contextlib
import io
import linecache
import time
from dataclasses import dataclass
from typing import Any

from fromnoise.lab import notebook
from fromnoise.lab.cells import Cell, Notebook
from fromnoise.lab.notebook import Shown


@dataclass(frozen=True)
class Ran:
    """A cell, and what it printed (text) and showed (figures) in order."""

    cell: Cell
    outputs: tuple[str | Shown, ...] = ()

    @property
    def figures(self) -> list[Shown]:
        """What it showed."""
        return [output for output in self.outputs if isinstance(output, Shown)]


@dataclass(frozen=True)
class Chapter:
    """A notebook that was run, and how long it took."""

    notebook: Notebook
    cells: list[Ran]
    seconds: float

    @property
    def figures(self) -> list[Shown]:
        """All that it showed."""
        return [figure for ran in self.cells for figure in ran.figures]


def run(book: Notebook) -> Chapter:
    """Run all cells of a notebook; whatever one of them raises is raised, and stdout is as it was before."""
    names, start = {"__name__": "__main__"}, time.perf_counter()
    cells = [
        Ran(cell, () if cell.words else _outputs(cell, f"<{book.name}, cell {k}>", names))
        for k, cell in enumerate(book.cells)
    ]
    return Chapter(book, cells, time.perf_counter() - start)


def _outputs(cell: Cell, name: str, names: dict[str, Any]) -> tuple[str | Shown, ...]:
    outputs: list[str | Shown] = []
    printed = io.StringIO()

    def flush() -> None:
        if text := printed.getvalue().strip("\n"):
            outputs.append(text)
        printed.seek(0)
        printed.truncate()

    def show(shown: Shown) -> None:
        flush()
        outputs.append(shown)

    linecache.cache[name] = (len(cell.source), None, cell.source.splitlines(keepends=True), name)  # for tracebacks
    with notebook.showing_to(show), contextlib.redirect_stdout(printed):
        exec(compile(cell.source, name, "exec"), names)
    flush()
    return tuple(outputs)
