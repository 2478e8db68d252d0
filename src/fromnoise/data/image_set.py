"""The one form in which images cross a room's wall: uint8, N×C×H×W."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.errors import UserError


@dataclass(frozen=True)
class ImageSet:
    """Images held in memory, with labels where there are any.

    `images` is uint8 N×C×H×W with C = 1 (grey) or 3 (RGB); `labels` is int64 N, classes counted from 0, or None.
    """

    name: str
    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3):
            raise UserError(f"{self.name}: images must be uint8 N×C×H×W with 1 or 3 channels, not {shape}")
        if self.labels is not None and len(self.labels) != len(self.images):
            raise UserError(f"{self.name}: {len(self.labels)} labels for {len(self.images)} images")
        if not len(self.images):
            raise UserError(f"{self.name}: no images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        c, h, w = self.images.shape[1:]
        return c, h, w

    @cached_property
    def classes(self) -> int:
        """The number of classes; 0 without labels."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the images' shape and bytes and the labels': the same for the same data only."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        digest.update(self.images.cpu().contiguous().numpy().tobytes())
        if self.labels is not None:
            digest.update(self.labels.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def take(self, index: np.ndarray, name: str | None = None) -> "ImageSet":
        """The images at the positions `index`, in that order."""
        chosen = torch.from_numpy(np.asarray(index, dtype=np.int64))
        labels = None if self.labels is None else self.labels[chosen]
        return ImageSet(name or self.name, self.images[chosen], labels)

    def to(self, device: torch.device) -> "ImageSet":
        """The same set in the memory of `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels)

    def without(self, other: "ImageSet") -> "ImageSet":
        """The images that are not, byte for byte, in `other`; raises UserError when none is left."""
        theirs = {image.tobytes() for image in other.images.cpu().numpy()}
        ours = self.images.cpu().numpy()
        keep = [k for k in range(len(self)) if ours[k].tobytes() not in theirs]
        if not keep:
            raise UserError(f"{self.name}: every image is also in {other.name}")
        if len(keep) == len(self):
            return self
        return self.take(np.array(keep), f"{self.name} without {other.name}")

    def draw(self, m: int, seed: int) -> "ImageSet":
        """A seeded draw of `m` images without replacement, balanced over the classes where there are labels."""
        return self.split(m, seed)[0]

    def split(self, m: int, seed: int) -> tuple["ImageSet", "ImageSet | None"]:
        """A seeded, balanced draw of `m` images, and what it left (None when it took everything).

        Raises UserError when there are fewer than `m` images.
        """
        chosen = self.rows(m, seed)
        left = np.setdiff1d(np.arange(len(self)), chosen)
        rest = self.take(left, f"{self.name} less {m} drawn with seed {seed}") if len(left) else None
        return self.take(chosen, f"{m} of {self.name}, seed {seed}"), rest

    def rows(self, m: int, seed: int) -> np.ndarray:
        """The positions, sorted, of a seeded draw of `m` images, balanced over the classes where there are labels.

        Classes get ⌊m/classes⌋ images each and the first few one more; a class that has fewer than its share
        gives what it has and the others make up for it. Raises UserError when there are fewer than `m` images.
        """
        if not 1 <= m <= len(self):
            raise UserError(f"{self.name} has {len(self)} images; cannot draw {m} of them (--m, --n)")
        order = rng.generator(seed, "draw", len(self)).permutation(len(self))
        if self.labels is not None:
            labels = self.labels.cpu().numpy()[order]
            rank = np.empty(len(order), dtype=np.int64)  # position of each image within its own class
            for label in np.unique(labels):
                rank[labels == label] = np.arange((labels == label).sum())
            order = order[np.lexsort((labels, rank))]  # first of each class, second of each class, ...
        return np.sort(order[:m])
