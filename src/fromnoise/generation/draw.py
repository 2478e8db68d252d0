"""Drawing any number of images: image k of seed s is the same however many are drawn with it.

Every image has noise of its own, keyed by (seed, k), and goes through the network in a micro-batch of fixed size.
In sixteen bits the last micro-batch is filled up, since kernels round differently for another batch size; float32's
differences do not reach the eighth bit.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.data.pixels import quantise
from fromnoise.diffusion.denoiser import Denoiser, guided
from fromnoise.diffusion.samplers import Callback, levels_for, sampler, start
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.generation.precision import autocast, precisions
from fromnoise.moving import channels_last
from fromnoise.threads import following

MICRO_BATCH = 64
GOLDEN = (5**0.5 - 1) / 2
# Guidance where neither the settings name one nor the model has its own: of one that learnt too little to choose.
BY_CLASS, BY_CLUSTER = 1.5, 2.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Drawing:
    """A drawing to be made: `n` images numbered from `first`, and how.

    label      a class for all; without it each image's class follows the training data's shares
    guidance   how much a class counts (`guided`); 1 is the model as trained, None what the sampler's settings say
    precision  fp32, or bf16 or fp16 by autocast

    Raises UserError for less than one image, or a negative `first`.
    """

    n: int
    seed: int = 0
    first: int = 0
    label: int | None = None
    guidance: float | None = None
    precision: str = "fp32"
    sampler: SamplerSettings | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserError(f"cannot draw {self.n} images")
        if self.first < 0:
            raise UserError(f"images are numbered from 0: not {self.first}")


def labels_for(model: Model, drawing: Drawing) -> Int64[Tensor, " n"] | None:
    """The class, or cluster, of each image, or None for a model without.

    Raises UserError for a label or guidance that the model cannot follow. Classes follow the training data's
    shares evenly: image k takes the class at quantile frac((k + ½)·golden ratio), a low-discrepancy sequence.
    """
    classes = model.shape.classes
    if not classes:
        if drawing.label is not None or drawing.guidance not in (None, 1.0):
            raise UserError("this model was trained without classes: leave --label and --guidance away")
        return None
    if drawing.label is not None:
        if not 0 <= drawing.label < classes:
            raise UserError(f"--label {drawing.label}: this model has {model.shape.told}, counted from 0")
        if not model.shape.class_shares[drawing.label]:
            raise UserError(f"--label {drawing.label}: there was no image of this class in training")
        return torch.full((drawing.n,), drawing.label)
    quantiles = (np.arange(drawing.first, drawing.first + drawing.n) + 0.5) * GOLDEN % 1.0
    edges = np.cumsum(model.shape.class_shares)
    return torch.from_numpy(np.searchsorted(edges / edges[-1], quantiles, side="right"))


def draw(
    model: Model,
    drawing: Drawing,
    device: torch.device | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
) -> Iterator[UInt8[Tensor, "k c h w"]]:
    """The images of a drawing, micro-batch after micro-batch, on the CPU.

    `callback` sees every sampler step of the first micro-batch (padding included); `progress` is told of steps done and
    to do. Raises UserError before any work for what the model cannot do.
    """
    settings = drawing.sampler or model.config.sampling
    if drawing.guidance is not None:
        if drawing.guidance != 1.0 and model.shape.classes and not takes_guidance(model):
            raise UserError("this model was never shown an image without its class, as guidance needs: leave it away")
        settings = dataclasses.replace(settings, guidance=drawing.guidance)
    if settings.guidance is not None and not math.isfinite(settings.guidance):
        raise UserError(f"guidance is a number: not {settings.guidance}")
    device = device or torch.device("cpu")
    levels = levels_for(settings, model.table, model.shape.scale)
    run = sampler(settings)
    labels = labels_for(model, drawing)
    network = model.network.to(device).eval()
    if model.channels_last:
        network = channels_last(network)
    denoiser = model.denoiser(network)
    done, total = 0, -(-drawing.n // MICRO_BATCH) * (len(levels) - 1)

    def work() -> Iterator[Tensor]:
        nonlocal done
        with following(network):
            for before in range(0, drawing.n, MICRO_BATCH):
                size = min(MICRO_BATCH, drawing.n - before)
                rows = size if drawing.precision == "fp32" and device.type == "cpu" else MICRO_BATCH
                numbers = range(drawing.first + before, drawing.first + before + rows)
                label = None if labels is None else _padded(labels[before : before + size], rows).to(device)
                noise = _noise(model, drawing.seed, numbers, "start")

                def visit(seen: object, before: int = before) -> None:
                    nonlocal done
                    done += 1
                    if callback and before == 0:
                        callback(seen)  # type: ignore[arg-type]
                    if progress:
                        progress(done, total)

                with torch.inference_mode(), autocast(device, drawing.precision):
                    x = run(
                        _bound(model, denoiser, label, settings),
                        start(settings, levels[0], noise, model.shape.mean).to(device),
                        levels,
                        lambda k, numbers=numbers: _noise(model, drawing.seed, numbers, k).to(device),
                        visit,
                    )
                    images = quantise(x[:size]).cpu()
                yield images

    return work()


def draw_all(
    model: Model,
    drawing: Drawing,
    device: torch.device | None = None,
    progress: Progress | None = None,
    callback: Callback | None = None,
) -> UInt8[Tensor, "n c h w"]:
    """All images of a drawing (`draw`) as one tensor."""
    return blocks.join(draw(model, drawing, device, callback, progress), drawing.n)


def own_precision(model: Model, device: torch.device) -> str:
    """The precision a model was trained in where the device computes in it, else fp32: no measurement, so that the
    same machine always draws the same images."""
    return model.precision if model.precision in precisions(device) else "fp32"


def network_calls(model: Model, settings: SamplerSettings) -> int:
    """The network's calls for each image: one at each level that the sampler visits, one more where it is guided."""
    levels = levels_for(settings, model.table, model.shape.scale)[:-1]
    if guidance_of(model, settings) == 1.0:
        return len(levels)
    least, most = _interval(model, settings)
    return len(levels) + int(((levels >= least) & (levels <= most)).sum())


def takes_guidance(model: Model) -> bool:
    """Whether the model knows classes and was shown images without them too, as guidance needs."""
    return bool(model.shape.classes and model.config.network.label_dropout)


def guidance_of(model: Model, settings: SamplerSettings) -> float:
    """How much class or cluster counts for this model, drawn from as `settings` say; 1 where it cannot be guided."""
    if not takes_guidance(model):
        return 1.0
    if settings.guidance is not None:
        return settings.guidance
    if model.guidance is not None:
        return model.guidance
    return BY_CLUSTER if model.shape.clustered else BY_CLASS


def _interval(model: Model, settings: SamplerSettings) -> tuple[float, float]:
    """The levels of guidance, for the model's data."""
    shift = 2 * math.log(model.shape.scale)
    return settings.guidance_interval[0] - shift, settings.guidance_interval[1] - shift


def _bound(
    model: Model, denoiser: Denoiser, label: Tensor | None, settings: SamplerSettings
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    if label is None:
        return denoiser
    call: Callable[..., tuple[Tensor, Tensor]] = denoiser
    weight = guidance_of(model, settings)
    if weight != 1.0:
        call = guided(denoiser, model.shape.classes, weight, _interval(model, settings))
    return lambda x, logsnr: call(x, logsnr, label)


def _noise(model: Model, seed: int, numbers: range, step: int | str) -> Float[Tensor, "n c h w"]:
    return torch.stack([rng.normal(model.shape.image, seed, "image", k, step) for k in numbers])


def _padded(labels: Tensor, rows: int) -> Tensor:
    return torch.cat([labels, labels[-1:].expand(rows - len(labels))])
