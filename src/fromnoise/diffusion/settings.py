"""Settings of the diffusion process and of sampling (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fromnoise.limits import Limits

Prediction = Literal["eps", "x0", "v"]
SamplerName = Literal["ancestral", "ddim", "heun", "ipndm", "dpm++", "dpm++3m", "unipc"]
Spacing = Literal["t", "logsnr", "karras"]
Calls = Annotated[int, Limits(1, 50_000)]
"""Network calls per image."""
Guidance = Annotated[float, Limits(0, 100)]
LogSNR = Annotated[float, Limits(-30, 30)]


@dataclass(frozen=True)
class DiffusionSettings:
    """The process and the objective. Noise levels refer to images scaled to unit root mean square."""

    schedule: Literal["linear", "cosine", "logsnr"] = "cosine"
    """Noise schedule: the levels of the discrete steps t = 0…T."""
    T: Annotated[int, Limits(2, 50_000)] = 1000
    """Number of steps of the schedule."""
    prediction: Prediction = "v"
    """What the network predicts: the noise (eps), the data (x0), or v = a·eps − b·x0."""
    levels: Literal["uniform", "lognormal"] = "lognormal"
    """Noise levels to train on: t uniform on 1…T, or λ normal (a log-normal noise-to-signal ratio)."""
    lognormal: tuple[LogSNR, LogSNR] = (-1.0, 2.4)
    """Mean and standard deviation of λ for lognormal levels."""


@dataclass(frozen=True)
class SamplerSettings:
    """How images are sampled."""

    sampler: SamplerName = "dpm++"
    """ancestral (DDPM); deterministic: ddim, heun (EDM's), ipndm, dpm++ (DPM-Solver++ 2M), dpm++3m, unipc."""
    sampling_steps: Calls = 10
    """Network calls per image, not counting those of guidance.
    heun makes two per step, and one in the last step (and in the first, if the number is even)."""
    spacing: Spacing = "karras"
    """Spacing of the noise levels. t: even in the schedule's t, starting from pure noise. logsnr: even in λ.
    karras: Karras et al.'s, ρ = 7. The last two start from a·μ + b·ε, with each channel's mean μ."""
    logsnr_range: tuple[float, float] = (-9.0, 6.0)
    """λ of the first and the last network call; --spacing t uses the schedule's own."""
    guidance: Guidance | None = None
    """Strength of classifier-free guidance by class or cluster; 1: none.
    Default: 2 by cluster; by class it is chosen at the end of the training, by the FID of a few hundred samples at
    each of a few values (1.5 after fewer than 300 steps, or if choosing would take over a fifth of the budget; an
    extension that short keeps the earlier guidance)."""
    guidance_interval: tuple[float, float] | None = None
    """Guide only between these λ; each level there costs a second network call.
    Default: -4 to 2, or -7 to 2 for images of 64 pixels or more."""

    def but(self, **given: Any) -> "SamplerSettings":
        """These settings with those `given` that are not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})
