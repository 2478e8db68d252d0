"""How likely a model thinks images are: the bound or the flow for any number of 8-bit images.

An image's number depends on nothing but the image, the model and the seed: its noise is keyed by its pixels. (By the
flow it depends, within the solver's tolerance, on the images of its micro-batch, which share the solver's steps.) The
network computes in float32, whatever it was trained in.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.data.pixels import normalise
from fromnoise.diffusion import bound, level
from fromnoise.diffusion.bound import Bound
from fromnoise.diffusion.denoiser import ByStep
from fromnoise.diffusion.flow import Flow
from fromnoise.diffusion.samplers import Denoise
from fromnoise.errors import UserError
from fromnoise.generation.draw import takes_guidance
from fromnoise.generation.model import Model

MICRO_BATCH = 64
STEPS = 1000
# λ, for the data as it is. At the clearest, as at t = 1 of the usual schedules, 8-bit values stand 1.2 deviations of
# the noise apart: beyond it networks are hardly trained, and each unit of λ costs more than the decoder saves. At the
# noisiest a = 0.007 of the signal is left, which costs less than 0.0001 bits a dimension.
CLEAREST, NOISIEST = 10.0, -10.0
FEWEST = 2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Likelihood:
    """Bits per dimension of each image, float64, and of the bound's three parts.

    standard_error   of `bits`, from the levels and noise drawn; NaN for the flow, which draws one noise
    """

    bits: Float64[Tensor, " n"]
    standard_error: Float64[Tensor, " n"]
    prior: Float64[Tensor, " n"] | None = None
    steps: Float64[Tensor, " n"] | None = None
    decoder: Float64[Tensor, " n"] | None = None


def bound_of(model: Model) -> Bound:
    """The bound in which a model is judged: the chapter's network by its schedule, others even in λ, T = 1000."""
    variance = model.config.sampling.variance
    if isinstance(model.denoiser().condition, ByStep):
        return Bound(model.table.logsnr[1:], variance)
    return Bound(torch.linspace(CLEAREST, NOISIEST, STEPS, dtype=torch.float64))


def flow_of(model: Model, tolerance: float = 1e-4) -> Flow:
    """The flow in which a model is judged; raises UserError for the chapter's network, which knows only its steps."""
    if isinstance(model.denoiser().condition, ByStep):
        raise UserError(
            "the chapter's network knows only its schedule's steps: the flow needs a network that knows all"
        )
    return Flow(CLEAREST, NOISIEST, tolerance)


def labelled(model: Model, label: int | None = None, device: torch.device | None = None) -> Denoise:
    """The model as a denoiser of images of one class, or of any (the null class) where none is said.

    Raises UserError for a class that the model does not have, or none where it was never shown images without theirs.
    """
    device = device or torch.device("cpu")
    denoiser, classes = model.denoiser(model.network.to(device).eval()), model.shape.classes
    if label is not None and not 0 <= label < classes:
        has = f"{model.shape.told}, counted from 0" if classes else "no classes"
        raise UserError(f"--label {label}: this model has {has}")
    if not classes:
        return denoiser
    if label is None and not takes_guidance(model):
        raise UserError("this model was never shown an image without its class (--label-dropout 0): give --label")
    number = classes if label is None else label
    return lambda x, logsnr: denoiser(x, logsnr, torch.full((len(x),), number, device=x.device))


def bound_bits(
    model: Model,
    images: UInt8[Tensor, "n c h w"],
    levels: int | None = 32,
    *,
    seed: int = 0,
    label: int | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
    judge: Bound | None = None,
) -> Likelihood:
    """The bound from `levels` random levels an image, or from all of them (None), in bits per dimension.

    `judge` is the bound to take; the model's own (`bound_of`) if not given.
    Raises UserError for images of another shape than the model's, fewer than two levels or an unknown class.
    """
    check(model, images)
    judge = judge or bound_of(model)
    if levels is not None and not FEWEST <= levels <= judge.T - 1:
        raise UserError(f"--levels must be from {FEWEST} to {judge.T - 1}, or all; not {levels}")
    denoise, device = labelled(model, label, device), device or torch.device("cpu")
    parts = []
    for start in range(0, len(images), MICRO_BATCH):
        batch = images[start : start + MICRO_BATCH]
        draws = _Draws(batch, seed, device)
        u = None if levels is None else bound.strata(draws.uniform(levels))
        with torch.inference_mode():
            parts.append(judge.estimate(denoise, normalise(batch).to(device), draws.normal, u))
        if progress:
            progress(min(start + MICRO_BATCH, len(images)), len(images))
    dimensions = images[0].numel()
    columns = [
        bound.per_dimension(torch.cat([getattr(part, name) for part in parts]), dimensions)
        for name in ("total", "standard_error", "prior", "steps", "decoder")
    ]
    return Likelihood(*columns)


def flow_bits(
    model: Model,
    images: UInt8[Tensor, "n c h w"],
    *,
    seed: int = 0,
    label: int | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Likelihood:
    """Near-exact likelihood by the probability-flow ODE with one probe an image, in bits per dimension.

    Raises UserError as `bound_bits` does, and for the chapter's network.
    """
    check(model, images)
    flow, denoise, device = flow_of(model), labelled(model, label, device), device or torch.device("cpu")
    nats = []
    for start in range(0, len(images), MICRO_BATCH):
        batch = images[start : start + MICRO_BATCH]
        draws = _Draws(batch, seed, device)
        probe = draws.normal(1).sign()[None]
        nats.append(flow.negative_log_likelihood(denoise, normalise(batch).to(device), draws.normal(0), probe))
        if progress:
            progress(min(start + MICRO_BATCH, len(images)), len(images))
    bits = bound.per_dimension(torch.cat(nats), images[0].numel())
    return Likelihood(bits, torch.full_like(bits, torch.nan))


def encode(
    model: Model, images: UInt8[Tensor, "n c h w"], label: int | None = None, device: torch.device | None = None
) -> Float[Tensor, "n c h w"]:
    """The noise that the flow takes images to, float32; raises UserError as `flow_bits` does."""
    check(model, images)
    flow, x0 = flow_of(model), normalise(images).to(device or torch.device("cpu"))
    start = level.signal(torch.tensor(flow.clearest, dtype=torch.float64)).item() * x0
    with torch.no_grad():
        return flow.encode(labelled(model, label, device), start)


def decode(
    model: Model, noise: Float[Tensor, "n c h w"], label: int | None = None, device: torch.device | None = None
) -> Float[Tensor, "n c h w"]:
    """The images, in [−1, 1] as floats, that the flow takes noise to: `encode` undone."""
    flow, denoise = flow_of(model), labelled(model, label, device)
    with torch.no_grad():
        x = flow.decode(denoise, noise.to(device or torch.device("cpu")))
        return denoise(x, torch.tensor([flow.clearest], dtype=torch.float64))[0]


def check(model: Model, images: UInt8[Tensor, "n c h w"]) -> None:
    """Raise UserError for images that are not of the model's shape."""
    if tuple(images.shape[1:]) != model.shape.image:
        ours, theirs = ("×".join(map(str, shape)) for shape in (model.shape.image, images.shape[1:]))
        raise UserError(f"the model knows images of {ours} (channels, height, width), not {theirs}")


class _Draws:
    """Random numbers for a batch, each image's keyed by its pixels."""

    def __init__(self, images: UInt8[Tensor, "n c h w"], seed: int, device: torch.device) -> None:
        self.seed, self.device, self.shape = seed, device, tuple(images.shape[1:])
        self.keys = [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images.cpu().numpy()]

    def normal(self, i: int) -> Float[Tensor, "n c h w"]:
        """Standard normal numbers, the i-th of each image."""
        rows = [rng.normal(self.shape, self.seed, "bound", key, i) for key in self.keys]
        return torch.stack(rows).to(self.device)

    def uniform(self, k: int) -> Float64[Tensor, "n k"]:
        """k numbers even on (0, 1) for each image."""
        rows = [torch.from_numpy(rng.generator(self.seed, "levels", key).random(k)) for key in self.keys]
        return torch.stack(rows)
