"""Images in and out of .npz files: `arr_0` (or `images`), uint8, N×H×W×C or N×H×W."""

import io
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

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

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MOST_HEADER = 1 << 16  # bytes; NumPy itself takes 10,000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; the others may ask for any memory
MOST_CLASSES = 10_000


def load(path: Path, size: tuple[int, int] | None = None, *, say: Say = silent) -> ImageSet:
    """The images of an .npz file, resized to `size` (height, width) if given, and its `labels` if it has any.

    `say` gets one line on what was read and what was not. Raises UserError when images and labels do not fit.
    """
    with reading(path, "a readable .npz file"), zipfile.ZipFile(path) as file:
        names = [name.removesuffix(".npy") for name in file.namelist()]
        key = next((key for key in ("arr_0", "images") if key in names), None)
        if key is None:
            raise UserError(f"{path} has no array 'arr_0' or 'images'; it has: {', '.join(names)[:200]}")
        images = _images(path, file, _entry(file, key))
        labels = _labels(path, file, _entry(file, "labels"), len(images)) if "labels" in names else None
    was = images.shape[2:]
    found = ImageSet(str(path), images, labels)
    found = resized(found, size) if size else found
    others = sorted(set(names) - {key, "labels"})
    say(line(found, [(was[0], was[1])], [f"arrays not read: {', '.join(others)[:200]}"] if others else []))
    return found


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
    """Where one array of an .npz file lies, and of what it is."""

    key: str
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    reverse: bool
    dtype: np.dtype[Any]
    start: int


def _entry(file: zipfile.ZipFile, key: str) -> _Entry:
    """The array `key`, of which nothing as long as it says has been read yet.

    Raises ValueError, or what NumPy and zipfile raise, where it cannot be what it says, before there is memory for it.
    """
    info = file.getinfo(key if key in file.namelist() else f"{key}.npy")
    if info.compress_type not in METHODS:
        raise ValueError(f"'{key}' is compressed in a way that NumPy does not write")
    with file.open(info) as member:
        header = io.BytesIO(member.read(MOST_HEADER))
    version = npy.read_magic(header)
    if version not in HEADERS:
        raise ValueError(f"'{key}' is in a format of version {version}")
    shape, reverse, dtype = HEADERS[version](header)
    if dtype.hasobject:
        raise ValueError(f"'{key}' holds pickled objects")
    if min(shape, default=0) < 0 or info.file_size != header.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"'{key}' does not have the length that its header gives")
    check_deflated(info.file_size, info.compress_size)
    return _Entry(key, info, shape, reverse, dtype, header.tell())


def _labels(path: Path, file: zipfile.ZipFile, entry: _Entry, n: int) -> Tensor:
    wanted = f"{path}: 'labels' must be one whole number from 0 to {MOST_CLASSES - 1} for each image"
    if len(entry.shape) != 1 or not np.issubdtype(entry.dtype, np.integer):
        raise UserError(wanted)
    if entry.shape != (n,):
        raise UserError(f"{path}: {entry.shape[0]} labels for {n} images")
    labels = np.frombuffer(file.read(entry.info)[entry.start :], entry.dtype)
    if (labels < 0).any() or (labels >= MOST_CLASSES).any():
        raise UserError(wanted)
    return torch.from_numpy(labels.astype(np.int64))


def _images(path: Path, file: zipfile.ZipFile, entry: _Entry) -> UInt8[Tensor, "n c h w"]:
    """The array, read from its compressed form as it goes into the tensor, a block at a time.

    Raises UserError for an array that is not of images.
    """
    shape = entry.shape
    if entry.dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[-1] not in (1, 3)):
        raise UserError(
            f"{path}: '{entry.key}' is {entry.dtype} {shape}; images must be uint8, N×H×W×C with C = 1 or 3"
        )
    raw = torch.empty(shape[::-1] if entry.reverse else shape, dtype=torch.uint8)
    with file.open(entry.info) as member:
        member.read(entry.start)
        for part in blocks.parts(raw.flatten()):
            part.numpy()[:] = np.frombuffer(member.read(len(part)), np.uint8, count=len(part))
        member.read(1)  # there is none: now zipfile has seen the end, and checks all that was read
    if entry.reverse:  # the first index runs fastest ("Fortran order")
        raw = raw.permute(*reversed(range(raw.ndim)))
    images = (raw[..., None] if raw.ndim == 3 else raw).permute(0, 3, 1, 2)
    if images.is_contiguous():  # grey; the strides of its one channel would have PyTorch convolve channels last
        return images.flatten().view(images.shape)
    return images.contiguous()
