"""What labels add to the score: are the classes balanced, are they good, can a classifier learn from them?"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.intervals import disjoint
from fromnoise.evaluation.pairs import labelled, pair, rows
from fromnoise.evaluation.two_sample import classifier


@dataclass(frozen=True)
class Balance:
    """Images of each class and how many there should be; χ² and its p-value (infinite and 0 for an unknown class)."""

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    chi2: float
    p: float


@dataclass(frozen=True)
class ClassFid:
    """The FID of one class from n generated images and m real ones; None where either has fewer than 2."""

    value: float | None
    n: int
    m: int


@dataclass(frozen=True)
class Learned:
    """Accuracy on real images, after training on n generated ones and on `real_n` real ones; None without those."""

    accuracy: float
    n: int
    real_accuracy: float | None
    real_n: int | None


def balance(generated: Int[Tensor, " n"], reference: Int[Tensor, " m"], *, sampled: bool = False) -> Balance:
    """Pearson's χ² test that the generated labels (given, or a classifier's predictions) have the reference's shares.

    The shares count as exact, as they are where the reference is balanced by design. With `sampled`, the reference is
    itself a random draw of its classes and the test is that of homogeneity. χ² is trustworthy from about 5
    expected images a class. Raises ValueError for no labels, labels that do not count from 0, or a single class.
    """
    if not len(generated) or not len(reference):
        raise ValueError("no labels")
    ours, theirs = labelled(generated, generated, "generated"), labelled(reference, reference, "reference")
    classes = int(max(ours.max(), theirs.max())) + 1
    counts, real = np.bincount(ours, minlength=classes), np.bincount(theirs, minlength=classes)
    known = (counts + real) > 0
    if known.sum() < 2:
        raise ValueError("a balance needs at least 2 classes")
    expected = real * (counts.sum() / real.sum())
    if sampled:
        table = np.stack([counts, real])[:, known]
        chi2, p = stats.chi2_contingency(table, correction=False)[:2]
    elif (real[known] == 0).any():
        chi2, p = np.inf, 0.0
    else:
        chi2, p = stats.chisquare(counts[known], expected[known])
    return Balance(tuple(map(int, counts)), tuple(map(float, expected)), float(chi2), float(p))


def class_fids(
    generated: Float[Tensor, "n d"],
    generated_labels: Int[Tensor, " n"],
    reference: Float[Tensor, "m d"],
    reference_labels: Int[Tensor, " m"],
) -> dict[int, ClassFid]:
    """The FID within each class that either set has: one that is badly drawn, or drawn as another, shows here.

    A class has few images, so each value is far more biased than the FID of all: compare classes of the same size, with
    each other or with a floor by class. Raises ValueError for sets that cannot be compared or labels that do not fit.
    """
    generated, reference = pair(generated, reference, 2)
    ours, theirs = (
        labelled(generated, generated_labels, "generated"),
        labelled(reference, reference_labels, "reference"),
    )
    found = {}
    for label in sorted(set(ours.tolist()) | set(theirs.tolist())):
        x, y = (np.flatnonzero(labels.numpy() == label) for labels in (ours, theirs))
        value = distance(Moments.of(generated, x), Moments.of(reference, y)) if min(len(x), len(y)) >= 2 else None
        found[label] = ClassFid(value, len(x), len(y))
    return found


def matched_fid(
    generated: Float[Tensor, "n d"],
    generated_labels: Int[Tensor, " n"],
    reference: Float[Tensor, "m d"],
    reference_labels: Int[Tensor, " m"],
) -> float | None:
    """The FID with the reference's images weighted, so that each class has the share that it has of the generated ones.

    What remains is how well each class is drawn, and not how often. None where the reference lacks a class or has
    fewer than 2 images that count. Raises ValueError for sets that cannot be compared or labels that do not fit.
    """
    generated, reference = pair(generated, reference, 2)
    ours, theirs = (
        labelled(generated, generated_labels, "generated"),
        labelled(reference, reference_labels, "reference"),
    )
    classes = int(max(ours.max(), theirs.max())) + 1
    wanted, real = (torch.bincount(labels.long(), minlength=classes).double() for labels in (ours, theirs))
    if bool((real[wanted > 0] == 0).any()) or real[wanted > 0].sum() < 2:
        return None
    weights = torch.where(real > 0, wanted / real.clamp(min=1), 0.0)[theirs.long()]
    return distance(Moments.of(generated), Moments.of(reference, weights=weights))


def train_on_generated(
    generated: Float[Tensor, "n d"],
    generated_labels: Int[Tensor, " n"],
    reference: Float[Tensor, "m d"],
    reference_labels: Int[Tensor, " m"],
    *,
    train: Float[Tensor, "r d"] | None = None,
    train_labels: Int[Tensor, " r"] | None = None,
    seed: int = 0,
) -> Learned:
    """Classification accuracy score (Ravuri & Vinyals 2019), linear in the features: train on generated, test on real.

    Beside it the same from the real images `train`, drawn down to the number generated where there are more. Images
    that are wrong for their label, or all alike, teach less. Raises ValueError for fewer than 2 classes to train on,
    labels that do not fit, sets that cannot be compared, or `train` without its labels.
    """
    generated, reference = pair(generated, reference, 1)
    ours = labelled(generated, generated_labels, "generated").numpy()
    x, y = reference.double().numpy(), labelled(reference, reference_labels, "reference").numpy()
    accuracy = _accuracy(generated.double().numpy(), ours, x, y)
    if train is None:
        return Learned(accuracy, len(generated), None, None)
    if train_labels is None:
        raise ValueError("train needs its labels")
    train = rows(train, 1, "train")
    drawn = disjoint(len(train), len(generated), 1, seed)[0]
    labels = labelled(train, train_labels, "train").numpy()[drawn]
    return Learned(accuracy, len(generated), _accuracy(train[drawn].double().numpy(), labels, x, y), len(drawn))


def _accuracy(
    x: NDArray[np.float64], labels: NDArray[np.int64], test: NDArray[np.float64], truth: NDArray[np.int64]
) -> float:
    if len(np.unique(labels)) < 2:
        raise ValueError("a classifier needs at least 2 classes to train on")
    return float((classifier().fit(x, labels).predict(test) == truth).mean())
