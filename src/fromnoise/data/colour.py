"""What the channels of images mean: grey, RGB, RGBA or anything else; and how sets are brought to one kind.

One channel is grey, three are RGB, four are RGBA, and other numbers have no colours. Inside fromnoise RGBA is
premultiplied: each colour is multiplied by its alpha, so that what is invisible is 0, and averages are right. In files
and arrays outside, alpha is straight, as everywhere else. The way out and back in keeps every byte.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet
from fromnoise.data.settings import Alpha
from fromnoise.errors import UserError

KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}
SEEN = "RGB; grey repeated; RGBA on mid-grey"
"""What `rgb` does, for reports."""
AVERAGED = f"{SEEN}; of other channels each as grey, averaged"
"""What `by_colour` does."""
SQUARE, LIGHT = 4, 225
"""Pixels of a square of the board behind transparent images, and the grey of every other one."""
AT_ONCE = 1 << 16  # pixels of a large picture in 16 bits


def kind(channels: int) -> str:
    """The name for images with this many channels."""
    return KINDS.get(channels, f"{channels} channels")


def premultiplied(pixels: UInt8[np.ndarray, "*n 4"]) -> UInt8[np.ndarray, "*n 4"]:
    """Straight RGBA with each colour multiplied by its alpha, rounded."""
    done = pixels.copy("C")
    flat = done.reshape(-1, 4)
    for at in range(0, len(flat), AT_ONCE):
        part = flat[at : at + AT_ONCE]
        part[:, :3] = (part[:, :3] * part[:, 3:].astype(np.uint16) + 127) // 255
    return done


def looks_like_alpha(images: UInt8[Tensor, "n 4 h w"]) -> bool:
    """Whether a fourth channel is opaque in one pixel of a hundred, as alpha nearly always is."""
    return 100 * sum(int((part[:, 3] == 255).sum()) for part in blocks.parts(images)) >= images[:, 3].numel()


def straight(pixels: UInt8[np.ndarray, "*n c"]) -> UInt8[np.ndarray, "*n c"]:
    """The inverse for RGBA, which `premultiplied` undoes to the byte; other images as they are."""
    if pixels.shape[-1] != 4:
        return pixels
    wide = pixels.astype(np.int32)
    alpha = wide[..., 3:]
    wide[..., :3] = np.minimum((510 * wide[..., :3] + alpha) // np.maximum(2 * alpha, 1), 255)
    return wide.astype(np.uint8)


def onto(images: UInt8[Tensor, "n 4 h w"], ground: float | Tensor) -> UInt8[Tensor, "n 3 h w"]:
    """RGBA laid on a ground from 0 to 255, of one grey or of h×w."""
    alpha = images[:, 3:].float()
    return (images[:, :3] + (255 - alpha) * ground / 255).round().clamp(0, 255).to(torch.uint8)


def on_board(images: UInt8[Tensor, "n 4 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """RGBA laid on a light chequerboard, as image editors show it."""
    down, across = (torch.arange(side) // SQUARE for side in images.shape[2:])
    odd = (down[:, None] + across) % 2
    return onto(images.cpu(), torch.where(odd == 1, LIGHT, 255))


def on_grey(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n _ h w"]:
    """RGBA laid on mid-grey; other images as they are."""
    return onto(images, 127.5) if images.shape[1] == 4 else images


def rgb(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Images as RGB: grey is repeated, RGBA laid on mid-grey; raises UserError for other channels."""
    channels = images.shape[1]
    if channels not in KINDS:
        raise UserError(f"images of {channels} channels have no colours: use --features general or pixels")
    return on_grey(images).expand(-1, 3, -1, -1)


def by_colour(
    images: UInt8[Tensor, "n c h w"], of: Callable[[UInt8[Tensor, "n 3 h w"]], Float[Tensor, "n d"]]
) -> Float[Tensor, "n d"]:
    """`of` the images as RGB; if they have no colours, its mean over the channels, each taken as grey."""
    if images.shape[1] in KINDS:
        return of(rgb(images))
    return torch.stack([of(rgb(channel)) for channel in images.split(1, dim=1)]).mean(dim=0)


def luminance(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 1 h w"]:
    """RGB as grey, by ITU-R 601's weights, rounded; grey as it is, and RGB without colour loses nothing.

    RGBA is laid on mid-grey first; of other channels it is the mean.
    """
    channels = images.shape[1]
    if channels == 1:
        return images
    if channels not in KINDS:
        return images.float().mean(dim=1, keepdim=True).round().to(torch.uint8)
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (rgb(images).float() * weights).sum(dim=1, keepdim=True).round().to(torch.uint8)


def is_grey(images: UInt8[Tensor, "n c h w"]) -> bool:
    """Whether the images have one channel, or are RGB of equal ones."""
    if images.shape[1] != 3:
        return images.shape[1] == 1
    return all(bool((part == part[:, :1]).all()) for part in blocks.parts(images))


def with_channels(images: ImageSet, channels: int) -> ImageSet:
    """The set as grey (1: its luminance), RGB (3: as `rgb`) or RGBA (4: opaque).

    Raises UserError where either has no colours.
    """
    if images.shape[0] == channels:
        return images
    if not {images.shape[0], channels} <= set(KINDS):
        raise UserError(f"{images.name} is of {kind(images.shape[0])}, and not of {kind(channels)}")
    change = luminance if channels == 1 else rgb if channels == 3 else _opaque
    return replace(images, images=blocks.join(map(change, blocks.parts(images.images)), len(images)))


def without_needless_alpha(images: ImageSet) -> ImageSet:
    """RGBA in which nothing is transparent as RGB; else the set as it is."""
    opaque = images.shape[0] == 4 and all(bool((part[:, 3] == 255).all()) for part in blocks.parts(images.images))
    return with_channels(images, 3) if opaque else images


def plain(images: ImageSet) -> ImageSet:
    """The set in the fewest channels that show it: RGBA without transparency is RGB, RGB without colour grey."""
    images = without_needless_alpha(images)
    return with_channels(images, 1) if is_grey(images.images) else images


def coloured(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """How strong each image's colour is: what its brightest channel has above its darkest, by `_strongest`."""
    return torch.cat([_strongest(part[:, :3].amax(dim=1) - part[:, :3].amin(dim=1)) for part in blocks.parts(images)])


def transparent(images: UInt8[Tensor, "n 4 h w"]) -> Float[Tensor, " n"]:
    """How strong each image's transparency is: what its alpha lacks of 255, by `_strongest`."""
    return torch.cat([_strongest(255 - part[:, 3]) for part in blocks.parts(images)])


def _strongest(levels: UInt8[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The largest mean over 3×3 pixels."""
    return F.avg_pool2d(levels.cpu().float(), min(3, *levels.shape[1:]), 1).amax(dim=(1, 2))


def laid(images: ImageSet, alpha: Alpha) -> ImageSet:
    """The set as `DataSettings.alpha` has it: transparent images as they are, or as RGB on white or black."""
    if alpha == "keep" or images.shape[0] != 4:
        return images
    ground = {"white": 255, "black": 0}[alpha]
    parts = (onto(part, ground) for part in blocks.parts(images.images))
    return replace(images, images=blocks.join(parts, len(images)))


def _opaque(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 4 h w"]:
    return torch.cat([rgb(images), torch.full_like(images[:, :1], 255)], dim=1)
