"""Do two sets of images share some? A reference that holds training images makes any model that memorises look good."""

from itertools import islice

import numpy as np

from fromnoise.data.groups import nearly_in
from fromnoise.data.image_set import ImageSet, digests
from fromnoise.evaluation.alike import turns
from fromnoise.evaluation.report import Overlap


def overlap(a: ImageSet, b: ImageSet, turned: bool = False) -> Overlap:
    """How many images of `a` are in `b`: to the byte, grey saved as RGB as grey, and as near-duplicates (`groups`).

    If `turned`, mirror images and images turned by quarters count as near-duplicates too. Images of different sizes
    are compared at the smaller size, where none is the same to the byte.
    """
    same = np.isin(digests(a.images, grey=True), digests(b.images, grey=True))
    seen = islice(turns(a.images), None if turned else 1)
    near = np.logical_or.reduce([nearly_in(each, b.images).numpy() for each in seen]) & ~same
    identical, alike, n = int(same.sum()), int(near.sum()), len(a)
    return Overlap(identical, alike, n, _verdict(identical, alike, n, a.name, b.name))


def _verdict(identical: int, near: int, n: int, a: str, b: str) -> str:
    own = a.removeprefix("the ")
    ours = f"{n:,} {own}" if own.endswith("images") else f"{n:,} images of {a}"
    if not identical + near:
        return f"none of the {ours} is in {b}"
    how = [f"{identical:,} to the byte"] * bool(identical) + [f"{near:,} as near-duplicates"] * bool(near)
    return f"{identical + near:,} of the {ours} are in {b} too: {' and '.join(how)}"
