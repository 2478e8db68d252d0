import dataclasses
from types import SimpleNamespace

import pytest
import torch

from fromnoise.experiment import score as scoring
from fromnoise.experiment.train import Experiment
from fromnoise.generation import draw


@pytest.mark.parametrize(("has", "taken"), [(("fp32", "bf16"), "bf16"), (("fp32",), "fp32")])
def test_images_to_score_are_drawn_in_the_models_precision_where_the_device_has_it(
    tiny_model, images, tmp_path, monkeypatch, has, taken
):
    drawings = []

    def draw_all(model, drawing, device, progress, callback):
        drawings.append(drawing)
        callback(SimpleNamespace(k=0, steps=1, x=torch.zeros(4, *images.shape)))
        return images.images[: drawing.n]

    monkeypatch.setattr(draw, "precisions", lambda device: has)
    monkeypatch.setattr(scoring, "draw_all", draw_all)
    outcome = SimpleNamespace(model=dataclasses.replace(tiny_model, precision="bf16"), device=torch.device("cpu"))
    found = scoring._sample(Experiment(tiny_model.config, tmp_path / "run"), outcome, 10)
    assert [drawing.precision for drawing in drawings] == [taken]
    assert torch.equal(found.images, images.images[:10])
