"""Sampled images as Python gets them: a NumPy array that knows its classes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fromnoise.data import arrays, saving
from fromnoise.data.image_set import ImageSet


class Images(np.ndarray[Any, np.dtype[np.uint8]]):
    """Sampled images: a uint8 array, N×H×W×C, with their classes in `labels`, and these classes' `class_names`.

    Four channels are straight RGBA. `labels` is int64, N, or None for a model without classes. `class_names` is empty
    where classes are numbers only. Some of the images, such as `images[:100]`, keep both; whatever else is computed
    from the array has neither.
    """

    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]

    def __new__(cls, pixels: ArrayLike, labels: ArrayLike | None = None, class_names: Sequence[str] = ()) -> Self:
        """The array `pixels` as images."""
        images = np.asarray(pixels, dtype=np.uint8).view(cls)
        images.labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        images.class_names = tuple(class_names)
        return images

    def __array_finalize__(self, of: Any) -> None:
        self.labels = None
        self.class_names = ()

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if self.labels is not None and isinstance(key, slice | list | np.ndarray) and np.ndim(found) == self.ndim:
            found.labels, found.class_names = self.labels[key], self.class_names
        return found

    def save(self, path: str | Path) -> None:
        """Write them: one grid (`NAME.png`), an array (`NAME.npz`) or a new folder of PNG files, by class if named.

        Raises UserError for a folder that has anything in it, and for NAME.jpg and the like; a file is replaced.
        """
        saving.save(Path(path), as_set(self, "images"))


def as_set(images: ArrayLike, name: str) -> ImageSet:
    """An array of images as the set called `name`; raises UserError for one of another form."""
    labels = getattr(images, "labels", None)
    found = arrays.from_array(name, np.asarray(images), None if labels is None else torch.from_numpy(labels))
    return replace(found, class_names=getattr(images, "class_names", ()))
