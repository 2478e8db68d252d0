import dataclasses

import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.generation.model import Model, Shape
from fromnoise.training import plan
from fromnoise.training.plan import Candidate, best

CPU = torch.device("cpu")


def candidates(fp32=1.0, bf16=0.5, agreement=0.9999):
    return [
        Candidate("fp32", False, fp32, 1.0),
        Candidate("fp32", True, fp32 * 2, 1.0),
        Candidate("bf16", False, bf16 * 2, agreement),
        Candidate("bf16", True, bf16, agreement),
    ]


def test_bf16_is_taken_where_it_is_faster_and_agrees():
    chosen, why = best(candidates())
    assert (chosen.precision, chosen.channels_last) == ("bf16", True)
    assert "2.0×" in why


def test_bf16_is_refused_where_it_does_not_agree():
    chosen, why = best(candidates(agreement=0.9))
    assert (chosen.precision, chosen.channels_last) == ("fp32", False)
    assert "does not agree" in why


def test_bf16_is_refused_where_it_is_not_truly_faster():
    chosen, why = best(candidates(bf16=0.95))
    assert chosen.precision == "fp32"
    assert "not faster" in why


def test_measuring_leaves_the_network_as_it_was(tiny_model):
    before = [parameter.detach().clone() for parameter in tiny_model.network.parameters()]
    found = plan.measure(tiny_model, CPU)
    assert {(c.precision, c.channels_last) for c in found} == {
        ("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True),
    }  # fmt: skip
    assert all(c.seconds > 0 for c in found)
    assert all(c.agreement > 0.99 for c in found)
    for was, parameter in zip(before, tiny_model.network.parameters(), strict=True):
        assert torch.equal(was, parameter)
        assert parameter.grad is None


def test_dropout_does_not_spoil_the_comparison(images, config_of):
    config = config_of(network={"dropout": 0.3})
    found = plan.measure(Model.build(config, Shape.of(images, config)), CPU)
    assert all(candidate.agreement > 0.99 for candidate in found)


@pytest.fixture
def model(images, config_of):
    def make(**training):
        config = config_of(training=training)
        return Model.build(config, Shape.of(images, config))

    return make


def test_without_a_compiler_training_runs_eager_and_says_so(model, monkeypatch):
    monkeypatch.setattr(plan, "compiler", lambda: None)
    made = plan.make(model(compile="auto", precision="fp32"), CPU, 10)
    assert not made.compiled
    assert "no C++ compiler" in made.reason
    with pytest.raises(UserError, match="needs a C"):
        plan.make(model(compile="on", precision="fp32"), CPU, 10)


def test_a_short_training_is_not_compiled(model, monkeypatch):
    monkeypatch.setattr(plan, "compiler", lambda: "g++")
    made = plan.make(model(compile="auto", precision="fp32"), CPU, 10)
    assert not made.compiled
    assert "too short" in made.reason


@pytest.mark.parametrize(("rate", "compiled"), [(1e9, False), (1e15, True)])
def test_a_long_training_is_compiled_where_eager_leaves_much_to_win(model, monkeypatch, rate, compiled):
    monkeypatch.setattr(plan, "compiler", lambda: "g++")
    monkeypatch.setattr(plan, "matrix_rate", lambda device, precision: rate)
    made = plan.make(model(compile="auto", precision="fp32", steps=None, minutes=60.0), CPU, None)
    assert made.compiled is compiled
    assert made.channels_last or not compiled
    assert made.total_steps is None


def test_what_is_asked_for_is_not_measured(model, monkeypatch):
    monkeypatch.setattr(plan, "measure", lambda *args: pytest.fail("measured"))
    made = plan.make(model(compile="off", precision="bf16"), CPU, 7)
    assert (made.precision, made.compiled, made.total_steps) == ("bf16", False, 7)


def test_a_steps_operations_are_three_forward_passes(model):
    made = model()
    x, condition = torch.zeros(1, 1, 16, 16), torch.zeros(1)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        made.network(x, condition)
    # The first layer passes no gradient on: a little less than three times.
    assert 2.5 < plan.step_flops(made, CPU) / counter.get_total_flops() <= 3.0


def test_a_cpu_without_bf16_is_not_made_to_try_it(tiny_model, config_of, monkeypatch):
    tried = []
    real = plan.measure

    def measured(model, device, precisions):
        tried.append(precisions)
        return real(model, device, precisions)

    monkeypatch.setattr(plan, "measure", measured)
    monkeypatch.setattr(plan, "has_bf16", lambda device: False)
    model = dataclasses.replace(tiny_model, config=config_of(training={"precision": "auto"}))
    made = plan.make(model, CPU, 10)
    assert tried == [("fp32",)]
    assert made.precision == "fp32"
    assert "does not compute in bf16" in made.reason
