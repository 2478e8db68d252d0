"""fromnoise: from a set of small images to a generative diffusion model with an honest score.

Importing the package costs nothing: PyTorch is imported by the first use of a name below (docs/api.md).
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fromnoise import process
    from fromnoise.api import Images, Likelihoods, Report, Run, UserError, Verdict, evaluate, load, train, verdicts

__all__ = ["Images", "Likelihoods", "Report", "Run", "UserError", "Verdict"]
__all__ += ["evaluate", "load", "process", "train", "verdicts"]

# Read when PyTorch is imported. OpenMP's threads wait for each other by spinning, and on a busy machine take the core
# from the one they wait for: so they spin for a moment only (`make bench-busy`). What a user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # GNU's
    os.environ.setdefault("KMP_BLOCKTIME", "1")  # LLVM's and Intel's; milliseconds
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # of Apple's GPUs; read when PyTorch is imported

__version__ = "0.1.0"


if not TYPE_CHECKING:  # else a type checker would take any name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'fromnoise' has no attribute '{name}'")
        if name == "process":
            return importlib.import_module("fromnoise.process")
        return getattr(importlib.import_module("fromnoise.api"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
