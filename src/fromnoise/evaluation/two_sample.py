"""The classifier two-sample test: can a network tell generated images from real ones that it has not seen?

Lopez-Paz & Oquab 2017, on pixels: a network may see what no features hold. A small convolutional network learns from
one half of the images and judges the other. Whatever it has learnt, its AUC on that half has a known distribution if
the two sets are alike.

Where the training images are known, the network also learns from them what is real, but judges none of them. There are
often ten times as many of them as of reference images, and with so many it finds blobs that it would miss without.

A few strange images hardly move the AUC. So those that the network finds more suspicious than nearly all real ones are
counted as well.

Near-duplicates go to the same half, so that no picture is known by heart, and in the AUC's error they count as one.
Noise is added to all images, so that the network cannot go by what nobody sees: samplers leave a background of 1 or 2
where real images have 0, and that alone gives nearly every generated image away.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64, Shaped, UInt8
from scipy.stats import norm, rankdata
from torch import Tensor, nn

from fromnoise import rng
from fromnoise.data.colour import luminance
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.evaluation.design import deal
from fromnoise.evaluation.report import ToldApart
from fromnoise.evaluation.tail import rank_of, tail_p_value
from fromnoise.hardware import channels_last
from fromnoise.say import counted

FEWEST, MOST, TAUGHT = 50, 3000, 6000
"""Images of each set; training images that are learnt from, at most."""
BATCH, PASSES, STEPS = 32, 40, 1500
"""Images in a batch; passes over what it learns from, and batches at most."""
RATE, DECAY, DROPOUT = 6e-3, 0.05, 0.2
GRAIN = 16
"""Standard deviation of the noise that is added to images, in grey levels: it hides rounding."""
LOOKS = 4
"""How often an image is judged, each time under other noise."""
SHIFT = 2
"""Pixels by which a batch is shifted at most."""
SIDE = 32
"""Pixels of the largest images whose every pixel the first convolution visits: others it reduces to that size."""
WIDTHS = 16, 32, 32
SUREST = 32
LEVEL = 0.001
"""Chance of telling two equal sets apart by the AUC."""
STRANGE_LEVEL, TAIL = 0.0005, 0.003
"""The same by strange images; and the share of real images above whose scores an image is strange."""
POWER = 0.9
"""Chance of telling sets apart at the AUC that is reported as detectable."""


class Judge(nn.Module):
    """Images in [−1, 1], n×c×h×w, to n logits of being generated: what is seen anywhere, on average and at most.

    With `classes` it has as many logits of each image, n×classes.
    """

    def __init__(self, channels: int, side: int, classes: int = 1) -> None:
        super().__init__()
        stride = -(-side // SIDE)
        layers: list[nn.Module] = []
        for k, width in enumerate(WIDTHS):
            kernel, step = (3, 1) if k else (stride + 2, stride)
            if k:  # the ReLU after the maximum: the same, of a quarter of the numbers
                layers += [nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(channels, width, kernel, step, padding=1, bias=False), nn.BatchNorm2d(width)]
            channels = width
        self.body = nn.Sequential(*layers, nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(2 * channels, classes))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "..."]:
        """The logits."""
        seen = self.body(x).flatten(2)
        return self.head(torch.cat([seen.mean(dim=2), seen.amax(dim=2)], dim=1)).squeeze(1)


class Auc(NamedTuple):
    """The area under the ROC curve of scores.

    value   the chance that a generated image's score is above a real one's; ties count half
    error   its standard error
    null    the same if the sets are alike: no less than the Mann-Whitney test's
    beaten  of each image the share of the other set's scores that are below (generated) or above (real) its own
    """

    value: float
    error: float
    null: float
    beaten: Float64[np.ndarray, " n"]


def told_apart(generated: ImageSet, reference: ImageSet, seed: int = 0, train: ImageSet | None = None) -> ToldApart:
    """How well a network tells generated images from real ones, of `MOST` of each set at most.

    `train`: further real images to learn from, without near-duplicates of those drawn from the other two.

    Grey beside colour is compared in grey. Whatever differs counts: where one set was saved as JPEG and the other was
    not, the network will see that. One thread computes, so that the numbers do not depend on how many there are.
    Raises ValueError for images of different sizes, fewer than `FEWEST` in a set, or too few different ones.
    """
    if generated.shape[1:] != reference.shape[1:] or min(len(generated), len(reference)) < FEWEST:
        about = " and ".join(f"{len(each)} of {'×'.join(map(str, each.shape))}" for each in (generated, reference))
        raise ValueError(f"a network needs images of one size, at least {FEWEST} in each set, not {about}")
    sets, most = [generated, reference], [MOST, MOST]
    if train is not None and train.shape[1:] == generated.shape[1:]:
        sets, most = [*sets, train], [*most, TAUGHT]
    rows = [replace(each, labels=None).subset_rows(min(k, len(each)), seed) for each, k in zip(sets, most, strict=True)]
    taken = [each.images[chosen].cpu() for each, chosen in zip(sets, rows, strict=True)]
    images = torch.cat(taken if len({each.shape for each in sets}) == 1 else [*map(luminance, taken)])
    n = len(rows[0]) + len(rows[1])
    real, group = np.arange(len(images)) >= len(rows[0]), groups(images).numpy()
    more = n + np.flatnonzero(~np.isin(group[n:], group[:n]))
    different = [len(np.unique(group[:n][which[:n]])) for which in (~real, real)]
    if min(different) < FEWEST:
        counts = " and ".join(f"{number} of {len(each)}" for number, each in zip(different, rows, strict=False))
        raise ValueError(
            f"a network needs {FEWEST} different images in each set; here there are {counts} "
            "(near-duplicates count as one)"
        )
    known, part = _halves(real[:n], group[:n], seed)
    sides = [known[~real[known]], np.concatenate([known[real[known]], more])]
    steps, wanted = max(min(PASSES * sum(map(len, sides)) // BATCH, STEPS), 1), torch.from_numpy(~real).float()
    with reproducible(rng.integer(seed, "judge")):
        judge = channels_last(Judge(images.shape[1], max(images.shape[2:])))
        batches = learning(judge, images, wanted, sides, steps, rng.generator(seed, "batches"))
        for _ in counted(batches, "telling apart", steps):
            pass
        scores = judged(judge, images[part])
    ours, found = ~real[part], auc(scores, real[part], group[part])
    p = float(norm.sf((found.value - 0.5) / found.null))
    detectable = min(0.5 + found.null * float(norm.isf(LEVEL) + norm.isf(1 - POWER)), 1.0)
    surest = part[ours][np.lexsort((scores[ours], found.beaten[ours]))[::-1][:SUREST]]
    odd = strange(scores, real[part], group[part])
    by_auc, by_odd = p < LEVEL, odd.p < STRANGE_LEVEL
    told = by_auc or by_odd
    return ToldApart(
        f"{'told apart' if told else 'not told apart'}: shown a generated and a real image, a network picks the "
        f"generated one in {100 * found.value:.1f} % of cases (50 % is guessing"
        f"{'' if told else f'; {100 * detectable:.0f} % would have been found'})"
        f"{f'; {odd}' if by_odd and not by_auc else ''}",
        told,
        found.value,
        found.error,
        float(np.mean([(scores[ours] > 0).mean(), (scores[~ours] <= 0).mean()])),
        p,
        odd.share,
        odd.expected,
        odd.p,
        detectable,
        int(ours.sum()),
        int((~ours).sum()),
        tuple(rows[0][surest].tolist()),
    )


def _halves(real: Bool[np.ndarray, " n"], group: Int64[np.ndarray, " n"], seed: int) -> list[Int64[np.ndarray, " _"]]:
    """The positions in each half: groups are dealt whole, and those that hold no real image apart from the others."""
    holds_real = (np.bincount(group, real) > 0).astype(np.int64)
    dealt = deal(len(holds_real), 2, seed, "parts", labels=holds_real)
    halves = [np.flatnonzero(np.isin(group, some)) for some in dealt]
    if not all(0 < real[half].sum() < len(half) for half in halves):
        raise ValueError("a network needs more images in each set that are not near-duplicates of the other's")
    return halves


def learning(
    judge: Judge,
    images: UInt8[Tensor, "n c h w"],
    wanted: Shaped[Tensor, " n"],
    sets: Sequence[Int64[np.ndarray, " _"]],
    steps: int,
    random: np.random.Generator,
    loss: Callable[[Tensor, Tensor], Tensor] = F.binary_cross_entropy_with_logits,
) -> Iterator[None]:
    """So many steps of training, each on a batch with as many images from each of `sets` of rows; yields after each.

    `loss` is of the judge's logits and what is `wanted` of these images.
    """
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    orders = [_endless(rows, random) for rows in sets]
    judge.train()
    for _ in range(steps):
        rows = [next(order) for order in orders for _ in range(BATCH // len(sets))]
        x = _in_channels_last(_shifted(_grainy(images[rows]), random))
        optimizer.zero_grad()
        loss(judge(x), wanted[rows]).backward()
        optimizer.step()
        schedule.step()
        yield


def _shifted(images: Float[Tensor, "n c h w"], random: np.random.Generator) -> Float[Tensor, "n c h w"]:
    height, width = images.shape[2:]
    down, right = random.integers(2 * SHIFT + 1, size=2)
    return F.pad(images, (SHIFT,) * 4, mode="replicate")[..., down : down + height, right : right + width]


def _endless(rows: Int64[np.ndarray, " n"], random: np.random.Generator) -> Iterator[int]:
    """The rows in a random order, again and again in another."""
    while True:
        yield from random.permutation(rows)


@torch.inference_mode()
def judged(judge: Judge, images: UInt8[Tensor, "n c h w"]) -> Float64[np.ndarray, "..."]:
    """The logits of each image."""
    judge.eval()
    looks = ([judge(_in_channels_last(_grainy(part))) for _ in range(LOOKS)] for part in images.split(256))
    return torch.cat([torch.stack(logits).mean(dim=0) for logits in looks]).double().numpy()


def auc(scores: Float64[np.ndarray, " n"], real: Bool[np.ndarray, " n"], group: Int64[np.ndarray, " n"]) -> Auc:
    """The AUC, with DeLong's error (1988) of groups: what their images add to the AUC is summed (Obuchowski 1997)."""
    ours, theirs = scores[~real], scores[real]
    m, n = len(ours), len(theirs)
    ranks, beaten = rankdata(scores), np.empty(len(scores))
    beaten[~real] = (ranks[~real] - rankdata(ours)) / n
    beaten[real] = 1 - (ranks[real] - rankdata(theirs)) / m
    value = float(beaten[~real].mean())
    by_group = np.bincount(group, (beaten - value) / np.where(real, n, m))
    count = len(np.unique(group))
    error = float(np.sqrt(np.square(by_group).sum() * count / (count - 1)))
    return Auc(value, error, max(error, ((m + n + 1) / (12 * m * n)) ** 0.5), beaten)


class Strange(NamedTuple):
    """The share of generated images with scores above nearly all real ones', that expected, and its p-value."""

    share: float
    expected: float
    p: float

    def __str__(self) -> str:
        nearly_all = f"{100 * (1 - self.expected):.1f} % of real ones do"
        return f"{100 * self.share:.1f} % of the generated images look less real to it than {nearly_all}"


def strange(scores: Float64[np.ndarray, " n"], real: Bool[np.ndarray, " n"], group: Int64[np.ndarray, " n"]) -> Strange:
    """How many generated images are strange, by `TAIL`. Of each set, one image stands for its group."""
    ours, theirs = (scores[which][np.unique(group[which], return_index=True)[1]] for which in (~real, real))
    rank = rank_of(len(theirs), TAIL)
    above = int((ours > np.sort(theirs)[-rank]).sum())
    p = tail_p_value(above, len(ours), len(theirs), rank)
    return Strange(above / len(ours), rank / (len(theirs) + 1), p)


def _grainy(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    x = normalise(images)
    return x + GRAIN / 127.5 * torch.randn_like(x)


def _in_channels_last(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    return x.contiguous(memory_format=torch.channels_last)


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Within it one thread computes, and PyTorch's own random numbers are of `seed`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
