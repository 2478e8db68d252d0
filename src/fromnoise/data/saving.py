"""Saves images where a user says: NAME.png is the image, or a grid of several; NAME.npz an array; any other name a new
folder."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from fromnoise.data import arrays, folder
from fromnoise.data.colour import KINDS
from fromnoise.data.image_set import ImageSet
from fromnoise.data.listing import NAMED, listed
from fromnoise.data.pictures import has_letters, save_grid
from fromnoise.data.settings import check_suffix
from fromnoise.say import say

LONGEST_ROW = 32  # images of one class side by side; with more, the grid is square
LONGEST_NAME = 60  # letters of a folder's, of at most 4 bytes: file systems take 255
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|augment\.json", re.IGNORECASE)
"""Windows' devices, and the report that `fromnoise augment` writes beside the classes."""
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on one file system or another


def save(path: Path, images: ImageSet, *, first: int = 0, per_class: int | None = None) -> None:
    """Write the images, numbered from `first`.

    A single image in NAME.png is true to the byte, transparency included. A grid has the names of classes below the
    images. In a folder several classes with names have a sub-folder each, which `--data` reads back. `per_class`: the
    number of images of each class; a grid then has one row for each, and classes without names are called by their
    numbers. Clusters count as classes only for such a grid.
    Raises UserError for a folder that is not empty, and for NAME.jpg and the like; a file is replaced.
    """
    check_suffix(path)
    labels = None if images.clustered else images.labels
    if path.suffix.lower() == ".png" and len(images) == 1 and images.shape[0] in KINDS:
        folder.save_file(path, images.images[0])
    elif path.suffix.lower() == ".png":
        _save_grid(path, images, per_class)
    elif path.suffix.lower() == ".npz":
        arrays.save(path, images.images, labels, images.class_names, images.groups)
    else:
        several = labels is not None and len(labels.unique()) > 1 and (images.class_names or per_class)
        folder.save(path, images.images, places(images) if several else None, first)


def captions(images: ImageSet) -> list[str]:
    """The name of each image's class, or its number if the font lacks some letters of it; empty if there are no names.

    A line says which classes are numbered.
    """
    if images.labels is None or images.clustered or not images.class_names:
        return []
    shown = {label: images.class_names[label] for label in images.labels.unique().tolist()}
    numbered = {label: name for label, name in shown.items() if not has_letters(name)}
    if numbered:
        which = listed([f"{label} is {name}" for label, name in numbered.items()], NAMED)
        say(f"the caption font cannot show these class names, so their numbers are used: {which}")
    return [str(label) if label in numbered else shown[label] for label in images.labels.tolist()]


def places(images: ImageSet) -> list[str]:
    """The folder of each image's class."""
    assert images.labels is not None
    names = class_folders(images.class_names)
    return [names[label] if names else str(label) for label in images.labels.tolist()]


def class_folders(names: Sequence[str]) -> list[str]:
    """A different folder name for each class: the class's own, without what file systems forbid."""
    safe = [FORBIDDEN.sub("_", name)[:LONGEST_NAME].strip(" .") for name in names]
    safe = [f"_{name}" if RESERVED.fullmatch(name) else name for name in safe]
    if len({name.lower() for name in safe}) == len(names) and all(safe):
        return safe
    return [f"{k} {name}".strip() for k, name in enumerate(safe)]


def _save_grid(path: Path, images: ImageSet, per_class: int | None) -> None:
    if images.labels is None or per_class is None:
        save_grid(path, images.images, captions=captions(images))
        return
    order = torch.argsort(images.labels, stable=True)
    named = captions(images) or [str(label) for label in images.labels.tolist()]
    columns = per_class if per_class <= LONGEST_ROW else None
    save_grid(path, images.images[order], columns, captions=[named[k] for k in order.tolist()])
