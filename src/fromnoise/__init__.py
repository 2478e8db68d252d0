"""fromnoise: from a set of small images to a generative diffusion model with an honest score.

Importing the package costs nothing: PyTorch is imported by the first use of a name below (docs/api.md).
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fromnoise import process
    from fromnoise.api import Images, Report, Run, UserError, evaluate, load, train

__all__ = ["Images", "Report", "Run", "UserError", "evaluate", "load", "process", "train"]

os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # of Apple's GPUs; read when PyTorch is imported

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fromnoise' has no attribute '{name}'")
    if name == "process":
        return importlib.import_module("fromnoise.process")
    return getattr(importlib.import_module("fromnoise.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
