"""Notebook 1: densities and draws of Gaussians."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.lab.checking import Finding, checked, close, shaped
from fromnoise.probability.gaussian import Gaussian

MEAN = torch.tensor([1.0, -2.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[5.0, 3.0], [3.0, 4.0]], dtype=torch.float64)
SOLID = torch.tensor([[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]], dtype=torch.float64)
DRAWS = 20_000


def moments(x: Tensor, mean: Tensor, covariance: Tensor) -> Iterator[Finding]:
    """Findings on draws m×n that should have this mean and covariance, five standard errors allowed."""
    error = (covariance.diagonal() / len(x)).sqrt()
    found = ", ".join(f"{value:.2f}" for value in x.mean(dim=0).tolist())
    right = bool(((x.mean(dim=0) - mean).abs() < 5 * error).all())
    wanted = ", ".join(f"{value:g}" for value in mean.tolist())
    yield Finding(right, "the draws have the right mean", f"the draws have mean ({found}), not ({wanted})")
    spread = covariance.diagonal()
    error = ((spread[:, None] * spread + covariance**2) / len(x)).sqrt()
    off = (x.T.cov().reshape(covariance.shape) - covariance).abs()
    measured = [[round(entry, 2) for entry in row] for row in x.T.cov().reshape(covariance.shape).tolist()]
    yield Finding(
        bool((off < 5 * error).all()),
        "the draws have the right covariance",
        f"the covariance of the draws is {measured}, not {covariance.tolist()}: which factor of C multiplies the "
        "noise, and from which side?",
    )


@checked("task 1")
def task1(density: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Iterator[Finding]:
    """density(x, mean, covariance): N×n → N; draw(mean, covariance, m, generator): m×n."""
    generator = torch.Generator().manual_seed(1)
    standard = Gaussian.standard(2)
    x = 2 * torch.randn(50, 2, dtype=torch.float64, generator=generator)
    found = density(x, standard.mean, standard.covariance)
    yield shaped(found, (50,), "one density for each point", "50 points give")
    right = close(found, standard.log_prob(x).exp(), 1e-5)
    peak = density(torch.zeros(1, 2, dtype=torch.float64), standard.mean, standard.covariance).item()
    yield Finding(
        right,
        "the density of N(0, I)",
        f"N(0, I) in the plane has density 1/2π = 0.159 at 0, yours {peak:.3f}; is the exponent −½‖x − μ‖²?",
    )
    gaussian = Gaussian(MEAN, COVARIANCE)
    axes = torch.arange(-16, 16.001, 0.25, dtype=torch.float64)
    values = density(torch.cartesian_prod(axes, axes) + MEAN, MEAN, COVARIANCE)
    mass = float(values.sum()) * 0.25**2
    yield Finding(
        abs(mass - 1) < 1e-3,
        "a coloured density integrates to one",
        f"with C = {COVARIANCE.tolist()} your density integrates to {mass:.3f}: look at C⁻¹ and at det^½(C) in (3)",
    )
    yield Finding(
        close(density(x, MEAN, COVARIANCE), gaussian.log_prob(x).exp(), 1e-5),
        "a coloured density",
        "it integrates to one, but is not (3): is the mean subtracted from x, and the whole of C⁻¹ used?",
    )
    cube = Gaussian(torch.ones(3, dtype=torch.float64), SOLID)
    x = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    yield Finding(
        close(density(x, cube.mean, cube.covariance), cube.log_prob(x).exp(), 1e-5),
        "in three dimensions too",
        "right in the plane, but not in three dimensions: the first factor of (3) is (2π)^{n/2}",
    )
    again = [draw(MEAN, COVARIANCE, 3, torch.Generator().manual_seed(5)) for _ in range(2)]
    yield Finding(
        torch.equal(*again),
        "the generator decides the draws",
        "the same seed gives different draws: hand `generator` to torch.randn",
    )
    drawn = draw(MEAN, COVARIANCE, DRAWS, generator)
    yield shaped(drawn, (DRAWS, 2), "m draws in the plane", f"{DRAWS} draws have")
    drawn = drawn.double()
    yield from moments(drawn, MEAN, COVARIANCE)
    off = torch.linalg.solve(torch.linalg.cholesky(COVARIANCE), (drawn - MEAN).T)
    inside = float((off.square().sum(dim=0) < 1).double().mean())
    share = 1 - math.exp(-0.5)
    yield Finding(
        abs(inside - share) < 5 * math.sqrt(share * (1 - share) / DRAWS),
        "as many draws within one deviation as for a Gaussian",
        f"{inside:.1%} of the draws lie within one deviation, {share:.1%} of a Gaussian's: is the noise normal?",
    )


@checked("exercise 1.1")
def exercise_1_1(within: Callable[..., float]) -> Iterator[Finding]:
    """within(n, radius, m, generator): the share of m draws of N(0, I) in n dimensions nearer to 0 than radius."""
    generator = torch.Generator().manual_seed(2)
    for n, radius in ((1, 2.0), (2, 2.0), (2, 1.0), (10, 2.0), (10, 3.5)):
        share = float(torch.special.gammainc(torch.tensor(n / 2), torch.tensor(radius**2 / 2)))
        found = float(within(n, radius, DRAWS, generator))
        yield Finding(
            abs(found - share) < 5 * math.sqrt(share * (1 - share) / DRAWS) + 1e-4,
            f"n = {n}, radius {radius:g}: {share:.1%}",
            f"n = {n}, radius {radius:g}: {found:.1%} counted, {share:.1%} in theory; the distance of a point is the "
            "root of the sum of its n squares",
        )


@checked("exercise 1.2")
def exercise_1_2(root: Callable[[Tensor], Tensor]) -> Iterator[Finding]:
    """root(covariance): R with R·Rᵀ = C, not the Cholesky factor."""
    for covariance in (COVARIANCE, SOLID):
        found = root(covariance.clone()).double()
        n = len(covariance)
        yield shaped(found, (n, n), f"a matrix of {n}×{n}", "R has")
        square = [[round(entry, 2) for entry in row] for row in (found @ found.T).tolist()]
        yield Finding(
            close(found @ found.T, covariance),
            "R·Rᵀ = C",
            f"R·Rᵀ = {square}, not {covariance.tolist()}: Λ must be under a root, and on the right of V",
        )
        yield Finding(
            not close(found.abs(), torch.linalg.cholesky(covariance).abs()),
            "it is not the Cholesky factor",
            "this is the Cholesky factor again: build one from the eigenvectors",
        )


@checked("exercise 1.3")
def exercise_1_3(conditional: Callable[..., tuple[float, float]]) -> Iterator[Finding]:
    """conditional(mean, covariance, x1): mean and variance of x₂ given x₁."""
    generator = torch.Generator().manual_seed(3)
    for mean, covariance, x1 in (
        (torch.zeros(2, dtype=torch.float64), torch.tensor([[20.0, 16.0], [16.0, 20.0]], dtype=torch.float64), 3.0),
        (MEAN, COVARIANCE, -0.5),
    ):
        centre, variance = (float(value) for value in conditional(mean, covariance, x1))
        drawn = Gaussian(mean, covariance).sample(400_000, generator)
        near = drawn[(drawn[:, 0] - x1).abs() < 0.05, 1]
        counted = f"; {len(near):,} draws with x₁ near {x1:g} have"
        right_mean, right_variance = float(near.mean()), float(near.var())
        error = math.sqrt(right_variance / len(near))
        yield Finding(
            abs(centre - right_mean) < 5 * error + 0.01,
            f"the mean of x₂ given x₁ = {x1:g}",
            f"your mean of x₂ is {centre:.3f}{counted} mean {right_mean:.3f}: x₁ moves x₂ by σ₁₂/σ₁₁² for each unit "
            "that it is off its own mean",
        )
        yield Finding(
            abs(variance - right_variance) < 5 * right_variance * math.sqrt(2 / len(near)) + 0.01,
            f"the variance of x₂ given x₁ = {x1:g}",
            f"your variance of x₂ is {variance:.3f}{counted} variance {right_variance:.3f}: knowing x₁ takes away "
            "σ₁₂²/σ₁₁², wherever x₁ lies",
        )
