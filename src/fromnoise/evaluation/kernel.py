"""The kernel distance (KID): squared maximum mean discrepancy under the kernel (x·y/d + 1)³.

Bińkowski et al. 2018, who average it over random subsets of the rows; all rows at once estimate the same with less
chance in it, and with an error that says how far other images would move it. Unlike the FID it is unbiased at any
size, for rows drawn independently; below zero it means no difference that shows. Sets with so many rows of each class
by design are closer than independent draws would be: there equal distributions come out below zero by more than the
error.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.evaluation.pairs import pair


@dataclass(frozen=True)
class KernelDistance:
    """An estimate of MMD² and its standard error."""

    value: float
    error: float


def mmd2(generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, block: int = 1024) -> KernelDistance:
    """The unbiased estimate from all rows of both sets, in memory that does not grow with n·m.

    The error is the jackknife's over single rows of both sets: how far other images would move the value. Where the
    sets hardly differ it is too large rather than too small. Raises ValueError for fewer than 3 rows or sets that
    cannot be compared.
    """
    generated, reference = pair(generated, reference, 3)
    sums = _Sums.of(generated, reference, block)
    return KernelDistance(sums.mmd2(), sums.error())


@dataclass(frozen=True)
class _Sums:
    """Sums of the kernel for each row: over the other rows of its own set, and over the rows of the other set."""

    xx: Float64[Tensor, " n"]
    xy: Float64[Tensor, " n"]
    yx: Float64[Tensor, " m"]
    yy: Float64[Tensor, " m"]

    @classmethod
    def of(cls, x: Tensor, y: Tensor, block: int) -> "_Sums":
        xx, yy = _over_rows(x, x, block)[0] - _itself(x), _over_rows(y, y, block)[0] - _itself(y)
        xy, yx = _over_rows(x, y, block)
        return cls(xx, xy, yx, yy)

    def mmd2(self) -> float:
        """Σ_{i≠j} k(x_i, x_j)/(n(n−1)) + Σ_{i≠j} k(y_i, y_j)/(m(m−1)) − 2 Σ_{ij} k(x_i, y_j)/(nm)."""
        n, m = len(self.xx), len(self.yy)
        own = self.xx.sum() / (n * (n - 1)) + self.yy.sum() / (m * (m - 1))
        return float(own - 2 * self.xy.sum() / (n * m))

    def error(self) -> float:
        """√(V_x + V_y), V = (n − 1)/n Σ_i (θ_i − θ̄)² with θ_i the value without row i, exact from the sums."""
        variance = 0.0
        for own, cross, others in ((self.xx, self.xy, len(self.yy)), (self.yy, self.yx, len(self.xx))):
            n = len(own)
            without = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (cross.sum() - cross) / ((n - 1) * others)
            variance += float((n - 1) / n * (without - without.mean()).square().sum())
        return variance**0.5


def _over_rows(x: Tensor, y: Tensor, block: int) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " m"]]:
    """Σ_j k(x_i, y_j) for each i and Σ_i k(x_i, y_j) for each j."""
    rows, columns = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(y), dtype=torch.float64)
    for i in range(0, len(x), block):
        for j in range(0, len(y), block):
            part = _cubed(x[i : i + block].double() @ y[j : j + block].double().T, x.shape[1])
            rows[i : i + block] += part.sum(dim=1)
            columns[j : j + block] += part.sum(dim=0)
    return rows, columns


def _itself(x: Tensor) -> Float64[Tensor, " n"]:
    """k(x_i, x_i)."""
    return _cubed(x.double().square().sum(dim=1), x.shape[1])


def _cubed(products: Tensor, dimension: int) -> Tensor:
    return (products / dimension + 1) ** 3
