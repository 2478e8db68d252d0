"""Whether the copy test tells a model that memorised its images from one that learnt, all through the command line."""

import json

import numpy as np
import pytest

from fromnoise.data import digits

pytestmark = pytest.mark.slow


@pytest.fixture
def copies(fromnoise):
    """The `copies` of a report: generated images against held-out digits, trained on what is told."""

    def judge(place, generated, train):
        words = ("--generated", generated, "--reference", "digits:heldout", "--train", train, "--json", "-")
        return json.loads(fromnoise("evaluate", *words, cwd=place).stdout)["copies"]

    return judge


def test_a_model_that_memorised_a_hundred_digits_is_caught(fromnoise, copies, tmp_path):
    fromnoise("data", "export", "digits:train", "hundred", "--n", "100", cwd=tmp_path)  # the draw that --m 100 makes
    last = "run/checkpoints/000500"
    words = ("--size", "16", "--channels", "32", "64", "--compile", "off", "--steps", "500")
    fromnoise("train", "--data", "digits", *words, "--m", "100", "--out", "run", cwd=tmp_path)
    fromnoise("sample", last, "--n", "300", "--out", "drawn.npz", cwd=tmp_path)
    found = copies(tmp_path, "drawn.npz", "hundred")
    assert (found["n"]["generated"], found["n"]["train"]) == (300, 100)
    assert 900 < found["n"]["held_out"] <= 1000  # in the generated shares of the classes
    assert found["verdict"].startswith("copying: ")
    assert min(closer["p"] for closer in found["closer"]) < 1e-10
    fromnoise("sample", "run", "--n", "300", "--out", "kept.npz", cwd=tmp_path)
    kept = copies(tmp_path, "kept.npz", "hundred")  # the model from before, which denoises validation images best
    assert max(each["share"] for each in kept["closer"]) < 0.5 * max(each["share"] for each in found["closer"])


def test_training_digits_under_slight_noise_are_caught(copies, tmp_path):
    train = digits.load("train").subset(300, 0)
    noise = np.random.default_rng(0).normal(0, 8, train.images.shape)  # in grey levels
    noisy = (train.images.numpy() + noise).round().clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "noisy.npz", noisy.transpose(0, 2, 3, 1))
    found = copies(tmp_path, "noisy.npz", "digits")
    assert found["verdict"].startswith("copying: ")
    assert max(closer["share"] for closer in found["closer"]) > 0.9
    assert min(closer["p"] for closer in found["closer"]) < 1e-100
