import numpy as np
import pytest
import torch
from scipy import linalg

from fromnoise.data import blocks
from fromnoise.evaluation.frechet import Moments, distance


def gaussian(n, d, seed, spread=1.0):
    random = np.random.default_rng(seed)
    mix = random.standard_normal((d, d)) * spread
    return torch.from_numpy(random.standard_normal((n, d)) @ mix + random.standard_normal(d))


def by_scipy(x, y):
    """The textbook formula through SciPy's general matrix root."""
    one, other = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    root = linalg.sqrtm(one @ other)
    means = ((x.mean(0) - y.mean(0)) ** 2).sum().item()
    return means + np.trace(one + other - 2 * root.real)


def test_it_is_the_textbook_formula():
    x, y = gaussian(500, 24, 0), gaussian(700, 24, 1)
    assert distance(Moments.of(x), Moments.of(y)) == pytest.approx(by_scipy(x, y), rel=1e-9)


def test_it_equals_torch_fidelity():
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    x, y = gaussian(400, 16, 2), gaussian(400, 16, 3)
    statistics = [{"mu": z.mean(0).numpy(), "sigma": np.cov(z.numpy(), rowvar=False)} for z in (x, y)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert distance(Moments.of(x), Moments.of(y)) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("n", [192, 640])
def test_it_equals_torch_fidelity_in_64_features(n):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = gaussian(n, 64, 8), gaussian(n, 64, 9)
    statistics = [fid_features_to_statistics(z) for z in (x, y)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert distance(Moments.of(x), Moments.of(y)) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")  # theirs, in sqrtm
def test_it_equals_clean_fid_in_64_features():
    fid = pytest.importorskip("cleanfid.fid")
    x, y = gaussian(640, 64, 10), gaussian(640, 64, 11)
    statistics = [s for z in (x.numpy(), y.numpy()) for s in (z.mean(axis=0), np.cov(z, rowvar=False))]
    try:
        theirs = fid.frechet_distance(*statistics)
    except TypeError:
        pytest.skip("this SciPy's sqrtm no longer takes disp=, which clean-fid passes")
    assert distance(Moments.of(x), Moments.of(y)) == pytest.approx(theirs, rel=1e-6)


def test_it_is_exact_for_covariances_that_commute():
    one = Moments(torch.zeros(3, dtype=torch.float64), torch.diag(torch.tensor([1.0, 4.0, 9.0]).double()), 10)
    other = Moments(torch.ones(3, dtype=torch.float64), torch.diag(torch.tensor([4.0, 4.0, 1.0]).double()), 10)
    assert distance(one, other) == pytest.approx(3 + 1 + 0 + 4, rel=1e-14)


def test_fewer_images_than_features_give_a_finite_symmetric_answer():
    x, y = gaussian(10, 40, 4), gaussian(12, 40, 5)
    there, back = distance(Moments.of(x), Moments.of(y)), distance(Moments.of(y), Moments.of(x))
    assert np.isfinite(there)
    assert there == pytest.approx(back, rel=1e-7)


def test_a_set_is_at_no_distance_from_itself():
    x = gaussian(300, 20, 6)
    assert distance(Moments.of(x), Moments.of(x)) < 1e-6 * float(Moments.of(x).covariance.trace())


@pytest.mark.parametrize("rows", [1, 7, 250, 500])
def test_moments_are_numpys_in_blocks_of_any_length(rows, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", rows * 8 * 8)
    x = gaussian(500, 8, 7) + 1e4  # far from the origin, where plain sums of squares cancel
    np.testing.assert_allclose(Moments.of(x).mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(Moments.of(x).covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-9, atol=1e-9)


def test_blocks_and_a_choice_of_rows_do_not_change_the_moments(monkeypatch):
    x, rows = gaussian(500, 8, 7) + 1e4, np.random.default_rng(0).permutation(500)[:300]
    whole, some = Moments.of(x), Moments.of(x[rows])
    monkeypatch.setattr(blocks, "BLOCK", 7 * 8 * 8)
    for one, other in ((Moments.of(x), whole), (Moments.of(x, rows), some)):
        assert one.n == other.n
        np.testing.assert_allclose(one.mean, other.mean, rtol=1e-13)
        np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("block", [blocks.BLOCK, 7 * 8 * 8])
def test_weighted_moments_are_numpys(block, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", block)
    x, weights = gaussian(500, 8, 7) + 1e3, torch.from_numpy(np.random.default_rng(1).uniform(0, 3, 500))
    found = Moments.of(x, weights=weights)
    np.testing.assert_allclose(found.mean, np.average(x.numpy(), axis=0, weights=weights.numpy()), rtol=1e-13)
    theirs = np.cov(x.numpy(), rowvar=False, aweights=weights.numpy())
    np.testing.assert_allclose(found.covariance, theirs, rtol=1e-9, atol=1e-9)


def test_a_weight_of_nothing_leaves_a_row_out():
    x, weights = gaussian(300, 8, 7), torch.ones(300, dtype=torch.float64)
    weights[100:] = 0
    found, some = Moments.of(x, weights=weights), Moments.of(x[:100])
    assert found.n == 100
    np.testing.assert_allclose(found.mean, some.mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, some.covariance, rtol=1e-9)
    with pytest.raises(ValueError, match="at least 2"):
        Moments.of(x, weights=torch.zeros(300, dtype=torch.float64))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        Moments.of(torch.tensor([[1.0], [float("nan")]]))


def test_one_image_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2"):
        Moments.of(torch.ones(1, 3))
