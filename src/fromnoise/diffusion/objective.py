"""The objective: at which levels a batch is learnt, and how the errors count (38)–(40)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fromnoise.choices import choose
from fromnoise.diffusion import backward, forward, level, prediction
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.schedule import Schedule
from fromnoise.errors import UserError
from fromnoise.moving import moved

# From u in (0, 1), evenly spread, to the levels of noisy data; low u is little noise.
Levels = Callable[[Float64[Tensor, " n"]], Float64[Tensor, " n"]]


def stratified(n: int, offset: float) -> Float64[Tensor, " n"]:
    """n numbers in (0, 1), one in each n-th of it, all shifted by `offset` in [0, 1) (Kingma et al. 2021, I.1)."""
    u = (torch.arange(n, dtype=torch.float64) + offset) / n
    return u.clamp(1e-9, 1 - 1e-9)


@dataclass(frozen=True)
class UniformSteps:
    """t uniform on first_t … T of a schedule (the text starts at 2, which leaves t = 1 untrained)."""

    table: Schedule
    first_t: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.first_t <= self.table.T:
            raise UserError(f"first_t must lie in 1…{self.table.T}, not {self.first_t}")

    def steps(self, u: Float64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """The steps t of u."""
        return (self.first_t + u * (self.table.T - self.first_t + 1)).floor().long()

    def __call__(self, u: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """The levels λ_t of u."""
        return self.table.logsnr[self.steps(u)]


@dataclass(frozen=True)
class LogNormal:
    """λ normal, that is b/a log-normal (Karras et al. 2022, table 1): mid levels, where there is most to learn.

    Mean and deviation are those for data of unit scale; data of scale `scale` has its levels 2·ln scale lower.
    """

    mean: float
    std: float
    scale: float = 1.0

    def __call__(self, u: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """The levels of u; low u is little noise, as with `UniformSteps`."""
        return self.mean - 2 * math.log(self.scale) + self.std * torch.special.ndtri(1 - u)


def bound_weight(
    variance: str, clearer: Float64[Tensor, " n"], noisier: Float64[Tensor, " n"]
) -> Float64[Tensor, " n"]:
    """w of w‖ε̂ − ε‖², the KL divergence of one backward step (33), (36).

    w_t = (1 − α_t)²/(2σ²(t) α_t (1 − ᾱ_t)) with σ² the `posterior` or the `forward` variance. The posterior's is
    infinite at t = 1, whose term the bound treats apart: t ≥ 2. (The forward variance adds a term to the KL
    divergence that does not depend on the prediction and so changes no training.)
    """
    alpha = level.alpha_between(clearer, noisier)
    sigma2 = backward.variance(variance, clearer, noisier)
    return level.variance_between(clearer, noisier) ** 2 / (2 * sigma2 * alpha * level.noise_scale(noisier) ** 2)


@dataclass(frozen=True)
class Objective:
    """The training loss of a denoiser: simple (38) or weighted as in the bound (33).

    levels    from u in (0, 1) to levels of x; low u is little noise
    loss_on   the quantity whose error is squared; the network's own prediction when None
    weighted  weight each step by `bound_weight`; needs `UniformSteps`
    variance  of the backward steps whose divergence is weighed: `posterior` needs first_t ≥ 2, `forward` does not
    """

    levels: Levels
    loss_on: str | None = None
    weighted: bool = False
    variance: str = "forward"

    def __post_init__(self) -> None:
        if self.weighted and not isinstance(self.levels, UniformSteps):
            raise UserError("the weighted loss is a sum over the steps of a schedule: it needs --levels uniform")
        if self.weighted and self.loss_on not in ("eps", None):
            raise UserError("the weighted loss weighs the error of eps: leave --loss-on away or say eps")
        if self.weighted and isinstance(self.levels, UniformSteps):
            if self.levels.table.alphas[-1] == 0:
                raise UserError("the weighted loss is infinite at pure noise: it does not go with zero terminal SNR")
            if self.variance == "posterior" and self.levels.first_t < 2:
                raise UserError(
                    "the posterior variance's weight is infinite at t = 1: --first-t 2 or --variance forward"
                )
        if self.loss_on is not None:
            choose("prediction", self.loss_on, dict.fromkeys(prediction.PREDICTIONS))

    def errors(
        self,
        denoiser: Denoiser,
        x0: Float[Tensor, "n *d"],
        noise: Float[Tensor, "n *d"],
        u: Float64[Tensor, " n"],
        label: Int64[Tensor, " n"] | None = None,
        change: Float[Tensor, "n k"] | None = None,
    ) -> Float[Tensor, " n"]:
        """The loss of each row: its mean is what training minimises; u (0, 1) chooses the rows' levels.

        `change`, if given, is what a network that takes it is told of how x0 was changed.
        """
        outer = self.levels(u)
        inner = denoiser.inner(outer)
        x = forward.jump(x0, noise, outer)
        output = denoiser.output(x, outer, label, change).to(x0.dtype)
        kind = "eps" if self.weighted else self.loss_on or denoiser.prediction
        wanted = prediction.target(kind, x0 / denoiser.scale, noise, inner)
        if kind != denoiser.prediction:
            pair = prediction.to_pair(denoiser.prediction, output, denoiser.shrink(x, outer), inner)
            output = prediction.target(kind, *pair, inner)
        errors = (output - wanted).square().flatten(1).mean(dim=1)
        return errors * moved(self._weights(u).to(errors.dtype), errors.device) if self.weighted else errors

    def _weights(self, u: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        assert isinstance(self.levels, UniformSteps)
        t, logsnr = self.levels.steps(u), self.levels.table.logsnr
        return bound_weight(self.variance, logsnr[t - 1], logsnr[t])
