"""Do generated images repeat each other? A model that makes the same few pictures again and again has little variety.

Bytes alone do not tell: noise differs from image to image. Near-duplicates (`groups`) do, and there are some among real
images too, so these are counted in as many of them.
"""

from scipy import stats

from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.report import Repeats

MOST = 3_000
"""Images of each set that are looked at."""
LEVEL = 0.001
"""Of the exact test, below which the generated images are said to repeat each other."""
MATERIAL = 0.01
"""Of all images: as many more repeats than among real ones must there be."""


def repeats(generated: ImageSet, reference: ImageSet, seed: int = 0) -> Repeats:
    """How many images are near-duplicates of an earlier one, among generated images and among as many real ones."""
    n = min(len(generated), len(reference), MOST)
    ours, theirs = (_repeated(images.subset(n, seed, balanced=False)) for images in (generated, reference))
    p = float(stats.fisher_exact([[ours, n - ours], [theirs, n - theirs]], alternative="greater").pvalue)
    found = p < LEVEL and ours - theirs >= MATERIAL * n
    said = f"{ours:,} of {n:,} generated images are near-duplicates of others, and {theirs:,} of as many real ones"
    more = "more" if found else "no more"
    return Repeats(ours / n, theirs / n, n, p, found, f"{more} than among real images: {said}")


def _repeated(images: ImageSet) -> int:
    return len(images) - len(groups(images.images).unique())
