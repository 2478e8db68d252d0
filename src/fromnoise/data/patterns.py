"""How much of each pattern of a fixed dictionary is in an image: textures, edges and colours, offline.

The dictionary holds whitened patches, with a soft code (Coates, Lee & Ng 2011). It was learnt from random shapes that
occlude one another, "dead leaves" (Lee, Mumford & Huang 2001): they have the edges, corners and flat places of all
images, and belong to nobody. tools/make_patterns.py makes it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise import tensors
from fromnoise.data.colour import by_colour
from fromnoise.data.resize import resize

SIDE = 32
PATCH, STRIDE = 5, 2
CONTRAST = 1000.0
"""Added to a patch's variance, in squared grey levels, before dividing by it: fainter patterns count for less."""
WEIGHTS = Path(__file__).with_name("patterns.safetensors")


@dataclass(frozen=True)
class Dictionary:
    """Patterns of 5×5 pixels in colour.

    mean       of normalised patches
    whitening  their principal directions, each to unit variance
    centres    the patterns, whitened
    """

    mean: Float[Tensor, " 75"]
    whitening: Float[Tensor, "75 r"]
    centres: Float[Tensor, "k r"]

    def to(self, device: torch.device) -> "Dictionary":
        """The same in the memory of `device`."""
        return Dictionary(*(each.to(device) for each in vars(self).values()))

    def __call__(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """The features of RGB images from 0 to 255.

        A patch counts for a pattern by how much nearer it is to it than to patterns on average, 0 where it is farther;
        an image's features are the means over its patches.
        """
        near = torch.cdist((patches(x) - self.mean) @ self.whitening, self.centres)
        return (near.mean(dim=2, keepdim=True) - near).clamp(min=0).mean(dim=1)


def patches(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n l 75"]:
    """Patches, each minus its mean and divided by its contrast."""
    found = F.unfold(x, PATCH, stride=STRIDE).transpose(1, 2)
    found = found - found.mean(dim=2, keepdim=True)
    return found / (found.var(dim=2, keepdim=True) + CONTRAST).sqrt()


def amounts(images: UInt8[Tensor, "n c h w"], dictionary: Dictionary) -> Float[Tensor, "n k"]:
    """How much of each pattern is in each image, resized to 32×32."""
    return by_colour(resize(images, (SIDE, SIDE)), lambda rgb: dictionary(rgb.float()))


@cache
def packaged() -> Dictionary:
    """The packaged dictionary."""
    return Dictionary(**tensors.load(WEIGHTS)[0])
