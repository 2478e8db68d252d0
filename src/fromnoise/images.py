"""Sampled images as Python gets them: a NumPy array that knows its classes."""

import contextlib
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL.Image import Image

from fromnoise.calls import called_from_python
from fromnoise.data import arrays, saving
from fromnoise.data.colour import KINDS
from fromnoise.data.image_set import MOST_CHANNELS, ImageSet
from fromnoise.errors import UserError

PLAIN = ("1", "L", "RGB", "RGBA", "I", "I;16", "F")  # modes of Pillow whose numbers are the pixels
Arrays = ArrayLike | Image | Sequence[Image]
Source = str | Path | ImageSet | Arrays
"""A set of images: as an array, or as the command line names it."""


class Images(np.ndarray[tuple[int, ...], np.dtype[np.uint8]]):
    """Sampled images: a uint8 array, N×H×W×C, with their classes in `labels`, and these classes' `class_names`.

    Four channels are straight RGBA. `labels` is int64, N, or None for a model without classes. `class_names` is empty
    where classes are numbers only. Some of the images, such as `images[:100]`, keep both; whatever else is computed
    from the array has neither. Where whole images are assigned, as in a shuffle in place, all labels are dropped: use
    `images[order]`, or set `labels` again.
    """

    class_names: tuple[str, ...]
    _labels: NDArray[np.int64] | None

    def __new__(cls, pixels: ArrayLike, labels: ArrayLike | None = None, class_names: Sequence[str] = ()) -> Self:
        """The array `pixels` as images; raises UserError for other numbers than bytes, and for too few labels."""
        given = array_of(pixels, "images")
        if given.dtype != np.uint8:
            raise UserError(f"images are bytes (uint8), not {given.dtype}")
        images = given.view(cls)
        images.class_names = tuple(class_names)
        images.labels = labels
        return images

    def __array_finalize__(self, of: Any) -> None:
        self._labels = None
        self.class_names = ()
        labelled = isinstance(of, Images) and of.labels is not None and of.ndim == self.ndim
        self._viewed = weakref.ref(of) if labelled else lambda: None

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The images' classes; raises UserError if set to too few, or to numbers that are no classes."""
        return self._labels

    @labels.setter
    def labels(self, labels: ArrayLike | None) -> None:
        self._labels = None if labels is None else _checked(np.asarray(labels), self)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else super().__array_wrap__(array, context, return_scalar)

    @overload  # type: ignore[override]
    def __getitem__(self, key: slice | list[Any] | range | NDArray[Any]) -> Self: ...
    @overload
    def __getitem__(self, key: Any) -> Any: ...
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        rows = _rows(key)
        if self._labels is not None and rows is not None and np.ndim(found) == self.ndim:
            found._labels, found.class_names = self._labels[rows], self.class_names
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        """Change pixels. Other images in the place of some, as by a shuffle, have no labels: all are dropped."""
        super().__setitem__(key, value)
        if (key is None or _rows(key) is not None) and np.ndim(value) >= self.ndim - 1:
            self.labels = None
            if (of := self._viewed()) is not None and np.may_share_memory(of, self):  # NumPy shuffles a view
                of.labels = None

    def copy(self, order: Any = "C") -> "Images":
        """The same, labels included."""
        labels = None if self._labels is None else self._labels.copy()
        return _restored(np.array(self, order=order), labels, self.class_names)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> "Images":
        return self.copy()

    def __reduce__(self) -> Any:
        return _restored, (np.asarray(self), self.labels, self.class_names)

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the first 64 as a grid, or an image; nothing for other numbers."""
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(UserError, ValueError, IndexError):
            file = Path(folder) / "images.png"
            Images(self[:64] if self.ndim == 4 else self).save(file)
            return file.read_bytes()
        return None

    @called_from_python()
    def save(self, path: str | Path) -> None:
        """Write an image or a grid (`NAME.png`), an array (`NAME.npz`) or a new folder of PNG files, by class if named.

        Raises UserError for a folder that has anything in it, for NAME.jpg and the like, and for numbers other than
        bytes, as arithmetic makes them; a file is replaced.
        """
        if self.dtype not in (np.uint8, np.bool_):
            raise UserError(f"images are bytes (uint8), not {self.dtype}: round them and convert them first")
        channels = self.shape[-1]  # an image of its own, as images[0] is
        one = self.ndim == 3 and (channels in KINDS or channels <= MOST_CHANNELS < self.shape[0])
        saving.save(Path(path), as_set(self[None] if one else self, "images"))


def _rows(key: Any) -> Any:
    """Which images an index selects, if it selects whole ones; else None."""
    first, *beside = (key or (...,)) if isinstance(key, tuple) else (key,)
    every = all(each is Ellipsis or (isinstance(each, slice) and each == slice(None)) for each in beside)
    if not every or (np.ndim(first) > 1 and not beside):
        return None
    return slice(None) if first is Ellipsis else first


def _checked(labels: NDArray[Any], images: Images) -> NDArray[np.int64]:
    """The labels; raises UserError for too few, and for those that are no classes."""
    if labels.shape != images.shape[:1]:
        raise UserError(f"{len(images)} images need as many labels, not an array {labels.shape}")
    if labels.dtype.kind not in "biuf" or not ((labels >= 0) & (labels == np.floor(labels))).all():
        raise UserError("labels are whole numbers from 0, one for each image")
    if images.class_names and labels.size and labels.max() >= len(images.class_names):
        raise UserError(f"label {labels.max():g} has no name: there are {len(images.class_names)} class names")
    return labels.astype(np.int64)


def _restored(array: NDArray[Any], labels: NDArray[np.int64] | None, class_names: tuple[str, ...]) -> Images:
    """What was computed from images too, which may be other numbers than bytes."""
    images = array.view(Images)
    images._labels, images.class_names = labels, class_names
    return images


def array_of(images: Arrays, name: str) -> NDArray[Any]:
    """Numbers as one array; raises UserError for anything else, such as images of several sizes or names of files."""
    for each in images if isinstance(images, list | tuple) else [images]:
        mode = getattr(each, "mode", None)  # of Pillow's images, whose numbers may be a palette's, or CMYK's
        if isinstance(mode, str) and mode not in PLAIN and not isinstance(each, np.ndarray):  # np.memmap has a mode too
            raise UserError(f"{name}: Pillow's mode {mode} is not grey, RGB or RGBA: convert it, as by .convert('RGB')")
    try:
        array = np.asarray(images.detach().cpu() if isinstance(images, torch.Tensor) else images)
    except (ValueError, TypeError, RuntimeError) as error:  # PyTorch's too
        raise UserError(f"{name}: these differ in size, or are not numbers that NumPy knows") from error
    if array.dtype.kind not in "biuf":
        kind = f"one of {array.dtype}" if isinstance(images, np.ndarray) else type(images).__name__
        raise UserError(f"{name}: give an array of numbers, not {kind}; open files first, for example with Pillow")
    return array


def named(images: Source, role: str, within: tuple[float, float] | None = None) -> str | ImageSet:
    """A set of images as a score takes it; an array is called by its `role`, and mapped as in `arrays.load`."""
    if isinstance(images, str | Path):
        return str(images)
    return images if isinstance(images, ImageSet) else as_set(images, role, within)


def batch_of(images: Arrays, channels: int, width: int) -> Arrays:
    """Images for a model of so many channels and this width; a single one, H×W×C or H×W, as a set of one."""
    given = array_of(images, "images")
    last = given.shape[-1] if given.ndim else 0
    one = given.ndim == 2 or (given.ndim == 3 and last in (*KINDS, channels) and last < width // 2)
    return given[None] if one else images


def as_set(images: Arrays, name: str, within: tuple[float, float] | None = None) -> ImageSet:
    """An array of images as the set called `name`, mapped as in `arrays.load`; raises UserError for another form."""
    labels = getattr(images, "labels", None)
    classes = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels))
    found = arrays.from_array(name, array_of(images, name), classes, within)
    return replace(found, class_names=getattr(images, "class_names", ()))
