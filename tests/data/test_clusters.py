"""Clusters of like images, and what a network is told of."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from fromnoise.data import digits
from fromnoise.data.clusters import FITTED, clusters, conditioned
from fromnoise.data.image_set import ImageSet

Make = Callable[..., ImageSet]


@pytest.fixture
def shades() -> tuple[torch.Tensor, torch.Tensor]:
    """150 images of three shades with a little noise, mixed, and the shade of each."""
    generator = torch.Generator().manual_seed(0)
    shade = torch.randint(0, 3, (150,), generator=generator)
    images = 20 + 90 * shade[:, None, None, None] + torch.randint(0, 20, (150, 3, 20, 8), generator=generator)
    return images.to(torch.uint8), shade


def test_finds_the_groups_that_there_are(shades: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, shade = shades
    found = clusters(images, 3)
    assert found.dtype == torch.int64
    assert adjusted_rand_score(shade, found) == 1


def test_numbers_count_up_in_the_order_of_the_images() -> None:
    images = digits.load("val").images
    found = clusters(images, 10).numpy()
    assert list(found[np.sort(np.unique(found, return_index=True)[1])]) == list(range(10))
    assert (clusters(images, 10).numpy() == found).all(), "the same for the same images"


def test_digits_fall_together_with_their_classes_far_above_chance() -> None:
    images = digits.load("train")
    assert images.labels is not None
    found = clusters(images.images, 20)
    most = sum(int(images.labels[found == k].bincount().max()) for k in range(20))
    assert most > 0.6 * len(images)  # by chance a tenth


def test_textures_tell_coloured_images_apart_whose_pixels_do_not() -> None:
    """Plain ones of many shades, half of them with fine stripes."""
    striped = torch.arange(200) % 2
    shades = torch.linspace(100, 155, 200)[:, None, None, None].expand(200, 3, 32, 32).clone()
    shades[striped == 1] += 90 * (torch.arange(32) % 2 * 2 - 1)
    found = clusters(shades.to(torch.uint8), 6)
    assert all(striped[found == k].float().mean() in (0, 1) for k in range(6))
    grey = clusters(shades[:, :1].to(torch.uint8), 6)
    assert all(0.3 < striped[grey == k].float().mean() < 0.7 for k in range(6)), "grey images go by pixels alone"


def test_no_more_clusters_than_different_images() -> None:
    images = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    images[20:] = 255
    assert clusters(images, 5).tolist() == [0] * 20 + [1] * 20


def test_many_images_are_put_to_the_centres_of_some() -> None:
    shade = torch.arange(FITTED + 500) % 4
    images = (shade * 80).to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    assert (clusters(images, 4) == shade).all()


def test_classes_go_before_clusters(make_set: Make) -> None:
    images = make_set((40, 50, 60))
    assert conditioned(images, True, 10) is images
    other = conditioned(images, False, 3)
    assert other.images is images.images
    assert (other.classes, other.clustered) == (3, True)


def test_images_without_classes_are_told_by_clusters_if_they_are_enough(make_set: Make) -> None:
    images = make_set(155)
    three, none, few = conditioned(images, True, 10), conditioned(images, True, 0), conditioned(make_set(99), True, 10)
    assert (three.classes, three.clustered) == (3, True)
    assert three.take(np.arange(5)).clustered
    assert all((rest.labels, rest.clustered) == (None, False) for rest in (none, few))


def test_images_that_are_all_one_have_no_clusters(make_set: Make) -> None:
    images = ImageSet("one", make_set(1).images.expand(150, -1, -1, -1))
    assert (conditioned(images, True, 3).labels, conditioned(images, True, 3).clustered) == (None, False)


def test_a_single_class_is_none(make_set: Make) -> None:
    assert conditioned(make_set((100,)), True, 2).clustered
