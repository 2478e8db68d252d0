"""Notebook 1's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import math

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from fromnoise.lab import check


def noise(m, n, generator):
    return torch.randn(m, n, dtype=torch.float64, generator=generator)


def density(x, mean, c):
    off = x - mean
    exponent = -0.5 * torch.einsum("ni,ij,nj->n", off, torch.linalg.inv(c), off)
    return exponent.exp() / ((2 * math.pi) ** (len(mean) / 2) * torch.linalg.det(c).sqrt())


def in_the_plane(x, mean, c):
    return density(x, mean, c) * (2 * math.pi) ** (len(mean) / 2 - 1)


def draw(mean, c, m, generator):
    return mean + noise(m, len(mean), generator) @ torch.linalg.cholesky(c).T


def within(n, radius, m, generator):
    return (noise(m, n, generator).norm(dim=1) < radius).double().mean().item()


def root(c):
    values, vectors = torch.linalg.eigh(c)
    return vectors * values.sqrt()


def by_numpy(c):
    values, vectors = np.linalg.eigh(c.numpy())
    return vectors * np.sqrt(values)


def conditional(mean, c, x1):
    return mean[1] + c[0, 1] / c[0, 0] * (x1 - mean[0]), c[1, 1] - c[0, 1] ** 2 / c[0, 0]


def signs(mean, c, m, generator):
    """Of the right mean and covariance, and not normal."""
    return mean + noise(m, 2, generator).sign() @ torch.linalg.cholesky(c).T


RIGHT = [
    (check.task1, density, draw),
    (
        check.task1,
        lambda x, mean, c: MultivariateNormal(mean, c).log_prob(x).exp(),
        lambda mean, c, m, g: mean + (root(c) @ noise(m, len(mean), g).T).T,
    ),
    (check.exercise_1_1, within),
    (check.exercise_1_1, lambda n, r, m, g: float((noise(m, n, g).square().sum(dim=1) < r**2).sum()) / m),
    (check.exercise_1_2, root),
    (check.exercise_1_2, by_numpy),
    (check.exercise_1_2, lambda c: root(c) @ torch.linalg.eigh(c)[1].T),  # the symmetric one
    (check.exercise_1_3, conditional),
    (check.exercise_1_3, lambda mean, c, x1: (float(conditional(mean, c, x1)[0]), float(torch.det(c) / c[0, 0]))),
]
WRONG = [
    (r"shape \(50, 1\)", check.task1, lambda x, mean, c: density(x, mean, c)[:, None], draw),
    ("integrates to", check.task1, lambda x, mean, c: density(x, mean, torch.linalg.inv(c)), draw),
    ("integrates to 0.3", check.task1, lambda x, mean, c: density(x, mean, c) / torch.linalg.det(c).sqrt(), draw),
    ("in three dimensions", check.task1, in_the_plane, draw),
    ("hand `generator`", check.task1, density, lambda mean, c, m, g: draw(mean, c, m, None)),
    ("but is not", check.task1, lambda x, mean, c: density(x, mean, torch.diag(c.diagonal())), draw),
    ("0.159 at 0", check.task1, lambda x, mean, c: density(x, mean, c) * math.sqrt(2 * math.pi), draw),
    ("0.159 at 0", check.task1, lambda x, mean, c: density(x, mean, c).log(), draw),
    ("which factor of C", check.task1, density, lambda mean, c, m, g: mean + noise(m, 2, g) @ c),
    ("from which side", check.task1, density, lambda mean, c, m, g: mean + noise(m, 2, g) @ torch.linalg.cholesky(c)),
    (r"not \(1, -2\)", check.task1, density, lambda mean, c, m, g: draw(0 * mean, c, m, g)),
    (r"not \(20000, 2\)", check.task1, density, lambda mean, c, m, g: draw(mean, c, m, g).T),
    ("is the noise normal", check.task1, density, signs),
    ("n = 2, radius 2", check.exercise_1_1, lambda n, r, m, g: (noise(m, n, g).abs() < r).all(dim=1).double().mean()),
    ("95.4% in theory", check.exercise_1_1, lambda n, r, m, g: 1 - within(n, r, m, g)),
    ("95.4% in theory", check.exercise_1_1, lambda n, r, m, g: within(n, r**0.5, m, g)),
    ("Cholesky factor again", check.exercise_1_2, torch.linalg.cholesky),
    ("Λ must be", check.exercise_1_2, lambda c: root(c).T),
    ("under a root", check.exercise_1_2, lambda c: torch.linalg.eigh(c)[1] * torch.linalg.eigh(c)[0]),
    (r"not \(2, 2\)", check.exercise_1_2, lambda c: torch.linalg.eigh(c)[0].sqrt()),
    ("off its own mean", check.exercise_1_3, lambda mean, c, x1: conditional(0 * mean, c, x1)),
    ("x₂ is 4.000", check.exercise_1_3, lambda mean, c, x1: (conditional(mean, c, x1)[0], c[1, 1] - c[0, 1])),
    ("your variance", check.exercise_1_3, lambda mean, c, x1: (conditional(mean, c, x1)[0], c[1, 1])),
]
