"""The samplers for few network calls: diffusers' steps, and how fast they near the exact flow."""

import math

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler, IPNDMScheduler, UniPCMultistepScheduler

from fromnoise.diffusion import ideal, level
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.samplers import levels_for, sampler
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule
from fromnoise.diffusion.settings import SamplerSettings

# diffusers', in set_timesteps
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
TABLE = schedule("linear", 1000)


def levels_by(name, spacing, n, table=TABLE):
    return levels_for(SamplerSettings(name, n, spacing, logsnr_range=(-9, 10)), table)


def no_noise(k):
    raise AssertionError(f"a deterministic sampler asked for noise at step {k}")


def network(x, logsnr):
    """An eps network that is no Gaussian's."""
    return torch.tanh(1.5 * x + torch.cos(logsnr / 3).reshape(-1, 1, 1, 1)) * 0.9


def ours(name, levels, x):
    return sampler(SamplerSettings(name))(
        Denoiser(network, "eps", condition=lambda logsnr: logsnr), x, levels, no_noise
    )


def theirs(scheduler, levels, x):
    """The end of x under a scheduler of diffusers that visits `levels`."""
    scheduler.set_timesteps(len(levels) - 1)
    scheduler.sigmas = torch.exp(-levels / 2)
    scheduler.timesteps = torch.arange(len(levels) - 1, 0, -1)
    for t, logsnr in zip(scheduler.timesteps, levels[:-1], strict=True):
        x = scheduler.step(network(x, logsnr), t, x).prev_sample
    return x


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 20])
def test_unipc_steps_are_diffusers_unipc(randn, n, spacing):
    levels, x = levels_by("unipc", spacing, n), randn(2, 1, 4, 4)
    end = theirs(UniPCMultistepScheduler(solver_order=3, solver_type="bh2"), levels, x)
    torch.testing.assert_close(ours("unipc", levels, x), end, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 20])
def test_dpm_solver_3m_steps_are_diffusers_dpm_solver(randn, n, spacing):
    levels, x = levels_by("dpm++3m", spacing, n), randn(2, 1, 4, 4)
    scheduler = DPMSolverMultistepScheduler(solver_order=3, final_sigmas_type="zero", lower_order_final=False)
    # they step in float32
    torch.testing.assert_close(ours("dpm++3m", levels, x), theirs(scheduler, levels, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 20])
def test_ipndm_steps_are_diffusers_ipndm(randn, n, spacing):
    levels, x = levels_by("ipndm", spacing, n), randn(2, 1, 4, 4)
    scheduler = IPNDMScheduler()
    scheduler.set_timesteps(n)
    scheduler.alphas, scheduler.betas = level.signal(levels), level.noise_scale(levels)
    end = x
    for t, logsnr in zip(scheduler.timesteps, levels[:-1], strict=True):
        # their network predicts v of a schedule without noise at its end: our ε̂ in their words
        a, b = level.signal(logsnr), level.noise_scale(logsnr)
        if logsnr == levels[-2]:
            scheduler.ets = []  # their last step mixes too: ours is x̂_0
        end = scheduler.step((network(end, logsnr) - b * end) / a, t, end).prev_sample
    torch.testing.assert_close(ours("ipndm", levels, x), end, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
@pytest.mark.parametrize("n", [1, 3, 5, 21])
def test_heun_steps_are_diffusers_heun(randn, n, spacing):
    levels, x = levels_by("heun", spacing, n), randn(2, 1, 4, 4)
    scheduler = HeunDiscreteScheduler()
    scheduler.set_timesteps(n // 2 + 1)
    scheduler.sigmas = torch.exp(-levels / 2)
    end = x / level.signal(levels[0])  # they walk x/a
    for k, logsnr in enumerate(levels[:-1]):
        scheduler._step_index = k
        end = scheduler.step(network(end * level.signal(logsnr), logsnr), scheduler.timesteps[0], end).prev_sample
    torch.testing.assert_close(ours("heun", levels, x), end, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("n", "visits"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 1]), (4, [0, 1, 2, 2]), (5, [0, 1, 1, 2, 2])]
)
def test_heun_calls_the_network_as_often_as_said(n, visits):
    levels = levels_by("heun", "karras", n)
    distinct = levels_by("ddim", "karras", visits[-1] + 1)[:-1]
    assert torch.equal(levels[:-1], distinct[torch.tensor(visits)])
    assert levels[-1] == level.CLEAN


def mixture():
    """A denoiser of data in the plane with two modes, one of them coloured."""
    wide, coloured = torch.eye(2) * 0.2, torch.tensor([[0.5, 0.2], [0.2, 0.3]])
    return ideal.of_mixture(
        torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.5], [0.8, -0.3]]), torch.stack([wide, coloured])
    )


@pytest.fixture(scope="module")
def flow():
    """Starts, and their ends under 500 calls of the sampler of the highest order."""
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    levels = levels_by("unipc", "karras", 500)
    return x, sampler(SamplerSettings("unipc"))(mixture(), x, levels, no_noise)


# heun's n is of calls; dpm++3m is of second order as published, though not at once, and ipndm wherever the levels are
# not even in σ
@pytest.mark.parametrize(("name", "order", "small", "finest"), [
    ("heun", 2, 3e-2, 161),
    ("ipndm", 2, 3e-3, 161),
    ("dpm++", 2, 1e-2, 161),
    ("dpm++3m", 2, 1e-3, 321),
    ("unipc", 4, 1e-3, 161),
])  # fmt: skip
def test_samplers_near_the_exact_flow_of_a_mixture_at_their_order(flow, name, order, small, finest):
    start, end = flow
    errors = []
    for n in (41, finest // 2 + 1, finest):
        got = sampler(SamplerSettings(name))(mixture(), start, levels_by(name, "karras", n), no_noise)
        errors.append((got - end).square().mean().sqrt().item())
    assert errors[0] < small
    assert math.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.2)


def test_ipndm_nears_fourth_order_where_steps_in_sigma_are_equal(flow):
    start, _ = flow

    def end(name, n):
        sigmas = torch.linspace(20, 0.5, n + 1, dtype=torch.float64)
        levels = torch.cat([-2 * sigmas.log(), torch.tensor([level.CLEAN])])
        return sampler(SamplerSettings(name))(mixture(), start, levels, no_noise)

    exact = end("unipc", 800)
    errors = [(end("ipndm", n) - exact).norm().item() for n in (200, 400)]
    assert math.log2(errors[0] / errors[1]) > 3.4


def test_at_ten_calls_the_new_ones_are_nearer_than_ddim(flow):
    start, end = flow

    def error(name):
        got = sampler(SamplerSettings(name))(mixture(), start, levels_by(name, "logsnr", 10), no_noise)
        return (got - end).norm().item()

    for name in ("ipndm", "dpm++3m", "unipc"):
        assert error(name) < error("ddim") / 3


@pytest.mark.parametrize("name", ["heun", "ipndm", "dpm++3m", "unipc"])
@pytest.mark.parametrize(("n", "off"), [(3, 0.6), (4, 0.5), (30, 0.05)])
def test_pure_noise_is_a_start(name, n, off):
    table = rescaled_to_zero_terminal_snr(schedule("linear", 60))
    levels = levels_by(name, "t", n, table)
    assert levels[0] == level.NOISE
    unit = Denoiser(lambda x, condition: torch.zeros_like(x), "v")  # ideal for N(0, 1): its flow stands still
    end = sampler(SamplerSettings(name))(unit, torch.ones(1, 1, dtype=torch.float64), levels, no_noise)
    assert abs(end.item() - 1) < off
