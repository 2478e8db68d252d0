"""Notebook 7: the prior's term, and levels spread over their range."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.diffusion.bound import Bound, per_dimension
from fromnoise.lab.checking import Finding, checked, close, shaped


@checked("exercise 7.1")
def exercise_7_1(prior_bits: Callable[[Tensor, float], Tensor]) -> Iterator[Finding]:
    """prior_bits(x0, alpha_bar): N."""
    x0 = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    x0[2] = 0
    for alpha_bar in (0.0064, 0.3):
        found = torch.as_tensor(prior_bits(x0, alpha_bar)).double()
        yield shaped(found, (3,), "a number for each image", "3 images give")
        levels = torch.logit(torch.tensor([0.9, alpha_bar], dtype=torch.float64))
        nats = Bound(levels).prior(x0)
        right = per_dimension(nats, 64)
        yield Finding(
            not close(found, nats, 1e-5), "not in nats", "this is in nats for the whole image: divide by d·ln 2"
        )
        ratio = float(found[2] / right[2])
        factor = f"yours is {ratio:.2f} times that" if math.isfinite(ratio) else "yours is not finite"
        yield Finding(
            abs(ratio - 1) < 1e-4,
            "for an image of zeros",
            f"an image of zeros costs ½(b² − 1 − ln b²)/ln 2 = {right[2]:.5f} bits a pixel; {factor}",
        )
        yield Finding(
            close(found, right, 1e-4),
            "for any image",
            f"right for zeros, but not for other images: these cost ā·‖x_0‖²/2 more, {right[0] - right[2]:.5f} bits "
            "a pixel for the first",
        )


@checked("exercise 7.2")
def exercise_7_2(strata: Callable[[Tensor], Tensor]) -> Iterator[Finding]:
    """strata(u): N×k."""
    u = torch.rand(500, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = strata(u.clone())
    yield shaped(found, (500, 8), "the same shape as before", "500 rows of 8 give")
    low, high = float(found.min()), float(found.max())
    yield Finding(
        low >= 0 and high <= 1, "within (0, 1)", f"the numbers go from {low:.2f} to {high:.2f}, beyond (0, 1)"
    )
    each = ((found * 8).floor() == torch.arange(8)).all()
    yield Finding(
        bool(each), "one in each eighth, in order", "a row of 8 does not have one number in each eighth, in order"
    )
    rows = float(found[:, 0].std() * 8)
    yield Finding(
        rows > 0.1,
        "each row its own numbers",
        "all rows are alike: keep all of u, so that every image has its own levels",
    )
    spread = float((found * 8 % 1).std())
    yield Finding(
        abs(spread - math.sqrt(1 / 12)) < 0.02,
        "uniform in its eighth",
        f"within its eighth a number has deviation {spread:.3f} of the eighth's width, not √(1/12) = 0.289",
    )


@checked("exercise 7.3")
def exercise_7_3(lower_half_black: Callable[[Tensor], Tensor]) -> Iterator[Finding]:
    """lower_half_black(images): like images."""
    images = torch.randint(1, 256, (3, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    given = images.clone()
    found = lower_half_black(given)
    yield Finding(
        found.shape == images.shape and found.dtype == torch.uint8,
        "the shape and type of the images given",
        f"uint8 (3, 1, 32, 32) became {str(found.dtype).removeprefix('torch.')} {tuple(found.shape)}",
    )
    yield Finding(
        bool((found[:, :, 16:] == 0).all()),
        "the lower half is black",
        "rows 16 to 31 are not all 0: rows are the third axis",
    )
    yield Finding(
        torch.equal(found[:, :, :16], images[:, :, :16]),
        "the upper half is unchanged",
        "the upper half has changed too",
    )
    yield Finding(
        torch.equal(given, images),
        "the images given are unchanged",
        "the images given have been changed too: copy them first",
    )
