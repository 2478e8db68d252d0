"""Figures of images: pictures in rows and grids, how many there are of each class."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fromnoise.faces.style import BLUE, QUIET, VERMILION, Look, bare, panels, styled

GAP = 3  # pixels between pictures
NOTE = 0.34  # height of a line of text below a picture, in heights of a picture

Rows = Sequence[tuple[str, UInt8[Tensor, "n c h w"]]]


@styled
def picture_rows(
    rows: Rows, columns: Sequence[str] = (), notes: Sequence[Sequence[str]] = (), *, side: float = 1.05
) -> Figure:
    """Rows of pictures, `side` inches each: named at the left, titled above, with `notes`, by row, below each."""
    most = max(len(images) for _, images in rows)
    _, _, h, w = rows[0][1].shape
    tall, wide = h + GAP + (round(NOTE * h) if notes else 0), w + GAP
    lines = max((column.count("\n") + 1 for column in columns), default=0)
    figure, (axis,) = panels(1, 1, (most * side + 1.5, len(rows) * tall / h * side + 0.32 * lines))
    figure.set_layout_engine("compressed")  # what suits a fixed shape: the other cuts labels
    _show(axis, [images for _, images in rows], tall, wide)
    axis.set_yticks([r * tall + h / 2 - 0.5 for r in range(len(rows))], [name for name, _ in rows])
    axis.set_xticks([k * wide + w / 2 - 0.5 for k in range(len(columns))], columns)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    for r, texts in enumerate(notes):
        for k, text in enumerate(texts):
            axis.text(k * wide + w / 2 - 0.5, r * tall + h + 0.5, text, ha="center", va="top", fontsize=10.5)
    return figure


@styled
def picture_grid(images: UInt8[Tensor, "n c h w"], columns: int | None = None) -> Figure:
    """Pictures side by side, as near to a square as fits where the number of columns is not given."""
    n, _, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    figure, (axis,) = panels(1, 1, (columns * 0.62, math.ceil(n / columns) * 0.62))
    _show(axis, images.split(columns), h + GAP, w + GAP)
    return figure


@styled
def class_counts(
    balanced: Sequence[int], random: Sequence[int], expected: Sequence[float], spread: Sequence[float]
) -> Figure:
    """Images of each class in a balanced and in a random subset, with the random one's mean and ± 2 deviations."""
    figure, (axis,) = panels(1, 1, (7.4, 3.6))
    classes = np.arange(len(balanced))
    axis.bar(classes, balanced, 0.7, color="#d5e4ee", edgecolor=BLUE, label="balanced subset")
    expectation: Look = {"label": "expected of a random subset, ± 2 deviations", "ecolor": QUIET, "capsize": 4}
    axis.errorbar(classes + 0.12, expected, 2 * np.asarray(spread), fmt="none", **expectation)
    axis.plot(classes - 0.12, random, "D", color=VERMILION, markersize=7, label="one random subset")
    axis.set(xticks=classes, xlabel="class", ylabel="images", ylim=(0, 1.45 * max(*balanced, *random)))
    axis.legend(loc="upper center", ncols=2)
    return figure


def _show(axis: Axes, rows: Sequence[UInt8[Tensor, "n c h w"]], tall: int, wide: int) -> None:
    """Rows of images on white, one every `tall` pixels down and every `wide` across."""
    _, c, h, w = rows[0].shape
    canvas = np.full((len(rows) * tall - GAP, max(map(len, rows)) * wide - GAP, c), 255, dtype=np.uint8)
    for r, images in enumerate(rows):
        for k, image in enumerate(images.cpu().permute(0, 2, 3, 1).numpy()):
            canvas[r * tall : r * tall + h, k * wide : k * wide + w] = image
    axis.imshow(canvas[..., 0] if c == 1 else canvas, cmap="gray", vmin=0, vmax=255)
    bare(axis)
