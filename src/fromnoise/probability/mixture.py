"""Mixtures of Gaussians: data with several modes whose density, noisy density and ideal denoiser are all exact."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from fromnoise.probability.gaussian import Gaussian


@dataclass(frozen=True)
class Mixture:
    """Σ_j w_j N(μ_j, C_j) with k components in n dimensions, in float64.

    Raises ValueError for shapes that do not fit, weights that are not positive or do not sum to 1, or a covariance
    that is not symmetric and positive definite.
    """

    weights: Float64[Tensor, " k"]
    means: Float64[Tensor, "k n"]
    covariances: Float64[Tensor, "k n n"]

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64))
        w, means, covariances = self.weights, self.means, self.covariances
        fits = w.ndim == 1 and len(w) and means.ndim == 2 and len(means) == len(w)
        if not fits or covariances.shape != (*means.shape, means.shape[1]):
            shapes = ", ".join(str(tuple(value.shape)) for value in (w, means, covariances))
            raise ValueError(f"a mixture needs k weights, k×n means and k×n×n covariances, not {shapes}")
        if not bool((w > 0).all()) or abs(float(w.sum()) - 1) > 1e-6:
            raise ValueError(f"a mixture's weights are positive and sum to 1, unlike {w.tolist()}")
        for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
            try:
                Gaussian(mean, covariance)
            except ValueError as error:
                raise ValueError(f"component {k}: {error}") from error
        object.__setattr__(self, "weights", w / w.sum())

    @property
    def dimension(self) -> int:
        """The number of dimensions n."""
        return self.means.shape[1]

    @cached_property
    def mean(self) -> Float64[Tensor, " n"]:
        """E x = Σ w_j μ_j."""
        return self.weights @ self.means

    @cached_property
    def covariance(self) -> Float64[Tensor, "n n"]:
        """Σ w_j (C_j + (μ_j − E x)(μ_j − E x)ᵀ): within the components and between them."""
        off = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covariances) + off.T @ (self.weights[:, None] * off)

    @cached_property
    def cholesky(self) -> Float64[Tensor, "k n n"]:
        """The lower triangular L_j with L_j·L_jᵀ = C_j."""
        return torch.linalg.cholesky(self.covariances)

    @cached_property
    def distribution(self) -> MixtureSameFamily:
        """The same distribution as PyTorch knows it."""
        components = MultivariateNormal(self.means, scale_tril=self.cholesky, validate_args=False)
        return MixtureSameFamily(Categorical(self.weights), components, validate_args=False)

    def log_prob(self, x: Float[Tensor, "*m n"]) -> Float64[Tensor, "*m"]:
        """log Σ w_j N(x; μ_j, C_j)."""
        return self.distribution.log_prob(torch.as_tensor(x, dtype=torch.float64))

    def sample(self, m: int, generator: torch.Generator | None = None) -> Float64[Tensor, "m n"]:
        """m independent draws: a component j by its weight, then μ_j + L_j·ε."""
        # PyTorch's own sample takes no generator.
        j = torch.multinomial(self.weights, m, replacement=True, generator=generator)
        noise = torch.randn(m, self.dimension, 1, dtype=torch.float64, generator=generator)
        return self.means[j] + (self.cholesky[j] @ noise).squeeze(2)
