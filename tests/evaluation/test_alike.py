import numpy as np
import pytest
import torch

from fromnoise.data import digits
from fromnoise.data.resize import resize
from fromnoise.evaluation.alike import Gallery, turns


@pytest.fixture(scope="module")
def images():
    return digits.load("train").images[:200]


def by_hand(one, other):
    """The distance of two 28×28 images, pixel by pixel."""

    def smooth(x):
        x = np.pad(x[0].numpy().astype(float), 1, mode="edge")
        x = (x[:-2] + 2 * x[1:-1] + x[2:]) / 4
        return (x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]) / 4

    def standard(x):
        return (x - x.mean()) / np.sqrt(x.var() + 7.65**2)

    one, other = smooth(one), standard(smooth(other)[2:-2, 2:-2])
    return min(
        np.sqrt(np.mean((standard(one[y : y + 24, x : x + 24]) - other) ** 2)) for y in range(5) for x in range(5)
    )


def test_the_distance_is_the_least_over_shifts_of_standardised_images(images):
    gallery, queries = Gallery(images[:40]), images[100:110]
    found = gallery.nearest(queries, 40)
    for k, query in enumerate(queries):
        expected = [by_hand(query, images[row]) for row in found.indices[k][:5]]
        assert found.distances[k][:5] == pytest.approx(expected, abs=1e-4)
        assert found.distances[k][0] == pytest.approx(min(by_hand(query, image) for image in images[:40]), abs=1e-4)


@pytest.mark.parametrize("change", [
    lambda x: x, lambda x: (0.6 * x).to(torch.uint8), lambda x: torch.roll(x, (-2, 2), (2, 3)),
    lambda x: torch.roll(x, (1, 0), (2, 3)), lambda x: x.expand(-1, 3, -1, -1),
])  # fmt: skip
def test_what_a_person_does_not_see_is_no_distance(images, change):
    found = Gallery(images).nearest(change(images), 2)
    assert (found.indices[:, 0] == np.arange(200)).all()
    assert np.quantile(found.distances[:, 0], 0.9) < 0.05
    assert np.median(found.distances[:, 1]) > 0.3


@pytest.mark.parametrize(("side", "shift"), [(64, (1, 1)), (64, (-1, 2)), (128, (2, -2)), (40, (1, -2))])
def test_larger_images_may_be_moved_by_less_than_a_pixel_of_what_is_compared(images, side, shift):
    """They are compared at 32 pixels a side, where one of 64 is half a pixel."""
    large = resize(images, (side, side if side != 40 else 56))
    found = Gallery(large).nearest(torch.roll(large, shift, (2, 3)), 2)
    assert (found.indices[:, 0] == np.arange(200)).all()
    assert np.quantile(found.distances[:, 0], 0.9) < 0.05


def test_neighbours_are_of_different_groups_and_none_is_left_out(images):
    twins = images.repeat(6, 1, 1, 1)
    groups = torch.arange(200).repeat(6)
    found, plain = Gallery(twins, groups).nearest(images[:20], 5), Gallery(images).nearest(images[:20], 5)
    assert (found.indices % 200 == plain.indices).all()
    assert found.distances == pytest.approx(plain.distances)
    others = Gallery(twins, groups).nearest(images[:20], 5, own=groups[:20])
    assert (others.indices[:, :4] % 200 == plain.indices[:, 1:]).all()
    with pytest.raises(ValueError, match="no 4 of 3 distinct images"):
        Gallery(images[:3]).nearest(images, 4)


def test_flat_images_are_alike_and_results_do_not_depend_on_what_is_asked_beside(images):
    flat = torch.full((2, 1, 28, 28), 100, dtype=torch.uint8)
    flat[1, 0, 5, 5] = 104
    gallery = Gallery(torch.cat([images, flat[:1]]))
    found = gallery.nearest(flat, 1)
    assert (found.indices == 200).all()
    assert (found.distances < 0.1).all()
    assert gallery.nearest(images[3:4], 3).distances[0] == pytest.approx(gallery.nearest(images, 3).distances[3])


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 9, 14), (3, 64, 40), (1, 1, 1)])
def test_images_of_any_size(shape):
    some = torch.randint(0, 256, (30, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = Gallery(some).nearest(some, 2)
    assert Gallery(some).nearest(torch.zeros(2, 1, 80, 20, dtype=torch.uint8), 1).distances.shape == (2, 1)
    if shape != (1, 1, 1):
        assert (found.indices[:, 0] == np.arange(30)).all()


def test_square_images_turn_by_quarters_and_others_by_halves():
    square, wide = torch.arange(9).view(1, 1, 3, 3).byte(), torch.arange(6).view(1, 1, 2, 3).byte()
    assert len({tuple(each.flatten().tolist()) for each in turns(square, True)}) == 8
    seen = list(turns(wide, False))
    assert len({tuple(each.flatten().tolist()) for each in seen}) == 4
    assert all(each.shape == wide.shape for each in seen)
