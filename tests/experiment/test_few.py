"""Few training images: the model is kept that denoises validation images best, and what is said of them."""

import json
import re

import numpy as np
import pytest
import torch

from fromnoise.data import arrays
from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation import overfitting
from fromnoise.evaluation.features import features
from fromnoise.evaluation.overfitting import denoising_error
from fromnoise.experiment import few, validate
from fromnoise.experiment.find import better_before
from fromnoise.experiment.validate import Validator
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.training.device import accelerator
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Trainer
from fromnoise.training.validation import Validation

CPU = torch.device("cpu")


def faces(n, seed, size=16):
    """Smooth random images: something to learn, and no two alike."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    waves = [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in random.uniform(0, 2, (n, 3))]
    return ImageSet("waves", torch.from_numpy((127.5 * (1 + np.array(waves))).round().astype(np.uint8))[:, None])


@pytest.fixture
def parts_of():
    def make(train, val):
        return Parts(faces(train, 0), faces(val, 1) if val else None, None)

    return make


@pytest.fixture
def measured(monkeypatch):
    """Denoising errors in place of a model's: the next value of the list that is given back."""
    values = []
    monkeypatch.setattr(validate, "denoising_error", lambda *model, **how: values.pop(0))
    return values


def test_the_denoising_error_is_that_of_the_levels_and_repeats_itself(tiny_model, images):
    one = denoising_error(tiny_model, images, seed=3)
    assert one == denoising_error(tiny_model, images, seed=3)
    assert one != denoising_error(tiny_model, images, seed=4)
    few_of_them = images.take(np.arange(10))
    looks = [denoising_error(tiny_model, few_of_them, seed=seed) for seed in range(4)]
    assert np.std(looks) < 0.05 * np.mean(looks), "few images are looked at many times"


def test_the_model_of_least_error_is_kept_sampled_and_said(config_of, parts_of, measured, tiny_model, tmp_path):
    folder = RunFolder(tmp_path / "run")
    validator = Validator(config_of(), parts_of(80, 12), folder, CPU, None)
    measured += [0.5, 0.2, 0.3, 0.2]
    for step in (10, 20, 30, 40):
        record, words = validator.validate(step, tiny_model)
        (folder.checkpoints / f"{step:06d}").mkdir()
        assert record.keys() == {"denoising"}
        assert ("the best so far" in words) == (step <= 20)
    assert folder.about_best() == {"step": 20, "denoising": {"value": 0.2, "n": 12}}
    assert folder.model_file() == folder.best / "model.safetensors"
    assert "kept: step 20 of 40, which denoises validation images best" in better_before(folder, 40)
    measured += [0.1]
    (folder.checkpoints / "000050").mkdir()
    validator.validate(50, tiny_model)
    assert folder.model_file() == folder.checkpoints / "000050" / "model.safetensors"  # the best is the last
    assert better_before(folder, 50) is None


def test_kid_and_copies_are_measured_too_where_they_can_be(config_of, parts_of, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "IMAGES", 64)
    folder = RunFolder(tmp_path / "run")
    record, words = Validator(config_of(), parts_of(80, 60), folder, CPU, features("pixels")).validate(5, tiny_model)
    assert record.keys() == {"denoising", "images", "kid", "copies"}
    assert words.startswith("denoising error ")
    assert ", the best so far; KID " in words
    assert folder.about_best() == {"step": 5, "denoising": record["denoising"]}
    record, _ = Validator(config_of(), parts_of(80, 49), folder, CPU, features("pixels")).validate(6, tiny_model)
    assert record.keys() == {"denoising"}


def test_an_overfitted_training_ends_with_the_model_from_before(config_of, parts_of, tmp_path, monkeypatch):
    """A small network on four images: it soon knows them, and then denoises others worse."""
    monkeypatch.setattr(overfitting, "NOISY", 48)
    parts = parts_of(4, 24)
    config = config_of(
        data={"clusters": 0},
        training={"steps": 120, "lr": 1e-2, "decay": 0.0, "ema": 0.9, "checkpoint_every": 1000},
    )
    folder = RunFolder(tmp_path / "run")
    validator = Validator(config, parts, folder, CPU, None)
    with folder.open(config, parts.train):
        model = Model.build(config, DataInfo.of(parts.train, config))
        watched = Validation(20, validator.validate)
        outcome = Trainer(model, parts.train, folder, accelerator("cpu"), validation=watched).run()
    errors = {line["step"]: line["denoising"]["value"] for line in folder.evaluations.records()}
    best = min(errors, key=errors.get)
    assert best < 120, "it has overfitted"
    assert errors[120] > 1.05 * errors[best]
    assert outcome.steps == 120
    val = parts.val
    assert denoising_error(outcome.model, val) == pytest.approx(errors[best], rel=1e-5)
    last = Model.load(folder.checkpoint(120) / "model.safetensors")
    assert denoising_error(last, val) == pytest.approx(errors[120], rel=1e-5)


def test_too_few_validation_images_are_refused(config_of, parts_of, tmp_path):
    for n in (0, 9):
        with pytest.raises(UserError, match=f"--evaluate-every needs 10 validation images, but digits has {n}"):
            Validator(config_of(), parts_of(80, n), RunFolder(tmp_path / "run"), CPU, None)


def test_few_images_are_looked_at_unasked_but_not_in_short_trainings(parts_of):
    assert few.validate_every(parts_of(999, 10), None) == few.EVERY
    assert few.validate_every(parts_of(999, 10), 500) == few.EVERY
    assert few.validate_every(parts_of(999, 10), 499) is None
    assert few.validate_every(parts_of(999, 9), None) is None
    assert few.validate_every(parts_of(1000, 100), None) is None


def test_the_honest_word_says_what_happens_and_what_helps(config_of, parts_of):
    said = few.advice(config_of(), parts_of(180, 22), None)
    assert said.startswith("180 training images are few: a network soon knows them by heart")
    assert "the model is kept that denoises 22 validation images best, validated every 250 steps" in said
    assert "--augment 0.3 and --init" in said
    augmented = few.advice(config_of(training={"augment": 0.3}), parts_of(180, 22), None)
    assert "--augment" not in augmented
    assert "--init" in augmented
    assert "there are too few to tell when" in few.advice(config_of(), parts_of(60, 7), None)
    assert "every 40 steps" in few.advice(config_of(evaluation={"evaluate_every": 40}), parts_of(180, 22), None)
    assert few.advice(config_of(), parts_of(1000, 100), None) is None
    assert few.advice(config_of(), parts_of(180, 22), 30) is None


def test_the_report_says_which_model_it_is_of(parts_of):
    kept = {"step": 500, "denoising": {"value": 0.1}}
    assert "the model is that of step 500 of 2,000" in few.note(parts_of(180, 22), kept, 2000)
    assert few.note(parts_of(180, 0), None, 2000) == "180 training images are few: the copy test says most"
    assert few.note(parts_of(180, 22), kept, 30) is None
    assert few.note(parts_of(1000, 100), kept, 2000) is None


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(few, "EVERY", 5)


def test_the_command_line_looks_at_few_images(short, tmp_path, monkeypatch, capsys):
    from fromnoise.faces import cli

    monkeypatch.chdir(tmp_path)
    arrays.save(tmp_path / "waves.npz", faces(120, 0).images)
    words = ("train", "--preset", "tiny", "--m", "None", "--data", "waves.npz", "--steps", "10", "--out", "run")
    assert cli.main(words) == 0
    said = capsys.readouterr().err
    assert re.search(r"\d\d training images are few", said)
    assert "step 5: denoising error" in said
    lines = [json.loads(line) for line in (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10]
