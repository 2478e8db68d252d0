"""The score: FID and the other metrics with their protocol, each beside its floor and its copycat, all at one size.

FID(A, B; features) is biased by the sizes of A and B, and means little alone. So beside it stand the **floor**,
what real images that the model never saw score at the same size, drawn by the same design, and the **copycat**, what a
model that only memorised its training images would score; and, for scale, **noise**. The **excess**, FID − floor, is
the headline. No distance between sets can tell whether images are copies: `copies` does.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from fromnoise import rng
from fromnoise.data import blocks
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation import design, extrapolation, judge, neighbours
from fromnoise.evaluation.classes import by_class
from fromnoise.evaluation.copies import copy_test
from fromnoise.evaluation.excess import beside, distances, excess, fid
from fromnoise.evaluation.extractor import BATCH, Features
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.features import WEIGHED, automatic
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.metrics import MOST, measured
from fromnoise.evaluation.overlap import noticed, overlap
from fromnoise.evaluation.provenance import Protocol, SetOfImages, UsedFeatures
from fromnoise.evaluation.repeats import repeats
from fromnoise.evaluation.report import (
    FEWEST,
    SCHEMA,
    Beside,
    Copies,
    Excess,
    Measured,
    OtherFeatures,
    Overlaps,
    Report,
    ToldApart,
)
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.say import bar

DRAWN = 6_000
"""Cap on images in all subsets of the floor, or of the copycat, as each needs features; at least one is taken."""
NOISE = 1000
"""Images of noise at most: the far end of the scale need not be exact."""
SETTINGS: Mapping[str, int | str] = {
    "rows": MOST,
    "subsets": DRAWN,
    "precision_k": neighbours.PRECISION_K,
    "density_k": neighbours.DENSITY_K,
    "fid_infinity_sizes": extrapolation.SIZES,
    "judge": hashlib.sha256(judge.WEIGHTS.read_bytes()).hexdigest(),
}
"""What the numbers depend on, for the report's protocol."""


@dataclass(frozen=True)
class Comparison:
    """What is compared: generated images against a reference, beside real ones and training ones.

    floor   real images that are neither in the reference nor, unless they come in groups, trained on, to take floors
            from; None if unknown
    train   the training images, for the copycat and the copy test; None if unknown
    dealt   whether reference and floor were dealt at random from the same images, which had no parts of their own
    hidden  what a person sees in the generated images alone, and the comparison does not, in sentences
    """

    generated: ImageSet
    reference: ImageSet
    floor: ImageSet | None = None
    train: ImageSet | None = None
    notes: list[str] = field(default_factory=list)
    dealt: bool = False
    hidden: list[str] = field(default_factory=list)


def score(comparison: Comparison, features: Features, seed: int = 0, also: Features | None = None) -> Report:
    """The score of a comparison (docs/report.md).

    The FID and its excess are measured in the features `also` too. Raises UserError for sets too small.
    """
    for role, images in (("generated", comparison.generated), ("reference", comparison.reference)):
        if len(images) < FEWEST:
            what = f"the {role} set" if images.name == role else f"{role} {images.name}"
            raise UserError(f"{what} has {len(images)} images; a score needs at least {FEWEST}")
    sets = Sets.of(comparison, features, seed)
    value, over = sets.fid(), sets.excess(seed)
    others, missing = measured(sets.generated, sets.reference, sets.floor, sets.copycat, seed)
    teachers = [subsets[0] for subsets in (sets.copycat, sets.floor) if subsets and subsets[0].labels is not None]
    classes, unknown = by_class(sets.generated, sets.reference, teachers[0] if teachers else None, MOST, seed)
    if classes is not None:
        classes = replace(classes, names=comparison.reference.class_names)
    notes = [*comparison.notes, *_notes(comparison, features, sets), *missing, *unknown]
    copies, told = _copies(comparison, notes), _told_apart(comparison, seed, notes)
    return Report(
        SCHEMA,
        over,
        {"fid": value, **others},
        noise(comparison.generated.shape, len(comparison.generated), features, sets.reference.moments, seed),
        classes,
        copies,
        _protocol(comparison, features, sets.generated.design, over, seed),
        tuple(notes),
        () if also is None else (_also(comparison, also, seed),),
        told,
        _overlaps(comparison),
        repeats(comparison.generated, _typical(comparison), seed),
        hidden=tuple(comparison.hidden),
    )


@dataclass(frozen=True)
class Sets:
    """All sets of a score in one set of features; floor and copycat are subsets of the generated images' design."""

    generated: Featured
    reference: Featured
    floor: list[Featured]
    copycat: list[Featured]

    @classmethod
    def of(cls, comparison: Comparison, features: Features, seed: int) -> "Sets":
        """The sets, with all disjoint subsets that there are, up to `DRAWN` images."""

        def featured(images: ImageSet, how: design.Design) -> Featured:
            return Featured(features.cached(images.images), images.labels, how, images.groups)

        real = [None if images is None else images.labels for images in (comparison.reference, comparison.train)]
        how = design.design_of(comparison.generated.labels, *real)
        floor = _subsets(comparison.floor, len(comparison.generated), how, real, seed)
        copycat = _subsets(comparison.train, len(floor[0]) if floor else len(comparison.generated), how, real, seed)
        others = None if comparison.floor is None else comparison.floor.labels
        reference = featured(comparison.reference, design.design_of(comparison.reference.labels, others))
        generated = featured(comparison.generated, how)
        subsets = (
            [featured(images, "random" if images.labels is None else how) for images in drawn]
            for drawn in (floor, copycat)
        )
        return cls(generated, reference, *subsets)

    def fid(self) -> Measured:
        """The FID of all generated images, beside those of the subsets."""
        found = fid(self.generated, self.reference)
        floor, copycat = (distances(subsets, self.reference) for subsets in (self.floor, self.copycat))
        return replace(found, floor=floor, copycat=copycat)

    def excess(self, seed: int) -> Excess | None:
        """The excess over the floor; None without one."""
        if not self.floor:
            return None
        n = len(self.floor[0])
        return excess(self.generated.parts(n, len(self.generated), seed), self.floor, self.reference)


def _also(comparison: Comparison, features: Features, seed: int) -> OtherFeatures:
    sets = Sets.of(comparison, features, seed)
    return OtherFeatures(used(features), sets.fid(), sets.excess(seed))


def _subsets(
    images: ImageSet | None, n: int, how: design.Design, real: list[Tensor | None], seed: int
) -> list[ImageSet]:
    """All disjoint subsets of n images (or fewer), up to `DRAWN` images; none if there are too few.

    Members of one group are spread over the subsets: in each, an image stands for a group of its own, as it would if
    images were drawn from all that there might be.
    """
    if images is None:
        return []
    labels = None if images.labels is None else images.labels.cpu().numpy()
    pool = labels if how == "random" and design.design_of(images.labels, *real) == "stratified" else None
    if pool is not None and np.unique(pool, return_counts=True)[1].min() < design.LEAST:
        pool = None  # a class so rare would leave hardly any draws
    n = min(n, len(images) if pool is None else design.most_at_random(pool))
    groups = None if images.groups is None else images.groups.numpy()
    if groups is not None:
        n = min(n, max(FEWEST, design.most_apart(groups)))
    if n < FEWEST:
        return []
    most = max(1, DRAWN // n)
    if pool is not None:
        rows = design.at_random(pool, n, most, seed, groups)
    else:
        rows = design.disjoint(len(images), n, most, seed, labels if how == "stratified" else None, groups)
    return [images.take(chosen) for chosen in rows]


def _protocol(
    comparison: Comparison, features: Features, how: design.Design, over: Excess | None, seed: int
) -> Protocol:
    generated, reference = about(comparison.generated), about(comparison.reference)
    floor, train = (None if images is None else about(images) for images in (comparison.floor, comparison.train))
    line = [
        f"n = {generated.n if over is None else over.n} {how}",
        f"resizing {features.resizing}",
        f"reference {cited(reference.name, reference.sha256)} of {reference.n}",
        f"floor {'unknown' if floor is None else cited(floor.name, floor.sha256)}",
        f"seed {seed}",
    ]
    return protocol(line, features, seed, how, generated, reference, floor, train)


def protocol(line: Sequence[str], features: Features, seed: int, how: design.Design, *sets: Any) -> Protocol:
    """The protocol of a score; `line` is what stands between its features and its version, `sets` those at its end."""
    number = version("fromnoise")
    whole = [cited(features.name, features.sha256), *line, f"fromnoise {number}, schema {SCHEMA}"]
    return Protocol("; ".join(whole), number, used(features), features.resizing, seed, how, SETTINGS, *sets)


def cited(name: str, sha256: str) -> str:
    """A name with the beginning of its hash."""
    return f"{name}@{sha256[:8]}" if sha256 else name


def used(features: Features) -> UsedFeatures:
    """What the report says of its features."""
    return UsedFeatures(features.name, features.dimension, features.sha256, features.colour, features.known)


def noise(shape: tuple[int, int, int], n: int, features: Features, reference: Moments, seed: int) -> Beside:
    """The FID of n images of independent, uniformly distributed bytes, `NOISE` at most."""
    n = min(n, NOISE)
    parts = (
        torch.from_numpy(
            rng.generator(seed, "noise images", k).integers(0, 256, (min(BATCH, n - k), *shape), dtype="uint8")
        )
        for k in range(0, n, BATCH)
    )
    return beside([distance(reference, Moments.of(features(blocks.join(parts, n))))], n)


def _notes(comparison: Comparison, features: Features, sets: Sets) -> list[str]:
    notes, n = [], len(comparison.generated)
    if features.name == "digits" and automatic(comparison.reference) != "digits":
        notes.append("digit features say little about images other than digits: compare only scores on the same data")
    notes += unpublished(features)
    if comparison.floor is not None and comparison.floor.groups is not None:
        notes.append(
            "the real images come in groups, so floor and copycat are drawn from all images outside the reference, in "
            "subsets with one image per group where possible. A model that only memorised scores like the floor; the "
            "copy test finds it"
        )
    elif comparison.floor is not None and comparison.train is None:
        notes.append("the training images are not known (--train): the floor may contain some of them")
    for name, source, subsets in (("floor", comparison.floor, sets.floor), ("copycat", comparison.train, sets.copycat)):
        if source is None or not subsets:
            notes.append(f"no {name}: its images are not known, or too few for a subset of {FEWEST}")
            continue
        if subsets[0].design != sets.generated.design:
            notes.append(
                f"{source.name} has no labels, so the {name} is drawn at random; the generated images are stratified "
                "by class, so they score better"
            )
        if len(subsets[0]) < n:
            words = "its FID is biased upwards" if name == "copycat" else "the excess is taken at that number"
            notes.append(f"the {name} has {len(subsets[0]):,} images, fewer than the {n:,} generated: {words}")
    return notes + too_few(n, features.dimension)


def unpublished(features: Features) -> list[str]:
    """A note on features that have published weights, where these may be others."""
    if features.known or features.name not in WEIGHED:
        return []
    return [f"these may not be the published weights of {features.name}: do not compare with published scores"]


def too_few(n: int, dimension: int) -> list[str]:
    """A note if n images are too few to fill the covariance of that many features."""
    return [f"{n} images are too few for {dimension} features: the FID is far too high"] if n <= dimension else []


def _copies(comparison: Comparison, notes: list[str]) -> Copies | None:
    """The copy test with the reference as held-out images; None, and a note, where it cannot be made."""
    if comparison.train is None:
        notes.append("no copy test: the training images are not known (--train)")
        return None
    with bar("copies"):
        found = copy_test(comparison.generated, comparison.train, comparison.reference)
    if found.by_class is False:
        notes.append(
            "the copy test takes all held-out images, whose class shares differ from the generated images': "
            f"matching the shares would leave fewer than {FEWEST} images; a positive result may be due to the mismatch"
        )
    return found


def _told_apart(comparison: Comparison, seed: int, notes: list[str]) -> ToldApart | None:
    """Whether a network tells generated images from the reference; None, and a note, where it cannot be asked."""
    try:
        floor = comparison.floor if comparison.dealt else None
        return told_apart(comparison.generated, comparison.reference, seed, comparison.train, floor)
    except ValueError as reason:
        notes.append(f"no two-sample test: {reason}")
        return None


def _overlaps(comparison: Comparison) -> Overlaps:
    generated = dataclasses.replace(comparison.generated, name="the generated images")
    reference = dataclasses.replace(comparison.reference, name="the reference")
    train = comparison.train and dataclasses.replace(comparison.train, name="the training images")
    floor = comparison.floor and dataclasses.replace(comparison.floor, name="the floor's source")
    alone = None if floor is None or floor.groups is not None else floor  # training images may be among those
    learnt = [None if real is None or train is None else overlap(real, train) for real in (reference, alone)]
    return Overlaps(overlap(generated, reference, turned=True), learnt[0], learnt[1], noticed(reference))


def _typical(comparison: Comparison) -> ImageSet:
    """Real images that repeat each other no more than a random sample: those of a reference of whole groups do more."""
    floor = comparison.floor
    return comparison.reference if floor is None or floor.groups is None else floor


def about(images: ImageSet) -> SetOfImages:
    """What the report says of a set."""
    groups = None if images.groups is None else len(images.groups.unique())
    return SetOfImages(images.name, len(images), images.shape, images.fingerprint, groups)
