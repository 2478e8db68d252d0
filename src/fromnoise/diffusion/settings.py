"""What can be said of the process (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass, replace
from typing import Any, Literal

Prediction = Literal["eps", "x0", "v"]
SamplerName = Literal["ancestral", "ddim", "heun", "ipndm", "dpm++", "dpm++3m", "unipc"]
Spacing = Literal["t", "logsnr", "karras"]
Start = Literal["mean", "noise"]


@dataclass(frozen=True)
class DiffusionSettings:
    """The process and the objective."""

    schedule: Literal["linear", "cosine", "logsnr"] = "cosine"
    """Discrete noise schedule: the table of levels t = 0…T."""
    T: int = 1000
    """Number of time steps of the schedule."""
    zero_terminal_snr: bool = False
    """Rescale the schedule so that step T is pure noise (Lin et al. 2023); needs v or x0 prediction."""
    prediction: Prediction = "v"
    """What the network predicts: the noise (eps), the data (x0), or v = a·eps − b·x0."""
    levels: Literal["uniform", "lognormal"] = "lognormal"
    """Levels drawn in training: t uniform on 1…T, or λ normal (a log-normal noise-to-signal ratio)."""
    logsnr_mean: float = -1.0
    """Mean of λ for lognormal levels, for data of unit scale."""
    logsnr_std: float = 2.4
    """Standard deviation of λ for lognormal levels."""


@dataclass(frozen=True)
class SamplerSettings:
    """How images are drawn."""

    sampler: SamplerName = "dpm++"
    """ancestral (DDPM), ddim (see eta); deterministic: heun (EDM's), ipndm, dpm++ (DPM-Solver++ 2M), dpm++3m, unipc."""
    sampling_steps: int = 10
    """Network calls for each image, without those of guidance; heun makes two a step, one at the last (and at the first
    of an even number)."""
    spacing: Spacing = "karras"
    """Which levels are visited: even in the schedule's t, even in λ, or Karras et al.'s ρ = 7."""
    logsnr_range: tuple[float, float] = (-9.0, 6.0)
    """λ, for data of unit scale, of the first and the last network call; the schedule's own where spacing is t."""
    start: Start = "mean"
    """Begin at noise as the text does, or where noisy data has its mean: at a·μ + b·ε, with each channel's mean μ."""
    guidance: float | None = None
    """How much class or cluster counts, where the network is told of it (classifier-free guidance; 1: as it was
    learnt). When not given it is chosen at the end of the training, by a few hundred images drawn at each of a few
    values; after fewer than 300 steps, or where that took over a fifth of the training, 1.5 for classes and 2 for
    clusters, which say less."""
    guidance_interval: tuple[float, float] = (-4.0, 2.0)
    """λ, for data of unit scale, between which there is guidance, by a second network call at each level."""
    eta: float = 0.0
    """Noise put back by ddim at each step: 0 is deterministic, 1 is ancestral."""
    variance: Literal["posterior", "forward"] = "posterior"
    """Variance of ancestral steps: σ_q² of the text (30), or 1 − α_t, what the chapter's code does."""

    def but(self, **given: Any) -> "SamplerSettings":
        """These settings with those `given` that are not None; another sampler does not inherit η."""
        given = {name: value for name, value in given.items() if value is not None}
        other = given.get("sampler", self.sampler) != self.sampler
        return replace(self, **({"eta": 0.0} | given if other else given))
