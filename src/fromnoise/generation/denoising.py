"""How well a model removes noise from images: the error in the clean image, level by level."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.diffusion import forward
from fromnoise.generation.likelihood import MICRO_BATCH, batches, labelled
from fromnoise.generation.model import Model


def known_levels(model: Model, levels: Sequence[float]) -> Float64[Tensor, " k"]:
    """The noise levels λ; for a network that works only at its schedule's steps, the nearest of those."""
    wanted, known = torch.tensor(levels, dtype=torch.float64), model.denoiser().levels
    return wanted if known is None else known[(known[None] - wanted[:, None]).abs().argmin(dim=1)]


def denoising_errors(
    model: Model, images: UInt8[Tensor, "n c h w"], levels: Float64[Tensor, " k"], *, seed: int = 0
) -> Float64[np.ndarray, "n k"]:
    """The mean square error in x̂_0 of each image at each level, in units of the data's mean square.

    The noise of the i-th image depends on the seed and i alone. A class-conditional model gets the null class. Raises
    UserError for images of another shape than the model's.
    """
    denoise, found = labelled(model), []
    with torch.inference_mode():
        for start, x0 in batches(model, images, "denoising"):
            errors = []
            for k in range(len(levels)):
                noise = rng.normal((MICRO_BATCH, *x0.shape[1:]), seed, "denoising", start, k)[: len(x0)].to(x0.device)
                guess = denoise(forward.jump(x0, noise, levels[k : k + 1]), levels[k : k + 1])[0]
                errors.append((guess - x0).square().flatten(1).mean(dim=1).cpu().double())
            found.append(torch.stack(errors, dim=1))
    return torch.cat(found).numpy()
