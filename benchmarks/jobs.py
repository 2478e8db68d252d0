"""What one process of the speed benchmark measures: the limits, or one trainer and its samplers.

`run` starts such a process, so that a compiler's crash ends nothing but a row of the table; `python -m benchmarks.jobs
JOB` is that process, with a `Job` as JSON, and prints what it found as JSON on its last line.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers import BATCH, PEERS, T
from fromnoise.config import PRESETS, Config, with_budget
from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, network_calls, own_precision, sample
from fromnoise.hardware import HALVES, precisions
from fromnoise.training import plan as plans
from fromnoise.training import probe
from fromnoise.training.device import accelerator
from fromnoise.training.step import Step

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
OURS, LIMITS = "fromnoise", "limits"
CHANNELS = (64, 128, 128)  # of our network, for as many operations as the peers': 1.8 times the default's
FEW = 13  # network calls of ours, guidance included, and of the peers at equal calls
DRAWS = 2  # drawings, of which the fastest counts
WARM_UP = 2  # the second step still compiles what the first one's gradients changed


@dataclass(frozen=True)
class Job:
    """What to measure: `who` is ours, a peer or the limits; each time is the best mean over `groups` of steps."""

    who: str
    precision: str = "fp32"
    compiled: bool = False
    steps: int = 4
    groups: int = 3
    calls: int = 10
    """Network calls timed of a sampler that takes 1,000."""


def run(job: Job, seconds: float) -> dict[str, Any]:
    """What a process of its own found, or {"failure": why there is nothing}; it may take so many seconds."""
    command = [sys.executable, "-m", "benchmarks.jobs", json.dumps(dataclasses.asdict(job))]
    with (
        tempfile.TemporaryFile("w+") as out,
        subprocess.Popen(command, cwd=ROOT, stdout=out, start_new_session=True) as process,
    ):
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return {"failure": "out of time"}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the compilers that it started
        if code:
            return {"failure": f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"}
        out.seek(0)
        return dict(json.loads(out.read().splitlines()[-1]))


def warm_up(step: Callable[[], object]) -> None:
    """The steps that do not count."""
    for _ in range(WARM_UP):
        step()


def seconds(step: Callable[[], object], steps: int, groups: int = 3) -> float:
    """The best mean over the groups of steps."""
    best = float("inf")
    for _ in range(groups):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        best = min(best, (time.perf_counter() - start) / steps)
    return best


def size(network: nn.Module) -> dict[str, float]:
    """Parameters, and the operations of one grey 32×32 image's forward pass in 10⁹."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.forward(torch.zeros(1, 1, 32, 32), torch.zeros(1))  # called by itself it may be compiled
    return {"parameters": sum(p.numel() for p in network.parameters()), "gflop": counter.get_total_flops() / 1e9}


def preset(precision: str = "auto") -> Config:
    """The fast preset with `CHANNELS`."""
    config = with_budget(PRESETS["fast"], "fast")
    training = dataclasses.replace(config.training, precision=precision)  # type: ignore[arg-type]
    return dataclasses.replace(
        config, training=training, network=dataclasses.replace(config.network, channels=CHANNELS)
    )


def ours(job: Job, images: ImageSet) -> dict[str, Any]:
    """The fast preset: its own step, run as a training of ten minutes would plan it, and its own sampler."""
    config = preset(job.precision)
    model = Model.build(config, DataInfo.of(images, config))
    about = size(model.network)
    plan = plans.make(model, CPU, None)
    step, numbers = Step(model, images, accelerator("cpu"), plan), count()
    warm_up(lambda: step(next(numbers), config.training.lr))
    training_rate = BATCH / seconds(lambda: step(next(numbers), config.training.lr), job.steps, job.groups)
    trained = dataclasses.replace(model, precision=plan.precision, channels_last=plan.channels_last)
    drawing = SampleRequest(BATCH, precision=own_precision(trained))
    sample(trained, drawing)
    rate = BATCH / seconds(lambda: sample(trained, drawing), 1, min(job.groups, DRAWS))
    calls = network_calls(trained, config.sampling)
    if calls != FEW:
        raise ValueError(f"our sampler takes {calls} network calls, not {FEW}")
    samplings = [{"sampler": config.sampling.sampler, "calls": calls, "timed": calls, "images_per_second": rate}]
    found = {"precision": plan.precision, "channels_last": plan.channels_last, "compiled": plan.compiled}
    return about | found | {"reason": plan.reason, "training": training_rate, "samplings": samplings}


def peer(job: Job, images: Tensor) -> dict[str, Any]:
    """A peer's training, and eager also its sampling: by its default sampler, and in few network calls."""
    chosen = PEERS[job.who](images, job.precision, job.compiled)
    about = size(chosen.network) | {"precision": job.precision, "compiled": job.compiled}
    warm_up(chosen.train_step)
    training = BATCH / seconds(chosen.train_step, job.steps, job.groups)
    samplings = []
    samplers = ((chosen.default_sampler, chosen.default, T, job.calls), ("DDIM", chosen.ddim, FEW, FEW))
    for name, draw, calls, timed in () if job.compiled else samplers:
        draw(BATCH, WARM_UP)
        one = seconds(partial(draw, BATCH, timed), 1, min(job.groups, DRAWS)) / timed
        rate = BATCH / one / calls
        samplings.append({"sampler": name, "calls": calls, "timed": timed, "images_per_second": rate})
    return about | {"training": training, "samplings": samplings}


def limits() -> dict[str, Any]:
    """TFLOP/s of bare operations by precision: a matrix product, and a 3×3 convolution of our middle level."""
    found = {}
    for name in precisions(CPU):
        dtype = HALVES.get(name, torch.float32)
        x = torch.randn(BATCH, 128, 8, 8, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        kernel = torch.randn(128, 128, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = kernel.requires_grad_()
        operations = 2 * BATCH * 64 * 128 * 128 * 9

        def forward(x: Tensor = x, weight: Tensor = weight) -> Tensor:
            return F.conv2d(x, weight, padding=1)

        def both(forward: Callable[[], Tensor] = forward) -> None:
            y = forward()
            y.backward(y.detach())

        warm_up(both)
        with torch.no_grad():
            forward()
            forwards = operations / seconds(forward, 20) / 1e12
        found[name] = {
            "matrix product": probe.matrix_rate(CPU, name, 2048) / 1e12,
            "convolution forward": forwards,
            "convolution forward and backward": 3 * operations / seconds(both, 20) / 1e12,
        }
    return found


def measure(job: Job) -> dict[str, Any]:
    """What the job asks for; an error becomes {"failure": its class, "message": its first line}."""
    try:
        if job.who == LIMITS:
            return limits()
        images = resized(digits.load("train"), (32, 32))
        return ours(job, images) if job.who == OURS else peer(job, images.images)
    except Exception as error:  # whatever a compiler or another's package raises
        return {"failure": type(error).__name__, "message": str(error).partition("\n")[0]}


if __name__ == "__main__":
    print(json.dumps(measure(Job(**json.loads(sys.argv[1])))), flush=True)
