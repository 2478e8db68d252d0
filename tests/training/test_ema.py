import torch
from torch import nn

from fromnoise.training.ema import MovingAverage


def test_the_average_is_the_warmed_up_recursion():
    network = nn.Linear(3, 2)
    average = MovingAverage(network, 0.9)
    expected = network.weight.detach().clone()
    for step in range(1, 40):
        network.weight.data += torch.randn(2, 3)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
        average.update(step)
    torch.testing.assert_close(average.average["weight"], expected)


def test_buffers_are_not_averaged():
    assert set(MovingAverage(nn.BatchNorm2d(3), 0.9).average) == {"weight", "bias"}


def test_the_network_is_not_changed():
    network = nn.Linear(3, 2)
    before = network.weight.detach().clone()
    average = MovingAverage(network, 0.5)
    average.update(1)
    average.load({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)})
    assert torch.equal(network.weight, before)
    assert not average.average["weight"].any()
