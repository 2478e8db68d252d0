"""Likelihood of images, against a model whose distribution is known: white noise around mid-grey."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from fromnoise.diffusion.bound import PIXEL
from fromnoise.errors import UserError
from fromnoise.generation import likelihood
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.likelihood import bound_bits, bound_of, decode, encode, flow_bits
from fromnoise.generation.model import Model
from fromnoise.generation.onnx_file import save_onnx

DEVIATION = 0.3


@pytest.fixture
def white(white_of):
    return white_of(16)


def exact_bits(images):
    x = images.double().numpy() / 127.5 - 1
    upper, lower = x + PIXEL / 2, x - PIXEL / 2
    upper[x >= 1], lower[x <= -1] = np.inf, -np.inf
    nats = -np.log(stats.norm.cdf(upper, 0, DEVIATION) - stats.norm.cdf(lower, 0, DEVIATION))
    return nats.sum(axis=(1, 2, 3)) / 256 / math.log(2)


def test_flow_gives_the_exact_likelihood_and_the_bound_is_just_above(white):
    model, images = white
    exact = exact_bits(images)
    assert float(flow_bits(model, images).bits.mean()) == pytest.approx(exact.mean(), abs=0.01)
    bound = bound_bits(model, images, None)
    assert 0 < float(bound.bits.mean()) - exact.mean() < 0.15
    torch.testing.assert_close(bound.bits, bound.prior + bound.steps + bound.decoder)


def test_few_levels_estimate_all_of_them_without_bias(white):
    model, images = white
    every = bound_bits(model, images, None).bits
    few = [bound_bits(model, images, 8, seed=seed) for seed in range(6)]
    off = torch.stack([item.bits - every for item in few])
    assert abs(float(off.mean())) < 4 * float(off.std()) / off.numel() ** 0.5 + 2e-3
    assert float(off.std()) < 1.3 * float(few[0].standard_error.square().mean().sqrt())


def test_an_images_number_does_not_depend_on_its_neighbours(tiny_model, images, monkeypatch):
    whole = bound_bits(tiny_model, images.images[:9], 6)
    monkeypatch.setattr(likelihood, "MICRO_BATCH", 4)
    torch.testing.assert_close(bound_bits(tiny_model, images.images[:9], 6).bits, whole.bits, rtol=1e-4, atol=0)
    alone = bound_bits(tiny_model, images.images[5:6], 6)
    torch.testing.assert_close(alone.bits, whole.bits[5:6], rtol=1e-4, atol=0)


def test_another_seed_is_another_estimate_the_same_seed_the_same(tiny_model, images):
    one, again, other = (bound_bits(tiny_model, images.images[:3], 6, seed=seed).bits for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_class_changes_the_number_and_progress_is_told(tiny_model, images, bars):
    any_class = bound_bits(tiny_model, images.images[:3], 4).bits
    assert bars == [("likelihood", 3, 3)]
    assert not torch.equal(any_class, bound_bits(tiny_model, images.images[:3], 4, label=1).bits)


def test_encoding_and_decoding_give_the_images_back(tiny_model, images):
    noise = encode(tiny_model, images.images[:3])
    back = decode(tiny_model, noise)
    original = images.images[:3].float() / 127.5 - 1
    assert float((back - original).abs().mean()) < 0.02
    assert float((noise - original).abs().mean()) > 0.2


def test_a_network_of_steps_is_judged_by_its_schedule_and_not_exported(config_of, tmp_path):
    chapter = {"network": "chapter", "labels": False}
    sampling = {"sampler": "ancestral", "sampling_steps": 5, "spacing": "t"}
    config = config_of(
        network=chapter, sampling=sampling, diffusion={"levels": "uniform", "T": 50}, data={"size": "32"}
    )
    with torch.device("meta"):
        model = Model(config, DataInfo(1, 32, 32, 1.0, (0.0,)), torch.nn.Identity())
    bound = bound_of(model)
    assert bound.T == 50
    assert torch.equal(bound.levels, model.table.logsnr[1:])
    with pytest.raises(UserError, match="this network works only at its schedule's steps"):
        flow_bits(model, torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    with pytest.raises(UserError, match="this network is conditioned on steps"):
        save_onnx(model, tmp_path / "x.onnx")


def test_what_cannot_be_judged_is_refused(tiny_model, images):
    with pytest.raises(UserError, match="images of 1×16×16"):
        bound_bits(tiny_model, torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    for levels in (1, 1000):
        with pytest.raises(UserError, match="--levels"):
            bound_bits(tiny_model, images.images[:1], levels)
    with pytest.raises(UserError, match="4 classes, counted from 0"):
        bound_bits(tiny_model, images.images[:1], 4, label=4)
