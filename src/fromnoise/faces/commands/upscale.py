"""`fromnoise upscale`."""

from dataclasses import dataclass

from fromnoise.faces.editing import ImageFile, SamplingArguments, load, read, write


@dataclass(frozen=True, kw_only=True)
class UpscaleArguments(SamplingArguments):
    """Enlarge an image of half the model's size to the full size. The mean of each 2×2 block is the pixel given (in
    RGBA, of colours times alpha).

    fromnoise upscale digits small.png --out large.png
    fromnoise upscale runs/photos small.png --n 16 --out large/

    Each network call is followed by a few backward passes.
    """

    image: ImageFile
    """The image; resized if it is not half as high and half as wide as the model's."""


def main(arguments: UpscaleArguments) -> None:
    """Upscale."""
    model, how = load(arguments), arguments.how()

    from fromnoise.generation.edit import upscale

    half = model.info.height // 2, model.info.width // 2
    write(arguments, upscale(model, read(arguments.image, model, half), how))
