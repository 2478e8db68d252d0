"""Where a training starts: with new weights, with those of another model, where it stopped, or for more at its end."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from accelerate import Accelerator

from fromnoise.errors import UserError
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.threads import shared
from fromnoise.training import plan as plans
from fromnoise.training.agreement import Agreement
from fromnoise.training.checkpoints import Checkpoint
from fromnoise.training.initial import Initial
from fromnoise.training.pace import Pace, Segment, steps_of
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget


@dataclass(frozen=True)
class Start:
    """After how many steps, and seconds, a training starts, and how it runs from there."""

    step: int
    seconds: float
    plan: Plan
    pace: Pace


def begin(
    model: Model,
    images: int,
    accelerator: Accelerator,
    folder: RunFolder,
    initial: Initial | None,
    say: Callable[[str], None],
) -> Start:
    """At the first step of all; the weights are those of `initial` where the settings ask for it."""
    settings = model.config.training
    if settings.init:
        if initial is None:
            raise UserError(f"{folder.path} has no whole checkpoint: the same command again starts from --init")
        model.network.load_state_dict(initial.weights)
        say(f"starting from the weights of {initial.file}")
    agreement, steps = Agreement(accelerator), steps_of(settings.budget, images, settings.batch)
    # The first process's plan, where there are several: all must run alike.
    plan = plans.make(model, accelerator.device, steps, accelerator.num_processes) if agreement.first else None
    plan = agreement.shared(plan)
    assert plan is not None
    return Start(0, 0.0, plan, Pace((settings.budget,), Segment(0, 0.0, shared().now), steps))


def go_on(model: Model, images: int, checkpoint: Checkpoint, folder: RunFolder) -> Start:
    """Where the last process stopped.

    Raises UserError for the checkpoint of a training with another budget, and where clusters do not come out as they
    did then.
    """
    pace, settings = checkpoint.pace, model.config.training
    ours = (str(settings.budget), steps_of(pace.budget, images, settings.batch))
    if (str(pace.budgets[0]), pace.steps) != ours:
        raise UserError(
            f"{folder.checkpoint(checkpoint.step)} is of a training of {pace.budgets[0]} ({pace.steps} steps now), "
            f"not of {ours[0]} ({ours[1]})"
        )
    if model.info.clustered:
        began = Model.load(folder.checkpoint(checkpoint.step) / CHECKPOINT_FILE).info
        if began.class_shares != model.info.class_shares:
            raise UserError(
                f"{folder.path}: k-means finds other clusters here than where this training began (on another "
                "machine, or with another version of scikit-learn): go on there, or begin a new one with another --out"
            )
    return Start(checkpoint.step, checkpoint.seconds, checkpoint.plan, checkpoint.pace)


def extended(start: Start, budget: Budget, model: Model, images: int, folder: RunFolder, unchosen: bool) -> Start:
    """`start` with a further budget, or as it is where that one is on its way.

    `unchosen` says whether a finished training still lacks its guidance. Raises UserError for a training that has not
    finished its last budget.
    """
    pace = start.pace
    under_way = len(pace.budgets) > 1 and str(pace.budget) == str(budget)
    if under_way and (start.step != pace.total or unchosen):
        return start
    if start.step != pace.total:
        raise UserError(f"{folder.path} has not finished its {pace.budget}: finish that first")
    budget = dataclasses.replace(budget, step=start.step, seconds=start.seconds)
    steps = steps_of(budget, images, model.config.training.batch)
    return dataclasses.replace(start, pace=pace.extended(budget, steps))
