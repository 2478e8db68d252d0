"""Exact nearest neighbours, in constant memory."""

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

QUERIES, BANK, NUMBERS = 1024, 4096, 1 << 22  # the most in a block: rows, rows, float64 numbers
ROUNDING = 2.0**-24  # of float32


def nearest(
    queries: Shaped[Tensor, "n ..."], bank: Shaped[Tensor, "m ..."], k: int = 2, exclude_self: bool = False
) -> tuple[Float64[Tensor, "n k"], Int64[Tensor, "n k"]]:
    """The k nearest of `bank` to each query: Euclidean distances, ascending, and positions (of ties the first).

    Exact, in constant memory: products in float32 rule out what is farther than the k nearest by more than their
    rounding error, the rest is computed in float64 (exactly, for uint8; equal images are at distance 0).
    `exclude_self`: queries and bank are one set, and an image is not its own neighbour.
    Raises ValueError for shapes that do not fit, fewer than k neighbours, or values that are not finite.
    """
    queries, bank = (x.detach().cpu().flatten(1) for x in (queries, bank))
    n, d = queries.shape
    if bank.shape[1] != d or (exclude_self and len(bank) != n):
        raise ValueError(f"{n}×{d} queries do not fit a bank of {len(bank)}×{bank.shape[1]}")
    if not 1 <= k <= len(bank) - exclude_self:
        raise ValueError(f"no {k} nearest{' others' if exclude_self else ''} in a bank of {len(bank)}")
    most = max(1, NUMBERS // d)
    at_once, block = min(QUERIES, most), min(BANK, most)
    shift = bank[:at_once].double().mean(dim=0)  # any shift is right; this one keeps the products small
    squares, indices = np.full((n, k), np.inf), np.zeros((n, k), dtype=np.int64)
    for first in range(0, n, at_once):
        part = slice(first, first + at_once)
        for start in range(0, len(bank), block):
            near = bank[start : start + block]
            row, column, found = _candidates(
                queries[part], near, shift, squares[part], first - start if exclude_self else None
            )
            _merge(squares[part], indices[part], row, column + start, found)
    return torch.from_numpy(np.sqrt(squares)), torch.from_numpy(indices)


def _candidates(
    queries: Tensor, bank: Tensor, shift: Tensor, known: np.ndarray, diagonal: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs (query, bank) that may be among the k nearest, with their squared distances.

    `known` holds the k smallest squared distances so far; query i is image i + `diagonal` of the bank, if given.
    """
    d, k = queries.shape[1], known.shape[1]
    q, b = (queries.double() - shift).float(), (bank.double() - shift).float()
    q_squares, b_squares = (x.double().square().sum(dim=1) for x in (q, b))
    if not bool(q_squares.float().isfinite().all() and b_squares.float().isfinite().all()):
        raise ValueError("some values are not finite")
    squares = torch.addmm((q_squares[:, None] + b_squares).float(), q, b.T, alpha=-2)
    if diagonal is not None:
        rows = torch.arange(len(q))
        rows = rows[(rows + diagonal >= 0) & (rows + diagonal < len(b))]
        squares[rows, rows + diagonal] = torch.inf
    # No sum of d products, in whatever order, is off by more than d·u·‖q‖‖b‖ (Higham 2002, 3.1), to first order.
    error = (d + 8) * ROUNDING * (q_squares.sqrt() + b_squares.max().sqrt()) ** 2
    limit = torch.from_numpy(known[:, -1].copy())
    if len(b) >= k:
        limit = torch.minimum(limit, squares.kthvalue(k, dim=1).values.double() + error)
    near = (squares <= (limit + error)[:, None]) & squares.isfinite()
    row, column = near.nonzero(as_tuple=True)
    chunk = max(1, NUMBERS // d)
    found = [
        (queries[row[at : at + chunk]].double() - bank[column[at : at + chunk]].double()).square().sum(dim=1)
        for at in range(0, len(row), chunk)
    ]
    return row.numpy(), column.numpy(), torch.cat(found).numpy() if found else np.empty(0)


def _merge(squares: np.ndarray, indices: np.ndarray, row: np.ndarray, column: np.ndarray, found: np.ndarray) -> None:
    """Put pairs found in a further block among the k nearest so far, in place."""
    known = np.isfinite(squares)
    row = np.concatenate([np.nonzero(known)[0], row])
    column, found = np.concatenate([indices[known], column]), np.concatenate([squares[known], found])
    order = np.lexsort((column, found, row))
    row, column, found = row[order], column[order], found[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    keep = place < squares.shape[1]
    squares[row[keep], place[keep]], indices[row[keep], place[keep]] = found[keep], column[keep]
