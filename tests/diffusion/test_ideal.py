"""Ideal denoisers against the linear one, against integrals over x_0, and against the density's own gradient."""

import pytest
import torch

from fromnoise.diffusion import forward, ideal, level
from fromnoise.probability.mixture import Mixture


def float64(values):
    return torch.tensor(values, dtype=torch.float64)


WEIGHTS = float64([0.5, 0.2, 0.3])
MEANS = float64([[0.0, 0.4], [1.5, -1.0], [-1.2, -0.8]])
COVARIANCES = float64([[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.4]], [[0.2, -0.15], [-0.15, 0.25]]])
LEVELS = float64([-8.0, -2.0, 0.0, 1.5, 4.0, 9.0])
COLOURED = float64([[2.0, 1.2, 0.1], [1.2, 1.0, -0.2], [0.1, -0.2, 0.3]])


def of_mixture():
    return ideal.of_mixture(WEIGHTS, MEANS, COVARIANCES)


def noisy_mixture(logsnr):
    a, b2 = level.signal(logsnr), level.noise_scale(logsnr) ** 2
    return Mixture(WEIGHTS, a * MEANS, a**2 * COVARIANCES + b2 * torch.eye(2).double())


@pytest.mark.parametrize("logsnr", LEVELS)
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_one_component_is_the_linear_denoiser_of_gaussian_data(ideal_of, randn, mean, logsnr):
    one = ideal.of_mixture(torch.ones(1), torch.full((1, 3), mean), COLOURED[None])
    x = randn(20, 3) * 2
    for got, wanted in zip(one(x, logsnr), ideal_of(COLOURED, mean)(x, logsnr), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-11)


@pytest.fixture
def ideal_of(ideal):
    """conftest's oracle, by a name that is not the module's."""
    return ideal


def test_components_that_are_all_alike_count_as_one(ideal_of, randn):
    three = ideal.of_mixture(WEIGHTS, torch.zeros(3, 3), COLOURED.expand(3, 3, 3))
    x = randn(20, 3)
    for got, wanted in zip(three(x, LEVELS[2]), ideal_of(COLOURED)(x, LEVELS[2]), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("logsnr", LEVELS[:5])
def test_a_mixtures_estimates_are_integrals_over_the_data(randn, logsnr):
    axis = torch.linspace(-5, 5, 801, dtype=torch.float64)
    x0 = torch.cartesian_prod(axis, axis)
    prior = Mixture(WEIGHTS, MEANS, COVARIANCES).log_prob(x0)
    a, b = torch.sigmoid(logsnr) ** 0.5, torch.sigmoid(-logsnr) ** 0.5
    x = a * MEANS[[0, 1, 2, 0]] + 0.7 * randn(4, 2)
    for row, got_x0, got_noise in zip(x, *of_mixture()(x, logsnr), strict=True):
        noise = (row - a * x0) / b
        posterior = (prior - noise.square().sum(dim=1) / 2).softmax(dim=0)
        torch.testing.assert_close(got_x0, posterior @ x0, rtol=0, atol=1e-8)
        torch.testing.assert_close(got_noise, posterior @ noise, rtol=0, atol=1e-8)


@pytest.mark.parametrize("logsnr", LEVELS)
def test_the_score_is_the_gradient_of_the_noisy_log_density(randn, logsnr):
    x = (randn(30, 2) * 1.5).requires_grad_()
    (wanted,) = torch.autograd.grad(noisy_mixture(logsnr).log_prob(x).sum(), x)
    torch.testing.assert_close(ideal.score(of_mixture())(x.detach(), logsnr), wanted, rtol=1e-9, atol=1e-9)


def test_the_estimates_leave_nothing_to_learn():
    """The residuals x_0 − E[x_0|x] and ε − E[ε|x] do not correlate with anything that x tells."""
    generator = torch.Generator().manual_seed(0)
    x0 = Mixture(WEIGHTS, MEANS, COVARIANCES).sample(100_000, generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    logsnr = torch.rand(len(x0), generator=generator, dtype=torch.float64) * 8 - 4
    x = forward.jump(x0, noise, logsnr)
    for truth, estimate in zip((x0, noise), of_mixture()(x, logsnr), strict=True):
        for told in (torch.ones_like(x), x, x.square(), x.sin() * logsnr[:, None]):
            products = (truth - estimate) * told
            assert (products.mean(dim=0).abs() < 4.5 * products.std(dim=0) / len(x) ** 0.5).all()


POINTS = float64([[0.3, 0.1], [-1.0, 0.8], [0.5, -1.4], [2.0, 2.0], [0.35, 0.15]])


@pytest.mark.parametrize("logsnr", LEVELS)
def test_points_are_a_mixture_of_very_narrow_gaussians(randn, logsnr):
    narrow = ideal.of_mixture(torch.full((5,), 0.2), POINTS, 1e-13 * torch.eye(2).double().expand(5, 2, 2))
    x = forward.jump(POINTS.repeat(4, 1), randn(20, 2), logsnr)
    for got, wanted in zip(ideal.of_points(POINTS)(x, logsnr), narrow(x, logsnr), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-7, atol=1e-7)


def test_with_little_noise_points_are_memorised_and_the_noise_is_known(randn):
    logsnr, noise = float64(20.0), randn(5, 2)
    x0, eps = ideal.of_points(POINTS)(forward.jump(POINTS, noise, logsnr), logsnr)
    torch.testing.assert_close(x0, POINTS, rtol=0, atol=1e-15)
    torch.testing.assert_close(eps, noise, rtol=0, atol=1e-10)


def test_little_noise_on_images_does_not_cancel(randn):
    """‖x‖² − 2a·x·x_i + a²‖x_i‖² would have lost the noise of these levels, 1e-15 of the images' own square."""
    images = randn(3, 1, 32, 32)
    images[1] = images[0] + 1e-7 * randn(1, 32, 32, seed=1)
    x0, _ = ideal.of_points(images)(forward.jump(images, randn(3, 1, 32, 32, seed=2), float64(35.0)), float64(35.0))
    torch.testing.assert_close(x0, images, rtol=0, atol=1e-12)


def test_points_of_any_shape_are_flat_ones(randn):
    images, x = randn(7, 2, 3, 4), randn(5, 2, 3, 4, seed=1)
    shaped = ideal.of_points(images)(x, LEVELS[1])
    flat = ideal.of_points(images.flatten(1))(x.flatten(1), LEVELS[1])
    for one, other in zip(shaped, flat, strict=True):
        assert one.shape == x.shape
        assert torch.equal(one.flatten(1), other)


def test_points_in_parts_are_the_same(randn, monkeypatch):
    points, x = randn(50, 2), randn(23, 2, seed=1)
    levels = torch.linspace(-9, 9, 23, dtype=torch.float64)
    whole = ideal.of_points(points)(x, levels)
    monkeypatch.setattr(ideal, "ENTRIES", 200)  # four rows at once, and one where there are more points than that
    for one, other in zip(whole, ideal.of_points(points)(x, levels), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)
    monkeypatch.setattr(ideal, "ENTRIES", 10)
    for one, other in zip(whole, ideal.of_points(points)(x, levels), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


MAKERS = {"mixture": of_mixture, "points": lambda: ideal.of_points(POINTS)}
DATA_MEAN = {"mixture": WEIGHTS @ MEANS, "points": POINTS.mean(dim=0)}


@pytest.fixture(params=MAKERS)
def kind(request):
    return request.param


def test_x_is_made_of_the_two_estimates(randn, kind):
    x, levels = randn(6, 2), LEVELS
    torch.testing.assert_close(forward.jump(*MAKERS[kind]()(x, levels), levels), x, rtol=0, atol=1e-12)


def test_one_level_for_each_row_is_the_same_as_row_by_row(randn, kind):
    denoise, x, levels = MAKERS[kind](), randn(8, 2), torch.cat([LEVELS, float64([level.CLEAN, level.NOISE])])
    together = denoise(x, levels)
    for k in range(8):
        for estimate, alone in zip(together, denoise(x[k : k + 1], levels[k]), strict=True):
            torch.testing.assert_close(estimate[k : k + 1], alone, rtol=1e-12, atol=1e-12)
        for estimate, alone in zip(together, denoise(x[k : k + 1], levels[k : k + 1]), strict=True):
            torch.testing.assert_close(estimate[k : k + 1], alone, rtol=1e-12, atol=1e-12)


def test_pure_noise_tells_nothing_of_the_data(randn, kind):
    x = randn(4, 2)
    x0, noise = MAKERS[kind]()(x, float64(level.NOISE))
    torch.testing.assert_close(x0, DATA_MEAN[kind].expand(4, 2), rtol=0, atol=1e-14)
    torch.testing.assert_close(noise, x, rtol=0, atol=1e-14)


def test_clean_data_is_known_and_tells_nothing_of_the_noise(kind):
    x = POINTS[[1, 0, 0, 4]]
    x0, noise = MAKERS[kind]()(x, float64(level.CLEAN))
    torch.testing.assert_close(x0, x, rtol=0, atol=1e-14)
    assert (noise == 0).all()


@pytest.mark.parametrize("ends", [(-1500.0, level.NOISE), (-60.0, level.NOISE), (60.0, level.CLEAN)])
def test_both_ends_are_approached(randn, kind, ends):
    denoise = MAKERS[kind]()
    x = POINTS if ends[1] == level.CLEAN else randn(5, 2)
    for near, end in zip(*(denoise(x, float64(at)) for at in ends), strict=True):
        torch.testing.assert_close(near, end, rtol=0, atol=1e-5)


def test_the_estimates_have_the_type_of_x_and_are_computed_in_float64(randn, kind):
    denoise, x = MAKERS[kind](), randn(4, 2).float()
    for single, double in zip(denoise(x, LEVELS[3]), denoise(x.double(), LEVELS[3]), strict=True):
        assert single.dtype == torch.float32
        assert torch.equal(single, double.float())


def test_what_has_no_denoiser_is_a_clear_error():
    with pytest.raises(ValueError, match="at least one point"):
        ideal.of_points(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="at least one point"):
        ideal.of_points(torch.zeros(3))
    with pytest.raises(ValueError, match="sum to 1"):
        ideal.of_mixture(torch.ones(2), torch.zeros(2, 1), torch.ones(2, 1, 1))
    with pytest.raises(ValueError, match="2 numbers"):
        of_mixture()(torch.zeros(4, 3), LEVELS[0])
