"""Metrics from nearest neighbours: precision and recall, density and coverage.

Each set is taken for the union of balls around its rows, with radius the distance to the k-th nearest other row of the
same set. Fidelity (precision, density) asks how generated rows lie in the reference's balls, variety (recall, coverage)
how much of the reference is reached. All four move with the sizes of the sets: compare only at the same sizes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from fromnoise.evaluation.pairs import pair

BLOCK = 256
# Balls are closed: a row at the very edge is inside, as copies of the rows that made the radius are. Rounding moves
# |x|² + |y|² − 2x·y by about 1e-15 of |x|² + |y|², so that much and some more must not decide.
ROUNDING = 1e-12


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares, between 0 and 1."""

    precision: float
    recall: float


@dataclass(frozen=True)
class DensityCoverage:
    """Density is 1 on average for equal distributions and may exceed it; coverage lies between 0 and 1."""

    density: float
    coverage: float


def precision_recall(
    generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, k: int = 3, block: int = BLOCK
) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, section 2).

    Precision is the share of generated rows within some ball of the reference, recall the share of reference rows
    within some ball of the generated. Raises ValueError unless both sets have more than k rows and can be compared.
    """
    x, y = _centred(generated, reference, k)
    precision = _inside(x, y, _squared_radii(y, k, block), block).any
    recall = _inside(y, x, _squared_radii(x, k, block), block).any
    return PrecisionRecall(float(precision.double().mean()), float(recall.double().mean()))


def density_coverage(
    generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, k: int = 5, block: int = BLOCK
) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, section 3), in the reference's balls alone.

    Density is the mean number of balls that a generated row lies in, by k; coverage the share of balls that hold a
    generated row. One generated outlier cannot raise either, as it can recall. Raises ValueError unless both sets have
    more than k rows and can be compared.
    """
    x, y = _centred(generated, reference, k)
    found = _inside(x, y, _squared_radii(y, k, block), block)
    return DensityCoverage(float(found.count.double().mean() / k), float(found.holds.double().mean()))


def _centred(generated: Tensor, reference: Tensor, k: int) -> tuple[Float64[Tensor, "n d"], Float64[Tensor, "m d"]]:
    # Distances do not feel a shift, but |x|² + |y|² − 2x·y cancels less near the origin.
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    generated, reference = pair(generated, reference, k + 1)
    centre = reference.mean(dim=0, dtype=torch.float64)
    return generated - centre, reference - centre


def _squared(x: Tensor, y: Tensor, less: float = 0.0) -> Float64[Tensor, "n m"]:
    """|x_i − y_j|², by matrix product; less that share of |x_i|² + |y_j|²."""
    norms = x.square().sum(dim=1, keepdim=True) + y.square().sum(dim=1)
    return (1 - less) * norms - 2 * x @ y.T


def _squared_radii(x: Tensor, k: int, block: int) -> Float64[Tensor, " n"]:
    """The squared distance from each row to its k-th nearest other row."""
    radii = []
    for i in range(0, len(x), block):
        part = x[i : i + block]
        squared = _squared(part, x)
        squared[torch.arange(len(part)), i + torch.arange(len(part))] = torch.inf  # itself
        radii.append(squared.topk(k, largest=False).values[:, -1])
    return torch.cat(radii)


@dataclass(frozen=True)
class _Inside:
    """Which rows lie in balls: in any, in how many; and which balls hold a row."""

    any: Bool[Tensor, " n"]
    count: Float64[Tensor, " n"]
    holds: Bool[Tensor, " m"]


def _inside(x: Tensor, centres: Tensor, squared_radii: Tensor, block: int) -> _Inside:
    counts, holds = [], torch.zeros(len(centres), dtype=torch.bool)
    for part in x.split(block):
        inside = _squared(part, centres, ROUNDING) <= squared_radii
        counts.append(inside.sum(dim=1))
        holds |= inside.any(dim=0)
    count = torch.cat(counts)
    return _Inside(count > 0, count.double(), holds)
