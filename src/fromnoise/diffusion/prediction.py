"""The kinds of prediction, and the exact way from each to (x̂_0, ε̂).

`eps`: the noise ε. `x0`: the data. `v` = a·ε − b·x_0 (Salimans & Ho 2022), for which
x_0 = a·x − b·v and ε = b·x + a·v.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from fromnoise.diffusion import level
from fromnoise.lookup import lookup

# (output, x, a, b) → (x̂_0, ε̂), and (x_0, ε, a, b) → the output that a perfect network gives.
TO_PAIR: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "eps": lambda output, x, a, b: ((x - b * output) / a, output),
    "x0": lambda output, x, a, b: (output, (x - a * output) / b),
    "v": lambda output, x, a, b: (a * x - b * output, b * x + a * output),
}
TARGETS: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "eps": lambda x0, noise, a, b: noise,
    "x0": lambda x0, noise, a, b: x0,
    "v": lambda x0, noise, a, b: a * noise - b * x0,
}


def to_pair(
    kind: str, output: Float[Tensor, "n *d"], x: Float[Tensor, "n *d"], logsnr: Float[Tensor, "#n"]
) -> tuple[Float[Tensor, "n *d"], Float[Tensor, "n *d"]]:
    """(x̂_0, ε̂) from a prediction of the given kind at noisy data x.

    `eps` says nothing of x_0 at pure noise (a = 0), nor `x0` of ε at clean data (b = 0): there the result is
    not finite. Raises UserError for an unknown kind.
    """
    a, b = level.scales(logsnr, x)
    return lookup("prediction", kind, TO_PAIR)(output, x, a, b)


def target(
    kind: str, x0: Float[Tensor, "n *d"], noise: Float[Tensor, "n *d"], logsnr: Float[Tensor, "#n"]
) -> Float[Tensor, "n *d"]:
    """The perfect prediction of the given kind; raises UserError for an unknown kind."""
    a, b = level.scales(logsnr, x0)
    return lookup("prediction", kind, TARGETS)(x0, noise, a, b)
