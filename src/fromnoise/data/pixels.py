"""Between 8-bit pixels and the numbers that networks see."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def normalise(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """8-bit images as float32 in [−1, 1]."""
    return images.to(torch.float32) / 127.5 - 1


def quantise(x: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """The nearest 8-bit image; what lies outside [−1, 1] is clipped."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
