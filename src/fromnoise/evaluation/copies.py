"""The copy test: do generated images lie closer to the training images than fresh real images do?

How far an image lies from the nearest training image (`alike`) says little alone: thin strokes are close to everything,
and a weak model's images are far from everything, its copies included. So each distance is taken on a local scale:

- `among` training images: relative to the fifth nearest, each of another group of near-duplicates, since what is
  memorised first is what a training set holds several times (Carlini et al. 2023, "Extracting training data from
  diffusion models", take several neighbours too; Yoon et al. 2023, "Diffusion probabilistic models generalize when they
  fail to memorize", the second);
- `beside` held-out images, real ones that the model never saw: relative to the nearest of those. Near-duplicates
  in the training set do not affect it.

Each is taken in three `VIEWS`: the image as it is; the closer of the image and its mirror image; and, for some images
only, as it takes time, the closest of all quarter turns of both. How many generated images lie below a low quantile of
held-out ones has an exact p-value (`tail`; the idea is that of Meehan et al. 2020,
"A non-parametric test to detect data-copying in generative models"). Held-out images in groups count as the
equivalent number of independent ones.

What the test is worth is measured each time: it is shown training images, planted as copies with a little damage, and
the share of them that it finds turns a count into an upper bound of the share of copies, by the exact intervals of
Clopper & Pearson 1934.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from msgspec.structs import replace
from scipy import stats
from torch import Tensor

from fromnoise import rng
from fromnoise.data.colour import on_grey
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet, blank, digests, excluding
from fromnoise.evaluation.alike import SHIFT, Gallery, Neighbours, damaged, turns
from fromnoise.evaluation.design import most_apart
from fromnoise.evaluation.report import FEWEST, POWER, SIGNIFICANCE, Closer, Copies, CopyBound, CopySizes, Pair
from fromnoise.evaluation.tail import rank_of, tail_p_value

RANK = 5
"""The neighbour that sets the scale among training images."""
TAILS = (0.003, 0.03)
"""Shares of held-out images below a threshold. The first finds even a few copies; the second finds many where the
first is blind because too many held-out images have near-duplicates among the training images."""
MATERIAL = 3.0
"""Copying is reported only from three times the expected share: with many images, samples that are merely more typical
than real ones exceed it significantly."""
TURNED_SIGNIFICANCE = SIGNIFICANCE / 3
"""Chance of calling fresh real images copies over all comparisons of turned images; over all others it is
`SIGNIFICANCE`."""
CONFIDENCE = 0.95
"""Of the upper bound of the share of copies."""
VIEWS: Mapping[str, int] = {"as it is": 1, "mirrored": 2, "turned": 8}
"""How an image is looked at, and how many of its `turns` that takes."""
ORDER = ("mirrored", "turned", "as it is")
"""`VIEWS` in the order in which they are preferred for the bound."""
TURNED = 300
"""Most images of each kind that are compared turned."""
PLANTED, NOISE = 200, 20.0
"""Most training images planted, and their noise in grey levels."""
BLIND = 0.5
"""A comparison that finds a smaller share of planted copies says nothing about images that it does not accuse."""
NOTICED = 0.05
"""A clean result counts only if the test would have noticed this share of copies: the battery's smallest is 3 %."""
SHOWN = 16
"""Closest pairs that are listed."""


Scales = dict[tuple[str, str], Float64[np.ndarray, " n"]]
"""The distances of n images on each scale, "among" or "beside", in each of `VIEWS`."""


def gallery(train: ImageSet) -> Gallery:
    """Training images to find copies of."""
    return Gallery(train.images, groups(train.images))


def copy_test(
    generated: ImageSet,
    train: ImageSet,
    held_out: ImageSet | None,
    trained: Gallery | None = None,
    turned: bool = True,
) -> Copies:
    """Whether generated images are copies of training images; the sets may differ in size and channels of images.

    `held_out` are real images that the model never saw; those byte for byte in `train` are left out. If both have
    labels, more are left out until the classes have the generated images' shares: images lie closer together in some
    classes than in others. None is held against another of its group, and one generated image stands for all its
    near-duplicates: fresh images have no such neighbours, and chance that is repeated counts once.

    The verdict is "copying" where any comparison finds significantly more images closer than expected, and `MATERIAL`
    times as many; and where generated images are training images to the byte, but no held-out one is. Where there are
    too few images, or planted copies are not found, copying cannot be judged.
    `trained` is the training images' `gallery`, where it is known already; `turned`: look at turned images too, the
    same to the byte included.
    """
    learnt = digests(train.images, grey=True)
    by_nature = held_out is not None and bool(_identical(held_out, learnt, turned).any())
    firsts = np.sort(np.unique(groups(generated.images).numpy(), return_index=True)[1])
    different = generated.take(firsts)
    held_out, by_class = _comparable(held_out, train, different)
    trained = trained or gallery(train)
    near = views(trained, generated.images, min(RANK, trained.distinct), most=VIEWS["mirrored"])
    sizes = CopySizes(len(generated), len(train), trained.distinct, 0 if held_out is None else len(held_out))
    as_trained = _identical(generated, learnt, turned)
    same = as_trained.any(axis=0)
    identical, copied = int(same.sum()), generated.images[torch.from_numpy(same)]
    changed = identical > int(as_trained[0].sum())
    plain = Copies("", None, sizes, by_class, identical, None, (), _closest(near, np.arange(len(generated))))
    roles = {"generated": sizes.generated, "distinct training": sizes.distinct, "held-out": sizes.held_out}
    few = [f"{size} {role} images" for role, size in roles.items() if size < FEWEST]
    if few or held_out is None:
        return replace(plain, verdict=f"copying cannot be judged: {', '.join(few)}; at least {FEWEST} are needed")
    unseen, planted = Gallery(held_out.images, held_out.groups), plant(train.images)
    if unseen.distinct < 2:
        return replace(plain, verdict="copying cannot be judged: all held-out images are of one group")

    def compared(near: list[Neighbours], fresh: Tensor, real: ImageSet, own: Tensor, *names: str) -> tuple[Closer, ...]:
        most = VIEWS[names[-1]]

        def scales(images: Tensor, own: Tensor | None = None) -> Scales:
            near = views(trained, images, RANK, most=most)
            return _scales(near, views(unseen, images, 1, own, most), names)

        ours = _scales(near, views(unseen, fresh, 1, most=most), names)
        alone = len(real) if real.groups is None else most_apart(real.groups)
        significance = TURNED_SIGNIFICANCE if "turned" in names else SIGNIFICANCE
        return _comparisons(alone, ours, scales(real.images, own), scales(planted), significance)

    ours = [view.take(firsts) for view in near]
    closer = compared(ours, different.images, held_out, unseen.groups, "as it is", "mirrored")
    if turned:
        some, rows = (each.subset_rows(min(TURNED, len(each)), 0, balanced=False) for each in (different, held_out))
        fewer = different.images[some]
        near_turned = views(trained, fewer, RANK)
        more = compared(near_turned, fewer, held_out.take(rows), unseen.groups[rows], "turned")
        closer = (*closer, *more)
        if any(each.least is not None and each.share >= each.least for each in more):
            plain = replace(plain, closest=_closest(near_turned, firsts[some]))
    accusing = [each for each in closer if each.least is not None and each.share >= each.least]
    bound = _bound(accusing or closer, len(planted))
    proof = bool(identical) and not by_nature and not blank(copied).all()  # blank ones prove nothing
    copying = True if accusing or proof else None if bound is None else False
    which = "the images" if len(different) == len(generated) else f"the {len(different):,} different images"
    verdict = _verdict(accusing, closer, bound, identical, proof, changed, which)
    return replace(plain, verdict=verdict, copying=copying, bound=bound, closer=closer)


def _identical(images: ImageSet, learnt: np.ndarray, turned: bool) -> Bool[np.ndarray, "views n"]:
    """Which images have one of these digests: as they are and, if `turned`, in each of their other `turns`."""
    every = turns(images.images, images.shape[1] == images.shape[2])
    return np.stack([np.isin(digests(each, grey=True), learnt) for each in islice(every, None if turned else 1)])


def plant(train: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "_ c h w"]:
    """`PLANTED` training images at most, damaged; RGBA on mid-grey."""
    rows = np.sort(rng.generator(0, "planted", len(train)).permutation(len(train))[:PLANTED])
    return damaged(on_grey(train[rows]), NOISE, "planted noise")


def _comparable(held_out: ImageSet | None, train: ImageSet, generated: ImageSet) -> tuple[ImageSet | None, bool | None]:
    """Held-out images that were not trained on, and whether their classes have the generated images' shares."""
    held_out = excluding(held_out, train)
    if held_out is None or held_out.labels is None or generated.labels is None:
        return held_out, None
    theirs, ours = held_out.labels.cpu(), generated.labels.cpu()
    most = int(max(ours.max(), theirs.max())) + 1
    shares, there = ours.bincount(minlength=most).double() / len(ours), theirs.bincount(minlength=most)
    m = float((there[shares > 0] / shares[shares > 0]).min())
    counts = (shares * m + 1e-9).floor().long()
    if counts.sum() < FEWEST:
        return held_out, False
    order = rng.generator(0, "copies", len(held_out)).permutation(len(held_out))
    labels = theirs.numpy()[order]
    rows = [order[labels == label][:count] for label, count in enumerate(counts.tolist())]
    return held_out.take(np.sort(np.concatenate(rows))), True


def views(
    of: Gallery,
    images: UInt8[Tensor, "n c h w"],
    k: int,
    own: Int64[Tensor, " n"] | None = None,
    most: int = max(VIEWS.values()),
) -> list[Neighbours]:
    """The k most alike in the gallery to each of the first `most` of the images' `turns`; `own` is `nearest`'s.

    Beyond mirror images, shifts are limited to one pixel, to save time.
    """
    shift = SHIFT if most <= VIEWS["mirrored"] else 1
    return [of.nearest(each, k, own, shift) for each in islice(turns(images, of.size[0] == of.size[1]), most)]


def _scales(near: list[Neighbours], unseen: list[Neighbours], names: Sequence[str]) -> Scales:
    scales = {
        "among": [view.relative for view in near],
        "beside": [
            here.distances[:, 0] / np.maximum(there.distances[:, 0], 1e-6)
            for here, there in zip(near, unseen, strict=True)
        ],
    }
    return {(name, view): np.min(views[: VIEWS[view]], axis=0) for name, views in scales.items() for view in names}


def _closest(near: list[Neighbours], rows: Int64[np.ndarray, " n"]) -> tuple[Pair, ...]:
    """The closest pairs of generated images, at these positions, in any view."""
    relative = np.stack([view.relative for view in near])
    pairs = []
    for k in np.argsort(relative.min(axis=0), kind="stable")[:SHOWN]:
        view = near[relative[:, k].argmin()]
        pairs.append(Pair(int(rows[k]), int(view.indices[k, 0]), float(view.relative[k]), float(view.distances[k, 0])))
    return tuple(pairs)


def _comparisons(
    alone: int, ours: Scales, theirs: Scales, planted: Scales, significance: float = SIGNIFICANCE
) -> tuple[Closer, ...]:
    """Every scale at every tail; both coincide if held-out images are few. These count as `alone` independent ones."""
    n, m = (len(next(iter(scales.values()))) for scales in (ours, theirs))
    ranks = list(dict.fromkeys(rank_of(m, tail) for tail in TAILS))
    significance /= len(ours) * len(ranks)

    def compared(scale: tuple[str, str], rank: int) -> Closer:
        threshold, expected = float(np.sort(theirs[scale])[rank - 1]), rank / (m + 1)

        def p_value(closer: int) -> float:
            return tail_p_value(closer, n, alone, math.ceil(rank * alone / m))

        def accuses(closer: int) -> bool:
            return closer >= MATERIAL * expected * n and p_value(closer) < significance

        closer, least = int((ours[scale] < threshold).sum()), bisect_left(range(n + 1), True, key=accuses)
        return Closer(
            *scale,
            n=n,
            share=closer / n,
            expected=expected,
            p=p_value(closer),
            least=least / n if least <= n else None,
            threshold=threshold,
            found=float((planted[scale] < threshold).mean()),
        )

    return tuple(compared(scale, rank) for scale in ours for rank in ranks)


def _bound(closer: Sequence[Closer], planted: int) -> CopyBound | None:
    """By the comparison with the lowest bound expected before results are known; accusing ones only, if there are any.

    Comparisons that see mirror images go first, then those that see turned ones too, which promise less. None if all
    are blind.
    """
    half = (1 + CONFIDENCE) / 2  # each of two intervals

    def upper(of: Closer, share: float) -> float:
        below = stats.binomtest(round(share * of.n), of.n, alternative="less").proportion_ci(half).high
        found = stats.binomtest(round(of.found * planted), planted, alternative="greater").proportion_ci(half).low
        return min(1.0, float(below / found))

    seeing = [each for each in closer if each.found >= BLIND]
    if not seeing:
        return None
    best = min(seeing, key=lambda each: (ORDER.index(each.view), upper(each, each.expected)))
    least = None if best.least is None else _noticed(round(best.least * best.n), best.n) / best.found
    least = None if least is None or least > 1 else least
    return CopyBound(upper(best, best.share), least, best.view)


def _noticed(least: int, n: int) -> float:
    """The least share of n images, each found alone, of which at least `least` are found with a chance of `POWER`."""
    return float(stats.beta.ppf(POWER, least, n - least + 1))


def _verdict(
    accusing: list[Closer],
    closer: tuple[Closer, ...],
    bound: CopyBound | None,
    identical: int,
    proof: bool = False,
    changed: bool = False,
    which: str = "the images",
) -> str:
    plain = f"{identical:,} {'is a training image' if identical == 1 else 'are training images'} byte for byte"
    plain += " if mirrored or rotated" if changed else ""
    view, upper = (bound.view, _percent(bound.share)) if bound else ("as it is", "")
    allowed = {
        "as it is": f"shifted by up to {SHIFT} pixels or changed in brightness",
        "mirrored": f"shifted by up to {SHIFT} pixels, changed in brightness or mirrored",
        "turned": "shifted by a pixel, changed in brightness, mirrored or rotated",
    }[view]
    most = f"at most {upper} of {which} are copies (95 % confidence), including copies {allowed}"
    if accusing:
        worst = max(accusing, key=lambda each: each.share - each.expected)
        those = f"{worst.n} images (mirrored and rotated views included)" if worst.view == "turned" else which
        found = (
            f"copying: {_percent(worst.share)} of {those} are closer to the training set than "
            f"{_percent(1 - worst.expected)} of held-out images are ({_percent(worst.expected)} expected by chance)"
        )
        if bound:  # they may be changed more than the planted ones, by which it was measured
            found += f"; copies that are merely {allowed} make up at most {upper} (95 % confidence)"
        return f"{found}; {plain}" if identical else found
    if proof:
        found = f"copying: {plain}, and no held-out image is"
        return f"{found}; {most}" if bound else found
    if bound is None:
        seen = _percent(max(each.found for each in closer))
        verdict = f"copying cannot be judged: the test finds only {seen} of the copies planted to check it"
        return f"{verdict}; {plain}" if identical else verdict
    if bound.least is None:
        least = "even a set of nothing but copies would have gone unnoticed"
    elif bound.least <= NOTICED:
        least = f"{_percent(bound.least)} would have been noticed"
    else:
        least = f"fewer than {_percent(bound.least)} could have gone unnoticed"
    but = f", but {plain}" if identical else ""
    return f"no sign of copying{but}: {most}; {least}"


def _percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.0995 or 0.99 < share < 1 else 0}f} %"
