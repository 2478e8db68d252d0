"""The likelihood gap: a model that finds its training images likelier than fresh ones has overfitted them."""

from dataclasses import replace

import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor

from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.report import Bits, Gap, LikelihoodGap
from fromnoise.generation.likelihood import Likelihood, Progress, bound_bits, bound_of
from fromnoise.generation.model import Model
from fromnoise.hardware import CPU

MOST = 256  # images of each set
LEVELS = 16  # random noise levels an image
LEVEL = 0.01
"""Chance of calling a gap that is none."""


def likelihood_gap(
    model: Model,
    train: ImageSet,
    held_out: ImageSet,
    *,
    seed: int = 0,
    device: torch.device = CPU,
    progress: Progress | None = None,
) -> LikelihoodGap:
    """Bits per dimension of training and of held-out images, a random subset of each.

    `gap` is what held-out images cost more, with its standard error and Welch's one-sided p-value; `verdict` names it
    "overfitting" from p < 0.01 on. Both means are of the variational bound (`bound_bits`), whose slack they share.
    Raises UserError for images of another shape than the model's, ValueError for fewer than two of either.
    """
    # Not by class: where one set is short of a class, its mix of classes would be another than the other's.
    sets = [replace(images, labels=None).subset(min(MOST, len(images)), seed) for images in (train, held_out)]
    if min(map(len, sets)) < 2:
        raise ValueError("a gap needs at least 2 images of each set")
    levels = LEVELS if bound_of(model).T > LEVELS else None  # a short schedule has no more: all of them
    total = sum(map(len, sets))
    found: list[Likelihood] = []
    for before, images in zip((0, len(sets[0])), sets, strict=True):
        show = None if progress is None else (lambda done, _, before=before: progress(before + done, total))
        found.append(bound_bits(model, images.images, levels, seed=seed, device=device, progress=show))
    ours, theirs = (_bits(likelihood) for likelihood in found)
    welch = stats.ttest_ind(found[0].bits.numpy(), found[1].bits.numpy(), equal_var=False, alternative="less")
    gap, error = theirs.bits - ours.bits, float((ours.standard_error**2 + theirs.standard_error**2) ** 0.5)
    overfitted = bool(welch.pvalue < LEVEL)
    start = "overfitting" if overfitted else "no sign of overfitting"
    beside = f"{abs(gap):.3f} ± {error:.3f} bits per dimension {'more' if gap >= 0 else 'less'} than training images"
    return LikelihoodGap(
        f"{start}: held-out images cost {beside}",
        overfitted,
        Gap(gap, error, float(welch.pvalue)),
        ours,
        theirs,
        levels or bound_of(model).T - 1,
        seed,
    )


def _bits(found: Likelihood) -> Bits:
    n = len(found.bits)
    prior, steps, decoder = (_mean(part) for part in (found.prior, found.steps, found.decoder))
    return Bits(_mean(found.bits), float(found.bits.std()) / n**0.5, n, prior, steps, decoder)


def _mean(values: Float64[Tensor, " n"] | None) -> float:
    assert values is not None, "the bound has all its parts"
    return float(values.mean())
