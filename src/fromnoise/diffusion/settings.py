"""Settings of the diffusion process and of sampling (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass, replace
from typing import Any, Literal

Prediction = Literal["eps", "x0", "v"]
SamplerName = Literal["ancestral", "ddim", "heun", "ipndm", "dpm++", "dpm++3m", "unipc"]
Spacing = Literal["t", "logsnr", "karras"]


@dataclass(frozen=True)
class DiffusionSettings:
    """The process and the objective. Levels are those of data of unit scale, as images are encoded."""

    schedule: Literal["linear", "cosine", "logsnr"] = "cosine"
    """Discrete noise schedule: the table of levels t = 0…T."""
    T: int = 1000
    """Number of time steps of the schedule."""
    prediction: Prediction = "v"
    """What the network predicts: the noise (eps), the data (x0), or v = a·eps − b·x0."""
    levels: Literal["uniform", "lognormal"] = "lognormal"
    """Noise levels in training: t uniform on 1…T, or λ normal (a log-normal noise-to-signal ratio)."""
    lognormal: tuple[float, float] = (-1.0, 2.4)
    """Mean and standard deviation of λ for lognormal levels."""


@dataclass(frozen=True)
class SamplerSettings:
    """How images are sampled."""

    sampler: SamplerName = "dpm++"
    """ancestral (DDPM); deterministic: ddim, heun (EDM's), ipndm, dpm++ (DPM-Solver++ 2M), dpm++3m, unipc."""
    sampling_steps: int = 10
    """Network calls for each image, without those of guidance; heun makes two a step, one at the last (and at the first
    of an even number)."""
    spacing: Spacing = "karras"
    """Which levels are visited: even in the schedule's t, from pure noise; or even in λ or by Karras et al.'s ρ = 7,
    from a·μ + b·ε, with each channel's mean μ."""
    logsnr_range: tuple[float, float] = (-9.0, 6.0)
    """λ of the first and the last network call; the schedule's own where spacing is t."""
    guidance: float | None = None
    """How much class or cluster counts, where the network is conditioned on it (classifier-free guidance; 1: as it was
    learnt). When not given it is chosen at the end of the training, by a few hundred images sampled at each of a few
    values; after fewer than 300 steps, or where that took over a fifth of the training, 1.5 for classes and 2 for
    clusters, which say less."""
    guidance_interval: tuple[float, float] = (-4.0, 2.0)
    """λ between which there is guidance, by a second network call at each level."""

    def but(self, **given: Any) -> "SamplerSettings":
        """These settings with those `given` that are not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})
