"""Arrays of images in and out of files: .npz (`arr_0` or `images`) and .npy; uint8, N×H×W×C or N×H×W."""

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.lib import format as npy
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import Say, line, silent
from fromnoise.data.resize import resized
from fromnoise.errors import UserError
from fromnoise.files import check_deflated, reading, whole

SUFFIXES = (".npz", ".npy")
IMAGES = ("arr_0", "images")
LABELS = ("labels", "arr_1")  # the second: guided-diffusion's samples
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MOST_HEADER = 1 << 16  # bytes; NumPy itself takes 10,000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; the others may ask for any memory
MOST_CLASSES = 10_000
# From what range of floats to bytes.
FLOATS = (
    (0, 1, "(255 * images)"),
    (-1, 1, "(127.5 * (images + 1))"),
    (0, 255, "images"),
)
SLACK = 0.1  # of a range, which a sampler that does not clip may overstep


def load(path: Path, size: tuple[int, int] | None = None, *, say: Say = silent) -> ImageSet:
    """The images of an .npz or .npy file, resized to `size` (height, width) if given, with labels if there are any.

    Labels are an .npz file's `labels`, or its `arr_1` if that has one whole number for each image.
    `say` gets one line on what was read and what was not. Raises UserError when images and labels do not fit.
    """
    labels, others = None, set[str]()
    if path.suffix.lower() == ".npy":
        with reading(path, "a readable .npy file"):
            images = _images(path, _header(path.name, lambda: path.open("rb"), path.stat().st_size))
    else:
        with reading(path, "a readable .npz file"), zipfile.ZipFile(path) as file:
            names = _names(file)
            key = next((key for key in IMAGES if key in names), None)
            if key is None:
                hint = "; statistics can be the reference, and nothing else" if "mu" in names else ""
                raise UserError(f"{path} has no array 'arr_0' or 'images'; it has: {', '.join(names)[:200]}{hint}")
            images = _images(path, _entry(file, key))
            for name in LABELS:
                if name in names and labels is None:
                    labels = _labels(path, _entry(file, name), len(images))
                    key = key if labels is None else f"{key} {name}"
            others = set(names) - set(key.split())
    was = images.shape[2:]
    found = ImageSet(str(path), images, labels)
    found = resized(found, size) if size else found
    say(line(found, [(was[0], was[1])], [f"arrays not read: {', '.join(sorted(others))[:200]}"] if others else []))
    return found


def numbers(path: Path, keys: Sequence[str]) -> list[np.ndarray] | None:
    """The arrays `keys` of an .npz file as float64; None where it lacks one of them, or has images.

    Raises UserError for a file that cannot be read, or whose arrays are not numbers.
    """
    with reading(path, "a readable .npz file"), zipfile.ZipFile(path) as file:
        names = _names(file)
        if not set(keys) <= set(names) or set(IMAGES) & set(names):
            return None
        return [_read(_entry(file, key)).astype(np.float64) for key in keys]


def from_array(name: str, array: np.ndarray, labels: Tensor | None = None) -> ImageSet:
    """An array in memory as a set of images; raises UserError for one that is not of images."""
    shape = array.shape
    _check(name, array.dtype, shape, lambda: array.reshape(-1)[:MOST_HEADER])
    pixels = array[..., None] if array.ndim == 3 else array
    return ImageSet(name, torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), labels)


def save(path: Path, images: UInt8[Tensor, "n c h w"], labels: Tensor | None = None) -> None:
    """Write `images` as `arr_0` (N×H×W×C, what the field's evaluation scripts read) and `labels` if given."""
    n, c, h, w = images.shape
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("arr_0.npy", "w", force_zip64=True) as member:
            npy.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (n, h, w, c)})
            for part in blocks.parts(images):
                member.write(part.cpu().permute(0, 2, 3, 1).contiguous().numpy().data)
        if labels is not None:
            with file.open("labels.npy", "w", force_zip64=True) as member:
                npy.write_array(member, labels.cpu().numpy(), allow_pickle=False)


class _Entry(NamedTuple):
    """Where one array lies, and of what it is."""

    key: str
    open: Callable[[], IO[bytes]]
    shape: tuple[int, ...]
    reverse: bool
    dtype: np.dtype[Any]
    start: int


def _names(file: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in file.namelist()]


def _entry(file: zipfile.ZipFile, key: str) -> _Entry:
    """The array `key` of an .npz file, of which nothing as long as it says has been read yet.

    Raises ValueError, or what NumPy and zipfile raise, where it cannot be what it says, before there is memory for it.
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
    if entry.dtype.kind not in "iuf":
        raise ValueError(f"'{entry.key}' holds no numbers")
    with entry.open() as stream:
        values = np.frombuffer(stream.read()[entry.start :], entry.dtype)
    return values.reshape(entry.shape, order="F" if entry.reverse else "C")


def _labels(path: Path, entry: _Entry, n: int) -> Tensor | None:
    """The labels of n images; None for an `arr_1` that holds something else."""
    whole_numbers = len(entry.shape) == 1 and np.issubdtype(entry.dtype, np.integer)
    if entry.key == "arr_1" and not (whole_numbers and entry.shape == (n,)):
        return None
    wanted = f"{path}: '{entry.key}' must be one whole number from 0 to {MOST_CLASSES - 1} for each image"
    if not whole_numbers:
        raise UserError(wanted)
    if entry.shape != (n,):
        raise UserError(f"{path}: {entry.shape[0]} labels for {n} images")
    labels = _read(entry)
    if (labels < 0).any() or (labels >= MOST_CLASSES).any():
        raise UserError(wanted)
    return torch.from_numpy(labels.astype(np.int64))


def _images(path: Path, entry: _Entry) -> UInt8[Tensor, "n c h w"]:
    """The array, read from its compressed form as it goes into the tensor, a block at a time.

    Raises UserError for an array that is not of images.
    """
    shape = entry.shape

    def first() -> np.ndarray:
        with entry.open() as stream:
            stream.read(entry.start)
            found = stream.read(MOST_HEADER)
        return np.frombuffer(found[: len(found) // entry.dtype.itemsize * entry.dtype.itemsize], entry.dtype)

    _check(f"{path}: '{entry.key}'", entry.dtype, shape, first)
    raw = torch.empty(shape[::-1] if entry.reverse else shape, dtype=torch.uint8)
    with entry.open() as stream:
        stream.read(entry.start)
        for part in blocks.parts(raw.flatten()):
            part.numpy()[:] = np.frombuffer(stream.read(len(part)), np.uint8, count=len(part))
        stream.read(1)  # there is none: now zipfile has seen the end, and checks all that was read
    if entry.reverse:  # the first index runs fastest ("Fortran order")
        raw = raw.permute(*reversed(range(raw.ndim)))
    images = (raw[..., None] if raw.ndim == 3 else raw).permute(0, 3, 1, 2)
    if images.is_contiguous():  # grey; the strides of its one channel would have PyTorch convolve channels last
        return images.flatten().view(images.shape)
    return images.contiguous()


def _check(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], first: Callable[[], np.ndarray]) -> None:
    """Raise UserError, with what to do, unless this is an array of images; `first` gives some of its values."""
    channels = shape[-1] if len(shape) == 4 else 1
    if dtype == np.uint8 and len(shape) in (3, 4) and channels in (1, 3):
        return
    told = f"{name} is {dtype} {shape}; images must be uint8, N×H×W×C with C = 1 or 3"
    advice = []
    if len(shape) == 4 and channels not in (1, 3):
        if shape[1] in (1, 3):
            advice.append("this looks like N×C×H×W: images.transpose(0, 2, 3, 1)")
        elif channels == 4:
            advice.append("leave transparency out: images[..., :3]")
    if dtype.kind in "iuf" and dtype != np.uint8 and 0 not in shape:
        advice.append(_as_bytes(first()))
    raise UserError("; ".join([told, *advice]))


def _as_bytes(values: np.ndarray) -> str:
    """How to make bytes of images with such values."""
    low, high = float(values.min()), float(values.max())
    for least, most, formula in FLOATS:
        slack = SLACK * (most - least)
        if least - slack <= low and high <= most + slack:
            done = formula if values.dtype.kind in "iu" else f"{formula}.round().clip(0, 255)"
            return f"values from {least} to {most} become bytes by {done}.astype('uint8')"
    return f"values are from {low:.4g} to {high:.4g}: bring them to 0 … 255 first"
