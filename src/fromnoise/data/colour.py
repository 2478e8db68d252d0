"""Grey and colour: which images have none, and sets brought to one number of channels."""

from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet


def luminance(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 1 h w"]:
    """RGB as grey, by ITU-R 601's weights, rounded; grey as it is, and RGB without colour loses nothing."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (images.float() * weights).sum(dim=1, keepdim=True).round().to(torch.uint8)


def is_grey(images: UInt8[Tensor, "n c h w"]) -> bool:
    """Whether the images have one channel, or equal ones."""
    return images.shape[1] == 1 or all(bool((part == part[:, :1]).all()) for part in blocks.parts(images))


def with_channels(images: ImageSet, channels: int) -> ImageSet:
    """The set in 1 channel (its luminance) or in 3 (grey is repeated)."""
    if images.shape[0] == channels:
        return images
    if channels == 3:
        return replace(images, images=images.images.expand(-1, 3, -1, -1).contiguous())
    return replace(images, images=blocks.join(map(luminance, blocks.parts(images.images)), len(images)))


def plain(images: ImageSet) -> ImageSet:
    """The set in 1 channel where it is grey, also where its files are RGB; else as it is."""
    return with_channels(images, 1) if is_grey(images.images) else images
