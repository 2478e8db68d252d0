import dataclasses

import numpy as np
import pytest
import torch

from fromnoise.data import arrays, sources
from fromnoise.errors import UserError
from fromnoise.experiment.find import TrainingImagesLost, parts_of
from fromnoise.experiment.reject import TRIES, guard_of, sample_without_copies
from fromnoise.generation.sampling import SampleRequest, labels_for, sample
from fromnoise.training.run_folder import RunFolder


class Drawer:
    """Draws images that show their own number and class."""

    def __init__(self):
        self.drawings = []

    def __call__(self, wanted):
        self.drawings.append(wanted)
        images = torch.zeros(wanted.n, 1, 2, 2, dtype=torch.uint8)
        images[:, 0, 0, 0] = torch.arange(wanted.first, wanted.first + wanted.n)
        images[:, 0, 0, 1] = 255 if wanted.label is None else wanted.label
        return images


def numbers(images):
    return images[:, 0, 0, 0].tolist()


def copies(*known):
    """A guard that takes the images with these numbers for copies."""
    return lambda images: torch.isin(images[:, 0, 0, 0], torch.tensor(known, dtype=torch.uint8))


def test_images_that_are_no_copies_stay():
    draw = Drawer()
    wanted = SampleRequest(5, seed=3, first=7, guidance=2.0)
    images, replaced = sample_without_copies(draw, wanted, None, copies(0, 1))
    assert numbers(images) == [7, 8, 9, 10, 11]
    assert replaced == 0
    assert draw.drawings == [wanted]


def test_copies_and_copies_in_their_place_are_replaced_by_further_images():
    draw = Drawer()
    wanted = SampleRequest(6, seed=3, first=10, precision="bf16")
    images, replaced = sample_without_copies(draw, wanted, None, copies(11, 14, 15, 17, 19))
    # 11, 14, 15 give way to 16, 17, 18; 17 to 19; 19 to 20.
    assert numbers(images) == [10, 16, 12, 13, 20, 18]
    assert replaced == 5
    # Nothing is drawn in vain, and all is drawn in the same way.
    assert [(each.first, each.n) for each in draw.drawings] == [(10, 6), (16, 3), (19, 1), (20, 1)]
    assert {dataclasses.replace(each, n=6, first=10) for each in draw.drawings} == {wanted}


def test_a_replacement_has_the_class_of_its_place():
    draw = Drawer()
    labels = torch.tensor([2, 0, 2, 1, 0])
    images, replaced = sample_without_copies(draw, SampleRequest(5), labels, copies(0, 1, 2, 5))
    # Class 0 first: 1 gives way to 5; then class 2: 0 and 2 to 6 and 7; and 5 to 8.
    assert numbers(images) == [6, 8, 7, 3, 4]
    assert images[[0, 1, 2], 0, 0, 1].tolist() == [2, 0, 2]
    assert replaced == 4


@pytest.mark.parametrize("labels", [None, torch.tensor([1, 0, 1, 0])])
def test_a_model_that_only_copies_is_an_error_that_says_so(labels):
    draw = Drawer()

    def is_copy(images):
        return torch.isin(images[:, 0, 0, 0], torch.tensor([1, 3], dtype=torch.uint8)) | (images[:, 0, 0, 0] > 3)

    with pytest.raises(UserError, match=f"^2 of 4 images are copies .* {TRIES} replacements .* has memorised"):
        sample_without_copies(draw, SampleRequest(4), labels, is_copy)
    assert sum(each.n for each in draw.drawings) == 4 + 2 * TRIES


def test_the_last_try_counts():
    images, replaced = sample_without_copies(Drawer(), SampleRequest(1), None, copies(*range(TRIES)))
    assert numbers(images) == [TRIES]
    assert replaced == TRIES


def test_a_models_replacement_is_its_further_image(tiny_model):
    wanted = SampleRequest(4, seed=2)
    plain = sample(tiny_model, wanted)
    labels = labels_for(tiny_model, wanted)
    images, _ = sample_without_copies(
        lambda some: sample(tiny_model, some), wanted, labels, lambda images: (images == plain[1]).all((1, 2, 3))
    )
    further = sample(tiny_model, SampleRequest(1, seed=2, first=4, label=int(labels[1])))
    assert torch.equal(images, torch.stack([plain[0], further[0], plain[2], plain[3]]))


@pytest.fixture
def run_of(tmp_path, config_of):
    """A run folder with no more than its config.json, trained on `data`."""

    def make(data="digits", **settings):
        config = config_of(data={"data": str(data), **settings})
        train = sources.prepare(config.data, config.seed).train
        run = RunFolder(tmp_path / "run")
        with run.open(config, train):
            return run.path

    return make


def test_a_runs_guard_takes_its_training_images_and_one_real_image_in_a_hundred(run_of):
    run = run_of(m=800, size="16")
    guard = guard_of(run)
    train = parts_of(run).train
    assert len(train) == 800
    assert guard(train.images[:100]).all()
    others = sources.load("digits:train", (16, 16)).without(train)
    assert len(others) == 2200
    assert 0.002 < guard(others.images).float().mean() < 0.03  # 1 % of them by chance, 5 standard errors


def test_too_few_images_have_no_guard(run_of, tmp_path, blobs_of):
    path = tmp_path / "few.npz"
    few = blobs_of(n=9)
    arrays.save(path, few.images, few.labels)
    with pytest.raises(UserError, match=r"too few distinct images to detect copies \(9\)"):
        guard_of(run_of(path, m=None, size="16"))


def test_what_is_no_run_has_no_guard(tmp_path):
    with pytest.raises(UserError, match="needs a run folder"):
        guard_of(tmp_path)


def test_a_runs_data_is_found_only_as_it_was(run_of, tmp_path, blobs_of):
    path = tmp_path / "images.npz"
    blobs = blobs_of(n=80)
    arrays.save(path, blobs.images, blobs.labels)
    run = run_of(path, m=None, size="16")
    known = {image.tobytes() for image in blobs.images.numpy()}
    parts = parts_of(run)
    ours = [image.tobytes() for part in (parts.train, parts.val, parts.heldout) for image in part.images.numpy()]
    assert set(ours) == known
    assert len(ours) == 80
    changed = np.where(blobs.images.numpy() > 100, 255, 0).astype(np.uint8)
    path.unlink()
    arrays.save(path, torch.from_numpy(changed), blobs.labels)
    with pytest.raises(TrainingImagesLost, match="have changed"):
        parts_of(run)
    path.unlink()
    with pytest.raises(TrainingImagesLost, match=r"are missing: .*neither a data set"):
        parts_of(run)
