"""How often does the copy test accuse fresh real images, and up to which damage does it find copies?

    python -m benchmarks.copying digits:train fashion-mnist:train photos/        (some minutes a set)

Each draw splits a set anew into training, held-out and fresh images, no group of near-duplicates in two of them, and
tests the fresh ones. Then damaged copies of training images take their place in the first draw.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.console import Console
from torch import Tensor

from fromnoise.data import sources
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.copies import copy_test
from fromnoise.faces.cli import script


def noisy(deviation: float) -> Callable[[Tensor], Tensor]:
    """Noise of so many grey levels."""
    return lambda x: x + deviation * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


DAMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "noise 6": noisy(6),
    "noise 20": noisy(20),
    "noise 40": noisy(40),
    "brightness 0.6": lambda x: 0.6 * x,
    "moved by 1": lambda x: torch.roll(x, (1, 1), (2, 3)),
    "moved by 2": lambda x: torch.roll(x, (2, -2), (2, 3)),
    "mirrored": lambda x: x.flip(3),
    "without colour": lambda x: x.mean(dim=1, keepdim=True),
    "blurred 3×3": lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "0.6, moved by 1, noise 20": lambda x: noisy(20)(torch.roll(0.6 * x, (1, 1), (2, 3))),
}


@dataclass(frozen=True)
class Settings:
    """Put fresh images and damaged copies to the copy test."""

    data: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="DATA")]
    """Sets of images: names, folders, .npz files."""
    train: int = 400
    """Training images of each draw, at most: of a small set, half of it."""
    n: int = 150
    """Held-out and fresh images of each draw, at most: of a small set, a quarter each."""
    draws: int = 200
    """Draws."""
    most: int = 5000
    """Images of a set, at most."""


def main(settings: Settings) -> None:
    """Print a line for each set, and one for each kind of damage."""
    say = Console().print
    for name in settings.data:
        whole = sources.load(name, None)
        images = whole.subset(min(settings.most, len(whole)), 0).images
        whose, start = groups(images).numpy(), time.perf_counter()
        tests = [copy_test(*draw) for draw in draws(images, whose, settings)]
        seconds = (time.perf_counter() - start) / len(tests)
        bounds = [test.bound.share for test in tests if test.bound is not None]
        say(f"{name}: {len(images):,} images in {whose.max() + 1:,} groups; of {len(tests)} draws of fresh images")
        say(f"  {sum(test.copying is True for test in tests)} accused, {len(tests) - len(bounds)} not judged", end="; ")
        say(f"upper bounds {statistics.median(bounds or [1]):.1%} (median); {seconds:.1f} s a test")
        _, train, held_out = next(draws(images, whose, settings))
        for damage, change in DAMAGES.items():
            copies = change(train.images[: settings.n].float()).round().clamp(0, 255).to(torch.uint8)
            test = copy_test(ImageSet(damage, copies), train, held_out)
            say(f"  {damage}: {max(each.share for each in test.closer):.0%} found, copying: {test.copying}")


def draws(images: Tensor, whose: np.ndarray, settings: Settings) -> Iterator[tuple[ImageSet, ImageSet, ImageSet]]:
    """Fresh, training and held-out images of each draw."""
    n = min(settings.n, len(images) // 4)
    for seed in range(settings.draws):
        place = np.random.default_rng(seed).permutation(whose.max() + 1)[whose]  # of each image's group
        edges = np.sort(place)[[n, 2 * n, min(2 * n + settings.train, len(place) - 1)]]
        part = np.searchsorted(edges, place, side="right")
        fresh, held_out, train = (ImageSet("images", images[part == k]) for k in range(3))
        yield fresh, train, held_out


if __name__ == "__main__":
    script(main, Settings, __doc__)
