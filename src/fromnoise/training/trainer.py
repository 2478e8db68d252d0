"""The training loop: exact to resume, whole or not at all in what it writes.

Step k is a function of the weights before it and of (seed, k); nothing else is random. So a training that is
killed and started again ends, on the CPU, with the same weights to the bit.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.tensors import DamagedFile
from fromnoise.training import plan as plans
from fromnoise.training.choice import Choice
from fromnoise.training.clock import Clock
from fromnoise.training.device import is_lost
from fromnoise.training.initial import Initial
from fromnoise.training.interrupt import Interrupted, InterruptGuard
from fromnoise.training.optimizers import rate
from fromnoise.training.plan import Plan
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Phase
from fromnoise.training.step import Step
from fromnoise.training.watch import Watch

CHECKPOINT_SECONDS = 60.0
SETTLING = 3  # steps before the speed is measured: the first ones compile and warm up


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
    """A finished training."""

    model: Model
    plan: Plan
    device: torch.device
    steps: int
    seconds: float
    already_finished: bool


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
        extension: Phase | None = None,
    ) -> None:
        self.initial, self.extension = initial, extension
        self.model, self.folder, self.accelerator = model, folder, accelerator
        self.tick, self.say, self.watch, self.choice = tick, say, watch, choice
        self.settings = model.config.training
        self.device = accelerator.device
        self.images = images.to(self.device)
        self.clock = Clock()
        self.before = 0.0  # seconds of training before this process
        self.step = 0

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resumption included."""
        return self.before + self.clock.seconds

    def run(self) -> Outcome:
        """Train to the end of the budget, from the newest checkpoint if there is one.

        Raises Interrupted after a Ctrl-C, with everything saved, and UserError when the loss is not finite, or for an
        extension of a training that has not finished.
        """
        if self.accelerator.is_main_process:
            self.folder.sweep()
        self.accelerator.wait_for_everyone()
        with self.accelerator.main_process_first():  # which sets damaged ones aside
            weights, state, about = self._newest_checkpoint()
        if not about and self.settings.init:
            self._start_from_init()
        if about and self.images.clustered:
            self._check_clusters(about["step"])
        self.plan = Plan.from_json(about["plan"], self.settings.budget) if about else self._make_plan()
        self.take_step = Step(self.model, self.images, self.accelerator, self.plan)
        if about:
            self._restore(weights, state, about)
        if self.extension:
            self._extend(self.extension)
        if self.accelerator.is_main_process:
            self.folder.log.cut(self.step)
            self.folder.evaluations.cut(self.step)
        finished = self.step == self.plan.total_steps
        with InterruptGuard() as guard:
            self._look(guard)  # if it was broken off here
            if self._agreed(False, False, guard.asked)[2]:
                raise self._interrupted()
            if not finished:
                self._train(guard)
            self.accelerator.end_training()  # from here on the first process works alone
            if self.accelerator.is_main_process:
                self._choose(guard)
        return self._outcome(already_finished=finished)

    def _train(self, guard: InterruptGuard) -> None:
        if self.step:
            self.say(f"going on from step {self.step:,}")
            for difference in self.plan.elsewhere(self.device):
                self.say(difference)
        self.say(f"plan: {self.plan.reason}")
        self.curves = self._curves() if self.accelerator.is_main_process and self.settings.tensorboard else None
        try:
            self._loop(guard)
        finally:
            if self.curves:
                self.curves.close()

    def _start_from_init(self) -> None:
        if self.initial is None:
            raise UserError(f"{self.folder.path} has no whole checkpoint: the same command again starts from --init")
        self.model.network.load_state_dict(self.initial.weights)
        self.say(f"starting from the weights of {self.initial.file}")

    def _check_clusters(self, step: int) -> None:
        """Raise UserError where clusters do not come out as they did when the training began."""
        began = Model.load(self.folder.checkpoint(step) / CHECKPOINT_FILE).shape
        if began.class_shares != self.model.shape.class_shares:
            raise UserError(
                f"{self.folder.path}: k-means finds other clusters here than where this training began (on another "
                "machine, or with another version of scikit-learn): go on there, or begin a new one with another --out"
            )

    def _extend(self, extension: Phase) -> None:
        """Begin a new phase after the last one's end; one of the same budget that is on its way just goes on."""
        begun = len(self.plan.phases) > 1 and str(self.plan.phase) == str(extension)
        if begun and (self.step != self.plan.total_steps or self._unchosen()):
            return
        if self.step != self.plan.total_steps:
            raise UserError(f"{self.folder.path} has not finished its {self.plan.phase}: first go on with those")
        phase = dataclasses.replace(extension, step=self.step, seconds=self.before)
        self.plan = self.plan.extended(phase, self._in_steps(phase))
        self.accelerator.wait_for_everyone()  # to find the results of before in their place
        if self.accelerator.is_main_process:
            self.folder.set_aside_results(self.step)

    def _newest_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
        """The newest checkpoint that is whole, or empty dictionaries; a damaged one is said and set aside."""
        for step in reversed(self.folder.steps()):
            try:
                return self.folder.load(step)
            except DamagedFile as error:
                self.say(f"{error}: going back to the one before")
                if self.accelerator.is_main_process:
                    self.folder.set_aside(step)
        return {}, {}, {}

    def _make_plan(self) -> Plan:
        """The plan, the first process's where there are several: all must run alike."""
        steps = self._in_steps(self.settings.budget)
        processes = self.accelerator.num_processes
        plan = plans.make(self.model, self.device, steps, processes) if self.accelerator.is_main_process else None
        if processes > 1:
            plan = broadcast_object_list([plan])[0]
        assert plan is not None
        return plan

    def _in_steps(self, phase: Phase) -> int | None:
        return plans.steps_of(phase, len(self.images), self.settings.batch)

    def _curves(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter  # the extra `tensorboard`

        return SummaryWriter(self.folder.path / "tensorboard", purge_step=self.step + 1, flush_secs=10)

    def _loop(self, guard: InterruptGuard) -> None:
        loss, rate_of_images = math.nan, 0.0
        first = self.step
        logged_at = saved_at = measured_from = self.clock.seconds
        measured_step, logged_step = first, first
        while self.plan.total_steps is None or self.step < self.plan.total_steps:
            norm = self._first_step() if self.step == first else self._train_step()
            self._look(guard)
            now = self.clock.seconds
            if self.step - first == SETTLING:
                measured_from, measured_step = now, self.step
            settled = self.step - first > SETTLING
            looked = now - measured_from
            measured = settled and self.plan.is_measured(looked, self.step, self.elapsed, self.settings.decay)
            measured, due, asked = self._agreed(measured, self._due(now - saved_at), guard.asked)
            if measured:
                self._fix_steps(looked / (self.step - measured_step))
                measured_from, measured_step = now, self.step
            finished = self.step == self.plan.total_steps
            if self.step % self.settings.log_every == 0 or finished:
                rate_of_images = (self.step - logged_step) * self.settings.batch / (now - logged_at)
                loss = self._log(norm, rate_of_images)
                logged_at, logged_step = now, self.step
            if finished or measured or due or asked:
                self._save()
                saved_at = self.clock.seconds
            self._tick(loss, rate_of_images or (self.step - first) * self.settings.batch / now)
            if asked:
                raise self._interrupted()

    def _look(self, guard: InterruptGuard) -> None:
        """Let the watch look, if it is time to, with the clock stopped and all other processes waiting.

        Ctrl-C breaks the look off: whoever goes on from this step makes up for it.
        """
        if self.watch is None or not self.watch.due(self.step, self.plan.total_steps):
            return
        self._check_finite()  # for which the device has to be done with the steps before
        with self.clock.stopped():
            if self.accelerator.is_main_process and not guard.asked:
                with guard.breaking_off():
                    self.watch.see(
                        self.step, self.elapsed, self._model(), self.take_step.averaged(), self.folder, self.say
                    )
            self.accelerator.wait_for_everyone()

    def _choose(self, guard: InterruptGuard) -> None:
        """Choose the trained model's guidance, if that is still to be done; Ctrl-C breaks it off."""
        if self.choice and not guard.asked and self._unchosen():
            model, guidance = Model.load(self.folder.model_file()), None
            with guard.breaking_off():
                guidance = self.choice.choose(self.step, model)
            if guidance is not None:
                dataclasses.replace(model, guidance=guidance).save(self.folder.model_file())
        if guard.asked:
            raise self._interrupted()

    def _unchosen(self) -> bool:
        """Whether guidance is still to be chosen. A model that has its score keeps how it was drawn from."""
        if not self.choice or not self.choice.cost(self.step) or self.folder.report_file.exists():
            return False
        return Model.load(self.folder.model_file()).guidance is None

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"stopped at step {self.step:,}; the same command goes on from there")

    def _first_step(self) -> Tensor | None:
        """`_train_step` of this process, eager after all where compiling fails; no weight has changed by then."""
        try:
            return self._train_step()
        except RuntimeError as error:  # as PyTorch's compiler errors are
            ours = self.plan.compiled and self.settings.compile == "auto"
            if not ours or isinstance(error, torch.OutOfMemoryError) or is_lost(error):
                raise
            self.say(f"compiling failed ({str(error).partition(chr(10))[0]}): going on eager")
            reason = f"{self.plan.reason}, but compiling failed: eager"
            self.plan = dataclasses.replace(self.plan, compiled=False, reason=reason)
            self.take_step.go_eager()
            return self._train_step()

    def _train_step(self) -> Tensor | None:
        norm = self.take_step(self.step, self.plan)
        self.step += 1
        return norm

    def _agreed(self, measured: bool, due: bool, asked: bool) -> tuple[bool, bool, bool]:
        """What every process does after this step: by the first one's clock, and if any of them was asked to stop."""
        if self.accelerator.num_processes == 1:
            return measured, due, asked
        first = self.accelerator.is_main_process
        flags = torch.tensor([measured and first, due and first, asked], dtype=torch.float32, device=self.device)
        measured, due, asked = (self.accelerator.reduce(flags, "sum") > 0).tolist()
        return measured, due, asked

    def _fix_steps(self, seconds: float) -> None:
        # Every process must stop at the same step: the first one's clock counts.
        more = math.floor(self.plan.seconds_left(self.elapsed) / seconds)
        if self.choice:
            more -= self.choice.cost(self.step + more)
        total = torch.tensor(self.step + max(1, more), device=self.device)
        if self.accelerator.num_processes > 1:
            total = self.accelerator.gather(total.reshape(1))[0]
        before, phase = self.plan.total_steps, self.plan.phase
        self.plan = dataclasses.replace(self.plan, total_steps=int(total), estimated=before is None)
        steps = int(total) - phase.step
        if before is None:
            self.say(f"{phase} are {steps:,} steps, {steps * self.settings.batch:,} images at this speed")
        elif int(total) != before:
            than = "slower" if int(total) < before else "faster"
            self.say(f"{than} than at first: {steps:,} steps instead of {before - phase.step:,}")

    def _due(self, seconds: float) -> bool:
        if self.settings.checkpoint_every:
            return self.step % self.settings.checkpoint_every == 0
        return seconds >= CHECKPOINT_SECONDS

    def _log(self, norm: Tensor | None, images_per_second: float) -> float:
        sums, counts = self.accelerator.reduce(self.take_step.losses)
        by_quartile = [s / n if n else None for s, n in zip(sums.tolist(), counts.tolist(), strict=True)]
        loss = float(sums.sum() / counts.sum())
        self.take_step.losses.zero_()
        if not math.isfinite(loss):
            raise self._diverged()
        if skipped := self.take_step.skipped:
            which = f"of the steps up to {self.step:,} {skipped} had gradients too large for fp16"
            self.say(f"{which} and are not learnt from; if this goes on take --precision fp32")
            self.take_step.skipped = 0
        if self.accelerator.is_main_process:
            record = {
                "step": self.step,
                "epoch": round(self.step * self.settings.batch / len(self.images), 3),
                "loss": loss,
                **{f"loss_q{k + 1}": value for k, value in enumerate(by_quartile)},
                "lr": rate(self.settings, self.step - 1, self.plan.total_steps, self.plan.phase.step),
                "gradient_norm": None if norm is None else float(norm),
                "images_per_second": round(images_per_second, 2),
                "seconds": round(self.elapsed, 2),
            }
            self.folder.log.append(record)
            if self.curves:
                for name, value in record.items():
                    if value is not None:
                        self.curves.add_scalar(name, value, self.step)
        return loss

    def _diverged(self) -> UserError:
        return UserError(
            f"the training is not finite any more at step {self.step}, and this is not saved: "
            "start again in a new folder with a lower --lr or --precision fp32"
        )

    def _model(self) -> Model:
        """The model, to be drawn from in the way it is trained."""
        return dataclasses.replace(self.model, precision=self.plan.precision, channels_last=self.plan.channels_last)

    def _check_finite(self) -> None:
        if not self.take_step.is_finite():
            raise self._diverged()

    def _save(self) -> None:
        self._check_finite()
        sums = self.take_step.losses
        if self.accelerator.num_processes > 1:
            sums = self.accelerator.reduce(sums)
        if self.accelerator.is_main_process:
            state = self.take_step.state()
            about = {"seconds": self.elapsed, "plan": asdict(self.plan), "sums": sums.tolist()}
            self.folder.save(self.step, self._model(), self.take_step.averaged(), state, about)
            if len(self.plan.phases) > 1:
                self.folder.note_phases(self.plan.phases)
        self.accelerator.wait_for_everyone()

    def _restore(self, weights: dict[str, Tensor], state: dict[str, Tensor], about: dict[str, object]) -> None:
        self.take_step.load(state, weights)
        if self.accelerator.is_main_process:  # they are of all processes together
            self.take_step.losses.copy_(torch.tensor(about["sums"]))
        self.step, self.before = int(str(about["step"])), float(str(about["seconds"]))

    def _tick(self, loss: float, images_per_second: float) -> None:
        total = self.plan.total_steps
        if total is None:
            remaining = max(0.0, self.plan.seconds_left(self.elapsed))
        else:
            remaining = (total - self.step) * self.settings.batch / max(images_per_second, 1e-9)
        self.tick(Tick(self.step, total, self.elapsed, remaining, images_per_second, loss))

    def _outcome(self, *, already_finished: bool) -> Outcome:
        main = self.accelerator.is_main_process
        model = Model.load(self.folder.model_file()) if main else self.model
        seconds = self.before if already_finished else self.elapsed
        return Outcome(model, self.plan, self.device, self.step, seconds, already_finished)
