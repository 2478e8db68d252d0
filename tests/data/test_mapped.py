"""Tensors too large for memory lie in files, and feel like others."""

import os
import tempfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from fromnoise.data import arrays, blocks, folder, idx, mapped
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import duplicates
from fromnoise.data.settings import DataSettings
from fromnoise.data.sources import prepare


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of such files; all tensors are large."""
    monkeypatch.setattr(mapped, "LARGE", 1)
    monkeypatch.setenv("FROMNOISE_CACHE", str(tmp_path / "large"))
    return tmp_path / "large"


def maps():
    """What is mapped from files, by this process."""
    return Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's /proc")
def test_a_large_tensor_is_in_a_file_that_goes_with_it(home, dtype):
    x = mapped.empty((5, 3, 2), dtype)
    assert (tuple(x.shape), x.dtype, x.is_contiguous()) == ((5, 3, 2), dtype, True)
    assert str(home) in maps()
    assert not list(home.iterdir()), "nobody finds it by a name"
    y = torch.arange(30).reshape(5, 3, 2).to(dtype)
    x[:] = y
    part = x[2:4]
    del x
    assert torch.equal(part, y[2:4])
    del part
    assert str(home) not in maps()


def test_a_small_one_is_in_memory(home, monkeypatch):
    monkeypatch.setattr(mapped, "LARGE", 31)
    mapped.empty((5, 3, 2), torch.uint8)
    assert not home.exists()


def test_without_room_for_a_file_memory_has_to_do(home, monkeypatch):
    home.write_text("in the way")
    assert mapped.empty((5, 3), torch.uint8).shape == (5, 3)
    home.unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert mapped.empty((5, 3), torch.float32).shape == (5, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("block", [64, 1 << 22])
def test_sets_are_the_same_in_files_as_in_memory(tmp_path, make_images, monkeypatch, channels, block):
    images = make_images(60, (channels, 9, 8))
    folder.save(tmp_path / "photos", images)
    Image.fromarray(make_images(1, (9, 8, 4), seed=1).numpy()[0]).save(tmp_path / "photos" / "z.png")
    arrays.save(tmp_path / "x.npz", images)
    settings = [DataSettings(str(tmp_path / name), size="8", fit="crop", alpha="white") for name in ("photos", "x.npz")]
    monkeypatch.setattr(blocks, "BLOCK", block)

    def read():
        found = [prepare(each, 0) for each in settings]
        sets = [part for parts in found for part in (parts.train, parts.val, parts.heldout)]
        deep = arrays.from_array("deep", images.float().numpy() / 7 - 2)
        return [part.fingerprint for part in (*sets, deep)], duplicates(sets[3:])

    in_memory = read()
    monkeypatch.setattr(mapped, "LARGE", 1)
    monkeypatch.setenv("FROMNOISE_CACHE", str(tmp_path / "large"))
    assert read() == in_memory
    assert list((tmp_path / "large").iterdir()) == []


def test_many_rows_are_taken_and_joined_in_files(home, make_images, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 100)
    images = make_images(20)
    whole = ImageSet("x", images)
    rows = torch.randperm(20, generator=torch.Generator().manual_seed(0)).numpy()[:13]
    assert torch.equal(whole.take(rows).images, images[rows])
    assert torch.equal(blocks.cat([images[:7], images[7:8], images[8:]]), images)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows knows users by other means")
def test_a_user_without_a_home_has_a_place_too(monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "FROMNOISE_CACHE", "FROMNOISE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    assert mapped.folder().is_relative_to(tempfile.gettempdir())
    assert idx.default_root().is_relative_to(tempfile.gettempdir())
