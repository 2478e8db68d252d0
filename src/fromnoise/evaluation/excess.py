"""The headline: how much farther from the reference the generated images are than real ones, FID − floor.

The FID is biased upwards by a number that falls with the number of images, about as much for generated images as for
real ones. So the difference hardly moves with that number, which only decides how sure it is; the ratio of the two does
move, for it is (distance + bias)/bias. Both are taken at the same number of images and by the same design.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.frechet import Gradient, derived, distance
from fromnoise.evaluation.report import Beside, Excess, Measured

NORMAL = 1.959964
"""Standard errors to either side of a 95 % interval."""
STRICT = 3.090232
"""Standard errors from 0 at which images are called farther than real ones, or closer: chance takes real images so far
once in 1,000 cases."""


def beside(values: Sequence[float], n: int) -> Beside:
    """A metric over subsets of n images each: the mean and, for several, the deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Beside(statistics.fmean(values), deviation, len(values), n)


def fid(generated: Featured, reference: Featured) -> Measured:
    """The Fréchet distance, with its standard error: how far other images of either set would move it."""
    value, ours, theirs = derived(generated.moments, reference.moments)
    errors = [of.error(gradient.influence(of.features)) for of, gradient in ((generated, ours), (reference, theirs))]
    return Measured(value, float(torch.tensor(errors).norm()), n=len(generated))


def distances(draws: Sequence[Featured], reference: Featured) -> Beside | None:
    """The FIDs of several sets of one size; None without any."""
    values = [distance(reference.moments, draw.moments) for draw in draws]
    return beside(values, len(draws[0])) if values else None


def excess(generated: Iterable[Featured], floor: Sequence[Featured], reference: Featured) -> Excess:
    """The mean FID of subsets of the generated images over that of floor draws, all of one size and design.

    The subsets may come from a generator: one at a time is in memory.

    The variance has a part for every subset, and one for the reference, which both have in common: only the difference
    of its pulls counts. All are first-order (`Gradient.influence`). Subsets of images in groups are no independent
    draws, as they share groups: they have one part together.

    Between sets that do not differ, the distance is quadratic in what chance moves: all variance is of pairs of images,
    and a first-order variance counts it twice (Efron & Stein 1981). So it is taken off once: that of floor draws, which
    differ from the reference by chance alone. Pairs are of one draw, or of a draw and the reference. With a and b the
    parts of draw and reference in the variance of one draw's distance, the pairs of a draw have a(a/2 + b)/(a + b).
    """
    values, parts, designs = [], [], set()
    pulls = [torch.zeros_like(reference.moments.mean), torch.zeros_like(reference.moments.covariance)]
    alone: list[tuple[float, float]] = []  # the variance of a single draw's distance: of the draw, of the reference
    for sets, sign in ((floor, -1), (generated, 1)):
        found, squares = [], 0.0
        grouped: list[Featured] = []
        pull = [torch.zeros_like(each) for each in pulls]
        for images in sets:
            value, ours, theirs = derived(images.moments, reference.moments)
            found.append(value)
            influence = ours.influence(images.features)
            square = images.error(influence) ** 2
            squares += square
            if sign < 0:
                alone.append((square, reference.error(theirs.influence(reference.features)) ** 2))
            if images.groups is not None:
                grouped.append(replace(images, features=(influence - influence.mean())[:, None]))
            pull = [one + another for one, another in zip(pull, theirs[1:], strict=True)]
        k = len(found)
        values.append(statistics.fmean(found))
        if grouped:
            together = _joined(grouped)
            squares = (k * together.error(together.features[:, 0])) ** 2
        parts.append(squares / k**2)
        pulls = [one + sign * another / k for one, another in zip(pulls, pull, strict=True)]
        n, design = len(images), images.design
        designs.add(design)
    both = Gradient(reference.moments.mean, *pulls)
    variance = sum(parts) + reference.error(both.influence(reference.features)) ** 2
    a, b = (statistics.fmean(each) for each in zip(*alone, strict=True))
    pairs = (parts[0] + a / k) * (a / 2 + b) / (a + b) if a else 0.0
    error = max(variance - pairs, variance / 2) ** 0.5
    value = values[1] - values[0]
    alike = len(designs) == 1 and values[0] > 0
    return Excess(
        value,
        error,
        value - NORMAL * error,
        value + NORMAL * error,
        n=n,
        design=design,
        fid=values[1],
        floor=values[0],
        ratio=values[1] / values[0] if alike else None,
    )


def _joined(sets: Sequence[Featured]) -> Featured:
    """All rows of sets that have groups, of one design."""
    labels, groups = (
        None if columns[0] is None else torch.cat([each for each in columns if each is not None])
        for columns in zip(*((each.labels, each.groups) for each in sets), strict=True)
    )
    return Featured(torch.cat([each.features for each in sets]), labels, sets[0].design, groups)
