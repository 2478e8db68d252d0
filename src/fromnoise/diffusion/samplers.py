"""Samplers: from noise to data along a list of levels, all with one signature and one loop.

    x = sampler(settings)(denoise, x, levels, noise, callback)

denoise    (x, λ) → (x̂_0, ε̂), a `Denoiser` with its label bound
x          the start at levels[0] (see `start`)
levels     λ from noisiest to clean: float64, ends in +∞ (see `levels_for`)
noise      k → standard normal numbers like x for step k; deterministic samplers never call it
callback   called after each call of `denoise`, before its step, with `Visit`
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.choices import choose
from fromnoise.diffusion import level, steps
from fromnoise.diffusion.schedule import Schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import Noise, Step, Visit
from fromnoise.errors import UserError

RHO = 7.0
LIMIT = 30  # of |λ|, as far as networks are told it (`denoiser.by_logsnr`)

Denoise = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Callback = Callable[[Visit], None]
Sampler = Callable[..., Tensor]

SAMPLERS: Mapping[str, Callable[[SamplerSettings], Step]] = {
    "ancestral": lambda settings: steps.ancestral(settings.variance),
    "ddim": lambda settings: steps.ddim(settings.eta),
    "heun": lambda settings: steps.heun(),
    "ipndm": lambda settings: steps.ipndm(),
    "dpm++": lambda settings: steps.dpm_solver_pp_2m(),
    "dpm++3m": lambda settings: steps.dpm_solver_pp_3m(),
    "unipc": lambda settings: steps.unipc(),
}


def sampler(settings: SamplerSettings) -> Sampler:
    """The sampler that `settings` describe, to be called as this module's head says; unknown names raise UserError."""
    step = choose("sampler", settings.sampler, SAMPLERS)(settings)
    if settings.eta and settings.sampler != "ddim":
        raise UserError(f"--eta is ddim's: {settings.sampler} does not know it")
    least, most = settings.guidance_interval
    if not least <= most:
        raise UserError(f"--guidance-interval {least:g} {most:g}: give the lower λ first")

    def run(
        denoise: Denoise,
        x: Float[Tensor, "n *d"],
        levels: Float64[Tensor, " steps1"],
        noise: Noise,
        callback: Callback | None = None,
    ) -> Float[Tensor, "n *d"]:
        visits: deque[Visit] = deque(maxlen=steps.MEMORY)
        for k, (noisier, clearer) in enumerate(pairwise(levels)):
            x0, eps = denoise(x, noisier)
            visits.append(Visit(k, len(levels) - 1, noisier, x, x0, eps))
            if callback:
                callback(visits[-1])
            x = step(tuple(visits), clearer, noise)
        return x

    return run


def start(
    settings: SamplerSettings, logsnr: Float64[Tensor, ""], noise: Float[Tensor, "n c *d"], mean: Sequence[float]
) -> Float[Tensor, "n c *d"]:
    """Where a sampler begins, at its first level λ: at `noise` itself, or at a·μ + b·`noise`, as `settings` say.

    Noisy data at level λ is a·x_0 + b·ε, so its mean is a·μ. Samplers that begin at N(0, I) lack it, and what they
    draw keeps a little of that (Lin et al. 2023). `mean` is μ, one number a channel, needed for the latter only.
    Raises UserError for a start of another name.
    """
    if choose("start", settings.start, {"mean": True, "noise": False}):
        a, b = (level.expand(of(logsnr), noise) for of in (level.signal, level.noise_scale))
        return a * noise.new_tensor(mean).reshape(-1, *(1,) * (noise.ndim - 2)) + b * noise
    return noise


def levels_for(settings: SamplerSettings, table: Schedule, scale: float = 1.0) -> Float64[Tensor, " steps1"]:
    """The levels that a sampler visits, `sampling_steps` + 1: one for each call of `denoise`, and clean (+∞) last.

    `t`: steps T, T − T/n, … of the schedule (trailing, Lin et al. 2023). `logsnr`: even in λ. `karras`: even in
    (b/a)^(1/7) (Karras et al. 2022, eq. 5). The last two keep within `logsnr_range`, for data of scale `scale`.
    heun visits every level but the first twice; with an even number of calls also the second only once, so that its
    first step is DDIM's. Raises UserError for fewer than one step, more levels than the schedule has, or a range
    that is none.
    """
    lowest, highest = settings.logsnr_range
    if not -LIMIT <= lowest < highest <= LIMIT:
        raise UserError(f"--logsnr-range {lowest:g} {highest:g}: give the lower λ first, from −{LIMIT} to {LIMIT}")
    if settings.sampling_steps < 1:
        raise UserError(f"a sampler needs at least 1 step, not {settings.sampling_steps}")
    levels = _spaced(settings, table, scale)
    if settings.sampler == "heun":
        calls = torch.full((len(levels),), 2)
        calls[: 2 - settings.sampling_steps % 2] = 1
        levels = levels.repeat_interleave(calls)
    return torch.cat([levels, torch.tensor([level.CLEAN], dtype=torch.float64)])


def _spaced(settings: SamplerSettings, table: Schedule, scale: float) -> Float64[Tensor, " n"]:
    """The levels that differ, without the clean one."""
    n = settings.sampling_steps
    if settings.sampler == "heun":
        n = n // 2 + 1
    if settings.spacing == "t":
        if n > table.T:
            raise UserError(f"the schedule has {table.T} steps; a sampler cannot take {n} of them")
        t = torch.round(torch.arange(n, 0, -1, dtype=torch.float64) * table.T / n).long()
        return table.logsnr[t]
    spread = torch.linspace(0, 1, n, dtype=torch.float64)
    ends = torch.tensor(settings.logsnr_range, dtype=torch.float64)
    if settings.spacing == "logsnr":
        levels = torch.lerp(ends[0], ends[1], spread)
    else:
        choose("spacing", settings.spacing, {"karras": None, "logsnr": None, "t": None})
        first, last = torch.exp(-ends / 2 / RHO)
        levels = -2 * RHO * torch.log(first + spread * (last - first))
    return levels - 2 * torch.tensor(scale, dtype=torch.float64).log()
