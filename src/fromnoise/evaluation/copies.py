"""The copy test: do generated images lie closer to the training images than fresh real images do?

A distance to the nearest training image says little alone: thin strokes are close to everything, and a weak model's
images are far from everything, its copies included. So each image is measured on a local scale, by its **relative
distance** d_1/d_5 (d_k is the distance to its k-th nearest training image), and the scale is calibrated: held-out
images, real ones that the model never saw, show how small relative distances get when nothing is copied.

d_1/d_5 rather than d_1/d_2, because what a model memorises first is what its training set holds several times, and
between two near-duplicates d_1/d_2 is no longer small. The plain ratio is reported beside it: the share of images
with d_1/d_2 < 1/3 (Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to memorize"; a local
scale of many neighbours is that of Carlini et al. 2023, "Extracting training data from diffusion models"). Holding
the distances against those of held-out images follows Meehan et al. 2020, "A non-parametric test to detect
data-copying in generative models".
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, Shaped, UInt8
from scipy import stats
from torch import Tensor

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError

RANK = 5
"""The neighbour that sets the local scale: a training image may have three near-duplicates and still be caught."""
THIRD = 1 / 3
"""d_1/d_2 below which Yoon et al. call an image memorised."""
TAIL = 0.01
"""Closer than 99 % of held-out images."""
MATERIAL = 3.0
"""Copying is called from three times the expected share on: with enough images a model whose images are a little
more typical than real ones would be significantly above what is expected, and yet copy nothing."""
LEVEL = 0.001
"""Chance of calling fresh real images copies, over all comparisons together: an accusation needs more than 5 %."""
FEWEST = 50
"""Images of each set below which nothing is judged."""
GALLERY = 16
"""Closest pairs that are listed."""

QUERIES, BANK, NUMBERS = 1024, 4096, 1 << 22  # the most in a block: images, images, float64 numbers
ROUNDING = 2.0**-24  # of float32

Vectors = Callable[[Tensor], Tensor]


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


@dataclass(frozen=True)
class Neighbours:
    """The `RANK` nearest training images of each image, nearest first."""

    distances: Float64[np.ndarray, "n k"]
    indices: Int64[np.ndarray, "n k"]

    @property
    def relative(self) -> Float64[np.ndarray, " n"]:
        """d_1/d_5, in [0, 1]; 0 for an image that is in the training set."""
        scale = self.distances[:, -1]
        return self.distances[:, 0] / np.where(scale > 0, scale, 1)

    @property
    def memorised(self) -> Bool[np.ndarray, " n"]:
        """d_1/d_2 < 1/3, or d_1 = 0."""
        first, second = self.distances[:, 0], self.distances[:, 1]
        return (first < THIRD * second) | (first == 0)


@dataclass(frozen=True)
class _Space:
    """Where distances are measured: the map from images to vectors, and the training images' vectors."""

    vectors: Vectors
    bank: Tensor

    @classmethod
    def of(cls, train: Tensor, vectors: Vectors) -> "_Space":
        return cls(vectors, vectors(train))

    def neighbours(self, images: Tensor) -> Neighbours:
        distances, indices = nearest(self.vectors(images), self.bank, RANK)
        return Neighbours(distances.numpy(), indices.numpy())

    def among_train(self) -> Neighbours:
        distances, indices = nearest(self.bank, self.bank, RANK, exclude_self=True)
        return Neighbours(distances.numpy(), indices.numpy())


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1)


def tail_p_value(closer: int, n: int, m: int, rank: int) -> float:
    """P(at least `closer` of n values lie below the `rank`-th smallest of m others), all of one distribution.

    Exact, with no regard to the distribution: the threshold is itself random, an order statistic of the held-out
    values, so the count is not binomial but negative hypergeometric (that is, beta-binomial with α = rank and
    β = m − rank + 1). At least `closer` lie below just when the first closer + rank − 1 values of both sets
    together hold fewer than `rank` of the m: a hypergeometric tail. Ties only make the p-value larger.
    """
    return float(stats.hypergeom.cdf(rank - 1, n + m, m, closer + rank - 1))


def _rank(m: int) -> int:
    """Below the rank-th smallest of m values is below at least 99 % of them; the rank of which 1 % is expected."""
    return max(1, math.floor(TAIL * (m + 1) + 1e-9))


def copy_test(
    generated: ImageSet, train: ImageSet, held_out: ImageSet | None, features: Vectors | None = None
) -> dict[str, Any]:
    """Whether generated images are copies of training images, as plain JSON values.

    `held_out` are real images that the model never saw; what is byte for byte in `train` is left out of them. Where
    both have labels, so many of each class are left out that the classes have the generated images' shares (for images
    of some classes lie closer to others of theirs than those of the rest); `by_class` says if that could be done: null
    without labels, false where fewer than `FEWEST` would be left, and then all are taken.
    Distances are between pixels (0 to 255) and, with `features` (a map from images to vectors), between features:
    pixels find noisy or blurred copies, features find moved ones. For each of the two:

    copying     whether these distances say so
    closer      share of the images whose relative distance is below that of 99 % of held-out images: `share`, what
                fresh images give (`expected`), the exact p-value `p` (`tail_p_value`), and `least`, the smallest
                share that would by itself be called copying (null: none would)
    memorised   share with d_1/d_2 < 1/3, of both sets, and Fisher's exact p-value that the generated have more
    effect      of the one-sided Mann–Whitney test that generated images are relatively closer: `superiority`, the
                chance that one of them is closer than a held-out image (0.5: alike); rank-biserial; p-value
    distance, relative     medians of d_1 and d_1/d_5
    identical   number of images at distance 0
    closest     the pairs of least relative distance: positions in `generated` and in `train`

    The verdict is "copying" where `closer` is significant and at least `MATERIAL` times what is expected, or where
    `memorised` is significant (few but plain copies); the Mann–Whitney test is reported and decides nothing, for
    all images being a little closer is not copying. Without enough held-out images, only plain numbers.
    Raises UserError for images of different shapes.
    """
    for images in (generated, held_out):
        if images is not None and images.shape != train.shape:
            raise UserError(f"{images.name} is of shape {images.shape}, {train.name} of {train.shape}")
    if held_out is not None:
        held_out = _unseen(held_out, train)
    by_class = None
    if held_out is not None and held_out.labels is not None and generated.labels is not None:
        alike = _alike(held_out, held_out.labels, generated.labels)
        held_out, by_class = alike or held_out, alike is not None
    sizes = {
        "generated": len(generated),
        "train": len(train),
        "held_out": 0 if held_out is None else len(held_out),
    }
    words = {"generated": "generated", "train": "training", "held_out": "held-out"}
    few = [f"{size} {words[role]} images" for role, size in sizes.items() if size < FEWEST]
    judged = held_out if not few else None
    maps: dict[str, Vectors] = {"pixels": _pixels} | ({} if features is None else {"features": features})
    level = LEVEL / (2 * len(maps))
    report: dict[str, Any] = {"verdict": "", "n": sizes, "by_class": by_class, "pixels": None, "features": None}
    if len(train) >= RANK:
        for name, vectors in maps.items():
            space = _Space.of(train.images, vectors)
            ours = space.neighbours(generated.images)
            theirs = None if judged is None else space.neighbours(judged.images)
            report[name] = _plain(ours, theirs) | ({} if theirs is None else _comparison(ours, theirs, level))
    if few:
        report["verdict"] = f"copying cannot be judged: {', '.join(few)} where {FEWEST} are needed"
    else:
        report["verdict"] = _verdict([report[name] for name in maps])
    return report


def _unseen(held_out: ImageSet, train: ImageSet) -> ImageSet | None:
    try:
        return held_out.without(train)
    except UserError:  # none is left
        return None


def _alike(held_out: ImageSet, theirs: Tensor, ours: Tensor) -> ImageSet | None:
    """As many of the held-out images as there can be with the shares of the classes `ours`; None for too few."""
    most = int(max(ours.max(), theirs.max())) + 1
    shares = ours.cpu().bincount(minlength=most).double() / len(ours)
    there = theirs.cpu().bincount(minlength=most)
    m = float((there[shares > 0] / shares[shares > 0]).min())
    counts = (shares * m + 1e-9).floor().long()
    if counts.sum() < FEWEST:
        return None
    order = rng.generator(0, "copies", len(held_out)).permutation(len(held_out))
    labels = theirs.cpu().numpy()[order]
    rows = [order[labels == label][:count] for label, count in enumerate(counts.tolist())]
    return held_out.take(np.sort(np.concatenate(rows)))


def _plain(ours: Neighbours, theirs: Neighbours | None) -> dict[str, Any]:
    def both(number: Callable[[Neighbours], float]) -> dict[str, float | None]:
        return {"generated": number(ours), "held_out": None if theirs is None else number(theirs)}

    relative = ours.relative
    return {
        "identical": int((ours.distances[:, 0] == 0).sum()),
        "memorised": both(lambda of: float(of.memorised.mean())),
        "distance": both(lambda of: float(np.median(of.distances[:, 0]))),
        "relative": both(lambda of: float(np.median(of.relative))),
        "closest": [
            {"generated": int(k), "train": int(ours.indices[k, 0]), "relative": float(relative[k])}
            for k in np.argsort(relative, kind="stable")[:GALLERY]
        ],
    }


def _comparison(ours: Neighbours, theirs: Neighbours, level: float) -> dict[str, Any]:
    n, m = len(ours.distances), len(theirs.distances)
    rank = _rank(m)
    threshold, expected = float(np.sort(theirs.relative)[rank - 1]), rank / (m + 1)

    def copying(closer: int) -> bool:
        return closer >= MATERIAL * expected * n and tail_p_value(closer, n, m, rank) < level

    closer = int((ours.relative < threshold).sum())
    least = bisect_left(range(n + 1), True, key=copying)
    plain = [int(of.memorised.sum()) for of in (ours, theirs)]
    fisher = float(stats.fisher_exact([plain, [n - plain[0], m - plain[1]]], alternative="greater").pvalue)
    test = stats.mannwhitneyu(ours.relative, theirs.relative, alternative="less")
    superiority = 1 - float(test.statistic) / (n * m)
    return {
        "copying": copying(closer) or fisher < level,
        "closer": {
            "share": closer / n,
            "expected": expected,
            "p": tail_p_value(closer, n, m, rank),
            "least": least / n if least <= n else None,
            "threshold": threshold,
        },
        "memorised": {"generated": plain[0] / n, "held_out": plain[1] / m, "p": fisher},
        "effect": {"superiority": superiority, "rank_biserial": 2 * superiority - 1, "p": float(test.pvalue)},
    }


def _verdict(spaces: list[dict[str, Any]]) -> str:
    """The strongest of what speaks for copying, and plain copies whatever the tests say."""
    accusing = [space for space in spaces if space["copying"]]
    shares = [of["closer"]["share"] for of in accusing if of["closer"]["share"] >= (of["closer"]["least"] or 1.0)]
    identical = max(space["identical"] for space in spaces)
    plain = f"{identical:,} {'is a training image' if identical == 1 else 'are training images'} to the byte"
    if not accusing:
        return f"no sign of copying, but {plain}" if identical else "no sign of copying"
    if shares:
        found = f"{_percent(max(shares))} of the images lie closer to the training set than 99 % of held-out images do"
    else:
        most = max(accusing, key=lambda of: of["memorised"]["generated"])["memorised"]
        ours, theirs = _percent(most["generated"]), _percent(most["held_out"])
        found = f"{ours} of the images have one training image three times closer than any other; of held-out {theirs}"
    return f"copying: {found}; {plain}" if identical else f"copying: {found}"


def _percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


@dataclass(frozen=True)
class CopyGuard:
    """Tells copies of training images one by one, so that they can be drawn again; made once with `of`."""

    shape: tuple[int, int, int]
    spaces: tuple[_Space, ...]
    thresholds: tuple[float, ...]

    @classmethod
    def of(cls, train: ImageSet, held_out: ImageSet | None = None, features: Vectors | None = None) -> "CopyGuard":
        """The guard of a training set; of fresh real images it takes 1 % for copies (of each kind of distance).

        Its thresholds come from held-out images, or, without at least `FEWEST`, from the training images among
        themselves, each measured against all others: nearly the same, unless many of them are near-duplicates,
        which lowers the threshold. Raises UserError for fewer than `FEWEST` training images, or all alike.
        """
        if len(train) < FEWEST:
            raise UserError(f"{train.name}: {len(train)} images are too few to tell copies; {FEWEST} are needed")
        held_out = None if held_out is None else _unseen(held_out, train)
        maps = [_pixels] if features is None else [_pixels, features]
        spaces = tuple(_Space.of(train.images, vectors) for vectors in maps)
        thresholds = []
        for space in spaces:
            enough = held_out is not None and len(held_out) >= FEWEST
            others = space.neighbours(held_out.images) if enough and held_out is not None else space.among_train()
            relative = np.sort(others.relative[others.relative > 0])  # identical images say nothing of the scale
            if not len(relative):
                raise UserError(f"{train.name}: its images are all alike; copies cannot be told")
            thresholds.append(float(relative[_rank(len(relative)) - 1]))
        return cls(train.shape, spaces, tuple(thresholds))

    def is_copy(self, images: UInt8[Tensor, "n c h w"]) -> Bool[Tensor, " n"]:
        """Which images are copies, in pixels or in features; raises ValueError for another shape of image."""
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"images of {tuple(images.shape[1:])} do not fit training images of {self.shape}")
        copies = np.zeros(len(images), dtype=bool)
        for space, threshold in zip(self.spaces, self.thresholds, strict=True):
            copies |= space.neighbours(images).relative < threshold
        return torch.from_numpy(copies)
