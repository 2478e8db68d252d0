"""Discrete schedules: tables of noise levels t = 0…T in float64, indexed by t itself, entry 0 the identity.

A schedule is its coefficients α_1…α_T; the rest follows. diffusers counts from 0, so that its step k is our
t = k + 1: `denoiser.ByStep` converts, nothing else does.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor

from fromnoise.diffusion import backward, level
from fromnoise.errors import UserError
from fromnoise.lookup import lookup


@dataclass(frozen=True, eq=False)
class Schedule:
    """A table of T + 1 levels; every table below has length T + 1 and is float64."""

    alphas: Float64[Tensor, " T1"]
    """α_t, the forward coefficients of (25); `alphas[0]` = 1."""

    def __post_init__(self) -> None:
        tail = self.alphas[1:]
        if self.alphas.dtype != torch.float64 or not len(tail) or self.alphas[0] != 1:
            raise ValueError("alphas must be float64, start with 1 and have at least one step")
        if not bool(((tail < 1) & (tail >= 0)).all()) or bool((tail[:-1] == 0).any()):
            raise ValueError("every α_t must lie in (0, 1); only the last may be 0")

    @property
    def T(self) -> int:  # noqa: N802 - the chapter's own symbol
        """The number of steps."""
        return len(self.alphas) - 1

    @cached_property
    def alphas_cumprod(self) -> Float64[Tensor, " T1"]:
        """ᾱ_t = α_1⋯α_t, with ᾱ_0 = 1 (27)."""
        return self.alphas.cumprod(0)

    @cached_property
    def logsnr(self) -> Float64[Tensor, " T1"]:
        """λ_t = log(ᾱ_t/(1 − ᾱ_t)), from +∞ (clean data, t = 0) downwards; λ_T = −∞ with zero terminal SNR."""
        return torch.logit(self.alphas_cumprod)

    @cached_property
    def posterior_variance(self) -> Float64[Tensor, " T1"]:
        """σ_q²(t) (30), zero at t = 1 because ᾱ_0 = 1; entry 0 is 0."""
        return F.pad(backward.posterior_variance(self.logsnr[:-1], self.logsnr[1:]), (1, 0))


def linear(T: int) -> Float64[Tensor, " T"]:
    """α from 0.9999 at t = 1 to 0.98 at t = T, whatever T. T = 1000 is DDPM's; the chapter's text has 500."""
    return torch.linspace(0.9999, 0.98, T, dtype=torch.float64)


def cosine(T: int, offset: float = 0.008, least: float = 0.001) -> Float64[Tensor, " T"]:
    """ᾱ_t ∝ cos²(π/2 · (t/T + s)/(1 + s)), α_t not below 0.001 (Nichol & Dhariwal 2021, eq. 17)."""
    t = torch.arange(T + 1, dtype=torch.float64)
    alpha_bar = torch.cos((t / T + offset) / (1 + offset) * math.pi / 2) ** 2
    return (alpha_bar[1:] / alpha_bar[:-1]).clamp(min=least)


def logsnr(T: int, highest: float = 10.0, lowest: float = -10.0) -> Float64[Tensor, " T"]:
    """λ evenly from `highest` at t = 1 to `lowest` at t = T."""
    levels = torch.linspace(highest, lowest, T, dtype=torch.float64)
    return torch.exp(torch.diff(level.log_alpha_bar(levels), prepend=torch.zeros(1, dtype=torch.float64)))


SCHEDULES: Mapping[str, Callable[[int], Float64[Tensor, " T"]]] = {"linear": linear, "cosine": cosine, "logsnr": logsnr}


def schedule(name: str, T: int) -> Schedule:
    """The schedule `name` with T steps; raises UserError for an unknown name or fewer than two steps."""
    make = lookup("schedule", name, SCHEDULES)
    if T < 2:
        raise UserError(f"a schedule needs at least 2 steps, not T = {T}")
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), make(T)]))


def rescaled_to_zero_terminal_snr(table: Schedule) -> Schedule:
    """√ᾱ shifted and scaled so that √ᾱ_T = 0 while √ᾱ_1 stays (Lin et al. 2023, algorithm 1)."""
    root = table.alphas_cumprod.sqrt()[1:]
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), root**2])
    return Schedule(torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]]))
