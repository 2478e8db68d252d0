"""Helpers of the lab's notebooks: a setting, the digit model's folder, and a place for figures.

A notebook shows a figure with `show(figure, caption, alt)`. In Jupyter and Colab it appears under the cell;
`fromnoise lab` runs the same notebooks without Jupyter and makes a page, handouts or slides of what they show.
"""

import base64
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from fromnoise.faces import style
from fromnoise.lookup import lookup

SETTING = "FROMNOISE_LAB"  # environment variable: quick or full
RUN = "FROMNOISE_LAB_RUN"  # environment variable: the run to use, or to train
Value = TypeVar("Value")


@dataclass(frozen=True)
class Shown:
    """A figure, its caption, and a description for those who cannot see it."""

    figure: Figure
    caption: str
    alt: str

    @cached_property
    def kind(self) -> str:
        """The picture's type: of pixels image/png, of lines image/svg+xml."""
        return "image/png" if style.is_of_pixels(self.figure) else "image/svg+xml"

    @cached_property
    def content(self) -> bytes:
        """The bytes of the picture's file."""
        if self.kind == "image/png":
            return style.png(self.figure, style.FINE)
        return style.svg(self.figure, transparent=False, title=self.alt)

    @property
    def ending(self) -> str:
        """The suffix of the picture's file."""
        return ".png" if self.kind == "image/png" else ".svg"

    @property
    def width(self) -> int:
        """The width to show it at, in CSS pixels."""
        return round(96 * self.figure.get_size_inches()[0])

    def bundle(self) -> tuple[dict[str, str], dict[str, Any]]:
        """The picture's data and metadata in the form of a notebook's output."""
        png = self.kind == "image/png"
        data = base64.b64encode(self.content).decode("ascii") if png else self.content.decode("utf-8")
        return {self.kind: data}, {self.kind: {"alt": self.alt, "width": self.width}}

    def html(self) -> str:
        """The picture as HTML that needs no other file."""
        data = base64.b64encode(self.content).decode("ascii")
        return f'<img src="data:{self.kind};base64,{data}" width="{self.width}" alt="{escape(self.alt)}">'


_showing: list[Callable[[Shown], None]] = []


def setting() -> str:
    """How much the notebooks compute, from $FROMNOISE_LAB: `quick` (the default) or `full`; UserError for others."""
    return lookup(f"${SETTING}", os.environ.get(SETTING, "quick"), {"quick": "quick", "full": "full"})


def run_folder() -> Path:
    """The run folder of the lab's digit model: $FROMNOISE_LAB_RUN, or runs/lab-quick, runs/lab-full."""
    return Path(os.environ.get(RUN) or f"runs/lab-{setting()}")


def show(figure: Figure, caption: str, alt: str = "") -> None:
    """Show a figure with its caption, in the notebook or to the receiver of `showing_to`; `alt` describes it."""
    shown = Shown(figure, caption, alt or caption)
    if _showing:
        _showing[-1](shown)
        return
    from IPython.display import Markdown, display

    data, metadata = shown.bundle()
    display(data, metadata=metadata, raw=True)
    display(Markdown(f"*{caption}*"))


def follow(
    draw: Callable[[Value], Figure], name: str, values: Sequence[Value], caption: str, alt: str, at: Value | None = None
) -> None:
    """Show draw(value), a figure that follows a slider over `values` where Jupyter has ipywidgets.

    Elsewhere it is the figure `at` one of them, the middle one by default.
    """
    at = values[len(values) // 2] if at is None else at
    if _showing or importlib.util.find_spec("ipywidgets") is None:
        show(draw(at), f"{caption} Here {name} = {at}; in Jupyter with ipywidgets there is a slider.", alt)
        return
    from IPython.display import Markdown, display
    from ipywidgets import HTML, SelectionSlider

    def picture(value: Value) -> str:
        return Shown(draw(value), caption, alt).html()

    slider = SelectionSlider(options=values, value=at, description=name, continuous_update=False)
    shown = HTML(picture(at))  # not ipywidgets' own Output, for which nbclient waits until it gives up
    slider.observe(lambda change: setattr(shown, "value", picture(change["new"])), "value")
    display(slider, shown, Markdown(f"*{caption}*"))


@contextmanager
def showing_to(receive: Callable[[Shown], None]) -> Iterator[None]:
    """Hand what is shown inside the block to `receive` instead."""
    _showing.append(receive)
    try:
        yield
    finally:
        _showing.pop()
