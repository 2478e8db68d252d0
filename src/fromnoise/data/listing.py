"""What lies in a folder: its image files in natural order, their classes, and how many files are none."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fromnoise.data import picture
from fromnoise.errors import UserError

MOST_NUMBERED = 1_000  # classes; larger numbers are names as others are
TABLES = {".csv", ".tsv", ".json", ".jsonl", ".parquet"}  # labels and captions, in other tools' folders
NAMED = 4  # tables, and kinds of files, that are named; the others are counted


@dataclass
class Listing:
    """Image files and what else there is: names relative to the folder, with / between their parts.

    `kinds` counts files that are not read, by their kind; `tables` names those that may hold labels.
    """

    images: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)

    def left_out(self) -> list[str]:
        """What is not read, in a few words each."""
        kinds = [f"{n:,} {kind}" for kind, n in sorted(self.kinds.items(), key=lambda item: (-item[1], item[0]))]
        said = []
        if kinds:
            said.append(f"not read: {_listed(kinds, 'kinds')}")
        if self.tables:
            said.append(f"ignored: {_listed(self.tables, 'tables')} (classes come from sub-folders)")
        return said


def listing(folder: Path) -> Listing:
    """All files below `folder`, however deep; raises UserError for a folder that cannot be read."""
    found = Listing()
    try:
        for name, entry in _walk(folder, "", frozenset({os.path.realpath(folder)}), found.kinds):
            suffix = os.path.splitext(name)[1].lower()
            if not entry.is_file():
                found.kinds["broken links or devices"] += 1
            elif suffix in picture.suffixes():
                found.images.append(name)
            elif suffix in TABLES:
                found.tables.append(name)
            else:
                found.kinds[suffix or "without a suffix"] += 1
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror})") from error
    return found


def classes(images: list[str]) -> dict[str, int]:
    """The label of each class, in the order of labels; empty where there are no classes.

    The classes are the folders of the first level where there are two or more, and no image lies outside. Numbers below
    `MOST_NUMBERED` for names are the labels, unless two are the same number; else folders are counted from 0.
    """
    names = sorted({name.partition("/")[0] for name in images if "/" in name}, key=natural)
    if len(names) < 2 or outside(images):
        return {}
    if all(name.isdecimal() and int(name) < MOST_NUMBERED for name in names):
        numbers = {name: int(name) for name in names}
        if len(set(numbers.values())) == len(names):
            return numbers
    return {name: k for k, name in enumerate(names)}


def outside(images: list[str]) -> int:
    """How many images lie in no sub-folder."""
    return sum("/" not in name for name in images)


def natural(name: str) -> tuple[list[str | int], str]:
    """A key to sort names by in which a2 comes before a10; names with equal numbers (1, 01) by their letters."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def _listed(names: list[str], what: str) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more {what}" if more > 0 else "")


def _walk(
    folder: Path, inside: str, above: frozenset[str], kinds: Counter[str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files that are not hidden, by name; hidden ones are counted in `kinds`, a hidden folder as one."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: natural(entry.name))
    for entry in ordered:
        name = f"{inside}{entry.name}"
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            kinds["hidden"] += 1
        elif not entry.is_dir():
            yield name, entry
        elif (real := os.path.realpath(entry)) in above:
            kinds["links to a folder above"] += 1
        else:
            yield from _walk(Path(entry), f"{name}/", above | {real}, kinds)
