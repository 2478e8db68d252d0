from importlib import resources

import pytest
import torch

from fromnoise.data import digits

SIZES = {"train": 3000, "val": 1000, "heldout": 1000}


@pytest.fixture(scope="module")
def parts():
    return {part: digits.load(part) for part in SIZES}


@pytest.mark.parametrize("part", SIZES)
def test_each_part_has_its_size_and_form(parts, part):
    images = parts[part]
    assert images.name == f"digits:{part}"
    assert images.images.shape == (SIZES[part], 1, 28, 28)
    assert images.images.dtype == torch.uint8
    assert images.labels.dtype == torch.int64


@pytest.mark.parametrize("part", SIZES)
def test_each_class_is_as_large_as_any_other(parts, part):
    assert torch.bincount(parts[part].labels).tolist() == [SIZES[part] // 10] * 10


def test_no_image_is_there_twice(parts, keys):
    assert len({key for images in parts.values() for key in keys(images)}) == 5000


def test_all_are_training_digits_of_mnist_with_their_labels(parts, mnist, keys):
    train = dict(zip(keys(mnist["train"]), mnist["train"].labels.tolist(), strict=True))
    for images in parts.values():
        assert [train.get(key) for key in keys(images)] == images.labels.tolist()


def test_none_is_a_test_digit_of_mnist(parts, mnist, keys):
    test = set(keys(mnist["test"]))
    assert len(test) == 10_000
    for images in parts.values():
        assert test.isdisjoint(keys(images))


def test_the_file_is_under_a_megabyte():
    file = resources.files("fromnoise.data").joinpath("digits.npz")
    assert 0 < len(file.read_bytes()) < 1_000_000


def test_images_that_are_changed_change_nothing_for_others():
    digits.load("val").images.zero_()
    assert digits.load("val").images.any()
