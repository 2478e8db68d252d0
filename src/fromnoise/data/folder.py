"""A folder of PNG or JPEG images, in and out. Sub-folders, where there are any, are the classes."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from fromnoise.data import spool
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import whole_folder

SUFFIXES = {".png", ".jpg", ".jpeg"}
GREY, COLOUR = {"1", "L", "LA"}, {"RGB", "RGBA", "P", "PA"}
MOST_NUMBERED = 1_000  # classes; larger numbers are names as others are
ORIENTATION = 0x0112  # how the camera was held, beside the pixels (EXIF), and what makes such pixels upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def files(folder: Path) -> list[Path]:
    """The image files of `folder` and its direct sub-folders, sorted, none hidden; UserError when there are none."""
    return [folder / name for name in _names(folder)]


def load(folder: Path, size: tuple[int, int] | None = None) -> ImageSet:
    """The images of a folder, resized to `size` (height, width) where they have another.

    All grey gives one channel, otherwise three; transparency is laid on black; photographs are turned upright (EXIF).
    With two or more sub-folders that hold all the images, these are the classes: their names where all are numbers
    below `MOST_NUMBERED`, else counted from 0 as their names are sorted.
    Raises UserError for an image that cannot be read, is not 8 bits a channel, or, without `size`, has another size
    than the first.
    """
    names = _names(folder)
    images = None
    with contextlib.suppress(_ColourFound):
        images = spool.join(_pictures(folder, names, size, 1), len(names))
    if images is None:
        images = spool.join(_pictures(folder, names, size, 3), len(names))
    return ImageSet(str(folder), images, _labels(names))


def class_names(folder: Path) -> list[str]:
    """The sorted names that the classes of `load` are counted from; none without classes, or where they are numbers."""
    classes = _classes(_names(folder))
    return [] if _numbered(classes) else classes


def load_file(path: Path, size: tuple[int, int] | None = None) -> ImageSet:
    """One image file as a set of one, resized to `size` if given; raises UserError as `load` does."""
    picture = _read(path, size)
    return ImageSet(str(path), torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()))


def save(folder: Path, images: UInt8[Tensor, "n c h w"], labels: Sequence[int] | None = None, first: int = 0) -> None:
    """Write `images` as 000000.png, 000001.png ... into a new folder, true to the byte, counted from `first`.

    With `labels` the files go into one sub-folder a class. Raises UserError when the folder has anything in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is already there; name a new folder or remove it")
    if folder.exists():
        folder.rmdir()
    with whole_folder(folder) as temporary:
        each = (image for part in spool.parts(images) for image in part.cpu().permute(0, 2, 3, 1).numpy())
        for k, image in enumerate(each):
            place = temporary if labels is None else temporary / str(int(labels[k]))
            place.mkdir(exist_ok=True)
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(place / f"{first + k:06d}.png")


def _names(folder: Path) -> list[str]:
    """The image files' names relative to `folder`, as `files` has them; plain strings, for there may be very many."""
    found: list[str] = []
    try:
        for name in sorted(os.listdir(folder)) if folder.is_dir() else []:
            if (folder / name).is_dir() and not name.startswith("."):
                found += [f"{name}/{inner}" for inner in sorted(os.listdir(folder / name)) if _is_image(inner)]
            elif _is_image(name):
                found.append(name)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror})") from error
    found = [name for name in found if (folder / name).is_file()]
    if not found:
        raise UserError(f"{folder} holds no .png, .jpg or .jpeg files")
    return found


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def _labels(names: list[str]) -> Tensor | None:
    classes = _classes(names)
    if not classes:
        return None
    number = {name: int(name) if _numbered(classes) else k for k, name in enumerate(classes)}
    return torch.from_numpy(np.fromiter((number[os.path.dirname(name)] for name in names), np.int64))


def _classes(names: list[str]) -> list[str]:
    classes = sorted({os.path.dirname(name) for name in names})
    return classes if len(classes) > 1 and classes[0] else []  # not with an image outside any sub-folder


def _numbered(classes: list[str]) -> bool:
    return all(name.isdecimal() and int(name) < MOST_NUMBERED for name in classes)


class _ColourFound(Exception):  # noqa: N818 - no error
    """An image in colour where all were taken for grey."""


def _pictures(
    folder: Path, names: list[str], size: tuple[int, int] | None, channels: int
) -> Iterator[UInt8[Tensor, "1 c h w"]]:
    """The images one by one, grey repeated where `channels` is 3; raises _ColourFound for colour where it is 1."""
    first: tuple[int, ...] | None = None
    for name in names:
        picture = _read(folder / name, size)
        first = first or picture.shape[:2]
        if picture.shape[:2] != first:
            (h, w), (hh, ww) = first, picture.shape[:2]
            raise UserError(f"{folder / name} is {hh}×{ww} where {Path(names[0]).name} is {h}×{w}; make them one size")
        if picture.shape[2] > channels:
            raise _ColourFound
        yield torch.from_numpy(np.broadcast_to(picture, (*first, channels)).transpose(2, 0, 1)[None].copy())


def _read(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    """One image as uint8 H×W×C, C = 1 or 3."""
    from fromnoise.data.resize import resize

    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode not in GREY | COLOUR:
                raise UserError(f"{path} has pixel format {mode}; 8-bit grey or RGB is needed: convert it first")
            if any(";16" in str(tile[3]) for tile in image.tile):  # Pillow would cut 16-bit RGB to 8 bits
                raise UserError(f"{path} has 16 bits a channel; 8-bit grey or RGB is needed: convert it first")
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
            flat: Image.Image = image if turn is None else image.transpose(turn)
            if flat.has_transparency_data:
                rgba = flat.convert("RGBA")
                flat = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
            pixels = np.asarray(flat.convert("L" if mode in GREY else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); mend or remove it") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if size is not None and pixels.shape[:2] != size:
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
        pixels = resize(tensor, size)[0].permute(1, 2, 0).numpy()
    return pixels
