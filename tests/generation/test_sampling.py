import dataclasses
import math

import numpy as np
import pytest
import torch

from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError
from fromnoise.generation import sampling
from fromnoise.generation.sampling import (
    BY_CLASS,
    BY_CLUSTER,
    SampleRequest,
    guidance_of,
    interval_of,
    labels_for,
    network_calls,
    sample,
)

ANCESTRAL = SamplerSettings(sampler="ancestral", sampling_steps=6, spacing="t")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(sampling, "MICRO_BATCH", 8)


def apart(one, other):
    return int((one.int() - other.int()).abs().max())


@pytest.mark.parametrize("settings", [None, ANCESTRAL])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_image_k_is_the_same_however_many_are_drawn_with_it(tiny_model, settings, precision):
    wanted = SampleRequest(19, seed=3, precision=precision, sampler=settings)
    many = sample(tiny_model, wanted)
    few = sample(tiny_model, dataclasses.replace(wanted, n=5))
    assert apart(many[:5], few) <= (0 if precision == "bf16" else 1)
    assert len(torch.unique(many, dim=0)) == 19


def test_a_drawing_can_go_on_from_a_number(tiny_model):
    many = sample(tiny_model, SampleRequest(12, seed=3))
    rest = sample(tiny_model, SampleRequest(8, seed=3, first=4))
    assert apart(many[4:], rest) <= 1


def test_another_seed_is_another_image(tiny_model):
    assert apart(sample(tiny_model, SampleRequest(2, seed=0)), sample(tiny_model, SampleRequest(2, seed=1))) > 20


def test_classes_follow_the_training_shares_evenly(tiny_model):
    info = dataclasses.replace(tiny_model.info, class_shares=(0.5, 0.25, 0.25))
    model = dataclasses.replace(tiny_model, info=info)
    counts = labels_for(model, SampleRequest(400)).bincount(minlength=3)
    assert counts.tolist() == pytest.approx([200, 100, 100], abs=3)
    whole = labels_for(model, SampleRequest(40))
    assert torch.equal(labels_for(model, SampleRequest(15, first=25)), whole[25:])


def test_clusters_are_drawn_at_random_each_images_on_its_own(tiny_model):
    info = dataclasses.replace(tiny_model.info, class_shares=(0.5, 0.25, 0.25), clustered=True)
    model = dataclasses.replace(tiny_model, info=info)
    counts = torch.stack([labels_for(model, SampleRequest(100, seed)).bincount(minlength=3) for seed in range(60)])
    assert counts.double().mean(dim=0).tolist() == pytest.approx([50, 25, 25], abs=3)
    assert counts[:, 0].double().std() == pytest.approx(5, rel=0.4)  # binomial
    whole = labels_for(model, SampleRequest(40))
    assert torch.equal(labels_for(model, SampleRequest(15, first=25)), whole[25:])
    assert not torch.equal(whole, labels_for(model, SampleRequest(40, seed=1)))


def test_a_label_gives_that_class_only_and_changes_the_image(tiny_model):
    assert labels_for(tiny_model, SampleRequest(3, label=2)).tolist() == [2, 2, 2]
    assert apart(sample(tiny_model, SampleRequest(1, label=0)), sample(tiny_model, SampleRequest(1, label=1))) > 0


def test_classes_take_turns_where_there_are_to_be_equally_many(tiny_model):
    info = dataclasses.replace(tiny_model.info, class_shares=(0.7, 0.0, 0.1, 0.2))
    model = dataclasses.replace(tiny_model, info=info)
    assert labels_for(model, SampleRequest(7, even=True)).tolist() == [0, 2, 3, 0, 2, 3, 0]
    assert labels_for(model, SampleRequest(3, first=4, even=True)).tolist() == [2, 3, 0]
    few, many = (sample(tiny_model, SampleRequest(n, even=True)) for n in (4, 8))
    assert apart(many[:4], few) <= 1
    bare = dataclasses.replace(tiny_model, info=dataclasses.replace(info, class_shares=()))
    with pytest.raises(UserError, match="use --n instead of --per-class"):
        labels_for(bare, SampleRequest(2, even=True))


def test_a_class_is_drawn_by_its_name(tiny_model):
    info = dataclasses.replace(tiny_model.info, class_names=("cat", "dog", "owl", "ox"))
    model = dataclasses.replace(tiny_model, info=info)
    assert labels_for(model, SampleRequest(2, label="owl")).tolist() == [2, 2]
    assert apart(sample(model, SampleRequest(2, label="owl")), sample(model, SampleRequest(2, label=2))) == 0


def test_guidance_is_the_settings_unless_the_drawing_says_another(tiny_model):
    own = tiny_model.config.sampling
    drawn = {
        strength: sample(tiny_model, SampleRequest(2, label=0, sampler=dataclasses.replace(own, guidance=strength)))
        for strength in (1.0, BY_CLASS, BY_CLUSTER, 4.0)
    }
    assert apart(drawn[1.0], drawn[4.0]) > 0
    for strength, images in drawn.items():
        assert apart(sample(tiny_model, SampleRequest(2, label=0, guidance=strength)), images) == 0
    assert apart(sample(tiny_model, SampleRequest(2, label=0)), drawn[BY_CLASS]) == 0
    clustered = dataclasses.replace(tiny_model, info=dataclasses.replace(tiny_model.info, clustered=True))
    assert apart(sample(clustered, SampleRequest(2, label=0)), drawn[BY_CLUSTER]) == 0
    assert guidance_of(clustered, dataclasses.replace(own, guidance=0.0)) == 0.0
    chosen = dataclasses.replace(tiny_model, guidance=4.0)
    assert apart(sample(chosen, SampleRequest(2, label=0)), drawn[4.0]) == 0
    assert guidance_of(chosen, dataclasses.replace(own, guidance=1.0)) == 1.0


@pytest.mark.parametrize(("size", "least"), [((32, 32), -4.0), ((48, 64), -7.0)])
def test_large_images_are_guided_from_more_noise_on_unless_settings_say_otherwise(tiny_model, size, least):
    info = dataclasses.replace(tiny_model.info, height=size[0], width=size[1])
    model, settings = dataclasses.replace(tiny_model, info=info), tiny_model.config.sampling
    assert interval_of(model, settings) == (least, 2.0)
    assert interval_of(model, dataclasses.replace(settings, guidance_interval=(-1.0, 1.0))) == (-1.0, 1.0)


def test_guidance_outside_its_interval_is_none(tiny_model):
    plain = sample(tiny_model, SampleRequest(2, label=0, guidance=1.0))
    nowhere = dataclasses.replace(tiny_model.config.sampling, guidance=4.0, guidance_interval=(50.0, 60.0))
    assert apart(sample(tiny_model, SampleRequest(2, label=0, sampler=nowhere)), plain) == 0


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_guided_level_costs_two_network_calls_whatever_the_datas_deviation(tiny_model, scale, monkeypatch):
    info = dataclasses.replace(tiny_model.info, scale=scale)
    model = dataclasses.replace(tiny_model, info=info)
    calls = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    for interval, expected in (((-100.0, 100.0), 10), ((0.0, 100.0), 7), ((50.0, 60.0), 5)):
        settings = dataclasses.replace(model.config.sampling, guidance=2.0, guidance_interval=interval)
        calls.clear()
        sample(model, SampleRequest(1, label=0, sampler=settings))
        assert network_calls(model, settings) == len(calls) == expected
    assert network_calls(model, dataclasses.replace(settings, guidance=1.0, guidance_interval=(-9.0, 9.0))) == 5
    unlabelled = dataclasses.replace(model, info=dataclasses.replace(info, class_shares=()))
    assert network_calls(unlabelled, dataclasses.replace(settings, guidance_interval=(-9.0, 9.0))) == 5


@pytest.mark.parametrize("wanted", [SampleRequest(1, label=4), SampleRequest(1, label=-1)])
def test_a_class_that_is_not_there_is_refused(tiny_model, wanted):
    with pytest.raises(UserError, match="4 classes, counted from 0"):
        sample(tiny_model, wanted)


def test_labels_are_refused_by_a_model_without_classes(tiny_model):
    model = dataclasses.replace(tiny_model, info=dataclasses.replace(tiny_model.info, class_shares=()))
    for wanted in (SampleRequest(1, label=1), SampleRequest(1, guidance=2.0)):
        with pytest.raises(UserError, match="without classes"):
            sample(model, wanted)


@pytest.mark.parametrize("guidance", [math.inf, math.nan, -1.0, 101.0, np.float32("nan"), np.int64(500)])
def test_guidance_out_of_its_limits_is_refused(guidance, tiny_model):
    unconditional = dataclasses.replace(tiny_model, info=dataclasses.replace(tiny_model.info, class_shares=()))
    for model in (tiny_model, unconditional):
        with pytest.raises(UserError, match=f"--guidance must be from 0 to 100, not {guidance:g}"):
            sample(model, SampleRequest(1, sampler=model.config.sampling.but(guidance=guidance)))


def test_nothing_is_drawn_of_no_images(tiny_model):
    with pytest.raises(UserError, match="cannot sample 0"):
        sample(tiny_model, SampleRequest(0))


def test_progress_counts_network_calls_and_the_callback_sees_each_step(tiny_model, bars):
    seen = []
    images = sample(tiny_model, SampleRequest(10), callback=seen.append)
    assert (tuple(images.shape), images.dtype) == ((10, 1, 16, 16), torch.uint8)
    assert bars == [("sampling", k, 10) for k in range(1, 11)]
    assert [visit.k for visit in seen] == list(range(5))
    assert seen[0].x.shape == (8, 1, 16, 16)


@pytest.mark.parametrize("shares", [(0.1,) * 10, (0.02,) * 50, (0.0987, 0.1124, 0.0993, 0.1022, 0.0974, 0.5)])
def test_classes_in_the_training_shares_pass_for_stratified(tiny_model, shares):
    from fromnoise.evaluation.design import design_of

    info = dataclasses.replace(tiny_model.info, class_shares=shares)
    model = dataclasses.replace(tiny_model, info=info)
    train = torch.arange(len(shares)).repeat_interleave(torch.tensor([round(10_000 * share) for share in shares]))
    for n in range(500, 10_001, 500):
        assert design_of(labels_for(model, SampleRequest(n)), train) == "stratified"
