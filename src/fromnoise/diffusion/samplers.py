"""Samplers: from noise to data along a list of levels, all with one signature and one loop.

    x = sampler(settings)(denoise, x, levels, noise, callback)

denoise    (x, λ) → (x̂_0, ε̂), a `Denoiser` with its label bound
x          the start, N(0, I) at levels[0]
levels     λ from noisiest to clean: float64, ends in +∞ (see `levels_for`)
noise      k → standard normal numbers like x for step k; deterministic samplers never call it
callback   called before each step with `Visit`
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.choices import choose
from fromnoise.diffusion import backward, level
from fromnoise.diffusion.schedule import Schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError

# λ, for data of unit deviation, between which samplers that are free to choose walk: a = 0.011 of the signal is
# left at the start, noise of 1/150 of the data's deviation at the last network call (below 8 bits' rounding).
LOWEST, HIGHEST = -9.0, 10.0
RHO = 7.0


@dataclass(frozen=True)
class Visit:
    """What a callback sees at step k: x_t, its level λ, and the denoiser's (x̂_0, ε̂)."""

    k: int
    steps: int
    logsnr: Float64[Tensor, ""]
    x: Float[Tensor, "n *d"]
    x0: Float[Tensor, "n *d"]
    noise: Float[Tensor, "n *d"]


Denoise = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Noise = Callable[[int], Tensor]
Callback = Callable[[Visit], None]
# From a visit, the one before it (None at first) and the next level, to the next x.
Step = Callable[[Visit, Visit | None, Tensor, Noise], Tensor]
Sampler = Callable[..., Tensor]


def ancestral(variance: str = "posterior") -> Step:
    """x_s ~ N(μ_q(x_t, x̂_0), σ²) with the variance named (Ho et al. 2020, algorithm 2); no noise at the last step."""

    def step(now: Visit, before: Visit | None, clearer: Tensor, noise: Noise) -> Tensor:
        mean = backward.posterior_mean(now.x, now.x0, clearer, now.logsnr)
        if clearer == level.CLEAN:
            return mean
        sigma = backward.variance(variance, clearer, now.logsnr).sqrt()
        return mean + level.expand(sigma, mean) * noise(now.k)

    choose("variance", variance, backward.VARIANCES)
    return step


def ddim(eta: float = 0.0) -> Step:
    """x_s = a_s·x̂_0 + √(b_s² − σ²)·ε̂ + σ·z with σ = η·σ_q (Song et al. 2020, eq. 12): η = 0 is deterministic."""

    def step(now: Visit, before: Visit | None, clearer: Tensor, noise: Noise) -> Tensor:
        sigma2 = eta**2 * backward.posterior_variance(clearer, now.logsnr)
        along = (level.noise_scale(clearer) ** 2 - sigma2).sqrt()
        x = level.expand(level.signal(clearer), now.x) * now.x0 + level.expand(along, now.x) * now.noise
        return x + level.expand(sigma2.sqrt(), x) * noise(now.k) if sigma2 > 0 else x

    if not 0 <= eta <= 1:
        raise UserError(f"eta must lie between 0 and 1, not {eta}")
    return step


def dpm_solver_pp_2m() -> Step:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with h half the step in λ: their λ is log(a/b).

    First order where no second point helps: at the first step and the last, whose h is infinite.
    """

    def step(now: Visit, before: Visit | None, clearer: Tensor, noise: Noise) -> Tensor:
        h = (clearer - now.logsnr) / 2
        x0 = now.x0
        if before is not None and torch.isfinite(h):
            r = (now.logsnr - before.logsnr) / 2 / h  # infinite after pure noise: then there is no second point
            x0 = x0 + (x0 - before.x0) / level.expand(2 * r, x0)
        of_x = level.noise_scale(clearer) / level.noise_scale(now.logsnr)
        of_x0 = -level.signal(clearer) * torch.expm1(-h)
        return level.expand(of_x, x0) * now.x + level.expand(of_x0, x0) * x0

    return step


SAMPLERS: Mapping[str, Callable[[SamplerSettings], Step]] = {
    "ancestral": lambda settings: ancestral(settings.variance),
    "ddim": lambda settings: ddim(settings.eta),
    "dpm++": lambda settings: dpm_solver_pp_2m(),
}


def sampler(settings: SamplerSettings) -> Sampler:
    """The sampler that `settings` describe, to be called as this module's head says; unknown names raise UserError."""
    step = choose("sampler", settings.sampler, SAMPLERS)(settings)
    if settings.eta and settings.sampler != "ddim":
        raise UserError(f"--eta is ddim's: {settings.sampler} does not know it")

    def run(
        denoise: Denoise,
        x: Float[Tensor, "n *d"],
        levels: Float64[Tensor, " steps1"],
        noise: Noise,
        callback: Callback | None = None,
    ) -> Float[Tensor, "n *d"]:
        before: Visit | None = None
        for k, (noisier, clearer) in enumerate(pairwise(levels)):
            x0, eps = denoise(x, noisier)
            if settings.clip_x0:
                x0 = x0.clamp(-1, 1)
                eps = (x - level.expand(level.signal(noisier), x) * x0) / level.expand(level.noise_scale(noisier), x)
            now = Visit(k, len(levels) - 1, noisier, x, x0, eps)
            if callback:
                callback(now)
            x = step(now, before, clearer, noise)
            before = now
        return x

    return run


def levels_for(settings: SamplerSettings, table: Schedule, scale: float = 1.0) -> Float64[Tensor, " steps1"]:
    """The levels that a sampler visits, `sampling_steps` + 1 of them, the last clean (+∞).

    `t`: steps T, T − T/n, … of the schedule (trailing, Lin et al. 2023). `logsnr`: even in λ. `karras`: even in
    (b/a)^(1/7) (Karras et al. 2022, eq. 5). The last two are for data of deviation `scale`. Raises UserError for
    fewer than one step, or more than the schedule has.
    """
    n = settings.sampling_steps
    if n < 1:
        raise UserError(f"a sampler needs at least 1 step, not {n}")
    clean = torch.tensor([level.CLEAN], dtype=torch.float64)
    if settings.spacing == "t":
        if n > table.T:
            raise UserError(f"the schedule has {table.T} steps; a sampler cannot take {n} of them")
        t = torch.round(torch.arange(n, 0, -1, dtype=torch.float64) * table.T / n).long()
        return torch.cat([table.logsnr[t], clean])
    spread = torch.linspace(0, 1, n, dtype=torch.float64)
    if settings.spacing == "logsnr":
        levels = LOWEST + spread * (HIGHEST - LOWEST)
    else:
        choose("spacing", settings.spacing, {"karras": None, "logsnr": None, "t": None})
        ends = torch.tensor([LOWEST, HIGHEST], dtype=torch.float64)
        first, last = torch.exp(-ends / 2 / RHO)
        levels = -2 * RHO * torch.log(first + spread * (last - first))
    return torch.cat([levels - 2 * torch.tensor(scale, dtype=torch.float64).log(), clean])
