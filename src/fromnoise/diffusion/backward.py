"""The true backward process: q(x_s | x_t, x_0) between any two levels, s clearer than t (29)–(32).

With s = t − 1 in a schedule these are the chapter's formulas; for levels that are not neighbours α_t becomes
α_{t|s} = ᾱ_t/ᾱ_s. Levels are single numbers or one for each row.
"""

from jaxtyping import Float
from torch import Tensor

from fromnoise.diffusion import level


def posterior_variance(clearer: Float[Tensor, "*n"], noisier: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """σ_q² = (1 − α_{t|s})(1 − ᾱ_s)/(1 − ᾱ_t) (30); zero when s is clean data."""
    ratio = level.noise_scale(clearer) ** 2 / level.noise_scale(noisier) ** 2
    return level.variance_between(clearer, noisier) * ratio


VARIANCES = {"posterior": posterior_variance, "forward": level.variance_between}
"""The two ends of the range in which the best variance lies (Ho et al. 2020, section 3.2), by name."""


def posterior_mean(
    x: Float[Tensor, "n *d"], x0: Float[Tensor, "n *d"], clearer: Float[Tensor, "#n"], noisier: Float[Tensor, "#n"]
) -> Float[Tensor, "n *d"]:
    """μ_q from x_0: [√α_{t|s}(1 − ᾱ_s)·x_t + √ᾱ_s(1 − α_{t|s})·x_0]/(1 − ᾱ_t) (31)."""
    total = level.noise_scale(noisier) ** 2
    of_x = level.alpha_between(clearer, noisier).sqrt() * level.noise_scale(clearer) ** 2 / total
    of_x0 = level.signal(clearer) * level.variance_between(clearer, noisier) / total
    return level.expand(of_x, x) * x + level.expand(of_x0, x) * x0


def posterior_mean_from_noise(
    x: Float[Tensor, "n *d"], noise: Float[Tensor, "n *d"], clearer: Float[Tensor, "#n"], noisier: Float[Tensor, "#n"]
) -> Float[Tensor, "n *d"]:
    """μ_q from ε: [x_t − (1 − α_{t|s})/√(1 − ᾱ_t)·ε]/√α_{t|s} (32), (37). Not defined at pure noise."""
    root = level.alpha_between(clearer, noisier).sqrt()
    of_noise = level.variance_between(clearer, noisier) / level.noise_scale(noisier)
    return (x - level.expand(of_noise, x) * noise) / level.expand(root, x)
