import dataclasses
from types import SimpleNamespace

import pytest
import torch

from fromnoise.experiment import score as scoring
from fromnoise.experiment.train import Experiment
from fromnoise.generation import sampling
from fromnoise.say import captured, say


@pytest.mark.parametrize(("has", "taken"), [(("fp32", "bf16"), "bf16"), (("fp32",), "fp32")])
def test_images_to_score_are_drawn_in_the_models_precision_where_the_device_has_it(
    tiny_model, images, tmp_path, monkeypatch, has, taken
):
    drawings = []

    def sample(model, wanted, callback):
        drawings.append(wanted)
        callback(SimpleNamespace(k=0, steps=1, x=torch.zeros(4, *images.shape)))
        return images.images[: wanted.n]

    monkeypatch.setattr(sampling, "precisions", lambda device: has)
    monkeypatch.setattr(scoring, "sample", sample)
    outcome = SimpleNamespace(model=dataclasses.replace(tiny_model, precision="bf16"))
    found = scoring._sample(Experiment(tiny_model.config, tmp_path / "run"), outcome, 10)
    assert [wanted.precision for wanted in drawings] == [taken]
    assert torch.equal(found.images, images.images[:10])


@pytest.mark.parametrize(("first", "said"), [(True, ["downloading"]), (False, [])])
def test_only_the_first_process_says_what_it_downloads(tmp_path, config_of, images, monkeypatch, first, said):
    device = SimpleNamespace(is_main_process=first, num_processes=2, device=torch.device("cpu"))
    monkeypatch.setattr("fromnoise.experiment.train.accelerator_on", lambda *args: device)
    monkeypatch.setattr(Experiment, "parts", SimpleNamespace(train=images))
    monkeypatch.setattr("fromnoise.evaluation.features.features", lambda *args, **how: say("downloading"))
    with captured() as lines:
        _ = Experiment(config_of(), tmp_path / "run", device="cpu").features
    assert lines == said
