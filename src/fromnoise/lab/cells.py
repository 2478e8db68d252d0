"""The notebooks as they are kept: Python scripts in jupytext's percent form, read here as cells without jupytext.

A cell begins with `# %%`, a cell of words with `# %% [markdown]`; `key=value` pairs, the values as in JSON, follow.
Its tags say what a cell is for: `setup`, `stub`, `hint`, `solution`, `check`, and `note` (for the teacher alone).
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fromnoise.errors import UserError

NAME = re.compile(r"(\d)_\w+\.py")
BEGINNING = re.compile(r"^# %%(.*)\n?", re.MULTILINE)
TITLE = re.compile(r"# @title (.*)\n")


@dataclass(frozen=True)
class Cell:
    """One cell: its words or its code, and its metadata as Jupyter has it."""

    source: str
    words: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def has(self, tag: str) -> bool:
        """Whether it is tagged so."""
        return tag in self.metadata.get("tags", ())

    @property
    def title(self) -> str:
        """The heading of words, or the title of a cell that forms fold; empty where there is none."""
        match = re.match(r"#+ (.*)", self.source) if self.words else TITLE.match(self.source)
        return match[1].strip() if match else ""

    @property
    def body(self) -> str:
        """The source without its title."""
        return self.source.partition("\n")[2].strip("\n") if self.title else self.source


@dataclass(frozen=True)
class Notebook:
    """A notebook of the lab: its number, the name of its file without the ending, and its cells."""

    number: int
    name: str
    cells: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """Its first heading: "1 · Distributions"."""
        return self.cells[0].title


def parse(script: str) -> tuple[Cell, ...]:
    """The cells of a percent script; what stands before the first is jupytext's own. ValueError for bad metadata."""
    _, *parts = BEGINNING.split(script)
    return tuple(_cell(header, body) for header, body in zip(parts[::2], parts[1::2], strict=True))


def read(path: Path) -> Notebook:
    """The notebook in the file `path`, NUMBER_name.py, which begins with a heading; UserError for bad metadata."""
    try:
        return Notebook(int(path.name[0]), path.stem, parse(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def paths() -> dict[int, Path]:
    """The notebooks' files by number: beside the package in a checkout, inside it once installed; UserError if none."""
    here = Path(__file__)
    for folder in (here.with_name("notebooks"), here.parents[3] / "lab"):
        found = {int(match[1]): path for path in sorted(folder.glob("*.py")) if (match := NAME.fullmatch(path.name))}
        if found:
            return found
    raise UserError("the lab's notebooks are missing: install fromnoise from a wheel or a whole checkout")


def chosen(numbers: tuple[int, ...] = ()) -> list[Notebook]:
    """The notebooks of these numbers in order, all for none; UserError for a number that no notebook has."""
    there = paths()
    for number in numbers:
        if number not in there:
            raise UserError(f"there is no notebook {number}; choose from {', '.join(map(str, there))}")
    return [read(there[number]) for number in sorted(set(numbers) or there)]


def _cell(header: str, body: str) -> Cell:
    words, header = "[markdown]" in header, header.replace("[markdown]", "").strip()
    metadata = {}
    while header:
        key, equals, rest = header.partition("=")
        if not equals:
            raise ValueError(f"a cell's metadata are key=value pairs, unlike {header!r}")
        metadata[key.strip()], end = json.JSONDecoder().raw_decode(rest)
        header = rest[end:].strip()
    if words:
        body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
    return Cell(body.strip("\n"), words, metadata)
