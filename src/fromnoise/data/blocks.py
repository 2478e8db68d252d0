"""Many rows, block by block, so that what is computed from them never takes memory for all at once."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from fromnoise.data import mapped

BLOCK = 4 << 20
"""Bytes of a block."""


def parts(x: Shaped[Tensor, "n ..."], rows: Int64[np.ndarray, " k"] | None = None) -> Iterator[Shaped[Tensor, "_ ..."]]:
    """The rows of `x` in order, or those at the positions `rows`, in blocks of `BLOCK` bytes (of one row at least)."""
    length = max(1, BLOCK // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))
    for part in x.split(length) if rows is None else torch.from_numpy(rows).split(length):
        yield part if rows is None else x[part]


def join(parts: Iterable[Shaped[Tensor, "_ ..."]], n: int) -> Shaped[Tensor, "n ..."]:
    """Blocks of n rows in all as one tensor on the CPU, from `mapped.empty`.

    They may come from a generator: then only one at a time is in memory. Raises ValueError for another number of rows.
    """
    whole, done = None, 0
    for part in parts:
        if whole is None:
            whole = mapped.empty((n, *part.shape[1:]), part.dtype)
        whole[done : done + len(part)] = part
        done += len(part)
    if whole is None or done != n:
        raise ValueError(f"{done} rows where {n} were promised")
    return whole


def take(x: Shaped[Tensor, "n ..."], rows: Int64[np.ndarray, " k"]) -> Shaped[Tensor, "k ..."]:
    """The rows of `x`, on the CPU, at the positions `rows`, in that order; large ones in `mapped.empty`."""
    large = len(rows) * math.prod(x.shape[1:]) * x.dtype.itemsize >= mapped.LARGE
    return join(parts(x, rows), len(rows)) if large else x[rows]


def cat(tensors: Sequence[Shaped[Tensor, "_ ..."]]) -> Shaped[Tensor, "n ..."]:
    """The rows of all, one after another, in `mapped.empty`."""
    return join((part for x in tensors for part in parts(x)), sum(map(len, tensors)))
