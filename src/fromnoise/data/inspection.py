"""What is in a data set, part by part: how many images, of which classes, how many duplicates, how bright."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import Duplicates, duplicates
from fromnoise.data.picture import Picture, Unreadable
from fromnoise.data.pixels import histogram
from fromnoise.data.settings import DataSettings
from fromnoise.say import captured, plural, say

SHEET = 100  # images on a contact sheet


@dataclass(frozen=True)
class Files:
    """Image files: how many of each size, form and number of channels, how many were changed, and why some cannot be
    read. The form is that of the file, channels are those after reading."""

    sizes: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)

    def see(self, name: str, found: Picture | Unreadable) -> None:
        """Count one."""
        if isinstance(found, Unreadable):
            self.unreadable[name] = str(found)
            return
        height, width = found.was
        self.sizes[f"{height}×{width}"] += 1
        self.forms[found.stored] += 1
        self.channels[str(found.pixels.shape[2])] += 1
        self.changed.update(found.changes)


@dataclass(frozen=True)
class Inspection:
    """A data set as training would take it.

    parts       its images, by part; only train is trained on
    duplicates  of each part: how many images occur more than once, in it and in others
    files       the image files they come from, if any
    whole       whether these are all parts that there are
    reading     what reading them said: their number, classes, channels and sizes, what was changed and left out
    """

    parts: list[ImageSet]
    duplicates: list[Duplicates]
    reading: list[str]
    files: Files
    whole: bool = True

    def classes(self, part: ImageSet) -> dict[str, int]:
        """How many images of each class a part has, by the classes' names; empty without classes."""
        if part.labels is None:
            return {}
        counts = enumerate(torch.bincount(part.labels).tolist())
        return {part.class_names[k] if part.class_names else str(k): n for k, n in counts if n}

    def moments(self) -> tuple[list[float], list[float]]:
        """The mean and the standard deviation of each channel's values, from 0 to 1, over all images."""
        counts = sum(histogram(part.images).double() for part in self.parts)
        assert isinstance(counts, torch.Tensor)
        values, shares = torch.arange(256, dtype=torch.float64) / 255, counts / counts.sum(dim=1, keepdim=True)
        mean = (shares * values).sum(dim=1)
        deviation = (shares * (values - mean[:, None]).square()).sum(dim=1).sqrt()
        return mean.tolist(), deviation.tolist()

    def notes(self) -> list[str]:
        """What a user should know before training: nothing is held out, or held-out images are in other parts too."""
        held_out = [each for each in self.duplicates if each.name.endswith((":heldout", ":test"))]
        if self.whole and len(self.parts) == 1:
            return ["too few groups of images to hold some out: there is nothing to validate or score with"]
        return [
            f"{each.same_elsewhere:,} of {plural(each.n, 'image')} in {each.name} are in other parts too: a score will "
            "be too good"
            for each in held_out
            if each.same_elsewhere
        ]

    def sheet(self) -> ImageSet:
        """At most `SHEET` images of the first part, by class where there are classes."""
        part = self.parts[0]
        chosen = part.take(part.subset_rows(min(SHEET, len(part)), 0))
        return chosen if chosen.labels is None else chosen.take(np.argsort(chosen.labels.numpy(), kind="stable"))

    def plain(self) -> dict[str, Any]:
        """All of it as JSON values."""
        mean, deviation = self.moments()
        channels, height, width = self.parts[0].shape
        parts = [
            found._asdict() | {"classes": self.classes(part), "files": list(part.files)}
            for part, found in zip(self.parts, self.duplicates, strict=True)
        ]
        about = {"channels": channels, "height": height, "width": width, "mean": mean, "deviation": deviation}
        return {"reading": self.reading, "files": dict(vars(self.files)), **about, "parts": parts}


def inspected(settings: DataSettings) -> Inspection:
    """What `sources.parts_of` finds; raises UserError if the data cannot be found or read."""
    files = Files()
    with captured() as reading:
        parts = sources.parts_of(settings, on_file=files.see)
    for line in reading:
        say(line)
    return Inspection(parts, duplicates(parts), reading, files, not sources.is_part(settings.data))
