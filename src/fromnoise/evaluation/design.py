"""How a set of images was drawn, at random or with fixed class counts, and disjoint subsets drawn in the same way.

A class-conditional model that is asked for a hundred images of each class leaves nothing to chance in the classes'
shares, and that lowers its FID. So floors and copycats are drawn as the generated images were: a **stratified**
draw has the classes' shares to within a few images, a **random** one has shares that chance moves.
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from fromnoise import rng

Design = Literal["stratified", "random"]
Rows = NDArray[np.int64]
Groups = Rows | Int[Tensor, " n"]
"""The group of each image, as `ImageSet.groups` numbers them."""

TOLERANCE = 3
"""Images by which the classes of a stratified set may miss their shares: `generation.sampling` does by up to 2.9."""
LEAST = 4
"""Fewest images of a stratum: unbiased estimates within classes need that many."""
RARE = 0.1
"""Most images of a stratified set that may be in classes with fewer than `LEAST`."""
MARGIN = 3
"""Standard deviations by which a class may exceed its share in a random draw from a stratified pool."""


def design_of(labels: Int[Tensor, " n"] | None, *others: Int[Tensor, " m"] | None) -> Design:
    """The design of a set with these labels, beside sets of real images with labels of their own.

    "stratified" where its classes are of even size, or have the shares of one of `others`, to within `TOLERANCE`
    images; "random" otherwise, and without labels. Random draws of several classes are hardly ever so even. If one is,
    a stratified draw is still the right comparison: given its counts, it is one.
    """
    if labels is None:
        return "random"
    counts = np.bincount(labels.cpu().numpy())
    present = counts[counts > 0]
    if len(present) < 2 or present[present < LEAST].sum() > RARE * present.sum():
        return "random"
    if np.abs(present - present.mean()).max() <= TOLERANCE:
        return "stratified"
    for other in others:
        if other is not None:
            real = np.bincount(other.cpu().numpy(), minlength=len(counts))
            expected = real * (counts.sum() / real.sum())
            padded = np.pad(counts, (0, len(real) - len(counts)))
            if np.abs(padded - expected).max() <= TOLERANCE:
                return "stratified"
    return "random"


def most_at_random(strata: Rows) -> int:
    """How many rows of a pool that is stratified by these labels one random draw can take.

    A random draw has more than its share of some class, and a stratified pool must have that many: `MARGIN` standard
    deviations above the share of its smallest class.
    """
    sizes = np.bincount(strata)
    spread = MARGIN / np.sqrt(sizes[sizes > 0].min())
    return int(len(strata) * ((np.sqrt(spread**2 + 4) - spread) / 2) ** 2)


def most_apart(groups: Groups) -> int:
    """How many rows a draw can take with group members mostly kept apart: n over the mean size of an image's group."""
    sizes = np.bincount(groups)
    return int(len(groups) ** 2 / np.square(sizes).sum())


def error_of_mean(values: NDArray[np.float64], groups: Groups | None = None) -> float:
    """The standard error of a mean of at least two values; members of one of the `groups` count as one.

    It is NaN for a single group.
    """
    if groups is None:
        return float(values.std(ddof=1)) / len(values) ** 0.5
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - values.mean())
    if len(sums) < 2:
        return math.nan
    return math.sqrt(np.square(sums).sum() * len(sums) / (len(sums) - 1)) / len(values)


def at_random(strata: Rows, n: int, most: int, seed: int = 0, groups: Rows | None = None) -> list[Rows]:
    """At most `most` disjoint subsets of n rows of a stratified pool, each as a random draw would be, sorted.

    How many rows of each class a subset has is multinomial; there are as many subsets as the classes allow, one at
    least; members of one of the `groups` are spread over them. Raises ValueError for n above `most_at_random`.
    """
    if not 1 <= n <= most_at_random(strata):
        raise ValueError(f"{n} of {len(strata)} stratified rows are no random draw")
    random = rng.generator(seed, "at random", len(strata))
    order = _apart(random.permutation(len(strata)), groups, random)
    by_class = [order[strata[order] == label] for label in range(strata.max() + 1)]
    sizes = np.array([len(rows) for rows in by_class])
    taken = np.zeros_like(sizes)
    found: list[Rows] = []
    while len(found) < most:
        wanted = random.multinomial(n, sizes / sizes.sum())
        if (taken + wanted <= sizes).all():
            parts = [rows[done : done + some] for rows, done, some in zip(by_class, taken, wanted, strict=True)]
            found.append(np.sort(np.concatenate(parts)))
            taken += wanted
        elif found:
            break
    return found


def disjoint(
    n_total: int, n: int, most: int, seed: int = 0, labels: Rows | None = None, groups: Rows | None = None
) -> list[Rows]:
    """At most `most` disjoint random subsets of n of `n_total` rows, each sorted; one of all rows if there are fewer.

    With `labels` each subset has all rows' shares of the classes, to within a row or two; with `groups` the members of
    a group are spread over the subsets.
    """
    random = rng.generator(seed, "disjoint", n_total)
    order = _apart(random.permutation(n_total), groups, random)
    if labels is not None:
        order = _even(order, labels)
    count = max(1, min(most, n_total // n))
    return [np.sort(order[k * n : (k + 1) * n]) for k in range(count)]


def deal(n: int, parts: int, seed: int, *path: int | str, labels: Rows | None = None) -> list[Rows]:
    """n rows in disjoint random parts of near equal size, each sorted; with `labels`, of near equal classes as well."""
    order = rng.generator(seed, *path).permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    return [np.sort(order[k::parts]) for k in range(parts)]


def _even(order: Rows, labels: Rows) -> Rows:
    """`order` rearranged so that every stretch of it has the classes' shares; a class's rows keep their order."""
    place = np.empty(len(order))  # of a row within its class, from 0 to 1
    for label in np.unique(labels):
        members = labels[order] == label
        place[members] = (np.arange(members.sum()) + 0.5) / members.sum()
    return order[np.argsort(place, kind="stable")]


def _apart(order: Rows, groups: Rows | None, random: np.random.Generator) -> Rows:
    """`order` rearranged so that the members of each group are evenly far apart in it; as it is without groups."""
    if groups is None:
        return order
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    grouped = np.argsort(index[order], kind="stable")
    nth = np.empty(len(order))  # of a row among its group's, in `order`
    nth[grouped] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    group = index[order]
    return order[np.argsort((nth + random.random(len(sizes))[group]) / sizes[group], kind="stable")]
