"""How far a metric would move with other images: disjoint subsets where there are many, the jackknife where not.

No bootstrap: a set drawn with replacement holds some images twice. That biases the Fréchet distance, since it has
fewer different images than rows, and breaks nearest neighbours, since a double lies at distance zero.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fromnoise import rng

Rows = NDArray[np.int64]


def disjoint(n_total: int, n: int, most: int, seed: int = 0, labels: Rows | None = None) -> list[Rows]:
    """At most `most` disjoint random subsets of n of `n_total` rows, each sorted; one of all rows if there are fewer.

    With `labels` each subset has all rows' shares of the classes, to within a row or two.
    Raises ValueError if a number is less than 1, or for labels that are not `n_total`.
    """
    if min(n_total, n, most) < 1:
        raise ValueError(f"cannot take {most} subsets of {n} rows of {n_total}")
    order = rng.generator(seed, "disjoint", n_total).permutation(n_total)
    if labels is not None:
        order = _even(order, labels)
    count = max(1, min(most, n_total // n))
    return [np.sort(order[k * n : (k + 1) * n]) for k in range(count)]


def _even(order: Rows, labels: Rows) -> Rows:
    """`order` rearranged so that every stretch of it has the classes' shares; a class's rows keep their order."""
    if len(labels) != len(order):
        raise ValueError(f"{len(labels)} labels for {len(order)} rows")
    place = np.empty(len(order))  # of a row within its class, from 0 to 1
    for label in np.unique(labels):
        members = labels[order] == label
        place[members] = (np.arange(members.sum()) + 0.5) / members.sum()
    return order[np.argsort(place, kind="stable")]


def deal(n: int, parts: int, seed: int, *path: int | str, labels: Rows | None = None) -> list[Rows]:
    """n rows in disjoint random parts of near equal size, each sorted; with `labels`, of near equal classes as well.

    Raises ValueError for labels that are not n.
    """
    order = rng.generator(seed, *path).permutation(n)
    if labels is not None:
        if len(labels) != n:
            raise ValueError(f"{len(labels)} labels for {n} rows")
        order = order[np.argsort(labels[order], kind="stable")]
    return [np.sort(order[k::parts]) for k in range(parts)]


def jackknife(
    statistic: Callable[[Rows], float], n: int, blocks: int, seed: int = 0, labels: Rows | None = None
) -> float:
    """The standard error of a statistic of n independent rows, from leaving out one block of them after the other.

    √((B − 1)/B · Σ_b (θ_b − θ̄)²), with θ_b the statistic of the sorted rows that are not in block b (Shao & Wu 1989).
    For smooth statistics, as the Fréchet and the kernel distance are; a bias that depends on n is the same in every θ_b
    and cancels. For a statistic of two independent sets, add the squares of the errors that each gives.

    `blocks` random blocks of near equal size; n of them leave out one row at a time. Where so many rows of each class
    were chosen by design, give `labels`: blocks are dealt by class, and chance in the classes' shares, of which there
    was none, is not counted. Raises ValueError for fewer than 2 blocks or more than rows, or labels that are not n.
    """
    if not 2 <= blocks <= n:
        raise ValueError(f"{n} rows cannot be left out in {blocks} blocks: from 2 blocks to as many as there are rows")
    left_out = deal(n, blocks, seed, "jackknife", n, labels=labels)
    values = np.array([statistic(np.delete(np.arange(n), block)) for block in left_out], dtype=np.float64)
    return float(np.sqrt((blocks - 1) / blocks * np.square(values - values.mean()).sum()))
