"""The 5,000 MNIST training digits that travel inside the package (500 a class, none from the test set)."""

import functools
from importlib import resources

import numpy as np
import torch

from fromnoise.data.image_set import ImageSet
from fromnoise.data.source import named

# Rows of the packaged file, which tools/make_digits.py has put in an order that balances every part.
PARTS = {"train": (0, 3000), "val": (3000, 4000), "heldout": (4000, 5000)}


def load(part: str) -> ImageSet:
    """The part `train` (3,000 digits), `val` (1,000) or `heldout` (1,000): 1×28×28, equally many of each class."""
    images, labels = (array[slice(*PARTS[part])].copy() for array in _packaged())
    return ImageSet(f"digits:{part}", torch.from_numpy(images)[:, None], torch.from_numpy(labels).long())


@functools.cache
def _packaged() -> tuple[np.ndarray, np.ndarray]:
    """All 5,000, N×28×28, and their labels: 4 MB, unpacked once."""
    with resources.files("fromnoise.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["images"], arrays["labels"]


SOURCE = named("digits", tuple(PARTS), load)
