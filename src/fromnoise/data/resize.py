"""Resizing as the chapter's task 3 has it: bilinear, antialiased, rounded to 8 bits."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet


def resize(images: UInt8[Tensor, "n c h w"], size: tuple[int, int]) -> UInt8[Tensor, "n c H W"]:
    """Images at `size` (height, width); untouched when they have it already."""
    if tuple(images.shape[-2:]) == size:
        return images
    resized = F.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def resized(images: ImageSet, size: tuple[int, int]) -> ImageSet:
    """`resize` for an `ImageSet`, block by block: in float32 all images at once would take four times their memory."""
    if images.shape[1:] == size:
        return images
    parts = (resize(part, size) for part in blocks.parts(images.images))
    height, width = images.shape[1:]
    return replace(images, images=blocks.join(parts, len(images)), was=images.was or f"{height}×{width}")
