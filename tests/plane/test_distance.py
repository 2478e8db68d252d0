from itertools import permutations

import pytest
import torch

from fromnoise.plane.distance import floor, transport_distance
from fromnoise.plane.sets import SETS


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_distance_is_the_least_over_all_pairings():
    x, y = randn(6, 2), randn(6, 2, seed=1)
    costs = [(x - y[list(order)]).square().sum(dim=1).mean().sqrt().item() for order in permutations(range(6))]
    assert transport_distance(x, y) == pytest.approx(min(costs), rel=1e-12)


def test_the_order_of_the_points_does_not_count_and_the_two_sides_are_alike():
    x, y = randn(100, 2), randn(100, 2, seed=1)
    shuffled = y[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    assert transport_distance(x, shuffled) == pytest.approx(transport_distance(x, y), rel=1e-12)
    assert transport_distance(y, x) == pytest.approx(transport_distance(x, y), rel=1e-12)
    assert transport_distance(y, shuffled) == 0


def test_single_precision_will_do():
    x, y = randn(50, 2), randn(50, 2, seed=1)
    assert transport_distance(x.float(), y.float()) == pytest.approx(transport_distance(x, y), rel=1e-5)


@pytest.mark.parametrize(("x", "y"), [((5, 2), (6, 2)), ((5, 2), (5, 3)), ((5,), (5,)), ((0, 2), (0, 2))])
def test_samples_that_cannot_be_paired_are_refused(x, y):
    with pytest.raises(ValueError, match="two samples"):
        transport_distance(torch.zeros(x), torch.zeros(y))


def test_the_floor_is_that_of_independent_samples():
    asked = []

    def sample(m, generator):
        asked.append(torch.randn(m, 2, generator=generator, dtype=torch.float64))
        return asked[-1]

    got = floor(sample, 100, draws=4, seed=7)
    distances = torch.tensor([transport_distance(*asked[k : k + 2]) for k in range(0, 8, 2)])
    assert len(asked) == 8
    assert len({float(x[0, 0]) for x in asked}) == 8
    assert got.mean == pytest.approx(distances.mean().item(), rel=1e-6)
    assert got.deviation == pytest.approx(distances.std(correction=1).item(), rel=1e-4)
    assert (got.m, got.draws) == (100, 4)
    assert floor(sample, 100, draws=4, seed=7) == got
    assert floor(sample, 100, draws=4, seed=8) != got


def test_the_floor_falls_with_more_points():
    few, many = (floor(SETS["rings"], m, draws=4).mean for m in (50, 800))
    assert 2 < few / many < 8  # 4 if it falls as 1/√m


def test_a_deviation_of_one_draw_is_refused():
    with pytest.raises(ValueError, match="at least 2 draws"):
        floor(SETS["rings"], 50, draws=1)
