"""The objective: the noise levels of a batch, and its loss (38)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fromnoise.diffusion import forward, prediction
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.schedule import Schedule
from fromnoise.errors import UserError

# From u in (0, 1), evenly spread, to the levels of noisy data; low u is little noise.
Levels = Callable[[Float64[Tensor, " n"]], Float64[Tensor, " n"]]


def stratified(n: int, offset: float) -> Float64[Tensor, " n"]:
    """n numbers in (0, 1), one in each n-th of it, all shifted by `offset` in [0, 1) (Kingma et al. 2021, I.1).

    They come in order, so the rows of a batch that get them must not.
    """
    u = (torch.arange(n, dtype=torch.float64) + offset) / n
    return u.clamp(1e-9, 1 - 1e-9)


@dataclass(frozen=True)
class UniformSteps:
    """t uniform on 1 … T of a schedule. (The text starts at 2, which leaves t = 1 untrained.)"""

    table: Schedule

    def steps(self, u: Float64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """The steps t of u."""
        return (1 + u * self.table.T).floor().long()

    def __call__(self, u: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """The levels λ_t of u."""
        return self.table.logsnr[self.steps(u)]


@dataclass(frozen=True)
class LogNormal:
    """λ normal, that is b/a log-normal (Karras et al. 2022, table 1): mid levels, where there is most to learn.

    Their ln σ of mean −1.2 and deviation 1.2, for data of deviation 0.5, is λ of mean 1.0 and deviation 2.4. Raises
    UserError for a deviation that is not above 0.
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise UserError(f"--lognormal {self.mean:g} {self.std:g}: the standard deviation must be above 0")

    def __call__(self, u: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """The levels of u; low u is little noise, as with `UniformSteps`."""
        return self.mean + self.std * torch.special.ndtri(1 - u)


@dataclass(frozen=True)
class Objective:
    """The training loss of a denoiser (38): the mean square of its network's error.

    levels    from u in (0, 1) to levels of x; low u is little noise
    """

    levels: Levels

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

        `change`, if given, says how x0 was changed, for a network conditioned on it.
        """
        logsnr = self.levels(u)
        output = denoiser.output(forward.jump(x0, noise, logsnr), logsnr, label, change).to(x0.dtype)
        wanted = prediction.target(denoiser.prediction, x0, noise, logsnr)
        return (output - wanted).square().flatten(1).mean(dim=1)
