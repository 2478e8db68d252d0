"""Settings of the data (no PyTorch here: the command line reads this for `--help`)."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fromnoise.errors import UserError
from fromnoise.limits import Limits

NAMED = ("digits", "mnist", "fashion_mnist", "kmnist", "emnist_letters", "emnist_balanced", "cifar10", "svhn")
"""Data sets with a name of their own, which comes before a folder or file of the same name."""

LONGEST = 1024
"""Pixels a side, at most."""

UNWRITTEN = (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".npy")
"""Suffixes of files that images are not saved as; a folder with such a name would surprise."""

Fit = Literal["stretch", "crop", "pad"]
Alpha = Literal["keep", "white", "black"]


@dataclass(frozen=True)
class DataSettings:
    """The images to learn."""

    data: str = "digits"
    """digits (packaged); mnist, fashion_mnist, kmnist, emnist_letters, emnist_balanced, cifar10 or svhn, from files in
    $FROMNOISE_DATA (default: ~/.cache/fromnoise); a folder, zip or tar of images, or several ('shards-*.tar');
    hf:NAME on Hugging Face's hub, or a folder that its `datasets` saved; or an .npz or .npy file."""
    m: Annotated[int, Limits(1)] | None = None
    """Train on a random subset of this many images at most, balanced over the classes; default: all."""
    clusters: Annotated[int, Limits(0, 10_000)] = 40
    """Without classes, or with --no-labels: condition on this many clusters of similar images, for better samples.
    k-means finds them in the pixels and, in colour, textures; at most one cluster per 50 images. 0: unconditional."""
    size: str = "32"
    """Height and width in pixels, "32" or "24x40": multiples of 8 for the default network, at most
    1024; images of another size are resized (antialiased)."""
    fit: Fit = "stretch"
    """How to fit images of other proportions: stretch, crop to the middle, or pad with background.
    Background is transparent, or the median colour of the image's edge."""
    alpha: Alpha = "keep"
    """Transparency: keep it as a fourth channel, or put images on a white or black background.
    Opaque images stay grey or RGB."""
    group_by: str | None = None
    """Keep each group of images in one part of the split. Groups are folders ("folder"), or what the first group (...)
    of a regular expression matches in file names, such as "(patient\\d+)_"; default: an .npz file's array `groups`,
    else near-duplicates."""
    label_by: str | None = None
    """Classes from file names: a regular expression whose first group (...) names the class, such as "^(cat|dog)"; or
    "folder" for sub-folders despite a metadata.csv; default: metadata.csv if present, else sub-folders."""


class Size(tuple[int, int]):
    """Height and width in pixels, and how images of other proportions are fitted."""

    fit: Fit

    def __new__(cls, height: int, width: int, fit: Fit = "stretch") -> "Size":
        """A pair equal to (height, width)."""
        size = super().__new__(cls, (height, width))
        size.fit = fit
        return size


def parse_size(text: str, fit: Fit = "stretch") -> Size:
    """Height and width from "32" or "24x40"; raises UserError for anything else, or a side above `LONGEST`."""
    found = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", text.lower(), re.ASCII)
    height, width = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not height or not width:
        raise UserError(f"--size {text!r} is not a size; write 32 or 24x40 (height x width)")
    if max(height, width) > LONGEST:
        raise UserError(f"--size {text} is too large: fromnoise is for images of at most {LONGEST} pixels a side")
    return Size(height, width, fit)


def check_suffix(out: Path) -> None:
    """Raise UserError for the name of a file that images are not saved as."""
    if out.suffix.lower() in UNWRITTEN:
        raise UserError(f"{out}: images are written as a .png, an .npz or a folder")
