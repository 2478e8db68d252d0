import math

import pytest
import torch
from scipy.stats import kstest
from sklearn.datasets import make_moons

from fromnoise.plane.distance import transport_distance
from fromnoise.plane.sets import MIXTURE, SETS, THICKNESS


def draw(name, m, seed=0):
    return SETS[name](m, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_points_of_zero_mean_and_unit_deviation(name):
    m = 200_000
    x = draw(name, m)
    assert x.shape == (m, 2)
    assert x.dtype == torch.float64
    assert (x.mean(dim=0).abs() < 5 * x.std(dim=0) / math.sqrt(m)).all()
    squares = x.square().mean(dim=1)
    assert abs(squares.mean() - 1) < 5 * squares.std() / math.sqrt(m)


@pytest.mark.parametrize("name", SETS)
def test_a_seeded_set_is_the_same_again(name):
    assert torch.equal(draw(name, 50), draw(name, 50))
    assert not torch.equal(draw(name, 50), draw(name, 50, seed=1))


@pytest.mark.parametrize("name", SETS)
def test_points_come_in_no_order(name):
    # as independent draws: neighbours in the list are no nearer to each other than any two points
    x = draw(name, 20_000)
    squares = (x[1:] - x[:-1]).square().sum(dim=1)
    assert abs(squares.mean() - 4) < 5 * squares.std() / math.sqrt(len(squares)) + 0.05


def test_two_thirds_of_the_rings_are_on_the_outer_of_twice_the_radius():
    radius = draw("rings", 100_000).norm(dim=1)
    outer = radius > radius.median() * 0.75
    assert outer.double().mean().item() == pytest.approx(2 / 3, abs=0.01)
    assert (radius[outer].mean() / radius[~outer].mean()).item() == pytest.approx(2, abs=0.02)
    angle = torch.atan2(*draw("rings", 5000).T)
    assert kstest(angle / (2 * math.pi) + 0.5, "uniform").pvalue > 1e-3


def test_the_moons_are_scikit_learns():
    theirs = torch.from_numpy(make_moons(1000, noise=THICKNESS, random_state=0)[0])
    theirs = theirs - torch.tensor([0.5, 0.25])
    scale = (2.25 - 2 / math.pi + 1) / 4 - (0.25 + 0.0625) / 2 + THICKNESS**2
    theirs = theirs / math.sqrt(scale)
    apart = transport_distance(draw("moons", 1000), theirs)
    # theirs has no chance in the angles, so that it lies nearer than another sample of ours would
    assert apart < 0.16
    assert transport_distance(draw("moons", 1000), theirs * 1.3) > 1.5 * apart


def test_the_spirals_arms_are_opposite_and_their_radius_grows_with_the_angle():
    x = draw("spiral", 100_000) * math.sqrt(1 + THICKNESS**2)
    radius, angle = x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])
    winding = 2.5 * math.pi / 2  # of the angle with the radius
    phase = (angle - winding * radius).remainder(math.pi)  # 0 on either arm
    # To first order a point's distance from the arm is its phase by the phase's gradient.
    off = torch.minimum(phase, math.pi - phase) / (winding**2 + radius**-2).sqrt()
    middle = (radius > 0.6) & (radius < 1.8)
    assert off[middle].square().mean().sqrt().item() == pytest.approx(THICKNESS, rel=0.05)
    first = (angle - winding * radius).cos() > 0
    assert first.double().mean().item() == pytest.approx(0.5, abs=0.01)


def test_the_mixture_is_of_exactly_zero_mean_and_unit_deviation():
    torch.testing.assert_close(MIXTURE.mean, torch.zeros(2).double(), rtol=0, atol=1e-14)
    assert MIXTURE.covariance.trace().item() == pytest.approx(2, abs=1e-13)
    assert len(set(MIXTURE.weights.tolist())) == 5
