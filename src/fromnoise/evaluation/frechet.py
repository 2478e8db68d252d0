"""The Fréchet distance between two sets of features, in float64 by symmetric eigen-decomposition."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fromnoise.data import blocks

RANK = 1e-6
"""Roots of eigenvalues below this share of the largest count as 0."""


@dataclass(frozen=True)
class Moments:
    """Mean, unbiased covariance (divided by n − 1 where all count alike) and size of a set of feature vectors."""

    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]
    n: int

    @classmethod
    def of(
        cls,
        features: Float[Tensor, "n d"],
        rows: Int64[np.ndarray, " k"] | None = None,
        weights: Float64[Tensor, " k"] | None = None,
    ) -> "Moments":
        """The moments of all feature vectors or those at the positions `rows`, in memory that does not grow with them.

        With `weights` w some count more than others; the covariance Σw(f − μ)(f − μ)ᵀ / (Σw − Σw²/Σw) is unbiased for
        weights that do not depend on the features. Raises ValueError for fewer than 2 that count, or for values that
        are not finite.
        """
        n, done, weight, squares = 0, 0, 0.0, 0.0  # weights: their sum, and that of their squares
        d = features.shape[1]
        shift, total, products = (torch.zeros(shape, dtype=torch.float64) for shape in (d, d, (d, d)))
        for part in blocks.parts(features, rows):
            part = part.detach().cpu().double()
            if not bool(part.isfinite().all()):
                raise ValueError("some features are not finite")
            if not done:
                shift = part.mean(dim=0)  # keeps the sum of squares free of cancellation
            weighted = apart = part - shift
            counted = torch.ones(len(part), dtype=torch.float64)
            if weights is not None:
                counted = weights[done : done + len(part)]
                weighted = apart * counted[:, None]
            done += len(part)
            n += int(counted.count_nonzero())
            weight += float(counted.sum())
            squares += float(counted.square().sum())
            total += weighted.sum(dim=0)
            products += weighted.T @ apart
        if n < 2:
            raise ValueError(f"a covariance needs at least 2 features, not {n}")
        mean = total / weight
        scatter = products - weight * torch.outer(mean, mean)
        return cls(mean + shift, scatter / (weight - squares / weight), n)

    @cached_property
    def root(self) -> Float64[Tensor, "d d"]:
        """C^½."""
        roots, vectors = self._roots
        return vectors * roots @ vectors.T

    @property
    def inverse_root(self) -> Float64[Tensor, "d d"]:
        """C^−½ within the rank of C."""
        roots, vectors = self._roots
        return vectors * _inverse(roots) @ vectors.T

    @cached_property
    def _roots(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.covariance)
        return values.clamp(min=0).sqrt(), vectors


def distance(one: Moments, other: Moments) -> float:
    """‖μ_1 − μ_2‖² + tr(C_1 + C_2 − 2(C_1C_2)^½), the squared 2-Wasserstein distance of two Gaussians.

    (Dowson & Landau 1982; Heusel et al. 2017 for the FID.) The trace of the root is the sum of the roots of the
    eigenvalues of C_1^½ C_2 C_1^½, which is symmetric: exact for covariances of any rank, never complex.
    """
    product = _between(other.covariance, one.root)
    return _distance(one, other, torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum())


class Gradient(NamedTuple):
    """A distance's derivatives with respect to one set's moments; `centre` is the mean at which they are taken."""

    centre: Float64[Tensor, " d"]
    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]

    def influence(self, features: Float[Tensor, "n d"]) -> Float64[Tensor, " n"]:
        """How strongly each row of the set pulls at the distance, up to a constant.

        To first order the distance is the mean of these (the infinitesimal jackknife, Jaeckel 1972), so that their
        standard error is its own.
        """
        found = []
        for part in blocks.parts(features):
            apart = part.double() - self.centre
            found.append(apart @ self.mean + (apart @ self.covariance * apart).sum(dim=1))
        return torch.cat(found)


def derived(one: Moments, other: Moments) -> tuple[float, Gradient, Gradient]:
    """The distance, and its gradients by the moments of either set.

    By C_1 it is 1 − T, where T = C_2^½(C_2^½ C_1 C_2^½)^−½ C_2^½ is the optimal map from N(0, C_1) to N(0, C_2); by
    C_2 the same with the map back, T^−1. Both are taken within the ranks of the covariances, where their sets move.
    """
    values, vectors = torch.linalg.eigh(_between(one.covariance, other.root))
    roots = values.clamp(min=0).sqrt()
    forth = other.root @ (vectors * _inverse(roots) @ vectors.T) @ other.root
    inverse = other.inverse_root
    back = inverse @ (vectors * roots @ vectors.T) @ inverse
    means, identity = 2 * (one.mean - other.mean), torch.eye(len(roots), dtype=torch.float64)
    ours, theirs = Gradient(one.mean, means, identity - forth), Gradient(other.mean, -means, identity - back)
    return _distance(one, other, roots.sum()), ours, theirs


def _distance(one: Moments, other: Moments, cross: Tensor) -> float:
    traces = one.covariance.trace() + other.covariance.trace()
    return max(0.0, float((one.mean - other.mean).square().sum() + traces - 2 * cross))


def _between(covariance: Tensor, root: Tensor) -> Float64[Tensor, "d d"]:
    product = root @ covariance @ root
    return (product + product.T) / 2


def _inverse(roots: Tensor) -> Tensor:
    """1/x for roots of eigenvalues, 0 for those that are 0 but for rounding."""
    known = roots > RANK * roots.max()
    return torch.where(known, 1 / torch.where(known, roots, 1.0), 0.0)
