"""The data sets with a name of their own that are read from files fetched by hand."""

import gzip
import re

import numpy as np
import pytest
from scipy.io import savemat

from fromnoise.data import cifar, idx, sources, svhn
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("FROMNOISE_DATA", str(tmp_path))
    return tmp_path


def noise(*shape):
    return np.random.default_rng(shape).integers(0, 256, shape, np.uint8)


def write_emnist(folder, split, labels, idx_bytes, suffix=""):
    """The files of a split; gives images and labels of both parts as they are to be read: upright."""
    folder.mkdir(parents=True)
    written = {}
    for part, n in (("train", 60), ("test", 40)):
        upright = noise(n, 28, 28)
        numbers = np.resize(np.array(labels, np.uint8), n)
        for kind, array in (("images-idx3", upright.transpose(0, 2, 1)), ("labels-idx1", numbers)):
            raw = idx_bytes(np.ascontiguousarray(array))
            path = folder / f"emnist-{split}-{part}-{kind}-ubyte{suffix}"
            path.write_bytes(gzip.compress(raw) if suffix else raw)
        written[part] = upright, numbers
    return written


def write_cifar(folder, n=20):
    folder.mkdir(parents=True)
    for name in [name for names in cifar.FILES.values() for name in names]:
        labels = np.arange(n, dtype=np.uint8)[:, None] % 10
        pixels = np.random.default_rng(len(name) + ord(name[-5])).integers(0, 256, (n, 3072), np.uint8)
        (folder / name).write_bytes(np.hstack([labels, pixels]).tobytes())


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_kmnist_is_read_from_its_own_folder(root, write_idx_set, place, suffix):
    written = write_idx_set(root / idx.SETS["kmnist"].folders[place], suffix=suffix)
    write_idx_set(root / "mnist", seed=9)
    images = sources.load("kmnist:test")
    assert images.name == "kmnist:test"
    assert np.array_equal(images.images[:, 0], written["t10k"][0])
    assert np.array_equal(images.labels, written["t10k"][1])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_emnist_stands_upright_and_its_letters_count_from_a(root, idx_bytes, place, suffix):
    folder = root / idx.SETS["emnist_letters"].folders[place]
    written = write_emnist(folder, "letters", range(1, 27), idx_bytes, suffix)
    for part in ("train", "test"):
        images = sources.load(f"emnist_letters:{part}")
        assert np.array_equal(images.images[:, 0], written[part][0])
        assert np.array_equal(images.labels, written[part][1] - 1)
    assert images.class_names[0] == "A"
    assert len(images.class_names) == images.classes == 26


def test_emnist_balanced_has_47_classes(root, idx_bytes):
    write_emnist(root / "emnist", "balanced", range(47), idx_bytes)
    images = sources.load("emnist_balanced")
    assert images.classes == len(images.class_names) == 47
    assert [images.class_names[k] for k in (0, 9, 10, 35, 36, 46)] == ["0", "9", "A", "Z", "a", "t"]


@pytest.mark.parametrize("labels", [[0, 1], [27]])
def test_labels_of_another_split_are_refused(root, idx_bytes, labels):
    write_emnist(root / "emnist", "letters", labels, idx_bytes)
    with pytest.raises(UserError, match="holds the labels of another set, not of emnist_letters"):
        sources.load("emnist_letters")


def test_cifar_is_read_channel_by_channel(root):
    write_cifar(root / "cifar-10-batches-bin")
    train, test = (sources.load(f"cifar10:{part}") for part in ("train", "test"))
    assert (len(train), len(test), test.shape) == (100, 20, (3, 32, 32))
    assert train.labels.tolist() == [k % 10 for k in range(20)] * 5
    assert train.class_names[3] == "cat"
    raw = (root / "cifar-10-batches-bin" / "data_batch_2.bin").read_bytes()
    assert train.images[20].numpy().tobytes() == raw[1:3073]


def test_svhn_is_read_upright_and_ten_is_zero(root):
    pixels, labels = noise(32, 32, 3, 30), np.arange(30)[:, None] % 10 + 1
    for place, part in ((root / "svhn", "train"), (root, "test")):
        place.mkdir(exist_ok=True)
        savemat(place / f"{part}_32x32.mat", {"X": pixels, "y": labels.astype(np.uint8)}, do_compression=True)
        images = sources.load(f"svhn:{part}")
        assert images.shape == (3, 32, 32)
        assert np.array_equal(images.images[7], pixels[..., 7].transpose(2, 0, 1))
        assert images.labels.tolist() == [(k + 1) % 10 for k in range(10)] * 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("kmnist", r"fetch train-images-idx3-ubyte\.gz, .* from http://codh\.rois\.ac\.jp/.* into {root}/kmnist"),
        ("emnist_letters", r"fetch emnist-letters-train-images-idx3-ubyte\.gz, .*nist\.gov.* into {root}/emnist"),
        ("cifar10", r"cifar-10-batches-bin/data_batch_1\.bin is missing; .* cifar-10-binary\.tar\.gz, from https://"),
        ("svhn", r"fetch http://ufldl\.stanford\.edu/housenumbers/train_32x32\.mat and put it into {root}/svhn"),
    ],
)
def test_what_is_missing_is_told_where_to_fetch_and_where_to_put(root, name, told):
    with pytest.raises(UserError, match=told.replace("{root}", re.escape(str(root)))) as refused:
        sources.prepare(DataSettings(name), seed=0)
    assert f"{name} is not in {root}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_pickled_cifar_is_not_opened(root):
    (root / "cifar-10-batches-py").mkdir()
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(UserError, match=r"cifar-10-batches-py is there, but it is pickled, and no pickle is opened\)$"):
        sources.load("cifar10")


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: b"\x0a" + raw[1:]])
def test_a_damaged_file_of_cifar_is_named(root, spoil):
    write_cifar(root / "cifar-10-batches-bin")
    path = root / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=r"data_batch_3\.bin is not a complete file of CIFAR-10's binary version"):
        sources.load("cifar10")


@pytest.mark.parametrize(
    "arrays",
    [
        {"X": noise(32, 32, 3, 4)},
        {"X": noise(32, 32, 3, 4), "y": np.ones((3, 1))},
        {"X": noise(32, 32, 4), "y": np.ones((4, 1))},
        {"X": noise(32, 32, 3, 4) / 255, "y": np.ones((4, 1))},
        {"X": noise(32, 32, 3, 4), "y": np.full((4, 1), 11)},
        b"",
        b"no MATLAB at all" * 20,
    ],
)
def test_a_damaged_file_of_svhn_is_named(root, arrays):
    path = root / "train_32x32.mat"
    if isinstance(arrays, bytes):
        path.write_bytes(arrays)
    else:
        savemat(path, arrays)
    with pytest.raises(UserError, match=r"train_32x32\.mat is not a complete file of SVHN"):
        svhn.load("train")
