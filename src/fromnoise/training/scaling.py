"""Losses are scaled for fp16's small range, where gradients of few hundred-thousandths would be rounded to zero.

The factor is fixed, so that a resumed training needs no state of it.
"""

from collections.abc import Iterable

import torch
from torch import nn

FACTOR = 2.0**12  # output gradients are about 1e-8 to 1e-5 at 64 images; a parameter's overflows from 16 on


def factor(precision: str) -> float:
    """What the loss is multiplied with before the backward pass."""
    return FACTOR if precision == "fp16" else 1.0


@torch.no_grad()
def undo(parameters: Iterable[nn.Parameter], precision: str) -> bool:
    """Scale the gradients back; returns whether they can be learnt from: False where one of fp16's has overflowed."""
    if factor(precision) == 1.0:
        return True  # and the device is not waited for
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_div_(gradients, factor(precision))
    return bool(nn.utils.get_total_norm(gradients).isfinite())
