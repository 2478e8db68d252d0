"""Notebook 2: intervals, a mean that does not settle, and divergences."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.lab.checking import Finding, checked, close
from fromnoise.probability.divergence import kl, log_gap
from fromnoise.probability.gaussian import Gaussian


def _line(mean: float, variance: float) -> Gaussian:
    return Gaussian.white(torch.tensor([mean], dtype=torch.float64), variance)


@checked("exercise 2.1")
def exercise_2_1(interval: Callable[[Tensor], tuple[float, float]]) -> Iterator[Finding]:
    """interval(values): the mean of N values ± 2 standard errors."""
    generator = torch.Generator().manual_seed(1)
    for n, variance in ((100, 1.0), (400, 9.0)):
        values = _line(3.0, variance).sample(n, generator)[:, 0]
        low, high = (float(end) for end in interval(values))
        middle, mean = (low + high) / 2, float(values.mean())
        yield Finding(
            abs(middle - mean) < 1e-6,
            f"the interval of {n} values lies around their mean",
            f"the interval lies around {middle:.3f}, not around the mean {mean:.3f}",
        )
        wide, error = high - low, float(values.std()) / math.sqrt(n)
        yield Finding(
            abs(wide / (4 * error) - 1) < 0.02,
            "it is four standard errors wide",
            f"{n} values of deviation {float(values.std()):.3f}: your interval is {wide:.4f} wide, 4 standard errors "
            f"are {4 * error:.4f}; the error of a mean of N values is their deviation over √N",
        )


@checked("exercise 2.2")
def exercise_2_2(spread: Callable[..., float]) -> Iterator[Finding]:
    """spread(n, repetitions, generator): the distance between the quartiles of the mean of n Cauchy numbers."""
    generator = torch.Generator().manual_seed(2)
    for n in (1, 10, 400):
        found = float(spread(n, 4000, generator))
        yield Finding(
            abs(found - 2) < 0.25,
            f"half of the means of {n} numbers lie within {found:.2f}",
            f"half of the means of {n} Cauchy numbers lie within 2, not {found:.3g}: draw the ratio of two normal "
            "numbers, take the mean of n of them, and the distance from the first quartile of the means to the third",
        )


@checked("exercise 2.3")
def exercise_2_3(estimate: Callable[[Tensor, Tensor], tuple[float, float]]) -> Iterator[Finding]:
    """estimate(log_q, log_p): mean of (r − 1) − log r over draws of q, and its standard error."""
    generator = torch.Generator().manual_seed(3)
    q, p = _line(0.0, 1.0), _line(0.3, 0.81)
    few, many = q.sample(10, generator), q.sample(20_000, generator)
    value, error = (float(number) for number in estimate(q.log_prob(many), p.log_prob(many)))
    exact = kl(q, p)
    gaps = log_gap((p.log_prob(many) - q.log_prob(many)).exp())
    right = float(gaps.mean())
    yield Finding(
        abs(value - exact) < 0.01,
        f"it estimates D(q‖p) = {exact:.4f}",
        f"D(q‖p) is {exact:.4f}, your estimate from 20,000 draws {value:.4f}: r is p over q, and the draws are of q",
    )
    yield Finding(
        abs(value - right) < 1e-6,
        "as the mean of (r − 1) − log r",
        f"close, but the mean of (r − 1) − log r is {right:.5f} here, not {value:.5f}: is it the plain log q/p?",
    )
    wanted = float(gaps.std()) / math.sqrt(len(gaps))
    yield Finding(
        abs(error / wanted - 1) < 0.02,
        "with the right standard error",
        f"the standard error is {wanted:.5f}, not {error:.5f}: the deviation of the values over √N",
    )
    small = float(estimate(q.log_prob(few), p.log_prob(few))[0])
    yield Finding(small >= 0, "never negative", f"from 10 draws it is {small:.4f}, and no term may be negative")


@checked("exercise 2.4")
def exercise_2_4(divergence: Callable[[Tensor, Tensor, float], float]) -> Iterator[Finding]:
    """divergence(mean_q, mean_p, variance): D between two white Gaussians of one variance, in closed form."""
    generator = torch.Generator().manual_seed(4)
    for n, variance in ((1, 1.0), (3, 0.3), (50, 2.5)):
        one, other = torch.randn(2, n, dtype=torch.float64, generator=generator)
        exact = kl(Gaussian.white(one, variance), Gaussian.white(other, variance))
        found = float(divergence(one, other, variance))
        yield Finding(
            close(found, exact, 1e-6),
            f"n = {n}, σ² = {variance:g}: {exact:.4f} nats",
            f"n = {n}, σ² = {variance:g}: D is {exact:.4f} nats, yours {found:.4f}; log q − log p is a "
            "difference of two squares over 2σ²",
        )
