import pytest
import torch

from fromnoise.probability import normal_model
from fromnoise.probability.divergence import kl
from fromnoise.probability.gaussian import Gaussian

TRUTH = Gaussian.white(torch.tensor([1.0, 2.0]))  # task 2


@pytest.fixture
def x():
    return TRUTH.sample(1000, torch.Generator().manual_seed(0))


def test_the_fit_is_the_sample_mean_and_lies_close_to_the_truth(x):
    model = normal_model.fit(x)
    assert torch.equal(model.mean, x.mean(dim=0))
    assert kl(TRUTH, model) < 10 / 1000  # its mean is n/2N = 0.001


@pytest.mark.parametrize("rate", [0.1, 1.0, 1.5])
def test_the_path_of_the_descent_is_the_recursion_solved(x, rate):
    path = normal_model.descent(x, rate, 30)
    k = torch.arange(31, dtype=torch.float64)[:, None]
    torch.testing.assert_close(path, x.mean(dim=0) * (1 - (1 - rate) ** k), rtol=0, atol=1e-12)


def test_the_mean_minimises_the_objective_not_maximises_it(x):
    """Fault 1 of the chapter: the sign of (23)."""
    best = x.mean(dim=0)
    for step in torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)):
        assert normal_model.objective(best, x) < normal_model.objective(best + 0.1 * step, x)


def test_minimising_the_objective_is_maximising_the_likelihood(x):
    one, other = torch.tensor([0.5, 1.0]), torch.tensor([1.0, 2.0])
    gap = normal_model.objective(one, x) - normal_model.objective(other, x)
    likelihood = Gaussian.white(other).log_prob(x).mean() - Gaussian.white(one).log_prob(x).mean()
    torch.testing.assert_close(gap, likelihood)


def test_the_full_covariance_has_the_greatest_likelihood():
    truth = Gaussian(torch.tensor([1.0, 2.0]), torch.tensor([[20.0, 16.0], [16.0, 20.0]]))
    x = truth.sample(5000, torch.Generator().manual_seed(0))
    model = normal_model.fit_covariance(x)
    assert model.log_prob(x).mean() > truth.log_prob(x).mean()
    assert model.log_prob(x).mean() > normal_model.fit(x).log_prob(x).mean()
    assert kl(truth, model) < 0.005


def test_samples_of_the_model_are_new_samples_of_the_truth(x):
    drawn = normal_model.fit(x).sample(100_000, torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn.mean(dim=0), TRUTH.mean, rtol=0, atol=0.1)
    torch.testing.assert_close(drawn.T.cov(), TRUTH.covariance, rtol=0, atol=0.03)


@pytest.mark.parametrize("rate", [0.0, 2.0, -1.0])
def test_rates_that_diverge_are_refused(x, rate):
    with pytest.raises(ValueError, match="between 0 and 2"):
        normal_model.descent(x, rate)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        normal_model.fit(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="cannot fill"):
        normal_model.fit_covariance(torch.zeros(2, 2))
