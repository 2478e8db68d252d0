"""Data sets of Hugging Face's `datasets`: a folder that it saved, or hf:NAME on its hub (hf:NAME#CONFIG, where
it has several configurations). Needs the extra `hf`."""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from fromnoise.data.folder import collected
from fromnoise.data.image_set import ImageSet
from fromnoise.data.labelling import LABEL, SPLITS, Contents, Table, divided
from fromnoise.data.listing import Listing
from fromnoise.data.picture import Unreadable
from fromnoise.data.source import Reading, Source
from fromnoise.errors import UserError
from fromnoise.extras import extra
from fromnoise.files import reading
from fromnoise.say import plural

MARKS = (("dataset_dict.json",), ("dataset_info.json", "state.json"))  # of several splits, and of one
IMAGE = "image"  # the column to read, where there are several of images
HUB = "hf:"  # before a name on the hub; from version 4 on, `datasets` runs no code from there


def load(name: str, how: Reading) -> ImageSet:
    """The images of all splits, with the classes of the column `label`, or else of the only ClassLabel there is.

    Splits called train, validation and test are the parts. A split without labels is left out if others have some,
    unless it is train. Raises UserError if `datasets` or an image column is missing.
    """
    datasets = extra("datasets", "hf")
    with reading(name, "a readable data set of Hugging Face's `datasets`"):
        there, _, configuration = name.removeprefix(HUB).partition("#")
        hub = name.startswith(HUB)
        saved = datasets.load_dataset(there, configuration or None) if hub else datasets.load_from_disk(name)
        splits = dict(saved) if isinstance(saved, datasets.DatasetDict) else {"": saved}
        notes: list[str] = []
        texts = {split: _texts(data, datasets.ClassLabel, notes) for split, data in splits.items()}
        blank = [split for split, each in texts.items() if not any(each)]
        if len(blank) == len(texts) and any(texts.values()):
            notes.append("its labels are empty")
        if how.label_by is None and len(blank) < len(texts):
            for split in blank:
                if SPLITS.get(split.lower()) != "train":
                    notes.append(f"left out: {split}/ ({plural(len(splits.pop(split)), 'image')} without labels)")
        parts = divided(f"{split}/" for split in splits)
        if len(splits) > 1 and not parts:
            notes.append(f"splits merged: {', '.join(splits)}")
        rows: dict[str, Any] = {}
        classes: dict[str, dict[str, str]] = {}
        for split, data in splits.items():
            images = [key for key, kind in data.features.items() if isinstance(kind, datasets.Image)]
            column = images[0] if len(images) == 1 else IMAGE
            if column not in images:
                found = ", ".join(images) or "none"
                raise UserError(f"{name} must have one column of images, or one called '{IMAGE}'; it has {found}")
            if others := [key for key in images if key != column]:
                notes.append(f"images from its column {column}, not {', '.join(others)}")
            encoded = data.cast_column(column, datasets.Image(decode=False)).select_columns([column])
            shorts = [f"{split}{'/' if parts else '-'}{k}" if split else str(k) for k in range(len(data))]
            rows |= {short: partial(encoded.__getitem__, k) for k, short in enumerate(shorts)}
            if any(texts[split]):
                classes |= {short: {LABEL: text} for short, text in zip(shorts, texts[split], strict=True)}

    def opened(short: str) -> Contents:
        (image,) = rows[short]().values()
        if not image or not (image["bytes"] or image["path"]):
            raise Unreadable("no image in this row")
        if image["bytes"]:
            return BytesIO(image["bytes"])
        if not hub and not _inside(image["path"], name):
            raise Unreadable("its picture lies outside the data set")
        return Path(image["path"])

    return collected(name, Listing(list(rows)), opened, how, Table("its labels", classes), list(dict.fromkeys(notes)))


def _inside(path: str, folder: str) -> bool:
    """Whether `path`, its links followed, is below `folder`."""
    try:
        return Path(path).resolve().is_relative_to(Path(folder).resolve())
    except (ValueError, RuntimeError):  # \0 in a name; links in a ring
        return False


def _texts(data: Any, class_label: type, notes: list[str]) -> list[str]:
    """The class of each row by name, "" for a row without one (None, or −1 as the hub has it); none without classes.

    Labels of which an image has several are not classes, and a note says so.
    """
    named = [key for key, kind in data.features.items() if isinstance(kind, class_label)]
    column = LABEL if LABEL in data.features else named[0] if len(named) == 1 else None
    if column is None:
        return []
    names, values = getattr(data.features[column], "names", None), data[column][:]
    if any(isinstance(value, list | dict) for value in values):
        notes.append(f"no classes: '{column}' has several values for an image")
        return []
    if names is None:
        return ["" if value is None else str(value) for value in values]
    return [names[value] if value is not None and value >= 0 else "" for value in values]


SOURCE = Source(
    "a data set of Hugging Face's (a saved folder, or hf:NAME)",
    lambda name: name.startswith(HUB) or any(all((Path(name) / file).is_file() for file in mark) for mark in MARKS),
    load,
)
