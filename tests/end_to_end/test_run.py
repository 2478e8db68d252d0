import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.evaluation import inception
from fromnoise.evaluation.extractor import Features
from fromnoise.experiment import validate

pytestmark = pytest.mark.usefixtures("few_digits")


def test_one_command_goes_from_data_to_report(finished):
    run = finished / "run"
    report = json.loads((run / "report.json").read_text())
    fid = report["metrics"]["fid"]
    assert fid["value"] > fid["floor"]["value"] > 0
    assert fid["copycat"]["n"] == fid["floor"]["n"] == fid["n"] == 100
    assert report["protocol"]["reference"]["name"] == "digits:heldout"
    assert report["run"]["training"]["steps"] == 30
    lines = (run / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 31))
    assert (run / "checkpoints" / "000030" / "model.safetensors").is_file()
    with np.load(run / "samples" / "images.npz") as arrays:
        images = arrays["arr_0"]
    assert images.shape == (100, 16, 16, 1)
    assert images.dtype == np.uint8
    with Image.open(run / "samples" / "grid.png") as grid:
        assert grid.size == (8 * 34 + 2, 8 * 34 + 2)
    assert not list(run.rglob(".*"))


def test_the_same_command_again_says_so_and_does_nothing(finished, fromnoise, snapshot):
    before = snapshot(finished)
    again = fromnoise("run", "--preset", "tiny", "--out", "run", cwd=finished)
    assert "finished: nothing to do" in again.stderr
    assert "generated" in again.stdout
    assert snapshot(finished) == before


def test_a_run_without_its_images_makes_them_again_and_the_same(finished, fromnoise, tmp_path):
    run = shutil.copytree(finished / "run", tmp_path / "run")
    before = json.loads((run / "report.json").read_text())
    shutil.rmtree(run / "samples")
    again = fromnoise("run", "--preset", "tiny", "--out", "run", cwd=tmp_path)
    after = json.loads((run / "report.json").read_text())
    assert after["metrics"] == before["metrics"]
    assert all(Path(tmp_path, line).exists() for line in again.stdout.splitlines()[-4:])
    assert (run / "report-000030.json").exists()


def test_other_settings_in_the_same_folder_are_refused(finished, fromnoise, snapshot):
    before = snapshot(finished)
    refused = fromnoise("run", "--preset", "tiny", "--out", "run", "--batch", "8", cwd=finished, code=2)
    assert "batch: 8, 16" in refused.stderr
    assert snapshot(finished) == before


def test_dry_run_prints_the_configuration_and_writes_nothing(tmp_path, fromnoise):
    shown = fromnoise("run", "--preset", "chapter", "--dry-run", cwd=tmp_path).stdout
    configuration = json.loads(shown)
    assert configuration["diffusion"]["T"] == 500
    assert configuration["training"]["epochs"] == 200
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("--version",)])
def test_help_takes_the_processor_less_than_a_second(tmp_path, process, words):
    def seconds():  # that other processes hardly change
        before = os.times()
        process(*words, cwd=tmp_path)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert any(seconds() < 1.0 for _ in range(3))


def test_own_images_in_colour_and_not_square(tmp_path, fromnoise):
    random = np.random.default_rng(0)
    for kind in ("red", "blue"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for k in range(30):
            pixels = random.integers(0, 60, (20, 30, 3), dtype=np.uint8)
            pixels[..., 0 if kind == "red" else 2] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{k}.png")
    words = ("--preset", "tiny", "--data", "photos", "--m", "40", "--size", "16x24", "--steps", "3", "--out", "run")
    fromnoise("train", *words, cwd=tmp_path)
    fromnoise("sample", "run", "--n", "3", "--label", "1", "--out", "out.npz", cwd=tmp_path)
    with np.load(tmp_path / "out.npz") as drawn:
        assert drawn["arr_0"].shape == (3, 16, 24, 3)
        assert drawn["labels"].tolist() == [1, 1, 1]


def test_inceptions_weights_may_lie_anywhere_and_are_loaded_once(tmp_path, fromnoise, monkeypatch):
    asked = []

    def load(device, weights):
        asked.append(weights)
        return Features("inception", 16, "0" * 64, lambda images: images.float().mean((1, 2)))

    monkeypatch.setattr(inception, "load", load)
    monkeypatch.setattr(validate, "IMAGES", 64)
    words = ("--preset", "tiny", "--steps", "2", "--n", "50", "--features", "inception", "--out", "run")
    fromnoise("run", *words, "--weights", "mine.pt", "--evaluate-every", "2", cwd=tmp_path)
    assert asked == [Path("mine.pt")]  # for validation and score
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["protocol"]["features"]["name"] == "inception"


def test_too_few_images_to_score_are_refused_before_training(tmp_path, fromnoise):
    np.savez(tmp_path / "few.npz", np.random.default_rng(0).integers(0, 255, (80, 16, 16), dtype=np.uint8))
    refused = fromnoise(
        "run", "--preset", "tiny", "--m", "None", "--data", "few.npz", "--out", "run", cwd=tmp_path, code=2
    )
    assert "too few images to hold out 50" in refused.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("words", "message"), [
    (("--data", "nowhere"), "neither a data set"),
    (("--size", "30"), "the nearest is --size 32"),
    (("--size", "big"), "is not a size"),
    (("--size", "2048"), "--size 2048 is too large"),
    (("--sampling-steps", "100000000"), "--sampling-steps must be from 1 to 50000"),
    (("--guidance-interval", "-4", "inf"), "--guidance-interval must be finite"),
    (("--n", "49"), "needs at least 50"),
    (("--features", "clip"), "choose one of: auto"),
    (("--features", "onnx:nowhere"), "there is no file nowhere"),
    (("--reference", "nowhere"), "'nowhere' is neither a data set"),
    (("--reference", "digits:tset"), "there is no part 'tset'"),
    (("--features", "inception", "--weights", "file"), "file is not Inception"),
    (("--weights", "file"), "not auto"),
    (("--preset", "slow"), "fast, chapter, tiny"),
    (("--steps", "3", "--minutes", "1"), "give one budget"),
    (("--channels", "12", "16"), "multiple of 8"),
    (("--batch", "0"), "--batch must be"),
    (("--log-every", "0"), "--log-every must be at least 1"),
    (("--sampler", "best"), "invalid choice 'best' for argument '--sampler'"),
    (("--minuets", "3"), "did you mean --minutes?"),
    (("--minutes", "inf"), "above 0 and finite"),
    (("--data", ""), "--data is empty"),
    (("--out", "file/sub"), "cannot be written"),
    (("--device", "cuda"), "--device cuda is not available"),
    (("--lognormal", "-1", "0"), "the standard deviation must be above 0"),
    (("--out", "file"), "is not a run folder"),
    (("--augment", "1.5"), "--augment must be from 0 to 1"),
    (("--preset", "chapter", "--augment", "0.3"), "this one is not"),
])  # fmt: skip
def test_nonsense_is_one_line_exit_code_2_and_nothing_is_trained(fromnoise, tmp_path, words, message):
    (tmp_path / "file").write_text("precious")
    refused = fromnoise("run", *(() if "--preset" in words else ("--preset", "tiny")), *words, cwd=tmp_path, code=2)
    assert message in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith("fromnoise: ")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(("words", "message"), [
    (("--features", "clip"), "choose one of: auto"),
    (("--reference", "nowhere"), "'nowhere' is neither a data set"),
    (("--weights", "file"), "--weights is for a score"),
])  # fmt: skip
def test_a_training_that_could_not_be_scored_is_refused(fromnoise, tmp_path, words, message):
    refused = fromnoise("train", "--preset", "tiny", *words, "--out", "run", cwd=tmp_path, code=2)
    assert message in refused.stderr
    assert not (tmp_path / "run").exists()
