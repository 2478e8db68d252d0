import numpy as np
import torch

from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.evaluation.overlap import overlap


def test_training_digits_in_the_reference_are_found_and_said():
    """600 of them among 1,000 held-out ones bring the FID of a model that only memorises far below the floor."""
    train, held_out = digits.load("train"), digits.load("heldout").images[:400]
    found = overlap(ImageSet("reference", torch.cat([held_out, train.images[:600]])), train)
    assert (found.identical, found.near, found.n) == (600, 0, 1000)
    assert found.verdict == "600 of the 1,000 images of reference are in digits:train too, byte for byte"


def test_noisy_and_brighter_training_digits_are_found_as_near():
    train = digits.load("train")
    noisy = train.images[:50] + torch.from_numpy(np.random.default_rng(0).normal(0, 6, (50, 1, 28, 28)))
    bright = train.images[50:60] * 0.7 + 20
    changed = torch.cat([noisy, bright, train.images[60:61]]).round().clamp(0, 255).to(torch.uint8)
    found = overlap(ImageSet("reference", changed), train)
    assert (found.identical, found.near, found.n) == (1, 60, 61)
    assert found.verdict.endswith(
        "61 of the 61 images of reference are in digits:train too: 1 byte for byte and 60 as near-duplicates"
    )
    one = overlap(ImageSet("noisy", changed[:1]), train).verdict
    assert one == "1 of the 1 images of noisy has near-duplicates in digits:train"


def test_mirrored_and_turned_images_are_found_where_they_are_asked_for():
    train = digits.load("train").take(np.arange(1000))
    some = train.images[:60]
    changed = torch.cat([some[:20].flip(3), some[20:40].flip(2), some[40:].rot90(1, (2, 3))])
    found = overlap(ImageSet("turned", changed), train, turned=True)
    assert found.near <= 10  # those that look the same when they are turned
    assert found.near / 60 + found.turned > 0.95
    assert "near-duplicates if mirrored or rotated by quarter turns" in found.verdict
    assert overlap(ImageSet("turned", changed), train).turned == 0
    val = digits.load("val").take(np.arange(300))
    assert overlap(val, train, turned=True).turned < 0.02


def test_mirrored_images_larger_than_what_is_compared_may_be_off_by_their_own_pixel():
    train = resized(digits.load("train").take(np.arange(300)), (64, 64))
    changed = train.images[:60].flip(3).roll((1, 1), (2, 3))
    found = overlap(ImageSet("turned", changed), train, turned=True)
    assert found.near / 60 + found.turned > 0.95


def test_sets_that_are_called_images_are_not_called_so_twice():
    train = digits.load("train")
    ours, theirs = (train.take(np.arange(20), name) for name in ("the generated images", "the reference"))
    assert overlap(ours, theirs).verdict == "20 of the 20 generated images are in the reference too, byte for byte"
    assert overlap(theirs, ours).verdict.startswith("20 of the 20 images of the reference are in the generated")


def test_grey_saved_as_rgb_is_found_to_the_byte():
    train = digits.load("train")
    assert overlap(ImageSet("rgb", train.images[:20].expand(-1, 3, -1, -1)), train).identical == 20


def test_blank_images_do_not_overlap():
    blank = torch.zeros(30, 1, 28, 28, dtype=torch.uint8)
    train, val = (digits.load(part).images for part in ("train", "val"))
    sets = [ImageSet("some", torch.cat([blank, images[:100]])) for images in (val, train)]
    assert overlap(*sets, turned=True).verdict == "none of the 130 images of some is in some"


def test_real_digits_that_nobody_trained_on_do_not_overlap():
    found = overlap(digits.load("val"), digits.load("train"))
    assert found.identical == 0
    assert found.near <= 2
