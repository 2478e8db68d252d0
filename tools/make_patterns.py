"""Make the packaged dictionary of patterns: src/fromnoise/data/patterns.safetensors.

    python -m tools.make_patterns [--patterns 128] [--seed 0]      (ten seconds)

The patterns are k-means' centres of whitened patches of dead leaves: ellipses and rounded boxes of random colours that
hide each other, of sizes with a density of r⁻³, as things in the world have them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from fromnoise import rng, tensors
from fromnoise.data import patterns
from fromnoise.data.patterns import SIDE, Dictionary, patches
from fromnoise.faces.cli import script

TARGET = patterns.WEIGHTS
IMAGES, PATCHES = 1500, 60  # images, and patches of each
SHAPES = 30  # in an image, at most
RADII = 1.5, 16.0
RANK = 60  # principal directions of the patches that are kept
FLOOR = 0.1  # added to the directions' variances: the faintest are not made as strong as the others


@dataclass(frozen=True)
class Settings:
    """How to make the dictionary."""

    patterns: int = 128
    seed: int = 0


def dead_leaves(n: int, seed: int) -> Float[Tensor, "n 3 32 32"]:
    """Images from 0 to 255 in which random shapes, lighter to one side, hide each other."""
    random = rng.generator(seed, "leaves")
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    found = np.empty((n, SIDE, SIDE, 3), np.float32)
    for image in found:
        image[:] = random.uniform(0, 255, 3)
        for _ in range(int(random.integers(1, SHAPES))):
            smallest, largest = RADII
            radius = random.uniform(largest**-2, smallest**-2) ** -0.5
            (row, column), angle, aspect = (
                random.uniform(0, SIDE, 2),
                random.uniform(0, math.pi),
                random.uniform(0.3, 1),
            )
            u = (columns - column) * math.cos(angle) + (rows - row) * math.sin(angle)
            v = (rows - row) * math.cos(angle) - (columns - column) * math.sin(angle)
            power = random.choice([2, 8])  # an ellipse or a box
            outside = (np.abs(u) ** power + np.abs(v / aspect) ** power) ** (1 / power) - radius
            cover = np.clip(0.5 - outside, 0, 1)[..., None]
            grey = random.uniform(0, 255)
            colour = grey + random.uniform(0, 1) * (random.uniform(0, 255, 3) - grey)
            image[:] = (1 - cover) * image + cover * (colour + random.normal(0, 20) * u[..., None] / 16)
    return torch.from_numpy(found).permute(0, 3, 1, 2).clamp(0, 255).contiguous()


def learn(x: Float[Tensor, "n 3 32 32"], patterns: int, seed: int) -> Dictionary:
    """A dictionary of the patches of the images `x`."""
    random = rng.generator(seed, "patches")
    chosen = torch.from_numpy(random.permutation(len(x))[:IMAGES])
    every = patches(x[chosen])
    some = every[:, torch.from_numpy(random.permutation(every.shape[1])[:PATCHES])].flatten(0, 1)
    some = some[some.square().sum(dim=1) > 1e-3 * some.square().sum(dim=1).mean()]  # not those without any pattern
    mean = some.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(some.T).double())
    whitening = (vectors[:, -RANK:] / (values[-RANK:] + FLOOR).sqrt()).float()
    whitened = ((some - mean) @ whitening).numpy()
    means = MiniBatchKMeans(
        patterns, n_init=1, random_state=rng.integer(seed, "means") % 2**32, batch_size=4096, max_iter=30
    ).fit(whitened)
    return Dictionary(mean, whitening, torch.from_numpy(means.cluster_centers_).float())


def main(settings: Settings) -> None:
    """Make it, write it."""
    dictionary = learn(dead_leaves(IMAGES, settings.seed), settings.patterns, settings.seed)
    tensors.save(TARGET, vars(dictionary), {"made by": "tools/make_patterns.py", **vars(settings)})


if __name__ == "__main__":
    script(main, Settings, __doc__)
