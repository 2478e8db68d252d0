"""Clusters of similar images: what a network is conditioned on if the images have no classes.

An image's cluster makes a diffusion model's task easier, if less so than its class, and the model can be guided
(Hu et al. 2023, "Self-guided diffusion models"; Adaloglou et al. 2024, "Rethinking cluster-conditioned diffusion models
for label-free image synthesis"). Reduced pixels say what is where. Colour images are compared by their textures too
(`patterns`): clusters by pixels alone make guidance useless on emoji. Digits fall into better clusters by pixels alone.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from fromnoise import rng
from fromnoise.data import blocks, patterns
from fromnoise.data.image_set import ImageSet

LEAST = 50
"""Images in a cluster, on average, at least."""
SIDE = 16
"""Pixels a side to which images are reduced for comparison."""
FITTED = 5_000
"""Images from which the clusters' centres are found, at most."""
STARTS = 4
BATCH = 64
COLOURED = 3
"""Channels of images in colour, at least."""
SEED = 0  # always the same clusters of the same images


def conditioned(images: ImageSet, classes: bool, k: int) -> ImageSet:
    """A training set with the labels that a network is conditioned on.

    Its classes, if it has any and `classes` is true. Otherwise `k` clusters, fewer if there are not `LEAST` images for
    each; no labels if there are fewer than two.
    """
    if classes and images.classes > 1:
        return images
    k = min(k, len(images) // LEAST)
    found = replace(images, labels=clusters(images.images, k), clustered=True) if k > 1 else images
    return found if found.clustered and found.classes > 1 else replace(images, labels=None)


def clusters(images: UInt8[Tensor, "n c h w"], k: int) -> Int64[Tensor, " n"]:
    """The cluster of each image by k-means (scikit-learn), counted from 0 in the order of first appearance.

    The same for the same images. There are fewer than `k` if fewer images differ.
    """
    from sklearn.cluster import KMeans  # takes a second to import, which labelled data need not wait for

    chosen = np.sort(rng.generator(SEED, "clusters", len(images)).permutation(len(images))[:FITTED])
    rows = np.concatenate([_seen(part) for part in blocks.parts(images, chosen)])
    scale = _scale(rows, images.shape[1])
    rows = rows * scale
    k = min(k, len(np.unique(rows, axis=0)))
    means = KMeans(k, n_init=STARTS, random_state=SEED).fit(rows)
    found = np.concatenate([means.predict(_seen(part) * scale) for part in blocks.parts(images)])
    _, first, cluster = np.unique(found, return_index=True, return_inverse=True)
    return torch.from_numpy(np.argsort(np.argsort(first))[cluster]).long()


def _seen(images: UInt8[Tensor, "n c h w"]) -> Float[np.ndarray, "n d"]:
    """Reduced pixels; of images in colour also how much of each pattern there is."""
    height, width = (min(side, SIDE) for side in images.shape[2:])
    pixels = F.adaptive_avg_pool2d(images.cpu().double(), (height, width)).flatten(1)
    if images.shape[1] < COLOURED:
        return pixels.numpy()
    dictionary = patterns.packaged()
    found = torch.cat([patterns.amounts(part.cpu(), dictionary) for part in images.split(BATCH)])
    return torch.cat([pixels, found.double()], dim=1).numpy()


def _scale(rows: Float[np.ndarray, "n d"], channels: int) -> Float[np.ndarray, " d"] | float:
    """Factors by which pixels and patterns each have a variance of 1 in all; 1 where there are only pixels."""
    if channels < COLOURED:
        return 1.0
    k = len(patterns.packaged().centres)
    parts = rows[:, :-k], rows[:, -k:]
    return np.concatenate([np.full(part.shape[1], 1 / max(part.var(axis=0).sum() ** 0.5, 1e-9)) for part in parts])
