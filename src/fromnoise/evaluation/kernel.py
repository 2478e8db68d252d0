"""The kernel distance (KID): squared maximum mean discrepancy under the kernel (x·y/d + 1)³.

Bińkowski et al. 2018, who average it over random subsets of the rows; all rows at once estimate the same with less
chance in it, and with an error that says how far other images would move it. Unlike the FID it is unbiased at any
size; below zero it means no difference that shows.

Sets with so many rows of each class by design (strata) are no independent draws: the plain estimate, which averages the
kernel over all pairs, would come out too low. Theirs averages it over the pairs of each two classes, of one class over
pairs of different rows, and weights the averages by the classes' shares (the stratified estimator of a U-statistic).
Without strata all rows are one class, and it is the plain estimate.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from fromnoise.evaluation.design import LEAST
from fromnoise.evaluation.featured import Featured, Number
from fromnoise.evaluation.pairs import labelled, pair

BLOCK = 1024  # rows


class KernelDistance(NamedTuple):
    """An estimate of MMD² and its standard error."""

    value: float
    error: float


def mmd2(
    generated: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    generated_strata: Int[Tensor, " n"] | None = None,
    reference_strata: Int[Tensor, " m"] | None = None,
) -> KernelDistance:
    """The unbiased estimate from all rows of both sets, in memory that does not grow with n·m.

    Give the labels of a set that has so many rows of each class by design as its strata. The error is the jackknife's
    over single rows of both sets, within classes, less what it counts twice (Efron & Stein 1981): the part of pairs,
    which is all there is where the sets do not differ. That part is estimated without bias from doubly centred kernels
    (Székely & Rizzo 2014). Raises ValueError for fewer than 4 rows, of a class where there are strata, or for sets
    that cannot be compared.
    """
    x, y = pair(generated, reference, LEAST)
    own, other = _classes(x, generated_strata, "generated"), _classes(y, reference_strata, "reference")
    n, m = len(x), len(y)
    xx, yy, xy = _Within.of(x, own), _Within.of(y, other), _Between.of(x, y, own, other)
    value = xx.mean + yy.mean - 2 * float(xy.rows.sum()) / (n * m)
    first = _jackknife(xx, own, xy.rows.sum(dim=1) / (n * m)) + _jackknife(yy, other, xy.columns.sum(dim=1) / (n * m))
    pairs = xx.pairs + yy.pairs + 4 * xy.pairs
    return KernelDistance(value, max(first - pairs, pairs / 4) ** 0.5)  # an estimate may fall below what there is


def measure(ours: Featured, real: Featured, _: int) -> Number:
    """The KID of a set of images."""
    return Number(*mmd2(ours.features, real.features, ours.strata, real.strata))


def _classes(x: Tensor, strata: Tensor | None, name: str) -> Float64[Tensor, "n c"]:
    """Each row's class, one-hot, for the classes that there are."""
    if strata is None:
        return torch.ones(len(x), 1, dtype=torch.float64)
    found, index = labelled(x, strata, name).long().unique(return_inverse=True)
    hot = torch.nn.functional.one_hot(index, len(found)).double()
    if int(hot.sum(dim=0).min()) < LEAST:
        raise ValueError(f"{name}: a class has fewer than {LEAST} rows")
    return hot


class _Within(NamedTuple):
    """The kernel between different rows of one set.

    mean   of x and x' drawn independently, without bias
    rows   its sums over the rows of each class, n×classes
    pairs  the variance of `mean` that is of pairs: of the kernel, doubly centred within classes
    """

    mean: float
    rows: Float64[Tensor, "n c"]
    pairs: float

    @classmethod
    def of(cls, x: Tensor, hot: Float64[Tensor, "n c"]) -> "_Within":
        rows, _, squares = _sums(x, x, hot, hot)
        itself, sizes, n = _cubed(x.double().square().sum(dim=1), x.shape[1]), hot.sum(dim=0), len(x)
        rows, squares = rows - itself[:, None] * hot, squares - torch.diag(hot.T @ itself.square())
        blocks = hot.T @ rows
        # Pairs of two classes, as `_Between`, and those of one class, among n(n − 1) with their U-centring.
        apart = squares - hot.T @ rows.square() / sizes - (hot.T @ rows.square()).T / sizes[:, None]
        apart = (apart + blocks.square() / torch.outer(sizes, sizes)) / torch.outer(sizes - 1, sizes - 1)
        of_one = squares.diagonal() - 2 / (sizes - 2) * (hot.T @ rows.square()).diagonal()
        of_one = (of_one + blocks.diagonal().square() / ((sizes - 1) * (sizes - 2))) / (sizes * (sizes - 3))
        weights = 2 * torch.outer(sizes, sizes)
        variances = apart.fill_diagonal_(0) + torch.diag(of_one * sizes / (sizes - 1))
        scale = torch.ones_like(blocks) + torch.diag(1 / (sizes - 1))  # n_c² pairs from n_c(n_c − 1)
        return cls(float((blocks * scale).sum()) / n**2, rows, float((weights * variances).sum()) / n**4)


class _Between(NamedTuple):
    """The kernel between the rows of two sets: its sums over the rows of each class of the other, and as `_Within`."""

    rows: Float64[Tensor, "n e"]
    columns: Float64[Tensor, "m c"]
    pairs: float

    @classmethod
    def of(cls, x: Tensor, y: Tensor, own: Float64[Tensor, "n c"], other: Float64[Tensor, "m e"]) -> "_Between":
        rows, columns, squares = _sums(x, y, own, other)
        ours, theirs = own.sum(dim=0), other.sum(dim=0)
        centred = squares - own.T @ rows.square() / theirs - (other.T @ columns.square()).T / ours[:, None]
        centred = centred + (own.T @ rows).square() / torch.outer(ours, theirs)
        variances = centred / torch.outer((ours - 1).clamp(min=1), (theirs - 1).clamp(min=1))
        pairs = float((torch.outer(ours, theirs) * variances).sum()) / (len(x) * len(y)) ** 2
        return cls(rows, columns, pairs)


def _jackknife(within: _Within, hot: Float64[Tensor, "n c"], cross: Float64[Tensor, " n"]) -> float:
    """Σ_c (n_c − 1)/n_c Σ_{i∈c} (θ_i − θ̄_c)², with θ_i the value without row i and the classes' shares as they are.

    Exact, from the sums of the kernel over each row: `cross` is that over the other set, by the number of all pairs.
    """
    sizes, n = hot.sum(dim=0), len(hot)
    size = hot @ sizes
    same = (within.rows * hot).sum(dim=1)
    others = (within.rows.sum(dim=1) - same) / n**2 + same * size / (size - 2) / n**2
    without = 2 * size / (size - 1) * (cross - others)
    centred = without - hot @ (hot.T @ without / sizes)
    return float(((size - 1) / size * centred.square()).sum())


def _sums(
    x: Tensor, y: Tensor, own: Float64[Tensor, "n c"], other: Float64[Tensor, "m e"]
) -> tuple[Float64[Tensor, "n e"], Float64[Tensor, "m c"], Float64[Tensor, "c e"]]:
    """Sums of the kernel over the classes of y for each x, over the classes of x for each y, and of its squares."""
    rows = torch.zeros(len(x), other.shape[1], dtype=torch.float64)
    columns = torch.zeros(len(y), own.shape[1], dtype=torch.float64)
    squares = torch.zeros(own.shape[1], other.shape[1], dtype=torch.float64)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            left, right = slice(i, i + BLOCK), slice(j, j + BLOCK)
            part = _cubed(x[left].double() @ y[right].double().T, x.shape[1])
            rows[left] += part @ other[right]
            columns[right] += part.T @ own[left]
            squares += own[left].T @ part.square() @ other[right]
    return rows, columns, squares


def _cubed(products: Tensor, dimension: int) -> Tensor:
    return (products / dimension + 1) ** 3
