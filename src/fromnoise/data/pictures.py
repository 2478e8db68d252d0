"""PNG pictures for people."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from fromnoise.data.colour import KINDS, on_board
from fromnoise.files import whole
from fromnoise.say import say

GAP = 2  # pixels between images
ZOOM = 2
GROUND = 128
LETTERS = 9  # pixels, of a caption
MOST_LETTERS = 200  # of a caption


def grid(
    images: UInt8[Tensor, "n c h w"], columns: int | None = None, *, gap: int = GAP, zoom: int = ZOOM
) -> Image.Image:
    """The images side by side, as near to a square as fits, each pixel doubled, on a mid-grey ground.

    Transparent ones lie on a light chequerboard. Of channels without colours the first three are shown as RGB; of
    two, the first.
    """
    images = _shown(images)
    n, c, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    h, w = h * zoom, w * zoom
    canvas = torch.full((c, rows * (h + gap) + gap, columns * (w + gap) + gap), GROUND, dtype=torch.uint8)
    for k, image in enumerate(images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)):
        top, left = gap + k // columns * (h + gap), gap + k % columns * (w + gap)
        canvas[:, top : top + h, left : left + w] = image
    array = canvas.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if c == 1 else array)


def captioned(images: UInt8[Tensor, "n c h w"], captions: Sequence[str], columns: int | None = None) -> Image.Image:
    """`grid` with a line below each image, cut to its width; the plain grid for no captions."""
    if not captions:
        return grid(images, columns)
    n, _, h, w = images.shape
    room = (LETTERS + 3) // ZOOM
    columns = columns or math.ceil(math.sqrt(n))
    picture = grid(F.pad(_shown(images), (0, 0, 0, room), value=GROUND), columns)
    draw, font = ImageDraw.Draw(picture), ImageFont.truetype(_font_file(), LETTERS)
    across, down = w * ZOOM + GAP, (h + room) * ZOOM + GAP
    for k, caption in enumerate(captions):
        at = GAP + k % columns * across + w * ZOOM / 2, k // columns * down + GAP + h * ZOOM
        draw.text(at, _cut(caption, font, w * ZOOM), fill="black", font=font, anchor="ma")
    return picture


def save_grid(
    path: Path, images: UInt8[Tensor, "n c h w"], columns: int | None = None, *, captions: Sequence[str] = ()
) -> None:
    """Write `captioned` as a PNG, whole or not at all; a line says if it does not show all channels."""
    if images.shape[1] not in KINDS:
        say(f"{path}: shows channel{'s 1 to 3' if images.shape[1] > 2 else ' 1'} of {images.shape[1]}")
    with whole(path) as temporary:
        captioned(images, captions, columns).save(temporary, format="PNG")


def _shown(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n k h w"]:
    if images.shape[1] == 4:
        return on_board(images)
    return images[:, :3] if images.shape[1] > 2 else images[:, :1]


def has_letters(text: str) -> bool:
    """Whether captions can show all letters of a text; they lack those of Chinese and Japanese, and emoji."""
    return all(ord(letter) in _letters() for letter in text if not letter.isspace())


@cache
def _letters() -> frozenset[int]:
    """The characters that the captions' font has."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(_font_file()).get_charmap())


def _font_file() -> str:
    from matplotlib import get_data_path  # its font has letters that Pillow's own lacks, such as ö and ж

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as fits with an ellipsis."""
    text = " ".join(text.split())
    kept = text[:MOST_LETTERS]  # measured with one letter less each time
    while kept and font.getlength(kept if kept == text else f"{kept}…") > width:
        kept = kept[:-1]
    return text if kept == text else f"{kept}…"
