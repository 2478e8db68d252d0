"""The report card: every metric but the FID, each beside what real and memorised images score at the same size."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from fromnoise.evaluation import classes, extrapolation, kernel, neighbours
from fromnoise.evaluation.intervals import disjoint
from fromnoise.evaluation.two_sample import two_sample

MOST = 3000
"""Rows of each set, drawn down to, in metrics that cost n·m or train a classifier."""
FLOOR_IMAGES = 15_000
"""Floor draws are measured up to this many images in all (the first always): they cost as much as the generated."""
EXTRAPOLATED = 256
"""Features at most for FID∞: it takes some 70 eigen-decompositions, minutes from there on."""
CLASSIFIED = 2048
"""Features at most for a classifier."""

PRECISION_K, DENSITY_K, FOLDS = 3, 5, 5
SETTINGS = {
    "rows": MOST,
    "floor_images": FLOOR_IMAGES,
    "precision_k": PRECISION_K,
    "density_k": DENSITY_K,
    "folds": FOLDS,
    "levels": extrapolation.LEVELS,
}
"""What the numbers depend on, for the report's protocol."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Featured:
    """A set of images as their features, with labels where there are any."""

    features: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def few(self, seed: int) -> "Featured":
        """A seeded draw of `MOST` rows; all where there are no more."""
        if len(self) <= MOST:
            return self
        rows = disjoint(len(self), MOST, 1, seed)[0]
        return Featured(self.features[rows], None if self.labels is None else self.labels[rows])


def card(
    generated: Featured,
    reference: Featured,
    floors: Sequence[Featured],
    copycat: Featured | None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Entry | None], list[str]]:
    """All metrics but the FID, by name (docs/report.md), and notes.

    Where the generated images are labelled, floors and copycat are taken for drawn by class as they are; otherwise
    for random draws, whatever labels they carry. A metric that cannot be had is None, and a note says why.
    Raises ValueError for sets that cannot be compared.
    """
    floors = floors[: max(1, FLOOR_IMAGES // max(map(len, floors)))] if floors else floors
    drawn = [*floors, *([] if copycat is None else [copycat])]
    steps = 2 + len(drawn)
    told = progress or (lambda done, total: None)
    told(0, steps)
    measured = [_measure(generated, reference, seed)]
    for k, others in enumerate(drawn):
        told(1 + k, steps)
        by_class = generated.labels is not None
        measured.append(_measure(others if by_class else Featured(others.features), reference, seed))
    ours, theirs, memorised = measured[0], measured[1 : 1 + len(floors)], measured[1 + len(floors) :]
    entries: dict[str, Entry | None] = {}
    for name, entry in ours.items():
        beside = {"floor": _summary(name, theirs), "copycat": _summary(name, memorised)}
        entries[name] = None if entry is None else entry | beside
    told(steps - 1, steps)
    notes = _missing(generated, reference)
    labels = generated.labels is not None and reference.labels is not None
    if labels and ours["fid_matched"] is None:
        notes.append("no matched FID: the reference lacks a class that was generated")
    entries["classes"] = _classes(generated, reference, copycat, seed, notes)
    told(steps, steps)
    return entries, notes


def _measure(ours: Featured, reference: Featured, seed: int) -> dict[str, Entry | None]:
    """Each metric of one set; the number itself is `value`, or `accuracy` of the two-sample test."""
    few, real = ours.few(seed), reference.few(seed)
    x, y = few.features, real.features
    distance = kernel.mmd2(x, y)
    shares = asdict(neighbours.precision_recall(x, y, k=PRECISION_K))
    shares |= asdict(neighbours.density_coverage(x, y, k=DENSITY_K))
    found: dict[str, Entry | None] = {
        "fid_matched": _matched(ours, reference),
        "fid_infinity": _infinity(ours, reference, seed),
        "kid": {"value": distance.value, "error": distance.error, "n": len(x)},
        **{name: {"value": share, "n": len(x)} for name, share in shares.items()},
        "two_sample": None,
    }
    if x.shape[1] <= CLASSIFIED:
        found["two_sample"] = asdict(two_sample(x, y, folds=FOLDS, seed=seed))
    return found


def _matched(ours: Featured, reference: Featured) -> Entry | None:
    if ours.labels is None or reference.labels is None:
        return None
    value = classes.matched_fid(ours.features, ours.labels, reference.features, reference.labels)
    return None if value is None else {"value": value, "n": len(ours)}


def _infinity(ours: Featured, reference: Featured, seed: int) -> Entry | None:
    if _no_infinity(ours, reference):
        return None
    found = extrapolation.infinite_fid(
        ours.features,
        reference.features,
        generated_labels=None if reference.labels is None else ours.labels,
        reference_labels=reference.labels,
        seed=seed,
    )
    return {"value": found.value, "error": found.error, "n": len(ours)}


def _no_infinity(ours: Featured, reference: Featured) -> str | None:
    n, d = min(len(ours), len(reference)), ours.features.shape[1]
    if d > EXTRAPOLATED:
        return f"no FID∞: it is computed for at most {EXTRAPOLATED} features, and these are {d}"
    if n // extrapolation.LEVELS <= d:
        return f"no FID∞: {n} images in {extrapolation.LEVELS} parts cannot fill the covariance of {d} features"
    return None


def _summary(name: str, measured: Sequence[dict[str, Entry | None]]) -> Entry | None:
    entries = [entry for entry in (of[name] for of in measured) if entry is not None]
    values = [entry["accuracy" if name == "two_sample" else "value"] for entry in entries]
    return summary(values, entries[0]["n"]) if entries else None


def summary(values: Sequence[float], n: int) -> Entry:
    """The mean and, for several, the deviation of a metric over draws of n images each."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"value": statistics.fmean(values), "deviation": deviation, "draws": len(values), "n": n}


def _missing(generated: Featured, reference: Featured) -> list[str]:
    """Why there are metrics missing, in sentences."""
    infinity, d = _no_infinity(generated, reference), generated.features.shape[1]
    notes = [infinity] if infinity else []
    if d > CLASSIFIED:
        notes.append(f"no classifier, so no two-sample test: {d} features, more than {CLASSIFIED}")
    return notes


def _classes(
    generated: Featured, reference: Featured, real: Featured | None, seed: int, notes: list[str]
) -> Entry | None:
    """What labels add; reasons for what is missing go to `notes`."""
    ours, theirs = generated.labels, reference.labels
    if ours is None or theirs is None:
        notes.append("nothing on classes: generated images, the reference or both have no labels")
        return None
    if len(set(ours.tolist()) | set(theirs.tolist())) < 2:
        notes.append("nothing on classes: there is only one")
        return None
    sizes = np.unique(theirs.numpy(), return_counts=True)[1]
    balance = classes.balance(ours, theirs, sampled=bool(sizes.max() - sizes.min() > 1))
    d = generated.features.shape[1]
    fids = classes.class_fids(generated.features, ours, reference.features, theirs)
    rows = [
        {"class": label, "value": fid.value if min(fid.n, fid.m) > d else None, "n": fid.n, "m": fid.m}
        for label, fid in fids.items()
    ]
    if any(row["value"] is None for row in rows):
        notes.append(f"no FID of classes with {d} images or fewer: they cannot fill the covariance of {d} features")
    found = asdict(balance)
    balanced = {**found, "counts": list(balance.counts), "expected": list(balance.expected)}
    return {"balance": balanced, "fid": rows, "learned": _learned(generated, reference, real, seed, notes)}


def _learned(
    generated: Featured, reference: Featured, real: Featured | None, seed: int, notes: list[str]
) -> Entry | None:
    ours, theirs = generated.few(seed), None if real is None else real.few(seed)
    assert ours.labels is not None, "asked for labelled images only"
    assert reference.labels is not None, "asked for labelled images only"
    if ours.features.shape[1] > CLASSIFIED or len(ours.labels.unique()) < 2:
        notes.append("no classifier that learns from generated images: one class alone, or too many features")
        return None
    taught = theirs is not None and theirs.labels is not None and len(theirs.labels.unique()) > 1
    return asdict(
        classes.train_on_generated(
            ours.features,
            ours.labels,
            reference.features,
            reference.labels,
            train=theirs.features if theirs is not None and taught else None,
            train_labels=theirs.labels if theirs is not None and taught else None,
            seed=seed,
        )
    )
