"""Reading and writing a folder of images; and reading images that lie elsewhere in the same way."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Num, UInt8
from PIL import Image
from torch import Tensor

from fromnoise.data import blocks, inventory, mapped, picture
from fromnoise.data.colour import KINDS, kind, straight
from fromnoise.data.image_set import ImageSet
from fromnoise.data.labelling import Contents, Labels, Table, labelled, table_of, to_read
from fromnoise.data.listing import Listing, listed, listing
from fromnoise.data.pixels import stretched
from fromnoise.data.source import Reading, Source
from fromnoise.errors import UserError
from fromnoise.files import check_new_folder, whole, whole_folder
from fromnoise.say import bar, plural, say

LISTED = 10  # unreadable files, in an error
NAMED = 3  # of them, in the line of a reading


def load(folder: str | Path, how: Reading | None = None) -> ImageSet:
    """The images below a folder, resized if `how` gives a size and they have another.

    All grey gives one channel, any colour three, any transparency four (`data.colour`). Grey of more than 8 bits is
    mapped to 8: the least value of all images becomes 0, the largest 255, unless `how.within` gives the range. Says in
    one line what else `picture.read` changed and what was not read. For the classes see `labelling.labelled`.
    Raises UserError, naming them all, for images that cannot be read, unless `how.skip_broken` leaves them out;
    and, without a size, for an image of another size than the first; and for some images of 8 bits and some of more.
    """
    place = Path(folder)
    return collected(str(place), listing(place), lambda name: place / name, how or Reading())


def collected(
    root: str,
    found: Listing,
    opened: Callable[[str], Contents],
    how: Reading,
    table: Table | None = None,
    notes: Sequence[str] = (),
) -> ImageSet:
    """The images of a listing, as `load` has them; `opened` gives the contents of each by its name.

    `root` is where they lie, for their names and for messages; `table` gives their classes instead of tables there;
    `notes` is what else to say of them.
    """
    if not found.images:
        parquet = any(name.endswith(".parquet") for name in found.tables)
        hint = [f"if this is a data set of Hugging Face's, name it hf:{root}"] if parquet else []
        raise UserError("; ".join([f"{root} holds no images", *found.left_out(), *hint]))
    table = table_of(root, found, opened) if table is None else table
    names, left = to_read(found.images, how.label_by)
    for name in set(found.images).difference(names):
        table.rows.pop(name, None)
    stack = torch.empty(len(names), 0, 0, 0)  # the first image gives it channels
    was, changes = Counter[tuple[int, int]](), Counter[str]()
    kept: list[str] = []
    depths, forms = set[np.dtype[Any]](), dict[str, list[str]]()
    broken: list[tuple[str, str]] = []
    with bar("reading") as shown:
        for done, name in enumerate(names):
            shown.show(done, len(names))
            try:
                read = picture.read(opened(name), how.size)
            except picture.Unreadable as reason:
                broken.append((name, str(reason)))
                how.on_file(name, reason)
                continue
            if how.size is None and was and read.was not in was:
                (h, w), (hh, ww) = next(iter(was)), read.was
                raise UserError(
                    f"{Path(root) / name} is {hh}×{ww}, but {Path(kept[0]).name} is {h}×{w}; make them the same size, "
                    "as `fromnoise data export --size` does"
                )
            forms.setdefault(read.stored, []).append(name)
            how.on_file(name, read)
            depths.add(read.pixels.dtype)
            if len(depths) == 1:
                stack = _stacked(stack, len(kept), _channels_first(read.pixels))
            kept.append(name)
            was[read.was] += 1
            changes.update(read.changes)
            changes[picture.STRETCHED] += picture.is_stretched(read.was, how.size)
    if broken and not (how.skip_broken and kept):
        raise UserError(_complaint(Path(root), broken, len(names)))
    if len(depths) > 1:
        raise UserError(_mixture(root, forms))
    labels = labelled(root, kept, table, how.label_by)
    pixels, values = stack[: len(kept)].numpy(), None
    if pixels.dtype != np.uint8:
        pixels, values = stretched(pixels, root, how.within)
    images = ImageSet(
        root,
        torch.from_numpy(pixels),
        None if labels.numbers is None else torch.tensor(labels.numbers),
        class_names=labels.class_names,
        files=tuple(str(Path(root) / name) for name in kept),
        parts=labels.parts,
        was="" if set(was) == {pixels.shape[2:]} else _sizes(was),
        range=values,
    )
    notes = [*notes, *picture.enlarged(was, how.size)]
    say(inventory.line(images, [*notes, *left, *_notes(found, labels, broken, changes)]))
    return images


def read_file(path: Path, size: tuple[int, int] | None = None) -> picture.Picture:
    """One image file as `picture.read` reads it; raises UserError if it cannot be read."""
    try:
        return picture.read(path, size)
    except picture.Unreadable as reason:
        raise UserError(f"{path} cannot be read as an image ({reason})") from reason


def load_file(
    path: Path, size: tuple[int, int] | None = None, within: tuple[float, float] | None = None
) -> tuple[ImageSet, list[str]]:
    """One image file as a set of one, resized to `size` if given, and what was changed, in a few words each.

    `within`: the range by which grey of more than 8 bits is mapped to 8. Raises UserError if the file cannot be read,
    or has more than 8 bits and no range is given.
    """
    read = read_file(path, size)
    pixels, (height, width) = read.pixels, read.pixels.shape[:2]
    changes = [] if read.was == (height, width) else [f"{read.was[0]}×{read.was[1]} → {height}×{width}"]
    changes += [change for change in read.changes if change != picture.TRANSPARENT]
    if pixels.dtype == np.uint8:
        within = None
    elif within is None:
        raise UserError(f"{path} has more than 8 bits, and nothing gives their range: convert it to 8 bits")
    else:
        pixels, _ = stretched(pixels, str(path), within)
    return ImageSet(str(path), _channels_first(pixels), range=within), changes


def save(
    folder: Path, images: UInt8[Tensor, "n c h w"], labels: Sequence[int | str] | None = None, first: int = 0
) -> None:
    """Write `images` as 000000.png, 000001.png ... into a new folder, true to the byte, counted from `first`.

    With `labels` the files go into one sub-folder for each, named by it, perhaps PART/CLASS. Raises UserError if the
    folder is not empty, and for images that are neither grey, RGB nor RGBA.
    """
    check_channels(folder, images.shape[1])
    check_new_folder(folder)
    with whole_folder(folder) as temporary:
        each = (image for part in blocks.parts(images) for image in part.cpu().permute(0, 2, 3, 1).numpy())
        for k, image in enumerate(each):
            place = temporary if labels is None else temporary / str(labels[k])
            place.mkdir(parents=True, exist_ok=True)
            _picture(image).save(place / f"{first + k:06d}.png")


def save_file(path: Path, image: UInt8[Tensor, "c h w"]) -> None:
    """Write one image as a PNG, as `save` does, replacing what was there."""
    check_channels(path, len(image))
    with whole(path) as temporary:
        _picture(image.cpu().permute(1, 2, 0).numpy()).save(temporary, format="PNG")


def check_channels(folder: Path, channels: int) -> None:
    """Raise UserError for a number of channels that PNG files cannot hold."""
    if channels not in KINDS:
        raise UserError(f"{folder}: PNG files hold grey, RGB or RGBA, and not {kind(channels)}: write an .npz file")


def _picture(image: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    pixels = straight(image)
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def _channels_first(pixels: Num[np.ndarray, "h w c"]) -> Num[Tensor, "1 c h w"]:
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())


def _stacked(stack: Num[Tensor, "n c h w"], at: int, image: Num[Tensor, "1 c2 h w"]) -> Num[Tensor, "n c3 h w"]:
    """The stack with an image at a position, and with the channels of the image if these are more."""
    if image.shape[1] > stack.shape[1]:
        before, stack = stack, mapped.empty((len(stack), *image.shape[1:]), image.dtype)
        if at:
            _put(stack[:at], before[:at])
    _put(stack[at : at + 1], image)
    return stack


def _put(rows: Num[Tensor, "m c h w"], images: Num[Tensor, "m c2 h w"]) -> None:
    """Write images into rows of as many channels or more: grey is repeated, and what has no alpha is opaque."""
    rows[:, :3] = images[:, :3]
    rows[:, 3:] = images[:, 3:] if images.shape[1] == 4 else 255


def _complaint(folder: Path, broken: list[tuple[str, str]], n: int) -> str:
    """One line for one file; for several, one that counts them, then one for each of the first."""
    it = "it" if len(broken) == 1 else "them"
    advice = f"repair or remove {it}" + (f", or skip {it} (--skip-broken)" if len(broken) < n else "")
    if len(broken) == 1:
        return f"{folder / broken[0][0]} cannot be read as an image ({broken[0][1]}): {advice}"
    lines = [f"{folder}: {len(broken):,} of {n:,} image files cannot be read: {advice}"]
    lines += [f"{folder / name} ({why})" for name, why in broken[:LISTED]]
    return "\n  ".join([*lines, f"and {len(broken) - LISTED:,} more"] if broken[LISTED:] else lines)


def _mixture(root: str, forms: dict[str, list[str]]) -> str:
    """The error for images of 8 bits and of more, by the forms in which files have them."""
    most = sorted(forms.items(), key=lambda form: -len(form[1]))
    each = ", ".join(f"{form} ({plural(len(names), 'file')}, such as {names[0]})" for form, names in most)
    return f"{root} mixes grey of more than 8 bits with other images: {each}; convert all to 8 bits, or all to more"


def _notes(found: Listing, labels: Labels, broken: list[tuple[str, str]], changes: Counter[str]) -> list[str]:
    """What was changed or left out, in a few words each."""
    notes = [f"{change} ({plural(count, 'image')})" for change, count in changes.items() if count] + labels.notes
    if broken:
        notes.append(f"{len(broken):,} unreadable, skipped: {listed([name for name, _ in broken], NAMED)}")
    return notes + found.left_out(labels.used, labels.by)


def _sizes(was: Collection[tuple[int, int]]) -> str:
    """28×28; or 3 sizes from 8×8 to 20×10."""
    ordered = sorted(was, key=lambda size: (math.prod(size), size))
    least, largest = (f"{h}×{w}" for h, w in (ordered[0], ordered[-1]))
    return least if len(was) == 1 else f"{len(was):,} sizes from {least} to {largest}"


def _files(name: str) -> dict[str, Path]:
    """What a reading depends on: images, tables and tags."""
    found = listing(Path(name))
    return {short: Path(name) / short for short in (*found.images, *found.tables, *found.tags)}


SOURCE = Source("a folder of images", lambda name: Path(name).is_dir(), load, files=_files)
