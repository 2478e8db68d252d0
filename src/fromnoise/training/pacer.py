"""Keeps a training at its pace: reads the clock, revises the number of steps, and says when to save and stop."""

import dataclasses
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from accelerate import Accelerator

from fromnoise.config import from_json
from fromnoise.say import duration, plural, say
from fromnoise.threads import Load, shared
from fromnoise.training.checkpoints import Standing
from fromnoise.training.device import agreed, flags
from fromnoise.training.pace import Segment
from fromnoise.training.settings import TrainingSettings
from fromnoise.training.step_log import StepLog
from fromnoise.training.validation import GuidanceChoice

CHECKPOINT_SECONDS = 60.0
SETTLING = 3  # steps before the speed is measured: the first ones compile and warm up
MEASURES = 3  # of the speed; their median counts, so one stall cannot end a run or distort its schedule
PAUSE = 60.0, 20  # seconds, and times a usual step: no step takes longer than both, even on a busy machine
SURE = 0.1  # of a budget of minutes (half a minute at most), after which its number of steps is worth announcing


class Clock:
    """Seconds of training: those since the clock was made, less those for which it was stopped."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._added = 0.0

    @property
    def seconds(self) -> float:
        """All of them, with those that were added."""
        return self.running + self._added

    @property
    def running(self) -> float:
        """Those of this process."""
        return time.perf_counter() - self._start

    def add(self, seconds: float) -> None:
        """Count further seconds, such as those of an earlier process."""
        self._added += seconds

    def skip(self, seconds: float) -> None:
        """Do not count these seconds, which have passed."""
        self._start += seconds

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The time within it does not count."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.skip(time.perf_counter() - began)


class Pacer:
    """Sets the pace of a training, the same in all its processes: when to save, when to stop, at which rate to learn.

    step     steps taken; call `advance` after each
    record   the file of segments
    threads  that follow the machine's load; None: their number is fixed
    choice   of guidance; time is reserved for it at the end of the budget
    every    steps between checkpoints; None for one a minute
    """

    def __init__(
        self,
        settings: TrainingSettings,
        start: Standing,
        clock: Clock,
        record: StepLog,
        accelerator: Accelerator,
        choice: GuidanceChoice | None,
        every: int | None,
    ) -> None:
        self.settings, self.pace, self.step, self.clock = settings, start.pace, start.step, clock
        self.record, self.accelerator, self.choice, self.every = record, accelerator, choice, every
        # Several processes wait for the slowest, and compiled kernels are made for one number of threads.
        alone_on_cpu = accelerator.num_processes == 1 and accelerator.device.type == "cpu"
        self.threads = shared() if alone_on_cpu and not start.plan.compiled else None
        if self.threads:
            self.threads.set(self.pace.segment.threads)
        self._load = Load()
        self._first, self._saved_at = self.step, clock.running
        self._recorded = [from_json(Segment, line) for line in record.records() if line["step"] > self.step]
        self._measured_from = self.step, clock.seconds
        self._stepped = clock.running
        self._measured: deque[float] = deque(maxlen=MEASURES)  # seconds of a step
        self._said_steps, self._said_busy = self.pace.segment.step_seconds is not None, False

    @property
    def finished(self) -> bool:
        """Whether the last step has been taken."""
        return self.pace.total is not None and self.step >= self.pace.total

    @property
    def threads_now(self) -> int:
        """How many threads compute."""
        return self.threads.now if self.threads else self.pace.segment.threads

    def advance(self) -> None:
        """Note that a step has been taken, and begin a new segment if it is time to."""
        self.step += 1
        if self.pace.steps is not None and not self.threads:
            return
        segment = self._next(self._now()) if self.accelerator.is_main_process else None
        if flags(self.accelerator, first=segment is not None)[0]:
            segment = agreed(segment)
            assert segment is not None
            if self.threads and self.threads.now != segment.threads:
                self.threads.set(segment.threads)
            self.pace = dataclasses.replace(self.pace, segment=segment)
            self._measured_from = segment.step, segment.seconds
        if self.accelerator.is_main_process:
            self._tell()

    def stop(self) -> None:
        """Let the training end with the step just taken, whatever is left of its budget."""
        self.pace = dataclasses.replace(self.pace, stopped=self.step)

    def event(self, asked: bool) -> tuple[bool, bool]:
        """Whether to save after this step, and whether to stop there; `asked`: this process was asked to stop."""
        due = self.step % self.every == 0 if self.every else self.clock.running - self._saved_at >= CHECKPOINT_SECONDS
        due, stop = flags(self.accelerator, first=due, any_of=asked)
        if due:
            self._saved_at = self.clock.running
        return self.finished or due or stop, stop

    def time_to_come(self, images_per_second: float) -> float:
        """Seconds until the budget is used up."""
        if self.pace.total is None or self.pace.steps is None:
            return max(0.0, self.pace.time_left(self.clock.seconds))
        return (self.pace.total - self.step) * self.settings.batch / max(images_per_second, 1e-9)

    def _now(self) -> float:
        """The seconds after this step, not counting a pause, as by Ctrl-Z or, on Windows, when a laptop sleeps."""
        usual, taken = self.pace.segment.step_seconds, self.clock.running - self._stepped
        settled = self.step - self._first > SETTLING
        if settled and usual and taken > max(PAUSE[0], PAUSE[1] * usual):
            self.clock.skip(taken - usual)
            say(f"the training was paused for {duration(taken)}; this time does not count")
        self._stepped = self.clock.running
        return self.clock.seconds

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
        segment = self._segment(now, self.threads.load if self.threads and changed else self._load())
        self.record.append(asdict(segment))
        return segment

    def _due(self, now: float) -> bool:
        """Whether to read the clock now, for a budget in minutes."""
        if self.pace.steps is not None:
            return False
        left, (step, since) = self.pace.time_left(now), self._measured_from
        settled = self.step - self._first > SETTLING and self.step > step
        ends = self.pace.total is not None and self.step >= self.pace.total  # by the speed measured before
        return left <= 0 or ends or (settled and now - since >= self.pace.reading_after(left))

    def _segment(self, now: float, others: float) -> Segment:
        before, (step, since) = self.pace.segment, self._measured_from
        if self.step > step:
            self._measured.append((now - since) / (self.step - step))
        seconds = statistics.median(self._measured) if self._measured else before.step_seconds
        if self.threads_now != before.threads:
            self._measured.clear()
        segment = Segment(self.step, now, self.threads_now, seconds, others=others)
        if self.pace.steps is not None or seconds is None:
            return segment
        kept = self.choice.cost_at(dataclasses.replace(self.pace, segment=segment)) if self.choice else 0
        return dataclasses.replace(segment, left=self.pace.time_left(now) - kept * seconds)

    def _tell(self) -> None:
        budget, segment = self.pace.budget, self.pace.segment
        known = segment.seconds - budget.seconds >= min(SURE * budget.amount * 60, 30.0)
        if self.pace.steps is None and self.pace.total is not None and known and not self._said_steps:
            steps = self.pace.total - budget.step
            images = steps * self.settings.batch
            say(f"about {plural(steps, 'step')} ({images:,} images) fit into {budget} at this speed")
            self._said_steps = True
        if self.threads and self.threads_now < self.threads.most and not self.threads.trying and not self._said_busy:
            say(
                f"other processes are using {self.threads.load:.1f} cores: training continues with "
                f"{plural(self.threads_now, 'thread')}, and with {self.threads.most} again once they finish"
            )
            self._said_busy = True
