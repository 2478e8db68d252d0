"""Classes with names, from a folder to a model, its samples, a report and the images that augment a data set."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import arrays, folder, saving
from fromnoise.evaluation import gain as module
from fromnoise.evaluation.gain import gain
from fromnoise.experiment import augmentation
from fromnoise.experiment.find import parts_of
from fromnoise.generation.model import Model

NAMES = ("cat", "dog", "owl")
TINY = ("--preset", "tiny", "--m", "None", "--steps", "6")


@pytest.fixture(scope="module")
def place(blobs_of, fromnoise, tmp_path_factory):
    """A folder with pets/, by class, and a finished run on them, as `run`."""
    place = tmp_path_factory.mktemp("pets")
    saving.save(place / "pets", dataclasses.replace(blobs_of(n=300, classes=3), class_names=NAMES))
    fromnoise("run", *TINY, "--data", "pets", "--features", "pixels", "--n", "60", "--out", "run", cwd=place)
    return place


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(module, "SEEDS", 2)
    monkeypatch.setattr(module, "LEAST", 5)
    monkeypatch.setattr(module, "MOST", 5)


def test_a_run_keeps_the_names_of_classes(place, page_of):
    run = place / "run"
    assert Model.load(run / "checkpoints" / "000006" / "model.safetensors").info.class_names == NAMES
    assert arrays.load(run / "samples" / "images.npz").class_names == NAMES
    assert json.loads((run / "report.json").read_text())["run"]["training"]["class_names"] == list(NAMES)
    page = page_of((run / "report.html").read_text())
    assert "3 classes" in page.text
    with Image.open(run / "samples" / "grid.png") as grid:
        assert grid.height > grid.width, "captions below the images"


def test_a_class_is_sampled_by_name_or_number(place, fromnoise, tmp_path):
    words = ("sample", place / "run", "--n", "3", "--precision", "fp32", "--out")
    fromnoise(*words, "dog.npz", "--label", "dog", cwd=tmp_path)
    fromnoise(*words, "one.npz", "--label", "1", cwd=tmp_path)
    dogs, ones = (arrays.load(tmp_path / name) for name in ("dog.npz", "one.npz"))
    assert np.array_equal(dogs.images, ones.images)
    assert dogs.labels.tolist() == [1, 1, 1]
    assert dogs.class_names == NAMES
    refused = fromnoise(*words, "no.png", "--label", "dogs", cwd=tmp_path, code=2)
    assert "--label dogs: this model has 3 classes: cat, dog, owl; did you mean dog?" in refused.stderr


def test_so_many_of_each_class_are_sampled(place, fromnoise, tmp_path):
    words = ("sample", place / "run", "--precision", "fp32", "--per-class")
    for out in ("two.npz", "two", "two.png"):
        fromnoise(*words, "2", "--out", out, cwd=tmp_path)
    images = arrays.load(tmp_path / "two.npz")
    assert images.labels.tolist() == [0, 1, 2, 0, 1, 2]
    back = folder.load(tmp_path / "two")
    assert back.class_names == NAMES
    assert back.labels.tolist() == [0, 0, 1, 1, 2, 2]
    with Image.open(tmp_path / "two.png") as rows:
        assert rows.width == 2 * 34 + 2
    fromnoise(*words, "3", "--out", "three.npz", cwd=tmp_path)
    assert np.array_equal(arrays.load(tmp_path / "three.npz").images[:6], images.images)
    refused = fromnoise(*words, "2", "--n", "5", "--out", "no.png", cwd=tmp_path, code=2)
    assert "leave out --n and --label" in refused.stderr
    refused = fromnoise(*words, "0", "--out", "no.png", cwd=tmp_path, code=2)
    assert "--per-class must be at least 1" in refused.stderr


def test_names_go_into_an_exported_data_set(place, fromnoise, tmp_path):
    fromnoise("data", "export", place / "pets", "out", "--n", "6", "--by-class", cwd=tmp_path)
    assert folder.load(tmp_path / "out").class_names == NAMES
    fromnoise("data", "export", place / "pets", "out.npz", cwd=tmp_path)
    exported, whole = arrays.load(tmp_path / "out.npz"), folder.load(place / "pets")
    assert exported.class_names == NAMES
    assert torch.equal(exported.images, whole.images)
    assert torch.equal(exported.labels, whole.labels)
    refused = fromnoise("data", "export", place / "pets", "out.png", cwd=tmp_path, code=2)
    assert "exported as a folder or an .npz" in refused.stderr


def test_a_data_set_is_augmented_and_the_gain_is_told(place, fromnoise, brief, tmp_path):
    words = ("augment", "pets", "--model", "run", "--per-class", "5", "--out", tmp_path / "more")
    done = fromnoise(*words, cwd=place)
    verdict, out = done.stdout.splitlines()
    assert out == str(tmp_path / "more")
    images = folder.load(tmp_path / "more")
    assert images.class_names == NAMES
    assert images.labels.bincount().tolist() == [5, 5, 5]
    told = json.loads((tmp_path / "more" / "augment.json").read_text())
    assert told["verdict"] == verdict
    assert verdict.split(":")[0] in ("gain", "no gain", "loss")
    assert told["interval"][0] <= told["difference"] <= told["interval"][1]
    assert told["real_images"] == 220
    assert told["notes"] == []
    assert [each["name"] for each in told["classes"]] == list(NAMES)
    refused = fromnoise(*words, cwd=place, code=2)
    assert "already exists" in refused.stderr
    refused = fromnoise(*words[:-1], tmp_path / "more.npz", cwd=place, code=2)
    assert "more.npz: name a folder" in refused.stderr


def test_images_that_moved_are_split_as_they_were(place, fromnoise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "pets", "old")
    words = ("train", *TINY, "--group-by", r"(\d+)\.png", "--out", "run", "--data")
    fromnoise(*words, "old", cwd=tmp_path)
    (tmp_path / "old").rename("new")
    fromnoise(*words, "new", cwd=tmp_path)
    model = Model.load(tmp_path / "run" / "checkpoints" / "000006" / "model.safetensors")
    train, held_out, notes = augmentation.sets_for("new", model, Path("run"))
    parts = parts_of(Path("run"))
    assert (train.fingerprint, held_out.fingerprint) == (parts.train.fingerprint, parts.heldout.fingerprint)
    assert notes == []


def test_images_are_not_written_among_the_data(place, fromnoise):
    for words in (
        ("augment", "pets", "--model", "run", "--per-class", "5", "--out", "pets/more"),
        ("sample", "run", "--n", "2", "--out", "pets/cat/new.png"),
        ("data", "export", "pets/:train", "pets/more"),
    ):
        assert "lies inside the data folder pets" in fromnoise(*words, cwd=place, code=2).stderr
    assert sorted(each.name for each in (place / "pets").iterdir()) == sorted(NAMES)


def test_other_images_may_have_classes_by_a_rule(place, fromnoise, brief, tmp_path):
    for file in (place / "pets").rglob("*.png"):
        (tmp_path / "flat").mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / "flat" / f"{file.parent.name}_{file.name}")
    words = ("augment", "flat", "--model", place / "run", "--per-class", "5", "--out", "more")
    assert "the model has 3 classes and flat has 0" in fromnoise(*words, cwd=tmp_path, code=2).stderr
    done = fromnoise(*words, "--label-by", r"^(.+)_\d", cwd=tmp_path)
    assert "if it saw images held out here, the gain is overstated" in done.stderr


def test_deep_images_are_augmented_by_the_models_range(blobs_of, fromnoise, brief, tmp_path, monkeypatch):
    whole = blobs_of(n=300, classes=3)
    values, labels = 1000.0 + 10 * whole.images.permute(0, 2, 3, 1).numpy(), whole.labels.numpy()
    np.savez(tmp_path / "scans.npz", images=values, labels=labels)
    np.savez(tmp_path / "dim.npz", images=1000 + (values - 1000) / 2, labels=labels)
    np.savez(tmp_path / "bytes.npz", images=whole.images.permute(0, 2, 3, 1).numpy(), labels=labels)
    fromnoise("train", *TINY, "--data", "scans.npz", "--size", "16", "--out", "run", cwd=tmp_path)
    learnt = []
    monkeypatch.setattr(augmentation, "gain", lambda *given: learnt.append(given[1]) or gain(*given))
    words = ("--model", "run", "--per-class", "5")
    fromnoise("augment", "scans.npz", *words, "--out", "more", cwd=tmp_path)
    fromnoise("augment", "dim.npz", *words, "--out", "dimmer", cwd=tmp_path)
    bright, dim = (float(each.images.double().mean()) for each in learnt)
    assert dim == pytest.approx(bright / 2, abs=1)
    refused = fromnoise("augment", "bytes.npz", *words, "--out", "none", cwd=tmp_path, code=2)
    assert "the training images' values are from 1000 to" in refused.stderr
    assert "and these are bytes: scale them alike" in refused.stderr


def test_data_that_the_model_does_not_know_cannot_be_augmented(place, fromnoise, blobs_of, tmp_path):
    other = blobs_of(n=120, classes=3)
    saving.save(tmp_path / "birds", dataclasses.replace(other, class_names=("jay", "kite", "owl")))
    saving.save(tmp_path / "few", dataclasses.replace(other, class_names=NAMES))
    arrays.save(tmp_path / "plain.npz", other.images)
    for data, message in (
        ("birds", "the classes of birds (jay, kite, owl …) are not the model's (cat, dog, owl …)"),
        ("few", "held-out images"),
        ("plain.npz", "the model has 3 classes and plain.npz has 0"),
        ("digits", "the model has 3 classes and digits has 10"),
    ):
        words = ("augment", data, "--model", place / "run", "--out", "more")
        assert message in fromnoise(*words, cwd=tmp_path, code=2).stderr
    words = ("augment", "pets", "--model", "run", "--label-by", "^([a-z]+)", "--out", tmp_path / "more")
    assert "leave out --label-by and --group-by" in fromnoise(*words, cwd=place, code=2).stderr
    assert not (tmp_path / "more").exists()
    words = ("augment", "digits", "--model", "digits", "--per-class", "0", "--out", "more")
    assert "--per-class must be at least 1" in fromnoise(*words, cwd=tmp_path, code=2).stderr
