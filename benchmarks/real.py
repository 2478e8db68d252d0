"""Real digits by which benchmarks choose: the test digits and the packaged held-out ones choose nothing."""

from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet

CHOOSING = 10_000
NAME = f"{CHOOSING:,} training digits of MNIST that no diffusion model here learnt from"


def validation(size: tuple[int, int]) -> tuple[ImageSet, ImageSet]:
    """10,000 digits of MNIST's training set that no model trains on and no score holds back, and the others."""
    images = sources.load("mnist:train", size)
    for part in ("train", "heldout"):
        images = images.without(sources.load(f"digits:{part}", size))
    chosen, rest = images.split(CHOOSING, 0)
    assert rest is not None, "there are 56,000"
    return chosen, rest
