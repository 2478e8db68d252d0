"""Copies told one by one, by the copy test's distance (`copies`), so that they can be sampled again."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor

from fromnoise.data.image_set import ImageSet, excluding
from fromnoise.errors import UserError
from fromnoise.evaluation.copies import FEWEST, RANK, VIEWS, gallery, views
from fromnoise.evaluation.tail import rank_of

REJECTED = 0.01
"""Share of fresh images that may be taken for copies; one image, where it is less than that."""


def copy_guard(
    train: ImageSet, held_out: ImageSet | None = None
) -> Callable[[UInt8[Tensor, "n c h w"]], Bool[Tensor, " n"]]:
    """What tells which images are copies of those in `train`, by the scale among training images.

    It takes at most 1 % of fresh images for copies, or up to 2 % where fewer than 99 images set its threshold. That
    comes from held-out images, or, without at least `FEWEST`, from the training images among themselves, each measured
    against those of other groups. Raises UserError for fewer than `FEWEST` distinct training images.
    """
    trained = gallery(train)
    if trained.distinct < FEWEST:
        raise UserError(
            f"{train.name}: too few distinct images to detect copies ({trained.distinct}); at least {FEWEST} are needed"
        )

    def relative(images: UInt8[Tensor, "n c h w"], own: Tensor | None = None) -> Float64[np.ndarray, " n"]:
        """The relative distance of images or their mirror images, whichever is less."""
        return np.minimum(*(view.relative for view in views(trained, images, RANK, own, VIEWS["mirrored"])))

    held_out = excluding(held_out, train)
    if held_out is not None and len(held_out) >= FEWEST:
        others = relative(held_out.images)
    else:
        others = relative(train.images, trained.groups)
    threshold = np.sort(others)[rank_of(len(others), REJECTED) - 1]
    return lambda images: torch.from_numpy(relative(images) < threshold)
