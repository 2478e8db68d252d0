"""The three parts of a user's own images: which are learnt, which validate, and which are held out.

`train` is learnt. `val` is real data that nobody trains on: it may choose between models, and floors are taken from it.
`heldout` never chooses anything: scores are taken against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from fromnoise import rng
from fromnoise.data import cache
from fromnoise.data.groups import by_name
from fromnoise.data.image_set import ImageSet, excluding
from fromnoise.errors import UserError
from fromnoise.say import plural, say

PARTS = ("train", "val", "heldout", "test")
SPLIT_SEED = 0  # fixed, so that `PATH:heldout` means the same of the same images everywhere
SHARE = 10  # one in ten of a user's own images (groups of images), or of a whole IDX set, for `val` and for `heldout`
FREE = 1  # a place of training images, of ten
SCORED, LEAST = 50, 200  # images in `heldout` at least, for a score, if there are so many groups in all


@dataclass(frozen=True)
class Parts:
    """The three parts of a source, all of one size; `val` and `heldout` are None if there are too few images.

    If a user's own images were split, `whole` counts them and `groups` their groups; an image like no other is a
    group of its own.
    """

    train: ImageSet
    val: ImageSet | None
    heldout: ImageSet | None
    whole: int | None = None
    groups: int | None = None

    @property
    def known(self) -> dict[str, ImageSet]:
        """The parts that there are, by name."""
        return {name: part for name in PARTS[:3] if (part := getattr(self, name)) is not None}

    def why_few(self, wanted: int) -> str:
        """In brackets, for a part with fewer than `wanted` images: how many images of one's own are needed in all."""
        if self.whole is None or self.groups is None:
            return ""
        needed = LEAST if wanted == SCORED else SHARE * wanted
        if self.whole < needed:
            return f" (about {needed:,} images are needed, there are {self.whole:,})"
        return f" (the {self.whole:,} images form {self.groups:,} groups, and groups are never split)"


def split(images: ImageSet, group_by: str | None) -> Parts:
    """The parts that the images came in; else one group in ten to validate, one to hold out, more if that were fewer
    than `SCORED` images of at least `LEAST` groups, and the others to train."""
    if images.parts:
        return _own(images, group_by)
    parts, n = _shared_out(images, group_by, {"val": SHARE // 2, "heldout": SHARE - 1})
    return Parts(parts["train"], parts.get("val"), parts.get("heldout"), len(images), n)


def _own(images: ImageSet, group_by: str | None) -> Parts:
    """The parts that the images came in. The only one beside train is held out, and val is then a tenth of train."""
    if group_by is not None:
        raise UserError(f"--group-by is for images that fromnoise splits: {images.name} comes in parts of its own")
    part = np.array(images.parts)
    own = {name: _part(images, name, part == name) for name in PARTS[:3] if name in part}
    if len(own) == 3:
        return Parts(own["train"], own["val"], own["heldout"])
    train, other = own.values()
    parts, n = _shared_out(train, None, {"val": 0})
    # Nothing is known of groups in the part held out, so the floor is that of images like no other, `val` alone.
    learnt, val = replace(parts["train"], groups=None), parts.get("val") and replace(parts["val"], groups=None)
    heldout = replace(other, name=f"{images.name}:heldout")
    return Parts(learnt, val, heldout, len(train), None if val else n)


def _part(images: ImageSet, name: str, rows: np.ndarray) -> ImageSet:
    whole = images.name.removesuffix(":train")
    return images.take(np.flatnonzero(rows), f"{whole}:{name}")


def given(images: ImageSet, group_by: str | None) -> np.ndarray | None:
    """The group of each image by `group_by`, or else those that the images came in; None if there are none."""
    if group_by is not None:
        return by_name(images, group_by)
    return None if images.groups is None else images.groups.numpy()


def grouped(images: ImageSet, group: np.ndarray) -> ImageSet:
    """The images with the group of each; with none if no two are of the same."""
    repeat = len(np.unique(group)) < len(group)
    return replace(images, groups=torch.from_numpy(group) if repeat else None)


def _shared_out(images: ImageSet, group_by: str | None, held: Mapping[str, int]) -> tuple[dict[str, ImageSet], int]:
    """The images as train and the parts in `held`, each of which gets one group in ten; and the number of groups.

    A part has all classes in their shares, and its groups are those at its place from 0 to 9. What `heldout` lacks of
    `SCORED` comes from train. Fewer than ten groups are all train. Groups are those `given`, or else of
    near-duplicates; none is split. A group has the class of its first image. A class too rare for all parts is in
    train, unless groups are given, or each class is one group.
    """
    known = given(images, group_by)
    group = cache.grouped(images).numpy() if known is None else known
    first = np.unique(group, return_index=True)[1]
    if known is not None:
        by = "--group-by" if group_by is not None else "the array 'groups'"
        say(f"{images.name}: {plural(len(first), 'group')} by {by}; each is kept in one part")
    elif alike := len(group) - int((np.bincount(group) == 1).sum()):
        say(
            f"{images.name}: {alike:,} of {len(images):,} images are near-duplicates of others; "
            "each group is kept in one part"
        )
    images = grouped(images, group)
    if len(first) < SHARE:
        return {"train": images}, len(first)
    order = rng.generator(SPLIT_SEED, "parts", len(images)).permutation(len(images))
    order = order[np.isin(order, first)]
    if images.labels is not None:
        order = order[np.argsort(images.labels.cpu().numpy()[order], kind="stable")]
    place = np.empty(len(first), dtype=np.int64)
    places, sizes = np.arange(len(order)) % SHARE, np.bincount(group)[group[order]]

    def learnt() -> np.ndarray:
        return np.flatnonzero(~np.isin(places, list(held.values())))

    def hold_out_enough(spare: np.ndarray) -> None:
        lacks = SCORED - int(sizes[places == held.get("heldout")].sum())
        if "heldout" in held and len(order) >= LEAST and lacks > 0:
            counts = range(1, min(lacks, len(spare)) + 1)
            even = (spare[np.linspace(0, len(spare) - 1, k).round().astype(int)] for k in counts)
            places[next((some for some in even if sizes[some].sum() >= lacks), spare)] = held["heldout"]

    hold_out_enough(learnt())
    if images.labels is not None and known is None:
        labels = images.labels.cpu().numpy()[order]
        lost = ~np.isin(labels, labels[learnt()])
        if np.isin(list(held.values()), places[~lost]).all():  # not where each class is one group
            places[lost] = FREE
            first_of_each = np.unique(labels[learnt()], return_index=True)[1]
            hold_out_enough(np.delete(learnt(), first_of_each))
    place[group[order]] = places
    place = place[group]
    parts = {"train": _part(images, "train", ~np.isin(place, list(held.values())))}
    return parts | {name: _part(images, name, place == at) for name, at in held.items()}, len(first)


def unseen(images: ImageSet, train: ImageSet | None) -> ImageSet | None:
    """The images that are not in `train`, as many as keep the classes' shares of all images; None if none is left.

    A balanced subset leaves few images of a rare class, so all that it left would not be a fair sample of real images.
    """
    rest = excluding(images, train)
    return rest if rest is None else with_shares_of(images, rest)


def with_shares_of(whole: ImageSet, part: ImageSet) -> ImageSet:
    """As many images of `part`, a subset of `whole`, as keep the whole's shares of the classes that are left."""
    if whole.labels is None or part.labels is None or len(part) == len(whole):
        return part
    labels = part.labels.cpu().numpy()
    all_of, left_of = (np.bincount(each, minlength=whole.classes) for each in (whole.labels.cpu().numpy(), labels))
    left = left_of > 0
    keep = np.ceil(all_of * (left_of[left] / all_of[left]).min()).astype(np.int64)
    order = rng.generator(SPLIT_SEED, "shares", len(part)).permutation(len(part))
    chosen = [order[labels[order] == label][: keep[label]] for label in np.flatnonzero(left)]
    return part.take(np.sort(np.concatenate(chosen)))
