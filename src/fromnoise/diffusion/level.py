"""Noise levels. Noisy data is x = a·x_0 + b·ε with a² + b² = 1; λ = log(a²/b²) names the pair.

Everything the process does is a function of levels alone (Kingma et al. 2021). λ is kept in float64: λ = +∞ is
clean data, λ = −∞ pure noise, and both are exact. Schedules are tables of levels; a training may choose them freely.
Levels stay on the CPU whatever the device (some have no float64); `expand` takes coefficients to the data.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fromnoise.hardware import to_device

CLEAN = float("inf")
NOISE = -float("inf")


def signal(logsnr: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """a = √ᾱ, the share of the data in x."""
    return torch.sigmoid(logsnr).sqrt()


def noise_scale(logsnr: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """b = √(1 − ᾱ), the share of the noise in x."""
    return torch.sigmoid(-logsnr).sqrt()


def scales(logsnr: Float[Tensor, "*n"], like: Float[Tensor, "n *d"]) -> tuple[Tensor, Tensor]:
    """a and b, shaped and typed to multiply `like`."""
    return expand(signal(logsnr), like), expand(noise_scale(logsnr), like)


def log_alpha_bar(logsnr: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """log ᾱ = log a², exact at both ends."""
    return F.logsigmoid(logsnr)


def alpha_between(clearer: Float[Tensor, "*n"], noisier: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """α_{t|s} = ᾱ_t/ᾱ_s, the forward coefficient from level s (`clearer`) to level t (`noisier`)."""
    return torch.exp(log_alpha_bar(noisier) - log_alpha_bar(clearer))


def variance_between(clearer: Float[Tensor, "*n"], noisier: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """1 − α_{t|s}, the variance of the noise added from s to t, without cancellation."""
    return -torch.expm1(log_alpha_bar(noisier) - log_alpha_bar(clearer))


def expand(values: Tensor, like: Float[Tensor, "n *d"]) -> Float[Tensor, "#n *#d"]:
    """Coefficients, one for all or one per row, shaped and typed to multiply `like`."""
    values = to_device(values.to(like.dtype), like.device)
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))
