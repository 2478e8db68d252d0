"""Small changes to training images, on which the network is conditioned (Karras et al. 2022, appendix F.2).

A change is six numbers of about unit size, all zero for none: rotation, size, stretch along the axes, stretch along
the diagonals, shift to the right, shift down. Because the network is conditioned on them, the changes do not leak: what
it samples at zeros is not rotated. Nothing is ever mirrored: a mirrored digit is no digit.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fromnoise.hardware import to_device

# What one unit is: 8°; logarithms of factors, the two stretches 0.1 together (root mean square); shares of the side.
UNITS = (math.radians(8), 0.08, 0.1 / math.sqrt(2), 0.1 / math.sqrt(2), 0.04, 0.04)
NUMBERS = len(UNITS)
LARGEST = 2.0  # units: what is drawn beyond is clipped


def random_changes(n: int, share: float, random: np.random.Generator) -> Float[Tensor, "n 6"]:
    """The changes of n images: normal numbers for about a `share` of them, zeros for the rest."""
    changed = random.random(n) < share
    numbers = random.standard_normal((n, NUMBERS)).clip(-LARGEST, LARGEST) * changed[:, None]
    return torch.from_numpy(numbers.astype(np.float32))


def apply(
    images: Float[Tensor, "n c h w"], change: Float[Tensor, "n 6"], beyond: float | None = None
) -> Float[Tensor, "n c h w"]:
    """The images, each changed by its numbers (on the CPU); those whose numbers are all zero come back as they are.

    For `beyond` see `warp`.
    """
    rows = change.any(dim=1).nonzero().flatten()
    if not len(rows):  # which `affine_grid` does not take
        return images
    at = to_device(rows, images.device)
    return images.index_copy(0, at, warp(images[at], change[rows], beyond))


def warp(
    images: Float[Tensor, "n c h w"], change: Float[Tensor, "n 6"], beyond: float | None = None
) -> Float[Tensor, "n c h w"]:
    """Every image resampled bilinearly. Beyond its border it has the value `beyond`; if None, that at the border.

    Rotation, size and stretches are the matrix exp [[s + p, q − θ], [q + θ, s − p]] about the middle, then comes the
    shift. Angles are right for images that are not square, too.
    """
    n, _, height, width = images.shape
    theta, s, p, q, *shift = (change.double() * torch.tensor(UNITS, dtype=torch.float64)).unbind(1)
    # From a pixel of the result to where it comes from, hence the minus. In pixels first.
    generator = torch.stack([s + p, q - theta, q + theta, s - p], dim=1).view(n, 2, 2)
    back = torch.linalg.matrix_exp(-generator)
    # Then in the coordinates of `affine_grid`: each side runs from −1 to 1.
    half = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    back = back * half / half[:, None]
    offset = -back @ (2 * torch.stack(shift, dim=1))[:, :, None]
    affine = torch.cat([back, offset], dim=2).to(images.dtype)
    grid = F.affine_grid(to_device(affine, images.device), list(images.shape), align_corners=False)
    if beyond is not None:
        found = F.grid_sample(images - beyond, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return found + beyond
    edge = to_device((1 - 0.5 / half).to(affine.dtype), images.device)  # the middle of the outermost pixels
    # Not by padding_mode="border", which Apple's GPUs lack before PyTorch 2.13.
    return F.grid_sample(images, grid.clamp(-edge, edge), mode="bilinear", padding_mode="zeros", align_corners=False)
