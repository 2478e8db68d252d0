"""What is said of a training while it runs: log.jsonl and, if asked for, TensorBoard's curves."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from fromnoise.training.agreement import Agreement
from fromnoise.training.pacer import Pacer
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import TrainingSettings
from fromnoise.training.step import NotFinite, Step


class Log:
    """A line every `log_every` steps and after the last.

    loss               as last logged
    images_per_second  likewise; before the first line, since the training began or went on
    """

    def __init__(
        self,
        settings: TrainingSettings,
        images: int,
        folder: RunFolder,
        agreement: Agreement,
        pacer: Pacer,
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.images, self.folder = settings, images, folder
        self.agreement, self.pacer, self.say = agreement, pacer, say
        self.loss, self._logged = math.nan, False
        self._step, self._running = pacer.step, pacer.clock.running
        self._curves = self._writer() if agreement.first and settings.tensorboard else None

    @property
    def images_per_second(self) -> float:
        """See the class."""
        return self._rate if self._logged else self._speed()

    def after(self, take_step: Step, rate: float, norm: Tensor | None) -> None:
        """Log the step just taken, at this learning rate, if its turn has come; `norm` is its gradient's.

        Raises NotFinite where the loss is not.
        """
        if self.pacer.step % self.settings.log_every and not self.pacer.finished:
            return
        self._rate, self._logged = self._speed(), True
        self._step, self._running = self.pacer.step, self.pacer.clock.running
        sums, counts = take_step.reduced_losses()
        by_quartile = [s / n if n else None for s, n in zip(sums.tolist(), counts.tolist(), strict=True)]
        self.loss = float(sums.sum() / counts.sum())
        take_step.losses.zero_()
        if not math.isfinite(self.loss):
            raise NotFinite(self._step)
        if skipped := take_step.skipped:
            self.say(
                f"{skipped} of the steps up to {self._step:,} overflowed in fp16 and were skipped; "
                "if this goes on, train with --precision fp32"
            )
            take_step.skipped = 0
        if self.agreement.first:
            self._write(by_quartile, rate, norm)

    def close(self) -> None:
        """Write the curves out."""
        if self._curves:
            self._curves.close()

    def _write(self, by_quartile: list[float | None], rate: float, norm: Tensor | None) -> None:
        pacer = self.pacer
        record = {
            "step": pacer.step,
            "epoch": round(pacer.step * self.settings.batch / self.images, 3),
            "loss": self.loss,
            **{f"loss_q{k + 1}": value for k, value in enumerate(by_quartile)},
            "lr": rate,
            "gradient_norm": None if norm is None else float(norm),
            "images_per_second": round(self._rate, 2),
            "threads": pacer.threads_now,
            "seconds": round(pacer.clock.seconds, 2),
        }
        self.folder.log.append(record)
        if self._curves:
            for name, value in record.items():
                if value is not None:
                    self._curves.add_scalar(name, value, pacer.step)

    def _speed(self) -> float:
        seconds = self.pacer.clock.running - self._running
        return (self.pacer.step - self._step) * self.settings.batch / max(seconds, 1e-9)

    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter  # the extra `tensorboard`

        return SummaryWriter(self.folder.path / "tensorboard", purge_step=self._step + 1, flush_secs=10)
