"""Metrics from nearest neighbours: precision and recall, density and coverage.

Each set is taken for the union of balls around its rows, with radius the distance to the k-th nearest other row of the
same set. Fidelity (precision, density) asks how generated rows lie in the reference's balls, variety (recall, coverage)
how much of the reference is reached. All four move with the sizes of the sets: compare only at the same sizes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from fromnoise.evaluation.featured import NEIGHBOURS, Featured, Number, apart
from fromnoise.evaluation.pairs import pair

PRECISION_K, DENSITY_K = 3, NEIGHBOURS  # the neighbour that the radius reaches to
BLOCK = 256
# Balls are closed: a row at the very edge is inside, as copies of the rows that made the radius are. Rounding moves
# |x|² + |y|² − 2x·y by about 1e-15 of |x|² + |y|², so that much and some more must not decide.
ROUNDING = 1e-12


class PrecisionRecall(NamedTuple):
    """Shares, between 0 and 1."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Density is 1 on average for equal distributions and may exceed it; coverage lies between 0 and 1."""

    density: float
    coverage: float


def precision_recall(
    generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, k: int = PRECISION_K
) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, section 2).

    Precision is the share of generated rows within some ball of the reference, recall the share of reference rows
    within some ball of the generated. Raises ValueError unless both sets have more than k rows and can be compared.
    """
    x, y = _centred(generated, reference, k)
    precision, recall = _inside(x, y, _radii(y, k)).any, _inside(y, x, _radii(x, k)).any
    return PrecisionRecall(float(precision.double().mean()), float(recall.double().mean()))


def density_coverage(
    generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, k: int = DENSITY_K
) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, section 3), in the reference's balls alone.

    Density is the mean number of balls that a generated row lies in, by k; coverage the share of balls that hold a
    generated row. One generated outlier cannot raise either, as it can recall. Raises ValueError unless both sets have
    more than k rows and can be compared.
    """
    x, y = _centred(generated, reference, k)
    found = _inside(x, y, _radii(y, k))
    return DensityCoverage(float(found.balls.double().mean() / k), float(found.holds.double().mean()))


def precision(ours: Featured, real: Featured, _: int) -> Number:
    """The share of images within some ball of the reference."""
    return Number(float(_in_balls(ours, real, PRECISION_K).any.double().mean()))


def recall(ours: Featured, real: Featured, _: int) -> Number:
    """The share of the reference within some ball of the images."""
    return Number(float(_in_balls(real, ours, PRECISION_K).any.double().mean()))


def density(ours: Featured, real: Featured, _: int) -> Number:
    """The mean number of the reference's balls that an image lies in, by k."""
    return Number(float(_in_balls(ours, real, DENSITY_K).balls.mean() / DENSITY_K))


def coverage(ours: Featured, real: Featured, _: int) -> Number:
    """The share of the reference's balls that hold an image."""
    return Number(float(_in_balls(ours, real, DENSITY_K).holds.double().mean()))


def _in_balls(x: Featured, centres: Featured, k: int) -> "_Inside":
    rows, balls = _centred(x.features, centres.features, k)
    return _inside(rows, balls, centres.apart[:, k - 1])


def _radii(centres: Tensor, k: int) -> Float64[Tensor, " m"]:
    return apart(centres, k)[:, -1]


def _centred(generated: Tensor, reference: Tensor, k: int) -> tuple[Float64[Tensor, "n d"], Float64[Tensor, "m d"]]:
    # Distances do not feel a shift, but |x|² + |y|² − 2x·y cancels less near the origin.
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    generated, reference = pair(generated, reference, k + 1)
    centre = reference.mean(dim=0, dtype=torch.float64)
    return generated - centre, reference - centre


class _Inside(NamedTuple):
    """Which rows lie in any ball, in how many balls each lies, and which balls hold a row."""

    any: Bool[Tensor, " n"]
    balls: Float64[Tensor, " n"]
    holds: Bool[Tensor, " m"]


def _inside(x: Float64[Tensor, "n d"], centres: Float64[Tensor, "m d"], radii: Float64[Tensor, " m"]) -> _Inside:
    """Rows of `x` in the balls of these radii about `centres`."""
    squared_radii = radii.square()
    norms = centres.square().sum(dim=1)
    counts, holds = [], torch.zeros(len(centres), dtype=torch.bool)
    for part in x.split(BLOCK):
        scale = part.square().sum(dim=1, keepdim=True) + norms
        inside = (1 - ROUNDING) * scale - 2 * part @ centres.T <= squared_radii
        counts.append(inside.sum(dim=1))
        holds |= inside.any(dim=0)
    count = torch.cat(counts)
    return _Inside(count > 0, count.double(), holds)
