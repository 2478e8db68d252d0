"""Many rows block by block, so that what is made of them never stands in memory for all of them at once."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

BLOCK = 4 << 20
"""Bytes of a block."""


def parts(x: Shaped[Tensor, "n ..."], rows: Int64[np.ndarray, " k"] | None = None) -> Iterator[Shaped[Tensor, "_ ..."]]:
    """The rows of `x` in order, or those at the positions `rows`, in blocks of `BLOCK` bytes (of one row at least)."""
    length = max(1, BLOCK // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))
    for part in x.split(length) if rows is None else torch.from_numpy(rows).split(length):
        yield part if rows is None else x[part]


def join(parts: Iterable[Shaped[Tensor, "_ ..."]], n: int) -> Shaped[Tensor, "n ..."]:
    """Blocks of n rows in all as one tensor on the CPU. They may come from a generator: one at a time is in memory.

    Raises ValueError for another number of rows.
    """
    whole, done = None, 0
    for part in parts:
        if whole is None:
            whole = torch.empty((n, *part.shape[1:]), dtype=part.dtype)
        whole[done : done + len(part)] = part
        done += len(part)
    if whole is None or done != n:
        raise ValueError(f"{done} rows where {n} were promised")
    return whole
