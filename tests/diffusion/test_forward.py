import pytest
import torch

from fromnoise.diffusion import forward
from fromnoise.diffusion.schedule import schedule

TABLE = schedule("linear", 40)
N = 40_000


def moments_agree(samples, mean, variance):
    """Mean and variance of n samples (first axis) lie within 5 standard errors of those of a Gaussian."""
    n = len(samples)
    assert ((samples.mean(0) - mean).abs() < 5 * (variance / n) ** 0.5).all()
    assert ((samples.var(0) - variance).abs() < 5 * variance * (2 / (n - 1)) ** 0.5).all()


def test_the_jump_mixes_data_and_noise_in_the_schedules_proportions(randn):
    x0, noise = randn(5, 2), randn(5, 2, seed=1)
    t = torch.tensor([1, 10, 20, 39, 40])
    abar = TABLE.alphas_cumprod[t][:, None]
    expected = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
    torch.testing.assert_close(forward.jump(x0, noise, TABLE.logsnr[t]), expected, rtol=0, atol=1e-12)


def test_noisy_returns_the_noise_that_made_it(randn):
    x0 = randn(3, 1, 4, 4)
    t = torch.tensor([1, 20, 40])
    x, noise = forward.noisy(x0, t, TABLE, torch.Generator().manual_seed(3))
    assert torch.equal(noise, randn(3, 1, 4, 4, seed=3))
    abar = TABLE.alphas_cumprod[t].reshape(3, 1, 1, 1)
    torch.testing.assert_close(x, abar.sqrt() * x0 + (1 - abar).sqrt() * noise, rtol=0, atol=1e-12)


def test_step_zero_returns_the_data_itself(randn):
    x, _ = forward.noisy(randn(2, 3), torch.tensor(0), TABLE)
    assert torch.equal(x, randn(2, 3))


def test_one_step_has_the_chapters_coefficients(randn):
    x, noise = randn(2, 3), randn(2, 3, seed=1)
    alpha = TABLE.alphas[7]
    expected = alpha.sqrt() * x + (1 - alpha).sqrt() * noise
    torch.testing.assert_close(forward.step(x, noise, 7, TABLE), expected, rtol=0, atol=1e-15)


def test_all_steps_and_the_jump_have_exactly_one_mean_and_variance():
    # By linearity: the data's coefficient, and the sum of squares of the coefficients of every step's noise.
    rows = torch.eye(TABLE.T + 1, dtype=torch.float64)
    x, data = rows[0], rows[1:]
    for t in range(1, TABLE.T + 1):
        x = forward.step(x, data[t - 1], t, TABLE)
        assert x[0].item() == pytest.approx(TABLE.alphas_cumprod[t].sqrt().item(), abs=1e-13)
        assert x[1:].square().sum().item() == pytest.approx(1 - TABLE.alphas_cumprod[t].item(), abs=1e-13)


def test_path_and_jump_agree_in_mean_and_variance_at_every_step():
    x0 = torch.full((N // 10,), -2.0, dtype=torch.float64)
    walk = forward.path(x0, TABLE, torch.Generator().manual_seed(5))
    assert walk.shape == (TABLE.T + 1, N // 10)
    assert torch.equal(walk[0], x0)
    generator = torch.Generator().manual_seed(6)
    for t in range(1, TABLE.T + 1):
        mean, variance = -2 * TABLE.alphas_cumprod[t].sqrt(), 1 - TABLE.alphas_cumprod[t]
        moments_agree(walk[t], mean, variance)
        moments_agree(forward.noisy(x0, torch.tensor(t), TABLE, generator)[0], mean, variance)


def test_neighbours_on_a_path_are_correlated_as_one_step_says():
    walk = forward.path(torch.zeros(N, dtype=torch.float64), TABLE, torch.Generator().manual_seed(7))
    correlation = torch.corrcoef(walk[19:21])[0, 1]
    abar = TABLE.alphas_cumprod
    expected = (TABLE.alphas[20] * (1 - abar[19]) / (1 - abar[20])).sqrt()
    assert abs(correlation - expected) < 5 * (1 - expected**2) / N**0.5


@pytest.mark.parametrize("t", [torch.tensor(3), torch.tensor([3])])
def test_a_single_sample_keeps_its_batch_axis(randn, t):
    x, noise = forward.noisy(randn(1, 1, 4, 4), t, TABLE)
    assert x.shape == noise.shape == (1, 1, 4, 4)
    assert forward.path(randn(1, 1, 4, 4), TABLE).shape == (TABLE.T + 1, 1, 1, 4, 4)


def test_the_datas_type_is_kept(randn):
    x0 = randn(2, 3, dtype=torch.float32)
    x, noise = forward.noisy(x0, torch.tensor([1, 40]), TABLE)
    assert x.dtype == noise.dtype == forward.path(x0, TABLE).dtype == torch.float32
