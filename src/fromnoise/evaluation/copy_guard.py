"""Copies told one by one, by the copy test's distance (`copies`), so that they can be sampled again."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor

from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import less
from fromnoise.errors import UserError
from fromnoise.evaluation.alike import Gallery, Neighbours
from fromnoise.evaluation.copies import FEWEST, RANK, gallery, rank_of, views

REJECTED = 0.01
"""Share of fresh images that may be taken for copies; one image, where it is less than that."""


@dataclass(frozen=True)
class CopyGuard:
    """Tells copies of training images; made with `of`."""

    trained: Gallery
    threshold: float

    @classmethod
    def of(cls, train: ImageSet, held_out: ImageSet | None = None) -> "CopyGuard":
        """The guard of a training set, by the scale among training images; it takes at most
        1 % of fresh images for copies, or up to 2 % where fewer than 99 images set its threshold.

        The threshold comes from held-out images, or, without at least `FEWEST`, from the training images among
        themselves, each measured against those of other groups. Raises UserError for fewer than `FEWEST` distinct
        training images.
        """
        trained = gallery(train)
        if trained.distinct < FEWEST:
            raise UserError(
                f"{train.name}: {trained.distinct} distinct images are too few to detect copies; "
                f"at least {FEWEST} are needed"
            )
        held_out = less(held_out, train)
        if held_out is not None and len(held_out) >= FEWEST:
            others = _either(views(trained, held_out.images, RANK))
        else:
            others = _either(views(trained, train.images, RANK, trained.groups))
        return cls(trained, float(np.sort(others)[rank_of(len(others), REJECTED) - 1]))

    def is_copy(self, images: UInt8[Tensor, "n c h w"]) -> Bool[Tensor, " n"]:
        """Which images are copies."""
        return torch.from_numpy(_either(views(self.trained, images, RANK)) < self.threshold)


def _either(near: tuple[Neighbours, Neighbours]) -> Float64[np.ndarray, " n"]:
    """The relative distance of images or their mirror images, whichever is less."""
    return np.minimum(*(view.relative for view in near))
