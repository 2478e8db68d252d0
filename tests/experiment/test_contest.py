from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import fromnoise
from fromnoise.data import arrays, digits, folder
from fromnoise.data.colour import with_channels
from fromnoise.data.image_set import ImageSet
from fromnoise.data.sources import prepare
from fromnoise.evaluation.score import Contest
from fromnoise.experiment.contest import contest, in_one_colour
from fromnoise.training.run_folder import RunFolder


def some(part, n):
    return digits.load(part).subset(n, 0)


def tinted(images):
    """The same in colour: blue is half as bright."""
    coloured = with_channels(images, 3)
    pixels = coloured.images.clone()
    pixels[:, 2] //= 2
    return replace(coloured, images=pixels)


@pytest.mark.parametrize("how", ["array", "png", "jpeg"])
def test_byte_copies_saved_as_colour_are_copies(tmp_path, how):
    """The copy test was skipped where generated images have three channels and the training images one."""
    train, copies = some("train", 200), with_channels(some("train", 60), 3)
    path = tmp_path / "copies"
    if how == "array":
        path = tmp_path / "copies.npz"
        arrays.save(path, copies.images)
    elif how == "png":
        folder.save(path, copies.images)
    else:
        path.mkdir()
        for k, image in enumerate(copies.images.permute(0, 2, 3, 1).numpy()):
            Image.fromarray(image).save(path / f"{k}.jpg", quality=100, subsampling=0)
    report = fromnoise.evaluate(path, some("heldout", 200), train=train, features="digits", quiet=True)
    assert report.copies.verdict.startswith("copying: ")


def test_colour_is_laid_aside_with_a_word_where_the_reference_is_grey():
    copies, train = tinted(some("train", 60)), some("train", 200)
    report = fromnoise.evaluate(copies, some("heldout", 200), train=train, features="digits", quiet=True)
    assert report.copies.verdict.startswith("copying: ")
    told = "the generated images are coloured and the reference is grey: compared by luminance"
    assert told in report.notes


def test_grey_images_are_not_coloured_ones():
    reference = tinted(some("heldout", 200))
    sets = contest(some("val", 60), reference, some("train", 60), some("val", 100))
    assert {images.shape for images in (sets.generated, sets.reference, sets.train, sets.floor)} == {(3, 28, 28)}
    assert "the generated images are grey and the reference is coloured" in sets.notes
    assert torch.equal(sets.reference.images, reference.images)


def test_the_file_format_of_grey_images_changes_nothing():
    sets = [some(part, 60) for part in ("val", "heldout", "val", "train")]
    bare = in_one_colour(Contest(*sets))
    saved = in_one_colour(Contest(*(with_channels(each, 3) for each in sets)))
    for one, other in zip(
        (bare.generated, bare.reference, bare.floor, bare.train),
        (saved.generated, saved.reference, saved.floor, saved.train),
        strict=True,
    ):
        assert one.fingerprint == other.fingerprint
    assert saved.notes == []


def test_images_of_the_reference_are_no_floor_in_any_colour():
    heldout = some("heldout", 100)
    sets = contest(some("val", 60), with_channels(heldout, 3), floor=heldout)
    assert sets.floor is None


def test_what_was_resized_is_said(tmp_path):
    for k in range(60):
        place = tmp_path / "mixed" / f"{k}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (20 + k % 2, 24), np.uint8)).save(place)
    generated = ImageSet("mine", torch.randint(0, 256, (60, 1, 16, 16), dtype=torch.uint8))
    sets = contest(generated, "digits:heldout", str(tmp_path / "mixed"))
    said = "reference (from 28×28), floor (from 28×28), training images (from 2 sizes from 20×24 to 21×24)"
    assert sets.notes == [f"resized to the generated images' 16×16: {said}"]
    assert contest(some("val", 60), "digits:heldout").notes == []


def test_a_score_of_a_run_splits_its_data_by_the_runs_rule(tmp_path, config_of):
    """Photographs of one person in training and in the reference would flatter a model that knows them by heart."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (120, 1, 16, 16), np.uint8))
    folder.save(tmp_path / "scans", images, [k // 3 for k in range(120)])
    config = config_of(data={"data": str(tmp_path / "scans"), "m": None, "group_by": "folder"})
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", images[:50])
    sets = contest(str(run.path), f"{tmp_path / 'scans'}:heldout")
    found = (sets.train, sets.floor, sets.reference)
    assert [one.fingerprint for one in found] == [part.fingerprint for part in (parts.train, parts.val, parts.heldout)]
    assert [len(np.unique(one.labels)) for one in found] == [32, 4, 4]
