"""A training's state on its way to and from its run folder."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from fromnoise.config import from_json
from fromnoise.generation.model import Model
from fromnoise.tensors import DamagedFile
from fromnoise.training.agreement import Agreement
from fromnoise.training.pace import Pace
from fromnoise.training.pacer import Pacer
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import RunFolder
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
    sums: list[list[float]]


class Checkpoints:
    """Those in a run folder."""

    def __init__(self, folder: RunFolder, agreement: Agreement, say: Callable[[str], None]) -> None:
        self.folder, self.agreement, self.say = folder, agreement, say

    def newest(self) -> Checkpoint | None:
        """The newest that is whole; a damaged one is said and set aside."""
        for step in reversed(self.folder.steps()):
            try:
                weights, state, about = self.folder.load(step)
                plan, pace = from_json(Plan, about["plan"]), from_json(Pace, about["pace"])
                return Checkpoint(step, about["seconds"], plan, pace, weights, state, about["sums"])
            except DamagedFile as error:
                self.say(f"{error}: going back to the one before")
                if self.agreement.first:
                    self.folder.set_aside(step)
        return None

    def restore(self, checkpoint: Checkpoint, take_step: Step) -> None:
        """Let `take_step` go on from there."""
        take_step.load(checkpoint.state, checkpoint.weights)
        if self.agreement.first:  # they are of all processes together
            take_step.losses.copy_(torch.tensor(checkpoint.sums))

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
