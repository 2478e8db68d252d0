"""How much lower is the floor for having been learnt from by the feature network?

    python -m benchmarks.floor        (a minute; needs the whole MNIST)

The floor against `mnist:test` is drawn from MNIST training digits that the generative model never saw. The digit
feature network did: it learnt from all of them but the 5,000 packaged ones (tools/train_digit_network.py). Here both
kinds are scored alike, n digits in equal numbers of each class, against the test digits.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console

from fromnoise import rng
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.faces.cli import script

SIDE = (32, 32)


@dataclass(frozen=True)
class Settings:
    """Score digits that the feature network learnt from, and others."""

    n: int = 1000
    """Digits in each draw; at most 1,000."""
    draws: int = 5
    """Draws of the digits of which there are many."""


def balanced(images: ImageSet, n: int, seed: int) -> ImageSet:
    """n of the images, as many of each class."""
    assert images.labels is not None
    labels, random = images.labels.numpy(), rng.generator(seed, "balanced")
    rows = [random.permutation(np.flatnonzero(labels == c))[: n // images.classes] for c in range(images.classes)]
    return images.take(np.concatenate(rows))


def main(settings: Settings) -> None:
    """Print a line for each kind of digits."""
    extract = features("digits", torch.device("cpu"))
    reference = Moments.of(extract(sources.load("mnist:test", SIDE).images))
    packaged = {part: sources.load(f"digits:{part}", SIDE) for part in ("train", "val", "heldout")}
    learnt = sources.load("mnist:train", SIDE)
    for part in packaged.values():
        learnt = learnt.without(part)

    def score(images: Sequence[ImageSet]) -> str:
        fids = [distance(Moments.of(extract(each.images)), reference) for each in images]
        spread = f" ± {statistics.stdev(fids):.3f}" if len(fids) > 1 else ""
        return f"{statistics.mean(fids):.3f}{spread} ({len(fids)} draws)"

    several = range(settings.draws)
    rows = {
        "MNIST's, learnt from": [balanced(learnt, settings.n, seed) for seed in several],
        "packaged training, not learnt from": [balanced(packaged["train"], settings.n, seed) for seed in several],
        "packaged validation and held-out, not learnt from": [
            balanced(packaged[part], settings.n, 0) for part in ("val", "heldout")
        ],
    }
    for name, images in rows.items():
        Console().print(f"{name}: FID {score(images)}", highlight=False)


if __name__ == "__main__":
    script(main, Settings, __doc__)
