"""Replacing sampled images that the copy test takes for copies of training images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.copy_guard import copy_guard
from fromnoise.experiment.find import is_run, parts_of
from fromnoise.generation.sampling import SampleRequest

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
