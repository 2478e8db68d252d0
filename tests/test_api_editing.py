"""Editing from Python: vary, inpaint, upscale and interpolate."""

import numpy as np
import pytest
import torch
from PIL import Image

import fromnoise

pytestmark = pytest.mark.usefixtures("few_digits")


def test_images_are_varied_filled_in_enlarged_and_blended(packaged):
    images = packaged.sample(2, steps=2)
    variants = packaged.vary(images, 3, strength=0.4, seed=1, steps=2)
    assert isinstance(variants, fromnoise.Images)
    assert variants.shape == (6, 32, 32, 1)
    assert not np.array_equal(variants[0], variants[1])
    assert np.array_equal(packaged.vary(images, strength=0), images)
    mask = np.zeros((32, 32), bool)
    mask[16:] = True
    filled = packaged.inpaint(images, mask, steps=2, label=3)
    assert np.array_equal(filled[:, :16], images[:, :16])
    assert np.array_equal(filled, packaged.inpaint(images, 255 * mask.astype(np.uint8), steps=2, label=3))
    small = images[:, ::2, ::2]
    large = packaged.upscale(small, steps=2)
    assert np.array_equal(np.asarray(large).reshape(2, 16, 2, 16, 2, 1).mean(axis=(2, 4)), small)
    images = packaged.sample(2)
    path = packaged.interpolate(images[0], images[1], 3)
    assert path.shape == (3, 32, 32, 1)
    assert np.abs(path[-1].astype(int) - images[1]).mean() < 2
    with pytest.raises(fromnoise.UserError, match="half its own size"):
        packaged.upscale(images)


def test_images_to_edit_may_have_other_channels_than_the_models(packaged):
    """What was sampled decided it: opaque images of a model of transparent ones were refused."""
    clipart = fromnoise.load("clipart", quiet=True)
    opaque = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 4), np.uint8)
    opaque[..., 3] = 255
    for images in (opaque, opaque[..., :3]):
        assert np.array_equal(clipart.vary(images, strength=0), opaque)
        assert clipart.inpaint(images, np.eye(32, dtype=bool), steps=1).shape == (2, 32, 32, 4)
        assert clipart.upscale(images[:, ::2, ::2], steps=1).shape == (2, 32, 32, 4)
    assert clipart.interpolate(*opaque, n=2).shape == (2, 32, 32, 4)
    assert packaged.vary(opaque, strength=0).shape == (2, 32, 32, 1)
    for edited in (lambda: packaged.vary(opaque / 255), lambda: packaged.interpolate(*opaque / 255)):
        with pytest.raises(fromnoise.UserError, match="images to edit must be bytes"):
            edited()


def test_one_image_to_edit_needs_no_dimension_more(packaged):
    images = packaged.sample(1, steps=1)
    one, half, mask = images[0], images[:, ::2, ::2], Image.fromarray(np.eye(32, dtype=bool))
    grey = np.array(one[..., 0])
    for given in (one, grey, Image.fromarray(grey), torch.from_numpy(grey)):
        assert np.array_equal(packaged.vary(given, 2, steps=1), packaged.vary(images, 2, steps=1))
    assert np.array_equal(packaged.inpaint(one, mask, steps=1), packaged.inpaint(images, np.eye(32) > 0, steps=1))
    assert np.array_equal(packaged.upscale(half[0], steps=1), packaged.upscale(half, steps=1))
    assert np.array_equal(packaged.interpolate(one, grey, 2), packaged.interpolate(images, images, 2))
    with pytest.raises(fromnoise.UserError, match="goes from one image to one other, not from or to 2"):
        packaged.interpolate(one, np.concatenate([images, images]))


@pytest.mark.parametrize("mode", ["P", "CMYK"])
def test_a_picture_whose_numbers_are_no_colours_is_refused(packaged, mode):
    picture = Image.new("RGB", (32, 32), (9, 99, 199)).convert(mode)
    for given in (picture, [picture]):
        with pytest.raises(fromnoise.UserError, match=rf"Pillow's mode {mode} is not grey, RGB or RGBA: convert it"):
            packaged.vary(given)
