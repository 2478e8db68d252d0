import base64
import dataclasses
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise import threads
from fromnoise.config import TINY, with_budget
from fromnoise.data.image_set import ImageSet
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model

# Two workers share two cores: threads of both at once would wait for each other most of the time.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("COLUMNS", None)  # of pytest-xdist's workers: tables would be narrow

# Whatever the machine's own data root is, tests see it only where they ask for it. (Workers inherit the second name.)
MNIST = os.environ.pop("FROMNOISE_DATA", None) or os.environ.get("FROMNOISE_TESTS_DATA")
if MNIST:
    os.environ["FROMNOISE_TESTS_DATA"] = MNIST = str(Path(MNIST).resolve())


@pytest.fixture(scope="session", autouse=True)
def quick_judge():
    """Scores ask a network that has hardly learnt whether it tells images apart: learning takes seconds."""
    from fromnoise.evaluation import score, two_sample

    def judged(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(two_sample, "PASSES", 0)
            return two_sample.told_apart(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "told_apart", judged)
        yield


@pytest.fixture(scope="session", autouse=True)
def known_groups():
    """Near-duplicates among the same images are looked for once in all the tests of a worker."""
    from fromnoise.data import sources
    from fromnoise.data.image_set import digests
    from fromnoise.evaluation import copies, overlap, repeats, two_sample

    known = {}

    def remembered(function):
        def call(*sets):
            key = function.__name__, *(digests(images).tobytes() for images in sets)
            if key not in known:
                known[key] = function(*sets)
            return known[key].clone()

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module in (copies, repeats, two_sample, sources):
            patch.setattr(module, "groups", remembered(module.groups))
        patch.setattr(overlap, "nearly_in", remembered(overlap.nearly_in))
        yield


@pytest.fixture(autouse=True)
def one_thread():
    """Back to one thread where a test takes more."""
    yield
    threads.fix(None)
    threads._shared = None
    torch.set_num_threads(1)


@pytest.fixture
def mnist_root(monkeypatch):
    """The folder with the whole MNIST, as the data root; the test is skipped where there is none."""
    if MNIST is None:
        pytest.skip("FROMNOISE_DATA does not say where the whole MNIST lies")
    monkeypatch.setenv("FROMNOISE_DATA", MNIST)
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


@pytest.fixture(scope="session")
def blobs_of():
    return blobs


@pytest.fixture
def tiny_model(images):
    """A tiny model whose zero-initialised layers are not zero, so that its output depends on all it is told."""
    model = Model.build(tiny_config(), DataInfo.of(images, tiny_config()))
    torch.manual_seed(1)
    for parameter in model.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """A page taken apart: tags opened and closed in order, their attributes, the text between them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.alternatives, self.words = [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "img":
            self.alternatives.append(attributes["alt"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def pictures(self):
        """The bytes of the pictures it holds."""
        return [base64.b64decode(address.partition(",")[2]) for address in self.addresses if "base64" in address]


@pytest.fixture
def page_of():
    """A page's text taken apart, once it is found to fetch nothing."""

    def take(text):
        page = Page(text)
        assert all(address.startswith(("data:", "#")) for address in page.addresses)
        style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
        assert "url(" not in style
        assert "@import" not in style
        return page

    return take
