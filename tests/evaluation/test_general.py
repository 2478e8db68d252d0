"""General features see what the digits' cannot, and are the same for everybody."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from benchmarks.damages import DAMAGES
from fromnoise.data import digits, patterns
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resize
from fromnoise.evaluation.features import automatic, choosing_features, features
from fromnoise.evaluation.frechet import Moments, distance


def coloured(images):
    """Digits in ink from red to yellow on paper from blue to green."""
    random = torch.Generator().manual_seed(0)
    ink, paper = torch.rand(2, len(images), 3, 1, 1, generator=random)
    ink, paper = ink * torch.tensor([55, 200, 40]).view(3, 1, 1) + 200 * torch.eye(3)[0].view(3, 1, 1), paper * 120
    paper[:, 0] = 0
    cover = images.float() / 255
    return (cover * ink + (1 - cover) * paper).to(torch.uint8)


@pytest.fixture(scope="module")
def colours():
    """1,200 coloured digits."""
    return coloured(digits.load("train").images[:1200])


def ratio_in(name, colours):
    """From a damaged set to its FID over that of real images, as many."""
    extract = features(name, images=ImageSet("coloured", colours))
    reference = Moments.of(extract(colours[:600]))
    floor = distance(Moments.of(extract(colours[600:])), reference)
    return lambda damaged: distance(Moments.of(extract(damaged)), reference) / floor


@pytest.fixture(scope="module")
def ratio(colours):
    return ratio_in("auto", colours)


def test_grey_images_do_not_pass_for_coloured_ones(colours, ratio):
    """In digit features, on luminance, they do."""
    grey = DAMAGES["grey"](colours[600:], 1)
    assert ratio(grey) > 2
    assert ratio_in("digits", colours)(grey) < 1.1


@pytest.mark.parametrize("name", [name for name, damage in DAMAGES.items() if damage.seen])
def test_what_a_person_sees_costs(name, colours, ratio):
    middle, strong = (ratio(DAMAGES[name](colours[600:], strength)) for strength in DAMAGES[name].strengths[1:])
    assert 2 < middle < strong


def test_what_nobody_sees_costs_little(colours, ratio):
    unseen = DAMAGES["noise nobody sees"]
    assert ratio(unseen(colours[600:], unseen.strengths[1])) < 1.5


def test_features_are_of_the_file_whose_hash_they_tell():
    extract = features("general")
    assert extract.sha256 == hashlib.sha256(patterns.WEIGHTS.read_bytes()).hexdigest()
    assert (extract.name, extract.known) == ("general", True)
    assert patterns.WEIGHTS.stat().st_size < 1e6


def test_features_do_not_depend_on_the_batch(colours):
    extract = features("general")
    whole = extract(colours[:50])
    assert whole.shape == (50, extract.dimension)
    torch.testing.assert_close(dataclasses.replace(extract, batch=9)(colours[:50]), whole, rtol=1e-4, atol=1e-4)


def test_grey_is_read_as_rgb_of_three_equal_channels():
    grey = digits.load("val").images[:20]
    extract = features("general")
    assert torch.equal(extract(grey), extract(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (32, 48), (100, 70)])
def test_images_of_any_size_have_features(shape):
    images = torch.randint(0, 256, (3, 3, *shape), dtype=torch.uint8)
    extract = features("general")
    assert extract(images).shape == (3, extract.dimension)
    assert "32×32" in extract.resizing


def test_auto_knows_digits_by_their_looks(colours):
    assert automatic(digits.load("val")) == "digits"
    assert automatic(ImageSet("somebody's", digits.load("val").images[:60])) == "digits"
    assert automatic(ImageSet("digits", colours)) == "general"
    assert features("auto", images=digits.load("val")).name == "digits"


def letters():
    """200 printed letters, light on dark as MNIST's digits are."""
    font = ImageFont.load_default(24)
    images = np.zeros((200, 1, 28, 28), np.uint8)
    for k, image in enumerate(images):
        picture = Image.new("L", (28, 28))
        ImageDraw.Draw(picture).text((14, 14), "ABCDEFGHKMNPRTUVWXYZ"[k % 20], font=font, fill=255, anchor="mm")
        image[0] = picture.rotate(k % 21 - 10)
    return torch.from_numpy(images)


@pytest.mark.parametrize("images", [
    letters(),
    255 - digits.load("val").images[:200],
    torch.randint(0, 256, (200, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.zeros(200, 1, 28, 28, dtype=torch.uint8),
], ids=["letters", "dark on light", "noise", "nothing"])  # fmt: skip
def test_auto_takes_nothing_else_for_digits(images):
    assert automatic(ImageSet("somebody's", images)) == "general"


@pytest.mark.parametrize("side", [16, 20, 32, 64])
def test_auto_knows_digits_of_other_sizes(side):
    small = resize(digits.load("val").images[:300], (side, side))
    assert automatic(ImageSet("somebody's", small.expand(-1, 3, -1, -1))) == "digits"


def test_auto_needs_images():
    with pytest.raises(ValueError, match="auto goes by the images"):
        features("auto")


def test_transparent_images_are_seen_on_mid_grey(colours):
    alpha = torch.randint(0, 256, (20, 1, *colours.shape[2:]), dtype=torch.uint8)
    seen = torch.minimum(colours[:20], alpha)
    by_hand = (seen.float() + (255 - alpha.float()) / 2).round().to(torch.uint8)
    for name in ("general", "digits"):
        extract = features(name)
        torch.testing.assert_close(extract(torch.cat([seen, alpha], 1)), extract(by_hand), rtol=0.02, atol=0.02)
    assert "RGBA on mid-grey" in features("general").colour


def test_channels_without_colours_are_seen_one_by_one(colours):
    five = torch.cat([colours[:20], colours[20:40, :2]], dim=1)
    extract = features("auto", images=ImageSet("five", five))
    assert extract.name == "general"
    each = torch.stack([extract(five[:, c : c + 1]) for c in range(5)]).mean(dim=0)
    torch.testing.assert_close(extract(five), each, rtol=1e-4, atol=1e-4)
    assert "of other channels each as grey" in extract.colour
    assert choosing_features(torch.device("cpu"))(five).shape == (20, 192)


def test_white_on_transparent_is_no_digit():
    white = digits.load("val").images[:200]
    assert automatic(ImageSet("clear", white.repeat(1, 4, 1, 1))) == "general"
