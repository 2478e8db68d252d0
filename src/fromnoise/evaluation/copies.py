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

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from msgspec.structs import replace
from scipy import stats
from torch import Tensor

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import less
from fromnoise.errors import UserError
from fromnoise.evaluation.nearest import nearest
from fromnoise.evaluation.report import Both, Closer, Copies, CopySizes, Effect, Pair, Space

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

Vectors = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Neighbours:
    """The `RANK` nearest training images of each image, nearest first."""

    distances: Float64[np.ndarray, "n k"]
    indices: Int64[np.ndarray, "n k"]

    @classmethod
    def of(cls, images: Tensor, train: Tensor, exclude_self: bool = False) -> "Neighbours":
        """Those of images, or vectors; `exclude_self`: of the training images among themselves."""
        distances, indices = nearest(images, train, RANK, exclude_self)
        return cls(distances.numpy(), indices.numpy())

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
) -> Copies:
    """Whether generated images are copies of training images.

    `held_out` are real images that the model never saw; what is byte for byte in `train` is left out of them. Where
    both have labels, so many of each class are left out that the classes have the generated images' shares: images
    of some classes lie closer to others of theirs than those of the rest.
    Distances are between pixels (0 to 255) and, with `features` (a map from images to vectors), between features:
    pixels find noisy or blurred copies, features find moved ones.

    The verdict is "copying" where `closer` is significant and at least `MATERIAL` times what is expected, or where
    `memorised` is significant (few but plain copies). The Mann–Whitney test decides nothing, for all images being a
    little closer is not copying. Without enough held-out images, there are only plain numbers.
    Raises UserError for images of different shapes.
    """
    for images in (generated, held_out):
        if images is not None and images.shape != train.shape:
            raise UserError(f"{images.name} is of shape {images.shape}, {train.name} of {train.shape}")
    held_out, by_class = less(held_out, train), None
    if held_out is not None and held_out.labels is not None and generated.labels is not None:
        alike = _alike(held_out, held_out.labels, generated.labels)
        held_out, by_class = alike or held_out, alike is not None
    sizes = CopySizes(len(generated), len(train), 0 if held_out is None else len(held_out))
    roles = {"generated": sizes.generated, "training": sizes.train, "held-out": sizes.held_out}
    few = [f"{size} {role} images" for role, size in roles.items() if size < FEWEST]
    judged = held_out if not few else None
    maps: list[Vectors] = [lambda images: images, *([] if features is None else [features])]
    spaces: list[Space | None] = [None, None]
    if len(train) >= RANK:
        for k, vectors in enumerate(maps):
            bank = vectors(train.images)
            ours = Neighbours.of(vectors(generated.images), bank)
            theirs = None if judged is None else Neighbours.of(vectors(judged.images), bank)
            spaces[k] = _space(ours, theirs, LEVEL / (2 * len(maps)))
    if few:
        verdict = f"copying cannot be judged: {', '.join(few)}; at least {FEWEST} are needed"
    else:
        verdict = _verdict([space for space in spaces if space is not None])
    return Copies(verdict, sizes, by_class, *spaces)


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


def _space(ours: Neighbours, theirs: Neighbours | None, level: float) -> Space:
    """The test by one kind of distance; without held-out images (`theirs`) plain numbers."""

    def both(number: Callable[[Neighbours], float]) -> Both:
        return Both(number(ours), None if theirs is None else number(theirs))

    relative = ours.relative
    pairs = [
        Pair(int(k), int(ours.indices[k, 0]), float(relative[k])) for k in np.argsort(relative, kind="stable")[:GALLERY]
    ]
    plain = Space(
        memorised=both(lambda of: float(of.memorised.mean())),
        distance=both(lambda of: float(np.median(of.distances[:, 0]))),
        relative=both(lambda of: float(np.median(of.relative))),
        identical=int((ours.distances[:, 0] == 0).sum()),
        closest=tuple(pairs),
    )
    return plain if theirs is None else _compared(plain, ours, theirs, level)


def _compared(plain: Space, ours: Neighbours, theirs: Neighbours, level: float) -> Space:
    n, m = len(ours.distances), len(theirs.distances)
    rank = _rank(m)
    threshold, expected = float(np.sort(theirs.relative)[rank - 1]), rank / (m + 1)

    def copying(closer: int) -> bool:
        return closer >= MATERIAL * expected * n and tail_p_value(closer, n, m, rank) < level

    closer = int((ours.relative < threshold).sum())
    least = bisect_left(range(n + 1), True, key=copying)
    memorised = [int(of.memorised.sum()) for of in (ours, theirs)]
    fisher = stats.fisher_exact([memorised, [n - memorised[0], m - memorised[1]]], alternative="greater").pvalue
    test = stats.mannwhitneyu(ours.relative, theirs.relative, alternative="less")
    superiority = 1 - float(test.statistic) / (n * m)
    return replace(
        plain,
        copying=bool(copying(closer) or fisher < level),
        closer=Closer(
            closer / n, expected, tail_p_value(closer, n, m, rank), least / n if least <= n else None, threshold
        ),
        memorised=Both(memorised[0] / n, memorised[1] / m, float(fisher)),
        effect=Effect(superiority, 2 * superiority - 1, None if math.isnan(test.pvalue) else float(test.pvalue)),
    )


def _verdict(spaces: list[Space]) -> str:
    """The strongest of what speaks for copying, and plain copies whatever the tests say."""
    accusing = [space for space in spaces if space.copying]
    closer = [space.closer for space in accusing if space.closer is not None]
    shares = [each.share for each in closer if each.share >= (each.least or 1.0)]
    identical = max(space.identical for space in spaces)
    plain = f"{identical:,} {'is a training image' if identical == 1 else 'are training images'} to the byte"
    if not accusing:
        return f"no sign of copying, but {plain}" if identical else "no sign of copying"
    if shares:
        found = f"{_percent(max(shares))} of the images lie closer to the training set than 99 % of held-out images do"
    else:
        most = max((space.memorised for space in accusing), key=lambda of: of.generated)
        ours, theirs = _percent(most.generated), _percent(most.held_out or 0.0)
        found = (
            f"{ours} of images ({theirs} of held-out ones) are three times closer to one training image than to others"
        )
    return f"copying: {found}; {plain}" if identical else f"copying: {found}"


def _percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


@dataclass(frozen=True)
class CopyGuard:
    """Tells copies of training images one by one, by pixels, so that they can be sampled again; made with `of`."""

    train: ImageSet
    threshold: float

    @classmethod
    def of(cls, train: ImageSet, held_out: ImageSet | None = None) -> "CopyGuard":
        """The guard of a training set; of fresh real images it takes 1 % for copies.

        Its threshold comes from held-out images, or, without at least `FEWEST`, from the training images among
        themselves, each measured against all others: nearly the same, unless many of them are near-duplicates,
        which lowers the threshold. Raises UserError for fewer than `FEWEST` training images, or all alike.
        """
        if len(train) < FEWEST:
            raise UserError(f"{train.name}: {len(train)} images are too few to detect copies; it takes {FEWEST}")
        held_out = less(held_out, train)
        if held_out is not None and len(held_out) >= FEWEST:
            others = Neighbours.of(held_out.images, train.images)
        else:
            others = Neighbours.of(train.images, train.images, exclude_self=True)
        relative = np.sort(others.relative[others.relative > 0])  # identical images say nothing of the scale
        if not len(relative):
            raise UserError(f"{train.name}: its images are all the same; copies cannot be detected")
        return cls(train, float(relative[_rank(len(relative)) - 1]))

    def is_copy(self, images: UInt8[Tensor, "n c h w"]) -> Bool[Tensor, " n"]:
        """Which images are copies; raises ValueError for another shape of image."""
        if tuple(images.shape[1:]) != self.train.shape:
            raise ValueError(f"images of {tuple(images.shape[1:])} do not fit training images of {self.train.shape}")
        return torch.from_numpy(Neighbours.of(images, self.train.images).relative < self.threshold)
