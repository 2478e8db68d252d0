import numpy as np
import pytest
import torch
from scipy.stats import chisquare, multivariate_normal

from fromnoise.probability.gaussian import Gaussian
from fromnoise.probability.mixture import Mixture

WEIGHTS = [0.5, 0.2, 0.3]
MEANS = [[0.0, 1.0], [6.0, -7.0], [-6.0, 0.5]]
COVARIANCES = [[[1.0, 0.3], [0.3, 0.5]], [[0.2, 0.0], [0.0, 2.0]], [[0.7, -0.6], [-0.6, 0.9]]]


def mixture(weights=WEIGHTS, means=MEANS, covariances=COVARIANCES):
    return Mixture(*(torch.tensor(value, dtype=torch.float64) for value in (weights, means, covariances)))


def test_the_log_density_is_scipys():
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5
    parts = zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    density = sum(w * multivariate_normal(mean, covariance).pdf(x) for w, mean, covariance in parts)
    np.testing.assert_allclose(mixture().log_prob(x), np.log(density), rtol=1e-11)


def test_one_component_is_the_gaussian():
    x = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = mixture([1.0], MEANS[:1], COVARIANCES[:1])
    gaussian = Gaussian(alone.means[0], alone.covariances[0])
    torch.testing.assert_close(alone.log_prob(x), gaussian.log_prob(x), rtol=1e-12, atol=0)
    torch.testing.assert_close(alone.mean, gaussian.mean)
    torch.testing.assert_close(alone.covariance, gaussian.covariance)


def test_samples_have_the_mean_and_covariance():
    model, m = mixture(), 200_000
    x = model.sample(m, torch.Generator().manual_seed(0))
    assert x.shape == (m, 2)
    assert x.dtype == torch.float64
    assert ((x.mean(0) - model.mean).abs() < 5 * (model.covariance.diagonal() / m).sqrt()).all()
    off = x - model.mean
    products = (off[:, :, None] * off[:, None, :]).flatten(1)
    error = products.std(0) / m**0.5
    assert ((products.mean(0) - model.covariance.flatten()).abs() < 5 * error).all()


def test_a_sample_has_each_component_by_its_weight_with_its_own_covariance():
    m = 50_000
    x = mixture().sample(m, torch.Generator().manual_seed(1))
    means = torch.tensor(MEANS, dtype=torch.float64)
    nearest = torch.cdist(x, means).argmin(dim=1)  # far apart: next to no point goes to another
    assert chisquare(nearest.bincount(minlength=3), m * np.array(WEIGHTS)).pvalue > 1e-3
    for k, covariance in enumerate(COVARIANCES):
        np.testing.assert_allclose(x[nearest == k].T.cov(), covariance, atol=0.06)


def test_a_seeded_sample_is_the_same_again():
    one, again = (mixture().sample(4, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, mixture().sample(4, torch.Generator().manual_seed(3)))


def test_weights_given_in_float32_sum_to_one_in_float64():
    weights = Mixture(torch.full((7,), 1 / 7), torch.zeros(7, 1), torch.ones(7, 1, 1)).weights
    assert weights.dtype == torch.float64
    assert abs(weights.sum().item() - 1) < 1e-15


@pytest.mark.parametrize(("change", "message"), [
    ({"weights": [0.5, 0.2, 0.2]}, "sum to 1"),
    ({"weights": [1.2, 0.1, -0.3]}, "positive"),
    ({"weights": [0.5, 0.5, float("nan")]}, "positive"),
    ({"weights": [0.5, 0.5]}, "k×n means"),
    ({"weights": [], "means": [], "covariances": []}, "k×n means"),
    ({"covariances": [1.0, 1.0, 1.0]}, "k×n×n covariances"),
    ({"covariances": [*COVARIANCES[:2], [[1.0, 2.0], [2.0, 1.0]]]}, "component 2: .* least eigenvalue is -1"),
    ({"covariances": [COVARIANCES[0], [[1.0, 0.5], [0.4, 1.0]], COVARIANCES[2]]}, "component 1: .* symmetric"),
])  # fmt: skip
def test_what_is_no_mixture_is_a_clear_error(change, message):
    with pytest.raises(ValueError, match=message):
        mixture(**change)
