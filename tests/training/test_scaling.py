import pytest
import torch

from fromnoise.training import scaling


@pytest.fixture
def parameters():
    found = [
        torch.nn.Parameter(torch.zeros(3)),
        torch.nn.Parameter(torch.zeros(2, 2)),
        torch.nn.Parameter(torch.ones(1)),
    ]
    found[0].grad = torch.tensor([1.0, -2.0, 3.0]) * scaling.FACTOR
    found[1].grad = torch.eye(2) * scaling.FACTOR
    return found  # the last has no gradient


def test_gradients_come_back_from_their_scale(parameters):
    assert scaling.unscale(parameters, "fp16")
    assert torch.equal(parameters[0].grad, torch.tensor([1.0, -2.0, 3.0]))
    assert torch.equal(parameters[1].grad, torch.eye(2))
    assert parameters[2].grad is None


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_what_has_overflowed_is_not_to_be_learnt_from(parameters, value):
    parameters[0].grad[1] = value
    assert not scaling.unscale(parameters, "fp16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_formats_are_not_scaled(parameters, precision):
    before = parameters[0].grad.clone()
    assert scaling.unscale(parameters, precision)
    assert scaling.loss_scale(precision) == 1.0
    assert torch.equal(parameters[0].grad, before)


def test_a_small_gradient_survives_fp16_by_its_scale():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    x = torch.full((1, 4), 2e-4)

    def gradient(factor):
        weight.grad = None
        with torch.autocast("cpu", torch.float16):
            loss = torch.nn.functional.linear(x, weight).float().mean() * 1e-4
        (loss * factor).backward()
        return weight.grad

    assert not gradient(1.0).any()
    gradient(scaling.loss_scale("fp16"))
    scaling.unscale([weight], "fp16")
    assert weight.grad == pytest.approx(torch.full((4, 4), 5e-9), rel=0.05)
