"""Images that are not grey or RGB, from files to files."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fromnoise import load

RUN = ("run", "--preset", "tiny", "--steps", "4", "--n", "60", "--out", "run", "--size", "16")


def icon(k):
    """Three discs and squares in colours of their own on nothing, 24×20."""
    random = np.random.default_rng(k)
    image = Image.new("RGBA", (24, 20))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        left, top, side = (int(random.integers(most)) for most in (16, 12, 10))
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((left, top, left + 4 + side, top + 4 + side), fill=tuple(random.integers(0, 256, 4).tolist()))
    return image


def patches(n, channels):
    """Numbers from 0 to 1: a pattern of 4×4 squares for each channel of each image, with a little noise, 16×16."""
    random = np.random.default_rng(0)
    squares = random.random((n, channels, 4, 4)).repeat(4, axis=2).repeat(4, axis=3)
    return 0.9 * squares + 0.1 * random.random(squares.shape)


@pytest.fixture
def icons(tmp_path):
    """600 of them in a folder."""
    (tmp_path / "icons").mkdir()
    for k in range(600):
        icon(k).save(tmp_path / "icons" / f"{k}.png")
    return tmp_path


@pytest.mark.slow
def test_a_run_of_transparent_images_samples_transparent_ones(fromnoise, icons, page_of):
    done = fromnoise(*RUN, "--data", "icons", "--fit", "pad", "--augment", "0.3", cwd=icons)
    assert "icons: 600 images, no classes, RGBA, 20×24 → 16×16; " in done.stderr
    assert "with transparency (600 images)" in done.stderr
    report = json.loads((icons / "run" / "report.json").read_text())
    shapes = {report["protocol"][role]["shape"][0] for role in ("generated", "reference", "floor", "train")}
    assert shapes == {4}
    assert "RGBA on mid-grey" in report["protocol"]["features"]["colour"]
    assert report["told_apart"] is not None
    with np.load(icons / "run" / "samples" / "images.npz") as saved:
        assert saved["arr_0"].shape == (60, 16, 16, 4)
        first = saved["arr_0"][0]
    for picture in page_of((icons / "run" / "report.html").read_text()).pictures():
        if picture.startswith(b"\x89PNG"):
            assert Image.open(io.BytesIO(picture)).mode == "RGB"
    fromnoise("sample", "run", "--n", "3", "--out", "new", cwd=icons)
    with Image.open(icons / "new" / "000000.png") as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), first)  # image k of a seed is the same
    assert np.array_equal(load(icons / "run", quiet=True).sample(1)[0], first)
    words = ("evaluate", "--generated", "run", "--reference", "icons:heldout", "--json", "-")
    again = json.loads(fromnoise(*words, cwd=icons).stdout)
    assert again["metrics"] == report["metrics"]
    assert again["protocol"]["line"] == report["protocol"]["line"]
    said = fromnoise("likelihood", "run", "icons:heldout", "--n", "8", cwd=icons).stdout
    assert "mean of 8" in said


def test_folders_of_transparent_images_are_scored(fromnoise, icons):
    for name, first in (("one", 0), ("other", 100)):
        (icons / name).mkdir()
        for k in range(first, first + 60):
            (icons / "icons" / f"{k}.png").rename(icons / name / f"{k}.png")
    done = fromnoise("evaluate", "--generated", "one", "--reference", "other", "--json", "-", cwd=icons)
    report = json.loads(done.stdout)
    assert report["protocol"]["generated"]["shape"] == report["protocol"]["reference"]["shape"] == [4, 20, 24]
    assert report["notes"][0].startswith("no floor")
    fromnoise("data", "export", "one", "white", "--alpha", "white", "--size", "16", "--fit", "crop", cwd=icons)
    with Image.open(icons / "white" / "000000.png") as image:
        assert (image.mode, image.size) == ("RGB", (16, 16))
        assert image.getpixel((0, 15)) == (255, 255, 255)


@pytest.mark.parametrize("channels", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_arrays_of_channels_without_colours_are_learnt_and_sampled(fromnoise, tmp_path, channels):
    np.savez(tmp_path / "bands.npz", images=patches(250, channels).astype(np.float32) - 3)
    done = fromnoise(*RUN, "--data", "bands.npz", cwd=tmp_path)
    assert f"{channels} channels, 16×16; values from -2.9" in done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["protocol"]["generated"]["shape"] == [channels, 16, 16]
    assert report["protocol"]["features"]["name"] == "general"
    fromnoise("sample", "run", "--n", "3", "--out", "new.npz", cwd=tmp_path)
    with np.load(tmp_path / "new.npz") as saved:
        assert saved["arr_0"].shape == (3, 16, 16, channels)
    done = fromnoise("sample", "run", "--n", "3", "--out", "new.png", cwd=tmp_path)
    assert f"new.png: shows channel{'s 1 to 3' if channels > 2 else ' 1'} of {channels}\n" in done.stderr
    with Image.open(tmp_path / "new.png") as image:
        assert image.mode == ("RGB" if channels > 2 else "L")
    refused = fromnoise("sample", "run", "--n", "3", "--out", "new", cwd=tmp_path, code=2)
    assert refused.stderr == (
        f"fromnoise: new: PNG files hold grey, RGB or RGBA, and not {channels} channels: write an .npz file\n"
    )
    refused = fromnoise("vary", "run", "new.png", "--out", "varied.npz", cwd=tmp_path, code=2)
    assert f"run is a model of images of {channels} channels, and image files hold grey, RGB" in refused.stderr
    assert load(tmp_path / "run", quiet=True).vary(patches(1, channels) - 3, steps=2).shape == (1, 16, 16, channels)
    assert "the model was trained on" in fromnoise("likelihood", "run", "digits:val", cwd=tmp_path, code=2).stderr


@pytest.mark.slow
def test_images_that_are_not_square_are_learnt_sampled_and_reported(fromnoise, tmp_path, page_of):
    (tmp_path / "wide").mkdir()
    for k, values in enumerate(np.random.default_rng(0).integers(0, 256, (600, 3, 5), np.uint8)):
        Image.fromarray(values.repeat(8, axis=0).repeat(8, axis=1)).save(tmp_path / "wide" / f"{k}.png")
    done = fromnoise(*RUN[:-1], "24x40", "--data", "wide", cwd=tmp_path)
    assert "wide: 600 images, no classes, grey, 24×40" in done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert all(
        report["protocol"][role]["shape"] == [1, 24, 40] for role in ("generated", "reference", "floor", "train")
    )
    with np.load(tmp_path / "run" / "samples" / "images.npz") as saved:
        assert saved["arr_0"].shape == (60, 24, 40, 1)
        first = saved["arr_0"][0, ..., 0]
    assert page_of((tmp_path / "run" / "report.html").read_text()).pictures()
    fromnoise("sample", "run", "--n", "3", "--out", "new", cwd=tmp_path)
    with Image.open(tmp_path / "new" / "000000.png") as image:
        assert (image.mode, image.size) == ("L", (40, 24))
        assert np.array_equal(np.asarray(image), first)
    words = ("evaluate", "--generated", "run", "--reference", "wide:heldout", "--json", "-")
    assert json.loads(fromnoise(*words, cwd=tmp_path).stdout)["metrics"] == report["metrics"]
    fromnoise("vary", "run", "new/000000.png", "--out", "varied.npz", "--n", "2", cwd=tmp_path)
    with np.load(tmp_path / "varied.npz") as saved:
        assert saved["arr_0"].shape == (2, 24, 40, 1)
    assert "mean of 8" in fromnoise("likelihood", "run", "wide:heldout", "--n", "8", cwd=tmp_path).stdout


@pytest.mark.slow
def test_deep_grey_is_learnt_by_its_range(fromnoise, tmp_path):
    (tmp_path / "scans").mkdir()
    for k, values in enumerate(3000 + 2000 * patches(600, 1)[:, 0]):
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / "scans" / f"{k}.png")
    done = fromnoise(*RUN, "--data", "scans", cwd=tmp_path)
    assert "600 images, no classes, grey, 16×16; values from 300" in done.stderr
    low, high = load(tmp_path / "run", quiet=True).model.info.range
    assert 3000 <= low < 3010 < 4990 < high < 5000
    assert "mean of 4" in fromnoise("likelihood", "run", "scans:heldout", "--n", "4", cwd=tmp_path).stdout
    refused = fromnoise("likelihood", "run", "digits:val", "--n", "4", cwd=tmp_path, code=2).stderr
    assert f"the training images' values are from {low:g} to {high:g}, and these are bytes" in refused
