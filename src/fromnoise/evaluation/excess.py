"""The headline: how much farther from the reference the generated images are than real ones, FID − floor.

The FID is biased upwards by a number that falls with the number of images, about as much for generated images as for
real ones. So the difference hardly moves with that number, which only decides how sure it is; the ratio of the two does
move, for it is (distance + bias)/bias. Both are taken at the same number of images and by the same design.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from fromnoise.evaluation.design import Design
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.frechet import Gradient, derived, distance
from fromnoise.evaluation.report import Beside, Excess, Measured

NORMAL = 1.959964
"""Standard errors to either side of a 95 % interval."""
STRICT = 3.090232
"""Standard errors from 0 at which images are called farther than real ones, or closer: by chance, real images get that
far once in 1,000 cases."""


def beside(values: Sequence[float], n: int) -> Beside:
    """A metric over subsets of n images each: the mean and, for several, the deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Beside(statistics.fmean(values), deviation, len(values), n)


def fid(generated: Featured, reference: Featured) -> Measured:
    """The Fréchet distance, with its standard error: how far other images of either set would move it."""
    value, ours, theirs = derived(generated.moments, reference.moments)
    errors = [of.error(gradient.influence(of.features)) for of, gradient in ((generated, ours), (reference, theirs))]
    return Measured(value, float(torch.tensor(errors).norm()), n=len(generated))


def distances(subsets: Sequence[Featured], reference: Featured) -> Beside | None:
    """The FIDs of several sets of one size; None without any."""
    values = [distance(reference.moments, subset.moments) for subset in subsets]
    return beside(values, len(subsets[0])) if values else None


def excess(generated: Iterable[Featured], floor: Sequence[Featured], reference: Featured) -> Excess:
    """The mean FID of subsets of the generated images over that of the floor's subsets, all of one size and design.

    The subsets may come from a generator: one at a time is in memory.

    The variance has a part for the images of either side, and one for the reference, which both sides have in common:
    only the difference of its pulls counts. All are first-order (`Gradient.influence`). Where sets differ by chance
    alone, the distance is quadratic in what chance moves, and first order counts twice what two images of one set do
    together (Efron & Stein 1981). So half of the floor's part goes, and as much of a set of generated images.
    """
    real, ours = _Side.of(floor, reference), _Side.of(generated, reference)
    both = Gradient(reference.moments.mean, ours.mean - real.mean, ours.covariance - real.covariance)
    twice = real.variance + min(real.single / ours.sets, ours.variance)
    common = reference.error(both.influence(reference.features)) ** 2
    error = (real.variance + ours.variance - twice / 2 + common) ** 0.5
    value = ours.value - real.value
    alike = ours.design == real.design and real.value > 0
    return Excess(
        value,
        error,
        value - NORMAL * error,
        value + NORMAL * error,
        n=ours.n,
        design=ours.design,
        fid=ours.value,
        floor=real.value,
        ratio=ours.value / real.value if alike else None,
    )


class _Side(NamedTuple):
    """Generated images or real ones: sets of n images, of one design, against the reference.

    value            their mean FID
    variance         of that, over the choice of images
    mean, covariance its gradient by the reference's moments
    single           the variance of one set's FID, over the choice of its images, on average
    """

    sets: int
    n: int
    design: Design
    value: float
    variance: float
    mean: torch.Tensor
    covariance: torch.Tensor
    single: float

    @classmethod
    def of(cls, sets: Iterable[Featured], reference: Featured) -> "_Side":
        values, own = [], []
        grouped: list[Featured] = []
        mean, covariance = (torch.zeros_like(each) for each in (reference.moments.mean, reference.moments.covariance))
        for images in sets:
            value, ours, theirs = derived(images.moments, reference.moments)
            values.append(value)
            influence = ours.influence(images.features)
            own.append(images.error(influence) ** 2)
            if images.groups is not None:
                grouped.append(replace(images, features=(influence - influence.mean())[:, None]))
            mean, covariance = mean + theirs.mean, covariance + theirs.covariance
        k = len(values)
        variance = statistics.fmean(own) / k
        if grouped:  # they share groups, so they are not independent subsets but one together
            together = _joined(grouped)
            variance = together.error(together.features[:, 0]) ** 2
        return cls(
            k,
            len(images),
            images.design,
            statistics.fmean(values),
            variance,
            mean / k,
            covariance / k,
            statistics.fmean(own),
        )


def _joined(sets: Sequence[Featured]) -> Featured:
    """All rows of sets that have groups, of one design."""
    labels, groups = (
        None if columns[0] is None else torch.cat([each for each in columns if each is not None])
        for columns in zip(*((each.labels, each.groups) for each in sets), strict=True)
    )
    return Featured(torch.cat([each.features for each in sets]), labels, sets[0].design, groups)
