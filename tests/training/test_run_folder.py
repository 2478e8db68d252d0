import json

import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.experiment.find import find_images
from fromnoise.files import quoted
from fromnoise.training.checkpoints import Checkpoint, Standing
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.pace import Pace, Segment
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget

BEST = {"step": 1, "kid": {"value": 0.5, "error": 0.1}}


def checkpoint(step, model):
    pace = Pace((Budget("steps", 9),), Segment(0, 0.0, 1), 9)
    standing = Standing(step, 1.5, Plan("fp32", False, False, 1, "as asked"), pace)
    return Checkpoint(standing, model.network.state_dict(), {"a": torch.tensor([float(step)])})


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_new_folder_gets_its_configuration_and_fingerprint(folder, config_of, images):
    with folder.open(config_of(), images):
        about = folder.about()
    assert about.data.fingerprint == images.fingerprint
    assert about.config == config_of()


def test_other_settings_are_refused_and_named(folder, config_of, images):
    with folder.open(config_of(), images):
        pass
    with pytest.raises(UserError, match=r"batch: 8, 16"):
        folder.check(config_of(training={"batch": 8}), images)


def test_a_command_to_copy_is_quoted(tmp_path, config_of, images):
    folder = RunFolder(tmp_path / "a $(run)")
    with folder.open(config_of(), images):
        pass
    with pytest.raises(UserError, match="score its images") as refused:
        folder.check_settings(config_of(evaluation={"reference": "digits:val"}))
    assert quoted(["--generated", str(folder.path), "--reference", "digits:val"]) in str(refused.value)
    with pytest.raises(UserError, match="no generated images yet") as refused:
        find_images(folder.path)
    assert quoted(["sample", str(folder.path), "--n"]) in str(refused.value)


def test_other_images_are_refused(folder, config_of, images, blobs_of):
    with folder.open(config_of(), images):
        pass
    with pytest.raises(UserError, match="different images from those"):
        folder.check(config_of(), blobs_of(seed=1))


def test_a_folder_of_something_else_is_refused_and_left_alone(folder, config_of, images):
    folder.path.mkdir()
    (folder.path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not a run folder"), folder.open(config_of(), images):
        pass
    assert [item.name for item in folder.path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("data", [".", "pool", "there"])
def test_a_run_may_not_lie_inside_its_data(data, tmp_path, config_of, monkeypatch):
    (tmp_path / "pool").mkdir()
    (tmp_path / "there").symlink_to("pool", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="would be read as data: choose a place elsewhere"):
        RunFolder(tmp_path / "pool" / "run").check_settings(config_of(data={"data": data}))
    RunFolder(tmp_path / "pools").check_settings(config_of(data={"data": "pool"}))
    (tmp_path / "digits").mkdir()
    RunFolder(tmp_path / "digits" / "run").check_settings(config_of(data={"data": "digits"}))  # no folder's
    RunFolder(tmp_path / "pool" / ".runs" / "run").check_settings(config_of(data={"data": "pool"}))  # which is not read


def test_only_one_writer_at_a_time(folder, config_of, images):
    with (
        folder.open(config_of(), images),
        pytest.raises(UserError, match="another process"),
        RunFolder(folder.path).open(config_of(), images),
    ):
        pass
    with RunFolder(folder.path).open(config_of(), images):
        pass


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (KeyboardInterrupt(), "stopped; run the same command again to resume"),
        (Interrupted("stopped at step 3; run the same command again to resume"), "stopped at step 3; run the same"),
    ],
)
def test_whoever_stops_a_run_at_any_moment_hears_how_it_goes_on(folder, config_of, images, stop, said):
    with pytest.raises(Interrupted, match=said), folder.open(config_of(), images):
        raise stop


def test_checkpoints_come_back_as_they_went_and_two_are_kept(folder, tiny_model):
    for step in (1, 2, 3):
        folder.save(tiny_model, checkpoint(step, tiny_model))
    assert folder.steps() == [2, 3]
    saved, there = checkpoint(3, tiny_model), folder.load(3)
    assert there.standing == saved.standing
    assert there.state == saved.state
    assert all(torch.equal(there.weights[name], saved.weights[name]) for name in saved.weights)


def test_the_best_is_kept_whole_and_no_number_of_checkpoints_removes_it(folder, tiny_model, monkeypatch):
    assert folder.about_best() is None
    folder.keep_best(tiny_model, BEST)
    for step in (1, 2, 3, 4):
        folder.save(tiny_model, checkpoint(step, tiny_model))
    assert (folder.steps(), folder.about_best()) == ([3, 4], BEST)
    before = (folder.best / "model.safetensors").read_bytes()
    monkeypatch.setattr("fromnoise.tensors.save", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        folder.keep_best(tiny_model, {"step": 5})
    assert folder.about_best() == BEST
    assert {item.name for item in folder.best.iterdir()} == {"best.json", "model.safetensors"}
    assert (folder.best / "model.safetensors").read_bytes() == before


def test_a_checkpoint_that_fails_half_way_leaves_nothing(folder, tiny_model, monkeypatch):
    folder.save(tiny_model, checkpoint(1, tiny_model))
    monkeypatch.setattr("fromnoise.tensors.save", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        folder.save(tiny_model, checkpoint(2, tiny_model))
    assert [item.name for item in folder.checkpoints.iterdir()] == ["000001"]


def test_results_are_set_aside_with_their_damaged_checkpoint(folder, tiny_model):
    folder.save(tiny_model, checkpoint(3, tiny_model))
    for file in (folder.report_file, folder.guidance_file):
        file.write_text("{}")
    folder.set_aside(3)
    assert folder.steps() == []
    assert sorted(item.name for item in folder.path.glob("*.json")) == ["guidance-000003.json", "report-000003.json"]


def test_leftovers_of_a_killed_writer_are_swept_and_nothing_else(folder, config_of, images):
    folder.path.mkdir()
    (folder.path / ".fromnoise-config.x.json").write_text("{")
    folder.check(config_of(), images)  # a folder with no more than that is free
    (folder.path / ".git").mkdir()
    (folder.path / ".git" / "HEAD").write_text("precious")
    folder.samples.mkdir()
    (folder.samples / ".fromnoise-images.y.npz").write_text("half")
    folder.sweep()
    assert [path.name for path in folder.path.rglob("*") if path.is_file()] == ["HEAD"]


def test_no_checkpoint_yet_is_an_error_that_says_so(folder):
    with pytest.raises(UserError, match="no checkpoint yet"):
        folder.model_file()


def test_a_damaged_configuration_is_one_clear_error(folder):
    folder.path.mkdir()
    folder.config_file.write_text(json.dumps({"config": 1})[:-3])
    with pytest.raises(UserError, match=r"config\.json is not a complete JSON file"):
        folder.about()
