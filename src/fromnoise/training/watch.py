"""Looking at a training while it runs: when, what was seen, and what it cost. Training itself judges nothing."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fromnoise.generation.model import Model
from fromnoise.training.run_folder import RunFolder


@dataclass(frozen=True)
class Sight:
    """What a look saw: `record`, plain JSON values for evaluations.jsonl, and the same in `words`."""

    record: dict[str, Any]
    words: str


@dataclass(frozen=True)
class Watch:
    """A look after every `every`-th step and after the last.

    look   is given the step and a model of its own with the averaged weights, in eval mode on the training's device
    """

    every: int
    look: Callable[[int, Model], Sight]

    def due(self, step: int, last: int | None) -> bool:
        """Whether to look after `step` steps; `last` is None while it is not known."""
        return step > 0 and (step % self.every == 0 or step == last)

    def see(
        self,
        step: int,
        seconds: float,
        model: Model,
        weights: Mapping[str, Tensor],
        folder: RunFolder,
        say: Callable[[str], None],
    ) -> None:
        """Look at a copy of `model` with `weights`, unless `folder` has the look after `step`; note it and say it.

        The line is written last of all: a look that was killed is made again by whoever goes on from here.
        """
        before = folder.evaluations.records()
        if before and before[-1]["step"] == step:
            return
        start = time.perf_counter()
        network = copy.deepcopy(model.network).eval().requires_grad_(False)
        network.load_state_dict(weights)
        sight = self.look(step, dataclasses.replace(model, network=network))
        cost = round(time.perf_counter() - start, 2)
        when = {"step": step, "seconds_of_training": round(seconds, 2)}
        folder.evaluations.append({**when, **sight.record, "cost_seconds": cost})
        share = (cost + sum(record["cost_seconds"] for record in before)) / seconds
        say(f"step {step:,}: {sight.words} ({cost:.1f} s; all looks so far: {share:.0%} of the training's time)")
