import math

import pytest
import torch

from fromnoise.diffusion import level

LEVELS = torch.linspace(-25, 25, 101, dtype=torch.float64)


def test_squared_scales_sum_to_one_and_their_log_ratio_is_the_level():
    a, b = level.signal(LEVELS), level.noise_scale(LEVELS)
    torch.testing.assert_close(a**2 + b**2, torch.ones_like(a), rtol=0, atol=1e-15)
    torch.testing.assert_close(2 * (a.log() - b.log()), LEVELS, rtol=0, atol=1e-13)


def test_both_ends_are_exact():
    ends = torch.tensor([level.CLEAN, level.NOISE], dtype=torch.float64)
    assert level.signal(ends).tolist() == [1, 0]
    assert level.noise_scale(ends).tolist() == [0, 1]
    assert level.log_alpha_bar(ends).tolist() == [0, -math.inf]


def test_log_alpha_bar_undoes_the_log_odds():
    alpha_bar = torch.tensor([1e-6, 0.1, 0.5, 0.98, 0.9999], dtype=torch.float64)
    torch.testing.assert_close(level.log_alpha_bar(torch.logit(alpha_bar)).exp(), alpha_bar, rtol=1e-13, atol=0)


def test_alpha_between_two_levels_is_the_ratio_of_their_alpha_bars():
    clearer, noisier = torch.tensor([5.0, 0.0], dtype=torch.float64), torch.tensor([-1.0, -3.0], dtype=torch.float64)
    ratio = (1 + torch.exp(-clearer)) / (1 + torch.exp(-noisier))
    torch.testing.assert_close(level.alpha_between(clearer, noisier), ratio, rtol=1e-14, atol=0)
    torch.testing.assert_close(level.variance_between(clearer, noisier), 1 - ratio, rtol=1e-13, atol=0)


@pytest.mark.parametrize("at", [-20.0, 0.0, 20.0])
def test_variance_between_near_levels_does_not_cancel(at):
    step = 2.0**-20
    noisier = torch.tensor(at, dtype=torch.float64)
    # d log ᾱ/dλ = 1 − ᾱ, taken half way
    expected = -math.expm1(-step / (1 + math.exp(at + step / 2)))
    got = level.variance_between(noisier + step, noisier).item()
    assert got == pytest.approx(expected, rel=1e-8, abs=0)


def test_nothing_is_between_a_level_and_itself_and_everything_between_clean_and_pure_noise():
    clean, noise = (torch.tensor(end, dtype=torch.float64) for end in (level.CLEAN, level.NOISE))
    assert (level.variance_between(LEVELS, LEVELS) == 0).all()
    assert level.variance_between(clean, noise) == 1
    assert level.alpha_between(clean, noise) == 0


def test_expand_shapes_and_types_coefficients_for_the_data():
    like = torch.zeros(3, 1, 4, 5)
    rows, one = torch.arange(3, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    assert level.expand(rows, like).shape == (3, 1, 1, 1)
    assert level.expand(one, like).shape == (1, 1, 1, 1)
    assert level.expand(rows, torch.zeros(3)).shape == (3,)
    assert level.expand(rows, like).dtype == torch.float32
    assert (level.expand(rows, like) + like)[2].unique().item() == 2
