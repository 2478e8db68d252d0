"""Whether the copy test tells a model that memorised its images from one that learnt, all through the command line."""

import json

import numpy as np
import pytest

from fromnoise.data import digits

pytestmark = pytest.mark.slow

NETWORK = ("--size", "16", "--channels", "32", "64", "--compile", "off", "--precision", "fp32")


@pytest.fixture
def copies(fromnoise):
    """The `copies` of a report: generated images against held-out digits, trained on what is told."""

    def judge(place, generated, train):
        words = ("--generated", generated, "--reference", "digits:heldout", "--train", train, "--json", "-")
        return json.loads(fromnoise("evaluate", *words, cwd=place).stdout)["copies"]

    return judge


def trained_and_drawn(fromnoise, place, *words, source="run"):
    fromnoise("train", "--data", "digits", *NETWORK, *words, "--out", "run", cwd=place)
    fromnoise("sample", source, "--n", "300", "--out", "drawn.npz", cwd=place)


def test_a_model_that_memorised_a_hundred_digits_is_caught(fromnoise, copies, tmp_path):
    fromnoise("data", "export", "digits:train", "hundred", "--n", "100", cwd=tmp_path)  # the draw that --m 100 makes
    last = "run/checkpoints/000700"
    trained_and_drawn(fromnoise, tmp_path, "--m", "100", "--steps", "700", source=last)
    found = copies(tmp_path, "drawn.npz", "hundred")
    assert (found["n"]["generated"], found["n"]["train"]) == (300, 100)
    assert 900 < found["n"]["held_out"] <= 1000  # in the generated shares of the classes
    assert found["verdict"].startswith("copying: ")
    assert min(closer["p"] for closer in found["closer"]) < 1e-10
    fromnoise("sample", "run", "--n", "300", "--out", "kept.npz", cwd=tmp_path)
    kept = copies(tmp_path, "kept.npz", "hundred")  # the model from before, which denoises validation images best
    assert max(each["share"] for each in kept["closer"]) < 0.5 * max(each["share"] for each in found["closer"])


def test_the_same_network_trained_on_three_thousand_digits_is_no_copyist(fromnoise, copies, tmp_path):
    trained_and_drawn(fromnoise, tmp_path, "--steps", "300")
    found = copies(tmp_path, "drawn.npz", "digits")
    assert found["copying"] is False


@pytest.mark.usefixtures("mnist_root")
@pytest.mark.parametrize("seed", [0, 1])
def test_fresh_real_digits_are_no_copies(fromnoise, copies, tmp_path, seed):
    fromnoise("data", "export", "mnist:test", "fresh", "--n", "500", "--seed", seed, cwd=tmp_path)
    found = copies(tmp_path, "fresh", "digits")
    assert found["copying"] is False
    assert found["identical"] == 0


def test_training_digits_under_slight_noise_are_caught(copies, tmp_path):
    train = digits.load("train").subset(300, 0)
    noise = np.random.default_rng(0).normal(0, 8, train.images.shape)  # in grey levels
    noisy = (train.images.numpy() + noise).round().clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "noisy.npz", noisy.transpose(0, 2, 3, 1))
    found = copies(tmp_path, "noisy.npz", "digits")
    assert found["verdict"].startswith("copying: ")
    assert max(closer["share"] for closer in found["closer"]) > 0.9
    assert min(closer["p"] for closer in found["closer"]) < 1e-100
