import dataclasses

import numpy as np
import pytest
import torch

from fromnoise.data import digits, idx
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.evaluation import digit_network
from fromnoise.evaluation.extractor import Features
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
    assert digit_network.WEIGHTS.stat().st_size < 3e6


def test_features_do_not_depend_on_the_batch():
    images = digits.load("val").images[:70]
    whole = features("digits")(images)
    by_nine = dataclasses.replace(features("digits"), batch=9)(images)
    torch.testing.assert_close(by_nine, whole, rtol=1e-4, atol=1e-5)
    assert whole.shape == (70, 64)


def test_features_do_not_depend_on_how_images_lie_in_memory():
    images = digits.load("val").images[:64]
    other = images.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
    assert other.stride() != images.stride()
    assert torch.equal(features("digits")(other), features("digits")(images))


def test_images_are_mapped_in_batches_of_one_size_and_the_rest():
    seen = []

    def extract(batch):
        seen.append(len(batch))
        return batch.flatten(1).float()

    images = digits.load("val").images[:70]
    found = dataclasses.replace(features("pixels"), extract=extract, batch=16)(images)
    assert seen == [16, 16, 16, 16, 6]
    assert torch.equal(found, images.flatten(1).float())


def test_features_are_the_packaged_networks():
    images = resize(digits.load("val").images[:70], (32, 32))
    with torch.inference_mode():
        expected = digit_network.packaged().features(normalise(images))
    torch.testing.assert_close(features("digits")(images), expected, rtol=1e-5, atol=1e-5)


def test_features_are_those_of_the_resized_digit():
    images = digits.load("val").images[:5]
    torch.testing.assert_close(features("digits")(images), features("digits")(resize(images, (32, 32))))


def test_colour_is_read_as_its_luminance():
    grey = digits.load("val").images[:5]
    torch.testing.assert_close(features("digits")(grey.expand(-1, 3, -1, -1)), features("digits")(grey))


def test_progress_is_told(bars):
    features("digits")(torch.zeros(300, 1, 32, 32, dtype=torch.uint8))
    assert bars == [("digits features", 256, 300), ("digits features", 300, 300)]


@pytest.mark.parametrize("name", ["clip", "onnx", "onnx:", "inception:mine.pt", "digits:val"])
def test_unknown_features_are_refused_with_the_known_ones(name):
    with pytest.raises(UserError) as refused:
        features(name)
    known = "auto, digits, general, inception, dinov2, pixels, onnx:PATH"
    assert str(refused.value) == f"unknown features '{name}'; choose one of: {known}"


def test_weights_for_features_that_have_none_are_refused(tmp_path):
    with pytest.raises(UserError, match="--weights is for --features inception and dinov2, not digits"):
        features("digits", weights=tmp_path / "weights.pt")


def test_what_a_report_says_of_the_digit_features():
    extract = features("digits")
    assert (extract.resizing, extract.colour, extract.known) == (
        "bilinear, antialiased, rounded to 8 bits",
        "luminance",
        True,
    )


def test_pixels_are_the_values_themselves():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8))
    extract = features("pixels")
    assert extract.dimension == 0  # not known before there is an image
    values = extract(images)
    assert (values.dtype, extract.dimension, extract.sha256) == (torch.float64, 72, "")
    assert np.array_equal(values.numpy(), images.numpy().reshape(5, 72))


def test_pixels_of_two_sizes_are_refused():
    extract = features("pixels")
    extract(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(UserError, match="pixels: images of 3×8×8 give 192 features, not 64"):
        extract(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_features_that_are_not_finite_are_refused():
    extract = Features("broken", 1, "", lambda images: images.float().mean((2, 3)) / 0)
    with pytest.raises(UserError, match="broken: some features are not finite"):
        extract(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_digits_that_are_damaged_are_far_away():
    """What the network is for: cut strokes must show, by more than another draw of digits does."""
    from fromnoise.evaluation.frechet import Moments, distance

    extract = features("digits")
    real, other = (digits.load(part).subset(500, 0) for part in ("heldout", "val"))
    cut = other.images.clone()
    cut[:, :, 12:15] = 0
    reference = Moments.of(extract(real.images))
    floor = distance(Moments.of(extract(other.images)), reference)
    damaged = distance(Moments.of(extract(ImageSet("cut", cut).images)), reference)
    assert damaged > 10 * floor
