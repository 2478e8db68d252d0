"""`fromnoise data export`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.faces.arguments import folder_is_new, parse


@dataclass(frozen=True)
class ExportArguments:
    """Write a data set as PNG files, true to the byte, for any outside tool.

    fromnoise data export mnist:test --n 10000 real/
    fromnoise data export digits:train train/ --size 32 --by-class
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SPEC")]
    """digits:train|val|heldout, mnist:train|test, fashion_mnist:train|test, a folder, or an .npz file."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """A new folder."""
    n: int | None = None
    """A seeded draw of this many, balanced over the classes; all of them, in order, when not given."""
    size: str | None = None
    """Resize to "32" or "24x40" as training does; as they are when not given."""
    by_class: bool = False
    """One sub-folder a class, which `fromnoise train --data DIR` reads back."""
    seed: int = 0
    """Seed of the draw."""
    skip_broken: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on without the images of a folder that cannot be read, and say how many they are."""
    data_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where mnist and fashion_mnist lie; default: $FROMNOISE_DATA, then ~/.cache/fromnoise."""


def main(words: Sequence[str]) -> int:
    """Export; returns the exit code."""
    if not words or words[0] != "export":
        helped = bool(words) and words[0] in ("-h", "--help")
        print(
            "usage: fromnoise data export SPEC DIR [OPTIONS]\n\nWrite a data set as PNG files; "
            "`fromnoise data export --help` tells the options.",
            file=sys.stdout if helped else sys.stderr,
        )
        return 0 if helped else 2
    arguments = parse(ExportArguments, words[1:], "data export")

    folder_is_new(arguments.out)

    from fromnoise.data import folder, sources
    from fromnoise.data.settings import parse_size
    from fromnoise.errors import UserError
    from fromnoise.faces.console import say

    size = None if arguments.size is None else parse_size(arguments.size)
    images = sources.load(arguments.source, size, arguments.data_root, skip_broken=arguments.skip_broken, say=say)
    if arguments.n is not None and arguments.n != len(images):
        images = images.draw(arguments.n, arguments.seed)
    if arguments.by_class and images.labels is None:
        raise UserError(f"{images.name} has no classes: leave --by-class away")
    labels = images.labels.tolist() if arguments.by_class and images.labels is not None else None
    folder.save(arguments.out, images.images, labels)
    print(arguments.out)
    return 0
