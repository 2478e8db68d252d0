"""Arrays of images in and out of files: .npz (`arr_0` or `images`) and .npy; N×H×W, N×H×W×C or N×C×H×W.

C is from 1 to 8, and 4 is straight RGBA. Other numbers are mapped to bytes by their range, and
truth values are black and white.
"""

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.lib import format as npy
from torch import Tensor

from fromnoise.data import blocks, mapped
from fromnoise.data.colour import looks_like_alpha, premultiplied, straight, without_needless_alpha
from fromnoise.data.image_set import MOST_CHANNELS, ImageSet, joined
from fromnoise.data.inventory import line
from fromnoise.data.picture import STRETCHED, enlarged, is_stretched
from fromnoise.data.pixels import as_bytes
from fromnoise.data.resize import resized
from fromnoise.data.source import Reading, Source
from fromnoise.errors import UserError
from fromnoise.files import check_deflated, reading, whole
from fromnoise.say import say

SUFFIXES = (".npz", ".npy")
IMAGES = ("arr_0", "images")
LABELS = ("labels", "arr_1")  # the second: guided-diffusion's samples
NAMES, GROUPS = "class_names", "groups"
DIVIDED = {"train": "train", "val": "val", "test": "heldout"}  # MedMNIST's parts: train_images, train_labels ...
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MOST_HEADER = 1 << 16  # bytes; NumPy itself takes 10,000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; the others may ask for any memory
MOST_CLASSES = 10_000


def load(path: Path, size: tuple[int, int] | None = None, within: tuple[float, float] | None = None) -> ImageSet:
    """The images of an .npz or .npy file, resized to `size` (height, width) if given, with labels if there are any.

    Numbers other than bytes are mapped by the range `within`, or by their own (`pixels.as_bytes`).
    Labels are an .npz file's `labels`, or its `arr_1` if that has one whole number for each image; the names of its
    classes are in `class_names`. `groups` has one whole number or text for each image: those of one group stay in one
    part of a split. Of MedMNIST's files all parts are read, and each image keeps its own.
    Says in one line what was read and what was not. Raises UserError when images and labels do not fit.
    """
    others, notes = list[str](), list[str]()
    if path.suffix.lower() == ".npy":
        with reading(path, "a readable .npy file"):
            found = _images(path, _header(path.name, lambda: path.open("rb"), path.stat().st_size), within)
    else:
        with reading(path, "a readable .npz file"), zipfile.ZipFile(path) as file:
            names = _names(file)
            divided = "train_images" in names and not set(IMAGES) & set(names)
            found, read = _divided(path, file, size, notes) if divided else _whole(path, file, within)
            others = sorted(set(names) - read)
            if "arr_1" in others and found.labels is None:
                others.remove("arr_1")
                others.append("arr_1 (labels are one whole number for each image)")
    found = _as_colours(found)
    if is_stretched(found.shape[1:], size):
        notes.append(STRETCHED)
    notes += enlarged([found.shape[1:]], size)
    if others:
        notes.append(f"arrays not read: {', '.join(others)[:200]}")
    found = resized(found, size)
    say(line(found, notes))
    return found


def numbers(path: Path, keys: Sequence[str]) -> list[np.ndarray] | None:
    """The arrays `keys` of an .npz file as float64; None if it lacks one of them, or holds images.

    Raises UserError for a file that cannot be read, or whose arrays are not numbers.
    """
    with reading(path, "a readable .npz file"), zipfile.ZipFile(path) as file:
        names = _names(file)
        if not set(keys) <= set(names) or set(IMAGES) & set(names):
            return None
        return [_read(_entry(file, key)).astype(np.float64) for key in keys]


def from_array(
    name: str, array: np.ndarray, labels: Tensor | None = None, within: tuple[float, float] | None = None
) -> ImageSet:
    """An array in memory as a set of images, mapped as in `load`; raises UserError if it does not hold images."""
    last = _channels_last(name, array.dtype, array.shape)
    pixels, values = as_bytes(array, name, within)
    return _as_colours(ImageSet(name, _channels_first(torch.from_numpy(pixels), last), labels, range=values))


def _as_colours(images: ImageSet) -> ImageSet:
    """The images, without an alpha that hides nothing; a line warns of a fourth channel that hardly is one."""
    if images.shape[0] == 4 and not looks_like_alpha(images.images):
        say(
            f"{images.name}: four channels are read as RGBA and colours multiplied by the fourth, which does not look "
            "like transparency; if it is not, add a fifth channel of zeros, and all are kept as they are"
        )
    return without_needless_alpha(images)


def to_array(images: UInt8[Tensor, "n c h w"]) -> UInt8[np.ndarray, "n h w c"]:
    """Images as an array in memory, as `from_array` takes it."""
    return straight(images.cpu().permute(0, 2, 3, 1).numpy())


def save(
    path: Path,
    images: UInt8[Tensor, "n c h w"],
    labels: Tensor | None = None,
    class_names: Sequence[str] = (),
    groups: Tensor | None = None,
) -> None:
    """Write `images` as `arr_0` (N×H×W×C, what the field's evaluation scripts read), with `labels`, `class_names` and
    `groups` where there are any."""
    n, c, h, w = images.shape
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("arr_0.npy", "w", force_zip64=True) as member:
            npy.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (n, h, w, c)})
            for part in blocks.parts(images):
                member.write(np.ascontiguousarray(to_array(part)).data)
        for name, each in (("labels", labels), (GROUPS, groups)):
            if each is not None:
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, each.cpu().numpy(), allow_pickle=False)
        if labels is not None and class_names:
            with file.open("class_names.npy", "w") as member:
                npy.write_array(member, np.array(class_names, dtype=np.str_), allow_pickle=False)


def _whole(path: Path, file: zipfile.ZipFile, within: tuple[float, float] | None) -> tuple[ImageSet, set[str]]:
    """The images of a file with one array of them, and the names of the arrays that were read."""
    names = _names(file)
    key = next((key for key in IMAGES if key in names), None)
    if key is None:
        hint = "; statistics can only be the reference" if "mu" in names else ""
        raise UserError(f"{path} has no array 'arr_0' or 'images'; it has: {', '.join(names)[:200]}{hint}")
    found, read = _images(path, _entry(file, key), within), {key}
    for name in LABELS:
        if name in names and found.labels is None:
            found = replace(found, labels=_labels(path, _entry(file, name), len(found)))
            read |= set() if found.labels is None else {name}
    if found.labels is not None and NAMES in names:
        found = replace(found, class_names=_class_names(_entry(file, NAMES), found.classes))
        read |= {NAMES} if found.class_names else set()
    if GROUPS in names:
        found, read = replace(found, groups=_groups(path, _entry(file, GROUPS), len(found))), read | {GROUPS}
    return found, read


def _divided(
    path: Path, file: zipfile.ZipFile, size: tuple[int, int] | None, notes: list[str]
) -> tuple[ImageSet, set[str]]:
    """The images in one of MedMNIST's files, at `size`, and the names of the arrays that were read.

    They have no labels if it has none for some part, or several numbers for each image; `notes` gets the reason.
    """
    names, sets, parts, read = _names(file), list[ImageSet](), list[str](), set[str]()
    for prefix, part in DIVIDED.items():
        key, label_key = f"{prefix}_images", f"{prefix}_labels"
        if key not in names:
            continue
        found, labels = _images(path, _entry(file, key)), None
        if found.range is not None:
            raise UserError(f"{path}: '{key}' does not hold bytes, as MedMNIST's arrays do")
        entry = _entry(file, label_key) if label_key in names else None
        if entry is not None and entry.shape[1:] in ((), (1,)):
            labels = _labels(path, entry, len(found))
        elif entry is not None and not any(note.startswith("no classes") for note in notes):
            notes.append(f"no classes: '{label_key}' has {entry.shape[-1]} numbers for each image")
        if not sets and is_stretched(found.shape[1:], size):
            notes.append(STRETCHED)
        sets.append(resized(replace(found, labels=labels), size))
        parts += [part] * len(found)
        read |= {key} if labels is None else {key, label_key}
    without = [each for each in sets if each.labels is None]
    if without and len(without) < len(sets):
        notes.append("no classes: some parts have no labels")
    return replace(joined(sets, str(path)), parts=tuple(parts) if len(sets) > 1 else ()), read


class _Entry(NamedTuple):
    """Where an array lies, and what it holds."""

    key: str
    open: Callable[[], IO[bytes]]
    shape: tuple[int, ...]
    reverse: bool
    dtype: np.dtype[Any]
    start: int


def _names(file: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in file.namelist()]


def _entry(file: zipfile.ZipFile, key: str) -> _Entry:
    """The array `key` of an .npz file, with only its header read.

    Raises ValueError, or as NumPy and zipfile do, if it cannot be what its header says, before it takes memory.
    """
    info = file.getinfo(key if key in file.namelist() else f"{key}.npy")
    if info.compress_type not in METHODS:
        raise ValueError(f"'{key}' is compressed in a way that NumPy does not write")
    found = _header(key, partial(file.open, info), info.file_size)
    check_deflated(info.file_size, info.compress_size)
    return found


def _header(key: str, opened: Callable[[], IO[bytes]], size: int) -> _Entry:
    """The array in `size` bytes of NumPy's format; raises as `_entry` does."""
    with opened() as stream:
        header = io.BytesIO(stream.read(MOST_HEADER))
    version = npy.read_magic(header)
    if version not in HEADERS:
        raise ValueError(f"'{key}' is in a format of version {version}")
    shape, reverse, dtype = HEADERS[version](header)
    if dtype.hasobject:
        raise ValueError(f"'{key}' holds pickled objects")
    if min(shape, default=0) < 0 or size != header.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"'{key}' does not have the length that its header gives")
    return _Entry(key, opened, shape, reverse, dtype, header.tell())


def _read(entry: _Entry) -> np.ndarray:
    """All of an array of numbers; raises ValueError for anything else."""
    if entry.dtype.kind not in "biuf":
        raise ValueError(f"'{entry.key}' holds no numbers")
    return _values(entry).reshape(entry.shape, order="F" if entry.reverse else "C")


def _values(entry: _Entry) -> np.ndarray:
    """All values of an array, as they lie in the file."""
    with entry.open() as stream:
        return np.frombuffer(stream.read()[entry.start :], entry.dtype)


def _labels(path: Path, entry: _Entry, n: int) -> Tensor | None:
    """The labels of n images; None if `arr_1` holds something else."""
    whole_numbers = len(entry.shape) == 1 and np.issubdtype(entry.dtype, np.integer)
    if entry.key == "arr_1" and not (whole_numbers and entry.shape == (n,)):
        return None
    wanted = f"{path}: '{entry.key}' must be one whole number from 0 to {MOST_CLASSES - 1} for each image, not"
    if entry.shape[1:] == (1,):
        entry = entry._replace(shape=entry.shape[:1])
    if len(entry.shape) != 1 or entry.dtype.kind not in "biu":
        hint = "; names go into 'class_names'" if entry.dtype.kind in "US" else ""
        hint = "; take .argmax(1) of one-hot labels" if len(entry.shape) == 2 else hint
        raise UserError(f"{wanted} {entry.dtype} {entry.shape}{hint}")
    if entry.shape != (n,):
        raise UserError(f"{path}: {entry.shape[0]} labels for {n} images")
    labels = _read(entry)
    if (labels < 0).any() or (labels >= MOST_CLASSES).any():
        raise UserError(f"{wanted} {labels.min()} to {labels.max()}")
    return torch.from_numpy(labels.astype(np.int64))


def _groups(path: Path, entry: _Entry, n: int) -> Tensor:
    """The groups of n images, numbered."""
    if entry.shape not in ((n,), (n, 1)) or entry.dtype.kind not in "iuUS":
        wanted = f"one whole number or text for each of the {n:,} images"
        raise UserError(f"{path}: '{entry.key}' must be {wanted}, not {entry.dtype} {entry.shape}")
    return torch.from_numpy(np.unique(_values(entry), return_inverse=True)[1])


def _images(path: Path, entry: _Entry, within: tuple[float, float] | None = None) -> ImageSet:
    """The images in an array; raises UserError for an array of anything else.

    Bytes are read from their compressed form as they go into the tensor, a block at a time.
    """
    shape = entry.shape
    last = _channels_last(f"{path}: '{entry.key}'", entry.dtype, shape)
    if entry.dtype != np.uint8:
        pixels, values = as_bytes(_read(entry), str(path), within)
        return ImageSet(str(path), _channels_first(torch.from_numpy(pixels), last), range=values)
    raw = mapped.empty(shape[::-1] if entry.reverse else shape, torch.uint8)
    with entry.open() as stream:
        stream.read(entry.start)
        for part in blocks.parts(raw.flatten()):
            part.numpy()[:] = np.frombuffer(stream.read(len(part)), np.uint8, count=len(part))
        stream.read(1)  # there is none: now zipfile has seen the end, and checks all that was read
    if entry.reverse:  # the first index runs fastest ("Fortran order")
        raw = raw.permute(*reversed(range(raw.ndim)))
    return ImageSet(str(path), _channels_first(raw, last))


def _channels_last(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Whether images of this shape are N×H×W×C or N×H×W, not N×C×H×W; raises UserError if they are not images.

    Channels are the shorter of the second and the last axis; the last if both are as long.
    """
    if len(shape) in (3, 4) and 0 in shape:
        raise UserError(f"{name} has no images")
    ends = (shape[-1], shape[1]) if len(shape) == 4 else (1, 1)
    if dtype.kind not in "biuf" or len(shape) not in (3, 4) or not 1 <= min(ends) <= MOST_CHANNELS:
        wanted = f"numbers, N×H×W, N×H×W×C or N×C×H×W with C from 1 to {MOST_CHANNELS}"
        raise UserError(f"{name} is {dtype} {shape}; images must be {wanted}")
    return ends[0] <= ends[1]


def _channels_first(images: UInt8[Tensor, "n *s"], last: bool) -> UInt8[Tensor, "n c h w"]:
    """An array of images as fromnoise has them."""
    images = images[..., None] if images.ndim == 3 else images
    images = images.permute(0, 3, 1, 2) if last else images
    if images.shape[1] == 4:
        for part in blocks.parts(images):
            pixels = part.permute(0, 2, 3, 1).numpy()
            pixels[:] = premultiplied(pixels)
    if images.is_contiguous():  # grey; the strides of its one channel would have PyTorch convolve channels last
        return images.flatten().view(images.shape)
    return blocks.join(blocks.parts(images), len(images))


def _class_names(entry: _Entry, classes: int) -> tuple[str, ...]:
    """The names of at least `classes` classes; none if the array holds something else."""
    if entry.dtype.kind != "U" or len(entry.shape) != 1 or not classes <= entry.shape[0] <= MOST_CLASSES:
        return ()
    return tuple(_values(entry).tolist())


def _load(name: str, how: Reading) -> ImageSet:
    if how.label_by is not None:
        raise UserError(f"--label-by is for a folder or an archive of images: those in {name} have no file names")
    return load(Path(name), how.size, how.within)


SOURCE = Source(
    "an .npz or .npy file", lambda name: Path(name).suffix.lower() in SUFFIXES and Path(name).is_file(), _load
)
