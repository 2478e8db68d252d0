"""What the lab's notebooks need besides the library: a setting, the digit model's folder, and a place for figures.

A notebook shows a figure with `show(figure, caption)`. In Jupyter and Colab it appears under the cell;
`fromnoise lab` runs the same notebooks without Jupyter and puts what they show on one page.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure

from fromnoise.faces.figures import style
from fromnoise.lookup import lookup

SETTING = "FROMNOISE_LAB"  # environment variable: quick or full
RUN = "FROMNOISE_LAB_RUN"  # environment variable: the run to use, or to train
Shown = Callable[[Figure, str], None]
_shown: list[Shown] = []


def setting() -> str:
    """How much the notebooks compute, from $FROMNOISE_LAB: `quick` (the default) or `full`; UserError for others."""
    return lookup(f"${SETTING}", os.environ.get(SETTING, "quick"), {"quick": "quick", "full": "full"})


def run_folder() -> Path:
    """The run folder of the lab's digit model: $FROMNOISE_LAB_RUN, or runs/lab-quick, runs/lab-full."""
    return Path(os.environ.get(RUN) or f"runs/lab-{setting()}")


def show(figure: Figure, caption: str) -> None:
    """Show a figure with its caption: in the notebook, or to whatever `showing_to` named."""
    if _shown:
        _shown[-1](figure, caption)
        return
    from IPython.display import Image, Markdown, display

    display(Image(style.png(figure)), Markdown(f"*{caption}*"))


@contextmanager
def showing_to(shown: Shown) -> Iterator[None]:
    """Hand what is shown inside the block to `shown` instead."""
    _shown.append(shown)
    try:
        yield
    finally:
        _shown.pop()
