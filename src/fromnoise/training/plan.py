"""How a training runs on this machine: precision, memory format and compiling.

Unless asked for, these are measured: each candidate does a few steps on a copy of the network. Sixteen bits (bf16; fp16
on GPUs without it) are used where they are clearly faster and their gradient agrees with float32's; compiling is used
where it may pay, proves faster, and gives the eager gradients. The plan is saved with every checkpoint, and a resumed
training follows it to the bit.
"""

from dataclasses import dataclass

import torch

from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.hardware import emulates, precisions
from fromnoise.say import say
from fromnoise.threads import shared
from fromnoise.training import probe
from fromnoise.training.probe import Candidate

FASTER = 1.15  # sixteen bits must win by this factor
AGREES = 0.99  # least cosine between the two gradients
# Seconds of training from which compiling is tried: it takes up to 75, and makes steps on CPUs a tenth faster at best.
LONG = {"cpu": 3600.0, "cuda": 300.0}
BUSY = 0.4  # eager steps that reach this share of the matrix product's rate leave a compiler little to win
WINS = 1.05  # compiled must win by this factor
DIFFERS = 0.5  # in one parameter's gradient, relative: rounding makes some hundredths, a lost gradient 1


@dataclass(frozen=True)
class Plan:
    """The choices that hold from a training's first step to its last."""

    precision: str
    channels_last: bool
    compiled: bool
    threads: int
    reason: str

    def elsewhere(self, device: torch.device) -> list[str]:
        """A sentence for each way in which this machine differs from the one where the training began."""
        sentences, threads = [], shared().most
        if self.threads != threads and device.type == "cpu":
            sentences.append(
                f"this run began on {self.threads} threads and resumes on {threads}: "
                "its weights will differ in the last bits"
            )
        if emulates(device, self.precision):
            sentences.append(
                f"this run began in {self.precision}, which is only emulated here: "
                "steps may be very slow; a new run with --precision auto avoids that"
            )
        return sentences


def best(candidates: list[Candidate], device: torch.device) -> tuple[Candidate, str]:
    """The fastest float32 candidate, or the fastest other one where it wins clearly and agrees; and why, in words.

    Of one format alone, the fastest that agrees. On a CUDA GPU agreeing is enough: eager steps there tell how fast
    kernels are launched, not what they cost.
    """

    def rank(candidate: Candidate) -> tuple[bool, float]:
        return not candidate.agreement >= AGREES, candidate.seconds  # NaN is no agreement

    singles = [c for c in candidates if c.precision == "fp32"]
    halves = [c for c in candidates if c.precision != "fp32"]
    if not singles or not halves:
        only = min(candidates, key=rank)
        return only, str(only)
    fp32, half = min(singles, key=rank), min(halves, key=rank)
    ratio = fp32.seconds / half.seconds
    if not half.agreement >= AGREES:
        return fp32, f"{fp32}: {half.precision} does not agree with float32 here (cosine {half.agreement:.3f})"
    if ratio < FASTER and device.type != "cuda":
        return fp32, f"{fp32}: {half.precision} is not faster here ({ratio:.2f}×)"
    return half, f"{half}: {ratio:.1f}× faster than float32, gradients agree (cosine {half.agreement:.4f})"


def make(model: Model, device: torch.device, steps: int | None, processes: int = 1) -> Plan:
    """The plan for training `model`; `steps` is None for a budget in minutes."""
    settings = model.config.training
    known = precisions(device) if settings.precision == "auto" else (settings.precision,)
    if settings.precision != "auto" and emulates(device, settings.precision):
        say(f"{settings.precision} is only emulated here: steps may be very slow; --precision auto avoids that")
    if settings.precision == "auto" or settings.compile == "auto":
        chosen, reason = best(probe.measure(model, device, known), device)
    else:
        chosen = Candidate(settings.precision, False, float("nan"), 1.0)
        reason = str(chosen)
    if len(known) == 1:
        reason += " as asked" if settings.precision != "auto" else ": this CPU has no bf16 units"
    compiled, why = _compiling(model, device, chosen, steps, processes)
    channels_last = chosen.channels_last or compiled  # the compiler fuses what makes channels-last slow
    return Plan(chosen.precision, channels_last, compiled, shared().most, f"{reason}; {why}")


def _compiling(
    model: Model, device: torch.device, chosen: Candidate, steps: int | None, processes: int
) -> tuple[bool, str]:
    """Whether to compile, and why, in words."""
    settings = model.config.training
    asked = settings.compile == "on"
    if settings.compile == "off":
        return False, "eager as asked"
    if not asked:
        if not model.kind.COMPILES or device.type == "mps":
            return False, "eager: not compiled by default for this network or device"
        seconds = settings.minutes * 60 if settings.minutes else (steps or 0) * settings.batch * chosen.seconds
        if seconds < LONG.get(device.type, 0.0):
            return False, "eager: the training is too short to pay for compiling"
    if device.type == "cpu" and probe.compiler() is None:  # asked last, for that takes seconds
        if asked:
            raise UserError("--compile on needs a C++ compiler (g++, clang++, or cl on Windows), and none was found")
        return False, "eager: no C++ compiler found"
    if device.type == "cpu" and not asked:  # a GPU waits for launches of short kernels, which this rate does not show
        rate = probe.step_flops(model, device) / chosen.seconds
        share = rate / probe.matrix_rate(device, chosen.precision)
        if share > BUSY:
            return False, f"eager: already at {share:.0%} of the speed of a matrix product"
    try:
        found = probe.compiled(model, device, chosen, settings.batch // processes, processes)
    except RuntimeError as error:  # as PyTorch's compiler errors are
        if asked:
            raise
        return False, f"eager: compiling failed ({str(error).partition(chr(10))[0]})"
    if not found.difference < DIFFERS:  # NaN is no agreement
        wrong = f"compiled gradients are wrong here (by {found.difference:.0%} in {found.parameter})"
        if asked:
            raise UserError(f"{wrong}: use --compile off")
        return False, f"eager: {wrong}"
    if asked:
        return True, "compiled as asked"
    if found.speedup < WINS:
        return False, f"eager: compiling is not faster here ({found.speedup:.2f}×)"
    return True, f"compiled: {found.speedup:.2f}× faster than eager, and its gradients agree"
