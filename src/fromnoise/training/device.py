"""Where to compute."""

import warnings

import torch
from accelerate import Accelerator

from fromnoise.errors import UserError


def accelerator(device: str) -> Accelerator:
    """Accelerate's view of `auto`, `cpu`, `cuda` or `mps`; raises UserError for a device that is not there."""
    there = {
        "auto": True,
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device, False):
        raise UserError(f"--device {device} is not available here; choose --device auto or cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about settings of launchers that nobody chose
        found = Accelerator(cpu=device == "cpu", mixed_precision="no")  # the plan says what is computed in what
    if device not in ("auto", found.device.type):
        raise UserError(f"--device {device}: Accelerate chose {found.device.type}; leave --device away")
    return found
