"""Replacing sampled images that the copy test's distance (`evaluation.copies`) takes for copies of training images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor

from fromnoise.data.image_set import ImageSet, excluding
from fromnoise.errors import UserError
from fromnoise.evaluation.copies import BLIND, RANK, VIEWS, gallery, plant, views
from fromnoise.evaluation.report import FEWEST
from fromnoise.evaluation.tail import rank_of
from fromnoise.experiment.find import is_run, parts_of
from fromnoise.generation.sampling import SampleRequest
from fromnoise.say import say

REJECTED = 0.01
"""Share of fresh images that may be taken for copies; one image, where it is less than that."""
TRIES = 10
"""Times an image is sampled again. One that fails them all is no accident: of fresh images, all classes together, 1 in
100 fails."""
CALIBRATION = 5000
"""Real images that set the guard's threshold, at most: more would make it little surer, and slower to make."""

Sample = Callable[[SampleRequest], UInt8[Tensor, "n c h w"]]
IsCopy = Callable[[UInt8[Tensor, "n c h w"]], Bool[Tensor, " n"]]


def guard_of(run: Path | None) -> IsCopy:
    """The guard of a run's training images, calibrated on real images of its data that it never saw.

    Raises UserError for a path that is not a run folder, for training images that cannot be found as they were, and
    for too few of them.
    """
    if run is None or not is_run(run):
        there = "there is none" if run is None else f"{run} is not one"
        raise UserError(f"--reject-copies needs a run folder, to find the training images: {there}")
    parts = parts_of(run)
    unseen = [part.images for part in (parts.val, parts.heldout) if part is not None]
    if not unseen:
        return copy_guard(parts.train)
    real = ImageSet("real images not trained on", torch.cat(unseen))
    return copy_guard(parts.train, real.subset(min(len(real), CALIBRATION), seed=0))


def copy_guard(train: ImageSet, held_out: ImageSet | None = None) -> IsCopy:
    """What tells which images are copies of those in `train`, by the scale among training images.

    It takes at most 1 % of fresh images for copies, or up to 2 % where fewer than 99 images set its threshold. That
    comes from held-out images, or, without at least `FEWEST`, from the training images among themselves, each measured
    against those of other groups. Mirrored copies are looked for unless that hides others, as where many fresh images
    are mirror images of training images. Says how many copies are recognised if these are few. Raises UserError for
    fewer than `FEWEST` distinct training images.
    """
    trained = gallery(train)
    if trained.distinct < FEWEST:
        raise UserError(
            f"{train.name}: too few distinct images to detect copies ({trained.distinct}); at least {FEWEST} are needed"
        )

    def relative(images: UInt8[Tensor, "n c h w"], view: str, own: Tensor | None = None) -> Float64[np.ndarray, " n"]:
        """The relative distance of images as they are or, if that is less, as the view has them."""
        return np.min([seen.relative for seen in views(trained, images, RANK, own, VIEWS[view])], axis=0)

    held_out = excluding(held_out, train)
    fresh = held_out is not None and len(held_out) >= FEWEST
    real, own = (held_out, None) if held_out is not None and fresh else (train, trained.groups)
    planted, found = plant(train.images), dict[str, tuple[float, float]]()
    for view in ("mirrored", "as it is"):
        others = relative(real.images, view, own)
        threshold = float(np.sort(others)[rank_of(len(others), REJECTED) - 1])
        found[view] = float((relative(planted, view) < threshold).mean()), threshold
        if found[view][0] >= BLIND:
            break
    view = max(found, key=lambda each: found[each][0])
    recognised, threshold = found[view]
    if "as it is" in found:
        mirrored = ", and no mirrored ones" if view == "as it is" else ""
        say(f"{recognised:.0%} of training images are recognised when they are a little changed{mirrored}")
    return lambda images: torch.from_numpy(relative(images, view) < threshold)


def sample_without_copies(
    sample: Sample, request: SampleRequest, labels: Int64[Tensor, " n"] | None, is_copy: IsCopy
) -> tuple[UInt8[Tensor, "n c h w"], int]:
    """The images of a request, each copy replaced by a further image of its class, and how many were replaced.

    Replacements are numbered on from the request's last image, in the order of classes and places, so that the same
    request always gives the same images. `labels` are the request's (`labels_for`).
    Raises UserError when an image is still a copy after `TRIES` replacements.
    """
    images = sample(request)
    copies = is_copy(images).nonzero().flatten()
    number, replaced = request.first + request.n, 0
    for _ in range(TRIES):
        if not len(copies):
            return images, replaced
        for label in [None] if labels is None else labels[copies].unique().tolist():
            places = copies if label is None or labels is None else copies[labels[copies] == label]
            images[places] = sample(replace(request, n=len(places), first=number, label=label))
            number += len(places)
        replaced += len(copies)
        copies = copies[is_copy(images[copies])]
    if len(copies):
        raise UserError(
            f"{len(copies)} of {request.n} images are copies of training images, and {TRIES} replacements of each were "
            "too: the model has memorised its training images; train it on more images, or for fewer steps"
        )
    return images, replaced
