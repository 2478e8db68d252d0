"""What a run is compared with: its own training images, of its own classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import arrays, folder
from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import prepare
from fromnoise.errors import UserError
from fromnoise.experiment.comparison import ScoreRequest, comparison, same_classes
from fromnoise.experiment.score import reference_of, sets_of
from fromnoise.training.run_folder import RunFolder


@pytest.fixture
def pets(tmp_path, config_of):
    """A run on the folder pets, of cats and dogs, with images that it sampled."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (240, 4, 16, 16), np.uint8))
    folder.save(tmp_path / "pets", images, [("cat", "dog")[k % 2] for k in range(240)])
    config = config_of(data={"data": str(tmp_path / "pets"), "m": None})
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", parts.train.images[:60])
    return tmp_path, config, parts


def test_a_run_named_for_training_images_stands_for_its_own(pets):
    place, _, parts = pets
    request = ScoreRequest(str(place / "run" / "samples" / "images.npz"), f"{place / 'pets'}:heldout")
    sets = comparison(replace(request, train=str(place / "run")))
    assert sets.train.fingerprint == parts.train.fingerprint
    for role in ("reference", "floor"):
        with pytest.raises(UserError, match="is a run, whose images are generated: name real images"):
            comparison(replace(request, **{role: str(place / "run")}))


def test_a_run_whose_data_changed_is_not_scored_against_them(pets):
    """Split anew, what is held out now may be what it learnt."""
    place, *_ = pets
    extra = np.random.default_rng(9).integers(0, 256, (16, 16, 4), np.uint8)
    Image.fromarray(extra).save(place / "pets" / "cat" / "new.png")
    with pytest.raises(UserError, match=r"have changed.*so .*pets:heldout may contain images that the run was"):
        comparison(ScoreRequest(str(place / "run"), f"{place / 'pets'}:heldout"))
    folder.save(place / "others", torch.randint(0, 256, (60, 4, 16, 16), dtype=torch.uint8))
    assert "no copycat" in comparison(ScoreRequest(str(place / "run"), str(place / "others"))).notes[0]


def test_training_images_are_laid_on_the_ground_that_a_flag_says(pets):
    place, *_ = pets
    sets = comparison(ScoreRequest(str(place / "run"), f"{place / 'pets'}:heldout", alpha="white"))
    assert sets.train.shape[0] == sets.generated.shape[0] == 3
    assert torch.equal(sets.train.images[:60], sets.generated.images)


def test_labels_of_other_classes_are_ignored_wherever_they_are(pets):
    place, config, parts = pets
    images = torch.randint(0, 256, (90, 4, 16, 16), dtype=torch.uint8)
    folder.save(place / "zoo", images, [("ant", "cat", "dog")[k % 3] for k in range(90)])
    zoo = replace(parts.heldout, class_names=("ant", "cat", "dog"))
    found = sets_of(replace(config, evaluation=replace(config.evaluation, reference=str(place / "zoo"))), parts,
                    replace(parts.train, name="generated"), zoo)  # fmt: skip
    assert (found.generated.labels, found.train.labels) == (None, None)
    assert [note.partition(":")[0] for note in found.notes[:2]] == ["labels were ignored"] * 2
    request = ScoreRequest(str(place / "run"), f"{place / 'pets'}:heldout", floor=str(place / "zoo"))
    assert comparison(request).floor.labels is None


@pytest.fixture
def scans(tmp_path, config_of):
    """A run on the folder scans, of forty people with three photographs each, split by person, and its reference."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (120, 1, 16, 16), np.uint8))
    folder.save(tmp_path / "scans", images, [k // 3 for k in range(120)])
    config = config_of(data={"data": str(tmp_path / "scans"), "m": None, "group_by": "folder"})
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", images[:60])
    return str(run.path), f"{tmp_path / 'scans'}:heldout", config, parts


def test_a_score_of_a_run_splits_its_data_by_the_runs_rule(scans):
    """Photographs of one person in training and in the reference would flatter a model that knows them by heart."""
    run, reference, config, parts = scans
    sets = comparison(ScoreRequest(run, reference))
    found = (sets.train, sets.reference, sets.floor)
    own = (parts.train, parts.heldout, sets_of(config, parts, parts.heldout, parts.heldout).floor)
    assert [one.fingerprint for one in found] == [part.fingerprint for part in own]
    assert [len(np.unique(one.labels)) for one in found] == [32, 4, 36]
    assert [len(one.groups.unique()) for one in found] == [32, 4, 36]
    assert sets.floor.name == f"{parts.val.name} and {parts.train.name}"


def test_a_run_whose_data_was_moved_is_not_scored_against_another_split_of_it(scans):
    run, _, _, parts = scans
    place = Path(run).parent
    (place / "scans").rename(place / "moved")
    with pytest.raises(UserError, match=r"moved:heldout: the model's images were split by --group-by and their place"):
        comparison(ScoreRequest(run, f"{place / 'moved'}:heldout"))
    assert comparison(ScoreRequest(run, str(place / "moved"))).reference.images.shape[0] == 120
    mine = ImageSet("mine", parts.train.images[:60])
    assert comparison(ScoreRequest(mine, f"{place / 'moved'}:heldout", group_by="folder")).reference.groups is not None


def test_a_run_named_for_training_images_brings_its_rules(scans):
    """Else a reference of its data would be split otherwise, and hold what it learnt."""
    run, reference, _, parts = scans
    sets = comparison(ScoreRequest(ImageSet("mine", parts.train.images[:60]), reference, run))
    assert sets.reference.fingerprint == parts.heldout.fingerprint


def test_a_named_set_goes_before_a_run_of_its_name(pets, monkeypatch):
    place, *_ = pets
    (place / "run").rename(place / "digits")
    monkeypatch.chdir(place)
    generated = ImageSet("mine", torch.randint(0, 256, (60, 1, 28, 28), dtype=torch.uint8))
    assert len(comparison(ScoreRequest(generated, "digits:heldout", "digits")).train) == 3000


def test_a_model_need_not_know_the_last_class(pets):
    _, _, parts = pets
    zoo = replace(parts.heldout, class_names=("cat", "dog", "emu"))
    notes = []
    assert same_classes(parts.train, zoo, "training", notes).labels is not None
    assert notes == []


def test_deep_images_beside_a_run_are_mapped_by_its_range(tmp_path, config_of):
    """Others of half its values are half as bright, as the run's model would have read them."""
    for name, n, most in (("scans", 240, 4000), ("others", 60, 2000)):
        (tmp_path / name).mkdir()
        values = np.random.default_rng(n).integers(0, most + 1, (n, 16, 16)).astype(np.uint16)
        values[0, 0, :2] = 0, most
        for k, image in enumerate(values):
            Image.fromarray(image).save(tmp_path / name / f"{k}.tif")
    config = config_of(data={"data": str(tmp_path / "scans"), "m": None})
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", parts.train.images[:60])
    evaluation = replace(config.evaluation, reference=str(tmp_path / "others"))
    reference, _ = reference_of(replace(config, evaluation=evaluation), parts)
    for found in (reference, comparison(ScoreRequest(str(run.path), str(tmp_path / "others"))).reference):
        assert found.range == parts.train.range == (0, 4000)
        assert found.images.max() == 128
