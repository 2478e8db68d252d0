"""Nothing of a user's images is changed or left out without a word."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image, features

from fromnoise.data import arrays, folder, picture, sources
from fromnoise.data.listing import natural
from fromnoise.data.settings import DataSettings
from fromnoise.data.source import Reading
from fromnoise.errors import UserError
from fromnoise.say import captured


def noise(*shape, seed=0):
    return np.random.default_rng([*shape, seed]).integers(0, 256, shape, np.uint8)


@pytest.fixture
def put(tmp_path):
    """A function that writes an image (of noise if none is given), and any folders above it, below `photos`."""
    count = 0

    def write(name, pixels=None, **how):
        nonlocal count
        count += 1
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else None
        image = image or Image.fromarray(noise(8, 8, 3, seed=count) if pixels is None else pixels)
        image.save(path, **how)
        return path

    return write


@pytest.fixture
def read(tmp_path):
    """A function that loads `photos`; gives the images and the one line said, without the folder's name."""

    def load(size=None, **how):
        with captured() as said:
            images = folder.load(tmp_path / "photos", Reading(size, **how))
        (line,) = said
        name, _, rest = line.partition(": ")
        assert name == str(tmp_path / "photos")
        return images, rest

    return load


def test_one_line_tells_numbers_classes_channels_and_sizes(put, read):
    for label in "abc":
        for k in range(4):
            put(f"{label}/{k}.png")
    assert read()[1] == "12 images, 3 classes, RGB, 8×8"
    assert read((16, 12))[1] == (
        "12 images, 3 classes, RGB, 8×8 → 16×12; enlarged, so pixel art blurs: --size 8 keeps every pixel; "
        "stretched to other proportions; --fit crop or pad keeps them (12 images)"
    )
    put("a/large.png", noise(20, 10, 3))
    assert read((8, 8))[1] == (
        "13 images, 3 classes, RGB, 2 sizes from 8×8 to 20×10 → 8×8; "
        "stretched to other proportions; --fit crop or pad keeps them (1 image)"
    )


def test_images_that_are_all_enlarged_are_told_how_to_stay_sharp(put, read):
    put("a.png", noise(16, 20, 3))
    told = "; enlarged, so pixel art blurs: padding to 16×24 and --size 16x24 keep every pixel"
    assert read((32, 32))[1].startswith(f"1 image, no classes, RGB, 16×20 → 32×32{told}; stretched")
    put("b.png", noise(13, 17, 3))
    assert told in read((24, 24))[1]
    assert "enlarged" not in read((16, 24))[1]


def test_images_in_deeper_folders_belong_to_the_class_above(put, read):
    for name in ("cat/a.png", "cat/old/b.png", "cat/old/older/c.png", "dog/2020/d.png"):
        put(name)
    images, said = read()
    assert images.labels.tolist() == [0, 0, 0, 1]
    assert images.class_names == ("cat", "dog")
    assert said == "4 images, 2 classes, RGB, 8×8"


FORMATS = (".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff", ".ppm", ".avif", ".jp2", ".ico")


def skip_without(suffix):
    needed = {".avif": "avif", ".jp2": "jpg_2000", ".webp": "webp"}.get(suffix)
    if suffix not in picture.suffixes() or (needed and not features.check(needed)):
        pytest.skip(f"this Pillow reads no {suffix}")


def test_a_pillow_without_a_format_reads_the_others(put, read, monkeypatch):
    """Before 11.3 Pillow did not know AVIF, and nothing was read that came after it in the list."""
    put("a.ppm", np.full((16, 16, 3), 90, np.uint8))
    picture.formats.cache_clear()
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    try:
        assert read()[0].shape == (3, 16, 16)
    finally:
        picture.formats.cache_clear()


@pytest.mark.parametrize("suffix", [*FORMATS, ".tif"])
def test_every_still_format_is_read(put, read, suffix):
    skip_without(suffix)
    how = {".webp": {"lossless": True}, ".ico": {"sizes": [(16, 16)]}}.get(suffix, {})
    put("a.png", np.full((16, 16, 3), 90, np.uint8))
    put(f"b{suffix}", np.full((16, 16, 3), 90, np.uint8), **how)
    images, said = read()
    assert (images.images.int() - 90).abs().max() <= 1
    assert said.startswith("2 images, no classes, RGB, 16×16")
    assert "not read" not in said


def test_what_is_no_image_is_counted_by_kind(tmp_path, put, read):
    put("a.png")
    root = tmp_path / "photos"
    for name in ("a.txt", "b.txt", "sub/c.TXT", "d.heic", "README", ".hidden.png", ".git/e.png", "__MACOSX/._a.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"?")
    assert read()[1].partition("; ")[2] == "not read: 3 .txt, 3 hidden, 1 .heic, 1 without a suffix"
    for kind in ("psd", "svg", "mp4"):
        (root / f"a.{kind}").write_bytes(b"?")
    assert read()[1].endswith("; not read: 3 .txt, 3 hidden, 1 .heic, 1 .mp4 and 3 more kinds")


def test_tables_of_labels_are_named(tmp_path, put, read):
    put("train/a.png")
    (tmp_path / "photos" / "train" / "metadata.csv").write_text("file_name,label\n")
    (tmp_path / "photos" / "labels.csv").write_text("a.png,1\n")
    assert read()[1].endswith("; ignored: labels.csv, train/metadata.csv")


def test_links_are_followed_but_not_in_circles(tmp_path, put, read):
    put("cat/a.png")
    put("cat/b.png")
    try:
        os.symlink(tmp_path / "photos" / "cat", tmp_path / "photos" / "dog")
        os.symlink(tmp_path / "photos", tmp_path / "photos" / "cat" / "round")
        os.symlink(tmp_path / "nowhere", tmp_path / "photos" / "cat" / "broken.png")
    except OSError:
        pytest.skip("no links here")
    images, said = read()
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert "2 duplicates, 2 distinct; not read: 2 broken links or devices, 2 links to a folder above" in said


def test_files_are_in_natural_order(put, read):
    for k in (10, 9, 100):
        put(f"img{k}.png", np.full((8, 8), k, np.uint8))
    assert read()[0].images[:, 0, 0, 0].tolist() == [9, 10, 100]


def test_numbers_in_names_are_of_any_length():
    long = "9" * 5000
    names = [f"a{long}", "a10", "a2", f"a1{long}", "a٣", "a02"]
    assert sorted(names, key=natural) == ["a02", "a2", "a٣", "a10", f"a{long}", f"a1{long}"]


def test_classes_that_are_numbers_are_of_any_length(put, read):
    table = put("a.png").with_name("metadata.csv")
    put("b.png")
    for long, names, labels in (("9" * 5000, ("1", "9" * 5000), [0, 1]), ("0" * 5000, (), [1, 0])):
        table.write_text(f"file_name,label\na.png,1\nb.png,{long}\n")
        images, _ = read()
        assert images.class_names == names
        assert images.labels.tolist() == labels


def test_transparency_is_said_where_there_is_any(put, read):
    for name, alpha in (("a.png", 0), ("b.png", 254), ("c.png", 255)):
        put(name, np.dstack([noise(8, 8, 3), np.full((8, 8), alpha, np.uint8)]))
    assert read()[1] == "3 images, no classes, RGBA, 8×8; with transparency (2 images)"


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tiff"])
def test_the_first_frame_of_an_animation_is_taken(put, read, suffix):
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (200, 100, 0)]
    how = {"lossless": True} if suffix == ".webp" else {}
    put(f"a{suffix}", frames[0], save_all=True, append_images=frames[1:], **how)
    images, said = read()
    assert (images.images == 200).all()
    assert said == f"1 image, no classes, {'grey' if images.shape[0] == 1 else 'RGB'}, 8×8; first frame only (1 image)"


def test_a_bar_shows_how_many_files_are_read(put, bars):
    for k in range(3):
        folder.load(put(f"{k}.png").parent)
    assert bars == [("reading", done, n) for n in (1, 2, 3) for done in range(n)]


def test_duplicates_are_counted_once_read(put, read):
    for k in range(6):
        put(f"{k}.png", np.full((8, 8), 90 * (k // 3), np.uint8))
    put("6.bmp", np.full((8, 8, 3), 90, np.uint8))  # in another format, and in colour
    assert read()[1] == "7 images, no classes, RGB, 8×8; 5 duplicates, 2 distinct"


def test_grey_images_before_the_first_in_colour_are_kept(put, read):
    grey = [noise(8, 8, seed=k) for k in range(3)]
    for k, pixels in enumerate(grey):
        put(f"{k}.png", pixels)
    put("3.png", noise(8, 8, 3))
    put("4.png", grey[0])
    images, _ = read()
    for k, pixels in enumerate([*grey, None, grey[0]]):
        if pixels is not None:
            assert np.array_equal(images.images[k], np.stack([pixels] * 3)), k


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_file_of_any_format_is_unreadable(put, read, suffix):
    skip_without(suffix)
    put("a.png", noise(32, 32, 3))
    bad = put(f"bad{suffix}", noise(32, 32, 3), **({"sizes": [(32, 32)]} if suffix == ".ico" else {}))
    whole = bad.read_bytes()
    for share in (0, 0.1, 0.5):
        bad.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=rf"bad\{suffix} cannot be read as an image \(.+\): repair or remove it"):
            read()
        images, said = read(skip_broken=True)
        assert images.shape == (3, 32, 32)
        assert said == f"1 image, no classes, RGB, 32×32; 1 unreadable, skipped: bad{suffix}"


def test_a_picture_of_too_many_pixels_is_unreadable(put, read, monkeypatch):
    put("a.png", noise(9, 9))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 80)  # 81 is a warning of Pillow's, and 161 an error
    with pytest.raises(UserError, match=r"\(more than 80 pixels\)"):
        read()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(UserError, match=r"\(more than 40 pixels\)"):
        read()


def test_all_unreadable_files_are_named_at_once(tmp_path, put, read):
    for k in range(3):
        put(f"ok{k}.png")
    root = tmp_path / "photos"
    for k in range(12):
        (root / f"bad{k}.png").write_bytes(b"no image")
    with pytest.raises(UserError) as refused:
        read()
    first, *files = str(refused.value).splitlines()
    assert first == (
        f"{root}: 12 of 15 image files cannot be read: repair or remove them, or skip them (--skip-broken)"
    )
    named = [f"  {root / f'bad{k}.png'} (not an image in a supported format)" for k in range(10)]
    assert files == [*named, "  and 2 more"]
    images, said = read(skip_broken=True)
    assert len(images) == len(images.files) == 3
    assert said.endswith("; 12 unreadable, skipped: bad0.png, bad1.png, bad2.png and 9 more")


def test_nothing_but_unreadable_files_cannot_be_skipped(tmp_path):
    for k in range(2):
        (tmp_path / f"bad{k}.png").write_bytes(b"no image")
    for skip in (False, True):
        with pytest.raises(UserError, match=r"2 of 2 image files cannot be read: repair or remove them\n"):
            folder.load(tmp_path, Reading(skip_broken=skip))


def test_a_class_of_unreadable_files_is_no_class(put, read):
    put("cat/a.png")
    put("owl/b.png")
    put("dog/c.png").write_bytes(b"no image")
    images, said = read(skip_broken=True)
    assert images.labels.tolist() == [0, 1]
    assert images.class_names == ("cat", "owl")
    assert said.startswith("2 images, 2 classes, ")


def test_files_and_class_names_go_with_the_images_that_are_taken(put, read):
    for k in range(10):
        put(f"{'cat' if k % 2 else 'dog'}/{k}.png")
    images, _ = read()
    taken = images.take(np.array([7, 0]))
    assert taken.class_names == ("cat", "dog")
    assert taken.files == (images.files[7], images.files[0])


def test_an_npz_tells_what_it_holds_and_which_arrays_are_left(tmp_path, make_images):
    path = tmp_path / "a.npz"
    images = make_images(6, (8, 8)).numpy()
    np.savez(
        path, arr_0=np.concatenate([images, images[:1]]), labels=np.arange(7) % 3, mu=np.zeros(3), sigma=np.ones(3)
    )
    with captured() as said:
        sources.load(str(path), (16, 16))
    assert said == [
        f"{path}: 7 images, 3 classes, grey, 8×8 → 16×16; 1 duplicate, 6 distinct; "
        "enlarged, so pixel art blurs: --size 8 keeps every pixel; arrays not read: mu, sigma"
    ]


def test_duplicates_are_blamed_where_they_leave_too_few_to_hold_out(tmp_path, make_images):
    path = tmp_path / "few.npz"
    np.savez(path, arr_0=make_images(9, (8, 8)).repeat(10, 1, 1).numpy())
    parts = sources.prepare(DataSettings(str(path), size="8"), seed=0)
    assert (parts.groups, parts.val, parts.heldout) == (9, None, None)
    told = "(the 90 images form 9 groups, and groups are never split)"
    with pytest.raises(UserError, match=rf"too few images for a part 'heldout' {re.escape(told)}"):
        sources.load(f"{path}:heldout")


@pytest.mark.parametrize(("n", "held"), [(199, 19), (200, 50), (300, 50), (499, 50), (500, 50), (600, 60)])
def test_fifty_are_held_out_where_there_are_enough(tmp_path, make_images, n, held):
    labels = np.arange(n) % 4
    np.savez(tmp_path / "few.npz", arr_0=make_images(n, (8, 8)).numpy(), labels=labels)
    parts = sources.prepare(DataSettings(str(tmp_path / "few.npz"), size="8", group_by=None), seed=0)
    assert abs(len(parts.heldout) - held) <= 1
    assert len(parts.val) == pytest.approx(n / 10, abs=1)
    assert len(parts.train) + len(parts.val) + len(parts.heldout) == n
    assert (torch.bincount(parts.heldout.labels).double() - held / 4).abs().max() < 3


def test_no_duplicates_are_blamed_where_there_are_none(tmp_path, make_images):
    np.savez(tmp_path / "few.npz", arr_0=make_images(60, (8, 8)).numpy())
    parts = sources.prepare(DataSettings(str(tmp_path / "few.npz"), size="8"), seed=0)
    assert parts.why_few(50) == " (about 200 images are needed, there are 60)"


def test_how_many_images_are_needed_does_not_depend_on_m(tmp_path, make_images):
    images = torch.cat([make_images(60, (8, 8)), make_images(2, (8, 8))])  # the last two are there twice
    np.savez(tmp_path / "few.npz", arr_0=images.numpy())
    parts = sources.prepare(DataSettings(str(tmp_path / "few.npz"), m=9, size="8"), seed=0)
    assert parts.groups < parts.whole == 62
    assert parts.why_few(50) == " (about 200 images are needed, there are 62)"


def test_named_sets_have_nothing_to_tell():
    with captured() as said:
        sources.load("digits")
        sources.prepare(DataSettings(), seed=0)
    assert not said


def test_the_images_are_those_of_the_files_in_order(put, read):
    pixels = [noise(8, 8, 3, seed=100 + k) for k in range(12)]
    for k, image in enumerate(pixels):
        put(f"{k}.png", image)
    assert torch.equal(read()[0].images, torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2))


def test_an_empty_name_is_not_this_folder():
    for name in ("", " "):
        with pytest.raises(UserError, match="name is empty"):
            sources.load(name)


def test_a_folder_is_the_same_however_its_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    monkeypatch.chdir(tmp_path)
    trained = DataSettings("scans", label_by="^([a-z]+)")
    for data in ("./scans", "scans/../scans", str(tmp_path / "scans")):
        assert sources.is_same(data, trained), data
    assert not sources.is_same("digits", trained)
    assert not sources.is_same("scans", DataSettings("x" * 5000))  # no name that a file can have
    assert not sources.is_same("./digits", DataSettings("digits"))


GREY = np.random.default_rng(0).integers(0, 256, (4, 6, 5), np.uint8)


def test_labels_that_one_part_lacks_are_missed_aloud(tmp_path):
    parts = {"train_images": GREY, "train_labels": np.array([0, 1, 0, 1]), "val_images": GREY[:3]}
    np.savez(tmp_path / "x.npz", **parts)
    with captured() as said:
        assert arrays.load(tmp_path / "x.npz").labels is None
    assert "no classes: some parts have no labels" in said[0]


def test_masks_of_zero_and_one_are_said_to_be_dark(tmp_path):
    np.savez(tmp_path / "x.npz", arr_0=GREY % 2)
    with captured() as said:
        arrays.load(tmp_path / "x.npz")
    assert "no value is above 1 of 255: if these are masks, multiply them by 255" in said[0]
