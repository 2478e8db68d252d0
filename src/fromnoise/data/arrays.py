"""Images in and out of .npz files: `arr_0` (or `images`), uint8, N×H×W×C or N×H×W."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import whole

# What NumPy and zipfile raise for a damaged, encrypted or foreign file; TypeError: one bare array (.npy).
UNREADABLE = (OSError, ValueError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)

MOST_CLASSES = 10_000


def load(path: Path) -> ImageSet:
    """The images of an .npz file, and its `labels` if it has any; raises UserError when they do not fit."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            key = next((key for key in ("arr_0", "images") if key in arrays), None)
            if key is None:
                raise UserError(f"{path} has no array 'arr_0' or 'images'; it has: {', '.join(arrays.files)}")
            images = arrays[key]
            labels = arrays.get("labels")
    except UNREADABLE as error:
        raise UserError(f"{path} is not a readable .npz file ({error})") from error
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(
            f"{path}: '{key}' is {images.dtype} {images.shape}; images must be uint8, N×H×W×C with C = 1 or 3"
        )
    if labels is not None and (
        labels.ndim != 1
        or not np.issubdtype(labels.dtype, np.integer)
        or (labels < 0).any()
        or (labels >= MOST_CLASSES).any()
    ):
        raise UserError(f"{path}: 'labels' must be one whole number from 0 to {MOST_CLASSES - 1} for each image")
    return ImageSet(
        str(path),
        torch.from_numpy(images.transpose(0, 3, 1, 2).copy()),
        None if labels is None else torch.from_numpy(labels.astype(np.int64)),
    )


def save(path: Path, images: UInt8[Tensor, "n c h w"], labels: Tensor | None = None) -> None:
    """Write `images` as `arr_0` (N×H×W×C, what the field's evaluation scripts read) and `labels` if given."""
    arrays = {"arr_0": images.cpu().permute(0, 2, 3, 1).contiguous().numpy()}
    if labels is not None:
        arrays["labels"] = labels.cpu().numpy()
    with whole(path) as temporary, temporary.open("wb") as file:  # a file: NumPy adds .npz to other names
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
