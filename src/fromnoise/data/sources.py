"""From what a user writes (`digits`, `mnist:test`, `photos/`, `images.npz:heldout`) to an `ImageSet`.

Every source has three parts. `train` is learnt. `val` is real data that nobody trains on: it may choose between
models, and floors are taken from it. `heldout` never chooses anything: scores are taken against it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from fromnoise import rng
from fromnoise.data import arrays, digits, folder, idx
from fromnoise.data.colour import laid
from fromnoise.data.groups import by_name, groups
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import Repeats, Say, repeats, silent
from fromnoise.data.resize import resized
from fromnoise.data.settings import NAMED, DataSettings, parse_size
from fromnoise.errors import UserError
from fromnoise.files import lost

PARTS = ("train", "val", "heldout", "test")
PICKLES = (".pt", ".pth", ".pkl", ".pickle")  # in which torch-fidelity and others keep statistics
SPLIT_SEED = 0  # of a user's own images: fixed, so that `PATH:heldout` means the same images everywhere
SHARE = 10  # one in ten of a user's own images (groups of images), or of a whole IDX set, for `val` and for `heldout`


@dataclass(frozen=True)
class Source:
    """A data set with a name of its own.

    parts  train, val and heldout; or train and test, where val is taken from train and test is held out
    load   from a part's name to its images
    """

    parts: tuple[str, ...]
    load: Callable[[str], ImageSet]


SOURCES: Mapping[str, Source] = {
    "digits": Source(tuple(digits.PARTS), digits.load),
    "mnist": Source(tuple(idx.STEMS), partial(idx.load, "mnist")),
    "fashion_mnist": Source(tuple(idx.STEMS), partial(idx.load, "fashion_mnist")),
}


@dataclass(frozen=True)
class Parts:
    """The three parts of a source, all of one size; `val` and `heldout` are None when there is too little.

    `groups` counts the groups that a user's own images were split by, one for each image that is like no other.
    """

    train: ImageSet
    val: ImageSet | None
    heldout: ImageSet | None
    groups: int | None = None

    @property
    def why_few(self) -> str:
        """In brackets, behind "too few images": the groups that are never divided, if they made them few."""
        n = sum(len(part) for part in (self.train, self.val, self.heldout) if part is not None)
        split = self.groups is not None and self.groups < n
        return f" (they are {self.groups:,} groups, none of which is divided)" if split else ""


def load(
    spec: str,
    size: tuple[int, int] | None = None,
    *,
    skip_broken: bool = False,
    group_by: str | None = None,
    say: Say = silent,
) -> ImageSet:
    """The images that `spec` names, at `size` (height, width) if given.

    `NAME` or `NAME:PART` for the named sets (digits:train|val|heldout, mnist:train|test, fashion_mnist:train|test;
    train when not said); `PATH` for all images of a folder or .npz file, `PATH:PART` for a part of them.
    Of a folder or file `say` gets one line: what was read, and what was left out; for `skip_broken` see `folder.load`,
    for `group_by` `DataSettings`. Raises UserError for what does not exist.
    """
    name, part = _parse(spec)
    if name in SOURCES:
        images = SOURCES[name].load(_check(spec, part or "train", SOURCES[name].parts))
    else:
        images = _load_path(Path(name), size, skip_broken, say)
        if part:
            parts = _split(images, group_by, say)
            chosen = getattr(parts, _check(spec, part, PARTS[:3]))
            if chosen is None:
                raise UserError(f"{name} has too few images ({len(images)}) for a part '{part}'{parts.why_few}")
            images = chosen
    return resized(images, size) if size else images


def prepare(settings: DataSettings, seed: int, *, say: Say = silent) -> Parts:
    """The parts to train and score with, as `settings` say; `say` as for `load`.

    Raises UserError for what cannot be had.
    """
    size = parse_size(settings.size, settings.fit)
    name, part = _parse(settings.data)
    if settings.group_by is not None and name in SOURCES:
        raise UserError(f"--group-by is for images of your own: {name} has parts already")
    if part:
        raise UserError(f"--data {settings.data}: name the whole source, '{name}'; fromnoise splits it itself")
    if name in SOURCES and "test" in SOURCES[name].parts:
        return _resized(_without_val(SOURCES[name], settings.m, seed), size)
    if name in SOURCES:
        train, val, heldout = map(SOURCES[name].load, PARTS[:3])
        parts = Parts(train, val, heldout)
    else:
        parts = _split(_load_path(Path(name), size, settings.skip_broken, say), settings.group_by, say)
    if settings.m is not None:
        parts = replace(parts, train=parts.train.subset(settings.m, seed))
    parts = _resized(parts, size)
    if settings.alpha != "keep" and parts.train.shape[0] == 4:
        say(f"{name}: transparency laid on {settings.alpha}")
    return replace(
        parts,
        train=laid(parts.train, settings.alpha),
        val=parts.val and laid(parts.val, settings.alpha),
        heldout=parts.heldout and laid(parts.heldout, settings.alpha),
    )


def inspected(settings: DataSettings, *, say: Say = silent) -> list[Repeats]:
    """What `settings.data` repeats, in each part that it has; raises UserError for what cannot be had."""
    name, part = _parse(settings.data)
    if part is not None:
        load_it = partial(load, skip_broken=settings.skip_broken, group_by=settings.group_by, say=say)
        return repeats([load_it(settings.data, parse_size(settings.size))])
    if name in SOURCES:
        return repeats([SOURCES[name].load(each) for each in SOURCES[name].parts])
    parts = prepare(settings, 0, say=say)
    return repeats([each for each in (parts.train, parts.val, parts.heldout) if each is not None])


def reference_for(data: str) -> str:
    """The spec of the images that a model of `data` is scored against."""
    return f"{data}:{SOURCES[data].parts[-1]}" if data in SOURCES else f"{data}:heldout"


def floor_for(reference: str) -> str | None:
    """The spec of real images, not in `reference`, that a floor against it can be taken from; None if unknown."""
    name, part = _parse(reference)
    if part == "test" and name in SOURCES:
        return f"{name}:train"
    return f"{name}:val" if part == "heldout" else None


def group_by_of(spec: str, trained: DataSettings) -> str | None:
    """The rule by which `spec` was split for a training on the data `trained`; None where it is of other data."""
    return trained.group_by if _parse(spec)[0].rstrip("/") == trained.data else None


def _parse(spec: str) -> tuple[str, str | None]:
    name, colon, part = spec.rpartition(":")
    return (name, part) if colon and part in PARTS else (spec, None)


def _check(spec: str, part: str, known: tuple[str, ...]) -> str:
    if part not in known:
        raise UserError(f"{spec}: there is no part '{part}'; choose one of: {', '.join(known)}")
    return part


def _load_path(path: Path, size: tuple[int, int] | None, skip_broken: bool, say: Say) -> ImageSet:
    if path.is_dir():
        return folder.load(path, size, skip_broken=skip_broken, say=say)
    suffix = path.suffix.lower()
    if suffix in arrays.SUFFIXES and path.is_file():
        return arrays.load(path, size, say=say)
    if suffix in PICKLES and path.is_file():
        raise UserError(_how_to_convert(path))
    known = ", ".join(NAMED)
    raise UserError(
        f"'{path}' is neither a data set ({known}), a folder of images nor an .npz or .npy file{lost(path)}"
    )


def _how_to_convert(path: Path) -> str:
    """What to say of a pickle."""
    if path.suffix.lower() in (".pt", ".pth"):
        opened = f"torch.load('{path}', weights_only=False)"
    else:
        opened = f"pickle.load(open('{path}', 'rb'))"
    return (
        f"{path} is a pickle: opening it may run any program, so fromnoise never does. To convert statistics that you "
        f"trust: python -c \"import numpy, pickle, torch; numpy.savez('{path.with_suffix('.npz')}', **{opened})\""
    )


def _without_val(source: Source, m: int | None, seed: int) -> Parts:
    """The parts of a set that has none for validation: what `m` leaves of train, or a tenth of it."""
    whole = source.load("train")
    train, rest = whole.split(len(whole) - len(whole) // SHARE if m is None else m, seed, balanced=m is not None)
    return Parts(train, None if rest is None else _with_shares_of(whole, rest), source.load("test"))


def _split(images: ImageSet, group_by: str | None, say: Say) -> Parts:
    """Eight groups in ten to train, one for each of the other parts; of each class alike, however rare.

    The groups are those of near-duplicates, or what `group_by` makes of the files' names; none is divided. A group has
    the class of its first image.
    """
    group = groups(images.images).numpy() if group_by is None else by_name(images, group_by)
    first = np.unique(group, return_index=True)[1]
    if group_by is None and (alike := len(group) - int((np.bincount(group) == 1).sum())):
        say(
            f"{images.name}: {alike:,} of {len(images):,} images are near-duplicates of others; kept together in a part"
        )
    if len(first) < SHARE:
        return Parts(images, None, None, len(first))
    order = rng.generator(SPLIT_SEED, "parts", len(images)).permutation(len(images))
    order = order[np.isin(order, first)]
    if images.labels is not None:
        order = order[np.argsort(images.labels.cpu().numpy()[order], kind="stable")]
    place = np.empty(len(first), dtype=np.int64)
    place[group[order]] = np.arange(len(order)) % SHARE

    def part(name: str, chosen: np.ndarray) -> ImageSet:
        return images.take(np.flatnonzero(chosen[group]), f"{images.name}:{name}")

    val, heldout = place == SHARE // 2, place == SHARE - 1
    return Parts(part("train", ~(val | heldout)), part("val", val), part("heldout", heldout), len(first))


def less(images: ImageSet | None, other: ImageSet | None) -> ImageSet | None:
    """The images that are not in `other`; None where none is left, or there were none."""
    if images is None or other is None:
        return images
    try:
        return images.without(other)
    except UserError:
        return None


def unseen(images: ImageSet, train: ImageSet | None) -> ImageSet | None:
    """The images that are not in `train`, as many as keep all images' shares of the classes; None where none is left.

    A balanced subset leaves few of a rare class: what it left is no fair sample of real images any more.
    """
    rest = less(images, train)
    return rest if rest is None else _with_shares_of(images, rest)


def _with_shares_of(whole: ImageSet, part: ImageSet) -> ImageSet:
    """As many images of `part`, some of `whole`, as have the whole's shares of the classes that are left."""
    if whole.labels is None or part.labels is None or len(part) == len(whole):
        return part
    labels = part.labels.cpu().numpy()
    all_of, left_of = (np.bincount(each, minlength=whole.classes) for each in (whole.labels.cpu().numpy(), labels))
    left = left_of > 0
    keep = np.ceil(all_of * (left_of[left] / all_of[left]).min()).astype(np.int64)
    order = rng.generator(SPLIT_SEED, "shares", len(part)).permutation(len(part))
    chosen = [order[labels[order] == label][: keep[label]] for label in np.flatnonzero(left)]
    return part.take(np.sort(np.concatenate(chosen)))


def _resized(parts: Parts, size: tuple[int, int]) -> Parts:
    val, heldout = (None if part is None else resized(part, size) for part in (parts.val, parts.heldout))
    return replace(parts, train=resized(parts.train, size), val=val, heldout=heldout)
