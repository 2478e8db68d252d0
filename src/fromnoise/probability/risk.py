"""Expectations and sample means (7), (8); statistical and empirical risk (9), (10)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Estimate:
    """A sample mean with its standard error, which falls as 1/√n."""

    value: float
    standard_error: float
    n: int


def sample_mean(values: Float[Tensor, " n"]) -> Estimate:
    """f̄ (8) of the values f(x_n) at independent draws; raises ValueError for fewer than two."""
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"a sample mean with an error needs at least 2 values in one row, not {tuple(values.shape)}")
    values = values.double()
    return Estimate(float(values.mean()), float(values.std(correction=1)) / math.sqrt(len(values)), len(values))


def expectation(f: Function, mean: float, variance: float, points: int = 64) -> float:
    """E f(x) (7) for x ~ N(mean, variance), by Gauss–Hermite quadrature: exact for polynomials below 2·points."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    values = f(torch.from_numpy(mean + math.sqrt(variance) * nodes))
    return float((values.double() * torch.from_numpy(weights)).sum()) / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class SquaredRisk:
    """Guessing a number that is drawn from N(mean, variance), at the cost c(w) = (x − w)²: both risks are exact."""

    mean: float
    variance: float

    def statistical(self, w: float) -> float:
        """E (x − w)² = (w − mean)² + variance: the risk we want (10); least at w = mean."""
        return (w - self.mean) ** 2 + self.variance

    @staticmethod
    def empirical(w: float, x: Float64[Tensor, " n"]) -> float:
        """(1/N) Σ (x_n − w)²: the risk we have (9)."""
        return float((x - w).square().mean())

    @staticmethod
    def empirical_minimiser(x: Float64[Tensor, " n"]) -> float:
        """The w that minimises the empirical risk: the sample mean."""
        return float(x.mean())

    def expected_excess(self, n: int) -> float:
        """E [statistical risk of the empirical minimiser] − least statistical risk = variance/n."""
        return self.variance / n
