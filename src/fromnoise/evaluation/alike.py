"""How alike two images are to a person, and which images of a set are the most alike.

A person calls two images the same picture though one is darker or paler, moved by a pixel or two, a little noisy or
blurred, or without its colour. So images are compared by luminance, at most `SIDE` pixels a side, with noise smoothed
away and brightness and contrast taken out. Their distance is the root mean square difference of what both show, the
least over shifts of up to `SHIFT` pixels; those of larger images are their own, or halves of those that are compared,
whichever are larger. It is 0 for one picture, about √2 for two that have nothing in common.

Comparing all pairs in this way would take too long. The distance is computed only to the images that come first, at
some shift, by the means over a grid of `GRID` × `GRID` cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, Num, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.data.colour import luminance
from fromnoise.data.resize import resize

SIDE, SHIFT, GRID = 32, 2, 6
UNMOVED = 16
"""Images, nearest by their grids, to which the distance is computed beside the nearest at each shift."""
FLAT = 0.03 * 255
"""Grey levels of contrast below which an image counts as flat: the constant of SSIM (Wang et al. 2004)."""
DARKENED = 0.8
"""The factor on the brightness of damaged images."""
NUMBERS, BLOCK = 1 << 22, 256  # the most in a block: numbers, images


@dataclass(frozen=True)
class Neighbours:
    """The k most alike of a gallery to each of n images, nearest first, each of another group of near-duplicates."""

    distances: Float64[np.ndarray, "n k"]
    indices: Int64[np.ndarray, "n k"]

    @property
    def relative(self) -> Float64[np.ndarray, " n"]:
        """d_1/d_k, in [0, 1]."""
        return self.distances[:, 0] / np.maximum(self.distances[:, -1], 1e-6)

    def take(self, rows: Int64[np.ndarray, " m"]) -> "Neighbours":
        """Those of the images at these positions."""
        return Neighbours(self.distances[rows], self.indices[rows])


class Gallery:
    """Images to find the most alike ones in, of any size and number of channels.

    `groups` are their groups of near-duplicates, numbered from 0; by default each is a group of its own.
    """

    def __init__(self, images: UInt8[Tensor, "n c h w"], groups: Int64[Tensor, " n"] | None = None) -> None:
        height, width = images.shape[2:]
        scale = min(1.0, SIDE / max(height, width))
        self.size = max(1, round(scale * height)), max(1, round(scale * width))
        self.groups = torch.arange(len(images)) if groups is None else groups
        self._first = torch.from_numpy(np.unique(self.groups.numpy(), return_index=True)[1])
        shown = (self._windows(part, 0)[:, 0].half() for part in self._reduced(images).split(BLOCK))
        self._shown = blocks.join(shown, len(images))
        self._squares = torch.cat([part.float().square().sum(dim=(1, 2)) for part in self._shown.split(BLOCK)])
        self._grids = blocks.join((_grid(part.float()) for part in self._shown.split(BLOCK)), len(images))

    @property
    def distinct(self) -> int:
        """The number of groups of near-duplicates."""
        return len(self._first)

    def nearest(
        self, images: UInt8[Tensor, "n c h w"], k: int, own: Int64[Tensor, " n"] | None = None, shift: int = SHIFT
    ) -> Neighbours:
        """The k most alike to each image, at shifts up to `shift` pixels; `own`: the group of each, which is left out.

        Images of another size are resized. Raises ValueError for fewer than k groups.
        """
        if k > self.distinct - (own is not None):
            raise ValueError(f"no {k} of {self.distinct} distinct images")
        small = self._reduced(images)
        length = max(1, NUMBERS // max(len(self._shown), (2 * SHIFT + 1) ** 2 * self.size[0] * self.size[1]))
        found = [
            self._nearest(self._windows(small[rows], shift), k, None if own is None else own[rows])
            for rows in torch.arange(len(small)).split(length)
        ]
        distances, indices = (torch.cat(each).numpy() for each in zip(*found, strict=True))
        return Neighbours(distances, indices)

    def _nearest(
        self, windows: Float[Tensor, "n s h w"], k: int, own: Int64[Tensor, " n"] | None
    ) -> tuple[Float64[Tensor, "n k"], Int64[Tensor, "n k"]]:
        candidates = self._candidates(windows)
        ours = windows.flatten(2).transpose(1, 2)
        theirs = self._shown[candidates].flatten(2).float()
        squares = (theirs @ ours).mul_(-2) + self._squares[candidates][:, :, None] + ours.square().sum(dim=1)[:, None]
        distances, order = (squares.amin(dim=2) / ours.shape[1]).clamp(min=0).double().sqrt().sort(dim=1, stable=True)
        candidates = candidates.gather(1, order)
        group = self.groups[candidates]
        out = (group[:, :, None] == group[:, None, :]).tril(-1).any(dim=2)  # all but the nearest of each group
        if own is not None:
            out |= group == own[:, None]
        distances, order = distances.masked_fill(out, torch.inf).sort(dim=1, stable=True)
        return distances[:, :k], candidates.gather(1, order)[:, :k]

    def _candidates(self, windows: Float[Tensor, "n s h w"]) -> Int64[Tensor, "n c"]:
        """The images nearest by their grids, some more than once."""
        squares, found = self._grids.square().sum(dim=1), []
        for k, window in enumerate(windows.unbind(dim=1)):
            alike = torch.addmm(squares, _grid(window), self._grids.T, beta=-1, alpha=2)
            found.append(alike.argmax(dim=1, keepdim=True))
            if k == windows.shape[1] // 2:  # those of different groups
                unmoved = alike[:, self._first].topk(min(UNMOVED, self.distinct), dim=1).indices
                found.append(self._first[unmoved])
        return torch.cat(found, dim=1)

    def _reduced(self, images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 1 h w"]:
        """Luminance at the gallery's size; of larger images at up to twice that, to shift them by less than a pixel."""
        sides = zip(images.shape[2:], self.size, strict=True)
        height, width = (min(max(own, side), 2 * side) for own, side in sides)
        parts = (resize(luminance(part.cpu()), (height, width)) for part in blocks.parts(images))
        return blocks.join(parts, len(images))

    def _windows(self, small: UInt8[Tensor, "n 1 h w"], shift: int) -> Float[Tensor, "n s h w"]:
        """What each image shows at every shift, standardised, without the margins that a shift may hide."""
        down, right = (min(SHIFT, side // 8) for side in self.size)
        rows, columns = self.size[0] - 2 * down, self.size[1] - 2 * right
        y, x = min(shift, down), min(shift, right)
        height, width = small.shape[2:]
        if (height, width) != self.size:
            edged = F.pad(small.float(), (x, x, y, y), mode="replicate")
            moved = (edged[:, :, i : i + height, j : j + width] for i, j in np.ndindex(2 * y + 1, 2 * x + 1))
            shown = [_smooth(resize(each, self.size))[:, down : down + rows, right : right + columns] for each in moved]
            return _standardised(torch.stack(shown, dim=1))
        windows = _smooth(small).unfold(1, rows, 1).unfold(2, columns, 1)
        windows = windows[:, down - y : down + y + 1, right - x : right + x + 1]
        return _standardised(windows.flatten(1, 2))


def turns(images: UInt8[Tensor, "n c h w"], square: bool) -> Iterator[UInt8[Tensor, "n c h w"]]:
    """The images, their mirror images, and both rotated by quarter turns; by half turns if they are not square."""
    for quarters in range(0, 4, 1 if square else 2):
        yield images.rot90(quarters, (2, 3)) if quarters else images
        yield images.rot90(quarters, (2, 3)).flip(-1) if quarters else images.flip(-1)


def damaged(images: UInt8[Tensor, "n c h w"], noise: float, key: str) -> UInt8[Tensor, "n c h w"]:
    """Images darkened, moved by a pixel in both directions, and noisy, by `noise` grey levels (keyed by `key`)."""
    moved = DARKENED * torch.roll(images.cpu().float(), (1, 1), (2, 3))
    return (moved + noise * rng.normal(tuple(moved.shape), 0, key)).round().clamp(0, 255).to(torch.uint8)


def _smooth(images: Num[Tensor, "n 1 h w"]) -> Float[Tensor, "n h w"]:
    """Each pixel's neighbourhood averaged with the binomial weights 1, 2, 1 in both directions."""
    padded = F.pad(images.float(), (1, 1, 1, 1), mode="replicate")
    down = padded[:, 0, :-2] + 2 * padded[:, 0, 1:-1] + padded[:, 0, 2:]
    return (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 16


def _standardised(images: Float[Tensor, "... h w"]) -> Float[Tensor, "... h w"]:
    centred = images - images.mean(dim=(-2, -1), keepdim=True)
    return centred * (centred.square().mean(dim=(-2, -1), keepdim=True) + FLAT**2).rsqrt()


def _grid(images: Float[Tensor, "n h w"]) -> Float[Tensor, "n d"]:
    cells = min(GRID, images.shape[1]), min(GRID, images.shape[2])
    return F.adaptive_avg_pool2d(images[:, None], cells).flatten(1)
