"""`fromnoise upscale`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fromnoise.faces.arguments import parse
from fromnoise.faces.editing import ImageFile, SamplingArguments, edited, read


@dataclass(frozen=True, kw_only=True)
class UpscaleArguments(SamplingArguments):
    """Enlarge an image of half the model's size to the full size. The mean of each 2×2 block is the pixel given.

    fromnoise upscale digits small.png --out large.png
    fromnoise upscale runs/photos small.png --n 16 --out large/

    Each network call is followed by a few backward passes.
    """

    image: ImageFile
    """The image; resized if it is not half as high and half as wide as the model's."""


def main(words: Sequence[str]) -> None:
    """Upscale."""
    arguments = parse(UpscaleArguments, words, "upscale")

    def work(edit: Any, model: Any) -> Any:
        how, height, width = arguments.how(), model.info.height, model.info.width
        given = read(arguments.image, model, (height // 2, width // 2), most=(height, width))
        return edit.upscale(model, given, how)

    edited(arguments, work)
