"""A set of images as their features, with what its metrics share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from fromnoise.evaluation.design import LEAST, Design, Rows, disjoint
from fromnoise.evaluation.frechet import Moments

NEIGHBOURS = 5


class Number(NamedTuple):
    """A metric's value, with its standard error where that is known: how far other images would move it."""

    value: float
    error: float | None = None


class UnavailableError(Exception):
    """Why a metric cannot be had, in words that follow a colon."""


@dataclass(frozen=True, eq=False)
class Featured:
    """Features, labels where there are any, and how the images were drawn."""

    features: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"] | None = None
    design: Design = "random"

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def strata(self) -> Int[Tensor, " n"] | None:
        """The labels of a stratified set; None for a random one, and for less than `LEAST` of a class."""
        if self.design == "random" or self.labels is None:
            return None
        sizes = self.labels.bincount()
        return self.labels if int(sizes[sizes > 0].min()) >= LEAST else None

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance."""
        return Moments.of(self.features)

    @cached_property
    def apart(self) -> Float64[Tensor, "n k"]:
        """The distances to the `NEIGHBOURS` nearest other rows, ascending."""
        return apart(self.features, NEIGHBOURS)

    def take(self, rows: Rows) -> "Featured":
        """The rows at these positions."""
        return Featured(self.features[rows], None if self.labels is None else self.labels[rows], self.design)

    def parts(self, n: int, most: int, seed: int) -> list["Featured"]:
        """At most `most` disjoint subsets of n rows, drawn by the set's own design; itself where that is all rows."""
        return list(self.one_by_one(n, most, seed))

    def one_by_one(self, n: int, most: int, seed: int) -> Iterator["Featured"]:
        """The same as `parts`, for subsets that need not be in memory together."""
        strata = None if self.strata is None else self.strata.numpy()
        yield from [self] if n >= len(self) else map(self.take, disjoint(len(self), n, most, seed, strata))

    def error(self, influence: Float64[Tensor, " n"]) -> float:
        """The standard error of the mean of a number for each row: of a stratified set, from within its classes."""
        if self.strata is None:
            return float(influence.std()) / len(self) ** 0.5
        _, index = np.unique(self.strata.numpy(), return_inverse=True)
        classes = torch.from_numpy(index)
        sizes = classes.bincount().double()
        means = classes.bincount(influence) / sizes
        squares = classes.bincount((influence - means[classes]).square())
        return float((squares * sizes / (sizes - 1)).sum()) ** 0.5 / len(self)


def apart(rows: Float[Tensor, "n d"], k: int) -> Float64[Tensor, "n k"]:
    """The distances of each row to the k nearest others, ascending."""
    rows = rows.double() - rows.mean(dim=0, dtype=torch.float64)  # near the origin, rounding is least
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows.numpy())
    return torch.from_numpy(search.kneighbors()[0])


Measure = Callable[[Featured, Featured, int], Number]
"""A metric of images, in comparison with a reference, by a seed; raises UnavailableError where it cannot be had."""
