"""Editing, against a model whose distribution is known: white noise around mid-grey."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.generation import edit
from fromnoise.generation.edit import Edit, as_trained, exact_means, inpaint, interpolate, upscale, vary

DEVIATION = 0.3
HOLE = torch.zeros(16, 16, dtype=torch.bool)
HOLE[4:12, 2:10] = True


def values(images):
    return images.double() / 127.5 - 1


@pytest.mark.parametrize("channels", [1, 2])
def test_a_hole_is_filled_by_what_the_model_knows_and_nothing_else_changes(white_of, channels):
    model, images = white_of(8, channels)
    filled = inpaint(model, images, HOLE, Edit(n=8, steps=40))
    assert filled.shape == (64, channels, 16, 16)
    assert torch.equal(filled[:, :, ~HOLE], images.repeat_interleave(8, 0)[:, :, ~HOLE])
    inside = values(filled)[:, :, HOLE]
    assert float(inside.std()) == pytest.approx(DEVIATION, rel=0.05)
    assert float(inside.mean()) == pytest.approx(0, abs=0.02)
    assert not torch.equal(filled[0], filled[1])


def test_an_enlarged_image_has_exactly_the_means_given_and_the_models_spread(white_of):
    model, images = white_of(8)
    small = images[:, :, ::2, ::2]
    small = ((small.float() - 127.5) / 2 + 127.5).round().to(torch.uint8)  # the deviation of means of four
    large = upscale(model, small, Edit(n=4, steps=40))
    assert torch.equal(F.avg_pool2d(large.double(), 2), small.repeat_interleave(4, 0).double())
    within = values(large) - values(small.repeat_interleave(4, 0).repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert float(within.std()) == pytest.approx(DEVIATION * 0.75**0.5, rel=0.05)


def test_exact_means_are_exact_at_the_ends_too_and_change_little_else():
    random = torch.Generator().manual_seed(0)
    pixels = torch.rand(6, 3, 8, 8, generator=random) * 400 - 70
    wanted = torch.randint(0, 256, (6, 3, 4, 4), generator=random, dtype=torch.uint8)
    wanted[0], wanted[1] = 0, 255
    assert torch.equal(F.avg_pool2d(exact_means(pixels, wanted).double(), 2), wanted.double())
    whole = torch.randint(0, 256, (4, 1, 8, 8), generator=random).double()
    whole[:, :, ::2, ::2] -= F.avg_pool2d(whole, 2, divisor_override=1) % 4
    whole.clamp_(min=0)
    means = F.avg_pool2d(whole, 2)
    right = means == means.round()
    same = exact_means(whole, means.round().to(torch.uint8))
    assert right.double().mean() > 0.9
    kept = right.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(same[kept].double(), whole[kept])


def test_colours_of_an_enlarged_image_stay_within_its_alpha():
    random = torch.Generator().manual_seed(1)
    wanted = torch.randint(0, 256, (4, 4, 4, 4), generator=random, dtype=torch.uint8)
    wanted[:, :3] = torch.minimum(wanted[:, :3], wanted[:, 3:])
    images = exact_means(torch.rand(4, 4, 8, 8, generator=random) * 255, wanted)
    assert torch.equal(F.avg_pool2d(images.double(), 2), wanted.double())
    assert bool((images[:, :3] <= images[:, 3:]).all())


def test_variants_go_from_the_image_itself_to_new_samples(white_of):
    model, images = white_of(3)
    how = Edit(n=4, seed=1, steps=40)
    assert torch.equal(vary(model, images, 0, how), images.repeat_interleave(4, 0))
    new = vary(model, images, 1, how)
    assert torch.equal(new, vary(model, images.flip(2), 1, how))
    assert float(values(new).std()) == pytest.approx(DEVIATION, rel=0.05)
    far = [float((values(vary(model, images, s, how)) - values(images.repeat_interleave(4, 0))).std())
           for s in (0.25, 0.5, 0.75, 1)]  # fmt: skip
    assert far == sorted(far)
    # x_t and what the flow makes of it have the correlation a with the image: cos(π/2·strength).
    assert far[1] == pytest.approx(DEVIATION * (2 - 2 * 0.5**0.5) ** 0.5, rel=0.05)


@pytest.mark.parametrize("calls", [8, 9])
def test_heun_varies_along_the_schedules_own_steps(white_of, config_of, calls):
    """It visits most levels twice, but not that where it begins."""
    model, images = white_of(2)
    settings = config_of(sampling={"sampler": "heun", "spacing": "t", "sampling_steps": calls})
    model = dataclasses.replace(model, config=settings)
    far = [0.0]
    for strength in (0.4, 0.55, 0.7, 0.85, 1):
        varied = vary(model, images, strength, Edit(n=4))
        far.append(float((values(varied) - values(images.repeat_interleave(4, 0))).std()))
    assert far == sorted(set(far))


def test_a_path_begins_and_ends_at_the_images(white_of):
    model, images = white_of(2)
    path = interpolate(model, images[:1], images[1:], 5)
    assert int((path[[0, -1]].int() - images.int()).abs().max()) <= 1
    half = (values(images[0]) + values(images[1])) / 2**0.5  # white data: the flow changes nothing
    assert float((values(path[2]) - half).abs().mean()) < 0.02


def test_a_path_is_as_clean_as_samples_are(white_of):
    """Where training images have one value, such as full transparency, so has every image of the path."""
    model, images = white_of(2, 4)
    clean = tuple(0 if value < 90 else value for value in range(256))
    model = dataclasses.replace(model, info=dataclasses.replace(model.info, decoder=(clean,) * 4))
    path = interpolate(model, images[:1], images[1:], 5)
    assert not ((path > 0) & (path < 90)).any()
    assert (path[:, :3] <= path[:, 3:]).all()
    assert len(path[2].unique()) > 10


@pytest.mark.parametrize("work", [
    lambda model, images, how: vary(model, images, 0.6, how),
    lambda model, images, how: inpaint(model, images, HOLE, how),
    lambda model, images, how: upscale(model, images[:, :, ::2, ::2], how),
])  # fmt: skip
def test_a_result_does_not_depend_on_its_neighbours(tiny_model, images, work, monkeypatch):
    how = Edit(n=3, seed=2, steps=3)
    whole = work(tiny_model, images.images[:2], how)
    monkeypatch.setattr(edit, "MICRO_BATCH", 4)
    assert int((work(tiny_model, images.images[:2], how).int() - whole.int()).abs().max()) <= 1
    fewer = work(tiny_model, images.images[:2], dataclasses.replace(how, n=2))
    assert int((fewer.int() - whole[[0, 1, 3, 4]].int()).abs().max()) <= 1
    assert not torch.equal(work(tiny_model, images.images[:2], dataclasses.replace(how, seed=3)), whole)


def test_labels_and_guidance_change_the_result(tiny_model, images):
    results = [
        inpaint(tiny_model, images.images[:2], HOLE, Edit(steps=3, **more))
        for more in ({}, {"label": 1}, {"label": 1, "guidance": 4.0}, {"label": 2})
    ]
    for k, one in enumerate(results):
        assert not any(torch.equal(one, other) for other in results[:k])


def test_progress_counts_the_network_calls(tiny_model, images, monkeypatch, bars):
    monkeypatch.setattr(edit, "MICRO_BATCH", 2)
    inpaint(tiny_model, images.images[:3], HOLE, Edit(steps=4))
    assert bars == [("editing", k, 8) for k in range(1, 9)]


def test_what_cannot_be_done_is_refused(tiny_model, images):
    some, how = images.images[:1], Edit()
    with pytest.raises(UserError, match="images of 1×16×16"):
        vary(tiny_model, some[:, :, :8], 0.5, how)
    with pytest.raises(UserError, match="strength must be from 0 to 1"):
        vary(tiny_model, some, 1.5, how)
    with pytest.raises(UserError, match="no value is above 1, and white is 255"):
        as_trained(tiny_model, ImageSet("drawing", some.clamp(max=1)))
    with pytest.raises(UserError, match="nothing to fill"):
        inpaint(tiny_model, some, HOLE & False, how)
    with pytest.raises(UserError, match="the mask is 8×16 and the images are 16×16"):
        inpaint(tiny_model, some, HOLE[:8], how)
    with pytest.raises(UserError, match="images of 8×8, half its own size, not 16×16"):
        upscale(tiny_model, some, how)
    with pytest.raises(UserError, match="at least 2 images, not 1"):
        interpolate(tiny_model, some, some, 1)
    with pytest.raises(UserError, match="4 classes, counted from 0"):
        inpaint(tiny_model, some, HOLE, Edit(label=4))
    with pytest.raises(UserError, match="--guidance must be from 0 to 100, not nan"):
        inpaint(tiny_model, some, HOLE, Edit(label=1, guidance=math.nan))
    with pytest.raises(UserError, match="give --label too"):
        Edit(guidance=2.0)
    with pytest.raises(UserError, match="n must be at least 1, not 0"):
        Edit(n=0)
