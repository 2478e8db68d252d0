import pytest
import torch

from fromnoise.data import blocks
from fromnoise.evaluation.extractor import Features


def images(n, seed=0):
    return torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def recording():
    calls = []

    def extract(batch):
        calls.append(len(batch))
        return batch.flatten(1).float()[:, :3]

    return Features("recording", 3, "", extract), calls


def test_features_are_those_of_the_extractor_in_order():
    extract, _ = recording()
    some = images(10)
    assert torch.equal(extract.cached(some), some.flatten(1).float()[:, :3])


def test_only_new_images_are_computed(bars):
    extract, calls = recording()
    some = images(10)
    extract.cached(some[:6])
    bars.clear()
    found = extract.cached(some.flip(0))
    assert calls == [6, 4]
    assert [shown[1:] for shown in bars] == [(4, 4)]
    assert torch.equal(found, some.flip(0).flatten(1).float()[:, :3])
    assert torch.equal(extract.cached(some), found.flip(0))
    assert calls == [6, 4]


def test_equal_bytes_in_another_shape_are_another_image():
    extract, calls = recording()
    some = images(5)
    extract.cached(some)
    extract.cached(some.reshape(5, 1, 2, 8))
    assert calls == [5, 5]


@pytest.mark.parametrize("block", [16, 1 << 30], ids=["in files", "in memory"])
def test_an_image_that_is_there_twice_is_computed_once(monkeypatch, block):
    monkeypatch.setattr(blocks, "BLOCK", block)
    extract, calls = recording()
    some = images(10)
    rows = [3, 1, 3, 3, 0, 1]
    assert torch.equal(extract.cached(some[rows]), some[rows].flatten(1).float()[:, :3])
    assert torch.equal(extract.cached(some), some.flatten(1).float()[:, :3])
    assert calls == [3, 7]


def test_the_features_of_a_whole_set_are_kept_once():
    """Of 50,000 images 2,048 features are 400 MB, and a copy as many more."""
    extract, _ = recording()
    first, second = images(10), images(7, seed=1)
    found = [extract.cached(some) for some in (first, second, first, second)]
    assert found[0].data_ptr() == found[2].data_ptr()
    assert found[1].data_ptr() == found[3].data_ptr()
    assert torch.equal(extract.cached(torch.cat([second, first])), torch.cat([found[1], found[0]]))
