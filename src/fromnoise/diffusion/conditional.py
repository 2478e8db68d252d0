"""Sampling the rest of data that is partly known, with any denoiser.

The known part is an orthogonal projection P of the data, P·x_0 = k: some of the pixels, or the means of 2×2 pixels.
`given` turns a denoiser into one that knows k. Any sampler with it samples from p(x_0 | P·x_0 = k):

    E[x_0 | x, k] ≈ x̂_0 + C·v,    P·C·P·v = k − P·x̂_0,    C = Cov[x_0 | x] = b²/a · ∂x̂_0/∂x

This is exact for Gaussian data (Rozet et al. 2024, "Learning diffusion priors from observations by
expectation-maximization"). Conjugate gradients find v in a few steps, each a backward pass through the network. With
no step it is DDNM (Wang et al. 2023), with one ΠGDM (Song et al. 2023) at the best weight of its gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from fromnoise.diffusion import level
from fromnoise.diffusion.steps import Denoise

SOLVES = 3
FLAT = 1e-3
"""If x̂_0 moves by less than this share of x in a direction, x does not decide it, and no step is taken in it."""

Projection = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Known:
    """The known part of the data: a projection P and, for each row, its value k = P·x_0."""

    project: Projection
    value: Float[Tensor, "n *d"]


def pixels(known: Bool[Tensor, "*d"]) -> Projection:
    """P of the pixels where `known` is true; it makes the others 0."""
    return lambda x: x * known.to(x.device)


def means(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """P that gives every pixel the mean of its block of 2×2."""
    return F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0)


def given(denoise: Denoise, known: Known, solves: int = SOLVES) -> Denoise:
    """The denoiser (x, λ) → (E[x_0 | x, k], E[ε | x, k]) of data with a known part.

    denoise   of the data without it; must be differentiable, and called outside of `torch.inference_mode`
    solves    steps of conjugate gradients, each a backward pass; as many as k has dimensions are exact

    All rows of a call are at one level λ, as a sampler's are. P·x̂_0 = k to within rounding.
    """

    def conditional(x: Float[Tensor, "n *d"], logsnr: Float64[Tensor, ""]) -> tuple[Tensor, Tensor]:
        steps = solves if float(logsnr) > level.NOISE else 0  # where x says nothing of x_0
        with torch.set_grad_enabled(steps > 0):
            x = x.detach().requires_grad_(steps > 0)
            guess = denoise(x, logsnr)[0]
        a, b = level.scales(logsnr, x)

        def covary(v: Tensor) -> Tensor:
            (pulled,) = torch.autograd.grad(guess, x, v, retain_graph=True)
            return b * b / a * pulled

        x0 = guess.detach()
        x0 = x0 + _explained(covary, known.project, known.value - known.project(x0), steps, float(b * b) * FLAT)
        x0 = x0 - known.project(x0) + known.value
        return x0, (x.detach() - a * x0) / b

    return conditional


def _explained(
    covary: Callable[[Tensor], Tensor], project: Projection, missing: Float[Tensor, "n *d"], steps: int, least: float
) -> Float[Tensor, "n *d"]:
    """C·v with P·C·P·v = `missing`, row by row; `least` is the least eigenvalue of P·C·P that counts."""
    total, left, towards = torch.zeros_like(missing), missing, missing
    size = _dot(left, left)
    for _ in range(steps):
        change = covary(towards)
        seen = project(change)
        curvature = _dot(towards, seen)
        length = torch.where(curvature > least * _dot(towards, towards), size / curvature, 0.0)
        total, left = total + length * change, left - length * seen
        before, size = size, _dot(left, left)
        towards = left + torch.where(before > 0, size / before, 0.0) * towards
    return total


def _dot(one: Float[Tensor, "n *d"], other: Float[Tensor, "n *d"]) -> Float[Tensor, "n *#d"]:
    return (one * other).sum(dim=tuple(range(1, one.ndim)), keepdim=True)
