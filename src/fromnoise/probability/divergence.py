"""The Kullback–Leibler divergence (11): closed between Gaussians, as an integral, and by Monte Carlo from samples."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.distributions import kl_divergence

from fromnoise.probability.gaussian import Gaussian
from fromnoise.probability.risk import Estimate, sample_mean

LogDensity = Callable[[Tensor], Tensor]


def kl(q: Gaussian, p: Gaussian) -> float:
    """D(q‖p) in nats; zero for equal distributions only (12), and not symmetric (16).

    Raises ValueError for Gaussians of different dimensions.
    """
    return float(kl_divergence(q.distribution, p.distribution))


def kl_quadrature(
    log_q: Float[Tensor, "*k m"], log_p: Float[Tensor, "*k m"], x: Float[Tensor, " m"]
) -> Float64[Tensor, "*k"]:
    """D(q‖p) (11) on the line by the trapezoidal rule, from log q and log p at the points x, which rise.

    Pairs of densities broadcast. Exact to round-off for smooth densities when x reaches far into the tails of q.
    """
    log_q, log_p = log_q.double(), log_p.double()
    return torch.trapezoid(log_q.exp() * (log_q - log_p), x.double())


def kl_monte_carlo(x: Float[Tensor, "m n"], q: LogDensity, p: LogDensity) -> Estimate:
    """D(q‖p) as the mean of log q(x) − log p(x) over draws x from q, with its standard error (19)."""
    return sample_mean(q(x) - p(x))


def log_gap(ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """(r − 1) − log r ≥ 0, zero at r = 1 alone: the inequality that makes the divergence nonnegative (13)–(15)."""
    return ratio - 1 - torch.log(ratio)
