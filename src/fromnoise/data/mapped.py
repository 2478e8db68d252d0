"""Tensors too large for memory, in files that the system maps: it reads what is used, and drops it again."""

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

LARGE = 1 << 28
"""Bytes from which on a tensor lies in a file."""


def folder() -> Path:
    """Where such files lie: $FROMNOISE_CACHE, else fromnoise/images below $XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("FROMNOISE_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fromnoise" / "images"


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor on the CPU with any values: from `LARGE` bytes on in a file, which is gone when the tensor is.

    In memory where there is no room for such a file.
    """
    size = math.prod(shape) * dtype.itemsize
    if size >= LARGE:
        with suppress(OSError):
            folder().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder()) as file:
                file.truncate(size)
                if hasattr(os, "posix_fallocate"):  # a disk that is full only later would end the process
                    os.posix_fallocate(file.fileno(), 0, size)
                return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype).view(*shape)
    return torch.empty(tuple(shape), dtype=dtype)
