"""Features computed once for each image, however many of the compared sets it is in."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.data.image_set import digests
from fromnoise.evaluation.features import Features


class Remembered:
    """An extractor that keeps what it computed: equal images have the same features, to the bit, in every set."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._digests: np.ndarray | None = None  # of all images seen, in the order of their rows
        self._rows: Tensor | None = None

    def __call__(
        self, images: UInt8[Tensor, "n c h w"], progress: Callable[[int, int], None] | None = None
    ) -> Float[Tensor, "n d"]:
        """The features of images of any number; `progress` is told (done, all) of those that are new."""
        wanted = digests(images)
        different, first = np.unique(wanted, return_index=True)
        new = np.sort(first if self._digests is None else first[~np.isin(different, self._digests)])
        if len(new):
            found = self.features(images if len(new) == len(images) else images[new], progress)
            self._add(wanted[new], found)
        assert self._digests is not None, "there is at least one image"
        assert self._rows is not None, "as many as digests"
        order = np.argsort(self._digests)
        return self._rows[order[np.searchsorted(self._digests, wanted, sorter=order)]]

    def _add(self, new: np.ndarray, found: Tensor) -> None:
        if self._digests is None or self._rows is None:
            self._digests, self._rows = new, found
        else:
            self._digests = np.concatenate([self._digests, new])
            self._rows = torch.cat([self._rows, found])
