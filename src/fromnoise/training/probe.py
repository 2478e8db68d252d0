"""The cost of a network's step on this machine, measured on copies of it with made-up data."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fromnoise import hardware, rng
from fromnoise.diffusion.objective import stratified
from fromnoise.generation.model import Model
from fromnoise.hardware import HALVES, autocast, loss_scale, unscale

ROWS = 32  # images of a candidate's step
SIDE = 32  # pixels a side; on the CPU, larger images are taken fewer at a time, so that planning is not longer
ROUNDS = 4  # in which candidates take turns
WARM_UP = 2  # steps of a compiled network before one counts
SMALL = 1e-3  # of the largest gradient's norm: smaller ones are judged as if they were that large
COMPILED = "_orig_mod."  # how the parameters' names of a compiled module begin

Gradients = Mapping[str, Tensor]


@dataclass(frozen=True)
class Candidate:
    """One way to run the network, measured: seconds for each image's forward and backward pass."""

    precision: str
    channels_last: bool
    seconds: float
    agreement: float

    def __str__(self) -> str:
        return f"{self.precision} {'channels-last' if self.channels_last else 'NCHW'}"


@dataclass(frozen=True)
class Compiled:
    """The compiled network against the eager one on the same images: how many times faster it is, and the largest
    relative difference of a parameter's gradient, with that parameter's name."""

    speedup: float
    difference: float
    parameter: str


def measure(model: Model, device: torch.device, precisions: tuple[str, ...]) -> list[Candidate]:
    """Each precision in both memory formats, with its gradient's cosine to float32's.

    They take turns, and the best of some steps counts: on a shared machine the speed changes from second to second.
    """
    rows = _rows(model, device)
    run = _sample_step(model, device, rows)
    networks = [_probe_copy(model.network, device, channels_last) for channels_last in (False, True)]
    truth = _flat(run(networks[0], "fp32"))
    ways = [(precision, channels_last) for precision in precisions for channels_last in (False, True)]
    steps = [partial(run, networks[channels_last], precision) for precision, channels_last in ways]
    agreements = [float(nn.functional.cosine_similarity(truth, _flat(step()), dim=0)) for step in steps]
    seconds = _best(steps, device)
    return [Candidate(*way, best / rows, agrees) for way, best, agrees in zip(ways, seconds, agreements, strict=True)]


def speed(model: Model, device: torch.device, candidate: Candidate, seconds: float) -> float:
    """Images a second of a candidate's forward and backward passes, averaged over about `seconds` seconds."""
    rows = _rows(model, device)
    run = _sample_step(model, device, rows)
    network = _probe_copy(model.network, device, candidate.channels_last)
    run(network, candidate.precision)
    start, done = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        run(network, candidate.precision)
        done += rows
    return done / (time.perf_counter() - start)


def compiled(model: Model, device: torch.device, eager: Candidate, rows: int, processes: int = 1) -> Compiled:
    """Compile the network in the precision of `eager`, and compare the two by a step of `rows` images.

    A compiler can be wrong without an error: with PyTorch 2.13 the gradient of `interpolate` is lost in bf16 on the
    CPU, the loss falls all the same, and only the images are bad. Raises RuntimeError where compiling fails.
    """
    run = _sample_step(model, device, rows)
    plain = _probe_copy(model.network, device, eager.channels_last)
    fused = fuse(_probe_copy(model.network, device, True), device, processes)
    for _ in range(WARM_UP):  # CUDA graphs are recorded at the second call
        run(fused, eager.precision)
    difference, parameter = _difference(run(plain, eager.precision), run(fused, eager.precision))
    seconds = _best([partial(run, network, eager.precision) for network in (plain, fused)], device)
    return Compiled(seconds[0] / seconds[1], difference, parameter)


def fuse(network: nn.Module, device: torch.device, processes: int = 1) -> Any:
    """The network compiled for batches of one size; on a single GPU with CUDA graphs, as its kernels are short."""
    graphs = device.type == "cuda" and processes == 1  # several exchange gradients, which graphs cannot
    return torch.compile(network, dynamic=False, mode="reduce-overhead" if graphs else None)


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on the CPU, or None."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return str(get_cpp_compiler())
    except Exception:  # it raises one of its own classes, which changes names between versions
        return None


def matrix_rate(device: torch.device, precision: str, side: int = 1024) -> float:
    """Floating-point operations a second of a square matrix product: what the device can do at best."""
    dtype = HALVES.get(precision, torch.float32)
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    _timed(lambda: matrix @ matrix, device)
    return 2 * side**3 / min(_timed(lambda: matrix @ matrix, device) for _ in range(5))


def step_flops(model: Model, device: torch.device) -> float:
    """Floating-point operations of one image's forward and backward pass (three times the forward's)."""
    run = _sample_step(model, device, 1)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # the attention that it counts
        run(_probe_copy(model.network, device, False), "fp32")
    return float(counter.get_total_flops())


def _rows(model: Model, device: torch.device) -> int:
    """Images of a candidate's step."""
    if device.type != "cpu":  # where fewer images would only show how fast kernels are launched
        return ROWS
    return min(ROWS, max(1, ROWS * SIDE**2 // (model.info.height * model.info.width)))


def _sample_step(model: Model, device: torch.device, rows: int) -> Callable[[nn.Module, str], Gradients]:
    """A forward and backward pass on made-up data: (network, precision) → the parameters' gradients."""
    shape = (rows, *model.info.image)
    x0 = rng.normal(shape, 0, "probe", "x0").to(device)
    noise = rng.normal(shape, 0, "probe", "noise").to(device)
    u = stratified(rows, 0.5)
    label = torch.arange(rows, device=device) % model.info.classes if model.info.classes else None
    goal = model.objective()

    def run(network: nn.Module, precision: str) -> Gradients:
        network.zero_grad()
        with autocast(device, precision):
            loss = goal.errors(model.denoiser(network), x0, noise, u, label).mean()
        (loss * loss_scale(precision)).backward()
        unscale(network.parameters(), precision)
        return {
            name.removeprefix(COMPILED): parameter.grad
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }

    return run


def _flat(gradients: Gradients) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()]).cpu().double()


def _difference(truth: Gradients, gradients: Gradients) -> tuple[float, str]:
    """The largest relative difference of a parameter's gradient, and that parameter; a missing gradient is 1 off."""
    norms = {name: float(gradient.norm()) for name, gradient in truth.items()}
    least = SMALL * max(norms.values())
    apart = {
        name: float((gradients[name] - gradient).norm()) / max(norms[name], least) if name in gradients else 1.0
        for name, gradient in truth.items()
    }
    worst = max(apart, key=lambda name: math.inf if math.isnan(apart[name]) else apart[name])
    return apart[worst], worst


def _probe_copy(network: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """A copy whose zero-initialised layers are not zero, so that the whole gradient can be compared."""
    clone = copy.deepcopy(network).to(device).train()
    for module in clone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # dropout's masks would differ between the runs compared
    for k, parameter in enumerate(clone.parameters()):
        if not parameter.detach().any():
            parameter.data = rng.normal(tuple(parameter.shape), 0, "probe", k).mul(0.02).to(device)
    return hardware.channels_last(clone) if channels_last else clone


def _best(calls: Sequence[Callable[[], object]], device: torch.device) -> list[float]:
    """Each call's shortest time, in seconds, over rounds in which they take turns."""
    rounds = [[_timed(call, device) for call in calls] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _timed(call: Callable[[], object], device: torch.device) -> float:
    wait = torch.accelerator.synchronize if device.type != "cpu" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start
