import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise.config import TINY, with_budget
from fromnoise.data.image_set import ImageSet
from fromnoise.generation.model import Model, Shape

# Two workers share two cores: threads of both at once would wait for each other most of the time.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# Whatever the machine's own data root is, tests see it only where they ask for it. (Workers inherit the second name.)
MNIST = os.environ.pop("FROMNOISE_DATA", None) or os.environ.get("FROMNOISE_TESTS_DATA")
if MNIST:
    os.environ["FROMNOISE_TESTS_DATA"] = MNIST = str(Path(MNIST).resolve())


@pytest.fixture(autouse=True)
def one_thread():
    """Back to one thread where a test takes more."""
    yield
    torch.set_num_threads(1)


@pytest.fixture
def mnist_root():
    """The folder with the whole MNIST; the test is skipped where there is none."""
    if MNIST is None:
        pytest.skip("FROMNOISE_DATA does not say where the whole MNIST lies")
    return Path(MNIST)


def blobs(n=64, size=16, channels=1, classes=4, seed=0):
    """Small images with something to learn: a bright square whose place is the class."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (n, channels, size, size), dtype=np.uint8)
    labels = np.arange(n) % classes
    half = size // 2
    for k, label in enumerate(labels):
        top, left = half * (label // 2 % 2), half * (label % 2)
        images[k, :, top : top + half, left : left + half] += 180
    return ImageSet("blobs", torch.from_numpy(images), torch.from_numpy(labels))


@pytest.fixture
def images():
    return blobs()


def tiny_config(**rooms):
    """The tiny preset with some settings changed: tiny_config(training={"steps": 5}, seed=3)."""
    config = TINY
    for name, value in rooms.items():
        if isinstance(value, dict):
            value = dataclasses.replace(getattr(config, name), **value)
        config = dataclasses.replace(config, **{name: value})
    return with_budget(config, "tiny")


@pytest.fixture
def config_of():
    return tiny_config


@pytest.fixture
def blobs_of():
    return blobs


@pytest.fixture
def tiny_model(images):
    """A tiny model whose zero-initialised layers are not zero, so that its output depends on all it is told."""
    model = Model.build(tiny_config(), Shape.of(images, tiny_config()))
    torch.manual_seed(1)
    for parameter in model.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model
