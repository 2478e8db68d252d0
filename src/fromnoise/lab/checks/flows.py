"""Notebook 8: from noise to velocity, and a better step."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.lab.checking import Finding, checked, close, shaped


@checked("exercise 8.1")
def exercise_8_1(velocity_from_noise: Callable[..., Tensor]) -> Iterator[Finding]:
    """velocity_from_noise(x, noise, a, b): like x."""
    x0, noise = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for a, b in ((0.8, 0.6), (0.28, 0.96)):
        found = velocity_from_noise(a * x0 + b * noise, noise, a, b)
        yield shaped(found, (5, 2), "an arrow for each point", "5 points give")
        yield Finding(
            not close(found, x0 - noise),
            "from data to noise",
            "the sign: this notebook's s grows from data to noise, u = ε − x_0",
        )
        yield Finding(
            not close(found, a * noise - b * x0),
            "u and not v",
            "this is v = a·ε − b·x_0, the velocity along the arc; u belongs to the line",
        )
        yield Finding(
            close(found, noise - x0), f"u at a = {a}", f"at a = {a}, b = {b} it is not ε − x_0: is x̂_0 = (x − b·ε̂)/a?"
        )


def _velocity(y: Tensor, s: Tensor) -> Tensor:
    """The mean velocity of data N(0, ¼)."""
    return (s - (1 - s) / 4) / ((1 - s) ** 2 / 4 + s**2) * y


@checked("exercise 8.2")
def exercise_8_2(heun: Callable[..., Tensor]) -> Iterator[Finding]:
    """heun(velocity, y, steps): like y."""
    start = torch.ones(3, 1, dtype=torch.float64)
    seen: list[float] = []

    def watched(y: Tensor, s: Tensor) -> Tensor:
        seen.append(float(torch.as_tensor(s).flatten()[0]))
        return _velocity(y, s)

    found = heun(watched, start.clone(), 4)
    yield shaped(found, (3, 1), "the shape of the points at the start", "3 points give")
    yield Finding(
        len(seen) == 8,
        "two velocities per step",
        f"4 steps asked for {len(seen)} velocities; Heun's method needs two per step",
    )
    wanted = [1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0]
    yield Finding(
        all(abs(one - other) < 1e-6 for one, other in zip(seen, wanted, strict=True)),
        "at the beginning and at the end of each step",
        f"the velocities were asked for at s = {', '.join(f'{s:g}' for s in seen)}; the second of a step "
        "belongs to its end",
    )
    ends = [float(heun(_velocity, start.clone(), steps)[0]) for steps in (50, 100)]
    yield Finding(
        abs(ends[0] - 0.5) < 0.02, "it arrives", f"noise of deviation 1 should become ½, yours becomes {ends[0]:.3f}"
    )
    ratio = abs(ends[0] - 0.5) / max(abs(ends[1] - 0.5), 1e-15)
    yield Finding(
        ratio > 3,
        "of second order",
        f"twice the steps make the error {ratio:.1f} times smaller, not 4 times: step again from the old "
        "y, by the mean of both",
    )
