"""`fromnoise interpolate`."""

from dataclasses import dataclass

from fromnoise.faces.editing import EditArguments, ImageFile, load, read, write


@dataclass(frozen=True, kw_only=True)
class InterpolateArguments(EditArguments):
    """Blend one image into another in n images, both ends included, by blending the noise that each comes from.

    fromnoise interpolate digits three.png eight.png --out path.png
    fromnoise interpolate runs/photos a.png b.png --n 100 --out film/
    """

    first: ImageFile
    """The first image; resized if it is not the model's size."""
    last: ImageFile
    """The last image."""
    n: int = 8
    """Number of images, including the first and the last."""


def main(arguments: InterpolateArguments) -> None:
    """Interpolate."""
    model = load(arguments)

    from fromnoise.generation.edit import interpolate

    first, last = (read(path, model) for path in (arguments.first, arguments.last))
    write(arguments, interpolate(model, first, last, arguments.n, arguments.label))
