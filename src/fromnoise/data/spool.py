"""Tensors that may be larger than memory: small ones in memory, large ones in temporary files.

The system maps such a file into memory. What is read and written stays in its cache while there is room, and goes
to the disk when somebody else needs the room. The file has no name: it is gone with the last tensor on it, or with
the process, however that ends. All that passes over many images does so block by block, by `parts` and `join`.
"""

import errno
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from weakref import WeakSet

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from fromnoise.errors import UserError

BLOCK = 4 << 20
"""Bytes of a block, and the most that a tensor may have to be held in memory."""

_maps: WeakSet[mmap.mmap] = WeakSet()


def folder() -> Path:
    """Where the files lie: $TMPDIR, else ~/.cache/fromnoise; /tmp is memory on many systems."""
    try:
        return Path(os.environ.get("TMPDIR") or Path.home() / ".cache" / "fromnoise")
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir())


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Shaped[Tensor, "..."]:
    """A tensor on the CPU with whatever values; raises UserError when there is no room for its file."""
    size = math.prod(shape) * dtype.itemsize
    if size <= BLOCK:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(_map(size), dtype=dtype).view(shape)


def parts(x: Shaped[Tensor, "n ..."], rows: Int64[np.ndarray, " k"] | None = None) -> Iterator[Shaped[Tensor, "_ ..."]]:
    """The rows of `x` in order, or those at the positions `rows`, in blocks of `BLOCK` bytes (of one row at least)."""
    length = max(1, BLOCK // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))
    for part in x.split(length) if rows is None else torch.from_numpy(rows).split(length):
        yield part if rows is None else x[part]
        release()


def join(parts: Iterable[Shaped[Tensor, "_ ..."]], n: int) -> Shaped[Tensor, "n ..."]:
    """Blocks of n rows in all as one tensor on the CPU. They may come from a generator: one at a time is in memory.

    Raises ValueError for another number of rows, UserError when there is no room for the tensor.
    """
    whole, done = None, 0
    for part in parts:
        if whole is None:
            whole = empty((n, *part.shape[1:]), part.dtype)
        whole[done : done + len(part)] = part
        done += len(part)
        release()
    if whole is None or done != n:
        raise ValueError(f"{done} rows where {n} were promised")
    return whole


def take(x: Shaped[Tensor, "n ..."], rows: Int64[np.ndarray, " k"]) -> Shaped[Tensor, "k ..."]:
    """`x[rows]`, on the CPU."""
    return join(parts(x, rows), len(rows))


def release() -> None:
    """Take the pages of all files out of this process's memory; they stay in the system's cache, and can be read again.

    It changes no value. Without it the process would seem to grow with all that it ever looked at.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in list(_maps):
            mapped.madvise(mmap.MADV_DONTNEED)


def _map(size: int) -> mmap.mmap:
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            _reserve(file.fileno(), size, place)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise UserError(
            f"no temporary file of {size / 1e6:,.0f} MB can be made in {place} ({error.strerror}): make room there, or "
            "name another folder with TMPDIR"
        ) from error
    _maps.add(mapped)
    return mapped


def _reserve(file: int, size: int, place: Path) -> None:
    # A page that the disk had no room for would end the process, without a word, when it is written to.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif shutil.disk_usage(place).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    else:
        os.truncate(file, size)
