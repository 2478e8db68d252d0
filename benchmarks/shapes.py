"""Colour images that anybody can make as many of as he likes: a large shape and four small ones on a striped ground.

They stand for a user's own images where a test needs fresh real ones, and no download is wanted.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet

SIDE = 32
BATCH = 500


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.85


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x) * 3**0.5 / 2 + y / 2, -y) - 0.6


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(x, y) - 0.75) - 0.25


KINDS: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (_disc, _square, _triangle, _ring)
"""From places, in units of the shape's radius, to the distance outside of it: negative within."""


def shapes(n: int, seed: int) -> ImageSet:
    """n images, 3×32×32; the label is the large shape's kind. Image k of a seed is the same whatever n is."""
    parts = [_batch(seed, start, min(BATCH, n - start)) for start in range(0, n, BATCH)]
    images = blocks.join((torch.from_numpy(images) for images, _ in parts), n)
    return ImageSet(f"shapes {seed}", images, torch.from_numpy(np.concatenate([labels for _, labels in parts])))


def recoloured(images: Tensor, seed: int) -> Tensor:
    """The images with each colour channel darker by a factor of its own, down to 0.4."""
    gains = rng.generator(seed, "gains").uniform(0.4, 1, (len(images), 3, 1, 1))
    return (images * torch.from_numpy(gains)).round().to(torch.uint8)


def families(singles: int, several: int, seed: int) -> ImageSet:
    """Shapes of which so many stand alone, and `several` in groups of two to six, recoloured; the groups are known."""
    random = rng.generator(seed, "sizes")
    sizes = random.permutation(np.concatenate([np.ones(singles, dtype=int), random.integers(2, 7, several)]))
    group = np.repeat(np.arange(len(sizes)), sizes)
    images = recoloured(shapes(len(sizes), seed).images[torch.from_numpy(group)], seed)
    return ImageSet(f"families {seed}", images, groups=torch.from_numpy(group))


@lru_cache(maxsize=8)
def _batch(seed: int, start: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n images of a batch, and their labels; the numbers are drawn for all of it."""
    random = rng.generator(seed, "shapes", start)
    labels = random.integers(0, len(KINDS), BATCH)[:n]
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle = random.uniform(0, 2 * np.pi, (BATCH, 1, 1))[:n]
    along = np.cos(angle) * columns + np.sin(angle) * rows
    waves, phase = random.uniform(0.5, 3, (BATCH, 1, 1))[:n], random.uniform(0, 2 * np.pi, (BATCH, 1, 1))[:n]
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * waves * along / SIDE + phase)
    ends = random.uniform(20, 200, (2, BATCH, 3, 1, 1))[:, :n]
    images = ends[0] + (ends[1] - ends[0]) * stripes[:, None]
    for layer, (least, most, reach) in enumerate([(6, 10, 5), *[(2, 5, 13)] * 4]):
        kinds = labels if layer == 0 else random.integers(0, len(KINDS), BATCH)[:n]
        radius, angle = random.uniform(least, most, (BATCH, 1, 1))[:n], random.uniform(0, 2 * np.pi, (BATCH, 1, 1))[:n]
        down, right = SIDE / 2 + random.uniform(-reach, reach, (2, BATCH, 1, 1))[:, :n]
        x, y = (columns - right) / radius, (rows - down) / radius
        x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        outside = np.choose(kinds[:, None, None], [kind(x, y) for kind in KINDS]) * radius
        cover = np.clip(0.5 - outside, 0, 1)[:, None]
        images = images * (1 - cover) + random.uniform(0, 255, (BATCH, 3, 1, 1))[:n] * cover
    return images.round().astype(np.uint8), labels.astype(np.int64)
