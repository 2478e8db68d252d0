"""Notebook 3's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import math

import torch

from fromnoise.lab import check
from fromnoise.probability import normal_model
from fromnoise.probability.gaussian import Gaussian


def fit(x):
    return x.mean(dim=0)


def descend(x, rate, steps):
    mean = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(steps):
        mean = mean - rate * (mean - x.mean(dim=0))
    return mean


def by_autograd(x, rate, steps):
    mean = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(normal_model.objective(mean, x), mean)
        mean = (mean - rate * gradient).detach().requires_grad_()
    return mean


def as_printed(x, rate, steps):
    """Fault 1: the sign of (23)."""
    return descend(x, -rate, steps)


def draw(mean, m, generator):
    return mean + torch.randn(m, len(mean), dtype=torch.float64, generator=generator)


def variance(x):
    return (x - x.mean(dim=0)).square().mean()


def bits_with(tau, mean, c, x):
    gaussian = Gaussian(mean, c + tau * torch.eye(len(mean), dtype=torch.float64))
    return (math.log(128) - gaussian.log_prob(x).mean() / len(mean)) / math.log(2)


def by_eigenvectors(tau, mean, c, x):
    values, vectors = torch.linalg.eigh(c)
    off = (x - mean) @ vectors
    logs = -0.5 * ((off**2 / (values + tau)).sum(1) + (2 * math.pi * (values + tau)).log().sum())
    return 7 - float(logs.mean()) / len(mean) / math.log(2)


def fit_classes(x, labels):
    parts = [x[labels == k] for k in range(int(labels.max()) + 1)]
    weights = labels.bincount() / len(labels)
    return weights, torch.stack([p.mean(0) for p in parts]), torch.stack([p.T.cov(correction=0) for p in parts])


def by_library(x, labels):
    models = [normal_model.fit_covariance(x[labels == k]) for k in labels.unique()]
    weights = torch.tensor([float((labels == k).double().mean()) for k in labels.unique()])
    return weights, torch.stack([m.mean for m in models]), torch.stack([m.covariance for m in models])


def around_the_mean_of_all(x, labels):
    weights, means, _ = fit_classes(x, labels)
    offs = [x[labels == k] - x.mean(0) for k in range(3)]
    return weights, means, torch.stack([off.T @ off / len(off) for off in offs])


RIGHT = [
    (check.task2, fit, descend, draw),
    (check.task2, lambda x: x.sum(0) / len(x), by_autograd, lambda mean, m, g: Gaussian.white(mean).sample(m, g)),
    (check.exercise_3_1, variance),
    (check.exercise_3_1, lambda x: float(x.var(dim=0, correction=0).mean())),
    (check.exercise_3_2, bits_with),
    (check.exercise_3_2, by_eigenvectors),
    (check.exercise_3_3, fit_classes),
    (check.exercise_3_3, by_library),
]
WRONG = [
    (r"shape \(\)", check.task2, lambda x: x.mean(), descend, draw),
    ("changes", check.task2, lambda x: x.median(dim=0).values, descend, draw),
    ("changes", check.task2, lambda x: x.sum(dim=0), descend, draw),
    ("goes against it", check.task2, fit, as_printed, draw),
    ("gradient of", check.task2, fit, lambda x, rate, steps: descend(x, 0.9 * rate, steps), draw),
    ("after no step", check.task2, fit, lambda x, rate, steps: descend(x, rate, steps + 1), draw),
    ("covariance of the draws", check.task2, fit, descend, lambda mean, m, g: mean + draw(0 * mean, m, g) / 2),
    ("draws have mean", check.task2, fit, descend, lambda mean, m, g: draw(0 * mean, m, g)),
    ("not the greatest", check.exercise_3_1, lambda x: x.var(dim=0, correction=1).mean()),
    ("not the greatest", check.exercise_3_1, lambda x: variance(x) ** 0.5),
    ("how many squares", check.exercise_3_1, lambda x: (x - x.mean(dim=0)).square().sum(dim=1).mean()),
    ("not the greatest", check.exercise_3_1, lambda x: (x - x.mean()).square().mean() * 1.001),
    ("these are nats: a bit", check.exercise_3_2, lambda *a: bits_with(*a) * math.log(2)),
    ("a grey level is 1/128 wide: what", check.exercise_3_2, lambda *a: bits_with(*a) - 7),
    ("number of dimensions", check.exercise_3_2, lambda *a: 6 * bits_with(*a)),
    ("C \\+ τI", check.exercise_3_2, lambda tau, *a: bits_with(tau**2, *a)),
    ("weigh", check.exercise_3_3, lambda x, y: (torch.full((3,), 1 / 3), *fit_classes(x, y)[1:])),
    ("own mean", check.exercise_3_3, around_the_mean_of_all),
    (
        "order of the labels",
        check.exercise_3_3,
        lambda x, y: [p.flip(0) if p.ndim == 2 else p for p in fit_classes(x, y)],
    ),
    ("shapes", check.exercise_3_3, lambda x, y: (fit_classes(x, y)[0], fit_classes(x, y)[1], torch.ones(3, 2))),
]
