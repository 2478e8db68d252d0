"""Resolves what a user names into the generated, reference, floor and training images of a score."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fromnoise.config import Config
from fromnoise.data import blocks, sources
from fromnoise.data.colour import coloured, laid, on_grey, plain, transparent, with_channels
from fromnoise.data.image_set import ImageSet, excluding
from fromnoise.data.parts import Parts, unseen
from fromnoise.data.resize import resized
from fromnoise.data.settings import NAMED, Alpha, DataSettings, Fit, Size
from fromnoise.errors import UserError
from fromnoise.evaluation.provenance import Request
from fromnoise.evaluation.score import Comparison
from fromnoise.experiment.find import TrainingImagesLost, find_images, is_run, parts_of
from fromnoise.limits import flag
from fromnoise.training.run_folder import RunFolder

Named = str | ImageSet
"""A data set's name, a folder, an .npz or .npy file (for generated images, a run folder too); or the images."""
READING = ("fit", "alpha", "label_by", "group_by")
"""Settings of the data by which sets are read, where they are given."""
FAINT = 16
"""A set whose values span fewer levels than this has no contrast: it counts as blank."""
SEEN = 24.0
"""Levels of colour or transparency, averaged over 3×3 pixels, that a person sees; saving as JPEG makes fewer."""


@dataclass(frozen=True)
class ScoreRequest:
    """What to compare with what.

    A run knows its training images, and a named reference the real images that its floor is taken from, where `train`
    and `floor` do not say. The reference of `evaluate` may be statistics.

    n            size of a random subset of the generated images to score; None for all
    skip_broken  is that of `sources.load`
    fit …        as in `DataSettings`: how the sets come to the generated images' size, lose their transparency and,
                 being of the reference's data, have classes and parts; those of a run are its own, unless given
    """

    generated: Named
    reference: Named
    train: Named | None = None
    floor: Named | None = None
    features: str = "auto"
    weights: Path | None = None
    n: int | None = None
    seed: int = 0
    skip_broken: bool = False
    fit: Fit | None = None
    alpha: Alpha | None = None
    label_by: str | None = None
    group_by: str | None = None

    @property
    def reading(self) -> dict[str, Any]:
        """The settings in `READING` that are given."""
        return {name: rule for name in READING if (rule := getattr(self, name)) is not None}

    def recorded(self) -> Request:
        """The request for report.json: names, None for images in memory."""
        given = {name: getattr(self, name) for name in Request.__struct_fields__}
        in_memory = {name: None for name, value in given.items() if isinstance(value, ImageSet)}
        return Request(**given | in_memory | {"weights": None if self.weights is None else str(self.weights)})


def reference_name(config: Config) -> str:
    """What a run is scored against, by name."""
    return config.evaluation.reference or sources.reference_for(config.data.data)


def comparison(request: ScoreRequest) -> Comparison:
    """The sets of a score, of the generated images' size; raises UserError for what cannot be found, and for a
    reference without contrast.

    Channels and floor are as in `without_leaks`.
    """
    notes: list[str] = []
    generated, reference = request.generated, request.reference
    run = Path(generated) if isinstance(generated, str) and is_run(Path(generated)) else None
    unknown = DataSettings(sources.whole_of(reference) if isinstance(reference, str) else "")
    theirs = _named_run(request.train)
    known = [RunFolder(each).about().config.data for each in (run, theirs) if each is not None]
    own = next((data for data in known if run is not None or sources.is_same(unknown.data, data)), unknown)
    way = replace(own, **request.reading)
    _check_rules(request, way.data)

    def load(named: Named, size: tuple[int, int] | None = None) -> ImageSet:
        within = None if trained is None else trained.range
        return read(named, way, size, skip_broken=request.skip_broken, within=within)

    trained: ImageSet | None = None
    parts: Parts | None = None
    lost: TrainingImagesLost | None = None
    if run is not None:
        images = load(str(find_images(run)))
        if request.train is None:
            try:
                parts = parts_of(run)
                trained = laid(parts.train, way.alpha)
            except TrainingImagesLost as error:
                lost = error
                notes.append("no copycat: the run's training images are missing or have changed")
    else:
        images = load(generated)
    size = Size(*images.shape[1:], way.fit)
    real = load(reference, size)
    _check_contrast(real)
    if lost is not None and unknown.data not in NAMED and not real.parts and sources.is_same(unknown.data, own):
        raise UserError(
            f"{lost}, so {reference} may contain images that the run was trained on: restore the data, or name other "
            "real images with --reference"
        ) from lost
    if (ends := _extremes_if_blank(images)) is not None:  # a model that has collapsed, or masks of 0 and 1
        notes.append(f"the generated images have no contrast: their values go from {ends[0]} to {ends[1]} of 255")
    if not (run is not None and way == own and sources.is_same(unknown.data, own)):  # else all have the run's classes
        images = same_classes(images, real, "generated", notes)
        trained = trained and same_classes(trained, real, "training", notes)
    if request.n is not None:
        images = images.subset(request.n, request.seed, balanced=False)
    if request.train is not None:
        found = load(request.train, size) if theirs is None else read(parts_of(theirs).train, way, size)
        trained = same_classes(found, real, "training", notes)
    other = None
    if request.floor is not None:
        other = same_classes(load(request.floor, size), real, "floor's", notes)
    elif isinstance(reference, str):
        fitting = parts if parts is not None and parts.train.shape[1:] == size and way == own else None
        other = floor_images(reference, way, fitting, lambda spec: load(spec, size))
    sets = without_leaks(Comparison(images, real, other, trained, notes, not real.parts and request.floor is None))
    return replace(sets, notes=sets.notes + _resizing(sets))


def _check_rules(request: ScoreRequest, data: str) -> None:
    """Raise UserError for rules on the names of files where no set is read from `data`, which they are for."""
    rules = [flag(name) for name in ("label_by", "group_by") if getattr(request, name) is not None]
    given = request.reference, request.train, request.floor
    named = [sources.whole_of(each) for each in given if isinstance(each, str)]
    if rules and not any(sources.is_same(each, DataSettings(data)) for each in named):
        whose = f"{data}, which the run was trained on, and none of these images come from it"
        whose = whose if data else "a reference given by name, not to images in memory"
        raise UserError(f"leave out {' and '.join(rules)}: such rules apply only to {whose}")


def same_classes(images: ImageSet, reference: ImageSet, role: str, notes: list[str]) -> ImageSet:
    """The images, without labels that are not the reference's classes: of other names or, mostly, other numbers.

    Sub-folders may be named for the process that wrote them, or for the first image in each.
    """
    if images.labels is None or reference.labels is None:
        return images
    if images.class_names:
        names = reference.class_names[: len(images.class_names)]  # a model does not know of the last, if it saw none
        same, what = images.class_names == names, "names"
    else:
        same, what = bool(torch.isin(images.labels, reference.labels).double().mean() > 0.5), "numbers"
    if same:
        return images
    notes.append(f"labels were ignored: the {role} images' class {what} differ from the reference's")
    return replace(images, labels=None, class_names=())


def _check_contrast(images: ImageSet) -> None:
    """Raise UserError for images without contrast, such as masks of 0 and 1, or mid-grey icons on transparency."""
    if (ends := _extremes_if_blank(images)) is not None:
        raise UserError(
            f"{images.name} has no contrast: its values go from {ends[0]} to {ends[1]} of 255; "
            "scale them, or put transparent images on another background (--alpha white)"
        )


def _extremes_if_blank(images: ImageSet) -> tuple[int, int] | None:
    """The darkest and the brightest value of images in which nothing shows; None if something does."""
    ends = [int(each) for part in blocks.parts(images.images) for each in on_grey(part).aminmax()]
    return (min(ends), max(ends)) if max(ends) - min(ends) < FAINT else None


def _named_run(named: Named | None) -> Path | None:
    """The run that a set is named by; None for anything else, such as a data set of the same name."""
    if not isinstance(named, str) or named in NAMED or not is_run(Path(named)):
        return None
    return Path(named)


def read(
    named: Named,
    way: DataSettings,
    size: tuple[int, int] | None,
    *,
    skip_broken: bool = False,
    within: tuple[float, float] | None = None,
) -> ImageSet:
    """A set as a training on the data `way` reads it, at `size` if given; the rest is as in `sources.load`."""
    if _named_run(named) is not None:
        raise UserError(f"{named} is a run, whose images are generated: name real images, such as its data")
    if isinstance(named, ImageSet):
        images = resized(named, size) if size else named
    else:
        images = sources.load_as(named, way, size, skip_broken=skip_broken, within=within)
    return laid(images, way.alpha)


def floor_images(
    reference: str, data: DataSettings, parts: Parts | None, load: Callable[[str], ImageSet]
) -> ImageSet | None:
    """The images that floors against a reference may be taken from, as `without_leaks` leaves them; None if not known.

    `parts` are those of a training on `data`, if there was one; `load` reads any others by name.
    """
    if parts is None:
        return sources.floor_of(reference, load)
    if reference == sources.reference_for(data.data) and (parts.val is None or parts.val.groups is None):
        return parts.val
    known = {part.name: part for part in (parts.train, parts.val) if part is not None}
    return sources.floor_of(reference, lambda spec: known.get(spec) or load(spec))


def without_leaks(comparison: Comparison) -> Comparison:
    """The sets as in `in_one_colour`, and the floor without images that are in the reference or, unless they come in
    groups, were trained on."""
    found = in_one_colour(comparison)
    floor = found.floor
    if floor is not None and floor.groups is None:
        floor = unseen(floor, found.train)
    return replace(found, floor=excluding(floor, found.reference))


def in_one_colour(comparison: Comparison) -> Comparison:
    """The sets with the reference's channels, so that the file format decides nothing.

    RGB without colour is grey, RGBA without transparency RGB. Against a grey reference all sets are compared by their
    luminance, against an opaque one on mid-grey; against a coloured one grey images stay grey, against a transparent
    one opaque images opaque. What a person sees in the generated images and this hides is `hidden`. Notes tell other
    differences, and where values were mapped to bytes by another range. Raises UserError for generated images of such a
    range, which the mapping may have changed, and for other channels than the reference's that have no colours.
    """
    reference, notes, hidden = plain(comparison.reference), list(comparison.notes), list(comparison.hidden)
    channels = reference.shape[0]
    real = [each for each in (comparison.floor, comparison.train) if each is not None]

    def differs(images: ImageSet, role: str, what: Callable[[Tensor], Tensor], least: int, words: str) -> None:
        """Say that images have `least` channels or more, unlike the reference.

        It is `hidden` if a person sees that in generated images, and in no real ones; otherwise a note.
        """

        def count(some: ImageSet) -> int:
            return int((what(some.images) >= SEEN).sum()) if some.shape[0] >= least else 0

        seen = count(images) if role == "generated" else 0
        if not seen or any(map(count, real)):
            notes.append(f"the {role} images are {words}")
        else:
            which = "the" if seen == len(images) else f"{seen:,} of the {len(images):,}"
            hidden.append(f"{which} generated images {'is' if seen == 1 else 'are'} {words}")

    def like(images: ImageSet, role: str) -> ImageSet:
        images = plain(images)
        if images.shape[0] == 4 != channels:
            differs(images, role, transparent, 4, "transparent and the reference is not: compared on mid-grey")
            images = plain(with_channels(images, 3))
        if images.shape[0] > channels == 1:
            differs(images, role, coloured, 3, "coloured and the reference is grey: compared by luminance")
        if images.shape[0] < channels and role == "generated":
            what = "opaque and the reference is transparent" if channels == 4 else "grey and the reference is coloured"
            notes.append(f"the generated images are {what}")
        if images.range not in (None, reference.range) and role == "generated":
            raise UserError(_other_range(images, reference))
        if images.range not in (None, reference.range):
            notes.append(f"the {role} images' values were mapped to 8 bits by a different range from the reference's")
        return with_channels(images, channels)

    if reference.range is not None and comparison.generated.range is None:
        low, high = reference.range
        mapped = f"the reference's values from {low:g} to {high:g} were mapped to 8 bits"
        notes.append(f"{mapped}; the generated images are bytes")
    floor = comparison.floor and like(comparison.floor, "floor's")
    train = comparison.train and like(comparison.train, "training")
    generated = like(comparison.generated, "generated")
    return replace(
        comparison, generated=generated, reference=reference, floor=floor, train=train, notes=notes, hidden=hidden
    )


def _other_range(images: ImageSet, reference: ImageSet) -> str:
    """What to say of images whose values have another range than the reference's."""
    sets = images, reference
    ours, theirs = ("bytes" if of.range is None else "values from {:g} to {:g}".format(*of.range) for of in sets)
    ways = {of.name: as_8_bits(*of.range) for of in sets if of.range is not None}
    said = f"{images.name} has {ours} and {reference.name} has {theirs}: first convert "
    if len(set(ways.values())) == 1:
        return f"{said}{'both' if len(ways) > 1 else 'the values'} to bytes with {next(iter(ways.values()))}"
    return said + "both to bytes, " + " and ".join(f"{name} with {way}" for name, way in ways.items())


def as_8_bits(low: float, high: float) -> str:
    """Python that turns an array `images` of values from `low` to `high` into bytes, by the likeliest full range."""
    if low > -0.05 and high < 1.5:
        scaled = "(255 * images)"
    elif low > -1.5 and high < 1.5:
        scaled = "((images + 1) * 127.5)"
    elif low > -32 and 128 < high < 288:
        scaled = "images"
    else:
        scaled = f"(255 * (images - {low:g}) / {high - low or 1:g})".replace("- -", "+ ")
    return f"{scaled}.round().clip(0, 255).astype('uint8')"


def _resizing(comparison: Comparison) -> list[str]:
    """A note on the sets that were brought to the generated images' size, if any were."""
    sets = {"reference": comparison.reference, "floor": comparison.floor, "training images": comparison.train}
    was = [f"{role} (from {images.was})" for role, images in sets.items() if images is not None and images.was]
    height, width = comparison.generated.shape[1:]
    return [f"resized to the generated images' {height}×{width}: {', '.join(was)}"] if was else []
