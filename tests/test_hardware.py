import dataclasses

import pytest
import torch

from fromnoise import hardware
from fromnoise.generation.sampling import own_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("units", "known"), [(True, ("fp32", "bf16")), (False, ("fp32",))])
def test_a_cpu_has_bf16_or_nothing(monkeypatch, units, known):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: units)
    assert hardware.precisions(CPU) == known


def test_a_cpu_whose_pytorch_has_no_onednn_has_no_bf16(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.delattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", raising=False)
    assert hardware.precisions(CPU) == ("fp32",)


@pytest.mark.parametrize(("ampere", "known"), [(True, ("fp32", "bf16")), (False, ("fp32", "fp16"))])
def test_a_gpu_without_bf16_takes_fp16(monkeypatch, ampere, known):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: ampere)
    assert hardware.precisions(GPU) == known


@pytest.mark.parametrize(("device", "ampere", "emulated"), [
    ("cpu", True, {"fp16"}), ("cuda", True, set()), ("cuda", False, {"bf16"}), ("mps", True, set()),
])  # fmt: skip
def test_a_device_emulates_only_what_it_has_no_units_for(monkeypatch, device, ampere, emulated):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: ampere)
    formats = {each for each in ("fp32", "bf16", "fp16") if hardware.emulates(torch.device(device), each)}
    assert formats == emulated


def test_a_model_is_drawn_in_its_own_precision_where_the_device_has_it(monkeypatch, tiny_model):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(type(tiny_model), "device", GPU)
    for own, drawn in (("fp32", "fp32"), ("fp16", "fp16"), ("bf16", "fp32")):
        assert own_precision(dataclasses.replace(tiny_model, precision=own)) == drawn


@pytest.mark.parametrize(("name", "dtype"), [
    ("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16),
])  # fmt: skip
def test_products_are_computed_in_the_format(name, dtype):
    with hardware.autocast(CPU, name):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.fixture
def parameters():
    found = [
        torch.nn.Parameter(torch.zeros(3)),
        torch.nn.Parameter(torch.zeros(2, 2)),
        torch.nn.Parameter(torch.ones(1)),
    ]
    found[0].grad = torch.tensor([1.0, -2.0, 3.0]) * hardware.FACTOR
    found[1].grad = torch.eye(2) * hardware.FACTOR
    return found  # the last has no gradient


def test_gradients_come_back_from_their_scale(parameters):
    assert hardware.unscale(parameters, "fp16")
    assert torch.equal(parameters[0].grad, torch.tensor([1.0, -2.0, 3.0]))
    assert torch.equal(parameters[1].grad, torch.eye(2))
    assert parameters[2].grad is None


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_what_has_overflowed_is_not_to_be_learnt_from(parameters, value):
    parameters[0].grad[1] = value
    assert not hardware.unscale(parameters, "fp16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_formats_are_not_scaled(parameters, precision):
    before = parameters[0].grad.clone()
    assert hardware.unscale(parameters, precision)
    assert hardware.loss_scale(precision) == 1.0
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
    gradient(hardware.loss_scale("fp16"))
    hardware.unscale([weight], "fp16")
    assert weight.grad == pytest.approx(torch.full((4, 4), 5e-9), rel=0.05)
