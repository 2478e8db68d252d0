from itertools import pairwise

import pytest
import torch

from fromnoise.networks.mlp import MLP

LEVELS = torch.tensor([-6.0, -1.0, 0.5, 4.0])


@pytest.fixture
def net(randomised):
    return randomised(MLP())


def relative(got, wanted):
    return ((got - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_the_answer_has_the_shape_of_the_points(randn, randomised, dimension, blocks):
    out = randomised(MLP(dimension, width=16, blocks=blocks))(randn(4, dimension), LEVELS)
    assert out.shape == (4, dimension)
    assert out.dtype == torch.float32
    assert out.std() > 0.01


def test_a_fresh_net_says_nothing(randn):
    assert (MLP()(randn(4, 2), LEVELS) == 0).all()


def test_the_level_changes_the_answer(randn, net):
    x = randn(4, 2)
    answers = [net(x, torch.full((4,), at)) for at in (-9.0, -0.1, 0.1, 9.0)]
    for answer, other in pairwise(answers):
        assert relative(answer, other) > 0.003


def test_no_two_levels_of_the_process_look_alike():
    levels = torch.linspace(-15, 15, 121)
    angles = levels[:, None] * MLP().frequencies
    told = torch.cat([angles.sin(), angles.cos()], dim=1)
    apart = torch.cdist(told, told) + 100 * torch.eye(121)
    assert apart.min() > 0.5 * torch.linalg.vector_norm(MLP().frequencies * 0.25)


def test_a_row_does_not_depend_on_the_rows_beside_it(randn, net):
    x = randn(4, 2)
    together = net(x, LEVELS)
    for k in range(4):
        assert relative(net(x[k : k + 1], LEVELS[k : k + 1]), together[k : k + 1]) < 1e-5


def test_the_gradient_reaches_every_parameter(randn, net):
    net(randn(4, 2), LEVELS).square().mean().backward()
    for name, weights in net.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.isfinite().all(), name
        assert weights.grad.norm() > 1e-5, name
