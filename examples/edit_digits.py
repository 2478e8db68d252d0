"""Edit digits that the packaged model never saw, and make docs/edit.png of them: `python examples/edit_digits.py`.

From top to bottom: ten held-out digits; their upper halves, and three ways to fill in the rest; the digits at half the
size, and enlarged again; variants at strength 0.5; from the first digit to the second.
"""

import sys

import numpy as np

import fromnoise
from fromnoise.data import digits
from fromnoise.data.resize import resize

COLUMNS, WAYS = 10, 3


def main(out: str) -> None:
    """Write the picture to `out`."""
    model = fromnoise.load("digits")
    whole = resize(digits.load("heldout").images[:COLUMNS], (32, 32)).permute(0, 2, 3, 1).numpy()
    small = whole.reshape(COLUMNS, 16, 2, 16, 2, 1).mean((2, 4)).round().astype(np.uint8)
    hole = np.arange(32)[:, None].repeat(32, 1) >= 16
    filled = model.inpaint(whole, hole, WAYS).reshape(COLUMNS, WAYS, 32, 32, 1)
    rows = [
        whole,
        np.where(hole[..., None], 0, whole),
        *filled.swapaxes(0, 1),
        small.repeat(2, 1).repeat(2, 2),
        model.upscale(small),
        model.vary(whole, strength=0.5),
        model.interpolate(whole[0], whole[1], COLUMNS),
    ]
    fromnoise.Images(np.concatenate(rows)).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["docs/edit.png"])
