"""Losses are scaled up for fp16, which would round gradients below 3e-8 to zero.

The factor is fixed, so it has no state to resume.
"""

from collections.abc import Iterable

import torch
from torch import nn

FACTOR = 2.0**12  # output gradients are about 1e-8 to 1e-5 at 64 images; a parameter's overflows from 16 on


def loss_scale(precision: str) -> float:
    """What the loss is multiplied by before the backward pass."""
    return FACTOR if precision == "fp16" else 1.0


@torch.no_grad()
def unscale(parameters: Iterable[nn.Parameter], precision: str) -> bool:
    """Scale the gradients back; returns whether to take the step: False if one has overflowed in fp16."""
    if loss_scale(precision) == 1.0:
        return True  # without waiting for the device
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_div_(gradients, loss_scale(precision))
    return bool(nn.utils.get_total_norm(gradients).isfinite())
