"""The one form in which images cross a room's wall: uint8, N×C×H×W."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.errors import UserError

MOST_CHANNELS = 8


@dataclass(frozen=True)
class ImageSet:
    """Images, with labels and what else is known of them.

    images       uint8 N×C×H×W, C from 1 to 8; for what the channels mean see `data.colour`
    labels       int64 N: classes counted from 0, or None
    clustered    whether the labels are clusters (`data.clusters`), not classes
    class_names  in the order of the labels; empty if classes have only numbers
    files        each image's file; empty if images do not have files of their own
    parts        each image's part (train, val, heldout); empty unless the images came in parts
    was          the images' sizes before they were resized, in words
    range        the values that became the bytes 0 and 255; None for images of bytes
    groups       int64 N: the group in which each image is kept when a user's own images are split, as given or of
                 near-duplicates; once they are split, None if no group has two
    """

    name: str
    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"] | None = None
    clustered: bool = False
    class_names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    was: str = ""
    range: tuple[float, float] | None = None
    groups: Int64[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or not 1 <= shape[1] <= MOST_CHANNELS:
            raise UserError(f"{self.name}: images must be uint8 N×C×H×W with C from 1 to {MOST_CHANNELS}, not {shape}")
        if self.labels is not None and len(self.labels) != len(self.images):
            raise UserError(f"{self.name}: {len(self.labels)} labels for {len(self.images)} images")
        if not self.images.numel():
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
        """SHA-256 of the images' and labels' shape and bytes: equal for equal data only."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        for part in blocks.parts(self.images):
            digest.update(part.cpu().contiguous().numpy().data)
        if self.labels is not None:
            digest.update(self.labels.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def take(self, index: np.ndarray, name: str | None = None) -> "ImageSet":
        """The images at the positions `index`, in that order."""
        chosen = np.asarray(index, dtype=np.int64)
        return replace(
            self,
            name=name or self.name,
            images=blocks.take(self.images, chosen),
            labels=None if self.labels is None else self.labels[torch.from_numpy(chosen)],
            groups=None if self.groups is None else self.groups[torch.from_numpy(chosen)],
            files=tuple(self.files[k] for k in chosen) if self.files else (),
            parts=tuple(self.parts[k] for k in chosen) if self.parts else (),
        )

    def to(self, device: torch.device) -> "ImageSet":
        """The same set in the memory of `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels)

    def without(self, other: "ImageSet") -> "ImageSet":
        """The images that are not in `other`, byte for byte; raises UserError if none is left.

        Grey images saved as RGB are the same as grey ones. Blank images stay: any two may be the same by chance.
        """
        there = np.isin(digests(self.images, grey=True), digests(other.images, grey=True))
        keep = np.flatnonzero(~there | blank(self.images))
        if not len(keep):
            raise UserError(f"{self.name}: every image is also in {other.name}")
        if len(keep) == len(self):
            return self
        return self.take(keep, f"{self.name} without {other.name}")

    def subset(self, m: int, seed: int, balanced: bool = True) -> "ImageSet":
        """A random subset of `m` images; for classes see `subset_rows`."""
        return self.take(self.subset_rows(m, seed, balanced), f"{m} of {self.name}, seed {seed}")

    def split(self, m: int, seed: int, balanced: bool = True) -> tuple["ImageSet", "ImageSet | None"]:
        """A random subset of `m` images (for classes see `subset_rows`), and what it left: None if nothing.

        Raises UserError when there are fewer than `m` images.
        """
        left = np.setdiff1d(np.arange(len(self)), self.subset_rows(m, seed, balanced))
        rest = self.take(left, f"{self.name} less {m} drawn with seed {seed}") if len(left) else None
        return self.subset(m, seed, balanced), rest

    def subset_rows(self, m: int, seed: int, balanced: bool = True) -> np.ndarray:
        """The positions, sorted, of a random subset of `m` images, by class where there are labels.

        If balanced, classes get ⌊m/classes⌋ images each and the first few one more; a class that has fewer gives what
        it has, and the others make up for it. Otherwise classes keep their shares, to within an image or two. Raises
        UserError if there are fewer than `m` images.
        """
        if not 1 <= m <= len(self):
            raise UserError(f"{self.name} has {len(self)} images; cannot take {m} of them")
        order = rng.generator(seed, "draw", len(self)).permutation(len(self))
        if self.labels is not None:
            labels = self.labels.cpu().numpy()[order]
            place = np.empty(len(order))  # of each image within its own class: counted, or from 0 to 1
            for label in np.unique(labels):
                members = labels == label
                count = members.sum()
                place[members] = np.arange(count) if balanced else (np.arange(count) + 0.5) / count
            order = order[np.lexsort((labels, place))]  # balanced: first of each class, second of each class, ...
        return np.sort(order[:m])


def joined(sets: Sequence[ImageSet], name: str) -> ImageSet:
    """All sets as one, one after another; with labels and groups if all have them, without files and parts."""

    def together(each: list[Tensor | None]) -> Tensor | None:
        known = [one for one in each if one is not None]
        return torch.cat(known) if len(known) == len(sets) else None

    return replace(
        sets[0],
        name=name,
        images=blocks.cat([one.images for one in sets]),
        labels=together([one.labels for one in sets]),
        groups=together([one.groups for one in sets]),
        files=(),
        parts=(),
    )


def excluding(images: ImageSet | None, other: ImageSet | None) -> ImageSet | None:
    """The images that are not in `other`; None if none is left, or there were none."""
    if images is None or other is None:
        return images
    try:
        return images.without(other)
    except UserError:
        return None


def blank(images: UInt8[Tensor, "n c h w"]) -> Bool[np.ndarray, " n"]:
    """Which images are of a single colour."""
    parts = ((part.amax((2, 3)) == part.amin((2, 3))).all(dim=1).cpu() for part in blocks.parts(images))
    return blocks.join(parts, len(images)).numpy()


def digests(images: UInt8[Tensor, "n c h w"], *, grey: bool = False) -> np.ndarray:
    """n strings of 16 bytes, the BLAKE2 hash of each image's shape and bytes: equal for equal images only.

    `grey`: RGBA without transparency has the hash of RGB, and RGB of three equal channels that of grey.
    """

    def digest(image: np.ndarray) -> bytes:
        if grey and len(image) == 4 and (image[3] == 255).all():
            image = image[:3]
        if grey and len(image) == 3 and (image == image[:1]).all():
            image = image[:1]
        return hashlib.blake2b(str(image.shape).encode() + image.tobytes(), digest_size=16).digest()

    found = (digest(image) for part in blocks.parts(images) for image in part.cpu().numpy())
    return np.fromiter(found, dtype="S16", count=len(images))
