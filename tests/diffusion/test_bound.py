"""The bound against closed forms: Gaussian data, whose exact likelihood and ideal denoiser are known."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from fromnoise.diffusion import backward, forward
from fromnoise.diffusion.bound import PIXEL, Bound, log_density, log_pixel, per_dimension, strata
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule


def spread(T, highest=14.0, lowest=-14.0):
    return torch.linspace(highest, lowest, T, dtype=torch.float64)


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def white(variance):
    """The ideal denoiser of N(0, variance·I), for one level or one a row."""

    def denoise(x, logsnr):
        a, b = (torch.sigmoid(sign * logsnr).sqrt()[:, None] for sign in (1, -1))
        total = a * a * variance + b * b
        return a * variance / total * x, b / total * x

    return denoise


def exact(bound, variance):
    """The expected bound minus the entropy of N(0, variance) in one dimension, through the ideal denoiser, by hand."""
    a2, b2 = torch.sigmoid(bound.levels), torch.sigmoid(-bound.levels)
    error = variance * b2 / (a2 * variance + b2)  # E (x_0 − x̂_0)²
    prior = (a2[-1] * variance + b2[-1] - 1 - b2[-1].log()) / 2
    snr = a2 / b2
    steps = ((snr[:-1] - snr[1:]) * error[1:]).sum() / 2
    decoder = error[0] / b2[0] / 2 + (2 * math.pi * b2[0]).log() / 2
    return float(prior + steps + decoder - (math.log(2 * math.pi * variance) + 1) / 2)


@pytest.mark.parametrize("variance", [0.25, 1.0])
def test_all_steps_give_the_expectation_worked_out_by_hand(randn, variance):
    bound = Bound(spread(40), pixel=None)
    x0 = randn(40_000, 1) * variance**0.5
    got = bound.estimate(white(variance), x0, lambda i: randn(40_000, 1, seed=i + 1))
    gaps = got.total - (x0[:, 0] ** 2 / variance + math.log(2 * math.pi * variance)) / 2
    assert gaps.mean() == pytest.approx(exact(bound, variance), abs=4 * float(gaps.std()) / 200)


@pytest.mark.parametrize("variance", [0.25, 1.0])
def test_the_gap_falls_at_first_order_in_the_number_of_steps_even_in_logsnr(variance):
    gaps = [exact(Bound(spread(T), pixel=None), variance) for T in (100, 200, 400, 800)]
    assert gaps[-1] < 0.12
    for one, half in pairwise(gaps):
        assert one / half == pytest.approx(2, rel=0.1)


def test_linear_schedule_and_posterior_variance_keep_a_gap_of_half_a_nat():
    """At T = 500 on N(0, ¼), which steps even in λ close."""
    table = schedule("linear", 500)
    assert exact(Bound(table.logsnr[1:], pixel=None), 0.25) == pytest.approx(0.58, abs=0.01)


def test_a_step_is_the_weighted_error_of_the_noise(randn):
    table = schedule("linear", 50)
    bound = Bound(table.logsnr[1:])
    x0, noise = randn(8, 3), randn(8, 3, seed=1)
    t = torch.tensor([2, 3, 5, 10, 20, 30, 49, 50])
    denoise = white(0.5)
    guess = denoise(forward.jump(x0, noise, table.logsnr[t]), table.logsnr[t])[1]
    alpha, abar = table.alphas[t], table.alphas_cumprod[t]
    weight = (1 - alpha) ** 2 / (2 * table.posterior_variance[t] * alpha * (1 - abar))
    torch.testing.assert_close(
        bound.step(denoise, x0, noise, t), weight * (guess - noise).square().sum(dim=1), rtol=1e-9, atol=0
    )


def test_a_step_is_the_divergence_of_the_two_normals(randn):
    """(33) from torch.distributions, with the learnt mean by (31)."""
    table = schedule("cosine", 20)
    bound = Bound(table.logsnr[1:])
    x0, noise, t = randn(5, 2), randn(5, 2, seed=1), torch.tensor([2, 4, 8, 15, 20])
    clearer, noisier = table.logsnr[t - 1], table.logsnr[t]
    denoise = lambda x, logsnr: (x * 0.3, None)  # noqa: E731
    xt = forward.jump(x0, noise, noisier)
    sides = [
        torch.distributions.Normal(
            backward.posterior_mean(xt, mean, clearer, noisier),
            backward.posterior_variance(clearer, noisier)[:, None] ** 0.5,
        )
        for mean in (x0, 0.3 * xt)
    ]
    expected = torch.distributions.kl_divergence(*sides).sum(dim=1)
    torch.testing.assert_close(bound.step(denoise, x0, noise, t), expected, rtol=1e-9, atol=1e-12)


def test_zero_terminal_snr_is_finite_and_its_prior_nothing(randn):
    bound = Bound(rescaled_to_zero_terminal_snr(schedule("linear", 100)).logsnr[1:])
    x0 = randn(4, 2)
    got = bound.step(lambda x, _: (x * 0, x), x0, randn(4, 2, seed=1), torch.full((4,), 100))
    assert bound.prior(x0).tolist() == [0.0] * 4
    assert bool(got.isfinite().all())
    assert bool((got > 0).all())


def test_prior_is_the_divergence_of_torch(randn):
    bound = Bound(spread(3, 5.0, -3.0))
    x0 = randn(6, 4)
    a, b = torch.sigmoid(torch.tensor(-3.0).double()).sqrt(), torch.sigmoid(torch.tensor(3.0).double()).sqrt()
    sides = torch.distributions.Normal(a * x0, b), torch.distributions.Normal(torch.zeros(6, 4).double(), 1.0)
    torch.testing.assert_close(bound.prior(x0), torch.distributions.kl_divergence(*sides).sum(dim=1))


def test_few_levels_agree_with_all_within_their_standard_error(randn):
    """One image many times: the mean of the estimates is the sum over all steps, and their scatter as stated."""
    bound = Bound(spread(200))
    n, k = 2000, 8
    x0 = torch.round((randn(1, 16) * 0.5).clamp(-1, 1) / PIXEL + 0.5) * PIXEL - PIXEL / 2
    x0 = x0.expand(n, 16)
    denoise = white(0.25)
    few = bound.estimate(denoise, x0, lambda i: randn(n, 16, seed=i), strata(uniform(n, k)))
    every = bound.estimate(denoise, x0[:200], lambda i: randn(200, 16, seed=1000 + i))
    scatter = float(few.total.std())
    assert few.total.mean() == pytest.approx(float(every.total.mean()), abs=4 * scatter / n**0.5 + 0.05)
    assert scatter < few.standard_error.square().mean().sqrt() < 2 * scatter
    assert every.standard_error.mean() < few.standard_error.mean()


def test_a_schedule_of_two_steps_has_one_term_and_no_doubt_about_it(randn):
    found = Bound(spread(2), pixel=None).estimate(lambda x, _: (x, x), randn(3, 2), lambda i: randn(3, 2))
    assert found.total.shape == (3,)
    assert found.standard_error.isfinite().all()


def test_pixels_of_a_normal_sum_to_one_and_match_scipy():
    values = torch.linspace(-1, 1, 256, dtype=torch.float64)
    for mean, sigma in ((0.1, 0.05), (-1.0, 0.01), (3.0, 0.5), (0.5, 1e-3)):
        got = log_pixel(values, torch.tensor(mean).double(), sigma)
        assert float(got.exp().sum()) == pytest.approx(1, abs=1e-12)
        upper, lower = values.numpy() + PIXEL / 2, values.numpy() - PIXEL / 2
        upper[-1], lower[0] = np.inf, -np.inf
        expected = stats.norm.cdf(upper, mean, sigma) - stats.norm.cdf(lower, mean, sigma)
        np.testing.assert_allclose(got.exp().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("scale", [0.3, 2.5])
def test_a_pixel_is_as_likely_at_any_scale(randn, scale):
    values, mean = torch.linspace(-1, 1, 256, dtype=torch.float64), randn(256) * 0.4
    scaled = log_pixel(values / scale, mean / scale, 0.05 / scale, PIXEL / scale)
    torch.testing.assert_close(scaled, log_pixel(values, mean, 0.05), rtol=1e-9, atol=1e-9)


def test_pixels_far_in_the_tail_stay_finite_and_symmetric():
    got = log_pixel(torch.tensor([-0.5, 0.5]).double() / 127.5, torch.tensor([1.0, -1.0]).double(), 1e-3)
    assert bool(got.isfinite().all())
    assert got[0] == pytest.approx(float(got[1]), rel=1e-12)
    assert got[0] == pytest.approx(-0.5 * ((1 - PIXEL * 0.75) / 1e-3) ** 2, rel=0.02)


def test_density_is_scipys():
    x = torch.tensor([-2.0, 0.1, 3.0]).double()
    np.testing.assert_allclose(log_density(x, torch.tensor(0.4).double(), 0.7), stats.norm.logpdf(x, 0.4, 0.7))


def test_strata_fill_every_part_and_stay_inside():
    u = strata(uniform(50, 7))
    assert ((u * 7).floor() == torch.arange(7)).all()
    assert strata(torch.zeros(1, 3).double()).min() > 0
    assert strata(torch.ones(1, 3).double()).max() < 1


def test_bits_per_dimension():
    assert per_dimension(torch.tensor([math.log(2) * 12]).double(), 4).tolist() == pytest.approx([3.0])


def test_what_is_no_bound_is_refused(randn):
    for levels in (torch.tensor([1.0]), torch.tensor([1.0, 2.0]), torch.tensor([math.inf, 1.0])):
        with pytest.raises(ValueError, match="at least two levels"):
            Bound(levels.double())
    with pytest.raises(ValueError, match="the decoder's"):
        Bound(spread(5)).step(lambda x, _: (x, x), randn(2, 2), randn(2, 2), torch.tensor([1, 2]))
