"""Gaussian distributions of any dimension, white or coloured (2)–(6), through a Cholesky factor."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.distributions import MultivariateNormal


@dataclass(frozen=True)
class Gaussian:
    """N(mean, covariance) in n dimensions, in float64.

    Raises ValueError for shapes that do not fit or a covariance that is not symmetric and positive definite.
    """

    mean: Float64[Tensor, " n"]
    covariance: Float64[Tensor, "n n"]

    def __post_init__(self) -> None:
        mean, covariance = (torch.as_tensor(value, dtype=torch.float64) for value in (self.mean, self.covariance))
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            shapes = f"{tuple(mean.shape)} and {tuple(covariance.shape)}"
            raise ValueError(f"a Gaussian needs a mean of n and a covariance of n×n numbers, not {shapes}")
        # Measured by its largest entry: a covariance that was estimated is symmetric up to round-off of that size.
        if not torch.allclose(covariance, covariance.T, rtol=0, atol=1e-12 * float(covariance.abs().amax())):
            raise ValueError("a covariance is symmetric: C = Cᵀ")
        if torch.linalg.cholesky_ex(covariance).info != 0:
            least = float(torch.linalg.eigvalsh(covariance)[0])
            raise ValueError(f"a covariance is positive definite; this one's least eigenvalue is {least:g}")

    @classmethod
    def white(cls, mean: Float[Tensor, " n"], variance: float = 1.0) -> "Gaussian":
        """N(mean, variance·I) (5)."""
        return cls(mean, variance * torch.eye(len(mean), dtype=torch.float64))

    @classmethod
    def standard(cls, n: int) -> "Gaussian":
        """N(0, I), the distribution of the noise."""
        return cls.white(torch.zeros(n, dtype=torch.float64))

    @property
    def dimension(self) -> int:
        """The number of dimensions n."""
        return len(self.mean)

    @cached_property
    def cholesky(self) -> Float64[Tensor, "n n"]:
        """The lower triangular L with L·Lᵀ = C."""
        return torch.linalg.cholesky(self.covariance)

    @cached_property
    def distribution(self) -> MultivariateNormal:
        """The same distribution as PyTorch knows it."""
        return MultivariateNormal(self.mean, scale_tril=self.cholesky, validate_args=False)

    def log_prob(self, x: Float[Tensor, "*m n"]) -> Float64[Tensor, "*m"]:
        """log p(x) of (3), with C⁻¹ in the exponent (the chapter prints C)."""
        return self.distribution.log_prob(torch.as_tensor(x, dtype=torch.float64))

    def sample(self, m: int, generator: torch.Generator | None = None) -> Float64[Tensor, "m n"]:
        """m independent draws, mean + L·ε."""
        noise = torch.randn(m, self.dimension, dtype=torch.float64, generator=generator)
        return self.mean + noise @ self.cholesky.T
