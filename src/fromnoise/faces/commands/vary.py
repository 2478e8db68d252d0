"""`fromnoise vary`."""

from dataclasses import dataclass
from typing import Annotated

from fromnoise.faces.editing import ImageFile, SamplingArguments, load, read, write
from fromnoise.limits import Limits


@dataclass(frozen=True, kw_only=True)
class VaryArguments(SamplingArguments):
    """Make variants of an image: add noise to it and remove the noise again (SDEdit).

    fromnoise vary digits seven.png --out sevens.png
    fromnoise vary runs/photos photo.png --strength 0.3 --n 100 --out variants/
    """

    image: ImageFile
    """The image; resized if it is not the model's size."""
    strength: Annotated[float, Limits(0, 1)] = 0.5
    """From 0 (the image as it is) to 1 (new samples that have nothing to do with it)."""
    n: int = 8
    """Number of variants."""


def main(arguments: VaryArguments) -> None:
    """Vary."""
    model, how = load(arguments), arguments.how()

    from fromnoise.generation.edit import vary

    write(arguments, vary(model, read(arguments.image, model), arguments.strength, how))
