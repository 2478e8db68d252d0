import base64
import contextlib
import dataclasses
import hashlib
import os
import re
import sys
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
if sys.platform == "darwin":
    os.environ["ACCELERATE_USE_CPU"] = "1"  # where results are the same to the bit
os.environ.pop("COLUMNS", None)  # of pytest-xdist's workers: tables would be narrow

# Whatever the machine's own data root is, tests see it only where they ask for it. (Workers inherit the second name.)
MNIST = os.environ.pop("FROMNOISE_DATA", None) or os.environ.get("FROMNOISE_TESTS_DATA")
if MNIST:
    os.environ["FROMNOISE_TESTS_DATA"] = MNIST = str(Path(MNIST).resolve())


def fingerprint(*things):
    """A hash of arrays, of objects that hold some, and of plain values."""
    found = hashlib.blake2b()
    for thing in things:
        if isinstance(thing, np.ndarray | torch.Tensor):
            array = np.ascontiguousarray(thing)
            found.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
        elif hasattr(thing, "__dict__"):
            found.update(fingerprint(*vars(thing).values()))
        else:
            found.update(repr(thing).encode())
    return found.digest()


def remembered(function, key=lambda *given: given):
    """The function, asked once for each `key` of what it is given."""
    known = {}

    def call(*given, **options):
        about = fingerprint(*key(*given), *sorted(options.items()))
        if about not in known:
            known[about] = function(*given, **options)
        found = known[about]
        return found.clone() if isinstance(found, torch.Tensor) else found

    return call


@pytest.fixture
def bars():
    """What bars show in the test: their title, and how much of how much is done."""
    from fromnoise.say import Bar, Reporter, reporting_to

    seen = []

    class Seen(Bar):
        def __init__(self, title):
            self.title = title

        def show(self, done, total, note="", remaining=None):
            seen.append((self.title, done, total))

    with reporting_to(Reporter(bar=Seen)):
        yield seen


@pytest.fixture(scope="session", autouse=True)
def known_before():
    """What scores ask of the same images again and again is found once in all the tests of a worker.

    These are near-duplicates, features of packaged weights, the copy test's neighbours, and what a network tells apart
    that has hardly learnt, for learning takes seconds. Fewer copies are planted, and fewer images looked at to know
    digits. Tests of one of these itself ask the real one.
    """
    from fromnoise.data import cache
    from fromnoise.data.image_set import digests
    from fromnoise.evaluation import copies, digit_network, judge, overlap, repeats, score, two_sample
    from fromnoise.evaluation.extractor import Features
    from fromnoise.experiment import score as run_score

    def within(function, owner, **others):
        """The function with other attributes of `owner` while it runs."""

        def call(*given, **options):
            with pytest.MonkeyPatch.context() as patch:
                for name, other in others.items():
                    patch.setattr(owner, name, other)
                return function(*given, **options)

        return call

    mapped, rows = Features.__call__, {}

    def features(self, images):
        if not self.sha256 or getattr(self.extract, "__module__", "") != "fromnoise.evaluation.features":
            return mapped(self, images)
        known, wanted = rows.setdefault((self.name, self.sha256, self.batch), {}), digests(images).tolist()
        if new := [k for k, each in enumerate(wanted) if each not in known]:
            known |= zip([wanted[k] for k in new], mapped(self, images[new]), strict=True)
        return torch.stack([known[each] for each in wanted])

    judged = within(within(two_sample.told_apart, two_sample, PASSES=0, TAUGHT=60, MOST=200), judge, JUDGEMENTS=1)
    groups = remembered(copies.groups)
    with pytest.MonkeyPatch.context() as patch:
        for module in (copies, repeats, two_sample, cache):
            patch.setattr(module, "groups", groups)
        patch.setattr(overlap, "nearly_in", remembered(overlap.nearly_in))
        are_digits = within(digit_network.are_digits, digit_network, LOOKED_AT=100)
        patch.setattr(digit_network, "are_digits", remembered(are_digits))
        patch.setattr(Features, "cached", within(Features.cached, Features, __call__=features))
        for name in ("Gallery", "views"):
            patch.setattr(copies, name, remembered(getattr(copies, name)))
        told = remembered(judged, lambda *given: [getattr(of, "images", of) for of in given if not callable(of)])
        patch.setattr(score, "told_apart", told)
        patch.setattr(score, "copy_test", within(copies.copy_test, copies, PLANTED=60, TURNED=60))
        patch.setattr(run_score, "LIKELIHOOD_IMAGES", 32)  # images: a second for each run
        patch.setattr(score, "DRAWN", 2400)  # images of all draws
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """What tests write need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_users(tmp_path_factory):
    """Images that are kept between starts are kept apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FROMNOISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def fewer_digits():
    """A context in which `digits:val` and `digits:heldout` are their first 400 images: scoring takes half the time."""
    from fromnoise.data import digits

    @contextlib.contextmanager
    def within():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(digits, "PARTS", digits.PARTS | {"val": (3000, 3400), "heldout": (4000, 4400)})
            yield

    return within


@pytest.fixture(scope="module")
def few_digits(fewer_digits):
    """`fewer_digits` in all tests of a module whose scores need not be precise.

    Whoever scores `finished` again needs it, because `finished` was scored against as few.
    """
    with fewer_digits():
        yield


@pytest.fixture(scope="session")
def packaged():
    """The packaged model of digits, as Python loads it."""
    import fromnoise

    return fromnoise.load("digits", quiet=True)


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
def tiny_model(images, config_of):
    """A tiny model whose zero-initialised layers are not zero, so that its output depends on all it is told."""
    model = Model.build(config_of(), DataInfo.of(images, config_of()))
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
