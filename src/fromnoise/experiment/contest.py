"""What is compared with what, from what a user names: any images, against real ones, beside training images."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fromnoise.data import sources
from fromnoise.data.colour import laid, plain, with_channels
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.data.settings import DataSettings, Size
from fromnoise.errors import UserError
from fromnoise.evaluation.score import Contest
from fromnoise.experiment.find import find_images, is_run, trained_on
from fromnoise.say import Say, silent
from fromnoise.training.run_folder import RunFolder

Named = str | ImageSet
"""A data set's name, a folder, an .npz or .npy file (for generated images, a run folder too); or the images."""


def contest(
    generated: Named,
    reference: Named,
    train: Named | None = None,
    floor: Named | None = None,
    *,
    n: int | None = None,
    seed: int = 0,
    skip_broken: bool = False,
    reading: Mapping[str, Any] | None = None,
    say: Say = silent,
) -> Contest:
    """The sets of a score, of the generated images' size; raises UserError for what cannot be found.

    A run knows its training images, and a named reference the real images that its floor is taken from, where `train`
    and `floor` do not say. `n`: a random subset of so many of the generated images. `skip_broken` and `say` are those
    of `sources.load`. `reading`: settings of `DataSettings` by which the sets come to the generated images' size, lose
    their transparency and, being of the reference's data, have classes and parts; those of a run are its own, unless
    given. Channels are as in `in_one_colour`.
    """
    notes: list[str] = []
    run = Path(generated) if isinstance(generated, str) and is_run(Path(generated)) else None
    unknown = DataSettings(sources.whole_of(reference) if isinstance(reference, str) else "")
    way = replace(unknown if run is None else RunFolder(run).about().config.data, **(reading or {}))

    def load(named: Named, size: tuple[int, int] | None = None) -> ImageSet:
        if isinstance(named, ImageSet):
            return resized(named, size) if size else named
        rules = sources.rules_of(named, way)
        return laid(sources.load(named, size, skip_broken=skip_broken, say=say, **rules), way.alpha)

    trained: ImageSet | None = None
    if run is not None:
        images = load(str(find_images(run)))
        if train is None:
            trained = trained_on(run, say)
            if trained is None:
                notes.append("no copycat: the run's training images are missing or have changed")
    else:
        images = load(generated)
    size = Size(*images.shape[1:], way.fit)
    real = load(reference, size)
    if images.class_names and real.class_names and images.class_names != real.class_names:
        images = replace(images, labels=None, class_names=())
        notes.append("labels were ignored: the generated images' classes have other names than the reference's")
    if n is not None:
        images = images.subset(n, seed, balanced=False)
    if train is not None:
        trained = load(train, size)
    other = None
    if floor is not None:
        other = load(floor, size)
    elif isinstance(reference, str):
        known = {trained.name: trained} if trained is not None and trained.shape[1:] == size else {}
        other = sources.floor_of(reference, lambda spec: known.get(spec) or load(spec, size))
    found = in_one_colour(Contest(images, real, other, trained, notes))
    beside = found.floor
    if beside is not None and beside.groups is None:
        beside = sources.unseen(beside, found.train)
    return replace(found, floor=sources.less(beside, found.reference), notes=found.notes + _resizing(found))


def in_one_colour(contest: Contest) -> Contest:
    """The sets with the reference's channels, so that the file format decides nothing.

    RGB without colour is grey, RGBA without transparency RGB. Against a grey reference all sets are compared by their
    luminance, against an opaque one on mid-grey; against a coloured one grey images stay grey, against a transparent
    one opaque images opaque. Where that hides a difference from the reference, a note says so, and where values were
    mapped to bytes by another range. Raises UserError for generated images of such a range, which the mapping may have
    changed, and for other channels than the reference's that have no colours.
    """
    reference, notes = plain(contest.reference), list(contest.notes)
    channels = reference.shape[0]

    def like(images: ImageSet, role: str) -> ImageSet:
        images = plain(images)
        if images.shape[0] == 4 != channels:
            notes.append(f"the {role} images are transparent and the reference is not: compared on mid-grey")
            images = plain(with_channels(images, 3))
        if images.shape[0] > channels == 1:
            notes.append(f"the {role} images are coloured and the reference is grey: compared by luminance")
        if images.shape[0] < channels and role == "generated":
            what = "opaque and the reference is transparent" if channels == 4 else "grey and the reference is coloured"
            notes.append(f"the generated images are {what}")
        if images.range not in (None, reference.range) and role == "generated":
            theirs = "bytes" if reference.range is None else "from {:g} to {:g}".format(*reference.range)
            raise UserError(
                f"{images.name} has values from {images.range[0]:g} to {images.range[1]:g}, {reference.name} {theirs}: "
                "bring both to bytes first, as by (255 * images).round().clip(0, 255).astype('uint8') from 0 to 1"
            )
        if images.range not in (None, reference.range):
            notes.append(f"the {role} images' values were mapped to 8 bits by another range than the reference's")
        return with_channels(images, channels)

    floor = contest.floor and like(contest.floor, "floor's")
    train = contest.train and like(contest.train, "training")
    return Contest(like(contest.generated, "generated"), reference, floor, train, notes)


def _resizing(contest: Contest) -> list[str]:
    """A note on the sets that were brought to the generated images' size, if any were."""
    sets = {"reference": contest.reference, "floor": contest.floor, "training images": contest.train}
    was = [f"{role} (from {images.was})" for role, images in sets.items() if images is not None and images.was]
    height, width = contest.generated.shape[1:]
    return [f"resized to the generated images' {height}×{width}: {', '.join(was)}"] if was else []
