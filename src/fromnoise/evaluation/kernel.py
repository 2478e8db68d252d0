"""The kernel distance (KID): squared maximum mean discrepancy under the kernel (x·y/d + 1)³.

Bińkowski et al. 2018, who average it over random subsets of the rows; all rows at once estimate the same with less
chance in it, and with an error that says how far other images would move it. Unlike the FID it is unbiased at any
size, for rows drawn independently; below zero it means no difference that shows. Sets with so many rows of each class
by design are closer than independent samples would be: there equal distributions come out below zero by more than the
error.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.evaluation.pairs import pair

BLOCK = 1024  # rows


class KernelDistance(NamedTuple):
    """An estimate of MMD² and its standard error."""

    value: float
    error: float


def mmd2(generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> KernelDistance:
    """The unbiased estimate from all rows of both sets, in memory that does not grow with n·m.

    The error is the jackknife's over single rows of both sets: how far other images would move the value. Where the
    sets hardly differ it is too large rather than too small. Raises ValueError for fewer than 3 rows or sets that
    cannot be compared.
    """
    x, y = pair(generated, reference, 3)
    n, m = len(x), len(y)
    xx, yy = _over_rows(x, x)[0] - _itself(x), _over_rows(y, y)[0] - _itself(y)
    xy, yx = _over_rows(x, y)
    own = xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1))
    variance = _variance(xx, xy, m) + _variance(yy, yx, n)
    return KernelDistance(float(own - 2 * xy.sum() / (n * m)), variance**0.5)


def _variance(own: Float64[Tensor, " n"], cross: Float64[Tensor, " n"], others: int) -> float:
    """(n − 1)/n Σ_i (θ_i − θ̄)² with θ_i the value without row i, exact from the sums of the kernel over each row."""
    n = len(own)
    without = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (cross.sum() - cross) / ((n - 1) * others)
    return float((n - 1) / n * (without - without.mean()).square().sum())


def _over_rows(x: Tensor, y: Tensor) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " m"]]:
    """Σ_j k(x_i, y_j) for each i and Σ_i k(x_i, y_j) for each j."""
    rows, columns = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(y), dtype=torch.float64)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            part = _cubed(x[i : i + BLOCK].double() @ y[j : j + BLOCK].double().T, x.shape[1])
            rows[i : i + BLOCK] += part.sum(dim=1)
            columns[j : j + BLOCK] += part.sum(dim=0)
    return rows, columns


def _itself(x: Tensor) -> Float64[Tensor, " n"]:
    """k(x_i, x_i)."""
    return _cubed(x.double().square().sum(dim=1), x.shape[1])


def _cubed(products: Tensor, dimension: int) -> Tensor:
    return (products / dimension + 1) ** 3
