"""The lab without Jupyter: its notebooks run as the plain Python scripts they are, and what they show is one page."""

import contextlib
import io
import re
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from matplotlib.figure import Figure

import fromnoise
from fromnoise.errors import UserError
from fromnoise.faces import markdown, notebook
from fromnoise.faces.console import say
from fromnoise.faces.figures import style

NAME = re.compile(r"(\d)_\w+\.py")


@dataclass(frozen=True)
class Shown:
    """A figure with its caption, or what was printed before it."""

    text: str
    figure: str | None = None
    """The figure's file, relative to the page."""


@dataclass
class Chapter:
    """What one notebook showed."""

    number: int
    title: str
    opening: str
    """The notebook's first words, as HTML."""
    shown: list[Shown] = field(default_factory=list)
    seconds: float = 0.0


def notebooks() -> dict[int, Path]:
    """The notebooks by number: beside the package in a checkout, inside it once installed. UserError without any."""
    inside = Path(str(resources.files("fromnoise"))) / "lab"
    beside = Path(fromnoise.__file__).parents[2] / "lab"
    for folder in (inside, beside):
        found = {int(match[1]): path for path in sorted(folder.glob("*.py")) if (match := NAME.fullmatch(path.name))}
        if found:
            return found
    raise UserError("the lab's notebooks are missing: install fromnoise from a wheel or a whole checkout")


def opening(script: str) -> tuple[str, str]:
    """Title and opening words (HTML) of a notebook: the first Markdown cell of a percent script."""
    match = re.search(r"^# %% \[markdown\]\n((?:#.*\n)+)", script, re.MULTILINE)
    if match is None:
        raise ValueError("a notebook begins with a Markdown cell")
    lines = [line.removeprefix("#").removeprefix(" ") for line in match[1].splitlines()]
    return lines[0].removeprefix("# "), markdown.to_html("\n".join(lines[1:]))


def run(number: int, path: Path, folder: Path) -> Chapter:
    """Run one notebook as a script; its figures are written into `folder`/figures."""
    script = path.read_text(encoding="utf-8")
    chapter = Chapter(number, *opening(script))
    printed = io.StringIO()

    def flush() -> None:
        if text := printed.getvalue().strip("\n"):
            chapter.shown.append(Shown(text))
        printed.seek(0)
        printed.truncate()

    def show(figure: Figure, caption: str) -> None:
        flush()
        name = f"figures/{number}-{1 + sum(item.figure is not None for item in chapter.shown):02}.png"
        style.save(figure, folder / name)
        chapter.shown.append(Shown(caption, name))

    start = time.perf_counter()
    with notebook.showing_to(show), contextlib.redirect_stdout(printed):
        exec(compile(script, str(path), "exec"), {"__name__": "__main__"})
    flush()
    chapter.seconds = time.perf_counter() - start
    return chapter


def run_all(numbers: list[int], folder: Path) -> list[Chapter]:
    """Run notebooks one after the other; raises UserError for a number that no notebook has."""
    there = notebooks()
    for number in numbers:
        if number not in there:
            raise UserError(f"there is no notebook {number}; choose from {', '.join(map(str, there))}")
    chapters = []
    for k, number in enumerate(numbers):
        say(f"notebook {k + 1} of {len(numbers)}: {there[number].stem}")
        chapters.append(run(number, there[number], folder))
    return chapters
