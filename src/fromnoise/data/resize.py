"""Resizing as the chapter's task 3 has it: bilinear, antialiased, rounded to 8 bits."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Num, UInt8
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet
from fromnoise.data.settings import Size


def resize(images: UInt8[Tensor, "n c h w"], size: tuple[int, int]) -> UInt8[Tensor, "n c H W"]:
    """Images at `size` (height, width); unchanged if they have it already. Floats are not rounded.

    A `Size` says how images of other proportions are fitted; without one they are stretched.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    fit = size.fit if isinstance(size, Size) else "stretch"
    if fit == "pad":
        return _padded(images, size)
    if fit == "crop":
        images = _middle(images, size)
    resized = F.interpolate(images.float(), tuple(size), mode="bilinear", antialias=True, align_corners=False)
    return resized if images.is_floating_point() else resized.round_().clamp_(0, 255).to(torch.uint8)


def resized(images: ImageSet, size: tuple[int, int] | None) -> ImageSet:
    """`resize` for an `ImageSet`, block by block: in float32 all images at once would take four times their memory.

    Without a size they stay as they are.
    """
    if size is None or images.shape[1:] == size:
        return images
    parts = (resize(part, size) for part in blocks.parts(images.images))
    height, width = images.shape[1:]
    return replace(images, images=blocks.join(parts, len(images)), was=images.was or f"{height}×{width}")


def _middle(images: Num[Tensor, "n c h w"], size: tuple[int, int]) -> Num[Tensor, "n c H W"]:
    """The largest middle part of the images with the proportions of `size`."""
    (height, width), (tall, wide) = images.shape[2:], size
    rows = min(height, max(1, round(width * tall / wide)))
    columns = min(width, max(1, round(height * wide / tall)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return images[:, :, top : top + rows, left : left + columns]


def _padded(images: Num[Tensor, "n c h w"], size: tuple[int, int]) -> Num[Tensor, "n c H W"]:
    """The whole images, as large as they fit, in the middle of a background."""
    scale = min(side / own for side, own in zip(size, images.shape[2:], strict=True))
    rows, columns = (max(1, round(own * scale)) for own in images.shape[2:])
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    padded = _background(images)[:, :, None, None].repeat(1, 1, *size)
    padded[:, :, top : top + rows, left : left + columns] = resize(images, (rows, columns))
    return padded


def _background(images: Num[Tensor, "n c h w"]) -> Num[Tensor, "n c"]:
    """Transparent, or each channel's median along the images' edges."""
    if images.shape[1] == 4:
        return torch.zeros_like(images[:, :, 0, 0])
    ends = [images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]]
    return torch.cat(ends, dim=2).median(dim=2).values
