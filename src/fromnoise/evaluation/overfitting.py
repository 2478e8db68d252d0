"""Overfitting: how much better a model denoises its training images than images it never saw.

A network that has learnt single images by heart removes noise from them better than from others of their kind. It shows
at middle noise levels, where an image can still be recognised and much of it has to be made up: at low levels any
network copies what it is given, at high ones none can know the image. The variational bound weights the low levels most
(Kingma et al. 2021, equation 15), so its gap says little about overfitting.
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from scipy import stats

from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.design import Groups, error_of_mean
from fromnoise.evaluation.report import POWER, SIGNIFICANCE, DenoisingError, Overfitting
from fromnoise.generation.denoising import denoising_errors, known_levels
from fromnoise.generation.model import Model

MOST = 1000
"""Pairs of images."""
LEVELS = (1.0, 0.0, -1.0)
"""Noise levels λ of data of unit scale."""
UNCLEAR = 0.5
"""A gap that must be outside the interval for "no sign of overfitting": few groups of images tell little."""
NOISY = 256
"""Noisy images at each level, at least, that tell one model's denoising error from another's."""


def image_errors(model: Model, images: ImageSet, *, seed: int = 0) -> Float64[np.ndarray, " n"]:
    """Each image's part in a model's denoising error, which is their mean; smaller is better.

    The denoising error is the geometric mean over `LEVELS` of the mean square error in x̂_0: every level counts the
    same. Fewer images than `NOISY` are each used several times. The noise is the same for the same seed, so that models
    are compared as pairs. Raises UserError for images of another shape than the model's.
    """
    times = -(-NOISY // len(images))
    repeated = images.images.repeat(times, 1, 1, 1)
    errors = denoising_errors(model, repeated, known_levels(model, LEVELS), seed=seed)
    levels = errors.mean(axis=0)
    parts: np.ndarray = np.exp(np.log(levels).mean()) * (errors / levels).mean(axis=1)
    return parts.reshape(times, len(images)).mean(axis=0)


def _groups(images: ImageSet) -> Groups | None:
    """The images' groups; None if no two images are of the same."""
    return None if images.groups is None or len(images.groups.unique()) == len(images) else images.groups


def overfitting(model: Model, train: ImageSet, held_out: ImageSet, *, seed: int = 0) -> Overfitting:
    """The denoising error of training and of held-out images: of as many as both have, or of `MOST` at random.

    An image's error is its mean square error in x̂_0 at each level over the mean of all images there, so that every
    level counts the same; the k-th images of both sets are given the same noise. `gap` is by how much the held-out
    images' error is larger, as a share of the training images'. Its interval and one-sided p-value are the paired
    t-test's, or, where images come in groups, those of a t-test in which a group counts as one image (NaN for a
    single group); `verdict` says "overfitting" from p < 0.001 on. Models of classes denoise without being told the
    class. Needs at least two images of either set; raises UserError for another shape than the model's.
    """
    n = min(MOST, len(train), len(held_out))
    # Not by class: where one set is short of a class, its mix of classes would be another than the other's.
    sets = [replace(images, labels=None).subset(n, seed) for images in (train, held_out)]
    levels = known_levels(model, LEVELS)
    errors = [denoising_errors(model, images.images, levels, seed=seed) for images in sets]
    means = [each.mean(axis=0) for each in errors]
    ours, theirs = ((each / np.mean(means, axis=0)).mean(axis=1) for each in errors)
    ratio = theirs.mean() / ours.mean()
    gap, groups = float(ratio - 1), [_groups(images) for images in sets]
    if all(group is None for group in groups):
        error, independent = error_of_mean(theirs - ratio * ours), n  # of a difference of means
        p = float(stats.ttest_rel(theirs, ours, alternative="greater").pvalue)
    else:
        of_ours, of_theirs = (error_of_mean(*side) for side in zip((ratio * ours, theirs), groups, strict=True))
        error = math.hypot(of_ours, of_theirs)
        independent = min(n if group is None else len(np.unique(group)) for group in groups)
        p = float(stats.t.sf((theirs.mean() - ours.mean()) / error, independent - 1))
    error /= float(ours.mean())
    low, high = (gap + float(side) * error for side in stats.t.interval(0.95, independent - 1))
    if p < SIGNIFICANCE:
        found = "overfitting"
    elif low > 0:
        found = "perhaps overfitting"
    else:
        found = "no sign of overfitting" if high < UNCLEAR else "too few images to judge overfitting"
    detectable = error * float(stats.t.isf(SIGNIFICANCE, independent - 1) + stats.norm.isf(1 - POWER))
    power = "" if p < SIGNIFICANCE else f"; {100 * detectable:.1f} % would have been noticed"
    denoised = f"held-out images are denoised {100 * abs(gap):.1f} % {'worse' if gap >= 0 else 'better'} than training"
    if independent > 1:
        interval = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %".replace("-", "−")
        verdict = f"{found}: {denoised} images ({interval}){power}"
    else:
        verdict = f"one group of images is too little to judge overfitting: {denoised} images"
    return Overfitting(
        verdict,
        bool(p < SIGNIFICANCE),
        gap,
        (low, high),
        p,
        detectable,
        tuple(DenoisingError(*map(float, row)) for row in zip(levels, *means, strict=True)),
        n,
        seed,
    )
