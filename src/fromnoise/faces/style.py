"""One quiet style for all figures: legible when projected and in greyscale, safe for the colour-blind.

Every figure function returns a `Figure` and draws under this style whatever the user's own settings are; none
needs pyplot or a screen. Lines differ in their dashes as well as in colour.
"""

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.style import context
from matplotlib.ticker import LogLocator, NullLocator

# Okabe & Ito (2008), from dark to light, so that greyscale keeps the order.
BLACK, BLUE, VERMILION, GREEN, SKY, ORANGE = "#000000", "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#e69f00"
PINK = "#cc79a7"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, SKY, BLACK, PINK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = "os^Dv<>"
QUIET = "#8a8a8a"  # reference lines and whatever only helps to read
DENSITY = "cividis"  # even steps of lightness, the same for all eyes
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 12.0,
    "axes.titlesize": 12.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
    "axes.grid": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": 11.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.cmap": DENSITY,
    "mathtext.fontset": "dejavusans",
}
DPI = 110
FINE = 200  # dots per inch, for pictures of pixels that are printed and projected
MANY = 3000  # marks: more are smaller as a picture of pixels than as one of lines
PANEL = (4.6, 3.4)  # inches
APART = 1.09  # a tick on a logarithmic axis over the one before

Look = dict[str, Any]
"""Keyword arguments of what matplotlib draws."""
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A figure function that draws under `STYLE`."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with context(["default", STYLE]):
            return draw(*args, **kwargs)

    return drawn


def panels(
    columns: int = 1, rows: int = 1, size: tuple[float, float] = PANEL, *, square: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of columns × rows panels of `size` inches each, and its axes row by row; `square` for planes."""
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes if square else []:
        axis.set_aspect("equal")
    return figure, axes


def bare(axis: Axes) -> None:
    """No ticks and no frame, for pictures."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def counts(axis: Axes, values: Sequence[int]) -> None:
    """Ticks of a logarithmic horizontal axis at just these rising whole numbers, less those that would overlap."""
    apart: list[int] = []
    for value in values:
        if not apart or value >= APART * apart[-1]:
            apart.append(value)
    axis.set_xticks(apart, labels=[f"{value:,}" for value in apart])
    axis.xaxis.set_minor_locator(NullLocator())


def log_scale(axis: Axes) -> None:
    """A logarithmic vertical axis with ticks at 1, 2 and 5, for losses that fall by less than a decade."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")


def is_of_pixels(figure: Figure) -> bool:
    """Whether a figure is better kept as pixels: it holds an image, or very many marks."""
    artists = figure.findobj()
    marks = sum(np.shape(artist.get_offsets())[0] for artist in artists if isinstance(artist, PathCollection))
    return marks > MANY or any(isinstance(artist, AxesImage | QuadMesh) for artist in artists)


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with context(["default", STYLE]):
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(figure: Figure, *, transparent: bool = True, title: str | None = None) -> bytes:
    """The figure as the bytes of an SVG file, letters as outlines; `transparent`: the page's ground shows through."""
    buffer = io.BytesIO()
    about = {"Date": None, "Creator": None} | ({} if title is None else {"Title": title})
    with context(["default", STYLE, {"svg.hashsalt": "fromnoise"}]):  # the same figure, the same bytes
        figure.savefig(buffer, format="svg", transparent=transparent, metadata=about)
    return buffer.getvalue()
