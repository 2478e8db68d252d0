import json

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import arrays
from fromnoise.data.pixels import normalise
from fromnoise.evaluation import digit_network


def test_digits_are_drawn_without_training_anything(fromnoise, tmp_path):
    fromnoise("sample", "digits", "--n", "4", "--steps", "3", "--out", "digits.png", cwd=tmp_path)
    with Image.open(tmp_path / "digits.png") as grid:
        assert grid.size == (2 * 66 + 2, 2 * 66 + 2)


def test_a_run_of_that_name_goes_before_the_packaged_model(finished, fromnoise, tmp_path):
    (tmp_path / "digits").symlink_to(finished / "run")
    fromnoise("sample", "digits", "--n", "1", "--out", "one.npz", cwd=tmp_path)
    with np.load(tmp_path / "one.npz") as drawn:
        assert drawn["arr_0"].shape == (1, 16, 16, 1)


def test_a_folder_of_that_name_that_is_no_run_does_not_hide_it(fromnoise, tmp_path):
    fromnoise("data", "export", "digits:val", "digits", "--n", "3", cwd=tmp_path)
    fromnoise("sample", "digits", "--n", "1", "--steps", "2", "--out", "one.npz", cwd=tmp_path)
    with np.load(tmp_path / "one.npz") as drawn:
        assert drawn["arr_0"].shape == (1, 32, 32, 1)


@pytest.mark.slow
def test_the_packaged_models_digits_are_good_no_copies_and_of_their_classes(fromnoise, tmp_path):
    fromnoise("sample", "digits", "--n", "300", "--out", "out.npz", cwd=tmp_path)
    drawn = arrays.load(tmp_path / "out.npz")
    with torch.inference_mode():
        read = digit_network.packaged()(normalise(drawn.images)).argmax(1)
    assert (read == drawn.labels).double().mean() >= 0.9
    words = ("--generated", "out.npz", "--reference", "digits:heldout", "--train", "digits", "--json", "-")
    report = json.loads(fromnoise("evaluate", *words, cwd=tmp_path).stdout)
    assert report["copies"]["copying"] is False
    assert report["metrics"]["fid"]["value"] < 2
