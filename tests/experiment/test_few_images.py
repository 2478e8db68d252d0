"""Few training images: the model is kept that denoises validation images best, and what is said of them."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from fromnoise.data import arrays
from fromnoise.data.image_set import ImageSet
from fromnoise.data.parts import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation import overfitting
from fromnoise.evaluation.features import features
from fromnoise.evaluation.overfitting import LEVELS, image_errors
from fromnoise.experiment import few_images, validate
from fromnoise.experiment.validate import Validator
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.denoising import denoising_errors, known_levels
from fromnoise.generation.model import Model
from fromnoise.training.device import accelerator
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Trainer
from fromnoise.training.validation import Validation, better_before

TINY = "--preset", "tiny", "--size", "8", "--channels", "16", "--data", "waves.npz", "--clusters", "0", "--out", "run"


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


def denoising_error(model, images, **how):
    return float(image_errors(model, images, **how).mean())


@pytest.fixture
def measured(monkeypatch):
    """Denoising errors in place of a model's: the next value of the list that is given back."""
    values = []
    monkeypatch.setattr(validate, "image_errors", lambda model, images, **how: np.full(len(images), values.pop(0)))
    return values


def test_the_denoising_error_is_that_of_the_levels_and_repeats_itself(tiny_model, images):
    one = denoising_error(tiny_model, images, seed=3)
    assert one == denoising_error(tiny_model, images, seed=3)
    assert one != denoising_error(tiny_model, images, seed=4)
    few_of_them = images.take(np.arange(10))
    looks = [denoising_error(tiny_model, few_of_them, seed=seed) for seed in range(4)]
    assert np.std(looks) < 0.05 * np.mean(looks), "few images are looked at many times"
    errors = denoising_errors(tiny_model, images.images.repeat(4, 1, 1, 1), known_levels(tiny_model, LEVELS), seed=3)
    assert one == pytest.approx(np.exp(np.log(errors.mean(axis=0)).mean()), rel=1e-12)
    parts = image_errors(tiny_model, images, seed=3)
    assert parts.mean() == one
    shares = (errors / errors.mean(axis=0)).mean(axis=1)
    np.testing.assert_allclose(parts / one, [shares[k::64].mean() for k in range(64)], rtol=1e-9)


def test_the_model_of_least_error_is_kept_sampled_and_said(config_of, parts_of, measured, tiny_model, tmp_path):
    folder = RunFolder(tmp_path / "run")
    validator = Validator(config_of(), parts_of(80, 12), folder, None)
    measured += [0.5, 0.25, 0.375, 0.25]
    for step in (10, 20, 30, 40):
        record, words = validator.validate(step, tiny_model)
        (folder.checkpoints / f"{step:06d}").mkdir()
        assert record.keys() == {"denoising", "errors"}
        assert ("the best so far" in words) == (step <= 20)
    assert folder.about_best() == {"step": 20, "denoising": {"value": 0.25, "n": 12}}
    assert folder.model_file() == folder.best / "model.safetensors"
    assert "kept: step 20 of 40, which denoises validation images best" in better_before(folder, 40)
    measured += [0.125]
    (folder.checkpoints / "000050").mkdir()
    validator.validate(50, tiny_model)
    assert folder.model_file() == folder.checkpoints / "000050" / "model.safetensors"  # the best is the last
    assert better_before(folder, 50) is None


def test_kid_and_copies_are_measured_too_where_they_can_be(config_of, parts_of, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "IMAGES", 64)
    folder = RunFolder(tmp_path / "run")
    record, words = Validator(config_of(), parts_of(80, 60), folder, features("pixels")).validate(5, tiny_model)
    assert record.keys() == {"denoising", "errors", "images", "kid", "copies"}
    assert words.startswith("denoising error ")
    assert ", the best so far; KID " in words
    assert folder.about_best() == {"step": 5, "denoising": record["denoising"]}
    record, _ = Validator(config_of(), parts_of(80, 49), folder, features("pixels")).validate(6, tiny_model)
    assert record.keys() == {"denoising", "errors"}


def test_an_overfitted_training_ends_with_the_model_from_before(config_of, parts_of, tmp_path, monkeypatch):
    """A small network on four images: it soon knows them, and then denoises others worse."""
    monkeypatch.setattr(overfitting, "NOISY", 48)
    parts = Parts(faces(4, 0, size=8), faces(24, 1, size=8), None)
    config = config_of(
        data={"clusters": 0, "size": "8"},
        network={"channels": (16,)},
        training={"steps": 60, "lr": 1e-2, "decay": 0.0, "ema": 0.9},
    )
    folder = RunFolder(tmp_path / "run")
    validator = Validator(config, parts, folder, None)
    with folder.open(config, parts.train):
        model = Model.build(config, DataInfo.of(parts.train, config))
        watched = Validation(15, validator.validate)
        outcome = Trainer(model, parts.train, folder, accelerator("cpu"), validation=watched).run()
    errors = {line["step"]: line["denoising"]["value"] for line in folder.evaluations.records()}
    best = min(errors, key=errors.get)
    assert best < 60, "it has overfitted"
    assert errors[60] > 1.05 * errors[best]
    assert outcome.steps == 60
    val = parts.val
    assert denoising_error(outcome.model, val) == pytest.approx(errors[best], rel=1e-5)
    last = Model.load(folder.checkpoint(60) / "model.safetensors")
    assert denoising_error(last, val) == pytest.approx(errors[60], rel=1e-5)


def lines(*factors, spread=0.02, every=250):
    """Validations of twenty images of their own difficulty, with errors that are so many times as large."""
    random = np.random.default_rng(0)
    own = random.lognormal(sigma=0.5, size=20)
    errors = [own * (factor + random.normal(0, spread, 20)) for factor in factors]
    return [
        {"step": every * k, "denoising": {"value": each.mean()}, "errors": each.tolist()}
        for k, each in enumerate(errors, 1)
    ]


def test_training_ends_once_five_validations_in_a_row_are_worse_beyond_chance():
    assert few_images.should_stop(lines(1.2, 1, 1.1, 1.1, 1.1, 1.1), 0) is None
    said = few_images.should_stop(lines(1.2, 1, 1.1, 1.1, 1.1, 1.1, 1.1), 0)
    assert said.startswith("the last 5 validations were all worse than at step 500, so training stops and keeps that")
    assert few_images.should_stop(lines(1.2, 1, 1.1, 1.1, 1.001, 1.1, 1.1), 0) is None  # one that may be as good
    assert few_images.should_stop(lines(1.2, 1, 1.1, 1.1, 1.1, 1.1, 1.1, 0.9), 0) is None  # a new best
    assert few_images.should_stop(lines(1, *[1.005] * 9, spread=0.1), 0) is None  # by chance
    assert few_images.should_stop(lines(*np.linspace(2, 1, 20)), 0) is None
    assert few_images.should_stop(lines(*[1.0] * 9, spread=0), 0) is None


def test_validation_images_in_groups_count_for_less():
    worse = lines(1.2, 1, *[1.1] * 5)
    n = len(worse[0]["errors"])
    assert few_images.should_stop(worse, 0)
    assert few_images.should_stop(worse, 0, np.arange(n))
    assert few_images.should_stop(worse, 0, np.arange(n) // (n // 2)) is None


def test_an_extension_has_the_patience_of_a_training_and_the_best_of_before():
    more = lines(1.2, 1, *[1.1] * 10)
    assert few_images.should_stop(more[:7], 0)
    assert few_images.should_stop(more[:7], 7 * 250) is None
    assert few_images.should_stop(more[:11], 7 * 250) is None
    assert "worse than at step 500" in few_images.should_stop(more, 7 * 250)


def test_validation_by_kid_ends_no_training():
    assert few_images.should_stop([{"step": 250 * k, "kid": {"value": float(k)}} for k in range(1, 20)], 0) is None


def test_an_overfitting_training_ends_and_goes_on_where_it_is_told_to(tmp_path, monkeypatch, capsys):
    from fromnoise.faces import cli

    monkeypatch.setattr(overfitting, "NOISY", 48)
    monkeypatch.chdir(tmp_path)
    arrays.save(tmp_path / "waves.npz", faces(240, 0, size=8).images)
    words = ("train", *TINY, "--m", "4", "--evaluate-every", "10", "--lr", "1e-2", "--decay", "0", "--ema", "0.9")
    ended = "the last 5 validations were all worse than at step "
    assert cli.main([*words, "--steps", "2000"]) == 0
    said = capsys.readouterr().err
    assert said.count(ended) == 1
    folder = RunFolder(tmp_path / "run")
    last, best = folder.steps()[-1], folder.about_best()["step"]
    assert best + 50 <= last < 2000
    assert folder.is_finished()
    assert cli.main([*words, "--steps", "2000"]) == 0
    assert ended not in capsys.readouterr().err
    assert folder.steps()[-1] == last
    assert cli.main([*words, "--steps", "+20"]) == 0
    assert folder.steps()[-1] == last + 20
    assert [record["step"] for record in folder.evaluations.records()][-3:] == [last, last + 10, last + 20]


def test_a_short_extension_of_a_validated_training_is_validated(tmp_path, monkeypatch, capsys):
    from fromnoise.faces import cli

    monkeypatch.setattr(overfitting, "NOISY", 48)
    monkeypatch.setattr(few_images, "EVERY", 10)
    monkeypatch.chdir(tmp_path)
    arrays.save(tmp_path / "waves.npz", faces(240, 0, size=8).images)
    words = ("train", *TINY, "--m", "None")
    assert cli.main([*words, "--steps", "20"]) == 0
    assert cli.main([*words, "--steps", "20"]) == 0
    assert cli.main([*words, "--steps", "+1"]) == 0
    assert [record["step"] for record in RunFolder(tmp_path / "run").evaluations.records()] == [10, 20, 21]


def test_too_few_validation_images_are_refused(config_of, parts_of, tmp_path):
    for n in (0, 9):
        with pytest.raises(UserError, match=f"--evaluate-every needs 10 validation images, but digits has {n}"):
            Validator(config_of(), parts_of(80, n), RunFolder(tmp_path / "run"), None)


def test_few_images_are_looked_at_unasked_but_not_in_short_trainings(parts_of):
    assert few_images.validate_every(parts_of(999, 10), None) == few_images.EVERY
    assert few_images.validate_every(parts_of(999, 10), 500) == few_images.EVERY
    assert few_images.validate_every(parts_of(999, 10), 499) is None
    assert few_images.validate_every(parts_of(999, 9), None) is None
    assert few_images.validate_every(parts_of(1000, 100), None) is None


def test_the_honest_word_says_what_happens_and_what_helps(config_of, parts_of):
    said = few_images.advice(config_of(), parts_of(180, 22), None)
    assert said.startswith("only 180 training images: the network will soon memorise and copy them")
    assert "It is validated on 22 images every 250 steps; the best model is kept" in said
    assert "--augment 0.3 and --init" in said
    augmented = few_images.advice(config_of(training={"augment": 0.3}), parts_of(180, 22), None)
    assert "--augment" not in augmented
    assert "--init" in augmented
    grey = parts_of(180, 22)
    colour = dataclasses.replace(grey.train, images=grey.train.images.expand(-1, 3, -1, -1))
    coloured = few_images.advice(config_of(), dataclasses.replace(grey, train=colour), None)
    assert "--augment" in coloured
    assert "--init" not in coloured
    assert (
        "Validation images are too few to stop in time: keep the training short, and sample with --reject-copies"
        in few_images.advice(config_of(), parts_of(60, 7), None)
    )
    assert "every 40 steps" in few_images.advice(config_of(evaluation={"evaluate_every": 40}), parts_of(180, 22), None)
    assert few_images.advice(config_of(), parts_of(1000, 100), None) is None
    short = few_images.advice(config_of(), parts_of(180, 22), 30)
    assert short.startswith("only 180 training images; a training of fewer than 500 steps is not validated unless")
    assert few_images.advice(config_of(), parts_of(60, 7), 30).endswith("is not validated"), "too few to validate by"
    assert few_images.advice(config_of(evaluation={"evaluate_every": 10}), parts_of(180, 22), 30) is None


def test_the_report_says_which_model_it_is_of(parts_of):
    kept = {"step": 500, "denoising": {"value": 0.1}}
    assert "the model is that of step 500 of 2,000" in few_images.note(parts_of(180, 22), kept, 2000)
    assert few_images.note(parts_of(180, 0), None, 2000) == "only 180 training images: go by the copy test above all"
    assert few_images.note(parts_of(180, 22), kept, 30) is None
    assert few_images.note(parts_of(1000, 100), kept, 2000) is None


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(few_images, "EVERY", 5)


def test_the_command_line_looks_at_few_images(short, tmp_path, monkeypatch, capsys):
    from fromnoise.faces import cli

    monkeypatch.chdir(tmp_path)
    arrays.save(tmp_path / "waves.npz", faces(120, 0).images)
    words = ("train", "--preset", "tiny", "--m", "None", "--data", "waves.npz", "--steps", "10", "--out", "run")
    assert cli.main(words) == 0
    said = capsys.readouterr().err
    assert re.search(r"only \d\d training images", said)
    assert "step 5: denoising error" in said
    lines = [json.loads(line) for line in (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10]
