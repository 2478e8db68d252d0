"""Sets of points to learn: (m, generator) → m×2 in float64, of zero mean and unit deviation over both axes.

Mean and deviation are the distribution's own, in closed form; a sample's differ by 1/√m.
"""

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from fromnoise.probability.mixture import Mixture

Points = Callable[[int, torch.Generator | None], Float64[Tensor, "m 2"]]

THICKNESS = 0.08  # deviation of the noise around curves, before the whole is brought to unit deviation


def _uniform(m: int, generator: torch.Generator | None) -> Float64[Tensor, " m"]:
    return torch.rand(m, dtype=torch.float64, generator=generator)


def _thickened(
    curve: Float64[Tensor, "m 2"], mean: tuple[float, float], variance: float, generator: torch.Generator | None
) -> Float64[Tensor, "m 2"]:
    """Points on a curve with noise added, moved and scaled; `mean` and `variance` (of both axes) are the curve's."""
    noise = torch.randn(curve.shape, dtype=torch.float64, generator=generator)
    centred = curve - torch.tensor(mean, dtype=torch.float64)
    return (centred + THICKNESS * noise) / math.sqrt(variance + THICKNESS**2)


def rings(m: int, generator: torch.Generator | None = None) -> Float64[Tensor, "m 2"]:
    """Two rings around the origin, the outer of twice the radius and with two thirds of the points."""
    angle = 2 * math.pi * _uniform(m, generator)
    radius = torch.where(_uniform(m, generator) < 2 / 3, 1.5, 0.75)
    curve = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return _thickened(curve, (0.0, 0.0), (2 / 3 * 1.5**2 + 1 / 3 * 0.75**2) / 2, generator)


def moons(m: int, generator: torch.Generator | None = None) -> Float64[Tensor, "m 2"]:
    """Two half circles of radius 1 that reach into each other: one around (0, 0), one upside down around (1, ½)."""
    angle = math.pi * _uniform(m, generator)
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.tensor([1.0, 0.5], dtype=torch.float64) - upper
    curve = torch.where((_uniform(m, generator) < 0.5)[:, None], upper, lower)
    # Around their own centres all points have ‖x‖² = 1; the mean height of a half circle is 2/π.
    second_moment = (1 + (1 - 2 * 0.5 * 2 / math.pi + 1 + 0.5**2)) / 2
    return _thickened(curve, (0.5, 0.25), (second_moment - 0.5**2 - 0.25**2) / 2, generator)


def spiral(m: int, generator: torch.Generator | None = None) -> Float64[Tensor, "m 2"]:
    """Two arms of an Archimedean spiral, each one turn and a quarter, opposite each other."""
    share = _uniform(m, generator).sqrt()  # about even along the arm
    radius, angle = 2 * share, 2.5 * math.pi * share
    arm = torch.where(_uniform(m, generator) < 0.5, 1.0, -1.0)
    curve = (arm * radius)[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return _thickened(curve, (0.0, 0.0), 2.0 / 2, generator)


def _standardised(mixture: Mixture) -> Mixture:
    """The mixture moved and scaled to zero mean and unit deviation over both axes."""
    variance = mixture.covariance.trace() / mixture.dimension
    means = (mixture.means - mixture.mean) / variance.sqrt()
    return Mixture(mixture.weights, means, mixture.covariances / variance)


MIXTURE = _standardised(
    Mixture(
        torch.tensor([0.3, 0.25, 0.2, 0.15, 0.1], dtype=torch.float64),
        torch.tensor([[0.0, 0.2], [2.4, 1.6], [-2.2, 1.8], [-1.8, -2.0], [2.2, -1.6]], dtype=torch.float64),
        torch.tensor(
            [
                [[0.10, 0.00], [0.00, 0.10]],
                [[0.30, 0.22], [0.22, 0.20]],
                [[0.06, 0.00], [0.00, 0.40]],
                [[0.20, -0.12], [-0.12, 0.12]],
                [[0.05, 0.00], [0.00, 0.05]],
            ],
            dtype=torch.float64,
        ),
    )
)
"""Five Gaussians of unequal weights, round and stretched: data whose ideal denoiser is known exactly."""


SETS: Mapping[str, Points] = {"rings": rings, "moons": moons, "spiral": spiral, "mixture": MIXTURE.sample}
