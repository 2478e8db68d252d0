import tracemalloc

import numpy as np
import torch
from PIL import Image

from fromnoise.data.colour import is_grey, luminance, plain, premultiplied, with_channels
from fromnoise.data.image_set import ImageSet


def test_luminance_is_pillows():
    """To a grey level: Pillow's weights are in 16 bits and it rounds at another place."""
    colour = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    theirs = torch.from_numpy(np.array(Image.fromarray(colour).convert("L"))).int()
    ours = luminance(torch.from_numpy(colour).permute(2, 0, 1)[None])[0, 0].int()
    assert (ours - theirs).abs().max() <= 1


def test_every_grey_level_survives_being_saved_as_colour(make_set):
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(luminance(levels.expand(-1, 3, -1, -1)), levels)
    grey = make_set(5)
    coloured = with_channels(grey, 3)
    assert coloured.shape == (3, 8, 8)
    assert torch.equal(plain(coloured).images, grey.images)
    assert plain(coloured).images.is_contiguous()
    assert plain(grey) is grey


def test_one_coloured_pixel_makes_a_set_coloured(make_images):
    images = make_images(5).repeat(1, 3, 1, 1)
    assert is_grey(images)
    images[4, 1, 7, 7] ^= 1
    assert not is_grey(images)
    assert plain(ImageSet("coloured", images)).shape[0] == 3


def test_each_colour_is_multiplied_by_its_alpha_and_rounded():
    colour, alpha = np.indices((256, 256))
    pixels = np.stack([colour, 255 - colour, colour, alpha], -1).astype(np.uint8)
    wanted = np.rint(pixels[..., :3] * (alpha[..., None] / 255))
    found = premultiplied(pixels)
    assert np.array_equal(found[..., :3], wanted)
    assert np.array_equal(found[..., 3], alpha)
    assert np.array_equal(premultiplied(pixels.transpose(1, 0, 2)), found.transpose(1, 0, 2))


def test_a_large_picture_is_premultiplied_in_little_memory():
    pixels = np.full((2000, 1000, 4), 200, np.uint8)
    tracemalloc.start()
    found = premultiplied(pixels)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found[..., :3] == 157).all()
    assert most < 1.5 * pixels.nbytes
