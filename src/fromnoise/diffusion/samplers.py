"""From settings to a sampler, the levels it visits and where it begins:

levels = levels_for(settings, table)
x = sampler(settings)(denoise, start(settings, levels[0], noise, mean), levels, noises)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.diffusion import level, steps
from fromnoise.diffusion.schedule import Schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError
from fromnoise.lookup import lookup

RHO = 7.0
LIMIT = 30  # of |λ|, as far as networks are conditioned on it (`denoiser.by_logsnr`)

SAMPLERS: Mapping[str, type[steps.Sampler]] = {
    "ancestral": steps.Ancestral,
    "ddim": steps.DDIM,
    "heun": steps.Heun,
    "ipndm": steps.IPNDM,
    "dpm++": steps.DPMSolver2M,
    "dpm++3m": steps.DPMSolver3M,
    "unipc": steps.UniPC,
}


def sampler(settings: SamplerSettings) -> steps.Sampler:
    """The sampler that `settings` name; raises UserError for an unknown name or an empty guidance interval."""
    least, most = settings.guidance_interval or (0.0, 0.0)
    if not least <= most:
        raise UserError(f"--guidance-interval {least:g} {most:g}: give the lower λ first")
    return lookup("sampler", settings.sampler, SAMPLERS)()


def start(
    settings: SamplerSettings, logsnr: Float64[Tensor, ""], noise: Float[Tensor, "n c *d"], mean: Sequence[float]
) -> Float[Tensor, "n c *d"]:
    """Where sampling begins, at its first level λ: at a·μ + b·`noise`, with one mean μ a channel.

    Noisy data at level λ is a·x_0 + b·ε, so its mean is a·μ. Samplers that begin at N(0, I) lack it, and what they
    sample keeps a little of that (Lin et al. 2023). On the schedule's levels it is the noise itself, as in the text.
    """
    if settings.spacing in ON_SCHEDULE:
        return noise
    a, b = level.scales(logsnr, noise)
    return a * noise.new_tensor(mean).reshape(-1, *(1,) * (noise.ndim - 2)) + b * noise


def levels_for(settings: SamplerSettings, table: Schedule, noisiest: float = level.NOISE) -> Float64[Tensor, " steps1"]:
    """The levels that a sampler visits, `sampling_steps` + 1: one for each call of `denoise`, and clean (+∞) last.

    `t`: steps T, T − T/n, … of the schedule (trailing, Lin et al. 2023). `logsnr`: even in λ. `karras`: even in
    (b/a)^(1/7) (Karras et al. 2022, eq. 5). The last two keep within `logsnr_range`. None is noisier than `noisiest`:
    `t` leaves out those that are, and the others are as many as from noise. Raises UserError for fewer than one step,
    more levels than the schedule has, or an empty range.
    """
    low, high = settings.logsnr_range
    if not -LIMIT <= low < high <= LIMIT:
        raise UserError(f"--logsnr-range {low:g} {high:g}: give the lower λ first, from −{LIMIT} to {LIMIT}")
    if settings.sampling_steps < 1:
        raise UserError(f"a sampler needs at least 1 step, not {settings.sampling_steps}")
    visits = torch.tensor(sampler(settings).visits(settings.sampling_steps))
    spaced = lookup("spacing", settings.spacing, SPACINGS)
    if noisiest < high and settings.spacing in IN_RANGE:
        settings, noisiest = replace(settings, logsnr_range=(max(low, noisiest), high)), level.NOISE
    levels = spaced(settings, table, len(visits))
    visits = visits[levels >= noisiest]
    visits[:1] = 1  # no step led here, so none is corrected
    levels = levels[levels >= noisiest].repeat_interleave(visits)
    return torch.cat([levels, torch.tensor([level.CLEAN], dtype=torch.float64)])


def trailing(settings: SamplerSettings, table: Schedule, n: int) -> Float64[Tensor, " n"]:
    """Levels at steps T, T − T/n, … of the schedule."""
    if n > table.T:
        raise UserError(f"the schedule has {table.T} steps; a sampler cannot take {n} of them")
    t = torch.round(torch.arange(n, 0, -1, dtype=torch.float64) * table.T / n).long()
    return table.logsnr[t]


def even(settings: SamplerSettings, table: Schedule, n: int) -> Float64[Tensor, " n"]:
    """Levels even in λ."""
    low, high = torch.tensor(settings.logsnr_range, dtype=torch.float64)
    return torch.lerp(low, high, torch.linspace(0, 1, n, dtype=torch.float64))


def karras(settings: SamplerSettings, table: Schedule, n: int) -> Float64[Tensor, " n"]:
    """Levels even in (b/a)^(1/7)."""
    first, last = torch.exp(-torch.tensor(settings.logsnr_range, dtype=torch.float64) / 2 / RHO)
    return -2 * RHO * torch.log(first + torch.linspace(0, 1, n, dtype=torch.float64) * (last - first))


Spaced = Callable[[SamplerSettings, Schedule, int], Float64[Tensor, " n"]]
"""From settings and a schedule to the n levels that differ, without the clean one."""
IN_RANGE: Mapping[str, Spaced] = {"karras": karras, "logsnr": even}
ON_SCHEDULE: Mapping[str, Spaced] = {"t": trailing}
SPACINGS: Mapping[str, Spaced] = {**IN_RANGE, **ON_SCHEDULE}
