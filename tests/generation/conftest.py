"""A model whose distribution is known: white noise around mid-grey."""

import dataclasses

import numpy as np
import pytest
import torch

from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model

DEVIATION = 0.3


class Nothing(torch.nn.Module):
    """v̂ = 0, the ideal prediction for white data of unit deviation."""

    def forward(self, x, condition, label=None):
        return torch.zeros_like(x)


@pytest.fixture
def white_of(config_of):
    """The exact model of pixels N(0, 0.3²) in some channels, and n images drawn from it."""

    def make(n, channels=1):
        model = Model.build(config_of(), DataInfo(1, 16, 16, DEVIATION, (0.0,)))
        info = DataInfo(channels, 16, 16, DEVIATION, (0.0,) * channels)
        x = np.random.default_rng(0).normal(0, DEVIATION, (n, channels, 16, 16))
        images = torch.from_numpy(((x + 1) * 127.5).round().clip(0, 255).astype(np.uint8))
        return dataclasses.replace(model, info=info, network=Nothing()), images

    return make
