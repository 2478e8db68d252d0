import dataclasses
import math
import re

import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.hardware import emulates
from fromnoise.say import captured
from fromnoise.training import plan, probe
from fromnoise.training.plan import best
from fromnoise.training.probe import Candidate, Compiled

CPU = torch.device("cpu")


def candidates(fp32=1.0, bf16=0.5, agreement=0.9999):
    return [
        Candidate("fp32", False, fp32, 1.0),
        Candidate("fp32", True, fp32 * 2, 1.0),
        Candidate("bf16", False, bf16 * 2, agreement),
        Candidate("bf16", True, bf16, agreement),
    ]


def test_bf16_is_taken_where_it_is_faster_and_agrees():
    chosen, why = best(candidates(), CPU)
    assert (chosen.precision, chosen.channels_last) == ("bf16", True)
    assert "2.0×" in why


def test_bf16_is_refused_where_it_does_not_agree():
    chosen, why = best(candidates(agreement=0.9), CPU)
    assert (chosen.precision, chosen.channels_last) == ("fp32", False)
    assert "does not agree" in why


def test_fp16_is_chosen_like_bf16():
    found = [dataclasses.replace(c, precision=c.precision.replace("bf16", "fp16")) for c in candidates()]
    chosen, why = best(found, CPU)
    assert (chosen.precision, chosen.channels_last) == ("fp16", True)
    assert why.startswith("fp16 channels-last: 2.0×")


def test_on_a_gpu_agreeing_is_enough():
    assert best(candidates(bf16=1.2), torch.device("cuda"))[0].precision == "bf16"
    assert best(candidates(bf16=1.2, agreement=0.9), torch.device("cuda"))[0].precision == "fp32"


def test_a_memory_format_that_does_not_agree_is_left():
    wrong = [dataclasses.replace(candidates()[1], seconds=0.01, agreement=0.5), candidates()[0]]
    assert best(wrong, CPU)[0] == candidates()[0]


def test_a_gradient_that_is_not_a_number_does_not_agree():
    assert best(candidates(agreement=math.nan), CPU)[0].precision == "fp32"


def test_bf16_is_refused_where_it_is_not_truly_faster():
    chosen, why = best(candidates(bf16=0.95), CPU)
    assert chosen.precision == "fp32"
    assert "not faster" in why


@pytest.mark.parametrize(("device", "processes", "mode"), [
    ("cpu", 1, None), ("cuda", 1, "reduce-overhead"), ("cuda", 2, None),
])  # fmt: skip
def test_a_single_gpu_is_given_cuda_graphs(tiny_model, monkeypatch, device, processes, mode):
    monkeypatch.setattr(torch, "compile", lambda network, **how: how)
    assert probe.fuse(tiny_model.network, torch.device(device), processes) == {"dynamic": False, "mode": mode}


def test_measuring_leaves_the_network_as_it_was(tiny_model):
    before = [parameter.detach().clone() for parameter in tiny_model.network.parameters()]
    found = probe.measure(tiny_model, CPU, ("fp32", "bf16"))
    assert {(c.precision, c.channels_last) for c in found} == {
        ("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True),
    }  # fmt: skip
    assert all(c.seconds > 0 for c in found)
    assert all(c.agreement > 0.99 for c in found)
    for was, parameter in zip(before, tiny_model.network.parameters(), strict=True):
        assert torch.equal(was, parameter)
        assert parameter.grad is None


def test_larger_images_take_no_longer_to_measure(config_of):
    config = config_of(data={"size": "128"})
    model, rows = Model.build(config, DataInfo(3, 128, 128, 1.0, (0.0,) * 3, ())), set()
    model.network.register_forward_pre_hook(lambda _, inputs: rows.add(len(inputs[0])))
    probe.measure(model, CPU, ("fp32",))
    assert rows == {2}


def test_dropout_does_not_spoil_the_comparison(images, config_of):
    config = config_of(network={"dropout": 0.3})
    found = probe.measure(Model.build(config, DataInfo.of(images, config)), CPU, ("fp32", "bf16", "fp16"))
    assert all(candidate.agreement > 0.99 for candidate in found)


@pytest.fixture
def model(images, config_of):
    def make(**training):
        config = config_of(training=training)
        return Model.build(config, DataInfo.of(images, config))

    return make


LONG = {"compile": "auto", "precision": "fp32", "steps": None, "minutes": 60.0}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_precision_asked_for_is_taken_in_its_faster_memory_format(model, precision):
    with captured() as said:
        made = plan.make(model(compile="auto", precision=precision), CPU, 10)
    assert made.precision == precision
    slow = f"{precision} is only emulated here: steps may be very slow; --precision auto avoids that"
    assert said == ([slow] if emulates(CPU, precision) else [])
    assert re.fullmatch(rf"{precision} (NCHW|channels-last) as asked; eager: .*too short.*", made.reason)


def test_without_a_compiler_training_runs_eager_and_says_so(model, monkeypatch):
    monkeypatch.setattr(probe, "compiler", lambda: None)
    made = plan.make(model(**LONG), CPU, None)
    assert not made.compiled
    assert "no C++ compiler" in made.reason
    with pytest.raises(UserError, match="needs a C"):
        plan.make(model(compile="on", precision="fp32"), CPU, 10)


def test_for_a_short_training_no_compiler_is_looked_for(model, monkeypatch):
    monkeypatch.setattr(probe, "compiler", lambda: pytest.fail("looked for"))
    made = plan.make(model(compile="auto", precision="fp32"), CPU, 10)
    assert not made.compiled
    assert "too short" in made.reason


@pytest.fixture
def promising(monkeypatch):
    """A machine on which compiling may pay; `found` is what comes of trying it."""

    def promise(found=None, rate=1e15):
        monkeypatch.setattr(probe, "compiler", lambda: "g++")
        monkeypatch.setattr(probe, "matrix_rate", lambda device, precision: rate)
        if found:
            monkeypatch.setattr(probe, "compiled", lambda *args: found)

    return promise


@pytest.mark.parametrize(("found", "compiled", "why"), [
    (Compiled(2.0, 0.01, "last.bias"), True, "2.00× faster than eager, and its gradients agree"),
    (Compiled(1.01, 0.01, "last.bias"), False, "not faster here (1.01×)"),
    (Compiled(2.0, 1.0, "first.weight"), False, "gradients are wrong here (by 100% in first.weight)"),
    (Compiled(2.0, math.nan, "first.weight"), False, "gradients are wrong"),
])  # fmt: skip
def test_a_long_training_is_compiled_where_that_is_faster_and_right(model, promising, found, compiled, why):
    promising(found)
    made = plan.make(model(**LONG), CPU, None)
    assert made.compiled is compiled
    assert why in made.reason
    assert made.channels_last or not compiled


def test_compiling_is_not_tried_where_eager_leaves_little_to_win(model, promising, monkeypatch):
    promising(rate=1e6)
    monkeypatch.setattr(probe, "compiled", lambda *args: pytest.fail("compiled"))
    made = plan.make(model(**LONG), CPU, None)
    assert not made.compiled
    assert "of the speed of a matrix product" in made.reason


def test_each_process_compiles_for_its_share_of_the_batch(model, promising, monkeypatch):
    promising()
    asked = []
    monkeypatch.setattr(probe, "compiled", lambda *args: asked.append(args[3:]) or Compiled(2.0, 0.01, "last.bias"))
    plan.make(model(**LONG, batch=16), CPU, None, processes=4)
    assert asked == [(4, 4)]  # rows, and processes, which get no CUDA graphs


def test_compiled_as_asked_is_refused_only_where_it_is_wrong(model, promising):
    promising(Compiled(0.5, 0.01, "last.bias"))
    assert plan.make(model(compile="on", precision="fp32"), CPU, 7).compiled
    promising(Compiled(2.0, 1.0, "first.weight"))
    with pytest.raises(UserError, match=r"gradients are wrong here.*use --compile off"):
        plan.make(model(compile="on", precision="fp32"), CPU, 7)


def test_a_compiler_that_fails_leaves_an_eager_plan(model, promising, monkeypatch):
    def failing(*args):
        raise RuntimeError("no such instruction\nat line 7")

    promising()
    monkeypatch.setattr(probe, "compiled", failing)
    made = plan.make(model(**LONG), CPU, None)
    assert not made.compiled
    assert made.reason.endswith("eager: compiling failed (no such instruction)")
    with pytest.raises(RuntimeError, match="no such instruction"):
        plan.make(model(compile="on", precision="fp32"), CPU, 7)


class Lossy(torch.nn.Module):
    """A network "compiled" by a compiler that loses the gradient of one layer, or of none."""

    def __init__(self, network, lost):
        super().__init__()
        self._orig_mod, self.lost = network, lost

    def forward(self, *args):
        parameter = dict(self._orig_mod.named_parameters()).get(self.lost)
        if parameter is not None:
            parameter.requires_grad_(False)
        return self._orig_mod(*args)


@pytest.mark.parametrize("lost", [None, "down.0.0.conv1.weight"])
def test_a_lost_gradient_is_found(tiny_model, monkeypatch, lost):
    monkeypatch.setattr(torch, "compile", lambda network, **how: Lossy(network, lost))
    found = probe.compiled(tiny_model, CPU, Candidate("fp32", False, 1.0, 1.0), 8)
    if lost:
        assert (found.difference, found.parameter) == (1.0, lost)
    else:
        assert found.difference < 1e-3
    assert found.speedup > 0


def test_what_is_asked_for_is_not_measured(model, monkeypatch):
    monkeypatch.setattr(probe, "measure", lambda *args: pytest.fail("measured"))
    made = plan.make(model(compile="off", precision="bf16"), CPU, 7)
    assert (made.precision, made.compiled) == ("bf16", False)


def test_a_steps_operations_are_three_forward_passes(model):
    made = model()
    x, condition = torch.zeros(1, 1, 8, 8), torch.zeros(1)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        made.network(x, condition)
    # The first layer passes no gradient on: a little less than three times.
    assert 2.5 < probe.step_flops(made, CPU) / counter.get_total_flops() <= 3.0


def test_a_cpu_without_bf16_is_not_made_to_try_it(tiny_model, config_of, monkeypatch):
    tried = []
    real = probe.measure

    def measured(model, device, precisions):
        tried.append(precisions)
        return real(model, device, precisions)

    monkeypatch.setattr(probe, "measure", measured)
    monkeypatch.setattr(plan, "precisions", lambda device: ("fp32",))
    model = dataclasses.replace(tiny_model, config=config_of(training={"precision": "auto"}))
    made = plan.make(model, CPU, 10)
    assert tried == [("fp32",)]
    assert made.precision == "fp32"
    assert "has no bf16 units" in made.reason


def test_what_is_not_as_it_was_where_a_training_began_is_said(monkeypatch):
    monkeypatch.setattr("fromnoise.hardware.precisions", lambda device: ("fp32",))
    here = plan.Plan("fp32", False, False, torch.get_num_threads(), "")
    assert here.elsewhere(CPU) == []
    (told,) = dataclasses.replace(here, threads=77).elsewhere(CPU)
    assert "began on 77 threads" in told
    (told,) = dataclasses.replace(here, precision="bf16").elsewhere(CPU)
    assert "began in bf16, which is only emulated here" in told
    assert dataclasses.replace(here, threads=77).elsewhere(torch.device("cuda")) == []
