"""The lab as a book: words, formulas, code and figures in their order, on one page that fetches nothing."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fromnoise.faces import html
from fromnoise.files import write_file
from fromnoise.lab import markdown
from fromnoise.lab.notebook import Shown
from fromnoise.lab.running import Chapter, Ran

Items = Sequence[tuple[str | Shown, str]]
"""What a cell printed, and the figures that it showed, these with their file, relative to the page."""


@dataclass(frozen=True)
class Block:
    """A cell as the page shows it."""

    words: str = ""
    """As HTML."""
    code: str = ""
    fold: str = ""
    """The line above a fold that holds words, code and, for a solution, what it printed and showed."""
    items: Items = ()
    whole: bool = False
    """Whether the items are in the fold too."""


def write(chapters: Sequence[Chapter], folder: Path, **about: Any) -> None:
    """Write index.html and figures/ into the folder; `about` is what lab.html says of how it was made."""
    (folder / "figures").mkdir()
    blocks = {chapter.notebook.number: list(_blocks(chapter, folder)) for chapter in chapters}
    write_file(folder / "index.html", html.render("lab.html", chapters=chapters, blocks=blocks, **about))


def _blocks(chapter: Chapter, folder: Path) -> Iterator[Block]:
    count = 0
    for k, ran in enumerate(chapter.cells):
        items = []
        for output in ran.outputs:
            file = ""
            if isinstance(output, Shown):
                count += 1
                file = f"figures/{chapter.notebook.number}-{count:02}{output.ending}"
                write_file(folder / file, output.content)
            items.append((output, file))
        if not ran.cell.has("note"):
            yield _block(ran, items, first=k == 0)


def _block(ran: Ran, items: Items, first: bool) -> Block:
    cell = ran.cell
    folds = {"solution": cell.title or "Solution", "hint": "Hint", "setup": "Installation"}
    imports = "Imports" if re.match(r"(import|from) ", cell.source) else ""
    fold = next((fold for tag, fold in folds.items() if cell.has(tag)), imports)
    whole = bool(fold)
    if ran.figures and not whole:
        fold = "Code of the figure"
    if cell.words:
        text = cell.body if first or (whole and cell.title) else cell.source
        return Block(words=_lowered(markdown.to_html(text)), fold=fold, whole=whole)
    return Block(code=cell.body, fold=fold, items=items, whole=whole)


def _lowered(page: str) -> str:
    """Headings one level down: the page's own title and the notebooks' stand above them."""
    return re.sub(r"(</?h)([1-5])>", lambda match: f"{match[1]}{int(match[2]) + 1}>", page)
