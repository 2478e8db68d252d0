"""The score: FID and the other metrics with their protocol, each beside its floor and its copycat, all at one size.

FID(A, B; features) is biased by the sizes of A and B, and means little alone. So beside it stand the **floor**,
what real images that the model never saw score at the same size, and the **copycat**, what a model that only
memorised its training images would score; and, for scale, **noise**. The other metrics are `card`'s. Whether the
images are copies no distance between sets can tell: `copies` does.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.card import EXTRAPOLATED, SETTINGS, Featured, beside, card
from fromnoise.evaluation.copies import copy_test
from fromnoise.evaluation.extractor import BATCH, Features
from fromnoise.evaluation.extrapolation import BLOCKS, sampling_error
from fromnoise.evaluation.frechet import Moments, Sums, distance
from fromnoise.evaluation.intervals import disjoint
from fromnoise.evaluation.report import Copies, Fid, Metrics, Protocol, Report, SetOfImages, UsedFeatures
from fromnoise.files import read_json

SCHEMA = 3  # of the report: docs/report.md
KIND = "a report of fromnoise"
FEWEST = 50
MOST_SUBSETS = 5
EVEN = 5
"""Classes whose sizes differ by no more were made even: the FID's error has no part for chance in their shares."""
OTHER_SHARES = 0.001
"""p-value of χ² below which the classes' shares are not the reference's."""
MOST_TRAINED = 20_000
"""Training images up to which copies are looked for in features as well as in pixels: each needs its features."""

Progress = Callable[[str, int, int], None]


class AnyReport(TypedDict):
    """What a report of every version has."""

    metrics: dict[str, Any]
    protocol: dict[str, Any]


@dataclass(frozen=True)
class Contest:
    """What is compared: generated images against a reference, beside real ones and training ones.

    floor   real images that are neither in the reference nor trained on, to take floors from; None if unknown
    train   the training images, for the copycat and the copy test; None if unknown
    """

    generated: ImageSet
    reference: ImageSet
    floor: ImageSet | None = None
    train: ImageSet | None = None
    notes: list[str] = field(default_factory=list)


def read_report(path: Path) -> dict[str, Any]:
    """The report, of any version, in the file `path`; raises UserError for anything else."""
    return read_json(path, AnyReport, KIND, "remove it and score again")


def score(contest: Contest, features: Features, seed: int = 0, progress: Progress = lambda *_: None) -> Report:
    """The score of a contest (docs/report.md); `progress` receives (role, done, all).

    The floor's mean and deviation are over disjoint subsets, at most five. Raises UserError for sets too small.
    """
    for role, images in (("generated", contest.generated), ("reference", contest.reference)):
        if len(images) < FEWEST:
            raise UserError(f"{role} {images.name} has {len(images)} images; a score needs at least {FEWEST}")

    def featured(images: ImageSet, role: str) -> Featured:
        return Featured(features.cached(images.images, partial(progress, role)), images.labels)

    n, notes = len(contest.generated), list(contest.notes)
    reference, generated = featured(contest.reference, "reference"), featured(contest.generated, "generated")
    by_class = contest.generated.labels is not None
    floors = [featured(images, "floor") for images in _subsets(contest.floor, n, MOST_SUBSETS, seed, by_class)]
    copycats = [featured(images, "copycat") for images in _subsets(contest.train, n, 1, seed, by_class)]
    noise = distance(_noise(contest.generated.shape, n, features, seed), Moments.of(reference.features))
    fid = _fid(generated, reference, floors, copycats, noise, seed)
    notes += _notes(contest, features, fid)
    copycat = copycats[0] if copycats else None
    others, missing = card(generated, reference, floors, copycat, seed, partial(progress, "metrics"))
    metrics = Metrics(fid=fid, **others)
    notes += missing
    if metrics.classes and metrics.classes.balance.p < OTHER_SHARES:
        notes.append(
            "the images' class shares differ from the reference's, which raises the FID and its ratio too: "
            "floor and copycat keep the shares of their own images"
        )
    progress("copies", 0, 1)
    copies = _copies(contest, features, notes)
    protocol = Protocol(
        UsedFeatures(features.name, features.dimension, features.sha256, features.colour, features.known),
        features.resizing,
        seed,
        {**SETTINGS, "blocks": BLOCKS},
        _about(contest.generated),
        _about(contest.reference),
        None if contest.floor is None else _about(contest.floor),
        None if contest.train is None else _about(contest.train),
    )
    return Report(SCHEMA, metrics, copies, protocol, tuple(notes))


def _fid(
    generated: Featured, reference: Featured, floors: list[Featured], copycats: list[Featured], noise: float, seed: int
) -> Fid:
    ours, real = Moments.of(generated.features), Moments.of(reference.features)
    value = distance(ours, real)
    floor, copycat = (
        beside([distance(Moments.of(each.features), real) for each in sets], len(sets[0])) if sets else None
        for sets in (floors, copycats)
    )
    error = None
    if len(real.mean) <= EXTRAPOLATED and min(len(generated), len(reference)) >= 2 * len(real.mean):
        error = math.hypot(_error(generated, real, seed), _error(reference, ours, seed))
    n, ratio = len(generated), value / floor.value if floor and floor.value > 0 else None
    return Fid(value, error, ratio, beside([noise], n), n=n, floor=floor, copycat=copycat)


def _error(images: Featured, fixed: Moments, seed: int) -> float:
    labels = None if images.labels is None else images.labels.numpy()
    sizes = [] if labels is None else np.unique(labels, return_counts=True)[1].tolist()
    by_class = bool(sizes) and max(sizes) - min(sizes) <= EVEN
    return sampling_error(images.features, labels if by_class else None, fixed, seed)


def _noise(shape: tuple[int, int, int], n: int, features: Features, seed: int) -> Moments:
    """The moments of n images of independent, uniformly distributed bytes; never all in memory."""

    def images() -> Iterator[Tensor]:
        for start in range(0, n, BATCH):
            size = (min(BATCH, n - start), *shape)
            yield torch.from_numpy(rng.generator(seed, "noise images", start).integers(0, 256, size, dtype="uint8"))

    sums = Sums(features.dimension)  # known by now, whatever the extractor
    for part in features.stream(images()):
        sums.add(part)
    return sums.moments()


def _notes(contest: Contest, features: Features, fid: Fid) -> list[str]:
    notes, n = [], len(contest.generated)
    if features.name == "digits" and not _digits(contest.reference):
        notes.append("digit features say little about images other than digits: compare only scores on the same data")
    if features.name == "inception" and not features.known:
        notes.append("these are not Inception's published weights: do not compare with published scores")
    if contest.floor is not None and contest.train is None:
        notes.append("the training images are not known (--train): the floor may contain some of them")
    for name, others in (("floor", fid.floor), ("copycat", fid.copycat)):
        if others is None:
            notes.append(f"no {name}: its images are not known, or fewer than {FEWEST}")
        elif others.n < n:
            notes.append(f"the {name} has {others.n} images, fewer than the {n} generated: it is biased upwards")
    if n <= features.dimension:
        notes.append(f"{n} images are too few for {features.dimension} features: the FID is far too high")
    return notes


def _copies(contest: Contest, features: Features, notes: list[str]) -> Copies | None:
    """The copy test with the reference as held-out images; None, and a note, where it cannot be made."""
    train, reference = contest.train, contest.reference
    if train is None:
        notes.append("no copy test: the training images are not known (--train)")
        return None
    if len({contest.generated.shape, train.shape, reference.shape}) > 1:
        notes.append("no copy test: generated, training and reference images differ in shape")
        return None
    vectors = features.cached if compares_features(features, train) else None
    if features.name != "pixels" and vectors is None:
        notes.append(f"copy test in pixels only: more than {MOST_TRAINED:,} training images")
    found = copy_test(contest.generated, train, reference, vectors)
    if found.by_class is False:
        notes.append(
            "the copy test takes all held-out images, whose class shares differ from the generated images': "
            f"with equal shares fewer than {FEWEST} would be left. What it finds may come from that"
        )
    return found


def compares_features(features: Features, train: ImageSet) -> bool:
    """Whether copies are looked for in features as well as in pixels."""
    return features.name != "pixels" and len(train) <= MOST_TRAINED


def _digits(images: ImageSet) -> bool:
    return images.name.split(":")[0].split(" ")[-1] in ("digits", "mnist")


def _subsets(images: ImageSet | None, n: int, most: int, seed: int, by_class: bool) -> list[ImageSet]:
    """Disjoint random subsets of n images; `by_class`, as labelled ones are, with all images' shares of the classes."""
    if images is None or len(images) < FEWEST:
        return []
    labels = None if images.labels is None or not by_class else images.labels.cpu().numpy()
    return [images.take(rows) for rows in disjoint(len(images), n, most, seed, labels)]


def _about(images: ImageSet) -> SetOfImages:
    return SetOfImages(images.name, len(images), images.shape, images.fingerprint)
