"""Notebook 2's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import math

import torch

from fromnoise.lab import check
from fromnoise.probability.risk import sample_mean


def interval(values):
    found = sample_mean(values)
    return found.value - 2 * found.standard_error, found.value + 2 * found.standard_error


def around(values, half):
    return values.mean() - half, values.mean() + half


def means(n, repetitions, generator):
    a, b = torch.randn(2, repetitions, n, dtype=torch.float64, generator=generator)
    return (a / b).mean(dim=1)


def spread(n, repetitions, generator):
    low, high = torch.quantile(means(n, repetitions, generator), torch.tensor([0.25, 0.75], dtype=torch.float64))
    return high - low


def sorted_spread(n, repetitions, generator):
    ordered = means(n, repetitions, generator).sort().values
    return float(ordered[3 * repetitions // 4] - ordered[repetitions // 4])


def estimate(log_q, log_p):
    found = sample_mean((log_p - log_q).exp() - 1 - (log_p - log_q))
    return found.value, found.standard_error


def by_hand(log_q, log_p):
    r = log_p.exp() / log_q.exp()
    gaps = (r - 1) - r.log()
    return float(gaps.mean()), float(gaps.std(correction=0) / len(gaps) ** 0.5)


def divergence(one, other, variance):
    return float((one - other).square().sum()) / (2 * variance)


RIGHT = [
    (check.exercise_2_1, interval),
    (check.exercise_2_1, lambda v: around(v, 2 * v.std(correction=0) / len(v) ** 0.5)),
    (check.exercise_2_2, spread),
    (check.exercise_2_2, sorted_spread),
    (check.exercise_2_3, estimate),
    (check.exercise_2_3, by_hand),
    (check.exercise_2_4, divergence),
    (check.exercise_2_4, lambda one, other, v: (one - other)[None] @ (one - other)[:, None] / (2 * v)),
    (check.exercise_2_4, lambda one, other, variance: (one - other) @ (one - other) / variance / 2),
]
WRONG = [
    ("deviation over √N", check.exercise_2_1, lambda v: around(v, 2 * v.std())),
    ("deviation over √N", check.exercise_2_1, lambda v: around(v, 2 * v.std() / len(v))),
    ("deviation over √N", check.exercise_2_1, lambda v: around(v, v.std() / len(v) ** 0.5)),
    ("not around the mean", check.exercise_2_1, lambda v: (v.median() - 1, v.median() + 1)),
    ("deviation over √N", check.exercise_2_1, lambda v: around(v, 2 * v.var() / len(v) ** 0.5)),
    ("lie within 2", check.exercise_2_2, lambda n, m, g: float(means(n, m, g).std())),
    ("lie within 2", check.exercise_2_2, lambda n, m, g: float(spread(n, m, g)) / 2),
    ("lie within 2", check.exercise_2_2, lambda n, m, g: float(torch.randn(m, n, generator=g).mean(dim=1).std())),
    ("r is p over q", check.exercise_2_3, lambda q, p: estimate(p, q)),
    ("plain log q/p", check.exercise_2_3, lambda q, p: (float((q - p).mean()), estimate(q, p)[1])),
    ("over √N", check.exercise_2_3, lambda q, p: (estimate(q, p)[0], estimate(q, p)[1] * math.sqrt(len(q)))),
    ("difference of two squares", check.exercise_2_4, lambda one, other, v: 2 * divergence(one, other, v)),
    ("difference of two squares", check.exercise_2_4, lambda one, other, v: divergence(one, other, v**0.5 * 1.1)),
    ("difference of two squares", check.exercise_2_4, lambda one, other, v: float((one - other).norm()) / (2 * v)),
    ("difference of two squares", check.exercise_2_4, lambda one, other, v: divergence(one, other, v) / len(one)),
]
