"""Do generated images repeat each other? A model that makes the same few pictures again and again has little variety.

Bytes alone do not tell: noise differs from image to image. Near-duplicates (`groups`) do, and there are some among real
images too, so these are counted in as many of them.
"""

from bisect import bisect_left

from scipy import stats

from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.report import POWER, SIGNIFICANCE, Repeats

MOST = 3_000
"""Images of each set that are looked at."""
MATERIAL = 0.01
"""Of all images: as many more repeats than among real ones must there be."""


def repeats(generated: ImageSet, reference: ImageSet, seed: int = 0) -> Repeats:
    """How many images are near-duplicates of an earlier one, among generated images and among as many real ones."""
    n = min(len(generated), len(reference), MOST)
    ours, theirs = (_repeated(images.subset(n, seed, balanced=False)) for images in (generated, reference))

    def p_value(repeated: int) -> float:
        table = [[repeated, n - repeated], [theirs, n - theirs]]
        return float(stats.fisher_exact(table, alternative="greater").pvalue)

    def noticed(repeated: int) -> bool:
        return repeated - theirs >= MATERIAL * n and p_value(repeated) < SIGNIFICANCE

    found, least = noticed(ours), bisect_left(range(n + 1), True, key=noticed)
    said = f"near-duplicates: {ours:,} of {n:,} generated images, {theirs:,} of as many real ones"
    if found:
        said = f"more than among real images ({said})"
    else:
        said = f"no more than among real images ({said}{f'; {least:,} would have been noticed' * (least <= n)})"
    twice = (1 - theirs / n) * n**2 / (2 * len(generated))  # more repeats are to be expected if all appeared twice
    sure = theirs + twice - stats.norm.isf(1 - POWER) * twice**0.5 >= least
    return Repeats(ours / n, theirs / n, n, p_value(ours), found, bool(sure), said)


def _repeated(images: ImageSet) -> int:
    return len(images) - len(groups(images.images).unique())
