"""The training loop: exact to resume, whole or not at all in what it writes.

Step k is a function of the weights before it and of (seed, k); nothing else is random. So a training that is
killed and started again ends, on the CPU, with the same weights to the bit.
"""

from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import torch
from accelerate import Accelerator

from fromnoise.config import from_json
from fromnoise.data.image_set import ImageSet
from fromnoise.generation.model import Model
from fromnoise.say import bar, say
from fromnoise.threads import all_threads, cores
from fromnoise.training import resume
from fromnoise.training.checkpoints import Checkpoint, Standing
from fromnoise.training.device import agreed, flags
from fromnoise.training.initial import Initial
from fromnoise.training.interrupt import Interrupted, InterruptGuard
from fromnoise.training.log import Log
from fromnoise.training.pace import Pace, Segment, shortfall
from fromnoise.training.pacer import Clock, Pacer
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget, Recording
from fromnoise.training.step import Step
from fromnoise.training.validation import GuidanceChoice, Validation


@dataclass(frozen=True)
class Outcome:
    """A finished training; `shortfall` is a sentence if its minutes allowed far too few steps, else None."""

    model: Model
    plan: Plan
    pace: Pace
    steps: int
    seconds: float
    already_finished: bool
    shortfall: str | None


@dataclass
class Trainer:
    """Trains a model on images in a run folder, whose lock the caller holds.

    validation  validates the model now and then, with the clock stopped; it changes no weights
    choice      chooses the guidance after the last step
    initial     the weights that a new training starts from; a resumed one does not need them
    extension   a further budget for a finished training, which may have begun already
    recording   how often to log and to save
    """

    model: Model
    images: ImageSet
    folder: RunFolder
    accelerator: Accelerator
    validation: Validation | None = None
    choice: GuidanceChoice | None = None
    initial: Initial | None = None
    extension: Budget | None = None
    recording: Recording = field(default_factory=Recording)

    def run(self) -> Outcome:
        """Train to the end of the budget, from the newest checkpoint if there is one.

        Raises Interrupted after a Ctrl-C, with everything saved, and UserError when the loss is not finite, or for an
        extension of a training that has not finished.
        """
        self.clock = Clock()
        start = self._start()
        pacer, already_finished = self.pacer, self.pacer.finished
        with InterruptGuard() as guard:
            self._validate(guard)  # a validation that was interrupted at this step
            if flags(self.accelerator, any_of=guard.stop_requested)[1]:
                raise self._interrupted()
            if pacer.finished and not already_finished:  # ended by the validation just repeated
                self._save()
            elif not already_finished:
                self._train(guard)
            if self.accelerator.num_processes > 1:
                self.accelerator.end_training()  # from here on the first process works alone
            if self.accelerator.is_main_process:
                self._choose_guidance(guard)
        model = self._trained() if self.accelerator.is_main_process else self.model
        plan, segments = self.take_step.plan, [from_json(Segment, line) for line in self.folder.pace.records()]
        short = shortfall(pacer.pace, segments, plan.threads if pacer.threads else None, len(cores()))
        seconds = start.seconds if already_finished else self.clock.seconds
        return Outcome(model, plan, pacer.pace, pacer.step, seconds, already_finished, short)

    def _train(self, guard: InterruptGuard) -> None:
        take_step, pacer = self.take_step, self.pacer
        say(f"plan: {take_step.plan.reason}")
        log = Log(take_step, len(self.images), self.folder, pacer, self.recording)
        gpus = [torch.cuda.current_device()] if self.accelerator.device.type == "cuda" else []
        seeded = self.model.config.network.dropout > 0  # PyTorch's generators are
        with closing(log), torch.random.fork_rng(gpus, enabled=seeded), bar("training") as shown:
            while not pacer.finished:
                rate = pacer.pace.rate(pacer.step, take_step.settings)
                norm = take_step(pacer.step, rate)
                pacer.advance()
                self._validate(guard)
                save, stop = pacer.event(guard.stop_requested)
                log.after(rate, norm)
                if save:
                    self._save()
                log.show(shown)
                if stop:
                    raise self._interrupted()

    def _start(self) -> Standing:
        """Begin, or go on from the newest checkpoint; then extend, if asked to."""
        checkpoint, n = resume.newest(self.folder, self.accelerator), len(self.images)
        if checkpoint:
            start = checkpoint.standing
            resume.check(start, self.model, n, self.folder)
        else:
            start = resume.fresh(self.model, n, self.accelerator, self.folder, self.initial)
        if self.extension:
            start = self._extended(start, self.extension)
        self.take_step = Step(self.model, self.images.to(self.accelerator.device), self.accelerator, start.plan)
        if checkpoint:
            resume.restore(self.take_step, checkpoint, self.folder, self.accelerator.is_main_process)
            self.clock.add(start.seconds)
        if self.accelerator.is_main_process:
            self.folder.cut(start.step)
        settings, every = self.model.config.training, self.recording.checkpoint_every
        self.pacer = Pacer(settings, start, self.clock, self.folder.pace, self.accelerator, self.choice, every)
        if start.step and not self.pacer.finished:
            if self.accelerator.is_main_process:
                self.folder.set_aside_score(start.step)  # of images that another model is about to outdate
            for text in (f"resuming from step {start.step:,}", *start.plan.elsewhere(self.accelerator.device)):
                say(text)
        return start

    def _extended(self, before: Standing, extension: Budget) -> Standing:
        """The same with a further budget; what a new one finds is set aside under the step where it begins."""
        unchosen = self.choice is not None and self.choice.due(before.pace, self.folder)
        start = resume.extended(before, extension, self.model, len(self.images), self.folder, unchosen)
        self.accelerator.wait_for_everyone()  # every process must find the earlier results
        if self.accelerator.is_main_process and start is not before:
            self.folder.set_aside_results(start.step)
            self.folder.pace.cut(start.step)
        return start

    def _validate(self, guard: InterruptGuard) -> None:
        """Validate, if it is time to, with the clock stopped and all other processes waiting.

        It may end the training. Ctrl-C breaks it off; a training that resumes from this step makes up for it.
        """
        take_step, pacer = self.take_step, self.pacer
        if self.validation is None or not self.validation.due(pacer.step, pacer.pace.total):
            return
        take_step.check_finite(pacer.step)  # which waits for the steps before
        model, weights, began = take_step.model, take_step.averaged(), pacer.pace.budget.step
        run = partial(self.validation.run, pacer.step, self.clock.seconds, model, weights, self.folder, began)
        why: str | None = None
        with self.clock.stopped(), all_threads():
            if self.accelerator.is_main_process:
                why = guard.unless_stopped(run)
            why = agreed(why)
        if why and not pacer.finished:
            pacer.stop()
            say(why)

    def _choose_guidance(self, guard: InterruptGuard) -> None:
        """Choose the trained model's guidance, unless that is done; Ctrl-C breaks it off."""
        pace, folder = self.pacer.pace, self.folder
        if self.choice and not guard.stop_requested and self.choice.due(pace, folder):
            self.choice.run(self.pacer.step, pace, self._trained(), folder, guard)
        elif Model.load(folder.model_file()).guidance is not None:
            # An extension set it aside: one that left no checkpoint, or this one.
            for step in (self.pacer.step, pace.budget.step):
                folder.keep_guidance(step)
        if guard.stop_requested:
            raise self._interrupted()

    def _trained(self) -> Model:
        """The model to use, on the training's device."""
        return Model.load(self.folder.model_file()).to(self.accelerator.device)

    def _save(self) -> None:
        """Write a checkpoint, once for all processes."""
        take_step, pacer = self.take_step, self.pacer
        take_step.check_finite(pacer.step)
        sums = tuple(map(tuple, take_step.reduced_losses().tolist()))
        if self.accelerator.is_main_process:
            standing = Standing(pacer.step, self.clock.seconds, take_step.plan, pacer.pace, sums)
            checkpoint = Checkpoint(standing, take_step.averaged(), take_step.state())
            self.folder.save(take_step.model, checkpoint)
        self.accelerator.wait_for_everyone()

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"stopped at step {self.pacer.step:,}; run the same command again to resume")
