"""The kernel distance (KID): squared maximum mean discrepancy under the kernel (x·y/d + 1)³.

Bińkowski et al. 2018, who average it over random subsets of the rows; all rows at once estimate the same with less
chance in it, and with an error that says how far other images would move it. Unlike the FID it is unbiased at any
size; negative values mean no detectable difference.

Sets with a fixed number of rows per class (strata) are not independent draws: the plain estimate, which averages the
kernel over all pairs, would come out too low. Theirs averages it over the pairs of each two classes, and weights the
averages by the classes' shares (the stratified estimator of a U-statistic). Without strata all rows are one class, and
it is the plain estimate. Pairs within a set are of rows in different groups of near-duplicates, for only those are
independent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from fromnoise.evaluation.design import LEAST
from fromnoise.evaluation.featured import Featured, Number, UnavailableError

BLOCK = 1024  # rows


def mmd2(generated: Featured, reference: Featured, _: int = 0) -> Number:
    """The unbiased estimate, and its standard error, from all rows of both sets, in memory that does not grow with n·m.

    The error is the jackknife's over units (rows, or groups of one class) of both sets, within classes, less what it
    counts twice (Efron & Stein 1981): the part of pairs, which is all there is where the sets do not differ. That part
    is estimated without bias from doubly centred kernels (Székely & Rizzo 2014). Raises UnavailableError for fewer than
    `LEAST` units.
    """
    x, (y, yy) = _Units.of(generated), _of_reference(reference)
    xx, xy = _Sums.of(x, x), _Sums.of(x, y)
    nm = len(x.rows) * len(y.rows)
    value = x.mean(xx.rows) + y.mean(yy.rows) - 2 * float(xy.rows.sum()) / nm
    first = x.jackknife(xx.rows, xy.rows.sum(dim=1) / nm) + y.jackknife(yy.rows, xy.columns.sum(dim=1) / nm)
    pairs = 2 * xx.pairs + 2 * yy.pairs + 4 * xy.pairs
    return Number(value, max(first - pairs, pairs / 4) ** 0.5)  # an estimate may fall below what there is


@dataclass(frozen=True)
class _Units:
    """The rows of a set, those of one unit side by side.

    unit    of each row, counted from 0
    starts  the first row of each unit
    hot     each row's class, one-hot
    sizes   rows of each class
    number  units of each class
    """

    rows: Float[Tensor, "n d"]
    unit: Int[Tensor, " n"]
    starts: Int[Tensor, " u"]
    hot: Float64[Tensor, "n c"]
    sizes: Float64[Tensor, " c"]
    number: Float64[Tensor, " c"]

    @classmethod
    def of(cls, images: Featured) -> "_Units":
        unit, classes = images.units
        number = classes.bincount().double()
        if int(number.min()) < LEAST:
            raise UnavailableError(f"the images are fewer than {LEAST} groups")
        order = unit.argsort(stable=True)
        starts = unit.bincount().cumsum(0).roll(1)
        starts[0] = 0
        hot = torch.nn.functional.one_hot(classes[unit[order]], len(number)).double()
        return cls(images.features[order], unit[order], starts, hot, hot.sum(dim=0), number)

    def mean(self, rows: Float64[Tensor, "n c"]) -> float:
        """The kernel's mean over x and x' drawn independently, without bias, from its sums over other units' rows."""
        same = self.hot.T @ self.unit.bincount()[self.unit].double()  # pairs of one unit, by class
        pairs = torch.outer(self.sizes, self.sizes)
        return float((self.hot.T @ rows * pairs / (pairs - torch.diag(same))).sum()) / len(self.rows) ** 2

    def jackknife(self, rows: Float64[Tensor, "n c"], cross: Float64[Tensor, " n"]) -> float:
        """Σ_c (u_c − 1)/u_c Σ (θ_u − θ̄_c)² over the u_c units of each class, with θ_u the value without the rows of
        unit u and the classes' shares as they are.

        Exact for single rows, from the kernel's sums over each row: `cross` is that over the other set, by the number
        of all pairs.
        """
        size, n = self.hot @ self.number, len(self.rows)
        same = (rows * self.hot).sum(dim=1)
        others = (rows.sum(dim=1) - same) / n**2 + same * size / (size - 2) / n**2
        without = 2 * size / (size - 1) * (cross - others)
        centred = self.unit.bincount(without - self.hot @ (self.hot.T @ without / self.sizes))
        return float(((size - 1) / size)[self.starts] @ centred.square())

    def blocks(self) -> Iterator[slice]:
        """Stretches of about `BLOCK` rows that divide no unit."""
        last = torch.searchsorted(self.starts, torch.arange(0, len(self.rows), BLOCK), right=True) - 1
        for start, end in pairwise([*self.starts[last].unique().tolist(), len(self.rows)]):
            yield slice(start, end)

    def classes(self, rows: slice) -> Float64[Tensor, "u c"]:
        """The class of each unit of a block, one-hot."""
        return self.hot[self.starts[self.unit[rows.start] : self.unit[rows.stop - 1] + 1]]


class _Sums(NamedTuple):
    """Sums of the kernel between the rows of two sets, or between rows of different units of one set.

    rows     over the rows of each class of y, for each x
    columns  over the rows of each class of x, for each y
    pairs    the variance of the kernel's mean that is of pairs: of the kernel, doubly centred within classes
    """

    rows: Float64[Tensor, "n e"]
    columns: Float64[Tensor, "m c"]
    pairs: float

    @classmethod
    def of(cls, x: _Units, y: _Units) -> "_Sums":
        rows = torch.zeros(len(x.rows), len(y.sizes), dtype=torch.float64)
        columns = torch.zeros(len(y.rows), len(x.sizes), dtype=torch.float64)
        for left, right, part in _kernel(x, y):
            rows[left] += part @ y.hot[right]
            columns[right] += part.T @ x.hot[left]

        # Pairs of two classes, and those of one class with their U-centring, without which they would be too few.
        own = torch.eye(len(x.sizes), len(y.sizes), dtype=torch.float64) * (x is y)
        fewer = [1 - own * k / x.number[:, None] for k in range(4)]
        total = x.hot.T @ rows / torch.outer(x.sizes, y.sizes) / (fewer[1] * fewer[2])
        ours = rows / y.sizes / (x.hot @ fewer[2]) - x.hot @ total
        theirs = columns / x.sizes / (y.hot @ fewer[2].T)
        squares = torch.zeros_like(total)
        for left, right, part in _kernel(x, y, ours, theirs):
            by_unit = _summed(_summed(part, x.unit[left]).T, y.unit[right]).T
            squares += x.classes(left).T @ by_unit.square() @ y.classes(right)
        apart = torch.outer(1 - 1 / x.number, 1 - 1 / y.number)
        squares /= torch.where(own > 0, fewer[1] * fewer[3], apart)
        return cls(rows, columns, float(squares.sum()) / (len(x.rows) * len(y.rows)) ** 2)


_REFERENCES: WeakKeyDictionary[Featured, tuple[_Units, _Sums]] = WeakKeyDictionary()


def _of_reference(images: Featured) -> tuple[_Units, _Sums]:
    """The reference's units, and the kernel's sums among its own rows: taken once for all sets compared with it."""
    if images not in _REFERENCES:
        units = _Units.of(images)
        _REFERENCES[images] = units, _Sums.of(units, units)
    return _REFERENCES[images]


def _kernel(
    x: _Units, y: _Units, ours: Float64[Tensor, "n e"] | None = None, theirs: Float64[Tensor, "m c"] | None = None
) -> Iterator[tuple[slice, slice, Float64[Tensor, "b b2"]]]:
    """The kernel block by block, less numbers of each row for each class of the other set; 0 within a unit."""
    d = x.rows.shape[1]
    for left in x.blocks():
        for right in y.blocks():
            part = (x.rows[left].double() @ y.rows[right].double().T / d + 1) ** 3
            if ours is not None and theirs is not None:
                part -= ours[left] @ y.hot[right].T + x.hot[left] @ theirs[right].T
            if x is y:
                part[x.unit[left][:, None] == x.unit[right]] = 0
            yield left, right, part


def _summed(part: Float64[Tensor, "b k"], unit: Int[Tensor, " b"]) -> Float64[Tensor, "u k"]:
    """The sums of each unit's rows."""
    first = int(unit[0])
    return torch.zeros(int(unit[-1]) + 1 - first, part.shape[1], dtype=part.dtype).index_add_(0, unit - first, part)
