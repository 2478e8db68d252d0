"""The floor where real images come in groups, by the features of many simulated data sets.

Images are shapes in colour. Half of the data lie in groups of two to six, recoloured, and are split by groups as
`sources` does it. A perfect model draws shapes that nobody has seen, each of a group of its own.
"""

import numpy as np
import pytest
import torch

from benchmarks.damages import DAMAGES
from benchmarks.shapes import families, recoloured, shapes
from fromnoise import rng
from fromnoise.evaluation.design import disjoint
from fromnoise.evaluation.excess import excess
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.features import features

DATA, N, SIMULATIONS = 3_786, 340, 40


@pytest.mark.slow
def test_a_perfect_model_is_no_worse_than_the_floor_and_one_of_half_blurred_images_is():
    data, extract = families(6_000, 1_500, 1), features("general")
    group, real = data.groups.numpy(), extract(data.images)
    sizes = np.bincount(group)
    fresh = recoloured(shapes(2_000, 2).images, 2)
    perfect, blurred = extract(fresh), extract(DAMAGES["blur"](fresh, 1))
    above, covered = 0, 0
    for k in range(SIMULATIONS):
        draw = rng.generator(k, "simulation")
        order = draw.permutation(len(sizes))
        place = np.full(len(sizes), -1)
        data = order[: np.searchsorted(np.cumsum(sizes[order]), DATA)]
        place[data] = np.arange(len(data)) % 10
        reference, others = (
            Featured(real[rows], groups=torch.from_numpy(group[rows]))
            for rows in (np.flatnonzero(place[group] == 9), np.flatnonzero((place[group] >= 0) & (place[group] != 9)))
        )
        floor = [others.take(rows) for rows in disjoint(len(others), N, 99, k, groups=others.groups.numpy())]
        rows = draw.permutation(len(fresh))[:N]
        found = excess([Featured(perfect[rows])], floor, reference)
        covered += found.low <= 0 <= found.high
        worse = torch.cat([blurred[rows[: N // 2]], perfect[rows[N // 2 :]]])
        above += excess([Featured(worse)], floor, reference).low > 0
    assert covered >= 0.9 * SIMULATIONS
    assert above >= 0.9 * SIMULATIONS
