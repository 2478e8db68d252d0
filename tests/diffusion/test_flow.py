"""The flow against closed forms: Gaussian data, whose density and whose map to noise are known."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from fromnoise.diffusion.flow import Flow, slerp, velocity

COVARIANCE = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64)


def every(x):
    """Probes over which the trace is exact: each unit vector times √d."""
    d = x.shape[1]
    return d**0.5 * torch.eye(d, dtype=x.dtype)[:, None].expand(d, *x.shape)


def test_log_density_of_coloured_data_is_exact(ideal, randn):
    x0 = randn(5, 2) * 0.5
    flow = Flow(18.0, -18.0, tolerance=1e-6)
    exact = MultivariateNormal(torch.zeros(2).double(), COVARIANCE).log_prob(x0)
    torch.testing.assert_close(flow.log_prob(ideal(COVARIANCE), x0, every(x0)), exact, rtol=0, atol=1e-5)


def test_probes_are_unbiased(ideal, randn):
    """Over all four sign patterns of two dimensions Hutchinson's estimates average to the exact trace."""
    flow, x0 = Flow(8.0, -8.0, tolerance=1e-6), randn(1, 2)
    exact = flow.log_prob(ideal(COVARIANCE), x0, every(x0))
    signs = [torch.tensor([[[a, b]]]).double() for a in (-1, 1) for b in (-1, 1)]
    singles = torch.stack([flow.log_prob(ideal(COVARIANCE), x0, sign) for sign in signs])
    torch.testing.assert_close(singles.mean(dim=0), exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(flow.log_prob(ideal(COVARIANCE), x0, torch.cat(signs)), exact, rtol=0, atol=1e-4)
    assert singles.std() > 0.01


def test_encode_is_the_linear_map_of_gaussian_data_and_decode_undoes_it(ideal, randn):
    """Along the flow x/√(a²s² + b²) stays what it is."""
    flow, s2, x = Flow(9.0, -9.0, tolerance=1e-8), 0.25, randn(6, 3)
    denoise = ideal(s2 * torch.eye(3, dtype=torch.float64))
    z = flow.encode(denoise, x)
    deviation = [math.sqrt((s2 * math.exp(at) + 1) / (math.exp(at) + 1)) for at in (9.0, -9.0)]
    torch.testing.assert_close(z / deviation[1], x / deviation[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(flow.decode(denoise, z), x, rtol=1e-5, atol=0)


@pytest.mark.parametrize("variance", [0.25, 1.0])
def test_negative_log_likelihood_nears_the_exact_one_as_the_clearest_level_rises(ideal, randn, variance):
    denoise = ideal(variance * torch.eye(1, dtype=torch.float64))
    x0, noise = randn(4000, 1) * variance**0.5, randn(4000, 1, seed=1)
    exact = (x0[:, 0] ** 2 / variance + math.log(2 * math.pi * variance)) / 2
    gaps = []
    for clearest in (2.0, 4.0, 6.0):
        flow = Flow(clearest, -16.0, tolerance=1e-6)
        gaps.append(float((flow.negative_log_likelihood(denoise, x0, noise, every(x0), pixel=None) - exact).mean()))
    # What is short is the divergence of the true q(x_0|x_1) from a normal of variance 1 − α_1.
    for clearest, gap in zip((2.0, 4.0, 6.0), gaps, strict=True):
        a2, b2 = 1 / (1 + math.exp(-clearest)), 1 / (1 + math.exp(clearest))
        ratio = variance / (a2 * variance + b2)
        assert gap == pytest.approx((ratio - 1 - math.log(ratio)) / 2, abs=0.01)
    assert abs(gaps[-1]) < 0.01


def test_images_keep_their_shape_and_type(ideal, randn):
    flow = Flow(6.0, -6.0, tolerance=1e-4)
    x = randn(2, 1, 4, 4, dtype=torch.float32)
    denoise = lambda x, at: (x * 0, x * torch.sigmoid(-at).sqrt().float())  # noqa: E731 - data of unit deviation
    z = flow.encode(denoise, x)
    assert z.shape == x.shape
    assert z.dtype == torch.float32
    probes = torch.ones(1, 2, 1, 4, 4)
    assert flow.log_prob(denoise, x, probes).shape == (2,)


def test_velocity_vanishes_for_white_data(ideal, randn):
    x = randn(3, 2)
    for at in (-5.0, 0.0, 5.0):
        speed = velocity(ideal(torch.eye(2, dtype=torch.float64)), x, torch.tensor(at).double())
        torch.testing.assert_close(speed, torch.zeros_like(x), rtol=0, atol=1e-12)


def test_slerp_keeps_the_length_and_ends_where_it_should(randn):
    one, other = randn(2, 1000)
    other = other * one.norm() / other.norm()
    torch.testing.assert_close(slerp(one, other, 0.0), one)
    torch.testing.assert_close(slerp(one, other, 1.0), other)
    for weight in (0.25, 0.5, 0.75):
        assert slerp(one, other, weight).norm() == pytest.approx(float(one.norm()), rel=1e-9)
    torch.testing.assert_close(slerp(one, one, 0.3), one)
