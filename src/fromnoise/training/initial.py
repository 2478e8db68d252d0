"""Weights to start from: those of another model, as far as they fit."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fromnoise.data.colour import kind
from fromnoise.errors import UserError
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.limits import flag
from fromnoise.networks.network import Network


@dataclass(frozen=True)
class Initial:
    """The weights of a model file, adapted to another model.

    name     as the user calls the file
    adapted  what was adapted, for the log; empty if nothing
    """

    name: str
    file: Path
    sha256: str
    weights: dict[str, Tensor]
    adapted: str = ""


def initial(model: Model, file: Path, name: str) -> Initial:
    """The weights in `file`, which the user calls `name`, adapted to `model`, to start from.

    Image size, classes, channels and --augment may differ. Raises UserError, naming what differs, for the weights of
    another network or prediction.
    """
    other = Model.load(file)
    if different := differences(model, other):
        said = "; ".join(f"{each}: {ours}, {theirs}" for each, (ours, theirs) in different.items())
        flags = " ".join(f"{flag(each)} {theirs}" for each, (_, theirs) in different.items() if theirs)
        raise UserError(f"--init {name} does not fit (this run, that model): {said}; set {flags}")
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    assert isinstance(model.network, Network)
    weights = model.network.adapted(other.network.state_dict(), same_classes(model.info, other.info))
    return Initial(name, file, sha256, weights, ", ".join(_adapted(model, other)))


def differences(model: Model, other: Model) -> dict[str, tuple[str | None, str | None]]:
    """The settings that keep the weights of one from fitting the other, with what they are for both."""
    ours, theirs = _needs(model), _needs(other)
    return {name: (ours.get(name), theirs.get(name)) for name in theirs | ours if ours.get(name) != theirs.get(name)}


def _needs(model: Model) -> dict[str, str]:
    """The settings that decide the weights' meaning, and the shapes of most of them."""
    config = model.config
    needs = {"network": config.network.network, "prediction": config.diffusion.prediction}
    return {**needs, **model.kind.fit(config)}


def same_classes(ours: DataInfo, theirs: DataInfo) -> bool:
    """Whether class k is the same in both. Cluster k is, if both models' clusters are of the same images."""
    if ours.clustered or theirs.clustered:
        return (ours.clustered, ours.class_shares) == (theirs.clustered, theirs.class_shares)
    return (ours.classes, ours.class_names) == (theirs.classes, theirs.class_names)


def _adapted(model: Model, other: Model) -> list[str]:
    """What the weights were adapted to, in words."""
    ours, theirs = model.info, other.info
    found = []
    if not same_classes(ours, theirs):
        found.append(f"classes ({theirs.conditioned_on} → {ours.conditioned_on})")
    if ours.channels != theirs.channels:
        found.append(f"channels ({kind(theirs.channels)} → {kind(ours.channels)})")
    if model.config.training.augment and not other.config.training.augment:
        found.append("--augment (only here)")
    return found
