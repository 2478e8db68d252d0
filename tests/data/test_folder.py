import itertools
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
from fromnoise.say import captured


def write(path, pixels, **how):
    """Write an array of pixels, or a Pillow image, into a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **how)


def noise(*shape):
    return np.random.default_rng(shape).integers(0, 256, shape, np.uint8)


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


@pytest.mark.parametrize("held", range(10))
def test_a_photograph_stands_as_the_camera_was_held(tmp_path, held):
    pixels, exif = noise(4, 6), Image.Exif()
    exif[0x0112] = held
    write(tmp_path / "a.png", pixels, exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(folder.load(tmp_path).images[0, 0], upright)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_of_sixteen_bits_keeps_the_upper_eight(tmp_path, channels):
    (tmp_path / "deep.png").write_bytes(png16(channels))
    with captured() as said:
        images = folder.load(tmp_path).images
    upper = np.arange(2 * 2 * channels, dtype=np.uint8)[::2].reshape(2, channels)
    rgba = np.concatenate([upper[:, :1].repeat(3, axis=1), upper[:, 1:]], axis=1) if channels == 2 else upper
    expected = premultiplied(rgba) if channels != 3 else rgba
    assert np.array_equal(images[0].permute(1, 2, 0), np.stack([expected, expected]))
    assert "16 bits a channel reduced to 8" in " ".join(said)


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
    with pytest.raises(
        UserError, match=r"b\.png is 9×7, but a\.png is 6×8; make them the same size, as `fromnoise data"
    ):
        folder.load(tmp_path)
    images = folder.load(tmp_path, Reading((6, 8))).images
    assert np.array_equal(images[0, 0], small)
    assert torch.equal(images[1:], resize(torch.from_numpy(large)[None, None], (6, 8)))


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


def test_a_link_to_itself_is_left_out(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with captured() as said:
        assert len(folder.load(tmp_path)) == 1
    assert "1 broken links or devices" in said[0]
