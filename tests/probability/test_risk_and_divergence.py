import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from fromnoise.probability.divergence import kl, kl_monte_carlo, kl_quadrature, log_gap
from fromnoise.probability.gaussian import Gaussian
from fromnoise.probability.risk import SquaredRisk, expectation, sample_mean


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def line(mean, variance):
    return Gaussian.white(torch.tensor([mean]), variance)


@pytest.mark.parametrize(("f", "exact"), [
    (lambda x: x, 2.0), (lambda x: x**2, 4 + 0.25), (lambda x: torch.cos(x), math.cos(2) * math.exp(-0.125)),
])  # fmt: skip
def test_expectations_are_exact(f, exact):
    assert expectation(f, 2.0, 0.25) == pytest.approx(exact, rel=1e-12)


def test_the_sample_means_error_falls_as_one_over_root_n_and_is_honest():
    estimates = {}
    for n in (100, 10_000):
        means = [sample_mean(torch.randn(n, generator=seeded(k)).square()) for k in range(300)]
        spread = torch.tensor([mean.value for mean in means]).std().item()
        claimed = sum(mean.standard_error for mean in means) / len(means)
        assert claimed == pytest.approx(spread, rel=0.2)
        assert claimed == pytest.approx(math.sqrt(2 / n), rel=0.1)
        estimates[n] = claimed
    assert estimates[100] / estimates[10_000] == pytest.approx(10, rel=0.1)


def test_one_value_has_no_error():
    with pytest.raises(ValueError, match="at least 2"):
        sample_mean(torch.ones(1))


def test_the_two_risks_and_their_minimisers_are_exact():
    risk = SquaredRisk(1.5, 4.0)
    assert risk.statistical(0.0) == pytest.approx(expectation(lambda x: x**2, 1.5, 4.0), rel=1e-12)
    x = line(1.5, 4.0).sample(20, seeded(0))[:, 0]
    best = risk.empirical_minimiser(x)
    for step in (-0.01, 0.01):
        assert risk.empirical(best, x) < risk.empirical(best + step, x)
        assert risk.statistical(1.5) < risk.statistical(1.5 + step)
    excess = [
        risk.statistical(risk.empirical_minimiser(line(1.5, 4.0).sample(20, seeded(k))[:, 0])) - 4.0
        for k in range(4000)
    ]
    assert sum(excess) / 4000 == pytest.approx(risk.expected_excess(20), rel=0.1)


@pytest.mark.parametrize(("q", "p"), [((0, 1), (4, 1)), ((8, 0.25), (4, 1)), ((0, 1), (0, 1))])
def test_the_divergence_is_its_integral(q, p):
    (m, v), (n, w) = q, p
    one, other = norm(m, v**0.5), norm(n, w**0.5)
    integral, _ = quad(lambda x: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), m - 12 * v**0.5, m + 12 * v**0.5)
    assert kl(line(float(m), v), line(float(n), w)) == pytest.approx(integral, abs=1e-9)


def test_quadrature_finds_it_for_many_pairs_at_once():
    x = torch.linspace(-40, 40, 8001, dtype=torch.float64)
    q = torch.distributions.Laplace(torch.tensor(0.5), torch.tensor(1.5)).log_prob(x)
    pairs = [(0.0, 1.0), (2.0, 9.0)]
    p = torch.stack([line(m, v).log_prob(x[:, None]) for m, v in pairs])
    found = kl_quadrature(q, p, x)
    for k, (m, v) in enumerate(pairs):
        entropy = 1 + math.log(2 * 1.5)  # of Laplace(0.5, 1.5), whose variance is 2·1.5²
        cross = math.log(2 * math.pi * v) / 2 + (2 * 1.5**2 + (0.5 - m) ** 2) / (2 * v)
        assert found[k].item() == pytest.approx(cross - entropy, abs=1e-4)


def test_it_is_zero_for_equal_distributions_only_and_not_symmetric():
    q, p = line(0.0, 1.0), line(1.0, 4.0)
    assert kl(q, q) == pytest.approx(0, abs=1e-15)
    assert kl(q, p) > 0
    assert kl(p, q) > 0
    assert kl(q, p) != pytest.approx(kl(p, q), rel=0.1)


def test_monte_carlo_finds_it_within_its_error():
    q = Gaussian(torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]]))
    p = Gaussian.standard(2)
    found = kl_monte_carlo(q.sample(20_000, seeded(1)), q.log_prob, p.log_prob)
    assert abs(found.value - kl(q, p)) < 4 * found.standard_error
    assert found.standard_error < 0.03


def test_different_dimensions_have_no_divergence():
    with pytest.raises(ValueError, match="different event shapes"):
        kl(Gaussian.standard(2), Gaussian.standard(3))


def test_the_logarithm_lies_below_its_tangent():
    r = torch.linspace(0.01, 5, 500, dtype=torch.float64)
    assert (log_gap(r) >= 0).all()
    assert log_gap(torch.tensor(1.0)) == 0
    assert (log_gap(r[(r - 1).abs() > 0.1]) > 1e-3).all()
