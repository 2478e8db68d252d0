"""The diffusion process for networks of your own: noise data, train on it, sample from it.

A network is any `nn.Module` called as network(x, λ) or network(x, λ, label): x is noisy data, N×…; λ is its noise level
as the log of the signal-to-noise ratio, float32, one for each row, from about −9 (noise) to 9 (clean); label is what
you pass, such as a class. It returns a tensor like x.

    denoiser = process.Denoiser(network, "v")
    for x0 in batches:
        loss = process.loss(denoiser, x0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = process.sample(denoiser, (64, 1, 32, 32))

As in DDPM (Ho et al. 2020), for a network that is conditioned on steps instead of λ, counted from 0:

    table = process.schedule("linear", 1000)
    denoiser = process.Denoiser(network, "eps", process.ByStep(table))
    loss = process.loss(denoiser, x0, levels=process.UniformSteps(table))
    settings = process.SamplerSettings("ancestral", 1000, spacing="t")
    x = process.sample(denoiser, (64, 1, 32, 32), settings=settings, table=table)

With guidance, for a network that has also learnt a class `null`, which stands for no label:

    x = process.sample(process.guided(denoiser, null, 2.0), (64, 1, 32, 32), label)

With a sampler of your own, a subclass of `Sampler`:

    levels = process.levels_for(process.SamplerSettings(), process.TABLE)
    with torch.no_grad():
        x = MySampler()(denoiser, torch.randn(64, 1, 32, 32), levels, lambda k: torch.randn(64, 1, 32, 32))

Data should be of about unit scale: divide it by its root mean square. Everything below takes and returns data at that
scale, and works on points as well as on images.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fromnoise import rng
from fromnoise.diffusion.denoiser import ByStep, Denoiser, guided
from fromnoise.diffusion.forward import jump, noisy, path
from fromnoise.diffusion.objective import Levels, LogNormal, Objective, UniformSteps, stratified
from fromnoise.diffusion.samplers import SAMPLERS, levels_for, sampler
from fromnoise.diffusion.schedule import (
    SCHEDULES,
    Schedule,
    cosine,
    linear,
    logsnr,
    rescaled_to_zero_terminal_snr,
    schedule,
)
from fromnoise.diffusion.settings import DiffusionSettings, SamplerSettings
from fromnoise.diffusion.steps import (
    DDIM,
    IPNDM,
    Ancestral,
    Callback,
    DPMSolver2M,
    DPMSolver3M,
    Heun,
    Sampler,
    UniPC,
    Visit,
)
from fromnoise.errors import UserError

__all__ = [
    "DDIM",
    "IPNDM",
    "LEVELS",
    "SAMPLERS",
    "SCHEDULES",
    "TABLE",
    "Ancestral",
    "ByStep",
    "DPMSolver2M",
    "DPMSolver3M",
    "Denoiser",
    "Heun",
    "LogNormal",
    "Objective",
    "Sampler",
    "SamplerSettings",
    "Schedule",
    "UniPC",
    "UniformSteps",
    "Visit",
    "cosine",
    "guided",
    "jump",
    "levels_for",
    "linear",
    "logsnr",
    "loss",
    "noisy",
    "path",
    "rescaled_to_zero_terminal_snr",
    "sample",
    "sampler",
    "schedule",
    "stratified",
]

_DEFAULT = DiffusionSettings()
LEVELS = LogNormal(*_DEFAULT.lognormal)
"""The noise levels that `loss` trains on by default: those of the fast preset."""
TABLE = schedule(_DEFAULT.schedule, _DEFAULT.T)
"""The default schedule of `sample`, which takes its levels from it if they are spaced evenly in t."""


def loss(
    denoiser: Denoiser,
    x0: Float[Tensor, "n *d"],
    label: Int64[Tensor, " n"] | None = None,
    levels: Levels = LEVELS,
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """The training loss of a batch of clean data: the mean squared error of the network's prediction (38).

    Draws one noise level a row, stratified over the batch, and fresh noise; from `generator` (on the CPU) if given.
    """
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype).to(x0.device)
    u = stratified(len(x0), float(torch.rand((), generator=generator)))
    u = u[torch.randperm(len(x0), generator=generator)]  # x0 may come in the same order each time
    return Objective(levels).errors(denoiser, x0, noise, u, label).mean()


def sample(
    denoiser: Callable[..., tuple[Tensor, Tensor]],
    shape: Sequence[int],
    label: Int64[Tensor, " n"] | None = None,
    settings: SamplerSettings | None = None,
    *,
    table: Schedule = TABLE,
    seed: int = 0,
    device: torch.device | str = "cpu",
    callback: Callback | None = None,
) -> Float[Tensor, "n *d"]:
    """New data of the given shape, N×…, from pure noise; put the network into eval mode first.

    `denoiser` is a `Denoiser`, or one that is `guided`. `settings` choose sampler, steps and spacing; the default is
    DPM-Solver++(2M) with 10 network calls. `table` matters only with spacing `t`. `callback` sees every network call as
    a `Visit`. The same seed gives the same noise. Raises UserError for settings that the samplers do not know, and for
    guidance, which needs to know the class for no label.
    """
    settings = settings or SamplerSettings()
    if settings.guidance not in (None, 1):
        raise UserError(
            "the settings' guidance does not say which class stands for no label: leave it out, and sample with "
            f"process.guided(denoiser, null, {settings.guidance:g}) as the denoiser"
        )
    denoise = denoiser if label is None else lambda x, logsnr: denoiser(x, logsnr, label)

    def noise(k: int | str) -> Float[Tensor, "n *d"]:
        return rng.normal(tuple(shape), seed, "process", k).to(device)

    with torch.no_grad():
        return sampler(settings)(denoise, noise("start"), levels_for(settings, table), noise, callback)
