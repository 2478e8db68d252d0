"""A folder of PNG or JPEG images, in and out. Sub-folders, where there are any, are the classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import whole_folder

SUFFIXES = {".png", ".jpg", ".jpeg"}
GREY, COLOUR = {"1", "L", "LA"}, {"RGB", "RGBA", "P", "PA"}


def files(folder: Path) -> list[Path]:
    """The image files of `folder` and its direct sub-folders, sorted, none hidden; UserError when there are none."""
    found = sorted(
        path
        for pattern in ("*", "*/*")
        for path in folder.glob(pattern)
        if path.suffix.lower() in SUFFIXES and not _hidden(path.relative_to(folder)) and path.is_file()
    )
    if not found:
        raise UserError(f"{folder} holds no .png, .jpg or .jpeg files")
    return found


def load(folder: Path, size: tuple[int, int] | None = None) -> ImageSet:
    """The images of a folder, resized to `size` (height, width) where they have another.

    All grey gives one channel, otherwise three; transparency is laid on black. With two or more sub-folders
    that hold all the images, their sorted names are the classes (numbers by value). Raises UserError
    for an image that cannot be read, is not 8 bits a channel, or, without `size`, has another size than the first.
    """
    paths = files(folder)
    pictures = [_read(path, size) for path in paths]
    first = pictures[0].shape[:2]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape[:2] != first:
            (h, w), (hh, ww) = first, picture.shape[:2]
            raise UserError(f"{path} is {hh}×{ww} where {paths[0].name} is {h}×{w}; make them one size")
    channels = max(picture.shape[2] for picture in pictures)
    stack = np.stack([np.broadcast_to(picture, (*first, channels)) for picture in pictures])
    return ImageSet(str(folder), torch.from_numpy(stack.transpose(0, 3, 1, 2).copy()), _labels(folder, paths))


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
        for k, image in enumerate(images.cpu().permute(0, 2, 3, 1).numpy()):
            place = temporary if labels is None else temporary / str(int(labels[k]))
            place.mkdir(exist_ok=True)
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(place / f"{first + k:06d}.png")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _labels(folder: Path, paths: list[Path]) -> Tensor | None:
    names = sorted({path.parent.name for path in paths})
    if len(names) < 2 or any(path.parent == folder for path in paths):
        return None
    if all(name.isdecimal() for name in names):
        names.sort(key=int)  # 2 before 10, as `save` counts
    return torch.tensor([names.index(path.parent.name) for path in paths])


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
            flat: Image.Image = image
            if image.has_transparency_data:
                rgba = image.convert("RGBA")
                flat = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
            pixels = np.asarray(flat.convert("L" if mode in GREY else "RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); mend or remove it") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if size is not None and pixels.shape[:2] != size:
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
        pixels = resize(tensor, size)[0].permute(1, 2, 0).numpy()
    return pixels
