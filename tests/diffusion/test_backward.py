import math

import pytest
import torch

from fromnoise.diffusion import backward, forward, level
from fromnoise.diffusion.schedule import schedule

PAIRS = [(math.inf, 3.0), (6.0, 5.9), (4.0, -4.0), (0.0, -0.5), (-2.0, -9.0), (1.0, -math.inf), (math.inf, -math.inf)]
FINITE = [pair for pair in PAIRS if pair[1] > -math.inf]


def tensors(*levels):
    return [torch.tensor(value, dtype=torch.float64) for value in levels]


def conditioned(clearer, noisier, x, x0):
    """Mean and variance of x_s given x_t (and x_0), from the joint covariance of (x_s, x_t) given x_0."""
    abar_s, abar_t = 1 / (1 + math.exp(-clearer)), 1 / (1 + math.exp(-noisier)) if noisier > -math.inf else 0.0
    covariance = math.sqrt(abar_t / abar_s) * (1 - abar_s)
    gain = covariance / (1 - abar_t)
    return math.sqrt(abar_s) * x0 + gain * (x - math.sqrt(abar_t) * x0), (1 - abar_s) - gain * covariance


@pytest.mark.parametrize(("clearer", "noisier"), PAIRS)
def test_the_posterior_between_any_levels_is_gaussian_conditioning(randn, clearer, noisier):
    x, x0 = randn(4, 3), randn(4, 3, seed=1)
    mean, variance = conditioned(clearer, noisier, x, x0)
    s, t = tensors(clearer, noisier)
    torch.testing.assert_close(backward.posterior_mean(x, x0, s, t), mean, rtol=0, atol=1e-12)
    assert backward.posterior_variance(s, t).item() == pytest.approx(variance, abs=1e-13)


@pytest.mark.parametrize(("clearer", "noisier"), FINITE)
def test_the_mean_from_x0_is_the_mean_from_the_noise(randn, clearer, noisier):
    x0, noise = randn(4, 3), randn(4, 3, seed=1)
    s, t = tensors(clearer, noisier)
    x = forward.jump(x0, noise, t)
    from_noise = backward.posterior_mean_from_noise(x, noise, s, t)
    torch.testing.assert_close(backward.posterior_mean(x, x0, s, t), from_noise, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["linear", "cosine", "logsnr"])
def test_between_neighbours_they_are_the_chapters_formulas(randn, name):
    table = schedule(name, 50)
    alpha, abar, before = table.alphas[1:, None], table.alphas_cumprod[1:, None], table.alphas_cumprod[:-1, None]
    x, x0 = randn(50, 3), randn(50, 3, seed=1)
    noise = (x - abar.sqrt() * x0) / (1 - abar).sqrt()
    s, t = table.logsnr[:-1], table.logsnr[1:]

    variance = (1 - alpha) * (1 - before) / (1 - abar)  # (30)
    from_x0 = (alpha.sqrt() * (1 - before) * x + before.sqrt() * (1 - alpha) * x0) / (1 - abar)  # (31)
    from_noise = (x - (1 - alpha) / (1 - abar).sqrt() * noise) / alpha.sqrt()  # (32)
    torch.testing.assert_close(backward.posterior_variance(s, t), variance[:, 0], rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(table.posterior_variance[1:], variance[:, 0], rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(backward.posterior_mean(x, x0, s, t), from_x0, rtol=0, atol=1e-10)
    torch.testing.assert_close(backward.posterior_mean_from_noise(x, noise, s, t), from_noise, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(backward.VARIANCES["forward"](s, t), 1 - alpha[:, 0], rtol=1e-9, atol=1e-15)


def test_one_long_step_is_two_short_ones(randn):
    # q(x_r | x_t, x_0) = ∫ q(x_r | x_s, x_0) q(x_s | x_t, x_0) dx_s, for r clearer than s clearer than t
    r, s, t = tensors(3.0, 0.5, -4.0)
    x, x0 = randn(4, 3), randn(4, 3, seed=1)
    middle = backward.posterior_mean(x, x0, s, t)
    long = backward.posterior_mean(x, x0, r, t)
    torch.testing.assert_close(backward.posterior_mean(middle, x0, r, s), long, rtol=0, atol=1e-13)
    gain = backward.posterior_mean(torch.ones(1).double(), torch.zeros(1).double(), r, s)
    variance = backward.posterior_variance(r, s) + gain**2 * backward.posterior_variance(s, t)
    torch.testing.assert_close(variance[0], backward.posterior_variance(r, t), rtol=1e-13, atol=0)


def test_noising_and_stepping_back_gives_the_marginal_again(randn):
    # ∫ q(x_s | x_t, x_0) q(x_t | x_0) dx_t = q(x_s | x_0)
    s, t = tensors(2.0, -3.0)
    x0 = randn(4, 3)
    mean = backward.posterior_mean(level.signal(t) * x0, x0, s, t)
    torch.testing.assert_close(mean, level.signal(s) * x0, rtol=0, atol=1e-14)
    gain = backward.posterior_mean(torch.ones(1).double(), torch.zeros(1).double(), s, t)
    variance = backward.posterior_variance(s, t) + gain**2 * level.noise_scale(t) ** 2
    assert variance.item() == pytest.approx(level.noise_scale(s).item() ** 2, abs=1e-14)


def test_stepping_back_to_clean_data_gives_x0_without_noise(randn):
    x, x0 = randn(4, 3), randn(4, 3, seed=1)
    clean, t = tensors(level.CLEAN, 2.0)
    torch.testing.assert_close(backward.posterior_mean(x, x0, clean, t), x0, rtol=0, atol=1e-14)
    assert backward.posterior_variance(clean, t) == 0


def test_each_row_may_have_levels_of_its_own(randn):
    x, x0 = randn(3, 1, 2, 2), randn(3, 1, 2, 2, seed=1)
    s, t = torch.tensor([3.0, 1.0, 0.0]).double(), torch.tensor([2.0, -1.0, -5.0]).double()
    together = backward.posterior_mean(x, x0, s, t)
    apart = [backward.posterior_mean(x[k : k + 1], x0[k : k + 1], s[k], t[k]) for k in range(3)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=0, atol=1e-15)
