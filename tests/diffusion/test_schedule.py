import math

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from fromnoise.diffusion.schedule import SCHEDULES, Schedule, rescaled_to_zero_terminal_snr, schedule
from fromnoise.errors import UserError


def table_of(name, T, zero):
    table = schedule(name, T)
    return rescaled_to_zero_terminal_snr(table) if zero else table


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("T", [2, 50, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_tables_are_float64_of_length_t_plus_one_with_the_identity_first(name, T, zero):
    table = table_of(name, T, zero)
    assert table.T == T
    for values in (table.alphas, table.alphas_cumprod, table.logsnr, table.posterior_variance):
        assert values.dtype == torch.float64
        assert values.shape == (T + 1,)
        assert not values.isnan().any()
    assert table.alphas[0] == table.alphas_cumprod[0] == 1
    assert table.logsnr[0] == math.inf
    assert (table.logsnr.diff() < 0).all()


@pytest.mark.parametrize("T", [500, 1000])
def test_linear_runs_from_0_9999_to_0_98_whatever_the_number_of_steps(T):
    alphas = schedule("linear", T).alphas
    assert alphas[1].item() == pytest.approx(0.9999, abs=1e-15)
    assert alphas[T].item() == pytest.approx(0.98, abs=1e-15)
    even = torch.full((T - 1,), -0.0199 / (T - 1), dtype=torch.float64)
    torch.testing.assert_close(alphas[1:].diff(), even, rtol=1e-10, atol=0)


def test_linear_leaves_the_trace_of_the_data_that_the_chapter_states():
    assert schedule("linear", 500).alphas_cumprod[500].sqrt().item() == pytest.approx(0.080, abs=5e-4)
    assert schedule("linear", 1000).alphas_cumprod[500].sqrt().item() == pytest.approx(0.28, abs=5e-3)
    assert schedule("linear", 1000).alphas_cumprod[1000].sqrt().item() == pytest.approx(0.00635, abs=5e-5)


def test_logsnr_is_even_between_its_two_ends():
    logsnr = schedule("logsnr", 41).logsnr[1:]
    torch.testing.assert_close(logsnr, torch.arange(10, -10.1, -0.5, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("ours", "theirs", "zero", "tolerance"),
    [
        ("linear", "linear", False, 1e-7),
        ("cosine", "squaredcos_cap_v2", False, 1e-7),
        ("linear", "linear", True, 3e-6),  # their float32 differences of √ᾱ cancel near T
        ("cosine", "squaredcos_cap_v2", True, 3e-6),
    ],
)
def test_our_step_t_is_diffusers_step_t_minus_one(ours, theirs, zero, tolerance):
    table = table_of(ours, 1000, zero)
    reference = DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02, beta_schedule=theirs, rescale_betas_zero_snr=zero)
    torch.testing.assert_close(table.alphas[1:], reference.alphas.double(), rtol=0, atol=tolerance)
    # float32 again: a product of a thousand
    torch.testing.assert_close(table.alphas_cumprod[1:], reference.alphas_cumprod.double(), rtol=2e-5, atol=0)


def test_posterior_variance_is_diffusers_own():
    table = schedule("linear", 1000)
    reference = DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02)
    reference.alphas_cumprod = table.alphas_cumprod[1:]  # in float64
    theirs = torch.stack([reference._get_variance(k) for k in range(1000)])
    torch.testing.assert_close(table.posterior_variance[2:], theirs[1:], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_posterior_variance_is_zero_at_the_first_step_and_below_the_forward_variance(name):
    table = schedule(name, 60)
    assert table.posterior_variance[:2].tolist() == [0, 0]
    assert (table.posterior_variance[2:] > 0).all()
    assert (table.posterior_variance[2:] < (1 - table.alphas)[2:]).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_first_step(name):
    plain, zero = schedule(name, 100), table_of(name, 100, zero=True)
    assert zero.alphas_cumprod[-1] == 0
    assert zero.logsnr[-1] == -math.inf
    assert zero.alphas_cumprod[1].item() == pytest.approx(plain.alphas_cumprod[1].item(), rel=1e-14)
    assert (zero.alphas[:-1] > 0).all()


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_zero_terminal_snr_is_diffusers_own_in_float64(name):
    plain, zero = schedule(name, 1000), table_of(name, 1000, zero=True)
    betas = rescale_zero_terminal_snr(1 - plain.alphas[1:])
    torch.testing.assert_close(zero.alphas[1:], 1 - betas, rtol=1e-11, atol=1e-13)


def test_an_unknown_schedule_is_refused_and_the_known_ones_listed():
    with pytest.raises(UserError, match=r"'quadratic'.*linear, cosine, logsnr"):
        schedule("quadratic", 100)


@pytest.mark.parametrize("T", [-1, 0, 1])
def test_fewer_than_two_steps_are_refused(T):
    with pytest.raises(UserError, match=f"T = {T}"):
        schedule("linear", T)


@pytest.mark.parametrize(
    "alphas",
    [[1.0], [0.9, 0.8], [1.0, 1.0], [1.0, 1.1], [1.0, -0.1], [1.0, 0.0, 0.5], [1.0, math.nan], [1.0, 0.0, 0.0]],
)
def test_a_table_that_is_no_schedule_is_refused(alphas):
    with pytest.raises(ValueError, match=r"alpha|α"):
        Schedule(torch.tensor(alphas, dtype=torch.float64))


def test_a_float32_table_is_refused():
    with pytest.raises(ValueError, match="float64"):
        Schedule(torch.tensor([1.0, 0.9]))
