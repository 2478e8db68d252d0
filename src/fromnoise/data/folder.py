"""A folder of images, in and out. Sub-folders, if any, are the classes, with all that lies beneath them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from fromnoise.data import blocks, inventory, picture
from fromnoise.data.image_set import ImageSet
from fromnoise.data.listing import Listing, classes, listing, outside
from fromnoise.errors import UserError
from fromnoise.files import whole_folder

LISTED = 10  # files that cannot be read, in an error
NAMED = 3  # of them, in the line of a reading


def load(
    folder: Path,
    size: tuple[int, int] | None = None,
    *,
    skip_broken: bool = False,
    say: inventory.Say = inventory.silent,
) -> ImageSet:
    """The images below a folder, resized to `size` (height, width) where they have another.

    All grey gives one channel, otherwise three; what else `picture.read` changes, and what is not read, `say` gets in
    one line. For the classes see `listing.classes`.
    Raises UserError, naming them all, for images that cannot be read, unless `skip_broken` leaves them out; and,
    without `size`, for an image of another size than the first.
    """
    found = listing(folder)
    if not found.images:
        raise UserError("; ".join([f"{folder} holds no images", *found.left_out()]))
    stack, was, changes = _Stack(len(found.images)), Counter[tuple[int, int]](), Counter[str]()
    kept: list[str] = []
    broken: list[tuple[str, str]] = []
    for name in found.images:
        try:
            read = picture.read(folder / name, size)
        except picture.Unreadable as reason:
            broken.append((name, str(reason)))
            continue
        if size is None and was and read.was not in was:
            (h, w), (hh, ww) = next(iter(was)), read.was
            raise UserError(f"{folder / name} is {hh}×{ww} where {Path(kept[0]).name} is {h}×{w}; make them one size")
        stack.add(read.pixels)
        was[read.was] += 1
        changes.update(read.changes)
        kept.append(name)
    if broken and not (skip_broken and kept):
        raise UserError(_complaint(folder, broken, len(found.images)))
    label = classes(kept)
    images = ImageSet(
        str(folder),
        stack.images[: len(kept)],
        torch.tensor([label[name.partition("/")[0]] for name in kept]) if label else None,
        class_names=() if _are_numbers(label) else tuple(label),
        files=tuple(str(folder / name) for name in kept),
        was="" if set(was) == {stack.images.shape[2:]} else inventory.sizes(was),
    )
    say(inventory.line(images, was, _notes(found, kept, broken, changes)))
    return images


def load_file(path: Path, size: tuple[int, int] | None = None) -> ImageSet:
    """One image file as a set of one, resized to `size` if given; raises UserError where it cannot be read."""
    try:
        pixels = picture.read(path, size).pixels
    except picture.Unreadable as reason:
        raise UserError(f"{path} cannot be read as an image ({reason})") from reason
    return ImageSet(str(path), torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))


def save(folder: Path, images: UInt8[Tensor, "n c h w"], labels: Sequence[int] | None = None, first: int = 0) -> None:
    """Write `images` as 000000.png, 000001.png ... into a new folder, true to the byte, counted from `first`.

    With `labels` the files go into one sub-folder a class. Raises UserError when the folder has anything in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} already exists; name a new folder or remove it")
    if folder.exists():
        folder.rmdir()
    with whole_folder(folder) as temporary:
        each = (image for part in blocks.parts(images) for image in part.cpu().permute(0, 2, 3, 1).numpy())
        for k, image in enumerate(each):
            place = temporary if labels is None else temporary / str(int(labels[k]))
            place.mkdir(exist_ok=True)
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(place / f"{first + k:06d}.png")


class _Stack:
    """At most n images of one size, one after another in one tensor: grey until the first in colour."""

    def __init__(self, n: int) -> None:
        self.n, self.done = n, 0
        self.images: UInt8[Tensor, "n c h w"] = torch.empty(0, 0, 0, 0, dtype=torch.uint8)

    def add(self, pixels: UInt8[np.ndarray, "h w c"]) -> None:
        height, width, channels = pixels.shape
        if channels > self.images.shape[1]:
            before = self.images[: self.done]
            self.images = torch.empty((self.n, channels, height, width), dtype=torch.uint8)
            if self.done:
                self.images[: self.done] = before
        self.images[self.done] = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        self.done += 1


def _complaint(folder: Path, broken: list[tuple[str, str]], n: int) -> str:
    """One line for one file; for several, one that counts them, then one for each of the first."""
    it = "it" if len(broken) == 1 else "them"
    advice = f"repair or remove {it}" + (f", or skip {it} (--skip-broken)" if len(broken) < n else "")
    if len(broken) == 1:
        return f"{folder / broken[0][0]} cannot be read as an image ({broken[0][1]}): {advice}"
    lines = [f"{folder}: {len(broken):,} of {n:,} image files cannot be read: {advice}"]
    lines += [f"{folder / name} ({why})" for name, why in broken[:LISTED]]
    return "\n  ".join([*lines, f"and {len(broken) - LISTED:,} more"] if broken[LISTED:] else lines)


def _notes(found: Listing, kept: list[str], broken: list[tuple[str, str]], changes: Counter[str]) -> list[str]:
    """What was changed or not taken, in a few words each."""
    notes = [f"{change} ({inventory.some(count, 'image')})" for change, count in changes.items()]
    if 0 < outside(kept) < len(kept):
        notes.append(f"sub-folders are not classes ({inventory.some(outside(kept), 'image')} outside them)")
    if broken:
        more = f" and {len(broken) - NAMED:,} more" if broken[NAMED:] else ""
        names = ", ".join(name for name, _ in broken[:NAMED])
        notes.append(f"{len(broken):,} unreadable, skipped: {names}{more}")
    return notes + found.left_out()


def _are_numbers(label: dict[str, int]) -> bool:
    return all(name.isdecimal() and int(name) == k for name, k in label.items())
