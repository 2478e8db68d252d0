"""The training loop: exact to resume, whole or not at all in what it writes.

Step k is a function of the weights before it and of (seed, k); nothing else is random. So a training that is
killed and started again ends, on the CPU, with the same weights to the bit.
"""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from fromnoise.config import from_json
from fromnoise.data.image_set import ImageSet
from fromnoise.generation.model import Model
from fromnoise.threads import apart, cores, shared
from fromnoise.training import resume
from fromnoise.training.agreement import Agreement
from fromnoise.training.checkpoints import Checkpoints
from fromnoise.training.choice import Choice
from fromnoise.training.clock import Clock
from fromnoise.training.device import is_lost
from fromnoise.training.initial import Initial
from fromnoise.training.interrupt import Interrupted, InterruptGuard
from fromnoise.training.log import Log
from fromnoise.training.pace import Pace, Segment, shortfall
from fromnoise.training.pacer import Pacer
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget
from fromnoise.training.step import Step
from fromnoise.training.watch import Watch


@dataclass(frozen=True)
class Tick:
    """How far a training is, told after every step; `loss` is the last one logged."""

    step: int
    total: int | None
    elapsed: float
    remaining: float
    images_per_second: float
    loss: float


@dataclass(frozen=True)
class Outcome:
    """A finished training; `shortfall` says so where its minutes were enough for far too few steps."""

    model: Model
    plan: Plan
    pace: Pace
    device: torch.device
    steps: int
    seconds: float
    already_finished: bool
    shortfall: str | None


class Trainer:
    """Trains a model on images in a run folder, whose lock the caller holds.

    tick       called after every step with how far the training is
    say        called with sentences worth reading: the plan, a resumption
    watch      looks at the model now and then; that takes none of the training's time and changes nothing in it
    choice     chooses the guidance once the model is trained, in the last of a budget of minutes
    initial    the weights that a new training starts from; a resumed one does not need them
    extension  the budget by which a finished training goes on, or which one is on its way in already
    """

    def __init__(
        self,
        model: Model,
        images: ImageSet,
        folder: RunFolder,
        accelerator: Accelerator,
        tick: Callable[[Tick], None] = lambda tick: None,
        say: Callable[[str], None] = lambda text: None,
        watch: Watch | None = None,
        choice: Choice | None = None,
        initial: Initial | None = None,
        extension: Budget | None = None,
    ) -> None:
        self.initial, self.extension = initial, extension
        self.model, self.folder, self.accelerator = model, folder, accelerator
        self.tick, self.say, self.watch, self.choice = tick, say, watch, choice
        self.settings = model.config.training
        self.device = accelerator.device
        self.images = images.to(self.device)
        self.clock = Clock()
        self.agreement = Agreement(accelerator)
        self.checkpoints = Checkpoints(folder, self.agreement, say)

    def run(self) -> Outcome:
        """Train to the end of the budget, from the newest checkpoint if there is one.

        Raises Interrupted after a Ctrl-C, with everything saved, and UserError when the loss is not finite, or for an
        extension of a training that has not finished.
        """
        self._start()
        finished = self.pacer.finished
        with InterruptGuard() as guard:
            self._look(guard)  # if it was broken off here
            self._stop_if_asked(guard)
            if not finished:
                self._train(guard)
                self._look(guard)  # if the last step came sooner than expected
            self.accelerator.end_training()  # from here on the first process works alone
            if self.agreement.first:
                self._choose(guard)
        return self._outcome(already_finished=finished)

    def _train(self, guard: InterruptGuard) -> None:
        self.say(f"plan: {self.plan.reason}")
        log = Log(self.settings, len(self.images), self.folder, self.agreement, self.pacer, self.say)
        with closing(log):
            for k in self.pacer.steps():
                rate = self.pacer.pace.rate(k, self.settings)
                norm = self._take_step(k, rate)
                self.pacer.advance()
                self._look(guard)
                event = self.pacer.event(guard.asked)
                log.after(self.take_step, rate, norm)
                if event.save:
                    self._save()
                self._tick(log)
                if event.stop:
                    raise self._interrupted()

    def _start(self) -> None:
        """Begin, or go on from the newest checkpoint; then extend, if asked to."""
        if self.agreement.first:
            self.folder.sweep()
        self.agreement.wait()
        with self.accelerator.main_process_first():  # which sets damaged ones aside
            checkpoint, n = self.checkpoints.newest(), len(self.images)
        if checkpoint:
            start = resume.go_on(self.model, n, checkpoint, self.folder)
        else:
            start = resume.begin(self.model, n, self.accelerator, self.folder, self.initial, self.say)
        elsewhere = start.plan.elsewhere(self.device)
        if self.extension:
            budgets = start.pace.budgets
            start = resume.extended(start, self.extension, self.model, n, self.folder, self._unchosen())
            self.agreement.wait()  # to find the results of before in their place
            if self.agreement.first and start.pace.budgets != budgets:
                self.folder.set_aside_results(start.step)
                self.folder.pace.cut(start.step)
        self.plan, self._begun_after = start.plan, start.seconds
        self.take_step = Step(self.model, self.images, self.accelerator, self.plan)
        if checkpoint:
            self.checkpoints.restore(checkpoint, self.take_step)
            self.clock.add(start.seconds)
        if self.agreement.first:
            self.folder.cut(start.step)
        # Several processes wait for the slowest, and compiled kernels are made for one number of threads.
        follows = self.agreement.alone and self.device.type == "cpu" and not self.plan.compiled
        threads = shared() if follows else None
        self.pacer = Pacer(
            self.settings,
            start.pace,
            start.step,
            self.clock,
            self.folder.pace,
            self.agreement,
            threads,
            self.choice,
            self.say,
        )
        if start.step and not self.pacer.finished:
            for text in (f"going on from step {start.step:,}", *elsewhere):
                self.say(text)

    def _take_step(self, k: int, rate: float) -> Tensor | None:
        """One step; eager after all where compiling fails in the first one here, when no weight has changed yet."""
        try:
            return self.take_step(k, rate)
        except RuntimeError as error:  # as PyTorch's compiler errors are
            ours = self.plan.compiled and self.settings.compile == "auto" and not self.take_step.taken
            if not ours or isinstance(error, torch.OutOfMemoryError) or is_lost(error):
                raise
            self.say(f"compiling failed ({str(error).partition(chr(10))[0]}): going on eager")
            reason = f"{self.plan.reason}, but compiling failed: eager"
            self.plan = dataclasses.replace(self.plan, compiled=False, reason=reason)
            self.take_step.go_eager()
            return self.take_step(k, rate)

    def _look(self, guard: InterruptGuard) -> None:
        """Let the watch look, if it is time to, with the clock stopped and all other processes waiting.

        Ctrl-C breaks the look off: whoever goes on from this step makes up for it.
        """
        step = self.pacer.step
        if self.watch is None or not self.watch.due(step, self.pacer.pace.total):
            return
        self.take_step.check_finite(step)  # for which the device has to be done with the steps before
        with self.clock.stopped(), apart():
            if self.agreement.first and not guard.asked:
                weights, seconds = self.take_step.averaged(), self.clock.seconds
                with guard.breaking_off():
                    self.watch.see(step, seconds, self._model(), weights, self.folder, self.say)
            self.agreement.wait()

    def _choose(self, guard: InterruptGuard) -> None:
        """Choose the trained model's guidance, if that is still to be done; Ctrl-C breaks it off."""
        if self.choice and not guard.asked and self._unchosen():
            model, guidance = Model.load(self.folder.model_file()), None
            with guard.breaking_off():
                guidance = self.choice.choose(self.pacer.step, model)
            if guidance is not None:
                dataclasses.replace(model, guidance=guidance).save(self.folder.model_file())
        if guard.asked:
            raise self._interrupted()

    def _unchosen(self) -> bool:
        """Whether guidance is still to be chosen. A model that has its score keeps how it was drawn from."""
        steps = self.folder.steps()
        if not self.choice or not steps or not self.choice.cost(steps[-1]) or self.folder.report_file.exists():
            return False
        return Model.load(self.folder.model_file()).guidance is None

    def _stop_if_asked(self, guard: InterruptGuard) -> None:
        if self.agreement.flags(any_of=guard.asked)[0]:
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"stopped at step {self.pacer.step:,}; the same command goes on from there")

    def _model(self) -> Model:
        """The model, to be drawn from in the way it is trained."""
        return dataclasses.replace(self.model, precision=self.plan.precision, channels_last=self.plan.channels_last)

    def _save(self) -> None:
        self.take_step.check_finite(self.pacer.step)
        self.checkpoints.save(self._model(), self.take_step, self.plan, self.pacer)

    def _tick(self, log: Log) -> None:
        speed, step, total = log.images_per_second, self.pacer.step, self.pacer.pace.total
        self.tick(Tick(step, total, self.clock.seconds, self.pacer.time_to_come(speed), speed, log.loss))

    def _outcome(self, *, already_finished: bool) -> Outcome:
        model = Model.load(self.folder.model_file()) if self.agreement.first else self.model
        pace = self.pacer.pace
        segments = [from_json(Segment, line) for line in self.folder.pace.records()]
        short = shortfall(pace, segments, self.plan.threads if self.pacer.threads else None, len(cores()))
        seconds = self._begun_after if already_finished else self.clock.seconds
        return Outcome(model, self.plan, pace, self.device, self.pacer.step, seconds, already_finished, short)
