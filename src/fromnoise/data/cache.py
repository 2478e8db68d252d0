"""Images of large folders and archives, decoded once: kept on disk, and mapped from there at the next start.

Kept images are found by the contents of the files: going by sizes and times would miss a picture replaced by one of
the same size. Hashing takes a small part of the time of decoding. Several processes may keep the same images at once:
each writes whole files, and the same ones.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

import msgspec
import numpy as np
import PIL
import torch
from jaxtyping import Int64
from torch import Tensor

from fromnoise import __version__, tensors
from fromnoise.data import mapped
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.data.settings import Size
from fromnoise.data.source import Reading, Source, ignored
from fromnoise.errors import UserError
from fromnoise.files import Unwritten, check_name, read_json, reading, sweep, whole, write_json
from fromnoise.say import captured, say

LARGE = 1 << 26
"""Images are kept if their files have at least this many bytes."""
MANY = 10_000
"""Groups are kept for sets of at least this many images."""
STALE = 86_400.0  # seconds, after which nobody is still writing an unfinished file
KNOWN = "decoded before"


@dataclass(frozen=True)
class Entry:
    """What is kept beside the images; files by their names below the source, `lines` without its name."""

    fingerprint: str
    lines: tuple[str, ...]
    labels: list[int] | None
    files: tuple[str, ...]
    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    was: str
    range: tuple[float, float] | None


def load(source: Source, name: str, how: Reading) -> ImageSet:
    """The images that `source` has under `name`; if their files are large, the kept ones, if intact.

    With `how.on_file`, files are always decoded again. Raises UserError as `source.load` does.
    """
    files = source.files(name)
    if how.on_file is not ignored or sum(path.stat().st_size for path in files.values() if path.is_file()) < LARGE:
        return source.load(name, how)
    place = mapped.folder() / _key(files, how)
    if kept := _kept(place, str(Path(name)) if Path(name).is_dir() else name):
        images, lines = kept
        for line in (*lines[:-1], f"{lines[-1]}; {KNOWN}"):
            say(f"{images.name}: {line}")
        return images
    with captured() as said:
        images = source.load(name, how)
    if _key(files, how) == place.name:  # they have not changed meanwhile
        try:
            _keep(place, images, tuple(line.removeprefix(f"{images.name}: ") for line in said))
        except UserError as error:
            said[-1] += f"; not kept for the next start: {error}"
    for line in said:
        say(line)
    return images


def grouped(images: ImageSet) -> Int64[Tensor, " n"]:
    """The images' groups of near-duplicates; of many images the kept ones, as finding them takes minutes."""
    if len(images) < MANY:
        return groups(images.images)
    file = mapped.folder() / f"{_digest([__version__, images.fingerprint])}.groups"
    with suppress(UserError):
        kept, _ = tensors.load(file)
        return kept["groups"]
    found = groups(images.images)
    with suppress(Unwritten), whole(file) as temporary:
        tensors.save(temporary, {"groups": found})
    return found


def _key(files: Mapping[str, Path], how: Reading) -> str:
    """A hash of the files' contents, of how they are read, and of the versions that read them."""
    fit = how.size.fit if isinstance(how.size, Size) else None
    versions = __version__, PIL.__version__, torch.__version__
    contents = [(name, _contents(path)) for name, path in files.items()]
    return _digest([versions, how.size, fit, how.skip_broken, how.label_by, how.within, contents])


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:  # the decoder will report it
        return str(error.errno)


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def _kept(place: Path, name: str) -> tuple[ImageSet, tuple[str, ...]] | None:
    """The images at `place` and what their reading said; None if there are none, or they are damaged."""
    with suppress(UserError), reading(place, "what was kept"):
        about = msgspec.convert(read_json(place.with_suffix(".json")), Entry)
        pixels = np.load(place.with_suffix(".npy"), mmap_mode="c", allow_pickle=False)
        images = ImageSet(
            name,
            torch.from_numpy(pixels),
            None if about.labels is None else torch.tensor(about.labels),
            class_names=about.class_names,
            files=tuple(str(Path(name) / file) for file in about.files),
            parts=about.parts,
            was=about.was,
            range=about.range,
        )
        if images.fingerprint == about.fingerprint:
            return images, about.lines
    return None


def _keep(place: Path, images: ImageSet, lines: tuple[str, ...]) -> None:
    """Write images whole or not at all; raises Unwritten, and UserError for a file's name that JSON cannot hold."""
    files = tuple(PurePath(file).relative_to(images.name).as_posix() for file in images.files)
    for file in files:
        check_name(file)
    sweep(place.parent, STALE)
    with whole(place.with_suffix(".npy")) as temporary:
        np.save(temporary, images.images.numpy(), allow_pickle=False)
    labels = None if images.labels is None else images.labels.tolist()
    kept = images.class_names, images.parts, images.was, images.range
    write_json(place.with_suffix(".json"), asdict(Entry(images.fingerprint, lines, labels, files, *kept)))
