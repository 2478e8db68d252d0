"""Metrics from nearest neighbours: precision and recall, density and coverage.

Each set is taken as the union of balls around its rows, with radius the distance to the k-th nearest other row of the
same set. Fidelity (precision, density) asks how generated rows lie in the reference's balls, variety (recall, coverage)
how much of the reference is reached. All four move with the sizes of the sets: compare only at the same sizes.
"""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from fromnoise.evaluation.featured import NEIGHBOURS, Featured, Number

PRECISION_K, DENSITY_K = 3, NEIGHBOURS  # the neighbour that the radius reaches to
BLOCK = 256
# Balls are closed: a row at the very edge is inside, as copies of the rows that made the radius are. Rounding moves
# |x|² + |y|² − 2x·y by about 1e-15 of |x|² + |y|², so differences of that size or a little more must not decide.
ROUNDING = 1e-12


def precision(ours: Featured, real: Featured, _: int) -> Number:
    """The share of images within some ball of the reference (Kynkäänniemi et al. 2019, section 2)."""
    return Number(float((_in_balls(ours, real, PRECISION_K)[0] > 0).double().mean()))


def recall(ours: Featured, real: Featured, _: int) -> Number:
    """The share of the reference within some ball of the images (the same). A single outlier can raise it."""
    return Number(float((_in_balls(real, ours, PRECISION_K)[0] > 0).double().mean()))


def density(ours: Featured, real: Featured, _: int) -> Number:
    """The mean number of the reference's balls that an image lies in, by k (Naeem et al. 2020, section 3).

    It is 1 on average for equal distributions. Its error is that of the choice of images, given the reference.
    """
    balls = _in_balls(ours, real, DENSITY_K)[0].double() / DENSITY_K
    return Number(float(balls.mean()), float(balls.std() / len(balls) ** 0.5))


def coverage(ours: Featured, real: Featured, _: int) -> Number:
    """The share of the reference's balls that hold an image (the same)."""
    return Number(float(_in_balls(ours, real, DENSITY_K)[1].double().mean()))


def _in_balls(x: Featured, centres: Featured, k: int) -> tuple[Int64[Tensor, " n"], Bool[Tensor, " m"]]:
    """In how many balls about `centres` each row of `x` lies, and which balls hold a row."""
    rows, balls = x.features, centres.features
    centre = balls.mean(dim=0, dtype=torch.float64)  # |x|² + |y|² − 2x·y cancels less near the origin
    rows, balls, squared_radii = rows - centre, balls - centre, centres.neighbour_distances[:, k - 1].square()
    norms = balls.square().sum(dim=1)
    counts, holds = [], torch.zeros(len(balls), dtype=torch.bool)
    for part in rows.split(BLOCK):
        scale = part.square().sum(dim=1, keepdim=True) + norms
        inside = (1 - ROUNDING) * scale - 2 * part @ balls.T <= squared_radii
        counts.append(inside.sum(dim=1))
        holds |= inside.any(dim=0)
    return torch.cat(counts), holds
