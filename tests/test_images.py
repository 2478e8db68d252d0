"""Sampled images as Python gets them."""

import io
import json
import random

import numpy as np
import pytest
import torch
from PIL import Image

import fromnoise
from fromnoise.data import arrays

pytestmark = pytest.mark.usefixtures("few_digits")


def test_sampled_images_are_an_array_with_labels(packaged):
    images = packaged.sample(6, seed=1)
    assert isinstance(images, np.ndarray)
    assert (images.dtype, images.shape) == (np.uint8, (6, 32, 32, 1))
    assert images.labels.shape == (6,)
    mask, few, all_of_it = images.labels == images.labels[1], torch.tensor([4, 1]), slice(None)
    for some in (slice(2, 5), [4, 1], np.arange(6) % 2 == 0, mask, few, range(2), ...):
        for key in (some, (some, all_of_it), (some, all_of_it, all_of_it, all_of_it)):
            assert np.array_equal(images[key].labels, images.labels[some])
            assert images[key].class_names == images.class_names
    assert images[0].labels is images[:, :8].labels is images[np.newaxis].labels is images[0, 0, 0, 0:1].labels is None
    assert (images.astype(float) / 2).labels is None
    assert set(packaged.sample(3, label=7, steps=2).labels) == {7}


def test_what_is_computed_from_all_images_is_a_number(packaged):
    images = packaged.sample(2, steps=2)
    assert json.loads(json.dumps({"mean": images.mean(), "most": int(images.max())}))["most"] == images.max() <= 255
    assert not isinstance(images.max(), np.ndarray)
    assert images.mean(axis=0).shape == (32, 32, 1)


def test_labels_that_are_set_are_checked(packaged):
    images = packaged.sample(3, steps=2)
    images.labels = [1, 2, 3]
    assert images[[2, 0]].labels.tolist() == [3, 1]
    with pytest.raises(fromnoise.UserError, match="3 images need as many labels"):
        images.labels = [1]
    images.labels = None
    assert images[:2].labels is None


def test_a_notebook_shows_images_as_a_picture(packaged):
    images = packaged.sample(70, steps=2)
    with Image.open(io.BytesIO(images._repr_png_())) as grid, Image.open(io.BytesIO(images[0]._repr_png_())) as one:
        assert grid.width > 8 * 32
        assert np.array_equal(np.asarray(one), images[0][..., 0])
    for other in (images.mean(axis=0), images[:0], images[0, 0], images > 3):
        assert other._repr_png_() is None


@pytest.mark.parametrize("shuffle", [np.random.default_rng(0).shuffle, np.random.shuffle, random.shuffle])
def test_images_shuffled_in_place_lose_their_labels_and_changed_pixels_lose_none(packaged, shuffle):
    images = packaged.sample(6, seed=1, steps=2)
    images[0] = 0
    images[:, :8] = images[:, 8:16]
    images[images > 200] = 255
    images[..., 0] = images[..., 0] // 2
    assert images[2:4].labels.tolist() == images.labels[2:4].tolist()
    shuffle(images)
    assert images.labels is None


def test_images_put_in_the_place_of_others_have_no_labels(packaged):
    sampled = packaged.sample(3, seed=1, steps=2)
    for key in (0, slice(None), [0, 1], ..., (slice(None), slice(None)), (slice(None), ..., slice(None))):
        images = sampled.copy()
        images[key] = np.array(images)[key]
        assert images.labels is None
        assert images.copy().labels is None


def test_images_are_saved_as_a_grid_an_array_or_a_folder(packaged, tmp_path):
    images = packaged.sample(4, steps=2)
    images.save(tmp_path / "grid.png")
    images.save(str(tmp_path / "images.npz"))
    images.save(tmp_path / "folder")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size[0] > 2 * 32
    assert np.array_equal(arrays.load(tmp_path / "images.npz").labels.numpy(), images.labels)
    assert len(list((tmp_path / "folder").iterdir())) == 4
    with pytest.raises(fromnoise.UserError, match="already exists"):
        images.save(tmp_path / "folder")
    with pytest.raises(fromnoise.UserError, match="images are written as"):
        images.save(tmp_path / "grid.jpg")
    for other in (images / 2, images.mean(axis=0)):
        with pytest.raises(fromnoise.UserError, match=r"bytes \(uint8\), not float64"):
            other.save(tmp_path / "other.png")
