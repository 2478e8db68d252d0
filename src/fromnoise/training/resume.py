"""Where a training starts: with fresh weights, with another model's, where it stopped, or with a further budget."""

import dataclasses

import torch
from accelerate import Accelerator

from fromnoise.errors import UserError
from fromnoise.files import reading
from fromnoise.generation.model import Model
from fromnoise.say import bar, say
from fromnoise.tensors import DamagedFile
from fromnoise.threads import shared
from fromnoise.training import plan as plans
from fromnoise.training.checkpoints import Checkpoint, Standing
from fromnoise.training.device import agreed
from fromnoise.training.initial import Initial
from fromnoise.training.pace import Pace, Segment, steps_of
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import AUTO, Budget
from fromnoise.training.step import Step


def fresh(model: Model, images: int, accelerator: Accelerator, folder: RunFolder, initial: Initial | None) -> Standing:
    """Where a new training stands; its weights are those of `initial`, if given."""
    settings = model.config.training
    if initial is not None:
        model.network.load_state_dict(initial.weights)
        hint = "; --init none starts afresh" if settings.init == AUTO else ""
        adapted = f"; adapted: {initial.adapted}" if initial.adapted else ""
        say(f"starting from the weights of {initial.name}{adapted}{hint}")
    elif folder.about().init:
        raise UserError(f"{folder.path} has no intact checkpoint: run the same command again")
    steps, first = steps_of(settings.budget, images, settings.batch), accelerator.is_main_process
    # The first process's plan, where there are several: all must run alike.
    with bar("planning"):
        plan = agreed(plans.make(model, accelerator.device, steps, accelerator.num_processes) if first else None)
    assert plan is not None
    if first:
        folder.set_aside_results(0)  # of a model that was deleted: this one needs its own
    return Standing(0, 0.0, plan, Pace((settings.budget,), Segment(0, 0.0, shared().now), steps))


def newest(folder: RunFolder, accelerator: Accelerator) -> Checkpoint | None:
    """The newest intact checkpoint, the same for all processes: the first sets damaged ones aside before they look."""
    if accelerator.is_main_process:
        folder.sweep()
    accelerator.wait_for_everyone()
    with accelerator.main_process_first():
        steps = folder.steps()
        for step in reversed(steps):
            try:
                return folder.load(step)
            except DamagedFile as error:
                damage = str(error)
            say(f"{damage}: {'using the one before it' if step > steps[0] else 'no other is left, so starting afresh'}")
            if accelerator.is_main_process:
                folder.set_aside(step)
        return None


def check(standing: Standing, model: Model, images: int, folder: RunFolder) -> None:
    """Raise UserError for the checkpoint of a training with another budget or other clusters."""
    pace, settings, checkpoint = standing.pace, model.config.training, folder.checkpoint(standing.step)
    first, steps = pace.budgets[0], steps_of(pace.budget, images, settings.batch)
    if (str(first), pace.steps) != (str(settings.budget), steps):
        was, now = _in_steps(first, pace.steps), _in_steps(settings.budget, steps)
        raise UserError(f"{checkpoint} belongs to a training of {was}, not of {now}")
    if model.info.clustered and Model.load(folder.model_file()).info.class_shares != model.info.class_shares:
        raise UserError(
            f"{folder.path}: k-means finds different clusters here than where this training began (on another machine, "
            "or with another version of scikit-learn): resume it there, or start a new one with another --out"
        )


def _in_steps(budget: Budget, steps: int | None) -> str:
    """A budget in words; in epochs also its steps, which depend on the images and the batch."""
    return f"{budget} ({steps:,} steps)" if budget.unit == "epochs" else str(budget)


def extended(
    standing: Standing, budget: Budget, model: Model, images: int, folder: RunFolder, unchosen: bool
) -> Standing:
    """`standing` with a further budget, or as it is if that budget has begun.

    `unchosen`: a finished training still lacks its guidance. Raises UserError for a training that has not finished its
    last budget.
    """
    pace, finished = standing.pace, standing.step == standing.pace.total
    under_way = len(pace.budgets) > 1 and str(pace.budget) == str(budget)
    if under_way and (not finished or unchosen):
        return standing
    if not finished:
        raise UserError(f"{folder.path} has not finished its {pace.budget}: finish that first")
    budget = dataclasses.replace(budget, step=standing.step, seconds=standing.seconds)
    return dataclasses.replace(
        standing, pace=pace.extended(budget, steps_of(budget, images, model.config.training.batch))
    )


def restore(take_step: Step, checkpoint: Checkpoint, folder: RunFolder, first: bool) -> None:
    """Let `take_step` resume from a checkpoint; the `first` process takes all processes' sums of the loss."""
    with reading(folder.checkpoint(checkpoint.standing.step), "a checkpoint of this training"):
        take_step.load(checkpoint.state, checkpoint.weights)
        sums = torch.tensor(checkpoint.standing.sums)
        if sums.shape != take_step.losses.shape:
            raise ValueError(f"sums of {tuple(sums.shape)}")
        if first:
            take_step.losses.copy_(sums)
