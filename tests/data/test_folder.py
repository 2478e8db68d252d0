import itertools
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from fromnoise.data import folder
from fromnoise.data.colour import premultiplied
from fromnoise.data.resize import resize
from fromnoise.data.source import Reading
from fromnoise.errors import UserError


def write(path, pixels, **how):
    """Write an array of pixels, or a Pillow image, into a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **how)


def noise(*shape):
    return np.random.default_rng(shape).integers(0, 256, shape, np.uint8)


def palette_picture(colours):
    """A picture of 2×2 pixels, each with its own of the four `colours`."""
    picture = Image.new("P", (2, 2))
    picture.putpalette(colours.tobytes())
    picture.putdata(range(4))
    return picture


def png16(channels):
    """A 2×2 PNG file of 16 bits a channel, which Pillow cannot write in colour."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = (b"\0" + bytes(range(2 * 2 * channels))) * 2
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_true_to_the_byte(tmp_path, make_images, channels):
    images = make_images(12, (channels, 6, 9))
    folder.save(tmp_path / "out", images)
    back = folder.load(tmp_path / "out")
    assert back.name == str(tmp_path / "out")
    assert torch.equal(back.images, images)
    assert back.labels is None


def test_files_are_numbered_from_where_the_caller_says(tmp_path, make_images):
    folder.save(tmp_path / "out", make_images(2), first=41)
    assert folder.load(tmp_path / "out").files == tuple(str(tmp_path / "out" / f"0000{k}.png") for k in (41, 42))


@pytest.mark.parametrize("classes", [2, 12])
def test_labels_go_through_sub_folders(tmp_path, make_images, classes):
    images, labels = make_images(24), torch.arange(24) % classes
    folder.save(tmp_path / "out", images, labels.tolist())
    back = folder.load(tmp_path / "out")
    key = {image.tobytes(): int(label) for image, label in zip(images.numpy(), labels, strict=True)}
    assert len(back) == 24
    assert back.labels.tolist() == [key[image.tobytes()] for image in back.images.numpy()]


def test_the_sorted_names_of_sub_folders_are_the_classes(tmp_path):
    for name, level in (("dog", 20), ("cat", 10), ("owl", 30)):
        write(tmp_path / name / "a.png", np.full((4, 4), level, np.uint8))
    back = folder.load(tmp_path)
    assert back.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert back.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("names", "labels", "named"), [
    (("3", "8"), [3, 8], ()),
    (("08", "10", "9"), [8, 9, 10], ()),
    (("1", "01", "2"), [0, 1, 2], ("01", "1", "2")),
    (("2020", "2019"), [0, 1], ("2019", "2020")),
    (("3", "b"), [0, 1], ("3", "b")),
    (("v10", "v9"), [0, 1], ("v9", "v10")),
])  # fmt: skip
def test_sub_folders_with_numbers_for_names_are_those_classes(tmp_path, names, labels, named):
    for name in names:
        write(tmp_path / name / "a.png", noise(4, 4))
    assert folder.load(tmp_path).labels.tolist() == labels
    assert folder.load(tmp_path).class_names == named


@pytest.mark.parametrize("names", [("one/a.png", "one/b.png"), ("a.png", "x/b.png", "y/c.png")])
def test_one_sub_folder_or_images_outside_make_no_classes(tmp_path, names):
    for name in names:
        write(tmp_path / name, noise(4, 4))
    assert len(folder.load(tmp_path)) == len(names)
    assert folder.load(tmp_path).labels is None
    assert folder.load(tmp_path).class_names == ()


def test_grey_among_colour_is_read_as_colour(tmp_path):
    grey, colour = noise(5, 4), noise(5, 4, 3)
    write(tmp_path / "a.png", grey)
    write(tmp_path / "b.png", colour)
    images = folder.load(tmp_path).images
    assert np.array_equal(images[0], np.stack([grey] * 3))
    assert np.array_equal(images[1], colour.transpose(2, 0, 1))


@pytest.mark.parametrize("held", range(10))
def test_a_photograph_stands_as_the_camera_was_held(tmp_path, held):
    pixels, exif = noise(4, 6), Image.Exif()
    exif[0x0112] = held
    write(tmp_path / "a.png", pixels, exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(folder.load(tmp_path).images[0, 0], upright)


def test_a_picture_too_large_to_be_one_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "a.png", noise(9, 9))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
        folder.load(tmp_path)


def test_a_palette_is_read_as_its_colours(tmp_path):
    colours = noise(4, 3)
    write(tmp_path / "a.png", palette_picture(colours))
    assert np.array_equal(folder.load(tmp_path).images[0].permute(1, 2, 0).reshape(4, 3), colours)


def test_one_bit_is_black_and_white(tmp_path):
    bits = noise(5, 6) > 127
    write(tmp_path / "a.png", Image.fromarray(bits))
    images = folder.load(tmp_path).images
    assert images.shape == (1, 1, 5, 6)
    assert np.array_equal(images[0, 0], bits * 255)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_of_sixteen_bits_keeps_the_upper_eight(tmp_path, channels):
    (tmp_path / "deep.png").write_bytes(png16(channels))
    said = []
    images = folder.load(tmp_path, Reading(say=said.append)).images
    upper = np.arange(2 * 2 * channels, dtype=np.uint8)[::2].reshape(2, channels)
    rgba = np.concatenate([upper[:, :1].repeat(3, axis=1), upper[:, 1:]], axis=1) if channels == 2 else upper
    expected = premultiplied(rgba) if channels != 3 else rgba
    assert np.array_equal(images[0].permute(1, 2, 0), np.stack([expected, expected]))
    assert "16 bits a channel in colour reduced to 8" in " ".join(said)


def test_a_print_picture_becomes_rgb(tmp_path):
    write(tmp_path / "print.tiff", Image.new("CMYK", (4, 4), (0, 255, 255, 0)))
    assert folder.load(tmp_path).images[0, :, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    "spoil",
    [lambda raw: b"", lambda raw: raw[:30], lambda raw: raw[: len(raw) // 2], lambda raw: b"no image" + raw],
    ids=["empty", "header", "half", "text"],
)
def test_a_corrupt_file_is_refused_by_name(tmp_path, suffix, spoil):
    write(tmp_path / "a.png", noise(16, 16))
    bad = tmp_path / f"bad{suffix}"
    write(bad, noise(16, 16))
    bad.write_bytes(spoil(bad.read_bytes()))
    with pytest.raises(UserError, match=re.escape(str(bad))):
        folder.load(tmp_path)


def test_no_damaged_byte_of_a_png_raises_anything_else(tmp_path):
    write(tmp_path / "a.png", noise(6, 6))
    raw, flips, refused = (tmp_path / "a.png").read_bytes(), (0x01, 0x55, 0x80, 0xFF), 0
    for k, flip in itertools.product(range(len(raw)), flips):
        (tmp_path / "a.png").write_bytes(raw[:k] + bytes([raw[k] ^ flip]) + raw[k + 1 :])
        try:
            assert folder.load(tmp_path).images.shape == (1, 1, 6, 6)  # Pillow does not see all damage
        except UserError:
            refused += 1
    assert refused > len(raw) * len(flips) / 2


def test_mixed_sizes_are_refused_without_a_size_and_resized_with_one(tmp_path):
    small, large = noise(6, 8), noise(9, 7)
    write(tmp_path / "a.png", small)
    write(tmp_path / "b.png", large)
    with pytest.raises(UserError, match=r"b\.png is 9×7 where a\.png is 6×8; make them one size"):
        folder.load(tmp_path)
    images = folder.load(tmp_path, Reading((6, 8))).images
    assert np.array_equal(images[0, 0], small)
    assert torch.equal(images[1:], resize(torch.from_numpy(large)[None, None], (6, 8)))


def test_jpegs_and_capital_suffixes_are_images_and_other_files_are_not(tmp_path):
    for name in ("a.jpg", "b.jpeg", "c.PNG", "d.JPG"):
        write(tmp_path / name, np.full((8, 8), 90, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    images = folder.load(tmp_path).images
    assert images.shape == (4, 1, 8, 8)
    assert (images.int() - 90).abs().max() <= 1


def test_hidden_files_and_folders_are_ignored(tmp_path):
    home = tmp_path / ".home"  # that the whole of it is hidden does not matter
    write(home / "cat" / "a.png", noise(4, 4))
    write(home / "dog" / "a.png", noise(4, 4))
    write(home / ".thumbnails" / "a.png", noise(2, 2))
    write(home / ".c.png", noise(2, 2))
    (home / "cat" / "._a.png").write_bytes(b"a Mac's leavings")
    images = folder.load(home)
    assert len(images) == 2
    assert images.labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_folder_without_images_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"{name} (holds no images|cannot be read)"):
        folder.load(tmp_path / name)


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path, make_images):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="out already exists"):
        folder.save(tmp_path / "out", make_images(2))
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_a_file_is_not_written_over(tmp_path, make_images):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UserError, match="out already exists"):
        folder.save(tmp_path / "out", make_images(2))
    assert (tmp_path / "out").read_text() == "precious"


def test_an_empty_folder_may_be_filled(tmp_path, make_images):
    (tmp_path / "out").mkdir()
    folder.save(tmp_path / "out", make_images(2))
    assert len(folder.load(tmp_path / "out")) == 2


def test_a_save_that_fails_leaves_nothing(tmp_path, make_images):
    with pytest.raises(IndexError):
        folder.save(tmp_path / "out", make_images(3), labels=[0, 1])
    assert list(tmp_path.iterdir()) == []
