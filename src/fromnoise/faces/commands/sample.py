"""`fromnoise sample`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fromnoise.diffusion.settings import Calls, Guidance, SamplerName, Spacing
from fromnoise.faces.arguments import Device, ModelSource, Overwrite, Threads, refuse_unwritable_images
from fromnoise.limits import Limits

ASKED = "n per_class seed first label guidance guidance_interval sampler spacing logsnr_range precision reject_copies"
"""Arguments that `sampled` takes as they are."""


@dataclass(frozen=True)
class SampleArguments:
    """Sample images from a trained model. For a given seed, image k is the same, however many are sampled.

    fromnoise sample digits --n 64 --out digits.png   # the packaged model
    fromnoise sample runs/digits --n 64 --out digits.png
    fromnoise sample runs/digits --n 10000 --out digits.npz --seed 1
    fromnoise sample runs/digits --n 100 --out sevens/ --label 7
    fromnoise sample runs/pets --per-class 10 --out pets.png
    fromnoise sample runs/digits --n 1000 --out new.npz --reject-copies
    """

    source: ModelSource
    out: Annotated[Path, tyro.conf.arg(metavar="FILE|DIR")]
    """NAME.png for the image, or for a grid of several; NAME.npz for an array (arr_0, uint8, N×H×W×C); any other name
    for a folder of PNG files, with sub-folders if there are several named classes."""
    n: int | None = None
    """Number of images; default: 64."""
    per_class: Annotated[int, Limits(1)] | None = None
    """Instead of --n: this many images of each class; classes alternate from image to image."""
    seed: int = 0
    """Seed of the noise."""
    first: int = 0
    """Number of the first image: --first 100 continues after --n 100."""
    label: str | None = None
    """Sample this class only, by name or number, or this cluster of a model trained without classes; default:
    all."""
    guidance: Guidance | None = None
    """Strength of classifier-free guidance: 1 for none, more for more typical images; default: the model's."""
    guidance_interval: tuple[float, float] | None = None
    """Guide only between these λ; default: the model's."""
    sampler: SamplerName | None = None
    """Sampler; default: the model's."""
    steps: Calls | None = None
    """Network calls per image, not counting those of guidance; default: the model's."""
    spacing: Spacing | None = None
    """Spacing of the noise levels; default: the model's."""
    logsnr_range: tuple[float, float] | None = None
    """λ of the first and the last network call (not with --spacing t); default: the model's."""
    reject_copies: bool = False
    """Replace images that lie closer to the run's training images, mirrored or not, than 99 % of unseen real ones do.
    RUN must be a run folder. Replacements are numbered after the last image, so they change with --n."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: the precision of the training, if this machine supports it. Images differ slightly between precisions."""
    device: Device = "auto"
    threads: Threads = None
    overwrite: Overwrite = False


def main(arguments: SampleArguments) -> None:
    """Sample."""
    refuse_unwritable_images(arguments.out, arguments.overwrite)
    kind = arguments.out.suffix.lower()

    from fromnoise.data import folder, saving, sources
    from fromnoise.experiment.find import load_model
    from fromnoise.experiment.sample import sampled

    model = load_model(arguments.source, arguments.device, arguments.threads)
    sources.check_outside(arguments.out, model.config.data.data)
    if kind not in (".png", ".npz"):
        folder.check_channels(arguments.out, model.info.channels)
    asked = {name: getattr(arguments, name) for name in ASKED.split()}
    images = sampled(model, arguments.source, sampling_steps=arguments.steps, **asked)
    saving.save(arguments.out, images, first=arguments.first, per_class=arguments.per_class)
    print(arguments.out)
