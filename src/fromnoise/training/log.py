"""The log of a training: log.jsonl and, if asked for, TensorBoard's curves."""

import math
from typing import Any

from torch import Tensor

from fromnoise.say import Bar, say
from fromnoise.training.pacer import Pacer
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Recording
from fromnoise.training.step import NotFinite, Step


class Log:
    """A line at the interval that `recording` sets, and after the last step.

    images  how many `take_step` learns from
    """

    def __init__(self, take_step: Step, images: int, folder: RunFolder, pacer: Pacer, recording: Recording) -> None:
        self.take_step, self.images, self.folder, self.pacer = take_step, images, folder, pacer
        self.batch, self.every, self.loss = take_step.settings.batch, recording.log_interval(pacer.pace.steps), math.nan
        self._step, self._running = pacer.step, pacer.clock.running
        self._rate: float | None = None  # images a second, as last logged
        self._curves: Any = None
        if pacer.accelerator.is_main_process and recording.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # the extra `tensorboard`

            self._curves = SummaryWriter(folder.path / "tensorboard", purge_step=self._step + 1, flush_secs=10)

    def after(self, rate: float, norm: Tensor | None) -> None:
        """Log the step just taken, at this learning rate, if a line is due; `norm` is the norm of its gradient.

        Raises NotFinite if the loss is not finite.
        """
        pacer, take_step = self.pacer, self.take_step
        if pacer.step % self.every and not pacer.finished:
            return
        self._rate = self._speed()
        self._step, self._running = pacer.step, pacer.clock.running
        sums, counts = take_step.reduced_losses()
        self.loss = float(sums.sum() / counts.sum())
        take_step.losses.zero_()
        if not math.isfinite(self.loss):
            raise NotFinite(pacer.step)
        if take_step.skipped:
            say(
                f"{take_step.skipped} of the steps up to {pacer.step:,} overflowed in fp16 and were skipped; "
                "if this continues, train with --precision fp32"
            )
            take_step.skipped = 0
        if pacer.accelerator.is_main_process:
            quartiles = enumerate(zip(sums.tolist(), counts.tolist(), strict=True), start=1)
            record = {
                "step": pacer.step,
                "epoch": round(pacer.step * self.batch / self.images, 3),
                "loss": self.loss,
                **{f"loss_q{k}": total / n if n else None for k, (total, n) in quartiles},
                "lr": rate,
                "gradient_norm": None if norm is None else float(norm),
                "images_per_second": round(self._rate, 2),
                "threads": pacer.threads_now,
                "seconds": round(pacer.clock.seconds, 2),
            }
            self.folder.log.append(record)
            for name, value in record.items() if self._curves else ():
                if value is not None:
                    self._curves.add_scalar(name, value, pacer.step)

    def show(self, bar: Bar) -> None:
        """Show progress, with the loss and speed last logged; before the first log, the speed since the start."""
        pacer, speed = self.pacer, self._speed() if self._rate is None else self._rate
        loss = "" if math.isnan(self.loss) else f"loss {self.loss:.4f}  "
        bar.show(pacer.step, pacer.pace.total, f"{loss}{speed:.0f} images/s", pacer.time_to_come(speed))

    def close(self) -> None:
        """Write out what is left of TensorBoard's curves."""
        if self._curves:
            self._curves.close()

    def _speed(self) -> float:
        seconds = self.pacer.clock.running - self._running
        return (self.pacer.step - self._step) * self.batch / max(seconds, 1e-9)
