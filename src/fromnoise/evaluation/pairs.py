"""Checks of the two sets of features that a metric compares."""

from jaxtyping import Float, Int
from torch import Tensor

from fromnoise.data import blocks


def pair(
    generated: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], fewest: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """Both sets as they are, on the CPU; raises ValueError where they cannot be compared.

    That is: fewer than `fewest` rows in either, rows of different lengths, or a value that is not finite.
    """
    generated, reference = checked(generated, fewest, "generated"), checked(reference, fewest, "reference")
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(f"{generated.shape[1]} features generated, {reference.shape[1]} in the reference")
    return generated, reference


def checked(features: Float[Tensor, "n d"], fewest: int, name: str) -> Float[Tensor, "n d"]:
    """One set on the CPU; raises ValueError for fewer than `fewest` rows or values that are not finite."""
    if features.ndim != 2:
        raise ValueError(f"{name}: features must be n×d, not of shape {tuple(features.shape)}")
    if len(features) < fewest:
        raise ValueError(f"{name}: {len(features)} rows; at least {fewest} are needed")
    features = features.detach().cpu()
    if not all(bool(part.isfinite().all()) for part in blocks.parts(features)):
        raise ValueError(f"{name}: some features are not finite")
    return features


def labelled(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], name: str) -> Int[Tensor, " n"]:
    """The labels on the CPU; raises ValueError unless there is one for each row, counted from 0."""
    labels = labels.detach().cpu()
    if labels.shape != (len(features),) or labels.is_floating_point():
        raise ValueError(f"{name}: {len(features)} rows need as many whole numbers as labels")
    if bool((labels < 0).any()):
        raise ValueError(f"{name}: labels count from 0")
    return labels
