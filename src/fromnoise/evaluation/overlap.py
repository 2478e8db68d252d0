"""Do two sets of images share some? A reference that holds training images makes any model that memorises look good."""

from itertools import islice

import numpy as np
import torch

from fromnoise.data.groups import SIDE, nearly_in
from fromnoise.data.image_set import ImageSet, blank, digests
from fromnoise.data.resize import resize
from fromnoise.evaluation.alike import damaged, turns
from fromnoise.evaluation.report import Overlap

MOST = 1_000
"""Images that are looked at turned, at most."""
CHANGED, NOISE = 200, 5.0
"""Most images that are changed to see whether they are recognised, and their noise in grey levels."""


def overlap(a: ImageSet, b: ImageSet, turned: bool = False) -> Overlap:
    """How many images of `a` are in `b`: to the byte, grey saved as RGB as grey, and as near-duplicates (`nearly_in`).

    Blank images do not count: any two sets may hold the same ones. If `turned`, mirror images and images rotated by
    quarter turns are looked for too. Images of different sizes are compared at the smaller size, where none is the same
    to the byte.
    """
    shown = ~blank(a.images)
    same = np.isin(digests(a.images, grey=True), digests(b.images, grey=True)) & shown
    near = nearly_in(a.images, b.images).numpy() & shown & ~same
    share = _turned(a, b, same | near | ~shown) if turned else 0.0
    identical, alike, n = int(same.sum()), int(near.sum()), len(a)
    return Overlap(identical, alike, n, _verdict(identical, alike, share, n, a.name, b.name), share)


def noticed(images: ImageSet) -> float:
    """The share of the images that are recognised as near-duplicates when they are `damaged`; alpha is only shifted."""
    rows = images.subset_rows(min(CHANGED, len(images)), 0, balanced=False)
    some = images.images[rows].cpu()
    colours = 3 if some.shape[1] == 4 else some.shape[1]
    alpha = torch.roll(some[:, colours:], (1, 1), (2, 3))
    changed = torch.cat([damaged(some[:, :colours], NOISE, "changed"), alpha], dim=1)
    return float(nearly_in(changed, images.images).double().mean())


def _turned(a: ImageSet, b: ImageSet, known: np.ndarray) -> float:
    """The share of randomly chosen images that are not `known` but are near-duplicates if mirrored or turned."""
    rows = a.subset_rows(min(MOST, len(a)), 0, balanced=False)
    some = a.images[rows].cpu()
    square = some.shape[2] == some.shape[3]
    seen = torch.cat([resize(each, _small(each)) for each in islice(turns(some, square), 1, None)])
    found = nearly_in(seen, b.images).view(-1, len(some)).any(dim=0).numpy()
    return float((found & ~known[rows]).mean())


def _small(images: torch.Tensor) -> tuple[int, int]:
    """The images' size, cut to twice what `nearly_in` compares, so that all views of many images take little memory."""
    height, width = (min(side, 2 * SIDE[1]) for side in images.shape[2:])
    return height, width


def _verdict(identical: int, near: int, turned: float, n: int, a: str, b: str) -> str:
    own = a.removeprefix("the ")
    ours = f"{n:,} {own}" if own.endswith("images") else f"{n:,} images of {a}"
    mirrored = f"{100 * turned:.1f} % are near-duplicates if mirrored or rotated by quarter turns" if turned else ""
    if not identical + near:
        return f"none of the {ours} is in {b}{f', but {mirrored}' if mirrored else ''}"
    more = f"; a further {mirrored}" if mirrored else ""
    if not identical:
        return f"{near:,} of the {ours} {'has' if near == 1 else 'have'} near-duplicates in {b}{more}"
    how = f": {identical:,} byte for byte and {near:,} as near-duplicates" if near else ", byte for byte"
    return f"{identical + near:,} of the {ours} {'is' if identical + near == 1 else 'are'} in {b} too{how}{more}"
