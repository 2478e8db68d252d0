"""One step of a training: from the weights before it and (seed, k) to the weights after it; nothing else is random."""

import dataclasses
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from torch.profiler import record_function

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.hardware import autocast, channels_last, loss_scale, to_device, unscale
from fromnoise.say import say
from fromnoise.training.batches import Batches
from fromnoise.training.device import is_lost
from fromnoise.training.ema import MovingAverage
from fromnoise.training.optimizers import Optimizers
from fromnoise.training.plan import Plan
from fromnoise.training.probe import fuse

QUARTILES = 4
WEIGHTS = "weights."  # how the weights' names begin among those of the state
PHASES = ("batch", "forward", "backward", "optimizer", "average")  # of a step, as `training.profile` tells them


class NotFinite(UserError):  # noqa: N818 - a state of a training
    """The training has diverged."""

    def __init__(self, steps: int) -> None:
        super().__init__(
            f"the loss is no longer finite at step {steps}, and such weights are never saved: "
            "start again in a new folder with a lower --lr or --precision fp32"
        )


class Step:
    """Takes steps with a model's network, as a plan says.

    model       the model, which is sampled in the way it is trained
    plan        as given, or without compiling if that fails
    network     the one in training
    optimizers  they hold the learning rate
    average     the moving average of the weights; None without one
    losses      sums and counts of the loss by quartile of noise level (1: the least noise), for the log
    skipped     steps whose gradients overflowed in fp16, for the log
    """

    def __init__(self, model: Model, images: ImageSet, accelerator: Accelerator, plan: Plan) -> None:
        self.model = dataclasses.replace(model, precision=plan.precision, channels_last=plan.channels_last)
        self.plan, self.accelerator = plan, accelerator
        self.settings, self.device = model.config.training, accelerator.device
        network = model.network.to(self.device).train()
        if plan.channels_last:
            network = channels_last(network)
        self.network: nn.Module = network
        self._eager: Any = accelerator.prepare(network)  # first, for it may move the parameters
        self.optimizers = Optimizers(network, self.settings)
        self.average = MovingAverage(network, self.settings.ema) if self.settings.ema else None
        self.losses: Float[Tensor, "2 q"] = torch.zeros(2, QUARTILES, device=self.device)
        self.skipped = 0
        self._objective = model.objective()
        self._denoiser = model.denoiser(
            fuse(self._eager, self.device, accelerator.num_processes) if plan.compiled else self._eager
        )
        self._proven = not plan.compiled or self.settings.compile == "on"
        self._batches = Batches(model, images, accelerator.process_index, accelerator.num_processes)

    def check_finite(self, steps: int) -> None:
        """Raise NotFinite unless all weights, after `steps` steps, are finite."""
        if not all(bool(parameter.isfinite().all()) for parameter in self.network.parameters()):
            raise NotFinite(steps)

    def reduced_losses(self) -> Float[Tensor, "2 q"]:
        """`losses` of all processes together."""
        return self.accelerator.reduce(self.losses)

    def __call__(self, k: int, rate: float) -> Tensor | None:
        """Take step `k` (0 for the first) at this learning rate; returns the gradient's norm if it is clipped.

        If compiling was not asked for and fails in the first step, before any weight changes, training goes on eager.
        """
        try:
            norm = self._take(k, rate)
        except RuntimeError as error:  # as PyTorch's compiler errors are
            if self._proven or isinstance(error, torch.OutOfMemoryError) or is_lost(error):
                raise
            say(f"compiling failed ({str(error).partition(chr(10))[0]}): continuing without")
            reason = f"{self.plan.reason}, but compiling failed: eager"
            self.plan = dataclasses.replace(self.plan, compiled=False, reason=reason)
            self._denoiser = self.model.denoiser(self._eager)
            norm = self._take(k, rate)
        self._proven = True
        return norm

    def _take(self, k: int, rate: float) -> Tensor | None:
        precision = self.plan.precision
        with record_function("batch"):
            batch = self._batches(k)
        if self.model.config.network.dropout:
            torch.manual_seed(rng.integer(self.model.config.seed, "dropout", k, self._batches.rank))
        with record_function("forward"):
            self.network.zero_grad()
            with autocast(self.device, precision):
                errors = self._objective.errors(self._denoiser, *batch)
        with record_function("backward"):
            self.accelerator.backward(errors.mean() * loss_scale(precision))
            finite = unscale(self.network.parameters(), precision)
        norm = None
        with record_function("optimizer"):
            if not finite:
                self.skipped += 1  # not taken: momentum alone would move the weights about as far as a real step
            else:
                if self.settings.clip is not None:
                    norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
                self.optimizers.step(rate)
        with record_function("average"):
            quartile = to_device((batch.u * QUARTILES).long(), self.device)
            member = nn.functional.one_hot(quartile, QUARTILES).to(errors.dtype)
            self.losses += torch.stack([errors.detach(), torch.ones_like(errors)]) @ member
            if self.average:
                self.average.update(k + 1)
        return norm

    def averaged(self) -> dict[str, Tensor]:
        """The weights to use the model with: averaged parameters, and the network's buffers as they are."""
        live: dict[str, Tensor] = self.network.state_dict()
        return live | self.average.average if self.average else live

    def state(self) -> dict[str, Tensor]:
        """The tensors that resuming needs beside `averaged` and `losses`, on the CPU."""
        weights = {f"{WEIGHTS}{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {name: tensor.detach().cpu() for name, tensor in (weights | self.optimizers.state()).items()}

    def load(self, state: dict[str, Tensor], averaged: dict[str, Tensor]) -> None:
        """Go on from what `state` and `averaged` gave; raises an exception, of any class, for anything else."""
        live = {name.removeprefix(WEIGHTS): value for name, value in state.items() if name.startswith(WEIGHTS)}
        self.network.load_state_dict(live)
        self.optimizers.load(state)
        if self.average:
            self.average.load(averaged)
