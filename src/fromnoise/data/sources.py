"""From what a user writes (`digits`, `mnist:test`, `photos/`, `images.npz:heldout`) to an `ImageSet`.

Every source has three parts. `train` is learnt. `val` is real data that nobody trains on: it may choose between
models, and floors are drawn from it. `heldout` never chooses anything: scores are taken against it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fromnoise import rng
from fromnoise.data import arrays, digits, folder, idx
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.data.settings import NAMED, DataSettings, parse_size
from fromnoise.errors import UserError
from fromnoise.files import lost

PARTS = ("train", "val", "heldout", "test")
SPLIT_SEED = 0  # of a user's own images: fixed, so that `PATH:heldout` means the same images everywhere
SHARE = 10  # one image in ten of a user's own images, or of a whole IDX set, for each of `val` and `heldout`


@dataclass(frozen=True)
class Parts:
    """The three parts of a source, all of one size; `val` and `heldout` are None when there is too little."""

    train: ImageSet
    val: ImageSet | None
    heldout: ImageSet | None


def load(spec: str, size: tuple[int, int] | None = None, root: Path | None = None) -> ImageSet:
    """The images that `spec` names, at `size` (height, width) if given.

    `NAME` or `NAME:PART` for the named sets (digits:train|val|heldout, mnist:train|test, fashion_mnist:train|test;
    train when not said); `PATH` for all images of a folder or .npz file, `PATH:PART` for a part of them.
    Raises UserError for what does not exist.
    """
    name, part = _parse(spec)
    if name == "digits":
        images = digits.load(_check(spec, part or "train", tuple(digits.PARTS)))
    elif name in idx.SETS:
        images = idx.load(name, _check(spec, part or "train", tuple(idx.STEMS)), root)
    else:
        images = _load_path(Path(name), size)
        if part:
            parts = _split(images)
            chosen = getattr(parts, _check(spec, part, PARTS[:3]))
            if chosen is None:
                raise UserError(f"{name} has too few images ({len(images)}) for a part '{part}'")
            images = chosen
    return resized(images, size) if size else images


def prepare(settings: DataSettings, seed: int) -> Parts:
    """The parts to train and score with, as `settings` say. Raises UserError for what cannot be had."""
    size = parse_size(settings.size)
    name, part = _parse(settings.data)
    if part:
        raise UserError(f"--data {settings.data}: name the whole source, '{name}'; its parts are made by fromnoise")
    if name == "digits":
        parts = Parts(*(digits.load(part) for part in ("train", "val", "heldout")))
    elif name in idx.SETS:
        whole = idx.load(name, "train", settings.data_root)
        m = len(whole) - len(whole) // SHARE if settings.m is None else settings.m
        train, rest = whole.split(m, seed, balanced=settings.m is not None)
        val = None if rest is None else _with_shares_of(whole, rest)
        return _resized(Parts(train, val, idx.load(name, "test", settings.data_root)), size)
    else:
        parts = _split(_load_path(Path(name), size))
    if settings.m is not None:
        parts = Parts(parts.train.draw(settings.m, seed), parts.val, parts.heldout)
    return _resized(parts, size)


def reference_for(data: str) -> str:
    """The spec of the images that a model of `data` is scored against."""
    return f"{data}:test" if data in idx.SETS else f"{data}:heldout"


def class_names(spec: str) -> list[str]:
    """The names of the classes where `spec` is (a part of) a folder with named ones, else none."""
    folders = folder_of(_parse(spec)[0])
    return [] if folders is None else folder.class_names(folders)


def folder_of(spec: str) -> Path | None:
    """The folder whose images `spec` names, all of them; None for anything else, as for a set with a folder's name."""
    return Path(spec) if spec not in NAMED and Path(spec).is_dir() else None


def floor_for(reference: str) -> str | None:
    """The spec of real images, not in `reference`, that a floor against it can be drawn from; None if unknown."""
    name, part = _parse(reference)
    if part == "test" and name in idx.SETS:
        return f"{name}:train"
    return f"{name}:val" if part == "heldout" else None


def _parse(spec: str) -> tuple[str, str | None]:
    name, colon, part = spec.rpartition(":")
    return (name, part) if colon and part in PARTS else (spec, None)


def _check(spec: str, part: str, known: tuple[str, ...]) -> str:
    if part not in known:
        raise UserError(f"{spec}: there is no part '{part}'; choose one of: {', '.join(known)}")
    return part


def _load_path(path: Path, size: tuple[int, int] | None) -> ImageSet:
    if path.is_dir():
        return folder.load(path, size)
    if path.suffix.lower() == ".npz" and path.is_file():
        return arrays.load(path)
    known = ", ".join(NAMED)
    raise UserError(f"'{path}' is neither a data set ({known}) nor a folder of images nor an .npz file{lost(path)}")


def _split(images: ImageSet) -> Parts:
    """Eight images in ten to train, one for each of the other parts; of each class alike, however rare.

    An image that is there twice is in one part only: first of all in train, then in heldout.
    """
    order = rng.generator(SPLIT_SEED, "parts", len(images)).permutation(len(images))
    if images.labels is not None:
        order = order[np.argsort(images.labels.cpu().numpy()[order], kind="stable")]
    place = np.arange(len(order)) % SHARE

    def part(name: str, chosen: np.ndarray) -> ImageSet:
        return images.take(np.sort(order[chosen]), f"{images.name}:{name}")

    if len(images) < SHARE:
        return Parts(images, None, None)
    train = part("train", (place != SHARE // 2) & (place != SHARE - 1))
    heldout = less(part("heldout", place == SHARE - 1), train)
    val = less(part("val", place == SHARE // 2), train)
    return Parts(train, less(val, heldout), heldout)


def less(images: ImageSet | None, other: ImageSet | None) -> ImageSet | None:
    """The images that are not in `other`; None where none is left, or there were none."""
    if images is None or other is None:
        return images
    try:
        return images.without(other)
    except UserError:
        return None


def unseen(images: ImageSet, train: ImageSet | None) -> ImageSet | None:
    """The images that are not in `train`, as many as keep all images' shares of the classes; None where none is left.

    A balanced draw leaves few of a rare class: what it left is no fair sample of real images any more.
    """
    rest = less(images, train)
    return rest if rest is None else _with_shares_of(images, rest)


def _with_shares_of(whole: ImageSet, part: ImageSet) -> ImageSet:
    """As many images of `part`, some of `whole`, as have the whole's shares of the classes that are left."""
    if whole.labels is None or part.labels is None or len(part) == len(whole):
        return part
    labels = part.labels.cpu().numpy()
    all_of, left_of = (np.bincount(each, minlength=whole.classes) for each in (whole.labels.cpu().numpy(), labels))
    left = left_of > 0
    keep = np.ceil(all_of * (left_of[left] / all_of[left]).min()).astype(np.int64)
    order = rng.generator(SPLIT_SEED, "shares", len(part)).permutation(len(part))
    chosen = [order[labels[order] == label][: keep[label]] for label in np.flatnonzero(left)]
    return part.take(np.sort(np.concatenate(chosen)))


def _resized(parts: Parts, size: tuple[int, int]) -> Parts:
    val, heldout = (None if part is None else resized(part, size) for part in (parts.val, parts.heldout))
    return Parts(resized(parts.train, size), val, heldout)
