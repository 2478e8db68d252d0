"""The report card: every metric but the FID, each beside what real and memorised images score at the same size."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from msgspec.structs import replace
from torch import Tensor

from fromnoise.evaluation import classes, extrapolation, kernel, neighbours
from fromnoise.evaluation.intervals import disjoint
from fromnoise.evaluation.report import Beside, Classes, Estimate, Learned, Measured, Metric, TwoSample
from fromnoise.evaluation.two_sample import FOLDS, two_sample

MOST = 3000
"""Rows of each set, at most, in metrics that cost n·m or train a classifier."""
FLOOR_IMAGES = 15_000
"""Floor subsets are measured up to this many images in all (the first always): they cost as much as the generated."""
EXTRAPOLATED = 256
"""Features at most for FID∞: it takes some 70 eigen-decompositions, minutes from there on."""
CLASSIFIED = 2048
"""Features at most for a classifier."""

SETTINGS = {
    "rows": MOST,
    "floor_images": FLOOR_IMAGES,
    "precision_k": neighbours.PRECISION_K,
    "density_k": neighbours.DENSITY_K,
    "folds": FOLDS,
    "levels": extrapolation.LEVELS,
}
"""What the numbers depend on, for the report's protocol."""


@dataclass(frozen=True)
class Featured:
    """A set of images as their features, with labels where there are any."""

    features: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def few(self, seed: int) -> "Featured":
        """A random subset of `MOST` rows; all where there are no more."""
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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], list[str]]:
    """All metrics but the FID, by their names in `report.Metrics`, and notes.

    Where the generated images are labelled, floors and copycat count as chosen by class as they are; otherwise as
    random subsets, whatever labels they carry. A metric that cannot be had is None, and a note says why.
    Raises ValueError for sets that cannot be compared.
    """
    floors = floors[: max(1, FLOOR_IMAGES // max(map(len, floors)))] if floors else floors
    sets = [generated, *floors, *([] if copycat is None else [copycat])]
    steps = len(sets) + 1
    by_class = generated.labels is not None
    measured = []
    for k, images in enumerate(sets):
        progress(k, steps)
        measured.append(_measure(images if by_class else Featured(images.features), reference, seed))
    ours, theirs, memorised = measured[0], measured[1 : 1 + len(floors)], measured[1 + len(floors) :]
    found: dict[str, Any] = {
        name: entry and replace(entry, floor=_beside(name, theirs), copycat=_beside(name, memorised))
        for name, entry in ours.items()
    }
    progress(len(sets), steps)
    notes, d = [], generated.features.shape[1]
    if missing := _no_infinity(generated, reference):
        notes.append(missing)
    if d > CLASSIFIED:
        notes.append(f"no two-sample test: {d} features are too many for its classifier (at most {CLASSIFIED})")
    if by_class and reference.labels is not None and ours["fid_matched"] is None:
        notes.append("no matched FID: the reference lacks a class that was generated")
    found["classes"] = _classes(generated, reference, copycat, seed, notes)
    progress(steps, steps)
    return found, notes


def beside(values: Sequence[float], n: int) -> Beside:
    """A metric over subsets of n images each: the mean and, for several, the deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Beside(statistics.fmean(values), deviation, len(values), n)


def _beside(name: str, measured: Sequence[dict[str, Any]]) -> Beside | None:
    entries = [entry for entry in (of[name] for of in measured) if entry is not None]
    values = [entry.accuracy if isinstance(entry, TwoSample) else entry.value for entry in entries]
    return beside(values, entries[0].n) if entries else None


def _measure(ours: Featured, reference: Featured, seed: int) -> dict[str, Measured | None]:
    """Each metric of one set."""
    few, real = ours.few(seed), reference.few(seed)
    x, y, n = few.features, real.features, len(few)
    kid = kernel.mmd2(x, y)
    precision, recall = neighbours.precision_recall(x, y)
    density, coverage = neighbours.density_coverage(x, y)
    return {
        "fid_matched": _matched(ours, reference),
        "fid_infinity": _infinity(ours, reference, seed),
        "kid": Estimate(kid.value, kid.error, n=n),
        "precision": Metric(precision, n=n),
        "recall": Metric(recall, n=n),
        "density": Metric(density, n=n),
        "coverage": Metric(coverage, n=n),
        "two_sample": two_sample(x, y, seed=seed) if x.shape[1] <= CLASSIFIED else None,
    }


def _matched(ours: Featured, reference: Featured) -> Metric | None:
    if ours.labels is None or reference.labels is None:
        return None
    value = classes.matched_fid(ours.features, ours.labels, reference.features, reference.labels)
    return None if value is None else Metric(value, n=len(ours))


def _infinity(ours: Featured, reference: Featured, seed: int) -> Estimate | None:
    if _no_infinity(ours, reference):
        return None
    found = extrapolation.infinite_fid(
        ours.features,
        reference.features,
        generated_labels=None if reference.labels is None else ours.labels,
        reference_labels=reference.labels,
        seed=seed,
    )
    return Estimate(found.value, found.error, n=len(ours))


def _no_infinity(ours: Featured, reference: Featured) -> str | None:
    n, d = min(len(ours), len(reference)), ours.features.shape[1]
    if d > EXTRAPOLATED:
        return f"no FID∞: it is computed for at most {EXTRAPOLATED} features, not for {d}"
    if n // extrapolation.LEVELS <= d:
        return f"no FID∞: {n} images in {extrapolation.LEVELS} parts cannot fill the covariance of {d} features"
    return None


def _classes(
    generated: Featured, reference: Featured, real: Featured | None, seed: int, notes: list[str]
) -> Classes | None:
    """What labels add; reasons for what is missing go to `notes`."""
    ours, theirs = generated.labels, reference.labels
    if ours is None or theirs is None:
        notes.append("no metrics by class: the generated images or the reference have no labels")
        return None
    if len(set(ours.tolist()) | set(theirs.tolist())) < 2:
        notes.append("no metrics by class: there is only one class")
        return None
    sizes = np.unique(theirs.numpy(), return_counts=True)[1]
    balance = classes.balance(ours, theirs, sampled=bool(sizes.max() - sizes.min() > 1))
    if balance.chi2 is None:
        notes.append("metrics.classes.balance.chi2 is infinite: the reference lacks a class that was generated")
    d = generated.features.shape[1]
    fids = classes.class_fids(generated.features, ours, reference.features, theirs)
    if any(fid.value is None for fid in fids):
        notes.append(f"no FID of classes with {d} images or fewer: too few for {d} features")
    return Classes(balance, fids, _learned(generated, reference, real, seed, notes))


def _learned(
    generated: Featured, reference: Featured, real: Featured | None, seed: int, notes: list[str]
) -> Learned | None:
    ours, theirs = generated.few(seed), None if real is None else real.few(seed)
    assert ours.labels is not None, "asked for labelled images only"
    assert reference.labels is not None, "asked for labelled images only"
    if ours.features.shape[1] > CLASSIFIED or len(ours.labels.unique()) < 2:
        notes.append("no classifier trained on generated images: only one class, or too many features")
        return None
    taught = theirs is not None and theirs.labels is not None and len(theirs.labels.unique()) > 1
    return classes.train_on_generated(
        ours.features,
        ours.labels,
        reference.features,
        reference.labels,
        train=theirs.features if theirs is not None and taught else None,
        train_labels=theirs.labels if theirs is not None and taught else None,
        seed=seed,
    )
