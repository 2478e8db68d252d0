"""Ideal denoisers: the exact (x, λ) → (E[x_0 | x], E[ε | x]) of data whose distribution is known.

They have the signature `Denoise` of `steps`: λ is one number for all rows or one for each, in float64, and both
ends are exact: at pure noise (−∞) x_0 is the data's mean and ε is x; at clean data (+∞) x says nothing of ε, whose
mean is 0. Their results are computed in float64 and have the type of x.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.diffusion import level
from fromnoise.diffusion.steps import Denoise
from fromnoise.probability.mixture import Mixture

ENTRIES = 2**22  # distances held at once by `of_points`: 32 MiB


def of_mixture(
    weights: Float[Tensor, " k"], means: Float[Tensor, "k d"], covariances: Float[Tensor, "k d d"]
) -> Denoise:
    """The ideal denoiser, for x n×d, of data from Σ w_j N(μ_j, C_j); one component is Gaussian data: a linear map.

    Noisy data is the mixture of N(a·μ_j, a²C_j + b²I). Given x and j, E[x_0] = μ_j + a·C_j(a²C_j + b²I)⁻¹(x − a·μ_j)
    and E[ε] = b·(a²C_j + b²I)⁻¹(x − a·μ_j); they are averaged with the posterior probability of each j.
    Raises ValueError as `Mixture` does, and the denoiser for x of another dimension.
    """
    mixture = Mixture(weights, means, covariances)
    # In the axes of C_j every inverse is a division: C_j = Q_j·diag(s_j)·Q_jᵀ.
    s, axes = torch.linalg.eigh(mixture.covariances)

    def denoise(x: Float[Tensor, "n d"], logsnr: Float64[Tensor, "#n"]) -> tuple[Tensor, Tensor]:
        if x.ndim != 2 or x.shape[1] != mixture.dimension:
            raise ValueError(f"this data has {mixture.dimension} numbers a point: x cannot be {tuple(x.shape)}")
        points = x.double()
        a, b = (scale[:, :, None] for scale in level.scales(logsnr.double().expand(len(x)), points))
        variance = a * a * s + b * b
        off = torch.einsum("kij,nki->nkj", axes, points[:, None] - a * mixture.means)
        log_joint = mixture.weights.log() - (off.square() / variance + variance.log()).sum(dim=2) / 2
        posterior = log_joint.softmax(dim=1)
        x0 = mixture.means + torch.einsum("kij,nkj->nki", axes, a * s / variance * off)
        noise = torch.einsum("kij,nkj->nki", axes, b / variance * off)
        x0, noise = (torch.einsum("nk,nkd->nd", posterior, each).to(x.dtype) for each in (x0, noise))
        return x0, noise

    return denoise


def of_points(points: Float[Tensor, "N *d"]) -> Denoise:
    """The ideal denoiser, for x n×*d, of data that is one of N points, each as likely: it memorises.

    E[x_0 | x] = Σ p_i·x_i with p = softmax(−‖x − a·x_i‖²/2b²), and E[ε | x] = (x − a·E[x_0 | x])/b. A network that
    minimised the loss (38) on a training set perfectly would compute this. At clean data x_0 is the nearest point.
    Raises ValueError for no points.
    """
    if points.ndim < 2 or not len(points):
        raise ValueError(f"an ideal denoiser needs at least one point, N×*d, not {tuple(points.shape)}")
    known = points.double().flatten(1)
    rows = max(1, ENTRIES // len(known))

    def expected(x: Float64[Tensor, "n d"], a: Float64[Tensor, "n 1"], logsnr: Float64[Tensor, " n"]) -> Tensor:
        # ‖x − a·x_i‖²/b² = e^λ·‖x/a − x_i‖², so that one call serves rows of different levels; differences, not
        # products, which would cancel where there is little noise. The bounds make both ends come out exact.
        squares = torch.cdist(x / a.clamp(min=1e-100), known, compute_mode="donot_use_mm_for_euclid_dist").square()
        excess = squares - squares.min(dim=1, keepdim=True).values
        snr = logsnr.exp().clamp(max=torch.finfo(torch.float64).max)
        return (-excess * snr[:, None] / 2).softmax(dim=1) @ known

    def denoise(x: Float[Tensor, "n *d"], logsnr: Float64[Tensor, "#n"]) -> tuple[Tensor, Tensor]:
        flat, levels = x.double().flatten(1), logsnr.double().expand(len(x))
        a, b = level.scales(levels, flat)
        parts = zip(flat.split(rows), a.split(rows), levels.split(rows), strict=True)
        x0 = torch.cat([expected(*part) for part in parts])
        noise = torch.where(b > 0, (flat - a * x0) / b, 0.0)
        return x0.reshape(x.shape).to(x.dtype), noise.reshape(x.shape).to(x.dtype)

    return denoise


def score(denoise: Denoise) -> Callable[[Tensor, Tensor], Tensor]:
    """(x, λ) → −E[ε | x]/b, the gradient of the log density of noisy data (Tweedie's formula); not at clean data."""

    def gradient(x: Float[Tensor, "n *d"], logsnr: Float64[Tensor, "#n"]) -> Float[Tensor, "n *d"]:
        return -denoise(x, logsnr)[1] / level.expand(level.noise_scale(logsnr), x)

    return gradient
