"""Between 8-bit pixels and the numbers that networks see."""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fromnoise.data import blocks


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
