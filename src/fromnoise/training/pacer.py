"""Keeps a training at its pace: reads the clock, plans anew, and tells when to save and when to stop."""

import dataclasses
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from fromnoise.config import from_json
from fromnoise.threads import Load, Threads
from fromnoise.training.agreement import Agreement
from fromnoise.training.choice import Choice
from fromnoise.training.clock import Clock
from fromnoise.training.pace import Pace, Segment
from fromnoise.training.settings import TrainingSettings
from fromnoise.training.step_log import StepLog

CHECKPOINT_SECONDS = 60.0
SETTLING = 3  # steps before the speed is measured: the first ones compile and warm up
MEASURES = 3  # of the speed, of which the median counts: one stall neither ends nor bends a training
SURE = 0.1  # of a budget of minutes (half a minute at most), after which its number of steps is worth saying


@dataclass(frozen=True)
class Event:
    """What to do after a step: write a checkpoint, and stop there where that was asked for."""

    save: bool
    stop: bool


class Pacer:
    """Sets the pace of a training, the same in all its processes: which step comes next, when to save, when to stop."""

    def __init__(
        self,
        settings: TrainingSettings,
        pace: Pace,
        step: int,
        clock: Clock,
        record: StepLog,
        agreement: Agreement,
        threads: Threads | None = None,
        choice: Choice | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.settings, self.pace, self.step, self.clock = settings, pace, step, clock
        self.record, self.agreement, self.threads, self.choice, self.say = record, agreement, threads, choice, say
        if threads:
            threads.set(pace.segment.threads)
        self._load = Load()
        self._first, self._saved_at = step, clock.running
        self._recorded = [from_json(Segment, line) for line in record.records() if line["step"] > step]
        self._measured_from = step, clock.seconds
        self._measured: deque[float] = deque(maxlen=MEASURES)  # seconds of a step
        self._said_steps, self._said_busy = pace.segment.step_seconds is not None, False

    @property
    def finished(self) -> bool:
        """Whether the last step is taken."""
        return self.pace.total is not None and self.step >= self.pace.total

    def steps(self) -> Iterator[int]:
        """The steps to come; call `advance` after each."""
        while not self.finished:
            yield self.step

    @property
    def threads_now(self) -> int:
        """How many threads compute."""
        return self.threads.now if self.threads else self.pace.segment.threads

    def advance(self) -> None:
        """Note that a step is taken, and begin a new segment where it is time to."""
        self.step += 1
        if self.pace.steps is not None and not self.threads:
            return
        segment = self._next(self.clock.seconds) if self.agreement.first else None
        if self.agreement.flags(segment is not None, any_of=False)[0]:
            self._begin(self.agreement.shared(segment))  # type: ignore[arg-type]
        if self.agreement.first:
            self._tell()

    def event(self, asked: bool) -> Event:
        """What to do after this step; `asked` says whether this process is to stop."""
        every = self.settings.checkpoint_every
        due = self.step % every == 0 if every else self.clock.running - self._saved_at >= CHECKPOINT_SECONDS
        due, asked = self.agreement.flags(due, any_of=asked)
        return Event(self.finished or due or asked, asked)

    def saved(self) -> None:
        """Note that a checkpoint is written."""
        self._saved_at = self.clock.running

    def time_to_come(self, images_per_second: float) -> float:
        """Seconds until the budget is used up."""
        if self.pace.total is None or self.pace.steps is None:
            return max(0.0, self.pace.time_left(self.clock.seconds))
        return (self.pace.total - self.step) * self.settings.batch / max(images_per_second, 1e-9)

    def _next(self, now: float) -> Segment | None:
        """The segment that begins after this step, if one does: one that is recorded, or a new one."""
        if self._recorded:
            if self._recorded[0].step > self.step:
                return None
            segment = self._recorded.pop(0)
            self.clock.add(segment.seconds - now)
            return segment
        settled = self.step - self._first - SETTLING
        if settled == 0:
            self._measured_from = self.step, now
        if self.threads and settled > 0:
            self.threads.after(now)
        changed = self.threads_now != self.pace.segment.threads
        if not changed and not self._due(now):
            return None
        others = self.threads.load if self.threads and changed else self._load()
        segment = self._segment(now, others)
        self.record.append(asdict(segment))
        return segment

    def _due(self, now: float) -> bool:
        """Whether the clock is to be read here, for a budget in minutes."""
        if self.pace.steps is not None:
            return False
        left, (step, since) = self.pace.time_left(now), self._measured_from
        settled = self.step - self._first > SETTLING and self.step > step
        ends = self.pace.total is not None and self.step >= self.pace.total  # says the speed of before
        return left <= 0 or ends or (settled and now - since >= self.pace.reading_after(left))

    def _segment(self, now: float, others: float) -> Segment:
        before, (step, since) = self.pace.segment, self._measured_from
        if self.step > step:
            self._measured.append((now - since) / (self.step - step))
        seconds = statistics.median(self._measured) if self._measured else before.step_seconds
        if self.threads_now != before.threads:
            self._measured.clear()
        left = None
        if self.pace.steps is None and seconds is not None:
            left = self.pace.time_left(now)
            if self.choice:
                left -= self.choice.cost(self.step + max(0, math.floor(left / seconds))) * seconds
        return Segment(self.step, now, self.threads_now, seconds, left, others)

    def _begin(self, segment: Segment) -> None:
        if self.threads and self.threads.now != segment.threads:
            self.threads.set(segment.threads)
        self.pace = dataclasses.replace(self.pace, segment=segment)
        self._measured_from = segment.step, segment.seconds

    def _tell(self) -> None:
        budget, segment = self.pace.budget, self.pace.segment
        known = segment.seconds - budget.seconds >= min(SURE * budget.amount * 60, 30.0)
        if self.pace.steps is None and self.pace.total is not None and known and not self._said_steps:
            steps = self.pace.total - budget.step
            self.say(f"about {steps:,} steps ({steps * self.settings.batch:,} images) fit into {budget} at this speed")
            self._said_steps = True
        if self.threads and self.threads_now < self.threads.most and not self.threads.trying and not self._said_busy:
            number = f"{self.threads_now} thread{'s' if self.threads_now > 1 else ''}"
            self.say(
                f"other processes are using {self.threads.load:.1f} cores: training goes on with {number}, and with "
                f"{self.threads.most} again when they are done"
            )
            self._said_busy = True
