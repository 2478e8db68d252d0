import dataclasses

import pytest
import torch

from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError
from fromnoise.generation import draw as drawing_module
from fromnoise.generation.draw import Drawing, draw, draw_all, labels_for

ANCESTRAL = SamplerSettings(sampler="ancestral", sampling_steps=6, spacing="t")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(drawing_module, "MICRO_BATCH", 8)


def apart(one, other):
    return int((one.int() - other.int()).abs().max())


@pytest.mark.parametrize("settings", [None, ANCESTRAL])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_image_k_is_the_same_however_many_are_drawn_with_it(tiny_model, settings, precision):
    drawing = Drawing(19, seed=3, precision=precision, sampler=settings)
    many = draw_all(tiny_model, drawing)
    few = draw_all(tiny_model, dataclasses.replace(drawing, n=5))
    assert apart(many[:5], few) <= (0 if precision == "bf16" else 1)
    assert len(torch.unique(many, dim=0)) == 19


def test_a_drawing_can_go_on_from_a_number(tiny_model):
    many = draw_all(tiny_model, Drawing(12, seed=3))
    rest = draw_all(tiny_model, Drawing(8, seed=3, first=4))
    assert apart(many[4:], rest) <= 1


def test_another_seed_is_another_image(tiny_model):
    assert apart(draw_all(tiny_model, Drawing(2, seed=0)), draw_all(tiny_model, Drawing(2, seed=1))) > 20


def test_images_come_as_bytes_in_micro_batches(tiny_model):
    sizes = [(tuple(part.shape), part.dtype) for part in draw(tiny_model, Drawing(10))]
    assert sizes == [((8, 1, 16, 16), torch.uint8), ((2, 1, 16, 16), torch.uint8)]


def test_classes_follow_the_training_shares_evenly(tiny_model):
    shape = dataclasses.replace(tiny_model.shape, class_shares=(0.5, 0.25, 0.25))
    model = dataclasses.replace(tiny_model, shape=shape)
    counts = labels_for(model, Drawing(400)).bincount(minlength=3)
    assert counts.tolist() == pytest.approx([200, 100, 100], abs=3)
    whole = labels_for(model, Drawing(40))
    assert torch.equal(labels_for(model, Drawing(15, first=25)), whole[25:])


def test_a_label_gives_that_class_only_and_changes_the_image(tiny_model):
    assert labels_for(tiny_model, Drawing(3, label=2)).tolist() == [2, 2, 2]
    assert apart(draw_all(tiny_model, Drawing(1, label=0)), draw_all(tiny_model, Drawing(1, label=1))) > 0


def test_guidance_changes_the_image_and_one_does_not(tiny_model):
    plain = draw_all(tiny_model, Drawing(2, label=0))
    assert apart(draw_all(tiny_model, Drawing(2, label=0, guidance=1.0)), plain) == 0
    assert apart(draw_all(tiny_model, Drawing(2, label=0, guidance=4.0)), plain) > 0


@pytest.mark.parametrize("drawing", [Drawing(1, label=4), Drawing(1, label=-1)])
def test_a_class_that_is_not_there_is_refused(tiny_model, drawing):
    with pytest.raises(UserError, match="classes 0 to 3"):
        draw(tiny_model, drawing)


def test_labels_are_refused_by_a_model_without_classes(tiny_model):
    model = dataclasses.replace(tiny_model, shape=dataclasses.replace(tiny_model.shape, class_shares=()))
    for drawing in (Drawing(1, label=1), Drawing(1, guidance=2.0)):
        with pytest.raises(UserError, match="without classes"):
            draw(model, drawing)


def test_nothing_is_drawn_of_no_images(tiny_model):
    with pytest.raises(UserError, match="cannot draw 0"):
        draw(tiny_model, Drawing(0))


def test_progress_counts_network_calls_and_the_callback_sees_each_step(tiny_model):
    told, seen = [], []
    list(draw(tiny_model, Drawing(10), callback=seen.append, progress=lambda done, total: told.append((done, total))))
    assert told == [(k, 10) for k in range(1, 11)]
    assert [visit.k for visit in seen] == list(range(5))
    assert seen[0].x.shape == (8, 1, 16, 16)
