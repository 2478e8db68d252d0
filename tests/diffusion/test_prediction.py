import math

import pytest
import torch

from fromnoise.diffusion import forward, prediction
from fromnoise.errors import UserError

LEVELS = torch.tensor([-8.0, -2.0, 0.0, 1.5, 8.0], dtype=torch.float64)


@pytest.mark.parametrize("kind", list(prediction.TO_PAIR))
def test_the_target_and_back_is_the_pair_itself(randn, kind):
    x0, noise = randn(5, 1, 2, 2), randn(5, 1, 2, 2, seed=1)
    x = forward.jump(x0, noise, LEVELS)
    pair = prediction.to_pair(kind, prediction.target(kind, x0, noise, LEVELS), x, LEVELS)
    torch.testing.assert_close(pair, (x0, noise), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", list(prediction.TO_PAIR))
def test_the_pair_and_back_is_the_prediction_itself(randn, kind):
    output, x = randn(5, 3), randn(5, 3, seed=1)
    x0, noise = prediction.to_pair(kind, output, x, LEVELS)
    torch.testing.assert_close(prediction.target(kind, x0, noise, LEVELS), output, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", list(prediction.TO_PAIR))
def test_any_pair_makes_up_the_noisy_data(randn, kind):
    output, x = randn(5, 3), randn(5, 3, seed=1)
    pair = prediction.to_pair(kind, output, x, LEVELS)
    torch.testing.assert_close(forward.jump(*pair, LEVELS), x, rtol=0, atol=1e-13)


def test_v_is_the_derivative_of_the_noisy_data_along_the_circle(randn):
    # With a = cos φ, b = sin φ, v = dx/dφ (Salimans & Ho 2022).
    x0, noise = randn(1, 3), randn(1, 3, seed=1)
    angle, h = 0.7, 1e-5

    def logsnr(phi):
        return torch.tensor([-2 * math.log(math.tan(phi))], dtype=torch.float64)

    ahead, behind = (forward.jump(x0, noise, logsnr(angle + sign * h)) for sign in (1, -1))
    v = prediction.target("v", x0, noise, logsnr(angle))
    torch.testing.assert_close(v, (ahead - behind) / (2 * h), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("kind", "at"), [("v", math.inf), ("v", -math.inf), ("x0", -math.inf), ("eps", math.inf)])
def test_the_ends_are_exact_where_they_are_defined(randn, kind, at):
    x0, noise = randn(2, 3), randn(2, 3, seed=1)
    logsnr = torch.tensor([at], dtype=torch.float64)
    output = prediction.target(kind, x0, noise, logsnr)
    pair = prediction.to_pair(kind, output, forward.jump(x0, noise, logsnr), logsnr)
    assert torch.equal(pair[0], x0)
    assert torch.equal(pair[1], noise)


@pytest.mark.parametrize(("kind", "at", "undefined"), [("eps", -math.inf, 0), ("x0", math.inf, 1)])
def test_where_a_prediction_says_nothing_the_result_is_not_finite(randn, kind, at, undefined):
    logsnr = torch.tensor([at], dtype=torch.float64)
    pair = prediction.to_pair(kind, randn(2, 3), randn(2, 3, seed=1), logsnr)
    assert not pair[undefined].isfinite().any()


def test_an_unknown_prediction_is_refused_and_the_known_ones_listed(randn):
    x = randn(5, 3)
    for call in (prediction.to_pair, prediction.target):
        with pytest.raises(UserError, match=r"'score'.*eps, x0, v"):
            call("score", x, x, LEVELS)
