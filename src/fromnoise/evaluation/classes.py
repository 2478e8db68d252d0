"""What labels add to the score: are the classes balanced, are they good, can a classifier learn from them?"""

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from fromnoise.evaluation.design import disjoint
from fromnoise.evaluation.featured import Featured, Number, UnavailableError
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.report import Balance, Classes, ClassFid, Learned

CLASSIFIED = 2048
"""Features at most for a classifier."""


def matched(ours: Featured, real: Featured, _: int) -> Number:
    """The FID with the reference's images weighted so that each class has its share among the generated ones.

    What remains is how good the images of each class are, not how many. Raises UnavailableError without labels, and
    where the reference lacks a class or has fewer than 2 images that count.
    """
    if ours.labels is None or real.labels is None:
        raise UnavailableError("the images or the reference have no labels")
    classes = int(max(ours.labels.max(), real.labels.max())) + 1
    wanted, there = (labels.bincount(minlength=classes).double() for labels in (ours.labels, real.labels))
    if bool((there[wanted > 0] == 0).any()) or there[wanted > 0].sum() < 2:
        raise UnavailableError("the reference lacks a class that was generated")
    weights = torch.where(there > 0, wanted / there.clamp(min=1), 0.0)[real.labels]
    return Number(distance(ours.moments, Moments.of(real.features, weights=weights)))


def by_class(
    generated: Featured, reference: Featured, train: Featured | None, most: int, seed: int
) -> tuple[Classes | None, list[str]]:
    """What labels add, and why something is missing; a classifier is trained on `most` images at most."""
    ours, theirs = generated.labels, reference.labels
    if ours is None or theirs is None:
        return None, ["no metrics by class: the generated images or the reference have no labels"]
    if len(set(ours.tolist()) | set(theirs.tolist())) < 2:
        return None, ["no metrics by class: there is only one class"]
    notes = []
    shares = balance(ours, theirs, sampled=reference.design == "random")
    if shares.chi2 is None:
        notes.append("classes.balance.chi2 is infinite: the reference lacks a class that was generated")
    d = generated.features.shape[1]
    fids = class_fids(generated, reference)
    if any(fid.value is None for fid in fids):
        notes.append(f"no FID of classes with {d} images or fewer: too few for {d} features")
    learned, few = None, generated.few(most, seed)
    if d > CLASSIFIED or few.labels is None or len(few.labels.unique()) < 2:
        notes.append("no classifier trained on generated images: only one class, or too many features")
    else:
        taught = train is not None and train.labels is not None and len(train.labels.unique()) > 1
        real = train.few(most, seed) if train is not None and taught else None
        learned = train_on_generated(few, reference, real, seed)
    return Classes(shares, fids, learned), notes


def balance(generated: Int[Tensor, " n"], reference: Int[Tensor, " m"], *, sampled: bool = False) -> Balance:
    """Pearson's χ² test that the generated labels (given, or a classifier's predictions) have the reference's shares.

    The shares count as exact, as they are where the reference is balanced by design. With `sampled`, the reference is
    itself a random sample of the classes and the test is that of homogeneity. χ² is trustworthy from about 5
    expected images a class; there must be at least two classes.
    """
    classes = int(max(generated.max(), reference.max())) + 1
    counts, real = (np.bincount(labels, minlength=classes) for labels in (generated, reference))
    known = (counts + real) > 0
    expected = real * (counts.sum() / real.sum())
    if sampled:
        table = np.stack([counts, real])[:, known]
        chi2, p = stats.chi2_contingency(table, correction=False)[:2]
    elif (real[known] == 0).any():  # infinite
        return Balance(tuple(map(int, counts)), tuple(map(float, expected)), None, 0.0)
    else:
        chi2, p = stats.chisquare(counts[known], expected[known])
    return Balance(tuple(map(int, counts)), tuple(map(float, expected)), float(chi2), float(p))


def class_fids(generated: Featured, reference: Featured) -> tuple[ClassFid, ...]:
    """The FID within each class of either set: it shows a class that is badly learnt, or sampled as another.

    It is None where either has no more rows than features, which cannot fill the covariance. A class has few images, so
    each value is far more biased than the FID of all: compare classes of the same size, with each other or with a floor
    by class.
    """
    x, y, found = generated.features, reference.features, []
    ours, theirs = _labels(generated), _labels(reference)
    for label in np.union1d(ours, theirs).tolist():
        rows, others = (np.flatnonzero(labels == label) for labels in (ours, theirs))
        enough = min(len(rows), len(others)) > x.shape[1]
        value = distance(Moments.of(x, rows), Moments.of(y, others)) if enough else None
        found.append(ClassFid(label, value, len(rows), len(others)))
    return tuple(found)


def train_on_generated(
    generated: Featured, reference: Featured, train: Featured | None = None, seed: int = 0
) -> Learned:
    """Classification accuracy score (Ravuri & Vinyals 2019), linear in the features: train on generated, test on real.

    Beside it the same from the real images `train`, at most as many as were generated. Images that are wrong for their
    label, or all alike, teach less. Both need two classes.
    """
    n, accuracy = len(generated), _accuracy(generated, reference)
    if train is None:
        return Learned(accuracy, n, None, None)
    few = train.take(disjoint(len(train), n, 1, seed)[0])
    return Learned(accuracy, n, _accuracy(few, reference), len(few))


def _labels(images: Featured) -> NDArray[np.int64]:
    assert images.labels is not None, "asked for"
    return images.labels.numpy()


def _accuracy(taught: Featured, test: Featured) -> float:
    from sklearn.linear_model import LogisticRegression  # takes a second to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    classifier.fit(taught.features.double().numpy(), _labels(taught))
    return float((classifier.predict(test.features.double().numpy()) == _labels(test)).mean())
