"""Guidance chosen at the end of a training, from the command line."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from fromnoise.experiment import guidance
from fromnoise.generation.model import Model

WORDS = (
    "--preset", "tiny", "--steps", "10", "--checkpoint-every", "6", "--ema", "0", "--out", "run", "--size", "8",
    "--channels", "16", "--n", "60",
)  # fmt: skip
KILLER = """
import os, signal, sys
from fromnoise.experiment import guidance
from fromnoise.faces import cli

guidance.FEWEST_STEPS, guidance.MOST_SHARE_OF_TRAINING, guidance.IMAGES_PER_VALUE = 10, 10.0, (64, 64)
guidance.lowest = lambda *_: signal.raise_signal(signal.{signal})
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module", autouse=True)
def so_few_steps():
    """Ten are enough to choose after, and most is chosen, which is more than a model knows by then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guidance, "FEWEST_STEPS", 10)
        patch.setattr(guidance, "MOST_SHARE_OF_TRAINING", 10.0)
        patch.setattr(guidance, "IMAGES_PER_VALUE", (64, 64))
        patch.setattr(guidance, "lowest", lambda value, last: (last, {k: value(k) for k in (0, last)}))
        yield


@pytest.fixture(scope="module")
def chosen(fromnoise, tmp_path_factory):
    place = tmp_path_factory.mktemp("chosen")
    return place, fromnoise("run", *WORDS, cwd=place)


def test_what_was_chosen_is_said_written_used_and_reported(chosen, fromnoise, page_of):
    place, done = chosen
    about = json.loads((place / "run" / "guidance.json").read_text())
    assert f"guidance {about['guidance']:g}, chosen by the FID of 64 images against 200 training images" in done.stderr
    report = json.loads((place / "run" / "report.json").read_text())
    assert report["run"]["guidance"] == about
    assert report["run"]["sampling"]["guidance"] == about["guidance"]
    assert f"guidance {about['guidance']:g}" in page_of((place / "run" / "report.html").read_text()).text
    for name, words in (("own", ()), ("said", ("--guidance", about["guidance"])), ("other", ("--guidance", "1"))):
        fromnoise("sample", "run", "--n", "20", "--out", f"{name}.npz", *words, cwd=place)
    own, said, other = (np.load(place / f"{name}.npz")["arr_0"] for name in ("own", "said", "other"))
    np.testing.assert_array_equal(own, np.load(place / "run" / "samples" / "images.npz")["arr_0"][:20])
    np.testing.assert_array_equal(own, said)
    assert (own != other).any()


def test_the_same_command_again_does_nothing(chosen, fromnoise, snapshot):
    place, _ = chosen
    before = snapshot(place / "run")
    assert "nothing to do" in fromnoise("run", *WORDS, cwd=place).stderr
    assert snapshot(place / "run") == before


@pytest.mark.parametrize(("signal", "code"), [pytest.param("SIGKILL", -9, marks=pytest.mark.slow), ("SIGINT", 130)])
def test_a_choice_broken_off_is_made_by_the_same_command(chosen, fromnoise, forked, tmp_path, signal, code):
    forked("train", *WORDS, cwd=tmp_path, code=code, program=KILLER.format(signal=signal))
    assert not (tmp_path / "run" / "guidance.json").exists()
    again = fromnoise("train", *WORDS, cwd=tmp_path)
    assert "choosing guidance" in again.stderr
    ours, theirs = (place / "run" for place in (tmp_path, chosen[0]))
    assert (ours / "guidance.json").read_text() == (theirs / "guidance.json").read_text()
    files = [run / "checkpoints" / "000010" / "model.safetensors" for run in (ours, theirs)]
    assert Model.load(files[0]).guidance == Model.load(files[1]).guidance is not None
    weights = [load_file(file) for file in files]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[1])


def test_a_training_that_goes_on_chooses_anew_and_keeps_the_choice_before(chosen, fromnoise):
    place, _ = chosen
    before = (place / "run" / "guidance.json").read_text()
    fromnoise("train", *WORDS[:2], *WORDS[4:], "--steps", "+5", cwd=place)
    assert json.loads((place / "run" / "guidance.json").read_text())["step"] == 15
    assert (place / "run" / "guidance-000010.json").read_text() == before


def test_guidance_that_is_given_is_not_chosen(fromnoise, tmp_path):
    done = fromnoise("train", *WORDS, "--guidance", "1.7", cwd=tmp_path)
    assert "choosing guidance" not in done.stderr
    assert not (tmp_path / "run" / "guidance.json").exists()
