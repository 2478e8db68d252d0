"""The exponential moving average of the parameters (parameters only: a network's buffers are not averaged)."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """w̄ ← d·w̄ + (1 − d)·w after each step, d = min(decay, (1 + step)/(10 + step)): warmed up on short runs.

    It starts as a copy of the network's parameters. PyTorch's `AveragedModel` forgets these at its first update.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = dict(network.named_parameters())
        self.average: dict[str, Tensor] = {name: live.detach().clone() for name, live in self.live.items()}

    def update(self, step: int) -> None:
        """Take in the parameters after `step` steps (1 for the first)."""
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
        average(list(self.average.values()), list(self.live.values()), None)

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on from saved averages; raises KeyError or ValueError for those of another network."""
        for name, average in self.average.items():
            if weights[name].shape != average.shape:  # which `copy_` might broadcast
                raise ValueError(f"{name} is {tuple(weights[name].shape)}, not {tuple(average.shape)}")
            average.copy_(weights[name])
