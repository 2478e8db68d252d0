"""Small tensors on their way to a device."""

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; a CUDA GPU is not waited for, which has copied what it reads by the time this returns."""
    return tensor.to(device, non_blocking=device.type == "cuda")
