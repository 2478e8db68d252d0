import gzip
import hashlib
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from fromnoise.data import idx
from fromnoise.errors import UserError


def holds(images, written):
    """Whether an ImageSet is what `write_idx_set` wrote."""
    pixels, labels = written
    return np.array_equal(images.images[:, 0], pixels) and np.array_equal(images.labels, labels)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (2, 3)])
def test_plain_and_gzipped_files_are_read_to_the_byte(tmp_path, idx_bytes, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "plain").write_bytes(idx_bytes(array))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx_bytes(array)))
    for name in ("plain", "packed.gz"):
        read = idx.read_idx(tmp_path / name)
        assert read.dtype == np.uint8
        assert np.array_equal(read, array)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda raw: b"", id="empty"),
        pytest.param(lambda raw: raw[:3], id="cut in the magic number"),
        pytest.param(lambda raw: raw[:4], id="cut after the magic number"),
        pytest.param(lambda raw: raw[:10], id="cut in the sizes"),
        pytest.param(lambda raw: raw[:16], id="header alone"),
        pytest.param(lambda raw: raw[:-1], id="a byte short"),
        pytest.param(lambda raw: raw + b"\0", id="a byte long"),
        pytest.param(lambda raw: raw[:2] + b"\x0d" + raw[3:], id="floats"),
        pytest.param(lambda raw: raw[:3] + b"\0" + raw[4:], id="no axes"),
        pytest.param(lambda raw: raw[:3] + b"\xff" + raw[4:], id="255 axes"),
        pytest.param(lambda raw: raw[:4] + b"\xff" + raw[5:], id="four billion images"),
        pytest.param(lambda raw: b"<html>404</html>" + raw, id="text"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_that_is_not_whole_idx_is_refused_by_name(tmp_path, idx_bytes, spoil, suffix):
    raw = spoil(idx_bytes(np.ones((3, 4, 5), np.uint8)))
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(raw) if suffix else raw)
    with pytest.raises(UserError, match=re.escape(str(path))):
        idx.read_idx(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: b"",
        lambda packed: packed[:5],
        lambda packed: packed[:-4],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:12] + bytes([packed[12] ^ 0xFF]) + packed[13:],
        lambda packed: packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:],
        lambda packed: b"no gzip at all",
    ],
    ids=["empty", "in the header", "no length", "half", "inside", "checksum", "not gzip"],
)
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path, idx_bytes, spoil):
    path = tmp_path / "images.gz"
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    path.write_bytes(spoil(gzip.compress(idx_bytes(array))))
    with pytest.raises(UserError, match=re.escape(str(path))):
        idx.read_idx(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="nowhere cannot be read"):
        idx.read_idx(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_set_is_read_from_its_own_folder(tmp_path, write_idx_set, name, suffix, place):
    written = write_idx_set(tmp_path / idx.SETS[name].folders[place], suffix=suffix)
    for part, stem in (("train", "train"), ("test", "t10k")):
        images = idx.load(name, part, tmp_path)
        assert images.name == f"{name}:{part}"
        assert images.shape == (1, 28, 28)
        assert holds(images, written[stem])


def test_plain_and_gzipped_files_may_lie_mixed(tmp_path, write_idx_set):
    written = write_idx_set(tmp_path / "mnist", suffix=".gz")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    assert holds(idx.load("mnist", "train", tmp_path), written["train"])


def test_three_files_are_not_a_set(tmp_path, write_idx_set):
    write_idx_set(tmp_path / "mnist")
    assert idx.find("mnist", tmp_path) == tmp_path / "mnist"
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    assert idx.find("mnist", tmp_path) is None


def test_the_two_sets_side_by_side_are_told_apart(tmp_path, write_idx_set):
    digits = write_idx_set(tmp_path / "mnist", 1)
    clothes = write_idx_set(tmp_path / "FashionMNIST/raw", 2, ".gz")
    assert holds(idx.load("mnist", "test", tmp_path), digits["t10k"])
    assert holds(idx.load("fashion_mnist", "test", tmp_path), clothes["t10k"])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_loose_in_the_root_are_told_apart_by_their_labels(tmp_path, write_idx_set, monkeypatch, suffix):
    written = write_idx_set(tmp_path, suffix=suffix)
    assert idx.find("mnist", tmp_path) is None
    assert idx.find("fashion_mnist", tmp_path) == tmp_path
    monkeypatch.setattr(idx, "MNIST_TEST_LABELS_MD5", written["md5"])
    assert idx.find("mnist", tmp_path) == tmp_path
    assert idx.find("fashion_mnist", tmp_path) is None


def test_the_real_mnist_loose_in_a_root_is_not_taken_for_fashion(tmp_path, mnist_root):
    for path in idx.find("mnist", mnist_root).glob("*-ubyte*"):
        (tmp_path / path.name).symlink_to(path.resolve())
    assert idx.find("mnist", tmp_path) == tmp_path
    assert idx.find("fashion_mnist", tmp_path) is None


def test_a_damaged_file_of_a_set_is_named(tmp_path, write_idx_set):
    write_idx_set(tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="train-images-idx3-ubyte is not a complete IDX file"):
        idx.load("mnist", "train", tmp_path)


def test_images_and_labels_of_unequal_number_are_refused(tmp_path, write_idx_set, idx_bytes):
    write_idx_set(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(19, np.uint8)))
    with pytest.raises(UserError, match="19 labels for 20 images"):
        idx.load("mnist", "train", tmp_path)


def test_labels_in_the_place_of_images_are_refused(tmp_path, write_idx_set, idx_bytes):
    write_idx_set(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros(20, np.uint8)))
    with pytest.raises(UserError, match="mnist:train"):
        idx.load("mnist", "train", tmp_path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_sizes_whose_product_overflows_are_not_believed(tmp_path, idx_bytes, suffix):
    """2**16 · 2**16 · 2**31 · 2 is 0 in 64 bits."""
    raw = b"\0\0\x08\x04" + np.array([2**16, 2**16, 2**31, 2], ">u4").tobytes()
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(raw) if suffix else raw)
    with pytest.raises(UserError, match="claim to hold"):
        idx.read_idx(path)


def test_no_more_of_a_gzip_file_is_inflated_than_it_says(tmp_path, idx_bytes):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(idx_bytes(np.ones((4, 5, 5), np.uint8)))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(UserError, match="not a complete IDX file"):
        idx.read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_a_download_that_fails_is_one_line_naming_the_folder_to_fill(tmp_path, name, folder):
    with pytest.raises(UserError, match="no network") as caught:
        idx.load(name, "train", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name} is not in {tmp_path}")
    assert str(tmp_path / folder / "raw") in message
    assert "$FROMNOISE_DATA" in message
    assert "\n" not in message


def test_a_root_that_cannot_be_written_is_a_sentence_too(tmp_path, monkeypatch):
    def download(self):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(datasets.MNIST, "download", download)
    with pytest.raises(UserError, match="read-only file system"):
        idx.load("mnist", "train", tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_what_is_missing_is_downloaded_once(tmp_path, write_idx_set, monkeypatch, name):
    calls, written = [], {}

    def download(self):
        calls.append(type(self).__name__)
        written.update(write_idx_set(Path(self.raw_folder)))

    monkeypatch.setattr(datasets.MNIST, "download", download)
    assert holds(idx.load(name, "train", tmp_path), written["train"])
    assert holds(idx.load(name, "test", tmp_path), written["t10k"])
    assert calls == [{"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name]]


def test_the_environment_says_where_data_lies_unless_the_caller_does(tmp_path, write_idx_set, monkeypatch):
    here, there = write_idx_set(tmp_path / "here/mnist", 1), write_idx_set(tmp_path / "there/mnist", 2)
    monkeypatch.setenv("FROMNOISE_DATA", str(tmp_path / "here"))
    assert holds(idx.load("mnist", "train"), here["train"])
    assert holds(idx.load("mnist", "train", tmp_path / "there"), there["train"])


def test_the_default_root_is_the_environments_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FROMNOISE_DATA", "~/sets")
    assert idx.default_root() == tmp_path / "sets"
    monkeypatch.setenv("FROMNOISE_DATA", "")
    assert idx.default_root() == tmp_path / ".cache" / "fromnoise"
    monkeypatch.delenv("FROMNOISE_DATA")
    assert idx.default_root() == tmp_path / ".cache" / "fromnoise"


@pytest.mark.parametrize(
    ("part", "n", "images_md5", "labels_md5"),
    [
        ("train", 60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
        ("test", 10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    ],
)
def test_the_whole_mnist_is_read_to_the_byte(mnist, idx_bytes, part, n, images_md5, labels_md5):
    images = mnist[part]
    assert len(images) == n
    assert hashlib.md5(idx_bytes(images.images[:, 0].numpy())).hexdigest() == images_md5
    assert hashlib.md5(idx_bytes(images.labels.numpy().astype(np.uint8))).hexdigest() == labels_md5
