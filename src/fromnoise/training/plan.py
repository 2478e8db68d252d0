"""How a training will run on this machine: precision, memory format, compiling, and for how many steps.

The first two are measured, not asked for: each candidate does a few steps on a copy of the network, and bf16 is
taken where it is truly faster and its gradient agrees with float32's. Once the number of steps is fixed the plan
is saved with every checkpoint, and a resumed training follows it to the bit.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fromnoise import rng
from fromnoise.diffusion.objective import stratified
from fromnoise.errors import UserError
from fromnoise.generation.draw import has_bf16
from fromnoise.generation.model import Model
from fromnoise.training.settings import Phase

PROBE_ROWS = 32
FASTER = 1.15  # bf16 must win by this factor
AGREES = 0.99  # least cosine between the two gradients
COMPILE_SECONDS = 60.0  # what compiling takes at most, in our measurements
LONG = 4 * COMPILE_SECONDS  # a shorter training is not compiled
BUSY = 0.5  # eager steps that reach this share of the matrix product's rate leave a compiler little to win
MEASURE_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """The choices that a training keeps to from its first step to its last.

    `total_steps` is None until a budget in minutes has been turned into steps. `phases` are the budget and those by
    which it was extended, the present one last; `total_steps` is where that one ends.
    """

    precision: str
    channels_last: bool
    compiled: bool
    threads: int
    total_steps: int | None
    reason: str
    phases: tuple[Phase, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any], first: Phase) -> "Plan":
        """The plan that `asdict` made `value` of; `first` is the phase of plans from before there were several."""
        phases = tuple(Phase(**phase) for phase in value.get("phases", ())) or (first,)
        return cls(**{**value, "phases": phases})

    @property
    def phase(self) -> Phase:
        """The present phase."""
        return self.phases[-1]

    def extended(self, phase: Phase, steps: int | None) -> "Plan":
        """The plan once `phase`, of so many steps, has begun."""
        total = None if steps is None else phase.step + steps
        return dataclasses.replace(self, total_steps=total, phases=(*self.phases, phase))

    def seconds_left(self, elapsed: float) -> float:
        """Of the present phase, whose budget is in minutes, after so many seconds of training."""
        return self.phase.amount * 60 - (elapsed - self.phase.seconds)


@dataclass(frozen=True)
class Candidate:
    """One way to run the network, measured: seconds for each image's forward and backward pass."""

    precision: str
    channels_last: bool
    seconds: float
    agreement: float

    def __str__(self) -> str:
        return f"{self.precision} {'channels-last' if self.channels_last else 'NCHW'}"


def steps_of(phase: Phase, images: int, batch: int) -> int | None:
    """A phase's budget in steps; None for minutes, which the speed decides on."""
    if phase.unit == "epochs":
        return math.ceil(phase.amount * images / batch)
    return int(phase.amount) if phase.unit == "steps" else None


def measure(
    model: Model,
    device: torch.device,
    precisions: tuple[str, ...] = ("fp32", "bf16"),
) -> list[Candidate]:
    """Each precision in both memory formats, best of three steps each, with its gradient's cosine to float32's."""
    run = _sample_step(model, device, PROBE_ROWS)
    found: list[Candidate] = []
    truth: Tensor | None = None
    for precision in precisions:
        for channels_last in (False, True):
            network = _probe_copy(model.network, device, channels_last)
            gradient = run(network, precision)
            if truth is None:
                truth = gradient if precision == "fp32" else run(_probe_copy(model.network, device, False), "fp32")
            agreement = float(torch.nn.functional.cosine_similarity(truth.double(), gradient.double(), dim=0))
            seconds = min(_timed(partial(run, network, precision), device) for _ in range(3))
            found.append(Candidate(precision, channels_last, seconds / PROBE_ROWS, agreement))
    return found


def best(candidates: list[Candidate]) -> tuple[Candidate, str]:
    """The fastest float32 candidate, or the fastest bf16 one where it wins clearly and agrees; and why, in words."""
    fastest = {
        precision: min((c for c in candidates if c.precision == precision), key=lambda c: c.seconds)
        for precision in {c.precision for c in candidates}
    }
    if len(fastest) == 1:
        only = next(iter(fastest.values()))
        return only, str(only)
    fp32, bf16 = fastest["fp32"], fastest["bf16"]
    ratio = fp32.seconds / bf16.seconds
    if bf16.agreement < AGREES:
        return fp32, f"{fp32}: bf16 does not agree with float32 here (cosine {bf16.agreement:.3f})"
    if ratio < FASTER:
        return fp32, f"{fp32}: bf16 is not faster here ({ratio:.2f}×)"
    return bf16, f"{bf16}: {ratio:.1f}× faster than float32, gradients agree (cosine {bf16.agreement:.4f})"


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on the CPU, or None."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return str(get_cpp_compiler())
    except Exception:  # it raises one of its own classes, which changes names between versions
        return None


def matrix_rate(device: torch.device, precision: str, side: int = 1024) -> float:
    """Floating-point operations a second of a square matrix product: what the device can do at best."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    _timed(lambda: matrix @ matrix, device)
    return 2 * side**3 / min(_timed(lambda: matrix @ matrix, device) for _ in range(5))


def step_flops(model: Model, device: torch.device) -> float:
    """Floating-point operations of one image's forward and backward pass (three times the forward's)."""
    run = _sample_step(model, device, 1)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # it knows attention in this form
        run(_probe_copy(model.network, device, False), "fp32")
    return float(counter.get_total_flops())


def make(model: Model, device: torch.device, steps: int | None) -> Plan:
    """The plan for training `model`; `steps` is None for a budget in minutes."""
    settings = model.config.training
    known = ("fp32", "bf16") if has_bf16(device) else ("fp32",)
    precisions = known if settings.precision == "auto" else (settings.precision,)
    if settings.precision == "auto" or settings.compile == "auto":
        chosen, reason = best(measure(model, device, precisions))
    else:
        chosen = Candidate(settings.precision, False, float("nan"), 1.0)
        reason = str(chosen)
    if len(precisions) == 1:
        reason += " as asked" if settings.precision != "auto" else ": this CPU does not compute in bf16"
    compiled, why = _compiling(model, device, chosen, steps)
    channels_last = chosen.channels_last or compiled  # the compiler fuses what makes channels-last slow
    reason = f"{reason}; {why}"
    return Plan(chosen.precision, channels_last, compiled, torch.get_num_threads(), steps, reason, (settings.budget,))


def _compiling(model: Model, device: torch.device, chosen: Candidate, steps: int | None) -> tuple[bool, str]:
    settings = model.config.training
    if settings.compile == "off":
        return False, "eager as asked"
    if device.type == "cpu" and compiler() is None:
        if settings.compile == "on":
            raise UserError("--compile on needs a C++ compiler (g++ or clang++), and none was found")
        return False, "eager: no C++ compiler found"
    if settings.compile == "on":
        return True, "compiled as asked"
    if model.config.network.network == "chapter" or device.type == "mps":
        return False, "eager: not compiled by default for this network or device"
    seconds = settings.minutes * 60 if settings.minutes else (steps or 0) * settings.batch * chosen.seconds
    if seconds < LONG:
        return False, "eager: too short a training to win back the compiling"
    share = step_flops(model, device) / chosen.seconds / matrix_rate(device, chosen.precision)
    if share > BUSY:
        return False, f"eager: it reaches {share:.0%} of the matrix product's rate already"
    return True, f"compiled: eager reaches only {share:.0%} of the matrix product's rate"


def _sample_step(model: Model, device: torch.device, rows: int) -> Callable[[nn.Module, str], Tensor]:
    """A forward and backward pass on made-up data: (network, precision) → the gradient as one vector."""
    shape = (rows, *model.shape.image)
    x0 = rng.normal(shape, 0, "probe", "x0").mul(model.shape.scale).to(device)
    noise = rng.normal(shape, 0, "probe", "noise").to(device)
    u = stratified(rows, 0.5)
    label = torch.arange(rows, device=device) % model.shape.classes if model.shape.classes else None
    goal = model.objective()

    def run(network: nn.Module, precision: str) -> Tensor:
        network.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, precision == "bf16"):
            loss = goal.errors(model.denoiser(network), x0, noise, u, label).mean()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    return run


def _probe_copy(network: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """A copy whose zero-initialised layers are not zero, so that all of the gradient is there to compare."""
    clone = copy.deepcopy(network).to(device).train()
    for module in clone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # its masks would differ between what is compared
    for k, parameter in enumerate(clone.parameters()):
        if not parameter.detach().any():
            parameter.data = rng.normal(tuple(parameter.shape), 0, "probe", k).mul(0.02).to(device)
    return clone.to(memory_format=torch.channels_last) if channels_last else clone  # type: ignore[call-overload]


def _timed(call: Callable[[], object], device: torch.device) -> float:
    if device.type != "cpu":
        torch.accelerator.synchronize()
    start = time.perf_counter()
    call()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start
