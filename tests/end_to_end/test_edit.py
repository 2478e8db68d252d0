"""Editing on the real command line, with the packaged model."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise import load
from fromnoise.data import digits
from fromnoise.data.resize import resize

QUICK = ("--steps", "3")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def place(tmp_path):
    """Two digits at the model's size, one at half of it, one as MNIST has it, and a mask for the right half."""
    two = digits.load("heldout").take([0, 1]).images
    for name, image in zip(("a", "b"), resize(two, (32, 32)), strict=True):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{name}.png")
    Image.fromarray(resize(two, (16, 16))[0, 0].numpy()).save(tmp_path / "small.png")
    Image.fromarray(two[0, 0].numpy()).save(tmp_path / "mnist.png")
    hole = np.zeros((32, 32), np.uint8)
    hole[:, 16:] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    Image.fromarray(0 * hole).save(tmp_path / "black.png")
    Image.fromarray(hole).resize((48, 32)).save(tmp_path / "wide.png")
    Image.fromarray(hole).resize((28, 28)).save(tmp_path / "small-mask.png")
    Image.fromarray(np.stack([255 + 0 * hole] * 3 + [hole], axis=-1)).save(tmp_path / "clear.png")
    return tmp_path


def test_known_pixels_come_back_to_the_byte(fromnoise, place):
    words = ("inpaint", "digits", "a.png", "--mask", "mask.png", *QUICK)
    done = fromnoise(*words, "--out", "whole.png", cwd=place)
    assert done.stdout == "whole.png\n"
    whole, given = pixels(place / "whole.png"), pixels(place / "a.png")
    assert np.array_equal(whole[:, :16], given[:, :16])
    assert not np.array_equal(whole[:, 16:], given[:, 16:])
    fromnoise(*words, "--n", "3", "--label", "7", "--out", "several", cwd=place)
    files = sorted((place / "several").iterdir())
    assert [file.name for file in files] == ["000000.png", "000001.png", "000002.png"]
    assert all(np.array_equal(pixels(file)[:, :16], given[:, :16]) for file in files)
    again = fromnoise(*words, "--out", "whole.png", cwd=place, code=2)
    assert "already exists" in again.stderr
    fromnoise(*words, "--out", "whole.png", "--overwrite", cwd=place)
    assert np.array_equal(pixels(place / "whole.png"), whole)


def test_a_resized_mask_is_told(fromnoise, place):
    done = fromnoise("inpaint", "digits", "a.png", "--mask", "small-mask.png", *QUICK, "--out", "w.png", cwd=place)
    assert done.stderr == "small-mask.png: 28×28 → 32×32; 50 % of the image will be filled in\n"


def test_an_enlarged_image_has_the_pixels_given_as_its_means(fromnoise, place):
    fromnoise("upscale", "digits", "small.png", *QUICK, "--out", "large.png", cwd=place)
    large = pixels(place / "large.png").reshape(16, 2, 16, 2).astype(float).mean(axis=(1, 3))
    assert np.array_equal(large, pixels(place / "small.png"))


def test_variants_begin_at_the_image_and_a_resized_image_is_told(fromnoise, place):
    done = fromnoise("vary", "digits", "mnist.png", "--strength", "0", "--n", "2", "--out", "same.npz", cwd=place)
    assert done.stderr == "mnist.png: 28×28 → 32×32\n"
    with np.load(place / "same.npz") as arrays:
        assert np.array_equal(arrays["arr_0"][1, ..., 0], pixels(place / "a.png"))
    fromnoise("vary", "digits", "a.png", *QUICK, "--out", "grid.png", cwd=place)
    assert pixels(place / "grid.png").shape == (3 * 66 + 2, 3 * 66 + 2)


def test_a_path_has_the_images_at_its_ends(fromnoise, place):
    fromnoise("interpolate", "digits", "a.png", "b.png", "--n", "3", "--out", "path", cwd=place)
    for name, end in (("000000.png", "a.png"), ("000002.png", "b.png")):
        off = np.abs(pixels(place / "path" / name).astype(int) - pixels(place / end))
        assert off.mean() < 2


@pytest.mark.parametrize(("words", "message"), [
    (("inpaint", "digits", "a.png", "--mask", "black.png"), "nothing to fill"),
    (("inpaint", "digits", "a.png", "--mask", "clear.png"), "clear.png has transparent parts: paint the parts to fill"),
    (("upscale", "digits", "wide.png"), "wide.png is 32×48 and the model makes 32×32: there is nothing to enlarge"),
    (("inpaint", "digits", "gone.png", "--mask", "mask.png"), "gone.png cannot be read as an image"),
    (("inpaint", "digits", "a.png"), "--mask"),
    (("inpaint", "digits", "a.png", "--mask", "wide.png"), "wide.png is 32×48 and a.png is 32×32: give a mask of"),
    (("vary", "digits", "a.png", "--strength", "2"), "--strength must be from 0 to 1, not 2"),
    (("vary", "digits", "a.png", "--guidance", "2"), "give --label too"),
    (("vary", "digits", "a.png", "--label", "10"), "10 classes, counted from 0"),
    (("vary", "digits", "a.png", "--n", "0"), "n must be at least 1, not 0"),
    (("upscale", "nowhere", "a.png"), "neither a run folder"),
    (("upscale", "digits", "small.png", "--steps", "0"), "--steps must be from 1"),
    (("interpolate", "digits", "a.png", "b.png", "--n", "1"), "at least 2 images, not 1"),
])  # fmt: skip
def test_nonsense_is_one_line_and_writes_nothing(fromnoise, place, words, message):
    refused = fromnoise(*words, "--out", "out.png", cwd=place, code=2)
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (place / "out.png").exists()


def test_transparency_goes_through_and_known_pixels_keep_it(fromnoise, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for k in range(60):
        image = random.integers(0, 256, (16, 16, 4), dtype=np.uint8)
        image[..., 3] = np.where(np.arange(16) < 4 + k % 8, 255, 0)[:, None]
        image[image[..., 3] == 0] = 0
        Image.fromarray(image).save(tmp_path / "pictures" / f"{k:02}.png")
    words = ("--data", "pictures", "--preset", "tiny", "--size", "16", "--steps", "2", "--m", "30")
    fromnoise("train", *words, "--out", "run", cwd=tmp_path)
    hole = np.zeros((16, 16), np.uint8)
    hole[4:8] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    given = tmp_path / "pictures" / "03.png"
    fromnoise("inpaint", "run", given, "--mask", "hole.png", *QUICK, "--out", "whole.png", cwd=tmp_path)
    whole = pixels(tmp_path / "whole.png")
    assert whole.shape == (16, 16, 4)
    assert np.array_equal(whole[hole == 0], pixels(given)[hole == 0])
    fromnoise("upscale", "run", given, *QUICK, "--out", "large.npz", cwd=tmp_path)


def test_grey_of_16_bits_is_edited_by_the_range_of_the_training_images(fromnoise, tmp_path):
    (tmp_path / "scans").mkdir()
    values = np.random.default_rng(0).integers(300, 4001, (30, 16, 16)).astype(np.uint16)
    values[0, 0, :2] = 300, 4000
    for k, image in enumerate(values):
        Image.fromarray(image).save(tmp_path / "scans" / f"{k:02}.tif")
    words = ("--data", "scans", "--preset", "tiny", "--size", "16", "--steps", "2", "--m", "20")
    fromnoise("train", *words, "--out", "run", cwd=tmp_path)
    same = ("--strength", "0", "--n", "1", "--overwrite", "--out", "same.png")
    done = fromnoise("vary", "run", "scans/07.tif", *same, cwd=tmp_path)
    wanted = np.round((values[7] - 300.0) / 3700 * 255)
    assert not done.stderr
    assert np.array_equal(pixels(tmp_path / "same.png"), wanted)
    run = load(tmp_path / "run", quiet=True)
    assert np.array_equal(run.vary(values[7:8], strength=0)[0, ..., 0], wanted)
    assert np.array_equal(run.vary(wanted[None].astype(np.uint8), strength=0)[0, ..., 0], wanted)  # bytes are bytes
    done = fromnoise("vary", "run", "same.png", *same, cwd=tmp_path)
    assert done.stderr == "same.png: read as one of the model's samples: 0 means 300, 255 means 4000\n"
    assert np.array_equal(pixels(tmp_path / "same.png"), wanted)
    Image.fromarray(2 * values[7]).save(tmp_path / "brighter.tif")
    done = fromnoise("vary", "run", "brighter.tif", *same, cwd=tmp_path)
    assert f"to {2 * values[7].max()} clipped to the training images' range, 300 to 4000" in done.stderr
    Image.fromarray(np.tri(16, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    fromnoise("inpaint", "run", "scans/07.tif", "--mask", "mask.png", *QUICK, "--out", "whole.png", cwd=tmp_path)
    assert np.array_equal(np.triu(pixels(tmp_path / "whole.png"), 1), np.triu(wanted, 1))
    assert fromnoise("likelihood", "run", "scans/07.tif", "--levels", "2", cwd=tmp_path).stdout


def test_a_deep_image_is_edited_as_the_training_read_it(fromnoise, tmp_path):
    (tmp_path / "scans").mkdir()
    for k in range(20):
        values = np.random.default_rng(k).integers(0, 4000, (32, 32)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / "scans" / f"{k:02}.png")
    fromnoise(
        "train", "--data", "scans", "--preset", "tiny", "--size", "16", "--steps", "2", "--out", "run", cwd=tmp_path
    )
    fromnoise("data", "export", "scans", "small", "--size", "16", cwd=tmp_path)
    same = ("--strength", "0", "--n", "1", "--out", "same.png")
    done = fromnoise("vary", "run", "scans/03.png", *same, cwd=tmp_path)
    assert done.stderr == "scans/03.png: 32×32 → 16×16\n"
    assert np.array_equal(pixels(tmp_path / "same.png"), pixels(tmp_path / "small" / "000003.png"))
    below = (np.arange(32)[:, None] >= 16) * np.ones((32, 32))
    for name, mask in {"deep.png": (65535 * below).astype(np.uint16), "float.tif": below.astype(np.float32)}.items():
        Image.fromarray(mask).save(tmp_path / name)
        out = Path(name).with_suffix(".filled.png").name
        done = fromnoise("inpaint", "run", "scans/03.png", "--mask", name, *QUICK, "--out", out, cwd=tmp_path)
        assert f"{name}: 32×32 → 16×16; white is {mask.max():g}; 50 % of the image will be" in done.stderr


def test_transparency_that_the_model_does_not_have_is_said(fromnoise, place):
    clear = np.zeros((32, 32, 4), np.uint8)
    clear[8:24, 8:24] = 200, 200, 200, 255
    Image.fromarray(clear).save(place / "clear.png")
    words = ("vary", "digits", "clear.png", "--strength", "0", "--n", "1", "--out", "same.png")
    assert fromnoise(*words, cwd=place).stderr == "clear.png: transparent parts put on mid-grey\n"
    assert pixels(place / "same.png")[0, 0] == 128


@pytest.mark.slow
def test_the_guides_picture_is_made_by_the_example(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "edit_digits.py"
    runpy.run_path(str(example))["main"](str(tmp_path / "edit.png"))
    made, shown = pixels(tmp_path / "edit.png"), pixels(example.parents[1] / "docs" / "edit.png")
    assert made.shape == shown.shape
    assert np.abs(made.astype(float) - shown).mean() < 5  # sixteen bits are rounded otherwise on other processors
