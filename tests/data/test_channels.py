"""What a pixel may be: transparency, depth, palettes, print colours, proportions; by Pillow, torchvision and hand."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, features
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as V

from fromnoise.data import arrays, colour, folder, picture, sources
from fromnoise.data.image_set import ImageSet, digests
from fromnoise.data.pixels import as_bytes
from fromnoise.data.resize import resize
from fromnoise.data.settings import DataSettings, Size
from fromnoise.data.source import Reading
from fromnoise.errors import UserError
from fromnoise.say import captured


def noise(*shape):
    return np.random.default_rng(shape).integers(0, 256, shape, np.uint8)


def with_key(mode, key):
    """An image of noise one of whose colours, that of a corner, is to be transparent."""
    pixels = noise(6, 5, 3) if mode == "RGB" else noise(6, 5)
    pixels[0, 0] = key
    return Image.fromarray(pixels)


def palette():
    image = Image.new("P", (5, 6))
    image.putpalette(noise(30, 3).tobytes())
    image.putdata(range(30))
    return image


def on_its_side():
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


RGBA = Image.fromarray(noise(6, 5, 4))
OPAQUE = Image.fromarray(np.dstack([noise(6, 5, 3), np.full((6, 5), 255, np.uint8)]))
TABLE = {
    "grey": ("png", Image.fromarray(noise(6, 5)), "L", {}),
    "one bit": ("png", Image.fromarray(noise(6, 5) > 127), "L", {}),
    "RGB": ("png", Image.fromarray(noise(6, 5, 3)), "RGB", {}),
    "RGBA": ("png", RGBA, "RGBA", {}),
    "RGBA in TIFF": ("tiff", RGBA, "RGBA", {}),
    "RGBA in WebP": ("webp", RGBA, "RGBA", {"lossless": True, "exact": True}),
    "RGBA on its side": ("png", RGBA, "RGBA", on_its_side()),
    "RGBA without transparency": ("png", OPAQUE, "RGB", {}),
    "grey and alpha": ("png", Image.fromarray(noise(6, 5, 2)), "RGBA", {}),
    "grey and alpha without transparency": ("png", OPAQUE.convert("LA"), "L", {}),
    "grey with a transparent level": ("png", with_key("L", 9), "RGBA", {"transparency": 9}),
    "RGB with a transparent colour": ("png", with_key("RGB", (9, 8, 7)), "RGBA", {"transparency": (9, 8, 7)}),
    "palette": ("png", palette(), "RGB", {}),
    "palette with a transparent entry": ("png", palette(), "RGBA", {"transparency": 3}),
    "palette with an alpha each": ("png", palette(), "RGBA", {"transparency": bytes(range(60, 90))}),
    "GIF": ("gif", palette(), "RGB", {}),
    "GIF with a transparent entry": ("gif", palette(), "RGBA", {"transparency": 3}),
    "CMYK": ("tiff", Image.fromarray(noise(6, 5, 4), "CMYK"), "RGB", {}),
    "LAB": ("tiff", Image.fromarray(noise(6, 5, 3), "LAB"), "RGB", {}),
    "YCbCr": ("jpg", Image.fromarray(noise(6, 5, 3)).convert("YCbCr"), "RGB", {}),
    "16 bits in PNG": ("png", Image.fromarray(noise(6, 5).astype(np.uint16) * 257), None, {}),
    "16 bits in TIFF": ("tiff", Image.fromarray(noise(6, 5).astype(np.uint16) * 257), None, {}),
    "32 bits": ("tiff", Image.fromarray(noise(6, 5).astype(np.int32) * 70_000), None, {}),
    "floats": ("tiff", Image.fromarray(noise(6, 5) / np.float32(7)), None, {}),
}


@pytest.mark.parametrize("what", TABLE)
def test_every_kind_of_pixel_is_what_pillow_says(tmp_path, what):
    suffix, image, mode, how = TABLE[what]
    if suffix == "webp" and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    image.save(tmp_path / f"a.{suffix}", **how)
    with Image.open(tmp_path / f"a.{suffix}") as file:
        upright = ImageOps.exif_transpose(file)
        theirs = np.asarray(upright.convert(mode) if mode else upright)
    theirs = theirs.reshape(*theirs.shape[:2], -1)
    ours = picture.read(tmp_path / f"a.{suffix}").pixels
    if mode is None:
        assert ours.dtype == np.float32
        assert np.array_equal(ours, theirs.astype(np.float32))
    elif mode == "RGBA":
        shares = theirs[..., 3:] / 255
        assert np.array_equal(ours[..., 3], theirs[..., 3])
        assert abs(ours[..., :3] - theirs[..., :3] * shares).max() <= 0.5 + 1e-9
    else:
        assert np.array_equal(ours, theirs)


def test_premultiplied_colours_come_back_to_the_byte():
    """All pairs of a colour and an alpha that is no less."""
    colours, alpha = np.nonzero(np.tri(256).T)
    inside = np.stack([colours, colours // 2, 0 * colours, alpha], axis=-1).astype(np.uint8)
    outside = colour.straight(inside)
    assert np.array_equal(colour.premultiplied(outside), inside)
    seen = alpha > 0
    assert abs(outside[seen, 0] - np.minimum(255 * colours[seen] / alpha[seen], 255)).max() <= 0.5 + 1e-9
    assert not colour.straight(np.zeros((1, 4), np.uint8)).any()
    grey = noise(6, 5, 1)
    assert colour.straight(grey) is grey


@pytest.mark.parametrize("ground", [0, 255])
def test_transparency_is_laid_on_white_and_black_as_by_pillow(ground):
    below = Image.new("RGBA", RGBA.size, (ground, ground, ground, 255))
    theirs = np.asarray(Image.alpha_composite(below, RGBA).convert("RGB"))
    images = arrays.from_array("mine", np.asarray(RGBA)[None])
    assert images.shape == (4, 6, 5)
    ours = colour.laid(images, "white" if ground else "black")
    assert ours.shape == (3, 6, 5)
    assert abs(ours.images[0].permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1
    assert colour.laid(images, "keep") is images


def test_resizing_leaves_no_fringe():
    """A white disc: what is invisible around it was black, and what was half seen stays white."""
    y, x = np.mgrid[:64, :64] - 31.5
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[np.hypot(x, y) < 25] = 255
    small = resize(arrays.from_array("disc", pixels[None]).images, (13, 13))
    found = colour.straight(small[0].permute(1, 2, 0).numpy())
    edge = (found[..., 3] > 0) & (found[..., 3] < 255)
    assert edge.sum() > 20
    assert (found[found[..., 3] > 0][:, :3] == 255).all()
    assert (small[:, :3] <= small[:, 3:]).all()


def test_a_folder_is_rgba_where_one_image_is_transparent(tmp_path):
    grey, opaque, clear = noise(6, 5), noise(6, 5, 3), noise(6, 5, 4)
    for name, pixels in (("a", grey), ("b", opaque), ("c", np.asarray(OPAQUE)), ("d", clear), ("e", grey)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    with captured() as said:
        images = folder.load(tmp_path)
    assert said == [
        f"{tmp_path}: 5 images, no classes, RGBA, 6×5; 2 duplicates, 3 distinct; with transparency (1 image)"
    ]
    assert (images.images[[0, 1, 2, 4], 3] == 255).all()
    assert np.array_equal(images.images[0, :3], np.stack([grey] * 3))
    assert np.array_equal(images.images[1, :3].permute(1, 2, 0), opaque)
    assert np.array_equal(images.images[3].permute(1, 2, 0), colour.premultiplied(clear))


def test_transparent_images_come_back_true_to_the_byte(tmp_path):
    images = arrays.from_array("mine", noise(7, 6, 5, 4))
    folder.save(tmp_path / "png", images.images)
    arrays.save(tmp_path / "all.npz", images.images)
    for found in (folder.load(tmp_path / "png"), arrays.load(tmp_path / "all.npz")):
        assert torch.equal(found.images, images.images)
    with Image.open(tmp_path / "png" / "000000.png") as file, np.load(tmp_path / "all.npz") as saved:
        assert file.mode == "RGBA"
        assert np.array_equal(np.asarray(file), saved["arr_0"][0])
        assert np.array_equal(saved["arr_0"], arrays.to_array(images.images))


def test_only_colours_are_written_as_png(tmp_path):
    with pytest.raises(UserError, match=r"PNG files hold grey, RGB or RGBA, and not 5 channels: write an \.npz file"):
        folder.save(tmp_path / "out", torch.zeros(2, 5, 8, 8, dtype=torch.uint8))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def icons(tmp_path):
    """40 transparent images, wider than high, in a folder."""
    (tmp_path / "icons").mkdir()
    for k in range(40):
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 16, 4), np.uint8)).save(
            tmp_path / "icons" / f"{k}.png"
        )
    return str(tmp_path / "icons")


@pytest.mark.parametrize(("alpha", "channels"), [("keep", 4), ("white", 3), ("black", 3)])
def test_a_training_keeps_transparency_or_lays_it_on_a_ground(icons, alpha, channels):
    with captured() as said:
        parts = sources.prepare(DataSettings(icons, size="8", alpha=alpha), 0)
    assert said[1:] == ([] if alpha == "keep" else [f"{icons}: transparent parts put on {alpha}"])
    assert [part.shape[0] for part in (parts.train, parts.val, parts.heldout)] == [channels] * 3
    kept = sources.prepare(DataSettings(icons, size="8"), 0)
    assert torch.equal(parts.heldout.images, colour.laid(kept.heldout, alpha).images)


def test_alpha_and_proportions_are_part_of_what_is_read(icons):
    whole = {
        fit: sources.prepare(DataSettings(icons, size="8", fit=fit), 0).train for fit in ("stretch", "crop", "pad")
    }
    assert len({images.fingerprint for images in whole.values()}) == 3
    assert not whole["pad"].images[:, :, :2].any(), "transparent above"
    assert whole["pad"].images[:, :, 2:6].any()


@pytest.mark.parametrize(("shape", "size"), [((3, 20, 40), (16, 16)), ((1, 40, 20), (16, 16)), ((3, 9, 50), (24, 16))])
def test_crop_is_torchvisions_middle_resized(make_images, shape, size):
    images = make_images(3, shape)
    _, height, width = shape
    rows, columns = min(height, round(width * size[0] / size[1])), min(width, round(height * size[1] / size[0]))
    middle = V.center_crop(images, [rows, columns])
    theirs = V.resize(middle, list(size), InterpolationMode.BILINEAR, antialias=True)
    assert (resize(images, Size(*size, "crop")).int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize("tall", [False, True])
def test_pad_keeps_all_of_an_image_on_the_colour_of_its_edge(tall):
    image = torch.full((1, 3, 8, 16), 60, dtype=torch.uint8)
    image[:, :, 2:6, 4:12] = torch.tensor([200, 100, 0], dtype=torch.uint8)[:, None, None]
    image[:, :, 0, 0] = 255  # one pixel of the edge
    padded = resize(image.mT if tall else image, Size(16, 16, "pad"))
    padded = padded.mT if tall else padded
    assert torch.equal(padded[:, :, 4:12], image)
    assert (padded[:, :, :4] == 60).all()
    assert (padded[:, :, 12:] == 60).all()


def test_pad_is_transparent_where_images_are(make_images):
    images = make_images(2, (4, 8, 16)).clamp(min=1)
    padded = resize(images, Size(16, 16, "pad"))
    assert not padded[:, :, :4].any()
    assert torch.equal(padded[:, :, 4:12], images)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (5, 7)])
def test_any_proportions_fit(make_images, fit, shape):
    images = torch.arange(3 * shape[0] * shape[1]).view(1, 3, *shape).to(torch.uint8)
    assert resize(images, Size(16, 8, fit)).shape == (1, 3, 16, 8)


def test_images_of_the_right_proportions_are_only_resized(make_images):
    images = make_images(3, (3, 12, 18))
    for fit in ("crop", "pad"):
        assert torch.equal(resize(images, Size(8, 12, fit)), resize(images, (8, 12)))


def deep(path, *levels):
    for k, level in enumerate(levels):
        Image.fromarray(np.full((8, 8), level, np.uint16)).save(path / f"{k}.png")


def test_deep_grey_is_mapped_by_the_range_of_all_images(tmp_path):
    deep(tmp_path, 1000, 4000, 2500)
    with captured() as said:
        images = folder.load(tmp_path)
    assert images.images[:, 0, 0, 0].tolist() == [0, 255, 128]
    assert images.range == (1000, 4000)
    assert images.take(np.array([1])).range == (1000, 4000)
    assert said == [f"{tmp_path}: 3 images, no classes, grey, 8×8; values from 1000 to 4000 mapped to 8 bits"]


def test_deep_grey_is_resized_before_it_is_mapped(tmp_path):
    y = np.arange(16, dtype=np.uint16)[:, None] + np.zeros(16, np.uint16)
    Image.fromarray(y * 16 + 4000).save(tmp_path / "a.png")  # 16 levels, which 8 bits of 0 to 65,535 would make one
    assert len(folder.load(tmp_path, Reading((16, 8))).images.unique()) == 16
    assert folder.load(tmp_path, Reading((8, 8))).range == pytest.approx((4000, 4240), abs=20)


def test_one_deep_image_alone_has_no_range(tmp_path):
    deep(tmp_path, 1000)
    with pytest.raises(UserError, match=r"0\.png has more than 8 bits"):
        folder.load_file(tmp_path / "0.png")


def test_values_that_are_not_finite_are_unreadable(tmp_path):
    values = np.ones((8, 8), np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match=r"a\.tiff cannot be read as an image \(some values are not finite\)"):
        folder.load(tmp_path)


@pytest.mark.parametrize(("values", "found", "span"), [
    (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255], (0, 1)),
    (np.array([[-1, 1]], np.float16), [0, 255], (-1, 1)),
    (np.array([[3, 250]]), [3, 250], None),
    (np.array([[3, 256]]), [0, 255], (3, 256)),
    (np.array([[-2, -1]], np.int8), [0, 255], (-2, -1)),
    (np.array([[7.5, 7.5]]), [0, 0], (7.5, 7.5)),
    (np.array([[60, 140]], np.float32), [60, 140], None),
    (np.array([[60, 140.5]]), [0, 255], (60, 140.5)),
    (np.array([[0.0, 1.0]]), [0, 255], (0, 1)),
    (np.array([[0, 1]]), [0, 1], None),
])  # fmt: skip
def test_numbers_become_bytes_by_their_range(values, found, span):
    pixels, values_range = as_bytes(values)
    assert (pixels.tolist(), values_range) == ([found], span)


@pytest.mark.parametrize("channels", range(1, 9))
def test_arrays_of_one_to_eight_channels(tmp_path, channels):
    images = noise(5, 12, 10, channels)
    np.savez(tmp_path / "last.npz", images)
    np.savez(tmp_path / "first.npz", images.transpose(0, 3, 1, 2))
    np.save(tmp_path / "first.npy", images.transpose(0, 3, 1, 2))
    expected = colour.premultiplied(images) if channels == 4 else images
    for name in ("last.npz", "first.npz", "first.npy"):
        found = arrays.load(tmp_path / name)
        assert np.array_equal(found.images.permute(0, 2, 3, 1), expected), name
    assert np.array_equal(arrays.from_array("mine", images.transpose(0, 3, 1, 2)).images, found.images)
    arrays.save(tmp_path / "again.npz", found.images)
    assert torch.equal(arrays.load(tmp_path / "again.npz").images, found.images)


def test_grey_stored_as_rgb_is_grey_in_every_part_and_said(tmp_path):
    grey = noise(40, 12, 10, 1)
    np.save(tmp_path / "scans.npy", np.repeat(grey, 3, axis=-1))
    with captured() as said:
        parts = sources.prepare(DataSettings(str(tmp_path / "scans.npy"), size="8"), 0)
    assert {part.shape for part in (parts.train, parts.val, parts.heldout)} == {(1, 8, 8)}
    assert f"{tmp_path}/scans.npy: RGB without any colour is read as grey" in said
    whole = sources.load(str(tmp_path / "scans.npy"))
    assert np.array_equal(whole.images.permute(0, 2, 3, 1), grey)
    np.save(tmp_path / "tinted.npy", np.concatenate([grey, grey, grey ^ 1], axis=-1))
    assert sources.load(str(tmp_path / "tinted.npy")).shape[0] == 3


@pytest.mark.parametrize(("fourth", "doubted"), [(59, True), (255, False)])
def test_a_fourth_channel_that_is_hardly_transparency_is_said(tmp_path, fourth, doubted):
    images = noise(5, 12, 10, 4) % 60
    images[:, :3, :, 3] = fourth
    np.save(tmp_path / "cells.npy", images)
    with captured() as said:
        arrays.load(tmp_path / "cells.npy")
    assert any("add a fifth channel of zeros" in line for line in said) == doubted
    fifth = np.concatenate([images, np.zeros_like(images[..., :1])], axis=-1)
    np.save(tmp_path / "five.npy", fifth)
    assert np.array_equal(arrays.load(tmp_path / "five.npy").images.permute(0, 2, 3, 1), fifth)


def test_arrays_of_floats_say_their_range(tmp_path):
    np.save(tmp_path / "a.npy", np.linspace(0, 4, 3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8))
    with captured() as said:
        images = arrays.load(tmp_path / "a.npy")
    assert images.range == (0, 4)
    assert said == [f"{tmp_path / 'a.npy'}: 3 images, no classes, grey, 8×8; values from 0 to 4 mapped to 8 bits"]
    np.save(tmp_path / "a.npy", np.full((3, 8, 8), np.inf))
    with pytest.raises(UserError, match="some values are not finite"):
        arrays.load(tmp_path / "a.npy")


def test_an_array_of_opaque_rgba_is_rgb():
    pixels = noise(3, 6, 5, 4)
    pixels[..., 3] = 255
    found = arrays.from_array("mine", pixels)
    assert np.array_equal(found.images.permute(0, 2, 3, 1), pixels[..., :3])


def test_an_array_in_memory_is_not_changed():
    pixels = noise(3, 6, 5, 4)
    before = pixels.copy()
    arrays.from_array("mine", pixels)
    assert np.array_equal(pixels, before)


def test_opaque_rgba_has_the_digest_of_rgb_and_transparent_black_not_that_of_black():
    grey = torch.from_numpy(noise(2, 1, 6, 5))
    clear, black = torch.zeros(1, 4, 6, 5, dtype=torch.uint8), torch.zeros(1, 1, 6, 5, dtype=torch.uint8)
    opaque = colour.with_channels(ImageSet("grey", grey), 4).images
    assert (digests(opaque, grey=True) == digests(grey, grey=True)).all()
    assert digests(clear, grey=True) != digests(black, grey=True)


def test_what_has_no_colours_is_not_taken_for_any(make_set):
    five = make_set(3, (5, 8, 8))
    with pytest.raises(UserError, match="toy is of 5 channels, and not of RGB"):
        colour.with_channels(five, 3)
    with pytest.raises(UserError, match="images of 5 channels have no colours: use --features general or pixels"):
        colour.rgb(five.images)
    assert colour.plain(five) is five
    assert colour.kind(5) == "5 channels"


def test_transparent_images_are_seen_on_mid_grey():
    clear = torch.zeros(1, 4, 2, 2, dtype=torch.uint8)
    clear[..., 1, 1] = 255
    assert colour.rgb(clear)[0, :, 0, 0].tolist() == [128] * 3
    assert colour.rgb(clear)[0, :, 1, 1].tolist() == [255] * 3
    assert colour.luminance(clear)[0, 0].tolist() == [[128, 128], [128, 255]]
