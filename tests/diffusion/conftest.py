"""The ideal denoiser of Gaussian data: a linear map, so that whatever is built on it can be computed by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def ideal_denoiser(covariance: Tensor, mean: float = 0.0) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(x, λ) → (E[x_0 | x], E[ε | x]) for data N(mean, covariance), x of shape n d, one λ."""

    def denoise(x, logsnr):
        abar, rest = 1 / (1 + torch.exp(-logsnr)), 1 / (1 + torch.exp(logsnr))
        precision = torch.linalg.inv(abar * covariance + rest * torch.eye(len(covariance), dtype=torch.float64))
        off = x - (abar.sqrt() * mean).to(x.dtype)
        x0 = mean + off @ (abar.sqrt() * precision @ covariance).to(x.dtype)
        return x0, off @ (rest.sqrt() * precision).to(x.dtype)

    return denoise


@pytest.fixture
def ideal():
    return ideal_denoiser


@pytest.fixture
def randn():
    """Standard normal float64 numbers of a shape, the same at each call with the same seed."""

    def draw(*shape, seed=0, dtype=torch.float64):
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return draw
