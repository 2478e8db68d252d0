"""Devices: the number formats they compute in, and tensors and networks in the form that suits them."""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

CPU = torch.device("cpu")
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Of losses in fp16, which would round gradients below 3e-8 to zero; fixed, so that there is no state to resume. Output
# gradients are about 1e-8 to 1e-5 at 64 images; a parameter's overflows from 16 on.
FACTOR = 2.0**12


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; copies to a GPU do not wait for it to finish the work it has."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def channels_last(network: Network) -> Network:
    """`network` itself, its convolutions' weights with their channels innermost in memory."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]


def precisions(device: torch.device) -> tuple[str, ...]:
    """The formats worth trying on a device, fp32 first: fp16 only on GPUs without bf16 (before Ampere)."""
    if device.type == "cpu":
        known = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return ("fp32", "bf16") if known else ("fp32",)
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "fp32", "fp16"
    return "fp32", "bf16"


def emulates(device: torch.device, precision: str) -> bool:
    """Whether a device has no units for a format: a CPU is then a hundred times slower."""
    if device.type == "cuda":
        return precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and precision not in precisions(device)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which matrix products and convolutions are computed in `precision`."""
    return torch.autocast(device.type, HALVES.get(precision, torch.bfloat16), precision in HALVES)


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
