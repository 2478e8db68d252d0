"""How long a training runs, and how its learning rate falls towards the end.

A budget in steps or epochs is a number of steps. A budget in minutes is time: the rate falls as the time left does, and
the training ends with it. Timings never repeat exactly, so the clock is read only every few seconds. Each reading
begins a `Segment`; until the next one everything is a function of the step. Segments are written to pace.jsonl before
they count, and a resumed training follows those that it finds there: so it repeats to the bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fromnoise.say import plural
from fromnoise.training.settings import Budget, TrainingSettings

SECONDS = 5.0  # between two readings of the clock; less where the budget, or what is left of it, is short:
SHARE = 0.05  # of the budget
SHARE_LEFT = 0.25  # of the time left
MOST_THREADS = 4096
FEW = 0.5  # of the steps that would have been possible
BUSY = 0.5  # of the cores that the training would have, taken by other processes


@dataclass(frozen=True)
class Segment:
    """A part of a training, from one reading of the clock to the next.

    step          steps before it
    seconds       of training before it
    threads       that compute
    step_seconds  seconds that a step takes, as last measured; None until then
    left          seconds of the budget for steps still to come, without the choice of guidance; None until known
    others        cores that other processes kept busy, as last measured
    """

    step: int
    seconds: float
    threads: int
    step_seconds: float | None = None
    left: float | None = None
    others: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threads <= MOST_THREADS or (self.step_seconds is not None and self.step_seconds <= 0):
            raise ValueError(f"a segment of {self.threads} threads and {self.step_seconds} seconds a step")


@dataclass(frozen=True)
class Pace:
    """How long a training runs and how fast its rate falls, as far as that is known.

    budgets  the first and those by which it was extended, the present one last
    segment  the present one
    steps    of the present budget; None where it is in minutes
    stopped  the step at which validation ended it before that
    """

    budgets: tuple[Budget, ...]
    segment: Segment
    steps: int | None
    stopped: int | None = None

    def __post_init__(self) -> None:
        if not self.budgets:
            raise ValueError("a pace without a budget")

    @property
    def budget(self) -> Budget:
        """The present budget."""
        return self.budgets[-1]

    @property
    def total(self) -> int | None:
        """The step at which the training ends; None until a budget in minutes can tell."""
        return self._end(self.segment.left) if self.stopped is None else self.stopped

    @property
    def possible(self) -> int:
        """The step at which the training would end without a choice of guidance; 0 while not known."""
        return self._end(self.time_left(self.segment.seconds)) or 0

    def _end(self, left: float | None) -> int | None:
        """The step at which the training ends with `left` seconds left; None until that and the speed are known."""
        if self.steps is not None:
            return self.budget.step + self.steps
        if self.segment.step_seconds is None or left is None:
            return None
        return self.segment.step + max(0, math.floor(left / self.segment.step_seconds))

    def rate(self, k: int, settings: TrainingSettings) -> float:
        """The learning rate of step `k`: a linear rise, a plateau, and in the last `decay` a linear fall to zero."""
        rise = (k - self.budget.step + 1) / (settings.warmup + 1)
        return settings.lr * min(1.0, rise, self._fall(k, settings.decay))

    def _fall(self, k: int, decay: float) -> float:
        if decay == 0:
            return 1.0
        if self.steps is not None:
            return (self.budget.step + self.steps - k) / (decay * self.steps)
        if self.segment.step_seconds is None or self.segment.left is None:
            return 1.0
        whole = self.segment.seconds - self.budget.seconds + self.segment.left
        gone = min((k - self.segment.step) * self.segment.step_seconds, self.reading_after(self.segment.left))
        return max(self.segment.left - gone, 0.0) / (decay * whole)

    def reading_after(self, left: float) -> float:
        """After how many seconds the clock is read again, when `left` seconds are left."""
        return min(SECONDS, SHARE * self.budget.amount * 60, SHARE_LEFT * left)

    def extended(self, budget: Budget, steps: int | None) -> "Pace":
        """The pace once a further budget, of `steps` steps, has begun."""
        segment = Segment(budget.step, budget.seconds, self.segment.threads)
        return Pace((*self.budgets, budget), segment, steps)

    def time_left(self, seconds: float) -> float:
        """Seconds left of the present budget, which is in minutes, after `seconds` of training."""
        return self.budget.seconds + self.budget.amount * 60 - seconds


def steps_of(budget: Budget, images: int, batch: int) -> int | None:
    """A budget in steps; None for minutes, where the speed decides."""
    if budget.unit == "epochs":
        return math.ceil(budget.amount * images / batch)
    return int(budget.amount) if budget.unit == "steps" else None


def shortfall(pace: Pace, segments: Sequence[Segment], threads: int | None, cores: int) -> str | None:
    """A sentence for a training that took far fewer steps than its minutes could have allowed; else None.

    segments  all that were recorded
    threads   that compute when nothing else does; None if others' load does not matter, as with a GPU
    cores     of this process
    """
    within = [s for s in segments if s.step > pace.budget.step and s.step_seconds]
    if pace.steps is not None or not within:
        return None
    first, last = within[0], within[-1]  # the time before the first reading went into planning too
    steps, seconds = last.step - pace.budget.step, last.seconds - first.seconds
    fastest = min(s.step_seconds for s in within if s.step_seconds)
    since, busy = first.seconds, 0.0
    for s in within[1:]:
        busy, since = busy + s.others * (s.seconds - since), s.seconds
    others = busy / seconds if seconds > 0 else last.others
    possible = first.step - pace.budget.step + math.floor(seconds / fastest)
    taken = threads and others - (cores - threads) >= BUSY * threads  # of the cores meant for the threads
    if steps >= FEW * possible and not taken:
        return None
    why = (
        f"other processes used {others:.1f} of {plural(cores, 'core')}" if others >= 0.1 else "the machine slowed down"
    )
    could = f"; about {possible:,} were possible" if steps < FEW * possible else ""
    return f"only {plural(steps, 'step')} in {pace.budget}{could}: {why}. For better images, continue with --minutes +N"
