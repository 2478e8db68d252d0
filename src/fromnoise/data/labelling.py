"""The classes of images, and the parts that they came in: from sub-folders, a table beside them, or a rule on names."""

import csv
import io
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal  # which has any number of digits, int() 4,300 at most
from pathlib import Path
from statistics import median_low
from typing import Any

import msgspec

from fromnoise.data.groups import pattern
from fromnoise.data.listing import NAMED, Listing, listed, natural
from fromnoise.errors import UserError
from fromnoise.files import MOST_JSON, read_bytes, reading
from fromnoise.say import plural

FOLDER = "folder"  # as a rule: sub-folders, whatever a table says
RULE = "--label-by"
MANY, FEW = 20, 10  # more classes, of which half have fewer images, may be none
MOST_NAMES = 200  # letters of columns' names, in messages
MOST_NUMBERED = 1_000  # classes; larger numbers are names like any other
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLITS |= {"test": "heldout", "testing": "heldout", "heldout": "heldout"}
FILE_NAME, LABEL = "file_name", "label"  # columns, as Hugging Face's ImageFolder has them
SPLIT = "split"  # a column that people expect to be used

Contents = Path | io.BytesIO
"""A file on the disk, or the bytes of one."""


@dataclass
class Table:
    """What a table says of images: by their names, a value for each column. `files` are those that hold it.

    `further` are rows of images that have one already; `nameless` says why some tables name no images.
    """

    by: str = ""
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    further: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    nameless: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns beside the images' names."""
        return list(dict.fromkeys(key for row in self.rows.values() for key in row if key != FILE_NAME))


@dataclass(frozen=True)
class Labels:
    """The label of each image, or None; the classes' names, if any; each image's part, if they came in parts.

    `by` says where the classes come from, `used` are the files that say so, `notes` is what else there is to say.
    """

    numbers: list[int] | None
    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    by: str
    used: tuple[str, ...]
    notes: list[str]


def labelled(root: str, names: Sequence[str], table: Table, rule: str | None) -> Labels:
    """The classes and parts of the images below `root` called `names`, with / between their parts.

    Classes are the first group of the regular expression `rule`; else a column of the table (see `_column`), unless
    `rule` is "folder"; else the sub-folders. Raises UserError if a rule or a table leaves an image without a class.
    Folders that all images lie in are passed over.
    """
    inner = _below(names)
    if "" in (parts := divided(inner)):
        parts = ()
    if parts:
        inner = _below([name.partition("/")[2] for name in inner])
    found, used = _folders(inner), tuple[str, ...]()
    by = "" if found is None else "sub-folders"
    notes = [] if found else list(table.nameless)
    column = _column(root, table, found is not None) if rule is None else None
    if rule is not None and rule != FOLDER:
        found, by = _by_rule(names, rule), RULE
    elif column is not None:
        found, by, used = _by_table(root, names, table, column), table.by, table.files
        notes.append(f"classes from {by}" if len(set(found)) > 1 else f"{by} has one class only")
        if lost := len(table.rows.keys() - set(names)):
            notes.append(f"{by} names {plural(lost, 'file')} that {'was' if lost == 1 else 'were'} not read")
    elif found is None and 0 < (n := sum("/" not in name for name in inner)) < len(inner):
        notes.append(f"sub-folders are not classes ({plural(n, 'image')} outside them)")
    if rule is None and SPLIT in table.columns:
        notes.append(f"the column '{SPLIT}' is not used: for parts of your own, make folders train, val and test")
    if found is not None:
        found = [unicodedata.normalize("NFC", name) for name in found]  # macOS writes é as e and ´
    if found is None or len(set(found)) < 2:
        return Labels(None, (), parts, by, used, notes)
    sizes = Counter(found).values()
    if by != RULE and len(sizes) > MANY and (half := median_low(sizes)) < FEW:
        alone = len({posixpath.dirname(name) for name in names}) == len(sizes)
        named = " and --group-by folder" if alone else " and, if file names tell them apart, --group-by"
        notes.append(
            f"half of the classes have at most {plural(half, 'image')}: if they are patients or series, train with "
            f"--no-labels{'' if parts else named}"
        )
    label = _numbered(set(found))
    are_numbers = all(name.isdecimal() and Decimal(name) == k for name, k in label.items())
    # Names of files need not be UTF-8, but reports, pages and figures are.
    class_names = () if are_numbers else tuple(name.encode(errors="backslashreplace").decode() for name in label)
    return Labels([label[name] for name in found], class_names, parts, by, used, notes)


def divided(names: Iterable[str]) -> tuple[str, ...]:
    """The part of each image, "" outside them, if there are folders train and validation or test; else empty."""
    found = [SPLITS.get(top.lower(), "") for top in _tops(names)]
    return tuple(found) if {"train"} < set(found) - {""} else ()


def to_read(names: Sequence[str], rule: str | None) -> tuple[list[str], list[str]]:
    """The images to read, which are those within parts if there are parts; and what to say of others.

    With the rule "folder", parts are classes like the other folders beside them, if every image lies in a folder.
    """
    inner = _below(names)
    tops, parts = _tops(inner), divided(inner)
    if "" not in parts:
        return list(names), []
    if rule == FOLDER and "" not in tops:
        own = dict.fromkeys(f"{top}/" for top, part in zip(tops, parts, strict=True) if part)
        return list(names), [f"{', '.join(own)} are classes, not parts ({RULE} {FOLDER})"]
    outside = Counter(top for top, part in zip(tops, parts, strict=True) if not part)
    loose = outside.pop("", 0)
    left = [f"{plural(loose, 'image')} outside folders"] if loose else []
    left += [f"{top}/ ({plural(n, 'image')})" for top, n in outside.items()]
    return [name for name, part in zip(names, parts, strict=True) if part], [f"left out: {listed(left, NAMED)}"]


def common_folder(names: Iterable[str]) -> str:
    """The folder, with its /, that all files lie in; "" if there is none."""
    folders = {posixpath.dirname(name) for name in names}
    common = posixpath.commonpath(folders) if folders else ""
    return f"{common}/" if common else ""


def table_of(root: str, found: Listing, opened: Callable[[str], Contents]) -> Table:
    """What the tables in a listing say of its images: metadata.csv and metadata.jsonl, else WebDataset's .cls files.

    Metadata names images, relative to its own folder, in a column file_name; a table without one is ignored. Names may
    differ in case, and in how accents are written. A .cls file holds the class of the images that share the beginning
    of its name. Raises UserError for damaged files.
    """
    rows: dict[str, dict[str, str]] = {}
    files, nameless, further = list[str](), list[str](), list[tuple[str, dict[str, str]]]()
    exact, alike = set(found.images), {_folded(image): image for image in found.images}
    for name in found.tables:
        folder, base = posixpath.split(name)
        if base.lower() not in READERS:
            continue
        with reading(Path(root) / name, "a readable table"):
            every = list(READERS[base.lower()](_text(opened(name))))
        named = [row for row in every if row.get(FILE_NAME)]
        for row in named:
            image = posixpath.normpath(posixpath.join(folder, row[FILE_NAME].replace("\\", "/")))
            if image not in exact:
                image = alike.get(_folded(image), image)
            if image in rows:
                further.append((image, row))
            else:
                rows[image] = row
        if named:
            files.append(name)
        elif not every or FILE_NAME in every[0]:
            nameless.append(f"{name} names no images")
        else:
            nameless.append(f"{name} has no column '{FILE_NAME}' but {', '.join(filter(None, every[0]))[:MOST_NAMES]}")
    if rows or nameless:
        return Table(", ".join(files), rows, tuple(files), further, tuple(nameless))
    samples = {_sample(name) for name in found.images}
    values = {}
    for name in (tag for tag in found.tags if _sample(tag) in samples):
        with reading(Path(root) / name, "the name of a class"):
            values[_sample(name)] = _text(opened(name)).strip()
    return Table(".cls files", {name: {LABEL: values.get(_sample(name), "")} for name in found.images if values})


def _folded(name: str) -> str:
    """A name without case, its accents written in one way: macOS writes é as e and ´."""
    return unicodedata.normalize("NFC", name).casefold()


def _sample(name: str) -> str:
    """What the files of a WebDataset sample have in common: their name up to its first dot."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _text(contents: Contents) -> str:
    raw = read_bytes(contents, MOST_JSON) if isinstance(contents, Path) else contents.getvalue()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("not in UTF-8: save it in that encoding") from error


def _csv(text: str) -> Iterable[dict[str, str]]:
    separator = max(",;\t", key=text.partition("\n")[0].count)  # spreadsheets write ; where , is in numbers
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
        if FILE_NAME in row and any(map(str.strip, row.get(None, ()))):
            raise ValueError(
                f"the row of {next(iter(row.values()))} has more values than the header: quote those with {separator!r}"
            )
        yield {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}


def _jsonl(text: str) -> Iterable[dict[str, str]]:
    for line in filter(str.strip, text.split("\n")):
        row = msgspec.json.decode(line, type=dict[str, Any])
        if isinstance(row.get(LABEL), list | dict):
            raise ValueError(f"'{LABEL}' must be one name or number, not several")
        plain = {key: value for key, value in row.items() if not isinstance(value, list | dict)}
        yield {key: "" if value is None else str(value).strip() for key, value in plain.items()}


READERS = {"metadata.csv": _csv, "metadata.jsonl": _jsonl}


def _column(root: str, table: Table, foldered: bool) -> str | None:
    """The column with the classes: `label`; else, if sub-folders are not, the only other one, if its values repeat.

    Raises UserError if there are several others.
    """
    columns = [name for name in table.columns if name != SPLIT]
    if LABEL in columns:
        return LABEL
    if foldered or not columns:
        return None
    if len(columns) > 1:
        raise UserError(
            f"{root}: {table.by} has no column '{LABEL}' but {', '.join(columns)[:MOST_NAMES]}; rename the one that "
            f"holds the classes, or ignore the table with --label-by {FOLDER}"
        )
    values = {row.get(columns[0], "") for row in table.rows.values()}
    return columns[0] if 2 * len(values) <= len(table.rows) else None  # else they are captions


def _by_table(root: str, names: Sequence[str], table: Table, column: str) -> list[str]:
    for image, row in table.further:
        if image in table.rows and row.get(column) != table.rows[image].get(column):  # not where it is left out
            raise UserError(f"{root}: {table.by} gives {image} two classes: remove one of its rows")
    found = [table.rows.get(name, {}).get(column, "") for name in names]
    if without := [name for name, value in zip(names, found, strict=True) if not value]:
        raise UserError(
            f"{root}: no class in {table.by} for {plural(len(without), 'image')}, such as {without[0]}; add what is "
            f"missing, or ignore the table with --label-by {FOLDER}"
        )
    return found


def _by_rule(names: Sequence[str], rule: str) -> list[str]:
    search = pattern(rule, "--label-by", "class").search
    found = [(hit[1] or "") if (hit := search(name)) else "" for name in names]
    if "" in found:
        fitted, misfit = len(found) - found.count(""), names[found.index("")]
        raise UserError(
            f"--label-by {rule!r} matches only {fitted:,} of {len(names):,} image names; for example, not {misfit!r}"
        )
    if len(set(found)) < 2:
        raise UserError(f"--label-by {rule!r} puts all images into one class, {found[0]!r}")
    return found


def _below(names: Sequence[str]) -> list[str]:
    """The names within the folder that all images lie in."""
    skip = len(common_folder(names))
    return [name[skip:] for name in names]


def _tops(names: Iterable[str]) -> list[str]:
    """Each image's folder at the first level; "" if it lies in none."""
    return [name.partition("/")[0] if "/" in name else "" for name in names]


def _folders(names: Sequence[str]) -> list[str] | None:
    """Each image's folder at the first level, if there are two or more and no image lies outside them."""
    found = _tops(names)
    return found if len(set(found)) > 1 and "" not in found else None


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """The label of each class, in the order of labels.

    Names that are numbers below `MOST_NUMBERED` are the labels, unless two are equal; else classes are counted from 0
    in natural order.
    """
    ordered = sorted(names, key=natural)
    if all(name.isdecimal() and Decimal(name) < MOST_NUMBERED for name in ordered):
        numbers = {name: int(Decimal(name)) for name in ordered}
        if len(set(numbers.values())) == len(ordered):
            return numbers
    return {name: k for k, name in enumerate(ordered)}
