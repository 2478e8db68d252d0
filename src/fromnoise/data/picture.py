"""One image file as pixels."""

import math
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fromnoise.data.colour import premultiplied
from fromnoise.data.resize import resize
from fromnoise.data.settings import Size
from fromnoise.files import reason

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
"""Still images that Pillow recognises by their first bytes and reads itself (EPS, for one, needs Ghostscript)."""
GREY, COLOUR, CONVERTED = {"1", "L", "LA"}, {"RGB", "RGBA", "RGBX", "P", "PA"}, {"CMYK", "YCbCr", "LAB", "HSV"}
DEEP = {"I", "I;16", "I;16L", "I;16B", "I;16N", "F"}  # grey, of 16 or 32 bits or in floating point
STORED = {
    "1": "1-bit grey",
    "L": "8-bit grey",
    "LA": "8-bit grey with alpha",
    "P": "palette",
    "PA": "palette with alpha",
    "RGBX": "8-bit RGB",
    "F": "float grey",
    "I": "16- or 32-bit grey",
}
TRANSPARENT = "with transparency"
STRETCHED = "stretched to other proportions; --fit crop or pad keeps them"
MULTIPLE = 8  # pixels, of which the default network's sides are
PHOTOMETRIC, WHITE_IS_ZERO, BITS = 262, 0, 258  # a tag of TIFF, a value of it, another tag


class Unreadable(Exception):  # noqa: N818 - a state of a file
    """Why a file cannot be read as an image, in a few words."""


@dataclass(frozen=True)
class Picture:
    """An image as it was read.

    pixels   bytes with C = 1 (grey), 3 (RGB) or 4 (premultiplied RGBA); of deep grey images float32
    was      the height and width in its file
    stored   the pixels' form in its file, such as "8-bit RGBA" or "palette"
    changes  what was changed in it
    """

    pixels: UInt8[np.ndarray, "h w c"] | Float[np.ndarray, "h w 1"]
    was: tuple[int, int]
    stored: str
    changes: tuple[str, ...]


@cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow knows; before 11.3 it did not know AVIF."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of the files that this Pillow reads."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats())


def read(path: Path | BytesIO, size: tuple[int, int] | None = None) -> Picture:
    """The image in a file or its bytes, upright (EXIF), resized to `size` (height, width) if given.

    Images without a transparent pixel have no alpha; grey ones with transparency are RGBA. Of an animation the first
    frame is taken; CMYK, YCbCr and LAB become RGB. Grey of 16 bits or more keeps its values, colour its upper 8 bits.
    Raises Unreadable for a damaged file and for more pixels than Pillow allows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF and the like, which leave the pixels whole
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            pixels, stored, changes = _pixels(path)
    except UnidentifiedImageError as error:
        raise Unreadable(_unsupported(path)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from error
    except Unreadable:
        raise
    except Exception as error:  # Pillow's decoders raise what they like for damaged files, as `files.reading` says
        raise Unreadable((isinstance(error, OSError) and error.strerror) or reason(error)) from error
    was = pixels.shape[:2]
    if size is not None and was != size:
        pixels = resize(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None], size)[0].permute(1, 2, 0).numpy()
    return Picture(pixels, was, stored, changes)


def is_stretched(was: tuple[int, int], size: tuple[int, int] | None) -> bool:
    """Whether an image of the height and width `was` changes its proportions by a pixel or more to be of this size."""
    if size is None or (isinstance(size, Size) and size.fit != "stretch"):
        return False
    (height, width), (tall, wide) = was, size
    return abs(height * wide - width * tall) > max(height, width)


def enlarged(was: Collection[tuple[int, int]], size: tuple[int, int] | None) -> list[str]:
    """What to say of images of the heights and widths `was` that are all smaller than `size`; nothing of others."""
    height, width = (max(sides) for sides in zip(*was, strict=True))
    if size is None or height >= size[0] or width >= size[1]:
        return []
    tall, wide = (math.ceil(side / MULTIPLE) * MULTIPLE for side in (height, width))
    fits = f"{tall}" if tall == wide else f"{tall}x{wide}"
    padded = "" if set(was) == {(tall, wide)} else f"padding to {tall}×{wide} and "
    return [f"enlarged, so pixel art blurs: {padded}--size {fits} keep{'' if padded else 's'} every pixel"]


def _unsupported(path: Path | BytesIO) -> str:
    """Why Pillow does not know the form of a file."""
    with BytesIO(path.getvalue()) if isinstance(path, BytesIO) else path.open("rb") as file:
        begin = file.read(4)
    if not begin:
        return "empty"
    if begin in (b"II*\0", b"MM\0*"):
        return "TIFF files hold grey, RGB or RGBA of 8 or 16 bits, or float32: save other arrays as one .npy file"
    return "not an image in a supported format"


def _pixels(
    path: Path | BytesIO,
) -> tuple[UInt8[np.ndarray, "h w c"] | Float[np.ndarray, "h w 1"], str, tuple[str, ...]]:
    with Image.open(path, formats=formats()) as image:
        mode = image.mode
        if mode not in GREY | COLOUR | CONVERTED | DEEP:
            raise Unreadable(f"pixel format {mode}: convert it to 8-bit grey or RGB")
        changes = ["colour spaces such as CMYK converted to RGB"] if mode in CONVERTED else []
        reduced = mode not in DEEP and any(";16" in str(tile[3]) for tile in image.tile)  # Pillow takes the upper 8
        stored = "16-bit grey" if mode.startswith("I;16") else STORED.get(mode, f"8-bit {mode}")
        if reduced:
            stored = stored.replace("8-bit", "16-bit")
            changes.append("16 bits a channel reduced to 8")
        if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photograph with its preview
            changes.append("first frame only")
        if _orientation(image) in range(2, 9):
            changes.append("turned upright, as EXIF says")
            ImageOps.exif_transpose(image, in_place=True)
        if mode in DEEP:
            deep = np.asarray(image).astype(np.float32)
            tags = getattr(image, "tag_v2", {})  # a TIFF's
            if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow inverts 8 bits only
                deep = (2 ** tags[BITS][0] - 1 if tags[BITS][0] <= 16 else 0) - deep
            if not np.isfinite(deep).all():
                raise Unreadable("some values are not finite")
            return deep[..., None], stored, tuple(changes)
        if image.has_transparency_data:
            rgba = np.asarray(image.convert("RGBA"))
            if (rgba[..., 3] < 255).any():
                return premultiplied(rgba), stored, (*changes, TRANSPARENT)
        pixels = np.asarray(image.convert("L" if mode in GREY else "RGB"))
    return (pixels[..., None] if pixels.ndim == 2 else pixels), stored, tuple(changes)


def _orientation(image: Image.Image) -> int:
    """How the image is to be turned, as EXIF says; 1, not at all, where EXIF cannot be read."""
    if image.format == "PNG":
        image.load()  # as `getexif` would: what it raises is of the pixels
    try:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as in `read`
        return 1
    return orientation
