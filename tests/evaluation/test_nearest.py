import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from fromnoise.evaluation import nearest as module
from fromnoise.evaluation.nearest import nearest


def some(n, shape=(1, 6, 5), seed=0, top=256):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, top, (n, *shape), dtype=np.uint8))


def by_scipy(queries, bank, k):
    distances = cdist(queries.flatten(1).double().numpy(), bank.flatten(1).double().numpy())
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request, monkeypatch):
    if request.param == "many blocks":
        monkeypatch.setattr(module, "QUERIES", 7)
        monkeypatch.setattr(module, "BANK", 5)
        monkeypatch.setattr(module, "NUMBERS", 64)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("k", [1, 2, 6])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_nearest_is_brute_force(k, offset):
    random = np.random.default_rng(1)
    for queries, bank in (
        (some(40), some(33, seed=1)),
        (some(40, (3, 4, 4)), some(33, (3, 4, 4), seed=1)),
        (some(40, top=3), some(33, seed=1, top=3)),  # small whole numbers: many ties
        (torch.from_numpy(random.normal(offset, 1, (40, 16))), torch.from_numpy(random.normal(offset, 1, (33, 16)))),
        (torch.from_numpy(random.normal(offset, 1, (40, 16))).float(), torch.full((33, 16), offset)),
    ):
        distances, indices = nearest(queries, bank, k)
        expected, order = by_scipy(queries, bank, k)
        assert distances.dtype == torch.float64
        assert np.allclose(distances, expected, rtol=1e-12, atol=1e-12)
        assert np.array_equal(indices, order)


@pytest.mark.usefixtures("blocks")
def test_nearest_others_leave_out_the_image_itself_and_no_other():
    bank = some(33)
    bank[20] = bank[4]
    distances, indices = nearest(bank, bank, 3, exclude_self=True)
    full, order = by_scipy(bank, bank, 33)
    for k in range(33):
        keep = order[k] != k
        assert np.array_equal(indices[k], order[k][keep][:3])
        assert np.allclose(distances[k], full[k][keep][:3], rtol=1e-12)
    assert distances[4, 0] == distances[20, 0] == 0
    assert (indices[4, 0], indices[20, 0]) == (20, 4)


def test_what_float32_cannot_tell_apart_is_told_apart():
    """Of far vectors that differ in the last places only, and of equal ones at exactly 0."""
    bank = torch.full((50, 32), 1000.0, dtype=torch.float64)
    bank[:, 0] += torch.arange(50) * 1e-7
    bank[0] = -1000.0  # moves the mean away
    distances, indices = nearest(bank[1:] + 4e-8 * torch.eye(32)[0].double(), bank, 2)
    assert indices[:-1].tolist() == [[k, k + 1] for k in range(1, 49)]
    assert distances[0].tolist() == pytest.approx([4e-8, 6e-8], rel=1e-4)
    images = some(200, (1, 32, 32))
    assert not nearest(images, images.flip(0), 1)[0].any()


def test_results_do_not_depend_on_what_is_asked_beside():
    queries, bank = some(60, top=4).float(), some(80, seed=1, top=4).float()
    together, alone = nearest(queries, bank, 4), nearest(queries[17:18], bank, 4)
    for whole, part in zip(together, alone, strict=True):
        assert torch.equal(whole[17:18], part)


@pytest.mark.parametrize(("queries", "bank", "k", "exclude_self", "told"), [
    (some(3), some(4, (1, 6, 4)), 1, False, "do not fit"), (some(3), some(4), 1, True, "do not fit"),
    (some(3), some(4), 5, False, "no 5 nearest in a bank of 4"), (some(4), some(4), 4, True, "no 4 nearest others"),
    (some(3), some(4), 0, False, "no 0 nearest"), (torch.full((2, 3), torch.nan), torch.ones(4, 3), 1, False, "finite"),
    (torch.zeros(2, 3), torch.full((4, 3), torch.inf), 1, False, "finite"),
])  # fmt: skip
def test_what_has_no_neighbours_is_refused(queries, bank, k, exclude_self, told):
    with pytest.raises(ValueError, match=told):
        nearest(queries, bank, k, exclude_self)
