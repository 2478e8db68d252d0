"""What lies in a folder: its image files in natural order, tables beside them, and how many files are neither."""

import errno
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal  # which has any number of digits, int() 4,300 at most
from pathlib import Path

from fromnoise.data import picture
from fromnoise.errors import UserError
from fromnoise.say import plural

TABLES = {".csv", ".tsv", ".json", ".jsonl", ".parquet"}  # labels and captions, in other tools' folders
TAG = ".cls"  # WebDataset's: the class of one image
NAMED = 4  # tables, and kinds of files, that are named; the others are counted


@dataclass
class Listing:
    """Image files and what else there is, by names relative to the folder, with / between their parts.

    `kinds` counts the files that are not read, by kind; `tables` names those that may hold labels, `tags` those that
    hold one label each.
    """

    images: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    tables: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Add a file, by its suffix."""
        suffix = os.path.splitext(name)[1].lower()
        if suffix in picture.suffixes():
            self.images.append(name)
        elif suffix in TABLES:
            self.tables.append(name)
        elif suffix == TAG:
            self.tags.append(name)
        else:
            self.kinds[suffix or "without a suffix"] += 1

    def left_out(self, used: Collection[str] = (), by: str = "") -> list[str]:
        """What is not read, in a few words each; `used` are tables that are, `by` says where classes come from."""
        ignored, counts = [table for table in self.tables if table not in used], Counter(self.kinds)
        images = {os.path.splitext(name)[0] for name in self.images}
        for table in [each for each in ignored if os.path.splitext(each)[0] in images]:  # of one image
            ignored.remove(table)
            counts[os.path.splitext(table)[1].lower()] += 1
        kinds = [f"{n:,} {kind}" for kind, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
        said = []
        if kinds:
            said.append(f"not read: {listed(kinds, NAMED, 'kind')}")
        if ignored:
            said.append(f"ignored: {listed(ignored, NAMED, 'table')}" + (f" (classes come from {by})" if by else ""))
        return said


def listing(folder: Path) -> Listing:
    """All files below `folder`, at any depth; raises UserError for a folder that cannot be read."""
    found = Listing()
    try:
        for name, entry in _walk(folder, "", frozenset({os.path.realpath(folder)}), found.kinds):
            if _is(entry.is_file):
                found.add(name)
            else:
                found.kinds["broken links or devices"] += 1
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror})") from error
    return found


def hidden(name: str) -> bool:
    """Whether to skip a file or folder: its name begins with a dot, or macOS left it in an archive."""
    return name.startswith(".") or name == "__MACOSX"


def natural(name: str) -> tuple[list[str | Decimal], str]:
    """A sort key by which a2 comes before a10; names with equal numbers (1, 01) are sorted by their letters."""
    return [Decimal(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def listed(names: Sequence[str], most: int, what: str = "") -> str:
    """The first `most` names, and how many more there are; `what` is the word for one of them."""
    more = len(names) - most
    others = plural(more, f"more {what}") if what else f"{more:,} more"
    return ", ".join(names[:most]) + (f" and {others}" if more > 0 else "")


def _is(question: Callable[[], bool]) -> bool:
    """The answer to an entry's `is_file` or `is_dir`; False for a link that leads to itself."""
    try:
        return question()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _walk(
    folder: Path, inside: str, above: frozenset[str], kinds: Counter[str]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files that are not hidden, by name; hidden ones are counted in `kinds`, a hidden folder as one."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: natural(entry.name))
    for entry in ordered:
        name = f"{inside}{entry.name}"
        if hidden(entry.name):
            kinds["hidden"] += 1
        elif not _is(entry.is_dir):
            yield name, entry
        elif (real := os.path.realpath(entry)) in above:
            kinds["links to a folder above"] += 1
        else:
            yield from _walk(Path(entry), f"{name}/", above | {real}, kinds)
