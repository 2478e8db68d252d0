"""Notebook 6's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import torch
from scipy.linalg import sqrtm

from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.lab import check


def fid(one, other):
    return distance(Moments.of(one), Moments.of(other))


def parts(one, other, correction=1):
    """The squared distance of the means, and the two covariances."""
    return (
        (one.mean(0) - other.mean(0)).square().sum(),
        one.T.cov(correction=correction),
        other.T.cov(correction=correction),
    )


def by_scipy(one, other):
    means, c1, c2 = parts(one, other, correction=0)
    return float(means + c1.trace() + c2.trace() - 2 * sqrtm((c1 @ c2).numpy()).real.trace())


def by_entries(one, other):
    means, c1, c2 = parts(one, other)
    return float(means + (c1 + c2 - 2 * (c1 @ c2).clamp(min=0).sqrt()).trace())


def without_2(one, other):
    means, c1, c2 = parts(one, other)
    return float(means + c1.trace() + c2.trace() - torch.linalg.eigvals(c1 @ c2).real.sqrt().sum())


def diagonal(mean1, variance1, mean2, variance2):
    return ((mean1 - mean2) ** 2 + (variance1.sqrt() - variance2.sqrt()) ** 2).sum()


def nearest(images, bank):
    found = torch.cdist(images, bank).min(dim=1)
    return found.values / bank.shape[1] ** 0.5, found.indices


def by_hand(images, bank):
    squares = torch.stack([(image - bank).square().mean(dim=1) for image in images])
    return squares.min(dim=1).values.sqrt(), squares.argmin(dim=1)


def at_infinity(n, fid_n, m, fid_m):
    return (n * fid_n - m * fid_m) / (n - m)


RIGHT = [
    (check.task7, fid),
    (check.task7, by_scipy),
    (check.exercise_6_1, diagonal),
    (check.exercise_6_1, lambda m, v, n, w: float((m - n) @ (m - n) + (v + w - 2 * (v * w).sqrt()).sum())),
    (check.exercise_6_2, nearest),
    (check.exercise_6_2, by_hand),
    (check.exercise_6_3, at_infinity),
    (check.exercise_6_3, lambda n, f, m, g: f - (f - g) / (1 / n - 1 / m) / n),
]
WRONG = [
    ("with the 2", check.task7, without_2),
    ("a matrix root", check.task7, by_entries),
    ("distance of the means is squared", check.task7, lambda a, b: fid(a, b) ** 0.5),
    ("distance of the means is squared", check.task7, lambda a, b: fid(a - a.mean(0), b - b.mean(0))),
    ("given variances", check.exercise_6_1, lambda m, v, n, w: diagonal(m, v**2, n, w**2)),
    ("given variances", check.exercise_6_1, lambda m, v, n, w: diagonal(m, v, n, w) ** 0.5),
    ("given variances", check.exercise_6_1, lambda m, v, n, w: diagonal(m, v, m, w)),
    (
        "root of the mean square",
        check.exercise_6_2,
        lambda a, b: (nearest(a, b)[0] * b.shape[1] ** 0.5, nearest(a, b)[1]),
    ),
    ("found at", check.exercise_6_2, lambda a, b: (nearest(a, b)[0], torch.cdist(a, b).argmax(dim=1))),
    ("5 images give", check.exercise_6_2, lambda a, b: nearest(b, a)),
    ("root of the mean square", check.exercise_6_2, lambda a, b: (nearest(a, b)[0] ** 2, nearest(a, b)[1])),
    ("two equations", check.exercise_6_3, lambda n, f, m, g: (f + g) / 2),
    ("two equations", check.exercise_6_3, lambda n, f, m, g: 2 * g - f),
    ("two equations", check.exercise_6_3, lambda n, f, m, g: at_infinity(n, g, m, f)),
]
