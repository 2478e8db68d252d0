"""What a reading found, and what it changed or left out, in one line."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fromnoise.data import blocks
from fromnoise.data.colour import kind
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet, digests

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""


def line(images: ImageSet, was: Iterable[tuple[int, int]], notes: Iterable[str]) -> str:
    """Of a set as it was read: `was` are the sizes (height, width) that its files had, `notes` what else to say.

    "photos: 240 images, 3 classes, RGB, 64×64 → 32×32; 60 duplicates, 180 distinct; not read: 30 .txt"
    """
    kinds = 0 if images.labels is None else len(images.labels.unique())
    classes = f"{kinds:,} classes" if kinds > 1 else "no classes"
    size = _resizing(set(was), images.shape[1:])
    what = [f"{some(len(images), 'image')}, {classes}, {kind(images.shape[0])}, {size}"]
    if n := duplicates(images):
        what.append(f"{some(n, 'duplicate')}, {len(images) - n:,} distinct")
    if images.range is not None:
        what.append(f"values from {images.range[0]:g} to {images.range[1]:g} mapped to 8 bits")
    return f"{images.name}: " + "; ".join([*what, *notes])


def some(n: int, what: str) -> str:
    """1 image, 2 images."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def duplicates(images: ImageSet) -> int:
    """How many images are, byte for byte, like one before them."""
    return len(images) - len(np.unique(digests(images.images, grey=True)))


class Repeats(NamedTuple):
    """How many of n images are there more than once: the same to the byte, or as near-duplicates (`groups`).

    `within` the part, `elsewhere` in other parts of the same data; near-duplicates include equal images.
    """

    name: str
    n: int
    same_within: int
    near_within: int
    same_elsewhere: int
    near_elsewhere: int


def repeats(parts: Sequence[ImageSet]) -> list[Repeats]:
    """The images of each part of some data that are like others, in it or in other parts; all are of one shape."""
    images = blocks.cat([part.images for part in parts])
    part = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
    same = np.unique(digests(images, grey=True), return_inverse=True)[1]
    counts = [counted for kind in (same, groups(images).numpy()) for counted in _like(kind, part)]
    rows = np.stack([np.bincount(part[count], minlength=len(parts)) for count in counts], axis=1).tolist()
    return [
        Repeats(each.name, len(each), same_within, near_within, same_elsewhere, near_elsewhere)
        for each, (same_within, same_elsewhere, near_within, near_elsewhere) in zip(parts, rows, strict=True)
    ]


def _like(kind: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which images have another of their kind in their part, and which have one in another part."""
    together = np.zeros((kind.max() + 1, part.max() + 1), dtype=np.int64)
    np.add.at(together, (kind, part), 1)
    own = together[kind, part]
    return own > 1, together.sum(axis=1)[kind] > own


def sizes(was: Collection[tuple[int, int]]) -> str:
    """28×28; or 3 sizes from 8×8 to 20×10."""
    least, largest = (f"{h}×{w}" for h, w in (min(was, key=math.prod), max(was, key=math.prod)))
    return least if len(was) == 1 else f"{len(was):,} sizes from {least} to {largest}"


def _resizing(was: set[tuple[int, int]], now: tuple[int, int]) -> str:
    return sizes(was) if was == {now} else f"{sizes(was)} → {now[0]}×{now[1]}"
