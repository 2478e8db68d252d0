"""`fromnoise data export`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

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
    by_class: bool = False
    """One sub-folder per class, which `fromnoise train --data DIR` reads back."""
    seed: int = 0
    """Seed of the subset."""
    skip_broken: SkipBroken = False


def main(words: Sequence[str]) -> None:
    """Export."""
    if words[:1] != ["export"] and not {"-h", "--help"} & set(words):
        raise UserError("write `fromnoise data export SPEC DIR` (fromnoise data export --help)")
    arguments = parse(ExportArguments, words[words[:1] == ["export"] :], "data export")
    folder_is_new(arguments.out)

    from fromnoise.data import folder, sources
    from fromnoise.data.settings import parse_size
    from fromnoise.faces.console import say

    size = None if arguments.size is None else parse_size(arguments.size)
    images = sources.load(arguments.source, size, skip_broken=arguments.skip_broken, say=say)
    if arguments.n is not None and arguments.n != len(images):
        images = images.subset(arguments.n, arguments.seed)
    if arguments.by_class and images.labels is None:
        raise UserError(f"{images.name} has no classes: leave out --by-class")
    labels = images.labels.tolist() if arguments.by_class and images.labels is not None else None
    folder.save(arguments.out, images.images, labels)
    print(arguments.out)
