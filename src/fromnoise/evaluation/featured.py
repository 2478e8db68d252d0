"""A set of images as their features, with what its metrics share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from fromnoise.evaluation.design import LEAST, Design, Rows, disjoint
from fromnoise.evaluation.frechet import Moments

NEIGHBOURS = 5


class Number(NamedTuple):
    """A metric's value, with its standard error where that is known: how far other images would move it."""

    value: float
    error: float | None = None


class UnavailableError(Exception):
    """Why a metric is not available, in words that follow a colon."""


@dataclass(frozen=True, eq=False)
class Featured:
    """Features, how the images were drawn, and their labels and groups (`ImageSet.groups`) where there are any."""

    features: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"] | None = None
    design: Design = "random"
    groups: Int[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def strata(self) -> Int[Tensor, " n"] | None:
        """The labels of a stratified set, classes of fewer than `LEAST` images (groups, where they are known) merged
        with each other and, if need be, the next larger; None for a random set, or if that leaves one label."""
        if self.design == "random" or self.labels is None:
            return None
        labels = self.labels if self.groups is None else torch.stack([self.labels, self.groups]).unique(dim=1)[0]
        sizes = labels.bincount()
        order = torch.argsort(sizes, stable=True)
        small, needed = (int((each < LEAST).sum()) for each in (sizes, sizes[order].cumsum(dim=0)))
        rare = order[: max(small, needed + 1)]
        merged = torch.where(torch.isin(self.labels, rare), rare[-1], self.labels)
        return merged if len(merged.unique()) > 1 else None

    @cached_property
    def units(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " u"]]:
        """The unit of each row, which chance draws as a whole: a group (of one class, if there are strata) or the row.

        Then the class of each unit, counted from 0 without gaps: 0 without strata.
        """
        labels = torch.zeros(len(self), dtype=torch.long) if self.strata is None else self.strata
        numbered = torch.from_numpy(np.unique(labels.numpy(), return_inverse=True)[1])
        if self.groups is None:
            return torch.arange(len(self)), numbered
        by = int(self.groups.max()) + 1
        units, index = np.unique((numbered * by + self.groups).numpy(), return_inverse=True)
        return torch.from_numpy(index), torch.from_numpy(units // by)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance."""
        return Moments.of(self.features)

    @cached_property
    def neighbour_distances(self) -> Float64[Tensor, "n k"]:
        """The distances to the `NEIGHBOURS` nearest other rows, ascending."""
        from sklearn.neighbors import NearestNeighbors  # takes a second to import

        rows = self.features.double() - self.features.mean(
            dim=0, dtype=torch.float64
        )  # rounding is least at the origin
        search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(rows.numpy())
        return torch.from_numpy(search.kneighbors()[0])

    def take(self, rows: Rows) -> "Featured":
        """The rows at these positions."""
        labels, groups = (None if each is None else each[rows] for each in (self.labels, self.groups))
        return Featured(self.features[rows], labels, self.design, groups)

    def few(self, n: int, seed: int) -> "Featured":
        """A subset of n rows at most, drawn by the set's own design; itself where that is all rows."""
        return next(self.parts(n, 1, seed))

    def parts(self, n: int, most: int, seed: int) -> Iterator["Featured"]:
        """At most `most` disjoint subsets of n rows, each as `few`, which need not be in memory together."""
        strata = None if self.strata is None else self.strata.numpy()
        yield from [self] if n >= len(self) else map(self.take, disjoint(len(self), n, most, seed, strata))

    def error(self, influence: Float64[Tensor, " n"]) -> float:
        """The standard error of the mean of one number per row; for a stratified set, from the spread within classes.

        Rows of one group go together: what they add to the mean is summed first.
        """
        if self.strata is None and self.groups is None:
            return float(influence.std()) / len(self) ** 0.5
        unit, classes = self.units
        means = classes[unit].bincount(influence) / classes[unit].bincount()
        pulls = unit.bincount(influence - means[classes[unit]])
        sizes, squares = classes.bincount().double(), classes.bincount(pulls.square())
        return float((squares * sizes / (sizes - 1).clamp(min=1)).sum()) ** 0.5 / len(self)


Measure = Callable[[Featured, Featured, int], Number]
"""A metric of images in comparison with a reference, by a seed; raises UnavailableError where there is none."""
