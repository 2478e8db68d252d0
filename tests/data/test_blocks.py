import numpy as np
import pytest
import torch

from fromnoise.data import arrays, blocks, folder
from fromnoise.data.image_set import ImageSet, digests
from fromnoise.data.resize import resized


@pytest.fixture(params=[64, 1 << 30], ids=["a row", "all"])
def block(request, monkeypatch):
    """Blocks of a row, or of all there is."""
    monkeypatch.setattr(blocks, "BLOCK", request.param)
    return request.param


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (40, 9), (5, 3, 4, 2), (3, 0)])
def test_blocks_joined_are_the_whole(block, dtype, shape):
    x = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    whole = blocks.join(blocks.parts(x), len(x))
    assert whole.dtype == dtype
    assert torch.equal(whole, x)
    rows = np.array([len(x) - 1, 0, 0, len(x) // 2])
    assert torch.equal(torch.cat(list(blocks.parts(x, rows))), x[rows])


def test_a_block_is_as_long_as_was_said_or_one_row(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 100)
    assert [len(part) for part in blocks.parts(torch.zeros(8, 30, dtype=torch.uint8))] == [3, 3, 2]
    assert [len(part) for part in blocks.parts(torch.zeros(2, 30))] == [1, 1]


@pytest.mark.parametrize("lengths", [[], [2, 3], [2, 3, 4]])
def test_another_number_of_rows_than_was_promised_is_an_error(lengths):
    with pytest.raises((ValueError, RuntimeError)):
        blocks.join((torch.ones(length, 3) for length in lengths), 6)


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


def test_sets_of_images_do_not_feel_it(block, make_set):
    whole = make_set((20, 25))
    rows = np.random.default_rng(0).permutation(45)[:30]
    taken = whole.take(rows)
    assert torch.equal(taken.images, whole.images[rows])
    assert torch.equal(whole.without(taken).images, whole.images[np.setdiff1d(np.arange(45), rows)])
    assert torch.equal(resized(whole, (5, 7)).images[rows], resized(taken, (5, 7)).images)
    # saved runs know their data by it
    assert whole.fingerprint == "087dd9a3076104a85db1bd0548d03c94f487582bd5eb5e40a8168334cb609e21"


def test_digests_tell_images_apart_by_bytes_and_shape(block, make_images):
    images = make_images(40)
    found = digests(images)
    assert len(set(found.tolist())) == 40
    assert (digests(images.flip(0)) == found[::-1]).all()
    assert not np.isin(digests(images.reshape(40, 1, 4, 16)), found).any()
    assert ImageSet("x", images).without(ImageSet("y", images[:39])).images.equal(images[39:])
