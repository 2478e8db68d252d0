"""Where the time of a training step goes: its phases, and the operators that take most."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch.profiler import ProfilerActivity

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.generation.model import Model
from fromnoise.say import bar
from fromnoise.training import plan as plans
from fromnoise.training import probe
from fromnoise.training.pace import steps_of
from fromnoise.training.plan import Plan
from fromnoise.training.step import PHASES, Step

WARM_UP, TIMED, TRACED = 3, 10, 5  # steps: the first compile; tracing slows a step down, so speed is timed without it
OPERATORS = 12


@dataclass(frozen=True)
class Share:
    """A part of a step: its name, its share of the step's time, and how often it is called in one."""

    name: str
    share: float
    calls: float


@dataclass(frozen=True)
class Profile:
    """What a step costs.

    warm_up     seconds of the first steps, compiling included
    seconds     of a step after that, untraced
    flops       floating-point operations of a step: three forward passes
    reachable   operations a second of a matrix product in the same precision
    phases      of the step, in order; what lies between them is left out
    operators   that take most time themselves, the most first
    """

    plan: Plan
    batch: int
    warm_up: float
    seconds: float
    flops: float
    reachable: float
    phases: list[Share]
    operators: list[Share]


def profile(model: Model, images: ImageSet, accelerator: Accelerator) -> Profile:
    """Take a few steps as a training with this budget would, and report what they cost. Changes the model's weights.

    Raises UserError for another device than a CPU.
    """
    device, settings = accelerator.device, model.config.training
    if device.type != "cpu":
        raise UserError("--profile works on the CPU only: add --device cpu, or use PyTorch's own profiler")
    steps = steps_of(settings.budget, len(images), settings.batch)
    plan = plans.make(model, device, steps)
    take, total = Step(model, images.to(device), accelerator, plan), WARM_UP + TIMED + TRACED

    def run(first: int, count: int) -> float:
        start = time.perf_counter()
        for k in range(first, first + count):
            take(k, settings.lr)
            shown.show(k + 1, total)
        return time.perf_counter() - start

    with bar("profiling") as shown:
        warm_up, seconds = run(0, WARM_UP), run(WARM_UP, TIMED) / TIMED
        with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as trace:
            run(WARM_UP + TIMED, TRACED)
    events = trace.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)

    def share(event: Any, time: float) -> Share:
        return Share(event.key, time / whole, event.count / TRACED)

    phases = {event.key: share(event, event.cpu_time_total) for event in events if event.key in PHASES}
    operators = [share(event, event.self_cpu_time_total) for event in events if event.key not in PHASES]
    flops, reachable = settings.batch * probe.step_flops(model, device), probe.matrix_rate(device, plan.precision)
    most = sorted(operators, key=lambda operator: -operator.share)[:OPERATORS]
    return Profile(plan, settings.batch, warm_up, seconds, flops, reachable, [phases[name] for name in PHASES], most)
