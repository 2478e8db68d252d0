"""Images in and out of .npz files: `arr_0` (or `images`), uint8, N×H×W×C or N×H×W."""

import lzma
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.lib import format as npy
from torch import Tensor

from fromnoise.data import spool
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import whole

# What NumPy and zipfile raise for a damaged, encrypted or foreign file; TypeError: one bare array (.npy).
UNREADABLE = (OSError, ValueError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

MOST_CLASSES = 10_000


def load(path: Path) -> ImageSet:
    """The images of an .npz file, and its `labels` if it has any; raises UserError when they do not fit."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            key = next((key for key in ("arr_0", "images") if key in arrays), None)
            if key is None:
                raise UserError(f"{path} has no array 'arr_0' or 'images'; it has: {', '.join(arrays.files)}")
            assert arrays.zip is not None, "it is open"
            images = _images(path, arrays.zip, key)
            labels = arrays.get("labels")
    except UNREADABLE as error:
        raise UserError(f"{path} is not a readable .npz file ({error})") from error
    if labels is not None and (
        labels.ndim != 1
        or not np.issubdtype(labels.dtype, np.integer)
        or (labels < 0).any()
        or (labels >= MOST_CLASSES).any()
    ):
        raise UserError(f"{path}: 'labels' must be one whole number from 0 to {MOST_CLASSES - 1} for each image")
    return ImageSet(
        str(path),
        images,
        None if labels is None else torch.from_numpy(labels.astype(np.int64)),
    )


def save(path: Path, images: UInt8[Tensor, "n c h w"], labels: Tensor | None = None) -> None:
    """Write `images` as `arr_0` (N×H×W×C, what the field's evaluation scripts read) and `labels` if given."""
    n, c, h, w = images.shape
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("arr_0.npy", "w", force_zip64=True) as member:
            npy.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (n, h, w, c)})
            for part in spool.parts(images):
                member.write(part.cpu().permute(0, 2, 3, 1).contiguous().numpy().data)
        if labels is not None:
            with file.open("labels.npy", "w", force_zip64=True) as member:
                npy.write_array(member, labels.cpu().numpy(), allow_pickle=False)


def _images(path: Path, file: zipfile.ZipFile, key: str) -> UInt8[Tensor, "n c h w"]:
    """The array `key`, read from its compressed form as it goes into a tensor that may be larger than memory.

    Raises UserError for an array that is not of images, one of UNREADABLE for one that cannot be read.
    """
    name = key if key in file.namelist() else f"{key}.npy"
    with file.open(name) as member:
        version = npy.read_magic(member)
        if version not in HEADERS:
            raise ValueError(f"'{key}' is in a format of version {version}")
        shape, reverse, dtype = HEADERS[version](member)
        if dtype.hasobject:
            raise ValueError(f"'{key}' holds pickled objects")
        if dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[-1] not in (1, 3)):
            raise UserError(f"{path}: '{key}' is {dtype} {shape}; images must be uint8, N×H×W×C with C = 1 or 3")
        if file.getinfo(name).file_size != member.tell() + math.prod(shape):
            raise ValueError(f"'{key}' is not as long as it says")
        raw = spool.empty(shape[::-1] if reverse else shape, torch.uint8)
        for part in spool.parts(raw.flatten()):
            part.numpy()[:] = np.frombuffer(member.read(len(part)), np.uint8, count=len(part))
        member.read(1)  # there is none: now zipfile has seen the end, and checks all that was read
    if reverse:  # the first index runs fastest ("Fortran order")
        raw = raw.permute(*reversed(range(raw.ndim)))
    images = (raw[..., None] if raw.ndim == 3 else raw).permute(0, 3, 1, 2)
    if images.is_contiguous():  # grey; the strides of its one channel would have PyTorch convolve channels last
        return images.flatten().view(images.shape)
    return spool.join(spool.parts(images), len(images))
