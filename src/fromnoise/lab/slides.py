"""Slides: one PDF page for each figure of the lab, with its caption below it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.style import context

from fromnoise.faces import style
from fromnoise.files import whole
from fromnoise.lab.notebook import Shown
from fromnoise.lab.running import Chapter

CHARACTERS = 14  # of a caption's line, for each inch of the figure


def write(chapters: Sequence[Chapter], folder: Path) -> None:
    """Write NAME.pdf for each notebook into the folder."""
    for chapter in chapters:
        with whole(folder / f"{chapter.notebook.name}.pdf") as temporary, PdfPages(temporary) as pages:
            for shown in chapter.figures:
                _page(shown, pages)


def _page(shown: Shown, pages: PdfPages) -> None:
    width = int(CHARACTERS * shown.figure.get_size_inches()[0])
    with context(["default", style.STYLE]):
        caption = shown.figure.text(0.01, -0.03, textwrap.fill(shown.caption, width), va="top", fontsize=10)
        pages.savefig(shown.figure, bbox_inches="tight", pad_inches=0.2, dpi=style.FINE)
        caption.remove()
