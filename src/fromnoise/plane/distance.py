"""How far two samples of points lie apart, and how far two real ones do: the floor of what a model can reach."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from fromnoise import rng

POINTS = 1000  # a distance of so many takes about 0.1 s; the time grows as the cube


@dataclass(frozen=True)
class Floor:
    """Mean and deviation of the distance between two independent real samples of m points, over `draws` of it."""

    mean: float
    deviation: float
    m: int
    draws: int


def transport_distance(x: Float[Tensor, "m d"], y: Float[Tensor, "m d"]) -> float:
    """The 2-Wasserstein distance: the root of the least mean ‖x_i − y_π(i)‖² over all pairings π, found exactly.

    It weighs shares and places: a few points astray between the parts of a set hardly change it.
    Raises ValueError for samples of unequal size, or empty ones.
    """
    if x.ndim != 2 or x.shape != y.shape or not len(x):
        raise ValueError(f"two samples of m×d points are compared, not {tuple(x.shape)} and {tuple(y.shape)}")
    costs = cdist(x.double().numpy(force=True), y.double().numpy(force=True), "sqeuclidean")
    return float(np.sqrt(costs[linear_sum_assignment(costs)].mean()))


def floor(
    sample: Callable[[int, torch.Generator], Float[Tensor, "m d"]], m: int = POINTS, draws: int = 5, seed: int = 0
) -> Floor:
    """The distance between two independent samples of m points each, `draws` times.

    It is far from zero (it falls about as 1/√m) and what a perfect model would have on average.
    Raises ValueError for fewer than two draws, which have no deviation.
    """
    if draws < 2:
        raise ValueError(f"a deviation needs at least 2 draws, not {draws}")
    distances = []
    for k in range(draws):
        generator = torch.Generator().manual_seed(rng.integer(seed, "floor", k))
        distances.append(transport_distance(sample(m, generator), sample(m, generator)))
    return Floor(float(np.mean(distances)), float(np.std(distances, ddof=1)), m, draws)
