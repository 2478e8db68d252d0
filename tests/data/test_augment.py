import math

import pytest
import torch

from fromnoise import rng
from fromnoise.data import augment

TURN, SIZE, STRETCH, LEAN, RIGHT, DOWN = range(6)


def change(n=1, **numbers):
    """The same change for n images, in radians, logarithms and shares of the side."""
    row = torch.zeros(augment.NUMBERS)
    for name, value in numbers.items():
        k = globals()[name]
        row[k] = value / augment.UNITS[k]
    return row.repeat(n, 1)


@pytest.fixture
def images():
    def make(*shape):
        return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1

    return make


def draw(n, share, step=0):
    return augment.random_changes(n, share, rng.generator(0, "augment", step))


def spot(height, width, right, down):
    """An image that is dark but for a soft spot, so far from its middle."""
    x = torch.arange(width) - (width - 1) / 2 - right
    y = torch.arange(height)[:, None] - (height - 1) / 2 - down
    return 2 * torch.exp(-(x**2 + y**2) / 4)[None, None] - 1


def place(image):
    """Where the centre of an image's brightness lies, from its middle: (right, down)."""
    light = (image[0, 0] + 1).double()
    height, width = light.shape
    right = (light.sum(0) * (torch.arange(width) - (width - 1) / 2)).sum() / light.sum()
    down = (light.sum(1) * (torch.arange(height) - (height - 1) / 2)).sum() / light.sum()
    return right.item(), down.item()


@pytest.mark.parametrize("shape", [(3, 1, 16, 16), (3, 3, 7, 12)])
def test_no_change_changes_nothing(images, shape):
    x = images(*shape)
    assert torch.equal(augment.apply(x, torch.zeros(3, 6)), x)
    torch.testing.assert_close(augment.warp(x, torch.zeros(3, 6)), x, rtol=0, atol=1e-5)


def test_rows_with_a_change_are_changed_and_the_others_are_the_same_to_the_bit(images):
    x, numbers = images(6, 1, 16, 16), draw(6, 1.0)
    numbers[[0, 3, 4]] = 0
    before = x.clone()
    got = augment.apply(x, numbers)
    assert torch.equal(x, before)
    assert torch.equal(got[[0, 3, 4]], x[[0, 3, 4]])
    for k in (1, 2, 5):
        assert (got[k] - x[k]).abs().max() > 0.1
        torch.testing.assert_close(got[k : k + 1], augment.warp(x[k : k + 1], numbers[k : k + 1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 24)])
@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -2), (-1, 4)])
def test_a_shift_by_whole_pixels_rolls_the_image(images, height, width, right, down):
    x = images(2, 3, height, width)
    got = augment.warp(x, change(2, RIGHT=right / width, DOWN=down / height))
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(got[inner], x.roll((down, right), (2, 3))[inner], rtol=0, atol=1e-5)


def test_beyond_the_border_is_the_border(images):
    x = images(1, 1, 16, 16)
    got = augment.warp(x, change(RIGHT=3 / 16))
    torch.testing.assert_close(got[..., :3], x[..., :1].expand(1, 1, 16, 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [15, 16])
@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_a_turn_by_right_angles_is_exact(images, side, quarters):
    x = images(2, 3, side, side)
    got = augment.warp(x, change(2, TURN=quarters * math.pi / 2))
    torch.testing.assert_close(got, torch.rot90(x, -quarters, (2, 3)), rtol=0, atol=1e-5)


def test_angles_are_right_in_images_that_are_not_square():
    # What lies 8 pixels right of the middle of a wide image comes to lie 8 pixels below it.
    turned = place(augment.warp(spot(31, 41, 8, 0), change(TURN=math.pi / 2)))
    assert turned == pytest.approx((0, 8), abs=1e-3)


@pytest.mark.parametrize(
    ("numbers", "right", "down"),
    [
        ({"SIZE": math.log(1.5)}, 9, 6),
        ({"STRETCH": math.log(1.5)}, 9, 4 / 1.5),
        # exp [[0, q], [q, 0]]: hyperbolic cosine and sine
        ({"LEAN": 0.2}, 6 * math.cosh(0.2) + 4 * math.sinh(0.2), 4 * math.cosh(0.2) + 6 * math.sinh(0.2)),
        ({"SIZE": math.log(1.5), "RIGHT": 2 / 41, "DOWN": -3 / 31}, 11, 3),
        ({"TURN": math.radians(30)}, 6 * 0.75**0.5 - 4 * 0.5, 6 * 0.5 + 4 * 0.75**0.5),
    ],
)
def test_each_number_moves_a_point_as_it_says(numbers, right, down):
    got = place(augment.warp(spot(31, 41, 6, 4), change(**numbers)))
    assert got == pytest.approx((right, down), abs=0.02)


def test_about_the_share_asked_for_is_changed_by_numbers_of_unit_size():
    n, share = 20_000, 0.3
    numbers = draw(n, share)
    changed = numbers.any(dim=1)
    assert changed.float().mean().item() == pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5)
    assert (numbers[changed] != 0).all()
    assert numbers.dtype == torch.float32
    assert numbers.abs().max() == augment.LARGEST
    # The deviation of a standard normal number that is clipped at 2 is 0.960.
    assert numbers[changed].std(dim=0).numpy() == pytest.approx(0.960, abs=0.04)
    assert numbers[changed].mean(dim=0).numpy() == pytest.approx(0, abs=0.06)
    assert not draw(100, 0.0).any()
    assert draw(100, 1.0).any(dim=1).all()


def test_changes_are_a_function_of_the_step():
    assert torch.equal(draw(8, 1.0, 3), draw(8, 1.0, 3))
    assert not torch.equal(draw(8, 1.0, 3), draw(8, 1.0, 4))


def test_beyond_the_border_may_be_transparent(images):
    x = images(2, 4, 16, 16)
    got = augment.warp(x, change(2, RIGHT=3 / 16), beyond=-1.5)
    torch.testing.assert_close(got[..., :3], torch.full((2, 4, 16, 3), -1.5), rtol=0, atol=1e-5)
    torch.testing.assert_close(got[..., 3:], x[..., :-3], rtol=0, atol=1e-5)
    torch.testing.assert_close(augment.warp(x, change(2), beyond=-1.5), x, rtol=0, atol=1e-5)
