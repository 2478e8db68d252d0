import dataclasses

import pytest
import torch

from fromnoise import tensors
from fromnoise.config import to_json
from fromnoise.errors import UserError
from fromnoise.generation.model import check
from fromnoise.lab import digit_model
from fromnoise.lab.digit_model import trained


@pytest.fixture
def small(monkeypatch, config_of):
    """Both settings in seconds: a tiny network, two steps in quick, three in full."""
    tiny = config_of(data={"m": 40, "size": "32"}, network={"channels": (8,)}, training={"steps": 2, "batch": 4})
    longer = dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, steps=3))
    monkeypatch.setattr(digit_model, "QUICK", tiny)
    monkeypatch.setattr(digit_model, "FULL", longer)
    return tiny


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_it_trains_once_and_is_found_after_that(small, tmp_path, capsys):
    model, folder = trained(tmp_path / "run", True)
    assert folder.path == tmp_path / "run"
    assert folder.steps()[-1] == 2
    assert not model.network.training
    assert "training the lab's digit model" in capsys.readouterr().err

    before = files(tmp_path)
    again, _ = trained(tmp_path / "run", True)
    assert files(tmp_path) == before
    assert capsys.readouterr().err == ""
    for one, other in zip(model.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_quick_and_full_are_their_own_trainings(small, tmp_path):
    _, folder = trained(tmp_path / "full", False)
    assert folder.steps()[-1] == 3


def test_a_finished_run_of_other_settings_is_used_as_it_is(small, tmp_path):
    trained(tmp_path / "run", True)
    before = files(tmp_path)
    model, _ = trained(tmp_path / "run", False)
    assert model.config.training.steps == 2
    assert files(tmp_path) == before


def test_an_unfinished_run_of_its_own_goes_on(small, tmp_path):
    _, folder = trained(tmp_path / "run", True)
    _pretend_unfinished(folder)
    assert not folder.is_finished()
    model, folder = trained(tmp_path / "run", True)
    assert folder.is_finished()
    assert model.config.training.steps == 2


def test_an_unfinished_run_of_other_settings_is_refused(small, tmp_path):
    _, folder = trained(tmp_path / "run", True)
    _pretend_unfinished(folder)
    with pytest.raises(UserError, match="steps: 3, 2"):
        trained(tmp_path / "run", False)


def test_a_model_of_other_images_is_refused(monkeypatch, config_of, tmp_path):
    monkeypatch.setattr(
        digit_model, "QUICK", config_of(data={"m": 20}, network={"channels": (8,)}, training={"steps": 1})
    )
    with pytest.raises(UserError, match="32×32"):
        trained(tmp_path / "run", True)


@pytest.mark.parametrize("config", [digit_model.QUICK, digit_model.FULL])
def test_the_settings_go_together(config):
    check(config)
    assert config.data.data == "digits"
    assert config.data.size == "32"


def test_full_is_the_preset_of_ten_minutes():
    assert digit_model.FULL.training.minutes == 10
    assert digit_model.QUICK.training.minutes is None  # the same model on every machine
    assert to_json(digit_model.QUICK)["training"]["compile"] == "off"


def _pretend_unfinished(folder):
    """As if the training had been stopped a step before its end."""
    last = folder.checkpoint(folder.steps()[-1])
    state, about = tensors.load(last / "state.safetensors")
    about["step"] -= 1
    tensors.save(last / "state.safetensors", state, about)
    last.rename(folder.checkpoint(about["step"]))
