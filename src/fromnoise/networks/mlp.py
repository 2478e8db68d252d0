"""The network for points: a residual multilayer perceptron, conditioned on the noise level."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fromnoise.networks.network import zeroed

FREQUENCIES = 8  # of the level's sines and cosines
PERIODS = (4.0, 2.0, 1.0)  # of each coordinate's, for data of unit deviation


class Block(nn.Module):
    """x + W_2·SiLU(W_1·SiLU(x)), the identity at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = zeroed(nn.Linear(width, width))

    def forward(self, x: Float[Tensor, "n w"]) -> Float[Tensor, "n w"]:
        """The block's output."""
        return x + self.second(F.silu(self.first(F.silu(x))))


class MLP(nn.Module):
    """Noisy points and their λ to a prediction of the same shape; zero at first.

    It sees the coordinates and sines and cosines of them (Tancik et al. 2020): from the coordinates alone such a
    network learns what is smooth long before the sharp borders between the parts of the data.

    dimension  numbers in a point
    width      of the residual stream
    blocks     residual blocks of two layers each
    """

    def __init__(self, dimension: int = 2, width: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.register_buffer("waves", 2 * math.pi / torch.tensor(PERIODS), persistent=False)
        self.waves: Tensor
        # Periods from 60 down to 2 in λ; the process spans about 20.
        frequencies = torch.logspace(math.log10(0.1), math.log10(3.0), FREQUENCIES)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.frequencies: Tensor
        self.first = nn.Linear(dimension * (1 + 2 * len(PERIODS)) + 2 * FREQUENCIES, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.last = zeroed(nn.Linear(width, dimension))

    def forward(self, x: Float[Tensor, "n d"], logsnr: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """The prediction for noisy points at levels `logsnr`."""
        angles = logsnr[:, None] * self.frequencies
        phases = (x[:, :, None] * self.waves).flatten(1)
        inputs = torch.cat([x, phases.sin(), phases.cos(), angles.sin(), angles.cos()], dim=1)
        return self.last(F.silu(self.blocks(self.first(inputs))))
