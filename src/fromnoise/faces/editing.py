"""What `vary`, `inpaint`, `upscale` and `interpolate` share: arguments, images in, images out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from fromnoise.config import check_ranges
from fromnoise.faces.arguments import Device, ModelSource, Overwrite, Threads, refuse_unwritable_images

if TYPE_CHECKING:
    from jaxtyping import Bool, UInt8
    from torch import Tensor

    from fromnoise.generation.edit import Edit
    from fromnoise.generation.model import Model

ImageFile = Annotated[Positional[Path], arg(metavar="IMAGE")]


@dataclass(frozen=True, kw_only=True)
class EditArguments:
    """What all of them ask for."""

    source: ModelSource
    out: Annotated[Path, arg(metavar="FILE|DIR")]
    """NAME.png for the image, or for one grid of several; NAME.npz for an array (arr_0, uint8, N×H×W×C); anything else
    for a folder of PNG files."""
    label: int | None = None
    """The image's class, or cluster; default: any."""
    device: Device = "auto"
    threads: Threads = None
    overwrite: Overwrite = False


@dataclass(frozen=True, kw_only=True)
class DrawArguments(EditArguments):
    """What those ask for that draw at random."""

    n: int = 1
    """Number of results."""
    seed: int = 0
    """Seed of the noise."""
    guidance: float | None = None
    """Strength of classifier-free guidance by --label; default: the model's."""
    steps: int | None = None
    """Network calls per image, not counting those of guidance."""

    def how(self) -> "Edit":
        """The same for the model; raises UserError for what is out of range."""
        from fromnoise.generation.edit import Edit

        check_ranges(self)
        check_ranges(self.steps, lambda name: "--steps", "sampling_steps")
        return Edit(self.n, self.seed, self.label, self.guidance, self.steps)


def edited(arguments: EditArguments, title: str, work: Callable[..., "UInt8[Tensor, 'n c h w']"]) -> None:
    """Write what `work`(model, device, progress) makes, and print where it is."""
    refuse_unwritable_images(arguments.out, arguments.overwrite)

    from fromnoise.data import arrays, folder
    from fromnoise.data.pictures import save_grid
    from fromnoise.experiment.find import find_model
    from fromnoise.faces.console import Bar
    from fromnoise.generation.model import Model
    from fromnoise.training.device import alone

    model = Model.load(find_model(arguments.source))
    device = alone(arguments.device, arguments.threads).device
    with Bar(title) as bar:
        images = work(model, device, bar.show)
    kind = arguments.out.suffix.lower()
    if kind == ".png":
        as_it_is: dict[str, Any] = {"gap": 0, "zoom": 1} if len(images) == 1 else {}
        save_grid(arguments.out, images, **as_it_is)
    elif kind == ".npz":
        arrays.save(arguments.out, images)
    else:
        folder.save(arguments.out, images)
    print(arguments.out)


def read(path: Path, model: "Model", size: tuple[int, int] | None = None) -> "UInt8[Tensor, '1 c h w']":
    """The image in a file in the model's channels and at its size (height, width), or at `size`."""
    return _read(path, model.info.channels, size or model.info.image[1:])


def read_mask(path: Path, model: "Model") -> "Bool[Tensor, 'h w']":
    """Where the image in a file is more white than black, at the model's size."""
    return _read(path, 1, model.info.image[1:])[0, 0] >= 128


def _read(path: Path, channels: int, size: tuple[int, int]) -> "UInt8[Tensor, '1 c h w']":
    """The image in a file; says what was changed of it."""
    from fromnoise.data import folder
    from fromnoise.data.colour import is_grey, with_channels
    from fromnoise.data.resize import resized
    from fromnoise.faces.console import say

    given = folder.load_file(path)
    image = with_channels(resized(given, size), channels)
    changes = [f"{image.was} → {size[0]}×{size[1]}"] if image.was else []
    if channels == 1 and not is_grey(given.images):
        changes.append("colours left out")
    if changes:
        say(f"{path}: {'; '.join(changes)}")
    return image.images
