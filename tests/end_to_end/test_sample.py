import json
import shutil

import numpy as np
import pytest
from PIL import Image


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def array(path, name="arr_0"):
    with np.load(path) as arrays:
        return arrays[name]


def test_a_grid_an_array_and_a_folder_show_the_same_images(finished, fromnoise, tmp_path):
    for out in ("grid.png", "images.npz", "images"):
        done = fromnoise("sample", finished / "run", "--n", "10", "--out", out, "--precision", "fp32", cwd=tmp_path)
        assert done.stdout == f"{out}\n"
    images = array(tmp_path / "images.npz")
    files = sorted((tmp_path / "images").iterdir())
    assert [file.name for file in files] == [f"{k:06d}.png" for k in range(10)]
    for image, file in zip(images, files, strict=True):
        assert np.array_equal(pixels(file), image[..., 0])
    assert np.array_equal(pixels(tmp_path / "grid.png")[2:34:2, 2:34:2], images[0, ..., 0])


def test_the_runs_own_samples_can_be_drawn_again(finished, fromnoise, tmp_path):
    fromnoise("sample", finished / "run", "--n", "7", "--out", "some.npz", "--precision", "fp32", cwd=tmp_path)
    ours, theirs = tmp_path / "some.npz", finished / "run" / "samples" / "images.npz"
    assert np.abs(array(ours).astype(int) - array(theirs)[:7]).max() <= 1
    assert np.array_equal(array(ours, "labels"), array(theirs, "labels")[:7])


@pytest.mark.parametrize("source", ["run", "run/checkpoints/000030", "run/checkpoints/000030/model.safetensors"])
def test_any_way_to_name_a_model_will_do(finished, fromnoise, tmp_path, source):
    fromnoise("sample", finished / source, "--n", "1", "--out", "one.png", "--precision", "fp32", cwd=tmp_path)
    drawn = array(finished / "run" / "samples" / "images.npz")[0, :, :, 0]
    assert np.abs(pixels(tmp_path / "one.png").astype(int) - drawn).max() <= 1  # the image itself, and no grid


@pytest.mark.parametrize("words", [
    ("--sampler", "ancestral", "--spacing", "t", "--steps", "7"),
    ("--sampler", "ddim", "--steps", "3"),
    ("--sampler", "heun", "--steps", "4"),
    ("--sampler", "unipc", "--steps", "4", "--spacing", "logsnr"),
    ("--guidance", "2", "--label", "3"),
    ("--logsnr-range", "-6", "8"),
])  # fmt: skip
def test_every_sampler_option_reaches_the_images(finished, fromnoise, tmp_path, words):
    common = ("sample", finished / "run", "--n", "4", "--precision", "fp32")
    fromnoise(*common, "--out", "plain.npz", cwd=tmp_path)
    fromnoise(*common, "--out", "other.npz", *words, cwd=tmp_path)
    assert not np.array_equal(array(tmp_path / "plain.npz"), array(tmp_path / "other.npz"))


def test_an_existing_file_is_not_replaced_unless_asked(finished, fromnoise, tmp_path):
    (tmp_path / "mine.png").write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    words = ("sample", finished / "run", "--n", "1", "--precision", "fp32")
    refused = fromnoise(*words, "--out", "mine.png", cwd=tmp_path, code=2)
    assert "already exists" in refused.stderr
    assert (tmp_path / "mine.png").read_bytes() == b"precious"
    assert "images are written as" in fromnoise(*words, "--out", "x.jpg", cwd=tmp_path, code=2).stderr
    assert "cannot be written" in fromnoise(*words, "--out", "mine.png/x.png", cwd=tmp_path, code=2).stderr
    fromnoise(*words, "--out", "folder", cwd=tmp_path)
    assert "name a new folder" in fromnoise(*words, "--out", "folder", "--overwrite", cwd=tmp_path, code=2).stderr
    fromnoise(*words, "--out", "mine.png", "--overwrite", cwd=tmp_path)
    assert pixels(tmp_path / "mine.png").shape == (16, 16)


@pytest.mark.parametrize(("words", "message"), [
    (("nowhere",), "neither a run folder"),
    (("run", "--label", "10"), "10 classes, counted from 0"),
    (("run", "--steps", "0"), "--steps must be from 1 to 50000, not 0"),
    (("run", "--steps", "100000000"), "--steps must be from 1 to 50000, not 1e+08"),
    (("run", "--n", "0"), "cannot sample 0"),
    (("run", "--n", "10000000000000000000"), "cannot sample 10,000,000"),
    (("run", "--n", "-5", "--label", "3"), "cannot sample -5"),
    (("run", "--first", "-1"), "numbered from 0"),
    (("run", "--guidance", "nan"), "--guidance must be from 0 to 100, not nan"),
    (("run", "--guidance-interval", "2", "1"), "give the lower λ first"),
    (("run", "--logsnr-range", "6", "-9"), "give the lower λ first"),
    (("run", "--steps", "2000", "--spacing", "t"), "the schedule has 1000 steps"),
    (("run", "--logsnr-range", "-6", "8", "--spacing", "t"), "leave out --logsnr-range"),
])  # fmt: skip
def test_nonsense_is_one_line_exit_code_2_and_writes_nothing(finished, fromnoise, tmp_path, words, message):
    source, *rest = words
    refused = fromnoise("sample", finished / source, *rest, "--out", "out.png", cwd=tmp_path, code=2)
    assert message in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith("fromnoise: ")
    assert not list(tmp_path.iterdir())


def test_rejecting_copies_leaves_images_alone_that_are_none(finished, fromnoise, tmp_path):
    words = ("sample", finished / "run", "--n", "10", "--precision", "fp32")
    fromnoise(*words, "--out", "plain.npz", cwd=tmp_path)
    done = fromnoise(*words, "--out", "checked.npz", "--reject-copies", cwd=tmp_path)
    assert done.stdout == "checked.npz\n"
    assert done.stderr.splitlines()[-1] == "10 images sampled, 0 rejected as copies of training images"
    for name in ("arr_0", "labels"):
        assert np.array_equal(array(tmp_path / "plain.npz", name), array(tmp_path / "checked.npz", name))


@pytest.mark.parametrize("source", ["run/checkpoints/000030/model.safetensors", "run/checkpoints/000030"])
def test_a_model_without_its_run_cannot_tell_copies(finished, fromnoise, tmp_path, source):
    refused = fromnoise("sample", finished / source, "--reject-copies", "--out", "out.png", cwd=tmp_path, code=2)
    assert "--reject-copies needs a run folder" in refused.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("path", "value", "message"), [
    (("data", "fingerprint"), "0" * 64, "have changed: digits now holds other images"),
    (("config", "data", "data"), "gone.npz", "are missing: 'gone.npz' is neither"),
])  # fmt: skip
def test_copies_cannot_be_told_without_the_training_images(finished, fromnoise, tmp_path, path, value, message):
    shutil.copytree(finished / "run", tmp_path / "run")
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    *rooms, name = path
    place = about
    for room in rooms:
        place = place[room]
    place[name] = value
    (tmp_path / "run" / "config.json").write_text(json.dumps(about))
    refused = fromnoise("sample", "run", "--reject-copies", "--out", "out.png", cwd=tmp_path, code=2)
    assert message in refused.stderr
    assert not (tmp_path / "out.png").exists()
