"""How many strange images must there be among 1,000 for the two-sample test to notice them?

    python -m benchmarks.strange        (ten minutes on a CPU core)

Digits in colour stand among shapes in colour. Each time the digits, the shapes and the seed are others.
"""

from dataclasses import dataclass

import torch
from rich.console import Console

from benchmarks.battery_cases import bare, joined, tinted
from benchmarks.shapes import SIDE, shapes
from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resize
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.faces.cli import script

IMAGES = 1000


@dataclass(frozen=True)
class Settings:
    """Ask the two-sample test again and again."""

    numbers: tuple[int, ...] = (20, 30, 40)
    """Digits among the 1,000 images."""
    times: int = 10
    """How often each is asked."""


def main(settings: Settings) -> None:
    """Print a line for each number."""
    real, train, pool = shapes(IMAGES, 2), shapes(3 * IMAGES, 1), digits.load("val").images
    for n in settings.numbers:
        told = 0
        for k in range(settings.times):
            rows = torch.randperm(len(pool), generator=torch.Generator().manual_seed(k))[:n]
            strange = ImageSet("digits", resize(tinted(pool[rows]), (SIDE, SIDE)))
            told += told_apart(joined(bare(shapes(IMAGES - n, 50 + k)), strange), real, k, train).detected
        Console().print(f"{n} of {IMAGES:,}: told apart {told} times of {settings.times}", highlight=False)


if __name__ == "__main__":
    script(main, Settings, __doc__)
