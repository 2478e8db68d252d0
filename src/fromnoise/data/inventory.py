"""What a reading found, and what it changed or left out, in one line."""

import math
from collections.abc import Callable, Collection, Iterable

import numpy as np

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
    colour = "RGB" if images.shape[0] == 3 else "grey"
    what = [f"{some(len(images), 'image')}, {classes}, {colour}, {_resizing(set(was), images.shape[1:])}"]
    if n := duplicates(images):
        what.append(f"{some(n, 'duplicate')}, {len(images) - n:,} distinct")
    return f"{images.name}: " + "; ".join([*what, *notes])


def some(n: int, what: str) -> str:
    """1 image, 2 images."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def duplicates(images: ImageSet) -> int:
    """How many images are, byte for byte, like one before them."""
    return len(images) - len(np.unique(digests(images.images)))


def sizes(was: Collection[tuple[int, int]]) -> str:
    """28×28; or 3 sizes from 8×8 to 20×10."""
    least, largest = (f"{h}×{w}" for h, w in (min(was, key=math.prod), max(was, key=math.prod)))
    return least if len(was) == 1 else f"{len(was):,} sizes from {least} to {largest}"


def _resizing(was: set[tuple[int, int]], now: tuple[int, int]) -> str:
    return sizes(was) if was == {now} else f"{sizes(was)} → {now[0]}×{now[1]}"
