import pytest
import torch
from torch import nn


@pytest.fixture
def randomised():
    """A network with every parameter drawn anew: fresh ones start with layers of zeros that hide the rest."""

    def draw(network: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weights in network.named_parameters():
                deviation = weights[0].numel() ** -0.5 if weights.ndim > 1 else 0.1
                values = torch.randn(weights.shape, generator=generator) * deviation
                weights.copy_(values + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
        return network

    return draw


@pytest.fixture
def randn():
    def draw(*shape, seed=0):
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return draw
