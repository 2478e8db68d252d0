"""Between 8-bit pixels and other numbers: those that networks see, and those in images of more bits."""

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Num, UInt8
from torch import Tensor

from fromnoise.data import blocks, mapped
from fromnoise.errors import UserError
from fromnoise.say import say

UNSEEN = 1e-3


def normalise(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """8-bit images as float32 in [−1, 1]."""
    return images.to(torch.float32) / 127.5 - 1


def histogram(images: UInt8[Tensor, "n c h w"]) -> Int64[Tensor, "c 256"]:
    """How often each channel has each of the 256 values."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.long)
    for part in blocks.parts(images):
        counts += torch.stack([part[:, c].flatten().bincount(minlength=256) for c in range(len(counts))]).cpu()
    return counts


def quantise(x: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """The nearest 8-bit image; what lies outside [−1, 1] is clipped."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def decoder(shares: Float64[Tensor, "c 256"], error: float) -> UInt8[Tensor, "c 256"]:
    """What each of the 256 values is decoded as, in each channel, where values are off by about `error`.

    Each value shifts by the change in its posterior mean, given a normal error, when the prior goes from uniform to
    `shares`. So where one value is far more common than its neighbours, like the black around digits, they are
    decoded as that one. `UNSEEN` is the share of all that were not seen.
    """
    values = torch.arange(256, dtype=torch.float64)
    likelihood = (-((values - values[:, None]) / error).square() / 2).exp()  # of a true value, given each value
    priors = torch.stack([shares.new_full(shares.shape, 1 / 256), (1 - UNSEEN) * shares + UNSEEN / 256])
    posterior = likelihood * priors[:, :, None]
    alike, known = posterior @ values / posterior.sum(dim=-1)
    return (values + known - alike).round().clamp(0, 255).to(torch.uint8)


def as_bytes(
    values: Num[np.ndarray, "n *s"], name: str = "images", within: tuple[float, float] | None = None
) -> tuple[UInt8[np.ndarray, "n *s"], tuple[float, float] | None]:
    """The images `name`, numbers of any range, as bytes, and the range if they are not bytes already.

    Whole numbers from 0 to 255 stay as they are, as floats too unless none is above 1. Of truth values, true is 255.
    Other numbers are `stretched`; with `within`, all but uint8 and truth values. Raises UserError for values that are
    not finite.
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255), None
    if within is not None and values.dtype != np.uint8:
        return stretched(values, name, within)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        return stretched(values, name)
    whole = values.dtype.kind in "iu" or (high > 1 and all((row == np.rint(row)).all() for row in values))
    return (values.astype(np.uint8), None) if whole else stretched(values, name)


def stretched(
    values: Num[np.ndarray, "n *s"], name: str, within: tuple[float, float] | None = None
) -> tuple[UInt8[np.ndarray, "n *s"], tuple[float, float]]:
    """Numbers of any range as bytes, and the range: its least becomes 0, its largest 255, the rest is linear, rounded.

    The range is `within`, that of the training images, and a line says if values are clipped to it; without one, the
    numbers' own. Raises UserError for values that are not finite.
    """
    least, most = float(values.min()), float(values.max())
    if not np.isfinite([least, most]).all():
        raise UserError(f"{name}: some values are not finite")
    low, high = within or (least, most)
    if max(low - least, most - high) * 255 > high - low:  # by more than one of 255 levels
        say(f"{name}: values from {least:g} to {most:g} clipped to the training images' range, {low:g} to {high:g}")
    found, unit = mapped.empty(values.shape, torch.uint8).numpy(), 255 / (high - low) if high > low else 0.0
    for k, row in enumerate(values):  # one by one: in float64 all at once would take many times their memory
        found[k] = ((row.astype(np.float64) - low) * unit).round().clip(0, 255)
    return found, (low, high)
