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
