"""What a source of images is: how it is recognised, and how it is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fromnoise.data.image_set import ImageSet
from fromnoise.data.picture import Picture, Unreadable

OnFile = Callable[[str, Picture | Unreadable], None]
"""Gets the name of each image file, and what was read, or why nothing was."""


def ignored(name: str, found: Picture | Unreadable) -> None:
    """Take no notice."""


@dataclass(frozen=True)
class Reading:
    """How images are read: at which `size` (height, width), with classes by which rule (`DataSettings`), and so on.

    within   the range by which numbers other than bytes are mapped to bytes; None for the images' own
    """

    size: tuple[int, int] | None = None
    skip_broken: bool = False
    label_by: str | None = None
    within: tuple[float, float] | None = None
    on_file: OnFile = ignored


@dataclass(frozen=True)
class Source:
    """One kind of place that images come from.

    what     the kind in words, for the error if a name is of no kind
    matches  whether a name is of this kind
    load     takes the name of a part, or of a user's own images, which are read whole, and how to read; gives images
    parts    of a data set with a name of its own: train, val and heldout; or train and test, where val is taken from
             train and test is held out
    files    the files that a name stands for, by a key that stays if they move; none if decoding is not worth caching
    """

    what: str
    matches: Callable[[str], bool]
    load: Callable[[str, Reading], ImageSet]
    parts: tuple[str, ...] = ()
    files: Callable[[str], Mapping[str, Path]] = lambda name: {}


def named(name: str, parts: Sequence[str], load: Callable[[str], ImageSet]) -> Source:
    """The source of a data set with a name of its own; `load` takes the name of a part."""
    return Source(name, lambda given: given == name, lambda part, how: load(part), tuple(parts))
