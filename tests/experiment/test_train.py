"""What a training refuses or says of its settings."""

import pytest

from fromnoise import files
from fromnoise.config import PRESETS, to_json, with_settings
from fromnoise.errors import UserError
from fromnoise.experiment.find import run_of
from fromnoise.experiment.train import Experiment, _all_steps, idle, trained
from fromnoise.training.run_folder import ConfigFile, RunFolder, TrainingImages
from fromnoise.training.settings import Budget


@pytest.mark.parametrize(("preset", "settings", "classes", "said"), [
    ("fast", {}, 10, ()),
    ("fast", {"schedule": "linear", "T": 50}, 10, ("--schedule has no effect: ", "--T has no effect: ")),
    ("fast", {"schedule": "linear", "spacing": "t"}, 10, ()),
    ("fast", {"schedule": "linear", "levels": "uniform", "lognormal": (0, 2)}, 10, ("--lognormal has no effect: ",)),
    ("fast", {"spacing": "t", "logsnr_range": (-8, 6)}, 10, ("--logsnr-range has no effect: ",)),
    ("fast", {"guidance_interval": (-5, 5)}, 0, ("--guidance-interval has no effect: ",)),
    ("chapter", {}, 0, ()),
    ("chapter", {"channels": (32, 64), "dropout": 0.1}, 0, ("--channels has no effect: ", "--dropout has no effect: ")),
])  # fmt: skip
def test_settings_without_effect_are_said(preset, settings, classes, said):
    found = list(idle(with_settings(PRESETS[preset], settings), classes))
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


def test_what_would_use_a_setting_is_said():
    steps, blocks = ({"T": 50}, "fast"), ({"dropout": 0.1}, "chapter")
    found = [next(idle(with_settings(PRESETS[preset], settings), 10)) for settings, preset in (steps, blocks)]
    assert found == [
        "--T has no effect: it is used only with --levels uniform or --spacing t",
        "--dropout has no effect: --network chapter ignores it",
    ]


def test_guidance_without_classes_is_refused_before_anything_is_written(tmp_path):
    config = with_settings(PRESETS["tiny"], {"guidance": 3.0, "labels": False, "clusters": 0, "steps": 2})
    with (
        pytest.raises(UserError, match="without classes or clusters: leave out --guidance"),
        trained(Experiment(config, tmp_path / "run", "cpu")),
    ):
        pass
    assert not (tmp_path / "run").exists()
    for settings in ({"guidance": 1.0}, {"guidance": 3.0, "labels": True}):
        with trained(Experiment(with_settings(config, settings), tmp_path / str(len(settings)), "cpu")) as outcome:
            assert outcome.steps == 2


@pytest.mark.parametrize(("budgets", "extension", "done", "steps"), [
    ((), None, 0, 400),
    ((), None, 300, 400),
    ((), Budget("steps", 90), 400, 490),
    ((Budget("steps", 90, 400, 9.0),), Budget("steps", 90), 480, 490),
    ((Budget("steps", 90, 400, 9.0),), None, 480, 490),
    ((Budget("steps", 90, 400, 9.0),), Budget("steps", 90), 490, 580),
    ((Budget("steps", 90, 400, 9.0),), Budget("steps", 20), 490, 510),
    ((Budget("minutes", 1, 400, 9.0),), None, 480, None),
    ((Budget("minutes", 1, 400, 9.0),), Budget("steps", 10), 480, 490),
    ((), Budget("minutes", 1), 400, None),
])  # fmt: skip
def test_all_steps_are_those_of_the_budget_and_before_it(budgets, extension, done, steps, tmp_path):
    """So a training in pieces is validated if a whole one is."""
    folder = RunFolder(tmp_path)
    config = with_settings(PRESETS["tiny"], {"steps": 400})
    first = (config.training.budget,) * bool(budgets)
    about = ConfigFile("0.1.0", config, TrainingImages("x", "0", 10, (1, 8, 8), 0), budgets=first + budgets)
    files.write_json(folder.config_file, to_json(about))
    if done:
        folder.checkpoint(done).mkdir(parents=True)
    assert _all_steps(Experiment(config, tmp_path, extension=extension)) == steps


def test_a_checkpoint_named_from_inside_the_run_knows_its_run(tmp_path, monkeypatch):
    checkpoint = tmp_path / "run" / "checkpoints" / "000002"
    checkpoint.mkdir(parents=True)
    (tmp_path / "run" / "config.json").touch()
    monkeypatch.chdir(checkpoint.parent)
    for path in ("000002", "000002/model.safetensors", "../checkpoints/000002"):
        assert run_of(type(tmp_path)(path)).resolve() == tmp_path / "run", path
