"""Tensors too large for memory, in files that the system maps: it reads what is used and may drop it again."""

import errno
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

LARGE = 1 << 28
"""A tensor of at least this many bytes lies in a file."""


def folder() -> Path:
    """Where such files lie: $FROMNOISE_CACHE, else fromnoise/images below $XDG_CACHE_HOME or ~/.cache."""
    if given := os.environ.get("FROMNOISE_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "fromnoise" / "images"


def home() -> Path:
    """The user's home; the system's temporary folder for a user who has none, as in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU: from `LARGE` bytes on in a file, which goes when the tensor does.

    It is in memory if there is no room for the file.
    """
    size = math.prod(shape) * dtype.itemsize
    if size >= LARGE:
        with suppress(OSError):
            folder().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder()) as file:
                if hasattr(os, "posix_fallocate"):  # if the disk filled up later, the process would be killed
                    os.posix_fallocate(file.fileno(), 0, size)
                elif shutil.disk_usage(folder()).free < size:
                    raise OSError(errno.ENOSPC, "no room")
                else:
                    file.truncate(size)
                return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype).view(*shape)
    return torch.empty(tuple(shape), dtype=dtype)
