"""The classifier two-sample test: can a network tell generated images from real ones that it has not seen?

Lopez-Paz & Oquab 2017, on pixels: a network may see what no features hold. The images are dealt into halves, and two
small convolutional networks each learn from one half and judge the other. Whatever a network has learnt, its AUC on a
half that it has not seen has a known distribution if the two sets are alike.

The networks see the same images, once to learn from and once to judge, so what they find depends on each other. The
smaller p-value of the two is therefore doubled, which is right whatever the dependence.

Fewer reference images than `MOST` are joined by the floor's, if they were dealt from the same images: the more real
ones, the more exact the AUC. Where the training images are known, the networks also learn from them what is real, and
judge only those that are also in the floor.

A few strange images hardly move the AUC. So those that a network finds more suspicious than nearly all real ones are
counted as well.

Near-duplicates go to the same half, so that no picture is known by heart, and in the AUC's error they count as one. So
do images of one group, where groups are known.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm, rankdata, t
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.data.colour import luminance
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resize
from fromnoise.evaluation.design import deal, most_apart
from fromnoise.evaluation.judge import BATCH, Judge, in_parallel, judged, learning, one_thread, pretrained
from fromnoise.evaluation.report import FEWEST, POWER, SIGNIFICANCE, ToldApart
from fromnoise.evaluation.tail import rank_of, tail_p_value
from fromnoise.say import counted

MOST, TAUGHT = 3000, 6000
"""Most images of each set; most training images to learn from."""
PASSES, STEPS = 40, 1000
"""Passes over what a network learns from, and batches at most."""
SUREST = 32
LARGEST = 128
"""Pixels of the longer side to which larger images are reduced."""
TAIL = 0.003
"""An image is strange if it scores above all real images but this share."""


class Auc(NamedTuple):
    """The area under the ROC curve of scores.

    value   the chance that a generated image's score is above a real one's; ties count half
    error   its standard error
    null    the same if the sets are alike: no less than the Mann-Whitney test's
    df      degrees of freedom of that error: of the fewer groups, or infinite where each image is its own
    beaten  for each image, the share of the other set's scores below (generated) or above (real) its own
    """

    value: float
    error: float
    null: float
    df: float
    beaten: Float64[np.ndarray, " n"]


def told_apart(
    generated: ImageSet,
    reference: ImageSet,
    seed: int = 0,
    train: ImageSet | None = None,
    floor: ImageSet | None = None,
    judge: Callable[[int, int, int], Judge] = pretrained,
) -> ToldApart:
    """How well networks tell generated images from real ones, of `MOST` of each kind at most.

    floor  further real images, dealt from the same ones as the reference; the groups of both are numbered alike
    train  real images to learn from, without near-duplicates of those that are judged
    judge  makes a network of its channels, its images' larger side, and a seed

    Grey beside colour is compared in grey. Whatever differs counts: where one set was saved as JPEG and the other was
    not, the networks will see that. The numbers do not depend on how many threads there are.
    Raises ValueError for images of different sizes, fewer than `FEWEST` in a set, or too few different ones.
    """
    if generated.shape[1:] != reference.shape[1:] or min(len(generated), len(reference)) < FEWEST:
        about = " and ".join(f"{len(each)} of {'×'.join(map(str, each.shape))}" for each in (generated, reference))
        raise ValueError(f"a network needs images of one size, at least {FEWEST} in each set, not {about}")
    sets, most = [generated, reference], [MOST, MOST]
    if floor is not None and floor.shape == reference.shape and len(reference) < MOST:
        sets, most = [*sets, floor], [*most, MOST - len(reference)]
    judged_sets = len(sets)
    if train is not None and train.shape[1:] == generated.shape[1:]:
        sets, most = [*sets, train], [*most, TAUGHT]
    rows = [replace(each, labels=None).subset_rows(min(k, len(each)), seed) for each, k in zip(sets, most, strict=True)]
    taken = [_taken(each.images, chosen) for each, chosen in zip(sets, rows, strict=True)]
    images = torch.cat(taken if len({each.shape for each in sets}) == 1 else [*map(luminance, taken)])
    n = sum(map(len, rows[:judged_sets]))
    known = np.concatenate([_known(each, chosen) for each, chosen in zip(sets, rows, strict=True)])
    real, group = np.arange(len(images)) >= len(rows[0]), merged(groups(images).numpy(), known)
    more = n + np.flatnonzero(~np.isin(group[n:], group[:n]))
    different = [len(np.unique(group[:n][which[:n]])) for which in (~real, real)]
    if min(different) < FEWEST:
        counts = f"{different[0]} of {len(rows[0])} generated and {different[1]} of {n - len(rows[0])} real ones"
        raise ValueError(
            f"a network needs {FEWEST} different images of each kind; here there are {counts} "
            "(near-duplicates, and images of one group, count as one)"
        )
    halves = _halves(real[:n], group[:n], seed)
    judges = [judge(images.shape[1], max(images.shape[2:]), rng.integer(seed, "judge", k)) for k in range(2)]
    scores = _scores(judges, images, real, halves, more, seed)
    aucs = [auc(scores[half], real[half], group[half]) for half in halves]
    suspicion = np.empty(n)
    for half, found in zip(halves, aucs, strict=True):
        suspicion[half] = found.beaten + rankdata(scores[half]) / n**2  # the second term breaks ties
    value, null = (float(np.mean([getattr(found, name) for found in aucs])) for name in ("value", "null"))
    p = either([float(t.sf((found.value - 0.5) / found.null, found.df)) for found in aucs])
    limit = float(t.isf(SIGNIFICANCE / 2, min(found.df for found in aucs)))
    detectable = min(0.5 + null * (limit + float(norm.isf(1 - POWER))), 1.0)
    odd = both([strange(scores[half], real[half], group[half]) for half in halves])
    by_auc, by_odd = p < SIGNIFICANCE, odd.p < SIGNIFICANCE
    detected, ours = by_auc or by_odd, ~real[:n]
    return ToldApart(
        f"{'told apart' if detected else 'not told apart'}: shown a generated and a real image, a network picks the "
        f"generated one {100 * value:.1f} % of the time (50 % is guessing"
        f"{'' if detected else f'; {100 * detectable:.0f} % would have been detected'})"
        f"{f'; {odd}' if by_odd and not by_auc else ''}",
        detected,
        value,
        sum(found.error**2 for found in aucs) ** 0.5 / 2,  # LeDell et al. 2015
        float(np.mean([(scores[ours] > 0).mean(), (scores[~ours] <= 0).mean()])),
        p,
        odd.share,
        odd.expected,
        odd.p,
        detectable,
        int(ours.sum()),
        int((~ours).sum()),
        tuple(rows[0][np.argsort(-suspicion[ours], kind="stable")[:SUREST]].tolist()),
    )


def _taken(images: UInt8[Tensor, "n c h w"], rows: Int64[np.ndarray, " k"]) -> UInt8[Tensor, "k c H W"]:
    """The images at `rows`, as large as the networks see them."""
    shrink = max(1, max(images.shape[2:]) / LARGEST)
    height, width = (max(1, round(side / shrink)) for side in images.shape[2:])
    return blocks.join((resize(part.cpu(), (height, width)) for part in blocks.parts(images, rows)), len(rows))


def _known(images: ImageSet, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The groups of the images at `rows`; −1 if they are not known."""
    return np.full(len(rows), -1) if images.groups is None else images.groups.cpu().numpy()[rows]


def merged(near: Int64[np.ndarray, " n"], known: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Groups of all images that are connected by sharing a number in either; in `known`, −1 is none."""
    rows, most = np.flatnonzero(known >= 0), int(near.max()) + 1
    size = most + int(known.max(initial=-1)) + 1
    links = coo_array((np.ones(len(rows)), (near[rows], most + known[rows])), shape=(size, size))
    return connected_components(links, directed=False)[1][near].astype(np.int64)


def _halves(real: Bool[np.ndarray, " n"], group: Int64[np.ndarray, " n"], seed: int) -> list[Int64[np.ndarray, " _"]]:
    """The positions in each half: groups are dealt whole, and those that hold no real image apart from the others."""
    holds_real = (np.bincount(group, real) > 0).astype(np.int64)
    dealt = deal(len(holds_real), 2, seed, "parts", labels=holds_real)
    halves = [np.flatnonzero(np.isin(group, some)) for some in dealt]
    if not all(0 < real[half].sum() < len(half) for half in halves):
        raise ValueError("too many images of each set are near-duplicates of the other's")
    return halves


def _scores(
    judges: Sequence[Judge],
    images: UInt8[Tensor, "N c h w"],
    real: Bool[np.ndarray, " N"],
    halves: list[Int64[np.ndarray, " _"]],
    more: Int64[np.ndarray, " _"],
    seed: int,
) -> Float64[np.ndarray, " n"]:
    """The logits of all images in the halves, by the network that learns from the other half, and from `more`."""
    scores, wanted = np.empty(sum(map(len, halves))), torch.from_numpy(~real).float()
    steps = max(min(PASSES * (len(scores) // 2 + len(more)) // BATCH, STEPS), 1)

    works = []
    for k, (judge, half) in enumerate(zip(judges, halves, strict=True)):
        sides = [half[~real[half]], np.concatenate([half[real[half]], more])]
        works.append(learning(judge, images, wanted, sides, steps, rng.generator(seed, "batches", k)))
    with closing(in_parallel(works, steps)) as trained:
        for _ in counted(trained, "telling apart", 2 * steps):
            pass
    with one_thread():  # not in parallel: threads would keep as much memory again
        for judge, half in zip(judges, reversed(halves), strict=True):
            scores[half] = judged(judge, images[half])
    return scores


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
    fewest = min(len(np.unique(group[side])) for side in (real, ~real))
    df = math.inf if count == len(scores) else fewest - 1
    return Auc(value, error, max(error, ((m + n + 1) / (12 * m * n)) ** 0.5), df, beaten)


class Strange(NamedTuple):
    """The share of generated images with scores above nearly all real ones', that expected, and its p-value."""

    share: float
    expected: float
    p: float

    def __str__(self) -> str:
        nearly_all = f"{100 * (1 - self.expected):.1f} % of real ones do"
        return f"{100 * self.share:.1f} % of the generated images look less real to the network than {nearly_all}"


def strange(scores: Float64[np.ndarray, " n"], real: Bool[np.ndarray, " n"], group: Int64[np.ndarray, " n"]) -> Strange:
    """How many generated images are strange, by `TAIL`.

    One image stands for its group of generated ones. Real images count as the equivalent number of independent ones, by
    Kish's design effect (1965).
    """
    ours, theirs = scores[~real][np.unique(group[~real], return_index=True)[1]], scores[real]
    rank, alone = rank_of(len(theirs), TAIL), most_apart(group[real])
    above = int((ours > np.sort(theirs)[-rank]).sum())
    p = tail_p_value(above, len(ours), alone, math.ceil(rank * alone / len(theirs)))
    return Strange(above / len(ours), rank / (len(theirs) + 1), p)


def both(found: Sequence[Strange]) -> Strange:
    """The strange images of both halves."""
    share, expected = (float(np.mean([getattr(each, name) for each in found])) for name in ("share", "expected"))
    return Strange(share, expected, either([each.p for each in found]))


def either(p: Sequence[float]) -> float:
    """The p-value of finding something in either half (Bonferroni)."""
    return min(len(p) * min(p), 1.0)
