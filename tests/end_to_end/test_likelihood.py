import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.data import sources
from fromnoise.generation import likelihood


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three PNG files in a folder: noise, noise and a blank image."""
    folder = tmp_path_factory.mktemp("pictures") / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).save(folder / "blank.png")
    return folder


def lines(done):
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_a_line_for_each_file_and_a_mean_for_a_folder(finished, fromnoise, pictures):
    done = fromnoise("likelihood", "run", pictures / "a.png", pictures, "--levels", "4", cwd=finished)
    got = lines(done)
    assert [line[0].rsplit("/", 1)[-1] for line in got] == ["a.png", "a.png", "b.png", "blank.png", "pictures"]
    values = [float(line[1]) for line in got]
    assert values[0] == values[1]  # the same image, alone or among others
    assert values[4] == pytest.approx(np.mean(values[1:4]), abs=1e-3)
    assert got[4][2] == f"± {np.std(values[1:4], ddof=1) / 3**0.5:.4f}"
    assert got[4][3] == "mean of 3"
    assert "upper bound" in done.stderr
    assert "resized" not in done.stderr


def test_a_pattern_that_the_shell_left_stands_for_the_files_it_matches(finished, fromnoise, pictures):
    done = fromnoise("likelihood", "run", pictures / "[ab].png", "--levels", "2", cwd=finished)
    assert [Path(line[0]).name for line in lines(done)] == ["a.png", "b.png"]


def test_a_file_of_another_size_is_said_to_be_resized(finished, fromnoise, tmp_path):
    Image.fromarray(np.arange(576, dtype=np.uint8).reshape(24, 24)).save(tmp_path / "large.png")
    done = fromnoise("likelihood", finished / "run", "large.png", "--levels", "2", cwd=tmp_path)
    assert "large.png: 24×24 → 16×16\n" in done.stderr


@pytest.fixture(scope="module")
def deep(fromnoise, tmp_path_factory):
    """A tiny run on 16-bit scans from 300 to 4,000, as `run`; two images of a smaller range, as new/ and new.npy."""
    place = tmp_path_factory.mktemp("deep")
    for name, n, low, high in (("scans", 30, 300, 4000), ("new", 2, 900, 2500)):
        values = np.random.default_rng(n).integers(low, high + 1, (n, 16, 16)).astype(np.uint16)
        values[0, 0, :2] = low, high
        (place / name).mkdir()
        for k, image in enumerate(values):
            Image.fromarray(image).save(place / name / f"{k}.tif")
    np.save(place / "new.npy", values)
    words = ("--data", "scans", "--preset", "tiny", "--size", "16", "--steps", "2", "--m", "20")
    fromnoise("train", *words, "--out", "run", cwd=place)
    return place


def test_deep_images_are_mapped_by_the_models_range_however_they_are_named(deep, fromnoise):
    words = ("likelihood", "run", "new/0.tif", "new", "new.npy", "--levels", "2")
    done = fromnoise(*words, cwd=deep)
    got = {line[0]: float(line[1]) for line in lines(done)}
    assert list(got) == ["new/0.tif", "new/1.tif", "new", "new.npy[0]", "new.npy[1]", "new.npy"]
    assert len(lines(done)) == 7  # the first image alone, and among others
    first = [float(line[1]) for line in lines(done) if line[0] == "new/0.tif"]
    assert first[0] == first[1] == got["new.npy[0]"]
    assert got["new/1.tif"] == got["new.npy[1]"]
    assert "values from 300 to 4000 mapped to 8 bits" in done.stderr
    assert "clipped" not in done.stderr
    np.save(deep / "brighter.npy", 2 * np.load(deep / "new.npy"))
    said = fromnoise("likelihood", "run", "brighter.npy", "--levels", "2", cwd=deep).stderr
    assert "brighter.npy: values from 1800 to 5000 clipped to the training images' range, 300 to 4000\n" in said
    refused = fromnoise("likelihood", "run", "digits:val", "--n", "2", cwd=deep, code=2).stderr
    assert "digits:val: the training images' values are from 300 to 4000, and these are bytes: scale them" in refused


def test_json_holds_the_parts_that_make_the_sum(finished, fromnoise, pictures):
    done = fromnoise("likelihood", "run", pictures, "--levels", "4", "--json", cwd=finished)
    told = json.loads(done.stdout)
    assert told["unit"] == "bits per dimension"
    for row in told["results"][0]["images"]:
        assert row["bits"] == pytest.approx(row["prior"] + row["steps"] + row["decoder"])


def test_the_flow_agrees_with_the_bound_and_comes_below(finished, fromnoise):
    words = ("likelihood", "run", "digits:heldout", "--n", "6")
    bound, flow = (lines(fromnoise(*words, "--method", method, cwd=finished)) for method in ("bound", "flow"))
    assert [line[0] for line in bound] == [line[0] for line in flow]
    assert len(bound) == 7
    assert float(flow[-1][1]) < float(bound[-1][1]) < 2 * float(flow[-1][1])


@pytest.mark.parametrize(("words", "said"), [
    ((), "name the images"),
    (("nowhere/",), "neither a data set"),
    (("digits:heldout", "--label", "77"), "--label 77"),
    (("digits:heldout", "--levels", "1"), "--levels must be"),
    (("digits:heldout", "--levels", "some"), "--levels"),
    (("digits:heldout", "--levels", "8", "--method", "flow"), "--levels is for the bound"),
    (("run/samples/grid.png", "--n", "1"), "--n is for folders"),
])  # fmt: skip
def test_one_line_says_what_is_wrong(finished, fromnoise, words, said):
    done = fromnoise("likelihood", "run", *words, cwd=finished, code=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("levels", "used"), [(32, "all"), (33, 32)])
def test_a_short_schedule_is_summed_whole(finished, fromnoise, monkeypatch, levels, used):
    monkeypatch.setattr(likelihood, "STEPS", levels)
    done = fromnoise("likelihood", "run", "digits:val", "--n", "2", "--json", cwd=finished)
    assert json.loads(done.stdout)["levels"] == used


def test_a_named_set_is_not_told_by_the_names_in_a_folder_called_the_same(finished, fromnoise, pictures, tmp_path):
    (tmp_path / "run").symlink_to(finished / "run")
    (tmp_path / "digits").symlink_to(pictures)
    words = ("likelihood", "run", "digits", "./digits", "--n", "2", "--levels", "2")
    names = [line[0] for line in lines(fromnoise(*words, cwd=tmp_path))]
    assert [name.rsplit("/", 1)[0] for name in (names[0], names[3])] == [names[0], "digits"]
    assert names[0].startswith("digits[")


def test_held_out_images_are_those_that_the_training_held_out(fromnoise, tmp_path):
    (tmp_path / "films").mkdir()
    for k in range(120):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "films" / f"p{k // 6}_{k}.png")
    rule = r"^(p\d+)_"
    words = ("--preset", "tiny", "--data", "films", "--group-by", rule, "--size", "16", "--steps", "2", "--out", "run")
    fromnoise("train", *words, cwd=tmp_path)
    names = [line[0] for line in lines(fromnoise("likelihood", "run", "films:heldout", "--levels", "2", cwd=tmp_path))]
    held_out = sources.load(f"{tmp_path / 'films'}:heldout", (16, 16), group_by=rule)
    assert len(held_out) == 12
    assert [Path(name).name for name in names[:-1]] == [Path(name).name for name in held_out.files]
    words = ("likelihood", "--levels", "2", "--n", "1")
    (tmp_path / "stray.safetensors").write_bytes((tmp_path / "run/checkpoints/000002/model.safetensors").read_bytes())
    stray = fromnoise(*words, "stray.safetensors", "films:heldout", cwd=tmp_path)
    assert "it cannot be checked whether films still holds the images that stray.safetensors was" in stray.stderr
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "films" / "p0_new.png")
    refused = fromnoise(*words, "run", "films:heldout", cwd=tmp_path, code=2)
    assert "films now holds other images" in refused.stderr
    for whole in ("films", "films/"):
        fromnoise(*words, "run", whole, cwd=tmp_path)
