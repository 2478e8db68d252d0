"""Sampling any number of images: image k of seed s is the same however many are sampled with it.

Every image has noise of its own, keyed by (seed, k), and goes through the network in a micro-batch of fixed size.
Kernels round differently at another batch size, so in sixteen bits the last micro-batch is filled up. In float32 it is
not: a few pixels may differ by one grey level.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.diffusion.denoiser import guided
from fromnoise.diffusion.samplers import levels_for, sampler, start
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import Callback, Visit
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.hardware import HALVES, autocast, channels_last, precisions
from fromnoise.limits import check_limits
from fromnoise.lookup import lookup
from fromnoise.say import Bar, bar
from fromnoise.threads import following

MICRO_BATCH = 64
MOST = 10**12  # images
GOLDEN = (5**0.5 - 1) / 2
# Guidance if neither the settings nor the model have any: by class after a training too short to choose it.
BY_CLASS, BY_CLUSTER = 1.5, 2.0
GUIDED, GUIDED_LARGE = (-4.0, 2.0), (-7.0, 2.0)
LARGE = 64
"""Pixels of the longer side from which `GUIDED_LARGE` holds: it takes more noise to hide a larger picture."""


@dataclass(frozen=True)
class SampleRequest:
    """Which images to sample, `n` numbered from `first`, and how.

    label      a class for all, by name or number; without it each image's class follows the training data's shares
    even       classes take turns instead: image k gets the k-th class of the training images, cyclically
    guidance   how much a class counts (`guided`); 1: the model as trained, None: as the sampler's settings say
    precision  fp32, or bf16 or fp16 by autocast

    Raises UserError for less than one image or more than `MOST`, a negative `first` or an unknown precision.
    """

    n: int
    seed: int = 0
    first: int = 0
    label: int | str | None = None
    guidance: float | None = None
    precision: str = "fp32"
    sampler: SamplerSettings | None = None
    even: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST:
            raise UserError(f"cannot sample {self.n:,} images")
        if self.first < 0:
            raise UserError(f"images are numbered from 0, not {self.first}")
        lookup("precision", self.precision, {"fp32": None, **HALVES})


def labels_for(model: Model, request: SampleRequest) -> Int64[Tensor, " n"] | None:
    """The class or cluster of each image; None for a model without any.

    Raises UserError for a label or guidance that the model cannot follow. Classes follow the training data's
    shares evenly: image k takes the class at quantile frac((k + ½)·golden ratio), a low-discrepancy sequence. Clusters,
    which only the network knows, are drawn at random by these shares, independently for each image: images without
    labels count as a random draw (`evaluation.design`), so they must be one.
    """
    info = model.info
    if not info.classes:
        if request.label is not None or request.guidance not in (None, 1.0):
            raise UserError("this model was trained without classes: leave out --label and --guidance")
        if request.even:
            raise UserError("this model was trained without classes: use --n instead of --per-class")
        return None
    if request.label is not None:
        return torch.full((request.n,), info.label_of(request.label))
    numbers = np.arange(request.first, request.first + request.n)
    if request.even:
        return torch.from_numpy(np.array(info.present)[numbers % len(info.present)])
    if info.clustered:
        quantiles = np.array([rng.generator(request.seed, "cluster", int(k)).random() for k in numbers])
    else:
        quantiles = (numbers + 0.5) * GOLDEN % 1.0
    edges = np.cumsum(info.class_shares)
    return torch.from_numpy(np.searchsorted(edges / edges[-1], quantiles, side="right"))


def sample(model: Model, request: SampleRequest, callback: Callback | None = None) -> UInt8[Tensor, "n c h w"]:
    """All images of a request, on the CPU.

    `callback` sees every sampler step of the first micro-batch (padding included). Raises UserError before any work for
    what the model cannot do.
    """
    settings = (request.sampler or model.config.sampling).but(guidance=request.guidance)
    info = model.info
    levels, run, labels = levels_for(settings, model.table), sampler(settings), labels_for(model, request)
    device, network = model.device, model.network.eval()
    if model.channels_last:
        network = channels_last(network)
    weight, steps = guidance_of(model, settings), len(levels) - 1
    denoise = guided(model.denoiser(network), info.classes, weight, interval_of(model, settings))
    total = -(-request.n // MICRO_BATCH) * steps

    def part(before: int, shown: Bar) -> Tensor:
        """The micro-batch of the images from number `before` on."""
        size = min(MICRO_BATCH, request.n - before)
        rows = size if request.precision == "fp32" and device.type == "cpu" else MICRO_BATCH
        numbers = range(request.first + before, request.first + before + rows)
        label = None
        if labels is not None:
            label = labels[before : before + size]
            label = torch.cat([label, label[-1:].expand(rows - size)]).to(device)

        def noise(step: int | str) -> Float[Tensor, "n c h w"]:
            return torch.stack([rng.normal(info.image, request.seed, "image", k, step) for k in numbers])

        def visit(seen: Visit) -> None:
            if callback and before == 0:
                callback(seen)
            shown.show(before // MICRO_BATCH * steps + seen.k + 1, total)

        with torch.inference_mode(), autocast(device, request.precision):
            x = start(settings, levels[0], noise("start"), info.encoded_mean).to(device)
            x = run(partial(denoise, label=label), x, levels, lambda k: noise(k).to(device), visit)
            return info.decode(x[:size]).cpu()

    with following(network), bar("sampling") as shown:
        return blocks.join((part(before, shown) for before in range(0, request.n, MICRO_BATCH)), request.n)


def own_precision(model: Model) -> str:
    """The precision that a model was trained in if its device has units for it, else fp32.

    Nothing is measured, so that a machine always samples the same images.
    """
    return model.precision if model.precision in precisions(model.device) else "fp32"


def network_calls(model: Model, settings: SamplerSettings) -> int:
    """The network's calls for each image: one at each level that the sampler visits, two where it is guided."""
    levels = levels_for(settings, model.table)[:-1]
    if guidance_of(model, settings) == 1.0:
        return len(levels)
    least, most = interval_of(model, settings)
    return len(levels) + int(((levels >= least) & (levels <= most)).sum())


def interval_of(model: Model, settings: SamplerSettings) -> tuple[float, float]:
    """The λ between which this model is guided: `settings`', or `GUIDED` and for large images `GUIDED_LARGE`."""
    large = max(model.info.height, model.info.width) >= LARGE
    return settings.guidance_interval or (GUIDED_LARGE if large else GUIDED)


def guidance_of(model: Model, settings: SamplerSettings) -> float:
    """The strength of guidance for this model, sampled as `settings` say; 1 for a model without classes or clusters.

    Raises UserError for settings that are not within their limits.
    """
    check_limits(settings)
    if not model.info.classes:
        return 1.0
    if settings.guidance is not None:
        return settings.guidance
    if model.guidance is not None:
        return model.guidance
    return BY_CLUSTER if model.info.clustered else BY_CLASS
