"""The features that choose a model's guidance and its best checkpoint: random convolutions.

They are never those of the score, which the choice would flatter. Random filters find edges, spots and colours (Jarrett
et al. 2009, "What is the best multi-stage architecture for object recognition?") in any images, without a download.
"""

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor

from fromnoise import rng
from fromnoise.data.colour import AVERAGED, by_colour
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize
from fromnoise.evaluation.extractor import BILINEAR, Features

SIDE, SCALES = 32, (1, 2, 4)
FILTERS, WIDTH = 32, 5


def choosing_features(device: torch.device) -> Features:
    """The mean and deviation of each filter's rectified response over the image, at three scales: 192 numbers."""
    filters = rng.normal((FILTERS, 3, WIDTH, WIDTH), 0, "random convolutions") / (3 * WIDTH * WIDTH) ** 0.5
    there = filters.to(device)

    def seen(rgb: Tensor) -> Tensor:
        x = normalise(resize(rgb, (SIDE, SIDE)))
        responses = [F.conv2d(F.avg_pool2d(x, scale), there).relu().flatten(2) for scale in SCALES]
        return torch.cat([of for each in responses for of in (each.mean(dim=2), each.std(dim=2))], dim=1)

    def extract(images: Tensor) -> Tensor:
        return by_colour(images.to(device), seen)

    sha256 = hashlib.sha256(filters.numpy().tobytes()).hexdigest()
    return Features("random convolutions", 2 * FILTERS * len(SCALES), sha256, extract, BILINEAR, AVERAGED)
