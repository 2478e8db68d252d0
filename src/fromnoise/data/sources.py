"""From what a user writes (`digits`, `mnist:test`, `photos/`, `images.npz:heldout`) to an `ImageSet`.

Every source has three parts (`data.parts`).
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fromnoise.data import archive, arrays, cache, cifar, digits, folder, idx, saved, svhn
from fromnoise.data.colour import is_grey, laid, with_channels
from fromnoise.data.image_set import ImageSet, joined
from fromnoise.data.listing import hidden
from fromnoise.data.parts import PARTS, SCORED, SHARE, Parts, given, grouped, split, with_shares_of
from fromnoise.data.resize import resized
from fromnoise.data.settings import DataSettings, parse_size
from fromnoise.data.source import OnFile, Reading, Source, ignored
from fromnoise.errors import UserError
from fromnoise.files import missing_hint, quoted, without_slash
from fromnoise.say import plural, say

PICKLES = (".pt", ".pth", ".pkl", ".pickle")  # suffixes; torch-fidelity and others keep statistics in these

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


def load(
    spec: str,
    size: tuple[int, int] | None = None,
    *,
    skip_broken: bool = False,
    group_by: str | None = None,
    label_by: str | None = None,
    within: tuple[float, float] | None = None,
    on_file: OnFile = ignored,
) -> ImageSet:
    """The images that `spec` names, at `size` (height, width) if given.

    `NAME` or `NAME:PART` for the named sets (digits:train|val|heldout, mnist:train|test and so on; train when not
    said); `PATH` for all images of a folder or a file, `PATH:PART` for a part of them (train, val, heldout).
    Of a folder or file it says in one line what was read and what was left out, and `on_file` gets each image file. For
    `skip_broken` see `folder.load`, for `group_by` and `label_by` see `DataSettings`, for `within` `Reading`. Raises
    UserError if the data cannot be found or read.
    """
    name, part = _parse(spec)
    source = _source(name, group_by, label_by)
    how = Reading(size, skip_broken, label_by, within, on_file)
    if source.parts:
        images = source.load(_check(spec, part or "train", source.parts), how)
    else:
        images = _read(source, name, how)
        if part:
            parts = split(images, group_by)
            if _check(spec, part, PARTS[:3]) not in parts.known:
                raise UserError(f"{name} has too few images for a part '{part}'{parts.why_few(1)}")
            images = parts.known[part]
        elif (group := given(images, group_by)) is not None:
            images = grouped(images, group)
    return resized(images, size)


def prepare(
    settings: DataSettings,
    seed: int,
    *,
    skip_broken: bool = False,
    within: tuple[float, float] | None = None,
    on_file: OnFile = ignored,
) -> Parts:
    """The parts to train and score with, as `settings` say; the other arguments are those of `load`.

    Raises UserError if the data cannot be found or read.
    """
    size = parse_size(settings.size, settings.fit)
    name, part = _parse(settings.data)
    if part:
        raise UserError(f"--data {settings.data}: name the whole source, '{name}'; fromnoise splits it itself")
    source = _source(name, settings.group_by, settings.label_by)
    how = Reading(size, skip_broken, settings.label_by, within, on_file)
    if "test" in source.parts:
        parts = _without_val(name, source, how, settings.m, seed)
    else:
        if source.parts:
            train, val, heldout = (source.load(each, how) for each in source.parts)
            parts = Parts(train, val, heldout)
        else:
            parts = split(_read(source, name, how), settings.group_by)
        if settings.m is not None:
            parts = replace(parts, train=parts.train.subset(_at_most(settings.m, parts.train), seed))
    if settings.alpha != "keep" and parts.train.shape[0] == 4:
        say(f"{name}: transparent parts put on {settings.alpha}")
    fitted: dict[str, Any] = {name: laid(resized(part, size), settings.alpha) for name, part in parts.known.items()}
    return replace(parts, **fitted)


def parts_of(settings: DataSettings, *, on_file: OnFile = ignored) -> list[ImageSet]:
    """All parts of the data, or the one part that `settings.data` names, sized and laid as training would take them.

    A named set has the parts that it comes in (mnist: train and test). Images that cannot be read are left out. Raises
    UserError as `prepare` does.
    """
    name, part = _parse(settings.data)
    source = _named(name)
    if part is None and source is None:
        return list(prepare(settings, 0, skip_broken=True, on_file=on_file).known.values())
    size = parse_size(settings.size, settings.fit)
    rules: dict[str, Any] = {"group_by": settings.group_by, "label_by": settings.label_by}
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
    return without_slash(_parse(spec)[0])


def is_part(spec: str) -> bool:
    """Whether `spec` names a part of a source, not the whole."""
    return _parse(spec)[1] is not None


def check_outside(place: Path, data: str) -> None:
    """Raise UserError if `place`, where images are to be written, lies inside the folder `data`, a whole source."""
    if _named(data) or not os.path.isdir(data):
        return
    inside, pool = (Path(os.path.realpath(each)) for each in (place, data))
    if pool in inside.parents and not any(map(hidden, inside.relative_to(pool).parts)):
        raise UserError(
            f"{place} lies inside the data folder {data}, so images there would be read as data: "
            "choose a place elsewhere"
        )


def is_same(data: str, trained: DataSettings) -> bool:
    """Whether `data`, a whole source, is what `trained` names; a path may be written in another way."""
    if data == trained.data or _named(data) or _named(trained.data):
        return data == trained.data
    try:
        return Path(data).samefile(trained.data)
    except OSError:  # one of them is not there, or you may not look
        return False


def load_as(
    spec: str,
    trained: DataSettings,
    size: tuple[int, int] | None = None,
    *,
    skip_broken: bool = False,
    within: tuple[float, float] | None = None,
) -> ImageSet:
    """The images of `load`, read and split as a training on the data `trained` did; other data by no rules.

    Raises UserError also for a part of what may be that data in another place: it would be split otherwise.
    """
    same = is_same(whole_of(spec), trained)
    rules = {"--group-by": trained.group_by, "--label-by": trained.label_by}
    used = [flag for flag, rule in rules.items() if rule is not None]
    gone = not any(source.matches(trained.data) for source in SOURCES)
    if used and gone and not same and is_part(spec) and _named(whole_of(spec)) is None:
        check_name(spec)
        own = quoted(["fromnoise", "data", "export", spec, "part.npz"])
        raise UserError(
            f"{spec}: the model's images were split by {' and '.join(used)} and their place, {trained.data}, is not "
            "here, so these might be the same images split otherwise: run the command in the folder where "
            f"{trained.data} is found or, if these are other images, export the part first (`{own}`)"
        )
    group_by, label_by = (trained.group_by, trained.label_by) if same else (None, None)
    return load(spec, size, skip_broken=skip_broken, group_by=group_by, label_by=label_by, within=within)


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
    torch = path.suffix.lower() in (".pt", ".pth")
    opened = "torch.load(old, weights_only=False)" if torch else "pickle.load(open(old, 'rb'))"
    new = path.with_suffix(".npz") if not path.with_suffix(".npz").exists() else path.with_name(f"{path.stem}-new.npz")
    return (
        f"{path} is a pickle: opening it may run any program, so fromnoise never does. To convert images or statistics "
        f'that you trust: `python -c "import numpy, pickle, sys, torch; _, old, new = sys.argv; found = {opened}; '
        "numpy.savez(new, **(found if isinstance(found, dict) else {'images': found}))\" "
        f"{quoted([path.as_posix(), new.as_posix()])}`"
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
    return Parts(train, None if rest is None else with_shares_of(whole, rest), source.load("test", how))


def _at_most(m: int, images: ImageSet) -> int:
    """How many images --m takes; if there are fewer, all of them, and a line says so."""
    if len(images) < m:
        name = images.name.removesuffix(":train")
        say(f"{name}: training on all {len(images):,} images, fewer than the {m:,} that --m allows")
    return min(m, len(images))
