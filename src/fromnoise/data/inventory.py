"""What a reading found, changed and left out, in one line; and how many images occur more than once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fromnoise.data import blocks
from fromnoise.data.colour import kind
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet, digests
from fromnoise.data.pixels import histogram
from fromnoise.say import plural

RARE = 0.001  # the share of values that are outliers, on either side
COARSE = 64  # levels: a quarter of the range
DARK = 16  # levels: images of no more have no contrast


def line(images: ImageSet, notes: Iterable[str]) -> str:
    """The line on a set as it was read; `notes` go at its end.

    "photos: 240 images, 3 classes, RGB, 64×64 → 32×32; 60 duplicates, 180 distinct; not read: 30 .txt"
    """
    kinds = 0 if images.labels is None else len(images.labels.unique())
    classes = f"{kinds:,} classes" if kinds > 1 else "no classes"
    height, width = images.shape[1:]
    size = f"{images.was} → {height}×{width}" if images.was else f"{height}×{width}"
    what = [f"{plural(len(images), 'image')}, {classes}, {kind(images.shape[0])}, {size}"]
    distinct = len(np.unique(digests(images.images, grey=True)))
    if distinct < len(images):
        what.append(f"{plural(len(images) - distinct, 'duplicate')}, {distinct:,} distinct")
    if images.range is None and (brightest := int(images.images.max())) < DARK:
        masks = f": if these are masks, multiply them by {255 // brightest}" if brightest else ""
        what.append(f"no value is above {brightest} of 255{masks}")
    if images.range is not None:
        what.append(f"values from {images.range[0]:g} to {images.range[1]:g} mapped to 8 bits{_coarse(images)}")
    if images.parts:
        counts = Counter(images.parts)
        each = ", ".join(f"{counts[part]:,} {part}" for part in ("train", "val", "heldout") if counts[part])
        what.append(f"in parts of its own: {each}")
    return f"{images.name}: " + "; ".join([*what, *notes])


def _coarse(images: ImageSet) -> str:
    """In brackets, if nearly all values of a channel became few of the 256 bytes: how many, and what helps."""
    below = histogram(images.images).double().cumsum(dim=1)
    below /= below[:, -1:].clone()
    first, last = (below < RARE).sum(dim=1), (below < 1 - RARE).sum(dim=1)
    levels = last - first + 1
    channel, (low, high) = int(levels.argmin()), images.range or (0.0, 0.0)
    if levels[channel] >= COARSE or low == high:
        return ""
    share, step = f"{100 - 200 * RARE:g} % of the values", (high - low) / 255
    if len(levels) > 1:
        where, cure = f" of channel {channel + 1}", "scale each channel for finer steps"
    else:
        ends = max(low, low + (int(first) - 0.5) * step), min(high, low + (int(last) + 0.5) * step)
        least, most = (f"{end:.0f}" if step >= 1 else f"{end:.4g}" for end in ends)
        where, cure = "", f"if the others are outliers, np.clip(images, {least}, {most}) beforehand gives finer steps"
    return f" ({share}{where} to {levels[channel]} of 256 levels: {cure})"


class Duplicates(NamedTuple):
    """How many of n images occur more than once: the same to the byte, or as near-duplicates (`groups`).

    `within` the part, `elsewhere` in other parts of the same data; near-duplicates include equal images.
    """

    name: str
    n: int
    same_within: int
    near_within: int
    same_elsewhere: int
    near_elsewhere: int


def duplicates(parts: Sequence[ImageSet]) -> list[Duplicates]:
    """The duplicates of each part's images, in it and in the other parts; all images are of one shape."""
    images = blocks.cat([part.images for part in parts])
    part = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
    same = np.unique(digests(images, grey=True), return_inverse=True)[1]
    counts = [counted for kind in (same, groups(images).numpy()) for counted in _like(kind, part)]
    rows = np.stack([np.bincount(part[count], minlength=len(parts)) for count in counts], axis=1).tolist()
    return [
        Duplicates(each.name, len(each), same_within, near_within, same_elsewhere, near_elsewhere)
        for each, (same_within, same_elsewhere, near_within, near_elsewhere) in zip(parts, rows, strict=True)
    ]


def _like(kind: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which images have another of their kind in their part, and which have one in another part."""
    together = np.zeros((kind.max() + 1, part.max() + 1), dtype=np.int64)
    np.add.at(together, (kind, part), 1)
    own = together[kind, part]
    return own > 1, together.sum(axis=1)[kind] > own
