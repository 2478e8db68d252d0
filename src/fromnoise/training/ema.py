"""The exponential moving average of the parameters (parameters only: a network's buffers are not averaged)."""

import torch
from torch import Tensor, nn


class MovingAverage:
    """w̄ ← d·w̄ + (1 − d)·w after each step, d = min(decay, (1 + step)/(10 + step)): warmed up on short runs."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """The average starts as a copy of the network's parameters; `decay` lies in (0, 1)."""
        self.decay = decay
        self.names = [name for name, _ in network.named_parameters()]
        self.live: list[Tensor] = list(network.parameters())
        self.average = [parameter.detach().clone() for parameter in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after `step` steps (1 for the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, self.live, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """The averaged parameters by name."""
        return dict(zip(self.names, self.average, strict=True))

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on from saved averages; raises KeyError or ValueError for those of another network."""
        for name, average in zip(self.names, self.average, strict=True):
            if weights[name].shape != average.shape:  # where it could be stretched, it would be
                raise ValueError(f"{name} is {tuple(weights[name].shape)}, not {tuple(average.shape)}")
            average.copy_(weights[name])
