"""Callbacks of a training: validation while it runs, and the choice of guidance at its end."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from fromnoise.generation.model import Model
from fromnoise.say import say
from fromnoise.training.interrupt import InterruptGuard
from fromnoise.training.pace import Pace
from fromnoise.training.run_folder import RunFolder


@dataclass(frozen=True)
class Validation:
    """Validation after every `every`-th step and after the last.

    validate     given the step and a model of its own with the averaged weights, in eval mode on the training's device,
                 returns plain JSON values for evaluations.jsonl, and the same in words
    should_stop  given the lines of evaluations.jsonl and the step at which the present budget began, says why the
                 training ends before its budget does; None if it goes on
    """

    every: int
    validate: Callable[[int, Model], tuple[dict[str, Any], str]]
    should_stop: Callable[[Sequence[Mapping[str, Any]], int], str | None] = lambda records, began: None

    def due(self, step: int, last: int | None) -> bool:
        """Whether to validate after `step` steps; `last` is None until it is known."""
        return step > 0 and (step % self.every == 0 or step == last)

    def run(
        self, step: int, seconds: float, model: Model, weights: Mapping[str, Tensor], folder: RunFolder, began: int
    ) -> str | None:
        """Validate a copy of `model` with `weights`, unless evaluations.jsonl has this step; write and say the result.

        Returns why the training ends here, if it does; its present budget began at the step `began`. The line is
        written last: a validation that was killed is repeated when the training resumes.
        """
        before = folder.evaluations.records()
        if before and before[-1]["step"] == step:
            return self.should_stop(before, began)
        start = time.perf_counter()
        network = copy.deepcopy(model.network).eval().requires_grad_(False)
        network.load_state_dict(weights)
        result, words = self.validate(step, dataclasses.replace(model, network=network))
        cost = round(time.perf_counter() - start, 2)
        record = {"step": step, "seconds_of_training": round(seconds, 2), **result, "cost_seconds": cost}
        folder.evaluations.append(record)
        share = (cost + sum(record["cost_seconds"] for record in before)) / seconds
        say(f"step {step:,}: {words} ({cost:.1f} s; all validation so far: {share:.0%} of the training's time)")
        return self.should_stop([*before, record], began)


@dataclass(frozen=True)
class GuidanceChoice:
    """The choice of guidance at the end, on the training's clock.

    cost    of it, in training steps, once `steps` steps are trained, `budget` of them in the present budget; 0 if
            nothing is chosen
    choose  given the step and a model in eval mode, returns its guidance
    """

    cost: Callable[[int, int], int]
    choose: Callable[[int, Model], float]

    def cost_at(self, pace: Pace) -> int:
        """Its cost at the end of a training at this pace."""
        return self.cost(pace.possible, pace.possible - pace.budget.step)

    def due(self, pace: Pace, folder: RunFolder) -> bool:
        """Whether guidance is still to be chosen after a training at this pace, or kept from before its extension.

        A model that was scored keeps the guidance that it was sampled with.
        """
        possible = self.cost_at(pace) > 0 or folder.has_kept_guidance(pace.budget.step)
        if folder.report_file.exists() or not folder.steps() or not possible:
            return False
        return Model.load(folder.model_file()).guidance is None

    def run(self, step: int, pace: Pace, model: Model, folder: RunFolder, guard: InterruptGuard) -> None:
        """Choose the guidance of `model`, that of `folder`, and save it; Ctrl-C breaks it off.

        An extension too short to choose in keeps the guidance from before it.
        """
        chooses = self.cost_at(pace) > 0
        choose = partial(self.choose, step, model)
        guidance = guard.unless_stopped(choose) if chooses else folder.keep_guidance(pace.budget.step)
        if guidance is not None:
            dataclasses.replace(model, guidance=guidance).save(folder.model_file())
        if not chooses:
            say(f"guidance {guidance:g}, as before: choosing again would take too much of this budget")


def better_before(folder: RunFolder, last: int) -> str | None:
    """Where the best model by validation is, in a sentence, if it is not that of the step `last`."""
    best = folder.about_best()
    if best is None or best["step"] == last:
        return None
    if "denoising" in best:
        return f"kept: step {best['step']:,} of {last:,}, which denoises validation images best, in {folder.best}"
    return f"best by validation: step {best['step']:,} (KID {kid_in_words(best['kid'])}), in {folder.best}"


def kid_in_words(kid: dict[str, float]) -> str:
    """A KID and its error for people to read."""
    return f"{kid['value']:.4f} ± {kid['error']:.4f}"
