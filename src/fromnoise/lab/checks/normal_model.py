"""Notebook 3: a normal model fitted, its variance, its bits, and one for each class."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.lab.checking import Finding, checked, close, shaped
from fromnoise.lab.checks.distributions import DRAWS, moments
from fromnoise.probability.gaussian import Gaussian


@checked("task 2")
def task2(fit: Callable[..., Tensor], descend: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Iterator[Finding]:
    """fit(x): N×n → n; descend(x, rate, steps): the mean after so many steps from 0; draw(mean, m, generator): m×n."""
    generator = torch.Generator().manual_seed(1)
    x = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64) + torch.randn(
        7, 3, dtype=torch.float64, generator=generator
    )
    best = x.mean(dim=0)
    found = fit(x)
    yield shaped(found, (3,), "one mean of n numbers", "7 points in 3 dimensions give")
    moved = [_sum(x, found + step) - _sum(x, found) for step in 1e-3 * torch.eye(3, dtype=torch.float64)]
    yield Finding(
        close(found, best),
        "fit finds the minimum of (23)",
        f"a step of 0.001 along each axis changes (23) by {moved[0]:.1e}, {moved[1]:.1e}, {moved[2]:.1e}: at the "
        "minimum none would be above 1e-6",
    )
    zero = descend(x, 0.1, 0)
    yield Finding(close(zero, 0 * best), "descent begins at 0", f"after no step the mean is {zero.tolist()}, not 0")
    for rate, steps in ((0.1, 1), (0.5, 3), (1.7, 4), (0.1, 300)):
        found, right = descend(x, rate, steps), best * (1 - (1 - rate) ** steps)
        found = found.detach().double()
        yield Finding(
            close(found, right, 1e-5),
            f"rate {rate:g}, {steps} steps: what is left of the error is |1 − η|^k",
            f"after {steps} steps of rate {rate:g} the first coordinate is {float(found[0]):.4g}, not "
            f"{float(right[0]):.4g}: the gradient of (23) is μ − x̄, and a step goes against it",
        )
    mean = torch.tensor([1.0, 2.0], dtype=torch.float64)
    drawn = draw(mean, DRAWS, generator)
    yield shaped(drawn, (DRAWS, 2), "m new samples", f"{DRAWS} samples have")
    yield from moments(drawn.double(), mean, torch.eye(2, dtype=torch.float64))


def _sum(x: Tensor, mean: Tensor) -> float:
    return float((x - mean).square().sum(dim=1).mean()) / 2


@checked("exercise 3.1")
def exercise_3_1(variance: Callable[[Tensor], float]) -> Iterator[Finding]:
    """variance(x): the σ² of greatest likelihood of N(μ, σ²I) with both free. x: N×n."""
    generator = torch.Generator().manual_seed(2)
    for n, size, true in ((1, 5, 1.0), (2, 200, 0.5), (4, 30, 9.0)):
        x = 3 + true**0.5 * torch.randn(size, n, dtype=torch.float64, generator=generator)
        best = float((x - x.mean(dim=0)).square().mean())
        found = float(variance(x))
        likelihoods = []
        for value in (found, found * 1.01, found / 1.01):
            likelihoods.append(float(Gaussian.white(x.mean(dim=0), max(value, 1e-9)).log_prob(x).mean()))
        yield Finding(
            abs(found / best - 1) < 1e-6,
            f"N = {size} points in {n} dimensions: σ² = {best:.4f}",
            f"N = {size}, n = {n}: σ² = {found:.4f} gives log-likelihood {likelihoods[0]:.5f}, and a hundredth more or "
            f"less {likelihoods[1]:.5f} and {likelihoods[2]:.5f}: it is not the greatest; how many squares are summed?",
        )


@checked("exercise 3.2")
def exercise_3_2(bits_with: Callable[..., float]) -> Iterator[Finding]:
    """bits_with(tau, mean, covariance, x): bits per dimension of x under N(mean, covariance + tau·I)."""
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(6, 6, dtype=torch.float64, generator=generator) / 10
    covariance, mean = root @ root.T, torch.randn(6, dtype=torch.float64, generator=generator) / 10
    x = mean + torch.randn(40, 6, dtype=torch.float64, generator=generator) / 8
    for tau in (1e-3, 0.1):
        gaussian = Gaussian(mean, covariance + tau * torch.eye(6, dtype=torch.float64))
        nats = -float(gaussian.log_prob(x).mean()) / 6
        right = (nats + math.log(128)) / math.log(2)
        found = float(bits_with(tau, mean, covariance, x))
        told = {
            nats: "these are nats of values in [−1, 1): a grey level is 1/128 wide, and a bit is ln 2 nats",
            nats + math.log(128): "these are nats: a bit is ln 2 of them",
            nats / math.log(2): "a grey level is 1/128 wide: what does that add to −log p of a dimension?",
            6 * right: "divide by the number of dimensions",
        }
        near = [said for value, said in told.items() if abs(found - value) < 1e-5 * max(1, abs(value))]
        yield Finding(
            abs(found - right) < 1e-6,
            f"τ = {tau:g}: {right:.4f} bits per dimension",
            f"τ = {tau:g}: {right:.4f} bits per dimension, not {found:.4f}; "
            + (near[0] if near else "the covariance is C + τI; log det C is the sum of the logs of C's eigenvalues"),
        )


@checked("exercise 3.3")
def exercise_3_3(fit_classes: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]) -> Iterator[Finding]:
    """fit_classes(x, labels): weights (k), means (k×n), covariances (k×n×n) of one Gaussian for each class."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.tensor([0] * 30 + [1] * 60 + [2] * 90)[torch.randperm(180, generator=generator)]
    centres = torch.tensor([[0.0, 0.0], [5.0, 1.0], [-4.0, 2.0]], dtype=torch.float64)
    x = centres[labels] + (labels[:, None] + 1) * torch.randn(180, 2, dtype=torch.float64, generator=generator)
    weights, means, covariances = fit_classes(x, labels)
    shapes = [tuple(part.shape) for part in (weights, means, covariances)]
    wanted = [(3,), (3, 2), (3, 2, 2)]
    yield Finding(shapes == wanted, "weights, means, covariances", f"three classes: shapes {shapes}, not {wanted}")
    yield Finding(
        close(weights, torch.tensor([1, 2, 3]) / 6, 1e-5),
        "each class is weighted by its number of images",
        f"30, 60 and 90 images weigh 1/6, 1/3 and 1/2, not {[round(w, 3) for w in weights.tolist()]}",
    )
    right = torch.stack([x[labels == k].mean(dim=0) for k in range(3)])
    yield Finding(
        close(means, right), "the means", "the mean of a class is that of its own images, in the order of the labels"
    )
    for k in range(3):
        own = x[labels == k] - right[k]
        greatest = own.T @ own / len(own)
        either = close(covariances[k], greatest) or close(covariances[k], greatest * len(own) / (len(own) - 1))
        yield Finding(
            either,  # by N, which has the greatest likelihood, or by N − 1
            f"the covariance of class {k}",
            f"the variances of class {k} are {[round(v, 2) for v in greatest.diagonal().tolist()]}, not "
            f"{[round(v, 2) for v in covariances[k].diagonal().tolist()]}: measure from the class's own mean",
        )
