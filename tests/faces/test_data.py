"""`fromnoise data export`."""

import numpy as np
import pytest
from PIL import Image

from fromnoise.data import arrays, folder
from fromnoise.faces import cli


@pytest.fixture
def export(capsys, monkeypatch, tmp_path):
    """A function that exports in a new current folder; gives the exit code and what stderr shows."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = cli.main(["data", "export", *words])
        return code, capsys.readouterr().err

    return call


def test_an_array_is_replaced_where_overwrite_says_so(export, tmp_path):
    export("digits:val", "images.npz", "--n", "10")
    code, said = export("digits:val", "images.npz", "--n", "20")
    assert code == 2
    assert "--overwrite" in said
    assert export("digits:val", "images.npz", "--n", "20", "--overwrite")[0] == 0
    assert len(arrays.load(tmp_path / "images.npz")) == 20


@pytest.fixture
def pets(tmp_path):
    """The name of a folder in three parts, each with two classes."""
    for k, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (24, 8, 8), np.uint8)):
        place = tmp_path / "pets" / ("train", "val", "test")[k % 3] / ("cat", "dog")[k // 3 % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{k}.png")
    return "pets"


def known(images):
    """The part and the class of each image by its pixels."""
    labels = [None] * len(images) if images.labels is None else images.labels.tolist()
    pixels = [image.tobytes() for image in images.images.numpy()]
    return {image: known for image, *known in zip(pixels, images.parts, labels, strict=True)}


def test_a_folder_keeps_the_parts_that_the_images_came_in(export, pets, tmp_path):
    whole = folder.load(tmp_path / pets)
    assert export(pets, "out", "--by-class")[0] == 0
    back = folder.load(tmp_path / "out")
    assert known(back) == known(whole)
    assert back.class_names == ("cat", "dog")
    assert export(pets, "plain")[0] == 0
    back = folder.load(tmp_path / "plain")
    assert known(back) == {image: [part, None] for image, (part, _) in known(whole).items()}
    assert export(f"{pets}:val", "val")[0] == 0
    assert sorted(each.name for each in (tmp_path / "val").iterdir()) == [f"{k:06d}.png" for k in range(8)]


def test_an_array_is_said_to_merge_the_parts(export, pets, tmp_path):
    code, said = export(pets, "out.npz")
    assert code == 0
    assert "they are merged: `fromnoise data export pets:train train.npz` exports one part alone" in said
    assert len(arrays.load(tmp_path / "out.npz")) == 24
    assert "merged" not in export(f"{pets}:train", "train.npz")[1]
