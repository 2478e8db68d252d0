import pytest
import torch

from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.experiment.reject import copy_guard
from fromnoise.say import captured


@pytest.fixture(scope="module")
def parts():
    """Digits to train on, held-out ones, and fresh ones that nobody has seen."""
    return digits.load("train").subset(600, 0), digits.load("heldout").subset(600, 0), digits.load("val").images[:500]


def of(images, name="images"):
    return ImageSet(name, images)


def some(n, shape=(1, 6, 5)):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def noisy(images, deviation=8.0):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + deviation * noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("with_held_out", [True, False])
def test_the_guard_takes_copies_and_one_fresh_image_in_a_hundred(parts, with_held_out):
    train, held_out, fresh = parts
    guard = copy_guard(train, held_out if with_held_out else None)
    some = train.images[:60]
    for copies in (some, noisy(some), some.flip(3), torch.roll(some, 1, 2), (0.6 * some).to(torch.uint8)):
        assert guard(copies).float().mean() > 0.98
    taken = guard(fresh)
    assert taken.dtype == torch.bool
    assert 0 < taken.float().mean() < 0.025
    assert torch.equal(guard(fresh[:3]), taken[:3])


def test_copies_are_recognised_where_fresh_images_are_mirror_images_of_training_images(parts):
    train, held_out, _ = parts
    twins = of(torch.cat([held_out.images, noisy(train.images[:300].flip(3))]))
    with captured() as said:
        guard = copy_guard(train, twins)
    assert guard(noisy(train.images[:60])).float().mean() > 0.9
    assert guard(twins.images).float().mean() < 0.02
    assert said[0].endswith("are recognised when they are a little changed, and no mirrored ones")


def test_what_a_guard_cannot_tell_is_refused():
    with pytest.raises(UserError, match=r"too few distinct images to detect copies \(49\)"):
        copy_guard(of(some(49)))
    with pytest.raises(UserError, match=r"too few distinct images to detect copies \(1\)"):
        copy_guard(of(some(1).repeat(60, 1, 1, 1)))
