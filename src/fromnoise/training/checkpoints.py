"""A checkpoint's two files: the model, which is all that sampling needs, and the state that resuming needs too."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from fromnoise import tensors
from fromnoise.config import from_json
from fromnoise.errors import UserError
from fromnoise.files import whole, whole_folder
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.tensors import DamagedFile
from fromnoise.training.pace import Pace
from fromnoise.training.plan import Plan

STATE_FILE, FORMAT = "state.safetensors", 1


@dataclass(frozen=True)
class Standing:
    """Where a training stands, as its checkpoint records it.

    seconds  of training
    sums     of the loss since it was last logged, and its counts, of all processes together
    """

    step: int
    seconds: float
    plan: Plan
    pace: Pace
    sums: tuple[tuple[float, ...], ...] = ()
    format: int = FORMAT


@dataclass(frozen=True)
class Checkpoint:
    """All that a training depends on.

    weights  the averaged weights, with which the model is used
    state    all other tensors
    """

    standing: Standing
    weights: dict[str, Tensor]
    state: dict[str, Tensor]


def save(folder: Path, model: Model, checkpoint: Checkpoint) -> None:
    """Write a checkpoint of `model` as a new folder, whole or not at all."""
    with whole_folder(folder) as new:
        model.save(new / CHECKPOINT_FILE, checkpoint.weights)
        save_state(new, checkpoint)


def save_state(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the state into its checkpoint's folder, replacing what is there."""
    with whole(folder / STATE_FILE) as new:
        tensors.save(new, checkpoint.state, asdict(checkpoint.standing))


def load(folder: Path) -> Checkpoint:
    """The checkpoint in a folder that is named by its step.

    Raises DamagedFile if a file is not as it was written, UserError for fields that make no sense and for a checkpoint
    of another version.
    """
    weights, _ = tensors.load(folder / CHECKPOINT_FILE)
    state, about = tensors.load(folder / STATE_FILE)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(f"{folder} was made by another version of fromnoise")
    try:
        standing = from_json(Standing, about)
    except UserError as error:
        raise UserError(f"{folder / STATE_FILE}: {error}") from error
    if standing.step != int(folder.name):
        raise DamagedFile(f"{folder / STATE_FILE} is damaged (it is of step {standing.step})")
    return Checkpoint(standing, weights, state)
