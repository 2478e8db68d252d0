import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as V

from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resize, resized

SIZES = [(32, 32), (16, 16), (24, 40), (40, 13), (7, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_torchvisions_antialiased_bilinear_within_rounding(make_images, channels, size):
    images = make_images(20, (channels, 28, 28))
    ours = resize(images, size)
    theirs = V.resize(images, list(size), InterpolationMode.BILINEAR, antialias=True)
    assert ours.dtype == torch.uint8
    assert ours.shape == theirs.shape
    assert (ours.int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_it_is_torchvisions_resizing_of_floats_rounded(make_images, size):
    images = make_images(20, (1, 28, 28))
    theirs = V.resize(images.float(), list(size), InterpolationMode.BILINEAR, antialias=True)
    assert torch.equal(resize(images, size), theirs.round().to(torch.uint8))


def test_images_of_the_right_size_are_not_touched(make_images, make_set):
    images, image_set = make_images(3, (1, 28, 32)), make_set(3, (1, 28, 32))
    assert resize(images, (28, 32)) is images
    assert resized(image_set, (28, 32)) is image_set


def test_height_and_width_do_not_change_places(make_images):
    assert resize(make_images(2, (3, 8, 8)), (6, 10)).shape == (2, 3, 6, 10)


def test_flat_images_stay_flat():
    levels = torch.arange(256, dtype=torch.uint8)[:, None, None, None]
    for size in ((32, 32), (9, 14)):
        assert torch.equal(resize(levels.expand(-1, 1, 28, 28), size), levels.expand(-1, 1, *size))


def test_an_image_does_not_depend_on_its_neighbours(make_images):
    images = make_images(2050, (1, 12, 12))  # more than two of the parts that resize works in
    together = resize(images, (16, 9))
    assert len(together) == 2050
    for k in (0, 1, 1023, 1024, 2047, 2048, 2049):
        assert torch.equal(together[k : k + 1], resize(images[k : k + 1], (16, 9)))


def test_a_resized_set_keeps_its_name_and_labels(make_set):
    image_set = make_set((2, 3))
    larger = resized(image_set, (12, 10))
    assert isinstance(larger, ImageSet)
    assert (larger.name, larger.shape) == ("toy", (1, 12, 10))
    assert torch.equal(larger.labels, image_set.labels)
    assert torch.equal(larger.images, resize(image_set.images, (12, 10)))
