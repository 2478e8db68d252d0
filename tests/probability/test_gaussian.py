import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from fromnoise.probability.gaussian import Gaussian

# σ11², σ22², σ12 of the chapter's three coloured densities (6)
COLOURED = [(4.0, 36.0, 0.0), (36.0, 4.0, 0.0), (20.0, 20.0, 16.0)]


def coloured(a, b, c):
    return Gaussian(torch.tensor([1.0, -2.0]), torch.tensor([[a, c], [c, b]]))


@pytest.mark.parametrize("entries", COLOURED)
def test_the_log_density_is_scipys(entries):
    gaussian = coloured(*entries)
    x = torch.randn(50, 2, dtype=torch.float64) * 5
    theirs = multivariate_normal(gaussian.mean, gaussian.covariance).logpdf(x)
    np.testing.assert_allclose(gaussian.log_prob(x), theirs, rtol=1e-12)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (4.0, 1.0), (8.0, 0.25)])
def test_one_dimension_is_the_bell_curve_that_integrates_to_one(mean, variance):
    gaussian = Gaussian.white(torch.tensor([mean]), variance)
    x = torch.linspace(mean - 12, mean + 12, 4001, dtype=torch.float64)[:, None]
    density = gaussian.log_prob(x).exp()
    np.testing.assert_allclose(density, norm(mean, variance**0.5).pdf(x[:, 0]), rtol=1e-10)
    assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("entries", COLOURED)
def test_samples_have_the_mean_and_covariance(entries):
    gaussian, m = coloured(*entries), 200_000
    x = gaussian.sample(m, torch.Generator().manual_seed(0))
    error = (gaussian.covariance.diagonal() / m).sqrt()
    assert ((x.mean(0) - gaussian.mean).abs() < 5 * error).all()
    spread = (gaussian.covariance.diagonal().outer(gaussian.covariance.diagonal()) * 2 / m).sqrt()
    assert ((x.T.cov() - gaussian.covariance).abs() < 5 * spread).all()


def test_a_variance_of_36_on_the_second_axis_is_tall_not_wide():
    """Fault 1 of the chapter: its prose swaps the axes of the coloured densities."""
    x = coloured(*COLOURED[0]).sample(2000, torch.Generator().manual_seed(0))
    assert x[:, 1].std() > 2 * x[:, 0].std()


def test_the_exponent_has_the_inverse_of_the_covariance():
    """Fault 1: (3) is printed with C where C⁻¹ belongs; far out the two differ by hundreds of nats."""
    gaussian, x = coloured(*COLOURED[2]), torch.tensor([[7.0, 3.0]], dtype=torch.float64)
    centred = x[0] - gaussian.mean
    exponent = -0.5 * centred @ torch.linalg.inv(gaussian.covariance) @ centred
    constant = -np.log(2 * np.pi) - 0.5 * torch.logdet(gaussian.covariance)
    torch.testing.assert_close(gaussian.log_prob(x)[0], exponent + constant)


def test_the_cholesky_factor_is_lower_triangular_and_squares_to_the_covariance():
    factor = coloured(*COLOURED[2]).cholesky
    assert factor[0, 1] == 0
    torch.testing.assert_close(factor @ factor.T, coloured(*COLOURED[2]).covariance)


def test_a_seeded_sample_is_the_same_again():
    one, again = (Gaussian.standard(3).sample(4, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one, again)


def test_a_covariance_that_was_estimated_may_miss_symmetry_by_round_off():
    """Off the diagonal, sums that cancel leave round-off of the size of the variances, not of the entry."""
    gaussian = Gaussian(torch.zeros(2), torch.tensor([[1.0, 3e-16], [-2e-16, 1.0]], dtype=torch.float64))
    theirs = multivariate_normal(np.zeros(2), np.eye(2)).logpdf([1.0, 2.0])
    assert gaussian.log_prob(torch.tensor([1.0, 2.0])).item() == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(("mean", "covariance", "message"), [
    ([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]], "symmetric"),
    ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], "least eigenvalue is -1"),
    ([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]], "positive definite"),
    ([0.0], [[1.0, 0.0], [0.0, 1.0]], "n×n"),
])  # fmt: skip
def test_what_is_no_covariance_is_a_clear_error(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(torch.tensor(mean), torch.tensor(covariance))
