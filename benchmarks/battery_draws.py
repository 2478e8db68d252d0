"""The battery's draws: comparisons of real images alone, against which the report should say nothing."""

import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from jaxtyping import Int64

from benchmarks import results
from benchmarks.shapes import families, recoloured, shapes
from fromnoise import rng
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.design import disjoint
from fromnoise.evaluation.excess import NORMAL
from fromnoise.evaluation.score import Comparison
from fromnoise.experiment.comparison import ScoreRequest, comparison
from fromnoise.say import plural

POOL = 10_000
"""Real images of a kind that all draws are taken from, so that their features are computed once."""
HUNDREDS = {"train": 5, "reference": 3, "floor": 9, "fresh": 3}
"""Images of each part of a draw, in hundreds."""
FAMILIES, FRESH = 3_786, 340
"""Images in families of a draw, a tenth of which are the reference, as of the emoji; and generated ones."""
ALARMS = {
    "overlap": "",
    "class shares": "0.1 %",
    "colour": "",
    "worse": "0.1 %",
    "worse elsewhere": "0.1 %",
    "behind": "0.1 %",
    "labels": "0.1 %",
    "repeats": "0.1 %",
    "copying": "0.13 %",
    "told apart": "0.2 %",
}
"""How often each finding accuses real images by its own making; the others have no test behind them."""


@cache
def pool(source: str) -> ImageSet:
    """Real images, `POOL` or so at most: shapes in colour with labels or in families, or a data set by name."""
    if source == "families":
        return families(6_000, 1_500, 101)
    if source == "shapes":
        return shapes(POOL, 100)
    images = sources.load(source)
    return images.subset(min(POOL, len(images)), 0)


def drawn(source: str, k: int) -> Comparison:
    """The k-th comparison, of parts that have no image in common: stratified by class for an even k, else at random.

    Families are never divided, and their floor is taken from the training images; each generated image is of a family
    that nobody has seen.
    """
    whole = pool(source)
    if whole.groups is not None:
        return _of_families(whole, whole.groups.numpy(), k)
    labels = whole.labels.numpy() if whole.labels is not None and k % 2 == 0 else None
    rows = disjoint(len(whole), 100, sum(HUNDREDS.values()), k, labels)
    ends = accumulate(HUNDREDS.values(), initial=0)
    train, reference, floor, fresh = (whole.take(np.concatenate(rows[a:b])) for a, b in pairwise(ends))
    return comparison(ScoreRequest(fresh, reference, train, floor))


def _of_families(whole: ImageSet, group: Int64[np.ndarray, " n"], k: int) -> Comparison:
    sizes = np.bincount(group)
    order = rng.generator(k, "families").permutation(len(sizes))
    taken = order[: np.searchsorted(np.cumsum(sizes[order]), FAMILIES)]
    held_out = taken[::10]
    parts = (held_out, np.setdiff1d(taken, held_out))
    reference, train = (whole.take(np.flatnonzero(np.isin(group, part))) for part in parts)
    fresh = ImageSet("fresh shapes", recoloured(shapes(FRESH, 1_000 + k).images, 1_000 + k))
    return comparison(ScoreRequest(fresh, reference, train, train))


def table(draws: Sequence[Mapping[str, Any]]) -> str:
    """How many draws each finding accuses, by kind of image, in Markdown."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for each in draws:
        kinds.setdefault(each["sort"], []).append(each)
    kinds["all"] = list(draws)
    counts = {name: [sum(name in each["found"] for each in some) for some in kinds.values()] for name in ALARMS} | {
        "any": [sum(bool(each["found"]) for each in some) for some in kinds.values()]
    }
    head = ["finding", "its own level", *(f"{kind}: {len(some)} draws" for kind, some in kinds.items())]
    rows = [[name, ALARMS.get(name, ""), *map(str, counts[name])] for name in counts]
    scaled = [value / error for value, error in (each["numbers"]["excess"] for each in draws)]
    said = (
        f"In standard errors, the excess is {statistics.fmean(scaled):.2f} ± {statistics.pstdev(scaled):.2f} (mean and "
        f"deviation). It is above {NORMAL:.2f}, a level of 2.5 %, in "
        f"{plural(sum(z > NORMAL for z in scaled), 'draw')}."
    )
    return f"{results.table(head, rows)}\n\n{said}"
