"""Notebook 4: the walk, the end of a schedule, the step down, the denoiser that memorises."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.diffusion import ideal
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule
from fromnoise.lab.checking import Finding, checked, close, shaped

Level = tuple[Tensor, Tensor]


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@checked("exercise 4.1")
def exercise_4_1(walk_variance: Callable[[Tensor], Tensor]) -> Iterator[Finding]:
    """walk_variance(alphas): T + 1 → T + 1."""
    table = schedule("cosine", 40)
    found = torch.as_tensor(walk_variance(table.alphas)).double()
    given = "T + 1 = 41 coefficients, t = 0 among them, give"
    yield shaped(found, (41,), "a variance for each t from 0 to T", given)
    yield Finding(
        abs(float(found[0])) < 1e-12,
        "clean data does not vary",
        f"at t = 0 nothing was added yet, yours is {found[0]:.4g}",
    )
    right = 1 - table.alphas_cumprod
    yield Finding(
        abs(float(found[1] - right[1])) < 1e-6,
        "the first step adds 1 − α₁",
        f"after one step the variance is 1 − α₁ = {right[1]:.4g}, yours is {found[1]:.4g}",
    )
    yield Finding(
        close(found, right, 1e-6),
        "the walk's variance is 1 − ᾱ_t",
        "from the second step on it is off: a step multiplies x by √α, and so its variance by α, before it adds 1 − α",
    )


@checked("exercise 4.3")
def exercise_4_3(zero_terminal: Callable[[Tensor], Tensor]) -> Iterator[Finding]:
    """zero_terminal(alphas_cumprod): T + 1 → T + 1."""
    table = schedule("linear", 500)
    before = table.alphas_cumprod
    found = torch.as_tensor(zero_terminal(before.clone())).double()
    yield shaped(found, (501,), "T + 1 entries", "501 entries give")
    yield Finding(
        abs(float(found[0] - 1)) < 1e-12, "entry 0 is still clean data", f"entry 0 is ᾱ_0 = 1, yours is {found[0]:.6f}"
    )
    yield Finding(abs(float(found[-1])) < 1e-12, "no data is left at T", f"ᾱ_T should be 0, yours is {found[-1]:.3g}")
    yield Finding(
        abs(float(found[1] - before[1])) < 1e-6,
        "ᾱ₁ stayed",
        f"ᾱ₁ was {before[1]:.6f} and is {found[1]:.6f}: after the shift, scale by √ᾱ₁/(√ᾱ₁ − √ᾱ_T)",
    )
    yield Finding(
        close(found, rescaled_to_zero_terminal_snr(table).alphas_cumprod, 1e-6),
        "in between too",
        "both ends are right, the middle is not: shift and scale the roots √ᾱ, and square them at the end",
    )


@checked("exercise 4.4")
def exercise_4_4(step_down: Callable[..., Tensor]) -> Iterator[Finding]:
    """step_down(x, noise, (a, b), (a, b), eta, z): like x."""
    table = schedule("linear", 500)
    a, b = table.alphas_cumprod.sqrt(), (1 - table.alphas_cumprod).sqrt()
    x0, noise, z = (_normal((3, 2), seed) for seed in (0, 1, 2))

    def level(t: int) -> Level:
        return a[t], b[t]

    x = a[300] * x0 + b[300] * noise
    yield Finding(
        close(step_down(x, noise, level(300), level(120), 0.0, z), a[120] * x0 + b[120] * noise, 1e-9),
        "η = 0: the same data and the same noise at the new level",
        "with η = 0 the result is a_s·x̂_0 + b_s·ε̂, without z: is x̂_0 = (x − b_t·ε̂)/a_t?",
    )
    yield Finding(
        close(step_down(x, noise, level(300), level(0), 1.0, z), x0, 1e-9),
        "the last step adds no noise",
        "down to clean data (b_s = 0) the result is x̂_0 whatever η: σ_q² has a factor b_s²",
    )
    near = step_down(x, noise, level(300), level(299), 1.0, 0 * z)
    mean = (x - (1 - table.alphas[300]) / b[300] * noise) / table.alphas[300].sqrt()
    yield Finding(
        close(near, mean, 1e-9),
        "η = 1 between neighbours has the mean (32)",
        "with η = 1, s = t − 1 and z = 0 the result should be (32): what is left of ε̂ beside σ? √(b_s² − σ²)",
    )
    shift = step_down(x, noise, level(300), level(299), 1.0, z) - near
    yield Finding(
        close(shift, table.posterior_variance[300].sqrt() * z, 1e-9),
        "η = 1 between neighbours adds σ_q·z",
        f"z is multiplied by {float((shift / z).mean()):.4f}, not by σ_q = {table.posterior_variance[300].sqrt():.4f}: "
        "the variance is (30), and z takes its root",
    )
    far = step_down(x, noise, level(300), level(120), 0.5, z)
    sigma = 0.5 * ((1 - a[300] ** 2 / a[120] ** 2) * b[120] ** 2 / b[300] ** 2).sqrt()
    right = a[120] * x0 + (b[120] ** 2 - sigma**2).sqrt() * noise + sigma * z
    yield Finding(
        close(far, right, 1e-9),
        "between, over many steps",
        "η = ½ from t = 300 to 120 is off: σ = η·σ_q, so η is squared in σ²; and α_{t|s} is a_t²/a_s²",
    )


@checked("exercise 4.5")
def exercise_4_5(memory: Callable[..., Tensor]) -> Iterator[Finding]:
    """memory(x, points, a, b): m×d."""
    points, x = _normal((5, 2), 0), 1.5 * _normal((7, 2), 1)
    found = memory(x, points, 0.8, 0.6)
    yield shaped(found, (7, 2), "a point for each x", "7 points of 2 numbers give")
    noisy = memory(x, points, 1e-4, 1.0)
    yield Finding(
        close(noisy, points.mean(dim=0).expand(7, 2), 1e-2),
        "from pure noise: the mean of all points",
        "with a near 0 every point is as likely, so the result is their mean: is x compared with a·p_i, not p_i, and "
        "do the weights add up to one?",
    )
    clear = memory(0.999 * points, points, 0.999, 0.045)
    yield Finding(
        close(clear, points, 1e-3),
        "from clear data: the nearest point",
        "at x = a·p_i with little noise the result is p_i: the distance is that of x to a·p_i, and enters with a minus",
    )
    right = ideal.of_points(points)(x, torch.logit(torch.tensor([0.64], dtype=torch.float64)))[0]
    yield Finding(
        close(found, right, 1e-6),
        "and in between",
        "both ends are right, the weights between are not: the exponent is −‖x − a·p_i‖²/(2b²), distance and b squared",
    )
