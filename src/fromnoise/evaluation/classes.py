"""What labels add to the score: are the classes balanced, are they good, can a classifier learn from them?"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from fromnoise.evaluation.design import Groups, disjoint, most_apart
from fromnoise.evaluation.featured import Featured, Number, UnavailableError
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.report import Balance, Classes, ClassFid, Learned

CLASSIFIED = 2048
"""Features at most for a classifier."""
POOLED = 5
"""Expected images of a class from which χ² can be trusted."""
BY_CHANCE = 0.001
"""If a random sample's classes were as even as a reference's more rarely than this, they are even by design."""


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
    generated: Featured, reference: Featured, real: Featured | None, most: int, seed: int
) -> tuple[Classes | None, list[str]]:
    """What labels add, and why something is missing; a classifier is trained on `most` images at most.

    `real` are further real images with labels, to teach a classifier.
    """
    ours, theirs = generated.labels, reference.labels
    if ours is None or theirs is None:
        return None, ["no metrics by class: the generated images or the reference have no labels"]
    if len(set(ours.tolist()) | set(theirs.tolist())) < 2:
        return None, ["no metrics by class: there is only one class"]
    notes = []
    shares = balance(ours, theirs, reference.groups)
    if shares.chi2 is None:
        notes.append("classes.balance.chi2 is infinite: the reference lacks a class that was generated")
    d = generated.features.shape[1]
    fids = class_fids(generated, reference)
    if any(fid.value is None for fid in fids):
        notes.append(f"no FID of classes with {d} images or fewer: too few for {d} features")
    learned, few = None, generated.few(most, seed)
    if d > CLASSIFIED or len(np.unique(_labels(few))) < 2:
        notes.append("no classifier trained on generated images: only one class, or too many features")
    else:
        teacher = real.few(most, seed) if real is not None and len(np.unique(_labels(real))) > 1 else None
        learned = train_on_generated(few, reference, teacher, seed)
    return Classes(shares, fids, learned), notes


def balance(generated: Int[Tensor, " n"], reference: Int[Tensor, " m"], groups: Groups | None = None) -> Balance:
    """Whether the generated labels have the reference's shares: Pearson's χ² test, and an exact one of each class.

    The shares of a reference that is even by design are exact. Any other is itself a random sample of the classes, and
    the tests are those of homogeneity; members of one of its `groups` are not independent (Kish's design
    effect). Classes with fewer than `POOLED` expected images count as one for χ², with the next larger if need be.
    There must be at least two classes.
    """
    classes = int(max(generated.max(), reference.max())) + 1
    counts, real = (np.bincount(labels, minlength=classes) for labels in (generated, reference))
    n, m, known = int(counts.sum()), int(real.sum()), counts + real > 0
    exact, expected = even_by_design(real[real > 0]), real * (n / m)
    said, independent = (tuple(map(int, counts)), tuple(map(float, expected))), m
    if groups is not None and not exact:
        independent = most_apart(groups)
        real = np.round(real * (independent / m)).astype(np.int64)
        m = int(real.sum())
    ours, theirs = counts[known], real[known]
    if exact and (theirs == 0).any():  # infinite
        return Balance(*said, None, 0.0, 0.0, exact, independent)
    of_class = stats.binom(n, theirs / m) if exact else stats.hypergeom(n + m, ours + theirs, n)
    single = 2 * len(ours) * float(np.minimum(of_class.cdf(ours), of_class.sf(ours - 1)).min())
    wanted = theirs * n / m if exact else (ours + theirs) * min(n, m) / (n + m)
    few = wanted < POOLED
    if few.any() and wanted[few].sum() < POOLED and not few.all():
        few[np.flatnonzero(~few)[wanted[~few].argmin()]] = True
    table = np.stack([np.append(each[~few], each[few].sum()) for each in (ours, theirs)])
    table = table[:, table.any(axis=0)]
    chi2, p = 0.0, 1.0
    if table.shape[1] > 1 and exact:
        chi2, p = stats.chisquare(table[0], table[1] * (n / m))
    elif table.shape[1] > 1:
        chi2, p = stats.chi2_contingency(table, correction=False)[:2]
    return Balance(*said, float(chi2), float(p), min(single, 1.0), exact, independent)


def even_by_design(counts: NDArray[np.int64]) -> bool:
    """Whether classes are of equal size (± 1), which those of a random sample would hardly ever be."""
    most = int((counts == counts.max()).sum())
    if len(counts) < 2 or counts.max() - counts.min() > 1:
        return False
    chance = stats.multinomial.pmf(counts, counts.sum(), np.full(len(counts), 1 / len(counts)))
    return bool(special.comb(len(counts), most) * chance < BY_CHANCE)


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
    generated: Featured, reference: Featured, real: Featured | None = None, seed: int = 0
) -> Learned:
    """Classification accuracy score (Ravuri & Vinyals 2019), linear in the features: train on generated, test on real.

    Images that are wrong for their label, or all alike, teach less. Beside it the same from further real images, at
    most as many as were generated, and how often what these teach agrees with the generated images' labels. All need
    two classes.
    """
    n, accuracy = len(generated), _right(_taught(generated), reference)
    if real is None:
        return Learned(accuracy, n, None, None)
    few = real.take(disjoint(len(real), n, 1, seed)[0])
    teacher = _taught(few)
    return Learned(accuracy, n, _right(teacher, reference), len(few), _right(teacher, generated))


def _labels(images: Featured) -> NDArray[np.int64]:
    assert images.labels is not None, "asked for"
    return images.labels.numpy()


def _taught(by: Featured) -> Any:
    from sklearn.linear_model import LogisticRegression  # takes a second to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return classifier.fit(by.features.double().numpy(), _labels(by))


def _right(classifier: Any, test: Featured) -> float:
    return float((classifier.predict(test.features.double().numpy()) == _labels(test)).mean())
