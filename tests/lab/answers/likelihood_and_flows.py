"""Notebooks 7's and 8's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import math
from itertools import pairwise

import torch

from fromnoise.lab import check


def prior(x0, alpha_bar, log=math.log, per=lambda d: d * math.log(2), squares=lambda x: x.double().square(), half=0.5):
    squares, d, b2 = squares(x0).flatten(1).sum(dim=1), x0[0].numel(), 1 - alpha_bar
    return half * (alpha_bar * squares + d * (b2 - 1 - log(b2))) / per(d)


def by_kl(x0, alpha_bar):
    mean, d = alpha_bar**0.5 * x0.double(), x0[0].numel()
    noisy = torch.distributions.Normal(mean, (1 - alpha_bar) ** 0.5)
    each = torch.distributions.kl_divergence(noisy, torch.distributions.Normal(0.0, 1.0))
    return each.sum(dim=(1, 2, 3)) / (d * math.log(2))


def strata(u):
    return (torch.arange(u.shape[1]) + u) / u.shape[1]


def by_columns(u):
    k = u.shape[1]
    return torch.stack([u[:, i] / k + i / k for i in range(k)], dim=1)


def painted(images, part=(slice(None), slice(None), slice(16, None))):
    new = images.clone()
    new[part] = 0
    return new


def in_place(images):
    images[:, :, 16:] = 0
    return images


def velocity(x, noise, a, b):
    return noise - (x - b * noise) / a


def by_line(x, noise, a, b):
    s, y = b / (a + b), x / (a + b)
    return (noise - y) / (1 - s)


def heun(field, y, steps, again=lambda y, step, first, second: y + step * (first + second) / 2, end=True):
    for s, r in pairwise(torch.linspace(1, 0, steps + 1, dtype=y.dtype)):
        s, r = s.expand(len(y), 1), r.expand(len(y), 1)
        first = field(y, s)
        second = field(y + (r - s) * first, r if end else s)
        y = again(y, r - s, first, second)
    return y


def heun_in_place(field, y, steps):
    for s, r in pairwise(torch.linspace(1, 0, steps + 1, dtype=y.dtype).tolist()):
        first, ends = field(y, torch.full((len(y), 1), s)), torch.full((len(y), 1), r)
        y += (r - s) * (first + field(y + (r - s) * first, ends)) / 2
    return y


def counted(field, y, steps):
    for k in range(steps):
        s = torch.full((len(y), 1), 1 - k / steps, dtype=y.dtype)
        ahead = y - field(y, s) / steps
        y = (y + ahead - field(ahead, s - 1 / steps) / steps) / 2
    return y


def euler(field, y, steps):
    for s, r in pairwise(torch.linspace(1, 0, steps + 1, dtype=y.dtype)):
        y = y + (r - s) * field(y, s.expand(len(y), 1))
    return y


def midpoint(field, y, steps):
    for s, r in pairwise(torch.linspace(1, 0, steps + 1, dtype=y.dtype)):
        half = y + (r - s) / 2 * field(y, s.expand(len(y), 1))
        y = y + (r - s) * field(half, ((s + r) / 2).expand(len(y), 1))
    return y


RIGHT = [
    (check.exercise_7_1, prior),
    (check.exercise_7_1, by_kl),
    (check.exercise_7_2, strata),
    (check.exercise_7_2, by_columns),
    (check.exercise_7_3, painted),
    (check.exercise_7_3, lambda images: images * (torch.arange(32) < 16).byte()[:, None]),
    (check.exercise_8_1, velocity),
    (check.exercise_8_1, by_line),
    (check.exercise_8_2, heun),
    (check.exercise_8_2, heun_in_place),
    (check.exercise_8_2, counted),
]
WRONG = [
    ("in nats", check.exercise_7_1, lambda *answer: prior(*answer, per=lambda d: 1)),
    ("times that", check.exercise_7_1, lambda *answer: prior(*answer, per=lambda d: d)),
    ("times that", check.exercise_7_1, lambda *answer: prior(*answer, half=1)),
    ("not for other images", check.exercise_7_1, lambda *answer: prior(*answer, squares=lambda x: x.double())),
    (r"not \(3,\)", check.exercise_7_1, lambda *answer: prior(*answer).mean()),
    ("in order", check.exercise_7_2, lambda u: u),
    ("in order", check.exercise_7_2, lambda u: strata(u).flip(1)),
    ("keep all of u", check.exercise_7_2, lambda u: strata(0 * u + 0.5)),
    ("not √", check.exercise_7_2, lambda u: strata(u / 2)),
    ("all rows are alike", check.exercise_7_2, lambda u: strata(torch.rand(8).expand(u.shape))),
    ("beyond", check.exercise_7_2, lambda u: torch.arange(u.shape[1]) + u),
    ("changed too: copy", check.exercise_7_3, in_place),
    ("the third axis", check.exercise_7_3, lambda images: painted(images, (slice(None), slice(None), slice(0, 16)))),
    ("the third axis", check.exercise_7_3, lambda images: painted(images, (..., slice(16, None)))),
    ("has changed too", check.exercise_7_3, torch.zeros_like),
    ("the sign", check.exercise_8_1, lambda *answer: -velocity(*answer)),
    ("this is v", check.exercise_8_1, lambda x, noise, a, b: a * noise - b * (x - b * noise) / a),
    ("is not ε − x_0", check.exercise_8_1, lambda x, noise, a, b: noise - x),
    ("is not ε − x_0", check.exercise_8_1, lambda x, noise, a, b: noise - (x - b * noise)),
    ("two per step", check.exercise_8_2, euler),
    ("belongs to its end", check.exercise_8_2, midpoint),
    ("belongs to its end", check.exercise_8_2, lambda *answer: heun(*answer, end=False)),
    ("mean of both", check.exercise_8_2, lambda *answer: heun(*answer, again=lambda y, h, u, v: y + h * v)),
    ("should become ½", check.exercise_8_2, lambda *answer: heun(*answer, again=lambda y, h, u, v: y + h * (u + v))),
]  # fmt: skip
