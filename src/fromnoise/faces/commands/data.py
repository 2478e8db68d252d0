"""`fromnoise data export` and `fromnoise data inspect`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.data.settings import Alpha, DataSettings, Fit, parse_size
from fromnoise.errors import UserError
from fromnoise.faces.arguments import SkipBroken, folder_is_new, parse


@dataclass(frozen=True)
class ExportArguments:
    """Write a data set as PNG files, pixels unchanged, for other tools.

    fromnoise data export mnist:test --n 10000 real/
    fromnoise data export digits:train train/ --size 32 --by-class
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SPEC")]
    """digits:train|val|heldout, mnist:train|test, fashion_mnist:train|test, a folder, or an .npz file."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """A new folder."""
    n: int | None = None
    """A random subset of this many, balanced over the classes; default: all, in order."""
    size: str | None = None
    """Resize to "32" or "24x40", as training does; default: no resizing."""
    fit: Fit = "stretch"
    """How images of other proportions come to that size, as in training."""
    alpha: Alpha = "keep"
    """What becomes of transparency, as in training."""
    by_class: bool = False
    """One sub-folder per class, which `fromnoise train --data DIR` reads back."""
    seed: int = 0
    """Seed of the subset."""
    group_by: str | None = None
    """How your own images are split into parts, as training does it."""
    skip_broken: SkipBroken = False


@dataclass(frozen=True)
class InspectArguments:
    """Count images that are there more than once, to the byte and nearly, within the parts of a data set and across.

    fromnoise data inspect photos/ --size 32
    fromnoise data inspect mnist

    Near-duplicates are the same picture to a person: with a little noise, brighter, moved by a pixel or recoloured.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SPEC")]
    """digits, mnist, fashion_mnist, a folder, or an .npz file; or one of their parts, as in digits:train."""
    size: str = DataSettings.size
    """Resize your own images to "32" or "24x40", as training does."""
    group_by: str | None = None
    """How your own images are split into parts, as training does it."""
    skip_broken: SkipBroken = False


HEADS = ("part", "images", "equal", "near", "equal elsewhere", "near elsewhere")


def main(words: Sequence[str]) -> None:
    """Export or inspect."""
    commands = {"export": _export, "inspect": _inspect}
    if words and words[0] in commands:
        return commands[words[0]](words[1:])
    if {"-h", "--help"} & set(words):
        return _export(["--help"])
    raise UserError("write `fromnoise data export SPEC DIR` or `fromnoise data inspect SPEC` (each has --help)")


def _inspect(words: Sequence[str]) -> None:
    arguments = parse(InspectArguments, words, "data inspect")

    from fromnoise.data import sources
    from fromnoise.faces.console import say

    given = DataSettings(
        arguments.source, size=arguments.size, group_by=arguments.group_by, skip_broken=arguments.skip_broken
    )
    found = sources.inspected(given, say=say)
    width = max(len(each.name) for each in found)
    print(f"{HEADS[0]:<{width}}", *(f"{head:>{max(8, len(head))}}" for head in HEADS[1:]))
    for name, *counts in found:
        numbers = (f"{n:>{max(8, len(head))},}" for n, head in zip(counts, HEADS[1:], strict=True))
        print(f"{name:<{width}}", *numbers)


def _export(words: Sequence[str]) -> None:
    arguments = parse(ExportArguments, words, "data export")
    folder_is_new(arguments.out)

    from fromnoise.data import folder, sources
    from fromnoise.data.colour import laid
    from fromnoise.faces.console import say

    size = None if arguments.size is None else parse_size(arguments.size, arguments.fit)
    images = sources.load(
        arguments.source, size, skip_broken=arguments.skip_broken, group_by=arguments.group_by, say=say
    )
    images = laid(images, arguments.alpha)
    if arguments.n is not None and arguments.n != len(images):
        images = images.subset(arguments.n, arguments.seed)
    if arguments.by_class and images.labels is None:
        raise UserError(f"{images.name} has no classes: leave out --by-class")
    labels = images.labels.tolist() if arguments.by_class and images.labels is not None else None
    folder.save(arguments.out, images.images, labels)
    print(arguments.out)
