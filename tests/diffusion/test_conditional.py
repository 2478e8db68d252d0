"""Data of which a part is known, against Gaussian conditioning worked out by hand."""

import pytest
import torch

from fromnoise.diffusion import level
from fromnoise.diffusion.conditional import Known, given, means, pixels
from fromnoise.diffusion.samplers import SAMPLERS, levels_for
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import SamplerSettings

SHAPE = (1, 2, 4)
MEAN = 0.7
HALF = pixels(torch.tensor([[True, False, True, False], [True, True, False, False]]))
PROJECTIONS = {"pixels": HALF, "means": means}


def float64(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def covariance(randn):
    root = randn(8, 8, seed=3) / 8**0.5
    return root @ root.T + 0.02 * torch.eye(8, dtype=torch.float64)


@pytest.fixture
def denoise(ideal, covariance):
    """The ideal denoiser of N(MEAN, covariance) as one of images."""
    flat = ideal(covariance, MEAN)

    def images(x, logsnr):
        return tuple(part.reshape(x.shape) for part in flat(x.flatten(1), logsnr))

    return images


def matrix(project):
    return project(torch.eye(8, dtype=torch.float64).reshape(8, *SHAPE)).flatten(1)


def seen(project):
    """Orthonormal rows that span what is known."""
    values, vectors = torch.linalg.eigh(matrix(project))
    return vectors[:, values > 0.5].T


def conditional_by_hand(covariance, rows, value, noise):
    """Mean and covariance of N(MEAN, covariance) given rows·x_0 + N(0, noise) = value."""
    gain = covariance @ rows.T @ torch.linalg.inv(rows @ covariance @ rows.T + noise)
    return MEAN + (value - MEAN * rows.sum(1)) @ gain.T, covariance - gain @ rows @ covariance


@pytest.mark.parametrize("name", PROJECTIONS)
def test_what_is_known_is_an_orthogonal_projection(name):
    p = matrix(PROJECTIONS[name])
    torch.testing.assert_close(p @ p, p)
    torch.testing.assert_close(p, p.T)
    assert 0 < p.trace() < 8


@pytest.mark.parametrize("at", [-6.0, 0.0, 4.0])
@pytest.mark.parametrize("name", PROJECTIONS)
def test_the_estimate_is_exact_for_gaussian_data(denoise, covariance, randn, name, at):
    project, x, logsnr = PROJECTIONS[name], randn(5, *SHAPE), float64(at)[0]
    known = Known(project, project(randn(5, *SHAPE, seed=1)))
    x0, eps = given(denoise, known, solves=8)(x, logsnr)
    a, b = level.signal(logsnr), level.noise_scale(logsnr)
    rows = torch.cat([a * torch.eye(8, dtype=torch.float64), seen(project)])
    value = torch.cat([x.flatten(1), known.value.flatten(1) @ seen(project).T], dim=1)
    noise = torch.diag(torch.cat([(b * b).expand(8), torch.full((len(rows) - 8,), 1e-12)]).double())
    exact = conditional_by_hand(covariance, rows, value, noise)[0]
    torch.testing.assert_close(x0.flatten(1), exact, rtol=0, atol=1e-6)
    torch.testing.assert_close(project(x0), known.value, rtol=0, atol=1e-12)
    torch.testing.assert_close(a * x0 + b * eps, x)


def end_of(method, denoise, known_value, project, n):
    """A deterministic sampler with the conditional denoiser as the affine map x ↦ M·x + m."""
    levels = levels_for(SamplerSettings(method, n, "logsnr", logsnr_range=(-12, 12)), schedule("cosine", 1000))
    starts = torch.cat([torch.zeros(1, 8), torch.eye(8)]).double().reshape(9, *SHAPE)
    conditional = given(denoise, Known(project, known_value.expand(9, *SHAPE)), solves=8)
    ends = SAMPLERS[method]()(conditional, starts, levels, lambda k: None).flatten(1)
    return (ends[1:] - ends[0]).T, ends[0]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_samples_approach_the_exact_conditional(denoise, covariance, randn, name):
    project = PROJECTIONS[name]
    value = project(randn(1, *SHAPE, seed=2))
    rows = seen(project)
    mean, exact = conditional_by_hand(covariance, rows, value.flatten(1) @ rows.T, 0.0)
    errors = []
    for n in (20, 40, 80):
        root, offset = end_of("dpm++", denoise, value, project, n)
        torch.testing.assert_close(offset, mean[0], rtol=0, atol=0.02)
        errors.append((root @ root.T - exact).norm() / exact.norm())
    assert errors[2] < 0.01
    assert errors[2] < errors[1] < errors[0]


def test_no_solve_only_replaces_what_is_known_in_the_estimate(denoise, randn):
    x, known, logsnr = randn(2, *SHAPE), Known(HALF, HALF(randn(2, *SHAPE, seed=1))), float64(0.5)[0]
    plain = denoise(x, logsnr)[0]
    torch.testing.assert_close(given(denoise, known, solves=0)(x, logsnr)[0], plain - HALF(plain) + known.value)


@pytest.mark.parametrize("solves", [1, 2, 3])
def test_each_solve_comes_nearer(denoise, randn, solves):
    x, known, logsnr = randn(6, *SHAPE), Known(means, means(randn(6, *SHAPE, seed=1))), float64(-2.0)[0]
    exact = given(denoise, known, solves=8)(x, logsnr)[0]
    far = [(given(denoise, known, solves=s)(x, logsnr)[0] - exact).norm() for s in (solves - 1, solves)]
    assert far[1] < 0.9 * far[0]


def test_what_the_noise_does_not_decide_stays_finite(randn):
    """Data of one point, and pure noise: x̂_0 does not move."""
    point = randn(1, *SHAPE, dtype=torch.float32)
    known = Known(HALF, HALF(randn(3, *SHAPE, seed=1, dtype=torch.float32)))

    def denoise(x, logsnr):
        x0 = point + 0 * x
        return x0, x

    for at in (level.NOISE, -9.0, 6.0):
        x0, eps = given(denoise, known)(randn(3, *SHAPE, seed=2, dtype=torch.float32), float64(at)[0])
        assert x0.dtype == torch.float32
        assert torch.equal(HALF(x0), known.value)
        assert eps.isfinite().all()
