"""Settings of the training (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal, get_args

from fromnoise.errors import UserError
from fromnoise.limits import Limits

Unit = Literal["minutes", "epochs", "steps"]
UNITS: tuple[Unit, ...] = get_args(Unit)
AUTO, NONE = "auto", "none"
"""What --init takes besides names."""
CLIPARTS = {"clipart": 32, "clipart64": 64}
"""The packaged models that trainings on images in colour start from, and the size of what they learned from."""
LOG_EVERY = 50  # steps, at most, unless asked for


@dataclass(frozen=True)
class Budget:
    """How long to train, at first or as an extension, and where in the training this begins.

    Raises UserError for an amount that is not above zero and finite.
    """

    unit: Unit
    amount: float
    step: int = 0
    """Steps before it."""
    seconds: float = 0.0
    """Seconds of training before it."""

    def __post_init__(self) -> None:
        if not 0 < self.amount < inf:
            raise UserError(f"--{self.unit} must be above 0 and finite, not {self.amount:g}")

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit.removesuffix('s') if self.amount == 1 else self.unit}"


@dataclass(frozen=True)
class TrainingSettings:
    """The budget and the recipe."""

    minutes: float | None = None
    """Budget: minutes of training by wall clock, including compiling. Give one of --minutes, --epochs and --steps;
    default: the preset's (fast: 10 minutes, chapter: 200 epochs, tiny: 30 steps). +20 extends a finished run by 20
    minutes; the learning rate rises again, and decays over the second half of the extension."""
    epochs: float | None = None
    """Budget: passes over the training images; +5 extends a finished run."""
    steps: int | None = None
    """Budget: optimiser steps; +500 extends a finished run."""
    init: str | None = AUTO
    """Start from the weights of a run, a model file, or digits, clipart or clipart64 (packaged), which must have the
    same network. Image size, classes, image channels and --augment may differ (fine-tuning). none: random weights.
    auto: clipart or clipart64 for colour images, if its network is the same; otherwise none."""
    augment: Annotated[float, Limits(0, 1)] = 0.0
    """Share of training images that are rotated, scaled, stretched and shifted a little, never mirrored.
    The network is conditioned on the change, so samples show none of it."""
    batch: Annotated[int, Limits(1)] = 64
    """Images per step, over all processes together."""
    optimizer: Literal["muon", "adamw", "adam"] = "muon"
    """muon (for matrices and kernels, with AdamW for the rest), adamw, or adam."""
    lr: Annotated[float, Limits(1e-12, 1e12)] = 2e-3
    """Peak learning rate."""
    weight_decay: Annotated[float, Limits(0)] = 0.01
    """Decoupled weight decay (none for adam)."""
    warmup: Annotated[int, Limits(0)] = 100
    """Steps over which the learning rate rises."""
    decay: Annotated[float, Limits(0, 1)] = 0.5
    """Share of the budget, at its end, over which the learning rate falls linearly to zero; 0 keeps it constant."""
    clip: Annotated[float, Limits(1e-12)] | None = 1.0
    """Largest gradient norm; None: no clipping, as in the preset chapter."""
    ema: Annotated[float, Limits(0, 0.999999)] = 0.999
    """Decay of the weights' moving average, warmed up; 0 for none."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 (fp16 on GPUs without it) if a short measurement finds that it is faster and agrees with float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile. auto: on if a measurement finds it faster with the same gradients.
    Not tried without a compiler, for short trainings, or if eager steps already use the processor well."""

    @property
    def budgets(self) -> list[Budget]:
        """All budgets that are given."""
        amounts: dict[Unit, float | None] = {unit: getattr(self, unit) for unit in UNITS}
        return [Budget(unit, amount) for unit, amount in amounts.items() if amount is not None]

    @property
    def budget(self) -> Budget:
        """The one budget that is given."""
        return self.budgets[0]


@dataclass(frozen=True)
class Recording:
    """What a training records as it runs. It changes no weights: a resumed training may use other values."""

    log_every: Annotated[int, Limits(1)] | None = None
    """Steps between lines of log.jsonl; default: 50, or a twentieth of a short budget in steps or epochs."""
    checkpoint_every: Annotated[int, Limits(1)] | None = None
    """Steps between checkpoints; default: one a minute."""
    tensorboard: bool = False
    """Also write curves for TensorBoard (extra: tensorboard), into the run folder's tensorboard/."""

    def log_interval(self, steps: int | None) -> int:
        """Steps between lines of the log, for a budget of `steps` steps; None for one in minutes."""
        return self.log_every or (LOG_EVERY if steps is None else min(max(steps // 20, 1), LOG_EVERY))
