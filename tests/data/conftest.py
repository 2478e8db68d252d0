import gzip
import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from fromnoise.data import idx
from fromnoise.data.image_set import ImageSet


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    """torchvision as it is without a network, its error of several lines included."""

    def download(self):
        raise RuntimeError("Error downloading the files:\nTried https://mirror/, got:\nno network\n")

    monkeypatch.setattr(datasets.MNIST, "download", download)


@pytest.fixture
def make_images():
    """A function that makes `n` uint8 images of `shape` (C×H×W), no two of them alike."""

    def make(n, shape=(1, 8, 8), seed=0):
        images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8))
        assert len({image.tobytes() for image in images.numpy()}) == n
        return images

    return make


@pytest.fixture
def make_set(make_images):
    """A function that makes an ImageSet: so many images of each class, mixed, or one number for no labels."""

    def make(counts, shape=(1, 8, 8), seed=0):
        if isinstance(counts, int):
            return ImageSet("toy", make_images(counts, shape, seed))
        labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
        return ImageSet("toy", make_images(sum(counts), shape, seed), torch.from_numpy(labels))

    return make


@pytest.fixture
def keys():
    """A function that gives the bytes of each image, to compare sets by."""
    return lambda images: [image.tobytes() for image in images.images.numpy()]


@pytest.fixture
def idx_bytes():
    """A function that gives an array of bytes in the IDX format."""

    def encode(array):
        return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()

    return encode


@pytest.fixture
def write_idx_set(idx_bytes, make_images):
    """A function that writes the four files of a set, 20 images and 10, and gives what it wrote.

    The answer has 'train' and 't10k', each a pair of images and labels, and the MD5 of the plain test labels.
    """

    def write(folder: Path, seed=0, suffix=""):
        folder.mkdir(parents=True, exist_ok=True)
        written = {}
        for part, n in (("train", 20), ("t10k", 10)):
            images = make_images(n, (28, 28), seed=[seed, n]).numpy()
            labels = np.random.default_rng([seed, n]).permutation(np.arange(n) % 10).astype(np.uint8)
            written[part] = images, labels
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                raw = idx_bytes(array)
                path = folder / f"{part}-{kind}-ubyte{suffix}"
                path.write_bytes(gzip.compress(raw) if suffix == ".gz" else raw)
        written["md5"] = hashlib.md5(idx_bytes(written["t10k"][1])).hexdigest()
        return written

    return write


@cache
def whole_mnist(root):
    assert idx.find("mnist", root), f"FROMNOISE_DATA names {root}, which holds no MNIST"
    return {part: idx.load("mnist", part, root) for part in ("train", "test")}


@pytest.fixture
def mnist(mnist_root):
    """The whole MNIST: its parts by name."""
    return whole_mnist(mnist_root)
