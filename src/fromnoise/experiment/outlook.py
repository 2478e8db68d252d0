"""What a training would be on this machine, before there is one."""

from dataclasses import dataclass

from fromnoise.config import Config
from fromnoise.data.image_set import ImageSet
from fromnoise.experiment import initial_weights
from fromnoise.experiment.train import untrained
from fromnoise.hardware import precisions
from fromnoise.training import probe
from fromnoise.training.device import alone
from fromnoise.training.probe import Candidate

SECONDS = 2.0  # of measuring


@dataclass(frozen=True)
class Outlook:
    """What a training with a budget in minutes would be.

    condition          what its network would be conditioned on, in words
    init               the weights it would start from; None for random ones
    minutes            its budget
    images_per_second  of forward and backward passes, measured on the CPU; None for other devices
    steps              that it would take, at that speed
    """

    condition: str
    init: str | None
    minutes: float
    images_per_second: float | None
    steps: int | None

    def __str__(self) -> str:
        start = f"weights of {self.init}" if self.init else "random weights"
        how = "unconditional" if self.condition == "no classes" else f"conditioned on {self.condition}"
        words = f"training would start from {start}, {how}"
        if self.images_per_second is None:
            return words
        return (
            f"{words}; at about {self.images_per_second:.0f} images a second here, {self.minutes:g} minutes are about "
            f"{self.steps:,} steps"
        )


def outlook(train: ImageSet, config: Config) -> Outlook:
    """What a training of `config` on these images would be; its budget is in minutes.

    Raises UserError if there cannot be one.
    """
    _, model = untrained(train, config)
    init, settings, device = initial_weights.chosen(model), config.training, alone("auto")
    assert settings.minutes is not None
    rate = steps = None
    if device.type == "cpu":
        rate = probe.speed(model, device, Candidate(precisions(device)[-1], True, float("nan"), 1.0), SECONDS)
        steps = round(60 * settings.minutes * rate / settings.batch)
    return Outlook(model.info.conditioned_on, init.name if init else None, settings.minutes, rate, steps)
