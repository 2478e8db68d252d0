"""The FID at infinitely many images: its bias falls as 1/n, so a line through a few sizes leads to 1/n = 0.

Chong & Forsyth 2020. Where they take overlapping subsets at random, here each size n/k uses all rows once, in k equal
parts: what the rows have in common stays out of the line, and its end is hardly noisier than the FID itself. Images in
groups are dealt in whole groups, for the bias then falls as one over the number of groups.
"""

import numpy as np
from scipy.stats import linregress

from fromnoise.evaluation.design import deal
from fromnoise.evaluation.featured import Featured, Number, UnavailableError
from fromnoise.evaluation.frechet import Moments, derived, distance

SIZES = 5
"""Numbers of images that the line is fitted to: n, n/2, … n/5."""
EXTRAPOLATED = 128
"""Features at most: it takes 30 eigen-decompositions for each set."""


def infinite_fid(generated: Featured, reference: Featured, seed: int = 0) -> Number:
    """Where a least-squares line through the mean FIDs of parts of n, n/2, … n/`SIZES` rows ends, at 1/n = 0.

    The reference is divided alongside, and its own bias, which falls as 1/m, goes too. The parts of a stratified set
    have its class shares: shares left to chance would make the line end too low.

    The error is made of the line's own (from its residuals) and the FID's for other rows of either set
    (`frechet.Gradient`), by their squares. The line's alone says nothing of the choice of images.
    All this costs a Fréchet distance for each of the 1 + 2 + … parts.

    Raises UnavailableError for more than `EXTRAPOLATED` features, and for parts of the smallest size that cannot fill
    the covariance (d rows or fewer: there the bias is no longer a line).
    """
    n, d = min(len(of.units[1]) for of in (generated, reference)), generated.features.shape[1]
    if d > EXTRAPOLATED:
        raise UnavailableError(f"it is computed for at most {EXTRAPOLATED} features, not for {d}")
    if n // SIZES <= d:
        raise UnavailableError(f"{n} images in {SIZES} parts cannot fill the covariance of {d} features")
    sizes, fids = [], []
    for k in range(1, SIZES + 1):
        parts = zip(_parts(generated, k, seed, "generated"), _parts(reference, k, seed, "reference"), strict=True)
        sizes.append(len(generated) / k)
        fids.append(float(np.mean([distance(x, y) for x, y in parts])))
    line = linregress([1 / size for size in sizes], fids)
    _, ours, theirs = derived(generated.moments, reference.moments)
    sides = (generated, ours), (reference, theirs)
    errors = [line.intercept_stderr, *(of.error(gradient.influence(of.features)) for of, gradient in sides)]
    return Number(float(line.intercept), float(np.linalg.norm(errors)))


def _parts(images: Featured, k: int, seed: int, name: str) -> list[Moments]:
    unit, classes = (each.numpy() for each in images.units)
    parts = deal(len(classes), k, seed, "extrapolation", name, k, labels=classes)
    return [Moments.of(images.features, np.flatnonzero(np.isin(unit, units))) for units in parts]
