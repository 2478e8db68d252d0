"""`fromnoise inpaint`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from fromnoise.faces.editing import ImageFile, SamplingArguments, load, read, read_mask, write


@dataclass(frozen=True, kw_only=True)
class InpaintArguments(SamplingArguments):
    """Fill in part of an image to match the rest.

    The rest stays the same byte for byte, except that colours of half-transparent pixels may be rounded.

    fromnoise inpaint digits seven.png --mask hole.png --out whole.png
    fromnoise inpaint runs/photos photo.png --mask hole.png --n 16 --out whole/

    Each network call is followed by a few backward passes.
    """

    image: ImageFile
    """The image; resized if it is not the model's size."""
    mask: Annotated[Path, arg(metavar="MASK")]
    """An opaque image of the same proportions: white where the model should fill in, black elsewhere."""


def main(arguments: InpaintArguments) -> None:
    """Inpaint."""
    model, how = load(arguments), arguments.how()

    from fromnoise.generation.edit import inpaint

    image, fill = read(arguments.image, model), read_mask(arguments.mask, model, arguments.image)
    write(arguments, inpaint(model, image, fill, how))
