"""Looking at a training while it runs: when, what was seen, and what it cost. Training itself judges nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fromnoise.generation.model import Model
from fromnoise.training.step_log import StepLog


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
        self, step: int, seconds: float, model: Callable[[], Model], log: StepLog, say: Callable[[str], None]
    ) -> None:
        """Look, unless `log` has the look after `step` already; add what was seen to it, and say it.

        The line is written last of all: a look that was killed is made again by whoever goes on from here.
        """
        before = log.records()
        if before and before[-1]["step"] == step:
            return
        start = time.perf_counter()
        sight = self.look(step, model())
        cost = round(time.perf_counter() - start, 2)
        when = {"step": step, "seconds_of_training": round(seconds, 2)}
        log.append({**when, **sight.record, "cost_seconds": cost})
        share = (cost + sum(record["cost_seconds"] for record in before)) / seconds
        say(f"step {step:,}: {sight.words} ({cost:.1f} s; all looks so far: {share:.0%} of the training's time)")
