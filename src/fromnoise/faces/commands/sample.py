"""`fromnoise sample`."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fromnoise.config import check_ranges
from fromnoise.diffusion.settings import SamplerName, Spacing, Start
from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, Threads, folder_is_new, parse, refuse_existing

if TYPE_CHECKING:
    from torch import Tensor

    from fromnoise.diffusion.settings import SamplerSettings
    from fromnoise.generation.model import Model


@dataclass(frozen=True)
class SampleArguments:
    """Draw images from a trained model. Image k of a seed is the same however many are drawn with it.

    fromnoise sample digits --n 64 --out digits.png            # the packaged model: nothing to train first
    fromnoise sample runs/digits --n 64 --out digits.png
    fromnoise sample runs/digits --n 10000 --out digits.npz --seed 1
    fromnoise sample runs/digits --n 100 --out sevens/ --label 7
    fromnoise sample runs/digits --n 1000 --out new.npz --reject-copies
    """

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a checkpoint in it, a model.safetensors file, or digits, the packaged model."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE|DIR")]
    """NAME.png for one grid, NAME.npz for an array (arr_0, uint8, N×H×W×C), anything else for a folder of PNG files."""
    n: int = 64
    """How many images."""
    seed: int = 0
    """Seed of the images' noise."""
    first: int = 0
    """Number of the first image: --first 100 --n 100 goes on where --n 100 ended."""
    label: int | None = None
    """Draw this class only, or this cluster of a model trained without classes."""
    guidance: float | None = None
    """How much class or cluster counts (classifier-free guidance): 1 as learnt, 2 makes it plainer; default: the
    model's."""
    guidance_interval: tuple[float, float] | None = None
    """λ between which there is guidance; the model's own when not given."""
    sampler: SamplerName | None = None
    """Sampler; the model's own when not given."""
    steps: int | None = None
    """Network calls for each image, without those of guidance; the model's own when not given."""
    spacing: Spacing | None = None
    """Which levels are visited; the model's own when not given."""
    logsnr_range: tuple[float, float] | None = None
    """λ of the first and the last network call (not with --spacing t); the model's own when not given."""
    start: Start | None = None
    """Begin at noise, or at the noised mean of the data; the model's own when not given."""
    eta: float | None = None
    """Noise put back by ddim: 0 deterministic, 1 ancestral."""
    variance: Literal["posterior", "forward"] | None = None
    """Variance of ancestral steps."""
    reject_copies: bool = False
    """Replace images that lie closer to the run's training images, in pixels, than 99 in 100 real images that it
    never saw. Replacements are numbered on from the last image: they change with --n, and going on with --first
    may draw them again. RUN must be a run folder."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: what the model was trained in, where this machine has it; images differ a little between precisions."""
    device: Device = "auto"
    """Where to compute."""
    threads: Threads = None
    """CPU threads to use; default: all, and fewer while other processes are busy."""
    overwrite: bool = False
    """Replace the file FILE if it is there."""


def main(words: Sequence[str]) -> int:
    """Sample; returns the exit code."""
    arguments = parse(SampleArguments, words, "sample")
    check_ranges(arguments)
    check_ranges(arguments.steps, lambda name: "--steps", "sampling_steps")
    file = arguments.out.suffix.lower() in (".png", ".npz")
    if arguments.out.suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".npy"):
        raise UserError(f"{arguments.out}: images are written as .png, .npz, or into a folder")
    if str(arguments.out) == "-":
        raise UserError("--out -: images go to a .png, an .npz or a folder, not to stdout")
    if file:
        refuse_existing(arguments.out, arguments.overwrite)
    else:
        folder_is_new(arguments.out)

    from fromnoise.data import arrays, folder
    from fromnoise.data.pictures import save_grid
    from fromnoise.experiment.find import find_model
    from fromnoise.faces.console import Bar, say
    from fromnoise.generation.draw import Drawing, draw_all, labels_for, own_precision
    from fromnoise.generation.model import Model
    from fromnoise.training.device import alone

    model = Model.load(find_model(arguments.source))
    settings = _sampler(arguments, model)
    device = alone(arguments.device, arguments.threads).device
    drawing = Drawing(
        arguments.n, arguments.seed, arguments.first, arguments.label, arguments.guidance, "fp32", settings
    )
    labels = labels_for(model, drawing)
    if arguments.guidance_interval and labels is None:
        raise UserError("this model was trained without classes: leave --guidance-interval away")
    precision: str = arguments.precision
    if precision == "auto":
        precision = own_precision(model, device)
    drawing = dataclasses.replace(drawing, precision=precision)

    def draw(drawing: Drawing) -> "Tensor":
        with Bar("sampling") as bar:
            return draw_all(model, drawing, device, bar.show)

    if arguments.reject_copies:
        from fromnoise.experiment.reject import draw_without_copies, guard_of  # imports scipy.stats

        images, replaced = draw_without_copies(draw, drawing, labels, guard_of(arguments.source, say).is_copy)
        say(f"{arguments.n + replaced:,} images drawn, {replaced:,} rejected as copies of training images")
    else:
        images = draw(drawing)
    if arguments.out.suffix.lower() == ".png":
        save_grid(arguments.out, images)
    elif arguments.out.suffix.lower() == ".npz":
        arrays.save(arguments.out, images, None if model.shape.clustered else labels)
    else:
        folder.save(arguments.out, images, first=arguments.first)
    print(arguments.out)
    return 0


def _sampler(arguments: SampleArguments, model: "Model") -> "SamplerSettings":
    return model.config.sampling.but(
        sampler=arguments.sampler,
        sampling_steps=arguments.steps,
        spacing=arguments.spacing,
        logsnr_range=arguments.logsnr_range,
        start=arguments.start,
        guidance_interval=arguments.guidance_interval,
        eta=arguments.eta,
        variance=arguments.variance,
    )
