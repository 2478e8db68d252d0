"""From what a user writes (`digits`, `mnist:test`, `photos/`, `images.npz:heldout`) to an `ImageSet`.

Every source has three parts. `train` is learnt. `val` is real data that nobody trains on: it may choose between
models, and floors are taken from it. `heldout` never chooses anything: scores are taken against it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fromnoise import rng
from fromnoise.data import archive, arrays, cache, cifar, digits, folder, idx, saved, svhn
from fromnoise.data.colour import is_grey, laid, with_channels
from fromnoise.data.groups import by_name, groups
from fromnoise.data.image_set import ImageSet, excluding, joined
from fromnoise.data.resize import resized
from fromnoise.data.settings import DataSettings, parse_size
from fromnoise.data.source import OnFile, Reading, Source, ignored
from fromnoise.errors import UserError
from fromnoise.files import missing_hint
from fromnoise.say import plural, say

PARTS = ("train", "val", "heldout", "test")
PICKLES = (".pt", ".pth", ".pkl", ".pickle")  # suffixes; torch-fidelity and others keep statistics in these
SPLIT_SEED = 0  # of a user's own images: fixed, so that `PATH:heldout` means the same images everywhere
SHARE = 10  # one in ten of a user's own images (groups of images), or of a whole IDX set, for `val` and for `heldout`
FREE = 1  # a place of training images, of ten
SCORED, LEAST = 50, 200  # images in `heldout` at least, for a score, if there are so many groups in all

SOURCES: tuple[Source, ...] = (
    digits.SOURCE,
    *idx.SOURCES,
    cifar.SOURCE,
    svhn.SOURCE,
    saved.SOURCE,
    folder.SOURCE,
    archive.SOURCE,
    arrays.SOURCE,
)
"""The first that matches a name is its source: data sets with a name of their own come before files called the same."""


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

    def why_few(self, wanted: int) -> str:
        """In brackets, for a part with fewer than `wanted` images: how many images of one's own are needed in all."""
        if self.whole is None or self.groups is None:
            return ""
        needed = LEAST if wanted == SCORED else SHARE * wanted
        if self.whole < needed:
            return f" (about {needed:,} images are needed, there are {self.whole:,})"
        return f" (the {self.whole:,} images form {self.groups:,} groups, and groups are never split)"


def load(
    spec: str,
    size: tuple[int, int] | None = None,
    *,
    skip_broken: bool = False,
    group_by: str | None = None,
    label_by: str | None = None,
    on_file: OnFile = ignored,
) -> ImageSet:
    """The images that `spec` names, at `size` (height, width) if given.

    `NAME` or `NAME:PART` for the named sets (digits:train|val|heldout, mnist:train|test and so on; train when not
    said); `PATH` for all images of a folder or a file, `PATH:PART` for a part of them (train, val, heldout).
    Of a folder or file it says in one line what was read and what was left out, and `on_file` gets each image file. For
    `skip_broken` see `folder.load`, for `group_by` and `label_by` see `DataSettings`. Raises UserError if the data
    cannot be found or read.
    """
    name, part = _parse(spec)
    source = _source(name, group_by, label_by)
    how = Reading(size, skip_broken, label_by, on_file)
    if source.parts:
        images = source.load(_check(spec, part or "train", source.parts), how)
    else:
        images = _read(source, name, how)
        if group_by is not None and not part:
            images = replace(images, groups=torch.from_numpy(by_name(images, group_by)))
        if part:
            parts = _split(images, group_by)
            chosen = getattr(parts, _check(spec, part, PARTS[:3]))
            if chosen is None:
                raise UserError(f"{name} has too few images for a part '{part}'{parts.why_few(1)}")
            images = chosen
    return resized(images, size)


def prepare(settings: DataSettings, seed: int, *, skip_broken: bool = False, on_file: OnFile = ignored) -> Parts:
    """The parts to train and score with, as `settings` say; the other arguments are those of `load`.

    Raises UserError if the data cannot be found or read.
    """
    size = parse_size(settings.size, settings.fit)
    name, part = _parse(settings.data)
    if part:
        raise UserError(f"--data {settings.data}: name the whole source, '{name}'; fromnoise splits it itself")
    source = _source(name, settings.group_by, settings.label_by)
    how = Reading(size, skip_broken, settings.label_by, on_file)
    if "test" in source.parts:
        parts = _without_val(name, source, how, settings.m, seed)
    else:
        if source.parts:
            train, val, heldout = (source.load(each, how) for each in source.parts)
            parts = Parts(train, val, heldout)
        else:
            parts = _split(_read(source, name, how), settings.group_by)
        if settings.m is not None:
            parts = replace(parts, train=parts.train.subset(_at_most(settings.m, parts.train), seed))
    if settings.alpha != "keep" and parts.train.shape[0] == 4:
        say(f"{name}: transparency laid on {settings.alpha}")

    def fitted(part: ImageSet) -> ImageSet:
        return laid(resized(part, size), settings.alpha)

    return replace(
        parts,
        train=fitted(parts.train),
        val=parts.val and fitted(parts.val),
        heldout=parts.heldout and fitted(parts.heldout),
    )


def parts_of(settings: DataSettings, *, on_file: OnFile = ignored) -> list[ImageSet]:
    """All parts of the data, or the one part that `settings.data` names, sized and laid as training would take them.

    A named set has the parts that it comes in (mnist: train and test). Images that cannot be read are left out. Raises
    UserError as `prepare` does.
    """
    name, part = _parse(settings.data)
    source = _named(name)
    if part is None and source is None:
        parts = prepare(settings, 0, skip_broken=True, on_file=on_file)
        return [each for each in (parts.train, parts.val, parts.heldout) if each is not None]
    size = parse_size(settings.size, settings.fit)
    rules = {"group_by": settings.group_by, "label_by": settings.label_by}
    specs = [f"{name}:{each}" for each in source.parts] if source and part is None else [settings.data]
    found = (load(spec, size, skip_broken=True, on_file=on_file, **rules) for spec in specs)
    return [laid(each, settings.alpha) for each in found]


def check_name(spec: str) -> None:
    """Raise UserError for images that `load` would not find, or a part that their source does not have."""
    name, part = _parse(spec)
    _check(spec, part or PARTS[0], _source(name, None, None).parts or PARTS[:3])


def reference_for(data: str) -> str:
    """The spec of the images that a model of `data` is scored against."""
    source = _named(data)
    return f"{data}:{source.parts[-1] if source else 'heldout'}"


def floor_for(reference: str) -> str | None:
    """The spec of real images, not in `reference`, that a floor against it can be taken from; None if unknown."""
    name, part = _parse(reference)
    if part == "test" and _named(name):
        return f"{name}:train"
    return f"{name}:val" if part == "heldout" else None


def floor_of(reference: str, read: Callable[[str], ImageSet]) -> ImageSet | None:
    """The images of `floor_for`, as `read` gives them; None if unknown.

    If images come in groups, the few groups of one part are not a fair sample, so train is added.
    """
    spec = floor_for(reference)
    if spec is None:
        return None
    images = read(spec)
    if images.groups is None:
        return images
    rest = read(f"{_parse(reference)[0]}:train")
    return joined([images, rest], f"{images.name} and {rest.name}")


def whole_of(spec: str) -> str:
    """The whole source that `spec` names or names a part of, in the form of `DataSettings.data`."""
    return _parse(spec)[0].rstrip("/") or "/"


def is_same(data: str, trained: DataSettings) -> bool:
    """Whether `data`, a whole source, is what `trained` names; a path may be written in another way."""
    if data == trained.data or _named(data) or _named(trained.data):
        return data == trained.data
    return Path(data).exists() and Path(data).resolve() == Path(trained.data).resolve()


def load_as(
    spec: str, trained: DataSettings, size: tuple[int, int] | None = None, *, skip_broken: bool = False
) -> ImageSet:
    """The images of `load`, read and split as a training on the data `trained` did; other data by no rules."""
    same = is_same(whole_of(spec), trained)
    group_by, label_by = (trained.group_by, trained.label_by) if same else (None, None)
    return load(spec, size, skip_broken=skip_broken, group_by=group_by, label_by=label_by)


def _parse(spec: str) -> tuple[str, str | None]:
    name, colon, part = spec.rpartition(":")
    return (name, part) if colon and part in PARTS else (spec, None)


def _check(spec: str, part: str, known: tuple[str, ...]) -> str:
    if part not in known:
        raise UserError(f"{spec}: there is no part '{part}'; choose one of: {', '.join(known)}")
    return part


def _named(name: str) -> Source | None:
    """The source of a data set with a name of its own; None for any other `name`."""
    return next((source for source in SOURCES if source.parts and source.matches(name)), None)


def _source(name: str, group_by: str | None, label_by: str | None) -> Source:
    """Where the images called `name` come from; raises UserError for an unknown name, and for rules it cannot use."""
    if not name.strip():
        raise UserError("the images' name is empty: name a data set, a folder or a file")
    if found := next((source for source in SOURCES if source.matches(name)), None):
        for flag, rule, what in (("--group-by", group_by, "parts"), ("--label-by", label_by, "classes")):
            if rule is not None and found.parts:
                raise UserError(f"{flag} is for images of your own: {name} has {what} already")
        return found
    path = Path(name)
    if path.suffix.lower() == ".parquet" and path.is_file():
        raise UserError(f"{name} is a table: if it is a data set of Hugging Face's, name its folder, hf:{path.parent}")
    if archive.is_pattern(name):
        first = archive.numbered(name)[0]
        raise UserError(f"no files match {name}{'' if first == name else f', such as {first}'}")
    if path.suffix.lower() in PICKLES and path.is_file():
        raise UserError(_how_to_convert(path))
    whole, colon, part = name.rpartition(":")
    if colon and (found := next((source for source in SOURCES if source.matches(whole)), None)):
        _check(name, part, found.parts or PARTS[:3])
    known = ", ".join(source.what for source in SOURCES if source.parts)
    *kinds, last = (source.what for source in SOURCES if not source.parts)
    raise UserError(f"'{name}' is neither a data set ({known}), {', '.join(kinds)} nor {last}{missing_hint(path)}")


def _how_to_convert(path: Path) -> str:
    """The error for a pickle."""
    if path.suffix.lower() in (".pt", ".pth"):
        opened = f"torch.load('{path}', weights_only=False)"
    else:
        opened = f"pickle.load(open('{path}', 'rb'))"
    new = path.with_suffix(".npz") if not path.with_suffix(".npz").exists() else path.with_name(f"{path.stem}-new.npz")
    return (
        f"{path} is a pickle: opening it may run any program, so fromnoise never does. To convert images or statistics "
        f"that you trust: python -c \"import numpy, pickle, torch; found = {opened}; numpy.savez('{new}', "
        "**(found if isinstance(found, dict) else {'images': found}))\""
    )


def _read(source: Source, name: str, how: Reading) -> ImageSet:
    """All of a user's own images; RGB without colour, as scanners store grey, as grey."""
    images = cache.load(source, name, how)
    if images.shape[0] != 3 or not is_grey(images.images):
        return images
    say(f"{name}: RGB without any colour is read as grey")
    return with_channels(images, 1)


def _without_val(name: str, source: Source, how: Reading, m: int | None, seed: int) -> Parts:
    """The parts of a set that has none for validation: what `m` leaves of train, or a tenth of it."""
    whole = source.load("train", how)
    kept = len(whole) - len(whole) // SHARE
    if m is not None and m > len(whole):
        say(f"{name}: training on all {kept:,} images outside validation, fewer than the {m:,} that --m allows")
    elif m is not None:
        kept = m
        if (left := len(whole) - m) < SCORED:
            say(f"{name}: --m {m:,} leaves {plural(left, 'image')} for validation and the floor of the score")
    train, rest = whole.split(kept, seed, balanced=kept == m)
    return Parts(train, None if rest is None else _with_shares_of(whole, rest), source.load("test", how))


def _at_most(m: int, images: ImageSet) -> int:
    """How many images --m takes; if there are fewer, all of them, and a line says so."""
    if len(images) < m:
        name = images.name.removesuffix(":train")
        say(f"{name}: training on all {len(images):,} images, fewer than the {m:,} that --m allows")
    return min(m, len(images))


def _split(images: ImageSet, group_by: str | None) -> Parts:
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


def _shared_out(images: ImageSet, group_by: str | None, held: Mapping[str, int]) -> tuple[dict[str, ImageSet], int]:
    """The images as train and the parts in `held`, each of which gets one group in ten; and the number of groups.

    A part has all classes in their shares, and its groups are those at its place from 0 to 9. What `heldout` lacks of
    `SCORED` comes from train. Fewer than ten groups are all train. Groups are of near-duplicates, or what `group_by`
    makes of file names; none is split. A group has the class of its first image. A class too rare for all parts is in
    train, unless `group_by` decides, or each class is one group.
    """
    group = cache.grouped(images, groups).numpy() if group_by is None else by_name(images, group_by)
    first = np.unique(group, return_index=True)[1]
    if group_by is None and (alike := len(group) - int((np.bincount(group) == 1).sum())):
        say(
            f"{images.name}: {alike:,} of {len(images):,} images are near-duplicates of others; "
            "each group is kept in one part"
        )
    if len(first) < len(group):
        images = replace(images, groups=torch.from_numpy(group))
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
    if images.labels is not None and group_by is None:
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
    return rest if rest is None else _with_shares_of(images, rest)


def _with_shares_of(whole: ImageSet, part: ImageSet) -> ImageSet:
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
