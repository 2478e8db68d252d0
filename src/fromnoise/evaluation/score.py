"""The score: FID with its protocol, its floor and its copycat, all at one size.

FID(A, B; features) is biased by the sizes of A and B, and means little alone. So beside it stand the **floor**,
what real images that nobody trained on score at the same size, and the **copycat**, what a model that only
memorised its training images would score.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.features import Features
from fromnoise.evaluation.frechet import Moments, distance

SCHEMA = 1  # of the report: docs/report.md
FEWEST = 50
MOST_DRAWS = 5
RESIZING = "bilinear, antialiased, rounded to 8 bits"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Contest:
    """What is compared: generated images against a reference, beside real ones and training ones.

    floor   real images that are neither in the reference nor trained on, to draw floors from; None if unknown
    train   the training images, for the copycat; None if unknown
    """

    generated: ImageSet
    reference: ImageSet
    floor: ImageSet | None = None
    train: ImageSet | None = None
    notes: list[str] = field(default_factory=list)


def check(contest: Contest) -> None:
    """Raise UserError for sets too small to be scored."""
    for role, images in (("generated", contest.generated), ("reference", contest.reference)):
        if len(images) < FEWEST:
            raise UserError(f"{role} {images.name} has {len(images)} images; a score needs at least {FEWEST}")


def score(contest: Contest, features: Features, seed: int = 0, progress: Progress | None = None) -> dict[str, Any]:
    """The score as plain JSON values: `metrics`, `protocol`, `notes` (documented in docs/report.md).

    The floor's mean and deviation are over disjoint draws, at most five. Raises UserError for sets too small.
    """
    check(contest)

    def moments(images: ImageSet, role: str) -> Moments:
        told = None if progress is None else (lambda done, total: progress(role, done, total))
        return Moments.of(features(images.images, told))

    n = len(contest.generated)
    reference = moments(contest.reference, "reference")
    fid = distance(moments(contest.generated, "generated"), reference)
    notes = list(contest.notes)
    if features.name == "digits" and not _digits(contest.reference):
        notes.append("digit features say little of images other than digits: compare only scores on the same data")
    if contest.floor is not None and contest.train is None:
        notes.append("what the model was trained on is not known: the floor may hold some of it (--train)")
    floor = copycat = None
    if contest.floor is not None and len(contest.floor) >= FEWEST:
        draws = _disjoint(contest.floor, n, seed)
        values = [distance(moments(draw, "floor"), reference) for draw in draws]
        floor = _summary(values, len(draws[0]))
    if contest.train is not None and len(contest.train) >= FEWEST:
        draws = _disjoint(contest.train, n, seed)[:1]
        copycat = _summary([distance(moments(draws[0], "copycat"), reference)], len(draws[0]))
    for name, summary in (("floor", floor), ("copycat", copycat)):
        if summary is None:
            notes.append(f"no {name}: the images it is drawn from are not known, or fewer than {FEWEST}")
        elif summary["n"] < n:
            notes.append(f"the {name} is of {summary['n']} images, fewer than the {n} generated: it is biased upwards")
    if n <= features.dimension:
        notes.append(f"{n} images cannot fill the covariance of {features.dimension} features: all is biased upwards")
    ratio = fid / floor["value"] if floor and floor["value"] > 0 else None
    return {
        "schema": SCHEMA,
        "metrics": {"fid": {"value": fid, "n": n, "floor": floor, "copycat": copycat, "ratio": ratio}},
        "protocol": {
            "features": {"name": features.name, "dimension": features.dimension, "sha256": features.sha256},
            "resizing": RESIZING,
            "seed": seed,
            "generated": _about(contest.generated),
            "reference": _about(contest.reference),
            "floor": _about(contest.floor),
            "train": _about(contest.train),
        },
        "notes": notes,
    }


def _digits(images: ImageSet) -> bool:
    return images.name.split(":")[0].split(" ")[-1] in ("digits", "mnist")


def _disjoint(images: ImageSet, n: int, seed: int) -> list[ImageSet]:
    """At most `MOST_DRAWS` disjoint draws of n images each; one smaller draw where there are fewer than n."""
    order = rng.generator(seed, "disjoint", len(images)).permutation(len(images))
    count = max(1, min(MOST_DRAWS, len(images) // n))
    return [images.take(np.sort(order[k * n : (k + 1) * n])) for k in range(count)]


def _summary(values: list[float], n: int) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"value": statistics.fmean(values), "deviation": deviation, "draws": len(values), "n": n}


def _about(images: ImageSet | None) -> dict[str, Any] | None:
    if images is None:
        return None
    return {"name": images.name, "n": len(images), "shape": list(images.shape), "sha256": images.fingerprint}
