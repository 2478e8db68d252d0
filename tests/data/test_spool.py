import gc
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise.data import arrays, folder, spool
from fromnoise.data.image_set import ImageSet, digests
from fromnoise.data.resize import resized
from fromnoise.errors import UserError

linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's /proc")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Where the files lie."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture(params=[64, 1 << 30], ids=["in files", "in memory"])
def block(request, monkeypatch):
    """Blocks so small that all is in files, a row at a time, or so large that nothing is."""
    monkeypatch.setattr(spool, "BLOCK", request.param)
    return request.param


def mapped(place):
    """The files below `place` that this process has mapped."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if f"{place}/" in line]


def own_memory():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) * 1024


@linux
def test_small_tensors_are_in_memory_and_large_ones_in_files_without_a_name(place):
    small = spool.empty((spool.BLOCK,), torch.uint8)
    assert not place.exists()
    large = spool.empty((spool.BLOCK + 1,), torch.uint8)
    assert len(mapped(place)) == 1
    assert list(place.iterdir()) == []
    assert (small.shape, large.shape) == ((4 << 20,), ((4 << 20) + 1,))


@linux
def test_a_file_lives_as_long_as_any_tensor_on_it(place):
    large = spool.empty((3, spool.BLOCK), torch.float32)
    row = large[1].numpy().reshape(-1, 64)[5:]
    row[:] = 3
    del large
    gc.collect()
    spool.release()
    assert len(mapped(place)) == 1
    assert (row == 3).all()
    del row
    gc.collect()
    assert mapped(place) == []


@linux
def test_a_process_that_is_killed_leaves_nothing(place):
    code = (
        "import os, signal, torch; from fromnoise.data import spool; x = spool.empty((1 << 24,), torch.uint8);"
        f" x.fill_(1); print(len(os.listdir({str(place)!r})), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"0\n")
    assert list(place.iterdir()) == []


@linux
def test_what_is_written_and_read_is_not_the_processs_own_memory():
    rows, before = np.random.default_rng(0).permutation(1 << 16), own_memory()
    blocks = (torch.full((1 << 10, 1 << 10), k, dtype=torch.uint8) for k in range(1 << 6))
    whole = spool.join(blocks, 1 << 16)
    taken = spool.take(whole, rows)
    assert own_memory() - before < 24e6  # of 64 MB, twice
    assert torch.equal(taken[:, 0], torch.from_numpy((rows >> 10).astype(np.uint8)))


def test_a_file_that_there_is_no_room_for_is_refused_before_it_is_written_to(place):
    with pytest.raises(UserError, match=r"no temporary file of [0-9,]+ MB .*spool.* TMPDIR"):
        spool.empty((1 << 60,), torch.uint8)
    assert list(place.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(place):
    place.write_text("a file")
    with pytest.raises(UserError, match="name another folder with TMPDIR"):
        spool.empty((spool.BLOCK + 1,), torch.uint8)


def test_files_lie_in_the_users_cache_when_nothing_is_said(monkeypatch):
    monkeypatch.delenv("TMPDIR")
    assert spool.folder() == Path.home() / ".cache" / "fromnoise"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (40, 9), (5, 3, 4, 2), (3, 0)])
def test_blocks_joined_are_the_whole(block, dtype, shape):
    x = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    whole = spool.join(spool.parts(x), len(x))
    assert whole.dtype == dtype
    assert torch.equal(whole, x)
    rows = np.array([len(x) - 1, 0, 0, len(x) // 2])
    assert torch.equal(spool.take(x, rows), x[rows])
    assert spool.take(x, rows[:0]).shape == x[:0].shape


def test_a_block_is_as_long_as_was_said_or_one_row(monkeypatch):
    monkeypatch.setattr(spool, "BLOCK", 100)
    assert [len(part) for part in spool.parts(torch.zeros(8, 30, dtype=torch.uint8))] == [3, 3, 2]
    assert [len(part) for part in spool.parts(torch.zeros(2, 30))] == [1, 1]


@pytest.mark.parametrize("lengths", [[], [2, 3], [2, 3, 4]])
def test_another_number_of_rows_than_was_promised_is_an_error(lengths):
    with pytest.raises((ValueError, RuntimeError)):
        spool.join((torch.ones(length, 3) for length in lengths), 6)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 6, 5)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_those_that_numpy_reads(tmp_path, block, make_images, shape, save, order):
    images = make_images(30, shape)
    save(tmp_path / "x.npz", arr_0=np.asarray(images.permute(0, 2, 3, 1).numpy(), order=order))
    back = arrays.load(tmp_path / "x.npz").images
    assert torch.equal(back, images)
    assert back.stride() == images.stride(), "or PyTorch computes their features in another order"
    arrays.save(tmp_path / "y.npz", back)
    with np.load(tmp_path / "y.npz") as written:
        assert np.array_equal(written["arr_0"].transpose(0, 3, 1, 2), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_folders_are_what_was_saved(tmp_path, block, make_images, channels):
    images = make_images(30, (channels, 6, 5))
    folder.save(tmp_path / "x", images)
    assert torch.equal(folder.load(tmp_path / "x").images, images)


def test_colour_that_comes_last_makes_all_colour(tmp_path, block, make_images):
    grey, colour = make_images(9, (1, 6, 5)), make_images(1, (3, 6, 5))
    folder.save(tmp_path / "x", grey)
    folder.save(tmp_path / "y", colour)
    (tmp_path / "y" / "000000.png").rename(tmp_path / "x" / "z.png")
    assert torch.equal(folder.load(tmp_path / "x").images, torch.cat([grey.expand(-1, 3, -1, -1), colour]))


def test_sets_of_images_do_not_feel_it(block, make_set):
    whole = make_set((20, 25))
    rows = np.random.default_rng(0).permutation(45)[:30]
    taken = whole.take(rows)
    assert torch.equal(taken.images, whole.images[rows])
    assert torch.equal(whole.without(taken).images, whole.images[np.setdiff1d(np.arange(45), rows)])
    assert torch.equal(resized(whole, (5, 7)).images[rows], resized(taken, (5, 7)).images)
    # as it was when all images were in memory: saved runs know their data by it
    assert whole.fingerprint == "087dd9a3076104a85db1bd0548d03c94f487582bd5eb5e40a8168334cb609e21"


def test_digests_tell_images_apart_by_bytes_and_shape(block, make_images):
    images = make_images(40)
    found = digests(images)
    assert len(set(found.tolist())) == 40
    assert (digests(images.flip(0)) == found[::-1]).all()
    assert not np.isin(digests(images.reshape(40, 1, 4, 16)), found).any()
    assert ImageSet("x", images).without(ImageSet("y", images[:39])).images.equal(images[39:])
