"""How likely a model finds images: the bound or the flow for any number of 8-bit images.

An image's value depends only on the image, the model and the seed: its noise is keyed by its pixels. (With the flow it
depends, within the solver's tolerance, on the images of its micro-batch, which share the solver's steps.) The network
computes in float32, whatever it was trained in.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.diffusion import bound, level
from fromnoise.diffusion.bound import Bound
from fromnoise.diffusion.denoiser import guided
from fromnoise.diffusion.flow import Flow
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import Denoise
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import guidance_of, interval_of
from fromnoise.say import bar
from fromnoise.threads import following

MICRO_BATCH = 64
STEPS = 1000
TOLERANCE = 1e-4  # of the flow
# λ, for pixels in [−1, 1]. At the clearest, as at t = 1 of the usual schedules, 8-bit values stand 1.2 deviations of
# the noise apart: beyond it networks are hardly trained, and each unit of λ costs more than the decoder saves. At the
# noisiest a = 0.007 of the signal is left, which costs less than 0.0001 bits a dimension.
CLEAREST, NOISIEST = 10.0, -10.0
FEWEST = 2


@dataclass(frozen=True)
class Likelihood:
    """Bits per dimension of each image, float64, and of the bound's three parts.

    standard_error   of `bits`, from the random levels and noise; NaN for the flow, which has one noise
    """

    bits: Float64[Tensor, " n"]
    standard_error: Float64[Tensor, " n"]
    prior: Float64[Tensor, " n"] | None = None
    steps: Float64[Tensor, " n"] | None = None
    decoder: Float64[Tensor, " n"] | None = None


def bound_of(model: Model, clearest: float = CLEAREST) -> Bound:
    """The bound for a model: on its schedule's levels if the network is tied to them, else on levels even in λ."""
    info, levels = model.info, model.denoiser().levels
    if levels is None:
        ends = info.encoded_level(clearest), info.encoded_level(NOISIEST)
        levels = torch.linspace(*ends, STEPS, dtype=torch.float64)
    return Bound(levels, info.pixel_width)


def levels_of(model: Model, most: int) -> int | None:
    """`most` random levels of the bound for each image, or all of them (None) where there are no more."""
    return most if most < bound_of(model).T else None


def flow_of(model: Model) -> Flow:
    """The flow for a model; raises UserError for a network that works only at its schedule's steps."""
    if model.denoiser().levels is not None:
        raise UserError("this network works only at its schedule's steps, and the flow needs all: use --method bound")
    return Flow(model.info.encoded_level(CLEAREST), model.info.encoded_level(NOISIEST), TOLERANCE)


def labelled(model: Model, label: int | str | None = None, settings: SamplerSettings | None = None) -> Denoise:
    """The model as a denoiser of images of one class, or of any class (the null class) if none is given.

    With `settings` the label is guided as they say. Raises UserError for a class that the model does not have.
    """
    denoiser, classes = model.denoiser(model.network.eval()), model.info.classes
    number = classes if label is None else model.info.label_of(label)
    if not classes:
        return denoiser
    call: Callable[..., tuple[Tensor, Tensor]] = denoiser
    if label is not None and settings is not None:
        call = guided(denoiser, classes, guidance_of(model, settings), interval_of(model, settings))
    return lambda x, logsnr: call(x, logsnr, torch.full((len(x),), number, device=x.device))


def bound_bits(
    model: Model,
    images: UInt8[Tensor, "n c h w"],
    levels: int | None = 32,
    *,
    seed: int = 0,
    label: int | str | None = None,
    judge: Bound | None = None,
) -> Likelihood:
    """The bound from `levels` random levels an image, or from all of them (None), in bits per dimension.

    `judge` is the bound to use; default: the model's own (`bound_of`).
    Raises UserError for images of another shape than the model's, fewer than two levels or an unknown class.
    """
    judge = judge or bound_of(model)
    if levels is not None and not FEWEST <= levels <= judge.T - 1:
        raise UserError(f"--levels must be from {FEWEST} to {judge.T - 1}, or all; not {levels}")
    denoise, parts = labelled(model, label), []
    for start, x0 in batches(model, images, "likelihood"):
        random = _Random(images[start : start + len(x0)], seed, model.device)
        u = None if levels is None else bound.strata(random.uniform(levels))
        with torch.inference_mode():
            parts.append(judge.estimate(denoise, x0, random.normal, u))
    names = ("total", "standard_error", "prior", "steps", "decoder")
    columns = (torch.cat([getattr(part, name) for part in parts]) for name in names)
    return Likelihood(*(bound.per_dimension(column, images[0].numel()) for column in columns))


def flow_bits(
    model: Model, images: UInt8[Tensor, "n c h w"], *, seed: int = 0, label: int | str | None = None
) -> Likelihood:
    """Near-exact likelihood by the probability-flow ODE with one probe an image, in bits per dimension.

    Raises UserError as `bound_bits` and `flow_of` do.
    """
    flow, denoise, nats = flow_of(model), labelled(model, label), []
    for start, x0 in batches(model, images, "likelihood"):
        random = _Random(images[start : start + len(x0)], seed, model.device)
        probe = random.normal(1).sign()[None]
        nats.append(flow.negative_log_likelihood(denoise, x0, random.normal(0), probe, model.info.pixel_width))
    bits = bound.per_dimension(torch.cat(nats), images[0].numel())
    return Likelihood(bits, torch.full_like(bits, torch.nan))


def encode(model: Model, images: UInt8[Tensor, "n c h w"], label: int | str | None = None) -> Float[Tensor, "n c h w"]:
    """The noise that the flow maps images to, float32; raises UserError as `flow_bits` does."""
    check(model, images)
    flow, x0 = flow_of(model), model.info.encode(images).to(model.device)
    start = level.signal(torch.tensor(flow.clearest, dtype=torch.float64)).item() * x0
    with torch.no_grad():
        return flow.encode(labelled(model, label), start)


def decode(model: Model, noise: Float[Tensor, "n c h w"], label: int | str | None = None) -> Float[Tensor, "n c h w"]:
    """The images, floats in [−1, 1], that the flow maps noise to: the inverse of `encode`."""
    flow, denoise = flow_of(model), labelled(model, label)
    with torch.no_grad():
        x = flow.decode(denoise, noise.to(model.device))
        return model.info.pixels(denoise(x, torch.tensor([flow.clearest], dtype=torch.float64))[0])


def check(model: Model, images: UInt8[Tensor, "n c h w"]) -> None:
    """Raise UserError for images of another shape than the model's."""
    if tuple(images.shape[1:]) != model.info.image:
        ours, theirs = ("×".join(map(str, shape)) for shape in (model.info.image, images.shape[1:]))
        raise UserError(f"the model is for images of {ours} (channels, height, width), not {theirs}")


def batches(
    model: Model, images: UInt8[Tensor, "n c h w"], title: str
) -> Iterator[tuple[int, Float[Tensor, "k c h w"]]]:
    """The images, encoded, micro-batch after micro-batch, each with the number of its first; `title` is the bar's.

    Raises UserError for images of another shape than the model's.
    """
    check(model, images)
    with following(model.network), bar(title) as shown:
        for start in range(0, len(images), MICRO_BATCH):
            x0 = model.info.encode(images[start : start + MICRO_BATCH]).to(model.device)
            yield start, x0
            shown.show(start + len(x0), len(images))


class _Random:
    """Random numbers for a batch, each image's keyed by its pixels."""

    def __init__(self, images: UInt8[Tensor, "n c h w"], seed: int, device: torch.device) -> None:
        self.seed, self.device, self.shape = seed, device, tuple(images.shape[1:])
        self.keys = [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images.cpu().numpy()]

    def normal(self, i: int) -> Float[Tensor, "n c h w"]:
        """Standard normal numbers, the i-th of each image."""
        rows = [rng.normal(self.shape, self.seed, "bound", key, i) for key in self.keys]
        return torch.stack(rows).to(self.device)

    def uniform(self, k: int) -> Float64[Tensor, "n k"]:
        """k uniform numbers in (0, 1) for each image."""
        rows = [torch.from_numpy(rng.generator(self.seed, "levels", key).random(k)) for key in self.keys]
        return torch.stack(rows)
