"""The forward process: data becomes noise, step by step (25), (26) or in one jump (27), (28)."""

import torch
from jaxtyping import Float
from torch import Tensor

from fromnoise.diffusion import level
from fromnoise.diffusion.schedule import Schedule


def jump(x0: Float[Tensor, "n *d"], noise: Float[Tensor, "n *d"], logsnr: Float[Tensor, "#n"]) -> Float[Tensor, "n *d"]:
    """x = a·x_0 + b·ε at the levels `logsnr`, one for each row or one for all (27)."""
    a, b = level.scales(logsnr, x0)
    return a * x0 + b * noise


def noisy(
    x0: Float[Tensor, "n *d"], t: Tensor, table: Schedule, generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "n *d"], Float[Tensor, "n *d"]]:
    """x_t and the noise that made it, at the steps t (int, shape n or scalar) of a schedule (27), (28)."""
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
    return jump(x0, noise, table.logsnr[t.cpu()].reshape(-1)), noise


def step(x: Float[Tensor, "n *d"], noise: Float[Tensor, "n *d"], t: int, table: Schedule) -> Float[Tensor, "n *d"]:
    """x_t = √α_t·x_{t−1} + √(1 − α_t)·ε_t (25)."""
    alpha = table.alphas[t]
    return level.expand(alpha.sqrt(), x) * x + level.expand((1 - alpha).sqrt(), x) * noise


def path(
    x0: Float[Tensor, "n *d"], table: Schedule, generator: torch.Generator | None = None
) -> Float[Tensor, "T1 n *d"]:
    """One walk x_0, x_1 … x_T of the recursion (25), all of it."""
    states = [x0]
    for t in range(1, table.T + 1):
        noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
        states.append(step(states[-1], noise, t, table))
    return torch.stack(states)
