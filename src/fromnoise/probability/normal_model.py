"""The generative normal distribution model (GNDM): the simplest model that learns a distribution from samples.

p(x, μ) = N(μ, I) (22), fitted by minimising (1/2N) Σ‖x_n − μ‖² (23; the chapter's sign maximises it).
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.probability.gaussian import Gaussian


def objective(mean: Float64[Tensor, " n"], x: Float[Tensor, "m n"]) -> Float64[Tensor, ""]:
    """(1/2N) Σ‖x_n − μ‖² (23): the mean negative log-likelihood but for a constant (21)."""
    return (x - mean).square().sum(dim=1).mean() / 2


def fit(x: Float[Tensor, "m n"]) -> Gaussian:
    """N(μ, I) with the μ that minimises (23): the sample mean. Raises ValueError for no samples."""
    return Gaussian.white(_samples(x, 1).mean(dim=0))


def descent(x: Float[Tensor, "m n"], rate: float = 0.1, steps: int = 500) -> Float64[Tensor, "k n"]:
    """The means μ_0 = 0, μ_1, …, μ_steps of full-batch gradient descent on (23): k = steps + 1 of them.

    The distance to the sample mean shrinks by |1 − rate| at each step. Raises ValueError for no samples, or a rate
    outside (0, 2), for which descent diverges.
    """
    if not 0 < rate < 2:
        raise ValueError(f"gradient descent on this objective converges for rates between 0 and 2, not {rate}")
    x = _samples(x, 1)
    means = [torch.zeros(x.shape[1], dtype=torch.float64)]
    for _ in range(steps):
        mean = means[-1].requires_grad_()
        (gradient,) = torch.autograd.grad(objective(mean, x), mean)
        means.append(mean.detach() - rate * gradient)
    return torch.stack(means).detach()


def fit_covariance(x: Float[Tensor, "m n"]) -> Gaussian:
    """N(μ, C), mean and covariance of greatest likelihood: the covariance divided by m.

    Raises ValueError for too few samples to fill the covariance.
    """
    x = _samples(x, 2)
    if len(x) <= x.shape[1]:
        raise ValueError(f"{len(x)} samples cannot fill a covariance of {x.shape[1]} dimensions: more are needed")
    centred = x - x.mean(dim=0)
    return Gaussian(x.mean(dim=0), centred.T @ centred / len(x))


def _samples(x: Float[Tensor, "m n"], least: int) -> Float64[Tensor, "m n"]:
    if x.ndim != 2 or len(x) < least:
        raise ValueError(f"samples are m×n numbers with m at least {least}, not {tuple(x.shape)}")
    return x.double()
