"""A training's state on its way to and from its run folder."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from fromnoise.config import from_json
from fromnoise.errors import UserError
from fromnoise.files import reading
from fromnoise.generation.model import Model
from fromnoise.tensors import DamagedFile
from fromnoise.training.agreement import Agreement
from fromnoise.training.pace import Pace
from fromnoise.training.pacer import Pacer
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import STATE_FILE, RunFolder
from fromnoise.training.step import Step


@dataclass(frozen=True)
class Checkpoint:
    """All that a training depends on after `step` steps, which took so many seconds.

    weights  the averaged ones; state: all other tensors; sums: of the loss since it was last logged
    """

    step: int
    seconds: float
    plan: Plan
    pace: Pace
    weights: dict[str, Tensor]
    state: dict[str, Tensor]
    sums: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Told:
    """What a checkpoint says beside its tensors."""

    format: int
    step: int
    seconds: float
    plan: Plan
    pace: Pace
    sums: tuple[tuple[float, ...], ...]


def typed(folder: RunFolder, step: int, about: Any) -> Told:
    """What `RunFolder.load` gave beside the tensors; raises UserError for nonsense."""
    file = folder.checkpoint(step) / STATE_FILE
    try:
        return from_json(Told, about)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


class Checkpoints:
    """Those in a run folder."""

    def __init__(self, folder: RunFolder, agreement: Agreement, say: Callable[[str], None]) -> None:
        self.folder, self.agreement, self.say = folder, agreement, say

    def newest(self) -> Checkpoint | None:
        """The newest that is whole; a damaged one is said and set aside."""
        for step in reversed(self.folder.steps()):
            try:
                weights, state, about = self.folder.load(step)
                told = typed(self.folder, step, about)
                return Checkpoint(step, told.seconds, told.plan, told.pace, weights, state, told.sums)
            except DamagedFile as error:
                self.say(f"{error}: going back to the one before")
                if self.agreement.first:
                    self.folder.set_aside(step)
        return None

    def restore(self, checkpoint: Checkpoint, take_step: Step) -> None:
        """Let `take_step` go on from there."""
        with reading(self.folder.checkpoint(checkpoint.step), "a checkpoint of this training"):
            take_step.load(checkpoint.state, checkpoint.weights)
            sums = torch.tensor(checkpoint.sums)
            if sums.shape != take_step.losses.shape:
                raise ValueError(f"sums of {tuple(sums.shape)}")
            if self.agreement.first:  # they are of all processes together
                take_step.losses.copy_(sums)

    def save(self, model: Model, take_step: Step, plan: Plan, pacer: Pacer) -> None:
        """Write a checkpoint, whole or not at all, once for all processes."""
        sums = take_step.reduced_losses()
        if self.agreement.first:
            pace = pacer.pace
            about = {
                "seconds": pacer.clock.seconds,
                "plan": asdict(plan),
                "pace": asdict(pace),
                "sums": sums.tolist(),
            }
            self.folder.save(pacer.step, model, take_step.averaged(), take_step.state(), about)
            if len(pace.budgets) > 1:
                self.folder.note_budgets(pace.budgets)
        pacer.saved()
        self.agreement.wait()
