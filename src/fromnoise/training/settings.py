"""What can be said of the training (no PyTorch here: the command line reads this for `--help`)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Unit = Literal["minutes", "epochs", "steps"]


@dataclass(frozen=True)
class Budget:
    """How long to train, at first or as an extension, and where that began, counted from the training's start."""

    unit: Unit
    amount: float
    step: int = 0
    """Steps before it."""
    seconds: float = 0.0
    """Seconds of training before it."""

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit.removesuffix('s') if self.amount == 1 else self.unit}"


@dataclass(frozen=True)
class TrainingSettings:
    """The budget and the recipe."""

    minutes: float | None = None
    """Budget: wall clock of training, compiling included. Give one of --minutes, --epochs, --steps.
    +20 goes on from a finished run for 20 more: the rate rises again and falls over the last half of them."""
    epochs: float | None = None
    """Budget: passes over the training images."""
    steps: int | None = None
    """Budget: optimiser steps."""
    init: Path | None = None
    """Start from the weights of a run, a model file, or digits, the packaged model; they must fit (fine-tuning)."""
    augment: float = 0.0
    """Share of training images that are turned, scaled, stretched and shifted a little, never mirrored.
    The network is told how, and images are drawn with no change."""
    batch: int = 64
    """Images in a step, over all processes together."""
    optimizer: Literal["muon", "adamw", "adam"] = "muon"
    """muon (on matrices and kernels, AdamW on the rest), adamw, or adam."""
    lr: float = 2e-3
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Decoupled weight decay (none for adam)."""
    warmup: int = 100
    """Steps over which the rate rises."""
    decay: float = 0.5
    """Last share of the steps over which the rate falls to zero, linearly; 0 keeps it constant."""
    clip: float | None = 1.0
    """Largest norm of the gradient; the word None for no clipping."""
    ema: float = 0.999
    """Decay of the moving average of the weights, warmed up; 0 for none."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 (fp16 on GPUs without it) where a short measurement finds it truly faster and in agreement with
    float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile; auto: where a compiler exists, the training is long enough to win the time back, eager steps
    leave much of the processor unused, and a measurement finds it faster, with eager's gradients."""
    log_every: int = 50
    """Steps between lines of log.jsonl."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; once a minute when not given."""
    tensorboard: bool = False
    """Write curves for TensorBoard too (extra: tensorboard), into the run folder's tensorboard/."""

    @property
    def budget(self) -> Budget:
        """The one budget that is given."""
        given: dict[Unit, float | None] = {"minutes": self.minutes, "epochs": self.epochs, "steps": self.steps}
        unit, amount = next((unit, amount) for unit, amount in given.items() if amount is not None)
        return Budget(unit, amount)
