"""The FID at infinitely many images: its bias falls as 1/n, so a line through a few sizes leads to 1/n = 0.

Chong & Forsyth 2020. Where they take overlapping subsets at random, here each level k = 1, 2, … uses all rows once, in
k equal parts: what the rows have in common stays out of the line, and its end is hardly noisier than the FID itself.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import linregress

from fromnoise.evaluation.design import deal
from fromnoise.evaluation.featured import Featured, Number, UnavailableError
from fromnoise.evaluation.frechet import Moments, derived, distance

LEVELS = 5
EXTRAPOLATED = 128
"""Features at most in a report: it takes 30 eigen-decompositions for each set."""


class Extrapolated(NamedTuple):
    """The line's end at 1/n = 0, its standard error, its slope in 1/n, and (n, mean FID of the parts) by level."""

    value: float
    error: float
    slope: float
    points: tuple[tuple[float, float], ...]


def infinite_fid(generated: Featured, reference: Featured, seed: int = 0) -> Extrapolated:
    """A least-squares line through the mean FIDs of parts of n, n/2, … n/levels rows, in one over their size.

    The reference is divided alongside, and its own bias, which falls as 1/m, goes too. The parts of a
    stratified set have its class shares: shares left to chance would make the line end too low.

    The error is made of the line's own (from its residuals) and the FID's for other rows of either set
    (`frechet.Gradient`), by their squares. The line's alone says nothing of the choice of images.
    All this costs a Fréchet distance for each of the 1 + 2 + … parts.

    Raises UnavailableError for parts of the last level that cannot fill the covariance (d rows or fewer: there the bias
    is no longer a line).
    """
    n, d = min(len(generated), len(reference)), generated.features.shape[1]
    if n // LEVELS <= d:
        raise UnavailableError(f"{n} images in {LEVELS} parts cannot fill the covariance of {d} features")
    sizes, fids = [], []
    for k in range(1, LEVELS + 1):
        parts = zip(_parts(generated, k, seed, "generated"), _parts(reference, k, seed, "reference"), strict=True)
        sizes.append(len(generated) / k)
        fids.append(float(np.mean([distance(x, y) for x, y in parts])))
    line = linregress([1 / size for size in sizes], fids)
    _, ours, theirs = derived(generated.moments, reference.moments)
    sides = (generated, ours), (reference, theirs)
    errors = [line.intercept_stderr, *(of.error(gradient.influence(of.features)) for of, gradient in sides)]
    points = tuple(zip(sizes, fids, strict=True))
    return Extrapolated(float(line.intercept), float(np.linalg.norm(errors)), float(line.slope), points)


def _parts(images: Featured, k: int, seed: int, name: str) -> list[Moments]:
    labels = None if images.strata is None else images.strata.numpy()
    parts = deal(len(images), k, seed, "extrapolation", name, k, labels=labels)
    return [Moments.of(images.features, rows) for rows in parts]


def measure(ours: Featured, real: Featured, seed: int) -> Number:
    """FID∞ of a set of images; raises UnavailableError for too many features, or for too few images."""
    if (d := ours.features.shape[1]) > EXTRAPOLATED:
        raise UnavailableError(f"it is computed for at most {EXTRAPOLATED} features, not for {d}")
    found = infinite_fid(ours, real, seed)
    return Number(found.value, found.error)
