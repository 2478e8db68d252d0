"""Weights to start from: those of another model, which must fit."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.generation.model import Model


@dataclass(frozen=True)
class Initial:
    """The weights of a model file."""

    file: Path
    sha256: str
    weights: dict[str, Tensor]


def initial(model: Model, file: Path) -> Initial:
    """The weights in `file` for `model` to start from.

    Raises UserError, naming what differs, for those of another network, prediction, image size or number of classes.
    """
    other = Model.load(file)
    ours, theirs = _needs(model), _needs(other)
    different = [
        f"{name}: {ours.get(name)}, {theirs.get(name)}" for name in ours | theirs if ours.get(name) != theirs.get(name)
    ]
    if different:
        raise UserError(f"--init {file} does not fit (this run, that model): {'; '.join(different)}")
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Initial(file, sha256, other.network.state_dict())


def _needs(model: Model) -> dict[str, str]:
    """Everything that decides the weights' shapes and meaning."""
    settings, info = model.config.network, model.info
    needs = {
        "network": settings.network,
        "prediction": model.config.diffusion.prediction,
        "image": "×".join(map(str, info.image)),
        "classes": str(info.classes),
        "augmented": "yes" if model.config.training.augment else "no",
    }
    return needs | model.kind.fit(settings)
