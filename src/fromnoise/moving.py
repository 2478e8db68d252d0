"""Tensors on their way to a device, and networks into the memory format that suits it."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; a CUDA GPU is not waited for, which has copied what it reads by the time this returns."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def channels_last(network: Network) -> Network:
    """`network` itself, its convolutions' weights with their channels innermost in memory."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
