"""The number formats that networks compute in: which of them a device has itself, and autocast to one."""

import torch

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def half(device: torch.device) -> str | None:
    """The sixteen-bit format that a device computes in itself, or None.

    fp16 is for GPUs that have no bf16 (before Ampere). A CPU without bf16 units emulates it, a hundred times slower.
    """
    if device.type == "cpu":
        return "bf16" if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() else None
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "fp16"
    return "bf16"


def precisions(device: torch.device) -> tuple[str, ...]:
    """All formats that a device computes in itself, fp32 first."""
    found = half(device)
    return ("fp32", found) if found else ("fp32",)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which matrix products and convolutions are computed in `precision`."""
    return torch.autocast(device.type, HALVES.get(precision, torch.bfloat16), precision in HALVES)
