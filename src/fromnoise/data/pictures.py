"""PNG pictures for people."""

import math
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from fromnoise.data.colour import on_board
from fromnoise.files import whole

GAP = 2  # pixels between images
ZOOM = 2


def grid(
    images: UInt8[Tensor, "n c h w"], columns: int | None = None, *, gap: int = GAP, zoom: int = ZOOM
) -> Image.Image:
    """The images side by side, as near to a square as fits, each pixel doubled, on a mid-grey ground.

    Transparent ones lie on a light chequerboard. Of channels without colours the first three are shown, as RGB, or the
    first of two.
    """
    images = on_board(images) if images.shape[1] == 4 else images[:, :3] if images.shape[1] > 2 else images[:, :1]
    n, c, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    h, w = h * zoom, w * zoom
    canvas = torch.full((c, rows * (h + gap) + gap, columns * (w + gap) + gap), 128, dtype=torch.uint8)
    for k, image in enumerate(images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)):
        top, left = gap + k // columns * (h + gap), gap + k % columns * (w + gap)
        canvas[:, top : top + h, left : left + w] = image
    array = canvas.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if c == 1 else array)


def save_grid(
    path: Path, images: UInt8[Tensor, "n c h w"], columns: int | None = None, *, gap: int = GAP, zoom: int = ZOOM
) -> None:
    """Write `grid` as a PNG, whole or not at all."""
    with whole(path) as temporary:
        grid(images, columns, gap=gap, zoom=zoom).save(temporary, format="PNG")
