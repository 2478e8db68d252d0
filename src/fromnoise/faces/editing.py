"""Shared by `vary`, `inpaint`, `upscale` and `interpolate`: arguments, images in, images out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from fromnoise.data.settings import Size
from fromnoise.diffusion.settings import Calls, Guidance
from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, ModelSource, Overwrite, Threads, refuse_unwritable_images
from fromnoise.say import say

if TYPE_CHECKING:
    from jaxtyping import Bool, UInt8
    from torch import Tensor

    from fromnoise.generation.edit import Edit
    from fromnoise.generation.model import Model

ImageFile = Annotated[Positional[Path], arg(metavar="IMAGE")]


@dataclass(frozen=True, kw_only=True)
class EditArguments:
    """Arguments of all four."""

    source: ModelSource
    out: Annotated[Path, arg(metavar="FILE|DIR")]
    """NAME.png for the image, or for a grid of several; NAME.npz for an array (arr_0, uint8, N×H×W×C); any other name
    for a folder of PNG files."""
    label: str | None = None
    """The image's class (name or number) or cluster; default: any."""
    device: Device = "auto"
    threads: Threads = None
    overwrite: Overwrite = False


@dataclass(frozen=True, kw_only=True)
class SamplingArguments(EditArguments):
    """Arguments of the three that sample at random."""

    n: int = 1
    """Number of results."""
    seed: int = 0
    """Seed of the noise."""
    guidance: Guidance | None = None
    """Strength of classifier-free guidance by --label; default: the model's."""
    steps: Calls | None = None
    """Network calls per image, not counting those of guidance; default: the model's for vary, 20 for inpaint and
    upscale."""

    def how(self) -> "Edit":
        """The same for the model; raises UserError for guidance without a label."""
        from fromnoise.generation.edit import Edit

        return Edit(self.n, self.seed, self.label, self.guidance, self.steps)


def load(arguments: EditArguments) -> "Model":
    """The model to edit with, on its device; raises UserError for what it cannot do, and for a taken `out`."""
    refuse_unwritable_images(arguments.out, arguments.overwrite)

    from fromnoise.data.colour import KINDS, kind
    from fromnoise.experiment.find import load_model

    model = load_model(arguments.source, arguments.device, arguments.threads)
    if model.info.channels not in KINDS:
        raise UserError(
            f"{arguments.source} is a model of images of {kind(model.info.channels)}, and image files hold grey, "
            "RGB or RGBA: edit arrays in Python, with fromnoise.load"
        )
    if arguments.label is not None:
        model.info.label_of(arguments.label)
    return model


def write(arguments: EditArguments, images: "UInt8[Tensor, 'n c h w']") -> None:
    """Write the results, and print where they are."""
    from fromnoise.data import saving
    from fromnoise.data.image_set import ImageSet

    saving.save(arguments.out, ImageSet("edited", images))
    print(arguments.out)


def read(path: Path, model: "Model", size: tuple[int, int] | None = None) -> "UInt8[Tensor, '1 c h w']":
    """The image in a file as the model's training images were read, at the model's size (1×C×H×W).

    Says what was changed. With a `size`, the image is one to be enlarged: it gets that size, and UserError is raised
    if it is larger than the model's images.
    """
    from fromnoise.data import folder
    from fromnoise.generation.edit import as_trained

    info = model.info
    height, width = size or info.image[1:]
    given, changes = folder.load_file(path, Size(height, width, model.config.data.fit), info.range)
    if size is not None:
        (h, w), (tall, wide) = folder.read_file(path).was, info.image[1:]
        if h > tall or w > wide:
            raise UserError(f"{path} is {h}×{w} and the model makes {tall}×{wide}: there is nothing to enlarge")
    if info.range is not None and given.range is None:
        changes.append("read as one of the model's samples: 0 means {:g}, 255 means {:g}".format(*info.range))
    return as_trained(model, given, changes).images


def read_mask(path: Path, model: "Model", image: Path) -> "Bool[Tensor, 'h w']":
    """Where the mask in a file, at the model's size, is more white than black.

    In masks of more than 8 bits white is the largest value. Says how much is white, and what was changed. Raises
    UserError for a transparent mask, and for one of neither the model's size nor the proportions of `image`.
    """
    from fromnoise.data import folder
    from fromnoise.data.colour import with_channels

    size, mask = Size(model.info.height, model.info.width, model.config.data.fit), folder.read_file(path)
    given, changes = folder.load_file(path, size, (0.0, float(mask.pixels.max())))
    (h, w), (height, width) = mask.was, folder.read_file(image).was
    if given.shape[0] == 4:
        raise UserError(f"{path} has transparent parts: paint the parts to fill in white and the others black")
    if (h, w) != size and abs(h * width - w * height) > max(height, width):
        raise UserError(f"{path} is {h}×{w} and {image} is {height}×{width}: give a mask of the image's proportions")
    fill = with_channels(given, 1).images[0, 0] >= 128
    if given.range is not None:
        changes.append(f"white is {given.range[1]:g}")
    if fill.any():
        say(f"{path}: {'; '.join([*changes, f'{100 * fill.double().mean():.0f} % of the image will be filled in'])}")
    return fill
