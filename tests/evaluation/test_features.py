import pytest
import torch

from fromnoise.data import digits, idx
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.evaluation import digit_network
from fromnoise.evaluation.features import features


def accuracy(images):
    network = digit_network.packaged()
    pixels = resize(images.images, (32, 32))
    with torch.inference_mode():
        read = torch.cat([network(normalise(part)).argmax(1) for part in pixels.split(500)])
    return (read == images.labels).float().mean().item()


def test_the_network_reads_digits_it_never_saw():
    assert accuracy(digits.load("heldout")) >= 0.99


@pytest.mark.slow
def test_the_network_reads_the_mnist_test_set(mnist_root):
    assert accuracy(idx.load("mnist", "test", mnist_root)) >= 0.995


def test_the_weights_are_small():
    assert len(digit_network.packaged_bytes()) < 3e6


def test_features_do_not_depend_on_the_batch(monkeypatch):
    images = digits.load("val").images[:70]
    whole = features("digits")(images)
    monkeypatch.setattr("fromnoise.evaluation.features.BATCH", 9)
    torch.testing.assert_close(features("digits")(images), whole, rtol=1e-4, atol=1e-5)
    assert whole.shape == (70, 64)


def test_features_are_those_of_the_resized_digit():
    images = digits.load("val").images[:5]
    torch.testing.assert_close(features("digits")(images), features("digits")(resize(images, (32, 32))))


def test_colour_is_read_as_its_luminance():
    grey = digits.load("val").images[:5]
    torch.testing.assert_close(features("digits")(grey.expand(-1, 3, -1, -1)), features("digits")(grey))


def test_progress_is_told():
    told = []
    features("digits")(torch.zeros(300, 1, 32, 32, dtype=torch.uint8), lambda done, total: told.append((done, total)))
    assert told == [(256, 300), (300, 300)]


def test_unknown_features_are_refused_with_the_known_ones():
    with pytest.raises(UserError, match="unknown features 'clip'; choose one of: digits"):
        features("clip")


def test_digits_that_are_damaged_are_far_away():
    """What the network is for: cut strokes must show, by more than another draw of digits does."""
    from fromnoise.evaluation.frechet import Moments, distance

    extract = features("digits")
    real, other = digits.load("heldout"), digits.load("val")
    cut = other.images.clone()
    cut[:, :, 12:15] = 0
    reference = Moments.of(extract(real.images))
    floor = distance(Moments.of(extract(other.images)), reference)
    damaged = distance(Moments.of(extract(ImageSet("cut", cut).images)), reference)
    assert damaged > 10 * floor
