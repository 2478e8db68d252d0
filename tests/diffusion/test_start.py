"""Where a sampler begins."""

import math

import pytest
import torch

from fromnoise.diffusion import ideal, level
from fromnoise.diffusion.samplers import levels_for, sampler, start
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import SamplerSettings

MEAN = (2.0, -0.5)
TABLE = schedule("cosine", 1000)


def float64(values):
    return torch.tensor(values, dtype=torch.float64)


def noise(n):
    return torch.randn(n, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("logsnr", [-9.0, 0.0, 3.0])
def test_the_start_is_distributed_as_noisy_data_of_that_mean(logsnr):
    x = start(SamplerSettings(), float64(logsnr), noise(20_000), MEAN)
    a, b = math.sqrt(1 / (1 + math.exp(-logsnr))), math.sqrt(1 / (1 + math.exp(logsnr)))
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), a * float64(MEAN), rtol=0, atol=5 * b / math.sqrt(240_000))
    torch.testing.assert_close(x.std(dim=(0, 2, 3)), float64([b, b]), rtol=0.01, atol=0)


def test_the_schedules_own_levels_start_from_the_noise():
    assert torch.equal(start(SamplerSettings(spacing="t"), float64(-9.0), noise(5), MEAN), noise(5))


def test_pure_noise_has_no_mean():
    assert torch.equal(start(SamplerSettings(), float64(level.NOISE), noise(5), MEAN), noise(5))


@pytest.mark.parametrize("spacing", ["karras", "logsnr"])
@pytest.mark.parametrize("name", ["dpm++", "ddim", "heun"])
def test_what_is_drawn_keeps_the_datas_mean_only_from_the_right_start(name, spacing):
    """Data of deviation 0.1 about (2, −0.5): from N(0, I) it ends off by a tenth of that and more."""
    mean = float64(MEAN).reshape(1, 2)
    denoise = ideal.of_mixture(torch.ones(1), mean, 0.01 * torch.eye(2, dtype=torch.float64)[None])
    settings = SamplerSettings(name, 400, spacing, logsnr_range=(-4.0, 12.0))
    levels, no_noise = levels_for(settings, TABLE), torch.zeros(1, 2, dtype=torch.float64)

    def off(x):
        return (sampler(settings)(denoise, x, levels, None) - mean).abs().max().item()

    assert off(start(settings, levels[0], no_noise, MEAN)) < 1e-9
    assert off(no_noise) > 0.01
