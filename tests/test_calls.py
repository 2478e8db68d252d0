"""Arguments of the API, and what it says of wrong ones."""

import copy
import pickle
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

import fromnoise
from fromnoise import calls
from fromnoise.calls import called_from_python
from fromnoise.errors import UserError
from fromnoise.images import Images, array_of


@called_from_python(unchecked=["free"])
def example(
    n: int = 1,
    strength: float = 0.5,
    label: int | str | None = None,
    way: Literal["crop", "pad"] | None = None,
    quiet: bool = False,
    path: str | Path = "x",
    free: int = 0,
    **settings: object,
) -> str:
    """Says what is wrong with --some-setting, if asked to."""
    if settings:
        raise UserError("--per-class already says so: leave out --n")
    return "done"


@pytest.mark.parametrize(
    "given",
    [
        {"n": np.int64(3)},
        {"strength": 1},
        {"strength": np.float32(0.5)},
        {"label": "one"},
        {"label": 3},
        {"label": None},
        {"way": "pad"},
        {"way": None},
        {"quiet": True},
        {"path": Path("x")},
        {"free": "anything"},
    ],
)
def test_arguments_of_the_declared_types_pass(given):
    assert example(**given) == "done"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": "4"}, "n must be a whole number, not '4'"),
        ({"n": 1.5}, "n must be a whole number, not 1.5"),
        ({"n": True}, "n must be a whole number, not True"),
        ({"n": None}, "n must be a whole number, not None"),
        ({"strength": "0.5"}, "strength must be a number, not '0.5'"),
        ({"label": 1.5}, "label must be a whole number or text or None, not 1.5"),
        ({"way": "zoom"}, "way must be None or one of crop, pad, not 'zoom'"),
        ({"quiet": 1}, "quiet must be True or False, not 1"),
        ({"path": 3}, "path must be text or a path, not 3"),
    ],
)
def test_arguments_of_other_types_are_refused_before_any_work(given, message):
    with pytest.raises(UserError) as refused:
        example(**given)
    assert str(refused.value) == message


def test_errors_name_arguments_and_not_flags():
    with pytest.raises(UserError, match=r"^per_class already says so: leave out n$"):
        example(other=1)


def test_names_of_files_stay():
    @called_from_python()
    def refuse() -> None:
        raise UserError("my--photos/--x.png, runs/x--old: give --T and --no-labels")

    with pytest.raises(UserError) as refused:
        refuse()
    assert str(refused.value) == "my--photos/--x.png, runs/x--old: give T and labels=False"


def test_wrong_arguments_of_the_api_are_users_errors(tmp_path):
    model = fromnoise.load("digits", quiet=True)
    one = np.zeros((1, 32, 32, 1), np.uint8)
    wrong = [
        lambda: model.sample("4"),
        lambda: model.sample(1, steps=2.5),
        lambda: model.sample(1, seed="x"),
        lambda: model.vary(one, strength=None),
        lambda: model.vary([np.zeros((32, 32)), np.zeros((16, 16))]),
        lambda: model.vary("a.png"),
        lambda: model.inpaint(one, "mask.png"),
        lambda: model.inpaint(one, np.eye(32)),
        lambda: model.evaluate(60, reference=one),
        lambda: fromnoise.load(None),
        lambda: fromnoise.evaluate(model, one),
        lambda: fromnoise.train("digits", size=(30, 30, 3), out=tmp_path / "run"),
        lambda: Images(np.full((1, 4, 4, 1), 0.7)),
        lambda: Images(one, labels=[1, 2]),
    ]
    for call in wrong:
        with pytest.raises(UserError):
            call()
    assert not list(tmp_path.iterdir())


def test_an_image_is_no_model(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a.png is an image, not a model: name the run, then the image"):
        fromnoise.load(tmp_path / "a.png")


def test_tensors_that_learn_are_arrays_too():
    assert array_of(torch.ones(2, 3, requires_grad=True), "images").shape == (2, 3)


def test_images_that_are_copied_or_pickled_keep_their_labels():
    images = Images(np.zeros((3, 4, 4, 1), np.uint8), [2, 0, 1], ("a", "b", "c"))
    for same in (images.copy(), copy.copy(images), copy.deepcopy(images), pickle.loads(pickle.dumps(images))):
        assert isinstance(same, Images)
        assert same.labels.tolist() == [2, 0, 1]
        assert same.class_names == ("a", "b", "c")
        assert same.labels is not images.labels
    assert pickle.loads(pickle.dumps(images / 255)).dtype == (images / 255).copy().dtype == np.float64


def test_one_image_is_saved_as_one(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    Images(pixels)[1].save(tmp_path / "one.png")
    Images(pixels[1:]).save(tmp_path / "grid.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "grid.png").read_bytes()


def test_one_image_of_many_channels_is_saved_as_one(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 5), np.uint8)
    Images(pixels)[1].save(tmp_path / "one.npz")
    assert np.load(tmp_path / "one.npz")["arr_0"].shape == (1, 16, 16, 5)


def test_a_tiny_image_is_saved_as_one(tmp_path):
    Images(np.zeros((2, 8, 8, 1), np.uint8))[1].save(tmp_path / "one.npz")
    assert np.load(tmp_path / "one.npz")["arr_0"].shape == (1, 8, 8, 1)


def test_labels_may_be_truth_values_or_whole_floats():
    pixels = np.zeros((2, 4, 4, 1), np.uint8)
    assert Images(pixels, np.array([True, False])).labels.tolist() == [1, 0]
    assert Images(pixels, [1.0, 0.0]).labels.dtype == np.int64
    assert Images(pixels[:0], []).labels.shape == (0,)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["cat", "dog"], "from 0"),
        ([0.5, 1.9], "from 0"),
        ([0, -1], "from 0"),
        ([0, 2], "label 2 has no name"),
        ([0], "need as many labels"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, told):
    with pytest.raises(UserError, match=told):
        Images(np.zeros((2, 4, 4, 1), np.uint8), labels, ("a", "b"))


@pytest.mark.parametrize(("said", "found"), [
    ("40 clusters (--clusters 0 turns this off)", "40 clusters (clusters=0 turns this off)"),
    ("--channels 48 96 96: each must be", "channels 48 96 96: each must be"),
    ("or --n 500", "or n=500"),
    ("run `fromnoise sample a --n 5` or give --n", "run `fromnoise sample a --n 5` or give n"),
])  # fmt: skip
def test_sentences_name_arguments_and_commands_stay(said, found):
    assert calls.as_python(said) == found
