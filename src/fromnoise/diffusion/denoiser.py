"""The denoiser joins a network to the process: (x, level, label) → (x̂_0, ε̂).

It knows what the network predicts, as otherwise only the loss and the ONNX export do, and how it is conditioned on the
noise level. Samplers and bound see only the pair.
Data is of about unit scale, as `generation.data_info` encodes images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fromnoise.diffusion import level, prediction
from fromnoise.diffusion.schedule import Schedule
from fromnoise.errors import UserError
from fromnoise.hardware import to_device
from fromnoise.lookup import lookup

Network = Callable[..., Tensor]
Condition = Callable[[Tensor], Tensor]


def by_logsnr(logsnr: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The condition of our own networks: λ itself in float32, kept finite."""
    return logsnr.to(torch.float32).clamp(-30, 30)


@dataclass(frozen=True)
class ByStep:
    """The condition of networks that count steps from 0 (diffusers'): t − 1 of the schedule's t at this level.

    Raises UserError for a level that is not in the schedule.
    """

    table: Schedule

    def __call__(self, logsnr: Float[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """The steps t − 1 of the levels, n."""
        # ᾱ instead of λ, which is infinite at pure noise.
        steps = self.table.alphas_cumprod
        wanted = torch.sigmoid(logsnr.double())
        t = (steps[None, 1:] - wanted[:, None]).abs().argmin(dim=1) + 1
        off = (steps[t] - wanted).abs()
        if bool((off > 1e-9 * steps[t]).any()):
            raise UserError(
                "this network works only at its schedule's steps: train it with --levels uniform (`UniformSteps`) "
                "and sample it with --spacing t"
            )
        return t - 1


@dataclass(frozen=True)
class Denoiser:
    """A network as an estimate of clean data and noise.

    network      called as network(x, condition[, label][, change=…]), returns a tensor like x
    prediction   `eps`, `x0` or `v`: what that tensor is
    condition    from levels λ, n, to the network's condition, n
    """

    network: Network
    prediction: str = "eps"
    condition: Condition = field(default=by_logsnr)

    def __post_init__(self) -> None:
        lookup("prediction", self.prediction, prediction.TO_PAIR)

    @property
    def levels(self) -> Float64[Tensor, " T"] | None:
        """The only levels λ that it can be called at; None for all."""
        return self.condition.table.logsnr[1:] if isinstance(self.condition, ByStep) else None

    def output(
        self,
        x: Float[Tensor, "n *d"],
        logsnr: Float[Tensor, "#n"],
        label: Int64[Tensor, " n"] | None = None,
        change: Float[Tensor, "n k"] | None = None,
    ) -> Float[Tensor, "n *d"]:
        """The network's own prediction for x at the levels `logsnr`; raises UserError for one of another shape."""
        condition = to_device(self.condition(logsnr.expand(x.shape[0])), x.device)
        labels = () if label is None else (label,)
        more = {} if change is None else {"change": change}
        output = self.network(x, condition, *labels, **more)
        if output.shape != x.shape:  # which would broadcast
            given, found = ("×".join(map(str, tensor.shape)) for tensor in (x, output))
            raise UserError(f"the network must return a tensor like its input, {given}; it returned {found}")
        return output

    def __call__(
        self, x: Float[Tensor, "n *d"], logsnr: Float[Tensor, "#n"], label: Int64[Tensor, " n"] | None = None
    ) -> tuple[Float[Tensor, "n *d"], Float[Tensor, "n *d"]]:
        """(x̂_0, ε̂) for x at the levels `logsnr`.

        Raises UserError at pure noise under `eps` prediction, which says nothing of x_0 there.
        """
        levels = logsnr.expand(len(x))
        if self.prediction == "eps" and bool((levels == level.NOISE).any()):
            raise UserError("eps prediction cannot start from pure noise (zero terminal SNR): predict v or x0")
        output = self.output(x, levels, label).to(x.dtype)
        return prediction.to_pair(self.prediction, output, x, levels)


def guided(
    denoiser: Callable[..., tuple[Tensor, Tensor]],
    null: int,
    weight: float,
    interval: tuple[float, float] = (-math.inf, math.inf),
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Classifier-free guidance (Ho & Salimans 2022): `weight` times the label's effect; 1 leaves it as it is.

    Their w is `weight` − 1. `null` is the class that stands for no label. Guidance takes a second network call, at
    levels λ within `interval` (Kynkäänniemi et al. 2024, "Applying guidance in a limited interval…"); elsewhere the
    label has its own effect. The rows of a call are all at the same level, as a sampler's are. Raises UserError where
    the result is called without a label.
    """
    if weight == 1:
        return denoiser

    def guide(x: Tensor, logsnr: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if label is None:
            raise UserError("guidance strengthens the effect of a label, and none was given")
        with_label = denoiser(x, logsnr, label)
        if not interval[0] <= float(logsnr) <= interval[1]:
            return with_label
        without = denoiser(x, logsnr, torch.full_like(label, null))
        x0, noise = (torch.lerp(no, yes, weight) for yes, no in zip(with_label, without, strict=True))
        return x0, noise

    return guide
