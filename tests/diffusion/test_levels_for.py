"""Which levels a sampler visits."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from fromnoise.diffusion import level
from fromnoise.diffusion.samplers import levels_for, sampler
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import DDIM, Ancestral
from fromnoise.errors import UserError

TABLE = schedule("linear", 60)


def float64(values):
    return torch.tensor(values, dtype=torch.float64)


def levels_by(spacing, n, table=TABLE, noisiest=level.NOISE, **more):
    return levels_for(SamplerSettings(sampling_steps=n, spacing=spacing, **more), table, noisiest)


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_levels_are_one_more_than_the_steps_and_rise_to_clean_data(spacing, n):
    levels = levels_by(spacing, n)
    assert levels.dtype == torch.float64
    assert levels.shape == (n + 1,)
    assert levels[-1] == level.CLEAN
    assert (levels.diff() > 0).all()


def test_spacing_t_starts_at_the_last_step_and_is_diffusers_trailing():
    table = schedule("cosine", 1000)
    for n in (1, 3, 7, 20, 333, 999, 1000):
        theirs = DDPMScheduler(1000, timestep_spacing="trailing")
        theirs.set_timesteps(n)
        t = theirs.timesteps[:n] + 1
        assert t[0] == 1000
        assert torch.equal(levels_by("t", n, table)[:-1], table.logsnr[t])


def test_spacing_logsnr_is_even_between_its_ends():
    expected = float64([-9.0, -4.25, 0.5, 5.25, 10.0])
    levels = levels_by("logsnr", 5, logsnr_range=(-9.0, 10.0))
    torch.testing.assert_close(levels[:-1], expected, rtol=0, atol=1e-13)


def test_spacing_karras_is_that_of_edm():
    n, (highest, lowest) = 9, (math.exp(4.5), math.exp(-3))
    sigmas = [(highest ** (1 / 7) + i / (n - 1) * (lowest ** (1 / 7) - highest ** (1 / 7))) ** 7 for i in range(n)]
    expected = float64([-2 * math.log(sigma) for sigma in sigmas])
    torch.testing.assert_close(levels_by("karras", n)[:-1], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
def test_fewer_than_one_step_is_refused(spacing):
    for n in (0, -3):
        with pytest.raises(UserError, match=f"not {n}"):
            levels_by(spacing, n)


@pytest.mark.parametrize("ends", [(6.0, -9.0), (1.0, 1.0), (math.nan, 6.0), (-9.0, math.inf), (-31.0, 6.0)])
@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
def test_a_range_that_is_none_is_refused(spacing, ends):
    with pytest.raises(UserError, match=r"--logsnr-range.*lower λ first"):
        levels_by(spacing, 5, logsnr_range=ends)


@pytest.mark.parametrize("calls", [8, 9])
def test_from_a_level_on_the_schedules_own_are_left_and_heun_visits_the_first_of_them_once(calls):
    whole = levels_by("t", calls, sampler="heun")
    assert levels_by("t", calls, sampler="heun", noisiest=1.0).tolist() == whole[whole >= 1].tolist()[1:]


@pytest.mark.parametrize("spacing", ["logsnr", "karras"])
def test_from_a_level_on_others_are_as_many_as_from_noise(spacing):
    left = levels_by(spacing, 5, noisiest=-2.0)
    assert left.tolist() == pytest.approx(levels_by(spacing, 5, logsnr_range=(-2.0, 6.0)).tolist())
    assert levels_by(spacing, 5, noisiest=7.0).tolist() == [level.CLEAN]


def test_more_steps_than_the_schedule_has_are_refused():
    with pytest.raises(UserError, match=r"60 steps.* 61"):
        levels_by("t", 61)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: levels_by("cosine", 5), "'cosine'.*karras, logsnr, t"),
        (lambda: sampler(SamplerSettings("euler")), "'euler'.*ancestral, ddim, heun, ipndm, dpm"),
        (lambda: Ancestral("learned"), "'learned'.*posterior, forward"),
        (lambda: DDIM(1.5), "eta.*1.5"),
        (lambda: DDIM(-0.1), "eta.*-0.1"),
    ],
)
def test_unknown_names_and_a_wrong_eta_are_refused_before_any_work(call, message):
    with pytest.raises(UserError, match=message):
        call()
