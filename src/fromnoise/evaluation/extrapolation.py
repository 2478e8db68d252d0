"""The FID at infinitely many images: its bias falls as 1/n, so a line through a few sizes leads to 1/n = 0.

Chong & Forsyth 2020. Where they take overlapping subsets at random, here each level k = 1, 2, … uses all rows once, in
k equal parts: what the rows have in common stays out of the line, and its end is hardly noisier than the FID itself.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import linregress
from torch import Tensor

from fromnoise.evaluation.design import Rows, deal
from fromnoise.evaluation.featured import Featured, Number, UnavailableError
from fromnoise.evaluation.frechet import Moments, derived, distance
from fromnoise.evaluation.pairs import labelled, pair

LEVELS = 5
EXTRAPOLATED = 128
"""Features at most in a report: it takes 30 eigen-decompositions for each set."""


class Extrapolated(NamedTuple):
    """The line's end at 1/n = 0, its standard error, its slope in 1/n, and (n, mean FID of the parts) by level."""

    value: float
    error: float
    slope: float
    points: tuple[tuple[float, float], ...]


def infinite_fid(
    generated: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    *,
    both: bool = True,
    generated_labels: Int[Tensor, " n"] | None = None,
    reference_labels: Int[Tensor, " m"] | None = None,
    seed: int = 0,
) -> Extrapolated:
    """The mean FID of parts of n, n/2, … n/levels rows, by least squares a line in one over their size.

    With `both`, the reference is divided alongside and its own bias, which falls as 1/m, goes too. Without, the whole
    reference stands fixed as it is published: comparable with other FID∞ at the same reference, and still biased by it.

    Give the labels of a set that has so many rows of each class by design: its parts then have the same shares. Random
    ones would not, so that their FID would hold chance that the whole set's does not, and the line would end too low.

    The error is made of the line's own (from its residuals) and the FID's for other rows of each set that was divided
    (`frechet.Gradient`), by their squares. The line's alone says nothing of the choice of images.
    All this costs a Fréchet distance for each of the 1 + 2 + … parts.

    Raises ValueError for parts of the last level that cannot fill the covariance (d rows or fewer: there the bias is
    no longer a line), sets that cannot be compared or labels that do not fit.
    """
    generated, reference = pair(generated, reference, 2)
    d = generated.shape[1]
    fewest = min(len(generated), len(reference)) if both else len(generated)
    if fewest // LEVELS <= d:
        raise ValueError(f"{fewest} rows in {LEVELS} parts cannot fill the covariance of {d} features")
    ours_by = None if generated_labels is None else labelled(generated, generated_labels, "generated").numpy()
    theirs_by = None if reference_labels is None else labelled(reference, reference_labels, "reference").numpy()
    whole = Moments.of(reference)
    sizes, fids = [], []
    for k in range(1, LEVELS + 1):
        ours = _parts(generated, ours_by, k, seed, "generated")
        theirs = _parts(reference, theirs_by, k, seed, "reference") if both else k * [whole]
        sizes.append(len(generated) / k)
        fids.append(float(np.mean([distance(x, y) for x, y in zip(ours, theirs, strict=True)])))
    line = linregress([1 / size for size in sizes], fids)

    one, other = (
        Featured(features, labels, "random" if labels is None else "stratified")
        for features, labels in ((generated, generated_labels), (reference, reference_labels))
    )
    _, by_ours, by_theirs = derived(one.moments, other.moments)
    errors = [line.intercept_stderr, one.error(by_ours.influence(generated))]
    if both:
        errors.append(other.error(by_theirs.influence(reference)))
    points = tuple(zip(sizes, fids, strict=True))
    return Extrapolated(float(line.intercept), float(np.linalg.norm(errors)), float(line.slope), points)


def _parts(features: Tensor, labels: Rows | None, k: int, seed: int, name: str) -> list[Moments]:
    parts = deal(len(features), k, seed, "extrapolation", name, k, labels=labels)
    return [Moments.of(features, rows) for rows in parts]


def measure(ours: Featured, real: Featured, seed: int) -> Number:
    """FID∞ of a set of images; raises UnavailableError for too many features, or for too few images."""
    n, d = min(len(ours), len(real)), ours.features.shape[1]
    if d > EXTRAPOLATED:
        raise UnavailableError(f"it is computed for at most {EXTRAPOLATED} features, not for {d}")
    if n // LEVELS <= d:
        raise UnavailableError(f"{n} images in {LEVELS} parts cannot fill the covariance of {d} features")
    found = infinite_fid(
        ours.features, real.features, generated_labels=ours.strata, reference_labels=real.strata, seed=seed
    )
    return Number(found.value, found.error)
