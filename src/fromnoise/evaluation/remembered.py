"""Features computed once for each image, however many of the compared sets it is in."""

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.evaluation.features import Features


class Remembered:
    """An extractor that keeps what it computed: equal images have the same features, to the bit, in every set."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._rows: dict[bytes, Tensor] = {}

    def __call__(
        self, images: UInt8[Tensor, "n c h w"], progress: Callable[[int, int], None] | None = None
    ) -> Float[Tensor, "n d"]:
        """The features of images of any number; `progress` is told (done, all) of those that are new."""
        shape = str(tuple(images.shape[1:])).encode()
        keys = [hashlib.blake2b(shape + image.tobytes(), digest_size=16).digest() for image in images.cpu().numpy()]
        new = [k for k, key in enumerate(keys) if key not in self._rows]
        if new:
            found = self.features(images[new], progress)
            self._rows.update(zip((keys[k] for k in new), found, strict=True))
        return torch.stack([self._rows[key] for key in keys])
