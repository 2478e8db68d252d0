"""What a reading found, and what it changed or left out, in one line."""

from collections.abc import Callable, Iterable

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
    what = [
        some(len(images), "image"),
        f"{kinds:,} classes" if kinds > 1 else "no classes",
        "RGB" if images.shape[0] == 3 else "grey",
        _sizes(set(was), images.shape[1:]),
    ]
    return f"{images.name}: " + "; ".join([", ".join(what), *_duplicates(images), *notes])


def some(n: int, what: str) -> str:
    """1 image, 2 images."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def duplicates(images: ImageSet) -> int:
    """How many images are, byte for byte, like one before them."""
    return len(images) - len(np.unique(digests(images.images)))


def _duplicates(images: ImageSet) -> list[str]:
    n = duplicates(images)
    return [f"{some(n, 'duplicate')}, {len(images) - n:,} distinct"] if n else []


def _sizes(was: set[tuple[int, int]], now: tuple[int, int]) -> str:
    least, largest = (min(was, key=_area), max(was, key=_area))
    before = _size(least) if len(was) == 1 else f"{len(was):,} sizes from {_size(least)} to {_size(largest)}"
    return before if was == {now} else f"{before} → {_size(now)}"


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
