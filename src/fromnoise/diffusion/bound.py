"""The variational bound on −log p(x_0), term by term (33)–(36): the prior, the backward steps, the decoder.

In nats for each row; `per_dimension` turns them into bits per dimension. The sum over a schedule's steps comes from all
of them, or without bias from a few at random (Kingma et al. 2021, eq. 13).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fromnoise.diffusion import backward, forward, level
from fromnoise.diffusion.steps import Denoise, Noise

PIXEL = 2 / 255  # between neighbours of the 256 values, in [−1, 1]


def per_dimension(nats: Float64[Tensor, " n"], dimensions: int) -> Float64[Tensor, " n"]:
    """Bits per dimension."""
    return nats / (dimensions * math.log(2))


@dataclass(frozen=True)
class BoundEstimate:
    """−log p(x_0) ≤ prior + steps + decoder, in nats, float64, one number for each row.

    standard_error   of the total, from the random levels and noise alone; too large rather than too small
    """

    prior: Float64[Tensor, " n"]
    steps: Float64[Tensor, " n"]
    decoder: Float64[Tensor, " n"]
    standard_error: Float64[Tensor, " n"]

    @property
    def total(self) -> Float64[Tensor, " n"]:
        """The bound."""
        return self.prior + self.steps + self.decoder


@dataclass(frozen=True)
class Bound:
    """The bound of a walk through the levels λ_1 > … > λ_T of a schedule, clearest first.

    levels   T ≥ 2 of them, float64, finite but for the last, which may be −∞
    pixel    the width of a pixel's value, for probabilities of the 256 values about 0; None for a density
    """

    levels: Float64[Tensor, " T"]
    pixel: float | None = PIXEL

    def __post_init__(self) -> None:
        if len(self.levels) < 2 or not bool((self.levels.diff() < 0).all()) or self.levels[0] == level.CLEAN:
            raise ValueError("a bound needs at least two levels, from the clearest (finite) to the noisiest")

    @property
    def T(self) -> int:  # noqa: N802 - the chapter's own symbol
        """The number of steps."""
        return len(self.levels)

    def prior(self, x0: Float[Tensor, "n *d"]) -> Float64[Tensor, " n"]:
        """D(q(x_T|x_0) ‖ N(0, I))."""
        a2, b2 = torch.sigmoid(self.levels[-1]), torch.sigmoid(-self.levels[-1])
        return (a2 * _squares(x0) + x0[0].numel() * (b2 - 1 - torch.log(b2))) / 2

    def step(
        self, denoise: Denoise, x0: Float[Tensor, "n *d"], noise: Float[Tensor, "n *d"], t: Int64[Tensor, " n"]
    ) -> Float64[Tensor, " n"]:
        """D(q(x_{t−1}|x_t, x_0) ‖ p(x_{t−1}|x_t)) at x_t of the given noise, t in 2…T for each row (33), (36).

        ‖μ_q − μ_p‖²/(2σ_q²), which is w_t‖ε̂ − ε‖² with w_t = (1 − α_t)²/(2σ_q² α_t (1 − ᾱ_t)), but finite at pure
        noise too.
        """
        if bool(((t < 2) | (t > self.T)).any()):
            raise ValueError(f"the bound's steps are t = 2…{self.T}; t = 1 is the decoder's")
        noisier, clearer = self.levels[t - 1], self.levels[t - 2]
        sigma2 = backward.posterior_variance(clearer, noisier)
        # (31)
        of_x0 = level.signal(clearer) * level.variance_between(clearer, noisier) / level.noise_scale(noisier) ** 2
        error = _squares(denoise(forward.jump(x0, noise, noisier), noisier)[0] - x0)
        return of_x0**2 * error / (2 * sigma2)

    def decoder(
        self, denoise: Denoise, x0: Float[Tensor, "n *d"], noise: Float[Tensor, "n *d"]
    ) -> Float64[Tensor, " n"]:
        """−log p(x_0|x_1): a normal of mean x̂_0 and variance 1 − α_1, discretised on 8-bit values or not."""
        first = self.levels[:1]
        mean = denoise(forward.jump(x0, noise, first), first)[0].cpu().double()
        sigma = level.noise_scale(first).item()
        x0 = x0.cpu().double()
        log_prob = log_pixel(x0, mean, sigma, self.pixel) if self.pixel else log_density(x0, mean, sigma)
        return -log_prob.flatten(1).sum(dim=1)

    def estimate(
        self, denoise: Denoise, x0: Float[Tensor, "n *d"], noise: Noise, u: Float64[Tensor, "n k"] | None = None
    ) -> BoundEstimate:
        """The bound of each row from k network calls at random steps, or from all T − 1 steps without `u`.

        u      k ≥ 2 numbers in (0, 1) for each row, the i-th of them even on ((i−1)/k, i/k): see `strata`
        noise  i → standard normal numbers like x0 for the i-th call; the last two are the decoder's
        """
        every = torch.arange(2, self.T + 1).expand(len(x0), -1)
        t = every if u is None else 2 + (u * (self.T - 1)).floor().long()
        calls = t.shape[1]
        terms = torch.stack([self.step(denoise, x0, noise(i), t[:, i]) for i in range(calls)], dim=1)
        decoders = torch.stack([self.decoder(denoise, x0, noise(calls + i)) for i in range(2)], dim=1)
        weight = (self.T - 1) / calls
        variance = weight**2 * _variance_of_sum(terms) + decoders.diff().square()[:, 0] / 4
        return BoundEstimate(self.prior(x0), weight * terms.sum(dim=1), decoders.mean(dim=1), variance.sqrt())


def strata(u: Float64[Tensor, "n k"]) -> Float64[Tensor, "n k"]:
    """From numbers even on (0, 1) to one in each k-th of it: such levels vary less, and are as unbiased."""
    k = u.shape[1]
    return ((torch.arange(k, dtype=torch.float64) + u) / k).clamp(1e-12, 1 - 1e-12)


def log_density(x: Float64[Tensor, "*n"], mean: Float64[Tensor, "*n"], sigma: float) -> Float64[Tensor, "*n"]:
    """log N(x; mean, σ²)."""
    return -((x - mean) / sigma).square() / 2 - math.log(sigma * math.sqrt(2 * math.pi))


def log_pixel(
    x: Float64[Tensor, "*n"], mean: Float64[Tensor, "*n"], sigma: float, pixel: float = PIXEL
) -> Float64[Tensor, "*n"]:
    """log of the probability that N(mean, σ²) gives to x, one of the 256 values ±½, ±1½ … ±127½ times `pixel`.

    The outer two take all that lies beyond (Ho et al. 2020, eq. 13). Exact far into the tails, where the difference of
    two Φ would be 0.
    """
    upper = torch.where(x > 127 * pixel, torch.inf, (x + pixel / 2 - mean) / sigma)
    lower = torch.where(x < -127 * pixel, -torch.inf, (x - pixel / 2 - mean) / sigma)
    # In the upper tail Φ is 1 for both: mirror it.
    mirror = lower + upper > 0
    high, low = torch.where(mirror, -lower, upper), torch.where(mirror, -upper, lower)
    log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return log_high + torch.log(-torch.expm1(log_low - log_high))


def _squares(x: Float[Tensor, "n *d"]) -> Float64[Tensor, " n"]:
    return x.cpu().double().flatten(1).square().sum(dim=1)


def _variance_of_sum(terms: Float64[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    """The variance of each row's sum, one term a stratum: neighbours stand in for a second sample.

    Their means differ a little too, which makes this too large rather than too small. An odd last term counts
    against the one before.
    """
    if terms.shape[1] < 2:
        return torch.zeros(len(terms), dtype=terms.dtype)  # the only term of a schedule of two steps: nothing varies
    differences = terms.diff(dim=1).square()
    pairs = differences[:, ::2].sum(dim=1)
    return pairs + differences[:, -1] / 2 if terms.shape[1] % 2 else pairs
